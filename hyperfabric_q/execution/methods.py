"""Which simulation of a circuit is the cheapest, and can it be afforded?

Every way in which a circuit can be simulated exactly (up to sampling) is written down with its predicted time, and
the quickest one is taken:

* ``stabilizer``: shot by shot, any width, when every gate is Clifford;
* ``statevector``, sampled: one evolution for all shots, when feed-forward can be deferred and nothing is random
  before the end;
* ``density_matrix``: one evolution for all shots, errors and resets included, when feed-forward can be deferred;
  few wires;
* ``statevector``, shot by shot: everything else.

The times come from measured costs per operation on one core; they decide between methods and refuse what would take
more than a few hours, no more.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from qiskit import QuantumCircuit
from qiskit.circuit import ClassicalRegister, Qubit

from hyperfabric_q.errors import SimulationRefused
from hyperfabric_q.execution.deferred import without_feed_forward
from hyperfabric_q.execution.noise import ERRORS
from hyperfabric_q.execution.stabilizer import as_stabilizer
from hyperfabric_q.execution.wires import compact, measure_last

WIDEST_STATE: Final = 28
"""Wires of the widest state vector: 4 GiB of amplitudes."""

WIDEST_SAMPLED: Final = 26
"""Wires up to which feed-forward is deferred onto fresh wires for one final state."""

WIDEST_DENSITY: Final = 12
"""Wires of the widest density matrix: 256 MiB."""

LONGEST_S: Final = 6 * 3600.0
"""Predicted seconds beyond which a run is refused."""

_STEP_S: Final = 3e-6
_AMPLITUDE_S: Final = 3e-9
_ENTRY_S: Final = 1e-8
_STABILIZER_STEP_S: Final = 2e-6
_COMPILE_STEP_S: Final = 2e-5


@dataclass(frozen=True, slots=True, kw_only=True)
class Simulation:
    """A circuit in the form one of Aer's methods takes, with the predicted time of the run."""

    method: str
    circuit: QuantumCircuit
    seconds: float


def choose(
    circuit: QuantumCircuit,
    *,
    shots: int,
    reported: Sequence[ClassicalRegister],
    misread: Mapping[Qubit, float] | None = None,
) -> Simulation:
    """Return the quickest simulation of a circuit.

    Args:
        circuit: the circuit to run, errors included.
        shots: how many.
        reported: the classical registers whose counts are wanted.
        misread: readout errors that need wires of their own (``noise.misread_wires``); they become wires 0, 1, ...

    Raises:
        SimulationRefused: no simulation fits the memory, or the quickest takes hours.
    """
    found = sorted(ways(circuit, shots=shots, reported=reported, misread=misread or {}), key=lambda way: way.seconds)
    if not found:
        raise _too_wide(circuit, compact(circuit, fixed=tuple(misread or {})).num_qubits)
    if found[0].seconds > LONGEST_S:
        raise _too_long(circuit, found[0], shots)
    return found[0]


def ways(
    circuit: QuantumCircuit, *, shots: int, reported: Sequence[ClassicalRegister], misread: Mapping[Qubit, float]
) -> Iterator[Simulation]:
    """Yield every simulation of a circuit that fits the memory; arguments as for ``choose``."""
    dynamic = compact(circuit, fixed=tuple(misread))
    steps = len(dynamic.data)
    stabilizer = as_stabilizer(dynamic)
    if stabilizer is not None:
        seconds = shots * len(stabilizer.data) * _STABILIZER_STEP_S * (1 + dynamic.num_qubits / 100)
        yield Simulation(method="stabilizer", circuit=stabilizer, seconds=seconds + steps * _COMPILE_STEP_S)
    if dynamic.num_qubits <= WIDEST_STATE:
        seconds = shots * steps * (_STEP_S + _AMPLITUDE_S * 2**dynamic.num_qubits)
        yield Simulation(method="statevector", circuit=dynamic, seconds=seconds + steps * _COMPILE_STEP_S)
    # Deferring never shortens a life, and whatever is noisy needs a density matrix.
    if dynamic.num_qubits > (WIDEST_DENSITY if ERRORS.intersection(dynamic.count_ops()) else WIDEST_SAMPLED):
        return
    deferred = without_feed_forward(circuit, {bit for register in reported for bit in register})
    if deferred is None:
        return
    last = measure_last(deferred)
    dense = compact(last)
    if dense.num_qubits <= WIDEST_DENSITY:
        seconds = len(dense.data) * (_COMPILE_STEP_S + _ENTRY_S * 4**dense.num_qubits)
        yield Simulation(method="density_matrix", circuit=dense, seconds=seconds)
    pure = compact(last, reuse=False)
    if pure.num_qubits <= WIDEST_SAMPLED and not {*ERRORS, "reset"}.intersection(pure.count_ops()):
        seconds = len(pure.data) * (_COMPILE_STEP_S + _AMPLITUDE_S * 2**pure.num_qubits)
        yield Simulation(method="statevector", circuit=pure, seconds=seconds)


def _too_wide(circuit: QuantumCircuit, wires: int) -> SimulationRefused:
    size = f"{2 ** (wires - 26):,} GiB" if wires < 60 else f"2^{wires} amplitudes"
    return SimulationRefused(
        asked=f"running {_described(circuit)}",
        found=f"{wires} qubits live at once, a state vector of {size}; at most {WIDEST_STATE} are run",
        remedy=_way_out(circuit),
    )


def _too_long(circuit: QuantumCircuit, quickest: Simulation, shots: int) -> SimulationRefused:
    fits = int(shots * LONGEST_S / quickest.seconds)
    fewer = f"Ask for at most {fits} shots. " if fits else ""
    return SimulationRefused(
        asked=f"{shots} shots of {_described(circuit)}",
        found=f"the quickest simulation ({quickest.method}, {quickest.circuit.num_qubits} wires) would take about "
        f"{quickest.seconds / 3600:,.0f} hours",
        remedy=fewer + _way_out(circuit),
    )


def _communication(circuit: QuantumCircuit) -> int:
    return sum(register.size for register in circuit.qregs if register.name.endswith("_comm"))


def _described(circuit: QuantumCircuit) -> str:
    communication = _communication(circuit)
    if not communication:
        return f"a circuit of {circuit.num_qubits} qubits"
    return f"a circuit of {circuit.num_qubits - communication} data and {communication} communication qubits"


def _way_out(circuit: QuantumCircuit) -> str:
    data = circuit.num_qubits - _communication(circuit)
    if data > WIDEST_STATE:
        return f"Its data qubits alone exceed {WIDEST_STATE}: only Clifford circuits of that width can be run."
    if data == circuit.num_qubits:
        return "Every qubit that is measured and reset earlier makes room."
    return "Give the nodes fewer communication_qubits, so that fewer copies live at once."
