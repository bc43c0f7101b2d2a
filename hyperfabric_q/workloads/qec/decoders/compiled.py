"""Decoders at work: a batch of shots at once, or round by round as the rounds arrive.

Both do the same: piece after piece is decoded for all shots in one call, and one XOR hands over what it explained. So a
stream commits exactly what the batch decodes, and Python never loops over shots.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple, TypeAlias

import numpy as np
import stim
from numpy.typing import NDArray

from hyperfabric_q.errors import InvalidValue
from hyperfabric_q.workloads.qec.decoders.model import Bits, IntArray
from hyperfabric_q.workloads.qec.decoders.windows import Layout, Span, piece, shortened

Core: TypeAlias = Callable[[Bits], Bits]
"""Decodes detection events, shape (shots, detectors), to flips of observables, shape (shots, observables)."""

CoreOf: TypeAlias = Callable[[stim.DetectorErrorModel], Core]


class Commit(NamedTuple):
    """What a window has decided.

    Attributes:
        first: first round that it decided.
        end: first round after those.
        upto: the rounds before this one are all decided now.
        round: the last round that it looked at, so the one that it waited for.
        rounds: how many it looked at.
        layer: 0, or 1 for the gap between two parallel windows.
        window: which window it is, counted from 0.
        after: the windows that had to be decoded before, by index.
        flips: observables that its errors flip, shape (shots, observables).
        defects: detection events that it looked at, shape (shots,); what service times depend on.
    """

    first: int
    end: int
    upto: int
    round: int
    rounds: int
    layer: int
    window: int
    after: tuple[int, ...]
    flips: Bits
    defects: IntArray


class Ready(NamedTuple):
    """A piece that is ready to decode.

    Attributes:
        span: its window.
        core: decodes it.
        columns: its detectors, as columns of the working array.
        virtual: the detectors of its virtual observables, likewise.
    """

    span: Span
    core: Core
    columns: slice | IntArray
    virtual: slice | IntArray


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Compiled:
    """A decoder made ready for one detector error model.

    Attributes:
        layout: its windows.
        core_of: makes what decodes one piece.
        pieces: the windows, ready to decode, in order.
        detectors: detectors that matter, in the order of the working array: by round.
        num_detectors: all of them, as the model counts.
        num_observables: how many observables are decoded.
    """

    layout: Layout
    core_of: CoreOf
    pieces: tuple[Ready, ...]
    detectors: IntArray
    num_detectors: int
    num_observables: int
    _shortened: dict[tuple[int, int], Ready] = field(default_factory=dict)

    def __repr__(self) -> str:
        return f"<Compiled: {self.num_detectors} detectors, {len(self.pieces)} windows>"

    def decode_batch(self, dets: NDArray[np.bool_] | Bits) -> Bits:
        """Return which observables flipped, shape (shots, observables).

        Args:
            dets: detection events, shape (shots, detectors), not changed.

        Raises:
            InvalidValue: the array has another shape.
        """
        work = self._working(dets)
        flips = np.zeros((len(work), self.num_observables), dtype=np.uint8)
        for each in self.pieces if len(work) else ():
            flips ^= self._run(each, work)
        return flips

    def decode_batch_packed(self, dets: Bits) -> Bits:
        """Return which observables flipped, bits packed in little-endian order as sinter and stim do.

        Args:
            dets: detection events, packed likewise, shape (shots, ceil(detectors / 8)).
        """
        given = np.asarray(dets)
        if given.ndim != 2 or given.dtype != np.uint8 or given.shape[1] != -(-self.num_detectors // 8):
            rule = f"packed detection events are uint8 of shape (shots, {-(-self.num_detectors // 8)})"
            raise InvalidValue(field="dets", value=f"{given.dtype} {given.shape}", rule=rule)
        bits = np.unpackbits(given, axis=1, bitorder="little", count=self.num_detectors)
        return np.packbits(self.decode_batch(bits), axis=1, bitorder="little")

    def stream(self, shots: int) -> Stream:
        """Return a stream that decodes ``shots`` shots together, round by round."""
        return Stream(self, shots)

    def _working(self, dets: NDArray[np.bool_] | Bits) -> Bits:
        given = np.asarray(dets)
        if given.ndim != 2 or given.shape[1] != self.num_detectors:
            rule = f"detection events have the shape (shots, {self.num_detectors})"
            raise InvalidValue(field="dets", value=given.shape, rule=rule)
        if given.dtype not in (np.bool_, np.uint8):
            rule = "detection events are bool, or 0 and 1 in uint8"
            raise InvalidValue(field="dets", value=str(given.dtype), rule=rule)
        return np.take(given, self.detectors, axis=1).view(np.uint8)

    def _run(self, ready: Ready, work: Bits) -> Bits:
        found = ready.core(np.ascontiguousarray(work[:, ready.columns]))
        work[:, ready.virtual] ^= found[:, self.num_observables :]
        return found[:, : self.num_observables]

    def _shorter(self, index: int, stop: int) -> Ready:
        """Return a piece that looks at no round from ``stop`` on."""
        span = shortened(self.pieces[index].span, stop)
        if span == self.pieces[index].span:
            return self.pieces[index]
        if (index, span.stop) not in self._shortened:
            ready = made_ready(self.layout, index, span, self.core_of, self.detectors)
            self._shortened[index, span.stop] = ready
        return self._shortened[index, span.stop]


class Stream:
    """Shots that are decoded while their rounds arrive; windows run as soon as their rounds are there.

    Attributes:
        flips: observables that the windows so far flip, shape (shots, observables).
        upto: the rounds before this one are all decided.
    """

    def __init__(self, compiled: Compiled, shots: int) -> None:
        """Wait for the first round of ``shots`` shots.

        Raises:
            InvalidValue: there is not one shot.
        """
        if shots < 1:
            raise InvalidValue(field="shots", value=shots, rule="a stream carries at least one shot")
        self.flips: Bits = np.zeros((shots, compiled.num_observables), dtype=np.uint8)
        self.upto = 0
        self._compiled = compiled
        rounds = compiled.layout.model.rounds
        self._work: Bits = np.zeros((shots, len(compiled.detectors)), dtype=np.uint8)
        self._detectors_of = [np.flatnonzero(rounds == each) for each in range(int(rounds.max(initial=0)) + 1)]
        self._column = np.full(compiled.num_detectors, -1, dtype=np.int64)
        self._column[compiled.detectors] = np.arange(len(compiled.detectors))
        # A round without detectors sends nothing, so nobody waits for it.
        self._arrived = np.array([not len(each) for each in self._detectors_of])
        self._next = 0
        self._done: set[int] = set()

    @property
    def complete(self) -> int:
        """The rounds before this one have all arrived."""
        missing = np.flatnonzero(~self._arrived)
        return int(missing[0]) if len(missing) else len(self._arrived)

    def push(self, round: int, bits: NDArray[np.bool_] | Bits) -> list[Commit]:  # noqa: A002
        """Return what the windows decide that can run now that a round is there.

        Args:
            round: which one; rounds may come in any order, each once.
            bits: its detection events, shape (shots, detectors of the round), in the order of their indices.

        Raises:
            InvalidValue: there is no such round, it is there already, or the bits have another shape.
        """
        if not 0 <= round < len(self._arrived):
            rule = f"rounds are counted from 0 to {len(self._arrived) - 1}"
            raise InvalidValue(field="round", value=round, rule=rule)
        if self._arrived[round] and len(self._detectors_of[round]):
            raise InvalidValue(field="round", value=round, rule="each round is pushed once, and this one is there")
        detectors, given = self._detectors_of[round], np.asarray(bits)
        if given.shape != (len(self._work), len(detectors)) or given.dtype not in (np.bool_, np.uint8):
            rule = f"round {round} has {len(detectors)} detectors: the shape is ({len(self._work)}, {len(detectors)})"
            raise InvalidValue(field="bits", value=f"{given.dtype} {given.shape}", rule=rule)
        columns = self._column[detectors]
        # What an earlier window has handed over is there before the round itself.
        self._work[:, columns[columns >= 0]] ^= given[:, columns >= 0].view(np.uint8)
        self._arrived[round] = True
        commits = []
        complete = self.complete
        while self._next < len(self._compiled.pieces):
            ready = self._compiled.pieces[self._next]
            if ready.span.stop > complete:
                break
            commits.append(self._commit(ready))
        return commits

    def hurry(self) -> list[Commit]:
        """Return what the next window decides with the rounds that are there: its buffer shrinks to them.

        Nothing is decided before all rounds are there that the window decides.
        """
        if self._next == len(self._compiled.pieces):
            return []
        complete = self.complete
        if self._compiled.pieces[self._next].span.end > complete:
            return []
        return [self._commit(self._compiled._shorter(self._next, complete))]

    def _commit(self, ready: Ready) -> Commit:
        span, index = ready.span, self._next
        defects = np.count_nonzero(self._work[:, ready.columns], axis=1).astype(np.int64)
        flips = self._compiled._run(ready, self._work)
        self.flips ^= flips
        self._done.update(range(span.first, span.end))
        while self.upto in self._done:
            self.upto += 1
        self._next += 1
        return Commit(
            first=span.first,
            end=span.end,
            upto=self.upto,
            round=span.stop - 1,
            rounds=span.stop - span.start,
            layer=span.layer,
            window=index,
            after=span.after,
            flips=flips,
            defects=defects,
        )


def compiled(layout: Layout, core_of: CoreOf) -> Compiled:
    """Return a layout made ready to decode."""
    model = layout.model
    used = {detector for unit in model.units for part in unit.parts for detector in part.detectors}
    order = sorted(used, key=lambda each: (int(model.rounds[each]), each))
    detectors = np.array(order, dtype=np.int64)
    detectors.setflags(write=False)
    cores: dict[str, Core] = {}

    def shared(dem: stim.DetectorErrorModel) -> Core:
        """Windows in the middle of an experiment are all alike: one core decodes them."""
        text = str(dem)
        if text not in cores:
            cores[text] = core_of(dem)
        return cores[text]

    return Compiled(
        layout=layout,
        core_of=core_of,
        pieces=tuple(made_ready(layout, index, span, shared, detectors) for index, span in enumerate(layout.spans)),
        detectors=detectors,
        num_detectors=model.detectors,
        num_observables=model.observables,
    )


def made_ready(layout: Layout, index: int, span: Span, core_of: CoreOf, detectors: IntArray) -> Ready:
    """Return a span of a layout, ready to decode in a working array whose columns are ``detectors``."""
    made = piece(layout, index, span)
    column = {int(each): position for position, each in enumerate(detectors)}
    core = core_of(made.dem) if made.detectors else _nothing(made.dem.num_observables)
    return Ready(
        span=span,
        core=core,
        columns=_columns([column[each] for each in made.detectors]),
        virtual=_columns([column[each] for each in made.virtual]),
    )


def _columns(found: list[int]) -> slice | IntArray:
    """Return columns as a slice where they are neighbours, which is much faster."""
    start = found[0] if found else 0
    if found == list(range(start, start + len(found))):
        return slice(start, start + len(found))
    return np.array(found, dtype=np.int64)


def _nothing(observables: int) -> Core:
    """Return a core for a window without detectors."""

    def none(dets: Bits) -> Bits:
        return np.zeros((len(dets), observables), dtype=np.uint8)

    return none
