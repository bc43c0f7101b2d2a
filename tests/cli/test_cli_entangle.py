import json
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from hyperfabric_q import cli
from hyperfabric_q.entanglement.reach import reach

runner = CliRunner()
KEYS = ["reachable", "fidelity", "rounds", "raw_pairs", "reason"]


def call(*words):
    return runner.invoke(cli.app, ["entangle", *(str(word) for word in words)])


def test_reach_json_is_one_object():
    outcome = call("reach", "--fidelity", 0.999, "--hops", 4, "--link-fidelity", 0.95, "--json")
    assert outcome.exit_code == 0
    assert outcome.stderr == ""
    found = json.loads(outcome.stdout)
    expected = reach(0.999, 4, link_fidelity=0.95)
    assert list(found) == KEYS
    assert found == {
        "reachable": True,
        "fidelity": expected.fidelity,
        "rounds": 3,
        "raw_pairs": expected.raw_pairs,
        "reason": None,
    }


def test_an_unreachable_fidelity_is_json_on_stdout_and_exit_code_three():
    outcome = call("reach", "--hops", 4, "--gate-error", 1e-4, "--readout-error", 1e-4, "--json")
    assert outcome.exit_code == cli.NO_SOLUTION == 3
    found = json.loads(outcome.stdout)
    assert list(found) == KEYS
    assert found["reachable"] is False
    assert found["rounds"] is found["raw_pairs"] is None
    assert found["fidelity"] == pytest.approx(0.998676, abs=1e-6)
    assert found["reason"].startswith("4 link ceilings x 1.25e-4 + 3 swaps x 2.75e-4")
    plain, as_json = outcome.stderr.strip().splitlines()
    assert plain.startswith("error: fidelity 0.999 was asked")
    assert json.loads(as_json)["error"] == "FidelityUnreachable"


def test_reach_for_people_is_a_sentence():
    outcome = call("reach", "--hops", 2)
    assert outcome.exit_code == 0
    assert outcome.stdout.startswith("fidelity 0.999815 over 2 hops (0.999 was asked): 3 rounds")
    refused = call("reach", "--hops", 4, "--gate-error", 1e-3)
    assert refused.exit_code == cli.NO_SOLUTION
    assert refused.stdout == ""
    assert "a gate error of about" in refused.stderr


@pytest.mark.parametrize(
    ("words", "field"),
    [
        (("--fidelity", 1.5), "fidelity"),
        (("--fidelity", "nan"), "fidelity"),
        (("--hops", 0), "hops"),
        (("--link-fidelity", 0.1), "link_fidelity"),
        (("--gate-error", -1), "gate_error"),
        (("--readout-error", 2), "readout_error"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_two(words, field):
    outcome = call("reach", *words)
    assert outcome.exit_code == cli.WRONG_INPUT
    assert outcome.stdout == ""
    assert outcome.stderr.startswith(f"error: {field} = ")


def test_help_shows_every_option_and_loads_no_numpy():
    outcome = call("reach", "--help")
    assert outcome.exit_code == 0
    for option in ("--fidelity", "--hops", "--link-fidelity", "--gate-error", "--readout-error", "--json"):
        assert option in outcome.stdout
    code = "import sys, hyperfabric_q.cli.entangle; sys.exit('numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
