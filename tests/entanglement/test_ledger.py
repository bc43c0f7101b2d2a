"""Every pair ends exactly once, whatever is asked, taken back, lost or in the way; and programs repeat."""

import asyncio
import sys
import warnings
from functools import cache

import numpy as np
import pytest

import hyperfabric_q as hq
from hyperfabric_q.entanglement.ledger import Fate, Ledger, Origin
from hyperfabric_q.errors import EntanglementMissed, HyperFabricError, InternalError, PairSpent, Undeliverable
from hyperfabric_q.scheduling.faults import LinkDown, Loss, NodeCrash

US = 1_000_000


# ----------------------------------------------------------------------------------------------------------- by itself


def test_a_pair_ends_once_and_keeps_its_row():
    ledger = Ledger()
    one, two = ledger.heralded("a", "b", 7, 10, 15), ledger.heralded("b", "c", 3, 12, 20)
    whole = ledger.swapped(one, two, "a", "c", 10, 21)
    assert (one, two, whole) == (1, 2, 3)
    assert [ledger.holds(each) for each in (one, two, whole)] == [False, False, True]
    with pytest.raises(PairSpent, match="swapped at 21 ps"):
        ledger.end(one, Fate.CONSUMED, 30)
    ledger.end(whole, Fate.CONSUMED, 40)
    with pytest.raises(PairSpent, match="consumed at 40 ps"):
        ledger.end(whole, Fate.EXPIRED, 41)
    row = ledger.record(whole)
    assert (row.origin, row.parents, row.born_ps, row.known_ps) == (Origin.SWAPPED, (1, 2), 10, 21)
    assert (row.fate, row.ended_ps) == (Fate.CONSUMED, 40)
    assert [each.pair for each in ledger.lineage(whole)] == [3, 1, 2]
    assert ledger.balance.conserved
    assert (ledger.balance.attempts, ledger.balance.held, len(ledger)) == (10, 0, 3)


def test_a_purification_ends_two_pairs_whatever_comes_of_it():
    ledger = Ledger()
    pairs = [ledger.heralded("a", "b", 1, each, each) for each in range(4)]
    better = ledger.purified(pairs[0], pairs[1], 5, 6)
    ledger.end(pairs[2], Fate.FAILED, 7)
    ledger.end(pairs[3], Fate.FAILED, 7)
    assert ledger.balance.ended == {Fate.PURIFIED_AWAY: 2, Fate.FAILED: 2}
    assert ledger.balance.conserved
    assert ledger.record(better).fate is Fate.HELD
    ledger.end(ledger.heralded("a", "b", 1, 8, 8), Fate.FAILED, 9)
    assert not ledger.balance.conserved


def test_pairs_that_never_were_are_nobodys_fault_but_the_programs():
    ledger = Ledger()
    for number in (0, 1, -1):
        with pytest.raises(InternalError):
            ledger.end(number, Fate.CONSUMED, 0)
        with pytest.raises(InternalError):
            ledger.record(number)


def test_a_short_ledger_forgets_rows_and_no_sums():
    ledger = Ledger(keep=2)
    pairs = [ledger.heralded("a", "b", 2, 0, each) for each in range(5)]
    for each in pairs:
        ledger.end(each, Fate.CONSUMED, each)
    assert [each.pair for each in ledger.records()] == [4, 5]
    assert ledger.balance.ended == {Fate.CONSUMED: 5}
    assert ledger.balance.attempts == 10
    with pytest.raises(PairSpent, match="long ago"):
        ledger.record(1)
    with pytest.raises(PairSpent, match="long ago"):
        ledger.end(1, Fate.CONSUMED, 9)


# ----------------------------------------------------------------------------------------------------- random schedules


@cache
def fabrics():
    """Small fabrics that differ in all that matters: memory, slots, gates, switches and shared lines."""
    qpu = {"communication_qubits": 2, "pair_fidelity": 0.95}
    lossy = {"nodes.*": {"t1_us": 400.0, "t2_us": 150.0, "gate_error_2q": 0.004, "readout_error": 0.003}}
    fast = {"pair_rate_hz": 150_000.0}
    plain = hq.Fabric.line([2] * 3, **qpu).replace("links.*", **fast)
    four = hq.Fabric.line([2] * 4, **(qpu | {"communication_qubits": 4})).replace("links.*", **fast)
    four = four.replace("nodes.*", **lossy["nodes.*"], gate_2q_ns=300.0, readout_ns=700.0)
    ring = hq.Fabric.ring([2] * 4, **(qpu | {"communication_qubits": 3})).replace("links.*", **fast, bandwidth_gbps=1.0)
    shared = ring.replace("links.*", pair_channel="shared")
    certain = plain.replace("links.*", pair_rate_hz=None, pair_attempt_ns=1000.0)
    free = hq.Fabric.line([2] * 3, pair_fidelity=0.9).replace("links.*", **fast)
    return plain, four, ring, shared, certain, free, *(star(each) for each in (1, 2))


def star(devices):
    """Four QPU nodes around a photonic switch with so many Bell measurement devices."""
    fabric = hq.Fabric()
    kind = hq.HardwareType
    fabric = fabric.with_node(
        hq.NodeSignature("s", kind.PHOTONIC_SWITCH, 1, 100, photonic_channels=devices, reconfiguration_ns=3000.0)
    )
    for each in range(4):
        node = hq.NodeSignature(f"q{each}", kind.QUANTUM_QPU, 2, 100, communication_qubits=2, photonic_channels=4)
        fabric = fabric.with_node(node)
        fabric = fabric.with_link(hq.Link(f"q{each}", "s", pair_fidelity=0.98, pair_rate_hz=600_000.0))
    return fabric


@cache
def shapes(number):
    """What may be asked of a fabric: few enough shapes that what is foreseen of them is mostly known already."""
    rng = np.random.default_rng([78, number])
    nodes = [each.node_id for each in fabrics()[number].nodes if each.hardware_type is hq.HardwareType.QUANTUM_QPU]
    made = []
    for place in range(18):
        a, b = (str(each) for each in rng.choice(nodes, 2, replace=False))
        fidelity = [None, None, 0.8, 0.9, 0.96][rng.integers(5)]
        made.append(
            {
                "a": a,
                "b": b,
                "fidelity": fidelity,
                "cutoff_ns": 0.0 if place == 0 and fidelity is None else [None, None, 8000.0][rng.integers(3)],
                "policy": str(rng.choice(["swap_asap", "nested", "wait_for_all"])),
            }
        )
    return nodes, made


def schedule(seed):
    """Return a fabric and what is asked of it, as plain values."""
    rng = np.random.default_rng([77, seed])
    number = int(rng.integers(len(fabrics())))
    fabric, (nodes, known) = fabrics()[number], shapes(number)
    asked = {}
    for _ in range(int(rng.integers(1, 6))):
        request = known[rng.integers(len(known))] | {
            "pairs": int(rng.choice([1, 1, 2, 3])),
            "keep": bool(rng.random() < 0.7),
            "priority": str(rng.choice(["high", "normal", "low"])),
            "deadline_ns": None if rng.random() < 0.6 else float(rng.integers(1, 60)) * 1000,
        }
        if request["cutoff_ns"] == 0.0:
            request["deadline_ns"] = 50_000.0
        start = float(rng.choice([0, 0, 4000, 9000]))
        if request["deadline_ns"] is not None and rng.random() < 0.5:
            request["needed_ns"] = request["deadline_ns"]
        then = {
            "hold_ns": float(rng.choice([0, 500, 5000, 20_000])),
            "cancel_ns": None if rng.random() < 0.75 else float(rng.integers(0, 30)) * 500,
            "consume": bool(rng.random() < 0.6),
        }
        asked[repr((start, request))] = start, request, then
    sends = [
        (str(a), str(b), int(rng.integers(1, 4000)), float(rng.integers(0, 20)) * 1000)
        for a, b in (rng.choice(nodes, 2, replace=False) for _ in range(int(rng.integers(0, 4))))
    ]
    faults = []
    if rng.random() < 0.15:
        faults.append(Loss(probability=0.3))
    if rng.random() < 0.1:
        faults.append(NodeCrash(node=str(rng.choice(nodes)), at_ps=5 * US, restart_ps=20 * US))
    if rng.random() < 0.1 and fabric.links[0].bandwidth_gbps is not None:
        faults.append(LinkDown(channels=(fabric.links[0].ends,), from_ps=3 * US, to_ps=30 * US))
    return fabric, list(asked.values()), sends, faults, bool(rng.random() < 0.3)


async def ask(protocol, start, request, then):
    """One user: asks, waits, uses; whatever comes is typed, and no pair serves twice."""
    await protocol.sleep_ns(start)
    try:
        task = asyncio.ensure_future(protocol.entangle(**request))
        if then["cancel_ns"] is not None:
            await protocol.sleep_ns(then["cancel_ns"])
            task.cancel()
        pairs = await task
    except asyncio.CancelledError:
        return "cancelled"
    except EntanglementMissed as fault:
        pairs = fault.pairs
        assert len(pairs) < request["pairs"]
    except HyperFabricError as fault:
        return type(fault).__name__
    await protocol.sleep_ns(then["hold_ns"])
    if request["fidelity"] is not None:
        assert all(each.goodness >= request["fidelity"] for each in pairs)
    if request["deadline_ns"] is not None:
        assert all(each.herald_ns <= request["deadline_ns"] for each in pairs)
    for pair in pairs if request["keep"] else ():
        pair.consume() if then["consume"] else pair.release()
    for pair in pairs:
        with pytest.raises(PairSpent):
            pair.consume()
    return [(each.a, each.b, each.herald_ps, each.goodness) for each in pairs]


async def send(protocol, source, destination, nbytes, start):
    await protocol.sleep_ns(start)
    try:
        await protocol.send_data(source=source, destination=destination, data=bytes(nbytes))
    except Undeliverable:
        return "lost"
    return protocol.now_ps


async def play(number, order=None):
    """Play a schedule, check what must hold whatever happened, and return all that may be compared."""
    fabric, asked, sends, faults, optimise = schedule(number)
    protocol = hq.HyperFabricProtocol(fabric, seed=number, enable_quantum_optimization=optimise)
    if faults:
        protocol.inject(*faults)
    users = [ask(protocol, *each) for each in asked] + [send(protocol, *each) for each in sends]
    order = range(len(users)) if order is None else order(len(users))
    outcomes = dict(zip(order, await asyncio.gather(*(users[each] for each in order)), strict=True))
    await protocol.sleep_ns(5_000_000)
    balance, service = protocol.ledger.balance, protocol._service
    assert balance.conserved
    assert balance.held == 0
    assert service.slots.waiting == 0
    assert all(service.slots.taken(node.node_id) == 0 for node in fabric.nodes)
    kernel = service._kernel
    if kernel is not None:
        assert kernel.pending == 0
        reconcile(kernel, protocol.ledger, fabric)
    rows = [
        (each.pair, each.a, each.b, each.attempts, each.parents, each.born_ps, each.known_ps, each.fate, each.ended_ps)
        for each in protocol.ledger.records()
    ]
    return protocol.digest(), [outcomes[each] for each in sorted(outcomes)], rows, balance


def reconcile(kernel, ledger, fabric):
    """Attempts in the ledger are the time that the lines of pairs were busy, to the picosecond."""
    lines = [each for each in kernel.servers if each.channel.source.startswith("pairs:")]
    assert all(sum(each.busy_ps) % (each.per_num // each.per_den) == 0 for each in lines)
    if all(each.pair_channel == "dedicated" for each in fabric.links) and "s" not in {n.node_id for n in fabric.nodes}:
        made = sum(sum(each.busy_ps) * each.per_den // each.per_num for each in lines)
        assert made == ledger.balance.attempts + ledger.balance.vain_attempts


def test_conservation_over_random_schedules():
    outcomes = [hq.run(play(number)) for number in range(250)]
    fates = {fate for *_, balance in outcomes for fate in balance.ended}
    kinds = {each if isinstance(each, str) else "pairs" for _, users, *_ in outcomes for each in users}
    assert fates == set(Fate) - {Fate.HELD}
    assert kinds >= {"pairs", "cancelled", "lost", "FidelityUnreachable", "NotEnoughCommunicationQubits"}


@pytest.mark.slow
def test_conservation_over_ten_thousand_random_schedules():
    for number in range(10_000):
        hq.run(play(number))


class Hidden(asyncio.SelectorEventLoop):
    """A loop whose ready queue the driver cannot see, like uvloop's."""

    def __getattribute__(self, name):
        if name == "_ready" and sys._getframe(1).f_code.co_name == "_pump":
            raise AttributeError(name)
        return super().__getattribute__(name)


def portable(main):
    with asyncio.Runner(loop_factory=Hidden) as runner:
        return runner.run(main)


@pytest.mark.parametrize("driver", [hq.run, asyncio.run, portable], ids=["own", "running", "portable"])
def test_the_same_seed_gives_the_same_digest_and_ledger_over_shuffles_and_drivers(driver):
    for number in range(25):
        expected = hq.run(play(number))
        order = np.random.default_rng(number).permutation
        assert driver(play(number, lambda count, order=order: order(count).tolist())) == expected


def test_another_seed_gives_another_ledger():
    async def once(seed):
        protocol = hq.HyperFabricProtocol(fabrics()[0], seed=seed)
        return (await protocol.entangle("qpu-0", "qpu-2"))[0].herald_ps

    assert len({hq.run(once(seed)) for seed in range(8)}) > 4


@pytest.mark.slow
def test_a_thousand_pairs_cost_bounded_memory_each():
    import gc
    import tracemalloc

    async def main():
        protocol = hq.HyperFabricProtocol(fabrics()[4], seed=1)

        async def some(count, **asked):
            for _ in range(count):
                (await protocol.entangle("qpu-0", "qpu-1", **asked))[0].consume()
            gc.collect()
            return tracemalloc.get_traced_memory()[0]

        await some(5)
        tracemalloc.start()
        try:
            begin = await some(0)
            plain = await some(300)
            with_alarms = await some(300, deadline_ns=1e12)
        finally:
            tracemalloc.stop()
        return (plain - begin) / 300, (with_alarms - plain) / 300

    with warnings.catch_warnings():
        plain, with_alarms = hq.run(main())
    assert plain < 1500
    assert with_alarms < 3000
