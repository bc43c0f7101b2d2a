"""What an error-correction experiment is: an annotated stim circuit and the tables that go with it.

The circuit is the whole experiment for anything that samples or decodes. The tables say what stim has no words for:
which node holds each qubit, and which of its noise instructions stands for a Bell pair that a link supplied.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, NamedTuple, TypeAlias, get_args

import numpy as np
import stim
from numpy.typing import NDArray

from hyperfabric_q.entanglement.state import check_weights
from hyperfabric_q.errors import InvalidValue

IntArray: TypeAlias = NDArray[np.int64]
Weights: TypeAlias = tuple[float, float, float, float]
LinkKind: TypeAlias = Literal["direct", "teleported", "cat"]

DEFAULT_CYCLE_NS: Final = 1100.0
"""Time of one round of superconducting surface codes."""

ROUND_TAG: Final = "round"
"""Tag of the TICK at which a round starts."""

PERFECT: Final[Weights] = (1.0, 0.0, 0.0, 0.0)
"""Weights of the noiseless pair."""


class LinkUse(NamedTuple):
    """One Bell pair, or one use of a noisy gate between nodes, spent by a circuit.

    Attributes:
        round: in which round, from 0.
        control: qubit that holds the control of the gate.
        target: qubit that holds its target; the first one where one pair serves several gates ("cat").
        nodes: node of the control and node of the target.
        kind: how the gate crosses.
        weights: of the pair, over (Φ⁺, Ψ⁺, Ψ⁻, Φ⁻): the chances of (I, X, Y, Z) on one half.
        instruction: index in the circuit of the noise that stands for the pair: this instruction and those that follow
            it with the same tag.
    """

    round: int
    control: int
    target: int
    nodes: tuple[str, str]
    kind: LinkKind
    weights: Weights
    instruction: int


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Experiment:
    """A noisy annotated circuit, where its qubits are and how it uses links.

    Attributes:
        circuit: noisy, with observables, and with detectors whose last coordinate is the round; not to be changed.
        node_of: node id per qubit index; "" = anywhere.
        rounds: syndrome rounds; detectors of the final readout belong to round ``rounds``.
        code: name of the code.
        distance: of the code, None where nobody stated it.
        basis: of the logical observable, "X" or "Z".
        noise: name of the noise model.
        cycle_ns: duration of a round.
        links: the uses of links, in the order of the circuit.
        metadata: parameters worth keeping in a results file.
        detector_rounds: round of each detector, shape (detectors,).
        bits_per_round: detectors of each round, shape (rounds + 1,) or longer; what a frame of that round carries.

    Raises:
        InvalidValue: a field does not fit the circuit.
    """

    circuit: stim.Circuit
    node_of: tuple[str, ...]
    rounds: int
    code: str
    distance: int | None
    basis: str
    noise: str
    cycle_ns: float = DEFAULT_CYCLE_NS
    links: tuple[LinkUse, ...] = ()
    metadata: Mapping[str, Any] = field(default_factory=dict)
    detector_rounds: IntArray = field(init=False, repr=False)
    bits_per_round: IntArray = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if self.rounds < 1:
            raise InvalidValue(field="rounds", value=self.rounds, rule="an experiment has at least one round")
        if self.basis not in ("X", "Z"):
            raise InvalidValue(field="basis", value=self.basis, rule='the basis is "X" or "Z"')
        if not (np.isfinite(self.cycle_ns) and self.cycle_ns > 0):
            raise InvalidValue(field="cycle_ns", value=self.cycle_ns, rule="a round takes a finite, positive time")
        if len(self.node_of) != self.circuit.num_qubits:
            rule = f"the circuit has {self.circuit.num_qubits} qubits, and each needs a node or ''"
            raise InvalidValue(field="node_of", value=len(self.node_of), rule=rule)
        for use in self.links:
            _check_use(use, len(self.circuit))
        if self.links:
            check_weights([use.weights for use in self.links])
        of_detector = _rounds_of(self.circuit)
        per_round = np.bincount(of_detector, minlength=self.rounds + 1).astype(np.int64)
        for array in (of_detector, per_round):
            array.setflags(write=False)
        object.__setattr__(self, "detector_rounds", of_detector)
        object.__setattr__(self, "bits_per_round", per_round)
        object.__setattr__(self, "metadata", dict(self.metadata))

    def __repr__(self) -> str:
        nodes = len(set(self.node_of) - {""})
        where = f", {nodes} nodes, {len(self.links)} link uses" if nodes else ""
        distance = "" if self.distance is None else f" d={self.distance}"
        return (
            f"<Experiment: {self.code}{distance}, basis {self.basis}, {self.rounds} rounds, noise {self.noise}, "
            f"{self.circuit.num_qubits} qubits, {self.circuit.num_detectors} detectors{where}>"
        )


def _check_use(use: LinkUse, instructions: int) -> None:
    if use.kind not in get_args(LinkKind):
        raise InvalidValue(field="kind", value=use.kind, rule=f"a link is used in one of the ways {get_args(LinkKind)}")
    if not 0 <= use.instruction < instructions:
        rule = f"the instruction of a link use is one of the {instructions} of the circuit"
        raise InvalidValue(field="instruction", value=use.instruction, rule=rule)


def split_rounds(circuit: stim.Circuit) -> tuple[stim.Circuit, ...]:
    """Return a flat circuit in pieces: what precedes the first round, then one piece per round.

    A piece begins with the ``TICK`` that is tagged ``"round"``, as in all circuits of this package, so the last piece
    includes the final readout. The pieces concatenate to the circuit. A circuit without tags is one piece.
    """
    starts = [at for at in range(len(circuit)) if circuit[at].name == "TICK" and circuit[at].tag == ROUND_TAG]
    edges = [0, *starts, len(circuit)]
    return tuple(circuit[a:b] for a, b in itertools.pairwise(edges))


def _rounds_of(circuit: stim.Circuit) -> IntArray:
    coordinates = circuit.get_detector_coordinates()
    rounds = np.zeros(circuit.num_detectors, dtype=np.int64)
    for detector in range(circuit.num_detectors):
        place = coordinates.get(detector, [])
        if not place or place[-1] < 0 or place[-1] != int(place[-1]):
            raise InvalidValue(
                field=f"coordinates of detector {detector}",
                value=place,
                rule="the last coordinate of a detector is its round, a whole number from 0",
                remedy="from_stim(circuit, round_coord=...) moves the round there from another coordinate.",
            )
        rounds[detector] = int(place[-1])
    return rounds
