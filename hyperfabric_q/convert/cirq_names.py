"""Names of qubits, bits and records, so that both directions undo each other.

Qiskit's registers that names of qubits and keys do not tell are declared in a tag of the Cirq circuit; Cirq's qubits
and keys that registers do not tell are declared in the metadata of the Qiskit circuit. A declaration that no longer
fits, because the circuit was changed, is not used.
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import cirq
from qiskit import ClassicalRegister, QuantumCircuit, QuantumRegister
from qiskit.circuit import Clbit, Qubit

PAIR: Final = "bell_pair"
"""Tag of the H and the CNOT that stand for a Bell pair."""

OVERWRITES: Final = "overwrites"
"""Tag of a measurement whose key was measured before: of the records of such a key only the last is meant."""

BARRIER: Final = "barrier"
"""Tag of an identity that stands for a barrier."""

WAIT_DT: Final = "delay_dt:"
"""Tag of an identity that stands for a delay in units of dt, which follows."""

OWN_TAGS: Final = frozenset({PAIR, OVERWRITES, BARRIER})
"""Tags of operations that have a meaning here."""

METADATA: Final = "cirq"
"""Key in the metadata of a Qiskit circuit under which Cirq's names stand."""

_TAG: Final = "qiskit "
_PLACE: Final = re.compile(r"(.+)\[(0|[1-9][0-9]{0,4})\]", re.DOTALL)
_INSTANCE: Final = re.compile(r"(.+)@([1-9][0-9]{0,5})", re.DOTALL)
_MOST_BITS: Final = 1_000_000


def place_of(name: str) -> tuple[str, int] | None:
    """Return ("a", 2) of "a[2]", None of other names."""
    match = _PLACE.fullmatch(name)
    return (match[1], int(match[2])) if match else None


def record_name(key: str, number: int) -> str:
    """Return the name of the register for record ``number`` of a key that has several: k, k@1, k@2, ..."""
    return key if number == 0 else f"{key}@{number}"


def record_of(name: str) -> tuple[str, int]:
    """Return the key and the number of the record that ``record_name`` tells."""
    match = _INSTANCE.fullmatch(name)
    return (match[1], int(match[2])) if match else (name, 0)


def bit_names(circuit: QuantumCircuit, bits: Iterable[Any], loose: str, *, short: bool = False) -> list[str]:
    """Return a name of its own for each bit, after its first register; ``short``: no place where there is but one."""
    result: dict[str, None] = {}
    for bit in bits:
        place = circuit.find_bit(bit)
        name = f"{loose}[{place.index}]"
        if place.registers:
            register, position = place.registers[0]
            name = register.name if short and len(register) == 1 else f"{register.name}[{position}]"
        while name in result:
            name += "_"
        result[name] = None
    return list(result)


def qubit_names(circuit: QuantumCircuit) -> list[str]:
    """Return a name for each wire, as in ``data[2]``."""
    return bit_names(circuit, circuit.qubits, "qubit")


def key_names(circuit: QuantumCircuit) -> list[str]:
    """Return a measurement key for each bit: ``c[2]``, ``c`` where the register has one bit, or ``clbit[2]``."""
    return bit_names(circuit, circuit.clbits, "clbit", short=True)


# ------------------------------------------------------------------------------------------------ Qiskit's registers

Runs = tuple[tuple[str | None, int], ...]
"""Registers in order as (name, size); the name None for bits outside registers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """The registers of a Qiskit circuit, none of which shares bits with another."""

    qubits: Runs
    bits: Runs

    def tag(self) -> str:
        """Return the layout as a tag of a Cirq circuit."""
        return _TAG + json.dumps({"qubits": self.qubits, "bits": self.bits}, separators=(",", ":"))

    def empty(self) -> QuantumCircuit:
        """Return a circuit with these registers."""
        parts: list[Any] = []
        for name, size in self.qubits:
            parts.append([Qubit() for _ in range(size)] if name is None else QuantumRegister(size, name))
        for name, size in self.bits:
            parts.append([Clbit() for _ in range(size)] if name is None else ClassicalRegister(size, name))
        return QuantumCircuit(*parts)


def layout_of(circuit: QuantumCircuit) -> tuple[Layout, tuple[str, ...]]:
    """Return the registers, and the names of those left out because they share bits or do not stand in a row."""
    kept: list[Runs] = []
    left: list[str] = []
    for bits, registers in ((circuit.qubits, circuit.qregs), (circuit.clbits, circuit.cregs)):
        start_of = {circuit.find_bit(register[0]).index: register for register in registers if len(register)}
        runs: list[tuple[str | None, int]] = []
        used: set[str] = set()
        place = 0
        while place < len(bits):
            register = start_of.get(place)
            if register is not None and list(register) == list(bits[place : place + len(register)]):
                runs.append((register.name, len(register)))
                used.add(register.name)
                place += len(register)
                continue
            if runs and runs[-1][0] is None:
                runs[-1] = (None, runs[-1][1] + 1)
            else:
                runs.append((None, 1))
            place += 1
        kept.append(tuple(runs))
        left += [register.name for register in registers if register.name not in used and len(register)]
    return Layout(qubits=kept[0], bits=kept[1]), tuple(left)


def declared_layout(tags: Iterable[Any]) -> Layout | None:
    """Return the layout that the tags of a Cirq circuit declare, None when there is none that can be read."""
    for tag in tags:
        if not (isinstance(tag, str) and tag.startswith(_TAG)):
            continue
        try:
            found = json.loads(tag[len(_TAG) :])
            layout = Layout(qubits=_runs(found["qubits"]), bits=_runs(found["bits"]))
        except (KeyError, RecursionError, TypeError, ValueError):
            return None
        names = [name for name, _ in (*layout.qubits, *layout.bits) if name is not None]
        return layout if len(set(names)) == len(names) else None
    return None


def is_layout(tag: object) -> bool:
    """Return whether a tag of a Cirq circuit declares registers."""
    return isinstance(tag, str) and tag.startswith(_TAG)


def _runs(found: Any) -> Runs:
    runs = tuple((name, size) for name, size in found)
    if not all((name is None or isinstance(name, str)) and type(size) is int and size > 0 for name, size in runs):
        raise ValueError(found)
    if sum(size for _, size in runs) > _MOST_BITS:
        raise ValueError(found)
    return runs


# ------------------------------------------------------------------------------------------- registers told by names


def told_qubits(qubits: Sequence[cirq.Qid], taken: Iterable[str]) -> Runs:
    """Return the registers that the names of ``qubits`` tell, in that order, or one for all."""
    names = set(taken)
    places = [place_of(each.name) if isinstance(each, cirq.NamedQubit) else None for each in qubits]
    known = [each for each in places if each is not None]
    groups = [(name, [place for _, place in each]) for name, each in itertools.groupby(known, lambda each: each[0])]
    told = len(known) == len(qubits) and all(found == list(range(len(found))) for _, found in groups)
    if told and len({name for name, _ in groups} - names) == len(groups):
        return tuple((name, len(found)) for name, found in groups)
    name = "q"
    while name in names:
        name += "_"
    return ((name, len(qubits)),) if qubits else ()


def told_bits(sizes: Mapping[str, int]) -> dict[str, tuple[str, int, int]]:
    """Return, of each key, its register, its first bit there, and the size of the register.

    Args:
        sizes: Qubits of each key, in the order measured.
    """
    places = {key: found for key, size in sizes.items() if size == 1 and (found := place_of(key)) is not None}
    last: dict[str, int] = {}
    for name, place in places.values():
        last[name] = max(place, last.get(name, 0))
    told: dict[str, tuple[str, int, int]] = {}
    for key, size in sizes.items():
        name, place = places.get(key, (key, 0))
        shared = key in places and name not in sizes and last[name] > 0
        told[key] = (name, place, last[name] + 1) if shared else (key, 0, size)
    return told


# ------------------------------------------------------------------------------------------------------ Cirq's names


def wire_names(circuit: QuantumCircuit) -> list[cirq.Qid] | None:
    """Return the Cirq qubits that the metadata declare for the wires, None when they do not, or for another circuit."""
    found = _declared(circuit).get("qubits")
    try:
        qubits = cirq.read_json(json_text=found) if isinstance(found, str) else None
    except (KeyError, RecursionError, TypeError, ValueError):
        return None
    if not isinstance(qubits, list) or len(qubits) != circuit.num_qubits or len(set(qubits)) != len(qubits):
        return None
    return qubits if all(isinstance(each, cirq.Qid) and each.dimension == 2 for each in qubits) else None


def whole_keys(circuit: QuantumCircuit) -> frozenset[str]:
    """Return the names of the registers that the metadata declare to be one key each."""
    found = _declared(circuit).get("keys")
    return (
        frozenset(each for each in found if isinstance(each, str)) if isinstance(found, list | tuple) else frozenset()
    )


def told_wires(circuit: QuantumCircuit) -> list[cirq.Qid]:
    """Return the Cirq qubits that registers tell: 0, 1, ... for one register ``q``, else register and place."""
    if [register.name for register in circuit.qregs] == ["q"] and len(circuit.qregs[0]) == circuit.num_qubits:
        return [*cirq.LineQubit.range(circuit.num_qubits)]
    return [cirq.NamedQubit(name) for name in qubit_names(circuit)]


def declare(circuit: QuantumCircuit, qubits: Sequence[cirq.Qid], keys: Sequence[str]) -> bool:
    """Write into the metadata of ``circuit`` what registers do not tell; return whether the qubits could be written."""
    known: dict[str, Any] = {}
    written = True
    if list(qubits) != told_wires(circuit):
        try:
            known["qubits"] = cirq.to_json(list(qubits), indent=None)
        except (TypeError, ValueError):
            written = False
    if keys:
        known["keys"] = list(keys)
    if known:
        known["registers"] = _registers(circuit)
        circuit.metadata = {**(circuit.metadata or {}), METADATA: known}
    return written


def _declared(circuit: QuantumCircuit) -> Mapping[str, Any]:
    """Return the declaration, empty when the circuit was routed or its registers changed since."""
    found = (circuit.metadata or {}).get(METADATA)
    if not isinstance(found, dict) or circuit.layout is not None:
        return {}
    return found if [list(each) for each in found.get("registers", ())] == _registers(circuit) else {}


def _registers(circuit: QuantumCircuit) -> list[list[Any]]:
    return [[register.name, len(register)] for register in (*circuit.qregs, *circuit.cregs)]
