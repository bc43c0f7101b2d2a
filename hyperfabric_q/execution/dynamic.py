"""The reference: the emitted circuit itself, with its Bell pairs and feed-forward, on Aer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from qiskit.circuit import ClassicalRegister

from hyperfabric_q.errors import SimulationRefused
from hyperfabric_q.execution.methods import WIDEST_STATE
from hyperfabric_q.execution.run_noise import RunNoise
from hyperfabric_q.execution.sample import Sample, prepare, sample
from hyperfabric_q.execution.stabilizer import as_stabilizer
from hyperfabric_q.execution.wires import compact

if TYPE_CHECKING:
    from hyperfabric_q.distribution.plan import Plan


def sample_dynamic(
    plan: Plan, noise: RunNoise, *, shots: int, seed: int, reported: Sequence[ClassicalRegister]
) -> Sample:
    """Return counts of registers of ``plan.routed.circuit``, by the quickest of Aer's methods; nothing is approximated.

    Args:
        plan: what runs, measurements included.
        noise: its errors.
        shots: how many.
        seed: the same seed gives the same counts.
        reported: registers of the circuit.

    Raises:
        SimulationRefused: too wide for this machine, or hours long.
    """
    routed = plan.routed
    return sample(
        routed.circuit,
        node_of=routed.node_of,
        places=routed.places,
        fabric=plan.fabric,
        noise=noise,
        shots=shots,
        seed=seed,
        reported=reported,
    )


def predicted_seconds(plan: Plan, noise: RunNoise, *, shots: int, reported: Sequence[ClassicalRegister]) -> float:
    """Return how long ``sample_dynamic`` would take; infinity where it refuses."""
    routed = plan.routed
    packed = compact(routed.circuit)
    if packed.num_qubits > WIDEST_STATE and as_stabilizer(packed) is None:
        return float("inf")
    try:
        prepared = prepare(
            routed.circuit,
            node_of=routed.node_of,
            places=routed.places,
            fabric=plan.fabric,
            noise=noise,
            shots=shots,
            reported=reported,
        )
    except SimulationRefused:
        return float("inf")
    return prepared.simulation.seconds
