"""What is opened is what was sealed, once; everything else is refused."""

import dataclasses
import time

import numpy as np
import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given, settings
from hypothesis import strategies as st

from hyperfabric_q.errors import InvalidValue, KeySpent, ReplayRejected, SealBroken, SecurityRefused
from hyperfabric_q.traffic.keys import OperatingSystemKeys
from hyperfabric_q.traffic.packet import DataType
from hyperfabric_q.traffic.payload import VirtualTensor, payload_of
from hyperfabric_q.traffic.sealing import (
    INLINE,
    SOFTWARE,
    Header,
    ReplayGuard,
    Sealed,
    open_sealed,
    seal,
    sealed_nbytes,
)

SOURCE = OperatingSystemKeys()


def header(sequence=0, **changes):
    given = {"source": "a", "destination": "b", "sequence": sequence, "data_type": DataType.TENSOR, "zone": "lab"}
    return Header(**{**given, **changes})


@pytest.fixture
def lease():
    with SOURCE.reserve("a", "b", 256) as lease:
        yield lease


@settings(deadline=None, derandomize=True, max_examples=60)
@given(st.binary(max_size=300))
def test_what_is_sealed_opens(data):
    with SOURCE.reserve("a", "b", 256) as lease:
        sealed = seal(header(), data, lease)
        assert open_sealed(header(), sealed, lease, ReplayGuard()) == data
        assert sealed.nbytes == len(data) + 28 == sealed_nbytes(len(data))
        assert len(data) < 8 or data not in sealed.ciphertext


def test_it_is_aes_256_gcm_with_the_header_as_associated_data(lease):
    sealed = seal(header(7), b"contents", lease)
    key = bytes(lease.use("aes-256-gcm"))
    assert sealed.nonce.hex() == "000000010000000000000000"
    associated = b"real\0" + header(7).associated_data()
    assert AESGCM(key).decrypt(sealed.nonce, sealed.ciphertext, associated) == b"contents"


def test_arrays_of_any_strides_open_to_their_bytes(lease):
    array = np.arange(60, dtype=np.int16).reshape(6, 10)[::2, ::3]
    opened = open_sealed(header(), seal(header(), payload_of(array), lease), lease, ReplayGuard())
    np.testing.assert_array_equal(np.frombuffer(opened, dtype=np.int16).reshape(array.shape), array)


def test_equal_messages_do_not_look_equal(lease):
    blobs = [seal(header(each), b"the same contents", lease).ciphertext for each in range(100)]
    assert len(set(blobs)) == 100


@settings(deadline=None, derandomize=True, max_examples=200)
@given(st.data())
def test_different_headers_have_different_associated_data(data):
    text = st.text(alphabet="ab-+\0", max_size=3)
    fields = st.builds(
        Header,
        source=text,
        destination=text,
        sequence=st.integers(0, 2),
        data_type=st.sampled_from(DataType),
        zone=st.none() | text,
        codec=text,
    )
    one, other = data.draw(fields), data.draw(fields)
    assert (one == other) == (one.associated_data() == other.associated_data())


# ------------------------------------------------------------------------------------------------- tampering, replays


def tampered(rng, sent, sealed):
    """Change one thing that an attacker on the wire can change."""
    kind = rng.integers(5)
    if kind == 0:
        place, blob = rng.integers(len(sealed.ciphertext)), bytearray(sealed.ciphertext)
        blob[place] ^= 1 << int(rng.integers(8))
        return sent, dataclasses.replace(sealed, ciphertext=bytes(blob))
    if kind == 1:
        place, nonce = rng.integers(12), bytearray(sealed.nonce)
        nonce[place] ^= 1 << int(rng.integers(8))
        return sent, dataclasses.replace(sealed, nonce=bytes(nonce))
    if kind == 2:
        return sent, dataclasses.replace(sealed, ciphertext=sealed.ciphertext[: rng.integers(len(sealed.ciphertext))])
    if kind == 3:
        return sent, dataclasses.replace(sealed, ciphertext=sealed.ciphertext + bytes(1 + int(rng.integers(9))))
    changes = [
        {"sequence": sent.sequence + 1 + int(rng.integers(1000))},
        {"data_type": DataType.KEY},
        {"zone": None},
        {"zone": "lab2"},
        {"source": "b", "destination": "a"},
        {"codec": "zstd"},
    ]
    return dataclasses.replace(sent, **changes[rng.integers(len(changes))]), sealed


def test_10000_of_10000_tampered_messages_and_replays_are_refused(lease):
    rng = np.random.default_rng(20)
    guard = ReplayGuard()
    messages = []
    for sequence in range(10_000):
        data = rng.bytes(int(rng.integers(64)))
        messages.append((header(sequence), seal(header(sequence), data, lease), data))
    start = time.process_time()
    refused = 0
    for sent, sealed, _ in messages:
        with pytest.raises(SealBroken):
            open_sealed(*tampered(rng, sent, sealed), lease, guard)
        refused += 1
    assert refused == 10_000
    # The forgeries used up nothing: each true message still opens, once.
    for sent, sealed, data in messages:
        assert open_sealed(sent, sealed, lease, guard) == data
    replays = 0
    for index in rng.permutation(10_000):
        sent, sealed, _ = messages[index]
        with pytest.raises(ReplayRejected):
            open_sealed(sent, sealed, lease, guard)
        replays += 1
    assert replays == 10_000
    assert len({sealed.nonce for _, sealed, _ in messages}) == 10_000
    assert time.process_time() - start < 5


def test_a_message_cannot_be_reflected_to_its_sender(lease):
    sealed = seal(header(), b"hello", lease)
    with pytest.raises(SealBroken, match="nonce"):
        open_sealed(header(source="b", destination="a"), sealed, lease, ReplayGuard())


def test_a_message_under_another_key_is_refused(lease):
    with SOURCE.reserve("a", "b", 256) as other:
        sealed = seal(header(), b"hello", other)
        with pytest.raises(SealBroken, match="was to open it"):
            open_sealed(header(), sealed, lease, ReplayGuard())
        renamed = dataclasses.replace(sealed, key_id=lease.key_id)
        with pytest.raises(SealBroken, match="tag"):
            open_sealed(header(), renamed, lease, ReplayGuard())


def test_a_refusal_shows_neither_contents_nor_key(lease):
    key = bytes(lease.use("aes-256-gcm"))
    sealed = seal(header(), b"PLAINTEXT", lease)
    with pytest.raises(SecurityRefused) as raised:
        open_sealed(header(1), sealed, lease, ReplayGuard())
    text = f"{raised.value}{raised.value!r}{sealed!r}{raised.value.__cause__!r}"
    assert "PLAINTEXT" not in text
    assert key.hex() not in text
    assert repr(key) not in text


@settings(deadline=None, derandomize=True, max_examples=150)
@given(st.lists(st.integers(0, 40), max_size=80), st.integers(1, 20))
def test_a_window_accepts_each_recent_counter_once_and_no_old_one(counters, width):
    guard, opened = ReplayGuard(width=width), set()
    for counter in counters:
        allowed = counter not in opened and counter > max(opened, default=-1) - width
        if allowed:
            guard.check("k", 1, counter)
            guard.mark("k", 1, counter)
            opened.add(counter)
        else:
            with pytest.raises(ReplayRejected):
                guard.check("k", 1, counter)


def test_bulk_overtaken_by_ten_thousand_messages_still_opens(lease):
    guard = ReplayGuard()
    bulk = seal(header(0), b"bulk", lease)
    for sequence in range(1, 10_001):
        sealed = seal(header(sequence), b"", lease)
        open_sealed(header(sequence), sealed, lease, guard)
    assert open_sealed(header(0), bulk, lease, guard) == b"bulk"


def test_keys_and_senders_have_windows_of_their_own():
    guard = ReplayGuard()
    for key, sender in (("k", 1), ("k", 2), ("l", 1)):
        guard.check(key, sender, 5)
        guard.mark(key, sender, 5)
    guard.forget("k")
    guard.check("k", 1, 5)
    with pytest.raises(ReplayRejected):
        guard.check("l", 1, 5)


# ---------------------------------------------------------------------------------------------------- virtual payloads


def test_virtual_contents_stay_virtual_and_their_seal_is_real(lease):
    payload = payload_of(VirtualTensor((10**9,), "float16"))
    sealed = seal(header(), payload, lease)
    assert sealed.nbytes == payload.nbytes + 28
    guard = ReplayGuard()
    for forged in (
        dataclasses.replace(sealed, virtual_nbytes=1),
        dataclasses.replace(sealed, virtual_nbytes=None),
        dataclasses.replace(sealed, ciphertext=bytes(16)),
    ):
        with pytest.raises(SealBroken):
            open_sealed(header(), forged, lease, guard)
    assert open_sealed(header(), sealed, lease, guard) == b""
    with pytest.raises(ReplayRejected):
        open_sealed(header(), sealed, lease, guard)


def test_350_gigabytes_are_sealed_as_six_messages(lease):
    payload = payload_of(VirtualTensor((175_000_000_000,), "float16"))
    assert seal(header(), payload, lease).nbytes == 350_000_000_000 + 6 * 28
    assert lease.messages == 6
    following = seal(header(1), b"next", lease)
    assert int.from_bytes(following.nonce[4:], "big") == 6


def test_real_and_virtual_payloads_cost_the_same(lease):
    real, virtual = payload_of(np.zeros(999, np.float32)), payload_of(VirtualTensor((999,), "float32"))
    assert seal(header(), real, lease).nbytes == seal(header(1), virtual, lease).nbytes == sealed_nbytes(3996)


# ------------------------------------------------------------------------------------------------- refusals and costs


def test_a_key_of_other_nodes_or_another_length_is_refused(lease):
    with pytest.raises(InvalidValue, match="no key of"):
        seal(header(destination="c"), b"", lease)
    with pytest.raises(SealBroken, match="other nodes"):
        open_sealed(header(destination="c"), seal(header(), b"", lease), lease, ReplayGuard())
    with SOURCE.reserve("a", "b", 128) as short, pytest.raises(InvalidValue, match="256 bits"):
        seal(header(), b"", short)


def test_a_used_up_or_released_key_seals_nothing():
    lease = OperatingSystemKeys(message_limit=2).reserve("a", "b", 256)
    seal(header(), b"", lease)
    seal(header(source="b", destination="a"), b"", lease)
    with pytest.raises(KeySpent, match="limit"):
        seal(header(), b"", lease)
    lease.release()
    with pytest.raises(KeySpent, match="released"):
        seal(header(), b"", lease)


def test_a_key_that_serves_something_else_seals_nothing(lease):
    lease.use("otp", once=True)
    with pytest.raises(KeySpent, match="otp"):
        seal(header(), b"", lease)


@pytest.mark.parametrize("sequence", [-1, 2**64])
def test_sequence_numbers_fit_64_bits(sequence):
    with pytest.raises(InvalidValue, match="sequence"):
        header(sequence)


def test_known_costs():
    assert SOFTWARE.ps(0) == 1_000_000
    assert SOFTWARE.ps(100) == 1_000_000 + 83_334
    assert SOFTWARE.ps(12 * 10**9) == 10 * 10**12 + 1_000_000
    assert INLINE.ps(10**12) == 0


def test_a_sealed_message_is_small_to_print():
    assert len(repr(Sealed(key_id="k", nonce=bytes(12), ciphertext=bytes(10**6)))) < 200
