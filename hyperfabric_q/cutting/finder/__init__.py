"""WHERE TO CUT: the gates and wires whose cutting makes every part fit at the least predicted price in shots."""

from hyperfabric_q.cutting.finder.find import find_cuts
from hyperfabric_q.cutting.finder.outcome import Found

__all__ = ["Found", "find_cuts"]
