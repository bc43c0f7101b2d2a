"""Where mean values come from: state vectors here; ``on_fabric`` and ``in_parts`` have the others.

A source is asked for values at angles of all turns of its circuit, not at parameters: so a shift moves one turn alone.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, Protocol

import numpy as np

from hyperfabric_q.errors import InvalidValue
from hyperfabric_q.execution.observables import Setting, Settings, settings_of
from hyperfabric_q.seeds import stream
from hyperfabric_q.workloads.learning import adjoint
from hyperfabric_q.workloads.learning.circuit_form import Form, form_of
from hyperfabric_q.workloads.learning.pauli_sums import PauliSums, sums_of
from hyperfabric_q.workloads.learning.turns import Floats, Matrix

MOST_SHOTS: Final = 10_000_000
"""Of each setting at each angle."""

_TURN: Final = math.sqrt(0.5)
_TO_Z: Final[dict[str, Matrix]] = {
    "X": np.array([[_TURN, _TURN], [_TURN, -_TURN]], dtype=np.complex128),
    "Y": np.array([[_TURN, -1j * _TURN], [_TURN, 1j * _TURN]], dtype=np.complex128),
}


class Read(NamedTuple):
    """Mean values and their standard errors, both of shape (R, m), the shots they took, and what is to be said."""

    values: Floats
    errors: Floats
    shots: int
    notes: tuple[str, ...] = ()


class Source(Protocol):
    """What gradients are taken of."""

    @property
    def form(self) -> Form:
        """The circuit."""
        ...

    @property
    def sums(self) -> PauliSums:
        """The observables."""
        ...

    @property
    def adjoint(self) -> bool:
        """Whether what it gives without shots is the noiseless value, and state vectors fit."""
        ...

    def read(self, angles: Floats, *, shots: int | None, seed: int) -> Read:
        """Return mean values at angles (R, K), independent of one another; ``shots`` is None for exact ones."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Ideal:
    """A circuit without noise on state vectors, exactly or by shots drawn from them.

    Attributes:
        form: the circuit.
        sums: the observables.
        settings: the bases in which they are measured.
    """

    form: Form
    sums: PauliSums
    settings: Settings

    @classmethod
    def of(cls, circuit: Any, observables: Any) -> Ideal:
        """Return the source of a circuit and its observables.

        Args:
            circuit: with parameters; measurements at its end are left out.
            observables: one or several SparsePauliOp, Pauli or labels.

        Raises:
            InvalidValue: something in the circuit has no gradient, or the observables are not its own.
        """
        form = form_of(circuit)
        sums = sums_of(observables, form.qubits)
        return cls(form=form, sums=sums, settings=settings_of(list(sums.operators), form.qubits))

    @property
    def adjoint(self) -> bool:
        """It always is: state vectors are all there is."""
        return True

    def read(self, angles: Floats, *, shots: int | None, seed: int) -> Read:
        """Return mean values at angles (R, K); shots are drawn for each of the settings."""
        if shots is None:
            values = adjoint.mean_values(self.form, self.sums, angles)
            return Read(values, np.zeros_like(values), 0)
        values = np.repeat(self.settings.constant[None], len(angles), axis=0)
        variances = np.zeros_like(values)
        tables = [_table(each, self.form.qubits) for each in self.settings.settings]
        rng = stream(seed, "learning", "shots")
        for rows, kets in adjoint.states(self.form, angles):
            for setting, table in zip(self.settings.settings, tables, strict=True):
                laws = np.abs(_rotated(kets, setting)) ** 2
                hits = rng.multinomial(shots, laws / laws.sum(axis=1, keepdims=True))
                means, errors = shot_means(hits, table, setting.reach)
                values[rows] += means
                variances[rows] += errors**2
        return Read(values, np.sqrt(variances), shots * len(self.settings) * len(angles))


def shot_means(hits: Any, table: Floats, reach: Floats) -> tuple[Floats, Floats]:
    """Return the means of what shots read and their standard errors, both of shape (R, m).

    Shots that all agree still leave something open: what Jeffreys' prior gives a proportion of 0 or 1.

    Args:
        hits: shots with each outcome, shape (R, outcomes).
        table: what each outcome reads, shape (m, outcomes).
        reach: the largest magnitude of a reading, shape (m,).
    """
    shots = hits.sum(axis=1, keepdims=True)
    means = hits @ table.T / shots
    spread = np.maximum(0.0, hits @ (table**2).T / shots - means**2) / np.maximum(1, shots - 1)
    return means, np.maximum(np.sqrt(spread), 2 * reach * math.sqrt(0.5) / (shots + 1))


def checked_shots(shots: object) -> int | None:
    """Return a number of shots that was asked for; None for exact values.

    Raises:
        InvalidValue: it is no whole number in range.
    """
    if shots is None:
        return None
    if not isinstance(shots, int | np.integer) or isinstance(shots, bool) or not 2 <= shots <= MOST_SHOTS:
        rule = f"it is a whole number from 2 to {MOST_SHOTS:,}, or None for exact values"
        raise InvalidValue(field="shots", value=shots, rule=rule)
    return int(shots)


def _table(setting: Setting, qubits: int) -> Floats:
    """What each outcome of all qubits reads, shape (m, 2^qubits)."""
    outcomes = np.arange(1 << qubits)
    places = np.array(list(setting.bases), dtype=np.int64)
    masks = (setting.masks.astype(np.int64) << places).sum(axis=1)
    signs = 1.0 - 2.0 * (np.bitwise_count(outcomes[None, :] & masks[:, None]) & 1)
    return np.asarray(setting.coefficients @ signs)


def _rotated(kets: Matrix, setting: Setting) -> Matrix:
    """States whose qubits read in Z what was to be read in the bases of a setting."""
    found = kets
    for qubit, basis in setting.bases.items():
        if basis != "Z":
            split = found.reshape(len(kets), -1, 2, 1 << qubit)
            found = np.einsum("ab,rhbl->rhal", _TO_Z[basis], split).reshape(kets.shape)
    return found
