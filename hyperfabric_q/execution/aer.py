"""Circuit to counts, on Aer, the same ones for the same seed.

Aer gives every shot a random stream of its own, so the number of threads decides how long a run takes and not what
it returns.
"""

from __future__ import annotations

import os
from typing import Any, Final

from qiskit import QuantumCircuit
from qiskit_aer import AerSimulator
from qiskit_aer.noise import NoiseModel

from hyperfabric_q.errors import InternalError, SimulationRefused
from hyperfabric_q.seeds import word

_BATCH: Final = 1 << 18
"""Shots per call where protocol bits make almost every shot a new outcome: keeps the counts in memory small."""

_FEW_BITS: Final = 24
_PARALLEL_STATES: Final = 20
"""Wires up to which one state vector per thread is held; wider ones share the threads."""

_THREADED: Final = frozenset({"statevector", "stabilizer"})
"""Density matrices are small here: on two threads they took 2 to 10 times longer than on one."""


def run_counts(
    circuit: QuantumCircuit,
    *,
    shots: int,
    seed: int,
    noise_model: NoiseModel | None = None,
    method: str = "statevector",
) -> dict[int, int]:
    """Return shots per value of the classical bits; bit i of a key is ``circuit.clbits[i]``.

    Args:
        circuit: in instructions that the method knows; ``methods.choose`` makes such circuits.
        shots: how many.
        seed: the same seed gives the same counts, whatever the number of threads.
        noise_model: errors beside those in the circuit.
        method: one of Aer's: "statevector", "stabilizer" or "density_matrix".

    Raises:
        SimulationRefused: Aer has not enough memory.
        InternalError: Aer fails for any other reason.
    """
    threads = _threads() if method in _THREADED else 1
    simulator = AerSimulator(
        method=method,
        max_parallel_threads=threads,
        max_parallel_experiments=1,
        max_parallel_shots=threads if circuit.num_qubits <= _PARALLEL_STATES else 1,
        **({} if noise_model is None else {"noise_model": noise_model}),
    )
    batch = shots if circuit.num_clbits <= _FEW_BITS else _BATCH
    counts: dict[int, int] = {}
    for number, start in enumerate(range(0, shots, batch)):
        job = simulator.run(circuit, shots=min(batch, shots - start), seed_simulator=word(seed, "aer", number))
        for value, hits in _counts(job.result(), circuit, method, seed).items():
            counts[value] = counts.get(value, 0) + hits
    return counts


def exact_chances(circuit: QuantumCircuit) -> dict[int, float]:
    """Return the probability of each value of the classical bits, bits that are not measured being 0.

    Args:
        circuit: measures at its end only, into different bits; in instructions of Aer's density-matrix method.

    Raises:
        SimulationRefused: Aer has not enough memory.
        InternalError: Aer fails for any other reason.
    """
    index = {bit: place for place, bit in enumerate(circuit.clbits)}
    wire = {qubit: place for place, qubit in enumerate(circuit.qubits)}
    unmeasured = circuit.copy_empty_like()
    bit_of: dict[int, int] = {}
    for step in circuit.data:
        if step.operation.name == "measure":
            bit_of[wire[step.qubits[0]]] = index[step.clbits[0]]
        else:
            unmeasured.append(step)
    if not bit_of:
        return {0: 1.0}
    unmeasured.save_probabilities(list(bit_of))
    simulator = AerSimulator(method="density_matrix", max_parallel_threads=1)
    job = simulator.run(unmeasured, shots=1, seed_simulator=1)
    chances: dict[int, float] = {}
    _check(job.result(), circuit, "density_matrix", 1)
    for outcome, chance in enumerate(job.result().data(0)["probabilities"]):
        if chance > 0:
            value = sum((outcome >> place & 1) << bit for place, bit in enumerate(bit_of.values()))
            chances[value] = chances.get(value, 0.0) + float(chance)
    return chances


def _threads() -> int:
    """The cores of this process, or fewer where its environment says so, as in a pool of workers."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    told = os.environ.get("OMP_NUM_THREADS", "")
    return min(cores, int(told)) if told.isdigit() and int(told) > 0 else cores


def _counts(result: Any, circuit: QuantumCircuit, method: str, seed: int) -> dict[int, int]:
    _check(result, circuit, method, seed)
    return {int(key, 16): int(hits) for key, hits in result.data(0)["counts"].items()}


def _check(result: Any, circuit: QuantumCircuit, method: str, seed: int) -> None:
    # Aer reports a failure in the result instead of raising it.
    if not result.success:
        if "memory" in str(result.status).lower():
            raise SimulationRefused(
                asked=f"running {circuit.num_qubits} wires with Aer's {method} method",
                found=str(result.status),
                remedy="Use fewer qubits, or a machine with more memory.",
            )
        raise InternalError(what=f"Aer's {method} method failed: {result.status}", seed=seed)
