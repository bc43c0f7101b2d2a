"""Which way bytes go: least latency for a reference message, the same way every time.

Between nodes that declared links hold together, the cost of a path is the sum over its links of propagation plus the
serialisation of ``reference_bytes`` (4096 unless said otherwise): small enough that distance counts, and large enough
that a slow link is not free. Of equal costs the fewer hops win, then the node ids in alphabetical order. Other pairs
have one way, over the ideal switch and the lanes that their racks give them. A pair is routed when it is first asked
for.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise
from typing import Final

from hyperfabric_q.errors import NoRoute
from hyperfabric_q.fabric import fields
from hyperfabric_q.fabric.classical import (
    ClassicalNetwork,
    downlink_label,
    egress_label,
    ingress_label,
    link_label,
    uplink_label,
)
from hyperfabric_q.fabric.route import Route

MOST_REMEMBERED: Final = 1 << 17
"""Routes kept; a thousand nodes that all talk to each other would otherwise fill a gigabyte."""

MOST_TREES: Final = 512

MOST_EXPANSIONS: Final = 20_000
"""Partial paths that the search for alternatives looks at before it settles for what it has."""

Cost = tuple[int, int]

NOTHING: Final[frozenset[int]] = frozenset()


def route(network: ClassicalNetwork, a: str, b: str, *, without: frozenset[int] = NOTHING) -> Route:
    """Return the route of least latency from ``a`` to ``b``; from a node to itself it has no channels.

    The first time O(links·log nodes) over declared links, for every route to ``b``; constant over the switch and when
    asked again.

    Args:
        network: the channels.
        a: source.
        b: destination.
        without: numbers of channels that must not be used, such as those that are down; such routes are not remembered.

    Raises:
        UnknownName: one of the nodes does not exist.
        NoRoute: nothing leads from ``a`` to ``b``.
    """
    if without:
        return _found(network, a, b, without)
    routes = network.memory.routes
    known = routes.get((a, b))
    if known is None:
        known = _found(network, a, b, without)
        if len(routes) >= MOST_REMEMBERED:
            routes.clear()
        routes[a, b] = known
    return known


def alternatives(
    network: ClassicalNetwork, a: str, b: str, k: int = 8, *, slack: float = 1.0, without: frozenset[int] = NOTHING
) -> tuple[Route, ...]:
    """Return up to ``k`` routes from ``a`` to ``b``, by cost, hops and node ids; that of ``route`` comes first.

    No route visits a node twice.

    Args:
        network: the channels.
        a: source.
        b: destination.
        k: how many at most.
        slack: 1 keeps to the shortest routes, all of them up to ``k``; 1.5 adds those up to half as long again.
        without: numbers of channels that must not be used.

    Raises:
        UnknownName: one of the nodes does not exist.
        NoRoute: nothing leads from ``a`` to ``b``.
        InvalidValue: ``k`` or ``slack`` is out of range.
    """
    k = fields.count("k", k, "routing", least=1, most=10_000, what="routes")
    slack = fields.number("slack", slack, "routing", least=1, most=1e6)
    choices = network.memory.choices
    known = None if without else choices.get((a, b, k, slack))
    if known is not None:
        return known
    best = route(network, a, b, without=without)
    together = network.group_of[a] == network.group_of[b] and a != b
    found = _by_cost(network, a, b, k, slack, without) if together else (best,)
    if not without:
        if len(choices) >= MOST_REMEMBERED // 8:
            choices.clear()
        choices[a, b, k, slack] = found
    return found


def through(network: ClassicalNetwork, stops: Sequence[str], *, without: frozenset[int] = NOTHING) -> Route:
    """Return the route that visits ``stops`` in turn, such as a gateway between two zones; one stop gives none.

    Raises:
        UnknownName: a stop does not exist.
        NoRoute: nothing leads from one stop to the next.
    """
    legs = [route(network, a, b, without=without) for a, b in pairwise(stops)]
    if not legs:
        return route(network, stops[0], stops[0])
    return Route(
        channels=tuple(each for leg in legs for each in leg.channels),
        propagation_ps=tuple(each for leg in legs for each in leg.propagation_ps),
        hops=(stops[0], *(hop for leg in legs for hop in leg.hops[1:])),
    )


def idle_cost_ps(network: ClassicalNetwork, way: Route) -> int:
    """Return the cost that routes over declared links are compared by: see the head of this module."""
    serialisation = sum(network.channels[each].serialisation_ps(network.reference_bytes) for each in way.channels)
    return way.latency_ps + serialisation


# ------------------------------------------------------------------------------------------------------- one route


def _found(network: ClassicalNetwork, a: str, b: str, without: frozenset[int]) -> Route:
    a, b = network.fabric.node(a).node_id, network.fabric.node(b).node_id
    if a == b:
        return Route(channels=(), propagation_ps=(), hops=(a,))
    if network.group_of[a] != network.group_of[b]:
        return _switched(network, a, b, without)
    tree = _tree(network, b, without)
    if a not in tree:
        raise _cut_off(network, a, b, without)
    hops = [a]
    while hops[-1] != b:
        here = hops[-1]
        hops.append(
            next(
                other
                for other, number in network.links_from[here]
                if number not in without and other in tree and _plus(network, number, tree[other]) == tree[here]
            )
        )
    return _along(network, hops)


def _along(network: ClassicalNetwork, hops: Sequence[str]) -> Route:
    channels = tuple(network.number_of[link_label(a, b)] for a, b in pairwise(hops))
    delays = tuple(network.channels[number].propagation_ps for number in channels)
    return Route(channels=channels, propagation_ps=delays, hops=tuple(hops))


def _switched(network: ClassicalNetwork, a: str, b: str, without: frozenset[int]) -> Route:
    if not network.switched:
        raise NoRoute(
            source=a,
            destination=b,
            a=_members(network, a),
            b=_members(network, b),
            reason="no declared link joins their groups, and there is no ideal switch",
            remedy=f"connect({a!r}, {b!r}, bandwidth_gbps=...) declares a link; "
            "ideal_switch=True joins what links leave apart.",
        )
    first, second = network.rack_of.get(a), network.rack_of.get(b)
    labels = [egress_label(a)]
    latency_ps = network.pair_latency_ps(a, b)
    if first != second:
        labels += [uplink_label(network.lane_of[a])] if first is not None else []
        labels += [downlink_label(network.lane_of[b])] if second is not None else []
        latency_ps += network.core_latency_ps
    labels.append(ingress_label(b))
    channels = tuple(network.number_of[label] for label in labels)
    if not without.isdisjoint(channels):
        raise _shut(network, a, b, (a,), (b,), [each for each in channels if each in without])
    return Route(channels=channels, propagation_ps=(*(0,) * (len(channels) - 1), latency_ps), hops=(a, b))


# --------------------------------------------------------------------------------------------- paths of declared links


def _plus(network: ClassicalNetwork, number: int, rest: Cost) -> Cost:
    """Return the cost of a channel and what comes behind it."""
    spec = network.channels[number]
    return rest[0] + spec.propagation_ps + spec.serialisation_ps(network.reference_bytes), rest[1] + 1


def _tree(network: ClassicalNetwork, b: str, without: frozenset[int]) -> dict[str, Cost]:
    """Return what getting to ``b`` costs from each node that reaches it (Dijkstra 1959, backwards)."""
    trees = network.memory.trees
    if not without and b in trees:
        return trees[b]
    settled: dict[str, Cost] = {}
    heap: list[tuple[Cost, str]] = [((0, 0), b)]
    while heap:
        cost, here = heapq.heappop(heap)
        if here in settled:
            continue
        settled[here] = cost
        for other, _ in network.links_from.get(here, ()):
            number = network.number_of[link_label(other, here)]
            if other not in settled and number not in without:
                heapq.heappush(heap, (_plus(network, number, cost), other))
    if not without:
        if len(trees) >= MOST_TREES:
            trees.clear()
        trees[b] = settled
    return settled


def _by_cost(
    network: ClassicalNetwork, a: str, b: str, k: int, slack: float, without: frozenset[int]
) -> tuple[Route, ...]:
    """Return up to ``k`` simple paths in order, by best-first search whose bound is exact (Hart et al. 1968)."""
    tree = _tree(network, b, without)
    most_ps = int(tree[a][0] * Fraction(slack))
    heap: list[tuple[Cost, tuple[str, ...], Cost]] = [(tree[a], (a,), (0, 0))]
    found: list[Route] = []
    expansions = 0
    while heap and len(found) < k and expansions < MOST_EXPANSIONS:
        _, hops, spent = heapq.heappop(heap)
        here = hops[-1]
        if here == b:
            found.append(_along(network, hops))
            continue
        expansions += 1
        for other, number in network.links_from[here]:
            if number in without or other in hops or other not in tree:
                continue
            after = _plus(network, number, spent)
            whole = (after[0] + tree[other][0], after[1] + tree[other][1])
            if whole[0] <= most_ps:
                heapq.heappush(heap, (whole, (*hops, other), after))
    return tuple(found)


# ---------------------------------------------------------------------------------------------------------- no route


def _members(network: ClassicalNetwork, node_id: str) -> tuple[str, ...]:
    wanted = network.group_of[node_id]
    return tuple(each for each, group in network.group_of.items() if group == wanted)


def _cut_off(network: ClassicalNetwork, a: str, b: str, without: frozenset[int]) -> NoRoute:
    """Return the error for a group of declared links that ``without`` has torn apart."""
    near_b = set(_tree(network, b, without))
    group = _members(network, a)
    reaching = tuple(each for each in group if each in near_b)
    others = tuple(each for each in group if each not in near_b)
    return _shut(network, a, b, others, reaching, sorted(without))


def _shut(
    network: ClassicalNetwork, a: str, b: str, near_a: tuple[str, ...], near_b: tuple[str, ...], shut: list[int]
) -> NoRoute:
    named = ", ".join(network.channels[number].label for number in shut[:8])
    more = f" and {len(shut) - 8} more" if len(shut) > 8 else ""
    return NoRoute(
        source=a,
        destination=b,
        a=near_a,
        b=near_b,
        reason=f"these channels must not be used: {named}{more}",
        remedy="Wait until they are back, or declare another link between the two groups.",
    )
