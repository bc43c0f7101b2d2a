"""An unmodified ``EstimatorQNN`` of qiskit-machine-learning runs forward and backward on our estimator."""

import importlib.util

import numpy as np
import pytest
from qiskit import QuantumCircuit
from qiskit.circuit import ParameterVector
from qiskit.primitives import StatevectorEstimator
from qiskit.quantum_info import SparsePauliOp

from hyperfabric_q.fabric import Fabric
from hyperfabric_q.interfaces import FabricEstimator, FabricOptions
from hyperfabric_q.workloads.learning.gradients import gradient
from hyperfabric_q.workloads.learning.sources import Ideal

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("qiskit_machine_learning") is None, reason="qiskit-machine-learning is not installed"
)

FABRIC = Fabric.line([2, 1], communication_qubits=1, pair_fidelity=0.95)
X, W = ParameterVector("x", 2), ParameterVector("w", 5)
SEEN = [SparsePauliOp(["ZZI", "IXX"], [1.0, 0.5]), SparsePauliOp("IIZ")]


def circuit():
    made = QuantumCircuit(3)
    made.ry(X[0], 0)
    made.rx(X[1], 1)
    for qubit in range(3):
        made.ry(W[qubit], qubit)
    made.cx(0, 1)
    made.cx(1, 2)
    made.rz(W[3], 1)
    made.rx(W[4], 2)
    return made


def network(estimator, **given):
    from qiskit_machine_learning.gradients import ParamShiftEstimatorGradient
    from qiskit_machine_learning.neural_networks import EstimatorQNN

    return EstimatorQNN(
        circuit=circuit(),
        observables=SEEN,
        input_params=list(X),
        weight_params=list(W),
        estimator=estimator,
        gradient=ParamShiftEstimatorGradient(estimator),
        input_gradients=True,
        **given,
    )


def estimator(**given):
    return FabricEstimator(FABRIC, options=FabricOptions(**{"time_limit_s": 0, "seed": 3} | given))


INPUTS = np.random.default_rng(0).uniform(-2, 2, (3, 2))
WEIGHTS = np.random.default_rng(1).uniform(-2, 2, 5)


def test_forward_and_backward_are_those_of_qiskits_estimator_and_of_our_gradient():
    ours, theirs = (network(each, default_precision=0.0) for each in (estimator(noise="none"), StatevectorEstimator()))
    np.testing.assert_allclose(ours.forward(INPUTS, WEIGHTS), theirs.forward(INPUTS, WEIGHTS), atol=1e-12)
    for one, other in zip(ours.backward(INPUTS, WEIGHTS), theirs.backward(INPUTS, WEIGHTS), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-12)
    by_input, by_weight = ours.backward(INPUTS, WEIGHTS)
    rows = np.column_stack([np.broadcast_to(WEIGHTS, (3, 5)), INPUTS])
    exact = gradient(Ideal.of(circuit(), SEEN), rows).gradient
    np.testing.assert_allclose(by_weight, exact[:, :, :5], atol=1e-10)
    np.testing.assert_allclose(by_input, exact[:, :, 5:], atol=1e-10)


@pytest.mark.slow
def test_with_imperfect_pairs_the_network_differentiates_what_it_evaluates():
    net = network(estimator(noise="links"), default_precision=0.0)
    by_weight = net.backward(INPUTS[:1], WEIGHTS)[1]
    step = 1e-5
    ends = [net.forward(INPUTS[:1], WEIGHTS + by * np.eye(5)[2]) for by in (step, -step)]
    np.testing.assert_allclose((ends[0] - ends[1])[0] / (2 * step), by_weight[0, :, 2], atol=1e-8)
    assert np.abs(by_weight - network(estimator(noise="none")).backward(INPUTS[:1], WEIGHTS)[1]).max() > 0.01


def test_the_precision_of_the_network_is_reached_by_shots():
    net = network(estimator(noise="none"), default_precision=0.02)
    exact = network(estimator(noise="none"), default_precision=0.0).forward(INPUTS, WEIGHTS)
    found = net.forward(INPUTS, WEIGHTS)
    assert (found != exact).all()
    assert np.abs(found - exact).max() < 4.5 * 0.02
