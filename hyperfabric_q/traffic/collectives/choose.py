"""Which algorithm, and what it takes: predictions for the links as they are, and the report of the one chosen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from hyperfabric_q.traffic.collectives.bounds import endpoint_bound_ps
from hyperfabric_q.traffic.collectives.nics import Nics
from hyperfabric_q.traffic.collectives.report import CollectiveReport, Prediction
from hyperfabric_q.traffic.collectives.schedule import ALGORITHMS, Collective, Racks, schedule_of
from hyperfabric_q.traffic.collectives.timing import schedule_timing

AUTO: Final = "auto"

REFERENCE: Final = "direct"
"""Considered by "auto" only when it is named: it needs a connection from every rank to every other one."""


def predict(
    collective: Collective | str,
    nbytes: int,
    nics: Nics,
    *,
    algorithm: str = AUTO,
    candidates: Sequence[str] | None = None,
    root: int = 0,
    racks: Racks | None = None,
    itemsize: int = 1,
) -> CollectiveReport:
    """Return the report of a collective on otherwise idle links, by the given algorithm or the fastest one.

    Args:
        collective: what to achieve.
        nbytes: size of the vector (in an all-gather of the whole of it).
        nics: the ends, one per rank.
        algorithm: a registered name, or "auto".
        candidates: what "auto" chooses among, by their predicted times and then by name; all registered ones but
            "direct" unless given.
        root: rank that a broadcast starts from.
        racks: ranks by rack; without them all share one.
        itemsize: no slice cuts through an element of so many bytes.

    Raises:
        UnknownName: no such algorithm.
        InvalidValue: the inputs do not fit together, or the times exceed 2**61 ps.
    """
    if algorithm != AUTO:
        names: Sequence[str] = (algorithm,)
    else:
        names = candidates or [name for name in ALGORITHMS if name != REFERENCE]
    plans = {name: schedule_of(collective, name, len(nics), root=root, racks=racks) for name in names}
    timings = {
        name: schedule_timing(plan, nbytes, nics, itemsize=itemsize, approximate=len(names) > 1)
        for name, plan in plans.items()
    }
    while not timings[best := min(names, key=lambda name: (timings[name].duration_ps, name))].exact:
        timings[best] = schedule_timing(plans[best], nbytes, nics, itemsize=itemsize)
    table = sorted(
        (Prediction(name, timing.duration_ps, timing.exact) for name, timing in timings.items()),
        key=lambda row: (row.duration_ps, row.algorithm),
    )
    chosen, timing = plans[best], timings[best]
    return CollectiveReport(
        collective=chosen.collective,
        algorithm=best,
        ranks=len(nics),
        nbytes=nbytes,
        timing=timing,
        bound_ps=endpoint_bound_ps(chosen.collective, nbytes, nics, root=root, itemsize=itemsize),
        predictions=tuple(table),
        capacity_bytes=sum(timing.duration_ps / float(rate) for rate in nics.receiving),
    )
