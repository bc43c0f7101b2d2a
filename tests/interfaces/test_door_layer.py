"""A circuit on a fabric as a function: its values, and the derivatives of a loss without the full Jacobian."""

import copy
import importlib
import sys

import numpy as np
import pytest
from qiskit import QuantumCircuit
from qiskit.circuit import ParameterVector
from qiskit.quantum_info import SparsePauliOp

from hyperfabric_q.errors import InvalidValue, MissingDependency
from hyperfabric_q.fabric import Fabric
from hyperfabric_q.interfaces import FabricEstimator, FabricOptions
from hyperfabric_q.interfaces.layer import Layer, with_options
from hyperfabric_q.workloads.learning.gradients import gradient
from hyperfabric_q.workloads.learning.sources import Ideal

FABRIC = Fabric.line([2, 1], communication_qubits=1, pair_fidelity=0.9)
SEEN = [SparsePauliOp(["ZZI", "IXX"], [1.0, -0.5]), SparsePauliOp("XIZ")]
# Eleven angles, so that their order is not that of their names; one is tied and one is scaled.
T = ParameterVector("t", 9)


def circuit():
    made = QuantumCircuit(3)
    for qubit in range(3):
        made.ry(T[qubit], qubit)
        made.rx(T[3 + qubit], qubit)
    made.cx(0, 1)
    made.crz(T[6], 1, 2)
    made.rzz(T[7] - 2 * T[0], 0, 1)
    made.ry(0.5 * T[8], 2)
    made.rx(T[8], 0)
    return made


ROWS = np.random.default_rng(4).uniform(-2, 2, (2, 9))
SLOPES = np.array([[0.7, -1.2], [0.0, 0.4]])


def layer(**given):
    return Layer(circuit(), SEEN, FABRIC, options=FabricOptions(**{"time_limit_s": 0, "seed": 3} | given))


def test_without_noise_the_loss_has_the_derivatives_of_the_circuit_itself():
    exact = gradient(Ideal.of(circuit(), SEEN), ROWS)
    made = layer(noise="none")
    np.testing.assert_allclose(made.values(ROWS).values, exact.values, atol=1e-12)
    found = made.pulled(ROWS, SLOPES)
    np.testing.assert_allclose(found.gradient, np.einsum("bm,bmp->bp", SLOPES, exact.gradient), atol=1e-10)
    assert not found.errors.any()
    assert found.metadata["way"] == "adjoint sweep of the state vector"
    assert found.metadata["bell_pairs_per_shot"] >= 1


def test_with_noise_shifts_give_the_derivatives_of_the_noisy_values():
    made = layer(noise="links")
    found = made.pulled(ROWS[:1], SLOPES[:1])
    # The oracle: Qiskit's door at angles near by.
    door = FabricEstimator(FABRIC, options=made.options)

    def loss(rows):
        return door.run([(circuit(), [[each] for each in SEEN], rows)]).result()[0].data.evs.T @ SLOPES[0]

    step = 1e-5
    moves = step * np.eye(9)
    wanted = (loss(ROWS[0] + moves) - loss(ROWS[0] - moves)) / (2 * step)
    np.testing.assert_allclose(found.gradient[0], wanted, atol=1e-8)
    ideal = layer(noise="none").pulled(ROWS[:1], SLOPES[:1]).gradient
    assert np.abs(found.gradient - ideal).max() > 0.02
    assert found.metadata["exact"]
    assert "parameter shift" in found.metadata["way"]


def test_bars_of_a_loss_from_shots_hold_what_they_say():
    exact = layer(noise="none").pulled(ROWS[:1], SLOPES[:1]).gradient
    made = layer(noise="none", shots=300)
    inside = []
    for seed in range(30):
        found = made.pulled(ROWS[:1], SLOPES[:1], seed=seed)
        inside.append(np.abs(found.gradient - exact) <= 2 * found.errors)
    # 270 entries: 95.4 % are expected, with a deviation of 1.3 %.
    assert 0.915 < np.mean(inside) < 0.99
    # 2 shifts of each turn, 4 of the controlled one; two bases of what the two observables have in common.
    assert found.metadata["bindings"] == 2 * 9 + 4
    assert found.metadata["shots"] == 300 * 3 * (2 * 9 + 4)


def test_what_is_not_wanted_is_not_shifted_and_equal_seeds_draw_equal_shots():
    made = layer(noise="none", shots=100)
    one = made.pulled(ROWS, SLOPES, wanted=[6], seed=5)
    assert one.metadata["bindings"] == 2 * 4
    assert np.flatnonzero(one.gradient.any(axis=0)).tolist() == [6]
    again = made.pulled(ROWS, SLOPES, wanted=[6], seed=5)
    np.testing.assert_array_equal(one.gradient, again.gradient)
    assert (made.pulled(ROWS, SLOPES, wanted=[6], seed=6).gradient != one.gradient).any()


def test_precision_takes_shots_until_it_is_reached():
    found = layer(noise="none", precision=0.02).values(ROWS)
    assert found.metadata["shots"] > 0
    assert (found.errors < 0.025).all()


def test_a_loss_without_slope_costs_nothing():
    found = layer(noise="links").pulled(ROWS, np.zeros((2, 2)))
    assert not found.gradient.any()
    assert found.metadata["bindings"] == 0


def test_wrong_rows_weights_and_options_are_refused():
    made = layer(noise="none")
    for rows in (ROWS[:, :3], [["a"] * 9], np.full((1, 9), np.nan)):
        with pytest.raises(InvalidValue):
            made.values(rows)
    for weights in (SLOPES[:1], np.full((2, 2), np.inf), np.zeros((2, 3))):
        with pytest.raises(InvalidValue):
            made.pulled(ROWS, weights)
    with pytest.raises(InvalidValue):
        Layer(circuit(), ["ZZ"], FABRIC)
    with pytest.raises(InvalidValue):
        Layer(circuit(), SEEN, "fabric")
    with pytest.raises(InvalidValue):
        with_options({"shots": 3})


def test_options_given_beside_take_the_place_of_others_and_copies_share_plans():
    base = FabricOptions(shots=10, noise="links", seed=2)
    assert with_options(base, seed=0) == FabricOptions(shots=10, noise="links", seed=0)
    assert with_options(None, shots=5) == FabricOptions(shots=5)
    made = layer()
    assert copy.deepcopy(made) is made


@pytest.mark.parametrize(("module", "package"), [("torch_layer", "torch"), ("pennylane_device", "pennylane")])
def test_a_missing_package_is_named_with_what_brings_it(module, package, monkeypatch):
    for name in [each for each in sys.modules if each.startswith("hyperfabric_q.interfaces.")]:
        if name.endswith(("torch_layer", "pennylane_device", "pennylane_tape")):
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingDependency, match=rf"hyperfabric_q\[{package}\]"):
        importlib.import_module(f"hyperfabric_q.interfaces.{module}")
