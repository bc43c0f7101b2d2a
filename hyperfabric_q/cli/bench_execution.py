"""How quick are the methods and the workers here? Each method on one circuit; each executor on the same jobs.

The second of two runs counts: the first one loads libraries. Figures of one run on a machine that does other things
too are good to a factor of about 1.5.
"""

from __future__ import annotations

import time
from typing import Any, Final

from qiskit import QuantumCircuit

from hyperfabric_q.distribution.plan import Plan
from hyperfabric_q.execution.executors import drive, open_engine
from hyperfabric_q.execution.executors.local import cores
from hyperfabric_q.execution.jobs import Job
from hyperfabric_q.execution.payload import pack
from hyperfabric_q.execution.tasks import sample_job
from hyperfabric_q.fabric import Fabric
from hyperfabric_q.pipeline import plan

EXECUTORS: Final = ("serial", "threads", "processes")

_SEED: Final = 1
_SHORT, _LONG = 200, 20
_LONG_WIRES: Final = 12
_LONG_SHOTS: Final = 60
"""About 0.1 s on one core."""


def measure_execution() -> dict[str, Any]:
    """Return what was measured, ready for JSON: one row per method, one per executor."""
    began = time.perf_counter()
    rotated, clifford = _planned(_chain(8)), _planned(_ghz(60))
    asked = [
        ("dynamic", rotated, 4096, "fabric"),
        ("channel", rotated, 4096, "fabric"),
        ("mps", rotated, 200, "links"),
        ("exact", rotated, 4096, "none"),
        ("clifford", clifford, 10_000, "fabric"),
    ]
    methods = [_method(*each) for each in asked]
    executors = [_executor(each) for each in EXECUTORS]
    seconds = time.perf_counter() - began
    return {"cores": cores(), "methods": methods, "executors": executors, "seconds": seconds}


def _method(method: str, made: Plan, shots: int, noise: str) -> dict[str, Any]:
    seconds = 0.0
    for _ in range(2):
        started = time.perf_counter()
        made.run(shots, method=method, noise=noise, executor="serial", seed=_SEED)
        seconds = time.perf_counter() - started
    circuit = f"{made.circuit.name}, {made.ebits} e-bits, noise {noise}"
    return {"method": method, "circuit": circuit, "shots": shots, "seconds": seconds, "shots_per_s": shots / seconds}


def _executor(name: str) -> dict[str, Any]:
    engine = open_engine(name)
    try:
        started = time.perf_counter()
        drive(_jobs("first", 2 * cores(), 1, 1), executor=engine).require()
        start = time.perf_counter() - started
        started = time.perf_counter()
        drive(_jobs("short", _SHORT, 1, 1), executor=engine).require()
        each = (time.perf_counter() - started) / _SHORT
        started = time.perf_counter()
        drive(_jobs("long", _LONG, _LONG_WIRES, _LONG_SHOTS), executor=engine).require()
        work = time.perf_counter() - started
    finally:
        engine.close()
    return {"executor": name, "start_s": start, "per_job_ms": 1e3 * each, "work_took_s": work}


def _jobs(name: str, count: int, wires: int, shots: int) -> list[Job]:
    packed = pack(_measured(wires))
    return [
        sample_job(packed, shots=shots, seed=_SEED, path=(name, place), seconds=0.1 if shots > 1 else 0.002)
        for place in range(count)
    ]


def _measured(wires: int) -> QuantumCircuit:
    """A circuit that is run shot by shot: it measures in the middle."""
    circuit = QuantumCircuit(wires, wires)
    for layer in range(4 if wires > 1 else 1):
        for wire in range(wires):
            circuit.ry(0.3 + 0.1 * layer, wire)
        for wire in range(wires - 1):
            circuit.cz(wire, wire + 1)
        circuit.measure(0, 0)
    circuit.measure(range(wires), range(wires))
    return circuit


def _chain(qubits: int) -> QuantumCircuit:
    circuit = QuantumCircuit(qubits, qubits, name=f"chain of {qubits}")
    for qubit in range(qubits):
        circuit.ry(0.4 + 0.1 * qubit, qubit)
    for qubit in range(qubits - 1):
        circuit.cp(0.7, qubit, qubit + 1)
        circuit.ry(0.3, qubit + 1)
    circuit.measure(range(qubits), range(qubits))
    return circuit


def _ghz(qubits: int) -> QuantumCircuit:
    circuit = QuantumCircuit(qubits, qubits, name=f"GHZ of {qubits}")
    circuit.h(0)
    for qubit in range(qubits - 1):
        circuit.cx(qubit, qubit + 1)
    circuit.measure(range(qubits), range(qubits))
    return circuit


def _planned(circuit: QuantumCircuit) -> Plan:
    half = -(-circuit.num_qubits // 2)
    fabric = Fabric.full([half, half], communication_qubits=1, pair_fidelity=0.97)
    fabric = fabric.replace("nodes.*", gate_error_1q=1e-4, gate_error_2q=1e-3, readout_error=1e-3)
    homes = ["qpu-0"] * half + ["qpu-1"] * (circuit.num_qubits - half)
    return plan(circuit, fabric, homes=homes, verify="skipped", seed=_SEED)
