"""Answers in a millisecond: a model goes from a central store to two edges, and users in six cities ask them.

A small transformer is sent and really answers; how long an answer takes on the clock is that of a larger model, stated
below, whose weights have to be read from memory once per token.
"""

from __future__ import annotations

from typing import Final, cast

import numpy as np

import hyperfabric_q as hq
from hyperfabric_q import seeds
from hyperfabric_q.scenarios.catalogue import Size
from hyperfabric_q.scenarios.context import World, current_world
from hyperfabric_q.scenarios.outcome import Figure, Outcome
from hyperfabric_q.scenarios.realtime_inference.edges import (
    DEADLINE_NS,
    EDGES,
    LARGE,
    SERVED,
    STORE,
    distribute,
    edge_network,
    nearest_edge,
    service_ms,
)
from hyperfabric_q.scenarios.realtime_inference.report import (
    Sent,
    distribution,
    latencies,
    mean_wait,
    of_city,
    verdicts,
)
from hyperfabric_q.scenarios.realtime_inference.requests import CITIES, Server, answered, fewest_sites, requests
from hyperfabric_q.scenarios.realtime_inference.transformer import SHAPE, Array, transformer, weights

REQUESTS: Final = {"small": 60, "full": 500}
RATE_HZ: Final = 500.0
SLOW_GBPS: Final = 1.0


def load_transformer_weights(name: str) -> Array:
    """Return the weights of a small transformer as one vector of single precision.

    The weights of commercial models are not to be had: whatever the name, this is the one of
    ``realtime_inference_transformer``, turned by a rotation that follows from the name and the world's seed.
    """
    rng = seeds.stream(current_world().seed, "scenarios", "transformer", name)
    return weights(SHAPE, rng)


async def _play(size: Size, world: World) -> Outcome:
    protocol, slow = edge_network(), edge_network(edge_gbps=SLOW_GBPS)
    model = load_transformer_weights("gpt-4-turbo")
    sent = Sent(
        fast=await distribute(protocol, model),
        plain=await distribute(slow, model, codec=False),
        rounded=await distribute(slow, model, codec="bf16"),
        large=await distribute(protocol, hq.VirtualTensor((LARGE,), "bfloat16")),
    )
    asked = requests(SHAPE, REQUESTS[size], RATE_HZ, world.stream("realtime_inference"))
    servers = {}
    for name in (*EDGES, STORE):
        got = model if name == STORE else cast("Array", sent.rounded[name].value)
        servers[name] = Server(protocol, transformer(SHAPE, got), service_ms(SERVED) * 1e6)
        protocol.attach_handler(name, servers[name])
    near = await answered(protocol, asked, nearest_edge, DEADLINE_NS)
    central = await answered(protocol, asked, lambda _: STORE, DEADLINE_NS)
    waits = [np.array(servers[edge].waits_ns) / 1e6 for edge in EDGES]
    figures = (
        *distribution(sent, model.nbytes),
        Figure(name="one token of the model that is timed", value=service_ms(SERVED), unit="ms", origin="bound"),
        Figure(name="requests", value=len(asked), origin="stated"),
        Figure(name="right answers", value=float(near.right.mean()), origin="computed"),
        mean_wait(waits),
        *latencies("nearest edge", near),
        *latencies("central store", central),
        *(figure for city in CITIES for figure in of_city(city, near)),
        *(
            Figure(name=f"sites for {limit} ms", value=len(fewest_sites(limit, service_ms(SERVED))), origin="computed")
            for limit in (1, 10, 20, 40)
        ),
    )
    return Outcome(
        scenario="realtime_inference",
        size=size,
        seed=world.seed,
        figures=figures,
        verdicts=verdicts({each.name: each.value for each in figures}, sent),
        notes=(
            "The edges answer with the weights as they came over the slow lines, rounded to bfloat16.",
            f"An answer takes what {SERVED:,} parameters of 2 bytes take to be read; the small model stands for it.",
            "Routes are great circles of fibre; real ones are longer.",
        ),
    )


def play(*, size: Size) -> Outcome:
    """Return how weights get to the edges, and what users in six cities have of it."""
    return hq.run(_play(size, current_world()))
