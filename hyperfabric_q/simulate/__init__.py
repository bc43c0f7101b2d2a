"""Small exact simulators: a state vector that follows every measurement branch, and stabilizer equivalence."""

from hyperfabric_q.simulate.branches import Branch, branches
from hyperfabric_q.simulate.clifford import Verdict, equivalent
from hyperfabric_q.simulate.order import best_order, demand_order
from hyperfabric_q.simulate.probabilities import probabilities

__all__ = ["Branch", "Verdict", "best_order", "branches", "demand_order", "equivalent", "probabilities"]
