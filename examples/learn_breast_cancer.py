"""A classifier that is a circuit over two QPU nodes learns to tell benign from malignant tumours (Wisconsin data).

It is trained twice, on whole state vectors and distributed over two nodes, and both learn the same step by step. Beside
it stand classical models of its size, on the same features and splits.

Run it from anywhere: ``python examples/learn_breast_cancer.py``, with ``--splits 1`` for a quick look. Needs
scikit-learn for the data.
"""

from __future__ import annotations

import argparse
import math
import warnings

import numpy as np
from sklearn.datasets import load_breast_cancer
from sklearn.decomposition import PCA
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler

import hyperfabric_q as hq

FEATURES = 4
HIDDEN = 4  # a network of 4 + 4 x 4 + 4 + 1 = 25 weights; the circuit has 24, and 3 in its head
Split = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def split(seed: int) -> Split:
    """Return features for training and testing, as angles, and their labels; 30 % are for testing."""
    samples, labels = load_breast_cancer(return_X_y=True)
    train, test, told, asked = train_test_split(samples, labels, test_size=0.3, random_state=seed, stratify=labels)
    angles = make_pipeline(StandardScaler(), PCA(FEATURES), MinMaxScaler((-0.8, 0.8))).fit(train)
    return angles.transform(train), angles.transform(test), told, asked


def classical(parts: Split, seed: int) -> tuple[float, float]:
    """Return the test accuracies of a logistic regression and of a small network."""
    train, test, told, asked = parts
    network = MLPClassifier((HIDDEN,), solver="lbfgs", max_iter=1000, random_state=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        network.fit(train, told)
    return LogisticRegression().fit(train, told).score(test, asked), network.score(test, asked)


def quantum(parts: Split, seed: int, fabric: hq.Fabric | None) -> tuple[hq.learning.VariationalClassifier, float]:
    """Return the fitted circuit, distributed over a fabric if one is given, and its test accuracy."""
    train, test, told, asked = parts
    model = hq.learning.VariationalClassifier(qubits=4, layers=3, max_iter=60, fabric=fabric, seed=seed)
    return model.fit(train, told), model.score(test, asked)


def mean(accuracies: list[float]) -> str:
    """Return the mean over splits and its standard error, which one split does not have."""
    if len(accuracies) == 1:
        return f"{accuracies[0]:.3f}"
    return f"{np.mean(accuracies):.3f} ± {np.std(accuracies, ddof=1) / math.sqrt(len(accuracies)):.3f}"


def main() -> None:
    """Print losses, what the distribution costs, and the accuracies."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--splits", type=int, default=10, help="random splits of the data (default: 10)")
    splits = parser.parse_args().splits

    fabric = hq.Fabric.line([2, 2], communication_qubits=2, pair_fidelity=0.97)
    found: dict[str, list[float]] = {"circuit on two nodes": [], "logistic regression": [], "network of 25 weights": []}
    for seed in range(splits):
        parts = split(seed)
        model, accuracy = quantum(parts, seed, fabric)
        found["circuit on two nodes"].append(accuracy)
        for name, each in zip(list(found)[1:], classical(parts, seed), strict=True):
            found[name].append(each)
        if seed == 0:
            whole, _ = quantum(parts, seed, None)
            apart = np.abs(np.subtract(whole.loss_curve_, model.loss_curve_)).max()
            ebits = model.network_.source.plan.ebits
            print(
                f"loss {model.loss_curve_[0]:.3f} -> {model.loss_curve_[-1]:.3f} in {len(model.loss_curve_) - 1} steps"
            )
            print(f"undistributed and on two nodes ({ebits} e-bits a shot): losses differ by at most {apart:.1e}")
    print(f"test accuracy, mean of {splits} splits")
    for name, accuracies in found.items():
        print(f"  {name:24} {mean(accuracies)}")


if __name__ == "__main__":
    main()
