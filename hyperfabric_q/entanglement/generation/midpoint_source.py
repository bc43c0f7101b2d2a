"""A source of photon pairs between the nodes, which load one photon each into a memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from hyperfabric_q.entanglement.generation import quantities
from hyperfabric_q.entanglement.generation.double_click import two_clicks
from hyperfabric_q.entanglement.generation.interference import one_click
from hyperfabric_q.entanglement.generation.photonic import Photonic
from hyperfabric_q.entanglement.generation.scheme import Attempt, as_weights, generation_schemes, multiplexed
from hyperfabric_q.entanglement.state import FloatArray, correlators, werner
from hyperfabric_q.entanglement.state import weights as weights_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Loading:
    """Return what a node's loader does to a photonic qubit.

    Args:
        loaded: probability that loading is heralded when a photon arrives.
        empty: the same when none arrives; the memory is then maximally mixed.
        correlators: of the Pauli channel from the photon that arrived to the memory, heralds of noise included.
    """

    loaded: float
    empty: float
    correlators: FloatArray


@generation_schemes.register("midpoint-source")
@dataclass(frozen=True, slots=True, kw_only=True)
class MidpointSource(Photonic):
    """Return the scheme of a pair source between the nodes (Jones et al. 2016), whose photons are loaded and latched.

    An attempt is a train of pulses. Each node keeps the first photon that its loader heralds and is then deaf; a pair
    is made if both kept a photon of the same pulse. Both tell each other at once which pulse that was.

    ``collection_efficiency`` is that from the source into each arm. ``detection_efficiency`` and
    ``dark_count_probability`` are those of the loader's herald: with absorption, an empty loader heralds with the dark
    count probability; with a Bell measurement, each of its detectors has it per window. ``emission_efficiency`` and
    ``visibility`` matter to the Bell measurement alone, which joins the photon with one that the memory emits.

    Not described: two pairs in one pulse, whose share of a parametric source is about ``pair_probability``.

    Args:
        pair_probability: a pulse of the source brings a pair.
        source_fidelity: of the photon pair, its error depolarising.
        loading: how a photon enters the memory.
        load_efficiency: absorption: a photon at the memory is absorbed; Bell measurement: the memory's own photon is
            collected.
        pulses: pulses of the source in a train.
        pulse_separation_ns: from one pulse to the next.
    """

    pair_probability: quantities.Efficiency = 1.0
    source_fidelity: quantities.Fidelity = 1.0
    loading: Literal["absorption", "bell-measurement"] = "absorption"
    load_efficiency: quantities.Efficiency = 1.0
    pulses: quantities.Count = 1
    pulse_separation_ns: quantities.Nanoseconds = 0.0

    def loader(self) -> Loading:
        """Return how each node loads a photon."""
        dark = self.dark_count_probability
        if self.loading == "absorption":
            taken = self.load_efficiency * self.detection_efficiency
            loaded = taken + (1 - taken) * dark
            return Loading(loaded=loaded, empty=dark, correlators=np.full(3, taken / loaded))
        own = self.emission_efficiency * self.load_efficiency * self.detection_efficiency
        arrived = one_click(own, self.detection_efficiency, visibility=self.visibility, dark=dark)
        loaded, weights = two_clicks(arrived)
        empty, _ = two_clicks(one_click(own, 0.0, visibility=self.visibility, dark=dark))
        return Loading(loaded=loaded, empty=empty, correlators=correlators(weights))

    def attempt(self) -> Attempt:
        """Return success, times and state of one train of pulses."""
        load = self.loader()
        both, either = self._latched(load)
        # Only when both photons of a pair arrived do the memories share anything.
        a, b = self._arrivals
        share = self.pair_probability * a * b * load.loaded**2 / both if both > 0 else 0.0
        state = share * load.correlators**2 * werner(self.source_fidelity)
        together = both / either * multiplexed(either, self.pulses) if both > 0 else 0.0
        return Attempt(
            success=multiplexed(together, self.modes),
            attempt_ps=self.cycle_ps(extra_ns=(self.pulses - 1) * self.pulse_separation_ns),
            herald_ps=self.light_ps,
            weights=as_weights(weights_of(state)),
        )

    @property
    def latched_apart(self) -> float:
        """Probability that a train, in one mode, ends with a memory loaded and no pair."""
        both, either = self._latched(self.loader())
        return (1 - both / either) * multiplexed(either, self.pulses) if either > 0 else 0.0

    @property
    def _arrivals(self) -> tuple[float, float]:
        """Probability that a photon of the source reaches A, and B."""
        a, b = self.arm_transmissions
        return self.collection_efficiency * a, self.collection_efficiency * b

    def _latched(self, load: Loading) -> tuple[float, float]:
        """Return the probabilities that both loaders herald one pulse, and that at least one of them does."""
        p, empty = self.pair_probability, load.empty
        a, b = (empty + each * (load.loaded - empty) for each in self._arrivals)
        both = p * a * b + (1 - p) * empty**2
        return both, p * (a + b) + 2 * (1 - p) * empty - both
