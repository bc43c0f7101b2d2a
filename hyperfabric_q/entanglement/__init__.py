"""Bell pairs: their states, how they are made, kept, swapped and purified, and the service that delivers them."""

from hyperfabric_q.entanglement.bell_pair import Attribution, BellPair
from hyperfabric_q.entanglement.budget import Budget, Demand, budget, budgets
from hyperfabric_q.entanglement.elementary import Elementary, Path, Station
from hyperfabric_q.entanglement.ledger import Balance, Fate, Ledger, Origin, PairRecord
from hyperfabric_q.entanglement.memory import Memory
from hyperfabric_q.entanglement.reach import Reach, reach
from hyperfabric_q.entanglement.request import Foresight
from hyperfabric_q.entanglement.routes import best_path, elementary_links, paths

__all__ = [
    "Attribution",
    "Balance",
    "BellPair",
    "Budget",
    "Demand",
    "Elementary",
    "Fate",
    "Foresight",
    "Ledger",
    "Memory",
    "Origin",
    "PairRecord",
    "Path",
    "Reach",
    "Station",
    "best_path",
    "budget",
    "budgets",
    "elementary_links",
    "paths",
    "reach",
]
