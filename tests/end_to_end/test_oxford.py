"""The Oxford experiment: what one parameter, fitted on the teleported CZ, predicts for the other circuits."""

import importlib.util
import json
import sys
from pathlib import Path

import numpy as np
import pytest

EXAMPLE = Path(__file__).parents[2] / "examples" / "oxford_two_module.py"


@pytest.fixture(scope="module")
def oxford():
    spec = importlib.util.spec_from_file_location("oxford_two_module", EXAMPLE)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


@pytest.fixture(scope="module")
def predictions(oxford):
    return {name: oxford.predict(name) for name in oxford.MODELS}


@pytest.mark.parametrize("model", ["depolarising", "dephasing"])
def test_grover_is_predicted_within_four_hundredths(predictions, model):
    assert predictions[model].cz == pytest.approx(0.862, abs=1e-9)
    assert predictions[model].predicted["grover"] == pytest.approx(0.71, abs=0.04)


@pytest.mark.parametrize("model", ["depolarising", "dephasing"])
def test_swap_fits_and_iswap_is_overestimated_by_either_model(predictions, model):
    found = predictions[model]
    assert found.predicted["swap"] == pytest.approx(0.64, abs=0.04)
    assert 0.04 < found.deviation["iswap"] < 0.06
    assert found.pairs == {"grover": 2, "iswap": 2, "swap": 3}


def test_pair_alone_gives_the_teleported_cz_its_fidelity(oxford):
    cz = oxford.planned(oxford.teleported_cz())
    for model in oxford.MODELS.values():
        assert oxford.average_fidelity(cz, model, 0.0, 0.0) == pytest.approx((4 * 0.9689 + 1) / 5, abs=1e-12)


def test_phase_errors_have_a_closed_form(predictions):
    # Every phase error ends as Z on one, the other or both outputs of the CZ, equally likely: one number per CZ.
    kept = (4 * (5 * 0.862 - 1) / 4 - 1) / 3
    found = predictions["dephasing"]
    assert found.predicted["grover"] == pytest.approx((1 + 3 * kept**2) / 4, abs=1e-9)
    pair = (4 * 0.9689 - 1) / 3
    assert found.infidelity == pytest.approx((1 - np.sqrt(kept / pair)) * 3 / 4 * 4 / 5, abs=1e-9)


def test_running_the_search_shows_what_is_predicted(oxford, predictions):
    found = predictions["depolarising"]
    noisy = oxford.MODULES.replace("nodes.*", gate_error_2q=found.infidelity)
    plan = oxford.hq.plan(oxford.grover(2), noisy, homes=["qpu-0", "qpu-1"], seed=1)
    shots = 40_000
    seen = plan.run(shots, noise="fabric", seed=5).counts["10"] / shots
    assert seen == pytest.approx(found.predicted["grover"], abs=5 * np.sqrt(0.25 / shots))


def test_misreading_alone_costs_each_figure_what_it_should(oxford):
    cz, search = oxford.planned(oxford.teleported_cz()), oxford.planned(oxford.grover(3))
    exact = lambda plan, infidelity: plan.lowered.circuit  # noqa: E731
    assert oxford.average_fidelity(cz, exact, 0.0, 0.01) == pytest.approx((4 * (1 - 0.015) ** 2 + 1) / 5, abs=1e-12)
    assert oxford.success(search, 3, exact, 0.0, 0.01) == pytest.approx(0.99**2, abs=1e-12)


def test_example_prints_its_numbers_as_json(oxford, predictions, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["oxford_two_module.py", "--json"])
    monkeypatch.setattr(oxford, "predict", lambda name, spam: predictions[name])
    oxford.main()
    row = json.loads(capsys.readouterr().out)[1]
    assert row["model"] == "dephasing"
    assert row["deviation"]["grover"] == pytest.approx(row["predicted"]["grover"] - 0.71)
