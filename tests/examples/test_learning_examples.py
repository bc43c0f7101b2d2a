"""The training examples run, learn, and keep up with classical models of their size."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


def told_by(script, folder, *options):
    done = subprocess.run(
        (sys.executable, "-W", "error", "-B", EXAMPLES / script, *options),
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
        timeout=120,
        env={"PYTHONIOENCODING": "utf-8", "PATH": ""},
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert list(folder.iterdir()) == []
    return done.stdout


def accuracies(told):
    return [float(share) for share in re.findall(r"^  .* ([01]\.\d{3})$", told, re.MULTILINE)]


@pytest.mark.slow
def test_tumours_are_told_apart_as_well_as_by_a_network_of_equal_size(tmp_path):
    told = told_by("learn_breast_cancer.py", tmp_path, "--splits", "1")
    first, last = map(float, re.search(r"loss (\S+) -> (\S+) in", told).groups())
    assert last < 0.3 * first
    assert float(re.search(r"differ by at most (\S+)", told)[1]) <= 1e-9
    circuit, _, network = accuracies(told)
    assert circuit >= 0.92
    assert circuit >= network - 0.03  # one split; the means of ten are in docs/learning.md


@pytest.mark.slow
def test_iris_is_learnt_in_a_loop_of_ones_own_whose_steps_are_accounted_for(tmp_path):
    told = told_by("learn_iris.py", tmp_path, "--splits", "1")
    first, last = map(float, re.search(r"loss (\S+) -> (\S+),", told).groups())
    assert last < 0.3 * first
    pairs, shots = (int(re.search(rf"([\d,]+) {what}", told)[1].replace(",", "")) for what in ("Bell pairs", "shots"))
    assert shots == 32 * 2 * 32 * 200  # samples, shifts of each weight, shots
    assert pairs % shots == 0
    assert pairs >= shots
    circuit, regression, network = accuracies(told)
    assert circuit >= 0.93
    assert circuit >= max(regression, network) - 0.05


@pytest.mark.slow
def test_training_over_two_nodes_and_undistributed_is_the_same_step_by_step(tmp_path):
    told = told_by("hybrid_training.py", tmp_path)
    assert float(re.search(r"from undistributed training: (\S+)", told)[1]) <= 1e-10
    assert float(re.search(r"right: (\S+)%", told)[1]) >= 85
    assert told.count("Bell pairs") >= 3
    first, *_, last = (float(value) for value in re.findall(r"^sum of Z (\S+)", told, re.MULTILINE))
    assert last < first


@pytest.mark.slow
def test_digits_are_learnt_by_the_pipeline_as_well_as_by_a_network_of_equal_size(tmp_path):
    told = told_by("learn_digits.py", tmp_path, "--splits", "1")
    first, last = map(float, re.search(r"loss (\S+) -> (\S+) in", told).groups())
    assert last < 0.2 * first
    pipeline, _, network = accuracies(told)
    assert pipeline >= 0.92
    assert pipeline >= network - 0.03
