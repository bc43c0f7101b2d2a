"""What people hand to an all-reduce: arrays, lists of them, parameters of PyTorch, or one of these for each node.

PyTorch is not imported: a parameter is whatever has ``grad`` and ``requires_grad``, and its gradient is written in
place.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from hyperfabric_q.errors import InvalidValue
from hyperfabric_q.traffic.payload import VirtualTensor

Op = Literal["mean", "sum"]

_RULE: Final = (
    "it is a NumPy array, a list of arrays, parameters of PyTorch, or one of these for each node as {node: ...}"
)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Leaves:
    """The arrays of one node, and how what comes of them is handed back."""

    arrays: tuple[NDArray[Any], ...]
    put: tuple[Callable[[NDArray[Any]], object] | None, ...]
    alone: bool

    def flat(self, dtype: Any) -> NDArray[Any]:
        return np.concatenate([each.reshape(-1) for each in self.arrays]).astype(dtype, copy=False)

    def back(self, flat: NDArray[Any]) -> Any:
        """Hand back a row as arrays of the shapes that were given; parameters get it as their gradients."""
        found, start = [], 0
        for array, put in zip(self.arrays, self.put, strict=True):
            part = flat[start : start + array.size].reshape(array.shape)
            kept = part.astype(array.dtype if array.dtype.kind in "fc" else flat.dtype)
            start += array.size
            if put is not None:
                put(kept)
            found.append(kept)
        return found[0] if self.alone else found


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Brought:
    """What nodes bring to an all-reduce.

    Attributes:
        leaves: of each node; of one, which stands for all, where ``same``.
        same: whether every node brings the same.
        dtype: in which sums are formed.
    """

    leaves: Mapping[str, _Leaves]
    same: bool
    dtype: Any

    def data(self) -> object:
        """Return what goes into the collective: the arrays, or their size where all bring the same."""
        if self.same:
            (one,) = self.leaves.values()
            return VirtualTensor((sum(each.size for each in one.arrays),), np.dtype(self.dtype).name)
        return {node: each.flat(self.dtype) for node, each in self.leaves.items()}

    def reduced(self, total: Mapping[str, object], op: Op) -> Any:
        """Hand back what an all-reduce made of it, which is the same at every node.

        What all nodes bring alike is its own mean, and is not touched by arithmetic.
        """
        if self.same:
            (one,) = self.leaves.values()
            flat = one.flat(self.dtype)
            return one.back(flat if op == "mean" else flat * len(total))
        count = len(self.leaves)
        found = None
        for node, each in self.leaves.items():
            row = np.asarray(total[node])
            found = each.back(row / count if op == "mean" else row)
        return found


def brought(given: object, nodes: Sequence[str], op: object) -> Brought:
    """Return what ``given`` means for an all-reduce of ``nodes``.

    Raises:
        InvalidValue: it is nothing that can be reduced, no parameter has a gradient, nodes bring different shapes, or
            ``op`` is neither "mean" nor "sum".
    """
    if op not in {"mean", "sum"}:
        raise InvalidValue(field="op", value=op, rule="it is 'mean' or 'sum'")
    if isinstance(given, Mapping):
        if set(given) != set(nodes):
            odd = sorted(map(str, set(given) ^ set(nodes)))[:8]
            raise InvalidValue(field="gradients", value=odd, rule="there is an entry for each node, and no other")
        leaves = {node: _leaves(given[node]) for node in nodes}
        shapes = {node: [array.shape for array in each.arrays] for node, each in leaves.items()}
        first = shapes[nodes[0]]
        for node, own in shapes.items():
            if own != first:
                raise InvalidValue(field="gradients", value=own, rule=f"{node!r} brings the shapes of {nodes[0]!r}")
    else:
        leaves = {nodes[0]: _leaves(given)}
    dtype = np.result_type(*[array.dtype for each in leaves.values() for array in each.arrays])
    if dtype.kind not in "fc":
        dtype = np.dtype(np.float64)
    return Brought(leaves=leaves, same=not isinstance(given, Mapping), dtype=dtype)


def _leaves(given: Any) -> _Leaves:
    given = given.parameters() if callable(getattr(given, "parameters", None)) else given
    if _is_leaf(given):
        rows, alone = [given], True
    elif isinstance(given, Iterable) and not isinstance(given, str | bytes):
        rows, alone = list(given), False
    else:
        raise InvalidValue(field="gradients", value=type(given).__name__, rule=_RULE)
    pairs = [pair for each in rows if (pair := _leaf(each)) is not None]
    if not pairs:
        remedy = "Call loss.backward() first, and give at least one array."
        raise InvalidValue(field="gradients", value=len(rows), rule="none of them has a gradient", remedy=remedy)
    return _Leaves(arrays=tuple(pair[0] for pair in pairs), put=tuple(pair[1] for pair in pairs), alone=alone)


def _is_leaf(given: Any) -> bool:
    return isinstance(given, np.ndarray | np.generic | float | int) or hasattr(given, "requires_grad")


def _leaf(given: Any) -> tuple[NDArray[Any], Callable[[NDArray[Any]], object] | None] | None:
    """The array of one gradient, and what writes it in place; None for a parameter that has none."""
    if hasattr(given, "requires_grad"):
        tensor = given.grad
        if tensor is None:
            if given.requires_grad:
                return None
            tensor = given
        return _numbers(_of_tensor(tensor)), _writer(tensor)
    return _numbers(given), None


def _of_tensor(tensor: Any) -> Any:
    if getattr(tensor, "is_sparse", False):
        rule = "gradients are dense"
        raise InvalidValue(field="gradients", value="sparse tensor", rule=rule, remedy="Reduce grad.to_dense().")
    detached = tensor.detach().cpu()
    try:
        return detached.numpy()
    except TypeError:  # NumPy has no bfloat16
        return detached.float().numpy()


def _writer(tensor: Any) -> Callable[[NDArray[Any]], object]:
    def write(array: NDArray[Any]) -> None:
        own = tensor.detach()
        own.copy_(own.new_tensor(array))

    return write


def _numbers(given: Any) -> NDArray[Any]:
    try:
        array = np.asarray(given)
    except ValueError:
        array = np.array(None)
    if array.dtype.kind not in "biufc":
        raise InvalidValue(field="gradients", value=type(given).__name__, rule=_RULE)
    return array
