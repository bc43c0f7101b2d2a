"""Which placement becomes the plan: the one of fewest e-bits, or the finalist that the objective says is best."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple

from hyperfabric_q import seeds
from hyperfabric_q.distribution.cost_models import MOST_PRICE, cost_model, link_price, priced_network
from hyperfabric_q.distribution.local_figures import LocalFigures
from hyperfabric_q.distribution.lower import Lowered, lower
from hyperfabric_q.distribution.network import Network, network_of
from hyperfabric_q.distribution.objectives import CLOCKED, Objective, clocked_measures
from hyperfabric_q.distribution.place import Placement, place
from hyperfabric_q.distribution.program import IntArray, Program
from hyperfabric_q.distribution.route import route
from hyperfabric_q.distribution.schedule import schedule
from hyperfabric_q.distribution.segments import segments_of
from hyperfabric_q.distribution.steps import price_of
from hyperfabric_q.fabric import Fabric, Link

CONGESTION_ROUNDS: Final = 2
"""How often the prices of busy links are raised and the search repeated."""


OTHER_SEEDS: Final = 2
"""How many more searches are made where chips tell plans of equal cost apart."""


FEW_TRIALS: Final = 4
"""First layouts tried on each node while finalists are compared."""

ROUTED_AGAIN: Final = 3
"""How many of the best finalists are routed with all trials."""


class Chosen(NamedTuple):
    """A placement, the circuit it is lowered to, and that circuit on the chips (itself where there are none)."""

    placement: Placement
    lowered: Lowered
    routed: Lowered


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
) -> Chosen:
    """Return the placement that is best by ``objective``, lowered, and routed on the chips of the nodes.

    For "ebits" that is what the search finds. Otherwise the finalists are that one, those found with the prices of each
    measure, and for measures of the clock also the best in which no qubit moves, and those found with the prices of
    links raised by how busy the best so far keeps them. The plan of fewest e-bits is always among them. On
    chips, plans that are equal by the objective are told apart by the errors of their gates, SWAPs among them, and more
    finalists enter: searches from other seeds, and the best in which no qubit moves.

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
        InvalidValue: a cost model's price is none; for the clock, a link makes no entanglement.
    """
    segments = segments_of(program)
    contest = _Contest(fabric, network, objective, routing=seeds.word(seed, "route"))

    def enter(priced: Network, limit_s: float, other: int = 0) -> None:
        contest.enter(
            program,
            place(
                program, segments, priced, seed=seed + other, homes=homes, time_limit_s=limit_s, partitioner=partitioner
            ),
        )

    searched = [net for net in contest.by_model.values() if net.prices is not None]
    others = OTHER_SEEDS if network.coupled else 0
    each_s = time_limit_s / (1 + others + len(searched) + (1 + CONGESTION_ROUNDS) * objective.clocked)
    enter(network, each_s)
    for other in range(1, others + 1):
        enter(network, each_s, other)
    if others:
        enter(network, 0)
    for priced in searched:
        enter(priced, each_s)
    if objective.clocked:
        fair = link_price(fabric)
        enter(network_of(fabric, prices=fair), each_s)
        enter(network_of(fabric, prices=fair), 0)
        for _ in range(CONGESTION_ROUNDS):
            enter(network_of(fabric, prices=_congested(fair, contest.best().use)), each_s)
    if network.coupled:
        contest.route_again()
    return contest.best().chosen


class _Contest:
    """The finalists, and what the objective says of each."""

    def __init__(self, fabric: Fabric, network: Network, objective: Objective, *, routing: int) -> None:
        self.by_model = {name: priced_network(name, fabric) for name in objective.measures if name not in CLOCKED}
        self._fabric, self._network, self._objective, self._routing = fabric, network, objective, routing
        self._finalists: list[_Finalist] = []

    def enter(self, program: Program, placement: Placement) -> None:
        lowered = lower(program, self._network, placement.homes, placement.steps)
        routed = route(lowered, self._fabric, seed=self._routing, trials=FEW_TRIALS)
        self._judge(Chosen(placement, lowered, routed))

    def _judge(self, chosen: Chosen) -> None:
        routed = chosen.routed
        steps = chosen.placement.steps
        measured = {name: cost_model(name).unit * price_of(steps, net) for name, net in self.by_model.items()}
        use: Mapping[tuple[str, str], float] = {}
        if self._objective.clocked:
            table = schedule(routed, self._fabric)
            measured |= clocked_measures(table)
            use = table.link_use
        figures = LocalFigures(self._fabric, routed.node_of, routed.places)
        loss = figures.loss(routed.circuit) if self._network.coupled else 0.0
        self._finalists.append(_Finalist(measured, use, loss, chosen))

    def best(self) -> _Finalist:
        return self._finalists[self._best_of(self._finalists)]

    def _best_of(self, finalists: Sequence[_Finalist]) -> int:
        losses = [each.local for each in finalists] if self._network.coupled else ()
        return self._objective.best([each.measured for each in finalists], losses)

    def route_again(self) -> None:
        """Enter the best finalists again, routed with all trials."""
        left = list(self._finalists)
        for _ in range(min(ROUTED_AGAIN, len(left))):
            chosen = left.pop(self._best_of(left)).chosen
            self._judge(chosen._replace(routed=route(chosen.lowered, self._fabric, seed=self._routing)))


class _Finalist(NamedTuple):
    measured: Mapping[str, float]
    use: Mapping[tuple[str, str], float]
    local: float
    chosen: Chosen


def _congested(fair: Callable[[Link], int], use: Mapping[tuple[str, str], float]) -> Callable[[Link], int]:
    """Return prices that are higher the more of the makespan a link was busy: up to twice, when it never rests."""
    return lambda link: min(round(fair(link) * (1 + use.get(link.ends, 0.0))), MOST_PRICE)
