"""What is promised holds: no simulated message is faster than physics or slower than the analysis allows."""

from fractions import Fraction

import numpy as np
import pytest

from hyperfabric_q.errors import InvalidValue
from hyperfabric_q.scheduling.admission import (
    ONCE,
    PeriodicFlow,
    Verdict,
    answer,
    demand_met,
    idle_ps,
    lower_bound_ps,
    response_bounds_ps,
)
from hyperfabric_q.scheduling.channel import Channel, channel
from hyperfabric_q.scheduling.kernel import Kernel
from hyperfabric_q.scheduling.message import Message
from hyperfabric_q.scheduling.policy import NO_DEADLINE, Policy

US = 1_000_000
RATES = (Fraction(20), Fraction(80), Fraction(1600), Fraction(8000, 3), Fraction(641, 8))
POLICIES = (
    Policy(),
    Policy(cap_ps=50 * US, grant_ps=10 * US, quantum_ps=5 * US),
    Policy(fifo=True),
    Policy(last_capped=-1, quantum_ps=2 * US),
)
FIVE = channel("a", "b", gbps=5)


def random_flows(rng, channels, hops):
    count = int(rng.integers(1, 7))
    flows = []
    for _ in range(count):
        length = int(rng.integers(1, min(hops, len(channels)) + 1))
        path = rng.permutation(len(channels))[:length].tolist()
        nbytes = int(rng.integers(1, 8000))
        cost = max(channels[at].serialisation_ps(nbytes) for at in path)
        period = max(1, int(cost / rng.uniform(0.02, 1.2 / count)))
        flows.append(
            PeriodicFlow(
                period_ps=period,
                nbytes=nbytes,
                priority_class=int(rng.integers(3 if rng.random() < 0.7 else 8)),
                deadline_ps=int(rng.integers(cost, 4 * period + cost)) if rng.random() < 0.5 else None,
                jitter_ps=int(rng.integers(period)) if rng.random() < 0.4 else 0,
                path=tuple(sorted(path) if rng.random() < 0.7 else path),
                delays=tuple(int(rng.choice([0, 10_000])) for _ in path),
            )
        )
    return flows


def simulated(rng, channels, policy, flows):
    """Worst response of each flow, from arrival to arrival, beside a backlog of whatever is less urgent."""
    kernel = Kernel(policy=policy)
    for each in channels:
        kernel.add(each)
    horizon = min(20 * max(flow.period_ps for flow in flows), 600 * min(flow.period_ps for flow in flows))
    together = rng.random() < 0.5
    sent = []
    for number, flow in enumerate(flows):
        start = 0 if together else int(rng.integers(flow.period_ps))
        for turn, nominal in enumerate(range(start, horizon, flow.period_ps)):
            late = int(rng.integers(flow.jitter_ps + 1)) if turn else flow.jitter_ps
            release = nominal + late
            message = Message(
                path=flow.path,
                delays=flow.delays,
                nbytes=flow.nbytes,
                priority_class=flow.priority_class,
                deadline_ps=NO_DEADLINE if flow.deadline_ps is None else release + flow.deadline_ps,
                release_ps=release,
                key=(number, turn),
            )
            kernel.submit(message)
            sent.append((number, message))
    if not policy.fifo and all(flow.priority_class < policy.first_bulk for flow in flows):
        for at, each in enumerate(channels):
            for kind in range(policy.first_bulk, 8):
                size = int(horizon / each.ps_per_byte / 8) + 1
                kernel.submit(Message(path=(at,), delays=(0,), nbytes=size, priority_class=kind, key=("bulk", kind)))
    kernel.advance(3 * horizon)
    worst = [0] * len(flows)
    for number, message in sent:
        done = message.done_ps if message.done_ps >= 0 else kernel.now_ps
        worst[number] = max(worst[number], done - message.release_ps)
    return worst


@pytest.mark.parametrize("hops", [1, 3])
def test_no_simulated_response_exceeds_its_bound(hops):
    known = tight = 0
    for seed in range(60):
        rng = np.random.default_rng([seed, hops])
        channels = [
            Channel(
                source="a",
                target="b",
                ps_per_byte=RATES[rng.integers(len(RATES))],
                chunk=int(rng.choice([64, 625, 5000])),
                store_and_forward=bool(rng.random() < 0.5),
            )
            for _ in range(1 if hops == 1 else int(rng.integers(2, 5)))
        ]
        policy = POLICIES[rng.integers(len(POLICIES))]
        flows = random_flows(rng, channels, hops)
        bounds = response_bounds_ps(channels, flows, policy)
        worst = simulated(rng, channels, policy, flows)
        for flow, bound, seen in zip(flows, bounds, worst, strict=True):
            if bound is not None:
                known += 1
                tight += seen > 0.95 * bound
                assert seen <= bound, (seed, flow)
        if hops == 1:
            _demand_keeps_deadlines(channels[0], flows, policy, worst)
    assert known > 150
    assert tight > 10


def _demand_keeps_deadlines(line, flows, policy, worst):
    for kind in {flow.priority_class for flow in flows}:
        if demand_met(line, flows, kind, policy):
            for flow, seen in zip(flows, worst, strict=True):
                if flow.priority_class == kind and flow.deadline_ps is not None:
                    assert seen - sum(flow.delays) <= flow.deadline_ps


def test_known_answer_of_a_textbook_flow_set():
    """Three strict classes on a channel of 1600 ps a byte, chunks of 1 us: blocking 1 us, then more urgent arrivals."""
    flows = [
        PeriodicFlow(period_ps=10 * US, nbytes=1250, priority_class=0),
        PeriodicFlow(period_ps=20 * US, nbytes=2500, priority_class=1),
        PeriodicFlow(period_ps=50 * US, nbytes=3125, priority_class=2),
    ]
    assert response_bounds_ps([FIVE], flows) == (3 * US, 7 * US, 14 * US)


def test_earliest_deadline_first_carries_what_one_class_in_order_of_arrival_does_not():
    urgent = PeriodicFlow(period_ps=10 * US, nbytes=1250, priority_class=1, deadline_ps=7 * US)
    heavy = [PeriodicFlow(period_ps=40 * US, nbytes=2500, priority_class=1, deadline_ps=40 * US) for _ in range(3)]
    plain = [PeriodicFlow(period_ps=40 * US, nbytes=2500, priority_class=1) for _ in range(3)]
    in_order = PeriodicFlow(period_ps=10 * US, nbytes=1250, priority_class=1)
    assert response_bounds_ps([FIVE], [urgent, *heavy])[0] == 6 * US
    assert response_bounds_ps([FIVE], [in_order, *plain])[0] == 15 * US
    assert demand_met(FIVE, [urgent, *heavy], 1)
    tighter = PeriodicFlow(period_ps=10 * US, nbytes=1250, priority_class=1, deadline_ps=5 * US)
    assert not demand_met(FIVE, [tighter, *heavy], 1)


def test_no_bound_where_the_channel_is_overloaded_and_a_bound_above_it():
    flows = [
        PeriodicFlow(period_ps=10 * US, nbytes=3125, priority_class=0),
        PeriodicFlow(period_ps=10 * US, nbytes=3126, priority_class=1),
        PeriodicFlow(period_ps=1000 * US, nbytes=1, priority_class=2),
        PeriodicFlow(period_ps=1000 * US, nbytes=1, priority_class=5),
    ]
    bounds = response_bounds_ps([FIVE], flows, Policy(last_capped=-1))
    assert bounds == (6 * US, None, None, None)
    assert not demand_met(FIVE, flows, 1)


def test_grants_lengthen_the_bounds_of_overloaded_urgent_classes():
    flow = PeriodicFlow(period_ps=100 * US, nbytes=46_875, priority_class=0)
    free = response_bounds_ps([FIVE], [flow], Policy(last_capped=-1))[0]
    granted = response_bounds_ps([FIVE], [flow], Policy(cap_ps=50 * US, grant_ps=5 * US))[0]
    assert (free, granted) == (76 * US, 88 * US)


# ------------------------------------------------------------------------------------------------------------- answers


def test_350_gigabytes_in_half_a_millisecond_are_infeasible_with_a_bound_of_seven_seconds():
    line = channel("gpu-0", "gpu-1", gbps=400)
    flow = PeriodicFlow(period_ps=ONCE, nbytes=350 * 10**9, priority_class=4, path=(0,), delays=(100_000,))
    found = answer([line], flow, 500 * US)
    assert found.verdict is Verdict.INFEASIBLE
    assert found.lower_bound_ps == 7_000_000_100_000
    assert found.bottleneck == 0
    assert 5_600_000 < found.needed_gbps < 5_602_000
    assert found.fitting_nbytes == (500 * US - 100_000) // 20
    assert "gpu-0 -> gpu-1" in found.fix
    assert found.worst_ps is None


@pytest.mark.parametrize("seed", range(30))
def test_the_smallest_fix_is_a_fix_and_smallest(seed):
    rng = np.random.default_rng(seed)
    channels = [channel("a", f"b{at}", gbps=int(rng.integers(1, 50))) for at in range(3)]
    delays = tuple(int(each) for each in rng.integers(0, 50_000, 3))
    flow = PeriodicFlow(
        period_ps=ONCE, nbytes=int(rng.integers(10_000, 10**6)), priority_class=0, path=(0, 1, 2), delays=delays
    )
    bound = lower_bound_ps(channels, delays, flow.nbytes)
    constraint = int(sum(delays) + 1 + rng.random() * (bound - sum(delays) - 2))
    found = answer(channels, flow, constraint)
    assert (found.verdict, found.lower_bound_ps) == (Verdict.INFEASIBLE, bound)
    raised = [channel("a", "b", gbps=max(found.needed_gbps, 8000 / each.ps_per_byte)) for each in channels]
    assert lower_bound_ps(raised, delays, flow.nbytes) <= constraint
    short = [channel("a", "b", gbps=found.needed_gbps * Fraction(999_999, 10**6))] * 3
    assert lower_bound_ps(short, delays, flow.nbytes) > constraint
    assert lower_bound_ps(channels, delays, max(1, found.fitting_nbytes)) <= constraint or not found.fitting_nbytes
    assert lower_bound_ps(channels, delays, found.fitting_nbytes + 1) > constraint


def test_no_rate_makes_up_for_distance():
    flow = PeriodicFlow(period_ps=ONCE, nbytes=100, priority_class=0, path=(0, 0), delays=(3 * US, 80 * US))
    found = answer([channel("boulder", "tokyo", gbps=400)], flow, 50 * US)
    assert (found.verdict, found.bottleneck, found.needed_gbps) == (Verdict.INFEASIBLE, None, None)
    assert found.fitting_nbytes == 0
    assert "by more than 33000 ns" in found.fix
    assert "boulder -> tokyo with 80000 ns" in found.fix


def test_a_registered_flow_is_guaranteed_and_a_tighter_wish_is_best_effort():
    flow = PeriodicFlow(period_ps=10 * US, nbytes=125, priority_class=1)
    others = [PeriodicFlow(period_ps=10 * US, nbytes=125, priority_class=1) for _ in range(9)]
    sure = answer([FIVE], flow, 3_050_000, others=others)
    assert (sure.verdict, sure.worst_ps) == (Verdict.GUARANTEED, 3 * US)
    assert "classes 0-1" in sure.fix
    unsure = answer([FIVE], flow, 2_999_999, others=others)
    assert (unsure.verdict, unsure.worst_ps) == (Verdict.BEST_EFFORT, 3 * US)
    alone = answer([FIVE], flow, 3_050_000, others=others, policy=Policy(fifo=True))
    assert alone.fix == "if the registered flows are all the traffic"


def test_a_single_message_beside_an_overload_has_no_bound():
    flood = PeriodicFlow(period_ps=US, nbytes=700, priority_class=0)
    once = PeriodicFlow(period_ps=ONCE, nbytes=100, priority_class=2)
    found = answer([FIVE], once, 1000 * US, others=[flood], policy=Policy(last_capped=-1))
    assert (found.verdict, found.worst_ps) == (Verdict.BEST_EFFORT, None)
    assert "no bound is known" in found.fix


def test_idle_time_is_the_pipeline_formula_for_equal_channels():
    for hops in range(1, 6):
        assert idle_ps([FIVE] * hops, (7,) * hops, 10_000) == 7 * hops + 16 * US + (hops - 1) * US


@pytest.mark.parametrize(
    "wrong",
    [
        {"period_ps": 0},
        {"nbytes": 0},
        {"jitter_ps": -1},
        {"priority_class": 8},
        {"priority_class": -1},
        {"path": ()},
        {"path": (0, 1)},
    ],
)
def test_impossible_flows_are_refused(wrong):
    with pytest.raises(InvalidValue):
        PeriodicFlow(**({"period_ps": 1, "nbytes": 1, "priority_class": 0} | wrong))
