"""Teleportation as traffic: a quantum state goes to another node on Bell pairs and two classical bits per qubit.

Each qubit is measured together with one half of a pair, which takes ``measure_ps``; the outcomes travel like any
payload, on the same channels and with the same deadlines; the destination corrects when they are in. The halves at the
destination are stored until then. What arrives is the state with one Pauli channel per qubit, whose weights are those
of the pair's exact state at these very times (Bennett et al. 1993; Horodecki, Horodecki and Horodecki 1999).
"""

from __future__ import annotations

from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol

import numpy as np

from hyperfabric_q.errors import InvalidValue, PairSpent
from hyperfabric_q.fabric import Fabric
from hyperfabric_q.scheduling.drivers import Clock
from hyperfabric_q.scheduling.policy import NO_DEADLINE
from hyperfabric_q.traffic.packet import DataType
from hyperfabric_q.traffic.payload import Payload, payload_of
from hyperfabric_q.traffic.quantum_state import QuantumState, is_quantum_state, state_of, teleported
from hyperfabric_q.traffic.request import Kind
from hyperfabric_q.traffic.transfer import Sending
from hyperfabric_q.traffic.treatment import Entanglement, Treatment, holds_qubits
from hyperfabric_q.traffic.wiring import Way
from hyperfabric_q.units import to_ns


class SharedPair(Protocol):
    """One Bell pair between source and destination."""

    @property
    def id(self) -> int:
        """Its number in the ledger."""

    @property
    def attempts(self) -> int:
        """What was spent on it."""

    def spend(self) -> None:
        """Use it up, now: the Bell measurement has been made."""

    def give_up(self) -> None:
        """Let it expire unused."""

    def channel(self, measured_ps: int, corrected_ps: int) -> tuple[np.ndarray[Any, Any], float, int]:
        """Return the correlators of the teleportation channel, the pair's fidelity then, and its age in ps."""


class PairSource(Protocol):
    """Where Bell pairs come from; the entanglement layer is one, and the protocol hands it in."""

    def obstacle(self, source: str, destination: str) -> str | None:
        """Return why two nodes can share no pairs; None when they can."""

    def capacity(self, source: str, destination: str) -> int | None:
        """Return how many pairs they can hold at a time; None = any number."""

    def durations_ps(self, source: str, destination: str) -> tuple[int, int, int]:
        """Return how long a Bell measurement and a correction take, and how long a pair takes at the very least."""

    def share(self, source: str, destination: str, pairs: int, priority_class: int) -> Awaitable[Sequence[SharedPair]]:
        """Return pairs of the two nodes, which are the caller's."""


def teleportation(pairs: PairSource | None, way: Way, data: object, kind: Kind, fabric: Fabric) -> Teleportation | str:
    """Return the teleportation of a payload that demands entanglement, or why it cannot be one.

    Raises:
        PairSpent: the state was sent before.
    """
    bare = [end for end in (way.source, way.destination) if not holds_qubits(fabric.node(end))]
    if bare:
        return f"{bare[0]!r} has no qubits"
    if way.source == way.destination:
        return "both ends are one node"
    if kind.data_type is not DataType.QUANTUM_STATE or not is_quantum_state(data):
        return "the payload is no quantum state (a Statevector, a DensityMatrix or a circuit that prepares one)"
    reason = "there is no source of Bell pairs" if pairs is None else pairs.obstacle(way.source, way.destination)
    if pairs is None or reason is not None:
        return str(reason)
    try:
        return Teleportation(pairs, way, state_of(data))
    except PairSpent:
        raise
    except InvalidValue as fault:
        return f"the payload cannot be read as a quantum state: {str(fault).rstrip('.')}"


def numbers_of(data: object) -> object:
    """Return what of ``data`` can travel classically: of a state its amplitudes, which no measurement would tell."""
    return data if hasattr(data, "num_clbits") or not is_quantum_state(data) else getattr(data, "data", data)


class Teleportation:
    """One state on its way; ``measured`` then ``sending`` then ``arrived``. ``way`` is that of the classical bits."""

    def __init__(self, pairs: PairSource, way: Way, state: QuantumState) -> None:
        """Prepare to send ``state``; nothing is spent yet."""
        self._source = pairs
        self.way = way
        self._state = state
        self._pairs: list[SharedPair] = []
        self._measured_ps: list[int] = []

    async def measured(self, clock: Clock, priority_class: int) -> None:
        """Share the pairs, as many at a time as the nodes hold, and measure each with its qubit.

        Raises:
            PairSpent: the state was sent meanwhile.
            and what the source of pairs raises.
        """
        source, destination = self.way.source, self.way.destination
        room = self._source.capacity(source, destination)
        measure_ps, _, _ = self._source.durations_ps(source, destination)
        while len(self._pairs) < self._state.qubits:
            count = self._state.qubits - len(self._pairs)
            count = count if room is None else min(count, room)
            shared = await self._source.share(source, destination, count, priority_class)
            try:
                if not self._pairs:
                    self._state.spend()
                await clock.sleep_ps(measure_ps)
            except BaseException:
                for pair in shared:
                    pair.give_up()
                raise
            for pair in shared:
                pair.spend()
            self._pairs += shared
            self._measured_ps += [clock.kernel.now_ps] * len(shared)

    def at_best(self, treatment: Treatment) -> Treatment:
        """Return ``treatment`` of the bits with what comes before and after them when every first attempt succeeds."""
        measure_ps, correct_ps, least_ps = self._source.durations_ps(self.way.source, self.way.destination)
        return replace(
            treatment,
            before_ps=treatment.before_ps + least_ps + measure_ps,
            after_ps=treatment.after_ps + correct_ps,
        )

    def bits(self) -> Payload:
        """Return what has to be sent classically: two bits per qubit."""
        return payload_of(bytes(-(-2 * self._state.qubits // 8)), DataType.QUANTUM_STATE)

    def sending(
        self,
        bits: Payload,
        kind: Kind,
        treated: tuple[Treatment, int],
        clock: Clock,
        asked_ps: int,
        constraint_ps: int | None,
        metadata: Mapping[str, Any] | None,
    ) -> Sending:
        """Return the send of the classical bits, with what came before and comes after it in its receipt."""
        treatment, nbytes = treated
        measure_ps, correct_ps, least_ps = self._source.durations_ps(self.way.source, self.way.destination)
        shared_ps = clock.kernel.now_ps - asked_ps
        treatment = replace(
            treatment,
            entangling_ps=shared_ps + correct_ps,
            waited_ps=max(0, shared_ps - least_ps - measure_ps),
            before_ps=treatment.before_ps + shared_ps,
            after_ps=treatment.after_ps + correct_ps,
            entanglement=Entanglement(
                pairs=tuple(pair.id for pair in self._pairs),
                attempts=sum(pair.attempts for pair in self._pairs),
                shared_ns=to_ns(shared_ps),
            ),
        )
        deadline = NO_DEADLINE
        if constraint_ps is not None:
            deadline = min(asked_ps + constraint_ps - treatment.after_ps, NO_DEADLINE)
        return Sending(self.way, bits, kind, treatment, asked_ps, constraint_ps, deadline, nbytes, metadata)

    def arrived(self, sending: Sending, now_ps: int) -> object:
        """Return the state that the destination has, a ``DensityMatrix``, and complete the record of the pairs."""
        rows = [pair.channel(at, now_ps) for pair, at in zip(self._pairs, self._measured_ps, strict=True)]
        known = sending.treatment.entanglement
        assert known is not None  # noqa: S101
        sending.treatment = replace(
            sending.treatment,
            entanglement=replace(
                known,
                fidelities=tuple(fidelity for _, fidelity, _ in rows),
                ages_ns=tuple(to_ns(age) for _, _, age in rows),
            ),
        )
        return teleported(self._state, np.array([channel for channel, _, _ in rows]))
