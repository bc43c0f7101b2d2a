"""Scenes that are shown to the nodes one after another, a question about each, and how it is answered."""

from __future__ import annotations

import asyncio
import warnings
from typing import Any, Final, NamedTuple

import numpy as np

import hyperfabric_q as hq
from hyperfabric_q.estimate import proportion
from hyperfabric_q.scenarios.catalogue import Size
from hyperfabric_q.scenarios.context import World, current_world
from hyperfabric_q.scenarios.multimodal.fusion import QUBITS, answer, right_of_planes
from hyperfabric_q.scenarios.multimodal.nodes import (
    FUSION,
    HEARING,
    INPUT,
    LANGUAGE,
    SHOTS,
    VISION,
    attach_models,
    network,
)
from hyperfabric_q.scenarios.multimodal.pieces import (
    capture_audio_chunk,
    capture_video_frame,
    combine_modalities,
    stage,
)
from hyperfabric_q.scenarios.multimodal.report import verdicts
from hyperfabric_q.scenarios.multimodal.senses import (
    ASKED,
    LISTENED_S,
    PITCH_HZ,
    QUESTIONS,
    RATE_HZ,
    THINGS,
)
from hyperfabric_q.scenarios.outcome import Figure, Outcome

SCENES: Final = {"small": 12, "full": 144}


class Told(NamedTuple):
    """A scene: what was there, what the nodes made of it, and how long that took."""

    truth: tuple[float, float, str]
    sure: tuple[float, float, str]
    yes: float
    sent: dict[str, hq.TransferResult]
    shots_ns: float
    took_ns: float


async def show(protocol: hq.HyperFabricProtocol, seen: str, heard: str, kind: str, text: str) -> Told:
    """Stage a scene, ask a question about it, and return what became of it."""
    stage(seen, heard)

    def send(source: str, destination: str, data: object, data_type: hq.DataType, *, entangled: bool = False) -> Any:
        return protocol.send_data(
            source=source,
            destination=destination,
            data=data,
            data_type=data_type,
            requires_quantum_entanglement=entangled,
        )

    began_ns = protocol.now_ns
    saw, listened, read = await asyncio.gather(
        send(INPUT, VISION, capture_video_frame(), hq.DataType.TENSOR),
        send(INPUT, HEARING, capture_audio_chunk(), hq.DataType.NEUROMORPHIC_SPIKE),
        send(INPUT, LANGUAGE, text, hq.DataType.GENERIC),
    )
    await asyncio.gather(
        send(VISION, LANGUAGE, saw.response, hq.DataType.ACTIVATION),
        send(HEARING, LANGUAGE, listened.response, hq.DataType.ACTIVATION),
    )
    circuit = combine_modalities(saw, listened, read)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", hq.errors.HyperFabricWarning)  # the receipt says it as well
        fused = await send(LANGUAGE, FUSION, circuit, hq.DataType.QUANTUM_STATE, entangled=True)
    await send(FUSION, INPUT, fused.response["yes"], hq.DataType.GENERIC)
    return Told(
        truth=(1.0 if seen == "bell" else -1.0, 1.0 if heard == "bell" else -1.0, kind),
        sure=(saw.response, listened.response, read.response),
        yes=fused.response["yes"],
        sent={"picture": saw, "spikes": listened, "circuit": fused},
        shots_ns=fused.response["ns"],
        took_ns=protocol.now_ns - began_ns,
    )


async def _play(size: Size, world: World) -> Outcome:
    protocol, rng = network(), world.stream("multimodal questions")
    attach_models(protocol, world.seed)
    told = []
    for number in range(SCENES[size]):
        kind = ASKED[number % 3]
        seen, heard = THINGS[number // 3 % 2], THINGS[number // 6 % 2]
        told.append(await show(protocol, seen, heard, kind, str(rng.choice(QUESTIONS[kind][-2:]))))
    figures = tuple(_figures(told))
    return Outcome(
        scenario="multimodal",
        size=size,
        seed=world.seed,
        figures=figures,
        verdicts=verdicts({each.name: each for each in figures}, told[0].sent["circuit"]),
        notes=(
            "The models of the classical nodes take no time on the clock: they have a few hundred weights.",
            "Questions are worded as none that the language model has learnt from.",
        ),
    )


def _figures(told: list[Told]) -> list[Figure]:
    truths = [answer(*each.truth) for each in told]
    both = [each for each in told if each.truth[2] == "both"]
    bits = np.array([each.yes if truth > 0 else 1 - each.yes for each, truth in zip(told, truths, strict=True)])
    first = told[0].sent
    return [
        Figure(name="scenes", value=len(told), origin="stated"),
        _share("pictures understood", [each.sure[0] * each.truth[0] > 0 for each in told]),
        _share("sounds understood", [each.sure[1] * each.truth[1] > 0 for each in told]),
        _share("questions understood", [each.sure[2] == each.truth[2] for each in told]),
        _share("answers of the circuit", (bits > 0.5).tolist()),
        _share("answers of a rule of products", [answer(*e.sure) == t for e, t in zip(told, truths, strict=True)]),
        Figure(name="answers of the best plane", value=right_of_planes([each.sure for each in told], truths)),
        _share("questions about both, by sight alone", [each.sure[0] * answer(*each.truth) > 0 for each in both]),
        _share("questions about both, by hearing alone", [each.sure[1] * answer(*each.truth) > 0 for each in both]),
        _share("questions about both, by the circuit", [(e.yes > 0.5) == (answer(*e.truth) > 0) for e in both]),
        Figure(name="shots", value=SHOTS, origin="stated"),
        Figure(
            name="right of single shots", value=float(bits.mean()), stderr=float(bits.std(ddof=1) / len(bits) ** 0.5)
        ),
        Figure(name="picture", value=first["picture"].receipt.nbytes, unit="B", origin="computed"),
        Figure(name="sound", value=2 * RATE_HZ * LISTENED_S, unit="B", origin="computed"),
        Figure(
            name="the same as spikes",
            value=float(np.mean([each.sent["spikes"].receipt.nbytes for each in told])),
            unit="B",
            origin="computed",
        ),
        Figure(name="circuit", value=first["circuit"].receipt.nbytes, unit="B", origin="computed"),
        Figure(name="its angles", value=8 * QUBITS, unit="B", origin="computed"),
        *(
            Figure(
                name=f"{what} under way", value=float(np.mean([_way_ns(each, what) for each in told])) / 1e3, unit="µs"
            )
            for what in ("picture", "spikes", "circuit")
        ),
        Figure(name="shots of an answer", value=float(np.mean([each.shots_ns for each in told])) / 1e3, unit="µs"),
        Figure(name="sound listened to", value=1e3 * LISTENED_S, unit="ms", origin="stated"),
        Figure(name="one period of the lower note", value=1e3 / PITCH_HZ["drum"], unit="ms", origin="bound"),
        Figure(name="from there to the answer", value=float(np.mean([each.took_ns for each in told])) / 1e6, unit="ms"),
    ]


def _way_ns(told: Told, what: str) -> float:
    return told.sent[what].receipt.latency_ns


def _share(name: str, hits: list[Any]) -> Figure:
    found = proportion(int(sum(map(bool, hits))), len(hits))
    return Figure(name=name, value=found.value, stderr=found.stderr)


def played(size: Size) -> Outcome:
    """Return how the questions are answered."""
    return hq.run(_play(size, current_world()))
