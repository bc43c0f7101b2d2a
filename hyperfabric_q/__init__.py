"""hyperfabric_q: one circuit over many QPUs, with every Bell pair accounted for.

The pipeline, one frozen value per arrow::

    QuantumCircuit | cirq.Circuit | OpenQASM ──convert──▶ QuantumCircuit
    QuantumCircuit + Fabric ──distribution──▶ Plan ──execution──▶ Result

The main job in four lines::

    import hyperfabric_q as hq

    fabric = hq.Fabric.line([4, 4, 3], communication_qubits=2, pair_fidelity=0.97)
    plan = hq.plan("circuits/cuccaro_adder_3bit.qasm", fabric)
    result = plan.run(shots=1000)
    print(result.compare())

The same fabric, live, on one virtual clock::

    async def main():
        protocol = hq.HyperFabricProtocol(fabric)
        result = await protocol.send_data(source="qpu-0", destination="qpu-2", data=b"syndrome", data_type="syndrome")
        print(result.receipt)

    hq.run(main())

Public names load on first use: ``import hyperfabric_q`` itself imports no quantum library.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hyperfabric_q import entanglement, errors, families, interfaces
    from hyperfabric_q.cutting.plan import cut
    from hyperfabric_q.distribution.assignments import read_disqco, read_pytket_dqc
    from hyperfabric_q.distribution.background import BackgroundMessages, BackgroundPairs
    from hyperfabric_q.distribution.plan import Plan
    from hyperfabric_q.distribution.written import EPR, as_written
    from hyperfabric_q.entanglement.bell_pair import BellPair
    from hyperfabric_q.execution.result import Result
    from hyperfabric_q.fabric import (
        Fabric,
        FabricZone,
        HardwareType,
        IsolationLevel,
        Link,
        NodeSignature,
        ZoneType,
    )
    from hyperfabric_q.interfaces import (
        FabricBackend,
        FabricCirqSampler,
        FabricEstimator,
        FabricOptions,
        FabricSampler,
        hyperfabric_pass_manager,
    )
    from hyperfabric_q.mixing.plan import MixedPlan
    from hyperfabric_q.pipeline import evaluate, plan
    from hyperfabric_q.protocol import HyperFabricProtocol
    from hyperfabric_q.scheduling import faults
    from hyperfabric_q.scheduling.drivers import run
    from hyperfabric_q.scheduling.policy import Policy
    from hyperfabric_q.sweeping.table import Sweep
    from hyperfabric_q.sweeping.what_if import sweep
    from hyperfabric_q.traffic.collectives.result import CollectiveResult
    from hyperfabric_q.traffic.flows import Promise
    from hyperfabric_q.traffic.handlers import Packet
    from hyperfabric_q.traffic.packet import DataType, PacketPriority
    from hyperfabric_q.traffic.payload import VirtualTensor
    from hyperfabric_q.traffic.transfer import Receipt, TransferResult
    from hyperfabric_q.workloads.annealing import public as annealing
    from hyperfabric_q.workloads.learning import public as learning
    from hyperfabric_q.workloads.qec import public as qec
    from hyperfabric_q.workloads.qkd import public as qkd

__version__ = "0.1.0"

__all__ = [
    "EPR",
    "BackgroundMessages",
    "BackgroundPairs",
    "BellPair",
    "CollectiveResult",
    "DataType",
    "Fabric",
    "FabricBackend",
    "FabricCirqSampler",
    "FabricEstimator",
    "FabricOptions",
    "FabricSampler",
    "FabricZone",
    "HardwareType",
    "HyperFabricProtocol",
    "IsolationLevel",
    "Link",
    "MixedPlan",
    "NodeSignature",
    "Packet",
    "PacketPriority",
    "Plan",
    "Policy",
    "Promise",
    "Receipt",
    "Result",
    "Sweep",
    "TransferResult",
    "VirtualTensor",
    "ZoneType",
    "annealing",
    "as_written",
    "cut",
    "entanglement",
    "errors",
    "evaluate",
    "families",
    "faults",
    "hyperfabric_pass_manager",
    "interfaces",
    "learning",
    "plan",
    "qec",
    "qkd",
    "read_disqco",
    "read_pytket_dqc",
    "run",
    "sweep",
]

_HOME = {
    "BellPair": "entanglement.bell_pair:BellPair",
    "CollectiveResult": "traffic.collectives.result:CollectiveResult",
    "DataType": "traffic.packet:DataType",
    "EPR": "distribution.written:EPR",
    "Fabric": "fabric:Fabric",
    "FabricBackend": "interfaces:FabricBackend",
    "FabricCirqSampler": "interfaces:FabricCirqSampler",
    "FabricEstimator": "interfaces:FabricEstimator",
    "FabricOptions": "interfaces:FabricOptions",
    "FabricSampler": "interfaces:FabricSampler",
    "FabricZone": "fabric:FabricZone",
    "HardwareType": "fabric:HardwareType",
    "HyperFabricProtocol": "protocol:HyperFabricProtocol",
    "IsolationLevel": "fabric:IsolationLevel",
    "Link": "fabric:Link",
    "MixedPlan": "mixing.plan:MixedPlan",
    "NodeSignature": "fabric:NodeSignature",
    "Packet": "traffic.handlers:Packet",
    "PacketPriority": "traffic.packet:PacketPriority",
    "Plan": "distribution.plan:Plan",
    "BackgroundMessages": "distribution.background:BackgroundMessages",
    "BackgroundPairs": "distribution.background:BackgroundPairs",
    "Policy": "scheduling.policy:Policy",
    "Promise": "traffic.flows:Promise",
    "Receipt": "traffic.transfer:Receipt",
    "Result": "execution.result:Result",
    "Sweep": "sweeping.table:Sweep",
    "TransferResult": "traffic.transfer:TransferResult",
    "VirtualTensor": "traffic.payload:VirtualTensor",
    "ZoneType": "fabric:ZoneType",
    "annealing": "workloads.annealing.public:",
    "as_written": "distribution.written:as_written",
    "cut": "cutting.plan:cut",
    "entanglement": "entanglement:",
    "errors": "errors:",
    "evaluate": "pipeline:evaluate",
    "families": "families:",
    "faults": "scheduling.faults:",
    "hyperfabric_pass_manager": "interfaces:hyperfabric_pass_manager",
    "interfaces": "interfaces:",
    "learning": "workloads.learning.public:",
    "plan": "pipeline:plan",
    "qec": "workloads.qec.public:",
    "qkd": "workloads.qkd.public:",
    "read_disqco": "distribution.assignments:read_disqco",
    "read_pytket_dqc": "distribution.assignments:read_pytket_dqc",
    "run": "scheduling.drivers:run",
    "sweep": "sweeping.what_if:sweep",
    "torch": "interfaces.torch_layer:",  # an extra, hence none of those that a star imports
}

if not TYPE_CHECKING:  # hidden from mypy, which would otherwise accept any name
    from hyperfabric_q.registry import on_first_use

    __getattr__, __dir__ = on_first_use(__name__, _HOME)
