"""A send that asks for a quantum key gets one of its own, or is told the truth: no label is ever false."""

import asyncio
import copy
import dataclasses
import logging
import secrets
import traceback
import warnings

import numpy as np
import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.poly1305 import Poly1305
from hypothesis import given, settings
from hypothesis import strategies as st

import hyperfabric_q as hq
from hyperfabric_q import errors
from hyperfabric_q.scheduling.faults import Corrupt, Duplicate, Loss
from hyperfabric_q.traffic.keys import KeyLease, KeyRing, OperatingSystemKeys
from hyperfabric_q.traffic.packet import DataType
from hyperfabric_q.traffic.payload import payload_of
from hyperfabric_q.traffic.sealing import (
    ONE_TIME_PAD,
    QUANTUM_GCM,
    Header,
    ReplayGuard,
    Sealed,
    key_bits,
    open_once,
    seal_once,
    sealed_nbytes,
)
from hyperfabric_q.traffic.treatment import Keys
from hyperfabric_q.workloads.qkd.source import TrustedRelays
from hyperfabric_q.workloads.qkd.store import KeyStore

SECURED = {"quantum_secured": True}
MODES = [ONE_TIME_PAD, QUANTUM_GCM]
SOURCES = [lambda: None, OperatingSystemKeys, KeyStore, lambda: TrustedRelays(KeyStore(), ["m"])]


def header(sequence=0, **changes):
    return Header(**{"source": "a", "destination": "b", "sequence": sequence, "data_type": DataType.TENSOR, **changes})


def lease_of(nbytes, mode, key_id="k", key=None):
    key = secrets.token_bytes(key_bits(mode, nbytes) // 8) if key is None else key
    return KeyLease(key_id=key_id, a="a", b="b", key=bytearray(key), origin="a test", is_quantum=True)


# ---------------------------------------------------------------------------------------------- one key, one message


@pytest.mark.parametrize("mode", MODES)
@settings(deadline=None, derandomize=True, max_examples=50)
@given(data=st.binary(max_size=400), spare=st.integers(0, 40))
def test_what_is_sealed_once_opens(mode, data, spare):
    with lease_of(len(data) + spare, mode) as lease:
        sealed = seal_once(header(), data, lease, mode=mode)
        assert open_once(header(), sealed, lease, ReplayGuard()) == data
        assert sealed.nbytes == sealed_nbytes(len(data), mode)
        assert len(data) < 8 or data not in sealed.ciphertext


def framed(mode, key_id, sent, contents=b"real"):
    """What is authenticated, put together by hand."""
    inner = contents + b"\0" + sent.associated_data()
    text = b"".join(len(part).to_bytes(4, "big") + part for part in (mode.encode(), key_id.encode(), inner))
    return len(text).to_bytes(8, "big") + text


def test_the_pad_is_a_sum_and_its_tag_is_poly1305_under_a_key_of_its_own():
    key = secrets.token_bytes(32 + 5)
    sealed = seal_once(header(3), b"hello", lease_of(5, ONE_TIME_PAD, key=key), mode=ONE_TIME_PAD)
    covered = bytes(x ^ y for x, y in zip(b"hello", key[32:], strict=True))
    tag = Poly1305.generate_tag(key[:32], framed(ONE_TIME_PAD, "k", header(3)) + covered)
    assert (sealed.ciphertext, sealed.nonce) == (covered + tag, b"")


def test_the_other_mode_is_aes_gcm_under_hkdf_of_the_key():
    key = secrets.token_bytes(32)
    sealed = seal_once(header(3), b"hello", lease_of(5, QUANTUM_GCM, key=key), mode=QUANTUM_GCM)
    bound = framed(QUANTUM_GCM, "k", header(3))
    derived = HKDF(hashes.SHA3_256(), 32, None, b"hyperfabric_q message key 1" + bound).derive(key)
    assert AESGCM(derived).decrypt(sealed.nonce, sealed.ciphertext, bound) == b"hello"
    with pytest.raises(InvalidTag):
        AESGCM(key).decrypt(sealed.nonce, sealed.ciphertext, bound)


@pytest.mark.parametrize("mode", MODES)
def test_a_key_seals_one_message_and_opens_no_other_mode(mode):
    lease = lease_of(64, ONE_TIME_PAD)
    sealed = seal_once(header(), b"first", lease, mode=mode)
    for other in MODES:
        with pytest.raises(errors.KeySpent, match="only use"):
            seal_once(header(1), b"second", lease, mode=other)
        if other != mode:
            with pytest.raises(errors.SealBroken):
                open_once(header(), dataclasses.replace(sealed, mode=other), lease, ReplayGuard())
    assert open_once(header(), sealed, lease, ReplayGuard()) == b"first"
    lease.release()
    with pytest.raises(errors.KeySpent, match="released"):
        open_once(header(), sealed, lease, ReplayGuard())


@pytest.mark.parametrize("mode", MODES)
def test_too_short_a_key_and_strangers_are_refused_before_the_key_is_touched(mode):
    lease = lease_of(10, mode)
    with pytest.raises(errors.InvalidValue, match="bits"):
        seal_once(header(), bytes(11), lease_of(10, ONE_TIME_PAD), mode=ONE_TIME_PAD)
    with pytest.raises(errors.InvalidValue, match="no key of"):
        seal_once(header(destination="c"), b"x", lease, mode=mode)
    with pytest.raises(errors.InvalidValue, match="mode"):
        seal_once(header(), b"x", lease, mode="rot13")
    assert open_once(header(), seal_once(header(), b"x", lease, mode=mode), lease, ReplayGuard()) == b"x"


def tampered(rng, sent, sealed):
    """Change one thing that an attacker on the wire can change."""
    kind = rng.integers(6)
    blob = bytearray(sealed.ciphertext)
    if kind < 2:
        blob[rng.integers(len(blob))] ^= 1 << int(rng.integers(8))
        return sent, dataclasses.replace(sealed, ciphertext=bytes(blob))
    if kind == 2:
        return sent, dataclasses.replace(sealed, ciphertext=bytes(blob[: rng.integers(len(blob))]))
    if kind == 3:
        return sent, dataclasses.replace(sealed, ciphertext=bytes(blob) + bytes(1 + int(rng.integers(9))))
    if kind == 4:
        nonce = bytearray(sealed.nonce or b"\0")
        nonce[rng.integers(len(nonce))] ^= 1 << int(rng.integers(8))
        changes = [{"nonce": bytes(nonce)}, {"virtual_nbytes": 5}, {"mode": "aes-256-gcm"}, {"key_id": "other"}]
        return sent, dataclasses.replace(sealed, **changes[rng.integers(len(changes))])
    changes = [
        {"sequence": sent.sequence + 1},
        {"data_type": DataType.KEY},
        {"zone": "lab"},
        {"source": "b", "destination": "a"},
        {"codec": "zstd"},
    ]
    return dataclasses.replace(sent, **changes[rng.integers(len(changes))]), sealed


@pytest.mark.parametrize("mode", MODES)
def test_of_10000_changed_cut_and_replayed_messages_none_is_accepted(mode):
    rng = np.random.default_rng(20)
    accepted = replayed = 0
    for number in range(50):
        data, guard = rng.bytes(int(rng.integers(1, 60))), ReplayGuard()
        lease, sent = lease_of(len(data), mode, key_id=f"k{number}"), header(number)
        sealed = seal_once(sent, data, lease, mode=mode)
        for _ in range(150):
            try:
                open_once(*tampered(rng, sent, sealed), lease, guard)
                accepted += 1
            except errors.SealBroken:
                pass
        assert open_once(sent, sealed, lease, guard) == data
        for _ in range(50):
            try:
                open_once(sent, sealed, lease, guard)
                accepted += 1
            except errors.ReplayRejected:
                replayed += 1
    assert (accepted, replayed) == (0, 2500)


# ------------------------------------------------------------------------------------------------------------- sending


def filled(*pairs, bits=80_000, origin="made by secrets"):
    store = KeyStore()
    for a, b in pairs:
        store.deposit(a, b, bytearray(secrets.token_bytes(bits // 8)), origin=origin)
    return store


def sent(source, *, nbytes=100, data=None, metadata=SECURED, strict=False, zones=(), inject=(), **options):
    """Send once from a to b, and return the result and what was warned of."""

    async def main():
        nodes = [hq.NodeSignature(name, hq.HardwareType.CPU_SERVER, 10, 100) for name in ("a", "b", "m", "n")]
        protocol = hq.HyperFabricProtocol(hq.Fabric(nodes=nodes, zones=zones), key_source=source, strict=strict)
        protocol.inject(*inject)
        contents = secrets.token_bytes(nbytes) if data is None else data
        given = {"encryption_enabled": True, **options}
        return await protocol.send_data(source="a", destination="b", data=contents, metadata=metadata, **given)

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        result = hq.run(main())
    return result, [str(each.message) for each in caught if issubclass(each.category, errors.HyperFabricWarning)]


@pytest.mark.parametrize(
    ("nbytes", "mode", "label", "spent"),
    [
        (100, "auto", ONE_TIME_PAD, 1280),
        (1024, "auto", ONE_TIME_PAD, 8448),
        (1025, "auto", QUANTUM_GCM, 256),
        (1025, "otp", ONE_TIME_PAD, 8704),
        (100, "aes-256-gcm", QUANTUM_GCM, 256),
    ],
)
def test_the_receipt_says_the_mode_and_the_store_has_so_much_less(nbytes, mode, label, spent):
    store = filled(("a", "b"))
    before = store.fresh_bits("a", "b")
    result, warned = sent(store, nbytes=nbytes, metadata={**SECURED, "quantum_mode": mode})
    receipt = result.receipt
    assert (receipt.encryption, receipt.quantum_secured, receipt.trusted_nodes) == (label, True, ())
    assert receipt.wire_bytes == sealed_nbytes(nbytes, label)
    assert (receipt.key_id, warned, receipt.warnings) == ("qkd:1", [], ())
    assert receipt.key_origin == "quantum key distribution (made by secrets)"
    assert before - store.fresh_bits("a", "b") == spent
    assert store.facts("qkd:1").states == ("destroyed", "destroyed")
    assert label in str(receipt)
    assert "qkd:1" in str(receipt)


def test_each_message_has_a_key_of_its_own():
    store = filled(("a", "b"))
    found = [sent(store)[0].receipt.key_id for _ in range(5)]
    assert len(set(found)) == 5


def test_a_simulated_key_says_so_wherever_it_shows():
    store = filled(("a", "b"), origin="simulated, not secret")
    receipt = sent(store)[0].receipt
    shown = [receipt.key_origin, *receipt.warnings, str(receipt), repr(receipt), store.facts("qkd:1").origin]
    assert all("simulated, not secret" in each for each in shown)
    assert receipt.quantum_secured


def test_a_virtual_payload_spends_key_and_says_so():
    store = filled(("a", "b"))
    receipt = sent(store, data=hq.VirtualTensor((10**12,), "float16"))[0].receipt
    assert (receipt.encryption, receipt.quantum_secured) == (QUANTUM_GCM, True)
    small = sent(store, data=hq.VirtualTensor((100,), "uint8"))[0].receipt
    assert small.encryption == ONE_TIME_PAD
    assert any("virtual" in each and "1056 bits" in each for each in small.warnings)
    assert store.fresh_bits("a", "b") == 80_000 // 256 * 256 - 256 - 1280


def test_quantum_secured_implies_encryption_and_false_asks_for_nothing():
    store = filled(("a", "b"))
    assert sent(store, encryption_enabled=False)[0].quantum_secured
    for metadata in (None, {"quantum_secured": False}, {"other": 1}):
        receipt = sent(store, metadata=metadata)[0].receipt
        assert (receipt.encryption, receipt.quantum_secured) == ("aes-256-gcm", False)
        assert receipt.key_origin == "the operating system"
    plain = sent(store, metadata={"quantum_secured": False}, encryption_enabled=False)[0].receipt
    assert (plain.encryption, plain.key_id, plain.quantum_secured) == ("none", None, False)


@pytest.mark.parametrize(
    "wrong",
    [
        {"quantum_secured": "yes"},
        {"quantum_secured": 1},
        {**SECURED, "quantum_mode": "xor"},
        {**SECURED, "quantum_mode": ["otp"]},
        {**SECURED, "trusted_nodes": "m"},
        {**SECURED, "trusted_nodes": [1]},
        {**SECURED, "trusted_nodes": 5},
    ],
)
def test_wrong_metadata_is_refused(wrong):
    with pytest.raises(errors.InvalidValue, match="metadata"):
        sent(filled(("a", "b")), metadata=wrong)


# ---------------------------------------------------------------------------------------------------- no shared key


@pytest.mark.parametrize("made", SOURCES)
def test_without_a_shared_key_it_is_sealed_ordinarily_and_nobody_is_deceived(made):
    source = made()
    result, warned = sent(source)
    receipt = result.receipt
    assert (receipt.encryption, receipt.quantum_secured, result.quantum_secured) == ("aes-256-gcm", False, False)
    assert receipt.key_origin == "the operating system"
    assert len(warned) == 1
    assert "there is none" in warned[0]
    assert "instead" in receipt.warnings[0]


@pytest.mark.parametrize("made", SOURCES)
def test_strict_mode_refuses_and_lists_what_was_tried(made):
    source = made()
    with pytest.raises(errors.QuantumKeyUnavailable) as caught:
        sent(source, strict=True)
    fault = caught.value
    assert (fault.source, fault.destination) == ("a", "b")
    assert len(fault.tried) == (4 if hasattr(source, "reserve_relayed") else 1)
    assert all(each in str(fault) for each in fault.tried)
    assert str(copy.copy(fault)) == str(fault)


def test_a_source_that_leases_other_keys_gets_no_quantum_label():
    class Pretends(OperatingSystemKeys):
        def reserve_relayed(self, a, b, bits, trusted):
            assert trusted == ()
            return self.reserve(a, b, bits)

    result, warned = sent(Pretends())
    assert (result.quantum_secured, result.receipt.encryption) == (False, "aes-256-gcm")
    assert "which is no quantum key" in warned[0]


def test_too_little_for_a_pad_is_enough_for_the_cipher():
    store = filled(("a", "b"), bits=256)
    receipt = sent(store)[0].receipt
    assert (receipt.encryption, receipt.quantum_secured) == (QUANTUM_GCM, True)
    assert not sent(store)[0].quantum_secured
    with pytest.raises(errors.QuantumKeyUnavailable, match="share 0 bits"):
        sent(store, strict=True)


def test_one_warning_per_way_and_every_receipt_tells():
    async def main():
        protocol = hq.HyperFabricProtocol(
            hq.Fabric(nodes=[hq.NodeSignature(name, hq.HardwareType.CPU_SERVER, 10, 100) for name in "abc"])
        )
        sends = [
            protocol.send_data(source="a", destination=end, data=b"x", metadata=SECURED) for end in "bbcc" for _ in "12"
        ]
        return await asyncio.gather(*sends)

    with pytest.warns(errors.HyperFabricWarning) as caught:
        results = hq.run(main())
    assert len(caught) == 2
    assert all("instead" in each.warnings[0] for each in results)


# -------------------------------------------------------------------------------------------------------------- relays


@pytest.mark.parametrize("standing", [False, True])
@pytest.mark.parametrize("nbytes", [10, 5000])
def test_a_relayed_key_names_who_knows_it(standing, nbytes):
    store = filled(("a", "m"), ("m", "n"), ("n", "b"))
    source = TrustedRelays(store, ["m", "n"]) if standing else store
    metadata = SECURED if standing else {**SECURED, "trusted_nodes": ["n", "m"]}
    result, warned = sent(source, metadata=metadata, nbytes=nbytes, strict=True)
    receipt = result.receipt
    assert (receipt.quantum_secured, receipt.trusted_nodes, warned) == (True, ("m", "n"), [])
    assert receipt.key_id == "qkd:1+qkd:2+qkd:3"
    assert any("relayed by m, n" in each for each in receipt.warnings)


def test_nobody_relays_who_was_not_declared_trusted():
    store = filled(("a", "m"), ("m", "b"))
    for metadata in (SECURED, {**SECURED, "trusted_nodes": ["n"]}):
        assert not sent(store, metadata=metadata)[0].quantum_secured
        with pytest.raises(errors.QuantumKeyUnavailable, match="trusted"):
            sent(store, metadata=metadata, strict=True)
    assert store.fresh_bits("a", "m") == store.fresh_bits("m", "b") == 80_000 // 256 * 256


def test_a_key_of_the_two_ends_alone_goes_before_any_relay():
    store = filled(("a", "b"), ("a", "m"), ("m", "b"), bits=256)
    receipt = sent(store, metadata={**SECURED, "trusted_nodes": ["m"]})[0].receipt
    assert (receipt.encryption, receipt.trusted_nodes) == (QUANTUM_GCM, ())  # though a relay could have padded it


# --------------------------------------------------------------------------------------------------------------- zones


def secure_zone(*members, gateway):
    return hq.FabricZone(
        zone_id="z",
        zone_type=hq.ZoneType.QUANTUM_REALM,
        isolation_level=hq.IsolationLevel.QUANTUM_SECURE,
        members=members,
        gateways=(gateway,),
    )


def test_a_quantum_secure_zone_takes_quantum_keys_once_there_is_a_source():
    zones = (secure_zone("a", "m", gateway="a"),)
    result, warned = sent(filled(("a", "b")), metadata=None, zones=zones, strict=True)
    assert result.quantum_secured
    assert (warned, result.warnings) == ([], ())
    with pytest.raises(errors.QuantumKeyUnavailable):
        sent(KeyStore(), metadata=None, zones=zones, strict=True)
    result, _ = sent(KeyStore(), metadata=None, zones=zones)
    assert not result.quantum_secured
    assert any("not from quantum key distribution" in each for each in result.warnings)


# ------------------------------------------------------------------------------------------------- nothing ever shows


def test_what_is_changed_on_the_way_is_refused_and_its_key_is_gone():
    for nbytes in (100, 5000):
        store = filled(("a", "b"))
        with pytest.raises(errors.SealBroken):
            sent(store, nbytes=nbytes, inject=(Corrupt(probability=1.0),))
        assert store.facts("qkd:1").states == ("destroyed", "destroyed")


def test_what_was_opened_is_not_opened_again():
    for nbytes in (100, 5000):
        result, _ = sent(filled(("a", "b")), nbytes=nbytes)
        seal = result._sending.treatment.seal
        assert seal.lease.is_released
        keys = Keys(KeyRing(OperatingSystemKeys()))
        with pytest.raises(errors.KeySpent, match="released"):
            keys.open(seal, corrupted=False)


def test_what_is_lost_is_sent_again_under_the_same_key_and_seal():
    async def main():
        nodes = [hq.NodeSignature(name, hq.HardwareType.CPU_SERVER, 10, 100) for name in "ab"]
        store = filled(("a", "b"))
        protocol = hq.HyperFabricProtocol(hq.Fabric(nodes=nodes), key_source=store, enable_fault_tolerance=True, seed=1)
        protocol.inject(Loss(probability=0.2), Corrupt(probability=0.1), Duplicate(probability=0.3))
        sends = [protocol.send_data(source="a", destination="b", data=b"x", metadata=SECURED) for _ in range(30)]
        return store, await asyncio.gather(*sends)

    store, results = hq.run(main())
    assert sum(each.receipt.retransmissions for each in results) > 5
    assert all(each.quantum_secured and each.payload == b"x" for each in results)
    assert len({each.receipt.key_id for each in results}) == 30
    assert store.fresh_bits("a", "b") == 80_000 // 256 * 256 - 30 * 512


def test_no_key_shows_in_receipts_logs_errors_or_results(caplog):
    class Hidden(list):
        __repr__ = object.__repr__

    store, keys = KeyStore(), Hidden()
    caplog.set_level(logging.DEBUG)
    for pair in (("a", "b"), ("a", "m"), ("m", "b")):
        keys.append(secrets.token_bytes(1056))
        store.deposit(*pair, bytearray(keys[-1]), origin="made by secrets")
    assert repr(keys[0][:6])[2:-1] in repr(keys[0])  # so that the search below would find it
    shown = []
    for nbytes, metadata in ((30, SECURED), (3000, SECURED), (700, {**SECURED, "trusted_nodes": ["m"]})) * 3:
        result, warned = sent(store, nbytes=nbytes, metadata=metadata)
        shown += [repr(result), str(result.receipt), repr(result.receipt), *warned, repr(result._sending.treatment)]
    with pytest.raises(errors.QuantumKeyUnavailable) as caught:
        sent(store, nbytes=2000, metadata={**SECURED, "quantum_mode": "otp"}, strict=True)
    trace = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
    shown += [*trace.format(), caplog.text, repr(store)]
    text = "\n".join(shown)
    for key in keys:
        pieces = [key[at : at + 6] for at in range(len(key) - 6)]
        assert not any(piece.hex() in text or repr(piece)[2:-1] in text for piece in pieces)


def test_a_sealed_message_shows_no_contents():
    payload = payload_of(b"PLAINTEXT-PLAINTEXT")
    lease = lease_of(payload.nbytes, ONE_TIME_PAD)
    sealed = seal_once(header(), payload, lease, mode=ONE_TIME_PAD)
    assert isinstance(sealed, Sealed)
    assert "PLAINTEXT" not in repr(sealed) + repr(lease)
