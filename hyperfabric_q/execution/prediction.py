"""What fidelity is to be expected, before any shot is taken?

* **process**, up to eight qubits: the fidelity of all that happens to the qubits before they are measured, errors that
  cancel or that nothing sees included, computed exactly where few qubits hold it and from drawn errors elsewhere. The
  interval is to hold what ``process_fidelity`` measures with as many shots 19 times out of 20.
* **hellinger**, for more qubits: the fidelity of the distribution of counts, from the exact distribution with all
  errors where the circuit is narrow and from drawn errors elsewhere. The interval is to hold ``measured_fidelity`` 19
  times out of 20: it is where samples of that distribution fall, their finite size included.
* what remains is a product: the **process** fidelities of all errors, as if none cancelled another. The interval
  reaches from there to 1, and has no coverage.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray
from qiskit import QuantumCircuit
from qiskit.circuit import ClassicalRegister

from hyperfabric_q.errors import SimulationRefused
from hyperfabric_q.execution import process
from hyperfabric_q.execution.aer import exact_chances
from hyperfabric_q.execution.clusters import mean_error
from hyperfabric_q.execution.fidelity import hellinger_range
from hyperfabric_q.execution.mean_outcomes import MOST_BITS, mean_chances, value_of
from hyperfabric_q.execution.measured import measured
from hyperfabric_q.execution.methods import ways
from hyperfabric_q.execution.noise import misread_wires, with_local_noise, with_run_noise
from hyperfabric_q.execution.run_noise import RunNoise
from hyperfabric_q.execution.sample import spell_chances
from hyperfabric_q.seeds import stream

if TYPE_CHECKING:
    from hyperfabric_q.distribution.plan import Plan
    from hyperfabric_q.execution.attribution import Attribution
    from hyperfabric_q.execution.timelines import Timelines

Floats = NDArray[np.float64]

WIDEST: Final = 8
"""Wires of the widest density matrix: 65,536 entries, a fraction of a second."""

_MOST_TIMELINES: Final = 64
_WORK: Final = 1_000_000_000
"""Amplitudes that errors are drawn for, times operations: a few seconds."""

_LEAST_DRAWS, _MOST_DRAWS = 4096, 1 << 16
_BATCHES: Final = 16
_COVERAGE: Final = 0.95
_ENDS: Final = 1.959963984540054


@dataclass(frozen=True, slots=True, kw_only=True)
class Predicted:
    """A predicted fidelity with its kind and an interval.

    Attributes:
        value: the prediction.
        low: lower end.
        high: upper end.
        kind: "hellinger" = of the counts, as ``measured_fidelity``; "process" = of the program as a process, as
            ``process_fidelity``.
        coverage: how often the interval is to hold the measured value; None for a range without a coverage.
    """

    value: float
    low: float
    high: float
    kind: str
    coverage: float | None = None

    def to_dict(self) -> dict[str, float | str | None]:
        """Return the fields, ready for JSON."""
        return {
            "value": self.value,
            "low": self.low,
            "high": self.high,
            "kind": self.kind,
            "coverage": self.coverage,
        }

    def __str__(self) -> str:
        return f"{self.value:.4f} in [{self.low:.4f}, {self.high:.4f}] ({self.kind})"


def predicted_fidelity(
    plan: Plan, errors: Timelines, ideal: Mapping[str, float] | None, *, shots: int, loss: Attribution, seed: int = 0
) -> Predicted:
    """Return what fidelity the errors of a run lead to: of the process up to eight qubits, of the counts beyond.

    Circuits that are no unitary before their measurements have the fidelity of their counts at any width.

    Args:
        plan: what ran.
        errors: of its shots.
        ideal: the exact distribution without errors; None where it is not known, or where nothing was counted.
        shots: of the run.
        loss: of the run.
        seed: of errors that are drawn.
    """
    if plan.qubits <= process.WIDEST:
        unitary = process.unitary_of(plan)
        if unitary is not None:
            return predicted_process(plan, errors, unitary, shots=shots, loss=loss, seed=seed)
    found = None if ideal is None else predicted_counts(plan, errors, ideal, shots=shots, loss=loss, seed=seed)
    return product_of(loss) if found is None else found


def product_of(loss: Attribution) -> Predicted:
    """Return the prediction that is left when nothing but the errors themselves is known."""
    return Predicted(value=1 - loss.infidelity, low=1 - loss.infidelity, high=1.0, kind="process")


def predicted_process(
    plan: Plan, errors: Timelines, unitary: process.Matrix, *, shots: int, loss: Attribution, seed: int = 0
) -> Predicted:
    """Return the process fidelity of a plan, with the interval of ``shots`` shots of ``process_fidelity``.

    Args:
        plan: what runs.
        errors: of its shots.
        unitary: from ``process.unitary_of``.
        shots: of the measurement.
        loss: says how many drawn errors can be afforded.
        seed: of the errors that are drawn.
    """
    noises = errors.noises[:_MOST_TIMELINES]
    draws = _draws(plan, loss)
    inputs = max(8, draws // 64 // len(noises))
    rows = [
        process.sampled_fidelity(
            plan, noise, unitary, inputs=inputs, each=64, rng=stream(seed, "predicted", "process", number)
        )
        for number, noise in enumerate(noises)
    ]
    scores = np.concatenate(rows)
    value, square = scores.mean(axis=0).tolist()
    error = float(scores[:, 0].std(ddof=1)) / math.sqrt(len(scores))
    if len(noises) == 1 and plan.qubits <= process.WIDEST_EXACT:
        with suppress(SimulationRefused):
            value, error = process.exact_fidelity(plan, noises[0], unitary), 0.0
    if len(noises) > 1:
        error = max(error, mean_error([each[:, 0].sum() for each in rows], [inputs] * len(rows)))
    scatter = max(math.sqrt(max(0.0, square - value**2) / shots), math.sqrt(0.5) / (shots + 1))
    half = _ENDS * math.hypot(error, scatter)
    # Every score is at most 1, so is their mean; but errors that are rare may come more often than they are drawn.
    return Predicted(value=value, low=value - half, high=min(1.0, value + half), kind="process", coverage=_COVERAGE)


def predicted_counts(
    plan: Plan, errors: Timelines, ideal: Mapping[str, float], *, shots: int, loss: Attribution, seed: int = 0
) -> Predicted | None:
    """Return the Hellinger fidelity of the counts of a plan; None for more than ``MOST_BITS`` reported bits.

    Args:
        plan: what runs; it is measured at its end if it measures nothing.
        errors: of its shots.
        ideal: the exact distribution without errors.
        shots: of the measurement.
        loss: says how many drawn errors can be afforded.
        seed: of the errors that are drawn.
    """
    complete, reported = measured(plan)
    noises = errors.noises[:_MOST_TIMELINES]
    exact = mean_distribution(complete, noises, reported)
    if exact is not None:
        return predicted_hellinger(ideal, exact, shots=shots, seed=seed)
    bits = sum(register.size for register in reported)
    if bits > MOST_BITS:
        return None
    # Batches, so that their scatter says how well the mean is known.
    per_noise = max(1, -(-_BATCHES // len(noises)))
    each = max(16, _draws(plan, loss) // (per_noise * len(noises)))
    parts = [
        mean_chances(complete, noise, reported, draws=each, rng=stream(seed, "predicted", "counts", number, batch))
        for number, noise in enumerate(noises)
        for batch in range(per_noise)
    ]
    noisy = np.mean(parts, axis=0)
    wanted = np.zeros(1 << bits)
    for key, chance in ideal.items():
        wanted[value_of(key)] = chance
    value = min(1.0, float(np.sqrt(noisy * wanted).sum()) ** 2)
    return _with_range(value, noisy, wanted, shots=shots, seed=seed, error=_linear_error(parts, noisy, wanted))


def _draws(plan: Plan, loss: Attribution) -> int:
    """Return how many draws of the errors are worth their time: each with an error is a state of its own."""
    each = max(loss.infidelity, 0.01) * len(plan.routed.circuit.data) * (1 << plan.qubits)
    return int(min(_MOST_DRAWS, max(_LEAST_DRAWS, _WORK / each)))


def _linear_error(parts: Sequence[Floats], mean: Floats, wanted: Floats) -> float:
    """Return the standard error of the fidelity of a mean distribution, by the delta method over its parts."""
    if len(parts) < 2:
        return 0.0
    seen = (wanted > 0) & (mean > 0)
    root = np.sqrt(mean[seen] * wanted[seen]).sum()
    slope = root * np.sqrt(wanted[seen] / mean[seen])
    values = np.array([slope @ part[seen] for part in parts])
    return float(values.std(ddof=1)) / math.sqrt(len(parts))


def predicted_hellinger(
    ideal: Mapping[str, float], noisy: Mapping[str, float], *, shots: int, seed: int = 0
) -> Predicted:
    """Return the Hellinger fidelity of two exact distributions, with the interval of ``shots`` shots.

    Args:
        ideal: without errors.
        noisy: with them.
        shots: of the measurement.
        seed: of the samples that say where a measured figure falls.
    """
    keys = sorted({*ideal, *noisy})
    q, p = (np.array([each.get(key, 0.0) for key in keys]) for each in (ideal, noisy))
    value = min(1.0, float(np.sqrt(p * q).sum()) ** 2)
    return _with_range(value, p, q, shots=shots, seed=seed, error=0.0)


def _with_range(value: float, noisy: Floats, ideal: Floats, *, shots: int, seed: int, error: float) -> Predicted:
    mean, low, high = hellinger_range(noisy / noisy.sum(), ideal, shots, coverage=_COVERAGE, seed=seed)
    least = _ENDS * max(error, math.sqrt(0.5) / (shots + 1))
    low = max(0.0, mean - math.hypot(mean - low, least))
    high = min(1.0, mean + math.hypot(high - mean, least))
    return Predicted(value=value, low=low, high=high, kind="hellinger", coverage=_COVERAGE)


def exact_distribution(plan: Plan, noise: RunNoise, reported: Sequence[ClassicalRegister]) -> dict[str, float] | None:
    """Return the exact distribution over registers of the emitted circuit with its errors; None where it is too wide.

    It is None as well where the circuit has no deferred form: feed-forward on a reported bit, for one.
    """
    routed = plan.routed
    circuit = routed.circuit
    if noise.local and misread_wires(circuit, routed.node_of, plan.fabric, routed.places):
        return None
    noisy = with_run_noise(circuit, noise)
    if noise.local:
        noisy = with_local_noise(noisy, routed.node_of, plan.fabric, routed.places)
    try:
        found = [way for way in ways(noisy, shots=1, reported=reported, misread={}) if way.method == "density_matrix"]
    except SimulationRefused:
        return None
    if not found or found[0].circuit.num_qubits > WIDEST or not _measures_last(found[0].circuit):
        return None
    chances = exact_chances(found[0].circuit)
    place = {bit: position for position, bit in enumerate(circuit.clbits)}
    return spell_chances(chances, [[place[bit] for bit in register] for register in reported])


def _measures_last(circuit: QuantumCircuit) -> bool:
    """Whether nothing follows a measurement on its qubit, and no bit is written twice."""
    ended: set[object] = set()
    for step in circuit.data:
        if ended.intersection((*step.qubits, *step.clbits)):
            return False
        if step.operation.name == "measure":
            ended.update((*step.qubits, *step.clbits))
    return True


def mean_distribution(
    plan: Plan, noises: Sequence[RunNoise], reported: Sequence[ClassicalRegister]
) -> dict[str, float] | None:
    """Return the mean of the exact distributions of all timelines; None where one of them is too wide."""
    every: dict[str, float] = {}
    for noise in noises[:_MOST_TIMELINES]:
        found = exact_distribution(plan, noise, reported)
        if found is None:
            return None
        for key, chance in found.items():
            every[key] = every.get(key, 0.0) + chance / min(len(noises), _MOST_TIMELINES)
    return every
