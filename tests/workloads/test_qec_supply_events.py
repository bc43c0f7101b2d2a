"""The event-driven supply is the vectorised one where nothing else is on the channels, and feels what is."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from hyperfabric_q.fabric import Fabric, HardwareType, Link, NodeSignature
from hyperfabric_q.workloads.qec.background import Background
from hyperfabric_q.workloads.qec.supply import BellSupply
from hyperfabric_q.workloads.qec.supply_groups import slots_between
from hyperfabric_q.workloads.qec.transport import Transport


def fabric(success=0.4, **of_link):
    nodes = [
        NodeSignature(
            name,
            hardware_type=HardwareType.QUANTUM_QPU,
            compute_units=40,
            t1_us=80.0,
            t2_us=40.0,
            bandwidth_gbps=100.0,
            latency_ns=120.0,
        )
        for name in ("a", "b")
    ]
    link = Link(
        "a",
        "b",
        bandwidth_gbps=100.0,
        latency_ns=120.0,
        pair_fidelity=0.95,
        pair_rate_hz=success * 1e7,
        pair_attempt_ns=100.0,
        **of_link,
    )
    return Fabric(nodes=nodes, links=[link])


def switched():
    """The same two nodes, with a switch between them as well."""
    one = fabric(success=0.2)
    switch = NodeSignature("s", hardware_type=HardwareType.PHOTONIC_SWITCH, latency_ns=10.0, bandwidth_gbps=100.0)
    arms = [
        Link(
            name,
            "s",
            bandwidth_gbps=100.0,
            latency_ns=90.0,
            pair_fidelity=0.92,
            pair_rate_hz=6e6,
            pair_attempt_ns=100.0,
        )
        for name in ("a", "b")
    ]
    return Fabric(nodes=[*one.nodes, switch], links=[*one.links, *arms])


def supply(made=None, **more):
    return BellSupply(fabric=made or fabric(), slots=slots_between("a", "b", 3), cycle_ns=1050.0, **more)


def beside(of, **more):
    return replace(of, beside=Transport(fabric=of.fabric, blocks=("a",), decoder="b", **more))


def agree(left, right):
    """Means over timelines agree; rounds of one timeline are not independent."""
    for a, b in zip(left, right, strict=True):
        spread = math.sqrt(a.var(ddof=1) / len(a) + b.var(ddof=1) / len(b))
        assert abs(a.mean() - b.mean()) < 4.5 * max(spread, 1e-12), (a.mean(), b.mean(), spread)


def figures(made):
    there = ~made.missing
    used = np.maximum(there.sum(axis=(1, 2)), 1)
    return (
        made.missing.mean(axis=(1, 2)),
        (made.weights[..., 0] * there).sum(axis=(1, 2)) / used,
        (made.weights[..., 3] * there).sum(axis=(1, 2)) / used,
        made.wait_ns.mean(axis=1),
    )


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"keep": False, "first": "best"},
        {"policy": "wait", "buffer": 5, "use_ns": 200.0},
        {"purify": 1},
        {"made": switched(), "paths": 2},
        {"made": switched(), "paths": 2, "policy": "wait"},
    ],
    ids=["skip", "fresh", "wait", "purified", "switched", "switched-wait"],
)
def test_events_and_lanes_agree_on_an_idle_fabric(more: dict[str, object]) -> None:
    lanes = supply(**more)
    events = beside(lanes)
    assert events.by_events
    assert not lanes.by_events
    agree(figures(lanes.timelines(12, 1500, seed=1)), figures(events.timelines(12, 60, seed=2)))


def test_heralds_wait_behind_bulk_in_a_fifo_and_pass_it_under_the_policy_of_the_fabric() -> None:
    background = (Background(source="a", destination="b", load=0.6, nbytes=20_000),)
    idle, fifo, ordered = (
        beside(supply(), **more).timelines(20, 10, seed=3).missing.mean()
        for more in ({}, {"background": background, "policy": "fifo"}, {"background": background, "chunk_ns": 20.0})
    )
    assert fifo > idle + 0.2
    assert abs(ordered - idle) < 0.1


def test_attempts_on_a_shared_line_lose_time_to_bytes() -> None:
    shared = BellSupply(fabric=fabric(pair_channel="shared"), slots=slots_between("a", "b", 3), cycle_ns=1050.0)
    assert shared.by_events
    load = (Background(source="a", destination="b", load=0.5, nbytes=10_000, priority_class=0),)
    alone, loaded = shared.timelines(20, 10, seed=4), beside(shared, background=load).timelines(20, 10, seed=4)
    assert loaded.missing.mean() > alone.missing.mean() + 0.1


def test_one_seed_is_one_history() -> None:
    background = (Background(source="a", destination="b", load=0.4, nbytes=5_000),)
    made = beside(supply(), background=background)
    first, again, other = (made.timelines(6, 3, seed=seed) for seed in (1, 1, 2))
    assert np.array_equal(first.weights, again.weights)
    assert not np.array_equal(first.weights, other.weights)
    assert not np.array_equal(first.weights[0], first.weights[1])
