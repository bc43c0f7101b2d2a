"""A three-tier k-ary fat tree of declared links (Al-Fares, Loukissas and Vahdat, SIGCOMM 2008)."""

from __future__ import annotations

from hyperfabric_q.errors import InvalidValue
from hyperfabric_q.fabric import fields
from hyperfabric_q.fabric.fabric import Fabric
from hyperfabric_q.fabric.link import Link
from hyperfabric_q.fabric.node import HardwareType, NodeSignature


def fat_tree(
    k: int,
    *,
    bandwidth_gbps: float = 100,
    latency_ns: float = 100,
    hosts: HardwareType = HardwareType.CPU_SERVER,
    switches: HardwareType = HardwareType.PHOTONIC_SWITCH,
) -> Fabric:
    """Return k³/4 hosts under k pods of k/2 edge and k/2 aggregation switches, and (k/2)² core switches.

    Hosts are ``host-0``, ``host-1``, ... in pod order; switches ``edge-<pod>-<number>``, ``aggregation-<pod>-<number>``
    and ``core-<number>``. Aggregation switch i of each pod reaches the core switches i·k/2 to (i+1)·k/2 - 1, so two
    hosts in different pods have (k/2)² shortest routes, and two under different edge switches of a pod k/2.

    Args:
        k: ports of a switch, an even number from 2 to 48.
        bandwidth_gbps: of every link and port.
        latency_ns: of every link.
        hosts: what the hosts are.
        switches: what the switches are; the only switch among the hardware types is the photonic one. They store and
            forward like any node between declared links.

    Raises:
        InvalidValue: ``k`` is odd or out of range, or a figure breaks its rule.
    """
    k = fields.count("k", k, "a fat tree", least=2, most=48, what="ports")
    if k % 2:
        raise InvalidValue(field="k", value=k, rule="half of a switch's ports point up, so their number is even")
    half = k // 2
    nodes = [NodeSignature(f"host-{host}", hosts, bandwidth_gbps, latency_ns) for host in range(k * half * half)]
    names = [f"{tier}-{pod}-{index}" for pod in range(k) for tier in ("edge", "aggregation") for index in range(half)]
    names += [f"core-{index}" for index in range(half * half)]
    nodes += [NodeSignature(name, switches, bandwidth_gbps, latency_ns) for name in names]
    ends: list[tuple[str, str]] = []
    for pod in range(k):
        for edge in range(half):
            first = (pod * half + edge) * half
            ends += [(f"host-{first + host}", f"edge-{pod}-{edge}") for host in range(half)]
            ends += [(f"edge-{pod}-{edge}", f"aggregation-{pod}-{upper}") for upper in range(half)]
        for upper in range(half):
            ends += [(f"aggregation-{pod}-{upper}", f"core-{upper * half + core}") for core in range(half)]
    links = tuple(Link(a, b, bandwidth_gbps=bandwidth_gbps, latency_ns=latency_ns) for a, b in ends)
    return Fabric(nodes=tuple(nodes), links=links, name=f"fat tree of {k}-port switches")
