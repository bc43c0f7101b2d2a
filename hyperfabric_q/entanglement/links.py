"""Which elementary links a fabric has: its quantum links between memories, and the ways of light through switches.

**A plain link** joins two nodes with memory. Its Bell measurement stands in the middle, at L/2 from both ends: the
photon needs L/(2c) to get there and the result as long to come back, so a pair is L/c old when it is heralded, which is
the latency of the link. Nothing more is assumed of it: ``pair_rate_hz`` is what it heralds.

**A photonic switch** has no memory. The links that end there are arms: the rate of an arm is that of photons, each
entangled with the memory it comes from, which arrive at the switch; its fidelity is that of memory and photon. The
switch joins two arms by a linear-optics Bell measurement, which tells two of the four Bell states apart, so it succeeds
half the time (Calsamiglia and Lütkenhaus, Appl. Phys. B 72, 67 (2001))::

    success = p_a · p_b / 2        weights = weights_a * weights_b (convolution over the Pauli group)

Photons of both arms meet, so the farther end emits first: its memory is L/c old at the measurement and 2·L/c when it
hears the result, L being the longer arm. That age is charged to both memories; the nearer one is in fact younger.

**Switches in a row** pass photons on. A link between two switches is a stretch of fibre: its success is the share of
photons that pass, its weights the error which they pick up. The switch nearest to the middle measures. Of the ways of
light between two nodes those through the fewest switches are taken, at most eight of them, besides a link without any.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from hyperfabric_q.entanglement.elementary import Elementary, Station
from hyperfabric_q.entanglement.memory import Memory
from hyperfabric_q.errors import InvalidValue
from hyperfabric_q.fabric import Fabric, HardwareType, Link, NodeSignature
from hyperfabric_q.fabric.topology import MOST_LINKS
from hyperfabric_q.units import PS_PER_S, PS_PER_US, to_ps

SEPARABLE_FIDELITY: Final = 0.5
"""A pair of this fidelity or less is no entanglement that swapping or purifying could use."""

BELL_MEASUREMENT_SUCCESS: Final = 0.5
"""Of a Bell measurement with linear optics and no auxiliary photons."""

USUAL_ATTEMPT_PS: Final = PS_PER_US
"""What an attempt takes at least when only a rate is stated: emission, detection and reset in a microsecond."""

MOST_SWITCHES: Final = 8
MOST_ALTERNATIVES: Final = 8

LEAST_SUCCESS: Final = 1e-30
"""At a picosecond per attempt, less than this is one pair in the age of the universe."""

_WORST_GATE_ERROR: Final = 0.75
"""Average infidelity of a two-qubit gate that leaves the maximally mixed state."""

Weights = tuple[float, float, float, float]


class Stretch(NamedTuple):
    """An elementary link, and light's way along it, which the outcomes of Bell measurements take as well."""

    link: Elementary
    light_ps: int

    def other_end(self, node_id: str) -> str:
        """Return the end that is not ``node_id``."""
        return self.link.b if node_id == self.link.a else self.link.a


class _Piece(NamedTuple):
    """One link of a way of light, on one channel."""

    success: float
    attempt_ps: int
    light_ps: int
    weights: Weights
    shared: bool


def memory_slots(node: NodeSignature) -> int | None:
    """Return how many halves of pairs ``node`` can hold; None = no limit.

    A photonic switch holds none. A QPU that states no number has no limit; other hardware has what it states.
    """
    if node.hardware_type is HardwareType.PHOTONIC_SWITCH:
        return 0
    if node.hardware_type is HardwareType.QUANTUM_QPU:
        return node.communication_qubits
    return node.communication_qubits or 0


def can_swap(node: NodeSignature) -> bool:
    """Return whether ``node`` can hold two halves and its gates and readout leave something of them."""
    slots = memory_slots(node)
    works = (node.gate_error_2q or 0.0) <= _WORST_GATE_ERROR and (node.readout_error or 0.0) <= 0.5
    return works and (slots is None or slots >= 2)


def station(fabric: Fabric, node_id: str) -> Station:
    """Return what the node called ``node_id`` does for entanglement; a figure that it does not state is ideal.

    Raises:
        UnknownName: there is no such node.
        InvalidValue: its two-qubit gates or its readout are worse than chance.
    """
    node = fabric.node(node_id)
    gate_error, readout_error = node.gate_error_2q or 0.0, node.readout_error or 0.0
    if gate_error > _WORST_GATE_ERROR:
        raise InvalidValue(
            field="gate_error_2q",
            value=gate_error,
            rule=f"at {_WORST_GATE_ERROR:g} nothing is left of two qubits, and node {node_id!r} states more",
        )
    if readout_error > 0.5:
        raise InvalidValue(
            field="readout_error",
            value=readout_error,
            rule=f"node {node_id!r} reads bits wrong more often than right",
            remedy="Read them inverted, and state one minus that.",
        )
    return Station(
        node_id=node.node_id,
        memory=Memory.of(node),
        depolarising=gate_error / _WORST_GATE_ERROR,
        readout_error=readout_error,
        swap_ps=to_ps(ns=(node.gate_2q_ns or 0.0) + (node.readout_ns or 0.0)),
        slots=memory_slots(node),
    )


def elementary_links(fabric: Fabric) -> tuple[Elementary, ...]:
    """Return every elementary link that can be used, by the order of the nodes; O(nodes² of a switch).

    Left out are links of fidelity 0.5 or less, without optical channels, and those that end where there is no memory.

    Raises:
        InvalidValue: there are more than 200,000 of them; ask for paths, which need few.
    """
    net = QuantumNet(fabric)
    place = {node.node_id: index for index, node in enumerate(fabric.nodes)}
    found: list[Elementary] = []
    for node in fabric.nodes:
        here = node.node_id
        found += [each.link for each in net.stretches(here) if place[each.other_end(here)] > place[here]]
        if len(found) > MOST_LINKS:
            raise InvalidValue(
                field="fabric",
                value=fabric.name,
                rule=f"its switches make more than {MOST_LINKS} elementary links",
                remedy="Ask for the paths between two nodes instead.",
            )
    return tuple(found)


class QuantumNet:
    """The elementary links of a fabric, made as they are asked for."""

    def __init__(self, fabric: Fabric) -> None:
        """Sort the quantum links by their ends; O(nodes + links)."""
        self.fabric = fabric
        self._next: dict[str, list[str]] = {node.node_id: [] for node in fabric.nodes}
        for link in fabric.quantum_links:
            self._next[link.a].append(link.b)
            self._next[link.b].append(link.a)
        self._stretches: dict[str, tuple[Stretch, ...]] = {}

    def neighbours(self, node_id: str) -> Sequence[str]:
        """Return the nodes at the other end of quantum links, usable or not."""
        return self._next[node_id]

    def is_switch(self, node_id: str) -> bool:
        """Return whether photons pass this node without being stored."""
        return self.fabric.node(node_id).hardware_type is HardwareType.PHOTONIC_SWITCH

    def stretches(self, node_id: str) -> tuple[Stretch, ...]:
        """Return the usable elementary links that end at ``node_id``."""
        known = self._stretches.get(node_id)
        if known is None:
            made = (self.stretch(way) for way in self._ways(node_id))
            known = tuple(each for each in made if isinstance(each, Stretch))
            self._stretches[node_id] = known
        return known

    def stretch(self, way: Sequence[str]) -> Stretch | InvalidValue:
        """Return the elementary link along ``way``, two nodes and the switches between them, or why there is none."""
        first, last = way[0], way[-1]
        if first > last:
            return self.stretch(tuple(reversed(way)))
        channels = self._channels(way)
        if channels == 0:
            return InvalidValue(
                field="photonic_channels",
                value=0,
                rule=f"a pair between {first!r} and {last!r} needs one optical channel of each node on its way",
                remedy="Give these nodes photonic_channels, or leave it out for one.",
            )
        pieces = [self._piece(a, b, way) for a, b in itertools.pairwise(way)]
        weights = _convolved([piece.weights for piece in pieces])
        if weights[0] <= SEPARABLE_FIDELITY:
            through = f" through {', '.join(way[1:-1])}" if len(way) > 2 else ""
            asked = f"a pair between {first!r} and {last!r}{through}"
            return InvalidValue(
                field="pair_fidelity",
                value=weights[0],
                rule=f"{asked} is not entangled at {SEPARABLE_FIDELITY:g} or less",
                remedy="Raise pair_fidelity, or ask for a path that avoids this link.",
            )
        success = math.prod(piece.success for piece in pieces)
        light_ps = sum(piece.light_ps for piece in pieces)
        via, herald_ps = None, light_ps
        if len(way) > 2:
            success *= BELL_MEASUREMENT_SUCCESS
            via, herald_ps = _measurement(way, [piece.light_ps for piece in pieces])
        if success < LEAST_SUCCESS:
            return InvalidValue(
                field="pair_rate_hz", value=success, rule=f"no attempt between {first!r} and {last!r} ever succeeds"
            )
        link = Elementary(
            a=first,
            b=last,
            attempt_ps=max(piece.attempt_ps for piece in pieces),
            success=_multiplexed(success, channels),
            herald_ps=herald_ps,
            weights=weights,
            via=via,
            shared=any(piece.shared for piece in pieces),
            reconfiguration_ps=max(map(self._reconfiguration_ps, way[1:-1]), default=0),
        )
        return Stretch(link, light_ps)

    def _ways(self, start: str) -> Iterator[tuple[str, ...]]:
        """Yield the ways of light from ``start`` to nodes with memory, level by level of switches."""
        if memory_slots(self.fabric.node(start)) == 0:
            return
        reached = {start}
        ways: dict[str, list[tuple[str, ...]]] = {start: [(start,)]}
        for through in range(MOST_SWITCHES + 1):
            level: dict[str, list[tuple[str, ...]]] = {}
            for here, known in ways.items():
                for other in self._next[here]:
                    if other not in reached:
                        room = MOST_ALTERNATIVES - len(level.get(other, ()))
                        level.setdefault(other, []).extend((*way, other) for way in known[:room])
            ways = {}
            for end, found in level.items():
                if self.is_switch(end):
                    ways[end] = found
                elif memory_slots(self.fabric.node(end)) != 0:
                    yield from found
            # A link without a switch does not stand in for the ways through switches.
            reached |= level.keys() if through else ways.keys()

    def _channels(self, way: Sequence[str]) -> int:
        stated = (self.fabric.node(node_id).photonic_channels for node_id in way)
        return min((count for count in stated if count is not None), default=1)

    def _reconfiguration_ps(self, switch: str) -> int:
        return to_ps(ns=self.fabric.node(switch).reconfiguration_ns or 0.0)

    def _piece(self, a: str, b: str, way: Sequence[str]) -> _Piece:
        link = self.fabric.link(a, b)
        if link is None or link.pair_weights is None:
            raise InvalidValue(field="way", value=tuple(way), rule=f"no quantum link joins {a!r} and {b!r}")
        light_ps = self._light_ps(link)
        # From emission to result: an arm's photon goes and the result comes back; a photon that passes waits for none.
        ends_with_memory = (a == way[0]) + (b == way[-1])
        herald_ps = (0, 2 * light_ps, light_ps)[ends_with_memory]
        success, attempt_ps = _attempts(link, herald_ps)
        return _Piece(success, attempt_ps, light_ps, link.pair_weights, link.pair_channel == "shared")

    def _light_ps(self, link: Link) -> int:
        if link.latency_ns is not None:
            return to_ps(ns=link.latency_ns)
        return to_ps(ns=max(self.fabric.node(end).latency_ns for end in link.ends))


def _attempts(link: Link, herald_ps: int) -> tuple[float, int]:
    """Return success probability and duration of an attempt on one channel.

    What is not stated is decided so that the rate comes out as declared: attempts do not overlap, as far as the rate
    allows it; without a rate a pair is there on demand, at the first attempt.
    """
    rate_hz = link.pair_rate_hz
    if link.pair_attempt_ns is not None:
        success = 1.0 if rate_hz is None else min(1.0, rate_hz * link.pair_attempt_ns / 1e9)
        return success, to_ps(ns=link.pair_attempt_ns)
    if rate_hz is None:
        return 1.0, max(herald_ps, 1)
    attempt_ps = max(herald_ps, USUAL_ATTEMPT_PS)
    if rate_hz * attempt_ps <= PS_PER_S:
        return rate_hz * attempt_ps / PS_PER_S, attempt_ps
    return 1.0, max(1, round(PS_PER_S / rate_hz))


def _multiplexed(success: float, channels: int) -> float:
    """Return the probability that one of ``channels`` simultaneous attempts succeeds, 1 - (1 - p)^m."""
    return 1.0 if success == 1 else -math.expm1(channels * math.log1p(-success))


def _measurement(way: Sequence[str], lights_ps: Sequence[int]) -> tuple[str, int]:
    """Return the switch nearest to the middle of ``way``, and the age of the older memory when it hears the result."""
    whole, before, best = sum(lights_ps), 0, (way[1], 2 * sum(lights_ps))
    for switch, light_ps in zip(way[1:-1], lights_ps, strict=False):
        before += light_ps
        age_ps = 2 * max(before, whole - before)
        if age_ps < best[1]:
            best = switch, age_ps
    return best


def _convolved(weights: Sequence[Weights]) -> Weights:
    """Return the weights of the product of independent Pauli errors: I, X, Y, Z multiply as 0, 1, 2, 3 under XOR."""
    result = [1.0, 0.0, 0.0, 0.0]
    for each in weights:
        result = [math.fsum(result[i] * each[i ^ k] for i in range(4)) for k in range(4)]
    return result[0], result[1], result[2], result[3]
