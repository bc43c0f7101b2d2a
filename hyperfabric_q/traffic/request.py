"""What a caller may ask of a transfer, read and checked: data type, priority, latency constraint, standing terms."""

from __future__ import annotations

import math
import sys
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, NamedTuple, TypeAlias, get_args

from hyperfabric_q.errors import InvalidValue, UnknownName
from hyperfabric_q.fabric.fields import is_number, is_whole
from hyperfabric_q.scheduling.policy import NO_DEADLINE, Policy
from hyperfabric_q.traffic.packet import DataType, PacketPriority, priority_class
from hyperfabric_q.traffic.profiles import Profile, profiles
from hyperfabric_q.traffic.sealing import SOFTWARE, CipherCost
from hyperfabric_q.units import PS_PER_NS, PS_PER_US, to_ps

Violation: TypeAlias = Literal["record", "raise"]
QuantumMode: TypeAlias = Literal["auto", "otp", "aes-256-gcm"]

MOST_SPELLINGS: Final = 4096


class Kind(NamedTuple):
    """What a packet is and how urgent: both words, the class they mean, and their text in an identity."""

    data_type: DataType
    priority: PacketPriority
    priority_class: int
    text: str


def _kind(data_type: DataType, priority: PacketPriority) -> Kind:
    chosen = priority_class(data_type, priority)
    return Kind(data_type, priority, chosen, f"{data_type.value}|{chosen}")


KINDS: Final[dict[tuple[object, object], Kind]] = {
    (data_type, priority): _kind(data_type, priority) for data_type in DataType for priority in PacketPriority
}
"""By data type and priority; other spellings are added as they are met."""


def kind_of(data_type: object, priority: object) -> Kind:
    """Return the kind that two words, or their names in any case, stand for.

    Raises:
        UnknownName: there is no such data type or priority.
        InvalidValue: one is neither a word nor a member.
    """
    try:
        found = KINDS.get((data_type, priority))
    except TypeError:
        given = (data_type, priority)
        raise InvalidValue(field="data_type, priority", value=given, rule="they are members or names") from None
    if found is None or isinstance(priority, bool):  # True equals a priority's number
        found = _kind(_member("data_type", data_type, DataType), _member("priority", priority, PacketPriority))
        if len(KINDS) < MOST_SPELLINGS:
            KINDS[data_type, priority] = found
    return found


def _member(field: str, given: object, kind: Any) -> Any:
    if isinstance(given, kind):
        return given
    if not isinstance(given, str):
        raise InvalidValue(field=field, value=given, rule=f"it is a {kind.__name__} or the name of one")
    found = kind.__members__.get(given.strip().upper())
    if found is None:
        raise UnknownName(kind=field, name=given, known=tuple(name.lower() for name in kind.__members__))
    return found


def constraint_ps(given: object, field: str = "latency_constraint_ns") -> int:
    """Return a latency constraint in picoseconds, at most what the clock can count.

    Raises:
        InvalidValue: it is not a positive number of nanoseconds.
    """
    if not is_number(given):
        raise InvalidValue(field=field, value=given, rule="it is a number of nanoseconds, or None")
    if not 0 < given < math.inf:
        raise InvalidValue(field=field, value=given, rule="it is above 0 and finite", remedy="None sets no limit.")
    if given >= NO_DEADLINE // PS_PER_NS:
        return NO_DEADLINE
    return max(1, _exact_ps(given))


def duration_ps(given: object) -> int:
    """Return a wait in picoseconds.

    Raises:
        InvalidValue: it is no finite number of nanoseconds of at least 0.
    """
    if not is_number(given) or not 0 <= given <= sys.float_info.max:
        raise InvalidValue(field="duration_ns", value=given, rule="it is a finite number of nanoseconds of at least 0")
    return _exact_ps(given)


def _exact_ps(ns: float) -> int:
    return to_ps(ns=int(ns) if is_whole(ns) else float(ns))


def checked_metadata(given: object) -> Mapping[str, Any]:
    """Return the caller's metadata, which goes to the handler as it is.

    Raises:
        InvalidValue: it is no mapping.
    """
    if not isinstance(given, Mapping):
        raise InvalidValue(field="metadata", value=given, rule="it is a mapping, or None")
    return given


@dataclass(frozen=True, slots=True, kw_only=True)
class QuantumWish:
    """What a send asks for that is to be sealed under a key of quantum key distribution.

    Attributes:
        mode: "otp" or "aes-256-gcm"; "auto" takes the pad for small payloads when there is enough key.
        trusted: nodes that may relay a key, and then know it.
        zone: whether a zone demands it rather than the caller.
    """

    mode: QuantumMode = "auto"
    trusted: tuple[str, ...] = ()
    zone: bool = False


def quantum_wish(metadata: object) -> QuantumWish | None:
    """Return what ``metadata`` asks of quantum keys: by ``quantum_secured``, ``quantum_mode`` and ``trusted_nodes``.

    None when ``quantum_secured`` is absent or False; the other two then mean nothing here.

    Raises:
        InvalidValue: one of them is of another kind than it must be.
    """
    if not isinstance(metadata, Mapping) or "quantum_secured" not in metadata:
        return None
    asked = metadata["quantum_secured"]
    if not isinstance(asked, bool):
        raise InvalidValue(field="metadata['quantum_secured']", value=asked, rule="it is True or False")
    if not asked:
        return None
    named, nodes = metadata.get("quantum_mode", "auto"), metadata.get("trusted_nodes", ())
    mode: QuantumMode | None = next((each for each in get_args(QuantumMode) if each == named), None)
    if mode is None:
        known = ", ".join(get_args(QuantumMode))
        raise InvalidValue(field="metadata['quantum_mode']", value=named, rule=f"it is one of {known}")
    if isinstance(nodes, str) or not isinstance(nodes, Collection) or not all(isinstance(each, str) for each in nodes):
        raise InvalidValue(field="metadata['trusted_nodes']", value=nodes, rule="it is a collection of node ids")
    return QuantumWish(mode=mode, trusted=tuple(sorted(set(nodes))))


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """Return the terms that hold for every transfer of a protocol.

    Args:
        strict: refuse what would otherwise be repaired and reported.
        enable_ml_routing: send over the way of least estimated delay instead of the shortest.
        enable_fault_tolerance: send again what was lost.
        on_violation: whether a latency constraint that is not met is recorded or raised.
        profile: the transport, by name or as a value.
        constraint_ns: latency constraint of sends that state none.
        policy: who goes first on a channel.
        cipher: what sealing and opening cost.
        chunk_ps: about how long a channel may be held against more urgent bytes.
        keep_events: how many events of each kind the timeline keeps; None = all, 0 = none but the digest.

    Raises:
        InvalidValue: one of them is out of range.
        UnknownName: there is no such profile.
    """

    strict: bool = False
    enable_ml_routing: bool = False
    enable_fault_tolerance: bool = False
    on_violation: Violation = "record"
    profile: Profile | str = "fabric"
    constraint_ns: float | None = None
    policy: Policy | None = None
    cipher: CipherCost = SOFTWARE
    chunk_ps: int = PS_PER_US
    keep_events: int | None = 0

    def __post_init__(self) -> None:
        for name in ("strict", "enable_ml_routing", "enable_fault_tolerance"):
            if not isinstance(getattr(self, name), bool):
                raise InvalidValue(field=name, value=getattr(self, name), rule="it is True or False")
        if self.on_violation not in get_args(Violation):
            raise InvalidValue(field="on_violation", value=self.on_violation, rule="it is 'record' or 'raise'")
        if isinstance(self.profile, str):
            object.__setattr__(self, "profile", profiles[self.profile])
        if not isinstance(self.profile, Profile):
            raise InvalidValue(field="profile", value=self.profile, rule="it is a Profile or the name of one")
        if self.policy is not None and not isinstance(self.policy, Policy):
            raise InvalidValue(field="policy", value=self.policy, rule="it is a Policy, or None")
        if self.constraint_ns is not None:
            constraint_ps(self.constraint_ns, "default_latency_constraint_ns")
        keep: object = self.keep_events
        if keep is not None and (not isinstance(keep, int) or isinstance(keep, bool) or keep < 0):
            raise InvalidValue(field="keep_events", value=keep, rule="it is a whole number of at least 0, or None")
        if self.chunk_ps < 1:
            raise InvalidValue(field="chunk_ps", value=self.chunk_ps, rule="it is at least a picosecond")

    @property
    def transport(self) -> Profile:
        """The profile as a value."""
        assert isinstance(self.profile, Profile)  # noqa: S101 - made so above
        return self.profile

    @property
    def constraint_ps(self) -> int | None:
        """The default constraint in picoseconds."""
        return None if self.constraint_ns is None else constraint_ps(self.constraint_ns)


def read_constraint(given: object, default_ps: int | None) -> int | None:
    """Return the constraint of one send: its own, or else the default one."""
    if given is None:
        return default_ps
    if type(given) is int and 0 < given < NO_DEADLINE // PS_PER_NS:
        return given * PS_PER_NS
    return constraint_ps(given)
