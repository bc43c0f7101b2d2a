"""What training did, step by step: the loss, and where time, Bell pairs and shots went."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from hyperfabric_q.errors import InvalidValue

SCHEMA: Final = "hyperfabric_q/training/1"

Stopped = Literal["steps", "early", "interrupted"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingRow:
    """One step of training.

    Attributes:
        step: its number, the first being 1.
        epoch: how many times all samples had been used before it.
        loss: of its batch, before the step.
        loss_error: one standard error of that, from shots; 0 where values are exact.
        validation: loss of the validation set before the step; None without one.
        gradient_norm: length of the gradient.
        gradient_error: length of its standard errors, from shots.
        start_ns, end_ns: of the virtual clock.
        quantum_ns, network_ns, classical_ns, waiting_ns: what the time between was spent on; they add up to it.
        pairs: Bell pairs that were consumed.
        shots: that were taken, or charged.
        nbytes: payload that nodes received.
        bound_ns: least time of the gradients' all-reduce.
    """

    step: int
    epoch: int
    loss: float
    loss_error: float
    validation: float | None
    gradient_norm: float
    gradient_error: float
    start_ns: float
    end_ns: float
    quantum_ns: float
    network_ns: float
    classical_ns: float
    waiting_ns: float
    pairs: int
    shots: int
    nbytes: int
    bound_ns: float

    def to_dict(self) -> dict[str, Any]:
        """Return the fields, ready for JSON."""
        return {each.name: getattr(self, each.name) for each in fields(self)}

    @classmethod
    def from_dict(cls, row: Mapping[str, Any]) -> TrainingRow:
        """Return the row that ``to_dict`` wrote.

        Raises:
            InvalidValue: a field is missing or unknown.
        """
        if set(row) != {each.name for each in fields(cls)}:
            raise InvalidValue(field="row", value=sorted(map(str, row)), rule="it is a row that to_dict wrote")
        return cls(**row)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingHistory:
    """All steps of a training, the first one first.

    Attributes:
        rows: one for each step.
        stopped: why there are no more: "steps" = all were taken, "early" = the loss fell no more, "interrupted".
        seed: repeats it.
        notes: what is not as exact, or not charged as it may look.
    """

    rows: tuple[TrainingRow, ...]
    stopped: Stopped
    seed: int
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        """Return the number of steps."""
        return len(self.rows)

    def __iter__(self) -> Iterator[TrainingRow]:
        """Iterate over the steps."""
        return iter(self.rows)

    def column(self, name: str) -> NDArray[np.float64]:
        """Return one field of all steps, to be plotted; NaN where a step has none.

        Raises:
            InvalidValue: there is no such field.
        """
        known = [each.name for each in fields(TrainingRow)]
        if name not in known:
            raise InvalidValue(field="name", value=name, rule=f"it is one of {', '.join(known)}")
        return np.array([np.nan if (value := getattr(row, name)) is None else value for row in self.rows], dtype=float)

    @property
    def losses(self) -> NDArray[np.float64]:
        """The loss of each step's batch, before the step."""
        return self.column("loss")

    def totals(self) -> dict[str, float | int]:
        """Return the sums over all steps: nanoseconds of each kind, Bell pairs, shots and bytes."""
        found: dict[str, float | int] = {
            name: float(self.column(name).sum()) for name in ("quantum_ns", "network_ns", "classical_ns", "waiting_ns")
        }
        found["duration_ns"] = float((self.column("end_ns") - self.column("start_ns")).sum())
        return found | {name: sum(getattr(row, name) for row in self.rows) for name in ("pairs", "shots", "nbytes")}

    def to_dict(self) -> dict[str, Any]:
        """Return everything as JSON-ready values, schema ``hyperfabric_q/training/1``."""
        return {
            "schema": SCHEMA,
            "seed": self.seed,
            "stopped": self.stopped,
            "steps": len(self.rows),
            "totals": self.totals(),
            "notes": list(self.notes),
            "rows": [row.to_dict() for row in self.rows],
        }

    def __str__(self) -> str:
        if not self.rows:
            return f"no step was taken (seed {self.seed})"
        total = self.totals()
        whole = total["duration_ns"] or 1.0
        shares = ", ".join(
            f"{name} {total[f'{name}_ns'] / whole:.1%}" for name in ("quantum", "network", "classical", "waiting")
        )
        return (
            f"{len(self.rows)} steps, loss {self.rows[0].loss:.4f} to {self.rows[-1].loss:.4f} (seed {self.seed}, "
            f"stopped: {self.stopped})\n"
            f"{total['duration_ns'] / 1e6:.6g} ms of virtual time: {shares}\n"
            f"{total['pairs']:,} Bell pairs, {total['shots']:,} shots, {total['nbytes']:,} bytes"
        )
