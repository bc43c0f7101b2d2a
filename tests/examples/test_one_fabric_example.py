"""Four tenants on one clock: each piece against an answer that is known, and the whole at reduced size."""

import asyncio
import csv
import importlib.util
import json
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from qiskit import QuantumCircuit

import hyperfabric_q as hq
from hyperfabric_q.errors import InvalidValue, NoQuantumPath
from hyperfabric_q.scenarios.one_fabric.circuit import Player
from hyperfabric_q.scenarios.one_fabric.memories import Lateness, Memories
from hyperfabric_q.scenarios.one_fabric.report import FIGURES, Point, change, key_rate, mean, rows_of, told
from hyperfabric_q.scheduling.checker import violations

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "examples" / "one_fabric.py"
CLAIM = ROOT / "benchmarks" / "claims" / "one_fabric.csv"


def two_qpus(**figures):
    nodes = [
        hq.NodeSignature(name, hq.HardwareType.QUANTUM_QPU, 100, 0, compute_units=2, communication_qubits=2, **figures)
        for name in ("a", "b")
    ]
    link = hq.Link("a", "b", bandwidth_gbps=100, distance_m=200, pair_fidelity=0.9, pair_rate_hz=1e5)
    return hq.Fabric(nodes=tuple(nodes), links=(link,))


def one_shot(circuit, fabric, homes):
    plan = hq.plan(circuit, fabric, homes=homes, seed=1)

    async def main():
        protocol = hq.HyperFabricProtocol(fabric, seed=3)
        shot = await Player(protocol, plan).shot()
        return shot, protocol.ledger

    return plan, *hq.run(main())


# ------------------------------------------------------------------------------------------------------ the pieces


def remote_cz():
    circuit = QuantumCircuit(2)
    circuit.cz(0, 1)
    return circuit


def test_without_decay_a_remote_gate_has_the_fidelity_of_its_pair():
    plan, shot, ledger = one_shot(remote_cz(), two_qpus(), ["a", "b"])
    assert (plan.ebits, shot.pairs) == (1, 1)
    assert shot.fidelity == pytest.approx(0.9, abs=1e-12)
    assert shot.pair_fidelity == pytest.approx(0.9, abs=1e-12)
    assert ledger.balance.conserved
    assert ledger.balance.held == 0


def test_with_decay_the_pair_of_the_ledger_and_the_waits_decide_the_fidelity():
    t1, t2 = 300e-6, 200e-6
    _, shot, ledger = one_shot(remote_cz(), two_qpus(t1_us=1e6 * t1, t2_us=1e6 * t2), ["a", "b"])
    (record,) = ledger.records()
    # The halves age from birth until word of the herald is there: 16 bytes at 100 Gb/s after it is known where it was
    # made. Then the control waits for two messages one after the other, the copy for the first of them, and the other
    # qubit, after its gate, for the second.
    age_s, way_s = (record.known_ps - record.born_ps) * 1e-12 + 16 * 8 / 100e9, (979.344 + 0.08) * 1e-9
    x = (4 * 0.9 - 1) / 3 * math.exp(-2 * age_s / t2)
    z = (4 * 0.9 - 1) / 3 * math.exp(-2 * age_s / t1) + (1 - math.exp(-age_s / t1)) ** 2
    assert shot.pair_fidelity == pytest.approx((1 + 2 * x + z) / 4, abs=1e-9)
    kept = [(1 + math.exp(-n * way_s / t1) + 2 * math.exp(-n * way_s / t2)) / 4 for n in (2, 1, 1)]
    assert shot.fidelity == pytest.approx(shot.pair_fidelity * math.prod(kept), abs=5e-4)
    assert math.prod(kept) < 0.99
    assert shot.lasted_ns == pytest.approx(record.known_ps / 1000 + 1.28 + 2e9 * way_s, abs=0.1)


def test_a_chain_of_gates_takes_one_pair_after_the_other():
    fabric = two_qpus()
    plan, shot, ledger = one_shot(hq.families.ising(3, steps=3, time_step=0.4), fabric, ["a", "a", "b"])
    assert shot.pairs == plan.ebits == len(ledger) == 3
    heralds = [each.known_ps for each in ledger.records()]
    ends = [each.ended_ps for each in ledger.records()]
    assert heralds == sorted(heralds)
    assert all(end > herald for end, herald in zip(ends, heralds, strict=True))
    assert 0.9**3 - 1e-9 <= shot.fidelity < 0.9


def test_wide_circuits_and_those_that_are_no_unitary_are_refused():
    fabric = two_qpus()
    conditional = QuantumCircuit(2, 1)
    conditional.measure(0, 0)
    conditional.reset(0)
    conditional.cz(0, 1)
    for circuit in (hq.families.ghz(4), conditional):
        with pytest.raises(InvalidValue, match="unitary of at most 3 qubits"):
            Player(hq.HyperFabricProtocol(fabric), hq.plan(circuit, fabric, seed=1))


def test_a_shot_that_is_cancelled_or_refused_leaves_no_pair_behind():
    fabric = two_qpus()
    plan = hq.plan(remote_cz(), fabric, homes=["a", "b"], seed=1)

    async def cancelled():
        protocol = hq.HyperFabricProtocol(fabric, seed=3)
        shot = asyncio.ensure_future(Player(protocol, plan).shot())
        while not protocol.ledger.balance.held:
            await protocol.sleep_ns(500)
        await protocol.sleep_ns(500)
        shot.cancel()
        await asyncio.gather(shot, return_exceptions=True)
        return protocol.ledger.balance

    balance = hq.run(cancelled())
    assert (balance.held, balance.ended) == (0, {hq.entanglement.Fate.EXPIRED: 1})

    apart = hq.Fabric(nodes=fabric.nodes, links=(hq.Link("a", "b", bandwidth_gbps=1, latency_ns=1000),))
    with pytest.raises(NoQuantumPath):
        hq.run(Player(hq.HyperFabricProtocol(apart), plan).shot())


def memories(decode_ns=0.0):
    return Memories(hq.qec.rotated_surface_code(3, 4, p=0.01), decode_ns=decode_ns)


def played(each, latency_ns):
    nodes = [hq.NodeSignature(name, hq.HardwareType.CPU_SERVER, 1000.0, 0.0) for name in ("block", "decoder")]
    link = hq.Link("block", "decoder", bandwidth_gbps=1000.0, latency_ns=latency_ns)

    async def main():
        return await each.play(hq.HyperFabricProtocol(hq.Fabric(nodes=nodes, links=(link,))), "block", "decoder")

    return hq.run(main())


def test_a_memory_waits_for_there_decoding_and_back():
    each = memories(decode_ns=1500.0)
    late = played(each, 1000.0)
    there_ns = [a / 1000 - 1100 * (r + 1) for r, a in enumerate(late.arrived_ps)]
    assert there_ns == pytest.approx([1000 + 84 * 8 / 1000] * 4, abs=1)
    assert late.returned_ps / 1000 - 4400 == pytest.approx(2 * 1000 + 1500, abs=5)
    assert each.wait_rounds(late) == math.ceil(3500 / 1100)


def test_late_memories_fail_as_longer_ones_and_timely_ones_as_without_a_fabric():
    each = memories()
    on_time = Lateness(
        arrived_ps=tuple(1_100_000 * (r + 1) for r in range(4)),
        ready_ps=4_400_000,
        decoded_ps=4_400_000,
        returned_ps=4_400_000,
    )
    found = each.failures([on_time] * 3, 6000, seed=5)
    plain = hq.qec.run_frame(each.experiment, hq.qec.Loop(), 6000, seed=5)
    assert found.errors == plain.errors
    late = Lateness(
        arrived_ps=on_time.arrived_ps, ready_ps=4_400_000, decoded_ps=4_400_000, returned_ps=4_400_000 + 6 * 1_100_000
    )
    ten = hq.qec.run_frame(hq.qec.rotated_surface_code(3, 10, p=0.01), hq.qec.Loop(), 6000, seed=6)
    waited = each.failures([late], 6000, seed=5)
    assert abs(waited.failure.value - ten.failure.value) < 4 * math.hypot(waited.failure.stderr, ten.failure.stderr)
    assert waited.errors > found.errors + 4 * math.sqrt(found.errors)
    with pytest.raises(InvalidValue, match="at least one memory"):
        each.failures([], 100, seed=1)


@pytest.mark.parametrize("rounds", [0, 1, 31, 32, 33, 100, 1000, 4097])
def test_long_waits_are_rounded_up_by_at_most_a_sixteenth(rounds):
    each = memories()
    late = Lateness(arrived_ps=(0,) * 4, ready_ps=0, decoded_ps=0, returned_ps=(4 + rounds) * 1_100_000)
    assert rounds <= each.wait_rounds(late) <= rounds * 17 / 16
    if rounds <= 32:
        assert each.wait_rounds(late) == rounds


def test_keys_come_from_good_pairs_only():
    assert key_rate([], 1.0) == 0
    assert key_rate([(0.7, 0.1, 0.1, 0.1)] * 50, 0.01) == 0
    good = key_rate([(0.98, 0.0, 0.0, 0.02)] * 50, 0.01)
    assert 0 < key_rate([(0.95, 0.0, 0.0, 0.05)] * 50, 0.01) < good < 50 / 0.01 / 2


def point(off, values, **other):
    figures = {name: [value, value + 0.5] for name, value in zip(FIGURES, values, strict=True) if name not in off}
    return Point(
        policy="fifo",
        load=0.5,
        off=off,
        figures=figures,
        pairs={"made": 7, "used": 4, "expired": 2, "left": 1},
        bytes_sent=10,
        bytes_delivered=10,
        digests=("a", "b"),
        **other,
    )


def test_changes_are_taken_run_by_run_so_that_shared_luck_drops_out():
    whole, without = point("", (1, 2, 3, 4)), point("step_ms", (1.5, 2, 0, 3))
    assert change(without, whole, "circuit_fidelity").value == 0.5
    assert change(without, whole, "circuit_fidelity").stderr == 0
    assert mean(whole.figures["circuit_fidelity"]).stderr == pytest.approx(0.25)
    first, second = rows_of([whole, without])
    assert first["circuit_fidelity_change"] is None
    assert (second["key_bits_per_s_change"], second["step_ms"], second["step_ms_change"]) == (-1, None, None)
    assert "pairs made 14" in told([first, second])
    assert whole.reconciled


def test_one_run_has_no_error_bar():
    with pytest.raises(InvalidValue, match="at least two runs"):
        Point(
            policy="", load=0, off="", figures={"step_ms": [1.0]}, pairs={}, bytes_sent=0, bytes_delivered=0, digests=()
        )


# ------------------------------------------------------------------------------------------------------- the whole


def example():
    spec = importlib.util.spec_from_file_location("one_fabric_example", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("policy", ["fabric"])
def test_all_four_share_one_clock_whose_log_an_independent_checker_accepts(policy):
    module = example()
    plan, kept = module.setting()

    async def main(seed):
        protocol = hq.HyperFabricProtocol(module.fabric(), policy=module.POLICIES[policy], keep_events=None, seed=seed)
        run = await module.Tenants(protocol, plan, kept, 1.5e6, seed).play(0.5, "")
        return run, protocol.timeline, protocol.ledger

    run, log, ledger = hq.run(main(2))
    assert log.complete
    assert violations(log) == ()
    assert {each.priority_class for each in log.submissions} >= {0, 1, 4, 5}
    assert min(len(run.shots), len(run.memories), len(run.steps_ns), len(run.key_weights)) > 0
    assert run.pairs["made"] == run.pairs["used"] == len(ledger)
    assert run.sent == run.delivered > 1 << 20
    assert hq.run(main(2))[0].digest == run.digest


@pytest.mark.slow
def test_quick_shows_that_order_decides_and_that_training_costs_the_others(tmp_path):
    done = subprocess.run(
        (sys.executable, "-W", "error", "-B", SCRIPT, "--quick", "--json"),
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        timeout=120,
        env={"PATH": ""},
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    assert list(tmp_path.iterdir()) == []
    rows = {(row["policy"], row["load"], row["off"]): row for row in json.loads(done.stdout)}
    for row in rows.values():
        assert row["pairs_made"] == row["pairs_used"] + row["pairs_expired"] + row["pairs_left"] > 0
        assert row["bytes_sent"] == row["bytes_delivered"] > 0
        for name in FIGURES:
            assert row[name] is None or row[f"{name}_stderr"] > 0
    fifo, fabric = rows["fifo", 0.8, ""], rows["fabric", 0.8, ""]
    assert fifo["circuit_fidelity"] < fabric["circuit_fidelity"] - 0.02
    assert fifo["errors_per_round"] > 2 * fabric["errors_per_round"]
    without = rows["fifo", 0.8, "training"]
    assert without["circuit_fidelity_change"] > 0
    assert without["errors_per_round_change"] < 0
    assert without["step_ms"] is None


def test_the_published_table_reconciles_and_says_by_how_much_each_tenant_costs_the_others():
    with CLAIM.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    module = example()
    whole = {(row["policy"], float(row["load"])): row for row in rows if not row["off"]}
    assert set(whole) == {(policy, load) for policy in module.POLICIES for load in module.LOADS}
    off = {(row["policy"], row["off"]): row for row in rows if row["off"]}
    assert set(off) == {(policy, tenant) for policy in module.POLICIES for tenant in module.TENANTS}
    own = dict(zip(module.TENANTS, FIGURES, strict=True))
    for (policy, tenant), row in off.items():
        for name in FIGURES:
            if name == own[tenant]:
                assert row[name] == row[f"{name}_change"] == ""
            else:
                change_of = float(row[name]) - float(whole[policy, module.COMPARED][name])
                assert float(row[f"{name}_change"]) == pytest.approx(change_of, rel=1e-3, abs=2e-5 * float(row[name]))
                assert float(row[f"{name}_change_stderr"]) >= 0
    for row in rows:
        pairs = {name: int(row[f"pairs_{name}"]) for name in ("made", "used", "expired", "left")}
        assert pairs["made"] == pairs["used"] + pairs["expired"] + pairs["left"]
        assert row["bytes_sent"] == row["bytes_delivered"]
    assert np.diff([float(whole["fifo", load]["circuit_fidelity"]) for load in module.LOADS]).max() < 0
