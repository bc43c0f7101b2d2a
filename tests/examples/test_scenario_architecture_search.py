"""The example architecture_search.py runs from anywhere, warns of nothing, writes no file, and tells in JSON."""

import json
import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).resolve().parents[2] / "examples" / "architecture_search.py"


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
    assert (told["scenario"], told["size"], told["seed"]) == ("architecture_search", "small", 0)
    found = {each["name"]: each["value"] for each in told["figures"]}
    assert found["architectures"] == 16
    assert found["best by exhaustive search"] > 0.9
    assert 15.76 < found["annealer and the way there"] < 50  # ms: programming alone takes 15.76
    assert told["verdicts"][0]["holds"]
    assert (found["architectures that are better"] == 0) == told["verdicts"][1]["holds"]
