"""What a scenario found: figures with their origin, and where physics says no."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from hyperfabric_q.errors import InvalidValue
from hyperfabric_q.estimate import with_bar

SCHEMA: Final = "hyperfabric_q/scenario/1"

Origin = Literal["simulated", "computed", "bound", "stated"]
"""simulated = read off the virtual clock or sampled; computed = really worked out; bound = what physics or arithmetic
allows at best; stated = put in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One number.

    Attributes:
        name: what it is of.
        value: finite.
        unit: "" where it has none.
        origin: where it comes from, see ``Origin``.
        stderr: one standard error, where it was sampled.
    """

    name: str
    value: float
    unit: str = ""
    origin: Origin = "simulated"
    stderr: float | None = None

    def __post_init__(self) -> None:
        if not math.isfinite(self.value):
            raise InvalidValue(field=self.name, value=self.value, rule="a figure is a finite number")
        object.__setattr__(self, "value", float(self.value))  # JSON knows no NumPy numbers
        object.__setattr__(self, "stderr", None if self.stderr is None else float(self.stderr))

    def __str__(self) -> str:
        number = f"{self.value:,.6g}" if self.stderr is None else with_bar(self.value, self.stderr)
        return f"{self.name}: {number}{' ' if self.unit else ''}{self.unit} ({self.origin})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """An answer of physics or arithmetic to something that was asked for.

    Attributes:
        asked: what was asked for.
        holds: whether it can be had.
        because: the figures that decide.
        remedy: what would do, where it cannot be had.
    """

    asked: str
    holds: bool
    because: str
    remedy: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "holds", bool(self.holds))

    def __str__(self) -> str:
        told = f"{'yes' if self.holds else 'no'}: {self.asked}. {self.because}"
        return f"{told} {self.remedy}".rstrip()


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a scenario found.

    Attributes:
        scenario: its name.
        size: at which it ran.
        seed: reproduces it.
        figures: in the order of reading.
        verdicts: what can be had, and what not.
        notes: what is left out or simplified.
    """

    scenario: str
    size: str
    seed: int
    figures: tuple[Figure, ...]
    verdicts: tuple[Verdict, ...] = ()
    notes: tuple[str, ...] = ()

    def __getitem__(self, name: str) -> float:
        """Return the value of the figure of this name."""
        for each in self.figures:
            if each.name == name:
                return each.value
        raise KeyError(name)

    @property
    def digest(self) -> str:
        """A hash of all that was found: the same seed gives the same."""
        return hashlib.blake2b(json.dumps(self._content(), sort_keys=True).encode(), digest_size=16).hexdigest()

    def to_dict(self) -> dict[str, Any]:
        """Return everything, ready for JSON."""
        return {"schema": SCHEMA, **self._content(), "digest": self.digest}

    def _content(self) -> Mapping[str, Any]:
        return {
            "scenario": self.scenario,
            "size": self.size,
            "seed": self.seed,
            "figures": [
                {
                    "name": each.name,
                    "value": each.value,
                    "unit": each.unit,
                    "origin": each.origin,
                    "stderr": each.stderr,
                }
                for each in self.figures
            ],
            "verdicts": [
                {"asked": each.asked, "holds": each.holds, "because": each.because, "remedy": each.remedy}
                for each in self.verdicts
            ],
            "notes": list(self.notes),
        }

    def __str__(self) -> str:
        lines = [f"{self.scenario} ({self.size}, seed {self.seed})", *(f"  {each}" for each in self.figures)]
        lines += [f"  {each}" for each in self.verdicts]
        return "\n".join([*lines, *(f"  note: {each}" for each in self.notes), f"  digest {self.digest}"])
