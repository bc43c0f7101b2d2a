"""The example realtime_inference.py runs from anywhere, warns of nothing, writes no file, and says what it promises."""

import json
from pathlib import Path

SCRIPT = Path(__file__).resolve().parents[2] / "examples" / "realtime_inference.py"


def test_it_runs_and_tells_in_json(told_by):
    output = told_by(SCRIPT, "--size", "small", "--json")
    told = json.loads(output)
    assert (told["scenario"], told["size"], told["seed"]) == ("realtime_inference", "small", 0)
    found = {each["name"]: each["value"] for each in told["figures"]}
    assert found["user-newark: too late"] == 0
    assert found["user-boston: too late"] == 50
    assert found["right answers"] == 1
    assert found["user-boston: longest"] > 3  # ms: 306 km of fibre there and back
    assert [each["holds"] for each in told["verdicts"]] == [True, False]
