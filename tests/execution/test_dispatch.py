"""Which method runs a plan, and the exact reference among them."""

import numpy as np
import pytest
from qiskit import QuantumCircuit

from hyperfabric_q.errors import InvalidValue
from hyperfabric_q.execution import dispatch
from hyperfabric_q.execution.measured import measured
from hyperfabric_q.execution.noise import Noise
from hyperfabric_q.execution.timelines import timelines_of
from hyperfabric_q.fabric import Fabric


def rotated_chain(qubits, angle):
    circuit = QuantumCircuit(qubits, qubits)
    circuit.h(0)
    for qubit in range(qubits - 1):
        circuit.cx(qubit, qubit + 1)
        circuit.rx(angle, qubit)
    circuit.measure(range(qubits), range(qubits))
    return circuit


@pytest.fixture(scope="module")
def make(plan_of):
    def plan(qubits, angle=0.3, **figures):
        half = qubits // 2
        fabric = Fabric.full([half, qubits - half], communication_qubits=1, pair_fidelity=0.95)
        fabric = fabric.replace("nodes.*", gate_1q_ns=100.0, gate_2q_ns=1000.0, readout_ns=1000.0, **figures)
        return plan_of(rotated_chain(qubits, angle), fabric, ["qpu-0"] * half + ["qpu-1"] * (qubits - half))

    return plan


def chosen(plan, *, shots=1000, present=("dynamic", "channel", "clifford", "mps", "exact"), monkeypatch):
    monkeypatch.setattr(dispatch, "available", lambda method: method in present)
    complete, reported = measured(plan)
    lines = timelines_of(plan, Noise.FABRIC, wanted="auto", shots=shots, seed=1)
    return dispatch.choose_method(complete, lines, shots=shots, reported=reported)


def test_clifford_circuits_go_to_clifford_unless_it_would_approximate(make, monkeypatch):
    assert chosen(make(4, 0.0), monkeypatch=monkeypatch) == "clifford"
    assert chosen(make(4, np.pi / 2, t2_us=50.0, t1_us=None), monkeypatch=monkeypatch) == "clifford"
    assert chosen(make(4, 0.0, t1_us=50.0), monkeypatch=monkeypatch) == "dynamic"
    assert chosen(make(4, 0.0), present=("dynamic",), monkeypatch=monkeypatch) == "dynamic"


def test_narrow_circuits_go_to_dynamic_and_long_ones_to_channel(make, monkeypatch):
    assert chosen(make(4), monkeypatch=monkeypatch) == "dynamic"
    assert chosen(make(16), shots=20_000, monkeypatch=monkeypatch) == "channel"
    assert chosen(make(16), shots=20_000, present=("dynamic", "mps"), monkeypatch=monkeypatch) in {"dynamic", "mps"}


def test_what_no_state_holds_goes_to_mps(make, monkeypatch):
    assert chosen(make(34), monkeypatch=monkeypatch) == "mps"


@pytest.mark.parametrize("method", ["Dynamic", "", None, 3, "fragments"])
def test_unknown_methods_are_refused_with_the_known_ones(make, method):
    with pytest.raises(InvalidValue, match="'dynamic'"):
        make(4).run(10, method=method)


def test_a_method_that_is_not_installed_is_refused(monkeypatch):
    monkeypatch.setattr(dispatch, "METHODS", {**dispatch.METHODS, "mps": "hyperfabric_q.execution.no_such:sample"})
    with pytest.raises(InvalidValue, match="'dynamic'"):
        dispatch.function_of("mps")


def test_every_installed_method_resolves():
    for method in dispatch.METHODS:
        if dispatch.available(method):
            assert callable(dispatch.function_of(method))


def feed_forward():
    circuit = QuantumCircuit(3, 3)
    circuit.ry(1.0, 0)
    circuit.cx(0, 1)
    circuit.measure(0, 0)
    with circuit.if_test((circuit.clbits[0], 1)):
        circuit.x(1)
    circuit.reset(0)
    circuit.ry(0.7, 0)
    circuit.cx(0, 2)
    with circuit.if_test((circuit.cregs[0], 1)):
        circuit.x(2)
    circuit.measure([1, 2], [1, 2])
    return circuit


def test_exact_follows_all_branches_of_the_emitted_circuit(plan_of):
    plan = plan_of(feed_forward(), Fabric.full([1, 1, 1], communication_qubits=2), ["qpu-0", "qpu-1", "qpu-2"])
    result = plan.run(20_000, seed=9, method="exact")
    assert (result.method, result.simulator) == ("exact", "branches")
    assert set(result.counts) == set(result.ideal)
    statistic = sum((result.counts[key] - 20_000 * p) ** 2 / (20_000 * p) for key, p in result.ideal.items())
    assert statistic < len(result.ideal) + 5 * np.sqrt(2 * len(result.ideal))
    assert result == plan.run(20_000, seed=9, method="exact")


@pytest.mark.parametrize(
    ("figures", "says"),
    [({}, "Bell pairs"), ({"readout_error": 0.1}, "gates and readout"), ({"t1_us": 10.0}, "waiting qubits")],
)
def test_exact_refuses_errors_and_says_which(make, figures, says):
    with pytest.raises(InvalidValue, match=says):
        make(4, **figures).run(10, method="exact")
    assert make(4, **figures).run(10, method="exact", noise="none").counts
