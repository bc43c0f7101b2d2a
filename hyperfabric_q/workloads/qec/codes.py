"""The built-in codes: what is measured where, and memory experiments of them.

Geometry, order of the gates and logical operators are those of stim's generated circuits, so that the detectors and
the error mechanisms are the same: data qubits at odd coordinates, ancillas at even ones, X checks at the top and bottom
edge, Z checks at the left and right one. The hook errors of the order lie across the logical operators they could
shorten (Tomita and Svore 2014).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final

import stim

from hyperfabric_q.errors import InvalidValue
from hyperfabric_q.workloads.qec.experiment import DEFAULT_CYCLE_NS, Experiment
from hyperfabric_q.workloads.qec.noise_models import NoiseModel, add_noise, noise_model
from hyperfabric_q.workloads.qec.rounds import Check, Rounds

_X_ORDER: Final = ((1, 1), (-1, 1), (1, -1), (-1, -1))
_Z_ORDER: Final = ((1, 1), (1, -1), (-1, 1), (-1, -1))

Skips = Collection[tuple[int, int]]
"""Checks left out: (round, ancilla)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """Where qubits are and what is measured.

    Attributes:
        name: of the code.
        distance: the code distance.
        coordinates: place of each qubit.
        data: the data qubits, sorted.
        checks: the stabiliser generators.
        logical: data qubits of the logical operator of each basis, "X" and "Z".
    """

    name: str
    distance: int
    coordinates: Mapping[int, tuple[float, ...]]
    data: tuple[int, ...]
    checks: tuple[Check, ...]
    logical: Mapping[str, tuple[int, ...]]

    @property
    def ancillas(self) -> tuple[int, ...]:
        """The measured qubits, sorted."""
        return tuple(sorted(check.ancilla for check in self.checks))


def rotated_layout(distance: int) -> Layout:
    """Return the rotated surface code on distance x distance data qubits.

    Raises:
        InvalidValue: the distance is below 2.
    """
    at_least("distance", distance, 2)
    return rectangle(distance, distance)


def rectangle(columns: int, rows: int, *, left: int = 0, top: int = 0, width: int | None = None) -> Layout:
    """Return a rotated patch of columns x rows data qubits inside a plane of patches.

    Args:
        columns: data qubits per row.
        rows: data qubits per column.
        left: data columns of the plane to the left of the patch.
        top: data rows of the plane above the patch.
        width: data columns of the plane, which number the qubits; None = ``left + columns``.
    """
    plane = left + columns if width is None else width
    coordinates: dict[int, tuple[float, ...]] = {}
    data: dict[tuple[int, int], int] = {}
    x0, y0, x1, y1 = 2 * left, 2 * top, 2 * (left + columns), 2 * (top + rows)
    for y in range(y0 + 1, y1, 2):
        for x in range(x0 + 1, x1, 2):
            data[x, y] = _number(x, y, plane)
            coordinates[data[x, y]] = (x, y)
    checks = []
    for y in range(y0, y1 + 1, 2):
        for x in range(x0, x1 + 1, 2):
            basis = "Z" if (x + y) % 4 == 0 else "X"
            at_side, at_end = x in (x0, x1), y in (y0, y1)
            if (at_side and (basis == "X" or at_end)) or (at_end and basis == "Z"):
                continue
            order = _X_ORDER if basis == "X" else _Z_ORDER
            neighbours = tuple(data.get((x + dx, y + dy), -1) for dx, dy in order)
            ancilla = _number(x, y, plane)
            coordinates[ancilla] = (x, y)
            checks.append(Check(basis, ancilla, neighbours))
    logical = {
        "X": tuple(data[x0 + 1, y] for y in range(y0 + 1, y1, 2)),
        "Z": tuple(data[x, y0 + 1] for x in range(x0 + 1, x1, 2)),
    }
    return Layout(
        name="rotated_surface_code",
        distance=min(columns, rows),
        coordinates=coordinates,
        data=tuple(sorted(data.values())),
        checks=tuple(checks),
        logical=logical,
    )


def _number(x: int, y: int, plane: int) -> int:
    """The index stim gives to a place; it leaves gaps."""
    return x + (y - x % 2) // 2 * (2 * plane + 1)


def repetition_layout(distance: int, *, basis: str = "Z") -> Layout:
    """Return the repetition code that protects ``basis``: data qubits and ancillas on a line, in turn.

    Raises:
        InvalidValue: the distance is below 2.
    """
    at_least("distance", distance, 2)
    checks = tuple(Check(basis, ancilla, (ancilla - 1, ancilla + 1)) for ancilla in range(1, 2 * distance - 1, 2))
    data = tuple(range(0, 2 * distance, 2))
    return Layout(
        name="repetition_code",
        distance=distance,
        coordinates={qubit: (float(qubit),) for qubit in range(2 * distance - 1)},
        data=data,
        checks=checks,
        logical={basis: data[-1:]},
    )


def rotated_surface_code(
    distance: int,
    rounds: int | None = None,
    basis: str = "Z",
    noise: str | NoiseModel = "stim4",
    *,
    p: float = 0.001,
    cycle_ns: float = DEFAULT_CYCLE_NS,
) -> Experiment:
    """Return a memory experiment of the rotated surface code.

    With ``stim4`` noise it has the detectors and error mechanisms of stim's ``surface_code:rotated_memory_*``.

    Args:
        distance: at least 2.
        rounds: None = 3 x distance.
        basis: which logical value is kept, "X" or "Z".
        noise: name of a noise model, or a model.
        p: parameter of a named model.
        cycle_ns: duration of a round.

    Raises:
        InvalidValue: an argument is out of range.
        UnknownName: no noise model has that name.
    """
    return memory_experiment(rotated_layout(distance), rounds, basis, noise, p=p, cycle_ns=cycle_ns)


def repetition_code(
    distance: int,
    rounds: int | None = None,
    basis: str = "Z",
    noise: str | NoiseModel = "stim4",
    *,
    p: float = 0.001,
    cycle_ns: float = DEFAULT_CYCLE_NS,
) -> Experiment:
    """Return a memory experiment of the repetition code; arguments as ``rotated_surface_code``."""
    check_basis(basis)
    return memory_experiment(repetition_layout(distance, basis=basis), rounds, basis, noise, p=p, cycle_ns=cycle_ns)


def memory_experiment(
    layout: Layout,
    rounds: int | None,
    basis: str,
    noise: str | NoiseModel,
    *,
    p: float = 0.001,
    cycle_ns: float = DEFAULT_CYCLE_NS,
    skip: Skips = (),
) -> Experiment:
    """Return a memory experiment of any layout; arguments as ``rotated_surface_code``.

    Args:
        layout: the code.
        rounds: None = 3 x distance.
        basis: which logical value is kept.
        noise: name of a noise model, or a model.
        p: parameter of a named model.
        cycle_ns: duration of a round.
        skip: (round, ancilla) of checks left out.
    """
    check_basis(basis)
    count = 3 * layout.distance if rounds is None else rounds
    at_least("rounds", count, 1)
    model = noise_model(noise, p)
    circuit = add_noise(memory_circuit(layout, count, basis, skip=skip), model)
    return Experiment(
        circuit=circuit,
        node_of=("",) * circuit.num_qubits,
        rounds=count,
        code=layout.name,
        distance=layout.distance,
        basis=basis,
        noise=model.name,
        cycle_ns=cycle_ns,
        metadata={"p": p} if isinstance(noise, str) else {},
    )


def memory_circuit(layout: Layout, rounds: int, basis: str, *, skip: Skips = ()) -> stim.Circuit:
    """Return the noiseless circuit of a memory experiment; see ``memory_experiment``."""
    script = Rounds(layout.coordinates)
    script.prepare(layout.data, basis)
    script.prepare(layout.ancillas, "Z")
    skipped: dict[int, set[int]] = {}
    for at, ancilla in skip:
        skipped.setdefault(at, set()).add(ancilla)
    for at in range(rounds):
        script.measure_checks(layout.checks, layout.data, skip=skipped.get(at, ()))
    final = script.measure_data(layout.data, basis)
    script.close(check for check in layout.checks if check.basis == basis)
    script.observable(0, (final[qubit] for qubit in layout.logical[basis]))
    return script.circuit


def check_basis(basis: str) -> None:
    """Raise unless ``basis`` is "X" or "Z".

    Raises:
        InvalidValue: it is neither.
    """
    if basis not in ("X", "Z"):
        raise InvalidValue(field="basis", value=basis, rule='the basis is "X" or "Z"')


def at_least(field: str, value: object, least: int) -> None:
    """Raise unless ``value`` is a whole number of at least ``least``.

    Raises:
        InvalidValue: it is not.
    """
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise InvalidValue(field=field, value=value, rule=f"it is a whole number of at least {least}")
