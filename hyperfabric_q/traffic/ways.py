"""A fabric that may grow while it is used, and how its nodes reach each other through its zones."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from hyperfabric_q.errors import HyperFabricWarning
from hyperfabric_q.fabric import Fabric, NodeSignature
from hyperfabric_q.fabric.classical import ClassicalNetwork
from hyperfabric_q.fabric.route import Route
from hyperfabric_q.fabric.routing import alternatives, route, through
from hyperfabric_q.scheduling.kernel import Kernel
from hyperfabric_q.traffic import endpoints
from hyperfabric_q.traffic.isolation import OPEN, Isolation, Verdict, crossing, enforce, isolation, relays
from hyperfabric_q.traffic.notices import warn
from hyperfabric_q.traffic.wiring import Way, Wires

MOST_WAYS: Final = 1 << 17
MOST_NOTICES: Final = 1 << 16

CHOICES: Final = 16
"""Ways between two nodes that are chosen from: all shortest ones of a fat tree of 8-port switches."""

SLACK: Final = 1.5
"""Ways up to half as long again as the shortest are chosen from."""


class Ways:
    """The live fabric, and the ways that were asked for.

    Attributes:
        fabric: as it stands.
        gateways: software endpoints that became gateways of a zone because they talked into it.
        plain, sealed: ways found before, of sends without and with encryption, by the names that were asked for.
    """

    def __init__(self, fabric: Fabric, *, strict: bool, chunk_ps: int) -> None:
        """Start from ``fabric``; nothing is wired before a kernel is there."""
        self.fabric = fabric
        self.gateways: frozenset[str] = frozenset()
        self.plain: dict[tuple[str, str], Way] = {}
        self.sealed: dict[tuple[str, str], Way] = {}
        self._strict = strict
        self._chunk_ps = chunk_ps
        self._wires: Wires | None = None
        self._stale = True
        self._borders: Isolation | None = None
        self._said: set[object] = set()
        self._choices: dict[Way, tuple[Way, ...]] = {}

    def become(self, fabric: Fabric) -> None:
        """Let ``fabric`` be the fabric from now on; what is under way keeps its channels."""
        self.fabric = fabric
        self._stale = True
        self._borders = None
        self.plain.clear()
        self.sealed.clear()
        self._choices.clear()

    def register(self, node: NodeSignature) -> None:
        """Add a node; an endpoint of that id that nobody had registered gives way to it.

        Raises:
            DuplicateName: a node of that id is registered already.
        """
        self.become(endpoints.registered(self.fabric, node))
        self.gateways -= {node.node_id}

    def wire(self, kernel: Kernel) -> None:
        """Use the channels of another kernel from now on."""
        self._wires = Wires(kernel, chunk_ps=self._chunk_ps, strict=self._strict)
        self.become(self.fabric)

    def known(self, node_id: str) -> str:
        """Return the id of a node; a name that nobody registered becomes a software endpoint, with one warning.

        Raises:
            UnknownName: the name is close to a registered one, or this is strict mode.
            InvalidValue: it breaks the rule of node ids.
        """
        fabric, name, warning = endpoints.resolve(self.fabric, node_id, strict=self._strict)
        if fabric is not self.fabric:
            # Ways that were found stay as they are: an endpoint adds two channels and is in no zone and no rack.
            self.fabric = fabric
            self._stale = True
            self._borders = None
        if warning is not None:
            warn(warning)
        return name

    def find(self, source: str, destination: str, *, encrypted: bool) -> Way:
        """Return the way between two names, by way of a gateway where a zone's border demands it.

        Raises:
            UnknownName, InvalidValue: as in ``known``.
            NoRoute: nothing leads there.
            IsolationViolated: a zone forbids it.
        """
        found = self.sealed if encrypted else self.plain
        way = found.get((source, destination))
        if way is not None:
            return way
        source, destination = self.known(source), self.known(destination)
        wires = self._wired()
        network = self.network()
        borders = self._borders = isolation(self.fabric) if self._borders is None else self._borders
        taken = route(network, source, destination)
        verdict = self._judged(borders, taken.hops, encrypted=encrypted)
        if not verdict.allowed and (stops := relays(borders, source, destination)) is not None:
            detour = through(network, stops)
            other = self._judged(borders, detour.hops, encrypted=encrypted)
            if other.allowed or other.must_encrypt:  # then encryption is all that is lacking
                taken, verdict = detour, other
        way = wires.way(network, taken, enforce(verdict, taken.hops))
        if verdict.recorded and verdict.gateway not in self.gateways:
            # Not remembered: once it is recorded, receipts over this way need not say so again.
            return way
        if len(found) >= MOST_WAYS:
            found.clear()
        found[source, destination] = way
        return way

    def record(self, way: Way) -> None:
        """Note that a send over ``way`` goes out: an endpoint that talks into a zone is its gateway from then on."""
        verdict = way.verdict
        if verdict.recorded and verdict.gateway is not None and verdict.gateway not in self.gateways:
            self.gateways |= {verdict.gateway}

    def choices(self, way: Way, *, encrypted: bool) -> tuple[Way, ...]:
        """Return the ways that may be taken instead of ``way``, itself first: the zones say the same of all of them."""
        found = self._choices.get(way)
        if found is None:
            if len(self._choices) >= MOST_WAYS // CHOICES:
                self._choices.clear()
            found = self._choices[way] = (way, *self._others(way, encrypted=encrypted))
        return found

    def _others(self, way: Way, *, encrypted: bool) -> list[Way]:
        routes = alternatives(self.network(), way.source, way.destination, CHOICES, slack=SLACK)
        others = [self.along(each, encrypted=encrypted) for each in routes if each.hops != way.hops]
        return [each for each in others if each.verdict == way.verdict]

    def along(self, taken: Route, *, encrypted: bool) -> Way:
        """Return the way along a route; whether the zones allow it, its verdict says."""
        borders = self._borders = isolation(self.fabric) if self._borders is None else self._borders
        verdict = self._judged(borders, taken.hops, encrypted=encrypted)
        return self._wired().way(self.network(), taken, verdict)

    def network(self) -> ClassicalNetwork:
        """Return the network of the fabric as it stands, whose channels are in the kernel."""
        wires = self._wired()
        network = wires.network
        if self._stale or network is None:
            network = wires.become(self.fabric)
            self._stale = False
            for finding in network.findings:
                self.notice(str(finding))
        return network

    def numbers(self, channels: Iterable[int]) -> tuple[int, ...]:
        """Return the kernel's numbers of the network's channels."""
        wires = self._wired()
        return tuple(wires.number(each) for each in channels)

    def _wired(self) -> Wires:
        assert self._wires is not None  # noqa: S101 - an exchange wires before it asks
        return self._wires

    def _judged(self, borders: Isolation, hops: tuple[str, ...], *, encrypted: bool) -> Verdict:
        if len(hops) < 2:
            return OPEN
        return crossing(borders, hops, encrypted=encrypted, strict=self._strict, gateways=self.gateways)

    def notice(self, text: str, about: object = None) -> None:
        """Warn of something once; ``about`` says what it is about when the text may vary."""
        key = text if about is None else about
        if key not in self._said and len(self._said) < MOST_NOTICES:
            self._said.add(key)
            warn(HyperFabricWarning(text))
