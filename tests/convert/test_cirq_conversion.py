"""Cirq circuits keep their unitary, global phase included, in both directions."""

import cirq
import numpy as np
import pytest
import sympy
from hypothesis import given, settings
from hypothesis import strategies as st
from qiskit import ClassicalRegister, QuantumCircuit, QuantumRegister
from qiskit.circuit import Gate
from qiskit.circuit.classical import expr
from qiskit.circuit.library import GlobalPhaseGate, get_standard_gate_name_mapping
from qiskit.circuit.random import random_circuit
from qiskit.quantum_info import Operator, Statevector

from hyperfabric_q.convert import from_cirq, to_cirq
from hyperfabric_q.errors import InvalidValue, UnsupportedOperation

WIRES = cirq.LineQubit.range(4)
POWERS = (
    cirq.XPowGate, cirq.YPowGate, cirq.ZPowGate, cirq.HPowGate, cirq.CZPowGate, cirq.CXPowGate, cirq.ISwapPowGate,
    cirq.SwapPowGate, cirq.XXPowGate, cirq.YYPowGate, cirq.ZZPowGate, cirq.CCXPowGate, cirq.CCZPowGate,
)  # fmt: skip


def big_endian(circuit):
    """Cirq's convention: the first qubit is the most significant digit."""
    return Operator(circuit.reverse_bits()).data


def check_both_ways(operations):
    circuit = cirq.Circuit(cirq.I.on_each(*WIRES), operations)
    there = from_cirq(circuit)
    assert np.allclose(big_endian(there), cirq.unitary(circuit), atol=1e-8)
    assert np.allclose(cirq.unitary(to_cirq(there)), cirq.unitary(circuit), atol=1e-7)


EXPONENTS = st.one_of(
    st.sampled_from([1, -1, 0.5, -0.5, 0.25, -0.25, 0, 2]), st.floats(-3, 3).map(lambda x: round(x, 4))
)


@given(st.sampled_from(POWERS), EXPONENTS, st.sampled_from([0, -0.5, 0.2]), st.permutations(WIRES))
@settings(deadline=None, derandomize=True, max_examples=80)
def test_power_gates_keep_their_unitary(kind, exponent, shift, wires):
    gate = kind(exponent=exponent, global_shift=shift)
    check_both_ways(gate.on(*wires[: cirq.num_qubits(gate)]))


@given(EXPONENTS, EXPONENTS, EXPONENTS, st.permutations(WIRES))
@settings(deadline=None, derandomize=True, max_examples=20)
def test_phased_and_fermionic_gates_keep_their_unitary(a, b, c, wires):
    check_both_ways([
        cirq.PhasedXPowGate(exponent=a, phase_exponent=b, global_shift=c).on(wires[0]),
        cirq.PhasedXZGate(x_exponent=a, z_exponent=b, axis_phase_exponent=c).on(wires[1]),
        cirq.FSimGate(a, b).on(wires[0], wires[2]),
        cirq.PhasedISwapPowGate(phase_exponent=a, exponent=b).on(wires[3], wires[1]),
        cirq.PhasedFSimGate(a, b, c).on(wires[2], wires[3]),
    ])  # fmt: skip


OTHERS = {
    "rx": cirq.rx(0.3),
    "identity of three": cirq.IdentityGate(3),
    "controlled swap": cirq.CSWAP,
    "matrix of two": cirq.MatrixGate(cirq.testing.random_unitary(4, random_state=1)),
    "matrix of three": cirq.MatrixGate(cirq.testing.random_unitary(8, random_state=2)),
    "fourier": cirq.QuantumFourierTransformGate(3),
    "controlled power": cirq.ControlledGate(cirq.X**0.3),
    "controlled hadamard power": cirq.ControlledGate(cirq.H**0.3),
    "negative control": cirq.ControlledGate(cirq.Y, control_values=[0]),
    "mixed controls": cirq.ControlledGate(cirq.ISWAP, num_controls=2, control_values=[0, 1]),
    "asymmetric target": cirq.ControlledGate(cirq.MatrixGate(cirq.testing.random_unitary(4, random_state=3))),
    "controlled rotation": cirq.ControlledGate(cirq.rz(0.3), num_controls=3),
    "controlled phase": cirq.ControlledGate(cirq.GlobalPhaseGate(1j), num_controls=2, control_values=[0, 1]),
    "either control value": cirq.ControlledGate(cirq.X, control_values=[(0, 1)]),
    "sum of products": cirq.ControlledGate(cirq.X, num_controls=2, control_values=cirq.SumOfProducts([[0, 1], [1, 0]])),
    "diagonal": cirq.ThreeQubitDiagonalGate([0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8]),
    "clifford": cirq.SingleQubitCliffordGate.X_sqrt,
    "parallel": cirq.ParallelGate(cirq.X**0.2, 3),
    "wait": cirq.WaitGate(cirq.Duration(nanos=3)),
    "boolean": cirq.BooleanHamiltonianGate(["a", "b"], ["a ^ b"], 0.3),
}


@pytest.mark.parametrize("name", OTHERS)
def test_other_gates_keep_their_unitary_on_any_wires(name):
    gate = OTHERS[name]
    check_both_ways(gate.on(*[WIRES[i] for i in (2, 0, 3, 1)][: cirq.num_qubits(gate)]))


def test_a_gate_known_only_by_its_matrix_is_carried_over():
    class Odd(cirq.Gate):
        def _num_qubits_(self):
            return 2

        def _unitary_(self):
            return cirq.testing.random_unitary(4, random_state=9)

    check_both_ways(Odd().on(WIRES[3], WIRES[1]))


def test_global_phase_tags_and_subcircuits_are_kept():
    inner = cirq.FrozenCircuit(cirq.H(WIRES[0]), cirq.CX(WIRES[0], WIRES[1]) ** 0.5)
    check_both_ways([
        cirq.global_phase_operation(1j),
        cirq.X(WIRES[2]).with_tags("mine"),
        cirq.CircuitOperation(inner).repeat(3),
        cirq.CircuitOperation(inner).with_qubits(WIRES[3], WIRES[2]),
    ])  # fmt: skip


def test_the_order_of_wires_can_be_chosen():
    a, b = cirq.NamedQubit.range(2, prefix="n")
    circuit = cirq.Circuit(cirq.X(a), cirq.I(b))
    assert Statevector(from_cirq(circuit)).data[0b01] == 1
    assert Statevector(from_cirq(circuit, qubit_order=[b, a])).data[0b10] == 1
    assert from_cirq(circuit, qubit_order=[a, b, cirq.NamedQubit("idle")]).num_qubits == 3
    with pytest.raises(InvalidValue, match="qubit_order"):
        from_cirq(circuit, qubit_order=[a])


def test_measurements_become_registers_named_by_their_key():
    a, b = WIRES[:2]
    circuit = cirq.Circuit(
        cirq.X(a), cirq.measure(a, b, key="m", invert_mask=(False, True)), cirq.measure(b, key="q"), cirq.reset(a)
    )
    result = from_cirq(circuit)
    assert [(each.name, each.size) for each in result.cregs] == [("m", 2), ("q", 1)]
    bare = result.copy()
    outcomes = run_deterministically(bare)
    assert outcomes == {"m": [1, 1], "q": [0]}  # the record of b is inverted, b is not
    assert cirq.Simulator().run(circuit).measurements["m"].tolist() == [[1, 1]]


def run_deterministically(circuit):
    """Evaluate a circuit of x, measure and reset."""
    state = dict.fromkeys(circuit.qubits, 0)
    bits = {register.name: [None] * register.size for register in circuit.cregs}
    for instruction in circuit.data:
        (qubit,) = instruction.qubits
        if instruction.name == "x":
            state[qubit] ^= 1
        elif instruction.name == "reset":
            state[qubit] = 0
        else:
            register, place = circuit.find_bit(instruction.clbits[0]).registers[0]
            bits[register.name][place] = state[qubit]
    return bits


@pytest.mark.parametrize(
    ("operation", "says"),
    [
        (cirq.X(WIRES[1]).with_classical_controls("later"), "not measured before"),
        (cirq.depolarize(0.1)(WIRES[1]), "noise channel"),
        (cirq.amplitude_damp(0.1)(WIRES[1]), "noise channel"),
        (cirq.X(WIRES[1]) ** sympy.gamma(sympy.Symbol("t")), "unresolved parameter"),
        (cirq.IdentityGate(qid_shape=(3,))(cirq.LineQid(1, 3)), "qudit"),
        (cirq.measure(WIRES[1], WIRES[2], key="k"), "used for 1 qubits before"),
        (cirq.measure(WIRES[1], key="z", confusion_map={(0,): np.array([[0.9, 0.1], [0.1, 0.9]])}), "confusion"),
        (
            cirq.CircuitOperation(
                cirq.FrozenCircuit(cirq.measure(WIRES[1], key="w")),
                repeat_until=cirq.KeyCondition(cirq.MeasurementKey("w")),
                use_repetition_ids=False,
            ),
            "repeated until",
        ),
    ],
)
def test_what_has_no_counterpart_names_operation_and_moment(operation, says):
    circuit = cirq.Circuit(cirq.Moment(cirq.measure(WIRES[0], key="k")), cirq.Moment(operation))
    with pytest.raises(UnsupportedOperation, match=says) as caught:
        from_cirq(circuit)
    assert "moment 1" in str(caught.value)


STANDARD = {
    name: gate
    for name, gate in get_standard_gate_name_mapping().items()
    if name not in ("delay", "measure", "reset", "barrier", "global_phase") and gate.num_qubits <= 4
}


@pytest.mark.parametrize("name", STANDARD)
def test_every_standard_gate_of_qiskit_keeps_its_unitary_in_cirq(name):
    gate = STANDARD[name]
    circuit = QuantumCircuit(4)
    values = [0.3 + 0.4 * i for i in range(len(gate.params))]
    circuit.append(type(gate)(*values) if gate.params else gate, [2, 0, 3, 1][: gate.num_qubits])
    assert np.allclose(cirq.unitary(to_cirq(circuit)), big_endian(circuit), atol=1e-7)


@given(st.integers(0, 10**6))
@settings(deadline=None, derandomize=True, max_examples=15)
def test_a_random_circuit_comes_back_from_cirq_with_its_unitary(seed):
    circuit = random_circuit(4, 4, max_operands=3, seed=seed)
    again = from_cirq(to_cirq(circuit))
    assert np.allclose(Operator(again).data, Operator(circuit).data, atol=1e-6)


def test_to_cirq_names_measurement_keys_and_keeps_idle_wires():
    circuit = QuantumCircuit(QuantumRegister(3, "q"), ClassicalRegister(2, "c"), ClassicalRegister(1, "d"))
    circuit.x(0)
    circuit.measure(0, 1)
    circuit.barrier()
    circuit.reset(0)
    circuit.measure(1, 2)
    result = to_cirq(circuit)
    assert result.all_qubits() == frozenset(cirq.LineQubit.range(3))
    assert result.all_measurement_key_names() == {"c[1]", "d"}
    assert cirq.Simulator().run(result).measurements["c[1]"].tolist() == [[1]]


def test_to_cirq_names_the_instruction_that_it_cannot_carry():
    branch = QuantumCircuit(1, 1)
    branch.measure(0, 0)
    with branch.if_test((branch.clbits[0], 1)):
        branch.measure(0, 0)
    loop = QuantumCircuit(1, 1)
    loop.h(0)
    with loop.for_loop(range(2)):
        loop.x(0)
    compared = QuantumCircuit(1, 1)
    compared.measure(0, 0)
    with compared.if_test(expr.logic_not(compared.clbits[0])):
        compared.x(0)
    unfinished = QuantumCircuit(1)
    unfinished.h(0)
    unfinished.append(Gate("secret", 1, []), [0])
    turned = QuantumCircuit(1)
    turned.h(0)
    turned.append(GlobalPhaseGate(float("inf")))
    for circuit, says in (
        (branch, "no conditional measurement"),
        (loop, "only if_test"),
        (compared, "compared with a number"),
        (unfinished, "no definition"),
        (turned, "not finite"),
    ):
        with pytest.raises(UnsupportedOperation, match=says) as caught:
            to_cirq(circuit)
        assert caught.value.index == 1
