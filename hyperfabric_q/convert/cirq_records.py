"""Which measurement key, and which place in it, stands for each classical bit of a Qiskit circuit.

A bit is a key of its own, with two exceptions that ``from_cirq`` makes: registers that the metadata declare to be one
key of several qubits, and registers ``k``, ``k@1``, ``k@2``, ..., which are the records of one key ``k``. Both hold
only while the circuit still measures them in that way; where it does not, each bit is a key again.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace

from qiskit import ClassicalRegister, QuantumCircuit
from qiskit.circuit import Clbit

from hyperfabric_q.convert.cirq_names import key_names, record_name, record_of, whole_keys
from hyperfabric_q.convert.conversion_report import Notes


@dataclass(frozen=True, slots=True, kw_only=True)
class Slot:
    """The place of a classical bit: digit ``digit`` of a key of ``size`` qubits, in its record number ``record``."""

    key: str
    digit: int = 0
    size: int = 1
    record: int = 0


def slots_of(circuit: QuantumCircuit, notes: Notes) -> tuple[list[Slot], dict[int, int]]:
    """Return the slot of each bit, and the instructions that begin the measurement of a whole key, with its size."""
    slots = [Slot(key=name) for name in key_names(circuit)]
    begins: dict[int, int] = {}
    declared = whole_keys(circuit)
    number = {bit: place for place, bit in enumerate(circuit.clbits)}
    for register in circuit.cregs:
        if register.name not in declared or len(register) < 2:
            continue
        places = [number[bit] for bit in register]
        others = {slot.key for place, slot in enumerate(slots) if place not in places}
        found = None if register.name in others else _whole(circuit, register)
        if found is None:
            notes.note(
                "changed", f"register {register.name}", "its bits are no longer measured at once: a key for each"
            )
            continue
        begins |= dict.fromkeys(found, len(register))
        for digit, place in enumerate(places):
            slots[place] = Slot(key=register.name, digit=digit, size=len(register))
    return _with_records(circuit, slots), begins


def _whole(circuit: QuantumCircuit, register: ClassicalRegister) -> list[int] | None:
    """Return where runs of measurements into all bits of a register begin, None when some are measured otherwise."""
    bits = set(register)
    found: list[int] = []
    index = 0
    while index < len(circuit.data):
        each = circuit.data[index]
        if each.operation.name == "if_else" or bits.isdisjoint(each.clbits):
            index += 1
            continue
        run = circuit.data[index : index + len(register)]
        plain = all(other.operation.name == "measure" for other in run)
        if not plain or [bit for other in run for bit in other.clbits] != list(register):
            return None
        if len({other.qubits[0] for other in run}) != len(register):
            return None
        found.append(index)
        index += len(register)
    return found


def _with_records(circuit: QuantumCircuit, slots: list[Slot]) -> list[Slot]:
    """Return the slots, those of k, k@1, ... as the records of one key where each is measured once, in that order."""
    times: Counter[Clbit] = Counter()
    first: dict[Clbit, int] = {}
    for index, each in enumerate(circuit.data):
        if each.operation.name != "if_else":
            times.update(each.clbits if each.operation.name == "measure" else [*each.clbits, *each.clbits])
            for bit in each.clbits:
                first.setdefault(bit, index)
    bits_of: dict[str, list[int]] = {}
    for place, slot in enumerate(slots):
        bits_of.setdefault(slot.key, []).append(place)
    result = list(slots)
    for name, places in bits_of.items():
        if record_of(name)[1] or record_name(name, 1) not in bits_of:
            continue
        chain = [places]
        while (after := bits_of.get(record_name(name, len(chain)))) is not None:
            chain.append(after)
        begins = [first.get(circuit.clbits[each[0]], -1) for each in chain]
        once = all(times[circuit.clbits[place]] == 1 for each in chain for place in each)
        same = len({len(each) for each in chain}) == 1
        if once and same and begins == sorted(begins):
            for number, each in enumerate(chain):
                for place in each:
                    result[place] = replace(slots[place], key=name, record=number)
    return result
