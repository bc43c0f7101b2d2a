"""The benchmark of the mixed planner in short: the chosen plan is no worse than the best plan of a single method."""

import importlib.util
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks" / "execution" / "mixed.py"
TRIALS = 200


@pytest.fixture(scope="module")
def benchmark():
    spec = importlib.util.spec_from_file_location("mixed_benchmark", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("name", "fidelity", "rate_hz", "shots"),
    [
        ("weak ring", 0.9, 20_000.0, 1_000),
        pytest.param("weak ring", 0.97, 20_000.0, 50_000, marks=pytest.mark.slow),
        pytest.param("waist", 0.97, 20_000.0, 50_000, marks=pytest.mark.slow),
        pytest.param("entangled chain", 0.9, 20_000.0, 50_000, marks=pytest.mark.slow),
    ],
)
def test_the_chosen_plan_is_no_worse_than_the_best_of_a_single_method(benchmark, name, fidelity, rate_hz, shots):
    row = benchmark.cell(name, fidelity, rate_hz, shots, TRIALS, {})
    assert float(row["worse"]) < 3
    # And it is as good as was forecast: the error measured has itself an error.
    forecast, found, stderr = (float(row[each]) for each in ("forecast", "mse", "mse_stderr"))
    assert abs(found - forecast) < 4 * stderr + 0.03 * forecast
    errors = [float(row[f"mse_{method}"]) for method in ("bell", "assisted", "gate_cut") if row[f"mse_{method}"]]
    assert len(errors) >= 2
    assert max(errors) > 1.2 * min(errors)  # the methods differ: there is something to choose
