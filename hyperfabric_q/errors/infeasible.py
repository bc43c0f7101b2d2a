"""No solution exists on this fabric."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from hyperfabric_q.errors.base import HyperFabricError


class Infeasible(HyperFabricError):
    """The request is well formed and no solution exists; each subclass carries the binding constraint."""


@dataclass(eq=False, kw_only=True)
class NotEnoughQubits(Infeasible):
    """The circuit has more qubits than the QPU nodes hold."""

    needed: int
    available: Mapping[str, int]

    def __str__(self) -> str:
        total = sum(self.available.values())
        rows = " + ".join(f"{node} {count}" for node, count in self.available.items()) or "no QPU node"
        missing = self.needed - total
        roomiest = max(self.available, key=lambda node: self.available[node], default=None)
        if roomiest is None:
            fix = f"Register QPU nodes with {self.needed} data qubits in all."
        else:
            raised = self.available[roomiest] + missing
            fix = (
                f"Add a QPU node with at least {missing} data qubits, "
                f"or raise compute_units of {roomiest!r} to {raised}."
            )
        return f"the circuit needs {self.needed} data qubits; the fabric has {total} ({rows}): {missing} too few. {fix}"


@dataclass(eq=False, kw_only=True)
class NotEnoughCommunicationQubits(Infeasible):
    """A crossing needs more communication qubits on a node than the node has."""

    node: str
    needed: int
    available: int
    purpose: str

    def __str__(self) -> str:
        return (
            f"{self.purpose} needs {self.needed} communication qubit(s) on {self.node!r}; it has {self.available}. "
            f"Raise communication_qubits of {self.node!r} to {self.needed}, or need fewer at once."
        )


@dataclass(eq=False, kw_only=True)
class NoQuantumPath(Infeasible):
    """Two groups of QPU nodes that no quantum link joins, though the circuit must cross between them."""

    a: tuple[str, ...]
    b: tuple[str, ...]
    reason: str

    def __str__(self) -> str:
        left, right = ", ".join(self.a), ", ".join(self.b)
        return (
            f"no quantum path joins {{{left}}} and {{{right}}}: {self.reason}. Quantum links are never implied: "
            f"connect({self.a[0]!r}, {self.b[0]!r}, pair_fidelity=...) declares one."
        )


@dataclass(eq=False, kw_only=True)
class NoRoute(Infeasible):
    """Two groups of nodes that no classical channel joins, though bytes must go from one to the other."""

    source: str
    destination: str
    a: tuple[str, ...]
    b: tuple[str, ...]
    reason: str
    remedy: str

    def __str__(self) -> str:
        return (
            f"no route leads from {self.source!r} to {self.destination!r}: {self.reason}. "
            f"{_group(self.a)} and {_group(self.b)} stand apart. {self.remedy}"
        )


def _group(ids: tuple[str, ...]) -> str:
    more = f", and {len(ids) - 8} more" if len(ids) > 8 else ""
    return f"{{{', '.join(ids[:8])}{more}}}"


@dataclass(eq=False, kw_only=True)
class DeadlineImpossible(Infeasible):
    """A latency constraint that no schedule can meet: even an idle fabric needs ``bound_ns``."""

    source: str
    destination: str
    constraint_ns: float
    bound_ns: float
    bottleneck: str
    remedy: str

    def __str__(self) -> str:
        return (
            f"from {self.source!r} to {self.destination!r} within {self.constraint_ns:.12g} ns: even an idle fabric "
            f"needs {self.bound_ns:.12g} ns, and {self.bottleneck} is the bottleneck. {self.remedy}"
        )


@dataclass(eq=False, kw_only=True)
class NotEnoughMemory(Infeasible):
    """A payload larger than the memory of the node it is sent to."""

    node: str
    needed_gb: float
    memory_gb: float

    def __str__(self) -> str:
        return (
            f"{self.needed_gb:.12g} GB are sent to {self.node!r}, which has memory_gb = {self.memory_gb:.12g}. "
            "Send shards that fit, state more memory, or leave strict mode: then it is streamed in shards."
        )


@dataclass(eq=False, kw_only=True)
class EntanglementUnavailable(Infeasible):
    """Entanglement was demanded of two ends that cannot share it."""

    source: str
    destination: str
    reason: str

    def __str__(self) -> str:
        return (
            f"entanglement between {self.source!r} and {self.destination!r}: {self.reason}. "
            "Set requires_quantum_entanglement=False, or leave strict mode: then the payload travels classically."
        )


@dataclass(eq=False, kw_only=True)
class FidelityUnreachable(Infeasible):
    """A fidelity above what links, memories and local operations allow, decided before any attempt is spent."""

    asked: float
    reachable: float
    reason: str
    remedy: str = ""

    def __str__(self) -> str:
        end = f" {self.remedy}" if self.remedy else ""
        return f"fidelity {self.asked:.9g} was asked; {self.reachable:.6g} can be reached: {self.reason}.{end}"


@dataclass(eq=False, kw_only=True)
class NoCutFound(Infeasible):
    """No set of cuts makes every piece of the circuit fit; ``reason`` names what is in the way."""

    asked: str
    reason: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.asked}: {self.reason}. {self.remedy}"


@dataclass(eq=False, kw_only=True)
class OverheadTooHigh(Infeasible):
    """The sampling overhead gamma² makes the precision asked for hopeless within the shots that are allowed."""

    gamma: float
    precision: float
    needed: float
    allowed: int
    options: str = ""

    def __str__(self) -> str:
        end = f" {self.options}" if self.options else ""
        return (
            f"a precision of {self.precision:g} was asked for: these cuts have a sampling overhead gamma² of "
            f"{self.gamma**2:,.4g} and would need about {self.needed:,.3g} shots, {self.allowed:,} are allowed. Ask "
            f"for less precision, allow more shots, or use wider QPUs so that fewer cuts are needed.{end}"
        )


@dataclass(eq=False, kw_only=True)
class BudgetTooSmall(Infeasible):
    """No way of running a circuit keeps within the shots, pairs and time that it may take."""

    asked: str
    nearest: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.asked}; {self.nearest}. {self.remedy}"


@dataclass(eq=False, kw_only=True)
class ProblemTooLarge(Infeasible):
    """A problem that an annealer has not enough qubits, or not enough couplers, for."""

    node: str
    asked: str
    found: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.asked}, do not fit {self.node!r}: it has {self.found}. {self.remedy}"
