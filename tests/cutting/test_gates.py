import dataclasses
import math

import numpy as np
import pytest
from qiskit import QuantumCircuit
from qiskit.circuit import ControlledGate, Gate, Measure, Parameter, Reset
from qiskit.circuit import library as lib
from qiskit.quantum_info import Operator, random_unitary

from hyperfabric_q.cutting.gates import cut_gate, gamma_of, rzz_weights, schmidt_sum
from hyperfabric_q.errors import InvalidValue, UnsupportedOperation


def superoperator(unitary):
    """On row-stacked matrices, with the two sides' indices apart: (l_out, l_out', r_out, r_out', l_in, ...)."""
    operator = unitary.reshape(2, 2, 2, 2).transpose(1, 0, 3, 2)  # Qiskit: the first operand is the minor index
    both = np.einsum("abij,cdkl->acbdikjl", operator, operator.conj())
    return both.reshape(16, 16)


def local(pair):
    return np.kron(np.kron(pair[0], pair[0].conj()), np.kron(pair[1], pair[1].conj()))


def channel(cut):
    return local(cut.after) @ cut.decomposition.superoperator() @ local(cut.before)


def excess(cut, unitary):
    return np.abs(channel(cut) - superoperator(unitary)).max()


def operator_schmidt_sum(unitary):
    """(sum |u|)² by the singular values of the gate: right for the gates of up to two interaction angles used here."""
    across = unitary.reshape(2, 2, 2, 2).transpose(1, 3, 0, 2).reshape(4, 4) / 2
    return np.linalg.svd(across, compute_uv=False).sum() ** 2


T = 0.7
TABLE = [
    (lib.CXGate(), 3),
    (lib.CZGate(), 3),
    (lib.CYGate(), 3),
    (lib.CHGate(), 3),
    (lib.ECRGate(), 3),
    (lib.SwapGate(), 7),
    (lib.iSwapGate(), 7),
    (lib.DCXGate(), 7),
    (lib.CSGate(), 1 + math.sqrt(2)),
    (lib.CSdgGate(), 1 + math.sqrt(2)),
    (lib.CSXGate(), 1 + math.sqrt(2)),
    (lib.RZZGate(T), 1 + 2 * math.sin(T)),
    (lib.RXXGate(T), 1 + 2 * math.sin(T)),
    (lib.RYYGate(-T), 1 + 2 * math.sin(T)),
    (lib.RZXGate(2.5), 1 + 2 * math.sin(2.5)),
    (lib.RXXGate(5e-5), 1 + 2 * math.sin(5e-5)),
    (lib.CPhaseGate(T), 1 + 2 * math.sin(T / 2)),
    (lib.CU1Gate(-T), 1 + 2 * math.sin(T / 2)),
    (lib.CRXGate(T), 1 + 2 * math.sin(T / 2)),
    (lib.CRYGate(T), 1 + 2 * math.sin(T / 2)),
    (lib.CRZGate(T), 1 + 2 * math.sin(T / 2)),
    (lib.CRXGate(T, ctrl_state=0), 1 + 2 * math.sin(T / 2)),
    (lib.CPhaseGate(T, ctrl_state=0), 1 + 2 * math.sin(T / 2)),
    (lib.CXGate(ctrl_state=0), 3),
    (lib.XXPlusYYGate(T, 0.3), 1 + 4 * math.sin(T / 2) + 2 * math.sin(T / 2) ** 2),
    (lib.XXMinusYYGate(T), 1 + 4 * math.sin(T / 2) + 2 * math.sin(T / 2) ** 2),
    (lib.RZZGate(0.0), 1),
    (lib.RZZGate(math.pi), 1),
    (lib.RZZGate(-3 * math.pi / 2), 3),
]


@pytest.mark.parametrize(("gate", "gamma"), TABLE, ids=lambda each: getattr(each, "name", ""))
def test_named_gates_are_rebuilt_at_the_known_gamma(gate, gamma):
    cut = cut_gate(gate)
    assert excess(cut, Operator(gate).data) < 1e-12
    assert cut.decomposition.gamma == pytest.approx(gamma, abs=1e-9)
    assert np.abs(cut.decomposition.weights).sum() == pytest.approx(gamma, abs=1e-9)
    assert gamma_of(gate) == pytest.approx(gamma, abs=1e-9)
    assert schmidt_sum(gate) == pytest.approx((gamma + 1) / 2, abs=1e-9)
    assert operator_schmidt_sum(Operator(gate).data) == pytest.approx((gamma + 1) / 2, abs=1e-9)


def test_any_unitary_is_rebuilt_at_the_optimal_gamma():
    rng = np.random.default_rng(7)
    for _ in range(25):
        unitary = random_unitary(4, seed=rng).data
        cut = cut_gate(lib.UnitaryGate(unitary))
        assert excess(cut, unitary) < 1e-12
        # The u of the core, read off the gate between its locals, not off the decomposition.
        core = np.kron(cut.after[1], cut.after[0]).conj().T @ unitary @ np.kron(cut.before[1], cut.before[0]).conj().T
        paulis = [lib.IGate(), lib.XGate(), lib.YGate(), lib.ZGate()]
        u = [np.trace(np.kron(p.to_matrix(), p.to_matrix()).conj().T @ core) / 4 for p in paulis]
        assert np.sum(np.abs(u) ** 2) == pytest.approx(1, abs=1e-12)
        expected = 2 * np.sum(np.abs(u)) ** 2 - 1
        assert cut.decomposition.gamma == pytest.approx(expected, abs=1e-9)
        assert np.abs(cut.decomposition.weights).sum() == pytest.approx(expected, abs=1e-9)
        assert gamma_of(lib.UnitaryGate(unitary)) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("size", [1e-3, 1e-5, 1e-7, 1e-9, 1e-11, 1e-13])
def test_gates_close_to_special_ones_lose_nothing(size):
    rng = np.random.default_rng(3)
    corners = [lib.IGate(), lib.CXGate(), lib.iSwapGate(), lib.SwapGate(), lib.RXXGate(0.3), lib.CPhaseGate(1.0)]
    for corner in corners:
        matrix = np.eye(4) if corner.num_qubits == 1 else Operator(corner).data
        generator = rng.normal(size=(4, 4)) + 1j * rng.normal(size=(4, 4))
        values, vectors = np.linalg.eigh(generator + generator.conj().T)
        unitary = matrix @ (vectors * np.exp(1j * size * values)) @ vectors.conj().T
        cut = cut_gate(lib.UnitaryGate(unitary))
        assert excess(cut, unitary) < 1e-12
        assert np.abs(cut.decomposition.weights).sum() == pytest.approx(cut.decomposition.gamma, abs=1e-9)


def test_random_controlled_and_diagonal_gates_cost_one_angle():
    rng = np.random.default_rng(11)
    for index in range(20):
        inner = random_unitary(2, seed=rng).data
        gate = ControlledGate(
            "c", 2, [inner], num_ctrl_qubits=1, ctrl_state=index % 2, base_gate=lib.UnitaryGate(inner)
        )
        blocks = np.eye(4, dtype=complex)
        kept = np.arange(4) % 2 == index % 2
        blocks[np.ix_(kept, kept)] = inner
        cut = cut_gate(gate)
        assert [each.name for each in cut.decomposition.left] == ["I", "Z", "S", "Sdg", "M"]
        assert excess(cut, blocks) < 1e-12
        diagonal = np.diag(np.exp(1j * rng.uniform(-4, 4, 4)))
        cut = cut_gate(lib.UnitaryGate(diagonal))
        assert excess(cut, diagonal) < 1e-12
        for matrix in (*cut.before, *cut.after):
            assert np.abs(matrix - np.diag(np.diag(matrix))).max() == 0


def test_every_gate_of_one_angle_has_the_five_instruments():
    for gate, _ in TABLE:
        cut = cut_gate(gate)
        if cut.angle is not None:
            for side in (cut.decomposition.left, cut.decomposition.right):
                assert [each.name for each in side] == ["I", "Z", "S", "Sdg", "M"]
            assert cut.decomposition.terms <= 6


def test_weights_of_rzz_are_those_of_the_literature():
    weights = rzz_weights(0.7)
    assert weights[4, 2] == pytest.approx(0.3221088436)
    assert weights[0, 0] == pytest.approx(math.cos(0.35) ** 2)
    assert weights[3, 4] == -weights[2, 4] == -weights[4, 2]


def test_names_of_instruments_are_unique_and_signed_instruments_never_lose_probability():
    rng = np.random.default_rng(5)
    gates = [gate for gate, _ in TABLE] + [lib.UnitaryGate(random_unitary(4, seed=rng)) for _ in range(3)]
    for gate in gates:
        core = cut_gate(gate).decomposition
        for side in (core.left, core.right):
            assert len({each.name for each in side}) == len(side)
            for each in side:
                total = np.einsum("mij,mik->jk", each.kraus.conj(), each.kraus)
                assert np.abs(total - np.eye(2)).max() < 1e-12


def test_two_angles_need_unitaries_and_pauli_measurements_only():
    for gate in (lib.SwapGate(), lib.iSwapGate(), lib.XXPlusYYGate(0.9), lib.DCXGate()):
        core = cut_gate(gate).decomposition
        for each in (*core.left, *core.right):
            positive = each.kraus.conj().transpose(0, 2, 1) @ each.kraus
            assert each.is_unitary or np.abs(positive @ positive - positive).max() < 1e-12


SYMBOLIC = [
    lib.RZZGate,
    lib.RXXGate,
    lib.RYYGate,
    lib.RZXGate,
    lib.CPhaseGate,
    lib.CU1Gate,
    lib.CRXGate,
    lib.CRYGate,
    lib.CRZGate,
]


@pytest.mark.parametrize("kind", SYMBOLIC)
def test_an_unbound_angle_keeps_instruments_and_locals(kind):
    t, other = Parameter("t"), Parameter("other")
    cut = cut_gate(kind(2 * t + 0.1))
    assert cut.is_symbolic
    assert cut.decomposition.gamma == gamma_of(kind(t)) == 3
    assert schmidt_sum(kind(t)) == cut.schmidt_sum == 2
    assert np.isnan(cut.decomposition.weights).all()
    assert cut.bind({other: 1.0}).is_symbolic
    for value in (0.0, 0.35, -2.9, 4.0):
        bound = cut.bind({t: value, other: 3.0})
        ideal = Operator(kind(2 * value + 0.1)).data
        assert not bound.is_symbolic
        assert bound.decomposition.left is cut.decomposition.left
        assert bound.decomposition.right is cut.decomposition.right
        assert excess(bound, ideal) < 1e-12
        assert bound.decomposition.gamma == pytest.approx(gamma_of(kind(2 * value + 0.1)), abs=1e-12)
        assert np.array_equal(cut.weights_at(bound.angle), bound.decomposition.weights)
        turned = [np.diag(np.exp([-0.5j * x * bound.angle, 0.5j * x * bound.angle])) for x in cut.turns]
        for matrix, turn, whole in zip(cut.after, turned, bound.after, strict=True):
            assert np.abs(matrix @ turn - whole).max() < 1e-14


@pytest.mark.parametrize("kind", SYMBOLIC)
def test_weights_can_take_in_the_rotations_of_a_controlled_gate(kind):
    t = Parameter("t")
    cut = cut_gate(kind(t))
    for value in (0.3, -2.0):
        angle = cut.bind({t: value}).angle
        core = cut.decomposition
        weights = cut.weights_at(angle, turned=True)
        replaced = dataclasses.replace(core, weights=weights)
        whole = local(cut.after) @ replaced.superoperator() @ local(cut.before)
        assert np.abs(whole - superoperator(Operator(kind(value)).data)).max() < 1e-12


def test_swapping_sides_exchanges_the_operands():
    swap = Operator(lib.SwapGate()).data
    t = Parameter("t")
    for gate in (lib.CRXGate(0.4), lib.UnitaryGate(random_unitary(4, seed=2)), lib.RZXGate(1.1)):
        assert excess(cut_gate(gate).swapped(), swap @ Operator(gate).data @ swap) < 1e-12
    bound = cut_gate(lib.CRXGate(t)).swapped().bind({t: 0.4})
    assert excess(bound, swap @ Operator(lib.CRXGate(0.4)).data @ swap) < 1e-12


def test_what_is_no_two_qubit_unitary_is_refused_by_name():
    silent = Gate("silent", 2, [])
    measured = QuantumCircuit(2, 1)
    measured.measure(0, 0)
    both = QuantumCircuit(2)
    both.reset(0)
    for operation in (lib.CCXGate(), lib.XGate(), Measure(), Reset(), silent, both.to_instruction()):
        with pytest.raises(UnsupportedOperation, match=operation.name):
            cut_gate(operation)
    with pytest.raises(UnsupportedOperation, match="xx_plus_yy"):
        gamma_of(lib.XXPlusYYGate(Parameter("t")))
    for gate in (lib.RZZGate(math.nan), lib.CPhaseGate(math.inf), lib.XXPlusYYGate(math.nan)):
        with pytest.raises(InvalidValue, match="finite"):
            cut_gate(gate)
    with pytest.raises(InvalidValue, match="several angles"):
        cut_gate(lib.SwapGate()).weights_at(0.1)


def test_gates_with_a_definition_only_are_cut():
    inner = QuantumCircuit(2)
    inner.h(0)
    inner.cx(0, 1)
    inner.rzz(0.3, 0, 1)
    assert excess(cut_gate(inner.to_gate()), Operator(inner).data) < 1e-12
