import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from hyperfabric_q import cli

runner = CliRunner()
FABRIC = Path(__file__).parents[2] / "examples" / "fabrics" / "repeater_chain.toml"
KEYS = ["fidelity_mean", "fidelity_stderr", "delivery_ns_mean", "delivery_ns_stderr", "pairs_per_second", "seconds"]


def call(*words, fabric=FABRIC, pair=("r0", "r4")):
    asked = ("entangle", "simulate", "--fabric", fabric, "--pair", *pair, *words)
    return runner.invoke(cli.app, [str(word) for word in asked])


@pytest.mark.parametrize(("engine", "runs"), [("lanes", 20_000), ("events", 300)])
def test_simulate_json_is_one_object_of_six_figures(engine, runs):
    outcome = call("--runs", runs, "--engine", engine, "--seed", 1, "--json")
    assert outcome.exit_code == 0
    assert outcome.stderr == ""
    found = json.loads(outcome.stdout)
    assert list(found) == KEYS
    assert 0.8180 < found["fidelity_mean"] < 0.819126
    assert 0 < found["fidelity_stderr"] < 1e-4
    assert found["pairs_per_second"] == pytest.approx(1e9 / found["delivery_ns_mean"])
    assert abs(found["delivery_ns_mean"] - 620_100) < 5 * found["delivery_ns_stderr"]
    assert found["seconds"] > 0


def test_the_same_seed_gives_the_same_figures():
    one, other = (json.loads(call("--runs", 100, "--seed", 5, "--json").stdout) for _ in range(2))
    assert {name: one[name] for name in KEYS[:-1]} == {name: other[name] for name in KEYS[:-1]}


def test_a_single_run_has_no_standard_error():
    found = json.loads(call("--runs", 1, "--json").stdout)
    assert found["fidelity_stderr"] is None
    assert found["delivery_ns_stderr"] is None


def test_simulate_for_people_names_the_way_and_the_seed():
    outcome = call("--runs", 50, "--seed", 6, "--policy", "nested", "--cutoff-ns", 1e6)
    assert outcome.exit_code == 0
    assert outcome.stdout.startswith("r0 -- r1 -- r2 -- r3 -- r4: 50 pairs, nested, lanes, seed 6\n")
    assert "pairs/s" in outcome.stdout


@pytest.mark.parametrize(
    ("pair", "words", "code", "error"),
    [
        (("r0", "r9"), (), 2, "UnknownName"),
        (("r0", "r0"), (), 2, "InvalidValue"),
        (("r0", "r4"), ("--rounds", 1), 3, "NotEnoughCommunicationQubits"),
        (("r0", "r4"), ("--cutoff-ns", "nan"), 2, "InvalidValue"),
        (("r0", "r4"), ("--cutoff-ns", "-1"), 2, "InvalidValue"),
        (("r0", "r4"), ("--runs", 10**10), 2, "InvalidValue"),
    ],
)
def test_what_cannot_be_is_refused(pair, words, code, error):
    outcome = call(*words, "--json", pair=pair)
    assert outcome.exit_code == code
    assert outcome.stdout == ""
    assert json.loads(outcome.stderr.strip().splitlines()[-1])["error"] == error


def test_a_fabric_that_is_not_there_is_refused():
    assert call(fabric="no_such.toml").exit_code == 2
