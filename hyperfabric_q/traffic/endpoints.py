"""Which node a name stands for, when it may be one that nobody registered.

A registered name is its node. A name within edit distance 2 of a registered one is taken for a slip of the pen. Any
other becomes a classical software endpoint: a program somewhere that talks to the fabric. It is marked as implicit,
gives one warning, and is listed; a QPU never comes about this way.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from hyperfabric_q.errors import ImplicitEndpointWarning, UnknownName
from hyperfabric_q.fabric import Fabric, HardwareType, NodeSignature
from hyperfabric_q.fabric.node import BACKEND_BANDWIDTH_GBPS, BACKEND_LATENCY_NS

ENDPOINT_BANDWIDTH_GBPS: Final = BACKEND_BANDWIDTH_GBPS
"""An endpoint that states nothing has one ten-gigabit Ethernet port, as a node read from a backend has."""

ENDPOINT_LATENCY_NS: Final = BACKEND_LATENCY_NS

CLOSE: Final = 2
"""A name this few insertions, deletions and replacements from a registered one is taken for a misspelling."""

IMPLICIT: Final = "implicit"
"""The metadata key that marks an endpoint nobody registered."""


def resolve(fabric: Fabric, name: str, *, strict: bool = False) -> tuple[Fabric, str, ImplicitEndpointWarning | None]:
    """Return the fabric with a node called ``name``, its id, and the warning to give when it was not there before.

    O(1) for a known name; otherwise the name is compared with every registered id.

    Args:
        fabric: the fabric as it stands.
        name: the source or destination of a transfer.
        strict: refuse every name that is not registered.

    Raises:
        UnknownName: the name is close to a registered one, or ``strict`` is set; the closest names come first in it.
        InvalidValue: the name breaks the rule of node ids.
    """
    if name in fabric:
        return fabric, name, None
    endpoint = NodeSignature(
        name,
        HardwareType.SOFTWARE_ENDPOINT,
        ENDPOINT_BANDWIDTH_GBPS,
        ENDPOINT_LATENCY_NS,
        metadata={IMPLICIT: True},
    )
    registered = [node.node_id for node in fabric.nodes if not is_implicit(node)]
    near = misspelt(name, registered)
    if near or strict:
        far = sorted(set(registered) - set(near))
        raise UnknownName(kind="node", name=name, known=(*near, *far))
    warning = ImplicitEndpointWarning(
        f"nobody registered {name!r}: it becomes a software endpoint with {ENDPOINT_BANDWIDTH_GBPS:g} Gb/s and "
        f"{ENDPOINT_LATENCY_NS:g} ns. Register it to say otherwise, or set strict=True to refuse such names."
    )
    return fabric.with_node(endpoint), name, warning


def registered(fabric: Fabric, node: NodeSignature) -> Fabric:
    """Return the fabric with ``node``, in the place of an implicit endpoint of that id if there is one.

    Raises:
        DuplicateName: a node of that id is registered already.
    """
    given: object = node
    if not isinstance(given, NodeSignature) or node.node_id not in fabric:
        return fabric.with_node(node)
    held = fabric.node(node.node_id)
    if not is_implicit(held):
        return fabric.with_node(node)
    return replace(fabric, nodes=tuple(node if each is held else each for each in fabric.nodes))


def is_implicit(node: NodeSignature) -> bool:
    """Return whether ``node`` is an endpoint that nobody registered."""
    return node.hardware_type is HardwareType.SOFTWARE_ENDPOINT and node.metadata.get(IMPLICIT) is True


def implicit_endpoints(fabric: Fabric) -> tuple[str, ...]:
    """Return the ids of the endpoints that nobody registered, in the order in which they were first named."""
    return tuple(node.node_id for node in fabric.nodes if is_implicit(node))


def misspelt(name: str, registered: list[str]) -> list[str]:
    """Return the ids within edit distance 2 of ``name``, the closest first and equals in alphabetical order."""
    rows = ((distance, each) for each in registered if (distance := _edits(name, each)) is not None)
    return [each for _, each in sorted(rows)]


def _edits(a: str, b: str) -> int | None:
    """Return the Levenshtein distance of two names when it is at most ``CLOSE``, else None."""
    for most in range(CLOSE + 1):
        if _within(a, b, most):
            return most
    return None


def _within(a: str, b: str, most: int) -> bool:
    """Return whether at most ``most`` edits turn ``a`` into ``b``; an equal beginning costs nothing."""
    if abs(len(a) - len(b)) > most:
        return False
    same = next((at for at, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))
    a, b = a[same:], b[same:]
    if not a or not b:
        return len(a) + len(b) <= most
    return most > 0 and (_within(a[1:], b[1:], most - 1) or _within(a[1:], b, most - 1) or _within(a, b[1:], most - 1))
