"""A plan in, a result out."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from qiskit.circuit import ClassicalRegister

from hyperfabric_q.errors import InvalidValue, VerificationFailed
from hyperfabric_q.execution.dispatch import METHODS, choose_method, function_of
from hyperfabric_q.execution.estimating import estimate, wanted_precision
from hyperfabric_q.execution.measured import measured
from hyperfabric_q.execution.noise import Noise
from hyperfabric_q.execution.result import Result
from hyperfabric_q.execution.sample import Sample
from hyperfabric_q.execution.timelines import Timelines, timelines_of
from hyperfabric_q.seeds import resolve, word

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
    seed: int | None = None,
) -> Result:
    """Return the result of running a plan's emitted circuit: counts, or estimates of observables.

    What runs is ``plan.routed.circuit``: every Bell pair, measurement and correction of it. A circuit without
    measurements is measured at its end, all qubits, into a register "meas".

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
        seed: the same seed gives the same counts on any number of threads; None = a fresh one, kept in the result.

    Raises:
        InvalidValue: an option is not one of the above, or not possible with this circuit and fabric.
        VerificationFailed: the plan's circuit was found to differ from the user's.
        SimulationRefused: too wide for this machine, or hours long.
    """
    shots, chosen, seed = _shots(shots), _noise(noise), resolve(seed)
    _check_method(method)
    aim = wanted_precision(precision)
    if aim is not None and observables is None:
        raise InvalidValue(field="precision", value=precision, rule="it is that of observables, and none are given")
    if plan.verification.label not in _RUNNABLE:
        raise VerificationFailed(
            what=f"the plan's circuit is not verified ({plan.verification.label}), so it is not run", seed=plan.seed
        )
    started = time.perf_counter()
    complete, reported = measured(plan)
    lines = timelines_of(plan, chosen, wanted=timelines, shots=shots, seed=seed, scatter=aim)
    if method == "auto":
        method = choose_method(complete, lines, shots=shots, reported=reported)
    asked = _Asked(plan=plan, method=method, noise=chosen, shots=shots, seed=seed)
    if observables is None:
        taken = _counted(asked, complete, reported, lines)
    else:
        taken = _estimated(asked, observables, aim, lines)
    return Result(
        **taken, method=method, noise=chosen.value, plan=plan, seed=seed, seconds=time.perf_counter() - started
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """What a run was asked for, checked."""

    plan: Plan
    method: str
    noise: Noise
    shots: int
    seed: int


def _counted(asked: _Asked, complete: Plan, reported: Sequence[ClassicalRegister], lines: Timelines) -> dict[str, Any]:
    """Return the fields of a result with counts."""
    found = take(complete, lines, asked.method, shots=asked.shots, seed=asked.seed, reported=reported)
    return {
        "counts": _sum_of([each.counts for each in found]),
        "clusters": tuple(each.counts for each in found) if len(found) > 1 else (),
        "registers": tuple((register.name, register.size) for register in reported),
        "shots": asked.shots,
        "errors": lines,
        **_traits(found, lines),
    }


def _estimated(asked: _Asked, observables: Any, precision: float | None, lines: Timelines) -> dict[str, Any]:
    """Return the fields of a result with estimates."""
    found = estimate(
        asked.plan,
        observables,
        shots=asked.shots,
        precision=precision,
        seed=asked.seed,
        timelines=lines,
        draw=lambda count, own: timelines_of(asked.plan, asked.noise, wanted=count, shots=MOST_SHOTS, seed=own),
        take=lambda turned, drawn, shots, own, registers: take(
            turned, drawn, asked.method, shots=shots, seed=own, reported=registers
        ),
    )
    return {
        "counts": {},
        "registers": (),
        "shots": found.shots,
        "estimates": found.estimates,
        "settings": found.settings,
        "errors": found.timelines,
        **_traits(found.samples, found.timelines),
    }


def take(
    plan: Plan,
    timelines: Timelines,
    method: str,
    *,
    shots: int,
    seed: int,
    reported: Sequence[ClassicalRegister],
) -> list[Sample]:
    """Return the sample of each timeline that has shots.

    Args:
        plan: what runs, measurements included.
        timelines: its errors.
        method: a name in ``execution.dispatch``.
        shots: of all timelines together.
        seed: of everything that is drawn.
        reported: registers of the circuit.
    """
    function = function_of(method)
    single = len(timelines) == 1
    return [
        function(plan, noise, shots=share, seed=seed if single else word(seed, "timeline", number), reported=reported)
        for number, (noise, share) in enumerate(timelines.shares(shots))
        if share
    ]


def _traits(samples: Sequence[Sample], timelines: Timelines) -> dict[str, Any]:
    notes = dict.fromkeys(note for each in samples for note in each.approximations)
    if timelines.averaging == "mean" and timelines.neglected > 0:
        notes[
            "one mean timeline: correlations between waits change the distribution by at most "
            f"{timelines.neglected:.1e} (total variation)"
        ] = None
    if timelines.averaging == "sampled" and len(timelines) == 1:
        notes["one timeline serves all shots: the bars do not hold what timelines differ by"] = None
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


def _noise(noise: object) -> Noise:
    try:
        return Noise(noise)
    except ValueError:
        known = ", ".join(repr(each.value) for each in Noise)
        raise InvalidValue(field="noise", value=noise, rule=f"noise is one of {known}") from None


def _check_method(method: object) -> None:
    if method == "auto":
        return
    if not isinstance(method, str) or method not in METHODS:
        known = ", ".join(map(repr, METHODS))
        raise InvalidValue(field="method", value=method, rule=f"method is 'auto' or one of {known}")
    function_of(method)
