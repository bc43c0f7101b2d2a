"""Random circuits and an oracle that shares nothing with the engine."""

import numpy as np
import pytest
from qiskit import QuantumCircuit
from qiskit.circuit.library import UnitaryGate
from qiskit.quantum_info import SparsePauliOp, Statevector, random_unitary

from hyperfabric_q.cutting.assignment import Assignment


def oracle_states(circuit):
    """All (unnormalised state, clbits) of a circuit, by projecting the whole state at every measurement."""
    rows = [(Statevector.from_int(0, 2**circuit.num_qubits), dict.fromkeys(circuit.clbits, 0))]
    return _walk(circuit.data, rows, list(circuit.qubits))


def _project(state, position, outcome):
    projector = np.diag([1 - outcome, outcome]).astype(complex)
    data = Statevector(state).data.reshape([2] * state.num_qubits)
    axis = state.num_qubits - 1 - position
    moved = np.moveaxis(np.tensordot(projector, data, axes=([1], [axis])), 0, axis)
    return Statevector(moved.reshape(-1))


def _walk(data, rows, qubits):
    for instruction in data:
        places = [qubits.index(each) for each in instruction.qubits]
        done = []
        for state, bits in rows:
            if instruction.name == "measure":
                bit = instruction.clbits[0]
                done += [(_project(state, places[0], outcome), {**bits, bit: outcome}) for outcome in (0, 1)]
            elif instruction.name == "reset":
                done.append((_project(state, places[0], 0), bits))
                flipped = QuantumCircuit(1)
                flipped.x(0)
                done.append((_project(state, places[0], 1).evolve(flipped, [places[0]]), bits))
            elif instruction.name == "if_else":
                target, value = instruction.operation.condition
                read = [target] if target in bits else list(target)
                spelled = sum(bits[bit] << weight for weight, bit in enumerate(read))
                blocks = list(instruction.operation.blocks)
                taken = blocks[0] if spelled == value else blocks[1] if len(blocks) > 1 else None
                if taken is None:
                    done.append((state, bits))
                else:
                    wire = dict(zip(taken.qubits, instruction.qubits, strict=True))
                    bit_of = dict(zip(taken.clbits, instruction.clbits, strict=True))
                    inner = [
                        each.replace(qubits=[wire[q] for q in each.qubits], clbits=[bit_of[c] for c in each.clbits])
                        for each in taken.data
                    ]
                    done += _walk(inner, [(state, bits)], qubits)
            elif instruction.name != "barrier":
                done.append((state.evolve(instruction.operation, places), bits))
        rows = [(state, bits) for state, bits in done if np.linalg.norm(state.data) > 1e-13]
    return rows


def oracle_values(circuit, observables):
    rows = oracle_states(circuit)
    return np.array(
        [
            sum(float(np.real(state.data.conj() @ (_sparse(each) @ state.data))) for state, _ in rows)
            for each in observables
        ]
    )


def _sparse(observable):
    return SparsePauliOp(observable).to_matrix(sparse=True)


def random_circuit(rng, qubits, gates, *, classical=False, parts=2, wires=0, general=False):  # noqa: PLR0912
    """A random circuit and an assignment to parts with a few gate cuts and ``wires`` cut wires.

    Conditions are put only where they read a bit of their own part.
    """
    labels = [int(each) for each in np.sort(rng.integers(0, parts, qubits))]
    labels[:parts] = range(parts)
    segments = [[(0, label)] for label in labels]
    moves = sorted(rng.choice(np.arange(1, gates), size=wires, replace=False).tolist())
    circuit = QuantumCircuit(qubits, 3)
    crossings, now, owner = 0, list(labels), {}
    for _ in range(gates):
        row = len(circuit.data)
        if moves and row >= moves[0]:
            moves.pop(0)
            qubit = int(rng.integers(qubits))
            if segments[qubit][-1][0] < row:
                now[qubit] = int((now[qubit] + 1 + rng.integers(max(parts - 1, 1))) % parts)
                segments[qubit].append((row, now[qubit]))
        a, b = (int(each) for each in rng.choice(qubits, 2, replace=False))
        kind = rng.random()
        if classical and kind < 0.08:
            bit = int(rng.integers(3))
            if bit not in owner or owner[bit] == now[a]:
                owner[bit] = now[a]
                circuit.measure(a, bit)
        elif classical and kind < 0.14:
            circuit.reset(a)
        elif classical and kind < 0.24 and now[a] in owner.values():
            bit = next(each for each, part in owner.items() if part == now[a])
            together = now[a] == now[b]
            with circuit.if_test((circuit.clbits[bit], int(rng.integers(2)))) as otherwise:
                circuit.ry(float(rng.uniform(0, 6)), a)
                if together:
                    circuit.cx(a, b)
            if rng.random() < 0.5:
                with otherwise:
                    circuit.sx(a)
        elif kind < 0.6:
            circuit.u(*(float(each) for each in rng.uniform(0, 6, 3)), a)
        elif now[a] == now[b]:
            circuit.append(UnitaryGate(random_unitary(4, seed=rng)), [a, b])
        elif crossings < 3:
            crossings += 1
            angle = float(rng.uniform(0, 6))
            choice = int(rng.integers(6 if general else 5))
            if choice == 5:
                circuit.append(UnitaryGate(random_unitary(4, seed=rng)), [a, b])
            else:
                name = ("cx", "rzz", "cp", "crx", "ryy")[choice]
                getattr(circuit, name)(*([] if name == "cx" else [angle]), a, b)
    return circuit, Assignment(parts=parts, segments=tuple(tuple(each) for each in segments))


def random_observables(rng, qubits, count):
    return ["".join(rng.choice(list("IXYZ"), qubits)) for _ in range(count)]


@pytest.fixture
def oracle():
    return oracle_values


@pytest.fixture
def make_circuit():
    return random_circuit


@pytest.fixture
def make_observables():
    return random_observables


@pytest.fixture
def oracle_rows():
    return oracle_states
