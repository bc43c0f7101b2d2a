"""Models learn, keep scikit-learn's conventions, and train alike whether or not they are distributed."""

import math
import subprocess
import sys

import numpy as np
import pytest
from qiskit import QuantumCircuit
from qiskit.circuit import ParameterVector
from qiskit.circuit.library import zz_feature_map
from qiskit.quantum_info import Statevector

from hyperfabric_q.errors import InvalidValue
from hyperfabric_q.fabric import Fabric
from hyperfabric_q.workloads.learning.ansatz import reuploading
from hyperfabric_q.workloads.learning.kernels import QuantumKernel
from hyperfabric_q.workloads.learning.models import VariationalClassifier, VariationalRegressor
from hyperfabric_q.workloads.learning.network import Network
from hyperfabric_q.workloads.learning.sources import Ideal
from hyperfabric_q.workloads.learning.training import Head, cross_entropy, softmax, squared_error


def rings(count, seed):
    """Inside or outside of a circle: nothing that a straight line tells apart."""
    rng = np.random.default_rng(seed)
    samples = rng.uniform(-1, 1, (count, 2))
    return samples, np.where((samples**2).sum(axis=1) < 0.6, "in", "out")


@pytest.mark.parametrize("make", [cross_entropy, squared_error])
def test_a_loss_has_the_slopes_that_it_says(make):
    rng = np.random.default_rng(1)
    wanted = np.eye(3)[rng.integers(3, size=5)]
    outputs = rng.normal(size=(5, 3))
    loss = make(wanted)
    _, slopes = loss(outputs)
    for place in np.ndindex(outputs.shape):
        unit = np.zeros_like(outputs)
        unit[place] = 1e-6
        assert slopes[place] == pytest.approx((loss(outputs + unit)[0] - loss(outputs - unit)[0]) / 2e-6, abs=1e-8)
    np.testing.assert_allclose(softmax(outputs + 1000).sum(axis=1), 1)


@pytest.mark.parametrize("shots", [None, 100_000])
def test_a_network_has_the_slopes_of_its_loss(shots):
    circuit, inputs, _ = reuploading(2, layers=1)
    exact = Network.of(Ideal.of(circuit, ["ZI", "XX"]), inputs)
    network = Network.of(Ideal.of(circuit, ["ZI", "XX"]), inputs, shots=shots)
    rng = np.random.default_rng(2)
    samples, weights = rng.uniform(-1, 1, (4, 2)), rng.uniform(-1, 1, 4)
    loss = squared_error(np.zeros((4, 2)))
    value, slopes, values = network.loss(samples, weights, loss, seed=3)
    assert value == pytest.approx(loss(values)[0])
    by_hand = [
        (loss(exact.values(samples, weights + unit))[0] - loss(exact.values(samples, weights - unit))[0]) / 2e-6
        for unit in 1e-6 * np.eye(4)
    ]
    np.testing.assert_allclose(slopes, by_hand, atol=1e-8 if shots is None else 0.01)


def test_a_classifier_learns_what_no_line_separates():
    samples, labels = rings(120, 0)
    model = VariationalClassifier(layers=4, max_iter=80, seed=1).fit(samples[:80], labels[:80])
    assert model.loss_curve_[-1] < 0.5 * model.loss_curve_[0]
    assert model.score(samples[80:], labels[80:]) >= 0.85
    assert set(model.predict(samples)) == {"in", "out"}
    np.testing.assert_allclose(model.predict_proba(samples).sum(axis=1), 1)
    again = VariationalClassifier(layers=4, max_iter=80, seed=1).fit(samples[:80], labels[:80])
    np.testing.assert_array_equal(again.fitted_.weights, model.fitted_.weights)


def test_a_regressor_learns_a_curve():
    samples = np.linspace(-1, 1, 25)[:, None]
    targets = 40 + 5 * np.sin(3 * samples[:, 0])
    model = VariationalRegressor(qubits=1, layers=4, max_iter=200, seed=2).fit(samples, targets)
    assert model.predict(samples).shape == (25,)
    assert model.score(samples, targets) > 0.98
    both = VariationalRegressor(qubits=2, layers=4, max_iter=20, seed=2).fit(samples, np.stack([targets, -targets], 1))
    assert both.predict(samples).shape == (25, 2)


def test_training_on_two_qpus_is_the_training_without_them_step_by_step():
    samples, labels = rings(12, 3)
    options = {"layers": 1, "max_iter": 8, "seed": 4}
    alone = VariationalClassifier(**options).fit(samples, labels)
    fabric = Fabric.line([1, 1], communication_qubits=1, pair_fidelity=0.9)
    shared = VariationalClassifier(fabric=fabric, **options).fit(samples, labels)
    assert shared.network_.source.plan.ebits
    np.testing.assert_allclose(shared.loss_curve_, alone.loss_curve_, atol=1e-10)
    np.testing.assert_allclose(shared.fitted_.weights, alone.fitted_.weights, atol=1e-10)


def test_a_price_on_weights_makes_them_vanish():
    samples, labels = rings(10, 8)
    model = VariationalClassifier(layers=1, max_iter=200, alpha=1e4, tol=1e-14, seed=1).fit(samples, labels)
    assert np.abs(model.fitted_.weights).max() < 1e-3


@pytest.mark.parametrize(
    "options",
    [
        {"optimizer": "COBYLA", "max_iter": 60},
        {"optimizer": "SLSQP", "max_iter": 4, "shots": 500},
        {"optimizer": "SLSQP", "max_iter": 4, "gradient": "spsa", "shots": 500},
    ],
)
def test_other_optimisers_and_shots_train_too(options):
    samples, labels = rings(16, 5)
    model = VariationalClassifier(layers=1, seed=1, **options).fit(samples, labels)
    assert math.isfinite(model.fitted_.losses[-1])
    assert model.predict(samples).shape == (16,)
    assert model.fitted_.evaluations >= 4


def test_imperfect_pairs_train_too():
    samples, labels = rings(3, 11)
    labels[:2] = ["in", "out"]
    fabric = Fabric.line([1, 1], communication_qubits=1, pair_fidelity=0.9)
    model = VariationalClassifier(layers=1, max_iter=1, seed=1, fabric=fabric, noise="links").fit(samples, labels)
    assert model.fitted_.losses[-1] <= model.fitted_.losses[0]


def test_the_head_survives_being_flat():
    head = Head(scale=0.3, bias=np.array([0.1, -0.2]))
    same = Head.from_flat(head.flat())
    values = np.array([[0.5, 0.25]])
    np.testing.assert_allclose(same.outputs(values), math.exp(0.3) * values + [0.1, -0.2])


@pytest.mark.parametrize(
    ("options", "samples", "labels"),
    [
        ({}, [[1.0], [2.0]], [0, 0]),
        ({}, [[1.0], [math.nan]], [0, 1]),
        ({}, [1.0, 2.0], [0, 1]),
        ({}, [[1.0], [2.0]], [0, 1, 1]),
        ({"optimizer": "magic"}, [[1.0], [2.0]], [0, 1]),
        ({"max_iter": 0}, [[1.0], [2.0]], [0, 1]),
        ({"alpha": -1.0}, [[1.0], [2.0]], [0, 1]),
        ({"noise": "links"}, [[1.0], [2.0]], [0, 1]),
        ({"observables": ["Z"]}, [[1.0], [2.0]], [0, 1]),
        ({"qubits": 1}, [[1.0], [2.0], [3.0]], [0, 1, 2]),
        ({"layers": 0}, [[1.0], [2.0]], [0, 1]),
        ({"circuit": QuantumCircuit(1)}, [[1.0], [2.0]], [0, 1]),
        ({"circuit": QuantumCircuit(1), "inputs": ["x"]}, [[1.0], [2.0]], [0, 1]),
    ],
)
def test_what_cannot_be_learnt_from_is_refused(options, samples, labels):
    with pytest.raises(InvalidValue):
        VariationalClassifier(**options).fit(samples, labels)


def test_a_model_that_is_not_fitted_says_so():
    with pytest.raises(InvalidValue, match="Call fit first"):
        VariationalClassifier().predict([[0.1]])
    with pytest.raises(InvalidValue, match="options are"):
        VariationalClassifier().set_params(depth=3)


# --------------------------------------------------------------------------------------------------------------- kernel


def test_a_kernel_is_the_overlap_that_qiskit_finds():
    circuit = zz_feature_map(2, reps=1)
    samples = np.random.default_rng(0).uniform(0, 2, (4, 2))
    others = samples[:3] + 0.1
    matrix = QuantumKernel(circuit)(samples, others)
    for (row, left), (column, right) in ((a, b) for a in enumerate(samples) for b in enumerate(others)):
        bra, ket = (Statevector(circuit.assign_parameters(each)) for each in (left, right))
        assert matrix[row, column] == pytest.approx(abs(bra.inner(ket)) ** 2, abs=1e-12)


def test_a_kernel_of_shots_is_symmetric_and_within_its_bars():
    theta = ParameterVector("x", 2)
    circuit = QuantumCircuit(2)
    circuit.ry(theta[0], 0)
    circuit.ry(theta[1], 1)
    circuit.cz(0, 1)
    samples = np.random.default_rng(1).uniform(0, 3, (30, 2))
    exact = QuantumKernel(circuit)(samples)
    kernel = QuantumKernel(circuit, shots=400, seed=2)
    drawn = kernel(samples)
    np.testing.assert_array_equal(drawn, drawn.T)
    np.testing.assert_array_equal(np.diag(drawn), 1)
    upper = np.triu_indices(30, 1)
    inside = (np.abs(drawn - exact) <= 2 * kernel.errors(drawn))[upper].mean()
    assert 0.92 < inside < 0.985
    with pytest.raises(InvalidValue):
        kernel(np.zeros((2, 3)))


# --------------------------------------------------------------------------------------------------------- scikit-learn


def test_models_stand_in_pipelines_searches_and_cross_validation_of_scikit_learn():
    pytest.importorskip("sklearn")
    from sklearn.base import clone, is_classifier, is_regressor
    from sklearn.model_selection import GridSearchCV, cross_val_score
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.svm import SVC

    samples, labels = rings(40, 6)
    model = VariationalClassifier(layers=2, max_iter=5, seed=1)
    copied = clone(model)
    assert copied is not model
    assert copied.get_params() == model.get_params()
    assert is_classifier(model)
    assert is_regressor(VariationalRegressor())
    scores = cross_val_score(make_pipeline(StandardScaler(), model), samples, labels, cv=2)
    assert scores.shape == (2,)
    assert np.isfinite(scores).all()
    search = GridSearchCV(model, {"layers": [1, 2]}, cv=2).fit(samples, labels)
    assert search.best_params_["layers"] in {1, 2}
    assert SVC(kernel=QuantumKernel(zz_feature_map(2, reps=1))).fit(samples, labels).score(samples, labels) > 0.7


def test_scikit_learn_is_not_loaded_by_the_models():
    code = "import sys, hyperfabric_q.workloads.learning.models; print('sklearn' in sys.modules, 'cirq' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.split() == ["False", "False"]
