"""Superconducting qubits heralded by optical photons, through transducers from microwaves to light."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from hyperfabric_q.entanglement.generation import quantities
from hyperfabric_q.entanglement.generation.double_click import two_clicks
from hyperfabric_q.entanglement.generation.interference import Clicks, one_click
from hyperfabric_q.entanglement.generation.photonic import Photonic
from hyperfabric_q.entanglement.generation.scheme import Attempt, generation_schemes, multiplexed
from hyperfabric_q.entanglement.generation.single_click import Heralded, heralded
from hyperfabric_q.errors import InvalidValue


@generation_schemes.register("transducer")
@dataclass(frozen=True, slots=True, kw_only=True)
class Transducer(Photonic):
    """Return the scheme of microwave photons that are turned into light and herald a pair by one click or by two.

    A transducer is an efficiency and thermal noise: what it adds at its output passes the same fibre and detectors as
    the signal, in the same mode, and clicks. The click statistics are exact for a Gaussian (thermal-loss) channel.

    Args:
        transduction_efficiency: a microwave photon leaves the transducer as an optical one.
        added_noise_photons: mean number of noise photons per mode at the transducer's **output**; figures referred to
            its input are to be multiplied by ``transduction_efficiency``.
        clicks: 1 for single-click heralding, 2 for double-click (then the bright population is 1/2).
        bright_population: of the excited state before emission, with one click.
        phase_noise_rad: standard deviation of the optical phase between both paths, with one click.
    """

    transduction_efficiency: quantities.Efficiency = 1.0
    added_noise_photons: quantities.Photons = 0.0
    clicks: Literal[1, 2] = 1
    bright_population: quantities.Population = 0.1
    phase_noise_rad: quantities.Radians = 0.0

    def one_click(self) -> Clicks:
        """Return what one click says about the arms."""
        eta_a, eta_b = (self.transduction_efficiency * each for each in self.arm_efficiencies)
        after = self.collection_efficiency * self.detection_efficiency * self.added_noise_photons
        noise_a, noise_b = (after * each for each in self.arm_transmissions)
        return one_click(
            eta_a,
            eta_b,
            visibility=self.visibility,
            dark=self.dark_count_probability,
            noise_a=noise_a,
            noise_b=noise_b,
        )

    def heralded(self) -> Heralded:
        """Return the state after a single click with its populations, which distillation of such pairs needs.

        Raises:
            InvalidValue: two clicks herald the pair.
        """
        if self.clicks != 1:
            raise InvalidValue(field="clicks", value=self.clicks, rule="only a single click leaves such a state")
        return heralded(self.bright_population, self.bright_population, self.one_click(), self.phase_noise_rad)

    def attempt(self) -> Attempt:
        """Return success, times and state (twirled, with one click) of one attempt."""
        if self.clicks == 1:
            state = self.heralded()
            success, weights = state.success, state.weights
        else:
            success, weights = two_clicks(self.one_click())
        return Attempt(
            success=multiplexed(success, self.modes),
            attempt_ps=self.cycle_ps(),
            herald_ps=self.light_ps,
            weights=weights,
        )
