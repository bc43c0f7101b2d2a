"""Samples from a loader to a GPU, angles from there to a QPU, slopes back, a step: a hundred times.

``python examples/quantum_ml.py --size small`` takes a second or two. ``hyperfabric-q scenario quantum_ml`` tells more:
gradients from shots, more QPUs, and how classical models do.
"""

from __future__ import annotations

import argparse
import json

import numpy as np

import hyperfabric_q as hq
from hyperfabric_q.scenarios import (
    Figure,
    Outcome,
    Verdict,
    extract_features,
    load_quantum_ml_dataset,
    update_model_parameters,
    world,
)

EPOCHS = {"small": 20, "full": 100}
SHOTS = 200
CIRCUITS_PER_SAMPLE = 33  # two for each of the 16 weights, and one for the value itself
SHOT_NS = 860  # 360 ns of gates and 500 ns of readout
RESET_NS = 500


async def train(size: str, seed: int) -> Outcome:
    """Register the nodes, then repeat: prepare, run circuits, send back, step."""
    protocol = hq.HyperFabricProtocol(enable_ml_routing=True, enable_quantum_optimization=True)
    protocol.register_node(hq.NodeSignature("data-loader", hq.HardwareType.SOFTWARE_ENDPOINT, 10, 1000))
    protocol.register_node(hq.NodeSignature("classical-ml-gpu", hq.HardwareType.NVIDIA_H100, 400, 100))
    protocol.register_node(
        hq.NodeSignature(
            "quantum-ml-processor",
            hq.HardwareType.QUANTUM_QPU,
            20,
            25,
            quantum_coherence_time_us=200.0,
            compute_units=2,
        )
    )

    # The QPU takes the time of its shots; what it would have found is worked out by the piece that steps.
    async def run_circuits(packet: hq.Packet) -> None:
        shots = len(packet.data.rows) * CIRCUITS_PER_SAMPLE * SHOTS
        await protocol.sleep_ns(shots * (SHOT_NS + RESET_NS))

    protocol.attach_handler("quantum-ml-processor", run_circuits)

    samples = load_quantum_ml_dataset()
    losses, network_ns = [], 0.0
    for _ in range(EPOCHS[size]):
        prepared = await protocol.send_data(
            source="data-loader", destination="classical-ml-gpu", data=samples, data_type=hq.DataType.TENSOR
        )
        # A GPU has no qubits to teleport: it sends angles, and the QPU makes the state of them.
        features = await protocol.send_data(
            source="classical-ml-gpu",
            destination="quantum-ml-processor",
            data=extract_features(prepared),
            data_type=hq.DataType.QUANTUM_STATE,
        )
        slopes = await protocol.send_data(
            source="quantum-ml-processor", destination="classical-ml-gpu", data=features, data_type=hq.DataType.GRADIENT
        )
        losses.append(update_model_parameters(slopes))
        network_ns += prepared.latency_ns + features.latency_ns + slopes.latency_ns

    took_ns = protocol.now_ns
    figures = (
        Figure(name="epochs", value=len(losses), origin="stated"),
        Figure(name="loss at first", value=losses[0], unit="nat", origin="computed"),
        Figure(name="loss in the end", value=losses[-1], unit="nat", origin="computed"),
        Figure(name="lowest loss", value=float(np.min(losses)), unit="nat", origin="computed"),
        Figure(name="all epochs", value=took_ns / 1e9, unit="s"),
        Figure(name="share of the network", value=network_ns / took_ns),
    )
    verdict = Verdict(
        asked="a faster network makes training faster",
        holds=network_ns > 0.1 * took_ns,
        because=f"Messages have {network_ns / took_ns:.3%} of the time, shots the rest.",
        remedy="Fewer shots, or more QPUs that share them.",
    )
    return Outcome(scenario="quantum_ml", size=size, seed=seed, figures=figures, verdicts=(verdict,))


def main() -> None:
    """Read what is asked for, train, tell."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", choices=EPOCHS, default="full")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    with world(seed=given.seed):
        outcome = hq.run(train(given.size, given.seed))
    print(json.dumps(outcome.to_dict()) if given.json else outcome)


if __name__ == "__main__":
    main()
