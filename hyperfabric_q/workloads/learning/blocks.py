"""The matrices of a form's blocks at given angles, and what each turn inside a block does to the end of its block."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hyperfabric_q.workloads.learning import turns
from hyperfabric_q.workloads.learning.circuit_form import Form
from hyperfabric_q.workloads.learning.turns import Floats, Matrix

Ints = NDArray[np.int64]
_EYE: Matrix = np.eye(2, dtype=np.complex128)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Layout:
    """Where each piece of a form stands, so that all blocks are multiplied at once.

    Attributes:
        form: whose.
        fixed: matrices of the fixed pieces of one qubit and, last, the identity, shape (f, 2, 2).
        pieces: piece at each depth of each block of one qubit, as an index into the turns of one qubit followed by
            ``fixed``, shape (blocks, depth).
        halves: -i G / 2 of the piece at each depth, 0 of fixed ones, shape (blocks, depth, 2, 2).
        at: (block, depth) of each turn of one qubit, shape (turns of one qubit, 2).
        single: the turns of one qubit, ascending.
        groups: the turns of one gate, by its name, as indices into ``single``.
        double: the turns of two qubits, ascending.
        generators: -i G / 2 of these, shape (turns of two qubits, 4, 4).
        block: their blocks.
        steady: the blocks of two qubits without a turn, and their matrices.
    """

    form: Form
    fixed: Matrix
    pieces: Ints
    halves: Matrix
    at: Ints
    single: Ints
    groups: tuple[tuple[str, Ints], ...]
    double: Ints
    generators: Matrix
    block: Ints
    steady: tuple[Ints, Matrix]

    @classmethod
    def of(cls, form: Form) -> Layout:
        """Return the layout of a form; O(pieces)."""
        wide = {piece.turn: number for number, piece in enumerate(form.twos) if piece.turn >= 0}
        single = [turn for turn in range(len(form.names)) if turn not in wide]
        rank = {turn: number for number, turn in enumerate(single)}
        depth = max((len(each) for each in form.ones), default=1)
        fixed: list[Matrix] = []
        pieces = np.full((len(form.ones), depth), -1, dtype=np.int64)
        halves = np.zeros((len(form.ones), depth, 2, 2), dtype=np.complex128)
        at = np.zeros((len(single), 2), dtype=np.int64)
        for block, row in enumerate(form.ones):
            for place, piece in enumerate(row):
                if piece.matrix is None:
                    pieces[block, place] = rank[piece.turn]
                    halves[block, place] = -0.5j * turns.GENERATORS[form.names[piece.turn]]
                    at[rank[piece.turn]] = block, place
                else:
                    pieces[block, place] = len(single) + len(fixed)
                    fixed.append(piece.matrix)
        pieces[pieces < 0] = len(single) + len(fixed)
        names = [form.names[turn] for turn in single]
        still = [(number, piece.matrix) for number, piece in enumerate(form.twos) if piece.matrix is not None]
        double = sorted(wide)
        return cls(
            form=form,
            fixed=np.array([*fixed, _EYE]),
            pieces=pieces,
            halves=halves,
            at=at,
            single=np.array(single, dtype=np.int64),
            groups=tuple(
                (name, np.array([number for number, each in enumerate(names) if each == name], dtype=np.int64))
                for name in sorted(set(names))
            ),
            double=np.array(double, dtype=np.int64),
            generators=np.array([-0.5j * turns.GENERATORS[form.names[turn]] for turn in double]).reshape(-1, 4, 4),
            block=np.array([wide[turn] for turn in double], dtype=np.int64),
            steady=(
                np.array([number for number, _ in still], dtype=np.int64),
                np.array([matrix for _, matrix in still], dtype=np.complex128).reshape(-1, 4, 4),
            ),
        )

    @property
    def wanted(self) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Which blocks of one and of two qubits hold a turn."""
        ones, twos = np.zeros(len(self.form.ones), dtype=np.bool_), np.zeros(len(self.form.twos), dtype=np.bool_)
        ones[self.at[:, 0]] = True
        twos[self.block] = True
        return ones, twos

    def single_pieces(self, angles: Floats) -> Matrix:
        """Return every piece of one qubit, by block and depth, shape (B, blocks, depth, 2, 2)."""
        rows = len(angles)
        known = np.empty((rows, len(self.single) + len(self.fixed), 2, 2), dtype=np.complex128)
        for name, members in self.groups:
            known[:, members] = turns.matrices(name, angles[:, self.single[members]])
        known[:, len(self.single) :] = self.fixed
        return known[:, self.pieces]

    def twos(self, angles: Floats) -> Matrix:
        """Return the matrices of the blocks of two qubits, shape (B, blocks, 4, 4)."""
        found = np.empty((len(angles), len(self.form.twos), 4, 4), dtype=np.complex128)
        numbers, still = self.steady
        found[:, numbers] = still
        for turn, block in zip(self.double.tolist(), self.block.tolist(), strict=True):
            found[:, block] = turns.matrices(self.form.names[turn], angles[:, turn])
        return found

    def ends(self, pieces: Matrix) -> Matrix:
        """Return A (-i G / 2) A^dagger of each piece, A all from it to the end of its block: (B, blocks, depth, 2, 2).

        It is what the derivative by the angle of a piece multiplies the state after its block by.
        """
        found = np.empty_like(pieces)
        after = np.broadcast_to(_EYE, pieces[:, :, 0].shape)
        for place in range(pieces.shape[2] - 1, -1, -1):
            after = _times(after, pieces[:, :, place])
            found[:, :, place] = _times(_times(after, self.halves[None, :, place]), _dagger(after))
        return found


def products(pieces: Matrix) -> Matrix:
    """Return the matrices of the blocks of one qubit, shape (B, blocks, 2, 2), from their pieces."""
    whole = pieces[:, :, 0]
    for place in range(1, pieces.shape[2]):
        whole = _times(pieces[:, :, place], whole)
    return np.ascontiguousarray(whole)


def _times(left: Matrix, right: Matrix) -> Matrix:
    """Multiply many 2 x 2 matrices; several times quicker than ``@``, which calls a library for each."""
    found = np.empty(np.broadcast_shapes(left.shape, right.shape), dtype=np.complex128)
    for row in (0, 1):
        for column in (0, 1):
            found[..., row, column] = (
                left[..., row, 0] * right[..., 0, column] + left[..., row, 1] * right[..., 1, column]
            )
    return found


def _dagger(matrices: Matrix) -> Matrix:
    return matrices.conj().swapaxes(-1, -2)
