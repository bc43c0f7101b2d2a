"""Front doors: the compiler as people of other tools know it."""

from hyperfabric_q.interfaces.pass_manager import EmitDistributedCircuit, PlanOnFabric, hyperfabric_pass_manager
from hyperfabric_q.interfaces.transpiler_stage import HyperFabricStage, use_fabric

__all__ = [
    "EmitDistributedCircuit",
    "HyperFabricStage",
    "PlanOnFabric",
    "hyperfabric_pass_manager",
    "use_fabric",
]
