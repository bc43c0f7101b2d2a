"""A sweep is what single runs say, in one table; nothing is done twice, and no point takes others with it."""

import csv
import importlib
import json
import math
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from qiskit import QuantumCircuit
from qiskit.quantum_info import SparsePauliOp

from hyperfabric_q.errors import (
    EndedEarly,
    InvalidValue,
    MissingDependency,
    NotEnoughQubits,
    StoreUnreadable,
    UnknownName,
)
from hyperfabric_q.execution.store import Store
from hyperfabric_q.fabric import Fabric
from hyperfabric_q.pipeline import plan
from hyperfabric_q.sweeping import Sweep, sweep
from hyperfabric_q.sweeping import point as point_module

FIDELITY, RATE = "links.*.pair_fidelity", "links.*.pair_rate_hz"


def bell():
    circuit = QuantumCircuit(2)
    circuit.h(0)
    circuit.cx(0, 1)
    return circuit


def ring(qubits, *, measured=False):
    circuit = QuantumCircuit(qubits)
    circuit.h(range(qubits))
    for qubit in range(qubits):
        circuit.rzz(0.9, qubit, (qubit + 1) % qubits)
    circuit.rx(0.8, range(qubits))
    if measured:
        circuit.measure_all()
    return circuit


@pytest.fixture(scope="module")
def pair():
    """Two nodes of one qubit each, and nothing wrong but the link."""
    return Fabric.line([1, 1], pair_fidelity=0.9)


@pytest.fixture(scope="module")
def noisy():
    """Two nodes of two qubits each, with errors of every kind."""
    fabric = Fabric.line([2, 2], communication_qubits=2, pair_fidelity=0.95)
    errors = {"t1_us": 1e5, "t2_us": 5e4, "gate_error_2q": 1e-3, "readout_error": 2e-3}
    return fabric.replace("nodes.*", **errors).replace("links.*", pair_rate_hz=1e4)


def timeless(table):
    return [{name: value for name, value in row.items() if name != "seconds"} for row in table]


def same(first, second):
    assert first.columns == second.columns
    np.testing.assert_equal(timeless(first), timeless(second))


# -- what the rows say -------------------------------------------------------------------------------------------------


def test_a_teleported_bell_pair_keeps_the_correlation_that_theory_says(pair):
    fidelities = [0.55, 0.7, 0.85, 1.0]
    table = sweep(bell(), pair, {FIDELITY: fidelities}, observables=["ZZ", "XX"], shots=4000, seed=5)
    expected = 1 - 4 * (1 - np.array(fidelities)) / 3
    for name in ("estimate_0", "estimate_1"):
        misses = np.abs(table.column(name) - expected)
        assert (misses <= 4 * table.column(f"{name}_stderr") + 1e-12).all()
    assert list(table.column(FIDELITY)) == fidelities
    assert set(table.column("ebits")) == {1}


def test_a_point_is_the_single_run_of_its_seed_bit_for_bit(noisy):
    circuit = ring(4, measured=True)
    table = sweep(circuit, noisy, {FIDELITY: [0.8, 0.9], RATE: [1e4, 1e5]}, shots=300, seed=11, metric="fidelity")
    assert len(table) == 4
    for row in table:
        fabric = noisy.replace("links.*", pair_fidelity=row[FIDELITY], pair_rate_hz=row[RATE])
        result = plan(circuit, fabric, seed=11).run(shots=300, method=row["method"], seed=11)
        assert (row["fidelity"], row["fidelity_stderr"]) == (
            result.measured_fidelity.value,
            result.measured_fidelity.stderr,
        )
        assert row["fidelity_kind"] == "hellinger"
        assert row["makespan_ns"] == result.shot_ns.mean
        assert row["ebits"] == result.plan.ebits


def test_points_equal_independent_single_runs_within_two_sigma(noisy):
    circuit, energy = ring(4), SparsePauliOp.from_sparse_list([("ZZ", [q, (q + 1) % 4], 1.0) for q in range(4)], 4)
    table = sweep(circuit, noisy, {FIDELITY: [0.7, 0.85, 0.98]}, observables=energy, shots=2000, seed=1)
    for row in table:
        alone = plan(circuit, noisy.replace("links.*", pair_fidelity=row[FIDELITY]), seed=2)
        (estimate,) = alone.run(shots=2000, observables=energy, seed=3).estimates
        bar = math.hypot(estimate.stderr, row["estimate_0_stderr"])
        assert abs(row["estimate_0"] - estimate.value) < 2 * bar


def test_differences_between_points_scatter_far_less_than_those_of_independent_runs(noisy):
    circuit, seeds = ring(4), range(10)

    def differences(noise, method):
        rows = []
        for seed in seeds:
            table = sweep(
                circuit,
                noisy,
                {FIDELITY: [0.90, 0.93]},
                observables="IIZZ",
                shots=400,
                noise=noise,
                method=method,
                time_limit_s=0,
                verify="skipped",
                seed=seed,
            )
            rows.append(table.column("estimate_0"))
        low, high = np.array(rows).T
        return np.var(high - low, ddof=1), np.var(low, ddof=1) + np.var(high, ddof=1)

    for noise, method in (("links", "channel"), ("fabric", "dynamic")):
        common, independent = differences(noise, method)
        assert common < independent / 5


def test_twice_the_rate_waits_half_as_long_exactly():
    fabric = Fabric.line([1, 1], pair_fidelity=0.9).replace("links.*", pair_rate_hz=1.0, pair_attempt_ns=1.0)
    table = sweep(bell(), fabric, {RATE: [1e3, 2e3, 4e3]}, metric="makespan", seed=2)
    times = table.column("makespan_ns")
    # Gates and messages take the same time everywhere; waits are equal up to whole attempts.
    assert (times[0] - times[1]) / (times[1] - times[2]) == pytest.approx(2.0, rel=1e-5)
    assert times[0] == pytest.approx(1e6, rel=0.1)
    assert (table.column("makespan_p50_ns") < times).all()
    assert (times < table.column("makespan_p99_ns")).all()


def test_loss_is_told_without_shots_and_by_cause(noisy):
    table = sweep(ring(4), noisy, {FIDELITY: [0.8, 0.9]}, metric=["infidelity", "attribution"], noise="links", seed=1)
    for row in table:
        assert row["infidelity_link"] == pytest.approx(1 - row[FIDELITY] ** row["ebits"], rel=1e-9)
        assert row["infidelity"] == pytest.approx(row["infidelity_link"], rel=1e-9)
        assert row["infidelity_gates"] == row["infidelity_idle"] == 0
        assert row["method"] == ""


def test_the_fidelity_is_predicted_where_the_ideal_is_out_of_reach():
    circuit = QuantumCircuit(24)
    circuit.h(0)
    for qubit in range(23):
        circuit.cx(qubit, qubit + 1)
    fabric = Fabric.line([12, 12], pair_fidelity=0.9)
    (row,) = sweep(circuit, fabric, [{}], time_limit_s=0, seed=1)
    assert row["fidelity_kind"].startswith("predicted")
    assert row["fidelity_low"] <= row["fidelity"] <= row["fidelity_high"]
    assert math.isnan(row["fidelity_stderr"])
    with pytest.raises(InvalidValue, match="out of reach"):
        sweep(circuit, fabric, [{}], metric="measured_fidelity", time_limit_s=0, seed=1)


def test_options_of_the_run_are_swept_like_the_fabric(pair):
    points = {"shots": [400, 6400], "noise": ["none", "links"]}
    table = sweep(bell(), pair, points, observables="ZZ", seed=3)
    bars = table.column("estimate_0_stderr")[[1, 3]]
    assert bars[0] / bars[1] == pytest.approx(4, rel=0.15)
    assert (table.column("estimate_0")[[0, 2]] == 1).all()


# -- plans -------------------------------------------------------------------------------------------------------------


def test_one_plan_serves_all_points_that_its_objective_cannot_tell_apart(noisy, monkeypatch):
    made = []
    original = point_module.make_plan
    monkeypatch.setattr(point_module, "make_plan", lambda *a, **k: made.append(k) or original(*a, **k))
    circuit, points = ring(4), {FIDELITY: [0.8, 0.9], "nodes.*.t1_us": [1e5, 2e5]}
    shared = sweep(circuit, noisy, points, metric="infidelity", executor="serial", seed=21)
    assert len(made) == 1
    apart = sweep(circuit, noisy, points, metric="infidelity", plans="anew", executor="serial", seed=21)
    assert len(made) == 1 + 4
    same(shared, apart)
    assert shared.plans == 1


def test_no_point_fails_because_of_another(noisy):
    table = sweep(
        ring(4), noisy, [{FIDELITY: 0.5}, {FIDELITY: 0.9}, {FIDELITY: 1.5}, {"nodes.qpu-0.compute_units": 1}], seed=1
    )
    assert sorted(table.failed) == [0, 2, 3]
    assert isinstance(table.failed[3], NotEnoughQubits)
    assert [row["error"] is None for row in table] == [False, True, False, False]
    assert "entangle" in table[0]["error"]
    assert np.isnan(table.column("fidelity")).tolist() == [True, False, True, True]
    assert not table.complete


def test_a_plan_that_is_kept_is_refused_where_it_does_not_fit(noisy):
    smaller = {"links.qpu-0--qpu-1.pair_fidelity": None, "links.qpu-0--qpu-1.pair_rate_hz": None}
    table = sweep(ring(4), noisy, [{}, smaller], metric="ebits", plans="reuse", seed=1)
    assert isinstance(table.failed[1], InvalidValue)
    assert "does not fit" in table[1]["error"]


# -- stores, executors, interruptions ----------------------------------------------------------------------------------


def test_finished_points_are_not_run_again_even_when_the_sweep_grows(noisy, tmp_path):
    path = tmp_path / "run.db"
    first = sweep(ring(4), noisy, {FIDELITY: [0.8, 0.9]}, metric="infidelity", store=path, seed=4)
    again = sweep(ring(4), noisy, {FIDELITY: [0.8, 0.9]}, metric="infidelity", store=path, seed=4)
    same(first, again)
    assert again.executor == "store"
    assert np.isnan(again.column("seconds")).all()
    grown = sweep(ring(4), noisy, {FIDELITY: [0.7, 0.8, 0.85, 0.9]}, metric="infidelity", store=path, seed=4)
    assert np.isnan(grown.column("seconds")).tolist() == [False, True, False, True]
    assert timeless(grown)[1] == timeless(first)[0]
    other = sweep(ring(4), noisy, {FIDELITY: [0.8]}, metric="infidelity", store=path, seed=5)
    assert other.executor == "serial"
    with Store(path) as store:
        assert len(store) == 5


@pytest.mark.slow
def test_processes_say_the_same_as_one(noisy):
    points = {FIDELITY: [0.8, 0.9, 0.95], RATE: [1e4, 1e5]}
    metrics = ["fidelity", "infidelity"]
    here = sweep(ring(4), noisy, points, metric=metrics, shots=200, executor="serial", seed=8)
    there = sweep(ring(4), noisy, points, metric=metrics, shots=200, executor="local:2", seed=8)
    same(here, there)
    assert (here.executor, there.executor) in {("serial", "local"), ("serial", "local:2")}


KILLED = """
import sys
from qiskit import QuantumCircuit
from hyperfabric_q.fabric import Fabric
from hyperfabric_q.sweeping import sweep

circuit = QuantumCircuit(2)
circuit.h(0)
circuit.cx(0, 1)
fabric = Fabric.line([1, 1], pair_fidelity=0.9)
rates = [1e3 + each for each in range(int(sys.argv[2]))]
path = "links.*.pair_rate_hz"
sweep(circuit, fabric, {path: rates}, metric="makespan", executor="serial", store=sys.argv[1], seed=6)
"""


@pytest.mark.slow
def test_what_was_finished_before_a_kill_stays_finished(pair, tmp_path):
    path, points = tmp_path / "run.db", 2000
    with subprocess.Popen([sys.executable, "-c", KILLED, str(path), str(points)]) as child:
        until = time.monotonic() + 60
        while time.monotonic() < until and child.poll() is None:
            time.sleep(0.05)
            if path.exists() and path.with_name("run.db-wal").exists():
                with Store(path) as store:
                    if len(store) >= 5:
                        break
        os.kill(child.pid, signal.SIGKILL)
    with Store(path) as store:
        finished = len(store)
    assert 5 <= finished < points
    rates = [1e3 + each for each in range(finished + 3)]
    table = sweep(bell(), pair, {RATE: rates}, metric="makespan", executor="serial", store=path, seed=6)
    assert table.complete
    assert np.isnan(table.column("seconds")).sum() == finished
    few = [0, finished - 1, finished + 2]
    fresh = sweep(bell(), pair, {RATE: [rates[each] for each in few]}, metric="makespan", seed=6)
    assert [timeless(table)[each] for each in few] == timeless(fresh)


def test_an_interruption_keeps_the_rows_that_are_finished(noisy):
    told = []

    def stop(done, total, what):
        told.append((done, total, what))
        if done == 3:
            raise KeyboardInterrupt

    points = {FIDELITY: [0.7, 0.75, 0.8, 0.85, 0.9]}
    with pytest.warns(EndedEarly, match="2 points were not run"):
        table = sweep(ring(4), noisy, points, metric="infidelity", executor="serial", progress=stop, seed=1)
    assert table.interrupted
    assert [row["error"] for row in table] == [None] * 3 + ["not run"] * 2
    assert told == [(each, 5, "points") for each in range(4)]


def test_progress_counts_every_point_once(noisy, tmp_path):
    path, points = tmp_path / "run.db", {FIDELITY: [0.7, 0.8, 0.8, 0.9]}
    for told in ([], []):
        tell = told.append
        sweep(
            ring(4),
            noisy,
            points,
            metric="infidelity",
            store=path,
            progress=lambda *each, tell=tell: tell(each[:2]),
            seed=1,
        )
        assert told[0] == (0, 4)
        assert told[-1] == (4, 4)
        assert told == sorted(told)


# -- refusals ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"metric": "beauty"}, UnknownName, "beauty"),
        ({"metric": []}, InvalidValue, "one or several"),
        ({"metric": "estimates"}, InvalidValue, "give both or none"),
        ({"metric": "ebits", "observables": "ZZ"}, InvalidValue, "give both or none"),
        ({"plans": "sometimes"}, InvalidValue, "'auto', 'reuse', 'anew'"),
        ({"shots": 0}, InvalidValue, "shots"),
        ({"shots": "many", "metric": "infidelity"}, InvalidValue, "shots"),
        ({"noise": "loud"}, InvalidValue, "noise is one of"),
        ({"noise": 5, "metric": "infidelity"}, InvalidValue, "noise is one of"),
        ({"timelines": 0, "metric": "infidelity"}, InvalidValue, "timelines"),
        ({"method": "magic"}, InvalidValue, "method"),
        ({"objective": "beauty"}, UnknownName, "beauty"),
        ({"homes": 5}, InvalidValue, "homes"),
        ({"homes": ["qpu-0", "qpu-0"]}, InvalidValue, "homes"),
        ({"seed": -1}, InvalidValue, "seed"),
        ({"executor": "nowhere"}, InvalidValue, "executor"),
        ({"progress": 5}, InvalidValue, "progress"),
        ({"observables": "ZZZ"}, InvalidValue, "acts on 3 qubits"),
    ],
)
def test_what_is_wrong_everywhere_is_refused(pair, options, error, text):
    with pytest.raises(error, match=text):
        sweep(bell(), pair, {FIDELITY: [0.9, 0.95]}, **({"seed": 1} | options))


def test_a_store_that_is_none_is_refused_and_left_alone(pair, tmp_path):
    path = tmp_path / "notes.txt"
    path.write_text("not a store")
    with pytest.raises(StoreUnreadable):
        sweep(bell(), pair, {FIDELITY: [0.9]}, store=path, seed=1)
    assert path.read_text() == "not a store"


# -- the table ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def table(noisy):
    return sweep(ring(4), noisy, {FIDELITY: [0.8, 1.5], "shots": [50, 60]}, metric="infidelity", seed=12)


def test_columns_are_arrays_of_the_fitting_kind(table):
    assert table.columns[:2] == table.paths == (FIDELITY, "shots")
    assert table.column("shots").dtype.kind == "i"
    assert table.column("infidelity").dtype.kind == "f"
    assert np.isnan(table.column("infidelity")).tolist() == [False, False, True, True]
    assert table.column("error").dtype == object
    assert set(table.column("seed")) == {12}
    with pytest.raises(UnknownName, match="infidelity"):
        table.column("infidelty")


def test_the_csv_file_has_every_digit(table, tmp_path):
    table.to_csv(tmp_path / "table.csv")
    rows = list(csv.DictReader((tmp_path / "table.csv").read_text().splitlines()))
    assert tuple(rows[0]) == table.columns
    assert [float(row["infidelity"]) for row in rows[:2]] == table.column("infidelity")[:2].tolist()
    assert rows[2]["infidelity"] == ""
    assert "pair_fidelity" in rows[2]["error"]
    with pytest.raises(InvalidValue, match="cannot be written"):
        table.to_csv(tmp_path / "no" / "table.csv")


def test_the_table_is_json(table):
    told = json.loads(json.dumps(table.to_dict(), allow_nan=False))
    assert told["schema"] == "hyperfabric_q/sweep/1"
    assert [row[0] for row in told["rows"]] == [0.8, 0.8, 1.5, 1.5]


def test_people_can_read_it(table):
    assert repr(table) == f"<Sweep: 4 points over {FIDELITY}, shots, 2 failed; 1 plan, seed 12>"
    assert len(str(table).splitlines()) == 5
    hostile = Sweep(
        paths=("<b>",),
        columns=("<b>", "error"),
        rows=({"<b>": "<script>", "error": None},) * 50,
        failed={},
        seed=1,
        executor="serial",
        seconds=0.0,
    )
    assert "<script>" not in hostile._repr_html_()
    assert "and 10 more" in hostile._repr_html_()


def test_a_frame_needs_pandas(table, monkeypatch):
    def missing(name):
        raise ImportError(name)

    with monkeypatch.context() as patch:
        patch.setattr(importlib, "import_module", missing)
        with pytest.raises(MissingDependency, match="pandas"):
            table.frame()
    pytest.importorskip("pandas")
    frame = table.frame()
    assert list(frame.columns) == list(table.columns)
    assert frame["infidelity"].iloc[0] == table[0]["infidelity"]
