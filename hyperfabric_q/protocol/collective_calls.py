"""The collectives of a live fabric: many nodes, one operation."""

from __future__ import annotations

from collections.abc import Coroutine, Sequence
from typing import Any

from hyperfabric_q.traffic.collectives.result import CollectiveResult
from hyperfabric_q.traffic.collectives.schedule import Collective
from hyperfabric_q.traffic.exchange import Exchange
from hyperfabric_q.traffic.packet import DataType, PacketPriority


class CollectiveCalls:
    """Part of ``HyperFabricProtocol``."""

    _exchange: Exchange

    def all_reduce(
        self,
        nodes: Sequence[str],
        data: object,
        *,
        algorithm: str = "auto",
        data_type: DataType | str = DataType.GRADIENT,
        priority: PacketPriority | str = PacketPriority.NORMAL,
        latency_constraint_ns: float | None = None,
    ) -> Coroutine[Any, Any, CollectiveResult]:
        """Return, when awaited, the result of an all-reduce: every node has the sum of all nodes' arrays.

        Sums are formed in the order of ``nodes``, whatever the algorithm: the result is the same to the last bit.

        While nothing else comes near the links in question, times come from a recurrence: a ring of 1024 nodes takes
        some 30 ms. Otherwise they come from the kernel, message by message, and are the same to the picosecond.

        Args:
            nodes: ids of the nodes that take part; their order is that of the ranks, hence of the ring.
            data: one array per node, as a list in their order or by id. Or one ``VirtualTensor``, or a number of
                bytes, that stands for what each node has; then there are times and no contents.
            algorithm: "ring", "tree", "halving_doubling", "hierarchical" (racks follow from ``rack_position``),
                "direct" or one that a plug-in has registered; "auto" takes the one that is fastest on these links
                while they are idle ("direct" excepted).
            data_type: what the messages are to the fabric.
            priority: moves them from the class of that type.
            latency_constraint_ns: how long it may take until the last node is done.

        Raises:
            InvalidValue: an argument is out of range, the arrays do not fit together, or a zone demands encryption.
            UnknownName, NoRoute, IsolationViolated, NotEnoughMemory, Undeliverable: as for single sends.
            DeadlineImpossible, DeadlineMissed: the same, for the whole collective.
        """
        return self._exchange.collectives.run(
            Collective.ALL_REDUCE, nodes, data, algorithm, data_type, priority, latency_constraint_ns
        )

    def reduce_scatter(
        self,
        nodes: Sequence[str],
        data: object,
        *,
        algorithm: str = "auto",
        data_type: DataType | str = DataType.GRADIENT,
        priority: PacketPriority | str = PacketPriority.NORMAL,
        latency_constraint_ns: float | None = None,
    ) -> Coroutine[Any, Any, CollectiveResult]:
        """Return, when awaited, the result of a reduce-scatter: node ``i`` of ``n`` has slice ``i`` of the sum.

        A slice is one of the flattened array: elements ``i * size // n`` to ``(i + 1) * size // n``. The rest is as for
        ``all_reduce``.
        """
        return self._exchange.collectives.run(
            Collective.REDUCE_SCATTER, nodes, data, algorithm, data_type, priority, latency_constraint_ns
        )

    def all_gather(
        self,
        nodes: Sequence[str],
        data: object,
        *,
        algorithm: str = "auto",
        data_type: DataType | str = DataType.PARAMETER,
        priority: PacketPriority | str = PacketPriority.NORMAL,
        latency_constraint_ns: float | None = None,
    ) -> Coroutine[Any, Any, CollectiveResult]:
        """Return, when awaited, the result of an all-gather: every node has all nodes' arrays, one after another.

        What one node brings is its slice: together they are the slices of one flat array, as ``reduce_scatter`` leaves
        them. The rest is as for ``all_reduce``.
        """
        return self._exchange.collectives.run(
            Collective.ALL_GATHER, nodes, data, algorithm, data_type, priority, latency_constraint_ns
        )

    def broadcast(
        self,
        nodes: Sequence[str],
        data: object,
        *,
        root: str,
        algorithm: str = "auto",
        data_type: DataType | str = DataType.PARAMETER,
        priority: PacketPriority | str = PacketPriority.NORMAL,
        latency_constraint_ns: float | None = None,
    ) -> Coroutine[Any, Any, CollectiveResult]:
        """Return, when awaited, the result of a broadcast: every node has what ``root`` has.

        ``data`` is anything that ``send_data`` takes, or a number of bytes; what arrives is the object itself. The rest
        is as for ``all_reduce``.
        """
        return self._exchange.collectives.run(
            Collective.BROADCAST, nodes, data, algorithm, data_type, priority, latency_constraint_ns, root
        )
