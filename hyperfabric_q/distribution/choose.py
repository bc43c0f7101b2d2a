"""Which placement becomes the plan: the one of fewest e-bits, or the finalist that the clock says is best."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from operator import attrgetter
from typing import Final, NamedTuple

from hyperfabric_q.distribution.lower import Lowered, lower
from hyperfabric_q.distribution.network import Network, network_of
from hyperfabric_q.distribution.objectives import Objective, link_price, score
from hyperfabric_q.distribution.place import Placement, place
from hyperfabric_q.distribution.program import IntArray, Program
from hyperfabric_q.distribution.schedule import schedule
from hyperfabric_q.distribution.segments import segments_of
from hyperfabric_q.distribution.timetable import Timetable
from hyperfabric_q.fabric import Fabric, Link

CONGESTION_ROUNDS: Final = 2
"""How often the prices of busy links are raised and the search repeated."""


def choose(
    program: Program,
    fabric: Fabric,
    network: Network,
    *,
    objective: Objective,
    seed: int,
    homes: IntArray | None,
    time_limit_s: float,
    partitioner: str | None = None,
) -> tuple[Placement, Lowered]:
    """Return the placement that is best by ``objective``, and the circuit it is lowered to.

    For "ebits" that is what the search finds. Otherwise the finalists are that one, the one found with prices of
    infidelity, the best in which no qubit moves, and those found with the prices of links raised by how busy the best
    so far keeps them; each is put on the clock.

    Args:
        program: the circuit.
        fabric: nodes and links, for prices and times.
        network: the same as the compiler sees it.
        objective: what counts.
        seed: of the search.
        homes: pins every qubit to a node; None lets the search choose.
        time_limit_s: see ``place``; the searches share it.
        partitioner: see ``place``.

    Raises:
        NotEnoughQubits, NoQuantumPath, NotEnoughCommunicationQubits: as ``place``.
        InvalidValue: for the clock, a link makes no entanglement.
    """
    segments = segments_of(program)
    if objective == "ebits":
        best = place(
            program, segments, network, seed=seed, homes=homes, time_limit_s=time_limit_s, partitioner=partitioner
        )
        return best, lower(program, network, best.homes, best.steps)
    fair = link_price(fabric)
    each_s = time_limit_s / (2 + CONGESTION_ROUNDS)
    finalists: list[_Finalist] = []

    def enter(priced: Network, limit_s: float) -> None:
        placement = place(
            program, segments, priced, seed=seed, homes=homes, time_limit_s=limit_s, partitioner=partitioner
        )
        lowered = lower(program, network, placement.homes, placement.steps)
        table = schedule(lowered, fabric)
        finalists.append(_Finalist(score(table, objective), placement, lowered, table))

    enter(network, each_s)
    enter(network_of(fabric, prices=fair), each_s)
    enter(network_of(fabric, prices=fair), 0)
    for _ in range(CONGESTION_ROUNDS):
        use = min(finalists, key=attrgetter("score")).table.link_use
        enter(network_of(fabric, prices=_congested(fair, use)), each_s)
    winner = min(finalists, key=attrgetter("score"))
    return winner.placement, winner.lowered


class _Finalist(NamedTuple):
    score: float
    placement: Placement
    lowered: Lowered
    table: Timetable


def _congested(fair: Callable[[Link], int], use: Mapping[tuple[str, str], float]) -> Callable[[Link], int]:
    """Return prices that are higher the more of the makespan a link was busy: up to twice, when it never rests."""
    return lambda link: round(fair(link) * (1 + use.get(link.ends, 0.0)))
