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
    │  └─ FileUnreadable              a file that is missing or is not what it should be
    ├─ Infeasible                     no solution exists on this fabric
    │  ├─ NotEnoughQubits
    │  ├─ NotEnoughCommunicationQubits
    │  └─ NoQuantumPath
    ├─ SimulationRefused              too large for the simulator that was asked for
    └─ InternalError                  our bug, please report it
       └─ VerificationFailed          the emitted circuit is not the circuit you gave us

The text of each error is derived from its fields and follows one pattern: what was asked, what was found, what to do.
All of them pickle, so they survive a process pool.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass


def nearest(name: str, known: Iterable[str]) -> str | None:
    """Return the known name closest to ``name``, or None when nothing is close."""
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
        return f"no {self.kind} is called {self.name!r}.{hint} Known: {listed}{more}."


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
            f"Raise communication_qubits of {self.node!r} to {self.needed}, or keep those qubits on one node."
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
class SimulationRefused(HyperFabricError):
    """A simulation whose memory or time is out of reach, refused before it starts."""

    asked: str
    found: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.asked}: {self.found}. {self.remedy}"


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
