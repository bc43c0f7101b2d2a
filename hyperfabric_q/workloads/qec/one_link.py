"""The smallest fabric that a syndrome can be late on: blocks at one node, their decoder at another, and a link."""

from __future__ import annotations

from typing import Final

from hyperfabric_q.fabric import Fabric, HardwareType, Link, NodeSignature
from hyperfabric_q.workloads.qec.background import Background
from hyperfabric_q.workloads.qec.transport import Transport

QPU: Final = "qpu"
DECODER: Final = "error-correction-processor"


def one_link(
    gbps: float,
    *,
    latency_ns: float = 0.0,
    blocks: int = 1,
    load: float = 0.0,
    policy: str = "fabric",
    deadline_us: float | None = None,
) -> Transport:
    """Return how frames travel over a single link that gradients load as well.

    Args:
        gbps: of the link and of the ports at its ends.
        latency_ns: of the link.
        blocks: logical qubits at its one end; the decoder is at the other.
        load: share of the link that gradients take: messages of 1 MiB at random times; 0 for none.
        policy: of the link, "fabric" or "fifo".
        deadline_us: of each frame.

    Raises:
        InvalidValue: a number is out of range.
    """
    ends = (
        NodeSignature(QPU, HardwareType.QUANTUM_QPU, gbps, 0.0, compute_units=1),
        NodeSignature(DECODER, HardwareType.CPU_SERVER, gbps, 0.0),
    )
    return Transport(
        fabric=Fabric(nodes=ends, links=(Link(QPU, DECODER, bandwidth_gbps=gbps, latency_ns=latency_ns),)),
        blocks=(QPU,) * blocks,
        decoder=DECODER,
        background=(Background(source=QPU, destination=DECODER, load=load),) if load else (),
        policy=policy,
        deadline_us=deadline_us,
    )
