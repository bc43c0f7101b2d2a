"""The protocol's face of entanglement: what a user asks, what is foreseen, just in time, and at scale."""

import asyncio
import sys
import time

import numpy as np
import pytest

import hyperfabric_q as hq
from hyperfabric_q.entanglement.ledger import Fate
from hyperfabric_q.errors import FidelityUnreachable, InvalidValue, NotEnoughCommunicationQubits, UnknownName


def line(count=3, slots=4, rate=50_000.0, **node):
    fabric = hq.Fabric.line([2] * count, communication_qubits=slots, pair_fidelity=0.95)
    fabric = fabric.replace("links.*", pair_rate_hz=rate, latency_ns=500.0)
    return fabric.replace("nodes.*", **({"t1_us": 2000.0, "t2_us": 800.0} | node))


def test_pairs_come_with_a_goodness_that_can_be_recomputed_and_not_faster_than_light():
    async def main():
        protocol = hq.HyperFabricProtocol(line(), seed=1)
        found = protocol.foresee("qpu-0", "qpu-2")
        seen = []
        for _ in range(30):
            start = protocol.now_ps
            (pair,) = await protocol.entangle("qpu-0", "qpu-2")
            assert pair.herald_ps - start >= found.least_ps
            whole, *links = protocol.ledger.lineage(pair.id)
            assert pair.attempts == sum(each.attempts for each in links)
            assert pair.raw_pairs == len(links) == 2
            rest = 1.0, 1.0, 1.0
            for each in links:
                ends = [pair.herald_ps if node in {"qpu-0", "qpu-2"} else whole.known_ps for node in (each.a, each.b)]
                ages = np.array(ends) - each.born_ps
                off = np.exp(-ages / 800e6).prod()
                still = np.exp(-ages / 2000e6)
                w = (4 * 0.95 - 1) / 3
                rest = rest * np.array([w * off, w * off, w * still.prod() + (1 - still).prod()])
            assert pair.goodness == pytest.approx((1 + rest.sum()) / 4, abs=1e-12)
            seen.append(pair.goodness)
            pair.consume()
        return found.fidelity, np.mean(seen)

    foreseen, mean = hq.run(main())
    assert mean == pytest.approx(foreseen, abs=0.02)


def test_foreseeing_and_budgeting_spend_nothing_and_need_no_clock():
    protocol = hq.HyperFabricProtocol(line(), seed=1)
    found = protocol.foresee("qpu-0", "qpu-2", fidelity=0.87)
    assert repr(found).startswith("<Foresight: qpu-0 - qpu-1 - qpu-2, no purification, F = 0.")
    assert found.path.ends == ("qpu-0", "qpu-2")
    budget = protocol.budget("qpu-0", "qpu-2", fidelity=0.87)
    assert budget.t_star_ps > 0
    assert len(protocol.ledger) == 0
    assert protocol.now_ps == 0


@pytest.mark.parametrize(
    ("asked", "fault"),
    [
        ({"a": "qpu-7"}, UnknownName),
        ({"fidelity": 1.5}, InvalidValue),
        ({"fidelity": 0.1}, InvalidValue),
        ({"fidelity": 0.99999}, (FidelityUnreachable, NotEnoughCommunicationQubits)),
        ({"pairs": 5}, NotEnoughCommunicationQubits),
        ({"priority": "soon"}, UnknownName),
        ({"policy": "soon"}, UnknownName),
        ({"keep": None}, InvalidValue),
        ({"deadline_ns": -5}, InvalidValue),
    ],
)
def test_what_cannot_be_is_refused_before_an_attempt(asked, fault):
    async def main():
        protocol = hq.HyperFabricProtocol(line(), seed=1)
        with pytest.raises(fault):
            await protocol.entangle(**({"a": "qpu-0", "b": "qpu-2"} | asked))
        assert len(protocol.ledger) == 0
        assert protocol.ledger.balance.vain_attempts == 0

    hq.run(main())


@pytest.mark.parametrize("given", [1, None, "yes"])
def test_quantum_optimisation_is_on_or_off(given):
    with pytest.raises(InvalidValue, match="enable_quantum_optimization"):
        hq.HyperFabricProtocol(line(), enable_quantum_optimization=given)


# -------------------------------------------------------------------------------------------------------- just in time


def due(*, optimise, seed=5, needs=tuple(range(300_000, 3_300_000, 150_000))):
    """Ages and fidelities, at the time of use, of pairs that are asked for long before they are needed."""

    async def main():
        protocol = hq.HyperFabricProtocol(line(slots=64), seed=seed, enable_quantum_optimization=optimise)

        async def user(needed_ns):
            (pair,) = await protocol.entangle("qpu-0", "qpu-2", needed_ns=needed_ns)
            herald_ns = pair.herald_ns
            await protocol.sleep_ns(max(0.0, needed_ns - protocol.now_ns))
            pair.consume()
            return pair.age_ns, pair.fidelity, herald_ns <= needed_ns

        rows = await asyncio.gather(*(user(float(each)) for each in needs))
        assert protocol.ledger.balance.conserved
        return np.array(rows)

    return hq.run(main())


def test_just_in_time_pairs_are_younger_and_better_and_nearly_all_in_time():
    on, off = (np.concatenate([due(optimise=each, seed=seed) for seed in range(6)]) for each in (True, False))
    assert np.quantile(on[:, 0], 0.99) < 0.5 * np.quantile(off[:, 0], 0.99)
    spread = np.hypot(on[:, 1].std(), off[:, 1].std()) / np.sqrt(len(on))
    assert on[:, 1].mean() - off[:, 1].mean() > 5 * spread
    assert on[:, 2].mean() > 0.95


def test_who_needs_it_first_goes_first():
    async def main(*, optimise):
        protocol = hq.HyperFabricProtocol(line(2, slots=1), seed=2, enable_quantum_optimization=optimise)
        order = []

        async def user(name, deadline_ns):
            (pair,) = await protocol.entangle("qpu-0", "qpu-1", deadline_ns=deadline_ns)
            order.append(name)
            pair.consume()

        await asyncio.gather(*(user(name, 1e7 - 1e6 * place) for place, name in enumerate("abcd")))
        return order

    assert hq.run(main(optimise=True)) == ["d", "c", "b", "a"]
    assert hq.run(main(optimise=False)) != ["d", "c", "b", "a"]


def test_a_deadline_before_the_time_of_use_is_what_counts():
    async def main():
        protocol = hq.HyperFabricProtocol(line(2), seed=2, enable_quantum_optimization=True)
        (pair,) = await protocol.entangle("qpu-0", "qpu-1", needed_ns=9e6, deadline_ns=1e6)
        return pair.herald_ns

    assert hq.run(main()) <= 1e6


def test_a_request_that_waits_for_its_time_can_be_cancelled():
    async def main():
        protocol = hq.HyperFabricProtocol(line(2), seed=2, enable_quantum_optimization=True)
        task = asyncio.ensure_future(protocol.entangle("qpu-0", "qpu-1", needed_ns=1e6))
        await protocol.sleep_ns(1000)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await protocol.sleep_ns(1e7)
        return len(protocol.ledger), protocol._service._kernel.pending

    assert hq.run(main()) == (0, 0)


# ----------------------------------------------------------------------------------------------------------- repeating


class Hidden(asyncio.SelectorEventLoop):
    """A loop whose ready queue the driver cannot see, like uvloop's."""

    def __getattribute__(self, name):
        if name == "_ready" and sys._getframe(1).f_code.co_name == "_pump":
            raise AttributeError(name)
        return super().__getattribute__(name)


def portable(main):
    with asyncio.Runner(loop_factory=Hidden) as runner:
        return runner.run(main)


async def busy(order, optimise):
    protocol = hq.HyperFabricProtocol(line(4), seed=6, enable_quantum_optimization=optimise)

    async def user(number):
        a, b = divmod(number, 4)
        if a == b:
            sent = await protocol.send_data(source=f"qpu-{a}", destination=f"qpu-{(a + 1) % 4}", data=bytes(5000))
            return sent.latency_ps
        pairs = await protocol.entangle(
            f"qpu-{a}", f"qpu-{b}", pairs=1 + number % 2, needed_ns=4e5 + 1000 * number, keep=bool(number % 3)
        )
        await protocol.sleep_ns(1000)
        for each in pairs:
            if each.fate is Fate.HELD:
                each.consume()
        return [each.id for each in pairs]

    found = dict(zip(order, await asyncio.gather(*(user(each) for each in order)), strict=True))
    return protocol.digest(), [found[each] for each in range(16)], list(protocol.ledger.records())


@pytest.mark.parametrize("optimise", [False, True])
@pytest.mark.parametrize("driver", [hq.run, asyncio.run, portable], ids=["own", "running", "portable"])
def test_digest_and_ledger_are_one_over_shuffles_and_drivers(driver, optimise):
    expected = hq.run(busy(range(16), optimise))
    draws = np.random.default_rng(7)
    for _ in range(2):
        assert driver(busy(draws.permutation(16).tolist(), optimise)) == expected


# --------------------------------------------------------------------------------------------------------------- scale


def test_a_thousand_requests_at_a_time_take_seconds_and_leave_nothing():
    async def main():
        protocol = hq.HyperFabricProtocol(line(20, slots=8), seed=8)
        rng = np.random.default_rng(9)

        async def user():
            a = int(rng.integers(0, 18))
            for pair in await protocol.entangle(f"qpu-{a}", f"qpu-{a + int(rng.integers(1, 3))}"):
                pair.consume()

        await asyncio.gather(*(user() for _ in range(1000)))
        assert protocol.ledger.balance.held == 0
        assert protocol.ledger.balance.conserved

    begun = time.process_time()
    hq.run(main())
    assert time.process_time() - begun < 15
