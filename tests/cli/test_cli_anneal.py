import json

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from hyperfabric_q.cli.anneal import anneal_command
from hyperfabric_q.workloads.annealing import public as annealing

app = typer.Typer()
app.command("anneal")(anneal_command)
runner = CliRunner()
MATRIX = np.array([[-1.0, 2.0, 0.0], [0.0, -1.5, 1.0], [0.0, 0.0, -0.25]])
TEXT = "# three variables\n0 0 -1\n0 1 2\n1 1 -1.5\n1 2 1\n2 2 -0.25\n"


def call(*words, given=None):
    return runner.invoke(app, [str(word) for word in words], input=given)


def test_coo_text_and_a_dimod_file_and_stdin_give_the_same_json_object(tmp_path):
    text, file = tmp_path / "p.coo", tmp_path / "p.bqm"
    text.write_text(TEXT)
    file.write_bytes(annealing.file_bytes(annealing.read_problem(MATRIX)))
    ways = [
        call(text, "--seed", 1, "--json"),
        call(file, "--seed", 1, "--json"),
        call("-", "--seed", 1, "--json", given=TEXT),
    ]
    for outcome in ways:
        assert outcome.exit_code == 0, outcome.stderr
        assert outcome.stderr == ""
    first, *rest = [json.loads(outcome.stdout) for outcome in ways]
    assert all(other == first for other in rest)
    assert first["schema"] == "hyperfabric_q/anneal/1"
    assert first["energy"] == first["bound"] == -1.5
    assert first["sample"] == {"0": 0, "1": 1, "2": 0}
    assert (first["gap"], first["feasible"], first["solver"]) == (0.0, True, "exact")


def test_a_node_of_a_fabric_file_takes_its_time_or_refuses_what_is_too_large(tmp_path):
    from hyperfabric_q import Fabric, HardwareType, NodeSignature

    node = NodeSignature(
        "annealer", HardwareType.QUANTUM_ANNEALER, 5, 100, metadata={"qubits": 40, "topology": "chimera"}
    )
    path = tmp_path / "fabric.toml"
    path.write_text(Fabric(nodes=[node]).to_toml())
    found = json.loads(call("-", "--fabric", path, "--node", "annealer", "--json", given=TEXT).stdout)
    assert found["times"]["total_ns"] == pytest.approx(15_760e3 + 100 * 85.86e3)
    assert (found["solver"], found["energy"]) == ("simulated_annealing", -1.5)
    wide = "\n".join(f"{a} {b} 1" for a in range(30) for b in range(a))
    refused = call("-", "--fabric", path, "--node", "annealer", "--json", given=wide)
    assert refused.exit_code == 3
    assert "at least 210 qubits" in refused.stderr
    assert "40 qubits" in refused.stderr


@pytest.mark.parametrize(
    ("words", "given", "said"),
    [
        (["-"], "0 0\n", "line 1"),
        (["-"], "", "nothing to decide"),
        (["no-such-file"], None, "cannot read"),
        (["-"], b"\xff\xfe\x00", "neither a dimod file nor text"),
        (["-", "--node", "a"], TEXT, "--fabric"),
        (["-"], b"DIMODBQM", "no dimod file"),
    ],
)
def test_wrong_input_is_said_and_exits_with_2(words, given, said):
    outcome = call(*words, given=given)
    assert outcome.exit_code == 2
    assert said in outcome.stderr
    assert outcome.stdout == ""


def test_text_says_how_good_the_answer_is():
    outcome = call("-", "--seed", 1, given=TEXT)
    assert "the optimum" in outcome.stdout
    assert "1=1" in outcome.stdout
