"""A circuit with every crossing served in the way that is best for it: teleported, corrected or cut."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from qiskit import QuantumCircuit
from qiskit.quantum_info import SparsePauliOp

from hyperfabric_q import seeds
from hyperfabric_q.convert import accept
from hyperfabric_q.cutting import allocation
from hyperfabric_q.cutting.answers import Answers, label_of
from hyperfabric_q.cutting.observables import measure, read_observables
from hyperfabric_q.cutting.subexperiments import make_subexperiments
from hyperfabric_q.cutting.trim import trimmed
from hyperfabric_q.errors import InvalidValue, UnknownName
from hyperfabric_q.execution.noise import read_noise
from hyperfabric_q.fabric import Fabric, fields
from hyperfabric_q.mixing.choose import OBJECTIVES, Budget, Candidate, Choice, choose
from hyperfabric_q.mixing.crossings import Crossing, cut_crossings, pair_crossings
from hyperfabric_q.mixing.forecast import Forecast
from hyperfabric_q.mixing.laws import NodeLaws
from hyperfabric_q.mixing.stage import Stage
from hyperfabric_q.mixing.ways import METHODS, Impossible

SCHEMA: Final = "hyperfabric_q/mixed/1"
MOST_SHOTS: Final = 100_000_000
MOST_PAIRS: Final = 10_000_000
LONGEST_NS: Final = 1e15

_SHOWN: Final = 8


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class MixedPlan:
    """A circuit on a fabric, its crossings teleported, corrected or cut, whichever is forecast to be best.

    Attributes:
        circuit: as it was given.
        fabric: where it runs.
        choice: everything that was looked at, ranked.
        observables: that it is planned for.
        labels: the same in short.
        objective: what it was chosen by.
        budget: what it may take.
        noise: the errors that were reckoned with.
        seconds: time spent planning.
        seed: reproduces the plan.
    """

    circuit: QuantumCircuit
    fabric: Fabric
    choice: Choice = field(repr=False)
    observables: tuple[SparsePauliOp, ...] = field(repr=False)
    labels: tuple[str, ...]
    objective: str
    budget: Budget
    noise: str
    seconds: float
    seed: int

    @property
    def chosen(self) -> Candidate:
        """The best way."""
        return self.choice.candidates[0]

    @property
    def rejected(self) -> Candidate | None:
        """The best alternative; None if there was no other."""
        return self.choice.candidates[1] if len(self.choice.candidates) > 1 else None

    @property
    def impossible(self) -> tuple[Impossible, ...]:
        """What there is no way to do, and why."""
        return self.choice.impossible

    @property
    def predicted(self) -> Forecast:
        """What a run is expected to end with."""
        return self.chosen.forecast

    @property
    def ebits(self) -> int:
        """Bell pairs of one shot of the circuit that takes most."""
        return self.predicted.ebits

    @property
    def gamma(self) -> float:
        """What cuts and corrections multiply the standard error by."""
        return self.predicted.gamma

    @property
    def makespan_ns(self) -> float | None:
        """Time of one shot of the circuit that takes longest; None where the clock refuses."""
        return self.predicted.makespan_ns

    @property
    def crossings(self) -> tuple[Crossing, ...]:
        """How every crossing is served: all cuts, then the Bell pairs of one circuit of each fragment."""
        return (*cut_crossings(self.chosen), *pair_crossings(self.chosen))

    def run(
        self,
        observables: Any = None,
        *,
        shots: int | None = None,
        precision: float | None = None,
        noise: str | None = None,
        method: str = "auto",
        seed: int | None = None,
    ) -> Answers:
        """Return estimates of the observables, all circuits run on Aer, stim or NumPy with the errors of their nodes.

        Args:
            observables: one or several; by default those that it was planned for.
            shots: in all; by default those of the budget.
            precision: the standard error that no estimate may exceed; noise adds a bias that no bar shows. That of a
                budget counts both: the standard error may be what the bias forecast leaves of it.
            noise: "fabric", "links" or "none"; by default as planned.
            method: that simulates what is too wide for its law to be worked out.
            seed: the same seed gives the same estimates; None = a fresh one.

        Raises:
            InvalidValue: unfit observables or options.
            OverheadTooHigh: the precision is out of reach.
            SimulationRefused: a circuit too wide to simulate.
        """
        seed = seeds.resolve(seed)
        wanted = self.observables if observables is None else observables
        if shots is None and precision is None:
            shots, precision = self._budgeted()
        kind = self.noise if noise is None else read_noise(noise).value
        labels = tuple(label_of(each) for each in read_observables(wanted, self.circuit.num_qubits))
        laws = self.chosen.laws
        if observables is not None or kind != self.noise:
            laws = self._laws(wanted, labels, kind)
        measured = laws.frame.measured
        if not len(measured.index):
            return Answers.exact(measured.constant, labels, gamma=self.gamma)
        made = allocation.estimate(
            laws.pieces,
            wanted,
            shots=shots,
            precision=precision,
            seed=seed,
            laws=laws.again(method=method, seed=seeds.word(seed, "laws")),
            measured=measured,
        )
        return Answers.of(made.reading, labels, variants=made.variants, gamma=self.gamma, seed=seed)

    def _laws(self, observables: Any, labels: Sequence[str], noise: str) -> NodeLaws:
        """The laws for other observables or other errors than those that it was planned for."""
        way, stage = self.chosen.way, self.choice.stage
        pieces, measured = trimmed(way.cut, measure(way.cut, observables, wires=way.wires))
        return NodeLaws(
            pieces,
            make_subexperiments(pieces, measured, labels),
            stage if noise == self.noise else Stage(self.fabric, read_noise(noise), self.seed),
            self.chosen.cast_of(pieces),
            seed=self.chosen.laws.seed,
        )

    def _budgeted(self) -> tuple[int | None, float | None]:
        """The shots or the standard error that the budget says."""
        precision = self.budget.precision
        if self.budget.shots is not None or precision is None:
            return self.budget.planned, None
        return None, math.sqrt(precision**2 - self.predicted.bias**2)

    def exact(self, observables: Any = None) -> Answers:
        """Return the exact values without noise."""
        from hyperfabric_q.cutting.engine import exact  # noqa: PLC0415

        wanted = self.observables if observables is None else observables
        labels = tuple(label_of(each) for each in read_observables(wanted, self.circuit.num_qubits))
        # Any way gives them, one with narrow fragments soonest.
        way = min((each.way for each in self.choice.candidates), key=lambda each: each.width)
        return Answers.exact(exact(way.cut, wanted, wires=way.wires), labels, gamma=1.0)

    def explain(self) -> str:
        """Return in words what was chosen, how every crossing is served, and what was rejected and why."""
        told = self.predicted
        lines = [
            f"{self.circuit.name}: {self.circuit.num_qubits} qubits by {self.chosen.name}",
            f"  chosen by {self.objective} within {self.budget}",
            f"  {told.kind}: error {told.mse**0.5:.3g} (bias {told.bias:.3g}, standard error {told.stderr:.3g} of "
            f"{told.shots:,} shots)",
            f"  gamma {told.gamma:.4g}, {told.ebits} Bell pairs a shot, {told.circuits} circuits",
        ]
        crossings = self.crossings
        lines += [f"  {each}" for each in crossings[:_SHOWN]]
        if len(crossings) > _SHOWN:
            lines.append(f"  and {len(crossings) - _SHOWN} more crossings")
        for number, each in enumerate(self.choice.candidates[1 : _SHOWN + 1]):
            verdict = each.excluded or f"error {each.forecast.mse**0.5:.3g}, {each.forecast.ebits} pairs"
            lines.append(f"  {'best alternative' if number == 0 else 'rejected'}: {each.name}: {verdict}")
        lines += [f"  not possible: {each.name}: {each.reason}" for each in self.impossible[:_SHOWN]]
        return "\n".join(lines)

    def draw(self) -> str:
        """Return ``explain``."""
        return self.explain()

    def to_dict(self) -> dict[str, Any]:
        """Return what was decided, ready for JSON, schema ``hyperfabric_q/mixed/1``."""
        return {
            "schema": SCHEMA,
            "name": self.circuit.name,
            "qubits": self.circuit.num_qubits,
            "way": self.chosen.name,
            "objective": self.objective,
            "observables": list(self.labels),
            "ebits": self.ebits,
            "gamma": self.gamma,
            "makespan_ns": self.makespan_ns,
            "predicted": self.predicted.to_dict(),
            "islands": [list(nodes) for nodes in self.chosen.way.nodes],
            "corrected": ["--".join(ends) for ends in sorted(self.chosen.laws.cast.assisted)],
            "crossings": [
                {"kind": each.kind, "where": list(each.where), "qubits": list(each.what), "gamma": each.gamma}
                for each in self.crossings
            ],
            "rejected": [
                {"way": each.name, "excluded": each.excluded, **each.forecast.to_dict()}
                for each in self.choice.candidates[1:]
            ],
            "impossible": [{"way": each.name, "reason": each.reason} for each in self.impossible],
            "seed": self.seed,
            "seconds": round(self.seconds, 6),
        }

    def __repr__(self) -> str:
        return (
            f"<MixedPlan: {self.circuit.num_qubits} qubits by {self.chosen.name}, gamma {self.gamma:.4g}, "
            f"{self.ebits} Bell pairs a shot, error {self.predicted.mse**0.5:.3g} expected>"
        )


def plan_mixed(
    circuit: Any,
    fabric: Any,
    *,
    methods: str | Sequence[str] = "auto",
    objective: str = "mse",
    shots: int | None = None,
    precision: float | None = None,
    max_pairs: int | None = None,
    deadline_ns: float | None = None,
    observables: Any = None,
    time_limit_s: float = 5.0,
    noise: str = "fabric",
    seed: int | None = None,
) -> MixedPlan:
    """Return the plan that serves every crossing of a circuit in the way forecast to be best.

    Args:
        circuit: a Qiskit or Cirq circuit, OpenQASM text, or the path of a circuit file.
        fabric: the nodes and links.
        methods: "auto" for all, or some of "bell" (pairs as they are), "assisted" (pairs whose errors are undone by
            signed corrections, for shots), "gate_cut" and "wire_cut".
        objective: "mse", "shots" (fewest for ``precision``), "ebits", "fidelity" (least bias) or "makespan"; among
            equals the least mean square error decides.
        shots: in all.
        precision: root mean square error that is wanted.
        max_pairs: Bell pairs of one shot, at most.
        deadline_ns: time of one shot, at most.
        observables: what will be estimated; by default Z of every qubit.
        time_limit_s: of the searches.
        noise: the errors that count, as for ``Plan.run``.
        seed: reproduces the plan.

    Raises:
        InputError: an option is wrong.
        BudgetTooSmall: no way keeps within the budget.
    """
    began = time.perf_counter()
    seed = seeds.resolve(seed)
    circuit = accept(circuit)
    known = fabric if isinstance(fabric, Fabric) else Fabric.from_file(fabric)
    if objective not in OBJECTIVES:
        raise UnknownName(kind="objective", name=str(objective)[:200], known=OBJECTIVES)
    budget = Budget(
        shots=_whole("shots", shots, MOST_SHOTS),
        precision=_positive("precision", precision, LONGEST_NS),
        max_pairs=_whole("max_pairs", max_pairs, MOST_PAIRS, least=0),
        deadline_ns=_positive("deadline_ns", deadline_ns, LONGEST_NS),
    )
    wanted = tuple(read_observables(_each_z(circuit) if observables is None else observables, circuit.num_qubits))
    labels = tuple(label_of(each) for each in wanted)
    choice = choose(
        circuit,
        Stage(known, read_noise(noise), seed),
        observables=wanted,
        labels=labels,
        methods=_methods(methods),
        objective=objective,
        budget=budget,
        time_limit_s=fields.number("time_limit_s", time_limit_s, "a plan", most=1e6, unit="s"),
        seed=seed,
    )
    return MixedPlan(
        circuit=circuit,
        fabric=known,
        choice=choice,
        observables=wanted,
        labels=labels,
        objective=objective,
        budget=budget,
        noise=noise,
        seconds=time.perf_counter() - began,
        seed=seed,
    )


def _each_z(circuit: QuantumCircuit) -> list[str]:
    return [f"Z@{qubit}" for qubit in range(circuit.num_qubits)]


def _methods(methods: object) -> tuple[str, ...]:
    if methods == "auto":
        return METHODS
    listed = tuple(methods) if isinstance(methods, Sequence) and not isinstance(methods, str) else ()
    if not listed or not set(listed) <= set(METHODS):
        known = ", ".join(map(repr, METHODS))
        raise InvalidValue(field="methods", value=methods, rule=f"it is 'auto', or a tuple of some of {known}")
    return tuple(each for each in METHODS if each in listed)


def _whole(name: str, value: object, most: int, *, least: int = 1) -> int | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or not least <= value <= most:
        raise InvalidValue(field=name, value=value, rule=f"it is a whole number from {least} to {most:,}, or None")
    return int(value)


def _positive(name: str, value: object, most: float) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float | np.number) or not 0 < float(value) <= most:
        raise InvalidValue(field=name, value=value, rule="it is a finite number above zero, or None")
    return float(value)
