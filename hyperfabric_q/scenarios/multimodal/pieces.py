"""Sight, sound and language at nodes of their own, and a circuit on a QPU that answers a question about all of them.

Pictures and sounds are made by rule, and the models that understand them are really learnt from examples, on first
use. The circuit is one of four qubits whose weights are learnt as well: its measured bit is the answer.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from qiskit import QuantumCircuit

import hyperfabric_q as hq
from hyperfabric_q.errors import UnknownName
from hyperfabric_q.scenarios.catalogue import Size
from hyperfabric_q.scenarios.context import current_world
from hyperfabric_q.scenarios.multimodal.fusion import Models
from hyperfabric_q.scenarios.multimodal.senses import ASKED, THINGS, Frame, Spikes, cochlea, picture, sound
from hyperfabric_q.scenarios.outcome import Outcome


def stage(seen: str, heard: str) -> None:
    """Put a bell or a drum before the camera, and one of them before the microphone, until something else is staged.

    Raises:
        UnknownName: it is neither.
    """
    for thing in (seen, heard):
        if thing not in THINGS:
            raise UnknownName(kind="thing", name=thing, known=THINGS)
    current_world().replace_state("multimodal stage", (seen, heard))


def _staged(place: int) -> tuple[str, np.random.Generator]:
    """Return what stands before the camera (0) or the microphone (1); by itself it is anything, anew every time."""
    world = current_world()
    rng = world.stream("multimodal")
    things: tuple[str, ...] = world.state("multimodal stage", tuple)
    return (things[place] if things else str(rng.choice(THINGS))), rng


def capture_video_frame() -> Frame:
    """Return a grey picture of what is before the camera, 32 x 32 bytes: a bell is a triangle, a drum a disc."""
    thing, rng = _staged(0)
    return picture(thing, rng)


def capture_audio_chunk() -> Spikes:
    """Return 32 ms of what is before the microphone as spikes of its 32 hair cells: rows of (cell, time in µs)."""
    thing, rng = _staged(1)
    return cochlea(sound(thing, rng))


def models() -> Models:
    """Return the models of this world; they are learnt when they are first asked for, which takes a second."""
    world = current_world()
    return world.state("multimodal models", lambda: Models(world.stream("multimodal models")))


def combine_modalities(vision: object, audio: object, text: object) -> QuantumCircuit:
    """Return the circuit that answers a question about what is seen and heard: its bit reads 0 for yes, 1 for no.

    Asked about one sense, it says whether that has a bell; asked about both, whether they have the same thing.

    Args:
        vision: a picture, or how sure it shows a bell (1 = sure, -1 = a drum), or the result of sending a picture: then
            what the destination answered, or if nothing there answers, the picture.
        audio: the same of spikes.
        text: the question, or "see", "hear" or "both", or the result of sending it.
    """
    own = models()
    saw, heard, asked = (_understood(each) for each in (vision, audio, text))
    sure = float(saw) if np.ndim(saw) == 0 else own.seen(saw)
    loud = float(heard) if np.ndim(heard) == 0 else own.heard(heard)
    return own.circuit(sure, loud, asked if asked in ASKED else own.asked(asked))


def _understood(given: object) -> Any:
    if not isinstance(given, hq.TransferResult):
        return given
    return given.value if given.response is None else given.response


def play(*, size: Size) -> Outcome:
    """Return how often questions about scenes are answered right, by whom, and when."""
    from hyperfabric_q.scenarios.multimodal.run import played  # noqa: PLC0415 - it is made of these pieces

    return played(size)
