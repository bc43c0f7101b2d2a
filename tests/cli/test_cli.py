import inspect
import json
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
from typer.testing import CliRunner

import hyperfabric_q as hq
from hyperfabric_q import cli, convert, pipeline
from hyperfabric_q.cli import doctor
from hyperfabric_q.cli.run import run_command
from hyperfabric_q.errors import InternalError, VerificationFailed

ROOT = Path(__file__).resolve().parents[2]
GHZ = ROOT / "circuits" / "ghz_8.qasm"
THREE_QPUS = ROOT / "examples" / "fabrics" / "three_qpus.toml"
runner = CliRunner()


def call(*words):
    return runner.invoke(cli.app, [str(word) for word in words])


def written(folder, text, name="circuit.qasm"):
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def message(outcome):
    """The one line on stderr."""
    lines = outcome.stderr.strip().splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("error: ")
    assert outcome.stdout == ""
    return lines[0].removeprefix("error: ")


# -------------------------------------------------------------------------------------------------------------- verbs


def test_plan_draws_the_plan():
    outcome = call("plan", GHZ, "--qpus", 2, "--seed", 3)
    plan = hq.plan(GHZ, hq.Fabric.full([5, 5]), seed=3)
    assert outcome.exit_code == 0
    assert outcome.stderr == ""
    drawn, expected = outcome.stdout.splitlines(), plan.draw().splitlines()
    assert drawn[0].startswith("ghz_8: 8 qubits, 7 two-qubit gates on 2 QPU nodes: 1 e-bit")
    assert drawn[1:-1] == expected[1:-1]  # the header holds the file's name, the last line the seconds it took


@pytest.mark.parametrize("name", ["out.qasm", "out.qpy"])
def test_plan_writes_the_emitted_circuit(name, tmp_path):
    target = tmp_path / name
    target.write_text("what was there before")
    outcome = call("plan", GHZ, "--qpus", 2, "--seed", 3, "--output", target)
    assert (outcome.exit_code, outcome.stderr) == (0, "")
    plan = hq.plan(GHZ, hq.Fabric.full([5, 5]), seed=3)
    read = convert.accept(target)
    assert read.count_ops() == plan.distributed_circuit.count_ops()
    assert read.count_ops()["bell_pair"] == plan.ebits
    if name == "out.qasm":
        assert target.read_text().startswith("OPENQASM 3")
        assert target.read_text() == convert.write_qasm3(plan.distributed_circuit)


@pytest.mark.parametrize(
    ("name", "told"),
    [("out.txt", "End it with .qasm for OpenQASM 3"), ("out", ".qpy"), (".qpy", ".qpy"), ("no/a.qpy", "no folder")],
)
def test_an_output_that_cannot_be_written_is_refused_before_planning(name, told, tmp_path, monkeypatch):
    monkeypatch.setattr(pipeline, "plan", None)
    outcome = call("plan", GHZ, "--qpus", 2, "--output", tmp_path / name)
    assert outcome.exit_code == 2
    assert told in message(outcome)


@pytest.mark.parametrize(
    ("asked", "shown"),
    [("fidelity", "fidelity"), ("fidelity + 0.2*makespan", "fidelity+0.2*makespan"), ("infidelity", "infidelity")],
)
def test_plan_is_chosen_by_the_objective(asked, shown):
    outcome = call("plan", GHZ, "--fabric", THREE_QPUS, "--seed", 3, "--objective", asked, "--json")
    assert outcome.exit_code == 0
    assert json.loads(outcome.stdout)["objective"] == shown


@pytest.mark.parametrize(("asked", "told"), [("fidelty", "Did you mean 'fidelity'"), ("x*fidelity", "is no number")])
def test_an_objective_that_is_none_is_refused(asked, told):
    outcome = call("plan", GHZ, "--qpus", 2, "--objective", asked)
    assert outcome.exit_code == 2
    assert told in message(outcome)


def test_the_command_line_takes_as_many_shots_as_python():
    python = inspect.signature(hq.Plan.run).parameters["shots"].default
    assert inspect.signature(run_command).parameters["shots"].default == python


def test_plan_json_is_the_plan_as_one_object():
    outcome = call("plan", GHZ, "--qpus", 2, "--seed", 3, "--json")
    assert outcome.exit_code == 0
    assert outcome.stderr == ""
    found = json.loads(outcome.stdout)
    expected = hq.plan(GHZ, hq.Fabric.full([5, 5]), seed=3).to_dict()
    assert found["schema"] == "hyperfabric_q/plan/1"
    assert found["name"] == "ghz_8"
    assert set(found) == set(expected)
    for key in set(expected) - {"name", "seconds"}:
        assert found[key] == expected[key], key
    assert found["replayed"] is True
    assert found["equivalent"] == "proved"


def test_the_default_capacity_is_an_even_share_and_one_more():
    found = json.loads(call("plan", GHZ, "--qpus", 3, "--json").stdout)
    assert found["capacity"] == {"qpu-0": 3, "qpu-1": 3, "qpu-2": 3}
    assert set(found["communication_qubits"].values()) == {None}


@pytest.mark.parametrize(
    ("network", "links"),
    [
        ("full", {(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)}),
        ("line", {(0, 1), (1, 2), (2, 3)}),
        ("ring", {(0, 1), (1, 2), (2, 3), (0, 3)}),
        ("star", {(0, 1), (0, 2), (0, 3)}),
        ("grid", {(0, 1), (2, 3), (0, 2), (1, 3)}),
    ],
)
def test_networks_link_the_nodes_as_their_name_says(network, links, monkeypatch):
    seen = []
    planned = pipeline.plan

    def spy(circuit, fabric, **options):
        seen.append(fabric)
        return planned(circuit, fabric, **options)

    monkeypatch.setattr(pipeline, "plan", spy)
    outcome = call("plan", GHZ, "--qpus", 4, "--network", network, "--pair-fidelity", 0.9, "--json")
    assert outcome.exit_code == 0
    expected = {(f"qpu-{a}", f"qpu-{b}") for a, b in links}
    assert {link.ends for link in seen[0].links} == expected
    assert {link.pair_fidelity for link in seen[0].links} == {0.9}
    used = json.loads(outcome.stdout)["ebits_per_link"]
    assert {tuple(ends.split("--")) for ends in used} <= expected


def test_lists_give_each_node_its_own_size():
    outcome = call(
        *("plan", GHZ, "--qpus", 3, "--capacity", "4,2,2", "--communication-qubits", "1,2,1"),
        *("--network", "line", "--json"),
    )
    found = json.loads(outcome.stdout)
    assert found["capacity"] == {"qpu-0": 4, "qpu-1": 2, "qpu-2": 2}
    assert found["communication_qubits"] == {"qpu-0": 1, "qpu-1": 2, "qpu-2": 1}


def test_plan_reads_a_fabric_file():
    found = json.loads(call("plan", GHZ, "--fabric", THREE_QPUS, "--verify", "skipped", "--json").stdout)
    assert set(found["capacity"]) == {"ion-a", "transmon-b", "atom-c"}
    assert found["equivalent"] == "skipped"


def test_run_shows_the_plan_and_then_the_comparison():
    outcome = call("run", GHZ, "--qpus", 2, "--shots", 50, "--seed", 1)
    assert outcome.exit_code == 0
    assert outcome.stderr == ""
    head, _, tail = outcome.stdout.partition("outcome ")
    assert "packets: one e-bit each" in head
    assert "undistributed" in tail
    assert "seed 1; clifford, 10 wires" in tail


def test_run_without_comparison_shows_the_counts():
    outcome = call("run", GHZ, "--qpus", 2, "--shots", 50, "--seed", 1, "--no-compare")
    assert outcome.exit_code == 0
    assert "undistributed" not in outcome.stdout
    assert "11111111" in outcome.stdout


def test_a_comparison_out_of_reach_is_left_out_unless_it_was_asked_for():
    words = ("run", ROOT / "circuits" / "ghz_32.qasm", "--qpus", 2, "--shots", 20, "--seed", 1)
    left_out = call(*words)
    assert left_out.exit_code == 0
    assert left_out.stderr.startswith("no comparison: ")
    assert "20 shots" in left_out.stdout
    assert json.loads(call(*words, "--json").stdout)["comparison"] is None
    assert call(*words, "--compare", "--json").exit_code == cli.NO_SOLUTION


# ------------------------------------------------------------------------------------------------------------- faults


def test_an_unknown_file_exits_2():
    outcome = call("plan", "no-such-file.qasm", "--qpus", 2)
    assert outcome.exit_code == 2
    assert "no-such-file.qasm" in message(outcome)


def test_malformed_openqasm_exits_2_with_its_line(tmp_path):
    file = written(tmp_path, 'OPENQASM 2.0;\ninclude "qelib1.inc";\nqreg q[2];\nh q[0]\ncx q[0],q[1];\n')
    outcome = call("plan", file, "--qpus", 2)
    assert outcome.exit_code == 2
    assert f"{file}:4:1: " in message(outcome)  # the statement that lacks its semicolon


def test_an_operation_that_cannot_be_distributed_exits_2_with_its_place(tmp_path):
    text = 'OPENQASM 2.0;\ninclude "qelib1.inc";\nqreg q[2];\nopaque magic a,b;\nh q[0];\n  magic q[0],q[1];\n'
    outcome = call("plan", written(tmp_path, text), "--qpus", 2)
    assert outcome.exit_code == 2
    assert message(outcome).startswith("'magic' at line 6, column 3 cannot be distributed")


def test_too_many_qubits_exit_3_with_the_numbers():
    outcome = call("plan", ROOT / "circuits" / "qft_16.qasm", "--fabric", THREE_QPUS)
    assert outcome.exit_code == 3
    told = message(outcome)
    assert "needs 16 data qubits" in told
    assert "has 10 (ion-a 4 + transmon-b 3 + atom-c 3)" in told


def test_nodes_without_a_quantum_link_exit_3(tmp_path):
    fabric = hq.Fabric(nodes=hq.Fabric.full([5, 5]).nodes, links=(hq.Link("qpu-0", "qpu-1", bandwidth_gbps=1),))
    outcome = call("plan", GHZ, "--fabric", written(tmp_path, fabric.to_toml(), "f.toml"))
    assert outcome.exit_code == 3
    assert "no quantum path joins {qpu-0} and {qpu-1}" in message(outcome)


def test_a_simulation_too_wide_exits_3():
    options = ("--qpus", 2, "--verify", "skipped", "--method", "dynamic", "--json")
    outcome = call("run", ROOT / "circuits" / "qft_32.qasm", *options)
    assert outcome.exit_code == 3
    assert outcome.stdout == ""
    assert json.loads(outcome.stderr.splitlines()[-1])["error"] == "SimulationRefused"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ((), "Write --fabric FILE.toml, or for example --qpus 3"),
        (("--qpus", 2, "--fabric", THREE_QPUS), "Leave out either --qpus or --fabric"),
        (("--fabric", THREE_QPUS, "--network", "line"), "Leave out either --network or --fabric"),
        (("--fabric", THREE_QPUS, "--pair-fidelity", 0.9), "Leave out either --pair-fidelity or --fabric"),
        (("--capacity", "4,4"), "Write --fabric FILE.toml"),
        (("--qpus", 2, "--capacity", "4,4,4"), "these are 3 numbers for 2 QPU nodes"),
        (("--qpus", 3, "--communication-qubits", "1,1"), "these are 2 numbers for 3 QPU nodes"),
        (("--qpus", 2, "--capacity", "four"), "one whole number, or several"),
        (("--qpus", 2, "--capacity", "0"), "at least 1"),
        (("--qpus", 2, "--pair-fidelity", 2), "at most 1"),
        (("--qpus", 2, "--seed", -1), "a seed is a whole number"),
        (("--fabric", "no-such-fabric.toml"), "no-such-fabric.toml"),
    ],
)
def test_wrong_options_exit_2_and_say_what_to_write(words, told):
    outcome = call("plan", GHZ, *words)
    assert outcome.exit_code == 2
    assert told in message(outcome)


@pytest.mark.parametrize(
    "words", [("--network", "moebius"), ("--verify", "perhaps"), ("--qpus", "many"), ("--qpus", "0"), ("--nodes", "2")]
)
def test_words_that_are_no_options_exit_2(words):
    outcome = call("plan", GHZ, *words)
    assert outcome.exit_code == 2
    assert outcome.stdout == ""
    assert outcome.stderr


def test_a_fault_in_a_fabric_file_exits_2_with_its_line(tmp_path):
    file = written(tmp_path, THREE_QPUS.read_text().replace("compute_units = 4", "compute_units = -4"), "f.toml")
    line = next(n for n, text in enumerate(file.read_text().splitlines(), start=1) if text == "compute_units = -4")
    outcome = call("plan", GHZ, "--fabric", file)
    assert outcome.exit_code == 2
    assert f"f.toml:{line}" in message(outcome)


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        (VerificationFailed(what="the angles differ", seed=5), 4),
        (InternalError(what="a broken promise"), 1),
        (KeyboardInterrupt(), 130),
        (RuntimeError("the disk is on fire"), 1),
    ],
)
def test_faults_of_ours_have_their_exit_codes(fault, code, monkeypatch):
    def broken(*_, **__):
        raise fault

    monkeypatch.setattr(pipeline, "plan", broken)
    outcome = call("plan", GHZ, "--qpus", 2)
    assert outcome.exit_code == code
    if code == cli.INTERRUPTED:
        assert outcome.output == ""
    else:
        told = message(outcome)
        assert "please report it" in told
        assert "Traceback" not in told


def test_a_crash_shows_its_traceback_on_request(monkeypatch):
    def broken(*_, **__):
        raise RuntimeError("the disk is on fire")

    monkeypatch.setattr(pipeline, "plan", broken)
    monkeypatch.setenv(cli.TRACEBACK, "1")
    outcome = call("plan", GHZ, "--qpus", 2)
    assert outcome.exit_code == 1
    assert outcome.stderr.startswith("Traceback")
    assert "RuntimeError: the disk is on fire" in outcome.stderr


def test_with_json_the_error_is_an_object_as_well():
    outcome = call("plan", "no-such-file.qasm", "--qpus", 2, "--json")
    assert outcome.exit_code == 2
    assert outcome.stdout == ""
    text, row = outcome.stderr.splitlines()
    found = json.loads(row)
    assert found["schema"] == "hyperfabric_q/error/1"
    assert found["error"] == "FileUnreadable"
    assert text == f"error: {found['message']}"


# ------------------------------------------------------------------------------------------------- help and the doctor


def test_version_is_the_packages():
    outcome = call("--version")
    assert (outcome.exit_code, outcome.stdout) == (0, f"hyperfabric_q {hq.__version__}\n")


@pytest.mark.parametrize("verb", ["plan", "run", "doctor"])
def test_help_has_an_example_that_begins_with_the_verb(verb):
    outcome = call(verb, "--help")
    assert outcome.exit_code == 0
    assert f"Example: hyperfabric-q {verb}" in outcome.stdout


def test_the_doctor_finds_this_installation_healthy():
    outcome = call("doctor", "--json")
    found = json.loads(outcome.stdout)
    assert outcome.exit_code == 0, found
    assert found["ok"]
    assert all(row["ok"] for row in found["checks"])
    assert {"python", "partitioner", "simulator"} < {row["name"] for row in found["checks"]}


def test_the_doctor_checks_every_declared_dependency():
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["dependencies"]
    assert {each.partition(">=")[0] for each in declared} == set(doctor.DEPENDENCIES)


def test_the_doctor_says_what_fails_and_what_to_do(monkeypatch):
    monkeypatch.setattr(doctor, "DEPENDENCIES", ("numpy", "no-such-distribution"))

    def no_simulator():
        raise OSError("libgomp.so.1 is missing")

    monkeypatch.setattr(doctor, "_teleports", no_simulator)
    outcome = call("doctor")
    assert outcome.exit_code == 1
    lines = [line.split(maxsplit=2) for line in outcome.stdout.splitlines()]
    assert ["ok", "numpy", metadata.version("numpy")] in lines
    assert any(line[:2] == ["FAIL", "no-such-distribution"] for line in lines)
    assert "pip install --upgrade no-such-distribution" in outcome.stdout
    assert "OSError: libgomp.so.1 is missing" in outcome.stdout
    assert outcome.stdout.splitlines()[-1] == "2 checks failed"
