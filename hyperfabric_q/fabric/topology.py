"""Which nodes a shape joins, and which groups of nodes a set of links holds together."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

from hyperfabric_q.errors import InvalidValue, UnknownName

Pairs = tuple[tuple[int, int], ...]

MOST_LINKS: Final = 200_000
"""More links than this are refused before any is made: a full graph of a million nodes would never end."""


def full(size: int) -> Pairs:
    """Return every pair of ``size`` nodes, size·(size-1)/2 of them."""
    _check(size, size * (size - 1) // 2)
    return tuple((a, b) for a in range(size) for b in range(a + 1, size))


def line(size: int) -> Pairs:
    """Return the pairs of neighbours along a line of ``size`` nodes."""
    _check(size, size - 1)
    return tuple((a, a + 1) for a in range(size - 1))


def ring(size: int) -> Pairs:
    """Return the pairs of neighbours around a ring; two nodes share one link and one node has none."""
    _check(size, size)
    closing = ((0, size - 1),) if size > 2 else ()
    return line(size) + closing


def star(size: int) -> Pairs:
    """Return the pairs that join node 0, the hub, to each other node."""
    _check(size, size - 1)
    return tuple((0, b) for b in range(1, size))


def grid(rows: int, columns: int) -> Pairs:
    """Return the pairs of neighbours in a grid whose node at (row, column) is number row·columns + column."""
    _check(rows * columns, 2 * rows * columns)
    pairs = []
    for row in range(rows):
        for column in range(columns):
            here = row * columns + column
            if column + 1 < columns:
                pairs.append((here, here + 1))
            if row + 1 < rows:
                pairs.append((here, here + columns))
    return tuple(pairs)


SHAPES: Final[Mapping[str, Callable[[int], Pairs]]] = {"full": full, "line": line, "ring": ring, "star": star}
"""The shapes that a number of nodes determines."""


def shape(name: str, size: int) -> Pairs:
    """Return the pairs that the shape called ``name`` joins.

    Raises:
        UnknownName: no shape has that name.
    """
    if str(name) not in SHAPES:
        raise UnknownName(kind="topology", name=str(name), known=tuple(SHAPES))
    return SHAPES[name](size)


def components(ids: Sequence[str], pairs: Iterable[tuple[str, str]]) -> tuple[tuple[str, ...], ...]:
    """Return the groups of ``ids`` that ``pairs`` hold together, each in the order of ``ids``; O(ids + pairs)."""
    neighbours: dict[str, list[str]] = {each: [] for each in ids}
    for a, b in pairs:
        neighbours[a].append(b)
        neighbours[b].append(a)
    group_of: dict[str, int] = {}
    groups = 0
    for start in ids:
        if start in group_of:
            continue
        group_of[start] = groups
        frontier = [start]
        while frontier:
            for other in neighbours[frontier.pop()]:
                if other not in group_of:
                    group_of[other] = groups
                    frontier.append(other)
        groups += 1
    members: list[list[str]] = [[] for _ in range(groups)]
    for each in ids:
        members[group_of[each]].append(each)
    return tuple(tuple(group) for group in members)


def _check(size: int, links: int) -> None:
    if size < 1:
        raise InvalidValue(field="capacities", value=size, rule="a topology has at least one node")
    if max(links, size) > MOST_LINKS:
        raise InvalidValue(
            field="capacities",
            value=size,
            rule=f"that many nodes make {links} links, and at most {MOST_LINKS} are built at once",
            remedy="Choose a sparser topology or fewer nodes.",
        )
