"""Gates across nodes replaced by uses of links, and the noise that comes with them.

Three kinds of use:

* ``direct``: a gate over a noisy link. Its noise is DEPOLARIZE2 with the parameter that makes a pair of the same
  fidelity, p = 15/12 (1 - F): errors on every Pauli, so harsher than a teleported gate over the same pair.
* ``teleported``: one Bell pair per gate. The gate is exact, and the Pauli on the pair's half appears on its qubits: X
  becomes the gate's Pauli on the target, Z its Pauli on the control, Y both (Eisert et al. 2000). In a square root
  such as SQRT_ZZ, X becomes both and Y the Pauli on the target.
* ``cat``: one Bell pair per qubit, round and remote node. A copy stands on a qubit of its own while its gates are done.
  An error of the pair reaches all targets of the copy, which along a seam can halve the distance against such errors.

The noise of a link takes the place of the noise that the gate would have on one node, unless that is asked to stay.
Instructions of use k are tagged ``link-k``, so that no simplification of stim merges them with others.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from typing import Final, NamedTuple

import numpy as np
import stim
from numpy.typing import ArrayLike, NDArray

from hyperfabric_q.entanglement.state import TOLERANCE, check_fidelity, check_weights, werner
from hyperfabric_q.entanglement.state import weights as weights_of
from hyperfabric_q.errors import InternalError, InvalidValue
from hyperfabric_q.workloads.qec.crossings import Crossing, axes, crossings, is_passive, shared
from hyperfabric_q.workloads.qec.experiment import PERFECT, Experiment, LinkKind, LinkUse, Weights
from hyperfabric_q.workloads.qec.instructions import correlated, instruction, instructions_of, qubits_of

FloatArray = NDArray[np.float64]

OPEN: Final = "link"
"""Tag prefix of what makes and carries a pair."""
CLOSE: Final = "unlink"
"""Tag prefix of what ends a copy."""

_PAIR_CHANNELS: Final = frozenset({"DEPOLARIZE2", "PAULI_CHANNEL_2"})
_SPREAD: Final = {"X": "XCX", "Y": "YCX", "Z": "CX"}
_ORDER: Final = [a + b for a in "IXYZ" for b in "IXYZ"][1:]


def seam_from_fidelity(fidelity: ArrayLike) -> FloatArray:
    """Return the parameter of DEPOLARIZE2 that turns a perfect pair into one of this fidelity: 15/12 (1 - F).

    XX, YY and ZZ leave a pair alone, so 12 of the 15 errors count.

    Raises:
        InvalidValue: a fidelity is not in [0.25, 1].
    """
    return np.asarray((1 - check_fidelity(fidelity)) * 15 / 12)


def fidelity_from_seam(p: ArrayLike) -> FloatArray:
    """Return the fidelity of a pair after DEPOLARIZE2 with parameter ``p``: 1 - 12/15 p."""
    return np.asarray(1 - np.asarray(p, dtype=np.float64) * 12 / 15)


def werner_weights(fidelity: ArrayLike) -> FloatArray:
    """Return the weights (..., 4) of Werner states of these fidelities: F, and (1 - F)/3 of each error.

    Raises:
        InvalidValue: a fidelity is not in [0.25, 1].
    """
    return weights_of(werner(fidelity))


class Distributed(NamedTuple):
    """A circuit whose gates between nodes are uses of links."""

    circuit: stim.Circuit
    node_of: tuple[str, ...]
    links: tuple[LinkUse, ...]


def distribute(
    circuit: stim.Circuit, node_of: Sequence[str], kind: LinkKind, *, keep_gate_noise: bool = False
) -> Distributed:
    """Return the circuit with its gates between nodes done over perfect pairs; O(targets).

    ``with_weights`` of the experiment then gives each pair its state.

    Args:
        circuit: without ``REPEAT``, with or without noise.
        node_of: node per qubit; "" is on every node.
        kind: how gates cross.
        keep_gate_noise: whether two-qubit noise right after a crossing gate stays, beside that of the pair.

    Raises:
        UnsupportedOperation: an operation across nodes that a link cannot carry.
    """
    found = crossings(circuit, node_of, kind=kind)
    return _Writer(circuit, list(node_of), kind, found, keep_gate_noise=keep_gate_noise).write()


def with_weights(experiment: Experiment, weights: ArrayLike) -> Experiment:
    """Return the experiment with other states of its pairs; a few microseconds per pair.

    Args:
        experiment: with uses of links.
        weights: (pI, pX, pY, pZ) of every use, shape (uses, 4) or any that reshapes to it, or (4,) for all alike;
            ``werner_weights`` makes them from fidelities.

    Raises:
        InvalidValue: weights of another number of pairs, or no weights at all.
    """
    rows = check_weights(weights)
    uses = len(experiment.links)
    rows = np.broadcast_to(rows, (uses, 4)) if rows.ndim == 1 else rows.reshape(-1, 4)
    if len(rows) != uses:
        rule = f"the experiment uses {uses} pairs, and each has four weights"
        raise InvalidValue(field="weights", value=np.shape(weights), rule=rule)
    rows = np.clip(rows, 0, None)
    rows = rows / rows.sum(axis=1, keepdims=True)
    circuit, start = stim.Circuit(), 0
    links: list[LinkUse] = []
    for use, row in zip(experiment.links, rows.tolist(), strict=True):
        circuit += experiment.circuit[start : use.instruction]
        gate, start = experiment.circuit[use.instruction - 1], use.instruction
        old = experiment.circuit[start]
        while start < len(experiment.circuit) and experiment.circuit[start].tag == old.tag:
            start += 1
        weights = (row[0], row[1], row[2], row[3])
        links.append(use._replace(weights=weights, instruction=len(circuit)))
        for each in _noise(use.kind, gate, weights):
            circuit.append(each)
    circuit += experiment.circuit[start:]
    return replace(experiment, circuit=circuit, links=tuple(links))


def _noise(
    kind: LinkKind, gate: stim.CircuitInstruction | stim.CircuitRepeatBlock, weights: Weights
) -> list[stim.CircuitInstruction]:
    """The noise of a pair, after the gate that it carries, or after the gate that makes a copy."""
    if isinstance(gate, stim.CircuitRepeatBlock):
        raise InternalError(what="the noise of a link follows a loop")
    qubits, tag = qubits_of(gate), gate.tag
    if kind == "direct":
        return [instruction("DEPOLARIZE2", qubits, [min(15 / 12 * sum(weights[1:]), 15 / 16)], tag=tag)]
    if kind == "cat":
        copy = qubits[1]
        return _pauli_noise(f"X{copy}", f"Z{copy}", f"Y{copy}", weights, tag) or [
            instruction("PAULI_CHANNEL_1", [copy], weights[1:], tag=tag)
        ]
    control, target = axes(gate.name) or ("Z", "X")
    # A flipped copy turns a controlled Pauli into itself and that Pauli, but a square root into its inverse.
    flipped, both = f"I{target}", f"{control}{target}"
    if gate.name.startswith("SQRT"):
        flipped, both = both, flipped
    chances = dict(zip((flipped, both, f"{control}I"), weights[1:], strict=True))
    x, y, z = (
        " ".join(f"{axis}{qubit}" for axis, qubit in zip(each, qubits, strict=True) if axis != "I") for each in chances
    )
    return _pauli_noise(x, z, y, weights, tag) or [
        instruction("PAULI_CHANNEL_2", qubits, [chances.get(each, 0.0) for each in _ORDER], tag=tag)
    ]


def _pauli_noise(x: str, z: str, y: str, weights: Weights, tag: str) -> list[stim.CircuitInstruction]:
    """The errors named ``x``, ``y`` and ``z`` as independent ones; empty where there are no such chances.

    stim analyses independent errors exactly; of others it has to be told that it may approximate the chances.
    """
    chances = independent(weights)
    if chances is None:
        return []
    return [correlated(each, chance, tag=tag) for each, chance in zip((x, y, z), chances, strict=True)]


def independent(weights: Weights) -> tuple[float, float, float] | None:
    """Return chances of X, Y and Z that, drawn independently, make these weights; None where no such chances exist.

    The weights of independent errors are the product of their characters, so (1 - 2 q_X)² = λ_X λ_Y / λ_Z with
    λ_X = 1 - 2 (p_X + p_Y) and so on. Werner states have such chances; two errors that exclude each other have not.
    """
    _, x, y, z = weights
    of_x, of_z, of_y = 1 - 2 * (x + y), 1 - 2 * (z + y), 1 - 2 * (x + z)
    if max(abs(of_x), abs(of_y), abs(of_z)) < TOLERANCE:
        return 0.5, 0.0, 0.5
    if min(of_x, of_y, of_z) < TOLERANCE:
        return None
    squares = (of_x * of_y / of_z, of_x * of_z / of_y, of_z * of_y / of_x)
    if max(squares) > 1 + TOLERANCE:
        return None
    chances = [(1 - math.sqrt(min(each, 1.0))) / 2 for each in squares]
    return chances[0], chances[1], chances[2]


class _Copy(NamedTuple):
    use: int
    qubit: int


class _Writer:
    """One pass over a circuit that writes it anew."""

    def __init__(
        self,
        circuit: stim.Circuit,
        node_of: list[str],
        kind: LinkKind,
        found: Sequence[Crossing],
        *,
        keep_gate_noise: bool,
    ) -> None:
        self.source, self.kind, self.found, self.keep = circuit, kind, found, keep_gate_noise
        self.out = stim.Circuit()
        self.node_of = node_of + [""] * (circuit.num_qubits - len(node_of))
        self.links: list[LinkUse] = []
        self.by_instruction: dict[int, dict[int, int]] = defaultdict(dict)
        for number, each in enumerate(found):
            self.by_instruction[each.at][each.place] = number
        self.copy_of = shared(found) if kind == "cat" else ()
        self.last = {first: number for number, (first, _) in enumerate(self.copy_of)}
        self.copies: dict[int, _Copy] = {}
        self.free: dict[str, list[int]] = defaultdict(list)
        self.replaced: dict[tuple[int, int], tuple[int, int]] = {}
        self.closing: list[stim.CircuitInstruction] = []
        self.ended: list[int] = []

    def write(self) -> Distributed:
        for at, each in enumerate(instructions_of(self.source)):
            if not is_passive(each.name) or each.name == "TICK":
                # A copy ends after the noise of its last gate.
                self._close()
            places = self.by_instruction.get(at)
            if places is not None:
                self._gates(each, places)
            elif each.name in _PAIR_CHANNELS and self.replaced:
                self._local_noise(each)
            else:
                if each.name == "TICK":
                    self.replaced = {}
                self.out.append(each)
        self._close()
        return Distributed(self.out, tuple(self.node_of), tuple(self.links))

    def _gates(self, each: stim.CircuitInstruction, places: dict[int, int]) -> None:
        run: list[stim.GateTarget] = []
        groups = each.target_groups()
        every = [target.value for group in groups for target in group if target.is_qubit_target]
        # Gates on different qubits commute: those that cross come last, so that the others stay one instruction.
        order = list(range(len(groups)))
        if len(set(every)) == len(every):
            order.sort(key=places.__contains__)
        for place in order:
            if place not in places:
                run.extend(groups[place])
                continue
            self._flush(each, run)
            self._cross(self.found[places[place]], places[place])
        self._flush(each, run)

    def _close(self) -> None:
        for each in self.closing:
            self.out.append(each)
        self.closing.clear()
        for qubit in self.ended:
            self.free[self.node_of[qubit]].append(qubit)
        self.ended.clear()

    def _flush(self, each: stim.CircuitInstruction, run: list[stim.GateTarget]) -> None:
        if run and not each.tag and all(target.is_qubit_target for target in run):
            self.out.append(instruction(each.name, [target.value for target in run], each.gate_args_copy()))
        elif run:
            self.out.append(each.name, run, each.gate_args_copy(), tag=each.tag)
        run.clear()

    def _cross(self, gate: Crossing, number: int) -> None:
        if self.kind == "cat":
            self._cross_by_copy(gate, number)
            return
        tag = f"{OPEN}-{len(self.links)}"
        self.out.append(instruction(gate.name, gate.qubits, tag=tag))
        self._use(gate)
        self.replaced[gate.qubits] = gate.qubits

    def _cross_by_copy(self, gate: Crossing, number: int) -> None:
        first, side = self.copy_of[number]
        here, there = gate.qubits[side], gate.qubits[1 - side]
        both = axes(gate.name) or ("Z", "X")
        spread, remote = _SPREAD[both[side]], both[1 - side]
        if first not in self.copies:
            node = self.node_of[there]
            qubit = self.free[node].pop() if self.free[node] else self._new(node)
            tag = f"{OPEN}-{len(self.links)}"
            self.copies[first] = _Copy(len(self.links), qubit)
            self.out.append(instruction("R", [qubit], tag=tag))
            self.out.append(instruction(spread, [here, qubit], tag=tag))
            self._use(gate)
        copy = self.copies[first]
        self.out.append(instruction(f"C{remote}", [copy.qubit, there]))
        self.replaced[gate.qubits] = (copy.qubit, there) if side == 0 else (there, copy.qubit)
        if self.last[first] == number:
            tag = f"{CLOSE}-{copy.use}"
            self.closing.append(instruction(spread, [here, copy.qubit], tag=tag))
            self.closing.append(instruction("R", [copy.qubit], tag=tag))
            self.ended.append(copy.qubit)

    def _use(self, gate: Crossing) -> None:
        a, b = gate.qubits
        nodes = (self.node_of[a], self.node_of[b])
        self.links.append(LinkUse(gate.round, a, b, nodes, self.kind, PERFECT, len(self.out)))
        for each in _noise(self.kind, self.out[-1], PERFECT):
            self.out.append(each)

    def _new(self, node: str) -> int:
        self.node_of.append(node)
        return len(self.node_of) - 1

    def _local_noise(self, each: stim.CircuitInstruction) -> None:
        qubits = qubits_of(each)
        kept: list[int] = []
        for pair in zip(qubits[::2], qubits[1::2], strict=True):
            if pair not in self.replaced and pair[::-1] not in self.replaced:
                kept.extend(pair)
            elif self.keep:
                there = self.replaced.get(pair)
                kept.extend(there if there is not None else self.replaced[pair[::-1]][::-1])
        if kept:
            self.out.append(instruction(each.name, kept, each.gate_args_copy(), tag=each.tag))
