"""What the photonic schemes share: two arms of fibre to a station between the nodes, and the time of one attempt."""

from __future__ import annotations

from dataclasses import dataclass

from hyperfabric_q.entanglement.generation import quantities
from hyperfabric_q.entanglement.generation.scheme import Scheme, flight_ps, transmission
from hyperfabric_q.units import FIBRE_GROUP_INDEX, to_ps


@dataclass(frozen=True, slots=True, kw_only=True)
class Photonic(Scheme):
    """Return the parameters that every photonic scheme has. Efficiencies and dark counts are the same at both nodes.

    Args:
        distance_m: length of the fibre between the nodes, through the station.
        station_fraction: where the station stands, as a share of that length from A; 0.5 is the middle.
        attenuation_db_per_km: of the fibre.
        insertion_loss_db: further loss of each arm, as of a switch or a wavelength converter.
        emission_efficiency: a photon is emitted, into the right mode.
        collection_efficiency: an emitted photon enters the fibre.
        detection_efficiency: a photon that reaches the detector is detected.
        dark_count_probability: a detector clicks by itself, per detector and detection window.
        visibility: squared overlap of the wave packets that interfere (that of the Hong-Ou-Mandel dip).
        reset_ns: cooling and preparation of the emitters before each attempt.
        operation_ns: pulses of an attempt before its photons start.
        modes: attempts made side by side, each with memories and detection windows of its own.
        group_index: of the fibre.
    """

    station_fraction: quantities.Share = 0.5
    attenuation_db_per_km: quantities.Decibels = 0.2
    insertion_loss_db: quantities.Decibels = 0.0
    emission_efficiency: quantities.Efficiency = 1.0
    collection_efficiency: quantities.Efficiency = 1.0
    detection_efficiency: quantities.Efficiency = 1.0
    dark_count_probability: quantities.Chance = 0.0
    visibility: quantities.Share = 1.0
    reset_ns: quantities.Nanoseconds = 0.0
    operation_ns: quantities.Nanoseconds = 0.0
    modes: quantities.Count = 1
    group_index: quantities.Index = FIBRE_GROUP_INDEX

    @property
    def arms_m(self) -> tuple[float, float]:
        """Fibre from A to the station, and from B."""
        return self.distance_m * self.station_fraction, self.distance_m * (1 - self.station_fraction)

    @property
    def arm_transmissions(self) -> tuple[float, float]:
        """Share of photons in the fibre that pass arm A, and arm B."""
        a, b = self.arms_m
        loss, extra = self.attenuation_db_per_km, self.insertion_loss_db
        return transmission(a, loss, extra), transmission(b, loss, extra)

    @property
    def arm_efficiencies(self) -> tuple[float, float]:
        """Probability that an attempt's photon of A, and of B, is emitted, collected, transmitted and detected."""
        factor = self.emission_efficiency * self.collection_efficiency * self.detection_efficiency
        a, b = self.arm_transmissions
        return factor * a, factor * b

    @property
    def light_ps(self) -> int:
        """From the emission of the farther node to its herald: twice the longer arm.

        The nearer node emits later, so that the photons meet, and hears earlier. For a source in the middle it is the
        same: the earlier half is stored while the other photon and then its herald are under way.
        """
        return flight_ps(2 * max(self.arms_m), self.group_index)

    def cycle_ps(self, *, extra_ns: float = 0.0) -> int:
        """Return the time of an attempt: reset, operation, ``extra_ns``, and light to the station and back.

        The memory is occupied until the herald is back, so nothing of it overlaps the next attempt.
        """
        return to_ps(ns=self.reset_ns) + to_ps(ns=self.operation_ns) + to_ps(ns=extra_ns) + self.light_ps
