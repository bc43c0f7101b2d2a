"""What counts do the circuits of a cut return on noisy islands, pairs corrected or not?

To the estimator this is a source of counts like simulated laws or devices. Where a circuit is narrow its law is worked
out once, errors included, and any number of shots is drawn from it; elsewhere shots are simulated.

A shot of a circuit with corrected pairs carries a sign, and counts for the product of their gammas.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hyperfabric_q.cutting.branches import Branches, branches
from hyperfabric_q.cutting.decomposition import Real
from hyperfabric_q.cutting.fragments import CutCircuit, Fragment
from hyperfabric_q.cutting.frame import Frame
from hyperfabric_q.cutting.observables import Ints
from hyperfabric_q.cutting.sampling import Tally, drawn
from hyperfabric_q.cutting.subexperiments import Subexperiment, Subexperiments
from hyperfabric_q.cutting.tensors import Layout, law_blocks
from hyperfabric_q.distribution.plan import Plan
from hyperfabric_q.errors import SimulationRefused
from hyperfabric_q.execution.assisted import AssistedPairs, State, assisted_weights, noise_of, sample_assisted
from hyperfabric_q.execution.channel import law_is_cheap, outcome_law
from hyperfabric_q.execution.dispatch import choose_method
from hyperfabric_q.execution.mean_outcomes import MOST_BITS, mean_chances
from hyperfabric_q.execution.run_noise import RunNoise
from hyperfabric_q.mixing.stage import Ends, Stage, Staged
from hyperfabric_q.seeds import stream, word

WIDEST: Final = 12
"""Qubits of the widest circuit whose law is worked out."""

DRAWS: Final = 4096
"""Draws of the errors that a law is averaged over where their exact mean takes too long."""

Key = tuple[int, int]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Cast:
    """Which island each part has to itself, and the links whose pairs are corrected.

    Attributes:
        nodes: of each part.
        assisted: links, their ends as the fabric names them.
        plan: of the whole circuit, where nothing is cut.
        outputs: of its qubits, those that are measured.
    """

    nodes: tuple[tuple[str, ...], ...]
    assisted: frozenset[Ends]
    plan: Plan | None = None
    outputs: tuple[int, ...] = ()


@dataclass(slots=True, eq=False)
class NodeLaws:
    """Counts of the circuits of a cut, each on its island.

    Attributes:
        pieces: the fragments.
        wanted: the circuits.
        stage: puts them on islands.
        cast: which ones.
        method: that simulates what is too wide for a law; "auto" chooses.
        seed: of what is drawn beside the shots.
        approximations: what was not exact, one sentence each.
    """

    pieces: CutCircuit
    wanted: Subexperiments
    stage: Stage
    cast: Cast
    method: str = "auto"
    seed: int = 0
    approximations: dict[str, None] = field(default_factory=dict)
    _place: dict[tuple[int, int, int], Subexperiment] = field(default_factory=dict)
    _laws: dict[Key, tuple[Real, Real]] = field(default_factory=dict)
    _first: dict[int, Staged] = field(default_factory=dict)
    _states: dict[int, Branches] = field(default_factory=dict)
    _cheap: dict[int, bool] = field(default_factory=dict)
    _calls: int = 0

    def __post_init__(self) -> None:
        self._place = {(own.fragment, own.group, own.variant): each for each in self.wanted for own in each.variants}

    @property
    def frame(self) -> Frame:
        """How outcomes are put together."""
        return self.wanted.frame

    @property
    def wanted_variants(self) -> int:
        """How many variants the circuits serve; each takes a shot at least."""
        return sum(len(each.variants) for each in self.wanted)

    def keys(self) -> list[Key]:
        """Return every (fragment, group) that has something to measure."""
        return self.frame.keys()

    def staged(self, member: Subexperiment) -> Staged:
        """Return a circuit on the island of its part."""
        fragment, group = member.variants[0].fragment, member.variants[0].group
        if self.cast.plan is not None:
            basis = self.frame.measured.strings[fragment].bases[group]
            return self.stage.measured(self.cast.plan, self.cast.outputs, basis)
        nodes = self.cast.nodes[member.part]
        found = self.stage.put(member.circuit, nodes, name=member.id, like=self._first.get(fragment))
        self._first.setdefault(fragment, found)
        return found

    def figures(self) -> list[Staged]:
        """Return the circuits, on their islands, that pairs and times are read from.

        They are all there are; but where nothing errs, of each fragment the one of most operations alone.
        """
        found, longest = [], dict[int, Subexperiment]()
        for member in self.wanted:
            fragment = member.variants[0].fragment
            if not self.errs(fragment):
                longest[fragment] = max(longest.get(fragment, member), member, key=_length)
            else:
                found.append(self.staged(member))
        return [*found, *(self.staged(each) for each in longest.values())]

    def first_staged(self) -> list[Staged]:
        """Return the first circuit of each fragment on its island."""
        first: dict[int, Subexperiment] = {}
        for member in self.wanted:
            first.setdefault(member.variants[0].fragment, member)
        return [self.staged(each) for each in first.values()]

    @property
    def work(self) -> int:
        """How many circuits are planned and simulated for the laws."""
        return sum(self.errs(each.variants[0].fragment) for each in self.wanted)

    def errs(self, fragment: int) -> bool:
        """Whether a fragment suffers errors: on one node with perfect gates it does not."""
        nodes = self.cast.nodes[self.pieces.fragments[fragment].part]
        return self.cast.plan is not None or len(nodes) > 1 or not self.stage.is_perfect(nodes[0])

    def again(self, *, method: str, seed: int) -> NodeLaws:
        """Return the same with what is known of the laws, to draw anew."""
        return replace(self, method=method, seed=seed, approximations=dict(self.approximations), _calls=0)

    def which(self, staged: Staged) -> Mask:
        """Return which pairs of a circuit are corrected, shape (pairs,)."""
        return np.array([link in self.cast.assisted for link in staged.links], dtype=np.bool_)

    def corrections(self, staged: Staged) -> AssistedPairs:
        """Return the corrections of the pairs of a circuit."""
        return assisted_weights(staged.noise.pair_weights, self.which(staged))

    def draw(self, shots: Mapping[Key, Ints], rng: np.random.Generator) -> list[Tally]:
        """Return counts of as many shots of each variant as ``shots`` says, for every (fragment, group) in it."""
        self._calls += 1
        return [self._tally(key, own, rng) for key, own in shots.items()]

    def expected(self, key: Key, shots: Real) -> Tally:
        """Return what so many shots of each variant, shape (variants,), give in the mean; not whole numbers."""
        laws, scale = self.laws(key)
        return Tally(
            fragment=key[0],
            group=key[1],
            layout=self._layout(key[0]),
            counts=laws * shots[:, None],  # type: ignore[arg-type]  # means of counts
            scale=scale,
        )

    def laws(self, key: Key) -> tuple[Real, Real]:
        """Return the law of every variant, shape (variants, outcomes), and what a shot counts for, (variants,).

        Raises:
            SimulationRefused: a circuit is wider than ``WIDEST``.
        """
        if key not in self._laws:
            layout = self._layout(key[0])
            laws, scale = np.zeros((layout.variants, layout.outcomes)), np.ones(layout.variants)
            if not self.errs(key[0]) and all(self.is_listed(each) for each in self._members(key)):
                self._without_errors(key, laws)
                self._laws[key] = (laws, scale)
                return self._laws[key]
            for variant in range(layout.variants):
                member = self._place.get((*key, variant))
                if member is not None:
                    laws[variant], scale[variant] = self._law(key[0], variant, member)
            self._laws[key] = (laws, scale)
        return self._laws[key]

    def _members(self, key: Key) -> list[Subexperiment]:
        return [each for (fragment, group, _), each in self._place.items() if (fragment, group) == key]

    def _without_errors(self, key: Key, laws: Real) -> None:
        """Put in the laws of a fragment without errors: its states serve all variants."""
        number, group = key
        fragment = self.pieces.fragments[number]
        alive = _alive(fragment)
        if number not in self._states:
            self._states[number] = branches(replace(fragment, outputs=alive))
        kept = [alive.index(each) for each in fragment.outputs]
        x, z = (_spread(mask, kept) for mask in self.frame.measured.strings[number].bases[group])
        every = np.arange(1 << len(alive))
        seen = sum(((every >> place & 1) << bit for bit, place in enumerate(kept)), np.zeros_like(every))
        for variants, own in law_blocks(self._states[number], Layout.of(fragment.sides, len(alive)), (x, z)):
            shaped = own.reshape(len(variants), -1, len(every))
            summed = np.zeros((*shaped.shape[:2], 1 << len(kept)))
            np.add.at(np.moveaxis(summed, 2, 0), seen, np.moveaxis(shaped, 2, 0))
            laws[variants, : summed[0].size] = summed.reshape(len(variants), -1)

    def is_listed(self, member: Subexperiment) -> bool:
        """Whether the law of a circuit can be worked out."""
        bits = sum(register.size for register in member.circuit.cregs)
        return bool(member.circuit.num_qubits <= WIDEST and bits <= MOST_BITS)

    def _tally(self, key: Key, shots: Ints, rng: np.random.Generator) -> Tally:
        members = {variant: self._place[(*key, variant)] for variant in np.flatnonzero(shots).tolist()}
        layout = self._layout(key[0])
        if all(self.is_listed(each) for each in members.values()):
            laws, scale = self.laws(key)
            counts = np.zeros(laws.shape, dtype=np.int64)
            used = np.flatnonzero(shots)
            counts[used] = drawn(laws[used], shots[used], rng)
            return Tally(fragment=key[0], group=key[1], layout=layout, counts=counts, scale=scale)
        counts, scale = np.zeros((layout.variants, layout.outcomes), dtype=np.int64), np.ones(layout.variants)
        for variant, member in members.items():
            counts[variant], scale[variant] = self._sampled(key, variant, member, int(shots[variant]))
        return Tally(fragment=key[0], group=key[1], layout=layout, counts=counts, scale=scale)

    def _sampled(self, key: Key, variant: int, member: Subexperiment, shots: int) -> tuple[Ints, float]:
        staged = self.staged(member)
        reported = staged.reported
        method = self.method
        if method == "auto":
            method = choose_method(staged.plan, staged.errors, shots=shots, reported=reported)
        found = sample_assisted(
            staged.plan,
            staged.noise,
            self.which(staged),
            method=method,
            shots=shots,
            seed=word(self.seed, "node", self._calls, *key, variant),
            reported=reported,
        )
        for each in found.samples:
            self.approximations.update(dict.fromkeys(each.approximations))
        row = np.zeros(self._layout(key[0]).outcomes, dtype=np.int64)
        for counts, negative in ((found.plus, False), (found.minus, True)):
            outcomes = np.array([int(bits.replace(" ", ""), 2) for bits in counts], dtype=np.int64)
            times = np.array(list(counts.values()), dtype=np.int64)
            if len(times):
                np.add.at(row, self._index(key[0], variant, outcomes, negative=negative), times)
        return row, found.gamma

    def _law(self, fragment: int, variant: int, member: Subexperiment) -> tuple[Real, float]:
        if not self.is_listed(member):
            raise SimulationRefused(
                asked=f"the law of a circuit of {member.circuit.num_qubits} qubits",
                found=f"laws of at most {WIDEST} qubits are worked out",
                remedy="Sample instead.",
            )
        staged = self.staged(member)
        pairs = self.corrections(staged)
        row = np.zeros(self._layout(fragment).outcomes)
        if not self.which(staged).any():
            self._put(row, fragment, variant, self._chances(fragment, staged, staged.noise), negative=False)
            return row, 1.0
        count = len(staged.links)
        unsigned, perfect = (
            self._chances(fragment, staged, noise_of(staged.noise, pairs, np.full(count, state)))
            for state in (State.ANY, State.PERFECT)
        )
        share = perfect / pairs.gamma
        self._put(row, fragment, variant, np.maximum(unsigned + share, 0) / 2, negative=False)
        self._put(row, fragment, variant, np.maximum(unsigned - share, 0) / 2, negative=True)
        return row / row.sum(), pairs.gamma

    def _chances(self, fragment: int, staged: Staged, noise: RunNoise) -> Real:
        reported = staged.reported
        if fragment not in self._cheap:  # its circuits differ in one-qubit operations only
            self._cheap[fragment] = law_is_cheap(staged.plan, noise, reported=reported)
        if self._cheap[fragment]:
            return outcome_law(staged.plan, noise, reported=reported)
        # The same draws for all corrections: what they share cancels in differences.
        self.approximations[f"laws of wide circuits are means of {DRAWS} draws of the errors"] = None
        return mean_chances(staged.plan, noise, reported, draws=DRAWS, rng=stream(self.seed, "law"))

    def _put(self, row: Real, fragment: int, variant: int, law: Real, *, negative: bool) -> None:
        occurring = np.flatnonzero(law > 0)
        np.add.at(row, self._index(fragment, variant, occurring, negative=negative), law[occurring])

    def _index(self, fragment: int, variant: int, outcomes: Ints, *, negative: bool) -> Ints:
        """Where outcomes stand in the layout; a negative sign of their own turns the sign that is read off them."""
        found = self.frame.place(fragment, variant, outcomes)
        if not negative:
            return found
        layout = self._layout(fragment)
        half = layout.outcomes // 2
        return np.asarray((found + half) % layout.outcomes)

    def _layout(self, fragment: int) -> Layout:
        """The layout of a fragment, with room for signs where pairs are corrected."""
        layout = self.frame.layouts[fragment]
        return replace(layout, signs=2) if self.cast.assisted else layout


def _alive(fragment: Fragment) -> tuple[int, ...]:
    """The wires that are there at the end, whether anybody looks at them or not."""
    ended = {
        marker.qubits[0]
        for marker, side in zip(fragment.markers, fragment.sides, strict=True)
        if side.basis.shape[1] == 1 and side.basis.shape[2] > 1
    }
    return tuple(wire for wire in range(len(fragment.wires)) if wire not in ended)


def _spread(mask: int, places: Sequence[int]) -> int:
    """The mask with its bits at these places."""
    return sum((mask >> bit & 1) << place for bit, place in enumerate(places))


def _length(member: Subexperiment) -> tuple[int, int, int]:
    circuit = member.circuit
    return circuit.num_qubits, circuit.num_clbits, len(circuit.data)
