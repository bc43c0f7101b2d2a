"""Observables from rotated bases, against state vectors and closed forms."""

import numpy as np
import pytest
from qiskit import QuantumCircuit
from qiskit.quantum_info import Pauli, SparsePauliOp, Statevector, random_pauli_list

from hyperfabric_q.errors import InvalidValue
from hyperfabric_q.execution.observables import Tally, further, settings_of
from hyperfabric_q.fabric import Fabric

HOMES = ["qpu-0", "qpu-1", "qpu-0", "qpu-1"]


def some_state(seed, qubits=4):
    rng = np.random.default_rng(seed)
    circuit = QuantumCircuit(qubits)
    for qubit in range(qubits):
        circuit.u(*rng.random(3) * 3, qubit)
    for qubit in range(qubits - 1):
        circuit.cp(1.0 + qubit, qubit, qubit + 1)
        circuit.ry(0.7, qubit)
    return circuit


def some_observables(seed, count=4, terms=6):
    rng = np.random.default_rng(seed)
    return [
        SparsePauliOp(random_pauli_list(4, terms, seed=seed + number, phase=False), rng.normal(size=terms))
        for number in range(count)
    ]


def fabric_of(**figures):
    fabric = Fabric.full([2, 2], communication_qubits=1, pair_fidelity=figures.pop("pair", 1.0))
    return fabric.replace("nodes.*", **figures) if figures else fabric


@pytest.mark.parametrize("method", ["dynamic", "exact"])
def test_estimates_are_those_of_the_state_vector(plan_of, method):
    circuit, observables = some_state(1), some_observables(2)
    result = plan_of(circuit, fabric_of(), HOMES).run(
        4000, seed=3, method=method, noise="none", observables=observables
    )
    true = [Statevector(circuit).expectation_value(each).real for each in observables]
    assert np.all(np.abs(result.evs - true) < 5 * result.stds)
    assert np.all(result.stds < 0.15)
    assert result.shots == 4000 * result.settings
    assert result.counts == {}
    assert result.measured_fidelity is None


def test_bars_cover(plan_of):
    plan = plan_of(some_state(4), fabric_of(), HOMES)
    observable = some_observables(8, count=1)
    true = Statevector(some_state(4)).expectation_value(observable[0]).real
    inside = 0
    for seed in range(40):
        found = plan.run(100, seed=seed, method="exact", noise="none", observables=observable).estimates[0]
        inside += abs(found.value - true) <= 1.96 * found.stderr
    assert inside >= 34


def test_every_string_is_measured_in_a_basis_that_has_it():
    rng = np.random.default_rng(5)
    observables = some_observables(5, count=3, terms=10)
    settings = settings_of(observables, 4)
    state = Statevector(rng.normal(size=16) + 1j * rng.normal(size=16))
    state = state / np.linalg.norm(state.data)
    value = settings.constant.copy()
    for setting in settings.settings:
        turned = QuantumCircuit(4)
        for qubit, basis in setting.bases.items():
            if basis == "Y":
                turned.sdg(qubit)
            if basis != "Z":
                turned.h(qubit)
        chances = state.evolve(turned).probabilities_dict(list(setting.bases))
        value += setting.values(list(chances)) @ np.array(list(chances.values()))
    assert value == pytest.approx([state.expectation_value(each).real for each in observables])


def test_strings_that_agree_share_a_setting():
    assert len(settings_of(["ZZII", "IZZI", "ZIIZ", "IIII"], 4)) == 1
    assert len(settings_of(["XXII", "IIZZ", "YYII"], 4)) == 2
    assert len(settings_of([SparsePauliOp(["XX", "YY", "ZZ", "XI", "IZ"])], 2)) == 3
    assert len(settings_of("II", 2)) == 0


def test_identities_are_exact_and_terms_that_cancel_cost_nothing(plan_of):
    plan = plan_of(some_state(1), fabric_of(), HOMES)
    gone = SparsePauliOp(["IIII", "XXXX", "XXXX"], [0.25, 1, -1])
    result = plan.run(100, seed=1, observables=["IIII", gone])
    assert result.evs.tolist() == [1.0, 0.25]
    assert result.stds.tolist() == [0.0, 0.0]
    assert result.shots == result.settings == 0
    assert "exact" in str(result)


def test_misreads_shrink_z_by_1_minus_2e_per_qubit(plan_of):
    circuit = QuantumCircuit(4)
    circuit.x(0)
    result = plan_of(circuit, fabric_of(readout_error=0.05), HOMES).run(
        20_000, seed=2, observables=["IIIZ", Pauli("ZZZZ"), SparsePauliOp("IZIZ", 2.0)]
    )
    expected = [-0.9, -(0.9**4), -2 * 0.9**2]
    assert result.settings == 1
    assert np.all(np.abs(result.evs - expected) < 5 * result.stds)


@pytest.mark.parametrize(("label", "kept"), [("ZZ", 0.7 + 0.1), ("XX", 0.7 + 0.17), ("YY", 0.17 + 0.1)])
def test_pair_errors_shrink_the_correlators_that_they_anticommute_with(plan_of, label, kept):
    from hyperfabric_q.fabric import Link

    circuit = QuantumCircuit(2)
    circuit.h(0)
    circuit.cx(0, 1)
    nodes = Fabric.full([1, 1], communication_qubits=1).nodes
    fabric = Fabric(nodes=nodes, links=(Link("qpu-0", "qpu-1", pair_weights=(0.7, 0.17, 0.03, 0.1)),))
    result = plan_of(circuit, fabric, ["qpu-0", "qpu-1"]).run(20_000, seed=2, observables=label)
    assert result.evs[0] == pytest.approx(2 * kept - 1, abs=5 * result.stds[0])


def test_precision_is_reached_and_little_more(plan_of):
    plan = plan_of(some_state(1), fabric_of(pair=0.95), HOMES)
    observables = some_observables(2)
    result = plan.run(seed=3, observables=observables, precision=0.02)
    assert np.all(result.stds <= 0.02)
    assert result.stds.max() > 0.012
    # Half the error takes four times the shots.
    assert plan.run(seed=3, observables=observables, precision=0.01).shots == pytest.approx(4 * result.shots, rel=0.4)


def test_precision_comes_with_timelines_where_they_are_sampled(plan_of):
    fabric = fabric_of(t2_us=150.0).replace("links.*", pair_rate_hz=1e4, latency_ns=500.0)
    plan = plan_of(some_state(1), fabric, HOMES)
    rough = plan.run(320, seed=3, observables="XXXX")
    assert rough.averaging == "sampled"
    assert plan.run(seed=3, observables="XXXX", precision=0.85 * rough.stds[0]).stds[0] <= 0.85 * rough.stds[0]


def test_bars_of_deterministic_values_are_not_zero(plan_of):
    circuit = QuantumCircuit(4)
    result = plan_of(circuit, fabric_of(), HOMES).run(100, seed=1, observables=["ZZZZ"])
    assert result.evs[0] == 1
    assert result.stds[0] == pytest.approx(2 * np.sqrt(0.5) / 101)


def test_shots_go_where_the_deviation_is():
    settings = settings_of(SparsePauliOp(["XX", "ZZ"], [3.0, 1.0]), 2).settings
    tallies = [Tally.empty(setting) for setting in settings]
    for tally in tallies:
        tally.add({"00": 500, "01": 500})
    (wide, narrow), lines = further(tallies, 0.05)
    assert lines == 0
    assert (wide + 1000) / (narrow + 1000) == pytest.approx(3, rel=0.05)
    assert further(tallies, 10.0) == ([0, 0], 0)


@pytest.mark.parametrize(
    ("observables", "says"),
    [("ZZ", "4"), ([], "at least one"), ("ABCD", "no Pauli"), (SparsePauliOp("ZZZZ", 1j), "real"), (7, "observables")],
)
def test_what_is_no_observable_of_the_circuit_is_refused(plan_of, observables, says):
    plan = plan_of(some_state(1), fabric_of(), HOMES)
    with pytest.raises(InvalidValue, match=says):
        plan.run(10, seed=1, observables=observables)


@pytest.mark.parametrize("precision", [0, -1.0, float("nan"), float("inf"), "small", True, 1e-9])
def test_precision_that_is_none_or_out_of_reach_is_refused(plan_of, precision):
    plan = plan_of(some_state(1), fabric_of(), HOMES)
    with pytest.raises(InvalidValue, match="precision"):
        plan.run(10, seed=1, observables="ZZZZ", precision=precision)


def test_precision_without_observables_is_refused(plan_of):
    with pytest.raises(InvalidValue, match="precision"):
        plan_of(some_state(1), fabric_of(), HOMES).run(10, seed=1, precision=0.1)


def test_estimates_stand_beside_no_distribution(plan_of):
    result = plan_of(some_state(1), fabric_of(), HOMES).run(10, seed=1, observables="ZZZZ")
    with pytest.raises(InvalidValue, match="observables"):
        result.compare()
    assert result.to_dict()["estimates"][0]["shots"] == 10
    assert "estimates" in repr(result)
    assert result.predicted_fidelity.kind == "process"
