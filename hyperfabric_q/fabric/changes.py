"""What a node, link or zone becomes when some of its fields change.

Some fields are filled in from others when they are not given: T2 from the coherence time, latency from distance,
weights from fidelity. They follow when their source changes, unless they had been given a value of their own.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, Final, TypeVar

from hyperfabric_q.errors import InvalidValue, UnknownName
from hyperfabric_q.fabric.link import Link
from hyperfabric_q.fabric.node import NodeSignature
from hyperfabric_q.fabric.presets import link_preset
from hyperfabric_q.fabric.zone import FabricZone

AnyPart = TypeVar("AnyPart", NodeSignature, Link, FabricZone)

IDENTITY: Final = frozenset({"node_id", "zone_id", "a", "b"})


def changed(part: AnyPart, changes: Mapping[str, Any]) -> AnyPart:
    """Return ``part`` with ``changes``, the fields filled in from a changed one following it.

    A new ``pair_fidelity`` keeps the proportions of given ``pair_weights``. A new ``preset`` brings all its figures and
    the weights that belong to them. A figure of the preset that is set to None is taken out, and with it the preset's
    name.

    Raises:
        UnknownName: there is no such field; the error names the nearest one.
        InvalidValue: a value breaks its field's rule, or the field is an id, which never changes.
    """
    names = tuple(each.name for each in dataclasses.fields(part))
    for name in changes:
        if name not in names:
            raise UnknownName(kind=f"field of {type(part).__name__}", name=name, known=names)
        if name in IDENTITY:
            raise InvalidValue(
                field=name, value=changes[name], rule="links and zones refer to it, so it does not change"
            )
    followers: dict[str, Any] = {}
    if isinstance(part, NodeSignature):
        followers = _node_followers(part, changes)
    elif isinstance(part, Link):
        followers = _link_followers(part, changes)
    return dataclasses.replace(part, **(followers | dict(changes)))


def _node_followers(node: NodeSignature, changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return what else changes with ``changes``; None asks for the filled-in value."""
    follows = "quantum_coherence_time_us" in changes and "t2_us" in node.filled_in
    return {"t2_us": None} if follows else {}


def _link_followers(link: Link, changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return what else changes with ``changes``; None asks for the filled-in value."""
    follow: dict[str, Any] = {}
    biased = link.quantum and "pair_weights" not in link.filled_in
    if changes.get("preset") is not None:
        follow |= dict(link_preset(changes["preset"]).fields)
        biased = False
    elif link.preset is not None:
        removed = [name for name in link_preset(link.preset).fields if name in changes and changes[name] is None]
        follow |= {"preset": None} if removed else {}
    incoming = follow | dict(changes)
    if "distance_m" in incoming and "latency_ns" in link.filled_in:
        follow["latency_ns"] = None
    if "pair_weights" in changes and "pair_fidelity" not in changes:
        follow["pair_fidelity"] = None
    elif "pair_fidelity" in incoming:
        follow["pair_weights"] = _rescaled(link, incoming["pair_fidelity"]) if biased else None
        if incoming["pair_fidelity"] is None:
            follow |= {"pair_rate_hz": None, "pair_attempt_ns": None, "pair_channel": "dedicated"}
    return follow


def _rescaled(link: Link, fidelity: Any) -> tuple[float, ...] | None:
    # A throw-away link judges the fidelity by the rule of every fidelity before it enters the arithmetic.
    good = Link(link.a, link.b, pair_fidelity=fidelity).pair_fidelity
    weights = link.pair_weights
    if good is None or weights is None or weights[0] == 1:
        return None
    scale = (1 - good) / (1 - weights[0])
    return good, weights[1] * scale, weights[2] * scale, weights[3] * scale
