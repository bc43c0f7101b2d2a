"""How is each crossing of a circuit served?"""

from __future__ import annotations

from dataclasses import dataclass

from hyperfabric_q.mixing.choose import Candidate


@dataclass(frozen=True, slots=True, kw_only=True)
class Crossing:
    """How a crossing between nodes, or between parts, is served.

    Attributes:
        kind: "TeleGate", "TeleData", "gate cut" or "wire cut"; "assisted" before the first two where the errors of the
            pair are undone.
        where: the nodes or parts that it joins.
        what: qubits, by number.
        gamma: what it multiplies the standard error by.
    """

    kind: str
    where: tuple[str, ...]
    what: tuple[int, ...]
    gamma: float

    def __str__(self) -> str:
        qubits = ", ".join(map(str, self.what))
        told = f"{self.kind} of qubit {qubits}" if len(self.what) == 1 else f"{self.kind} of qubits {qubits}"
        price = f", gamma {self.gamma:.4g}" if self.gamma > 1 else ""
        return f"{told}: {' -- '.join(self.where)}{price}"


def cut_crossings(candidate: Candidate) -> list[Crossing]:
    """Return every cut."""
    cut, nodes = candidate.way.cut, candidate.way.nodes
    found = []
    index = {qubit: place for place, qubit in enumerate(cut.circuit.qubits)}
    for each in cut.cuts:
        ends = [cut.fragments[fragment] for fragment, _ in each.ends]
        where = tuple("+".join(nodes[fragment.part]) for fragment in ends)
        gamma = each.decomposition.gamma
        if each.decomposition.name.startswith("wire"):
            marker = ends[0].markers[each.ends[0][1]]
            qubit = ends[0].wires[marker.qubits[0]][0]
            found.append(Crossing(kind="wire cut", where=where, what=(qubit,), gamma=gamma))
        else:
            qubits = tuple(index[qubit] for qubit in cut.circuit.data[each.rows[0]].qubits)
            found.append(Crossing(kind="gate cut", where=where, what=qubits, gamma=gamma))
    return found


def pair_crossings(candidate: Candidate) -> list[Crossing]:
    """Return what every Bell pair is for, in one circuit of each fragment."""
    laws = candidate.laws
    found = []
    for staged in laws.first_staged():
        gammas = dict(zip(staged.links, laws.corrections(staged).gammas.tolist(), strict=True))
        for packet in staged.plan.packets:
            link = staged.plan.fabric.link(packet.source, packet.target)
            ends = (packet.source, packet.target) if link is None else link.ends
            assisted = "assisted " if ends in laws.cast.assisted else ""
            kind = assisted + ("TeleData" if packet.moves else "TeleGate")
            found.append(
                Crossing(
                    kind=kind,
                    where=(packet.source, packet.target),
                    what=(packet.qubit,),
                    gamma=gammas.get(ends, 1.0) if assisted else 1.0,
                )
            )
    return found
