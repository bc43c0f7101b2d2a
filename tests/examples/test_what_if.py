"""The example of a sweep runs from anywhere, warns of nothing, writes no file, and says what it promises."""

import re
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "examples" / "what_if.py"


@pytest.mark.slow
def test_better_pairs_and_faster_ones_both_help_and_the_cause_changes(told_by):
    output = told_by(SCRIPT, "--shots", "200")
    assert "12 points, 1 plan, 2 e-bits, 0 failed" in output
    rows = re.findall(r"([\d,]+) pairs/s  ((?: +0\.\d{3}){4})", output)
    grid = [[float(each) for each in row.split()] for _, row in rows]
    assert len(grid) == 3
    assert all(row[0] < row[-1] for row in grid)
    assert all(slow < fast for slow, fast in zip(grid[0], grid[-1], strict=True))
    assert "idle costs most" in output
    assert "link costs most" in output
    assert "A point that cannot be: pair_fidelity = 0.5" in output
