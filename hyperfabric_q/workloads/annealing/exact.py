"""Certain answers: every assignment looked at, or a problem so sparse that it falls apart along a tree.

Enumeration doubles: the energies of k + 1 variables are those of k variables, and those plus what the new one adds. So
each of the 2ⁿ energies costs one addition, and its own field one more. Blocks of 2¹⁸ assignments keep it in the cache.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import dimod
import numpy as np
from dwave.samplers import TreeDecompositionSolver, tree
from numpy.typing import NDArray

from hyperfabric_q.errors import SimulationRefused
from hyperfabric_q.workloads.annealing.problems import BQM

Floats = NDArray[np.float64]

MOST_ENUMERATED: Final = 24
"""Variables up to which every assignment is looked at: 16.8 million, about a second."""

WIDEST_TREE: Final = 18
"""Treewidth up to which a sparse problem is eliminated along a tree: its tables have 2 to this power entries."""

_LONGEST_TREE: Final = 400
_DENSEST_TREE: Final = 3
_BLOCK: Final = 18
_KEPT: Final = 16


def dense(bqm: BQM) -> tuple[Floats, Floats, float]:
    """Return linear weights (n,), couplings (n, n) in the upper triangle, and offset, of the problem as a QUBO."""
    vectors = bqm.binary.to_numpy_vectors(variable_order=list(bqm.variables))
    quadratic = np.zeros((bqm.num_variables, bqm.num_variables))
    rows, columns, weights = vectors.quadratic
    np.add.at(quadratic, (np.minimum(rows, columns), np.maximum(rows, columns)), weights)
    return np.array(vectors.linear_biases, dtype=np.float64), quadratic, float(vectors.offset)


def _doubled(start: float, steps: Floats) -> Floats:
    """Return ``start`` plus every subset sum of ``steps``; bit i of the index takes step i."""
    sums = np.empty(1 << len(steps))
    sums[0] = start
    for bit, step in enumerate(steps):
        np.add(sums[: 1 << bit], step, out=sums[1 << bit : 2 << bit])
    return sums


def all_energies(linear: Floats, couplings: Floats, offset: float = 0.0) -> Floats:
    """Return the energies of all 2ⁿ assignments; bit i of the index is variable i.

    Args:
        linear: (n,) weights of single variables.
        couplings: (n, n) upper triangle.
        offset: added to all.

    Cost: two additions per energy; 8 · 2ⁿ bytes, and half as much again while it runs.
    """
    energies = np.empty(1 << len(linear))
    energies[0] = offset
    for bit, weight in enumerate(linear):
        field = _doubled(weight, couplings[:bit, bit])
        np.add(energies[: 1 << bit], field, out=energies[1 << bit : 2 << bit])
    return energies


def _blocks(linear: Floats, couplings: Floats, offset: float) -> Iterator[tuple[int, Floats]]:
    """Yield index of the first assignment and energies, block by block: the high variables are fixed in each."""
    low = min(_BLOCK, len(linear))
    base = all_energies(linear[:low], couplings[:low, :low])
    for high in range(1 << (len(linear) - low)):
        ones = np.flatnonzero((high >> np.arange(len(linear) - low)) & 1) + low
        constant = offset + linear[ones].sum() + couplings[np.ix_(ones, ones)].sum()
        yield high << low, base + _doubled(constant, couplings[:low, ones].sum(axis=1))


def enumerated(bqm: BQM) -> dimod.SampleSet:
    """Return the lowest assignments there are, at most 16, the best first: certainly no other is lower.

    Raises:
        SimulationRefused: there are more than ``MOST_ENUMERATED`` variables.

    Cost: 2ⁿ energies: 2 ms for 16 variables, about 10 ms for 20, a quarter of a second for 24.
    """
    count = bqm.num_variables
    if count > MOST_ENUMERATED:
        raise SimulationRefused(
            asked="exact enumeration",
            found=f"{count} variables have {2.0**count:.3g} assignments, and at most {MOST_ENUMERATED} are enumerated",
            remedy='Use solver="auto", which bounds what it cannot enumerate.',
        )
    indices, energies = np.empty(0, dtype=np.int64), np.empty(0)
    for first, found in _blocks(*dense(bqm)):
        kept = np.argpartition(found, _KEPT - 1)[:_KEPT] if len(found) > _KEPT else np.arange(len(found))
        indices = np.concatenate([indices, first + kept])
        energies = np.concatenate([energies, found[kept]])
        best = np.lexsort((indices, energies))[:_KEPT]
        indices, energies = indices[best], energies[best]
    bits = ((indices[:, None] >> np.arange(count)) & 1).astype(np.int8)
    return sample_set(bqm, bits)


def sample_set(bqm: BQM, bits: NDArray[np.int8]) -> dimod.SampleSet:
    """Return assignments (k, n) of 0 and 1, in the order of ``bqm.variables``, as a set with their energies."""
    values = bits if bqm.vartype is dimod.BINARY else (2 * bits - 1).astype(np.int8)
    found: dimod.SampleSet = dimod.SampleSet.from_samples_bqm((values, list(bqm.variables)), bqm)
    return found


def by_tree(bqm: BQM) -> dimod.SampleSet | None:
    """Return one assignment than which none is lower, or None where the problem is too entangled to say so cheaply.

    Variables are eliminated along a tree decomposition of small width (min-fill), by ``dwave-samplers``.

    Cost: exponential in the width only, which is at most ``WIDEST_TREE``. Beyond 3 couplings per variable, where small
    widths are rare and looking for them takes long, nothing is tried.
    """
    if bqm.num_variables > _LONGEST_TREE or bqm.num_interactions > _DENSEST_TREE * bqm.num_variables:
        return None
    width, order = tree.utilities.min_fill_heuristic(bqm)
    if width > WIDEST_TREE:
        return None
    found: dimod.SampleSet = TreeDecompositionSolver().sample(bqm, elimination_order=order)
    return found
