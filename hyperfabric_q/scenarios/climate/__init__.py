"""One analysis of the weather for four centres around the world, a forecast from each, and one of them all."""

from hyperfabric_q.scenarios.climate.pieces import (
    collect_global_atmospheric_data,
    extract_quantum_features,
    merge_climate_predictions,
    play,
)

__all__ = [
    "collect_global_atmospheric_data",
    "extract_quantum_features",
    "merge_climate_predictions",
    "play",
]
