"""Sight, sound and language at nodes of their own, and a circuit on a QPU that answers a question about all of them."""

from hyperfabric_q.scenarios.multimodal.pieces import (
    capture_audio_chunk,
    capture_video_frame,
    combine_modalities,
    play,
)

__all__ = [
    "capture_audio_chunk",
    "capture_video_frame",
    "combine_modalities",
    "play",
]
