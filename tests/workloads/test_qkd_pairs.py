"""Keys over a live fabric: the same pairs as gates, the same channels as everyone, and virtual time."""

import asyncio
import itertools

import numpy as np
import pytest

import hyperfabric_q as hq
from hyperfabric_q.entanglement.state import werner
from hyperfabric_q.errors import InvalidValue, NoQuantumPath
from hyperfabric_q.workloads.qkd.attacks import InterceptResend
from hyperfabric_q.workloads.qkd.pairs import QkdLink
from hyperfabric_q.workloads.qkd.rates import chsh
from hyperfabric_q.workloads.qkd.session import Settings


def fabric(nodes=2, **link):
    names = [f"q{place}" for place in range(nodes)]
    made = [
        hq.NodeSignature(
            name, hq.HardwareType.QUANTUM_QPU, 10.0, 100, compute_units=2, communication_qubits=4, t1_us=1e6, t2_us=2e4
        )
        for name in names
    ]
    figures = {"pair_fidelity": 0.99, "pair_rate_hz": 20_000, "pair_attempt_ns": 2_000, **link}
    links = [hq.Link(a, b, bandwidth_gbps=10, distance_m=200, **figures) for a, b in itertools.pairwise(names)]
    return hq.Fabric(nodes=tuple(made), links=tuple(links))


def distilled(pairs, *, load=0, seed=1, attack=None, **link):
    async def main():
        protocol = hq.HyperFabricProtocol(fabric(**link), seed=seed)
        tie = QkdLink(
            protocol,
            "q0",
            "q1",
            seed=seed,
            attack=attack,
            settings=Settings(expected_error=0.001, eps_secret=1e-2, eps_correct=1e-2),
        )
        others = [asyncio.ensure_future(protocol.entangle("q0", "q1")) for _ in range(load)]
        report = await tie.distil(pairs)
        for each in others:
            each.cancel()
        return report, tie, protocol.ledger

    return hq.run(main())


def test_a_key_comes_from_the_ledger_of_the_gates_and_takes_virtual_time():
    report, tie, ledger = distilled(4_000, pair_fidelity=1.0)
    assert not report.key.aborted, report.key.reason
    assert report.key.ends_agree
    assert ledger.balance.heralded == 4_000
    assert ledger.balance.conserved
    assert report.pairs_per_second == pytest.approx(20_000, rel=0.1)
    assert report.began_ns < report.measured_ns < report.ended_ns
    # Every message waits for the one before: at least the fibre's delay each, 200 m at the speed of light.
    assert report.ended_ns - report.measured_ns > 660 * len(report.key.messages)
    assert report.key_bits_per_second == pytest.approx(report.key.key_bits / report.seconds)
    assert report.to_dict()["origin"] == "simulated, not secret"
    assert tie.tags_left == 8
    assert repr(tie) == "<QkdLink q0 ~ q1: 1 sessions, 4 more before refill>"
    assert len(report.take()) * 8 == report.key.key_bits


def test_the_error_rates_are_those_of_the_pairs_as_measured():
    report, _, _ = distilled(1_500, pair_fidelity=0.94)
    assert report.fidelity == pytest.approx(0.94, abs=0.002)
    low, high = report.key.test.interval(0.9999)
    assert low < 2 * (1 - report.fidelity) / 3 < high


def test_sessions_repeat_exactly():
    first, second, other = (distilled(300, seed=seed)[0].to_dict() for seed in (1, 1, 2))
    assert first == second != other


def test_whoever_listens_is_noticed():
    report, _, _ = distilled(400, attack=InterceptResend(1.0))
    assert report.key.aborted
    assert "error rate" in report.key.reason
    assert report.key_bits_per_second == 0


def test_gates_and_keys_take_pairs_from_each_other():
    alone = distilled(300)[0]

    async def main():
        protocol = hq.HyperFabricProtocol(fabric(), seed=1)
        tie = QkdLink(protocol, "q0", "q1", seed=1)

        async def gates():
            waits = []
            while True:
                begun = protocol.now_ns
                (pair,) = await protocol.entangle("q0", "q1")
                waits.append(protocol.now_ns - begun)
                pair.consume()
                gate_waits[:] = waits

        gate_waits = []
        task = asyncio.ensure_future(gates())
        report = await tie.distil(300)
        task.cancel()
        return report, gate_waits, protocol.ledger.balance

    shared, waits, balance = hq.run(main())
    assert shared.seconds > 1.3 * alone.seconds
    assert len(waits) > 30
    assert np.mean(waits) > 1.3 * 1e9 / 20_000
    assert balance.heralded >= 300 + len(waits)


def test_chsh_is_a_diagnostic_of_the_state():
    async def main(attack):
        protocol = hq.HyperFabricProtocol(fabric(pair_fidelity=0.95), seed=1)
        return await QkdLink(protocol, "q0", "q1", seed=2, attack=attack).chsh(400)

    value, bar = hq.run(main(None))
    assert abs(value - float(chsh(werner(0.95)))) < 4 * bar
    value, bar = hq.run(main(InterceptResend(1.0)))
    assert value + 3 * bar < 2


def test_what_cannot_be_is_refused():
    async def main(a, b, pairs):
        protocol = hq.HyperFabricProtocol(fabric(nodes=2), seed=1)
        protocol.register_node(hq.NodeSignature("far", hq.HardwareType.QUANTUM_QPU, 1.0, 100, compute_units=1))
        await QkdLink(protocol, a, b, seed=1).distil(pairs)

    for pairs in (0, 1.5, True):
        with pytest.raises(InvalidValue, match="pairs"):
            hq.run(main("q0", "q1", pairs))
    with pytest.raises(NoQuantumPath):
        hq.run(main("q0", "far", 10))
