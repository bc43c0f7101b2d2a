"""Front doors: the compiler as people of other tools know it.

What only Qiskit's transpiler needs loads at once, the rest on first use: Qiskit loads this for whoever transpiles, and
Cirq takes seconds to import.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hyperfabric_q.interfaces.pass_manager import EmitDistributedCircuit, PlanOnFabric, hyperfabric_pass_manager
from hyperfabric_q.interfaces.transpiler_stage import HyperFabricStage, use_fabric
from hyperfabric_q.registry import on_first_use

if TYPE_CHECKING:
    from hyperfabric_q.interfaces.cirq_sampler import FabricCirqSampler
    from hyperfabric_q.interfaces.job import FabricJob
    from hyperfabric_q.interfaces.layer import Layer
    from hyperfabric_q.interfaces.options import FabricOptions
    from hyperfabric_q.interfaces.pennylane_device import FabricDevice
    from hyperfabric_q.interfaces.qiskit_backend import FabricBackend
    from hyperfabric_q.interfaces.qiskit_estimator import FabricEstimator
    from hyperfabric_q.interfaces.qiskit_sampler import FabricSampler
    from hyperfabric_q.interfaces.torch_layer import FabricLayer

__all__ = [
    "EmitDistributedCircuit",
    "FabricBackend",
    "FabricCirqSampler",
    "FabricDevice",
    "FabricEstimator",
    "FabricJob",
    "FabricLayer",
    "FabricOptions",
    "FabricSampler",
    "HyperFabricStage",
    "Layer",
    "PlanOnFabric",
    "hyperfabric_pass_manager",
    "use_fabric",
]

if not TYPE_CHECKING:  # hidden from mypy, which would otherwise accept any name
    __getattr__, __dir__ = on_first_use(
        __name__,
        {
            "FabricBackend": "qiskit_backend:FabricBackend",
            "FabricCirqSampler": "cirq_sampler:FabricCirqSampler",
            "FabricDevice": "pennylane_device:FabricDevice",
            "FabricEstimator": "qiskit_estimator:FabricEstimator",
            "FabricJob": "job:FabricJob",
            "FabricLayer": "torch_layer:FabricLayer",
            "FabricOptions": "options:FabricOptions",
            "FabricSampler": "qiskit_sampler:FabricSampler",
            "Layer": "layer:Layer",
        },
    )
