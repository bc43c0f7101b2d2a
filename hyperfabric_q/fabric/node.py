"""A node: what hardware stands there, how it is connected, how many qubits it has and how good they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from enum import StrEnum
from typing import Any, Final

from hyperfabric_q.errors import InvalidValue
from hyperfabric_q.fabric import fields
from hyperfabric_q.fabric.backend import BackendFigures, read_backend
from hyperfabric_q.fabric.chip import Chip, outermost
from hyperfabric_q.fabric.metadata import Metadata
from hyperfabric_q.fabric.written import shown


class HardwareType(StrEnum):
    """What kind of machine a node is."""

    NVIDIA_H100 = "nvidia_h100"
    NVIDIA_A100 = "nvidia_a100"
    AMD_MI300X = "amd_mi300x"
    INTEL_GAUDI2 = "intel_gaudi2"
    QUANTUM_QPU = "quantum_qpu"
    QUANTUM_ANNEALER = "quantum_annealer"
    NEUROMORPHIC_CHIP = "neuromorphic_chip"
    PHOTONIC_SWITCH = "photonic_switch"
    CPU_SERVER = "cpu_server"
    SOFTWARE_ENDPOINT = "software_endpoint"


BACKEND_BANDWIDTH_GBPS: Final = 10.0
"""What a node read from a backend gets when nothing else is said: one ten-gigabit Ethernet port."""

BACKEND_LATENCY_NS: Final = 100.0

_DURATIONS_NS: Final = ("gate_1q_ns", "gate_2q_ns", "readout_ns", "reset_ns", "feedforward_ns", "reconfiguration_ns")
_COHERENCE_US: Final = ("quantum_coherence_time_us", "t1_us", "t2_us")
_ERRORS: Final = ("gate_error_1q", "gate_error_2q", "readout_error")
_COUNTS: Final = (
    ("compute_units", 1, "compute units"),
    ("communication_qubits", 0, "communication qubits"),
    ("photonic_channels", 0, "channels"),
    ("neuromorphic_neurons", 0, "neurons"),
)


@dataclass(frozen=True, slots=True, repr=False)
class NodeSignature:
    """Return a node of a fabric. Every figure that is None is not stated; nothing is invented for it.

    Args:
        node_id: 1 to 64 ASCII letters, digits, '.', '_' or '-', beginning with a letter or digit, without '..'.
        hardware_type: what kind of machine it is.
        bandwidth_gbps: classical bandwidth of its port, Gb/s per direction, above zero.
        latency_ns: classical latency of its port, ns.
        memory_gb: classical memory, GB.
        compute_units: of a ``QUANTUM_QPU`` the number of **data qubits**; of others whatever they count. At least 1.
        rack_position: free text.
        physical_location: free text.
        quantum_coherence_time_us: coherence time of a stored qubit, µs: the figure that deadlines are set by.
        photonic_channels: number of optical channels, on each of which attempts at a Bell pair can be made.
        neuromorphic_neurons: number of neurons.
        metadata: any JSON-able mapping without None; an immutable copy is kept, its lists as tuples.
        communication_qubits: qubits that are reserved for Bell pairs; None = no limit, 0 = the node has none.
        gate_error_1q: average gate infidelity of one-qubit gates, 1 - F_avg, as Qiskit targets report it.
        gate_error_2q: the same of two-qubit gates on this node.
        readout_error: probability that a measured bit is wrong.
        t1_us: relaxation time T1, µs.
        t2_us: dephasing time T2, µs: the figure that noise is computed from. **Without it, T2 is
            ``quantum_coherence_time_us``**; given both, each keeps its own use. At most 2·T1.
        gate_1q_ns: duration of a one-qubit gate, ns.
        gate_2q_ns: duration of a two-qubit gate, ns.
        readout_ns: duration of a measurement, ns.
        reset_ns: duration of a reset, ns.
        feedforward_ns: from a measured bit to the gate that depends on it, within the node, ns.
        reconfiguration_ns: how long a photonic switch needs to turn to another pair of nodes, ns.
        chip: which physical qubits are coupled and which are communication qubits; None = any two qubits of the node
            can meet. Its counts of data and communication qubits are taken over, and figures of its single operations
            go before the node's.

    Raises:
        InvalidValue: a field breaks its rule.
    """

    node_id: str
    hardware_type: HardwareType
    bandwidth_gbps: float
    latency_ns: float
    _: KW_ONLY
    memory_gb: float | None = None
    compute_units: int | None = None
    rack_position: str | None = None
    physical_location: str | None = None
    quantum_coherence_time_us: float | None = None
    photonic_channels: int | None = None
    neuromorphic_neurons: int | None = None
    metadata: Mapping[str, Any] = field(default_factory=Metadata)
    communication_qubits: int | None = None
    gate_error_1q: float | None = None
    gate_error_2q: float | None = None
    readout_error: float | None = None
    t1_us: float | None = None
    t2_us: float | None = None
    gate_1q_ns: float | None = None
    gate_2q_ns: float | None = None
    readout_ns: float | None = None
    reset_ns: float | None = None
    feedforward_ns: float | None = None
    reconfiguration_ns: float | None = None
    chip: Chip | None = None

    def __post_init__(self) -> None:
        put = object.__setattr__
        put(self, "node_id", fields.identifier("node_id", self.node_id))
        owner = f"node {self.node_id!r}"
        put(self, "hardware_type", fields.member("hardware_type", self.hardware_type, HardwareType, owner))
        gbps, ns = self.bandwidth_gbps, self.latency_ns
        most = fields.FASTEST_GBPS
        put(self, "bandwidth_gbps", fields.number("bandwidth_gbps", gbps, owner, above=True, most=most, unit="Gb/s"))
        put(self, "latency_ns", fields.number("latency_ns", ns, owner, most=fields.LONGEST_NS, unit="ns"))
        self._check_chip(owner)
        self._check_figures(owner)
        for name in ("rack_position", "physical_location"):
            if getattr(self, name) is not None:
                put(self, name, fields.text(name, getattr(self, name), owner))
        put(self, "metadata", Metadata(self.metadata))
        self._check_coherence(owner)

    def _check_figures(self, owner: str) -> None:
        put = object.__setattr__
        for name, least, what in _COUNTS:
            if (given := getattr(self, name)) is not None:
                put(self, name, fields.count(name, given, owner, least=least, what=what))
        for name in _ERRORS:
            if (given := getattr(self, name)) is not None:
                put(self, name, fields.probability(name, given, owner))
        for name in _DURATIONS_NS:
            if (given := getattr(self, name)) is not None:
                put(self, name, fields.number(name, given, owner, most=fields.LONGEST_NS, unit="ns"))
        for name in _COHERENCE_US:
            if (given := getattr(self, name)) is not None:
                put(self, name, fields.number(name, given, owner, above=True, most=fields.LONGEST_US, unit="us"))
        if self.memory_gb is not None:
            put(self, "memory_gb", fields.number("memory_gb", self.memory_gb, owner, most=1e12, unit="GB"))

    def _check_chip(self, owner: str) -> None:
        if self.chip is None:
            return
        if not isinstance(self.chip, Chip):
            raise InvalidValue(field="chip", value=self.chip, rule=f"{owner} takes a Chip, or None")
        reserved = len(self.chip.communication)
        for name, due in (("compute_units", self.chip.qubits - reserved), ("communication_qubits", reserved)):
            given = getattr(self, name)
            if given is not None and given != due:
                raise InvalidValue(field=name, value=given, rule=f"the chip of {owner} has {due}")
            object.__setattr__(self, name, due)

    def _check_coherence(self, owner: str) -> None:
        source = "t2_us" if self.t2_us is not None else "quantum_coherence_time_us"
        t2_us = getattr(self, source)
        object.__setattr__(self, "t2_us", t2_us)
        if t2_us is not None and self.t1_us is not None and t2_us > 2 * self.t1_us * (1 + 1e-12):
            raise InvalidValue(
                field=source,
                value=t2_us,
                rule=f"{owner} has T1 = {self.t1_us:g} us, and T2 is at most twice T1",
                remedy=f"Give a T2 of at most {2 * self.t1_us:g} us, or a longer T1.",
            )

    def __repr__(self) -> str:
        return shown(self)

    @property
    def filled_in(self) -> frozenset[str]:
        """The fields that hold what would be filled in anyway: T2 from the coherence time, counts from the chip."""
        same = self.t2_us is not None and self.t2_us == self.quantum_coherence_time_us
        counted = {"compute_units", "communication_qubits"} if self.chip is not None else set[str]()
        return frozenset(counted | {"t2_us"} if same else counted)

    @property
    def data_qubits(self) -> int | None:
        """How many data qubits a circuit may use here: 0 unless this is a QPU; None where a QPU does not say."""
        return self.compute_units if self.hardware_type is HardwareType.QUANTUM_QPU else 0

    @classmethod
    def from_backend(
        cls,
        backend: Any,
        *,
        node_id: str | None = None,
        communication_qubits: int | Sequence[int] = 1,
        bandwidth_gbps: float = BACKEND_BANDWIDTH_GBPS,
        latency_ns: float = BACKEND_LATENCY_NS,
    ) -> NodeSignature:
        """Return the QPU node that a Qiskit ``BackendV2`` or ``Target`` describes, with its chip and its medians.

        A backend knows no communication qubits, so they are taken out of its qubits; the rest are data qubits. Without
        couplings for single pairs of qubits in the target, the node has no chip: any two of its qubits can meet.

        Args:
            backend: a ``Target``, or anything with a ``target`` like Qiskit's.
            node_id: the id; by default the backend's name, with '-' for what an id must not hold.
            communication_qubits: the physical qubits to reserve for Bell pairs; or how many, which takes qubits of few
                couplings that leave the others connected.
            bandwidth_gbps: of the node's classical port, which no backend states.
            latency_ns: of the node's classical port, which no backend states.

        Raises:
            InvalidValue: the backend has no usable target, or no data qubit would be left.
        """
        read = read_backend(backend)
        chip, reserved = _chip(read, communication_qubits)
        return cls(
            node_id if node_id is not None else read.name,
            HardwareType.QUANTUM_QPU,
            bandwidth_gbps,
            latency_ns,
            compute_units=read.qubits - reserved,
            communication_qubits=reserved,
            gate_error_1q=read.gate_error_1q,
            gate_error_2q=read.gate_error_2q,
            readout_error=read.readout_error,
            t1_us=read.t1_us,
            t2_us=read.t2_us,
            gate_1q_ns=read.gate_1q_ns,
            gate_2q_ns=read.gate_2q_ns,
            readout_ns=read.readout_ns,
            reset_ns=read.reset_ns,
            chip=chip,
        )


def _chip(read: BackendFigures, communication: int | Sequence[int]) -> tuple[Chip | None, int]:
    """Return the chip of a backend, None without couplings, and how many communication qubits there are."""
    owner = f"backend {read.name!r} of {read.qubits} qubits"
    listed = isinstance(communication, Sequence) and not isinstance(communication, str | bytes)
    wanted = len(communication) if isinstance(communication, Sequence) else communication
    reserved = fields.count(
        "communication_qubits",
        wanted if listed else communication,
        owner,
        least=0,
        most=read.qubits - 1,
        what="qubits to reserve, which leaves a data qubit",
    )
    edges = tuple(sorted({(min(row.qubits), max(row.qubits)) for row in read.operations if len(row.qubits) == 2}))
    if not edges and not listed:
        return None, reserved
    places = communication if isinstance(communication, Sequence) else outermost(read.qubits, edges, reserved)
    return Chip(qubits=read.qubits, communication=tuple(places), operations=read.operations), reserved
