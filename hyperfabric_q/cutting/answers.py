"""What comes out: observables with their error bars."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, overload

import numpy as np
from qiskit.quantum_info import SparsePauliOp

from hyperfabric_q.cutting.decomposition import Real
from hyperfabric_q.cutting.estimates import Reading
from hyperfabric_q.estimate import Estimate

_MOST_TERMS: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Answers(Sequence[Estimate]):
    """The values of some observables, in the order asked for.

    Attributes:
        estimates: one for each observable.
        labels: the observables in short.
        shots: spent in all; 0 if the values are exact.
        variants: unique circuits that were run; 0 if exact.
        gamma: square root of the sampling overhead of the cuts as they were run.
        seed: that gives the same counts again; None if exact or measured elsewhere.
        reading: what each variant contributes to each error bar; None if exact.
    """

    estimates: tuple[Estimate, ...]
    labels: tuple[str, ...]
    shots: int
    variants: int
    gamma: float
    seed: int | None = None
    reading: Reading | None = field(default=None, repr=False)

    @classmethod
    def exact(cls, values: Real, labels: Sequence[str], *, gamma: float) -> Answers:
        """Return exact values."""
        estimates = tuple(Estimate(value=float(value), stderr=0.0, shots=0) for value in values)
        return cls(estimates=estimates, labels=tuple(labels), shots=0, variants=0, gamma=gamma)

    @classmethod
    def of(
        cls, reading: Reading, labels: Sequence[str], *, variants: int, gamma: float, seed: int | None = None
    ) -> Answers:
        """Return what was read from counts."""
        return cls(
            estimates=reading.estimates(),
            labels=tuple(labels),
            shots=reading.shots,
            variants=variants,
            gamma=gamma,
            seed=seed,
            reading=reading,
        )

    @overload
    def __getitem__(self, place: int) -> Estimate: ...

    @overload
    def __getitem__(self, place: slice) -> tuple[Estimate, ...]: ...

    def __getitem__(self, place: int | slice) -> Estimate | tuple[Estimate, ...]:
        return self.estimates[place]

    def __len__(self) -> int:
        return len(self.estimates)

    def __iter__(self) -> Iterator[Estimate]:
        return iter(self.estimates)

    @property
    def evs(self) -> Real:
        """Return the values, shape (observables,)."""
        return np.array([each.value for each in self.estimates])

    @property
    def stds(self) -> Real:
        """Return one standard error of each, shape (observables,)."""
        return np.array([each.stderr for each in self.estimates])

    def to_dict(self) -> dict[str, Any]:
        """Return the fields, ready for JSON."""
        rows = [{"observable": label, **each.to_dict()} for label, each in zip(self.labels, self, strict=True)]
        told = {"shots": self.shots, "variants": self.variants, "gamma": self.gamma, "seed": self.seed}
        return {"estimates": rows, **told}

    def __str__(self) -> str:
        width = max((len(label) for label in self.labels), default=0)
        lines = [f"{label:<{width}}  {each}" for label, each in zip(self.labels, self, strict=True)]
        end = "exact" if not self.shots else f"{self.shots:,} shots of {self.variants:,} circuits"
        return "\n".join([*lines, f"({end}, gamma {self.gamma:.4g})"])


def label_of(operator: SparsePauliOp) -> str:
    """Return an observable in short, such as "ZZ@0,1" or "0.5 X@0 + 2 ZZ@0,1 + 3 more"."""
    terms = []
    for letters, qubits, coefficient in operator.to_sparse_list()[:_MOST_TERMS]:
        placed = sorted(zip(qubits, letters, strict=True))
        word = f"{''.join(letter for _, letter in placed)}@{','.join(str(qubit) for qubit, _ in placed)}"
        word = word if placed else "I"
        factor = float(np.real(coefficient))
        terms.append(word if factor == 1 else f"{factor:g} {word}")
    if len(operator) > _MOST_TERMS:
        terms.append(f"{len(operator) - _MOST_TERMS} more")
    return " + ".join(terms)
