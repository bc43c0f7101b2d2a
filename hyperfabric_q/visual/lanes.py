"""The run of a small plan as one lane per QPU node: Bell pairs in order, and the gates that run between them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from qiskit.circuit import ControlFlowOp

from hyperfabric_q.visual.facts import printable

if TYPE_CHECKING:
    from hyperfabric_q.distribution.plan import Plan

MOST_QUBITS: Final = 12
MOST_NODES: Final = 8
MOST_PAIRS: Final = 15
"""Wider pictures are harder to read than the list of packets."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """A Bell pair, and what ran since the one before it.

    Attributes:
        ends: the two nodes; empty for the stretch after the last pair.
        gates: the user's two-qubit gates since the pair before, by node.
        copies: nodes that held a copy while these gates ran, or hold one when the pair is made.
        held: nodes that hold a copy when the pair is made.
    """

    ends: frozenset[str]
    gates: Mapping[str, int]
    copies: frozenset[str]
    held: frozenset[str]


def draw_lanes(plan: Plan, *, width: int) -> list[str]:
    """Return the lanes as lines, or no line where the picture would not be readable."""
    nodes = [
        node.node_id for node in plan.fabric.qpu_nodes if plan.qubits_of(node.node_id) or plan.peak_copies[node.node_id]
    ]
    if not 0 < plan.ebits <= MOST_PAIRS or plan.qubits > MOST_QUBITS or len(nodes) > MOST_NODES:
        return []
    pairs = _pairs(plan)
    names = [printable(node) for node in nodes]
    longest = max(len(name) for name in (*names, "e-bit"))
    rows = ["", *[""] * len(nodes)]
    for number, pair in enumerate(pairs, start=1):
        cells = _gate_cells(nodes, pair) if number < len(pairs) or pair.gates else [""] * len(nodes)
        marks = _marks(nodes, pair)
        rows[0] += " " * len(cells[0]) + f"{number if pair.ends else '':^3}"
        for lane, (cell, mark) in enumerate(zip(cells, marks, strict=True), start=1):
            rows[lane] += cell + mark
    lines = ["order of events (● an end of a Bell pair, ═ a copy is held, numbers: two-qubit gates in between)"]
    lines += [f"  {name:<{longest}}  {row}".rstrip() for name, row in zip(["e-bit", *names], rows, strict=True)]
    return lines if max(len(line) for line in lines) <= width else []


def _gate_cells(nodes: Sequence[str], pair: Pair) -> list[str]:
    wide = max(len(str(pair.gates.get(node, 0))) for node in nodes)
    cells = []
    for node in nodes:
        wire = "═" if node in pair.copies else "─"
        count = pair.gates.get(node, 0)
        cells.append(wire + (str(count) if count else wire).rjust(wide, wire) + wire)
    return cells


def _marks(nodes: Sequence[str], pair: Pair) -> list[str]:
    if not pair.ends:
        return [""] * len(nodes)
    first, last = sorted(nodes.index(node) for node in pair.ends)
    marks = []
    for lane, node in enumerate(nodes):
        wire = "═" if node in pair.held else "─"
        passed = ("╪" if node in pair.held else "┼") if first < lane < last else wire
        marks.append(wire + ("●" if node in pair.ends else passed) + wire)
    return marks


def _pairs(plan: Plan) -> list[Pair]:
    """Walk through the emitted circuit and collect what happens before each Bell pair, and after the last."""
    lowered = plan.lowered
    circuit = lowered.circuit
    node = dict(zip(circuit.qubits, lowered.node_of, strict=True))
    communicates = {wire for register in circuit.qregs if register.name.endswith("_comm") for wire in register}
    held: Counter[str] = Counter()
    gates: Counter[str] = Counter()
    served: set[str] = set()
    found: list[Pair] = []

    def close(ends: frozenset[str]) -> None:
        holding = frozenset(name for name, count in held.items() if count)
        found.append(Pair(ends=ends, gates=dict(gates), copies=holding | served, held=holding))
        gates.clear()
        served.clear()

    for instruction in circuit.data:
        name, wires = instruction.operation.name, instruction.qubits
        if name == "bell_pair":
            ends = frozenset(node[wire] for wire in wires)
            close(ends)
            held.update(ends)
        elif name in {"measure", "swap"} and wires[0] in communicates:
            # On a chip, a qubit that moved here leaves its communication qubit by a swap.
            held[node[wires[0]]] -= 1
        elif _two_qubit(instruction.operation):
            at = node[wires[0]]
            gates[at] += 1
            if held[at]:
                served.add(at)
    close(frozenset())
    return found


def _two_qubit(operation: Any) -> bool:
    """Whether this is a two-qubit gate of the user's; the protocol's own are ``cx``."""
    if isinstance(operation, ControlFlowOp):
        return any(_two_qubit(inner.operation) for body in operation.blocks for inner in body.data)
    return operation.name in {"cz", "cp"}
