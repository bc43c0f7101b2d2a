"""Single-click generation: one detected photon that may have come from either node."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

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
from hyperfabric_q.entanglement.memory import Carried


@dataclass(frozen=True, slots=True, kw_only=True)
class Heralded:
    """Return the state of two memories after one click: four populations and one coherence, not Bell-diagonal.

    1 is the bright state, which emits. The state is near Ψ⁺ = (|01> + |10>)/√2: the Z that the other detector's click
    calls for is done, the X that turns Ψ⁺ into Φ⁺ is not.

    Args:
        success: probability of a click, both detectors together.
        p00: population of |00>: the click was a dark count or noise.
        p01: population of |01>: B is bright.
        p10: population of |10>: A is bright.
        p11: population of |11>: two photons were emitted.
        coherence: the matrix element <01|ρ|10>, real.
    """

    success: float
    p00: float
    p01: float
    p10: float
    p11: float
    coherence: float

    @property
    def weights(self) -> Weights:
        """Bell-diagonal weights (pI, pX, pY, pZ) after the X: the state, twirled over the Pauli group."""
        middle, outer = (self.p01 + self.p10) / 2, (self.p00 + self.p11) / 2
        return as_weights(np.array([middle + self.coherence, outer, outer, middle - self.coherence]))

    @property
    def carried(self) -> Carried:
        """The same pair after the X on B's half, not twirled: correlators and local terms, as distillation takes it."""
        z_a = self.p00 + self.p01 - self.p10 - self.p11
        z_b = self.p01 + self.p11 - self.p00 - self.p10
        return Carried(
            lx=np.asarray(2 * self.coherence),
            ly=np.asarray(2 * self.coherence),
            lz=np.asarray(self.p01 + self.p10 - self.p00 - self.p11),
            za=np.asarray(z_a),
            zb=np.asarray(z_b),
        )

    def density_matrix(self) -> NDArray[np.float64]:
        """Return the 4×4 density matrix over |00>, |01>, |10>, |11>, A's qubit first, before the X and the twirl."""
        rho = np.diag([self.p00, self.p01, self.p10, self.p11])
        rho[1, 2] = rho[2, 1] = self.coherence
        return rho


def heralded(bright_a: float, bright_b: float, clicks: Clicks, phase_noise_rad: float = 0.0) -> Heralded:
    """Return the state after one click, from what a click says about the arms.

    Args:
        bright_a: population of A's bright state before emission.
        bright_b: the same for B.
        clicks: matrix elements of the click.
        phase_noise_rad: standard deviation of the optical phase between the arms, Gaussian.
    """
    p00 = (1 - bright_a) * (1 - bright_b) * clicks.vacuum
    p01 = (1 - bright_a) * bright_b * clicks.b
    p10 = bright_a * (1 - bright_b) * clicks.a
    p11 = bright_a * bright_b * clicks.both
    amplitude = math.sqrt(bright_a * (1 - bright_a) * bright_b * (1 - bright_b))
    coherence = amplitude * clicks.cross * math.exp(-(phase_noise_rad**2) / 2)
    total = p00 + p01 + p10 + p11
    if total <= 0:
        return Heralded(success=0.0, p00=0.25, p01=0.25, p10=0.25, p11=0.25, coherence=0.0)
    return Heralded(
        success=min(2 * total, 1.0),
        p00=p00 / total,
        p01=p01 / total,
        p10=p10 / total,
        p11=p11 / total,
        coherence=coherence / total,
    )


@generation_schemes.register("single-click")
@dataclass(frozen=True, slots=True, kw_only=True)
class SingleClick(Photonic):
    """Return the scheme of Cabrillo et al. (1999): √(1-a)|dark> + √a|bright> at both nodes, and exactly one click.

    Success is linear in the efficiency of one arm, and the price is the population |11> and a phase to hold. With
    equal arms and nothing else imperfect, success is 2aη - (aη)² and the fidelity (1-a)/(1-aη/2).

    Not described: double excitation, photon-number-resolving detectors.

    Args:
        bright_population: a, the population of the bright state before emission.
        bright_population_b: the same for B, if it differs: a·η is then balanced between unequal arms.
        phase_noise_rad: standard deviation of the optical phase between both paths, Gaussian.
    """

    bright_population: quantities.Population = 0.1
    bright_population_b: quantities.Population | None = None
    phase_noise_rad: quantities.Radians = 0.0

    def heralded(self) -> Heralded:
        """Return the state after a click with its populations, which distillation of single-click pairs needs."""
        other = self.bright_population_b
        clicks = one_click(*self.arm_efficiencies, visibility=self.visibility, dark=self.dark_count_probability)
        bright_b = self.bright_population if other is None else other
        return heralded(self.bright_population, bright_b, clicks, self.phase_noise_rad)

    def attempt(self) -> Attempt:
        """Return success, times and twirled state of one attempt."""
        state = self.heralded()
        return Attempt(
            success=multiplexed(state.success, self.modes),
            attempt_ps=self.cycle_ps(),
            herald_ps=self.light_ps,
            weights=state.weights,
        )
