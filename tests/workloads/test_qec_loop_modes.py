"""The three modes of the loop against each other, against closed forms, and against their parts."""

import math

import numpy as np
import pymatching
import pytest
import stim

from hyperfabric_q.errors import InvalidValue
from hyperfabric_q.fabric import Fabric, HardwareType, Link, NodeSignature
from hyperfabric_q.workloads.qec.aer_loop import run_aer
from hyperfabric_q.workloads.qec.background import Background
from hyperfabric_q.workloads.qec.closed_loop import Arrivals, Rounds, run_closed
from hyperfabric_q.workloads.qec.codes import repetition_code, rotated_surface_code
from hyperfabric_q.workloads.qec.decoders import Affine, Fixed
from hyperfabric_q.workloads.qec.erasure import erase, records_of
from hyperfabric_q.workloads.qec.experiment import Experiment
from hyperfabric_q.workloads.qec.frame_loop import Workshop, run_frame
from hyperfabric_q.workloads.qec.idle import sections
from hyperfabric_q.workloads.qec.logicals import logical_flips
from hyperfabric_q.workloads.qec.loop import Fate, Loop, shares
from hyperfabric_q.workloads.qec.reaction import expected_failure
from hyperfabric_q.workloads.qec.records import per_round
from hyperfabric_q.workloads.qec.seam import DistributedSurfaceCode
from hyperfabric_q.workloads.qec.transport import Transport


def loaded(policy="fabric", blocks=4, load=0.8, **more):
    fabric = Fabric(
        nodes=(
            NodeSignature("qpu", HardwareType.QUANTUM_QPU, 100.0, 0.0, compute_units=100),
            NodeSignature("decoder", HardwareType.CPU_SERVER, 100.0, 0.0),
        ),
        links=(Link("qpu", "decoder", bandwidth_gbps=100.0, latency_ns=0.0),),
    )
    return Transport(
        fabric=fabric,
        blocks=("qpu",) * blocks,
        decoder="decoder",
        background=(Background(source="qpu", destination="decoder", load=load),),
        policy=policy,
        deadline_us=10.0,
        **more,
    )


def generated(task, distance, rounds, p, basis="Z"):
    circuit = stim.Circuit.generated(
        task,
        distance=distance,
        rounds=rounds,
        after_clifford_depolarization=p,
        before_round_data_depolarization=p,
        before_measure_flip_probability=p,
        after_reset_flip_probability=p,
    )
    return Experiment(
        circuit=circuit,
        node_of=("",) * circuit.num_qubits,
        rounds=rounds,
        code="generated",
        distance=distance,
        basis=basis,
        noise="stim4",
    )


def close(first, second, sigmas=4.0):
    a, b = first.failure, second.failure
    return abs(a.value - b.value) < sigmas * math.hypot(a.stderr, b.stderr)


# ---------------------------------------------------------------------------------------------------------- idle rounds


@pytest.mark.parametrize("rounds", [3, 6, 25])
@pytest.mark.parametrize("basis", ["X", "Z"])
def test_more_or_fewer_rounds_are_the_circuit_that_would_have_been_made(basis, rounds):
    found = sections(rotated_surface_code(3, 6, basis, p=0.003)).with_rounds(rounds)
    wanted = rotated_surface_code(3, rounds, basis, p=0.003)
    assert found.circuit.flattened() == wanted.circuit.flattened()
    assert found.detector_rounds.tolist() == wanted.detector_rounds.tolist()


@pytest.mark.parametrize("task", ["surface_code:rotated_memory_x", "repetition_code:memory"])
def test_circuits_of_others_are_stretched_alike(task):
    found = sections(generated(task, 3, 5, 0.01)).with_rounds(9)
    wanted = generated(task, 3, 9, 0.01)
    assert str(found.circuit.flattened()) == str(wanted.circuit.flattened())


def test_a_memory_nobody_waits_for_is_not_longer():
    experiment = rotated_surface_code(3, 6, p=0.01)
    loops = [Loop(window=(3, 3)), Loop(branches=(), service=Fixed(9000.0)), Loop(transport=loaded("fifo"), branches=())]
    for loop in loops:
        assert not loop.waits
        found = run_frame(experiment, loop, 20_000, seed=1, timelines=2)
        assert found.counts["stall_rounds"] == 0
        assert close(found, run_frame(experiment, Loop(), 40_000, seed=2))


def test_what_cannot_be_stretched_is_refused():
    with pytest.raises(InvalidValue, match="rounds are the least"):
        sections(rotated_surface_code(3, 6)).with_rounds(1)
    with pytest.raises(InvalidValue, match="alike"):
        sections(rotated_surface_code(3, 2)).with_rounds(5)
    late = stim.Circuit(
        "R 0 1\nM 0\nM 1\nDETECTOR(0, 1) rec[-1]\nDETECTOR(0, 0) rec[-2]\nOBSERVABLE_INCLUDE(0) rec[-1]"
    )
    experiment = Experiment(circuit=late, node_of=("", ""), rounds=2, code="", distance=None, basis="Z", noise="")
    with pytest.raises(InvalidValue, match="before the next begins"):
        sections(experiment)


def test_someone_else_may_lengthen():
    made = []

    def lengthen(rounds):
        made.append(rounds)
        return rotated_surface_code(3, rounds, p=0.01)

    short = rotated_surface_code(3, 2, p=0.01)
    found = run_frame(short, Loop(service=Fixed(5000.0)), 200, seed=1, lengthen=lengthen)
    assert made == [2 + 5]
    assert found.shots == 200
    with pytest.raises(InvalidValue, match="as many rounds as it is asked for"):
        run_frame(short, Loop(service=Fixed(5000.0)), 200, seed=1, lengthen=lambda _: short)


# -------------------------------------------------------------------------------------------------------------- erasure


@pytest.mark.parametrize("lost", [(4,), (0,), (8,), (2, 3, 4), (1, 3, 5, 7)])
@pytest.mark.parametrize("basis", ["X", "Z"])
def test_what_an_erasure_leaves_knows_nothing_of_the_lost_measurements(basis, lost):
    experiment = rotated_surface_code(3, 9, basis, p=0.004)
    model = experiment.circuit.detector_error_model(decompose_errors=True)
    left = erase(experiment.circuit, model, lost)
    records = records_of(experiment.circuit)
    gone = set(np.flatnonzero(np.isin(records.rounds, lost)).tolist())
    assert len(gone) == 8 * len(lost)
    for columns in np.split(left.columns, left.starts[1:]):
        held = set()
        for detector in columns.tolist():
            held ^= records.detectors[detector]
        assert not held & gone
    # Nothing that could be kept is given away: the kept detectors are as many as independent sums without the lost.
    matrix = np.zeros((len(records.detectors), len(gone)), dtype=np.uint8)
    for row, held in enumerate(records.detectors):
        for column, measurement in enumerate(sorted(gone)):
            matrix[row, column] = measurement in held
    assert left.dem.num_detectors == len(matrix) - rank_mod_2(matrix)


def rank_mod_2(matrix):
    work, rank = matrix.copy(), 0
    for column in range(work.shape[1]):
        rows = np.flatnonzero(work[rank:, column]) + rank
        if len(rows):
            work[[rank, rows[0]]] = work[[rows[0], rank]]
            others = np.flatnonzero(work[:, column])
            work[others[others != rank]] ^= work[rank]
            rank += 1
    return rank


def test_the_model_of_an_erasure_has_the_rates_that_are_sampled():
    experiment = rotated_surface_code(3, 6, p=0.01)
    left = erase(experiment.circuit, experiment.circuit.detector_error_model(decompose_errors=True), (2, 3))
    shots = 40_000
    dets = experiment.circuit.compile_detector_sampler(seed=4).sample(shots).astype(np.uint8)
    sampled = left.apply(dets).mean(axis=0)
    quiet = np.ones(left.dem.num_detectors)
    for error in left.dem.flattened():
        if error.type != "error":
            continue
        flips = np.zeros(left.dem.num_detectors, dtype=np.int64)
        for target in error.targets_copy():
            if target.is_relative_detector_id():
                flips[target.val] ^= 1
        quiet[flips == 1] *= 1 - 2 * error.args_copy()[0]
    expected = (1 - quiet) / 2
    z = (sampled - expected) / np.sqrt(expected * (1 - expected) / shots)
    assert np.abs(z).max() < 4.5


def test_losing_rounds_costs_and_losing_none_does_not():
    experiment = rotated_surface_code(3, 9, p=0.005)
    made = Workshop(experiment, Loop())
    rates = [made.failures(Fate(rounds=9, erased=lost), 40_000, 1).mean() for lost in ((), (4,), (3, 4, 5), (2, 4, 6))]
    assert rates[0] < rates[1] < rates[2]
    assert rates[1] < 1.3 * rates[0]


# --------------------------------------------------------------------------------------------------------- corrections


@pytest.mark.parametrize("basis", ["X", "Z"])
@pytest.mark.parametrize("code", [rotated_surface_code, repetition_code])
def test_logical_flips_flip_the_observable_and_nothing_else(code, basis):
    experiment = code(3, 4, basis, p=0.01)
    ((x, z),) = logical_flips(sections(experiment))
    parts = sections(experiment)
    flip = stim.Circuit()
    flip.append("X_ERROR", np.flatnonzero(x), 1.0)
    flip.append("Z_ERROR", np.flatnonzero(z), 1.0)
    for place in range(1, 4):
        circuit = stim.Circuit()
        for number, part in enumerate(parts.rounds):
            circuit += part.without_noise()
            if number + 1 == place:
                circuit += flip
        circuit += parts.tail.without_noise()
        dets, observables = circuit.compile_detector_sampler(seed=1).sample(20, separate_observables=True)
        assert not dets.any()
        assert observables.all()


def test_corrections_come_in_the_round_of_their_frame():
    experiment = rotated_surface_code(3, 9, p=0.01)
    loop = Loop(window=(3, 2), service=Fixed(2000.0))
    timeline = run_closed(experiment, loop, 10, seed=1).timelines[0]
    arrivals = Arrivals.of(timeline, 0)
    # Window k commits up to 3k, sees two rounds more, and takes 2000 ns: two rounds.
    assert [arrivals.when(end) for end in (3, 6, 9)] == [7, 10, 13]
    assert arrivals.when(12) is None


@pytest.mark.parametrize("basis", ["X", "Z"])
def test_feedback_and_frames_fail_the_same_shots(basis):
    experiment = rotated_surface_code(3, 8, basis, p=0.008)
    loop = Loop(window=(2, 2), service=Fixed(700.0))
    found = [run_closed(experiment, loop, 3000, seed=5, feedback=feedback) for feedback in (True, False)]
    assert found[0].errors > 100
    assert (found[0].failures == found[1].failures).all()


# ---------------------------------------------------------------------------------------------------------------- modes


def test_without_a_fabric_the_frame_mode_is_plain_sampling_and_matching():
    experiment = rotated_surface_code(3, 3, p=0.01)
    found = run_frame(experiment, Loop(), 40_000, seed=3)
    circuit = experiment.circuit
    matching = pymatching.Matching.from_detector_error_model(circuit.detector_error_model(decompose_errors=True))
    dets, observables = circuit.compile_detector_sampler(seed=9).sample(40_000, separate_observables=True)
    plain = np.any(matching.decode_batch(dets) != observables, axis=1).mean()
    assert found.failure.value == pytest.approx(plain, abs=4 * math.sqrt(2) * found.failure.stderr)


@pytest.mark.parametrize("window", [None, (3, 3)])
def test_frame_equals_closed(window):
    experiment = rotated_surface_code(3, 6, p=0.01)
    loop = Loop(transport=loaded(), window=window, service=Fixed(2500.0), servers=4)
    frame = run_frame(experiment, loop, 40_000, seed=1, timelines=4)
    closed = run_closed(experiment, loop, 40_000, seed=2, timelines=4)
    assert [each.waits.tolist() for each in run_frame(experiment, loop, 4, seed=1, timelines=4).timelines] == [
        each.waits.tolist() for each in frame.timelines
    ]
    assert min(each.waits.min() for each in frame.timelines) >= 3
    assert close(frame, closed)


@pytest.mark.parametrize("window", [None, (3, 3)])
def test_aer_equals_frame(window):
    experiment = rotated_surface_code(3, 3, p=0.01)
    loop = Loop(window=window, service=Fixed(2000.0))
    frame = run_frame(experiment, loop, 100_000, seed=1)
    aer = run_aer(experiment, loop, 700, seed=2)
    assert aer.timelines[0].waits.tolist() == frame.timelines[0].waits.tolist()
    assert close(frame, aer)


def test_a_distributed_patch_runs_in_all_modes():
    patch = DistributedSurfaceCode(distance=3, rounds=3, p=0.004)
    experiment = patch.experiment()
    loop = Loop()
    frame = run_frame(experiment, loop, 40_000, seed=1)
    assert close(frame, run_closed(experiment, loop, 40_000, seed=2))
    assert close(frame, run_aer(experiment, loop, 400, seed=3))
    with pytest.raises(InvalidValue, match="lengthen"):
        run_aer(experiment, Loop(service=Fixed(3000.0)), 10, seed=3)


@pytest.mark.slow
def test_all_modes_agree_at_distance_3():
    experiment = rotated_surface_code(3, 3, p=0.01)
    loop = Loop(transport=loaded(), service=Fixed(2000.0), servers=4)
    frame = run_frame(experiment, loop, 400_000, seed=1, timelines=4)
    closed = run_closed(experiment, loop, 400_000, seed=2, timelines=4)
    aer = run_aer(experiment, loop, 20_000, seed=3, timelines=4)
    assert close(frame, closed, 3.0)
    assert close(frame, aer, 3.0)


# -------------------------------------------------------------------------------------------------------- what it costs


@pytest.mark.parametrize("reaction_us", [4.0, 10.0, 63.0])
def test_waiting_costs_what_the_reaction_law_says(reaction_us):
    rounds, p = 6, 0.004
    long = run_frame(rotated_surface_code(3, 60, p=p), Loop(), 60_000, seed=1)
    rate = per_round(long.failure.value, 60)
    found = run_frame(rotated_surface_code(3, rounds, p=p), Loop(service=Fixed(1000 * reaction_us)), 100_000, seed=2)
    wait = int(found.timelines[0].waits[0, 0])
    assert wait == math.ceil(reaction_us / 1.1)
    expected = expected_failure(rate, rounds, wait)
    assert found.failure.value == pytest.approx(expected, rel=0.05)


def test_load_costs_under_first_come_first_served_and_hardly_under_the_fabrics_policy():
    experiment = rotated_surface_code(3, 6, p=0.004)
    rates = {}
    for policy in ("fabric", "fifo"):
        loop = Loop(transport=loaded(policy, blocks=2), service=Fixed(500.0), servers=2)
        rates[policy] = run_frame(experiment, loop, 8000, seed=4, timelines=8).failure
    ideal = run_frame(experiment, Loop(), 40_000, seed=5).failure
    assert rates["fifo"].value > 4 * rates["fabric"].value
    assert rates["fabric"].value < 1.6 * ideal.value
    # Shots of one timeline share its fate, and the bar says so.
    assert rates["fifo"].stderr > 2 * math.sqrt(rates["fifo"].value / 8000)


@pytest.mark.parametrize("policy", ["shed", "speculate", "drop_frame"])
def test_policies_are_better_than_waiting_behind_gradients(policy):
    experiment = rotated_surface_code(3, 6, p=0.004)
    found = {}
    for name in ("wait", policy):
        loop = Loop(transport=loaded("fifo", blocks=2), policy=name, service=Fixed(500.0), servers=2)
        found[name] = run_frame(experiment, loop, 4000, seed=6, timelines=8)
    assert found[policy].errors < 0.8 * found["wait"].errors


def test_shrunk_buffers_cost_as_much_as_windows_without_buffer_at_most():
    experiment = rotated_surface_code(5, 20, p=0.005)
    made = Workshop(experiment, Loop(window=(5, 5)))
    none = tuple((end, end) for end in (5, 10))
    some = tuple((end, end + 2) for end in (5, 10))
    rates = [made.failures(Fate(rounds=20, cut=cut), 12_000, 1).mean() for cut in ((), some, none)]
    assert rates[0] <= rates[1] < rates[2]
    assert rates[2] > 1.2 * rates[0]


def test_service_by_defects_waits_shot_by_shot():
    experiment = rotated_surface_code(3, 6, p=0.01)
    fixed = run_frame(experiment, Loop(service=Fixed(4000.0)), 40_000, seed=1)
    even = run_frame(experiment, Loop(service=Affine(4000.0, 1e-9)), 40_000, seed=2)
    assert not Loop(service=Affine(4000.0, 0.0)).by_defects
    assert even.counts["stall_rounds"] == pytest.approx(4 * 40_000, rel=0.3)
    assert even.failure.value == pytest.approx(fixed.failure.value, rel=0.12)
    slow = run_frame(experiment, Loop(service=Affine(0.0, 4000.0)), 40_000, seed=3)
    assert slow.errors > 1.5 * fixed.errors


def test_branches_on_the_way_make_the_experiment_longer():
    experiment = rotated_surface_code(3, 9, p=0.004)
    loop = Loop(branches=(2, 5), service=Fixed(5500.0))
    found = run_frame(experiment, loop, 60_000, seed=1)
    assert found.timelines[0].waits.tolist() == [[5, 5]]
    assert close(found, run_frame(rotated_surface_code(3, 9 + 10, p=0.004), Loop(), 60_000, seed=2))
    assert close(found, run_closed(experiment, loop, 60_000, seed=3))
    with pytest.raises(InvalidValue, match="up to 9"):
        run_frame(experiment, Loop(branches=(10,)), 10, seed=1)


def test_other_policies_are_left_to_the_frame_mode():
    experiment = rotated_surface_code(3, 3, p=0.01)
    loop = Loop(transport=loaded(), policy="drop_frame")
    for run in (run_closed, run_aer):
        with pytest.raises(InvalidValue, match='Use mode "frame"'):
            run(experiment, loop, 10, seed=1)


def test_shots_are_shared_out_evenly():
    parts = shares(103, 4, 5, 1)
    assert parts.sum() == 103
    assert parts.max() - parts.min() == 1


def test_a_batch_of_rounds_has_the_events_of_the_circuit():
    experiment = rotated_surface_code(3, 5, p=0.01)
    batch = Rounds(Workshop(experiment, Loop()), 20_000, 1)
    events = [batch.step() for _ in range(5)] + [batch.finish()]
    assert [len(each) for each in events] == experiment.bits_per_round.tolist()
    sampled = np.concatenate(events).mean(axis=1)
    other = experiment.circuit.compile_detector_sampler(seed=2).sample(20_000).mean(axis=0)
    assert np.abs(sampled - other).max() < 5 * math.sqrt(2 * other.max() / 20_000)
