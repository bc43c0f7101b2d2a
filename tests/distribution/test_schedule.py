"""An emitted circuit on the clock: hand-computed cases, and laws that a second reading of the circuit checks."""

import itertools
import math
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from qiskit import ClassicalRegister, QuantumCircuit, QuantumRegister

import hyperfabric_q as hq
from hyperfabric_q.distribution.demand import check_demand
from hyperfabric_q.distribution.durations import Latencies
from hyperfabric_q.distribution.lower import BellPairGate, Lowered
from hyperfabric_q.distribution.schedule import schedule
from hyperfabric_q.errors import DeadlineImpossible, InvalidValue
from hyperfabric_q.fabric import HardwareType, NodeSignature
from hyperfabric_q.units import VACUUM_M_PER_S

TIMES = {"gate_1q_ns": 20, "gate_2q_ns": 60, "readout_ns": 300, "reset_ns": 100, "feedforward_ns": 50}
ERRORS = {"gate_error_1q": 1e-4, "gate_error_2q": 1e-3, "readout_error": 2e-3}
FREE = {"deadline": None, "derandomize": True, "max_examples": 15}


def fabric(shape, capacities, *, communication=2, link=None, **node):
    made = getattr(hq.Fabric, shape)(capacities, communication_qubits=communication)
    link = {"latency_ns": 100, "pair_fidelity": 0.97, "pair_attempt_ns": 1000, "pair_rate_hz": 1e6} | (link or {})
    return made.replace("nodes.*", **(TIMES | node)).replace("links.*", **link)


def random_plan(seed, shape="line", communication=2):
    rng = np.random.default_rng(seed)
    circuit = QuantumCircuit(6, 2)
    for _ in range(14):
        a, b = (int(each) for each in rng.choice(6, 2, replace=False))
        if rng.random() < 0.5:
            circuit.h(a)
        circuit.cz(a, b)
        for _ in range(rng.integers(0, 4)):
            circuit.ry(0.3, b)
        if rng.random() < 0.15:
            circuit.measure(a, 0)
            with circuit.if_test((circuit.clbits[0], 1)):
                circuit.x(b)
    homes = [f"qpu-{int(each)}" for each in rng.permutation([0, 0, 1, 1, 2, 2])]
    plain = fabric(shape, [2, 2, 2], communication=communication)
    return hq.plan(circuit, plain, homes=homes, verify="skipped", seed=seed).lowered


def telegates(gates, qubits, nodes, *, wires, seed=0, crossing=0.06):
    """An emitted circuit by hand: cz gates, some of them teleported, communication qubits used in turn."""
    rng = np.random.default_rng(seed)
    data = [QuantumRegister(qubits // nodes, f"qpu-{node}_data") for node in range(nodes)]
    comm = [QuantumRegister(wires, f"qpu-{node}_comm") for node in range(nodes)]
    circuit = QuantumCircuit(*data, *comm)
    bits = 2 * gates if gates < 1000 else gates // 10
    proto = [ClassicalRegister(bits, f"qpu-{node}_proto") for node in range(nodes)]
    circuit.add_register(*proto)
    turn, bit, dirty = [0] * nodes, [0] * nodes, set()

    def take(node):
        wire = comm[node][turn[node] % wires]
        turn[node] += 1
        if wire in dirty:
            circuit.reset(wire)
        dirty.add(wire)
        return wire

    def read(node, wire):
        found = proto[node][bit[node]]
        bit[node] += 1
        circuit.measure(wire, found)
        return found

    for _ in range(gates):
        one, two = (int(each) for each in rng.integers(nodes, size=2)) if rng.random() < crossing else (0, 0)
        if one == two:
            one = two = int(rng.integers(nodes))
        a, b = (int(each) for each in rng.choice(qubits // nodes, 2, replace=False))
        if one == two:
            circuit.cz(data[one][a], data[one][b])
            continue
        here, there = take(one), take(two)
        circuit.append(BellPairGate(), [here, there])
        circuit.cx(data[one][a], here)
        outcome = read(one, here)
        with circuit.if_test((outcome, 1)):
            circuit.x(there)
        circuit.cz(there, data[two][b])
        circuit.h(there)
        outcome = read(two, there)
        with circuit.if_test((outcome, 1)):
            circuit.z(data[one][a])
    node_of = tuple(register.name.rsplit("_", 1)[0] for register in circuit.qregs for _ in register)
    held = tuple(range(qubits // nodes * nodes))
    return Lowered(circuit=circuit, entry=held, exit=held, node_of=node_of)


# ------------------------------------------------------------------------------------------------------ the checker


def duration_ns(operation, node):
    if operation.name == "if_else":
        return sum(duration_ns(each.operation, node) for each in operation.blocks[0].data)
    if operation.name in {"measure", "reset"}:
        return node.readout_ns if operation.name == "measure" else node.reset_ns
    return node.gate_1q_ns if operation.num_qubits == 1 else node.gate_2q_ns


def light_ns(made, a, b):
    """Least latency over all simple paths, by brute force; a link's own latency where there is a link."""
    if a == b:
        return 0
    if made.link(a, b) is not None:
        return made.link(a, b).latency_ns
    others = [node.node_id for node in made.nodes if node.node_id not in {a, b}]
    best = math.inf
    for size in range(1, len(others) + 1):
        for inner in itertools.permutations(others, size):
            hops = [made.link(*hop) for hop in itertools.pairwise((a, *inner, b))]
            if all(hop is not None for hop in hops):
                best = min(best, sum(hop.latency_ns for hop in hops))
    return best if best < math.inf else max(made.node(a).latency_ns, made.node(b).latency_ns)


def check(table, lowered, made):
    """Read the circuit again and hold every run of the timetable against it."""
    circuit, pairs = lowered.circuit, table.pairs
    wire = {qubit: place for place, qubit in enumerate(circuit.qubits)}
    runs = [[each.reshape(table.runs, -1)[run] for each in (table.start_ps, table.end_ps)] for run in range(table.runs)]
    for run, (start, end) in enumerate(runs):
        busy, written, links = {}, {}, {}
        number = 0
        assert int(table.makespan_ps.reshape(-1)[run]) == end.max()
        for place, each in enumerate(circuit.data):
            wires = [wire[qubit] for qubit in each.qubits]
            nodes = [lowered.node_of[index] for index in wires]
            if each.operation.name == "barrier":
                continue
            for index in wires:
                assert start[place] >= busy.get(index, 0), "two operations on one wire"
                busy[index] = end[place]
            if each.operation.name == "bell_pair":
                link = made.link(*nodes)
                row = [
                    column.reshape(table.runs, -1)[run][number]
                    for column in (pairs.requested_ps, pairs.heralded_ps, pairs.used_ps, pairs.age_ps)
                ]
                requested, heralded, used, age = (int(value) for value in row)
                assert (requested, heralded) == (start[place], end[place])
                tail = max(0, round(1000 * (link.latency_ns - link.pair_attempt_ns)))
                attempts = (heralded - requested - tail) / (1000 * link.pair_attempt_ns)
                assert attempts >= 1
                if table.mode == "sampled":
                    assert attempts == int(attempts)
                links.setdefault(link.ends, []).append((requested, heralded - tail))
                assert used >= heralded
                assert age == used - heralded + round(1000 * link.latency_ns)
                later = [
                    start[other]
                    for other in range(place + 1, len(circuit.data))
                    if {*wires} & {wire[qubit] for qubit in circuit.data[other].qubits}
                ]
                assert used == min(later), "a pair is used when its first half is"
                number += 1
                continue
            assert end[place] - start[place] == round(1000 * duration_ns(each.operation, made.node(nodes[0])))
            if each.operation.name == "measure":
                written[each.clbits[0]] = (end[place], nodes[0])
            elif each.operation.name == "if_else":
                for bit in each.clbits:
                    if bit in written:
                        sent, origin = written[bit]
                        way = light_ns(made, origin, nodes[0]) + made.node(nodes[0]).feedforward_ns
                        assert start[place] >= sent + round(1000 * way), "an outcome is used before it is known"
        for times in links.values():
            times.sort()
            assert all(after[0] >= before[1] for before, after in itertools.pairwise(times)), "two pairs at once"
        assert number == len(pairs)


# ----------------------------------------------------------------------------------------------------- known answers


def one_telegate(made):
    circuit = QuantumCircuit(2)
    circuit.cz(0, 1)
    return hq.plan(circuit, made, homes=["qpu-0", "qpu-1"], verify="skipped", seed=0).lowered


# cx, readout, message and feed-forward, x, cz, h, readout, message and feed-forward, z
AFTER_PAIR_NS = 60 + 300 + 150 + 20 + 60 + 20 + 300 + 150 + 20


@pytest.mark.parametrize(
    ("link", "herald_ns"),
    [
        ({}, 1000),
        ({"pair_rate_hz": 1e5}, 10_000),
        ({"pair_attempt_ns": 40, "pair_rate_hz": 25e6}, 100),
        ({"pair_attempt_ns": 40, "pair_rate_hz": 1e6}, 1060),
    ],
)
def test_one_teleported_gate_takes_what_its_parts_take(link, herald_ns):
    made = fabric("line", [1, 1], link=link)
    table = schedule(one_telegate(made), made)
    assert table.makespan_ps == 1000 * (herald_ns + AFTER_PAIR_NS)
    assert table.pairs.heralded_ps.tolist() == table.pairs.used_ps.tolist() == [1000 * herald_ns]
    assert table.pairs.age_ps.tolist() == [100_000]
    assert table.critical_ps == {"gate": 780_000, "pair": 1000 * herald_ns, "message": 300_000}
    assert [step.waits_for for step in table.critical][:3] == ["start", "pair", "gate"]
    assert table.not_stated == ()


def test_what_is_not_stated_takes_no_time_and_is_named():
    made = hq.Fabric.line([1, 1]).replace("links.*", latency_ns=100)
    table = schedule(one_telegate(made), made)
    assert table.makespan_ps == 300_000  # the light's way to the herald and that of both bits
    assert "gate_2q_ns of 'qpu-1'" in table.not_stated
    assert "pair_rate_hz of 'qpu-0--qpu-1'" in table.not_stated
    assert "gate_2q_ns of 'qpu-1'" in table.summary()


def test_idle_wires_of_a_teleported_gate_are_known():
    made = fabric("line", [1, 1], t1_us=50, t2_us=40)
    table = schedule(one_telegate(made), made)
    # The copied qubit: its wire from cx to z, and the copy while outcome and correction are on their way.
    wire = 300 + 150 + 20 + 60 + 20 + 300 + 150
    copy = 300 + 150
    # The other one: |0⟩ until its cz, and then it has to last.
    other = 20 + 300 + 150 + 20
    assert sorted(table.idle_ps.tolist()) == sorted([1000 * (wire + copy), 1000 * other])
    rate = 1 / (4 * 50e6) + 1 / (2 * 40e6)
    assert np.allclose(table.idle_fidelity, np.exp(-table.idle_ps * rate), rtol=1e-12)


def test_a_qubit_that_moves_and_settles_is_idle_wherever_it_is():
    registers = [QuantumRegister(1, name) for name in ("qpu-0_data", "qpu-1_data", "qpu-0_comm", "qpu-1_comm")]
    old, new, half, copy = (register[0] for register in registers)
    bits = [ClassicalRegister(2, "qpu-0_proto"), ClassicalRegister(2, "qpu-1_proto"), ClassicalRegister(1, "c")]
    circuit = QuantumCircuit(*registers, *bits)
    circuit.h(old)
    circuit.append(BellPairGate(), [half, copy])
    circuit.cx(old, half)
    circuit.measure(half, bits[0][0])
    with circuit.if_test((bits[0][0], 1)):
        circuit.x(copy)
    circuit.h(old)
    circuit.measure(old, bits[0][1])
    with circuit.if_test((bits[0][1], 1)):
        circuit.z(copy)
    circuit.cx(copy, new)
    circuit.h(copy)
    circuit.measure(copy, bits[1][0])
    with circuit.if_test((bits[1][0], 1)):
        circuit.z(new)
    circuit.measure(new, bits[2][0])
    lowered = Lowered(circuit=circuit, entry=(0,), exit=(1,), node_of=("qpu-0", "qpu-1", "qpu-0", "qpu-1"))
    made = fabric("line", [1, 1])
    table = schedule(lowered, made)
    check(table, lowered, made)
    # h to cx on the old home; readout and two messages on the copy; the new home until its correction.
    assert table.idle_ps.tolist() == [1000 * ((1000 - 20) + 300 + 150 + 0 + (20 + 300 + 50))]
    assert table.makespan_ps == 1000 * (1000 + 60 + 300 + 150 + 20 + 20 + 60 + 20 + 300 + 50 + 20 + 300)


def test_a_pair_decays_as_its_memories_do_and_the_infidelity_is_the_product():
    made = fabric("line", [1, 1], t1_us=50, t2_us=40, **ERRORS)
    table = schedule(one_telegate(made), made)
    age, werner = 100e-9, (4 * 0.97 - 1) / 3
    kept = math.exp(-2 * age / 50e-6)
    lz = werner * kept + (1 - math.exp(-age / 50e-6)) ** 2
    lx = werner * math.exp(-2 * age / 40e-6)
    assert np.allclose(table.pairs.correlators, [[lx, lx, lz]], rtol=1e-12)
    pair = (1 + 2 * lx + lz) / 4
    assert table.pairs.fidelity == pytest.approx([pair], rel=1e-12)
    gates = (1 - 1.5e-4) ** 3 * (1 - 1.25e-3) ** 2 * (1 - 2e-3) ** 2
    assert table.gate_fidelity == pytest.approx(gates, rel=1e-12)
    assert table.infidelity == pytest.approx(1 - pair * gates * table.idle_fidelity.prod(), rel=1e-12)


def test_pairs_of_one_link_queue_and_those_of_two_do_not():
    made = fabric("line", [2, 2, 2], communication=4)
    circuit = QuantumCircuit(6)
    circuit.cz(0, 2)
    circuit.cz(1, 3)
    homes = [f"qpu-{qubit // 2}" for qubit in range(6)]
    same = hq.plan(circuit, made, homes=homes, verify="skipped", seed=0).lowered
    table = telegates(2, 4, 2, wires=4, seed=3, crossing=1.0), fabric("line", [2, 2], communication=4)
    for lowered, on in ((same, made), table):
        found = schedule(lowered, on, just_in_time=False)
        check(found, lowered, on)
        assert sum(found.link_use.values()) == pytest.approx(len(found.pairs) * 1e6 / int(found.makespan_ps))
    both = schedule(*table)
    if len(both.pairs) == 2:
        assert both.pairs.requested_ps[1] >= both.pairs.requested_ps[0] + 1_000_000


def test_a_bit_travels_over_the_link_along_links_or_over_the_switch():
    made = fabric("line", [1, 1, 1]).replace("links.qpu-1--qpu-2", latency_ns=250)
    apart = made.with_node(NodeSignature("far", HardwareType.CPU_SERVER, 1, 7000))
    latencies = Latencies(apart)
    assert latencies.between_ps("qpu-0", "qpu-0") == 0
    assert latencies.between_ps("qpu-0", "qpu-1") == 100_000
    assert latencies.between_ps("qpu-2", "qpu-0") == 350_000
    assert latencies.between_ps("far", "qpu-0") == 7_000_000


def test_nothing_is_faster_than_light():
    made = fabric("line", [2, 2, 2], link={"latency_ns": None, "distance_m": 3000.0})
    latencies = Latencies(made)
    for a, b in itertools.combinations(range(3), 2):
        metres = 3000 * (b - a)
        assert latencies.between_ps(f"qpu-{a}", f"qpu-{b}") >= metres / VACUUM_M_PER_S * 1e12


# -------------------------------------------------------------------------------------------------------------- laws


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("shape", ["line", "full"])
def test_every_timetable_keeps_the_rules_of_the_hardware(seed, shape):
    lowered = random_plan(seed, shape, communication=None if seed % 2 else 2)
    made = fabric(shape, [2, 2, 2], communication=None, link={"pair_rate_hz": 2e5}, t1_us=100, t2_us=80)
    for late, order, mode in itertools.product((False, True), ("critical", "program"), ("mean", "sampled")):
        table = schedule(lowered, made, mode=mode, runs=5, seed=seed, just_in_time=late, order=order)
        check(table, lowered, made)
        spans = [step.span_ps for step in table.critical]
        mean = schedule(lowered, made, just_in_time=False, order=order)
        assert sum(spans) == sum(table.critical_ps.values()) == int(mean.makespan_ps)
        assert (table.idle_ps >= 0).all()
        assert all(0 <= share <= 1 for share in (*table.link_use.values(), *table.node_use.values()))


@settings(**FREE)
@given(seed=st.integers(0, 200), rate=st.floats(1e3, 1e6), shape=st.sampled_from(["line", "full"]))
def test_requests_just_in_time_delay_nothing_and_age_nothing(seed, rate, shape):
    lowered = random_plan(seed, shape, communication=None)
    made = fabric(shape, [2, 2, 2], communication=None, link={"pair_rate_hz": rate})
    for order in ("critical", "program"):
        once, late = (schedule(lowered, made, just_in_time=late, order=order) for late in (False, True))
        assert late.makespan_ps == once.makespan_ps
        assert (late.pairs.age_ps <= once.pairs.age_ps).all()
        assert late.pairs.age_ps.sum() <= once.pairs.age_ps.sum()
        assert (late.pairs.requested_ps >= once.pairs.requested_ps).all()
        assert (late.start_ps >= once.start_ps).all()


@settings(**FREE)
@given(
    seed=st.integers(0, 200),
    rate=st.floats(1e3, 1e6),
    faster=st.floats(1, 50),
    latency=st.floats(0, 900),
    farther=st.floats(0, 5000),
    late=st.booleans(),
)
def test_better_links_never_make_the_circuits_order_slower(seed, rate, faster, latency, farther, late):
    lowered = random_plan(seed)

    def makespan(**link):
        made = fabric("line", [2, 2, 2], link=link)
        return int(schedule(lowered, made, order="program", just_in_time=late).makespan_ps)

    base = makespan(pair_rate_hz=rate, latency_ns=latency)
    assert makespan(pair_rate_hz=min(1e6, rate * faster), latency_ns=latency) <= base
    assert makespan(pair_rate_hz=rate, latency_ns=latency + farther) >= base


@settings(**FREE)
@given(seed=st.integers(0, 200), rate=st.floats(1e3, 5e5), faster=st.floats(1, 50))
def test_with_the_same_luck_a_faster_link_is_never_slower(seed, rate, faster):
    lowered = random_plan(seed)
    spans = []
    for hz in (rate, min(1e6, rate * faster)):
        made = fabric("line", [2, 2, 2], link={"pair_rate_hz": hz})
        table = schedule(lowered, made, mode="sampled", runs=4, seed=seed, order="program", just_in_time=False)
        spans.append(table.makespan_ps)
    assert (spans[1] <= spans[0]).all()


@pytest.mark.parametrize("seed", range(4))
def test_the_better_order_is_never_worse_than_the_circuits(seed):
    lowered = telegates(60, 12, 3, wires=6, seed=seed, crossing=0.7)
    made = fabric("full", [4, 4, 4], communication=6, link={"pair_rate_hz": 2e5})
    best, plain = (schedule(lowered, made, order=order) for order in ("critical", "program"))
    assert best.makespan_ps <= plain.makespan_ps
    check(best, lowered, made)


def test_the_list_scheduler_serves_the_critical_pair_first():
    """Two pairs wait for one link; the one that the circuit names second has more after it."""
    data = [QuantumRegister(2, f"qpu-{node}_data") for node in range(2)]
    comm = [QuantumRegister(2, f"qpu-{node}_comm") for node in range(2)]
    circuit = QuantumCircuit(*data, *comm, ClassicalRegister(2, "qpu-0_proto"))
    for place in range(2):
        circuit.append(BellPairGate(), [comm[0][place], comm[1][place]])
        circuit.cx(data[0][place], comm[0][place])
        circuit.measure(comm[0][place], place)
        with circuit.if_test((circuit.clbits[place], 1)):
            circuit.x(comm[1][place])
    for _ in range(30):
        circuit.h(comm[1][1])
    lowered = Lowered(
        circuit=circuit,
        entry=(0, 1),
        exit=(0, 1),
        node_of=("qpu-0",) * 2 + ("qpu-1",) * 2 + ("qpu-0",) * 2 + ("qpu-1",) * 2,
    )
    made = fabric("line", [2, 2])
    copy, rest = 60 + 300 + 150 + 20, 30 * 20
    assert schedule(lowered, made, order="program").makespan_ps == 1000 * (2000 + copy + rest)
    assert schedule(lowered, made).makespan_ps == 1000 * (2000 + copy)


def test_the_next_pair_is_prepared_ahead_only_on_a_free_communication_qubit():
    made = fabric("line", [4, 4], communication=4)
    few, many = (telegates(6, 8, 2, wires=wires, seed=1, crossing=1.0) for wires in (1, 4))
    spans = [int(schedule(lowered, made, just_in_time=False).makespan_ps) for lowered in (few, many)]
    assert spans[1] < spans[0]


# ----------------------------------------------------------------------------------------------------------- chance


def test_without_chance_sampled_runs_are_the_mean():
    lowered, made = random_plan(3), fabric("line", [2, 2, 2])
    for late in (False, True):
        mean = schedule(lowered, made, just_in_time=late)
        drawn = schedule(lowered, made, mode="sampled", runs=3, seed=1, just_in_time=late)
        assert drawn.start_ps.shape == (3, len(mean.start_ps))
        assert (drawn.start_ps == mean.start_ps).all()
        assert np.allclose(drawn.infidelity, mean.infidelity)


def test_one_pair_takes_its_mean_and_many_take_more():
    made = fabric("line", [2, 2, 2], link={"pair_rate_hz": 2e5})
    one = schedule(one_telegate(made), made, mode="sampled", runs=4000, seed=5, just_in_time=False)
    heralded = one.pairs.heralded_ps[:, 0]
    assert abs(heralded.mean() - 5e6) < 5 * heralded.std() / math.sqrt(4000)
    assert heralded.std() == pytest.approx(1e6 * math.sqrt(0.8) / 0.2, rel=0.05)
    lowered = random_plan(1, "line")
    mean = schedule(lowered, made, just_in_time=False, order="program")
    many = schedule(lowered, made, mode="sampled", runs=400, seed=5, just_in_time=False, order="program")
    # A maximum of sums is convex, so its mean is at least that of the means (Jensen).
    assert many.makespan_ps.mean() > float(mean.makespan_ps) - 4 * many.makespan_ps.std() / 20


def test_runs_are_reproducible_and_more_of_them_begin_with_fewer():
    lowered, made = random_plan(2), fabric("line", [2, 2, 2], link={"pair_rate_hz": 2e5})
    few, again, more, other = (
        schedule(lowered, made, mode="sampled", runs=runs, seed=seed) for runs, seed in ((4, 7), (4, 7), (9, 7), (4, 8))
    )
    assert (few.start_ps == again.start_ps).all()
    assert (few.start_ps == more.start_ps[:4]).all()
    assert (few.makespan_ps != other.makespan_ps).any()
    assert few.seed == 7


def test_one_run_and_many_are_computed_alike():
    lowered, made = random_plan(4), fabric("line", [2, 2, 2], link={"pair_rate_hz": 2e5})
    many = schedule(lowered, made, mode="sampled", runs=6, seed=9)
    one = schedule(lowered, made, mode="sampled", runs=1, seed=9)
    assert (one.start_ps[0] == many.start_ps[0]).all()
    assert (one.idle_ps[0] == many.idle_ps[0]).all()


def slack(gates):
    """A copy that is needed late: the other qubit of the gate is busy for a long time."""
    made = fabric("line", [1, 1], communication=2, link={"pair_rate_hz": 2e5}, t2_us=100)
    circuit = QuantumCircuit(2)
    for _ in range(gates):
        circuit.h(1)
        circuit.barrier()
        circuit.t(1)
    circuit.h(0)
    circuit.cz(0, 1)
    circuit.h(0)
    return hq.plan(circuit, made, homes=["qpu-0", "qpu-1"], verify="skipped", seed=0).lowered, made


def test_copies_are_made_late_when_they_are_needed_late():
    lowered, made = slack(900)
    once, late = (schedule(lowered, made, just_in_time=late) for late in (False, True))
    assert late.makespan_ps == once.makespan_ps
    assert late.pairs.requested_ps[0] > once.pairs.requested_ps[0] + 5_000_000
    assert late.idle_ps.sum() < once.idle_ps.sum()
    assert late.infidelity < once.infidelity


def test_requests_in_sampled_runs_leave_time_for_99_in_100_heralds():
    lowered, made = slack(1500)
    once, late = (
        schedule(lowered, made, mode="sampled", runs=1500, seed=3, just_in_time=late) for late in (False, True)
    )
    delayed = (late.makespan_ps > once.makespan_ps).mean()
    assert 0 < delayed < 0.02
    assert late.idle_ps.mean() < once.idle_ps.mean()
    assert late.infidelity.mean() < once.infidelity.mean()
    hasty = schedule(lowered, made, mode="sampled", runs=1500, seed=3, safety=0.5)
    assert hasty.idle_ps.mean() < late.idle_ps.mean()
    assert 0.2 < (hasty.makespan_ps > once.makespan_ps).mean() < 0.55
    check(schedule(lowered, made, mode="sampled", runs=3, seed=3), lowered, made)


# ----------------------------------------------------------------------------------------------------------- demand


def test_more_pairs_per_cycle_than_are_made_are_refused_with_the_numbers():
    made = fabric("line", [2, 2, 2], link={"pair_rate_hz": 1e5})
    lowered = telegates(8, 6, 3, wires=2, seed=2, crossing=0.0)
    assert check_demand(lowered, made, 1e3) == ()
    lowered = one_telegate(fabric("line", [1, 1]))
    (row,) = check_demand(lowered, made, 10_000)
    assert (row.link, row.needed) == (("qpu-0", "qpu-1"), 1)
    assert row.available == pytest.approx(1.0)
    assert row.share == pytest.approx(1.0)
    with pytest.raises(DeadlineImpossible) as caught:
        check_demand(lowered, made, 9_999)
    assert caught.value.constraint_ns == 9_999
    assert caught.value.bound_ns == pytest.approx(10_000)
    assert "1 are needed per cycle, and 0.9999 are made" in str(caught.value)
    with pytest.raises(InvalidValue):
        check_demand(lowered, made, 0)


# -------------------------------------------------------------------------------------------------- values and errors


def test_a_timetable_is_read_only_and_shows_itself():
    lowered, made = random_plan(0), fabric("line", [2, 2, 2], **ERRORS)
    for mode in ("mean", "sampled"):
        table = schedule(lowered, made, mode=mode, runs=3, seed=0)
        for column in (table.start_ps, table.end_ps, table.idle_ps, table.pairs.age_ps, table.pairs.fidelity):
            with pytest.raises(ValueError, match="read-only"):
                column[...] = 0
        assert "makespan" in str(table)
        assert "Bell pairs" in repr(table)
        bars = table.gantt(table.runs - 1)
        assert len(bars) == sum(len(each.qubits) for each in lowered.circuit.data if each.operation.name != "barrier")
        assert [bar.start_ns for bar in bars] == sorted(bar.start_ns for bar in bars)
        assert max(bar.end_ns for bar in bars) == table.makespan_ps.reshape(-1)[-1] / 1000
        assert sum(table.critical_pairs.values()) <= len(table.pairs)
        with pytest.raises(InvalidValue):
            table.gantt(table.runs)


def test_an_empty_circuit_takes_no_time():
    empty = Lowered(circuit=QuantumCircuit(), entry=(), exit=(), node_of=())
    for mode in ("mean", "sampled"):
        table = schedule(empty, fabric("line", [1, 1]), mode=mode, runs=2, seed=0)
        assert (table.makespan_ps == 0).all()
        assert (table.infidelity == 0).all()
        assert table.critical == ()


@pytest.mark.parametrize(
    "options",
    [
        {"mode": "median"},
        {"order": "random"},
        {"mode": "sampled", "runs": 0},
        {"mode": "sampled", "seed": -1},
        {"safety": 1.0},
    ],
)
def test_wrong_options_are_refused(options):
    made = fabric("line", [1, 1])
    with pytest.raises(InvalidValue):
        schedule(one_telegate(made), made, **options)


def test_links_too_slow_for_the_clock_or_not_entangled_are_refused():
    lowered = one_telegate(fabric("line", [1, 1]))
    with pytest.raises(InvalidValue, match="clock of a schedule"):
        schedule(lowered, fabric("line", [1, 1], link={"pair_rate_hz": 1e-9}))
    with pytest.raises(InvalidValue, match="not entangled"):
        schedule(lowered, fabric("line", [1, 1], link={"pair_fidelity": 0.4}))


def test_two_thousand_qubits_and_twenty_thousand_gates_are_scheduled_in_seconds():
    lowered = telegates(20_000, 2000, 4, wires=8, seed=5)
    made = fabric("full", [500] * 4, communication=8, link={"pair_rate_hz": 2e5}, t1_us=1000, t2_us=800, **ERRORS)
    began = time.process_time()
    table = schedule(lowered, made)
    assert time.process_time() - began < 30  # about 2; a cost that grows with the square would take hours
    assert len(table.pairs) > 500
    assert table.makespan_ps > 0
