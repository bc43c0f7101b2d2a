"""How frames get from the QPUs to the decoder and back: which nodes, which links, and who goes first on them.

Frames and corrections are messages of the shared scheduler, in the class of syndromes and with their deadlines; all
other traffic on the same channels competes with them under the same policy.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from hyperfabric_q.errors import InvalidValue
from hyperfabric_q.fabric import Fabric
from hyperfabric_q.scheduling import faults
from hyperfabric_q.scheduling.admission import PeriodicFlow, response_bounds_ps
from hyperfabric_q.scheduling.faults import Fault
from hyperfabric_q.scheduling.kernel import Kernel
from hyperfabric_q.scheduling.policy import CLASSES, Policy
from hyperfabric_q.traffic.deadlines import vet
from hyperfabric_q.traffic.named_faults import placed
from hyperfabric_q.traffic.packet import DEFAULT_CLASS, DataType
from hyperfabric_q.traffic.treatment import Treatment
from hyperfabric_q.traffic.ways import Ways
from hyperfabric_q.traffic.wiring import Way
from hyperfabric_q.units import to_ps
from hyperfabric_q.workloads.qec.background import Background
from hyperfabric_q.workloads.qec.frames import Framing, wire_bytes

FIFO: Final = Policy(fifo=True)
"""The control case: first come, first served, and nothing is interrupted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Transport:
    """Return how frames travel.

    Args:
        fabric: nodes and links; None for a decoder that sits at the QPU, which costs no time.
        blocks: node of each block, one entry per block.
        decoder: node of the decoder.
        background: other traffic.
        policy: of every channel; "fabric" for the fabric's own, "fifo" for the control case.
        deadline_us: from a frame's emission until it is taken in and decoded; None for none.
        framing: what a frame weighs; see ``frames.wire_bytes``.
        chunk_ns: about how long a channel may be held against more urgent bytes.
        priority_class: class of frames and corrections.
        stagger_ns: how much later than block i block i + 1 emits.
        faults: what goes wrong on the fabric, by the names of nodes and links.

    Raises:
        InvalidValue: a field is out of range.
        UnknownName: a node does not exist.
    """

    fabric: Fabric | None = None
    blocks: tuple[str, ...] = ("",)
    decoder: str = ""
    background: tuple[Background, ...] = ()
    policy: Policy | str = "fabric"
    deadline_us: float | None = None
    framing: Framing = "compact"
    chunk_ns: float = 1000.0
    priority_class: int = DEFAULT_CLASS[DataType.SYNDROME]
    stagger_ns: float = 10.0
    faults: tuple[Fault, ...] = ()
    rules: Policy = field(init=False, repr=False)

    def __post_init__(self) -> None:
        for name in ("blocks", "background", "faults"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        if not self.blocks:
            raise InvalidValue(field="blocks", value=self.blocks, rule="there is at least one block")
        if self.deadline_us is not None and not self.deadline_us > 0:
            raise InvalidValue(field="deadline_us", value=self.deadline_us, rule="it is above 0", remedy="None: none.")
        if not 0 <= self.priority_class < CLASSES:
            rule = f"classes run from 0 to {CLASSES - 1}"
            raise InvalidValue(field="priority_class", value=self.priority_class, rule=rule)
        if self.chunk_ns <= 0 or self.stagger_ns < 0:
            raise InvalidValue(field="chunk_ns, stagger_ns", value=self.chunk_ns, rule="a chunk takes some time")
        if isinstance(self.policy, str) and self.policy not in ("fabric", "fifo"):
            raise InvalidValue(field="policy", value=self.policy, rule='it is "fabric", "fifo", or a Policy')
        chosen = self.policy
        if isinstance(chosen, str):
            chosen = FIFO if chosen == "fifo" else Policy()
        object.__setattr__(self, "rules", chosen)
        if self.fabric is not None:
            for node in (*self.blocks, self.decoder):
                self.fabric.node(node)
        elif self.background or self.faults:
            raise InvalidValue(field="fabric", value=None, rule="background and faults need links to happen on")

    @property
    def policy_name(self) -> str:
        """The policy in one word, for records."""
        if isinstance(self.policy, str):
            return self.policy
        return "fifo" if self.policy.fifo else "custom"

    @property
    def load(self) -> float:
        """What all background streams together ask of their links, at most as many as share one."""
        return min(0.95, sum(each.load for each in self.background))


@dataclass(slots=True)
class Wired:
    """A transport in a kernel of its own.

    Attributes:
        kernel: the clock and the channels.
        ups, downs: the way of each block to the decoder, and back; None without a fabric.
        across: the way of each background stream.
    """

    kernel: Kernel
    ups: list[Way | None]
    downs: list[Way | None]
    across: list[Way]


def wire(transport: Transport, seed: int) -> Wired:
    """Return a transport whose channels are in a new kernel, with its faults drawn from ``seed``.

    Raises:
        NoRoute, IsolationViolated: frames or background cannot go where they should.
    """
    kernel = Kernel(policy=transport.rules)
    nowhere: list[Way | None] = [None] * len(transport.blocks)
    if transport.fabric is None:
        return Wired(kernel, nowhere, list(nowhere), [])
    ways = Ways(transport.fabric, strict=True, chunk_ps=to_ps(ns=transport.chunk_ns))
    ways.wire(kernel)
    # Frames are authenticated by the fabric itself: they may pass borders that demand encryption.
    ups: list[Way | None] = [ways.find(node, transport.decoder, encrypted=True) for node in transport.blocks]
    downs: list[Way | None] = [ways.find(transport.decoder, node, encrypted=True) for node in transport.blocks]
    across = [ways.find(each.source, each.destination, encrypted=True) for each in transport.background]
    for stream, way in zip(transport.background, across, strict=True):
        if not way.path:
            raise InvalidValue(
                field="background", value=stream.label, rule="its two ends are one node: no link is used"
            )
    if transport.faults:
        named = [
            placed(fault, ways.network(), ways.numbers, f"{seed}|{place}")
            for place, fault in enumerate(transport.faults)
        ]
        faults.schedule(kernel).extend(named)
    return Wired(kernel, ups, downs, across)


def check_deadline(transport: Transport, wired: Wired, bits: int, service_ps: int) -> None:
    """Refuse a deadline that an idle fabric and the decoder cannot keep.

    Raises:
        DeadlineImpossible: with the bound and the smallest remedy.
    """
    if transport.deadline_us is None:
        return
    nbytes = wire_bytes(bits, transport.framing)
    for way in wired.ups:
        if way is not None:
            vet(way, nbytes, Treatment(after_ps=service_ps), to_ps(us=transport.deadline_us))


def frame_flows(transport: Transport, ways: Sequence[Way | None], bits: int, cycle_ps: int) -> list[PeriodicFlow]:
    """Return the periodic flows of one frame per round and block over ``ways``.

    Blocks on the same way are one flow of all their frames at once: that is their worst case, and the analysis of a
    hundred blocks is as quick as that of one.
    """
    deadline_ps = None if transport.deadline_us is None else to_ps(us=transport.deadline_us)
    together = Counter((way.path, way.delays) for way in ways if way is not None and way.path)
    return [
        PeriodicFlow(
            period_ps=cycle_ps,
            nbytes=count * wire_bytes(bits, transport.framing),
            priority_class=transport.priority_class,
            deadline_ps=deadline_ps,
            path=path,
            delays=delays,
        )
        for (path, delays), count in together.items()
    ]


def transport_bounds_ps(transport: Transport, wired: Wired, bits: int, cycle_ps: int) -> tuple[int | None, ...]:
    """Return for each block a time that no frame of it exceeds, whatever the background sends; None for no bound.

    Response-time analysis of the blocks' periodic frames: blocking by one chunk per hop, all frames of the same class
    and earlier deadlines, and propagation. First come, first served knows no such bound against background, nor does a
    fabric with faults, nor one on which corrections go over the channels of frames.
    """
    flows = frame_flows(transport, wired.ups, bits, cycle_ps)
    urgent = any(each.priority_class <= transport.priority_class for each in transport.background)
    shared = _used(wired.ups) & _used(wired.downs)
    bulk = transport.priority_class >= transport.rules.first_bulk and bool(transport.background)
    if urgent or bulk or transport.faults or shared or (transport.rules.fifo and transport.background):
        return (None,) * len(transport.blocks)
    found = response_bounds_ps([each.channel for each in wired.kernel.servers], flows, transport.rules)
    bound_of = {flow.path: bound for flow, bound in zip(flows, found, strict=True)}
    return tuple(0 if way is None or not way.path else bound_of[way.path] for way in wired.ups)


def _used(ways: Sequence[Way | None]) -> set[int]:
    return {number for way in ways if way is not None for number in way.path}
