"""Warnings that point at the user's program."""

from __future__ import annotations

import sys
import warnings

from hyperfabric_q.errors import HyperFabricWarning


def warn(warning: HyperFabricWarning) -> None:
    """Give a warning that points at the nearest line outside of this package and the event loop.

    Of a task that somebody else awaits this is the line that started the event loop.
    """
    frame, level = sys._getframe(), 1
    while (caller := frame.f_back) is not None:
        frame, level = caller, level + 1
        if str(frame.f_globals.get("__name__")).partition(".")[0] not in {"hyperfabric_q", "asyncio"}:
            break
    warnings.warn(warning, stacklevel=level)
