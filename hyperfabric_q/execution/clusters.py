"""Error bars when shots share timelines.

The shots of one timeline share its errors, so they are not independent of one another; timelines are. The standard
error is therefore that of a mean over timelines (cluster-robust, a ratio estimator where shares differ in size), never
below that of independent shots. Few timelines know their own scatter badly: the error is widened by the ratio of
Student's 97.5 % quantile with K - 1 degrees of freedom to the normal one, so that value +- 1.96 errors covers 95 %.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import stdtrit

from hyperfabric_q.estimate import Estimate, proportion
from hyperfabric_q.execution.fidelity import Fidelity, hellinger_fidelity

_NORMAL: Final = 1.959963984540054


def widening(clusters: int) -> float:
    """Return the ratio of Student's to the normal 97.5 % quantile for that many timelines; 1 for a single one."""
    return float(stdtrit(clusters - 1, 0.975)) / _NORMAL if clusters > 1 else 1.0


def mean_error(totals: ArrayLike, shots: ArrayLike) -> float:
    """Return the widened standard error of sum(totals) / sum(shots) over timelines; 0 for a single one.

    Args:
        totals: sum over the shots of each timeline, (timelines,).
        shots: how many those are.
    """
    sums, sizes = np.asarray(totals, dtype=np.float64), np.asarray(shots, dtype=np.float64)
    clusters, every = len(sums), sizes.sum()
    if clusters < 2:
        return 0.0
    rest = sums - sums.sum() / every * sizes
    return widening(clusters) * math.sqrt(clusters / (clusters - 1) * float(rest @ rest)) / float(every)


def proportion_over(hits: Sequence[int], shots: Sequence[int]) -> Estimate:
    """Return the share of hits over all timelines, with its cluster-robust standard error.

    >>> str(proportion_over([100], [100]))
    '1.0000 ± 0.0069'
    """
    plain = proportion(sum(hits), sum(shots))
    return Estimate(value=plain.value, stderr=max(plain.stderr, mean_error(hits, shots)), shots=plain.shots)


def jackknife(without: ArrayLike) -> float:
    """Return the widened standard error of a figure from its values with each timeline left out once."""
    values = np.asarray(without, dtype=np.float64)
    clusters = len(values)
    if clusters < 2:
        return 0.0
    rest = values - values.mean()
    return widening(clusters) * math.sqrt((clusters - 1) / clusters * float(rest @ rest))


def fidelity_over(
    counts: Mapping[str, int], clusters: Sequence[Mapping[str, int]], ideal: Mapping[str, float], *, seed: int
) -> Fidelity:
    """Return the Hellinger fidelity of counts to a distribution; its bar holds what timelines differ by.

    Args:
        counts: of all timelines.
        clusters: of each; empty if there is one.
        ideal: the distribution.
        seed: of the bootstrap.
    """
    plain = hellinger_fidelity(counts, ideal, seed=seed)
    if len(clusters) < 2:
        return plain
    without = []
    for left_out in clusters:
        rest = {key: hits - left_out.get(key, 0) for key, hits in counts.items()}
        shots = sum(rest.values())
        overlap = sum(math.sqrt(hits / shots * ideal.get(key, 0.0)) for key, hits in rest.items())
        without.append(min(1.0, overlap**2))
    return replace(plain, stderr=max(plain.stderr, jackknife(without) / plain.perfect))
