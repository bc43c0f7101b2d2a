"""What ``entangle`` hands out: a Bell pair in the memories of two nodes, which ages until it is used, once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from hyperfabric_q.entanglement.elementary import Path, Station
from hyperfabric_q.entanglement.ledger import Fate, Ledger
from hyperfabric_q.entanglement.memory import Memory
from hyperfabric_q.entanglement.state import FloatArray, correlators, fidelity, one_state
from hyperfabric_q.entanglement.stored import stored_chain
from hyperfabric_q.entanglement.swap import chain
from hyperfabric_q.errors import InvalidValue, PairSpent
from hyperfabric_q.units import to_ns

IntArray = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Attribution:
    """Return where the infidelity of a pair comes from; the parts sum to ``total``.

    Each is the difference that one step makes, in this order: links as they are born, purification (negative: it
    helps), waiting, swaps, local operations at the use.

    Args:
        raw: of the links' raw pairs, joined ideally and at once.
        purify: what purification changed of that.
        wait: what storage added.
        swap: what imperfect Bell measurements added.
        local: what the operations that used the pair added.
    """

    raw: float
    purify: float
    wait: float
    swap: float
    local: float = 0.0

    @property
    def total(self) -> float:
        """1 - fidelity."""
        return self.raw + self.purify + self.wait + self.swap + self.local


class Halves(Protocol):
    """Looks after the slots that the halves of pairs occupy, and the clock."""

    @property
    def now_ps(self) -> int:
        """The virtual time."""

    def gone(self, pair: BellPair) -> None:
        """Give both slots back; the pair has ended."""


class BellPair:
    """One Bell pair, heralded to both ends.

    Attributes:
        id: unique in its ledger, never used again.
        a, b: the nodes that hold its halves, in the order in which they were asked for.
        herald_ps: when both ends knew that they held it.
        goodness: its fidelity at that time, computed from every link, wait, purification and swap.
        path: the stations and links that it was made over.
        raw_pairs: heralded on all links on its behalf, those that were lost on the way included.
        attempts: made on its behalf.
    """

    def __init__(
        self,
        *,
        pair: int,
        ends: tuple[str, str],
        path: Path,
        born: Sequence[Sequence[float]],
        born_ps: Sequence[int],
        left_ps: Sequence[int],
        right_ps: Sequence[int],
        herald_ps: int,
        raw_pairs: int,
        attempts: int,
        ledger: Ledger,
        halves: Halves,
    ) -> None:
        """Take the facts together; ``Service`` does it.

        Args:
            pair: the id.
            ends: the nodes, in the order in which they were asked for.
            path: from one of them to the other.
            born: correlators of each link's pair at birth, (hops, 3).
            born_ps: when each was born.
            left_ps: when its left half was measured; -1 = it is stored still.
            right_ps: the same of its right half.
            herald_ps: when both ends knew.
            raw_pairs: heralded for it.
            attempts: made for it.
            ledger: where it is entered.
            halves: who looks after its slots.
        """
        self.id = pair
        self.a, self.b = ends
        self.path = path
        self.herald_ps = herald_ps
        self.raw_pairs = raw_pairs
        self.attempts = attempts
        self._born = np.array(born)
        self._born_ps = np.array(born_ps, dtype=np.int64)
        self._left_ps = np.array(left_ps, dtype=np.int64)
        self._right_ps = np.array(right_ps, dtype=np.int64)
        self._ledger = ledger
        self._halves = halves
        self._fate = Fate.HELD
        self._ended_ps: int | None = None
        self.goodness = float(fidelity(self.correlators_at(herald_ps)))

    # ---------------------------------------------------------------------------------------------------------- state

    def correlators_at(self, a_ps: int, b_ps: int | None = None) -> FloatArray:
        """Return (<XX>, -<YY>, <ZZ>) when the half at ``a`` is used at ``a_ps`` and that at ``b`` at ``b_ps``.

        Exact: every elementary pair is charged for the whole storage time of both its halves.

        Raises:
            InvalidValue: a time is before the herald.
        """
        b_ps = a_ps if b_ps is None else b_ps
        if min(a_ps, b_ps) < self.herald_ps:
            rule = f"pair {self.id} is known from {self.herald_ps} ps on, and cannot be used before"
            raise InvalidValue(field="time_ps", value=min(a_ps, b_ps), rule=rule)
        return stored_chain(self.path, self._born, *self._stored(a_ps, b_ps))

    def _stored(self, a_ps: int, b_ps: int) -> tuple[IntArray, IntArray]:
        first, last = (a_ps, b_ps) if self.path.ends[0] == self.a else (b_ps, a_ps)
        left = np.where(self._left_ps < 0, first, self._left_ps) - self._born_ps
        right = np.where(self._right_ps < 0, last, self._right_ps) - self._born_ps
        return left, right

    @property
    def correlators(self) -> FloatArray:
        """(<XX>, -<YY>, <ZZ>) now, or when the pair was used."""
        when = self.ended_ps
        return self.correlators_at(self._halves.now_ps if when is None else max(when, self.herald_ps))

    @property
    def fidelity(self) -> float:
        """⟨Φ⁺|ρ|Φ⁺⟩ now, or when the pair was used."""
        return float(fidelity(self.correlators))

    @property
    def weights(self) -> tuple[float, float, float, float]:
        """Bell-diagonal weights (pI, pX, pY, pZ) now, or when the pair was used: the error of a gate over the pair."""
        return one_state(self.correlators)

    @property
    def born_ps(self) -> int:
        """When the oldest of its halves began to be stored."""
        return int(self._born_ps.min())

    @property
    def age_ps(self) -> int:
        """How long its oldest half has been stored, until now or until the pair was used."""
        when = self.ended_ps
        return (self._halves.now_ps if when is None else when) - self.born_ps

    @property
    def age_ns(self) -> float:
        """The same in nanoseconds."""
        return to_ns(self.age_ps)

    @property
    def herald_ns(self) -> float:
        """When both ends knew that they held it, in nanoseconds."""
        return to_ns(self.herald_ps)

    def attribution(self) -> Attribution:
        """Return where its infidelity comes from, now or when it was used."""
        when = self.ended_ps
        now = self._halves.now_ps if when is None else max(when, self.herald_ps)
        ideal = Path(
            stations=tuple(_perfect(each) for each in self.path.stations),
            links=self.path.links,
            delays_ps=self.path.delays_ps,
        )
        no_swap_error = Path(
            stations=tuple(_perfect(each, memory=True) for each in self.path.stations),
            links=self.path.links,
            delays_ps=self.path.delays_ps,
        )
        stored = self._stored(now, now)
        raw = float(fidelity(chain(correlators([link.weights for link in self.path.links]))))
        born = float(fidelity(stored_chain(ideal, self._born, *stored)))
        waited = float(fidelity(stored_chain(no_swap_error, self._born, *stored)))
        final = float(fidelity(stored_chain(self.path, self._born, *stored)))
        return Attribution(raw=1 - raw, purify=raw - born, wait=born - waited, swap=waited - final)

    # ------------------------------------------------------------------------------------------------------------ use

    @property
    def ended_ps(self) -> int | None:
        """When it was used up; None as long as it is held."""
        return self._ended_ps

    @property
    def fate(self) -> Fate:
        """How it ended, or that it is held."""
        return self._fate

    def consume(self) -> FloatArray:
        """Use the pair up, now; return its correlators. Both communication qubits are free from now on.

        Raises:
            PairSpent: it was used before, or has expired.
        """
        self.end(Fate.CONSUMED)
        return self.correlators

    def release(self) -> None:
        """Give the pair up unused: it expires.

        Raises:
            PairSpent: it was used before, or has expired.
        """
        self.end(Fate.EXPIRED)

    def end(self, fate: Fate) -> None:
        """Let the pair end now, in whatever way; ``consume`` and ``release`` say it in one word.

        Raises:
            PairSpent: it has ended before.
        """
        if self._fate is not Fate.HELD:
            raise PairSpent(what=f"pair {self.id} of {self.a!r} and {self.b!r}", fate=self._fate.value)
        now = self._halves.now_ps
        self._ledger.end(self.id, fate, now)
        self._fate, self._ended_ps = fate, now
        self._halves.gone(self)

    def __repr__(self) -> str:
        return f"<BellPair {self.id}: {self.a} ~ {self.b}, F = {self.fidelity:.6f}, {self.fate.value}>"


def _perfect(station: Station, *, memory: bool = False) -> Station:
    """Return a station without errors; with ``memory`` its own memory stays."""
    return Station(node_id=station.node_id, memory=station.memory if memory else Memory())
