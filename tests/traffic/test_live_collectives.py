"""Live collectives: known answers, one time by recurrence and by kernel, real arrays, racks, constraints, faults."""

from __future__ import annotations

import asyncio
import time

import numpy as np
import pytest

import hyperfabric_q as hq
from hyperfabric_q.errors import (
    DeadlineImpossible,
    DeadlineMissed,
    HyperFabricWarning,
    InvalidValue,
    Undeliverable,
    UnknownName,
)
from hyperfabric_q.fabric import Link
from hyperfabric_q.scheduling.faults import Corrupt, LinkDown, Loss
from hyperfabric_q.traffic.collectives import ALGORITHMS

GB350 = 350_000_000_000
KINDS = ("all_reduce", "reduce_scatter", "all_gather", "broadcast")
NAMES = ("ring", "tree", "halving_doubling", "hierarchical", "direct")


def node(node_id, gbps=400.0, latency_ns=100.0, **more):
    return hq.NodeSignature(
        node_id=node_id,
        hardware_type=hq.HardwareType.NVIDIA_H100,
        bandwidth_gbps=gbps,
        latency_ns=latency_ns,
        **more,
    )


def gpus(count):
    return [f"gpu-{rank}" for rank in range(count)], hq.Fabric(nodes=[node(f"gpu-{rank}") for rank in range(count)])


def mixed(count, seed):
    values = np.random.default_rng(seed).uniform((25, 50), (400, 900), (count, 2)).tolist()
    nodes = [
        node(f"gpu-{rank}", gbps=round(gbps, 3), latency_ns=round(latency, 3))
        for rank, (gbps, latency) in enumerate(values)
    ]
    return [each.node_id for each in nodes], hq.Fabric(nodes=nodes)


def linked_ring(count, seed):
    """A ring of declared links, all different; no switch."""
    rng = np.random.default_rng(seed)
    names = [f"gpu-{rank}" for rank in range(count)]
    links = [
        Link(
            names[rank],
            names[(rank + 1) % count],
            bandwidth_gbps=round(float(rng.uniform(25, 400)), 3),
            latency_ns=round(float(rng.uniform(50, 900)), 3),
        )
        for rank in range(count)
    ]
    return names, hq.Fabric(nodes=[node(name, gbps=400) for name in names], links=links)


def call(protocol, kind, names, data, **more):
    if kind == "broadcast":
        more.setdefault("root", names[-1])
    return getattr(protocol, kind)(names, data, **more)


def timed(fabric, kind, names, data, *, kernel=False, profile="fabric", **more):
    """One collective alone; ``kernel`` forces it message by message, since events are to be kept."""

    async def main():
        protocol = hq.HyperFabricProtocol(fabric, keep_events=None if kernel else 0, profile=profile)
        await protocol.sleep_ns(1234.567)
        return await call(protocol, kind, names, data, **more)

    result = hq.run(main())
    assert result.engine == ("kernel" if kernel else "recurrence")
    return result


# ------------------------------------------------------------------------------------------------------- known answers


def test_350_gb_over_a_ring_of_1024_take_the_known_time_and_half_a_millisecond_is_too_little():
    names, fabric = gpus(1024)

    async def main():
        protocol = hq.HyperFabricProtocol(fabric)
        best, result = float("inf"), None
        for _ in range(4):
            before = time.process_time()
            result = await protocol.all_reduce(names, GB350, algorithm="ring", latency_constraint_ns=500_000)
            best = min(best, time.process_time() - before)
        return best, result

    best, result = hq.run(main())
    assert result.latency_ps == result.done_ps - result.start_ps == 13_986_532_725_000
    assert result.constraint_met is False
    assert result.bound_ps == 13_986_328_125_000
    assert "endpoint bound, by any algorithm and without latency: 13.986328125 s" in result.summary()
    assert "ring on idle links: 13.986532725 s" in result.summary()
    assert result.utilisation.goodput == 0
    assert result.utilisation.algorithm == pytest.approx(13_986_328_125 / 13_986_532_725)
    assert best < 0.05


def test_whole_elements_cost_a_ring_of_float16_forty_nanoseconds():
    names, fabric = gpus(1024)
    sized = timed(fabric, "all_reduce", names, hq.VirtualTensor((175_000_000_000,), "float16"), algorithm="ring")
    assert sized.report.nbytes == GB350
    # 175e9 / 1024 is no whole number: some slice is one byte above the mean, 20 ps, at each of 2046 steps.
    assert sized.latency_ps == 13_986_532_725_000 + 2046 * 20


def test_auto_is_the_fastest_of_its_own_table_and_never_below_the_bound():
    names, fabric = gpus(64)
    chosen = timed(fabric, "all_reduce", names, 10**9)
    table = {row.algorithm: row.duration_ps for row in chosen.report.predictions}
    assert set(table) == {"ring", "tree", "halving_doubling"}
    assert chosen.latency_ps == min(table.values()) >= chosen.bound_ps
    for name, predicted in table.items():
        assert timed(fabric, "all_reduce", names, 10**9, algorithm=name).latency_ps == predicted


# ---------------------------------------------------------------------------------------------- recurrence and kernel


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("make", [mixed, linked_ring])
def test_a_seeded_ring_of_different_ends_or_links_is_the_same_by_recurrence_and_by_kernel(make, seed):
    names, fabric = make(16, seed)
    reckoned = timed(fabric, "all_reduce", names, 10**8 + 7, algorithm="ring")
    simulated = timed(fabric, "all_reduce", names, 10**8 + 7, algorithm="ring", kernel=True)
    assert simulated.latency_ps == reckoned.latency_ps > reckoned.bound_ps
    assert simulated.report.timing.completion_ps.tolist() == reckoned.report.timing.completion_ps.tolist()
    assert simulated.utilisation == reckoned.utilisation


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("algorithm", NAMES)
def test_every_algorithm_is_the_same_by_recurrence_and_by_kernel(kind, algorithm):
    for count, size in ((1, 100), (2, 3), (7, 100_003), (12, 5)):
        names, fabric = mixed(count, count)
        reckoned = timed(fabric, kind, names, size, algorithm=algorithm)
        simulated = timed(fabric, kind, names, size, algorithm=algorithm, kernel=True)
        assert simulated.report.timing.completion_ps.tolist() == reckoned.report.timing.completion_ps.tolist()


@pytest.mark.parametrize("profile", ["tcp", "rdma"])
@pytest.mark.parametrize("algorithm", NAMES)
def test_headers_and_time_per_message_count_in_both_alike(profile, algorithm):
    names, fabric = mixed(9, 5)
    reckoned = timed(fabric, "all_reduce", names, 1_000_003, algorithm=algorithm, profile=profile)
    simulated = timed(fabric, "all_reduce", names, 1_000_003, algorithm=algorithm, profile=profile, kernel=True)
    assert simulated.report.timing.completion_ps.tolist() == reckoned.report.timing.completion_ps.tolist()
    assert reckoned.latency_ps > timed(fabric, "all_reduce", names, 1_000_003, algorithm=algorithm).latency_ps
    assert 0.8 < reckoned.utilisation.wire < 1


@pytest.mark.parametrize("kind", KINDS)
def test_racks_are_rehearsed_and_what_is_reckoned_is_what_the_kernel_does(kind):
    nodes = [node(f"gpu-{rank}", rack_position=f"rack-{rank // 4}-slot-{rank % 4}") for rank in range(12)]
    names, fabric = [each.node_id for each in nodes], hq.Fabric(nodes=nodes)
    chosen = timed(fabric, kind, names, 10**7)
    assert "hierarchical" in {row.algorithm for row in chosen.report.predictions}
    for row in chosen.report.predictions:
        reckoned = timed(fabric, kind, names, 10**7, algorithm=row.algorithm)
        simulated = timed(fabric, kind, names, 10**7, algorithm=row.algorithm, kernel=True)
        assert simulated.report.timing.completion_ps.tolist() == reckoned.report.timing.completion_ps.tolist()
        assert reckoned.latency_ps >= max(chosen.latency_ps, reckoned.bound_ps)


def test_the_bound_holds_over_declared_links_too():
    names, fabric = linked_ring(6, 3)
    for kind in KINDS:
        for algorithm in NAMES:
            result = timed(fabric, kind, names, 1_000_000, algorithm=algorithm)
            assert result.latency_ps >= result.bound_ps > 0


# ---------------------------------------------------------------------------------------------------- shared channels


def interrupted(fabric, at_ns, source, destination, *, kernel):
    names = [each.node_id for each in fabric.nodes if each.node_id.startswith("gpu")]

    async def main():
        protocol = hq.HyperFabricProtocol(fabric, keep_events=None if kernel else 0)

        async def other():
            await protocol.sleep_ns(at_ns)
            return await protocol.send_data(
                source=source, destination=destination, data=bytes(60_000), data_type="syndrome"
            )

        collective, send = await asyncio.gather(protocol.all_reduce(names, 10**6, algorithm="ring"), other())
        return collective, send.receipt.done_ps

    return hq.run(main())


@pytest.mark.parametrize("at_ns", [0, 1, 1000, 40_000.5, 120_000])
def test_a_send_in_between_moves_it_to_the_kernel_as_if_it_had_been_there_all_along(at_ns):
    names, fabric = mixed(8, 11)
    moved, moved_send = interrupted(fabric, at_ns, "gpu-3", "gpu-4", kernel=False)
    there, there_send = interrupted(fabric, at_ns, "gpu-3", "gpu-4", kernel=True)
    assert moved.engine == "kernel"
    assert moved_send == there_send
    assert moved.report.timing.completion_ps.tolist() == there.report.timing.completion_ps.tolist()
    assert moved.latency_ps > timed(fabric, "all_reduce", names, 10**6, algorithm="ring").latency_ps


@pytest.mark.parametrize("at_ns", [0, 2500, 2600, 5100, 5200, 33_700, 36_300])
def test_so_does_one_at_the_very_instant_at_which_a_message_leaves_or_arrives(at_ns):
    """A block of 125 kB takes 2500 ns and arrives 100 ns later, 14 times."""
    _, fabric = gpus(8)
    moved, moved_send = interrupted(fabric, at_ns, "gpu-3", "gpu-4", kernel=False)
    there, there_send = interrupted(fabric, at_ns, "gpu-3", "gpu-4", kernel=True)
    assert moved.engine == "kernel"
    assert moved_send == there_send
    assert moved.report.timing.completion_ps.tolist() == there.report.timing.completion_ps.tolist()


@pytest.mark.parametrize("at_ns", [1000, 40_000.5])
def test_a_send_over_other_channels_does_not_disturb_it(at_ns):
    fabric = mixed(8, 11)[1].with_node(node("aside-a")).with_node(node("aside-b"))
    apart, apart_send = interrupted(fabric, at_ns, "aside-a", "aside-b", kernel=False)
    there, there_send = interrupted(fabric, at_ns, "aside-a", "aside-b", kernel=True)
    assert apart.engine == "recurrence"
    assert apart_send == there_send
    assert apart.report.timing.completion_ps.tolist() == there.report.timing.completion_ps.tolist()


def test_two_at_once_share_the_channels_in_any_order_of_asking():
    names, fabric = mixed(6, 2)

    def both(turned):
        async def main():
            protocol = hq.HyperFabricProtocol(fabric)
            sizes = [10**6, 2 * 10**6]
            asked = [protocol.all_reduce(names, size) for size in (sizes[::-1] if turned else sizes)]
            found = await asyncio.gather(*asked)
            return {each.report.nbytes: (each.latency_ps, each.engine) for each in found}, protocol.digest()

        return hq.run(main())

    assert both(turned=False) == both(turned=True)
    alone = timed(fabric, "all_reduce", names, 2 * 10**6).latency_ps
    assert both(turned=False)[0][2 * 10**6] == (pytest.approx(1.5 * alone, rel=0.5), "kernel")
    assert both(turned=False)[0][2 * 10**6][0] > alone


def test_equal_ones_are_told_apart_by_their_contents():
    names, fabric = mixed(5, 1)

    def both(turned):
        async def main():
            protocol = hq.HyperFabricProtocol(fabric)
            rows = [[np.full(999, value, dtype=np.float32)] * 5 for value in (1, 2)]
            found = await asyncio.gather(*(protocol.all_reduce(names, row) for row in (rows[::-1] if turned else rows)))
            return {float(each["gpu-0"][0]): each.latency_ps for each in found}

        return hq.run(main())

    assert both(turned=False) == both(turned=True)


def test_one_given_up_leaves_the_channels_and_sends_go_on():
    names, fabric = gpus(8)

    async def main():
        protocol = hq.HyperFabricProtocol(fabric)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(protocol.all_reduce(names, 10**9), timeout=1e-6)
        sent = await protocol.send_data(source="gpu-0", destination="gpu-1", data=bytes(1000))
        again = await protocol.all_reduce(names, 10**6, algorithm="ring")
        return sent, again

    sent, again = hq.run(main())
    assert sent.latency_ns < 2_500  # the chunks under way, and its own
    assert again.latency_ps == timed(fabric, "all_reduce", names, 10**6, algorithm="ring").latency_ps


async def test_on_a_loop_that_runs_already_the_times_are_the_same():
    names, fabric = mixed(4, 4)
    result = await hq.HyperFabricProtocol(fabric).all_reduce(names, 12_345, algorithm="ring")
    assert result.engine == "recurrence"
    kernel = await hq.HyperFabricProtocol(fabric).all_reduce(names, 12_345, algorithm="ring")
    assert kernel.latency_ps == result.latency_ps


# --------------------------------------------------------------------------------------------------------- real arrays


@pytest.mark.parametrize("algorithm", NAMES)
def test_real_arrays_are_summed_to_the_same_bits_by_every_algorithm(algorithm):
    names, fabric = mixed(6, 9)
    rng = np.random.default_rng(0)
    arrays = [(rng.normal(size=(4, 25)) * 10.0 ** rng.integers(-8, 8, (4, 25))).astype(np.float32) for _ in names]
    expected = arrays[0].copy()
    for array in arrays[1:]:
        expected += array
    total = timed(fabric, "all_reduce", names, dict(zip(names, arrays, strict=True)), algorithm=algorithm)
    for name in names:
        assert total[name].tobytes() == expected.tobytes()
        assert total[name].shape == (4, 25)
    shares = timed(fabric, "reduce_scatter", names, arrays, algorithm=algorithm)
    assert np.concatenate([shares[name] for name in names]).tobytes() == expected.tobytes()
    whole = timed(fabric, "all_gather", names, [shares[name] for name in names], algorithm=algorithm)
    assert all(whole[name].tobytes() == expected.tobytes() for name in names)
    same = timed(fabric, "broadcast", names, arrays[2], algorithm=algorithm, root=names[2])
    assert all(same[name] is arrays[2] for name in names)
    assert total.report.timing.received_bytes.sum() > 0


def test_a_virtual_tensor_takes_the_time_of_the_array_it_stands_for():
    names, fabric = mixed(6, 3)
    for kind in KINDS:
        real = np.zeros(1201, dtype=np.float64)
        given = real if kind == "broadcast" else [real] * 6
        if kind == "all_gather":
            real = np.zeros(200, dtype=np.float64)
            given = [real] * 6
        by_array = timed(fabric, kind, names, given)
        by_size = timed(fabric, kind, names, hq.VirtualTensor(real.shape, "float64"))
        assert by_array.report.timing.completion_ps.tolist() == by_size.report.timing.completion_ps.tolist()
        for name in names:
            assert by_size[name].nbytes == by_array[name].nbytes


# --------------------------------------------------------------------------------------------- constraints and mistakes


def test_a_constraint_is_refused_missed_or_met():
    names, fabric = gpus(8)
    need = timed(fabric, "all_reduce", names, 10**9, algorithm="ring")

    def within(ns, **options):
        async def main():
            protocol = hq.HyperFabricProtocol(fabric, **options)
            return await protocol.all_reduce(names, 10**9, algorithm="ring", latency_constraint_ns=ns)

        return hq.run(main())

    assert within(need.latency_ns).constraint_met is True
    assert within(need.latency_ns).utilisation.goodput == pytest.approx(need.bound_ps / need.latency_ps)
    assert within(need.latency_ns - 1).constraint_met is False
    with pytest.raises(DeadlineMissed) as missed:
        within(need.latency_ns - 1, on_violation="raise")
    assert missed.value.result.latency_ps == need.latency_ps
    with pytest.raises(DeadlineImpossible, match="Make every end 70 times as fast"):
        within(500_000, strict=True)


@pytest.mark.parametrize(
    "fault", [Loss(probability=1.0), Corrupt(probability=1.0), LinkDown(channels=("gpu-2",), from_ps=0)]
)
def test_a_message_that_is_lost_or_damaged_makes_it_undeliverable(fault):
    names, fabric = gpus(4)

    async def main():
        protocol = hq.HyperFabricProtocol(fabric, seed=1)
        protocol.inject(fault)
        with pytest.raises(Undeliverable, match="gpu-"):
            await protocol.all_reduce(names, 10**6)

    hq.run(main())


@pytest.mark.parametrize(
    ("nodes", "data", "fault", "text"),
    [
        ("gpu-0", 10, InvalidValue, "sequence of node ids"),
        ([], 10, InvalidValue, "at least one"),
        (["gpu-0", "gpu-0"], 10, InvalidValue, "every node takes part once"),
        (["gpu-0", "gpu-11"], -1, InvalidValue, "at least 0"),
        (["gpu-0", "gpu-1"], [np.ones(3)], InvalidValue, "each of the 2 nodes"),
        (["gpu-0", "gpu-1"], np.ones((2, 3)), InvalidValue, "one array per node"),
        (["gpu-0", "gpu-1"], [np.ones(3), np.ones(4)], InvalidValue, "all ranks have"),
        (["gpu-0", "gpu-1"], [np.ones(3), np.ones(3, dtype=np.float32)], InvalidValue, "all ranks have"),
        (["gpu-0", "gpu-1"], ["a", "b"], InvalidValue, "only numbers"),
        (["gpu-0", "gpu-1"], {"gpu-0": np.ones(3)}, InvalidValue, "an entry for each node"),
        (["gpu-0", "gpu-1"], [np.ones(3), [object()]], InvalidValue, "one array per node"),
        (
            ["gpu-0", "gpu-1"],
            [np.ones(3), np.ma.masked_array(np.ones(3), [0, 1, 0])],
            InvalidValue,
            "one array per node",
        ),
    ],
)
def test_what_does_not_fit_is_refused_before_anything_is_sent(nodes, data, fault, text):
    _, fabric = gpus(12)

    async def main():
        protocol = hq.HyperFabricProtocol(fabric)
        with pytest.raises(fault, match=text):
            await protocol.all_reduce(nodes, data)
        return protocol.now_ps

    assert hq.run(main()) == 0


def test_unknown_algorithms_roots_and_names_are_refused():
    names, fabric = gpus(4)

    async def main():
        protocol = hq.HyperFabricProtocol(fabric, strict=True)
        with pytest.raises(UnknownName, match="ring"):
            await protocol.all_reduce(names, 10, algorithm="rign")
        with pytest.raises(UnknownName):
            await protocol.all_reduce([*names, "elsewhere"], 10)
        with pytest.raises(InvalidValue, match="one of the nodes that take part"):
            await protocol.broadcast(names[:2], 10, root="gpu-3")
        with pytest.raises(InvalidValue, match="priority"):
            await protocol.all_reduce(names, 10, priority=[])

    hq.run(main())


def test_too_little_memory_is_said():
    nodes = [node(f"gpu-{rank}", memory_gb=80) for rank in range(4)]
    with pytest.warns(HyperFabricWarning, match="do not fit the 80 GB of 'gpu-0' and 3 other nodes"):
        result = timed(hq.Fabric(nodes=nodes), "all_reduce", [each.node_id for each in nodes], GB350)
    assert len(result.warnings) == 1


def test_every_registered_algorithm_was_tested_here():
    assert set(ALGORITHMS) == set(NAMES)
