"""A plan played instruction by instruction on a live fabric: what its own pairs and waits leave of the circuit.

A schedule of ``plan.run`` draws its own attempts. Here pairs come from the live fabric, which others ask too, and every
protocol bit is a message among theirs; so how old a pair is when it is used is what everybody's traffic made of it.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from hyperfabric_q import BellPair, DataType, HyperFabricProtocol, Plan
from hyperfabric_q.distribution.operations import MESSAGE, PAIR, Operations, operations_of
from hyperfabric_q.entanglement import Fate
from hyperfabric_q.errors import InvalidValue
from hyperfabric_q.execution.clock_noise import gap_wires
from hyperfabric_q.execution.process import WIDEST_EXACT, exact_fidelity, unitary_of
from hyperfabric_q.execution.run_noise import Idle, RunNoise
from hyperfabric_q.units import PS_PER_S, PS_PER_US, to_ns

ONE_BIT: Final = bytes(1)
"""What a protocol bit is on a channel."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Shot:
    """Return how one shot went.

    Args:
        fidelity: process fidelity of the circuit with the errors of this shot, exact.
        pair_fidelity: of its pairs when they were used, their mean.
        begun_ns: when it began.
        lasted_ns: until its last instruction had ended.
        pairs: how many it took.
    """

    fidelity: float
    pair_fidelity: float
    begun_ns: float
    lasted_ns: float
    pairs: int


class Player:
    """Plays one plan, shot after shot."""

    def __init__(self, protocol: HyperFabricProtocol, plan: Plan) -> None:
        """Read the plan once.

        Args:
            protocol: the live fabric.
            plan: of a unitary circuit, for nodes of that fabric.

        Raises:
            InvalidValue: the circuit is no unitary, or wider than what exact process fidelities are computed for.
        """
        unitary = unitary_of(plan) if plan.qubits <= WIDEST_EXACT else None
        if unitary is None:
            rule = f"it is a unitary of at most {WIDEST_EXACT} qubits, so that its process fidelity is exact"
            raise InvalidValue(field="plan", value=repr(plan), rule=rule)
        self.plan = plan
        self._protocol = protocol
        self._unitary = unitary
        self._operations: Operations = operations_of(plan.routed, plan.fabric)
        self._gap_wires = gap_wires(plan.routed, plan.fabric)
        self._ends_of_pairs = [self._last_measured(pair) for pair in self._operations.pairs.tolist()]

    def _last_measured(self, pair: int) -> list[int]:
        """Return the instructions after which both halves of a pair are nothing any more."""
        each = self._operations
        found = []
        for wire in each.wires[pair]:
            later = (
                place
                for place in range(pair + 1, len(each))
                if wire in each.wires[place] and each.names[place] in {"measure", "reset"}
            )
            found.append(next(later, len(each) - 1))
        return found

    async def shot(self) -> Shot:
        """Return how a shot goes that begins now; it takes its time on the clock.

        A pair is asked for when the one before it has been used. It occupies a communication qubit at either end until
        both halves have been measured.

        Raises:
            what ``entangle`` and ``send_data`` raise; pairs that are held then expire.
        """
        return await _Run(self._protocol, self._operations, self._ends_of_pairs).run(self)

    def score(self, run: _Run) -> Shot:
        """Return a shot that is through, with the fidelity that its pairs and waits leave."""
        each, end = self._operations, int(run.end.max(initial=0))
        idles = []
        for after, until, wire in zip(each.gaps.after.tolist(), each.gaps.until.tolist(), self._gap_wires, strict=True):
            waited = (end if until < 0 else int(run.start[until])) - int(run.end[after])
            if waited > 0:
                t1, t2 = self._decay_s(self.plan.routed.node_of[wire])
                idles.append(Idle(len(each) if until < 0 else until, wire, waited / PS_PER_S, t1, t2))
        noise = RunNoise(pair_weights=np.array(run.weights), idles=tuple(idles), local=True)
        return Shot(
            fidelity=exact_fidelity(self.plan, noise, self._unitary),
            pair_fidelity=float(np.mean([weights[0] for weights in run.weights])) if run.weights else 1.0,
            begun_ns=to_ns(run.began_ps),
            lasted_ns=to_ns(end - run.began_ps),
            pairs=len(run.weights),
        )

    def _decay_s(self, node_id: str) -> tuple[float, float]:
        node = self.plan.fabric.node(node_id)
        times = (node.t1_us, node.quantum_coherence_time_us if node.t2_us is None else node.t2_us)
        t1, t2 = (float("inf") if each is None else each * PS_PER_US / PS_PER_S for each in times)
        return t1, t2


class _Run:
    """One shot under way: when each instruction begins and ends, and in which state each pair was used."""

    def __init__(self, protocol: HyperFabricProtocol, operations: Operations, last: list[list[int]]) -> None:
        count = len(operations)
        self.began_ps = protocol.now_ps
        self.start, self.end = np.zeros(count, dtype=np.int64), np.zeros(count, dtype=np.int64)
        self.weights: list[tuple[float, float, float, float]] = [(1.0, 0.0, 0.0, 0.0)] * len(operations.pairs)
        self._protocol, self._operations, self._last = protocol, operations, last
        self._done = [asyncio.get_running_loop().create_future() for _ in range(count)]
        self._held: dict[int, BellPair] = {}
        self._told: dict[tuple[int, str], asyncio.Task[Any]] = {}
        self._number = {int(pair): place for place, pair in enumerate(operations.pairs)}
        self._used_by = {int(use): place for place, use in enumerate(operations.pair_use) if use >= 0}

    async def run(self, player: Player) -> Shot:
        try:
            async with asyncio.TaskGroup() as group:
                for number in range(len(self._operations)):
                    group.create_task(self._play(number))
                for number in range(len(self._operations.pairs)):
                    group.create_task(self._leave(number))
        except BaseException as fault:
            for pair in self._held.values():
                if pair.fate is Fate.HELD:
                    pair.release()
            raise fault.exceptions[0] if isinstance(fault, ExceptionGroup) else fault from None
        return player.score(self)

    async def _play(self, number: int) -> None:
        each = self._operations
        for wait in each.waits[number]:
            await self._done[wait.after]
            if wait.kind == MESSAGE:
                await self._hear(wait.after, self._node(number))
        if each.names[number] == PAIR:
            await self._entangle(number)
        else:
            if number in self._used_by:
                place = self._used_by[number]
                self.weights[place] = self._held[place].weights
            self.start[number] = self._protocol.now_ps
            if duration := int(each.duration_ps[number]):
                await self._protocol.sleep_ns(to_ns(duration))
        self.end[number] = self._protocol.now_ps
        self._done[number].set_result(None)

    async def _entangle(self, number: int) -> None:
        place, each = self._number[number], self._operations
        before = int(each.pair_use[place - 1]) if place else -1
        if 0 <= before < number:
            await self._done[before]
        self.start[number] = self._protocol.now_ps
        a, b = (each.nodes[node] for node in each.pair_nodes[place].tolist())
        (self._held[place],) = await self._protocol.entangle(a, b)

    async def _leave(self, place: int) -> None:
        """Give the communication qubits of a pair back once nothing is in them."""
        for number in (int(self._operations.pairs[place]), *self._last[place]):
            await self._done[number]
        self._held[place].consume()

    async def _hear(self, measurement: int, node: str) -> None:
        """Wait until a measured bit is known at a node, and has been acted on there."""
        known = self._told.get((measurement, node))
        if known is None:
            known = self._told[measurement, node] = asyncio.ensure_future(self._tell(measurement, node))
        await asyncio.shield(known)

    async def _tell(self, measurement: int, node: str) -> None:
        source = self._node(measurement)
        if source != node:
            await self._protocol.send_data(source=source, destination=node, data=ONE_BIT, data_type=DataType.CORRECTION)
        if ready := self._protocol.fabric.node(node).feedforward_ns:
            await self._protocol.sleep_ns(ready)

    def _node(self, number: int) -> str:
        each = self._operations
        return each.nodes[each.node_of[each.wires[number][0]]]
