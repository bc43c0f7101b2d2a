"""A route: the directed channels that bytes take from one node to another, in order."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """Return a route.

    Args:
        channels: numbers of the channels, in order; none from a node to itself.
        propagation_ps: the delay behind each of them.
        hops: the nodes that the bytes are on, from the source to the destination; switches are no nodes.
    """

    channels: tuple[int, ...]
    propagation_ps: tuple[int, ...]
    hops: tuple[str, ...]

    @property
    def latency_ps(self) -> int:
        """What a route adds to serialisation on an idle fabric."""
        return sum(self.propagation_ps)


@dataclass(slots=True, eq=False)
class RouteMemory:
    """Answers found before, so that they need not be found again; forgetting all of them changes nothing.

    Args:
        routes: (source, destination) → route.
        choices: (source, destination, how many, slack) → alternatives.
        trees: destination → node → (least cost in ps, hops) of getting there over declared links.
    """

    routes: dict[tuple[str, str], Route] = field(default_factory=dict)
    choices: dict[tuple[str, str, int, float], tuple[Route, ...]] = field(default_factory=dict)
    trees: dict[str, dict[str, tuple[int, int]]] = field(default_factory=dict)
