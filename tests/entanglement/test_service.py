"""The service on the shared clock: nothing leaks, nothing hangs, nobody blocks another for ever, load is felt."""

import asyncio
import math

import numpy as np
import pytest
from scipy import stats

import hyperfabric_q as hq
from hyperfabric_q.entanglement.ledger import Fate
from hyperfabric_q.errors import (
    EntanglementMissed,
    FidelityUnreachable,
    HyperFabricError,
    InvalidValue,
    IsolationViolated,
    Undeliverable,
)
from hyperfabric_q.scheduling.faults import Corrupt, LinkDown, Loss, NodeCrash, Partition

US = 1_000_000


def line(count=3, slots=2, rate=100_000.0, node=None, **links):
    fabric = hq.Fabric.line([2] * count, communication_qubits=slots, pair_fidelity=0.95)
    fabric = fabric.replace("links.*", **({"pair_rate_hz": rate} | links))
    return fabric.replace("nodes.*", **node) if node else fabric


def live(fabric, **options):
    return hq.HyperFabricProtocol(fabric, **({"seed": 1} | options))


def check_idle(protocol):
    """All qubits are free, nobody waits, and every pair has ended."""
    service = protocol._service
    assert service.slots.waiting == 0
    assert {node.node_id: service.slots.taken(node.node_id) for node in protocol.fabric.nodes} == dict.fromkeys(
        (node.node_id for node in protocol.fabric.nodes), 0
    )
    assert service._kernel.pending == 0
    assert protocol.ledger.balance.conserved
    assert protocol.ledger.balance.held == 0


# --------------------------------------------------------------------------------------------------------- withdrawing


@pytest.mark.parametrize("asked", [{"pairs": 2}, {"pairs": 3, "keep": False}, {"fidelity": 0.95}])
def test_a_request_cancelled_at_any_moment_leaves_nothing_behind(asked):
    """With pairs in the making, others that wait for qubits, and some that are there already."""

    async def main(at_ns):
        protocol = live(line(slots=6 if "fidelity" in asked else 2))
        task = asyncio.ensure_future(protocol.entangle("qpu-0", "qpu-2", **asked))
        await protocol.sleep_ns(at_ns)
        task.cancel()
        done = await asyncio.gather(task, return_exceptions=True)
        if isinstance(done[0], tuple):
            for pair in done[0] if asked.get("keep", True) else ():
                pair.release()
        await protocol.sleep_ns(1e6)
        check_idle(protocol)
        return isinstance(done[0], tuple)

    finished = [hq.run(main(at_ns)) for at_ns in np.linspace(0, 100_000, 41)]
    assert not finished[0]
    assert True in finished


@pytest.mark.parametrize("deadline_ns", [2000, 5000, 20_000, 40_000])
def test_a_deadline_that_is_missed_hands_over_what_came_and_leaves_nothing_else(deadline_ns):
    async def main():
        protocol = live(line(slots=4), seed=3)
        with pytest.raises(EntanglementMissed, match="4 pair") as caught:
            await protocol.entangle("qpu-0", "qpu-2", pairs=4, deadline_ns=deadline_ns)
        assert protocol.now_ps == deadline_ns * 1000
        pairs = caught.value.pairs
        assert all(each.herald_ps <= deadline_ns * 1000 for each in pairs)
        assert protocol._service.slots.taken("qpu-0") == len(pairs)
        for pair in pairs:
            assert pair.fate is Fate.HELD
            pair.consume()
        await protocol.sleep_ns(1e6)
        check_idle(protocol)
        return len(pairs)

    assert hq.run(main()) < 4


def test_what_arrives_in_the_very_instant_of_the_deadline_is_in_time():
    async def once(**asked):
        protocol = live(line())
        try:
            (pair,) = await protocol.entangle("qpu-0", "qpu-2", **asked)
        except EntanglementMissed:
            return None
        return pair.herald_ps

    # A request with a deadline is another request: its pair comes when its own draws say.
    free = [hq.run(once(deadline_ns=1e6 + each)) for each in range(3)]
    assert None not in free

    async def certain(**asked):
        protocol = live(line(rate=None, pair_attempt_ns=1000.0))
        (pair,) = await protocol.entangle("qpu-0", "qpu-2", **asked)
        return pair.herald_ps

    at = hq.run(certain())
    assert hq.run(certain(deadline_ns=at / 1000)) == at
    with pytest.raises(EntanglementMissed):
        hq.run(certain(deadline_ns=(at - 1) / 1000))


def test_time_outs_of_the_event_loop_withdraw():
    async def main():
        protocol = live(line(rate=1000.0))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(protocol.entangle("qpu-0", "qpu-2"), 20e-6)
        assert protocol.now_ns == pytest.approx(20_000)
        await protocol.sleep_ns(1e5)
        check_idle(protocol)
        return protocol.ledger.balance.vain_attempts

    assert hq.run(main()) == 40


# ----------------------------------------------------------------------------------------------------------- deadlocks


def test_requests_that_each_keep_what_the_other_waits_for_do_not_exist():
    """The urgent one comes when the other has one of its two pairs and waits for a repeater's qubits."""

    async def main(gap_ns):
        protocol = live(line())

        async def user(wait_ns, *ends, **asked):
            await protocol.sleep_ns(wait_ns)
            for pair in await protocol.entangle(*ends, pairs=2, **asked):
                pair.consume()

        await asyncio.gather(
            user(0, "qpu-0", "qpu-2", priority="low"),
            user(gap_ns, "qpu-0", "qpu-1", priority="ultra_high"),
            user(gap_ns, "qpu-1", "qpu-2", priority="high"),
        )
        check_idle(protocol)

    for gap_ns in (0, 10, 3000, 20_000, 40_000):
        hq.run(main(gap_ns))


def test_a_hundred_crossing_requests_for_several_pairs_are_all_served():
    async def main():
        protocol = live(line(5, slots=3))
        rng = np.random.default_rng(5)

        async def user(number):
            a, b = rng.choice(5, 2, replace=False)
            urgency = ["low", "normal", "high"][number % 3]
            for pair in await protocol.entangle(f"qpu-{a}", f"qpu-{b}", pairs=1 + number % 3, priority=urgency):
                pair.consume()

        await asyncio.gather(*(user(number) for number in range(100)))
        check_idle(protocol)

    hq.run(main())


def test_several_pairs_are_made_at_a_time_where_there_is_room():
    async def main(slots):
        protocol = live(line(slots=slots, rate=10_000.0))
        start = protocol.now_ps
        await protocol.entangle("qpu-0", "qpu-2", pairs=12, keep=False)
        check_idle(protocol)
        return protocol.now_ps - start

    narrow, wide = hq.run(main(2)), hq.run(main(24))
    assert wide < 0.9 * narrow


def test_pairs_that_are_too_bad_are_made_again_in_their_place():
    """A rival waits all the while: what is made again does not go to the back of the queue."""

    async def main():
        protocol = live(line(node={"t1_us": 400.0, "t2_us": 100.0}, rate=50_000.0), seed=4)
        order = []

        async def user(name, **asked):
            (pair,) = await protocol.entangle("qpu-0", "qpu-2", **asked)
            assert pair.goodness >= asked.get("fidelity", 0)
            order.append(name)
            pair.consume()

        await asyncio.gather(user("choosy", fidelity=0.88, priority="high"), user("easy", priority="low"))
        check_idle(protocol)
        return order, protocol.ledger.balance.ended.get(Fate.CUT_OFF, 0)

    order, refused = hq.run(main())
    assert order == ["choosy", "easy"]
    assert refused > 0


# --------------------------------------------------------------------------------------------------- refused beforehand


@pytest.mark.parametrize(
    ("ends", "asked"),
    [
        (("qpu-0", "qpu-2"), {"fidelity": 0.9999}),
        (("qpu-0", "qpu-2"), {"pairs": 3}),
        (("qpu-0", "qpu-2"), {"deadline_ns": 500.0}),
        (("qpu-0", "qpu-9"), {}),
        (("qpu-0", "qpu-0"), {}),
        (("qpu-0", "alone"), {}),
        (("qpu-0", "qpu-2"), {"cutoff_ns": 1e-3, "fidelity": 0.97}),
    ],
)
def test_what_physics_refuses_costs_no_attempt(ends, asked):
    async def main():
        fabric = line().with_node(hq.NodeSignature("alone", hq.HardwareType.QUANTUM_QPU, 2, 100))
        protocol = live(fabric)
        await protocol.sleep_ns(100)
        with pytest.raises(HyperFabricError):
            await protocol.entangle(*ends, **asked)
        await protocol.sleep_ns(1e6)
        assert len(protocol.ledger) == 0
        assert protocol.ledger.balance.attempts == protocol.ledger.balance.vain_attempts == 0
        check_idle(protocol)

    hq.run(main())


@pytest.mark.parametrize("field", ["deadline_ns", "needed_ns"])
def test_times_in_the_past_are_refused(field):
    async def main():
        protocol = live(line())
        await protocol.sleep_ns(1000)
        with pytest.raises(InvalidValue, match="already"):
            await protocol.entangle("qpu-0", "qpu-1", **{field: 999.0})
        assert len(protocol.ledger) == 0

    hq.run(main())


def test_a_shared_line_that_does_not_exist_is_refused_to_whoever_asked():
    async def main():
        protocol = live(line(pair_channel="shared"))
        with pytest.raises(InvalidValue, match="no classical line"):
            await protocol.entangle("qpu-0", "qpu-1")
        return "the program goes on"

    assert hq.run(main()) == "the program goes on"


def test_borders_that_heralds_may_not_cross_are_refused_to_whoever_asked():
    async def main():
        protocol = live(line())
        protocol.create_zone(
            hq.FabricZone(
                zone_id="z",
                zone_type=next(iter(hq.ZoneType)),
                isolation_level=list(hq.IsolationLevel)[-1],
                members=("qpu-0",),
            )
        )
        with pytest.raises(IsolationViolated):
            await protocol.entangle("qpu-0", "qpu-2")
        (pair,) = await protocol.entangle("qpu-1", "qpu-2")
        return pair.goodness

    assert hq.run(main()) == pytest.approx(0.95)


# -------------------------------------------------------------------------------------------------------------- faults


@pytest.mark.parametrize(
    "faults",
    [
        [Loss(probability=0.5)],
        [Corrupt(probability=0.5)],
        [NodeCrash(node="qpu-1", at_ps=5 * US, restart_ps=50 * US)],
        [LinkDown(channels=(("qpu-0", "qpu-1"),), from_ps=0, to_ps=1000 * US)],
        [Partition(members=frozenset({"qpu-0"}), from_ps=0, to_ps=900 * US)],
    ],
    ids=["loss", "corrupt", "crash", "down", "partition"],
)
@pytest.mark.parametrize("channel", ["dedicated", "shared"])
def test_faults_that_pass_only_delay(faults, channel):
    async def main():
        protocol = live(line(bandwidth_gbps=10.0, pair_channel=channel))
        protocol.inject(*faults)
        (pair,) = await protocol.entangle("qpu-0", "qpu-2")
        pair.consume()
        await protocol.sleep_ns(1e7)
        check_idle(protocol)
        return protocol.now_ps

    assert hq.run(main()) < 10**12


@pytest.mark.parametrize(
    "fault",
    [
        LinkDown(channels=(("qpu-0", "qpu-1"),), from_ps=0),
        NodeCrash(node="qpu-1", at_ps=0),
        Loss(probability=1.0),
        Partition(members=frozenset({"qpu-0"}), from_ps=0),
    ],
    ids=["down", "crash", "loss", "partition"],
)
@pytest.mark.parametrize("channel", ["dedicated", "shared"])
def test_faults_that_never_pass_end_in_an_error_and_not_in_a_hang(fault, channel):
    async def main():
        protocol = live(line(bandwidth_gbps=10.0, pair_channel=channel))
        protocol.inject(fault)
        with pytest.raises(Undeliverable, match="times in"):
            await protocol.entangle("qpu-0", "qpu-2")
        with pytest.raises(EntanglementMissed):
            await protocol.entangle("qpu-0", "qpu-2", deadline_ns=protocol.now_ns + 1e6)
        await protocol.sleep_ns(1e13)
        check_idle(protocol)

    hq.run(main())


# ------------------------------------------------------------------------------------------------------------- sharing


def many(keep_events):
    async def main():
        protocol = live(line(2, bandwidth_gbps=10.0, pair_channel="shared"), keep_events=keep_events)

        async def pairs():
            await protocol.sleep_ns(3000)
            return [each.herald_ps for each in await protocol.entangle("qpu-0", "qpu-1", pairs=2)]

        sent, heralds = await asyncio.gather(
            protocol.send_many(
                sources="qpu-0", destinations="qpu-1", nbytes=np.full(50, 1000), release_ns=np.arange(50) * 700.0
            ),
            pairs(),
        )
        return sent.done_ps.tolist(), heralds, protocol.digest()

    return hq.run(main())


def test_bulk_sends_that_are_reckoned_on_paper_make_way_for_pairs():
    assert many(0) == many(None)


@pytest.fixture(scope="module")
def loaded():
    """Rate, fidelity with its error, attempts per pair: 300 pairs over two shared links, by classical load."""

    async def main(load):
        fabric = line(
            3, rate=40_000.0, bandwidth_gbps=10.0, pair_channel="shared", node={"t1_us": 2000.0, "t2_us": 400.0}
        )
        protocol = live(fabric)
        pairs = asyncio.ensure_future(protocol.entangle("qpu-0", "qpu-2", pairs=300, keep=False, priority="bulk"))
        rng = np.random.default_rng(6)
        streams = []
        for source, destination in (("qpu-0", "qpu-1"), ("qpu-1", "qpu-2")):
            if load:
                starts = np.cumsum(rng.exponential(9000 * 0.8 / load, size=int(9e7 * load / 7200)))
                streams.append(
                    asyncio.ensure_future(
                        protocol.send_many(
                            sources=source, destinations=destination, nbytes=9000, release_ns=starts, priority="high"
                        )
                    )
                )
        made = await pairs
        took = protocol.now_ps
        for each in streams:
            each.cancel()
        await asyncio.gather(*streams, return_exceptions=True)
        attempts = [each.attempts for each in protocol.ledger.records() if each.attempts and each.fate is Fate.SWAPPED]
        fidelities = np.array([each.goodness for each in made])
        return 300 / took * 1e12, fidelities.mean(), fidelities.std() / math.sqrt(300), attempts

    return {load: hq.run(main(load)) for load in (0.0, 0.4, 0.8)}


def test_classical_load_lowers_pair_rate_and_fidelity(loaded):
    rates = [loaded[load][0] for load in (0.0, 0.4, 0.8)]
    assert rates[0] > 1.3 * rates[1] > 1.3 * 1.3 * rates[2]
    for lighter, heavier in ((0.0, 0.4), (0.4, 0.8)):
        (_, better, error, _), (_, worse, other, _) = loaded[lighter], loaded[heavier]
        assert better - worse > 3 * math.hypot(error, other)


def test_classical_load_changes_no_probability(loaded):
    for load in (0.0, 0.4, 0.8):
        attempts = np.array(loaded[load][3])
        edges = [0, *stats.geom.ppf(np.arange(1, 8) / 8, 0.04), np.inf]
        observed = np.histogram(attempts, bins=[each + 0.5 for each in edges])[0]
        expected = np.diff(stats.geom.cdf(edges, 0.04)) * len(attempts)
        assert len(attempts) >= 600
        assert stats.chisquare(observed, expected).pvalue > 1e-4


def test_classical_load_delays_heralds_of_dedicated_lines_too():
    async def main(load):
        protocol = live(line(2, slots=4, rate=20_000.0, bandwidth_gbps=0.1, node={"t2_us": 900.0, "t1_us": 900.0}))
        task = asyncio.ensure_future(protocol.entangle("qpu-0", "qpu-1", pairs=200, keep=False))
        starts = np.cumsum(np.random.default_rng(7).exponential(120_000 / max(load, 1e-9), size=int(150 * load)))
        traffic = asyncio.ensure_future(
            protocol.send_many(
                sources="qpu-0",
                destinations="qpu-1",
                nbytes=1500,
                release_ns=starts,
                data_type="control_message",
            )
            if load
            else asyncio.sleep(0)
        )
        made = await task
        traffic.cancel()
        await asyncio.gather(traffic, return_exceptions=True)
        return np.mean([each.goodness for each in made]), np.mean([each.age_ps for each in made])

    idle, busy = hq.run(main(0.0)), hq.run(main(0.8))
    assert busy[1] > 1.5 * idle[1]
    assert busy[0] < idle[0]


def star(devices, turn_ns=0.0, channels=1, count=8, rate=100_000.0):
    fabric = hq.Fabric()
    fabric = fabric.with_node(
        hq.NodeSignature(
            "s", hq.HardwareType.PHOTONIC_SWITCH, 1, 100, photonic_channels=devices, reconfiguration_ns=turn_ns
        )
    )
    for each in range(count):
        node = hq.NodeSignature(
            f"q{each}", hq.HardwareType.QUANTUM_QPU, 2, 100, communication_qubits=2, photonic_channels=channels
        )
        fabric = fabric.with_node(node)
        fabric = fabric.with_link(hq.Link(f"q{each}", "s", pair_fidelity=0.98, pair_rate_hz=rate))
    return fabric


def throughput(fabric, disjoint=4, pairs=60):
    async def main():
        protocol = live(fabric)
        await asyncio.gather(
            *(protocol.entangle(f"q{2 * n}", f"q{2 * n + 1}", pairs=pairs, keep=False) for n in range(disjoint))
        )
        check_idle(protocol)
        return disjoint * pairs / protocol.now_ps

    return hq.run(main())


def test_disjoint_pairs_of_nodes_share_the_devices_of_a_switch():
    one, four = throughput(star(1)), throughput(star(4))
    assert 3 < four / one < 4.6


def test_turning_a_shared_switch_costs_throughput():
    assert throughput(star(1, turn_ns=20_000_000.0), pairs=10) < 0.8 * throughput(star(1), pairs=10)


@pytest.mark.parametrize("channels", [1, 2, 4])
def test_optical_channels_multiply_the_chance_of_an_attempt(channels):
    fabric = hq.Fabric.line([2] * 2, communication_qubits=2, pair_fidelity=0.95)
    fabric = fabric.replace("links.*", pair_rate_hz=50_000.0).replace("nodes.*", photonic_channels=channels)

    async def main():
        protocol = live(fabric)
        await protocol.entangle("qpu-0", "qpu-1", pairs=800, keep=False)
        rows = [each.attempts for each in protocol.ledger.records() if each.attempts]
        return protocol.foresee("qpu-0", "qpu-1").path.links[0].success, np.array(rows)

    success, attempts = hq.run(main())
    assert success == pytest.approx(1 - 0.95**channels, abs=1e-12)
    assert abs(attempts.mean() - 1 / success) < 4 * attempts.std() / math.sqrt(len(attempts))


# ------------------------------------------------------------------------------------------------------------- the loop


def test_two_protocols_on_one_clock_serve_their_own_fabrics():
    async def main():
        one, two = live(line(2)), live(line(2))
        first, second = await asyncio.gather(one.entangle("qpu-0", "qpu-1"), two.entangle("qpu-0", "qpu-1"))
        assert first[0].herald_ps == second[0].herald_ps
        assert one.now_ps == two.now_ps
        first[0].consume()
        second[0].consume()
        return [each.ledger.balance for each in (one, two)]

    assert all(each.conserved and each.held == 0 for each in hq.run(main()))


def test_a_fabric_may_grow_while_requests_wait():
    async def main():
        protocol = live(line(2, slots=1))
        held = await protocol.entangle("qpu-0", "qpu-1")
        waiting = asyncio.ensure_future(protocol.entangle("qpu-1", "qpu-0"))
        await protocol.sleep_ns(1000)
        node = hq.NodeSignature("new", hq.HardwareType.QUANTUM_QPU, 2, 100, communication_qubits=1)
        protocol.register_node(node)
        protocol.connect("new", "qpu-0", pair_fidelity=0.9, pair_rate_hz=1e5)
        more = asyncio.ensure_future(protocol.entangle("new", "qpu-0"))
        await protocol.sleep_ns(1000)
        assert not waiting.done()
        held[0].consume()
        (pair,) = await waiting
        pair.consume()
        (other,) = await more
        assert other.goodness == pytest.approx(0.9)
        other.consume()
        check_idle(protocol)

    hq.run(main())


def test_pairs_that_nobody_gives_back_end_in_a_deadlock_that_is_named():
    async def main():
        protocol = live(line(2, slots=1))
        await protocol.entangle("qpu-0", "qpu-1")
        await protocol.entangle("qpu-0", "qpu-1")

    with pytest.raises(hq.errors.VirtualDeadlock):
        hq.run(main())


def test_hopeless_retries_are_given_up(monkeypatch):
    """Foreseen on an idle fabric; but the pairs' qubits wait for heralds that queue behind other control messages."""
    monkeypatch.setattr("hyperfabric_q.entanglement.service.TRIES", 5)

    async def main():
        protocol = live(line(2, slots=4, bandwidth_gbps=0.1, node={"t1_us": 900.0, "t2_us": 900.0}))
        traffic = asyncio.ensure_future(
            protocol.send_many(
                sources="qpu-0",
                destinations="qpu-1",
                nbytes=1500,
                release_ns=np.arange(2000) * 121_000.0,
                data_type="control_message",
            )
        )
        with pytest.raises(FidelityUnreachable, match="5 pairs in a row"):
            await protocol.entangle("qpu-0", "qpu-1", fidelity=0.9499, pairs=50, keep=False)
        traffic.cancel()
        await asyncio.gather(traffic, return_exceptions=True)
        await protocol.sleep_ns(1e6)
        check_idle(protocol)

    hq.run(main())
