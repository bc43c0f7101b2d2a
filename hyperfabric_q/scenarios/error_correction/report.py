"""At which cycles error correction works, from decoded syndromes, and what a loop says to that."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from hyperfabric_q import qec
from hyperfabric_q.estimate import Estimate
from hyperfabric_q.scenarios.context import current_world
from hyperfabric_q.scenarios.error_correction.blocks import DEADLINE_NS, Blocks, forgotten, memory
from hyperfabric_q.scenarios.outcome import Figure, Verdict

CYCLES_US: Final = (0.5, 1.0, 2.0, 3.0, 4.0, 6.0, 8.0, 10.0)
"""That are tried."""

GAIN: Final = 10.0
"""By which a code that works is better than a qubit without one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Loop:
    """How a loop went: its cycle, its slowest messages, what was late, and how the memories ended."""

    cycle_us: float
    syndrome_us: float
    answer_us: float
    late: int
    frames: int
    failure: Estimate


@dataclass(frozen=True, slots=True, kw_only=True)
class Study:
    """How often memories fail by the cycle, as many rounds long as the distance of the larger code.

    Attributes:
        blocks: whose codes they are.
        asked_us: the cycle that was asked for.
        smaller: the distance that the blocks' is compared with.
        hopeless: failures at ``asked_us``.
        large: failures at the distance of the blocks, at each of ``CYCLES_US``.
        small: failures at the smaller distance.
        bare: failures of a qubit without any code, which waits for as long.
    """

    blocks: Blocks
    asked_us: float
    smaller: int
    hopeless: Estimate
    large: tuple[Estimate, ...]
    small: tuple[Estimate, ...]
    bare: tuple[float, ...]

    @property
    def helps_us(self) -> float:
        """The longest cycle at which the larger code fails less often, by two standard errors; 0 = none."""
        return max((cycle for cycle, *ones in self.rows if _better(ones[0], ones[1])), default=0.0)

    @property
    def works_us(self) -> float:
        """The longest cycle at which the larger code fails a tenth as often as a bare qubit; the shortest if none."""
        rows = zip(CYCLES_US, self.large, self.bare, strict=True)
        return max((cycle for cycle, one, bare in rows if GAIN * one.value <= bare), default=CYCLES_US[0])

    def chance(self, cycle_us: float) -> float:
        """Return the chance that a data qubit errs while it waits for so long."""
        return forgotten(cycle_us, self.blocks.coherence_us)

    def bare_over(self, cycle_us: float) -> float:
        """Return how often a qubit without a code fails that waits for as long as a memory of the loop."""
        return -0.5 * math.expm1(-cycle_us * self.blocks.rounds / self.blocks.coherence_us)

    @property
    def rows(self) -> Iterator[tuple[float, Estimate, Estimate]]:
        """Cycle, failures of the larger and of the smaller code."""
        return zip(CYCLES_US, self.large, self.small, strict=True)


def study(blocks: Blocks, *, asked_us: float, smaller: int, shots: int) -> Study:
    """Return how often memories fail by the cycle; at full size about ten seconds."""
    rounds = blocks.distance

    def failure(distance: int, cycle_us: float, shots: int) -> Estimate:
        forgot = forgotten(cycle_us, blocks.coherence_us)
        experiment = memory(distance, rounds, forgot=forgot, gate_error=blocks.gate_error)
        return qec.run_frame(experiment, qec.Loop(), shots, seed=current_world().seed).failure

    return Study(
        blocks=blocks,
        asked_us=asked_us,
        smaller=smaller,
        hopeless=failure(blocks.distance, asked_us, max(shots // 10, 400)),
        large=tuple(failure(blocks.distance, cycle, shots) for cycle in CYCLES_US),
        small=tuple(failure(smaller, cycle, shots) for cycle in CYCLES_US),
        bare=tuple(-0.5 * math.expm1(-cycle * rounds / blocks.coherence_us) for cycle in CYCLES_US),
    )


def _better(one: Estimate, other: Estimate) -> bool:
    return one.value + 2 * math.hypot(one.stderr, other.stderr) < other.value


def figures_of(found: Study, asked: Loop, works: Loop) -> tuple[Figure, ...]:
    """Return the figures of a study and of the loops in the cycle asked for and in one that works."""
    mine = found.blocks
    large, errs = f"distance {mine.distance}", found.chance(found.asked_us)
    figures = [
        Figure(name="coherence time", value=mine.coherence_us, unit="us", origin="stated"),
        Figure(name="logical qubits", value=mine.blocks * mine.logical, origin="stated"),
        Figure(name="physical qubits of a block", value=mine.physical, origin="computed"),
        Figure(name="chance of an error in the cycle asked for", value=errs, origin="computed"),
    ]
    for name, loop in (("asked for", asked), ("that works", works)):
        figures += [
            Figure(name=f"cycle {name}", value=loop.cycle_us, unit="us"),
            Figure(name=f"slowest syndrome, cycle {name}", value=loop.syndrome_us, unit="us"),
            Figure(name=f"slowest correction, cycle {name}", value=loop.answer_us, unit="us"),
            Figure(name=f"late syndromes, cycle {name}", value=loop.late),
            Figure(name=f"memories decoded, cycle {name}", value=loop.failure.shots),
            _rate(f"logical failures, cycle {name}", loop.failure),
        ]
    figures.append(_rate(f"logical failures at {found.asked_us:g} us, {large}", found.hopeless))
    for (cycle, one, other), bare in zip(found.rows, found.bare, strict=True):
        figures += [
            _rate(f"logical failures at {cycle:g} us, {large}", one),
            _rate(f"logical failures at {cycle:g} us, distance {found.smaller}", other),
            Figure(name=f"failures at {cycle:g} us, no code", value=bare, origin="computed"),
        ]
    return (
        *figures,
        Figure(name="longest cycle, more qubits help", value=found.helps_us, unit="us"),
        Figure(
            name="longest cycle, ten times better than no code",
            value=found.works_us,
            unit="us",
        ),
    )


def _rate(name: str, found: Estimate) -> Figure:
    return Figure(name=name, value=found.value, stderr=found.stderr)


def verdicts_of(found: Study, asked: Loop, works: Loop) -> tuple[Verdict, ...]:
    """Return whether the cycle that was asked for can work, and whether deadlines and corrections can."""
    errs = found.chance(found.asked_us)
    half = abs(asked.failure.value - 0.5) <= 4 * asked.failure.stderr
    trip_us = works.syndrome_us + works.answer_us
    return (
        Verdict(
            asked=f"error correction every {found.asked_us:g} us with qubits of {found.blocks.coherence_us:g} us",
            holds=not half and found.asked_us <= found.helps_us,
            because=f"A qubit errs with chance {errs:.3g} before its syndrome is taken (0.75 leaves nothing of it); "
            f"{asked.failure} of the logical values were wrong, as by tossing a coin.",
            remedy=f"Up to {found.helps_us:g} us more qubits help; at {found.works_us:g} us the code is ten times as "
            f"good as a bare qubit. Or qubits that last {found.asked_us / found.works_us:.0f} times longer.",
        ),
        Verdict(
            asked=f"a loop every {works.cycle_us:.3g} us",
            holds=works.failure.value + 2 * works.failure.stderr < found.bare_over(works.cycle_us),
            because=f"There and back takes {trip_us:.3g} us; {works.failure} of the memories of {found.blocks.rounds} "
            f"rounds failed, of bare qubits {found.bare_over(works.cycle_us):.3g} would.",
        ),
        Verdict(
            asked=f"syndromes at the processor within {DEADLINE_NS / 1000:g} us",
            holds=not asked.late and not works.late,
            because=f"{asked.late + works.late} of {asked.frames + works.frames} were late, the slowest took "
            f"{max(asked.syndrome_us, works.syndrome_us):.3g} us.",
        ),
        Verdict(
            asked="corrections by entanglement",
            holds=False,
            because="A correction is a few classical bits; Bell pairs carry states, and bits no faster than light.",
            remedy="They travel as what they are, with the priority of what is urgent.",
        ),
    )
