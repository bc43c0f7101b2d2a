"""Expectation values of a planned circuit at many bindings: exact, or from shots with honest bars.

Nothing here runs the emitted circuit shot by shot. Without errors, states of the circuit itself are evolved for all
bindings at once. With errors, or with measurements inside the circuit, ``execution.channel`` gives the exact chance of
each outcome of each basis of measurement, turns and misreads included: the exact value is the mean of that, and shots
are drawn from it. Where that does not fit, the binding is sampled by ``execution.run``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

import numpy as np
from numpy.typing import NDArray
from qiskit.quantum_info import SparsePauliOp

from hyperfabric_q import seeds
from hyperfabric_q.distribution.plan import Plan
from hyperfabric_q.errors import InvalidValue, SimulationRefused
from hyperfabric_q.execution import channel
from hyperfabric_q.execution.estimating import PILOT
from hyperfabric_q.execution.measured import with_measurements
from hyperfabric_q.execution.noise import Noise
from hyperfabric_q.execution.observables import Setting, Settings, Tally, estimates_of, further, settings_of
from hyperfabric_q.execution.timelines import Timelines, timelines_of
from hyperfabric_q.interfaces.angles import Floats
from hyperfabric_q.interfaces.job import Steps
from hyperfabric_q.interfaces.options import USUAL_SHOTS
from hyperfabric_q.interfaces.planned import Planned
from hyperfabric_q.interfaces.states import WIDEST, Observable, evolved, in_chunks, laws

MOST_BITS: Final = 18
"""Qubits measured at once whose outcomes are all listed."""

_ROUNDS: Final = 6

Law = list[Floats]
"""The chance of each outcome of one basis, for each timeline."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What is wanted of each value.

    Attributes:
        shots: of each basis; None = exact.
        precision: standard error to reach, which takes as many shots as it needs; None = as ``shots`` say.
    """

    shots: int | None
    precision: float | None

    @property
    def exact(self) -> bool:
        """Whether no shots are wanted."""
        return self.shots is None and self.precision is None


@dataclass(slots=True, eq=False)
class Expected:
    """Values, standard errors and shots, shape (bindings, observables), and how they were found.

    Attributes:
        values: the values.
        errors: one standard error of each.
        shots: of all bases of each binding, shape (bindings,); 0 = exact.
        ways: how, in a few words.
        fallbacks: what was asked for and not done.
        approximations: what was not exact.
    """

    values: Floats
    errors: Floats
    shots: NDArray[np.int64]
    ways: dict[str, None] = field(default_factory=dict)
    fallbacks: dict[str, None] = field(default_factory=dict)
    approximations: dict[str, None] = field(default_factory=dict)

    @classmethod
    def empty(cls, bindings: int, observables: int) -> Expected:
        """Return one without values."""
        return cls(
            np.zeros((bindings, observables)), np.zeros((bindings, observables)), np.zeros(bindings, dtype=np.int64)
        )


@dataclass(frozen=True, eq=False)
class Read:
    """What is measured.

    Attributes:
        settings: the bases.
    """

    settings: Settings

    @cached_property
    def signs(self) -> tuple[Floats, ...] | None:
        """Each observable's part for each outcome of each basis, (observables, outcomes); None where these are many."""
        if any(len(setting.bases) > MOST_BITS for setting in self.settings.settings):
            return None
        return tuple(signs_of(setting) for setting in self.settings.settings)


def lines_of(planned: Planned, *, shots: int | None, precision: float | None, seed: int) -> Timelines:
    """Return the timelines of a run; exact values take the mean one, and say how far that may be off.

    Args:
        planned: what runs; values of parameters take no time.
        shots: of each circuit; None = exact.
        precision: that is aimed at.
        seed: of what is drawn.
    """
    options = planned.options
    exact = shots is None and precision is None
    scatter = math.inf if exact else precision
    wanted = "auto" if exact else options.timelines
    return timelines_of(
        planned.plan, Noise(options.noise), wanted=wanted, shots=shots or USUAL_SHOTS, seed=seed, scatter=scatter
    )


def notes_of(lines: Timelines) -> dict[str, None]:
    """Return what timelines leave out."""
    if lines.averaging == "mean" and lines.neglected > 0:
        return {
            "one mean timeline: correlations between waits change the distribution by at most "
            f"{lines.neglected:.1e} (total variation)": None
        }
    return {}


def expected(
    planned: Planned,
    bindings: Floats,
    operators: Sequence[SparsePauliOp],
    asked: Asked,
    *,
    lines: Timelines,
    seed_of: Callable[[int], int],
    steps: Steps,
) -> Expected:
    """Return the expectation values of some observables at each binding.

    Args:
        planned: the circuit.
        bindings: values of its parameters, shape (bindings, parameters).
        operators: with real coefficients, qubit 0 the last letter.
        asked: exact, shots or precision.
        lines: the errors.
        seed_of: gives the seed of each binding, by its row.
        steps: of the job, which may stop it.

    Raises:
        InvalidValue: an operator is no real one on these qubits; or the circuit uses qubits again.
        SimulationRefused: nothing here can compute or sample it.
    """
    if planned.plan.reused is not None:
        raise InvalidValue(
            field="observables",
            value=len(operators),
            rule="the nodes are too small for all qubits at once, so that some are measured and used again: only the "
            "classical bits of the circuit are left at the end",
            remedy="Measure what you need into classical bits, or use larger nodes.",
        )
    read = Read(settings_of(list(operators), planned.circuit.num_qubits))
    found = Expected.empty(len(bindings), len(operators))
    if _bare(planned):
        _from_states(planned, bindings, operators, read, asked, found, seed_of, steps)
    else:
        for row in range(len(bindings)):
            steps.check()
            _from_plan(planned, bindings[row], operators, read, asked, lines, found, row, seed_of(row))
    return found


def _bare(planned: Planned) -> bool:
    """Whether states of the circuit itself give everything: no errors, no outcomes inside, few qubits."""
    if planned.options.noise != "none" or planned.template is None or not planned.pure:
        return False
    return planned.circuit.num_qubits <= WIDEST and not planned.template.measured


# --------------------------------------------------------------------------------------------------------- from states


def _from_states(
    planned: Planned,
    bindings: Floats,
    operators: Sequence[SparsePauliOp],
    read: Read,
    asked: Asked,
    found: Expected,
    seed_of: Callable[[int], int],
    steps: Steps,
) -> None:
    template, qubits = planned.template, planned.circuit.num_qubits
    assert template is not None  # noqa: S101  # _bare() has seen it
    by_laws = not asked.exact and read.signs is not None
    prepared = [Observable(each) for each in operators] if not by_laws else []
    found.ways["state vectors" if not by_laws else "shots from the chances in state vectors"] = None
    if not asked.exact and not by_laws:
        found.fallbacks[f"shots of more than {MOST_BITS} qubits at once: the exact values instead"] = None
    for chunk in in_chunks(len(bindings), qubits):
        steps.check()
        states = evolved(template, bindings[chunk])
        for column, observable in enumerate(prepared):
            found.values[chunk, column] = observable.values(states)
        if by_laws:
            every = [laws(states, setting.bases) for setting in read.settings.settings]
            for place, row in enumerate(range(chunk.start, chunk.stop)):
                _draw(read, [[law[place]] for law in every], asked, found, row, seed_of(row))


# ---------------------------------------------------------------------------------------------------------- from plans


def _from_plan(
    planned: Planned,
    values: Floats,
    operators: Sequence[SparsePauliOp],
    read: Read,
    asked: Asked,
    lines: Timelines,
    found: Expected,
    row: int,
    seed: int,
) -> None:
    """Fill one row with the values of one binding."""
    bound = planned.bound(values)
    # Precision may take more timelines, and a circuit without parameters is a run like any other.
    sampled = lines.averaging == "sampled" and asked.precision is not None
    own_run = not asked.exact and (not planned.parameters or sampled)
    every = None if own_run else _laws(bound, read, lines)
    if every is None:
        if asked.exact:
            found.fallbacks[f"exact values would take long with these errors: {USUAL_SHOTS} shots instead"] = None
        _run(planned, bound, operators, asked, found, row, seed)
        return
    found.approximations |= notes_of(lines)
    if not asked.exact:
        found.ways["shots from exact chances"] = None
        _draw(read, every, asked, found, row, seed)
        return
    found.ways["exact chances of the effective channel"] = None
    found.values[row] = read.settings.constant
    for signs, law in zip(read.signs or (), every, strict=True):
        found.values[row] += signs @ np.mean(law, axis=0)


def _laws(bound: Plan, read: Read, lines: Timelines) -> list[Law] | None:
    """Return the chances of all outcomes of each basis; None where one would take more than about a second."""
    if bound.qubits > channel.WIDEST or read.signs is None:
        return None
    every: list[Law] = []
    for setting in read.settings.settings:
        turned, register = with_measurements(bound, setting.bases)
        if not channel.law_is_cheap(turned, lines.noises[0], reported=[register]):
            return None
        try:
            every.append([channel.outcome_law(turned, noise, reported=[register]) for noise in lines.noises])
        except SimulationRefused:
            return None
    return every


def _run(
    planned: Planned,
    bound: Plan,
    operators: Sequence[SparsePauliOp],
    asked: Asked,
    found: Expected,
    row: int,
    seed: int,
) -> None:
    options = planned.options
    result = bound.run(
        asked.shots or USUAL_SHOTS,
        method=method_of(planned),
        noise=options.noise,
        timelines=options.timelines,
        observables=list(operators),
        precision=asked.precision,
        seed=seed,
    )
    found.values[row], found.errors[row] = result.evs, result.stds
    found.shots[row] = result.shots
    found.ways[f"run ({result.way})"] = None
    found.approximations |= dict.fromkeys(result.approximations)


def method_of(planned: Planned) -> str:
    """Return the method for the runs of single bindings: many of them are no place for the emitted circuit."""
    chosen = planned.options.method
    if chosen == "auto" and planned.parameters and planned.circuit.num_qubits <= channel.WIDEST:
        return channel.METHOD
    return chosen


# --------------------------------------------------------------------------------------------------------------- shots


def signs_of(setting: Setting) -> Floats:
    """Return each observable's part for each outcome, shape (observables, 2^measured)."""
    codes = np.arange(1 << len(setting.bases), dtype=np.int64)
    total = np.zeros((len(setting.coefficients), len(codes)))
    masks = setting.masks.astype(np.int64) @ (1 << np.arange(setting.masks.shape[1], dtype=np.int64))
    for string, mask in enumerate(masks.tolist()):
        total += setting.coefficients[:, string, None] * (1.0 - 2.0 * (np.bitwise_count(codes & mask) & 1))
    return total


def _draw(read: Read, every: Sequence[Law], asked: Asked, found: Expected, row: int, seed: int) -> None:
    """Draw shots of one binding from the chances of its outcomes."""
    rng = seeds.stream(seed, "shots")
    tallies = [Tally.empty(setting) for setting in read.settings.settings]
    shots = asked.shots or USUAL_SHOTS
    more = [shots if asked.precision is None else min(shots, PILOT)] * len(tallies)
    for _ in range(_ROUNDS):
        for tally, law, sign, count in zip(tallies, every, read.signs or (), more, strict=True):
            _add(tally, law, sign, count, rng)
        if asked.precision is None or not tallies:
            break
        more, _lines = further(tallies, asked.precision)
        if not any(more):
            break
    else:
        found.approximations[
            f"a precision of {asked.precision:g} was not reached in {_ROUNDS} rounds: see the bars"
        ] = None
    for column, estimate in enumerate(estimates_of(read.settings, tallies)):
        found.values[row, column], found.errors[row, column] = estimate.value, estimate.stderr
    found.shots[row] = sum(tally.total for tally in tallies)


def _add(tally: Tally, law: Law, signs: Floats, count: int, rng: np.random.Generator) -> None:
    """Add shots to a tally, as equal as can be over its timelines."""
    if not count:
        return
    each, rest = divmod(count, len(law))
    for place, chances in enumerate(law):
        own = each + (place < rest)
        hits = rng.multinomial(own, chances / chances.sum()).astype(np.float64)
        if place < len(tally.shots):
            tally.shots[place] += own
            tally.sums[place] = tally.sums[place] + signs @ hits
        elif own:
            tally.shots.append(own)
            tally.sums.append(signs @ hits)
        tally.squares = tally.squares + signs**2 @ hits
