"""What a run returned."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray
from qiskit.primitives import BitArray, DataBin

from hyperfabric_q.errors import InvalidValue, SimulationRefused
from hyperfabric_q.estimate import Estimate
from hyperfabric_q.execution.attribution import Attribution, attribution_of
from hyperfabric_q.execution.clock_noise import fresh_noise
from hyperfabric_q.execution.clusters import fidelity_over
from hyperfabric_q.execution.fidelity import Fidelity
from hyperfabric_q.execution.measured import measured, measures
from hyperfabric_q.execution.noise import Noise
from hyperfabric_q.execution.prediction import Predicted, predicted_fidelity
from hyperfabric_q.execution.sample import with_final_measurements
from hyperfabric_q.execution.shares import Probabilities
from hyperfabric_q.execution.shot_times import ShotTimes, shot_times
from hyperfabric_q.registry import late
from hyperfabric_q.simulate import probabilities

if TYPE_CHECKING:
    from hyperfabric_q.distribution.plan import Plan
    from hyperfabric_q.execution.compare import Comparison
    from hyperfabric_q.execution.timelines import Timelines

__all__ = ["SCHEMA", "WIDEST_IDEAL", "Result", "measures"]

SCHEMA: Final = "hyperfabric_q/result/1"
WIDEST_IDEAL: Final = 20
"""Qubits up to which the exact distribution is computed: a million outcomes at most."""

_SHOWN: Final = 8


# Without slots, unlike other values: what costs a computation is kept once computed.
@dataclass(frozen=True, kw_only=True)
class Result:
    """Counts of one run of a plan, with everything needed to repeat and to judge it.

    Attributes:
        counts: shots per outcome of the user's own classical registers, the most frequent first; keys in Qiskit's
            order: last register first, spaces between registers, bit 0 of each register on the right. A circuit without
            measurements is measured at its end into a register "meas". A plain dict, for Qiskit's own functions.
        registers: name and size of each register in ``counts``, first register first.
        shots: how many.
        seed: repeats the run, on any number of threads.
        noise: "fabric", "links" or "none".
        method: how it was executed: "dynamic", "channel", "clifford", "mps" or "exact".
        wires: the most qubits that were simulated at once.
        plan: what was run.
        seconds: wall time of the run.
        simulator: what simulated it; for "dynamic", Aer's method.
        errors: those of the shots, timeline by timeline.
        clusters: counts of each timeline, if there are several; all bars are robust against what timelines differ by.
        estimates: of the observables, instead of counts.
        settings: how many bases were measured for them.
        approximations: what was not exact, one sentence each; empty = nothing.
        interrupted: whether the run was ended before all shots were taken; ``shots`` are those that were.
    """

    counts: Mapping[str, int]
    registers: tuple[tuple[str, int], ...]
    shots: int
    seed: int
    noise: str
    method: str
    wires: int
    plan: Plan = field(repr=False, compare=False)
    seconds: float = field(compare=False)
    simulator: str = ""
    errors: Timelines | None = field(default=None, repr=False, compare=False)
    clusters: tuple[Mapping[str, int], ...] = field(default=(), repr=False)
    estimates: tuple[Estimate, ...] | None = None
    settings: int = 0
    approximations: tuple[str, ...] = ()
    interrupted: bool = False

    def __post_init__(self) -> None:
        total = sum(self.counts.values())
        if self.estimates is None and total != self.shots:
            raise InvalidValue(field="counts", value=total, rule=f"the counts of {self.shots} shots sum to that number")

    @cached_property
    def data(self) -> Any:
        """The shots as Qiskit's ``DataBin``: ``result.data.<register>`` is a ``BitArray``.

        Shot i is the same shot in every register; shots are grouped by outcome, not in the order they were taken.
        """
        hits = list(self.counts.values())
        parts = [key.split(" ")[::-1] for key in self.counts]
        columns = {}
        for place, (name, size) in enumerate(self.registers):
            if size:
                width = (size + 7) // 8
                octets = b"".join(int(part[place], 2).to_bytes(width, "big") for part in parts)
                values = np.frombuffer(octets, dtype=np.uint8).reshape(-1, width)
                columns[name] = BitArray(np.repeat(values, hits, axis=0), size)
        return DataBin(**columns)

    @property
    def probabilities(self) -> Mapping[str, Estimate]:
        """The share of each outcome, with its standard error; outcomes never seen have a share and a bar as well."""
        return Probabilities(self.counts, self.clusters, paired=not self.interrupted)

    @cached_property
    def ideal(self) -> Mapping[str, float] | None:
        """The exact distribution of the user's circuit without noise; None where it is too large to compute."""
        circuit = self.plan.circuit
        if not measures(self.plan.program):
            circuit, _ = with_final_measurements(circuit, range(circuit.num_qubits))
        try:
            return probabilities(circuit, max_wires=WIDEST_IDEAL)
        except SimulationRefused:
            return None

    @cached_property
    def measured_fidelity(self) -> Fidelity | None:
        """The Hellinger fidelity of the counts to ``ideal``, with its bar; None without counts or without ``ideal``."""
        if not self.counts or self.ideal is None:
            return None
        return fidelity_over(self.counts, self.clusters, self.ideal, seed=self.seed, paired=not self.interrupted)

    @cached_property
    def predicted_fidelity(self) -> Predicted | None:
        """What fidelity the errors of this run lead to, with its kind and interval; see ``execution.prediction``.

        Computed without the counts, by one small density matrix per timeline where the circuit is narrow enough. None
        for a run whose errors were not kept.
        """
        if self.errors is None:
            return None
        return predicted_fidelity(
            self.plan, self.errors, self.ideal if self.counts else None, shots=self.shots, loss=self.attribution
        )

    @cached_property
    def attribution(self) -> Attribution:
        """Where fidelity is lost: by link, waiting pair, node and cause; see ``execution.attribution``."""
        complete, _ = measured(self.plan)
        fresh = fresh_noise(complete, Noise(self.noise))
        if self.errors is None:
            return attribution_of(complete, fresh, fresh)
        return attribution_of(complete, self.errors.mean, fresh, self.errors.noises)

    @property
    def timelines(self) -> int:
        """How many timelines were simulated; 1 where one mean, or the only one, serves all shots."""
        return 1 if self.errors is None else len(self.errors)

    @property
    def averaging(self) -> str:
        """How timelines became errors: "none" (no time passes), "constant", "mean" or "sampled"; see ``timelines``."""
        return "none" if self.errors is None else self.errors.averaging

    @cached_property
    def shot_ns(self) -> ShotTimes | None:
        """How long one shot takes on the clock of the fabric: mean, p50 and p99; None where the clock refuses it."""
        return shot_times(self.plan, self.errors, seed=self.seed)

    @property
    def job_ns(self) -> float | None:
        """How long all shots take one after another, resets between them included; None where the clock refuses."""
        return None if self.shot_ns is None else self.shot_ns.job_ns(self.shots)

    @property
    def ebits(self) -> int:
        """Bell pairs that each shot consumes."""
        return self.plan.ebits

    @property
    def gamma(self) -> float:
        """Square root of the sampling overhead: 1, since Bell pairs cost no shots."""
        return 1.0

    @property
    def makespan_ns(self) -> float | None:
        """How long one shot takes on average, its reset not counted; None where the clock refuses it."""
        return None if self.shot_ns is None else self.shot_ns.mean

    @property
    def evs(self) -> NDArray[np.float64]:
        """The values of the estimates, in the order of the observables."""
        return np.array([each.value for each in self.estimates or ()], dtype=np.float64)

    @property
    def stds(self) -> NDArray[np.float64]:
        """The standard errors of the estimates, in the order of the observables."""
        return np.array([each.stderr for each in self.estimates or ()], dtype=np.float64)

    @property
    def way(self) -> str:
        """The method, and what simulated it where that has another name."""
        other = self.simulator and self.simulator != self.method
        return f"{self.method}: {self.simulator}" if other else self.method

    def compare(self) -> Comparison:
        """Return this run beside the ideal distribution and the undistributed circuit; see ``execution.compare``."""
        comparison: Comparison = late("result.compare")(self)
        return comparison

    def to_dict(self) -> dict[str, Any]:
        """Return the run as JSON-ready values, schema ``hyperfabric_q/result/1``; computes what is not known yet."""
        fidelity, predicted = self.measured_fidelity, self.predicted_fidelity
        return {
            "schema": SCHEMA,
            "counts": dict(self.counts),
            "registers": [{"name": name, "size": size} for name, size in self.registers],
            "shots": self.shots,
            "seed": self.seed,
            "noise": self.noise,
            "method": self.method,
            "simulator": self.simulator,
            "wires": self.wires,
            "timelines": self.timelines,
            "averaging": self.averaging,
            "approximations": list(self.approximations),
            "interrupted": self.interrupted,
            "seconds": round(self.seconds, 6),
            "ebits": self.ebits,
            "gamma": self.gamma,
            "makespan_ns": self.makespan_ns,
            "estimates": None if self.estimates is None else [each.to_dict() for each in self.estimates],
            "shot_ns": None if self.shot_ns is None else self.shot_ns.to_dict(),
            "job_ns": self.job_ns,
            "measured_fidelity": None if fidelity is None else fidelity.to_dict(),
            "predicted_fidelity": None if predicted is None else predicted.to_dict(),
            "attribution": self.attribution.to_dict(),
            "plan": self.plan.to_dict(),
        }

    def __str__(self) -> str:
        way = self.way
        lines = [f"{self.shots} shots, noise {self.noise}, seed {self.seed} ({way}, {self.wires} wires)"]
        if self.timelines > 1:
            lines.append(f"{self.timelines} timelines; the bars are robust against what they differ by")
        lines += [f"  {number}: {each}" for number, each in enumerate(self.estimates or ())]
        shares = self.probabilities
        lines += [f"  {key}  {shares[key]}" for key in islice(self.counts, _SHOWN)]
        if len(self.counts) > _SHOWN:
            lines.append(f"  and {len(self.counts) - _SHOWN} more outcomes")
        lines += [f"not exact: {note}" for note in self.approximations]
        return "\n".join(lines)

    def __repr__(self) -> str:
        if self.estimates is not None:
            values = ", ".join(str(each) for each in self.estimates[:4]) + (", ..." if len(self.estimates) > 4 else "")
            return f"<Result: {self.shots} shots, noise {self.noise!r}, seed {self.seed}, estimates {values}>"
        top = ", ".join(f"{key!r}: {hits}" for key, hits in islice(self.counts.items(), 4))
        more = ", ..." if len(self.counts) > 4 else ""
        return f"<Result: {self.shots} shots, noise {self.noise!r}, seed {self.seed}, counts {{{top}{more}}}>"

    def _repr_html_(self) -> str:
        html: str = late("result.html")(self)
        return html
