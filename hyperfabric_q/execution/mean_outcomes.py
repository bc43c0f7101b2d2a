"""The distribution of a run's counts, from a few thousand draws of its errors.

Each draw gives the chances of all outcomes at once, and their mean is far smoother than counts of as many shots would
be. Errors that only change outcomes, misreads above all, are not drawn but convolved with.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray
from qiskit.circuit import ClassicalRegister

from hyperfabric_q.distribution.local_figures import LocalFigures
from hyperfabric_q.execution.late_errors import measured_last, with_late_errors
from hyperfabric_q.execution.logical_ops import Logical, places_of
from hyperfabric_q.execution.pauli_tracking import track, user_columns
from hyperfabric_q.execution.run_noise import RunNoise
from hyperfabric_q.execution.trajectories import ROOM, Bits, Group, Rows, States, Table, prepared

if TYPE_CHECKING:
    from hyperfabric_q.distribution.plan import Plan

Floats = NDArray[np.float64]

MOST_BITS: Final = 20
"""Reported bits of which the distribution is held: a million outcomes."""


def mean_chances(
    plan: Plan,
    noise: RunNoise,
    reported: Sequence[ClassicalRegister],
    *,
    draws: int,
    rng: np.random.Generator,
) -> Floats:
    """Return the mean chance of every value of the reported bits over draws of the errors, shape (2^bits,).

    Bit 0 of a value is bit 0 of the first register. O(draws with an error x 2^qubits x operations).

    Args:
        plan: what runs, measurements included.
        noise: its errors.
        reported: registers of the emitted circuit, ``MOST_BITS`` bits at most.
        draws: how many.
        rng: of the draws.
    """
    routed = plan.routed
    columns = user_columns(routed.circuit)
    figures = LocalFigures(plan.fabric, routed.node_of, routed.places)
    logical = measured_last(track(routed.circuit, routed.entry, routed.exit, noise, figures))
    logical = with_late_errors(logical, len(columns), to_the_end=False)
    index = {bit: place for place, bit in enumerate(routed.circuit.clbits)}
    place_of = {columns[index[bit]]: place for place, bit in enumerate(bit for each in reported for bit in each)}
    order, places = np.array(list(place_of)), np.array(list(place_of.values()))
    of_state = values_of_states(logical, place_of)
    chances = np.zeros(1 << len(place_of))
    for states, at_end, hits in ends(logical, Group.start(logical, draws), rng):
        own = np.abs(states) ** 2
        own *= (hits / own.sum(axis=1))[:, None]
        of_row = (at_end[:, order].astype(np.int64) << places).sum(axis=1)
        np.add.at(chances, of_row[:, None] ^ of_state, own)
    return with_late(chances / draws, logical, place_of)


def ends(logical: Logical, first: Group, rng: np.random.Generator) -> Iterator[tuple[States, Bits, Rows]]:
    """Yield states, columns and shots of all rows at the end, group by group.

    Args:
        logical: with late errors.
        first: the rows that all begin with.
        rng: of everything drawn.
    """
    steps = prepared(logical)
    most = max(1, ROOM >> logical.qubits)
    waiting = [first]
    while waiting:
        group = waiting.pop()
        while group.at < len(steps):
            if len(group) > most:
                group, heavy = group.halves(most)
                waiting.append(heavy)
            group.step(steps[group.at], rng)
            group.at += 1
        yield group.states, group.columns, group.hits


def value_of(key: str) -> int:
    """Return the value of the reported bits that a key of counts spells.

    >>> value_of("1 01")
    5
    """
    return int(key.replace(" ", "") or "0", 2)


def values_of_states(logical: Logical, place_of: Mapping[int, int]) -> Rows:
    """Return what each basis state of the qubits adds to the reported bits, modulo 2."""
    states = np.arange(1 << logical.qubits, dtype=np.int64)
    values = np.zeros_like(states)
    for column, qubit in logical.records:
        if column in place_of:
            values ^= (states >> qubit & 1) << place_of[column]
    return values


def with_late(chances: Floats, logical: Logical, place_of: Mapping[int, int]) -> Floats:
    """Return the chances of outcomes after the errors that only change outcomes, shape (2^bits,)."""
    values = np.arange(len(chances))
    for draw in logical.late:
        table = Table.of(draw, logical.columns)
        mixed = chances * (1 - table.total)
        for (effect, _), share in zip(draw.chances, table.chances.tolist(), strict=True):
            flips = sum(1 << place_of[column] for column in places_of(effect.columns) if column in place_of)
            mixed += table.total * share * chances[values ^ flips]
        chances = mixed
    return chances
