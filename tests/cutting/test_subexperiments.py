"""The circuits that devices run hold what the fragments hold, and their outcomes go back together."""

import json
import warnings

import numpy as np
import pytest
from qiskit import ClassicalRegister, QuantumCircuit, generate_preset_pass_manager
from qiskit.circuit.library import UnitaryGate
from qiskit.primitives import BackendSamplerV2, StatevectorSampler
from qiskit.providers.fake_provider import GenericBackendV2
from qiskit.quantum_info import SparsePauliOp, Statevector, random_unitary
from qiskit_aer.primitives import SamplerV2

from hyperfabric_q.cutting.assignment import Assignment
from hyperfabric_q.cutting.plan import cut
from hyperfabric_q.cutting.subexperiments import Subexperiments
from hyperfabric_q.errors import HyperFabricWarning, InvalidValue, OutcomesUnfit, OverheadTooHigh

MANY = 1e16
"""Shots so many that rounded counts are the law itself."""


SEEDS = (1, 3, 5, 7, 8, 9, 11, 15, 17, 18, 24, 26, 31, 33)
"""Random circuits with few variants: gates and wires cut, ancillas, resets, measurements and conditions in the middle,
variants that come out as the same circuit."""


@pytest.fixture
def laws_of(oracle_rows):
    """Counts of a circuit by an oracle that shares nothing with the engine: branch by branch, to 1e-13."""

    def counts(circuit):
        found = {}
        for state, bits in oracle_rows(circuit):
            weight = float(np.vdot(state.data, state.data).real)
            key = "".join(str(bits[bit]) for bit in reversed(circuit.clbits))
            found[key] = found.get(key, 0.0) + weight
        return {key: round(MANY * weight) for key, weight in found.items()}

    return counts


def ansatz(qubits, reps, seed=0):
    rng = np.random.default_rng(seed)
    circuit = QuantumCircuit(qubits)
    for layer in range(reps + 1):
        for qubit in range(qubits):
            circuit.u(*(float(each) for each in rng.uniform(0, 6, 3)), qubit)
        for qubit in range(qubits - 1 if layer < reps else 0):
            circuit.cx(qubit, qubit + 1)
    return circuit


def truth_of(circuit, observables):
    state = Statevector(circuit)
    return np.array([state.expectation_value(SparsePauliOp(each)).real for each in observables])


@pytest.mark.parametrize("seed", SEEDS)
def test_emitted_circuits_hold_exactly_what_the_whole_circuit_holds(
    seed, make_circuit, make_observables, oracle, laws_of
):
    rng = np.random.default_rng(seed)
    qubits = int(rng.integers(3, 5))
    circuit, assignment = make_circuit(
        rng, qubits, 12, classical=bool(seed % 2), wires=int(rng.integers(0, 3)), general=seed % 3 == 0
    )
    observables = make_observables(rng, qubits, 2)
    plan = cut(circuit, assignment=assignment, reuse=seed % 4 < 2)
    made = plan.subexperiments(observables)
    assert sum(len(each.variants) for each in made) == plan.unique_subexperiments(observables)
    for each in made:
        assert each.circuit.num_qubits <= plan.widths[each.part] + plan.ancillas[each.part]
    found = made.reconstruct({each.id: laws_of(each.circuit) for each in made})
    np.testing.assert_allclose(found.evs, oracle(circuit, observables), atol=1e-6)


def test_a_condition_on_a_whole_register_is_kept(oracle, laws_of):
    circuit = QuantumCircuit(4)
    register = ClassicalRegister(2, "r")
    circuit.add_register(register)
    circuit.u(0.5, 0.6, 0.7, 0)
    circuit.u(1.5, 0.6, 0.7, 1)
    circuit.measure([0, 1], register)
    with circuit.if_test((register, 2)) as otherwise:
        circuit.ry(0.8, 0)
    with otherwise:
        circuit.rx(0.3, 1)
        circuit.cx(0, 1)
    circuit.cx(1, 2)
    circuit.crx(0.9, 2, 3)
    observables = ["ZZZZ", "XYZI", "IYYI"]
    made = cut(circuit, assignment="AABB").subexperiments(observables)
    found = made.reconstruct({each.id: laws_of(each.circuit) for each in made})
    np.testing.assert_allclose(found.evs, oracle(circuit, observables), atol=1e-6)


def test_a_qubit_whose_wire_ended_is_used_again(laws_of):
    circuit = QuantumCircuit(4)
    for qubit in range(4):
        circuit.ry(0.4 + qubit, qubit)
    for qubit in range(3):
        circuit.cx(qubit, qubit + 1)
    # Part 0 runs the first gate, part 1 the second, part 0 the third: it needs two qubits at a time.
    who = Assignment(parts=2, segments=(((0, 0),), ((0, 0), (5, 1)), ((0, 1), (6, 0)), ((0, 0),)))
    plain, again = (cut(circuit, assignment=who, reuse=reuse) for reuse in (False, True))
    assert plain.widths[0] > again.widths[0]
    observables = ["ZZZZ", "XXII"]
    for plan in (plain, again):
        made = plan.subexperiments(observables)
        assert max(each.circuit.num_qubits for each in made if each.part == 0) <= plan.widths[0]
        found = made.reconstruct({each.id: laws_of(each.circuit) for each in made})
        np.testing.assert_allclose(found.evs, truth_of(circuit, observables), atol=1e-6)


def test_a_general_gate_takes_one_more_qubit_on_one_part():
    circuit = QuantumCircuit(4)
    circuit.cx([0, 3], [1, 2])
    circuit.append(UnitaryGate(random_unitary(4, seed=5)), [1, 2])
    plan = cut(circuit, assignment="AABB")
    assert plan.ancillas == (0, 1)
    made = plan.subexperiments(["ZZZZ"])
    assert max(each.circuit.num_qubits for each in made if each.part == 0) == 2
    assert max(each.circuit.num_qubits for each in made if each.part == 1) == 3


def test_the_same_circuit_has_the_same_id_and_no_two_circuits_share_one():
    circuit = ansatz(6, 2)
    plan = cut(circuit, assignment="AAABBB")
    one, other = plan.subexperiments(["ZZZZZZ"]), plan.subexperiments(["ZZZZZZ", "XXXXXX"])
    assert {each.id for each in one} < {each.id for each in other}
    again = cut(circuit, assignment="AAABBB").subexperiments(["ZZZZZZ"])
    assert [each.id for each in again] == [each.id for each in one]
    circuit.x(0)
    changed = cut(circuit, assignment="AAABBB").subexperiments(["ZZZZZZ"])
    assert {each.part for each in changed if each.id in {each.id for each in one}} == {1}
    for each in other:
        assert each.circuit.metadata["hyperfabric_q"] == {"id": each.id, "part": each.part, "shots": 1024}
        assert other[each.id] is each


def test_gates_keep_their_names_where_qiskit_has_one():
    circuit = QuantumCircuit(6)
    circuit.h(range(6))
    for a, b in ((0, 1), (2, 1), (4, 3), (4, 5)):
        circuit.cx(a, b)
    circuit.cz(0, 2)
    circuit.rzz(0.3, 2, 3)
    for each in cut(circuit, assignment="AAABBB").subexperiments(["ZZZZZZ"]):
        assert "unitary" not in each.circuit.count_ops()
        assert each.circuit.count_ops()["cx"] == 2


def test_shots_add_up_and_a_simulation_can_say_where_they_go():
    plan = cut(ansatz(6, 1), assignment="AAABBB")
    even = plan.subexperiments(["ZZZZZZ", "XXXXXX"], shots=1003)
    assert even.shots == 1003
    assert {each.shots for each in even} <= {1003 // len(even), 1003 // len(even) + 1}
    uneven = plan.subexperiments(["ZZZZZZ", "XXXXXX"], shots=5000, allocation="neyman", seed=1)
    assert uneven.shots == 5000
    assert max(each.shots for each in uneven) > 3 * min(each.shots for each in uneven)
    with pytest.raises(InvalidValue, match="at least 20"):
        plan.subexperiments(["ZZZZZZ", "XXXXXX"], shots=19)


# ---------------------------------------------------------------------------------------------------------- outcomes


@pytest.fixture(scope="module")
def job():
    circuit = ansatz(4, 1, seed=2)
    observables = ["ZZZZ", "IZZI", "XIIX"]
    made = cut(circuit, assignment="AABB").subexperiments(observables)
    results = SamplerV2(seed=4).run([(each, None, 400) for each in made.circuits]).result()
    return made, list(results), truth_of(circuit, observables)


def test_outcomes_come_in_any_order_and_in_every_form(job):
    made, results, truth = job
    counts = {each.id: result.data.c.get_counts() for each, result in zip(made, results, strict=True)}
    first = made.reconstruct(counts)
    assert (np.abs(first.evs - truth) < 5 * first.stds).all()
    assert first.shots == 400 * len(made)
    forms = [
        dict(reversed(counts.items())),
        list(reversed(counts.items())),
        [list(each) for each in counts.items()],
        results[::-1],
        {each.id: result.data.c for each, result in zip(made, results, strict=True)},
        {name: {int(key, 2): times for key, times in own.items()} for name, own in counts.items()},
        {name: {hex(int(key, 2)): times for key, times in own.items()} for name, own in counts.items()},
    ]
    for form in forms:
        again = made.reconstruct(form)
        assert [each.value for each in again] == [each.value for each in first]
        assert [each.stderr for each in again] == [each.stderr for each in first]


def test_another_process_can_run_and_reconstruct(job):
    made, results, _ = job
    there = Subexperiments.from_dict(json.loads(json.dumps(made.to_dict())))
    assert [each.id for each in there] == [each.id for each in made]
    assert there.labels == made.labels == ("ZZZZ@0,1,2,3", "ZZ@1,2", "XX@0,3")
    one, other = made.reconstruct(results), there.reconstruct(results)
    assert [(each.value, each.stderr) for each in one] == [(each.value, each.stderr) for each in other]
    assert there.circuits[3].metadata == made.circuits[3].metadata
    again = SamplerV2(seed=4).run([(each, None, 400) for each in there.circuits]).result()
    np.testing.assert_allclose(there.reconstruct(again).evs, one.evs, atol=5 * one.stds.max())
    assert json.loads(json.dumps(there.to_dict())) == made.to_dict()


def test_outcomes_that_do_not_fit_are_refused_by_name(job):
    made, results, _ = job
    counts = {each.id: result.data.c.get_counts() for each, result in zip(made, results, strict=True)}
    names = list(counts)
    with pytest.raises(OutcomesUnfit, match=f"{names[0]}.* gave nothing"):
        made.reconstruct({name: counts[name] for name in names[1:]})
    with pytest.raises(OutcomesUnfit, match=f"{names[2]} come twice"):
        made.reconstruct([*counts.items(), (names[2], counts[names[2]])])
    with pytest.raises(OutcomesUnfit, match="abcd belong to none"):
        made.reconstruct({**counts, "abcd": {"00": 1}})
    with pytest.raises(OutcomesUnfit, match="does not say which circuit"):
        made.reconstruct([{"00": 1}])
    with pytest.raises(OutcomesUnfit, match=f"{names[1]} has no shots"):
        made.reconstruct({**counts, names[1]: {}})
    for bad in ({"01": 5}, {"2" * 3: 5}, {"0x100": 4}, {0: -3}, {0: 2.5}, {-1: 2}, {(0, 1): 3}, 7):
        with pytest.raises(OutcomesUnfit, match=names[1]):
            made.reconstruct({**counts, names[1]: bad})
    idle = next(each for each in made if "measure" in each.circuit.count_ops() and each.circuit.num_clbits == 3)
    unwritten = next(each for each in made if each.circuit.count_ops()["measure"] == 2)
    assert idle.circuit.num_clbits == unwritten.circuit.num_clbits
    with pytest.raises(OutcomesUnfit, match="never writes"):
        made.reconstruct({**counts, unwritten.id: {"100": 10}})
    for bad in ({}, {"schema": "another"}, [], {**made.to_dict(), "frame": {}}):
        with pytest.raises(InvalidValue):
            Subexperiments.from_dict(bad)


def test_shots_of_a_circuit_that_serves_two_variants_are_dealt_out_without_repeats():
    circuit = QuantumCircuit(2)
    circuit.ry(0.7, [0, 1])
    circuit.rzz(0.4, 0, 1)
    circuit.rzz(0.8, 0, 1)  # I then Z, and Z then I, are one circuit
    circuit.rx(0.5, [0, 1])
    plan = cut(circuit, assignment="AB")
    observables = ["ZZ", "IZ"]
    made = plan.subexperiments(observables, shots=40_000)
    shared = [each for each in made if len(each.variants) > 1]
    assert len(made) < plan.unique_subexperiments(observables) == sum(len(each.variants) for each in made)
    assert made.shots == 40_000
    results = SamplerV2(seed=8).run([(each.circuit, None, each.shots) for each in made]).result()
    counts = {each.id: each_result.data.c.get_int_counts() for each, each_result in zip(made, results, strict=True)}
    tallies = {(tally.fragment, tally.group): tally for tally in made.tallies(counts)}
    for each in shared:
        rows = [tallies[own.fragment, own.group].counts[own.variant] for own in each.variants]
        assert [int(row.sum()) for row in rows] == [own.shots for own in each.variants]
        assert not np.array_equal(rows[0], rows[1])
    found = made.reconstruct(counts)
    assert (np.abs(found.evs - truth_of(circuit, observables)) < 4 * found.stds).all()
    with pytest.raises(OutcomesUnfit, match="serves 2 variants and has fewer shots"):
        made.reconstruct({**counts, shared[0].id: {0: 1}})


def test_error_bars_wider_than_the_range_are_warned_of():
    plan = cut(ansatz(6, 3), assignment="AAABBB")
    made = plan.subexperiments(["ZZZZZZ"])
    results = {each.id: {0: 1, 1: 1} for each in made}
    with pytest.warns(HyperFabricWarning, match=r"lies within ±1\. About .* shots"):
        made.reconstruct(results)


# ----------------------------------------------------------------------------------------------------------- devices


@pytest.mark.filterwarnings("ignore:Qiskit backend .* has no QubitProperties")
def test_each_part_runs_on_its_own_backend():
    circuit = ansatz(5, 1, seed=3)
    observables = ["ZZZZZ", "IIZZI", "XIIXI"]
    ring = GenericBackendV2(5, basis_gates=["cx", "rz", "sx", "x"], seed=1, noise_info=False)
    line = GenericBackendV2(4, basis_gates=["cz", "u"], coupling_map=[[0, 1], [1, 2], [2, 3]], seed=2, noise_info=False)
    samplers = {
        part: BackendSamplerV2(backend=backend, options={"seed_simulator": 5 + part})
        for part, backend in enumerate((ring, line))
    }
    managers = {
        0: generate_preset_pass_manager(1, backend=ring, seed_transpiler=1),
        1: generate_preset_pass_manager(1, backend=line, seed_transpiler=1),
    }
    plan = cut(circuit, assignment="AAABB")
    found = plan.run(observables, sampler=samplers, pass_manager=managers, shots=20 * 600)
    truth = truth_of(circuit, observables)
    assert found.shots == 12_000
    assert (np.abs(found.evs - truth) < 4.5 * found.stds).all()
    assert (found.stds < 0.25).all()
    assert found.variants == plan.unique_subexperiments(observables)


class Recorder:
    """A sampler that also keeps what it was given."""

    def __init__(self, inner):
        self.inner, self.pubs = inner, []

    def run(self, pubs):
        self.pubs += pubs
        return self.inner.run(pubs)


def test_wire_cuts_without_reuse_need_no_measurement_in_the_middle():
    circuit = ansatz(5, 1, seed=4)
    observables = ["ZZZZZ", "XXIII"]
    plan = cut(circuit, max_qubits=3, methods=["wire_cut"], seed=1)
    assert plan.wire_cuts
    assert not plan.gate_cuts
    sampler = Recorder(StatevectorSampler(seed=1))
    found = plan.run(observables, sampler=sampler)
    assert found.shots == 1024 * found.variants == sum(pub[2] for pub in sampler.pubs)
    assert (np.abs(found.evs - truth_of(circuit, observables)) < 4.5 * found.stds).all()


def test_shots_on_devices_go_where_the_variance_is_and_stop_at_the_precision():
    circuit = ansatz(4, 1, seed=5)
    plan = cut(circuit, max_qubits=3, methods=["wire_cut"], seed=1)
    sampler = Recorder(StatevectorSampler(seed=2))
    found = plan.run("ZZZZ", sampler=sampler, precision=0.01)
    assert found[0].stderr <= 0.01
    assert abs(found.evs[0] - truth_of(circuit, ["ZZZZ"])[0]) < 0.045
    assert len(sampler.pubs) > found.variants
    per_circuit = {}
    for pub in sampler.pubs:
        per_circuit[pub[0].name] = per_circuit.get(pub[0].name, 0) + pub[2]
    assert max(per_circuit.values()) > 1.5 * min(per_circuit.values())
    with pytest.raises(OverheadTooHigh, match="gamma²"):
        plan.run("ZZZZ", sampler=sampler, precision=1e-6)


def test_devices_that_do_not_fit_are_refused():
    plan = cut(ansatz(4, 1), assignment="AABB")
    for bad in ({0: StatevectorSampler()}, {}, "ibm_somewhere", object()):
        with pytest.raises(InvalidValue, match="sampler"):
            plan.run("ZZZZ", sampler=bad)
    with pytest.raises(InvalidValue, match="pass_manager"):
        plan.run("ZZZZ", sampler=SamplerV2(), pass_manager={1: 3})
    with pytest.raises(InvalidValue, match="no device"):
        plan.run("ZZZZ", pass_manager=object())

    class Short:
        def run(self, pubs):
            return SamplerV2(seed=1).run(pubs[:1])

    with pytest.raises(OutcomesUnfit, match="returned 1 results"):
        plan.run("ZZZZ", sampler=Short())


def test_no_warning_where_the_error_bars_are_fine(job):
    made, results, _ = job
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        made.reconstruct(results)
