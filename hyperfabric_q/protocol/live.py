"""The live fabric: nodes and links are added to it, payloads sent, Bell pairs shared and circuits run on it."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from concurrent.futures import Executor
from typing import TYPE_CHECKING, Any, TypeVar

from numpy.typing import ArrayLike

from hyperfabric_q import seeds
from hyperfabric_q.fabric import Fabric, FabricZone, Link, NodeSignature
from hyperfabric_q.fabric.registered import Registered
from hyperfabric_q.protocol.collective_calls import CollectiveCalls
from hyperfabric_q.protocol.entanglement_calls import EntanglementCalls, service_of
from hyperfabric_q.protocol.step_calls import StepCalls
from hyperfabric_q.registry import late
from hyperfabric_q.scheduling.admission import Verdict
from hyperfabric_q.scheduling.faults import Fault
from hyperfabric_q.scheduling.policy import Policy
from hyperfabric_q.scheduling.timeline import Timeline
from hyperfabric_q.traffic.bulk import Names, Transfers
from hyperfabric_q.traffic.endpoints import implicit_endpoints
from hyperfabric_q.traffic.exchange import Exchange
from hyperfabric_q.traffic.flows import Flow, Promise, flow_of, promise
from hyperfabric_q.traffic.handlers import Handler
from hyperfabric_q.traffic.keys import KeySource
from hyperfabric_q.traffic.packet import DataType, PacketPriority
from hyperfabric_q.traffic.profiles import Profile
from hyperfabric_q.traffic.request import Terms, Violation, kind_of
from hyperfabric_q.traffic.transfer import TransferResult
from hyperfabric_q.units import to_ns

if TYPE_CHECKING:
    from hyperfabric_q.distribution.objectives import Wanted
    from hyperfabric_q.distribution.plan import Plan
    from hyperfabric_q.execution.result import Result
    from hyperfabric_q.pipeline import Circuit, Homes

Value = TypeVar("Value")


class HyperFabricProtocol(CollectiveCalls, EntanglementCalls, StepCalls):
    """A live fabric.

    The fabric itself is a frozen value; each registration replaces it as a whole, so a rejected one leaves nothing
    half-registered. Nodes and links may be added while payloads are under way.

    Sends take virtual time: ``await`` returns when the clock of the running event loop has got there, which has nothing
    to do with how long the simulation took. ``hyperfabric_q.run(main())`` makes ``asyncio.sleep`` and time-outs virtual
    too; on any other loop they stay real, and ``sleep_ns`` is virtual. Protocols on one event loop share its clock.
    """

    def __init__(
        self,
        fabric: Fabric | None = None,
        *,
        enable_ml_routing: bool = False,
        enable_quantum_optimization: bool = False,
        enable_fault_tolerance: bool = False,
        default_latency_constraint_ns: float | None = None,
        strict: bool = False,
        on_violation: Violation = "record",
        profile: str | Profile = "fabric",
        policy: Policy | None = None,
        key_source: KeySource | None = None,
        keep_events: int | None = 0,
        seed: int | None = None,
    ) -> None:
        """Start from ``fabric``, or from an empty one.

        Args:
            fabric: nodes, links and zones to start with.
            enable_ml_routing: single sends take, of several ways over declared links, the one of least delay as
                estimated from the backlog and from deliveries; see ``hyperfabric_q.traffic.adaptive``.
            enable_quantum_optimization: make Bell pairs just in time for ``needed_ns``, and let the request whose pairs
                are needed first go first; see ``hyperfabric_q.entanglement.service``.
            enable_fault_tolerance: send again what was lost, around channels that are down, and let it count once; see
                ``hyperfabric_q.traffic.recovery``.
            default_latency_constraint_ns: of every send that states none.
            strict: refuse what is otherwise repaired and reported: names that nobody registered, payloads larger than
                the destination's memory, entanglement that cannot be had, constraints below the physical bound,
                border crossings without encryption.
            on_violation: "record" notes in the receipt that a latency constraint was not met, "raise" raises.
            profile: the transport whose headers and delays are counted: "fabric" (none), "rdma" or "tcp".
            policy: who goes first on a channel.
            key_source: where keys for encryption come from; by default from the operating system. A store of quantum
                keys (``hyperfabric_q.workloads.qkd.store.KeyStore``) serves the sends that ask for one.
            keep_events: how many events of each kind ``timeline`` keeps; None = all, 0 = none but the digest.
            seed: the seed of every plan and run that is not given its own.

        Raises:
            InvalidValue: an option is out of range.
            UnknownName: there is no such profile.
        """
        terms = Terms(
            strict=strict,
            enable_ml_routing=enable_ml_routing,
            enable_fault_tolerance=enable_fault_tolerance,
            on_violation=on_violation,
            profile=profile,
            constraint_ns=default_latency_constraint_ns,
            policy=policy,
            keep_events=keep_events,
        )
        self._exchange = Exchange(Fabric() if fabric is None else fabric, terms, key_source=key_source)
        self._flows: list[Flow] = []
        self._seed = None if seed is None else seeds.resolve(seed)
        self._service = service_of(self._exchange, seed=self._seed, optimise=enable_quantum_optimization)

    # ---------------------------------------------------------------------------------------------------- the fabric

    @property
    def fabric(self) -> Fabric:
        """The fabric as it stands."""
        return self._exchange.ways.fabric

    @property
    def implicit_endpoints(self) -> tuple[str, ...]:
        """The software endpoints that nobody registered, in the order in which they were first named."""
        return implicit_endpoints(self._exchange.ways.fabric)

    @property
    def recorded_gateways(self) -> tuple[str, ...]:
        """The software endpoints that became gateways of a zone because they talked into it."""
        return tuple(sorted(self._exchange.ways.gateways))

    def register_node(self, node: NodeSignature) -> Registered[NodeSignature]:
        """Add a node; also awaitable. An implicit endpoint of that id gives way to it.

        Raises:
            DuplicateName: a node of that id is registered already.
        """
        self._exchange.ways.register(node)
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
        pair_attempt_ns: float | None = None,
        pair_channel: str = "dedicated",
        preset: str | None = None,
    ) -> Registered[Link]:
        """Link two nodes in both directions; ``pair_fidelity`` makes the link a quantum one. Arguments as of ``Link``.

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
            pair_attempt_ns=pair_attempt_ns,
            pair_channel=pair_channel,
            preset=preset,
        )
        self._exchange.ways.become(self._exchange.ways.fabric.with_link(link))
        return Registered(link)

    def create_zone(self, zone: FabricZone) -> Registered[FabricZone]:
        """Add a zone.

        Raises:
            DuplicateName: a zone of that id exists.
            UnknownName: a member is not registered.
        """
        self._exchange.ways.become(self._exchange.ways.fabric.with_zone(zone))
        return Registered(zone)

    # ------------------------------------------------------------------------------------------------------ traffic

    def send_data(
        self,
        *,
        source: str,
        destination: str,
        data: object,
        data_type: DataType | str = DataType.GENERIC,
        priority: PacketPriority | str = PacketPriority.NORMAL,
        latency_constraint_ns: float | None = None,
        compression_enabled: bool | str = False,
        encryption_enabled: bool = False,
        requires_quantum_entanglement: bool = False,
        metadata: Mapping[str, Any] | None = None,
    ) -> Coroutine[Any, Any, TransferResult]:
        """Return, when awaited, the result of sending ``data`` from one node to another.

        Nothing is copied: what arrives is the object itself. A send from a node to itself is delivered at once.

        Args:
            source: node id; a name that nobody registered becomes a software endpoint, unless ``strict``.
            destination: the same. Its handler, if there is one, answers.
            data: bytes, text, a NumPy array, a Qiskit circuit, a ``VirtualTensor``, any buffer, numbers, lists, dicts
                and dataclasses of these. The result of another send, alone or in a list, stands for its ``value``.
            data_type: what it is to the fabric; decides its class and how spikes are counted.
            priority: moves it from that class.
            latency_constraint_ns: how long it may take until it is ready; earlier deadlines go first within a class.
            compression_enabled: compress it if it then arrives earlier; the name of a lossy codec ("bf16") permits
                that codec as well.
            encryption_enabled: seal it with AES-256-GCM; what has bytes is really encrypted. With
                ``metadata={"quantum_secured": True}`` under a key of quantum key distribution, if the ends share one.
            requires_quantum_entanglement: teleport it. ``data`` is then a Qiskit ``Statevector``, ``DensityMatrix`` or
                circuit that prepares a state, and ``data_type`` QUANTUM_STATE; each qubit takes a Bell pair and two
                bits, and what arrives is a ``DensityMatrix``. What cannot be teleported travels classically, and the
                receipt says why.
            metadata: anything for the destination's handler. "quantum_secured" also implies encryption;
                "quantum_mode" is then "otp", "aes-256-gcm" or "auto", and "trusted_nodes" names who may relay a key.

        Raises:
            InvalidValue: an argument is out of range, or ``data`` has no defined bytes.
            UnknownName: a name is a slip of the pen, or in strict mode nobody registered it.
            NoRoute: nothing leads there.
            IsolationViolated: a zone forbids it.
            DeadlineImpossible: in strict mode or with ``on_violation="raise"``, the constraint is below what an idle
                fabric needs.
            DeadlineMissed: with ``on_violation="raise"``, it arrived too late.
            NotEnoughMemory, EntanglementUnavailable, QuantumKeyUnavailable: in strict mode.
            PairSpent: a quantum state is sent a second time.
            Undeliverable: a fault took it.

        Cancelling the task withdraws what has not been sent. Cost: about 40 µs, whatever the size.
        """
        return self._exchange.send(
            source,
            destination,
            data,
            data_type,
            priority,
            latency_constraint_ns,
            compression_enabled,
            encryption_enabled,
            requires_quantum_entanglement,
            metadata,
        )

    def send_many(
        self,
        *,
        sources: Names,
        destinations: Names,
        nbytes: ArrayLike,
        release_ns: ArrayLike = 0,
        data_type: DataType | str = DataType.GENERIC,
        priority: PacketPriority | str = PacketPriority.NORMAL,
    ) -> Coroutine[Any, Any, Transfers]:
        """Return, when awaited, what became of many sends of given sizes, which have no contents and no deadlines.

        Alone on the fabric they take about a microsecond each; otherwise as long as single sends, and the same
        virtual times either way.

        Args:
            sources: (n,) node ids, or whole numbers: positions in ``fabric.nodes``. Like all four, one value for all
                will do.
            destinations: the same.
            nbytes: (n,) sizes.
            release_ns: (n,) when each is sent, from now.
            data_type: of all of them.
            priority: of all of them.

        Raises:
            InvalidValue: lengths differ, a number is out of range, or a zone demands encryption.
            UnknownName, NoRoute, IsolationViolated, Undeliverable: as for single sends.
        """
        return self._exchange.send_many(sources, destinations, nbytes, release_ns, data_type, priority)

    def register_flow(
        self,
        source: str,
        destination: str,
        *,
        nbytes: int,
        period_ns: float,
        deadline_ns: float,
        data_type: DataType | str = DataType.GENERIC,
        priority: PacketPriority | str = PacketPriority.NORMAL,
        jitter_ns: float = 0,
    ) -> Promise:
        """Register messages that come periodically, and return what can be promised to each of them.

        Args:
            source: node id.
            destination: node id.
            nbytes: the largest message.
            period_ns: the k-th comes k periods after the first could, or up to ``jitter_ns`` later.
            deadline_ns: each must have arrived this long after it comes.
            data_type: decides the class, with ``priority``.
            priority: moves it from that class.
            jitter_ns: see ``period_ns``.

        Raises:
            UnknownName, NoRoute: as for ``send_data``, without implicit endpoints.
            InvalidValue: a number is out of range.

        A flow that is infeasible is not registered. The others' traffic does not happen by itself: send it.
        """
        terms = self._exchange.terms
        flow = flow_of(
            source,
            destination,
            nbytes=nbytes,
            period_ns=period_ns,
            deadline_ns=deadline_ns,
            jitter_ns=jitter_ns,
            kind=kind_of(data_type, priority),
            profile=terms.transport,
        )
        found = promise(self.fabric, flow, self._flows, policy=terms.policy, chunk_ps=terms.chunk_ps)
        if found.verdict is not Verdict.INFEASIBLE:
            self._flows.append(flow)
        return found

    @property
    def flows(self) -> tuple[Flow, ...]:
        """The registered flows."""
        return tuple(self._flows)

    def attach_handler(self, node_id: str, handler: Handler | None) -> Registered[Handler | None]:
        """Let a function, sync or async, answer what arrives at a node; None detaches it. Also awaitable.

        It is called with a ``Packet``, and what it returns becomes ``TransferResult.response``. What it raises belongs
        to that one send.

        Raises:
            UnknownName: the id is a slip of the pen, or in strict mode nobody registered it.
            InvalidValue: the handler cannot be called.
        """
        self._exchange.attach_handler(node_id, handler)
        return Registered(handler)

    def inject(self, *faults: Fault, seed: int | None = None) -> Registered[tuple[Fault, ...]]:
        """Let faults of ``hyperfabric_q.scheduling.faults`` happen on the virtual clock. Also awaitable.

        Their ``channels`` are named by two linked nodes (``("a", "b")``, both directions), a node (``"a"``, all that
        begins or ends there), or a channel's label as receipts show it; None means every channel of the clock. Their
        times are picoseconds from the clock's zero. Every send still ends in exactly one way: it is delivered, or
        raises ``Undeliverable``, or ``SealBroken`` when it was sealed and changed on the way.

        Args:
            faults: what happens.
            seed: of what is drawn; by default the protocol's, or else 0.

        Raises:
            InvalidValue: it is no fault, or ``channels`` holds something else than names.
            UnknownName: there is no such node, link or channel.
        """
        chosen = self._seed if seed is None else seed
        self._exchange.inject(faults, seeds.resolve(0 if chosen is None else chosen))
        return Registered(faults)

    # -------------------------------------------------------------------------------------------------------- the clock

    @property
    def now_ps(self) -> int:
        """The virtual time in picoseconds; 0 before the first use."""
        return self._exchange.now_ps

    @property
    def now_ns(self) -> float:
        """The virtual time in nanoseconds; 0 before the first use."""
        return to_ns(self._exchange.now_ps)

    async def sleep_ns(self, duration_ns: float) -> None:
        """Wait until so many virtual nanoseconds have passed, on any event loop.

        Raises:
            InvalidValue: it is no finite number of at least 0.
        """
        await self._exchange.sleep(duration_ns)

    async def compute(self, fn: Callable[[], Value], *, duration_ns: float, executor: Executor | None = None) -> Value:
        """Return what ``fn()`` returns, run for real while exactly ``duration_ns`` of virtual time pass.

        Args:
            fn: real work; whatever time it takes, the clock does not pass its virtual end before it is done.
            duration_ns: how long it takes on the clock.
            executor: where it runs; by default in a thread.

        Raises:
            InvalidValue: ``fn`` cannot be called, or the duration is no finite number of at least 0.
        """
        return await self._exchange.compute(fn, duration_ns, executor)

    def digest(self) -> str:
        """Return a hash over everything delivered so far on this clock: who, and at which picosecond.

        Equal programs have equal digests, on every event loop and in whatever order ``gather`` was given its sends.
        """
        return self._exchange.digest

    @property
    def timeline(self) -> Timeline:
        """What happened on this clock, as far as ``keep_events`` says."""
        return self._exchange.timeline

    # --------------------------------------------------------------------------------------------------------- circuits

    def plan(
        self,
        circuit: Circuit,
        *,
        objective: Wanted = "ebits",
        homes: Homes | None = None,
        partitioner: str | None = None,
        time_limit_s: float = 5.0,
        verify: str = "auto",
        seed: int | None = None,
    ) -> Plan:
        """Return a plan of ``circuit`` on the fabric as it stands; see ``hyperfabric_q.plan``."""
        plan: Plan = late("protocol.plan")(
            circuit,
            self._exchange.ways.fabric,
            objective=objective,
            homes=homes,
            partitioner=partitioner,
            time_limit_s=time_limit_s,
            verify=verify,
            seed=self._seed if seed is None else seed,
        )
        return plan

    def run(self, circuit: Circuit, *, shots: int = 4096, noise: str = "fabric", seed: int | None = None) -> Result:
        """Return the result of planning and running ``circuit``."""
        chosen = self._seed if seed is None else seed
        result: Result = self.plan(circuit, seed=chosen).run(shots, noise=noise, seed=chosen)
        return result

    def __repr__(self) -> str:
        fabric = self._exchange.ways.fabric
        return f"<HyperFabricProtocol: {len(fabric.nodes)} nodes, {len(fabric.links)} links, {len(fabric.zones)} zones>"
