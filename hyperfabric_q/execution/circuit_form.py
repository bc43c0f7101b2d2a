"""When are two circuits the same computation? Their canonical form, hashed.

The form holds registers, bits and instructions in order, by index and number: no names of circuits, no identities of
objects, no version of Qiskit. Two circuits with the same form do the same; two that do the same may differ in form
(gates in another order), and are then taken to be different. A circuit with an instruction whose meaning is not known
here (classical expressions, unbound formulas) is told by its bytes instead, which may differ from one process to the
next: it can be missed in a store, never confused.
"""

from __future__ import annotations

import hashlib
from typing import Any, Final

import numpy as np
from qiskit import QuantumCircuit
from qiskit.circuit import (
    Clbit,
    ControlledGate,
    Gate,
    IfElseOp,
    Instruction,
    Parameter,
    ParameterExpression,
    WhileLoopOp,
)

_PLAIN_CLASSES: Final = frozenset({"Measure", "Reset", "Barrier", "UnitaryGate"})
_STANDARD: Final = "qiskit.circuit.library.standard_gates"
_MOST_INSTRUCTIONS: Final = 2_000_000


class _UnknownMeaning(Exception):
    """An instruction that is not told by name, numbers and definition."""


def circuit_form(circuit: QuantumCircuit, written: bytes) -> str:
    """Return the hash of a circuit's canonical form, 64 hexadecimal digits.

    Args:
        circuit: any.
        written: the circuit in any binary format, used where the form is not known.

    Cost: about 20 µs per instruction.
    """
    digest = hashlib.blake2b(digest_size=32)
    try:
        _Writer(digest).write(circuit)
    except _UnknownMeaning:
        digest = hashlib.blake2b(b"bytes" + written, digest_size=32)
    return digest.hexdigest()


class _Writer:
    """Writes circuits into one digest; definitions that many gates share are walked once."""

    def __init__(self, digest: Any) -> None:
        self.digest = digest
        self._known: dict[int, str] = {}
        self._kept: list[QuantumCircuit] = []  # a definition that is freed could give its id to another
        self._left = _MOST_INSTRUCTIONS

    def write(self, circuit: QuantumCircuit) -> None:
        """Write everything about a circuit but its name and metadata."""
        if getattr(circuit, "num_vars", 0) or getattr(circuit, "num_stretches", 0):
            raise _UnknownMeaning
        qubits = {bit: place for place, bit in enumerate(circuit.qubits)}
        clbits = {bit: place for place, bit in enumerate(circuit.clbits)}
        rows = [(row.name, [qubits[bit] for bit in row]) for row in circuit.qregs]
        rows += [(row.name, [clbits[bit] for bit in row]) for row in circuit.cregs]
        self._put("circuit", len(qubits), len(clbits), rows, _number(circuit.global_phase))
        for instruction in circuit.data:
            self._left -= 1
            if self._left < 0:
                raise _UnknownMeaning
            where = [qubits[bit] for bit in instruction.qubits], [clbits[bit] for bit in instruction.clbits]
            self._put(*where, *self._meaning(instruction.operation, clbits))

    def _put(self, *parts: object) -> None:
        # Every part is a number, a text or a list of these: its repr says where it ends.
        self.digest.update(repr(parts).encode())

    def _meaning(self, operation: Any, clbits: dict[Any, int]) -> tuple[object, ...]:
        if isinstance(operation, IfElseOp | WhileLoopOp):
            blocks = [self._shared(block) for block in operation.blocks]
            return operation.name, _condition(operation.condition, clbits), blocks
        if not isinstance(operation, Instruction):
            raise _UnknownMeaning
        kind = operation.base_class
        controls = operation.ctrl_state if isinstance(operation, ControlledGate) else None
        said = operation.name, operation.label, controls, operation.num_qubits, operation.num_clbits
        numbers = [_number(each) for each in operation.params]
        standard = kind.__module__.startswith(_STANDARD)
        if standard or (kind.__module__.startswith("qiskit.circuit") and kind.__name__ in _PLAIN_CLASSES):
            return *said, kind.__name__, numbers
        definition = operation.definition
        if definition is None and kind not in {Gate, Instruction}:
            raise _UnknownMeaning
        return *said, numbers, "opaque" if definition is None else self._shared(definition)

    def _shared(self, body: QuantumCircuit) -> str:
        known = self._known.get(id(body))
        if known is None:
            inner, outer = hashlib.blake2b(digest_size=32), self.digest
            self.digest = inner
            try:
                self.write(body)
            finally:
                self.digest = outer
            known = self._known[id(body)] = inner.hexdigest()
            self._kept.append(body)
        return known


def _number(value: Any) -> object:
    if isinstance(value, Parameter):
        return "parameter", value.name
    if isinstance(value, ParameterExpression):
        if value.parameters:
            raise _UnknownMeaning
        value = value.numeric()
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, np.ndarray) and value.dtype.kind in "biufc":
        return value.dtype.str, value.shape, np.ascontiguousarray(value).tobytes().hex()
    if isinstance(value, bool | int | float | complex | str):
        return value
    raise _UnknownMeaning


def _condition(condition: Any, clbits: dict[Any, int]) -> object:
    if not isinstance(condition, tuple):
        raise _UnknownMeaning
    target, value = condition
    bits = [target] if isinstance(target, Clbit) else list(target)
    if not all(bit in clbits for bit in bits):
        raise _UnknownMeaning
    return [clbits[bit] for bit in bits], int(value)
