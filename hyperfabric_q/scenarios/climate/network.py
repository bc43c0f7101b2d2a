"""Where the centres of the climate scenario stand, and how the same data get to all of them."""

from __future__ import annotations

import asyncio
from typing import Final

import hyperfabric_q as hq
from hyperfabric_q.scenarios.climate.correction import CENTRES, FEATURES

PLACES: Final = {
    "ncar": ("39.978, -105.275", hq.HardwareType.NVIDIA_H100),
    "ecmwf": ("51.419, -0.952", hq.HardwareType.AMD_MI300X),
    "jma": ("35.670, 139.746", hq.HardwareType.INTEL_GAUDI2),
    "bom": ("-37.820, 144.953", hq.HardwareType.NVIDIA_A100),
}
"""Boulder, Reading, Tokyo and Melbourne: degrees north and east."""

COLLECTOR, COLLECTED_AT = "climate-data-collector", "49.866, 8.627"
"""In Darmstadt, where the weather satellites' data are."""

QPU: Final = "quantum-weather-predictor"


def centre_id(name: str) -> str:
    """Return the node id of a centre."""
    return f"climate-{name}"


def world_network() -> hq.HyperFabricProtocol:
    """Return a live fabric of four centres, the collector, and a QPU beside the first centre."""
    protocol = hq.HyperFabricProtocol(enable_ml_routing=True)
    for name, (place, kind) in PLACES.items():
        protocol.register_node(hq.NodeSignature(centre_id(name), kind, 400, 200, physical_location=place))
    protocol.register_node(
        hq.NodeSignature(COLLECTOR, hq.HardwareType.SOFTWARE_ENDPOINT, 400, 200, physical_location=COLLECTED_AT)
    )
    protocol.register_node(
        hq.NodeSignature(
            QPU,
            hq.HardwareType.QUANTUM_QPU,
            bandwidth_gbps=50,
            latency_ns=100,
            physical_location=PLACES["ncar"][0],
            quantum_coherence_time_us=300.0,
            compute_units=FEATURES,
            communication_qubits=0,
            gate_1q_ns=30,
            gate_2q_ns=60,
            readout_ns=500,
            reset_ns=500,
        )
    )
    return protocol


async def send_to_all(protocol: hq.HyperFabricProtocol, data: object) -> list[hq.TransferResult]:
    """Send the same data from the collector to all centres at once."""
    return await asyncio.gather(
        *(
            protocol.send_data(
                source=COLLECTOR,
                destination=centre_id(name),
                data=data,
                data_type=hq.DataType.TENSOR,
                priority=hq.PacketPriority.HIGH,
                compression_enabled=True,
            )
            for name in CENTRES
        )
    )
