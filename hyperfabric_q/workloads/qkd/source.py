"""A source of keys for a protocol: a store of quantum keys, and the nodes that everybody trusts to relay them."""

from __future__ import annotations

from collections.abc import Collection
from typing import NoReturn

from hyperfabric_q.errors import InvalidValue, KeySpent
from hyperfabric_q.fabric.fields import identifier
from hyperfabric_q.traffic.keys import KeyLease
from hyperfabric_q.workloads.qkd.store import KeyStore


class TrustedRelays:
    """A key store whose keys the named nodes may relay, for every send of a protocol.

    ``HyperFabricProtocol(key_source=store)`` relays over nodes that the send itself names; with this as its
    ``key_source`` it relays over these nodes too.

    Attributes:
        store: where the keys are.
        trusted: ids of the nodes.
    """

    def __init__(self, store: KeyStore, trusted: Collection[str]) -> None:
        """Declare nodes trusted.

        Raises:
            InvalidValue: it is no key store, or one of the names is no node id.
        """
        given: object = store
        if not isinstance(given, KeyStore):
            raise InvalidValue(field="store", value=type(given).__name__, rule="it is a KeyStore")
        if isinstance(trusted, str):
            raise InvalidValue(field="trusted", value=trusted, rule="it is a collection of node ids")
        self.store = store
        self.trusted = tuple(sorted({identifier("trusted", each) for each in trusted}))

    def reserve(self, a: str, b: str, bits: int) -> KeyLease:
        """Return a key that only ``a`` and ``b`` hold; as ``KeyStore.reserve``."""
        return self.store.reserve(a, b, bits)

    def reserve_relayed(self, a: str, b: str, bits: int, trusted: Collection[str]) -> KeyLease:
        """Return a key that passed over these trusted nodes or those of ``trusted``; as in ``KeyStore``."""
        return self.store.reserve_relayed(a, b, bits, {*self.trusted, *trusted})

    def __repr__(self) -> str:
        return f"<TrustedRelays {', '.join(self.trusted)}: {self.store!r}>"

    def __reduce__(self) -> NoReturn:
        raise KeySpent(what="a source of keys", reason="it is never copied, pickled or sent to another process")
