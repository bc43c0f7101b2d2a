"""The same supply event by event, on the channels of the fabric, where heralds meet other traffic.

One kernel per timeline holds the lines on which attempts are made, the classical channels on which word of a pair
travels, and all background. A pair counts as there when both ends have been told. The rules of rooms, rounds and checks
are those of ``supply_lanes``; where nothing is kept from round to round, an attempt under way is finished first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np

from hyperfabric_q import seeds
from hyperfabric_q.entanglement.assembly import Assembly, Recipe
from hyperfabric_q.entanglement.draws import Draws
from hyperfabric_q.entanglement.ledger import Fate, Ledger
from hyperfabric_q.entanglement.lines import Lines
from hyperfabric_q.entanglement.policies import spans
from hyperfabric_q.entanglement.state import FloatArray, fidelity, one_state
from hyperfabric_q.entanglement.stored import stored_chain
from hyperfabric_q.errors import InternalError
from hyperfabric_q.scheduling.kernel import Kernel
from hyperfabric_q.scheduling.message import Message
from hyperfabric_q.traffic.courier import Courier
from hyperfabric_q.traffic.profiles import profiles
from hyperfabric_q.traffic.ways import Ways
from hyperfabric_q.traffic.wiring import Way
from hyperfabric_q.units import to_ps
from hyperfabric_q.workloads.qec.background import Background
from hyperfabric_q.workloads.qec.supply_groups import Group, served
from hyperfabric_q.workloads.qec.supply_lanes import Plan, Rows
from hyperfabric_q.workloads.qec.transport import Transport

_BACKGROUND = "supply background"


def run(plan: Plan, beside: Transport, rounds: int, count: int, seed: int) -> Rows:
    """Return what so many rounds of so many timelines get; about 0.15 ms per pair, and 15 µs per background message.

    Raises:
        NoRoute, IsolationViolated: word of heralds cannot pass between nodes.
        InvalidValue: a link should share a classical line that does not exist.
    """
    rows = Rows.empty(count, rounds, plan.slots)
    for number in range(count):
        _Timeline(plan, beside, rounds, seeds.word(seed, "timeline", number), rows, number).run()
    return rows


@dataclass(slots=True)
class _Held:
    """A pair in store."""

    made: Assembly
    maker: _Maker

    def at(self, when_ps: int) -> FloatArray:
        """The correlators at a time."""
        stored = np.array(self.made.storage(when_ps))
        return stored_chain(self.made.recipe.path, stored[:, :3], stored[:, 3], stored[:, 4])

    @property
    def born_ps(self) -> int:
        return min(each.born_ps for each in self.made.elements if each is not None)


class _Maker:
    """One path: as many pairs in store and in the making as there are rooms."""

    def __init__(self, owner: _Timeline, recipe: Recipe, rooms: int, name: int) -> None:
        self._owner, self._recipe = owner, recipe
        # A path makes one pair after the other. A link's own line sees to that; a switch, purification or a chain would
        # let several be made at once.
        self._alone = recipe.rounds > 0 or recipe.hops > 1 or recipe.path.links[0].via is not None
        self._free, self._name, self._count = rooms, name, 0
        self._making: dict[int, Assembly] = {}
        self.held: list[_Held] = []

    def fill(self) -> None:
        """Begin pairs in the rooms that are free."""
        while self._free and not (self._alone and self._making):
            self._free -= 1
            self._count += 1
            identity = (self._name << 31) + self._count
            made = self._owner.assembly(self._recipe, identity, partial(self._finished, self._count))
            self._making[self._count] = made
            made.begin()

    def _finished(self, number: int, made: Assembly) -> None:
        del self._making[number]
        self.held.append(_Held(made, self))
        self.fill()
        self._owner.arrived()

    def take(self, pair: _Held, fate: Fate) -> None:
        """Let a pair end; its room is free."""
        self.held.remove(pair)
        self._owner.ledger.end(pair.made.pair, fate, self._owner.kernel.now_ps)
        self._free += 1

    def clear(self) -> None:
        """Give up all there is and all that is in the making."""
        for pair in tuple(self.held):
            self.take(pair, Fate.EXPIRED)
        for made in self._making.values():
            made.withdraw()
        self._free += len(self._making)
        self._making.clear()


class _Timeline:
    def __init__(self, plan: Plan, beside: Transport, rounds: int, seed: int, rows: Rows, row: int) -> None:
        self._plan, self._beside, self._rounds, self._seed = plan, beside, rounds, seed
        self._rows, self._row = rows, row
        self.kernel = Kernel(policy=beside.rules)
        self.ledger = Ledger()
        self._lines = Lines(self.kernel)
        assert beside.fabric is not None  # noqa: S101
        self._ways = Ways(beside.fabric, strict=True, chunk_ps=to_ps(ns=beside.chunk_ns))
        self._ways.wire(self.kernel)
        self._courier = Courier(self._ways, self.kernel, profiles["fabric"])
        self._across = [self._ways.find(each.source, each.destination, encrypted=True) for each in beside.background]
        self._makers = [self._makers_of(group) for group in plan.groups]
        self._round = 0
        self._origin = self._warmup_ps()
        self._due = self._origin + plan.lead_ps
        self._waiting = False

    def _makers_of(self, group: Group) -> list[_Maker]:
        found = []
        for number, path in enumerate(group.paths):
            for link in path.links:
                devices = None if link.via is None else self._ways.fabric.node(link.via).photonic_channels
                shared = self._courier.line(link.a, link.b) if link.shared else None
                self._lines.line(link, devices=devices, shared=shared)
            recipe = Recipe(path=path, spans=spans("swap_asap", path.hops), rounds=self._plan.purify)
            found.append(_Maker(self, recipe, group.rooms, seeds.word(self._seed, "pairs", *group.nodes, number)))
        return found

    def assembly(self, recipe: Recipe, identity: int, finished: Callable[[Assembly], object]) -> Assembly:
        """Return a pair to be made."""
        return Assembly(
            recipe,
            kernel=self.kernel,
            lines=self._lines,
            ledger=self.ledger,
            draws=Draws(self._seed, identity),
            identity=identity,
            finished=finished,
            courier=self._courier,
            given_up=self._given_up,
        )

    def _given_up(self, reason: str) -> None:
        raise InternalError(what=f"a pair was given up on a fabric without faults: {reason}")

    # ------------------------------------------------------------------------------------------------------- running

    def run(self) -> None:
        kernel = self.kernel
        for number, stream in enumerate(self._beside.background):
            service = max(channel.serialisation_ps(stream.nbytes) for channel in self._across[number].channels)
            times = stream.times_ps(seeds.stream(self._seed, "background", stream.label), service)
            self._next_message(stream, self._across[number], 0, times)
        kernel.at(self._origin, self._fill)
        kernel.at(self._due, self._begin)
        while self._round < self._rounds and kernel.step():
            pass

    def _warmup_ps(self) -> int:
        """A queue with load ρ forgets how it began within some service times over (1 - ρ)²."""
        streams = zip(self._beside.background, self._across, strict=True)
        slow = max((way.times_ps(stream.nbytes)[0] for stream, way in streams), default=0)
        return round(10 * slow / (1 - self._beside.load) ** 2)

    def _next_message(self, stream: Background, way: Way, count: int, times: Iterator[int]) -> None:
        if self._round < self._rounds:
            self.kernel.at(next(times), partial(self._send, stream, way, count, times))

    def _send(self, stream: Background, way: Way, count: int, times: Iterator[int]) -> None:
        self.kernel.submit(
            Message(
                path=way.path,
                delays=way.delays,
                nbytes=stream.nbytes,
                priority_class=stream.priority_class,
                release_ps=self.kernel.now_ps,
                key=(_BACKGROUND, stream.label, count),
                identity=count,
            )
        )
        self._next_message(stream, way, count + 1, times)

    def _fill(self) -> None:
        for makers in self._makers:
            for maker in makers:
                maker.fill()

    def arrived(self) -> None:
        """A pair has come: a round that waits may begin."""
        if self._waiting:
            self._begin()

    def _begin(self) -> None:
        """The next round is due, or a pair has come that it waited for."""
        plan, now = self._plan, self.kernel.now_ps
        if plan.waits and any(
            sum(len(maker.held) for maker in makers) < group.pairs
            for group, makers in zip(plan.groups, self._makers, strict=True)
        ):
            self._waiting = True
            return
        self._waiting = False
        number, rows, row = self._round, self._rows, self._row
        rows.begin_ps[row, number], rows.wait_ps[row, number] = now - self._origin, now - self._due
        taken = [
            pair
            for group, makers in zip(plan.groups, self._makers, strict=True)
            for pair in self._serve(group, makers, number, now + plan.use_ps)
        ]
        self._round += 1
        self._due = now + plan.cycle_ps
        if self._round < self._rounds:
            self.kernel.at(now + plan.use_ps, partial(self._used, taken))
            self.kernel.at(self._due, self._begin)

    def _serve(self, group: Group, makers: list[_Maker], number: int, use_ps: int) -> list[_Held]:
        """Hand pairs to the slots of a round; return which."""
        ready = [pair for maker in makers for pair in maker.held]
        states = {id(pair): pair.at(use_ps) for pair in ready}
        if self._plan.best_first:
            ready.sort(key=lambda pair: -float(fidelity(states[id(pair)])))
        else:
            ready.sort(key=lambda pair: pair.made.done_ps)
        which, used = served(group.turn(number), np.array([len(ready)]))
        for slot, (got, place) in which.items():
            if got[0]:
                pair = ready[int(place[0])]
                self._rows.weights[self._row, number, slot] = one_state(states[id(pair)])
                self._rows.age_ps[self._row, number, slot] = use_ps - pair.born_ps
                self._rows.missing[self._row, number, slot] = False
        return ready[: int(used[0])]

    def _used(self, taken: list[_Held]) -> None:
        for pair in taken:
            pair.maker.take(pair, Fate.CONSUMED)
        for makers in self._makers:
            for maker in makers:
                if not self._plan.keep:
                    maker.clear()
                maker.fill()
