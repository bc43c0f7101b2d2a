"""Front doors: the compiler as people of other tools know it.

What only Qiskit's transpiler needs loads at once, the rest on first use: Qiskit loads this for whoever transpiles, and
Cirq takes seconds to import.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from hyperfabric_q.interfaces.pass_manager import EmitDistributedCircuit, PlanOnFabric, hyperfabric_pass_manager
from hyperfabric_q.interfaces.transpiler_stage import HyperFabricStage, use_fabric

if TYPE_CHECKING:
    from hyperfabric_q.interfaces.cirq_sampler import FabricCirqSampler
    from hyperfabric_q.interfaces.job import FabricJob
    from hyperfabric_q.interfaces.options import FabricOptions
    from hyperfabric_q.interfaces.qiskit_backend import FabricBackend
    from hyperfabric_q.interfaces.qiskit_estimator import FabricEstimator
    from hyperfabric_q.interfaces.qiskit_sampler import FabricSampler

__all__ = [
    "EmitDistributedCircuit",
    "FabricBackend",
    "FabricCirqSampler",
    "FabricEstimator",
    "FabricJob",
    "FabricOptions",
    "FabricSampler",
    "HyperFabricStage",
    "PlanOnFabric",
    "hyperfabric_pass_manager",
    "use_fabric",
]

_HOME = {
    "FabricBackend": "qiskit_backend",
    "FabricCirqSampler": "cirq_sampler",
    "FabricEstimator": "qiskit_estimator",
    "FabricJob": "job",
    "FabricOptions": "options",
    "FabricSampler": "qiskit_sampler",
}

if not TYPE_CHECKING:  # hidden from mypy, which would otherwise accept any name

    def __getattr__(name: str) -> object:
        if name not in _HOME:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)
        globals()[name] = value
        return value
