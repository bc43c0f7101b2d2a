"""What the decoder does, as far as the clock can see it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from hyperfabric_q.errors import InvalidValue
from hyperfabric_q.units import PS_PER_S


class Service(Protocol):
    """How long a decoder takes; the values of ``decoders`` fit."""

    def seconds(self, defects: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the seconds that windows with so many detection events take."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decoding:
    """Return what the decoder does, as far as the clock can see it.

    Args:
        service: its time per window.
        commit: rounds that a window commits; None decodes everything at once when a branch needs it.
        buffer: rounds that a window sees beyond those.
        servers: windows that can be decoded at the same time, of different blocks.
        defects_per_round: detection events per round that services are charged for.

    Raises:
        InvalidValue: a field is out of range.
    """

    service: Service
    commit: int | None = None
    buffer: int = 0
    servers: int = 1
    defects_per_round: float = 0.0

    def __post_init__(self) -> None:
        if self.commit is not None and self.commit < 1:
            raise InvalidValue(field="commit", value=self.commit, rule="a window commits at least one round")
        if self.buffer < 0 or (self.commit is None and self.buffer):
            raise InvalidValue(field="buffer", value=self.buffer, rule="a window has at least 0 rounds of buffer")
        if self.servers < 1:
            raise InvalidValue(field="servers", value=self.servers, rule="there is at least one decoder")

    def service_ps(self, rounds: int) -> int:
        """Return what a window of so many rounds takes at the usual number of detection events."""
        defects = np.array([round(self.defects_per_round * rounds)], dtype=np.int64)
        return round(float(np.asarray(self.service.seconds(defects)).reshape(-1)[0]) * PS_PER_S)

    @property
    def window_service_ps(self) -> int:
        """What a full window takes; one round's worth where everything is decoded at once."""
        return self.service_ps((self.commit or 1) + self.buffer)
