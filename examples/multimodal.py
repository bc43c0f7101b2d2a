"""A picture, a sound and a question: each goes to a node that understands it, and a QPU fuses what they found.

``python examples/multimodal.py --size small`` takes some seconds. ``hyperfabric-q scenario multimodal`` tells more:
what one sense alone can answer, how a rule without a circuit does, and why an answer takes as long as it does.
"""

from __future__ import annotations

import argparse
import asyncio
import json

import numpy as np

import hyperfabric_q as hq
from hyperfabric_q.scenarios import (
    Figure,
    Outcome,
    Verdict,
    capture_audio_chunk,
    capture_video_frame,
    combine_modalities,
    world,
)
from hyperfabric_q.scenarios.multimodal.pieces import stage

SCENES = {"small": 4, "full": 40}
QUESTION = "Describe what you see and hear"  # answered with: the same thing, or two things
SHOTS = 100
TIMES = {"gate_1q_ns": 30, "gate_2q_ns": 60, "readout_ns": 500, "reset_ns": 500}
ERRORS = {"gate_error_2q": 5e-3, "readout_error": 0.01}


async def watch(size: str, seed: int) -> Outcome:
    """Register the nodes, then show them scene after scene."""
    protocol = hq.HyperFabricProtocol()
    for node in (
        hq.NodeSignature("input-node", hq.HardwareType.SOFTWARE_ENDPOINT, 10, 1000),
        hq.NodeSignature("vision-gpu-01", hq.HardwareType.NVIDIA_H100, 400, 100),
        hq.NodeSignature("nlp-gpu-01", hq.HardwareType.NVIDIA_A100, 300, 150),
        hq.NodeSignature("audio-neuromorphic-01", hq.HardwareType.NEUROMORPHIC_CHIP, 50, 80, neuromorphic_neurons=32),
        hq.NodeSignature("fusion-quantum-01", hq.HardwareType.QUANTUM_QPU, 10, 50, compute_units=4, **TIMES, **ERRORS),
    ):
        protocol.register_node(node)

    # The QPU runs the circuit that arrives, with the errors of its gates, and takes the time of its shots.
    async def run_circuit(packet: hq.Packet) -> float:
        result = protocol.run(packet.data, shots=SHOTS, seed=seed)
        await protocol.sleep_ns(result.job_ns)
        return result.counts.get("0", 0) / SHOTS

    protocol.attach_handler("fusion-quantum-01", run_circuit)

    rng, right, yes, took_ns = np.random.default_rng(seed), 0, [], 0.0
    for _ in range(SCENES[size]):
        seen, heard = rng.choice(["bell", "drum"], 2)
        stage(seen, heard)
        began_ns = protocol.now_ns
        picture, sound = await asyncio.gather(
            protocol.send_data(
                source="input-node",
                destination="vision-gpu-01",
                data=capture_video_frame(),
                data_type=hq.DataType.TENSOR,
            ),
            protocol.send_data(
                source="input-node",
                destination="audio-neuromorphic-01",
                data=capture_audio_chunk(),
                data_type=hq.DataType.NEUROMORPHIC_SPIKE,
            ),
        )
        fused = await protocol.send_data(
            source="nlp-gpu-01",
            destination="fusion-quantum-01",
            data=combine_modalities(picture, sound, QUESTION),
            data_type=hq.DataType.QUANTUM_STATE,
        )
        yes.append(fused.response)
        right += (fused.response > 0.5) == (seen == heard)
        took_ns = protocol.now_ns - began_ns

    figures = (
        Figure(name="scenes", value=SCENES[size], origin="stated"),
        Figure(name="right", value=right),
        Figure(name="picture", value=picture.receipt.nbytes, unit="B", origin="computed"),
        Figure(name="sound as spikes", value=sound.receipt.nbytes, unit="B", origin="computed"),
        Figure(name="sureness of the last answer", value=max(yes[-1], 1 - yes[-1])),
        Figure(name="from capture to answer", value=took_ns / 1e3, unit="µs"),
    )
    verdict = Verdict(
        asked="the circuit tells whether picture and sound belong together",
        holds=right > 0.9 * SCENES[size],
        because=f"It is right about {right} of {SCENES[size]} scenes; either sense alone can only guess.",
        remedy="" if right > 0.9 * SCENES[size] else "More shots.",
    )
    return Outcome(scenario="multimodal", size=size, seed=seed, figures=figures, verdicts=(verdict,))


def main() -> None:
    """Read what is asked for, watch, tell."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", choices=SCENES, default="full")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    with world(seed=given.seed):
        outcome = hq.run(watch(given.size, given.seed))
    print(json.dumps(outcome.to_dict()) if given.json else outcome)


if __name__ == "__main__":
    main()
