"""Cost models by name: the plug-in kind ``cost model``, what a placement costs before it is lowered.

A cost model prices a pair over each link in whole numbers, which is what partitioners work with, and a whole placement
in its own unit. The two agree, so whoever makes one small makes the other small. Each names an objective of
``plan``. Third parties add theirs through the entry-point group ``hyperfabric_q.cost_model``; the contract suite runs
over every member.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final, Protocol

from hyperfabric_q.distribution.chapters import Chapters, cost_in_time
from hyperfabric_q.distribution.network import Network, network_of
from hyperfabric_q.distribution.program import IntArray
from hyperfabric_q.errors import InvalidValue
from hyperfabric_q.fabric import Fabric, Link, NodeSignature
from hyperfabric_q.registry import Registry

STEPS_PER_UNIT: Final = 10_000
"""Prices of infidelity are whole numbers: ten-thousandths of -ln F."""

LEAST_FIDELITY: Final = 1e-3

MOST_PRICE: Final = 90_000
"""The highest price of a pair: trees of eleven such links still cost less than a node that cannot be reached."""


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


def priced_network(name: str, fabric: Fabric) -> Network:
    """Return the network of a fabric with the prices of the cost model called ``name``.

    Raises:
        UnknownName: there is no such cost model.
        InvalidValue: it returned a price that is no whole number in 1..``MOST_PRICE``.
    """
    prices = cost_model(name).prices(fabric)
    if prices is None:
        return network_of(fabric)

    def checked(link: Link) -> int:
        price = prices(link)
        if type(price) is not int or not 1 <= price <= MOST_PRICE:
            raise InvalidValue(
                field=f"price of a pair over {'--'.join(link.ends)!r}",
                value=price,
                rule=f"the cost model {name!r} must price each link by a whole number in 1..{MOST_PRICE}",
                remedy="Scale its prices, and its unit the other way.",
            )
        return price

    return network_of(fabric, prices=checked)


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


def link_price(fabric: Fabric) -> Callable[[Link], int]:
    """Return a function: the price of a pair over a link, in ten-thousandths of -ln F, at least 1.

    A copy takes a two-qubit gate and a measurement at its source, and a measurement at its target. One is added to
    every price, so that among perfect links fewer e-bits are better.
    """

    def price(link: Link) -> int:
        loss = -math.log(max(link.pair_fidelity or LEAST_FIDELITY, LEAST_FIDELITY))
        loss += (_local(fabric.node(link.a)) + _local(fabric.node(link.b))) / 2
        return min(1 + round(STEPS_PER_UNIT * loss), MOST_PRICE)

    return price


def _local(node: NodeSignature) -> float:
    """Return -ln of what a copy's local operations leave, on the average of both directions."""
    gate = 1.25 * (node.gate_error_2q or 0.0)  # process infidelity of an average gate infidelity, for two qubits
    return -math.log(max(1 - gate, LEAST_FIDELITY)) - 2 * math.log(max(1 - (node.readout_error or 0.0), LEAST_FIDELITY))


cost_models.register("ebits")(Ebits())
cost_models.register("infidelity")(Infidelity())
