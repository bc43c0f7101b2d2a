"""What a decoder is told: a detector error model as plain tuples, and back again.

A model is a list of units. A unit happens or does not, with its own probability; its parts are the pieces of its
suggested decomposition, each with the detectors and the observables it flips. How much of that structure a decoder
reads is its own matter (``Reads``).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeAlias

import numpy as np
import stim
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from hyperfabric_q.errors import InvalidValue

IntArray: TypeAlias = NDArray[np.int64]
Bits: TypeAlias = NDArray[np.uint8]

Reads: TypeAlias = Literal["edges", "decompositions", "mechanisms"]
"""What of a model a decoder reads.

* ``edges``: the parts alone, as if they happened apart (matching).
* ``decompositions``: units with their parts, which is what correlated matching wants, and any other decoder bears.
* ``mechanisms``: whole units, their decomposition put together again (belief propagation, tables).
"""

Likelihoods: TypeAlias = dict[tuple[int, ...], dict[tuple[int, ...], float]]
"""Detectors → observables → probability, of everything that flips just these detectors."""


class Part(NamedTuple):
    """What one piece of an error flips: detectors and observables, both sorted."""

    detectors: tuple[int, ...]
    observables: tuple[int, ...]


class Unit(NamedTuple):
    """One independent error."""

    probability: float
    parts: tuple[Part, ...]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Model:
    """The errors that a decoder knows of.

    Attributes:
        units: errors that can change an observable, or are tied to such by common detectors; the others are left out,
            since no decoder can make use of them.
        detectors: how many there are, those without units included.
        observables: how many there are.
        rounds: round of each detector, shape (detectors,); -1 where the model states none.
        places: coordinates of each detector that has any.
        reads: what the units were made for.
    """

    units: tuple[Unit, ...]
    detectors: int
    observables: int
    rounds: IntArray
    places: Mapping[int, tuple[float, ...]]
    reads: Reads


def read_model(dem: stim.DetectorErrorModel, reads: Reads, rounds: ArrayLike | None = None) -> Model:
    """Return a detector error model as units.

    Args:
        dem: the model. Its detectors' last coordinate is the round.
        reads: how much of its structure is kept.
        rounds: round of each detector, where its coordinates do not say.

    Cost: a few microseconds for each error of the flattened model.
    """
    units = units_of(dem)
    if reads == "mechanisms":
        units = [Unit(unit.probability, (joined(unit.parts),)) for unit in units]
    units = detectable(units)
    if reads == "edges":
        units = merged(units)
    coordinates = dem.get_detector_coordinates()
    known = np.array([_round(coordinates.get(each)) for each in range(dem.num_detectors)], dtype=np.int64)
    if rounds is not None:
        known = np.array(rounds, dtype=np.int64)
        if known.shape != (dem.num_detectors,):
            rule = f"there is one round for each of the {dem.num_detectors} detectors"
            raise InvalidValue(field="rounds", value=known.shape, rule=rule)
    known.setflags(write=False)
    return Model(
        units=tuple(_useful(units, dem.num_detectors)),
        detectors=dem.num_detectors,
        observables=dem.num_observables,
        rounds=known,
        places={each: tuple(place) for each, place in coordinates.items()},
        reads=reads,
    )


def joined(parts: Iterable[Part]) -> Part:
    """Return the parts put together: what occurs twice cancels."""
    detectors: set[int] = set()
    observables: set[int] = set()
    for part in parts:
        detectors ^= set(part.detectors)
        observables ^= set(part.observables)
    return Part(tuple(sorted(detectors)), tuple(sorted(observables)))


def either(p: float, q: float) -> float:
    """Return the probability that exactly one of two independent errors happens."""
    return p * (1 - q) + q * (1 - p)


def likelihoods(units: Iterable[Unit]) -> Likelihoods:
    """Return how likely each part is, by its detectors and its observables."""
    found: Likelihoods = {}
    for unit in units:
        for part in unit.parts:
            beside = found.setdefault(part.detectors, {})
            beside[part.observables] = either(beside.get(part.observables, 0.0), unit.probability)
    return found


def merged(units: Iterable[Unit]) -> list[Unit]:
    """Return one unit for each set of detectors that a part flips.

    Parts that flip the same detectors and different observables cannot be told apart: their probabilities are put
    together, and the observables are those of the likeliest.
    """
    edges = []
    for detectors, beside in likelihoods(units).items():
        probability = 0.0
        for each in beside.values():
            probability = either(probability, each)
        edges.append(Unit(probability, (Part(detectors, max(beside, key=beside.__getitem__)),)))
    return edges


def written(
    units: Iterable[Unit],
    *,
    detectors: int,
    observables: int,
    coordinates: Mapping[int, Sequence[float]],
) -> stim.DetectorErrorModel:
    """Return units as a detector error model with exactly so many detectors and observables."""
    lines = [f"error({each.probability!r}) {' ^ '.join(_text(part) for part in each.parts)}" for each in units]
    for detector, place in sorted(coordinates.items()):
        lines.append(f"detector({', '.join(f'{each:.12g}' for each in place)}) D{detector}")
    if detectors and detectors - 1 not in coordinates:
        lines.append(f"detector D{detectors - 1}")
    if observables:
        lines.append(f"logical_observable L{observables - 1}")
    return stim.DetectorErrorModel("\n".join(lines))


def _text(part: Part) -> str:
    return " ".join((*(f"D{each}" for each in part.detectors), *(f"L{each}" for each in part.observables)))


def units_of(dem: stim.DetectorErrorModel) -> list[Unit]:
    """Return every error of a detector error model that can happen; about a microsecond each."""
    units: list[Unit] = []
    # Reading the text is several times as fast as asking stim for each target, and most parts occur again and again.
    known: dict[str, Part] = {}
    for line in str(dem.flattened()).splitlines():
        head, _, body = line.rpartition(") ")
        if not head.startswith("error"):
            continue
        probability = float(head[head.rindex("(") + 1 :])
        if probability > 0:
            units.append(
                Unit(probability, tuple([known.get(text) or _read(text, known) for text in body.split(" ^ ")]))
            )
    return units


def _read(text: str, known: dict[str, Part]) -> Part:
    """Return a part from its text; what is named twice cancels."""
    flipped: dict[str, set[int]] = {"D": set(), "L": set()}
    for target in text.split():
        flipped[target[0]] ^= {int(target[1:])}
    known[text] = Part(tuple(sorted(flipped["D"])), tuple(sorted(flipped["L"])))
    return known[text]


def detectable(units: Iterable[Unit]) -> list[Unit]:
    """Return the units without the parts that flip no detector: nobody can decode those."""
    kept = (Unit(each.probability, tuple(part for part in each.parts if part.detectors)) for each in units)
    return [each for each in kept if each.parts]


def _round(place: Sequence[float] | None) -> int:
    """Return the round that coordinates state, -1 for none."""
    if not place or place[-1] < 0 or place[-1] != int(place[-1]):
        return -1
    return int(place[-1])


def _useful(units: Sequence[Unit], detectors: int) -> list[Unit]:
    """Return the units that share detectors, directly or by way of others, with one that flips an observable.

    The other errors are independent of every observable. In a memory experiment they are half of the matching graph.
    """
    rows: list[int] = []
    columns: list[int] = []
    marked = set()
    for unit in units:
        first = unit.parts[0].detectors[0]
        for part in unit.parts:
            rows.extend(first for _ in part.detectors)
            columns.extend(part.detectors)
            if part.observables:
                marked.add(first)
    if not units:
        return []
    ties = (np.array(rows, dtype=np.int64), np.array(columns, dtype=np.int64))
    graph = coo_array((np.ones(len(rows), dtype=np.int8), ties), shape=(detectors, detectors))
    _, component = connected_components(graph, directed=False)
    wanted = {int(component[each]) for each in marked}
    return [unit for unit in units if int(component[unit.parts[0].detectors[0]]) in wanted]
