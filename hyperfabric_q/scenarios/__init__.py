"""Ten deployments of a fabric, from end to end: pieces for one's own programs, and each as a whole to play.

``from hyperfabric_q.scenarios import *`` brings everything that such a program needs: the package's classes, the pieces
below, ``asyncio``, and a ``time`` that is the fabric's under ``hyperfabric_q.run``. A piece whose argument is what was
sent also takes the ``TransferResult`` of sending it.

Pieces load on first use.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from hyperfabric_q import (
    DataType,
    Fabric,
    FabricZone,
    HardwareType,
    HyperFabricProtocol,
    IsolationLevel,
    Link,
    NodeSignature,
    PacketPriority,
    TransferResult,
    VirtualTensor,
    ZoneType,
    run,
)
from hyperfabric_q.registry import on_first_use
from hyperfabric_q.scenarios.virtual_time import time

if TYPE_CHECKING:
    from hyperfabric_q.scenarios.architecture_search.pieces import (
        convert_to_qubo,
        decode_quantum_solution,
        define_neural_architecture_space,
        serialize_qubo,
    )
    from hyperfabric_q.scenarios.catalogue import SCENARIOS, play
    from hyperfabric_q.scenarios.circuit_optimization.pieces import (
        create_large_quantum_circuit,
        merge_quantum_results,
        partition_circuit,
        quantum_coherence_time_constraint,
        serialize_quantum_circuit,
    )
    from hyperfabric_q.scenarios.climate.pieces import (
        collect_global_atmospheric_data,
        extract_quantum_features,
        merge_climate_predictions,
    )
    from hyperfabric_q.scenarios.context import World, world
    from hyperfabric_q.scenarios.error_correction.pieces import (
        calculate_error_corrections,
        measure_syndrome_data,
        serialize_corrections,
    )
    from hyperfabric_q.scenarios.llm_training.pieces import create_gradient_tensor
    from hyperfabric_q.scenarios.multimodal.pieces import capture_audio_chunk, capture_video_frame, combine_modalities
    from hyperfabric_q.scenarios.outcome import Figure, Outcome, Verdict
    from hyperfabric_q.scenarios.quantum_ml.pieces import (
        extract_features,
        load_quantum_ml_dataset,
        update_model_parameters,
    )
    from hyperfabric_q.scenarios.realtime_inference.pieces import load_transformer_weights
    from hyperfabric_q.scenarios.secure_sharing.pieces import (
        generate_quantum_key_states,
        load_proprietary_ai_model,
        quantum_encrypt,
    )
    from hyperfabric_q.scenarios.vehicle_swarm.pieces import (
        calculate_swarm_coordination,
        collect_sensor_data,
        find_nearest_edge_server,
        generate_random_location,
        lay_out_city,
        serialize_command,
    )

__all__ = [
    "SCENARIOS",
    "DataType",
    "Fabric",
    "FabricZone",
    "Figure",
    "HardwareType",
    "HyperFabricProtocol",
    "IsolationLevel",
    "Link",
    "NodeSignature",
    "Outcome",
    "PacketPriority",
    "TransferResult",
    "Verdict",
    "VirtualTensor",
    "World",
    "ZoneType",
    "asyncio",
    "calculate_error_corrections",
    "calculate_swarm_coordination",
    "capture_audio_chunk",
    "capture_video_frame",
    "collect_global_atmospheric_data",
    "collect_sensor_data",
    "combine_modalities",
    "convert_to_qubo",
    "create_gradient_tensor",
    "create_large_quantum_circuit",
    "decode_quantum_solution",
    "define_neural_architecture_space",
    "extract_features",
    "extract_quantum_features",
    "find_nearest_edge_server",
    "generate_quantum_key_states",
    "generate_random_location",
    "lay_out_city",
    "load_proprietary_ai_model",
    "load_quantum_ml_dataset",
    "load_transformer_weights",
    "measure_syndrome_data",
    "merge_climate_predictions",
    "merge_quantum_results",
    "partition_circuit",
    "play",
    "quantum_coherence_time_constraint",
    "quantum_encrypt",
    "run",
    "serialize_command",
    "serialize_corrections",
    "serialize_quantum_circuit",
    "serialize_qubo",
    "time",
    "update_model_parameters",
    "world",
]

_NAMES_OF = {
    "architecture_search.pieces": (
        "convert_to_qubo",
        "decode_quantum_solution",
        "define_neural_architecture_space",
        "serialize_qubo",
    ),
    "catalogue": ("SCENARIOS", "play"),
    "circuit_optimization.pieces": (
        "create_large_quantum_circuit",
        "merge_quantum_results",
        "partition_circuit",
        "quantum_coherence_time_constraint",
        "serialize_quantum_circuit",
    ),
    "climate.pieces": ("collect_global_atmospheric_data", "extract_quantum_features", "merge_climate_predictions"),
    "context": ("World", "world"),
    "error_correction.pieces": ("calculate_error_corrections", "measure_syndrome_data", "serialize_corrections"),
    "llm_training.pieces": ("create_gradient_tensor",),
    "multimodal.pieces": ("capture_audio_chunk", "capture_video_frame", "combine_modalities"),
    "outcome": ("Figure", "Outcome", "Verdict"),
    "quantum_ml.pieces": ("extract_features", "load_quantum_ml_dataset", "update_model_parameters"),
    "realtime_inference.pieces": ("load_transformer_weights",),
    "secure_sharing.pieces": ("generate_quantum_key_states", "load_proprietary_ai_model", "quantum_encrypt"),
    "vehicle_swarm.pieces": (
        "calculate_swarm_coordination",
        "collect_sensor_data",
        "find_nearest_edge_server",
        "generate_random_location",
        "lay_out_city",
        "serialize_command",
    ),
}

if not TYPE_CHECKING:  # hidden from mypy, which would otherwise accept any name
    _HOME = {name: f"{module}:{name}" for module, names in _NAMES_OF.items() for name in names}
    __getattr__, __dir__ = on_first_use(__name__, _HOME)
