"""What a round asks of the links: slots for pairs, grouped by the two nodes that share them.

A check of a code is measured with all its pairs or not at all, so pairs are handed out check by check. Which check
comes first moves on by one each round, so that it is not always the same one that goes without.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hyperfabric_q.entanglement.elementary import Path
from hyperfabric_q.errors import InvalidValue

IntArray = NDArray[np.int64]
Flags = NDArray[np.bool_]


class PairSlot(NamedTuple):
    """One pair of each round.

    Attributes:
        nodes: who shares it.
        check: what it is for; slots of one check are served together or not at all.
    """

    nodes: tuple[str, str]
    check: int


def slots_between(a: str, b: str, pairs: int) -> tuple[PairSlot, ...]:
    """Return slots for so many pairs of two nodes, each for itself.

    Raises:
        InvalidValue: there is not one pair.
    """
    if pairs < 1:
        raise InvalidValue(field="pairs", value=pairs, rule="a round asks for at least one pair")
    return tuple(PairSlot((a, b), number) for number in range(pairs))


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """The slots of two nodes, and where their pairs come from.

    Attributes:
        nodes: in alphabetical order.
        checks: the slots of each check, by their numbers in the round.
        paths: each makes pairs, at the same time as the others.
        rooms: pairs that each path may have in store or in the making.
    """

    nodes: tuple[str, str]
    checks: tuple[tuple[int, ...], ...]
    paths: tuple[Path, ...]
    rooms: int

    @property
    def pairs(self) -> int:
        """Pairs that a round asks for."""
        return sum(len(check) for check in self.checks)

    def turn(self, number: int) -> tuple[tuple[int, ...], ...]:
        """Return the checks in the order in which round ``number`` serves them."""
        first = number % len(self.checks)
        return self.checks[first:] + self.checks[:first]


def grouped(slots: tuple[PairSlot, ...]) -> dict[tuple[str, str], tuple[tuple[int, ...], ...]]:
    """Return the slots of each check, by the two nodes that share their pairs."""
    found: dict[tuple[str, str], dict[int, list[int]]] = {}
    for number, slot in enumerate(slots):
        a, b = sorted(slot.nodes)
        found.setdefault((a, b), {}).setdefault(slot.check, []).append(number)
    return {nodes: tuple(map(tuple, checks.values())) for nodes, checks in found.items()}


def served(checks: tuple[tuple[int, ...], ...], ready: IntArray) -> tuple[dict[int, tuple[Flags, IntArray]], IntArray]:
    """Return which slots get a pair and which of the ready ones, and how many pairs are used, per lane.

    Args:
        checks: in the order in which they are served; one that cannot be served whole is passed over.
        ready: pairs that are there, (lanes,).
    """
    used = np.zeros(ready.shape, dtype=np.int64)
    found: dict[int, tuple[Flags, IntArray]] = {}
    for check in checks:
        whole = ready - used >= len(check)
        for place, slot in enumerate(check):
            found[slot] = whole, used + place
        used = used + whole * len(check)
    return found, used
