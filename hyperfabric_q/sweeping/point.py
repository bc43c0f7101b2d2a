"""One point of a sweep as a job: plain values in, one row of the table out.

A point is planned and run where the job is. Points that share a plan find it there: planning is a function of circuit,
fabric, options and seed, so every process makes the same one, and makes it once.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final

from qiskit.quantum_info import SparsePauliOp

from hyperfabric_q.distribution.plan import Plan
from hyperfabric_q.errors import SimulationRefused
from hyperfabric_q.execution.jobs import Job, task
from hyperfabric_q.execution.measured import measures
from hyperfabric_q.execution.payload import PackedCircuit, pack
from hyperfabric_q.execution.result import WIDEST_IDEAL
from hyperfabric_q.execution.sample import with_final_measurements
from hyperfabric_q.fabric import Fabric
from hyperfabric_q.pipeline import plan as make_plan
from hyperfabric_q.simulate import probabilities
from hyperfabric_q.sweeping.metrics import NEED_IDEAL, Seen, columns_of
from hyperfabric_q.sweeping.planning import moved

KIND: Final = "sweep_point"
_PLANS_KEPT: Final = 8
_HASH: Final = 16


def observables_said(operators: list[SparsePauliOp]) -> list[list[list[Any]]]:
    """Return operators as plain values: for each its terms (letters, qubits, coefficient)."""
    return [
        [[letters, list(qubits), float(value.real)] for letters, qubits, value in each.to_sparse_list()]
        for each in operators
    ]


def observables_read(said: list[list[list[Any]]], qubits: int) -> list[SparsePauliOp]:
    """Return the operators that ``observables_said`` wrote."""
    return [
        SparsePauliOp.from_sparse_list([tuple(term) for term in terms] or [("", [], 0.0)], num_qubits=qubits)
        for terms in said
    ]


def planned(circuit: PackedCircuit, fabric: str, options: Mapping[str, Any], seed: int) -> Plan:
    """Return the plan for a fabric; made once per process.

    Args:
        circuit: what is distributed.
        fabric: as TOML.
        options: of the plan: objective, homes (as pairs), partitioner, time limit, and check.
        seed: of the plan.

    Raises:
        HyperFabricError: as ``hyperfabric_q.plan``.
    """
    return _planned(circuit, fabric, _text(options), seed)[0]


@task(KIND, version=1)
def sweep_point(job: Job) -> list[list[Any]]:
    """Return the columns of one point in order, as pairs of name and value; the hash of its plan is the last."""
    given = job.arguments
    plan, said = _planned(given["circuit"], given["planned_for"], _text(given["planning"]), job.seed)
    plan = moved(plan, Fabric.from_toml(given["fabric"]))
    observables = given["observables"]
    seen = Seen(
        plan=plan,
        ideal=_ideal(given["circuit"], measures(plan.program)) if NEED_IDEAL.intersection(given["metrics"]) else None,
        shots=given["shots"],
        method=given["method"],
        noise=given["noise"],
        timelines=given["timelines"],
        observables=None if observables is None else observables_read(observables, plan.program.qubits),
        seed=job.seed,
    )
    return [[name, value] for name, value in (columns_of(seen, given["metrics"]) | {"plan": said}).items()]


def _text(options: Mapping[str, Any]) -> str:
    return json.dumps(dict(options), sort_keys=True)


@lru_cache(maxsize=_PLANS_KEPT)
def _planned(circuit: PackedCircuit, fabric: str, options: str, seed: int) -> tuple[Plan, str]:
    """The plan, and the hash of the circuit that it emits."""
    given = json.loads(options)
    plan = make_plan(
        circuit.circuit(),
        Fabric.from_toml(fabric),
        objective=given["objective"],
        homes=None if given["homes"] is None else dict(given["homes"]),
        partitioner=given["partitioner"],
        time_limit_s=given["time_limit_s"],
        verify=given["verify"],
        seed=seed,
    )
    return plan, pack(plan.routed.circuit).form[:_HASH]


@lru_cache(maxsize=2)
def _ideal(packed: PackedCircuit, complete: bool) -> Mapping[str, float] | None:  # noqa: FBT001
    """The exact distribution of a circuit, as ``Result.ideal`` has it."""
    circuit = packed.circuit()
    if not complete:
        circuit, _ = with_final_measurements(circuit, range(circuit.num_qubits))
    try:
        return probabilities(circuit, max_wires=WIDEST_IDEAL)
    except SimulationRefused:
        return None
