"""A circuit with inputs and weights: mean values of many samples, and the derivatives of a loss by the weights."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hyperfabric_q.errors import InvalidValue
from hyperfabric_q.seeds import word
from hyperfabric_q.workloads.learning import adjoint
from hyperfabric_q.workloads.learning.gradients import gradient
from hyperfabric_q.workloads.learning.sources import Source
from hyperfabric_q.workloads.learning.turns import Floats

Loss = Callable[[Floats], tuple[float, Floats]]
"""Mean values of all samples, (B, m) -> the loss and its derivatives by these values, (B, m)."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Network:
    """A source whose parameters are inputs and weights.

    Attributes:
        source: where mean values come from.
        inputs: places of the inputs among the circuit's parameters.
        weights: places of the weights.
        shots: of each basis at each angle; None = exact values.
        method: of the gradient, see ``gradients.gradient``.
    """

    source: Source
    inputs: NDArray[np.int64]
    weights: NDArray[np.int64]
    shots: int | None
    method: Any

    @classmethod
    def of(cls, source: Source, inputs: Sequence[Any], *, shots: int | None = None, method: str = "auto") -> Network:
        """Return a network; the parameters that are no inputs are weights.

        Raises:
            InvalidValue: an input is no parameter of the circuit, or comes twice.
        """
        names = [each.name for each in source.form.parameters]
        asked = [getattr(each, "name", each) for each in inputs]
        if len(set(asked)) != len(asked) or not set(asked) <= set(names):
            rule = f"each is one of the circuit's parameters: {', '.join(names[:12]) or 'there is none'}"
            raise InvalidValue(field="inputs", value=asked, rule=rule)
        return cls(
            source=source,
            inputs=np.array([names.index(each) for each in asked], dtype=np.int64),
            weights=np.array([place for place, each in enumerate(names) if each not in set(asked)], dtype=np.int64),
            shots=shots,
            method=method,
        )

    def rows(self, samples: Floats, weights: Floats) -> Floats:
        """Return the parameters of every sample, shape (B, P)."""
        rows = np.empty((len(samples), len(self.inputs) + len(self.weights)))
        rows[:, self.inputs], rows[:, self.weights] = samples, weights
        return rows

    def values(self, samples: Floats, weights: Floats, *, seed: int = 0) -> Floats:
        """Return the mean values of every sample, shape (B, m)."""
        angles = self.source.form.angles.at(self.rows(samples, weights))
        return self.source.read(angles, shots=self.shots, seed=seed).values

    def loss(self, samples: Floats, weights: Floats, loss: Loss, *, seed: int = 0) -> tuple[float, Floats, Floats]:
        """Return a loss, its derivatives by the weights, and the mean values (B, m) it is of.

        Without noise and shots that is one sweep there and back for each sample; elsewhere all derivatives of all mean
        values are estimated first.
        """
        rows = self.rows(samples, weights)
        if self.source.adjoint and self.shots is None and self.method in {"auto", "adjoint"}:
            return self._swept(rows, loss)
        names = [self.source.form.parameters[place] for place in self.weights]
        found = gradient(
            self.source, rows, by=names, method=self.method, shots=self.shots, seed=word(seed, "learning", "loss")
        )
        value, slopes = loss(found.values)
        return value, np.einsum("bm,bmp->p", slopes, found.gradient), found.values

    def _swept(self, rows: Floats, loss: Loss) -> tuple[float, Floats, Floats]:
        form, sums = self.source.form, self.source.sums
        values = adjoint.mean_values(form, sums, form.angles.at(rows))
        value, slopes = loss(values)
        pulled = adjoint.pulled_back(form, sums, rows, lambda _, own: slopes[own])
        return value, pulled.gradient[:, self.weights].sum(axis=0), values
