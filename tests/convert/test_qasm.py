"""Good texts read as what they say; bad ones name the place; files are told apart by what they hold."""

import os
import pickle

import numpy as np
import pytest
from qiskit import QuantumCircuit, qasm2, qpy
from qiskit.circuit.library import efficient_su2
from qiskit.quantum_info import Operator, random_unitary

from hyperfabric_q.convert import read_circuit, read_qasm, write_qasm3
from hyperfabric_q.errors import CircuitRejected, FileUnreadable, InvalidValue

H2 = 'OPENQASM 2.0;\ninclude "qelib1.inc";\n'
H3 = 'OPENQASM 3.0;\ninclude "stdgates.inc";\n'

EXTENDED = {
    "u": (3, 1), "p": (1, 1), "sx": (0, 1), "sxdg": (0, 1), "swap": (0, 2), "csx": (0, 2), "crx": (1, 2), "cry": (1, 2),
    "crz": (1, 2), "cp": (1, 2), "cu1": (1, 2), "cu": (4, 2), "cu3": (3, 2), "rxx": (1, 2), "rzz": (1, 2),
    "cswap": (0, 3), "ccx": (0, 3), "rccx": (0, 3), "c3x": (0, 4), "c4x": (0, 5),
}  # fmt: skip


@pytest.mark.parametrize("name", EXTENDED)
def test_the_gates_of_the_extended_library_are_known(name):
    angles, width = EXTENDED[name]
    arguments = f"({','.join(str(0.1 * (i + 1)) for i in range(angles))})" if angles else ""
    circuit = read_qasm(H2 + f"qreg q[5];\n{name}{arguments} {','.join(f'q[{i}]' for i in range(width))};\n")
    (instruction,) = circuit.data
    assert len(instruction.qubits) == width
    assert instruction.operation.base_class.__module__.startswith("qiskit.circuit.library")


def test_a_circuit_that_qiskit_writes_reads_back_as_the_same_operator():
    circuit = QuantumCircuit(3)
    circuit.compose(efficient_su2(3, reps=1).assign_parameters(np.linspace(0.1, 2, 12)).decompose(), inplace=True)
    circuit.rzx(0.3, 0, 2)
    circuit.ecr(1, 2)
    circuit.unitary(random_unitary(4, seed=1), [0, 2])
    circuit.iswap(0, 1)
    circuit.ryy(0.4, 1, 2)
    circuit.append(QuantumCircuit(2, name="mine").to_gate(), [0, 1])
    again = read_qasm(qasm2.dumps(circuit))
    assert Operator(again).equiv(Operator(circuit))


def test_a_definition_in_the_text_wins_over_the_gate_of_that_name():
    text = "OPENQASM 2.0;\ngate h a { U(0,0,pi) a; }\nqreg q[1];\nh q[0];\n"
    assert np.allclose(Operator(read_qasm(text)).data, np.diag([1, -1]))
    text = H2 + "gate swap a,b { cx a,b; }\nqreg q[2];\nswap q[0],q[1];\n"
    expected = QuantumCircuit(2)
    expected.cx(0, 1)
    assert Operator(read_qasm(text)) == Operator(expected)


def test_conditions_and_measurements_are_kept():
    circuit = read_qasm(H2 + "qreg q[2];\ncreg c[2];\nmeasure q -> c;\nif(c==3) x q[0];\nreset q[1];\n")
    assert [each.name for each in circuit.data] == ["measure", "measure", "if_else", "reset"]
    register, value = circuit.data[2].operation.condition
    assert (register.name, value) == ("c", 3)


def test_openqasm_3_branches_loops_and_registers_are_kept():
    circuit = read_qasm(
        H3 + "qubit[2] a_data;\nbit[1] proto;\nh a_data[0];\nproto[0] = measure a_data[0];\n"
        "if (proto[0]) { x a_data[1]; } else { z a_data[1]; }\nfor int i in [0:3] { rx(0.5) a_data[1]; }\n"
    )
    assert [each.name for each in circuit.data] == ["h", "measure", "if_else", "for_loop"]
    assert circuit.qregs[0].name == "a_data"
    assert list(circuit.data[3].operation.params[0]) == [0, 1, 2, 3]


def test_a_written_circuit_reads_back_equal():
    circuit = QuantumCircuit(3, 2)
    circuit.h(0)
    circuit.cp(0.25, 0, 1)
    circuit.u(0.1, 0.2, 0.3, 2)
    circuit.measure(0, 0)
    with circuit.if_test((circuit.clbits[0], 1)):
        circuit.x(1)
    circuit.reset(0)
    text = write_qasm3(circuit)
    again = read_qasm(text)
    assert write_qasm3(again) == text
    assert again.count_ops() == circuit.count_ops()


def test_writing_refuses_what_is_no_circuit():
    with pytest.raises(InvalidValue):
        write_qasm3("OPENQASM 3.0;")


@pytest.mark.parametrize(
    ("text", "line", "column"),
    [
        (H2 + "qreg q[2];\n  cx q[0],q[0];\n", 4, 3),
        (H2 + "qreg q[2];\nh r[0];\n", 4, 3),
        (H2 + "qreg q[2];\nfoo q[0];\n", 4, 1),
        (H2 + "qreg q[2];\nrx q[0];\n", 4, 1),
        (H3 + "qubit[2] q;\n  cx q[0];\n", 4, 3),
        (H2 + "qreg q[2];\nif(3) x q[0];\n", 4, 1),
        (H3 + "qubit[2] q;\nh q[0];\nh q[7];\n", 5, 1),
        (H3 + "qubit[2] q;\nbit c;\nif (c) {\n  h q[7];\n}\n", 6, 3),
        (H3 + "qubit[2] q;\n\nfoo q[0];\n", 5, 1),
        (H3 + "qubit[2] q;\nh r[0];\n", 4, 1),
        (H3 + "qubit[2] q;\nh q[0] q[1];\n", 4, 8),
        (H3 + "qubit[2] q;\nrx(0.5 q[0];\n", 4, 12),
    ],
)
def test_a_fault_names_line_and_column(text, line, column, capfd):
    with pytest.raises(CircuitRejected) as caught:
        read_qasm(text, source="bad.qasm")
    assert caught.value.line == line
    assert caught.value.column == column
    assert str(caught.value).startswith(f"bad.qasm:{line}:{column}: ")
    assert capfd.readouterr() == ("", "")


def test_an_interrupt_is_not_swallowed(monkeypatch):
    for kind in (KeyboardInterrupt, SystemExit):

        def interrupted(*_arguments, _kind=kind, **_options):
            raise _kind

        monkeypatch.setattr(qasm2, "loads", interrupted)
        with pytest.raises(kind):
            read_qasm(H2 + "qreg q[1];")


def test_a_panic_of_the_parser_becomes_a_typed_error(monkeypatch):
    class Panic(BaseException):
        pass

    def panics(*_arguments, **_options):
        raise Panic("called unwrap on None")

    monkeypatch.setattr(qasm2, "loads", panics)
    with pytest.raises(CircuitRejected, match="called unwrap on None"):
        read_qasm(H2 + "qreg q[1];")


def test_windows_line_ends_and_a_byte_order_mark_are_read(tmp_path):
    path = tmp_path / "c.qasm"
    path.write_bytes(b"\xef\xbb\xbf" + (H2 + "qreg q[2];\nh q;\n// done\n").replace("\n", "\r\n").encode())
    assert len(read_circuit(path).data) == 2


def test_a_file_is_told_by_its_content(tmp_path):
    circuit = QuantumCircuit(2)
    circuit.h(0)
    for name, content in (("a.txt", H2 + "qreg q[1];\nh q;"), ("b.inc", H3 + "qubit[1] q;\nh q;")):
        (tmp_path / name).write_text(content)
        assert read_circuit(tmp_path / name).count_ops() == {"h": 1}
    with (tmp_path / "c.dat").open("wb") as stream:
        qpy.dump(circuit, stream)
    assert read_circuit(tmp_path / "c.dat") == circuit


@pytest.mark.parametrize("name", ["c.pkl", "c.qasm", "c"])
def test_a_pickle_is_never_loaded(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(pickle.dumps({"a": 1}))
    with pytest.raises(FileUnreadable, match="pickle"):
        read_circuit(path)


def test_what_is_no_circuit_file_is_refused(tmp_path):
    (tmp_path / "binary.qasm").write_bytes(b"\x7fELF\0\0\0\0")
    (tmp_path / "latin.qasm").write_bytes(b"OPENQASM 2.0; // \xe9")
    for path, says in (
        (tmp_path, "folder"),
        (tmp_path / "missing.qasm", "no such file"),
        (tmp_path / "binary.qasm", "binary"),
        (tmp_path / "latin.qasm", "UTF-8"),
        ("/dev/null", "regular"),
        ("a\0b", "null"),
        ("x" * 5000, "too long"),
    ):
        with pytest.raises(FileUnreadable, match=says):
            read_circuit(path)
    (tmp_path / "empty.qasm").write_text("")
    with pytest.raises(CircuitRejected, match=r"empty\.qasm: the text is empty"):
        read_circuit(tmp_path / "empty.qasm")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_named_pipe_does_not_hang_the_reader(tmp_path):
    os.mkfifo(tmp_path / "pipe.qasm")
    with pytest.raises(FileUnreadable, match="regular"):
        read_circuit(tmp_path / "pipe.qasm")
