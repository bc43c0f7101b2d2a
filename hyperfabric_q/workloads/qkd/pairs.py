"""Keys over a live fabric: pairs from the service that remote gates draw on, messages on the channels of all others.

There is one queue per quantum link. A pair measured for a key is one that no gate has, and the other way round; the
ledger counts both. What each pair was worth when it was measured, its raw fidelity, its wait for the herald, its swaps
and purifications, decides how often its ends differ.
"""

from __future__ import annotations

from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from hyperfabric_q import seeds
from hyperfabric_q.entanglement.bell_pair import BellPair
from hyperfabric_q.entanglement.state import FloatArray
from hyperfabric_q.errors import InvalidValue
from hyperfabric_q.traffic.packet import DataType, PacketPriority
from hyperfabric_q.traffic.payload import VirtualTensor
from hyperfabric_q.workloads.qkd.attacks import Attack
from hyperfabric_q.workloads.qkd.authentication import AuthenticationKeys
from hyperfabric_q.workloads.qkd.key_report import KeyReport
from hyperfabric_q.workloads.qkd.sampling import chsh_sample
from hyperfabric_q.workloads.qkd.session import TAGS, Settings, distil
from hyperfabric_q.workloads.qkd.simulated import measured_pairs, simulated_keys

BATCH = 256
"""Pairs asked for at a time: what a single request keeps in mind grows with its pairs."""

_FIRST_TAGS = 8


class Live(Protocol):
    """What a link needs of a live fabric; ``HyperFabricProtocol`` has it."""

    @property
    def now_ns(self) -> float:
        """The virtual time."""

    def entangle(
        self,
        a: str,
        b: str,
        *,
        fidelity: float | None = None,
        pairs: int = 1,
        keep: bool = True,
        priority: PacketPriority | str = PacketPriority.NORMAL,
    ) -> Awaitable[tuple[BellPair, ...]]:
        """Return Bell pairs."""

    def send_data(
        self,
        *,
        source: str,
        destination: str,
        data: object,
        data_type: DataType | str = DataType.GENERIC,
        priority: PacketPriority | str = PacketPriority.NORMAL,
    ) -> Awaitable[Any]:
        """Send a payload."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LinkReport:
    """Return how a distillation over a fabric went.

    Args:
        key: the key, or why there is none.
        began_ns: when the first pair was asked for.
        measured_ns: when the last pair was measured.
        ended_ns: when the last message had arrived.
        fidelity: mean of the pairs when they were measured.
    """

    key: KeyReport
    began_ns: float
    measured_ns: float
    ended_ns: float
    fidelity: float

    @property
    def seconds(self) -> float:
        """Virtual time from the first request to the last message."""
        return (self.ended_ns - self.began_ns) / 1e9

    @property
    def key_bits_per_second(self) -> float:
        """Bits handed over per second of virtual time; 0 if refused."""
        return self.key.key_bits / self.seconds if self.seconds > 0 else 0.0

    @property
    def pairs_per_second(self) -> float:
        """Pairs per second of virtual time, while pairs were measured."""
        measuring = (self.measured_ns - self.began_ns) / 1e9
        return self.key.pairs / measuring if measuring > 0 else 0.0

    def take(self) -> bytearray:
        """Return the key, once; see ``KeyReport.take``."""
        return self.key.take()

    def to_dict(self) -> dict[str, Any]:
        """Return all but the key, ready for JSON."""
        return {
            **self.key.to_dict(),
            "fidelity": self.fidelity,
            "seconds": self.seconds,
            "key_bits_per_second": self.key_bits_per_second,
            "pairs_per_second": self.pairs_per_second,
        }


class QkdLink:
    """Distils keys between two nodes of a live fabric.

    Attributes:
        a, b: the nodes; Alice is at ``a``.
        settings: how keys are distilled.
        sessions: how many there were.
    """

    def __init__(
        self,
        live: Live,
        a: str,
        b: str,
        *,
        keys: tuple[AuthenticationKeys, AuthenticationKeys] | None = None,
        settings: Settings | None = None,
        attack: Attack | None = None,
        priority: PacketPriority | str = PacketPriority.LOW,
        seed: int | None = None,
    ) -> None:
        """Join two nodes.

        Args:
            live: a ``HyperFabricProtocol``.
            a: node id.
            b: node id.
            keys: one-time keys for tags at both ends; None = simulated ones for eight tags. Each key that is distilled
                replaces what its session spent.
            settings: None = the defaults.
            attack: on pairs and messages; None = nobody listens.
            priority: of pairs and messages among all others.
            seed: of outcomes and choices.

        Raises:
            InvalidValue: the seed is out of range.
        """
        self.a, self.b = a, b
        self.settings = settings or Settings()
        self.sessions = 0
        self._live = live
        self._attack = attack
        self._priority = priority
        self._seed = seeds.resolve(seed)
        self._keys = keys or simulated_keys(seeds.word(self._seed, "qkd", a, b, "keys"), _FIRST_TAGS)

    @property
    def tags_left(self) -> int:
        """How many tags the ends can still make; a session takes two and, if it gives a key, puts two back."""
        return min(each.remaining for each in self._keys)

    async def distil(self, pairs: int, *, fidelity: float | None = None) -> LinkReport:
        """Return the key of ``pairs`` pairs, or why there is none.

        Pairs are measured as soon as both ends know of them. Then the messages go back and forth, one after the other,
        on the classical channels.

        Args:
            pairs: how many to measure.
            fidelity: that each must have; None = whatever comes.

        Raises:
            InvalidValue: the number of pairs is not a whole number of at least 1.
            and what ``entangle`` and ``send_data`` raise.
        """
        _check_pairs(pairs)
        began = self._live.now_ns
        weights = await self._measured(pairs, fidelity)
        measured_ns = self._live.now_ns
        seed = seeds.word(self._seed, "qkd", self.a, self.b, self.sessions)
        self.sessions += 1
        outcomes = measured_pairs(weights, seed=seed, attack=self._attack)
        report = distil(outcomes, *self._keys, settings=self.settings, attack=self._attack, seed=seed)
        for said in report.messages:
            source, destination = (self.a, self.b) if said.sender == "alice" else (self.b, self.a)
            await self._live.send_data(
                source=source,
                destination=destination,
                data=VirtualTensor((said.nbytes,), "uint8"),
                data_type=DataType.KEY,
                priority=self._priority,
            )
        return LinkReport(
            key=report,
            began_ns=began,
            measured_ns=measured_ns,
            ended_ns=self._live.now_ns,
            fidelity=float(weights[:, 0].mean()),
        )

    async def chsh(self, pairs: int) -> tuple[float, float]:
        """Return the CHSH value that ``pairs`` further pairs show, and its standard error; a diagnostic.

        Raises:
            InvalidValue: fewer than 8 pairs.
            and what ``entangle`` raises.
        """
        _check_pairs(pairs)
        weights = await self._measured(pairs, None)
        if self._attack is not None:
            weights = self._attack.average(weights)
        rng = seeds.stream(self._seed, "qkd", self.a, self.b, "chsh", self.sessions)
        self.sessions += 1
        return chsh_sample(weights.mean(axis=0), rng, pairs=pairs)

    async def _measured(self, pairs: int, fidelity: float | None) -> FloatArray:
        """Return the weights (n, 4) of pairs at the time at which they were measured."""
        rows: list[tuple[float, float, float, float]] = []
        for begin in range(0, pairs, BATCH):
            made = await self._live.entangle(
                self.a,
                self.b,
                fidelity=fidelity,
                pairs=min(BATCH, pairs - begin),
                keep=False,
                priority=self._priority,
            )
            rows += [each.weights for each in made]
        return np.array(rows)

    def __repr__(self) -> str:
        return f"<QkdLink {self.a} ~ {self.b}: {self.sessions} sessions, {self.tags_left // TAGS} more before refill>"


def _check_pairs(pairs: int) -> None:
    given: object = pairs
    if not isinstance(given, int) or isinstance(given, bool) or given < 1:
        raise InvalidValue(field="pairs", value=pairs, rule="a whole number of at least 1 is measured")
