"""``HyperFabricProtocol``, the live fabric."""

from hyperfabric_q.protocol.live import HyperFabricProtocol

__all__ = ["HyperFabricProtocol"]
