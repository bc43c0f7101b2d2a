"""Cost models by name: the plug-in kind ``cost model``, what a placement costs before it is lowered.

A cost model prices a pair over each link in whole numbers, which is what partitioners work with, and a whole placement
in its own unit. The two agree, so whoever makes one small makes the other small. Third parties add theirs through the
entry-point group ``hyperfabric_q.cost_model``; the contract suite runs over every member.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final, Protocol

from hyperfabric_q.distribution.chapters import Chapters, cost_in_time
from hyperfabric_q.distribution.network import Network
from hyperfabric_q.distribution.objectives import STEPS_PER_UNIT, link_price
from hyperfabric_q.distribution.program import IntArray
from hyperfabric_q.errors import InvalidValue
from hyperfabric_q.fabric import Fabric, Link
from hyperfabric_q.registry import Registry


class CostModel(Protocol):
    """What makes one placement better than another, as plug-ins provide it."""

    @property
    def unit(self) -> float:
        """What one unit of price costs."""
        ...

    def prices(self, fabric: Fabric) -> Callable[[Link], int] | None:
        """Return the whole positive price of a pair over a link, for ``network_of``; None for one each."""
        ...

    def __call__(self, chapters: Chapters, network: Network, homes: IntArray, sites: IntArray) -> float:
        """Return what a placement costs: ``unit`` times the prices of its pairs; 0 when no gate is remote.

        Args:
            chapters: the circuit in time.
            network: the nodes, with this model's prices: ``network_of(fabric, prices=model.prices(fabric))``.
            homes: home of each segment, shape (s,).
            sites: node of each gate, shape (g,).
        """
        ...


cost_models: Final[Registry[CostModel]] = Registry("cost model")
"""Cost models by name."""


def cost_model(name: str) -> CostModel:
    """Return the cost model called ``name``.

    Raises:
        UnknownName: there is none; the error lists the names and the nearest match.
    """
    return cost_models[name]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ebits:
    """Bell pairs, whatever the link."""

    @property
    def unit(self) -> float:
        """One."""
        return 1.0

    def prices(self, fabric: Fabric) -> Callable[[Link], int] | None:
        """Return None: one each."""
        del fabric
        return None

    def __call__(self, chapters: Chapters, network: Network, homes: IntArray, sites: IntArray) -> float:
        """Return the e-bits of a placement; prices of the network are not looked at."""
        plain = network if network.prices is None else replace(network, prices=None)
        return float(cost_in_time(chapters, plain, homes, sites))


@dataclass(frozen=True, slots=True, kw_only=True)
class Infidelity:
    """The sum of -ln F over all pairs, with the local operations of each copy; e to minus that is what they leave.

    Pairs count as fresh: what waiting costs is for the clock to say. 10⁻⁴ is added for each pair, so that even perfect
    pairs are not free.
    """

    @property
    def unit(self) -> float:
        """The step of the prices, 10⁻⁴."""
        return 1 / STEPS_PER_UNIT

    def prices(self, fabric: Fabric) -> Callable[[Link], int] | None:
        """Return the price of a link in ten-thousandths of -ln F."""
        return link_price(fabric)

    def __call__(self, chapters: Chapters, network: Network, homes: IntArray, sites: IntArray) -> float:
        """Return the sum of -ln F of a placement.

        Raises:
            InvalidValue: the network has no prices.
        """
        if network.prices is None:
            raise InvalidValue(
                field="network.prices",
                value=None,
                rule="the infidelity of a placement is the sum of the prices of its pairs",
                remedy="Make the network with the prices of this cost model.",
            )
        return self.unit * cost_in_time(chapters, network, homes, sites)


cost_models.register("ebits")(Ebits())
cost_models.register("infidelity")(Infidelity())
