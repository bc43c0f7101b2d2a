"""The example of the front doors runs, and its doors agree."""

import re
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "examples" / "front_doors.py"


@pytest.mark.slow
def test_the_five_doors_agree(told_by):
    output = told_by(SCRIPT, "--shots", "300")
    shares = [float(value) for value in re.findall(r"^  \S.*?(\d\.\d{4})$", output, re.MULTILINE)]
    assert len(shares) == 5
    assert len(set(shares[:4])) == 1  # shots of the same run
    assert shares[4] == pytest.approx(shares[0], abs=5 * (0.27 * 0.73 / 300) ** 0.5)
    assert "at 0.00: +0.9" in output
    assert "3.14: -0.9" in output
