"""Demand order: a topological order that keeps few wires and bits open."""

import numpy as np
import pytest
from qiskit import QuantumCircuit
from qiskit.quantum_info import random_statevector

from hyperfabric_q.convert.operations import Kind, read
from hyperfabric_q.simulate.branches import branches
from hyperfabric_q.simulate.order import best_order, demand_order, peak


def cats(count):
    """``count`` copies of qubit 0, all pairs and measurements first, all corrections last."""
    circuit = QuantumCircuit(1 + 2 * count, count)
    for k in range(count):
        near, far = 1 + 2 * k, 2 + 2 * k
        circuit.h(near)
        circuit.cx(near, far)
        circuit.cx(0, near)
        circuit.measure(near, k)
    for k in range(count):
        with circuit.if_test((k, 1)):
            circuit.x(2 + 2 * k)
        circuit.h(2 + 2 * k)
    return circuit


def dependencies(operations):
    """Pairs of operations (by identity) that must keep their order."""
    for at, early in enumerate(operations):
        for late in operations[at + 1 :]:
            written = {each.bit for each in (early, late)} - {None}
            bits = [set(each.reads) | ({each.bit} - {None}) for each in (early, late)]
            if set(early.wires) & set(late.wires) or (written & bits[0] & bits[1]):
                yield early, late


def random_dynamic(seed):
    rng = np.random.default_rng(seed)
    circuit = QuantumCircuit(5, 3)
    for _ in range(30):
        q, r = (int(each) for each in rng.permutation(5)[:2])
        kind, bit = rng.integers(5), int(rng.integers(3))
        if kind == 0:
            circuit.measure(q, bit)
        elif kind == 1:
            with circuit.if_test((bit, 1)):
                circuit.ry(0.3, q)
        elif kind == 2:
            circuit.reset(q)
        else:
            circuit.ry(float(rng.uniform(0, 3)), q)
            circuit.cx(q, r)
    return circuit


@pytest.mark.parametrize("seed", range(5))
def test_demand_order_keeps_every_dependency_and_every_operation(seed):
    operations = read(random_dynamic(seed))
    place = {id(operation): at for at, operation in enumerate(demand_order(operations))}
    assert len(place) == len(operations)
    assert all(place[id(early)] < place[id(late)] for early, late in dependencies(operations))


@pytest.mark.parametrize("seed", range(5))
def test_demand_order_changes_no_outcome(seed):
    operations = read(random_dynamic(seed))
    state = random_statevector(32, seed=seed).data
    options = {"state": state, "wires": range(5), "outputs": range(5), "keep_bits": range(3)}
    mixtures = []
    for order in (operations, demand_order(operations)):
        mixture = {}
        for branch in branches(order, **options):
            rho = branch.probability * branch.state @ branch.state.conj().T
            mixture[branch.bits] = mixture.get(branch.bits, 0) + rho
        mixtures.append(mixture)
    assert mixtures[0].keys() == mixtures[1].keys()
    assert all(np.allclose(mixtures[0][bits], mixtures[1][bits]) for bits in mixtures[0])


def test_demand_order_leaves_one_bit_open_where_late_corrections_left_many():
    operations = read(cats(6))
    assert peak(operations, inputs=[0]).open_bits == 6
    assert peak(demand_order(operations), inputs=[0]).open_bits == 1
    assert peak(best_order(operations, inputs=[0]), inputs=[0]).open_bits == 1


def test_final_measurements_come_last():
    circuit = QuantumCircuit(3, 3)
    circuit.h(0)
    circuit.measure(0, 0)
    circuit.cx(1, 2)
    circuit.measure([1, 2], [1, 2])
    kinds = [operation.kind is Kind.MEASURE for operation in demand_order(read(circuit))]
    assert kinds == sorted(kinds)


def test_long_chains_do_not_exhaust_the_call_stack():
    circuit = QuantumCircuit(1)
    for _ in range(5000):
        circuit.h(0)
    assert len(demand_order(read(circuit))) == 5000
