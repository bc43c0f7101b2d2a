"""How one link comes by its pairs, in many runs at once: attempts, and rounds of nested purification.

How many attempts a pair takes follows the geometric law, which is sampled by inversion: the whole part of an
exponential variable of rate -ln(1 - p), plus one. Purification is a rejection loop over the lanes that have failed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hyperfabric_q.entanglement.elementary import Path
from hyperfabric_q.entanglement.memory import wait
from hyperfabric_q.entanglement.purification import best_permutation, dejmps
from hyperfabric_q.entanglement.state import correlators
from hyperfabric_q.errors import InvalidValue
from hyperfabric_q.seeds import stream

Times = NDArray[np.int64]
States = NDArray[np.float64]

LATEST_PS: Final = 1 << 60
"""Thirteen days: later than this no run may last, so that sums of times stay within 64 bits."""

_LONGEST_DRAW: Final = 64.0
"""No standard exponential of 53 random bits is larger."""


@dataclass(slots=True)
class Heralds:
    """One pair per lane.

    Attributes:
        ready_ps: when both ends know of it, (lanes,).
        born_ps: since when its halves are stored, (lanes,).
        correlators: its state at that time, (lanes, 3), or (3,) when all are equal.
        attempts: what it took, (lanes,).
        raw_pairs: what it was made of, the pairs lost on the way included, (lanes,), or one number for all.
    """

    ready_ps: Times
    born_ps: Times
    correlators: States
    attempts: Times
    raw_pairs: Times | int

    def replace(self, lanes: NDArray[np.intp], other: Heralds) -> None:
        """Put later pairs in the place of lost ones, whose cost remains."""
        self.ready_ps[lanes] = other.ready_ps
        self.born_ps[lanes] = other.born_ps
        self.correlators[lanes] = other.correlators
        self.attempts[lanes] += other.attempts
        self.raw_pairs = self.raw_pairs + np.zeros(len(self.ready_ps), np.int64)
        self.raw_pairs[lanes] += other.raw_pairs


class Source:
    """The pairs of one link of a path, with a random stream that no other link shares."""

    def __init__(self, path: Path, link: int, *, rounds: int, seed: int) -> None:
        """Prepare link number ``link``; ``rounds`` of nested purification make one pair of 2^rounds raw ones.

        Raises:
            InvalidValue: the link takes so long that times would leave the clock's range, or its weights are none.
        """
        self._link = path.links[link]
        self._left, self._right = path.stations[link], path.stations[link + 1]
        self._delay_ps = path.delays_ps[link]
        self._rounds = rounds
        self._random = stream(seed, "lanes", *self._link.ends)
        self._correlators = np.asarray(correlators(np.array(self._link.weights)))
        chance = self._link.success
        self._scale = 0.0 if chance == 1 else -1 / math.log1p(-chance)
        if (_LONGEST_DRAW * self._scale + 1) * self._link.attempt_ps + self._link.herald_ps > LATEST_PS:
            raise InvalidValue(
                field="success",
                value=chance,
                rule=f"with attempts of {self._link.attempt_ps} ps, the link {self._link.a!r}--{self._link.b!r} may "
                f"take longer than the {LATEST_PS} ps that the clock of a simulation holds",
                remedy="Give it a higher success probability or shorter attempts.",
            )
        loss = math.sqrt((1 - self._left.depolarising) * (1 - self._right.depolarising))
        flip = math.sqrt(max(0.0, (1 - 2 * self._left.readout_error) * (1 - 2 * self._right.readout_error)))
        self._depolarising, self._readout_error = 1 - loss, (1 - flip) / 2

    def draw(self, start_ps: Times | int, lanes: int) -> Heralds:
        """Return one pair per lane, whose attempts begin at ``start_ps``.

        Raises:
            InvalidValue: a run leaves the clock's range.
        """
        made = self._made(self._rounds, start_ps, lanes)
        if lanes and int(made.ready_ps.max()) > LATEST_PS:
            raise InvalidValue(
                field="runs",
                value=lanes,
                rule=f"one of them lasts longer than the {LATEST_PS} ps that the clock of a simulation holds",
                remedy="Give the links higher success probabilities or shorter attempts.",
            )
        return made

    def _made(self, level: int, start_ps: Times | int, lanes: int) -> Heralds:
        if level == 0:
            return self._raw(start_ps, lanes)
        made, kept = self._purified(level, start_ps, lanes)
        failed = np.flatnonzero(~kept)
        while failed.size:
            again, kept = self._purified(level, made.ready_ps[failed], failed.size)
            made.replace(failed, again)
            failed = failed[~kept]
        return made

    def _raw(self, start_ps: Times | int, lanes: int) -> Heralds:
        drawn = self._random.standard_exponential(lanes)
        drawn *= self._scale
        attempts = drawn.astype(np.int64)
        attempts += 1
        ready = attempts * self._link.attempt_ps
        ready += start_ps + self._link.tail_ps
        return Heralds(ready, ready - self._link.herald_ps, self._correlators, attempts, 1)

    def _purified(self, level: int, start_ps: Times | int, lanes: int) -> tuple[Heralds, NDArray[np.bool_]]:
        """Return one try of a round: two pairs of the level below, one after the other, and whether it succeeded."""
        first = self._made(level - 1, start_ps, lanes)
        second = self._made(level - 1, first.ready_ps, lanes)
        end = second.ready_ps + max(self._left.swap_ps, self._right.swap_ps)
        errors = {"depolarising": self._depolarising, "readout_error": self._readout_error}
        kept, measured = (
            best_permutation(
                wait(each.correlators, self._left.memory, end - each.born_ps, self._right.memory, end - each.born_ps),
                **errors,
            )
            for each in (first, second)
        )
        better = dejmps(kept, measured, **errors)
        made = Heralds(
            end + self._delay_ps,
            end,
            np.array(better.correlators),
            first.attempts + second.attempts,
            first.raw_pairs + second.raw_pairs,
        )
        return made, self._random.random(lanes) < better.success
