"""Who goes first on a channel, as one value that a user may replace."""

from __future__ import annotations

from dataclasses import dataclass, field

from hyperfabric_q.errors import InvalidValue
from hyperfabric_q.fabric.fields import is_whole

CLASSES = 8
"""Priority classes, 0 the most urgent."""

NO_DEADLINE = 1 << 62
"""Later than any deadline, in picoseconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """The order of service on every channel.

    Classes below ``first_bulk`` are strict: a more urgent class interrupts a less urgent one at the next chunk. The
    bulk classes share what is left by deficit round robin. Inside a class the earliest deadline goes first, then what
    was queued first, then the canonical order of submission.

    So that urgent traffic cannot starve bulk for ever, classes up to ``last_capped`` may hold a channel for ``cap_ps``
    while bulk waits; then bulk gets ``grant_ps``, even before what is urgent. Hence a waiting bulk class is served
    within ``starvation_bound_ps`` of overload by capped classes. Strict classes above ``last_capped`` are not capped:
    they may starve bulk, and a grant does not hold against them.

    Attributes:
        first_bulk: the first class of the round robin; ``CLASSES`` makes all strict, 0 makes all bulk.
        weights: round-robin weight of each bulk class; 1 where not given.
        quantum_ps: service time that weight 1 is worth in one round.
        last_capped: the last class that the cap holds for; -1 switches the cap off.
        cap_ps: how long capped classes may be served while bulk waits.
        grant_ps: what bulk gets after that.
        fifo: ignore classes and deadlines: the control case.
    """

    first_bulk: int = 3
    weights: tuple[tuple[int, int], ...] = ((3, 4), (4, 2), (5, 1))
    quantum_ps: int = 100_000_000
    last_capped: int = 1
    cap_ps: int = 750_000_000
    grant_ps: int = 250_000_000
    fifo: bool = False
    _weight_of: tuple[int, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        for name in ("first_bulk", "last_capped", "quantum_ps", "cap_ps", "grant_ps"):
            if not is_whole(getattr(self, name)):
                raise InvalidValue(field=name, value=getattr(self, name), rule="it is a whole number")
        if not isinstance(self.fifo, bool):
            raise InvalidValue(field="fifo", value=self.fifo, rule="it is True or False")
        if not 0 <= self.first_bulk <= CLASSES:
            raise InvalidValue(field="first_bulk", value=self.first_bulk, rule=f"classes run from 0 to {CLASSES - 1}")
        if not -1 <= self.last_capped < CLASSES:
            raise InvalidValue(field="last_capped", value=self.last_capped, rule=f"it is a class, -1 to {CLASSES - 1}")
        for name in ("quantum_ps", "cap_ps", "grant_ps"):
            if getattr(self, name) <= 0:
                raise InvalidValue(field=name, value=getattr(self, name), rule="it must be a positive time")
        try:
            given = dict(self.weights)
        except (TypeError, ValueError):
            given = {-1: 0}
        numbers = [*given, *given.values()]
        if not all(map(is_whole, numbers)) or any(not 0 <= each < CLASSES or given[each] < 1 for each in given):
            raise InvalidValue(field="weights", value=self.weights, rule="each is (class, whole number of at least 1)")
        object.__setattr__(self, "_weight_of", tuple(given.get(each, 1) for each in range(CLASSES)))

    def weight(self, priority_class: int) -> int:
        """Return the round-robin weight of a class."""
        return self._weight_of[priority_class]

    @property
    def starvation_bound_ps(self) -> int | None:
        """Longest time capped classes can keep a waiting bulk class from the channel; None when the cap is off.

        Add the time of one capped message in progress, which is not interrupted by bulk, and what other bulk classes
        get of the grants before it is this one's turn.
        """
        return self.cap_ps if self.last_capped >= 0 else None
