"""Measurement and classical control keep their meaning between Qiskit and Cirq, distributed circuits included.

Two exact walkers over all outcomes (``cirq_judges``) are the judges.
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
from qiskit.circuit import Clbit, Qubit
from qiskit.quantum_info import Statevector
from scipy.stats import chisquare

import hyperfabric_q as hq
from hyperfabric_q.convert import from_cirq, to_cirq
from hyperfabric_q.errors import ConversionRefused, InvalidValue, UnsupportedOperation
from hyperfabric_q.families import cuccaro_adder, ghz, qft, w_state

_SPEC = importlib.util.spec_from_file_location("cirq_judges", Path(__file__).with_name("cirq_judges.py"))
judges = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(judges)
cirq_outcomes, names_of, qiskit_outcomes, same = (
    judges.cirq_outcomes,
    judges.names_of,
    judges.qiskit_outcomes,
    judges.same,
)


# ------------------------------------------------------------------------------------------------- random circuits


def random_controlled(seed, *, gates=14):
    """Rotations, measurements that overwrite, resets, and if_tests on bits and registers, nested and with else."""
    rng = np.random.default_rng(seed)
    circuit = QuantumCircuit(
        QuantumRegister(2, "a"),
        QuantumRegister(1, "b"),
        ClassicalRegister(2, "c"),
        ClassicalRegister(1, "d"),
        [Clbit()],
    )

    def gate():
        first, second = (int(each) for each in rng.choice(3, size=2, replace=False))
        kind, angle = int(rng.integers(6)), float(rng.uniform(0.2, 6))
        if kind == 0:
            circuit.cx(first, second)
        elif kind == 1:
            circuit.cp(angle, first, second)
        elif kind == 2:
            circuit.reset(first)
        elif kind == 3:
            circuit.x(first)
        else:
            circuit.u(angle, angle / 2, angle / 3, first)

    def test():
        if rng.random() < 0.5:
            return circuit.clbits[int(rng.integers(4))], int(rng.integers(2))
        return circuit.cregs[0], int(rng.integers(4))

    for _ in range(gates):
        draw = rng.random()
        if draw < 0.35:
            circuit.measure(int(rng.integers(3)), int(rng.integers(4)))
        elif draw < 0.65:
            with circuit.if_test(test()) as otherwise:
                gate()
                if rng.random() < 0.4:
                    with circuit.if_test(test()):
                        gate()
                gate()
            if rng.random() < 0.4:
                with otherwise:
                    gate()
        else:
            gate()
    return circuit


SEEDS = st.integers(0, 10**6)


@given(SEEDS, st.sampled_from(["line", "named"]))
@settings(deadline=None, derandomize=True, max_examples=12)
def test_a_controlled_circuit_does_in_cirq_what_it_does_in_qiskit(seed, qubits):
    circuit = random_controlled(seed)
    same(cirq_outcomes(to_cirq(circuit, qubits=qubits)), qiskit_outcomes(circuit))


@given(SEEDS)
@settings(deadline=None, derandomize=True, max_examples=12)
def test_a_controlled_circuit_comes_back_from_cirq_with_its_outcomes(seed):
    circuit = random_controlled(seed)
    there = to_cirq(circuit, qubits="named")
    again = from_cirq(there)
    assert [(each.name, each.size) for each in again.qregs] == [("a", 2), ("b", 1)]
    same(qiskit_outcomes(again), qiskit_outcomes(circuit))
    same(cirq_outcomes(to_cirq(again, qubits="named")), cirq_outcomes(there))


def random_cirq(seed):
    """A Cirq circuit with keys of one to three qubits, inverted records, and conditions of every kind."""
    rng = np.random.default_rng(seed)
    wires = cirq.NamedQubit.range(3, prefix="w")
    parts, sizes = [], {}

    def gate():
        first, second = (wires[each] for each in rng.choice(3, size=2, replace=False))
        kinds = (
            cirq.X(first),
            cirq.ry(1.1)(first),
            cirq.H(first),
            cirq.CX(first, second),
            cirq.CZ(first, second) ** 0.3,
        )
        return (*kinds, cirq.reset(first), cirq.ISWAP(first, second))[int(rng.integers(7))]

    def condition():
        key = str(rng.choice(sorted(sizes)))
        symbol, number = sympy.Symbol(key), int(rng.integers(2 ** sizes[key]))
        other = sympy.Symbol(str(rng.choice(sorted(sizes))))
        digit = sympy.IndexedBase(key)[int(rng.integers(sizes[key]))]
        mask = int(rng.integers(1, 2 ** sizes[key]))
        return (
            cirq.KeyCondition(cirq.MeasurementKey(key)),
            cirq.SympyCondition(sympy.Eq(symbol, number)),
            cirq.SympyCondition(sympy.Ne(number, symbol)),
            cirq.SympyCondition(symbol > other),
            cirq.SympyCondition(sympy.Eq(digit, 1)),
            cirq.BitMaskKeyCondition(key, target_value=number, equal_target=True, bitmask=mask),
            cirq.BitMaskKeyCondition(key, target_value=number, bitmask=mask),
            cirq.BitMaskKeyCondition(key, target_value=number),
        )[int(rng.integers(8))]

    for number in range(12):
        if number % 4 == 1:
            key, count = "kmt"[number // 4], int(rng.integers(1, 4))
            chosen = [wires[each] for each in rng.permutation(3)[:count]]
            parts.append(
                cirq.measure(*chosen, key=key, invert_mask=tuple(bool(v) for v in rng.integers(2, size=count)))
            )
            sizes[key] = count
        elif sizes and rng.random() < 0.6:
            parts.append(gate().with_classical_controls(*(condition() for _ in range(int(rng.integers(1, 3))))))
        else:
            parts.append(gate())
    return cirq.Circuit(cirq.I.on_each(*wires), parts)


@given(SEEDS)
@settings(deadline=None, derandomize=True, max_examples=15)
def test_a_cirq_circuit_with_conditions_keeps_its_outcomes_in_qiskit_and_back(seed):
    circuit = random_cirq(seed)
    there = from_cirq(circuit)
    same(qiskit_outcomes(there), cirq_outcomes(circuit))
    same(cirq_outcomes(to_cirq(there)), cirq_outcomes(circuit))


# -------------------------------------------------------------------------------------------------- known answers

A, B, C = cirq.LineQubit.range(3)
K = cirq.MeasurementKey("k")


def shown(circuit):
    """The tests of a circuit's if_tests, outermost first."""
    found = []
    for each in circuit.data:
        if each.operation.name == "if_else":
            target, value = each.operation.condition
            name = names_of(circuit)[target] if isinstance(target, Clbit) else target.name
            inner = shown(each.operation.blocks[0])
            found += [((name, value), *rest) for rest in inner] or [((name, value),)]
    return found


@pytest.mark.parametrize(
    ("count", "conditions", "tests"),
    [
        (1, ["k"], [(("k", 1),)]),
        (1, [sympy.Eq(sympy.Symbol("k"), 0)], [(("k", 0),)]),
        (2, ["k"], None),
        (2, [sympy.Eq(sympy.Symbol("k"), 1)], [(("k", 2),)]),  # Cirq's lowest digit is the last qubit measured
        (3, [sympy.Eq(sympy.Symbol("k"), 6)], [(("k", 3),)]),
        (2, [sympy.Eq(sympy.Symbol("k"), 7)], []),
        (2, [cirq.BitMaskKeyCondition("k", bitmask=2)], [(("k[0]", 1),)]),
        (2, [cirq.BitMaskKeyCondition("k", bitmask=1, target_value=2, equal_target=True)], []),
    ],
)
def test_a_condition_becomes_tests_of_bits_and_whole_registers(count, conditions, tests):
    circuit = cirq.Circuit(
        cirq.measure(*(A, B, C)[:count], key="k"), cirq.X(cirq.q(3)).with_classical_controls(*conditions)
    )
    result = from_cirq(circuit)
    if tests is None:  # k != 0, as two cases that exclude each other
        assert shown(result) == [(("k[1]", 1),), (("k", 1),)]
    else:
        assert shown(result) == tests


def test_operations_under_one_condition_share_an_if_test_until_a_measurement():
    circuit = cirq.Circuit(
        cirq.measure(A, key="k"),
        cirq.X(B).with_classical_controls("k"),
        cirq.Z(B).with_classical_controls("k"),
        cirq.measure(A, key="m"),
        cirq.X(B).with_classical_controls("k"),
        strategy=cirq.InsertStrategy.NEW,
    )
    bodies = [[each.name for each in op.operation.blocks[0]] for op in from_cirq(circuit).data if op.name == "if_else"]
    assert bodies == [["x", "z"], ["x"]]


def test_a_bit_never_written_reads_zero_though_cirq_has_no_record_of_it():
    circuit = QuantumCircuit(2, 2)
    with circuit.if_test((circuit.clbits[0], 1)) as otherwise:
        circuit.x(0)
    with otherwise:
        circuit.x(1)
    with circuit.if_test((circuit.cregs[0], 0)):
        circuit.h(0)
    result = to_cirq(circuit)
    assert list(result.all_operations()) == [cirq.X(B), cirq.H(A)]


def test_keys_keep_their_conditions_when_cirq_renames_or_writes_them():
    circuit = QuantumCircuit(2, 1)
    circuit.measure(0, 0)
    with circuit.if_test((circuit.clbits[0], 0)):
        circuit.x(1)
    result = to_cirq(circuit)
    renamed = cirq.with_measurement_key_mapping(result, {"c": "other"})
    assert cirq.Simulator().simulate(renamed).final_state_vector[0b01] == 1
    assert cirq.read_json(json_text=cirq.to_json(result)) == result


@pytest.mark.parametrize("name", ["a:b", "E", "qpu-0_proto", "c d"])
def test_any_register_name_serves_as_a_key(name):
    circuit = QuantumCircuit(QuantumRegister(2, "q"), ClassicalRegister(1, name))
    circuit.x(0)
    circuit.measure(0, 0)
    with circuit.if_test((circuit.clbits[0], 1)):
        circuit.x(1)
    with circuit.if_test((circuit.clbits[0], 0)):
        circuit.x(0)
    result = to_cirq(circuit)
    assert cirq.Simulator().simulate(result).final_state_vector[0b11] == 1
    assert from_cirq(result).cregs[0].name == name
    same(qiskit_outcomes(from_cirq(result)), qiskit_outcomes(circuit))


def test_names_that_meet_are_told_apart():
    loose = [Qubit()], [Clbit()]
    circuit = QuantumCircuit(*loose, QuantumRegister(1, "qubit"), ClassicalRegister(1, "clbit[0]"))
    circuit.x(1)
    circuit.measure([0, 1], [0, 1])
    result = to_cirq(circuit, qubits="named")
    assert [str(each) for each in sorted(result.all_qubits())] == ["qubit[0]", "qubit[0]_"]
    found = cirq.Simulator().run(result).records
    assert {key: int(value.ravel()[0]) for key, value in found.items()} == {"clbit[0]": 0, "clbit[0]_": 1}
    with pytest.raises(InvalidValue, match="qubits"):
        to_cirq(circuit, qubits="both")


def test_qubits_named_by_place_become_registers_only_when_they_are_complete_and_in_order():
    named = [cirq.NamedQubit(name) for name in ("n-2_data[0]", "n-10_comm[0]", "n-10_data[0]", "n-10_data[1]")]
    circuit = cirq.Circuit(cirq.X.on_each(*named))
    sizes = [(each.name, each.size) for each in from_cirq(circuit).qregs]
    assert sizes == [("n-2_data", 1), ("n-10_comm", 1), ("n-10_data", 2)]
    for order in (named[::-1], [named[2], named[0], named[3], named[1]], [*named, cirq.q("idle")]):
        assert [each.name for each in from_cirq(circuit, qubit_order=order).qregs] == ["q"]
    clash = cirq.Circuit(cirq.measure(cirq.NamedQubit("m[0]"), key="m"))
    assert [each.name for each in from_cirq(clash).qregs] == ["q"]


# ----------------------------------------------------------------------------------------------- one key, many records


@pytest.mark.parametrize("simulator", [cirq.Simulator, cirq.DensityMatrixSimulator])
def test_a_bit_measured_again_is_read_as_last_written(simulator):
    circuit = QuantumCircuit(3, 2)
    circuit.x(0)
    circuit.measure(0, 0)  # 1
    circuit.measure(1, 0)  # 0: overwrites
    with circuit.if_test((circuit.clbits[0], 1)):
        circuit.x(2)
    with circuit.if_test((circuit.clbits[0], 0)):
        circuit.x(1)
    circuit.measure(1, 1)
    result = to_cirq(circuit)
    records = simulator(seed=1).run(result, repetitions=3).records
    assert records["c[0]"].reshape(3, 2).tolist() == [[1, 0]] * 3
    assert records["c[1]"].reshape(3, 1).tolist() == [[1]] * 3
    assert simulator(seed=1).simulate(result).measurements["c[0]"].tolist() == [0]
    same(qiskit_outcomes(from_cirq(result)), qiskit_outcomes(circuit))


def test_a_key_used_twice_has_a_register_for_each_record_unless_only_the_last_counts():
    twice = [cirq.measure(A, key="k"), cirq.measure(B, key="k")]
    result = from_cirq(cirq.Circuit(twice))
    assert [(each.name, each.size) for each in result.cregs] == [("k", 1), ("k@1", 1)]
    assert to_cirq(result) == cirq.Circuit(twice)
    tagged = from_cirq(cirq.Circuit(twice[0], twice[1].with_tags("overwrites")))
    assert [each.name for each in tagged.data] == ["measure", "measure"]
    assert [each.name for each in tagged.cregs] == ["k"]
    wider = cirq.Circuit(twice[0], cirq.measure(B, C, key="k").with_tags("overwrites"))
    with pytest.raises(ConversionRefused, match="1 qubits before"):
        from_cirq(wider)


def test_a_condition_on_an_earlier_record_reads_its_register_and_comes_back():
    circuit = cirq.Circuit(
        cirq.X(A),
        cirq.measure(A, B, key="k"),
        cirq.measure(B, C, key="k"),
        cirq.X(C).with_classical_controls(cirq.KeyCondition(K, index=0)),
        cirq.X(B).with_classical_controls(cirq.KeyCondition(K)),
        cirq.X(A).with_classical_controls(cirq.BitMaskKeyCondition("k", 0, 2, equal_target=True, bitmask=2)),
    )
    there = from_cirq(circuit)
    assert [(each.name, each.size) for each in there.cregs] == [("k", 2), ("k@1", 2)]
    same(qiskit_outcomes(there), cirq_outcomes(circuit))
    again = to_cirq(there)
    assert again.all_measurement_key_names() == {"k"}
    same(cirq_outcomes(again), cirq_outcomes(circuit))
    assert cirq.Simulator().simulate(again).final_state_vector[0b001] == 1


def test_a_key_that_is_the_name_of_a_later_record_is_refused():
    circuit = cirq.Circuit(cirq.measure(A, key="k"), cirq.measure(B, key="k@1"))
    with pytest.raises(ConversionRefused, match=r"later record.*Rename"):
        from_cirq(circuit)


def test_a_condition_on_an_earlier_record_is_refused():
    first = [cirq.measure(A, key="k"), cirq.X(C).with_classical_controls(cirq.KeyCondition(K, index=0))]
    assert shown(from_cirq(cirq.Circuit(first))) == [(("k", 1),)]
    again = cirq.measure(B, key="k").with_tags("overwrites")
    with pytest.raises(UnsupportedOperation, match="earlier record"):
        from_cirq(cirq.Circuit(first[0], again, first[1]))


def test_a_condition_on_too_many_bits_is_refused_and_a_comparison_is_not():
    wires = cirq.LineQubit.range(14)
    halves = [cirq.measure(*wires[:7], key="s"), cirq.measure(*wires[7:], key="t")]
    less = sympy.Symbol("s") < sympy.Symbol("t")
    with pytest.raises(UnsupportedOperation, match="14 bits"):
        from_cirq(cirq.Circuit(halves, cirq.X(wires[0]).with_classical_controls(less)))
    whole = cirq.Circuit(cirq.measure(*wires, key="s"), cirq.X(wires[0]).with_classical_controls(sympy.Eq(less.lhs, 1)))
    assert shown(from_cirq(whole)) == [(("s", 1 << 13),)]


def test_branches_without_end_are_refused():
    registers = [ClassicalRegister(20, name) for name in "rst"]
    circuit = QuantumCircuit(QuantumRegister(1, "q"), *registers)
    for bit in circuit.clbits:
        circuit.measure(0, bit)
    with circuit.if_test((registers[0], 1)) as first:
        circuit.x(0)
    with first:
        with circuit.if_test((registers[1], 1)) as second:
            circuit.x(0)
        with second:
            with circuit.if_test((registers[2], 1)) as third:
                circuit.x(0)
            with third:
                circuit.z(0)
    with pytest.raises(UnsupportedOperation, match="cases"):
        to_cirq(circuit)


def test_subcircuits_carry_keys_and_conditions_and_nested_loops_are_refused():
    inner = cirq.FrozenCircuit(
        cirq.measure(A, key="m"),
        cirq.X(B).with_classical_controls("m"),
        cirq.ThreeQubitDiagonalGate(np.arange(8.0)).on(A, C, B),
    )
    circuit = cirq.Circuit(
        cirq.H.on_each(A, B, C),
        cirq.CircuitOperation(inner).with_measurement_key_mapping({"m": "one"}),
        cirq.CircuitOperation(inner).with_qubit_mapping({A: B, B: A}),
        cirq.CircuitOperation(cirq.FrozenCircuit(cirq.H(C), cirq.CX(C, A))).with_classical_controls("one", "m"),
    )

    def composite(each):
        return isinstance(each.without_classical_controls(), cirq.CircuitOperation)

    flat = cirq.Circuit(cirq.decompose(circuit, keep=lambda each: not composite(each)))
    same(qiskit_outcomes(from_cirq(circuit)), cirq_outcomes(flat))
    loop = cirq.CircuitOperation(
        cirq.FrozenCircuit(cirq.H(A), cirq.measure(A, key="w")),
        repeat_until=cirq.KeyCondition(cirq.MeasurementKey("w")),
        use_repetition_ids=False,
    )
    with pytest.raises(UnsupportedOperation, match="repeated until"):
        from_cirq(cirq.Circuit(cirq.CircuitOperation(cirq.FrozenCircuit(loop))))


# ------------------------------------------------------------------------------------------------------- Bell pairs


def test_tagged_gates_are_a_bell_pair_only_where_nothing_comes_between():
    half, join = cirq.H(A).with_tags("bell_pair"), cirq.CNOT(A, B).with_tags("bell_pair")

    def names(*operations):
        return [each.name for each in from_cirq(cirq.Circuit(operations)).data]

    assert names(half, cirq.reset(B), join) == ["reset", "bell_pair"]
    assert names(half, cirq.Z(A), join) == ["h", "z", "cx"]
    assert names(half) == ["h"]
    assert names(join) == ["cx"]
    assert names(cirq.H(A), cirq.CNOT(A, B)) == ["h", "cx"]
    controlled = cirq.X(A).with_classical_controls("k")
    assert names(cirq.measure(C, key="k"), half, controlled, join) == ["measure", "h", "if_else", "cx"]


# ---------------------------------------------------------------------------------------------- distributed circuits


def tilted(circuit, seed):
    """The circuit on a random product state, so that a wrong phase shows."""
    rng = np.random.default_rng(seed)
    result = QuantumCircuit(circuit.num_qubits, name=circuit.name)
    for qubit in range(circuit.num_qubits):
        result.u(*rng.uniform(0.3, 2.8, size=3), qubit)
    return result.compose(circuit)


def conditioned():
    """A user's own measurements in the middle, and conditions on a bit and on a register."""
    circuit = QuantumCircuit(QuantumRegister(4, "q"), ClassicalRegister(2, "c"), ClassicalRegister(1, "d"))
    for qubit, angle in enumerate((0.7, 1.9, 1.2, 2.4)):
        circuit.ry(angle, qubit)
    circuit.cx(0, 2)
    circuit.measure(0, 0)
    with circuit.if_test((circuit.clbits[0], 1)):
        circuit.cz(1, 3)
        circuit.ry(0.4, 2)
    circuit.cp(1.1, 1, 2)
    circuit.measure(1, 1)
    with circuit.if_test((circuit.cregs[0], 2)):
        circuit.ry(0.9, 3)
        circuit.cp(0.6, 2, 3)
    circuit.cx(3, 0)
    circuit.h(3)
    circuit.measure(3, 2)
    return circuit


def overwritten():
    """A qubit measured, reset and measured into the same bit again, with conditions on both records."""
    circuit = QuantumCircuit(3, 2)
    circuit.h(0)
    circuit.measure(0, 0)
    with circuit.if_test((circuit.clbits[0], 1)):
        circuit.x(2)
    circuit.reset(0)
    circuit.ry(1.0, 0)
    circuit.cx(0, 1)
    circuit.measure(0, 0)
    with circuit.if_test((circuit.clbits[0], 1)):
        circuit.cz(1, 2)
    circuit.cx(1, 2)
    circuit.measure(2, 1)
    return circuit


CIRCUITS = {
    "ghz": (lambda: tilted(ghz(4), 1), (2, 2)),
    "qft": (lambda: tilted(qft(4), 2), (2, 2)),
    "cuccaro": (lambda: tilted(cuccaro_adder(2), 3), (2, 2, 2)),
    "w state": (lambda: w_state(4), (2, 1, 1)),
    "conditioned": (conditioned, (2, 2)),
    "overwritten": (overwritten, (1, 1, 1)),
}


QUICK = [
    pytest.param(name, marks=pytest.mark.slow) if name in ("qft", "cuccaro", "w state") else name for name in CIRCUITS
]


@pytest.fixture(scope="module", params=QUICK)
def planned(request):
    make, rooms = CIRCUITS[request.param]
    fabric = hq.Fabric.line(list(rooms), communication_qubits=2, pair_fidelity=0.97)
    return hq.plan(make(), fabric, time_limit_s=0.1, seed=1)


def wires_of(plan):
    circuit = plan.distributed_circuit
    places = [circuit.find_bit(wire).registers[0] for wire in circuit.qubits]
    return [cirq.NamedQubit(f"{register.name}[{place}]") for register, place in places]


def test_a_distributed_circuit_names_its_nodes_and_bell_pairs_in_cirq(planned):
    result = planned.to_cirq()
    assert result == to_cirq(planned.distributed_circuit, qubits="named")
    assert result.all_qubits() == set(wires_of(planned))
    node = dict(zip(wires_of(planned), planned.lowered.node_of, strict=True))
    assert all(node[qubit] == qubit.name.rpartition("_")[0] for qubit in node)
    across = [each for each in result.all_operations() if len({node[qubit] for qubit in each.qubits}) > 1]
    assert len(across) == planned.ebits > 0
    assert all(each.untagged.gate == cirq.CNOT and each.tags == ("bell_pair",) for each in across)
    assert cirq.read_json(json_text=cirq.to_json(result)) == result


def test_a_distributed_circuit_comes_back_from_cirq_as_it_was(planned):
    there = planned.to_cirq()
    again = from_cirq(there, qubit_order=wires_of(planned))
    circuit = planned.distributed_circuit
    assert [(each.name, each.size) for each in again.qregs] == [(each.name, each.size) for each in circuit.qregs]
    assert {(each.name, each.size) for each in again.cregs} == {(each.name, each.size) for each in circuit.cregs}
    kept = ("bell_pair", "measure", "reset", "if_else", "cx", "cz", "cp")
    assert [again.count_ops().get(name, 0) for name in kept] == [circuit.count_ops().get(name, 0) for name in kept]
    assert to_cirq(again, qubits="named") == there
    entry, leave = ([again.qubits[wire] for wire in wires] for wires in (planned.lowered.entry, planned.lowered.exit))
    counted = hq.as_written(again, planned.fabric, entry=entry, exit=leave)
    assert counted.replay.ebits_per_link == planned.ebits_per_link


def logical(plan, vector):
    """The state as (logical qubits, all other wires), the first logical qubit the most significant digit."""
    width = plan.distributed_circuit.num_qubits
    leave = list(plan.lowered.exit)
    tensor = vector.reshape((2,) * width).transpose([*leave, *(wire for wire in range(width) if wire not in leave)])
    return tensor.reshape(2 ** len(leave), -1)


def test_every_branch_that_cirq_samples_ends_in_the_ideal_state(planned):
    result, order = planned.to_cirq(), wires_of(planned)
    ideal = qiskit_outcomes(planned.circuit)
    user = set(names_of(planned.circuit).values())
    seen = set()
    for seed in range(12):
        run = cirq.Simulator(seed=seed, dtype=np.complex128).simulate(result, qubit_order=order)
        found = frozenset((key, int(value[0])) for key, value in run.measurements.items() if key in user)
        seen.add(tuple(int(value[0]) for _, value in sorted(run.measurements.items())))
        columns = logical(planned, run.final_state_vector)
        wanted = ideal[found] / np.trace(ideal[found])
        assert np.isclose(np.trace(wanted @ wanted).real, 1) or planned.circuit.count_ops().get("reset")
        if np.isclose(np.trace(wanted @ wanted).real, 1):
            assert np.isclose(np.einsum("ia,ij,ja->", columns.conj(), wanted, columns).real, 1, atol=1e-9)
    assert len(seen) > 1


def counts_of(records, names):
    last = np.stack([records[name][:, -1, 0] for name in names], axis=1)
    values, counts = np.unique(last, axis=0, return_counts=True)
    return {tuple(int(each) for each in value): int(count) for value, count in zip(values, counts, strict=True)}


def p_value(counts, expected):
    """Chi-square of counts against probabilities, cells of fewer than five expected put together."""
    shots = sum(counts.values())
    assert all(expected.get(outcome, 0) > 1e-9 for outcome in counts), "an outcome that cannot be"
    large = [outcome for outcome, each in expected.items() if each * shots >= 5]
    rows = [(counts.get(outcome, 0), expected[outcome] * shots) for outcome in large]
    rest = (shots - sum(row[0] for row in rows), shots - sum(row[1] for row in rows))
    rows += [rest] if rest[1] > 1e-6 else []
    return chisquare(*zip(*rows, strict=True)).pvalue if len(rows) > 1 else 1.0


def measured_plan(name):
    make, rooms = CIRCUITS[name]
    circuit = make()
    if not circuit.num_clbits:
        circuit.measure_all()
    fabric = hq.Fabric.line(list(rooms), communication_qubits=2, pair_fidelity=0.97)
    return hq.plan(circuit, fabric, time_limit_s=0.1, seed=1)


def check_distribution(name, shots):
    plan = measured_plan(name)
    names = sorted(names_of(plan.circuit).values())
    expected = {
        tuple(dict(outcome)[each] for each in names): float(np.trace(rho).real)
        for outcome, rho in qiskit_outcomes(plan.circuit).items()
    }
    records = cirq.Simulator(seed=3).run(plan.to_cirq(), repetitions=shots).records
    assert p_value(counts_of(records, names), expected) > 1e-3


@pytest.mark.parametrize("name", ["ghz", "conditioned", "overwritten"])
def test_cirq_samples_the_distribution_of_the_original(name):
    check_distribution(name, 150)


@pytest.mark.slow
@pytest.mark.parametrize("name", CIRCUITS)
def test_cirq_samples_the_distribution_of_the_original_in_many_shots(name):
    check_distribution(name, 2000)


def test_the_distribution_is_another_without_the_feed_forward():
    plan = measured_plan("ghz")
    bare = cirq.Circuit(each.without_classical_controls() for each in plan.to_cirq().all_operations())
    expected = {
        tuple(value for _, value in sorted(outcome)): float(np.trace(rho).real)
        for outcome, rho in qiskit_outcomes(plan.circuit).items()
    }
    names = sorted(names_of(plan.circuit).values())
    counts = counts_of(cirq.Simulator(seed=3).run(bare, repetitions=300).records, names)
    assert p_value(counts, expected) < 1e-6


def test_a_cirq_circuit_with_classical_control_is_distributed_and_proved():
    wires = cirq.LineQubit.range(4)
    circuit = cirq.Circuit(
        cirq.ry(0.7)(wires[0]),
        cirq.H(wires[1]),
        cirq.CX(wires[1], wires[2]),
        cirq.CX(wires[0], wires[1]),
        cirq.H(wires[0]),
        cirq.measure(wires[0], key="z"),
        cirq.measure(wires[1], key="x"),
        cirq.X(wires[2]).with_classical_controls("x"),
        cirq.Z(wires[2]).with_classical_controls("z"),
        cirq.measure(wires[0], wires[1], key="both"),
        (cirq.CZ(wires[2], wires[3]) ** 0.4).with_classical_controls("both"),
    )
    plan = hq.plan(circuit, hq.Fabric.line([2, 2], communication_qubits=2), time_limit_s=0.1, seed=1)
    assert plan.equivalent == "proved"
    same(qiskit_outcomes(plan.circuit), cirq_outcomes(circuit))


def test_the_ideal_of_the_judge_is_qiskits():
    circuit = tilted(qft(4), 2)
    (rho,) = qiskit_outcomes(circuit).values()
    vector = Statevector(circuit.reverse_bits()).data
    assert np.allclose(rho, np.outer(vector, vector.conj()))
