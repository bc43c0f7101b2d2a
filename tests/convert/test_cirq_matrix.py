"""The features at which conversions between Qiskit and Cirq usually fail, one case each: kept, or refused by name."""

import importlib.util
import json
import pickle
from pathlib import Path

import cirq
import numpy as np
import pytest
import sympy
from qiskit import ClassicalRegister, QuantumCircuit, QuantumRegister
from qiskit.circuit import Clbit, Parameter, ParameterVector, Qubit
from qiskit.circuit.classical import expr
from qiskit.circuit.library import ECRGate, PhaseGate, QFTGate, UGate, UnitaryGate, XGate
from qiskit.quantum_info import Operator

from hyperfabric_q.convert.cirq import cirq_report, from_cirq, to_cirq
from hyperfabric_q.convert.conversion_report import ConversionEntry, ConversionReport
from hyperfabric_q.errors import ConversionRefused, InvalidValue, UnsupportedOperation

_SPEC = importlib.util.spec_from_file_location("cirq_judges", Path(__file__).with_name("cirq_judges.py"))
judges = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(judges)

A, B, C = cirq.LineQubit.range(3)
G = cirq.GridQubit.rect(2, 2)
T, S = sympy.symbols("t s")
FREE = ("measure", "reset", "if_else")


def bound(circuit):
    """The circuit with a value for each symbol, the same on both sides."""
    if isinstance(circuit, QuantumCircuit):
        return circuit.assign_parameters({each.name: value(each.name) for each in circuit.parameters})
    return cirq.resolve_parameters(circuit, {name: value(name) for name in cirq.parameter_names(circuit)})


def value(name):
    return 0.2 + 0.01 * sum(name.encode()) % 2


def unitary_of(circuit, order=None):
    """First wire most significant; delays and barriers are nothing."""
    if isinstance(circuit, QuantumCircuit):
        bare = circuit.copy()
        bare.data = [each for each in circuit.data if each.operation.name not in ("barrier", "delay")]
        return Operator(bare.reverse_bits()).data
    return circuit.unitary(qubit_order=sorted(circuit.all_qubits()) if order is None else order)


def wires_of(cirq_circuit, qiskit_circuit):
    """Cirq's qubits in the order of Qiskit's wires: line qubits by number, named ones by register and place."""
    qubits = sorted(cirq_circuit.all_qubits())
    if all(isinstance(each, cirq.LineQubit) for each in qubits):
        return qubits
    named = {each.name: each for each in qubits}
    places = [qiskit_circuit.find_bit(bit) for bit in qiskit_circuit.qubits]
    return [
        named[f"{each.registers[0][0].name}[{each.registers[0][1]}]" if each.registers else f"qubit[{each.index}]"]
        for each in places
    ]


def same_meaning(qiskit_circuit, cirq_circuit, order):
    qiskit_circuit, cirq_circuit = bound(qiskit_circuit), bound(cirq_circuit)
    measured = any(each.operation.name in FREE for each in qiskit_circuit.data)
    if measured:
        judges.same(judges.qiskit_outcomes(qiskit_circuit), judges.cirq_outcomes(cirq_circuit, order))
    else:
        assert np.allclose(unitary_of(qiskit_circuit), unitary_of(cirq_circuit, order), atol=1e-7)


def registers(circuit):
    return [(each.name, each.size) for each in (*circuit.qregs, *circuit.cregs)]


# ------------------------------------------------------------------------------------------------------ from Qiskit


def circuit_of(write, qubits=2, bits=2):
    circuit = QuantumCircuit(qubits, bits)
    for wire in range(qubits):
        circuit.ry(0.4 + 0.5 * wire, wire)
    write(circuit)
    return circuit


def idle():
    circuit = QuantumCircuit(QuantumRegister(1, "used"), QuantumRegister(2, "idle"))
    circuit.h(0)
    return circuit


def reused(circuit):
    circuit.measure(0, 0)
    circuit.reset(0)
    circuit.h(0)
    circuit.measure(0, 0)


def bit_test(circuit):
    circuit.measure(0, 1)
    with circuit.if_test((circuit.clbits[1], 1)):
        circuit.x(1)


def either(circuit):
    circuit.measure(0, 0)
    with circuit.if_test((circuit.clbits[0], 0)) as otherwise:
        circuit.x(1)
    with otherwise:
        circuit.ry(0.3, 1)


def register_test(circuit):
    """The register has a bit that is never measured."""
    circuit.measure(0, 0)
    with circuit.if_test((circuit.cregs[0], 1)) as otherwise:
        circuit.x(1)
    with otherwise:
        circuit.ry(0.3, 1)


def angles(circuit):
    t, v = Parameter("t"), ParameterVector("v", 12)
    circuit.rx(2 * t - 0.5, 0)
    circuit.cp(v[2] * v[10], 0, 1)
    circuit.u(t, v[2], t.sin(), 1)
    circuit.rzz(t * t / 3, 0, 1)
    circuit.crx(v[10], 1, 0)
    circuit.global_phase = t + 0.2


def rest(circuit):
    circuit.barrier()
    circuit.delay(30, 0, "ns")
    circuit.delay(1.5, 1, "us")
    circuit.delay(100, 1, "dt")
    circuit.barrier(1)
    circuit.cx(0, 1)


def gates(circuit):
    circuit.append(ECRGate(), [0, 1])
    circuit.rzz(0.3, 0, 1)
    circuit.rxx(0.4, 0, 1)
    circuit.iswap(0, 1)
    circuit.ccz(0, 1, 2)
    circuit.sxdg(2)
    circuit.append(UGate(0.1, 0.2, 0.3), [1])
    circuit.cp(0.3, 0, 2)
    circuit.rzx(0.7, 2, 1)
    circuit.append(QFTGate(3), [2, 0, 1])


def matrices(circuit):
    circuit.append(UnitaryGate(cirq.testing.random_unitary(4, random_state=1)), [1, 0])
    circuit.append(XGate().control(2, ctrl_state=1), [2, 0, 1])
    circuit.append(PhaseGate(0.3).control(2), [0, 1, 2])


def phases(circuit):
    """A phase of the whole, and one under control, where it matters."""
    circuit.global_phase = 0.7
    inner = QuantumCircuit(1, global_phase=1.1)
    inner.x(0)
    circuit.append(inner.to_gate().control(1), [0, 1])


def names():
    circuit = QuantumCircuit(
        QuantumRegister(2, "z"), [Qubit()], QuantumRegister(1, "a"), ClassicalRegister(3, "out"), [Clbit()],
        ClassicalRegister(1, "first"),
    )  # fmt: skip
    circuit.h([0, 3])
    circuit.cx(0, 2)
    circuit.measure([3, 2], [4, 1])
    return circuit


FROM_QISKIT = {
    "idle qubits": idle,
    "measurement": lambda: circuit_of(lambda circuit: circuit.measure([0, 1], [1, 0])),
    "measurement in the middle, reset, a bit used again": lambda: circuit_of(reused),
    "if on a bit": lambda: circuit_of(bit_test),
    "if and else": lambda: circuit_of(either),
    "if on a register with a bit never measured": lambda: circuit_of(register_test),
    "parameters: affine, products, vectors": lambda: circuit_of(angles, 2, 0),
    "barriers and delays": lambda: circuit_of(rest),
    "gates that texts lack": lambda: circuit_of(gates, 3, 0),
    "matrices and open controls": lambda: circuit_of(matrices, 3, 0),
    "global phase, also under control": lambda: circuit_of(phases, 2, 0),
    "names and order of registers, loose bits": names,
    "nothing at all": lambda: QuantumCircuit(2, 3),
}


@pytest.mark.parametrize("name", FROM_QISKIT)
def test_what_qiskit_says_is_kept_in_cirq_and_comes_back(name):
    circuit = FROM_QISKIT[name]()
    there = to_cirq(circuit)
    assert len(there.all_qubits()) == circuit.num_qubits
    same_meaning(circuit, there, wires_of(there, circuit))
    again = from_cirq(there)
    assert registers(again) == registers(circuit)
    assert (again.num_qubits, again.num_clbits) == (circuit.num_qubits, circuit.num_clbits)
    assert [each.name for each in again.parameters] == [each.name for each in circuit.parameters]
    assert to_cirq(again).tags == there.tags
    assert to_cirq(again).all_qubits() == there.all_qubits()
    kept = ("barrier", "delay", "reset", "measure")
    assert [again.count_ops().get(each, 0) for each in kept] == [circuit.count_ops().get(each, 0) for each in kept]
    if not any(each.operation.name in FREE for each in circuit.data):
        assert np.allclose(unitary_of(bound(again)), unitary_of(bound(circuit)), atol=1e-7)
    else:
        judges.same(judges.qiskit_outcomes(bound(again)), judges.qiskit_outcomes(bound(circuit)))
    for each in (circuit, there):
        assert cirq_report(each).lossless


def test_delays_keep_their_durations():
    circuit = circuit_of(rest)
    found = [
        (each.operation.duration, each.operation.unit) for each in from_cirq(to_cirq(circuit)) if each.name == "delay"
    ]
    assert found == [(30, "ns"), (1500, "ns"), (100, "dt")]


def looped(kind):
    circuit = QuantumCircuit(1, 1)
    circuit.h(0)
    circuit.measure(0, 0)
    if kind == "while":
        with circuit.while_loop((circuit.clbits[0], 1)):
            circuit.measure(0, 0)
    elif kind == "for":
        with circuit.for_loop(range(3)):
            circuit.x(0)
    elif kind == "expr":
        with circuit.if_test(expr.logic_not(circuit.clbits[0])):
            circuit.x(0)
    elif kind == "switch":
        with circuit.switch(circuit.clbits[0]) as case, case(1):
            circuit.x(0)
    else:
        with circuit.if_test((circuit.clbits[0], 1)):
            circuit.measure(0, 0)
    return circuit


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        ("while", "only if_test"),
        ("for", "only if_test"),
        ("switch", "only if_test"),
        ("expr", "compared with a number"),
        ("measure", "no conditional measurement"),
    ],
)
def test_what_cirq_lacks_is_refused_with_a_report(kind, says):
    with pytest.raises(ConversionRefused, match=says) as caught:
        to_cirq(looped(kind))
    assert isinstance(caught.value, UnsupportedOperation)
    report = json.loads(json.dumps(caught.value.report.to_dict()))
    assert (report["lossless"], report["target"]) == (False, "cirq")
    (entry,) = report["refused"]
    assert (entry["index"], entry["location"]) == (2, "instruction 2")
    assert says in entry["reason"]
    assert cirq_report(looped(kind)) == caught.value.report


# -------------------------------------------------------------------------------------------------------- from Cirq


def under(*conditions, key="k"):
    return [
        cirq.ry(0.7)(A),
        cirq.ry(1.1)(B),
        cirq.measure(A, B, key=key),
        *(cirq.ry(0.3 + place)(C).with_classical_controls(each) for place, each in enumerate(conditions)),
    ]


LOOP = cirq.FrozenCircuit(cirq.ry(0.4)(A), cirq.measure(A, key="m"), cirq.X(B).with_classical_controls("m"))

FROM_CIRQ = {
    "measurement of several qubits": [cirq.H(A), cirq.X(B), cirq.measure(B, A, key="m")],
    "repeated keys": [cirq.H(A), cirq.measure(A, B, key="k"), cirq.X(B), cirq.measure(A, B, key="k")],
    "reset": [cirq.H(A), cirq.reset(A), cirq.measure(A, key="a")],
    "key condition": under("k"),
    "mask conditions": under(
        cirq.BitMaskKeyCondition("k", bitmask=2),
        cirq.BitMaskKeyCondition("k", bitmask=1, target_value=1, equal_target=True),
    ),
    "sympy conditions": under(
        sympy.Eq(sympy.Symbol("k"), 2), sympy.Symbol("k") > 1, sympy.Eq(sympy.IndexedBase("k")[1], 0)
    ),
    "symbols": [
        cirq.rx(T)(A),
        cirq.CZ(A, B) ** (T * S + 0.5),
        cirq.PhasedXZGate(x_exponent=T, z_exponent=S, axis_phase_exponent=0.2)(B),
        cirq.FSimGate(T, S)(A, C),
        cirq.CNOT(B, C) ** S,
        cirq.ControlledGate(cirq.rz(T), 2)(A, B, C),
        cirq.ControlledGate(cirq.YPowGate(exponent=S, global_shift=0.3), control_values=[0])(C, A),
        cirq.SWAP(A, C) ** (2 * T),
        cirq.PhasedISwapPowGate(phase_exponent=0.3, exponent=T)(B, C),
        cirq.CCX(A, B, C) ** sympy.cos(S),
        cirq.H(A) ** T,
        cirq.ZZ(A, B) ** (T / 3),
    ],
    "fermionic gates": [
        cirq.SQRT_ISWAP(A, B),
        cirq.FSimGate(0.3, 0.4)(B, C),
        cirq.FSimGate(np.pi / 2, np.pi / 6)(A, C),
        cirq.ISWAP(C, A) ** 0.3,
        cirq.PhasedXZGate(x_exponent=0.2, z_exponent=0.3, axis_phase_exponent=0.4)(B),
    ],
    "sub-circuits with measurements": [
        cirq.H(A),
        cirq.CircuitOperation(LOOP, repetitions=2, use_repetition_ids=False),
        cirq.CircuitOperation(LOOP).with_qubits(B, C).with_measurement_key_mapping({"m": "other"}),
    ],
    "sub-circuits with repetition ids": [cirq.CircuitOperation(LOOP, repetitions=2, use_repetition_ids=True)],
    "sub-circuits without": [
        cirq.CircuitOperation(cirq.FrozenCircuit(cirq.X(A) ** 0.3, cirq.CNOT(A, B) ** T), repetitions=-2),
        cirq.CircuitOperation(cirq.FrozenCircuit(cirq.rx(T)(A)), param_resolver={"t": S}),
    ],
    "names of a grid": [cirq.H(G[3]), cirq.CNOT(G[3], G[0]), cirq.measure(G[3], key="g")],
    "names of all kinds": [cirq.X(cirq.q("alice")), cirq.H(cirq.q(7)), cirq.CZ(cirq.q(7), cirq.q(2, 3))],
    "a key with the name of its qubit": [cirq.X(cirq.q("alice")), cirq.measure(cirq.q("alice"))],
    "idle qubits": [cirq.I(C), cirq.X(A)],
    "global phase, also under control": [
        cirq.global_phase_operation(1j),
        cirq.global_phase_operation(np.exp(0.3j)).controlled_by(A),
        cirq.GlobalPhaseGate(sympy.exp(sympy.I * (T + 0.5)))(),
        cirq.ControlledGate(cirq.GlobalPhaseGate(sympy.exp(2 * sympy.I * T)), 2)(A, B),
    ],
    "waits": [cirq.wait(A, nanos=7), cirq.X(A), cirq.WaitGate(cirq.Duration(micros=2), num_qubits=2)(A, B)],
    "inverted records": [cirq.H(A), cirq.measure(A, B, key="m", invert_mask=(True, False))],
    "a Pauli measured": [cirq.ry(0.4)(A), cirq.measure_single_paulistring(cirq.X(A), key="x")],
}  # fmt: skip
WRITTEN_OUT = ("symbols", "fermionic gates", "sub-circuits", "inverted", "a Pauli")
"""These come back with the same meaning, in other gates."""


@pytest.mark.parametrize("name", FROM_CIRQ)
def test_what_cirq_says_is_kept_in_qiskit_and_comes_back(name):
    circuit = cirq.Circuit(FROM_CIRQ[name])
    there = from_cirq(circuit)
    same_meaning(there, flat(circuit), sorted(circuit.all_qubits()))
    again = to_cirq(there)
    assert again.all_qubits() == circuit.all_qubits()
    assert again.all_measurement_key_names() == circuit.all_measurement_key_names()
    assert cirq.parameter_names(again) == cirq.parameter_names(circuit)
    same_meaning(there, again, sorted(circuit.all_qubits()))
    assert registers(from_cirq(again)) == registers(there)
    report = cirq_report(circuit)
    assert report.lossless
    assert ConversionReport.from_dict(json.loads(json.dumps(report.to_dict()))).lossless


def flat(circuit):
    """The circuit without sub-circuits and Pauli measurements, by Cirq."""

    def plain(each):
        bare = each.without_classical_controls().untagged
        return not isinstance(bare, cirq.CircuitOperation) and not isinstance(bare.gate, cirq.PauliMeasurementGate)

    return cirq.Circuit(cirq.decompose(circuit, keep=plain))


def test_identity_gates_of_idle_wires_and_simple_circuits_come_back_equal():
    for name in ("repeated keys", "reset", "key condition", "names of a grid", "idle qubits", "waits"):
        circuit = cirq.Circuit(FROM_CIRQ[name])
        again = to_cirq(from_cirq(circuit))
        idle_wires = {cirq.I(qubit) for qubit in circuit.all_qubits()}
        rest = [each for each in again.all_operations() if each not in idle_wires]
        if name == "waits":
            assert len(rest) == 4  # one wait for each qubit
        elif name == "key condition":
            assert len(rest) >= 4
        else:
            assert rest == [each for each in circuit.all_operations() if each not in idle_wires]


@pytest.mark.parametrize(
    ("operation", "says"),
    [
        (cirq.depolarize(0.1)(A), "noise channel"),
        (cirq.X(A).with_probability(0.5), "noise channel"),
        (cirq.KrausChannel([np.eye(2) * 0.6, np.diag([0.8, -0.8])])(A), "noise channel"),
        (cirq.measure(A, key="z", confusion_map={(0,): np.array([[0.9, 0.1], [0.1, 0.9]])}), "confusion"),
        (cirq.X(A) ** sympy.floor(T), "unresolved parameter"),
        (cirq.GlobalPhaseGate(sympy.Symbol("c"))(), "unresolved parameter"),
        (cirq.IdentityGate(qid_shape=(3,))(cirq.LineQid(1, 3)), "qudit"),
        (cirq.CircuitOperation(cirq.FrozenCircuit(cirq.X(A)), repetitions=10**9), "1,000,000 operations"),
        (cirq.CircuitOperation(cirq.FrozenCircuit(cirq.X(A)), repetitions=sympy.Symbol("n")), "is no number"),
        (
            cirq.CircuitOperation(
                cirq.FrozenCircuit(cirq.H(A), cirq.measure(A, key="w")),
                repeat_until=cirq.KeyCondition(cirq.MeasurementKey("w")),
                use_repetition_ids=False,
            ),
            "repeated until",
        ),
        (cirq.X(A).with_classical_controls("later"), "not measured before"),
        (cirq.X(B).with_classical_controls(cirq.KeyCondition(cirq.MeasurementKey("k"), 3)), "has 1 before"),
        (cirq.X(A) ** float("nan"), "not finite"),
    ],
)  # fmt: skip
def test_what_qiskit_lacks_is_refused_with_a_report(operation, says):
    circuit = cirq.Circuit(cirq.Moment(cirq.measure(C, key="k")), cirq.Moment(operation))
    with pytest.raises(ConversionRefused, match=says) as caught:
        from_cirq(circuit)
    (entry,) = caught.value.report.refused
    assert (entry.location, entry.index) == ("moment 1", 1)
    assert says in entry.reason
    assert pickle.loads(pickle.dumps(caught.value)).report == caught.value.report  # noqa: S301
    assert cirq_report(circuit) == caught.value.report


# ------------------------------------------------------------------------------------------------------- the report


def test_a_report_lists_every_refusal_and_the_error_is_about_the_first():
    circuit = cirq.Circuit(
        cirq.Moment(cirq.depolarize(0.1)(A)), cirq.Moment(cirq.X(A)), cirq.Moment(cirq.amplitude_damp(0.2)(B))
    )
    with pytest.raises(ConversionRefused, match=r"moment 0.*1 more in \.report") as caught:
        from_cirq(circuit)
    assert [each.index for each in caught.value.report.refused] == [0, 2]
    loops = looped("for").compose(looped("for"), clbits=[0], qubits=[0])
    assert [each.index for each in cirq_report(loops).refused] == [2, 5]


def test_what_changes_no_outcome_is_dropped_and_said():
    tagged = cirq.Circuit(cirq.X(A).with_tags("mine"), cirq.measure(A, key="k"))
    report = cirq_report(tagged)
    assert not report.lossless
    assert [(each.operation, each.index) for each in report.dropped] == [("X(q(0))", 0)]
    inside = cirq.Circuit(
        cirq.measure(A, key="k"), cirq.ClassicallyControlledOperation(cirq.X(B).with_tags("mine"), ["k"])
    )
    assert "'mine'" in cirq_report(inside).dropped[0].reason
    labelled = QuantumCircuit(1, metadata={"run": 3})
    labelled.append(XGate(label="flip"), [0])
    assert [each.operation for each in cirq_report(labelled).dropped] == ["x", "metadata"]
    bits = [Clbit() for _ in range(3)]
    shared = QuantumCircuit(
        bits, ClassicalRegister(bits=bits[:2], name="low"), ClassicalRegister(bits=bits[1:], name="up")
    )
    assert [each.operation for each in cirq_report(shared).dropped] == ["register up"]


def test_a_report_is_written_and_read_and_checks_what_it_reads():
    report = cirq_report(cirq.Circuit(FROM_CIRQ["fermionic gates"], cirq.depolarize(0.1)(A), cirq.X(B).with_tags("x")))
    again = ConversionReport.from_dict(report.to_dict())
    assert (again.changed, again.dropped, again.refused) == (report.changed, report.dropped, report.refused)
    assert report.refused
    assert report.dropped
    for wrong in ({}, {"schema": "other"}, {**report.to_dict(), "changed": [{"odd": 1}]}):
        with pytest.raises(InvalidValue, match="report"):
            ConversionReport.from_dict(wrong)
    with pytest.raises(InvalidValue, match="effect"):
        ConversionEntry(effect="lost", operation="x", location="circuit", reason="")
    with pytest.raises(InvalidValue, match="circuit"):
        cirq_report("x")


# -------------------------------------------------------------------------------------------------------- small laws


def test_circuits_from_cirq_share_parameters_by_name():
    one, two = (from_cirq(cirq.Circuit(cirq.rx(T)(A), gate(T)(B))) for gate in (cirq.ry, cirq.rz))
    assert one.parameters == two.parameters
    assert one.compose(two).num_parameters == 1


def test_elements_of_a_vector_keep_their_order():
    vector = ParameterVector("v", 12)
    circuit = QuantumCircuit(1)
    for each in vector:
        circuit.rx(each, 0)
    again = from_cirq(to_cirq(circuit))
    assert [each.name for each in again.parameters] == [f"v[{place}]" for place in range(12)]
    numbers = np.linspace(0, 1, 12)
    assert again.assign_parameters(numbers) == from_cirq(to_cirq(circuit.assign_parameters(numbers)))


def test_a_gate_is_read_by_its_definition_when_it_only_has_the_name_of_another():
    liar = QuantumCircuit(1, name="h")
    liar.x(0)
    circuit = QuantumCircuit(1)
    circuit.append(liar.to_gate(), [0])
    assert np.allclose(cirq.unitary(to_cirq(circuit)), [[0, 1], [1, 0]])


def test_names_are_not_used_for_a_circuit_that_was_changed_since():
    there = from_cirq(cirq.Circuit(cirq.X(G[0]), cirq.measure(G[0], G[1], key="m")))
    assert to_cirq(there).all_qubits() == {G[0], G[1]}
    wider = there.copy()
    wider.add_register(QuantumRegister(1, "more"))
    assert not any(isinstance(each, cirq.GridQubit) for each in to_cirq(wider).all_qubits())
    split = there.copy()
    split.data = [each for each in there.data if each.operation.name != "measure"]
    split.measure(1, 1)
    split.x(0)
    split.measure(0, 0)
    assert to_cirq(split).all_measurement_key_names() == {"m[0]", "m[1]"}
    assert cirq_report(split).changed
    judges.same(judges.qiskit_outcomes(split), judges.cirq_outcomes(to_cirq(split)))


def test_a_declaration_that_does_not_fit_or_is_not_ours_is_not_used():
    circuit = cirq.Circuit(cirq.X(A), cirq.measure(A, key="c[1]"))
    plain = registers(from_cirq(circuit))
    for tag in ("qiskit {", 'qiskit {"qubits":[["q",-1]],"bits":[]}', 'qiskit {"qubits":[["z",9999999]],"bits":[]}'):
        assert registers(from_cirq(circuit.with_tags(tag))) == plain
    other = 'qiskit {"qubits":[["z",1]],"bits":[["d",1]]}'
    assert registers(from_cirq(circuit.with_tags(other))) == [("z", 1), ("c", 2)]
    metadata = QuantumCircuit(1, metadata={"cirq": {"qubits": "[]", "registers": [["q", 1]]}})
    assert to_cirq(metadata).all_qubits() == {A}


def test_a_barrier_under_a_condition_and_labels_of_qubits_survive():
    circuit = QuantumCircuit(2, 1)
    circuit.measure(0, 0)
    with circuit.if_test((circuit.clbits[0], 1)):
        circuit.x(1)
        circuit.barrier(0, 1)
        circuit.z(1)
    (body,) = [each.operation.blocks[0] for each in from_cirq(to_cirq(circuit)) if each.name == "if_else"]
    assert [each.name for each in body] == ["x", "barrier", "z"]
