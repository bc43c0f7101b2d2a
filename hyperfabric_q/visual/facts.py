"""What every picture of a plan says: its nodes, its links, and why it costs what it costs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from hyperfabric_q.distribution.program import Kind

if TYPE_CHECKING:
    from hyperfabric_q.distribution.plan import Packet, Plan

MEANING: Final[Mapping[str, str]] = {
    "proved": "the distributed circuit equals yours for every input and whatever its measurements read",
    "skeleton": "strong evidence, no proof: checked exactly with Clifford stand-ins for your gates",
    "sampled": "evidence, no proof: checked on randomly drawn inputs and measurement outcomes",
    "skipped": "nothing was checked; whether the distributed circuit equals yours is not known",
}
"""What each verification label claims, in words."""

LONGEST_NAME: Final = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeRow:
    """One QPU node of a plan: its size, and what the plan uses of it.

    ``data`` is None for a node whose data qubits are not stated, ``limit`` for one without a limit of communication
    qubits.
    """

    node_id: str
    qubits: tuple[int, ...]
    data: int | None
    peak: int
    limit: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkRow:
    """One quantum link and the Bell pairs that the plan takes from it."""

    a: str
    b: str
    ebits: int
    pair_fidelity: float


def node_rows(plan: Plan) -> tuple[NodeRow, ...]:
    """Return the QPU nodes of the fabric in its order, idle ones included."""
    held: dict[str, list[int]] = {node.node_id: [] for node in plan.fabric.qpu_nodes}
    for qubit, home in enumerate(plan.homes):
        held[home].append(qubit)
    return tuple(
        NodeRow(
            node_id=node.node_id,
            qubits=tuple(held[node.node_id]),
            data=node.data_qubits,
            peak=plan.peak_copies.get(node.node_id, 0),
            limit=node.communication_qubits,
        )
        for node in plan.fabric.qpu_nodes
    )


def link_rows(plan: Plan) -> tuple[LinkRow, ...]:
    """Return the quantum links between QPU nodes, those that carry most first; idle links last."""
    used = plan.ebits_per_link
    qpus = {node.node_id for node in plan.fabric.qpu_nodes}
    rows = [
        LinkRow(a=link.a, b=link.b, ebits=used.get((link.a, link.b), 0), pair_fidelity=link.pair_fidelity)
        for link in plan.fabric.quantum_links
        if link.pair_fidelity is not None and {link.a, link.b} <= qpus
    ]
    return tuple(sorted(rows, key=lambda row: -row.ebits))


def crossing_gates(plan: Plan) -> int:
    """Return how many two-qubit gates have their qubits on two different nodes, as they stand at the start."""
    program = plan.program
    _, index = np.unique(np.array(plan.homes, dtype=np.str_), return_inverse=True)
    gates = program.kind == Kind.CP
    return int(np.count_nonzero(index[program.first[gates]] != index[program.second[gates]]))


def headline(plan: Plan) -> str:
    """Return the plan in one line."""
    nodes = len(set(plan.homes))
    return (
        f"{printable(plan.circuit.name or 'circuit')}: {counted(plan.qubits, 'qubit')}, "
        f"{counted(plan.two_qubit_gates, 'two-qubit gate')} on {counted(nodes, 'QPU node')}: "
        f"{counted(plan.ebits, 'e-bit')}, {plan.equivalent}"
    )


def reasons(plan: Plan) -> tuple[str, ...]:
    """Return why the plan costs what it costs and why it may be trusted, one sentence each."""
    crossing = crossing_gates(plan)
    all_gates = counted(plan.two_qubit_gates, "two-qubit gate")
    if not plan.ebits:
        cost = f"None of the {all_gates} needs a Bell pair: no gate crosses between nodes."
    elif plan.moves:
        would = f"Where the qubits start, {crossing} of {all_gates} would cross between nodes"
        cost = f"{would}; {plan.moves} of {counted(plan.ebits, 'e-bit')} move qubits instead."
    elif not crossing:
        cost = f"No qubit pair of the {all_gates} lives on two nodes, and yet {counted(plan.ebits, 'e-bit')} are used."
    else:
        verb, them = ("crosses", "it") if crossing == 1 else ("cross", "them")
        serve = "serves" if plan.ebits == 1 else "serve"
        share = f"{crossing / plan.ebits:.1f}".removesuffix(".0")
        each = "" if plan.ebits == 1 else f", {share} {'gate' if share == '1' else 'gates'} each"
        cost = f"{crossing} of {all_gates} {verb} between nodes; {counted(plan.ebits, 'e-bit')} {serve} {them}{each}."
    swaps = sum(plan.swaps.values())
    inside = (f"On the coupled qubits of {counted(len(plan.swaps), 'chip')} that takes {counted(swaps, 'SWAP')}.",)
    return (
        cost,
        *(inside if plan.swaps else ()),
        f"Cheapest start: {plan.start}.",
        f"{plan.equivalent.capitalize()}: {MEANING[plan.equivalent]} ({plan.verification.detail}).",
        f"Seed {plan.seed} repeats this plan; it took {plan.seconds:.2f} s.",
    )


def packet_text(packet: Packet) -> str:
    """Return one e-bit and what it buys, in words."""
    does = [f"serves {counted(packet.gates, 'gate')}"] if packet.gates else []
    if packet.moves:
        does.append("moves the qubit")
    serves = " and ".join(does) or "passes the copy on"
    return f"q{packet.qubit}: {packet.source} → {packet.target}, {serves}"


def counted(number: int, noun: str) -> str:
    """Return ``number`` and ``noun``, in the plural where it must be.

    >>> counted(1, "e-bit"), counted(0, "e-bit")
    ('1 e-bit', '0 e-bits')
    """
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def printable(text: str, *, longest: int = LONGEST_NAME) -> str:
    """Return ``text`` on one line, without control characters, and at most ``longest`` characters long."""
    clean = "".join(each if each.isprintable() else "?" for each in str(text)[: 2 * longest])
    return clean if len(clean) <= longest else clean[: longest - 1] + "…"


def qubit_ranges(qubits: tuple[int, ...]) -> str:
    """Return qubits in ascending order, with three or more neighbours as a range.

    >>> qubit_ranges((0, 1, 2, 5, 7, 8))
    'q0-2 q5 q7 q8'
    """
    parts: list[str] = []
    start = 0
    for end in range(1, len(qubits) + 1):
        if end < len(qubits) and qubits[end] == qubits[end - 1] + 1:
            continue
        run = qubits[start:end]
        parts += [f"q{run[0]}-{run[-1]}"] if len(run) > 2 else [f"q{qubit}" for qubit in run]
        start = end
    return " ".join(parts)
