"""The ledger of Bell pairs: every pair has an id from birth, and ends exactly once.

Raw pairs are heralded by links; a swap turns two pairs into one, and a purification two into one or none. What is made
is a new pair with its own id, so that a late message can never touch the wrong one. Ids count up in the order of the
kernel's events, which does not depend on the order of submission.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from hyperfabric_q.errors import InternalError, PairSpent


class Origin(StrEnum):
    """How a pair came to be."""

    HERALDED = "heralded"
    SWAPPED = "swapped together"
    PURIFIED = "purified"


class Fate(StrEnum):
    """How a pair ended; ``HELD`` is the only one that another may follow.

    ``PURIFIED_AWAY`` is what a purification took two of to make one; ``FAILED`` lost both in a purification that
    failed. ``CUT_OFF`` was thrown away because it had waited too long for its neighbours or come too late for its
    fidelity. ``EXPIRED`` was made and never used.
    """

    HELD = "held"
    CONSUMED = "consumed"
    SWAPPED = "swapped"
    PURIFIED_AWAY = "purified away"
    CUT_OFF = "cut off"
    FAILED = "failed"
    EXPIRED = "expired"


ENDS: Final = tuple(fate for fate in Fate if fate is not Fate.HELD)


@dataclass(frozen=True, slots=True)
class PairRecord:
    """Return one row of the ledger.

    Args:
        pair: the id.
        a: node of one half.
        b: node of the other.
        origin: how it came to be.
        attempts: spent on heralding it; 0 unless heralded.
        parents: the pairs it was made of.
        born_ps: when its halves began to decay.
        known_ps: when it was heralded, or made.
        fate: how it ended, or that it is held.
        ended_ps: when; None as long as it is held.
    """

    pair: int
    a: str
    b: str
    origin: Origin
    attempts: int
    parents: tuple[int, ...]
    born_ps: int
    known_ps: int
    fate: Fate
    ended_ps: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Balance:
    """Return the sums of a ledger; ``conserved`` says whether they add up.

    Args:
        heralded: raw pairs.
        swaps: swaps made; each ends two pairs and makes one.
        purified: purifications that succeeded; each ends two pairs and makes one.
        ended: pairs by fate.
        held: pairs that have not ended.
        attempts: attempts that heralded a pair, with the failed ones before it.
        vain_attempts: attempts of jobs that were withdrawn before they heralded anything.
    """

    heralded: int
    swaps: int
    purified: int
    ended: dict[Fate, int]
    held: int
    attempts: int
    vain_attempts: int

    @property
    def conserved(self) -> bool:
        """Whether every pair that came to be has ended once or is held, and what was made used up two each."""
        made = self.heralded + self.swaps + self.purified
        pairs = made == self.held + sum(self.ended.values())
        swapped = self.ended.get(Fate.SWAPPED, 0) == 2 * self.swaps
        purified = self.ended.get(Fate.PURIFIED_AWAY, 0) == 2 * self.purified
        return pairs and swapped and purified and self.ended.get(Fate.FAILED, 0) % 2 == 0


Row = tuple[str, str, Origin, int, tuple[int, ...], int, int]
"""Both nodes, origin, attempts, parents, when it was born and when that was known."""


class Ledger:
    """Every pair of one service, from birth to end.

    Rows are kept as tuples and turned into records when they are read. ``keep`` limits how many ended pairs are kept;
    the sums go on counting.
    """

    def __init__(self, *, keep: int | None = None) -> None:
        """Start empty; ``keep`` None keeps every row."""
        self.vain_attempts = 0
        self._keep = keep
        self._count = 0
        self._attempts = 0
        self._origins = dict.fromkeys(Origin, 0)
        self._fates = dict.fromkeys(Fate, 0)
        self._held: dict[int, Row] = {}
        self._ended: dict[int, tuple[Fate, int, Row]] = {}

    def heralded(self, a: str, b: str, attempts: int, born_ps: int, known_ps: int) -> int:
        """Note a raw pair; return its id."""
        self._attempts += attempts
        return self._born((a, b, Origin.HERALDED, attempts, (), born_ps, known_ps))

    def swapped(self, left: int, right: int, a: str, b: str, born_ps: int, now_ps: int) -> int:
        """Note that two pairs became one between ``a`` and ``b``; return its id."""
        self.end(left, Fate.SWAPPED, now_ps)
        self.end(right, Fate.SWAPPED, now_ps)
        return self._born((a, b, Origin.SWAPPED, 0, (left, right), born_ps, now_ps))

    def purified(self, kept: int, measured: int, born_ps: int, now_ps: int) -> int:
        """Note that of two pairs a better one was made; return its id."""
        a, b = self._held[kept][:2]
        self.end(kept, Fate.PURIFIED_AWAY, now_ps)
        self.end(measured, Fate.PURIFIED_AWAY, now_ps)
        return self._born((a, b, Origin.PURIFIED, 0, (kept, measured), born_ps, now_ps))

    def _born(self, row: Row) -> int:
        self._count += 1
        self._origins[row[2]] += 1
        self._held[self._count] = row
        return self._count

    def end(self, pair: int, fate: Fate, now_ps: int) -> None:
        """Note how a pair ended.

        Raises:
            PairSpent: it ended before.
            InternalError: there never was such a pair.
        """
        row = self._held.pop(pair, None)
        if row is None:
            raise self._twice(pair)
        self._fates[fate] += 1
        if self._keep != 0:
            self._ended[pair] = fate, now_ps, row
            if self._keep is not None and len(self._ended) > self._keep:
                del self._ended[next(iter(self._ended))]

    def _twice(self, pair: int) -> PairSpent | InternalError:
        if pair in self._ended:
            fate, when, _ = self._ended[pair]
            return PairSpent(what=f"pair {pair}", fate=f"{fate.value} at {when} ps")
        if 0 < pair <= self._count:
            return PairSpent(what=f"pair {pair}", fate="used long ago")
        return InternalError(what=f"pair {pair} ended and never came to be")

    # ------------------------------------------------------------------------------------------------------- reading

    def holds(self, pair: int) -> bool:
        """Whether a pair has come to be and not ended."""
        return pair in self._held

    def __len__(self) -> int:
        return self._count

    def record(self, pair: int) -> PairRecord:
        """Return the row of one pair.

        Raises:
            PairSpent: it ended so long ago that it is not kept.
            InternalError: there never was such a pair.
        """
        if pair in self._held:
            return PairRecord(pair, *self._held[pair], Fate.HELD, None)
        if pair not in self._ended:
            raise self._twice(pair)
        fate, when, row = self._ended[pair]
        return PairRecord(pair, *row, fate, when)

    def records(self) -> Iterator[PairRecord]:
        """Yield the rows that are kept, in the order of their ids."""
        for pair in sorted([*self._held, *self._ended]):
            yield self.record(pair)

    def lineage(self, pair: int) -> tuple[PairRecord, ...]:
        """Return a pair and everything it was made of, itself first; O(its raw pairs)."""
        rows = [self.record(pair)]
        for row in rows:
            rows += [self.record(each) for each in row.parents]
        return tuple(rows)

    @property
    def balance(self) -> Balance:
        """The sums."""
        return Balance(
            heralded=self._origins[Origin.HERALDED],
            swaps=self._origins[Origin.SWAPPED],
            purified=self._origins[Origin.PURIFIED],
            ended={fate: self._fates[fate] for fate in ENDS if self._fates[fate]},
            held=len(self._held),
            attempts=self._attempts,
            vain_attempts=self.vain_attempts,
        )
