"""Which circuits have to run, and what do their outcomes say together?

Every unique variant of every fragment is one circuit that knows who it is: its id is a hash of what it does. Variants
that come out as the same circuit on the same part run together, and their shots are dealt out afterwards. Outcomes come
back in any order, from anywhere, and are read by the same estimator as simulated shots.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, overload

import numpy as np
from qiskit import QuantumCircuit

from hyperfabric_q.convert import read_qasm, write_qasm3
from hyperfabric_q.cutting.allocation import needed_variants, warn_if_blind
from hyperfabric_q.cutting.answers import Answers
from hyperfabric_q.cutting.circuits import Script, digest
from hyperfabric_q.cutting.contract import Network
from hyperfabric_q.cutting.fragments import CutCircuit
from hyperfabric_q.cutting.frame import FOREIGN, Frame
from hyperfabric_q.cutting.observables import Ints, Measured
from hyperfabric_q.cutting.sampling import Tally
from hyperfabric_q.cutting.tensors import Layout
from hyperfabric_q.errors import InvalidValue, OutcomesUnfit
from hyperfabric_q.seeds import stream

SCHEMA: Final = "hyperfabric_q/subexperiments/1"
METADATA: Final = "hyperfabric_q"
"""The key of a circuit's metadata under which id, part and shots stand; primitives hand it back with the result."""

SHOTS: Final = 1024
"""Shots of each circuit where nobody says how many."""

_HYPERGEOMETRIC: Final = 10**9
"""NumPy deals out an exact number of shots below this many; above, each shot is dealt by itself."""

RERUN: Final = "Run what is missing, and give the outcomes of each circuit once."


@dataclass(frozen=True, slots=True)
class Variant:
    """A fragment, the basis it is measured in, and the setting of its markers; and how many shots it is to have."""

    fragment: int
    group: int
    variant: int
    shots: int


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Subexperiment:
    """One circuit to run.

    Attributes:
        id: a hash of part and operations: the same circuit always has the same.
        part: where it runs.
        shots: how often to run it.
        variants: what it serves, mostly one.
    """

    id: str
    part: int
    shots: int
    variants: tuple[Variant, ...] = field(repr=False)
    source: QuantumCircuit | str = field(repr=False)

    @property
    def circuit(self) -> QuantumCircuit:
        """Return the circuit; its metadata says id, part and shots."""
        if isinstance(self.source, QuantumCircuit):
            return self.source
        circuit = read_qasm(self.source)
        circuit.name, circuit.metadata = self.id, self.metadata()
        return circuit

    def metadata(self) -> dict[str, Any]:
        """Return what its circuit's metadata holds."""
        return {METADATA: {"id": self.id, "part": self.part, "shots": self.shots}}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Subexperiments(Sequence[Subexperiment]):
    """All circuits to run for some observables, and the way back from their outcomes.

    Attributes:
        members: the circuits, by part.
        labels: the observables in short.
        gamma: square root of the sampling overhead of the cuts as they are run.
        frame: how outcomes are put together.
    """

    members: tuple[Subexperiment, ...]
    labels: tuple[str, ...]
    gamma: float
    frame: Frame = field(repr=False)

    @overload
    def __getitem__(self, place: int | str) -> Subexperiment: ...

    @overload
    def __getitem__(self, place: slice) -> tuple[Subexperiment, ...]: ...

    def __getitem__(self, place: int | str | slice) -> Subexperiment | tuple[Subexperiment, ...]:
        """Return a member by place or by id, or several by slice."""
        if isinstance(place, str):
            return self._known()[place]
        return self.members[place]

    def __len__(self) -> int:
        return len(self.members)

    def __iter__(self) -> Iterator[Subexperiment]:
        return iter(self.members)

    @property
    def circuits(self) -> tuple[QuantumCircuit, ...]:
        """Return the circuits in order."""
        return tuple(each.circuit for each in self.members)

    @property
    def shots(self) -> int:
        """Return the shots of all circuits together."""
        return sum(each.shots for each in self.members)

    def by_part(self) -> dict[int, tuple[Subexperiment, ...]]:
        """Return the circuits of each part."""
        found: dict[int, list[Subexperiment]] = {}
        for each in self.members:
            found.setdefault(each.part, []).append(each)
        return {part: tuple(own) for part, own in sorted(found.items())}

    def reconstruct(self, outcomes: Any) -> Answers:
        """Return the observables' estimates from measured outcomes.

        Args:
            outcomes: in any order, a mapping from id to counts, or an iterable of (id, counts) pairs or of results of
                primitives that hand the circuits' metadata back. Counts are a mapping from bit string ("0110", "0x6" or
                6) to number, a ``BitArray``, or a result of a primitive. As many shots as you like, at least one each.

        Raises:
            OutcomesUnfit: circuits are missing, come twice or are unknown, or the counts are none of theirs.

        Warns:
            HyperFabricWarning: an error bar is wider than the observable's range, so that the value says nothing.
        """
        counts = self._collected(outcomes)
        missing = [each for each in self._known() if each not in counts]
        if missing:
            problem = f"{_several(missing)} of {len(self)} circuits gave nothing"
            raise OutcomesUnfit(problem=problem, remedy=RERUN)
        reading = self.frame.read(self.tallies(counts))
        warn_if_blind(reading, self.frame.measured)
        return Answers.of(reading, self.labels, variants=len(self), gamma=self.gamma)

    def tallies(self, counts: Mapping[str, Mapping[int, int]]) -> list[Tally]:
        """Return the counts of some of the circuits as the estimator takes them; others count as not run."""
        places = self.frame.keys()
        sorted_in: dict[tuple[int, int], dict[int, Mapping[int, int]]] = {place: {} for place in places}
        for member in self.members:
            if member.id in counts:
                for each, own in zip(member.variants, _dealt(member, counts[member.id]), strict=True):
                    sorted_in[each.fragment, each.group][each.variant] = own
        return [self.frame.tally(*key, own) for key, own in sorted_in.items()]

    def read_counts(self, member: Subexperiment, given: Any) -> dict[int, int]:
        """Return the counts of one circuit by the number that the bits spell, from any form that ``reconstruct`` takes.

        Raises:
            OutcomesUnfit: they are not counts of this circuit.
        """
        fragment = member.variants[0].fragment  # all of them have the same bits
        bits = self.frame.bits(fragment)
        kept = (1 << bits - self.frame.spare[fragment]) - 1
        found: dict[int, int] = {}
        for key, times in _pairs(given, member.id):
            value = _outcome(key, bits)
            whole = isinstance(times, int | np.integer) and not isinstance(times, bool) and int(times) >= 0
            if value is None or not whole or value >> bits:
                problem = f"circuit {member.id} has {bits} bits, and no counts {key!r}: {times!r}"
                raise OutcomesUnfit(problem=problem, remedy=FOREIGN)
            found[value & kept] = found.get(value & kept, 0) + int(times)
        if not any(found.values()):
            raise OutcomesUnfit(problem=f"circuit {member.id} has no shots", remedy=RERUN)
        return found

    def _known(self) -> dict[str, Subexperiment]:
        return {each.id: each for each in self.members}

    def _collected(self, outcomes: Any) -> dict[str, dict[int, int]]:
        pairs = outcomes.items() if isinstance(outcomes, Mapping) else [_named(each) for each in outcomes]
        known, found = self._known(), {}
        twice, unknown = [], []
        for name, given in pairs:
            if name not in known:
                unknown.append(name)
            elif name in found:
                twice.append(name)
            else:
                found[name] = self.read_counts(known[name], given)
                if sum(found[name].values()) < len(known[name].variants):
                    problem = f"circuit {name} serves {len(known[name].variants)} variants and has fewer shots"
                    raise OutcomesUnfit(problem=problem, remedy=RERUN)
        if unknown:
            problem = f"{_several(unknown)} belong to none of these {len(self)} circuits"
            raise OutcomesUnfit(problem=problem, remedy="Leave them out; outcomes of another cut do not count here.")
        if twice:
            raise OutcomesUnfit(problem=f"{_several(twice)} come twice", remedy=RERUN)
        return found

    def to_dict(self) -> dict[str, Any]:
        """Return everything ready for JSON, the circuits as OpenQASM 3."""
        return {
            "schema": SCHEMA,
            "labels": list(self.labels),
            "gamma": self.gamma,
            "frame": self.frame.to_dict(),
            "members": [
                {
                    "id": each.id,
                    "part": each.part,
                    "shots": each.shots,
                    "variants": [[own.fragment, own.group, own.variant, own.shots] for own in each.variants],
                    "qasm": each.source if isinstance(each.source, str) else write_qasm3(each.source),
                }
                for each in self.members
            ],
        }

    @classmethod
    def from_dict(cls, given: Any) -> Subexperiments:
        """Return what ``to_dict`` wrote; circuits are read when they are asked for.

        Raises:
            InvalidValue: it is nothing that ``to_dict`` writes, or names variants that there are not.
        """
        if not isinstance(given, Mapping) or given.get("schema") != SCHEMA:
            found = given.get("schema") if isinstance(given, Mapping) else given
            raise InvalidValue(field="schema", value=found, rule=f"subexperiments are written as {SCHEMA!r}")
        try:
            made = cls(
                members=tuple(_member(each) for each in given["members"]),
                labels=tuple(str(each) for each in given["labels"]),
                gamma=float(given["gamma"]),
                frame=Frame.from_dict(given["frame"]),
            )
        except (KeyError, TypeError, ValueError, OverflowError) as fault:
            rule = f"something is missing or of another kind ({type(fault).__name__}: {fault})"
            raise InvalidValue(field="subexperiments", value=list(given), rule=rule) from None
        for member in made:
            _check_member(member, made.frame)
        return made


def _member(given: Mapping[str, Any]) -> Subexperiment:
    variants = tuple(Variant(*(int(each) for each in own)) for own in given["variants"])
    return Subexperiment(
        id=str(given["id"]),
        part=int(given["part"]),
        shots=int(given["shots"]),
        variants=variants,
        source=str(given["qasm"]),
    )


def _check_member(member: Subexperiment, frame: Frame) -> None:
    fragments, keys = {each.fragment for each in member.variants}, set(frame.keys())
    known = all(
        (each.fragment, each.group) in keys and 0 <= each.variant < frame.layouts[each.fragment].variants
        for each in member.variants
    )
    if len(fragments) != 1 or not known:
        rule = "a circuit serves variants (fragment, basis, setting, shots) of one fragment that the frame knows"
        told = [(each.fragment, each.group, each.variant, each.shots) for each in member.variants]
        raise InvalidValue(field=f"members[{member.id}].variants", value=told, rule=rule)


def make_subexperiments(
    cut: CutCircuit,
    measured: Measured,
    labels: Sequence[str],
    *,
    reuse: bool = False,
    shots: Mapping[tuple[int, int], Ints] | None = None,
) -> Subexperiments:
    """Return the circuits of every variant that any term needs.

    Args:
        cut: the fragments, with all parameters bound.
        measured: what is measured on them.
        labels: the observables in short.
        reuse: whether qubits of ended wires are reset and used again.
        shots: of each variant, per (fragment, group); 1024 by default.

    Raises:
        SimulationRefused: a fragment too wide for its outcomes to be counted.

    Cost: linear in all instructions of all circuits.
    """
    cut.check_bound()
    numbers = [n for n, strings in enumerate(measured.strings) if strings.bases]
    scripts = {number: Script(cut, number, reuse=reuse) for number in numbers}
    frame = Frame(
        network=Network.of(cut),
        measured=measured,
        layouts=tuple(Layout.of(each.sides, len(each.outputs)) for each in cut.fragments),
        tables=tuple(scripts[n].tables if n in scripts else () for n in range(len(cut.fragments))),
        spare=tuple(len(scripts[n].clbit) if n in scripts else 0 for n in range(len(cut.fragments))),
    )
    for number in numbers:
        frame.check_countable(number)
    found: dict[str, tuple[int, QuantumCircuit, list[Variant]]] = {}
    for (number, group), mask in needed_variants(cut, frame.keys()).items():
        fragment, script = cut.fragments[number], scripts[number]
        for variant in np.flatnonzero(mask).tolist():
            circuit = script.circuit(frame.settings(number, variant), measured.strings[number].bases[group])
            name = digest(circuit, fragment.part, script.starts, script.size)
            times = SHOTS if shots is None else int(shots[number, group][variant])
            own = found.setdefault(name, (fragment.part, circuit, []))[2]
            own.append(Variant(number, group, variant, times))
    members = []
    for name, (part, circuit, variants) in sorted(found.items(), key=lambda each: each[1][0]):
        times = sum(each.shots for each in variants)
        member = Subexperiment(id=name, part=part, shots=times, variants=tuple(variants), source=circuit)
        circuit.name, circuit.metadata = name, member.metadata()
        members.append(member)
    return Subexperiments(members=tuple(members), labels=tuple(labels), gamma=cut.gamma, frame=frame)


# ----------------------------------------------------------------------------------------------------------- outcomes


def _named(given: Any) -> tuple[str, Any]:
    """The id and the counts of one entry of a list of outcomes."""
    if isinstance(given, tuple | list) and len(given) == 2 and isinstance(given[0], str):
        return given[0], given[1]
    metadata: Any = getattr(given, "metadata", None) or {}
    told = (metadata.get("circuit_metadata") or metadata).get(METADATA)
    if told is not None:
        return str(told["id"]), given
    problem = f"an entry of type {type(given).__name__} does not say which circuit it belongs to"
    raise OutcomesUnfit(problem=problem, remedy="Give (id, counts) pairs, or a mapping from id to counts.")


def _pairs(given: Any, name: str) -> Iterable[tuple[object, Any]]:
    if hasattr(given, "join_data"):  # the result of a primitive; all its registers count
        given = given.join_data()
    if hasattr(given, "get_int_counts"):
        given = given.get_int_counts()
    if not isinstance(given, Mapping):
        problem = f"circuit {name} has a {type(given).__name__} for counts"
        raise OutcomesUnfit(problem=problem, remedy=FOREIGN)
    return list(given.items())


def _outcome(key: Any, bits: int) -> int | None:
    """The number that an outcome's bits spell, None if it is no outcome of so many bits."""
    if isinstance(key, int | np.integer) and not isinstance(key, bool):
        return int(key) if key >= 0 else None
    if not isinstance(key, str):
        return None
    plain = key.replace(" ", "")
    try:
        if plain.startswith("0x"):
            return int(plain, 16)
        return int(plain, 2) if len(plain) == bits else None
    except ValueError:
        return None


def _dealt(member: Subexperiment, counts: Mapping[int, int]) -> list[dict[int, int]]:
    """Deal the shots of one circuit out to its variants, at random, as if each of them had been run by itself.

    Giving all of them the same counts would correlate what the error bars take for independent.
    """
    if len(member.variants) == 1:
        return [dict(counts)]
    rng = stream(0, "cutting", "deal", member.id)
    left, shots = np.array(list(counts.values()), dtype=np.int64), sum(counts.values())
    shares = [max(each.shots, 1) for each in member.variants]
    dealt = []
    for place, share in enumerate(shares):
        rest = sum(shares[place:])
        if share == rest:
            own = left
        elif shots < _HYPERGEOMETRIC:
            size = min(max(1, round(int(left.sum()) * share / rest)), int(left.sum()) - (len(shares) - place - 1))
            own = rng.multivariate_hypergeometric(left, size, method="marginals")
        else:
            own = rng.binomial(left, share / rest)
        left = left - own
        dealt.append(dict(zip(counts, own.tolist(), strict=True)))
    return dealt


def _several(names: Sequence[Any]) -> str:
    shown = ", ".join(str(each) for each in names[:5])
    return shown if len(names) <= 5 else f"{shown} and {len(names) - 5} more"
