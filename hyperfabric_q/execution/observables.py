"""Observables from measurements in rotated bases: which settings there are, and what their counts say.

Pauli strings that agree on every qubit that both act on are measured by one setting (qubit-wise commuting groups,
greedily, the heaviest coefficient first). One gate turns X or Y of a qubit into Z; it errs like any other gate.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from qiskit.quantum_info import SparsePauliOp

from hyperfabric_q.cutting.observables import read_observables
from hyperfabric_q.errors import InvalidValue
from hyperfabric_q.estimate import Estimate
from hyperfabric_q.execution.clusters import mean_error

Floats = NDArray[np.float64]
Bits = NDArray[np.uint8]

_MARGIN: Final = 1.1
"""What is taken beyond the need that the shots so far let expect."""

_LETTERS: Final = np.array([["I", "Z"], ["X", "Y"]])
"""By the X bit and the Z bit of a Pauli."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Setting:
    """One basis of measurement, and what is read from it.

    Attributes:
        bases: "X", "Y" or "Z" of each qubit that is measured, by qubit.
        masks: which of these qubits each string acts on, (strings, measured qubits).
        coefficients: of each string in each observable, (observables, strings).
    """

    bases: Mapping[int, str]
    masks: Bits
    coefficients: Floats

    @property
    def reach(self) -> Floats:
        """The largest magnitude of each observable's part, (observables,)."""
        total: Floats = np.abs(self.coefficients).sum(axis=1)
        return total

    def values(self, keys: Sequence[str]) -> Floats:
        """Return each observable's part for each outcome, (observables, outcomes); keys as ``spell`` writes them."""
        bits = np.array([[character == "1" for character in reversed(key)] for key in keys], dtype=np.int64)
        parities = bits.reshape(len(keys), -1) @ self.masks.T.astype(np.int64) & 1
        return np.asarray(self.coefficients @ (1.0 - 2.0 * parities.T))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Settings:
    """Everything that is measured for some observables.

    Attributes:
        settings: bases of measurement.
        constant: what each observable has of the identity, (observables,).
    """

    settings: tuple[Setting, ...]
    constant: Floats

    def __len__(self) -> int:
        """Return the number of settings."""
        return len(self.settings)


def settings_of(observables: Any, qubits: int) -> Settings:
    """Return what has to be measured for some observables; O(strings x settings x qubits).

    Args:
        observables: one or several SparsePauliOp, Pauli or labels.
        qubits: of the circuit.

    Raises:
        InvalidValue: nothing is given, or it is no real Pauli operator on these qubits.
    """
    operators = read_observables(observables, qubits)
    if not operators:
        raise InvalidValue(field="observables", value=observables, rule="at least one observable is needed")
    letters, coefficients = _strings(operators)
    plain = (letters == "I").all(axis=1)
    constant: Floats = coefficients[:, plain].sum(axis=1)
    letters, coefficients = letters[~plain], coefficients[:, ~plain]
    members: list[list[int]] = []
    bases: list[NDArray[np.str_]] = []
    for row in np.argsort(-np.abs(coefficients).sum(axis=0), kind="stable").tolist():
        string = letters[row]
        for number, basis in enumerate(bases):
            if ((string == "I") | (basis == "I") | (string == basis)).all():
                bases[number] = np.where(basis == "I", string, basis)
                members[number].append(row)
                break
        else:
            bases.append(string)
            members.append([row])
    return Settings(
        settings=tuple(
            _setting(basis, letters[rows], coefficients[:, rows]) for basis, rows in zip(bases, members, strict=True)
        ),
        constant=constant,
    )


def _strings(operators: Sequence[SparsePauliOp]) -> tuple[NDArray[np.str_], Floats]:
    """Return the different strings, one letter per qubit, and their coefficients in each observable."""
    x = np.concatenate([each.paulis.x for each in operators])
    z = np.concatenate([each.paulis.z for each in operators])
    owner = np.repeat(np.arange(len(operators)), [len(each) for each in operators])
    weight = np.concatenate([np.real(each.coeffs) for each in operators])
    both, place = np.unique(np.concatenate([x, z], axis=1), axis=0, return_inverse=True)
    coefficients = np.zeros((len(operators), len(both)))
    np.add.at(coefficients, (owner, place.reshape(-1)), weight)
    used = (coefficients != 0).any(axis=0)
    half = both.shape[1] // 2
    return _LETTERS[both[used, :half].astype(int), both[used, half:].astype(int)], coefficients[:, used]


def _setting(basis: NDArray[np.str_], letters: NDArray[np.str_], coefficients: Floats) -> Setting:
    measured = np.flatnonzero(basis != "I")
    return Setting(
        bases={int(qubit): str(basis[qubit]) for qubit in measured},
        masks=(letters[:, measured] != "I").astype(np.uint8),
        coefficients=coefficients,
    )


@dataclass(slots=True, eq=False)
class Tally:
    """What one setting has shown so far: sums over the shots of each timeline."""

    setting: Setting
    shots: list[int]
    sums: list[Floats]
    squares: Floats

    @classmethod
    def empty(cls, setting: Setting) -> Tally:
        """Return a tally without shots."""
        return cls(setting, [], [], np.zeros(len(setting.coefficients)))

    def add(self, counts: Mapping[str, int], *, again: bool = False) -> None:
        """Take in the counts of one timeline: a new one, or ``again`` the last one."""
        hits = np.array(list(counts.values()), dtype=np.float64)
        values = self.setting.values(list(counts))
        if again and self.shots:
            self.shots[-1] += int(hits.sum())
            self.sums[-1] = self.sums[-1] + values @ hits
        else:
            self.shots.append(int(hits.sum()))
            self.sums.append(values @ hits)
        self.squares = self.squares + values**2 @ hits

    @property
    def total(self) -> int:
        """Shots so far."""
        return sum(self.shots)

    def mean(self) -> Floats:
        """Return the mean of each observable's part."""
        found: Floats = np.sum(self.sums, axis=0) / self.total
        return found

    def shot_error(self) -> Floats:
        """Return what its standard error is if all shots are independent.

        Shots that all agree still leave something open: what Jeffreys' prior gives a proportion of 0 or 1.
        """
        shots, mean = self.total, self.mean()
        variance = np.maximum(0.0, self.squares / shots - mean**2) / max(1, shots - 1)
        floor = 2 * self.setting.reach * math.sqrt(0.5) / (shots + 1)
        return np.asarray(np.maximum(np.sqrt(variance), floor))

    def error(self) -> Floats:
        """Return its standard error: over timelines if there are several, never below that of independent shots."""
        sums = np.array(self.sums)
        clustered = [mean_error(column, self.shots) for column in sums.T]
        return np.asarray(np.maximum(self.shot_error(), clustered))


def estimates_of(settings: Settings, tallies: Sequence[Tally]) -> tuple[Estimate, ...]:
    """Return the estimate of each observable; settings are independent of one another."""
    value, variance = settings.constant.copy(), np.zeros_like(settings.constant)
    shots = np.zeros(len(value), dtype=np.int64)
    for tally in tallies:
        part = tally.setting.reach > 0
        value += tally.mean()
        variance += tally.error() ** 2
        shots += np.where(part, tally.total, 0)
    return tuple(
        Estimate(value=float(each), stderr=float(math.sqrt(spread)) if number else 0.0, shots=int(number))
        for each, spread, number in zip(value, variance, shots, strict=True)
    )


def further(tallies: Sequence[Tally], precision: float) -> tuple[list[int], int]:
    """Return how many more shots of each setting, on how many more timelines, bring every observable to ``precision``.

    Half of the variance is left to what timelines differ by, where there are several. Shots are split between settings
    so that the observable that is furthest from its share gets there with the fewest (Neyman): in proportion to the
    deviation of its parts. Nothing more is asked for once all observables are there.
    """
    errors, plain = np.array([tally.error() for tally in tallies]), np.array([tally.shot_error() for tally in tallies])
    missed = (errors**2).sum(axis=0) > precision**2
    if not missed.any():
        return [0] * len(tallies), 0
    timelines = max(len(tally.shots) for tally in tallies)
    share = (0.5 if timelines > 1 else 1.0) * precision**2 / _MARGIN
    totals = np.array([tally.total for tally in tallies], dtype=np.float64)
    deviations = (plain * np.sqrt(totals)[:, None])[:, missed]
    wanted = (deviations * deviations.sum(axis=0)).max(axis=1) / share
    between = (errors**2 - plain**2)[:, missed].sum(axis=0).max()
    more = max(0, math.ceil(timelines * (float(between) / share - 1))) if timelines > 1 else 0
    # New timelines get as many shots as old ones: the mean is then that of all.
    shots = np.maximum(wanted - totals, more * totals / timelines)
    return [math.ceil(each) if each > 0 else 0 for each in shots.tolist()], more
