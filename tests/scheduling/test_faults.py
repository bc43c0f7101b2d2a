"""Faults strike as scheduled, are drawn without regard to order, and every message still ends in exactly one way."""

from collections import Counter
from fractions import Fraction

import numpy as np
import pytest

from hyperfabric_q.errors import InvalidValue
from hyperfabric_q.scheduling.channel import channel
from hyperfabric_q.scheduling.checker import violations
from hyperfabric_q.scheduling.faults import (
    Corrupt,
    Delay,
    Duplicate,
    Flap,
    LinkDown,
    Loss,
    NodeCrash,
    Partition,
    Reorder,
    inject,
)
from hyperfabric_q.scheduling.kernel import Kernel
from hyperfabric_q.scheduling.message import Failure, Message, Outcome
from hyperfabric_q.scheduling.timeline import Recorder

US = 1_000_000


def row(*faults, seed=1, hops=2):
    """A kernel with nodes n0 to n2 in a row at 5 Gb/s, and faults."""
    kernel = Kernel(recorder=Recorder(keep=None))
    for at in range(hops):
        kernel.add(channel(f"n{at}", f"n{at + 1}", gbps=5))
    inject(kernel, faults, seed=seed)
    return kernel


def send(kernel, nbytes=6250, *, path=(0, 1), at=0, number=0, delay=0):
    log = []
    message = Message(
        path=path,
        delays=(delay,) * len(path),
        nbytes=nbytes,
        release_ps=at,
        key=(number,),
        identity=number,
        on_done=lambda _: log.append("done"),
        on_failed=lambda _: log.append("failed"),
        on_duplicate=lambda _: log.append("again"),
    )
    kernel.submit(message)
    return message, log


def sent(kernel, message, hop):
    own = (message.identity, hop)
    return sum(each.end - each.first for each in kernel.recorder.services if (each.message, each.hop) == own)


# ------------------------------------------------------------------------------------------------------------- outages


def test_a_link_that_goes_down_cuts_the_line_at_that_byte():
    kernel = row(LinkDown(channels=(0,), from_ps=2_500_800, to_ps=20 * US))
    message, log = send(kernel)
    other, other_log = send(kernel, 625, number=1)
    kernel.run()
    assert (message.outcome, message.failure, log) == (Outcome.FAILED, Failure.LINK_DOWN, ["failed"])
    assert (sent(kernel, message, 0), sent(kernel, message, 1)) == (1563, 1563)
    assert (other.done_ps, other_log) == (22 * US, ["done"])
    assert kernel.pending == 0
    assert violations(kernel.timeline()) == ()


def test_what_is_through_when_the_link_goes_down_is_through():
    kernel = row(LinkDown(channels=(0,), from_ps=10 * US))
    message, log = send(kernel, path=(0,))
    kernel.run()
    assert (message.done_ps, log) == (10 * US, ["done"])


def test_what_waits_for_a_link_that_never_returns_fails_at_once_and_so_does_what_comes():
    kernel = row(LinkDown(channels=(0,), from_ps=US))
    messages = [send(kernel, number=number)[0] for number in range(3)]
    late, _ = send(kernel, at=50 * US, number=9)
    other, _ = send(kernel, path=(1,), number=10)
    kernel.run()
    assert [each.failure for each in messages] == [Failure.LINK_DOWN] * 3
    assert (late.failure, other.outcome) == (Failure.LINK_DOWN, Outcome.DELIVERED)
    assert kernel.now_ps == 50 * US


def test_what_waits_for_a_link_that_returns_waits():
    kernel = row(LinkDown(channels=(0,), from_ps=0, to_ps=30 * US))
    message, _ = send(kernel, path=(0,))
    kernel.run()
    assert message.done_ps == 40 * US


def test_overlapping_outages_end_with_the_last():
    kernel = row(
        LinkDown(channels=(0,), from_ps=0, to_ps=30 * US),
        LinkDown(channels=(0, 1), from_ps=10 * US, to_ps=20 * US),
        LinkDown(channels=(0,), from_ps=25 * US, to_ps=50 * US),
    )
    message, _ = send(kernel, path=(0,))
    kernel.run()
    assert message.done_ps == 60 * US
    assert [(each.from_ps, each.to_ps) for each in kernel.timeline().outages if each.channel == 0] == [(0, 50 * US)]


def test_a_flapping_link_is_up_between_its_outages():
    flap = Flap(channels=(0,), from_ps=0, down_ps=10 * US, up_ps=15 * US, count=3)
    kernel = row(flap)
    messages = [send(kernel, path=(0,), number=number)[0] for number in range(4)]
    kernel.run()
    assert [each.done_ps for each in messages if each.done_ps > 0] == [20 * US, 45 * US]
    assert [each.outcome for each in messages].count(Outcome.FAILED) == 2
    assert [each.from_ps for each in flap.downs()] == [0, 25 * US, 50 * US]


def test_a_crashed_node_forgets_what_waits_in_it():
    kernel = row(NodeCrash(node="n1", at_ps=5 * US, restart_ps=40 * US))
    blocker, _ = send(kernel, path=(1,), number=0)
    waiting, log = send(kernel, 625, path=(1,), number=1)
    local, _ = send(kernel, 625, path=(1,), at=20 * US, number=2)
    after, _ = send(kernel, 625, path=(0, 1), at=20 * US, number=3)
    kernel.run()
    assert [each.failure for each in (blocker, waiting, local)] == [Failure.NODE_DOWN] * 3
    assert log == ["failed"]
    assert after.done_ps == 42 * US
    assert violations(kernel.timeline()) == ()


def test_what_was_on_its_way_to_a_node_that_crashed_is_lost_even_after_the_restart():
    kernel = row(NodeCrash(node="n2", at_ps=5 * US, restart_ps=6 * US))
    flying, _ = send(kernel, 625, path=(1,), delay=20 * US, number=0)
    later, _ = send(kernel, 625, path=(1,), at=7 * US, number=1)
    kernel.run()
    assert (flying.failure, later.outcome) == (Failure.NODE_DOWN, Outcome.DELIVERED)


def test_nothing_arrives_across_a_partition():
    kernel = row(Partition(members=frozenset({"n0"}), from_ps=5 * US, to_ps=15 * US))
    before, _ = send(kernel, 625, number=0)
    within, _ = send(kernel, 625, at=5 * US, number=1)
    aside, _ = send(kernel, 625, path=(1,), at=8 * US, number=2)
    after, _ = send(kernel, 625, at=15 * US, number=3)
    kernel.run()
    assert within.failure is Failure.PARTITIONED
    assert {each.outcome for each in (before, aside, after)} == {Outcome.DELIVERED}


# --------------------------------------------------------------------------------------------------------------- drawn


@pytest.mark.parametrize(("path", "kept"), [((0,), 0.7), ((0, 1), 0.49)])
def test_each_crossing_loses_a_message_with_its_probability(path, kept):
    kernel = row(Loss(probability=0.3))
    messages = [send(kernel, 64, path=path, number=number)[0] for number in range(3000)]
    kernel.run()
    outcomes = Counter(each.outcome for each in messages)
    assert set(outcomes) == {Outcome.DELIVERED, Outcome.FAILED}
    assert outcomes[Outcome.DELIVERED] / 3000 == pytest.approx(kept, abs=0.04)
    assert {each.failure for each in messages if each.failure} == {Failure.LOST}


def test_draws_belong_to_a_message_and_not_to_an_order_or_to_other_faults(workload):
    def outcomes(order=None, more=(), seed=7):
        load = workload(2, cancel=0)
        faults = [Loss(probability=0.3), Corrupt(probability=0.3), Reorder(probability=0.5), *more]
        kernel = load.kernel(order=order, faults=faults, fault_seed=seed)
        kernel.run()
        return {at: (each.outcome, each.marks, each.done_ps) for at, each in sorted(kernel.made.items())}

    true = outcomes()
    assert outcomes(order=np.random.default_rng(1).permutation(40).tolist()) == true
    assert outcomes(more=[Duplicate(probability=0.0), Loss(probability=0.0, name="other")]) == true
    assert outcomes(seed=8) != true


def test_a_fault_strikes_only_its_channels_and_its_time():
    kernel = row(Loss(probability=1, channels=frozenset({1}), from_ps=10 * US, to_ps=20 * US))
    cases = {
        (path, at): send(kernel, 625, path=path, at=at, number=at + path[0])
        for path in ((0,), (1,))
        for at in (5 * US, 12 * US, 25 * US)
    }
    kernel.run()
    assert [key for key, (message, _) in cases.items() if message.failure] == [((1,), 12 * US)]


def test_a_duplicate_arrives_again_and_is_told_apart():
    kernel = row(Duplicate(probability=1, after_ps=5 * US))
    message, log = send(kernel, 625)
    kernel.run()
    assert log == ["done", "again"]
    assert "duplicated" in message.marks
    assert [(each.time_ps, each.duplicate) for each in kernel.recorder.deliveries] == [(2 * US, False), (7 * US, True)]
    assert kernel.recorder.delivered_count == 1
    assert violations(kernel.timeline()) == ()


def test_delays_add_time_and_multiply_propagation():
    kernel = row(Delay(ps=11, factor=100, channels=frozenset({1})))
    message, _ = send(kernel, 625, delay=1000)
    kernel.run()
    assert message.done_ps == 2 * US + 2000 + 99 * 1000 + 11
    assert message.marks == ("delayed",)
    assert violations(kernel.timeline()) == ()


def test_reordering_lets_later_messages_overtake():
    kernel = row(Reorder(probability=0.5, by_ps=20 * US))
    messages = [send(kernel, 625, path=(0,), number=number)[0] for number in range(40)]
    kernel.run()
    arrived = [each.identity for each in sorted(messages, key=lambda each: each.done_ps)]
    assert arrived != sorted(arrived)
    assert {each.marks for each in messages} == {(), ("reordered",)}


def test_corruption_is_marked_and_delivered():
    kernel = row(Corrupt(probability=1))
    message, log = send(kernel)
    kernel.run()
    assert (message.marks, log) == (("corrupted",), ["done"])


# ------------------------------------------------------------------------------------------------------------ always


def heard(messages):
    """Counts the ends that each message reports."""
    ends = Counter()
    for message in messages:
        message.on_done = lambda each: ends.update([(each.identity, Outcome.DELIVERED)])
        message.on_failed = lambda each: ends.update([(each.identity, Outcome.FAILED)])
    return ends


def test_every_message_ends_in_exactly_one_way(workload, trouble):
    seen = Counter()
    for seed in range(100, 160):
        load = workload(seed)
        kernel = load.kernel(faults=trouble(seed, load))
        ends = heard(kernel.made.values())
        kernel.run()
        assert kernel.pending == 0
        assert set(ends.values()) <= {1}
        for message in kernel.made.values():
            assert message.outcome is not Outcome.UNDER_WAY
            assert ((message.identity, message.outcome) in ends) == (message.outcome is not Outcome.CANCELLED)
            assert (message.failure is not None) == (message.outcome is Outcome.FAILED)
            seen[message.failure] += 1
        assert violations(kernel.timeline()) == ()
    assert set(seen) == {None, *Failure}


def test_the_same_seed_gives_the_same_history(workload, trouble):
    for seed in range(10):
        load = workload(seed)
        faults = trouble(seed, load)
        histories = set()
        for order in (None, list(range(len(load.messages)))[::-1]):
            kernel = load.kernel(faults=faults, order=order)
            kernel.run()
            histories.add(kernel.timeline())
        assert len(histories) == 1


def test_faults_that_strike_nothing_change_nothing(workload):
    for seed in range(10):
        load = workload(seed)
        plain, faulty = (
            load.kernel(),
            load.kernel(faults=[LinkDown(channels=(0,), from_ps=10**15), Loss(probability=0)]),
        )
        plain.run()
        faulty.run()
        assert plain.recorder.digest == faulty.recorder.digest
        assert plain.now_ps == faulty.now_ps


def test_faults_alone_do_not_move_the_clock_and_are_made_up_for():
    kernel = row(
        LinkDown(channels=(0,), from_ps=US, to_ps=5 * US), NodeCrash(node="n1", at_ps=2 * US, restart_ps=3 * US)
    )
    assert kernel.next_ps is None
    kernel.advance(10 * US)
    message, _ = send(kernel, 625, path=(0,))
    kernel.run()
    assert message.done_ps == 11 * US
    outages = {each.channel: (each.from_ps, each.to_ps) for each in kernel.timeline().outages}
    assert outages == {0: (US, 5 * US), 1: (2 * US, 3 * US)}


@pytest.mark.parametrize("factor", [np.float32(1.5), np.int64(3), 1.5, Fraction(4, 3)])
def test_the_clock_stays_whole_whatever_numbers_a_delay_is_made_of(factor):
    kernel = row(Delay(ps=np.int64(5), factor=factor))
    message, _ = send(kernel, 625, path=(0,), delay=1000)
    kernel.run()
    assert type(message.done_ps) is int
    assert message.done_ps == US + 1000 + 5 + int((float(factor) - 1) * 1000)
    assert type(kernel.now_ps) is int


@pytest.mark.parametrize(
    "make",
    [
        lambda: LinkDown(channels=(0,), from_ps=-1),
        lambda: LinkDown(channels=(0,), from_ps=5, to_ps=5),
        lambda: Flap(channels=(0,), from_ps=0, down_ps=0, up_ps=1, count=1),
        lambda: NodeCrash(node="n0", at_ps=5, restart_ps=4),
        lambda: Partition(members=frozenset(), from_ps=5, to_ps=1),
        lambda: Loss(probability=1.5),
        lambda: Delay(factor=0),
        lambda: Delay(ps=-1),
        lambda: Delay(ps=1.5),
        lambda: Delay(ps=True),
        lambda: Delay(factor=float("inf")),
        lambda: Delay(factor=float("nan")),
        lambda: Delay(factor="2"),
        lambda: Delay(probability=None),
        lambda: Loss(probability="x"),
        lambda: Loss(probability=float("nan")),
        lambda: Loss(probability=0.5, from_ps=0.5),
        lambda: Loss(probability=0.5, to_ps="later"),
        lambda: Duplicate(probability=0.5, after_ps=-5),
        lambda: Duplicate(probability=0.5, after_ps=0),
        lambda: Duplicate(probability=2),
        lambda: Reorder(probability=0.5, by_ps=-5),
        lambda: Reorder(probability=0.5, by_ps=float("nan")),
        lambda: LinkDown(channels=(0,), from_ps=1.5),
        lambda: Flap(channels=(0,), from_ps=0, down_ps=1, up_ps=1, count=1.5),
        lambda: NodeCrash(node="n0", at_ps=None),
        lambda: Partition(members="n0", from_ps=0),
        lambda: Partition(members={"n0", 3}, from_ps=0),
        lambda: row(LinkDown(channels=(7,), from_ps=0)),
        lambda: row(NodeCrash(node="nowhere", at_ps=0)),
        lambda: row(Loss(probability=0.1), Loss(probability=0.2)),
        lambda: inject(row(), [], seed=0),
    ],
)
def test_impossible_faults_are_refused(make):
    with pytest.raises(InvalidValue):
        make()
