"""Frames on the shared scheduler, held against queues computed by hand."""

import math

import numpy as np
import pytest

from hyperfabric_q import seeds
from hyperfabric_q.errors import DeadlineImpossible, InvalidValue, SimulationRefused, UnknownName
from hyperfabric_q.fabric import Fabric, HardwareType, Link, NodeSignature
from hyperfabric_q.scheduling.faults import Corrupt, Duplicate, Loss, Reorder
from hyperfabric_q.scheduling.policy import Policy
from hyperfabric_q.workloads.qec.background import Background
from hyperfabric_q.workloads.qec.backlog import md1_wait
from hyperfabric_q.workloads.qec.decoders import Affine, Fixed
from hyperfabric_q.workloads.qec.decoding import Decoding
from hyperfabric_q.workloads.qec.frames import FrameStatus
from hyperfabric_q.workloads.qec.reaction import reaction
from hyperfabric_q.workloads.qec.replay import replay
from hyperfabric_q.workloads.qec.shot_queue import shot_waits
from hyperfabric_q.workloads.qec.transport import Transport

AT_ONCE = Decoding(service=Fixed(0.0))


def line(gbps=100.0, latency_ns=0.0, **qpu):
    return Fabric(
        nodes=(
            NodeSignature("qpu", HardwareType.QUANTUM_QPU, gbps, 0.0, compute_units=100, **qpu),
            NodeSignature("decoder", HardwareType.CPU_SERVER, gbps, 0.0),
        ),
        links=(Link("qpu", "decoder", bandwidth_gbps=gbps, latency_ns=latency_ns),),
    )


def gradients(load, **more):
    return Background(source="qpu", destination="decoder", load=load, **more)


def transport(*, load=0.0, blocks=1, policy="fabric", fabric=None, **more):
    return Transport(
        fabric=fabric or line(),
        blocks=("qpu",) * blocks,
        decoder="decoder",
        background=(gradients(load),) if load else (),
        policy=policy,
        **more,
    )


def run(given, decoding=AT_ONCE, *, rounds=100, cycle_ns=1100.0, bits=48, seed=1, **more):
    return replay(given, decoding, cycle_ns=cycle_ns, bits=bits, branches=(rounds,), seed=seed, **more)


def test_an_idle_link_takes_propagation_and_serialisation():
    found = run(transport(fabric=line(latency_ns=200.0)), rounds=50)
    assert set(found.one_way_ps().tolist()) == {84 * 80 + 200_000}
    assert found.waits.tolist() == [[1]]
    assert found.counts[FrameStatus.OK] == 50


def test_first_come_first_served_equals_the_recursion_of_lindley():
    given = Transport(
        fabric=line(), blocks=("qpu",), decoder="decoder", background=(gradients(0.6, nbytes=40_000),), policy="fifo"
    )
    found = run(given, rounds=600, seed=5, warmup_us=50.0)
    origin, cycle = 50_000_000, 1_100_000
    arrivals = []
    for when in gradients(0.6, nbytes=40_000).times_ps(
        seeds.stream(5, "background", "gradients:qpu>decoder"), 40_000 * 80
    ):
        if when > origin + 700 * cycle:
            break
        arrivals.append((when, 40_000 * 80, -1))
    frames = [(origin + (number + 1) * cycle, 84 * 80, number) for number in range(700)]
    free, waited = 0, {}
    for when, service, number in sorted(arrivals + frames):
        free = max(free, when) + service
        waited[number] = free - when
    assert found.one_way_ps().tolist() == [waited[number] for number in range(600)]


def test_first_come_first_served_waits_as_m_d_1_says():
    nbytes, service_us = 1 << 16, (1 << 16) * 8e-5
    waits = []
    for seed in range(3):
        given = Transport(
            fabric=line(),
            blocks=("qpu",),
            decoder="decoder",
            background=(gradients(0.5, nbytes=nbytes),),
            policy="fifo",
        )
        found = run(given, rounds=4000, cycle_ns=5000.0, seed=seed)
        waits.append(np.mean(found.one_way_ps() - 84 * 80) / 1e6)
    spread = np.std(waits, ddof=1) / math.sqrt(len(waits))
    assert np.mean(waits) == pytest.approx(md1_wait(0.5, service_us), abs=4 * spread + 0.02 * service_us)
    assert np.mean(waits) == pytest.approx(md1_wait(0.5, service_us), rel=0.15)


@pytest.mark.parametrize("load", [0.3, 0.8])
def test_no_frame_is_slower_than_its_bound(load):
    given = transport(load=load, blocks=10, deadline_us=10.0, chunk_ns=327.7)
    found = run(given, rounds=300)
    bound = found.bounds_ps[0]
    # Ten frames, one chunk of 4 KiB: a third of a microsecond and little more.
    assert bound is not None
    assert bound == pytest.approx(10 * 84 * 80 + 4096 * 80, rel=0.02)
    assert max(found.one_way_ps()) <= bound
    assert found.longer_than(10_000_000) == 0


def test_the_control_case_misses_and_has_no_bound():
    late = sum(
        run(transport(load=0.8, blocks=10, deadline_us=10.0, policy="fifo"), rounds=200, seed=seed).longer_than(
            10_000_000
        )
        for seed in range(6)
    )
    assert late > 0.7 * 6 * 2000
    assert run(transport(load=0.8, policy="fifo"), rounds=5).bounds_ps == (None,)


def test_one_seed_is_one_log():
    first, second, other = (run(transport(load=0.8, policy="fifo"), rounds=40, seed=seed) for seed in (1, 1, 2))
    assert first.digest == second.digest != other.digest
    assert first.arrived_ps.tolist() == second.arrived_ps.tolist()


def test_reaction_time_has_its_parts():
    decoding = Decoding(service=Fixed(2500.0), commit=5, buffer=3)
    found = run(transport(fabric=line(latency_ns=400.0)), decoding, rounds=20)
    parts = reaction(found)
    assert parts.buffer_us == pytest.approx(3 * 1.1)
    assert parts.wire_us == pytest.approx(0.4 + 84 * 80e-6)
    assert parts.service_us == pytest.approx(2.5)
    assert parts.return_us == pytest.approx(0.4 + 84 * 80e-6)
    assert parts.queue_us == pytest.approx(0)
    assert parts.decoder_us == pytest.approx(0)
    assert parts.rounds == math.ceil(parts.total_us / 1.1)


def test_blocks_share_the_decoders():
    one = run(transport(blocks=4), Decoding(service=Fixed(3000.0), servers=1), rounds=10)
    four = run(transport(blocks=4), Decoding(service=Fixed(3000.0), servers=4), rounds=10)
    done = np.sort(one.windows[:, 6])
    assert np.diff(done).tolist() == [3_000_000] * 3
    assert (four.windows[:, 6] - four.windows[:, 4]).tolist() == [3_000_000] * 4


# --------------------------------------------------------------------------------------------------------------- faults


def test_lost_frames_are_asked_for_again_and_counted_nowhere_twice():
    given = transport(faults=(Loss(probability=0.2),), fabric=line(latency_ns=800.0))
    found = run(given, rounds=200)
    assert found.counts[FrameStatus.LOST] == 0
    assert found.counts[FrameStatus.REORDERED] > 10
    assert (found.arrived_ps >= 0).all()


def test_lost_frames_are_given_up_under_drop_frame():
    given = transport(faults=(Loss(probability=0.2),), deadline_us=5.0)
    found = run(given, rounds=200, policy="drop_frame")
    assert 15 < found.counts[FrameStatus.LOST] == np.count_nonzero(found.erased) < 70
    assert found.counts[FrameStatus.LATE] == 0
    assert found.missed == found.counts[FrameStatus.LOST]


def test_duplicates_and_reordering_are_counted():
    twice = run(transport(faults=(Duplicate(probability=0.3, after_ps=500_000),)), rounds=200)
    assert twice.counts[FrameStatus.DUP] > 30
    assert twice.counts[FrameStatus.OK] == 200
    mixed = run(transport(faults=(Reorder(probability=0.3, by_ps=5_000_000),)), rounds=200)
    assert mixed.counts[FrameStatus.REORDERED] > 10
    assert sum(mixed.counts.values()) == 200
    altered = run(transport(faults=(Corrupt(probability=0.2),)), rounds=100)
    assert altered.counts[FrameStatus.LOST] == 0
    assert (altered.one_way_ps() > 84 * 80).sum() > 5


# ------------------------------------------------------------------------------------------------------------- policies


def test_dropping_gives_up_exactly_what_is_late():
    given = transport(load=0.8, policy="fifo", deadline_us=10.0)
    found = [run(given, rounds=40, policy="drop_frame", seed=seed) for seed in range(4)]
    assert sum(int(each.erased.sum()) for each in found) > 20
    for each in found:
        late = (each.arrived_ps < 0) | (each.arrived_ps - each.emitted_ps > 10_000_000)
        assert each.erased.tolist() == late[:, : each.erased.shape[1]].tolist()
        assert each.waits.max() <= 11


def test_shrinking_sees_what_is_there_by_the_deadline():
    given = transport(load=0.8, policy="fifo", deadline_us=10.0)
    decoding = Decoding(service=Fixed(0.0), commit=3, buffer=3)
    found = [run(given, decoding, rounds=60, policy="shrink_buffer", seed=seed) for seed in range(6)]
    cut = 0
    for each in found:
        arrived, emitted = each.arrived_ps[0], each.emitted_ps[0]
        for _, _, end, seen, ready, _, _ in each.windows.tolist():
            if end + 3 > each.counted[0]:
                continue
            prefix = np.maximum.accumulate(np.where(arrived < 0, 1 << 62, arrived))
            if seen < end + 3:
                cut += 1
                assert ready > emitted[end + 2] + 10_000_000 or ready >= prefix[end - 1]
                assert prefix[seen - 1] <= ready < prefix[seen]
            else:
                assert ready == prefix[end + 2]
    assert cut > 5


def test_shedding_brings_frames_back_in_time():
    waiting, shedding = (
        sum(run(transport(load=0.8, policy="fifo", deadline_us=10.0), rounds=100, policy=policy, seed=seed).missed
            for seed in range(4))
        for policy in ("wait", "shed")
    )  # fmt: skip
    assert shedding < 0.4 * waiting


def test_speculation_goes_on_at_once():
    given = transport(load=0.8, policy="fifo", deadline_us=10.0)
    found = replay(given, AT_ONCE, cycle_ns=1100.0, bits=24, branches=(10, 20), policy="speculate", seed=1)
    assert found.branches.tolist() == [[10, 20]]
    late = found.arrived_ps[0] - (found.emitted_ps[0, 0] - 1_100_000)
    for column, branch in enumerate((10, 20)):
        assert found.horizons[0, column] == np.argmax(~(late[:branch] <= branch * 1_100_000))


def test_waiting_moves_the_branches_that_follow():
    decoding = Decoding(service=Fixed(5000.0))
    found = replay(Transport(), decoding, cycle_ns=1000.0, bits=8, branches=(4, 6, 9), seed=1)
    assert found.waits.tolist() == [[5, 5, 5]]
    assert found.branches.tolist() == [[4, 4 + 5 + 2, 4 + 5 + 2 + 5 + 3]]


# -------------------------------------------------------------------------------------- service by what a shot holds


def test_shot_queues_agree_with_the_replay_where_service_is_fixed():
    decoding = Decoding(service=Fixed(1700.0), commit=2, buffer=1, servers=2)
    found = run(transport(blocks=5), decoding, rounds=12)
    waits = shot_waits(found, decoding, np.zeros((3, 5, 13), dtype=np.int64))
    assert waits.tolist() == [found.waits[:, -1].tolist()] * 3


def test_shot_queues_agree_with_a_loop_over_shots():
    service = Affine(600.0, 150.0)
    decoding = Decoding(service=service, commit=2, buffer=1)
    found = run(Transport(), decoding, rounds=12)
    defects = np.random.default_rng(3).poisson(3, size=(40, 1, 13))
    waits = shot_waits(found, decoding, defects)
    for shot in range(40):
        free = 0.0
        for end in range(2, 13, 2):
            ready = (end + 1) * 1100.0
            held = defects[shot, 0, end - 2 : end + 1].sum()
            free = max(free, ready) + 600.0 + 150.0 * held
        assert waits[shot, 0] == math.ceil((free - 12 * 1100.0) / 1100.0)
    assert len(set(waits[:, 0].tolist())) > 2


# ------------------------------------------------------------------------------------------------------------- refusals


def test_a_deadline_below_the_light_bound_is_refused_with_numbers():
    with pytest.raises(DeadlineImpossible, match=r"within 300 ns: even an idle fabric needs 406.72 ns"):
        run(transport(fabric=line(latency_ns=400.0), deadline_us=0.3))
    with pytest.raises(DeadlineImpossible, match=r"2506\.72 ns"):
        run(transport(deadline_us=2.0), Decoding(service=Fixed(2500.0)))


def test_a_backlog_without_end_is_refused(monkeypatch):
    monkeypatch.setattr("hyperfabric_q.workloads.qec.replay.MOST_ROUNDS", 2000)
    with pytest.raises(SimulationRefused, match=r"window takes 2\.2 µs and comes every 1\.1 µs"):
        replay(
            Transport(),
            Decoding(service=Fixed(2200.0), commit=1),
            cycle_ns=1100.0,
            bits=8,
            branches=tuple(range(1, 40)),
        )


def test_options_are_checked():
    with pytest.raises(InvalidValue, match="acts at deadlines"):
        run(transport(), policy="drop_frame")
    with pytest.raises(InvalidValue, match="there must be both"):
        run(transport(deadline_us=5.0), policy="shrink_buffer")
    with pytest.raises(UnknownName, match="miss policy"):
        run(transport(), policy="hope")
    with pytest.raises(UnknownName):
        Transport(fabric=line(), blocks=("nowhere",), decoder="decoder")
    with pytest.raises(InvalidValue, match="its queue has no end"):
        gradients(1.0)
    with pytest.raises(InvalidValue, match="increase"):
        replay(Transport(), AT_ONCE, cycle_ns=1000.0, bits=8, branches=(3, 3))
    with pytest.raises(InvalidValue, match="need links"):
        Transport(background=(gradients(0.5),))
    with pytest.raises(InvalidValue, match='"fabric", "fifo"'):
        transport(policy="lifo")


def test_a_policy_of_ones_own_is_taken():
    given = transport(load=0.8, blocks=2, policy=Policy(first_bulk=2, last_capped=-1))
    assert given.policy_name == "custom"
    assert run(given, rounds=50).bounds_ps[0] is not None
