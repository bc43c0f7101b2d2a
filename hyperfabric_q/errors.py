"""Every exception this package raises, sorted by who is at fault.

::

    HyperFabricError
    ├─ InputError (ValueError)        what you gave us is wrong
    │  ├─ InvalidValue                a field holds a value it must not hold
    │  ├─ UnknownName                 a node, preset, family or plug-in that does not exist
    │  ├─ DuplicateName               the name is taken
    │  ├─ CircuitRejected             a circuit file that cannot be read safely, or at all
    │  ├─ UnsupportedOperation        a valid instruction that we cannot distribute
    │  ├─ FabricRejected              a fabric file with a fault, named with its line
    │  ├─ FileUnreadable              a file that is missing or is not what it should be
    │  ├─ BusyFabric                  a call that must not be made while an event loop runs
    │  └─ PairSpent                   a Bell pair or a quantum state that is used a second time
    ├─ Infeasible                     no solution exists on this fabric
    │  ├─ NotEnoughQubits
    │  ├─ NotEnoughCommunicationQubits
    │  ├─ NoQuantumPath
    │  ├─ NoRoute                     two groups of nodes that no classical channel joins
    │  ├─ DeadlineImpossible          a latency constraint below what an idle fabric needs
    │  ├─ NotEnoughMemory             a payload larger than the memory of its destination
    │  ├─ EntanglementUnavailable     a transfer that demands entanglement which its ends cannot share
    │  └─ FidelityUnreachable         a fidelity that no swapping and purifying reaches on this hardware
    ├─ MissingDependency (ImportError) an optional package that is not installed
    ├─ DeadlineMissed                 bytes that arrived, but later than they had to
    ├─ EntanglementMissed             Bell pairs that were not there when they had to be
    ├─ Undeliverable                  bytes that did not arrive
    ├─ VirtualDeadlock                every task waits for something that nothing will bring about
    ├─ SimulationRefused              too large for the simulator that was asked for
    ├─ SecurityRefused                a key or a sealed message that must not be used
    │  ├─ SealBroken                  the message is not what was sealed, or not under this key
    │  ├─ ReplayRejected              the message was opened before, or is too old to tell
    │  ├─ KeySpent                    the key was released, is used up, or serves something else
    │  └─ IsolationViolated           a transfer that a zone's isolation forbids
    └─ InternalError                  our bug, please report it
       └─ VerificationFailed          the emitted circuit is not the circuit you gave us

The text of each error is derived from its fields and follows one pattern: what was asked, what was found, what to do.
All of them pickle, so they survive a process pool. Warnings of this package are ``HyperFabricWarning``.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass


def nearest(name: object, known: Iterable[str]) -> str | None:
    """Return the known name closest to ``name``, or None when nothing is close or it is no text."""
    if not isinstance(name, str):
        return None
    matches = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    return matches[0] if matches else None


def _shown(value: object) -> str:
    """A short repr; Python refuses to write out whole numbers of thousands of digits."""
    try:
        text = repr(value)
    except ValueError:
        return f"a {type(value).__name__} too long to print"
    return text if len(text) <= 120 else text[:117] + "..."


def _rebuild(cls: type[HyperFabricError], fields: dict[str, object]) -> HyperFabricError:
    fault = cls.__new__(cls)
    fault.__dict__.update(fields)
    return fault


class HyperFabricError(Exception):
    """Base of every error raised on purpose by this package."""

    def __reduce__(self) -> tuple[object, ...]:
        """Pickle by fields: keyword-only errors cannot be rebuilt from ``args``."""
        return _rebuild, (type(self), dict(self.__dict__))


# ---------------------------------------------------------------------------------------------------- your input


class InputError(HyperFabricError, ValueError):
    """What the caller gave is wrong; correcting it is enough."""


@dataclass(eq=False, kw_only=True)
class InvalidValue(InputError):
    """A field holds a value that it must not hold."""

    field: str
    value: object
    rule: str
    remedy: str = ""

    def __str__(self) -> str:
        shown = _shown(self.value)
        end = f" {self.remedy}" if self.remedy else ""
        return f"{self.field} = {shown}: {self.rule}.{end}"


@dataclass(eq=False, kw_only=True)
class UnknownName(InputError):
    """A name that nothing answers to; ``kind`` says what sort of thing was asked for."""

    kind: str
    name: str
    known: tuple[str, ...]

    def __str__(self) -> str:
        close = nearest(self.name, self.known)
        hint = f" Did you mean {close!r}?" if close else ""
        listed = ", ".join(repr(each) for each in self.known[:12]) or "none"
        more = f" and {len(self.known) - 12} more" if len(self.known) > 12 else ""
        return f"no {self.kind} is called {_shown(self.name)}.{hint} Known: {listed}{more}."


@dataclass(eq=False, kw_only=True)
class DuplicateName(InputError):
    """A name that is already taken."""

    kind: str
    name: str

    def __str__(self) -> str:
        return f"the {self.kind} {self.name!r} exists already. Choose another name, or replace it with Fabric.replace."


@dataclass(eq=False, kw_only=True)
class CircuitRejected(InputError):
    """A circuit text or file that is malformed, or that exceeds a limit of the reader."""

    reason: str
    source: str = "<text>"
    line: int | None = None
    column: int | None = None
    remedy: str = ""

    def __str__(self) -> str:
        place = self.source
        if self.line is not None:
            place += f":{self.line}" + (f":{self.column}" if self.column is not None else "")
        end = f" {self.remedy}" if self.remedy else ""
        return f"{place}: {self.reason}.{end}"


@dataclass(eq=False, kw_only=True)
class UnsupportedOperation(InputError):
    """A valid instruction that this version cannot distribute."""

    operation: str
    reason: str
    index: int | None = None
    line: int | None = None
    column: int | None = None

    def __str__(self) -> str:
        if self.line is not None:
            place = f" at line {self.line}" + (f", column {self.column}" if self.column is not None else "")
        else:
            place = f" (instruction {self.index} of the circuit)" if self.index is not None else ""
        return f"{self.operation!r}{place} cannot be distributed: {self.reason}."


@dataclass(eq=False, kw_only=True)
class FabricRejected(InputError):
    """A fabric file with a fault; ``line`` is where it stands."""

    source: str
    line: int | None
    where: str
    reason: str

    def __str__(self) -> str:
        place = self.source if self.line is None else f"{self.source}:{self.line}"
        return f"{place}: {self.where}: {self.reason}"


@dataclass(eq=False, kw_only=True)
class FileUnreadable(InputError):
    """A file that is missing, is a folder, or is of a kind that is not accepted."""

    path: str
    reason: str
    remedy: str = ""

    def __str__(self) -> str:
        end = f" {self.remedy}" if self.remedy else ""
        return f"cannot read {self.path!r}: {self.reason}.{end}"


@dataclass(eq=False, kw_only=True)
class BusyFabric(InputError):
    """A call that must not be made now, because an event loop or a transfer is under way."""

    asked: str
    found: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.asked}: {self.found}. {self.remedy}"


@dataclass(eq=False, kw_only=True)
class PairSpent(InputError):
    """A Bell pair, or a quantum state, that was used up before; ``fate`` is how."""

    what: str
    fate: str

    def __str__(self) -> str:
        return f"{self.what} cannot be used again: it was {self.fate}. Ask for a new one; neither can be copied."


# ------------------------------------------------------------------------------------------------------ no solution


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
class MissingDependency(HyperFabricError, ImportError):
    """An optional package that is not installed; ``extra`` is what brings it."""

    what: str
    package: str
    extra: str

    def __str__(self) -> str:
        return (
            f"{self.what} needs the package {self.package!r}, which is not installed. "
            f"pip install 'hyperfabric_q[{self.extra}]' brings it."
        )


@dataclass(eq=False, kw_only=True)
class SimulationRefused(HyperFabricError):
    """A simulation whose memory or time is out of reach, refused before it starts."""

    asked: str
    found: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.asked}: {self.found}. {self.remedy}"


@dataclass(eq=False, kw_only=True)
class DeadlineMissed(HyperFabricError):
    """Bytes that arrived later than their latency constraint; ``result`` is what the transfer returned otherwise."""

    source: str
    destination: str
    constraint_ns: float
    latency_ns: float
    result: object = None

    def __str__(self) -> str:
        return (
            f"from {self.source!r} to {self.destination!r} within {self.constraint_ns:.12g} ns: it took "
            f"{self.latency_ns:.12g} ns. The attribute 'result' holds the receipt, which says where the time went."
        )


@dataclass(eq=False, kw_only=True)
class EntanglementMissed(HyperFabricError):
    """Bell pairs that were not there by the deadline; ``pairs`` are the ones that were, and are the caller's."""

    a: str
    b: str
    asked: int
    deadline_ns: float
    pairs: tuple[object, ...] = ()

    def __str__(self) -> str:
        return (
            f"{self.asked} pair(s) between {self.a!r} and {self.b!r} within {self.deadline_ns:.12g} ns: "
            f"{len(self.pairs)} came in time. Allow more time, ask for less fidelity, or raise the link's rate."
        )


@dataclass(eq=False, kw_only=True)
class Undeliverable(HyperFabricError):
    """Bytes that will not arrive, and why."""

    source: str
    destination: str
    reason: str
    remedy: str = ""

    def __str__(self) -> str:
        end = f" {self.remedy}" if self.remedy else ""
        return f"what {self.source!r} sent to {self.destination!r} does not arrive: {self.reason}.{end}"


@dataclass(eq=False, kw_only=True)
class VirtualDeadlock(HyperFabricError):
    """Every task waits and nothing is under way; ``tasks`` names them."""

    tasks: tuple[str, ...]

    def __str__(self) -> str:
        shown = ", ".join(self.tasks[:8]) + (f" and {len(self.tasks) - 8} more" if len(self.tasks) > 8 else "")
        return (
            f"{len(self.tasks)} task(s) wait ({shown}), and nothing is under way that could wake them. "
            "Await something the fabric brings about, or give the wait a timeout."
        )


@dataclass(eq=False, kw_only=True)
class SecurityRefused(HyperFabricError):
    """A key or a sealed message that must not be used; it never carries key bytes or plaintext."""

    what: str
    reason: str
    remedy: str = ""

    def __str__(self) -> str:
        end = f" {self.remedy}" if self.remedy else ""
        return f"{self.what}: {self.reason}.{end}"


@dataclass(eq=False, kw_only=True)
class SealBroken(SecurityRefused):
    """A sealed message whose header or content is not what was sealed, or that another key sealed."""


@dataclass(eq=False, kw_only=True)
class ReplayRejected(SecurityRefused):
    """A sealed message that was opened before, or that is older than the replay window remembers."""


@dataclass(eq=False, kw_only=True)
class KeySpent(SecurityRefused):
    """A key that was released, has sealed as much as it may, or is bound to another purpose."""


@dataclass(eq=False, kw_only=True)
class IsolationViolated(SecurityRefused):
    """A transfer that a zone's isolation forbids, with the two ends and the zone."""

    source: str
    destination: str
    zone: str


# ---------------------------------------------------------------------------------------------------------- our bug


@dataclass(eq=False, kw_only=True)
class InternalError(HyperFabricError):
    """A broken promise of ours."""

    what: str
    seed: int | None = None

    def __str__(self) -> str:
        seed = f" (seed {self.seed})" if self.seed is not None else ""
        return f"{self.what}{seed}. This is a bug in hyperfabric_q: please report it with the circuit, fabric and seed."


@dataclass(eq=False, kw_only=True)
class VerificationFailed(InternalError):
    """The emitted circuit does not do what the original does, or its count differs from the plan."""


# --------------------------------------------------------------------------------------------------------- warnings


class HyperFabricWarning(UserWarning):
    """Base of every warning this package gives, so that one filter reaches them all."""


class ImplicitEndpointWarning(HyperFabricWarning):
    """A name that nobody registered was taken for a classical software endpoint."""
