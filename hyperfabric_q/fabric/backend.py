"""What a Qiskit backend says about itself: the medians over its target, read without importing Qiskit."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from statistics import median
from typing import Any, Final

from hyperfabric_q.errors import InvalidValue
from hyperfabric_q.fabric import fields
from hyperfabric_q.fabric.chip import ChipOperation

_NO_GATE: Final = frozenset({"measure", "reset", "delay", "barrier", "id"})


@dataclass(frozen=True, slots=True, kw_only=True)
class BackendFigures:
    """Return the figures of a backend that a node has fields for; None where the target is silent.

    Args:
        name: the backend's name, made fit for a node id.
        qubits: how many qubits it has.
        gate_error_1q: median over the one-qubit gates that take time or err; virtual gates are left out.
        gate_error_2q: median over the two-qubit gates.
        readout_error: median over the measurements.
        t1_us: median over the qubits, µs.
        t2_us: median over the qubits, µs, capped at twice ``t1_us``.
        gate_1q_ns: median duration, ns.
        gate_2q_ns: median duration, ns.
        readout_ns: median duration, ns.
        reset_ns: median duration, ns.
        operations: everything that it states for certain qubits.
    """

    name: str
    qubits: int
    gate_error_1q: float | None
    gate_error_2q: float | None
    readout_error: float | None
    t1_us: float | None
    t2_us: float | None
    gate_1q_ns: float | None
    gate_2q_ns: float | None
    readout_ns: float | None
    reset_ns: float | None
    operations: tuple[ChipOperation, ...]


def read_backend(backend: Any) -> BackendFigures:
    """Return the figures of ``backend``: a Qiskit ``Target``, or anything with a ``target`` as ``BackendV2`` has.

    Raises:
        InvalidValue: there is no target, or it does not say how many qubits it has.
    """
    target = getattr(backend, "target", backend)
    qubits = getattr(target, "num_qubits", None)
    if not fields.is_whole(qubits) or qubits < 1:
        raise InvalidValue(
            field="backend",
            value=backend,
            rule="a backend has a target that says how many qubits it has, as Qiskit's BackendV2 does",
        )
    rows = list(_instructions(target))
    one = [row for row in rows if row.qubits == 1 and row.name not in _NO_GATE and not row.virtual]
    two = [row for row in rows if row.qubits == 2 and row.name not in _NO_GATE]
    measures = [row for row in rows if row.name == "measure"]
    resets = [row for row in rows if row.name == "reset"]
    properties = getattr(target, "qubit_properties", None) or ()
    t1 = _middle(_positive(getattr(each, "t1", None) for each in properties), 1e6)
    t2 = _middle(_positive(getattr(each, "t2", None) for each in properties), 1e6)
    if t1 is not None and t2 is not None:
        # Each qubit obeys T2 <= 2·T1, the two medians need not.
        t2 = min(t2, 2 * t1)
    return BackendFigures(
        name=_as_id(getattr(backend, "name", None)),
        qubits=int(qubits),
        gate_error_1q=_middle(_errors(one)),
        gate_error_2q=_middle(_errors(two)),
        readout_error=_middle(_errors(measures)),
        t1_us=t1,
        t2_us=t2,
        gate_1q_ns=_middle(_durations(one), 1e9),
        gate_2q_ns=_middle(_durations(two), 1e9),
        readout_ns=_middle(_durations(measures), 1e9),
        reset_ns=_middle(_durations(resets), 1e9),
        operations=tuple(_operation(row) for row in rows if row.name != "delay"),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Row:
    """One instruction on one set of qubits."""

    name: str
    place: tuple[int, ...]
    error: object
    duration: object

    @property
    def qubits(self) -> int:
        """How many qubits it acts on."""
        return len(self.place)

    @property
    def virtual(self) -> bool:
        """A gate done by relabelling phases: it neither takes time nor errs, and would pull the median to zero."""
        return self.duration == 0 and not self.error


def _instructions(target: Any) -> Iterator[_Row]:
    for name in getattr(target, "operation_names", ()):
        places = target[name]
        if not isinstance(places, Mapping):
            continue
        for place, properties in places.items():
            if place is not None:
                yield _Row(
                    name=name,
                    place=tuple(place),
                    error=getattr(properties, "error", None),
                    duration=getattr(properties, "duration", None),
                )


def _operation(row: _Row) -> ChipOperation:
    error, duration = _errors([row]), _durations([row])
    return ChipOperation(
        name=row.name,
        qubits=row.place,
        error=error[0] if error else None,
        duration_ns=duration[0] * 1e9 if duration else None,
    )


def _errors(rows: Iterable[_Row]) -> list[float]:
    return [float(row.error) for row in rows if fields.is_number(row.error) and 0 <= row.error <= 1]


def _durations(rows: Iterable[_Row]) -> list[float]:
    return [float(row.duration) for row in rows if fields.is_number(row.duration) and 0 <= row.duration < math.inf]


def _positive(values: Iterable[object]) -> list[float]:
    return [float(value) for value in values if fields.is_number(value) and 0 < value < math.inf]


def _middle(values: list[float], scale: float = 1.0) -> float | None:
    return median(values) * scale if values else None


def _as_id(name: object) -> str:
    cleaned = re.sub(r"[^A-Za-z0-9._-]+", "-", name if isinstance(name, str) else "")
    cleaned = re.sub(r"\.\.+", ".", cleaned).strip("._-")[: fields.LONGEST_ID]
    return cleaned or "backend"
