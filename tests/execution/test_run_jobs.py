"""Runs in parts: the same result wherever the parts run, whatever a store knows, and as far as an interruption lets."""

import importlib
import os
import signal
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor

import numpy as np
import pytest
from qiskit import ClassicalRegister, QuantumCircuit, QuantumRegister, qpy
from qiskit.circuit import Clbit

from hyperfabric_q.distribution.background import BackgroundPairs
from hyperfabric_q.errors import (
    EndedEarly,
    ExecutorUnreachable,
    InvalidValue,
    SimulationRefused,
    StoreUnreadable,
)
from hyperfabric_q.execution import carried, parts, run
from hyperfabric_q.execution.executors import dask, work
from hyperfabric_q.execution.jobs import task_named
from hyperfabric_q.execution.measured import measured
from hyperfabric_q.execution.payload import pack
from hyperfabric_q.execution.run_noise import Idle, RunNoise
from hyperfabric_q.execution.store import Store
from hyperfabric_q.execution.timelines import Timelines
from hyperfabric_q.fabric import Fabric

HOMES = ["qpu-0", "qpu-0", "qpu-1", "qpu-1"]


def fabric():
    plain = Fabric.full([2, 2], communication_qubits=1, pair_fidelity=0.9)
    errors = {"gate_error_1q": 1e-3, "gate_error_2q": 0.01, "readout_error": 0.02, "t1_us": 300.0, "t2_us": 200.0}
    return plain.replace("nodes.*", **errors).replace("links.*", pair_rate_hz=2e4)


def rotated():
    """Feed-forward on a bit and on a register, a bit of no register, and a register that nothing writes."""
    circuit = QuantumCircuit(QuantumRegister(4, "q"), ClassicalRegister(2, "a"), ClassicalRegister(1, "b"))
    circuit.add_bits([Clbit()])
    circuit.ry(1.0, 0)
    circuit.cx(0, 1)
    circuit.cx(1, 2)
    circuit.cp(0.7, 2, 3)
    circuit.h(3)
    circuit.measure(0, 0)
    with circuit.if_test((circuit.clbits[0], 1)):
        circuit.x(1)
    with circuit.if_test((circuit.cregs[0], 1)):
        circuit.z(2)
    circuit.measure([1, 3], [1, 3])
    return circuit


def ghz(*, measure=True):
    circuit = QuantumCircuit(4, 4 if measure else 0)
    circuit.h(0)
    for qubit in range(3):
        circuit.cx(qubit, qubit + 1)
    if measure:
        circuit.measure(range(4), range(4))
    return circuit


@pytest.fixture(scope="module")
def plans(plan_of):
    return {
        "rotated": plan_of(rotated(), fabric(), HOMES),
        "ghz": plan_of(ghz(), fabric(), HOMES),
        "state": plan_of(ghz(measure=False), fabric(), HOMES),
    }


@pytest.fixture
def counted(monkeypatch):
    """Every part that is run in this process, by its seed."""
    seen = []
    function_of = parts.function_of

    def counting(method):
        def sample(*given, **named):
            seen.append(named["seed"])
            return function_of(method)(*given, **named)

        return sample

    monkeypatch.setattr(parts, "function_of", counting)
    return seen


WAYS = [
    ("rotated", {"method": "dynamic"}),
    ("rotated", {"method": "channel"}),
    ("rotated", {"method": "mps", "noise": "links"}),
    ("rotated", {"method": "mps", "noise": "none"}),
    ("rotated", {"method": "exact", "noise": "none"}),
    ("ghz", {"method": "clifford"}),
    ("state", {"method": "channel", "observables": ["ZZII", "XXXX"]}),
    ("state", {"method": "channel", "observables": "XXXX", "precision": 0.02, "noise": "links"}),
    ("state", {"method": "dynamic", "noise": "links"}),
]


@pytest.mark.parametrize(("name", "options"), WAYS, ids=[f"{each[0]} {each[1]['method']}" for each in WAYS])
def test_a_run_is_the_same_with_and_without_executor_and_store(plans, tmp_path, name, options, counted):
    clock = {} if options.get("noise") else {"timelines": 3}
    given = {"shots": 120, "seed": 5, **clock, **options}
    plain = run(plans[name], **given)
    file = tmp_path / "run.db"
    assert run(plans[name], **given, executor="serial", store=file) == plain
    assert run(plans[name], **given, executor="threads:2") == plain
    before = len(counted)
    again = run(plans[name], **given, executor="dask://127.0.0.1:1", store=str(file))
    assert len(counted) == before
    assert again == plain
    assert again.errors.averaging == plain.errors.averaging
    assert run(plans[name], **{**given, "seed": 6}, store=file) != plain


def test_a_run_is_the_same_on_processes(plans):
    given = {"shots": 90, "seed": 5, "timelines": 3, "method": "channel"}
    with ProcessPoolExecutor(1) as pool:
        assert run(plans["rotated"], **given, executor=pool) == run(plans["rotated"], **given)


@pytest.mark.slow
def test_a_run_is_the_same_on_a_dask_cluster_and_on_the_pool_of_ours(plans):
    distributed = pytest.importorskip("distributed")
    given = {"shots": 400, "seed": 5, "timelines": 20, "method": "dynamic"}
    plain = run(plans["rotated"], **given)
    assert run(plans["rotated"], **given, executor="processes:2") == plain
    with importlib.import_module("dask.config").set({"distributed.deploy.lost-worker-timeout": "1 hour"}):
        local = distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0", silence_logs=50)
        with local, distributed.Client(local, set_as_default=False) as client:
            assert run(plans["rotated"], **given, executor=client) == plain


# -- what travels ------------------------------------------------------------------------------------------------------


def test_what_methods_read_of_a_plan_travels_whole(plans):
    plan, _ = measured(plans["rotated"])
    values = carried.plan_as_values(plan)
    there = carried.plan_from_values(values["circuit"], values["plan"])
    assert there.fabric == plan.fabric
    here = plan.routed.circuit
    assert [step.name for step in there.routed.circuit.data] == [step.name for step in here.data]
    assert sorted(each.name for each in there.routed.circuit.cregs) == sorted(each.name for each in here.cregs)
    for name in ("entry", "exit", "node_of", "places"):
        assert getattr(there.routed, name) == getattr(plan.routed, name)
    assert pack(there.program.to_circuit()).form == pack(plan.program.to_circuit()).form
    for name in ("kind", "first", "second", "angles", "clbit", "condition", "origin"):
        assert np.array_equal(getattr(there.program, name), getattr(plan.program, name))
    assert there.program.conditions == plan.program.conditions
    assert (there.qubits, there.verification.label) == (plan.qubits, plan.verification.label)
    # The emitted circuit and the program share their bits, there as here.
    assert set(there.program.classical.clbits) <= set(there.routed.circuit.clbits)


def test_an_emitted_circuit_travels_to_the_last_gate(plans):
    values = carried.plan_as_values(plans["ghz"])
    there = carried.plan_from_values(values["circuit"], values["plan"])
    assert pack(there.routed.circuit).form == pack(plans["ghz"].routed.circuit).form == values["circuit"].form


def test_errors_travel_to_the_last_bit():
    noise = RunNoise(pair_weights=[[0.1 + 0.2, 0.7, 0.0, 0.0]], idles=(Idle(3, 1, 1e-7 / 3, 3e-4, np.inf),), local=True)
    there = carried.noise_from_values(carried.noise_as_values(noise))
    assert there.pair_weights.tobytes() == noise.pair_weights.tobytes()
    assert (there.idles, there.local) == (noise.idles, noise.local)
    none = carried.noise_from_values(carried.noise_as_values(RunNoise(pair_weights=[], idles=(), local=False)))
    assert none.idles == ()


def test_keys_of_counts_are_spelled_as_before():
    sample = parts.Sample(counts={"01 001": 3, "00 000": 1}, method="m", wires=2)
    assert parts.sample_from_values(parts.sample_as_values(sample), [3, 2]) == sample
    empty = parts.Sample(counts={"": 4}, method="m", wires=2)
    assert parts.sample_from_values(parts.sample_as_values(empty), []) == empty


def test_a_worker_of_another_method_version_says_so(plans, monkeypatch):
    monkeypatch.setitem(parts.__dict__, "VERSIONS", {"dynamic": 1})
    plan, reported = measured(plans["ghz"])
    perfect = Timelines(
        averaging="none",
        noises=(RunNoise(pair_weights=[[1.0, 0, 0, 0]], idles=(), local=False),),
        mean=None,
        makespans_ps=None,
        neglected=0.0,
    )
    ((part,),) = parts.parts_of(plan, perfect, "dynamic", shots=5, seed=1, reported=reported)
    job = part.job({})
    monkeypatch.setitem(parts.__dict__, "VERSIONS", {"dynamic": 2})
    assert part.job({}).key() != job.key()
    with pytest.raises(ExecutorUnreachable, match="version 2 on the worker"):
        task_named("plan_sample").function(job)


# -- batches -----------------------------------------------------------------------------------------------------------


def test_long_timelines_fall_into_batches_of_their_own_seeds(plans, monkeypatch, tmp_path):
    given = {"shots": 101, "seed": 3, "method": "dynamic", "noise": "links"}
    whole = run(plans["rotated"], **given)
    monkeypatch.setattr(parts, "_predicted", lambda plan, noise, method, shots, reported: shots / 10)
    heard = []
    batched = run(plans["rotated"], **given, executor="serial", progress=lambda *told: heard.append(told))
    assert heard[0] == (0, 4, "timelines")
    assert heard[-1] == (4, 4, "timelines")
    assert sum(batched.counts.values()) == 101
    assert batched.counts != whole.counts
    assert run(plans["rotated"], **given, store=tmp_path / "run.db", executor="serial") == batched
    with Store(tmp_path / "run.db") as store:
        rows = list(store.rows())
    assert sorted(sum(row.value()["counts"].values()) for row in rows) == [25, 25, 25, 26]
    assert len({row.seed for row in rows}) == 4


def test_shots_that_cost_nothing_more_are_not_split(plans, monkeypatch):
    monkeypatch.setattr(parts, "_predicted", lambda *_: 60.0)
    heard = []
    run(plans["rotated"], shots=50, seed=3, noise="links", progress=lambda *told: heard.append(told))
    assert heard == [(0, 1, "timelines"), (1, 1, "timelines")]


# -- ended early -------------------------------------------------------------------------------------------------------


def stop_after(count):
    seen = []

    def tell(done, _total, _what):
        seen.append(done)
        if done >= count:
            raise KeyboardInterrupt

    return tell


@pytest.mark.parametrize("where", [{}, {"executor": "serial"}], ids=["here", "jobs"])
def test_an_interruption_returns_what_is_finished_with_the_bars_of_its_shots(plans, where):
    given = {"shots": 800, "seed": 5, "timelines": 8, "method": "channel"}
    whole = run(plans["rotated"], **given)
    with pytest.warns(EndedEarly, match="500 of 800 shots"):
        part = run(plans["rotated"], **given, **where, progress=stop_after(5))
    assert part.interrupted
    assert not whole.interrupted
    assert part.shots == sum(part.counts.values()) == 500
    assert part.clusters == whole.clusters[:5]
    assert part.timelines == 5
    assert part.to_dict()["interrupted"] is True
    key = next(iter(part.counts))
    assert part.probabilities[key].shots == 500
    assert part.probabilities[key].stderr > np.sqrt(0.9 * 0.1 / 800)
    assert "ended early" in str(part)


def test_estimates_of_an_interrupted_run_cover_the_truth_with_wider_bars(plans):
    given = {"shots": 400, "seed": 5, "timelines": 8, "method": "channel", "observables": ["ZZII", "XXXX"]}
    whole = run(plans["state"], **given)
    with pytest.warns(EndedEarly):
        part = run(plans["state"], **given, progress=stop_after(5))
    # Two bases, timeline by timeline: three of the first, two of the second.
    assert [each.shots for each in part.estimates] == [150, 100]
    for early, late in zip(part.estimates, whole.estimates, strict=True):
        assert early.stderr > late.stderr
        assert abs(early.value - late.value) < 5 * np.hypot(early.stderr, late.stderr)


def test_an_interruption_before_anything_is_finished_is_passed_on(plans):
    for more in ({}, {"observables": ["ZZII", "XXXX"]}):
        with pytest.raises(KeyboardInterrupt):
            run(plans["state"], shots=80, seed=5, timelines=4, **more, progress=stop_after(0))
    with pytest.raises(KeyboardInterrupt):  # one basis of two
        run(plans["state"], shots=80, seed=5, timelines=4, observables=["ZZII", "XXXX"], progress=stop_after(1))


def test_an_interruption_inside_a_job_is_no_outcome(plans):
    token = work._INSIDE.set(True)
    try:
        with pytest.raises(KeyboardInterrupt):
            run(plans["rotated"], shots=80, seed=5, timelines=4, progress=stop_after(2))
    finally:
        work._INSIDE.reset(token)


def test_a_store_that_fails_on_the_way_leaves_a_partial_result(plans, tmp_path, monkeypatch):
    put, calls = Store.put, []

    def failing(self, *given):
        calls.append(1)
        if len(calls) == 4:
            raise StoreUnreadable(path=self.path, reason="the disk is full")
        return put(self, *given)

    monkeypatch.setattr(Store, "put", failing)
    with pytest.raises(StoreUnreadable, match="disk is full") as caught:
        run(plans["rotated"], shots=80, seed=5, timelines=8, store=tmp_path / "run.db", executor="serial")
    assert caught.value.partial.shots == 40
    assert caught.value.partial.interrupted


SCRIPT = """
import sys
from dataclasses import replace
from qiskit import qpy
from hyperfabric_q import pipeline
from hyperfabric_q.fabric import Fabric
with open(sys.argv[1], "rb") as file:
    (circuit,) = qpy.load(file)
plan = pipeline.plan(circuit, Fabric.from_file(sys.argv[2]), homes=sys.argv[4].split(), verify="skipped", seed=0)
plan = replace(plan, verification=replace(plan.verification, label="proved"))
plan.run(240, timelines=24, method="dynamic", seed=2, store=sys.argv[3], executor="serial",
         progress=lambda done, total, what: print(done, flush=True))
"""


def test_after_kill_9_nothing_finished_is_run_again(plans, tmp_path, counted):
    circuit, nodes, file = tmp_path / "c.qpy", tmp_path / "f.toml", tmp_path / "run.db"
    with circuit.open("wb") as opened:
        qpy.dump(rotated(), opened)
    nodes.write_text(fabric().to_toml())
    command = [sys.executable, "-c", SCRIPT, str(circuit), str(nodes), str(file), " ".join(HOMES)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as client:
        for line in client.stdout:
            if int(line) >= 6:
                os.kill(client.pid, signal.SIGKILL)
                break
    assert client.wait() == -signal.SIGKILL
    with Store(file) as store:
        finished = len(store)
    assert 5 <= finished < 24
    given = {"shots": 240, "timelines": 24, "method": "dynamic", "seed": 2}
    resumed = run(plans["rotated"], **given, store=file, executor="serial")
    assert len(counted) == len(set(counted)) == 24 - finished
    assert resumed == run(plans["rotated"], **given)


def test_traffic_beside_the_run_makes_it_later_wherever_it_runs(plans, tmp_path):
    beside = [BackgroundPairs(a="qpu-0", b="qpu-1", rate_hz=1e4)]
    given = {"shots": 60, "seed": 5, "timelines": 6, "method": "channel"}
    alone, busy = run(plans["rotated"], **given), run(plans["rotated"], **given, background=beside)
    assert busy.makespan_ns > 1.5 * alone.makespan_ns
    assert run(plans["rotated"], **given, background=beside, store=tmp_path / "run.db", executor="serial") == busy
    with pytest.raises(InvalidValue, match="background"):
        run(plans["rotated"], shots=60, noise="links", background=beside)


# -- what is refused ---------------------------------------------------------------------------------------------------


def test_what_is_no_executor_store_or_progress_is_refused_and_nothing_runs(plans, tmp_path, counted, monkeypatch):
    monkeypatch.setattr(dask, "CONNECT_S", 0.7)
    stranger = tmp_path / "notes.db"
    stranger.write_bytes(b"shopping list" * 100)
    wrong = [
        ({"executor": "ray"}, InvalidValue),
        ({"executor": "dask://127.0.0.1:1"}, ExecutorUnreachable),
        ({"store": 7}, InvalidValue),
        ({"store": stranger}, StoreUnreadable),
        ({"store": tmp_path / "no" / "run.db"}, StoreUnreadable),
        ({"progress": "yes"}, InvalidValue),
        ({"shots": 0}, InvalidValue),
        ({"shots": -3, "store": tmp_path / "new.db"}, InvalidValue),
    ]
    for more, kind in wrong:
        with pytest.raises(kind):
            run(plans["rotated"], **{"shots": 20, "seed": 1, **more})
    assert counted == []
    assert stranger.read_bytes() == b"shopping list" * 100
    assert not (tmp_path / "new.db").exists()


@pytest.mark.parametrize("where", [{}, {"executor": "serial"}], ids=["here", "jobs"])
def test_a_method_that_does_not_fit_names_the_instruction_and_keeps_the_store(plans, tmp_path, where):
    file = tmp_path / "run.db"
    kept = run(plans["rotated"], shots=50, seed=1, timelines=2, method="channel", store=file, **where)
    with pytest.raises(InvalidValue, match=r"\bry\b|\bu\b|\bcp\b|\bp\b"):
        run(plans["rotated"], shots=50, seed=1, timelines=2, method="clifford", store=file, **where)
    with pytest.raises(InvalidValue, match="errors of"):
        run(plans["rotated"], shots=50, seed=1, timelines=2, method="exact", store=file, **where)
    with Store(file) as store:
        assert len(store) == 2
    assert run(plans["rotated"], shots=50, seed=1, timelines=2, method="channel", store=file, **where) == kept


def test_a_precision_out_of_reach_is_refused_and_its_pilot_is_kept(plans, tmp_path):
    given = {"observables": "XXXX", "precision": 1e-7, "seed": 1, "noise": "links", "store": tmp_path / "run.db"}
    with pytest.raises(InvalidValue, match="it would need about"):
        run(plans["state"], **given)
    with Store(tmp_path / "run.db") as store:
        assert len(store) == 1


def test_refusals_come_back_from_workers_as_they_are(plans, monkeypatch):
    def refusing(*_, **__):
        raise SimulationRefused(asked="a", found="b", remedy="c")

    monkeypatch.setattr(parts, "function_of", lambda method: refusing)
    with pytest.raises(SimulationRefused, match=r"a: b\. c"):
        run(plans["ghz"], shots=10, seed=1, executor="serial")
