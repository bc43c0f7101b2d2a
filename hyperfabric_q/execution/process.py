"""The process fidelity of a plan with its errors, from the effective errors on the logical qubits.

With U the user's circuit and K the Kraus operators of what runs instead, it is F = sum over K of |Tr(U^dag K)|^2 / d^2:
the entanglement fidelity of U^dag K. Measurements at the end are left out, their misreads too: they are no part of the
process. Two ways, both without a bias:

* **exact**, for few qubits: every qubit is entangled with one beside it, and the overlap of what comes out with what
  should is read off the density matrix;
* **sampled**: random products of eigenstates of X, Y and Z are sent through, errors are drawn, everything is undone,
  and what is left scores as ``local_scores`` says.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray
from qiskit import QuantumCircuit
from qiskit.quantum_info import Operator

from hyperfabric_q.distribution.local_figures import LocalFigures
from hyperfabric_q.distribution.program import Kind, Program
from hyperfabric_q.errors import SimulationRefused
from hyperfabric_q.execution import row_kernels
from hyperfabric_q.execution.late_errors import with_late_errors
from hyperfabric_q.execution.logical_ops import Logical, Measure, Not, Unitary
from hyperfabric_q.execution.mean_outcomes import ends
from hyperfabric_q.execution.mixed_rows import Mixture
from hyperfabric_q.execution.pauli_tracking import track, user_columns
from hyperfabric_q.execution.run_noise import RunNoise
from hyperfabric_q.execution.trajectories import Bits, Group, States

if TYPE_CHECKING:
    from hyperfabric_q.distribution.plan import Plan

Matrix = NDArray[np.complex128]
Floats = NDArray[np.float64]

WIDEST: Final = 8
"""Qubits up to which a process fidelity is computed."""

WIDEST_EXACT: Final = 3
"""Qubits up to which it is exact: density matrices of twice as many."""

MOST_ENTRIES: Final = 1 << 22
"""Entries of all density matrices at once."""

_ROOT: Final = math.sqrt(0.5)
EIGENSTATES: Final = np.array(
    [
        [[1, 0], [0, 1]],
        [[0, -1], [1, 0]],
        *([[_ROOT, -_ROOT * phase.conjugate()], [_ROOT * phase, _ROOT]] for phase in (1 + 0j, -1 + 0j, 1j, -1j)),
    ],
    dtype=np.complex128,
)
"""Gates that turn |0> into the eigenstates of Z, X and Y, (6, 2, 2)."""

_HADAMARD: Final = np.array([[1, 1], [1, -1]], dtype=np.complex128) / math.sqrt(2)


def is_unitary(program: Program) -> bool:
    """Return whether a program is a unitary and measurements at its end: no resets, no conditions; O(rows)."""
    measured: set[int] = set()
    rows = zip(program.kind.tolist(), program.first.tolist(), program.second.tolist(), strict=True)
    for kind, first, second in rows:
        if kind == Kind.RESET or (kind < Kind.MEASURE and measured.intersection((first, second))):
            return False
        if kind == Kind.MEASURE:
            measured.add(first)
    return not bool((program.condition >= 0).any())


def unitary_of(plan: Plan) -> Matrix | None:
    """Return what a plan is to do to its qubits, final measurements left out; None where that is no unitary.

    Qubit 0 is the lowest bit of an index.
    """
    if not is_unitary(plan.program):
        return None
    return np.asarray(Operator(without_final_measurements(plan.program.to_circuit())).data)


def without_final_measurements(circuit: QuantumCircuit) -> QuantumCircuit:
    """Return a circuit of the user's without its classical bits."""
    bare = QuantumCircuit(circuit.qubits)
    for step in circuit.data:
        if step.name not in {"measure", "barrier"}:
            bare.append(step)
    return bare


def tracked(plan: Plan, noise: RunNoise) -> Logical:
    """Return what the emitted circuit does to the logical qubits, final measurements left out; O(instructions)."""
    routed = plan.routed
    figures = LocalFigures(plan.fabric, routed.node_of, routed.places)
    logical = track(routed.circuit, routed.entry, routed.exit, noise, figures)
    return replace(logical, operations=tuple(each for each in logical.operations if not isinstance(each, Measure)))


def exact_fidelity(plan: Plan, noise: RunNoise, unitary: Matrix) -> float:
    """Return the process fidelity itself; O(operations x rows x 16^qubits).

    Args:
        plan: what runs.
        noise: its errors.
        unitary: from ``unitary_of``.

    Raises:
        SimulationRefused: the density matrices exceed ``MOST_ENTRIES``.
    """
    logical, qubits = tracked(plan, noise), plan.qubits
    beside = range(qubits, 2 * qubits)
    entangled = [Unitary(qubit=each, matrix=_HADAMARD) for each in beside]
    copied = [Not(control=each, target=each - qubits) for each in beside]
    # The qubits beside have no wires, hence no flips: theirs is a column that nothing touches.
    logical = replace(
        logical,
        qubits=2 * qubits,
        columns=logical.columns + 1,
        operations=(*entangled, *copied, *logical.operations),
        ends=(*logical.ends, *beside),
        flips=(*logical.flips, *(logical.columns for _ in beside)),
    )
    logical = with_late_errors(logical, len(user_columns(plan.routed.circuit)), to_the_end=True)
    entries = 1 << min(logical.live, 60) + 4 * qubits
    if entries > MOST_ENTRIES:
        raise SimulationRefused(
            asked=f"the exact process fidelity of {qubits} qubits",
            found=f"up to {entries:,} entries of density matrices; at most {MOST_ENTRIES:,} are held",
            remedy="Sample it instead.",
        )
    states, _ = Mixture(logical).at_end(logical.ends, logical.flips)
    wanted = unitary.T.reshape(-1) / math.sqrt(len(unitary))
    return float((wanted.conj() @ states.sum(axis=0) @ wanted).real)


def sampled_fidelity(
    plan: Plan, noise: RunNoise, unitary: Matrix, *, inputs: int, each: int, rng: np.random.Generator
) -> Floats:
    """Return what a shot of each of some random states scores on average, and its mean square, shape (inputs, 2).

    Scores are those of ``local_scores``: each row is an unbiased estimate of the process fidelity and of the mean
    square of a shot's score, and the rows are independent of one another.

    Args:
        plan: what runs.
        noise: its errors.
        unitary: from ``unitary_of``.
        inputs: how many states are sent through.
        each: how often each of them is, every time with other errors.
        rng: of states and errors.
    """
    qubits = plan.qubits
    logical = with_late_errors(tracked(plan, noise), len(user_columns(plan.routed.circuit)), to_the_end=True)
    # Columns that nothing touches say which state a row began with.
    first, labels = logical.columns, max(1, (inputs - 1).bit_length())
    logical = replace(logical, columns=first + labels)
    turns = EIGENSTATES[rng.integers(len(EIGENSTATES), size=(inputs, qubits))]
    columns = np.zeros((inputs, logical.columns), dtype=np.uint8)
    weights = 1 << np.arange(labels)
    columns[:, first:] = (np.arange(inputs)[:, None] & weights) > 0
    begun = np.zeros((inputs, 1 << qubits), dtype=np.complex128)
    begun[:, 0] = 1.0
    begun = _turned(begun, turns)
    back = turns.conj().swapaxes(-1, -2)
    scores = np.stack([local_scores(qubits), local_scores(qubits) ** 2], axis=1)
    total = np.zeros((inputs, 2))
    for states, at_end, hits in ends(logical, Group(begun, columns, np.full(inputs, each, dtype=np.int64), 0), rng):
        begun_as = at_end[:, first:].astype(np.int64) @ weights
        undone = _turned(_as_users(states, at_end, logical) @ unitary.conj(), back[begun_as])
        chances = np.abs(undone) ** 2
        chances *= (hits / chances.sum(axis=1))[:, None]
        np.add.at(total, begun_as, chances @ scores)
    return np.asarray(total / each)


def local_scores(qubits: int) -> Floats:
    """Return (-1/2)^(bits that are 1) for every outcome of that many qubits, each of which should read 0.

    A qubit that begins in one of the six eigenstates of X, Y and Z, each as likely, turns over 2 times in 3 by a Pauli
    error, whichever it is, and never without: 1 where it is 0 and -1/2 where it is 1 has mean 0 with an error and 1
    without. The average over the states makes Pauli errors of all others. So the mean score of outcomes is the share
    of shots without any error: the process fidelity.
    """
    ones = np.array([value.bit_count() for value in range(1 << qubits)])
    return np.asarray((-0.5) ** ones)


def _turned(states: States, gates: Matrix) -> States:
    """Return rows after a gate of their own on each qubit, (rows, qubits, 2, 2)."""
    rows, size = states.shape
    for qubit in range(gates.shape[1]):
        split = states.reshape(rows, size >> qubit + 1, 2, 1 << qubit)
        states = np.einsum("rab,rhbl->rhal", gates[:, qubit], split).reshape(rows, size)
    return states


def _as_users(states: States, columns: Bits, logical: Logical) -> States:
    """Return states of rows on the user's qubits: flips undone, and each qubit where it belongs."""
    found = states.copy()
    one = np.eye(2, dtype=np.complex128)
    for qubit, flip in zip(logical.ends, logical.flips, strict=True):
        row_kernels.unitary(found, qubit, one, np.ascontiguousarray(columns[:, flip]))
    count = logical.qubits
    axes = [0, *(count - qubit for qubit in reversed(logical.ends))]
    return found.reshape(-1, *(2,) * count).transpose(axes).reshape(len(found), -1)
