"""What exactly one click of two detectors behind a beam splitter says about the two arms that lead to it.

Both arms carry at most one photon of their emitter, lose it with some probability, and add thermal noise in its mode.
They meet on a 50:50 beam splitter with a detector at either output; a detector clicks or does not, and may click by
itself. The operator "this detector clicks and the other does not" conserves the number of photons, so five numbers
describe it on the states of interest.

Normally ordered, "the detectors of a set are dark" is :exp(-v† M v): over the arms' modes v = (a, b), with M half the
projector that the set sees. Loss scales a to √η a, noise adds a complex Gaussian of variance n, and the average is
:exp(-v† K v): / det(1 + N M), with K = √η (M⁻¹ + N)⁻¹ √η. On k photons it acts as the k-th symmetric power of 1 - K,
whence the permanent below.
"""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Clicks:
    """Return the matrix elements of "one given detector clicks, the other does not" between photon states of the arms.

    Args:
        vacuum: nobody emitted.
        a: A alone emitted.
        b: B alone emitted.
        both: both emitted.
        cross: between "A alone" and "B alone"; its sign is that of the detector, + for the one named c = (a + b)/√2.
    """

    vacuum: float
    a: float
    b: float
    both: float
    cross: float


def one_click(
    efficiency_a: float,
    efficiency_b: float,
    *,
    visibility: float = 1.0,
    dark: float = 0.0,
    noise_a: float = 0.0,
    noise_b: float = 0.0,
) -> Clicks:
    """Return the five matrix elements, exact in every argument.

    Args:
        efficiency_a: probability that a photon emitted by A is detected, were there no beam splitter.
        efficiency_b: the same for B.
        visibility: squared overlap of the two photons' wave packets, which is that of the Hong-Ou-Mandel dip.
        dark: probability of a dark count, per detector and detection window.
        noise_a: mean number of thermal photons that arm A brings to the detectors, in the mode of A's photon.
        noise_b: the same for B.
    """
    quiet = 1 - dark
    apart = (1 - visibility) / 4  # determinant of M for one detector; 0 when both arms are one mode to it
    # One detector dark: determinant of 1 + N M, then M' = (M^-1 + N)^-1.
    one = 1 + (noise_a + noise_b) / 2 + noise_a * noise_b * apart
    m_a, m_b = (0.5 + apart * noise_b) / one, (0.5 + apart * noise_a) / one
    m_cross = 0.5 * math.sqrt(visibility) / one
    # Both detectors dark: the arms do not mix.
    two = (1 + noise_a) * (1 + noise_b)
    k_a, k_b = 1 / (1 + noise_a), 1 / (1 + noise_b)

    # Differences of nearly equal numbers are taken by hand: dark counts of 1e-12 must survive.
    gained = (noise_a + noise_b) / 2 + noise_a * noise_b * (1 - apart)  # = two - one
    vacuum = quiet * (gained / (one * two) + dark / two)
    slope_a = quiet * (quiet * k_a / two - m_a / one) * efficiency_a
    slope_b = quiet * (quiet * k_b / two - m_b / one) * efficiency_b
    bend = quiet * ((m_a * m_b + m_cross**2) / one - quiet * k_a * k_b / two) * efficiency_a * efficiency_b
    return Clicks(
        vacuum=vacuum,
        a=vacuum + slope_a,
        b=vacuum + slope_b,
        both=vacuum + slope_a + slope_b + bend,
        cross=quiet * m_cross / one * math.sqrt(efficiency_a * efficiency_b),
    )
