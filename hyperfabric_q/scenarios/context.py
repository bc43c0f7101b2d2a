"""What the pieces of a scenario share while it runs: a seed, and the state of the world they act upon.

Functions such as ``measure_syndrome_data()`` take no arguments, so that code reads as its authors wrote it. What they
remember stands in a context variable: each ``hyperfabric_q.run`` and each task of its own has a world of its own, and
nothing is left behind when it ends. Scripts that want another seed, or two worlds one after the other, say so::

    with scenarios.world(seed=7):
        ...
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple, TypeVar, cast
from weakref import ReferenceType, ref

import numpy as np

from hyperfabric_q import seeds

T = TypeVar("T")

SEED: Final = 0
"""Of a world for which none was given: the same program gives the same result."""


@dataclass(frozen=True, slots=True, eq=False)
class World:
    """A seed, the random streams that stem from it, and the state that each scenario keeps under its own name."""

    seed: int = SEED
    _streams: dict[str, np.random.Generator] = field(default_factory=dict)
    _states: dict[str, Any] = field(default_factory=dict)

    def stream(self, name: str) -> np.random.Generator:
        """Return the random stream of this name; every call goes on where the last one ended."""
        if name not in self._streams:
            self._streams[name] = seeds.stream(self.seed, "scenarios", name)
        return self._streams[name]

    def state(self, name: str, make: Callable[[], T]) -> T:
        """Return what is kept under a name; ``make`` makes it when it is asked for first."""
        if name not in self._states:
            self._states[name] = make()
        return cast("T", self._states[name])

    def replace_state(self, name: str, value: object) -> None:
        """Keep another value under a name."""
        self._states[name] = value


class _Held(NamedTuple):
    """A world, and the event loop that it was made on, if nobody asked for it."""

    world: World
    asked_for: bool
    loop: ReferenceType[asyncio.AbstractEventLoop] | None


_HELD: ContextVar[_Held] = ContextVar("hyperfabric_q scenario world")


def current_world() -> World:
    """Return the world of this context; the first who asks makes it."""
    held, loop = _HELD.get(None), _running_loop()
    if held is not None and (held.asked_for or (held.loop and held.loop()) is loop):
        return held.world
    found = World()
    _HELD.set(_Held(found, asked_for=False, loop=None if loop is None else ref(loop)))
    return found


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


@contextmanager
def world(*, seed: int = SEED) -> Iterator[World]:
    """Return a world of its own for the block; the one before is there again afterwards.

    Args:
        seed: of everything that is generated in it.

    Raises:
        InvalidValue: ``seed`` is no whole number in range.
    """
    token = _HELD.set(_Held(World(seeds.resolve(seed)), asked_for=True, loop=None))
    try:
        yield current_world()
    finally:
        _HELD.reset(token)
