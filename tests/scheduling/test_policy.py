"""Who goes first: strict classes, deadlines, round-robin shares, the cap, and the mean wait of a single queue."""

import math

import numpy as np
import pytest

from hyperfabric_q.errors import InvalidValue
from hyperfabric_q.scheduling.channel import channel
from hyperfabric_q.scheduling.checker import violations
from hyperfabric_q.scheduling.kernel import Kernel
from hyperfabric_q.scheduling.message import Message
from hyperfabric_q.scheduling.policy import NO_DEADLINE, Policy
from hyperfabric_q.scheduling.timeline import Recorder

US = 1_000_000
MS = 1_000 * US
BYTE_PS = 1600


def one_channel(policy, *, chunk_ps=US):
    kernel = Kernel(policy=policy, recorder=Recorder(keep=None))
    kernel.add(channel("a", "b", gbps=5, chunk_ps=chunk_ps))
    return kernel


def send(kernel, nbytes, kind, *, at=0, number=0, deadline_ps=NO_DEADLINE):
    message = Message(
        path=(0,),
        delays=(0,),
        nbytes=nbytes,
        priority_class=kind,
        release_ps=at,
        deadline_ps=deadline_ps,
        key=(kind, number, at),
        identity=len(kernel.recorder.submissions) + 10**6 * kernel.pending,
    )
    kernel.submit(message)
    return message


def backlog(kernel, kinds, *, nbytes=10_000, count=200):
    for kind in kinds:
        for number in range(count):
            send(kernel, nbytes, kind, number=number)


# -------------------------------------------------------------------------------------------------------------- order


def test_classes_are_served_in_order_and_fifo_ignores_them():
    for policy, expected in (
        (Policy(first_bulk=8), [0, 1, 2, 3, 4, 5, 6, 7]),
        (Policy(fifo=True), [7, 0, 1, 2, 3, 4, 5, 6]),
    ):
        kernel = one_channel(policy)
        messages = [send(kernel, 1000, 7)] + [send(kernel, 1000, kind, at=100) for kind in range(6, -1, -1)]
        kernel.run()
        done = sorted(messages, key=lambda each: each.done_ps if policy.fifo else (each.done_ps, each.priority_class))
        assert [each.priority_class for each in done] == expected


def test_the_earliest_deadline_goes_first_and_no_deadline_last():
    kernel = one_channel(Policy(first_bulk=8))
    send(kernel, 1000, 4)
    deadlines = [900, NO_DEADLINE, 300, 600, NO_DEADLINE, 100]
    waiting = [send(kernel, 100, 4, at=1, number=at, deadline_ps=each) for at, each in enumerate(deadlines)]
    kernel.run()
    assert [deadlines[waiting.index(each)] for each in sorted(waiting, key=lambda each: each.done_ps)] == sorted(
        deadlines
    )


def test_an_earlier_deadline_does_not_interrupt_its_own_class():
    kernel = one_channel(Policy())
    first, urgent = send(kernel, 6250, 1), send(kernel, 100, 1, at=US // 2, deadline_ps=US)
    kernel.run()
    assert (first.preemptions, first.done_ps, urgent.done_ps) == (0, 10 * US, 10 * US + 160_000)


def test_what_was_interrupted_keeps_its_place():
    kernel = one_channel(Policy(first_bulk=8))
    first = send(kernel, 6250, 5)
    later = send(kernel, 6250, 5, at=1, number=1)
    send(kernel, 100, 0, at=US)
    kernel.run()
    assert first.done_ps < later.done_ps == 20 * US + 160_000


# ------------------------------------------------------------------------------------------------------------- shares


@pytest.mark.parametrize("weights", [((3, 4), (4, 2), (5, 1)), ((3, 1), (4, 1), (5, 1)), ((3, 1), (4, 7))])
@pytest.mark.parametrize("nbytes", [300, 10_000, 10**6])
@pytest.mark.parametrize("quantum_ps", [US // 3, 5 * US, 100 * US])
def test_backlogged_bulk_classes_get_service_in_proportion_to_their_weights(weights, nbytes, quantum_ps):
    policy = Policy(weights=weights, quantum_ps=quantum_ps)
    kernel = one_channel(policy)
    kinds = [kind for kind, _ in weights]
    span = 40 * MS if nbytes > 1000 else 2 * MS
    total = sum(weight for _, weight in weights)
    for kind, weight in weights:
        for number in range(int(span * weight / total / (nbytes * BYTE_PS)) + 2):
            send(kernel, nbytes, kind, number=number)
    kernel.advance(span // 2)
    busy = kernel.servers[0].busy_ps
    shares = [busy[kind] / weight for kind, weight in weights]
    allowed = 2 * quantum_ps + 2 * US + (nbytes * BYTE_PS if nbytes * BYTE_PS < US else US)
    # What is being sent now is charged when it ends.
    assert max(shares) - min(shares) <= allowed + max(quantum_ps, US) * max(weight for _, weight in weights)
    assert min(busy[kind] for kind in kinds) > 0


def test_shares_hold_although_the_chunks_of_one_class_never_fit_its_quantum():
    """Overrunning by a byte every turn earns nothing in the long run."""
    kernel = one_channel(Policy(weights=((3, 1), (4, 1)), quantum_ps=10 * US))
    for number in range(3000):
        send(kernel, 625, 3, number=number)
        send(kernel, 626, 4, number=number)
    kernel.advance(2000 * US)
    busy = kernel.servers[0].busy_ps
    assert busy[3] / busy[4] == pytest.approx(1, abs=0.02)


def test_one_bulk_class_alone_has_the_channel_and_no_debt_afterwards():
    kernel = one_channel(Policy())
    send(kernel, 10_000_000, 5)
    late = send(kernel, 62_500, 4, at=10 * MS + 1)
    kernel.run()
    assert late.done_ps - late.release_ps <= 100 * US + 2 * US
    assert kernel.recorder.services[1].message == late.identity


def test_bulk_gets_what_strict_classes_leave():
    kernel = one_channel(Policy(last_capped=-1))
    backlog(kernel, (4, 5), count=20)
    for turn in range(100):
        send(kernel, 3125, 0, at=turn * 10 * US, number=turn)
    kernel.advance(1000 * US)
    busy = kernel.servers[0].busy_ps
    assert busy[0] == 500 * US
    assert busy[4] + busy[5] >= 490 * US


# ---------------------------------------------------------------------------------------------------------------- cap


@pytest.mark.parametrize("nbytes", [125, 62_500])
def test_overload_by_urgent_classes_starves_bulk_no_longer_than_the_bound(nbytes):
    """Urgent load of 150 %: bulk, in messages short or long, still gets its grants and never waits past the bound."""
    policy = Policy(cap_ps=75 * US, grant_ps=25 * US)
    kernel = one_channel(policy)
    for number in range(6000):
        send(kernel, 625, number % 2, at=number * 2 * US // 3, number=number)
    for number in range(20_000 * 125 // nbytes):
        send(kernel, nbytes, 5, number=number)
    kernel.advance(4 * MS)
    bulk = sorted(each.begun_ps for each in kernel.recorder.services if each.priority_class == 5)
    ends = sorted(each.ended_ps for each in kernel.recorder.services if each.priority_class == 5)
    longest = max(begun - ended for begun, ended in zip(bulk[1:], ends, strict=False))
    assert longest <= policy.starvation_bound_ps + US
    busy = kernel.servers[0].busy_ps
    assert busy[5] / sum(busy) == pytest.approx(0.25, abs=0.01)


def test_a_class_between_capped_and_bulk_does_not_undo_the_cap():
    policy = Policy(cap_ps=20 * US, grant_ps=10 * US)
    kernel = one_channel(policy)
    for number in range(2000):
        send(kernel, 625, 0, at=number * US, number=number)
    for number in range(100):
        send(kernel, 125, 2, at=number * 10 * US, number=number)
    send(kernel, 10**6, 5)
    kernel.advance(1500 * US)
    assert kernel.servers[0].busy_ps[5] > 300 * US


def test_without_a_cap_urgent_classes_may_starve_bulk():
    policy = Policy(last_capped=-1)
    assert policy.starvation_bound_ps is None
    kernel = one_channel(policy)
    for number in range(2000):
        send(kernel, 625, 0, at=number * US, number=number)
    send(kernel, 625, 5)
    kernel.advance(1990 * US)
    assert kernel.servers[0].busy_ps[5] == 0


def test_no_grant_is_given_while_urgent_classes_stay_below_the_cap():
    kernel = one_channel(Policy())
    send(kernel, 10**7, 5)
    urgent = [send(kernel, 62_500, 1, at=turn * MS, number=turn) for turn in range(15)]
    kernel.run()
    assert max(each.done_ps - each.release_ps for each in urgent) <= 101 * US
    assert violations(kernel.timeline()) == ()


# --------------------------------------------------------------------------------------------------- queueing theory


@pytest.mark.parametrize("load", [0.3, 0.6, 0.8])
def test_poisson_arrivals_of_one_size_wait_as_an_m_d_1_queue(load):
    rng = np.random.default_rng(17)
    service_ps = 625 * BYTE_PS
    arrivals = np.cumsum(rng.exponential(service_ps / load, 40_000)).astype(np.int64)
    kernel = Kernel()
    kernel.add(channel("a", "b", gbps=5))
    messages = [
        Message(path=(0,), delays=(0,), nbytes=625, release_ps=int(at), key=(number,))
        for number, at in enumerate(arrivals)
    ]
    for message in messages:
        kernel.submit(message)
    kernel.run()
    wait = np.mean([message.started_ps - message.release_ps for message in messages])
    expected = load / (2 * (1 - load)) * service_ps
    spread = expected / math.sqrt(40_000) * 12 / (1 - load)
    assert wait == pytest.approx(expected, abs=spread)


# ------------------------------------------------------------------------------------------------------------- values


@pytest.mark.parametrize(
    "wrong",
    [
        {"first_bulk": 9},
        {"first_bulk": -1},
        {"quantum_ps": 0},
        {"cap_ps": -1},
        {"grant_ps": 0},
        {"weights": ((3, 0),)},
        {"weights": ((8, 1),)},
        {"last_capped": 8},
        {"fifo": 5},
        {"fifo": None},
        {"first_bulk": 2.5},
        {"cap_ps": 1e9},
        {"quantum_ps": "1"},
        {"weights": 3},
        {"weights": ((3, 1.5),)},
        {"weights": ((3, 4, 5),)},
    ],
)
def test_impossible_policies_are_refused(wrong):
    with pytest.raises(InvalidValue):
        Policy(**wrong)


def test_a_class_without_a_weight_weighs_one():
    assert [Policy().weight(kind) for kind in range(8)] == [1, 1, 1, 4, 2, 1, 1, 1]
    assert Policy() == Policy()
