"""Keys are leased once, serve one purpose, never show, and leave no bytes behind; nonces never repeat."""

import copy
import gc
import json
import pickle
import random
import traceback
from itertools import pairwise

import numpy as np
import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from hypothesis import given, settings
from hypothesis import strategies as st

from hyperfabric_q.errors import InvalidValue, KeySpent, SecurityRefused
from hyperfabric_q.traffic import keys
from hyperfabric_q.traffic.keys import KeyLease, KeyRing, OperatingSystemKeys


@pytest.fixture
def source():
    source = OperatingSystemKeys()
    yield source
    source.close()


def test_no_key_is_leased_twice(source):
    leases = [source.reserve(*pair, 256) for pair in [("a", "b"), ("b", "a"), ("a", "c")] for _ in range(50)]
    assert len({bytes(each.use("test")) for each in leases}) == len({each.key_id for each in leases}) == 150


@pytest.mark.parametrize("bits", [128, 256, 65_280])
def test_a_key_has_the_bits_asked_for(source, bits):
    lease = source.reserve("a", "b", bits)
    key = lease.use("test")
    assert (lease.bits, key.nbytes, lease.pair) == (bits, bits // 8, ("a", "b"))
    assert any(key)


def test_a_key_is_hkdf_of_root_salt_and_pair(source, monkeypatch):
    salt = bytes(range(32))
    monkeypatch.setattr(keys.secrets, "token_bytes", lambda count: salt[:count])
    lease = source.reserve("node-b", "node-a", 256)
    info = b"hyperfabric_q pair key 1\0\0\0\x06node-a\0\0\0\x06node-b\0\0\0\x010\0\0\0\x03256"
    assert bytes(lease.use("test")) == HKDF(hashes.SHA3_256(), 32, salt, info).derive(bytes(source._root))


def test_no_seed_has_any_influence():
    found = set()
    for _ in range(3):
        random.seed(1)
        np.random.seed(1)  # noqa: NPY002 - the global generator is what must not matter
        found.add(bytes(OperatingSystemKeys().reserve("a", "b", 256).use("test")))
    assert len(found) == 3


@pytest.mark.parametrize("bits", [0, 8, 120, 129, 65_288, -256, True, 256.0, "256"])
def test_impossible_lengths_are_refused(source, bits):
    with pytest.raises(InvalidValue, match="bits"):
        source.reserve("a", "b", bits)


@pytest.mark.parametrize("limit", [0, -1, 2**32 + 1, True])
def test_impossible_limits_are_refused(limit):
    with pytest.raises(InvalidValue, match="message_limit"):
        OperatingSystemKeys(message_limit=limit)


# ------------------------------------------------------------------------------------------------------ one purpose


def test_a_key_serves_one_purpose(source):
    lease = source.reserve("a", "b", 256)
    assert lease.use("aes-256-gcm") == lease.use("aes-256-gcm")
    with pytest.raises(KeySpent, match="serves as aes-256-gcm"):
        lease.use("poly1305")


def test_a_one_time_key_serves_once(source):
    lease = source.reserve("a", "b", 1024)
    lease.use("otp", once=True)
    for purpose, once in (("otp", True), ("otp", False), ("aes-256-gcm", False)):
        with pytest.raises(KeySpent, match="only use was as otp"):
            lease.use(purpose, once=once)
    used = source.reserve("a", "b", 256)
    used.use("otp")
    with pytest.raises(KeySpent, match="would not be its only use"):
        used.use("otp", once=True)


def test_a_view_of_a_key_cannot_change_it(source):
    with pytest.raises(TypeError):
        source.reserve("a", "b", 256).use("test")[0] = 1


# -------------------------------------------------------------------------------------------------- nothing is left


def test_release_overwrites_the_very_bytes():
    key = bytearray(b"\xa5" * 32)
    lease = KeyLease(key_id="k", a="a", b="b", key=key, origin="a test")
    view = lease.use("test")
    lease.release()
    lease.release()
    assert bytes(key) == bytes(view) == bytes(32)
    assert lease.is_released
    with pytest.raises(KeySpent, match="released"):
        lease.use("test")
    with pytest.raises(KeySpent, match="released"):
        lease.nonce("a")


def test_leaving_the_context_or_losing_the_lease_overwrites_the_key(source):
    with source.reserve("a", "b", 256) as lease:
        view = lease.use("test")
        assert any(view)
    assert not any(view)
    lost = bytearray(b"\xa5" * 32)
    KeyLease(key_id="k", a="a", b="b", key=lost, origin="a test")
    gc.collect()
    assert not any(lost)


def test_a_view_that_outlives_its_lease_is_not_a_key_of_zeros(source):
    view = source.reserve("a", "b", 256).use("test")
    gc.collect()
    assert any(view)


def test_a_closed_source_forgets_its_root():
    source = OperatingSystemKeys()
    root = source._root
    source.close()
    assert not any(root)
    with pytest.raises(KeySpent, match="closed"):
        source.reserve("a", "b", 256)


def test_no_text_shows_a_key():
    key = bytearray(b"SECRET-KEY-BYTES-SECRET-KEY-BYTE")
    lease = KeyLease(key_id="k", a="a", b="b", key=key, origin="a test", message_limit=1)
    del key
    lease.nonce("a")
    shown = [repr(lease), str(lease), repr([lease]), f"{lease!r}", repr(KeyRing(OperatingSystemKeys()))]
    attempts = [
        lambda: lease.nonce("a"),
        lambda: lease.nonce("stranger"),
        lambda: (lease.use("one"), lease.use("two")),
        lambda: copy.copy(lease),
        lambda: copy.deepcopy(lease),
        lambda: pickle.dumps(lease),
        lambda: pickle.dumps(OperatingSystemKeys()),
        lambda: json.dumps(lease),
        lambda: json.dumps(lease, default=lambda each: each.__dict__),
    ]
    for attempt in attempts:
        with pytest.raises((SecurityRefused, InvalidValue, TypeError, AttributeError)) as raised:
            attempt()
        trace = traceback.TracebackException.from_exception(raised.value, capture_locals=True)
        shown.extend([str(raised.value), *trace.format()])
    assert not [each for each in shown if "SECRET" in each or b"SECRET".hex() in each]


# ------------------------------------------------------------------------------------------------------------ nonces


def test_nonces_are_sender_then_counter(source):
    lease = source.reserve("b", "a", 256)
    assert lease.nonce("a").hex() == "00000001" + "0000000000000000"
    assert lease.nonce("b").hex() == "00000002" + "0000000000000000"
    assert lease.nonce("a").hex() == "00000001" + "0000000000000001"
    assert lease.messages == 3


@settings(deadline=None, derandomize=True, max_examples=50)
@given(st.lists(st.tuples(st.sampled_from("ab"), st.integers(1, 5)), max_size=60))
def test_no_nonce_repeats_and_each_senders_counter_grows(sends):
    lease = KeyLease(key_id="k", a="a", b="b", key=bytearray(32), origin="a test")
    used = [(sender, lease.nonce(sender, messages), messages) for sender, messages in sends]
    covered = [int.from_bytes(nonce, "big") + each for _, nonce, messages in used for each in range(messages)]
    assert len(set(covered)) == len(covered) == lease.messages
    for sender in "ab":
        assert all(before < after for before, after in pairwise(n for who, n, _ in used if who == sender))


def test_strangers_get_no_nonce(source):
    with pytest.raises(InvalidValue, match="belongs to 'a' and 'b'"):
        source.reserve("a", "b", 256).nonce("c")


def test_the_limit_of_messages_holds_for_both_ends_together():
    lease = OperatingSystemKeys(message_limit=3).reserve("a", "b", 256)
    lease.nonce("a", 2)
    assert lease.remaining == 1
    with pytest.raises(KeySpent, match="limit is 3"):
        lease.nonce("b", 2)
    lease.nonce("b")
    assert lease.remaining == 0
    with pytest.raises(KeySpent, match="3 messages were sealed"):
        lease.nonce("a")


# --------------------------------------------------------------------------------------------------------------- ring


def test_a_ring_keeps_a_key_until_its_limit_and_then_changes_it():
    ring = KeyRing(OperatingSystemKeys(message_limit=2))
    first = ring.lease("a", "b")
    assert ring.lease("b", "a") is first
    assert ring.lease("a", "c") is not first
    first.nonce("a")
    assert ring.lease("a", "b") is first
    second = ring.lease("a", "b", messages=2)
    assert second is not first
    assert second.key_id != first.key_id
    assert not first.is_released  # its last message may still be on the way
    ring.retire(first.key_id)
    ring.retire("unknown")
    assert first.is_released
    ring.close()
    assert second.is_released


def test_a_ring_replaces_a_released_key():
    ring = KeyRing(OperatingSystemKeys())
    ring.lease("a", "b").release()
    assert not ring.lease("a", "b").is_released
