"""Whether bytes may take a way through the zones of a fabric, and under what conditions.

The border of a zone is crossed on every hop between a member and a node that is none. What a crossing needs grows with
the zone's isolation level:

==================  =================================================================================================
``NONE``            nothing, and nobody notices
``LOW``             nothing; the verdict lists the zone
``MEDIUM``          one end of that hop is a declared gateway of the zone
``HIGH``            the same; and a packet whose ends are both strangers must not pass through any member
``QUANTUM_SECURE``  the same; and authenticated encryption, of which the receipt says whether quantum keys were used
==================  =================================================================================================

**Implicit endpoints** (names that nobody registered) are no gateways in strict mode. Otherwise one that talks into a
zone is recorded as a gateway for its own traffic, which is then encrypted whatever the level. Strict mode also refuses,
rather than repairs, a missing encryption. Quantum keys are demanded for ``QUANTUM_SECURE`` once the protocol has a
source of them (``treatment``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final

from hyperfabric_q.errors import InvalidValue, IsolationViolated
from hyperfabric_q.fabric import Fabric, IsolationLevel
from hyperfabric_q.fabric.membership import Membership, membership
from hyperfabric_q.traffic.endpoints import is_implicit

MOST_REMEMBERED: Final = 1 << 17

KEYLESS: Final = "its key comes from the key source, not from quantum key distribution"

_ORDER: Final = {level: rank for rank, level in enumerate(IsolationLevel)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Return what a way through the zones demands.

    Args:
        allowed: whether the bytes may go, provided that ``must_encrypt`` is obeyed.
        reason: why, in words.
        remedy: what to do when they may not.
        must_encrypt: the payload must be sealed with authenticated encryption.
        switched_on: it must be, and nobody asked for it.
        wants_quantum_key: the key should come from quantum key distribution.
        gateway: the first gateway that is passed; None when no closed border is crossed.
        recorded: the gateway is an implicit endpoint, which becomes one by this transfer.
        zones: the zones whose border is crossed, in the order of the fabric; of a refusal, the zone that refuses.
        warning: what the receipt should say; None when there is nothing to say.
    """

    allowed: bool
    reason: str
    remedy: str = ""
    must_encrypt: bool = False
    switched_on: bool = False
    wants_quantum_key: bool = False
    gateway: str | None = None
    recorded: bool = False
    zones: tuple[str, ...] = ()
    warning: str | None = None


OPEN: Final = Verdict(allowed=True, reason="no zone's border is crossed")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Isolation:
    """Return the borders of a fabric's zones as bit masks, one bit per zone; ``isolation`` builds it.

    Args:
        zones: ids of the zones that are isolated at all, the first one bit 0.
        members: zone id → who is in it, of every zone.
        inside: node id → zones it is in.
        gates: node id → zones it is a declared gateway of.
        closed: zones of level MEDIUM and above.
        sealed: zones of level HIGH and above.
        quantum: zones of level QUANTUM_SECURE.
        implicit: the endpoints that nobody registered.
        memory: verdicts given before; forgetting them changes nothing.
    """

    zones: tuple[str, ...]
    members: Mapping[str, Membership]
    inside: Mapping[str, int]
    gates: Mapping[str, int]
    closed: int
    sealed: int
    quantum: int
    implicit: frozenset[str]
    memory: dict[tuple[tuple[str, ...], bool, bool, bool, frozenset[str]], Verdict] = field(
        default_factory=dict, repr=False
    )

    @property
    def unguarded(self) -> tuple[str, ...]:
        """The isolated zones that nobody is in, and that therefore keep nothing apart."""
        return tuple(zone for zone in self.zones if not self.members[zone].members)


def isolation(fabric: Fabric) -> Isolation:
    """Return the borders of the zones of ``fabric``; O(zones·nodes)."""
    members = {zone.zone_id: membership(zone, fabric.nodes) for zone in fabric.zones}
    isolated = [zone for zone in fabric.zones if zone.isolation_level is not IsolationLevel.NONE]
    inside: dict[str, int] = {}
    gates: dict[str, int] = {}
    for bit, zone in enumerate(isolated):
        for node_id in members[zone.zone_id].members:
            inside[node_id] = inside.get(node_id, 0) | 1 << bit
        for node_id in zone.gateways:
            gates[node_id] = gates.get(node_id, 0) | 1 << bit

    def at_least(level: IsolationLevel) -> int:
        strong = (_ORDER[zone.isolation_level] >= _ORDER[level] for zone in isolated)
        return sum(1 << bit for bit, each in enumerate(strong) if each)

    return Isolation(
        zones=tuple(zone.zone_id for zone in isolated),
        members=members,
        inside=inside,
        gates=gates,
        closed=at_least(IsolationLevel.MEDIUM),
        sealed=at_least(IsolationLevel.HIGH),
        quantum=at_least(IsolationLevel.QUANTUM_SECURE),
        implicit=frozenset(node.node_id for node in fabric.nodes if is_implicit(node)),
    )


def crossing(
    borders: Isolation,
    hops: tuple[str, ...],
    *,
    encrypted: bool = False,
    quantum_key: bool = False,
    strict: bool = False,
    gateways: frozenset[str] = frozenset(),
) -> Verdict:
    """Return whether bytes may go along ``hops``, and what they need; O(hops), or a look-up when asked before.

    Args:
        borders: the fabric's zones, from ``isolation``.
        hops: the nodes that the bytes are on, as in ``Route.hops``; the first and last are the ends.
        encrypted: whether authenticated encryption was asked for.
        quantum_key: whether a key from quantum key distribution is at hand for these ends.
        strict: refuse instead of repairing.
        gateways: implicit endpoints that were recorded before, and are not warned about again.

    Raises:
        InvalidValue: there are no hops.
    """
    if not borders.zones:
        return OPEN
    if not hops:
        raise InvalidValue(field="hops", value=hops, rule="a way has at least one node")
    known = gateways.intersection((hops[0], hops[-1])) if gateways else gateways
    key = (hops, encrypted, quantum_key, strict, known)
    verdict = borders.memory.get(key)
    if verdict is None:
        verdict = _judged(borders, hops, encrypted=encrypted, quantum_key=quantum_key, strict=strict, known=known)
        if len(borders.memory) >= MOST_REMEMBERED:
            borders.memory.clear()
        borders.memory[key] = verdict
    return verdict


def enforce(verdict: Verdict, hops: tuple[str, ...]) -> Verdict:
    """Return ``verdict`` when it allows the transfer along ``hops``.

    Raises:
        IsolationViolated: it does not.
    """
    if not verdict.allowed:
        raise IsolationViolated(
            what=f"sending from {hops[0]!r} to {hops[-1]!r}",
            reason=verdict.reason,
            remedy=verdict.remedy,
            source=hops[0],
            destination=hops[-1],
            zone=verdict.zones[0],
        )
    return verdict


def relays(borders: Isolation, source: str, destination: str) -> tuple[str, ...] | None:
    """Return the fewest stops over declared gateways between which every hop may cross its borders.

    On the ideal switch two nodes are one hop apart, so traffic out of a closed zone must be led through a gateway. The
    answer has the source first and the destination last, prefers gateways in alphabetical order, and is None when there
    is no such way. Stops are judged as if neighbours: judge the whole route again with ``crossing``.
    """
    ends = borders.inside.get(source, 0) | borders.inside.get(destination, 0)
    usable = [
        node_id
        for node_id in sorted(borders.gates)
        if node_id not in {source, destination} and not borders.inside.get(node_id, 0) & borders.sealed & ~ends
    ]
    frontier: list[tuple[str, ...]] = [(source,)]
    reached = {source}
    while frontier:
        further = []
        for stops in frontier:
            if _uncovered(borders, stops[-1], destination) == 0:
                return stops if source == destination else (*stops, destination)
            for node_id in usable:
                if node_id not in reached and _uncovered(borders, stops[-1], node_id) == 0:
                    reached.add(node_id)
                    further.append((*stops, node_id))
        frontier = further
    return None


# ---------------------------------------------------------------------------------------------------------- judging


def _uncovered(borders: Isolation, a: str, b: str) -> int:
    """Return the closed zones whose border lies between two neighbours, neither of which is its gateway."""
    changed = (borders.inside.get(a, 0) ^ borders.inside.get(b, 0)) & borders.closed
    return changed & ~(borders.gates.get(a, 0) | borders.gates.get(b, 0)) if changed else 0


def _judged(
    borders: Isolation,
    hops: tuple[str, ...],
    *,
    encrypted: bool,
    quantum_key: bool,
    strict: bool,
    known: frozenset[str],
) -> Verdict:
    inside = [borders.inside.get(each, 0) for each in hops]
    strangers_in = _transit(borders, inside)
    if strangers_in:
        return _refused_transit(borders, hops, inside, strangers_in)
    crossed = 0
    gateway: str | None = None
    talking: list[str] = []
    for at, (a, b) in enumerate(pairwise(hops)):
        changed = inside[at] ^ inside[at + 1]
        crossed |= changed
        closed = changed & borders.closed
        if not closed:
            continue
        open_to = _uncovered(borders, a, b)
        if open_to:
            talkers = _talkers(borders, hops, at, open_to)
            if not talkers or strict:
                return _refused_crossing(borders, a, b, open_to, talkers)
            talking += talkers
        elif gateway is None:
            gateway = a if borders.gates.get(a, 0) & closed else b
    if not crossed:
        return OPEN
    needs_key = bool(crossed & borders.quantum)
    must_encrypt = bool(talking) or needs_key
    gateway = talking[0] if talking else gateway
    if strict and must_encrypt and not encrypted:
        return _refused_plain(borders, crossed)
    return Verdict(
        allowed=True,
        reason=f"it crosses the border of {_listed(borders, crossed)}" + (f" at {gateway!r}" if gateway else ""),
        must_encrypt=must_encrypt,
        switched_on=must_encrypt and not encrypted,
        wants_quantum_key=needs_key,
        gateway=gateway,
        recorded=bool(talking),
        zones=_named(borders, crossed),
        warning=_warning(
            borders,
            crossed,
            recorded=[each for each in dict.fromkeys(talking) if each not in known],
            switched_on=must_encrypt and not encrypted,
            keyless=needs_key and not quantum_key,
        ),
    )


def _transit(borders: Isolation, inside: list[int]) -> int:
    """Return the sealed zones through which a packet passes though neither end is in them."""
    between = 0
    for each in inside[1:-1]:
        between |= each
    return between & borders.sealed & ~(inside[0] | inside[-1])


def _talkers(borders: Isolation, hops: tuple[str, ...], at: int, zones: int) -> list[str]:
    """Return the implicit endpoints that this hop starts or ends at, if for each of ``zones`` one stands outside it."""
    ends = ((hops[at], at == 0), (hops[at + 1], at + 2 == len(hops)))
    implicit = [node_id for node_id, is_end in ends if is_end and node_id in borders.implicit]
    found = [node_id for node_id in implicit if zones & ~borders.inside.get(node_id, 0)]
    left = zones
    for node_id in found:
        left &= borders.inside.get(node_id, 0)
    return [] if left else found


def _refused_crossing(borders: Isolation, a: str, b: str, zones: int, talkers: list[str]) -> Verdict:
    zone = _named(borders, zones)[0]
    declared = sorted(node_id for node_id, mask in borders.gates.items() if mask & _bit(borders, zone))
    who = f"; {talkers[0]!r} is not registered, and strict mode makes it none" if talkers else ""
    if declared:
        remedy = f"Send by way of a gateway: {', '.join(declared[:8])}."
    else:
        remedy = f"Declare one: replace('zones.{zone}', gateways=({b if b in talkers else a!r},))."
    return Verdict(
        allowed=False,
        reason=f"between {a!r} and {b!r} it crosses the border of zone {zone!r}, and neither is its gateway{who}",
        remedy=remedy,
        gateway=declared[0] if declared else None,
        zones=(zone,),
    )


def _refused_transit(borders: Isolation, hops: tuple[str, ...], inside: list[int], zones: int) -> Verdict:
    zone = _named(borders, zones)[0]
    through = next(each for each, mask in zip(hops, inside, strict=True) if mask & _bit(borders, zone))
    return Verdict(
        allowed=False,
        reason=f"it passes through {through!r} of zone {zone!r}, where strangers have no transit",
        remedy="Link the two ends on another way, or lower the zone's isolation_level to MEDIUM.",
        zones=(zone,),
    )


def _refused_plain(borders: Isolation, crossed: int) -> Verdict:
    return Verdict(
        allowed=False,
        reason=f"it crosses the border of {_listed(borders, crossed & borders.quantum)} without encryption",
        remedy="Set encryption_enabled=True.",
        must_encrypt=True,
        zones=_named(borders, crossed & borders.quantum),
    )


def _warning(borders: Isolation, crossed: int, *, recorded: list[str], switched_on: bool, keyless: bool) -> str | None:
    listed = _listed(borders, crossed)
    said = [f"{each!r}, which nobody registered, was recorded as a gateway of {listed}" for each in recorded]
    if switched_on:
        said.append(f"encryption was switched on to cross the border of {listed}")
    if keyless:
        said.append(KEYLESS)
    return "; ".join(said) + "." if said else None


def with_quantum_key(warnings: tuple[str, ...]) -> tuple[str, ...]:
    """Return what is left of the warnings of a way for a message that has a quantum key after all."""
    left = (each.replace(f"; {KEYLESS}.", ".") for each in warnings)
    return tuple(each for each in left if each != f"{KEYLESS}.")


def _bit(borders: Isolation, zone: str) -> int:
    return 1 << borders.zones.index(zone)


def _named(borders: Isolation, zones: int) -> tuple[str, ...]:
    return tuple(zone for bit, zone in enumerate(borders.zones) if zones >> bit & 1)


def _listed(borders: Isolation, zones: int) -> str:
    return "zone " + ", ".join(repr(each) for each in _named(borders, zones))
