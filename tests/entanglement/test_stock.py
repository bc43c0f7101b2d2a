"""A stock of pairs: never below its fidelity, never more than useful, fresh first when asked, nothing left behind."""

import asyncio

import numpy as np
import pytest

import hyperfabric_q as hq
from hyperfabric_q.entanglement.ledger import Fate
from hyperfabric_q.errors import BusyFabric, FidelityUnreachable


def fabric(t2_us=100_000.0):
    made = hq.Fabric.line([2, 2], communication_qubits=8, pair_fidelity=0.97)
    made = made.replace("links.*", pair_rate_hz=1000.0, pair_attempt_ns=20_000.0)
    return made.replace("nodes.*", t2_us=t2_us)


def served(*, optimised, pairs=6, fidelity=0.9, requests=800, seed=1):
    """Ages and fidelities of pairs taken at random times, at 80 % of what the link makes; and the protocol, stock."""

    async def main():
        protocol = hq.HyperFabricProtocol(fabric(), enable_quantum_optimization=optimised, seed=seed)
        times = np.cumsum(np.random.default_rng(seed).exponential(1e9 / 800, requests))
        rows = []
        async with protocol.stock("qpu-0", "qpu-1", pairs=pairs, fidelity=fidelity) as stock:

            async def one(asked_ns):
                await protocol.sleep_ns(asked_ns)
                pair = await stock.take()
                assert pair.fate is Fate.HELD
                rows.append((pair.age_ns, pair.fidelity))
                pair.consume()

            await asyncio.gather(*map(one, times))
        return np.array(rows), protocol.ledger.balance, stock

    return hq.run(main())


def test_the_freshest_pair_first_is_younger_and_better_than_the_oldest():
    plain, fresh = (served(optimised=optimised)[0] for optimised in (False, True))
    assert np.quantile(fresh[:, 0], 0.99) < np.quantile(plain[:, 0], 0.99)
    gain = fresh[:, 1].mean() - plain[:, 1].mean()
    assert gain > 5 * np.hypot(fresh[:, 1].std(), plain[:, 1].std()) / np.sqrt(len(fresh))


@pytest.mark.parametrize("optimised", [False, True])
def test_no_pair_is_below_the_fidelity_and_every_pair_ends(optimised):
    rows, balance, stock = served(optimised=optimised, fidelity=0.93, requests=300)
    assert rows[:, 1].min() >= 0.93
    assert balance.conserved
    assert balance.held == 0
    assert stock.turnover.taken == balance.ended[Fate.CONSUMED] == 300
    assert stock.turnover.expired <= balance.ended[Fate.EXPIRED] <= stock.turnover.expired + 1
    assert stock.turnover.ready == 0


def test_a_stock_is_no_larger_than_rate_times_lifetime():
    async def main():
        protocol = hq.HyperFabricProtocol(fabric(), seed=1)
        useful = protocol.budget("qpu-0", "qpu-1", fidelity=0.96).buffer
        return protocol.stock("qpu-0", "qpu-1", pairs=8, fidelity=0.96).size, useful

    size, useful = hq.run(main())
    assert size == max(1, int(np.ceil(useful))) < 8


def test_a_closed_stock_and_an_impossible_one_are_refused():
    async def main():
        protocol = hq.HyperFabricProtocol(fabric(), seed=1)
        with pytest.raises(BusyFabric, match="closed"):
            await protocol.stock("qpu-0", "qpu-1", pairs=2).take()
        with pytest.raises(FidelityUnreachable):
            protocol.stock("qpu-0", "qpu-1", pairs=1, fidelity=1.0)

    hq.run(main())
