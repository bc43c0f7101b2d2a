"""Two exact walkers over all outcomes: one reads Qiskit circuits, the other Cirq circuits by Cirq's own unitaries.

Neither shares code with the conversion.
"""

import cirq
import numpy as np
from qiskit.circuit import Clbit
from qiskit.quantum_info import Operator

OVERWRITES = "overwrites"


def turned(vector, matrix, axes):
    """Apply a matrix to axes of a state tensor, the first axis the most significant digit of the matrix."""
    gate = np.asarray(matrix).reshape((2,) * (2 * len(axes)))
    rest = np.tensordot(gate, vector, axes=(range(len(axes), 2 * len(axes)), axes))
    return np.moveaxis(rest, range(len(axes)), axes)


def projected(vector, axis, value):
    result = np.zeros_like(vector)
    index = [slice(None)] * vector.ndim
    index[axis] = value
    result[tuple(index)] = vector[tuple(index)]
    return result


def emptied(vector, axis):
    """Return the two ways in which a qubit is reset."""
    flipped = turned(projected(vector, axis, 1), [[0, 1], [1, 0]], [axis])
    return [each for each in (projected(vector, axis, 0), flipped) if np.vdot(each, each).real > 1e-12]


def zero_state(width):
    vector = np.zeros((2,) * width, dtype=complex)
    vector[(0,) * width] = 1
    return vector


def gathered(branches):
    """Return {outcome: density matrix}; an outcome is a set of (name, value)."""
    result = {}
    for memory, vector in branches:
        flat = vector.reshape(-1)
        key = frozenset(memory.items())
        result[key] = result.get(key, 0) + np.outer(flat, flat.conj())
    return result


def names_of(circuit):
    """The name of each bit as a measurement key."""
    names = {}
    for bit in circuit.clbits:
        place = circuit.find_bit(bit)
        register, position = place.registers[0] if place.registers else (None, place.index)
        base = "clbit" if register is None else register.name
        names[bit] = base if register is not None and len(register) == 1 else f"{base}[{position}]"
    return names


def qiskit_outcomes(circuit):
    """Walk a Qiskit circuit from |0...0>; the first wire is the most significant digit of the result."""
    names = names_of(circuit)
    wires = {bit: axis for axis, bit in enumerate(circuit.qubits)}

    def walk(body, axes, bits, branches):
        for each in body.data:
            targets, clbits = [axes[bit] for bit in each.qubits], [bits[bit] for bit in each.clbits]
            name, found = each.operation.name, []
            for memory, vector in branches:
                if name == "measure":
                    for value in (0, 1):
                        part = projected(vector, targets[0], value)
                        if np.vdot(part, part).real > 1e-12:
                            found.append(({**memory, names[clbits[0]]: value}, part))
                elif name == "reset":
                    found += [(memory, part) for part in emptied(vector, targets[0])]
                elif name == "if_else":
                    target, value = each.operation.condition
                    read = [target] if isinstance(target, Clbit) else list(target)
                    number = sum(memory.get(names[bits[bit]], 0) << place for place, bit in enumerate(read))
                    chosen = (
                        each.operation.blocks[0 if number == value else 1 :][:1]
                        if number == value or len(each.operation.blocks) > 1
                        else []
                    )
                    inner = [(memory, vector)]
                    for block in chosen:
                        inner = walk(
                            block,
                            dict(zip(block.qubits, targets, strict=True)),
                            dict(zip(block.clbits, clbits, strict=True)),
                            inner,
                        )
                    found += inner
                elif name in ("barrier", "delay"):
                    found.append((memory, vector))
                else:
                    found.append((memory, turned(vector, Operator(each.operation).data, targets[::-1])))
            branches = found
        return branches

    start = [({}, zero_state(circuit.num_qubits))]
    return gathered(walk(circuit, wires, {bit: bit for bit in circuit.clbits}, start))


def measured(operation, axes, records, vector):
    """Yield the records and the state after each result of a measurement; a record is (number of its bits, values)."""
    bare = operation.untagged
    key, mask = cirq.measurement_key_name(bare), bare.gate.full_invert_mask()
    done = records.get(key, ())
    number = done[-1][0] + (OVERWRITES not in operation.tags) if done else 0
    for values in np.ndindex(*(2,) * len(axes)):
        part = vector
        for axis, value in zip(axes, values, strict=True):
            part = projected(part, axis, value)
        if np.vdot(part, part).real > 1e-12:
            read = tuple(value ^ bool(inverted) for value, inverted in zip(values, mask, strict=True))
            yield {**records, key: (*done, (number, read))}, part


def cirq_outcomes(circuit, order=None):
    """Walk a Cirq circuit from |0...0>, by Cirq's unitaries and conditions; each record counts, bit by bit."""
    order = sorted(circuit.all_qubits()) if order is None else order
    axis_of = {qubit: axis for axis, qubit in enumerate(order)}
    branches = [({}, zero_state(len(order)))]
    for operation in circuit.all_operations():
        axes, found = [axis_of[qubit] for qubit in operation.qubits], []
        bare = operation.without_classical_controls().untagged
        for records, vector in branches:
            store = cirq.ClassicalDataDictionaryStore()
            for key, values in records.items():
                for _, each in values:
                    name = cirq.MeasurementKey.parse_serialized(key)
                    store.record_measurement(name, each, cirq.LineQubit.range(len(each)))
            if not all(condition.resolve(store) for condition in operation.classical_controls):
                found.append((records, vector))
            elif isinstance(bare.gate, cirq.MeasurementGate):
                found += measured(operation, axes, records, vector)
            elif isinstance(bare.gate, cirq.ResetChannel):
                found += [(records, part) for part in emptied(vector, axes[0])]
            else:
                found.append((records, turned(vector, cirq.unitary(bare), axes)))
        branches = found
    last = []
    for records, vector in branches:
        memory = {}
        for key, values in records.items():
            for number, each in values:
                name = f"{key}@{number}" if number else key
                flat = len(each) == 1
                memory |= {name if flat else f"{name}[{place}]": int(bit) for place, bit in enumerate(each)}
        last.append((memory, vector))
    return gathered(last)


def same(left, right):
    assert left.keys() == right.keys()
    assert all(np.allclose(left[key], right[key], atol=1e-6) for key in left)
    assert np.isclose(sum(np.trace(each).real for each in left.values()), 1)
