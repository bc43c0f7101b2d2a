"""A neural architecture chosen by an annealer on a fabric, and by trying all of them.

A third of 108 small networks are trained briefly, a model of their accuracies becomes a QUBO with one-hot penalties,
and the annealer's answer is decoded. Then every one of the 108 is trained for longer, to see how good the choice is.
``hyperfabric-q scenario architecture_search`` searches 25,920 of them, which nobody would train.
"""

from __future__ import annotations

import argparse
import json

import hyperfabric_q as hq
from hyperfabric_q.scenarios import (
    Figure,
    Outcome,
    Verdict,
    convert_to_qubo,
    decode_quantum_solution,
    serialize_qubo,
    world,
)
from hyperfabric_q.scenarios.architecture_search.networks import Bench
from hyperfabric_q.scenarios.architecture_search.pieces import ChosenArchitecture
from hyperfabric_q.workloads.annealing import public as annealing

SPACES: dict[str, dict[str, tuple[int | float | str, ...]]] = {
    "full": {
        "layers": (1, 2, 3),
        "width": (4, 8, 16, 32),
        "activation": ("relu", "sine", "logistic"),
        "rate": (0.1, 0.3, 1.0),
    },
    "small": {"layers": (1, 2), "width": (8, 32), "activation": ("relu", "sine"), "rate": (0.1, 1.0)},
}
EPOCHS = {"full": (8, 40), "small": (4, 10)}


async def choose(space: annealing.SearchSpace, epochs: int, seed: int) -> tuple[ChosenArchitecture, float]:
    """Return the architecture that an annealer chose, and the milliseconds it took on the fabric's clock."""
    protocol = hq.HyperFabricProtocol()
    annealer = hq.NodeSignature(
        "annealer",
        hq.HardwareType.QUANTUM_ANNEALER,
        bandwidth_gbps=5,
        latency_ns=100,
        metadata={"annealing_type": "quantum", "qubits": 5640, "topology": "pegasus"},
    )
    protocol.register_node(annealer)
    protocol.register_node(hq.NodeSignature("nas-controller", hq.HardwareType.CPU_SERVER, 25, 100))
    protocol.attach_handler("annealer", annealing.service(annealer, seed=seed))

    # Networks are trained here, and what was measured becomes a problem of one variable per option.
    qubo = convert_to_qubo(space, measured=space.size // 3, epochs=epochs)
    result = await protocol.send_data(
        source="nas-controller", destination="annealer", data=serialize_qubo(qubo), metadata={"reads": 200}
    )
    return decode_quantum_solution(result), protocol.now_ns / 1e6


def compared(size: str, seed: int) -> Outcome:
    """Choose, then train all architectures for longer, and return how they compare."""
    space, (brief, long) = annealing.SearchSpace(SPACES[size]), EPOCHS[size]
    chosen, milliseconds = hq.run(choose(space, brief, seed))
    bench = Bench(seed)
    trained = [(bench.score(each, long), each) for each in space]
    best, winner = max(trained, key=lambda row: row[0].choosing)
    mine = next((score for score, each in trained if each == chosen.architecture), None)
    last = 0.0 if mine is None else mine.last_word
    short = 0.0 if mine is None else best.choosing - mine.choosing
    better = sum(score.choosing > (mine.choosing if mine else 0.0) for score, _ in trained)
    answer = chosen.answer
    return Outcome(
        scenario="architecture_search",
        size=size,
        seed=seed,
        figures=(
            Figure(name="architectures", value=space.size, origin="computed"),
            Figure(name="trained for the model", value=space.size // 3, origin="stated"),
            Figure(name="annealer and the way there", value=milliseconds, unit="ms"),
            Figure(name="accuracy of the chosen one", value=last, origin="computed"),
            Figure(name="best by exhaustive search", value=best.last_word, origin="computed"),
            Figure(name="architectures that are better", value=better, origin="computed"),
        ),
        verdicts=(
            Verdict(asked="the model's best architecture, for certain", holds=answer.optimal, because=f"{answer}."),
            Verdict(
                asked="the best of all without training all",
                holds=better == 0,
                because=f"{better} of {space.size} are better, by {short:.3f} at most.",
                remedy="Train more before the model is made." if better else "",
            ),
        ),
        notes=(f"Chosen: {chosen}.", f"Best: {winner}.", *answer.notes),
    )


def main() -> None:
    """Read what is asked for, compare, tell."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", choices=SPACES, default="full", help="108 architectures, or 16")
    parser.add_argument("--quick", action="store_const", const="small", dest="size", help="the same as --size small")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    with world(seed=given.seed):
        outcome = compared(given.size, given.seed)
    print(json.dumps(outcome.to_dict()) if given.json else outcome)


if __name__ == "__main__":
    main()
