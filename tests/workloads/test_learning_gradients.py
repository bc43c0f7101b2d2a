"""Gradients from shots, along random directions, on a fabric and in parts."""

import numpy as np
import pytest
from qiskit import QuantumCircuit
from qiskit.circuit import Parameter, ParameterVector
from qiskit.quantum_info import DensityMatrix, Pauli, SparsePauliOp

from hyperfabric_q.errors import InvalidValue, UnknownName
from hyperfabric_q.execution.measured import with_measurements
from hyperfabric_q.fabric import Fabric
from hyperfabric_q.simulate.probabilities import probabilities
from hyperfabric_q.workloads.learning import adjoint
from hyperfabric_q.workloads.learning.gradients import gradient
from hyperfabric_q.workloads.learning.in_parts import InParts
from hyperfabric_q.workloads.learning.on_fabric import OnFabric
from hyperfabric_q.workloads.learning.sources import Ideal


def ladder(qubits, layers=1):
    theta = iter(ParameterVector("t", qubits * layers))
    circuit = QuantumCircuit(qubits)
    for _ in range(layers):
        for qubit in range(qubits):
            circuit.ry(next(theta), qubit)
        for qubit in range(qubits - 1):
            circuit.cx(qubit, qubit + 1)
    return circuit


def controlled():
    """A controlled rotation and a tied angle: four-term rules and sums over turns."""
    a, b = Parameter("a"), Parameter("b")
    circuit = QuantumCircuit(2)
    circuit.h(0)
    circuit.ry(a, 1)
    circuit.crx(2 * b - a, 0, 1)
    circuit.rz(b, 0)
    return circuit


# ---------------------------------------------------------------------------------------------------------------- shots


def test_bars_of_shots_hold_what_they_say():
    source = Ideal.of(controlled(), [SparsePauliOp(["XZ", "ZI", "YY"], [1.0, 0.5, -0.7]), SparsePauliOp("ZX")])
    row = np.array([0.7, -0.4])
    exact = gradient(source, row)
    inside = np.zeros(2)
    entries = 0
    for seed in range(250):
        found = gradient(source, row, shots=200, seed=seed)
        for place, (value, error, wanted) in enumerate(
            [(found.values, found.value_errors, exact.values), (found.gradient, found.errors, exact.gradient)]
        ):
            inside[place] += (np.abs(value - wanted) <= 2 * error).mean()
        entries += 1
    # 250 runs of 2 values and of 4 derivatives: about 0.954 is expected, with deviations of 0.010 and 0.007.
    assert 0.92 < inside[0] / entries < 0.985
    assert 0.93 < inside[1] / entries < 0.98


def test_bars_shrink_with_the_root_of_the_shots_and_seeds_reproduce():
    source = Ideal.of(ladder(3), "ZZX")
    row = np.full(3, 0.9)
    few, many = (gradient(source, row, shots=shots, seed=5) for shots in (1000, 16000))
    np.testing.assert_allclose(few.errors / many.errors, 4, rtol=0.15)
    assert many.shots == 16000 * (1 + 2 * 3)
    again = gradient(source, row, shots=1000, seed=5)
    np.testing.assert_array_equal(few.gradient, again.gradient)
    assert (gradient(source, row, shots=1000, seed=6).gradient != few.gradient).any()


def test_shots_that_all_agree_still_have_a_bar():
    circuit = QuantumCircuit(1)
    circuit.rz(Parameter("a"), 0)
    found = gradient(Ideal.of(circuit, "Z"), [0.3], shots=100, seed=1)
    assert found.values[0] == 1
    assert 0 < found.value_errors[0] < 0.05


def test_only_what_is_asked_for_is_shifted():
    source = Ideal.of(controlled(), "ZZ")
    one = gradient(source, [0.2, 0.5], by=["b"], method="parameter_shift")
    # b turns crx, with four terms, and rz, with two.
    assert one.evaluations == 1 + 6
    assert one.parameters == ("b",)
    both = gradient(source, [0.2, 0.5])
    np.testing.assert_allclose(one.gradient[0, 0], both.gradient[0, 1], atol=1e-14)
    with pytest.raises(UnknownName, match="'c'"):
        gradient(source, [0.2, 0.5], by=["c"])


def test_spsa_has_the_gradient_as_its_mean_and_bars_that_hold():
    source = Ideal.of(ladder(3), "ZZZ")
    row = np.array([0.4, 1.0, -0.6])
    exact = gradient(source, row).gradient
    many = gradient(source, row, method="spsa", directions=4000, step=0.01, seed=2)
    np.testing.assert_allclose(many.gradient, exact, atol=4 * many.errors.max())
    inside = [
        (np.abs(found.gradient - exact) <= 2 * found.errors).mean()
        for found in (gradient(source, row, method="spsa", directions=40, step=0.01, seed=seed) for seed in range(150))
    ]
    assert 0.9 < np.mean(inside) < 0.98
    assert gradient(source, row, method="spsa", directions=4, seed=0).evaluations == 9


@pytest.mark.parametrize(
    "options",
    [{"shots": 1}, {"shots": 1.5}, {"method": "magic"}, {"method": "adjoint", "shots": 10}, {"seed": -1}]
    + [{"method": "spsa", **each} for each in ({"directions": 1}, {"step": 0}, {"step": "wide"})],
)
def test_wrong_options_are_refused(options):
    with pytest.raises(InvalidValue):
        gradient(Ideal.of(ladder(2), "ZZ"), [0.1, 0.2], **options)


# --------------------------------------------------------------------------------------------------------------- fabric


def measured_mean(plan, mask):
    """The mean of a product of Z on the emitted circuit itself: Bell pairs, measurements and corrections."""
    turned, register = with_measurements(plan, dict.fromkeys(range(plan.qubits), "Z"))
    circuit = turned.routed.circuit
    place = [each.name for each in reversed(circuit.cregs)].index(register.name)
    return sum(
        chance * (-1) ** (int(key.split()[place], 2) & mask).bit_count()
        for key, chance in probabilities(circuit).items()
    )


def test_the_gradient_on_two_qpus_is_that_of_the_emitted_circuit_and_of_the_circuit_itself():
    circuit = ladder(4, layers=2)
    fabric = Fabric.line([2, 2], communication_qubits=2, pair_fidelity=0.9)
    source = OnFabric.of(circuit, "ZIZZ", fabric, noise="none", homes=["qpu-0"] * 2 + ["qpu-1"] * 2, seed=1)
    assert source.plan.ebits >= 2
    row = np.random.default_rng(0).uniform(-3, 3, 8)
    found = gradient(source, row)
    alone = gradient(Ideal.of(circuit, "ZIZZ"), row)
    assert found.method == "adjoint"
    np.testing.assert_allclose(found.gradient, alone.gradient, atol=1e-12)
    for place in range(0, 8, 3):
        ends = []
        for by in (np.pi / 2, -np.pi / 2):
            moved = source.form.angles.at(row[None])[0]
            moved[place] += by
            plan = source.at(moved)
            assert plan.ebits
            ends.append(measured_mean(plan, 0b1011))
        assert found.gradient[0, place] == pytest.approx((ends[0] - ends[1]) / 2, abs=1e-10)


def with_one_pair(angles, fidelity):
    """The density matrix of two qubits after a CX by one Werner pair: CX, then X_t, X_t Z_c or Z_c by chance."""
    circuit = QuantumCircuit(2)
    circuit.ry(angles[0], 0)
    circuit.ry(angles[1], 1)
    circuit.cx(0, 1)
    state = DensityMatrix(circuit)
    weights = [fidelity] + [(1 - fidelity) / 3] * 3
    mixed = sum(
        weight * state.evolve(Pauli(error)).data
        for weight, error in zip(weights, ["II", "XI", "XZ", "IZ"], strict=True)
    )
    last = QuantumCircuit(2)
    last.ry(angles[2], 1)
    last.rx(angles[3], 0)
    return DensityMatrix(mixed).evolve(last)


def test_the_gradient_with_imperfect_pairs_is_that_of_their_effective_channel():
    theta = ParameterVector("t", 4)
    circuit = QuantumCircuit(2)
    circuit.ry(theta[0], 0)
    circuit.ry(theta[1], 1)
    circuit.cx(0, 1)
    circuit.ry(theta[2], 1)
    circuit.rx(theta[3], 0)
    observable = SparsePauliOp(["ZZ", "XI", "YX"], [1.0, 0.6, -0.8])
    fabric = Fabric.line([1, 1], communication_qubits=1, pair_fidelity=0.88)
    source = OnFabric.of(circuit, observable, fabric, noise="links", seed=3)
    row = np.array([0.5, 1.2, -0.8, 0.9])
    found = gradient(source, row)
    assert found.method == "parameter_shift"
    assert found.notes == ()

    def value(angles):
        return with_one_pair(angles, 0.88).expectation_value(observable).real

    assert found.values[0] == pytest.approx(value(row), abs=1e-12)
    wanted = [(value(row + unit) - value(row - unit)) / 2e-5 for unit in 1e-5 * np.eye(4)]
    np.testing.assert_allclose(found.gradient[0], wanted, atol=1e-9)
    assert np.abs(found.gradient - gradient(Ideal.of(circuit, observable), row).gradient).max() > 0.02
    sampled = gradient(source, row, by=["t[0]"], shots=4000, seed=7)
    assert abs(sampled.gradient[0, 0] - wanted[0]) < 4 * sampled.errors[0, 0]
    assert sampled.shots == 3 * 4000 * len(source.settings)


@pytest.mark.slow
def test_exact_values_with_all_errors_are_what_shots_of_the_plan_have_as_their_mean():
    fabric = Fabric.line([2, 1], communication_qubits=1, pair_fidelity=0.9)
    fabric = fabric.replace("nodes.*", t1_us=300.0, t2_us=200.0, gate_error_1q=4e-3, gate_error_2q=1e-2)
    fabric = fabric.replace("nodes.*", readout_error=0.03).replace("links.*", pair_rate_hz=2e4)
    observables = ["ZZZ", "XIX"]
    source = OnFabric.of(ladder(3), observables, fabric, homes=["qpu-0", "qpu-0", "qpu-1"], seed=2)
    angles = np.array([[0.4, 1.1, -0.7]])
    exact = source.read(angles, shots=None, seed=0)
    sampled = source.at(angles[0]).run(20_000, observables=observables, seed=9)
    for value, error, found in zip(exact.values[0], exact.errors[0], sampled.estimates, strict=True):
        assert 0 < error < 0.02
        assert abs(value - found.value) < 3.5 * np.hypot(error, found.stderr)
    assert "timelines" in exact.notes[0]
    ideal = Ideal.of(ladder(3), observables).read(angles, shots=None, seed=0).values
    assert np.abs(exact.values - ideal).max() > 10 * max(each.stderr for each in sampled.estimates)


def test_noise_needs_shots_or_shifts_and_says_where_gates_vanish():
    fabric = Fabric.line([1, 1], communication_qubits=1, pair_fidelity=0.9)
    source = OnFabric.of(ladder(2), "ZZ", fabric, noise="links", seed=1)
    with pytest.raises(InvalidValue, match="noiseless"):
        gradient(source, [0.1, 0.2], method="adjoint")
    (note,) = gradient(source, [0.0, 0.3]).notes
    assert "merge otherwise" in note
    with pytest.raises(InvalidValue, match="noise"):
        OnFabric.of(ladder(2), "ZZ", fabric, noise="loud")


# ---------------------------------------------------------------------------------------------------------------- parts


def test_in_parts_only_the_part_of_the_angle_runs_again():
    circuit = ladder(4)
    row = np.array([0.3, 0.8, -0.5, 1.4])
    source = InParts.of(circuit, ["ZZZZ", "XIIX"], assignment="AABB", seed=1)
    found = gradient(source, row)
    alone = gradient(Ideal.of(circuit, ["ZZZZ", "XIIX"]), row)
    np.testing.assert_allclose(found.gradient, alone.gradient, atol=1e-10)
    np.testing.assert_allclose(found.values, alone.values, atol=1e-12)
    # Two parts once, then one part for each of the two shifts of each of four angles.
    assert source.bench.runs.fragments == 2 + 2 * 4


def test_in_parts_bars_of_shots_hold():
    circuit = ladder(4)
    row = np.array([0.3, 0.8, -0.5, 1.4])
    source = InParts.of(circuit, "ZZZZ", assignment="AABB", seed=1)
    exact = adjoint.derivatives(source.form, source.sums, row[None]).jacobian[0]
    far = []
    for seed in range(6):
        found = gradient(source, row, shots=2000, seed=seed)
        far.append((found.gradient - exact) / found.errors)
    assert 0.5 < np.std(far) < 1.6
