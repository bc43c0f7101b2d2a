"""Very many sends at once, as columns.

They are messages like any other. As long as nothing else is sent meanwhile, their history is a recurrence over sorted
arrays (``scheduling.recurrence``), a million of them in about a second; the moment another send comes in, they are put
into the kernel as they stand at that instant, by letting it catch up, and go on there. Either way the times are the
same to the picosecond.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hyperfabric_q.errors import InvalidValue, Undeliverable
from hyperfabric_q.fabric import Fabric
from hyperfabric_q.fabric.fields import is_whole
from hyperfabric_q.scheduling.kernel import Kernel
from hyperfabric_q.scheduling.message import Message
from hyperfabric_q.scheduling.recurrence import LATEST_PS, Channels, serve
from hyperfabric_q.traffic.profiles import Profile
from hyperfabric_q.traffic.request import Kind
from hyperfabric_q.traffic.transfer import CORRUPTED
from hyperfabric_q.traffic.wiring import Way
from hyperfabric_q.units import PS_PER_NS

IntArray: TypeAlias = NDArray[np.int64]
Names: TypeAlias = str | int | Sequence[str] | Sequence[int] | NDArray[Any]

WORTHWHILE: Final = 64
"""Fewer sends go to the kernel right away."""

MOST_TABLE: Final = 1 << 24

Again: TypeAlias = Callable[[Way, int, int], tuple[Way, int] | None]
"""From the first way, the size and how often it was lost: the next way and the wait before; None to give it up."""

_WORD: Final = (1 << 64) - 1
_LATEST: Final = (1 << 63) - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Transfers:
    """Return what became of many sends, one row each, in the order in which they were given.

    Attributes:
        asked_ps: (n,) when each was released.
        done_ps: (n,) when its last byte had arrived.
        wire_bytes: (n,) its size on the wire; 0 from a node to itself.
        engine: "recurrence", or "kernel" when other traffic came in between.
    """

    asked_ps: IntArray
    done_ps: IntArray
    wire_bytes: IntArray
    engine: Literal["recurrence", "kernel"]

    def __post_init__(self) -> None:
        for column in (self.asked_ps, self.done_ps, self.wire_bytes):
            column.setflags(write=False)

    def __len__(self) -> int:
        return len(self.done_ps)

    @property
    def latency_ps(self) -> IntArray:
        """(n,) from release to arrival."""
        result: IntArray = self.done_ps - self.asked_ps
        return result

    def __repr__(self) -> str:
        longest = int(self.latency_ps.max(initial=0))
        return f"<Transfers: {len(self)} by the {self.engine}, the longest in {longest} ps>"


@dataclass(frozen=True, slots=True, kw_only=True)
class Columns:
    """Sends as columns: who with whom, how much, when."""

    ways: tuple[Way, ...]
    way: IntArray
    nbytes: IntArray
    asked_ps: IntArray
    release_ps: IntArray
    kind: Kind
    identity: int

    def paths(self, rows: IntArray | slice) -> tuple[IntArray, IntArray]:
        """Return channels and delays of some sends, padded with -1 and 0."""
        hops = max(1, *(len(way.path) for way in self.ways))
        paths = [(*way.path, *(-1,) * (hops - len(way.path))) for way in self.ways]
        delays = [(*way.delays, *(0,) * (hops - len(way.path))) for way in self.ways]
        way = self.way[rows]
        return np.array(paths, dtype=np.int64)[way], np.array(delays, dtype=np.int64)[way]


def columns(
    fabric: Fabric,
    sources: Names,
    destinations: Names,
    nbytes: ArrayLike,
    release_ns: ArrayLike,
    *,
    now_ps: int,
    kind: Kind,
    profile: Profile,
    way_of: Callable[[str, str], Way],
) -> Columns:
    """Return what was asked for as columns, checked.

    Raises:
        InvalidValue: lengths differ, a number is out of range, or a zone demands encryption.
        UnknownName, NoRoute, IsolationViolated: of single sends.
    """
    ids: list[str] = [node.node_id for node in fabric.nodes]
    index: dict[str, int] = {node_id: number for number, node_id in enumerate(ids)}
    first, last = _numbers("sources", sources, ids, index), _numbers("destinations", destinations, ids, index)
    sizes, release = _whole("nbytes", nbytes), _ps(release_ns)
    try:
        first, last, sizes, release = np.broadcast_arrays(first, last, sizes, release)
    except ValueError:
        shapes = (first.shape, last.shape, sizes.shape, release.shape)
        raise InvalidValue(
            field="sources, destinations, nbytes, release_ns", value=shapes, rule="they have one length, or are single"
        ) from None
    pairs, way = _distinct(first.reshape(-1) * len(ids) + last.reshape(-1), len(ids) ** 2)
    ways = tuple(way_of(ids[pair // len(ids)], ids[pair % len(ids)]) for pair in pairs.tolist())
    for each in ways:
        if each.verdict.must_encrypt:
            raise InvalidValue(
                field="sources, destinations",
                value=f"{each.source} to {each.destination}",
                rule="what crosses this border is sealed message by message",
                remedy="Use send_data.",
            )
    sizes, asked = sizes.reshape(-1), release.reshape(-1) + now_ps
    sealed = hashlib.blake2b(f"{kind.text}|{now_ps}|".encode(), digest_size=8)
    for text in ways:
        sealed.update(f"{text.text};".encode())
    for column in (way, sizes, asked):
        sealed.update(np.ascontiguousarray(column, dtype=np.int64).tobytes())
    at_home = np.array([not each.path for each in ways], dtype=np.bool_)[way]
    return Columns(
        ways=ways,
        way=way.astype(np.int64, copy=False),
        nbytes=np.where(at_home, 0, profile.wire_bytes_of(sizes)),
        asked_ps=asked,
        release_ps=np.where(at_home, asked, asked + profile.message_ps),
        kind=kind,
        identity=int.from_bytes(sealed.digest()),
    )


def _distinct(values: IntArray, limit: int) -> tuple[IntArray, IntArray]:
    """Return the distinct values, all below ``limit``, and where each value stands among them."""
    if limit > MOST_TABLE:
        return np.unique(values, return_inverse=True)
    place = np.zeros(limit, dtype=np.int64)
    place[values] = 1
    found = np.flatnonzero(place)
    place[found] = np.arange(len(found))
    return found, place[values]


def _numbers(field: str, given: Names, ids: list[str], index: dict[str, int]) -> IntArray:
    """Return positions of nodes in the fabric, from names or positions."""
    rows = _positions(given)
    if rows is not None:
        if rows.size and not (int(rows.min()) >= 0 and int(rows.max()) < len(ids)):
            raise InvalidValue(field=field, value=int(rows.max()), rule=f"positions run from 0 to {len(ids) - 1}")
        return rows.astype(np.int64)
    names: Any = [given] if isinstance(given, str) else given
    return np.array([index[each] for each in names], dtype=np.int64)


def _positions(given: object) -> NDArray[Any] | None:
    """Return whole numbers, one or many, as an array; None of anything else."""
    whole = is_whole(given) or (isinstance(given, list | tuple) and len(given) > 0 and all(map(is_whole, given)))
    rows = np.atleast_1d(np.asarray(given)) if whole or isinstance(given, np.ndarray) else None
    return rows if rows is not None and rows.dtype.kind in "iu" else None


def missing(fabric: Fabric, given: object) -> list[str]:
    """Return the names in ``given`` that are no nodes of ``fabric``, once each.

    Raises:
        InvalidValue: it is neither names nor positions.
    """
    if _positions(given) is not None:
        return []
    names: list[object] = [given]
    if not isinstance(given, str):
        names = list(given) if isinstance(given, Sequence | np.ndarray) else [None]
    if not all(isinstance(name, str) for name in names):
        raise InvalidValue(
            field="sources, destinations", value=given, rule="they are node ids, or positions in the fabric"
        )
    return [str(name) for name in dict.fromkeys(names) if name not in fabric]


def _whole(field: str, given: ArrayLike) -> IntArray:
    rows = np.atleast_1d(np.asarray(given))
    if rows.size and (rows.dtype.kind not in "iu" or not 0 <= int(rows.min()) <= int(rows.max()) < LATEST_PS):
        raise InvalidValue(field=field, value=given, rule="they are whole numbers of at least 0, below 2**61")
    return rows.astype(np.int64)


def _ps(given: ArrayLike) -> IntArray:
    rows = np.atleast_1d(np.asarray(given))
    good = rows.dtype.kind in "iuf" and bool(np.isfinite(rows).all())
    if not good or (rows.size and not 0 <= float(rows.min()) <= float(rows.max()) < LATEST_PS / PS_PER_NS):
        raise InvalidValue(field="release_ns", value=given, rule="they are times from now, at least 0, below 26 days")
    result: IntArray = rows.astype(np.int64) * PS_PER_NS
    if rows.dtype.kind == "f":
        result = np.rint(rows * PS_PER_NS).astype(np.int64)
    return result


class Bulk:
    """Many sends under way: on paper as long as they are alone, in the kernel from then on."""

    def __init__(self, kernel: Kernel, asked: Columns, *, alone: bool, again: Again | None = None) -> None:
        """Start now; ``alone`` promises that nothing of the same fabric is under way, ``again`` replaces losses."""
        self._again = again
        self._kernel = kernel
        self._asked = asked
        self._begun_ps = kernel.now_ps
        self._begun_steps = kernel.steps
        self._done = np.where(asked.nbytes > 0, -1, asked.asked_ps)
        self._rows: IntArray = np.flatnonzero(asked.nbytes > 0)
        self._left = len(self._rows)
        self._messages: list[Message] = []
        self._home_ps = int(asked.asked_ps[asked.nbytes == 0].max(initial=0))
        self.on_paper = False
        self.future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if not self._left:
            kernel.at(max(self._home_ps, kernel.now_ps), self._resolve)
        elif alone and self._left >= WORTHWHILE:
            self._reckon()
        else:
            self._submit()

    def _reckon(self) -> None:
        """Find all times by the recurrence; where that cannot follow, the kernel does."""
        asked, kernel = self._asked, self._kernel
        rows: IntArray | slice = self._rows if self._left < len(self._done) else slice(None)
        paths, delays = asked.paths(rows)
        channels = Channels.of([server.channel for server in kernel.servers])
        try:
            served = serve(channels, asked.release_ps[rows], asked.nbytes[rows], paths, delays)
        except InvalidValue:  # a circle of channels, or times beyond 64 bits
            self._submit()
            return
        self._done[rows] = served.done_ps
        self.on_paper = True
        kernel.at(max(int(served.done_ps.max()), self._home_ps), self._finished)

    def _finished(self) -> None:
        """Report what was reckoned, unless it has moved to the kernel meanwhile."""
        if not self.on_paper:
            return
        self.on_paper = False
        marked = hashlib.blake2b(self._done.tobytes(), digest_size=8)
        marked.update(self._asked.identity.to_bytes(8))
        whole = Message(path=(0,), delays=(0,), nbytes=1, identity=int.from_bytes(marked.digest()))
        whole.done_ps = self._kernel.now_ps
        self._kernel.recorder.delivered(whole)
        self._left = 0
        self._resolve()

    def _resolve(self) -> None:
        if not self.future.done():
            self.future.set_result(None)

    def join(self) -> None:
        """Move to the kernel as things stand now, because something else is about to be sent."""
        if not self.on_paper:
            return
        self.on_paper = False
        self._done[self._rows] = -1
        kernel = self._kernel
        if kernel.now_ps > self._begun_ps or kernel.steps > self._begun_steps:
            kernel.replay(self._begun_ps, self._submit)
        else:
            self._submit()

    def _submit(self) -> None:
        asked, kernel = self._asked, self._kernel
        key = ("many", f"{asked.identity:016x}")
        for row in self._rows.tolist():
            way = asked.ways[asked.way[row]]
            message = Message(
                path=way.path,
                delays=way.delays,
                nbytes=int(asked.nbytes[row]),
                priority_class=asked.kind.priority_class,
                release_ps=int(asked.release_ps[row]),
                key=(*key, row),
                identity=(asked.identity + row) & _WORD,
                on_done=partial(self._arrived, row, 0),
                on_failed=partial(self._failed, row, 0),
            )
            self._messages.append(message)
            kernel.submit(message)

    def _send_again(self, row: int, way: Way, lost: int) -> None:
        """Send a row once more, if it still matters."""
        if self.future.done():
            return
        asked, kernel = self._asked, self._kernel
        named = hashlib.blake2b(f"{asked.identity}|{row}|again|{lost}".encode(), digest_size=8)
        message = Message(
            path=way.path,
            delays=way.delays,
            nbytes=int(asked.nbytes[row]),
            priority_class=asked.kind.priority_class,
            release_ps=kernel.now_ps,
            key=("many", f"{asked.identity:016x}", row, lost),
            identity=int.from_bytes(named.digest()),
            on_done=partial(self._arrived, row, lost),
            on_failed=partial(self._failed, row, lost),
        )
        self._messages.append(message)
        kernel.submit(message)

    def _arrived(self, row: int, lost: int, message: Message) -> None:
        if CORRUPTED in message.marks:
            self._failed(row, lost, message)
            return
        if message.done_ps > _LATEST:
            if not self.future.done():
                rule = "together they take no longer than a clock of 64 bits counts"
                self.future.set_exception(InvalidValue(field="nbytes", value=message.nbytes, rule=rule))
            return
        self._done[row] = message.done_ps
        self._left -= 1
        if self._left:
            return
        if self._home_ps > self._kernel.now_ps:
            self._kernel.at(self._home_ps, self._resolve)
        else:
            self._resolve()

    def _failed(self, row: int, lost: int, message: Message) -> None:
        """Send a row again if somebody says how; ``lost`` attempts at it were lost before this one."""
        if self.future.done():
            return
        way = self._asked.ways[self._asked.way[row]]
        found = None if self._again is None else self._again(way, message.nbytes, lost + 1)
        if found is not None:
            other, wait_ps = found
            self._kernel.at(self._kernel.now_ps + wait_ps, partial(self._send_again, row, other, lost + 1))
            return
        reason = str(message.failure or CORRUPTED)
        self.future.set_exception(Undeliverable(source=way.source, destination=way.destination, reason=reason))

    def withdraw(self) -> None:
        """Take back what has not been sent."""
        self.join()
        for message in self._messages:
            self._kernel.cancel(message)

    def transfers(self) -> Transfers:
        """Return what became of them, once all have arrived."""
        asked = self._asked
        engine: Literal["recurrence", "kernel"] = "kernel" if self._messages else "recurrence"
        return Transfers(asked_ps=asked.asked_ps, done_ps=self._done, wire_bytes=asked.nbytes, engine=engine)
