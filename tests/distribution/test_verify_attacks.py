"""Wrong circuits made by hand to slip past the proofs; each was once labelled proved, or crashed the verifier."""

from types import SimpleNamespace

import numpy as np
import pytest
from qiskit import QuantumCircuit
from qiskit.circuit import ClassicalRegister, Clbit, Gate, QuantumRegister
from qiskit.circuit.library import UnitaryGate

from hyperfabric_q.distribution import verify as verify_module
from hyperfabric_q.distribution.lower import BellPairGate
from hyperfabric_q.distribution.verify import verify
from hyperfabric_q.errors import VerificationFailed


@pytest.fixture(autouse=True)
def _no_branches(monkeypatch):
    """Leave these small circuits to the methods for wide ones."""
    monkeypatch.setattr(verify_module, "MAX_BRANCH_QUBITS", 0)


class Hardware:
    """One data qubit on each of two nodes, communication qubits, and the protocol steps by hand."""

    def __init__(self, *registers):
        a, half, b, copies = (
            QuantumRegister(1, "A_data"),
            QuantumRegister(1, "A_comm"),
            QuantumRegister(1, "B_data"),
            QuantumRegister(2, "B_comm"),
        )
        self.bits = ClassicalRegister(6, "A_proto")
        self.circuit = QuantumCircuit(a, half, b, copies, *registers, self.bits)
        self.a, self.half, self.b, self.copies = a[0], half[0], b[0], copies
        self._next = iter(self.bits)

    def spread(self, copy, *, pair=None, entangle=None, correct=None):
        bit, c = next(self._next), self.circuit
        c.append(pair or BellPairGate(), [self.half, copy])
        (entangle or (lambda: c.cx(self.a, self.half)))()
        c.measure(self.half, bit)
        with c.if_test((bit, 1)):
            c.append(correct, [copy]) if correct else c.x(copy)

    def release(self, copy):
        bit, c = next(self._next), self.circuit
        c.h(copy)
        c.measure(copy, bit)
        with c.if_test((bit, 1)):
            c.z(self.a)

    def gate_by_copy(self, angle, copy, **steps):
        self.spread(copy, **steps)
        self.circuit.cp(angle, copy, self.b)
        self.release(copy)

    def check(self, program):
        lowered = SimpleNamespace(circuit=self.circuit, entry=(0, 2), exit=(0, 2))
        return verify(SimpleNamespace(to_circuit=lambda: program), lowered, seed=1)


def program_with(first):
    program = QuantumCircuit(2, 1)
    first(program)
    program.u(0.3, 0.4, 0.5, 0)
    program.cp(0.9, 0, 1)
    return program


def hardware_for(program):
    return Hardware(*program.cregs)


FUTURE = {
    "phase": (lambda p: p.cp(0.7, 0, 1), lambda h, p: h.circuit.cp(0.7, h.copies[0], h.b)),
    "flip": (lambda p: p.x(0), lambda h, p: h.circuit.x(h.copies[0])),
    "measurement": (lambda p: p.measure(0, 0), lambda h, p: h.circuit.measure(h.copies[0], p.clbits[0])),
}


@pytest.mark.parametrize("what", FUTURE)
def test_a_gate_on_a_wire_that_is_no_copy_yet_is_not_credited_to_the_home(what):
    due, emitted = FUTURE[what]
    program = program_with(due)
    hardware = hardware_for(program)
    emitted(hardware, program)
    hardware.circuit.u(0.3, 0.4, 0.5, hardware.a)
    hardware.gate_by_copy(0.9, hardware.copies[0])
    with pytest.raises(VerificationFailed):
        hardware.check(program)


def test_a_gate_under_the_users_bit_is_not_ignored_by_the_stabilizer_proof():
    program = QuantumCircuit(2, 1)
    program.h(0)
    program.cz(0, 1)
    program.measure(0, 0)
    program.cx(0, 1)
    hardware = hardware_for(program)
    hardware.circuit.h(hardware.a)
    hardware.circuit.cz(hardware.a, hardware.b)
    hardware.circuit.measure(hardware.a, program.clbits[0])
    hardware.circuit.cx(hardware.a, hardware.b)  # cannot be cut into strands
    assert hardware.check(program).method == "stabilizer"
    with hardware.circuit.if_test((program.clbits[0], 1)):
        hardware.circuit.x(hardware.b)
    with pytest.raises(VerificationFailed):
        hardware.check(program)


class NamedLike(Gate):
    """A gate with a protocol gate's name and another matrix."""

    def __init__(self, name, matrix):
        super().__init__(name, int(np.log2(len(matrix))), [])
        self._is = np.asarray(matrix, dtype=complex)

    def __array__(self, dtype=None, copy=None):
        return self._is


class TurnedPair(Gate):
    """A gate called bell_pair that makes none."""

    def __init__(self):
        super().__init__("bell_pair", 2, [])

    def _define(self):
        self.definition = QuantumCircuit(2)
        self.definition.h(0)
        self.definition.cx(1, 0)


STEPS = {
    "a cx that is the identity": lambda h: {
        "entangle": lambda: h.circuit.append(NamedLike("cx", np.eye(4)), [h.a, h.half])
    },
    "an x that is S": lambda h: {"correct": NamedLike("x", np.diag([1, 1j]))},
    "a pair that is none": lambda h: {"pair": TurnedPair()},
    "rzz": lambda h: {"entangle": lambda: h.circuit.rzz(np.pi / 2, h.a, h.half)},
    "crx": lambda h: {"entangle": lambda: h.circuit.crx(0.3, h.a, h.half)},
}


@pytest.mark.parametrize("step", STEPS)
def test_protocol_steps_are_judged_by_what_they_do_and_not_by_name(step):
    program = QuantumCircuit(2)
    program.cp(0.9, 0, 1)
    hardware = Hardware()
    hardware.gate_by_copy(0.9, hardware.copies[0], **STEPS[step](hardware))
    try:
        verification = hardware.check(program)
    except VerificationFailed:
        return
    assert verification.label == "skipped"


def test_a_cx_given_as_a_matrix_is_a_cx():
    program = QuantumCircuit(2)
    program.cp(0.9, 0, 1)
    hardware = Hardware()
    cx = UnitaryGate(np.eye(4)[[0, 3, 2, 1]])
    hardware.gate_by_copy(
        0.9, hardware.copies[0], entangle=lambda: hardware.circuit.append(cx, [hardware.a, hardware.half])
    )
    assert hardware.check(program).label == "proved"


def test_registers_that_share_a_bit_may_not_be_taken_apart():
    shared, loose = Clbit(), Clbit()
    program = QuantumCircuit(2)
    program.add_bits([shared, loose])
    twins = [ClassicalRegister(name=name, bits=[shared]) for name in ("r1", "r2")]
    for register in twins:
        program.add_register(register)
    program.measure(0, shared)
    with program.if_test((twins[1], 1)):
        program.x(1)
    apart = [ClassicalRegister(1, name) for name in ("r1", "r2")]
    hardware = Hardware(*apart)
    hardware.circuit.measure(hardware.a, apart[0][0])
    with hardware.circuit.if_test((apart[1][0], 1)):
        hardware.circuit.x(hardware.b)
    with pytest.raises(VerificationFailed):
        hardware.check(program)


def test_many_small_deviations_are_not_tolerated():
    program, hardware = QuantumCircuit(2), Hardware()
    for _ in range(100):
        program.u(0.3, 0.4, 0.5, 0)
        hardware.circuit.u(0.3 + 9e-10, 0.4, 0.5, hardware.a)
    with pytest.raises(VerificationFailed):
        hardware.check(program)
