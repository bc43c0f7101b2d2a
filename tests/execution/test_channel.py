"""The plan on its logical qubits against the emitted circuit itself, on Aer: entry by entry, and by outcomes."""

import time
from collections import Counter
from types import SimpleNamespace

import numpy as np
import pytest
from qiskit import ClassicalRegister, QuantumCircuit
from qiskit.providers.fake_provider import GenericBackendV2
from qiskit.transpiler import CouplingMap
from qiskit_aer import AerSimulator
from scipy.stats import chi2

import hyperfabric_q as hq
from hyperfabric_q.distribution.carry import carried_steps
from hyperfabric_q.distribution.chapters import chapters_of, occupancy
from hyperfabric_q.distribution.lower import lower
from hyperfabric_q.distribution.network import network_of
from hyperfabric_q.distribution.operations import operations_of
from hyperfabric_q.distribution.program import Kind
from hyperfabric_q.distribution.rebase import rebase
from hyperfabric_q.distribution.segments import segments_of
from hyperfabric_q.distribution.steps import Apply, Promote, Release, Spread, Trade, steps_of
from hyperfabric_q.errors import InternalError, SimulationRefused
from hyperfabric_q.execution import channel
from hyperfabric_q.execution.channel import final_states, outcome_chances, predicted_seconds, sample_channel
from hyperfabric_q.execution.clock_noise import fresh_noise, gap_wires
from hyperfabric_q.execution.deferred import without_feed_forward
from hyperfabric_q.execution.noise import Noise, with_local_noise, with_run_noise
from hyperfabric_q.execution.run_noise import Idle, RunNoise
from hyperfabric_q.execution.sample import sample, with_final_measurements
from hyperfabric_q.execution.wires import compact
from hyperfabric_q.fabric import Fabric, Link
from hyperfabric_q.simulate import probabilities

A, B, C = "qpu-0", "qpu-1", "qpu-2"
FIGURES = {"gate_error_1q": 0.02, "gate_error_2q": 0.03, "readout_error": 0.04}


def random_circuit(qubits, gates, rng):
    """Controlled phases, mostly, so that copies serve several; flips and phases under live copies; breaks."""
    circuit = QuantumCircuit(qubits)
    for qubit in range(qubits):
        circuit.u(*rng.uniform(0, 6, 3), qubit)
    for _ in range(gates):
        kind, qubit = rng.random(), int(rng.integers(qubits))
        if kind < 0.6:
            circuit.cp(np.pi if rng.random() < 0.3 else rng.uniform(0.2, 3), *rng.choice(qubits, 2, replace=False))
        elif kind < 0.7:
            circuit.x(qubit)
        elif kind < 0.8:
            circuit.p(rng.uniform(0, 6), qubit)
        else:
            circuit.u(*rng.uniform(0, 6, 3), qubit)
    return circuit


def with_control(circuit, rng):
    """The circuit with measurements, resets and conditions on bits and registers in between."""
    mixed = QuantumCircuit(circuit.num_qubits)
    first, second = ClassicalRegister(2, "first"), ClassicalRegister(2, "second")
    mixed.add_register(first, second)
    for step in circuit.data:
        mixed.append(step.operation, [circuit.find_bit(wire).index for wire in step.qubits])
        kind, qubit = rng.random(), int(rng.integers(circuit.num_qubits))
        if kind < 0.12:
            mixed.measure(qubit, int(rng.integers(4)))
        elif kind < 0.2:
            mixed.reset(qubit)
        elif kind < 0.4:
            tested = (mixed.clbits[rng.integers(4)], 1) if rng.random() < 0.5 else (first, int(rng.integers(4)))
            with mixed.if_test(tested):
                if kind < 0.25:
                    mixed.x(qubit)
                elif kind < 0.3:
                    mixed.u(1.0, 0.2, 0.3, qubit)
                elif kind < 0.35:
                    mixed.p(0.7, qubit)
                else:
                    mixed.cp(0.9, *rng.choice(circuit.num_qubits, 2, replace=False))
    mixed.measure(range(min(4, circuit.num_qubits)), range(min(4, circuit.num_qubits)))
    return mixed


def random_plan(seed, *, control=False):
    """A plan whose qubits move, whose gates run anywhere and whose copies pass on; every fourth exchanges qubits."""
    rng = np.random.default_rng(seed)
    qubits, nodes = int(rng.integers(2, 5)), int(rng.integers(2, 4))
    circuit = random_circuit(qubits, int(rng.integers(6, 16)), rng)
    if control:
        circuit = with_control(circuit, rng)
    figures = {name: rng.uniform(0, 0.05) for name in FIGURES}
    program = rebase(circuit)
    if seed % 4 == 3:
        fabric = Fabric.line([-(-qubits // 3)] * 3, communication_qubits=1, pair_fidelity=0.9)
        network, homes = network_of(fabric), np.arange(qubits, dtype=np.int32) * 3 // max(qubits, 3)
        steps, _ = carried_steps(program, network, homes)
    else:
        make = (Fabric.full, Fabric.line)[rng.integers(2)]
        fabric = make([-(-qubits // nodes) + 1] * nodes, communication_qubits=None, pair_fidelity=0.9)
        network, chapters = network_of(fabric), chapters_of(program, segments_of(program))
        idle = np.where(chapters.idle, 0, -1).astype(np.int32)
        room = np.array(network.capacity)[:, None]
        for _ in range(500):
            in_time = rng.integers(nodes, size=len(chapters), dtype=np.int32)
            if (occupancy(chapters, in_time, idle, nodes) <= room).all():
                break
        else:
            in_time = np.repeat(np.arange(nodes, dtype=np.int32), -(-len(chapters) // nodes))[: len(chapters)]
        ends = in_time[chapters.segments.gate_segments]
        anywhere = rng.integers(nodes, size=len(ends))
        sites = np.where(rng.random(len(ends)) < 0.3, anywhere, ends[:, 0]).astype(np.int32)
        steps = steps_of(program, chapters, network, in_time, idle, sites)
        homes = chapters.entry_homes(in_time, idle)
    fabric = fabric.replace("nodes.*", **figures)
    routed = lower(program, network, homes, steps)
    kinds = Counter(type(step).__name__ for step in steps)
    kinds.update(special(program, homes, steps))
    return SimpleNamespace(circuit=circuit, fabric=fabric, program=program, routed=routed, qubits=qubits, kinds=kinds)


def special(program, homes, steps):
    """The pieces that are more than a copy from one home to another's node."""
    at, live = homes.tolist(), set()
    for step in steps:
        match step:
            case Spread():
                live.add((step.qubit, step.target))
                if step.source != at[step.qubit]:
                    yield "chain"
            case Promote():
                live.discard((step.qubit, step.node))
                at[step.qubit] = step.node
                if live:
                    yield "nested"
            case Release():
                live.discard((step.qubit, step.node))
            case Trade():
                at[step.first], at[step.second] = at[step.second], at[step.first]
            case Apply() if program.kind[step.row] == Kind.CP:
                if step.node not in (at[program.first[step.row]], at[program.second[step.row]]):
                    yield "third party"


def random_noise(plan, seed, *, idle=True, kraus=True):
    """Pairs of any weights, and relaxation in half of the gaps in which a logical qubit waits."""
    rng = np.random.default_rng([seed, 1])
    count = plan.routed.circuit.count_ops().get("bell_pair", 0)
    waits = []
    if idle:
        gaps, end = operations_of(plan.routed, plan.fabric).gaps, len(plan.routed.circuit.data)
        for wire, until in zip(gap_wires(plan.routed, plan.fabric), gaps.until.tolist(), strict=True):
            if rng.random() < 0.5:
                t1 = rng.uniform(5, 30)
                t2 = t1 * rng.uniform(0.3, 2 if kraus else 1)
                waits.append(Idle(until if until >= 0 else end, wire, 1.0, t1, t2))
    return RunNoise(pair_weights=rng.dirichlet([8, 1, 1, 1], size=count), idles=tuple(waits), local=True)


def on_aer(plan, noise, *, widest):
    """The state of the logical qubits after the deferred circuit, and its width; None when that is too wide."""
    routed = plan.routed
    circuit = with_run_noise(routed.circuit, noise)
    if noise.local:
        circuit = with_local_noise(circuit, routed.node_of, plan.fabric, routed.places)
    circuit = without_feed_forward(circuit, set())
    circuit = compact(circuit, fixed=[circuit.qubits[wire] for wire in routed.exit])
    if circuit.num_qubits > widest:
        return None
    circuit.save_density_matrix(list(range(len(routed.exit))))
    result = AerSimulator(method="density_matrix", max_parallel_threads=1).run(circuit, shots=1).result()
    return np.asarray(result.data(0)["density_matrix"])


def likelihood(counts, chances):
    """The chance that counts miss their chances by as much (Pearson); rare outcomes are taken together."""
    shots = sum(counts.values())
    assert set(counts) <= set(chances)
    often = [key for key in chances if chances[key] * shots >= 5]
    expected = [chances[key] * shots for key in often]
    seen = [counts.get(key, 0) for key in often]
    if shots - sum(expected) > 1e-6 * shots:
        expected, seen = [*expected, shots - sum(expected)], [*seen, shots - sum(seen)]
    expected, seen = np.array(expected), np.array(seen)
    return chi2.sf(((seen - expected) ** 2 / expected).sum(), max(len(expected) - 1, 1))


def final(plan):
    """The register that a circuit without measurements is measured into."""
    return [with_final_measurements(plan.routed.circuit, plan.routed.exit)[1]]


# --------------------------------------------------------------------------------------------------- equal to dynamic


PIECES = ("Spread", "Promote", "Settle", "Toggle", "Trade", "chain", "nested", "third party")


def check_entries(seeds, *, widest):
    plans, met = 0, Counter()
    for seed in seeds:
        plan = random_plan(seed)
        noise = random_noise(plan, seed, idle=seed % 3 != 0)
        expected = on_aer(plan, noise, widest=widest)
        if expected is None:
            continue
        (found,), _ = final_states(plan, noise)
        assert np.abs(found - expected).max() < 1e-9, seed
        plans, met = plans + 1, met + plan.kinds + Counter(waits=len(noise.idles))
    return plans, met


def test_every_entry_of_the_final_state_is_that_of_the_emitted_circuit():
    plans, met = check_entries((0, 1, 7, 12, 14, 16, 19, 21, 31, 43), widest=9)
    assert plans == 10
    assert all(met[piece] for piece in (*PIECES, "waits"))


@pytest.mark.slow
def test_every_entry_of_the_final_state_is_that_of_the_emitted_circuit_for_a_hundred_plans():
    plans, met = check_entries(range(22, 300), widest=10)
    assert plans >= 250
    assert all(met[piece] >= 20 for piece in PIECES)
    assert met["waits"] >= 1000


def test_each_kind_of_error_counts():
    """The test above can fail."""
    plan = random_plan(4)
    noise = random_noise(plan, 4)
    (full,), _ = final_states(plan, noise)
    ideal = np.tile([1.0, 0, 0, 0], (len(noise.pair_weights), 1))
    for left_out in (
        RunNoise(pair_weights=ideal, idles=noise.idles, local=True),
        RunNoise(pair_weights=noise.pair_weights, idles=(), local=True),
        RunNoise(pair_weights=noise.pair_weights, idles=noise.idles[1:], local=True),
        RunNoise(pair_weights=noise.pair_weights, idles=noise.idles, local=False),
    ):
        (other,), _ = final_states(plan, left_out)
        assert np.abs(full - other).max() > 1e-4


def check_outcomes(seeds, shots):
    least = 1.0
    for seed in seeds:
        plan = random_plan(seed, control=True)
        noise = random_noise(plan, seed, kraus=False)
        reported = plan.program.to_circuit().cregs
        chances = outcome_chances(plan, noise, reported=reported)
        assert sum(chances.values()) == pytest.approx(1, abs=1e-9)
        routed = plan.routed
        emitted = sample(
            routed.circuit,
            node_of=routed.node_of,
            places=routed.places,
            fabric=plan.fabric,
            noise=noise,
            shots=shots,
            seed=seed,
            reported=reported,
        )
        ours = sample_channel(plan, noise, shots=8 * shots, seed=seed, reported=reported)
        least = min(least, likelihood(emitted.counts, chances), likelihood(ours.counts, chances))
    return least


def test_outcomes_with_the_users_own_control_are_those_of_the_emitted_circuit_shot_by_shot():
    assert check_outcomes((0, 2, 3), 700) > 1e-3


@pytest.mark.slow
def test_outcomes_with_the_users_own_control_are_those_of_the_emitted_circuit_for_forty_plans():
    assert check_outcomes(range(4, 44), 4000) > 1e-4


@pytest.mark.parametrize("seed", [2, pytest.param(1, marks=pytest.mark.slow), pytest.param(4, marks=pytest.mark.slow)])
def test_on_coupled_chips_too(seed):
    rng = np.random.default_rng(seed)
    chips = [
        GenericBackendV2(5, coupling_map=CouplingMap.from_line(5), seed=index, control_flow=True) for index in (0, 1)
    ]
    fabric = Fabric.from_backends(chips, "line", link="ideal", communication_qubits=2)
    fabric = fabric.replace("links.*", pair_fidelity=0.9, pair_rate_hz=1e5)
    a, b = (node.node_id for node in fabric.nodes)
    circuit = with_control(random_circuit(4, 12, rng), rng)
    half = circuit.depth() // 2
    rows = [[a, b, a, b]] * half + [[b, b, a, a]] * (circuit.depth() - half)
    plan = hq.evaluate(circuit, fabric, homes=rows, verify="skipped", seed=seed)
    noise, reported = random_noise(plan, seed, kraus=False), plan.program.to_circuit().cregs
    assert plan.routed.circuit.count_ops()["swap"]
    routed = plan.routed
    emitted = sample(
        routed.circuit,
        node_of=routed.node_of,
        places=routed.places,
        fabric=fabric,
        noise=noise,
        shots=1500,
        seed=seed,
        reported=reported,
    )
    assert likelihood(emitted.counts, outcome_chances(plan, noise, reported=reported)) > 1e-3


@pytest.mark.parametrize(("seed", "room", "shots"), [(8, 1 << 4, 200), (8, 1 << 8, 1500), (4, channel.ROOM, 10_000)])
def test_drawn_shots_have_the_exact_chances_however_few_states_fit(seed, room, shots, monkeypatch):
    monkeypatch.setattr(channel, "sampled", lambda *args, **kept: _sampled(*args, **kept, room=room))
    monkeypatch.setattr(channel._Task, "exact_seconds", lambda self, shots: float("inf"))
    plan = random_plan(seed, control=True)
    noise, reported = random_noise(plan, seed), plan.program.to_circuit().cregs
    found = sample_channel(plan, noise, shots=shots, seed=seed, reported=reported)
    assert sum(found.counts.values()) == shots
    assert likelihood(found.counts, outcome_chances(plan, noise, reported=reported)) > 1e-3


_sampled = channel.sampled


def test_shots_from_the_exact_mean_have_its_chances(monkeypatch):
    monkeypatch.setattr(channel._Task, "sampled_seconds", lambda self, shots: float("inf"))
    plan = random_plan(5, control=True)
    noise, reported = random_noise(plan, 5), plan.program.to_circuit().cregs
    found = sample_channel(plan, noise, shots=300_000, seed=1, reported=reported)
    assert likelihood(found.counts, outcome_chances(plan, noise, reported=reported)) > 1e-3


# -------------------------------------------------------------------------------------------------------- closed forms


def two_nodes(sizes, weights, **figures):
    fabric = Fabric.full(sizes, communication_qubits=2)
    nodes = (fabric.replace("nodes.*", **figures) if figures else fabric).nodes
    return Fabric(nodes=nodes, links=(Link(A, B, pair_weights=weights),))


def test_one_pair_errs_on_all_gates_of_its_packet_at_once():
    x, y, z = 0.2, 0.03, 0.1
    circuit = QuantumCircuit(3)
    circuit.cx(0, 1)
    circuit.cx(0, 2)
    plan = hq.evaluate(circuit, two_nodes([1, 2], (1 - x - y - z, x, y, z)), homes=[A, B, B], verify="skipped", seed=1)
    assert plan.ebits == 1
    chances = outcome_chances(plan, fresh_noise(plan, Noise.LINKS), reported=final(plan))
    assert chances == pytest.approx({"000": 1 - x - y, "110": x + y})
    counts = sample_channel(plan, fresh_noise(plan, Noise.LINKS), shots=2000, seed=3, reported=final(plan)).counts
    assert set(counts) == {"000", "110"}


def test_a_misread_protocol_bit_is_an_error_like_any_other():
    e = 0.06
    circuit = QuantumCircuit(2)
    circuit.h(0)
    circuit.cx(0, 1)
    plan = hq.evaluate(
        circuit, two_nodes([1, 1], (1, 0, 0, 0), readout_error=e), homes=[A, B], verify="skipped", seed=1
    )
    chances = outcome_chances(plan, fresh_noise(plan, Noise.FABRIC), reported=final(plan))
    assert chances["00"] + chances["11"] == pytest.approx((1 + (1 - 2 * e) ** 3) / 2)


def test_a_waiting_qubit_relaxes_to_0_and_not_to_a_mixture():
    circuit = QuantumCircuit(2)
    circuit.x(0)
    plan = hq.evaluate(circuit, two_nodes([1, 1], (1, 0, 0, 0)), homes=[A, B], verify="skipped", seed=1)
    wait = Idle(len(plan.routed.circuit.data), plan.routed.entry[0], 2.0, 1.0, 1.0)
    noise = RunNoise(pair_weights=np.zeros((0, 4)), idles=(wait,), local=False)
    assert outcome_chances(plan, noise, reported=final(plan)) == pytest.approx({"01": np.exp(-2), "00": 1 - np.exp(-2)})
    assert sample_channel(plan, noise, shots=10, seed=1, reported=final(plan)).approximations == ()


# ----------------------------------------------------------------------------------------------------- as a method


def test_without_errors_it_is_the_users_circuit():
    plan = random_plan(9, control=True)
    reported = plan.program.to_circuit().cregs
    chances = outcome_chances(plan, fresh_noise(plan, Noise.NONE), reported=reported)
    ideal = {key: chance for key, chance in probabilities(plan.circuit).items() if chance > 1e-12}
    assert {key: chance for key, chance in chances.items() if chance > 1e-12} == pytest.approx(ideal, abs=1e-9)


def test_same_seed_same_counts_and_another_seed_others():
    plan = random_plan(6)
    noise = random_noise(plan, 6)
    first, again, other = (
        sample_channel(plan, noise, shots=2000, seed=seed, reported=final(plan)) for seed in (1, 1, 2)
    )
    assert first == again
    assert first.counts != other.counts
    assert (first.method, first.wires) == ("channel", plan.qubits)
    assert list(first.counts.values()) == sorted(first.counts.values(), reverse=True)


def test_registers_are_reported_by_name_in_any_choice_and_order():
    plan = random_plan(2, control=True)
    noise = random_noise(plan, 2)
    both = plan.program.to_circuit().cregs
    chances = outcome_chances(plan, noise, reported=both)
    swapped = outcome_chances(plan, noise, reported=both[::-1])
    assert swapped == pytest.approx({" ".join(key.split(" ")[::-1]): chance for key, chance in chances.items()})
    first = outcome_chances(plan, noise, reported=[ClassicalRegister(2, "first")])
    assert sum(first.values()) == pytest.approx(1)
    assert all(len(key) == 2 for key in first)


def brickwork(qubits, *, layers, seed=0):
    rng = np.random.default_rng(seed)
    circuit = QuantumCircuit(qubits)
    for layer in range(layers):
        for qubit in range(qubits):
            circuit.u(*rng.uniform(0, 6, 3), qubit)
        for qubit in range(layer % 2, qubits - 1, 2):
            circuit.cp(rng.uniform(0.5, 3), qubit, qubit + 1)
    return circuit


def halves(circuit, **figures):
    half = circuit.num_qubits // 2
    fabric = Fabric.full([half, half], communication_qubits=1, pair_fidelity=0.95)
    fabric = fabric.replace("nodes.*", **figures) if figures else fabric
    return hq.evaluate(circuit, fabric, homes=[A] * half + [B] * half, verify="skipped", seed=1)


def test_what_is_too_wide_or_takes_hours_is_refused_at_once():
    plan = halves(brickwork(24, layers=1))
    noise = fresh_noise(plan, Noise.FABRIC)
    with pytest.raises(SimulationRefused, match="at most 22 qubits"):
        sample_channel(plan, noise, shots=1, seed=1, reported=final(plan))
    assert predicted_seconds(plan, noise, shots=1, reported=final(plan)) == float("inf")
    plan = halves(brickwork(20, layers=8), gate_error_2q=0.05)
    noise = fresh_noise(plan, Noise.FABRIC)
    with pytest.raises(SimulationRefused, match=r"Ask for at most \d+ shots"):
        sample_channel(plan, noise, shots=10_000_000, seed=1, reported=final(plan))
    with pytest.raises(SimulationRefused, match="Sample instead"):
        final_states(plan, noise)


def test_a_step_that_no_rule_covers_is_named():
    plan = random_plan(4)
    noise = random_noise(plan, 4, idle=False)
    rows = list(plan.routed.circuit.data)
    correction = next(index for index, step in enumerate(rows) if step.name == "if_else")
    broken = plan.routed.circuit.copy()
    broken.data = rows[:correction] + rows[correction + 1 :]
    routed = SimpleNamespace(**{name: getattr(plan.routed, name) for name in ("entry", "exit", "node_of", "places")})
    routed.circuit = broken
    spoiled = SimpleNamespace(routed=routed, fabric=plan.fabric, qubits=plan.qubits)
    with pytest.raises(InternalError):
        final_states(spoiled, noise)


@pytest.mark.slow
@pytest.mark.parametrize("kind", [Noise.LINKS, Noise.FABRIC])
def test_a_hundred_times_faster_than_the_emitted_circuit_shot_by_shot(kind):
    plan = halves(brickwork(10, layers=8), gate_error_1q=3e-4, gate_error_2q=5e-3, readout_error=0.01)
    assert plan.ebits == 4
    noise, reported = fresh_noise(plan, kind), final(plan)
    circuit, _ = with_final_measurements(plan.routed.circuit, plan.routed.exit)
    sample_channel(plan, noise, shots=10, seed=1, reported=reported)
    started = time.perf_counter()
    sample_channel(plan, noise, shots=4096, seed=1, reported=reported)
    ours = time.perf_counter() - started
    started = time.perf_counter()
    routed = plan.routed
    found = sample(
        circuit, node_of=routed.node_of, fabric=plan.fabric, noise=noise, shots=4096, seed=1, reported=reported
    )
    assert found.method == "statevector"
    assert (time.perf_counter() - started) / ours > 100
