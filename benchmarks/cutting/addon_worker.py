"""qiskit-addon-cutting at work; reads one JSON object, writes one. Run by the scripts here in the addon's environment.

    PYTHON_OF_THE_ADDON benchmarks/cutting/addon_worker.py < task.json

Tasks: ``exact`` (its whole workflow with its ExactSampler), ``find`` (its find_cuts), ``repeat`` (its workflow with
Aer's SamplerV2, many independent runs: shots of one circuit are independent, so runs are successive stretches of them).
CPU time is that of the workflow alone, without imports.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from qiskit import QuantumCircuit
from qiskit.primitives import BitArray, DataBin, PrimitiveResult, SamplerPubResult
from qiskit.quantum_info import PauliList
from qiskit_addon_cutting import (
    DeviceConstraints,
    OptimizationParameters,
    find_cuts,
    generate_cutting_experiments,
    partition_problem,
    reconstruct_expectation_values,
)
from qiskit_addon_cutting.utils.simulation import ExactSampler
from qiskit_aer.primitives import SamplerV2


def circuit_of(task: dict[str, Any]) -> QuantumCircuit:
    circuit = QuantumCircuit(task["qubits"])
    for name, angles, qubits in task["gates"]:
        getattr(circuit, name)(*angles, *qubits)
    return circuit


def timed(action: Callable[[], Any], spent: list[float]) -> Any:
    before = time.process_time()
    result = action()
    spent.append(time.process_time() - before)
    return result


def cut(task: dict[str, Any]) -> tuple[Any, Any, Any]:
    problem = partition_problem(circuit_of(task), task["labels"], PauliList(task["observables"]))
    experiments, coefficients = generate_cutting_experiments(
        problem.subcircuits, problem.subobservables, num_samples=np.inf
    )
    return problem.subobservables, experiments, coefficients


def exact(task: dict[str, Any]) -> dict[str, Any]:
    spent: list[float] = []
    observables, experiments, coefficients = timed(lambda: cut(task), spent)
    sampler = ExactSampler()
    results = timed(lambda: {label: sampler.run(own).result() for label, own in experiments.items()}, spent)
    values = timed(lambda: reconstruct_expectation_values(results, coefficients, observables), spent)
    return {
        "values": [float(value) for value in values],
        "subexperiments": sum(len(own) for own in experiments.values()),
        "generate_s": spent[0],
        "sample_s": spent[1],
        "reconstruct_s": spent[2],
    }


def find(task: dict[str, Any]) -> dict[str, Any]:
    spent: list[float] = []
    _, found = timed(
        lambda: find_cuts(circuit_of(task), OptimizationParameters(seed=111), DeviceConstraints(task["width"])), spent
    )
    return {
        "overhead": float(found["sampling_overhead"]),
        "cuts": len(found["cuts"]),
        "proven": bool(found["minimum_reached"]),
        "cpu_s": spent[0],
    }


def repeat(task: dict[str, Any]) -> dict[str, Any]:
    shots, runs = task["shots"], task["runs"]
    observables, experiments, coefficients = cut(task)
    sampled = {}
    for number, (label, own) in enumerate(experiments.items()):
        # Parts with one seed would have the same random numbers, and estimates multiply what parts return.
        options = {"backend_options": {"max_parallel_threads": 1}}
        sampler = SamplerV2(seed=task["seed"] + 1_000_003 * number, options=options)
        sampled[label] = sampler.run(own, shots=shots * runs).result()
    values = []
    for run in range(runs):
        results = {
            label: PrimitiveResult([stretch(each.data, run * shots, shots) for each in own])
            for label, own in sampled.items()
        }
        values.append([float(each) for each in reconstruct_expectation_values(results, coefficients, observables)])
    return {"values": values, "subexperiments": sum(len(own) for own in experiments.values())}


def stretch(data: Any, first: int, shots: int) -> SamplerPubResult:
    registers = {name: BitArray(each.array[first : first + shots], each.num_bits) for name, each in data.items()}
    return SamplerPubResult(DataBin(**registers))


def main() -> None:
    task = json.load(sys.stdin)
    print(json.dumps({"exact": exact, "find": find, "repeat": repeat}[task["task"]](task)))


if __name__ == "__main__":
    main()
