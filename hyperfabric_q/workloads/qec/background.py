"""Other traffic on the links that frames take, as one value per stream of messages."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias, get_args

import numpy as np

from hyperfabric_q.errors import InvalidValue
from hyperfabric_q.scheduling.policy import CLASSES
from hyperfabric_q.traffic.packet import DEFAULT_CLASS, DataType

Arrivals: TypeAlias = Literal["poisson", "periodic"]

GRADIENT_BYTES: Final = 1 << 20

_BATCH: Final = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class Background:
    """Return a stream of messages that loads the way from one node to another.

    Args:
        source: node id.
        destination: node id.
        load: share of the slowest channel between them that the stream takes by itself, in (0, 1).
        nbytes: of each message, on the wire.
        arrivals: "poisson", or "periodic".
        priority_class: class it is served in; that of gradients unless stated.
        name: tells streams between the same nodes apart, and with them their random draws.

    Raises:
        InvalidValue: a field is out of range.
    """

    source: str
    destination: str
    load: float
    nbytes: int = GRADIENT_BYTES
    arrivals: Arrivals = "poisson"
    priority_class: int = DEFAULT_CLASS[DataType.GRADIENT]
    name: str = "gradients"

    def __post_init__(self) -> None:
        if not 0 < self.load < 1:
            rule = "a stream takes a share of its link between 0 and 1; at 1 its queue has no end"
            raise InvalidValue(field="load", value=self.load, rule=rule)
        if self.nbytes < 1:
            raise InvalidValue(field="nbytes", value=self.nbytes, rule="a message has at least one byte")
        if self.arrivals not in get_args(Arrivals):
            raise InvalidValue(field="arrivals", value=self.arrivals, rule=f"it is one of {get_args(Arrivals)}")
        if not 0 <= self.priority_class < CLASSES:
            rule = f"classes run from 0 to {CLASSES - 1}"
            raise InvalidValue(field="priority_class", value=self.priority_class, rule=rule)

    @property
    def label(self) -> str:
        """The stream as it stands in records."""
        return f"{self.name}:{self.source}>{self.destination}"

    def times_ps(self, rng: np.random.Generator, service_ps: int) -> Iterator[int]:
        """Yield when the messages come, without end; ``service_ps`` is what one takes on the slowest channel."""
        mean = service_ps / self.load
        if self.arrivals == "periodic":
            phase, number = rng.random(), 0
            while True:
                yield round((phase + number) * mean)
                number += 1
        now = 0.0
        while True:
            for gap in rng.exponential(mean, _BATCH).tolist():
                now += gap
                yield round(now)
