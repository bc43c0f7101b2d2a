"""What is wrong with the mean forecast of all centres, learnt from past days: by a circuit's kernel and without one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from qiskit import QuantumCircuit
from qiskit.circuit import ParameterVector

import hyperfabric_q as hq
from hyperfabric_q.scenarios.climate.model import METRES, Array, Physics, Sphere, Waves, forecast

SPHERE: Final = Sphere(12)
STEPS: Final = 12
LEAD_DAYS: Final = 2
SPIN_UP_DAYS: Final = 3
FEATURES: Final = 4
LEARNT: Final = 400
"""Points of past days, at most, that a correction is learnt from."""

CENTRES: Final = {
    "ncar": Physics(mountains=0.6, drag_days=8),
    "ecmwf": Physics(mountains=1.1, drag_days=12),
    "jma": Physics(mountains=0.8, drag_days=5),
    "bom": Physics(mountains=0.7, drag_days=14, damping_hours=3),
}
"""What each centre's model believes; the weather itself has mountains of 1.0 and a drag of 8 days."""

SHOTS: Final = 1000
"""Of each entry of the kernel matrix."""

_ROWS, _COLUMNS = slice(1, None, 2), slice(None, None, 4)
Kernel = Callable[[Array, Array], Array]


def points(field: Array) -> Array:
    """Return a field where it is corrected: every second latitude and fourth longitude, (..., points)."""
    found = field[..., _ROWS, _COLUMNS]
    return np.asarray(found.reshape(*field.shape[:-2], -1))


def height(vorticity: Waves) -> Array:
    """Return the height of the 500 hPa surface in metres on the grid, but for its mean."""
    return SPHERE.grid(SPHERE.stream(vorticity)) * METRES


def weathers(days: int, rng: np.random.Generator) -> Waves:
    """Return the vorticity of unrelated days, shape (days, m, n): waves of all kinds, left alone for three days."""
    shape = (days, SPHERE.truncation + 1, SPHERE.truncation + 1)
    waves = _drawn(shape, rng) * np.where((SPHERE.degrees >= 3) & (SPHERE.degrees <= 10), 0.021, 0)
    return np.asarray(forecast(SPHERE, SPHERE.jets + waves, [Physics()], SPIN_UP_DAYS, steps_per_day=STEPS)[0])


def observed(vorticity: Waves, rng: np.random.Generator) -> Waves:
    """Return what an analysis makes of it: each wave of the stream function is a little wrong, some 3 m in all."""
    scale = 2.5e-5 * (SPHERE.degrees + 1) * (SPHERE.degrees > 0)
    return np.asarray(vorticity + _drawn(vorticity.shape, rng) * scale)


def predicted(analysis: Waves, centres: tuple[str, ...]) -> Array:
    """Return the heights that centres predict two days ahead, (centre, ..., latitude, longitude)."""
    beliefs = [CENTRES[each] for each in centres]
    return height(forecast(SPHERE, analysis, beliefs, LEAD_DAYS, steps_per_day=STEPS))


def came_true(vorticity: Waves) -> Array:
    """Return the heights two days later."""
    return height(forecast(SPHERE, vorticity, [Physics()], LEAD_DAYS, steps_per_day=STEPS)[0])


def raw_features(analysis: Waves) -> Array:
    """Return four numbers at each point, (..., points, 4).

    They are how mountains lift and lower the height, its distance from the jets' equilibrium, wind, and latitude.
    """
    stream = SPHERE.stream(analysis)
    lifted = SPHERE.grid(SPHERE.stream(SPHERE.waves(SPHERE.jacobian(stream, SPHERE.over_mountains))))
    apart = SPHERE.grid(stream - SPHERE.stream(SPHERE.jets))
    wind = SPHERE.grid(stream, slope=True)
    latitude = np.broadcast_to(SPHERE.nodes[0][:, None], wind.shape)
    return np.stack([points(each) for each in (lifted, apart, wind, latitude)], axis=-1)


def feature_map(scale: float) -> QuantumCircuit:
    """Return a circuit of four qubits that four features turn twice: RX, a ring of CZ, RY."""
    values = ParameterVector("x", FEATURES)
    circuit = QuantumCircuit(FEATURES)
    for _ in range(2):
        for qubit, value in enumerate(values):
            circuit.rx(scale * value, qubit)
        for qubit in range(FEATURES):
            circuit.cz(qubit, (qubit + 1) % FEATURES)
        for qubit, value in enumerate(values):
            circuit.ry(scale * value, qubit)
    return circuit


@dataclass(frozen=True, eq=False)
class Ridge:
    """Kernel ridge regression.

    Attributes:
        kernel: of two sets of rows.
        rows: that it was learnt from.
        weights: of each.
        setting: what was chosen, by days that were held back.
    """

    kernel: Kernel
    rows: Array
    weights: Array
    setting: tuple[float, float]

    def __call__(self, rows: Array) -> Array:
        """Return the correction in metres of rows of features."""
        return np.asarray(self.kernel(rows, self.rows) @ self.weights)

    @classmethod
    def learnt(cls, make: Callable[[float], Kernel], scales: tuple[float, ...], rows: Array, errors: Array) -> Ridge:
        """Return the ridge regression whose scale and ridge do best on the last quarter of the rows."""
        split = 3 * len(rows) // 4
        best, found = np.inf, (scales[0], 1.0)
        for scale in scales:
            whole = make(scale)(rows, rows)
            for ridge in (1e-3, 1e-2, 1e-1, 1.0, 10.0):
                weights = np.linalg.solve(whole[:split, :split] + ridge * np.eye(split), errors[:split])
                left = float(np.mean((whole[split:, :split] @ weights - errors[split:]) ** 2))
                if left < best:
                    best, found = left, (scale, ridge)
        return cls.of(make(found[0]), found, rows, errors)

    @classmethod
    def of(cls, kernel: Kernel, setting: tuple[float, float], rows: Array, errors: Array) -> Ridge:
        """Return the ridge regression of a kernel and a ridge that are chosen already."""
        weights = np.linalg.solve(kernel(rows, rows) + setting[1] * np.eye(len(rows)), errors)
        return cls(kernel, rows, np.asarray(weights, dtype=np.float64), setting)


class Corrections:
    """Corrections of the mean forecast, learnt from days that are past."""

    def __init__(self, days: int, rng: np.random.Generator) -> None:
        """Predict so many past days once more, and learn what was wrong."""
        truth = weathers(days, rng)
        analysis = observed(truth, rng)
        wrong = points(came_true(truth) - predicted(analysis, tuple(CENTRES)).mean(axis=0))
        raw = raw_features(analysis)
        self.centre, self.spread = raw.mean(axis=(0, 1)), raw.std(axis=(0, 1))
        flat = wrong.size
        chosen = np.sort(rng.choice(flat, size=min(LEARNT, flat), replace=False))
        rows, errors = self.angles(analysis).reshape(-1, FEATURES)[chosen], wrong.ravel()[chosen]
        self.plane = np.linalg.lstsq(np.hstack([rows, np.ones((len(rows), 1))]), errors, rcond=None)[0]
        self.gaussian = Ridge.learnt(_gaussian, (1.5, 2.0, 3.0, 4.0, 8.0), rows, errors)
        self.quantum = Ridge.learnt(_exact, (0.1, 0.15, 0.2, 0.3, 0.4), rows, errors)
        scale, ridge = self.quantum.setting
        kernel = hq.learning.QuantumKernel(feature_map(scale), shots=SHOTS, seed=int(rng.integers(1 << 31)))
        # What shots scatter by would be learnt as if it were the weather: a larger ridge forbids that.
        setting = (scale, max(ridge, 1.0))
        self.by_shots = Ridge.of(lambda a, b: kernel(a, None if a is b else b), setting, rows, errors)

    def angles(self, analysis: Waves) -> Array:
        """Return the features at each point in units of their spread over past days: what the QPU gets."""
        return np.asarray((raw_features(analysis) - self.centre) / self.spread)

    def linear(self, rows: Array) -> Array:
        """Return the correction of the best plane."""
        return np.asarray(rows @ self.plane[:-1] + self.plane[-1])


def _gaussian(width: float) -> Kernel:
    return lambda a, b: np.asarray(np.exp(-((a[:, None] - b[None]) ** 2).sum(axis=2) / (2 * width**2)))


def _exact(scale: float) -> Kernel:
    return hq.learning.QuantumKernel(feature_map(scale))


def _drawn(shape: tuple[int, ...], rng: np.random.Generator) -> Waves:
    """Return random coefficients of a real field."""
    waves = np.asarray(rng.normal(size=shape) + 1j * rng.normal(size=shape), dtype=np.complex128) * np.tri(shape[-1]).T
    waves[..., 0, :] = waves[..., 0, :].real
    return np.asarray(waves, dtype=np.complex128)
