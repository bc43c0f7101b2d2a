"""Memory experiments of any CSS code, from its two check matrices; toric and bivariate-bicycle codes among them.

All X checks of a round are measured first, then all Z checks, in as few steps as the heaviest check or the busiest
qubit needs: a proper edge colouring, which exists with that many colours because checks and qubits are two sides
(König 1916). It is a valid schedule for every code, and for no code the best one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hyperfabric_q.errors import InvalidValue
from hyperfabric_q.workloads.qec.codes import at_least, check_basis
from hyperfabric_q.workloads.qec.experiment import DEFAULT_CYCLE_NS, Experiment
from hyperfabric_q.workloads.qec.noise_models import NoiseModel, add_noise, noise_model
from hyperfabric_q.workloads.qec.rounds import Check, Rounds

Binary: TypeAlias = NDArray[np.uint8]


def css_code(
    hx: ArrayLike,
    hz: ArrayLike,
    rounds: int,
    basis: str = "Z",
    noise: str | NoiseModel = "stim4",
    *,
    p: float = 0.001,
    code: str = "css_code",
    distance: int | None = None,
    cycle_ns: float = DEFAULT_CYCLE_NS,
) -> Experiment:
    """Return a memory experiment of a CSS code, with one observable per logical qubit.

    Qubits 0 to n - 1 hold data; the ancillas of X checks and then of Z checks follow.

    Args:
        hx: X checks, shape (checks, n).
        hz: Z checks, shape (checks, n).
        rounds: of syndrome.
        basis: which logical values are kept.
        noise: name of a noise model, or a model.
        p: parameter of a named model.
        code: name for results.
        distance: for results.
        cycle_ns: duration of a round.

    Raises:
        InvalidValue: the matrices do not make a code with a logical qubit.
    """
    check_basis(basis)
    at_least("rounds", rounds, 1)
    x, z = _matrix("hx", hx), _matrix("hz", hz)
    if x.shape[1] != z.shape[1]:
        raise InvalidValue(field="hz", value=z.shape, rule=f"hx speaks of {x.shape[1]} qubits, and so should hz")
    if (x.astype(np.int64) @ z.T % 2).any():
        raise InvalidValue(field="hz", value="a check", rule="every Z check overlaps every X check on an even number")
    logical = logicals(x, z) if basis == "Z" else logicals(z, x)
    if not len(logical):
        raise InvalidValue(field="hx", value=x.shape, rule="the code holds no logical qubit")
    size = x.shape[1]
    checks = _checks(x, z)
    script = Rounds({qubit: (float(qubit),) for qubit in range(size + len(checks))})
    script.prepare(range(size), basis)
    script.prepare(range(size, size + len(checks)), "Z")
    for _ in range(rounds):
        script.measure_checks(checks, range(size))
    final = script.measure_data(range(size), basis)
    script.close(check for check in checks if check.basis == basis)
    for index, row in enumerate(logical):
        script.observable(index, (final[int(qubit)] for qubit in np.nonzero(row)[0]))
    model = noise_model(noise, p)
    circuit = add_noise(script.circuit, model)
    return Experiment(
        circuit=circuit,
        node_of=("",) * circuit.num_qubits,
        rounds=rounds,
        code=code,
        distance=distance,
        basis=basis,
        noise=model.name,
        cycle_ns=cycle_ns,
        metadata={"p": p} if isinstance(noise, str) else {},
    )


def bivariate_bicycle(
    l: int,  # noqa: E741  # the literature's name
    m: int,
    a: Sequence[tuple[int, int]],
    b: Sequence[tuple[int, int]],
) -> tuple[Binary, Binary]:
    """Return the check matrices [A|B] and [Bᵀ|Aᵀ] of a bivariate-bicycle code on 2 l m qubits.

    The gross code [[144, 12, 12]] is ``bivariate_bicycle(12, 6, [(3, 0), (0, 1), (0, 2)], [(0, 3), (1, 0), (2, 0)])``
    (Bravyi et al., Nature 627, 778, 2024); the toric code of distance d is l = m = d, a = 1 + x, b = 1 + y.

    Args:
        l: order of x.
        m: order of y.
        a: terms (i, j) of the polynomial A, each x^i y^j.
        b: terms of B.
    """
    at_least("l", l, 1)
    at_least("m", m, 1)

    def polynomial(terms: Sequence[tuple[int, int]]) -> Binary:
        total = np.zeros((l * m, l * m), dtype=np.uint8)
        for i, j in terms:
            total ^= np.kron(
                np.roll(np.eye(l, dtype=np.uint8), i, axis=1), np.roll(np.eye(m, dtype=np.uint8), j, axis=1)
            )
        return total

    first, second = polynomial(a), polynomial(b)
    return np.hstack([first, second]), np.hstack([second.T, first.T])


def toric_code(distance: int) -> tuple[Binary, Binary]:
    """Return the check matrices of the toric code on 2 d² qubits, with two logical qubits."""
    at_least("distance", distance, 2)
    return bivariate_bicycle(distance, distance, [(0, 0), (1, 0)], [(0, 0), (0, 1)])


def logicals(hx: Binary, hz: Binary) -> Binary:
    """Return a basis of the logical Z operators, shape (k, n): what commutes with ``hx`` beyond the rows of ``hz``."""
    kernel = _kernel(hx)
    _, pivots = _reduced(np.vstack([hz, kernel]).T)
    # Pivot columns among the kernel's are the vectors that the stabilisers do not reach.
    return kernel[[pivot - len(hz) for pivot in pivots if pivot >= len(hz)]]


def _checks(x: Binary, z: Binary) -> list[Check]:
    size, checks, before = x.shape[1], list[Check](), 0
    for basis, matrix in (("X", x), ("Z", z)):
        order = _colours(matrix)
        steps = max((step for row in order for step in row), default=-1) + 1
        for row in order:
            data = [-1] * (before + steps)
            for step, qubit in row.items():
                data[before + step] = qubit
            checks.append(Check(basis, size + len(checks), tuple(data)))
        before += steps
    return checks


def _colours(matrix: Binary) -> list[dict[int, int]]:
    """For each row, step → column, with no step twice in a row or in a column; as many steps as the largest weight."""
    rows: list[dict[int, int]] = [{} for _ in range(matrix.shape[0])]
    columns: list[dict[int, int]] = [{} for _ in range(matrix.shape[1])]
    for row, column in np.argwhere(matrix).tolist():
        at_row, at_column = _first_free(rows[row]), _first_free(columns[column])
        if at_row != at_column:
            # Exchange the two steps along the path that starts at the column, so that the row's step is free there.
            path, here, is_column, step = list[tuple[int, int, int]](), column, True, at_row
            while (there := (columns if is_column else rows)[here].get(step)) is not None:
                path.append((there, here, step) if is_column else (here, there, step))
                here, is_column, step = there, not is_column, at_row + at_column - step
            for r, c, old in path:
                del rows[r][old], columns[c][old]
            for r, c, old in path:
                rows[r][at_row + at_column - old], columns[c][at_row + at_column - old] = c, r
        rows[row][at_row], columns[column][at_row] = column, row
    return rows


def _first_free(used: dict[int, int]) -> int:
    return next(step for step in range(len(used) + 1) if step not in used)


def _kernel(matrix: Binary) -> Binary:
    reduced, pivots = _reduced(matrix)
    free = [column for column in range(matrix.shape[1]) if column not in set(pivots)]
    kernel = np.zeros((len(free), matrix.shape[1]), dtype=np.uint8)
    for row, column in enumerate(free):
        kernel[row, column] = 1
        kernel[row, pivots] = reduced[: len(pivots), column]
    return kernel


def _reduced(matrix: Binary) -> tuple[Binary, list[int]]:
    """The reduced row echelon form over GF(2) and its pivot columns."""
    work, pivots = matrix.copy(), list[int]()
    for column in range(work.shape[1]):
        rank = len(pivots)
        if rank == len(work):
            break
        hits = np.nonzero(work[rank:, column])[0]
        if not len(hits):
            continue
        work[[rank, rank + int(hits[0])]] = work[[rank + int(hits[0]), rank]]
        others = work[:, column].astype(np.bool_)
        others[rank] = False
        work[others] ^= work[rank]
        pivots.append(column)
    return work, pivots


def _matrix(field: str, given: ArrayLike) -> Binary:
    array = np.asarray(given)
    if array.ndim != 2 or not array.size or not np.isin(array, (0, 1)).all():
        raise InvalidValue(field=field, value=array.shape, rule="checks are rows of zeros and ones")
    return array.astype(np.uint8)
