"""The example architecture_search.py runs from anywhere, warns of nothing, writes no file, and tells in JSON."""

import json
from pathlib import Path

SCRIPT = Path(__file__).resolve().parents[2] / "examples" / "architecture_search.py"


def test_it_runs_and_tells_in_json(told_by):
    output = told_by(SCRIPT, "--size", "small", "--json")
    told = json.loads(output)
    assert (told["scenario"], told["size"], told["seed"]) == ("architecture_search", "small", 0)
    found = {each["name"]: each["value"] for each in told["figures"]}
    assert found["architectures"] == 16
    assert found["best by exhaustive search"] > 0.9
    assert 15.76 < found["annealer and the way there"] < 50  # ms: programming alone takes 15.76
    assert told["verdicts"][0]["holds"]
    assert (found["architectures that are better"] == 0) == told["verdicts"][1]["holds"]
