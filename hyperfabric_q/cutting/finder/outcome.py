"""What a found set of cuts costs, and the value that is handed out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hyperfabric_q.cutting.assignment import Assignment
from hyperfabric_q.cutting.finder.prices import WIRE, joint, separate
from hyperfabric_q.cutting.finder.slices import Ints, Slices
from hyperfabric_q.cutting.gates import cut_gate

PREPARED, MEASURED = 4, 3
"""States that begin a cut wire, and bases that end one."""

MET = 1e-6
"""A bound on ln gamma² this little below the price found is taken to meet it."""

_LARGEST = 709.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """What cuts cost.

    Attributes:
        log_joint: ln gamma² with all gates between one pair of parts taken together.
        log_separate: ln gamma² with every gate cut by itself.
        gate_cuts, wire_cuts: how many.
    """

    log_joint: float
    log_separate: float
    gate_cuts: int
    wire_cuts: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """The cheapest cuts that were found.

    gamma is a product over pairs of parts of the joint gamma of the gates cut between them, 2 prod s_g - 1, and of 4
    per cut wire. The joint value is reached by taking those gates together, which needs no ancilla only where they
    can be run side by side; where each is cut for itself, ``gamma_separate`` holds.

    Attributes:
        circuit: the prepared circuit, to whose rows the assignment refers.
        assignment: what runs where.
        qpus: the index in ``widths`` of the QPU of each part; for alike QPUs just the number of the part.
        widths: qubits that each part needs.
        gamma: square root of ``overhead``.
        overhead: predicted factor on the shots, gamma², as minimised: joint unless asked otherwise.
        gamma_joint, gamma_separate: both ways of pricing the cuts.
        bound: no cuts have less overhead than this.
        optimal: whether ``overhead`` meets the bound.
        gate_cuts: rows of the gates that are cut.
        wire_cuts: (qubit, row) of the wires that are cut, right before the row.
        subexperiments: distinct circuits to run, per basis of measurement, with each gate cut for itself.
        history: (moves tried, overhead) each time a cheaper set was found, the first within milliseconds.
        moves: moves tried in total.
    """

    circuit: Any
    assignment: Assignment
    qpus: tuple[int, ...]
    widths: tuple[int, ...]
    gamma: float
    overhead: float
    gamma_joint: float
    gamma_separate: float
    bound: float
    optimal: bool
    gate_cuts: tuple[int, ...]
    wire_cuts: tuple[tuple[int, int], ...]
    subexperiments: int
    history: tuple[tuple[int, float], ...]
    moves: int

    @property
    def gap(self) -> float:
        """Overhead over its bound, less 1: 0 when the optimum is proven."""
        return 0.0 if self.optimal else self.overhead / self.bound - 1


def power(log: float) -> float:
    """Return e^log, inf where that is beyond floating point."""
    return math.exp(log) if log < _LARGEST else math.inf


def price_of(slices: Slices, part: Ints) -> Price:
    """Return what an assignment of slices to parts costs."""
    ends = np.sort(part[slices.gates], axis=1)
    cut = ends[:, 0] != ends[:, 1]
    pairs: dict[tuple[int, int], list[float]] = {}
    for (a, b), log_s in zip(ends[cut].tolist(), slices.log_s[cut].tolist(), strict=True):
        pairs.setdefault((a, b), []).append(log_s)
    wires = int((part[slices.wires[:, 0]] != part[slices.wires[:, 1]]).sum())
    return Price(
        log_joint=math.fsum(joint(math.fsum(each)) for each in pairs.values()) + WIRE * wires,
        log_separate=math.fsum(separate(log_s) for each in pairs.values() for log_s in each) + WIRE * wires,
        gate_cuts=int(cut.sum()),
        wire_cuts=wires,
    )


def subexperiments(circuit: Any, slices: Slices, part: Ints) -> int:
    """Return the number of distinct circuits over all parts, for one basis of measurement."""
    variants = [1] * (int(part.max(initial=0)) + 1)
    for row, (a, b) in zip(slices.rows.tolist(), part[slices.gates].tolist(), strict=True):
        if a != b:
            cut = cut_gate(circuit.data[row].operation).decomposition
            variants[a] *= len(cut.left)
            variants[b] *= len(cut.right)
    for a, b in part[slices.wires].tolist():
        if a != b:
            variants[a] *= MEASURED
            variants[b] *= PREPARED
    return sum(variants)


def assignment_of(slices: Slices, part: Ints) -> Assignment:
    """Return the assignment of qubits over time; segments on the same part are put together."""
    segments: list[list[tuple[int, int]]] = [[] for _ in range(slices.qubits)]
    for qubit, row, where in zip(slices.qubit.tolist(), slices.first_row.tolist(), part.tolist(), strict=True):
        mine = segments[qubit]
        if not mine or mine[-1][1] != where:
            mine.append((row, where))
    parts = int(part.max(initial=0)) + 1
    return Assignment(parts=parts, segments=tuple(tuple(each) for each in segments))


def numbered(part: Ints, rooms: Sequence[int], *, alike: bool) -> tuple[Ints, tuple[int, ...]]:
    """Number the parts that are used from 0; return (parts, the slot of each).

    Alike slots are numbered as their first qubit comes, others in their own order.
    """
    used, first = np.unique(part, return_index=True)
    if alike:
        used = used[np.argsort(first)]
    number = np.full(len(rooms), -1, dtype=np.int64)
    number[used] = np.arange(len(used))
    return number[part], tuple(used.tolist())
