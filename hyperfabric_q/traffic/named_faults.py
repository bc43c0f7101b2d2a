"""Which channels a fault strikes that is told by the names of nodes and links.

In ``channels`` of a fault there may stand, in any mix:

* ``("a", "b")``: the declared link between two nodes, in both directions;
* ``"a"``: every channel that begins or ends at a node or a switch;
* ``"link:a>b"``, ``"egress:a"``, ...: one channel by its label, as receipts show it.

``("a", "b")`` itself given as ``channels`` is refused where such a link exists: it reads like the link, and would be
all channels of both nodes. Switches are called ``(switch)`` and, in a rack, ``(rack-03)``.

``node`` of a crash and ``members`` of a partition are node ids as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

from hyperfabric_q.errors import InvalidValue, UnknownName
from hyperfabric_q.fabric.classical import ClassicalNetwork, link_label
from hyperfabric_q.scheduling.faults import (
    Corrupt,
    Delay,
    Duplicate,
    Fault,
    Flap,
    LinkDown,
    Loss,
    NodeCrash,
    Partition,
    Reorder,
    Where,
)


def placed(
    fault: Fault, network: ClassicalNetwork, numbers: Callable[[Iterable[int]], tuple[int, ...]], name: str
) -> Fault:
    """Return ``fault`` with the numbers of channels in the place of their names.

    Args:
        fault: as its author wrote it.
        network: where the names are looked up.
        numbers: turns the network's channel numbers into those that the fault shall hold.
        name: tells the fault's draws from those of others; it comes before the fault's own name.

    Raises:
        InvalidValue: it is no fault, or ``channels`` holds something else than names.
        UnknownName: there is no such node, link or channel.
    """
    if isinstance(fault, LinkDown | Flap):
        return replace(fault, channels=numbers(_channels(network, fault.channels)))
    if isinstance(fault, NodeCrash):
        network.fabric.node(fault.node)
        return fault
    if isinstance(fault, Partition):
        for member in sorted(fault.members):
            network.fabric.node(member)
        return fault
    if isinstance(fault, Loss | Corrupt | Duplicate | Reorder | Delay):
        struck = None if fault.channels is None else frozenset(numbers(_channels(network, fault.channels)))
        return replace(fault, name=f"{name}|{fault.name}", channels=struck)
    raise InvalidValue(field="fault", value=fault, rule="it is one of the faults of hyperfabric_q.scheduling.faults")


def _channels(network: ClassicalNetwork, given: Iterable[Where]) -> list[int]:
    """Return the numbers of all channels that are named, in order and once each."""
    if isinstance(given, str):
        given = (given,)
    if isinstance(given, tuple) and len(given) == 2 and _linked(network, *given):
        a, b = given
        raise InvalidValue(
            field="channels",
            value=given,
            rule="these are two nodes, that is all channels of both, and a link joins them",
            remedy=f"Write (({a!r}, {b!r}),) for the link, or {{{a!r}, {b!r}}} for all channels of both.",
        )
    if not isinstance(given, tuple | list | set | frozenset):
        raise InvalidValue(field="channels", value=given, rule="they are names of channels, as a tuple")
    return sorted({number for each in given for number in _named(network, each)})


def _linked(network: ClassicalNetwork, a: object, b: object) -> bool:
    return isinstance(a, str) and isinstance(b, str) and link_label(a, b) in network.number_of


def _named(network: ClassicalNetwork, name: Where) -> list[int]:
    if isinstance(name, tuple) and len(name) == 2:
        ends = [link_label(*name), link_label(*reversed(name))]
        if not all(label in network.number_of for label in ends):
            links = (f"{each.source}--{each.target}" for each in network.channels if each.label.startswith("link:"))
            raise UnknownName(kind="classical link", name="--".join(map(str, name)), known=tuple(links))
        return [network.number_of[label] for label in ends]
    if not isinstance(name, str):
        raise InvalidValue(
            field="channels", value=name, rule="a channel is named by a node, two linked nodes, or a label"
        )
    if name in network.number_of:
        return [network.number_of[name]]
    touching = [number for number, each in enumerate(network.channels) if name in {each.source, each.target}]
    if not touching:
        network.fabric.node(name)
    return touching
