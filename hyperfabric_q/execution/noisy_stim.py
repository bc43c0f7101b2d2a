"""An emitted Clifford circuit and its errors as stim instructions.

Gates, Bell pairs and measurements become stim's own, errors its noise channels, and a Pauli gate under one classical
bit a Pauli controlled by the measurement record. Two things stim cannot write: a Pauli gate under several bits, and an
error of a gate that happens only when the gate does. These are left out of the stim circuit and listed, each with the
place where it belongs; ``late_paulis`` adds them shot by shot.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

import stim
from qiskit import QuantumCircuit

from hyperfabric_q.convert.operations import Kind, Operation, read
from hyperfabric_q.convert.stim import all_clifford, append_gate
from hyperfabric_q.distribution.local_figures import LocalFigures
from hyperfabric_q.errors import InvalidValue
from hyperfabric_q.execution.pauli_errors import (
    Test,
    check_pairs,
    decays,
    gate_error,
    named,
    pair_error,
    tests_of,
    twirled,
)
from hyperfabric_q.execution.run_noise import RunNoise

REMEDY: Final = "Let method='auto' choose, or take 'dynamic', 'channel' or 'mps'."


@dataclass(frozen=True, slots=True, kw_only=True)
class LatePauli:
    """Paulis at one place of the circuit in the shots whose record meets all ``tests``.

    Attributes:
        segment: it happens after this many segments of the circuit.
        records: how many measurements there were before.
        tests: on the measurements so far.
        wires: where.
        gate: x of each wire, then z of each: the gate itself; empty where it stands in the stim circuit.
        error: the chance that one of the other Paulis on the wires follows, all of them equally likely.
    """

    segment: int
    records: int
    tests: tuple[Test, ...]
    wires: tuple[int, ...]
    gate: tuple[bool, ...]
    error: float


@dataclass(frozen=True, slots=True, kw_only=True)
class NoisyStim:
    """A stim circuit in segments, and what has to be added to its records.

    Attributes:
        segments: the circuit, cut where a late Pauli belongs.
        late: what to add, in the order of the circuit.
        place: the last measurement written into each classical bit; bits never written are missing.
        wires: how many there are.
        decays: waits whose energy relaxation is not a Pauli channel, and stands here as its twirl.
    """

    segments: tuple[stim.Circuit, ...]
    late: tuple[LatePauli, ...]
    place: dict[int, int]
    wires: int
    decays: int

    def circuit(self) -> stim.Circuit:
        """Return all segments as one circuit."""
        whole = stim.Circuit()
        for segment in self.segments:
            whole += segment
        return whole

    def operations(self) -> int:
        """Return how many targets the instructions have in all, errors included."""
        return sum(len(step.targets_copy()) for segment in self.segments for step in plain(segment))


def plain(circuit: stim.Circuit) -> Iterator[stim.CircuitInstruction]:
    """Yield the instructions of a stim circuit without loops."""
    for index in range(len(circuit)):
        if isinstance(step := circuit[index], stim.CircuitInstruction):
            yield step


def noisy_stim(circuit: QuantumCircuit, noise: RunNoise, figures: LocalFigures) -> NoisyStim:
    """Return an emitted circuit with its errors for stim; O(instructions), about 10 us each.

    Args:
        circuit: what runs; an instruction's index is that in its data.
        noise: the errors; waits before an instruction come before it, in the order of ``noise.idles``.
        figures: the nodes' errors, used when ``noise.local``.

    Raises:
        InvalidValue: an instruction is not Clifford, or a gate under a condition is no Pauli; it is named.
    """
    writer = _Writer(circuit=circuit, noise=noise, figures=figures)
    for operation in read(circuit):
        writer.write(operation)
    return writer.finished(len(circuit.data))


def first_obstacle(circuit: QuantumCircuit) -> str | None:
    """Return what keeps stim from running a circuit, naming the instruction; None when it can."""
    return next((reason for each in read(circuit) if (reason := _obstacle(circuit, each)) is not None), None)


@dataclass(slots=True, kw_only=True)
class _Writer:
    circuit: QuantumCircuit
    noise: RunNoise
    figures: LocalFigures
    segment: stim.Circuit = field(default_factory=stim.Circuit)
    segments: list[stim.Circuit] = field(default_factory=list)
    late: list[LatePauli] = field(default_factory=list)
    place: dict[int, int] = field(default_factory=dict)
    records: int = 0
    pairs: int = 0
    waits: int = 0
    decays: int = 0

    def write(self, operation: Operation) -> None:
        self._wait(operation.index)
        if operation.kind is Kind.PAIR:
            self._pair(operation)
        elif operation.kind is Kind.RESET:
            self.segment.append("R", operation.wires)
        elif operation.kind is Kind.MEASURE and operation.bit is not None:
            # The record is flipped and not the qubit, so whatever reads the bit is misled and the qubit is not.
            wrong = self.figures.readout_error(operation.wires[0]) if self.noise.local else 0.0
            self.segment.append("M", operation.wires, wrong)
            self.place[operation.bit] = self.records
            self.records += 1
        else:
            reason = _obstacle(self.circuit, operation)
            if reason is not None:
                raise InvalidValue(field="method", value="clifford", rule=reason, remedy=REMEDY)
            self._gate(operation)

    def finished(self, instructions: int) -> NoisyStim:
        self._wait(instructions)
        check_pairs(self.noise, self.pairs)
        return NoisyStim(
            segments=(*self.segments, self.segment),
            late=tuple(self.late),
            place=self.place,
            wires=self.circuit.num_qubits,
            decays=self.decays,
        )

    def _wait(self, instruction: int) -> None:
        while self.waits < len(self.noise.idles) and self.noise.idles[self.waits].before <= instruction:
            idle = self.noise.idles[self.waits]
            self.waits += 1
            self._channel(twirled(idle), idle.wire)
            self.decays += decays(idle)

    def _channel(self, weights: Sequence[float], wire: int) -> None:
        if any(weights[1:]):
            self.segment.append("PAULI_CHANNEL_1", [wire], weights[1:])

    def _pair(self, operation: Operation) -> None:
        self.segment.append("H", operation.wires[:1])
        self.segment.append("CX", operation.wires)
        self._channel(pair_error(self.noise, self.pairs), operation.wires[1])
        self.pairs += 1

    def _gate(self, operation: Operation) -> None:
        error = gate_error(operation, self.figures) if self.noise.local else 0.0
        if not operation.condition:
            for name, targets in _steps(operation) or ():
                self.segment.append(name, [operation.wires[target] for target in targets])
            if error:
                self.segment.append(f"DEPOLARIZE{len(operation.wires)}", operation.wires, error)
            return
        tests = tests_of(operation.condition, self.place)
        if tests is None:
            return
        gate = pauli_of(operation) or ()
        if any(gate) and len(tests) <= 1 and all(len(test.records) == 1 for test in tests):
            self._fed_forward(operation, gate, tests)
            gate = ()
        if any(gate) or (error and tests):
            self.segments.append(self.segment)
            self.segment = stim.Circuit()
            self.late.append(
                LatePauli(
                    segment=len(self.segments),
                    records=self.records,
                    tests=tests,
                    wires=operation.wires,
                    gate=gate if any(gate) else (),
                    error=error,
                )
            )
        elif error:
            self.segment.append(f"DEPOLARIZE{len(operation.wires)}", operation.wires, error)

    def _fed_forward(self, operation: Operation, gate: tuple[bool, ...], tests: tuple[Test, ...]) -> None:
        """Write a Pauli under at most one bit of the record."""
        always = not tests or tests[0].values[0] != tests[0].holds
        for name, flips in (("X", gate[: len(operation.wires)]), ("Z", gate[len(operation.wires) :])):
            for wire in (wire for wire, flip in zip(operation.wires, flips, strict=True) if flip):
                if always:
                    self.segment.append(name, [wire])
                for test in tests:
                    self.segment.append(f"C{name}", [stim.target_rec(test.records[0] - self.records), wire])


def _obstacle(circuit: QuantumCircuit, operation: Operation) -> str | None:
    if operation.kind is not Kind.GATE:
        return None
    if _steps(operation) is None:
        reason = "is not a Clifford gate"
    elif operation.condition and pauli_of(operation) is None:
        reason = "stands under a classical condition and is not a Pauli gate"
    else:
        return None
    return f"it runs Clifford circuits with Pauli feed-forward, and {named(circuit, operation)} {reason}"


Steps = tuple[tuple[str, tuple[int, ...]], ...]


def _steps(operation: Operation) -> Steps | None:
    """The stim instructions of a gate on targets 0, 1, ...; None when it is not Clifford."""
    if operation.gate is not None:
        return _written(operation)
    return _named_steps(operation.name, operation.params, len(operation.wires))


@lru_cache(maxsize=65536)
def _named_steps(name: str, params: tuple[float, ...], qubits: int) -> Steps | None:
    return _written(Operation(Kind.GATE, name, tuple(range(qubits)), params=params))


def _written(operation: Operation) -> Steps | None:
    local = Operation(
        Kind.GATE, operation.name, tuple(range(len(operation.wires))), params=operation.params, gate=operation.gate
    )
    if not all_clifford([local]):
        return None
    circuit = stim.Circuit()
    append_gate(circuit, local)
    return tuple(
        (step.name, tuple(target.value for target in group))
        for step in plain(circuit)
        for group in step.target_groups()
    )


def pauli_of(operation: Operation) -> tuple[bool, ...] | None:
    """The x and then the z of a gate on its wires, up to phase; None when it is no Pauli."""
    steps = _steps(operation)
    return None if steps is None else _pauli_steps(steps, len(operation.wires))


@lru_cache(maxsize=4096)
def _pauli_steps(steps: Steps, qubits: int) -> tuple[bool, ...] | None:
    circuit = stim.Circuit()
    circuit.append("I", range(qubits))
    for name, targets in steps:
        circuit.append(name, targets)
    try:
        xs, zs = circuit.to_tableau().to_pauli_string().to_numpy()
    except ValueError:
        return None
    return tuple(bool(each) for each in (*xs, *zs))
