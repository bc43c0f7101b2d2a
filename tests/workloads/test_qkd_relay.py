"""Trusted nodes pass a key on; what they tell each other is worth nothing to others, and cannot be changed."""

import dataclasses
import secrets

import numpy as np
import pytest

from hyperfabric_q.errors import KeySpent, QuantumKeyUnavailable, SealBroken
from hyperfabric_q.traffic.keys import KeyLease
from hyperfabric_q.workloads.qkd import relay
from hyperfabric_q.workloads.qkd.relay import heard, hop_bits, pass_on, path_of, relayed
from hyperfabric_q.workloads.qkd.source import TrustedRelays
from hyperfabric_q.workloads.qkd.store import KeyStore


def lease_of(a, b, key, key_id="k"):
    return KeyLease(key_id=key_id, a=a, b=b, key=bytearray(key), origin="a test", is_quantum=True)


def line(*hops, origin="made by secrets"):
    """A store with one deposit per hop, and the bytes of each."""
    store, keys = KeyStore(), {}
    for a, b, bits in hops:
        keys[a, b] = secrets.token_bytes(bits // 8)
        store.deposit(a, b, bytearray(keys[a, b]), origin=origin)
    return store, keys


def test_what_is_announced_is_the_sum_of_two_hops_keys_and_gives_the_first_back():
    first, second = secrets.token_bytes(48), secrets.token_bytes(32 + 48)
    hop = lease_of("m", "b", second)
    said = pass_on(bytearray(first), hop, "m")
    assert (said.sender, said.receiver, said.key_id) == ("m", "b", "k")
    assert said.body == bytes(x ^ y for x, y in zip(first, second[32:], strict=True))
    assert heard(said, hop) == first
    with pytest.raises(KeySpent):
        pass_on(bytearray(first), hop, "m")
    assert first.hex() not in repr(said)
    assert repr(said.body)[2:10] not in repr(said)


def test_no_changed_announcement_is_believed():
    rng = np.random.default_rng(4)
    hop = lease_of("m", "b", secrets.token_bytes(80))
    said = pass_on(bytearray(secrets.token_bytes(48)), hop, "m")
    believed = 0
    for _ in range(2000):
        name = ("body", "tag")[rng.integers(2)]
        blob = bytearray(getattr(said, name))
        if rng.integers(3):
            blob[rng.integers(len(blob))] ^= 1 << int(rng.integers(8))
        else:
            blob = blob[: rng.integers(len(blob))] if rng.integers(2) else blob + bytes(1 + int(rng.integers(4)))
        try:
            heard(dataclasses.replace(said, **{name: bytes(blob)}), hop)
            believed += 1
        except SealBroken:
            pass
    for change in ({"sender": "b", "receiver": "m"}, {"sender": "x"}, {"key_id": "other"}):
        with pytest.raises(SealBroken):
            heard(dataclasses.replace(said, **change), hop)
    assert believed == 0


def test_the_ends_have_the_first_hops_key_and_every_hop_has_paid():
    store, keys = line(("a", "m", 2560), ("m", "n", 2560), ("n", "b", 2560))
    lease = relayed(store, "a", "b", 512, ["n", "m"])
    assert bytes(lease.use("test")) == keys["a", "m"][:64]
    assert (lease.pair, lease.trusted, lease.is_quantum, lease.bits) == (("a", "b"), ("m", "n"), True, 512)
    assert lease.key_id == "qkd:1+qkd:2+qkd:3"
    assert "relayed over 3 hops" in lease.origin
    left = [store.fresh_bits(*hop) for hop in keys]
    assert left == [2560 - 512, 2560 - 768, 2560 - 768]
    assert all(store.facts(f"qkd:{hop}").states == ("destroyed", "destroyed") for hop in (1, 2, 3))


def test_the_way_is_named_from_the_first_end_asked_for():
    store, keys = line(("b", "n", 2560), ("m", "n", 2560), ("a", "m", 2560))
    lease = relayed(store, "b", "a", 256, ["m", "n"])
    assert lease.trusted == ("n", "m")
    assert bytes(lease.use("test")) == keys["b", "n"][:32]


def test_one_simulated_hop_makes_the_key_simulated():
    store, _ = line(("a", "m", 2560))
    store.deposit("m", "b", bytearray(64), origin="simulated, not secret")
    assert "simulated, not secret" in relayed(store, "a", "b", 256, ["m"]).origin


def test_the_fewest_hops_are_taken_and_only_over_trusted_nodes_with_key_enough():
    store, _ = line(
        ("a", "m", 512), ("m", "b", 512), ("a", "n", 2560), ("n", "o", 2560), ("o", "b", 2560), ("a", "b", 256)
    )
    everybody = ["m", "n", "o", "a", "b"]
    assert path_of(store, "a", "b", 256, everybody) == ("a", "m", "b")
    assert path_of(store, "a", "b", 512, everybody) == ("a", "n", "o", "b")  # m would need 768 bits to b
    assert path_of(store, "a", "b", 2560, everybody) is None
    assert path_of(store, "a", "b", 256, ["n"]) is None
    assert path_of(store, "a", "b", 256, []) is None


def test_a_relay_that_cannot_be_spends_nothing():
    store, keys = line(("a", "m", 2560), ("m", "b", 256))
    for trusted, match in ((["m"], "every hop"), ([], "no node is declared trusted"), (["a", "b"], "no node")):
        with pytest.raises(QuantumKeyUnavailable, match=match):
            store.reserve_relayed("a", "b", 256, trusted)
    assert [store.fresh_bits(*hop) for hop in keys] == [2560, 256]


def test_standing_trust_adds_to_what_is_named():
    store, _ = line(("a", "m", 2560), ("m", "n", 2560), ("n", "b", 2560))
    source = TrustedRelays(store, ["m", "m"])
    assert source.trusted == ("m",)
    with pytest.raises(QuantumKeyUnavailable):
        source.reserve_relayed("a", "b", 256, ())
    assert source.reserve_relayed("a", "b", 256, ("n",)).trusted == ("m", "n")
    with pytest.raises(QuantumKeyUnavailable):
        source.reserve("a", "b", 256)
    assert "m" in repr(source)


def test_hops_need_what_their_tags_need():
    assert (hop_bits(512, first=True), hop_bits(512, first=False)) == (512, 768)


def test_a_changed_announcement_leaves_no_key_behind(monkeypatch):
    store, _ = line(("a", "m", 2560), ("m", "b", 2560))
    honest = relay.pass_on

    def bent(secret, hop, sender):
        said = honest(secret, hop, sender)
        return dataclasses.replace(said, body=bytes([said.body[0] ^ 1]) + said.body[1:])

    monkeypatch.setattr(relay, "pass_on", bent)
    with pytest.raises(SealBroken):
        store.reserve_relayed("a", "b", 256, ["m"])
    assert all(store.facts(f"qkd:{hop}").states == ("destroyed", "destroyed") for hop in (1, 2))
