"""How a key gets to two nodes that share none: trusted nodes pass it on, from hop to hop.

The two ends of the first hop take the hop's key as the secret. Each trusted node sends it on as its sum (XOR) with the
key of the next hop, together with a Poly1305 tag under another 256 bits of that hop. So what travels is as secret and
as authentic as the hops' keys, and **every trusted node knows the secret**: the lease names them all.
"""

from __future__ import annotations

from collections.abc import Collection
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final, Protocol

import numpy as np
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.poly1305 import Poly1305

from hyperfabric_q.errors import QuantumKeyUnavailable, SealBroken
from hyperfabric_q.traffic.keys import NOT_SECRET, KeyLease
from hyperfabric_q.traffic.sealing import MAC_BYTES

PURPOSE: Final = "relay"


class HopKeys(Protocol):
    """What a relay needs of a store of keys."""

    def reserve(self, a: str, b: str, bits: int) -> KeyLease:
        """Return a key that two nodes share."""

    def fresh_bits(self, a: str, b: str) -> int:
        """Return how many bits two nodes share that were not used."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Announcement:
    """What one node of a relay sends to the next.

    Attributes:
        sender, receiver: the ends of the hop.
        key_id: of the hop's key.
        body: sum of the secret and the hop's key.
        tag: over all of it.
    """

    sender: str
    receiver: str
    key_id: str
    body: bytes = field(repr=False)
    tag: bytes = field(repr=False)

    def covered(self) -> bytes:
        """Return what the tag covers; every part has its length before it."""
        parts = (self.sender.encode(), self.receiver.encode(), self.key_id.encode(), self.body)
        return b"".join(len(part).to_bytes(4, "big") + part for part in parts)


def hop_bits(bits: int, *, first: bool) -> int:
    """Return how many bits of key a hop needs to pass ``bits`` on."""
    return bits if first else bits + 8 * MAC_BYTES


def pass_on(secret: bytearray | memoryview, hop: KeyLease, sender: str) -> Announcement:
    """Return what ``sender`` tells the other end of a hop, whose key has its only use by that.

    Raises:
        KeySpent: the key was used before.
    """
    receiver = hop.pair[1] if hop.pair[0] == sender else hop.pair[0]
    key = hop.use(PURPOSE, once=True)
    body = _sum(secret, key[MAC_BYTES:]).tobytes()
    bare = Announcement(sender=sender, receiver=receiver, key_id=hop.key_id, body=body, tag=b"")
    tag = Poly1305.generate_tag(key[:MAC_BYTES], bare.covered())
    return Announcement(sender=sender, receiver=receiver, key_id=hop.key_id, body=body, tag=tag)


def heard(said: Announcement, hop: KeyLease) -> bytearray:
    """Return the secret that an authentic announcement passes on.

    Raises:
        SealBroken: it was altered, or is not one over this hop.
        KeySpent: the hop's key was released.
    """
    what = f"the relayed key from {said.sender!r} to {said.receiver!r}"
    key = hop.view_to_open(PURPOSE)
    if said.key_id != hop.key_id or {said.sender, said.receiver} != set(hop.pair):
        raise SealBroken(what=what, reason=f"it does not belong to key {hop.key_id!r} of this hop")
    if len(said.body) > len(key) - MAC_BYTES:
        raise SealBroken(what=what, reason="it is longer than the key of its hop")
    try:
        Poly1305.verify_tag(key[:MAC_BYTES], said.covered(), said.tag)
    except InvalidSignature:
        raise SealBroken(what=what, reason="its tag does not match: it was altered") from None
    return bytearray(_sum(said.body, key[MAC_BYTES:]))


def _sum(left: bytes | bytearray | memoryview, key: memoryview) -> np.ndarray[tuple[int], np.dtype[np.uint8]]:
    data = np.frombuffer(left, dtype=np.uint8)
    return data ^ np.frombuffer(key, dtype=np.uint8, count=len(data))


def path_of(keys: HopKeys, a: str, b: str, bits: int, trusted: Collection[str]) -> tuple[str, ...] | None:
    """Return the fewest hops from ``a`` to ``b`` over trusted nodes that all have key enough; None if there are none.

    Of equally short ways the alphabetically first. O(trusted²) questions to the store.
    """
    middle = sorted(set(trusted) - {a, b})
    frontier: list[tuple[str, ...]] = [(a,)]
    reached = {a}
    while frontier:
        further = []
        for way in frontier:
            first = len(way) == 1
            needed = hop_bits(bits, first=first)
            if not first and keys.fresh_bits(way[-1], b) >= needed:
                return (*way, b)
            for node in middle:
                if node not in reached and keys.fresh_bits(way[-1], node) >= needed:
                    reached.add(node)
                    further.append((*way, node))
        frontier = further
    return None


def relayed(keys: HopKeys, a: str, b: str, bits: int, trusted: Collection[str]) -> KeyLease:
    """Return a key of ``a`` and ``b`` that trusted nodes relayed; the lease names them.

    It spends ``bits`` of the first hop's key and 256 more of each further one's. The announcements are made and checked
    here, at once: they take no time on the fabric.

    Raises:
        QuantumKeyUnavailable: no way over trusted nodes has key enough.
    """
    way = path_of(keys, a, b, bits, trusted)
    if way is None:
        named = ", ".join(sorted(set(trusted) - {a, b}))
        told = f"no way over the trusted nodes {named} has {bits} bits on every hop"
        raise QuantumKeyUnavailable(
            what=f"{bits} bits relayed from {a!r} to {b!r}",
            reason=told if named else "no node is declared trusted that could relay one",
            source=a,
            destination=b,
        )
    with ExitStack() as stack:
        hops = [
            stack.enter_context(keys.reserve(*ends, hop_bits(bits, first=not at)))
            for at, ends in enumerate(pairwise(way))
        ]
        secret = bytearray(hops[0].use(PURPOSE, once=True))
        for sender, hop in zip(way[1:], hops[1:], strict=False):
            try:
                passed = heard(pass_on(secret, hop, sender), hop)
            finally:
                secret[:] = bytes(len(secret))  # who has passed it on forgets it
            secret = passed
        return KeyLease(
            key_id="+".join(hop.key_id for hop in hops),
            a=a,
            b=b,
            key=secret,
            origin=_origin(hops),
            is_quantum=all(hop.is_quantum for hop in hops),
            trusted=way[1:-1],
        )


def _origin(hops: list[KeyLease]) -> str:
    # One simulated hop makes the whole key simulated.
    least = next((hop.origin for hop in hops if NOT_SECRET in hop.origin), hops[0].origin)
    return f"{least}, relayed over {len(hops)} hops"
