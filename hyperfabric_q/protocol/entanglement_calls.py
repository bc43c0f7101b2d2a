"""The Bell pairs of a live fabric: asking for them, foreseeing and budgeting them, and their ledger."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any

from hyperfabric_q import seeds
from hyperfabric_q.entanglement.bell_pair import BellPair
from hyperfabric_q.entanglement.budget import Budget, budget
from hyperfabric_q.entanglement.ledger import Ledger
from hyperfabric_q.entanglement.policies import SwapPolicy
from hyperfabric_q.entanglement.request import Foresight, request_of
from hyperfabric_q.entanglement.service import EntanglementService
from hyperfabric_q.entanglement.sharing import Sharing
from hyperfabric_q.entanglement.stock import Stock
from hyperfabric_q.errors import InvalidValue
from hyperfabric_q.traffic.exchange import Exchange
from hyperfabric_q.traffic.packet import DataType, PacketPriority
from hyperfabric_q.traffic.request import kind_of


class EntanglementCalls:
    """Part of ``HyperFabricProtocol``."""

    _service: EntanglementService

    def entangle(
        self,
        a: str,
        b: str,
        *,
        fidelity: float | None = None,
        pairs: int = 1,
        deadline_ns: float | None = None,
        needed_ns: float | None = None,
        keep: bool = True,
        priority: PacketPriority | str = PacketPriority.NORMAL,
        policy: SwapPolicy = "swap_asap",
        cutoff_ns: float | None = None,
    ) -> Coroutine[Any, Any, tuple[BellPair, ...]]:
        """Return, when awaited, Bell pairs between two nodes, over one link or over a chain of them.

        Attempts, switches, memories and the messages that report heralds and outcomes share the clock and the channels
        of everything else. The path and the rounds of purification are chosen so that the fidelity is reached soonest
        on an idle fabric.

        Args:
            a: node id.
            b: node id.
            fidelity: that each pair must have when both ends know of it; None = whatever comes.
            pairs: how many.
            deadline_ns: point of virtual time by which all must be there; None = no deadline.
            needed_ns: point of virtual time at which they will be used; with ``enable_quantum_optimization`` attempts
                start just in time for it.
            keep: whether the pairs stay in memory, each in one communication qubit at either end, until they are
                consumed or released. Otherwise both halves are measured at once.
            priority: who goes first for communication qubits and lines.
            policy: when stations on the way swap: "swap_asap", "nested" or "wait_for_all".
            cutoff_ns: how long a pair may wait for its neighbours before it is thrown away; None = for ever.

        Raises:
            UnknownName: a node or the policy does not exist.
            InvalidValue: an argument is out of range, or a point of time is past.
            NoQuantumPath: no chain of quantum links joins the nodes.
            NotEnoughCommunicationQubits: a node can never hold what this takes.
            FidelityUnreachable: nothing gives that fidelity; decided before any attempt, or after a thousand pairs in a
                row that other traffic had delayed for too long.
            DeadlineImpossible: not even a first attempt and light could meet the deadline.
            EntanglementMissed: the deadline came first; the pairs that were in time are in the error, and held.

        Cancelling the task withdraws what is under way, and lets its finished pairs expire.
        """
        request = request_of(
            a,
            b,
            fidelity=fidelity,
            pairs=pairs,
            deadline_ns=deadline_ns,
            needed_ns=needed_ns,
            keep=keep,
            priority_class=kind_of(DataType.QUANTUM_STATE, priority).priority_class,
            policy=policy,
            cutoff_ns=cutoff_ns,
        )
        return self._service.entangle(request)

    def foresee(
        self,
        a: str,
        b: str,
        *,
        fidelity: float | None = None,
        pairs: int = 1,
        policy: SwapPolicy = "swap_asap",
        cutoff_ns: float | None = None,
    ) -> Foresight:
        """Return how ``entangle`` would serve a request on the idle fabric: path, rounds, fidelity and time.

        Raises:
            as ``entangle`` before any attempt is spent.
        """
        request = request_of(a, b, fidelity=fidelity, pairs=pairs, policy=policy, cutoff_ns=cutoff_ns)
        return self._service.foresee(request)

    def budget(self, a: str, b: str, *, fidelity: float, needed_ns: float | None = None) -> Budget:
        """Return the coherence budget of a pair between two nodes that a gate at ``needed_ns`` finds good enough.

        Raises:
            UnknownName, NoQuantumPath, NotEnoughCommunicationQubits, InvalidValue: as for ``entangle``.
        """
        request = request_of(a, b, needed_ns=needed_ns)
        path = self._service.foresee(request).path
        return budget(path, fidelity, gate_ps=request.needed_ps, now_ps=self._service.now_ps)

    def stock(self, a: str, b: str, *, pairs: int, fidelity: float | None = None) -> Stock:
        """Return a stock of pairs that are made ahead: ``async with protocol.stock(...) as stock: await stock.take()``.

        With ``enable_quantum_optimization`` the freshest pair is taken first, otherwise the oldest.

        Args:
            a: node id.
            b: node id.
            pairs: how many to keep ready; never more than are useful, which is rate times the time that one stays good.
            fidelity: below which a pair expires and is made anew; None = never.

        Raises:
            as ``entangle`` before any attempt is spent.
        """
        request = request_of(a, b, fidelity=fidelity, pairs=pairs)
        return Stock(self._service, request, freshest_first=self._service.optimise)

    @property
    def ledger(self) -> Ledger:
        """Every Bell pair of this protocol on its present clock, from birth to end."""
        return self._service.ledger


def service_of(exchange: Exchange, *, seed: int | None, optimise: bool) -> EntanglementService:
    """Return the entanglement service of an exchange, which gets its Bell pairs from it.

    Raises:
        InvalidValue: ``optimise`` is neither True nor False.
    """
    given: object = optimise
    if not isinstance(given, bool):
        raise InvalidValue(field="enable_quantum_optimization", value=given, rule="it is True or False")
    service = EntanglementService(
        lambda: exchange.ways.fabric,
        exchange.attached,
        exchange.courier,
        seed=seeds.resolve(0 if seed is None else seed),
        optimise=optimise,
    )
    exchange.pairs = Sharing(service, lambda: exchange.ways.fabric)
    return service
