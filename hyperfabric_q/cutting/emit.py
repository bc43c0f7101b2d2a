"""An instrument as Qiskit operations: gates, measurements in the middle of the circuit, and what their outcomes count.

How to run an instrument follows from its Kraus operators alone. A single unitary is a gate. Two that are V(1 ± P)/2,
with P a Pauli string, are a measurement of P, by CX gates onto one of the qubits themselves, and then V. A wire that
ends is measured in a basis, one that begins is prepared from |0>. Only two Kraus operators of another kind take an
ancilla: it goes into superposition, controls which of two unitaries acts, and is measured.
"""

from __future__ import annotations

import cmath
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from qiskit import QuantumCircuit
from qiskit.circuit.library import StatePreparation, UnitaryGate
from qiskit.synthesis import OneQubitEulerDecomposer

from hyperfabric_q.cutting.decomposition import Complex, Instrument, Real
from hyperfabric_q.cutting.kak import HADAMARD, deviation, phase_gate
from hyperfabric_q.cutting.paulis import PAULIS, Label, coefficients, matrix_of, product
from hyperfabric_q.errors import InternalError, InvalidValue

_ZERO = 1e-10

Setting: TypeAlias = tuple[tuple[int, ...], ...]
"""A basis of stabilizer states: the symmetric bits A of sum_x i^{x·A·x} (-1)^{j·x} |x>; () is the computational one."""


@dataclass(frozen=True, slots=True, eq=False)
class _Recipe:
    """How an instrument is run: ``kind``, the operators it needs, and what the bits it writes count."""

    kind: str
    values: Real
    operators: tuple[Complex, ...] = ()
    parity: Label = ()
    setting: Setting | None = None
    index: int = 0
    bits: int = 0


def bits_of(instrument: Instrument) -> int:
    """Return how many classical bits ``emit`` writes: 0 for a gate or a preparation, one per wire that ends, else 1."""
    return _recipe(instrument).bits


def needs_ancilla(instrument: Instrument) -> bool:
    """Return whether ``emit`` needs an ancilla."""
    return _recipe(instrument).kind == "ancilla"


def emit(
    instrument: Instrument,
    circuit: QuantumCircuit,
    qubits: Sequence[Any],
    clbit: Any | Sequence[Any] | None = None,
    ancilla: Any | None = None,
) -> Real:
    """Append ``instrument`` to ``circuit`` and return what each value of the bits it writes counts for.

    The result has shape (2^bits,), the first bit least significant: (1,) for a gate or a preparation, (1, -1) for a
    sign (-1)^bit. Outcomes of wires that end count for their sign, or 0 where the instrument is a single outcome of a
    basis: all instruments of one basis append the same operations and read them differently.

    Args:
        instrument: what to append.
        circuit: changed in place.
        qubits: the qubits of its side, first the least significant; those of a beginning wire must be in |0>, those of
            an ending wire are left measured.
        clbit: the bit to write, or a sequence of ``bits_of(instrument)`` of them.
        ancilla: a qubit in |0>, and left in |0>, for instruments that need one.

    Raises:
        InvalidValue: qubits, bits or an ancilla are missing.
        InternalError: no cut of this package has such an instrument.
    """
    recipe = _recipe(instrument)
    width = max(instrument.kraus.shape[1:]).bit_length() - 1
    bits = _listed(clbit)
    if len(qubits) != width:
        raise InvalidValue(field="qubits", value=len(qubits), rule=f"{instrument.name!r} acts on {width}")
    if len(bits) < recipe.bits:
        raise InvalidValue(field="clbit", value=clbit, rule=f"{instrument.name!r} writes {recipe.bits}")
    if recipe.kind == "prepare":
        _prepare(circuit, qubits, recipe)
    elif recipe.kind == "end":
        _turn_to_computational(circuit, qubits, recipe)
        for qubit, bit in zip(qubits, bits, strict=False):
            circuit.measure(qubit, bit)
    elif recipe.kind == "unitary":
        _unitary(circuit, qubits, recipe.operators[0])
    elif recipe.kind == "parity":
        _measure_parity(circuit, qubits, recipe.parity, bits[0])
        _unitary(circuit, qubits, recipe.operators[0])
    else:
        if ancilla is None:
            raise InvalidValue(field="ancilla", value=None, rule=f"{instrument.name!r} needs one more qubit, in |0>")
        _by_ancilla(circuit, qubits, recipe.operators, bits[0], ancilla)
    return recipe.values


def _listed(clbit: Any | Sequence[Any] | None) -> list[Any]:
    if clbit is None:
        return []
    return list(clbit) if isinstance(clbit, Iterable) else [clbit]


# ------------------------------------------------------------------------------------------------------ recognition


def _recipe(instrument: Instrument) -> _Recipe:
    outcomes, d_out, d_in = instrument.kraus.shape
    if d_out == 1 and d_in > 1:
        return _ending(instrument)
    if d_in == 1:
        return _beginning(instrument)
    if outcomes == 1 and _is_unitary(instrument.kraus[0]):
        return _Recipe("unitary", _values(instrument.signs), (instrument.kraus[0],))
    if outcomes == 2:
        one, other = instrument.kraus[0] + instrument.kraus[1], instrument.kraus[0] - instrument.kraus[1]
        if _is_unitary(one) and _is_unitary(other):
            found = _string(one.conj().T @ other)
            if found is None:
                return _Recipe("ancilla", _values(instrument.signs), (one, other), bits=1)
            sign, label = found
            values = _values(instrument.signs if sign > 0 else instrument.signs[::-1])
            return _Recipe("parity", values, (one,), parity=label, bits=1)
    raise InternalError(what=f"there is no way to run the instrument {instrument.name!r}")


def _values(values: NDArray[np.float64]) -> Real:
    fixed = np.array(values, dtype=np.float64)
    fixed.setflags(write=False)
    return fixed


def _is_unitary(operator: Complex) -> bool:
    return bool(np.abs(operator @ operator.conj().T - np.eye(len(operator))).max() < _ZERO)


def _string(operator: Complex) -> tuple[float, Label] | None:
    """The sign and the label when ``operator`` is plus or minus a Pauli string other than I, None when it is not."""
    table = coefficients(operator)
    label = tuple(int(each) for each in np.unravel_index(np.abs(table).argmax(), table.shape))
    value = complex(table[label])
    if any(label) and abs(abs(value.real) - 1) < _ZERO and abs(value.imag) < _ZERO:
        return math.copysign(1.0, value.real), label
    return None


def _ending(instrument: Instrument) -> _Recipe:
    size = instrument.kraus.shape[2]
    width = size.bit_length() - 1
    states = instrument.kraus[:, 0, :].conj()
    if np.abs(states @ states.conj().T - np.eye(len(states))).max() > _ZERO:
        raise InternalError(what=f"the outcomes of {instrument.name!r} are not states of one basis")
    known = [found for state in states if (found := _stabilizer(state)) is not None]
    values = np.zeros(size)
    if len(known) == len(states) and len({setting for setting, _ in known}) == 1:
        values[[index for _, index in known]] = instrument.signs
        return _Recipe("end", _values(values), setting=known[0][0], bits=width)
    values[: len(states)] = instrument.signs
    basis = np.linalg.qr(np.column_stack([states.T, np.eye(size)]))[0]
    basis[:, : len(states)] = states.T  # QR leaves their phases open, which no outcome depends on
    return _Recipe("end", _values(values), (basis.conj().T,), bits=width)


def _beginning(instrument: Instrument) -> _Recipe:
    state = instrument.kraus[0, :, 0]
    if len(instrument.kraus) != 1 or abs(np.linalg.norm(state) - 1) > _ZERO:
        raise InternalError(what=f"{instrument.name!r} does not prepare one state")
    values = _values(instrument.signs)
    if (found := _stabilizer(state)) is not None:
        return _Recipe("prepare", values, setting=found[0], index=found[1])
    return _Recipe("prepare", values, (state,))


def _stabilizer(state: NDArray[np.complex128]) -> tuple[Setting, int] | None:
    """Basis and index of a computational state or one with all amplitudes a quarter turn apart, None for others."""
    size = len(state)
    moduli = np.abs(state)
    if abs(moduli.max() - 1) < _ZERO:
        return (), int(moduli.argmax())
    if np.abs(moduli - 1 / math.sqrt(size)).max() > _ZERO:
        return None
    width = size.bit_length() - 1
    turns = np.rint(np.angle(state / state[0]) / (math.pi / 2)).astype(np.int64) % 4
    alone = [int(turns[1 << k]) for k in range(width)]
    matrix = [[alone[k] % 2 if k == m else 0 for m in range(width)] for k in range(width)]
    for k in range(width):
        for m in range(k):
            matrix[k][m] = matrix[m][k] = int(turns[1 << k | 1 << m] - alone[k] - alone[m]) % 4 // 2
    index = sum(alone[k] // 2 << k for k in range(width))
    setting = tuple(tuple(row) for row in matrix)
    return (setting, index) if deviation(_stabilizer_state(setting, index), state) < _ZERO else None


def _stabilizer_state(setting: Setting, index: int) -> NDArray[np.complex128]:
    width = len(setting)
    bits = np.arange(2**width)[:, None] >> np.arange(width) & 1
    turns = np.einsum("xk,kl,xl->x", bits, np.array(setting), bits) + 2 * (bits @ (index >> np.arange(width) & 1))
    return np.asarray(np.array([1, 1j, -1, -1j])[turns % 4] / math.sqrt(2**width))


# --------------------------------------------------------------------------------------------------------- emission


def _prepare(circuit: QuantumCircuit, qubits: Sequence[Any], recipe: _Recipe) -> None:
    if recipe.setting is None:
        circuit.append(StatePreparation(recipe.operators[0]), list(qubits))
        return
    flips = [qubit for k, qubit in enumerate(qubits) if recipe.index >> k & 1]
    if recipe.setting == ():
        for qubit in flips:
            circuit.x(qubit)
        return
    for qubit in qubits:
        circuit.h(qubit)
    _entangle(circuit, qubits, recipe.setting)
    for k, qubit in enumerate(qubits):
        _one_qubit(circuit, qubit, phase_gate(math.pi / 2 * recipe.setting[k][k] + math.pi * (recipe.index >> k & 1)))


def _turn_to_computational(circuit: QuantumCircuit, qubits: Sequence[Any], recipe: _Recipe) -> None:
    if recipe.setting is None:
        _unitary(circuit, qubits, recipe.operators[0])
    elif recipe.setting:
        for k, qubit in enumerate(qubits):
            if recipe.setting[k][k]:
                circuit.sdg(qubit)
        _entangle(circuit, qubits, recipe.setting)
        for qubit in qubits:
            circuit.h(qubit)


def _entangle(circuit: QuantumCircuit, qubits: Sequence[Any], setting: Setting) -> None:
    for k, row in enumerate(setting):
        for m in range(k):
            if row[m]:
                circuit.cz(qubits[m], qubits[k])


_NAMED: tuple[tuple[str, Complex], ...] = (
    ("id", PAULIS[0]),
    ("x", PAULIS[1]),
    ("y", PAULIS[2]),
    ("z", PAULIS[3]),
    ("s", phase_gate(math.pi / 2)),
    ("sdg", phase_gate(-math.pi / 2)),
    ("h", HADAMARD),
)

_EULER = OneQubitEulerDecomposer("U")


def _one_qubit(circuit: QuantumCircuit, qubit: Any, matrix: Complex) -> None:
    for name, known in _NAMED:
        if deviation(known, matrix) < _ZERO:
            if name != "id":
                getattr(circuit, name)(qubit)
            return
    circuit.u(*_EULER.angles(matrix), qubit)


def _unitary(circuit: QuantumCircuit, qubits: Sequence[Any], matrix: Complex) -> None:
    """A unitary up to global phase: Pauli strings and rotations about one by elementary gates."""
    if len(qubits) == 1:
        _one_qubit(circuit, qubits[0], matrix)
        return
    table = coefficients(matrix)
    labels = [tuple(int(each) for each in row) for row in np.argwhere(np.abs(table) > _ZERO)]
    if len(labels) == 1:
        _paulis(circuit, qubits, labels[0])
        return
    if len(labels) == 2:  # c Q + c' Q' = c Q (1 + (c'/c) i^k P), a rotation about P when the factor is imaginary
        turns, string = product(labels[0], labels[1])
        factor = complex(table[labels[1]] / table[labels[0]]) * 1j**turns
        if abs(factor.real) < _ZERO:
            _rotate(circuit, qubits, string, math.atan(factor.imag))
            _paulis(circuit, qubits, labels[0])
            return
    circuit.append(UnitaryGate(matrix), list(qubits))


def _paulis(circuit: QuantumCircuit, qubits: Sequence[Any], label: Label) -> None:
    for qubit, digit in zip(qubits, label, strict=True):
        if digit:
            getattr(circuit, "ixyz"[digit])(qubit)


def _rotate(circuit: QuantumCircuit, qubits: Sequence[Any], string: Label, angle: float) -> None:
    """Append exp(i angle P)."""
    last = _gather(circuit, qubits, string)
    _one_qubit(circuit, last, np.diag(np.exp([1j * angle, -1j * angle])))
    _scatter(circuit, qubits, string)


def _measure_parity(circuit: QuantumCircuit, qubits: Sequence[Any], string: Label, clbit: Any) -> None:
    circuit.measure(_gather(circuit, qubits, string), clbit)
    _scatter(circuit, qubits, string)


def _gather(circuit: QuantumCircuit, qubits: Sequence[Any], string: Label) -> Any:
    """Turn the Pauli string into Z of the last qubit it acts on, which is returned."""
    support = [(qubit, digit) for qubit, digit in zip(qubits, string, strict=True) if digit]
    for qubit, digit in support:
        if digit == 2:
            circuit.sdg(qubit)
        if digit != 3:
            circuit.h(qubit)
    for (qubit, _), (following, _) in pairwise(support):
        circuit.cx(qubit, following)
    return support[-1][0]


def _scatter(circuit: QuantumCircuit, qubits: Sequence[Any], string: Label) -> None:
    """Undo ``_gather``."""
    support = [(qubit, digit) for qubit, digit in zip(qubits, string, strict=True) if digit]
    for (qubit, _), (following, _) in reversed(list(pairwise(support))):
        circuit.cx(qubit, following)
    for qubit, digit in support:
        if digit != 3:
            circuit.h(qubit)
        if digit == 2:
            circuit.s(qubit)


def _by_ancilla(
    circuit: QuantumCircuit, qubits: Sequence[Any], operators: tuple[Complex, ...], clbit: Any, ancilla: Any
) -> None:
    """|0> + |1> on the ancilla controls the two unitaries; X measured on it leaves half their sum or difference."""
    circuit.h(ancilla)
    circuit.x(ancilla)
    phase = -_controlled(circuit, qubits, operators[0], ancilla)
    circuit.x(ancilla)
    phase += _controlled(circuit, qubits, operators[1], ancilla)
    _one_qubit(circuit, ancilla, phase_gate(phase))
    circuit.h(ancilla)
    circuit.measure(ancilla, clbit)
    circuit.reset(ancilla)


def _controlled(circuit: QuantumCircuit, qubits: Sequence[Any], matrix: Complex, ancilla: Any) -> float:
    """Append a unitary controlled by the ancilla and return the phase that is still missing."""
    table = coefficients(matrix)
    label = tuple(int(each) for each in np.unravel_index(np.abs(table).argmax(), table.shape))
    phase = cmath.phase(complex(table[label]))
    if np.abs(matrix - np.exp(1j * phase) * matrix_of(label)).max() > _ZERO:
        circuit.append(UnitaryGate(matrix).control(1), [ancilla, *qubits])
        return 0.0
    for qubit, digit in zip(qubits, label, strict=True):
        if digit:
            getattr(circuit, ("", "cx", "cy", "cz")[digit])(ancilla, qubit)
    return phase
