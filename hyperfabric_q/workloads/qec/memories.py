"""Memory experiments by name and number, as a command line states them."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from itertools import product
from typing import Final

from hyperfabric_q.errors import InvalidValue, UnknownName
from hyperfabric_q.workloads.qec.codes import at_least, repetition_code, rotated_surface_code
from hyperfabric_q.workloads.qec.experiment import DEFAULT_CYCLE_NS, Experiment, LinkKind
from hyperfabric_q.workloads.qec.from_stim import from_stim
from hyperfabric_q.workloads.qec.seam import DistributedSurfaceCode

CODES: Final = ("rotated_surface", "repetition")

NODES: Final = ("qpu-a", "qpu-b")
"""Where the two halves of a code over Bell pairs are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """A memory experiment, before its circuit is made.

    Attributes:
        code: "rotated_surface" or "repetition".
        distance: of the code.
        p: parameter of the noise model.
        rounds_per_distance: rounds are that many times the distance.
        basis: which logical value is kept.
        noise: name of the noise model.
        bell_fidelity: of the pairs over which the code is cut in two halves; None for a code on one device.
        link: how gates cross.
        cycle_ns: duration of a round.

    Raises:
        UnknownName: there is no such code.
        InvalidValue: a number is out of range.
    """

    code: str = "rotated_surface"
    distance: int = 3
    p: float = 0.001
    rounds_per_distance: float = 3
    basis: str = "Z"
    noise: str = "stim4"
    bell_fidelity: float | None = None
    link: LinkKind = "teleported"
    cycle_ns: float = DEFAULT_CYCLE_NS

    def __post_init__(self) -> None:
        if self.code not in CODES:
            raise UnknownName(kind="code", name=self.code, known=CODES)
        at_least("distance", self.distance, 2)
        # Pairs of four equally likely states, F = 1/4, carry nothing; below that a Werner state says less than nothing.
        if self.bell_fidelity is not None and not 0.25 <= self.bell_fidelity <= 1:
            raise InvalidValue(field="bell_fidelity", value=self.bell_fidelity, rule="it lies in [1/4, 1]")
        if not (math.isfinite(self.rounds_per_distance) and self.rounds_per_distance > 0):
            rule = "it is a positive number"
            raise InvalidValue(field="rounds_per_distance", value=self.rounds_per_distance, rule=rule)

    @property
    def rounds(self) -> int:
        """Rounds of the experiment, at least 1."""
        return max(1, round(self.rounds_per_distance * self.distance))

    def experiment(self, rounds: int | None = None) -> Experiment:
        """Return the experiment, with another number of rounds if one is stated.

        Raises:
            UnknownName: there is no such noise model.
            InvalidValue: ``p`` is no chance, or the basis is neither "X" nor "Z".
        """
        count = self.rounds if rounds is None else rounds
        if self.code == "repetition":
            return self._repetition(count)
        if self.bell_fidelity is None:
            return rotated_surface_code(self.distance, count, self.basis, self.noise, p=self.p, cycle_ns=self.cycle_ns)
        cut = DistributedSurfaceCode(
            distance=self.distance,
            link=self.link,
            nodes=NODES,
            rounds=count,
            basis=self.basis,
            noise=self.noise,
            p=self.p,
            pairs=self.bell_fidelity,
            cycle_ns=self.cycle_ns,
        )
        made = cut.experiment()
        return replace(made, metadata={"p": self.p, **made.metadata})

    def _repetition(self, rounds: int) -> Experiment:
        whole = repetition_code(self.distance, rounds, self.basis, self.noise, p=self.p, cycle_ns=self.cycle_ns)
        if self.bell_fidelity is None:
            return whole
        placement = {qubit: NODES[qubit >= self.distance] for qubit in range(2 * self.distance - 1)}
        halves = from_stim(
            whole.circuit,
            placement,
            link=self.link,
            pairs=self.bell_fidelity,
            code=whole.code,
            distance=self.distance,
            basis=self.basis,
            noise=whole.noise,
            cycle_ns=self.cycle_ns,
        )
        # Detectors of a readout that follows nothing may be missing, so the number of rounds is stated, not found.
        return replace(halves, rounds=rounds, metadata={**whole.metadata, **halves.metadata})


def memories(
    *,
    distances: tuple[int, ...],
    ps: tuple[float, ...],
    bell_fidelities: tuple[float | None, ...] = (None,),
    like: Memory | None = None,
) -> list[Memory]:
    """Return one memory for each combination, in the order in which tables are read.

    Args:
        distances: of the code.
        ps: parameters of the noise model.
        bell_fidelities: of the pairs; None for a code on one device.
        like: everything else.
    """
    base = like or Memory()
    return [
        replace(base, distance=distance, p=p, bell_fidelity=fidelity)
        for fidelity, p, distance in product(bell_fidelities, ps, distances)
    ]
