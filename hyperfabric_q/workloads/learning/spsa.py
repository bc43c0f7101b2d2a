"""Derivatives from few circuits: differences along random directions (SPSA, Spall, doi:10.1109/9.119632)."""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hyperfabric_q.errors import InvalidValue
from hyperfabric_q.seeds import stream
from hyperfabric_q.workloads.learning.turns import Floats

MOST_DIRECTIONS: Final = 100_000


def check_options(directions: object, step: object) -> None:
    """Do nothing where there are enough directions to tell how much they scatter, and a step that is one.

    Raises:
        InvalidValue: elsewhere.
    """
    whole = isinstance(directions, int | np.integer) and not isinstance(directions, bool)
    if not whole or not 2 <= directions <= MOST_DIRECTIONS:  # type: ignore[operator]
        rule = f"it is a whole number from 2 to {MOST_DIRECTIONS:,}: one direction alone has no standard error"
        raise InvalidValue(field="directions", value=directions, rule=rule)
    number = isinstance(step, int | float) and not isinstance(step, bool)
    if not number or not 0 < step < math.inf:  # type: ignore[operator]
        raise InvalidValue(field="step", value=step, rule="it is a finite number above zero, in radians")


def directions_of(count: int, parameters: int, moved: NDArray[np.int64], seed: int) -> Floats:
    """Return random signs of the parameters that move and 0 of the others, shape (count, parameters)."""
    signs = np.zeros((count, parameters))
    signs[:, moved] = stream(seed, "signs").choice([-1.0, 1.0], size=(count, len(moved)))
    return signs


def slopes_along(ends: Floats, signs: Floats, step: float) -> tuple[Floats, Floats]:
    """Return derivatives and the variances of these means over directions, both of shape (B, m, P).

    What directions differ by holds the scatter of their shots as well.

    Args:
        ends: mean values ahead and behind, shape (B, directions, 2, m).
        signs: of each direction, shape (directions, P); 1 / sign is the sign itself.
        step: in each parameter.
    """
    differences = (ends[:, :, 0] - ends[:, :, 1]) / (2 * step)
    each = differences[..., None] * signs[None, :, None, :]
    return each.mean(axis=1), each.var(axis=1, ddof=1) / len(signs)
