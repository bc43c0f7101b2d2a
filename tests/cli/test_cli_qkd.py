import json

import pytest
from typer.testing import CliRunner

from hyperfabric_q import cli
from hyperfabric_q.cli.qkd import app
from hyperfabric_q.workloads.qkd.simulated import simulate

runner = CliRunner()
KEYS = ["schema", "qber", "sifted_bits", "key_bits", "leak_bits", "aborted", "reason", "seconds", "seed"]


def call(*words):
    return runner.invoke(app, ["simulate", *(str(word) for word in words)])


def test_json_is_one_object_that_says_what_the_library_says():
    outcome = call("--fidelity", 0.97, "--pairs", 40_000, "--seed", 3, "--json")
    assert outcome.exit_code == 0
    assert outcome.stderr == ""
    found = json.loads(outcome.stdout)
    assert list(found) == KEYS
    expected = simulate(0.97, 40_000, seed=3)
    for name in ("qber", "sifted_bits", "key_bits", "leak_bits", "aborted", "reason", "seed"):
        assert found[name] == getattr(expected, name)
    assert found["key_bits"] > 0
    assert found["seconds"] > 0


def test_an_eavesdropper_ends_the_session_and_that_is_an_answer():
    outcome = call("--fidelity", 1, "--pairs", 40_000, "--eavesdrop", 1, "--seed", 3, "--json")
    assert outcome.exit_code == 0
    found = json.loads(outcome.stdout)
    assert found["aborted"] is True
    assert found["key_bits"] == 0
    assert found["qber"] == pytest.approx(0.25, abs=0.02)
    assert "error rate" in found["reason"]


def test_text_says_that_the_key_is_no_secret_and_does_not_show_it():
    outcome = call("--pairs", 40_000, "--seed", 3)
    assert outcome.exit_code == 0
    assert "simulated, not secret" in outcome.stdout
    assert "seed 3" in outcome.stdout
    assert bytes(simulate(0.97, 40_000, seed=3).take())[:8].hex() not in outcome.stdout


@pytest.mark.parametrize("wrong", [("--fidelity", 1.2), ("--fidelity", "nan"), ("--pairs", 0), ("--eavesdrop", -1)])
def test_wrong_numbers_leave_with_two(wrong):
    outcome = call(*wrong, "--json")
    assert outcome.exit_code == cli.WRONG_INPUT == 2
    assert outcome.stdout == ""
    assert json.loads(outcome.stderr.splitlines()[-1])["error"] == "InvalidValue"
