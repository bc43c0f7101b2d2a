"""Pairs of a chain one after another, event by event on a kernel of their own: what the lanes are measured against.

The same ``Assembly`` serves a live fabric; here nothing else uses the lines, and outcomes travel at the speed of light.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hyperfabric_q.entanglement.assembly import STRIDE, Assembly, Recipe
from hyperfabric_q.entanglement.draws import Draws
from hyperfabric_q.entanglement.elementary import Path
from hyperfabric_q.entanglement.ledger import Fate, Ledger
from hyperfabric_q.entanglement.lines import Lines
from hyperfabric_q.entanglement.policies import SwapPolicy, spans
from hyperfabric_q.entanglement.stored import stored_chain
from hyperfabric_q.errors import InvalidValue
from hyperfabric_q.scheduling.kernel import Kernel

_CHUNK = 4096


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Deliveries:
    """Return what the events brought.

    Args:
        delivery_ps: from the first attempt of each pair until both ends knew that they held it, (runs,).
        correlators: of each pair when both ends knew it, (runs, 3).
        raw_attempts: made for each, (runs,).
        raw_pairs: heralded for each, (runs,).
        ledger: every pair of all runs.
        events: what happened: jobs begun, attempts and outcomes that ended, swaps, cutoffs and deliveries.
    """

    delivery_ps: NDArray[np.int64]
    correlators: NDArray[np.float64]
    raw_attempts: NDArray[np.int64]
    raw_pairs: NDArray[np.int64]
    ledger: Ledger
    events: int


def simulate(
    path: Path,
    *,
    runs: int,
    seed: int,
    policy: SwapPolicy = "swap_asap",
    cutoff_ps: int | None = None,
    rounds: int = 0,
) -> Deliveries:
    """Return ``runs`` end-to-end pairs, each begun when the one before was delivered and used.

    Args:
        path: the chain.
        runs: how many pairs.
        seed: of everything that is drawn.
        policy: when stations swap.
        cutoff_ps: how long a pair may wait for its neighbours.
        rounds: of nested purification on every link.

    Raises:
        InvalidValue: ``runs`` is below 1, or ``cutoff_ps`` below 0.
        UnknownName: there is no such policy.
    """
    if runs < 1:
        raise InvalidValue(field="runs", value=runs, rule="at least one pair is simulated")
    if cutoff_ps is not None and cutoff_ps < 0:
        raise InvalidValue(field="cutoff_ps", value=cutoff_ps, rule="a waiting time is not negative")
    many = _Runs(path, Recipe(path=path, spans=spans(policy, path.hops), rounds=rounds, cutoff_ps=cutoff_ps), seed)
    many.go(runs)
    return many.deliveries()


class _Runs:
    """A kernel that makes one pair after another."""

    def __init__(self, path: Path, recipe: Recipe, seed: int) -> None:
        self._path, self._recipe = path, recipe
        self._kernel = Kernel()
        self._lines = Lines(self._kernel)
        for link in path.links:
            self._lines.line(link)
        self._ledger = Ledger(keep=0)
        self._draws = Draws(seed, 0)
        self._left = 0
        self._begun = 0
        self._count = 0
        self._done: list[tuple[int, int, int]] = []
        self._states: list[NDArray[np.float64]] = []
        self._rows: list[list[tuple[float, float, float, int, int]]] = []

    def go(self, runs: int) -> None:
        self._left = runs
        self._next()
        self._kernel.run()
        self._evaluate()

    def deliveries(self) -> Deliveries:
        done = np.array(self._done, dtype=np.int64)
        return Deliveries(
            delivery_ps=done[:, 0],
            correlators=np.concatenate(self._states),
            raw_attempts=done[:, 2],
            raw_pairs=done[:, 1],
            ledger=self._ledger,
            events=self._kernel.events + self._ledger.balance.swaps + len(done),
        )

    def _next(self) -> None:
        self._left -= 1
        self._count += 1
        self._begun = self._kernel.now_ps
        Assembly(
            self._recipe,
            kernel=self._kernel,
            lines=self._lines,
            ledger=self._ledger,
            draws=self._draws,
            identity=self._count * STRIDE,
            finished=self._finished,
        ).begin()

    def _finished(self, assembly: Assembly) -> None:
        now = self._kernel.now_ps
        self._done.append((now - self._begun, assembly.raw_pairs, assembly.attempts))
        self._ledger.end(assembly.pair, Fate.CONSUMED, now)
        self._rows.append(assembly.storage(now))
        if len(self._rows) >= _CHUNK:
            self._evaluate()
        if self._left:
            self._next()

    def _evaluate(self) -> None:
        """Turn storage times into states, many pairs at once."""
        if self._rows:
            table = np.array(self._rows, dtype=np.float64)
            self._states.append(stored_chain(self._path, table[..., :3], table[..., 3], table[..., 4]))
            self._rows.clear()
