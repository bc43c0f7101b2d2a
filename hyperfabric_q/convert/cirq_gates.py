"""Cirq gates as Qiskit gates, exact including the global phase, with numbers or symbols as angles.

Cirq writes the first qubit as the most significant digit, Qiskit as the least; only matrices feel that (``reversed``).
A power gate of Cirq is P^t = exp(i pi t (global_shift + 1/2)) exp(-i pi t P / 2) for a Pauli P: each emitter adds the
phase that the Qiskit rotation leaves out.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import cirq
import sympy  # type: ignore[import-untyped]  # it comes with Cirq
from qiskit import QuantumCircuit
from qiskit.circuit import CircuitError
from qiskit.circuit.library import (
    CCZGate,
    CPhaseGate,
    CSwapGate,
    CXGate,
    HGate,
    MCPhaseGate,
    RGate,
    RXXGate,
    RYYGate,
    RZZGate,
    SwapGate,
    UnitaryGate,
    XXPlusYYGate,
    iSwapGate,
)

from hyperfabric_q.convert.cirq_angles import NoAngle, angle_of, half_turns, phase_angle

MATRIX_QUBITS = 6
"""The largest gate that is carried over as a matrix."""

_Wires = Sequence[int]
_Emit = Callable[[QuantumCircuit, Any, _Wires], None]


def knows(gate: cirq.Gate) -> bool:
    """Return whether ``emit`` has a counterpart for ``gate``, which may hold symbols."""
    if cirq.is_parameterized(gate):
        return _takes_symbols(gate)
    if isinstance(gate, cirq.ControlledGate):
        return _control_state(gate) is not None and _emitter(gate.sub_gate) is not None
    return _emitter(gate) is not None


def _takes_symbols(gate: cirq.Gate) -> bool:
    """Return whether the gate can be emitted with its symbols, by doing so."""
    if isinstance(gate, cirq.ControlledGate):
        if _control_state(gate) is None or _emitter(gate.sub_gate) is None:
            return False
    elif _emitter(gate) is None or isinstance(gate, cirq.MatrixGate):
        return False
    try:
        emit(QuantumCircuit(cirq.num_qubits(gate)), gate, range(cirq.num_qubits(gate)))
    except (NoAngle, CircuitError):
        return False
    return True


def emit(result: QuantumCircuit, gate: Any, wires: _Wires) -> None:
    """Append ``gate``, which ``knows`` accepts, to ``result``."""
    if isinstance(gate, cirq.ControlledGate):
        _emit_controlled(result, gate, wires)
        return
    emitter = _emitter(gate)
    assert emitter is not None  # noqa: S101  # knows() has seen it
    emitter(result, gate, wires)


def _emitter(gate: Any) -> _Emit | None:
    for kind, emitter in _EMITTERS.items():
        if isinstance(gate, kind):
            return None if kind is cirq.MatrixGate and cirq.num_qubits(gate) > MATRIX_QUBITS else emitter
    return None


def _control_state(gate: cirq.ControlledGate) -> int | None:
    """Return the values of the controls as Qiskit's number, or None when they are not one value each."""
    state = 0
    values = gate.control_values
    if not isinstance(values, cirq.ProductOfSums):
        return None
    for place, allowed in enumerate(values):
        if len(allowed) != 1 or allowed[0] not in (0, 1):
            return None
        state |= allowed[0] << place
    return state


def _emit_controlled(result: QuantumCircuit, gate: cirq.ControlledGate, wires: _Wires) -> None:
    controls = gate.num_controls()
    state = _control_state(gate)
    assert state is not None  # noqa: S101  # knows() has seen it
    inner = QuantumCircuit(len(wires) - controls)
    emit(inner, gate.sub_gate, range(inner.num_qubits))
    if inner.num_qubits == 0:
        _phase_of_state(result, inner.global_phase, wires, state)
        return
    if inner.parameters:
        _control_each(result, inner, wires, controls, state)
        return
    body, targets = inner.to_gate(), list(wires[controls:])
    if len(inner.data) == 1 and not inner.global_phase and len(inner.data[0].qubits) == inner.num_qubits:
        (only,) = inner.data
        body, targets = only.operation, [targets[inner.find_bit(bit).index] for bit in only.qubits]
    result.append(body.control(controls, ctrl_state=state, annotated=False), [*wires[:controls], *targets])


def _control_each(result: QuantumCircuit, inner: QuantumCircuit, wires: _Wires, controls: int, state: int) -> None:
    """Control each instruction, and the phase: Qiskit does not control a composite gate that holds parameters."""
    targets = list(wires[controls:])
    for each in inner.data:
        own = [targets[inner.find_bit(bit).index] for bit in each.qubits]
        result.append(each.operation.control(controls, ctrl_state=state, annotated=False), [*wires[:controls], *own])
    _phase_of_state(result, inner.global_phase, wires[:controls], state)


def _phase_of_state(result: QuantumCircuit, angle: Any, wires: _Wires, state: int) -> None:
    """Multiply by exp(i angle) where the wires spell ``state``."""
    if not wires:
        result.global_phase += angle
        return
    if isinstance(angle, int | float) and not angle:
        return
    flipped = [wire for place, wire in enumerate(wires) if not state >> place & 1]
    for wire in flipped:
        result.x(wire)
    if len(wires) == 1:
        result.p(angle, wires[0])
    else:
        result.append(MCPhaseGate(angle, len(wires) - 1), list(wires))
    for wire in flipped:
        result.x(wire)


def _turn(gate: Any) -> Any:
    """Return pi times the exponent."""
    return half_turns(gate.exponent)


def _shift(result: QuantumCircuit, gate: Any, extra: float = 0.0) -> None:
    """Add the phase of an eigengate: pi * exponent * (global_shift + extra)."""
    if shift := float(gate.global_shift) + extra:
        result.global_phase += _turn(gate) * shift


_X_NAMES: Final[Mapping[Any, str]] = {1: "x", 0.5: "sx", -0.5: "sxdg"}


def _x(result: QuantumCircuit, gate: Any, wires: _Wires) -> None:
    if gate.global_shift == 0 and gate.exponent in _X_NAMES:
        getattr(result, _X_NAMES[gate.exponent])(wires[0])
        return
    result.rx(_turn(gate), wires[0])
    _shift(result, gate, 0.5)


def _y(result: QuantumCircuit, gate: Any, wires: _Wires) -> None:
    if gate.exponent == 1 and gate.global_shift == 0:
        result.y(wires[0])
        return
    result.ry(_turn(gate), wires[0])
    _shift(result, gate, 0.5)


_Z_NAMES: Final[Mapping[float, str]] = {1.0: "z", 0.5: "s", -0.5: "sdg", 0.25: "t", -0.25: "tdg"}


def _z(result: QuantumCircuit, gate: Any, wires: _Wires) -> None:
    name = None if isinstance(gate.exponent, sympy.Basic) else _Z_NAMES.get(float(gate.exponent))
    if gate.global_shift == -0.5:
        result.rz(_turn(gate), wires[0])
        return
    if name is not None:
        getattr(result, name)(wires[0])
    else:
        result.p(_turn(gate), wires[0])
    _shift(result, gate)


def _h(result: QuantumCircuit, gate: Any, wires: _Wires) -> None:
    if gate.exponent == 1:
        result.h(wires[0])
    else:
        result.ry(-math.pi / 4, wires[0])
        result.p(_turn(gate), wires[0])
        result.ry(math.pi / 4, wires[0])
    _shift(result, gate)


def _cz(result: QuantumCircuit, gate: Any, wires: _Wires) -> None:
    if gate.exponent == 1:
        result.cz(*wires)
    else:
        result.append(CPhaseGate(_turn(gate)), list(wires))
    _shift(result, gate)


def _cx(result: QuantumCircuit, gate: Any, wires: _Wires) -> None:
    _cx_power(result, _turn(gate), wires[0], wires[1])
    _shift(result, gate)


def _cx_power(result: QuantumCircuit, angle: Any, control: int, target: int) -> None:
    if angle == math.pi:
        result.append(CXGate(), [control, target])
        return
    result.append(HGate(), [target])
    result.append(CPhaseGate(angle), [control, target])
    result.append(HGate(), [target])


def _ccz(result: QuantumCircuit, gate: Any, wires: _Wires) -> None:
    result.append(CCZGate() if gate.exponent == 1 else MCPhaseGate(_turn(gate), 2), list(wires))
    _shift(result, gate)


def _ccx(result: QuantumCircuit, gate: Any, wires: _Wires) -> None:
    if gate.exponent == 1:
        result.ccx(*wires)
    else:
        result.h(wires[2])
        result.append(MCPhaseGate(_turn(gate), 2), list(wires))
        result.h(wires[2])
    _shift(result, gate)


def _swap(result: QuantumCircuit, gate: Any, wires: _Wires) -> None:
    a, b = wires
    if gate.exponent == 1:
        result.append(SwapGate(), [a, b])
    else:
        result.cx(a, b)
        _cx_power(result, _turn(gate), b, a)
        result.cx(a, b)
    _shift(result, gate)


def _iswap(result: QuantumCircuit, gate: Any, wires: _Wires) -> None:
    result.append(iSwapGate() if gate.exponent == 1 else XXPlusYYGate(-_turn(gate)), list(wires))
    _shift(result, gate)


def _fsim(result: QuantumCircuit, gate: Any, wires: _Wires) -> None:
    result.append(XXPlusYYGate(angle_of(gate.theta, 2)), list(wires))
    result.append(CPhaseGate(angle_of(gate.phi, -1)), list(wires))


def _ising(kind: Any) -> _Emit:
    def rotate(result: QuantumCircuit, gate: Any, wires: _Wires) -> None:
        result.append(kind(_turn(gate)), list(wires))
        _shift(result, gate, 0.5)

    return rotate


def _phased_x(result: QuantumCircuit, gate: Any, wires: _Wires) -> None:
    result.append(RGate(_turn(gate), half_turns(gate.phase_exponent)), [wires[0]])
    _shift(result, gate, 0.5)


def _phased_xz(result: QuantumCircuit, gate: Any, wires: _Wires) -> None:
    x, z, axis = (half_turns(each) for each in (gate.x_exponent, gate.z_exponent, gate.axis_phase_exponent))
    result.append(RGate(x, axis), [wires[0]])
    result.p(z, wires[0])
    result.global_phase += x / 2


def _identity(result: QuantumCircuit, _gate: Any, wires: _Wires) -> None:
    for wire in wires:
        result.id(wire)


_UNITS: Final = (("s", 10**12), ("ms", 10**9), ("us", 10**6), ("ns", 10**3), ("ps", 1))


def _wait(result: QuantumCircuit, gate: Any, wires: _Wires) -> None:
    """Append delays, in the largest unit in which the number is whole."""
    picos = gate.duration.total_picos()
    if isinstance(picos, sympy.Basic) and picos.free_symbols:
        value, unit = angle_of(picos, 0.001), "ns"
    else:
        exact = float(picos)
        unit, size = next((each for each in _UNITS if exact % each[1] == 0), _UNITS[-1])
        value = exact / size
    for wire in wires:
        result.delay(value, wire, unit)


def _phase(result: QuantumCircuit, gate: Any, _wires: _Wires) -> None:
    result.global_phase += phase_angle(gate.coefficient)


def _cswap(result: QuantumCircuit, _gate: Any, wires: _Wires) -> None:
    result.append(CSwapGate(), list(wires))


def _matrix(result: QuantumCircuit, gate: Any, wires: _Wires) -> None:
    result.append(UnitaryGate(cirq.unitary(gate)), list(reversed(wires)))


_EMITTERS: Final[Mapping[type, _Emit]] = {
    cirq.XPowGate: _x,
    cirq.YPowGate: _y,
    cirq.ZPowGate: _z,
    cirq.HPowGate: _h,
    cirq.CZPowGate: _cz,
    cirq.CXPowGate: _cx,
    cirq.CCZPowGate: _ccz,
    cirq.CCXPowGate: _ccx,
    cirq.CSwapGate: _cswap,
    cirq.SwapPowGate: _swap,
    cirq.ISwapPowGate: _iswap,
    cirq.FSimGate: _fsim,
    cirq.XXPowGate: _ising(RXXGate),
    cirq.YYPowGate: _ising(RYYGate),
    cirq.ZZPowGate: _ising(RZZGate),
    cirq.PhasedXPowGate: _phased_x,
    cirq.PhasedXZGate: _phased_xz,
    cirq.IdentityGate: _identity,
    cirq.WaitGate: _wait,
    cirq.GlobalPhaseGate: _phase,
    cirq.MatrixGate: _matrix,
}
