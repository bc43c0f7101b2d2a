"""Which Pauli string does each fragment measure for which observable, and which of them from the same shots?

Every observable is a sum of Pauli strings, every string a product of one string per fragment. A fragment's distinct
strings are put into groups that commute qubit by qubit; a group is one measurement basis.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from qiskit.quantum_info import Pauli, PauliList, SparsePauliOp

from hyperfabric_q.cutting.decomposition import Real
from hyperfabric_q.cutting.fragments import CutCircuit
from hyperfabric_q.errors import InvalidValue

Ints = NDArray[np.int64]

_SUMS = 'Write SparsePauliOp(["ZZ", "XX"], [2.0, 1.0]) for 2 ZZ + XX, and ["ZZ", "XX"] for two observables.'
_WORD = 63
"""Outputs whose masks fit into 64 bits; masks of more are Python integers, for counting circuits only."""


_PAULIS: Final = frozenset("IXYZ")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Strings:
    """The Pauli strings that one fragment measures.

    A string is X^x Z^z up to phase with the masks x and z over the fragment's outputs, bit 0 the first.

    Attributes:
        x, z: masks of the distinct strings, shape (s,).
        group: the group of each, shape (s,).
        bases: per group the masks (x, z) of what is measured.
    """

    x: Ints
    z: Ints
    group: Ints
    bases: tuple[tuple[int, int], ...]

    def members(self, group: int) -> Ints:
        """Return the strings of a group."""
        return np.flatnonzero(self.group == group)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Measured:
    """Observables, taken apart over the fragments.

    Attributes:
        count: number of observables.
        strings: per fragment what it measures.
        index: which string of each fragment makes up each term, shape (terms, fragments).
        observable, term, coefficient: observable[e] has coefficient[e] × term[e]; ascending by observable.
        constant: what each observable has of the identity, shape (count,).
    """

    count: int
    strings: tuple[Strings, ...]
    index: Ints
    observable: Ints
    term: Ints
    coefficient: Real
    constant: Real

    @property
    def identity(self) -> Ints:
        """Return which string of each fragment is the identity, -1 if none is; shape (fragments,)."""
        places = [np.flatnonzero((strings.x | strings.z) == 0) for strings in self.strings]
        return np.array([place[0] if len(place) else -1 for place in places], dtype=np.int64)

    def total(self, values: Real) -> Real:
        """Return the observables' values from those of the terms, shape (count,)."""
        sums = np.bincount(self.observable, weights=self.coefficient * values[self.term], minlength=self.count)
        return np.asarray(sums + self.constant)


def read_observables(observables: Any, qubits: int) -> list[SparsePauliOp]:
    """Return operators from one or several SparsePauliOp, Pauli, PauliList or labels such as "ZZII" or "ZZ@0,1".

    Raises:
        InvalidValue: another kind of value, another number of qubits, coefficients that are not real.
    """
    given: Any = [observables] if isinstance(observables, SparsePauliOp | Pauli | str) else observables
    given = list(given) if isinstance(given, PauliList) else given
    if not isinstance(given, Iterable) or isinstance(given, Mapping | AbstractSet | Iterator):
        rule = "it is a SparsePauliOp, Pauli or label, or a list of them"
        raise InvalidValue(field="observables", value=observables, rule=rule, remedy=_SUMS)
    read = []
    for position, each in enumerate(given):
        if isinstance(each, Mapping | AbstractSet | Iterator | list | tuple | PauliList):
            rule = "each observable is one SparsePauliOp, Pauli or label"
            raise InvalidValue(field=f"observables[{position}]", value=each, rule=rule, remedy=_SUMS)
        try:
            if isinstance(each, str) and "@" in each:
                each = read_label(each, qubits)  # noqa: PLW2901 - the same observable, written out
            operator = each if isinstance(each, SparsePauliOp) else SparsePauliOp(each)
        except InvalidValue:
            raise
        except Exception as fault:
            rule = f"it is no Pauli operator ({type(fault).__name__})"
            raise InvalidValue(field=f"observables[{position}]", value=each, rule=rule) from None
        if operator.num_qubits != qubits:
            rule = f"it acts on {operator.num_qubits} qubits, the circuit has {qubits}"
            raise InvalidValue(field=f"observables[{position}]", value=str(each), rule=rule)
        if operator.parameters if hasattr(operator, "parameters") else False:
            rule = "its coefficients have unbound parameters"
            raise InvalidValue(field=f"observables[{position}]", value=str(each), rule=rule)
        coefficients = np.asarray(operator.coeffs, dtype=complex)
        if np.abs(coefficients.imag).max(initial=0) > 1e-12 or not np.isfinite(coefficients.real).all():
            rule = "the coefficients of an observable are finite real numbers"
            raise InvalidValue(field=f"observables[{position}]", value=str(each), rule=rule)
        read.append(operator)
    return read


def read_label(text: str, qubits: int) -> SparsePauliOp:
    """Return the observable that "ZZ@0,1" names: one Pauli letter for each qubit listed. "ZZII" names it in full.

    Raises:
        InvalidValue: other letters, other numbers, or qubits that the circuit does not have.
    """
    letters, at, places = text.strip().partition("@")
    letters = letters.upper()
    if not at and len(letters) == qubits and set(letters) <= _PAULIS:
        return SparsePauliOp(letters)
    listed = [each.strip() for each in places.split(",")] if at else []
    whole = all(each.isdecimal() for each in listed)
    numbers = [int(each) for each in listed] if whole else []
    fits = len(set(numbers)) == len(numbers) == len(letters) > 0
    if not (set(letters) <= _PAULIS and fits and all(each < qubits for each in numbers)):
        rule = f"it is one letter of I, X, Y, Z for each qubit named after the @, from 0 to {qubits - 1}"
        raise InvalidValue(field="observable", value=text, rule=rule, remedy='Write for example "ZZ@0,1".')
    return SparsePauliOp.from_sparse_list([(letters, numbers, 1.0)], qubits)


def measure(cut: CutCircuit, observables: Any, *, wires: Sequence[int] | None = None) -> Measured:
    """Return what each fragment measures for these observables.

    A string with X or Y on a qubit whose last instruction is a measurement has mean 0, and is left out.

    Args:
        cut: the fragments.
        observables: one or several; see ``read_observables``.
        wires: the wire that holds each qubit at the end, where that differs (``Prepared.wires``).

    Raises:
        InvalidValue: as ``read_observables``.
    """
    operators = read_observables(observables, len(cut.outputs))
    paulis = [operator.paulis for operator in operators]
    order = np.arange(len(cut.outputs)) if wires is None else np.argsort(np.asarray(wires))
    none = np.zeros((0, len(cut.outputs)), dtype=bool)
    x = np.concatenate([none, *(each.x for each in paulis)])[:, order]
    z = np.concatenate([none, *(each.z for each in paulis)])[:, order]
    owner = np.repeat(np.arange(len(operators)), [len(each) for each in paulis]).astype(np.int64)
    coefficient = np.concatenate([np.zeros(0), *(np.real(each.coeffs) for each in operators)])
    plain = ~(x | z).any(axis=1)
    constant = np.bincount(owner[plain], weights=coefficient[plain], minlength=len(operators)).astype(float)
    measured = np.zeros(len(cut.outputs), dtype=bool)
    place = {output: qubit for qubit, output in enumerate(cut.outputs)}
    for number, fragment in enumerate(cut.fragments):
        for _, local in fragment.finals:
            measured[place[number, fragment.outputs.index(local)]] = True
    kept = ~plain & ~(x & measured).any(axis=1) & (coefficient != 0)
    x, z, owner, coefficient = x[kept], z[kept], owner[kept], coefficient[kept]
    packed = np.packbits(np.concatenate([x, z], axis=1), axis=1)
    _, first, term = np.unique(packed, axis=0, return_index=True, return_inverse=True)
    rank = np.argsort(np.argsort(first))  # terms in the order in which they were given
    first, term = np.sort(first), rank[term.reshape(-1)]
    strings, index = [], np.zeros((len(first), len(cut.fragments)), dtype=np.int64)
    for number, (masks, own) in enumerate(_per_fragment(cut, x[first], z[first])):
        group, bases = grouped(masks)
        strings.append(Strings(x=masks[:, 0], z=masks[:, 1], group=group, bases=bases))
        index[:, number] = own
    return Measured(
        count=len(operators),
        strings=tuple(strings),
        index=index,
        observable=owner,
        term=term.astype(np.int64),
        coefficient=coefficient,
        constant=constant,
    )


def _per_fragment(cut: CutCircuit, x: NDArray[np.bool_], z: NDArray[np.bool_]) -> Iterable[tuple[Ints, Ints]]:
    """Yield per fragment its distinct (x, z) masks in order of coming, and which of them each term has."""
    held: list[list[tuple[int, int]]] = [[] for _ in cut.fragments]
    for qubit, (number, position) in enumerate(cut.outputs):
        held[number].append((qubit, position))
    for own in held:
        qubits = [qubit for qubit, _ in own]
        kind: Any = np.int64 if len(own) <= _WORD else object
        weights = np.array([1 << position for _, position in own], dtype=kind)
        masks = np.stack([x[:, qubits].astype(kind) @ weights, z[:, qubits].astype(kind) @ weights], axis=1)
        if not len(masks):
            masks = np.zeros((0, 2), dtype=np.int64)
        told = masks
        if masks.dtype == object:
            told = np.packbits(np.concatenate([x[:, qubits], z[:, qubits]], axis=1), axis=1)
        _, first, inverse = np.unique(told, axis=0, return_index=True, return_inverse=True)
        order = np.argsort(first)
        rank = np.argsort(order)
        yield masks[first[order]], rank[inverse.reshape(-1)]


def grouped(masks: Ints) -> tuple[Ints, tuple[tuple[int, int], ...]]:
    """Return the group of each string and the basis of each group, greedily in the order given.

    Each string joins the first group with which it agrees on every qubit that both act on.
    """
    bases: list[list[int]] = []
    group = np.zeros(len(masks), dtype=np.int64)
    for position, (x, z) in enumerate(masks.tolist()):
        for number, (basis_x, basis_z) in enumerate(bases):
            both = (x | z) & (basis_x | basis_z)
            if not (((x ^ basis_x) | (z ^ basis_z)) & both):
                bases[number] = [basis_x | x, basis_z | z]
                group[position] = number
                break
        else:
            group[position] = len(bases)
            bases.append([x, z])
    return group, tuple((x, z) for x, z in bases)
