"""The example llm_training.py runs from anywhere, warns of nothing, writes no file, and says what it promises."""

import json
from pathlib import Path

SCRIPT = Path(__file__).resolve().parents[2] / "examples" / "llm_training.py"


def test_it_runs_and_tells_in_json(told_by):
    output = told_by(SCRIPT, "--size", "small", "--json")
    told = json.loads(output)
    assert (told["scenario"], told["size"], told["seed"]) == ("llm_training", "small", 0)
    found = {each["name"]: each["value"] for each in told["figures"]}
    assert found["all-reduce"] > found["at least"] > 13
    assert found["of these in time"] == 0
    assert found["error of the real sum"] == 0
    assert [each["holds"] for each in told["verdicts"]] == [False]
