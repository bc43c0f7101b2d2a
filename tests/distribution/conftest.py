"""Oracles that share nothing with the compiler: an exact simulator over all outcomes, and networks by hand."""

from types import SimpleNamespace

import networkx as nx
import numpy as np
import pytest
from qiskit import QuantumCircuit

from hyperfabric_q.distribution.network import Network


def haar_state(qubits, seed):
    """A Haar-random state vector, qubit 0 the least significant."""
    rng = np.random.default_rng(seed)
    vector = rng.normal(size=2**qubits) + 1j * rng.normal(size=2**qubits)
    return vector / np.linalg.norm(vector)


class _Densities:
    """Unnormalised density matrices by classical outcome, over the wires alive; nothing is sampled or assumed."""

    def __init__(self, circuit, vector, wires):
        self.circuit = circuit
        self.alive = list(wires)
        self.used = set()
        self.position = {bit: index for index, bit in enumerate(circuit.clbits)}
        tensor = vector.reshape((2,) * len(self.alive)).transpose(range(len(self.alive))[::-1])
        rho = np.multiply.outer(tensor, tensor.conj())
        self.by_outcome = {(0,) * len(circuit.clbits): rho}

    def rotate(self, rho, matrix, wires):
        count, size = len(wires), len(self.alive)
        axes = [self.alive.index(wire) for wire in reversed(wires)]  # Qiskit's matrices: first wire least significant
        gate = matrix.reshape((2,) * (2 * count))
        for offset, factor in ((0, gate), (size, gate.conj())):
            where = [axis + offset for axis in axes]
            rho = np.moveaxis(np.tensordot(factor, rho, axes=(range(count, 2 * count), where)), range(count), where)
        return rho

    def each(self, change):
        self.by_outcome = {outcome: change(outcome, rho) for outcome, rho in self.by_outcome.items()}

    def pair(self, wires):
        assert not self.used & set(wires), "a Bell pair on wires that are not |0>"
        self.used |= set(wires)
        bell = np.zeros((2, 2, 2, 2), dtype=complex)
        bell[0, 0, 0, 0] = bell[0, 0, 1, 1] = bell[1, 1, 0, 0] = bell[1, 1, 1, 1] = 0.5
        size = len(self.alive)
        self.alive += wires
        order = [*range(size), 2 * size, 2 * size + 1, *range(size, 2 * size), 2 * size + 2, 2 * size + 3]
        self.each(lambda _, rho: np.multiply.outer(rho, bell).transpose(order))

    def fresh(self, wire):
        """Bring in a wire in |0>, to which a qubit of the same node is copied."""
        assert wire not in self.used, "a wire that is not |0> is used as if it were"
        self.used.add(wire)
        size = len(self.alive)
        self.alive.append(wire)
        zero = np.array([[1, 0], [0, 0]], dtype=complex)
        order = [*range(size), 2 * size, *range(size, 2 * size), 2 * size + 1]
        self.each(lambda _, rho: np.multiply.outer(rho, zero).transpose(order))

    def measure(self, wire, bit, *, drop):
        size, axis, found = len(self.alive), self.alive.index(wire), {}
        for outcome, rho in self.by_outcome.items():
            for value in (0, 1):
                key = list(outcome)
                key[self.position[bit]] = value
                part = rho.take(value, axis=axis + size).take(value, axis=axis)
                if not drop:
                    kept = np.zeros_like(rho)
                    index = [slice(None)] * (2 * size)
                    index[axis] = index[axis + size] = value
                    kept[tuple(index)] = part
                    part = kept
                found[tuple(key)] = found.get(tuple(key), 0) + part
        self.by_outcome = found
        if drop:
            self.alive.remove(wire)
            self.used.add(wire)

    def reset(self, wire):
        size, axis = len(self.alive), self.alive.index(wire)

        def emptied(_, rho):
            fresh = np.zeros_like(rho)
            index = [slice(None)] * (2 * size)
            index[axis] = index[axis + size] = 0
            fresh[tuple(index)] = sum(rho.take(value, axis=axis + size).take(value, axis=axis) for value in (0, 1))
            return fresh

        self.each(emptied)

    def forget(self, bits):
        found = {}
        for outcome, rho in self.by_outcome.items():
            key = tuple(0 if self.circuit.clbits[index] in bits else value for index, value in enumerate(outcome))
            found[key] = found.get(key, 0) + rho
        self.by_outcome = found

    def branch(self, operation, wires):
        target, value = operation.condition

        def chosen(outcome, rho):
            if target in self.position:
                met = outcome[self.position[target]] == int(value)
            else:
                met = sum(outcome[self.position[bit]] << index for index, bit in enumerate(target)) == int(value)
            if not met and len(operation.blocks) == 1:
                return rho
            body = operation.blocks[0 if met else 1]
            outer = dict(zip(body.qubits, wires, strict=True))
            for inner in body.data:
                rho = self.rotate(rho, np.asarray(inner.operation.to_matrix()), [outer[each] for each in inner.qubits])
            return rho

        self.each(chosen)


def outcomes(circuit, vector, *, entry=None, exit_wires=None, keep=None):
    """Unnormalised density matrices by the values of the ``keep`` first classical bits; exact, all branches.

    ``entry`` and ``exit_wires`` are the wires of the logical qubits at the start and at the end; all other wires start
    in |0>, come in by a ``bell_pair`` or a local ``cx``, and must be measured into a dropped bit before the end.
    """
    entry = list(range(circuit.num_qubits)) if entry is None else entry
    exit_wires = entry if exit_wires is None else exit_wires
    keep = len(circuit.clbits) if keep is None else keep
    data = [circuit.qubits[index] for index in entry]
    walk = _Densities(circuit, vector, data)
    dropped = set(circuit.clbits[keep:])
    last = {bit: index for index, each in enumerate(circuit.data) for bit in each.clbits if bit in dropped}
    for index, each in enumerate(circuit.data):
        name, wires = each.operation.name, list(each.qubits)
        if name == "bell_pair":
            walk.pair(wires)
        elif name == "measure":
            walk.measure(wires[0], each.clbits[0], drop=each.clbits[0] in dropped)
        elif name == "reset" and wires[0] not in walk.alive:
            walk.used.discard(wires[0])
        elif name == "reset":
            assert not circuit.find_bit(wires[0]).registers[0][0].name.endswith("_comm"), "a live copy is reset"
            walk.reset(wires[0])
        elif name == "if_else":
            walk.branch(each.operation, wires)
        elif name != "barrier":
            for wire in wires:
                if wire not in walk.alive:
                    assert name == "cx", f"{name} on a wire that holds nothing"
                    walk.fresh(wire)
            matrix = np.asarray(each.operation.to_matrix())
            walk.each(lambda _, rho, matrix=matrix, wires=wires: walk.rotate(rho, matrix, wires))
        done = {bit for bit in each.clbits if last.get(bit) == index}
        if done:
            walk.forget(done)
    assert set(walk.alive) == {circuit.qubits[wire] for wire in exit_wires}, "other wires are alive at the end"
    ends = [walk.alive.index(circuit.qubits[wire]) for wire in reversed(exit_wires)]
    size, found = 2 ** len(data), {}
    for outcome, rho in walk.by_outcome.items():
        moved = rho.transpose([*ends, *(end + len(ends) for end in ends)]).reshape(size, size)
        found[outcome[:keep]] = found.get(outcome[:keep], 0) + moved
    return found


def same_outcomes(left, right, tolerance=1e-9):
    """Whether two results of ``outcomes`` agree; an outcome that is absent has probability 0."""
    zero = np.zeros_like(next(iter(left.values())))
    return all(np.abs(left.get(key, zero) - right.get(key, zero)).max() < tolerance for key in {*left, *right})


SHAPES = {
    "full": nx.complete_graph,
    "line": nx.path_graph,
    "ring": nx.cycle_graph,
    "star": lambda nodes: nx.star_graph(nodes - 1),
    "none": nx.empty_graph,
}


def network(shape, capacity, communication=None):
    """A network by hand: ``shape`` is a name or an edge list, ``communication`` a number, a list or None."""
    nodes = len(capacity)
    graph = SHAPES[shape](nodes) if isinstance(shape, str) else nx.Graph(shape)
    graph.add_nodes_from(range(nodes))
    limits = tuple(communication) if isinstance(communication, list | tuple) else (communication,) * nodes
    usable = [[near for near in graph[node] if limits[near] != 0 and limits[node] != 0] for node in range(nodes)]
    return Network(
        names=tuple(f"n{index}" for index in range(nodes)),
        capacity=tuple(capacity),
        communication=limits,
        neighbours=tuple(tuple(sorted(near)) for near in usable),
    )


def random_circuit(qubits, gates, rng, *, clbits=0, breaks=0.35):
    """Random breaks, flips, phases and controlled phases; with ``clbits`` also measurements, resets and conditions."""
    circuit = QuantumCircuit(qubits, clbits)
    for _ in range(gates):
        draw, qubit = rng.random(), int(rng.integers(qubits))
        if clbits and draw < 0.12:
            circuit.measure(qubit, int(rng.integers(clbits)))
        elif clbits and draw < 0.15:
            circuit.reset(qubit)
        elif clbits and draw < 0.3:
            with circuit.if_test((circuit.clbits[int(rng.integers(clbits))], int(rng.integers(2)))):
                _random_gate(circuit, qubit, rng, breaks)
        else:
            _random_gate(circuit, qubit, rng, breaks)
    return circuit


def _random_gate(circuit, qubit, rng, breaks):
    angle = float(rng.uniform(0.1, 6))
    if circuit.num_qubits > 1 and rng.random() < 0.55:
        other = int(rng.choice([each for each in range(circuit.num_qubits) if each != qubit]))
        if rng.random() < 0.5:
            circuit.cp(angle, qubit, other)
        else:
            circuit.cz(qubit, other)
    elif rng.random() < breaks:
        circuit.u(angle, float(rng.uniform(0, 6)), float(rng.uniform(0, 6)), qubit)
    elif rng.random() < 0.5:
        (circuit.x if rng.random() < 0.5 else circuit.y)(qubit)
    else:
        circuit.p(angle, qubit)


@pytest.fixture(scope="session")
def oracle():
    """The exact simulator: ``outcomes``, ``same_outcomes`` and ``haar_state``."""
    return SimpleNamespace(outcomes=outcomes, same=same_outcomes, haar=haar_state)


@pytest.fixture(scope="session")
def net():
    """``network(shape, capacity, communication)``."""
    return network


@pytest.fixture(scope="session")
def scramble():
    """``random_circuit(qubits, gates, rng, clbits=, breaks=)``."""
    return random_circuit
