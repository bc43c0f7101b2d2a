"""How is a circuit cut, and what do its parts say together?

``cut`` finds where to cut, or takes what it is told, and returns a ``CutPlan``: the fragments and every way to get
numbers out of them, exactly, from simulated shots or from devices.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from qiskit import QuantumCircuit

from hyperfabric_q.convert import accept
from hyperfabric_q.cutting import engine
from hyperfabric_q.cutting.allocation import Allocation, check_allocation, count_variants, estimate, needed_variants
from hyperfabric_q.cutting.answers import Answers, label_of
from hyperfabric_q.cutting.assignment import Assignment
from hyperfabric_q.cutting.branches import Branches
from hyperfabric_q.cutting.devices import Devices
from hyperfabric_q.cutting.distributions import BitTensors, bit_tensors
from hyperfabric_q.cutting.emit import needs_ancilla
from hyperfabric_q.cutting.finder import find_cuts
from hyperfabric_q.cutting.finder.request import METHODS
from hyperfabric_q.cutting.fragments import CutCircuit
from hyperfabric_q.cutting.given import check_room, given_assignment, given_qubits, given_values, log_price
from hyperfabric_q.cutting.observables import Measured, measure, read_observables
from hyperfabric_q.cutting.outcomes import Distribution, bit_string, distribution_of, drawn_outcomes, register_breaks
from hyperfabric_q.cutting.prepare import Prepared, measures, read_marked
from hyperfabric_q.cutting.sampling import Laws
from hyperfabric_q.cutting.split import split
from hyperfabric_q.cutting.subexperiments import SHOTS, Subexperiments, make_subexperiments
from hyperfabric_q.errors import InvalidValue
from hyperfabric_q.registry import late
from hyperfabric_q.seeds import resolve, stream

SCHEMA = "hyperfabric_q/cut/1"
_LARGEST = 709.0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class CutPlan:
    """A circuit in parts that share no entanglement.

    Attributes:
        circuit: as it was given.
        cut: fragments and cuts; rows of instructions count in ``cut.circuit``, where large gates are decomposed.
        widths: qubits that each part needs.
        gate_cuts: rows of the gates that are cut.
        wire_cuts: (qubit, row) of the wires that are cut, right before the row.
        gamma: square root of ``overhead``.
        overhead: predicted factor on the shots, gamma², with all gates between two parts priced together.
        bound: no cuts have less overhead than this; None where the cuts were given.
        optimal: whether ``overhead`` meets the bound.
        reuse: whether the qubit of a wire that ended is reset and used again.
        wires: the wire that holds each qubit at the end.
        seed: of the search; the same one finds the same cuts.
    """

    circuit: QuantumCircuit
    cut: CutCircuit
    widths: tuple[int, ...]
    gate_cuts: tuple[int, ...]
    wire_cuts: tuple[tuple[int, int], ...]
    gamma: float
    overhead: float
    bound: float | None
    optimal: bool
    reuse: bool
    wires: tuple[int, ...] = field(repr=False)
    seed: int

    # ---------------------------------------------------------------------------------------------------------- figures

    @property
    def parts(self) -> int:
        """Return the number of parts."""
        return len(self.widths)

    @property
    def gamma_separate(self) -> float:
        """Return the product of the gammas of all cuts, each taken for itself; it bounds what the fragments pay."""
        return self.cut.gamma

    @property
    def ancillas(self) -> tuple[int, ...]:
        """Return 1 for each part where a cut of a general gate needs one qubit more than ``widths`` says, else 0."""
        found = [0] * self.parts
        for each in self.cut.cuts:
            for side, (fragment, _) in zip((each.decomposition.left, each.decomposition.right), each.ends, strict=True):
                if any(needs_ancilla(instrument) for instrument in side):
                    found[self.cut.fragments[fragment].part] = 1
        return tuple(found)

    def unique_subexperiments(self, observables: Any = None) -> int:
        """Return the number of circuits to run for these observables; without any, for one measurement basis."""
        if observables is None:
            keys = [(number, 0) for number in range(len(self.cut.fragments))]
        else:
            strings = self._measured(observables).strings
            keys = [(number, group) for number, own in enumerate(strings) for group in range(len(own.bases))]
        return count_variants(self.cut, keys)

    # ------------------------------------------------------------------------------------------------------ observables

    def exact(self, observables: Any, *, states: Mapping[int, Branches] | None = None) -> Answers:
        """Return the exact values of the observables, put together from the simulated fragments.

        Args:
            observables: one or several; SparsePauliOp, Pauli or label such as "ZZII".
            states: final states of fragments that are known already.

        Raises:
            InvalidValue: unbound parameters, unfit observables.
            SimulationRefused: a fragment too wide to simulate.
        """
        labels = self._labels(observables)
        values = engine.exact(self.cut, observables, wires=self.wires, states=states)
        return Answers.exact(values, labels, gamma=self.gamma_separate)

    def estimate(
        self,
        observables: Any,
        shots: int | None = None,
        precision: float | None = None,
        seed: int | None = None,
        allocation: Allocation = "neyman",
        *,
        states: Mapping[int, Branches] | None = None,
    ) -> Answers:
        """Return the observables' estimates from simulated shots of the fragments, with error bars.

        Args:
            observables: one or several; SparsePauliOp, Pauli or label such as "ZZII".
            shots: in all, over all circuits; or
            precision: the standard error that no estimate may exceed.
            seed: of the draws; a new one if None, and the result says which.
            allocation: "neyman" gives shots to where the variance comes from, "uniform" the same to each circuit.
            states: final states of fragments that are known already.

        Raises:
            InvalidValue: not one of shots and precision; fewer shots than circuits; unfit observables.
            OverheadTooHigh: the precision is out of reach; the error says gamma² and the shots it would take.
            SimulationRefused: a fragment too wide to simulate.

        Warns:
            HyperFabricWarning: an error bar is wider than the observable's range; it says how many shots would help.
        """
        labels = self._labels(observables)
        if (known := self._known(observables)) is not None:
            return known
        made = estimate(
            self.cut,
            observables,
            shots=shots,
            precision=precision,
            allocation=allocation,
            seed=seed,
            wires=self.wires,
            laws=None if states is None else Laws(self.cut, self._measured(observables), states=states),
        )
        return Answers.of(made.reading, labels, variants=made.variants, gamma=self.gamma_separate, seed=made.seed)

    def workbench(self, observables: Any) -> engine.Workbench:
        """Return a workbench for a circuit with parameters: a changed angle makes only its own fragment run again."""
        return engine.Workbench(self.cut, observables, self.wires)

    def bind(self, parameters: Mapping[Any, float]) -> CutPlan:
        """Return the plan with values for parameters, by object or by name; cuts stay where they are.

        Raises:
            InvalidValue: no such parameter, or no finite number.
        """
        found = given_values(parameters, self.cut.parameters)
        return replace(self, circuit=self.circuit.assign_parameters(found), cut=self.cut.bind(found))

    # ---------------------------------------------------------------------------------------------------------- devices

    def subexperiments(
        self, observables: Any, shots: int | None = None, *, allocation: Allocation = "uniform", seed: int | None = None
    ) -> Subexperiments:
        """Return the circuits that devices have to run; their ``reconstruct`` takes the outcomes.

        Args:
            observables: one or several; SparsePauliOp, Pauli or label such as "ZZII".
            shots: in all; 1024 for each circuit if None.
            allocation: "uniform", or "neyman" as a simulation of the fragments finds best.
            seed: of that simulation.

        Raises:
            InvalidValue: unbound parameters, unfit observables, fewer shots than circuits.
            SimulationRefused: a fragment too wide for its outcomes to be counted.

        Cost: linear in the instructions of all circuits.
        """
        labels = self._labels(observables)
        measured = self._measured(observables)
        check_allocation(allocation)
        given = None
        if allocation == "neyman" or shots is not None:
            wanted = self.unique_subexperiments(observables) * SHOTS if shots is None else shots
            given = self._shots(observables, measured, wanted, allocation, seed)
        return make_subexperiments(self.cut, measured, labels, reuse=self.reuse, shots=given)

    def run(
        self,
        observables: Any,
        *,
        sampler: Any = None,
        pass_manager: Any = None,
        shots: int | None = None,
        precision: float | None = None,
        allocation: Allocation = "neyman",
        store: Any = None,
        executor: Any = None,
        progress: Any = None,
        seed: int | None = None,
    ) -> Answers:
        """Return the observables' estimates, measured on devices.

        Args:
            observables: one or several; SparsePauliOp, Pauli or label such as "ZZII".
            sampler: a SamplerV2 for all parts, or {part: SamplerV2}; None simulates.
            pass_manager: makes circuits fit a device; one for all parts, or {part: pass manager}.
            shots: in all; or
            precision: the standard error that no estimate may exceed. Without both, 1024 shots of each circuit on
                devices, exact values without a device.
            allocation: as in ``estimate``.
            store: of a simulation: a store of outcomes or its path; fragments that stand in it are not run again.
            executor: of a simulation: where fragments run, as for ``Plan.run``.
            progress: of a simulation: True = a bar where somebody watches, or a function of (done, total, what).
            seed: of a simulation; devices have their own.

        Raises:
            InvalidValue: as ``estimate``; a part without a sampler.
            OverheadTooHigh: the precision is out of reach.
            OutcomesUnfit: a sampler returned something else than was asked for.
        """
        check_allocation(allocation)
        if sampler is None:
            if pass_manager is not None:
                rule = "there is no device for it to compile for"
                raise InvalidValue(field="pass_manager", value=pass_manager, rule=rule, remedy="Give a sampler too.")
            states = None
            if store is not None or executor is not None or progress:
                states = late("cut.states")(self.cut, executor=executor, store=store, progress=progress)
            if shots is None and precision is None:
                return self.exact(observables, states=states)
            return self.estimate(observables, shots, precision, seed, allocation, states=states)
        if store is not None or executor is not None:
            given = executor if store is None else store
            rule = "store and executor are for simulations: a sampler runs its circuits where it pleases"
            raise InvalidValue(field="sampler", value=given, rule=rule)
        labels = self._labels(observables)
        if (known := self._known(observables)) is not None:
            return known
        wanted = self.subexperiments(observables)
        devices = Devices(wanted, sampler, pass_manager)
        made = estimate(
            self.cut,
            observables,
            shots=shots,
            per_variant=SHOTS if shots is None and precision is None else None,
            precision=precision,
            allocation=allocation,
            wires=self.wires,
            laws=devices,
        )
        return Answers.of(made.reading, labels, variants=made.variants, gamma=self.gamma_separate)

    # --------------------------------------------------------------------------------------------------------- outcomes

    def distribution(
        self,
        qubits: Iterable[int] | None = None,
        shots: int | None = None,
        seed: int | None = None,
        *,
        bins: int = 64,
    ) -> Distribution:
        """Return how likely the outcomes are: of some qubits, or of all classical bits if the circuit measures.

        Args:
            qubits: measured in the Z basis, the first is the rightmost of the bit string. By default the classical bits
                of the circuit in Qiskit's order, or all qubits if it has none.
            shots: in all; exact if None.
            seed: of the draws.
            bins: outcomes to look for where there are too many (more than 20 bits) to list.

        Raises:
            InvalidValue: a qubit that does not exist, fewer shots than circuits.
            SimulationRefused: a fragment too wide to simulate.
        """
        per_variant = None
        if shots is not None:
            count = self.unique_subexperiments()
            per_variant = _at_least(count, shots) // count
        tensors, breaks = self._bits(qubits, per_variant, seed)
        return distribution_of(tensors, bins=bins, breaks=breaks)

    def sample(self, shots: int, seed: int | None = None, *, qubits: Iterable[int] | None = None) -> dict[str, int]:
        """Return counts as the uncut circuit would give them, of the bits that ``distribution`` takes.

        Cost: the fragments are simulated once; wide circuits are drawn 8 bits after 8 bits.
        """
        shots = _at_least(1, shots)
        tensors, breaks = self._bits(qubits, None, None)
        rng = stream(resolve(seed), "cutting", "sample")
        found = drawn_outcomes(tensors, shots, rng)
        return {bit_string(value, tensors.chosen, breaks): found[value] for value in sorted(found)}

    # ---------------------------------------------------------------------------------------------------------- showing

    def draw(self) -> str:
        """Return a picture in text: parts, cuts, and what they cost."""
        picture: str = late("cut.draw")(self)
        return picture

    def __repr__(self) -> str:
        widths = " + ".join(map(str, self.widths))
        cuts = f"{len(self.gate_cuts)} gate cuts, {len(self.wire_cuts)} wire cuts"
        end = ", proven least" if self.optimal else ""
        return f"<CutPlan: {self.circuit.num_qubits} qubits on {widths}, {cuts}, gamma {self.gamma:.4g}{end}>"

    def _repr_html_(self) -> str:
        page: str = late("cut.html")(self)
        return page

    def to_dict(self) -> dict[str, Any]:
        """Return what was decided, ready for JSON."""
        return {
            "schema": SCHEMA,
            "qubits": self.circuit.num_qubits,
            "widths": list(self.widths),
            "ancillas": list(self.ancillas),
            "gate_cuts": list(self.gate_cuts),
            "wire_cuts": [list(each) for each in self.wire_cuts],
            "segments": [[list(segment) for segment in own] for own in self.cut.assignment.segments],
            "gamma": _finite(self.gamma),
            "gamma_separate": _finite(self.gamma_separate),
            "overhead": _finite(self.overhead),
            "bound": None if self.bound is None else _finite(self.bound),
            "optimal": self.optimal,
            "unique_subexperiments": self.unique_subexperiments(),
            "reuse": self.reuse,
            "seed": self.seed,
        }

    # ----------------------------------------------------------------------------------------------------------- inside

    def _labels(self, observables: Any) -> tuple[str, ...]:
        return tuple(label_of(each) for each in read_observables(observables, self.circuit.num_qubits))

    def _measured(self, observables: Any) -> Measured:
        return measure(self.cut, observables, wires=self.wires)

    def _known(self, observables: Any) -> Answers | None:
        """The values where nothing has to be measured: identities, and X on a qubit that was measured before."""
        measured = self._measured(observables)
        if len(measured.index):
            return None
        return Answers.exact(measured.constant, self._labels(observables), gamma=self.gamma_separate)

    def _bits(
        self, qubits: Iterable[int] | None, per_variant: int | None, seed: int | None
    ) -> tuple[BitTensors, tuple[int, ...]]:
        given: tuple[int, ...] = () if qubits is None else given_qubits(qubits)
        clbits: range | tuple[int, ...] = ()
        breaks: tuple[int, ...] = ()
        if qubits is None:
            clbits, breaks = range(self.circuit.num_clbits), register_breaks(self.circuit)
            if not measures(self.cut.circuit):
                clbits, breaks, given = (), (), tuple(range(self.circuit.num_qubits))
        tensors = bit_tensors(
            self.cut, qubits=given, clbits=clbits, per_variant=per_variant, seed=seed, wires=self.wires
        )
        return tensors, breaks

    def _shots(
        self, observables: Any, measured: Measured, shots: int, allocation: Allocation, seed: int | None
    ) -> dict[tuple[int, int], Any]:
        if allocation == "neyman":
            made = estimate(self.cut, observables, shots=shots, seed=seed, wires=self.wires)
            return {(each.fragment, each.group): each.shots for each in made.tallies}
        keys = [(number, group) for number, own in enumerate(measured.strings) for group in range(len(own.bases))]
        masks = needed_variants(self.cut, keys)
        count = int(sum(mask.sum() for mask in masks.values()))
        shots = _at_least(count, shots)
        ranks = np.cumsum(np.concatenate([np.zeros(1, dtype=np.int64), *masks.values()]))[1:]
        pieces = np.split(ranks, np.cumsum([len(mask) for mask in masks.values()])[:-1])
        each, left = divmod(shots, max(count, 1))
        return {
            key: np.where(mask, each + (piece <= left), 0).astype(np.int64)
            for (key, mask), piece in zip(masks.items(), pieces, strict=True)
        }


def cut(
    circuit: object,
    max_qubits: int | None = None,
    *,
    widths: Sequence[int] | None = None,
    parts: int | None = None,
    assignment: Assignment | Sequence[Hashable] | Mapping[int, Hashable] | None = None,
    methods: Sequence[str] = METHODS,
    reuse: bool = False,
    time_limit_s: float = 5.0,
    seed: int | None = None,
) -> CutPlan:
    """Return a circuit cut into parts of at most ``max_qubits`` qubits, at the least predicted cost in shots.

    Args:
        circuit: a Qiskit or Cirq circuit, OpenQASM text, or a path. Wires marked by ``CutWire`` or ``Move`` of
            qiskit-addon-cutting are cut there, and nothing is searched.
        max_qubits: of every part, when all QPUs are alike; or
        widths: qubits of each QPU; each runs one part at most; or
        assignment: who runs what: one label per qubit, such as "AAABBB", or an ``Assignment``.
        parts: number of parts; None for as many as serve best.
        methods: what may be cut: "gate_cut", "wire_cut" or both.
        reuse: the qubit of a wire that ended is reset and used again.
        time_limit_s: for the search; counted in moves, so that the same seed gives the same cuts anywhere.
        seed: of the search; a new one if None, and the plan says which.

    Raises:
        InvalidValue: the arguments do not say how to cut, or contradict each other.
        NoCutFound: no cuts make the parts fit.
        UnsupportedOperation: an instruction that cannot be cut, such as a condition on a bit of another part.

    Example:
        >>> from qiskit import QuantumCircuit
        >>> circuit = QuantumCircuit(4)
        >>> circuit.h(0)  # doctest: +ELLIPSIS
        <...>
        >>> for qubit in range(3):
        ...     _ = circuit.cx(qubit, qubit + 1)
        >>> plan = cut(circuit, max_qubits=2, seed=1)
        >>> plan
        <CutPlan: 4 qubits on 2 + 2, 1 gate cuts, 0 wire cuts, gamma 3, proven least>
        >>> print(plan.exact("ZIIZ")[0])
        1 (exact)
    """
    given = accept(circuit)
    if not given.num_qubits:
        raise InvalidValue(field="circuit", value=given.name, rule="it has no qubits, so there is nothing to cut")
    prepared = read_marked(given)
    seed = resolve(seed)
    if max_qubits is not None and widths is not None:
        rule = "max_qubits is for QPUs that are alike, widths for others; give one of them"
        raise InvalidValue(field="widths", value=tuple(widths), rule=rule)
    if assignment is not None or prepared.marks:
        if set(methods) != set(METHODS):
            rule = "nothing is searched where the cuts are given"
            raise InvalidValue(field="methods", value=tuple(methods), rule=rule, remedy="Leave methods out.")
        who = given_assignment(prepared, given.num_qubits, assignment)
        check_room(who.widths(prepared.circuit, reuse=reuse), max_qubits, widths, parts)
        return _of_assignment(given, prepared, who, reuse=reuse, seed=seed)
    asked = max_qubits if widths is None else widths
    if asked is None:
        rule = "nothing says how to cut"
        remedy = "Give max_qubits, widths or an assignment, or mark wires by CutWire."
        raise InvalidValue(field="max_qubits", value=None, rule=rule, remedy=remedy)
    found = find_cuts(given, asked, parts=parts, methods=methods, time_limit_s=time_limit_s, seed=seed, reuse=reuse)
    return CutPlan(
        circuit=given,
        cut=split(found.circuit, found.assignment),
        widths=found.widths,
        gate_cuts=found.gate_cuts,
        wire_cuts=found.wire_cuts,
        gamma=found.gamma,
        overhead=found.overhead,
        bound=found.bound,
        optimal=found.optimal,
        reuse=reuse,
        wires=prepared.wires,
        seed=seed,
    )


def _of_assignment(given: QuantumCircuit, prepared: Prepared, who: Assignment, *, reuse: bool, seed: int) -> CutPlan:
    pieces = split(prepared.circuit, who)
    log = log_price(prepared.circuit, who)
    return CutPlan(
        circuit=given,
        cut=pieces,
        widths=who.widths(prepared.circuit, reuse=reuse),
        gate_cuts=who.gate_cuts(prepared.circuit),
        wire_cuts=who.wire_cuts(),
        gamma=_power(log / 2),
        overhead=_power(log),
        bound=None,
        optimal=False,
        reuse=reuse,
        wires=prepared.wires,
        seed=seed,
    )


def _at_least(least: int, shots: object) -> int:
    if isinstance(shots, bool) or not isinstance(shots, int | np.integer) or shots < least:
        rule = f"it is a whole number of at least {least}; every circuit takes one shot"
        raise InvalidValue(field="shots", value=shots, rule=rule)
    return int(shots)


def _power(log: float) -> float:
    return math.exp(log) if log < _LARGEST else math.inf


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
