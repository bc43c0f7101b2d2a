"""A sampled number and its error bar."""

from __future__ import annotations

import math
from dataclasses import dataclass

from hyperfabric_q.errors import InvalidValue


def with_bar(value: float, stderr: float) -> str:
    """Return ``value ± stderr`` with as many decimals as the bar's two leading digits need.

    >>> with_bar(0.973124, 0.002149)
    '0.9731 ± 0.0021'
    """
    if stderr <= 0 or not math.isfinite(stderr):
        return f"{value:.4f} ± {stderr:g}"
    decimals = min(max(1 - math.floor(math.log10(stderr)), 1), 12)
    return f"{value:.{decimals}f} ± {stderr:.{decimals}f}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A number estimated from ``shots`` shots; ``stderr`` is one standard error of it. Exact numbers have neither."""

    value: float
    stderr: float
    shots: int

    def __post_init__(self) -> None:
        if not math.isfinite(self.value):
            raise InvalidValue(field="value", value=self.value, rule="an estimate is a finite number")
        if not (math.isfinite(self.stderr) and self.stderr >= 0):
            raise InvalidValue(field="stderr", value=self.stderr, rule="a standard error is finite and not negative")
        if self.shots < 0 or (self.shots == 0 and self.stderr > 0):
            rule = "an estimate rests on at least one shot; without any it is exact, and has no error"
            raise InvalidValue(field="shots", value=self.shots, rule=rule)

    def __str__(self) -> str:
        return with_bar(self.value, self.stderr) if self.shots else f"{self.value:.6g} (exact)"

    def to_dict(self) -> dict[str, float | int]:
        """Return the fields, ready for JSON."""
        return {"value": self.value, "stderr": self.stderr, "shots": self.shots}


def proportion(hits: int, shots: int) -> Estimate:
    """Return the share ``hits / shots`` with its standard error.

    The bar is the standard deviation of the Beta(hits + 1/2, shots - hits + 1/2) posterior (Jeffreys' prior): it
    equals the familiar sqrt(p (1 - p) / shots) for many hits, and stays honest at p = 0 and p = 1, where that formula
    claims no error at all.

    >>> str(proportion(100, 100))
    '1.0000 ± 0.0069'
    """
    a, b = hits + 0.5, shots - hits + 0.5
    return Estimate(value=hits / shots, stderr=math.sqrt(a * b / ((a + b) ** 2 * (a + b + 1))), shots=shots)
