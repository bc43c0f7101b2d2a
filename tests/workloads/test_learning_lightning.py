"""The adjoint sweep of pennylane-lightning gives our numbers, and is named where it was used."""

import importlib.util

import numpy as np
import pytest
from qiskit import QuantumCircuit
from qiskit.circuit import Parameter, ParameterVector
from qiskit.circuit.library import CXGate
from qiskit.quantum_info import SparsePauliOp

from hyperfabric_q.errors import InvalidValue, MissingDependency, SimulationRefused
from hyperfabric_q.workloads.learning import lightning, pauli_sums, turns
from hyperfabric_q.workloads.learning.gradients import gradient
from hyperfabric_q.workloads.learning.sources import Ideal

needed = pytest.mark.skipif(
    importlib.util.find_spec("pennylane_lightning") is None, reason="pennylane-lightning is not installed"
)
SEEN = [SparsePauliOp(["ZXIY", "IIZZ", "IIII"], [0.7, -1.0, 0.3]), SparsePauliOp("YIXI")]


def every_gate():
    """Each gate that turns, with angles that are tied and shifted, between fixed gates of one and two qubits."""
    theta = ParameterVector("t", 5)
    made = QuantumCircuit(4)
    made.h(range(4))
    made.barrier()
    for place, (name, generator) in enumerate(turns.GENERATORS.items()):
        angle = theta[place % 5] - 0.5 * theta[(place + 1) % 5] + 0.3
        wires = [(place + step) % 4 for step in ((0,) if len(generator) == 2 else (1, 3))]
        getattr(made, name)(angle, *wires)
        made.cx(place % 4, (place + 1) % 4)
    for name in ("sx", "t", "s", "sdg", "y"):
        getattr(made, name)(1)
    for name in ("cy", "cz", "swap", "iswap", "ecr", "ch"):
        getattr(made, name)(3, 1)
    made.append(CXGate(ctrl_state=0), [0, 2])
    made.ccx(0, 1, 2)
    made.ry(theta[0] * theta[1], 0)
    made.global_phase = 0.4
    return made


@needed
def test_values_and_gradients_are_ours_and_the_engine_is_named():
    source = Ideal.of(every_gate(), SEEN)
    rows = np.random.default_rng(2).uniform(-2, 2, (2, 5))
    ours, its = (gradient(source, rows, engine=engine) for engine in ("own", "lightning"))
    np.testing.assert_allclose(its.values, ours.values, atol=1e-10)
    np.testing.assert_allclose(its.gradient, ours.gradient, atol=1e-10)
    assert its.notes == ("adjoint sweep of pennylane-lightning",)
    assert its.method == "adjoint"
    assert ours.notes == ()
    one = gradient(source, rows[0], by=["t[3]"], engine="lightning")
    np.testing.assert_allclose(one.gradient, ours.gradient[0][:, [3]], atol=1e-10)


@needed
def test_a_circuit_without_angles_has_values():
    made = QuantumCircuit(2)
    made.h(0)
    made.cx(0, 1)
    found = gradient(Ideal.of(made, ["XX", "ZI"]), [[]], engine="lightning")
    np.testing.assert_allclose(found.values, [[1.0, 0.0]], atol=1e-12)
    assert found.gradient.shape == (1, 2, 0)


def wide(qubits):
    made = QuantumCircuit(qubits)
    made.ry(Parameter("a"), 0)
    for qubit in range(qubits - 1):
        made.cx(qubit, qubit + 1)
    return Ideal.of(made, "Z" * qubits)


@needed
def test_auto_takes_lightning_where_the_observables_do_not_fit_ours(monkeypatch):
    source = Ideal.of(every_gate(), SEEN)
    row = np.random.default_rng(3).uniform(-2, 2, 5)
    ours = gradient(source, row)
    assert ours.notes == ()
    monkeypatch.setattr(pauli_sums, "MOST_ENTRIES", 1)
    again = Ideal.of(every_gate(), SEEN)
    found = gradient(again, row)
    assert "lightning" in found.notes[0]
    np.testing.assert_allclose(found.gradient, ours.gradient, atol=1e-10)
    np.testing.assert_allclose(found.values, ours.values, atol=1e-10)
    with pytest.raises(SimulationRefused, match="entries"):
        gradient(again, row, engine="own")


def test_without_lightning_what_does_not_fit_is_refused_and_asking_for_it_says_what_is_missing(monkeypatch):
    monkeypatch.setattr(lightning, "installed", lambda: False)
    monkeypatch.setattr(pauli_sums, "MOST_ENTRIES", 1)
    with pytest.raises(SimulationRefused, match="entries"):
        gradient(wide(3), [0.3])
    with pytest.raises(MissingDependency, match="pennylane-lightning"):
        gradient(wide(3), [0.3], engine="lightning")


def test_an_engine_that_is_unknown_or_has_nothing_to_do_is_refused():
    for options in (
        {"engine": "steam"},
        {"engine": "lightning", "method": "parameter_shift"},
        {"engine": "own", "shots": 10},
    ):
        with pytest.raises(InvalidValue, match="engine"):
            gradient(wide(3), [0.3], **options)


@needed
def test_too_wide_a_state_is_refused_before_it_is_allocated():
    with pytest.raises(SimulationRefused, match="23"):
        gradient(wide(23), [0.3], engine="lightning")
