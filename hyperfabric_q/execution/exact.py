"""Counts from the exact distribution over all measurement branches: the reference without errors, in NumPy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from qiskit.circuit import ClassicalRegister

from hyperfabric_q.convert.operations import read
from hyperfabric_q.distribution.local_figures import LocalFigures
from hyperfabric_q.errors import InvalidValue
from hyperfabric_q.execution.run_noise import RunNoise
from hyperfabric_q.execution.sample import Sample, spell
from hyperfabric_q.seeds import stream
from hyperfabric_q.simulate.branches import branches
from hyperfabric_q.simulate.order import best_order, peak
from hyperfabric_q.simulate.probabilities import split_final_measurements

if TYPE_CHECKING:
    from hyperfabric_q.distribution.plan import Plan

_FLOOR = 1e-14


def sample_exact(
    plan: Plan, noise: RunNoise, *, shots: int, seed: int, reported: Sequence[ClassicalRegister]
) -> Sample:
    """Return counts drawn from the exact distribution of the emitted circuit, every branch of it followed.

    Args:
        plan: what runs, measurements included.
        noise: must be without any error.
        shots: how many.
        seed: the same seed gives the same counts.
        reported: registers of the circuit.

    Raises:
        InvalidValue: there are errors, which a state vector cannot hold.
        SimulationRefused: more qubits or branches at once than the simulator holds.
    """
    _check_perfect(plan, noise)
    chances, wires = reported_chances(plan, reported)
    values = list(chances)
    weights = np.array([chances[value] for value in values])
    drawn = stream(seed, "exact").multinomial(shots, weights / weights.sum())
    raw = {value: int(hits) for value, hits in zip(values, drawn, strict=True) if hits}
    place = {bit: position for position, bit in enumerate(plan.routed.circuit.clbits)}
    counts = spell(raw, [[place[bit] for bit in register] for register in reported])
    return Sample(counts=counts, method="branches", wires=wires)


def reported_chances(plan: Plan, reported: Sequence[ClassicalRegister]) -> tuple[dict[int, float], int]:
    """Return the probability of each value of the classical bits, unreported ones 0, and the wires held at once."""
    circuit = plan.routed.circuit
    place = {bit: position for position, bit in enumerate(circuit.clbits)}
    wanted = {place[bit] for register in reported for bit in register}
    body, final = split_final_measurements(read(circuit))
    touched = {wire for operation in body for wire in operation.wires}
    ends = {operation.wires[0]: operation.bit for operation in final if operation.bit in wanted}
    wires = tuple(wire for wire in ends if wire in touched)
    kept = sorted({operation.bit for operation in body if operation.bit is not None} & wanted)
    order = best_order(body, keep_bits=kept)
    chances: dict[int, float] = {}
    for branch in branches(order, outputs=wires, keep_bits=kept):
        memory = sum(value << bit for bit, value in zip(kept, branch.bits, strict=True))
        likely = branch.probability * np.sum(np.abs(branch.state) ** 2, axis=1)
        for outcome in np.flatnonzero(likely > _FLOOR).tolist():
            bits = sum((outcome >> position & 1) << (ends[wire] or 0) for position, wire in enumerate(wires))
            chances[memory | bits] = chances.get(memory | bits, 0.0) + float(likely[outcome])
    return chances, peak(order, keep_bits=kept).wires


def _check_perfect(plan: Plan, noise: RunNoise) -> None:
    found = []
    if (noise.pair_weights[:, 0] < 1).any():
        found.append("Bell pairs")
    if noise.idles:
        found.append("waiting qubits")
    if noise.local:
        figures = LocalFigures(plan.fabric, plan.routed.node_of, plan.routed.places)
        if figures.loss(plan.routed.circuit) > 0:
            found.append("gates and readout")
    if found:
        raise InvalidValue(
            field="method",
            value="exact",
            rule=f"it follows pure states, and this run has errors of {', '.join(found)}",
            remedy="Ask for noise='none', or for method='dynamic'.",
        )
