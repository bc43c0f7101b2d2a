"""What are the observables worth, exactly or from shots, and what must run again when an angle changes?

``exact`` and ``bootstrap`` work on one cut circuit. A ``Workbench`` keeps what its fragments gave: an angle of a cut
gate changes weights only, an angle inside a fragment makes this fragment run again and no other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from hyperfabric_q.cutting.allocation import Allocation, Estimated, estimate, needed_variants
from hyperfabric_q.cutting.branches import Branches, branches
from hyperfabric_q.cutting.contract import Network, values
from hyperfabric_q.cutting.decomposition import Real
from hyperfabric_q.cutting.estimates import evaluate, plain_values
from hyperfabric_q.cutting.fragments import CutCircuit
from hyperfabric_q.cutting.given import given_values
from hyperfabric_q.cutting.observables import Measured, measure
from hyperfabric_q.cutting.sampling import Laws, Tally, drawn
from hyperfabric_q.cutting.tensors import exact_tensor
from hyperfabric_q.seeds import resolve, stream

KEPT = 64
"""Bindings of one fragment that a workbench remembers."""


def exact(
    cut: CutCircuit,
    observables: Any,
    *,
    wires: Sequence[int] | None = None,
    states: Mapping[int, Branches] | None = None,
) -> Real:
    """Return the exact values of the observables, shape (o,).

    Args:
        cut: the fragments, with all parameters bound.
        observables: one or several; SparsePauliOp, Pauli or label.
        wires: the wire that holds each qubit at the end (``Prepared.wires``).
        states: final states of fragments that are known already.

    Raises:
        InvalidValue: unbound parameters, unfit observables.
        SimulationRefused: a fragment too wide to simulate.

    Cost: 2^(width + cuts) amplitudes per gate of a fragment, for cuts of RZZ, CX and wires; one contraction.
    """
    cut.check_bound()
    measured = measure(cut, observables, wires=wires)
    known = {} if states is None else states
    tensors = [
        exact_tensor(known[number] if number in known else branches(fragment), fragment.sides, strings.x, strings.z)
        for number, (fragment, strings) in enumerate(zip(cut.fragments, measured.strings, strict=True))
    ]
    return measured.total(values(Network.of(cut), tensors, measured.index))


def bootstrap(
    cut: CutCircuit, measured: Measured, tallies: Sequence[Tally], *, repeats: int = 200, seed: int | None = None
) -> Real:
    """Return the standard deviation of the values over counts drawn anew from the counts, shape (o,).

    A check of the error bars that shares nothing with the delta method. At few shots it is too wide, since the counts'
    own scatter comes twice.

    Cost: one contraction per repeat.
    """
    rng = stream(resolve(seed), "cutting", "bootstrap")
    network, found = Network.of(cut), []
    shares = [each.counts / np.maximum(each.shots, 1)[:, None] for each in tallies]
    for _ in range(repeats):
        again = [
            Tally(fragment=each.fragment, group=each.group, layout=each.layout, counts=drawn(share, each.shots, rng))
            for each, share in zip(tallies, shares, strict=True)
        ]
        found.append(plain_values(network, measured, again))
    return np.asarray(np.std(found, axis=0, ddof=1))


@dataclass(slots=True)
class Runs:
    """What a workbench has had to do.

    Attributes:
        fragments: fragments simulated, or run.
        variants: unique variants run for shots.
    """

    fragments: int = 0
    variants: int = 0


@dataclass(slots=True, eq=False)
class Workbench:
    """A cut circuit whose angles change, with the observables to measure on it.

    Attributes:
        cut: the fragments; parameters may be unbound.
        observables: one or several.
        wires: the wire that holds each qubit at the end (``Prepared.wires``).
        runs: what has been run so far.
    """

    cut: CutCircuit
    observables: Any
    wires: Sequence[int] | None = None
    runs: Runs = field(default_factory=Runs)
    _measured: Measured = field(init=False)
    _own: list[list[Any]] = field(init=False)
    _states: list[dict[tuple[float, ...], Branches]] = field(init=False)
    _tensors: list[dict[tuple[float, ...], Real]] = field(init=False)
    _tallies: list[dict[tuple[object, ...], list[Tally]]] = field(init=False)

    def __post_init__(self) -> None:
        self._measured = measure(self.cut, self.observables, wires=self.wires)
        self._own = [sorted(each.parameters, key=str) for each in self.cut.fragments]
        count = len(self.cut.fragments)
        self._states = [{} for _ in range(count)]
        self._tensors = [{} for _ in range(count)]
        self._tallies = [{} for _ in range(count)]

    def exact(self, parameters: Mapping[Any, float] | None = None) -> Real:
        """Return the exact values at these parameters, shape (o,); only what changed is simulated."""
        bound, keys = self._bound(parameters)
        tensors = []
        for number, (fragment, key) in enumerate(zip(bound.fragments, keys, strict=True)):
            known = self._tensors[number]
            if key not in known:
                strings = self._measured.strings[number]
                state = self._state(bound, number, key)
                _remember(known, key, exact_tensor(state, fragment.sides, strings.x, strings.z))
            tensors.append(known[key])
        return self._measured.total(values(Network.of(bound), tensors, self._measured.index))

    def estimate(
        self,
        parameters: Mapping[Any, float] | None = None,
        *,
        shots: int | None = None,
        precision: float | None = None,
        allocation: Allocation = "neyman",
        seed: int | None = None,
    ) -> Estimated:
        """Return estimates at these parameters with shots that go where they are needed; see ``allocation``."""
        bound, keys = self._bound(parameters)
        laws = self._laws(bound, keys)
        made = estimate(
            bound,
            self.observables,
            shots=shots,
            precision=precision,
            allocation=allocation,
            seed=seed,
            wires=self.wires,
            laws=laws,
        )
        self.runs.variants += made.variants
        return made

    def resumed(
        self, parameters: Mapping[Any, float] | None = None, *, per_variant: int, seed: int | None = None
    ) -> Estimated:
        """Return estimates from ``per_variant`` shots of each variant, with the counts of fragments that have run.

        Counts of a fragment are used again where its own angles, ``per_variant`` and ``seed`` are the same. Estimates
        that share counts are correlated.
        """
        bound, keys = self._bound(parameters)
        seed = resolve(seed)
        laws: Laws | None = None
        found: list[Tally] = []
        for number, key in enumerate(keys):
            known, whole = self._tallies[number], (key, per_variant, seed)
            if whole not in known:
                laws = self._laws(bound, keys) if laws is None else laws
                needed = {each: mask for each, mask in _all_variants(bound, laws).items() if each[0] == number}
                rng = stream(seed, "cutting", "shots", number)
                tallies = laws.draw({each: mask * per_variant for each, mask in needed.items()}, rng)
                self.runs.variants += int(sum(mask.sum() for mask in needed.values()))
                _remember(known, whole, tallies)
            found += known[whole]
        reading = evaluate(Network.of(bound), self._measured, found)
        count = int(sum((each.shots > 0).sum() for each in found))
        return Estimated(
            estimates=reading.estimates(),
            reading=reading,
            tallies=tuple(found),
            variants=count,
            shots=reading.shots,
            seed=seed,
        )

    def _bound(self, parameters: Mapping[Any, float] | None) -> tuple[CutCircuit, list[tuple[float, ...]]]:
        given = given_values({} if parameters is None else parameters, self.cut.parameters)
        bound = self.cut.bind(given)
        bound.check_bound()
        return bound, [tuple(given[each] for each in own) for own in self._own]

    def _state(self, bound: CutCircuit, number: int, key: tuple[float, ...]) -> Branches:
        known = self._states[number]
        if key not in known:
            self.runs.fragments += 1
            _remember(known, key, branches(bound.fragments[number]))
        return known[key]

    def _laws(self, bound: CutCircuit, keys: list[tuple[float, ...]]) -> Laws:
        states = {number: self._state(bound, number, key) for number, key in enumerate(keys)}
        return Laws(bound, self._measured, states=states)


def _all_variants(cut: CutCircuit, laws: Laws) -> dict[tuple[int, int], Any]:
    """All variants, also those whose weight is 0 at this angle: at the next it may not be."""
    return {key: np.ones(len(mask), dtype=np.int64) for key, mask in needed_variants(cut, laws.keys()).items()}


def _remember(known: dict[Any, Any], key: Any, value: Any) -> None:
    if len(known) >= KEPT:
        known.pop(next(iter(known)))
    known[key] = value
