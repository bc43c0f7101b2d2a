"""A training loop of one's own: iris flowers, and two pairs of QPU nodes that share the samples of each step.

The loop is NumPy. Around it, ``protocol.step`` keeps account of what a step takes of the fabric: circuits and their
Bell pairs on each pair of nodes, and the all-reduce of gradients over the same network. The gradients themselves are
exact; the shots that are charged are those which real nodes would need.

Run it from anywhere: ``python examples/learn_iris.py``, with ``--splits 1`` for a quick look. Needs scikit-learn for
the data and for the classical models beside it.
"""

from __future__ import annotations

import argparse
import math
import warnings

import numpy as np
from sklearn.datasets import load_iris
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier
from sklearn.preprocessing import MinMaxScaler

import hyperfabric_q as hq

STEPS, BATCH, SHOTS = 150, 32, 200
RATE, SCALE = 0.1, 6.0
HIDDEN = 4  # 4 x 4 + 4 + 4 x 3 + 3 = 35 weights; the circuit has 32
PAIRS = (("qpu-0", "qpu-1"), ("qpu-2", "qpu-3"))


def split(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return the measured leaves as angles, for training and testing, and the species; 30 % are for testing."""
    samples, species = load_iris(return_X_y=True)
    train, test, told, asked = train_test_split(samples, species, test_size=0.3, random_state=seed, stratify=species)
    angles = MinMaxScaler((-0.8, 0.8)).fit(train)
    return angles.transform(train), angles.transform(test), told, asked


def classical(train: np.ndarray, test: np.ndarray, told: np.ndarray, asked: np.ndarray, seed: int) -> list[float]:
    """Return the test accuracies of a logistic regression and of a network of the circuit's size."""
    network = MLPClassifier((HIDDEN,), solver="lbfgs", max_iter=1000, random_state=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        network.fit(train, told)
    return [LogisticRegression().fit(train, told).score(test, asked), network.score(test, asked)]


class Circuit:
    """Four qubits over a pair of nodes that see four features again and again; its mean values are the outputs."""

    def __init__(self, fabric: hq.Fabric, pair: tuple[str, str]) -> None:
        """Distribute it: two qubits on each node."""
        made = hq.learning.reuploading(4, qubits=4, layers=4)
        homes = [pair[0], pair[0], pair[1], pair[1]]
        self.source = hq.learning.OnFabric.of(made.circuit, ["Z@0", "Z@1", "Z@2"], fabric, homes=homes, noise="none")
        names = [each.name for each in self.source.form.parameters]
        self.inputs = [names.index(each.name) for each in made.inputs]
        self.weights = made.weights
        self.places = [names.index(each.name) for each in made.weights]

    def gradient(self, samples: np.ndarray, weights: np.ndarray) -> hq.learning.Gradient:
        """Return the mean values of all samples, and their derivatives by the weights."""
        angles = np.empty((len(samples), len(self.inputs) + len(self.places)))
        angles[:, self.inputs], angles[:, self.places] = samples, weights
        return hq.learning.gradient(self.source, angles, by=self.weights)


def softmax(outputs: np.ndarray) -> np.ndarray:
    """Return chances of the classes, (B, 3)."""
    powers = np.exp(outputs - outputs.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def trained(protocol: hq.HyperFabricProtocol, samples: np.ndarray, species: np.ndarray, seed: int) -> tuple:
    """Return the circuit, its weights, the losses and the reports of all steps."""
    circuits = {pair: Circuit(protocol.fabric, pair) for pair in PAIRS}
    heads = [pair[0] for pair in PAIRS]  # the node of each pair that has the sums
    rng = np.random.default_rng(seed)
    weights = rng.uniform(-0.5, 0.5, len(circuits[PAIRS[0]].places))
    first, second = np.zeros_like(weights), np.zeros_like(weights)
    losses, reports = [], []
    for number in range(1, STEPS + 1):
        batch = rng.choice(len(samples), BATCH, replace=False)
        with protocol.step(heads) as step:
            slopes, loss = {}, 0.0
            for pair, rows in zip(PAIRS, np.split(batch, len(PAIRS)), strict=True):
                found = circuits[pair].gradient(samples[rows], weights)
                chances = softmax(SCALE * found.values)
                loss -= np.log(chances[np.arange(len(rows)), species[rows]]).sum() / BATCH
                chances[np.arange(len(rows)), species[rows]] -= 1
                slopes[pair[0]] = np.einsum("bm,bmp->p", SCALE * chances, found.gradient)
                # Two circuits a weight and sample, as parameter shifts need them.
                shots = SHOTS * 2 * len(weights) * len(rows)
                step.ran(found, plan=circuits[pair].source, shots=shots)
            gradient = step.all_reduce(slopes, op="sum") / BATCH
        first, second = 0.9 * first + 0.1 * gradient, 0.99 * second + 0.01 * gradient**2
        weights -= RATE * (first / (1 - 0.9**number)) / (np.sqrt(second / (1 - 0.99**number)) + 1e-8)
        losses.append(loss)
        reports.append(step.report)
    return circuits[PAIRS[0]], weights, losses, reports


def mean(accuracies: list[float]) -> str:
    """Return the mean over splits and its standard error, which one split does not have."""
    if len(accuracies) == 1:
        return f"{accuracies[0]:.3f}"
    return f"{np.mean(accuracies):.3f} ± {np.std(accuracies, ddof=1) / math.sqrt(len(accuracies)):.3f}"


def main() -> None:
    """Print losses, what a step takes of the fabric, and the accuracies."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--splits", type=int, default=10, help="random splits of the data (default: 10)")
    splits = parser.parse_args().splits

    fabric = hq.Fabric.full([2, 2, 2, 2], communication_qubits=2, pair_fidelity=0.97)
    fabric = fabric.replace("links.*", pair_rate_hz=100_000, bandwidth_gbps=10, latency_ns=500)
    accuracies: dict[str, list[float]] = {"circuit": [], "logistic regression": [], "network of 35 weights": []}
    for seed in range(splits):
        train, test, told, asked = split(seed)
        protocol = hq.HyperFabricProtocol(fabric, seed=seed)
        circuit, weights, losses, reports = trained(protocol, train, told, seed)
        right = circuit.gradient(test, weights).values.argmax(axis=1) == asked
        for name, each in zip(accuracies, [right.mean(), *classical(train, test, told, asked, seed)], strict=True):
            accuracies[name].append(float(each))
        if seed == 0:
            begun, ended = np.mean(losses[:10]), np.mean(losses[-10:])
            print(f"loss {begun:.3f} -> {ended:.3f}, means of the first and the last 10 of {STEPS} steps")
            print(reports[-1])
            print(f"all steps: {protocol.now_ns / 1e9:.1f} s, {sum(each.pairs for each in reports):,} Bell pairs")
    print(f"test accuracy, mean of {splits} splits")
    for name, each in accuracies.items():
        print(f"  {name:22} {mean(each)}")


if __name__ == "__main__":
    main()
