"""A circuit in parts: which qubits go together, how a part is written and read, and the whole put together again.

Every instruction stands in exactly one part, that of its first qubit, with its place in the whole. A gate between parts
names the other's qubit as a guest, so the parts together are the circuit and nothing is lost on the way.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from qiskit import QuantumCircuit, qpy
from qiskit.circuit import ClassicalRegister, QuantumRegister
from scipy.sparse import coo_array
from scipy.sparse.csgraph import reverse_cuthill_mckee

from hyperfabric_q.convert import read_qasm, read_qpy, write_qasm3
from hyperfabric_q.errors import HyperFabricError, InvalidValue
from hyperfabric_q.fabric import fields

SCHEMA: Final = "hyperfabric_q/circuit_part/1"

LARGE: Final = 2000
"""Instructions from which on a part is written as QPY: reading it starts a process, but reading text takes longer."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CircuitPart:
    """Some qubits of a circuit, and what is done to them.

    Attributes:
        number: which part, from 0.
        parts: how many there are.
        qubits: in the whole, of each qubit of ``circuit``: first those at home here, then guests of gates that cross.
        own: how many are at home here.
        bits: in the whole, of each classical bit of ``circuit``.
        places: in the whole, of each instruction of ``circuit``.
        circuit: the part itself.
        registers: classical registers of the whole, and their sizes.
        width: qubits of the whole.
        whole: hash of the whole circuit, the same in all its parts.
    """

    number: int
    parts: int
    qubits: tuple[int, ...]
    own: int
    bits: tuple[int, ...]
    places: tuple[int, ...]
    circuit: QuantumCircuit
    registers: tuple[tuple[str, int], ...]
    width: int
    whole: str

    @property
    def crossings(self) -> int:
        """Gates of this part that reach into another."""
        return sum(
            any(self.circuit.find_bit(qubit).index >= self.own for qubit in each.qubits) for each in self.circuit.data
        )


def partition_circuit(circuit: QuantumCircuit, num_parts: int = 3) -> list[CircuitPart]:
    """Return a circuit in parts; the first has twice as many qubits as each of the others.

    Qubits that share gates are neighbours in the order of Cuthill and McKee (1969), which is cut into pieces: a quick
    way to few crossings, though not the fewest. What runs is planned anew from the whole.

    Args:
        circuit: without classical control; barriers are left out.
        num_parts: 1 to the number of qubits.

    Raises:
        InvalidValue: ``num_parts`` is out of range, or an operation is controlled by classical bits.
    """
    width = circuit.num_qubits
    num_parts = fields.count("num_parts", num_parts, "a circuit", least=1, most=width, what="parts")
    rows = rows_of(circuit)
    order = _order(width, rows)
    shares = np.cumsum([2] + [1] * (num_parts - 1))
    ends = np.maximum(np.rint(width * shares / shares[-1]).astype(int), np.arange(1, num_parts + 1))
    home = np.empty(width, dtype=int)
    home[order] = np.searchsorted(ends, np.arange(width), side="right")
    named = [[register.name, register.size] for register in circuit.cregs]
    tiled = [bit for register in circuit.cregs for bit in register] == circuit.clbits
    registers = named if tiled else [["c", circuit.num_clbits]]
    told = [[operation.name, list(map(str, operation.params)), *places] for operation, *places in rows]
    whole = hashlib.blake2b(json.dumps([width, registers, told]).encode(), digest_size=16).hexdigest()
    return [
        _part(number, num_parts, [int(each) for each in np.flatnonzero(home == number)], home, rows, registers, whole)
        for number in range(num_parts)
    ]


def rows_of(circuit: QuantumCircuit) -> list[tuple[Any, list[int], list[int]]]:
    """Return operation, qubits and classical bits of each instruction; barriers are left out."""
    qubit_at = {qubit: index for index, qubit in enumerate(circuit.qubits)}
    bit_at = {bit: index for index, bit in enumerate(circuit.clbits)}
    rows = []
    for each in circuit.data:
        if each.name == "barrier":
            continue
        if not each.qubits or getattr(each.operation, "blocks", None) or getattr(each.operation, "condition", None):
            rule = "parts hold gates, measurements and resets, none of them controlled by classical bits"
            remedy = "Give the whole circuit to hyperfabric_q.plan."
            raise InvalidValue(field="circuit", value=each.name, rule=rule, remedy=remedy)
        rows.append((each.operation, [qubit_at[qubit] for qubit in each.qubits], [bit_at[bit] for bit in each.clbits]))
    return rows


def _order(width: int, rows: Sequence[tuple[Any, list[int], list[int]]]) -> Any:
    pairs = np.array([(a, b) for _, qubits, _ in rows for a in qubits for b in qubits if a != b], dtype=int)
    if not len(pairs):
        return np.arange(width)
    graph = coo_array((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(width, width)).tocsr()
    return reverse_cuthill_mckee(graph, symmetric_mode=True)


def _part(
    number: int, parts: int, own: list[int], home: Any, rows: Any, registers: list[list[Any]], whole: str
) -> CircuitPart:
    mine = [(place, *row) for place, row in enumerate(rows) if home[row[1][0]] == number]
    guests = {qubit for _, _, qubits, _ in mine for qubit in qubits} - set(own)
    qubits, bits = [*own, *sorted(guests)], sorted({bit for *_, bits in mine for bit in bits})
    qubit_at, bit_at = ({each: index for index, each in enumerate(some)} for some in (qubits, bits))
    circuit = QuantumCircuit(QuantumRegister(len(qubits), "q"), ClassicalRegister(len(bits), "c"))
    for _, operation, wires, written in mine:
        circuit.append(operation, [qubit_at[each] for each in wires], [bit_at[each] for each in written])
    return CircuitPart(
        number=number,
        parts=parts,
        qubits=tuple(qubits),
        own=len(own),
        bits=tuple(bits),
        places=tuple(each[0] for each in mine),
        circuit=circuit,
        registers=tuple((str(name), int(size)) for name, size in registers),
        width=len(home),
        whole=whole,
    )


def serialize_quantum_circuit(part: CircuitPart) -> bytes:
    """Return a part as bytes: a line of JSON, then OpenQASM 3, or QPY where it is large."""
    told = {name: getattr(part, name) for name in CircuitPart.__slots__ if name != "circuit"}
    head = json.dumps({"schema": SCHEMA, **told}).encode() + b"\n"
    if len(part.places) < LARGE:
        return head + write_qasm3(part.circuit).encode()
    body = io.BytesIO()
    qpy.dump(part.circuit, body)
    return head + body.getvalue()


def read_part(data: object) -> CircuitPart:
    """Return the part that ``serialize_quantum_circuit`` wrote; untrusted bytes are read as such.

    Raises:
        InvalidValue: it is no part.
        CircuitRejected: its circuit cannot be read safely.
    """
    try:
        if not isinstance(data, bytes):
            raise TypeError(type(data).__name__)
        head, body = data.split(b"\n", 1)
        told = json.loads(head)
        if told.pop("schema") != SCHEMA:
            raise ValueError(SCHEMA)
        circuit = read_qpy(body) if body.startswith(b"QISKIT") else read_qasm(body.decode())
        told |= {name: tuple(map(int, told[name])) for name in ("qubits", "bits", "places")}
        told |= {name: int(told[name]) for name in ("number", "parts", "own", "width")}
        told["registers"] = tuple((str(name), int(size)) for name, size in told["registers"])
        part = CircuitPart(circuit=circuit, **told)
    except (ValueError, TypeError, KeyError, AttributeError) as fault:
        if isinstance(fault, HyperFabricError):
            raise
        rule = "a part is what serialize_quantum_circuit returns"
        raise InvalidValue(field="part", value=str(data)[:60], rule=rule) from fault
    found = (circuit.num_qubits, circuit.num_clbits, len(circuit.data))
    if found != (len(part.qubits), len(part.bits), len(part.places)):
        raise InvalidValue(field="part", value=found, rule="its circuit is not the one that its first line describes")
    return part
