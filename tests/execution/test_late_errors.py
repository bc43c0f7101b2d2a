"""Errors that are moved and measurements that are put off change nothing."""

import numpy as np
import pytest
from qiskit import QuantumCircuit

import hyperfabric_q as hq
from hyperfabric_q.execution.channel import _tracked, user_columns
from hyperfabric_q.execution.late_errors import measured_last, with_late_errors
from hyperfabric_q.execution.logical_ops import (
    Assign,
    Draw,
    Effect,
    Logical,
    Measure,
    Phase,
    Sign,
    Unitary,
    both,
    chances_of,
    draw_of,
    mapped,
    mixed,
    pauli_chances,
)
from hyperfabric_q.execution.mixed_rows import Mixture
from hyperfabric_q.execution.run_noise import RunNoise
from hyperfabric_q.fabric import Fabric

H = np.array([[1, 1], [1, -1]], dtype=complex) / np.sqrt(2)


def logical(*operations, qubits=1, columns=2):
    return Logical(qubits=qubits, columns=columns, operations=operations)


def draw(chance, *, columns=0, signs=0):
    return Draw(chances=((Effect(columns, signs), chance),))


@pytest.mark.parametrize("seed", range(4))
def test_errors_that_are_late_leave_the_same_state(seed):
    rng = np.random.default_rng(seed)
    circuit = QuantumCircuit(3, 2)
    for _ in range(5):
        circuit.u(*rng.uniform(0, 6, 3), int(rng.integers(3)))
        circuit.cp(rng.uniform(0.3, 3), *rng.choice(3, 2, replace=False))
        circuit.cp(rng.uniform(0.3, 3), *rng.choice(3, 2, replace=False))
        circuit.x(int(rng.integers(3)))
    circuit.measure(0, 1)
    circuit.reset(0)
    with circuit.if_test((circuit.clbits[1], 1)):
        circuit.cp(0.9, 1, 2)
    circuit.h(0)
    fabric = Fabric.full([1, 1, 1], communication_qubits=2, pair_fidelity=0.9).replace(
        "nodes.*", gate_error_1q=0.03, gate_error_2q=0.05, readout_error=0.04
    )
    plan = hq.evaluate(circuit, fabric, homes=["qpu-0", "qpu-1", "qpu-2"], verify="skipped", seed=1)
    noise = RunNoise(pair_weights=rng.dirichlet([8, 1, 1, 1], size=plan.ebits), idles=(), local=True)
    raw = _tracked(plan, plan.routed.circuit, noise)
    late = with_late_errors(raw, len(user_columns(plan.routed.circuit)), to_the_end=True)
    drawn = [sum(isinstance(each, Draw) for each in which.operations) for which in (raw, late)]
    assert drawn[1] < drawn[0] / 2
    (plain, plain_bits), (moved, moved_bits) = (Mixture(each).at_end(each.ends, each.flips) for each in (raw, late))
    assert np.array_equal(plain_bits, moved_bits)
    assert np.abs(plain - moved).max() < 1e-12


def test_an_error_waits_for_what_reads_it_and_no_longer():
    gate = Unitary(qubit=0, matrix=H)
    phase = Phase(angle=0.3, wires=((0, 1),))
    found = with_late_errors(logical(draw(0.1, signs=1), phase, gate), 1, to_the_end=True)
    assert [type(each) for each in found.operations] == [Phase, Draw, Unitary]
    found = with_late_errors(logical(draw(0.1, columns=2), gate, phase), 1, to_the_end=True)
    assert [type(each) for each in found.operations] == [Unitary, Draw, Phase]
    assert found.operations[-1].wires == ((0, 1),)


def test_a_forgotten_flip_takes_its_errors_along():
    found = with_late_errors(
        logical(draw(0.1, columns=2), Assign(into=1), Phase(angle=0.3, wires=((0, 1),))), 1, to_the_end=True
    )
    assert [type(each) for each in found.operations] == [Phase]
    assert found.operations[0].wires == ((0, -1),)


def test_an_error_goes_where_its_column_goes():
    found = with_late_errors(logical(draw(0.1, columns=2), Sign(qubit=0, column=1), Assign(into=1)), 1, to_the_end=True)
    assert [each.chances for each in found.operations] == [((Effect(signs=1), 0.1),)]
    into_bit = (draw(0.1, columns=2), Measure(qubit=0, bit=0, flip=1))
    found = with_late_errors(measured_last(logical(*into_bit)), 1, to_the_end=False)
    assert found.operations == ()
    assert found.records == ((0, 0),)
    assert [each.chances for each in found.late] == [((Effect(columns=1), 0.1),)]


def test_measurements_wait_unless_the_qubit_changes_or_the_bit_is_read():
    measure, gate = Measure(qubit=0, bit=0), Unitary(qubit=0, matrix=H)
    assert measured_last(logical(measure, Phase(angle=1.0, wires=((0, 1),)))).records == ((0, 0),)
    assert measured_last(logical(measure, gate)).records == ()
    # Written over and not read: the first one need not happen at all.
    assert measured_last(logical(measure, measure)).operations == (Assign(into=0),)
    assert sum(isinstance(each, Measure) for each in measured_last(logical(measure, gate, measure)).operations) == 1


def test_chances_of_joint_and_alternative_causes():
    one = pauli_chances((0.7, 0.1, 0.05, 0.15), Effect(columns=1), Effect(signs=1))
    assert one == {Effect(): 0.7, Effect(1, 0): 0.1, Effect(1, 1): 0.05, Effect(0, 1): 0.15}
    twice = both(one, one)
    assert sum(twice.values()) == pytest.approx(1)
    assert twice[Effect()] == pytest.approx(0.7**2 + 0.1**2 + 0.05**2 + 0.15**2)
    assert mixed(((0.25, one), (0.75, {Effect(): 1.0})))[Effect(1, 0)] == pytest.approx(0.025)
    assert chances_of(draw_of(one)) == pytest.approx(one)
    assert draw_of({Effect(): 1.0}) is None
    assert mapped(draw(0.1, signs=1), {Effect(0, 1): Effect()}) is None
