"""``hyperfabric-q train``: a file in, a table or one JSON object out, and faults named with their lines."""

import json
import shutil
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from hyperfabric_q.cli.train import train_command

pytest.importorskip("sklearn")
EXAMPLES = Path(__file__).parents[2] / "examples" / "train"

app = typer.Typer()
app.command()(train_command)
runner = CliRunner()


@pytest.fixture
def folder(tmp_path):
    """A copy of the examples."""
    shutil.copytree(EXAMPLES, tmp_path / "train")
    return tmp_path / "train"


def call(*words):
    return runner.invoke(app, [str(word) for word in words])


@pytest.mark.parametrize("name", ["iris_data_parallel", "breast_cancer_model_parallel"])
def test_examples_train_and_tell_where_the_time_went(name):
    answer = call(EXAMPLES / f"{name}.toml", "--steps", 3, "--json", "--seed", 5)
    assert answer.exit_code == 0, answer.stderr
    told = json.loads(answer.stdout)
    assert (told["schema"], told["steps"], told["seed"], told["stopped"]) == ("hyperfabric_q/train/1", 3, 5, "steps")
    assert told["rows"][-1]["loss"] < told["rows"][0]["loss"]
    for row in told["rows"]:
        parts = row["quantum_ns"] + row["network_ns"] + row["classical_ns"] + row["waiting_ns"]
        assert parts == pytest.approx(row["end_ns"] - row["start_ns"], rel=1e-9)
        assert row["shots"] > 0
        assert (row["pairs"] > 0) == (name == "breast_cancer_model_parallel")
    assert 0 <= told["scores"]["test"] <= 1


def test_text_shows_a_table_and_a_state_goes_on(tmp_path):
    file = EXAMPLES / "iris_data_parallel.toml"
    answer = call(file, "--steps", 15, "--checkpoint", tmp_path)
    assert answer.exit_code == 0, answer.stderr
    assert answer.stdout.splitlines()[0].split()[:2] == ["step", "loss"]
    assert "15 steps" in answer.stdout
    assert "test score" in answer.stdout
    longer = json.loads(call(file, "--steps", 18, "--checkpoint", tmp_path, "--json").stdout)
    fresh = json.loads(call(file, "--steps", 18, "--json").stdout)
    assert longer == fresh
    refused = call(file, "--steps", 18, "--checkpoint", tmp_path, "--seed", 1)
    assert refused.exit_code == 2
    assert "another" in refused.stderr or "other" in refused.stderr


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        ("qubits = 4", "qbits = 4", "qubits"),
        ("steps = 60", 'steps = "many"', "whole number"),
        ('parallel = "data"', 'parallel = "both"', "both"),
        ('gpu = "gpu"', 'gpu = "cpu"', "cpu"),
        ("learning_rate = 0.1", "learning_rate = -1.0", "above zero"),
        ("learning_rate = 0.1", "momentum = 0.5", "sgd"),
        ('name = "iris"', 'name = "irs"', "iris"),
        ("test_share = 0.3", "test_share = 3.0", "test_share"),
        ("[model]", "[model", "TOML"),
        ("version = 1", "version = 7", "format 7"),
        ("batch_size = 35", "batch_size = 0", "batch_size"),
        ("qubits = 4", "qubits = 0", "qubits"),
        ("charged_shots = 200", "shots = 1", "shots"),
    ],
)
def test_faults_are_named_with_their_lines(folder, before, after, told):
    file = folder / "iris_data_parallel.toml"
    text = file.read_text()
    line = text[: text.index(before)].count("\n") + 1
    file.write_text(text.replace(before, after))
    answer = call(file)
    assert answer.exit_code == 2, answer.stdout
    assert told in answer.stderr
    assert f"{file}:{line}:" in answer.stderr


def test_missing_files_are_wrong_input_and_small_nodes_have_no_solution(folder):
    assert call(folder / "none.toml").exit_code == 2
    assert call(folder).exit_code == 2
    file = folder / "breast_cancer_model_parallel.toml"
    (folder / "two_qpus.toml").write_text((folder / "two_qpus.toml").read_text().replace("units = 4", "units = 2"))
    answer = call(file, "--json")
    assert answer.exit_code == 3
    assert json.loads(answer.stderr.splitlines()[-1])["schema"] == "hyperfabric_q/error/1"
