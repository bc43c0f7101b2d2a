"""What you gave us is wrong."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hyperfabric_q.errors.base import HyperFabricError, nearest, short


class InputError(HyperFabricError, ValueError):
    """What the caller gave is wrong; correcting it is enough."""


@dataclass(eq=False, kw_only=True)
class InvalidValue(InputError):
    """A field holds a value that it must not hold."""

    field: str
    value: object
    rule: str
    remedy: str = ""

    def __str__(self) -> str:
        shown = short(self.value)
        end = f" {self.remedy}" if self.remedy else ""
        return f"{self.field} = {shown}: {self.rule}.{end}"


@dataclass(eq=False, kw_only=True)
class UnknownName(InputError):
    """A name that nothing answers to; ``kind`` says what sort of thing was asked for."""

    kind: str
    name: str
    known: tuple[str, ...]

    def __str__(self) -> str:
        close = nearest(self.name, self.known)
        hint = f" Did you mean {close!r}?" if close else ""
        listed = ", ".join(repr(each) for each in self.known[:12]) or "none"
        more = f" and {len(self.known) - 12} more" if len(self.known) > 12 else ""
        return f"no {self.kind} is called {short(self.name)}.{hint} Known: {listed}{more}."


@dataclass(eq=False, kw_only=True)
class DuplicateName(InputError):
    """A name that is already taken."""

    kind: str
    name: str

    def __str__(self) -> str:
        return f"the {self.kind} {self.name!r} exists already. Choose another name, or replace it with Fabric.replace."


@dataclass(eq=False, kw_only=True)
class CircuitRejected(InputError):
    """A circuit text or file that is malformed, or that exceeds a limit of the reader."""

    reason: str
    source: str = "<text>"
    line: int | None = None
    column: int | None = None
    remedy: str = ""

    def __str__(self) -> str:
        place = self.source
        if self.line is not None:
            place += f":{self.line}" + (f":{self.column}" if self.column is not None else "")
        end = f" {self.remedy}" if self.remedy else ""
        return f"{place}: {self.reason}.{end}"


@dataclass(eq=False, kw_only=True)
class UnsupportedOperation(InputError):
    """A valid instruction that this version cannot distribute."""

    operation: str
    reason: str
    index: int | None = None
    line: int | None = None
    column: int | None = None

    def __str__(self) -> str:
        if self.line is not None:
            place = f" at line {self.line}" + (f", column {self.column}" if self.column is not None else "")
        else:
            place = f" (instruction {self.index} of the circuit)" if self.index is not None else ""
        return f"{self.operation!r}{place} cannot be distributed: {self.reason}."


@dataclass(eq=False, kw_only=True)
class ConversionRefused(UnsupportedOperation):
    """An operation that has no counterpart in the other framework.

    Attributes:
        location: Where it stands: "instruction 3" or "moment 2".
        target: The framework that lacks it.
        hint: What to do instead; may be empty.
        report: All that the conversion changed, dropped and refused, see ``hyperfabric_q.convert.ConversionReport``.
    """

    location: str
    target: str
    hint: str = ""
    report: Any = None

    def __str__(self) -> str:
        more = len(self.report.refused) - 1 if self.report is not None else 0
        rest = f" ({more} more in .report)" if more > 0 else ""
        end = f" {self.hint}" if self.hint else ""
        return f"{self.operation!r} ({self.location}) has no counterpart in {self.target}: {self.reason}.{end}{rest}"


@dataclass(eq=False, kw_only=True)
class FabricRejected(InputError):
    """A fabric file with a fault; ``line`` is where it stands."""

    source: str
    line: int | None
    where: str
    reason: str

    def __str__(self) -> str:
        place = self.source if self.line is None else f"{self.source}:{self.line}"
        return f"{place}: {self.where}: {self.reason}"


@dataclass(eq=False, kw_only=True)
class TrainingRejected(InputError):
    """A training file with a fault; ``line`` is where it stands."""

    source: str
    line: int | None
    where: str
    reason: str

    def __str__(self) -> str:
        place = self.source if self.line is None else f"{self.source}:{self.line}"
        return f"{place}: {self.where}: {self.reason}"


@dataclass(eq=False, kw_only=True)
class FileUnreadable(InputError):
    """A file that is missing, is a folder, or is of a kind that is not accepted."""

    path: str
    reason: str
    remedy: str = ""

    def __str__(self) -> str:
        end = f" {self.remedy}" if self.remedy else ""
        return f"cannot read {self.path!r}: {self.reason}.{end}"


@dataclass(eq=False, kw_only=True)
class BusyFabric(InputError):
    """A call that must not be made now, because an event loop or a transfer is under way."""

    asked: str
    found: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.asked}: {self.found}. {self.remedy}"


@dataclass(eq=False, kw_only=True)
class PairSpent(InputError):
    """A Bell pair, or a quantum state, that was used up before; ``fate`` is how."""

    what: str
    fate: str

    def __str__(self) -> str:
        return f"{self.what} cannot be used again: it was {self.fate}. Ask for a new one; neither can be copied."


@dataclass(eq=False, kw_only=True)
class OutcomesUnfit(InputError):
    """Measured outcomes that cannot be put together: some are missing, come twice, or belong to another cut."""

    problem: str
    remedy: str

    def __str__(self) -> str:
        return f"the outcomes cannot be put together: {self.problem}. {self.remedy}"


@dataclass(eq=False, kw_only=True)
class StoreUnreadable(InputError):
    """A file that is no store of outcomes, is damaged, or cannot be written."""

    path: str
    reason: str
    remedy: str = ""

    def __str__(self) -> str:
        end = f" {self.remedy}" if self.remedy else ""
        return f"the store {self.path!r} cannot be used: {self.reason}.{end}"
