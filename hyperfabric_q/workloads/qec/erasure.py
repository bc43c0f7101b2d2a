"""Rounds that were given up: what the remaining measurements still say.

Detectors that share a lost measurement are put together until none holds it; one that holds it alone is lost. For the
surface code this merges the detectors of a lost round with those of the next one. Nothing about the code is assumed:
it is elimination over the measurements.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import stim
from numpy.typing import NDArray

from hyperfabric_q.errors import InvalidValue
from hyperfabric_q.workloads.qec.instructions import instructions_of

IntArray: TypeAlias = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Records:
    """Which measurements make up each detector, and in which round each measurement is.

    Attributes:
        detectors: the measurements of each, by number.
        places: coordinates of each detector.
        rounds: round of each measurement: that of the first detector that is declared after it.
    """

    detectors: tuple[frozenset[int], ...]
    places: tuple[tuple[float, ...], ...]
    rounds: IntArray


def records_of(circuit: stim.Circuit) -> Records:
    """Return the measurements behind the detectors of a circuit. Cost: some µs per flattened instruction."""
    detectors: list[frozenset[int]] = []
    places: list[tuple[float, ...]] = []
    rounds: list[int] = []
    done = 0
    for instruction in instructions_of(circuit.flattened()):
        if instruction.name == "DETECTOR":
            found: set[int] = set()
            for target in instruction.targets_copy():
                found ^= {done + target.value}
            detectors.append(frozenset(found))
            place = tuple(instruction.gate_args_copy())
            places.append(place)
            rounds += [int(place[-1])] * (done - len(rounds))
        else:
            done += instruction.num_measurements
    rounds += [rounds[-1] + 1 if rounds else 0] * (done - len(rounds))
    return Records(detectors=tuple(detectors), places=tuple(places), rounds=np.array(rounds, dtype=np.int64))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Erasure:
    """What is left to decode when some rounds are lost.

    Attributes:
        dem: the error model of the remaining detectors.
        columns: detectors that make up the remaining ones, one after the other.
        starts: where each remaining one starts in ``columns``.
    """

    dem: stim.DetectorErrorModel
    columns: IntArray
    starts: IntArray

    def apply(self, dets: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return the remaining detection events of unpacked ones, shape (shots, remaining detectors)."""
        if not len(self.starts):
            return np.zeros((len(dets), 0), dtype=np.uint8)
        found: NDArray[np.uint8] = np.bitwise_xor.reduceat(dets[:, self.columns], self.starts, axis=1)
        return found


def erase(circuit: stim.Circuit, dem: stim.DetectorErrorModel, lost: Collection[int]) -> Erasure:
    """Return what is left of an experiment without the measurements of the rounds ``lost``.

    Raises:
        InvalidValue: nothing is left.
    """
    records = records_of(circuit)
    gone = set(np.flatnonzero(np.isin(records.rounds, list(lost))).tolist())
    rows = _eliminated(records.detectors, gone)
    if not rows:
        raise InvalidValue(field="lost", value=sorted(lost), rule="without these rounds no detector is left")
    members: dict[int, list[int]] = {}
    for number, row in enumerate(rows):
        for detector in row:
            members.setdefault(detector, []).append(number)
    lines = [f"detector({', '.join(map(repr, records.places[max(row)]))}) D{number}" for number, row in enumerate(rows)]
    lines += _mapped(dem, members)
    lines += [f"logical_observable L{number}" for number in range(dem.num_observables)]
    lengths = [len(row) for row in rows]
    return Erasure(
        dem=stim.DetectorErrorModel("\n".join(lines)),
        columns=np.array([detector for row in rows for detector in sorted(row)], dtype=np.int64),
        starts=np.concatenate([[0], np.cumsum(lengths)[:-1]]).astype(np.int64),
    )


def _eliminated(detectors: Iterable[frozenset[int]], gone: set[int]) -> list[frozenset[int]]:
    """Sums of detectors that hold none of the measurements ``gone``, by their latest detector."""
    contents = {number: set(each) for number, each in enumerate(detectors)}
    sums = {number: {number} for number in contents}
    holders: dict[int, set[int]] = {}
    for number, held in contents.items():
        for measurement in held & gone:
            holders.setdefault(measurement, set()).add(number)
    for measurement in sorted(holders):
        found = sorted(holders.pop(measurement))
        if not found:
            continue
        pivot, *others = found
        for other in others:
            for each in contents[pivot] & gone:
                if each in holders:
                    holders[each] ^= {other}
            contents[other] ^= contents[pivot]
            sums[other] ^= sums[pivot]
        for each in contents[pivot] & gone:
            if each in holders:
                holders[each].discard(pivot)
        del contents[pivot], sums[pivot]
    return sorted((frozenset(each) for each in sums.values()), key=max)


def _mapped(dem: stim.DetectorErrorModel, members: dict[int, list[int]]) -> list[str]:
    """The errors of a model, told by the remaining detectors; what nothing sees any more is left out."""
    lines: dict[str, float] = {}
    flat = dem.flattened()
    for index in range(len(flat)):
        instruction = flat[index]
        if not isinstance(instruction, stim.DemInstruction) or instruction.type != "error":
            continue
        parts = []
        for group in instruction.target_groups():
            seen: set[int] = set()
            observables: list[str] = []
            for target in group:
                if target.is_relative_detector_id():
                    seen ^= set(members.get(target.val, ()))
                else:
                    observables.append(str(target))
            if seen:
                parts.append(" ".join([*(f"D{each}" for each in sorted(seen)), *observables]))
        if parts:
            text = " ^ ".join(parts)
            p, q = instruction.args_copy()[0], lines.get(text, 0.0)
            lines[text] = p * (1 - q) + q * (1 - p)
    return [f"error({probability!r}) {text}" for text, probability in lines.items()]
