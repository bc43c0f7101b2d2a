"""Errors from the clock against closed forms: waiting qubits, waited-on Bell pairs, and where the waits are."""

import math

import numpy as np
import pytest
from qiskit import ClassicalRegister, QuantumCircuit

from hyperfabric_q.distribution.lower import BellPairGate
from hyperfabric_q.entanglement.memory import Memory, wait
from hyperfabric_q.entanglement.state import correlators, weights
from hyperfabric_q.errors import InternalError, InvalidValue
from hyperfabric_q.execution import methods
from hyperfabric_q.execution.aer import exact_chances, run_counts
from hyperfabric_q.execution.clock_noise import clock_noise, fresh_noise, gap_wires
from hyperfabric_q.execution.noise import Noise, with_run_noise
from hyperfabric_q.execution.run_noise import Idle, RunNoise
from hyperfabric_q.fabric import Fabric

T = 1e-3
"""Seconds of one wait."""

FIGURES = [(2e-3, 1e-3), (1e-3, 1.5e-3), (1e-3, 2e-3), (math.inf, 3e-3), (5e-4, 1e-3)]
TIMES = {"gate_1q_ns": 100.0, "gate_2q_ns": 300.0, "readout_ns": 1000.0, "reset_ns": 500.0, "feedforward_ns": 50.0}


def waiting(circuit, *idles, pairs=()):
    noise = RunNoise(pair_weights=np.array(pairs).reshape(-1, 4), idles=idles, local=False)
    return with_run_noise(circuit, noise)


def chance_of_one(circuit, method="density_matrix"):
    ways = {way.method: way for way in methods.ways(circuit, shots=20_000, reported=circuit.cregs, misread={})}
    if method not in ways:
        return None
    if method == "density_matrix":
        return exact_chances(ways[method].circuit).get(1, 0.0)
    return run_counts(ways[method].circuit, shots=20_000, seed=4, method=method).get(1, 0) / 20_000


def idle_qubit(t1, t2, *, basis):
    circuit = QuantumCircuit(1, 1)
    circuit.x(0) if basis == "z" else circuit.h(0)
    if basis == "x":
        circuit.h(0)
    circuit.measure(0, 0)
    return waiting(circuit, Idle(1, 0, T, t1, t2))


@pytest.mark.parametrize(("t1", "t2"), FIGURES)
def test_an_idle_qubit_relaxes_and_dephases_exactly(t1, t2):
    assert chance_of_one(idle_qubit(t1, t2, basis="z")) == pytest.approx(math.exp(-T / t1), abs=1e-9)
    assert chance_of_one(idle_qubit(t1, t2, basis="x")) == pytest.approx((1 - math.exp(-T / t2)) / 2, abs=1e-9)


@pytest.mark.parametrize(("t1", "t2"), FIGURES)
@pytest.mark.parametrize("method", ["statevector", "stabilizer"])
def test_every_method_of_aer_that_takes_the_circuit_relaxes_alike(method, t1, t2):
    found = chance_of_one(idle_qubit(t1, t2, basis="z"), method)
    # Where T2 exceeds T1, relaxation is no mixture of resets and phases, and no stabilizer simulation exists.
    assert (found is None) == (method == "stabilizer" and t2 > t1)
    if found is not None:
        p = math.exp(-T / t1)
        assert found == pytest.approx(p, abs=5 * math.sqrt(max(p * (1 - p), 1e-4) / 20_000))


@pytest.mark.parametrize("basis", ["x", "y", "z"])
@pytest.mark.parametrize(("first", "second"), [(FIGURES[0], FIGURES[1]), (FIGURES[2], FIGURES[3])])
def test_a_bell_pair_waited_on_has_the_correlators_of_the_closed_form(basis, first, second):
    fresh = (0.85, 0.08, 0.02, 0.05)
    circuit = QuantumCircuit(2, 2)
    circuit.append(BellPairGate(), [0, 1])
    for wire in (0, 1):
        if basis == "y":
            circuit.sdg(wire)
        if basis != "z":
            circuit.h(wire)
    circuit.measure([0, 1], [0, 1])
    noisy = waiting(circuit, Idle(1, 0, T, *first), Idle(1, 1, 2 * T, *second), pairs=[fresh])
    (way,) = [
        way
        for way in methods.ways(noisy, shots=1, reported=circuit.cregs, misread={})
        if way.method == "density_matrix"
    ]
    chances = exact_chances(way.circuit)
    memories = [Memory(t1_ps=t1 * 1e12, t2_ps=t2 * 1e12) for t1, t2 in (first, second)]
    lx, ly, lz = wait(correlators(fresh), memories[0], T * 1e12, memories[1], 2 * T * 1e12)
    even = chances.get(0, 0.0) + chances.get(3, 0.0)
    assert even == pytest.approx((1 + {"x": lx, "y": -ly, "z": lz}[basis]) / 2, abs=1e-9)


def test_waits_at_the_end_come_before_measurements_that_are_appended():
    circuit = QuantumCircuit(1)
    circuit.x(0)
    longer = circuit.copy()
    longer.add_register(ClassicalRegister(1, "c"))
    longer.measure(0, 0)
    assert chance_of_one(waiting(longer, Idle(len(circuit.data), 0, T, T, T))) == pytest.approx(math.exp(-1))


def two_nodes(**changes):
    fabric = Fabric.full([1, 1], communication_qubits=1, pair_fidelity=0.95)
    fabric = fabric.replace("links.*", pair_rate_hz=1e4, latency_ns=500.0)
    return fabric.replace("nodes.*", **TIMES, **changes)


def teleported_cx():
    circuit = QuantumCircuit(2, 2)
    circuit.h(0)
    circuit.cx(0, 1)
    circuit.measure([0, 1], [0, 1])
    return circuit


def test_fresh_pairs_have_their_links_weights_and_nothing_waits(plan_of):
    plan = plan_of(teleported_cx(), two_nodes(t1_us=100.0), ["qpu-0", "qpu-1"])
    fabric, links, none = (fresh_noise(plan, kind) for kind in Noise)
    assert fabric.pair_weights.tolist() == links.pair_weights.tolist() == [list(plan.fabric.links[0].pair_weights)]
    assert none.pair_weights.tolist() == [[1, 0, 0, 0]]
    assert (fabric.local, links.local, none.local) == (True, False, False)
    assert not fabric.idles + links.idles + none.idles


def test_a_pair_is_as_old_as_the_clock_says_when_it_is_used(plan_of):
    plan = plan_of(teleported_cx(), two_nodes(t1_us=50.0, t2_us=30.0), ["qpu-0", "qpu-1"])
    timetable = plan.schedule()
    noise = clock_noise(plan, Noise.FABRIC, timetable)
    age = int(timetable.pairs.age_ps[0])
    memory = Memory(t1_ps=50e6, t2_ps=30e6)
    used = wait(correlators(plan.fabric.links[0].pair_weights), memory, age, memory, age)
    assert age > 0
    assert noise.pair_weights[0] == pytest.approx(weights(used), abs=1e-12)


def qubit_that_waits(rounds):
    """Qubit 0 is flipped and waits while qubits 1 and 2 do ``rounds`` gates of 300 ns with 100 ns between them."""
    circuit = QuantumCircuit(3, 1)
    circuit.x(0)
    circuit.h([1, 2])
    for _ in range(rounds):
        circuit.cz(1, 2)
        circuit.rx(0.3, 1)
    circuit.cz(0, 1)
    circuit.measure(0, 0)
    return circuit


@pytest.mark.parametrize("rounds", [1, 20])
def test_a_plans_waiting_qubit_decays_by_the_time_of_what_it_waits_for(plan_of, rounds):
    fabric = Fabric.full([3]).replace("nodes.*", **TIMES, t1_us=10.0)
    plan = plan_of(qubit_that_waits(rounds), fabric, ["qpu-0"] * 3)
    result = plan.run(20_000, seed=3)
    survives = math.exp(-rounds * 400e-9 / 10e-6)
    share = result.counts["1"] / 20_000
    assert share == pytest.approx(survives, abs=5 * math.sqrt(survives * (1 - survives) / 20_000))
    assert result.averaging == "constant"
    assert plan.run(100, noise="links", seed=3).counts == {"1": 100}


def busy(seed, qubits=5, gates=14):
    rng = np.random.default_rng(seed)
    circuit = QuantumCircuit(qubits)
    for _ in range(gates):
        a, b = rng.choice(qubits, 2, replace=False).tolist()
        circuit.u(*rng.random(3), a)
        circuit.cp(float(rng.random()), a, b)
    return circuit


@pytest.mark.parametrize("seed", range(4))
def test_waits_are_on_wires_of_their_node_before_instructions_of_their_wire(plan_of, seed):
    fabric = Fabric.line([2, 2, 1], communication_qubits=2, pair_fidelity=0.95).replace("nodes.*", **TIMES, t2_us=9.0)
    homes = ["qpu-0", "qpu-1", "qpu-2", "qpu-1", "qpu-0"]
    plan = plan_of(busy(seed), fabric.replace("links.*", pair_rate_hz=1e5), homes)
    timetable = plan.schedule(mode="sampled", runs=3, seed=seed)
    operations = timetable.operations
    wires = gap_wires(plan.routed, plan.fabric)
    gaps = operations.gaps
    for wire, until, qubit, node in zip(wires, gaps.until, gaps.qubit, gaps.node, strict=True):
        assert operations.node_of[wire] == node
        assert wire == plan.routed.exit[qubit] if until < 0 else wire in operations.wires[until]
    noise = clock_noise(plan, Noise.FABRIC, timetable, 1)
    assert sum(idle.duration_s for idle in noise.idles) == pytest.approx(timetable.idle_ps[1].sum() * 1e-12)
    assert all(idle.t2_s == pytest.approx(9e-6) and math.isinf(idle.t1_s) for idle in noise.idles)


def test_the_mean_over_runs_is_the_mean_of_the_channels(plan_of):
    plan = plan_of(busy(9), two_nodes_wide(t1_us=40.0, t2_us=30.0), ["qpu-0"] * 3 + ["qpu-1"] * 2)
    timetable = plan.schedule(mode="sampled", runs=40, seed=2)
    each = [clock_noise(plan, Noise.FABRIC, timetable, run) for run in range(40)]
    mean = clock_noise(plan, Noise.FABRIC, timetable)
    assert mean.pair_weights == pytest.approx(np.mean([one.pair_weights for one in each], axis=0))
    left = np.zeros((2, len(mean.idles)))
    place = {(idle.before, idle.wire): number for number, idle in enumerate(mean.idles)}
    absent = np.full(len(mean.idles), 40)
    for one in each:
        for idle in one.idles:
            number = place[idle.before, idle.wire]
            absent[number] -= 1
            left[:, number] += [math.exp(-idle.duration_s / idle.t1_s), math.exp(-idle.duration_s / idle.t2_s)]
    for number, idle in enumerate(mean.idles):
        kept = (left[:, number] + absent[number]) / 40
        assert [math.exp(-idle.duration_s / idle.t1_s), math.exp(-idle.duration_s / idle.t2_s)] == pytest.approx(kept)
        assert idle.t2_s <= 2 * idle.t1_s * (1 + 1e-12)


def two_nodes_wide(**figures):
    fabric = Fabric.full([3, 2], communication_qubits=2, pair_fidelity=0.95).replace("nodes.*", **TIMES)
    fabric = fabric.replace("links.*", pair_rate_hz=1e5, latency_ns=500.0)
    return fabric.replace("nodes.*", **figures) if figures else fabric


def test_nodes_that_state_nothing_are_perfect(plan_of):
    fabric = two_nodes_wide().replace("nodes.qpu-1", t1_us=20.0)
    plan = plan_of(busy(3), fabric, ["qpu-0"] * 3 + ["qpu-1"] * 2)
    noise = clock_noise(plan, Noise.FABRIC, plan.schedule())
    assert {plan.routed.node_of[idle.wire] for idle in noise.idles} == {"qpu-1"}
    plain = plan_of(busy(3), two_nodes_wide(), ["qpu-0"] * 3 + ["qpu-1"] * 2)
    clock, fresh = clock_noise(plain, Noise.FABRIC, plain.schedule()), fresh_noise(plain, Noise.FABRIC)
    assert not clock.idles
    assert clock.pair_weights == pytest.approx(fresh.pair_weights)


def test_runs_that_are_not_there_are_refused(plan_of):
    plan = plan_of(teleported_cx(), two_nodes(), ["qpu-0", "qpu-1"])
    for run in (-1, 1):
        with pytest.raises(InvalidValue, match="run"):
            clock_noise(plan, Noise.FABRIC, plan.schedule(), run)


def test_weights_that_are_no_distribution_are_our_bug():
    with pytest.raises(InternalError, match="no distribution"):
        RunNoise(pair_weights=np.array([[0.5, 0.1, 0.1, 0.1]]), idles=(), local=False)
