"""One door for circuits: Qiskit, Cirq, text and paths."""

import subprocess
import sys

import cirq
import pytest
from qiskit import QuantumCircuit

from hyperfabric_q.convert import accept
from hyperfabric_q.errors import CircuitRejected, FileUnreadable, InvalidValue

TEXT = "// made by hand\nOPENQASM 2.0;\nqreg q[2];\nCX q[0],q[1];\n"


def test_each_kind_of_circuit_is_accepted(tmp_path):
    circuit = QuantumCircuit(2)
    circuit.cx(0, 1)
    assert accept(circuit) is circuit
    path = tmp_path / "c.qasm"
    path.write_text(TEXT)
    a, b = cirq.LineQubit.range(2)
    moments = cirq.Circuit(cirq.CX(a, b))
    for source in (TEXT, path, str(path), moments, moments.freeze()):
        assert accept(source).count_ops() == {"cx": 1}


@pytest.mark.parametrize("source", [None, 3, b"OPENQASM 2.0;", ["h"], cirq.X, "", "h q[0];\ncx q[0],q[1];"])
def test_anything_else_is_refused_with_what_is_accepted(source):
    with pytest.raises(InvalidValue, match=r"OPENQASM|OpenQASM"):
        accept(source)


def test_a_bad_text_and_a_missing_file_are_told_apart():
    with pytest.raises(CircuitRejected):
        accept("OPENQASM 2.0;\nfoo;")
    with pytest.raises(FileUnreadable):
        accept("nothing/here.qasm")


def test_importing_the_room_loads_neither_cirq_nor_the_openqasm_3_parser():
    code = (
        "import sys, hyperfabric_q.convert as c; c.read_qasm('OPENQASM 2.0;qreg q[1];');"
        "print([m for m in ('cirq', 'antlr4', 'stim') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "[]"
