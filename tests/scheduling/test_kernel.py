"""Times to the picosecond, interruption over several hops, cancellation at every stage, and no order of submission."""

import gc
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from hyperfabric_q.errors import InternalError, InvalidValue
from hyperfabric_q.scheduling.admission import idle_ps, lower_bound_ps
from hyperfabric_q.scheduling.channel import Channel, channel
from hyperfabric_q.scheduling.checker import violations
from hyperfabric_q.scheduling.kernel import Kernel
from hyperfabric_q.scheduling.message import Message, Outcome, Part
from hyperfabric_q.scheduling.policy import Policy
from hyperfabric_q.scheduling.timeline import Recorder

US = 1_000_000
MS = 1_000 * US


def line(*gbps, chunk_ps=US, store_and_forward=True, policy=None):
    """A kernel with channels in a row, which keeps everything."""
    kernel = Kernel(policy=policy, recorder=Recorder(keep=None))
    for at, rate in enumerate(gbps):
        kernel.add(channel(f"n{at}", f"n{at + 1}", gbps=rate, chunk_ps=chunk_ps, store_and_forward=store_and_forward))
    return kernel


def send(kernel, nbytes, priority_class=5, *, hops=1, delays=None, at=0, number=0, **more):
    message = Message(
        path=tuple(range(hops)),
        delays=delays or (0,) * hops,
        nbytes=nbytes,
        priority_class=priority_class,
        release_ps=at,
        key=(number, at),
        identity=number * 10**9 + at,
        **more,
    )
    kernel.submit(message)
    return message


def spans(kernel, message):
    """(hop, first, end, begun, ended) of a message's services."""
    own = [each for each in kernel.recorder.services if each.message == message.identity]
    return [(each.hop, each.first, each.end, each.begun_ps, each.ended_ps) for each in sorted(own, key=_place)]


def _place(service):
    return service.hop, service.first


# ------------------------------------------------------------------------------------------------------ time, exactly


@pytest.mark.parametrize("hops", [1, 2, 3, 5])
@pytest.mark.parametrize("nbytes", [1, 62_500, 1_000_000])
def test_idle_pipeline_takes_latencies_plus_size_plus_a_chunk_per_further_hop(hops, nbytes):
    kernel = line(*[5] * hops)
    delays = tuple(range(100, 100 + hops))
    message = send(kernel, nbytes, hops=hops, delays=delays)
    kernel.run()
    assert message.done_ps == sum(delays) + 1600 * nbytes + (hops - 1) * 1600 * min(625, nbytes)


@pytest.mark.parametrize("rates", [(3, 7), (7, 3), (400, 5, 100), (5, 400), (10, 0.1, Fraction(1, 3))])
def test_cut_through_takes_the_slowest_serialisation_plus_latencies(rates):
    kernel = line(*rates, store_and_forward=False)
    delays = tuple(1000 + at for at in range(len(rates)))
    message = send(kernel, 123_457, hops=len(rates), delays=delays)
    kernel.run()
    slowest = min(Fraction(str(rate)) if isinstance(rate, float) else Fraction(rate) for rate in rates)
    assert message.done_ps == sum(delays) + -(-123_457 * 8000 // slowest)


def test_idle_time_is_what_a_store_and_forward_network_of_chunks_takes():
    """The oracle sends chunk by chunk, each as soon as it is there and the channel is free.

    They agree if no channel but the last is faster than one before it; see the next test.
    """
    rng = np.random.default_rng(5)
    for _ in range(300):
        *rates, last = rng.choice([7, 20, 160, 1600], int(rng.integers(1, 6))).tolist()
        channels = [
            Channel(source="a", target="b", ps_per_byte=Fraction(rate), chunk=int(rng.choice([64, 100, 625])))
            for rate in [*sorted(rates), last]
        ]
        delays = tuple(int(each) for each in rng.integers(0, 10_000, len(channels)))
        nbytes = int(rng.integers(1, 5000))
        kernel = Kernel()
        for each in channels:
            kernel.add(each)
        message = send(kernel, nbytes, hops=len(channels), delays=delays)
        kernel.run()
        assert message.done_ps == idle_ps(channels, delays, nbytes) >= lower_bound_ps(channels, delays, nbytes)
        assert message.done_ps == _chunk_by_chunk(channels, delays, nbytes)


def test_a_fast_channel_between_slow_ones_waits_for_its_train():
    """A model limit: the fast channel sends without gaps, so the slow one behind it starts late."""
    kernel = line(100, 400, 100, store_and_forward=False)
    message = send(kernel, 1_000_000, hops=3)
    kernel.run()
    assert message.done_ps == 80 * US + 60 * US == idle_ps([each.channel for each in kernel.servers], (0, 0, 0), 10**6)


def _chunk_by_chunk(channels, delays, nbytes):
    there = [0] * nbytes
    for channel_, delay in zip(channels, delays, strict=True):
        free, leaves = 0, []
        for ready in there:
            free = max(free, ready) + int(channel_.ps_per_byte)
            leaves.append(free)
        ends = [min((at // channel_.chunk + 1) * channel_.chunk, nbytes) - 1 for at in range(nbytes)]
        there = [leaves[end] + delay for end in ends]
    return there[-1]


def test_a_faster_channel_waits_for_the_last_full_chunk_though_the_very_last_is_short():
    """10 full chunks and one byte, on a channel that is a little faster: the tenth chunk decides when it may start."""
    kernel = Kernel(recorder=Recorder(keep=None))
    for rate in (10, 9):
        kernel.add(Channel(source="a", target="b", ps_per_byte=Fraction(rate), chunk=1000))
    message = send(kernel, 10_001, hops=2)
    kernel.run()
    assert [each[3] for each in spans(kernel, message)] == [0, 100_000 - 81_000]
    assert violations(kernel.timeline()) == ()


# ------------------------------------------------------------------------------------------ urgent frames behind bulk


def frames(policy, *, stagger_ps, count=10, rounds=1, chunk_ps=US, bulk=10_000_000):
    """Latencies of 125-byte frames every 10 us on 5 Gb/s, with a backlog of bulk."""
    kernel = Kernel(policy=policy)
    kernel.add(channel("a", "b", gbps=5, chunk_ps=chunk_ps))
    for number in range(-(-rounds * 10 * US // (bulk * 1600)) + 1 if rounds > 1 else 1):
        send(kernel, bulk, 4, number=10_000 + number)
    released = [
        send(kernel, 125, 1, at=turn * 10 * US + block * stagger_ps + 1, number=block)
        for turn in range(rounds)
        for block in range(count)
    ]
    kernel.run()
    return [message.done_ps - message.release_ps for message in released]


def test_staggered_frames_wait_for_less_than_one_chunk():
    assert max(frames(Policy(), stagger_ps=US)) <= 1_250_000


def test_frames_released_together_wait_for_one_chunk_and_one_another():
    assert max(frames(Policy(), stagger_ps=0)) <= 3_050_000


def test_first_in_first_out_lets_frames_wait_for_the_whole_backlog():
    assert max(frames(Policy(fifo=True), stagger_ps=0)) > 10 * MS


def test_every_one_of_many_frames_is_under_the_analytic_bound():
    latencies = frames(Policy(), stagger_ps=317_001, rounds=1000)
    chunk_and_burst = (625 + 10 * 125) * 1600
    assert len(latencies) == 10_000
    assert max(latencies) <= chunk_and_burst


@pytest.mark.slow
def test_every_one_of_100_000_frames_is_under_the_analytic_bound():
    for stagger_ps in (0, US):
        latencies = frames(Policy(), stagger_ps=stagger_ps, rounds=10_000)
        assert len(latencies) == 100_000
        assert max(latencies) <= (1_250_000 if stagger_ps else 3_050_000)


@pytest.mark.parametrize(("chunk_ps", "worst"), [(US // 2, 2_500_000), (8 * US, 10_000_000)])
def test_smaller_chunks_make_shorter_waits(chunk_ps, worst):
    latencies = frames(Policy(), stagger_ps=0, rounds=200, chunk_ps=chunk_ps)
    assert worst / 3 < max(latencies) <= worst


# ------------------------------------------------------------------------------------------------------- interruption


def test_interruption_comes_at_the_next_chunk_boundary_and_the_rest_resumes():
    kernel = line(5)
    bulk, urgent = send(kernel, 6250, 5), send(kernel, 125, 0, at=2_500_000)
    kernel.run()
    assert spans(kernel, bulk) == [(0, 0, 1875, 0, 3 * US), (0, 1875, 6250, 3_200_000, 10_200_000)]
    assert (urgent.done_ps, urgent.blocking_ps, bulk.preemptions) == (3_200_000, 500_000, 1)


def test_interruption_exactly_at_a_boundary_waits_for_nothing():
    kernel = line(5)
    send(kernel, 6250, 5)
    urgent = send(kernel, 125, 0, at=3 * US)
    kernel.run()
    assert (urgent.done_ps, urgent.blocking_ps) == (3_200_000, 0)


def test_what_ends_before_the_next_boundary_is_not_interrupted():
    kernel = line(5)
    bulk = send(kernel, 700, 5)
    urgent = send(kernel, 125, 0, at=1_050_000)
    kernel.run()
    assert (bulk.preemptions, urgent.done_ps) == (0, 1_120_000 + 200_000)


def test_one_boundary_serves_everything_urgent_that_has_come_by_then():
    kernel = line(5)
    bulk = send(kernel, 6250, 5)
    urgent = [send(kernel, 125, kind, at=100_000 + kind, number=kind) for kind in (2, 1, 0)]
    kernel.run()
    assert bulk.preemptions == 1
    assert [each.done_ps for each in urgent] == [1_600_000, 1_400_000, 1_200_000]


def test_interruption_at_the_first_hop_ends_the_train_at_the_second():
    kernel = line(5, 5)
    bulk = send(kernel, 6250, 5, hops=2)
    send(kernel, 125, 0, at=2_500_000)
    kernel.run()
    assert spans(kernel, bulk) == [
        (0, 0, 1875, 0, 3 * US),
        (0, 1875, 6250, 3_200_000, 10_200_000),
        (1, 0, 1875, US, 4 * US),
        (1, 1875, 6250, 4_200_000, 11_200_000),
    ]


def test_interruption_at_the_second_hop_leaves_the_first_alone():
    kernel = line(5, 5)
    bulk = send(kernel, 6250, 5, hops=2)
    urgent = Message(path=(1,), delays=(0,), nbytes=125, priority_class=0, release_ps=2_500_000, identity=7)
    kernel.submit(urgent)
    kernel.run()
    assert spans(kernel, bulk) == [
        (0, 0, 6250, 0, 10 * US),
        (1, 0, 1250, US, 3 * US),
        (1, 1250, 6250, 3_200_000, 11_200_000),
    ]
    assert urgent.done_ps == 3_200_000


@pytest.mark.parametrize("rates", [(5, 10, 40), (40, 10, 5), (10, 40, 5), (40, 5, 10), (3, 7, Fraction(11, 3))])
@pytest.mark.parametrize("store_and_forward", [True, False])
def test_a_train_cut_short_is_cut_short_over_three_hops_of_different_rates(rates, store_and_forward):
    kernel = line(*rates, store_and_forward=store_and_forward)
    bulk = send(kernel, 100_000, 5, hops=3, delays=(US, 5 * US, 0))
    for number in range(6):
        for at in (0, 1, 2):
            urgent = Message(
                path=(at,),
                delays=(0,),
                nbytes=125,
                priority_class=0,
                release_ps=(7 * number + 2 * at + 3) * US,
                key=(number, at),
                identity=10 * number + at + 1,
            )
            kernel.submit(urgent)
    kernel.run()
    assert bulk.outcome is Outcome.DELIVERED
    assert bulk.preemptions > 2
    assert violations(kernel.timeline()) == ()


def test_what_is_shortened_is_not_sent_on_before_its_last_chunk_has_propagated():
    """A fast channel behind a slow one and a long fibre: the train is cut at 100 us, its end arrives 50 us later."""
    kernel = line(5, 400)
    bulk = send(kernel, 10_000_000, 5, hops=2, delays=(50 * US, 0))
    send(kernel, 125, 0, at=100 * US)
    kernel.run()
    first = next(each for each in spans(kernel, bulk) if each[0] == 1)
    assert first[4] == 150 * US + 625 * 20
    assert violations(kernel.timeline()) == ()


def test_events_grow_with_messages_and_interruptions_not_with_chunks():
    kernel = line(5)
    send(kernel, 10**9, 5)
    for number in range(20):
        send(kernel, 125, 0, at=number * MS + 1, number=number)
    kernel.run()
    assert kernel._sequence < 400


# -------------------------------------------------------------------------------------------------------------- grains


@pytest.mark.parametrize(
    ("grain", "at", "cut"),
    [(0, 2_500_000, 1875), (1000, 2_500_000, 2000), (1000, 3_200_000, 2000), (1000, 3_200_001, 3000), (300, 1, 300)],
)
def test_interruption_comes_at_the_next_boundary_of_the_messages_own_grain(grain, at, cut):
    kernel = line(5)
    pairs, urgent = send(kernel, 10_000, 5, grain=grain), send(kernel, 125, 0, at=at)
    kernel.run()
    assert spans(kernel, pairs) == [
        (0, 0, cut, 0, 1600 * cut),
        (0, cut, 10_000, 1600 * cut + 200_000, 16_000_000 + 200_000),
    ]
    assert urgent.done_ps == 1600 * cut + 200_000
    assert violations(kernel.timeline()) == ()


def test_a_grain_is_whole_again_after_every_interruption():
    kernel = line(5)
    pairs = send(kernel, 100_000, 5, grain=700)
    for number in range(20):
        send(kernel, 125, 0, at=(7 * number + 1) * US, number=number + 1)
    kernel.run()
    ends = [end for _, _, end, _, _ in spans(kernel, pairs)]
    assert len(ends) > 15
    assert all(end % 700 == 0 for end in ends[:-1])


def test_an_attempt_is_one_byte_of_a_channel_of_its_own():
    kernel = Kernel(recorder=Recorder(keep=None))
    kernel.add(Channel(source="a", target="b", ps_per_byte=Fraction(10 * US), chunk=1))
    pairs, urgent = send(kernel, 40, 5), send(kernel, 1, 1, at=25 * US)
    kernel.run()
    assert spans(kernel, pairs) == [(0, 0, 3, 0, 30 * US), (0, 3, 40, 40 * US, 410 * US)]
    assert urgent.done_ps == 40 * US


@pytest.mark.parametrize(("at", "kept"), [(1, 1000), (1_600_000, 1000), (1_600_001, 2000), (7_900_000, 5000)])
def test_cancelling_keeps_whole_grains(at, kept):
    kernel = line(5)
    pairs = send(kernel, 6250, grain=1000)
    kernel.at(at, lambda: kernel.cancel(pairs))
    kernel.run()
    assert spans(kernel, pairs) == [(0, 0, kept, 0, 1600 * kept)]
    assert violations(kernel.timeline()) == ()


@pytest.mark.parametrize("grain", [0, 10_000])
def test_a_bulk_class_pays_for_a_grain_that_overran_its_turn(grain):
    """Classes 3 and 4 of weight 1 each with quanta of 2 us; an attempt takes 16 us."""
    kernel = line(5, policy=Policy(quantum_ps=2 * US, weights=()))
    pairs, bytes_ = send(kernel, 10**6, 3, grain=grain), send(kernel, 10**6, 4, number=1)
    kernel.advance(1600 * US)
    assert kernel.servers[0].busy_ps[3:5] == pytest.approx([800 * US, 800 * US], abs=20 * US)
    kernel.run()
    assert {pairs.outcome, bytes_.outcome} == {Outcome.DELIVERED}
    assert violations(kernel.timeline()) == ()


@pytest.mark.parametrize("wrong", [{"grain": -1}, {"grain": 5, "path": (0, 1), "delays": (0, 0)}])
def test_impossible_grains_are_refused(wrong):
    with pytest.raises(InvalidValue, match="grain"):
        Message(**({"path": (0,), "delays": (0,), "nbytes": 1} | wrong))


# -------------------------------------------------------------------------------------------------------- cancellation


def test_cancelling_before_admission_leaves_no_trace():
    kernel = line(5)
    message = send(kernel, 1000, at=US)
    assert kernel.cancel(message)
    kernel.run()
    assert (message.outcome, message.submitted_ps, kernel.pending) == (Outcome.CANCELLED, -1, 0)
    assert not kernel.recorder.services


def test_cancelling_what_waits_withdraws_all_of_it():
    kernel = line(5)
    first, second, third = (send(kernel, 6250, number=number) for number in range(3))
    kernel.at(US, lambda: kernel.cancel(second))
    kernel.run()
    assert spans(kernel, second) == []
    assert (first.done_ps, third.done_ps) == (10 * US, 20 * US)


def test_cancelling_what_is_sent_stops_it_at_the_next_boundary_and_charges_what_has_left():
    kernel = line(5, 5)
    bulk, other = send(kernel, 62_500, hops=2, number=0), send(kernel, 625, hops=2, number=1)
    kernel.at(2_500_000, lambda: kernel.cancel(bulk))
    kernel.run()
    assert spans(kernel, bulk) == [(0, 0, 1875, 0, 3 * US), (1, 0, 1875, US, 4 * US)]
    assert (bulk.outcome, other.outcome) == (Outcome.CANCELLED, Outcome.DELIVERED)
    assert other.done_ps == 5 * US
    assert kernel.servers[0].busy_ps[5] == 4 * US
    assert violations(kernel.timeline()) == ()


def test_cancelling_after_the_last_byte_left_only_keeps_it_from_arriving():
    kernel = line(5)
    done = []
    message = send(kernel, 625, delays=(10 * US,), on_done=done.append)
    kernel.at(5 * US, lambda: kernel.cancel(message))
    kernel.run()
    assert (message.outcome, done, kernel.pending) == (Outcome.CANCELLED, [], 0)


def test_cancelling_twice_or_after_arrival_says_so():
    kernel = line(5)
    message, other = send(kernel, 625), send(kernel, 625, number=1)
    assert kernel.cancel(other)
    assert not kernel.cancel(other)
    kernel.run()
    assert not kernel.cancel(message)
    assert message.outcome is Outcome.DELIVERED


def test_a_cancelled_frame_no_longer_interrupts():
    kernel = line(5)
    bulk, urgent = send(kernel, 6250, 5), send(kernel, 125, 0, at=2_500_000)
    kernel.at(2_600_000, lambda: kernel.cancel(urgent))
    kernel.run()
    assert (bulk.preemptions, bulk.done_ps) == (0, 10 * US)


def test_cancelling_at_every_instant_leaves_the_others_whole(workload):
    load = workload(11, messages=12, cancel=0)
    instants = sorted({each.time_ps for each in _run(load).recorder.deliveries})
    for number in range(12):
        for time_ps in [0, *instants][::3]:
            kernel = load.kernel()
            kernel.at(time_ps, lambda kernel=kernel, number=number: kernel.cancel(kernel.made[number]))
            kernel.run()
            assert kernel.pending == 0
            assert violations(kernel.timeline()) == ()
            outcomes = {at: each.outcome for at, each in kernel.made.items()}
            assert outcomes.pop(number) in {Outcome.CANCELLED, Outcome.DELIVERED}
            assert set(outcomes.values()) == {Outcome.DELIVERED}


def _run(load, **options):
    kernel = load.kernel(**options)
    kernel.run()
    return kernel


# ------------------------------------------------------------------------------------------------------- determinism


def test_no_order_of_submission_changes_anything(workload):
    for seed in range(20):
        load = workload(seed, cancel=0)
        true = _run(load).timeline()
        for shuffle in range(5):
            order = np.random.default_rng(shuffle).permutation(len(load.messages)).tolist()
            assert _run(load, order=order).timeline() == true


def test_keeping_a_log_changes_nothing(workload):
    for seed in range(20):
        assert _run(workload(seed), keep=0).recorder.digest == _run(workload(seed)).recorder.digest


def test_stopping_and_going_on_changes_nothing(workload):
    for seed in range(10):
        load = workload(seed)
        kernel = load.kernel()
        for time_ps in range(0, 3000 * US, 7 * US):
            kernel.advance(time_ps)
            kernel.recorder.digest  # noqa: B018 - reading it must not change it
        kernel.run()
        assert kernel.recorder.digest == _run(load).recorder.digest


def test_the_digest_tells_histories_apart():
    digests = set()
    for nbytes in (1, 2):
        for number in (1, 2):
            kernel = line(5)
            send(kernel, nbytes, number=number)
            kernel.run()
            digests.add(kernel.recorder.digest)
    assert len(digests) == 4


def test_finished_messages_leave_nothing_behind():
    kernel = Kernel()
    for rate in (5, 10):
        kernel.add(channel("a", "b", gbps=rate))
    gc.collect()
    gc.disable()
    try:
        for number in range(300):
            send(kernel, 1000 + number, number % 8, hops=2, number=number)
        kernel.run()
        assert not [each for each in gc.get_objects() if isinstance(each, Message | Part)]
    finally:
        gc.enable()


# ----------------------------------------------------------------------------------------------------------- the clock


def test_stale_plans_do_not_move_the_clock():
    kernel = line(5)
    bulk = send(kernel, 10**9, 5)
    kernel.at(US, lambda: kernel.cancel(bulk))
    kernel.run()
    assert kernel.now_ps == US
    assert kernel.next_ps is None


def test_timers_come_before_what_is_submitted_at_their_instant():
    kernel = line(5)
    seen = []
    message = send(kernel, 625, at=US)
    kernel.at(US, lambda: seen.append(message.submitted_ps))
    kernel.run()
    assert seen == [-1]
    with pytest.raises(InvalidValue, match="it is 2000000 ps already"):
        kernel.at(0, print)


def test_what_is_submitted_for_now_does_not_wait_for_what_comes_later():
    kernel = line(5)
    first, _ = send(kernel, 625), send(kernel, 625, at=MS, number=1)
    assert kernel.next_ps == 0
    kernel.run()
    assert first.done_ps == US


def test_a_replay_leaves_alone_what_is_submitted_for_now():
    kernel = line(5, 5)
    kernel.advance(10 * US)
    other = Message(path=(1,), delays=(0,), nbytes=625)
    kernel.submit(other)
    kernel.replay(0, lambda: send(kernel, 625, number=1))
    assert (other.submitted_ps, kernel.next_ps) == (-1, 10 * US)
    kernel.run()
    assert (other.submitted_ps, other.done_ps) == (10 * US, 11 * US)


def test_what_arrives_may_send_again_in_the_same_instant():
    kernel = line(5)
    again = []

    def reply(message):
        again.append(message.done_ps)
        if len(again) < 4:
            send(kernel, 625, number=len(again), on_done=reply)

    send(kernel, 625, on_done=reply)
    kernel.run()
    assert again == [US, 2 * US, 3 * US, 4 * US]


def test_a_line_that_completes_what_it_did_not_begin_is_our_bug():
    kernel = line(5)
    with pytest.raises(InternalError, match="had not begun"):
        kernel._complete(kernel.servers[0])


@pytest.mark.parametrize(
    "wrong", [{"nbytes": 0}, {"path": ()}, {"path": (0, 1)}, {"priority_class": 8}, {"priority_class": -1}]
)
def test_impossible_messages_are_refused(wrong):
    with pytest.raises(InvalidValue):
        Message(**({"path": (0,), "delays": (0,), "nbytes": 1} | wrong))


def test_a_rate_is_the_decimal_that_was_written():
    assert channel("a", "b", gbps=0.1).ps_per_byte == 80_000
    assert channel("a", "b", gbps=400).serialisation_ps(350_000_000_000) == 7 * 10**12
    with pytest.raises(InvalidValue, match="takes some time"):
        Channel(source="a", target="b", ps_per_byte=Fraction(0), chunk=1)
    with pytest.raises(InvalidValue, match="at least one byte"):
        Channel(source="a", target="b", ps_per_byte=Fraction(1), chunk=0)


# --------------------------------------------------------------------------------------------- anything, in any order


class KernelMachine(RuleBasedStateMachine):
    """Submissions, cancellations and waiting in any order; the checker judges the whole history."""

    @initialize(
        policy=st.sampled_from([0, 1, 2]), rates=st.lists(st.sampled_from([3, 5, 7, 100, 400]), min_size=3, max_size=3)
    )
    def start(self, policy, rates):
        policies = (Policy(), Policy(quantum_ps=2 * US, cap_ps=5 * US, grant_ps=2 * US), Policy(fifo=True))
        self.kernel = Kernel(policy=policies[policy], recorder=Recorder(keep=None))
        for at, rate in enumerate(rates):
            self.kernel.add(channel(f"n{at}", f"n{at + 1}", gbps=rate, store_and_forward=at != 1))
        self.messages = []

    @rule(
        path=st.permutations([0, 1, 2]),
        hops=st.integers(1, 3),
        nbytes=st.integers(1, 20_000),
        kind=st.integers(0, 7),
        slack=st.one_of(st.none(), st.integers(1, 20 * US)),
        later=st.integers(0, 3 * US),
        delay=st.sampled_from([0, 1, 2 * US]),
    )
    def submit(self, path, hops, nbytes, kind, slack, later, delay):
        now = self.kernel.now_ps
        message = Message(
            path=tuple(path[:hops]),
            delays=(delay,) * hops,
            nbytes=nbytes,
            priority_class=kind,
            release_ps=now + later,
            key=(len(self.messages),),
            identity=len(self.messages),
        )
        if slack is not None:
            message.deadline_ps = now + slack
        self.messages.append(message)
        self.kernel.submit(message)

    @precondition(lambda self: self.messages)
    @rule(at=st.integers(0, 1000))
    def cancel(self, at):
        message = self.messages[at % len(self.messages)]
        was = message.outcome
        assert self.kernel.cancel(message) == (was is Outcome.UNDER_WAY)

    @rule(by_ps=st.sampled_from([0, 1, US // 3, US, 10 * US]))
    def wait(self, by_ps):
        self.kernel.advance(self.kernel.now_ps + by_ps)

    @rule()
    def step(self):
        self.kernel.step()

    @invariant()
    def pending_counts_what_is_under_way(self):
        if hasattr(self, "kernel"):
            assert self.kernel.pending == sum(each.outcome is Outcome.UNDER_WAY for each in self.messages)

    def teardown(self):
        if hasattr(self, "kernel"):
            self.kernel.run()
            assert self.kernel.pending == 0
            assert {each.outcome for each in self.messages} <= {Outcome.DELIVERED, Outcome.CANCELLED}
            assert violations(self.kernel.timeline()) == ()


TestKernelMachine = KernelMachine.TestCase
TestKernelMachine.settings = settings(
    max_examples=60,
    stateful_step_count=40,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)
