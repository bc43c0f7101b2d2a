"""``time``, for programs that measure what their sends took: under ``hyperfabric_q.run`` it is the fabric's time."""

from __future__ import annotations

import asyncio
import time as wall

from hyperfabric_q.scheduling.drivers import VirtualLoop


class FabricTime:
    """Stands where the module ``time`` stood; ``sleep`` is not here, since it would stop the event loop."""

    @staticmethod
    def time() -> float:
        """Return seconds: virtual ones under ``hyperfabric_q.run``, otherwise those of the wall clock."""
        now = _virtual()
        return wall.time() if now is None else now

    @staticmethod
    def perf_counter() -> float:
        """Return seconds since an arbitrary moment, as ``time`` does."""
        now = _virtual()
        return wall.perf_counter() if now is None else now

    monotonic = perf_counter


def _virtual() -> float | None:
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        return None
    return loop.time() if isinstance(loop, VirtualLoop) else None


time = FabricTime()
