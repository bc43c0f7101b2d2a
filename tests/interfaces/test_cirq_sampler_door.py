"""``FabricCirqSampler`` gives the records that Cirq's own simulator gives, a sweep as one array of bindings."""

import math

import cirq
import numpy as np
import pytest
import sympy
from qiskit import QuantumCircuit

from hyperfabric_q.errors import InvalidValue, UnsupportedOperation
from hyperfabric_q.fabric import Fabric
from hyperfabric_q.interfaces import FabricCirqSampler, FabricOptions, FabricSampler, cirq_sampler

PERFECT = Fabric.line([2, 2], communication_qubits=2, pair_fidelity=1.0)
A, B = sympy.symbols("a b")
Q = cirq.GridQubit.rect(2, 2)
SWEEP = [{"a": 0.3, "b": 0.7}, {"a": 1.1, "b": -0.4}, {"a": 0.0, "b": 1.0}]


def door(fabric=PERFECT, **given):
    return FabricCirqSampler(fabric, options=FabricOptions(**{"time_limit_s": 0, "seed": 5, "noise": "none"} | given))


def program():
    return cirq.Circuit(
        cirq.rx(A)(Q[0]),
        cirq.H(Q[1]),
        cirq.CZ(Q[0], Q[1]) ** B,
        cirq.ry(A + B)(Q[2]),
        cirq.ZZ(Q[1], Q[2]) ** (A * B),
        cirq.FSimGate(A, B)(Q[2], Q[3]),
        cirq.CNOT(Q[0], Q[3]) ** A,
        cirq.PhasedXPowGate(phase_exponent=A, exponent=B)(Q[1]),
        cirq.YY(Q[0], Q[2]) ** A,
        cirq.SQRT_ISWAP(Q[0], Q[1]),
        cirq.measure(Q[1], Q[0], key="pair"),
        cirq.measure(Q[2], key="c[1]"),
        cirq.measure(Q[3], key="inverted", invert_mask=(True,)),
    )


def histogram(result):
    keys = sorted(result.records)
    bits = np.concatenate([result.records[key][:, 0, :] for key in keys], axis=1)
    return np.bincount(bits.astype(int) @ (1 << np.arange(bits.shape[1])), minlength=1 << bits.shape[1])


def chances(circuit, resolver):
    """Of each code that ``histogram`` counts, from Cirq's final state."""
    state = (
        cirq.Simulator(dtype=np.complex128)
        .simulate(
            cirq.Circuit(
                operation
                for operation in cirq.resolve_parameters(circuit, resolver).all_operations()
                if not cirq.is_measurement(operation)
            ),
            qubit_order=Q,
        )
        .final_state_vector
    )
    found = np.zeros(16)
    for index, chance in enumerate(np.abs(state) ** 2):
        bit = [index >> 3 & 1, index >> 2 & 1, index >> 1 & 1, index & 1]
        code = bit[2] | (1 - bit[3]) << 1 | bit[1] << 2 | bit[0] << 3  # c[1], inverted, pair
        found[code] += chance
    return found


def test_a_sweep_is_planned_once_and_follows_cirqs_states(monkeypatch):
    planned = []
    real = cirq_sampler.drawn

    def counted(one, bindings, **named):
        planned.append(bindings.shape)
        return real(one, bindings, **named)

    monkeypatch.setattr(cirq_sampler, "drawn", counted)
    shots = 8000
    results = door().run_sweep(program(), SWEEP, repetitions=shots)
    assert len(planned) == 1
    assert planned[0][0] == 3
    for resolver, result in zip(SWEEP, results, strict=True):
        assert result.params == cirq.ParamResolver(resolver)
        assert result.records["pair"].shape == (shots, 1, 2)
        wanted = chances(program(), resolver)
        spread = np.sqrt(np.maximum(1.0, shots * wanted * (1 - wanted)))
        assert (np.abs(histogram(result) - shots * wanted) / spread).max() < 4.5
        assert not result.metadata["fallbacks"]
        assert result.metadata["bell_pairs_per_shot"] > 0


def test_classical_control_beside_symbols_is_followed():
    circuit = cirq.Circuit(
        cirq.X(Q[0]) ** A,
        cirq.measure(Q[0], key="first"),
        cirq.X(Q[3]).with_classical_controls("first"),
        cirq.measure(Q[3], key="second"),
    )
    off, on = door().run_sweep(circuit, cirq.Points("a", [0.0, 1.0]), repetitions=50)
    for result, bit in ((off, 0), (on, 1)):
        assert (result.measurements["first"] == bit).all()
        assert (result.measurements["second"] == bit).all()


def test_a_symbol_under_classical_control_is_planned_for_each_binding_and_that_is_said():
    circuit = cirq.Circuit(
        cirq.X(Q[0]),
        cirq.measure(Q[0], key="first"),
        (cirq.X(Q[3]) ** A).with_classical_controls("first"),
        cirq.measure(Q[3], key="second"),
    )
    off, on = door().run_sweep(circuit, cirq.Points("a", [0.0, 1.0]), repetitions=20)
    assert not off.measurements["second"].any()
    assert on.measurements["second"].all()
    assert "holds a parameter" in on.metadata["fallbacks"][0]


def test_a_symbol_that_qiskit_cannot_hold_is_resolved_for_each_binding_and_that_is_said():
    circuit = cirq.Circuit(cirq.X(Q[0]) ** sympy.floor(A), cirq.measure(Q[0], key="m"))
    off, on = door().run_sweep(circuit, cirq.Points("a", [0.5, 1.5]), repetitions=5)
    assert not off.measurements["m"].any()
    assert on.measurements["m"].all()
    assert "planned on its own" in on.metadata["fallbacks"][0]
    assert off.metadata.keys() == on.metadata.keys()


def test_a_repeated_key_has_a_record_for_each_instance_as_in_cirq():
    circuit = cirq.Circuit(
        cirq.X(Q[0]) ** A,
        cirq.measure(Q[0], Q[1], key="k"),
        cirq.CNOT(Q[0], Q[3]),
        cirq.X(Q[0]),
        cirq.measure(Q[0], Q[3], key="k", invert_mask=(False, True)),
        cirq.CircuitOperation(cirq.FrozenCircuit(cirq.X(Q[2]), cirq.measure(Q[2], key="loop")), repetitions=3),
        cirq.measure(Q[1], key="once"),
    )
    for resolver in ({"a": 0.0}, {"a": 1.0}):
        ours = door().run(circuit, resolver, repetitions=4)
        theirs = cirq.Simulator().run(circuit, resolver, repetitions=4)
        assert ours.records.keys() == theirs.records.keys()
        assert all(np.array_equal(ours.records[key], theirs.records[key]) for key in theirs.records)


def test_waits_are_left_out_and_that_is_said():
    circuit = cirq.Circuit(cirq.X(Q[0]), cirq.wait(Q[0], nanos=5), cirq.measure(Q[0], key="m"))
    result = door().run(circuit, repetitions=3)
    assert result.measurements["m"].all()
    assert any("waits" in each for each in result.metadata["fallbacks"])


def test_a_batch_has_the_metadata_of_single_runs():
    circuit = cirq.Circuit(cirq.X(Q[0]) ** A, cirq.CNOT(Q[0], Q[2]), cirq.measure(Q[0], Q[2], key="m"))
    single = door().run(circuit, {"a": 1.0}, repetitions=5)
    batch = door().run_batch([circuit, circuit], [{"a": 1.0}, cirq.Points("a", [0.0, 1.0])], repetitions=[5, 6])
    assert [[each.repetitions for each in results] for results in batch] == [[5], [6, 6]]
    assert batch[0][0].metadata == single.metadata
    assert {frozenset(each.metadata) for results in batch for each in results} == {frozenset(single.metadata)}
    assert [int(each.measurements["m"].sum()) for each in batch[1]] == [0, 12]


def test_the_inherited_calls_work_and_seeds_repeat():
    circuit = cirq.Circuit(cirq.X(Q[0]) ** A, cirq.CNOT(Q[0], Q[2]), cirq.measure(Q[0], Q[2], key="m"))
    one = door().run(circuit, {"a": 0.5}, repetitions=200)
    assert one == door().run(circuit, {"a": 0.5}, repetitions=200)
    assert set(one.histogram(key="m")) == {0, 3}
    assert list(door().sample(circuit, repetitions=3, params={"a": 1.0})["m"]) == [3, 3, 3]


def test_the_same_circuit_and_seed_give_the_shots_of_qiskits_door():
    circuit = cirq.Circuit(cirq.H(Q[0]), cirq.CNOT(Q[0], Q[3]), cirq.measure(Q[0], Q[3], key="m"))
    fabric = Fabric.line([1, 1], communication_qubits=1, pair_fidelity=0.9)
    same = QuantumCircuit(2)
    same.h(0)
    same.cx(0, 1)
    same.measure_all()
    ours = door(fabric, noise="fabric").run(circuit, repetitions=600)
    options = FabricOptions(time_limit_s=0, seed=5)
    theirs = FabricSampler(fabric, options=options).run([same], shots=600).result()[0].data.meas.get_counts()
    counts = {format(code, "02b"): hits for code, hits in ours.histogram(key="m").items()}
    assert {key[::-1]: hits for key, hits in counts.items()} == theirs


def test_what_cannot_be_is_refused_by_name():
    with pytest.raises(InvalidValue, match="measures"):
        door().run(cirq.Circuit(cirq.X(Q[0])))
    with pytest.raises(InvalidValue, match="number"):
        door().run(cirq.Circuit(cirq.X(Q[0]) ** A, cirq.measure(Q[0])), repetitions=3)
    with pytest.raises(UnsupportedOperation, match="noise"):
        door().run(cirq.Circuit(cirq.depolarize(0.1)(Q[0]), cirq.measure(Q[0])))
    with pytest.raises(InvalidValue):
        door().run(cirq.Circuit(cirq.measure(Q[0])), repetitions=0)


def test_angles_of_marks_are_not_taken_for_others():
    """A gate with a fixed angle stays as it is, whatever marks there are."""
    circuit = cirq.Circuit(cirq.rx(math.pi)(Q[0]), cirq.rx(A)(Q[1]), cirq.measure(Q[0], Q[1], key="m"))
    (result,) = door().run_sweep(circuit, [{"a": 0.0}], repetitions=5)
    assert (result.measurements["m"] == [1, 0]).all()
