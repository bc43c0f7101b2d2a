"""The example multimodal.py runs from anywhere, warns of nothing, writes no file, and says what it promises."""

import json
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "examples" / "multimodal.py"


@pytest.mark.slow
def test_it_runs_and_tells_in_json(told_by):
    output = told_by(SCRIPT, "--size", "small", "--json")
    told = json.loads(output)
    assert (told["scenario"], told["size"], told["seed"]) == ("multimodal", "small", 0)
    found = {each["name"]: each["value"] for each in told["figures"]}
    assert found["right"] == found["scenes"] == 4
    assert found["picture"] == 1024
    assert found["from capture to answer"] > 200
    assert [each["holds"] for each in told["verdicts"]] == [True]
