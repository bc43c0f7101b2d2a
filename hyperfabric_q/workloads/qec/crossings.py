"""The gates of a flat stim circuit that act across nodes, and which of them can share a Bell pair.

A controlled Pauli crosses by teleportation: a copy of one of its qubits, in the basis in which the gate leaves that
qubit alone, is made at the other node. Such a copy can serve further gates, as long as nothing disturbs its original
("cat").
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Sequence
from functools import cache
from typing import Final, NamedTuple

import stim

from hyperfabric_q.errors import UnsupportedOperation
from hyperfabric_q.workloads.qec.experiment import ROUND_TAG
from hyperfabric_q.workloads.qec.instructions import instructions_of

_PAULIS: Final = "XYZ"
_TELEPORTABLE: Final = {
    **{f"{a}C{b}": (a, b) for a in _PAULIS for b in _PAULIS},
    **{f"C{b}": ("Z", b) for b in _PAULIS},
    **{f"SQRT_{a}{a}{end}": (a, a) for a in _PAULIS for end in ("", "_DAG")},
}
"""Axis of each qubit of the gates that one Bell pair carries across; the gates commute with Paulis on these axes."""


class Crossing(NamedTuple):
    """One gate between nodes.

    Attributes:
        at: index of its instruction.
        place: which pair of targets of the instruction it is.
        name: of the gate.
        qubits: control and target.
        round: in which it happens.
        keys: for each of the two qubits, what gates must agree in to share a copy of it.
    """

    at: int
    place: int
    name: str
    qubits: tuple[int, int]
    round: int
    keys: tuple[tuple[object, ...], tuple[object, ...]]


def axes(name: str) -> tuple[str, str] | None:
    """Return the Pauli axis of each qubit of a gate that can be teleported over one Bell pair, else None."""
    return _TELEPORTABLE.get(stim.gate_data(name).name)


def crossings(circuit: stim.Circuit, node_of: Sequence[str], *, kind: str) -> tuple[Crossing, ...]:
    """Return the gates between nodes, in order; O(targets).

    Args:
        circuit: without ``REPEAT``.
        node_of: node per qubit; "" is on every node.
        kind: how gates cross.

    Raises:
        UnsupportedOperation: an operation across nodes that a link cannot carry.
    """
    found: list[Crossing] = []
    span: dict[int, int] = defaultdict(int)
    axis_of: dict[int, str] = {}
    instructions = instructions_of(circuit)
    rounds = _rounds(instructions)
    for at, each in enumerate(instructions):
        kind_of_gate = _gate(each.name)
        if kind_of_gate == "passive":
            continue
        pair_axes = axes(each.name) if kind_of_gate == "two" else None
        for place, group in enumerate(each.target_groups()):
            qubits = [target.value for target in group if not _classical(target)]
            axis_here = pair_axes if pair_axes is not None and len(qubits) == 2 else (None, None)
            for qubit, axis in zip(qubits, axis_here, strict=False):
                if axis is None or axis_of.get(qubit) != axis:
                    span[qubit] += 1
                    axis_of[qubit] = axis or ""
            nodes = {node_of[qubit] for qubit in qubits} - {""}
            if len(nodes) < 2:
                continue
            carried = kind == "direct" or (pair_axes is not None and (kind == "teleported" or "SQRT" not in each.name))
            _check(each, at, qubits, possible=kind_of_gate == "two", carried=carried)
            a, b = qubits
            number = rounds[at]
            keys = ((a, span[a], node_of[b], number), (b, span[b], node_of[a], number))
            found.append(Crossing(at, place, each.name, (a, b), number, keys))
    return tuple(found)


def shared(found: Sequence[Crossing]) -> tuple[tuple[int, int], ...]:
    """Return for every gate which copy serves it, as (index of the first gate of the copy, 0 or 1 = what is copied).

    Greedy: the copies that serve most gates are taken first, which for a seam of checks is the least number.
    """
    members: dict[tuple[object, ...], list[tuple[int, int]]] = defaultdict(list)
    for number, each in enumerate(found):
        for side in (0, 1):
            members[each.keys[side]].append((number, side))
    chosen: dict[int, tuple[int, int]] = {}
    for rows in sorted(members.values(), key=lambda rows: (-len(rows), rows[0])):
        free = [row for row in rows if row[0] not in chosen]
        for number, side in free:
            chosen[number] = (free[0][0], side)
    return tuple(chosen[number] for number in range(len(found)))


def _rounds(circuit: Sequence[stim.CircuitInstruction]) -> list[int]:
    """The round of each instruction: from tagged TICKs, else that of the next detector."""
    tagged = [each.name == "TICK" and each.tag == ROUND_TAG for each in circuit]
    if any(tagged):
        return [max(total - 1, 0) for total in itertools.accumulate(tagged)]
    last = next((int(each.gate_args_copy()[-1]) for each in reversed(circuit) if each.name == "DETECTOR"), 0)
    upcoming, backwards = last, []
    for each in reversed(circuit):
        if each.name == "DETECTOR":
            upcoming = int(each.gate_args_copy()[-1])
        backwards.append(upcoming)
    return backwards[::-1]


def is_passive(name: str) -> bool:
    """Return whether an instruction is noise or an annotation: nothing a qubit's owner does."""
    return _gate(name) == "passive"


def _classical(target: stim.GateTarget) -> bool:
    return bool(target.is_measurement_record_target or target.is_sweep_bit_target or target.is_combiner)


@cache
def _gate(name: str) -> str:
    gate = stim.gate_data(name)
    if gate.is_noisy_gate and not gate.produces_measurements:
        return "passive"
    if name in ("TICK", "DETECTOR", "OBSERVABLE_INCLUDE", "QUBIT_COORDS", "SHIFT_COORDS", "MPAD"):
        return "passive"
    return "two" if gate.is_unitary and gate.is_two_qubit_gate else "other"


def _check(each: stim.CircuitInstruction, at: int, qubits: Sequence[int], *, possible: bool, carried: bool) -> None:
    if not possible:
        reason = f"it acts on qubits {list(qubits)} of different nodes, and only two-qubit gates cross a link"
    elif not carried:
        reason = 'no single Bell pair carries it across; write it with CX or CZ, or take link="direct"'
    else:
        return
    raise UnsupportedOperation(operation=each.name, index=at, reason=reason)
