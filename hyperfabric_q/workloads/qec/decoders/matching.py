"""Minimum-weight perfect matching by PyMatching, all shots of a window in one call.

O. Higgott and C. Gidney, "Sparse Blossom", Quantum 9, 1600 (2025), arXiv:2303.15933; correlated matching after
A. G. Fowler, arXiv:1310.0863.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import pymatching
import stim
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from hyperfabric_q.workloads.qec.decoders.compiled import Core
from hyperfabric_q.workloads.qec.decoders.kind import Decoder, decoders
from hyperfabric_q.workloads.qec.decoders.model import Bits

WAY_OUT: Final = 1e-15
"""Probability of the boundary given to a part of the graph that has none."""


@dataclass(frozen=True, slots=True)
class Matching(Decoder):
    """Matching of the parts of errors as if each happened on its own."""

    reads = "edges"

    def core(self, dem: stim.DetectorErrorModel) -> Core:
        """Return what matches the graph of a model."""
        return _core(dem, correlated=False)


@dataclass(frozen=True, slots=True)
class CorrelatedMatching(Decoder):
    """Matching in two passes: the first says which errors happened, and so how likely their other parts are."""

    reads = "decompositions"

    def core(self, dem: stim.DetectorErrorModel) -> Core:
        """Return what matches the graph of a model in two passes."""
        return _core(dem, correlated=True)


def _core(dem: stim.DetectorErrorModel, *, correlated: bool) -> Core:
    graph = pymatching.Matching.from_detector_error_model(dem, enable_correlations=correlated)
    observables = dem.num_observables
    for each in _closed(graph, dem.num_detectors):
        graph.add_boundary_edge(each, fault_ids=set(), weight=float(-np.log(WAY_OUT)), error_probability=WAY_OUT)
    graph.ensure_num_fault_ids(observables)

    def match(dets: Bits) -> Bits:
        found: Bits = graph.decode_batch(dets, enable_correlations=correlated)
        return found

    return match


def _closed(graph: pymatching.Matching, detectors: int) -> list[int]:
    """Return one detector of each part of a graph that has no boundary.

    An odd number of events there has no perfect matching. None occurs while the model is right; a window that cuts off
    the rest of its graph, or a frame that was lost, can bring one about, and a batch must not fail for one shot.
    """
    ends = [(a, b) for a, b, _ in graph.edges()]
    inner = np.array([(a, b) for a, b in ends if b is not None], dtype=np.int64).reshape(-1, 2)
    links = coo_array((np.ones(len(inner), dtype=np.int8), (inner[:, 0], inner[:, 1])), shape=(detectors, detectors))
    count, component = connected_components(links, directed=False)
    open_to_boundary = {int(component[a]) for a, b in ends if b is None}
    firsts = np.unique(component, return_index=True)[1]
    return [int(firsts[each]) for each in range(count) if each not in open_to_boundary]


decoders.register("matching")(Matching())
decoders.register("correlated_matching")(CorrelatedMatching())
