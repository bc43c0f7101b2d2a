"""The example quantum_ml.py runs from anywhere, warns of nothing, writes no file, and says what it promises."""

import json
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "examples" / "quantum_ml.py"


@pytest.mark.slow
def test_it_runs_and_tells_in_json(told_by):
    output = told_by(SCRIPT, "--size", "small", "--json")
    told = json.loads(output)
    assert (told["scenario"], told["size"], told["seed"]) == ("quantum_ml", "small", 0)
    found = {each["name"]: each["value"] for each in told["figures"]}
    assert found["epochs"] == 20
    assert found["loss in the end"] < 0.5 * found["loss at first"]
    # 64 samples, 33 circuits each, 200 shots of 1.36 µs
    assert abs(found["all epochs"] - 20 * 64 * 33 * 200 * 1.36e-6) < 1e-3
    assert [each["holds"] for each in told["verdicts"]] == [False]
