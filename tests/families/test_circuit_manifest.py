"""The circuit files of the repository are what their manifest says."""

import csv
import shutil
from pathlib import Path

import pytest
from qiskit import qasm2
from qiskit.quantum_info import Statevector

from hyperfabric_q.errors import FileUnreadable
from hyperfabric_q.families import generate, manifest

CIRCUITS = Path(__file__).parents[2] / "circuits"
ROWS = {row["name"]: row for row in manifest.read(CIRCUITS)}


@pytest.fixture
def copy(tmp_path):
    shutil.copytree(CIRCUITS, tmp_path / "circuits")
    return tmp_path / "circuits"


def load(row):
    return qasm2.load(CIRCUITS / row["path"], custom_instructions=qasm2.LEGACY_CUSTOM_INSTRUCTIONS)


def classical_answer(circuit):
    wires, reading = dict.fromkeys(circuit.qubits, 0), dict.fromkeys(circuit.clbits, 0)
    for step in circuit.data:
        *controls, target = step.qubits
        if step.operation.name == "measure":
            reading[step.clbits[0]] = wires[target]
        else:
            wires[target] ^= int(all(wires[control] for control in controls))
    return "".join(str(reading[bit]) for bit in reversed(circuit.clbits))


def test_every_file_regenerates_byte_for_byte_and_every_row_is_true():
    assert manifest.check(CIRCUITS) == ()


def test_writing_twice_changes_nothing(copy):
    before = {path: path.read_bytes() for path in copy.rglob("*") if path.is_file()}
    manifest.write(copy)
    assert {path: path.read_bytes() for path in copy.rglob("*") if path.is_file()} == before


def test_check_names_each_fault(copy):
    (copy / "ghz_8.qasm").write_text((CIRCUITS / "ghz_8.qasm").read_text().replace("q[3],q[4]", "q[3],q[5]"))
    (copy / "bell.qasm").unlink()
    (copy / "stranger.qasm").write_text("OPENQASM 2.0;\n")
    (copy / "peers" / "qv_32.qasm").unlink()
    shutil.copy(copy / "peers" / "qft_16.qasm", copy / "peers" / "fresh.qasm")
    toml = (copy / "MANIFEST.toml").read_text()
    (copy / "MANIFEST.toml").write_text(toml.replace("two_qubit_gates = 199", "two_qubit_gates = 198"))
    assert sorted(manifest.check(copy)) == [
        "MANIFEST.toml: peers/fresh.qasm has no row",
        "MANIFEST.toml: peers/qv_32.qasm does not exist",
        "MANIFEST.toml: the row of ghz_200.qasm is wrong",
        "bell.qasm is missing",
        "ghz_8.qasm is not what its generator writes",
        "stranger.qasm has no recipe",
    ]


def test_every_own_file_opens_with_its_header_and_its_call():
    for row in ROWS.values():
        if row["origin"] != manifest.PEER_ORIGIN:
            lines = (CIRCUITS / row["path"]).read_text().splitlines()
            assert lines[:2] == ["OPENQASM 2.0;", 'include "qelib1.inc";']
            assert lines[2] == f"// hyperfabric_q.families.{row['origin']}"


def test_rows_agree_with_the_files_as_qiskit_reads_them():
    for row in ROWS.values():
        circuit = load(row)
        assert circuit.num_qubits == row["qubits"]
        assert bool(circuit.clbits) == row["measured"]
        # By hand, not by two_qubit_gates: the Toffoli is the only wider gate here, and it takes six CX.
        wide = sum(len(step.qubits) == 3 for step in circuit.data)
        narrow = sum(len(step.qubits) == 2 and step.operation.name != "barrier" for step in circuit.data)
        assert narrow + 6 * wide == row["two_qubit_gates"]


def test_a_row_holds_the_arguments_of_its_generator():
    for row in ROWS.values():
        if "family" in row and row["qubits"] <= 16:
            again = generate(
                row["family"],
                row["qubits"],
                seed=row.get("seed"),
                options=row.get("options", {}),
                measured=row["measured"],
            )
            assert qasm2.dumps(again).splitlines()[2:] == (CIRCUITS / row["path"]).read_text().splitlines()[3:]


def test_promised_answers_are_what_the_circuits_read():
    answers = {name: row["answer"] for name, row in ROWS.items() if "answer" in row}
    assert len(answers) >= 7
    for name, answer in answers.items():
        circuit = load(ROWS[name])
        if "adder" in name:
            assert classical_answer(circuit) == answer
        else:
            state = Statevector(circuit.remove_final_measurements(inplace=False))
            measured = list(range(len(answer)))
            assert state.probabilities(measured)[int(answer, 2)] == pytest.approx(1, abs=1e-9)


def test_e_bit_counts_are_the_least_of_the_published_table():
    with (CIRCUITS / "peers" / "ebits.csv").open() as lines:
        table = list(csv.DictReader(lines))
    for line in table:
        row, network = ROWS[f"peers/{line['circuit']}"], line["network"]
        peers = [float(line[column]) for column in ("pytket_dqc_ebits", "disqco_ebits") if line[column]]
        assert row["peer_ebits"][network] == min(peers)
        assert row["best_known_ebits"][network] == min(*peers, float(line["target_ebits"]))
    assert sum(len(row.get("peer_ebits", {})) for row in ROWS.values()) == len(table)


def test_faults_of_a_folder_are_typed(tmp_path):
    with pytest.raises(FileUnreadable, match="not a folder"):
        manifest.write(tmp_path / "none")
    with pytest.raises(FileUnreadable, match=r"MANIFEST\.toml"):
        manifest.read(tmp_path)
    (tmp_path / "MANIFEST.toml").write_text("circuit = [1]")
    with pytest.raises(FileUnreadable, match="a row has no path"):
        manifest.read(tmp_path)
    (tmp_path / "peers").mkdir()
    (tmp_path / "peers" / "ebits.csv").write_text("circuit,network\nx,full9\n")
    with pytest.raises(FileUnreadable, match="full9"):
        manifest.write(tmp_path)
    (tmp_path / "peers" / "ebits.csv").unlink()
    (tmp_path / "peers" / "bad.qasm").write_text("OPENQASM 2.0; qreg q[")
    with pytest.raises(FileUnreadable):
        manifest.write(tmp_path)
