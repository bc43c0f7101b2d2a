"""Belief propagation by the package ldpc, for codes that matching cannot decode.

What it leaves open is solved by elimination, in the order of its beliefs.

J. Roffe et al., "Decoding across the quantum LDPC code landscape", Phys. Rev. Research 2, 043423 (2020) for ordered
statistics; T. Hillmann et al., "Localized statistics decoding", arXiv:2406.18655.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import stim
from numpy.typing import NDArray
from scipy.sparse import csc_array, csc_matrix

from hyperfabric_q.errors import InvalidValue, MissingDependency
from hyperfabric_q.workloads.qec.decoders.compiled import Core
from hyperfabric_q.workloads.qec.decoders.kind import Decoder, decoders
from hyperfabric_q.workloads.qec.decoders.model import Bits, joined, units_of


@dataclass(frozen=True, slots=True, kw_only=True)
class BeliefPropagation(Decoder):
    """Belief propagation over whole errors, then a second decoder where it has not settled.

    The package decodes one pattern of events at a time, so each pattern of a batch is decoded once, however many shots
    have it. Expect tens of microseconds a round.

    Attributes:
        then: ``osd``, ordered statistics, or ``lsd``, localised statistics.
        iterations: most iterations of belief propagation.
        scaling: factor of the minimum-sum rule.

    Raises:
        InvalidValue: a figure is out of range.
    """

    reads = "mechanisms"

    then: Literal["osd", "lsd"] = "osd"
    iterations: int = 50
    scaling: float = 0.625

    def __post_init__(self) -> None:
        if self.then not in ("osd", "lsd"):
            raise InvalidValue(field="then", value=self.then, rule='belief propagation is followed by "osd" or "lsd"')
        if self.iterations < 1:
            raise InvalidValue(field="iterations", value=self.iterations, rule="there is at least one iteration")
        if not 0 < self.scaling <= 1:
            raise InvalidValue(field="scaling", value=self.scaling, rule="the factor lies in (0, 1]")

    def core(self, dem: stim.DetectorErrorModel) -> Core:
        """Return what decodes each pattern of events once.

        Raises:
            MissingDependency: ldpc is not installed.
        """
        checks, flips, chances = matrices(dem)
        solve = self._solver(checks, chances)

        def propagate(dets: Bits) -> Bits:
            patterns, of_shot = _distinct(dets)
            errors = np.array([solve(each) for each in patterns], dtype=np.uint8).reshape(len(patterns), -1)
            found = (flips @ errors.T.astype(np.int64)).T % 2
            return found.astype(np.uint8)[of_shot]

        return propagate

    def _solver(self, checks: csc_array, chances: NDArray[np.float64]) -> Callable[[Bits], Bits]:
        try:
            module = importlib.import_module({"osd": "ldpc.bposd_decoder", "lsd": "ldpc.bplsd_decoder"}[self.then])
        except ModuleNotFoundError as missing:
            raise MissingDependency(what="belief propagation", package="ldpc", extra="ldpc") from missing
        common: dict[str, Any] = {
            "error_channel": list(chances),
            "max_iter": self.iterations,
            "bp_method": "minimum_sum",
            "ms_scaling_factor": self.scaling,
        }
        matrix = csc_matrix(checks)
        if self.then == "osd":
            decode = module.BpOsdDecoder(matrix, osd_method="osd_0", osd_order=0, **common).decode
        else:
            decode = module.BpLsdDecoder(matrix, lsd_method="lsd_0", lsd_order=0, **common).decode
        solve: Callable[[Bits], Bits] = decode
        return solve


def matrices(dem: stim.DetectorErrorModel) -> tuple[csc_array, csc_array, NDArray[np.float64]]:
    """Return what each error of a model flips, detectors × errors and observables × errors, and how likely it is."""
    units = units_of(dem)
    wholes = [joined(unit.parts) for unit in units]
    shapes = (
        (dem.num_detectors, [each.detectors for each in wholes]),
        (dem.num_observables, [each.observables for each in wholes]),
    )
    made = []
    for rows, flipped in shapes:
        indices = np.array([row for each in flipped for row in each], dtype=np.int64)
        starts = np.cumsum([0, *(len(each) for each in flipped)], dtype=np.int64)
        data = np.ones(len(indices), dtype=np.uint8)
        made.append(csc_array((data, indices, starts), shape=(rows, len(units))))
    return made[0], made[1], np.array([unit.probability for unit in units])


def _distinct(dets: Bits) -> tuple[Bits, NDArray[np.int64]]:
    """Return the patterns of events that occur, and which of them each shot has."""
    if not dets.shape[1]:
        return dets[:1], np.zeros(len(dets), dtype=np.int64)
    packed = np.ascontiguousarray(np.packbits(dets, axis=1))
    keys = packed.view(np.dtype((np.void, packed.shape[1]))).ravel()
    _, first, of_shot = np.unique(keys, return_index=True, return_inverse=True)
    return dets[first], of_shot.astype(np.int64)


decoders.register("bp_osd")(BeliefPropagation(then="osd"))
decoders.register("bp_lsd")(BeliefPropagation(then="lsd"))
