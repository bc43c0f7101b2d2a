"""The checker raises no false alarm and misses no planted bug, neither in a log nor in the kernel."""

from collections import deque
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest

from hyperfabric_q.errors import HyperFabricError, InvalidValue
from hyperfabric_q.scheduling import kernel as kernel_module
from hyperfabric_q.scheduling.channel import Channel
from hyperfabric_q.scheduling.checker import violations
from hyperfabric_q.scheduling.kernel import ARRIVE, Kernel
from hyperfabric_q.scheduling.policy import NO_DEADLINE, Policy
from hyperfabric_q.scheduling.server import Server
from hyperfabric_q.scheduling.timeline import Delivery, Ending

US = 1_000_000


def history(load, **options):
    kernel = load.kernel(**options)
    kernel.run()
    return kernel.timeline()


# ---------------------------------------------------------------------------------------------------- no false alarms


@pytest.mark.parametrize("block", range(4))
def test_true_histories_break_no_law(workload, block):
    for seed in range(60 * block, 60 * block + 60):
        assert violations(history(workload(seed))) == (), seed


def test_true_histories_with_faults_break_no_law(workload, trouble):
    for seed in range(80):
        load = workload(seed)
        assert violations(history(load, faults=trouble(seed, load))) == (), seed


@pytest.mark.slow
def test_thousands_of_true_histories_break_no_law(workload, trouble):
    for seed in range(1000, 2000):
        load = workload(seed)
        assert violations(history(load)) == (), seed
        assert violations(history(load, faults=trouble(seed, load))) == (), seed


def test_an_unfinished_history_is_refused(workload):
    kernel = workload(0).kernel()
    kernel.advance(20 * US)
    with pytest.raises(InvalidValue, match="still under way"):
        violations(kernel.timeline())
    kernel.advance(10**12)
    assert violations(kernel.timeline()) == ()


def test_a_kernel_that_was_given_nothing_breaks_no_law():
    assert violations(Kernel().timeline()) == ()


# ------------------------------------------------------------------------------------------------- bugs planted in logs


def random_lines(count):
    """Channels of all sorts, the first of them with whole picoseconds per byte."""
    rates = (20, 80, 1600, Fraction(8000, 3), Fraction(641, 8), 20)
    return tuple(
        Channel(
            source=f"n{at}",
            target=f"n{at + 1}",
            ps_per_byte=Fraction(rates[at % 6]),
            chunk=(64, 625, 100)[at % 3],
            store_and_forward=at % 2 == 0,
        )
        for at in range(count)
    )


def changed(timeline, at, **fields):
    """The log with one service changed."""
    services = list(timeline.services)
    services[at] = replace(services[at], **fields)
    return replace(timeline, services=tuple(services))


def shifted(by_ps):
    def plant(timeline, rng):
        at = rng.integers(len(timeline.services))
        each = timeline.services[at]
        return changed(timeline, at, begun_ps=each.begun_ps + by_ps, ended_ps=each.ended_ps + by_ps)

    return plant


def stretched(by_ps):
    def plant(timeline, rng):
        at = rng.integers(len(timeline.services))
        return changed(timeline, at, ended_ps=timeline.services[at].ended_ps + by_ps)

    return plant


def lost_service(timeline, rng):
    services = list(timeline.services)
    del services[rng.integers(len(services))]
    return replace(timeline, services=tuple(services))


def doubled_service(timeline, rng):
    return replace(timeline, services=(*timeline.services, timeline.services[rng.integers(len(timeline.services))]))


def lost_byte(timeline, rng):
    at = rng.integers(len(timeline.services))
    return changed(timeline, at, end=timeline.services[at].end - 1)


def gained_byte(timeline, rng):
    at = rng.integers(len(timeline.services))
    return changed(timeline, at, first=timeline.services[at].first + 1, end=timeline.services[at].end + 1)


def wrong_class(timeline, rng):
    at = rng.integers(len(timeline.services))
    return changed(timeline, at, priority_class=(timeline.services[at].priority_class + 1) % 8)


def exchanged_messages(timeline, rng):
    """Two messages of equal size but different classes change places in the log."""
    facts = {each.message: each for each in timeline.submissions}
    pairs = [
        (one.message, other.message)
        for one in facts.values()
        for other in facts.values()
        if one.nbytes == other.nbytes and one.priority_class < other.priority_class and one.path[0] == other.path[0]
    ]
    one, other = pairs[rng.integers(len(pairs))]
    swap = {one: other, other: one}
    services = (replace(each, message=swap.get(each.message, each.message)) for each in timeline.services)
    deliveries = (replace(each, message=swap.get(each.message, each.message)) for each in timeline.deliveries)
    return replace(timeline, services=tuple(services), deliveries=tuple(deliveries))


def overlap(timeline, rng):
    """A service that begins while the one before it on its channel is under way."""
    by_channel = {}
    for at in np.argsort([each.begun_ps for each in timeline.services], kind="stable"):
        by_channel.setdefault(timeline.services[at].channel, []).append(int(at))
    pairs = [pair for line in by_channel.values() for pair in pairwise(line)]
    one, other = pairs[rng.integers(len(pairs))]
    first, second = timeline.services[one], timeline.services[other]
    begun = first.ended_ps - 1
    return changed(timeline, other, begun_ps=begun, ended_ps=begun + second.ended_ps - second.begun_ps)


def wrong_channel(timeline, rng):
    at = rng.integers(len(timeline.services))
    return changed(timeline, at, channel=(timeline.services[at].channel + 1) % len(timeline.channels))


def doubled_delivery(timeline, rng):
    each = timeline.deliveries[rng.integers(len(timeline.deliveries))]
    return replace(timeline, deliveries=(*timeline.deliveries, each))


def lost_delivery(timeline, rng):
    deliveries = list(timeline.deliveries)
    del deliveries[rng.integers(len(deliveries))]
    return replace(timeline, deliveries=tuple(deliveries), until_ps=timeline.until_ps + 1)


def delivered_off_time(by_ps):
    def plant(timeline, rng):
        at = rng.integers(len(timeline.deliveries))
        deliveries = list(timeline.deliveries)
        deliveries[at] = replace(deliveries[at], time_ps=deliveries[at].time_ps + by_ps)
        return replace(timeline, deliveries=tuple(deliveries))

    return plant


def stray_delivery(timeline, rng):
    return replace(timeline, deliveries=(*timeline.deliveries, Delivery(int(rng.integers(10)), 5)))


def delivered_and_given_up(timeline, rng):
    each = timeline.deliveries[rng.integers(len(timeline.deliveries))]
    ending = Ending(each.message, each.time_ps, "cancelled")
    return replace(timeline, endings=(*timeline.endings, ending))


def cancelled_earlier(timeline, rng):
    """A message that was given up although it went on being sent long after."""
    late = [
        each
        for each in timeline.services
        if each.hop == 0 and each.begun_ps > 10 and each.message not in {end.message for end in timeline.endings}
    ]
    each = late[rng.integers(len(late))]
    deliveries = tuple(other for other in timeline.deliveries if other.message != each.message)
    ending = Ending(each.message, each.begun_ps - 1, "cancelled")
    return replace(timeline, deliveries=deliveries, endings=(*timeline.endings, ending))


def one_identity(timeline, rng):
    one, other = rng.permutation(len(timeline.submissions))[:2]
    submissions = list(timeline.submissions)
    submissions[one] = replace(submissions[one], message=submissions[other].message)
    return replace(timeline, submissions=tuple(submissions))


def cut_in_two(nbytes):
    def plant(timeline, rng):
        """A service that is interrupted for nothing, off or at a chunk boundary."""
        exact = [at for at, each in enumerate(timeline.channels) if each.ps_per_byte.denominator == 1]
        found = [
            (at, each, size)
            for at, each in enumerate(timeline.services)
            if each.channel in exact
            and each.priority_class < timeline.policy.first_bulk
            and each.end - each.first > (size := nbytes(timeline.channels[each.channel]))
        ]
        at, each, size = found[rng.integers(len(found))]
        middle = each.begun_ps + timeline.channels[each.channel].serialisation_ps(size)
        rest = replace(each, first=each.first + size, begun_ps=middle)
        cut = changed(timeline, at, end=each.first + size, ended_ps=middle)
        return replace(cut, services=(*cut.services, rest))

    return plant


def later_deadline(timeline, rng):
    """Of two messages that wait for one channel, the one that was sent first had the later deadline after all."""
    waiting = [
        (one, other)
        for one in timeline.submissions
        for other in timeline.submissions
        if one.path[0] == other.path[0]
        and one.priority_class == other.priority_class
        and one.time_ps == other.time_ps
        and one.rank < other.rank
        and {each.message for each in timeline.services} >= {one.message, other.message}
    ]
    one, other = waiting[rng.integers(len(waiting))]
    swap = {one.message: NO_DEADLINE, other.message: 1}
    submissions = (replace(each, deadline_ps=swap.get(each.message, each.deadline_ps)) for each in timeline.submissions)
    return replace(timeline, submissions=tuple(submissions))


LOG_BUGS = {
    "a service 1 ps later": shifted(1),
    "a service 1 ps earlier": shifted(-1),
    "a service far later": shifted(50 * US),
    "a service 2 ps longer": stretched(2),
    "a service 1 ps shorter": stretched(-1),
    "a service lost": lost_service,
    "a service twice": doubled_service,
    "a byte lost": lost_byte,
    "a byte shifted": gained_byte,
    "a wrong class": wrong_class,
    "two messages exchanged": exchanged_messages,
    "an overlap": overlap,
    "a wrong channel": wrong_channel,
    "a delivery twice": doubled_delivery,
    "a delivery lost": lost_delivery,
    "a delivery early": delivered_off_time(-1),
    "a delivery late": delivered_off_time(1),
    "a stray delivery": stray_delivery,
    "delivered and given up": delivered_and_given_up,
    "sent after it was given up": cancelled_earlier,
    "one identity for two": one_identity,
    "interrupted off the boundary": cut_in_two(lambda _: 1),
    "interrupted for nothing": cut_in_two(lambda channel: channel.chunk),
    "deadlines turned round": later_deadline,
}


@pytest.mark.parametrize("name", LOG_BUGS)
def test_a_bug_planted_in_a_log_is_found(workload, name):
    policy = Policy(first_bulk=8, last_capped=-1)
    lines = random_lines(6)
    for seed in range(12):
        timeline = history(workload(seed, policy=policy, cancel=0.05, messages=60, channels=lines))
        planted = LOG_BUGS[name](timeline, np.random.default_rng(seed))
        assert violations(timeline) == ()
        assert violations(planted) != (), seed


# ------------------------------------------------------------------------------------------- bugs planted in the kernel


def never_interrupts(monkeypatch):
    monkeypatch.setattr(Server, "limit", lambda *_: None)


def interrupts_off_the_boundary(monkeypatch):
    true = Server.boundary
    monkeypatch.setattr(Server, "boundary", lambda self, part, time_ps: true(self, part, time_ps) + 1)


def interrupts_a_chunk_late(monkeypatch):
    true = Server.boundary

    def late(self, part, time_ps):
        return true(self, part, time_ps) + (part.message.grain or self.chunk)

    monkeypatch.setattr(Server, "boundary", late)


def without_grain(owner, name):
    """What a method of ``owner`` does with a part or message as if it had no grain of its own."""

    def plant(monkeypatch):
        true = getattr(owner, name)

        def coarse(self, subject, *more):
            message = getattr(subject, "message", subject)
            kept, message.grain = message.grain, 0
            result = true(self, subject, *more)
            message.grain = kept
            return result

        monkeypatch.setattr(owner, name, coarse)

    return plant


def ignores(field, value):
    def plant(monkeypatch):
        true = Server.put

        def put(self, part):
            kept = getattr(part.message, field)
            setattr(part.message, field, value(kept))
            true(self, part)
            setattr(part.message, field, kept)

        monkeypatch.setattr(Server, "put", put)

    return plant


def last_come_first_served(monkeypatch):
    true = Server.put

    def put(self, part):
        kept, part.queued_ps = part.queued_ps, -part.queued_ps
        true(self, part)
        part.queued_ps = kept

    monkeypatch.setattr(Server, "put", put)


def releases_by(change):
    def plant(monkeypatch):
        true = Kernel._push

        def push(self, time_ps, phase, subject, generation=None):
            true(self, change(self, time_ps) if phase == ARRIVE else time_ps, phase, subject, generation)

        monkeypatch.setattr(Kernel, "_push", push)

    return plant


def forgets_the_last_full_chunk(monkeypatch):
    """A short last chunk hides a full one that comes too late for a faster channel."""

    def release(self, server, part, child, whole_ps):
        size, unit = child.end - child.first, server.unit
        following = self.servers[part.message.path[child.hop]]
        first = server.ps(min(unit, size)) if unit else 0
        last = whole_ps - following.ps((size - 1) // unit * unit if unit else size)
        child.generation += 1
        time_ps = max(part.begun_ps + max(first, last) + part.message.delays[part.hop], self.now_ps)
        self._push(time_ps, ARRIVE, child, child.generation)

    monkeypatch.setattr(Kernel, "_release", release)


def forgets_propagation_of_what_is_shortened(monkeypatch):
    true = Kernel._release

    def release(self, server, part, child, whole_ps):
        shortened = child.generation > 0
        true(self, server, part, child, whole_ps)
        if shortened:
            child.generation += 1
            self._push(self.now_ps, ARRIVE, child, child.generation)

    monkeypatch.setattr(Kernel, "_release", release)


def requeues_from(offset):
    def plant(monkeypatch):
        true = Kernel._requeue

        def requeue(self, server, part, end):
            kept = part.end
            part.end = min(kept + offset, end - 1)
            true(self, server, part, end)
            part.end = kept

        monkeypatch.setattr(Kernel, "_requeue", requeue)

    return plant


def goes_on_after_a_cancellation(monkeypatch):
    true = Kernel._give_up

    def give_up(self, message, reason):
        head, message.head = message.head, None
        true(self, message, reason)
        message.head = head

    monkeypatch.setattr(Kernel, "_give_up", give_up)


def hesitates(monkeypatch):
    true, turns = Kernel._begin, deque([0])

    def begin(self, server, part):
        turns[0] += 1
        if turns[0] % 7 == 0:
            server.put(part)
            self.at(self.now_ps + 1, lambda: self.touch(server))
        else:
            true(self, server, part)

    monkeypatch.setattr(Kernel, "_begin", begin)


def favours_one_bulk_class(monkeypatch):
    def lowest(self):
        self._turn = next(kind for kind, count in enumerate(self._bulk_count) if count)
        return self._turn

    monkeypatch.setattr(Server, "_next_bulk", lowest)


def grants(answer):
    return lambda monkeypatch: monkeypatch.setattr(Server, "_owes_bulk", lambda *_: answer)


def delivers_without_propagation(monkeypatch):
    true = Kernel._push

    def push(self, time_ps, phase, subject, generation=None):
        true(self, self.now_ps if phase == kernel_module.DELIVER else time_ps, phase, subject, generation)

    monkeypatch.setattr(Kernel, "_push", push)


def does_not_shorten_what_follows(monkeypatch):
    monkeypatch.setattr(Kernel, "_truncate", lambda *_: None)


def rounds_down(monkeypatch):
    monkeypatch.setattr(Server, "ps", lambda self, nbytes: nbytes * self.per_num // self.per_den)


KERNEL_BUGS = {
    "never interrupts": never_interrupts,
    "interrupts off the boundary": interrupts_off_the_boundary,
    "interrupts a chunk late": interrupts_a_chunk_late,
    "cuts inside a grain": without_grain(Server, "limit"),
    "cuts a grain when it cancels": without_grain(Kernel, "_give_up"),
    "ignores deadlines": ignores("deadline_ps", lambda _: 0),
    "prefers late deadlines": ignores("deadline_ps", lambda deadline: -deadline),
    "ignores ranks": ignores("rank", lambda rank: -rank),
    "last come, first served": last_come_first_served,
    "sends on at once": releases_by(lambda kernel, _: kernel.now_ps),
    "sends on 1 ps early": releases_by(lambda kernel, time_ps: max(kernel.now_ps, time_ps - 1)),
    "sends on 1 ps late": releases_by(lambda _, time_ps: time_ps + 1),
    "forgets the last full chunk": forgets_the_last_full_chunk,
    "forgets propagation of what is shortened": forgets_propagation_of_what_is_shortened,
    "loses a byte when it interrupts": requeues_from(1),
    "sends a byte twice when it interrupts": requeues_from(-1),
    "goes on after a cancellation": goes_on_after_a_cancellation,
    "hesitates": hesitates,
    "favours one bulk class": favours_one_bulk_class,
    "never grants": grants(answer=False),
    "always grants": grants(answer=True),
    "delivers without propagation": delivers_without_propagation,
    "does not shorten what follows": does_not_shorten_what_follows,
    "rounds down": rounds_down,
}


@pytest.mark.parametrize("name", KERNEL_BUGS)
def test_a_bug_planted_in_the_kernel_is_found(workload, monkeypatch, name):
    policy = Policy(quantum_ps=2 * US, cap_ps=20 * US, grant_ps=5 * US)
    loads = [workload(seed, policy=policy, messages=80, cancel=0.2) for seed in range(40)]
    KERNEL_BUGS[name](monkeypatch)
    assert any(broken(load) for load in loads)


def broken(load):
    kernel = load.kernel()
    try:
        for _ in range(20_000):
            if kernel.next_ps is None:
                break
            kernel.step()
        return violations(replace(kernel.timeline(), complete=True)) != ()
    except (HyperFabricError, AttributeError, ValueError, IndexError):
        return True


def test_a_violation_says_which_law_when_and_where(workload):
    timeline = history(workload(3))
    found = violations(overlap(timeline, np.random.default_rng(0)))
    assert {each.law for each in found} >= {"capacity"}
    assert all(each.what and each.time_ps >= 0 for each in found)
