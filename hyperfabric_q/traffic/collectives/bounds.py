"""What no algorithm can beat: the bytes that must pass the ends, divided by their rates.

For n ranks and vectors of S bytes, sums being formed at the ends: an element needs n - 1 messages to be summed up and
n - 1 to be spread, whoever does it. That bounds the traffic of all ends together; besides, each end has a least
amount of its own. For equal ends an all-reduce takes at least 2 (n - 1) / n · S / B (Patarasuk and Yuan 2009).
Latency is left out, so that efficiency shows what it costs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise

from hyperfabric_q.traffic.collectives.nics import Nics
from hyperfabric_q.traffic.collectives.schedule import Collective, slice_edges

_DISTINCT = 16
_SCALE = 1 << 128


def endpoint_bound_ps(collective: Collective, nbytes: int, nics: Nics, *, root: int = 0, itemsize: int = 1) -> int:
    """Return the least time of a collective that the rates of its ends allow, in picoseconds; O(ranks).

    Args:
        collective: what is to be achieved.
        nbytes: size of the vector.
        nics: the ends.
        root: rank that a broadcast starts from.
        itemsize: no slice cuts through an element of so many bytes.
    """
    count = len(nics)
    if count == 1 or nbytes == 0:
        return 0
    own = [int(b - a) for a, b in pairwise(slice_edges(nbytes, count, itemsize).tolist())]
    whole = [nbytes] * count
    most = [nbytes - each for each in own]
    out, into, total = {
        Collective.ALL_REDUCE: (whole, whole, 2 * (count - 1) * nbytes),
        Collective.REDUCE_SCATTER: (most, own, (count - 1) * nbytes),
        Collective.ALL_GATHER: (own, most, (count - 1) * nbytes),
        Collective.BROADCAST: (
            [nbytes if rank == root else 0 for rank in range(count)],
            [0 if rank == root else nbytes for rank in range(count)],
            (count - 1) * nbytes,
        ),
    }[collective]
    # In a broadcast the root takes nothing in, so it does not share the load of the receivers.
    takers = nics.receiving if collective is not Collective.BROADCAST else _without(nics.receiving, root)
    return max(
        _slowest(out, nics.sending),
        _slowest(into, nics.receiving),
        _shared(total, nics.sending),
        _shared(total, takers),
    )


def _without(rates: Sequence[Fraction], rank: int) -> Sequence[Fraction]:
    return [*rates[:rank], *rates[rank + 1 :]]


def _slowest(amounts: Sequence[int], ps_per_byte: Sequence[Fraction]) -> int:
    return max(
        -(-amount * rate.numerator // rate.denominator) for amount, rate in zip(amounts, ps_per_byte, strict=True)
    )


def _shared(total: int, ps_per_byte: Sequence[Fraction]) -> int:
    """The time in which all ends together pass ``total`` bytes: never more, and exact for few different rates."""
    kinds = Counter(ps_per_byte)
    if len(kinds) <= _DISTINCT:
        together = sum((times / rate for rate, times in kinds.items()), Fraction(0))
        return -(-total * together.denominator // together.numerator)
    scaled = sum(times * -(-_SCALE * rate.denominator // rate.numerator) for rate, times in kinds.items())
    return total * _SCALE // scaled
