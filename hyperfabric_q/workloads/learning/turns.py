"""Gates that turn by an angle t: exp(-i t G / 2), with the generator G of each, and how its mean values depend on t."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import cache
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from hyperfabric_q.errors import InternalError

Matrix: TypeAlias = NDArray[np.complex128]
Floats: TypeAlias = NDArray[np.float64]

_X: Matrix = np.array([[0, 1], [1, 0]], dtype=np.complex128)
_Y: Matrix = np.array([[0, -1j], [1j, 0]], dtype=np.complex128)
_Z: Matrix = np.diag([1, -1]).astype(np.complex128)
_ONE: Matrix = np.diag([0, 1]).astype(np.complex128)


def _both(first: Matrix, second: Matrix) -> Matrix:
    """A product on two qubits; the first is the lowest digit of an index, hence the right factor."""
    return np.asarray(np.kron(second, first), dtype=np.complex128)


GENERATORS: Final[Mapping[str, Matrix]] = {
    "rx": _X,
    "ry": _Y,
    "rz": _Z,
    "p": -2 * _ONE,
    "rxx": _both(_X, _X),
    "ryy": _both(_Y, _Y),
    "rzz": _both(_Z, _Z),
    "rzx": _both(_Z, _X),
    "crx": _both(_ONE, _X),
    "cry": _both(_ONE, _Y),
    "crz": _both(_ONE, _Z),
    "cp": -2 * _both(_ONE, _ONE),
}
"""G of each gate by Qiskit's name; every other gate with an angle is made of these by its definition."""

_HALF: Final = math.pi / 2
_PLUS: Final = (math.sqrt(2) + 1) / (4 * math.sqrt(2))
_MINUS: Final = (math.sqrt(2) - 1) / (4 * math.sqrt(2))

Rule: TypeAlias = tuple[tuple[float, float], ...]
"""(shift, coefficient): the derivative is the sum of coefficient x mean value at the angle plus shift."""

_RULES: Final[Mapping[tuple[float, ...], Rule]] = {
    (1.0,): ((_HALF, 0.5), (-_HALF, -0.5)),
    (0.5, 1.0): ((_HALF, _PLUS), (-_HALF, -_PLUS), (3 * _HALF, -_MINUS), (-3 * _HALF, _MINUS)),
}


@cache
def _spectrum(name: str) -> tuple[Floats, Matrix]:
    values, vectors = np.linalg.eigh(GENERATORS[name])
    return values, vectors


def matrices(name: str, angles: Floats) -> Matrix:
    """Return the gate at each angle, shape (*angles.shape, d, d)."""
    values, vectors = _spectrum(name)
    phases = np.exp(-0.5j * angles[..., None] * values)
    return np.asarray((vectors * phases[..., None, :]) @ vectors.conj().T)


@cache
def frequencies(name: str) -> tuple[float, ...]:
    """Return the frequencies at which mean values can depend on the angle: gaps between the eigenvalues of G / 2."""
    values = np.unique(np.round(_spectrum(name)[0] / 2, 9))
    gaps = {round(float(high - low), 6) for low in values for high in values if high > low}
    return tuple(sorted(gaps))


def shift_rule(name: str) -> Rule:
    """Return the parameter-shift rule of a gate: two terms, or four where it is controlled.

    Exact for every observable, and under every noise that does not depend on the angle (Schuld et al.,
    doi:10.1103/PhysRevA.99.032331; four terms: Anselmetti et al., doi:10.1088/1367-2630/ac2cb3).
    """
    found = _RULES.get(frequencies(name))
    if found is None:
        raise InternalError(what=f"no shift rule is known for the gate {name!r}")
    return found
