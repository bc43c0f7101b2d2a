"""Where attempts are made: whole attempts only, exact under interruption, on own lines, shared ones and switches."""

from fractions import Fraction

import numpy as np
import pytest
from scipy import stats

from hyperfabric_q.entanglement.draws import Draws
from hyperfabric_q.entanglement.elementary import Elementary
from hyperfabric_q.entanglement.lines import Job, Lines
from hyperfabric_q.errors import InvalidValue
from hyperfabric_q.scheduling.channel import Channel
from hyperfabric_q.scheduling.faults import LinkDown, Loss, inject
from hyperfabric_q.scheduling.kernel import Kernel
from hyperfabric_q.scheduling.message import Message
from hyperfabric_q.scheduling.policy import NO_DEADLINE
from hyperfabric_q.scheduling.timeline import Recorder

US = 1_000_000
CHUNK = 1250  # bytes: a microsecond at 10 Gb/s


def link(**fields):
    given = {"a": "a", "b": "b", "attempt_ps": 3 * US, "success": 0.2, "herald_ps": 3 * US, "weights": (1.0, 0, 0, 0)}
    return Elementary(**(given | fields))


def job(made, attempts, log, identity=1, kind=3):
    one = Job(made, attempts, priority_class=kind, deadline_ps=NO_DEADLINE, identity=identity)
    one.ended = lambda each: log.append((each.identity, each.done_ps))
    return one


def classical(kernel, number, start_ps, nbytes, kind=0, identity=0):
    kernel.submit(
        Message(
            path=(number,),
            delays=(0,),
            nbytes=nbytes,
            priority_class=kind,
            release_ps=start_ps,
            key=("c", identity),
            identity=identity,
        )
    )


def shared_kernel(made, keep=None):
    kernel = Kernel(recorder=Recorder(keep=keep))
    number = kernel.add(
        Channel(source="a", target="b", ps_per_byte=Fraction(800), chunk=CHUNK, store_and_forward=False)
    )
    lines = Lines(kernel)
    lines.line(made, shared=number)
    return kernel, lines, number


# ----------------------------------------------------------------------------------------------------------- own lines


def test_a_job_takes_its_attempts_and_lights_way():
    kernel, log = Kernel(), []
    lines = Lines(kernel)
    made = link(herald_ps=10 * US)
    lines.line(made)
    lines.begin(job(made, 5, log))
    lines.begin(job(made, 2, log, identity=2))
    kernel.run()
    assert made.tail_ps == 7 * US
    assert log == [(1, 22 * US), (2, 28 * US)]
    assert sum(kernel.servers[0].busy_ps) == 21 * US


@pytest.mark.parametrize(("at_us", "made_by_then"), [(0, 0), (1, 1), (3, 1), (4, 2), (14, 5), (15, 5), (20, 5)])
def test_withdrawing_lets_the_attempt_that_is_being_made_be_the_last(at_us, made_by_then):
    kernel, log = Kernel(), []
    lines = Lines(kernel)
    made = link(herald_ps=10 * US)
    lines.line(made)
    one = job(made, 5, log)
    lines.begin(one)
    spent = []
    kernel.at(at_us * US, lambda: None if log else spent.append(lines.withdraw(one)))
    kernel.run()
    assert log == []
    assert spent == [made_by_then]
    assert spent[0] * 3 * US == sum(kernel.servers[0].busy_ps)


# -------------------------------------------------------------------------------------------------------- shared lines


@pytest.mark.parametrize("seed", range(6))
def test_whatever_interrupts_attempts_on_a_shared_line_are_never_cut(seed):
    rng = np.random.default_rng(seed)
    made = link(shared=True, attempt_ps=int(rng.integers(1, 5 * US)))
    kernel, lines, number = shared_kernel(made)
    log, jobs = [], []
    for each in range(12):
        jobs.append(job(made, int(rng.integers(1, 15)), log, identity=each + 1, kind=int(rng.integers(0, 7))))
        kernel.at(int(rng.integers(0, 100 * US)), lambda each=each: lines.begin(jobs[each]))
    for each in range(60):
        kind, start = int(rng.integers(0, 7)), int(rng.integers(0, 300 * US))
        classical(kernel, number, start, int(rng.integers(1, 9000)), kind=kind, identity=1000 + each)
    withdrawn = [(each, int(rng.integers(0, 300 * US))) for each in (3, 7)]
    spent = {}
    for each, at in withdrawn:
        kernel.at(
            at,
            lambda each=each: (
                spent.update({each: lines.withdraw(jobs[each])})
                if jobs[each].done_ps < 0 and jobs[each].release_ps
                else None
            ),
        )
    kernel.run()
    unit = jobs[0].unit
    assert unit == -(-made.attempt_ps // 800)
    services = [each for each in kernel.timeline().services if each.message < 1000]
    assert all(each.first % unit == 0 and each.end % unit == 0 for each in services)
    assert all(each.ended_ps - each.begun_ps == (each.end - each.first) * 800 for each in services)
    for number, each in enumerate(jobs, start=1):
        sent = sum(one.end - one.first for one in services if one.message == number)
        if number - 1 in spent:
            assert sent == spent[number - 1] * unit
        else:
            assert sent == each.attempts * unit


@pytest.mark.parametrize("load", [0.0, 0.5, 0.9])
def test_the_number_of_attempts_is_geometric_whatever_traffic_interrupts(load):
    """Attempts counted on the line itself, from what was served until each herald."""
    made = link(shared=True, success=0.2)
    kernel, lines, number = shared_kernel(made)
    draws, rng = Draws(3, 4), np.random.default_rng(5)
    pairs, log = 1500, []

    def again(_=None):
        if len(log) < pairs:
            one = job(made, draws.attempts(made.success), log, identity=len(log) + 1)
            note, one.ended = one.ended, lambda each: (note(each), again())
            lines.begin(one)

    again()
    gap_ps, start = 5000 * 800 / load if load else 0, 0.0
    while load and start < pairs * 5 * 3 * US:
        start += rng.exponential(gap_ps)
        classical(kernel, number, int(start), 5000, identity=10**6 + int(start))
    kernel.run()
    unit = -(-made.attempt_ps // 800)
    counted = np.zeros(pairs, np.int64)
    interrupted = 0
    for each in kernel.timeline().services:
        if each.message < 10**6:
            counted[each.message - 1] += (each.end - each.first) // unit
            interrupted += each.first > 0
    assert (interrupted > 100) == (load > 0)
    edges = np.arange(1, 22)
    observed = np.append(np.bincount(counted, minlength=22)[1:21], (counted > 20).sum())
    expected = pairs * np.append(0.2 * 0.8 ** (edges[:-1] - 1), 0.8**20)
    assert stats.chisquare(observed, expected).pvalue > 1e-4


def test_a_more_urgent_message_waits_for_the_attempt_and_no_longer():
    made = link(shared=True, attempt_ps=10 * US)
    kernel, lines, number = shared_kernel(made)
    log = []
    lines.begin(job(made, 5, log))
    classical(kernel, number, 13 * US, CHUNK, identity=99)
    kernel.run()
    served = [(each.message, each.begun_ps // US, each.ended_ps // US) for each in kernel.timeline().services]
    assert served == [(1, 0, 20), (99, 20, 21), (1, 21, 51)]


def test_a_link_without_a_line_to_share_is_refused():
    with pytest.raises(InvalidValue, match="no classical line of its own"):
        Lines(Kernel()).line(link(shared=True))


# ------------------------------------------------------------------------------------------------------------ switches


def through(kernel, devices, pairs, turn_ps=0, each_attempts=4):
    """Jobs of disjoint pairs of nodes through one switch; return when each ended."""
    lines, log = Lines(kernel), []
    for number in range(pairs):
        made = link(a=f"a{number}", b=f"b{number}", via="s", reconfiguration_ps=turn_ps)
        lines.line(made, devices=devices)
        lines.begin(job(made, each_attempts, log, identity=number))
    kernel.run()
    return log


@pytest.mark.parametrize(("devices", "rounds"), [(1, 4), (2, 2), (3, 2), (4, 1), (None, 1)])
def test_a_switch_serves_as_many_pairs_of_nodes_at_a_time_as_it_has_devices(devices, rounds):
    kernel = Kernel()
    log = through(kernel, devices, 4)
    assert max(done for _, done in log) == rounds * 12 * US
    assert len(kernel.servers) == min(4, devices or 4)


def test_turning_a_switch_takes_time_and_staying_none():
    kernel, log = Kernel(), []
    lines = Lines(kernel)
    one, two = (link(a=f"a{each}", b=f"b{each}", via="s", reconfiguration_ps=US) for each in range(2))
    lines.line(one, devices=1)
    for number, made in enumerate((one, one, two, one)):
        lines.begin(job(made, 1, log, identity=number))
    kernel.run()
    assert [done // US for _, done in log] == [4, 7, 11, 15]


@pytest.mark.parametrize(("at_us", "spent"), [(0, 0), (1, 0), (2, 1), (4, 1), (5, 2), (13, 4), (14, 4), (17, 4)])
def test_a_job_withdrawn_at_a_switch_frees_its_device_at_once(at_us, spent):
    """A turn of 1 µs, four attempts of 3 µs, then light's way of 7 µs, which is no reason to forget them."""
    kernel, log = Kernel(), []
    lines = Lines(kernel)
    made = link(via="s", reconfiguration_ps=US, herald_ps=10 * US)
    lines.line(made, devices=1)
    first, second = job(made, 4, log), job(made, 1, log, identity=2)
    lines.begin(first)
    lines.begin(second)
    found = []
    kernel.at(at_us * US, lambda: found.append(lines.withdraw(first)))
    kernel.run()
    assert found == [spent]
    assert log[0][0] == 2
    assert log[0][1] <= (at_us + 10) * US + 2 + US


def test_a_job_withdrawn_while_it_waits_for_a_device_has_spent_nothing():
    kernel, log = Kernel(), []
    lines = Lines(kernel)
    made = link(via="s")
    lines.line(made, devices=1)
    first, second = job(made, 4, log), job(made, 1, log, identity=2)
    lines.begin(first)
    lines.begin(second)
    kernel.at(US, lambda: log.append(lines.withdraw(second)))
    kernel.run()
    assert log == [0, (1, 12 * US)]


# -------------------------------------------------------------------------------------------------------------- faults


@pytest.mark.parametrize("via", [None, "s"])
def test_whose_herald_a_fault_takes_is_told_and_the_line_goes_on(via):
    kernel, log, lost = Kernel(), [], []
    lines = Lines(kernel)
    made = link(via=via)
    lines.line(made, devices=1)
    inject(kernel, [Loss(probability=1.0, to_ps=12 * US + 1)], seed=1)
    for number in (1, 2):
        one = job(made, 4, log, identity=number)
        one.lost = lambda each: lost.append((each.identity, each.spent))
        lines.begin(one)
    kernel.run()
    assert lost == [(1, 4)]
    assert log == [(2, 24 * US)]


def test_an_outage_of_a_shared_line_takes_the_job_that_is_on_it():
    made = link(shared=True)
    kernel, lines, number = shared_kernel(made)
    inject(kernel, [LinkDown(channels=(number,), from_ps=4 * US, to_ps=20 * US)], seed=1)
    log, lost = [], []
    for each in (1, 2):
        one = job(made, 4, log, identity=each)
        one.lost = lambda each: lost.append((each.identity, kernel.now_ps // US))
        lines.begin(one)
    kernel.run()
    assert lost == [(1, 4)]
    assert log == [(2, 32 * US)]
