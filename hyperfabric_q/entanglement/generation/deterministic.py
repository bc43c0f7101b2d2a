"""Deterministic generation: a microwave photon that one node half emits and the other absorbs, on demand."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np

from hyperfabric_q.entanglement.generation import quantities
from hyperfabric_q.entanglement.generation.scheme import (
    Attempt,
    Scheme,
    as_weights,
    flight_ps,
    generation_schemes,
    transmission,
)
from hyperfabric_q.entanglement.state import correlators, werner
from hyperfabric_q.entanglement.state import weights as weights_of
from hyperfabric_q.units import to_ps

COAX_DB_PER_KM: Final = 5.0
"""Least attenuation measured of microwave waveguides at millikelvin, 0.005 dB/m (Kurpiers et al. 2017)."""

COAX_INDEX: Final = math.sqrt(2.1)
"""Index of a coaxial cable filled with PTFE, whose relative permittivity is 2.1."""


@generation_schemes.register("deterministic")
@dataclass(frozen=True, slots=True, kw_only=True)
class Deterministic(Scheme):
    """Return the scheme of a shaped microwave photon over a cold waveguide (Kurpiers et al. 2018, Magnard et al. 2020).

    A emits with probability ``emitted_share``, coherently, and B absorbs. Nothing is heralded: every attempt counts,
    and a lost photon leaves both qubits in the ground state. With η the efficiency from A to B, the fidelity is
    (1 + √η)²/4 at a share of 1/2, and at most (1 + η)/2, at a share of η/(1 + η). The state is twirled.

    Args:
        distance_m: length of the waveguide.
        attenuation_db_per_km: of the waveguide.
        insertion_loss_db: of circulators and connectors.
        emission_efficiency: of A, into the shaped mode.
        absorption_efficiency: of B, out of it.
        emitted_share: probability that A emits.
        operation_fidelity: of the pair without any loss, which preparation and gates bound; its error is depolarising.
        reset_ns: before each attempt.
        operation_ns: emission and absorption together, flight excluded.
        group_index: of the waveguide.
    """

    attenuation_db_per_km: quantities.Decibels = COAX_DB_PER_KM
    insertion_loss_db: quantities.Decibels = 0.0
    emission_efficiency: quantities.Efficiency = 1.0
    absorption_efficiency: quantities.Efficiency = 1.0
    emitted_share: quantities.Population = 0.5
    operation_fidelity: quantities.Fidelity = 1.0
    reset_ns: quantities.Nanoseconds = 0.0
    operation_ns: quantities.Nanoseconds = 0.0
    group_index: quantities.Index = COAX_INDEX

    @property
    def efficiency(self) -> float:
        """Probability that an emitted photon is absorbed at the other end."""
        passed = transmission(self.distance_m, self.attenuation_db_per_km, self.insertion_loss_db)
        return self.emission_efficiency * passed * self.absorption_efficiency

    def attempt(self) -> Attempt:
        """Return times and twirled state; the success is 1."""
        eta, share = self.efficiency, self.emitted_share
        kept, passed, lost = 1 - share, share * eta, share * (1 - eta)
        coherence = math.sqrt(kept * passed)
        middle = (kept + passed) / 2
        lossy = np.array([middle + coherence, lost / 2, lost / 2, middle - coherence])
        state = correlators(as_weights(lossy)) * werner(self.operation_fidelity)
        flight = flight_ps(self.distance_m, self.group_index)
        return Attempt(
            success=1.0,
            attempt_ps=to_ps(ns=self.reset_ns) + to_ps(ns=self.operation_ns) + flight,
            herald_ps=flight,
            weights=as_weights(weights_of(state)),
        )
