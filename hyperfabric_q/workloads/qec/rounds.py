"""Rounds of checks, one after the other, with the detectors that follow from what is known.

Detectors are not written down by hand: before each measurement of a check, the recorder knows which earlier records
predict it. A check that was measured on the qubits S predicts itself on S', if every qubit that came was prepared, and
every one that left was measured, in the basis of the check. So memories, merges, splits and skipped checks need no
special cases.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import stim

from hyperfabric_q.workloads.qec.experiment import ROUND_TAG
from hyperfabric_q.workloads.qec.instructions import instruction, on_records
from hyperfabric_q.workloads.qec.noise_models import DATA_TAG

_RESET: Final = {"Z": "R", "X": "RX"}
_MEASURE: Final = {"Z": "M", "X": "MX"}


class Check(NamedTuple):
    """One stabiliser generator and the order in which it is measured.

    Attributes:
        basis: "X" or "Z".
        ancilla: qubit that is measured.
        data: data qubit of each step, -1 = none.
    """

    basis: str
    ancilla: int
    data: tuple[int, ...]

    @property
    def support(self) -> frozenset[int]:
        """The data qubits."""
        return frozenset(self.data) - {-1}


@dataclass(slots=True)
class _Known:
    """What predicts the next outcome of a check: records, and the qubits they speak of."""

    basis: str
    support: frozenset[int]
    records: tuple[int, ...]


class Rounds:
    """A noiseless circuit in the making; records are numbered from the start of the circuit."""

    def __init__(self, coordinates: Mapping[int, Sequence[float]]) -> None:
        """Start a circuit over qubits at ``coordinates``."""
        self.circuit = stim.Circuit()
        self.round = 0
        self._coordinates = coordinates
        self._records = 0
        self._known: dict[int, _Known | None] = {}
        self._prepared: dict[int, str] = {}
        for qubit, place in sorted(coordinates.items()):
            self.circuit.append(instruction("QUBIT_COORDS", [qubit], place))

    def prepare(self, qubits: Iterable[int], basis: str) -> None:
        """Reset data qubits, or ancillas (in Z), that come in."""
        qubits = sorted(qubits)
        if qubits:
            self.circuit.append(instruction(_RESET[basis], qubits))
        for qubit in qubits:
            self._prepared[qubit] = basis

    def measure_checks(
        self, checks: Sequence[Check], data: Iterable[int], *, skip: Collection[int] = ()
    ) -> dict[int, int]:
        """Do one round and return the record of each ancilla.

        Args:
            checks: what is measured.
            data: the data qubits there are.
            skip: ancillas whose check is left out of this round; a detector then spans the gap.
        """
        active = [check for check in checks if check.ancilla not in skip]
        self.circuit.append(instruction("TICK", tag=ROUND_TAG))
        self.circuit.append(instruction("I", sorted(data), tag=DATA_TAG))
        turned = sorted(check.ancilla for check in active if check.basis == "X")
        any_x = any(check.basis == "X" for check in checks)
        if any_x:
            self._layer("H", turned)
        for step in range(max(len(check.data) for check in checks)):
            self._layer("CX", [q for check in active for q in _gate(check, step)])
        if any_x:
            self._layer("H", turned)
        ancillas = sorted(check.ancilla for check in active)
        if ancillas:
            self.circuit.append(instruction("MR", ancillas))
        record = {ancilla: self._records + at for at, ancilla in enumerate(ancillas)}
        self._records += len(ancillas)
        for check in sorted(active, key=self._place):
            predicted = self._predict(check, check.support)
            if predicted is not None:
                self._detector(check, (record[check.ancilla], *predicted))
            self._known[check.ancilla] = _Known(check.basis, check.support, (record[check.ancilla],))
        self.round += 1
        return record

    def measure_data(self, qubits: Iterable[int], basis: str) -> dict[int, int]:
        """Measure data qubits out, in the step in which the last checks were measured; return their records."""
        qubits = sorted(qubits)
        self.circuit.append(instruction(_MEASURE[basis], qubits))
        record = {qubit: self._records + at for at, qubit in enumerate(qubits)}
        self._records += len(qubits)
        for ancilla, known in self._known.items():
            gone = known.support & record.keys() if known is not None else frozenset()
            if known is None or not gone:
                continue
            rest = (*known.records, *(record[qubit] for qubit in gone))
            self._known[ancilla] = _Known(basis, known.support - gone, rest) if known.basis == basis else None
        for qubit in qubits:
            self._prepared.pop(qubit, None)
        return record

    def close(self, checks: Iterable[Check]) -> None:
        """Add the detectors that compare checks with the readout of all their qubits."""
        for check in sorted(checks, key=self._place):
            predicted = self._predict(check, frozenset())
            if predicted:
                self._detector(check, predicted)

    def observable(self, index: int, records: Iterable[int]) -> None:
        """Add an observable: the parity of ``records``."""
        self.circuit.append(on_records("OBSERVABLE_INCLUDE", records, [index], self._records))

    def _layer(self, name: str, targets: Sequence[int]) -> None:
        if targets:
            self.circuit.append(instruction(name, targets))
        self.circuit.append(instruction("TICK"))

    def _predict(self, check: Check, support: frozenset[int]) -> tuple[int, ...] | None:
        """The records whose parity the check must have on ``support``; None when it is random."""
        known = self._known.get(check.ancilla, _Known(check.basis, frozenset(), ()))
        if known is None or known.support - support:
            return None
        if any(self._prepared.get(qubit) != check.basis for qubit in support - known.support):
            return None
        return known.records

    def _detector(self, check: Check, records: Iterable[int]) -> None:
        place = (*self._coordinates[check.ancilla], self.round)
        self.circuit.append(on_records("DETECTOR", records, place, self._records))

    def _place(self, check: Check) -> tuple[float, ...]:
        return tuple(reversed(self._coordinates[check.ancilla]))


def _gate(check: Check, step: int) -> tuple[int, ...]:
    if step >= len(check.data) or check.data[step] < 0:
        return ()
    pair = (check.ancilla, check.data[step])
    return pair if check.basis == "X" else pair[::-1]
