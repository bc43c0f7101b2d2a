"""What a distillation gives: a key that is handed over once, or the reason why there is none, and what it cost."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Final, NoReturn

from scipy.special import betaincinv

from hyperfabric_q.errors import InsufficientKey, InvalidValue, KeySpent
from hyperfabric_q.estimate import Estimate, proportion
from hyperfabric_q.workloads.qkd.authentication import Said

SIMULATED: Final = "simulated, not secret"
"""Origin of every key that is made here: both ends' outcomes are drawn by one program from one seed."""

CONFIDENCE: Final = 0.95


class FreshKey:
    """A key that is handed over once, and is overwritten if nobody takes it.

    Attributes:
        bits: its length.
        origin: where it came from, in words.
    """

    __slots__ = ("_key", "bits", "origin")

    def __init__(self, key: bytearray, *, origin: str = SIMULATED) -> None:
        """Take over ``key``: nobody else may keep a copy of it."""
        self._key: bytearray | None = key
        self.bits = 8 * len(key)
        self.origin = origin

    @property
    def is_taken(self) -> bool:
        """Whether it was handed over."""
        return self._key is None

    def take(self) -> bytearray:
        """Return the key; whoever takes it overwrites it after use.

        Raises:
            KeySpent: it was taken before.
        """
        if self._key is None:
            reason = "it was handed over before, and is handed over once"
            raise KeySpent(what="a distilled key", reason=reason, remedy="Distil another.")
        key, self._key = self._key, None
        return key

    def __del__(self) -> None:
        key = getattr(self, "_key", None)
        if key:
            key[:] = bytes(len(key))

    def __repr__(self) -> str:
        return f"<FreshKey: {self.bits} bits, {self.origin}, {'taken' if self.is_taken else 'not taken'}>"

    def __reduce__(self) -> NoReturn:
        raise KeySpent(what="a distilled key", reason="it is never copied, pickled or sent to another process")


@dataclass(frozen=True, slots=True, kw_only=True)
class BasisTest:
    """Return what the test showed in one basis.

    Args:
        sifted_bits: pairs that both ends measured in it.
        test_bits: those of them that were published.
        errors: among the published ones.
    """

    sifted_bits: int
    test_bits: int
    errors: int

    @property
    def rate(self) -> float | None:
        """Errors per published bit; None without any."""
        return self.errors / self.test_bits if self.test_bits else None

    @property
    def estimate(self) -> Estimate | None:
        """The same with its standard error."""
        return proportion(self.errors, self.test_bits) if self.test_bits else None

    def interval(self, confidence: float = CONFIDENCE) -> tuple[float, float]:
        """Return the interval of Clopper and Pearson (1934), which covers the true rate at least that often.

        Raises:
            InvalidValue: the confidence is not in (0, 1).
        """
        if not 0 < confidence < 1:
            raise InvalidValue(field="confidence", value=confidence, rule="it lies strictly between 0 and 1")
        tail, wrong, right = (1 - confidence) / 2, self.errors, self.test_bits - self.errors
        low = float(betaincinv(wrong, right + 1, tail)) if wrong else 0.0
        high = float(betaincinv(wrong + 1, right, 1 - tail)) if right else 1.0
        return low, high

    def __add__(self, other: BasisTest) -> BasisTest:
        """Return both bases taken together."""
        return BasisTest(
            sifted_bits=self.sifted_bits + other.sifted_bits,
            test_bits=self.test_bits + other.test_bits,
            errors=self.errors + other.errors,
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the numbers, ready for JSON."""
        return {
            "sifted_bits": self.sifted_bits,
            "test_bits": self.test_bits,
            "errors": self.errors,
            "qber": self.rate,
            "interval": list(self.interval()),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class SecurityLedger:
    """Return what a key promises, and what it cost; the ledgers of keys that are used together add up.

    Args:
        eps_secret: how well it can be told from a perfect key, at most.
        eps_correct: how probably the ends' keys differ, at most.
        eps_authentic: how probably a forged tag passes, at most.
        leak_bits: parities told to reconcile.
        verify_bits: of the hash that was compared.
        test_bits: published.
        auth_key_spent: bits of one-time key for the tags.
        bell_pairs: measured.
        fidelity: of the pairs, as the test estimates it if they are Werner states: 1 - 3 Q / 2.
    """

    eps_secret: float
    eps_correct: float
    eps_authentic: float
    leak_bits: int
    verify_bits: int
    test_bits: int
    auth_key_spent: int
    bell_pairs: int
    fidelity: float

    @property
    def eps(self) -> float:
        """All three failure probabilities together."""
        return self.eps_secret + self.eps_correct + self.eps_authentic

    def __add__(self, other: SecurityLedger) -> SecurityLedger:
        """Return the ledger of two keys that are used together."""
        pairs = self.bell_pairs + other.bell_pairs
        mean = (self.fidelity * self.bell_pairs + other.fidelity * other.bell_pairs) / pairs if pairs else math.nan
        return SecurityLedger(
            eps_secret=self.eps_secret + other.eps_secret,
            eps_correct=self.eps_correct + other.eps_correct,
            eps_authentic=self.eps_authentic + other.eps_authentic,
            leak_bits=self.leak_bits + other.leak_bits,
            verify_bits=self.verify_bits + other.verify_bits,
            test_bits=self.test_bits + other.test_bits,
            auth_key_spent=self.auth_key_spent + other.auth_key_spent,
            bell_pairs=pairs,
            fidelity=mean,
        )

    def to_dict(self) -> dict[str, float | int]:
        """Return the fields, ready for JSON."""
        return {field: getattr(self, field) for field in self.__dataclass_fields__}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class KeyReport:
    """Return how a distillation went; the key itself, if there is one, comes from ``take``.

    Args:
        pairs: measured at both ends.
        x: the test of the bits measured in X.
        z: of those measured in Z.
        leak_bits: parities told to reconcile.
        corrected: bits of Bob's that were wrong.
        messages: who sent how much, in order, the tags included.
        secret_bits: length of key that the bound allows; negative where it falls short.
        key_bits: handed over by ``take``: secret bits less those that replace what the tags spent. 0 if refused.
        ledger: what the key promises; None if refused.
        reason: why there is no key; None if there is one.
        ends_agree: whether both ends hold the same key, which only a simulation can know; None if refused.
        seed: of everything that was drawn.
        key: the key; None if refused.
    """

    pairs: int
    x: BasisTest
    z: BasisTest
    leak_bits: int
    corrected: int
    messages: tuple[Said, ...]
    secret_bits: int | None
    key_bits: int
    ledger: SecurityLedger | None
    reason: str | None
    ends_agree: bool | None
    seed: int
    key: FreshKey | None

    @property
    def aborted(self) -> bool:
        """Whether there is no key."""
        return self.key is None

    @property
    def test(self) -> BasisTest:
        """Both bases together."""
        return self.x + self.z

    @property
    def sifted_bits(self) -> int:
        """Pairs that were measured in equal bases."""
        return self.test.sifted_bits

    @property
    def qber(self) -> float | None:
        """Errors per published bit; None if nothing was published."""
        return self.test.rate

    @property
    def origin(self) -> str:
        """Where the key came from."""
        return SIMULATED

    def take(self) -> bytearray:
        """Return the key, once; whoever takes it overwrites it after use.

        Raises:
            InsufficientKey: there is none.
            KeySpent: it was taken before.
        """
        if self.key is None:
            short = None if self.secret_bits is None or self.secret_bits > 0 else 1 - self.secret_bits
            raise InsufficientKey(
                what=f"a key from {self.pairs:,} pairs",
                reason=self.reason or "there is none",
                remedy="Measure more pairs or better ones; bits of this session must not be used.",
                missing_bits=short,
            )
        return self.key.take()

    def to_dict(self) -> dict[str, Any]:
        """Return all but the key, ready for JSON."""
        return {
            "pairs": self.pairs,
            "qber": self.qber,
            "x": self.x.to_dict(),
            "z": self.z.to_dict(),
            "sifted_bits": self.sifted_bits,
            "secret_bits": self.secret_bits,
            "key_bits": self.key_bits,
            "leak_bits": self.leak_bits,
            "corrected": self.corrected,
            "messages": len(self.messages),
            "message_bytes": sum(each.nbytes for each in self.messages),
            "ledger": None if self.ledger is None else self.ledger.to_dict(),
            "aborted": self.aborted,
            "reason": self.reason,
            "origin": self.origin,
            "seed": self.seed,
        }

    def __str__(self) -> str:
        low, high = self.test.interval()
        qber = "no test" if self.qber is None else f"QBER {self.qber:.2%} ({low:.2%} to {high:.2%})"
        head = f"{self.pairs:,} pairs, {self.sifted_bits:,} sifted bits, {qber}"
        if self.aborted:
            return f"{head}: no key, {self.reason}"
        return f"{head}: {self.key_bits:,} bits of key, {self.leak_bits:,} leaked, {self.origin}"
