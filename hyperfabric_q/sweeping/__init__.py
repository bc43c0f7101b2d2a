"""What if: one circuit over many variants of a fabric, as one table."""

from hyperfabric_q.sweeping.table import Sweep
from hyperfabric_q.sweeping.what_if import sweep

__all__ = ["Sweep", "sweep"]
