"""Error correction over a fabric: codes, decoders, loops with deadlines, and the logical error that lateness costs.

    import hyperfabric_q as hq

    experiment = hq.qec.rotated_surface_code(5, p=0.003)
    loop = hq.qec.sampler(decoder="matching", window=(5, 5))
    sinter.collect(tasks=[hq.qec.task(experiment, decoder="loop")], custom_decoders={"loop": loop}, ...)

Names load on first use. ``hq.qec`` is this module rather than the room around it: a room's own modules would hide the
functions of the same name.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hyperfabric_q.registry import on_first_use

if TYPE_CHECKING:
    from hyperfabric_q.workloads.qec import decoders
    from hyperfabric_q.workloads.qec.aer_loop import run_aer
    from hyperfabric_q.workloads.qec.background import Background
    from hyperfabric_q.workloads.qec.backlog import admit, backlog, most_blocks
    from hyperfabric_q.workloads.qec.closed_loop import run_closed
    from hyperfabric_q.workloads.qec.codes import repetition_code, rotated_surface_code
    from hyperfabric_q.workloads.qec.collecting import Job, collect
    from hyperfabric_q.workloads.qec.css import bivariate_bicycle, css_code, toric_code
    from hyperfabric_q.workloads.qec.decoders import (
        as_sinter,
        decoder,
        from_sinter,
        service_time,
        sinter_decoders,
    )
    from hyperfabric_q.workloads.qec.experiment import Experiment, LinkUse
    from hyperfabric_q.workloads.qec.frame_loop import run_frame
    from hyperfabric_q.workloads.qec.frames import CorrectionFrame, FrameLedger, SyndromeFrame, pack_bits, unpack_bits
    from hyperfabric_q.workloads.qec.from_stim import from_stim
    from hyperfabric_q.workloads.qec.latencies import latencies
    from hyperfabric_q.workloads.qec.loop import Loop, LoopResult
    from hyperfabric_q.workloads.qec.lowering import lower, sample_on_aer
    from hyperfabric_q.workloads.qec.memories import Memory, memories
    from hyperfabric_q.workloads.qec.noise_models import NoiseModel, noise_model
    from hyperfabric_q.workloads.qec.outcomes import outcomes, taxes
    from hyperfabric_q.workloads.qec.policies import MissPolicy
    from hyperfabric_q.workloads.qec.sampler import ideal, sampler, task
    from hyperfabric_q.workloads.qec.seam import DistributedSurfaceCode
    from hyperfabric_q.workloads.qec.supplied import SupplySampler, run_supplied, run_supplied_loop
    from hyperfabric_q.workloads.qec.supply import BellSupply, slots_of
    from hyperfabric_q.workloads.qec.supply_groups import slots_between
    from hyperfabric_q.workloads.qec.transport import Transport
    from hyperfabric_q.workloads.qec.two_blocks import merge_xx, merge_zz, teleport_cnot

__all__ = [
    "Background",
    "BellSupply",
    "CorrectionFrame",
    "DistributedSurfaceCode",
    "Experiment",
    "FrameLedger",
    "Job",
    "LinkUse",
    "Loop",
    "LoopResult",
    "Memory",
    "MissPolicy",
    "NoiseModel",
    "SupplySampler",
    "SyndromeFrame",
    "Transport",
    "admit",
    "as_sinter",
    "backlog",
    "bivariate_bicycle",
    "collect",
    "css_code",
    "decoder",
    "decoders",
    "from_sinter",
    "from_stim",
    "ideal",
    "latencies",
    "lower",
    "memories",
    "merge_xx",
    "merge_zz",
    "most_blocks",
    "noise_model",
    "outcomes",
    "pack_bits",
    "repetition_code",
    "rotated_surface_code",
    "run_aer",
    "run_closed",
    "run_frame",
    "run_supplied",
    "run_supplied_loop",
    "sample_on_aer",
    "sampler",
    "service_time",
    "sinter_decoders",
    "slots_between",
    "slots_of",
    "task",
    "taxes",
    "teleport_cnot",
    "toric_code",
    "unpack_bits",
]

_NAMES_OF = {
    "aer_loop": ("run_aer",),
    "background": ("Background",),
    "backlog": ("admit", "backlog", "most_blocks"),
    "closed_loop": ("run_closed",),
    "codes": ("repetition_code", "rotated_surface_code"),
    "collecting": ("Job", "collect"),
    "css": ("bivariate_bicycle", "css_code", "toric_code"),
    "decoders": ("as_sinter", "decoder", "from_sinter", "service_time", "sinter_decoders"),
    "experiment": ("Experiment", "LinkUse"),
    "frame_loop": ("run_frame",),
    "frames": ("CorrectionFrame", "FrameLedger", "SyndromeFrame", "pack_bits", "unpack_bits"),
    "from_stim": ("from_stim",),
    "latencies": ("latencies",),
    "loop": ("Loop", "LoopResult"),
    "lowering": ("lower", "sample_on_aer"),
    "memories": ("Memory", "memories"),
    "noise_models": ("NoiseModel", "noise_model"),
    "outcomes": ("outcomes", "taxes"),
    "policies": ("MissPolicy",),
    "sampler": ("ideal", "sampler", "task"),
    "seam": ("DistributedSurfaceCode",),
    "supplied": ("SupplySampler", "run_supplied", "run_supplied_loop"),
    "supply": ("BellSupply", "slots_of"),
    "supply_groups": ("slots_between",),
    "transport": ("Transport",),
    "two_blocks": ("merge_xx", "merge_zz", "teleport_cnot"),
}

if not TYPE_CHECKING:  # hidden from mypy, which would otherwise accept any name
    _HOME = {name: f"{module}:{name}" for module, names in _NAMES_OF.items() for name in names}
    __getattr__, __dir__ = on_first_use(__name__, {**_HOME, "decoders": "decoders:"})
