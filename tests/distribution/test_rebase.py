"""Rebase: the program is the circuit, with as few controlled phases as its gates allow."""

import math

import numpy as np
import pytest
from qiskit import ClassicalRegister, QuantumCircuit, QuantumRegister
from qiskit.circuit import (
    AnnotatedOperation,
    Clbit,
    ControlModifier,
    Gate,
    InverseModifier,
    Parameter,
    PowerModifier,
    Qubit,
)
from qiskit.circuit import library as lib
from qiskit.circuit.classical import expr
from qiskit.quantum_info import Operator, random_clifford, random_unitary

from hyperfabric_q.distribution import rebase as module
from hyperfabric_q.distribution.program import Kind
from hyperfabric_q.distribution.rebase import rebase
from hyperfabric_q.errors import InvalidValue, UnsupportedOperation

ONE = [
    lib.HGate(),
    lib.XGate(),
    lib.YGate(),
    lib.ZGate(),
    lib.SGate(),
    lib.SdgGate(),
    lib.TGate(),
    lib.SXGate(),
    lib.SXdgGate(),
    lib.IGate(),
    lib.RXGate(0.3),
    lib.RYGate(-2.1),
    lib.RZGate(4.0),
    lib.PhaseGate(-0.7),
    lib.U1Gate(0.4),
    lib.UGate(0.1, 0.2, 0.3),
    lib.U2Gate(1.0, 2.0),
    lib.U3Gate(3.0, 2.0, 1.0),
    lib.RGate(0.3, 0.4),
    lib.RVGate(0.1, 0.2, 0.3),
]
TWO = [
    lib.CXGate(),
    lib.CYGate(),
    lib.CZGate(),
    lib.CHGate(),
    lib.CSGate(),
    lib.CSdgGate(),
    lib.CSXGate(),
    lib.CRXGate(0.3),
    lib.CRYGate(0.4),
    lib.CRZGate(0.5),
    lib.CPhaseGate(0.6),
    lib.CU1Gate(0.7),
    lib.CUGate(0.1, 0.2, 0.3, 0.4),
    lib.CU3Gate(0.5, 0.6, 0.7),
    lib.RXXGate(0.8),
    lib.RYYGate(0.9),
    lib.RZZGate(1.0),
    lib.RZXGate(1.1),
    lib.ECRGate(),
    lib.SwapGate(),
    lib.iSwapGate(),
    lib.DCXGate(),
    lib.XXPlusYYGate(0.3, 0.4),
    lib.XXMinusYYGate(0.5, 0.6),
    lib.CXGate(ctrl_state=0),
    lib.CPhaseGate(0.3, ctrl_state=0),
    lib.CUGate(0.1, 0.2, 0.3, 0.4, ctrl_state=0),
]
MORE = [
    lib.CCXGate(),
    lib.CCZGate(),
    lib.CSwapGate(),
    lib.RCCXGate(),
    lib.CCXGate(ctrl_state=1),
    lib.C3SXGate(),
    lib.RC3XGate(),
    lib.MCXGate(3, ctrl_state=5),
    lib.MCPhaseGate(0.3, 3),
    lib.PauliGate("XYZ"),
    lib.DiagonalGate([1, 1j, -1, 1, 1, 1, -1j, 1]),
    lib.QFTGate(3),
]


def alone(gate, qubits=None):
    circuit = QuantumCircuit(qubits or gate.num_qubits)
    circuit.append(gate, range(gate.num_qubits))
    return circuit


def unitary(program):
    """The unitary of a program, multiplied up from its arrays."""
    size, total = program.qubits, np.eye(2**program.qubits, dtype=complex)
    for row in range(len(program)):
        kind, (theta, phi, lam), first = program.kind[row], program.angles[row], program.first[row]
        if kind == Kind.CP:
            pair = 1 << first | 1 << program.second[row]
            index = np.arange(2**size)
            total = np.where(index & pair == pair, np.exp(1j * theta), 1.0)[:, None] * total
            continue
        if kind == Kind.U:
            cos, sin = math.cos(theta / 2), math.sin(theta / 2)
            matrix = np.array(
                [[cos, -np.exp(1j * lam) * sin], [np.exp(1j * phi) * sin, np.exp(1j * (phi + lam)) * cos]]
            )
        else:
            matrix = {Kind.X: np.array([[0, 1], [1, 0]]), Kind.P: np.diag([1, np.exp(1j * theta)])}[kind]
        total = np.kron(np.eye(2 ** (size - 1 - first)), np.kron(matrix, np.eye(2**first))) @ total
    return total


def error(matrix, other):
    """Largest entry of the difference after aligning the phase of one large entry."""
    where = np.unravel_index(np.abs(matrix).argmax(), matrix.shape)
    phase = other[where] / matrix[where]
    return np.abs(matrix * phase / abs(phase) - other).max()


def gap(circuit):
    return error(Operator(circuit).data, unitary(rebase(circuit)))


def random_gates(seed, qubits, length):
    """A circuit over all the gates above, custom and nested gates, barriers and arbitrary unitaries."""
    rng = np.random.default_rng(seed)
    circuit = QuantumCircuit(qubits)
    pool = ONE * 2 + TWO * 2 + MORE
    for _ in range(length):
        draw = rng.random()
        if draw < 0.1:
            width = int(rng.integers(1, 4))
            gate = lib.UnitaryGate(random_unitary(2**width, seed=int(rng.integers(2**31))))
        elif draw < 0.2:
            inner = random_gates(int(rng.integers(2**31)), 3, 3)
            gate = inner.to_gate(label="nested") if not inner.count_ops().get("barrier") else lib.SwapGate()
        elif draw < 0.25:
            circuit.barrier()
            continue
        elif draw < 0.3:
            gate = ONE[rng.integers(len(ONE))].control(
                int(rng.integers(1, 3)), ctrl_state=int(rng.integers(2)), annotated=bool(rng.integers(2))
            )
        else:
            gate = pool[rng.integers(len(pool))]
        if gate.num_qubits <= qubits:
            circuit.append(gate, rng.permutation(qubits)[: gate.num_qubits].tolist())
    return circuit


# ------------------------------------------------------------------------------------------------------------ equality


@pytest.mark.parametrize("gate", ONE + TWO + MORE, ids=lambda gate: gate.name)
def test_every_standard_gate_is_kept(gate):
    assert gap(alone(gate)) < 1e-12
    turned = QuantumCircuit(gate.num_qubits + 1)
    turned.append(gate, list(range(gate.num_qubits + 1))[:0:-1])
    assert gap(turned) < 1e-12


@pytest.mark.parametrize("seed", range(25))
def test_random_circuits_are_kept(seed):
    assert gap(random_gates(seed, 2 + seed % 4, 18)) < 1e-9


@pytest.mark.parametrize("angle", [1e-2, 1e-4, 5e-5, 1e-5, 1e-6])
@pytest.mark.parametrize(
    "gate", [lib.RXXGate, lib.RYYGate, lib.RZZGate, lib.RZXGate, lib.CRXGate, lib.CRYGate, lib.CPhaseGate]
)
def test_small_interactions_are_not_rounded_to_nothing(gate, angle):
    circuit = alone(gate(angle))
    assert rebase(circuit).two_qubit_gates == 1
    assert gap(circuit) < 1e-4 * angle


@pytest.mark.parametrize("angle", [1e-4, 2e-5, 1e-6])
def test_gates_near_a_special_gate_are_not_rounded_to_it(angle):
    for special in (lib.iSwapGate(), lib.SwapGate(), lib.UnitaryGate(random_unitary(4, seed=3))):
        circuit = alone(special)
        circuit.append(lib.RZZGate(angle), [0, 1])
        circuit.append(lib.RXXGate(angle / 3), [0, 1])
        merged = alone(lib.UnitaryGate(Operator(circuit)))
        assert gap(merged) < 1e-9


HIGH = [
    lib.PermutationGate([2, 0, 1]),
    random_clifford(3, seed=1),
    lib.LinearFunction(np.array([[1, 1, 0], [0, 1, 1], [0, 0, 1]])),
    lib.RYGate(0.3).control(2, annotated=True),
    AnnotatedOperation(lib.SwapGate(), [ControlModifier(1, 0), InverseModifier()]),
    AnnotatedOperation(lib.RXXGate(0.4), [PowerModifier(0.5)]),
]


@pytest.mark.parametrize("operation", HIGH, ids=lambda operation: operation.name)
def test_operations_that_qiskit_only_synthesises_are_kept(operation):
    assert gap(alone(operation)) < 1e-9


def test_state_preparation_is_kept():
    vector = np.array([1, 2j, 0, -1, 0.5, 0, 0, 3], dtype=complex)
    vector /= np.linalg.norm(vector)
    circuit = QuantumCircuit(3)
    circuit.prepare_state(vector, [2, 0, 1])
    assert gap(circuit) < 1e-9
    circuit = QuantumCircuit(3)
    circuit.initialize(vector, [0, 1, 2])
    program = rebase(circuit)
    assert program.kind[:3].tolist() == [Kind.RESET] * 3
    prepared = QuantumCircuit(3)
    for each in program.to_circuit().data[3:]:
        prepared.append(each.operation, [program.to_circuit().find_bit(wire).index for wire in each.qubits])
    assert abs(np.vdot(vector, Operator(prepared).data[:, 0])) == pytest.approx(1, abs=1e-12)


def test_the_circuit_and_the_arrays_say_the_same():
    for seed in range(5):
        program = rebase(random_gates(seed, 4, 15))
        circuit = program.to_circuit()
        assert set(circuit.count_ops()) <= {"u", "p", "x", "cz", "cp"}
        assert error(Operator(circuit).data, unitary(program)) < 1e-12


def test_rebasing_twice_changes_nothing_more():
    for seed in range(12):
        circuit = random_gates(seed, 4, 20)
        circuit.data = [each for each in circuit.data if each.operation.name != "barrier"]
        once = rebase(circuit)
        again = rebase(once.to_circuit())
        assert (again.two_qubit_gates, np.count_nonzero(again.kind == Kind.U)) == (
            once.two_qubit_gates,
            np.count_nonzero(once.kind == Kind.U),
        )


# -------------------------------------------------------------------------------------------------------------- counts


@pytest.mark.parametrize(
    ("gate", "expected"),
    [
        *((gate, 1) for gate in TWO[:19]),
        (lib.SwapGate(), 3),
        (lib.iSwapGate(), 2),
        (lib.DCXGate(), 2),
        (lib.XXPlusYYGate(0.3, 0.4), 2),
        (lib.XXMinusYYGate(0.5, 0.6), 2),
        (lib.CXGate(ctrl_state=0), 1),
        (lib.UnitaryGate(np.kron(random_unitary(2, seed=1), random_unitary(2, seed=2))), 0),
        (lib.UnitaryGate(random_unitary(4, seed=1)), 3),
    ],
    ids=lambda each: getattr(each, "name", str(each)),
)
def test_number_of_controlled_phases(gate, expected):
    assert rebase(alone(gate)).two_qubit_gates == expected


@pytest.mark.parametrize("seed", range(4))
def test_any_controlled_gate_leaves_its_control_unbroken(seed):
    gate = lib.UnitaryGate(random_unitary(2, seed=seed)).control(1, ctrl_state=seed % 2, annotated=seed > 1)
    for control, target in ((0, 1), (1, 0)):
        circuit = QuantumCircuit(2)
        circuit.append(gate, [control, target])
        program = rebase(circuit)
        assert program.two_qubit_gates == 1
        assert control not in program.first[program.kind == Kind.U]
        assert gap(circuit) < 1e-9


def test_repeated_phases_between_breaks_are_one():
    circuit = QuantumCircuit(3)
    for angle in (0.1, 0.2, 0.4):
        circuit.cp(angle, 0, 1)
        circuit.t(0)
        circuit.cz(1, 2)
    program = rebase(circuit)
    assert program.two_qubit_gates == 2
    rows = {
        tuple(sorted((int(program.first[row]), int(program.second[row])))): program.angles[row, 0]
        for row in np.flatnonzero(program.kind == Kind.CP)
    }
    assert rows[0, 1] == pytest.approx(0.7)
    assert rows[1, 2] == np.pi
    assert gap(circuit) < 1e-12


def test_phases_do_not_merge_across_a_break_or_a_flip_on_either_qubit():
    for between in (lib.HGate(), lib.XGate()):
        for qubit in (0, 1):
            circuit = QuantumCircuit(2)
            circuit.cp(0.3, 0, 1)
            circuit.append(between, [qubit])
            circuit.cp(0.4, 1, 0)
            assert rebase(circuit).two_qubit_gates == 2
            assert gap(circuit) < 1e-12


def test_gates_that_cancel_leave_nothing():
    circuit = QuantumCircuit(2)
    for gate in (
        lib.CXGate(),
        lib.CXGate(),
        lib.CPhaseGate(0.3),
        lib.CPhaseGate(-0.3),
        lib.CPhaseGate(0.0),
        lib.CPhaseGate(2 * np.pi),
    ):
        circuit.append(gate, [0, 1])
    circuit.t(1)
    circuit.tdg(1)
    assert len(rebase(circuit)) == 0


def test_a_dropped_gate_lets_its_neighbours_merge_even_when_another_gate_grew():
    circuit = QuantumCircuit(3)
    circuit.h(0)
    circuit.cp(0.0, 0, 1)
    circuit.h(0)
    circuit.y(2)  # a flip and a phase: one row becomes two
    assert rebase(circuit).kind.tolist() == [Kind.X, Kind.P]


def test_flips_and_phases_leave_no_dust():
    circuit = QuantumCircuit(2)
    circuit.x(0)
    circuit.cp(0.3, 0, 1)
    circuit.x(0)
    circuit.t(1)
    circuit.tdg(1)
    assert rebase(circuit).kind.tolist() == [Kind.X, Kind.CP, Kind.X]


def test_diagonal_gates_pass_controlled_phases_and_join_the_next_break():
    circuit = QuantumCircuit(2)
    circuit.h(0)
    circuit.cz(0, 1)
    circuit.s(0)
    circuit.cp(0.2, 0, 1)
    circuit.t(0)
    circuit.h(0)
    program = rebase(circuit)
    assert program.kind.tolist() == [Kind.U, Kind.CP, Kind.U]
    assert gap(circuit) < 1e-12


def test_all_angles_of_a_wide_qft_are_kept():
    qubits = 64
    circuit = QuantumCircuit(qubits)
    for high in reversed(range(qubits)):
        circuit.h(high)
        for low in reversed(range(high)):
            circuit.cp(math.pi / 2 ** (high - low), low, high)
    program = rebase(circuit)
    angles = program.angles[program.kind == Kind.CP, 0]
    assert len(angles) == qubits * (qubits - 1) // 2
    assert sorted(angles) == sorted(math.pi / 2 ** (high - low) for high in range(qubits) for low in range(high))


@pytest.mark.parametrize("angle", [-math.pi, math.pi, 3 * math.pi, -5 * math.pi])
def test_odd_multiples_of_pi_are_cz(angle):
    circuit = QuantumCircuit(2)
    circuit.cp(angle, 0, 1)
    assert rebase(circuit).to_circuit().count_ops() == {"cz": 1}


# -------------------------------------------------------------------------------------------------------------- fences


def test_a_barrier_keeps_the_halves_of_a_mirror_circuit_apart():
    half = random_gates(3, 3, 12)
    half.data = [each for each in half.data if each.operation.name != "barrier"]
    mirror = half.copy()
    mirror.barrier()
    mirror.compose(half.inverse(), inplace=True)
    fenced = rebase(mirror)
    assert fenced.two_qubit_gates >= 2 * rebase(half).two_qubit_gates - 1
    assert error(np.eye(8), unitary(fenced)) < 1e-9


def test_a_barrier_on_other_qubits_fences_nothing_here():
    circuit = QuantumCircuit(3)
    circuit.h(0)
    circuit.barrier(1, 2)
    circuit.h(0)
    assert len(rebase(circuit)) == 0


def test_measurements_resets_and_conditions_are_fences():
    for fence in ("measure", "reset", "condition"):
        circuit = QuantumCircuit(2, 1)
        circuit.cz(0, 1)
        circuit.x(0)
        if fence == "measure":
            circuit.measure(0, 0)
        elif fence == "reset":
            circuit.reset(0)
        else:
            with circuit.if_test((circuit.clbits[0], 1)):
                circuit.p(0.3, 0)
        circuit.x(0)
        circuit.cz(0, 1)
        program = rebase(circuit)
        assert program.two_qubit_gates == 2
        assert np.count_nonzero(program.kind == Kind.X) == 2


# ------------------------------------------------------------------------------------------------------------- dynamic


@pytest.mark.parametrize("seed", range(25))
def test_dynamic_circuits_are_kept_in_every_branch(seed, oracle, scramble):
    rng = np.random.default_rng(seed)
    circuit = scramble(3, 24, rng, clbits=2)
    vector = oracle.haar(3, seed)
    assert oracle.same(oracle.outcomes(circuit, vector), oracle.outcomes(rebase(circuit).to_circuit(), vector))


def conditional(kind):
    """H and measurement on two qubits, then a conditional gate of each sort."""
    circuit = QuantumCircuit(QuantumRegister(3), ClassicalRegister(2, "a"), ClassicalRegister(1, "b"))
    circuit.add_bits([Clbit()])
    circuit.h([0, 1])
    circuit.measure([0, 1, 0], [0, 1, 3])
    target = {
        "bit": (circuit.clbits[1], 0),
        "loose": (circuit.clbits[3], 1),
        "register": (circuit.cregs[0], 2),
        "small": (circuit.cregs[1], 1),
        "beyond": (circuit.cregs[0], 7),
    }[kind]
    with circuit.if_test(target) as otherwise:
        circuit.cx(2, 0)
        circuit.swap(0, 1)
        circuit.ry(0.3, 2)
    if kind in ("bit", "loose", "small"):
        with otherwise:
            circuit.ccx(0, 1, 2)
            circuit.y(1)
    return circuit


@pytest.mark.parametrize("kind", ["bit", "loose", "register", "small", "beyond"])
def test_every_kind_of_condition_is_kept(kind, oracle):
    circuit = conditional(kind)
    vector = oracle.haar(3, 5)
    assert oracle.same(oracle.outcomes(circuit, vector), oracle.outcomes(rebase(circuit).to_circuit(), vector))


def test_classical_bits_keep_names_sizes_and_order():
    circuit = conditional("bit")
    built = rebase(circuit).to_circuit()
    assert built.clbits == circuit.clbits
    assert [(each.name, each.size) for each in built.cregs] == [("a", 2), ("b", 1), ("c_loose", 1)]


def test_loose_bits_find_a_register_name_that_is_free():
    circuit = QuantumCircuit(QuantumRegister(1), ClassicalRegister(1, "c_loose"))
    circuit.add_bits([Clbit()])
    circuit.measure([0, 0], [0, 1])
    names = [each.name for each in rebase(circuit).to_circuit().cregs]
    assert names[0] == "c_loose"
    assert len(set(names)) == 2


def test_origin_names_the_instruction_each_row_came_from():
    circuit = QuantumCircuit(3, 1)
    circuit.h(0)
    circuit.swap(0, 1)
    circuit.measure(2, 0)
    program = rebase(circuit)
    assert set(program.origin[program.kind == Kind.CP]) == {1}
    assert program.origin[program.kind == Kind.MEASURE].tolist() == [2]


# ------------------------------------------------------------------------------------------------------------- refusal


class Opaque(Gate):
    def __init__(self):
        super().__init__("opaque", 3, [])


class Impostor(Gate):
    """Called cp, and is not a controlled phase."""

    def __init__(self):
        super().__init__("cp", 2, [0.3])

    def __array__(self, dtype=None, copy=None):
        return lib.SwapGate().to_matrix()


def test_a_gate_is_known_by_its_matrix_not_by_its_name():
    assert gap(alone(Impostor())) < 1e-12


def bad(name):
    circuit = QuantumCircuit(3, 3)
    circuit.h(0)
    if name == "opaque":
        circuit.append(Opaque(), [0, 1, 2])
    elif name == "delay":
        circuit.delay(10, 0)
    elif name == "for_loop":
        with circuit.for_loop(range(2)):
            circuit.x(0)
    elif name == "while_loop":
        with circuit.while_loop((circuit.clbits[0], 1)):
            circuit.x(0)
    elif name == "switch_case":
        with circuit.switch(circuit.cregs[0]) as case, case(1):
            circuit.x(0)
    elif name == "expression":
        with circuit.if_test(expr.bit_and(circuit.clbits[0], circuit.clbits[1])):
            circuit.x(0)
    elif name == "nested":
        with circuit.if_test((circuit.clbits[0], 1)), circuit.if_test((circuit.clbits[1], 1)):
            circuit.x(0)
    elif name == "measure inside":
        with circuit.if_test((circuit.clbits[0], 1)):
            circuit.measure(0, 1)
    elif name == "reset inside":
        with circuit.if_test((circuit.clbits[0], 1)):
            circuit.reset(0)
    elif name == "else of a register":
        with circuit.if_test((circuit.cregs[0], 1)) as otherwise:
            circuit.x(0)
        with otherwise:
            circuit.x(1)
    elif name == "infinite angle":
        circuit.cp(math.inf, 0, 1)
    elif name == "undefined angle":
        circuit.rx(math.nan, 0)
    return circuit


@pytest.mark.parametrize(
    "name",
    [
        "opaque",
        "delay",
        "for_loop",
        "while_loop",
        "switch_case",
        "expression",
        "nested",
        "measure inside",
        "reset inside",
        "else of a register",
        "infinite angle",
        "undefined angle",
    ],
)
def test_what_cannot_be_distributed_is_refused_with_its_index(name):
    with pytest.raises(UnsupportedOperation) as caught:
        rebase(bad(name))
    assert caught.value.index == 1
    assert "instruction 1" in str(caught.value)


def test_unbound_parameters_are_refused_by_name():
    circuit = QuantumCircuit(1)
    circuit.rx(Parameter("beta"), 0)
    with pytest.raises(InvalidValue, match=r"beta.*assign_parameters"):
        rebase(circuit)


def test_bound_parameters_are_numbers():
    angle = Parameter("angle")
    circuit = QuantumCircuit(2)
    circuit.cp(2 * angle, 0, 1)
    assert rebase(circuit.assign_parameters({angle: 0.25})).angles[0, 0] == 0.5


def test_a_circuit_without_qubits_is_refused():
    with pytest.raises(InvalidValue, match="no qubits"):
        rebase(QuantumCircuit(0, 2))


def test_a_circuit_without_gates_is_an_empty_program():
    program = rebase(QuantumCircuit([Qubit(), Qubit()]))
    assert (program.qubits, len(program), program.angles.shape) == (2, 0, (0, 3))


def test_definitions_that_double_at_every_level_are_refused(monkeypatch):
    monkeypatch.setattr(module, "MAX_OPERATIONS", 5_000)
    for seed in (QuantumCircuit(3), alone(lib.CCXGate())):
        gate = Gate("level", 3, [])
        gate.definition = seed
        for _ in range(40):
            twice = QuantumCircuit(3)
            for _ in range(2):
                twice.append(gate, [0, 1, 2], copy=False)
            gate = Gate("level", 3, [])
            gate.definition = twice
        circuit = QuantumCircuit(3)
        circuit.append(gate, [0, 1, 2], copy=False)
        with pytest.raises(UnsupportedOperation, match="expands to more than"):
            rebase(circuit)


def test_arrays_are_read_only():
    program = rebase(random_gates(0, 3, 10))
    with pytest.raises(ValueError, match="read-only"):
        program.angles[0, 0] = 1.0
