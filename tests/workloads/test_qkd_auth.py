"""Tags over a session: what they reject, what they spend, and that their keys do not show."""

import copy
import pickle

import pytest
from cryptography.hazmat.primitives.poly1305 import Poly1305
from hypothesis import given, settings
from hypothesis import strategies as st

from hyperfabric_q.errors import InvalidValue, KeySpent, SealBroken
from hyperfabric_q.workloads.qkd.authentication import AuthenticationKeys, Record, Tag, forgery_bound

KEY = bytes(range(64))


def both():
    return AuthenticationKeys(KEY), AuthenticationKeys(KEY)


def test_the_tag_is_poly1305_of_the_record_under_the_next_key():
    alice, bob = both()
    record = Record()
    record.add("alice", b"abc")
    text = b"hyperfabric_q qkd session 1" + bytes(8) + b"A" + (3).to_bytes(8, "big") + b"abc"
    tag = alice.tag(record)
    assert tag == Tag(serial=0, mac=Poly1305.generate_tag(KEY[:32], text))
    bob.check(record, tag)
    assert (alice.remaining, alice.serial, bob.remaining) == (1, 1, 1)


changes = st.one_of(
    st.tuples(st.just("flip"), st.integers(0, 2), st.integers(0, 7)),
    st.tuples(st.just("drop"), st.integers(0, 2), st.just(0)),
    st.tuples(st.just("repeat"), st.integers(0, 2), st.just(0)),
    st.tuples(st.just("swap"), st.integers(0, 1), st.just(0)),
    st.tuples(st.just("move"), st.integers(0, 1), st.just(0)),
    st.tuples(st.just("sender"), st.integers(0, 2), st.just(0)),
)


@settings(deadline=None, derandomize=True, max_examples=80)
@given(changes)
def test_no_changed_record_is_accepted(change):
    said = [("bob", b"bases"), ("alice", b"same"), ("bob", b"shown")]
    heard = list(said)
    kind, place, bit = change
    sender, data = heard[place]
    if kind == "flip":
        heard[place] = (sender, bytes([data[0] ^ 1 << bit]) + data[1:])
    elif kind == "drop":
        del heard[place]
    elif kind == "repeat":
        heard.insert(place, heard[place])
    elif kind == "swap":
        heard[place : place + 2] = heard[place : place + 2][::-1]
    elif kind == "move":  # the border between two messages
        heard[place : place + 2] = [(sender, data[:-1]), (heard[place + 1][0], data[-1:] + heard[place + 1][1])]
    else:
        heard[place] = ("alice" if sender == "bob" else "bob", data)
    alice, bob = both()
    hers, his = Record(), Record()
    for each in said:
        hers.add(*each)
    for each in heard:
        his.add(*each)
    with pytest.raises(SealBroken, match="was changed"):
        bob.check(his, alice.tag(hers))


def test_a_key_serves_once_and_its_end_is_said():
    alice, bob = both()
    old = alice.tag([b"x"])
    bob.check([b"x"], old)
    alice.tag([b"y"])
    with pytest.raises(KeySpent, match="key 0, which has served"):
        bob.check([b"x"], old)
    with pytest.raises(KeySpent, match="all 2 keys are spent"):
        alice.tag([b"z"])
    alice.refill(bytes(32))
    assert alice.tag([b"z"]).serial == 2


def test_a_tag_ahead_of_its_turn_is_rejected():
    alice, bob = both()
    alice.tag([b"lost on the way"])
    with pytest.raises(SealBroken):
        bob.check([b"x"], alice.tag([b"x"]))


def test_keys_do_not_show_and_cannot_be_copied():
    alice, _ = both()
    alice.refill(b"\xaa" * 32)
    assert repr(alice) == "<AuthenticationKeys: 3 left, 0 spent>"
    for copied in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(KeySpent, match="never copied"):
            copied(alice)
    alice.close()
    assert alice.remaining == alice.bits == 0


def test_parts_of_keys_are_refused():
    with pytest.raises(InvalidValue, match="33 bytes"):
        AuthenticationKeys(bytes(33))


def test_the_bound_on_forgeries_counts_blocks():
    assert forgery_bound(16) == 8 / 2**106
    assert forgery_bound(17) == 16 / 2**106
