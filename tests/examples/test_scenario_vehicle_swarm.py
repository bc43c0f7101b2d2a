"""The example vehicle_swarm.py runs from anywhere, warns of nothing, writes no file, and says what it promises."""

import json
from pathlib import Path

SCRIPT = Path(__file__).resolve().parents[2] / "examples" / "vehicle_swarm.py"


def test_it_runs_and_tells_in_json(told_by):
    output = told_by(SCRIPT, "--size", "small", "--json")
    told = json.loads(output)
    assert (told["scenario"], told["size"], told["seed"]) == ("vehicle_swarm", "small", 0)
    found = {each["name"]: each["value"] for each in told["figures"]}
    assert found["messages"] == 2 * 20 * 50
    assert found["too late"] == 0
    assert found["mean speed in the end"] > found["mean speed at first"]
