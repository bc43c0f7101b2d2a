"""Keys between two ends of a quantum link: distilled when key states arrive, kept in a store, and what it takes."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

import hyperfabric_q as hq
from hyperfabric_q import seeds
from hyperfabric_q.workloads.qkd import public as qkd

FIDELITY: Final = 0.98
"""Of the pairs that ``needed`` counts."""

KEY_BITS: Final = 256
TAG_BITS: Final = 512
"""Key that a session spends on authenticating its messages, and puts back."""

LARGEST_SESSION: Final = 2**20


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SharedKey:
    """What two nodes have after a session: how it went, and where its key is, if there is one.

    Attributes:
        a: node id.
        b: node id.
        report: of the session; the key was taken from it.
        bits: that were put into the store, 0 if there is no key.
        seconds: of virtual time that the session took.
        store: where both ends' halves are.
    """

    a: str
    b: str
    report: qkd.KeyReport
    bits: int
    seconds: float
    store: qkd.KeyStore = field(repr=False)


class KeyExchange:
    """What a node does when key states arrive: it distils a key with their sender, out of Bell pairs of their link.

    Attach it with ``protocol.attach_handler``; the answer to the states is then a ``SharedKey``.
    """

    def __init__(
        self,
        protocol: hq.HyperFabricProtocol,
        store: qkd.KeyStore,
        *,
        pairs: int,
        live: bool = True,
        seed: int = 0,
    ) -> None:
        """Distil from so many pairs at a time, into ``store``.

        Args:
            protocol: whose pairs and channels are used.
            store: where keys go.
            pairs: measured in one session.
            live: make the pairs one by one, and send the session's messages. Otherwise as many are drawn at the
                fidelity that the fabric foresees, and the clock moves on by what they take at the rate of their link.
            seed: of the outcomes.
        """
        self._protocol = protocol
        self._store = store
        self._pairs = pairs
        self._live = live
        self._seed = seed

    async def __call__(self, packet: hq.Packet) -> SharedKey | None:
        """Return what sender and receiver of key states share after a session; other packets are left unanswered."""
        if packet.data_type is not hq.DataType.QUANTUM_STATE:
            return None  # a message of a session, for one
        return await self.distil(packet.source, packet.destination)

    async def distil(self, a: str, b: str) -> SharedKey:
        """Return what two nodes share after a session.

        Raises:
            NoQuantumPath, NotEnoughCommunicationQubits: no quantum link joins them.
        """
        fidelity, began = self._protocol.foresee(a, b).fidelity, self._protocol.now_ns
        settings = qkd.Settings(expected_error=float(qkd.werner_error(fidelity)))
        seed = seeds.word(self._seed, "secure_sharing", a, b)
        if self._live:
            link = qkd.QkdLink(self._protocol, a, b, settings=settings, seed=seed)
            report = (await link.distil(self._pairs)).key
        else:
            report = qkd.simulate(fidelity, self._pairs, settings=settings, seed=seed)
            await self._protocol.sleep_ns(1e9 * self._pairs / self._rate(a, b))
        bits = 0
        if not report.aborted and report.key_bits >= KEY_BITS:
            assert report.ledger is not None  # noqa: S101 - there is one with every key
            bits = self._store.deposit(a, b, report.take(), origin=report.origin, epsilon=report.ledger.eps)
        seconds = (self._protocol.now_ns - began) / 1e9
        return SharedKey(a=a, b=b, report=report, bits=bits, seconds=seconds, store=self._store)

    def _rate(self, a: str, b: str) -> float:
        link = self._protocol.fabric.link(a, b)
        return link.pair_rate_hz if link is not None and link.pair_rate_hz else 1.0


@lru_cache(maxsize=8)
def pairs_needed(bits: int = KEY_BITS, fidelity: float = FIDELITY) -> int:
    """Return how many pairs of a fidelity a session needs, foretold by the finite-key bound, to one in sixteen.

    Of ``LARGEST_SESSION`` pairs or more no number is looked for.
    """
    error, pairs = float(qkd.werner_error(fidelity)), 1024
    while pairs < LARGEST_SESSION and qkd.foretell(pairs // 2, error).secret_bits < bits + TAG_BITS:
        pairs += pairs // 16
    return pairs


def needed(a: str, b: str) -> str:
    """Return what would give two nodes a key."""
    return (
        f"A quantum link between {a} and {b} with Werner pairs of a fidelity above {qkd.least_fidelity():.3f}; a key "
        f"of {KEY_BITS} bits takes some {pairs_needed():,} pairs of {FIDELITY:g}. And somebody at {b} who distils it."
    )
