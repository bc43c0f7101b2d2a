"""Qiskit's estimator on a fabric: ``FabricEstimator`` where ``StatevectorEstimator`` or Aer's stood."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from qiskit.primitives import BaseEstimatorV2, DataBin, PrimitiveResult, PubResult
from qiskit.primitives.containers.estimator_pub import EstimatorPub
from qiskit.quantum_info import SparsePauliOp

from hyperfabric_q.interfaces.angles import Floats
from hyperfabric_q.interfaces.expectations import Asked, Expected, expected, lines_of
from hyperfabric_q.interfaces.facts import facts_of
from hyperfabric_q.interfaces.front import Front, Structures, binding_seed, pub_seed
from hyperfabric_q.interfaces.job import FabricJob, Steps
from hyperfabric_q.interfaces.options import FabricLike, FabricOptions, known_precision


class FabricEstimator(BaseEstimatorV2):  # type: ignore[misc]  # Qiskit is untyped
    """Expectation values of circuits that are distributed over the nodes of a fabric.

    Exact by default: with the mean of all errors, or without errors for ``noise="none"``. With ``shots`` or a
    precision, ``stds`` are standard errors of what was drawn, and observables that commute qubit by qubit share shots.
    Circuits are planned once, whatever values their parameters take; PUBs of one circuit are evaluated together.
    """

    def __init__(self, fabric: FabricLike, *, options: FabricOptions | None = None) -> None:
        """Take a fabric, or a protocol, whose fabric counts as it stands at each run; None = default options."""
        self._front = Front(fabric, options)

    @property
    def options(self) -> FabricOptions:
        """The options."""
        return self._front.options

    def run(self, pubs: Iterable[Any], *, precision: float | None = None) -> FabricJob:
        """Return the job of estimating the observables of some PUBs (circuit, observables, values, precision).

        Args:
            pubs: as Qiskit takes them.
            precision: standard error to reach, for PUBs that have none; 0 = exact; None = as the options say.

        Raises:
            ValueError: Qiskit's, for a PUB that is none.
            InvalidValue: the precision is no finite number from 0.
        """
        known_precision(precision)
        coerced = [EstimatorPub.coerce(pub, precision) for pub in pubs]
        return FabricJob(lambda steps: self._run(coerced, steps), parts=len(coerced))

    def _run(self, pubs: Sequence[EstimatorPub], steps: Steps) -> PrimitiveResult:
        seed = self._front.run_seed()
        structures = Structures()
        groups: dict[tuple[str, Asked], list[int]] = {}
        for number, pub in enumerate(pubs):
            groups.setdefault((structures.key(pub.circuit), self._asked(pub.precision)), []).append(number)
        found: dict[int, PubResult] = {}
        for (key, asked), numbers in groups.items():
            group = [_Pub.of(pubs[number], pub_seed(seed, number)) for number in numbers]
            for number, result in zip(numbers, self._group(group, key, asked, seed, steps), strict=True):
                found[number] = result
                steps.done += 1
        return PrimitiveResult([found[number] for number in range(len(pubs))], metadata={"version": 2, "seed": seed})

    def _asked(self, precision: float | None) -> Asked:
        """What a PUB asks for: 0 is exact, as everywhere in Qiskit; None leaves it to the options."""
        if precision is None:
            return Asked(shots=self.options.shots, precision=self.options.precision)
        known = known_precision(precision)
        return Asked(shots=None if known is None else self.options.shots, precision=known)

    def _group(self, pubs: Sequence[_Pub], key: str, asked: Asked, seed: int, steps: Steps) -> list[PubResult]:
        """Return the results of PUBs of one circuit, evaluated as one array of bindings."""
        planned = self._front.planned(pubs[0].circuit, key)
        steps.check()
        lines = lines_of(planned, shots=asked.shots, precision=asked.precision, seed=seed)
        facts = facts_of(planned, lines)
        table = _Table.of(pubs)
        every: list[Expected] = []
        for columns, rows in table.classes.items():
            own = expected(
                planned,
                table.bindings[rows],
                [table.operators[column] for column in columns],
                asked,
                lines=lines,
                seed_of=table.seeds(rows),
                steps=steps,
            )
            table.put(rows, columns, own)
            every.append(own)
        results = []
        for number, (pub, start) in enumerate(zip(pubs, table.starts, strict=True)):
            values, errors = table.take(pub, number)
            shots = int(table.shots[start : start + len(pub.bindings)].sum())
            metadata = facts.metadata(
                shots=shots or None,
                circuits=len(pub.bindings),
                way=", ".join(dict.fromkeys(way for each in every for way in each.ways)),
                noise=planned.options.noise,
                seed=pub.seed,
                fallbacks=_all(*(each.fallbacks for each in every), _unbound(planned.unbound)),
                approximations=_all(*(each.approximations for each in every)),
            )
            metadata |= {"target_precision": asked.precision or 0.0, "circuit_metadata": pub.circuit.metadata}
            data = DataBin(evs=values, stds=errors, shape=pub.shape)
            results.append(PubResult(data, metadata=metadata))
        return results


def _unbound(reason: str) -> dict[str, None]:
    return {f"each binding planned on its own: {reason}": None} if reason else {}


def _all(*notes: dict[str, None]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(note for each in notes for note in each))


@dataclass(frozen=True, slots=True)
class _Pub:
    """A PUB with its bindings (rows, parameters), and which of them meets which observable, by number, in its shape."""

    circuit: Any
    bindings: Floats
    operators: list[tuple[tuple[str, float], ...]]
    rows: NDArray[np.int64]
    columns: NDArray[np.int64]
    shape: tuple[int, ...]
    seed: int

    @classmethod
    def of(cls, pub: EstimatorPub, seed: int) -> _Pub:
        values, observables = pub.parameter_values, pub.observables
        count = math.prod(values.shape)
        bindings = _rows(values, pub.circuit).reshape(count, -1)
        rows = np.arange(count).reshape(values.shape)
        columns = np.arange(math.prod(observables.shape)).reshape(observables.shape)
        operators = [_key(observables[index]) for index in np.ndindex(observables.shape)]
        wide, high = np.broadcast_arrays(rows, columns)
        return cls(pub.circuit, bindings, operators, wide.copy(), high.copy(), tuple(pub.shape), seed)


def _rows(values: Any, circuit: Any) -> Floats:
    """Return the values in the order of the circuit's parameters; as they are where they have that order."""
    own = list(values.data.items())
    if len(own) == 1 and own[0][0] == tuple(each.name for each in circuit.parameters):
        return np.asarray(own[0][1], dtype=np.float64)
    return np.asarray(values.as_array(circuit.parameters), dtype=np.float64)


def _key(observable: Any) -> tuple[tuple[str, float], ...]:
    return tuple(sorted((str(label), float(weight)) for label, weight in observable.items()))


def _operator(key: tuple[tuple[str, float], ...], qubits: int) -> SparsePauliOp:
    """Return an observable as Paulis; projectors, which Qiskit allows as letters, are sums of them."""
    if all(set(label) <= set("IXYZ") for label, _ in key):
        return SparsePauliOp.from_list(list(key), num_qubits=qubits)
    total: list[tuple[str, float]] = []
    for label, weight in key:
        parts = [("", weight)]
        for letter in label:
            terms = _PROJECTORS.get(letter, ((letter, 1.0),))
            parts = [(text + pauli, value * factor) for text, value in parts for pauli, factor in terms]
        total += parts
    return SparsePauliOp.from_list(total, num_qubits=qubits).simplify()


_PROJECTORS = {
    "0": (("I", 0.5), ("Z", 0.5)),
    "1": (("I", 0.5), ("Z", -0.5)),
    "+": (("I", 0.5), ("X", 0.5)),
    "-": (("I", 0.5), ("X", -0.5)),
    "r": (("I", 0.5), ("Y", 0.5)),
    "l": (("I", 0.5), ("Y", -0.5)),
}


@dataclass(slots=True)
class _Table:
    """All bindings of a group, the different observables, and a value for each pair that is wanted.

    ``classes`` are the bindings by the observables that they meet; ``codes`` the wanted pairs as sorted numbers.
    """

    bindings: Floats
    operators: list[SparsePauliOp]
    pub_seeds: list[int]
    starts: list[int]
    numbers: list[NDArray[np.int64]]
    classes: dict[tuple[int, ...], NDArray[np.int64]]
    codes: NDArray[np.int64]
    values: Floats
    errors: Floats
    shots: NDArray[np.int64]

    @classmethod
    def of(cls, pubs: Sequence[_Pub]) -> _Table:
        known: dict[tuple[tuple[str, float], ...], int] = {}
        numbers = [
            np.array([known.setdefault(key, len(known)) for key in pub.operators], dtype=np.int64) for pub in pubs
        ]
        starts = np.cumsum([0, *(len(pub.bindings) for pub in pubs)]).tolist()
        bindings = np.concatenate([pub.bindings for pub in pubs])
        count = len(known)
        pairs = [
            ((start + pub.rows) * count + own[pub.columns]).ravel()
            for pub, own, start in zip(pubs, numbers, starts, strict=False)
        ]
        codes = np.unique(np.concatenate(pairs)).astype(np.int64)
        row_of, column_of = np.divmod(codes, max(1, count))
        grouped: dict[tuple[int, ...], list[int]] = {}
        bounds = np.flatnonzero(np.diff(row_of, prepend=-1))
        for start, columns in zip(bounds.tolist(), np.split(column_of, bounds[1:]), strict=True):
            grouped.setdefault(tuple(columns.tolist()), []).append(int(row_of[start]))
        return cls(
            bindings=bindings,
            operators=[_operator(key, pubs[0].circuit.num_qubits) for key in known],
            pub_seeds=[pub.seed for pub in pubs],
            starts=starts[:-1],
            numbers=numbers,
            classes={columns: np.array(rows) for columns, rows in grouped.items()},
            codes=codes,
            values=np.zeros(len(codes)),
            errors=np.zeros(len(codes)),
            shots=np.zeros(len(bindings), dtype=np.int64),
        )

    def seeds(self, rows: NDArray[np.int64]) -> Callable[[int], int]:
        """Return what gives the seed of each binding of a class; each is drawn when it is asked for."""

        def seed_of(place: int) -> int:
            row = int(rows[place])
            pub = bisect_right(self.starts, row) - 1
            return binding_seed(self.pub_seeds[pub], row - self.starts[pub])

        return seed_of

    def put(self, rows: NDArray[np.int64], columns: Sequence[int], found: Expected) -> None:
        """Write down the values of a class."""
        at = np.searchsorted(self.codes, rows[:, None] * len(self.operators) + np.array(columns)[None, :])
        self.values[at], self.errors[at] = found.values, found.errors
        self.shots[rows] = found.shots

    def take(self, pub: _Pub, number: int) -> tuple[Floats, Floats]:
        """Return the values and errors of a PUB in its shape."""
        wanted = (self.starts[number] + pub.rows) * len(self.operators) + self.numbers[number][pub.columns]
        at = np.searchsorted(self.codes, wanted)
        return self.values[at].reshape(pub.shape), self.errors[at].reshape(pub.shape)
