"""A Bell pair in hand: its state at any time is what storage and swaps made of it, and it serves once."""

import numpy as np
import pytest

import hyperfabric_q as hq
from hyperfabric_q.entanglement.ledger import Fate
from hyperfabric_q.entanglement.memory import Memory, wait
from hyperfabric_q.entanglement.state import correlators, fidelity
from hyperfabric_q.entanglement.swap import swap
from hyperfabric_q.errors import InvalidValue, PairSpent


def repeater(**node):
    given = {"t1_us": 500.0, "t2_us": 200.0, "gate_error_2q": 0.01, "readout_error": 0.02} | node
    fabric = hq.Fabric.line([2] * 3, communication_qubits=8, pair_fidelity=0.95)
    fabric = fabric.replace("links.*", pair_rate_hz=100_000.0, latency_ns=5000.0)
    return fabric.replace("nodes.*", gate_2q_ns=400.0, readout_ns=600.0, **given)


def entangled(fabric, *ends, wait_ns=0.0, seed=1, **asked):
    async def main():
        protocol = hq.HyperFabricProtocol(fabric, seed=seed)
        pairs = await protocol.entangle(*ends, **asked)
        await protocol.sleep_ns(wait_ns)
        return protocol, pairs

    return hq.run(main())


def test_state_is_that_of_two_stored_links_and_one_noisy_swap():
    """Recomputed from the ledger alone: births, the swap and its duration, and the half that is used last."""
    protocol, (pair,) = entangled(repeater(), "qpu-0", "qpu-2")
    whole, left, right = protocol.ledger.lineage(pair.id)
    assert {left.a, left.b} == {"qpu-0", "qpu-1"}
    measured = whole.known_ps + 1_000_000
    memory = Memory(t1_ps=500e6, t2_ps=200e6)
    raw = correlators([0.95, 0.05 / 3, 0.05 / 3, 0.05 / 3])
    for a_ps, b_ps in ((pair.herald_ps,) * 2, (pair.herald_ps + 40_000_000, pair.herald_ps + 90_000_000)):
        one = wait(raw, memory, a_ps - left.born_ps, memory, measured - left.born_ps)
        two = wait(raw, memory, measured - right.born_ps, memory, b_ps - right.born_ps)
        expected = swap(one, two, depolarising=0.01 / 0.75, readout_x=0.02, readout_z=0.02)
        assert np.allclose(pair.correlators_at(a_ps, b_ps), expected, rtol=0, atol=1e-14)
    assert pair.goodness == pytest.approx(float(fidelity(pair.correlators_at(pair.herald_ps))), abs=1e-15)


def test_ends_are_those_that_were_asked_for_in_either_order():
    for ends in (("qpu-0", "qpu-2"), ("qpu-2", "qpu-0")):
        fabric = repeater().replace("nodes.qpu-2", t1_us=50.0, t2_us=20.0)
        _, (pair,) = entangled(fabric, *ends)
        assert (pair.a, pair.b) == ends
        later = pair.herald_ps + 30_000_000
        first, second = pair.correlators_at(later, pair.herald_ps), pair.correlators_at(pair.herald_ps, later)
        worse = second if ends[1] == "qpu-2" else first
        assert fidelity(worse) < min(fidelity(first), fidelity(second)) + 1e-12


def test_a_pair_ages_until_it_is_used_and_no_longer():
    async def main():
        protocol = hq.HyperFabricProtocol(repeater(), seed=1)
        (pair,) = await protocol.entangle("qpu-0", "qpu-1")
        fresh, born = pair.fidelity, pair.born_ps
        assert fresh == pair.goodness
        assert pair.herald_ps - born == 5_000_000 + 12_800
        await protocol.sleep_ns(20_000)
        older, used = pair.fidelity, pair.consume()
        assert older == pytest.approx(float(fidelity(used)), abs=1e-15)
        await protocol.sleep_ns(20_000)
        return pair, fresh, older

    pair, fresh, older = hq.run(main())
    assert fresh > older == pair.fidelity
    assert pair.age_ps == 25_012_800
    assert pair.weights[0] == pytest.approx(older, abs=1e-15)
    assert sum(pair.weights) == pytest.approx(1, abs=1e-15)


@pytest.mark.parametrize("asked", [{}, {"fidelity": 0.9}, {"fidelity": 0.93}])
@pytest.mark.parametrize("wait_ns", [0.0, 10_000.0])
def test_infidelity_is_the_sum_of_its_parts(asked, wait_ns):
    fabric = repeater(gate_error_2q=0.001, readout_error=0.001, t1_us=40_000.0, t2_us=9_000.0)
    _, pairs = entangled(fabric, "qpu-0", "qpu-2", wait_ns=wait_ns, **asked)
    for pair in pairs:
        parts = pair.attribution()
        assert parts.total == pytest.approx(1 - pair.fidelity, abs=1e-13)
        assert parts.raw == pytest.approx(1 - (1 + 3 * ((4 * 0.95 - 1) / 3) ** 2) / 4, abs=1e-12)
        assert parts.wait > 0
        assert parts.swap > 0
        assert (parts.purify < -0.01) == bool(asked)
        assert pair.goodness >= asked.get("fidelity", 0)
        assert parts.local == 0


def test_parts_that_do_not_exist_are_nothing():
    fabric = repeater(t1_us=None, t2_us=None, gate_error_2q=0.0, readout_error=0.0)
    _, (pair,) = entangled(fabric, "qpu-0", "qpu-1")
    parts = pair.attribution()
    assert (parts.purify, parts.wait, parts.swap) == (0, 0, 0)
    assert parts.raw == pytest.approx(0.05, abs=1e-15)


@pytest.mark.parametrize(("use", "fate"), [("consume", Fate.CONSUMED), ("release", Fate.EXPIRED)])
def test_a_pair_serves_once(use, fate):
    protocol, (pair,) = entangled(repeater(), "qpu-0", "qpu-2")
    getattr(pair, use)()
    assert pair.fate is fate
    assert protocol.ledger.record(pair.id).fate is fate
    for again in (pair.consume, pair.release, lambda: pair.end(Fate.SWAPPED)):
        with pytest.raises(PairSpent, match=f"pair {pair.id} of 'qpu-0' and 'qpu-2'.*{fate.value}"):
            again()
    assert protocol.ledger.balance.conserved
    assert "held" not in repr(pair)


def test_a_pair_cannot_be_used_before_it_is_known():
    _, (pair,) = entangled(repeater(), "qpu-0", "qpu-2")
    for times in ((pair.herald_ps - 1,), (pair.herald_ps, pair.herald_ps - 1), (pair.born_ps,)):
        with pytest.raises(InvalidValue, match="cannot be used before"):
            pair.correlators_at(*times)


def test_measured_pairs_are_used_up_when_they_come():
    _, pairs = entangled(repeater(), "qpu-0", "qpu-2", pairs=20, keep=False, wait_ns=1000.0)
    assert len(pairs) == 20
    for pair in pairs:
        assert pair.fate is Fate.CONSUMED
        assert pair.ended_ps == pair.herald_ps
        assert pair.fidelity == pair.goodness
        with pytest.raises(PairSpent):
            pair.consume()


def test_a_pair_of_an_event_loop_that_has_ended_frees_no_qubits_of_the_next():
    protocol = hq.HyperFabricProtocol(repeater(), seed=1)

    async def get(count):
        return await protocol.entangle("qpu-0", "qpu-1", pairs=count)

    (old,) = hq.run(get(1))
    aged = old.fidelity

    async def later():
        new = await get(4)
        await protocol.sleep_ns(1e6)
        assert old.fidelity == aged
        old.consume()
        assert protocol._service.slots.taken("qpu-0") == 4
        for pair in new:
            pair.release()
        assert protocol._service.slots.taken("qpu-0") == 0
        return protocol.ledger.balance

    balance = hq.run(later())
    assert balance.conserved
    assert balance.held == 0
