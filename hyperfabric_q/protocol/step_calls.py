"""One step of training on a live fabric, and its account."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from hyperfabric_q.traffic.exchange import Exchange

if TYPE_CHECKING:
    from hyperfabric_q.workloads.learning.hybrid.step import StepContext, Steps


class StepCalls:
    """Part of ``HyperFabricProtocol``."""

    _exchange: Exchange
    _seed: int | None
    _steps: Steps | None = None

    def step(self, nodes: Sequence[str]) -> StepContext:
        """Return one step of training on the clock, for ``with`` in scripts and ``async with`` in programs.

        ::

            with protocol.step(["gpu-a", "gpu-b"]) as step:
                loss.backward()
                step.compute("gpu-a", flops=2e9)
                step.ran(result)
                step.all_reduce(model.parameters())
            print(step.report)

        Work is charged to nodes as it is declared; messages go over the scheduler that everything else uses. With
        ``async with``, ``all_reduce``, ``send`` and ``send_all`` are awaited.

        Args:
            nodes: ids of those that take part in all-reduces; others join as they are charged or sent to.

        Raises:
            InvalidValue: they are no sequence of different ids.
            UnknownName: one is not registered.
            BusyFabric: ``with`` where an event loop is running.
        """
        if self._steps is None:
            from hyperfabric_q.workloads.learning.hybrid.step import Steps  # noqa: PLC0415 - it knows plans: Qiskit

            self._steps = Steps(self._exchange, seed=0 if self._seed is None else self._seed)
        return self._steps.step(nodes)
