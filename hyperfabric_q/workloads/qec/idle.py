"""The same experiment with more rounds or fewer: how idle rounds get into a circuit.

A circuit is cut where its rounds end, after the last detector of each. Rounds in the middle must be alike, so that
one of them can stand for an idle round; as many copies as wanted are put before the readout, as a REPEAT block.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import stim

from hyperfabric_q.errors import InvalidValue
from hyperfabric_q.workloads.qec.experiment import Experiment
from hyperfabric_q.workloads.qec.instructions import instructions_of


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Sections:
    """An experiment cut into rounds.

    Attributes:
        experiment: whose they are.
        rounds: the circuit of each round, flat, with detectors at their own rounds.
        first: number of the first of them; 0, unless the first rounds have no detectors.
        tail: what comes after the last round: readout, its detectors and the observables.
        alike: the first round from which on all are alike but for their noise's strength.
        width: coordinates of a detector; 0 where they differ.
    """

    experiment: Experiment
    rounds: tuple[stim.Circuit, ...]
    first: int
    tail: stim.Circuit
    alike: int
    width: int

    def with_rounds(self, rounds: int) -> Experiment:
        """Return the experiment with so many rounds; it has no table of link uses, for those are of its own circuit.

        Raises:
            InvalidValue: there are too few rounds that are alike to leave out, or none to repeat.
        """
        mine = self.experiment.rounds
        if rounds == mine:
            return self.experiment
        if rounds < mine:
            kept = len(self.rounds) - (mine - rounds)
            if kept <= self.alike:
                rule = f"rounds before {self.alike} are unlike the others, so {self.alike + 1} rounds are the least"
                raise InvalidValue(field="rounds", value=rounds, rule=rule)
            circuit = _joined(self.rounds[:kept])
        else:
            if self.alike + 1 >= len(self.rounds) or not self.width:
                raise InvalidValue(
                    field="rounds",
                    value=rounds,
                    rule="no two rounds in a row are alike, so none can stand for an idle round",
                    remedy="Give a circuit of more rounds, each declaring its detectors at its end.",
                )
            circuit = _joined(self.rounds)
            body = stim.Circuit()
            body.append("SHIFT_COORDS", [], [0.0] * (self.width - 1) + [1.0])
            body += self.rounds[-1]
            circuit.append(stim.CircuitRepeatBlock(rounds - mine, body))
        circuit += _shifted(self.tail, min(rounds - mine, 0), self.width)
        return replace(self.experiment, circuit=circuit, rounds=rounds, links=())


def sections(experiment: Experiment) -> Sections:
    """Return an experiment cut into rounds. Cost: some µs per instruction.

    Raises:
        InvalidValue: the detectors are not declared round by round.
    """
    flat = experiment.circuit.flattened()
    ends: dict[int, int] = {}
    widths = set()
    for index, instruction in enumerate(instructions_of(flat)):
        if instruction.name == "DETECTOR":
            place = instruction.gate_args_copy()
            ends[int(place[-1])] = index
            widths.add(len(place))
    last = [ends[number] for number in sorted(ends)]
    wanted = list(range(min(ends, default=0), experiment.rounds))
    if last != sorted(last) or any(number not in ends for number in wanted):
        raise InvalidValue(
            field="circuit",
            value=repr(experiment),
            rule="each round declares its detectors before the next begins",
            remedy="Put the DETECTOR instructions of a round behind its measurements.",
        )
    parts, begin = [], 0
    for number in wanted:
        parts.append(flat[begin : ends[number] + 1])
        begin = ends[number] + 1
    shapes = [_shape(part) for part in parts]
    alike = len(parts) - 1
    while alike > 0 and shapes[alike - 1] == shapes[-1]:
        alike -= 1
    return Sections(
        experiment=experiment,
        rounds=tuple(parts),
        first=wanted[0] if wanted else 0,
        tail=flat[begin:],
        alike=alike,
        width=widths.pop() if len(widths) == 1 else 0,
    )


def _shape(part: stim.Circuit) -> list[tuple[object, ...]]:
    """What happens in a round, without how noisy it is and which round it is."""
    found: list[tuple[object, ...]] = []
    for each in instructions_of(part):
        place = tuple(each.gate_args_copy()[:-1]) if each.name == "DETECTOR" else ()
        found.append((each.name, place, tuple(map(str, each.targets_copy()))))
    return found


def _joined(parts: tuple[stim.Circuit, ...]) -> stim.Circuit:
    joined = stim.Circuit()
    for part in parts:
        joined += part
    return joined


def _shifted(part: stim.Circuit, rounds: int, width: int) -> stim.Circuit:
    """A flat circuit whose detectors are ``rounds`` later."""
    if not rounds:
        return part
    if not width:
        raise InvalidValue(field="circuit", value=rounds, rule="all detectors need coordinates of one length")
    shifted = stim.Circuit()
    shifted.append("SHIFT_COORDS", [], [0.0] * (width - 1) + [float(rounds)])
    return shifted + part
