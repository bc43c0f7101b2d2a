"""The example secure_sharing.py runs from anywhere, warns of nothing, writes no file, and says what it promises."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "examples" / "secure_sharing.py"


@pytest.mark.parametrize("links", [1, 0])
def test_it_runs_and_tells_in_json(tmp_path, links):
    done = subprocess.run(
        (sys.executable, "-W", "error", "-B", SCRIPT, "--size", "small", "--links", str(links), "--json"),
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
    assert (told["scenario"], told["size"], told["seed"]) == ("secure_sharing", "small", 0)
    found = {each["name"]: each["value"] for each in told["figures"]}
    assert found["model opened unchanged"] == 1
    assert found["sealed by quantum_encrypt"] == links
    assert [each["holds"] for each in told["verdicts"]] == [bool(links), False]
    assert ("simulated, not secret" in told["notes"][0]) == bool(links)
