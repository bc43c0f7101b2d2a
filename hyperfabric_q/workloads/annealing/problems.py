"""A binary quadratic problem in whatever form it comes, as dimod's own type.

| what is given | what it says |
|---|---|
| ``dimod.BinaryQuadraticModel``, or any model that converts to it | itself, QUBO or Ising |
| ``{("a", "b"): 2.0, ("a", "a"): -1.0}`` | QUBO: the energy is the sum of weight · x_a · x_b |
| ``({"a": 0.5}, {("a", "b"): -1.0})`` | Ising: fields of single spins, couplings of pairs |
| square matrix, dense or of SciPy | QUBO: xᵀ Q x, variables 0 to n - 1 |
| bytes | dimod's file, as ``bqm.to_file()`` writes it |
| text | COO: one "row column weight" per line |

Files and text come from elsewhere: their numbers are checked against their own size before dimod allocates anything.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from typing import Any, Final, TypeAlias

import dimod
import numpy as np
from dimod.binary.vartypeview import VartypeView

from hyperfabric_q.errors import InvalidValue, SimulationRefused

BQM: TypeAlias = dimod.BinaryQuadraticModel

MAGIC: Final = b"DIMODBQM"
"""What dimod's files of these problems begin with."""

MOST_VARIABLES: Final = 20_000
MOST_COUPLINGS: Final = 5_000_000
_LARGEST_WEIGHT: Final = 1e150

_VARTYPE: Final = re.compile(r"#.*?vartype\s*[:=]\s*(\w+)", re.IGNORECASE)
_HEADER_BYTES: Final = 14
_FORMS: Final = (
    "a problem is a dimod BinaryQuadraticModel, a dict of pairs (QUBO), two dicts (Ising: fields, couplings), "
    "a square matrix, the bytes of a dimod file, or COO text"
)


def read_problem(problem: object) -> BQM:
    """Return ``problem`` as dimod's binary quadratic model with floating-point weights.

    Args:
        problem: one of the rows of the table of this module. A ``dimod.BinaryQuadraticModel`` is not copied.

    Raises:
        InvalidValue: it is none of these, is malformed, has no variables, or a weight is not finite.
        SimulationRefused: it has more than ``MOST_VARIABLES`` variables or ``MOST_COUPLINGS`` couplings.

    Cost: linear in the size; under a second for a million couplings.
    """
    return _checked(_read(problem))


def file_bytes(bqm: BQM) -> bytes:
    """Return the problem as dimod writes it to a file: what travels, byte for byte."""
    with bqm.copy().to_file() as file:  # a view, such as ``bqm.spin``, cannot be written
        written: bytes = file.read()
    return written


def _read(problem: object) -> BQM:
    if isinstance(problem, dimod.QuadraticModel | BQM):
        return _of_model(problem)
    if isinstance(problem, bytes | bytearray | memoryview):
        return read_file(bytes(problem))
    if isinstance(problem, str):
        return read_coo(problem)
    if isinstance(problem, Mapping):
        return _of_qubo(problem)
    if isinstance(problem, tuple) and len(problem) == 2 and all(isinstance(each, Mapping) for each in problem):
        return _of_ising(*problem)
    return _of_matrix(problem)


def _of_model(problem: BQM | dimod.QuadraticModel) -> BQM:
    if isinstance(problem, BQM):
        plain = problem.dtype == np.float64 and not isinstance(problem.data, VartypeView)
        return problem if plain else BQM(problem.copy(), dtype=np.float64)
    try:
        return dimod.as_bqm(problem)
    except (TypeError, ValueError) as fault:
        rule = "its variables are not all binary, or all spins"
        raise _malformed("a dimod QuadraticModel", rule) from fault


def _malformed(value: object, rule: str, remedy: str = "") -> InvalidValue:
    return InvalidValue(field="problem", value=value, rule=rule, remedy=remedy)


def _checked(bqm: BQM) -> BQM:
    variables, couplings = bqm.shape
    if variables == 0:
        raise _malformed("a problem without variables", "there is nothing to decide", "Give it at least one variable.")
    refuse_size(variables, couplings)
    vectors = bqm.to_numpy_vectors()
    if not (
        np.isfinite(vectors.linear_biases).all()
        and np.isfinite(vectors.quadratic.biases).all()
        and math.isfinite(bqm.offset)
    ):
        raise _malformed(f"{variables} variables", "a weight is not a finite number")
    if np.abs(vectors.linear_biases).max(initial=0) + np.abs(vectors.quadratic.biases).max(initial=0) > _LARGEST_WEIGHT:
        raise _malformed(f"{variables} variables", f"a weight is beyond {_LARGEST_WEIGHT:g}, where sums overflow")
    return bqm


def refuse_size(variables: int, couplings: int) -> None:
    """Do nothing for a problem of bearable size.

    Raises:
        SimulationRefused: it is larger than anything that is solved here.
    """
    for found, most, what in ((variables, MOST_VARIABLES, "variables"), (couplings, MOST_COUPLINGS, "couplings")):
        if found > most:
            raise SimulationRefused(
                asked="a binary quadratic problem",
                found=f"it has {found:,} {what}, and at most {most:,} are solved here",
                remedy="Split it, or fix variables with dimod's roof duality.",
            )


# ------------------------------------------------------------------------------------------------------- dicts, matrix


def _weight(value: object, where: str) -> float:
    if isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool):
        try:
            return float(value)
        except OverflowError:
            pass
    raise _malformed(value, f"the weight of {where} is not a number that a float holds")


def _pair(key: object) -> tuple[Any, Any]:
    if isinstance(key, tuple) and len(key) == 2:
        return key
    raise _malformed(key, "the keys of a QUBO, and of the couplings of an Ising problem, are pairs of variables")


def _of_qubo(weights: Mapping[Any, object]) -> BQM:
    bqm = BQM("BINARY", dtype=np.float64)
    for key, weight in weights.items():
        a, b = _pair(key)
        value = _weight(weight, f"({a!r}, {b!r})")
        if a == b:
            bqm.add_linear(a, value)
        else:
            bqm.add_quadratic(a, b, value)
    return bqm


def _of_ising(fields: Mapping[Any, object], couplings: Mapping[Any, object]) -> BQM:
    bqm = BQM("SPIN", dtype=np.float64)
    for each, weight in fields.items():
        bqm.add_linear(each, _weight(weight, repr(each)))
    for key, weight in couplings.items():
        a, b = _pair(key)
        if a == b:
            raise _malformed(key, "a spin times itself is 1, not a coupling", "Put its weight into the offset.")
        bqm.add_quadratic(a, b, _weight(weight, f"({a!r}, {b!r})"))
    return bqm


def _of_matrix(problem: object) -> BQM:
    if hasattr(problem, "tocoo"):
        found = problem.tocoo()
        _square(found.shape)
        return _of_triplets(found.shape[0], found.row, found.col, found.data)
    try:
        matrix = np.asarray(problem)
    except (TypeError, ValueError):
        matrix = np.empty(0)
    if matrix.ndim != 2 or matrix.dtype.kind not in "iuf":
        raise _malformed(type(problem).__name__, _FORMS)
    _square(matrix.shape)
    rows, columns = np.nonzero(matrix)
    return _of_triplets(len(matrix), rows, columns, matrix[rows, columns])


def _square(shape: tuple[int, ...]) -> None:
    if len(shape) != 2 or shape[0] != shape[1]:
        raise _malformed(f"a matrix of shape {shape}", "the matrix of a QUBO is square")
    refuse_size(shape[0], 0)


def _of_triplets(count: int, rows: Any, columns: Any, weights: Any) -> BQM:
    weights = np.asarray(weights, dtype=np.float64)
    diagonal = rows == columns
    linear = np.zeros(count)
    np.add.at(linear, rows[diagonal], weights[diagonal])
    off = (rows[~diagonal], columns[~diagonal], weights[~diagonal])
    return BQM.from_numpy_vectors(linear, off, 0.0, dimod.BINARY)


# ------------------------------------------------------------------------------------------------------------ COO text


def read_coo(text: str) -> BQM:
    """Return the problem that COO text states: "row column weight" per line, row = column for single variables.

    Lines that begin with '#' are comments; "# vartype=SPIN" or "# vartype=BINARY" among them says what the variables
    are, binary by default. Weights that come twice are added.

    Raises:
        InvalidValue: a line is not of this form; the message says which.
    """
    kind, rows, columns, weights = "BINARY", list[int](), list[int](), list[float]()
    for number, raw in enumerate(text.splitlines(), start=1):
        line = raw.strip()
        if line.startswith("#"):
            if found := _VARTYPE.search(line):
                kind = found[1].upper()
            continue
        if not line:
            continue
        row, column, weight = _triplet(line, number)
        rows.append(row)
        columns.append(column)
        weights.append(weight)
    if kind not in {"BINARY", "SPIN"}:
        raise _malformed(kind, "the vartype of COO text is BINARY or SPIN")
    refuse_size(len({*rows, *columns}), len({*zip(rows, columns, strict=True)}))
    bqm = BQM(kind, dtype=np.float64)
    for row, column, weight in zip(rows, columns, weights, strict=True):
        if row == column:
            bqm.add_linear(row, weight)
        else:
            bqm.add_quadratic(row, column, weight)
    return bqm


def _triplet(line: str, number: int) -> tuple[int, int, float]:
    parts = line.split()
    try:
        if len(parts) != 3 or not (parts[0].isdecimal() and parts[1].isdecimal()):
            raise ValueError
        row, column, weight = int(parts[0]), int(parts[1]), float(parts[2])
    except ValueError:
        rule = f"line {number} is not 'row column weight' with two whole numbers from 0 and a number"
        raise _malformed(line, rule, "Comments begin with '#'.") from None
    if not math.isfinite(weight):
        raise _malformed(line, f"line {number} has a weight that is not finite")
    return row, column, weight


# --------------------------------------------------------------------------------------------------------- dimod's file


def read_file(data: bytes) -> BQM:
    """Return the problem that the bytes of a dimod file hold.

    Raises:
        InvalidValue: they are no such file, or its parts contradict one another.
        SimulationRefused: it states more variables or couplings than are solved here.
    """
    problem = f"{len(data):,} bytes"
    if not data.startswith(MAGIC):
        raise _malformed(problem, f"a dimod file of such a problem begins with {MAGIC.decode()}")
    try:
        fault = _contradiction(data)
        if fault is None:
            return BQM(BQM.from_file(data), dtype=np.float64)
    except SimulationRefused:
        raise
    except Exception as broken:  # whatever json, NumPy and dimod raise at bytes that anyone may have written
        raise _malformed(problem, f"it is no dimod file that can be read: {broken}") from broken
    raise _malformed(problem, f"the dimod file is damaged: {fault}")


def _contradiction(data: bytes) -> str | None:
    """Return what is wrong between header and arrays, before dimod trusts them; None when nothing is."""
    length = int.from_bytes(data[10:_HEADER_BYTES], "little")
    header = json.loads(data[_HEADER_BYTES : _HEADER_BYTES + length])
    variables, couplings = (int(each) for each in header["shape"])
    refuse_size(variables, couplings)
    if variables < 0 or couplings < 0:
        return f"{variables} variables and {couplings} couplings"
    weight, index, place = (np.dtype(header[name]) for name in ("dtype", "itype", "ntype"))
    if weight.kind != "f" or index.kind not in "iu" or place.kind not in "iu":
        return "its numbers have unknown types"
    linear = np.dtype([("first", place), ("weight", weight)])
    quadratic = np.dtype([("other", index), ("weight", weight)])
    start = _HEADER_BYTES + length + weight.itemsize
    needed = start + variables * linear.itemsize + 2 * couplings * quadratic.itemsize
    if len(data) < needed:
        return f"{variables:,} variables and {couplings:,} couplings take {needed:,} bytes"
    first = np.frombuffer(data, linear, variables, start)["first"].astype(np.int64)
    others = np.frombuffer(data, quadratic, 2 * couplings, start + variables * linear.itemsize)["other"]
    if variables and (first[0] != 0 or (np.diff(first) < 0).any() or first[-1] > 2 * couplings):
        return "the list of neighbours is out of order"
    if len(others) and (int(others.min()) < 0 or int(others.max()) >= variables):
        return "a coupling names a variable that does not exist"
    return None
