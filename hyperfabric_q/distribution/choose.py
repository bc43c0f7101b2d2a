"""Which placement becomes the plan: the one of fewest e-bits, or the finalist that the clock says is best."""

from __future__ import annotations

from hyperfabric_q.distribution.lower import Lowered, lower
from hyperfabric_q.distribution.network import Network, network_of
from hyperfabric_q.distribution.objectives import Objective, link_price, score
from hyperfabric_q.distribution.place import Placement, place
from hyperfabric_q.distribution.program import IntArray, Program
from hyperfabric_q.distribution.schedule import schedule
from hyperfabric_q.distribution.segments import segments_of
from hyperfabric_q.fabric import Fabric


def choose(
    program: Program,
    fabric: Fabric,
    network: Network,
    *,
    objective: Objective,
    seed: int,
    homes: IntArray | None,
    time_limit_s: float,
) -> tuple[Placement, Lowered]:
    """Return the placement that is best by ``objective``, and the circuit it is lowered to.

    For "ebits" that is what the search finds. Otherwise the finalists are that one, the one found with prices of
    infidelity, and the best in which no qubit moves; each is put on the clock.

    Args:
        program: the circuit.
        fabric: nodes and links, for prices and times.
        network: the same as the compiler sees it.
        objective: what counts.
        seed: of the search.
        homes: pins every qubit to a node; None lets the search choose.
        time_limit_s: see ``place``; two searches share it unless e-bits count.

    Raises:
        NotEnoughQubits, NoQuantumPath, NotEnoughCommunicationQubits: as ``place``.
        InvalidValue: for the clock, a link makes no entanglement.
    """
    segments = segments_of(program)
    if objective == "ebits":
        best = place(program, segments, network, seed=seed, homes=homes, time_limit_s=time_limit_s)
        return best, lower(program, network, best.homes, best.steps)
    priced = network_of(fabric, prices=link_price(fabric))
    half = time_limit_s / 2
    finalists = [
        place(program, segments, network, seed=seed, homes=homes, time_limit_s=half),
        place(program, segments, priced, seed=seed, homes=homes, time_limit_s=half),
        place(program, segments, priced, seed=seed, homes=homes, time_limit_s=0),
    ]
    lowered = [lower(program, network, each.homes, each.steps) for each in finalists]
    scores = [score(schedule(each, fabric), objective) for each in lowered]
    chosen = scores.index(min(scores))
    return finalists[chosen], lowered[chosen]
