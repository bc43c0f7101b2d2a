"""What fidelity is to be expected, before any shot is taken?

* **hellinger**, where the emitted circuit is narrow: the exact distribution over the reported bits, every error
  included, from one density matrix per timeline; its Hellinger fidelity to the ideal distribution, and the interval
  in which the figure measured with these shots lies 19 times out of 20.
* **process**, elsewhere: the product of the process fidelities of all errors, as if none cancelled another. The
  interval reaches from there to 1, where errors cancel or no measurement sees them; it has no stated coverage.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from qiskit.circuit import ClassicalRegister

from hyperfabric_q.errors import SimulationRefused
from hyperfabric_q.execution.aer import exact_chances
from hyperfabric_q.execution.measured import measured
from hyperfabric_q.execution.methods import ways
from hyperfabric_q.execution.noise import misread_wires, with_local_noise, with_run_noise
from hyperfabric_q.execution.run_noise import RunNoise
from hyperfabric_q.execution.sample import spell_chances

if TYPE_CHECKING:
    from hyperfabric_q.distribution.plan import Plan
    from hyperfabric_q.execution.attribution import Attribution
    from hyperfabric_q.execution.timelines import Timelines

WIDEST: Final = 8
"""Wires of the widest density matrix: 65,536 entries, a fraction of a second."""

_MOST_TIMELINES: Final = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Predicted:
    """A predicted fidelity with its kind and an interval.

    Of kind "hellinger", the interval is to hold the measured value 19 times out of 20; of kind "process", it is a range
    without a coverage.

    Attributes:
        value: the prediction.
        low: lower end.
        high: upper end.
        kind: "hellinger" = of the counts, as ``measured_fidelity``; "process" = of the whole program as a process.
    """

    value: float
    low: float
    high: float
    kind: str

    def to_dict(self) -> dict[str, float | str]:
        """Return the fields, ready for JSON."""
        return {"value": self.value, "low": self.low, "high": self.high, "kind": self.kind}

    def __str__(self) -> str:
        return f"{self.value:.4f} in [{self.low:.4f}, {self.high:.4f}] ({self.kind})"


def predicted_fidelity(
    plan: Plan, errors: Timelines, ideal: Mapping[str, float] | None, *, shots: int, loss: Attribution
) -> Predicted:
    """Return what fidelity the errors of a run lead to.

    Args:
        plan: what ran.
        errors: of its shots.
        ideal: the exact distribution without errors; None where it is not known, or where nothing was counted.
        shots: of the run.
        loss: of the run.
    """
    if ideal is not None:
        complete, reported = measured(plan)
        found = mean_distribution(complete, errors.noises, reported)
        if found is not None:
            return predicted_hellinger(ideal, found, shots=shots)
    return predicted_process(loss.infidelity)


def predicted_process(infidelity: float) -> Predicted:
    """Return the prediction that is left when nothing but the errors themselves is known."""
    return Predicted(value=1 - infidelity, low=1 - infidelity, high=1.0, kind="process")


def predicted_hellinger(ideal: Mapping[str, float], noisy: Mapping[str, float], *, shots: int) -> Predicted:
    """Return the Hellinger fidelity of two exact distributions, with the interval of ``shots`` shots.

    Args:
        ideal: without errors.
        noisy: with them.
        shots: of the measurement.
    """
    value = min(1.0, sum(math.sqrt(chance * noisy.get(key, 0.0)) for key, chance in ideal.items()) ** 2)
    error = max(math.sqrt(value * (1 - value) / shots), math.sqrt(0.5) / (shots + 1))
    return Predicted(
        value=value, low=max(0.0, value - 1.96 * error), high=min(1.0, value + 1.96 * error), kind="hellinger"
    )


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
    if not found or found[0].circuit.num_qubits > WIDEST:
        return None
    chances = exact_chances(found[0].circuit)
    place = {bit: position for position, bit in enumerate(circuit.clbits)}
    return spell_chances(chances, [[place[bit] for bit in register] for register in reported])


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
