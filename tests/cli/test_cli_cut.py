import json
import math
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from hyperfabric_q import cli

runner = CliRunner()
KEYS = [
    "widths",
    "gate_cuts",
    "wire_cuts",
    "gamma",
    "overhead",
    "bound",
    "optimal",
    "unique_subexperiments",
    "estimates",
    "seconds",
]
ANGLE, TURN = 0.7, 1.1
ZZ, X = math.sin(4 * TURN) * math.sin(4 * ANGLE) / 2, math.cos(2 * ANGLE) ** 2


@pytest.fixture
def ring(tmp_path):
    def write(qubits):
        lines = ["OPENQASM 2.0;", 'include "qelib1.inc";', f"qreg q[{qubits}];"]
        lines += [f"h q[{q}];" for q in range(qubits)]
        lines += [f"rzz({2 * ANGLE}) q[{q}],q[{(q + 1) % qubits}];" for q in range(qubits)]
        lines += [f"rx({2 * TURN}) q[{q}];" for q in range(qubits)]
        path = tmp_path / f"ring{qubits}.qasm"
        path.write_text("\n".join(lines))
        return path

    return write


def call(*words):
    return runner.invoke(cli.app, ["cut", *(str(word) for word in words)])


def test_exact_values_of_a_ring_are_one_json_object(ring):
    outcome = call(
        ring(12), "--max-qubits", 4, "--observable", "ZZ@3,4", "--observable", "X@0", "--exact", "--seed", 1, "--json"
    )
    assert outcome.exit_code == 0, outcome.stderr
    assert outcome.stderr == ""
    found = json.loads(outcome.stdout)
    assert list(found) == KEYS
    assert (found["widths"], found["gate_cuts"], found["wire_cuts"]) == ([4, 4, 4], 3, 0)
    assert found["gamma"] == pytest.approx((1 + 2 * math.sin(2 * ANGLE)) ** 3)
    assert found["overhead"] == found["bound"] == pytest.approx(found["gamma"] ** 2)
    assert found["optimal"] is True
    assert [each["observable"] for each in found["estimates"]] == ["ZZ@3,4", "X@0"]
    for each, value in zip(found["estimates"], (ZZ, X), strict=True):
        assert each["value"] == pytest.approx(value, abs=1e-12)
        assert (each["stderr"], each["shots"]) == (0.0, 0)
    assert found["unique_subexperiments"] == 75  # 25 of each part, all in one basis
    assert found["seconds"] > 0


def test_shots_give_error_bars_and_repeat_with_their_seed(ring):
    words = (ring(8), "--max-qubits", 4, "--observable", "ZZ@3,4", "--shots", 50_000, "--seed", 7, "--json")
    one, other = (json.loads(call(*words).stdout) for _ in range(2))
    assert one["estimates"] == other["estimates"]
    (found,) = one["estimates"]
    assert found["shots"] == 50_000
    assert 0 < found["stderr"] < 0.05
    assert abs(found["value"] - ZZ) < 4 * found["stderr"]


def test_a_precision_is_reached_or_refused(ring):
    file = ring(8)
    found = json.loads(call(file, "--max-qubits", 4, "--observable", "X@0", "--precision", 0.02, "--json").stdout)
    assert found["estimates"][0]["stderr"] <= 0.02
    refused = call(file, "--max-qubits", 4, "--observable", "X@0", "--precision", 1e-7, "--json")
    assert refused.exit_code == cli.NO_SOLUTION
    assert refused.stdout == ""
    plain, as_json = refused.stderr.strip().splitlines()
    assert "gamma² of" in plain
    assert json.loads(as_json)["error"] == "OverheadTooHigh"


def test_without_observables_the_cuts_are_shown(ring):
    outcome = call(ring(8), "--max-qubits", "6,2", "--method", "gate_cut", "--seed", 1)
    assert outcome.exit_code == 0
    assert "ring8: 8 qubits in 2 parts, 2 gate cuts, 0 wire cuts" in outcome.stdout
    assert "circuits per measurement basis; seed 1" in outcome.stdout
    found = json.loads(call(ring(8), "--max-qubits", "6,2", "--json").stdout)
    assert found["estimates"] == []
    assert sorted(found["widths"]) == [2, 6]
    only = json.loads(call(ring(8), "--max-qubits", 7, "--parts", 2, "--method", "wire_cut", "--json").stdout)
    assert only["gate_cuts"] == 0
    assert only["wire_cuts"] > 0


def test_people_get_a_table_and_a_warning_where_the_values_say_nothing(ring):
    outcome = call(ring(12), "--max-qubits", 4, "--observable", "ZZ@3,4", "--shots", 6000, "--seed", 1)
    assert outcome.exit_code == 0
    assert "observable  value" in outcome.stdout
    assert "ZZ@3,4      " in outcome.stdout
    assert "6,000 shots of 75 circuits" in outcome.stdout
    blind = call(ring(12), "--max-qubits", 2, "--observable", "ZZZZZZ@1,3,5,7,9,11", "--shots", 200, "--seed", 1)
    assert blind.stderr.startswith("warning: 1 of 1 estimates say nothing")
    assert len(blind.stderr.strip().splitlines()) == 1


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ((), "nothing says how to cut"),
        (("--max-qubits", "four"), "--max-qubits = 'four'"),
        (("--max-qubits", 0), "widths = 0"),
        (("--max-qubits", 4, "--observable", "ZZ@0,9"), "ZZ@0,9"),
        (("--max-qubits", 4, "--shots", 100), "nothing to work out"),
        (("--max-qubits", 4, "--observable", "Z@0", "--shots", 100, "--exact"), "Give one of them"),
        (("--max-qubits", 4, "--observable", "Z@0", "--shots", 3), "at least"),
        (("--max-qubits", 4, "--time-limit", -1), "time_limit"),
    ],
)
def test_wrong_words_are_refused(ring, words, told):
    outcome = call(ring(8), *words)
    assert outcome.exit_code == cli.WRONG_INPUT, outcome.stdout
    assert outcome.stdout == ""
    assert told in outcome.stderr


def test_what_cannot_be_cut_is_no_solution(ring):
    outcome = call(ring(8), "--max-qubits", "3,3")
    assert outcome.exit_code == cli.NO_SOLUTION
    assert "2 too few" in outcome.stderr


def test_it_runs_as_a_process_and_help_is_fast(ring):
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "hyperfabric_q.cli", "cut", str(ring(8)), "--max-qubits", "4", "--json"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(done.stdout)["gate_cuts"] == 2
    code = "import sys, hyperfabric_q.cli; print('qiskit' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"
