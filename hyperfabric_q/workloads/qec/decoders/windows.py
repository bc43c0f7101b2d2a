"""Windows: which rounds are decoded together, what each window decides, and the small model it is decoded by.

Every part of an error belongs to exactly one span, which alone decides whether it happened. The model of a span has the
detectors of its rounds; what it decides flips, besides the real observables, one virtual observable for each detector
outside its core. So whatever decodes the small model also says which detection events are explained already, and one
XOR hands that over to the next spans.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, NamedTuple, TypeAlias

import numpy as np
import stim

from hyperfabric_q.errors import InvalidValue
from hyperfabric_q.workloads.qec.decoders.model import (
    IntArray,
    Model,
    Part,
    Unit,
    likelihoods,
    merged,
    written,
)

Sees: TypeAlias = Literal["undecided", "all", "own"]


@dataclass(frozen=True, slots=True)
class Window:
    """How a stream of rounds is decoded in windows.

    Attributes:
        commit: rounds that a window decides.
        buffer: rounds that it looks at beyond those, and decides nothing about: after them, and in parallel windows
            before them too.
        layout: ``sliding``, one window after another, or ``parallel``: windows apart from each other are decoded at
            once, then what lies between them (Skoric et al., arXiv:2209.08552; Tan et al., arXiv:2209.09219).

    Raises:
        InvalidValue: a number of rounds is out of range.
    """

    commit: int
    buffer: int
    layout: Literal["sliding", "parallel"] = field(default="sliding", kw_only=True)

    def __post_init__(self) -> None:
        for name, least in (("commit", 1), ("buffer", 0)):
            value = getattr(self, name)
            if not isinstance(value, int | np.integer) or isinstance(value, bool) or value < least:
                rule = f"a window has a whole number of rounds, at least {least}"
                raise InvalidValue(field=name, value=value, rule=rule)
        if self.layout not in ("sliding", "parallel"):
            raise InvalidValue(field="layout", value=self.layout, rule='windows are laid out "sliding" or "parallel"')


class Span(NamedTuple):
    """One window of a layout.

    Attributes:
        start: first round that it looks at.
        first: first round that it decides.
        end: first round after those that it decides.
        stop: first round after those that it looks at.
        layer: 0, or 1 for what waits for its two neighbours of layer 0.
        after: spans that must have been decoded before, by index.
        sees: which errors it reckons with: those that no earlier span has decided, all, or only those it decides.
    """

    start: int
    first: int
    end: int
    stop: int
    layer: int
    after: tuple[int, ...]
    sees: Sees


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Layout:
    """The spans of a model, in an order in which they can be decoded, and who decides what.

    Attributes:
        model: what is decoded.
        spans: the windows, each behind those that it waits for.
        owner: index of the span that decides each part, shape (parts,), parts counted through all units.
        earliest: earliest round of each part's detectors, shape (parts,).
        latest: the latest one, shape (parts,).
        unit: unit of each part, shape (parts,).
    """

    model: Model
    spans: tuple[Span, ...]
    owner: IntArray
    earliest: IntArray
    latest: IntArray
    unit: IntArray


class Piece(NamedTuple):
    """What is decoded at once.

    Attributes:
        dem: the model of the span: detectors and observables numbered from 0, virtual observables after the real ones.
        detectors: detector behind each detector of the model, by round.
        virtual: detector behind each virtual observable.
    """

    dem: stim.DetectorErrorModel
    detectors: tuple[int, ...]
    virtual: tuple[int, ...]


def lay(model: Model, window: Window | None) -> Layout:
    """Return the spans of a model under a window; a single one without.

    Raises:
        InvalidValue: windows are asked for, and a detector has no round.
    """
    if window is None:
        model = replace(model, rounds=np.maximum(model.rounds, 0))
    else:
        _check_rounds(model)
    times = [[int(model.rounds[each]) for each in part.detectors] for unit in model.units for part in unit.parts]
    earliest = np.array([min(each) for each in times], dtype=np.int64)
    latest = np.array([max(each) for each in times], dtype=np.int64)
    total = int(model.rounds.max(initial=0)) + 1
    if window is None:
        spans = [Span(0, 0, total, total, 0, (), "all")]
    elif window.layout == "sliding":
        spans = _sliding(window, total)
    else:
        spans = _parallel(window, total, int((latest - earliest).max(initial=0)))
    return Layout(
        model=model,
        spans=tuple(spans),
        owner=_owners(spans, earliest, latest),
        earliest=earliest,
        latest=latest,
        unit=np.repeat(np.arange(len(model.units)), [len(each.parts) for each in model.units]).astype(np.int64),
    )


def shortened(span: Span, stop: int) -> Span:
    """Return a span that decides the same and looks at no round from ``stop`` on, so far as it can do without."""
    return span._replace(stop=max(span.end, min(span.stop, stop)))


def piece(layout: Layout, index: int, span: Span) -> Piece:
    """Return the model by which a span is decoded.

    Args:
        layout: whose span it is.
        index: which of the spans decides.
        span: that span, or a shortened one.
    """
    model = layout.model
    inside = (layout.latest >= span.start) & (layout.earliest < span.stop)
    if span.sees == "undecided":
        inside &= layout.owner >= index
    elif span.sees == "own":
        inside &= layout.owner == index
    first_part = np.searchsorted(layout.unit, np.arange(len(model.units)))
    virtual: dict[int, int] = {}
    chosen: dict[int, list[Part]] = {}
    for each in np.flatnonzero(inside).tolist():
        unit = int(layout.unit[each])
        part = model.units[unit].parts[each - int(first_part[unit])]
        decides = int(layout.owner[each]) == index
        cut = _cut(part, model, span, virtual if decides else None)
        if cut.detectors:
            chosen.setdefault(unit, []).append(cut)
    units = _told_apart([Unit(model.units[each].probability, tuple(parts)) for each, parts in chosen.items()], model)
    seen = {detector for unit in units for part in unit.parts for detector in part.detectors}
    detectors = sorted(seen, key=lambda each: (int(model.rounds[each]), each))
    local = {each: position for position, each in enumerate(detectors)}
    dem = written(
        [Unit(unit.probability, tuple(_renamed(part, local) for part in unit.parts)) for unit in units],
        detectors=len(detectors),
        observables=model.observables + len(virtual),
        coordinates=_places(model, local, span.start),
    )
    return Piece(dem, tuple(detectors), tuple(virtual))


def _check_rounds(model: Model) -> None:
    used = sorted({detector for unit in model.units for part in unit.parts for detector in part.detectors})
    for each in used:
        if model.rounds[each] < 0:
            raise InvalidValue(
                field=f"coordinates of detector {each}",
                value=model.places.get(each, ()),
                rule="windows need the round of each detector: its last coordinate, a whole number from 0",
                remedy="Annotate the detectors, or give their rounds apart.",
            )


def _sliding(window: Window, total: int) -> list[Span]:
    spans: list[Span] = []
    start = 0
    while True:
        end, stop = start + window.commit, start + window.commit + window.buffer
        last = stop >= total
        after = (len(spans) - 1,) if spans else ()
        spans.append(Span(start, start, total if last else end, total if last else stop, 0, after, "undecided"))
        if last:
            return spans
        start = end


def _parallel(window: Window, total: int, reach: int) -> list[Span]:
    """Return spans of two layers: cores with a buffer on both sides, and the gaps between them.

    Two cores lie two buffers apart, so that the windows of layer 0 touch; never less than a core, nor so close that one
    error reaches both.
    """
    gap = max(2 * window.buffer, window.commit, reach)
    spans: list[Span] = []
    before: int | None = None
    first = 0
    while first < total:
        end = min(first + window.commit, total)
        span = Span(max(first - window.buffer, 0), first, end, min(end + window.buffer, total), 0, (), "all")
        spans.append(span)
        core = len(spans) - 1
        if before is not None:
            gap_start, gap_end = spans[before].end, first
            spans.append(Span(gap_start, gap_start, gap_end, gap_end, 1, (before, core), "own"))
        before, first = core, end + gap
    if before is not None and spans[before].end < total:
        start = spans[before].end
        spans.append(Span(start, start, total, total, 1, (before,), "own"))
    return spans


def _owners(spans: Sequence[Span], earliest: IntArray, latest: IntArray) -> IntArray:
    """Return which span decides each part: a core takes what it touches, and the first to come has the choice."""
    owner = np.full(earliest.shape, -1, dtype=np.int64)
    for layer in (0, 1):
        for index, span in enumerate(spans):
            if span.layer == layer:
                owner[(owner < 0) & (latest >= span.first) & (earliest < span.end)] = index
    return owner


def _cut(part: Part, model: Model, span: Span, virtual: dict[int, int] | None) -> Part:
    """Return what of a part a span sees; ``virtual`` numbers the virtual observables of what it decides."""
    rounds = model.rounds
    detectors = tuple(each for each in part.detectors if span.start <= rounds[each] < span.stop)
    if virtual is None:
        return Part(detectors, ())
    outside = [each for each in part.detectors if not span.first <= rounds[each] < span.end]
    handed = [model.observables + virtual.setdefault(each, len(virtual)) for each in outside]
    return Part(detectors, (*part.observables, *sorted(handed)))


def _told_apart(units: list[Unit], model: Model) -> list[Unit]:
    """Return the units as the reader of the model wants them, once their cut parts have become alike.

    Matching cannot tell two parts with the same detectors apart: each such part flips what the likeliest of them flips.
    """
    if model.reads == "edges":
        return merged(units)
    if model.reads == "mechanisms":
        return [
            Unit(probability, (Part(detectors, observables),))
            for detectors, beside in likelihoods(units).items()
            for observables, probability in beside.items()
        ]
    likeliest = {each: max(beside, key=beside.__getitem__) for each, beside in likelihoods(units).items()}
    return [
        Unit(unit.probability, tuple(Part(each.detectors, likeliest[each.detectors]) for each in unit.parts))
        for unit in units
    ]


def _renamed(part: Part, local: Mapping[int, int]) -> Part:
    return Part(tuple(local[each] for each in part.detectors), part.observables)


def _places(model: Model, local: Mapping[int, int], start: int) -> dict[int, tuple[float, ...]]:
    """Return coordinates whose round counts from the start of the span, so that windows alike have models alike."""
    places = {}
    for detector, position in local.items():
        place = model.places.get(detector)
        if place is not None:
            shifted = place[-1:] and (place[-1] - start,)
            places[position] = (*place[:-1], *shifted) if place[-1:] == (model.rounds[detector],) else place
    return places
