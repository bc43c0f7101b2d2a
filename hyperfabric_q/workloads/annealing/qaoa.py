"""QAOA of a small problem on the gate-model QPU nodes of a fabric.

The angles are found on the exact state vector, where a layer is a phase per assignment and a turn per qubit; what is
sampled is the circuit, distributed over the nodes, with the errors of its pairs, gates and readings. (Farhi, Goldstone
and Gutmann, arXiv:1411.4028.)
"""

from __future__ import annotations

from functools import partial
from typing import Final

import dimod
import numpy as np
from numpy.typing import NDArray
from qiskit import QuantumCircuit
from scipy.optimize import minimize

from hyperfabric_q.errors import SimulationRefused
from hyperfabric_q.fabric import Fabric
from hyperfabric_q.pipeline import plan
from hyperfabric_q.seeds import stream, word
from hyperfabric_q.workloads.annealing.exact import all_energies, dense, sample_set
from hyperfabric_q.workloads.annealing.problems import BQM

Floats = NDArray[np.float64]

MOST_QUBITS: Final = 12
"""One qubit per variable; with communication qubits and errors, shots of wider circuits take minutes."""

_STARTS: Final = 3
_STEPS: Final = 60


def sampled(
    bqm: BQM, fabric: Fabric, *, shots: int, layers: int, noise: str, seed: int
) -> tuple[dimod.SampleSet, tuple[str, ...]]:
    """Return the shots of the best circuit of ``layers`` layers that was found, and what it cost.

    Raises:
        SimulationRefused: the problem has more than ``MOST_QUBITS`` variables, or its distributed circuit is too large.
        Infeasible: the fabric has too few qubits or links.
        InvalidValue: no such noise.

    Cost: the shots, on Aer: 500 of them with errors take 2 s for 6 variables on 3 nodes, 20 s for 10.
    """
    count = bqm.num_variables
    if count > MOST_QUBITS:
        raise SimulationRefused(
            asked="QAOA",
            found=f"{count} variables take as many qubits, and at most {MOST_QUBITS} are simulated here",
            remedy='Use solver="simulated_annealing".',
        )
    linear, couplings, offset = dense(bqm)
    energies = all_energies(linear, couplings, offset)
    scale = float(energies.std()) or 1.0
    levels = (energies - energies.mean()) / scale
    angles, ideal = best_angles(levels, layers, seed)
    circuit = circuit_of(linear / scale, couplings / scale, angles)
    planned = plan(circuit, fabric, time_limit_s=1.0, seed=word(seed, "annealing", "qaoa", "plan"))
    result = planned.run(shots=shots, noise=noise, seed=word(seed, "annealing", "qaoa", "shots"))
    counts = result.counts
    bits = np.array([[int(bit) for bit in reversed(outcome)] for outcome in counts], dtype=np.int8)
    found = sample_set(bqm, bits)
    found.record.num_occurrences[:] = list(counts.values())
    mean = float(np.average(found.record.energy, weights=found.record.num_occurrences))
    note = (
        f"QAOA of {layers} layers on {len(set(planned.homes))} nodes with {planned.ebits} e-bits per shot: mean energy "
        f"{mean:.6g}, {ideal * scale + energies.mean():.6g} without noise"
    )
    return found, (note,)


def mean_level(levels: Floats, angles: Floats) -> float:
    """Return the mean of ``levels`` (2ⁿ,) in the state that the angles make: phases first, then as many turns."""
    count = int(np.log2(len(levels)))
    state = np.full(len(levels), len(levels) ** -0.5, dtype=np.complex128)
    for phase, turn in zip(*np.split(angles, 2), strict=True):
        state *= np.exp(-1j * phase * levels)
        cosine, sine = np.cos(turn), -1j * np.sin(turn)
        for bit in range(count):
            pairs = state.reshape(-1, 2, 1 << bit)
            zero, one = pairs[:, 0].copy(), pairs[:, 1].copy()
            pairs[:, 0] = cosine * zero + sine * one
            pairs[:, 1] = sine * zero + cosine * one
    return float(np.abs(state) ** 2 @ levels)


def best_angles(levels: Floats, layers: int, seed: int) -> tuple[Floats, float]:
    """Return angles (2 · layers,) of low mean level, and that mean; from a ramp, and from random ones beside it."""
    steps = (np.arange(layers) + 0.5) / layers
    ramp = np.concatenate([0.7 * steps, 0.7 * (1 - steps)])
    draws = stream(seed, "annealing", "qaoa", "angles").normal(0, 0.3, (_STARTS - 1, 2 * layers))
    best, lowest = ramp, np.inf
    for start in (ramp, *(ramp + each for each in draws)):
        found = minimize(partial(mean_level, levels), start, method="L-BFGS-B", options={"maxiter": _STEPS})
        if found.fun < lowest:
            best, lowest = found.x, float(found.fun)
    return np.asarray(best, dtype=np.float64), lowest


def circuit_of(linear: Floats, couplings: Floats, angles: Floats) -> QuantumCircuit:
    """Return the circuit of these angles for a QUBO, one qubit per variable, measured; bit i is variable i.

    With x = (1 - Z) / 2, a linear weight w is a turn by -w/2 about Z, a coupling w one by w/4 about ZZ and -w/4 about
    each Z.
    """
    count = len(linear)
    fields = -linear / 2 - (couplings + couplings.T).sum(axis=1) / 4
    circuit = QuantumCircuit(count, count, name="qaoa")
    circuit.h(range(count))
    for phase, turn in zip(*np.split(angles, 2), strict=True):
        for a, b in zip(*np.nonzero(couplings), strict=True):
            circuit.rzz(phase * couplings[a, b] / 2, int(a), int(b))
        for qubit, field in enumerate(fields):
            if field:
                circuit.rz(2 * phase * field, qubit)
        circuit.rx(2 * turn, range(count))
    circuit.measure(range(count), range(count))
    return circuit
