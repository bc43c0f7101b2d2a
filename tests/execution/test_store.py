"""The store: what was finished stays finished, through kill -9 and beside other processes; strangers are refused."""

import csv
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from hyperfabric_q.errors import HyperFabricWarning, InvalidValue, StoreUnreadable
from hyperfabric_q.execution import store_schema
from hyperfabric_q.execution.executors import drive
from hyperfabric_q.execution.jobs import Job
from hyperfabric_q.execution.payload import encode
from hyperfabric_q.execution.store import Store
from hyperfabric_q.execution.store_export import export

ON_WORKERS = Path(__file__).parent / "on_workers"
sys.path.insert(0, str(ON_WORKERS))
__import__("trial_tasks")


def draws(count, **arguments):
    return [Job(kind="trial_draw", arguments=arguments, seed=5, path=("cell", place)) for place in range(count)]


@pytest.fixture
def file(tmp_path):
    return tmp_path / "run.db"


@pytest.fixture
def filled(file):
    with Store(file) as store:
        drive(draws(20), executor="serial", store=store)
    return file


def test_what_stands_in_the_store_is_not_run_again(file, tmp_path):
    log = tmp_path / "log"
    with Store(file) as store:
        first = drive(draws(6, log=str(log)), executor="serial", store=store)
    with Store(file) as store:
        assert len(store) == 6
        again = drive(draws(9, log=str(log)), executor="serial", store=store)
    assert again.outcomes[:6] == first.require()
    assert again.tries == (0,) * 6 + (1,) * 3
    assert set(Counter(log.read_text().split()).values()) == {1}
    with Store(file) as store:
        assert drive(draws(9, log=str(log)), executor="dask://127.0.0.1:1", store=store).executor == "store"


def test_a_job_that_differs_in_anything_is_not_taken_for_another(filled):
    with Store(filled) as store:
        (job, *_) = draws(1)
        assert store.find([job.key()]).keys() == {job.key()}
        for change in ({"seed": 6}, {"version": 2}, {"path": ("cell", 99)}, {"arguments": {"sleep": 0.0}}):
            fields = {"kind": job.kind, "arguments": job.arguments, "seed": job.seed, "path": job.path} | change
            assert store.find([Job(**fields).key()]) == {}


def test_every_plain_outcome_comes_back_alike(file):
    value = {"counts": {"0x0": 5}, "raw": b"\x00\xff", "array": np.eye(2), "nan": float("inf")}
    (job,) = draws(1)
    with Store(file) as store:
        assert store.put(job, encode(value), 0.5)
    with Store(file) as store:
        (row,) = store.rows()
        assert row.outcome == encode(value)
        assert np.array_equal(row.value()["array"], np.eye(2))
        assert (row.kind, row.seed, row.path, row.seconds) == ("trial_draw", 5, ("cell", 0), 0.5)


def test_errors_and_unfinished_jobs_are_not_stored(file):
    with Store(file) as store:
        wrong = Job(kind="trial_error", arguments={"typed": True})
        stop = Job(kind="trial_interrupt", arguments={"now": True})
        assert drive([*draws(2), wrong, stop, *draws(9)], executor="serial", store=store).interrupted
        assert len(store) == 2


def test_the_first_outcome_stays_and_another_one_is_told_of(file):
    (job,) = draws(1)
    with Store(file) as store:
        assert store.put(job, encode(1), 0.0)
        assert store.put(job, encode(1), 0.0)
        assert not store.put(job, encode(2), 0.0)
        assert store.find([job.key()]) == {job.key(): encode(1)}


def test_an_outcome_that_changes_is_a_warning(file, monkeypatch):
    with Store(file) as store:
        monkeypatch.setattr(Store, "find", lambda self, keys: {})
        drive(draws(1), executor="serial", store=store)
        monkeypatch.undo()
        monkeypatch.setattr(Store, "put", lambda self, *_: False)
        with pytest.warns(HyperFabricWarning, match="not a function of its arguments"):
            assert drive(draws(2)[1:], executor="serial", store=store).complete


SCRIPT = """
import sys
sys.path.insert(0, sys.argv[1])
import trial_tasks
from hyperfabric_q.execution.executors import drive
from hyperfabric_q.execution.jobs import Job
from hyperfabric_q.execution.store import Store
file, log, executor, count, sleep = sys.argv[2], sys.argv[3], sys.argv[4], int(sys.argv[5]), float(sys.argv[6])
jobs = [Job(kind="trial_draw", seed=5, path=("cell", place), arguments={"log": log, "sleep": sleep}, seconds=sleep)
        for place in range(count)]
threads = [Job(kind="trial_threads")]
with Store(file) as store:
    driven = drive(threads + jobs, executor=executor, store=store,
                   progress=lambda done, total, what: print(done, flush=True))
    print("pid", driven.outcomes[0]["pid"], sum(driven.tries))
"""


def client(tmp_path, *arguments):
    script = tmp_path / "client.py"
    script.write_text(SCRIPT)
    command = [sys.executable, str(script), str(ON_WORKERS), *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"
    except OSError:
        return False


def check_kill_and_resume(tmp_path, file, *, executor, count, after, sleep):
    log = tmp_path / "log"
    with client(tmp_path, file, log, executor, count, sleep) as first:
        for line in first.stdout:
            if int(line) >= after:
                os.kill(first.pid, signal.SIGKILL)
                break
    assert first.wait() == -signal.SIGKILL
    with Store(file) as store:
        finished = [row for row in store.rows() if row.kind == "trial_draw"]
        (worker,) = [row.value()["pid"] for row in store.rows() if row.kind == "trial_threads"]
        assert after - 1 <= len(finished) < count
        until = time.monotonic() + 10
        while alive(worker) and time.monotonic() < until:
            time.sleep(0.02)
        assert not alive(worker)
        before = Counter(log.read_text().split())
        jobs = draws(count, log=str(log), sleep=sleep)
        resumed = drive(jobs, executor="serial", store=store)
    new = Counter(log.read_text().split())
    new.subtract(before)
    done = {"/".join(map(str, row.path)) for row in finished}
    assert all(new[path] == 0 for path in done)
    assert resumed.tries.count(0) == len(done)
    assert [each["draws"] for each in resumed.require()] == [[float(x) for x in job.stream().random(3)] for job in jobs]


def test_after_kill_9_nothing_finished_is_run_again_and_no_worker_is_left(tmp_path, file):
    check_kill_and_resume(tmp_path, file, executor="local:1", count=30, after=9, sleep=0.02)


@pytest.mark.slow
@pytest.mark.parametrize("after", range(2, 60, 6))
def test_kill_9_at_any_time_loses_nothing(tmp_path, file, after):
    check_kill_and_resume(tmp_path, file, executor="local:2", count=70, after=after, sleep=0.02)


@pytest.mark.slow
@pytest.mark.parametrize("after", [3, 17, 40])
def test_kill_9_of_the_client_of_a_dask_cluster_loses_nothing(tmp_path, file, after):
    distributed = pytest.importorskip("distributed")
    with (
        distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0", silence_logs=50) as local,
        distributed.Client(local, set_as_default=False) as workers,
    ):
        log = tmp_path / "log"
        address = local.scheduler_address.replace("tcp", "dask")
        with client(tmp_path, file, log, address, 60, 0.1) as first:
            for line in first.stdout:
                if int(line) >= after:
                    os.kill(first.pid, signal.SIGKILL)
                    break
        with Store(file) as store:
            done = {"/".join(map(str, row.path)) for row in store.rows() if row.kind == "trial_draw"}
            assert after - 1 <= len(done) < 60
            before = Counter(log.read_text().split())
            jobs = draws(60, log=str(log), sleep=0.1)
            resumed = drive(jobs, executor=workers, store=store)
        assert resumed.tries.count(0) == len(done)
        new = Counter(log.read_text().split())
        assert all(new[path] <= 1 for path in done)
        # What the dead client had handed over, a few batches, may still end on the workers; nobody hears of it.
        assert sum(new.values()) - sum(before.values()) <= 60 - len(done) + 16
        assert max(new.values()) <= 4
        expected = [[float(x) for x in job.stream().random(3)] for job in jobs]
        assert [each["draws"] for each in resumed.require()] == expected


def test_two_processes_share_a_store_and_share_the_work(tmp_path, file):
    log = tmp_path / "log"
    with client(tmp_path, file, log, "serial", 30, 0.03) as one, client(tmp_path, file, log, "serial", 30, 0.03) as two:
        assert [each.communicate(timeout=60)[0].splitlines()[-1].split()[0] for each in (one, two)] == ["pid", "pid"]
    assert (one.returncode, two.returncode) == (0, 0)
    with Store(file) as store:
        assert len(store) == 31
        assert drive(draws(30, log=str(log), sleep=0.03), executor="serial", store=store).tries == (0,) * 30
    assert set(Counter(log.read_text().split()).values()) <= {1, 2}


# -- what is refused ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("content", [b"not a database at all" * 50, b"x", b"SQLite format 3\x00" + b"\xff" * 4096])
def test_a_file_that_is_no_database_is_refused_and_left_as_it_is(file, content):
    file.write_bytes(content)
    with pytest.raises(StoreUnreadable):
        Store(file)
    assert file.read_bytes() == content


def test_a_database_of_another_program_is_refused_and_left_as_it_is(file):
    with sqlite3.connect(file) as other:
        other.execute("CREATE TABLE outcome (key TEXT)")
    other.close()
    content = file.read_bytes()
    with pytest.raises(StoreUnreadable, match="another program"):
        Store(file)
    assert file.read_bytes() == content


def altered(file, *statements):
    connection = sqlite3.connect(file)
    with connection:
        for statement in statements:
            connection.execute(statement)
    connection.close()


def test_a_newer_store_is_refused_with_both_versions(filled):
    altered(filled, "PRAGMA user_version = 7")
    with pytest.raises(StoreUnreadable, match="version 7, this package knows version 1"):
        Store(filled)


def test_an_older_store_is_migrated_or_refused(filled, monkeypatch):
    altered(filled, "PRAGMA user_version = 0", "ALTER TABLE outcome RENAME COLUMN seconds TO took")
    with pytest.raises(StoreUnreadable, match="nothing leads from its version 0 to 1"):
        Store(filled)
    monkeypatch.setattr(store_schema, "MIGRATIONS", {0: ("ALTER TABLE outcome RENAME COLUMN took TO seconds",)})
    with Store(filled) as store:
        assert len(list(store.rows())) == 20
    monkeypatch.undo()
    with Store(filled) as store:
        assert len(store) == 20


def test_a_store_without_its_table_is_refused(filled):
    altered(filled, "ALTER TABLE outcome RENAME TO something")
    with pytest.raises(StoreUnreadable, match="no table of outcomes"):
        Store(filled)


def test_a_damaged_outcome_is_found_by_its_check_sum(filled):
    (job, *_) = draws(1)
    altered(filled, "UPDATE outcome SET outcome = x'7b7d'")
    with Store(filled) as store:
        with pytest.raises(StoreUnreadable, match=f"job {job.key()[:12]} is damaged"):
            store.find([job.key()])
        with pytest.raises(StoreUnreadable):
            list(store.rows())
        with pytest.raises(StoreUnreadable):
            drive(draws(3), executor="serial", store=store)


def test_a_file_with_random_damage_is_refused_or_answers_right(filled):
    whole = filled.read_bytes()
    truth = drive(draws(20), executor="serial").require()
    rng = np.random.default_rng(4)
    refused = 0
    for _ in range(40):
        data = bytearray(whole)
        place = int(rng.integers(len(data)))
        data[place : place + 64] = rng.bytes(len(data[place : place + 64]))
        for rest in filled.parent.glob("run.db-*"):
            rest.unlink()
        filled.write_bytes(data)
        try:
            with Store(filled) as store:
                assert drive(draws(20), executor="serial", store=store).require() == truth
        except StoreUnreadable:
            refused += 1
    assert refused >= 5


def test_places_where_no_store_can_be_are_refused(tmp_path):
    for path in (tmp_path, tmp_path / "no" / "run.db", "/proc/run.db", f"{tmp_path}/a\0b"):
        with pytest.raises(StoreUnreadable):
            Store(path)
    assert list(tmp_path.iterdir()) == []
    odd = tmp_path / "run?mode=memory#1%20.db"
    with Store(odd) as store:
        drive(draws(1), executor="serial", store=store)
    assert odd.stat().st_size


def test_a_store_that_fails_in_the_middle_loses_no_outcome(file, monkeypatch):
    with Store(file) as store:
        put = Store.put
        calls = []

        def failing(self, *given):
            calls.append(1)
            if len(calls) == 3:
                raise StoreUnreadable(path=self.path, reason="the disk is full")
            return put(self, *given)

        monkeypatch.setattr(Store, "put", failing)
        driven = drive(draws(6), executor="serial", store=store)
    assert isinstance(driven.stopped, StoreUnreadable)
    assert driven.done[:3] == (True, True, True)
    with pytest.raises(StoreUnreadable, match="disk"):
        driven.require()


@pytest.mark.parametrize("written", [False, True])
def test_ctrl_c_while_an_outcome_is_written_leaves_the_store_with_all_that_is_returned(file, monkeypatch, written):
    with Store(file) as store:
        put = Store.put
        calls = []

        def interrupted(self, *given):
            calls.append(1)
            if len(calls) == 3:
                if written:
                    put(self, *given)
                raise KeyboardInterrupt
            return put(self, *given)

        monkeypatch.setattr(Store, "put", interrupted)
        driven = drive(draws(6), executor="serial", store=store)
        assert driven.interrupted
        assert driven.stopped is None
        assert sum(driven.done) == len(store) == 3


def test_a_closed_store_says_so(filled):
    store = Store(filled)
    store.close()
    with pytest.raises(StoreUnreadable):
        len(store)


# -- export ------------------------------------------------------------------------------------------------------------


def test_the_export_holds_every_outcome_in_both_formats(filled, tmp_path):
    truth = {
        job.key(): outcome
        for job, outcome in zip(draws(20), drive(draws(20), executor="serial").require(), strict=True)
    }
    with Store(filled) as store:
        assert export(store, tmp_path / "out.json") == 20
        assert export(store, tmp_path / "out.csv") == 20
    written = json.loads((tmp_path / "out.json").read_text())
    assert written["schema"] == "hyperfabric_q/store/1"
    assert {row["key"]: row["outcome"] for row in written["outcomes"]} == truth
    with (tmp_path / "out.csv").open(newline="") as table:
        rows = list(csv.DictReader(table))
    assert {row["key"]: json.loads(row["outcome"]) for row in rows} == truth
    assert {(row["kind"], row["seed"], row["version"]) for row in rows} == {("trial_draw", "5", "1")}
    assert sorted(each.name for each in tmp_path.iterdir() if "part" in each.name) == []


def test_an_export_that_cannot_be_written_is_refused(filled, tmp_path):
    with Store(filled) as store:
        for path in ("out.parquet", "out", "no/out.csv"):
            with pytest.raises(InvalidValue):
                export(store, tmp_path / path)


def test_an_empty_store_exports_an_empty_table(file, tmp_path):
    with Store(file) as store:
        assert export(store, tmp_path / "out.json") == 0
    assert json.loads((tmp_path / "out.json").read_text())["outcomes"] == []
