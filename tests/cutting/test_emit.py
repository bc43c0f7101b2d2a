import math

import numpy as np
import pytest
from qiskit import QuantumCircuit, transpile
from qiskit.circuit import library as lib
from qiskit.quantum_info import Operator, random_unitary

from hyperfabric_q.cutting.decomposition import Instrument
from hyperfabric_q.cutting.emit import bits_of, emit, needs_ancilla
from hyperfabric_q.cutting.gates import FIVE, cut_gate
from hyperfabric_q.cutting.joint import cut_jointly
from hyperfabric_q.cutting.wires import wire_cut, wires_jointly
from hyperfabric_q.errors import InternalError, InvalidValue


def realised(instrument):
    """Superoperator of the emitted operations: every branch of every measurement, weighted by what its bits count."""
    d_out, d_in = instrument.kraus.shape[1:]
    width = max(d_out, d_in).bit_length() - 1
    circuit = QuantumCircuit(width + 1, max(1, bits_of(instrument)))
    ancilla = width if needs_ancilla(instrument) else None
    values = emit(instrument, circuit, range(width), range(circuit.num_clbits), ancilla)
    assert len(values) == 2 ** bits_of(instrument)
    columns = []
    for row, column in np.ndindex(d_in, d_in):
        start = np.zeros((2 ** (width + 1),) * 2, dtype=complex)
        start[row, column] = 1  # ancilla in |0>; a qubit that begins in |0> too
        total = sum(values[bits] * branch for bits, branch in branches(circuit, start).items())
        kept = total.reshape(2, 2**width, 2, 2**width)
        if ancilla is not None:
            assert np.abs(kept[1]).max() < 1e-12  # it is handed back in |0>
        out = kept.trace(axis1=0, axis2=2)
        columns.append(out.trace().reshape(1) if d_out == 1 else out.reshape(-1))
    return np.array(columns).T


def branches(circuit, start):
    """Density matrices by what the bits hold."""
    states = {0: start}
    for item in circuit.data:
        qubits = [circuit.find_bit(bit).index for bit in item.qubits]
        after = {}
        for bits, state in states.items():
            if item.operation.name in ("measure", "reset"):
                for outcome in (0, 1):
                    projector = np.diag(((np.arange(len(state)) >> qubits[0] & 1) == outcome).astype(complex))
                    branch, new = projector @ state @ projector, bits
                    if item.operation.name == "reset" and outcome:
                        flip = np.arange(len(state)) ^ 1 << qubits[0]
                        branch = branch[np.ix_(flip, flip)]
                    if item.operation.name == "measure":
                        bit = circuit.find_bit(item.clbits[0]).index
                        new = bits & ~(1 << bit) | outcome << bit
                    after[new] = after.get(new, 0) + branch
            else:
                alone = QuantumCircuit(circuit.num_qubits)
                alone.append(item.operation, qubits)
                unitary = Operator(alone).data
                after[bits] = after.get(bits, 0) + unitary @ state @ unitary.conj().T
        states = after
    return states


def check(instrument):
    assert np.abs(realised(instrument) - instrument.superoperator()).max() < 1e-12


def names(instrument):
    circuit = QuantumCircuit(3, 3)
    width = max(instrument.kraus.shape[1:]).bit_length() - 1
    emit(instrument, circuit, range(width), range(3), 2)
    return list(circuit.count_ops())


def test_the_five_instruments_are_their_gates():
    for instrument, expected in zip(FIVE, ([], ["z"], ["s"], ["sdg"], ["measure"]), strict=True):
        check(instrument)
        assert names(instrument) == expected
        assert bits_of(instrument) == (instrument.name == "M")
        assert not needs_ancilla(instrument)


@pytest.mark.parametrize("gate", [lib.SwapGate(), lib.iSwapGate(), lib.XXPlusYYGate(0.4), lib.RXXGate(0.3)])
def test_gates_of_two_angles_run_without_ancilla(gate):
    core = cut_gate(gate).decomposition
    for each in (*core.left, *core.right):
        check(each)
        assert not needs_ancilla(each)
        assert bits_of(each) == (not each.is_unitary)


def test_a_general_gate_needs_an_ancilla_on_the_right_only():
    core = cut_gate(lib.UnitaryGate(random_unitary(4, seed=3))).decomposition
    for each in (*core.left, *core.right):
        check(each)
    assert not any(needs_ancilla(each) for each in core.left)
    assert any(needs_ancilla(each) for each in core.right)
    with pytest.raises(InvalidValue, match="ancilla"):
        emit(next(each for each in core.right if needs_ancilla(each)), QuantumCircuit(1, 1), [0], 0)


@pytest.mark.parametrize(
    "operations",
    [
        [lib.CXGate(), lib.RZZGate(0.7)],
        [lib.SwapGate(), lib.CXGate()],
        [lib.UnitaryGate(random_unitary(4, seed=5)), lib.CZGate()],
    ],
)
def test_joint_instruments_are_realised(operations):
    core = cut_jointly(operations).decomposition
    every = (*core.left, *core.right)
    for each in every[:: max(1, len(every) // 25)]:
        check(each)
        assert set(names(each)) <= {"x", "y", "z", "h", "s", "sdg", "cx", "cy", "cz", "p", "u", "measure", "reset"}


def test_parallel_rotations_on_three_qubits_measure_parities_in_place():
    core = cut_jointly([lib.RZZGate(0.3)] * 3).decomposition
    for each in core.left[::13]:
        check(each)
        assert not needs_ancilla(each)


@pytest.mark.parametrize(
    "cut", [wire_cut("lo"), wire_cut("lo_six"), wires_jointly(1), wires_jointly(2)], ids=lambda c: c.name
)
def test_ends_and_beginnings_of_wires_are_realised(cut):
    for each in cut.left:
        check(each)
        assert bits_of(each) == (len(each.kraus[0, 0]).bit_length() - 1)
    for each in cut.right:
        check(each)
        assert bits_of(each) == 0


def test_instruments_of_one_basis_append_the_same_operations():
    for cut, settings in ((wire_cut("lo"), 3), (wires_jointly(1), 3), (wires_jointly(2), 5), (wires_jointly(3), 9)):
        circuits = []
        for each in cut.left:
            width = each.kraus.shape[2].bit_length() - 1
            circuit = QuantumCircuit(width, width)
            values = emit(each, circuit, range(width), circuit.clbits)
            assert set(np.abs(values)) <= {0.0, 1.0}
            if circuit not in circuits:
                circuits.append(circuit)
        assert len(circuits) == settings


def test_paulis_of_an_ended_wire_count_by_sign():
    for each in wire_cut("lo").left:
        circuit = QuantumCircuit(1, 1)
        assert emit(each, circuit, [0], 0).tolist() == ([1, 1] if each.name == "I" else [1, -1])


def test_other_instruments_of_the_kind_are_realised():
    rng = np.random.default_rng(6)
    one, other = (random_unitary(2, seed=rng).data for _ in range(2))
    two = random_unitary(4, seed=rng).data
    signs = np.array([1.0, -1.0])
    for instrument in (
        Instrument(name="u", signs=np.ones(1), kraus=one[None]),
        Instrument(name="uu", signs=np.ones(1), kraus=two[None]),
        Instrument(name="-u", signs=-np.ones(1), kraus=one[None]),
        Instrument(name="mixed", signs=signs, kraus=np.array([one + other, one - other]) / 2),
        Instrument(name="flipped M", signs=-signs, kraus=FIVE[4].kraus),
        Instrument(name="M backwards", signs=signs, kraus=FIVE[4].kraus[::-1]),
        Instrument(name="prepare", signs=np.ones(1), kraus=two[:, :1][None]),
        Instrument(name="tilted", signs=signs, kraus=one[:, None, :]),
        Instrument(name="two outcomes", signs=signs, kraus=two[:2, None, :]),
    ):
        check(instrument)


def test_emitted_operations_transpile_to_hardware():
    circuit = QuantumCircuit(3, 1)
    for each in cut_jointly([lib.CXGate(), lib.RZZGate(0.7)]).decomposition.left:
        emit(each, circuit, [0, 1], 0)
    compiled = transpile(circuit, basis_gates=["rz", "sx", "x", "cz", "measure"], optimization_level=0)
    assert set(compiled.count_ops()) <= {"rz", "sx", "x", "cz", "measure"}


def test_missing_places_and_foreign_instruments_are_refused():
    circuit = QuantumCircuit(2, 1)
    with pytest.raises(InvalidValue, match="clbit"):
        emit(FIVE[4], circuit, [0])
    with pytest.raises(InvalidValue, match="qubits"):
        emit(FIVE[4], circuit, [0, 1], 0)
    with pytest.raises(InvalidValue, match="writes 2"):
        emit(wires_jointly(2).left[0], circuit, [0, 1], 0)
    damping = np.array([[[1, 0], [0, math.sqrt(0.5)]], [[0, math.sqrt(0.5)], [0, 0]]])
    for foreign in (
        Instrument(name="damping", signs=np.ones(2), kraus=damping),
        Instrument(name="lossy", signs=np.ones(1), kraus=damping[:1]),
        Instrument(name="half", signs=np.ones(1), kraus=np.array([[[0.5], [0.0]]])),
        Instrument(name="askew", signs=np.ones(2), kraus=np.array([[[1, 0]], [[0.6, 0.8]]])),
    ):
        with pytest.raises(InternalError, match=foreign.name):
            emit(foreign, circuit, [0], 0)
    assert not circuit.data
