"""Collectives: who sends which block to whom in which step, when that is done, and how well it uses the links."""

from hyperfabric_q.traffic.collectives import direct, halving_doubling, hierarchical, ring, tree  # they register
from hyperfabric_q.traffic.collectives.bounds import endpoint_bound_ps
from hyperfabric_q.traffic.collectives.choose import predict
from hyperfabric_q.traffic.collectives.combine import reduce
from hyperfabric_q.traffic.collectives.nics import Nics
from hyperfabric_q.traffic.collectives.on_kernel import Running
from hyperfabric_q.traffic.collectives.report import FRAMINGS, CollectiveReport, Framing, Prediction
from hyperfabric_q.traffic.collectives.result import CollectiveResult, Utilisation
from hyperfabric_q.traffic.collectives.schedule import ALGORITHMS, Algorithm, Collective, Schedule, schedule_of
from hyperfabric_q.traffic.collectives.timing import Timing, ring_all_reduce_ps, schedule_ps, schedule_timing

__all__ = [
    "ALGORITHMS",
    "FRAMINGS",
    "Algorithm",
    "Collective",
    "CollectiveReport",
    "CollectiveResult",
    "Framing",
    "Nics",
    "Prediction",
    "Running",
    "Schedule",
    "Timing",
    "Utilisation",
    "direct",
    "endpoint_bound_ps",
    "halving_doubling",
    "hierarchical",
    "predict",
    "reduce",
    "ring",
    "ring_all_reduce_ps",
    "schedule_of",
    "schedule_ps",
    "schedule_timing",
    "tree",
]
