"""The example llm_training.py runs from anywhere, warns of nothing, writes no file, and says what it promises."""

import json
import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).resolve().parents[2] / "examples" / "llm_training.py"


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
    assert (told["scenario"], told["size"], told["seed"]) == ("llm_training", "small", 0)
    found = {each["name"]: each["value"] for each in told["figures"]}
    assert found["all-reduce"] > found["at least"] > 13
    assert found["of these in time"] == 0
    assert found["error of the real sum"] == 0
    assert [each["holds"] for each in told["verdicts"]] == [False]
