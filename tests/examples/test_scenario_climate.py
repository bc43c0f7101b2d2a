"""The example climate.py runs from anywhere, warns of nothing, writes no file, and says what it promises."""

import json
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "examples" / "climate.py"


@pytest.mark.slow
def test_it_runs_and_tells_in_json(told_by):
    output = told_by(SCRIPT, "--size", "small", "--json")
    told = json.loads(output)
    assert (told["scenario"], told["size"], told["seed"]) == ("climate", "small", 0)
    found = {each["name"]: each["value"] for each in told["figures"]}
    assert found["corrected it is wrong by"] < found["mean of all centres is wrong by"] < 60
    assert found["analysis at bom"] > 54.2 > found["analysis at jma"] > found["analysis at ecmwf"] > 2.3
    assert [each["holds"] for each in told["verdicts"]] == [False]
