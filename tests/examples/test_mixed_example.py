"""The example of the mixed planner runs from anywhere, warns of nothing, writes no file, and says what it promises."""

import re
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "examples" / "mixed.py"


@pytest.mark.slow
def test_a_poor_link_is_cut_and_more_shots_are_spent_on_bias(told_by):
    output = told_by(SCRIPT)
    told = output
    assert "gate cut of qubits 3, 4: qpu-0+qpu-1 -- qpu-2" in told
    forecasts = [float(each) for each in re.findall(r"rehearsed: error (\S+)", told)]
    found = [float(each) for each in re.findall(r"20 runs: error (\S+)", told)]
    assert len(forecasts) == len(found) == 2
    assert all(abs(a / b - 1) < 0.5 for a, b in zip(forecasts, found, strict=True))
    biases = [float(each) for each in re.findall(r"\(bias (\S+),", told)]
    assert biases[0] > 1e-3
    assert biases[1] < 1e-9
    assert "Without any pairs: <MixedPlan: 6 qubits by gate_cut" in told
    assert "Too much asked of too little: ising_6 (6 qubits) was to run within 1,000 shots, precision 0.001" in told
