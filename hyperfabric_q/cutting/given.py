"""What do cuts that the caller gives, by labels, by marks or in full, mean and cost?"""

from __future__ import annotations

import math
import numbers
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from qiskit import QuantumCircuit

from hyperfabric_q.cutting.assignment import Assignment, operands
from hyperfabric_q.cutting.finder.prices import WIRE, joint, log_schmidt_sum
from hyperfabric_q.cutting.prepare import Prepared
from hyperfabric_q.errors import InvalidValue, NoCutFound


def given_assignment(prepared: Prepared, qubits: int, assignment: Any) -> Assignment:
    """Return the assignment that labels spell; without any, the one that the marked wires make.

    Raises:
        InvalidValue: labels for other qubits, or labels beside marks.
    """
    if assignment is None:
        return prepared.marked()
    if prepared.marks:
        rule = f"the circuit itself marks {len(prepared.marks)} wire cuts"
        remedy = "Take the markers out, or leave the assignment out."
        raise InvalidValue(field="assignment", value=str(assignment), rule=rule, remedy=remedy)
    if isinstance(assignment, Assignment):
        if len(assignment.segments) != prepared.circuit.num_qubits:
            rule = f"the circuit has {prepared.circuit.num_qubits} qubits; each has its segments"
            raise InvalidValue(field="assignment", value=len(assignment.segments), rule=rule)
        return assignment
    labels = assignment
    if isinstance(assignment, Mapping):
        labels = [assignment.get(qubit) for qubit in range(qubits)]
        if len(assignment) != qubits or None in labels:
            rule = f"each of the qubits 0 to {qubits - 1} has one label"
            raise InvalidValue(field="assignment", value=dict(assignment), rule=rule)
    if not isinstance(labels, Sequence) or len(labels) != qubits:
        rule = f"there is one label for each of {qubits} qubits"
        raise InvalidValue(field="assignment", value=labels, rule=rule)
    try:
        return Assignment.static(labels)
    except TypeError:
        rule = "a label is a number, a string or anything else that can be a key"
        remedy = 'Write for example "AABB" or [0, 0, 1, 1].'
        raise InvalidValue(field="assignment", value=labels, rule=rule, remedy=remedy) from None


def check_room(
    needed: tuple[int, ...], max_qubits: int | None, widths: Sequence[int] | None, parts: int | None
) -> None:
    """Do nothing when parts of these widths fit on the QPUs.

    Raises:
        InvalidValue: another number of parts was asked for.
        NoCutFound: they do not fit.
    """
    if parts is not None and parts != len(needed):
        raise InvalidValue(field="parts", value=parts, rule=f"the cuts that were given make {len(needed)}")
    rooms = sorted(widths or (), reverse=True)
    if widths is None:
        rooms = [max(needed) if max_qubits is None else max_qubits] * len(needed)
    wanted = sorted(needed, reverse=True)
    if len(rooms) < len(wanted) or any(need > room for need, room in zip(wanted, rooms, strict=False)):
        raise NoCutFound(
            asked=f"QPUs of {', '.join(map(str, rooms))} qubits were to run the parts that were given",
            reason=f"these need {', '.join(map(str, wanted))} qubits",
            remedy="Cut elsewhere or at more places, or let the cut finder decide.",
        )


def log_price(circuit: QuantumCircuit, who: Assignment) -> float:
    """Return ln gamma² with all gates between two parts taken together, as the finder counts it."""
    pairs: dict[tuple[int, ...], list[float]] = {}
    rows = set(who.gate_cuts(circuit))
    for row, qubits, _ in operands(circuit):
        if row in rows:
            ends = tuple(sorted(who.part_at(qubit, row) for qubit in qubits))
            pairs.setdefault(ends, []).append(log_schmidt_sum(circuit.data[row].operation) or 0.0)
    return math.fsum(joint(math.fsum(each)) for each in pairs.values()) + WIRE * len(who.wire_cuts())


def given_qubits(qubits: Any) -> tuple[int, ...]:
    """Return the indices of qubits; whether the circuit has them is checked later.

    Raises:
        InvalidValue: no list of whole numbers.
    """
    listed = tuple(qubits) if isinstance(qubits, Iterable) else (None,)
    if any(isinstance(each, bool) or not isinstance(each, numbers.Integral) for each in listed):
        remedy = "Write [3] for one qubit; circuit.find_bit(qubit).index is the number of a Qubit."
        raise InvalidValue(field="qubits", value=qubits, rule="they are a list of qubit numbers", remedy=remedy)
    return tuple(int(each) for each in listed)


def given_values(values: Any, parameters: Iterable[Any]) -> dict[Any, float]:
    """Return the values of parameters by object, whether they were given by object or by name.

    Raises:
        InvalidValue: no mapping, a parameter that the circuit does not have, or a value that is no finite number.
    """
    names = {each.name: each for each in parameters}
    listed = ", ".join(sorted(names)) or "none"
    if not isinstance(values, Mapping):
        rule = f"they are a mapping from a parameter or its name to a number; the circuit has {listed}"
        raise InvalidValue(field="parameters", value=values, rule=rule)
    known = set(names.values())
    found = {names.get(key, key) if isinstance(key, str) else key: value for key, value in values.items()}
    if left := [str(key) for key in found if key not in known]:
        rule = f"the circuit has no such parameter; it has {listed}"
        raise InvalidValue(field="parameters", value=left, rule=rule)
    return {key: _angle(str(key), value) for key, value in found.items()}


def _angle(name: str, value: Any) -> float:
    try:
        angle = math.nan if isinstance(value, bool | str | bytes) else float(value)
    except (TypeError, ValueError, OverflowError):
        angle = math.nan
    if not math.isfinite(angle):
        raise InvalidValue(field=name, value=str(value), rule="an angle is a finite number")
    return angle
