"""How long decoding takes: service times of a decoder as a function of the detection events that it is given.

Models, and published figures as presets with their sources. They are virtual: a simulation that uses them gives the
same times on every machine. ``measure_service`` makes one from this machine.
"""

from __future__ import annotations

import math
import time
from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import Final, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hyperfabric_q.errors import InvalidValue
from hyperfabric_q.registry import Registry
from hyperfabric_q.workloads.qec.decoders.compiled import Compiled
from hyperfabric_q.workloads.qec.decoders.model import Bits

NS_PER_S: Final = 1e9

Seconds = NDArray[np.float64]


def _check_time(field: str, value: float) -> None:
    if not (math.isfinite(value) and value >= 0):
        raise InvalidValue(field=field, value=value, rule="a service time is finite and not negative")


class ServiceTime(ABC):
    """How long one window takes to decode."""

    __slots__ = ()

    @abstractmethod
    def seconds(self, defects: ArrayLike) -> Seconds:
        """Return the seconds that windows with so many detection events take, of the same shape."""


@dataclass(frozen=True, slots=True)
class Fixed(ServiceTime):
    """The same time whatever happened.

    Attributes:
        service_ns: time per window.

    Raises:
        InvalidValue: it is negative or not finite.
    """

    service_ns: float

    def __post_init__(self) -> None:
        _check_time("service_ns", self.service_ns)

    def seconds(self, defects: ArrayLike) -> Seconds:
        """Return the same time for each window."""
        return np.full(np.shape(defects), self.service_ns / NS_PER_S)


@dataclass(frozen=True, slots=True)
class Affine(ServiceTime):
    """A time per window, and one per detection event.

    Attributes:
        base_ns: time of a window without events.
        defect_ns: time per event.

    Raises:
        InvalidValue: a time is negative or not finite.
    """

    base_ns: float
    defect_ns: float

    def __post_init__(self) -> None:
        _check_time("base_ns", self.base_ns)
        _check_time("defect_ns", self.defect_ns)

    def seconds(self, defects: ArrayLike) -> Seconds:
        """Return base + events × time per event."""
        return np.asarray((self.base_ns + self.defect_ns * np.asarray(defects, dtype=np.float64)) / NS_PER_S)


@dataclass(frozen=True, slots=True)
class Fpga(ServiceTime):
    """Hardware that takes the same time for each round of a window.

    Attributes:
        round_ns: time per round.
        rounds: rounds of a window, commit and buffer together.

    Raises:
        InvalidValue: the time is negative or not finite, or a window has no round.
    """

    round_ns: float
    rounds: int = 1

    def __post_init__(self) -> None:
        _check_time("round_ns", self.round_ns)
        if self.rounds < 1:
            raise InvalidValue(field="rounds", value=self.rounds, rule="a window has at least one round")

    def seconds(self, defects: ArrayLike) -> Seconds:
        """Return rounds × time per round."""
        return np.full(np.shape(defects), self.round_ns * self.rounds / NS_PER_S)


@dataclass(frozen=True, slots=True)
class Measured(ServiceTime):
    """What a machine took, by the number of detection events: straight lines between the measured points.

    Attributes:
        defects: numbers of events, rising.
        service_ns: what each took.

    Raises:
        InvalidValue: there is no point, the numbers do not rise, or a time is negative or not finite.
    """

    defects: tuple[int, ...]
    service_ns: tuple[float, ...]

    def __post_init__(self) -> None:
        if not self.defects or len(self.defects) != len(self.service_ns):
            rule = "a measured service has one time for each number of events, and at least one"
            raise InvalidValue(field="defects", value=self.defects, rule=rule)
        if any(b <= a for a, b in zip(self.defects, self.defects[1:], strict=False)):
            raise InvalidValue(field="defects", value=self.defects, rule="the numbers of events rise")
        for each in self.service_ns:
            _check_time("service_ns", each)

    def seconds(self, defects: ArrayLike) -> Seconds:
        """Return times between the points on straight lines, beyond them as at the last point."""
        return np.asarray(np.interp(np.asarray(defects, dtype=np.float64), self.defects, self.service_ns) / NS_PER_S)


def measure_service(compiled: Compiled, dets: Bits, *, window: int | None = None, calls: int = 200) -> Measured:
    """Return what this machine takes for single windows: the median of the wall time, by the number of events.

    One shot at a time is what a decoder in a loop does; a batch takes less per shot, and says nothing of latency. The
    times differ from run to run, so a simulation that shall be repeated keeps the value.

    Args:
        compiled: the decoder.
        dets: detection events, shape (shots, detectors); the first ``calls`` shots are decoded.
        window: which of its windows; None takes the one in the middle.
        calls: how many shots.

    Raises:
        InvalidValue: there is no such window, or no shot.
    """
    chosen = len(compiled.pieces) // 2 if window is None else window
    if not 0 <= chosen < len(compiled.pieces):
        rule = f"the decoder has the windows 0 to {len(compiled.pieces) - 1}"
        raise InvalidValue(field="window", value=window, rule=rule)
    if len(dets) < 1 or calls < 1:
        raise InvalidValue(field="calls", value=min(calls, len(dets)), rule="at least one shot is decoded")
    piece = compiled.pieces[chosen]
    patterns = np.ascontiguousarray(np.asarray(dets)[:calls].astype(np.uint8)[:, compiled.detectors][:, piece.columns])
    piece.core(patterns[:1])
    taken = np.empty(len(patterns))
    for shot in range(len(patterns)):
        began = time.perf_counter_ns()
        piece.core(patterns[shot : shot + 1])
        taken[shot] = time.perf_counter_ns() - began
    counts = np.count_nonzero(patterns, axis=1)
    known = np.unique(counts)
    return Measured(
        tuple(int(each) for each in known),
        tuple(float(np.median(taken[counts == each])) for each in known),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ServicePreset:
    """A published decoder's time, and where it comes from.

    Attributes:
        name: what users call it.
        service: the time; of a ``Fpga``, per round.
        source: the publication.
        year: of the source.
        kind: ``measured`` on the hardware, or a ``bound`` that the source states.
        note: what the figure leaves open.
    """

    name: str
    service: ServiceTime
    source: str
    year: int
    kind: Literal["measured", "bound"]
    note: str = ""


service_presets: Final = Registry[ServicePreset]("service time")
"""Published service times by name. Third parties add theirs through the entry-point group
``hyperfabric_q.service_time``."""

PRESETS: Final = (
    ServicePreset(
        name="micro_blossom",
        service=Fixed(800.0),
        source="Wu, Liyanage, Zhong: Micro Blossom, ASPLOS 2025, arXiv:2502.14787",
        year=2025,
        kind="measured",
        note="average latency at d = 13, p = 0.1 %, an FPGA at 62 MHz",
    ),
    ServicePreset(
        name="local_clustering",
        service=Fpga(1000.0),
        source="Ziad et al.: Local Clustering Decoder, Nat. Commun. (2025), arXiv:2411.10343",
        year=2024,
        kind="bound",
        note="under 1 µs per round up to d = 17, an FPGA",
    ),
    ServicePreset(
        name="google_2024",
        service=Fixed(63_000.0),
        source="Google Quantum AI: Quantum error correction below the surface code threshold, arXiv:2408.13687",
        year=2024,
        kind="measured",
        note="mean latency at d = 5 over a million cycles of 1.1 µs",
    ),
    ServicePreset(
        name="relay_fpga",
        service=Fpga(1000.0),
        source="IBM and AMD: Relay-BP on an FPGA, arXiv:2510.21600",
        year=2025,
        kind="bound",
        note="under 1 µs per cycle for p below about 0.3 %; 24 ns per iteration of belief propagation",
    ),
)
for _preset in PRESETS:
    service_presets.register(_preset.name)(_preset)


def service_time(name: str, *, rounds: int = 1) -> ServiceTime:
    """Return a published service time by name.

    Args:
        name: of the preset.
        rounds: rounds of a window, for figures that are per round.

    Raises:
        UnknownName: there is none; the error lists the names and the nearest match.
    """
    service = service_presets[name].service
    return replace(service, rounds=rounds) if isinstance(service, Fpga) else service
