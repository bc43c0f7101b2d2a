"""Weather on a sphere: the barotropic vorticity equation over mountains, in spherical harmonics.

The flow is that of one layer: with psi its stream function and zeta = laplace psi its vorticity,

    d zeta / dt = -J(psi, zeta + f + f h / H) - drag (zeta - zeta*) - nu laplace^4 zeta.

Lengths are in Earth radii and times in 1 / Omega, so that f = 2 mu with mu the sine of latitude, and a day is 2 pi. The
advection is worked out on a Gaussian grid that is free of aliasing (Orszag, J. Atmos. Sci. 27, 890, 1970).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Waves = NDArray[np.complex128]

DAY: Final = 2 * np.pi
METRES: Final = 1e-4 * 6.371e6**2 * 7.292e-5 / 9.81
"""Height of the 500 hPa surface in metres of stream function 1, geostrophic at 43 degrees: f psi / g."""

JET: Final = 25 / 465.1 / 0.1859
"""25 m/s in units of the equator's speed, over the largest value of mu^2 (1 - mu^2)^1.5, at 39 degrees."""

MOUNTAINS: Final = (
    (33.0, 90.0, 18.0, 9.0, 0.45),
    (43.0, -110.0, 10.0, 14.0, 0.25),
    (-25.0, -68.0, 7.0, 20.0, 0.25),
    (72.0, -40.0, 14.0, 9.0, 0.25),
    (-80.0, 90.0, 60.0, 12.0, 0.3),
)
"""Degrees north and east, widths east and north in degrees, height in units of the layer's 10 km."""


@dataclass(frozen=True, eq=False)
class Sphere:
    """Spherical harmonics up to a triangular truncation, and their Gaussian grid."""

    truncation: int

    @cached_property
    def nodes(self) -> tuple[Array, Array]:
        """Sines of the grid's latitudes, and their weights."""
        return np.polynomial.legendre.leggauss((3 * self.truncation + 2) // 2)

    @property
    def shape(self) -> tuple[int, int]:
        """Latitudes and longitudes of the grid."""
        return len(self.nodes[0]), 3 * self.truncation + 3

    @cached_property
    def degrees(self) -> Array:
        """N of each coefficient, shape (m, n)."""
        return np.broadcast_to(np.arange(self.truncation + 1.0), (self.truncation + 1,) * 2)

    @cached_property
    def _tables(self) -> tuple[Array, Array]:
        """Normalised associated Legendre functions and their derivatives by mu, shape (m, n, latitude)."""
        mu, _ = self.nodes
        top = self.truncation + 2
        values = np.zeros((top, top + 1, len(mu)))
        ratio = np.zeros((top, top + 2))
        for m in range(top):
            every = np.arange(m, top + 2)
            ratio[m, m:] = np.sqrt((every**2 - m**2) / (4.0 * every**2 - 1))
        values[0, 0] = 1
        for m in range(top):
            if m:
                values[m, m] = np.sqrt((2 * m + 1) / (2 * m) * (1 - mu**2)) * values[m - 1, m - 1]
            for n in range(m + 1, top + 1):
                below = ratio[m, n - 1] * values[m, n - 2] if n > m + 1 else 0.0
                values[m, n] = (mu * values[m, n - 1] - below) / ratio[m, n]
        kept = self.truncation + 1
        slopes = np.zeros((kept, kept, len(mu)))
        for m in range(kept):
            for n in range(m, kept):
                below = values[m, n - 1] if n else 0.0
                slopes[m, n] = (n + 1) * ratio[m, n] * below - n * ratio[m, n + 1] * values[m, n + 1]
        return values[:kept, :kept], slopes / (1 - mu**2)

    def grid(self, waves: Waves, *, slope: bool = False) -> Array:
        """Return a field, or its derivative by mu, on the grid: (..., m, n) -> (..., latitude, longitude)."""
        table = self._tables[int(slope)]
        rows = np.matmul(waves[..., None, :], table)[..., 0, :]
        return np.asarray(np.fft.irfft(np.swapaxes(rows, -1, -2), n=self.shape[1], axis=-1) * self.shape[1])

    def waves(self, field: Array) -> Waves:
        """Return the coefficients of a field on the grid."""
        rows = np.fft.rfft(field, axis=-1)[..., : self.truncation + 1] / self.shape[1]
        weighted = np.swapaxes(rows * self.nodes[1][:, None] / 2, -1, -2)
        return np.asarray(np.matmul(weighted[..., None, :], np.swapaxes(self._tables[0], -1, -2))[..., 0, :])

    def eastward(self, waves: Waves) -> Waves:
        """Return the derivative by longitude."""
        return np.asarray(1j * np.arange(self.truncation + 1)[:, None] * waves)

    def stream(self, vorticity: Waves) -> Waves:
        """Return the stream function of a vorticity; both have no mean."""
        scale = np.where(self.degrees > 0, -1 / np.maximum(self.degrees * (self.degrees + 1), 1), 0)
        return np.asarray(vorticity * scale)

    def jacobian(self, psi: Waves, other: Waves) -> Array:
        """Return J(psi, other) on the grid: how fast the flow carries ``other`` past every point."""
        return np.asarray(
            self.grid(self.eastward(psi)) * self.grid(other, slope=True)
            - self.grid(psi, slope=True) * self.grid(self.eastward(other))
        )

    def mean_square(self, field: Array) -> Array:
        """Return the mean of the square over the sphere, of fields (..., latitude, longitude)."""
        return np.asarray(np.einsum("...jk,j->...", field**2, self.nodes[1]) / (2 * self.shape[1]))

    @cached_property
    def orography(self) -> Waves:
        """Height of the ground in units of the layer's."""
        north = np.degrees(np.arcsin(self.nodes[0]))[:, None]
        east = np.arange(self.shape[1]) * 360 / self.shape[1]
        high = np.zeros(self.shape)
        for lat, lon, wide, deep, top in MOUNTAINS:
            along = (east - lon + 180) % 360 - 180
            high += top * np.exp(-((along / wide) ** 2) / 2 - ((north - lat) / deep) ** 2 / 2)
        return self.waves(high)

    @cached_property
    def planetary(self) -> Waves:
        """The vorticity f of the turning Earth."""
        return self.waves(np.broadcast_to(2 * self.nodes[0][:, None], self.shape))

    @cached_property
    def over_mountains(self) -> Waves:
        """What mountains add to the potential vorticity: f h / H."""
        return self.waves(self.grid(self.planetary) * self.grid(self.orography))

    @cached_property
    def jets(self) -> Waves:
        """The vorticity of two westerly jets, 25 m/s at 39 degrees, that the flow relaxes to."""
        mu = self.nodes[0][:, None]
        stream = -JET * (mu**3 / 3 - mu**5 / 5)  # so that the wind is JET mu^2 (1 - mu^2)^1.5
        waves = self.waves(np.broadcast_to(stream, self.shape))
        return np.asarray(-self.degrees * (self.degrees + 1) * waves)


@dataclass(frozen=True, slots=True, kw_only=True)
class Physics:
    """What a centre's model believes.

    Attributes:
        mountains: height, in units of the real one.
        drag_days: in which the flow relaxes to the jets.
        damping_hours: in which the smallest waves die away.
    """

    mountains: float = 1.0
    drag_days: float = 8.0
    damping_hours: float = 6.0


def forecast(
    sphere: Sphere, vorticity: Waves, believes: list[Physics], days: float, *, steps_per_day: int = 24
) -> Waves:
    """Return vorticities some days later, (..., m, n) -> (beliefs, ..., m, n), by Runge-Kutta steps of fourth order."""
    ends = (len(believes),) + (1,) * vorticity.ndim
    mountains = np.array([each.mountains for each in believes]).reshape(ends) * sphere.over_mountains
    drag = np.array([1 / (each.drag_days * DAY) for each in believes]).reshape(ends)
    rate = np.array([24 / (each.damping_hours * DAY) for each in believes]).reshape(ends)
    top = sphere.truncation * (sphere.truncation + 1)
    loss = drag + rate * (sphere.degrees * (sphere.degrees + 1) / top) ** 4
    step = DAY / steps_per_day

    def tendency(zeta: Waves) -> Waves:
        carried = sphere.jacobian(sphere.stream(zeta), zeta + sphere.planetary + mountains)
        return np.asarray(drag * sphere.jets - loss * zeta - sphere.waves(carried))

    state = np.broadcast_to(vorticity, (len(believes), *vorticity.shape)).astype(np.complex128)
    for _ in range(round(days * steps_per_day)):
        one = tendency(state)
        two = tendency(state + step / 2 * one)
        three = tendency(state + step / 2 * two)
        four = tendency(state + step * three)
        state = state + step / 6 * (one + 2 * two + 2 * three + four)
    return np.asarray(state)
