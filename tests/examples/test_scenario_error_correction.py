import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "examples" / "error_correction.py"


def figures(folder, *options):
    done = subprocess.run(
        (sys.executable, "-W", "error", "-B", SCRIPT, "--size", "small", "--json", *options),
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
        timeout=120,
        env={"PATH": ""},
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert list(folder.iterdir()) == []
    return json.loads(done.stdout)


@pytest.mark.slow
def test_logical_values_are_lost_in_a_millisecond_and_kept_in_a_microsecond(tmp_path):
    slow, quick = figures(tmp_path), figures(tmp_path, "--cycle-us", "1")
    for found, cycle_us in ((slow, 1000), (quick, 1)):
        assert found["cycle_us"] == pytest.approx(cycle_us)
        assert (found["memories"], found["late"]) == (200, 0)
    assert slow["failure"] == pytest.approx(0.5, abs=0.15)
    assert quick["failure"] < 0.05
