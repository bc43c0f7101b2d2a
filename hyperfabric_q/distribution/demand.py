"""Whether links make as many pairs as a circuit takes in every cycle."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from hyperfabric_q.distribution.lower import Lowered
from hyperfabric_q.distribution.operations import PAIR
from hyperfabric_q.entanglement.links import QuantumNet
from hyperfabric_q.errors import DeadlineImpossible, InvalidValue
from hyperfabric_q.fabric import Fabric, fields
from hyperfabric_q.units import PS_PER_NS

_ROUNDING = 1e-9


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkDemand:
    """Pairs per cycle on a link: what the circuit takes, and what the link makes on average.

    Attributes:
        link: node ids of both ends, in alphabetical order.
        needed: pairs that the circuit takes.
        available: rate x cycle.
        cycle_ns: the cycle.
    """

    link: tuple[str, str]
    needed: int
    available: float
    cycle_ns: float

    @property
    def share(self) -> float:
        """The part of the cycle in which the link is busy; 1 leaves nothing for anyone else."""
        return self.needed / self.available


def check_demand(lowered: Lowered, fabric: Fabric, cycle_ns: float) -> tuple[LinkDemand, ...]:
    """Return the demand on every link that ``lowered`` uses, the busiest first, if it can be met once per cycle.

    A rate is an average: a demand of nearly all that a link makes is met on average, and often late.

    Args:
        lowered: what runs once per cycle.
        fabric: the nodes and links.
        cycle_ns: how long a cycle is.

    Raises:
        InvalidValue: the cycle is no duration above zero, or the pairs of a link are not entangled.
        DeadlineImpossible: a link makes fewer pairs per cycle than are needed; the error names the one that lacks most.
    """
    cycle = fields.number("cycle_ns", cycle_ns, "a cycle", above=True, most=fields.LONGEST_NS, unit="ns")
    net = QuantumNet(fabric)
    rows = []
    for ends, needed in _pairs(lowered).items():
        found = net.stretch(ends)
        if isinstance(found, InvalidValue):
            raise found
        attempts = cycle * PS_PER_NS / found.link.attempt_ps
        rows.append(LinkDemand(link=ends, needed=needed, available=attempts * found.link.success, cycle_ns=cycle))
    rows.sort(key=lambda row: (-row.share, row.link))
    if rows and rows[0].share > 1 + _ROUNDING:
        _refuse(rows[0], rate_hz=rows[0].available / cycle * 1e9)
    return tuple(rows)


def _refuse(row: LinkDemand, rate_hz: float) -> None:
    a, b = row.link
    raise DeadlineImpossible(
        source=a,
        destination=b,
        constraint_ns=row.cycle_ns,
        bound_ns=row.needed / rate_hz * 1e9,
        bottleneck=f"the rate of Bell pairs, {rate_hz:.6g} per second ({row.needed} are needed per cycle, and "
        f"{row.available:.6g} are made),",
        remedy=f"Allow a longer cycle, raise the rate of '{a}--{b}' to {row.needed / row.cycle_ns * 1e9:.6g} per "
        "second, or place the circuit so that fewer gates cross this link.",
    )


def _pairs(lowered: Lowered) -> Mapping[tuple[str, str], int]:
    wire = {qubit: place for place, qubit in enumerate(lowered.circuit.qubits)}
    counts: dict[tuple[str, str], int] = {}
    for instruction in lowered.circuit.data:
        if instruction.name == PAIR:
            first, second = (lowered.node_of[wire[qubit]] for qubit in instruction.qubits)
            ends = (min(first, second), max(first, second))
            counts[ends] = counts.get(ends, 0) + 1
    return counts
