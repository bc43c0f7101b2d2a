"""Error bars when shots share timelines.

The shots of one timeline share its errors, so they are not independent of one another; timelines are, or they are taken
two by two from parts of like timelines (``timelines.strata``). The standard error is therefore that of a mean over
timelines, from what the two of each pair differ by (cluster-robust, stratified; a ratio estimator where shares differ
in size), and never below that of independent shots. It holds for timelines that are simply independent too, with half
the degrees of freedom; where only some timelines were finished, ``paired=False`` takes them for such.

Few timelines know their own scatter badly: the error is widened by the ratio of Student's 97.5 % quantile, with the
degrees of freedom that there are, to the normal one, so that value +- 1.96 errors covers 95 %.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import stdtrit

from hyperfabric_q.estimate import Estimate, proportion
from hyperfabric_q.execution.fidelity import Fidelity, hellinger_fidelity

Floats = NDArray[np.float64]

_NORMAL: Final = 1.959963984540054


def widening(degrees: int) -> float:
    """Return the ratio of Student's to the normal 97.5 % quantile for that many degrees of freedom; 1 for none."""
    return float(stdtrit(degrees, 0.975)) / _NORMAL if degrees > 0 else 1.0


def mean_error(totals: ArrayLike, shots: ArrayLike, *, paired: bool = True) -> float:
    """Return the widened standard error of sum(totals) / sum(shots) over timelines; 0 for a single one.

    Args:
        totals: sum over the shots of each timeline, (timelines,).
        shots: how many those are.
        paired: whether timelines stand in pairs, the last three together if their number is odd.
    """
    sums, sizes = np.asarray(totals, dtype=np.float64), np.asarray(shots, dtype=np.float64)
    every = sizes.sum()
    if len(sums) < 2:
        return 0.0
    squares, degrees = _within(sums - sums.sum() / every * sizes, paired=paired)
    return widening(degrees) * math.sqrt(squares) / float(every)


def _within(values: Floats, *, paired: bool) -> tuple[float, int]:
    """Return the variance of the sum of values whose parts have means of their own, and its degrees of freedom."""
    count = len(values)
    cuts = range(2, count - 1, 2) if paired else ()
    parts = np.split(values, list(cuts))
    squares = sum(len(part) / (len(part) - 1) * float(((part - part.mean()) ** 2).sum()) for part in parts)
    return squares, count - len(parts)


def proportion_over(hits: Sequence[int], shots: Sequence[int], *, paired: bool = True) -> Estimate:
    """Return the share of hits over all timelines, with its cluster-robust standard error.

    >>> str(proportion_over([100], [100]))
    '1.0000 ± 0.0069'
    """
    plain = proportion(sum(hits), sum(shots))
    return Estimate(
        value=plain.value, stderr=max(plain.stderr, mean_error(hits, shots, paired=paired)), shots=plain.shots
    )


def jackknife(without: ArrayLike, *, paired: bool = True) -> float:
    """Return the widened standard error of a figure from its values with each timeline left out once."""
    values = np.asarray(without, dtype=np.float64)
    count = len(values)
    if count < 2:
        return 0.0
    squares, degrees = _within(values, paired=paired)
    return widening(degrees) * math.sqrt(squares) * (count - 1) / count


def fidelity_over(
    counts: Mapping[str, int],
    clusters: Sequence[Mapping[str, int]],
    ideal: Mapping[str, float],
    *,
    seed: int,
    paired: bool = True,
) -> Fidelity:
    """Return the Hellinger fidelity of counts to a distribution; its bar holds what timelines differ by.

    Args:
        counts: of all timelines.
        clusters: of each; empty if there is one.
        ideal: the distribution.
        seed: of the bootstrap.
        paired: as for ``mean_error``.
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
    return replace(plain, stderr=max(plain.stderr, jackknife(without, paired=paired) / plain.perfect))
