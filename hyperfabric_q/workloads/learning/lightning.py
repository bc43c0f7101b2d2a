"""The adjoint sweep of pennylane-lightning, for observables whose diagonals ours cannot hold.

Ours is as quick or quicker at every width (``benchmarks/learning``), but holds a diagonal of 2^n numbers for each
pattern of flips, where lightning applies Pauli string by Pauli string.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable, Iterator, Mapping
from functools import cache, lru_cache
from typing import Any, Final, NamedTuple

import numpy as np

from hyperfabric_q.errors import MissingDependency, SimulationRefused
from hyperfabric_q.workloads.learning.adjoint import Derived
from hyperfabric_q.workloads.learning.circuit_form import WIDEST, Form
from hyperfabric_q.workloads.learning.pauli_sums import PauliSums
from hyperfabric_q.workloads.learning.turns import Floats

_TURNS: Final[Mapping[str, str]] = {
    "rx": "RX",
    "ry": "RY",
    "rz": "RZ",
    "p": "PhaseShift",
    "rxx": "IsingXX",
    "ryy": "IsingYY",
    "rzz": "IsingZZ",
    "crx": "CRX",
    "cry": "CRY",
    "crz": "CRZ",
    "cp": "ControlledPhaseShift",
}
"""PennyLane's name of each gate that turns; rzx is made of rzz."""

_FIXED: Final[Mapping[str, str]] = {
    "cx": "CNOT",
    "cy": "CY",
    "cz": "CZ",
    "swap": "SWAP",
    "h": "Hadamard",
    "x": "PauliX",
    "y": "PauliY",
    "z": "PauliZ",
    "s": "S",
    "t": "T",
}
"""Fixed gates with kernels of their own; all others go as matrices."""


@cache
def installed() -> bool:
    """Return whether pennylane-lightning is there; nothing is imported."""
    return importlib.util.find_spec("pennylane_lightning") is not None


def derivatives(form: Form, sums: PauliSums, bindings: Floats) -> Derived:
    """Return all mean values and their derivatives, as ``adjoint.derivatives`` does; the first call imports PennyLane.

    Args:
        form: the circuit.
        sums: the observables.
        bindings: values of the parameters, shape (B, P).

    Raises:
        MissingDependency: pennylane-lightning is not installed.
        SimulationRefused: more than ``WIDEST`` qubits.
    """
    if not installed():
        raise MissingDependency(what="its adjoint sweep", package="pennylane-lightning", extra="pennylane")
    if form.qubits > WIDEST:
        raise SimulationRefused(
            asked=f"state vectors of {form.qubits} qubits",
            found=f"2^{form.qubits} amplitudes each; at most {WIDEST} qubits are simulated whole",
            remedy="Cut the circuit, or take shots on a fabric.",
        )
    qml: Any = importlib.import_module("pennylane")
    written, observables = _written(form), [_observable(each, qml) for each in sums.operators]
    device = _device(form.qubits)
    angles = form.angles.at(bindings)
    values = np.empty((len(bindings), len(sums)))
    by_turn = np.zeros((len(bindings), len(sums), len(form.names)))
    for row, own in enumerate(angles.tolist()):
        gates = [make(own[turn] if turn >= 0 else 0.0) for make, turn in written]
        read = [qml.expval(each) for each in observables]
        turning = [turn for _, turn in written if turn >= 0]
        at = _parameters(gates, written)
        tape = qml.tape.QuantumScript(gates, read, trainable_params=at)
        if turning:
            (found,), (slopes,) = device.execute_and_compute_derivatives([tape])
            by_turn[row][:, turning] = np.asarray(slopes, dtype=np.float64).reshape(len(sums), len(turning))
        else:
            (found,) = device.execute([tape])
        values[row] = np.asarray(found, dtype=np.float64).reshape(len(sums))
    return Derived(values, form.angles.chain(bindings, by_turn))


class _Gate(NamedTuple):
    """What makes a gate from its angle, and the turn whose angle it is; -1 = it has none."""

    make: Callable[[float], Any]
    turn: int


@lru_cache(maxsize=4)
def _device(qubits: int) -> Any:
    qml: Any = importlib.import_module("pennylane")
    return qml.device("lightning.qubit", wires=qubits)


@lru_cache(maxsize=16)
def _written(form: Form) -> tuple[_Gate, ...]:
    """The circuit in PennyLane's gates; its wire q is qubit q."""
    qml: Any = importlib.import_module("pennylane")
    turn_of = {each: turn for turn, each in enumerate(form.own)}
    return tuple(
        gate
        for instruction in form.template.data
        if instruction.name != "barrier"
        for gate in _gates(
            instruction.operation,
            [form.template.find_bit(each).index for each in instruction.qubits],
            turn_of,
            qml,
        )
    )


def _gates(operation: Any, wires: list[int], turn_of: Mapping[Any, int], qml: Any) -> Iterator[_Gate]:
    name = operation.name
    turn = turn_of.get(operation.params[0], -1) if name in {*_TURNS, "rzx"} else -1
    if turn >= 0 and name == "rzx":
        around = qml.Hadamard(wires[1])
        yield _Gate(lambda _: around, -1)
        yield _Gate(lambda angle: qml.IsingZZ(angle, wires), turn)
        yield _Gate(lambda _: around, -1)
    elif turn >= 0:
        kind = getattr(qml, _TURNS[name])
        yield _Gate(lambda angle: kind(angle, wires), turn)
    elif wires:  # otherwise a global phase
        plain = name in _FIXED and getattr(operation, "ctrl_state", None) in {None, 1}
        # The first of Qiskit's qubits is the last digit of an index of the matrix.
        fixed = (
            getattr(qml, _FIXED[name])(wires)
            if plain
            else qml.QubitUnitary(np.array(operation.to_matrix(), dtype=np.complex128, order="C"), wires[::-1])
        )
        yield _Gate(lambda _: fixed, -1)


def _parameters(gates: list[Any], written: tuple[_Gate, ...]) -> list[int]:
    """The numbers of the angles among all parameters of a tape; a fixed matrix is a parameter to PennyLane too."""
    found, count = [], 0
    for gate, (_, turn) in zip(gates, written, strict=True):
        if turn >= 0:
            found.append(count)
        count += gate.num_params
    return found


def _observable(operator: Any, qml: Any) -> Any:
    """A SparsePauliOp in PennyLane's terms."""
    words, weights = [], []
    for label, qubits, weight in operator.to_sparse_list():
        pauli = {qubit: letter for letter, qubit in zip(label, qubits, strict=True) if letter != "I"}
        words.append(qml.pauli.PauliWord(pauli).operation(wire_order=[0]))
        weights.append(float(weight.real))
    return qml.Hamiltonian(weights, words)
