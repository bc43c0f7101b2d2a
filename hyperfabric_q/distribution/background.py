"""Other traffic beside a program: messages that its own have to queue behind, and demands for pairs that links serve.

**Messages** take the route of their bytes (``fabric.routing``), channel by channel, first come first served. So do the
program's: a measured bit adds nothing to the load, but on every channel of its route it waits until what came before it
is sent. On a channel with Poisson traffic of equal messages it waits as in the queue M/D/1.

**Pairs** that others demand of a link are served in the order of their requests, the program's among them: a request
waits until the link has made the pairs that were demanded before. That is the queue M/G/1 with geometric service. The
communication qubits of others are not those of the program.

Every run sees the traffic from a random moment on. Poisson traffic begins with the backlog of the steady state
(Pollaczek and Khinchine), all other traffic is run for a while before the program begins.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from hyperfabric_q.entanglement.elementary import Elementary
from hyperfabric_q.errors import InvalidValue
from hyperfabric_q.fabric import Fabric, fields
from hyperfabric_q.fabric.classical import ChannelSpec, ClassicalNetwork, classical_network
from hyperfabric_q.fabric.route import Route
from hyperfabric_q.fabric.routing import route
from hyperfabric_q.seeds import stream
from hyperfabric_q.units import PS_PER_S, PS_PER_US

Instants: TypeAlias = NDArray[np.int64]

MOST_RATE_HZ: Final = 1e12
MOST_BYTES: Final = 1 << 40
CHUNK_PS: Final = PS_PER_US
"""What is stored before it is forwarded, as in the traffic of payloads."""

MOST_CELLS: Final = 20_000_000
"""Messages x runs on the busiest channel, or demands x runs on the busiest link."""

_BLOCK: Final = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class BackgroundMessages:
    """Return messages of other programs from one node to another, at random times unless ``periodic``.

    Args:
        source: node id.
        destination: node id.
        size_bytes: of each message, on the wire.
        rate_hz: messages per second.
        periodic: whether they come at equal distances, from a random moment on; else as a Poisson process.

    Raises:
        InvalidValue: a figure is out of range, or both ends are one node.
    """

    source: str
    destination: str
    size_bytes: int
    rate_hz: float
    periodic: bool = False

    def __post_init__(self) -> None:
        owner = f"background {self.source!r} to {self.destination!r}"
        fields.number("rate_hz", self.rate_hz, owner, above=True, most=MOST_RATE_HZ, unit="Hz")
        fields.count("size_bytes", self.size_bytes, owner, least=1, most=MOST_BYTES, what="bytes")
        if self.source == self.destination:
            raise InvalidValue(field="destination", value=self.destination, rule="messages go to another node")


@dataclass(frozen=True, slots=True, kw_only=True)
class BackgroundPairs:
    """Return demands of other programs for Bell pairs of a link, at random times (Poisson).

    Args:
        a: node id of one end.
        b: node id of the other end.
        rate_hz: pairs per second.

    Raises:
        InvalidValue: the rate is out of range.
    """

    a: str
    b: str
    rate_hz: float

    def __post_init__(self) -> None:
        owner = f"background pairs of '{self.a}--{self.b}'"
        fields.number("rate_hz", self.rate_hz, owner, above=True, most=MOST_RATE_HZ, unit="Hz")


Background: TypeAlias = BackgroundMessages | BackgroundPairs


def checked(background: object) -> tuple[Background, ...]:
    """Return a sequence of background traffic as a tuple.

    Raises:
        InvalidValue: it is none.
    """
    rule = "background is a sequence of BackgroundMessages and BackgroundPairs"
    if not isinstance(background, Sequence) or isinstance(background, str):
        raise InvalidValue(field="background", value=background, rule=rule)
    for each in background:
        if not isinstance(each, BackgroundMessages | BackgroundPairs):
            raise InvalidValue(field="background", value=each, rule=rule)
    return tuple(background)


class Beside:
    """One realisation of the background for each of several runs, up to ``horizon_ps`` after the program's start."""

    def __init__(
        self,
        background: Sequence[Background],
        fabric: Fabric,
        links: Sequence[Elementary],
        *,
        runs: int,
        seed: int,
        horizon_ps: int,
    ) -> None:
        """Draw the traffic; O(messages log messages x runs).

        Args:
            background: what there is.
            fabric: where.
            links: the links that the program uses.
            runs: how many.
            seed: the same seed gives the same traffic, whatever the horizon.
            horizon_ps: until when.

        Raises:
            UnknownName: a node does not exist.
            InvalidValue: a channel or a link is asked for more than it can do, or there is too much to be drawn.
        """
        self.horizon_ps = horizon_ps
        self.exceeded = False
        self._runs = np.arange(runs)
        self._network = classical_network(fabric)
        flows = [each for each in background if isinstance(each, BackgroundMessages)]
        self._queues = _queues(flows, self._network, runs=runs, seed=seed, horizon_ps=horizon_ps)
        self._servers: dict[int, _Server] = {}
        rates: dict[tuple[str, str], float] = {}
        for each in background:
            if isinstance(each, BackgroundPairs):
                link = fabric.link(each.a, each.b) if each.a != each.b else None
                if link is None or not link.quantum:
                    rule = "pairs are demanded of a link that makes them"
                    raise InvalidValue(field="background", value=f"{each.a}--{each.b}", rule=rule)
                ends = (min(each.a, each.b), max(each.a, each.b))
                rates[ends] = rates.get(ends, 0.0) + each.rate_hz
        for number, elementary in enumerate(links):
            rate = rates.get((min(elementary.ends), max(elementary.ends)))
            if rate is not None:
                self._servers[number] = _Server(elementary, rate, runs=runs, seed=seed, horizon_ps=horizon_ps)

    def wait_ps(self, source: str, target: str, sent_ps: Instants) -> Instants | None:
        """Return how long a bit that is sent then waits on its way, (runs,); None where nothing is in its way."""
        if source == target or not self._queues:
            return None
        found = route(self._network, source, target)
        if not any(channel in self._queues for channel in found.channels):
            return None
        at = sent_ps
        waited = np.zeros_like(sent_ps)
        whole = False
        for channel, delay in zip(found.channels, found.propagation_ps, strict=True):
            queue = self._queues.get(channel)
            if queue is not None:
                wait = queue.wait_ps(at, after_equals=whole)
                self.exceeded |= bool((at > self.horizon_ps).any())
                waited += wait
                at = at + wait
            at = at + delay
            whole = self._network.channels[channel].forwards == "store-and-forward"
        return waited

    def begin_ps(self, link: int, requested_ps: Instants, made_ps: Instants) -> Instants:
        """Return when the attempts for a pair begin that is requested then, (runs,); requests come in order.

        Args:
            link: an index into the links of the program.
            requested_ps: when the program asks for the pair.
            made_ps: how long its attempts take.
        """
        server = self._servers.get(link)
        if server is None:
            return requested_ps
        self.exceeded |= bool((requested_ps > self.horizon_ps).any())
        return server.begin_ps(requested_ps, made_ps)


# -------------------------------------------------------------------------------------------------------- messages


class _Queue:
    """What arrives on a channel, and when it is sent, per run: both (runs, messages), ascending."""

    def __init__(self, arrived: Instants, sent: Instants) -> None:
        self._first = int(arrived.min(initial=0))
        self._span = int(arrived.max(initial=self._first)) - self._first + 2
        # One sorted array for all runs, each shifted beyond the one before.
        self._arrived = (arrived - self._first + np.arange(len(arrived))[:, None] * self._span).ravel()
        self._sent = sent
        self._columns = arrived.shape[1]

    def wait_ps(self, at: Instants, *, after_equals: bool) -> Instants:
        """Return how long a bit waits that comes at some instant of each run.

        What comes at the very instant was ahead of the bit on the channel before if that forwards what is in, and
        behind if it forwards what begins.
        """
        runs = np.arange(len(self._sent))
        asked = np.minimum(at - self._first, self._span - 2) + runs * self._span
        place = np.searchsorted(self._arrived, asked, side="right" if after_equals else "left")
        place -= 1 + runs * self._columns
        free = np.where(place >= 0, self._sent[runs, np.maximum(place, 0)], at)
        return np.asarray(np.maximum(free - at, 0))


def _queues(
    flows: Sequence[BackgroundMessages], network: ClassicalNetwork, *, runs: int, seed: int, horizon_ps: int
) -> dict[int, _Queue]:
    """Return the queue of every channel that background messages take, by number."""
    routes = [route(network, flow.source, flow.destination) for flow in flows]
    over: dict[int, list[tuple[int, int]]] = {}
    for number, found in enumerate(routes):
        for hop, channel in enumerate(found.channels):
            over.setdefault(channel, []).append((number, hop))
    service = {
        channel: [network.channels[channel].serialisation_ps(each.size_bytes) for each in flows] for channel in over
    }
    loads = {
        channel: sum(flows[number].rate_hz * service[channel][number] / PS_PER_S for number, _ in taken)
        for channel, taken in over.items()
    }
    for channel, load in loads.items():
        _check_load(load, network.channels[channel].label)
    before = _warm_up_ps(flows, over, service, loads)
    arrived: dict[tuple[int, int], Instants] = {
        (number, 0): _arrivals(flow, number, runs=runs, seed=seed, first_ps=-before, last_ps=horizon_ps)
        for number, flow in enumerate(flows)
        if routes[number].channels
    }
    queues: dict[int, _Queue] = {}
    for channel in _in_order(over, [found.channels for found in routes], network):
        taken = over[channel]
        begun = _backlog(flows, taken, service[channel], runs=runs, rng=stream(seed, "background", "backlog", channel))
        parts = [arrived[each] for each in taken]
        lengths = [
            np.full(part.shape[1], service[channel][number]) for part, (number, _) in zip(parts, taken, strict=True)
        ]
        sizes = np.broadcast_to(np.concatenate(lengths), (runs, sum(map(len, lengths))))
        all_arrived = np.concatenate([np.full((runs, 1), -before), *parts], axis=1)
        rank = np.argsort(all_arrived, axis=1, kind="stable")
        ordered = np.take_along_axis(all_arrived, rank, axis=1)
        lasting = np.take_along_axis(np.concatenate([begun[:, None], sizes], axis=1), rank, axis=1)
        sent = _sent(ordered, lasting)
        queues[channel] = _Queue(ordered, sent)
        back = np.empty_like(sent)
        np.put_along_axis(back, rank, sent, axis=1)
        _pass_on(arrived, taken, back[:, 1:], routes, network.channels, service)
    return queues


def _pass_on(
    arrived: dict[tuple[int, int], Instants],
    taken: Sequence[tuple[int, int]],
    sent: Instants,
    routes: Sequence[Route],
    channels: Sequence[ChannelSpec],
    service: Mapping[int, Sequence[int]],
) -> None:
    """Note when messages come to the next channel: whole ones if stored and forwarded, else their first byte."""
    column = 0
    for number, hop in taken:
        count = arrived[number, hop].shape[1]
        own, column = sent[:, column : column + count], column + count
        way = routes[number]
        if hop + 1 == len(way.channels):
            continue
        here, after = way.channels[hop : hop + 2]
        first, second = service[here][number], service[after][number]
        if channels[here].forwards == "cut-through":
            # Bytes go over a channel without gaps, so a faster one behind a slower one begins later.
            lead = min(first, second)
        else:
            # Chunk by chunk: the first travels on when it is in, and the last ends no earlier than it is sent again.
            share = min(1.0, CHUNK_PS / first)
            lead = min(round(first * (1 - share)), round(second * (1 - share)))
        there = own + way.propagation_ps[hop] - lead
        arrived[number, hop + 1] = there


def _check_load(load: float, where: str) -> None:
    if load >= 1:
        raise InvalidValue(
            field="background",
            value=round(load, 4),
            rule=f"the load of {where} is below 1: what comes faster than it is served waits for ever",
            remedy="Give lower rates.",
        )


def _warm_up_ps(
    flows: Sequence[BackgroundMessages],
    over: Mapping[int, list[tuple[int, int]]],
    service: Mapping[int, list[int]],
    loads: Mapping[int, float],
) -> int:
    """How long the traffic runs before the program: nothing where all of it is Poisson and on one channel each."""
    if not any(flow.periodic for flow in flows) and not any(hop for taken in over.values() for _, hop in taken):
        return 0
    longest = max(
        8 * sum(service[channel][number] for number, _ in taken) / (1 - loads[channel])
        for channel, taken in over.items()
    )
    periods = max((PS_PER_S / flow.rate_hz for flow in flows if flow.periodic), default=0.0)
    return math.ceil(longest + 4 * periods)


def _arrivals(flow: BackgroundMessages, number: int, *, runs: int, seed: int, first_ps: int, last_ps: int) -> Instants:
    """Return when messages come, (runs, messages), beyond ``last_ps`` in every run."""
    period = PS_PER_S / flow.rate_hz
    _check_cells((last_ps - first_ps) / period * runs)
    if flow.periodic:
        count = math.ceil((last_ps - first_ps) / period) + 1
        phase = stream(seed, "background", number, "phase").random(runs) * period
        return np.asarray(first_ps + np.floor(phase[:, None] + np.arange(count) * period).astype(np.int64))
    return _poisson(seed, ("background", number), period, runs=runs, first_ps=first_ps, last_ps=last_ps)


def _poisson(
    seed: int, name: tuple[str | int, ...], period: float, *, runs: int, first_ps: int, last_ps: int
) -> Instants:
    blocks: list[NDArray[np.float64]] = []
    at = np.zeros((runs, 1))
    # Block by block, so that a later end begins with what an earlier one gave.
    while first_ps + at.min() <= last_ps:
        gaps = stream(seed, *name, "gaps", len(blocks)).exponential(period, size=(runs, _BLOCK))
        blocks.append(at + np.cumsum(gaps, axis=1))
        at = blocks[-1][:, -1:]
    if not blocks:
        return np.zeros((runs, 0), dtype=np.int64)
    return np.asarray(first_ps + np.floor(np.concatenate(blocks, axis=1)).astype(np.int64))


def _check_cells(cells: float) -> None:
    if cells > MOST_CELLS:
        raise InvalidValue(
            field="background",
            value=f"{cells:.3g} arrivals",
            rule=f"at most {MOST_CELLS:,} arrivals in all runs together are drawn",
            remedy="Give lower rates: so many events within one program are a load that no latency shows.",
        )


def _backlog(
    flows: Sequence[BackgroundMessages],
    taken: Sequence[tuple[int, int]],
    service: Sequence[int],
    *,
    runs: int,
    rng: np.random.Generator,
) -> Instants:
    """Return the work before the first arrival, (runs,): a geometric number of residual services."""
    entering = [number for number, hop in taken if not hop and not flows[number].periodic]
    loads = np.array([flows[number].rate_hz * service[number] / PS_PER_S for number in entering])
    total = float(loads.sum())
    if not total:
        return np.zeros(runs, dtype=np.int64)
    counts = rng.geometric(1 - total, size=runs) - 1
    which = rng.choice(len(entering), size=int(counts.sum()), p=loads / total)
    residual = rng.random(len(which)) * np.array([service[number] for number in entering])[which]
    backlog = np.zeros(runs)
    np.add.at(backlog, np.repeat(np.arange(runs), counts), residual)
    return np.asarray(np.rint(backlog).astype(np.int64))


def _sent(arrived: Instants, lasting: Instants) -> Instants:
    """Return when each message is through, first come first served: f = max(arrival, f before) + service."""
    total = np.cumsum(lasting, axis=1)
    return np.asarray(total + np.maximum.accumulate(arrived - (total - lasting), axis=1))


def _in_order(
    over: Mapping[int, list[tuple[int, int]]], routes: Sequence[tuple[int, ...]], network: ClassicalNetwork
) -> list[int]:
    """Return the channels, each after those from which messages come to it."""
    before: dict[int, set[int]] = {channel: set() for channel in over}
    for channels in routes:
        for first, second in itertools.pairwise(channels):
            before[second].add(first)
    order: list[int] = []
    while before:
        free = sorted(channel for channel, needed in before.items() if not needed)
        if not free:
            names = ", ".join(network.channels[channel].label for channel in sorted(before))
            rule = f"background messages do not go round in a circle of channels ({names})"
            raise InvalidValue(field="background", value=len(before), rule=rule)
        order += free
        for channel in free:
            del before[channel]
        for needed in before.values():
            needed.difference_update(free)
    return order


# ----------------------------------------------------------------------------------------------------------- pairs


class _Server:
    """A link that makes the pairs of all programs one after another, in the order of their requests."""

    def __init__(self, link: Elementary, rate_hz: float, *, runs: int, seed: int, horizon_ps: int) -> None:
        mean = link.attempt_ps / link.success
        load = rate_hz * mean / PS_PER_S
        _check_load(load, f"link '{link.a}--{link.b}'")
        _check_cells(horizon_ps * rate_hz / PS_PER_S * runs)
        name = ("background", "pairs", *link.ends)
        self._arrived = _poisson(seed, name, PS_PER_S / rate_hz, runs=runs, first_ps=0, last_ps=horizon_ps)
        columns = self._arrived.shape[1]
        attempts = np.concatenate(
            [
                stream(seed, *name, "attempts", block).geometric(link.success, size=(runs, _BLOCK))
                for block in range(-(-columns // _BLOCK))
            ],
            axis=1,
        )[:, :columns]
        self._lasting = attempts * link.attempt_ps
        rng = stream(seed, *name, "backlog")
        counts = rng.geometric(1 - load, size=runs) - 1
        number = int(counts.sum())
        # What is left of a geometric number of attempts is one begun and a geometric number less one.
        residual = (rng.geometric(link.success, size=number) - 1 + rng.random(number)) * link.attempt_ps
        backlog = np.zeros(runs)
        np.add.at(backlog, np.repeat(np.arange(runs), counts), residual)
        self._free = np.rint(backlog).astype(np.int64)
        self._next = np.zeros(runs, dtype=np.int64)
        self._runs = np.arange(runs)

    def begin_ps(self, requested: Instants, made: Instants) -> Instants:
        """Return when attempts begin; see ``Beside``."""
        while True:
            place = np.minimum(self._next, self._arrived.shape[1] - 1)
            came = self._arrived[self._runs, place]
            first = (came <= requested) & (self._next < self._arrived.shape[1])
            if not first.any():
                break
            served = np.maximum(self._free, came) + self._lasting[self._runs, place]
            self._free = np.where(first, served, self._free)
            self._next += first
        begun = np.maximum(self._free, requested)
        self._free = begun + made
        return np.asarray(begun)
