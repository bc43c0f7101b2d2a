"""What was asked of the cut finder, checked, and the sets of rooms that answer it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hyperfabric_q.errors import InvalidValue, NoCutFound

METHODS = ("gate_cut", "wire_cut")


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A checked request.

    Attributes:
        qubits: of the circuit.
        rooms: qubits of each QPU that may be used; one entry for any number of alike QPUs.
        slots: index in the caller's widths of each of ``rooms``.
        parts: how many parts there must be, None for any number.
        alike: whether all QPUs have the same width.
        cut_gates, cut_wires: what may be cut.
    """

    qubits: int
    rooms: tuple[int, ...]
    slots: tuple[int, ...]
    parts: int | None
    alike: bool
    cut_gates: bool
    cut_wires: bool

    @property
    def fewest(self) -> int:
        """Return the least number of parts that can hold the qubits."""
        if self.alike and self.parts is None:
            return -(-self.qubits // self.rooms[0])
        return len(self.rooms)

    @property
    def asked(self) -> str:
        """Return the request in words."""
        where = f"QPUs of {', '.join(map(str, self.rooms))} qubits"
        if self.alike:
            number = "any number of" if self.parts is None else f"{self.parts}"
            where = f"{number} QPUs of {self.rooms[0]} qubits"
        return f"a circuit of {self.qubits} qubits was to run in parts on {where}"

    def rooms_of(self, parts: int) -> tuple[int, ...]:
        """Return the rooms for so many parts; of unlike QPUs there is only one set."""
        return self.rooms * parts if self.alike and self.parts is None else self.rooms

    def fills(self, rooms: Sequence[int]) -> bool:
        """Whether no part that must be used can be left empty, for want of room elsewhere."""
        return self.parts is None or sum(rooms) - self.qubits < min(rooms)

    def most(self, wires: float) -> int:
        """Return the number of parts that the cheapest cuts need not exceed when so many wires are cut.

        Two parts that fit together on one QPU are never dearer when they are one part.
        """
        if not self.alike or self.parts is not None:
            return len(self.rooms)
        return (
            max(self.fewest, int(2 * (self.qubits + wires) / (self.rooms[0] + 1))) if math.isfinite(wires) else 1 << 30
        )


def request_of(
    qubits: int, widths: int | Sequence[int], parts: int | None, methods: Sequence[str], time_limit_s: float
) -> Request:
    """Return the checked request.

    Raises:
        InvalidValue: a width, the number of parts, a method or the time limit is no such thing.
        NoCutFound: the QPUs cannot hold the qubits, however the circuit is cut.
    """
    alike = not isinstance(widths, Sequence)
    listed = list(widths) if isinstance(widths, Sequence) else [widths]
    if not listed or not all(_is_count(width) for width in listed):
        raise InvalidValue(field="widths", value=widths, rule="each QPU has a whole number of qubits, at least 1")
    if parts is not None and not _is_count(parts):
        raise InvalidValue(field="parts", value=parts, rule="the number of parts is a whole number from 1, or None")
    if parts is not None and not alike and parts > len(listed):
        rule = f"only {len(listed)} QPUs are listed, and each runs one part"
        raise InvalidValue(field="parts", value=parts, rule=rule)
    if not methods or any(method not in METHODS for method in methods):
        rule = f"choose from {', '.join(METHODS)}"
        raise InvalidValue(field="methods", value=tuple(methods), rule=rule)
    if not (math.isfinite(time_limit_s) and time_limit_s >= 0):
        raise InvalidValue(field="time_limit_s", value=time_limit_s, rule="a time limit is a finite number from 0")
    slots = list(range(len(listed)))
    if parts is not None and alike:
        slots, listed = [0] * parts, listed * parts
    elif parts is not None:
        # Of unlike QPUs the widest serve best.
        slots = sorted(sorted(slots, key=lambda slot: (-listed[slot], slot))[:parts])
    request = Request(
        qubits=qubits,
        rooms=tuple(int(width) for width in (listed if alike else [listed[slot] for slot in slots])),
        slots=tuple(slots),
        parts=parts,
        alike=alike,
        cut_gates="gate_cut" in methods,
        cut_wires="wire_cut" in methods,
    )
    _check_room(request)
    return request


def _is_count(value: object) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool) and int(value) >= 1


def _check_room(request: Request) -> None:
    room = sum(request.rooms)
    if request.parts is not None and request.parts > request.qubits and not request.cut_wires:
        reason = f"{request.parts} parts cannot all hold a qubit"
        remedy = f"Ask for at most {request.qubits} parts"
    elif room < request.qubits and not (request.alike and request.parts is None):
        reason = f"together they hold {room} qubits, {request.qubits - room} too few, and cuts never need fewer"
        remedy = "Use wider QPUs or more of them"
    else:
        return
    raise NoCutFound(asked=request.asked, reason=reason, remedy=f"{remedy}.")
