"""Paulis that depend on the measurement record in ways stim cannot write, added to its records afterwards.

A Pauli inserted into a Clifford circuit changes nothing but the signs of later measurements, always the same ones, the
Paulis that these feed forward included. So its effect is one row of flips, found once by pushing the Pauli through the
circuit, and a shot in which it happens is the shot without it, plus that row. In the order of the circuit every record
that decides is final before it is read; the outcome has exactly the distribution of the full circuit.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np
import stim
from numpy.typing import NDArray

from hyperfabric_q.execution.bit_counts import Bits, packed_column
from hyperfabric_q.execution.noisy_stim import LatePauli, NoisyStim

_AT_ONCE: Final = 1024
"""Paulis pushed through the circuit side by side."""


def add_late_paulis(program: NoisyStim, records: Bits, rng: np.random.Generator) -> None:
    """Change the records of many shots, bit-packed, to those of the circuit with its late Paulis, in place.

    O(late Paulis x (circuit / 1000 + shots)).
    """
    silent = [segment.without_noise() for segment in program.segments]
    for chunk in _chunks(program.late):
        rows = _flips(silent, chunk, records.shape[1])
        at = 0
        for late in chunk:
            _add(late, rows[at : at + 2 * len(late.wires)], records, rng)
            at += 2 * len(late.wires)


def _chunks(late: Sequence[LatePauli]) -> Iterator[list[LatePauli]]:
    chunk: list[LatePauli] = []
    rows = 0
    for each in late:
        if chunk and rows + 2 * len(each.wires) > _AT_ONCE:
            yield chunk
            chunk, rows = [], 0
        chunk.append(each)
        rows += 2 * len(each.wires)
    if chunk:
        yield chunk


def _flips(silent: Sequence[stim.Circuit], chunk: Sequence[LatePauli], octets: int) -> Bits:
    """Return the records that X of each wire, then Z of each, flips, for each late Pauli; shape (rows, octets)."""
    number = sum(2 * len(late.wires) for late in chunk)
    pushed = stim.FlipSimulator(batch_size=number, disable_stabilizer_randomization=True)
    if chunk[0].records:
        pushed.do(stim.CircuitInstruction("MPAD", [0] * chunk[0].records))
    done, row = chunk[0].segment, 0
    for late in chunk:
        while done < late.segment:
            pushed.do(silent[done])
            done += 1
        for pauli in "XZ":
            for wire in late.wires:
                pushed.set_pauli_flip(pauli, qubit_index=wire, instance_index=row)
                row += 1
    for segment in silent[done:]:
        pushed.do(segment)
    flips = np.packbits(pushed.get_measurement_flips().T, axis=1, bitorder="little")
    if flips.shape[1] < octets:
        flips = np.pad(flips, ((0, 0), (0, octets - flips.shape[1])))
    return flips


def _add(late: LatePauli, rows: Bits, records: Bits, rng: np.random.Generator) -> None:
    if late.gate:
        hit = np.flatnonzero(_met(late, records))
        records[hit] ^= np.bitwise_xor.reduce(rows[np.array(late.gate)], axis=0)
    if late.error:
        hit = np.flatnonzero(rng.random(len(records)) < late.error)
        hit = hit[_met(late, records[hit])]
        code = rng.integers(1, 4 ** len(late.wires), size=len(hit))
        for digit, row in enumerate(rows):
            records[hit[code >> digit & 1 == 1]] ^= row


def _met(late: LatePauli, records: Bits) -> NDArray[np.bool_]:
    """Return the shots in which every test is met."""
    met = np.ones(len(records), dtype=np.bool_)
    for test in late.tests:
        equal = np.ones(len(records), dtype=np.bool_)
        for record, value in zip(test.records, test.values, strict=True):
            equal &= packed_column(records, record) == value
        met &= equal == test.holds
    return met
