"""Attacks by name: the plug-in kind ``qkd attack``, what an eavesdropper does to pairs, messages and tags.

An attack is a value with a strength in [0, 1]; 0 changes nothing. It has four occasions: the states of the pairs,
what their ends measure, each classical message, and the tags. Third parties add theirs through the entry-point group
``hyperfabric_q.qkd_attack``; the contract suite runs over every member and asks of each that no key comes out of an
attack that should have been noticed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from hyperfabric_q.entanglement.state import FloatArray
from hyperfabric_q.errors import InvalidValue
from hyperfabric_q.registry import Registry
from hyperfabric_q.workloads.qkd.authentication import End, Tag
from hyperfabric_q.workloads.qkd.sampling import Measured


@dataclass(frozen=True, slots=True)
class Attack:
    """What an eavesdropper does; this one does nothing, and a plug-in overrides what it needs.

    Args:
        strength: share of the pairs or messages that are attacked, in [0, 1].
    """

    strength: float = 1.0

    def __post_init__(self) -> None:
        if not 0 <= self.strength <= 1:
            raise InvalidValue(field="strength", value=self.strength, rule="the share attacked lies in [0, 1]")

    def channel(self, weights: FloatArray) -> FloatArray:
        """Return the Pauli weights (..., 4) of the pairs as they arrive."""
        return weights

    def intercept(self, measured: Measured, rng: np.random.Generator) -> Measured:  # noqa: ARG002 - for those who need it
        """Return what the ends measure once the eavesdropper has measured first."""
        return measured

    def average(self, weights: FloatArray) -> FloatArray:
        """Return the weights (..., 4) that pairs have on average after ``channel`` and ``intercept``."""
        return self.channel(weights)

    def message(self, sender: End, data: bytes, past: Sequence[bytes], rng: np.random.Generator) -> bytes:  # noqa: ARG002
        """Return what arrives of a message; ``past`` are the same sender's before it in this session."""
        return data

    def tag(self, tag: Tag, rng: np.random.Generator) -> Tag:  # noqa: ARG002 - for those who need it
        """Return what arrives of a tag."""
        return tag


attacks: Final[Registry[type[Attack]]] = Registry("qkd attack")
"""Kinds of attack by name; each is called with a strength."""


def attack(name: str, strength: float = 1.0) -> Attack:
    """Return the attack called ``name`` at some strength.

    Raises:
        UnknownName: there is none; the error lists the names and the nearest match.
        InvalidValue: the strength is not in [0, 1].
    """
    return attacks[name](strength)


@attacks.register("intercept_resend")
@dataclass(frozen=True, slots=True)
class InterceptResend(Attack):
    """A share of Bob's halves is measured on the way, each in a random basis, and sent on as what was found.

    Where her basis is not his, his bit has nothing to do with Alice's any more: a quarter of the sifted bits she
    touches are wrong, in either basis.
    """

    def intercept(self, measured: Measured, rng: np.random.Generator) -> Measured:
        """Return the outcomes after she has measured."""
        touched = rng.random(len(measured)) < self.strength
        hers, fresh = (rng.integers(0, 2, len(measured), dtype=np.uint8) for _ in range(2))
        # In his basis she reads the very bit that he would have read; in the other one she leaves him a coin.
        spoilt = touched & (hers != measured.bob_basis)
        return replace(measured, bob=np.where(spoilt, fresh, measured.bob).astype(np.uint8))

    def average(self, weights: FloatArray) -> FloatArray:
        """Return the weights after a measurement of Z or of X, whose outcome is sent on but not told."""
        weights = np.asarray(weights, dtype=np.float64)
        i, x, y, z = np.moveaxis(weights, -1, 0)
        in_z = np.stack([i + z, x + y, x + y, i + z], axis=-1) / 2
        in_x = np.stack([i + x, i + x, y + z, y + z], axis=-1) / 2
        return np.asarray((1 - self.strength) * weights + self.strength * (in_z + in_x) / 2)


@attacks.register("noisy_link")
@dataclass(frozen=True, slots=True)
class NoisyLink(Attack):
    """Every pair is depolarised by the strength: what a poor link does, and what Eve may hide behind."""

    def channel(self, weights: FloatArray) -> FloatArray:
        """Return the weights mixed with those of two unrelated qubits."""
        return np.asarray((1 - self.strength) * weights + self.strength / 4)


@attacks.register("tampered_messages")
@dataclass(frozen=True, slots=True)
class TamperedMessages(Attack):
    """In a share of the classical messages one bit is flipped."""

    def message(self, sender: End, data: bytes, past: Sequence[bytes], rng: np.random.Generator) -> bytes:
        """Return the message, perhaps with one bit flipped."""
        del sender, past
        if not data or rng.random() >= self.strength:
            return data
        changed = bytearray(data)
        place = int(rng.integers(8 * len(data)))
        changed[place // 8] ^= 1 << place % 8
        return bytes(changed)


@attacks.register("replayed_messages")
@dataclass(frozen=True, slots=True)
class ReplayedMessages(Attack):
    """In place of a share of the messages an earlier one of the same sender arrives."""

    def message(self, sender: End, data: bytes, past: Sequence[bytes], rng: np.random.Generator) -> bytes:
        """Return the message, or an earlier one."""
        del sender
        if not past or rng.random() >= self.strength:
            return data
        return past[int(rng.integers(len(past)))]


@attacks.register("key_reuse")
@dataclass(frozen=True, slots=True)
class KeyReuse(Attack):
    """A share of the tags claims a key that has served before."""

    def tag(self, tag: Tag, rng: np.random.Generator) -> Tag:
        """Return the tag, perhaps with the serial number of the key before."""
        return tag if rng.random() >= self.strength else replace(tag, serial=tag.serial - 1)
