"""Exact mean values of a circuit and all their derivatives by one sweep forward and one back: the adjoint method.

With psi the state at the end and lambda = H psi, the derivative by an angle t of exp(-i t G / 2) is
2 Re <lambda| D psi>, where D = -i G / 2 carried behind its block and both vectors are taken back to there. The cost is
that of about three circuits, however many parameters there are (Jones and Gacon, arXiv:2009.02823).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hyperfabric_q.errors import SimulationRefused
from hyperfabric_q.workloads.learning import adjoint_kernels, adjoint_plain
from hyperfabric_q.workloads.learning.blocks import Layout, products
from hyperfabric_q.workloads.learning.circuit_form import WIDEST, Form
from hyperfabric_q.workloads.learning.pauli_sums import PauliSums
from hyperfabric_q.workloads.learning.turns import Floats, Matrix

States = NDArray[np.complex128]

ROOM: Final = 1 << 16
"""Amplitudes of all state vectors held at once, unless one binding needs more: 1 MiB, which stays in the cache."""


class Derived(NamedTuple):
    """Mean values, shape (B, m), and their derivatives by the parameters, shape (B, m, P)."""

    values: Floats
    jacobian: Floats


class Pulled(NamedTuple):
    """Mean values, shape (B, m), and the derivatives of a loss by the parameters of each row, shape (B, P)."""

    values: Floats
    gradient: Floats


def derivatives(form: Form, sums: PauliSums, bindings: Floats, *, compiled: bool = True) -> Derived:
    """Return all mean values and their derivatives; O(bindings x m x steps x 2^n).

    Args:
        form: the circuit.
        sums: the observables.
        bindings: values of the parameters, shape (B, P), as ``form.angles.bindings`` makes them.
        compiled: whether the compiled sweep runs, or the one in NumPy.

    Raises:
        SimulationRefused: more than ``WIDEST`` qubits.
    """
    angles = form.angles.at(bindings)
    values, by_turn = derivatives_by_turn(form, sums, angles, compiled=compiled)
    return Derived(values, form.angles.chain(bindings, by_turn))


def pulled_back(
    form: Form, sums: PauliSums, bindings: Floats, slopes: Callable[[Floats, slice], Floats], *, compiled: bool = True
) -> Pulled:
    """Return mean values and the derivatives of a loss of them: one sweep back, however many observables.

    Args:
        form: the circuit.
        sums: the observables.
        bindings: values of the parameters, shape (B, P).
        slopes: (values of some rows, which rows) -> derivatives of the loss by these values, both of shape (rows, m).
        compiled: as in ``derivatives``.

    Raises:
        SimulationRefused: more than ``WIDEST`` qubits.
    """
    angles = form.angles.at(bindings)
    values = np.empty((len(bindings), len(sums)))
    by_turn = np.zeros((len(bindings), 1, len(form.names)))
    for rows in _chunks(form, len(bindings), 3):
        swept = _Swept.forward(form, angles[rows], compiled=compiled)
        images = [sums.apply(number, swept.kets) for number in range(len(sums))]
        values[rows] = _means(swept.kets, images)
        weights = np.asarray(slopes(values[rows], rows), dtype=np.float64)
        bras = np.zeros_like(swept.kets)
        for number, image in enumerate(images):
            bras += weights[:, number, None] * image
        by_turn[rows] = swept.backward(bras[:, None])
    return Pulled(values, form.angles.chain(bindings, by_turn)[:, 0])


def derivatives_by_turn(form: Form, sums: PauliSums, angles: Floats, *, compiled: bool = True) -> tuple[Floats, Floats]:
    """Return mean values, (B, m), and their derivatives by the angle of each turn, (B, m, K), at angles (B, K)."""
    values = np.empty((len(angles), len(sums)))
    by_turn = np.zeros((len(angles), len(sums), len(form.names)))
    for rows in _chunks(form, len(angles), 2 + len(sums)):
        swept = _Swept.forward(form, angles[rows], compiled=compiled)
        bras = np.empty((len(swept.kets), len(sums), swept.kets.shape[1]), dtype=np.complex128)
        for number in range(len(sums)):
            bras[:, number] = sums.apply(number, swept.kets)
        values[rows] = np.einsum("bj,bmj->bm", swept.kets.conj(), bras).real
        by_turn[rows] = swept.backward(bras)
    return values, by_turn


def mean_values(form: Form, sums: PauliSums, angles: Floats) -> Floats:
    """Return the mean values at angles of the turns (B, K), shape (B, m)."""
    values = np.empty((len(angles), len(sums)))
    for rows, kets in states(form, angles):
        values[rows] = _means(kets, [sums.apply(number, kets) for number in range(len(sums))])
    return values


def states(form: Form, angles: Floats) -> Iterator[tuple[slice, States]]:
    """Yield the states at the end, shape (rows, 2^n), for as many rows of angles (B, K) as fit at a time."""
    for rows in _chunks(form, len(angles), 2):
        yield rows, _Swept.forward(form, angles[rows], compiled=True).kets


def _means(kets: States, images: list[States]) -> Floats:
    return np.stack([np.einsum("bj,bj->b", kets.conj(), image).real for image in images], axis=1)


def _chunks(form: Form, rows: int, vectors: int) -> Iterator[slice]:
    if form.qubits > WIDEST:
        raise SimulationRefused(
            asked=f"state vectors of {form.qubits} qubits",
            found=f"2^{form.qubits} amplitudes each; at most {WIDEST} qubits are simulated whole",
            remedy="Cut the circuit, or take shots on a fabric.",
        )
    size = max(1, ROOM // (vectors << form.qubits))
    for start in range(0, rows, size):
        yield slice(start, min(rows, start + size))


@lru_cache(maxsize=64)
def _layout(form: Form) -> Layout:
    return Layout.of(form)


@dataclass(slots=True, eq=False)
class _Swept:
    """States that went through the circuit, and what takes them back."""

    layout: Layout
    pieces: Matrix
    ones: Matrix
    twos: Matrix
    kets: States
    sweeps: Any

    @classmethod
    def forward(cls, form: Form, angles: Floats, *, compiled: bool) -> _Swept:
        layout = _layout(form)
        pieces = layout.single_pieces(angles)
        ones, twos = products(pieces), layout.twos(angles)
        kets = np.zeros((len(angles), 1 << form.qubits), dtype=np.complex128)
        kets[:, 0] = 1.0
        sweeps: Any = adjoint_kernels if compiled else adjoint_plain
        sweeps.forward(form.steps.copy(), ones, twos, kets)  # the compiled sweep takes writable arrays only
        return cls(layout, pieces, ones, twos, kets, sweeps)

    def backward(self, bras: States) -> Floats:
        """Return the derivatives by the angle of each turn, (B, m, K); uses the states up."""
        form, layout = self.layout.form, self.layout
        rows, count = bras.shape[:2]
        one = np.zeros((rows, count, len(form.ones), 2, 2), dtype=np.complex128)
        two = np.zeros((rows, count, len(form.twos), 4, 4), dtype=np.complex128)
        found = np.zeros((rows, count, len(form.names)))
        back = np.ascontiguousarray(self.ones.conj().swapaxes(-1, -2))
        wide = np.ascontiguousarray(self.twos.conj().swapaxes(-1, -2))
        self.sweeps.backward(form.steps.copy(), back, wide, *layout.wanted, self.kets, bras, one, two)
        if len(layout.single):
            ends = layout.ends(self.pieces)[:, layout.at[:, 0], layout.at[:, 1]]
            overlaps = one[:, :, layout.at[:, 0]]
            found[:, :, layout.single] = 2 * np.einsum("bkij,bmkij->bmk", ends, overlaps).real
        if len(layout.double):
            found[:, :, layout.double] = (
                2 * np.einsum("kij,bmkij->bmk", layout.generators, two[:, :, layout.block]).real
            )
        return found
