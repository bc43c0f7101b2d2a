"""The channels of a fabric in a kernel, kept in step with a fabric that grows, and the ways over them.

A fabric's channels are numbered by its network, a kernel's by the order in which they were added. Several fabrics may
share one kernel; they share its clock and no channel.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Final

from hyperfabric_q.fabric import Fabric
from hyperfabric_q.fabric.classical import ChannelSpec, ClassicalNetwork, classical_network
from hyperfabric_q.fabric.location import Place, Unresolved
from hyperfabric_q.fabric.route import Route
from hyperfabric_q.scheduling.admission import idle_ps, lower_bound_ps
from hyperfabric_q.scheduling.channel import Channel, channel
from hyperfabric_q.scheduling.kernel import Kernel
from hyperfabric_q.traffic.isolation import Verdict

UNLIMITED: Final = 1 << 100
"""More bytes than any payload has."""

BYTES_PER_GB: Final = 1_000_000_000

MOST_TIMES: Final = 256

_NOT_YET: Final = Channel(source="", target="", ps_per_byte=Fraction(1), chunk=1)


class Way:
    """How bytes go from one node to another, found once and used for every send between them.

    Attributes:
        source, destination: node ids.
        text: both ids, as they stand in identities.
        hops: the nodes that the bytes are on.
        path: kernel numbers of the channels; empty from a node to itself.
        delays: propagation after each channel.
        propagation_ps: their sum.
        channels, specs: the channels, as kernel and network know them.
        verdict: what the zones say.
        room: memory of the destination in bytes.
        neurons: of the end that spikes; None when neither states any.
        warnings: what every receipt over this way says.
        plain: whether a send that asks for nothing special needs nothing special.
    """

    __slots__ = (
        "_times",
        "channels",
        "delays",
        "destination",
        "hops",
        "neurons",
        "path",
        "plain",
        "propagation_ps",
        "room",
        "source",
        "specs",
        "text",
        "verdict",
        "warnings",
    )

    def __init__(
        self,
        *,
        route: Route,
        path: tuple[int, ...],
        channels: tuple[Channel, ...],
        specs: tuple[ChannelSpec, ...],
        fabric: Fabric,
        verdict: Verdict,
        warnings: tuple[str, ...],
    ) -> None:
        """Take the facts together; ``Wires.way`` does it."""
        self.source, self.destination = route.hops[0], route.hops[-1]
        self.text = f"{self.source}|{self.destination}"
        self.hops = route.hops
        self.path = path
        self.delays = route.propagation_ps
        self.propagation_ps = route.latency_ps
        self.specs = specs
        self.verdict = verdict
        self.warnings = warnings
        first, last = fabric.node(self.source), fabric.node(self.destination)
        self.room = UNLIMITED if last.memory_gb is None else int(last.memory_gb * BYTES_PER_GB)
        self.neurons = first.neuromorphic_neurons or last.neuromorphic_neurons
        self.plain = bool(path) and not verdict.must_encrypt
        self.channels = channels
        self._times: dict[int, tuple[int, int]] = {}

    @property
    def rates(self) -> tuple[tuple[int, int, int, int], ...]:
        """Of each channel, picoseconds per byte as a ratio, bytes stored before they go on (0: cut-through), chunk."""
        return tuple(
            (
                each.ps_per_byte.numerator,
                each.ps_per_byte.denominator,
                each.chunk if each.store_and_forward else 0,
                each.chunk,
            )
            for each in self.channels
        )

    @property
    def slowest(self) -> ChannelSpec:
        """The channel with the least bandwidth, the first of equals."""
        return min(self.specs, key=lambda spec: spec.gbps)

    def times_ps(self, nbytes: int) -> tuple[int, int]:
        """Return what ``nbytes`` on the wire take on the idle fabric, and what nothing can undercut; O(hops).

        Over the switch the two are the same; see ``scheduling.admission``.
        """
        found = self._times.get(nbytes)
        if found is None:
            if len(self._times) >= MOST_TIMES:
                self._times.clear()
            found = (0, 0)
            if self.path:
                channels, delays = self.channels, self.delays
                found = idle_ps(channels, delays, nbytes), lower_bound_ps(channels, delays, nbytes)
            self._times[nbytes] = found
        return found


class Wires:
    """One fabric's channels in one kernel."""

    def __init__(self, kernel: Kernel, *, chunk_ps: int, strict: bool) -> None:
        """Start without channels."""
        self.kernel = kernel
        self.network: ClassicalNetwork | None = None
        self._chunk_ps = chunk_ps
        self._strict = strict
        self._numbers: list[int] = []
        self._channels: list[Channel] = []
        self._specs: list[ChannelSpec] = []
        self._like: dict[tuple[int, int], Channel] = {}

    def become(self, fabric: Fabric) -> ClassicalNetwork:
        """Return the network of ``fabric``, whose channels are in the kernel now; what is under way stays undisturbed.

        Raises:
            InvalidValue: in strict mode, a declared latency is faster than light.
        """
        network = classical_network(fabric, strict=self._strict, after=self.network)
        for number, spec in enumerate(network.channels):
            if number == len(self._specs):
                self._specs.append(spec)
                self._numbers.append(-1)
                self._channels.append(_NOT_YET)
            elif self._specs[number] == spec:
                continue
            self._specs[number] = spec
            made = self._channels[number] = self._made(spec)
            self._numbers[number] = self.kernel.add(made)
        self.network = network
        return network

    def number(self, channel: int) -> int:
        """Return the kernel's number of a channel of the network."""
        return self._numbers[channel]

    def _made(self, spec: ChannelSpec) -> Channel:
        # To hash a fraction takes a modular inverse.
        rate = spec.gbps.as_integer_ratio()
        like = self._like.get(rate)
        if like is None:
            like = self._like[rate] = channel("", "", gbps=spec.gbps, chunk_ps=self._chunk_ps)
        return Channel(
            source=spec.source,
            target=spec.target,
            ps_per_byte=like.ps_per_byte,
            chunk=like.chunk,
            store_and_forward=spec.forwards == "store-and-forward",
        )

    def way(self, network: ClassicalNetwork, route: Route, verdict: Verdict) -> Way:
        """Return a route with all that sends along it need to know."""
        return Way(
            route=route,
            path=tuple(self._numbers[number] for number in route.channels),
            channels=tuple(self._channels[number] for number in route.channels),
            specs=tuple(self._specs[number] for number in route.channels),
            fabric=network.fabric,
            verdict=verdict,
            warnings=(*_place_warnings(network, route), *_verdict_warnings(verdict)),
        )


def _verdict_warnings(verdict: Verdict) -> tuple[str, ...]:
    return () if verdict.warning is None else (verdict.warning,)


def _place_warnings(network: ClassicalNetwork, route: Route) -> list[str]:
    """Return what is not known about where the two ends stand, when both state a place."""
    ends = (route.hops[0], route.hops[-1])
    fabric = network.fabric
    if ends[0] == ends[1] or any(fabric.node(end).physical_location is None for end in ends):
        return []
    places = {node_id: network.place(node_id) for node_id in ends}
    found = []
    for node_id, place in places.items():
        if isinstance(place, Unresolved):
            found.append(f"{node_id!r}: {place} No distance is added.")
        elif isinstance(place, Place) and place.alternatives:
            found.append(f"{node_id!r}: its place was taken for {place.name}; also known: {place.alternatives[0]}.")
    return found
