"""Whole runs: a plan in, counts out, against closed forms."""

import numpy as np
import pytest
from qiskit import ClassicalRegister, QuantumCircuit, QuantumRegister
from qiskit.circuit import Clbit, Qubit

from hyperfabric_q.errors import HyperFabricWarning, InvalidValue, SimulationRefused, VerificationFailed
from hyperfabric_q.execution import run
from hyperfabric_q.fabric import Fabric, Link
from hyperfabric_q.simulate import probabilities

WEIGHTS = (0.7, 0.17, 0.03, 0.1)
SHOTS = 20_000


def close(p, shots=SHOTS):
    return pytest.approx(p, abs=5 * np.sqrt(max(p * (1 - p), 1e-4) / shots))


def two_nodes(weights=None, **errors):
    fabric = Fabric.full([1, 1], communication_qubits=1)
    nodes = (fabric.replace("nodes.*", **errors) if errors else fabric).nodes
    return Fabric(nodes=nodes, links=(Link("qpu-0", "qpu-1", pair_weights=weights or (1.0, 0.0, 0.0, 0.0)),))


def bell(basis):
    """A Bell pair through one teleported CX, both halves read in one basis."""
    circuit = QuantumCircuit(2, 2)
    circuit.h(0)
    circuit.cx(0, 1)
    for qubit in (0, 1):
        if basis == "y":
            circuit.sdg(qubit)
        if basis != "z":
            circuit.h(qubit)
    circuit.measure([0, 1], [0, 1])
    return circuit


def even_share(result):
    return (result.counts.get("00", 0) + result.counts.get("11", 0)) / result.shots


@pytest.mark.parametrize(
    ("basis", "even"),
    # On the control |+> and target |0> of a CX, a flipped copy flips the target and a phase-flipped one the control's
    # phase: the output is a Bell pair with the link's own error on it.
    [("z", WEIGHTS[0] + WEIGHTS[3]), ("x", WEIGHTS[0] + WEIGHTS[1]), ("y", WEIGHTS[1] + WEIGHTS[3])],
)
def test_teleported_cx_passes_the_error_of_its_pair_on(plan_of, basis, even):
    plan = plan_of(bell(basis), two_nodes(WEIGHTS), ["qpu-0", "qpu-1"])
    assert even_share(run(plan, shots=SHOTS, noise="links", seed=3)) == close(even)
    assert even_share(run(plan, shots=SHOTS, noise="none", seed=3)) == close(float(basis != "y"))


@pytest.mark.parametrize("fidelity", [0.25, 0.6, 0.95])
def test_process_fidelity_of_a_teleported_cx_is_that_of_its_werner_pair(plan_of, fidelity):
    # F = (1 + <XX> - <YY> + <ZZ>) / 4 of the Bell pair it makes, each correlator 2 P(even) - 1.
    rest = (1 - fidelity) / 3
    fabric = two_nodes((fidelity, rest, rest, rest))
    even = {
        basis: even_share(run(plan_of(bell(basis), fabric, ["qpu-0", "qpu-1"]), shots=SHOTS, noise="links", seed=5))
        for basis in "xyz"
    }
    correlators = {basis: 2 * share - 1 for basis, share in even.items()}
    found = (1 + correlators["x"] - correlators["y"] + correlators["z"]) / 4
    assert found == pytest.approx(fidelity, abs=5 * np.sqrt(3) / 4 / np.sqrt(SHOTS))


def test_readout_errors_strike_protocol_bits_and_results(plan_of):
    # A misread of the first protocol bit leaves X on the copy (the target flips), one of the second Z on the control
    # (invisible here); then each result may be misread: an odd number of three flips makes the parity odd.
    e = 0.06
    plan = plan_of(bell("z"), two_nodes(readout_error=e), ["qpu-0", "qpu-1"])
    assert even_share(run(plan, shots=SHOTS, seed=1)) == close((1 + (1 - 2 * e) ** 3) / 2)
    assert even_share(run(plan, shots=SHOTS, noise="links", seed=1)) == 1


def test_noise_none_reproduces_the_ideal_distribution(plan_of):
    rng = np.random.default_rng(2)
    circuit = QuantumCircuit(4, 4)
    for layer in range(3):
        for qubit in range(4):
            circuit.u(*rng.random(3) * np.pi, qubit)
        circuit.cp(rng.random() * np.pi, layer, 3)
        circuit.swap(0, 2)
    circuit.measure(range(4), range(4))
    fabric = Fabric.full([2, 2], communication_qubits=1, pair_fidelity=0.5).replace("nodes.*", gate_error_2q=0.3)
    result = run(plan_of(circuit, fabric, ["qpu-0", "qpu-1"] * 2), shots=SHOTS, noise="none", seed=4)
    ideal = probabilities(circuit)
    expected = np.array([SHOTS * chance for chance in ideal.values()])
    seen = np.array([result.counts.get(key, 0) for key in ideal])
    # Pearson's statistic has mean k - 1 and variance 2 (k - 1).
    degrees = len(expected) - 1
    assert seen.sum() == SHOTS
    assert ((seen - expected) ** 2 / expected).sum() < degrees + 5 * np.sqrt(2 * degrees)
    assert result.measured_fidelity.is_perfect


@pytest.mark.parametrize("noise", ["fabric", "links", "none"])
def test_same_seed_same_counts(plan_of, noise):
    plan = plan_of(bell("z"), two_nodes(WEIGHTS, gate_error_1q=0.01), ["qpu-0", "qpu-1"])
    assert run(plan, shots=500, noise=noise, seed=7) == run(plan, shots=500, noise=noise, seed=7)
    assert run(plan, shots=500, noise=noise, seed=8).counts != run(plan, shots=500, noise=noise, seed=7).counts
    fresh = run(plan, shots=500, noise=noise)
    assert run(plan, shots=500, noise=noise, seed=fresh.seed).counts == fresh.counts


def test_counts_are_those_of_the_users_registers_in_qiskits_order(plan_of):
    a, b = ClassicalRegister(2, "a"), ClassicalRegister(1, "b")
    circuit = QuantumCircuit([Qubit(), Qubit(), Qubit()], a, b)
    circuit.add_bits([Clbit()])
    circuit.x([0, 2])
    circuit.cz(0, 1)
    circuit.measure(0, a[1])
    circuit.measure(1, b[0])
    circuit.measure(2, circuit.clbits[3])
    fabric = Fabric.full([2, 1], communication_qubits=1)
    result = run(plan_of(circuit, fabric, ["qpu-0", "qpu-1", "qpu-0"]), shots=50, seed=1)
    assert result.counts == {"1 0 10": 50}
    assert result.registers == (("a", 2), ("b", 1), ("c_loose", 1))
    assert result.counts.keys() == result.ideal.keys()


def test_circuit_without_measurements_is_measured_into_meas(plan_of):
    circuit = QuantumCircuit(QuantumRegister(3, "q"), ClassicalRegister(1, "meas"))
    circuit.x([0, 1])
    circuit.cz(0, 1)
    fabric = Fabric.full([1, 2], communication_qubits=1)
    result = run(plan_of(circuit, fabric, ["qpu-0", "qpu-1", "qpu-1"]), shots=20, seed=1)
    assert result.counts == {"011 0": 20}
    assert result.registers == (("meas", 1), ("meas_1", 3))
    assert result.ideal == {"011 0": 1.0}
    assert circuit.num_clbits == 1


def test_feed_forward_and_reuse_of_the_users_own_run_as_written(plan_of):
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
    fabric = Fabric.full([1, 1, 1], communication_qubits=2)
    result = run(plan_of(circuit, fabric, ["qpu-0", "qpu-1", "qpu-2"]), shots=6000, noise="none", seed=9)
    assert set(result.counts) == set(result.ideal)
    for key, chance in result.ideal.items():
        assert result.counts[key] / 6000 == close(chance, 6000)


@pytest.mark.parametrize("shots", [0, -1, 10_000_001, 1.5, "100", True, None])
def test_shots_that_are_no_count_are_refused(plan_of, shots):
    with pytest.raises(InvalidValue, match="shots"):
        run(plan_of(bell("z"), two_nodes(), ["qpu-0", "qpu-1"]), shots=shots)


@pytest.mark.parametrize("noise", ["Fabric", "", None, 0])
def test_unknown_noise_is_refused_with_the_known_ones(plan_of, noise):
    with pytest.raises(InvalidValue, match="'fabric', 'links', 'none'"):
        run(plan_of(bell("z"), two_nodes(), ["qpu-0", "qpu-1"]), noise=noise)


def test_plan_that_failed_verification_is_not_run(plan_of):
    with pytest.raises(VerificationFailed, match="not run"):
        run(plan_of(bell("z"), two_nodes(), ["qpu-0", "qpu-1"], label="failed"))


def test_hours_of_simulation_are_refused_at_once_with_the_shots_that_fit(plan_of):
    circuit = QuantumCircuit(14, 14)
    for qubit in range(13):
        circuit.rx(0.3, qubit)
        circuit.cx(qubit, qubit + 1)
        circuit.measure(qubit, qubit)
        circuit.rx(0.3, qubit)
    fabric = Fabric.full([7, 7], communication_qubits=1, pair_fidelity=0.9)
    plan = plan_of(circuit, fabric, ["qpu-0"] * 7 + ["qpu-1"] * 7)
    with pytest.raises(SimulationRefused, match=r"Ask for at most \d+ shots"):
        run(plan, shots=10_000_000, method="dynamic", seed=1)
    assert run(plan, shots=3, method="dynamic", seed=1).shots == 3


def test_a_long_run_is_announced(plan_of, monkeypatch):
    monkeypatch.setattr("hyperfabric_q.execution.sample.LONG_S", 0.0)
    with pytest.warns(HyperFabricWarning, match="communication_qubits"):
        run(plan_of(bell("z"), two_nodes(), ["qpu-0", "qpu-1"]), shots=5, method="dynamic", noise="none", seed=1)
