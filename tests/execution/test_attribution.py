"""Where fidelity is lost: each cause alone against its closed form, and all of them together."""

import json
import math

import numpy as np
import pytest
from qiskit import QuantumCircuit
from qiskit.quantum_info import SuperOp, process_fidelity

from hyperfabric_q.execution.attribution import attribution_of, idle_infidelity
from hyperfabric_q.execution.clock_noise import fresh_noise
from hyperfabric_q.execution.measured import measured
from hyperfabric_q.execution.noise import Noise, relaxation
from hyperfabric_q.execution.run_noise import Idle
from hyperfabric_q.execution.timelines import timelines_of
from hyperfabric_q.fabric import Fabric

HOMES = ["qpu-0", "qpu-1"]
TIMES = {"gate_1q_ns": 100.0, "gate_2q_ns": 300.0, "readout_ns": 1000.0, "reset_ns": 500.0}


def teleported_cx():
    circuit = QuantumCircuit(2, 2)
    circuit.h(0)
    circuit.cx(0, 1)
    circuit.measure([0, 1], [0, 1])
    return circuit


def fabric_of(*, pair=1.0, **figures):
    fabric = Fabric.full([1, 1], communication_qubits=1, pair_fidelity=pair)
    return fabric.replace("nodes.*", **figures) if figures else fabric


def rows(plan_of, **figures):
    table = plan_of(teleported_cx(), fabric_of(**figures), HOMES).run(10, seed=1).attribution
    return {(row.cause, row.where): row for row in table.rows}, table


def test_a_perfect_run_loses_nothing(plan_of):
    found, table = rows(plan_of)
    assert found == {}
    assert table.infidelity == 0
    assert str(table) == "no errors"


def test_a_pair_costs_the_infidelity_of_its_link(plan_of):
    found, table = rows(plan_of, pair=0.93)
    assert list(found) == [("link", "qpu-0--qpu-1")]
    assert table.infidelity == pytest.approx(0.07)
    assert found["link", "qpu-0--qpu-1"].share == 1


def test_misreads_count_protocol_bits_and_results(plan_of):
    found, _ = rows(plan_of, readout_error=0.02)
    # Each node reads one protocol bit and one result.
    assert [row.operations for row in found.values()] == [2, 2]
    assert found["readout", "qpu-0"].infidelity == pytest.approx(1 - 0.98**2)


def test_corrections_count_half(plan_of):
    found, _ = rows(plan_of, gate_error_1q=0.01)
    plan = plan_of(teleported_cx(), fabric_of(), HOMES)
    applied = sum(step.name in {"h", "u", "p", "x"} for step in plan.routed.circuit.data)
    assert sum(row.operations for row in found.values()) == applied + 0.5 * plan.routed.circuit.count_ops()["if_else"]
    # Process infidelity of a gate with an average infidelity r on one qubit: 3 r / 2.
    row = found["gates", "qpu-1"]
    assert row.infidelity == pytest.approx(1 - (1 - 0.015) ** row.operations)


@pytest.mark.parametrize(("t1", "t2"), [(2e-3, 1e-3), (1e-3, 2e-3), (math.inf, 1e-3), (1e-3, 1.2e-3)])
def test_a_wait_costs_the_process_infidelity_of_its_channel(t1, t2):
    channel = relaxation(4e-4, t1, t2)
    assert idle_infidelity(Idle(0, 0, 4e-4, t1, t2)) == pytest.approx(1 - process_fidelity(SuperOp(channel)), abs=1e-9)


def test_waits_of_pairs_and_of_qubits_are_told_apart(plan_of):
    fabric = fabric_of(pair=0.93, **TIMES, t1_us=90.0, t2_us=60.0).replace(
        "links.*", latency_ns=9000.0, pair_rate_hz=1e5
    )
    result = plan_of(teleported_cx(), fabric, HOMES).run(10, seed=1)
    parts = result.attribution.by_cause()
    assert set(parts) == {"link", "wait", "idle"}
    assert parts["link"] == pytest.approx(0.07)
    # A pair is at least as old as its herald when it is used.
    used = result.errors.mean.pair_weights[0, 0]
    assert parts["wait"] == pytest.approx(1 - used / 0.93)
    assert parts["idle"] > 0.05


def test_rows_are_sorted_and_multiply_to_the_whole(plan_of):
    _, table = rows(plan_of, pair=0.95, gate_error_1q=0.002, gate_error_2q=0.01, readout_error=0.02)
    kept = math.prod(1 - row.infidelity for row in table.rows)
    assert table.infidelity == pytest.approx(1 - kept)
    assert sum(row.share for row in table.rows) == pytest.approx(1)
    costs = [row.infidelity for row in table.rows]
    assert costs == sorted(costs, reverse=True)
    assert math.prod(1 - loss for loss in table.by_cause().values()) == pytest.approx(kept)


def test_table_is_json_and_text(plan_of):
    _, table = rows(plan_of, pair=0.95, readout_error=0.02)
    written = json.loads(json.dumps(table.to_dict()))
    assert written["schema"] == "hyperfabric_q/attribution/1"
    assert len(written["rows"]) == len(table.rows)
    lines = str(table).splitlines()
    assert lines[0].split() == ["infidelity", "share", "cause", "where", "operations"]
    assert len(lines) == len(table.rows) + 2
    assert "qpu-0--qpu-1" in str(table)


def test_noise_that_a_run_leaves_out_costs_nothing(plan_of):
    plan = plan_of(teleported_cx(), fabric_of(pair=0.95, readout_error=0.02), HOMES)
    complete, _ = measured(plan)
    for kind, causes in ((Noise.NONE, set()), (Noise.LINKS, {"link"}), (Noise.FABRIC, {"link", "readout"})):
        fresh = fresh_noise(complete, kind)
        assert set(attribution_of(complete, fresh, fresh).by_cause()) == causes


def test_timelines_lose_on_average_what_is_stated_beside_the_rows(plan_of):
    fabric = Fabric.line([1, 1, 1], communication_qubits=2, pair_fidelity=0.95)
    fabric = fabric.replace("nodes.*", t2_us=300.0, readout_error=0.01, readout_ns=1000.0)
    circuit = QuantumCircuit(3)
    circuit.h(range(3))
    circuit.cz(0, 1)
    circuit.cz(1, 2)
    plan = plan_of(circuit, fabric.replace("links.*", latency_ns=500.0, pair_rate_hz=1e4), ["qpu-0", "qpu-1", "qpu-2"])
    complete, _ = measured(plan)
    lines = timelines_of(plan, Noise.FABRIC, wanted=16, shots=100, seed=1)
    fresh = fresh_noise(complete, Noise.FABRIC)
    table = attribution_of(complete, lines.mean, fresh, lines.noises)
    each = [attribution_of(complete, noise, fresh).infidelity for noise in lines.noises]
    assert table.over_timelines == pytest.approx(np.mean(each))
    # Logarithms of all rows add up to the whole; shots that wait long lose much at once, hence less on average.
    assert math.prod(1 - row.infidelity for row in table.rows) == pytest.approx(1 - table.infidelity)
    assert sum(row.share for row in table.rows) == pytest.approx(1)
    assert 0.5 * table.infidelity < table.over_timelines < table.infidelity
    assert attribution_of(complete, lines.mean, fresh).over_timelines == table.infidelity
