"""What counts would a perfect device return for each variant?

Counts are drawn from the exact law of each variant's outcomes, which is statistically the same as running it shot by
shot, and costs no more for a million shots than for ten.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from hyperfabric_q.cutting.branches import Branches, branches
from hyperfabric_q.cutting.decomposition import Real
from hyperfabric_q.cutting.fragments import CutCircuit, Fragment
from hyperfabric_q.cutting.observables import Ints, Measured
from hyperfabric_q.cutting.tensors import BLOCK, Layout, law_blocks

KEPT = 2**26
"""Most probabilities that are kept between draws: 512 MB; beyond, they are worked out anew for each draw."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Tally:
    """What the variants of one fragment in one measurement basis returned.

    Attributes:
        fragment, group: whose.
        layout: of variants and outcomes.
        counts: how often each outcome came, shape (variants, outcomes).
        scale: what a shot of each variant counts for, shape (variants,); None where all count as one. Shots that do
            not count as one carry a sign of their own, and the layout has room for it.
    """

    fragment: int
    group: int
    layout: Layout
    counts: Ints
    scale: Real | None = None

    @property
    def shots(self) -> Ints:
        """Return the number of shots of each variant."""
        return np.asarray(self.counts.sum(axis=1))

    def plus(self, other: Tally) -> Tally:
        """Return both tallies together."""
        return replace(self, counts=self.counts + other.counts)


class Laws:
    """The exact laws of all variants of a cut circuit, ready to be drawn from.

    ``runs`` counts the fragments that were simulated.

    Args:
        cut: the fragments, with all parameters bound.
        measured: what is measured on them.
        states: final states of fragments that are known already.
        block: most amplitudes to unfold at once.
        kept: most probabilities to keep between draws.
    """

    def __init__(  # noqa: D107 - the class says it
        self,
        cut: CutCircuit,
        measured: Measured,
        *,
        states: Mapping[int, Branches] | None = None,
        block: int = BLOCK,
        kept: int = KEPT,
    ) -> None:
        cut.check_bound()
        self.block, self.kept, self.runs = block, kept, 0
        self.bases = [strings.bases for strings in measured.strings]
        self.fragments: Sequence[Fragment] = cut.fragments
        self._states: list[Branches] = []
        for number, fragment in enumerate(cut.fragments):
            known = None if states is None else states.get(number)
            self.runs += known is None
            self._states.append(branches(fragment) if known is None else known)
        self.layouts = [
            Layout.of(fragment.sides, state.outputs)
            for fragment, state in zip(cut.fragments, self._states, strict=True)
        ]
        self._cache: dict[tuple[int, int], Real] = {}
        self._room = kept

    def keys(self) -> list[tuple[int, int]]:
        """Return every (fragment, group) that has something to measure."""
        return [(number, group) for number, bases in enumerate(self.bases) for group in range(len(bases))]

    def blocks(self, fragment: int, group: int) -> Iterator[tuple[Ints, Real]]:
        """Yield (variants, laws) of one measurement basis."""
        layout = self.layouts[fragment]
        cached = self._cache.get((fragment, group))
        if cached is not None:
            yield np.arange(layout.variants), cached
            return
        rows = law_blocks(self._states[fragment], layout, self.bases[fragment][group], block=self.block)
        size = layout.variants * layout.outcomes
        if size > self._room:
            yield from rows
            return
        laws = np.empty((layout.variants, layout.outcomes))
        for variants, part in rows:
            laws[variants] = part
        self._cache[fragment, group] = laws
        self._room -= size
        yield np.arange(layout.variants), laws

    def draw(self, shots: Mapping[tuple[int, int], Ints], rng: np.random.Generator) -> list[Tally]:
        """Return counts of as many shots of each variant as ``shots`` says, for every (fragment, group) in it."""
        tallies = []
        for fragment, group in shots:
            layout = self.layouts[fragment]
            counts = np.zeros((layout.variants, layout.outcomes), dtype=np.int64)
            own = shots[fragment, group]
            for variants, laws in self.blocks(fragment, group):
                counts[variants] = drawn(laws, own[variants], rng)
            tallies.append(Tally(fragment=fragment, group=group, layout=layout, counts=counts))
        return tallies


def drawn(laws: Real, shots: Ints, rng: np.random.Generator) -> Ints:
    """Return multinomial counts, one row per law.

    Where there are fewer shots than outcomes they are placed one by one by inverting the cumulated law.
    """
    rows, outcomes = laws.shape
    if shots.sum() >= rows * outcomes // 4:
        return np.asarray(rng.multinomial(shots, laws))
    cumulated = np.cumsum(laws, axis=1)
    # Rows are laid end to end, so that one search serves all of them.
    ends = cumulated / cumulated[:, -1:] + np.arange(rows)[:, None]
    row = np.repeat(np.arange(rows), shots)
    found = np.searchsorted(ends.reshape(-1), row + rng.random(len(row)), side="right")
    found = np.minimum(found, row * outcomes + outcomes - 1)
    return np.bincount(found, minlength=rows * outcomes).reshape(rows, outcomes)


def added(first: Sequence[Tally], second: Sequence[Tally]) -> list[Tally]:
    """Return two lists of tallies of the same variants, put together."""
    return [one.plus(other) for one, other in zip(first, second, strict=True)]
