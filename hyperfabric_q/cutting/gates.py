"""Cutting one two-qubit gate: locals on both operands around a core, and the core as a sum of local instruments.

A core with one interaction angle, RZZ(θ), takes the same five instruments I, Z, S, Sdg and M on either side whatever
the angle (Mitarai and Fujii, arXiv:1909.07534); a new angle means new weights and nothing to run again. Any other core
is cut at the optimal gamma = 2 (sum |u|)² - 1 (Schmitt, Piveteau and Sutter, arXiv:2312.11638).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from qiskit.circuit import ControlledGate, ParameterExpression
from qiskit.circuit import library as gates
from qiskit.exceptions import QiskitError
from qiskit.quantum_info import Operator

from hyperfabric_q.cutting.decomposition import Complex, Decomposition, Instrument, Real
from hyperfabric_q.cutting.interference import Term, gamma, interfere
from hyperfabric_q.cutting.kak import HADAMARD, Interaction, Locals, Share, interaction, rzz_shares
from hyperfabric_q.cutting.paulis import PAULIS
from hyperfabric_q.errors import InvalidValue, UnsupportedOperation

_UNITARY_WITHIN = 1e-9

_ONE: Complex = np.eye(2, dtype=complex)
_S: Complex = np.diag([1, 1j])
_TO_Y: Complex = _S @ HADAMARD  # takes Z to Y

FIVE: tuple[Instrument, ...] = (
    Instrument(name="I", signs=np.ones(1), kraus=PAULIS[:1]),
    Instrument(name="Z", signs=np.ones(1), kraus=PAULIS[3:]),
    Instrument(name="S", signs=np.ones(1), kraus=_S[None]),
    Instrument(name="Sdg", signs=np.ones(1), kraus=_S.conj()[None]),
    Instrument(
        name="M", signs=np.array([1.0, -1.0]), kraus=np.array([[[1, 0], [0, 0]], [[0, 0], [0, 1]]], dtype=complex)
    ),
)
"""What either side of a cut RZZ does; M is a measurement in the Z basis whose outcome is the sign."""


@dataclass(frozen=True, slots=True)
class _Rotation:
    """A gate that is V · RZ ⊗ RZ · RZZ(θ) · V† with θ and the angles of RZ proportional to its parameter.

    Attributes:
        axes: V on both operands.
        scale: θ per unit of the gate's parameter.
        turns: the angle of RZ on both operands per unit of θ.
    """

    axes: Locals
    scale: float = 1.0
    turns: tuple[float, float] = (0.0, 0.0)


_ROTATIONS: dict[type, _Rotation] = {
    gates.RZZGate: _Rotation((_ONE, _ONE)),
    gates.RXXGate: _Rotation((HADAMARD, HADAMARD)),
    gates.RYYGate: _Rotation((_TO_Y, _TO_Y)),
    gates.RZXGate: _Rotation((_ONE, HADAMARD)),
    gates.CPhaseGate: _Rotation((_ONE, _ONE), -0.5, (-1.0, -1.0)),
    gates.CU1Gate: _Rotation((_ONE, _ONE), -0.5, (-1.0, -1.0)),
    gates.CRZGate: _Rotation((_ONE, _ONE), -0.5, (0.0, -1.0)),
    gates.CRXGate: _Rotation((_ONE, HADAMARD), -0.5, (0.0, -1.0)),
    gates.CRYGate: _Rotation((_ONE, _TO_Y), -0.5, (0.0, -1.0)),
}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class GateDecomposition:
    """A cut two-qubit gate, U = after · (RZ ⊗ RZ) · core · before up to global phase; left is the first operand.

    Attributes:
        name: the gate, for people.
        before: 2x2 unitaries on the left and on the right, first in time.
        decomposition: the core as a sum over instruments of one qubit a side. While the angle is unbound its weights
            are NaN and its gamma is 3, the most that any angle costs.
        after: 2x2 unitaries, last in time.
        shares: the terms u s ⊗ s of the core; none while the angle is unbound.
        angle: θ when the core is RZZ(θ), as a number or as an expression of unbound parameters; None otherwise.
        turns: RZ of so many times θ follows the core on either side. Zero once bound, when it is part of ``after``.
    """

    name: str
    before: Locals
    decomposition: Decomposition
    after: Locals
    shares: tuple[Share, ...]
    angle: Any = None
    turns: tuple[float, float] = (0.0, 0.0)

    @property
    def is_symbolic(self) -> bool:
        """Whether the angle has unbound parameters."""
        return isinstance(self.angle, ParameterExpression)

    @property
    def schmidt_sum(self) -> float:
        """(sum |u|)² of the core, 2 while the angle is unbound."""
        return 2.0 if self.is_symbolic else sum(abs(share.magnitude) for share in self.shares) ** 2

    def weights_at(self, angle: float, *, turned: bool = False) -> Real:
        """Return the weights of the five instruments, shape (5, 5), of a core RZZ(``angle``).

        Args:
            angle: θ of the core in radians, as in the field ``angle``.
            turned: take the rotations ``turns`` into the weights, so that a new angle of a controlled rotation changes
                nothing but weights either. These weights add up to more than gamma.

        Raises:
            InvalidValue: the gate has no single angle, so that its instruments depend on it.
        """
        if self.angle is None:
            raise InvalidValue(field="angle", value=angle, rule=f"the interaction of {self.name} has several angles")
        weights = rzz_weights(angle)
        if turned:
            left, right = (_turn(times * angle) for times in self.turns)
            weights = left.T @ weights @ right
        return weights

    def bind(self, values: Mapping[Any, float]) -> GateDecomposition:
        """Return the cut with the parameters in ``values`` bound; others are ignored or stay unbound."""
        if not self.is_symbolic:
            return self
        known = {each: values[each] for each in self.angle.parameters if each in values}
        angle = self.angle.bind(known)
        if angle.parameters:
            return replace(self, angle=angle)
        theta = _number(angle, self.name)
        return _bound(self.name, self.before, theta, self.after, self.turns)

    def swapped(self) -> GateDecomposition:
        """Return the same cut with left and right exchanged: left is then the second operand."""
        core = self.decomposition
        return replace(
            self,
            before=self.before[::-1],
            after=self.after[::-1],
            turns=self.turns[::-1],
            decomposition=replace(core, left=core.right, right=core.left, weights=core.weights.T),
        )


def cut_gate(operation: Any) -> GateDecomposition:
    """Return the optimal cut of a two-qubit gate.

    RZZ, RXX, RYY, RZX, CP, CU1, CRX, CRY and CRZ may have an unbound parameter.

    Raises:
        UnsupportedOperation: not a two-qubit unitary, or a gate of another kind with unbound parameters.
        InvalidValue: an angle is not finite.
    """
    if (rotation := _rotation_of(operation)) is not None:
        scale, turns, before, after = rotation
        parameter = operation.params[0]
        if _is_unbound(parameter):
            core = Decomposition(
                name=operation.name, left=FIVE, right=FIVE, weights=np.full((5, 5), np.nan), gamma=gamma(2.0)
            )
            return GateDecomposition(
                name=operation.name,
                before=before,
                decomposition=core,
                after=after,
                shares=(),
                angle=scale * parameter,
                turns=turns,
            )
        angle = _number(parameter, operation.name)
        return _bound(f"{operation.name}({angle:.6g})", before, scale * angle, after, turns)
    found = _interaction_of(operation)
    return GateDecomposition(
        name=operation.name,
        before=found.before,
        decomposition=_core(operation.name, found),
        after=found.after,
        shares=found.shares,
        angle=found.angle,
    )


def gamma_of(operation: Any) -> float:
    """Return the gamma of cutting a two-qubit gate alone, 3 for a rotation whose angle is unbound (the worst)."""
    return gamma(schmidt_sum(operation))


def schmidt_sum(operation: Any) -> float:
    """Return s = (sum |u|)² of a two-qubit gate; n gates cut together have gamma = 2 · product of s - 1.

    2 for a rotation whose angle is unbound, which no angle exceeds.

    Raises:
        UnsupportedOperation, InvalidValue: as ``cut_gate``.
    """
    if (rotation := _rotation_of(operation)) is not None:
        parameter = operation.params[0]
        return 2.0 if _is_unbound(parameter) else 1 + abs(math.sin(rotation[0] * _number(parameter, operation.name)))
    return sum(abs(share.magnitude) for share in _interaction_of(operation).shares) ** 2


def rzz_weights(angle: float) -> Real:
    """Return the weights of RZZ(``angle``) over I, Z, S, Sdg, M on either side, shape (5, 5)."""
    weights = np.zeros((5, 5))
    weights[0, 0] = math.cos(angle / 2) ** 2
    weights[1, 1] = math.sin(angle / 2) ** 2
    weights[4, 2] = weights[2, 4] = math.sin(angle) / 2
    weights[4, 3] = weights[3, 4] = -math.sin(angle) / 2
    return weights


def _turn(angle: float) -> Real:
    """RZ(angle) after each of the five instruments, as weights of the five; row: the instrument it follows."""
    turned = np.zeros((5, 5))
    for row, already in enumerate((0.0, math.pi, math.pi / 2, -math.pi / 2)):
        total = angle + already
        turned[row, :4] = math.cos(total / 2) ** 2, math.sin(total / 2) ** 2, math.sin(total) / 2, -math.sin(total) / 2
    turned[4, 4] = 1
    return turned


def _bound(name: str, before: Locals, angle: float, after: Locals, turns: tuple[float, float]) -> GateDecomposition:
    shares = rzz_shares(angle)
    core = Decomposition(
        name=name, left=FIVE, right=FIVE, weights=rzz_weights(angle), gamma=1 + 2 * abs(math.sin(angle))
    )
    left, right = (
        matrix @ np.diag(np.exp([-0.5j * times * angle, 0.5j * times * angle])) if times else matrix
        for matrix, times in zip(after, turns, strict=True)
    )
    return GateDecomposition(
        name=name, before=before, decomposition=core, after=(left, right), shares=shares, angle=angle
    )


def _core(name: str, found: Interaction) -> Decomposition:
    if found.angle is not None:
        weights, cost = rzz_weights(found.angle), 1 + 2 * abs(math.sin(found.angle))
        return Decomposition(name=name, left=FIVE, right=FIVE, weights=weights, gamma=cost)
    return interfere(name, [Term((share.pauli,), share.magnitude, share.phase) for share in found.shares])


def _rotation_of(operation: Any) -> tuple[float, tuple[float, float], Locals, Locals] | None:
    """Scale, turns, before and after of a gate known to be a rotation in one angle, None for any other."""
    known = _ROTATIONS.get(getattr(operation, "base_class", type(operation)))
    if known is None:
        return None
    before, after = [each.conj().T for each in known.axes], list(known.axes)
    if getattr(operation, "ctrl_state", None) == 0:  # it acts where the control, the first operand, is 0
        before[0], after[0] = before[0] @ PAULIS[1], PAULIS[1] @ after[0]
    return known.scale, known.turns, (before[0], before[1]), (after[0], after[1])


def _interaction_of(operation: Any) -> Interaction:
    name = getattr(operation, "name", type(operation).__name__)
    if getattr(operation, "num_qubits", 0) != 2 or getattr(operation, "num_clbits", 0):
        raise UnsupportedOperation(operation=name, reason="only gates on two qubits, and no bits, can be cut")
    parameters = getattr(operation, "params", ())
    if any(_is_unbound(each) for each in parameters):
        raise UnsupportedOperation(
            operation=name,
            reason="a gate of this kind cannot be cut before its parameters are bound (circuit.assign_parameters)",
        )
    for each in parameters:
        if isinstance(each, int | float | ParameterExpression):
            _number(each, name)
    matrix = _matrix_of(operation)
    if matrix is None or np.abs(matrix @ matrix.conj().T - np.eye(4)).max() > _UNITARY_WITHIN:
        raise UnsupportedOperation(operation=name, reason="it is not a unitary, and only unitary gates can be cut")
    return interaction(matrix)


def _matrix_of(operation: Any) -> Complex | None:
    try:
        if type(operation) is ControlledGate:
            # Qiskit has a definition for a general controlled gate but no matrix; the definition is less exact.
            matrix = np.eye(4, dtype=complex)
            active = np.flatnonzero(np.arange(4) % 2 == operation.ctrl_state)
            matrix[np.ix_(active, active)] = operation.base_gate.to_matrix()
            return matrix
        return np.asarray(Operator(operation).data, dtype=complex)
    except QiskitError:
        return None


def _is_unbound(parameter: Any) -> bool:
    return isinstance(parameter, ParameterExpression) and bool(parameter.parameters)


def _number(parameter: Any, name: str) -> float:
    angle = float(parameter)
    if not math.isfinite(angle):
        raise InvalidValue(field="angle", value=angle, rule=f"the angle of {name} is not a finite number")
    return angle
