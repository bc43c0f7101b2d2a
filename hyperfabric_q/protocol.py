"""``HyperFabricProtocol``: the live fabric: nodes and links are added to it, circuits are planned and run on it."""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING, Generic, TypeVar

from hyperfabric_q import pipeline
from hyperfabric_q.distribution.plan import Plan
from hyperfabric_q.execution.result import Result
from hyperfabric_q.fabric import Fabric, FabricZone, Link, NodeSignature

if TYPE_CHECKING:
    from hyperfabric_q.pipeline import Circuit, Homes

Value = TypeVar("Value")


class Registered(Generic[Value]):
    """The outcome of a registration: already done, and awaitable for callers who write ``await``."""

    def __init__(self, value: Value) -> None:
        """Hold what was registered."""
        self.value = value

    def __await__(self) -> Generator[None, None, Value]:
        """Return the registered value at once, without suspending."""
        yield from ()
        return self.value

    def __repr__(self) -> str:
        return f"Registered({self.value!r})"


class HyperFabricProtocol:
    """A live fabric.

    The fabric itself is a frozen value; each registration replaces it as a whole, so a rejected one leaves nothing
    half-registered.
    """

    def __init__(self, fabric: Fabric | None = None, *, seed: int | None = None) -> None:
        """Start from ``fabric``, or from an empty one.

        Args:
            fabric: nodes, links and zones to start with.
            seed: the seed of every plan and run that is not given its own.
        """
        self._fabric = Fabric() if fabric is None else fabric
        self._seed = seed

    @property
    def fabric(self) -> Fabric:
        """The fabric as it stands."""
        return self._fabric

    def register_node(self, node: NodeSignature) -> Registered[NodeSignature]:
        """Add a node; also awaitable.

        Raises:
            DuplicateName: a node of that id is registered already.
        """
        self._fabric = self._fabric.with_node(node)
        return Registered(node)

    def connect(
        self,
        a: str,
        b: str,
        *,
        bandwidth_gbps: float | None = None,
        latency_ns: float | None = None,
        distance_m: float | None = None,
        pair_fidelity: float | None = None,
        pair_rate_hz: float | None = None,
    ) -> Registered[Link]:
        """Link two nodes in both directions; ``pair_fidelity`` makes the link a quantum one.

        Raises:
            UnknownName: a node is not registered; the error names the nearest id.
            DuplicateName: the two nodes are linked already.
            InvalidValue: a number is out of range, or the latency would beat light over the distance.
        """
        link = Link(
            a,
            b,
            bandwidth_gbps=bandwidth_gbps,
            latency_ns=latency_ns,
            distance_m=distance_m,
            pair_fidelity=pair_fidelity,
            pair_rate_hz=pair_rate_hz,
        )
        self._fabric = self._fabric.with_link(link)
        return Registered(link)

    def create_zone(self, zone: FabricZone) -> Registered[FabricZone]:
        """Add a zone.

        Raises:
            DuplicateName: a zone of that id exists.
            UnknownName: a member is not registered.
        """
        self._fabric = self._fabric.with_zone(zone)
        return Registered(zone)

    def plan(
        self, circuit: Circuit, *, homes: Homes | None = None, verify: str = "auto", seed: int | None = None
    ) -> Plan:
        """Return a plan of ``circuit`` on the fabric as it stands; see ``hyperfabric_q.plan``."""
        return pipeline.plan(
            circuit, self._fabric, homes=homes, verify=verify, seed=self._seed if seed is None else seed
        )

    def run(self, circuit: Circuit, *, shots: int = 4096, noise: str = "fabric", seed: int | None = None) -> Result:
        """Return the result of planning and running ``circuit``."""
        chosen = self._seed if seed is None else seed
        result: Result = self.plan(circuit, seed=chosen).run(shots, noise=noise, seed=chosen)
        return result

    def __repr__(self) -> str:
        fabric = self._fabric
        return f"<HyperFabricProtocol: {len(fabric.nodes)} nodes, {len(fabric.links)} links, {len(fabric.zones)} zones>"
