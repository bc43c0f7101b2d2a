"""A key is handed out once at each end, whatever happens in between, and shows nowhere."""

import copy
import gc
import json
import os
import pickle
import secrets
import sqlite3
import subprocess
import sys
import textwrap
import threading
import traceback
from collections import Counter
from contextlib import closing

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from hyperfabric_q.errors import (
    InvalidValue,
    KeySpent,
    QuantumKeyUnavailable,
    SecurityRefused,
    StoreUnreadable,
    UnknownName,
)
from hyperfabric_q.traffic.keys import KeyRing, QuantumKeySource
from hyperfabric_q.traffic.packet import DataType
from hyperfabric_q.traffic.sealing import ONE_TIME_PAD, Header, ReplayGuard, open_once, seal_once
from hyperfabric_q.workloads.qkd import store as store_module
from hyperfabric_q.workloads.qkd import store_file
from hyperfabric_q.workloads.qkd.source import TrustedRelays
from hyperfabric_q.workloads.qkd.store import KeyStore

STORE_KEY = bytes(range(32))
PHRASE = "correct horse battery staple"
REAL = "made by secrets"


def filled(bits=2560, a="a", b="b", **options):
    """A store in memory, and the bytes that were put in."""
    store, key = KeyStore(), secrets.token_bytes(bits // 8)
    store.deposit(a, b, bytearray(key), origin=REAL, **options)
    return store, key


def read(lease):
    return bytes(lease.view_to_open("test") if lease.opens_only else lease.use("test"))


# ------------------------------------------------------------------------------------------------- both ends, one key


def test_both_ends_get_the_same_bytes_in_the_order_of_the_deposit():
    store, key = filled(2560)
    leases = store.get_key("b", "a", number=3, size=512)
    assert b"".join(map(read, leases)) == key[: 3 * 64]
    others = store.get_key_with_ids("a", "b", [each.key_id for each in reversed(leases)])
    assert [read(each) for each in others] == [read(each) for each in reversed(leases)]
    assert len({each.key_id for each in leases}) == 3
    assert store.fresh_bits("b", "a") == 2560 - 3 * 512
    assert read(store.reserve("a", "b", 256)) == key[192:224]


def test_the_status_has_the_names_and_numbers_of_the_standard():
    store, _ = filled(2600)
    status = store.get_status("a", "b").to_dict()
    names = "source_KME_ID target_KME_ID master_SAE_ID slave_SAE_ID key_size stored_key_count max_key_count"
    names += " max_key_per_request max_key_size min_key_size max_SAE_ID_count"
    assert list(status) == names.split()
    assert (status["stored_key_count"], status["key_size"], status["slave_SAE_ID"]) == (10, 256, "b")
    assert json.loads(json.dumps(status)) == status
    assert store.get_status("a", "stranger").stored_key_count == 0


@pytest.mark.parametrize("size", [64, 72, 256, 264, 1000, 2560])
def test_a_key_has_the_bits_asked_for_and_spends_whole_pieces(size):
    store, key = filled(2560)
    (lease,) = store.get_key("a", "b", size=size)
    assert (lease.bits, read(lease)) == (size, key[: size // 8])
    assert store.fresh_bits("a", "b") == 2560 - 256 * -(-size // 256)


def test_states_go_one_way():
    store, _ = filled()
    (mine,) = store.get_key("b", "a")
    key_id = mine.key_id
    seen = [store.facts(key_id).states]
    (theirs,) = store.get_key_with_ids("a", "b", [key_id])
    seen.append(store.facts(key_id).states)
    mine.release()
    seen.append(store.facts(key_id).states)
    theirs.release()
    theirs.release()
    seen.append(store.facts(key_id).states)
    assert seen == [
        ("reserved", "consumed"),
        ("consumed", "consumed"),
        ("consumed", "destroyed"),
        ("destroyed", "destroyed"),
    ]
    (unfetched,) = store.get_key("a", "b")
    store.destroy(unfetched.key_id)
    assert store.facts(unfetched.key_id).states == ("consumed", "destroyed")
    with pytest.raises(KeySpent, match="destroyed"):
        store.get_key_with_ids("b", "a", [unfetched.key_id])


def test_a_key_is_fetched_once_and_by_its_two_ends_only():
    store, _ = filled()
    (lease,) = store.get_key("a", "b")
    with pytest.raises(UnknownName):
        store.get_key_with_ids("c", "a", [lease.key_id])
    for wrong in ("qkd:2", "qkd:x", "", "qkd:-1", "qkd:" + "9" * 40, "qkd:²"):
        with pytest.raises(UnknownName):
            store.get_key_with_ids("b", "a", [wrong])
    with pytest.raises(KeySpent, match="consumed"):
        store.get_key_with_ids("a", "b", [lease.key_id])  # the end that has it
    store.get_key_with_ids("b", "a", [lease.key_id])
    with pytest.raises(KeySpent, match="fetched once"):
        store.get_key_with_ids("b", "a", [lease.key_id])


def test_all_or_none():
    store, _ = filled(1024)
    with pytest.raises(QuantumKeyUnavailable, match="share 1024 bits, and it takes 1280"):
        store.get_key("a", "b", number=5)
    assert store.fresh_bits("a", "b") == 1024
    one, two = store.get_key("a", "b", number=2)
    store.get_key_with_ids("b", "a", [two.key_id])
    with pytest.raises(KeySpent):
        store.get_key_with_ids("b", "a", [one.key_id, two.key_id])
    assert store.facts(one.key_id).states == ("consumed", "reserved")


def test_a_reserved_key_serves_both_ends_and_says_where_it_came_from():
    store, key = filled(epsilon=1e-10)
    store.deposit("b", "a", bytearray(secrets.token_bytes(64)), origin="simulated, not secret", epsilon=2e-10)
    with store.reserve("b", "a", 2304) as real:
        assert read(real) == key[:288]
        assert (real.is_quantum, real.trusted, real.pair) == (True, (), ("a", "b"))
        assert real.origin == f"quantum key distribution ({REAL})"
    mixed = store.reserve("a", "b", 512)  # one piece of each deposit
    assert mixed.origin == "quantum key distribution (simulated, not secret)"
    assert store.facts(mixed.key_id).epsilon == pytest.approx(3e-10)
    assert isinstance(store, QuantumKeySource)
    assert isinstance(TrustedRelays(store, ["m"]), QuantumKeySource)


def test_a_ring_of_keys_takes_a_store_for_its_source():
    store, key = filled()
    with KeyRing(store).lease("a", "b") as lease:
        assert read(lease) == key[:32]


def test_keys_that_differ_at_the_two_ends_are_not_deposited():
    store, mine, theirs = KeyStore(), bytearray(b"\1" * 64), bytearray(b"\1" * 63 + b"\2")
    with pytest.raises(SecurityRefused, match="differ"):
        store.deposit("a", "b", mine, other=theirs, origin=REAL)
    assert not any(mine + theirs)
    assert store.fresh_bits("a", "b") == 0
    assert store.deposit("a", "b", bytearray(b"\1" * 70), other=bytearray(b"\1" * 70), origin=REAL) == 512


def test_what_only_one_end_holds_is_no_key():
    store, _ = filled(512)
    store._vault.connection.execute("DELETE FROM grain WHERE end = 1 AND place = 0")
    assert store.fresh_bits("a", "b") == 256
    (lease,) = store.get_key("a", "b")
    store._vault.connection.execute("DELETE FROM grain WHERE end = 1")
    with pytest.raises(KeySpent, match="one end does not hold it"):
        store.get_key_with_ids("b", "a", [lease.key_id])


@pytest.mark.parametrize("given", [b"\1" * 32, memoryview(b"\1" * 32), "key", None, bytearray(31)])
def test_what_cannot_be_overwritten_or_is_too_short_is_not_deposited(given):
    with pytest.raises(InvalidValue, match="key"):
        KeyStore().deposit("a", "b", given, origin=REAL)


@pytest.mark.parametrize(
    "wrong",
    [
        {"origin": ""},
        {"origin": 5},
        {"origin": "x" * 101},
        {"origin": "a\nb"},
        {"epsilon": -1},
        {"epsilon": float("nan")},
        {"epsilon": True},
        {"other": b"\1" * 32},
    ],
)
def test_wrong_labels_are_refused_and_the_key_is_overwritten(wrong):
    key = bytearray(b"\1" * 32)
    with pytest.raises(InvalidValue):
        KeyStore().deposit("a", "b", key, **{"origin": REAL, **wrong})
    assert not any(key)


@pytest.mark.parametrize(
    "ask",
    [
        lambda store: store.get_key("a", "b", number=0),
        lambda store: store.get_key("a", "b", number=129),
        lambda store: store.get_key("a", "b", number=True),
        lambda store: store.get_key("a", "b", size=12),
        lambda store: store.get_key("a", "b", size=56),
        lambda store: store.get_key("a", "b", size=2**20 + 8),
        lambda store: store.get_key("a", "a"),
        lambda store: store.get_key("a", "../b"),
        lambda store: store.get_key_with_ids("a", "b", "qkd:1"),
        lambda store: store.get_key_with_ids("a", "b", []),
        lambda store: store.get_key_with_ids("a", "b", ["qkd:1", "qkd:1"]),
        lambda store: store.get_key_with_ids("a", "b", [["qkd:1"]]),
        lambda store: store.reserve("a", "b", 0),
        lambda store: store.reserve("a", "b", 257),
        lambda store: store.reserve("a", "b", 256.0),
        lambda store: store.get_status("a", 5),
        lambda _: KeyStore(key=b"short"),
        lambda _: KeyStore(passphrase=""),
        lambda _: KeyStore(key=STORE_KEY, passphrase=PHRASE),
        lambda _: KeyStore("somewhere.db"),
        lambda store: TrustedRelays(store, "m"),
        lambda store: TrustedRelays(store, ["../m"]),
        lambda _: TrustedRelays(5, ["m"]),
    ],
)
def test_impossible_requests_are_refused(ask):
    with pytest.raises(InvalidValue):
        ask(filled()[0])


def test_the_store_has_a_limit(monkeypatch):
    monkeypatch.setattr(store_module, "MOST_KEYS", 10)
    store, _ = filled(2560)
    with pytest.raises(InvalidValue, match="at most 10 keys"):
        store.deposit("b", "a", bytearray(32), origin=REAL)
    assert store.fresh_bits("a", "b") == 2560


# -------------------------------------------------------------------------------------------------------- state machine


class UseOnce(RuleBasedStateMachine):
    """Fetch, release, destroy, reopen in any order: no end is ever given a byte twice, and the ends agree."""

    @initialize()
    def begin(self):
        self.folder = __import__("tempfile").TemporaryDirectory()
        self.path = f"{self.folder.name}/keys.db"
        self.store = KeyStore(self.path, key=STORE_KEY)
        self.put, self.got, self.left = 0, {"a": Counter(), "b": Counter()}, 0
        self.half, self.bytes_of, self.leases = {}, {}, []

    def handed(self, end, key):
        for at in range(0, len(key), 32):
            self.got[end][key[at : at + 32]] += 1

    @rule(pieces=st.integers(1, 6))
    def deposit(self, pieces):
        # Each piece says its number, so that no two are alike.
        key = b"".join((self.put + at).to_bytes(32, "big") for at in range(pieces))
        self.put += pieces
        self.left += pieces
        self.store.deposit("a", "b", bytearray(key), origin=REAL)

    @rule(master=st.sampled_from("ab"), number=st.integers(1, 3), pieces=st.integers(1, 2))
    def get_key(self, master, number, pieces):
        slave = "ab".replace(master, "")
        if number * pieces > self.left:
            with pytest.raises(QuantumKeyUnavailable):
                self.store.get_key(master, slave, number=number, size=256 * pieces)
            return
        self.left -= number * pieces
        for lease in self.store.get_key(master, slave, number=number, size=256 * pieces):
            self.handed(master, read(lease))
            self.half[lease.key_id] = slave
            self.bytes_of[lease.key_id] = read(lease)
            self.leases.append(lease)

    @rule(pick=st.integers(0, 20))
    def get_key_with_ids(self, pick):
        if not self.bytes_of:
            return
        key_id = sorted(self.bytes_of)[pick % len(self.bytes_of)]
        slave = self.half.pop(key_id, None)
        for end in "ab":
            master = "ab".replace(end, "")
            if end != slave:
                with pytest.raises(KeySpent):
                    self.store.get_key_with_ids(end, master, [key_id])
        if slave is not None:
            (lease,) = self.store.get_key_with_ids(slave, "ab".replace(slave, ""), [key_id])
            assert read(lease) == self.bytes_of[key_id]
            self.handed(slave, read(lease))
            lease.release()

    @rule()
    def reserve(self):
        if not self.left:
            with pytest.raises(QuantumKeyUnavailable):
                self.store.reserve("a", "b", 256)
            return
        self.left -= 1
        with self.store.reserve("a", "b", 256) as lease:
            key = read(lease)
        self.handed("a", key)
        self.handed("b", key)
        assert self.store.facts(lease.key_id).states == ("destroyed", "destroyed")

    @rule(pick=st.integers(0, 20))
    def destroy(self, pick):
        if self.half:
            key_id = sorted(self.half)[pick % len(self.half)]
            self.store.destroy(key_id)
            del self.half[key_id]

    @rule()
    def reopen(self):
        self.store.close()
        with pytest.raises(KeySpent, match="closed"):
            self.store.reserve("a", "b", 256)
        self.store = KeyStore(self.path, key=STORE_KEY)
        for lease in self.leases:
            assert "consumed" not in self.store.facts(lease.key_id).states

    @invariant()
    def nothing_comes_twice(self):
        if hasattr(self, "store"):
            assert all(count == 1 for got in self.got.values() for count in got.values())
            assert self.store.fresh_bits("a", "b") == 256 * self.left

    def teardown(self):
        if hasattr(self, "store"):
            self.store.close()
            self.folder.cleanup()


UseOnce.TestCase.settings = settings(max_examples=15, stateful_step_count=25, deadline=None, derandomize=True)
TestUseOnce = UseOnce.TestCase


class TestUseOnceLong(UseOnce.TestCase):
    pytestmark = pytest.mark.slow
    settings = settings(max_examples=150, stateful_step_count=50, deadline=None, derandomize=True)


def test_threads_share_a_store_and_no_key():
    store, _ = filled(256 * 120)
    found = []

    def work():
        found.extend(read(store.reserve("a", "b", 256)) for _ in range(30))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert len(set(found)) == len(found) == 120


# ---------------------------------------------------------------------------------------------------------------- crash

CRASH = """
    import os, signal, sys
    from hyperfabric_q.workloads.qkd import store as module
    from hyperfabric_q.workloads.qkd.store import KeyStore
    path, key = sys.argv[1], bytes(range(32))

    def step(at, work):
        "Do the work in a child that is killed at its SQL statement number `at`, or if 0 right after the last one."
        read_end, write_end = os.pipe()
        child = os.fork()
        if child == 0:
            store = KeyStore(path, key=key)
            left = [at]
            def count(statement):
                left[0] -= 1
                if left[0] == 0:
                    os.kill(os.getpid(), signal.SIGKILL)
            store._vault.connection.set_trace_callback(count)
            if at == 0:
                module._Lease = lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL)
            for lease in work(store):
                os.write(write_end, lease.key_id.encode() + b" " + bytes(lease.use("test")).hex().encode() + b"\\n")
            os.kill(os.getpid(), signal.SIGKILL)  # without closing
        os.close(write_end)
        with os.fdopen(read_end) as told:
            lines = told.read().split("\\n")[:-1]
        os.waitpid(child, 0)
        return [tuple(line.split()) for line in lines]

    works = (lambda s: s.get_key("a", "b", number=2), lambda s: (s.reserve("a", "b", 512),))
    with KeyStore(path, key=key) as store:
        total = 400
        store.deposit("a", "b", bytearray(b"".join(n.to_bytes(32, "big") for n in range(total))), origin="made")
    given, bits = [], total * 256
    for work in works:
        for at in range(24):
            got = step(at, work)
            given += got
            with KeyStore(path, key=key) as store:
                now = store.fresh_bits("a", "b")
                assert bits - now in (0, 512), (at, bits, now)
                assert not got or bits - now == 512
                bits = now
    for _, text in given:
        assert len(text) in (64, 128)
    pieces = [text[at : at + 64] for _, text in given for at in range(0, len(text), 64)]
    with KeyStore(path, key=key) as store:
        reserved = store._vault.connection.execute("SELECT id FROM key WHERE state_b = 'reserved'").fetchall()
        known = {f"qkd:{serial}" for (serial,) in reserved}
        for key_id, text in given:
            if key_id in known:  # the other end may still fetch what the dead one was given
                (lease,) = store.get_key_with_ids("b", "a", [key_id])
                assert bytes(lease.view_to_open("test")).hex() == text
        states = store._vault.connection.execute("SELECT state_a FROM key").fetchall()
        assert {state for (state,) in states} <= {"destroyed"}, states
        left = store.fresh_bits("a", "b") // 256
        pieces += [bytes(store.reserve("a", "b", 256).use("test")).hex() for _ in range(left)]
    assert len(set(pieces)) == len(pieces) <= total
    print(len(given), total - len(pieces))
"""


def test_killed_at_any_step_of_get_key_it_loses_keys_and_doubles_none(tmp_path):
    script = tmp_path / "crash.py"
    script.write_text(textwrap.dedent(CRASH))
    done = subprocess.run(
        [sys.executable, str(script), str(tmp_path / "keys.db")],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    given, lost = map(int, done.stdout.split())
    assert given > 10  # some ran to their end,
    assert lost >= 2  # and some were killed after the deletion


# ------------------------------------------------------------------------------------------------------------- the file


def test_no_key_and_no_passphrase_stands_in_the_file(tmp_path, monkeypatch):
    monkeypatch.setattr(store_file, "SCRYPT_N", 2**12)
    path = tmp_path / "keys.db"
    keys = [secrets.token_bytes(640) for _ in range(3)]
    files = []
    with KeyStore(path, passphrase=PHRASE) as store:
        for key in keys:
            store.deposit("a", "b", bytearray(key), origin=REAL)
        taken = [store.reserve("a", "b", 512), *store.get_key("a", "b", number=5)]
        for lease in taken:
            read(lease)
        files += [each.read_bytes() for each in tmp_path.iterdir()]  # with the write-ahead log
    files += [each.read_bytes() for each in tmp_path.iterdir()]
    assert len(files) >= 3
    blob = b"".join(files)
    assert b"quantum key distribution" in blob  # what is no secret can be read
    pieces = {key[at : at + 8] for key in keys for at in range(len(key) - 8)}
    windows = {blob[at : at + 8] for at in range(len(blob) - 8)}
    assert not pieces & windows
    assert b"correct horse" not in blob
    assert path.stat().st_mode & 0o077 == 0


def test_only_its_own_key_opens_a_file(tmp_path, monkeypatch):
    monkeypatch.setattr(store_file, "SCRYPT_N", 2**12)
    monkeypatch.setattr(store_file, "BUSY_S", 0.05)
    path = tmp_path / "keys.db"
    with KeyStore(path, passphrase=PHRASE) as store:
        store.deposit("a", "b", bytearray(b"\7" * 64), origin=REAL)
        with pytest.raises(StoreUnreadable, match="another KeyStore"):
            KeyStore(path, passphrase=PHRASE)
    for wrong in ({"passphrase": "two"}, {"key": STORE_KEY}):
        with pytest.raises(StoreUnreadable, match="another one"):
            KeyStore(path, **wrong)
    with KeyStore(path, passphrase=PHRASE) as store:
        assert read(store.reserve("a", "b", 512)) == b"\7" * 64


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE block SET label = 'a real quantum link'",
        "UPDATE block SET epsilon = 0.0",
        "UPDATE block SET b = 'c'",
        "UPDATE grain SET sealed = (SELECT sealed FROM grain WHERE place = 1 AND end = 0) WHERE place = 0 AND end = 0",
        "UPDATE grain SET sealed = x'00'",
        "UPDATE grain SET sealed = zeroblob(60)",
    ],
)
def test_a_changed_moved_or_relabelled_key_is_refused(change):
    store = KeyStore()
    store.deposit("a", "b", bytearray(secrets.token_bytes(96)), origin="simulated, not secret", epsilon=1e-9)
    store._vault.connection.execute(change)
    ends = ("a", "c") if "'c'" in change else ("a", "b")
    with pytest.raises(StoreUnreadable, match="altered"):
        store.reserve(*ends, 256)
    with pytest.raises(StoreUnreadable):
        store.get_key(*ends)


def test_halves_that_differ_are_refused():
    store = KeyStore()
    store.deposit("a", "b", bytearray(32), origin=REAL)
    store.deposit("a", "b", bytearray(b"\1" * 32), origin=REAL)
    store._vault.connection.execute("DELETE FROM grain WHERE block = 1 AND end = 1")
    bound = store_file.bound_to("a", "b", REAL, 0.0, (2, 0, 1))
    nonce = bytes(12)
    forged = nonce + AESGCM(store._vault._key).encrypt(nonce, b"\2" * 32, bound)
    store._vault.connection.execute("UPDATE grain SET sealed = ? WHERE block = 2 AND end = 1", (forged,))
    with pytest.raises(SecurityRefused, match="different bytes"):
        store.reserve("a", "b", 256)
    assert store.fresh_bits("a", "b") == 256  # nothing happened


def test_files_that_are_no_stores_are_refused_and_left_alone(tmp_path):
    text, other = tmp_path / "text", tmp_path / "other.db"
    text.write_text("hello " * 500)
    connection = sqlite3.connect(other)
    with connection:
        connection.execute("CREATE TABLE mine (x)")
    connection.close()
    (tmp_path / "short").write_bytes(b"SQLite")
    for path in (text, other, tmp_path / "short"):
        before = path.read_bytes()
        with pytest.raises(StoreUnreadable):
            KeyStore(path, key=STORE_KEY)
        assert path.read_bytes() == before
    for nowhere in (tmp_path, tmp_path / "no" / "keys.db", "a\0b"):
        with pytest.raises(StoreUnreadable):
            KeyStore(nowhere, key=STORE_KEY)


def test_a_newer_store_is_refused(tmp_path):
    path = tmp_path / "keys.db"
    with KeyStore(path, key=STORE_KEY) as store:
        store._vault.connection.execute("PRAGMA user_version = 9")
    with pytest.raises(StoreUnreadable, match="version 9"):
        KeyStore(path, key=STORE_KEY)


# --------------------------------------------------------------------------------------------------- nothing ever shows


def test_given_and_released_keys_are_overwritten():
    store, key = KeyStore(), bytearray(b"\5" * 64)
    store.deposit("a", "b", key, origin=REAL)
    assert not any(key)
    lease = store.reserve("a", "b", 200)
    view = lease.use("test")
    assert bytes(view) == b"\5" * 25
    lease.release()
    assert not any(view)
    lost = store.reserve("a", "b", 256)
    key_id = lost.key_id
    del lost
    gc.collect()
    assert store.facts(key_id).states == ("destroyed", "destroyed")
    master = store._vault._key
    store.close()
    store.close()
    assert not any(master)


def test_no_text_no_pickle_and_no_trace_shows_a_key(tmp_path, monkeypatch):
    monkeypatch.setattr(store_file, "BUSY_S", 0.05)
    secret = b"SECRET-KEY-BYTES-SECRET-KEY-BYTE"
    store = KeyStore(tmp_path / "keys.db", key=b"SECRET-STORE-KEY-SECRET-STORE-KE")
    store.deposit("a", "b", bytearray(secret * 4), origin=REAL)
    (lease,) = store.get_key("a", "b")
    held = [store, lease, TrustedRelays(store, ["m"]), store._vault]
    shown = [text for each in held for text in (repr(each), str(each), repr([each]), f"{each!r}")]
    shown += [repr(store.facts(lease.key_id)), json.dumps(store.get_status("a", "b").to_dict())]

    def damaged():
        store._vault.connection.execute("UPDATE grain SET sealed = zeroblob(60) WHERE end = 1 AND place = 2")
        store.reserve("a", "b", 768)

    attempts = [
        lambda: store.get_key("a", "b", number=9),
        lambda: store.get_key_with_ids("a", "b", [lease.key_id]),
        damaged,
        lambda: store.deposit("a", "a", bytearray(b"SECRET" * 9), origin=REAL),
        lambda: KeyStore(tmp_path / "keys.db", key=bytes(32)),
        lambda: KeyStore(tmp_path / "keys.db", key=b"SECRET"),
        lambda: KeyStore(tmp_path / "keys.db", passphrase=b"SECRET"),
        lambda: copy.copy(store),
        lambda: copy.deepcopy(lease),
        lambda: pickle.dumps(store),
        lambda: pickle.dumps(lease),
        lambda: pickle.dumps(TrustedRelays(store, ["m"])),
        lambda: json.dumps(lease),
        lambda: json.dumps(lease, default=lambda each: each.__dict__),
    ]
    for attempt in attempts:
        with pytest.raises((SecurityRefused, InvalidValue, StoreUnreadable, TypeError, AttributeError)) as raised:
            attempt()
        trace = traceback.TracebackException.from_exception(raised.value, capture_locals=True)
        # Frames of the library; this test's own local variables are not the library's.
        frames = [frame for frame in trace.stack if "hyperfabric_q" in frame.filename and "tests" not in frame.filename]
        shown += [str(raised.value), *(str(frame.locals) for frame in frames)]
    assert len(shown) > 40
    assert not [each for each in shown if "SECRET" in each or b"SECRET".hex() in each]
    store.close()
    assert repr(store).endswith("closed>")


def test_the_half_that_is_fetched_by_id_opens_what_the_other_sealed_and_seals_nothing():
    store, _ = filled()
    (mine,) = store.get_key("a", "b", size=512)
    (theirs,) = store.get_key_with_ids("b", "a", [mine.key_id])
    there, back = (
        Header(source=x, destination=y, data_type=DataType.KEY, sequence=1) for x, y in (("a", "b"), ("b", "a"))
    )
    with pytest.raises(KeySpent, match="other end seals"):
        seal_once(back, b"mine too", theirs, mode=ONE_TIME_PAD)
    with pytest.raises(KeySpent):
        theirs.nonce("b")
    assert open_once(there, seal_once(there, b"hello", mine, mode=ONE_TIME_PAD), theirs, ReplayGuard()) == b"hello"
    with pytest.raises(InvalidValue, match="below"):
        store.reserve("a", "b", 8 * 10**21)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are not forked here")
def test_a_forked_process_has_no_use_of_a_lease():
    store, _ = filled()
    lease = store.reserve("a", "b", 256)
    child = os.fork()
    if not child:
        try:
            lease.use("test")
        except KeySpent:
            os._exit(7)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
    assert len(lease.use("test")) == 32


def test_a_key_that_was_relabelled_in_the_file_is_refused(tmp_path):
    path, secret = tmp_path / "keys.db", secrets.token_bytes(32)
    with KeyStore(path, key=secret) as store:
        store.deposit("a", "b", bytearray(64), origin="simulated, not secret")
        (mine,) = store.get_key("a", "b")
    with closing(sqlite3.connect(path)) as file, file:
        file.execute("UPDATE key SET origin = 'quantum key distribution (fibre)', epsilon = 0")
    with KeyStore(path, key=secret) as store, pytest.raises(SecurityRefused, match="not what was deposited"):
        store.get_key_with_ids("b", "a", [mine.key_id])
