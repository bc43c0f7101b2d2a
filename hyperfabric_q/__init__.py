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

Public names load on first use: ``import hyperfabric_q`` itself imports no quantum library.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hyperfabric_q import errors, families
    from hyperfabric_q.distribution.plan import Plan
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
    from hyperfabric_q.pipeline import plan
    from hyperfabric_q.protocol import HyperFabricProtocol

__version__ = "0.1.0"

__all__ = [
    "Fabric",
    "FabricZone",
    "HardwareType",
    "HyperFabricProtocol",
    "IsolationLevel",
    "Link",
    "NodeSignature",
    "Plan",
    "Result",
    "ZoneType",
    "errors",
    "families",
    "plan",
]

_HOME = {
    "Fabric": "fabric:Fabric",
    "FabricZone": "fabric:FabricZone",
    "HardwareType": "fabric:HardwareType",
    "HyperFabricProtocol": "protocol:HyperFabricProtocol",
    "IsolationLevel": "fabric:IsolationLevel",
    "Link": "fabric:Link",
    "NodeSignature": "fabric:NodeSignature",
    "Plan": "distribution.plan:Plan",
    "Result": "execution.result:Result",
    "ZoneType": "fabric:ZoneType",
    "errors": "errors:",
    "families": "families:",
    "plan": "pipeline:plan",
}

if not TYPE_CHECKING:  # hidden from mypy, which would otherwise accept any name

    def __getattr__(name: str) -> object:
        if name not in _HOME:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        module, _, attribute = _HOME[name].partition(":")
        value = importlib.import_module(f"{__name__}.{module}")
        value = getattr(value, attribute) if attribute else value
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
