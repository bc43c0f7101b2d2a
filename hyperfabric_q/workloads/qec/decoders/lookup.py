"""The best decoder there is, as a table: for each pattern of detection events the likeliest flips of observables."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import stim
from numpy.typing import NDArray

from hyperfabric_q.errors import SimulationRefused
from hyperfabric_q.workloads.qec.decoders.compiled import Core
from hyperfabric_q.workloads.qec.decoders.kind import Decoder, decoders
from hyperfabric_q.workloads.qec.decoders.model import Bits, Unit, units_of

MOST_BITS: Final = 20
"""Detectors and observables, virtual ones included, that a table holds: 8 MB, and a few milliseconds an error."""


@dataclass(frozen=True, slots=True)
class Lookup(Decoder):
    """Maximum-likelihood decoding by a table, for small codes or narrow windows."""

    reads = "mechanisms"

    def core(self, dem: stim.DetectorErrorModel) -> Core:
        """Return what looks up detection events in a table of 2^detectors entries.

        Raises:
            SimulationRefused: the table would have more than 2^``MOST_BITS`` entries.
        """
        detectors, observables = dem.num_detectors, dem.num_observables
        if detectors + observables > MOST_BITS:
            raise SimulationRefused(
                asked=f"a table over {detectors} detectors and {observables} observables of a window",
                found=f"tables end at {MOST_BITS} bits together",
                remedy='Decode fewer rounds at once, window=(commit, buffer), or by "matching".',
            )
        joint = joint_probabilities(units_of(dem), detectors, observables)
        table = joint.reshape(1 << observables, 1 << detectors).argmax(axis=0).astype("<u4")
        place = 1 << np.arange(detectors, dtype=np.int64)

        def look_up(dets: Bits) -> Bits:
            answer = table[dets @ place]
            packed = answer.view(np.uint8).reshape(len(dets), -1)
            return np.unpackbits(packed, axis=1, bitorder="little", count=observables)

        return look_up


def joint_probabilities(units: list[Unit], detectors: int, observables: int) -> NDArray[np.float64]:
    """Return the probability of each outcome, shape (2^(detectors + observables),).

    Bit i of an outcome is detector i; the observables follow. One error after the other is reckoned with: exact, and
    never a difference of large numbers, so rare outcomes are as exact as frequent ones.
    """
    outcomes = np.arange(1 << (detectors + observables), dtype=np.int64)
    joint = np.zeros(len(outcomes))
    joint[0] = 1.0
    for unit in units:
        flips = 0
        for part in unit.parts:
            for each in part.detectors:
                flips ^= 1 << each
            for each in part.observables:
                flips ^= 1 << (detectors + each)
        joint = (1 - unit.probability) * joint + unit.probability * joint[outcomes ^ flips]
    return joint


decoders.register("lookup")(Lookup())
