"""Double-click generation: a photonic qubit from each node, and a click in each of its two windows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hyperfabric_q.entanglement.generation import quantities
from hyperfabric_q.entanglement.generation.interference import Clicks, one_click
from hyperfabric_q.entanglement.generation.photonic import Photonic
from hyperfabric_q.entanglement.generation.scheme import (
    Attempt,
    Weights,
    as_weights,
    generation_schemes,
    multiplexed,
)
from hyperfabric_q.entanglement.state import correlators, werner
from hyperfabric_q.entanglement.state import weights as weights_of
from hyperfabric_q.units import to_ps


def two_clicks(clicks: Clicks) -> tuple[float, Weights]:
    """Return success and Bell-diagonal weights of one click in each of two windows, all four patterns together.

    Each node's photon is in the first window with its spin in 0, in the second with its spin in 1, equally often. The
    state is Bell-diagonal without any twirl: swapping the windows swaps the populations.

    Args:
        clicks: matrix elements of one click, the same in both windows.
    """
    apart, together = clicks.a * clicks.b, clicks.both * clicks.vacuum
    coherence = clicks.cross**2
    total = apart + together
    if total <= 0:
        return 0.0, (0.25, 0.25, 0.25, 0.25)
    state = np.array([apart + coherence, together, together, apart - coherence]) / (2 * total)
    return min(2 * total, 1.0), as_weights(state)


@generation_schemes.register("double-click")
@dataclass(frozen=True, slots=True, kw_only=True)
class DoubleClick(Photonic):
    """Return the scheme of Barrett and Kok (2005): spin-photon entanglement at both nodes, and two photons detected.

    Without dark counts, success is η_A·η_B/2 and the fidelity (1 + V)/2, whatever the loss: pure dephasing.

    The two windows are two time bins, with a spin flip between them as in the original, or two polarisations or
    frequencies of one emission, each with its own pair of detectors.

    Not described: photon-number-resolving detectors.

    Args:
        spin_photon_fidelity: of each node's spin-photon pair, its error depolarising.
        bin_separation_ns: from the first to the second emission; 0 where one emission carries the qubit.
    """

    spin_photon_fidelity: quantities.Fidelity = 1.0
    bin_separation_ns: quantities.Nanoseconds = 0.0

    def attempt(self) -> Attempt:
        """Return success, times and state of one attempt."""
        clicks = one_click(*self.arm_efficiencies, visibility=self.visibility, dark=self.dark_count_probability)
        success, weights = two_clicks(clicks)
        if self.spin_photon_fidelity < 1:
            # Depolarising the spin afterwards is the same, and it commutes with the herald.
            state = correlators(weights) * werner(self.spin_photon_fidelity) ** 2
            weights = as_weights(weights_of(state))
        return Attempt(
            success=multiplexed(success, self.modes),
            attempt_ps=self.cycle_ps(extra_ns=self.bin_separation_ns),
            herald_ps=to_ps(ns=self.bin_separation_ns) + self.light_ps,
            weights=weights,
        )
