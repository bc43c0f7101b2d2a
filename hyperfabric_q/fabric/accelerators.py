"""How fast accelerators are at best: what their makers state, for work that says nothing better.

Peak rates of dense matrix products in bfloat16, without sparsity. Real work reaches a part of them; a node that states
its own ``metadata["flops_per_s"]`` is taken at its word.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Final

from hyperfabric_q.fabric.node import HardwareType

FLOPS: Final = "flops_per_s"
"""Metadata of a node: how many floating-point operations it does in a second."""

PEAK_FLOPS_PER_S: Final = MappingProxyType(
    {
        HardwareType.NVIDIA_H100: 989e12,  # SXM5, NVIDIA H100 datasheet
        HardwareType.NVIDIA_A100: 312e12,  # NVIDIA A100 datasheet
        HardwareType.AMD_MI300X: 1307e12,  # AMD Instinct MI300X datasheet
        HardwareType.INTEL_GAUDI2: 432e12,  # Intel Gaudi 2 white paper
    }
)
