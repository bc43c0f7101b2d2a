"""The whole of a search: measured, annealed, measured again, and checked against other ways to choose."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

import hyperfabric_q as hq
from hyperfabric_q.errors import ProblemTooLarge
from hyperfabric_q.estimate import Estimate
from hyperfabric_q.scenarios.architecture_search import pieces
from hyperfabric_q.scenarios.architecture_search.networks import WHOLE
from hyperfabric_q.scenarios.architecture_search.report import Found, figures_of, verdicts_of
from hyperfabric_q.scenarios.catalogue import Size
from hyperfabric_q.scenarios.context import World, current_world
from hyperfabric_q.scenarios.outcome import Outcome
from hyperfabric_q.workloads.annealing import public as annealing

ANNEALER, CONTROLLER = "d-wave-annealer", "nas-controller"
SMALL: Final = {
    "layers": (1, 2),
    "width": (8, 32),
    "activation": ("relu", "sine", "logistic"),
    "rate": (0.1, 0.3, 1.0),
}
READS: Final = 500
LARGE_OPTIONS: Final = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """How large a search is.

    Attributes:
        decisions: what is to be decided.
        measured: architectures that are trained before the first round.
        epochs: of these.
        rounds: of annealing, each of which measures what it chose.
        long: epochs of those that are compared in the end.
        repeats: trainings of each of the finalists, from other weights.
        rivals: architectures drawn at random to compare with.
    """

    decisions: Mapping[str, tuple[Any, ...]]
    measured: int
    epochs: int
    rounds: int
    long: int
    repeats: int
    rivals: int


SETTINGS: Final = {
    "small": Setting(decisions=SMALL, measured=14, epochs=6, rounds=2, long=12, repeats=3, rivals=8),
    "full": Setting(decisions=WHOLE, measured=128, epochs=12, rounds=4, long=40, repeats=6, rivals=40),
}


def annealer() -> hq.NodeSignature:
    """Return an annealer of 5000 qubits, coupled as those of the Pegasus family."""
    return hq.NodeSignature(
        ANNEALER,
        hq.HardwareType.QUANTUM_QPU,
        5,
        100,
        quantum_coherence_time_us=20.0,
        metadata={"annealing_type": "quantum", "qubits": 5000, "topology": "pegasus"},
    )


def most_options(node: hq.NodeSignature) -> int:
    """Return how many options, all coupled, are not too many for an annealer by counting its couplers."""
    machine, low, high = annealing.machine_of(node), 2, 512
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if fits(machine, middle) is None else (low, middle)
    return low


def fits(machine: annealing.Machine, options: int) -> ProblemTooLarge | None:
    """Return why a problem of so many options, each coupled with all others, cannot be embedded; None if it may be."""
    matrix = np.triu(np.ones((options, options)))
    try:
        machine.fit(annealing.read_problem(matrix))
    except ProblemTooLarge as refusal:
        return refusal
    return None


async def _search(setting: Setting, world: World) -> tuple[list[pieces.ChosenArchitecture], hq.TransferResult, float]:
    """Return what each round chose, the last send, and the milliseconds that the clock showed in the end."""
    space = annealing.SearchSpace(setting.decisions)
    controller = hq.NodeSignature(CONTROLLER, hq.HardwareType.CPU_SERVER, 25, 100)
    protocol = hq.HyperFabricProtocol(hq.Fabric(nodes=(annealer(), controller)), seed=world.seed)
    protocol.attach_handler(ANNEALER, annealing.service(annealer(), seed=world.seed))
    chosen: list[pieces.ChosenArchitecture] = []
    for _ in range(setting.rounds):
        qubo = pieces.convert_to_qubo(space, measured=setting.measured, epochs=setting.epochs)
        result = await protocol.send_data(
            source=CONTROLLER,
            destination=ANNEALER,
            data=pieces.serialize_qubo(qubo),
            data_type=hq.DataType.QUANTUM_STATE,
            metadata={"reads": READS},
        )
        chosen.append(pieces.decode_quantum_solution(result))
        if (architecture := chosen[-1].architecture) is not None:
            pieces.measure_architecture(architecture, setting.epochs)
    return chosen, result, protocol.now_ns / 1e6


def _best_score(space: annealing.SearchSpace, model: annealing.Surrogate) -> float:
    """Return the least energy of the model over all architectures, each of which is looked at."""
    names = [name for group in space.groups for name in group]
    starts = np.cumsum([0, *(len(group) for group in space.groups)])[:-1]
    grid = np.indices([len(group) for group in space.groups]).reshape(len(space.groups), -1).T
    samples = np.zeros((len(grid), len(names)), dtype=np.int8)
    np.put_along_axis(samples, grid + starts, 1, axis=1)
    return float(model.model.energies((samples, names)).min())


def _mean(values: list[float]) -> Estimate:
    bar = float(np.std(values, ddof=1)) / math.sqrt(len(values))
    return Estimate(value=float(np.mean(values)), stderr=bar, shots=len(values))


async def _play(size: Size, world: World) -> Outcome:
    setting = SETTINGS[size]
    space = annealing.SearchSpace(setting.decisions)
    chosen, sent, clock_ms = await _search(setting, world)
    state = pieces.search()
    last = chosen[-1]
    [model] = state.models.values()
    drawn = list(state.scores.values())[: setting.measured]
    best_drawn = max(drawn, key=lambda row: row[1])[0]
    annealed = [each.architecture for each in chosen if each.architecture is not None]
    best_annealed = max(annealed, key=lambda each: pieces.known_score(each) or 0.0, default=best_drawn)

    def long(architecture: Mapping[str, Any], repeats: int = setting.repeats) -> list[float]:
        return [state.bench.score(architecture, setting.long, again=1 + k).last_word for k in range(repeats)]

    rivals = space.drawn(setting.rivals, world.stream("architecture_search rivals"))
    found = Found(
        space=space,
        model=model,
        chosen=tuple(chosen),
        sent=sent,
        clock_ms=clock_ms,
        least=_best_score(space, model),
        measured=len(drawn),
        epochs=setting.epochs,
        scatter=float(np.std([pieces.log_odds(score) for _, score in drawn])),
        architecture=best_annealed,
        annealed=_mean(long(best_annealed)),
        drawn=_mean(long(best_drawn)),
        rivals=tuple(long(each, 1)[0] for each in rivals),
        most=most_options(annealer()),
        refusal=fits(annealing.machine_of(annealer()), LARGE_OPTIONS),
    )
    figures = figures_of(found)
    told = ", ".join(f"{name} {option}" for name, option in best_annealed.items())
    return Outcome(
        scenario="architecture_search",
        size=size,
        seed=world.seed,
        figures=figures,
        verdicts=verdicts_of(found, annealer()),
        notes=(
            f"Chosen by annealing: {told}.",
            *(f"{each[:1].upper()}{each[1:]}." for each in last.answer.notes),
            "Training costs no time on the fabric's clock.",
        ),
    )


def played(size: Size) -> Outcome:
    """Return what ``architecture_search.play`` does."""
    return hq.run(_play(size, current_world()))
