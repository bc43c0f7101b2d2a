"""How likely is each outcome of some of the bits?

A fragment's tensor then has an axis for its own bits, and the contraction leaves these axes open. From shots the result
is a quasi-distribution, slightly negative in places; the nearest distribution is found by projection. Where all
outcomes are too many, bins are opened one after the other, always the heaviest (dynamic definition, CutQC).
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import opt_einsum  # type: ignore[import-untyped]

from hyperfabric_q.cutting.allocation import needed_variants
from hyperfabric_q.cutting.branches import branches
from hyperfabric_q.cutting.contract import Network
from hyperfabric_q.cutting.decomposition import Real
from hyperfabric_q.cutting.fragments import CutCircuit
from hyperfabric_q.cutting.sampling import drawn
from hyperfabric_q.cutting.tensors import Layout, law_blocks, outcome_means, read_off
from hyperfabric_q.errors import InvalidValue
from hyperfabric_q.seeds import resolve, stream

WIDEST = 24
"""Most bits whose outcomes are all listed."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class BitTensors:
    """The fragments' tensors over chosen bits.

    Attributes:
        network: how fragments are joined.
        tensors: per fragment (outcomes of its chosen bits, instruments...), the first of its bits least significant.
        bits: per fragment which of the chosen bits its own are, ascending by significance.
        chosen: number of chosen bits, of which those in no fragment are always 0.
        shots: they rest on, 0 if exact.
    """

    network: Network
    tensors: tuple[Real, ...]
    bits: tuple[tuple[int, ...], ...]
    chosen: int
    shots: int

    def probabilities(self, fixed: Mapping[int, int] | None = None, free: Sequence[int] | None = None) -> Real:
        """Return the (quasi-)probability of every outcome of the free bits, shape (2^free,).

        Args:
            fixed: values of some chosen bits.
            free: chosen bits that are told apart, first least significant; by default all that are not fixed. Others
                are added up.

        Raises:
            InvalidValue: more than 24 free bits.
        """
        held = dict(fixed or {})
        open_bits = [bit for bit in range(self.chosen) if bit not in held] if free is None else list(free)
        if len(open_bits) > WIDEST:
            rule = f"at most {WIDEST} bits are listed outcome by outcome"
            raise InvalidValue(field="bits", value=len(open_bits), rule=rule, remedy="Choose fewer, or take heavy().")
        owned = {bit for own in self.bits for bit in own}
        arguments: list[object] = []
        for number, tensor in enumerate(self.tensors):
            own = self.bits[number]
            shaped = tensor.reshape((2,) * len(own) + tensor.shape[1:])
            places = {bit: len(own) - 1 - position for position, bit in enumerate(own)}
            picked = shaped[tuple(held.get(bit, slice(None)) for bit in reversed(own))]
            left = [bit for bit in sorted(own, key=places.__getitem__) if bit not in held]
            picked = picked.sum(axis=tuple(axis for axis, bit in enumerate(left) if bit not in open_bits))
            left = [bit for bit in left if bit in open_bits]
            flat = picked.reshape((-1, *tensor.shape[1:]))
            weighted = self.network.weighted(number, flat).reshape(picked.shape[: len(left)] + self._bonds(number))
            arguments += [
                weighted,
                [*(2 * bit for bit in left), *(1 + 2 * cut for cut, _ in self.network.axes[number])],
            ]
        missing = [bit for bit in open_bits if bit not in owned]
        for bit in missing:
            arguments += [np.array([1.0, 0.0]), [2 * bit]]
        if any(held.get(bit, 0) for bit in range(self.chosen) if bit not in owned):
            return np.zeros(2 ** len(open_bits))
        out = [2 * bit for bit in reversed(open_bits)]
        return np.asarray(opt_einsum.contract(*arguments, out)).reshape(-1)

    def _bonds(self, number: int) -> tuple[int, ...]:
        sizes = []
        for cut, side in self.network.axes[number]:
            weights = self.network.weights[cut]
            sizes.append(weights.shape[1 - side] if self.network.taken_by[cut] == side else weights.shape[side])
        return tuple(sizes)

    def heavy(self, *, bins: int = 16, step: int = 4, least: float = 0.0) -> dict[int, float]:
        """Return the outcomes of all chosen bits that are found heaviest, with their (quasi-)probabilities.

        The heaviest bin is split by its next ``step`` bits, starting with the most significant, until ``bins``
        outcomes are complete. 2^chosen numbers are never stored. An outcome that is missed is no heavier than the last
        one returned as long as probabilities are exact.

        Args:
            bins: outcomes to find.
            step: bits by which a bin is split.
            least: bins lighter than this are not opened.
        """
        order = list(range(self.chosen - 1, -1, -1))
        queue: list[tuple[float, int, int]] = [(-1.0, 0, 0)]  # (-weight, bits known, their values)
        found: dict[int, float] = {}
        while queue and len(found) < bins:
            weight, known, value = heapq.heappop(queue)
            if known == self.chosen:
                found[value] = -weight
                continue
            fixed = {bit: value >> bit & 1 for bit in order[:known]}
            free = sorted(order[known : known + step])
            shares = self.probabilities(fixed, free)
            for outcome in np.flatnonzero(shares > max(least, 0.0)):
                inner = value | sum((int(outcome) >> place & 1) << bit for place, bit in enumerate(free))
                heapq.heappush(queue, (-float(shares[outcome]), known + len(free), inner))
        return found


def bit_tensors(
    cut: CutCircuit,
    *,
    qubits: Sequence[int] = (),
    clbits: Sequence[int] = (),
    per_variant: int | None = None,
    seed: int | None = None,
    wires: Sequence[int] | None = None,
) -> BitTensors:
    """Return what the fragments say about some qubits, measured at the end, and some classical bits.

    Chosen bits are numbered in the order given, qubits first; the first is least significant.

    Args:
        cut: the fragments, with all parameters bound.
        qubits: to measure in the Z basis.
        clbits: whose final value is asked for.
        per_variant: shots of each unique variant; exact if None.
        seed: of the draws.
        wires: the wire that holds each qubit at the end (``Prepared.wires``).

    Raises:
        InvalidValue: a bit that does not exist or comes twice.
    """
    cut.check_bound()
    for field, given, count in (("qubits", qubits, len(cut.outputs)), ("clbits", clbits, len(cut.clbits))):
        if len(set(given)) != len(given) or any(not 0 <= each < count for each in given):
            rule = f"each is named once and lies in 0 to {count - 1}"
            raise InvalidValue(field=field, value=tuple(given), rule=rule)
    outputs, codes = _placed(cut, qubits, clbits, wires)
    rng = stream(resolve(seed), "cutting", "distribution")
    needed = needed_variants(cut, [(number, 0) for number in range(len(cut.fragments))])
    tensors, bits, shots = [], [], 0
    for number, fragment in enumerate(cut.fragments):
        state = branches(fragment)
        held = sorted({place for _, place in codes[number]})
        code = (state.bits[:, held].astype(np.int64) << np.arange(len(held))).sum(axis=1)
        layout = Layout.of(fragment.sides, state.outputs, 2 ** len(held))
        laws = np.concatenate([part for _, part in law_blocks(state, layout, (0, 0), code if held else None)])
        if per_variant is not None:
            counts = drawn(laws, needed[number, 0].astype(np.int64) * per_variant, rng)
            shots += int(counts.sum())
            laws = counts / per_variant
        kept = sorted({place for _, place in outputs[number]})
        tensors.append(_copied(read_off(outcome_means(laws, layout, kept), layout), kept, held, outputs, codes, number))
        bits.append(tuple(bit for bit, _ in (*outputs[number], *codes[number])))
    return BitTensors(
        network=Network.of(cut),
        tensors=tuple(tensors),
        bits=tuple(bits),
        chosen=len(qubits) + len(clbits),
        shots=shots,
    )


_Places = list[list[tuple[int, int]]]


def _placed(
    cut: CutCircuit, qubits: Sequence[int], clbits: Sequence[int], wires: Sequence[int] | None
) -> tuple[_Places, _Places]:
    """Per fragment the (chosen bit, output) and the (chosen bit, place among its classical bits)."""
    outputs: _Places = [[] for _ in cut.fragments]
    codes: _Places = [[] for _ in cut.fragments]
    for bit, qubit in enumerate(qubits):
        home, place = cut.outputs[qubit if wires is None else wires[qubit]]
        outputs[home].append((bit, place))
    for bit, clbit in enumerate(clbits, start=len(qubits)):
        where = cut.clbits[clbit]
        if where is not None:
            home, final, place = where
            (outputs if final else codes)[home].append((bit, place))
    return outputs, codes


def _copied(tensor: Real, kept: list[int], held: list[int], outputs: _Places, codes: _Places, number: int) -> Real:
    """Spread outcomes of distinct local bits over the chosen bits, of which two may be the same local bit."""
    own = [kept.index(place) for _, place in outputs[number]]
    own += [len(kept) + held.index(place) for _, place in codes[number]]
    if own == list(range(len(kept) + len(held))):
        return tensor
    local = np.arange(len(tensor))
    target = sum(((local >> place & 1) << position for position, place in enumerate(own)), np.zeros_like(local))
    spread = np.zeros((2 ** len(own), *tensor.shape[1:]))
    np.add.at(spread, target, tensor)
    return spread


def nearest_distribution(quasi: Real) -> Real:
    """Return the distribution nearest to a quasi-distribution in the 2-norm.

    What is negative goes, and what it sums to is taken evenly from the rest (Duchi et al. 2008).

    Cost: one sort.
    """
    ordered = np.sort(quasi)[::-1]
    excess = (np.cumsum(ordered) - 1.0) / np.arange(1, len(quasi) + 1)
    last = int(np.flatnonzero(ordered > excess)[-1])
    return np.asarray(np.maximum(quasi - excess[last], 0.0))


def samples(quasi: Real, shots: int, *, seed: int | None = None) -> dict[int, int]:
    """Return counts of ``shots`` outcomes drawn from the distribution nearest to a quasi-distribution."""
    shares = nearest_distribution(quasi)
    rng = stream(resolve(seed), "cutting", "samples")
    counts = drawn((shares / math.fsum(shares))[None], np.array([shots]), rng)[0]
    return {int(outcome): int(counts[outcome]) for outcome in np.flatnonzero(counts)}
