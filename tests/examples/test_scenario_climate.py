"""The example climate.py runs from anywhere, warns of nothing, writes no file, and says what it promises."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "examples" / "climate.py"


@pytest.mark.slow
def test_it_runs_and_tells_in_json(tmp_path):
    done = subprocess.run(
        (sys.executable, "-W", "error", "-B", SCRIPT, "--size", "small", "--json"),
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        timeout=120,
        env={"PYTHONIOENCODING": "utf-8", "PATH": ""},
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert list(tmp_path.iterdir()) == []
    told = json.loads(done.stdout)
    assert (told["scenario"], told["size"], told["seed"]) == ("climate", "small", 0)
    found = {each["name"]: each["value"] for each in told["figures"]}
    assert found["corrected it is wrong by"] < found["mean of all centres is wrong by"] < 60
    assert found["analysis at bom"] > 54.2 > found["analysis at jma"] > found["analysis at ecmwf"] > 2.3
    assert [each["holds"] for each in told["verdicts"]] == [False]
