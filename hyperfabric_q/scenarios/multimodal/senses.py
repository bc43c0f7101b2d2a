"""What a camera and a microphone take in, and the small models that tell a bell from a drum and what is asked.

Pictures, sounds and questions are made by rule; the models are really learnt from examples of them.
"""

from __future__ import annotations

import hashlib
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import optimize

Array = NDArray[np.float64]
Frame = NDArray[np.uint8]
Spikes = NDArray[np.int64]

THINGS: Final = ("bell", "drum")
SIDE: Final = 32
RATE_HZ: Final = 16_000
LISTENED_S: Final = 0.032
PITCH_HZ: Final = {"bell": 880.0, "drum": 220.0}
NEURONS: Final = 32
TOGETHER: Final = 4
"""Samples of sound after which neurons are looked at: 250 µs."""

ASKED: Final = ("see", "hear", "both")

QUESTIONS: Final = {
    "see": (
        "What do you see?",
        "Look at the picture: is it a bell?",
        "Tell me what is in view",
        "What does the camera show?",
        "Do you see a bell there?",
        "What is to be seen in the picture?",
        "Is it a bell that you see?",
        "Look: what is in the picture?",
    ),
    "hear": (
        "What do you hear?",
        "Listen: is that the sound of a bell?",
        "Tell me what is ringing",
        "What does the microphone hear?",
        "Do you hear a bell there?",
        "What is to be heard?",
        "Is it a bell that you hear?",
        "Listen: what sound is that?",
    ),
    "both": (
        "Describe what you see and hear",
        "Do picture and sound belong together?",
        "Does what you hear match what you see?",
        "Is the sound that of the thing in view?",
        "Do camera and microphone agree?",
        "Are both of them the same?",
        "Do you see and hear the same thing?",
        "Describe both, the picture and the sound",
    ),
}
"""The last two of each kind are never learnt from."""

_TRIGRAMS: Final = 128


def picture(thing: str, rng: np.random.Generator) -> Frame:
    """Return a noisy picture of a bell (a triangle) or a drum (a disc), somewhere, of some size, shape (32, 32)."""
    down, across = np.mgrid[:SIDE, :SIDE]
    size, (y, x) = rng.uniform(6, 10), rng.uniform(12, 20, 2)
    if thing == "bell":
        inside = (down < y + size) & (np.abs(across - x) < (down - y + size) / 2)
    else:
        inside = (down - y) ** 2 + (across - x) ** 2 < size**2
    light = 60 + 120 * inside + rng.normal(scale=65, size=inside.shape)
    return np.asarray(np.clip(light, 0, 255), dtype=np.uint8)


def directions(frame: Frame) -> Array:
    """Return how much of the edges in a picture runs in each of 12 directions, after smoothing, summing to 1."""
    light = frame.astype(np.float64)
    for axis in (0, 1):
        light = (np.roll(light, 1, axis) + 2 * light + np.roll(light, -1, axis)) / 4
        light = (np.roll(light, 2, axis) + 2 * light + np.roll(light, -2, axis)) / 4
    down, across = np.gradient(light[2:-2, 2:-2])
    strength = np.hypot(down, across)
    strength[strength < 0.4 * strength.max()] = 0
    bins = ((np.arctan2(down, across) / (2 * np.pi) + 0.5) * 12).astype(np.int64) % 12
    found = np.bincount(bins.ravel(), strength.ravel(), minlength=12)
    return np.asarray(found / found.sum())


def sound(thing: str, rng: np.random.Generator) -> Array:
    """Return 32 ms of a bell's high or a drum's low note, detuned, dying away, in noise that is louder."""
    time_s = np.arange(int(RATE_HZ * LISTENED_S)) / RATE_HZ
    pitch = PITCH_HZ[thing] * 2 ** rng.uniform(-0.25, 0.25)
    note = np.sqrt(2) * np.sin(2 * np.pi * pitch * time_s + rng.uniform(0, 2 * np.pi)) * np.exp(-time_s / 0.03)
    return np.asarray(note + 2.5 * rng.normal(size=len(time_s)))


def cochlea(wave: Array) -> Spikes:
    """Return the spikes of 32 hair cells, rows of (cell, time in µs), in the order of time.

    Each hears a third of an octave between 100 Hz and 4 kHz. A leaky neuron adds up what comes in upwards, and fires.
    """
    centres = 100 * 40 ** (np.arange(NEURONS) / (NEURONS - 1))
    pitches = np.fft.rfftfreq(len(wave), 1 / RATE_HZ)
    octaves = np.log2(np.maximum(pitches, 1)[None] / centres[:, None])
    heard = np.fft.irfft(np.fft.rfft(wave) * np.exp(-0.5 * (octaves / 0.15) ** 2), n=len(wave), axis=1)
    inwards = np.maximum(heard, 0).reshape(NEURONS, -1, TOGETHER).sum(axis=2).T
    charge, fired = np.zeros(NEURONS), []
    for step, inward in enumerate(inwards):
        charge = 0.92 * charge + inward
        cells = np.flatnonzero(charge > 8)
        charge[cells] = 0
        fired += [(cell, step * TOGETHER * 1_000_000 // RATE_HZ) for cell in cells.tolist()]
    return np.array(fired, dtype=np.int64).reshape(-1, 2)


def loudness(spikes: Spikes) -> Array:
    """Return how often each cell fired, shape (32,)."""
    return np.bincount(spikes[:, 0], minlength=NEURONS).astype(np.float64)


def trigrams(text: str) -> Array:
    """Return which three letters in a row a text has, hashed to 128 places."""
    plain = f"  {text.lower()}  "
    found = np.zeros(_TRIGRAMS)
    for start in range(len(plain) - 2):
        found[hashlib.blake2b(plain[start : start + 3].encode(), digest_size=1).digest()[0] % _TRIGRAMS] = 1
    return found


def learned(rows: Array, classes: NDArray[np.int64], *, decay: float = 1e-3) -> Array:
    """Return the weights of a softmax regression, shape (features + 1, classes), fitted to the last digit that counts.

    Args:
        rows: shape (N, features).
        classes: of each, from 0.
        decay: of the square of the weights.
    """
    wide = np.hstack([rows, np.ones((len(rows), 1))])
    wanted = np.eye(classes.max() + 1)[classes]

    def loss(flat: Array) -> tuple[float, Array]:
        weights = flat.reshape(wide.shape[1], -1)
        chances = _softmax(wide @ weights)
        value = -np.log(np.maximum((chances * wanted).sum(axis=1), 1e-300)).mean() + decay * (flat**2).sum()
        return float(value), (wide.T @ (chances - wanted) / len(rows) + 2 * decay * weights).ravel()

    start = np.zeros(wide.shape[1] * wanted.shape[1])
    found = optimize.minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": 300})
    return np.asarray(found.x).reshape(wide.shape[1], -1)


def chances(weights: Array, row: Array) -> Array:
    """Return the chance of each class."""
    return np.asarray(_softmax(np.append(row, 1.0)[None] @ weights)[0])


def _softmax(outputs: Array) -> Array:
    shifted = np.exp(outputs - outputs.max(axis=1, keepdims=True))
    return np.asarray(shifted / shifted.sum(axis=1, keepdims=True))
