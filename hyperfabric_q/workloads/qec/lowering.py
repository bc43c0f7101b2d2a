"""Experiments as Qiskit circuits with real feed-forward, and detection events from what such circuits measure.

Registers are those of all distributed circuits of this package: ``<node>_data`` and ``<node>_comm`` for the wires,
``syndrome`` for the experiment's own records and ``<node>_proto`` for those of the link protocol. A wire that is on no
node in particular is in ``data``. Pauli noise becomes Aer channels; a Pauli under a measurement record becomes an
``if_test``.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import numpy as np
import stim
from numpy.typing import NDArray
from qiskit import QuantumCircuit
from qiskit.circuit import ClassicalRegister, Clbit, Gate, QuantumRegister, Qubit
from qiskit.circuit.library import (
    CXGate,
    CYGate,
    CZGate,
    HGate,
    Measure,
    Reset,
    SdgGate,
    SGate,
    SwapGate,
    SXdgGate,
    SXGate,
    XGate,
    YGate,
    ZGate,
)

from hyperfabric_q.distribution.lower import BellPairGate
from hyperfabric_q.errors import InvalidValue, UnsupportedOperation
from hyperfabric_q.execution.pauli_channels import pauli_channel, run_shots
from hyperfabric_q.execution.wires import compact
from hyperfabric_q.workloads.qec.experiment import Experiment
from hyperfabric_q.workloads.qec.instructions import instructions_of
from hyperfabric_q.workloads.qec.real_pairs import PAIR_TAG, with_real_pairs

Bits = NDArray[np.bool_]
Wires = Sequence[Qubit]

_GATES: Final[dict[str, Gate]] = {
    "H": HGate(), "X": XGate(), "Y": YGate(), "Z": ZGate(), "S": SGate(), "S_DAG": SdgGate(), "SQRT_X": SXGate(),
    "SQRT_X_DAG": SXdgGate(), "CX": CXGate(), "CY": CYGate(), "CZ": CZGate(), "SWAP": SwapGate(),
}  # fmt: skip
_MEASUREMENTS: Final = {"M": ("", False), "MX": ("H", False), "MR": ("", True), "MRX": ("H", True)}
_RESETS: Final = {"R": "", "RX": "H"}
_FLIPS: Final = {"X_ERROR": "X", "Y_ERROR": "Y", "Z_ERROR": "Z"}
_PAIRS_OF_PAULIS: Final = tuple(a + b for a in "IXYZ" for b in "IXYZ")[1:]
_SILENT: Final = frozenset({"TICK", "DETECTOR", "OBSERVABLE_INCLUDE", "QUBIT_COORDS", "SHIFT_COORDS", "I"})
_CONTROLLED: Final = {"CX": "X", "CY": "Y", "CZ": "Z", "XCZ": "X", "YCZ": "Y"}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LoweredExperiment:
    """An experiment as a Qiskit circuit.

    Attributes:
        circuit: with its noise as Aer channels and ``bell_pair`` gates where links are used.
        written_out: the same as a stim circuit.
        node_of: node per wire of ``circuit``.
        record_bits: classical bit of each record of ``written_out``.
        pairs: Bell pairs per shot.
    """

    circuit: QuantumCircuit
    written_out: stim.Circuit
    node_of: tuple[str, ...]
    record_bits: NDArray[np.int64]
    pairs: int

    def detection_events(self, bits: Bits | Sequence[str] | Mapping[str, int]) -> tuple[Bits, Bits]:
        """Return detectors (shots, detectors) and observables (shots, observables) of measured bits.

        Args:
            bits: per shot, bit i being ``circuit.clbits[i]``; or Qiskit's texts, as ``get_memory()`` returns them; or
                its counts, of which every shot becomes a row.

        Raises:
            InvalidValue: rows of another width.
        """
        rows = _rows(bits)
        if rows.ndim != 2 or rows.shape[1] != self.circuit.num_clbits:
            rule = f"each shot has {self.circuit.num_clbits} bits"
            raise InvalidValue(field="bits", value=rows.shape, rule=rule)
        converter = self.written_out.compile_m2d_converter()
        detectors, observables = converter.convert(
            measurements=np.ascontiguousarray(rows[:, self.record_bits]), separate_observables=True
        )
        return detectors, observables


def lower(experiment: Experiment) -> LoweredExperiment:
    """Return the experiment as a Qiskit circuit with explicit Bell pairs and feed-forward; tens of µs per operation.

    Gates that Aer's stabilizer method does not know are written with those it knows.

    Raises:
        UnsupportedOperation: an instruction that Aer cannot carry out, such as a measurement with a chance of a wrong
            record (write a flip before it).
        InvalidValue: the circuit has loops.
    """
    real = with_real_pairs(experiment)
    source = instructions_of(real.circuit)
    used = sorted({target.value for each in source for target in _qubit_targets(each)})
    circuit, wires, node_of = QuantumCircuit(), dict[int, Qubit](), []
    members: dict[tuple[str, str], list[int]] = defaultdict(list)
    for qubit in used:
        members[real.node_of[qubit], real.role_of[qubit]].append(qubit)
    for (node, role), qubits in members.items():
        register = QuantumRegister(len(qubits), f"{node}_{role}" if node else role)
        circuit.add_register(register)
        wires.update(zip(qubits, register, strict=True))
        node_of += [node] * len(qubits)
    clbits = _classical(circuit, real.record_of, real.protocol_node)
    writer = _Writer(circuit, wires, clbits)
    for at, each in enumerate(source):
        writer.add(each, at)
    index = {bit: place for place, bit in enumerate(circuit.clbits)}
    bits = np.array([index[bit] for bit in clbits], dtype=np.int64)
    bits.setflags(write=False)
    return LoweredExperiment(
        circuit=circuit, written_out=real.circuit, node_of=tuple(node_of), record_bits=bits, pairs=real.pairs
    )


def sample_on_aer(
    experiment: Experiment | LoweredExperiment, *, shots: int, seed: int, threads: int = 1
) -> tuple[Bits, Bits]:
    """Return detectors and observables of shots on Aer's stabilizer simulator, with every correction fed forward.

    Args:
        experiment: lowered or not.
        shots: how many.
        seed: the same seed gives the same shots.
        threads: of Aer.
    """
    lowered = lower(experiment) if isinstance(experiment, Experiment) else experiment
    bits = run_shots(compact(lowered.circuit), shots=shots, seed=seed, threads=threads)
    return lowered.detection_events(bits)


def _classical(circuit: QuantumCircuit, record_of: NDArray[np.int64], protocol_node: Sequence[str]) -> list[Clbit]:
    """Add the classical registers, and return the bit of each record."""
    own = ClassicalRegister(int((record_of >= 0).sum()), "syndrome")
    circuit.add_register(own)
    of_node: dict[str, list[int]] = defaultdict(list)
    for record, node in enumerate(protocol_node):
        if record_of[record] < 0:
            of_node[node].append(record)
    bits: dict[int, Clbit] = {record: own[int(to)] for record, to in enumerate(record_of) if to >= 0}
    for node, records in of_node.items():
        register = ClassicalRegister(len(records), f"{node}_proto" if node else "proto")
        circuit.add_register(register)
        bits.update(zip(records, register, strict=True))
    return [bits[record] for record in range(len(record_of))]


class _Writer:
    def __init__(self, circuit: QuantumCircuit, wires: Mapping[int, Qubit], clbits: Sequence[Clbit]) -> None:
        self.circuit, self.wires, self.clbits = circuit, wires, clbits
        self.records = 0
        self.half: Qubit | None = None

    def add(self, each: stim.CircuitInstruction, at: int) -> None:
        name = each.name
        if name in _SILENT:
            return
        if each.tag == PAIR_TAG:
            self._pair(each)
        elif any(not target.is_qubit_target for target in each.targets_copy()) and name in _CONTROLLED:
            self._feed_forward(each, at)
        elif name in _GATES:
            width = _GATES[name].num_qubits
            self._each(_GATES[name], _qubits(each), width)
        elif name in _MEASUREMENTS and not each.gate_args_copy():
            self._measure(each, *_MEASUREMENTS[name])
        elif name in _RESETS:
            for qubit in _qubits(each):
                self._put(Reset(), [qubit])
                self._turn(_RESETS[name], qubit)
        elif name in ("DEPOLARIZE1", "DEPOLARIZE2", "PAULI_CHANNEL_1", "PAULI_CHANNEL_2", "CORRELATED_ERROR", *_FLIPS):
            self._noise(each)
        else:
            self._decomposed(each, at)

    def _decomposed(self, each: stim.CircuitInstruction, at: int) -> None:
        alone = stim.Circuit()
        alone.append(each)
        simpler = [] if each.gate_args_copy() else instructions_of(alone.decomposed())
        if not simpler or any(one.name == each.name for one in simpler):
            reason = (
                "Aer's stabilizer method has no such operation; write its noise as Pauli channels before or after it"
            )
            raise UnsupportedOperation(operation=str(each), index=at, reason=reason)
        for one in simpler:
            self.add(one, at)

    def _pair(self, each: stim.CircuitInstruction) -> None:
        # A pair is written as H and CX, and the two stand together.
        if each.name == "CX":
            self._put(BellPairGate(), _qubits(each))

    def _feed_forward(self, each: stim.CircuitInstruction, at: int) -> None:
        for group in each.target_groups():
            record = next((target for target in group if target.is_measurement_record_target), None)
            wire = next((target for target in group if target.is_qubit_target), None)
            if wire is None or record is None:
                if all(target.is_qubit_target for target in group):
                    self._each(_GATES[each.name], [target.value for target in group], 2)
                    continue
                raise UnsupportedOperation(operation=str(each), index=at, reason="its control is not a measurement")
            with self.circuit.if_test((self.clbits[self.records + record.value], 1)):
                self._put(_GATES[_CONTROLLED[each.name]], [wire.value])

    def _measure(self, each: stim.CircuitInstruction, turn: str, reset: bool) -> None:  # noqa: FBT001  # a row of a table
        for target in each.targets_copy():
            qubit = target.value
            self._turn(turn, qubit)
            if target.is_inverted_result_target:
                self._put(_GATES["X"], [qubit])
            self.circuit.append(Measure(), [self.wires[qubit]], [self.clbits[self.records]], copy=False)
            self.records += 1
            if reset:
                self._put(Reset(), [qubit])
            elif target.is_inverted_result_target:
                self._put(_GATES["X"], [qubit])
            self._turn(turn, qubit)

    def _noise(self, each: stim.CircuitInstruction) -> None:
        if each.name == "CORRELATED_ERROR":
            targets = [target for target in each.targets_copy() if not target.is_combiner]
            letters = "".join(target.pauli_type for target in targets)
            channel = pauli_channel(((letters, each.gate_args_copy()[0]),))
            if channel is not None:
                self._put(channel, [target.value for target in targets])
            return
        channel, width = _channel(each.name, tuple(each.gate_args_copy()))
        if channel is not None:
            self._each(channel, _qubits(each), width)

    def _turn(self, gate: str, qubit: int) -> None:
        if gate:
            self._put(_GATES[gate], [qubit])

    def _each(self, operation: Any, qubits: Sequence[int], width: int) -> None:
        for start in range(0, len(qubits), width):
            self._put(operation, qubits[start : start + width])

    def _put(self, operation: Any, qubits: Sequence[int]) -> None:
        self.circuit.append(operation, [self.wires[qubit] for qubit in qubits], copy=False)


@lru_cache(maxsize=1024)
def _channel(name: str, chances: tuple[float, ...]) -> tuple[Any, int]:
    """The Aer channel of a stim noise instruction, and on how many qubits it acts."""
    if name in _FLIPS:
        return pauli_channel(((_FLIPS[name], chances[0]),)), 1
    letters: Sequence[str] = "XYZ" if name.endswith("1") else _PAIRS_OF_PAULIS
    each = chances if name.startswith("PAULI") else (chances[0] / len(letters),) * len(letters)
    return pauli_channel(tuple(zip(letters, each, strict=True))), len(letters[0])


def _qubit_targets(each: stim.CircuitInstruction) -> list[stim.GateTarget]:
    if each.name in _SILENT:
        return []
    return [
        target
        for target in each.targets_copy()
        if not (target.is_measurement_record_target or target.is_sweep_bit_target or target.is_combiner)
    ]


def _qubits(each: stim.CircuitInstruction) -> list[int]:
    return [target.value for target in each.targets_copy()]


def _rows(bits: Bits | Sequence[str] | Mapping[str, int]) -> Bits:
    if isinstance(bits, np.ndarray):
        return bits.astype(np.bool_)
    counted: list[tuple[str, int]] = list(bits.items()) if isinstance(bits, Mapping) else [(row, 1) for row in bits]
    texts = ["".join(text.split()) for text, _ in counted]
    # Qiskit writes the last bit first.
    letters = np.array([list(text[::-1].encode()) for text in texts], dtype=np.uint8)
    return np.repeat(letters == ord("1"), [hits for _, hits in counted], axis=0)
