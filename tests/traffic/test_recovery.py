"""Fault tolerance: what is lost is sent again, counts once, and what cannot be delivered says so."""

import asyncio

import numpy as np
import pytest

import hyperfabric_q as hq
from hyperfabric_q import errors
from hyperfabric_q.fabric import Fabric, FabricZone, HardwareType, IsolationLevel, Link, NodeSignature, ZoneType
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
)

US = 1_000_000
NAMES = "abxyz"


def node(name):
    return NodeSignature(name, HardwareType.CPU_SERVER, 8, 100)


def diamond():
    """From a to b over x, or over y, which is a little longer."""
    ends = [("a", "x", 100), ("x", "b", 100), ("a", "y", 120), ("y", "b", 120)]
    links = tuple(Link(a, b, bandwidth_gbps=8, latency_ns=ns) for a, b, ns in ends)
    return Fabric(nodes=tuple(map(node, "abxy")), links=links)


def line():
    return Fabric(nodes=tuple(map(node, "ab")), links=(Link("a", "b", bandwidth_gbps=8, latency_ns=100),))


def sent(fabric, *faults, tolerant=True, nbytes=1000, **options):
    """The result of one send from a to b, or the error."""

    async def main():
        protocol = hq.HyperFabricProtocol(fabric, enable_fault_tolerance=tolerant, seed=1, **options)
        protocol.inject(*faults)
        return await protocol.send_data(source="a", destination="b", data=bytes(nbytes))

    return hq.run(main())


# ----------------------------------------------------------------------------------------------------------- one fault


OUTAGES = [
    Loss(probability=1.0, channels=frozenset({("x", "b")})),
    Corrupt(probability=1.0, channels=frozenset({("x", "b")})),
    LinkDown(channels=(("x", "b"),), from_ps=US // 2),
    LinkDown(channels=(("a", "x"),), from_ps=US // 2),
    LinkDown(channels=(("x", "b"),), from_ps=US // 2, to_ps=1000 * US),
    LinkDown(channels=(("x", "b"),), from_ps=US + US // 2, to_ps=1000 * US),
    NodeCrash(node="x", at_ps=US // 2),
    NodeCrash(node="x", at_ps=US + US // 2, restart_ps=1000 * US),
    Flap(channels=("x",), from_ps=US // 2, down_ps=50 * US, up_ps=1, count=20),
]


@pytest.mark.parametrize("fault", OUTAGES, ids=lambda each: type(each).__name__)
def test_a_loss_is_noticed_after_a_round_trip_and_made_good_within_three(fault):
    idle = sent(diamond())
    assert idle.receipt.path == ("a", "x", "b")
    result = sent(diamond(), fault)
    receipt = result.receipt
    assert receipt.path == ("a", "y", "b")
    assert receipt.retransmissions == 1
    assert sum(receipt.parts_ps.values()) == receipt.latency_ps == result.latency_ps
    round_trip = idle.latency_ps + 200_000
    # Noticed within a round trip of the loss or of the outage, both of which came within the first trip.
    assert 0 < receipt.recovery_ps <= idle.latency_ps + round_trip
    assert receipt.latency_ps - receipt.recovery_ps <= 3 * round_trip


def test_a_channel_that_is_down_already_is_not_tried():
    receipt = sent(diamond(), LinkDown(channels=("x",), from_ps=0, to_ps=US)).receipt
    assert (receipt.path, receipt.retransmissions) == (("a", "x", "b"), 0) or receipt.path == ("a", "y", "b")

    async def main():
        protocol = hq.HyperFabricProtocol(diamond(), enable_fault_tolerance=True)
        protocol.inject(LinkDown(channels=(("a", "x"),), from_ps=0, to_ps=900 * US))
        paths = []
        for _ in range(2):
            first = asyncio.ensure_future(protocol.send_data(source="b", destination="a", data=b"1"))
            await protocol.sleep_ns(1)
            paths.append((await protocol.send_data(source="a", destination="b", data=b"1")).receipt)
            await first
            await protocol.sleep_ns(1_000_000)
        return paths

    during, after = hq.run(main())
    assert (during.path, during.retransmissions) == (("a", "y", "b"), 0)
    assert (after.path, after.retransmissions) == (("a", "x", "b"), 0)


@pytest.mark.parametrize("asked", [False, True])
def test_what_a_zone_has_sealed_goes_around_too(asked):
    vault = FabricZone(
        zone_id="vault",
        zone_type=ZoneType.COMPUTE_CLUSTER,
        isolation_level=IsolationLevel.QUANTUM_SECURE,
        members=("a",),
        gateways=("a",),
    )

    async def main():
        protocol = hq.HyperFabricProtocol(diamond().with_zone(vault), enable_fault_tolerance=True)
        protocol.inject(LinkDown(channels=(("x", "b"),), from_ps=US // 2))
        return await protocol.send_data(source="a", destination="b", data=bytes(1000), encryption_enabled=asked)

    receipt = hq.run(main()).receipt
    assert receipt.path == ("a", "y", "b")
    assert receipt.encryption == "aes-256-gcm"
    assert any("switched on" in each for each in receipt.warnings) is not asked


def test_channels_are_named_by_a_collection_of_names():
    for channels in (None, 3):
        with pytest.raises(errors.InvalidValue, match="channels"):
            hq.HyperFabricProtocol(diamond()).inject(LinkDown(channels=channels, from_ps=0))


def test_a_way_around_may_be_much_longer():
    ends = ["ab", "ax", "xy", "yz", "zb"]
    links = tuple(Link(a, b, bandwidth_gbps=8, latency_ns=100) for a, b in ends)
    fabric = Fabric(nodes=tuple(map(node, NAMES)), links=links)
    assert sent(fabric).receipt.path == ("a", "b")
    assert sent(fabric, LinkDown(channels=(("a", "b"),), from_ps=1)).receipt.path == ("a", "x", "y", "z", "b")


@pytest.mark.parametrize(
    "fault", [*OUTAGES, Partition(members=frozenset("a"), from_ps=0)], ids=lambda e: type(e).__name__
)
def test_without_fault_tolerance_every_loss_is_a_typed_error(fault):
    if getattr(fault, "to_ps", None) is not None and isinstance(fault, LinkDown) and fault.from_ps < US:
        assert sent(diamond(), fault, tolerant=False).receipt.path == ("a", "x", "b")  # it waits for the link
        return
    with pytest.raises(errors.Undeliverable, match="enable_fault_tolerance=True"):
        sent(diamond(), fault, tolerant=False)


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (Loss(probability=1.0), "lost"),
        (Corrupt(probability=1.0), "corrupted"),
        (LinkDown(channels=(("a", "b"),), from_ps=0), "link down"),
        (NodeCrash(node="a", at_ps=0), "node down"),
        (Partition(members=frozenset("b"), from_ps=0), "partitioned"),
    ],
)
def test_what_cannot_be_delivered_is_given_up_after_the_attempts_of_the_profile(fault, reason):
    with pytest.raises(errors.Undeliverable, match=rf"sent 8 times.*{reason}"):
        sent(line(), fault)


def test_the_profile_says_when_a_loss_is_noticed():
    fault = Loss(probability=1.0, to_ps=100_000 * US)
    tcp, fabric = (sent(line(), fault, profile=each).receipt for each in ("tcp", "rdma"))
    assert tcp.recovery_ps == 200_000 * US
    assert fabric.recovery_ps == 2 * 4_096_000 * 2**14


def test_a_sealed_message_that_was_changed_is_sent_again_and_opens():
    async def main(tolerant):
        protocol = hq.HyperFabricProtocol(line(), enable_fault_tolerance=tolerant)
        protocol.inject(Corrupt(probability=1.0, to_ps=2 * US))
        return await protocol.send_data(source="a", destination="b", data=b"secret", encryption_enabled=True)

    result = hq.run(main(tolerant=True))
    assert result.payload == b"secret"
    assert result.receipt.retransmissions >= 1
    with pytest.raises(errors.SealBroken):
        hq.run(main(tolerant=False))


# ---------------------------------------------------------------------------------------------------------- duplicates


@pytest.mark.parametrize(("tolerant", "effects"), [(True, 1), (False, 2)])
def test_a_duplicate_has_an_effect_of_its_own_only_without_fault_tolerance(tolerant, effects):
    async def main():
        protocol = hq.HyperFabricProtocol(line(), enable_fault_tolerance=tolerant)
        protocol.inject(Duplicate(probability=1.0, after_ps=5 * US))
        seen = []
        protocol.attach_handler("b", lambda packet: seen.append(packet.key))
        await protocol.send_data(source="a", destination="b", data=b"1")
        await protocol.sleep_ns(100_000)
        return seen

    seen = hq.run(main())
    assert len(seen) == effects
    assert len(set(seen)) == 1


def test_a_handler_that_raises_on_a_duplicate_is_reported_once(capsys):
    async def main():
        protocol = hq.HyperFabricProtocol(line())
        protocol.inject(Duplicate(probability=1.0, after_ps=5 * US))
        seen = []

        def answer(packet):
            seen.append(packet.key)
            if seen.count(packet.key) > 1:
                raise ValueError("twice")

        protocol.attach_handler("b", answer)
        for _ in range(2):
            await protocol.send_data(source="a", destination="b", data=b"1")
            await protocol.sleep_ns(100_000)
        return len(seen)

    with pytest.warns(errors.HyperFabricWarning, match="raised on a copy: ValueError") as caught:
        assert hq.run(main()) == 4
    assert len(caught) == 1
    assert capsys.readouterr().err == ""


# -------------------------------------------------------------------------------------------------------------- crashes


def test_a_crashed_node_sends_nothing_over_a_link_that_came_later():
    async def main(restart):
        fabric = Fabric(nodes=tuple(map(node, "abc")), links=(Link("a", "b", bandwidth_gbps=8, latency_ns=100),))
        protocol = hq.HyperFabricProtocol(fabric)
        protocol.inject(NodeCrash(node="b", at_ps=US, restart_ps=restart))
        await protocol.sleep_ns(500)
        protocol.connect("b", "c", bandwidth_gbps=8, latency_ns=100)
        before = await protocol.send_data(source="b", destination="c", data=bytes(100))
        await protocol.sleep_ns(5_000)
        await protocol.send_data(source="b", destination="c", data=bytes(100))
        return before

    assert hq.run(main(5 * US)).latency_ns == 200
    with pytest.raises(errors.Undeliverable, match="node down"):
        hq.run(main(None))


@pytest.mark.parametrize("tolerant", [True, False])
def test_a_crashed_node_does_not_answer_itself(tolerant):
    async def main():
        protocol = hq.HyperFabricProtocol(line(), enable_fault_tolerance=tolerant)
        protocol.inject(NodeCrash(node="b", at_ps=US, restart_ps=3 * US))
        answers = []
        protocol.attach_handler("b", lambda packet: answers.append(protocol.now_ps))
        for _ in range(3):
            try:
                await protocol.send_data(source="b", destination="b", data=b"x")
            except errors.Undeliverable as fault:
                answers.append(fault.reason)
            await protocol.sleep_ns(2_000)
        return answers

    assert hq.run(main()) == [0, "node down", 4 * US]


@pytest.mark.parametrize("restart", [None, 1])
def test_a_node_that_crashes_while_it_opens_a_message_does_not_answer(restart):
    async def main(crash_ps):
        protocol = hq.HyperFabricProtocol(line())
        if crash_ps is not None:
            protocol.inject(NodeCrash(node="b", at_ps=crash_ps, restart_ps=restart and crash_ps + restart))
        answers = []
        protocol.attach_handler("b", lambda packet: answers.append(packet.data))
        asked = {"source": "a", "destination": "b", "data": bytes(1000), "encryption_enabled": True}
        try:
            return await protocol.send_data(**asked), answers
        except errors.Undeliverable as fault:
            return fault, answers

    usual, answers = hq.run(main(None))
    assert len(answers) == 1
    assert usual.receipt.crypto_ps > 100
    fault, answers = hq.run(main(usual.receipt.done_ps - 100))
    assert (fault.reason, answers) == ("node down", [])


def test_a_node_called_switch_is_not_the_switch():
    async def main():
        protocol = hq.HyperFabricProtocol(Fabric(nodes=tuple(map(node, ("a", "b", "switch", "rack-1")))))
        protocol.inject(NodeCrash(node="switch", at_ps=0), LinkDown(channels=("rack-1",), from_ps=0))
        await protocol.sleep_ns(1)
        return await protocol.send_data(source="a", destination="b", data=b"x")

    assert hq.run(main()).payload == b"x"


# ------------------------------------------------------------------------------------------------------------- by name


def test_two_linked_nodes_are_not_mistaken_for_their_link():
    with pytest.raises(errors.InvalidValue, match=r"\(\('a', 'x'\),\) for the link"):
        sent(diamond(), LinkDown(channels=("a", "x"), from_ps=1))
    with pytest.raises(errors.Undeliverable):
        sent(diamond(), LinkDown(channels=frozenset({"a", "x"}), from_ps=1))
    assert sent(diamond(), LinkDown(channels=("x", "(switch)")[:1], from_ps=1)).receipt.path == ("a", "y", "b")


def test_faults_are_named_by_nodes_links_and_labels():
    by_label = sent(diamond(), LinkDown(channels=("link:x>b",), from_ps=1))
    assert by_label.receipt.path == ("a", "y", "b")
    switched = Fabric(nodes=tuple(map(node, "ab")))
    with pytest.raises(errors.Undeliverable, match="link down"):
        sent(switched, LinkDown(channels=("egress:a",), from_ps=1), tolerant=False)
    for name in ("q", ("a", "b"), "link:a>b"):
        with pytest.raises(errors.UnknownName):
            sent(diamond(), LinkDown(channels=(name,), from_ps=1))
    for wrong in (3, ("a",), None):
        with pytest.raises(errors.InvalidValue):
            sent(diamond(), Loss(probability=0.5, channels=frozenset({wrong})))
    with pytest.raises(errors.UnknownName):
        sent(diamond(), NodeCrash(node="q", at_ps=1))
    with pytest.raises(errors.UnknownName):
        sent(diamond(), Partition(members=frozenset("q"), from_ps=1))
    with pytest.raises(errors.InvalidValue):
        sent(diamond(), "rain")


def test_faults_may_be_injected_one_by_one_while_things_are_under_way():
    async def main():
        protocol = hq.HyperFabricProtocol(diamond(), enable_fault_tolerance=True)
        protocol.inject(Loss(probability=0.0))
        first = asyncio.ensure_future(protocol.send_data(source="a", destination="b", data=bytes(1000)))
        await protocol.sleep_ns(10)
        protocol.inject(Loss(probability=0.0), LinkDown(channels=("x",), from_ps=0))
        return await first

    assert hq.run(main()).receipt.path == ("a", "y", "b")


# ----------------------------------------------------------------------------------------------------- random schedules


def random_faults(rng, links, names):
    def times(longest=20):
        start = int(rng.integers(0, 30 * US))
        return {"from_ps": start, "to_ps": start + int(rng.integers(1, longest * US))}

    def some():
        return tuple(links[at] for at in rng.permutation(len(links))[: rng.integers(1, 3)])

    when = times()
    choices = [
        LinkDown(channels=some(), **times()),
        LinkDown(channels=some()[:1], from_ps=int(rng.integers(0, 30 * US))),
        Flap(channels=some(), from_ps=int(rng.integers(0, 30 * US)), down_ps=3 * US, up_ps=2 * US, count=3),
        NodeCrash(node=str(rng.choice(names)), at_ps=when["from_ps"], restart_ps=when["to_ps"]),
        NodeCrash(node=str(rng.choice(names)), at_ps=int(rng.integers(0, 60 * US))),
        Partition(members=frozenset({str(rng.choice(names))}), **times()),
        Loss(probability=0.2, channels=frozenset(some())),
        Loss(probability=0.9, **times(5)),
        Corrupt(probability=0.2),
        Duplicate(probability=0.4, after_ps=int(rng.integers(1, 8 * US))),
        Reorder(probability=0.3, by_ps=5 * US),
        Delay(probability=0.5, ps=7, factor=3, **times()),
    ]
    return [each for each in choices if rng.random() < 0.35]


def simulate(seed, *, tolerant, turn=0, runner=hq.run, **options):
    """(what became of each send, effects by key, digest) of 24 sends on a random fabric with random faults."""
    rng = np.random.default_rng(seed)
    links = [(a, b) for at, a in enumerate(NAMES) for b in NAMES[at + 1 :] if rng.random() < 0.7]
    links = links or [("a", "b")]
    made = tuple(Link(a, b, bandwidth_gbps=8, latency_ns=int(rng.integers(50, 300))) for a, b in links)
    fabric = Fabric(nodes=tuple(map(node, NAMES)), links=made)
    faults = random_faults(rng, links, list(NAMES))
    sends = []
    for number in range(24):
        source, destination = (NAMES[at] for at in rng.permutation(5)[:2])
        size, urgent = int(rng.integers(1, 4000)), bool(rng.random() < 0.3)
        sends.append((int(rng.integers(0, 40)) * 1000, source, destination, number, size, urgent))
    order = np.random.default_rng(turn).permutation(len(sends)) if turn else range(len(sends))

    async def main():
        protocol = hq.HyperFabricProtocol(
            fabric, enable_fault_tolerance=tolerant, seed=seed, keep_events=None, **options
        )
        protocol.inject(*faults)
        effects = {}
        for name in NAMES:
            protocol.attach_handler(
                name, lambda packet: effects.setdefault(packet.metadata["n"], []).append(packet.key)
            )

        async def one(at, source, destination, number, size, urgent):
            await protocol.sleep_ns(at)
            kind = "syndrome" if urgent else "gradient"
            try:
                result = await protocol.send_data(
                    source=source, destination=destination, data=bytes(size), data_type=kind, metadata={"n": number}
                )
            except errors.HyperFabricError as fault:
                return number, fault
            return number, result

        ended = dict(await asyncio.gather(*(one(*sends[at]) for at in order)))
        await protocol.sleep_ns(100_000)
        return [ended[number] for number in range(len(sends))], effects, protocol.digest(), protocol.timeline

    return runner(main())


def check(outcomes, effects, timeline):
    """Each send was delivered or failed with a reason, and what was delivered was conserved."""
    for number, each in enumerate(outcomes):
        if isinstance(each, hq.TransferResult):
            assert len(effects.get(number, [])) >= 1
            assert sum(each.receipt.parts_ps.values()) == each.latency_ps
            assert all(part >= 0 for part in each.receipt.parts_ps.values())
        else:
            assert isinstance(each, errors.Undeliverable | errors.NoRoute)
            assert number not in effects
    ends = [each.message for each in timeline.endings] + [
        each.message for each in timeline.deliveries if not each.duplicate
    ]
    assert sorted(ends) == sorted(each.message for each in timeline.submissions)
    assert len(set(ends)) == len(ends)


@pytest.mark.parametrize("block", range(10))
def test_under_random_faults_every_send_ends_in_one_way_and_counts_once(block):
    lost = {True: 0, False: 0}
    for seed in range(block * 20, block * 20 + 20):
        for tolerant in (True, False):
            outcomes, effects, _, timeline = simulate(seed, tolerant=tolerant)
            check(outcomes, effects, timeline)
            lost[tolerant] += sum(not isinstance(each, hq.TransferResult) for each in outcomes)
            if tolerant:
                assert all(len(each) == 1 for each in effects.values())
    assert lost[True] < 0.5 * lost[False]


@pytest.mark.parametrize("options", [{}, {"enable_ml_routing": True}], ids=["shortest", "learned"])
def test_the_same_seed_gives_the_same_digest_whatever_the_order(options):
    for seed in range(6):
        seen = set()
        for turn in range(3):
            outcomes, _, digest, _ = simulate(seed, tolerant=True, turn=turn, **options)
            seen.add((digest, tuple(getattr(each, "latency_ps", None) for each in outcomes)))
        assert len(seen) == 1


def test_learned_routing_and_fault_tolerance_go_together():
    for seed in range(40, 60):
        outcomes, effects, _, timeline = simulate(seed, tolerant=True, enable_ml_routing=True)
        check(outcomes, effects, timeline)
        assert all(len(each) == 1 for each in effects.values())


def test_many_sends_are_repaired_one_by_one_or_fail_as_a_whole():
    async def main(tolerant):
        protocol = hq.HyperFabricProtocol(diamond(), enable_fault_tolerance=tolerant, seed=3)
        protocol.inject(Loss(probability=0.1), Corrupt(probability=0.1), LinkDown(channels=("x",), from_ps=40 * US))
        return await protocol.send_many(
            sources="a", destinations="b", nbytes=1000, release_ns=np.arange(100) * 1000, data_type="gradient"
        )

    found = hq.run(main(tolerant=True))
    assert (found.done_ps > found.asked_ps).all()
    assert (found.done_ps == hq.run(main(tolerant=True)).done_ps).all()
    with pytest.raises(errors.Undeliverable):
        hq.run(main(tolerant=False))


def test_every_driver_sees_the_same_faults():
    for seed in (3, 4, 5):
        digests = {simulate(seed, tolerant=True, runner=each)[2] for each in (hq.run, asyncio.run)}
        assert len(digests) == 1


def test_an_outage_of_a_second_is_looked_at_a_few_times_only():
    async def main():
        protocol = hq.HyperFabricProtocol(line(), enable_fault_tolerance=True)
        protocol.inject(LinkDown(channels=("a",), from_ps=US // 2, to_ps=1_000_000 * US))
        sends = (protocol.send_data(source="a", destination="b", data=bytes(1000)) for _ in range(2))
        return [each.receipt for each in await asyncio.gather(*sends)]

    first, second = sorted(hq.run(main()), key=lambda each: each.retransmissions)
    assert (first.retransmissions, second.retransmissions) == (0, 1)
    assert min(first.done_ps, second.done_ps) > 1_000_000 * US
