"""What a conversion between Qiskit and Cirq did to a circuit, for a program to read: nothing is lost in silence.

*Changed* means written in another form with the same outcomes. *Dropped* is what changes no outcome and has no place on
the other side, such as a label. *Refused* is what has no counterpart: then there is no circuit, only an error.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, NoReturn, TypeAlias

from hyperfabric_q.errors import ConversionRefused, InvalidValue

Effect: TypeAlias = Literal["changed", "dropped", "refused"]
Framework: TypeAlias = Literal["qiskit", "cirq"]

SCHEMA: Final = "hyperfabric_q/conversion-report/1"
_EFFECTS: Final = ("changed", "dropped", "refused")


@dataclass(frozen=True, slots=True, kw_only=True)
class ConversionEntry:
    """One thing that did not come over as it was.

    Attributes:
        effect: "changed", "dropped" or "refused".
        operation: The instruction, operation or property.
        location: "instruction 3" of a Qiskit circuit, "moment 2" of a Cirq circuit, or "circuit".
        reason: Why.
        hint: What to do about it; empty where there is nothing to do.
        index: The number in ``location``; None for the circuit as a whole.
    """

    effect: Effect
    operation: str
    location: str
    reason: str
    hint: str = ""
    index: int | None = None

    def __post_init__(self) -> None:
        if self.effect not in _EFFECTS:
            raise InvalidValue(field="effect", value=self.effect, rule=f"it is one of {', '.join(_EFFECTS)}")

    def to_dict(self) -> dict[str, Any]:
        """Return the fields, for JSON."""
        return {name: getattr(self, name) for name in ("effect", "operation", "location", "index", "reason", "hint")}


@dataclass(frozen=True, slots=True, kw_only=True)
class ConversionReport:
    """Everything that did not come over as it was, in the order of the circuit.

    Attributes:
        source: "qiskit" or "cirq".
        target: The other one.
        entries: What changed, was dropped, was refused.
    """

    source: Framework
    target: Framework
    entries: tuple[ConversionEntry, ...] = ()

    @property
    def lossless(self) -> bool:
        """Whether nothing was dropped or refused: outcomes, phase, names and order are all there."""
        return not (self.dropped or self.refused)

    @property
    def changed(self) -> tuple[ConversionEntry, ...]:
        """What is written in another form that has the same outcomes."""
        return self._of("changed")

    @property
    def dropped(self) -> tuple[ConversionEntry, ...]:
        """What changes no outcome and has no place on the other side."""
        return self._of("dropped")

    @property
    def refused(self) -> tuple[ConversionEntry, ...]:
        """What has no counterpart; not empty only where there is no converted circuit."""
        return self._of("refused")

    def to_dict(self) -> dict[str, Any]:
        """Return the report as lists and texts, for JSON."""
        return {
            "schema": SCHEMA,
            "source": self.source,
            "target": self.target,
            "lossless": self.lossless,
            **{effect: [each.to_dict() for each in self._of(effect)] for effect in _EFFECTS},
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> ConversionReport:
        """Return the report that ``to_dict`` wrote; its entries stand by effect.

        Raises:
            InvalidValue: ``data`` is something else.
        """
        try:
            if data["schema"] != SCHEMA:
                raise KeyError(data["schema"])
            entries = tuple(ConversionEntry(**each) for effect in _EFFECTS for each in data[effect])
            return cls(source=data["source"], target=data["target"], entries=entries)
        except (KeyError, TypeError) as fault:
            raise InvalidValue(field="report", value=data, rule=f"it is no {SCHEMA} ({fault})") from None

    def _of(self, effect: str) -> tuple[ConversionEntry, ...]:
        return tuple(each for each in self.entries if each.effect == effect)


class Refused(Exception):  # it never leaves a conversion: ``Notes`` collects it
    """An operation without a counterpart: the rest of the circuit is read all the same, to report all at once."""


class Notes:
    """The entries of one conversion while it is made."""

    def __init__(self, source: Framework) -> None:
        """Begin with none."""
        self._source: Framework = source
        self._target: Framework = "cirq" if source == "qiskit" else "qiskit"
        self._unit = "instruction" if source == "qiskit" else "moment"
        self._entries: dict[ConversionEntry, None] = {}
        self.index: int | None = None

    def note(self, effect: Effect, operation: object, reason: str, hint: str = "") -> None:
        """Add an entry at ``index``; the same one at the same place only once."""
        location = "circuit" if self.index is None else f"{self._unit} {self.index}"
        entry = ConversionEntry(
            effect=effect,
            operation=str(operation)[:120],
            location=location,
            reason=reason,
            hint=hint,
            index=self.index,
        )
        self._entries.setdefault(entry)

    def refuse(self, operation: object, reason: str, hint: str = "") -> NoReturn:
        """Add a refusal, and leave the operation by raising ``Refused``."""
        self.note("refused", operation, reason, hint)
        raise Refused(reason)

    @property
    def report(self) -> ConversionReport:
        """The report so far."""
        return ConversionReport(source=self._source, target=self._target, entries=tuple(self._entries))

    def check(self) -> None:
        """Return when nothing was refused.

        Raises:
            ConversionRefused: about the first refusal, with the whole report.
        """
        report = self.report
        if not report.refused:
            return
        first = report.refused[0]
        raise ConversionRefused(
            operation=first.operation,
            reason=first.reason,
            index=first.index,
            location=first.location,
            hint=first.hint,
            target=self._target.capitalize(),
            report=report,
        )
