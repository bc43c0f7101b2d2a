"""What did distribution cost? The ideal, the distributed and the undistributed run, side by side."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final

from hyperfabric_q.errors import InvalidValue, SimulationRefused
from hyperfabric_q.estimate import proportion
from hyperfabric_q.execution.clusters import fidelity_over
from hyperfabric_q.execution.fidelity import Fidelity, hellinger_fidelity
from hyperfabric_q.execution.measured import measures
from hyperfabric_q.execution.noise import Noise, fresh_errors
from hyperfabric_q.execution.result import WIDEST_IDEAL, Result
from hyperfabric_q.execution.sample import sample, with_final_measurements
from hyperfabric_q.registry import late
from hyperfabric_q.seeds import word

SCHEMA: Final = "hyperfabric_q/comparison/1"
_SHOWN: Final = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Three columns over the same outcomes.

    Attributes:
        ideal: the exact distribution of the user's circuit, without any noise.
        distributed: counts of the run that is compared.
        undistributed: counts of the user's circuit on the same nodes' hardware without a single Bell pair: each
            qubit stays at its home with that node's gate and readout errors, and a two-qubit gate between two homes
            is done directly, with the worse of both nodes' errors. What this column has over ``distributed`` is the
            price of distribution.
        distributed_fidelity: Hellinger fidelity of ``distributed`` to ``ideal``.
        undistributed_fidelity: the same of ``undistributed``.
        shots: of each of the two runs.
        noise: of both: "fabric"; with "links" or "none" the undistributed run has no noise left and scatters only.
        seed: of the distributed run; the other one's is derived from it.
    """

    ideal: Mapping[str, float]
    distributed: Mapping[str, int]
    undistributed: Mapping[str, int]
    distributed_fidelity: Fidelity
    undistributed_fidelity: Fidelity
    shots: int
    noise: str
    seed: int

    @property
    def outcomes(self) -> tuple[str, ...]:
        """Every outcome of any column, the most likely first: by the ideal, then by the runs."""
        every = {*self.ideal, *self.distributed, *self.undistributed}

        def rank(key: str) -> tuple[float, int, str]:
            # Outcomes of equal chance stand in order of their keys, neither of rounding errors nor of luck.
            chance = round(self.ideal.get(key, 0.0), 9)
            return -chance, 0 if chance else -self.distributed.get(key, 0) - self.undistributed.get(key, 0), key

        return tuple(sorted(every, key=rank))

    def to_dict(self) -> dict[str, Any]:
        """Return the columns as JSON-ready values, schema ``hyperfabric_q/comparison/1``."""
        return {
            "schema": SCHEMA,
            "ideal": dict(self.ideal),
            "distributed": dict(self.distributed),
            "undistributed": dict(self.undistributed),
            "distributed_fidelity": self.distributed_fidelity.to_dict(),
            "undistributed_fidelity": self.undistributed_fidelity.to_dict(),
            "shots": self.shots,
            "noise": self.noise,
            "seed": self.seed,
        }

    def __str__(self) -> str:
        rows: list[tuple[str, ...]] = [("outcome", "ideal", "distributed", "undistributed")]
        outcomes = self.outcomes
        for key in islice(outcomes, _SHOWN):
            runs = (
                str(proportion(column.get(key, 0), self.shots)) for column in (self.distributed, self.undistributed)
            )
            rows.append((key, f"{self.ideal.get(key, 0.0):.4f}", *runs))
        ours, theirs = self.distributed_fidelity, self.undistributed_fidelity
        rows.append(("fidelity", "1", *(str(each).partition(" (")[0] for each in (ours, theirs))))
        widths = [max(len(row[column]) for row in rows) for column in range(4)]
        lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
        lines.insert(1, "  ".join("-" * width for width in widths))
        if len(outcomes) > _SHOWN:
            lines.insert(-1, f"({len(outcomes) - _SHOWN} more)")
        lines.append(
            f"{self.shots} shots each, noise {self.noise}; {ours.kind} fidelity to the ideal column, ± 1 standard error"
        )
        return "\n".join(lines)

    def __repr__(self) -> str:
        return (
            f"<Comparison: {self.shots} shots, noise {self.noise!r}, fidelity to the ideal: "
            f"distributed {self.distributed_fidelity}, undistributed {self.undistributed_fidelity}>"
        )

    def _repr_html_(self) -> str:
        html: str = late("comparison.html")(self)
        return html


def compare(result: Result) -> Comparison:
    """Return a run beside the ideal distribution and beside the undistributed circuit, which is run now.

    Raises:
        InvalidValue: the run has no counts.
        SimulationRefused: the ideal distribution is too large to compute.
    """
    plan = result.plan
    if not result.counts:
        rule = "only counts stand beside an ideal distribution, and this run has estimates of observables"
        raise InvalidValue(field="result", value=result, rule=rule)
    if result.ideal is None:
        raise SimulationRefused(
            asked="comparing with the ideal distribution",
            found=f"the circuit has more than {WIDEST_IDEAL} qubits alive at once, or too many measurement branches",
            remedy="result.counts and result.probabilities stand on their own.",
        )
    circuit = plan.program.to_circuit()
    reported = list(circuit.cregs)
    if not measures(plan.program):
        circuit, register = with_final_measurements(circuit, range(plan.program.qubits))
        reported.append(register)
    seed = word(result.seed, "undistributed")
    undistributed = sample(
        circuit,
        node_of=plan.homes,
        fabric=plan.fabric,
        noise=fresh_errors(circuit, plan.homes, plan.fabric, Noise(result.noise)),
        shots=result.shots,
        seed=seed,
        reported=reported,
    ).counts
    return Comparison(
        ideal=result.ideal,
        distributed=result.counts,
        undistributed=undistributed,
        distributed_fidelity=fidelity_over(
            result.counts, result.clusters, result.ideal, seed=result.seed, paired=not result.interrupted
        ),
        undistributed_fidelity=hellinger_fidelity(undistributed, result.ideal, seed=seed),
        shots=result.shots,
        noise=result.noise,
        seed=result.seed,
    )
