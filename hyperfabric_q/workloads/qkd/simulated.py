"""One link of known pairs, without a fabric: measured, perhaps overheard, and distilled."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import ArrayLike

from hyperfabric_q import seeds
from hyperfabric_q.entanglement.state import check_fidelity, weights, werner
from hyperfabric_q.errors import InvalidValue
from hyperfabric_q.workloads.qkd.attacks import Attack
from hyperfabric_q.workloads.qkd.authentication import TAG_KEY_BYTES, AuthenticationKeys
from hyperfabric_q.workloads.qkd.key_report import KeyReport
from hyperfabric_q.workloads.qkd.rates import werner_error
from hyperfabric_q.workloads.qkd.sampling import Measured, measure
from hyperfabric_q.workloads.qkd.session import TAGS, Settings, distil

MOST_PAIRS: Final = 10**8


def simulate(
    fidelity: float,
    pairs: int,
    *,
    attack: Attack | None = None,
    settings: Settings | None = None,
    seed: int | None = None,
) -> KeyReport:
    """Return what two ends distil from so many Werner states.

    The size of the test is the best for the error rate of that fidelity, unless ``settings`` state their own.

    Args:
        fidelity: of each pair.
        pairs: how many.
        attack: None = nobody listens.
        settings: None = the defaults, expecting the error rate of the fidelity.
        seed: of everything.

    Raises:
        InvalidValue: the fidelity is not in [0.25, 1], or the number of pairs not in [1, 10^8].

    Cost: about a second per million pairs.
    """
    check_fidelity(fidelity)
    given: object = pairs
    whole = isinstance(given, int | np.integer) and not isinstance(given, bool)
    if not whole or not 1 <= pairs <= MOST_PAIRS:
        raise InvalidValue(field="pairs", value=pairs, rule=f"a whole number from 1 to {MOST_PAIRS:,} is measured")
    chosen = seeds.resolve(seed)
    if settings is None:
        settings = Settings(expected_error=float(werner_error(fidelity)))
    measured = measured_pairs(weights(werner(fidelity)), seed=chosen, attack=attack, pairs=pairs)
    return distil(measured, *simulated_keys(chosen, TAGS), settings=settings, attack=attack, seed=chosen)


def measured_pairs(
    pair_weights: ArrayLike, *, seed: int, attack: Attack | None = None, pairs: int | None = None
) -> Measured:
    """Return what both ends measure of pairs with these weights, after an attack on them.

    Raises:
        InvalidValue: see ``sampling.measure``.
    """
    arrived = np.asarray(pair_weights, dtype=np.float64)
    if attack is not None:
        arrived = attack.channel(arrived)
    found = measure(arrived, seeds.stream(seed, "qkd", "pairs"), pairs=pairs)
    return found if attack is None else attack.intercept(found, seeds.stream(seed, "qkd", "interception"))


def simulated_keys(seed: int, count: int) -> tuple[AuthenticationKeys, AuthenticationKeys]:
    """Return two copies of one-time keys for tags, drawn from a seed: simulated, not secret."""
    key = seeds.stream(seed, "qkd", "authentication").bytes(count * TAG_KEY_BYTES)
    return AuthenticationKeys(key), AuthenticationKeys(key)
