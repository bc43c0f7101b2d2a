"""What goes wrong, and where: the fabric's errors written into a circuit.

Every error is an explicit Pauli channel right after (or, for a misread, right before) the instruction it belongs
to, inside ``if_else`` bodies too: a correction that is applied can fail, one that is not applied cannot. Nothing
hangs on gate names surviving a translation, and one wire may serve two nodes one after the other.

Conventions (a figure that a node does not state counts as no error):

* ``gate_error_1q`` and ``gate_error_2q`` are average gate infidelities r, what randomised benchmarking reports.
  They become depolarising channels rho -> (1 - lam) rho + lam I/d with lam = r d / (d - 1), d = 2 or 4 (Nielsen 2002).
* ``readout_error`` is the chance to read the other bit. Where the measured qubit is not used again before a reset,
  that is a bit flip just before the measurement; elsewhere Aer's ``ReadoutError`` flips the bit and leaves the qubit.
* Pairs are Bell-diagonal with weights (pI, pX, pY, pZ) over (Phi+, Psi+, Psi-, Phi-), those of ``RunNoise``: a Pauli
  error on the half of the second wire. They are those of the finished pair, so the two gates that stand for its
  generation are exact.
* A qubit that waits relaxes to |0> with T1 and loses coherence with T2: Aer's thermal relaxation, before the
  instruction that ends the wait. With T2 <= T1 that is a mixture of identity, Z and reset; else it has Kraus operators.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from enum import Enum
from functools import cache, lru_cache
from typing import Final

import numpy as np
from qiskit import QuantumCircuit
from qiskit.circuit import CircuitInstruction, IfElseOp, Instruction, Qubit
from qiskit.quantum_info import Kraus
from qiskit_aer.noise import NoiseModel, ReadoutError, depolarizing_error, pauli_error, thermal_relaxation_error

from hyperfabric_q.distribution.local_figures import LocalFigures
from hyperfabric_q.errors import InternalError, InvalidValue
from hyperfabric_q.execution.run_noise import Idle, RunNoise
from hyperfabric_q.fabric import Fabric

PAIR: Final = "bell_pair"
CHANNEL: Final = "quantum_channel"
"""The name Aer gives to an error that stands in a circuit."""
KRAUS: Final = "kraus"
"""The name of an error that is no mixture of Clifford operations and resets."""

ERRORS: Final = frozenset({CHANNEL, KRAUS})
"""Names of all errors in a circuit."""

_EXACT: Final = frozenset({PAIR, CHANNEL, KRAUS, "barrier", "reset", "measure"})


class Noise(Enum):
    """Which errors a run carries."""

    FABRIC = "fabric"
    """Pairs as old as they are when used, waiting qubits, local gates and readout."""
    LINKS = "links"
    """Imperfect pairs only, fresh from their links: everything inside a node is exact and no time passes."""
    NONE = "none"
    """No error at all."""


def read_noise(noise: object) -> Noise:
    """Return the errors that a name stands for.

    Raises:
        InvalidValue: there is no such name.
    """
    try:
        return Noise(noise)
    except ValueError:
        known = ", ".join(repr(each.value) for each in Noise)
        raise InvalidValue(field="noise", value=noise, rule=f"noise is one of {known}") from None


def depolarising_parameter(infidelity: float, *, qubits: int) -> float:
    """Return the depolarising parameter lam = r d / (d - 1) of an average gate infidelity r, d = 2**qubits.

    Raises:
        InvalidValue: no depolarising channel is that bad: r exceeds d / (d + 1).
    """
    d: int = 2**qubits
    if not 0 <= infidelity <= d / (d + 1):
        raise InvalidValue(
            field=f"gate_error_{qubits}q",
            value=infidelity,
            rule=f"the average infidelity of a depolarising channel on {qubits} qubit(s) lies in [0, {d}/{d + 1}]",
        )
    return infidelity * d / (d - 1)


def fresh_errors(circuit: QuantumCircuit, node_of: Sequence[str], fabric: Fabric, kind: Noise) -> RunNoise:
    """Return errors in which no time passes: each pair of a circuit in the state of its link; O(instructions).

    Args:
        circuit: any circuit.
        node_of: the node of each of its wires.
        fabric: owner of the links.
        kind: "links" has no local errors, "none" no errors at all.

    Raises:
        InternalError: a pair stands between nodes that no quantum link joins.
    """
    rows: list[tuple[float, ...]] = []
    index = {wire: position for position, wire in enumerate(circuit.qubits)}
    for instruction in circuit.data:
        if instruction.operation.name == PAIR:
            a, b = (node_of[index[wire]] for wire in instruction.qubits)
            link = fabric.link(a, b)
            if link is None or link.pair_weights is None:
                raise InternalError(
                    what=f"the emitted circuit makes a Bell pair between {a!r} and {b!r}, which share no link"
                )
            rows.append((1.0, 0.0, 0.0, 0.0) if kind is Noise.NONE else link.pair_weights)
    return RunNoise(pair_weights=np.array(rows).reshape(-1, 4), idles=(), local=kind is Noise.FABRIC)


def with_pair_noise(circuit: QuantumCircuit, node_of: Sequence[str], fabric: Fabric) -> QuantumCircuit:
    """Return the circuit with the Pauli error of its link after every ``bell_pair``; arguments as ``fresh_errors``."""
    return with_run_noise(circuit, fresh_errors(circuit, node_of, fabric, Noise.LINKS))


def with_run_noise(circuit: QuantumCircuit, noise: RunNoise) -> QuantumCircuit:
    """Return the circuit with every pair's error right after it, and waits before the instruction that they end at.

    Args:
        circuit: an emitted circuit, or one that goes on where the emitted one ends: final waits come before that.
        noise: the state of each pair and the waits; what it says of local errors is not done here.
    """
    noisy = circuit.copy_empty_like()
    waits, pairs = list(noise.idles), iter(noise.pair_weights.tolist())
    due = 0
    for position, instruction in enumerate(circuit.data):
        while due < len(waits) and waits[due].before <= position:
            _append_wait(noisy, waits[due])
            due += 1
        noisy.append(instruction)
        if instruction.operation.name == PAIR:
            error = _pauli(tuple(next(pairs)))
            if error is not None:
                noisy.append(error, instruction.qubits[1:], copy=False)
    for wait in waits[due:]:
        _append_wait(noisy, wait)
    return noisy


def _append_wait(circuit: QuantumCircuit, wait: Idle) -> None:
    error = relaxation(wait.duration_s, wait.t1_s, wait.t2_s)
    if error is not None:
        circuit.append(error, [circuit.qubits[wait.wire]], copy=False)


def with_local_noise(
    circuit: QuantumCircuit, node_of: Sequence[str], fabric: Fabric, places: Sequence[int] = ()
) -> QuantumCircuit:
    """Return the circuit with each node's gate errors after its gates and its misreads before its measurements.

    The figures are those of ``LocalFigures``: a gate on two nodes (there is none in an emitted circuit; the
    undistributed one has them) takes the worse of both errors, and one that a chip does with several gates takes
    theirs one after the other. The wires that ``misread_wires`` names keep their measurements as they are.

    Args:
        circuit: any circuit.
        node_of: the node of each wire.
        fabric: owner of the figures.
        places: physical qubit of each wire, see ``Lowered``.
    """
    index = {wire: position for position, wire in enumerate(circuit.qubits)}
    figures = LocalFigures(fabric, node_of, places)
    again = measured_and_used_again(circuit)

    def after(instruction: CircuitInstruction) -> Instruction | None:
        if instruction.operation.name in _EXACT:
            return None
        wires = [index[wire] for wire in instruction.qubits]
        gates = figures.gates(instruction.operation.name, wires)
        return _depolarising(figures.gate_error(wires), len(wires), gates)

    def before(instruction: CircuitInstruction) -> Instruction | None:
        wire = instruction.qubits[0]
        if instruction.operation.name != "measure" or wire in again:
            return None
        return _flip(figures.readout_error(index[wire]))

    return _with_errors(circuit, after=after, before=before)


def misread_wires(
    circuit: QuantumCircuit, node_of: Sequence[str], fabric: Fabric, places: Sequence[int] = ()
) -> dict[Qubit, float]:
    """Return the readout error of every wire that is used on after a measurement without a reset between.

    Only Aer can flip such a bit and leave the qubit; ``with_local_noise`` writes all other misreads into the circuit.
    """
    again = measured_and_used_again(circuit)
    figures = LocalFigures(fabric, node_of, places)
    errors = {wire: figures.readout_error(at) for at, wire in enumerate(circuit.qubits) if wire in again}
    return {wire: error for wire, error in errors.items() if error}


def readout_model(errors: Iterable[float]) -> NoiseModel | None:
    """Return Aer's noise model in which wire i is misread with chance ``errors[i]``; None when there are none."""
    model = None
    for position, error in enumerate(errors):
        model = model or NoiseModel()
        model.add_readout_error(ReadoutError([[1 - error, error], [error, 1 - error]]), [position])
    return model


def measured_and_used_again(circuit: QuantumCircuit) -> set[Qubit]:
    """Return the wires on which something other than a reset follows a measurement."""
    measured: set[Qubit] = set()
    again: set[Qubit] = set()
    for instruction in circuit.data:
        name = instruction.operation.name
        if name == "barrier":
            continue
        if name != "reset":
            again |= measured.intersection(instruction.qubits)
        measured.difference_update(instruction.qubits)
        if name == "measure":
            measured.update(instruction.qubits)
    return again


Error = Callable[[CircuitInstruction], Instruction | None]


def _nothing(_: CircuitInstruction) -> None:
    return None


def _with_errors(circuit: QuantumCircuit, *, after: Error, before: Error = _nothing) -> QuantumCircuit:
    noisy = circuit.copy_empty_like()
    for instruction in circuit.data:
        first = before(instruction)
        if first is not None:
            noisy.append(first, instruction.qubits, copy=False)
        if isinstance(instruction.operation, IfElseOp):
            noisy.append(_with_errors_inside(instruction, after), instruction.qubits, instruction.clbits, copy=False)
            continue
        noisy.append(instruction)
        then = after(instruction)
        if then is not None:
            # A Bell pair's error sits on one half; a gate's on all of its wires.
            noisy.append(then, instruction.qubits[-then.num_qubits :], copy=False)
    return noisy


def _with_errors_inside(instruction: CircuitInstruction, after: Error) -> IfElseOp:
    """Return an ``if_else`` whose bodies carry errors; ``after`` still sees the wires of the outer circuit."""

    def within(body: QuantumCircuit) -> QuantumCircuit:
        outer = dict(zip(body.qubits, instruction.qubits, strict=True))
        return _with_errors(body, after=lambda inner: after(inner.replace(qubits=[outer[q] for q in inner.qubits])))

    return instruction.operation.replace_blocks([within(body) for body in instruction.operation.blocks])


@lru_cache(maxsize=4096)
def _pauli(weights: tuple[float, ...]) -> Instruction | None:
    if weights[0] >= 1:
        return None
    return pauli_error(list(zip("IXYZ", weights, strict=True))).to_instruction()


def relaxation(duration_s: float, t1_s: float, t2_s: float) -> Instruction | None:
    """Return what waiting does to a qubit, exactly; None where it does nothing.

    Args:
        duration_s: how long.
        t1_s: relaxation to |0>; ``inf`` = none.
        t2_s: loss of coherence, at most 2 T1; ``inf`` = none.
    """
    if duration_s <= 0 or (math.isinf(t1_s) and math.isinf(t2_s)):
        return None
    return _relaxation(duration_s, t1_s, min(t2_s, 2 * t1_s))


@lru_cache(maxsize=4096)
def _relaxation(duration_s: float, t1_s: float, t2_s: float) -> Instruction:
    error = thermal_relaxation_error(t1_s, t2_s, duration_s)
    if t2_s <= t1_s:
        return error.to_instruction()
    # As an error of Aer's, Kraus operators beside a noise model end in "Kraus is empty", or in a crash (Aer 0.18.2).
    return Kraus(error).to_instruction()


@cache
def _depolarising(infidelity: float, qubits: int, times: int) -> Instruction | None:
    if infidelity == 0:
        return None
    # Depolarising channels commute with gates, so those of several gates on the same qubits are one.
    kept = (1 - depolarising_parameter(infidelity, qubits=qubits)) ** times
    return depolarizing_error(1 - kept, qubits).to_instruction()


@cache
def _flip(probability: float) -> Instruction | None:
    if probability == 0:
        return None
    return pauli_error([("I", 1 - probability), ("X", probability)]).to_instruction()
