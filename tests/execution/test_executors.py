"""Executors: the same outcomes everywhere, whatever happens to workers; faults have names and cost nothing else."""

import contextlib
import importlib
import json
import multiprocessing
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from qiskit import QuantumCircuit

from hyperfabric_q.errors import (
    ExecutorUnreachable,
    InternalError,
    InvalidValue,
    JobPoisoned,
    MissingDependency,
    NotEnoughQubits,
    UnknownName,
)
from hyperfabric_q.execution.executors import dask, drive, open_engine, work
from hyperfabric_q.execution.executors.batching import Costs, batch_size
from hyperfabric_q.execution.executors.local import cores
from hyperfabric_q.execution.jobs import Job
from hyperfabric_q.execution.payload import decode, encode, pack
from hyperfabric_q.execution.tasks import sample_job

ON_WORKERS = Path(__file__).parent / "on_workers"
sys.path.insert(0, str(ON_WORKERS))
__import__("trial_tasks")


def draws(count, **arguments):
    return [Job(kind="trial_draw", arguments=arguments, seed=5, path=("cell", place)) for place in range(count)]


def ghz(wires):
    circuit = QuantumCircuit(wires, wires)
    circuit.h(0)
    for wire in range(wires - 1):
        circuit.cx(wire, wire + 1)
    circuit.measure(range(wires), range(wires))
    return circuit


@pytest.fixture(scope="module")
def expected():
    return drive(draws(40), executor="serial").require()


@pytest.fixture(scope="module")
def cluster():
    distributed = pytest.importorskip("distributed")
    # 15 s after a death, a LocalCluster closes that worker for good if it happens to be dead again just then.
    with importlib.import_module("dask.config").set({"distributed.deploy.lost-worker-timeout": "1 hour"}):
        local = distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0", silence_logs=50)
        with local, distributed.Client(local, set_as_default=False) as client:
            yield client


# -- jobs and their bytes ----------------------------------------------------------------------------------------------


def test_values_come_back_as_they_went():
    value = {"a": [1, -0.0, 1e-300, None, True], "$b": {"$$c": "x"}, "d": b"\x00\xff", "e": {"$bytes": "no"}}
    assert decode(encode(value)) == value
    array = np.arange(6, dtype=">i4").reshape(2, 3)
    assert np.array_equal(decode(encode(array)), array)
    assert not decode(encode(array)).flags.writeable
    assert np.isnan(decode(encode(float("nan"))))
    assert encode({"b": 1, "a": np.int64(2)}) == encode({"a": 2, "b": 1})


@pytest.mark.parametrize(
    "value",
    [object(), {1: 2}, {"a": {3}}, 1j, np.array(["text"])],
    ids=["object", "number key", "set", "complex", "text array"],
)
def test_values_that_are_not_plain_are_refused(value):
    with pytest.raises(InvalidValue):
        encode(value)


@pytest.mark.parametrize("data", [b"", b"{", b'{"$bytes": 3}', b'{"$array": []}', b'{"$circuit": "x"}', b"\xff"])
def test_bytes_that_are_no_value_are_a_value_error(data):
    with pytest.raises(ValueError, match=r"."):
        decode(data)


def test_the_key_of_a_job_is_its_content():
    job = Job(kind="trial_draw", arguments={"a": 1.5, "b": [1]}, seed=5, path=("cell", 1), seconds=3)
    same = Job(kind="trial_draw", arguments={"b": (1,), "a": 1.5}, seed=5, path=("cell", 1))
    assert job.key() == same.key() == Job.from_bytes(job.to_bytes()).key()
    others = [
        Job(kind="trial_threads", arguments={"a": 1.5, "b": [1]}, seed=5, path=("cell", 1)),
        Job(kind="trial_draw", arguments={"a": 1.5, "b": [2]}, seed=5, path=("cell", 1)),
        Job(kind="trial_draw", arguments={"a": 1.5, "b": [1]}, seed=6, path=("cell", 1)),
        Job(kind="trial_draw", arguments={"a": 1.5, "b": [1]}, seed=5, path=("cell", "1")),
        Job(kind="trial_draw", arguments={"a": 1.5, "b": [1]}, seed=5, path=("cell", 1), version=2),
        Job(kind="trial_draw", arguments={"a": 1.5, "b": np.array([1])}, seed=5, path=("cell", 1)),
    ]
    assert len({each.key() for each in (job, *others)}) == 7


def noted(angle=0.3, *, value=1, label=None, register="c", definition="cx"):
    circuit = QuantumCircuit(3)
    circuit.add_register(*[type(ghz(1).cregs[0])(2, register)])
    inner = QuantumCircuit(2, name="pair")
    inner.h(0)
    getattr(inner, definition)(0, 1)
    circuit.append(inner.to_gate(), [0, 1])
    circuit.rz(angle, 2)
    circuit.data[-1].operation.label = label
    circuit.measure(0, 0)
    with circuit.if_test((circuit.clbits[0], value)):
        circuit.x(2)
    circuit.unitary(np.eye(2), [0])
    return circuit


def test_equal_circuits_have_one_form_in_every_process():
    assert pack(noted()).form == pack(noted()).form
    named = noted()
    named.name, named.metadata = "another", {"note": 1}
    assert pack(named).form == pack(noted()).form
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); import importlib.util as u;"
        "s = u.spec_from_file_location('t', sys.argv[2]); m = u.module_from_spec(s); s.loader.exec_module(m);"
        "print(m.pack(m.noted()).form)"
    )
    arguments = [sys.executable, "-c", code, str(ON_WORKERS), __file__]
    found = subprocess.run(arguments, capture_output=True, text=True, check=True).stdout.strip()
    assert found == pack(noted()).form


def test_circuits_that_differ_in_anything_have_other_forms():
    forms = [
        pack(noted(*given, **named)).form
        for given, named in [
            ((), {}),
            ((np.nextafter(0.3, 1),), {}),
            ((), {"value": 0}),
            ((), {"register": "d"}),
            ((), {"definition": "cz"}),
        ]
    ]
    assert len(set(forms)) == len(forms)


def test_a_packed_circuit_is_the_circuit():
    packed = decode(encode(pack(noted())))
    circuit = packed.circuit()
    assert pack(circuit).form == packed.form
    assert circuit == noted()
    circuit.x(0)
    assert packed.circuit() == noted()


# -- batches -----------------------------------------------------------------------------------------------------------


def test_tasks_are_worth_their_overhead_and_shrink_towards_the_end():
    # Tasks of at least 1/8 s on 2 slots: long queues make larger tasks, short ones tasks of the least size.
    eighth = {"least_s": 0.125, "slots": 2}
    assert batch_size([1 / 1024] * 512, **eighth) == 128
    assert batch_size([0.125] * 500, **eighth) == 10
    assert batch_size([0.125] * 16, **eighth) == 1
    assert batch_size([5.0, 5.0], **eighth) == 1
    assert batch_size([0.01] * 3, **eighth) == 3
    assert batch_size([None, None], **eighth) == 1
    assert batch_size([0.01, None], **eighth) == 1
    assert batch_size([0.01, 9.0], **eighth) == 1


def test_costs_are_learnt_by_kind_and_scale_the_guesses():
    costs = Costs()
    plain, guessed = draws(1)[0], Job(kind="trial_threads", seconds=2.0)
    assert costs.predict(plain) is None
    assert costs.predict(guessed) == 2.0
    costs.learn(plain, 0.2)
    costs.learn(plain, 0.4)
    costs.learn(guessed, 1.0)
    assert costs.predict(plain) == pytest.approx(0.3)
    assert costs.predict(Job(kind="trial_threads", seconds=6.0)) == pytest.approx(3.0)


# -- the same outcomes everywhere --------------------------------------------------------------------------------------


def test_outcomes_are_the_same_on_every_executor(expected, cluster):
    with ThreadPoolExecutor(3) as threads:
        assert drive(draws(40), executor=threads).require() == expected
    assert drive(draws(40), executor="processes:1").require() == expected
    assert drive(draws(40), executor="threads").require() == expected
    assert drive(draws(40), executor=cluster).require() == expected
    assert drive(draws(40), executor=cluster.get_executor()).require() == expected
    by_address = drive(draws(40), executor=cluster.scheduler.address.replace("tcp", "dask"))
    assert by_address.require() == expected
    assert by_address.executor.startswith("dask://")
    assert cluster.status == "running"


def test_outcomes_do_not_depend_on_the_order_of_the_jobs(expected):
    assert drive(draws(40)[::-1], executor="serial").require() == expected[::-1]


def test_a_circuit_is_sampled_alike_here_and_there(cluster):
    packed = pack(ghz(5))
    jobs = [sample_job(packed, shots=500, seed=3, path=("part", place), seconds=0.01) for place in range(8)]
    here = drive(jobs, executor="serial").require()
    assert here == drive(jobs, executor=cluster).require()
    assert all(set(each["counts"]) == {"0x0", "0x1f"} and sum(each["counts"].values()) == 500 for each in here)
    assert len({each["counts"]["0x0"] for each in here}) > 1


def test_short_jobs_go_to_dask_in_batches(cluster, monkeypatch):
    sent = []
    engine = open_engine(cluster)
    submit = engine.executor.submit
    monkeypatch.setattr(
        engine.executor, "submit", lambda function, batch: sent.append(len(batch)) or submit(function, batch)
    )
    jobs = [Job(kind="trial_draw", seed=1, path=(place,), seconds=0.005) for place in range(200)]
    assert drive(jobs, executor=engine).complete
    assert sum(sent) == 200
    assert len(sent) < 60


def test_equal_jobs_run_once(tmp_path):
    log = tmp_path / "log"
    driven = drive(draws(2, log=str(log)) * 3, executor="serial")
    assert len(log.read_text().split()) == 2
    assert driven.outcomes[0] == driven.outcomes[2] is not driven.outcomes[4]
    assert driven.tries == (1, 1, 0, 0, 0, 0)


# -- faults ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("where", ["serial", "dask"])
def test_an_error_of_one_job_keeps_its_type_and_the_other_outcomes(where, expected, request):
    executor = where if where == "serial" else request.getfixturevalue("cluster")
    wrong = [Job(kind="trial_error", arguments={"typed": typed}) for typed in (True, False)]
    driven = drive([*draws(3), *wrong, Job(kind="trial_unplain")], executor=executor)
    assert driven.outcomes[:3] == expected[:3]
    assert driven.done == (True, True, True, False, False, False)
    assert isinstance(driven.faults[3], NotEnoughQubits)
    assert driven.faults[3].available == {"a": 1}
    assert isinstance(driven.faults[4], InternalError)
    assert "ZeroDivisionError: by nought" in str(driven.faults[4])
    assert isinstance(driven.faults[5], InvalidValue)
    assert driven.tries[3:] == (1, 1, 1)
    with pytest.raises(NotEnoughQubits):
        driven.require()


def starts(log):
    return Counter(log.read_text().split())


@pytest.mark.parametrize("where", [pytest.param("local", marks=pytest.mark.slow), "dask"])
def test_a_job_that_kills_its_workers_is_named_and_all_others_are_kept(where, tmp_path, expected, request):
    executor = "local:2" if where == "local" else request.getfixturevalue("cluster")
    log = tmp_path / "log"
    poison = Job(kind="trial_death", arguments={"log": str(log)}, path=("poison", 7))
    jobs = draws(12, log=str(log))
    driven = drive([*jobs[:5], poison, *jobs[5:]], executor=executor, retries=2)
    plain = drive(jobs, executor="serial").require()
    assert driven.outcomes[:5] + driven.outcomes[6:] == plain
    assert [each["draws"] for each in plain] == [each["draws"] for each in expected[:12]]
    (fault,) = driven.faults.values()
    assert isinstance(fault, JobPoisoned)
    assert fault.job == "trial_death(poison/7)"
    assert fault.key == poison.key()
    assert fault.deaths == starts(log)["poison/7"] == driven.tries[5] == 3
    # The comparison above ran each of the others once more.
    assert max(count - 1 for path, count in starts(log).items() if path != "poison/7") <= 3


def test_a_death_that_does_not_repeat_leaves_no_trace(tmp_path):
    job = Job(kind="trial_one_death", arguments={"mark": str(tmp_path / "mark"), "log": str(tmp_path / "log")})
    driven = drive([*draws(4), job], executor="local:1")
    assert driven.require()[4] == job.subseed()
    assert len((tmp_path / "log").read_text().splitlines()) == driven.tries[4] == 2


def kill_at_random(pids, rng, kills, stop, killed):
    while len(killed) < kills and not stop.wait(rng.uniform(0.2, 0.9)):
        with contextlib.suppress(ValueError, OSError):  # nobody is there just now
            pid = int(rng.choice(pids()))
            os.kill(pid, signal.SIGKILL)
            killed.append(pid)


def check_killing_dask(client, **given):
    client.wait_for_workers(2, timeout=60)
    check_killing(client, lambda: worker_pids(client), **given)


def check_killing(executor, pids, *, kills, count, log, seed):
    jobs = draws(count, sleep=0.05, log=str(log))
    stop, killed = threading.Event(), []
    killer = threading.Thread(target=kill_at_random, args=(pids, np.random.default_rng(seed), kills, stop, killed))
    killer.start()
    try:
        driven = drive(jobs, executor=executor, retries=3)
    finally:
        stop.set()
        killer.join()
    assert len(killed) >= kills / 2
    found = [each["draws"] for each in driven.require()]
    assert found == [[float(x) for x in job.stream().random(3)] for job in jobs]
    assert max(starts(log).values()) <= 4
    assert len(starts(log)) == count


def worker_pids(client):
    # Of running workers only: a worker that dies while it starts may be given up.
    nannies = client.cluster.workers.values()
    return [each.process.pid for each in nannies if each.process and each.process.status.name == "running"]


def test_killing_a_dask_worker_changes_nothing(cluster, tmp_path):
    check_killing_dask(cluster, kills=2, count=40, log=tmp_path / "log", seed=1)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(5))
def test_killing_dask_workers_ten_times_changes_nothing(cluster, tmp_path, seed):
    check_killing_dask(cluster, kills=10, count=240, log=tmp_path / "log", seed=seed)


@pytest.mark.slow
def test_killing_local_workers_changes_nothing(tmp_path):
    engine = open_engine("local:2")

    def pids():
        return [child.pid for child in multiprocessing.active_children() if child.pid]

    try:
        check_killing(engine, pids, kills=6, count=300, log=tmp_path / "log", seed=2)
    finally:
        engine.close()


def test_an_interruption_returns_what_there_is(expected):
    stop = Job(kind="trial_interrupt", arguments={"now": True})
    driven = drive([*draws(3), stop, *draws(6)[3:]], executor="serial")
    assert driven.interrupted
    assert not driven.complete
    assert driven.outcomes == (*expected[:3], None, None, None, None)
    with pytest.raises(KeyboardInterrupt):
        driven.require()


def test_a_script_without_a_main_guard_shares_the_cores_and_ends_at_ctrl_c(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "import signal, sys; sys.path.insert(0, sys.argv[1]); import trial_tasks\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # which what runs in the background lacks
        "from hyperfabric_q.execution.executors import drive\nfrom hyperfabric_q.execution.jobs import Job\n"
        "quick = [Job(kind='trial_threads', path=(n,)) for n in range(4)]\n"
        "long = [Job(kind='trial_draw', path=('long', n), arguments={'sleep': 600}, seconds=600) for n in range(4)]\n"
        "tell = lambda done, total, what: print(done, flush=True)\n"
        "driven = drive(quick + long, executor='local:2', progress=tell)\n"
        "print(driven.interrupted, sum(driven.done), *[each['OMP_NUM_THREADS'] for each in driven.outcomes[:4]])\n"
    )
    arguments = [sys.executable, str(script), str(ON_WORKERS)]
    with subprocess.Popen(
        arguments,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as client:
        while client.stdout.readline().strip() != "4":
            assert client.poll() is None
        os.killpg(client.pid, signal.SIGINT)
        out, err = client.communicate(timeout=20)
    assert out.split() == ["True", "4"] + [str(max(1, cores() // 2))] * 4
    assert err == ""
    assert client.returncode == 0


def test_a_pool_of_the_callers_that_breaks_is_told_of_and_outcomes_are_kept():
    with ProcessPoolExecutor(1) as pool:
        driven = drive([*draws(2), Job(kind="trial_death")], executor=pool)
    assert isinstance(driven.stopped, ExecutorUnreachable)
    assert driven.done == (True, True, False)
    with pytest.raises(ExecutorUnreachable):
        driven.require()


# -- what is refused before anything runs ------------------------------------------------------------------------------


@pytest.mark.parametrize("listens", [False, True], ids=["nobody", "a mute listener"])
def test_an_address_where_no_scheduler_answers_is_told_within_seconds(listens, monkeypatch):
    assert dask.CONNECT_S <= 5
    monkeypatch.setattr(dask, "CONNECT_S", 0.7)
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        if listens:
            held.listen()
        started = time.monotonic()
        with pytest.raises(ExecutorUnreachable, match="no Dask scheduler answered"):
            drive(draws(1), executor=f"dask://127.0.0.1:{held.getsockname()[1]}")
        assert time.monotonic() - started < 4


def test_a_cluster_that_stays_without_workers_is_told_of(cluster, monkeypatch):
    monkeypatch.setattr(dask, "PATIENCE_S", 1.0)
    monkeypatch.setattr(cluster, "nthreads", dict)
    driven = drive(draws(3, sleep=3.0), executor=cluster)
    assert isinstance(driven.stopped, ExecutorUnreachable)
    assert "no worker" in str(driven.stopped)
    assert not any(driven.done)


def test_a_dask_worker_is_no_scheduler(cluster):
    worker = next(iter(cluster.nthreads()))
    with pytest.raises(ExecutorUnreachable, match="a Dask Worker is there"):
        drive(draws(1), executor=worker.replace("tcp", "dask"))


@pytest.mark.parametrize(
    "executor",
    [
        *("dask://", "dask://host", "dask://host:99999", "dask://a b:1", "locale", "local:0", "local:x", "", 4, "ray"),
        *("threads:0", "processes:-1", "threads:5000"),
    ],
)
def test_what_names_no_executor_is_refused(executor):
    with pytest.raises(InvalidValue):
        drive(draws(1), executor=executor)


@pytest.mark.parametrize("retries", [0, -1, 1.5, True, "3", 101])
def test_retries_are_a_whole_number_of_at_least_one(retries):
    with pytest.raises(InvalidValue, match="retries"):
        drive(draws(1), executor="serial", retries=retries)


def test_unknown_tasks_and_wrong_jobs_are_refused():
    with pytest.raises(UnknownName, match="trial_draw"):
        Job(kind="trial_drew")
    for wrong in ({"seed": -1}, {"path": (1.5,)}, {"seconds": -1.0}, {"path": (True,)}):
        with pytest.raises(InvalidValue):
            Job(kind="trial_draw", **wrong)
    with pytest.raises(InvalidValue, match="plain"):
        drive([Job(kind="trial_draw", arguments={"a": object()})], executor="serial")


@pytest.mark.parametrize(("executor", "module"), [("dask://127.0.0.1:8786", "distributed"), ("mpi", "mpi4py.futures")])
def test_a_missing_package_is_named_with_its_extra(executor, module, monkeypatch):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingDependency, match="pip install"):
        drive(draws(1), executor=executor)


def test_little_work_stays_in_this_process():
    assert open_engine(None, jobs=draws(1)).name == "serial"
    assert open_engine(None, jobs=[Job(kind="trial_draw", path=(n,), seconds=0.1) for n in range(9)]).name == "serial"


def test_a_job_starts_no_workers_of_its_own():
    many = [Job(kind="trial_draw", path=(n,), seconds=60.0) for n in range(9)]
    inside = drive(
        [Job(kind="trial_nested", arguments={"jobs": [each.to_bytes() for each in many]})], executor="serial"
    )
    assert inside.require() == ("serial",)
    assert not work.inside_a_job()


def test_no_jobs_are_no_work():
    driven = drive([], executor="dask://127.0.0.1:1")
    assert driven.complete
    assert driven.require() == ()


def test_mpi_workers_return_the_same(expected, tmp_path):
    pytest.importorskip("mpi4py")
    script = tmp_path / "script.py"
    script.write_text(
        "import sys, json; sys.path.insert(0, sys.argv[1]); import trial_tasks\n"
        "from hyperfabric_q.execution.executors import drive\nfrom hyperfabric_q.execution.jobs import Job\n"
        "jobs = [Job(kind='trial_draw', seed=5, path=('cell', n)) for n in range(40)]\n"
        "print(json.dumps(drive(jobs, executor='mpi').require()))\n"
    )
    command = ["mpiexec", "-n", "3", sys.executable, "-m", "mpi4py.futures", str(script), str(ON_WORKERS)]
    try:
        found = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    except FileNotFoundError:
        pytest.skip("mpiexec is not installed")
    assert json.loads(found.stdout) == list(expected)
