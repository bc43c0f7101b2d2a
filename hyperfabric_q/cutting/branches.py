"""What states does a fragment end in, over all branches of its cuts?

At a marker the state is multiplied by the few operators that span what its instruments do, not by each of these: an
RZZ cut doubles the branches. These are coherent: amplitudes of different branches are combined later. Measurements and
resets of the user's own branch incoherently: each outcome is a row of its own with its classical bits.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from hyperfabric_q.cutting.decomposition import Complex
from hyperfabric_q.cutting.fragments import Condition, Fragment, Gate, Marker, Measure, Reset, Step
from hyperfabric_q.cutting.settings import is_countable
from hyperfabric_q.errors import InternalError, SimulationRefused

Bits = NDArray[np.uint8]

AMPLITUDES = 2**26
"""Most amplitudes that one fragment may need: 1 GB."""

_NOTHING = 1e-26
_ZERO: Complex = np.array([1, 0], dtype=complex)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Branches:
    """The final states of a fragment.

    Attributes:
        amplitudes: shape (rows, b_1, ..., b_k, 2^n), b_i over the operators of marker i, and the last index
            little-endian over the fragment's outputs.
        bits: classical bits of each row, shape (rows, bits of the fragment), in the order of ``fragment.bits``.
    """

    amplitudes: Complex
    bits: Bits

    @property
    def outputs(self) -> int:
        """Return the number of output qubits."""
        return int(self.amplitudes.shape[-1]).bit_length() - 1


@dataclass(slots=True)
class _State:
    """Amplitudes (rows, branches, 2^live); live wires with the slowest first; bits (rows, known clbits)."""

    amplitudes: Complex
    live: list[int]
    bits: Bits


def branches(fragment: Fragment) -> Branches:
    """Return the final states of a bound fragment over all its branches.

    Raises:
        SimulationRefused: more than ``AMPLITUDES`` amplitudes.

    Cost: 2^n times the product of the markers' ranks (2 per RZZ cut or wire, 4 for a general gate) per gate, times one
    row for each outcome of measurements and resets inside.
    """
    _check(fragment, math.prod(side.rank for side in fragment.sides) << len(fragment.outputs))
    known = sorted({*fragment.bits, *_clbits(fragment.steps)})
    column = {bit: position for position, bit in enumerate(known)}
    state = _State(np.ones((1, 1, 1), dtype=complex), [], np.zeros((1, len(known)), dtype=np.uint8))
    walk = _Walk(fragment, column)
    state = walk.run(state, _fused(fragment.steps))
    state = _with_wires(state, fragment.outputs)
    order = [state.live.index(wire) for wire in reversed(fragment.outputs)]
    ranks = [side.rank for side in fragment.sides]
    rows = len(state.amplitudes)
    shaped = state.amplitudes.reshape(rows, -1, *(2,) * len(state.live))
    moved = shaped.transpose(0, 1, *(2 + place for place in order))
    kept = [column[bit] for bit in fragment.bits]
    return Branches(amplitudes=np.ascontiguousarray(moved).reshape(rows, *ranks, -1), bits=state.bits[:, kept].copy())


class _Walk:
    """The run through the steps of one fragment."""

    def __init__(self, fragment: Fragment, column: dict[int, int]) -> None:
        self.fragment, self.column = fragment, column
        self.sides = dict(zip(fragment.markers, fragment.sides, strict=True))

    def run(self, state: _State, steps: Iterable[Step]) -> _State:
        for step in steps:
            new = sum(wire not in state.live for wire in _wires(step))
            _check(self.fragment, state.amplitudes.size << new)
            if isinstance(step, Gate):
                if step.matrix is None:
                    raise InternalError(what=f"gate {step.operation} was run with unbound parameters")
                state = _apply(_with_wires(state, step.qubits), step.matrix[None], step.qubits)
            elif isinstance(step, Marker):
                state = self.mark(state, step)
            elif isinstance(step, Measure):
                state = self.measure(state, step.qubit, self.column[step.clbit])
            elif isinstance(step, Reset):
                state = self.reset(state, step.qubit)
            else:
                state = self.branch(state, step)
        return state

    def mark(self, state: _State, marker: Marker) -> _State:
        basis = self.sides[marker].basis
        incoming = marker.qubits if basis.shape[2] > 1 else ()
        _check(self.fragment, state.amplitudes.size * len(basis) << (0 if incoming else len(marker.qubits)))
        return _apply(_with_wires(state, incoming), basis, incoming, marker.qubits if basis.shape[1] > 1 else ())

    def measure(self, state: _State, qubit: int, column: int) -> _State:
        """Double the rows: outcome 0 and outcome 1; outcomes that cannot happen are dropped."""
        state = _with_wires(state, (qubit,))
        _check(self.fragment, 2 * state.amplitudes.size)
        rows, width, _ = state.amplitudes.shape
        place = state.live.index(qubit)
        both = np.zeros((2, rows, width, 2**place, 2, 2 ** (len(state.live) - place - 1)), dtype=complex)
        split = state.amplitudes.reshape(both.shape[1:])
        both[0, :, :, :, 0], both[1, :, :, :, 1] = split[:, :, :, 0], split[:, :, :, 1]
        bits = np.repeat(state.bits[None], 2, axis=0)
        bits[0, :, column], bits[1, :, column] = 0, 1
        return _happening(both.reshape(2 * rows, width, -1), state.live, bits.reshape(2 * rows, -1))

    def reset(self, state: _State, qubit: int) -> _State:
        """Drop the wire, one row for each of its values; it comes back in |0> when it is next used."""
        if qubit not in state.live:
            return state
        place = state.live.index(qubit)
        rows, width, _ = state.amplitudes.shape
        split = state.amplitudes.reshape(rows, width, 2**place, 2, -1).transpose(3, 0, 1, 2, 4)
        live = [wire for wire in state.live if wire != qubit]
        bits = np.concatenate([state.bits, state.bits])
        return _mixed(_happening(np.ascontiguousarray(split).reshape(2 * rows, width, -1), live, bits))

    def branch(self, state: _State, step: Condition) -> _State:
        spelled = np.zeros(len(state.bits), dtype=np.int64)
        for weight, bit in enumerate(step.clbits):
            spelled |= state.bits[:, self.column[bit]].astype(np.int64) << weight
        taken = spelled == step.value
        parts = []
        for rows, steps in ((taken, step.then), (~taken, step.otherwise)):
            if rows.any():
                part = _State(state.amplitudes[rows], list(state.live), state.bits[rows])
                parts.append(self.run(part, _fused(steps)))
        if len(parts) == 1:
            return parts[0]
        wires = sorted({*parts[0].live, *parts[1].live})
        parts = [_ordered(_with_wires(part, wires), wires) for part in parts]
        return _State(
            np.concatenate([part.amplitudes for part in parts]),
            wires,
            np.concatenate([part.bits for part in parts]),
        )


def _check(fragment: Fragment, amplitudes: int) -> None:
    if amplitudes > AMPLITUDES:
        fits = is_countable(fragment.sides, len(fragment.outputs))
        device = ", or run its subexperiments on a device" if fits else ""
        raise SimulationRefused(
            asked=f"{len(fragment.wires)} wires with {len(fragment.markers)} cuts on part {fragment.part}",
            found=f"their branches hold {amplitudes:.3g} amplitudes, at most {AMPLITUDES:.3g} are simulated",
            remedy=f"Cut into narrower parts or with fewer cuts{device}.",
        )


def _apply(state: _State, operators: Complex, incoming: Sequence[int], outgoing: Sequence[int] | None = None) -> _State:
    """Multiply by operators (R, 2^out, 2^in); R becomes the fastest index of the branches."""
    outgoing = incoming if outgoing is None else outgoing
    rows, width, _ = state.amplitudes.shape
    size = len(state.live)
    places = [state.live.index(wire) for wire in reversed(incoming)]
    others = [place for place in range(size) if place not in places]
    count, d_out, d_in = operators.shape
    if places == list(range(size - len(places), size)):
        flat = state.amplitudes.reshape(-1, d_in)
    else:
        shaped = state.amplitudes.reshape(rows * width, *(2,) * size)
        flat = shaped.transpose(0, *(1 + place for place in (*others, *places))).reshape(-1, d_in)
    product = flat @ operators.reshape(count * d_out, d_in).T
    if count > 1:
        product = product.reshape(rows * width, 2 ** len(others), count, d_out).transpose(0, 2, 1, 3)
    live = [state.live[place] for place in others] + list(reversed(outgoing))
    return _State(product.reshape(rows, width * count, -1), live, state.bits)


def _with_wires(state: _State, wires: Iterable[int]) -> _State:
    """Bring wires in that nothing has touched yet, in |0>."""
    new = [wire for wire in wires if wire not in state.live]
    if not new:
        return state
    rows, width, size = state.amplitudes.shape
    wider = np.zeros((rows, width, size, 2 ** len(new)), dtype=complex)
    wider[..., 0] = state.amplitudes
    return _State(wider.reshape(rows, width, -1), state.live + new, state.bits)


def _ordered(state: _State, wires: list[int]) -> _State:
    rows, width, _ = state.amplitudes.shape
    shaped = state.amplitudes.reshape(rows, width, *(2,) * len(wires))
    moved = shaped.transpose(0, 1, *(2 + state.live.index(wire) for wire in wires))
    return _State(moved.reshape(rows, width, -1), wires, state.bits)


def _happening(amplitudes: Complex, live: list[int], bits: Bits) -> _State:
    weight = np.einsum("rbx,rbx->r", amplitudes, amplitudes.conj()).real
    happens = weight > _NOTHING * max(float(weight.max()), 1e-300)
    return _State(amplitudes[happens], live, bits[happens])


def _mixed(state: _State) -> _State:
    """Replace the rows of equal bits by as few as have the same density matrix: the R of a QR decomposition."""
    rows, width, size = state.amplitudes.shape
    if rows <= width * size:
        return state
    keys, group = np.unique(state.bits, axis=0, return_inverse=True)
    amplitudes, bits = [], []
    for number, key in enumerate(keys):
        own = state.amplitudes[group.reshape(-1) == number].reshape(-1, width * size)
        if len(own) > width * size:
            own = np.linalg.qr(own, mode="r")
        amplitudes.append(own)
        bits.append(np.repeat(key[None], len(own), axis=0))
    together = np.concatenate(amplitudes).reshape(-1, width, size)
    return _State(together, state.live, np.concatenate(bits))


def _fused(steps: Sequence[Step]) -> list[Step]:
    """Multiply gates on one wire into the next gate on two, or into each other."""
    waiting: dict[int, Complex] = {}
    done: list[Step] = []

    def flush(wires: Iterable[int]) -> None:
        done.extend(Gate((wire,), waiting.pop(wire)) for wire in wires if wire in waiting)

    for step in steps:
        if isinstance(step, Gate) and step.matrix is not None and len(step.qubits) == 1:
            (wire,) = step.qubits
            waiting[wire] = step.matrix @ waiting[wire] if wire in waiting else step.matrix
        elif isinstance(step, Gate) and step.matrix is not None and len(step.qubits) == 2:
            first, second = (waiting.pop(wire, None) for wire in step.qubits)
            matrix = step.matrix
            if first is not None or second is not None:
                one = np.eye(2)
                before = np.kron(one if second is None else second, one if first is None else first)
                matrix = matrix @ before
            done.append(replace(step, matrix=matrix))
        else:
            flush(_wires(step) if not isinstance(step, Condition) else list(waiting))
            done.append(step)
    flush(list(waiting))
    return done


def _wires(step: Step) -> tuple[int, ...]:
    if isinstance(step, Gate | Marker):
        return step.qubits
    return (step.qubit,) if isinstance(step, Measure | Reset) else ()


def _clbits(steps: Iterable[Step]) -> set[int]:
    found: set[int] = set()
    for step in steps:
        if isinstance(step, Measure):
            found.add(step.clbit)
        elif isinstance(step, Condition):
            found |= {*step.clbits, *_clbits(step.then), *_clbits(step.otherwise)}
    return found
