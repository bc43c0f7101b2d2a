"""``hyperfabric-q run``: one flat object, observables, stores that outlive the process, and what Ctrl-C leaves."""

import json
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from typer.testing import CliRunner

import hyperfabric_q as hq
from hyperfabric_q import cli, pipeline
from hyperfabric_q.cli import bench_execution
from hyperfabric_q.execution import parts
from hyperfabric_q.execution.store import Store

ROOT = Path(__file__).resolve().parents[2]
GHZ = ROOT / "circuits" / "ghz_8.qasm"
BELL = ROOT / "circuits" / "bell.qasm"
runner = CliRunner()

ANSWER = [
    "method",
    "counts",
    "fidelity_predicted",
    "fidelity_measured",
    "ebits",
    "gamma",
    "makespan_ns",
    "attribution",
    "seconds",
]


def call(*words):
    return runner.invoke(cli.app, [str(word) for word in words])


def run_json(*words):
    outcome = call("run", *words, "--json")
    assert outcome.exit_code == 0, outcome.stderr
    return json.loads(outcome.stdout)


@pytest.fixture
def slow_fabric(tmp_path):
    """A fabric whose pairs come at random times and whose qubits decay: every shot has a timeline."""
    fabric = hq.Fabric.full([1, 1], communication_qubits=1, pair_fidelity=0.95)
    fabric = fabric.replace("nodes.*", t1_us=300.0, t2_us=200.0).replace("links.*", pair_rate_hz=2e4)
    path = tmp_path / "fabric.toml"
    path.write_text(fabric.to_toml())
    return path


def test_run_json_is_one_flat_object():
    found = run_json(GHZ, "--qpus", 2, "--shots", 50, "--seed", 1, "--noise", "none")
    assert found["schema"] == "hyperfabric_q/run/2"
    assert set(ANSWER) < set(found)
    assert "estimates" not in found
    assert found["shots"] == sum(found["counts"].values()) == 50
    assert set(found["counts"]) <= {"00000000", "11111111"}
    assert (found["method"], found["noise"], found["gamma"]) == ("clifford", "none", 1.0)
    assert found["ebits"] == found["plan"]["ebits"] == 1
    assert found["makespan_ns"] == found["shot_ns"]["mean"] > 0
    assert found["fidelity_measured"]["kind"] == "hellinger"
    assert found["attribution"]["infidelity"] == 0
    assert found["plan"]["schema"] == "hyperfabric_q/plan/1"
    assert found["plan"]["seed"] == found["seed"] == 1
    assert found["comparison"]["distributed"] == found["counts"]
    assert found["interrupted"] is False


def test_one_seed_repeats_plan_and_run():
    words = (GHZ, "--qpus", 2, "--pair-fidelity", 0.7, "--shots", 60, "--no-compare")
    first = run_json(*words)
    again = run_json(*words, "--seed", first["plan"]["seed"])
    assert first["counts"] == again["counts"]
    assert first["plan"]["homes"] == again["plan"]["homes"]
    assert first["comparison"] is None


def test_observables_are_estimated_by_name(tmp_path):
    path = tmp_path / "bell.qasm"
    path.write_text('OPENQASM 2.0; include "qelib1.inc"; qreg q[2]; h q[0]; cx q[0],q[1];')
    # Werner pairs of fidelity F on the only crossing: ZZ and XX shrink by (4 F - 1) / 3 each.
    words = (path, "--qpus", 2, "--capacity", 1, "--pair-fidelity", 0.85, "--shots", 4000, "--seed", 3)
    found = run_json(*words, "--observable", "ZZ", "--observable", "X@0", "--method", "dynamic")
    assert [each["observable"] for each in found["estimates"]] == ["ZZ", "X@0"]
    zz, x = found["estimates"]
    assert abs(zz["value"] - 0.8) < 5 * zz["stderr"] < 0.1
    assert abs(x["value"]) < 5 * x["stderr"]
    assert not {"counts", "registers"} & set(found)
    assert found["comparison"] is None
    shown = call("run", *words, "--observable", "ZZ")
    assert "observable  value" in shown.stdout
    assert "4,000 shots of 1 bases" in shown.stdout
    precise = run_json(*words, "--observable", "ZZ", "--precision", 0.005)
    assert precise["estimates"][0]["stderr"] <= 0.005
    assert precise["shots"] > 4000


def test_timelines_are_as_many_as_asked_for(slow_fabric):
    words = (BELL, "--fabric", slow_fabric, "--shots", 40, "--seed", 1, "--no-compare")
    assert run_json(*words, "--timelines", 5)["timelines"] == 5


# -- store and resume --------------------------------------------------------------------------------------------------


def test_a_store_answers_for_the_run_and_resume_says_so(slow_fabric, tmp_path, monkeypatch):
    store = tmp_path / "run.db"
    words = (BELL, "--fabric", slow_fabric, "--shots", 40, "--timelines", 4, "--no-compare")
    words = (*words, "--seed", 9)
    plain = run_json(*words)
    kept = run_json(*words, "--store", store, "--executor", "serial")
    monkeypatch.setattr(parts, "function_of", None)  # nothing can be run from here on
    resumed = run_json(*words, "--store", store, "--resume")
    assert plain["counts"] == kept["counts"] == resumed["counts"]
    with Store(store) as opened:
        assert len(opened) == 4


def test_a_run_with_a_store_tells_its_seed_before_it_begins(slow_fabric, tmp_path):
    words = ("run", BELL, "--fabric", slow_fabric, "--shots", 10, "--no-compare", "--json")
    outcome = call(*words, "--store", tmp_path / "run.db")
    told = outcome.stderr.split()
    assert told[0] == "seed"
    assert int(told[1].rstrip(";")) == json.loads(outcome.stdout)["seed"]


def test_what_cannot_be_resumed_or_stored_is_refused_before_planning(tmp_path, monkeypatch):
    monkeypatch.setattr(pipeline, "plan", None)
    with closing(sqlite3.connect(tmp_path / "other.db")) as other, other:
        other.execute("CREATE TABLE groceries (name TEXT)")
    torn = tmp_path / "torn.db"
    torn.write_bytes(b"SQLite format 3\x00" + b"\xff" * 4096)
    cases = [
        (("--resume", "--seed", 1), "--store run.db"),
        (("--resume", "--store", tmp_path / "other.db"), "--seed S"),
        (("--resume", "--seed", 1, "--store", tmp_path / "none.db"), "does not exist"),
        (("--store", tmp_path / "other.db"), "another program"),
        (("--store", torn), "cannot be used"),
        (("--store", tmp_path / "no" / "run.db"), "no folder"),
    ]
    for words, told in cases:
        outcome = call("run", GHZ, "--qpus", 2, *words)
        assert outcome.exit_code == cli.WRONG_INPUT, outcome.stderr
        assert outcome.stdout == ""
        assert told in outcome.stderr
    assert not (tmp_path / "none.db").exists()


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (("--shots", 0), cli.WRONG_INPUT, "--shots"),
        (("--executor", "ray"), cli.WRONG_INPUT, "dask://host:port"),
        (("--executor", "dask://nowhere"), cli.WRONG_INPUT, "dask://host:port"),
        (("--observable", "ZZ"), cli.WRONG_INPUT, "ZZ"),
        (("--observable", "Z@9"), cli.WRONG_INPUT, "9"),
        (("--precision", 0.1), cli.WRONG_INPUT, "none are given"),
        (("--observable", "X@0", "--precision", 1e-7), cli.WRONG_INPUT, "shots"),
        (("--timelines", 5000), cli.WRONG_INPUT, "timelines"),
    ],
)
def test_wrong_words_are_refused(words, code, told):
    outcome = call("run", GHZ, "--qpus", 2, "--pair-fidelity", 0.9, "--seed", 1, "--json", *words)
    assert outcome.exit_code == code, outcome.stderr
    assert outcome.stdout == ""
    assert told in outcome.stderr


def test_a_method_that_does_not_fit_names_the_instruction(tmp_path):
    path = tmp_path / "t.qasm"
    path.write_text('OPENQASM 2.0; include "qelib1.inc"; qreg q[2]; ry(0.3) q[0]; cx q[0],q[1];')
    outcome = call("run", path, "--qpus", 2, "--capacity", 1, "--method", "clifford")
    assert outcome.exit_code == cli.WRONG_INPUT
    assert "u(0.3, 0, 0)" in outcome.stderr


# -- Ctrl-C ------------------------------------------------------------------------------------------------------------


@pytest.mark.skipif(sys.platform == "win32", reason="Ctrl-C is sent as a POSIX signal")
def test_ctrl_c_shows_what_is_finished_and_the_store_goes_on_from_there(slow_fabric, tmp_path):
    store = tmp_path / "run.db"
    words = ("run", BELL, "--fabric", slow_fabric, "--shots", 12_000, "--timelines", 600)
    words = (*words, "--method", "channel", "--no-compare", "--seed", 4, "--json", "--store", store)
    command = [sys.executable, "-W", "error", "-m", "hyperfabric_q.cli", *map(str, words), "--executor", "serial"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        while rows(store) < 3 and process.poll() is None:
            pass
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert process.returncode == cli.INTERRUPTED
    assert err == ""
    found = json.loads(out)
    assert found["interrupted"] is True
    assert 3 <= found["timelines"] == rows(store) < 600
    assert found["shots"] == 20 * found["timelines"] == sum(found["counts"].values())
    assert any("ended early" in note for note in found["approximations"])


def rows(store):
    if not store.exists():
        return 0
    try:
        with closing(sqlite3.connect(f"file:{store}?mode=ro", uri=True)) as opened:
            return opened.execute("SELECT count(*) FROM outcome").fetchone()[0]
    except sqlite3.Error:
        return 0


# -- bench -------------------------------------------------------------------------------------------------------------


def test_bench_measures_every_method_and_executor(monkeypatch):
    monkeypatch.setattr(bench_execution, "EXECUTORS", ("serial", "threads"))
    monkeypatch.setattr(bench_execution, "_SHORT", 10)
    monkeypatch.setattr(bench_execution, "_LONG", 2)
    outcome = call("bench", "execution", "--json")
    assert outcome.exit_code == 0, outcome.stderr
    found = json.loads(outcome.stdout)
    assert found["schema"] == "hyperfabric_q/bench/1"
    assert {each["method"] for each in found["methods"]} == set(parts.VERSIONS)
    for each in found["methods"]:
        assert each["shots_per_s"] == pytest.approx(each["shots"] / each["seconds"])
    assert [each["executor"] for each in found["executors"]] == ["serial", "threads"]
    assert found["seconds"] < 60
    assert "per job, ms" in call("bench", "execution").stdout


def test_bench_has_help():
    outcome = call("bench", "execution", "--help")
    assert outcome.exit_code == 0
    assert "Example: hyperfabric-q bench execution" in outcome.stdout
