"""Into which fragments does a cut circuit fall, and what does each of them do?

A fragment is what hangs together on one part: a stretch of wires, joined by gates and by classical conditions. Where a
cut was, it has a marker. Angles may stay unbound: binding touches the steps that have them and the weights of cuts.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
from qiskit import QuantumCircuit

from hyperfabric_q.cutting.assignment import Assignment
from hyperfabric_q.cutting.decomposition import Complex, Decomposition
from hyperfabric_q.cutting.gates import GateDecomposition
from hyperfabric_q.cutting.joint import JointDecomposition
from hyperfabric_q.cutting.settings import Side, side_of
from hyperfabric_q.errors import InvalidValue


@dataclass(frozen=True, slots=True)
class Gate:
    """A unitary on local qubits, first least significant; ``matrix`` is None while ``operation`` is unbound."""

    qubits: tuple[int, ...]
    matrix: Complex | None
    operation: Any = None


@dataclass(frozen=True, slots=True)
class Measure:
    """A measurement in the Z basis of a qubit that goes on, or whose bit is read by a condition."""

    qubit: int
    clbit: int


@dataclass(frozen=True, slots=True)
class Reset:
    """A qubit is thrown away and begins anew in |0>."""

    qubit: int


@dataclass(frozen=True, slots=True)
class Condition:
    """Steps taken where the bits, least significant first, spell ``value``; others elsewhere."""

    clbits: tuple[int, ...]
    value: int
    then: tuple[Step, ...]
    otherwise: tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class Marker:
    """One side of a cut: ``side`` 0 is left (of a wire: its end), 1 is right (its beginning)."""

    cut: int
    side: int
    qubits: tuple[int, ...]


Source: TypeAlias = GateDecomposition | JointDecomposition
Step: TypeAlias = Gate | Measure | Reset | Condition | Marker


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Fragment:
    """What hangs together on one part.

    Attributes:
        part: where it runs.
        wires: per local qubit the (qubit of the circuit, number of cuts on its wire before).
        outputs: local qubits that are there at the end of the circuit.
        steps: what happens, in order.
        markers: its markers in the order of the steps; they are the axes of its tensors.
        sides: what each marker needs.
        finals: clbits that are the measurement of a local qubit at its end, as (clbit, local qubit).
        bits: other clbits that it writes, whose last value stands here.
    """

    part: int
    wires: tuple[tuple[int, int], ...]
    outputs: tuple[int, ...]
    steps: tuple[Step, ...]
    markers: tuple[Marker, ...]
    sides: tuple[Side, ...]
    finals: tuple[tuple[int, int], ...]
    bits: tuple[int, ...]

    @property
    def parameters(self) -> frozenset[Any]:
        """Return the unbound parameters of its own steps."""
        return frozenset(each for step in self.steps for each in _unbound(step))

    @property
    def variants(self) -> int:
        """Return the number of unique ways to run it for one measurement basis."""
        return math.prod(len(side.settings) for side in self.sides)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Cut:
    """One cut: its sum and where its sides are.

    Attributes:
        decomposition: weights over the instruments of both sides.
        ends: (fragment, marker) of the left and of the right side.
        rows: the instructions of the prepared circuit that it cuts; of a wire the one it lies before.
        source: the cut gate or gates while an angle is unbound.
    """

    decomposition: Decomposition
    ends: tuple[tuple[int, int], tuple[int, int]]
    rows: tuple[int, ...]
    source: Source | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CutCircuit:
    """A circuit in fragments.

    Attributes:
        circuit: the prepared circuit.
        assignment: who runs what.
        fragments, cuts: what it fell into, and what joins them.
        outputs: per qubit the (fragment, position in its outputs) that holds it at the end.
        clbits: per clbit (fragment, True, position in outputs) if it is a final measurement, (fragment, False,
            position in bits) if it was written before, None if never.
    """

    circuit: QuantumCircuit
    assignment: Assignment
    fragments: tuple[Fragment, ...]
    cuts: tuple[Cut, ...]
    outputs: tuple[tuple[int, int], ...]
    clbits: tuple[tuple[int, bool, int] | None, ...]

    @property
    def gamma(self) -> float:
        """Return the product of the gammas of its cuts."""
        return math.prod(cut.decomposition.gamma for cut in self.cuts)

    @property
    def overhead(self) -> float:
        """Return the sampling overhead gamma²."""
        return self.gamma**2

    @property
    def parameters(self) -> frozenset[Any]:
        """Return the parameters that are still unbound."""
        own = [fragment.parameters for fragment in self.fragments]
        return frozenset().union(*own, *(_angle(cut) for cut in self.cuts))

    def widths(self, *, reuse: bool = False) -> tuple[int, ...]:
        """Return the number of qubits each part needs; see ``Assignment.widths``."""
        return self.assignment.widths(self.circuit, reuse=reuse)

    def bind(self, values: Mapping[Any, float]) -> CutCircuit:
        """Return it with parameters bound. Fragments without any of them are the same objects as before.

        Raises:
            InvalidValue: a value is not finite.
        """
        for parameter, value in values.items():
            if not math.isfinite(value):
                raise InvalidValue(field=str(parameter), value=value, rule="an angle is a finite number")
        fragments = tuple(_bound_fragment(fragment, values) for fragment in self.fragments)
        return replace(self, fragments=fragments, cuts=tuple(_bound_cut(cut, values) for cut in self.cuts))

    def check_bound(self) -> None:
        """Refuse parameters that are left.

        Raises:
            InvalidValue: naming them.
        """
        left = sorted(str(each) for each in self.parameters)
        if left:
            rule = "every parameter needs a value before anything runs"
            raise InvalidValue(field="parameters", value=left, rule=rule, remedy="Bind them first.")


def with_sides(
    part: int,
    wires: tuple[tuple[int, int], ...],
    steps: tuple[Step, ...],
    cuts: Mapping[int, Decomposition],
    **rest: Any,
) -> Fragment:
    """Return a fragment whose markers and sides follow from its steps."""
    markers = tuple(step for step in steps if isinstance(step, Marker))
    sides = tuple(side_of(cuts[each.cut].right if each.side else cuts[each.cut].left) for each in markers)
    return Fragment(part=part, wires=wires, steps=steps, markers=markers, sides=sides, **rest)


def _unbound(step: Step) -> frozenset[Any]:
    if isinstance(step, Gate) and step.matrix is None:
        return frozenset(each for angle in step.operation.params for each in getattr(angle, "parameters", ()))
    if isinstance(step, Condition):
        return frozenset().union(*(_unbound(each) for each in (*step.then, *step.otherwise)))
    return frozenset()


def _angle(cut: Cut) -> frozenset[Any]:
    if cut.source is None:
        return frozenset()
    gates = cut.source.gates if isinstance(cut.source, JointDecomposition) else (cut.source,)
    return frozenset(each for gate in gates if gate.is_symbolic for each in gate.angle.parameters)


def _bound_fragment(fragment: Fragment, values: Mapping[Any, float]) -> Fragment:
    if not any(each in values for each in fragment.parameters):
        return fragment
    return replace(fragment, steps=tuple(_bound_step(step, values) for step in fragment.steps))


def _bound_step(step: Step, values: Mapping[Any, float]) -> Step:
    if isinstance(step, Condition):
        then, otherwise = (tuple(_bound_step(each, values) for each in steps) for steps in (step.then, step.otherwise))
        return replace(step, then=then, otherwise=otherwise)
    if not isinstance(step, Gate) or step.matrix is not None:
        return step
    operation = step.operation.copy()
    operation.params = [
        angle.bind({each: values[each] for each in angle.parameters if each in values})
        if getattr(angle, "parameters", None)
        else angle
        for angle in operation.params
    ]
    if any(getattr(angle, "parameters", None) for angle in operation.params):
        return replace(step, operation=operation)
    operation.params = [float(angle) for angle in operation.params]
    return Gate(step.qubits, np.asarray(operation.to_matrix()))


def _bound_cut(cut: Cut, values: Mapping[Any, float]) -> Cut:
    if not any(each in values for each in _angle(cut)):
        return cut
    source = cut.source
    if isinstance(source, JointDecomposition):
        bound = source.bind(values)
        return replace(cut, source=bound if bound.is_symbolic else None, decomposition=bound.decomposition)
    assert source is not None  # noqa: S101 - it has parameters
    angle = source.angle.bind({each: values[each] for each in source.angle.parameters if each in values})
    if angle.parameters:
        return replace(cut, source=replace(source, angle=angle))
    theta = float(angle)
    weights = source.weights_at(theta, turned=True)
    gamma = float(np.abs(weights).sum())
    core = replace(cut.decomposition, name=f"{source.name}, core {theta:.6g}", weights=weights, gamma=gamma)
    return replace(cut, source=None, decomposition=core)
