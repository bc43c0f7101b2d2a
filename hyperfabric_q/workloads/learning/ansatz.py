"""Circuits for data: features and weights take turns, so that a few qubits see many features."""

from __future__ import annotations

import math
from typing import Any, Final, NamedTuple

import numpy as np
from qiskit import QuantumCircuit
from qiskit.circuit import ParameterVector

from hyperfabric_q.errors import InvalidValue

MOST: Final = 1000
"""Features, and layers."""


class Ansatz(NamedTuple):
    """A circuit, its parameters that are features, and those that are weights."""

    circuit: QuantumCircuit
    inputs: tuple[Any, ...]
    weights: tuple[Any, ...]


def reuploading(features: int, *, qubits: int | None = None, layers: int = 2) -> Ansatz:
    """Return a circuit that writes all features in every layer and turns by weights between.

    Each layer has RX by the features, as many sublayers as they need, then RY and RZ by weights and a ring of CZ
    (data re-uploading, Pérez-Salinas et al., doi:10.22331/q-2020-02-06-226).

    Args:
        features: of a sample.
        qubits: how many; None = as many as features, at most 6.
        layers: how often everything is repeated.

    Raises:
        InvalidValue: a number out of range.
    """
    qubits = min(6, features) if qubits is None else qubits
    asked: tuple[tuple[str, object, int], ...] = (
        ("features", features, MOST),
        ("qubits", qubits, 64),
        ("layers", layers, MOST),
    )
    for name, value, most in asked:
        if not isinstance(value, int | np.integer) or isinstance(value, bool) or not 1 <= value <= most:
            raise InvalidValue(field=name, value=value, rule=f"it is a whole number from 1 to {most}")
    inputs = ParameterVector("x", features)
    weights = ParameterVector("w", 2 * qubits * layers * math.ceil(features / qubits))
    circuit = QuantumCircuit(qubits)
    left = iter(weights)
    for _ in range(layers):
        for start in range(0, features, qubits):
            for qubit, feature in enumerate(inputs[start : start + qubits]):
                circuit.rx(feature, qubit)
            for qubit in range(qubits):
                circuit.ry(next(left), qubit)
                circuit.rz(next(left), qubit)
            for qubit in range(qubits if qubits > 2 else qubits - 1):
                circuit.cz(qubit, (qubit + 1) % qubits)
    return Ansatz(circuit, tuple(inputs), tuple(weights))
