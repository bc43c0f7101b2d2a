"""How low an energy can be at all: lower bounds that hold whatever the solver of the auxiliary problem did.

Three are computed, and the highest stands:

* **split**: each coupling is cut in two halves, one per variable (O(couplings)).
* **roof dual**: the best such cut, found by a linear program. Any cut gives a valid bound, so the one that HiGHS
  returns is put in and added up anew: an inaccurate or unfinished solution weakens the bound and cannot make it wrong.
  (Hammer, Hansen and Simeone, Mathematical Programming 28 (1984) 121.)
* **spectral**: the problem as yᵀMy over N signs. It equals yᵀ(M + diag u)y - sum u, which is at least
  N·λmin(M + diag u) - sum u for every u. The best u is the dual of the semidefinite relaxation (Poljak and Rendl,
  SIAM J. Optim. 5 (1995) 467); here it is what a smoothed ascent reaches, and again any u is valid.

Each is lowered by a bound on its own rounding.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linprog, minimize
from scipy.sparse import coo_array, eye_array, hstack
from scipy.special import logsumexp

from hyperfabric_q.workloads.annealing.problems import BQM

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

MOST_IN_PROGRAM: Final = 6_000
"""Couplings up to which the linear program is solved: about a second."""

MOST_IN_SPECTRUM: Final = 500
"""Variables up to which the spectral bound is computed."""

_SPECTRAL_WORK: Final = 3e9
"""Entries of matrices, cubed, that the ascent may take: 90 steps for 300 variables, 24 for 500."""
_EPS: Final = float(np.finfo(float).eps)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bound:
    """A number below which no energy is, and ``by`` which argument.

    Attributes:
        value: the number.
        by: "enumeration", "tree decomposition", "spectral", "roof dual" or "split".
    """

    value: float
    by: str

    @property
    def attained(self) -> bool:
        """Whether an assignment with just this energy is known: then it is the optimum, up to rounding."""
        return self.by in CERTAIN


CERTAIN: Final = frozenset({"enumeration", "tree decomposition"})


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sparse:
    """A QUBO as flat arrays: linear weights (n,), and couplings (m,) of pairs."""

    linear: Floats
    rows: Ints
    columns: Ints
    weights: Floats
    offset: float

    @property
    def scale(self) -> float:
        """Rounding of a sum over all terms, at most."""
        total = abs(self.offset) + np.abs(self.linear).sum() + 2 * np.abs(self.weights).sum()
        return float(_EPS * (len(self.linear) + 2 * len(self.weights) + 8) * total)


def _sparse(bqm: BQM) -> _Sparse:
    vectors = bqm.binary.to_numpy_vectors(variable_order=list(bqm.variables))
    rows, columns, weights = vectors.quadratic
    keep = weights != 0
    return _Sparse(
        linear=np.array(vectors.linear_biases, dtype=np.float64),
        rows=np.asarray(rows[keep], dtype=np.int64),
        columns=np.asarray(columns[keep], dtype=np.int64),
        weights=np.asarray(weights[keep], dtype=np.float64),
        offset=float(vectors.offset),
    )


def lower_bound(bqm: BQM) -> Bound:
    """Return the highest of the lower bounds that are affordable for a problem of this size.

    Cost: up to about two seconds, at the limits ``MOST_IN_PROGRAM`` and ``MOST_IN_SPECTRUM``.
    """
    return max(all_bounds(bqm), key=lambda each: each.value)


def all_bounds(bqm: BQM) -> tuple[Bound, ...]:
    """Return every bound that is affordable."""
    problem = _sparse(bqm)
    found = [Bound(value=_cut_value(problem, np.where(problem.weights < 0, 0.5, 0.0)), by="split")]
    if 0 < len(problem.weights) <= MOST_IN_PROGRAM:
        found.append(Bound(value=_roof_dual(problem), by="roof dual"))
    if len(problem.weights) and len(problem.linear) <= MOST_IN_SPECTRUM:
        found.append(Bound(value=_spectral(problem), by="spectral"))
    return tuple(found)


# ------------------------------------------------------------------------------------------------------------ roof dual


def _cut_value(problem: _Sparse, share: Floats) -> float:
    """Return the bound of a cut of every coupling, shares (m,) in [0, 1]; valid for all of them.

    A negative coupling w·x·y is at least w·(t·x + (1 - t)·y), a positive one at least w·t·(x + y - 1).
    """
    negative = problem.weights < 0
    part = problem.weights * share
    rest = np.where(negative, problem.weights - part, part)
    single = problem.linear.copy()
    np.add.at(single, problem.rows, part)
    np.add.at(single, problem.columns, rest)
    constant = problem.offset - part[~negative].sum()
    return float(constant + np.minimum(single, 0).sum() - problem.scale)


def _roof_dual(problem: _Sparse) -> float:
    """Return the bound of the best cut as far as HiGHS found it."""
    count, pairs = len(problem.linear), len(problem.weights)
    negative = problem.weights < 0
    number = np.arange(pairs)
    # What one unit of a share adds to the linear weight of either end.
    entries = np.concatenate([problem.weights, np.where(negative, -problem.weights, problem.weights)])
    gain = coo_array((entries, (np.concatenate([problem.rows, problem.columns]), np.tile(number, 2))), (count, pairs))
    fixed = problem.linear.copy()
    np.add.at(fixed, problem.columns[negative], problem.weights[negative])
    # Maximise sum z - sum of w·t over the positive couplings, where z is at most 0 and at most the linear weight.
    objective = np.concatenate([np.where(negative, 0.0, problem.weights), -np.ones(count)])
    bounds: Any = np.concatenate([np.tile([0.0, 1.0], (pairs, 1)), np.tile([-np.inf, 0.0], (count, 1))])
    matrix: Any = hstack([-gain, eye_array(count)], format="csr")
    solved = linprog(objective, A_ub=matrix, b_ub=fixed, bounds=bounds, method="highs")
    share = np.where(negative, 0.5, 0.0) if solved.x is None else np.clip(solved.x[:pairs], 0.0, 1.0)
    return _cut_value(problem, np.nan_to_num(share, nan=0.0))


# ------------------------------------------------------------------------------------------------------------- spectral


def _spectral(problem: _Sparse) -> float:
    """Return N·λmin(M + diag u) - sum u for a good u, lowered by its rounding; the signs are 1 and 2x - 1."""
    count = len(problem.linear)
    size = count + 1
    matrix = np.zeros((size, size))
    np.add.at(matrix, (problem.rows + 1, problem.columns + 1), problem.weights / 8)
    fields = problem.linear / 2
    np.add.at(fields, problem.rows, problem.weights / 4)
    np.add.at(fields, problem.columns, problem.weights / 4)
    matrix[0, 1:] = fields / 2
    matrix += matrix.T
    constant = problem.offset + problem.linear.sum() / 2 + problem.weights.sum() / 4
    scale = float(np.abs(matrix).max()) or 1.0
    best = _ascent(matrix / scale, int(np.clip(_SPECTRAL_WORK / size**3, 6, 90))) * scale
    lowest = np.linalg.eigvalsh(matrix + np.diag(best))[0]
    # LAPACK's symmetric eigenvalues are off by a small multiple of eps times the norm.
    norm = float(np.linalg.norm(matrix, 2) + np.abs(best).max())
    slack = size * 32 * size * _EPS * norm + 2 * size * _EPS * float(np.abs(best).sum()) + problem.scale
    return float(constant + size * lowest - best.sum() - slack)


def _ascent(matrix: Floats, steps: int) -> Floats:
    """Return a u at which N·λmin(M + diag u) - sum u is high: smoothed minima, ever sharper, by L-BFGS."""
    size = len(matrix)
    start = np.abs(matrix).sum(axis=1)
    for width in (0.1, 0.02, 0.004):
        soft = width * float(np.linalg.norm(matrix) / np.sqrt(size))

        def fall(u: Floats, soft: float = soft) -> tuple[float, Floats]:
            values, vectors = np.linalg.eigh(matrix + np.diag(u))
            total = logsumexp(-values / soft)
            weights = np.exp(-values / soft - total)
            return float(size * soft * total + u.sum()), 1 - size * (vectors**2 @ weights)

        found = minimize(fall, start, jac=True, method="L-BFGS-B", options={"maxiter": max(steps // 3, 2)})
        start = found.x
    return np.asarray(start, dtype=np.float64)
