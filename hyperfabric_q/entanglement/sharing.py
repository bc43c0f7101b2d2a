"""Bell pairs for teleportation: the face of the entanglement service that the traffic of payloads uses."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from hyperfabric_q.entanglement.bell_pair import BellPair
from hyperfabric_q.entanglement.request import request_of
from hyperfabric_q.entanglement.service import EntanglementService
from hyperfabric_q.entanglement.state import FloatArray, fidelity
from hyperfabric_q.entanglement.swap import swap
from hyperfabric_q.errors import Infeasible, InvalidValue
from hyperfabric_q.fabric import Fabric, NodeSignature
from hyperfabric_q.units import to_ps


class Shared:
    """One pair, to be measured at its node ``a`` and corrected at ``b``."""

    def __init__(self, pair: BellPair) -> None:
        """Take a pair over."""
        self._pair = pair
        self.id = pair.id
        self.attempts = pair.attempts

    def spend(self) -> None:
        """Use it up, now: the Bell measurement has been made.

        Raises:
            PairSpent: it was used before.
        """
        self._pair.consume()

    def give_up(self) -> None:
        """Let it expire unused.

        Raises:
            PairSpent: it was used before.
        """
        self._pair.release()

    def channel(self, measured_ps: int, corrected_ps: int) -> tuple[FloatArray, float, int]:
        """Return the correlators of the teleportation channel, the pair's fidelity, and its age in ps.

        The half at ``a`` was stored until it was measured, that at ``b`` until it was corrected; an imperfect Bell
        measurement acts as in a swap.
        """
        pair = self._pair
        stored = pair.correlators_at(measured_ps, corrected_ps)
        stations = pair.path.stations
        first = stations[0] if stations[0].node_id == pair.a else stations[-1]
        error = first.readout_error
        used = swap((1.0, 1.0, 1.0), stored, depolarising=first.depolarising, readout_x=error, readout_z=error)
        return used, float(fidelity(stored)), corrected_ps - pair.born_ps


class Sharing:
    """A source of pairs over one service."""

    def __init__(self, service: EntanglementService, fabric: Callable[[], Fabric]) -> None:
        """Take pairs from ``service``; ``fabric`` returns the fabric as it stands."""
        self._service = service
        self._fabric = fabric

    def obstacle(self, source: str, destination: str) -> str | None:
        """Return why two nodes can share no pairs; None when they can."""
        try:
            self._service.foresee(request_of(source, destination))
        except (Infeasible, InvalidValue) as fault:
            return f"no Bell pair can be shared: {str(fault).rstrip('.')}"
        return None

    def capacity(self, source: str, destination: str) -> int | None:
        """Return how many pairs they can hold at a time; None = any number."""
        found = self._service.foresee(request_of(source, destination))
        slots = [found.path.stations[place].slots for place in (0, -1)]
        return min((each for each in slots if each is not None), default=None)

    def durations_ps(self, source: str, destination: str) -> tuple[int, int, int]:
        """Return how long a Bell measurement and a correction take, and how long a pair takes at the very least."""
        fabric = self._fabric()
        last: NodeSignature = fabric.node(destination)
        found = self._service.foresee(request_of(source, destination))
        stations = found.path.stations
        first = stations[0] if stations[0].node_id == source else stations[-1]
        correct_ns = (last.feedforward_ns or 0.0) + (last.gate_1q_ns or 0.0)
        return first.swap_ps, to_ps(ns=correct_ns), found.least_ps

    async def share(self, source: str, destination: str, pairs: int, priority_class: int) -> Sequence[Shared]:
        """Return pairs of the two nodes, which are the caller's; raises what ``EntanglementService.entangle`` does."""
        made = await self._service.entangle(request_of(source, destination, pairs=pairs, priority_class=priority_class))
        return [Shared(pair) for pair in made]
