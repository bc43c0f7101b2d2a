"""Handwritten digits through the ready pipeline: loader, GPU node, two QPU nodes with half of each batch, all-reduce.

Images of 3, 5 and 8 come down to four features; a dense layer on the GPU node turns them into angles for a circuit of
four qubits, and another makes chances of its mean values. Everything is trained together, on one virtual clock.

Run it from anywhere: ``python examples/learn_digits.py``, with ``--splits 1`` for a quick look. Needs scikit-learn for
the data and for the classical models beside it.
"""

from __future__ import annotations

import argparse
import math
import warnings
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler

import hyperfabric_q as hq

DIGITS, FEATURES, STEPS = (3, 5, 8), 4, 300
HIDDEN = 7  # 4 x 7 + 7 + 7 x 3 + 3 = 59 weights, as many as the pipeline has
FABRIC = Path(__file__).resolve().parent / "train" / "two_qpus.toml"


def split(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return features of the images for training and testing, and the digits; 30 % are for testing."""
    images, digits = load_digits(return_X_y=True)
    chosen = np.isin(digits, DIGITS)
    train, test, told, asked = train_test_split(
        images[chosen], digits[chosen], test_size=0.3, random_state=seed, stratify=digits[chosen]
    )
    features = make_pipeline(PCA(FEATURES), MinMaxScaler((-1.5, 1.5))).fit(train)
    return features.transform(train), features.transform(test), told, asked


def classical(train: np.ndarray, test: np.ndarray, told: np.ndarray, asked: np.ndarray, seed: int) -> list[float]:
    """Return the test accuracies of a logistic regression and of a network of the pipeline's size."""
    network = MLPClassifier((HIDDEN,), solver="lbfgs", max_iter=1000, random_state=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        network.fit(train, told)
    return [LogisticRegression(max_iter=1000).fit(train, told).score(test, asked), network.score(test, asked)]


def mean(accuracies: list[float]) -> str:
    """Return the mean over splits and its standard error, which one split does not have."""
    if len(accuracies) == 1:
        return f"{accuracies[0]:.3f}"
    return f"{np.mean(accuracies):.3f} ± {np.std(accuracies, ddof=1) / math.sqrt(len(accuracies)):.3f}"


def main() -> None:
    """Print losses, where the time of the steps went, and the accuracies."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--splits", type=int, default=10, help="random splits of the data (default: 10)")
    splits = parser.parse_args().splits

    fabric = hq.Fabric.from_file(FABRIC)
    accuracies: dict[str, list[float]] = {"pipeline": [], "logistic regression": [], "network of 59 weights": []}
    for seed in range(splits):
        train, test, told, asked = split(seed)
        training = hq.learning.HybridTraining(
            fabric=fabric,
            gpu="gpu",
            loader="loader",
            parallel="data",
            qubits=FEATURES,
            layers=3,
            charged_shots=200,
            batch_size=64,
            learning_rate=0.03,
            seed=seed,
        )
        learnt = training.fit(train, told, steps=STEPS)
        found = [learnt.score(test, asked), *classical(train, test, told, asked, seed)]
        for name, accuracy in zip(accuracies, found, strict=True):
            accuracies[name].append(accuracy)
        if seed == 0:
            losses = learnt.history.losses
            print(f"{np.size(learnt.parameters)} weights, loss {losses[0]:.3f} -> {losses[-1]:.3f} in {STEPS} steps")
            print(learnt.history)
    print(f"test accuracy, mean of {splits} splits")
    for name, each in accuracies.items():
        print(f"  {name:22} {mean(each)}")


if __name__ == "__main__":
    main()
