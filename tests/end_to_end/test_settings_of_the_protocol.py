"""One test per flag of HyperFabricProtocol: the same program with and without it, and what differs."""

import asyncio

import pytest

import hyperfabric_q as hq
from hyperfabric_q import errors
from hyperfabric_q.scheduling.faults import LinkDown
from hyperfabric_q.traffic.keys import OperatingSystemKeys

US = 1_000_000


def cpu(name, **fields):
    return hq.NodeSignature(name, hq.HardwareType.CPU_SERVER, 8, 100, **fields)


PAIR = hq.Fabric(nodes=(cpu("a"), cpu("b")))


def diamond():
    """From a to b over x, or over y, which is a little longer."""
    ends = [("a", "x", 100), ("x", "b", 100), ("a", "y", 120), ("y", "b", 120)]
    links = tuple(hq.Link(a, b, bandwidth_gbps=8, latency_ns=ns) for a, b, ns in ends)
    return hq.Fabric(nodes=tuple(map(cpu, "abxy")), links=links)


def sent(fabric=PAIR, sizes=(1000,), *, faults=(), asked=None, **flags):
    """What became of sends from a to b at one instant: receipts, or errors."""

    async def main():
        protocol = hq.HyperFabricProtocol(fabric, **flags)
        protocol.inject(*faults)
        wishes = asked if asked is not None else [{}] * len(sizes)
        sends = [
            protocol.send_data(source="a", destination="b", data=bytes(nbytes), **wish)
            for nbytes, wish in zip(sizes, wishes, strict=True)
        ]
        found = await asyncio.gather(*sends, return_exceptions=True)
        return [each if isinstance(each, Exception) else each.receipt for each in found]

    return hq.run(main())


def test_fabric_is_what_it_starts_with():
    assert [each.node_id for each in hq.HyperFabricProtocol(PAIR).fabric.nodes] == ["a", "b"]
    assert hq.HyperFabricProtocol().fabric.nodes == ()


def test_enable_ml_routing_spreads_sends_over_ways():
    def ways(*, flag):
        return {each.path for each in sent(diamond(), [10_000] * 4, enable_ml_routing=flag)}

    assert ways(flag=False) == {("a", "x", "b")}
    assert ways(flag=True) == {("a", "x", "b"), ("a", "y", "b")}


def test_enable_quantum_optimization_makes_pairs_just_in_time():
    fabric = hq.Fabric.line([2, 2], communication_qubits=2, pair_fidelity=0.97)

    async def made_at(*, flag):
        protocol = hq.HyperFabricProtocol(fabric, enable_quantum_optimization=flag, seed=1)
        (pair,) = await protocol.entangle("qpu-0", "qpu-1", needed_ns=1e6)
        pair.release()
        return protocol.now_ns

    assert hq.run(made_at(flag=False)) < 1_000
    assert 999_000 < hq.run(made_at(flag=True)) <= 1_000_100


def test_enable_fault_tolerance_sends_again():
    outage = LinkDown(channels=(("x", "b"),), from_ps=US // 2)
    (lost,) = sent(diamond(), faults=[outage])
    (saved,) = sent(diamond(), faults=[outage], enable_fault_tolerance=True)
    assert isinstance(lost, errors.Undeliverable)
    assert (saved.path, saved.retransmissions) == (("a", "y", "b"), 1)


def test_default_latency_constraint_ns_holds_where_a_send_states_none():
    assert [sent(default_latency_constraint_ns=ns)[0].constraint_met for ns in (None, 500, 5_000)] == [
        None,
        False,
        True,
    ]


def test_strict_refuses_what_is_otherwise_repaired():
    small = hq.Fabric(nodes=(cpu("a"), cpu("b", memory_gb=1e-7)))
    with pytest.warns(errors.HyperFabricWarning):
        assert sent(small)[0].shards > 1
    assert isinstance(sent(small, strict=True)[0], errors.NotEnoughMemory)


def test_on_violation_notes_or_raises():
    asked = [{"latency_constraint_ns": 1_500}] * 2
    noted = sent(sizes=(1000, 1001), asked=asked)
    assert sorted(each.constraint_met for each in noted) == [False, True]
    raised = sent(sizes=(1000, 1001), asked=asked, on_violation="raise")
    assert sum(isinstance(each, errors.DeadlineMissed) for each in raised) == 1


def test_profile_counts_headers_and_processor_time():
    found = {name: sent(sizes=(1460,), profile=name)[0] for name in ("fabric", "rdma", "tcp")}
    assert [each.wire_bytes for each in found.values()] == [1460, 1460 + 38 + 44, 1460 + 38 + 40]
    assert [each.host_ps for each in found.values()] == [0, US, 24 * US]


def test_policy_decides_who_goes_first():
    async def urgent_ns(policy):
        protocol = hq.HyperFabricProtocol(PAIR, policy=policy)
        bulk = asyncio.ensure_future(protocol.send_data(source="a", destination="b", data=bytes(1_000_000)))
        await protocol.sleep_ns(10)
        urgent = await protocol.send_data(source="a", destination="b", data=b"x", data_type="control_message")
        await bulk
        return urgent.latency_ns

    assert hq.run(urgent_ns(None)) == hq.run(urgent_ns(hq.Policy())) < 10_000
    assert hq.run(urgent_ns(hq.Policy(fifo=True))) > 1_000_000


def test_key_source_is_where_keys_come_from():
    class Counted(OperatingSystemKeys):
        asked = 0

        def reserve(self, *ends, **wish):
            Counted.asked += 1
            return super().reserve(*ends, **wish)

    asked = [{"encryption_enabled": True}]
    assert sent(asked=asked)[0].encryption == sent(asked=asked, key_source=Counted())[0].encryption
    assert Counted.asked > 0


def test_keep_events_is_how_much_the_timeline_keeps():
    async def kept(count):
        protocol = hq.HyperFabricProtocol(PAIR, keep_events=count)
        for _ in range(5):
            await protocol.send_data(source="a", destination="b", data=b"x")
        return len(protocol.timeline.deliveries)

    assert [hq.run(kept(count)) for count in (0, 3, None)] == [0, 3, 5]


def test_seed_decides_the_luck():
    async def luck(seed):
        fabric = hq.Fabric.line([1, 1], communication_qubits=1, pair_fidelity=0.97)
        fabric = fabric.replace("links.*", pair_rate_hz=1e4, pair_attempt_ns=1_000)
        protocol = hq.HyperFabricProtocol(fabric, seed=seed)
        (pair,) = await protocol.entangle("qpu-0", "qpu-1")
        pair.release()
        return protocol.now_ps

    found = [hq.run(luck(seed)) for seed in (1, 1, 2, 3)]
    assert found[0] == found[1]
    assert len(set(found)) == 3
