"""Do two Clifford circuits act alike, one of them with measurement and feed-forward? Exact, for every branch.

Two circuits are equivalent when the stabilizer flows of "emitted, then the inverse of the original" are those of the
identity: X_q to +X_q and Z_q to +Z_q on every qubit, with no measurement record in between. A flow free of records
holds in every branch, so nothing is sampled. Wires that carry no input start in |0>, and wires that carry no output
are discarded: an entangled left-over copy breaks a flow.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import stim


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Whether two circuits are equivalent, and if not, one qubit and Pauli where they differ."""

    equivalent: bool
    qubit: int | None = None
    pauli: str | None = None

    def __str__(self) -> str:
        return "equivalent" if self.equivalent else f"{self.pauli} of qubit {self.qubit} is not preserved"


def equivalent(
    emitted: stim.Circuit,
    original: stim.Circuit,
    *,
    entry: Sequence[int],
    exit: Sequence[int],  # noqa: A002 - the field's word
) -> Verdict:
    """Return whether ``emitted`` does to its wires what ``original`` does to its qubits, in every measurement branch.

    Exact, with signs; about 0.1 s at 200 wires and 2 s at 2000 with few measurements, growing with both.

    Args:
        emitted: Clifford gates, measurement, reset and Pauli feed-forward.
        original: unitary Clifford gates on qubits 0..n-1.
        entry: wire that carries qubit q at the start; every other wire starts in |0>.
        exit: wire that carries qubit q at the end; every other wire is discarded.
    """
    width = 1 + max((*entry, *exit, emitted.num_qubits - 1), default=0)
    others_in = sorted(set(range(width)) - set(entry))
    others_out = sorted(set(range(width)) - set(exit))
    loop = stim.Circuit()
    loop.append("R", others_in)
    loop += emitted
    loop += relabel(original.inverse(), exit)
    loop.append("R", others_out)
    loop.append("I", [width - 1])
    wanted = [
        (qubit, pauli, _flow(pauli, entry[qubit], exit[qubit], width)) for qubit in range(len(entry)) for pauli in "XZ"
    ]
    generators = {str(flow) for flow in loop.flow_generators()}
    missing = [each for each in wanted if str(each[2]) not in generators]
    if not missing:
        return Verdict(equivalent=True)
    qubit, pauli = _first_difference(loop, missing, entry, exit)
    return Verdict(equivalent=qubit is None, qubit=qubit, pauli=pauli)


def relabel(circuit: stim.Circuit, wires: Sequence[int]) -> stim.Circuit:
    """Return a unitary circuit with qubit q moved to ``wires[q]``."""
    moved = stim.Circuit()
    for index in range(len(circuit)):
        instruction = circuit[index]
        if isinstance(instruction, stim.CircuitRepeatBlock):
            moved += relabel(instruction.body_copy(), wires) * instruction.repeat_count
            continue
        moved.append(instruction.name, [wires[target.value] for target in instruction.targets_copy()])
    return moved


def _flow(pauli: str, entry: int, exit_wire: int, width: int) -> stim.Flow:
    return stim.Flow(input=_one(pauli, entry, width), output=_one(pauli, exit_wire, width))


def _one(pauli: str, wire: int, width: int) -> stim.PauliString:
    string = stim.PauliString(width)
    string[wire] = pauli
    return string


def _first_difference(
    loop: stim.Circuit, missing: Iterable[tuple[int, str, stim.Flow]], entry: Sequence[int], exits: Sequence[int]
) -> tuple[int | None, str | None]:
    """Decide the flows that plain look-up did not find, since generators need not come out one qubit at a time.

    The unsigned check is exact up to sign and leaves no room for signs that depend on a measurement; two reference
    runs, on |+...+> and on |0...0>, then settle the signs.
    """
    for qubit, pauli, flow in missing:
        if not loop.has_flow(flow, unsigned=True):
            return qubit, pauli
    for pauli, prepare, measure in (("X", "RX", "MX"), ("Z", "R", "M")):
        run = stim.Circuit()
        run.append(prepare, entry)
        run += loop
        run.append(measure, exits)
        signs = run.reference_sample()[-len(exits) :]
        if signs.any():
            return int(signs.argmax()), pauli
    return None, None
