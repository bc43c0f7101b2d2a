"""A plan in, a result out."""

from __future__ import annotations

import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from qiskit.circuit import ClassicalRegister

from hyperfabric_q.errors import EndedEarly, InvalidValue, VerificationFailed
from hyperfabric_q.execution.bench import Bench
from hyperfabric_q.execution.dispatch import METHODS, choose_method, function_of
from hyperfabric_q.execution.estimating import Request, estimate, wanted_precision
from hyperfabric_q.execution.measured import measured
from hyperfabric_q.execution.noise import Noise, read_noise
from hyperfabric_q.execution.parts import Part, merged, parts_of
from hyperfabric_q.execution.progress import Progress
from hyperfabric_q.execution.result import Result
from hyperfabric_q.execution.sample import Sample
from hyperfabric_q.execution.store import Store
from hyperfabric_q.execution.timelines import Timelines, timelines_of
from hyperfabric_q.seeds import resolve

if TYPE_CHECKING:
    from hyperfabric_q.distribution.plan import Plan

MOST_SHOTS: Final = 10_000_000

_RUNNABLE: Final = frozenset({"proved", "skeleton", "sampled", "skipped"})


def run(
    plan: Plan,
    *,
    shots: int = 4096,
    method: str = "auto",
    noise: str = "fabric",
    timelines: str | int = "auto",
    observables: Any = None,
    precision: float | None = None,
    background: Sequence[Any] = (),
    store: Store | str | Path | None = None,
    executor: Any = None,
    progress: Progress = None,
    seed: int | None = None,
) -> Result:
    """Return the result of running a plan's emitted circuit: counts, or estimates of observables.

    What runs is ``plan.routed.circuit``: every Bell pair, measurement and correction of it. A circuit without
    measurements is measured at its end, all qubits, into a register "meas".

    A run has parts: a timeline, or a batch of its shots where they take long, or a basis of measurement. The parts and
    their seeds follow from the run alone, so that the result is the same wherever they run. Ctrl-C returns what the
    finished parts give, with bars of that many shots, a warning and ``interrupted``; while no part is finished it is
    raised. An executor or a store that fails on the way is raised, with what the finished parts give as ``partial``.

    Args:
        plan: from ``hyperfabric_q.plan``.
        shots: how many, 1 to 10 million; with observables, of each basis that is measured.
        method: "auto", or one of ``execution.dispatch``: "dynamic", "channel", "clifford", "mps", "exact".
        noise: "fabric" = the errors of the timeline: pairs as old as they are when used, waiting qubits, gates and
            readout; "links" = imperfect pairs only, fresh from their links; "none".
        timelines: how many timelines the shots are spread over; "auto" = one mean timeline where that is exact enough,
            else 64. See ``execution.timelines``.
        observables: SparsePauliOp, Pauli or label, one or several, of the state at the end: bases are rotated and
            measured, and the result has estimates instead of counts.
        precision: standard error of every estimate; shots are added until it is reached.
        background: other traffic on the fabric while the plan runs; see ``distribution.background``.
        store: a ``Store`` or its path: parts that stand in it are not run again, new ones are written to it.
        executor: where parts run, see ``executors.open_engine``; None = in this process, or in a pool of processes
            where that is quicker.
        progress: True = a bar where somebody watches, or a function of (done, total, what).
        seed: the same seed gives the same counts on any number of threads and workers; None = a fresh one, kept in the
            result.

    Raises:
        InvalidValue: an option is not one of the above, or not possible with this circuit and fabric.
        VerificationFailed: the plan's circuit was found to differ from the user's.
        SimulationRefused: too wide for this machine, or hours long.
        StoreUnreadable: the store is none, or cannot be written.
        ExecutorUnreachable: the executor does not answer, or its workers are gone.
        JobPoisoned: a part ended every worker it was given to.
    """
    shots, chosen, seed = _shots(shots), read_noise(noise), resolve(seed)
    _check_method(method)
    aim = wanted_precision(precision)
    _check_asked(plan, observables, precision)
    started = time.perf_counter()
    with Bench(executor, store, progress) as bench:
        complete, reported = measured(plan)
        lines = timelines_of(plan, chosen, wanted=timelines, shots=shots, seed=seed, scatter=aim, background=background)
        if method == "auto":
            method = choose_method(complete, lines, shots=shots, reported=reported)
        asked = _Asked(
            plan=plan, method=method, noise=chosen, shots=shots, seed=seed, background=tuple(background), bench=bench
        )
        if observables is None:
            taken = _counted(asked, complete, reported, lines)
        else:
            taken = _estimated(asked, observables, aim, lines)
        if taken is None:
            raise bench.stopped or KeyboardInterrupt
        result = Result(
            **taken,
            method=method,
            noise=chosen.value,
            plan=plan,
            seed=seed,
            interrupted=bench.ended,
            seconds=time.perf_counter() - started,
        )
    if bench.stopped is not None:
        bench.stopped.partial = result
        raise bench.stopped
    if bench.interrupted:
        warnings.warn(EndedEarly(result.approximations[-1]), stacklevel=2)
    return result


def _check_asked(plan: Plan, observables: Any, precision: float | None) -> None:
    """Refuse what this plan cannot be asked for."""
    if precision is not None and observables is None:
        raise InvalidValue(field="precision", value=precision, rule="it is that of observables, and none are given")
    if observables is not None and plan.reused is not None:
        raise InvalidValue(
            field="observables",
            value=observables,
            rule="the nodes are too small for all qubits at once, so that some are measured and used again: only the "
            "classical bits of the circuit are left at the end",
            remedy="Measure what you need into classical bits, or use larger nodes.",
        )
    if plan.verification.label not in _RUNNABLE:
        raise VerificationFailed(
            what=f"the plan's circuit is not verified ({plan.verification.label}), so it is not run", seed=plan.seed
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """What a run was asked for, checked, and where its parts run."""

    plan: Plan
    method: str
    noise: Noise
    shots: int
    seed: int
    background: tuple[Any, ...]
    bench: Bench


def _counted(
    asked: _Asked, complete: Plan, reported: Sequence[ClassicalRegister], lines: Timelines
) -> dict[str, Any] | None:
    """Return the fields of a result with counts; None where there are none."""
    parts = parts_of(complete, lines, asked.method, shots=asked.shots, seed=asked.seed, reported=reported)
    every = _sampled(asked.bench, parts)
    found = [each for each in every if each is not None]
    if not found:
        return None
    if len(found) < len(every):
        there = tuple(noise for noise, each in zip(lines.noises, every, strict=False) if each is not None)
        lines = replace(lines, noises=there)
    shots = sum(sum(each.counts.values()) for each in found)
    return {
        "counts": _sum_of([each.counts for each in found]),
        "clusters": tuple(each.counts for each in found) if len(found) > 1 else (),
        "registers": tuple((register.name, register.size) for register in reported),
        "shots": shots,
        "errors": lines,
        **_traits(found, lines, early=f"{shots:,} of {asked.shots:,} shots" if asked.bench.ended else ""),
    }


def _estimated(asked: _Asked, observables: Any, precision: float | None, lines: Timelines) -> dict[str, Any] | None:
    """Return the fields of a result with estimates; None where something was not measured at all."""
    found = estimate(
        asked.plan,
        observables,
        shots=asked.shots,
        precision=precision,
        seed=asked.seed,
        timelines=lines,
        draw=lambda count, own: timelines_of(
            asked.plan, asked.noise, wanted=count, shots=MOST_SHOTS, seed=own, background=asked.background
        ),
        take=lambda requests, drawn: _taken(asked, requests, drawn),
    )
    if found is None:
        return None
    traits = _traits(found.samples, found.timelines, early=f"{found.shots:,} shots" if asked.bench.ended else "")
    return {
        "counts": {},
        "registers": (),
        "shots": found.shots,
        "estimates": found.estimates,
        "settings": found.settings,
        "errors": found.timelines,
        **traits,
        "approximations": (*found.notes, *traits["approximations"]),
    }


def _taken(asked: _Asked, requests: Sequence[Request], timelines: Timelines) -> list[list[Sample | None]]:
    """Return the sample of each timeline of each request."""
    wanted: list[list[list[Part]]] = [
        parts_of(
            each.plan,
            timelines,
            asked.method,
            shots=each.shots,
            seed=each.seed,
            reported=[each.register],
            place=each.place,
        )
        for each in requests
    ]
    # Timeline by timeline through all requests: then an interruption leaves something of each.
    order = [own for row in zip_longest(*wanted) for own in row if own is not None]
    found = dict(zip(map(id, order), _sampled(asked.bench, order), strict=True))
    return [[found[id(own)] for own in each] for each in wanted]


def _sampled(bench: Bench, timelines: Sequence[Sequence[Part]]) -> list[Sample | None]:
    """Return the sample of each timeline from its parts; None, or fewer shots, where the run ended early."""
    found = iter(bench.samples([part for own in timelines for part in own]))
    return [merged([next(found) for _ in own]) for own in timelines]


def _traits(samples: Sequence[Sample], timelines: Timelines, *, early: str) -> dict[str, Any]:
    """Return how samples were taken; ``early`` says how far a run came that was ended early."""
    notes = dict.fromkeys(note for each in samples for note in each.approximations)
    if timelines.averaging == "mean" and timelines.neglected > 0:
        notes[
            "one mean timeline: correlations between waits change the distribution by at most "
            f"{timelines.neglected:.1e} (total variation)"
        ] = None
    if timelines.averaging == "sampled" and len(timelines) == 1:
        notes["one timeline serves all shots: the bars do not hold what timelines differ by"] = None
    if early:
        notes[f"ended early, after {early}: the bars are those of what was finished"] = None
    return {
        "simulator": samples[0].method if samples else "none",
        "wires": max((each.wires for each in samples), default=0),
        "approximations": tuple(notes),
    }


def _sum_of(clusters: Sequence[Any]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for each in clusters:
        for key, hits in each.items():
            counts[key] = counts.get(key, 0) + hits
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def _shots(shots: object) -> int:
    if not isinstance(shots, int | np.integer) or isinstance(shots, bool) or not 1 <= shots <= MOST_SHOTS:
        raise InvalidValue(field="shots", value=shots, rule=f"shots is a whole number from 1 to {MOST_SHOTS}")
    return int(shots)


def _check_method(method: object) -> None:
    if method == "auto":
        return
    if not isinstance(method, str) or method not in METHODS:
        known = ", ".join(map(repr, METHODS))
        raise InvalidValue(field="method", value=method, rule=f"method is 'auto' or one of {known}")
    function_of(method)
