"""Two logical qubits on two nodes: joint measurements and a CNOT by lattice surgery over the link.

Patches lie in one plane with a row or column of spare data qubits between them. Measuring the checks of the joined
patch measures the product of two logical operators; measuring the spare qubits out splits it again (Horsman et al.
2012). Only while patches are joined do gates cross: 2d - 1 per round, or d copies with ``link="cat"``. One error of a
copy's pair reaches two neighbours along the seam, so copies halve the distance against errors of the link in the basis
that the seam hits.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from hyperfabric_q.errors import InvalidValue
from hyperfabric_q.fabric import Fabric
from hyperfabric_q.workloads.qec.codes import Layout, at_least, check_basis, rectangle
from hyperfabric_q.workloads.qec.experiment import DEFAULT_CYCLE_NS, Experiment, LinkKind
from hyperfabric_q.workloads.qec.from_stim import Pairs, from_stim
from hyperfabric_q.workloads.qec.noise_models import NoiseModel, add_noise, noise_model
from hyperfabric_q.workloads.qec.rounds import Check, Rounds

_OTHER: Final = {"X": "Z", "Z": "X"}


def merge_zz(
    distance: int,
    basis: str = "Z",
    noise: str | NoiseModel = "stim4",
    *,
    p: float = 0.001,
    rounds: tuple[int, int, int] | None = None,
    link: LinkKind = "teleported",
    nodes: tuple[str, str] = ("qpu-a", "qpu-b"),
    pairs: Pairs | None = None,
    fabric: Fabric | None = None,
    cycle_ns: float = DEFAULT_CYCLE_NS,
) -> Experiment:
    """Return an experiment that measures Z⊗Z of two patches, one above the other, and splits them again.

    Observables: in basis Z the values of both patches and the outcome, all of them known; in basis X the value of X⊗X,
    which the merge keeps.

    Args:
        distance: of both patches.
        basis: in which both are prepared and read.
        noise: name of a noise model, or a model.
        p: parameter of a named model.
        rounds: before the merge, merged, and after it; None = ``distance`` each.
        link: how gates cross.
        nodes: of the first and the second patch; the spare qubits are the first one's.
        pairs: states of the pairs; they win over the fabric's. None of both = perfect pairs.
        fabric: its links give the pairs their states.
        cycle_ns: duration of a round.

    Raises:
        InvalidValue: an argument is out of range.
    """
    return _merge("Z", distance, basis, noise, p, rounds, link, nodes, pairs, fabric, cycle_ns)


def merge_xx(
    distance: int,
    basis: str = "Z",
    noise: str | NoiseModel = "stim4",
    *,
    p: float = 0.001,
    rounds: tuple[int, int, int] | None = None,
    link: LinkKind = "teleported",
    nodes: tuple[str, str] = ("qpu-a", "qpu-b"),
    pairs: Pairs | None = None,
    fabric: Fabric | None = None,
    cycle_ns: float = DEFAULT_CYCLE_NS,
) -> Experiment:
    """Return an experiment that measures X⊗X of two patches side by side; see ``merge_zz``, with X and Z exchanged."""
    return _merge("X", distance, basis, noise, p, rounds, link, nodes, pairs, fabric, cycle_ns)


def teleport_cnot(
    distance: int,
    basis: str = "Z",
    noise: str | NoiseModel = "stim4",
    *,
    p: float = 0.001,
    rounds: tuple[int, int, int, int] | None = None,
    link: LinkKind = "teleported",
    nodes: tuple[str, str] = ("qpu-a", "qpu-b"),
    pairs: Pairs | None = None,
    fabric: Fabric | None = None,
    cycle_ns: float = DEFAULT_CYCLE_NS,
) -> Experiment:
    """Return a logical CNOT from a patch on one node to a patch on another, by way of a helper patch.

    The helper starts in |+⟩ beside the control; Z⊗Z of control and helper is measured, then X⊗X of helper and target
    over the link, then Z of the helper. The outcomes decide the Pauli corrections, which the observables contain: these
    are the control's value after the CNOT and the target's, in the basis.

    Args:
        distance: of all patches.
        basis: in which control and target are prepared and read.
        noise: name of a noise model, or a model.
        p: parameter of a named model.
        rounds: before, in the first merge, in the second, and after; None = ``distance`` each.
        link: how gates cross.
        nodes: of the control with the helper, and of the target.
        pairs: states of the pairs; they win over the fabric's. None of both = perfect pairs.
        fabric: its links give the pairs their states.
        cycle_ns: duration of a round.

    Raises:
        InvalidValue: an argument is out of range.
    """
    counts = _counts(rounds, distance, 4, basis)
    step, width = distance + 1, 2 * distance + 1
    control = rectangle(distance, distance, width=width)
    helper = rectangle(distance, distance, top=step, width=width)
    target = rectangle(distance, distance, left=step, top=step, width=width)
    above = rectangle(distance, width, width=width)
    beside = rectangle(width, distance, top=step, width=width)
    patches = (control, helper, target)
    coordinates = _together(*patches, above, beside)
    script = Rounds(coordinates)
    for patch, prepared in ((control, basis), (helper, "X"), (target, basis)):
        script.prepare(patch.data, prepared)
        script.prepare(patch.ancillas, "Z")
    _repeat(script, counts[0], patches)
    zz, first_gap = _joined(script, "Z", counts[1], (control, helper), above, (target,))
    xx, second_gap = _joined(script, "X", counts[2], (helper, target), beside, (control,))
    read = script.measure_data(helper.data, "Z")
    script.close(_of("Z", helper))
    _repeat(script, counts[3], (control, target))
    final = script.measure_data((*control.data, *target.data), basis)
    script.close(_of(basis, control, target))
    if basis == "Z":
        along = _line(beside, lambda place: place[1] == 2 * step + 1)
        script.observable(0, (final[qubit] for qubit in control.logical["Z"]))
        values = {**final, **second_gap}
        script.observable(1, (*zz, *(read[q] for q in helper.logical["Z"]), *(values[q] for q in along if q in values)))
    else:
        along = _line(above, lambda place: place[0] == 2 * distance - 1)
        values = {**final, **first_gap}
        script.observable(0, (*xx, *(values[qubit] for qubit in along if qubit in values)))
        script.observable(1, (final[qubit] for qubit in target.logical["X"]))
    placement = {qubit: nodes[place[0] >= 2 * step] for qubit, place in coordinates.items()}
    return _experiment(
        script, "teleport_cnot", distance, basis, noise, p, link, nodes, placement, pairs, fabric, cycle_ns
    )


def _merge(
    measured: str,
    distance: int,
    basis: str,
    noise: str | NoiseModel,
    p: float,
    rounds: tuple[int, ...] | None,
    link: LinkKind,
    nodes: tuple[str, str],
    pairs: Pairs | None,
    fabric: Fabric | None,
    cycle_ns: float,
) -> Experiment:
    counts = _counts(rounds, distance, 3, basis)
    step, long = distance + 1, 2 * distance + 1
    if measured == "Z":
        first, second = rectangle(distance, distance), rectangle(distance, distance, top=step)
        both, axis = rectangle(distance, long), 1
    else:
        first, second = (rectangle(distance, distance, left=left, width=long) for left in (0, step))
        both, axis = rectangle(long, distance), 0
    coordinates = _together(first, second, both)
    script = Rounds(coordinates)
    for patch in (first, second):
        script.prepare(patch.data, basis)
        script.prepare(patch.ancillas, "Z")
    _repeat(script, counts[0], (first, second))
    outcome, gap = _joined(script, measured, counts[1], (first, second), both)
    _repeat(script, counts[2], (first, second))
    final = script.measure_data((*first.data, *second.data), basis)
    script.close(_of(basis, first, second))
    if basis == measured:
        for index, patch in enumerate((first, second)):
            script.observable(index, (final[qubit] for qubit in patch.logical[basis]))
        script.observable(2, outcome)
    else:
        values = {**final, **gap}
        script.observable(0, (values[qubit] for qubit in both.logical[basis]))
    placement = {qubit: nodes[place[axis] >= 2 * step] for qubit, place in coordinates.items()}
    code = f"merge_{2 * measured.lower()}"
    return _experiment(script, code, distance, basis, noise, p, link, nodes, placement, pairs, fabric, cycle_ns)


def _joined(
    script: Rounds,
    measured: str,
    rounds: int,
    patches: tuple[Layout, Layout],
    both: Layout,
    alone: Sequence[Layout] = (),
) -> tuple[tuple[int, ...], Mapping[int, int]]:
    """Merge two patches for some rounds and split them; return the records of the outcome and of the spare qubits."""
    spare = set(both.data) - {qubit for patch in patches for qubit in patch.data}
    old = {ancilla for patch in patches for ancilla in patch.ancillas}
    script.prepare(spare, _OTHER[measured])
    script.prepare(set(both.ancillas) - old, "Z")
    outcome: tuple[int, ...] = ()
    for at in range(rounds):
        records = _repeat(script, 1, (both, *alone))
        if at == 0:
            new = (check.ancilla for check in both.checks if check.basis == measured and check.ancilla not in old)
            outcome = tuple(records[ancilla] for ancilla in new)
    return outcome, script.measure_data(spare, _OTHER[measured])


def _repeat(script: Rounds, rounds: int, patches: Sequence[Layout]) -> Mapping[int, int]:
    checks = [check for patch in patches for check in patch.checks]
    data = [qubit for patch in patches for qubit in patch.data]
    records: Mapping[int, int] = {}
    for _ in range(rounds):
        records = script.measure_checks(checks, data)
    return records


def _experiment(
    script: Rounds,
    code: str,
    distance: int,
    basis: str,
    noise: str | NoiseModel,
    p: float,
    link: LinkKind,
    nodes: tuple[str, str],
    placement: Mapping[int, str],
    pairs: Pairs | None,
    fabric: Fabric | None,
    cycle_ns: float,
) -> Experiment:
    if len(set(nodes)) != 2 or "" in nodes:
        raise InvalidValue(field="nodes", value=nodes, rule="two blocks are on two different nodes")
    model = noise_model(noise, p)
    return from_stim(
        add_noise(script.circuit, model),
        placement,
        link=link,
        fabric=fabric,
        pairs=pairs,
        code=code,
        distance=distance,
        basis=basis,
        noise=model.name,
        cycle_ns=cycle_ns,
    )


def _counts(rounds: tuple[int, ...] | None, distance: int, parts: int, basis: str) -> tuple[int, ...]:
    at_least("distance", distance, 2)
    check_basis(basis)
    counts = (distance,) * parts if rounds is None else tuple(rounds)
    if len(counts) != parts:
        raise InvalidValue(field="rounds", value=rounds, rule=f"{parts} numbers of rounds are needed")
    for count in counts:
        at_least("rounds", count, 1)
    return counts


def _of(basis: str, *patches: Layout) -> list[Check]:
    return [check for patch in patches for check in patch.checks if check.basis == basis]


def _line(layout: Layout, chosen: Callable[[tuple[float, ...]], bool]) -> list[int]:
    return [qubit for qubit in layout.data if chosen(layout.coordinates[qubit])]


def _together(*layouts: Layout) -> dict[int, tuple[float, ...]]:
    return {qubit: place for layout in layouts for qubit, place in layout.coordinates.items()}
