"""Small circuits and fabrics on which teleporting and cutting compete."""

import numpy as np
import pytest
from qiskit import QuantumCircuit

import hyperfabric_q as hq


def chain_circuit(qubits=6, layers=1, seed=1, angle=None):
    """Layers of turns and of CX, or of RZZ by an angle, between neighbours."""
    circuit = QuantumCircuit(qubits, name="chain")
    rng = np.random.default_rng(seed)
    for qubit in range(qubits):
        circuit.ry(rng.uniform(0, 3), qubit)
    for _ in range(layers):
        for qubit in range(qubits - 1):
            if angle is None:
                circuit.cx(qubit, qubit + 1)
            else:
                circuit.rzz(angle, qubit, qubit + 1)
        for qubit in range(qubits):
            circuit.ry(rng.uniform(0, 3), qubit)
    return circuit


def measuring_circuit():
    """Measurements in the middle and at the end, a reset, a condition, and classical bits of the user's."""
    circuit = QuantumCircuit(5, 3, name="measuring")
    circuit.ry(0.7, 0)
    circuit.cx(0, 1)
    circuit.measure(1, 0)
    circuit.cx(1, 2)
    circuit.reset(0)
    circuit.ry(0.3, 0)
    circuit.cx(0, 3)
    circuit.rzz(0.4, 2, 3)
    circuit.ry(1.0, 3)
    with circuit.if_test((circuit.clbits[0], 1)):
        circuit.ry(0.9, 2)
    circuit.ry(0.8, 4)
    circuit.cx(3, 4)
    circuit.measure(4, 1)
    return circuit


def nodes_in_line(*sizes, fidelity=0.9, links=None, rate=None, **figures):
    """A line of nodes; ``figures`` are those of all nodes, ``links`` the fidelity of single links."""
    fabric = hq.Fabric.line(list(sizes), communication_qubits=2, pair_fidelity=fidelity)
    for place, own in (links or {}).items():
        ends = fabric.links[place].ends
        fabric = fabric.replace("links." + "--".join(ends), pair_fidelity=own)
    if rate is not None:
        fabric = fabric.replace("links.*", pair_rate_hz=rate)
    return fabric.replace("nodes.*", **figures) if figures else fabric


def exact_values(circuit, observables):
    """Values by projecting the whole state at every measurement, which shares nothing with the package."""
    rows = [(_zero(circuit.num_qubits), dict.fromkeys(circuit.clbits, 0))]
    rows = _walked(circuit.data, rows, list(circuit.qubits), circuit.num_qubits)
    matrices = [hq_operator(each, circuit.num_qubits) for each in observables]
    return np.array([sum(float(np.vdot(state, matrix @ state).real) for state, _ in rows) for matrix in matrices])


def hq_operator(label, qubits):
    """The matrix of "ZZ@0,1", of "IIZ", or of a SparsePauliOp."""
    if not isinstance(label, str):
        return label.to_matrix()
    letters = ["I"] * qubits
    if "@" in label:
        word, places = label.split("@")
        for letter, place in zip(word, places.split(","), strict=True):
            letters[int(place)] = letter
    else:
        letters = list(reversed(label))
    paulis = {
        "I": np.eye(2),
        "X": np.array([[0, 1], [1, 0]]),
        "Y": np.array([[0, -1j], [1j, 0]]),
        "Z": np.diag([1, -1]),
    }
    matrix = np.eye(1)
    for letter in letters:
        matrix = np.kron(paulis[letter], matrix)
    return matrix


def _zero(qubits):
    state = np.zeros(2**qubits, dtype=complex)
    state[0] = 1
    return state


def _applied(state, matrix, places, qubits):
    shaped = state.reshape([2] * qubits)
    axes = [qubits - 1 - place for place in reversed(places)]
    gate = matrix.reshape([2] * (2 * len(places)))
    moved = np.tensordot(gate, shaped, axes=(range(len(places), 2 * len(places)), axes))
    return np.moveaxis(moved, range(len(places)), axes).reshape(-1)


def _walked(data, rows, wires, qubits):
    for step in data:
        places = [wires.index(each) for each in step.qubits]
        done = []
        for state, bits in rows:
            if step.name in {"measure", "reset"}:
                for outcome in (0, 1):
                    kept = _applied(state, np.diag([1.0 - outcome, float(outcome)]), places, qubits)
                    if step.name == "reset" and outcome:
                        kept = _applied(kept, np.array([[0.0, 1.0], [1.0, 0.0]]), places, qubits)
                    done.append((kept, {**bits, step.clbits[0]: outcome} if step.clbits else bits))
            elif step.name == "if_else":
                bit, value = step.operation.condition
                if bits[bit] == value:
                    body = step.operation.blocks[0]
                    inner = [each.replace(qubits=step.qubits) for each in body.data]
                    done += _walked(inner, [(state, bits)], wires, qubits)
                else:
                    done.append((state, bits))
            else:
                done.append((_applied(state, step.operation.to_matrix(), places, qubits), bits))
        rows = [each for each in done if np.linalg.norm(each[0]) > 1e-13]
    return rows


@pytest.fixture
def chain():
    return chain_circuit


@pytest.fixture
def measuring():
    return measuring_circuit


@pytest.fixture
def in_line():
    return nodes_in_line


@pytest.fixture
def oracle():
    return exact_values
