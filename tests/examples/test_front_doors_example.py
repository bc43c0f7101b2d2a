"""The example of the front doors runs, and its doors agree."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "examples" / "front_doors.py"


@pytest.mark.slow
def test_the_five_doors_agree(tmp_path):
    done = subprocess.run(
        (sys.executable, "-W", "error", "-B", SCRIPT, "--shots", "300"),
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        timeout=120,
        env={"PYTHONIOENCODING": "utf-8", "PATH": ""},
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert list(tmp_path.iterdir()) == []
    shares = [float(value) for value in re.findall(r"^  \S.*?(\d\.\d{4})$", done.stdout, re.MULTILINE)]
    assert len(shares) == 5
    assert len(set(shares[:4])) == 1  # shots of the same run
    assert shares[4] == pytest.approx(shares[0], abs=5 * (0.27 * 0.73 / 300) ** 0.5)
    assert "at 0.00: +0.9" in done.stdout
    assert "3.14: -0.9" in done.stdout
