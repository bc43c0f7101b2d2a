"""The example realtime_inference.py runs from anywhere, warns of nothing, writes no file, and says what it promises."""

import json
import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).resolve().parents[2] / "examples" / "realtime_inference.py"


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
    assert (told["scenario"], told["size"], told["seed"]) == ("realtime_inference", "small", 0)
    found = {each["name"]: each["value"] for each in told["figures"]}
    assert found["user-newark: too late"] == 0
    assert found["user-boston: too late"] == 50
    assert found["right answers"] == 1
    assert found["user-boston: longest"] > 3  # ms: 306 km of fibre there and back
    assert [each["holds"] for each in told["verdicts"]] == [True, False]
