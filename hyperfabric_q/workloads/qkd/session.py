"""Measured bits to key: sift, test, reconcile, verify, authenticate and amplify; or refuse, and say why.

The order of the messages matters. Both ends have measured before either tells its bases; Bob tells his first, and what
he tells cannot be foreseen, so nobody can draw Alice's bases out of her before Bob has measured without the records of
the two differing. Nothing of a session is used before both tags have been checked.

What a changed message would do to the rest of the session is not played out: any change makes the records differ, and
ends the session at the tags.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from hyperfabric_q import seeds
from hyperfabric_q.errors import InvalidValue, SecurityRefused
from hyperfabric_q.workloads.qkd.attacks import Attack
from hyperfabric_q.workloads.qkd.authentication import (
    TAG_KEY_BYTES,
    AuthenticationKeys,
    End,
    Record,
    Said,
    forgery_bound,
)
from hyperfabric_q.workloads.qkd.cascade import LEAST_LEAK, Schedule, cascade
from hyperfabric_q.workloads.qkd.finite_key import (
    EPS_CORRECT,
    EPS_SECRET,
    Evidence,
    check_eps,
    foretell,
    secret_bits,
)
from hyperfabric_q.workloads.qkd.key_report import BasisTest, FreshKey, KeyReport, SecurityLedger
from hyperfabric_q.workloads.qkd.rates import EFFICIENCY, binary_entropy
from hyperfabric_q.workloads.qkd.sampling import Bits, Measured, X, Z
from hyperfabric_q.workloads.qkd.toeplitz import seed_length, toeplitz_hash

TestKind: TypeAlias = Literal["pooled", "per basis"]
Places: TypeAlias = NDArray[np.int64]

MOST_ERROR: Final = 0.11
"""Error rate from which a session is given up at once: no key is left there even of endless strings."""

TAGS: Final = 2
ATTEMPTS: Final = 2
"""How often the ends compare hashes before they give a block up."""
SPENT_BITS: Final = 8 * TAGS * TAG_KEY_BYTES
_PERMUTATION_SEED_BYTES: Final = 16
_FALLBACK_TEST: Final = 0.25


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Return how keys are distilled; both ends agree on it before anything is measured.

    Args:
        eps_secret: how well a key may be told from a perfect one.
        eps_correct: how probably the ends' keys may differ.
        expected_error: error rate for which the size of the test is best; a wrong guess costs key, not security.
        test_fraction: share of the sifted bits that is published; None = the best for the expected error.
        test: "pooled", or "per basis" for long strings of pairs whose rates differ; see ``finite_key``.
        tolerated_error: the bound is taken at this error rate, and above it the session is given up; None = at what the
            test shows.
        most_error: above this the session is given up in any case.
        schedule: of the reconciliation.
    """

    eps_secret: float = EPS_SECRET
    eps_correct: float = EPS_CORRECT
    expected_error: float = 0.02
    test_fraction: float | None = None
    test: TestKind = "pooled"
    tolerated_error: float | None = None
    most_error: float = MOST_ERROR
    schedule: Schedule = LEAST_LEAK

    def __post_init__(self) -> None:
        check_eps("eps_secret", self.eps_secret)
        check_eps("eps_correct", self.eps_correct)
        for name in ("expected_error", "tolerated_error", "most_error"):
            value = getattr(self, name)
            if value is not None and not 0 <= value <= 0.5:
                raise InvalidValue(field=name, value=value, rule="an error rate lies in [0, 1/2]")
        if self.most_error > MOST_ERROR:
            rule = f"beyond {MOST_ERROR:.0%} there is no key to be had"
            raise InvalidValue(field="most_error", value=self.most_error, rule=rule)
        if self.test_fraction is not None and not 0 < self.test_fraction < 1:
            rule = "some bits are published and some are kept: it lies strictly between 0 and 1"
            raise InvalidValue(field="test_fraction", value=self.test_fraction, rule=rule)
        kinds: tuple[str, ...] = ("pooled", "per basis")
        if self.test not in kinds:
            raise InvalidValue(field="test", value=self.test, rule="it is 'pooled' or 'per basis'")

    @property
    def verify_bits(self) -> int:
        """Length of the hash that verifies, of which there may be two."""
        return math.ceil(math.log2(ATTEMPTS / self.eps_correct))

    def test_bits(self, sifted_bits: int) -> int:
        """Return how many of so many sifted bits are published."""
        if self.test_fraction is not None:
            return min(sifted_bits, max(1, round(self.test_fraction * sifted_bits)))
        best = foretell(sifted_bits, self.expected_error, eps_secret=self.eps_secret, eps_correct=self.eps_correct)
        # Where nothing can come out, the test still says what the error rate is.
        return best.test_bits if best.secret_bits else min(sifted_bits, math.ceil(_FALLBACK_TEST * sifted_bits))


def distil(
    measured: Measured,
    alice_keys: AuthenticationKeys,
    bob_keys: AuthenticationKeys,
    *,
    settings: Settings | None = None,
    attack: Attack | None = None,
    seed: int | None = None,
) -> KeyReport:
    """Return the key of a session, or why there is none.

    Args:
        measured: what both ends have measured.
        alice_keys: one-time keys for tags; one is spent per tag, and the new key replaces them.
        bob_keys: Bob's copy of the same.
        settings: None = the defaults.
        attack: on messages and tags; that on the pairs has been made already.
        seed: of the test's choice, of permutations and of the hashes.

    Raises:
        InvalidValue: the seed is out of range.

    Cost: about a microsecond per sifted bit.
    """
    chosen = seeds.resolve(seed)
    session = _Session(measured, settings or Settings(), attack or Attack(0.0), chosen)
    try:
        return session.run(alice_keys, bob_keys)
    except _Refused as refusal:
        return session.report(refusal.reason)


class _Refused(Exception):
    def __init__(self, reason: str) -> None:
        self.reason = reason


@dataclass(slots=True)
class _Line:
    """The classical channel: what is said on it, and what each end heard."""

    attack: Attack
    rng: np.random.Generator
    said: list[Said] = field(default_factory=list)
    records: dict[End, Record] = field(default_factory=lambda: {"alice": Record(), "bob": Record()})
    past: dict[End, list[bytes]] = field(default_factory=lambda: {"alice": [], "bob": []})

    def send(self, sender: End, *parts: Bits | bytes) -> None:
        data = b"".join(each if isinstance(each, bytes) else np.packbits(each).tobytes() for each in parts)
        arrived = self.attack.message(sender, data, self.past[sender], self.rng)
        self.past[sender].append(data)
        self.said.append(Said(sender=sender, nbytes=len(data)))
        hearer: End = "bob" if sender == "alice" else "alice"
        self.records[sender].add(sender, data)
        self.records[hearer].add(sender, arrived)

    def close(self, alice: AuthenticationKeys, bob: AuthenticationKeys) -> None:
        """Exchange tags; each end checks the other's over its own record."""
        ends: tuple[tuple[End, AuthenticationKeys, End, AuthenticationKeys], ...] = (
            ("alice", alice, "bob", bob),
            ("bob", bob, "alice", alice),
        )
        for sender, theirs, hearer, ours in ends:
            tag = theirs.tag(self.records[sender])
            self.said.append(Said(sender=sender, nbytes=tag.nbytes))
            ours.check(self.records[hearer], self.attack.tag(tag, self.rng))


class _Session:
    def __init__(self, measured: Measured, settings: Settings, attack: Attack, seed: int) -> None:
        self.measured = measured
        self.settings = settings
        self.seed = seed
        self.line = _Line(attack, seeds.stream(seed, "qkd", "eavesdropper"))
        self.x = self.z = BasisTest(sifted_bits=0, test_bits=0, errors=0)
        self.secret_bits: int | None = None
        self.permutations = seeds.stream(seed, "qkd", "permutations")
        self.leak_bits = 0
        self.corrected = 0

    def run(self, alice_keys: AuthenticationKeys, bob_keys: AuthenticationKeys) -> KeyReport:
        if min(alice_keys.remaining, bob_keys.remaining) < TAGS:
            left = min(alice_keys.remaining, bob_keys.remaining)
            raise _Refused(f"a session takes {TAGS} authentication keys, and {left} are left: refill both ends")
        alice, bob, basis = self._sift()
        alice, bob, basis, groups = self._test(alice, bob, basis)
        parts = self._parts(basis)
        shannon = sum(len(where) * float(binary_entropy(error_rate)) for where, error_rate in parts)
        self._judge(groups, EFFICIENCY * shannon, "no key can be expected")
        corrected = self._reconciled(alice, bob, parts)
        length = self._judge(groups, self.leak_bits, "no key is left") // 8 * 8
        hash_seed = self._random_bits("amplify", seed_length(len(alice), length))
        self.line.send("alice", hash_seed)
        try:
            self.line.close(alice_keys, bob_keys)
        except SecurityRefused as fault:
            raise _Refused(str(fault)) from None
        agree = bool(np.array_equal(alice, corrected))
        hashed = toeplitz_hash(alice, hash_seed, length)
        packed = np.packbits(hashed)
        refill, handed = bytearray(packed[: SPENT_BITS // 8]), bytearray(packed[SPENT_BITS // 8 :])
        for each in (alice_keys, bob_keys):
            each.refill(refill)
        # What can be overwritten is: no copy of the key stays behind but the one that is handed over.
        for spent in (hashed, packed, alice, bob, corrected):
            spent.fill(0)
        refill[:] = bytes(len(refill))
        return self.report(None, FreshKey(handed), agree)

    def _sift(self) -> tuple[Bits, Bits, Bits]:
        same = self.measured.alice_basis == self.measured.bob_basis
        self.line.send("bob", self.measured.bob_basis)
        self.line.send("alice", same.astype(np.uint8))
        basis = self.measured.alice_basis[same]
        in_x = int(basis.sum())
        self.x = BasisTest(sifted_bits=in_x, test_bits=0, errors=0)
        self.z = BasisTest(sifted_bits=len(basis) - in_x, test_bits=0, errors=0)
        return self.measured.alice[same], self.measured.bob[same], basis

    def _test(self, alice: Bits, bob: Bits, basis: Bits) -> tuple[Bits, Bits, Bits, list[Evidence]]:
        """Publish some bits and drop them; return what is left, with the tests that answer for it."""
        total = len(alice)
        if total < 2:
            raise _Refused(f"{total} sifted bits are too few to test any")
        shown = np.zeros(total, dtype=np.bool_)
        choice = seeds.stream(self.seed, "qkd", "test").choice(total, self.settings.test_bits(total), replace=False)
        shown[choice] = True
        self.line.send("alice", shown.astype(np.uint8), alice[shown])
        self.line.send("bob", bob[shown])
        wrong = alice[shown] != bob[shown]
        counts = []
        for each, test in ((Z, self.z), (X, self.x)):
            here = basis[shown] == each
            counts.append(
                BasisTest(sifted_bits=test.sifted_bits, test_bits=int(here.sum()), errors=int((wrong & here).sum()))
            )
        self.z, self.x = counts
        return alice[~shown], bob[~shown], basis[~shown], self._groups()

    def _groups(self) -> list[Evidence]:
        """Which test answers for which key bits, and at which error rate."""
        both = self.x + self.z
        pairs = [(both, both)] if self.settings.test == "pooled" else [(self.z, self.x), (self.x, self.z)]
        groups = []
        for kept, tested in pairs:
            rate, most = tested.rate, self.settings.most_error
            if rate is None:
                raise _Refused("nothing was published in one of the bases, so nothing is known of the other's bits")
            if rate >= most:
                raise _Refused(f"the error rate is {rate:.2%}, and from {most:.2%} on there is no key")
            tolerated = self.settings.tolerated_error
            if tolerated is not None and rate > tolerated:
                raise _Refused(f"the error rate is {rate:.2%}, and {tolerated:.2%} is tolerated")
            groups.append(
                Evidence(
                    key_bits=kept.sifted_bits - kept.test_bits,
                    test_bits=tested.test_bits,
                    error_rate=rate if tolerated is None else tolerated,
                )
            )
        return groups

    def _judge(self, groups: list[Evidence], leak_bits: float, verdict: str) -> int:
        """Return how long a key may be; refuse if it would not even pay for its tags."""
        own = self.settings
        rounding = own.verify_bits + math.log2(own.eps_correct)
        length = math.floor(
            secret_bits(groups, leak_bits + rounding, eps_secret=own.eps_secret, eps_correct=own.eps_correct)
        )
        self.secret_bits = length
        if length < SPENT_BITS + 8:
            bits = sum(each.key_bits for each in groups)
            short = f"{-length:,} bits short of any" if length < 0 else f"{length:,} bits, fewer than the tags spend"
            raise _Refused(f"{verdict} from {bits:,} bits after the test: {short}")
        return length

    def _parts(self, basis: Bits) -> list[tuple[Places, float]]:
        """Return which key bits are reconciled together, and the error rate that is expected of them.

        Where the published bits show that the bases differ, each is reconciled by itself, which reveals less: h is
        concave.
        """
        (low_x, high_x), (low_z, high_z) = self.x.interval(), self.z.interval()
        if high_x < low_z or high_z < low_x:
            parts = [(np.flatnonzero(basis == X), self.x), (np.flatnonzero(basis == Z), self.z)]
        else:
            parts = [(np.arange(len(basis)), self.x + self.z)]
        return [(where, min(0.5, (test.errors + 0.5) / (test.test_bits + 1))) for where, test in parts]

    def _reconcile(self, alice: Bits, bob: Bits, parts: list[tuple[Places, float]]) -> Bits:
        public = self.permutations.bytes(_PERMUTATION_SEED_BYTES)
        self.line.send("alice", public)
        rng = np.random.default_rng(np.frombuffer(public, dtype="<u4"))
        corrected = bob.copy()
        for where, error_rate in parts:
            found = cascade(alice[where], bob[where], error_rate, rng, schedule=self.settings.schedule)
            begin = 0
            for end in found.ends.tolist():
                self.line.send("alice", found.parities[begin:end])
                self.line.send("bob", found.answers[begin:end])
                begin = end
            corrected[where] = found.bits
            self.leak_bits += found.leak_bits
            self.corrected += found.corrected
        return corrected

    def _reconciled(self, alice: Bits, bob: Bits, parts: list[tuple[Places, float]]) -> Bits:
        """Return Bob's string once it is verified to be Alice's.

        The errors that Cascade may leave are few and lie in pairs. Halves in new random orders find them for some
        twenty bits, where the whole block would otherwise be lost.
        """
        corrected = self._reconcile(alice, bob, parts)
        for attempt in range(1, ATTEMPTS):
            if self._verified(alice, corrected, attempt):
                return corrected
            self.leak_bits += self.settings.verify_bits
            corrected = self._reconcile(alice, corrected, [(np.arange(len(alice)), 0.0)])
        if not self._verified(alice, corrected, ATTEMPTS):
            raise _Refused("the strings still differ after reconciliation: the block is discarded")
        return corrected

    def _verified(self, alice: Bits, bob: Bits, attempt: int) -> bool:
        bits = self.settings.verify_bits
        public = self._random_bits(f"verify {attempt}", seed_length(len(alice), bits))
        hers, his = toeplitz_hash(alice, public, bits), toeplitz_hash(bob, public, bits)
        self.line.send("alice", public, hers)
        equal = bool(np.array_equal(hers, his))
        self.line.send("bob", b"\x01" if equal else b"\x00")
        return equal

    def _random_bits(self, purpose: str, count: int) -> Bits:
        drawn = np.frombuffer(seeds.stream(self.seed, "qkd", purpose).bytes(-(-count // 8)), dtype=np.uint8)
        return np.unpackbits(drawn, count=count)

    def report(self, reason: str | None, key: FreshKey | None = None, agree: bool | None = None) -> KeyReport:  # noqa: FBT001
        test, own = self.x + self.z, self.settings
        ledger = None
        if key is not None:
            ledger = SecurityLedger(
                eps_secret=own.eps_secret,
                eps_correct=own.eps_correct,
                eps_authentic=TAGS * forgery_bound(self.line.records["alice"].nbytes),
                leak_bits=self.leak_bits,
                verify_bits=own.verify_bits,
                test_bits=test.test_bits,
                auth_key_spent=SPENT_BITS,
                bell_pairs=len(self.measured),
                fidelity=max(0.25, 1 - 1.5 * (test.rate or 0.0)),
            )
        return KeyReport(
            pairs=len(self.measured),
            x=self.x,
            z=self.z,
            leak_bits=self.leak_bits,
            corrected=self.corrected,
            messages=tuple(self.line.said),
            secret_bits=self.secret_bits,
            key_bits=0 if key is None else key.bits,
            ledger=ledger,
            reason=reason,
            ends_agree=agree,
            seed=self.seed,
            key=key,
        )
