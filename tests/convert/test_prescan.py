"""The pre-scan counts what Qiskit then builds, and knows where each instruction stands."""

import math
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hyperfabric_q.convert import locate, prescan, read_qasm
from hyperfabric_q.errors import CircuitRejected

H2 = 'OPENQASM 2.0;\ninclude "qelib1.inc";\n'
H3 = 'OPENQASM 3.0;\ninclude "stdgates.inc";\n'

# A statement of each kind for OpenQASM 2 (registers q[3], r[3], c[3]) and the instructions that it makes.
STATEMENTS_2 = (
    ("h q[0];", 1),
    ("rz(-pi/8) r[2];", 1),
    ("u3(0.1,1e-3,pi) q[1];", 1),
    ("cx q[0],r[0];", 1),
    ("cx q,r;", 3),
    ("ccx q[0],q[1],q[2];", 1),
    ("x\n  r;", 3),
    ("barrier q;", 1),
    ("barrier q[0],r;", 1),
    ("measure q -> c;", 3),
    ("measure q[1]->c[1];", 1),
    ("reset r;", 3),
    ("if(c==2) x q;", 3),
    ("if (c==2) measure q[0]->c[0];", 1),
    ("// a comment; with h q;\n", 0),
    (";", 0),
    ("mine(0.3) q[0],r[0];", 1),
    ("mine(pi) q,r;", 3),
)
DEFINITIONS_2 = "gate mine(t) a,b { cx a,b; rz(t/2) b; barrier a; cx a,b; }\n"

STATEMENTS_3 = (
    ("h q[0];", 1),
    ("rz(-pi/8) r[2];", 1),
    ("cx q, r;", 3),
    ("cx q[{0, 1}], r[0:1];", 2),
    ("inv @ s q;", 3),
    ("ctrl @ x q[0], r[1];", 1),
    ("gphase(0.1);", 0),
    ("barrier q;", 1),
    ("barrier;", 1),
    ("c = measure q;", 3),
    ("c[1] = measure q[1];", 1),
    ("measure q[2] -> c[2];", 1),
    ("reset r;", 3),
    ("delay[10ns] q;", 3),
    ("if (c[0]) { x q; z r; }", 1),
    ("if (c == 3) x q[0];", 1),
    ("if (c[0]) { x q[0]; } else { z q[0]; }", 1),
    ("if (c[0]) { x q[0]; } else if (c[1]) { z q[0]; } else { h q; }", 1),
    ("for int i in [0:3] { rx(0.1) q[0]; }", 1),
    ("for uint i in {1, 5} { if (c[0]) { x q[0]; } }", 1),
    ("box { x q[0]; }", 1),
    ("/* h q;\n h q; */", 0),
    ("mine(0.3) q[0], r[0];", 1),
    ("mine(pi) q, r;", 3),
)
DEFINITIONS_3 = "gate mine(t) a, b { cx a, b; rz(t/2) b; cx a, b; }\n"


def check_places(head, rows):
    text, expected = head, []
    for statement, count in rows:
        line = text.count("\n") + 1
        expected += [(line, 1)] * count
        text += statement + "\n"
    report = prescan(text)
    circuit = read_qasm(text)
    assert report.instructions == len(expected) == len(circuit.data)
    assert report.qubits == circuit.num_qubits
    assert report.clbits == circuit.num_clbits
    assert [report.place(index) for index in range(len(expected))] == expected
    assert report.place(len(expected)) is None
    assert report.place(-1) is None


@given(st.lists(st.sampled_from(STATEMENTS_2), max_size=12))
@settings(deadline=None, derandomize=True, max_examples=60)
def test_each_instruction_of_openqasm_2_is_found_at_its_statement(rows):
    check_places(H2 + DEFINITIONS_2 + "qreg q[3]; qreg r[3]; creg c[3];\n", rows)


@given(st.lists(st.sampled_from(STATEMENTS_3), max_size=6))
@settings(deadline=None, derandomize=True, max_examples=40)
def test_each_instruction_of_openqasm_3_is_found_at_its_statement(rows):
    check_places(H3 + DEFINITIONS_3 + "qubit[3] q; qubit[3] r; bit[3] c;\n", rows)


def test_a_place_counts_lines_and_columns_from_one():
    text = "OPENQASM 2.0; qreg q[2]; U(0,0,0) q[0];\n  CX q[0],q[1];"
    assert locate(text, 0) == (1, 26)
    assert locate(text, 1) == (2, 3)
    assert locate(text, 2) is None


def test_the_expanded_gates_are_the_gates_of_the_decomposed_circuit():
    text = (
        H2 + "gate a x { h x; t x; }\ngate b x,y { a x; a y; cx x,y; }\nqreg q[4];\nqreg r[4];\nb q,r;\nh q;\na q[0];\n"
    )
    report = prescan(text)
    assert report.expanded_gates == 4 * 5 + 4 + 2
    circuit = read_qasm(text)
    assert sum(circuit.decompose(gates_to_decompose=["a", "b"], reps=2).count_ops().values()) == report.expanded_gates
    assert report.defined == {"a", "b"}


def test_a_loop_counts_its_turns():
    text = H3 + "qubit q;\nfor int i in [0:2:9] { for int j in {1, 2, 3} { x q; h q; } }\n"
    assert prescan(text).expanded_gates == 5 * 3 * 2


@pytest.mark.parametrize(
    ("angle", "value"),
    [
        ("2^3^2", 512.0),
        ("-2^2", -4.0),
        ("2^-1", 0.5),
        ("1-2-3", -4.0),
        ("8/4/2", 1.0),
        ("-2*3+1", -5.0),
        ("--2", 2.0),
        ("+3", 3.0),
        ("sin(pi/2)+cos(0)", 2.0),
        ("ln(exp(2))*sqrt(4)", 4.0),
        (".5+5.", 5.5),
        ("(1+2)*(3-(4))", -3.0),
    ],
)
def test_an_angle_is_folded_as_qiskit_folds_it(angle, value):
    """Our value shows through the number of ids that u0(n) stands for; Qiskit's is the parameter."""
    circuit = read_qasm(H2 + f"qreg q[1]; rx({angle}) q[0];")
    assert math.isclose(circuit.data[0].params[0], value)
    if value >= 1 and value.is_integer():
        assert prescan(H2 + f"qreg q[1]; u0({angle}) q[0];").expanded_gates == value


def test_an_angle_that_depends_on_the_arguments_is_checked_for_each_call():
    text = H2 + "gate g(t) a { rx(1/t) a; }\ngate k(t) a { g(t-2) a; }\nqreg q[1];\nk(1) q[0];\nk(3) q[0];\n"
    assert len(read_qasm(text).data) == 2
    with pytest.raises(CircuitRejected) as caught:
        read_qasm(text + "h q[0];\nk(2) q[0];\n")
    assert (caught.value.line, caught.value.column) == (9, 1)


def test_a_fault_names_the_word_at_fault():
    with pytest.raises(CircuitRejected) as caught:
        prescan(H2 + "qreg q[2];\nrx(1 + (2/0)) q[0];\n")
    assert (caught.value.line, caught.value.column) == (4, 10)
    with pytest.raises(CircuitRejected, match="Did you mean 'rzz'"):
        prescan(H2 + "qreg q[2];\nrzzz(1) q[0],q[1];\n")


def test_a_large_text_is_scanned_in_seconds():
    row = "cx q[{0}],q[59];\nu3(0.{0}25,pi/2,-1.5) q[{0}];\nt q[{0}];\nrz(3*pi/8) q[{0}];\n"
    text = H2 + "qreg q[60];\n" + "".join(row.format(i % 59) for i in range(59_000))
    begin = time.process_time()
    assert prescan(text).instructions == 236_000
    assert time.process_time() - begin < 3
