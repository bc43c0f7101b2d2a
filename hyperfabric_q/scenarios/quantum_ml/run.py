"""The hundred epochs themselves, on a live fabric, and what is told of them."""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import Final

import numpy as np

import hyperfabric_q as hq
from hyperfabric_q.estimate import proportion
from hyperfabric_q.scenarios.catalogue import Size
from hyperfabric_q.scenarios.context import World, current_world
from hyperfabric_q.scenarios.outcome import Figure, Outcome
from hyperfabric_q.scenarios.quantum_ml.model import (
    FEATURES,
    RAW,
    SCALE,
    Angles,
    Samples,
    right_kernel,
    right_linear,
)
from hyperfabric_q.scenarios.quantum_ml.pieces import (
    current_model,
    evaluate_circuit,
    extract_features,
    load_quantum_ml_dataset,
    update_model_parameters,
)
from hyperfabric_q.scenarios.quantum_ml.report import Steps, verdicts

LOADER, GPU, QPU = "data-loader", "classical-ml-gpu", "quantum-ml-processor"
SAMPLES: Final = {"small": 24, "full": 64}
EPOCHS: Final = {"small": 20, "full": 100}
SHOTS: Final = {"small": 50, "full": 200}
ON_HARDWARE: Final = {"small": 8, "full": 60}
TESTED: Final = 400
QPUS: Final = 4
"""That share a batch in the comparison."""

GPU_FLOPS: Final = 34e12
"""Per second: double precision of an H100, as its maker states it."""


def hardware(qpus: int = 1) -> hq.HyperFabricProtocol:
    """Return a live fabric of a loader, a GPU, and so many QPUs of two qubits."""
    loader = hq.NodeSignature(LOADER, hq.HardwareType.SOFTWARE_ENDPOINT, 10, 1000)
    gpu = hq.NodeSignature(GPU, hq.HardwareType.NVIDIA_H100, 400, 100, metadata={"flops_per_s": GPU_FLOPS})
    first = hq.NodeSignature(
        QPU,
        hq.HardwareType.QUANTUM_QPU,
        bandwidth_gbps=20,
        latency_ns=25,
        quantum_coherence_time_us=200.0,
        t1_us=200.0,
        compute_units=FEATURES,
        communication_qubits=0,
        gate_1q_ns=30,
        gate_2q_ns=60,
        readout_ns=500,
        reset_ns=500,
        gate_error_1q=3e-4,
        gate_error_2q=5e-3,
        readout_error=0.01,
    )
    others = (replace(first, node_id=f"quantum-ml-{number}") for number in range(1, qpus))
    return hq.HyperFabricProtocol(
        hq.Fabric(nodes=(loader, gpu, first, *others)), enable_ml_routing=True, enable_quantum_optimization=True
    )


def on_hardware(protocol: hq.HyperFabricProtocol, seed: int) -> hq.learning.OnFabric:
    """Return the model's circuit on the QPU, with the errors of its gates, readout and waits."""
    circuit = current_model().ansatz.circuit
    return hq.learning.OnFabric.of(circuit, ["Z@0"], protocol.fabric, homes=[QPU] * FEATURES, seed=seed)


async def _asked(protocol: hq.HyperFabricProtocol, angles: Angles) -> hq.TransferResult:
    """Ask for features to be teleported to the QPU."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", hq.errors.HyperFabricWarning)  # the receipt says it as well
        return await protocol.send_data(
            source=GPU,
            destination=QPU,
            data=angles,
            data_type=hq.DataType.QUANTUM_STATE,
            requires_quantum_entanglement=True,
        )


async def _epoch(protocol: hq.HyperFabricProtocol, data: Samples, plan: hq.Plan, shots: int) -> Steps:
    """Take one step of training; the QPUs of the fabric share the circuits."""
    qpus = [node.node_id for node in protocol.fabric.qpu_nodes]
    wide = data.rows.size * FEATURES * 2.0
    async with protocol.step([GPU, *qpus]) as step:
        batch = await step.send(LOADER, GPU, data, data_type=hq.DataType.TENSOR)
        angles = extract_features(batch)
        step.compute(GPU, flops=wide)
        await step.send_all([(GPU, qpu, angles) for qpu in qpus], data_type=hq.DataType.QUANTUM_STATE)
        found, slopes = evaluate_circuit(angles, shots)
        for qpu in qpus:
            step.ran(plan, shots=found.shots // len(qpus), nodes=[qpu])
        if len(qpus) > 1:
            await step.all_reduce(np.append(slopes.by_weight, slopes.by_bias))
        back = await step.send(QPU, GPU, slopes, data_type=hq.DataType.GRADIENT)
        update_model_parameters(back)
        step.compute(GPU, flops=20.0 * len(slopes.by_weight))
    return Steps(
        step.report, found.evaluations, float(np.linalg.norm(slopes.errors) / np.linalg.norm(slopes.by_weight))
    )


def right(angles: Angles, where: hq.learning.OnFabric | hq.learning.Ideal, shots: int | None, seed: int) -> int:
    """Return how many samples the model gets right, its circuit running somewhere."""
    model = current_model()
    rows = where.form.angles.at(model.binding(angles.rows, model.weights))
    values = where.read(rows, shots=shots, seed=seed).values[:, 0]
    return int(np.sum((SCALE * values + model.bias > 0) == angles.labels))


async def _play(size: Size, world: World) -> Outcome:
    protocol, wider = hardware(), hardware(QPUS)
    data, test = load_quantum_ml_dataset(SAMPLES[size]), load_quantum_ml_dataset(TESTED)
    asked = await _asked(protocol, extract_features(data))
    where, first = on_hardware(protocol, world.seed), evaluate_circuit(extract_features(data))[1].loss
    plan = where.shot_plan
    epochs = [await _epoch(protocol, data, plan, SHOTS[size]) for _ in range(EPOCHS[size])]
    train, held = extract_features(data), extract_features(test)
    last = evaluate_circuit(train)[1].loss
    hits = right(held, current_model().source, None, world.seed)
    few = Angles(held.rows[: ON_HARDWARE[size]], held.labels[: ON_HARDWARE[size]], held.weights, held.bias)
    real = right(few, where, SHOTS[size], world.seed)
    shared = await _epoch(wider, data, plan, SHOTS[size])
    report = epochs[-1].report
    shot_ns = plan.run(1, noise="none", seed=world.seed).job_ns or 0.0
    figures = (
        Figure(name="epochs", value=EPOCHS[size], origin="stated"),
        Figure(name="samples", value=SAMPLES[size], origin="stated"),
        Figure(name="numbers of a sample", value=RAW, origin="stated"),
        Figure(name="weights of the circuit", value=len(train.weights), origin="computed"),
        Figure(name="loss at first", value=first, unit="nat", origin="computed"),
        Figure(name="loss in the end", value=last, unit="nat", origin="computed"),
        Figure(name="error of the gradient by shots, first epoch", value=epochs[0].noise, origin="computed"),
        Figure(name="error of the gradient by shots, last epoch", value=epochs[-1].noise, origin="computed"),
        _share("right of new samples", hits, TESTED),
        _share("right of new samples, on the QPU with its errors", real, len(few.rows)),
        Figure(name="right: best plane", value=right_linear(train, held), origin="computed"),
        Figure(name="right: Gaussian kernel", value=right_kernel(train, held), origin="computed"),
        Figure(name="circuits of an epoch", value=epochs[-1].circuits, origin="computed"),
        Figure(name="shots of an epoch", value=report.shots, origin="computed"),
        Figure(name="one shot", value=shot_ns / 1e3, unit="µs"),
        Figure(name="an epoch", value=report.duration_ns / 1e6, unit="ms"),
        Figure(name="of this quantum", value=report.quantum_ns / 1e6, unit="ms"),
        Figure(name="of this network", value=report.network_ns / 1e6, unit="ms"),
        Figure(name="of this classical", value=report.classical_ns / 1e6, unit="ms"),
        Figure(name="all epochs", value=sum(each.report.duration_ns for each in epochs) / 1e9, unit="s"),
        Figure(name=f"an epoch on {QPUS} QPUs", value=shared.report.duration_ns / 1e6, unit="ms"),
    )
    told = {each.name: each.value for each in figures}
    return Outcome(
        scenario="quantum_ml",
        size=size,
        seed=world.seed,
        figures=figures,
        verdicts=verdicts(told, asked, QPUS, TESTED),
        notes=(
            "Shots of the training are drawn from exact states, those of the test on the QPU with all its errors.",
            "Labels travel with the angles, so that slopes of the loss come back, not one derivative per sample.",
        ),
    )


def _share(name: str, hits: int, count: int) -> Figure:
    found = proportion(hits, count)
    return Figure(name=name, value=found.value, stderr=found.stderr)


def played(size: Size) -> Outcome:
    """Return what the epochs learn, and where their time goes."""
    return hq.run(_play(size, current_world()))
