"""A small model that is worth sealing: it tells the arms of a spiral apart, and one changed byte would show."""

from __future__ import annotations

import json
import math
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hyperfabric_q.errors import InvalidValue

Model = dict[str, NDArray[np.float32]]

ARMS: Final = 3
HIDDEN: Final = 1000
SCALE: Final = 8.0
"""Of the random features: how fine a structure they see."""

RIDGE: Final = 1e-3
TRAINING: Final = 800


def points(count: int, rng: np.random.Generator) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return (n, 2) places on three arms of a spiral, slightly blurred, and the (n,) numbers of their arms."""
    arm, along = rng.integers(0, ARMS, count), rng.uniform(0.1, 1.0, count)
    angle = 2 * math.pi * (arm / ARMS + along) + rng.normal(0.0, 0.2, count)
    return (along[:, None] * np.column_stack([np.cos(angle), np.sin(angle)])), arm


def trained(rng: np.random.Generator) -> Model:
    """Return a model fitted to 800 points: cosines of random directions, then least squares.

    Random Fourier features (Rahimi and Recht 2007). Cost: a tenth of a second.
    """
    places, arm = points(TRAINING, rng)
    model: Model = {
        "directions": rng.normal(0.0, SCALE, (2, HIDDEN)).astype(np.float32),
        "phases": rng.uniform(0.0, 2 * math.pi, HIDDEN).astype(np.float32),
    }
    seen = _features(model, places)
    readout = (
        seen.T @ np.linalg.solve(seen @ seen.T / TRAINING + RIDGE * np.eye(TRAINING), np.eye(ARMS)[arm]) / TRAINING
    )
    model["readout"] = readout.astype(np.float32)
    return model


def accuracy(model: Model, places: NDArray[np.float64], arm: NDArray[np.int64]) -> float:
    """Return the share of points whose arm the model tells."""
    return float(np.mean(np.argmax(_features(model, places) @ model["readout"], axis=1) == arm))


def _features(model: Model, places: NDArray[np.float64]) -> NDArray[np.float64]:
    return math.sqrt(2 / HIDDEN) * np.cos(places @ model["directions"].astype(np.float64) + model["phases"])


def packed(model: Model) -> bytes:
    """Return a model as bytes: 8 for the length of its index, the index as JSON, then all numbers.

    Raises:
        InvalidValue: it is no dict of NumPy arrays of numbers.
    """
    given: object = model
    if not isinstance(given, dict) or not all(isinstance(each, np.ndarray) for each in given.values()):
        raise InvalidValue(field="model", value=type(given).__name__, rule="a model is a dict of NumPy arrays by name")
    if any(each.dtype.hasobject for each in model.values()):
        raise InvalidValue(field="model", value="an array of objects", rule="a model is made of numbers")
    rows: list[tuple[str, str, tuple[int, ...]]] = [(name, each.dtype.str, each.shape) for name, each in model.items()]
    index = json.dumps(rows).encode()
    return b"".join([len(index).to_bytes(8, "big"), index, *(each.tobytes() for each in model.values())])


def unpacked(contents: bytes) -> dict[str, NDArray[Any]]:
    """Return the model that ``packed`` wrote."""
    begin = 8 + int.from_bytes(contents[:8], "big")
    model, at = {}, begin
    for name, dtype, shape in json.loads(contents[8:begin]):
        found = np.frombuffer(contents, dtype, count=math.prod(shape), offset=at).reshape(shape)
        model[name], at = found, at + found.nbytes
    return model
