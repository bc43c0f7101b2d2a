import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "examples" / "circuit_optimization.py"


@pytest.mark.slow
def test_a_circuit_larger_than_its_qpus_is_run_in_spite_of_that(tmp_path):
    done = subprocess.run(
        (sys.executable, "-W", "error", "-B", SCRIPT, "--size", "small", "--json"),
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        timeout=120,
        env={"PATH": ""},
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert list(tmp_path.iterdir()) == []
    found = json.loads(done.stdout)
    assert (found["qubits"], found["places"], found["shortfall"]) == (24, 18, 6)
    assert (found["verified"], found["shots"]) == ("proved", 200)
    assert found["bell_pairs"] >= 1
    assert "runs no gates" in found["told"][0]
