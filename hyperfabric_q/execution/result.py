"""What a run returned."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from qiskit.primitives import BitArray, DataBin

from hyperfabric_q.distribution.program import Kind, Program
from hyperfabric_q.errors import InvalidValue, SimulationRefused
from hyperfabric_q.estimate import Estimate, proportion
from hyperfabric_q.execution.fidelity import Fidelity, hellinger_fidelity
from hyperfabric_q.execution.sample import with_final_measurements
from hyperfabric_q.registry import late
from hyperfabric_q.simulate import probabilities

if TYPE_CHECKING:
    from hyperfabric_q.distribution.plan import Plan
    from hyperfabric_q.execution.compare import Comparison

SCHEMA: Final = "hyperfabric_q/result/1"
WIDEST_IDEAL: Final = 20
"""Qubits up to which the exact distribution is computed: a million outcomes at most."""

_SHOWN: Final = 8


class Probabilities(Mapping[str, Estimate]):
    """The share of each outcome with its bar; an outcome that was never seen has share 0, and a bar too."""

    def __init__(self, counts: Mapping[str, int], shots: int) -> None:
        """Read the shares of ``counts``."""
        self._counts = counts
        self._shots = shots

    def __getitem__(self, outcome: str) -> Estimate:
        """Return the share of an outcome.

        Raises:
            KeyError: no outcome of these registers is written like that.
        """
        if outcome not in self._counts and not self._could_be(outcome):
            raise KeyError(outcome)
        return proportion(self._counts.get(outcome, 0), self._shots)

    def __iter__(self) -> Iterator[str]:
        """Iterate over the outcomes seen, the most frequent first."""
        return iter(self._counts)

    def __len__(self) -> int:
        """Return how many outcomes were seen."""
        return len(self._counts)

    def __repr__(self) -> str:
        return "{" + ", ".join(f"{key!r}: {self[key]}" for key in self) + "}"

    def _could_be(self, outcome: object) -> bool:
        shape = str.maketrans("1", "0")
        return isinstance(outcome, str) and outcome.translate(shape) == next(iter(self._counts)).translate(shape)


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
        method: Aer's method; the quickest by prediction.
        wires: the most qubits that were simulated at once.
        plan: what was run.
        seconds: wall time of the run.
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

    def __post_init__(self) -> None:
        total = sum(self.counts.values())
        if total != self.shots:
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
        return Probabilities(self.counts, self.shots)

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
        """The Hellinger fidelity of the counts to ``ideal``, with its bar; None where there is no ``ideal``."""
        return None if self.ideal is None else hellinger_fidelity(self.counts, self.ideal, seed=self.seed)

    def compare(self) -> Comparison:
        """Return this run beside the ideal distribution and the undistributed circuit; see ``execution.compare``."""
        comparison: Comparison = late("result.compare")(self)
        return comparison

    def to_dict(self) -> dict[str, Any]:
        """Return the run as JSON-ready values, schema ``hyperfabric_q/result/1``; computes ``measured_fidelity``."""
        fidelity = self.measured_fidelity
        return {
            "schema": SCHEMA,
            "counts": dict(self.counts),
            "registers": [{"name": name, "size": size} for name, size in self.registers],
            "shots": self.shots,
            "seed": self.seed,
            "noise": self.noise,
            "method": self.method,
            "wires": self.wires,
            "seconds": round(self.seconds, 6),
            "measured_fidelity": None if fidelity is None else fidelity.to_dict(),
            "plan": self.plan.to_dict(),
        }

    def __str__(self) -> str:
        shares = self.probabilities
        lines = [f"{self.shots} shots, noise {self.noise}, seed {self.seed} (Aer {self.method}, {self.wires} wires)"]
        lines += [f"  {key}  {shares[key]}" for key in islice(self.counts, _SHOWN)]
        if len(self.counts) > _SHOWN:
            lines.append(f"  and {len(self.counts) - _SHOWN} more outcomes")
        return "\n".join(lines)

    def __repr__(self) -> str:
        top = ", ".join(f"{key!r}: {hits}" for key, hits in islice(self.counts.items(), 4))
        more = ", ..." if len(self.counts) > 4 else ""
        return f"<Result: {self.shots} shots, noise {self.noise!r}, seed {self.seed}, counts {{{top}{more}}}>"

    def _repr_html_(self) -> str:
        html: str = late("result.html")(self)
        return html


def measures(program: Program) -> bool:
    """Return whether the user's circuit measures anything."""
    return bool((program.kind == Kind.MEASURE).any())
