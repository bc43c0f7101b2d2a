"""A Qiskit circuit as a flat list of operations: what every exact simulator and checker of ours reads.

Four kinds are left: a unitary gate (perhaps under a classical condition), a measurement, a reset, and a Bell pair.
Composite gates are followed down to one- and two-qubit gates; barriers, delays and directives are dropped, because they
do not act on the state.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from functools import lru_cache
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from qiskit import QuantumCircuit
from qiskit.circuit import ClassicalRegister, Clbit

from hyperfabric_q.errors import InvalidValue, UnsupportedOperation

Matrix: TypeAlias = NDArray[np.complex128]

_IGNORED = frozenset({"barrier", "delay", "global_phase", "id"})
_MAX_OPERATIONS = 10_000_000
_MAX_DEPTH = 200
_MAX_OPAQUE_QUBITS = 6


class Kind(Enum):
    """What an operation does."""

    GATE = "gate"
    MEASURE = "measure"
    RESET = "reset"
    PAIR = "pair"


@dataclass(frozen=True, slots=True)
class Clause:
    """One test on classical bits: the number they spell equals ``value``, or does not when ``holds`` is False.

    ``bits[0]`` is the lowest digit.
    """

    bits: tuple[int, ...]
    value: int
    holds: bool = True

    def met(self, memory: Mapping[int, int]) -> bool:
        """Return whether the clause is met; a bit that was never written reads 0."""
        number = sum(memory.get(bit, 0) << place for place, bit in enumerate(self.bits))
        return (number == self.value) == self.holds


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation on wires, numbered as in ``circuit.qubits``.

    Attributes:
        kind: what it does.
        name: Qiskit's name of the gate.
        wires: the wires it acts on, in Qiskit's order.
        params: its angles in radians; empty for gates given by a matrix.
        bit: the classical bit a measurement writes.
        condition: all clauses must be met for the gate to act.
        index: number of the instruction in the circuit it was read from.
        gate: Qiskit's gate, when ``name`` and ``params`` do not say it all.
    """

    kind: Kind
    name: str
    wires: tuple[int, ...]
    params: tuple[float, ...] = ()
    bit: int | None = None
    condition: tuple[Clause, ...] = ()
    index: int = -1
    gate: Any = field(default=None, compare=False)

    @property
    def reads(self) -> tuple[int, ...]:
        """The classical bits the condition depends on."""
        if not self.condition:
            return ()
        return tuple(dict.fromkeys(bit for clause in self.condition for bit in clause.bits))

    def matrix(self) -> Matrix:
        """Return the unitary, shape (2^k, 2^k), the first wire being the lowest bit of the index (Qiskit's order)."""
        if self.name == "u" and len(self.params) == 3:
            theta, phi, lam = self.params
            cos, sin = np.cos(theta / 2), np.sin(theta / 2)
            return np.array([[cos, -np.exp(1j * lam) * sin], [np.exp(1j * phi) * sin, np.exp(1j * (phi + lam)) * cos]])
        if self.gate is None:
            return _fixed(self.name, self.params)
        return np.asarray(self.gate.to_matrix(), dtype=np.complex128)


def read(circuit: QuantumCircuit) -> tuple[Operation, ...]:
    """Return the operations of ``circuit`` in order; O(gates) after composite gates are expanded.

    Raises:
        InvalidValue: parameters are unbound.
        UnsupportedOperation: classical control other than if_test with unitary bodies, or a gate that has neither
            a matrix nor a definition.
    """
    wires = {qubit: index for index, qubit in enumerate(circuit.qubits)}
    bits = {clbit: index for index, clbit in enumerate(circuit.clbits)}
    operations: list[Operation] = []
    for operation in _walk(circuit, _Frame(wires=wires, bits=bits)):
        operations.append(operation)
        if len(operations) > _MAX_OPERATIONS:
            reason = f"the circuit expands to more than {_MAX_OPERATIONS:,} operations"
            raise UnsupportedOperation(operation=operation.name, index=operation.index, reason=reason)
    return tuple(operations)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Frame:
    """What the bits of a circuit, if_test body or definition stand for in the outermost circuit."""

    wires: Mapping[Any, int]
    bits: Mapping[Any, int]
    condition: tuple[Clause, ...] = ()
    index: int | None = None
    depth: int = 0

    def inner(self, block: Any, instruction: Any, index: int) -> _Frame:
        """Return the frame of a body or definition of ``instruction``."""
        if self.depth >= _MAX_DEPTH:
            raise UnsupportedOperation(
                operation=instruction.name, index=index, reason="its definitions nest too deeply"
            )
        wires = {inner: self.wires[outer] for inner, outer in zip(block.qubits, instruction.qubits, strict=True)}
        bits = {inner: self.bits[outer] for inner, outer in zip(block.clbits, instruction.clbits, strict=True)}
        return replace(self, wires=wires, bits={**self.bits, **bits}, index=index, depth=self.depth + 1)


def _walk(circuit: Any, frame: _Frame) -> Iterator[Operation]:
    for position, instruction in enumerate(circuit.data):
        name = instruction.name
        index = position if frame.index is None else frame.index
        if name in _IGNORED:
            continue
        wires = tuple([frame.wires[qubit] for qubit in instruction.qubits])
        if instruction.is_standard_gate() and len(wires) <= 2:
            angles = _angles(instruction, index)
            yield Operation(Kind.GATE, name, wires, params=angles, condition=frame.condition, index=index)
        elif name in ("measure", "reset") and len(wires) == 1:
            _refuse_condition(name, frame, index)
            bit = frame.bits[instruction.clbits[0]] if name == "measure" else None
            yield Operation(Kind(name), name, wires, bit=bit, index=index)
        elif name == "if_else":
            yield from _conditional(instruction, frame, index)
        elif not getattr(instruction.operation, "_directive", False):
            yield from _composite(instruction, wires, frame, index)


def _conditional(instruction: Any, frame: _Frame, index: int) -> Iterator[Operation]:
    clause = _clause(instruction.operation, frame.bits, index)
    for block, holds in zip(instruction.operation.blocks, (True, False), strict=False):
        condition = (*frame.condition, Clause(clause.bits, clause.value, holds))
        yield from _walk(block, replace(frame.inner(block, instruction, index), condition=condition))


def _composite(instruction: Any, wires: tuple[int, ...], frame: _Frame, index: int) -> Iterator[Operation]:
    operation, name = instruction.operation, instruction.name
    if name == "bell_pair" and len(wires) == 2 and _makes_pair(operation):
        _refuse_condition(name, frame, index)
        yield Operation(Kind.PAIR, name, wires, index=index)
        return
    _refuse_control_flow(instruction, index)
    as_matrix = Operation(Kind.GATE, name, wires, condition=frame.condition, index=index, gate=operation)
    has_matrix = not instruction.clbits and _has_matrix(operation)
    if has_matrix and len(wires) <= 2:
        yield as_matrix
    elif (definition := getattr(operation, "definition", None)) is not None:
        yield from _walk(definition, frame.inner(definition, instruction, index))
    elif has_matrix:
        yield as_matrix
    else:
        raise UnsupportedOperation(operation=name, index=index, reason="it has neither a matrix nor a definition")


def _refuse_condition(name: str, frame: _Frame, index: int) -> None:
    if frame.condition:
        raise UnsupportedOperation(operation=name, index=index, reason="it stands inside an if_test")


def _refuse_control_flow(instruction: Any, index: int) -> None:
    if instruction.is_control_flow():
        reason = "of classical control only if_test with unitary bodies is understood"
        raise UnsupportedOperation(operation=instruction.name, index=index, reason=reason)


def _angles(instruction: Any, index: int) -> tuple[float, ...]:
    try:
        angles = tuple([float(angle) for angle in instruction.params])
    except TypeError as fault:
        raise InvalidValue(
            field=f"parameters of {instruction.name!r} (instruction {index})",
            value=[str(each) for each in instruction.params],
            rule="they are not bound to numbers",
            remedy="Bind them first: circuit.assign_parameters({...}).",
        ) from fault
    if any(not math.isfinite(angle) for angle in angles):
        field = f"angle of {instruction.name!r} (instruction {index})"
        raise InvalidValue(field=field, value=angles, rule="it must be finite")
    return angles


def _clause(operation: Any, bits: Mapping[Any, int], index: int) -> Clause:
    condition = operation.condition
    if isinstance(condition, tuple):
        target, value = condition
        if isinstance(target, Clbit):
            return Clause((bits[target],), int(value))
        if isinstance(target, ClassicalRegister):
            return Clause(tuple(bits[bit] for bit in target), int(value))
    raise UnsupportedOperation(
        operation="if_else", index=index, reason="only a classical bit or register compared with a number can be tested"
    )


def _makes_pair(operation: Any) -> bool:
    definition = getattr(operation, "definition", None)
    if definition is None or definition.num_qubits != 2:
        return False
    first, second = definition.qubits
    steps = [(inner.name, tuple(inner.qubits)) for inner in definition.data]
    return steps == [("h", (first,)), ("cx", (first, second))]


def _has_matrix(operation: Any) -> bool:
    if operation.num_qubits > _MAX_OPAQUE_QUBITS or not hasattr(operation, "to_matrix"):
        return False
    try:
        operation.to_matrix()
    except Exception:  # Qiskit raises several types, some private, when a gate has no matrix
        return False
    return True


@lru_cache(maxsize=4096)
def _fixed(name: str, params: tuple[float, ...]) -> Matrix:
    """The matrix of a gate of Qiskit's standard library, by its name."""
    if name in ("p", "u1"):
        matrix = np.diag([1.0, np.exp(1j * params[0])])
    elif name in ("cp", "cu1"):
        matrix = np.diag([1.0, 1.0, 1.0, np.exp(1j * params[0])])
    else:
        matrix = np.asarray(_standard_gates()[name](*params).to_matrix(), dtype=np.complex128)
    matrix.setflags(write=False)
    return matrix


@lru_cache(maxsize=1)
def _standard_gates() -> Mapping[str, Any]:
    from qiskit.circuit.library import get_standard_gate_name_mapping  # noqa: PLC0415 - slow to import, rarely needed

    return {name: type(gate) for name, gate in get_standard_gate_name_mapping().items()}
