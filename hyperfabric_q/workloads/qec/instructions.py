"""stim instructions made once and used many times.

stim takes microseconds per target when instructions are built from Python numbers, and a round repeats the same few
instructions: parsing text is fifty times as fast, and remembering the instruction faster still.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import lru_cache

import stim

from hyperfabric_q.errors import InternalError, InvalidValue


def instruction(
    name: str, targets: Iterable[int] = (), arguments: Iterable[float] = (), *, tag: str = ""
) -> stim.CircuitInstruction:
    """Return an instruction on qubits; ``tag`` is a plain word."""
    return _made(name, tuple(targets), tuple(arguments), tag)


def on_records(name: str, records: Iterable[int], arguments: Iterable[float], before: int) -> stim.CircuitInstruction:
    """Return an annotation of ``records``, numbered from the start of a circuit with ``before`` measurements so far."""
    lookback = " ".join(f"rec[{record - before}]" for record in sorted(records))
    values = ",".join(map(repr, arguments))
    return _line(f"{name}({values}) {lookback}")


@lru_cache(maxsize=4096)
def correlated(paulis: str, chance: float, *, tag: str = "") -> stim.CircuitInstruction:
    """Return the error ``paulis``, such as "X3 Z5", with a chance, independent of all others."""
    mark = f"[{tag}]" if tag else ""
    return _line(f"CORRELATED_ERROR{mark}({chance!r}) {paulis}")


def parts_of(circuit: stim.Circuit) -> Iterator[stim.CircuitInstruction | stim.CircuitRepeatBlock]:
    """Iterate over the instructions and loops of a circuit."""
    for at in range(len(circuit)):
        yield circuit[at]


def instructions_of(circuit: stim.Circuit) -> list[stim.CircuitInstruction]:
    """Return the instructions of a circuit without loops.

    Raises:
        InvalidValue: there is a loop.
    """
    found: list[stim.CircuitInstruction] = []
    for each in parts_of(circuit):
        if isinstance(each, stim.CircuitRepeatBlock):
            rule = "a circuit without loops is needed here"
            raise InvalidValue(field="circuit", value="REPEAT", rule=rule, remedy="Give circuit.flattened().")
        found.append(each)
    return found


@lru_cache(maxsize=4096)
def qubits_of(each: stim.CircuitInstruction) -> tuple[int, ...]:
    """Return the qubits that an instruction names, in order; classical targets are left out."""
    return tuple(target.value for target in each.targets_copy() if target.is_qubit_target)


@lru_cache(maxsize=4096)
def _made(name: str, targets: tuple[int, ...], arguments: tuple[float, ...], tag: str) -> stim.CircuitInstruction:
    values = f"({','.join(map(repr, arguments))})" if arguments else ""
    mark = f"[{tag}]" if tag else ""
    return _line(f"{name}{mark}{values} {' '.join(map(str, targets))}")


def _line(text: str) -> stim.CircuitInstruction:
    made = stim.Circuit(text)[0]
    if isinstance(made, stim.CircuitRepeatBlock):
        raise InternalError(what=f"{text!r} became a loop")
    return made
