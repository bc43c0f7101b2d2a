"""From measured bits to a key, or to a refusal that says why; and that the key shows nowhere."""

import copy
import json
import logging
import math
import pickle

import numpy as np
import pytest
from cryptography.hazmat.primitives.poly1305 import Poly1305

from hyperfabric_q.entanglement.state import weights
from hyperfabric_q.errors import InsufficientKey, InvalidValue, KeySpent, SecurityRefused
from hyperfabric_q.workloads.qkd import session
from hyperfabric_q.workloads.qkd.attacks import Attack, InterceptResend
from hyperfabric_q.workloads.qkd.authentication import AuthenticationKeys
from hyperfabric_q.workloads.qkd.finite_key import Evidence, foretell, secret_bits
from hyperfabric_q.workloads.qkd.key_report import BasisTest, FreshKey
from hyperfabric_q.workloads.qkd.rates import binary_entropy
from hyperfabric_q.workloads.qkd.sampling import Measured
from hyperfabric_q.workloads.qkd.session import SPENT_BITS, Settings, distil
from hyperfabric_q.workloads.qkd.simulated import measured_pairs, simulate, simulated_keys
from hyperfabric_q.workloads.qkd.toeplitz import toeplitz_hash

THREE_PER_CENT = 0.955


def test_a_key_is_as_long_as_the_bound_says():
    found = simulate(0.97, 60_000, seed=1)
    test = found.test
    assert found.z.sifted_bits + found.x.sifted_bits == found.sifted_bits
    evidence = Evidence(
        key_bits=found.sifted_bits - test.test_bits, test_bits=test.test_bits, error_rate=test.errors / test.test_bits
    )
    bound = secret_bits([evidence], found.leak_bits)
    assert bound - 3 < found.secret_bits <= bound
    assert found.key_bits == found.secret_bits // 8 * 8 - SPENT_BITS
    assert len(found.take()) * 8 == found.key_bits
    assert found.ledger.leak_bits == found.leak_bits
    assert found.ledger.fidelity == pytest.approx(1 - 1.5 * found.qber)
    assert found.ledger.eps == pytest.approx(2e-10)


def test_what_is_foretold_is_what_comes():
    lengths = [simulate(0.97, 200_000, seed=seed).secret_bits for seed in range(5)]
    expected = foretell(100_000, 0.02, efficiency=1.075).secret_bits
    assert np.mean(lengths) == pytest.approx(expected, rel=0.03)


@pytest.mark.parametrize("runs", [15, pytest.param(1000, marks=pytest.mark.slow)])
def test_without_an_eavesdropper_the_keys_agree(runs):
    """3 % noise: equal keys every time, and never a mismatch that was not noticed."""
    for seed in range(runs):
        found = simulate(THREE_PER_CENT, 40_000, seed=seed)
        assert not found.aborted, found.reason
        assert found.ends_agree


@pytest.mark.parametrize("runs", [15, pytest.param(1000, marks=pytest.mark.slow)])
def test_intercept_and_resend_shows_and_ends_every_session(runs):
    errors = tested = 0
    for seed in range(runs):
        found = simulate(1.0, 10_000, attack=InterceptResend(1.0), seed=seed)
        assert found.aborted
        assert found.key is None
        assert "error rate" in found.reason
        errors, tested = errors + found.test.errors, tested + found.test.test_bits
    assert errors / tested == pytest.approx(0.25, abs=0.01)


def test_the_first_bits_of_the_hash_replace_the_keys_of_the_tags_and_the_rest_is_handed_over(monkeypatch):
    hashes, raw = [], []

    def recorded(*parts):
        out = toeplitz_hash(*parts)
        hashes.append(out.copy())
        raw.append((parts[0], out))
        return out

    monkeypatch.setattr(session, "toeplitz_hash", recorded)
    alice, bob = simulated_keys(2, 3)
    found = distil(measured_pairs([0.97, 0.01, 0.01, 0.01], seed=2, pairs=30_000), alice, bob, seed=2)
    assert np.array_equal(hashes[0], hashes[1])
    whole = np.packbits(hashes[2]).tobytes()
    assert found.take() == whole[64:]
    assert alice.remaining == bob.remaining == 3
    for each in (alice, bob):
        each.tag([b"with the last of the old keys"])
        head = b"hyperfabric_q qkd session 1" + (3).to_bytes(8, "big")
        assert each.tag([b"x"]).mac == Poly1305.generate_tag(whole[:32], head + b"x")
    # Neither the strings nor what they were hashed to stay behind.
    assert not any(array.any() for array in (raw[0][0], raw[1][0], raw[2][0], raw[2][1]))


def test_equal_seeds_give_equal_keys_and_others_do_not():
    keys = [bytes(simulate(0.97, 30_000, seed=seed).take()) for seed in (5, 5, 6)]
    assert keys[0] == keys[1] != keys[2]


def test_key_bits_are_even():
    key = np.frombuffer(bytes(simulate(0.99, 400_000, seed=7).take()), dtype=np.uint8)
    ones = np.unpackbits(key)
    assert len(ones) > 50_000
    assert abs(ones.mean() - 0.5) < 5 * 0.5 / math.sqrt(len(ones))


# ------------------------------------------------------------------------------------------------------------ refusals


@pytest.mark.parametrize(
    ("fidelity", "pairs", "reason"),
    [
        (0.97, 2_000, "no key can be expected"),
        (0.80, 100_000, "from 11.00% on"),
        (0.97, 1, "too few"),
        (0.85, 20_000, "short of any"),
    ],
)
def test_what_gives_no_key_is_refused_with_its_reason(fidelity, pairs, reason):
    found = simulate(fidelity, pairs, seed=1)
    assert found.aborted
    assert found.key_bits == 0
    assert found.ledger is None
    assert reason in found.reason
    with pytest.raises(InsufficientKey, match="must not be used") as refusal:
        found.take()
    assert isinstance(refusal.value, SecurityRefused)
    if found.secret_bits is not None and found.secret_bits <= 0:
        assert refusal.value.missing_bits == 1 - found.secret_bits


def test_a_refused_session_neither_leaks_nor_spends():
    alice, bob = simulated_keys(1, 2)
    found = distil(measured_pairs([0.7, 0.1, 0.1, 0.1], seed=1, pairs=20_000), alice, bob, seed=1)
    assert found.leak_bits == 0
    assert len(found.messages) == 4
    assert alice.remaining == bob.remaining == 2


def test_without_authentication_keys_nothing_is_said():
    found = distil(measured_pairs([1, 0, 0, 0], seed=1, pairs=20_000), *simulated_keys(1, 1), seed=1)
    assert "refill both ends" in found.reason
    assert found.messages == ()


def test_ends_that_hold_different_authentication_keys_get_no_key():
    measured = measured_pairs([1, 0, 0, 0], seed=1, pairs=20_000)
    found = distil(measured, AuthenticationKeys(bytes(64)), AuthenticationKeys(b"x" * 64), seed=1)
    assert found.aborted
    assert "tag does not fit" in found.reason


def test_strings_that_still_differ_are_discarded(monkeypatch):
    """Reconciliation that overlooks one bit: the hash finds it."""
    real = session.cascade

    def careless(*parts, **options):
        found = real(*parts, **options)
        found.bits[17] ^= 1
        return found

    monkeypatch.setattr(session, "cascade", careless)
    for seed in range(20):
        assert "still differ" in simulate(0.97, 20_000, seed=seed).reason


def test_errors_that_are_overlooked_once_are_found_by_a_second_round(monkeypatch):
    real, calls = session.cascade, []

    def careless(*parts, **options):
        found = real(*parts, **options)
        calls.append(found.leak_bits)
        found.bits[[17, 230]] ^= len(calls) == 1
        return found

    monkeypatch.setattr(session, "cascade", careless)
    found = simulate(0.97, 20_000, seed=1)
    assert len(calls) == 2
    assert calls[1] < 100
    assert found.ends_agree
    assert found.leak_bits == sum(calls) + Settings().verify_bits


def test_a_tolerated_error_rate_is_a_promise():
    measured = measured_pairs([0.97, 0.01, 0.01, 0.01], seed=3, pairs=60_000)
    free, loose, tight = (
        distil(measured, *simulated_keys(3, 2), settings=Settings(tolerated_error=each), seed=3)
        for each in (None, 0.03, 0.01)
    )
    assert 0 < loose.secret_bits < free.secret_bits
    assert "1.00% is tolerated" in tight.reason


def test_bases_that_differ_are_reconciled_apart():
    """Dephased pairs: no error in Z, which then costs hardly any leak; together they would leak h of the mean."""
    measured = measured_pairs(weights([0.9, 0.9, 1.0]), seed=4, pairs=100_000)
    found = distil(measured, *simulated_keys(4, 2), settings=Settings(expected_error=0.025), seed=4)
    assert found.ends_agree
    assert found.x.rate == pytest.approx(0.05, abs=0.01)
    assert found.z.errors == 0
    kept = found.sifted_bits - found.test.test_bits
    apart = kept / 2 * float(binary_entropy(0.05))
    assert found.leak_bits < 1.15 * apart < kept * float(binary_entropy(0.025))


def test_testing_per_basis_counts_each_basis_with_the_other_ones_test():
    measured = measured_pairs(weights([0.9, 0.9, 1.0]), seed=4, pairs=100_000)
    own = Settings(expected_error=0.025, test="per basis", eps_secret=1e-9)
    found = distil(measured, *simulated_keys(4, 2), settings=own, seed=4)
    assert found.ends_agree
    evidence = [
        Evidence(key_bits=kept.sifted_bits - kept.test_bits, test_bits=test.test_bits, error_rate=test.rate)
        for kept, test in ((found.z, found.x), (found.x, found.z))
    ]
    bound = secret_bits(evidence, found.leak_bits, eps_secret=1e-9)
    assert bound - 3 < found.secret_bits <= bound


def test_a_basis_without_a_test_answers_for_nothing():
    rng, same = np.random.default_rng(1), np.zeros(20_000, dtype=np.uint8)
    bits = rng.integers(0, 2, 20_000, dtype=np.uint8)
    measured = Measured(alice_basis=same, bob_basis=same, alice=bits, bob=bits)
    found = distil(measured, *simulated_keys(1, 2), settings=Settings(test="per basis"), seed=1)
    assert "nothing was published" in found.reason


@pytest.mark.parametrize(
    "wrong",
    [
        {"eps_secret": 0.0},
        {"eps_correct": 2.0},
        {"expected_error": -0.1},
        {"test_fraction": 1.0},
        {"most_error": 0.2},
        {"tolerated_error": math.nan},
        {"test": "both"},
    ],
)
def test_wrong_settings_are_refused(wrong):
    with pytest.raises(InvalidValue, match=next(iter(wrong))):
        Settings(**wrong)


@pytest.mark.parametrize(("fidelity", "pairs"), [(1.1, 10), (0.9, 0), (0.9, 1.5), (0.9, True), (0.9, 10**9)])
def test_wrong_numbers_of_pairs_are_refused(fidelity, pairs):
    with pytest.raises(InvalidValue):
        simulate(fidelity, pairs, seed=1)


# ------------------------------------------------------------------------------------------------- statistics, secrecy


def test_the_interval_covers_what_it_should():
    assert BasisTest(sifted_bits=10, test_bits=10, errors=0).interval() == (0, pytest.approx(0.3084971, abs=1e-7))
    assert BasisTest(sifted_bits=10, test_bits=10, errors=5).interval() == pytest.approx(
        (0.1870860, 0.8129140), abs=1e-7
    )
    assert BasisTest(sifted_bits=0, test_bits=0, errors=0).interval() == (0, 1)
    inside = 0
    for seed in range(100):
        low, high = simulate(THREE_PER_CENT, 400, seed=seed).test.interval()
        inside += low <= 0.03 <= high
    assert inside >= 90


def test_ledgers_of_keys_used_together_add_up():
    first, second = (simulate(0.97, 40_000, seed=seed).ledger for seed in (1, 2))
    both = first + second
    assert both.eps == pytest.approx(first.eps + second.eps)
    assert both.bell_pairs == 80_000
    assert min(first.fidelity, second.fidelity) <= both.fidelity <= max(first.fidelity, second.fidelity)


def test_a_key_is_handed_over_once_and_never_copied():
    found = simulate(0.97, 30_000, seed=1)
    for copied in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(KeySpent, match="never copied"):
            copied(found.key)
    found.take()
    with pytest.raises(KeySpent, match="handed over before"):
        found.take()


def test_a_key_that_nobody_takes_is_overwritten():
    raw = bytearray(b"\xff" * 16)
    FreshKey(raw).__del__()
    assert raw == bytes(16)


def test_no_key_shows_anywhere(caplog, capsys):
    caplog.set_level(logging.DEBUG)
    found = simulate(0.97, 30_000, seed=1)
    told = [repr(found), str(found), repr(found.key), json.dumps(found.to_dict()), repr(found.ledger)]
    key = bytes(found.take())
    try:
        found.take()
    except KeySpent as fault:
        told.append(f"{fault!r} {fault}")
    told += [caplog.text, *capsys.readouterr()]
    assert "simulated, not secret" in told[1]
    assert "simulated, not secret" in told[3]
    for text in told:
        for piece in range(0, len(key) - 8, 8):
            some = key[piece : piece + 8]
            for shown in (some.hex(), repr(some)[2:-1], str(list(some))[1:-1], str(int.from_bytes(some))):
                assert shown not in text


def test_the_shares_of_errors_found_and_corrected_agree():
    found = simulate(THREE_PER_CENT, 100_000, attack=Attack(0.0), seed=3)
    kept = found.sifted_bits - found.test.test_bits
    assert found.corrected / kept == pytest.approx(found.qber, abs=0.01)
    assert 1 < found.leak_bits / (kept * float(binary_entropy(found.corrected / kept))) < 1.12


def test_public_names_are_all_there():
    from hyperfabric_q.workloads.qkd import public

    assert sorted(name for names in public._NAMES_OF.values() for name in names) == sorted(public.__all__)
    for name in public.__all__:
        assert getattr(public, name) is not None
