"""What a step of training cost: time on the virtual clock by what it went into, Bell pairs, shots and bytes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from hyperfabric_q.errors import InvalidValue
from hyperfabric_q.units import to_ns
from hyperfabric_q.workloads.learning.hybrid.track import Split


@dataclass(frozen=True, slots=True, kw_only=True)
class StepReport:
    """The account of one step; quantum, network, classical and waiting time add up to its duration.

    That is the time of the chain of work and messages that ended last: what goes on beside it costs the step nothing.

    Attributes:
        start_ps: of the virtual clock.
        end_ps: when the last node was done.
        split: of the time between, along that chain.
        nodes: the same of each node, where what is left over is waiting.
        pairs: Bell pairs that its circuits consumed, all shots together.
        pairs_per_link: the same by link, as far as results tell it; keys (a, b) with a < b.
        shots: of its circuits.
        nbytes: payload that nodes received from one another, headers left out.
        bound_ps: the least time of its collectives that the rates of their ends allow, one after another.
        notes: what is not charged as it may look.
    """

    start_ps: int
    end_ps: int
    split: Split
    nodes: Mapping[str, Split] = field(repr=False)
    pairs: int
    pairs_per_link: Mapping[tuple[str, str], int] = field(repr=False)
    shots: int
    nbytes: int
    bound_ps: int
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in ("nodes", "pairs_per_link"):
            object.__setattr__(self, name, MappingProxyType(dict(getattr(self, name))))
        if self.split.total_ps != self.end_ps - self.start_ps:
            rule = f"parts add up to the step, which took {self.end_ps - self.start_ps} ps"
            raise InvalidValue(field="split", value=self.split.total_ps, rule=rule)

    @property
    def start_ns(self) -> float:
        """When it began."""
        return to_ns(self.start_ps)

    @property
    def end_ns(self) -> float:
        """When it ended."""
        return to_ns(self.end_ps)

    @property
    def duration_ns(self) -> float:
        """How long it took."""
        return to_ns(self.end_ps - self.start_ps)

    @property
    def quantum_ns(self) -> float:
        """Time that went into circuits."""
        return to_ns(self.split.quantum_ps)

    @property
    def network_ns(self) -> float:
        """Time that went into messages, their queues included."""
        return to_ns(self.split.network_ps)

    @property
    def classical_ns(self) -> float:
        """Time that went into the work of processors."""
        return to_ns(self.split.classical_ps)

    @property
    def waiting_ns(self) -> float:
        """Time in which nothing of these went on."""
        return to_ns(self.split.waiting_ps)

    @property
    def bound_ns(self) -> float:
        """The least time of its collectives."""
        return to_ns(self.bound_ps)

    def to_dict(self) -> dict[str, Any]:
        """Return the fields, ready for JSON."""
        return {
            "start_ns": self.start_ns,
            "end_ns": self.end_ns,
            "duration_ns": self.duration_ns,
            **self.split.to_dict(),
            "pairs": self.pairs,
            "pairs_per_link": {f"{a}--{b}": count for (a, b), count in sorted(self.pairs_per_link.items())},
            "shots": self.shots,
            "bytes": self.nbytes,
            "bound_ns": self.bound_ns,
            "nodes": {node: split.to_dict() for node, split in self.nodes.items()},
            "notes": list(self.notes),
        }

    def __str__(self) -> str:
        whole = self.end_ps - self.start_ps
        parts = (
            f"{name} {to_ns(value):.12g} ns ({value / whole if whole else 0:.1%})"
            for name, value in (
                ("quantum", self.split.quantum_ps),
                ("network", self.split.network_ps),
                ("classical", self.split.classical_ps),
                ("waiting", self.split.waiting_ps),
            )
        )
        counts = f"{self.pairs:,} Bell pairs, {self.shots:,} shots, {self.nbytes:,} bytes"
        return f"step of {self.duration_ns:.12g} ns: {', '.join(parts)}; {counts}"
