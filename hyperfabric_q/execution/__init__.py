"""DO: run a plan on Aer with the fabric's noise, and read what came out."""

from hyperfabric_q.estimate import Estimate
from hyperfabric_q.execution.compare import Comparison, compare
from hyperfabric_q.execution.fidelity import Fidelity, hellinger_fidelity, hellinger_fidelity_of_samples
from hyperfabric_q.execution.result import Result
from hyperfabric_q.execution.run import run

__all__ = [
    "Comparison",
    "Estimate",
    "Fidelity",
    "Result",
    "compare",
    "hellinger_fidelity",
    "hellinger_fidelity_of_samples",
    "run",
]
