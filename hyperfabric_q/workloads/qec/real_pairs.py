"""Uses of links written out: Bell pairs, local gates, measurements and corrections that follow from their outcomes.

An experiment says of a pair only what its error does to the qubits of the code. Here the same circuit has the pair
itself: two communication qubits, the error on one of them, and the protocol that spends it. Records of the protocol
come in between those of the experiment, so detectors are written anew over the records they had.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import Final

import numpy as np
import stim
from numpy.typing import NDArray

from hyperfabric_q.workloads.qec.crossings import axes
from hyperfabric_q.workloads.qec.experiment import Experiment, LinkUse
from hyperfabric_q.workloads.qec.instructions import instruction, instructions_of, qubits_of
from hyperfabric_q.workloads.qec.links import CLOSE, OPEN

PAIR_TAG: Final = "bell_pair"
"""Tag of the H and the CX that make a pair."""
DATA: Final = "data"
COMM: Final = "comm"

_SPREAD: Final = {"X": "XCX", "Y": "YCX", "Z": "CX"}
_TURN: Final = {"X": "H", "Y": "H_YZ", "Z": ""}
"""Gate that exchanges an axis with Z."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RealPairs:
    """An experiment with its pairs written out.

    Attributes:
        circuit: with measurements and feedback; the same detectors and observables.
        node_of: node per qubit, "" = anywhere.
        role_of: per qubit, "data" for qubits of the code and "comm" for halves of pairs and copies.
        record_of: for each record of the circuit, the record of the experiment, or -1 for one of the protocol.
        protocol_node: for each record, the node that measured it, "" where that is not the protocol's.
        pairs: how many pairs there are.
    """

    circuit: stim.Circuit
    node_of: tuple[str, ...]
    role_of: tuple[str, ...]
    record_of: NDArray[np.int64]
    protocol_node: tuple[str, ...]
    pairs: int


def with_real_pairs(experiment: Experiment) -> RealPairs:
    """Return the experiment with every teleported or copied gate as a protocol over a pair; O(instructions).

    Uses of kind "direct" stay noisy gates.
    """
    return _Writer(experiment).write()


class _Writer:
    def __init__(self, experiment: Experiment) -> None:
        self.experiment = experiment
        self.out = stim.Circuit()
        self.node_of = list(experiment.node_of)
        self.role_of = [DATA] * len(self.node_of)
        self.records = 0
        self.place: list[int] = []
        self.record_of: list[int] = []
        self.protocol_node: list[str] = []
        self.station: dict[str, int] = {}
        self.landing: dict[str, int] = {}
        self.copies: dict[int, tuple[int, int, str]] = {}
        self.by_tag: dict[str, list[stim.CircuitInstruction]] = defaultdict(list)

    def write(self) -> RealPairs:
        uses = self.experiment.links
        done: set[str] = set()
        source = instructions_of(self.experiment.circuit)
        for each in source:
            if each.tag.startswith((OPEN, CLOSE)):
                self.by_tag[each.tag].append(each)
        for each in source:
            head, _, number = each.tag.partition("-")
            if head not in (OPEN, CLOSE) or not number.isdigit() or uses[int(number)].kind == "direct":
                self._plain(each)
            elif each.tag not in done:
                done.add(each.tag)
                use = uses[int(number)]
                if use.kind == "teleported":
                    self._teleport(use, self.by_tag[each.tag][0])
                elif head == OPEN:
                    self._open(int(number), use, self.by_tag[each.tag])
                else:
                    self._end(*self.copies.pop(int(number)))
        return RealPairs(
            circuit=self.out,
            node_of=tuple(self.node_of),
            role_of=tuple(self.role_of),
            record_of=np.array(self.record_of, dtype=np.int64),
            protocol_node=tuple(self.protocol_node),
            pairs=sum(use.kind != "direct" for use in uses),
        )

    def _teleport(self, use: LinkUse, gate: stim.CircuitInstruction) -> None:
        control, target = qubits_of(gate)
        axis = (axes(gate.name) or ("Z", "X"))[0]
        here, there = self._wire(self.station, use.nodes[0]), self._wire(self.landing, use.nodes[1])
        self._entangle(use, control, axis, here, there)
        turn = _TURN[axis]
        if turn:
            self.out.append(instruction(turn, [there]))
        self.out.append(instruction(gate.name, [there, target]))
        if turn:
            self.out.append(instruction(turn, [there]))
        self._end(control, there, axis)

    def _open(self, number: int, use: LinkUse, made: list[stim.CircuitInstruction]) -> None:
        original, copy = qubits_of(made[1])
        axis = (axes(made[1].name) or ("Z", "X"))[0]
        self.role_of[copy] = COMM
        here = self._wire(self.station, self.node_of[original])
        self._entangle(use, original, axis, here, copy)
        self.copies[number] = (original, copy, axis)

    def _entangle(self, use: LinkUse, original: int, axis: str, here: int, there: int) -> None:
        self.out.append(instruction("R", [here, there]))
        self.out.append(instruction("H", [here], tag=PAIR_TAG))
        self.out.append(instruction("CX", [here, there], tag=PAIR_TAG))
        if use.weights[0] < 1:
            self.out.append(instruction("PAULI_CHANNEL_1", [there], use.weights[1:]))
        self.out.append(instruction(_SPREAD[axis], [original, here]))
        self._measure(here)
        self.out.append("CX", [stim.target_rec(-1), there])

    def _end(self, original: int, copy: int, axis: str) -> None:
        self.out.append(instruction("H", [copy]))
        self._measure(copy)
        self.out.append(f"C{axis}", [stim.target_rec(-1), original])

    def _measure(self, wire: int) -> None:
        self.out.append(instruction("M", [wire]))
        self.record_of.append(-1)
        self.protocol_node.append(self.node_of[wire])

    def _wire(self, wires: dict[str, int], node: str) -> int:
        """The communication qubit of a node for this purpose; uses come one after the other, so one is enough."""
        if node not in wires:
            wires[node] = len(self.node_of)
            self.node_of.append(node)
            self.role_of.append(COMM)
        return wires[node]

    def _plain(self, each: stim.CircuitInstruction) -> None:
        targets = each.targets_copy()
        if any(target.is_measurement_record_target for target in targets):
            total = len(self.record_of)
            targets = [
                stim.target_rec(self.place[self.records + target.value] - total)
                if target.is_measurement_record_target
                else target
                for target in targets
            ]
            self.out.append(each.name, targets, each.gate_args_copy(), tag=each.tag)
        else:
            self.out.append(each)
        for _ in range(each.num_measurements):
            self.place.append(len(self.record_of))
            self.record_of.append(self.records)
            self.protocol_node.append("")
            self.records += 1
