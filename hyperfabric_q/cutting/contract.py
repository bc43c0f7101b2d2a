"""What number do the fragments' tensors give together?

The value of a term is the contraction of one tensor per fragment with the weights of all cuts. Terms that need the same
strings are contracted once, all others in one batch; the sum over joint terms is never written out.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import networkx as nx
import numpy as np
import opt_einsum  # type: ignore[import-untyped]

from hyperfabric_q.cutting.decomposition import Real
from hyperfabric_q.cutting.fragments import CutCircuit
from hyperfabric_q.cutting.observables import Ints

BATCH = 2**22
"""Most numbers that one operand of a batch of terms may hold."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Network:
    """How fragments are joined.

    Attributes:
        count: number of fragments.
        axes: per fragment the (cut, side) of each axis of its tensor.
        weights: per cut its weights, over (left, right) instruments.
        taken_by: per cut the side whose tensor takes the weights up, so that the bond has the size of the other side.
        groups: fragments that hang together by cuts.
    """

    count: int
    axes: tuple[tuple[tuple[int, int], ...], ...]
    weights: tuple[Real, ...]
    taken_by: tuple[int, ...]
    groups: tuple[tuple[int, ...], ...]

    @classmethod
    def of(cls, cut: CutCircuit) -> Network:
        """Return the network of a cut circuit with all parameters bound."""
        graph: Any = nx.Graph()
        graph.add_nodes_from(range(len(cut.fragments)))
        graph.add_edges_from((each.ends[0][0], each.ends[1][0]) for each in cut.cuts)
        weights = tuple(each.decomposition.weights for each in cut.cuts)
        return cls(
            count=len(cut.fragments),
            axes=tuple(tuple((marker.cut, marker.side) for marker in each.markers) for each in cut.fragments),
            weights=weights,
            taken_by=tuple(0 if each.shape[0] >= each.shape[1] else 1 for each in weights),
            groups=tuple(tuple(sorted(each)) for each in nx.connected_components(graph)),
        )

    def only(self, group: tuple[int, ...]) -> Network:
        """Return the network whose terms are the values of one group alone."""
        return replace(self, groups=(group,))

    def weighted(self, fragment: int, tensor: Real) -> Real:
        """Return a tensor (s, instruments...) with the weights it takes up, (s, bonds...)."""
        for axis, (cut, side) in enumerate(self.axes[fragment]):
            if self.taken_by[cut] == side:
                matrix = self.weights[cut] if side == 0 else self.weights[cut].T
                tensor = np.moveaxis(np.tensordot(tensor, matrix, axes=([1 + axis], [0])), -1, 1 + axis)
        return tensor

    def all_weighted(self, tensors: Sequence[Real]) -> list[Real]:
        """Return all tensors with the weights they take up; those of fragments outside the groups stay as they are."""
        inside = {number for group in self.groups for number in group}
        return [self.weighted(number, each) if number in inside else each for number, each in enumerate(tensors)]

    def unweighted(self, fragment: int, gradient: Real, first: int = 1) -> Real:
        """Return a gradient over instruments from one over bonds; the bonds begin at axis ``first``."""
        for axis, (cut, side) in enumerate(self.axes[fragment]):
            if self.taken_by[cut] == side:
                matrix = self.weights[cut] if side == 0 else self.weights[cut].T
                gradient = np.moveaxis(np.tensordot(gradient, matrix, axes=([first + axis], [1])), -1, first + axis)
        return gradient


def values(network: Network, tensors: Sequence[Real], index: Ints, identity: Ints | None = None) -> Real:
    """Return the value of every term, shape (terms,).

    Args:
        network: how the fragments are joined.
        tensors: per fragment (strings, instruments...).
        index: which string of each fragment makes up each term, shape (terms, fragments).
        identity: which string of each fragment is the identity, -1 if none; what hangs together by cuts and measures
            nothing is exactly 1, whatever was counted.
    """
    total = np.ones(len(index))
    ready = network.all_weighted(tensors)
    for group in network.groups:
        total *= _group_values(network, ready, index, group, identity)
    return total


def _idle(index: Ints, group: tuple[int, ...], identity: Ints | None) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    if identity is None:
        return np.zeros(len(index), dtype=bool)
    return np.asarray((index[:, group] == identity[list(group)]).all(axis=1))


def _group_values(
    network: Network, ready: Sequence[Real], index: Ints, group: tuple[int, ...], identity: Ints | None
) -> Real:
    idle = _idle(index, group, identity)
    if len(group) == 1 and not network.axes[group[0]]:
        (only,) = group
        return np.where(idle, 1.0, ready[only][index[:, only]])
    distinct, inverse = np.unique(index[:, group], axis=0, return_inverse=True)
    result = np.empty(len(distinct))
    for rows in _batches(len(distinct), [ready[number] for number in group]):
        picked = [ready[number][distinct[rows, place]] for place, number in enumerate(group)]
        result[rows] = _contract(network, group, picked, ())
    return np.where(idle, 1.0, result[inverse.reshape(-1)])


def gradients(network: Network, tensors: Sequence[Real], index: Ints, identity: Ints | None = None) -> list[Real]:
    """Return per fragment the derivative of every term by its tensor, shape (terms, instruments...)."""
    ready = network.all_weighted(tensors)
    parts = [_group_values(network, ready, index, group, identity) for group in network.groups]
    found: list[Real] = [np.zeros(0)] * network.count
    for place, group in enumerate(network.groups):
        others = np.ones(len(index))
        for other, value in enumerate(parts):
            if other != place:
                others = others * value
        others = np.where(_idle(index, group, identity), 0.0, others)
        for left_out in group:
            slopes = left_out_of(network, ready, index, group, (left_out,))
            found[left_out] = slopes * others.reshape(-1, *(1,) * (slopes.ndim - 1))
    return found


def left_out_of(
    network: Network, ready: Sequence[Real], index: Ints, group: tuple[int, ...], left_out: tuple[int, ...]
) -> Real:
    """Return the contraction of a group without some of its fragments, over the instruments of these.

    Args:
        network: how the fragments are joined.
        ready: the tensors with their weights taken up.
        index: strings per term, shape (terms, fragments).
        group: the fragments that hang together.
        left_out: one or two of them; the axes of the result are (terms, axes of the first, axes of the second).
    """
    rest = tuple(number for number in group if number not in left_out)
    shape = [size for number in left_out for size in ready[number].shape[1:]]
    if rest:
        distinct, inverse = np.unique(index[:, rest], axis=0, return_inverse=True)
    else:
        distinct, inverse = np.zeros((1, 0), dtype=np.int64), np.zeros(len(index), dtype=np.int64)
    result = np.empty((len(distinct), *shape))
    for rows in _batches(len(distinct), [*(ready[number] for number in rest), result]):
        picked = [ready[number][distinct[rows, place]] for place, number in enumerate(rest)]
        result[rows] = _contract(network, rest, picked, left_out)
    first = 1
    for number in left_out:
        result = network.unweighted(number, result, first)
        first += len(network.axes[number])
    return np.asarray(result[inverse.reshape(-1)])


def _batches(count: int, operands: Sequence[Real]) -> Iterator[slice]:
    largest = max((math.prod(each.shape[1:]) for each in operands), default=1)
    step = max(1, BATCH // max(largest, 1))
    for start in range(0, count, step):
        yield slice(start, min(start + step, count))


def _contract(network: Network, members: Sequence[int], operands: Sequence[Real], left_out: Sequence[int]) -> Real:
    """Contract batched operands; what is left out keeps its bonds as open axes.

    A bond between two fragments that are both left out is a unit matrix.
    """
    shared = {cut for number in left_out for cut, _ in network.axes[number]}
    both = [
        cut
        for cut in sorted(shared)
        if sum(axis[0] == cut for number in left_out for axis in network.axes[number]) == 2
    ]
    sizes = {}
    for number, operand in zip(members, operands, strict=True):
        for (cut, _), size in zip(network.axes[number], operand.shape[1:], strict=True):
            sizes[cut] = size
    arguments: list[object] = []
    for number, operand in zip(members, operands, strict=True):
        arguments += [operand, ["batch", *((cut, 0) for cut, _ in network.axes[number])]]
    for cut in both:
        weights = network.weights[cut]
        arguments += [np.eye(weights.shape[1 - network.taken_by[cut]]), [(cut, 0), (cut, 1)]]
    seen: set[int] = set()
    out: list[object] = ["batch"] if members else []
    for number in left_out:
        for cut, _ in network.axes[number]:
            out.append((cut, 1) if cut in seen else (cut, 0))
            seen.add(cut)
    if not members and not both:
        return np.ones(1)
    result = np.asarray(opt_einsum.contract(*_numbered(arguments), _numbers(arguments, out), optimize="auto"))
    return result if members else result[None]


def _numbered(arguments: list[object]) -> list[object]:
    names = _names(arguments)
    return [[names[each] for each in entry] if isinstance(entry, list) else entry for entry in arguments]


def _numbers(arguments: list[object], out: list[object]) -> list[int]:
    names = _names(arguments)
    return [names[each] for each in out]


def _names(arguments: list[object]) -> dict[object, int]:
    names: dict[object, int] = {}
    for entry in arguments:
        if isinstance(entry, list):
            for each in entry:
                names.setdefault(each, len(names))
    return names
