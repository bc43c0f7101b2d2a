"""How do devices run the circuits of a cut, each part on its own?

Anything with the ``run`` of Qiskit's SamplerV2 serves. To the estimator a set of devices looks like simulated laws do:
it is told how many shots of each variant are wanted, and returns counts. Pilot, allocation and the stop at a precision
are therefore the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from qiskit import QuantumCircuit

from hyperfabric_q.cutting.observables import Ints
from hyperfabric_q.cutting.sampling import Tally
from hyperfabric_q.cutting.subexperiments import Subexperiment, Subexperiments
from hyperfabric_q.errors import InvalidValue, OutcomesUnfit


@dataclass(frozen=True, slots=True)
class _Order:
    """Shots of a circuit for one of its variants."""

    member: Subexperiment
    key: tuple[int, int]
    variant: int
    shots: int


class Devices:
    """Samplers for the parts of a cut circuit.

    ``jobs`` counts the calls of ``run``, ``shots`` the shots.

    Args:
        wanted: the circuits.
        sampler: a SamplerV2 for all parts, or one for each: {part: sampler}.
        pass_manager: makes the circuits fit a device; one for all parts, or {part: pass manager}, or None.

    Raises:
        InvalidValue: a part has no sampler, or something has no ``run``.
    """

    def __init__(self, wanted: Subexperiments, sampler: Any, pass_manager: Any = None) -> None:  # noqa: D107
        parts = sorted(wanted.by_part())
        self.wanted = wanted
        self.samplers = _per_part("sampler", sampler, parts, whole=True)
        self.pass_managers = _per_part("pass_manager", pass_manager, parts, whole=False)
        self.jobs, self.shots = 0, 0
        self._place = {(own.fragment, own.group, own.variant): each for each in wanted for own in each.variants}
        self._compiled: dict[str, QuantumCircuit] = {}

    def keys(self) -> list[tuple[int, int]]:
        """Return every (fragment, group) that has something to measure."""
        return self.wanted.frame.keys()

    def draw(self, shots: Mapping[tuple[int, int], Ints], rng: np.random.Generator | None = None) -> list[Tally]:
        """Return counts of as many shots of each variant as ``shots`` says, for every (fragment, group) in it.

        Raises:
            OutcomesUnfit: a sampler's result is not one of these circuits'.
        """
        del rng  # devices have their own
        jobs: dict[int, list[_Order]] = {}
        for (fragment, group), own in shots.items():
            for variant in np.flatnonzero(own).tolist():
                member = self._place[fragment, group, variant]
                jobs.setdefault(member.part, []).append(_Order(member, (fragment, group), variant, int(own[variant])))
        found: dict[tuple[int, int], dict[int, dict[int, int]]] = {key: {} for key in shots}
        running = [(orders, self._submit(part, orders)) for part, orders in sorted(jobs.items())]
        for orders, job in running:
            results = list(job.result())
            if len(results) != len(orders):
                problem = f"a sampler was given {len(orders)} circuits and returned {len(results)} results"
                raise OutcomesUnfit(problem=problem, remedy="Use a sampler that returns one result per circuit.")
            for order, result in zip(orders, results, strict=True):
                found[order.key][order.variant] = self.wanted.read_counts(order.member, result)
        return [self.wanted.frame.tally(*key, own) for key, own in found.items()]

    def _submit(self, part: int, orders: Sequence[_Order]) -> Any:
        """Submit one job; variants that share a circuit have their own shots of it."""
        wanted = {each.member.id: each.member for each in orders}
        new = [member for name, member in wanted.items() if name not in self._compiled]
        manager = self.pass_managers[part]
        compiled = [each.circuit for each in new]
        if manager is not None and compiled:
            compiled = list(manager.run(compiled))
        self._compiled.update(zip((each.id for each in new), compiled, strict=True))
        self.jobs += 1
        self.shots += sum(each.shots for each in orders)
        return self.samplers[part].run([(self._compiled[each.member.id], None, each.shots) for each in orders])


def _per_part(field: str, given: Any, parts: Sequence[int], *, whole: bool) -> dict[int, Any]:
    found = {part: given.get(part) if isinstance(given, Mapping) else given for part in parts}
    for part, each in found.items():
        if each is None and not whole:
            continue
        if isinstance(each, type):
            rule = f"part {part} has the class itself"
            remedy = f"Make one: {each.__name__}(...)."
            raise InvalidValue(field=field, value=each.__name__, rule=rule, remedy=remedy)
        if not callable(getattr(each, "run", None)):
            rule = f"part {part} has none with a run method; the parts are {', '.join(map(str, parts))}"
            remedy = "Give one for all parts, or a mapping from every part to one."
            raise InvalidValue(field=field, value=each, rule=rule, remedy=remedy)
    return found
