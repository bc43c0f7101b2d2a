"""One analysis of the weather goes to four centres around the world; each forecasts, and a QPU corrects the mean.

``python examples/climate.py --size small`` takes some seconds. ``hyperfabric-q scenario climate`` tells more: how each
centre does alone, what a correction without a QPU gives, and how long its shots take.
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
    collect_global_atmospheric_data,
    extract_quantum_features,
    merge_climate_predictions,
    world,
)
from hyperfabric_q.scenarios.climate.correction import points
from hyperfabric_q.scenarios.climate.pieces import run_model, weather_to_come

DAYS = {"small": 3, "full": 20}
CENTRES = {
    "ncar": ("39.978, -105.275", hq.HardwareType.NVIDIA_H100),  # Boulder
    "ecmwf": ("51.419, -0.952", hq.HardwareType.AMD_MI300X),  # Reading
    "jma": ("35.670, 139.746", hq.HardwareType.INTEL_GAUDI2),  # Tokyo
    "bom": ("-37.820, 144.953", hq.HardwareType.NVIDIA_A100),  # Melbourne
}
COLLECTOR = "49.866, 8.627"  # Darmstadt
MELBOURNE_LIGHT_MS = 54.2  # great circle from Darmstadt, in vacuum


async def forecast(size: str, seed: int) -> Outcome:
    """Register the centres where they stand, then forecast day after day."""
    protocol = hq.HyperFabricProtocol(enable_ml_routing=True)
    for name, (place, hardware) in CENTRES.items():
        protocol.register_node(hq.NodeSignature(f"climate-{name}", hardware, 400, 200, physical_location=place))
        protocol.attach_handler(f"climate-{name}", lambda packet, name=name: run_model(name, packet.data))
    protocol.register_node(
        hq.NodeSignature(
            "climate-data-collector", hq.HardwareType.SOFTWARE_ENDPOINT, 400, 200, physical_location=COLLECTOR
        )
    )
    protocol.register_node(
        hq.NodeSignature(
            "quantum-weather-predictor",
            hq.HardwareType.QUANTUM_QPU,
            50,
            100,
            quantum_coherence_time_us=300.0,
            physical_location=CENTRES["ncar"][0],
        )
    )

    errors_m = {"mean": [], "corrected": []}
    for _ in range(DAYS[size]):
        analysis = collect_global_atmospheric_data()
        sends = [
            protocol.send_data(
                source="climate-data-collector",
                destination=f"climate-{name}",
                data=analysis,
                data_type=hq.DataType.TENSOR,
                priority=hq.PacketPriority.HIGH,
                compression_enabled=True,
            )
            for name in CENTRES
        ]
        # Nothing answers at the QPU here, so that its kernel is worked out where forecasts are merged.
        features = protocol.send_data(
            source="climate-ncar",
            destination="quantum-weather-predictor",
            data=extract_quantum_features(analysis),
            data_type=hq.DataType.QUANTUM_STATE,
        )
        *sent, quantum = await asyncio.gather(*sends, features)
        found, truth = merge_climate_predictions([*sent, quantum]), points(weather_to_come())
        errors_m["mean"].append(np.sqrt(np.mean((points(found.mean) - truth) ** 2)))
        errors_m["corrected"].append(np.sqrt(np.mean((found.corrected - truth) ** 2)))

    reached_ms = {name: each.latency_ns / 1e6 for name, each in zip(CENTRES, sent, strict=True)}
    figures = (
        Figure(name="days", value=DAYS[size], origin="stated"),
        *(Figure(name=f"analysis at {name}", value=time_ms, unit="ms") for name, time_ms in reached_ms.items()),
        Figure(name="mean of all centres is wrong by", value=float(np.mean(errors_m["mean"])), unit="m"),
        Figure(name="corrected it is wrong by", value=float(np.mean(errors_m["corrected"])), unit="m"),
    )
    verdict = Verdict(
        asked="all centres have the analysis within the 200 ns of their ports",
        holds=max(reached_ms.values()) < 200e-6,
        because=f"It is {reached_ms['bom']:.3g} ms to Melbourne; light in vacuum takes {MELBOURNE_LIGHT_MS} ms.",
        remedy="None: the Earth is that large.",
    )
    return Outcome(scenario="climate", size=size, seed=seed, figures=figures, verdicts=(verdict,))


def main() -> None:
    """Read what is asked for, forecast, tell."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", choices=DAYS, default="full")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    with world(seed=given.seed):
        outcome = hq.run(forecast(given.size, given.seed))
    print(json.dumps(outcome.to_dict()) if given.json else outcome)


if __name__ == "__main__":
    main()
