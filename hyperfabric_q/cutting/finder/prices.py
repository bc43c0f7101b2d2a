"""What cuts cost, in logarithms of the sampling overhead gamma².

Gates cut between the same two parts are priced together, gamma = 2 prod_g s_g - 1 with s_g = (sum |u|)² over the Pauli
coefficients u of the gate's KAK form (Schmitt, Piveteau and Sutter 2023). With x = sum_g ln s_g that is
ln gamma² = 2 ln(2 e^x - 1): rising, concave, 0 at x = 0, slope 4 there and 2 far out. A wire costs gamma = 4.
"""

from __future__ import annotations

import math
from typing import Any

from hyperfabric_q.cutting.gates import schmidt_sum
from hyperfabric_q.errors import InvalidValue, UnsupportedOperation

WIRE_GAMMA = 4.0
"""A wire cut with local operations only, nothing carried from one side to the other (Peng et al. 2020)."""

WIRE = 2 * math.log(WIRE_GAMMA)

UNIT = 2.0**-30
"""Searches add prices up as whole numbers of this unit, so that a sum does not depend on its order."""

LOCAL = 1e-12
"""Gates whose s exceeds 1 by no more are products of one-qubit gates and cost nothing."""


def joint(x: float) -> float:
    """Return ln gamma² of gates between one pair of parts taken together, from x = sum_g ln s_g."""
    return 2 * (x + math.log(2 - math.exp(-x)))


def joint_inverse(price: float) -> float:
    """Return the x with ``joint(x) == price``."""
    return math.log((math.exp(price / 2) + 1) / 2)


def log_schmidt_sum(operation: Any) -> float | None:
    """Return ln s of a two-qubit gate, at the worst angle where its angle is not bound; None if it cannot be cut."""
    try:
        s = schmidt_sum(operation)
    except (UnsupportedOperation, InvalidValue):
        return None
    return math.log(s) if s > 1 + LOCAL else 0.0


def separate(log_s: float) -> float:
    """Return ln gamma² of one gate cut by itself, gamma = 2 s - 1."""
    return joint(log_s)
