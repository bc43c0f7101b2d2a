"""An annealer node as a service: problems arrive over the fabric, wait their turn, take their time and are answered."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

from hyperfabric_q.errors import InvalidValue
from hyperfabric_q.fabric import NodeSignature
from hyperfabric_q.scheduling.drivers import Clock, clock
from hyperfabric_q.seeds import resolve, word
from hyperfabric_q.traffic.handlers import Packet
from hyperfabric_q.units import to_ns, to_ps
from hyperfabric_q.workloads.annealing.answers import Answer
from hyperfabric_q.workloads.annealing.machines import machine_of
from hyperfabric_q.workloads.annealing.solving import READS, SWEEPS, solve

WISHES: Final = ("reads", "sweeps", "solver", "one_hot", "penalty", "anneal_us")
"""Keys of a send's metadata that the service heeds; see ``solve``."""


class AnnealerService:
    """Answers every problem that arrives at an annealer; attach it with ``protocol.attach_handler``.

    One problem is annealed at a time, in the order in which they arrive. A send is answered when the virtual clock has
    moved on by waiting, programming and all reads.
    """

    def __init__(
        self,
        node: NodeSignature,
        *,
        reads: int = READS,
        sweeps: int = SWEEPS,
        solver: str = "auto",
        seed: int | None = None,
    ) -> None:
        """Serve at ``node``.

        Args:
            node: the annealer.
            reads: of problems whose metadata ask for no number.
            sweeps: the same.
            solver: the same.
            seed: of all problems; each draws from a stream of its own, named by its send.

        Raises:
            InvalidValue: the node is no annealer, or an option is out of range.
        """
        machine_of(node).times(reads)
        self.node = node
        self._usual: dict[str, Any] = {"reads": reads, "sweeps": sweeps, "solver": solver}
        self._seed = resolve(seed)
        self._clock: Clock | None = None
        self._free_ps = 0

    async def __call__(self, packet: Packet) -> Answer:
        """Return the answer to the problem in a packet, when the annealer has had the time for it.

        Raises:
            InvalidValue, ProblemTooLarge, SimulationRefused: as ``solve`` does; it takes no virtual time then.
        """
        found = clock()
        arrived_ps = found.kernel.now_ps
        seed = word(self._seed, "annealing", self.node.node_id, packet.key)
        answer = solve(packet.data, self.node, seed=seed, **self._wishes(packet))
        if self._clock is not found:  # another event loop, whose time begins anew
            self._clock, self._free_ps = found, 0
        start_ps = max(arrived_ps, self._free_ps)
        assert answer.times is not None  # noqa: S101 - a node was given
        self._free_ps = start_ps + to_ps(ns=answer.times.total_ns)
        await found.sleep_ps(self._free_ps - arrived_ps)
        return replace(answer, queued_ns=to_ns(start_ps - arrived_ps))

    def _wishes(self, packet: Packet) -> dict[str, Any]:
        unknown = [name for name in packet.metadata if name not in WISHES]
        if unknown:
            rule = f"an annealer heeds {', '.join(WISHES)}"
            raise InvalidValue(field="metadata", value=unknown[0], rule=rule)
        return {**self._usual, **packet.metadata}


def service(
    node: NodeSignature,
    *,
    reads: int = READS,
    sweeps: int = SWEEPS,
    solver: str = "auto",
    seed: int | None = None,
) -> AnnealerService:
    """Return what answers problems at an annealer; see ``AnnealerService``.

    >>> protocol.attach_handler("annealer", service(protocol.fabric.node("annealer")))  # doctest: +SKIP
    """
    return AnnealerService(node, reads=reads, sweeps=sweeps, solver=solver, seed=seed)
