"""How likely is each outcome of a cut circuit, and what would so many shots of it give?"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Final

import numpy as np
from qiskit import QuantumCircuit

from hyperfabric_q.cutting.decomposition import Real
from hyperfabric_q.cutting.distributions import BitTensors, nearest_distribution
from hyperfabric_q.seeds import resolve, stream

LISTED: Final = 20
"""Most bits of which every outcome is listed; of more, the heaviest are looked for."""

STEP: Final = 8
"""Bits that are drawn at a time where there are too many to list."""

_NOTHING: Final = 1e-15
_LIGHT: Final = 1e-12
"""What is lighter comes from rounding."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Distribution:
    """The distribution of some bits, as far as it was asked for.

    Attributes:
        outcomes: as numbers, ascending.
        quasi: what was put together for each, from shots slightly negative in places.
        bits: number of bits.
        breaks: places, counted from the least significant bit, where strings have a blank between two registers.
        complete: whether all other outcomes are 0; else these are the heaviest that were found.
        shots: it rests on, 0 if exact.
    """

    outcomes: tuple[int, ...]
    quasi: Real = field(repr=False)
    bits: int
    breaks: tuple[int, ...] = ()
    complete: bool
    shots: int

    @property
    def probabilities(self) -> dict[str, float]:
        """Return the nearest distribution without negative numbers, by bit string, most likely first.

        Of an incomplete one what is negative is left out, and the rest is scaled only if it exceeds 1.
        """
        if self.complete:
            shares = nearest_distribution(self.quasi)
        else:
            shares = np.maximum(self.quasi, 0.0)
            shares = shares / max(1.0, float(shares.sum()))
        order = np.argsort(-shares, kind="stable")
        return {self.text(self.outcomes[place]): float(shares[place]) for place in order if shares[place] > 0}

    def to_dict(self) -> dict[str, float]:
        """Return the quasi-probabilities by bit string."""
        return {self.text(each): float(share) for each, share in zip(self.outcomes, self.quasi, strict=True)}

    def text(self, outcome: int) -> str:
        """Return the bit string of an outcome, the most significant bit first."""
        return bit_string(outcome, self.bits, self.breaks)

    def sample(self, shots: int, *, seed: int | None = None) -> dict[str, int]:
        """Return counts of ``shots`` outcomes drawn from ``probabilities``, scaled to sum to 1."""
        shares = self.probabilities
        whole = math.fsum(shares.values())
        rng = stream(resolve(seed), "cutting", "samples")
        counts = rng.multinomial(shots, np.array(list(shares.values())) / whole)
        return {text: int(count) for text, count in zip(shares, counts, strict=True) if count}


def distribution_of(tensors: BitTensors, *, bins: int, breaks: Sequence[int] = ()) -> Distribution:
    """Return the distribution of the chosen bits: all outcomes of up to 20 bits, of more the heaviest ``bins``."""
    complete = tensors.chosen <= LISTED
    if complete:
        quasi = tensors.probabilities()
        outcomes = np.flatnonzero(np.abs(quasi) > _NOTHING)
        values, numbers = quasi[outcomes], tuple(outcomes.tolist())
    else:
        found = tensors.heavy(bins=bins, step=STEP, least=_LIGHT)
        numbers = tuple(sorted(found))
        values = np.array([found[each] for each in numbers])
    return Distribution(
        outcomes=numbers,
        quasi=values,
        bits=tensors.chosen,
        breaks=tuple(breaks),
        complete=complete,
        shots=tensors.shots,
    )


def drawn_outcomes(tensors: BitTensors, shots: int, rng: np.random.Generator) -> dict[int, int]:
    """Return counts of ``shots`` outcomes of the chosen bits, drawn a few bits after the other.

    2^chosen numbers are never stored. The tensors should be exact; what is negative counts as 0.

    Cost: one contraction per distinct beginning of an outcome and 8 bits.
    """
    found = {0: shots}
    order = list(range(tensors.chosen - 1, -1, -1))
    for known in range(0, tensors.chosen, STEP):
        free = sorted(order[known : known + STEP])
        longer: dict[int, int] = {}
        for value, count in found.items():
            fixed = {bit: value >> bit & 1 for bit in order[:known]}
            shares = np.maximum(tensors.probabilities(fixed, free), 0.0)
            for outcome, times in enumerate(rng.multinomial(count, shares / shares.sum()).tolist()):
                if times:
                    inner = sum((outcome >> place & 1) << bit for place, bit in enumerate(free))
                    longer[value | inner] = times
        found = longer
    return found


def bit_string(outcome: int, bits: int, breaks: Sequence[int]) -> str:
    """Return the bits of an outcome, most significant first, with blanks between registers."""
    text = format(outcome, f"0{bits}b") if bits else ""
    ends = [0, *breaks, bits]
    return " ".join(text[bits - b : bits - a] for a, b in reversed(list(pairwise(ends))))


def register_breaks(circuit: QuantumCircuit) -> tuple[int, ...]:
    """Return where Qiskit puts blanks into a circuit's counts; () where its registers do not simply follow on."""
    bits: list[Any] = [bit for register in circuit.cregs for bit in register]
    if bits != list(circuit.clbits):
        return ()
    ends = np.cumsum([len(register) for register in circuit.cregs])
    return tuple(int(each) for each in ends[:-1])
