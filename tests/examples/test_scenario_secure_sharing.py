"""The example secure_sharing.py runs from anywhere, warns of nothing, writes no file, and says what it promises."""

import json
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "examples" / "secure_sharing.py"


@pytest.mark.parametrize("links", [1, 0])
def test_it_runs_and_tells_in_json(told_by, links):
    output = told_by(SCRIPT, "--size", "small", "--links", str(links), "--json")
    told = json.loads(output)
    assert (told["scenario"], told["size"], told["seed"]) == ("secure_sharing", "small", 0)
    found = {each["name"]: each["value"] for each in told["figures"]}
    assert found["model opened unchanged"] == 1
    assert found["sealed by quantum_encrypt"] == links
    assert [each["holds"] for each in told["verdicts"]] == [bool(links), False]
    assert ("simulated, not secret" in told["notes"][0]) == bool(links)
