"""What a plan is chosen by: e-bits, predicted infidelity, or makespan.

E-bits are what the search minimises, link by link alike. For infidelity, a pair over a link is priced by what it costs
in -ln F: its own infidelity, and that of the local operations which spread and release a copy. Searching with those
prices favours good links and takes detours over them. The clock decides in the end: finalists are put on it
(``schedule``), and the one of least infidelity or makespan is kept. The plan of fewest e-bits is always among them.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final, Literal

from hyperfabric_q.distribution.timetable import Timetable
from hyperfabric_q.errors import UnknownName
from hyperfabric_q.fabric import Fabric, Link, NodeSignature

Objective = Literal["ebits", "fidelity", "makespan"]

OBJECTIVES: Final[tuple[Objective, ...]] = ("ebits", "fidelity", "makespan")

STEPS_PER_UNIT: Final = 10_000
"""Prices are whole numbers: ten-thousandths of -ln F."""

LEAST_FIDELITY: Final = 1e-3


def checked(objective: str) -> Objective:
    """Return ``objective``.

    Raises:
        UnknownName: there is no such objective.
    """
    for known in OBJECTIVES:
        if objective == known:
            return known
    raise UnknownName(kind="objective", name=str(objective)[:200], known=OBJECTIVES)


def link_price(fabric: Fabric) -> Callable[[Link], int]:
    """Return a function: the price of a pair over a link, in ten-thousandths of -ln F, at least 1.

    A copy takes a two-qubit gate and a measurement at its source, and a measurement at its target. One is added to
    every price, so that among perfect links fewer e-bits are better.
    """

    def price(link: Link) -> int:
        loss = -math.log(max(link.pair_fidelity or LEAST_FIDELITY, LEAST_FIDELITY))
        loss += (_local(fabric.node(link.a)) + _local(fabric.node(link.b))) / 2
        return 1 + round(STEPS_PER_UNIT * loss)

    return price


def _local(node: NodeSignature) -> float:
    """Return -ln of what a copy's local operations leave, on the average of both directions."""
    gate = 1.25 * (node.gate_error_2q or 0.0)  # process infidelity of an average gate infidelity, for two qubits
    return -math.log(max(1 - gate, LEAST_FIDELITY)) - 2 * math.log(max(1 - (node.readout_error or 0.0), LEAST_FIDELITY))


def score(table: Timetable, objective: Objective) -> float:
    """Return what the clock says of a plan; less is better."""
    return float(table.makespan_ps.mean() if objective == "makespan" else table.infidelity.mean())
