"""Which Paulis flip an observable and nothing else: what a correction is, once it is applied to qubits.

Found by trying every single-qubit Pauli between two rounds of the noiseless circuit, and solving for a product that
no detector sees. Nothing about the code is assumed.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import stim
from numpy.typing import NDArray

from hyperfabric_q.errors import InvalidValue
from hyperfabric_q.workloads.qec.idle import Sections

Flags: TypeAlias = NDArray[np.bool_]


def logical_flips(cut: Sections) -> list[tuple[Flags, Flags]]:
    """Return for each observable the qubits on which X and on which Z is applied to flip it, between two rounds.

    Cost: one noiseless round for two shots per qubit, and elimination over GF(2), cubic in the qubits.

    Raises:
        InvalidValue: no product of Paulis flips the observable without being detected.
    """
    qubits = cut.experiment.circuit.num_qubits
    effect, detectors = _effects(cut, qubits)
    found = []
    for observable in range(cut.experiment.circuit.num_observables):
        target = np.zeros(len(effect), dtype=np.bool_)
        target[detectors + observable] = True
        solution = _solved(effect, target)
        if solution is None:
            rule = f"no Pauli between two rounds flips observable {observable} without being detected"
            raise InvalidValue(field="experiment", value=repr(cut.experiment), rule=rule)
        found.append((solution[:qubits], solution[qubits:]))
    return found


def _effects(cut: Sections, qubits: int) -> tuple[Flags, int]:
    """What each X and each Z before the last round flips: (detectors, then observables) × Paulis."""
    shots = 2 * qubits
    simulator = stim.FlipSimulator(batch_size=shots, disable_stabilizer_randomization=True, num_qubits=qubits)
    before = stim.Circuit()
    for part in cut.rounds:
        before += part
    simulator.do(before.without_noise())
    simulator.broadcast_pauli_errors(pauli="X", mask=np.eye(qubits, shots, dtype=np.bool_))
    simulator.broadcast_pauli_errors(pauli="Z", mask=np.eye(qubits, shots, k=qubits, dtype=np.bool_))
    simulator.do((cut.rounds[-1] + cut.tail).without_noise())
    detectors = np.asarray(simulator.get_detector_flips(), dtype=np.bool_)
    observables = np.asarray(simulator.get_observable_flips(), dtype=np.bool_)
    return np.concatenate([detectors, observables]), len(detectors)


def _solved(matrix: Flags, target: Flags) -> Flags | None:
    """One solution of matrix · x = target over GF(2), with free variables at 0; None if there is none."""
    work = np.concatenate([matrix, target[:, None]], axis=1)
    row, pivots = 0, []
    for column in range(matrix.shape[1]):
        below = np.flatnonzero(work[row:, column])
        if not len(below):
            continue
        first = row + int(below[0])
        work[[row, first]] = work[[first, row]]
        others = work[:, column].copy()
        others[row] = False
        work[others] ^= work[row]
        pivots.append(column)
        row += 1
        if row == len(work):
            break
    if np.any(work[row:, -1]):
        return None
    solution = np.zeros(matrix.shape[1], dtype=np.bool_)
    solution[pivots] = work[: len(pivots), -1]
    return solution
