"""The sweeps of the adjoint gradient in NumPy alone: the twin of ``adjoint_kernels``, with the same two functions."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hyperfabric_q.workloads.learning.circuit_form import Kind
from hyperfabric_q.workloads.learning.turns import Matrix

States = NDArray[np.complex128]
_CX: Matrix = np.array([[1, 0, 0, 0], [0, 0, 0, 1], [0, 0, 1, 0], [0, 1, 0, 0]], dtype=np.complex128)


def forward(steps: NDArray[np.int64], ones: Matrix, twos: Matrix, states: States) -> None:
    """Carry every row through all steps; see ``adjoint_kernels.forward``."""
    for kind, first, second, block in steps.tolist():
        matrices, qubits = _gate(kind, first, second, block, ones, twos)
        states[:] = _applied(states, matrices, qubits)


def backward(
    steps: NDArray[np.int64],
    ones: Matrix,
    twos: Matrix,
    asked_one: NDArray[np.bool_],
    asked_two: NDArray[np.bool_],
    kets: States,
    bras: States,
    one: Matrix,
    two: Matrix,
) -> None:
    """Undo all steps and note overlaps; see ``adjoint_kernels.backward``."""
    for kind, first, second, block in reversed(steps.tolist()):
        matrices, qubits = _gate(kind, first, second, block, ones, twos)
        if kind == Kind.ONE and asked_one[block]:
            for each in range(bras.shape[1]):
                one[:, each, block] = _overlaps(bras[:, each], kets, qubits)
        elif kind in {Kind.DIAGONAL, Kind.TWO} and asked_two[block]:
            for each in range(bras.shape[1]):
                two[:, each, block] = _overlaps(bras[:, each], kets, qubits)
        kets[:] = _applied(kets, matrices, qubits)
        for each in range(bras.shape[1]):
            bras[:, each] = _applied(bras[:, each], matrices, qubits)


def _gate(kind: int, first: int, second: int, block: int, ones: Matrix, twos: Matrix) -> tuple[Matrix, tuple[int, ...]]:
    """The matrices of a step, (B, d, d), and its qubits."""
    if kind == Kind.ONE:
        return ones[:, block], (first,)
    if kind == Kind.CX:
        return np.broadcast_to(_CX, (len(twos), 4, 4)), (first, second)
    return twos[:, block], (first, second)


def _split(states: States, qubits: tuple[int, ...]) -> tuple[States, tuple[int, ...]]:
    """The states as (B, 2 of each qubit, the highest first, others), and the axes that were moved there."""
    count = states.shape[1].bit_length() - 1
    axes = tuple(count - qubit for qubit in reversed(qubits))
    moved = np.moveaxis(states.reshape(-1, *(2,) * count), axes, range(1, 1 + len(axes)))
    return moved, axes


def _applied(states: States, matrices: Matrix, qubits: tuple[int, ...]) -> States:
    moved, axes = _split(states, qubits)
    turned = matrices @ moved.reshape(len(states), 1 << len(qubits), -1)
    return np.moveaxis(turned.reshape(moved.shape), range(1, 1 + len(axes)), axes).reshape(states.shape)


def _overlaps(bras: States, kets: States, qubits: tuple[int, ...]) -> Matrix:
    left, right = _split(bras, qubits)[0], _split(kets, qubits)[0]
    size = 1 << len(qubits)
    rows = len(kets)
    return np.asarray(left.reshape(rows, size, -1).conj() @ right.reshape(rows, size, -1).swapaxes(1, 2))
