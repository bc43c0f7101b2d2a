import math

import numpy as np
import pytest
from qiskit import QuantumCircuit
from qiskit.circuit import Parameter
from qiskit.circuit import library as lib
from qiskit.quantum_info import Operator, random_unitary

from hyperfabric_q.cutting.gates import cut_gate, schmidt_sum
from hyperfabric_q.cutting.joint import cut_jointly
from hyperfabric_q.errors import InvalidValue, UnsupportedOperation


def sides(qubits, pairs):
    """Unitaries of one side from each gate's locals, the first gate on the least significant qubit."""
    out = []
    for side in (0, 1):
        matrix = np.eye(1)
        for gate in range(qubits):
            matrix = np.kron(pairs[gate][side], matrix)
        out.append(np.kron(matrix, matrix.conj()))
    return out


def excess(joint, operations, swapped=()):
    """Largest entry by which the sum of instruments differs from the gates, on a random matrix of all the qubits.

    The matrix is kept as (right row, right column; left row, left column), so that a term is R X Lᵗ; the entries are
    of size 1, so that a wrong entry of the channel shows in full. Few large products, as machines under load are slow
    at many small ones.
    """
    n = len(operations)
    size = 4**n
    circuit = QuantumCircuit(2 * n)
    for gate, operation in enumerate(operations):
        pair = (gate, n + gate)
        circuit.append(operation, pair[::-1] if swapped and swapped[gate] else pair)
    unitary = Operator(circuit).data
    core = joint.decomposition
    left = np.array([each.superoperator() for each in core.left])
    right = np.array([each.superoperator() for each in core.right])
    before, after = (sides(n, [getattr(each, field) for each in joint.gates]) for field in ("before", "after"))
    rng = np.random.default_rng(1)
    density = rng.normal(size=(size, size)) + 1j * rng.normal(size=(size, size))
    ideal = apart(unitary @ density @ unitary.conj().T, n)
    state = before[1] @ apart(density, n) @ before[0].T
    weighted = (core.weights @ right.reshape(len(right), -1)).reshape(-1, size) @ state  # every left, then R X
    weighted = weighted.reshape(len(left), size, size).transpose(1, 0, 2).reshape(size, -1)
    found = weighted @ left.transpose(0, 2, 1).reshape(-1, size)
    return np.abs(after[1] @ found @ after[0].T - ideal).max()


def apart(density, n):
    d = 2**n
    return density.reshape(d, d, d, d).transpose(0, 2, 1, 3).reshape(d * d, d * d)  # a row is (right, left)


CASES = [
    ([lib.RZZGate(math.pi / 2)], 3, 4),
    ([lib.RZZGate(math.pi / 2)] * 2, 7, 16),
    ([lib.RZZGate(math.pi / 2)] * 3, 15, 64),
    ([lib.CXGate()] * 2, 7, 16),
    ([lib.CXGate(), lib.CZGate(), lib.ECRGate()], 15, 64),
    ([lib.RZZGate(0.7), lib.RZZGate(1.1)], 5.2191, 16),
    ([lib.RZZGate(-0.7), lib.RXXGate(2.5)], 2 * (1 + math.sin(0.7)) * (1 + math.sin(2.5)) - 1, 16),
    ([lib.SwapGate(), lib.CXGate()], 15, None),
    ([lib.CPhaseGate(0.3), lib.iSwapGate()], 8 * (1 + math.sin(0.15)) - 1, None),
]


@pytest.mark.parametrize(("operations", "gamma", "signed_terms"), CASES)
def test_gates_cut_together_are_rebuilt_at_the_joint_gamma(operations, gamma, signed_terms):
    joint = cut_jointly(operations)
    assert excess(joint, operations) < 1e-12
    assert joint.decomposition.gamma == pytest.approx(gamma, abs=5e-5 if gamma == 5.2191 else 1e-9)
    assert np.abs(joint.decomposition.weights).sum() == pytest.approx(joint.decomposition.gamma, abs=1e-9)
    assert joint.decomposition.gamma == pytest.approx(2 * math.prod(schmidt_sum(each) for each in operations) - 1)
    if signed_terms is not None:
        # A signed term is one pair of instruments, four where both sides are half the difference of two unitaries, and
        # two where one side is: so between states an even and an odd number of Z apart.
        n = len(operations)
        even = sum((i ^ j).bit_count() % 2 == 0 for i in range(2**n) for j in range(i))
        odd = math.comb(2**n, 2) - even
        assert signed_terms == 2**n + 2 * (even + odd) == 4**n
        assert joint.decomposition.terms == 2**n + 5 * even + 4 * odd
        assert len(joint.decomposition.left) == 2**n + 3 * (even + odd)


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5])
def test_n_cx_together_cost_far_less_than_apart(n):
    core = cut_jointly([lib.CXGate()] * n).decomposition
    assert core.gamma == pytest.approx(2 ** (n + 1) - 1, abs=1e-9)
    assert np.abs(core.weights).sum() == pytest.approx(core.gamma, abs=1e-9)


def test_a_general_gate_beside_others_is_rebuilt():
    rng = np.random.default_rng(8)
    for partner in (lib.CXGate(), lib.RZZGate(0.4), lib.UnitaryGate(random_unitary(4, seed=rng))):
        operations = [lib.UnitaryGate(random_unitary(4, seed=rng)), partner]
        joint = cut_jointly(operations)
        assert excess(joint, operations) < 1e-12
        assert np.abs(joint.decomposition.weights).sum() == pytest.approx(joint.decomposition.gamma, abs=1e-9)
        assert all(
            len({each.name for each in side}) == len(side)
            for side in (joint.decomposition.left, joint.decomposition.right)
        )


def test_one_gate_together_is_the_gate_alone():
    joint, alone = cut_jointly([lib.RZZGate(0.7)]).decomposition, cut_gate(lib.RZZGate(0.7)).decomposition
    assert joint.gamma == pytest.approx(alone.gamma)
    assert np.abs(joint.superoperator() - alone.superoperator()).max() < 1e-14
    assert len(joint.left) == len(joint.right) == 5


def test_operands_may_be_swapped_gate_by_gate():
    operations, flags = [lib.CRXGate(0.9), lib.RZXGate(1.2)], (True, False)
    assert excess(cut_jointly(operations, swapped=flags), operations, swapped=flags) < 1e-12


def test_instruments_do_not_depend_on_angles():
    s, t = Parameter("s"), Parameter("t")
    joint = cut_jointly([lib.RZZGate(s), lib.CPhaseGate(t)])
    assert joint.is_symbolic
    assert joint.decomposition.gamma == pytest.approx(7)
    assert np.isnan(joint.decomposition.weights).all()
    assert joint.bind({s: 0.2}).is_symbolic
    for first, second in ((0.7, 1.1), (-2.0, 0.3), (0.0, 4.0), (math.pi, -math.pi)):
        bound = joint.bind({s: first, t: second})
        assert [each.name for each in bound.decomposition.left] == [each.name for each in joint.decomposition.left]
        assert [each.name for each in bound.decomposition.right] == [each.name for each in joint.decomposition.right]
        for mine, its in zip(joint.decomposition.right, bound.decomposition.right, strict=True):
            assert np.array_equal(mine.kraus, its.kraus)
        assert excess(bound, [lib.RZZGate(first), lib.CPhaseGate(second)]) < 1e-12
        assert np.array_equal(joint.weights_at([first, -second / 2]), bound.decomposition.weights)


def test_what_cannot_be_cut_together_is_refused():
    with pytest.raises(InvalidValue, match="at least one gate"):
        cut_jointly([])
    with pytest.raises(InvalidValue, match="swapped"):
        cut_jointly([lib.CXGate()], swapped=(True, False))
    with pytest.raises(InvalidValue, match="64 terms"):
        cut_jointly([lib.CXGate()] * 6)
    with pytest.raises(InvalidValue, match="one angle"):
        cut_jointly([lib.SwapGate()]).weights_at([0.1])
    with pytest.raises(UnsupportedOperation, match="ccx"):
        cut_jointly([lib.CXGate(), lib.CCXGate()])
