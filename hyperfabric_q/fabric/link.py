"""A link between two nodes: its classical channel and, where Bell pairs can be made, the state they are born in."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Final

from hyperfabric_q.errors import InvalidValue, nearest
from hyperfabric_q.fabric import fields
from hyperfabric_q.fabric.presets import link_preset
from hyperfabric_q.fabric.written import shown
from hyperfabric_q.units import fibre_latency_ns, shortest_latency_ns

Weights = tuple[float, float, float, float]

LEAST_FIDELITY: Final = 0.25
"""The fidelity of the maximally mixed two-qubit state; below it, another Bell state is meant."""

SHORTEST_ATTEMPT_NS: Final = 1e-3
"""One tick of the picosecond clock."""

PAIR_CHANNELS: Final = ("dedicated", "shared")
"""Where attempts happen: on a line of their own, or on the one that classical bytes take."""

_TOLERANCE: Final = 1e-9


def werner(fidelity: float) -> Weights:
    """Return the Bell-diagonal weights (pI, pX, pY, pZ) of the Werner state of that fidelity (Werner 1989)."""
    rest = (1 - fidelity) / 3
    return fidelity, rest, rest, rest


@dataclass(frozen=True, slots=True, repr=False)
class Link:
    """Return a link, the same in both directions: its ends are kept in alphabetical order.

    Args:
        a: the id of one end.
        b: the id of the other end.
        bandwidth_gbps: classical bandwidth per direction; None = what both ends can do.
        latency_ns: classical latency in one direction; None = that of ``distance_m`` of fibre, if known.
        distance_m: length of the channel; light in vacuum bounds ``latency_ns`` from below.
        pair_fidelity: ⟨Φ⁺|ρ|Φ⁺⟩ of a fresh Bell pair, in [0.25, 1]; None = no quantum link.
        pair_rate_hz: heralded pairs per second; None = not stated.
        pair_weights: Bell-diagonal weights (pI, pX, pY, pZ) of a fresh pair over (Φ⁺, Ψ⁺, Ψ⁻, Φ⁻), which is the Pauli
            error on one half; by default those of the Werner state of ``pair_fidelity``.
        preset: the name of published figures to start from; a field given beside it wins.
        pair_attempt_ns: duration of one attempt to make a pair; None = decided from rate and light
            (``hyperfabric_q.entanglement.routes``). Attempts and rate together state the success probability.
        pair_channel: ``dedicated``, or ``shared``: attempts take the line of classical bytes from ``a`` to ``b``.

    Raises:
        InvalidValue: a field breaks its rule, both ends are one node, the latency is shorter than light allows, or
            more pairs are heralded than attempts are made.
        UnknownName: no preset has that name.
    """

    a: str
    b: str
    _: KW_ONLY
    bandwidth_gbps: float | None = None
    latency_ns: float | None = None
    distance_m: float | None = None
    pair_fidelity: float | None = None
    pair_rate_hz: float | None = None
    pair_weights: Weights | None = None
    preset: str | None = None
    pair_attempt_ns: float | None = None
    pair_channel: str = "dedicated"

    def __post_init__(self) -> None:
        self._order_ends()
        self._fill_from_preset()
        self._check_classical()
        self._check_quantum()
        self._check_attempts()

    def __repr__(self) -> str:
        return shown(self)

    @property
    def filled_in(self) -> frozenset[str]:
        """The fields that hold what would be filled in anyway: latency from distance, weights from fidelity."""
        latency = self.distance_m is not None and self.latency_ns == fibre_latency_ns(self.distance_m)
        weights = self.pair_fidelity is not None and self.pair_weights == werner(self.pair_fidelity)
        return frozenset((("latency_ns",) if latency else ()) + (("pair_weights",) if weights else ()))

    @property
    def quantum(self) -> bool:
        """Whether Bell pairs can be made over this link."""
        return self.pair_fidelity is not None

    @property
    def label(self) -> str:
        """The name of the link, ``a--b``, which ``Fabric.replace`` matches."""
        return f"{self.a}--{self.b}"

    @property
    def ends(self) -> tuple[str, str]:
        """Both node ids, in alphabetical order."""
        return self.a, self.b

    def _order_ends(self) -> None:
        a, b = fields.identifier("a", self.a), fields.identifier("b", self.b)
        if a == b:
            raise InvalidValue(field="b", value=b, rule="a link joins two different nodes, and both ends are this one")
        object.__setattr__(self, "a", min(a, b))
        object.__setattr__(self, "b", max(a, b))

    def _fill_from_preset(self) -> None:
        if self.preset is None:
            return
        for name, value in link_preset(self.preset).fields.items():
            # Explicit weights state the fidelity already: the preset's must not contradict them.
            stated = name == "pair_fidelity" and self.pair_weights is not None
            if getattr(self, name) is None and not stated:
                object.__setattr__(self, name, value)

    def _check_classical(self) -> None:
        put, owner = object.__setattr__, f"link {self.label!r}"
        if self.bandwidth_gbps is not None:
            gbps = fields.number(
                "bandwidth_gbps", self.bandwidth_gbps, owner, above=True, most=fields.FASTEST_GBPS, unit="Gb/s"
            )
            put(self, "bandwidth_gbps", gbps)
        if self.latency_ns is not None:
            ns = fields.number("latency_ns", self.latency_ns, owner, most=fields.LONGEST_NS, unit="ns")
            put(self, "latency_ns", ns)
        if self.distance_m is None:
            return
        put(self, "distance_m", fields.number("distance_m", self.distance_m, owner, most=fields.FARTHEST_M, unit="m"))
        if self.latency_ns is None:
            put(self, "latency_ns", fibre_latency_ns(self.distance_m))
            return
        bound = shortest_latency_ns(self.distance_m)
        if self.latency_ns < bound * (1 - _TOLERANCE):
            raise InvalidValue(
                field="latency_ns",
                value=self.latency_ns,
                rule=f"{owner} is {self.distance_m:g} m long, and light in vacuum takes {bound:.6g} ns for that",
                remedy=f"Give at least {bound:.6g} ns, or leave it out for that of fibre.",
            )

    def _check_quantum(self) -> None:
        put, owner = object.__setattr__, f"link {self.label!r}"
        if self.pair_fidelity is not None:
            fidelity = fields.number("pair_fidelity", self.pair_fidelity, owner, least=LEAST_FIDELITY, most=1)
            put(self, "pair_fidelity", fidelity)
        if self.pair_weights is not None:
            weights = _weights(self.pair_weights, owner)
            if self.pair_fidelity is not None and abs(weights[0] - self.pair_fidelity) > _TOLERANCE:
                raise InvalidValue(
                    field="pair_weights",
                    value=self.pair_weights,
                    rule=f"{owner} has pair_fidelity = {self.pair_fidelity:g}, and the first weight must equal it",
                    remedy="Give one of the two.",
                )
            put(self, "pair_weights", weights)
            put(self, "pair_fidelity", weights[0])
        elif self.pair_fidelity is not None:
            put(self, "pair_weights", werner(self.pair_fidelity))
        if self.pair_rate_hz is not None:
            rate = fields.number(
                "pair_rate_hz", self.pair_rate_hz, owner, above=True, most=fields.FASTEST_HZ, unit="Hz"
            )
            put(self, "pair_rate_hz", rate)
            if self.pair_fidelity is None:
                raise InvalidValue(
                    field="pair_rate_hz",
                    value=rate,
                    rule=f"{owner} makes no Bell pairs as long as pair_fidelity is not given",
                    remedy="Give pair_fidelity as well.",
                )

    def _check_attempts(self) -> None:
        put, owner = object.__setattr__, f"link {self.label!r}"
        put(self, "pair_channel", _channel(self.pair_channel, owner))
        if self.pair_attempt_ns is not None:
            least, most = SHORTEST_ATTEMPT_NS, fields.LONGEST_NS
            ns = fields.number("pair_attempt_ns", self.pair_attempt_ns, owner, least=least, most=most, unit="ns")
            put(self, "pair_attempt_ns", ns)
        stated = (("pair_attempt_ns", self.pair_attempt_ns, None), ("pair_channel", self.pair_channel, "dedicated"))
        for name, value, silent in stated:
            if self.pair_fidelity is None and value != silent:
                raise InvalidValue(
                    field=name,
                    value=value,
                    rule=f"{owner} makes no Bell pairs as long as pair_fidelity is not given",
                    remedy="Give pair_fidelity as well.",
                )
        if self.pair_attempt_ns is None or self.pair_rate_hz is None:
            return
        success = self.pair_rate_hz * self.pair_attempt_ns / 1e9
        if success > 1 + _TOLERANCE:
            raise InvalidValue(
                field="pair_attempt_ns",
                value=self.pair_attempt_ns,
                rule=f"{owner} heralds {self.pair_rate_hz:g} pairs/s, which would be {success:.6g} of each attempt",
                remedy=f"Give at most {1e9 / self.pair_rate_hz:.6g} ns, or a lower pair_rate_hz.",
            )


def _channel(value: object, owner: str) -> str:
    if isinstance(value, str) and value in PAIR_CHANNELS:
        return str.__str__(value)
    close = nearest(value, PAIR_CHANNELS) if isinstance(value, str) else None
    raise InvalidValue(
        field="pair_channel",
        value=value,
        rule=f"{owner} makes its pairs on a channel that is 'dedicated' or 'shared'",
        remedy=f"Did you mean {close!r}?" if close else "",
    )


def _weights(value: object, owner: str) -> Weights:
    """Return ``value`` as four weights whose sum is 1 to the last digits, first of them the fidelity."""
    refused = InvalidValue(
        field="pair_weights",
        value=value,
        rule=f"{owner} needs four weights (pI, pX, pY, pZ) in [0, 1] of sum 1, the first at least {LEAST_FIDELITY:g}",
    )
    if isinstance(value, str) or not isinstance(value, Sequence) or len(value) != 4:
        raise refused
    if not all(fields.is_number(each) and 0 <= each <= 1 for each in value):
        raise refused
    total = math.fsum(value)
    if abs(total - 1) > _TOLERANCE or value[0] < LEAST_FIDELITY:
        raise refused
    # Samplers insist on a sum of 1. One that is right to 1e-12 stays as it is: writing and reading must change nothing.
    scale = 1.0 if abs(total - 1) <= 1e-12 else total
    p_i, p_x, p_y, p_z = (float(each) / scale for each in value)
    return max(p_i, LEAST_FIDELITY), p_x, p_y, p_z
