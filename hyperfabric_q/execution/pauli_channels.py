"""Circuits with Pauli channels on Aer's stabilizer method, and every shot's bits.

What error-correction experiments need of Aer: their errors as channels, and the record of each shot instead of counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from qiskit import QuantumCircuit
from qiskit.circuit import Instruction
from qiskit_aer import AerSimulator
from qiskit_aer.noise import pauli_error

from hyperfabric_q.errors import InternalError
from hyperfabric_q.seeds import word

_BATCH: Final = 1 << 16
"""Shots per call: keeps the texts that Aer returns small."""


@lru_cache(maxsize=4096)
def pauli_channel(chances: tuple[tuple[str, float], ...]) -> Instruction | None:
    """Return a Pauli channel as an instruction, None where it does nothing.

    Args:
        chances: Pauli strings and their chances, letter i on wire i of the instruction; what is left is the identity.
    """
    errors = [(letters[::-1], chance) for letters, chance in chances if chance > 0]
    if not errors:
        return None
    rest = max(0.0, 1.0 - sum(chance for _, chance in errors))
    return pauli_error([("I" * len(errors[0][0]), rest), *errors]).to_instruction()


def run_shots(circuit: QuantumCircuit, *, shots: int, seed: int, threads: int = 1) -> NDArray[np.bool_]:
    """Return the classical bits of every shot, shape (shots, bits); bit i is ``circuit.clbits[i]``.

    Args:
        circuit: gates of the stabilizer method, Pauli channels, ``if_else`` on classical bits.
        shots: how many.
        seed: the same seed gives the same shots.
        threads: of Aer.

    Raises:
        InternalError: Aer fails.
    """
    simulator = AerSimulator(
        method="stabilizer", max_parallel_threads=threads, max_parallel_experiments=1, max_parallel_shots=threads
    )
    parts = []
    for number, start in enumerate(range(0, shots, _BATCH)):
        job = simulator.run(
            circuit, shots=min(_BATCH, shots - start), seed_simulator=word(seed, "shots", number), memory=True
        )
        parts.append(_bits(job.result(), circuit.num_clbits, seed))
    return np.concatenate(parts) if parts else np.zeros((0, circuit.num_clbits), dtype=np.bool_)


def _bits(result: Any, bits: int, seed: int) -> NDArray[np.bool_]:
    if not result.success:
        raise InternalError(what=f"Aer's stabilizer method failed: {result.status}", seed=seed)
    memory: Sequence[str] = result.data(0)["memory"]
    size = -(-bits // 8)
    raw = bytes.fromhex("".join(text[2:].zfill(2 * size) for text in memory))
    rows = np.frombuffer(raw, dtype=np.uint8).reshape(len(memory), size)[:, ::-1]
    return np.unpackbits(rows, axis=1, bitorder="little")[:, :bits].astype(np.bool_)
