"""Decoders: plug-ins by name, in one go or in windows, for batches and for streams, and the time that they take."""

from hyperfabric_q.workloads.qec.decoders.belief import BeliefPropagation
from hyperfabric_q.workloads.qec.decoders.compiled import Commit, Compiled, Core, Stream
from hyperfabric_q.workloads.qec.decoders.kind import Decoder, decoder, decoders
from hyperfabric_q.workloads.qec.decoders.lookup import Lookup
from hyperfabric_q.workloads.qec.decoders.matching import CorrelatedMatching, Matching
from hyperfabric_q.workloads.qec.decoders.priors import (
    ERASED,
    mean_weights,
    with_missing,
    with_priors,
)
from hyperfabric_q.workloads.qec.decoders.service import (
    Affine,
    Fixed,
    Fpga,
    Measured,
    ServicePreset,
    ServiceTime,
    measure_service,
    service_presets,
    service_time,
)
from hyperfabric_q.workloads.qec.decoders.sinter_faces import as_sinter, from_sinter, sinter_decoders
from hyperfabric_q.workloads.qec.decoders.windowed import Windowed
from hyperfabric_q.workloads.qec.decoders.windows import Window

__all__ = [
    "ERASED",
    "Affine",
    "BeliefPropagation",
    "Commit",
    "Compiled",
    "Core",
    "CorrelatedMatching",
    "Decoder",
    "Fixed",
    "Fpga",
    "Lookup",
    "Matching",
    "Measured",
    "ServicePreset",
    "ServiceTime",
    "Stream",
    "Window",
    "Windowed",
    "as_sinter",
    "decoder",
    "decoders",
    "from_sinter",
    "mean_weights",
    "measure_service",
    "service_presets",
    "service_time",
    "sinter_decoders",
    "with_missing",
    "with_priors",
]
