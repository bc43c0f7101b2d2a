"""All measurement branches of a circuit at once, exactly: a NumPy state vector that splits, and merges again.

A measurement splits a branch in two. As soon as the classical values two branches still need are equal, and their
states are equal up to phase, they become one, and their probabilities add. Teleportation restores the state after
each correction, so a correct distributed circuit keeps two branches at most, where naive enumeration would need
2^(bits).

Wires join the array when they are first used and leave it when they are measured or reset, so communication qubits cost
memory only while they hold something.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hyperfabric_q.convert.operations import Kind, Matrix, Operation
from hyperfabric_q.errors import InvalidValue, SimulationRefused
from hyperfabric_q.simulate.order import peak

State: TypeAlias = NDArray[np.complex128]

MAX_WIRES = 22
MAX_BRANCHES = 1 << 14
MERGE_TOLERANCE = 1e-13
NEGLIGIBLE = 1e-12
"""Branches less likely than this are dropped."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Branch:
    """One final state of the circuit and how likely it is.

    Attributes:
        probability: of this branch.
        bits: value of each bit of ``keep_bits``, in that order.
        state: complex, shape (2^outputs, 2^left-over wires), norm 1; the first output wire is the lowest bit of the row
            index (Qiskit's order). Unmeasured wires that are not outputs are left over: with more than one column
            of weight, they are entangled with the outputs or the outputs are mixed.
    """

    probability: float
    bits: tuple[int, ...]
    state: State = field(repr=False)

    def infidelity(self, reference: ArrayLike) -> float:
        """Return 1 - <r|rho|r>: rho is the state of the outputs alone, r a unit vector of shape (2^outputs,)."""
        overlap = np.conj(np.asarray(reference).reshape(-1)) @ self.state
        return max(0.0, 1.0 - float(np.vdot(overlap, overlap).real))


def branches(
    operations: Sequence[Operation],
    *,
    state: ArrayLike | None = None,
    wires: Sequence[int] = (),
    outputs: Sequence[int] = (),
    keep_bits: Sequence[int] = (),
    max_wires: int = MAX_WIRES,
    max_branches: int = MAX_BRANCHES,
) -> tuple[Branch, ...]:
    """Return every branch of a circuit, equal ones merged; memory is branches × 16 B × 2^(wires alive).

    Args:
        operations: in the order to run; see ``simulate.order`` for a frugal one.
        state: input, shape (2^len(wires),), qubit 0 as lowest bit of the index; None stands for |0...0>.
        wires: wire that carries input qubit q. All other wires start in |0>.
        outputs: wires of the returned states, lowest first.
        keep_bits: classical bits the caller wants; branches that differ in them are never merged.
        max_wires: bound on the wires alive at once.
        max_branches: bound on the branches alive at once.

    Raises:
        SimulationRefused: a bound is exceeded; the one on wires before anything is computed.
        InvalidValue: the input state has the wrong length.
    """
    vector = _input(state, len(wires))
    needed = peak(operations, inputs=wires, keep_bits=keep_bits).wires
    if needed > max_wires:
        raise SimulationRefused(
            asked="an exact simulation over all measurement branches",
            found=f"{needed} qubits are alive at once; the bound is {max_wires} (2^{max_wires} amplitudes per branch)",
            remedy="Use a smaller circuit, or a method that does not hold the state.",
        )
    run = _Run(vector, wires, max_wires=max_wires, max_branches=max_branches)
    forget = _dead_after(operations, outputs, keep_bits)
    for operation, dead in zip(operations, forget, strict=True):
        run.apply(operation)
        run.forget(dead)
    return tuple(run.result(outputs, keep_bits))


@dataclass(slots=True)
class _Alive:
    """A branch under way; ``memory`` holds classical bits under their number and settled wires under -1 - wire."""

    probability: float
    memory: dict[int, int]
    array: State


def _settled(wire: int) -> int:
    return -1 - wire


class _Run:
    """The branches alive, all over the same wires: axis k of every array belongs to ``axes[k]``."""

    def __init__(self, vector: State, wires: Sequence[int], *, max_wires: int, max_branches: int) -> None:
        self._axes = list(reversed(wires))
        self._alive = [_Alive(1.0, {}, vector.reshape((2,) * len(wires)))]
        self._max_amplitudes = 1 << (max_wires + 2)
        self._max_branches = max_branches

    def apply(self, operation: Operation) -> None:
        """Run one operation in every branch whose classical bits ask for it."""
        if operation.kind is Kind.MEASURE:
            self._measure(operation.wires[0], operation.bit)
        elif operation.kind is Kind.RESET:
            self._measure(operation.wires[0], None)
        elif operation.kind is Kind.PAIR:
            self._pair(*operation.wires)
        else:
            for wire in operation.wires:
                self._activate(wire)
            matrix = operation.matrix()
            axes = [self._axes.index(wire) for wire in operation.wires]
            for branch in self._alive:
                if all(clause.met(branch.memory) for clause in operation.condition):
                    apply_gate(branch.array, matrix, axes)

    def forget(self, dead: Sequence[int]) -> None:
        """Drop classical values nobody will read, and merge the branches that have become equal."""
        if not dead:
            return
        for branch in self._alive:
            for key in dead:
                branch.memory.pop(key, None)
        if len(self._alive) > 1:
            self._merge()

    def result(self, outputs: Sequence[int], keep_bits: Sequence[int]) -> Iterator[Branch]:
        """Yield the final branches, wires in the order asked for."""
        for wire in outputs:
            self._activate(wire)
        order = [self._axes.index(wire) for wire in reversed(outputs)]
        rest = [axis for axis in range(len(self._axes)) if axis not in order]
        for branch in self._alive:
            bits = tuple(branch.memory.get(bit, 0) for bit in keep_bits)
            array = branch.array.transpose(order + rest).reshape(1 << len(order), -1)
            yield Branch(probability=branch.probability, bits=bits, state=array)

    def _activate(self, wire: int) -> None:
        """Give ``wire`` an axis, if it has none, in the state it was left in: |0>, or its last measured value."""
        if wire in self._axes:
            return
        self._guard(len(self._alive), len(self._axes) + 1)
        for branch in self._alive:
            value = branch.memory.pop(_settled(wire), 0)
            array = np.zeros((2, *branch.array.shape), dtype=np.complex128)
            array[value] = branch.array
            branch.array = array
        self._axes.insert(0, wire)

    def _pair(self, a: int, b: int) -> None:
        fresh = not any(wire in self._axes for wire in (a, b))
        if fresh and not any(branch.memory.get(_settled(wire), 0) for branch in self._alive for wire in (a, b)):
            self._guard(len(self._alive), len(self._axes) + 2)
            for branch in self._alive:
                array = np.zeros((2, 2, *branch.array.shape), dtype=np.complex128)
                array[0, 0] = array[1, 1] = branch.array * np.sqrt(0.5)
                branch.array = array
                for wire in (a, b):
                    branch.memory.pop(_settled(wire), None)
            self._axes[:0] = [a, b]
            return
        self.apply(Operation(Kind.GATE, "h", (a,)))
        self.apply(Operation(Kind.GATE, "cx", (a, b)))

    def _measure(self, wire: int, bit: int | None) -> None:
        """Split on the value of ``wire`` and take its axis away; without a bit it is left in |0>, the outcome lost."""
        if wire not in self._axes:
            for branch in self._alive:
                value = branch.memory.get(_settled(wire), 0)
                self._record(branch, wire, bit, value)
            return
        axis = self._axes.index(wire)
        self._guard(2 * len(self._alive), len(self._axes) - 1)
        split: list[_Alive] = []
        for branch in self._alive:
            for value in (0, 1):
                part = branch.array.take(value, axis=axis)
                weight = float(np.vdot(part, part).real)
                if weight * branch.probability < NEGLIGIBLE:
                    continue
                part /= np.sqrt(weight)
                outcome = _Alive(branch.probability * weight, dict(branch.memory), part)
                self._record(outcome, wire, bit, value)
                split.append(outcome)
        self._axes.pop(axis)
        self._alive = split
        if bit is None:
            self._merge()

    @staticmethod
    def _record(branch: _Alive, wire: int, bit: int | None, value: int) -> None:
        if bit is None:
            branch.memory.pop(_settled(wire), None)
        else:
            branch.memory[bit] = branch.memory[_settled(wire)] = value

    def _merge(self) -> None:
        groups: dict[frozenset[tuple[int, int]], list[_Alive]] = {}
        for branch in self._alive:
            values = frozenset((key, value) for key, value in branch.memory.items() if value)
            kept = groups.setdefault(values, [])
            for other in kept:
                if 1.0 - abs(np.vdot(other.array, branch.array)) ** 2 < MERGE_TOLERANCE:
                    other.probability += branch.probability
                    break
            else:
                kept.append(branch)
        self._alive = [branch for kept in groups.values() for branch in kept]

    def _guard(self, branch_count: int, wire_count: int) -> None:
        if branch_count > self._max_branches or branch_count << wire_count > self._max_amplitudes:
            raise SimulationRefused(
                asked="an exact simulation over all measurement branches",
                found=f"{branch_count} branches over {wire_count} qubits do not fit the bound",
                remedy="Measure fewer qubits mid-circuit, or sample instead.",
            )


def _input(state: ArrayLike | None, qubits: int) -> State:
    if state is None:
        vector = np.zeros(1 << qubits, dtype=np.complex128)
        vector[0] = 1.0
        return vector
    vector = np.array(state, dtype=np.complex128).reshape(-1)
    if len(vector) != 1 << qubits:
        raise InvalidValue(field="state", value=vector.shape, rule=f"{qubits} input wires need 2^{qubits} amplitudes")
    return vector


def _dead_after(
    operations: Sequence[Operation], outputs: Iterable[int], keep_bits: Iterable[int]
) -> list[tuple[int, ...]]:
    """For each operation, the classical values that nothing reads after it."""
    needed: dict[int, bool] = {_settled(wire): True for wire in outputs} | dict.fromkeys(keep_bits, True)
    dead: list[tuple[int, ...]] = []
    for operation in reversed(operations):
        keys = set(operation.reads)
        if operation.kind is Kind.MEASURE and operation.bit is not None:
            keys |= {operation.bit, _settled(operation.wires[0])}
        dead.append(tuple(key for key in keys if not needed.get(key, False)))
        if operation.bit is not None:
            needed[operation.bit] = False
        for wire in operation.wires:
            needed[_settled(wire)] = operation.kind is not Kind.RESET
        needed.update(dict.fromkeys(operation.reads, True))
    return dead[::-1]


# ------------------------------------------------------------------------------------------------------------- gates


def apply_gate(array: State, matrix: Matrix, axes: Sequence[int]) -> None:
    """Apply a unitary to axes of a contiguous array of shape (2, ..., 2), in place.

    Rows of the matrix that are rows of the identity cost nothing, so a controlled phase touches a quarter of the array.

    Args:
        array: the state; C-contiguous.
        matrix: shape (2^k, 2^k); ``axes[0]`` is the lowest bit of its index.
        axes: k distinct axes.
    """
    view, where = _blocks(array, axes)
    size = len(matrix)
    places = [_place(view.ndim, where, index) for index in range(size)]
    rows = [row for row in range(size) if not _is_identity_row(matrix, row)]
    columns = {column for row in rows for column in range(size) if matrix[row, column] and column != row}
    before = {column: view[places[column]].copy() for column in columns if column in rows}
    for row in rows:
        target = view[places[row]]
        others = [column for column in range(size) if column != row and matrix[row, column]]
        if not matrix[row, row]:
            column = others.pop(0)
            np.multiply(before.get(column, view[places[column]]), matrix[row, column], out=target)
        elif matrix[row, row] != 1:
            target *= matrix[row, row]
        for column in others:
            target += matrix[row, column] * before.get(column, view[places[column]])


def _blocks(array: State, axes: Sequence[int]) -> tuple[State, Mapping[int, int]]:
    """The array with the axes between the chosen ones fused, and where each chosen axis now stands."""
    shape: list[int] = []
    where: dict[int, int] = {}
    start = 0
    for axis in sorted(axes):
        shape += [1 << (axis - start), 2]
        where[list(axes).index(axis)] = len(shape) - 1
        start = axis + 1
    shape.append(1 << (array.ndim - start))
    return array.reshape(shape), where


def _place(dimensions: int, where: Mapping[int, int], index: int) -> tuple[slice | int, ...]:
    place: list[slice | int] = [slice(None)] * dimensions
    for bit, axis in where.items():
        place[axis] = index >> bit & 1
    return tuple(place)


def _is_identity_row(matrix: Matrix, row: int) -> bool:
    return bool(matrix[row, row] == 1) and int(np.count_nonzero(matrix[row])) == 1
