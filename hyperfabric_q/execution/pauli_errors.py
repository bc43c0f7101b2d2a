"""The errors of an emitted circuit as Pauli errors, and its conditions as tests of measurements.

What ``clifford`` and ``mps`` share. A weight vector is (I, X, Y, Z); of energy relaxation it is the Pauli twirl.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from qiskit import QuantumCircuit

from hyperfabric_q.convert.operations import Clause, Operation
from hyperfabric_q.distribution.local_figures import LocalFigures
from hyperfabric_q.errors import InternalError
from hyperfabric_q.execution.noise import depolarising_parameter
from hyperfabric_q.execution.run_noise import Idle, RunNoise

Weights = tuple[float, float, float, float]


class Test(NamedTuple):
    """A condition on the measurement record: all of ``records`` read ``values``, or not all when ``holds`` is False."""

    records: tuple[int, ...]
    values: tuple[bool, ...]
    holds: bool


def gate_error(operation: Operation, figures: LocalFigures) -> float:
    """Return the chance that one of the other Paulis on its wires follows a gate, all of them equally likely.

    Of a depolarising channel on dimension d that is 1 - 1/d² of its parameter.
    """
    qubits = len(operation.wires)
    average = figures.gate_error(operation.wires)
    if not average:
        return 0.0
    times = figures.gates(operation.name, operation.wires)
    kept = (1 - depolarising_parameter(average, qubits=qubits)) ** times
    return float((1 - kept) * (1 - 4.0**-qubits))


def pair_error(noise: RunNoise, pair: int) -> Weights:
    """Return the weights of the error on the second wire of a pair, rounding taken off; none beyond the last pair."""
    if pair >= len(noise.pair_weights):
        return (1.0, 0.0, 0.0, 0.0)
    weights = noise.pair_weights[pair].clip(min=0.0)
    i, x, y, z = (weights / weights.sum()).tolist()
    return (i, x, y, z)


def check_pairs(noise: RunNoise, pairs: int) -> None:
    """Raise unless the noise has the weights of as many pairs as there are.

    Raises:
        InternalError: it has not.
    """
    if pairs != len(noise.pair_weights):
        raise InternalError(what=f"{pairs} Bell pairs were emitted and the noise knows {len(noise.pair_weights)}")


def twirled(idle: Idle) -> Weights:
    """Return the weights of the Pauli twirl of a wait with relaxation times T1 and T2 ≤ 2 T1.

    The twirl keeps the diagonal of the Pauli transfer matrix, (exp(-t/T2), exp(-t/T2), exp(-t/T1)), and drops the
    drift towards |0⟩. Without energy relaxation, T1 infinite, it is the wait itself.
    """
    flip = -math.expm1(-idle.duration_s / idle.t1_s) / 4
    dephase = -math.expm1(-idle.duration_s / min(idle.t2_s, 2 * idle.t1_s)) / 2 - flip
    return (1 - 2 * flip - max(dephase, 0.0), flip, flip, max(dephase, 0.0))


def decays(idle: Idle) -> bool:
    """Return whether a wait is more than its Pauli twirl."""
    return idle.duration_s > 0 and math.isfinite(idle.t1_s)


def twirl_notes(waits: int) -> tuple[str, ...]:
    """Return the entry of ``Sample.approximations`` for so many waits that were twirled; empty for none."""
    if not waits:
        return ()
    said = "1 wait" if waits == 1 else f"{waits} waits"
    return (f"energy relaxation (T1) during {said} of idle qubits as Pauli errors (twirled)",)


def tests_of(clauses: Sequence[Clause], place: Mapping[int, int]) -> tuple[Test, ...] | None:
    """Return clauses as tests of the record so far, those that are always met left out; None when one never is.

    Args:
        clauses: on classical bits.
        place: the last measurement written into each bit; a bit without one reads 0.
    """
    tests: list[Test] = []
    for clause in clauses:
        wanted = [(bit, bool(clause.value >> digit & 1)) for digit, bit in enumerate(clause.bits)]
        possible = 0 <= clause.value < 1 << len(clause.bits)
        possible = possible and not any(value for bit, value in wanted if bit not in place)
        # A bit may stand in a register twice.
        written = dict.fromkeys((place[bit], value) for bit, value in wanted if bit in place)
        possible = possible and len({record for record, _ in written}) == len(written)
        if possible and written:
            tests.append(Test(tuple(each for each, _ in written), tuple(value for _, value in written), clause.holds))
        elif possible != clause.holds:
            return None
    return tuple(tests)


def named(circuit: QuantumCircuit, operation: Operation) -> str:
    """Return an operation of an emitted circuit as text: gate, angles, wires and index of the instruction."""
    places = [circuit.find_bit(circuit.qubits[wire]).registers for wire in operation.wires]
    names = [f"{found[0][0].name}[{found[0][1]}]" if found else "a loose qubit" for found in places]
    angles = f"({', '.join(f'{angle:.6g}' for angle in operation.params)})" if operation.params else ""
    return f"{operation.name}{angles} on {', '.join(names)} (instruction {operation.index} of the emitted circuit)"
