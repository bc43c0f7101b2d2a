"""A neural architecture chosen by an annealer on a fabric, and by trying all of them.

A third of 108 small networks are trained briefly on part of the digits, a model of their accuracies becomes a QUBO
with one-hot penalties, and the annealer's answer is decoded. Then every one of the 108 is trained for longer, to see
how good the choice is.
"""

from __future__ import annotations

import argparse
import time
import warnings

import numpy as np
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier

import hyperfabric_q as hq

SEED = 7
WHOLE = {
    "layers": (1, 2, 3),
    "width": (8, 16, 32, 64),
    "activation": ("relu", "tanh", "logistic"),
    "rate": (0.001, 0.004, 0.016),
}
SMALL = {"layers": (1, 2), "width": (8, 32), "activation": ("relu", "logistic"), "rate": (0.001, 0.01)}


class Bench:
    """Trains networks on the digits; the same seed gives the same accuracies."""

    def __init__(self, images: int) -> None:
        """Split ``images`` images into half for training, a quarter for choosing, a quarter for the last word."""
        points, labels = load_digits(return_X_y=True)
        points, labels = points[:images] / 16.0, labels[:images]
        self.train, rest, self.train_labels, rest_labels = train_test_split(
            points, labels, test_size=0.5, random_state=SEED, stratify=labels
        )
        self.choose, self.test, self.choose_labels, self.test_labels = train_test_split(
            rest, rest_labels, test_size=0.5, random_state=SEED, stratify=rest_labels
        )

    def accuracy(self, architecture: hq.annealing.Architecture, epochs: int) -> tuple[float, float]:
        """Return the accuracy on the images for choosing, and on those for the last word."""
        network = MLPClassifier(
            hidden_layer_sizes=(architecture["width"],) * architecture["layers"],
            activation=architecture["activation"],
            learning_rate_init=architecture["rate"],
            batch_size=64,
            max_iter=epochs,
            random_state=SEED,
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # stopping early is the point
            network.fit(self.train, self.train_labels)
        return network.score(self.choose, self.choose_labels), network.score(self.test, self.test_labels)


def fabric() -> hq.Fabric:
    """Return a controller and an annealer with the couplings of an Advantage."""
    annealer = hq.NodeSignature(
        "annealer",
        hq.HardwareType.QUANTUM_ANNEALER,
        bandwidth_gbps=5,
        latency_ns=100,
        metadata={"annealing_type": "quantum", "qubits": 5640, "topology": "pegasus"},
    )
    controller = hq.NodeSignature("nas-controller", hq.HardwareType.CPU_SERVER, bandwidth_gbps=25, latency_ns=100)
    return hq.Fabric(nodes=[controller, annealer])


async def anneal(model: hq.annealing.Surrogate) -> hq.annealing.Answer:
    """Send the search to the annealer, and return its answer."""
    protocol = hq.HyperFabricProtocol(fabric())
    protocol.attach_handler("annealer", hq.annealing.service(protocol.fabric.node("annealer"), seed=SEED))
    result = await protocol.send_data(
        source="nas-controller",
        destination="annealer",
        data=model.model,
        metadata={"one_hot": model.space.groups, "reads": 200},
    )
    print(
        f"Sent {result.receipt.wire_bytes:,} bytes; answered after {protocol.now_ns / 1e6:.3f} ms on the virtual clock."
    )
    return result.response


def main() -> None:
    """Measure some, model, anneal, decode; then train all and compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="16 architectures, few images, few epochs")
    quick = parser.parse_args().quick
    space = hq.annealing.SearchSpace(SMALL if quick else WHOLE)
    bench = Bench(400 if quick else 1_200)
    brief, long = (4, 10) if quick else (6, 30)

    began = time.perf_counter()
    measured = space.drawn(space.size // (2 if quick else 3), np.random.default_rng(SEED))
    scores = [bench.accuracy(each, brief)[0] for each in measured]
    spent = time.perf_counter() - began
    # Effects add up in odds rather than in accuracies, which end at 1.
    odds = [np.log((score + 0.005) / (1.005 - score)) for score in scores]
    model = hq.annealing.fitted(space, measured, odds)
    print(f"{space.size} architectures; {len(measured)} trained for {brief} epochs. A model of their log odds errs by")
    print(f"{model.error:.2f} on one that it has not seen; they scatter by {np.std(odds):.2f}.")

    answer = hq.run(anneal(model))
    found = hq.annealing.decoded(space, answer)
    print(answer)
    print(f"One-hot penalty {answer.penalty:.3f}; {answer.feasible_share:.0%} of the reads are architectures.")
    print(f"Embedding: {answer.embedding.verdict}. " + ". ".join(answer.notes) + ".")
    if found.architecture is None:
        print(f"The best sample leaves undecided: {', '.join(found.undecided)}.")
        return
    print(f"Chosen: {found.architecture}, expected accuracy {1 / (1 + np.exp(-model.score(found.architecture))):.3f}\n")

    began = time.perf_counter()
    trained = [(bench.accuracy(each, long), each) for each in space]
    every = time.perf_counter() - began
    ranked = sorted(trained, key=lambda row: -row[0][0])
    mine = next(row for row in trained if row[1] == found.architecture)
    best = ranked[0]
    rank = 1 + sum(row[0][0] > mine[0][0] for row in trained)
    half = np.median([row[0][1] for row in trained])
    lucky = max(range(len(measured)), key=scores.__getitem__)
    drawn = next(row for row in trained if row[1] == measured[lucky])
    print(f"All trained for {long} epochs:             choosing  last word")
    print(f"  chosen by annealing                {mine[0][0]:9.3f} {mine[0][1]:10.3f}   rank {rank} of {space.size}")
    print(f"  best of the measured, no model     {drawn[0][0]:9.3f} {drawn[0][1]:10.3f}   {drawn[1]}")
    print(f"  best by exhaustive search          {best[0][0]:9.3f} {best[0][1]:10.3f}   {best[1]}")
    print(f"  median architecture                            {half:7.3f}")
    print(f"Regret on the last word: {best[0][1] - mine[0][1]:+.3f}. {every / spent:.1f} times the training was saved.")


if __name__ == "__main__":
    main()
