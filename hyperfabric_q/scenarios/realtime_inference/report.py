"""What is told of the real-time inference scenario: its figures, and the answers of physics."""

from __future__ import annotations

import math
from typing import Final, NamedTuple

import numpy as np

import hyperfabric_q as hq
from hyperfabric_q.estimate import proportion
from hyperfabric_q.fabric.location import bound_ns, find_place
from hyperfabric_q.scenarios.outcome import Figure, Verdict
from hyperfabric_q.scenarios.realtime_inference.edges import (
    CHICAGO,
    DEADLINE_NS,
    EDGES,
    LARGE,
    MEMORY_RATE,
    SERVED,
    nearest_edge,
    service_ms,
)
from hyperfabric_q.scenarios.realtime_inference.requests import CITIES, Answers, Milliseconds, way_ms

BATCHES: Final = 10


class Sent(NamedTuple):
    """The same weights over fast and slow lines, as they are and rounded, and the large model."""

    fast: dict[str, hq.TransferResult]
    plain: dict[str, hq.TransferResult]
    rounded: dict[str, hq.TransferResult]
    large: dict[str, hq.TransferResult]


def distribution(sent: Sent, nbytes: int) -> tuple[Figure, ...]:
    """Return how the weights got to the edges."""
    lines = ("fast", "plain", "rounded", "large")
    named = {"fast": "weights", "plain": "weights at 1 Gb/s", "rounded": "weights at 1 Gb/s, bf16", "large": "350 GB"}
    decided = next(iter(sent.rounded.values())).receipt.compression
    return (
        Figure(name="weights", value=nbytes / 1e3, unit="kB", origin="computed"),
        *(
            Figure(
                name=f"light to {edge}",
                value=bound_ns(find_place(CHICAGO), find_place(place)) / 1e6,
                unit="ms",
                origin="bound",
            )
            for edge, place in EDGES.items()
        ),
        *(
            Figure(name=f"{named[line]} to {edge}", value=found.latency_ns / 1e6, unit="ms")
            for line, results in zip(lines, sent, strict=True)
            for edge, found in results.items()
        ),
        Figure(
            name="error of bf16",
            value=0.0 if decided is None or decided.relative_error is None else decided.relative_error,
            origin="computed",
        ),
    )


def quantile(name: str, sample: Milliseconds, share: float) -> Figure:
    """Return a quantile; its error is half the distance between the order statistics one standard error away."""
    ordered, count = np.sort(sample), len(sample)
    spread = (share * (1 - share) * count) ** 0.5
    low, high = max(math.floor(count * share - spread), 0), min(math.ceil(count * share + spread), count - 1)
    stderr = float(ordered[high] - ordered[low]) / 2
    return Figure(name=name, value=float(np.quantile(sample, share)), unit="ms", stderr=stderr)


def mean_wait(waits: list[Milliseconds]) -> Figure:
    """Return the mean wait for others; its error is that of the means of ten stretches of each server's day."""
    means = np.concatenate([[part.mean() for part in np.array_split(each, BATCHES)] for each in waits])
    value = float(np.concatenate(waits).mean())
    stderr = float(means.std(ddof=1) / len(means) ** 0.5)
    return Figure(name="mean wait for others", value=value, unit="ms", stderr=stderr)


def latencies(where: str, found: Answers) -> tuple[Figure, ...]:
    """Return the latencies of all requests together, and how many came too late."""
    late = found.latency_ms > DEADLINE_NS / 1e6
    share = proportion(int(late.sum()), late.size)
    return (
        quantile(f"{where}: p50", found.latency_ms, 0.5),
        quantile(f"{where}: p99", found.latency_ms, 0.99),
        Figure(name=f"{where}: too late", value=share.value, stderr=share.stderr),
    )


def of_city(city: str, found: Answers) -> tuple[Figure, ...]:
    """Return what the users of one city have of their nearest edge."""
    light = 2 * way_ms(CITIES[city], EDGES[nearest_edge(city)])
    late = found.of(city) > DEADLINE_NS / 1e6
    share = proportion(int(late.sum()), late.size)
    return (
        Figure(name=f"{city}: light in fibre there and back", value=light, unit="ms", origin="bound"),
        quantile(f"{city}: p50", found.of(city), 0.5),
        quantile(f"{city}: p99", found.of(city), 0.99),
        Figure(name=f"{city}: too late", value=share.value, stderr=share.stderr),
    )


def verdicts(found: dict[str, float], sent: Sent) -> tuple[Verdict, ...]:
    """Return what can be had, and what light and memory forbid; ``found`` are the figures by name."""
    skipped = next(iter(sent.fast.values())).receipt.compression
    reason = "" if skipped is None else skipped.reason
    plain, rounded = (found[f"weights at 1 Gb/s{how} to edge-nyc-01"] for how in ("", ", bf16"))
    late_there = found["central store: too late"]
    limit_ms, token_ms = DEADLINE_NS / 1e6, service_ms(SERVED)
    far = [city for city in CITIES if found[f"{city}: light in fibre there and back"] + token_ms > limit_ms]
    km = (limit_ms - token_ms) / 2 / way_ms("0, 0", "0, 1") * 111.2
    return (
        Verdict(
            asked="all users answered within 1 ms from two edges",
            holds=found["nearest edge: too late"] == 0,
            because=f"{found['nearest edge: too late']:.1%} are not; out of reach of light in fibre: {', '.join(far)}.",
            remedy=(
                f"A server within {km:.0f} km of every user, here {found['sites for 1 ms']:.0f} sites, and fewer "
                f"requests to each; for 20 ms {found['sites for 20 ms']:.0f} would do."
            ),
        ),
        Verdict(
            asked="users answered within 1 ms from the central store",
            holds=late_there == 0,
            because=f"{late_there:.1%} are not; the median is {found['central store: p50']:.3g} ms.",
            remedy="Place the model where users are.",
        ),
        Verdict(
            asked="half of the users next door answered within 0.3 ms",
            holds=found["newark: p50"] <= 0.3,
            because=f"The median in Newark is {found['newark: p50']:.3g} ms; one token takes {token_ms:.3g} ms of it.",
            remedy=f"A model of {0.1 / token_ms * SERVED / 1e6:.0f} million parameters takes 0.1 ms per token.",
        ),
        Verdict(
            asked="weights compressed on the way arrive sooner at 200 Gb/s",
            holds=skipped is not None and skipped.codec != "none",
            because=f"{reason[0].upper()}{reason[1:]}." if reason else "",
            remedy=f"On slow lines it pays: at 1 Gb/s {rounded:.3g} ms in bfloat16 instead of {plain:.3g} ms.",
        ),
        Verdict(
            asked=f"a token of {LARGE:,} parameters within 1 ms from one A100",
            holds=service_ms(LARGE) <= limit_ms,
            because=f"To read {2 * LARGE / 1e9:g} GB once takes {service_ms(LARGE):.4g} ms, and it holds only 80 GB.",
            remedy=f"{MEMORY_RATE * DEADLINE_NS / 2e18:.3g} billion parameters take 1 ms.",
        ),
    )
