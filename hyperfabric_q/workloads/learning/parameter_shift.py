"""Derivatives from mean values at shifted angles: all of them are asked for at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hyperfabric_q.workloads.learning.circuit_form import Form
from hyperfabric_q.workloads.learning.turns import Floats, shift_rule


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Shifts:
    """Which turns are shifted by how much, and what each term counts.

    Attributes:
        turn: that is shifted, shape (T,); ascending.
        by: how much, shape (T,).
        weight: of the mean value there, shape (T,).
    """

    turn: NDArray[np.int64]
    by: Floats
    weight: Floats

    def __len__(self) -> int:
        """Return the number of terms: circuits for each binding."""
        return len(self.turn)

    def angles(self, angles: Floats) -> Floats:
        """Return all shifted angles, shape (B T, K), from the angles of B bindings."""
        rows = np.repeat(angles[:, None], len(self), axis=1)
        rows[:, np.arange(len(self)), self.turn] += self.by
        return rows.reshape(-1, angles.shape[1])

    def combined(self, values: Floats, errors: Floats, form: Form) -> tuple[Floats, Floats]:
        """Return derivatives by the angle of each turn and their variances, both (B, m, K).

        Args:
            values: mean values at the shifted angles, shape (B T, m).
            errors: their standard errors; terms are independent of one another.
            form: the circuit.
        """
        count = values.shape[1]
        weights = np.zeros((len(self), len(form.names)))
        weights[np.arange(len(self)), self.turn] = self.weight
        terms = values.reshape(-1, len(self), count).swapaxes(1, 2)
        spread = errors.reshape(-1, len(self), count).swapaxes(1, 2) ** 2
        return terms @ weights, spread @ weights**2


def shifts_of(form: Form, turns: Sequence[int]) -> Shifts:
    """Return the shifts that give the derivatives by some turns: two for each, four where it is controlled."""
    terms = [(turn, by, weight) for turn in turns for by, weight in shift_rule(form.names[turn])]
    columns = np.array(terms, dtype=np.float64).reshape(-1, 3)
    return Shifts(turn=columns[:, 0].astype(np.int64), by=columns[:, 1], weight=columns[:, 2])
