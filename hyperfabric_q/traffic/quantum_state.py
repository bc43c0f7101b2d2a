"""Which quantum state does teleportation deliver?

A state of n qubits is teleported over n Bell pairs, qubit i over pair i. A Bell-diagonal pair with correlators
(lx, ly, lz) acts as the Pauli channel with these eigenvalues: X, Y and Z of the qubit shrink by lx, ly and lz. With the
matrix of one qubit written as its blocks r00, r01, r10, r11, that is

    r00' = (1 + lz)/2 r00 + (1 - lz)/2 r11        r01' = (lx + ly)/2 r01 + (lx - ly)/2 r10

and likewise with 0 and 1 exchanged (Bowen and Bose 2001: a mixed pair teleports through a generalised depolarising
channel). Exact at any n, in place, at two passes over the 4^n entries per qubit.

What has been sent cannot be sent again:

* A ``Statevector`` or ``DensityMatrix`` stands for one preparation of that state. The mark that it is spent belongs to
  the object, by identity and for the whole process, and is forgotten together with the object. A copy, or an equal
  object built anew, is a second preparation, and its sender's responsibility.
* A ``QuantumCircuit`` is a recipe. It may be sent as often as one likes: every reading prepares another state.
"""

from __future__ import annotations

import weakref
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from hyperfabric_q.errors import InvalidValue, PairSpent

if TYPE_CHECKING:
    from qiskit import QuantumCircuit
    from qiskit.quantum_info import DensityMatrix

Matrix = npt.NDArray[np.complex128]

MOST_QUBITS: Final = 12
"""Qubits of the largest state: its density matrix takes 256 MiB."""

ACCEPTED: Final = (
    "a Qiskit Statevector or DensityMatrix of qubits, or a QuantumCircuit that prepares the state from |0...0> with "
    "gates alone"
)

_TOLERANCE: Final = 1e-8

_spent: dict[int, weakref.ref[Any]] = {}
"""What was sent, by identity: Qiskit's states are not hashable, so no WeakSet can hold them."""


# ------------------------------------------------------------------------------------------------------- the handle


@dataclass(frozen=True, slots=True, weakref_slot=True, eq=False, kw_only=True)
class QuantumState:
    """One preparation of a state of qubits, to be sent at most once; ``state_of`` makes it.

    Frozen but for the mark that it is spent.

    Attributes:
        qubits: how many, 1 to 12.
        data: amplitudes, shape (2^n,), or a density matrix, shape (2^n, 2^n), in Qiskit's order: qubit 0 is the lowest
            bit of an index. A read-only copy: what happens to the source later does not reach it.
        source: the object that the mark belongs to; None = the handle itself.
    """

    qubits: int
    data: Matrix = field(repr=False)
    source: object = field(default=None, repr=False)

    @property
    def is_pure(self) -> bool:
        """True when it is kept as a vector; a density matrix of rank one counts as mixed."""
        return self.data.ndim == 1

    @property
    def is_spent(self) -> bool:
        """True when it, or another handle of the same object, was sent before."""
        known = _spent.get(id(self._owner))
        return known is not None and known() is self._owner

    @property
    def _owner(self) -> object:
        return self if self.source is None else self.source

    def spend(self) -> None:
        """Mark the state as sent.

        Raises:
            PairSpent: it was sent before; no state can be copied.
        """
        if self.is_spent:
            raise _sent_before(self.qubits)
        key = id(self._owner)
        # An address is given out again once its object is gone, by which time the mark is gone as well.
        _spent[key] = weakref.ref(self._owner, lambda _: _spent.pop(key, None))

    def density(self) -> Matrix:
        """Return a new density matrix, shape (2^n, 2^n)."""
        return np.outer(self.data, self.data.conj()) if self.is_pure else self.data.copy()


def _sent_before(qubits: int) -> PairSpent:
    return PairSpent(what=f"the quantum state of {qubits} qubit(s)", fate="sent")


# ---------------------------------------------------------------------------------------------------------- reading


def is_quantum_state(data: object) -> bool:
    """Return whether ``data`` is of a kind that ``state_of`` reads; Qiskit is not loaded to find out."""
    kinds = {"Statevector", "DensityMatrix", "QuantumCircuit"}
    family = {each.__name__ for each in type(data).__mro__ if each.__module__.partition(".")[0] == "qiskit"}
    return isinstance(data, QuantumState) or not kinds.isdisjoint(family)


def state_of(data: object) -> QuantumState:
    """Return the quantum state that ``data`` is or prepares; a ``QuantumState`` is returned as it is.

    Nothing is spent by reading.

    Args:
        data: a ``Statevector``, a ``DensityMatrix``, or a ``QuantumCircuit`` without measurements, resets and unbound
            parameters; ``initialize`` may stand where its qubits are still in |0>.

    Raises:
        PairSpent: the object was sent before.
        InvalidValue: it is none of these, has no qubits or more than 12, or is no state at all (norm, trace,
            Hermiticity and positivity are checked to 1e-8).

    Cost: O(2^n) per gate and for a vector; O(8^n) for the positivity of a density matrix, seconds at 12 qubits.
    """
    from qiskit import QuantumCircuit  # noqa: PLC0415 - only for those who send quantum states
    from qiskit.quantum_info import DensityMatrix, Statevector  # noqa: PLC0415

    if isinstance(data, QuantumState):
        state = data
    elif isinstance(data, QuantumCircuit):
        state = QuantumState(qubits=_count(data.num_qubits), data=_prepared(data))
    elif isinstance(data, Statevector):
        state = QuantumState(qubits=_count(data.num_qubits), data=_vector(data.data), source=data)
    elif isinstance(data, DensityMatrix):
        state = QuantumState(qubits=_count(data.num_qubits), data=_matrix(data.data), source=data)
    else:
        raise _refused(type(data).__name__, f"it is not {ACCEPTED}")
    if state.is_spent:
        raise _sent_before(state.qubits)
    return state


def _refused(value: object, rule: str, remedy: str = "") -> InvalidValue:
    return InvalidValue(field="data", value=value, rule=rule, remedy=remedy)


def _count(qubits: int | None) -> int:
    if qubits is None:
        raise _refused("subsystems", "a state that is teleported consists of qubits, not of larger systems")
    if not 1 <= qubits <= MOST_QUBITS:
        raise _refused(
            f"{qubits} qubits", f"a state of 1 to {MOST_QUBITS} qubits can be sent", "Send it in parts, if it has any."
        )
    return qubits


def _frozen(data: Matrix) -> Matrix:
    data.setflags(write=False)
    return data


def _vector(data: Any) -> Matrix:
    vector = np.array(data, dtype=np.complex128)
    norm = float(np.linalg.norm(vector))
    if not abs(norm - 1) <= _TOLERANCE:
        raise _refused(f"a vector of norm {norm:.9g}", "a state has the norm 1", "Divide it by its norm.")
    return _frozen(vector)


def _matrix(data: Any) -> Matrix:
    matrix = np.array(data, dtype=np.complex128)
    trace = complex(np.trace(matrix))
    if not abs(trace - 1) <= _TOLERANCE:
        raise _refused(f"a matrix of trace {trace:.9g}", "a density matrix has the trace 1")
    if not float(np.abs(matrix - matrix.conj().T).max()) <= _TOLERANCE:
        raise _refused("a matrix that is not Hermitian", "a density matrix is Hermitian")
    try:
        # Succeeds when no eigenvalue lies below the shift, at a tenth of the cost of the eigenvalues.
        np.linalg.cholesky(matrix + _TOLERANCE * np.eye(len(matrix)))
    except np.linalg.LinAlgError:
        raise _refused("a matrix with a negative eigenvalue", "a density matrix has none") from None
    return _frozen(matrix)


# ----------------------------------------------------------------------------------------------- preparation circuits


def _prepared(circuit: QuantumCircuit) -> Matrix:
    from qiskit.exceptions import QiskitError  # noqa: PLC0415
    from qiskit.quantum_info import Statevector  # noqa: PLC0415

    _count(circuit.num_qubits)
    if circuit.parameters:
        names = ", ".join(sorted(each.name for each in circuit.parameters))
        raise _refused(circuit.name, f"its parameters {names} have no values", "Assign them first.")
    _check_gates(circuit, list(range(circuit.num_qubits)), set())
    try:
        return _vector(Statevector(circuit).data)
    except QiskitError as fault:
        raise _refused(circuit.name, f"Qiskit cannot prepare its state: {fault.message}") from fault


def _check_gates(circuit: QuantumCircuit, wires: list[int], touched: set[int]) -> None:
    """Refuse whatever makes the prepared state random or mixed, inside instructions of one's own too.

    Args:
        circuit: the circuit, or the definition of an instruction.
        wires: the outermost wire of each of its qubits.
        touched: outermost wires on which something stood before; grows.
    """
    from qiskit.circuit import Gate  # noqa: PLC0415

    for step in circuit.data:
        operation = step.operation
        on = [wires[circuit.find_bit(qubit).index] for qubit in step.qubits]
        fresh = operation.name == "initialize" and not touched.intersection(on)
        if not (isinstance(operation, Gate) or fresh or operation.name in {"barrier", "delay"}):
            inner = None if operation.name == "initialize" else getattr(operation, "definition", None)
            if inner is None or step.clbits:
                raise _refused(
                    operation.name, "a circuit that prepares a state to be sent holds gates alone", f"Send {ACCEPTED}."
                )
            _check_gates(inner, on, touched)
        touched.update(() if operation.name == "barrier" else on)


# ------------------------------------------------------------------------------------------------------- teleporting


def teleported(state: QuantumState, correlators: npt.ArrayLike) -> DensityMatrix:
    """Return the state at the other end, corrections applied: a ``DensityMatrix``, for perfect pairs too.

    It is the mean over all outcomes of the Bell measurements, each of which leaves the same state once corrected.
    Nothing is spent by it. Cost: O(n 4^n) time, half a density matrix of memory beyond the result's own.

    Args:
        state: what was sent.
        correlators: shape (n, 3): (lx, ly, lz) of the pair that took qubit i, in row i.

    Raises:
        InvalidValue: not one row per qubit, or a row that belongs to no state of two qubits.
    """
    from qiskit.quantum_info import DensityMatrix  # noqa: PLC0415

    rows = _correlators(correlators, state.qubits)
    matrix = state.density()
    for qubit, (lx, ly, lz) in enumerate(rows.tolist()):
        if not lx == ly == lz == 1:
            _pauli_channel(matrix, qubit, lx, ly, lz)
    return DensityMatrix(matrix, dims=(2,) * state.qubits)


def state_fidelity_expected(correlators: npt.ArrayLike, state: QuantumState | None = None) -> float:
    """Return the expected fidelity of what arrives to what was sent.

    Args:
        correlators: shape (n, 3), of the pairs.
        state: what is sent; None = the mean over all pure states of n qubits, (2^n F + 1) / (2^n + 1) with F the
            product of the pairs' fidelities (Horodecki, Horodecki and Horodecki 1999).

    Raises:
        InvalidValue: not one row per qubit, or a row that belongs to no state of two qubits.

    Cost: O(n 4^n) for a pure state, O(8^n) for a mixed one (Uhlmann's fidelity), O(n) without a state.
    """
    if state is None:
        rows = _correlators(correlators, None)
        dimension = 2.0 ** len(rows)
        return float((dimension * np.prod((1 + rows.sum(axis=1)) / 4) + 1) / (dimension + 1))
    arrived = teleported(state, correlators)
    if state.is_pure:
        return float(np.real(np.vdot(state.data, arrived.data @ state.data)))
    from qiskit.quantum_info import DensityMatrix, state_fidelity  # noqa: PLC0415

    return float(state_fidelity(DensityMatrix(state.data), arrived, validate=False))


def _correlators(given: npt.ArrayLike, qubits: int | None) -> npt.NDArray[np.float64]:
    shape = "(n, 3)" if qubits is None else f"({qubits}, 3)"
    rule = f"the correlators of the pairs are real numbers of shape {shape}, one row per qubit"
    try:
        rows = np.asarray(given, dtype=np.float64)
    except (TypeError, ValueError):
        raise InvalidValue(field="correlators", value=given, rule=rule) from None
    if rows.ndim != 2 or rows.shape[1] != 3 or len(rows) == 0 or qubits not in {None, len(rows)}:
        raise InvalidValue(field="correlators", value=f"an array of shape {rows.shape}", rule=rule)
    lx, ly, lz = rows.T
    weights = np.stack([1 + lx + ly + lz, 1 + lx - ly - lz, 1 - lx + ly - lz, 1 - lx - ly + lz], axis=1) / 4
    bad = np.flatnonzero(~(weights >= -_TOLERANCE).all(axis=1))
    if len(bad):
        raise InvalidValue(
            field=f"correlators[{bad[0]}]",
            value=tuple(rows[bad[0]].tolist()),
            rule="no pair has them: its weights on the four Bell states would not all be at least 0",
        )
    return rows


def _pauli_channel(matrix: Matrix, qubit: int, lx: float, ly: float, lz: float) -> None:
    """Shrink X, Y and Z of one qubit, in place."""
    low = 1 << qubit
    blocks = matrix.reshape(len(matrix) // (2 * low), 2, low, len(matrix) // (2 * low), 2, low)
    _mix(blocks[:, 0, :, :, 0, :], blocks[:, 1, :, :, 1, :], (1 + lz) / 2, (1 - lz) / 2)
    _mix(blocks[:, 0, :, :, 1, :], blocks[:, 1, :, :, 0, :], (lx + ly) / 2, (lx - ly) / 2)


def _mix(one: Matrix, other: Matrix, keep: float, cross: float) -> None:
    before = one.copy()
    one *= keep
    one += cross * other
    other *= keep
    other += cross * before
