"""A tape of PennyLane as a Qiskit circuit with a parameter for each angle, and the numbers that go into it.

Tapes that differ in angles alone have one circuit, hence one plan. Qubit k is the k-th of the tape's wires.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final

import numpy as np
from qiskit import QuantumCircuit
from qiskit.circuit import Parameter
from qiskit.circuit.library import UnitaryGate
from qiskit.quantum_info import SparsePauliOp

from hyperfabric_q.errors import InvalidValue, MissingDependency, UnsupportedOperation
from hyperfabric_q.interfaces.angles import Floats
from hyperfabric_q.interfaces.front import structure

try:
    import pennylane as qml
except ImportError:
    raise MissingDependency(what="The device", package="pennylane", extra="pennylane") from None

TURNS: Final[Mapping[str, str]] = {
    "RX": "rx",
    "RY": "ry",
    "RZ": "rz",
    "PhaseShift": "p",
    "IsingXX": "rxx",
    "IsingYY": "ryy",
    "IsingZZ": "rzz",
    "CRX": "crx",
    "CRY": "cry",
    "CRZ": "crz",
    "ControlledPhaseShift": "cp",
}
"""Gates of one angle by PennyLane's name, and Qiskit's method."""

FIXED: Final[Mapping[str, str]] = {
    "Identity": "id",
    "PauliX": "x",
    "PauliY": "y",
    "PauliZ": "z",
    "Hadamard": "h",
    "S": "s",
    "Adjoint(S)": "sdg",
    "T": "t",
    "Adjoint(T)": "tdg",
    "SX": "sx",
    "Adjoint(SX)": "sxdg",
    "CNOT": "cx",
    "CY": "cy",
    "CZ": "cz",
    "CH": "ch",
    "SWAP": "swap",
    "ISWAP": "iswap",
    "ECR": "ecr",
    "Toffoli": "ccx",
    "CCZ": "ccz",
    "CSWAP": "cswap",
}
"""Gates without angles."""

SILENT: Final = frozenset({"Barrier", "GlobalPhase", "Identity", "WireCut", "Snapshot"})
"""What changes nothing that can be measured."""

MOST_PROBABILITIES: Final = 10
"""Wires whose exact probabilities are given: 2^10 mean values."""

MOST_KEPT: Final = 64
"""Circuits that are kept; the one that was not used for longest goes first."""


def accepted(operation: Any) -> bool:
    """Return whether an operation goes into a circuit as it is; PennyLane decomposes all others."""
    name = operation.name
    if name == "QubitUnitary":
        return len(operation.wires) <= 2 and operation.batch_size is None
    return name in TURNS or name in FIXED or name in SILENT


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Reading:
    """What one measurement of a tape without shots needs.

    Attributes:
        kind: "expval", "var" or "probs".
        operators: whose mean values it is computed from.
    """

    kind: str
    operators: tuple[SparsePauliOp, ...]

    def result(self, means: Floats) -> Any:
        """Return the measurement's value from the mean values of its operators."""
        if self.kind == "expval":
            return np.float64(means[0])
        if self.kind == "var":
            return np.float64(max(0.0, means[1] - means[0] ** 2))
        # Mean values of all products of Z are the Walsh-Hadamard transform of the probabilities.
        chances = np.array(means, dtype=np.float64)
        width = len(chances).bit_length() - 1
        for axis in range(width):
            split = chances.reshape(1 << axis, 2, -1)
            chances = np.stack([split[:, 0] + split[:, 1], split[:, 0] - split[:, 1]], axis=1).reshape(-1)
        return np.clip(chances / len(chances), 0.0, 1.0)


@dataclass(frozen=True, eq=False)
class Shape:
    """What tapes that differ in angles alone have in common.

    Attributes:
        circuit: with a parameter for each angle, in the order of the gates.
        readings: of the measurements, where there are no shots.
        angle_of: the angle behind each parameter of the tape's operations, -1 for entries of a matrix.
        memo: what was computed for it before, by name.
    """

    circuit: QuantumCircuit
    readings: tuple[Reading, ...]
    angle_of: tuple[int, ...]
    memo: dict[str, Any] = field(default_factory=dict, repr=False)

    @cached_property
    def key(self) -> str:
        """The key of the circuit, for plans that are kept."""
        return structure(self.circuit)

    @cached_property
    def operators(self) -> list[SparsePauliOp]:
        """All operators of all readings, in order."""
        return [operator for reading in self.readings for operator in reading.operators]

    def results(self, means: Floats) -> tuple[Any, ...]:
        """Return the value of each measurement from the mean values of all operators."""
        found, start = [], 0
        for reading in self.readings:
            found.append(reading.result(means[start : start + len(reading.operators)]))
            start += len(reading.operators)
        return tuple(found)


class Tapes:
    """Reads tapes, and keeps their circuits."""

    def __init__(self) -> None:
        """Begin with none."""
        self._known: OrderedDict[Any, Shape] = OrderedDict()

    def read(self, tape: Any) -> tuple[Shape, Floats]:
        """Return the shape of a tape and its angles, in the order of ``shape.circuit.parameters``.

        Args:
            tape: of operations that are ``accepted``.

        Raises:
            UnsupportedOperation: an operation that cannot be carried over.
            InvalidValue: a measurement that needs shots, or an angle that is no finite number.
        """
        key = _key(tape)
        shape = self._known.get(key)
        if shape is None:
            shape = self._known[key] = _shape(tape)
        self._known.move_to_end(key)
        while len(self._known) > MOST_KEPT:
            self._known.popitem(last=False)
        angles = [_angle(each) for each in tape.operations if each.name in TURNS]
        return shape, np.array(angles, dtype=np.float64)


def _angle(operation: Any) -> float:
    try:
        found = float(qml.math.toarray(operation.data[0]))
    except (TypeError, ValueError):
        found = float("nan")
    if not np.isfinite(found):
        raise InvalidValue(field=operation.name, value=operation.data[0], rule="an angle is one finite number")
    return found


def _key(tape: Any) -> Any:
    place = {wire: number for number, wire in enumerate(tape.wires)}
    gates = []
    for each in tape.operations:
        fixed = None if each.name in TURNS else tuple(np.asarray(part).tobytes() for part in each.data)
        gates.append((each.name, tuple(place[wire] for wire in each.wires), fixed))
    read = tuple(each.hash for each in tape.measurements) if not tape.shots else None
    return tuple(gates), tuple(tape.wires), read


def _shape(tape: Any) -> Shape:
    place = {wire: number for number, wire in enumerate(tape.wires)}
    circuit = QuantumCircuit(len(place))
    # Qiskit sorts parameters by name.
    digits = len(str(len(tape.operations)))
    angle_of: list[int] = []
    angles = 0
    for each in tape.operations:
        wires = [place[wire] for wire in each.wires]
        if each.name in TURNS:
            getattr(circuit, TURNS[each.name])(Parameter(f"angle_{angles:0{digits}d}"), *wires)
            angle_of.append(angles)
            angles += 1
            continue
        angle_of += [-1] * each.num_params
        if each.name == "QubitUnitary" and accepted(each):
            # The first of PennyLane's wires is the first digit of an index, and of Qiskit's qubits the last.
            circuit.append(UnitaryGate(np.array(each.matrix(), dtype=np.complex128)), wires[::-1])
        elif each.name in FIXED:
            getattr(circuit, FIXED[each.name])(*wires)
        elif each.name not in SILENT:
            reason = "it has neither a gate of Qiskit's nor a decomposition into such gates"
            raise UnsupportedOperation(operation=each.name, reason=reason)
    readings = () if tape.shots else tuple(_reading(each, place) for each in tape.measurements)
    return Shape(circuit=circuit, readings=readings, angle_of=tuple(angle_of))


def _reading(measurement: Any, place: Mapping[Any, int]) -> Reading:
    if isinstance(measurement, qml.measurements.ProbabilityMP) and measurement.obs is None:
        wires = measurement.wires or list(place)
        if len(wires) > MOST_PROBABILITIES:
            raise InvalidValue(
                field="probs",
                value=f"{len(wires)} wires",
                rule=f"exact probabilities are given of at most {MOST_PROBABILITIES} wires",
                remedy="Ask for fewer wires, or take shots with qml.set_shots.",
            )
        return Reading(kind="probs", operators=_products([place[wire] for wire in wires], len(place)))
    if isinstance(measurement, qml.measurements.ExpectationMP | qml.measurements.VarianceMP):
        operator = pauli_sum(measurement.obs, place)
        if isinstance(measurement, qml.measurements.ExpectationMP):
            return Reading(kind="expval", operators=(operator,))
        return Reading(kind="var", operators=(operator, operator.dot(operator).simplify()))
    raise InvalidValue(
        field="measurement",
        value=str(measurement)[:60],
        rule="without shots there are expval of Pauli operators, var of a product of them, and probs of wires",
        remedy="Take shots with qml.set_shots for counts and samples; no pure state is left on a fabric with errors.",
    )


def _products(qubits: list[int], width: int) -> tuple[SparsePauliOp, ...]:
    """All products of Z on some qubits; the first of them is the first digit of a number."""
    count = len(qubits)
    return tuple(
        SparsePauliOp.from_sparse_list(
            [("Z" * code.bit_count(), [q for place, q in enumerate(qubits) if code >> (count - 1 - place) & 1], 1.0)],
            width,
        )
        for code in range(1 << count)
    )


def pauli_sum(observable: Any, place: Mapping[Any, int]) -> SparsePauliOp:
    """Return an observable of PennyLane as a sum of Paulis.

    Args:
        observable: a product or sum of Pauli operators.
        place: the qubit of each wire.

    Raises:
        InvalidValue: it is no such thing, or its weights are not real.
    """
    sentence = None if observable is None else observable.pauli_rep
    if sentence is None:
        raise InvalidValue(
            field="observable",
            value=str(observable)[:60],
            rule="only sums of products of Pauli operators have mean values here",
            remedy="Write a matrix as a sum of Paulis with qml.pauli_decompose.",
        )
    terms = []
    for word, weight in sentence.items():
        number = complex(qml.math.toarray(weight))
        if abs(number.imag) > 1e-12 or not np.isfinite(number.real):
            raise InvalidValue(field="observable", value=str(observable)[:60], rule="its weights are finite and real")
        terms.append(("".join(word.values()), [place[wire] for wire in word], number.real))
    return SparsePauliOp.from_sparse_list(terms or [("", [], 0.0)], len(place)).simplify()
