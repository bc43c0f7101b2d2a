"""How likely is each value of a circuit's classical bits, without noise?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain

import numpy as np
from numpy.typing import NDArray
from qiskit import QuantumCircuit

from hyperfabric_q.convert.operations import Kind, Operation, read
from hyperfabric_q.simulate.branches import MAX_WIRES, Branch, branches
from hyperfabric_q.simulate.order import best_order


def probabilities(circuit: QuantumCircuit, *, max_wires: int = MAX_WIRES, floor: float = 1e-14) -> dict[str, float]:
    """Return the exact distribution over the classical bits, including mid-circuit measurement and feed-forward.

    Keys are Qiskit's count keys: last register first, registers separated by spaces, bit 0 of each on the right. Bits
    of no register form one more register, after all others. Final measurements do not branch: they are read off the
    state.

    Args:
        circuit: any circuit ``convert.operations.read`` understands; it starts in |0...0>.
        max_wires: bound on the qubits alive at once.
        floor: outcomes less likely than this are left out.

    Raises:
        SimulationRefused: more qubits or branches than the bounds allow.
    """
    operations = read(circuit)
    body, final = split_final_measurements(operations)
    touched = {wire for operation in body for wire in operation.wires}
    measured = {operation.wires[0]: operation.bit for operation in final if operation.wires[0] in touched}
    kept = sorted({operation.bit for operation in body if operation.bit is not None})
    wires = tuple(measured)
    spell = _Key(circuit)
    found: dict[str, float] = {}
    for branch in branches(best_order(body, keep_bits=kept), outputs=wires, keep_bits=kept, max_wires=max_wires):
        memory = dict(zip(kept, branch.bits, strict=True))
        for operation in final:
            memory[operation.bit] = 0  # type: ignore[index]  # a measurement has a bit
        for outcome, weight in _outcomes(branch, floor):
            memory.update((bit, outcome >> place & 1) for place, bit in enumerate(measured.values()))  # type: ignore[misc]
            key = spell(memory)
            found[key] = found.get(key, 0.0) + weight
    return found


def split_final_measurements(
    operations: Sequence[Operation],
) -> tuple[tuple[Operation, ...], tuple[Operation, ...]]:
    """Return the operations before, and the measurements after which neither their wire nor their bit is used again."""
    used_wires: set[int] = set()
    used_bits: set[int] = set()
    body: list[Operation] = []
    final: list[Operation] = []
    for operation in reversed(operations):
        bits = set(operation.reads) | ({operation.bit} if operation.bit is not None else set())
        last = operation.kind is Kind.MEASURE and operation.wires[0] not in used_wires and used_bits.isdisjoint(bits)
        (final if last else body).append(operation)
        used_wires.update(operation.wires)
        used_bits.update(bits)
    return tuple(body[::-1]), tuple(final[::-1])


def _outcomes(branch: Branch, floor: float) -> Iterator[tuple[int, float]]:
    weights: NDArray[np.float64] = branch.probability * np.sum(np.abs(branch.state) ** 2, axis=1)
    for outcome in np.flatnonzero(weights > floor):
        yield int(outcome), float(weights[outcome])


class _Key:
    """Spells the values of the classical bits of one circuit as a count key."""

    def __init__(self, circuit: QuantumCircuit) -> None:
        number = {bit: index for index, bit in enumerate(circuit.clbits)}
        registers = [[number[bit] for bit in register] for register in circuit.cregs]
        owned = set(chain.from_iterable(registers))
        loose = [index for index in range(len(number)) if index not in owned]
        registers += [loose] if loose else []
        self._rows = [register[::-1] for register in reversed(registers)]

    def __call__(self, memory: dict[int, int]) -> str:
        return " ".join("".join(str(memory.get(bit, 0)) for bit in row) for row in self._rows)
