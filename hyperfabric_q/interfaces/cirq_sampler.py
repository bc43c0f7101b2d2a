"""Cirq's sampler on a fabric: ``FabricCirqSampler`` where ``cirq.Simulator`` stood.

A sweep is one array of bindings. The program is converted once, with a mark in the place of each expression of symbols:
a number like no other, which is found again in the Qiskit circuit and becomes a parameter there. So what the converter
knows, classical control and keys of all kinds, holds for programs with symbols too.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import cirq
import numpy as np
from numpy.typing import NDArray
from qiskit import QuantumCircuit
from qiskit.circuit import CircuitInstruction, Parameter

from hyperfabric_q.convert import from_cirq
from hyperfabric_q.errors import InvalidValue
from hyperfabric_q.interfaces.angles import Floats
from hyperfabric_q.interfaces.expectations import lines_of
from hyperfabric_q.interfaces.facts import facts_of
from hyperfabric_q.interfaces.front import Front, binding_seed, structure
from hyperfabric_q.interfaces.job import Steps
from hyperfabric_q.interfaces.options import FabricLike, FabricOptions, known_shots
from hyperfabric_q.interfaces.planned import Planned
from hyperfabric_q.interfaces.samples import Drawn, drawn
from hyperfabric_q.seeds import stream

_POWERS: Final = (
    cirq.XPowGate,
    cirq.YPowGate,
    cirq.ZPowGate,
    cirq.CZPowGate,
    cirq.XXPowGate,
    cirq.YYPowGate,
    cirq.ZZPowGate,
)
"""Gates whose exponent becomes one angle of one Qiskit gate, pi times as large."""

_PLACE: Final = re.compile(r"(.+)\[([0-9]+)\]", re.DOTALL)
_CLOSE: Final = 1e-9


class FabricResult(cirq.ResultDict):
    """Records of one binding of a sweep, and ``metadata`` of how they were taken."""

    def __init__(
        self, *, params: cirq.ParamResolver, records: dict[str, NDArray[np.uint8]], metadata: dict[str, Any]
    ) -> None:
        """Take records of shape (repetitions, 1, bits) by measurement key."""
        super().__init__(params=params, records=records)
        self.metadata = metadata


class FabricCirqSampler(cirq.Sampler):
    """Samples Cirq programs that are distributed over the nodes of a fabric."""

    def __init__(self, fabric: FabricLike, *, options: FabricOptions | None = None) -> None:
        """Take a fabric, or a protocol, whose fabric counts as it stands at each run; None = default options."""
        self._front = Front(fabric, options)

    @property
    def options(self) -> FabricOptions:
        """The options; repetitions are always those of the call."""
        return self._front.options

    def run_sweep(
        self, program: cirq.AbstractCircuit, params: cirq.Sweepable, repetitions: int = 1
    ) -> Sequence[cirq.Result]:
        """Return the records of a program for each set of values of its symbols.

        Args:
            program: with at least one measurement.
            params: values of all its symbols.
            repetitions: shots of each.

        Raises:
            InvalidValue: nothing is measured, a symbol has no number, or the repetitions are out of range.
            UnsupportedOperation: what the converter does not carry over, such as noise and keys that are used twice.
        """
        shots = known_shots(repetitions)
        keys = _key_sizes(program)
        if shots is None or not keys:
            raise InvalidValue(field="program", value=str(program)[:80], rule="a program measures at least one qubit")
        resolvers = list(cirq.to_resolvers(params))
        seed = self._front.run_seed()
        marked = _marked(program)
        if marked is not None:
            bindings = np.array([marked.values(each) for each in resolvers]).reshape(len(resolvers), -1)
            return self._sweep(marked.circuit, bindings, resolvers, keys, shots, seed, range(len(resolvers)), "")
        results: list[cirq.Result] = []
        for row, each in enumerate(resolvers):
            circuit = from_cirq(cirq.resolve_parameters(program, each))
            note = "each binding planned on its own: a symbol stands where it is not one angle"
            results += self._sweep(circuit, np.zeros((1, 0)), [each], keys, shots, seed, [row], note)
        return results

    def _sweep(
        self,
        circuit: QuantumCircuit,
        bindings: Floats,
        resolvers: Sequence[cirq.ParamResolver],
        keys: dict[str, int],
        shots: int,
        seed: int,
        rows: Sequence[int],
        note: str,
    ) -> list[cirq.Result]:
        planned = self._front.planned(circuit, structure(circuit))
        lines = lines_of(planned, shots=shots, precision=None, seed=seed)
        own = [binding_seed(seed, row) for row in rows]
        found = drawn(planned, bindings, shots=shots, lines=lines, seeds_of=own, steps=Steps("cirq", len(resolvers)))
        notes = tuple(each for each in (note, planned.unbound) if each)
        facts = facts_of(planned, lines)
        results: list[cirq.Result] = []
        for row, each in enumerate(resolvers):
            metadata = facts.metadata(
                shots=shots,
                circuits=1,
                way=", ".join(found.ways),
                noise=self.options.noise,
                seed=own[row],
                fallbacks=notes,
                approximations=tuple(found.approximations),
            )
            records = _records(planned, found, row, keys)
            results.append(FabricResult(params=each, records=records, metadata=metadata))
        return results


def _key_sizes(program: cirq.AbstractCircuit) -> dict[str, int]:
    sizes: dict[str, int] = {}
    for operation in program.all_operations():
        for part in _measurements(operation):
            sizes[cirq.measurement_key_name(part)] = len(part.qubits)
    return sizes


def _measurements(operation: cirq.Operation) -> list[cirq.Operation]:
    bare = operation.without_classical_controls().untagged
    if isinstance(bare, cirq.CircuitOperation):
        return [part for each in cirq.decompose_once(bare) for part in _measurements(each)]
    return [operation] if isinstance(bare.gate, cirq.MeasurementGate) else []


def _records(planned: Planned, found: Drawn, row: int, keys: dict[str, int]) -> dict[str, NDArray[np.uint8]]:
    """Return the records by key: a key is a register, or as ``c[2]`` a bit of one."""
    columns: dict[str, NDArray[np.uint8]] = {}
    for name, size in found.registers:
        if size:
            columns[name] = np.unpackbits(found.bits[name][row], axis=-1)[:, ::-1][:, :size]
    records = {}
    for key, size in keys.items():
        match = _PLACE.fullmatch(key)
        if key in columns and columns[key].shape[1] == size:
            bits = columns[key]
        elif match and match[1] in columns:
            place = int(match[2])
            bits = columns[match[1]][:, place : place + 1]
        else:
            raise InvalidValue(field="program", value=key, rule=f"its key has no register in {planned.circuit.name!r}")
        records[key] = np.ascontiguousarray(bits)[:, None, :]
    return records


# --------------------------------------------------------------------------------------------------------------- marks


@dataclass(frozen=True, slots=True)
class _Marked:
    """A program as a Qiskit circuit with a parameter for each expression, in the order of ``circuit.parameters``."""

    circuit: QuantumCircuit
    expressions: tuple[Any, ...]

    def values(self, resolver: cirq.ParamResolver) -> list[float]:
        """Return the values of the parameters."""
        found = []
        for expression in self.expressions:
            value = resolver.value_of(expression)
            try:
                number = math.pi * float(value)
            except TypeError:
                raise InvalidValue(
                    field="params", value=str(expression), rule="every symbol of the program needs a number"
                ) from None
            found.append(number)
        return found


def _marked(program: cirq.AbstractCircuit) -> _Marked | None:
    """Return a program with marks in the place of its symbols; None where a symbol is not one angle of one gate."""
    expressions: list[Any] = []
    marks: list[float] = []
    rng = stream(0, "marks")
    moments: list[Any] = []
    for moment in program:
        operations: list[cirq.Operation] = []
        for operation in moment.operations:
            parts = _powers(operation) if cirq.is_parameterized(operation) else [operation]
            if parts is None:
                return None
            for part in parts:
                if not cirq.is_parameterized(part):
                    operations.append(part)
                    continue
                gate: Any = part.gate
                marks.append(float(rng.uniform(0.2, 0.8)))
                expressions.append(gate.exponent)
                base = next(each for each in _POWERS if isinstance(gate, each))
                same: Any = base(exponent=marks[-1], global_shift=gate.global_shift)
                operations.append(same.on(*part.qubits))
        moments.append(operations)
    circuit = from_cirq(cirq.Circuit(moments), qubit_order=sorted(program.all_qubits()))
    found = _with_parameters(circuit, marks)
    return None if found is None else _Marked(found, tuple(expressions))


def _powers(operation: cirq.Operation) -> list[cirq.Operation] | None:
    """Return an operation with symbols as powers and operations without; None where that cannot be."""
    if operation.classical_controls or isinstance(operation.untagged, cirq.CircuitOperation):
        return None

    def kept(each: cirq.Operation) -> bool:
        return isinstance(each.gate, _POWERS) if cirq.is_parameterized(each) else True

    parts: list[cirq.Operation] = cirq.decompose(operation.untagged, keep=kept, on_stuck_raise=None)
    return parts if all(kept(each) and not each.classical_controls for each in parts) else None


def _with_parameters(circuit: QuantumCircuit, marks: Sequence[float]) -> QuantumCircuit | None:
    """Return the circuit with a parameter in the place of each mark; None where one is not found exactly once."""
    digits = len(str(len(marks)))
    parameters = [Parameter(f"symbol_{number:0{digits}d}") for number in range(len(marks))]
    angles = np.array(marks) * math.pi
    seen = [0] * len(marks)
    for place, instruction in enumerate(circuit.data if marks else ()):
        params = list(instruction.operation.params)
        if len(params) != 1 or not isinstance(params[0], float):
            continue
        near = np.flatnonzero(np.abs(angles - params[0]) < _CLOSE)
        if len(near):
            seen[near[0]] += 1
            gate = instruction.operation.to_mutable()
            gate.params = [parameters[near[0]]]
            circuit.data[place] = CircuitInstruction(gate, instruction.qubits)
    # A phase of the whole program, which no outcome depends on, may hold a mark as well.
    circuit.global_phase = 0.0
    return circuit if all(count == 1 for count in seen) else None
