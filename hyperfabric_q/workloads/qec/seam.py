"""A rotated surface code whose patch lies on several nodes, with a seam over Bell pairs.

The cut runs between two columns of qubits. At an ancilla column in the bulk, 2d - 1 gates cross per round, or d copies
where a copy serves both gates of a check. Error chains that flip the logical Z run along a vertical cut and feel its
noise; those that flip X cross it and hardly do. So a patch keeps X better, and both bases belong into every report.
"""

from __future__ import annotations

import bisect
import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import stim
from numpy.typing import ArrayLike, NDArray

from hyperfabric_q.entanglement.state import numbers
from hyperfabric_q.errors import InvalidValue
from hyperfabric_q.fabric import Fabric
from hyperfabric_q.workloads.qec.codes import Layout, memory_experiment, rotated_layout
from hyperfabric_q.workloads.qec.experiment import DEFAULT_CYCLE_NS, ROUND_TAG, Experiment, LinkKind
from hyperfabric_q.workloads.qec.from_stim import Pairs, from_stim, use_weights
from hyperfabric_q.workloads.qec.instructions import instruction, instructions_of
from hyperfabric_q.workloads.qec.links import with_weights
from hyperfabric_q.workloads.qec.noise_models import NoiseModel, idle_channel


@dataclass(frozen=True, slots=True, kw_only=True)
class DistributedSurfaceCode:
    """A memory of one patch over several nodes.

    Attributes:
        distance: of the code.
        cut: x coordinate from which qubits are on the next node, or several in rising order; None = ``distance``, the
            middle. Columns run from 0 to 2 x distance, data qubits at odd ones.
        link: how gates cross: "direct", "teleported" or "cat".
        nodes: from left to right.
        rounds: None = 3 x distance.
        basis: which logical value is kept.
        noise: name of a noise model, or a model, of everything inside a node.
        p: parameter of a named model.
        pairs: states of the pairs; they win over the fabric's. None of both = perfect pairs.
        fabric: its links give the pairs their states.
        keep_gate_noise: whether the two-qubit noise of a gate stays where it crosses, beside that of the pair.
        t1_ns: relaxation time of data qubits while a round waits for pairs.
        t2_ns: coherence time of the same.
        cycle_ns: duration of a round.
    """

    distance: int
    cut: int | tuple[int, ...] | None = None
    link: LinkKind = "teleported"
    nodes: tuple[str, ...] = ("qpu-a", "qpu-b")
    rounds: int | None = None
    basis: str = "Z"
    noise: str | NoiseModel = "stim4"
    p: float = 0.001
    pairs: Pairs | None = None
    fabric: Fabric | None = None
    keep_gate_noise: bool = False
    t1_ns: float = math.inf
    t2_ns: float = math.inf
    cycle_ns: float = DEFAULT_CYCLE_NS

    def __post_init__(self) -> None:
        layout = rotated_layout(self.distance)
        cuts = self.cuts
        if not all(1 <= cut <= 2 * layout.distance for cut in cuts) or any(a >= b for a, b in pairwise(cuts)):
            rule = f"cuts lie between 1 and {2 * layout.distance}, in rising order"
            raise InvalidValue(field="cut", value=self.cut, rule=rule)
        if len(self.nodes) != len(cuts) + 1 or len(set(self.nodes)) != len(self.nodes) or "" in self.nodes:
            rule = f"{len(cuts)} cut(s) make {len(cuts) + 1} parts, and each has a node of its own"
            raise InvalidValue(field="nodes", value=self.nodes, rule=rule)

    @property
    def cuts(self) -> tuple[int, ...]:
        """The cuts, in rising order."""
        if self.cut is None:
            return (self.distance,)
        return (self.cut,) if isinstance(self.cut, int) else self.cut

    @property
    def placement(self) -> dict[int, str]:
        """Node of each qubit."""
        places = rotated_layout(self.distance).coordinates
        return {qubit: self.nodes[bisect.bisect_right(self.cuts, place[0])] for qubit, place in places.items()}

    @property
    def crossings(self) -> tuple[tuple[int, int], ...]:
        """Control and target of each pair of a round, in the order in which a round uses them."""
        return tuple((use.control, use.target) for use in self._perfect(1, ()).links)

    @property
    def pairs_per_round(self) -> int:
        """Bell pairs that a round asks for."""
        return len(self.crossings)

    def experiment(
        self,
        *,
        weights: ArrayLike | None = None,
        missing: ArrayLike | None = None,
        wait_ns: Sequence[float] | None = None,
    ) -> Experiment:
        """Return the memory experiment; build time is linear in rounds x distance squared.

        Args:
            weights: of each pair, shape (rounds, pairs per round, 4) or what broadcasts to it; None = ``pairs``, or
                those of the fabric.
            missing: pairs that did not come and were reported, boolean, shape (rounds, pairs per round). A check that
                needs one is left out of that round, and its detectors before and after become one.
            wait_ns: how long each round waits for its pairs before it starts, shape (rounds,).

        Raises:
            InvalidValue: an array does not fit, or a round waits and nobody said how fast qubits decay.
            NoQuantumPath: the fabric has no link between neighbouring parts.
        """
        rounds = 3 * self.distance if self.rounds is None else self.rounds
        slots = {pair: at for at, pair in enumerate(self.crossings)}
        absent = np.zeros((rounds, len(slots)), dtype=np.bool_)
        if missing is not None:
            absent = np.asarray(_fitting("missing", missing, (rounds, len(slots))), dtype=np.bool_)
        layout = rotated_layout(self.distance)
        skip = _skipped(layout, tuple(slots), absent)
        experiment = self._perfect(rounds, skip, wait_ns)
        facts = {
            **experiment.metadata,
            "p": self.p,
            "pairs_used": len(experiment.links),
            "pairs_missing": int(absent.sum()),
            "checks_skipped": len(skip),
        }
        experiment = replace(experiment, metadata=facts)
        if weights is not None:
            rows = _fitting("weights", weights, (rounds, len(slots), 4))
            chosen = [rows[use.round, slots[use.control, use.target]] for use in experiment.links]
            return with_weights(experiment, np.array(chosen).reshape(-1, 4))
        if self.pairs is None and self.fabric is None:
            return experiment
        return with_weights(experiment, use_weights(experiment.links, self.pairs, self.fabric))

    def _perfect(
        self, rounds: int, skip: Collection[tuple[int, int]], wait_ns: Sequence[float] | None = None
    ) -> Experiment:
        layout = rotated_layout(self.distance)
        local = memory_experiment(layout, rounds, self.basis, self.noise, p=self.p, skip=skip)
        circuit = local.circuit
        if wait_ns is not None:
            waits = _fitting("wait_ns", wait_ns, (rounds,))
            circuit = self._waiting(circuit, layout, waits)
        return from_stim(
            circuit,
            self.placement,
            link=self.link,
            keep_gate_noise=self.keep_gate_noise,
            code="distributed_surface_code",
            distance=self.distance,
            basis=self.basis,
            noise=local.noise,
            cycle_ns=self.cycle_ns,
        )

    def _waiting(self, circuit: stim.Circuit, layout: Layout, wait_ns: NDArray[np.float64]) -> stim.Circuit:
        if wait_ns.any() and math.isinf(self.t1_ns) and math.isinf(self.t2_ns):
            rule = "a qubit that waits decays, and neither t1_ns nor t2_ns is stated"
            raise InvalidValue(field="wait_ns", value=float(wait_ns.max()), rule=rule)
        slow, at = stim.Circuit(), -1
        for each in instructions_of(circuit):
            slow.append(each)
            if each.name == "TICK" and each.tag == ROUND_TAG:
                at += 1
                if wait_ns[at]:
                    channel = idle_channel(float(wait_ns[at]), t1_ns=self.t1_ns, t2_ns=self.t2_ns)
                    slow.append(instruction("PAULI_CHANNEL_1", layout.data, channel))
        return slow


def _fitting(field: str, given: ArrayLike, shape: tuple[int, ...]) -> NDArray[np.float64]:
    array = numbers(field, given)
    try:
        return np.broadcast_to(array, shape)
    except ValueError:
        rule = f"its shape should be {shape}, or broadcast to it"
        raise InvalidValue(field=field, value=array.shape, rule=rule) from None


def _skipped(layout: Layout, slots: Sequence[tuple[int, int]], absent: NDArray[np.bool_]) -> frozenset[tuple[int, int]]:
    """The (round, ancilla) of checks that lack a pair."""
    ancillas = frozenset(layout.ancillas)
    owner = [next(qubit for qubit in pair if qubit in ancillas) for pair in slots]
    return frozenset((int(at), owner[slot]) for at, slot in zip(*np.nonzero(absent), strict=True))
