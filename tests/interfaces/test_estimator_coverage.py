"""Standard errors of estimates hold what they say: about 95.4 % of values are within two of them, over many seeds."""

import numpy as np
import pytest
from qiskit import QuantumCircuit
from qiskit.circuit import Parameter
from qiskit.quantum_info import SparsePauliOp

from hyperfabric_q.fabric import Fabric
from hyperfabric_q.interfaces import FabricEstimator, FabricOptions

SHOTS = 500
FABRIC = Fabric.line([2, 1], communication_qubits=1, pair_fidelity=0.93).replace("nodes.*", gate_error_2q=0.01)
ENERGY = SparsePauliOp(["ZZI", "IXX", "YIY", "IIZ"], [1.0, 0.6, -0.4, 0.3])
A = Parameter("a")


def ansatz():
    circuit = QuantumCircuit(3)
    circuit.ry(A, 0)
    circuit.rx(0.4, 1)
    circuit.cx(0, 1)
    circuit.cx(1, 2)
    circuit.ry(0.3 - A, 2)
    return circuit


def dynamic(angle):
    """A measurement in the middle, whose outcome turns two other qubits, and a reset."""
    circuit = QuantumCircuit(3, 1)
    circuit.ry(angle, 0)
    circuit.h(2)
    circuit.cx(0, 1)
    circuit.measure(0, 0)
    with circuit.if_test((circuit.clbits[0], 1)):
        circuit.x(2)
        circuit.rz(0.7, 2)
    circuit.reset(0)
    circuit.cz(1, 2)
    circuit.ry(0.8, 0)
    circuit.cx(0, 2)
    return circuit


def estimator(seed, noise, shots):
    return FabricEstimator(FABRIC, options=FabricOptions(noise=noise, shots=shots, time_limit_s=0, seed=seed))


def inside(values, errors, exact):
    assert (errors > 0).all()
    return float((np.abs(values - exact) <= 2 * errors).mean())


def of_bindings(noise, runs, circuit=None):
    """The part of bindings of one PUB, each with a seed of its own, that is within two standard errors."""
    circuit = ansatz() if circuit is None else circuit
    rows = np.linspace(-3, 3, runs)[:, None]
    (drawn,) = estimator(11, noise, SHOTS).run([(circuit, ENERGY, rows)]).result()
    (exact,) = estimator(11, noise, None).run([(circuit, ENERGY, rows)]).result()
    assert drawn.metadata["shots"] == runs * SHOTS * 3  # three bases
    assert exact.metadata["exact"]
    assert not exact.metadata["fallbacks"]
    return inside(drawn.data.evs, drawn.data.stds, exact.data.evs)


def of_seeds(noise, runs):
    """The same of a dynamic circuit without parameters: each PUB of a job is a run of the emitted circuit."""
    made = dynamic(0.9)
    job = estimator(7, noise, SHOTS).run([(made, ENERGY)] * runs)
    found = job.result()
    assert len({each.metadata["seed"] for each in found}) == runs
    (exact,) = estimator(7, noise, None).run([(made, ENERGY)]).result()
    assert exact.metadata["exact"]
    values, errors = (np.array([getattr(each.data, name) for each in found]) for name in ("evs", "stds"))
    return inside(values, errors, exact.data.evs)


def test_four_hundred_values_are_within_two_standard_errors_as_often_as_they_should():
    # 95.4 % are expected, with a deviation of 1.0 %.
    assert 0.92 < of_bindings("none", 400) < 0.985


def test_values_of_dynamic_circuits_are_within_two_standard_errors_as_often_as_they_should():
    # 40 runs: a deviation of 3.3 %. Bars of half the size would hold 68 % of the values.
    assert of_seeds("links", 40) > 0.85


@pytest.mark.slow
@pytest.mark.parametrize("noise", ["none", "links", "fabric"])
def test_two_thousand_values_are_within_two_standard_errors_in_94_to_97_percent(noise):
    assert 0.94 <= of_bindings(noise, 2000) <= 0.97


@pytest.mark.slow
@pytest.mark.parametrize("noise", ["none", "links"])
def test_two_thousand_values_of_dynamic_circuits_are_within_in_94_to_97_percent(noise):
    assert 0.94 <= of_seeds(noise, 2000) <= 0.97
