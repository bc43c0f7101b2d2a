"""Requests from six cities, the servers that answer them one after another, and where servers would have to stand."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any, Final, TypeAlias

import numpy as np

import hyperfabric_q as hq
from hyperfabric_q.fabric.location import fibre_ns, find_place
from hyperfabric_q.scenarios.realtime_inference.transformer import Array, Shape, Tokens, next_token, repeating_text

Milliseconds: TypeAlias = np.ndarray[Any, np.dtype[np.float64]]

CITIES: Final = {
    "newark": "40.736, -74.172",
    "oakland": "37.804, -122.271",
    "boston": "42.360, -71.058",
    "los-angeles": "34.054, -118.243",
    "chicago": "41.850, -87.650",
    "denver": "39.739, -104.985",
}
"""Where users are. Coordinates are understood without a gazetteer."""

ANSWER_BYTES: Final = 8


def way_ms(a: str, b: str) -> float:
    """Return what light in fibre takes from one pair of coordinates to another, along the great circle."""
    return fibre_ns(find_place(a), find_place(b)) / 1e6


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A text from a city at a time, and the token that must follow."""

    city: str
    sent_ns: float
    text: Tokens
    right: int


def requests(shape: Shape, each: int, rate_hz: float, rng: np.random.Generator) -> list[Request]:
    """Return requests that come at random (Poisson), the same number and rate from every city."""
    found = []
    for city in CITIES:
        for at in np.cumsum(rng.exponential(1e9 / rate_hz, each)).tolist():
            text, right = repeating_text(shape, rng)
            found.append(Request(city=city, sent_ns=at, text=text, right=right))
    return found


@dataclass(slots=True, eq=False)
class Server:
    """A node that answers one request after another, each in the same time; ``waits_ns`` says how long each stood."""

    protocol: hq.HyperFabricProtocol
    model: Mapping[str, Array]
    service_ns: float
    waits_ns: list[float] = field(default_factory=list)
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def __call__(self, packet: hq.Packet) -> int:
        """Return the likeliest next token of the text that came in."""
        came_ns = self.protocol.now_ns
        async with self._turn:
            self.waits_ns.append(self.protocol.now_ns - came_ns)
            await self.protocol.sleep_ns(self.service_ns)
            return int(next_token(dict(self.model), packet.data[None])[0])


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """What became of requests, in their order.

    Attributes:
        city: from which each came.
        latency_ms: from sending the request until the answer was back.
        right: whether it was the right one.
    """

    city: np.ndarray[Any, np.dtype[np.str_]]
    latency_ms: Milliseconds
    right: np.ndarray[Any, np.dtype[np.bool_]]

    def of(self, city: str) -> Milliseconds:
        """Return the latencies of one city, in ms."""
        found: Milliseconds = self.latency_ms[self.city == city]
        return found


async def answered(
    protocol: hq.HyperFabricProtocol, asked: list[Request], server_of: Callable[[str], str], deadline_ns: int
) -> Answers:
    """Return what becomes of requests when every city asks the server that ``server_of`` names."""
    begun_ns = protocol.now_ns

    async def one(request: Request) -> tuple[float, bool]:
        await protocol.sleep_ns(request.sent_ns)
        user, server = f"user-{request.city}", server_of(request.city)
        sent = await protocol.send_data(
            source=user,
            destination=server,
            data=request.text,
            data_type=hq.DataType.TENSOR,
            priority=hq.PacketPriority.HIGH,
            latency_constraint_ns=deadline_ns,
        )
        await protocol.send_data(source=server, destination=user, data=sent, priority=hq.PacketPriority.HIGH)
        return (protocol.now_ns - begun_ns - request.sent_ns) / 1e6, sent.value == request.right

    found = await asyncio.gather(*map(one, asked))
    return Answers(
        city=np.array([request.city for request in asked]),
        latency_ms=np.array([latency for latency, _ in found]),
        right=np.array([right for _, right in found]),
    )


def fewest_sites(deadline_ms: float, service_ms: float) -> tuple[str, ...]:
    """Return the smallest set of cities whose servers reach the users of all six in time, were nobody else asking.

    All sets are tried, the smallest first; empty if no set will do.
    """
    reach = {
        (site, city): 2 * way_ms(CITIES[site], CITIES[city]) + service_ms <= deadline_ms
        for site in CITIES
        for city in CITIES
    }
    for count in range(1, len(CITIES) + 1):
        for sites in combinations(CITIES, count):
            if all(any(reach[site, city] for site in sites) for city in CITIES):
                return sites
    return ()
