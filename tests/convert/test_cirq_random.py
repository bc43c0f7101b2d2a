"""Random circuits of everything that either framework has: the same meaning on the other side, or an error by name.

Meaning is the unitary, global phase and idle qubits included, or the density matrix of each outcome.
"""

import importlib.util
from pathlib import Path

import cirq
import numpy as np
import pytest
import sympy
from hypothesis import given, settings
from hypothesis import strategies as st
from qiskit import ClassicalRegister, QuantumCircuit, QuantumRegister
from qiskit.circuit import Clbit, Parameter, ParameterVector
from qiskit.circuit.classical import expr
from qiskit.circuit.library import UnitaryGate, get_standard_gate_name_mapping
from qiskit.quantum_info import Operator

from hyperfabric_q.convert.cirq import cirq_report, from_cirq, to_cirq
from hyperfabric_q.errors import ConversionRefused

_SPEC = importlib.util.spec_from_file_location("cirq_judges", Path(__file__).with_name("cirq_judges.py"))
judges = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(judges)

NUMBERS = {"t": 0.37, "s": -1.3, "v[0]": 0.9, "v[1]": 2.2}
SEEDS = st.integers(0, 2**32)
STANDARD = [
    gate
    for name, gate in get_standard_gate_name_mapping().items()
    if name not in ("delay", "measure", "reset", "barrier", "global_phase") and gate.num_qubits <= 3
]

# --------------------------------------------------------------------------------------------------------- circuits


def random_qiskit(seed):
    """Two registers of wires, one of which may stay idle; half of the circuits measure; a few hold what Cirq lacks."""
    rng = np.random.default_rng(seed)
    measures, odd = bool(rng.random() < 0.5), bool(rng.random() < 0.1)
    parts = [QuantumRegister(2, "b"), QuantumRegister(2, "a")] if rng.random() < 0.5 else [QuantumRegister(4, "q")]
    if measures:
        parts += [ClassicalRegister(2, "c"), ClassicalRegister(1, "d"), [Clbit()]]
    circuit = QuantumCircuit(*parts, global_phase=float(rng.uniform(0, 6)))
    vector = ParameterVector("v", 2)
    symbols = [Parameter("t"), Parameter("s"), *vector]
    used = int(rng.integers(3, 5))

    def angle():
        number = float(rng.uniform(0.2, 6))
        if rng.random() < 0.7:
            return number
        one, two = (symbols[each] for each in rng.integers(4, size=2))
        return (one * number, one + two, one * two - 1, one.sin() / 2, number - one)[int(rng.integers(5))]

    def gate():
        kind = rng.random()
        if kind < 0.05:
            circuit.append(
                UnitaryGate(cirq.testing.random_unitary(4, random_state=int(rng.integers(99)))),
                [int(each) for each in rng.permutation(used)[:2]],
            )
        elif kind < 0.1:
            circuit.barrier(*(int(each) for each in rng.permutation(used)[: int(rng.integers(1, used + 1))]))
        elif kind < 0.13:
            circuit.delay(int(rng.integers(1, 99)), int(rng.integers(used)), str(rng.choice(["dt", "ns", "us"])))
        elif kind < 0.17:
            inner = QuantumCircuit(1, global_phase=float(rng.uniform(0, 6)))
            inner.rx(float(rng.uniform(0, 6)), 0)
            circuit.append(inner.to_gate().control(1, ctrl_state=int(rng.integers(2))), [0, 2])
        elif measures and kind < 0.22:
            circuit.reset(int(rng.integers(used)))
        else:
            chosen = STANDARD[int(rng.integers(len(STANDARD)))]
            own = type(chosen)(*(angle() for _ in chosen.params)) if chosen.params else chosen
            circuit.append(own, [int(each) for each in rng.permutation(used)[: chosen.num_qubits]])

    def test():
        if rng.random() < 0.5:
            return circuit.clbits[int(rng.integers(4))], int(rng.integers(2))
        return circuit.cregs[0], int(rng.integers(4))

    for _ in range(int(rng.integers(3, 11))):
        if measures and rng.random() < 0.25:
            circuit.measure(int(rng.integers(used)), int(rng.integers(4)))
        elif measures and rng.random() < 0.25:
            with circuit.if_test(test()) as otherwise:
                gate()
                if rng.random() < 0.3:
                    with circuit.if_test(test()):
                        gate()
            if rng.random() < 0.4:
                with otherwise:
                    gate()
        else:
            gate()
    if odd and measures:
        kind = int(rng.integers(3))
        if kind == 0:
            with circuit.for_loop(range(2)):
                circuit.x(0)
        elif kind == 1:
            with circuit.if_test(expr.logic_not(circuit.clbits[0])):
                circuit.x(0)
        else:
            circuit.measure(0, 0)
            with circuit.if_test((circuit.clbits[0], 1)):
                circuit.measure(0, 1)
    return circuit, odd and measures


POWERS = (
    cirq.XPowGate, cirq.YPowGate, cirq.ZPowGate, cirq.HPowGate, cirq.CZPowGate, cirq.CXPowGate, cirq.ISwapPowGate,
    cirq.SwapPowGate, cirq.XXPowGate, cirq.YYPowGate, cirq.ZZPowGate, cirq.CCXPowGate, cirq.CCZPowGate,
)  # fmt: skip


def random_cirq(seed):
    """Wires with names of one kind; half of the circuits measure, some keys repeatedly; a few are beyond Qiskit."""
    rng = np.random.default_rng(seed)
    measures, odd = bool(rng.random() < 0.5), bool(rng.random() < 0.1)
    wires = (
        cirq.LineQubit.range(4),
        cirq.GridQubit.rect(2, 2),
        cirq.NamedQubit.range(4, prefix="n"),
        [cirq.NamedQubit(f"r[{place}]") for place in range(4)],
        [cirq.q(3), cirq.q(1, 1), cirq.q("x"), cirq.q("x[0]")],
    )[int(rng.integers(5))]
    used = int(rng.integers(3, 5))
    t, s = sympy.symbols("t s")
    sizes = {}

    def angle():
        number = float(np.round(rng.uniform(-2, 2), 3))
        return (
            number
            if rng.random() < 0.7
            else (t * number, s + t, t * s - 0.5, sympy.cos(t), t / 3)[int(rng.integers(5))]
        )

    def chosen(count):
        return [wires[int(each)] for each in rng.permutation(used)[:count]]

    def unitary():
        kind = int(rng.integers(9))
        if kind < 4:
            power = POWERS[int(rng.integers(len(POWERS)))]
            exponent = 1 if rng.random() < 0.2 else angle()
            gate = power(exponent=exponent, global_shift=float(rng.choice([0, -0.5, 0.2])))
        elif kind == 4:
            gate = cirq.FSimGate(angle(), angle())
        elif kind == 5:
            gate = cirq.PhasedXZGate(x_exponent=angle(), z_exponent=angle(), axis_phase_exponent=angle())
        elif kind == 6:
            base = (cirq.X, cirq.Y, cirq.Z, cirq.H)[int(rng.integers(4))] ** angle()
            gate = cirq.ControlledGate(base, control_values=[int(rng.integers(2))])
        elif kind == 7:
            gate = cirq.MatrixGate(cirq.testing.random_unitary(4, random_state=int(rng.integers(99))))
        else:
            gate = cirq.GlobalPhaseGate(np.exp(1j * rng.uniform(0, 6)))
            return gate() if rng.random() < 0.5 else gate().controlled_by(*chosen(2))
        return gate.on(*chosen(cirq.num_qubits(gate)))

    def measurement():
        key = str(rng.choice(["k", "m", "c[0]", "c[1]"]))
        size = sizes.get(key) or (1 if key.startswith("c") else int(rng.integers(1, 3)))
        sizes[key] = size
        invert = tuple(bool(each) for each in rng.integers(2, size=size))
        return cirq.measure(*chosen(size), key=key, invert_mask=invert)

    def condition():
        key = str(rng.choice(sorted(sizes)))
        number = int(rng.integers(2 ** sizes[key]))
        return (
            cirq.KeyCondition(cirq.MeasurementKey(key)),
            cirq.KeyCondition(cirq.MeasurementKey(key), 0),
            cirq.SympyCondition(sympy.Eq(sympy.Symbol(key), number)),
            cirq.BitMaskKeyCondition(key, target_value=number, equal_target=True, bitmask=1),
            cirq.BitMaskKeyCondition(key, 0, target_value=number, equal_target=bool(rng.integers(2))),
        )[int(rng.integers(5))]

    parts = []
    for _ in range(int(rng.integers(3, 11))):
        draw = rng.random()
        if measures and draw < 0.25:
            parts.append(measurement())
        elif measures and draw < 0.3:
            parts.append(cirq.reset(*chosen(1)))
        elif sizes and draw < 0.5:
            parts.append(unitary().with_classical_controls(*(condition() for _ in range(int(rng.integers(1, 3))))))
        elif draw < 0.55:
            inner = cirq.FrozenCircuit(unitary(), unitary())
            parts.append(cirq.CircuitOperation(inner, repetitions=int(rng.integers(1, 4))))
        elif draw < 0.6:
            parts.append(cirq.wait(*chosen(1), nanos=int(rng.integers(1, 50))))
        else:
            parts.append(unitary())
    if odd:
        parts.append((cirq.depolarize(0.1)(wires[0]), cirq.X(wires[0]) ** sympy.floor(t))[int(rng.integers(2))])
    return cirq.Circuit([cirq.I(each) for each in wires], parts), odd


# ----------------------------------------------------------------------------------------------------------- meaning


def bound(circuit):
    if isinstance(circuit, QuantumCircuit):
        return circuit.assign_parameters({each.name: NUMBERS[each.name] for each in circuit.parameters})
    return cirq.resolve_parameters(circuit, NUMBERS)


def check(qiskit_circuit, cirq_circuit, order):
    """The first of Cirq's wires in ``order`` is Qiskit's first."""
    qiskit_circuit, cirq_circuit = bound(qiskit_circuit), bound(cirq_circuit)
    if qiskit_circuit.num_clbits or qiskit_circuit.count_ops().get("reset"):
        judges.same(judges.qiskit_outcomes(qiskit_circuit), judges.cirq_outcomes(cirq_circuit, order))
        return
    bare = qiskit_circuit.copy()
    bare.data = [each for each in qiskit_circuit.data if each.operation.name not in ("barrier", "delay")]
    found = cirq_circuit.unitary(qubit_order=order)
    assert found.shape == (2**bare.num_qubits,) * 2
    assert np.allclose(Operator(bare.reverse_bits()).data, found, atol=1e-6)


def registers(circuit):
    return [(each.name, each.size) for each in (*circuit.qregs, *circuit.cregs)]


def check_from_qiskit(seed):
    circuit, odd = random_qiskit(seed)
    report = cirq_report(circuit)
    assert report.lossless != odd
    if odd:
        with pytest.raises(ConversionRefused) as caught:
            to_cirq(circuit)
        assert caught.value.report == report
        return
    there = to_cirq(circuit)
    names = {str(each): each for each in there.all_qubits()}
    places = [circuit.find_bit(each).registers[0] for each in circuit.qubits]
    order = [names.get(f"{register.name}({place})") or names[f"{register.name}[{place}]"] for register, place in places]
    check(circuit, there, order)
    again = from_cirq(there)
    assert registers(again) == registers(circuit)
    assert (again.num_qubits, again.num_clbits) == (circuit.num_qubits, circuit.num_clbits)
    if not any("never entered" in each.reason for each in report.changed):
        assert [each.name for each in again.parameters] == [each.name for each in circuit.parameters]
    for name in ("barrier", "delay"):
        if not circuit.num_clbits:
            assert again.count_ops().get(name, 0) == circuit.count_ops().get(name, 0)
    check(again, there, order)


def check_from_cirq(seed):
    circuit, odd = random_cirq(seed)
    report = cirq_report(circuit)
    assert report.lossless != odd
    if odd:
        with pytest.raises(ConversionRefused) as caught:
            from_cirq(circuit)
        assert caught.value.report == report
        return
    there = from_cirq(circuit)
    order = sorted(circuit.all_qubits())
    plain = cirq.Circuit(
        cirq.decompose(circuit, keep=lambda each: not isinstance(each.untagged, cirq.CircuitOperation))
    )
    check(there, plain, order)
    again = to_cirq(there)
    assert sorted(again.all_qubits()) == order
    assert again.all_measurement_key_names() == circuit.all_measurement_key_names()
    assert cirq.parameter_names(again) <= cirq.parameter_names(circuit)
    check(there, again, order)


@given(SEEDS)
@settings(deadline=None, derandomize=True, max_examples=60)
def test_a_random_qiskit_circuit_means_the_same_in_cirq_or_is_refused(seed):
    check_from_qiskit(seed)


@given(SEEDS)
@settings(deadline=None, derandomize=True, max_examples=60)
def test_a_random_cirq_circuit_means_the_same_in_qiskit_or_is_refused(seed):
    check_from_cirq(seed)


@pytest.mark.slow
@given(SEEDS)
@settings(deadline=None, derandomize=True, max_examples=1000)
def test_a_thousand_qiskit_circuits_mean_the_same_in_cirq_or_are_refused(seed):
    check_from_qiskit(seed)


@pytest.mark.slow
@given(SEEDS)
@settings(deadline=None, derandomize=True, max_examples=1000)
def test_a_thousand_cirq_circuits_mean_the_same_in_qiskit_or_are_refused(seed):
    check_from_cirq(seed)
