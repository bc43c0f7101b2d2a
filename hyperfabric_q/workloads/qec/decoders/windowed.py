"""A decoder that always decodes in windows: by default of as many rounds as the code has distance."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal

import stim
from numpy.typing import ArrayLike

from hyperfabric_q.errors import InvalidValue
from hyperfabric_q.workloads.qec.decoders.compiled import Compiled, Core
from hyperfabric_q.workloads.qec.decoders.kind import Decoder, decoders
from hyperfabric_q.workloads.qec.decoders.matching import Matching
from hyperfabric_q.workloads.qec.decoders.windows import Window


@dataclass(frozen=True, slots=True, kw_only=True)
class Windowed(Decoder):
    """Another decoder, working in windows.

    Attributes:
        inner: what decodes each window.
        window: commit and buffer; None takes the distance of the code for both, with which nothing is lost.
        layout: how windows are laid out, whatever ``window`` says.
    """

    inner: Decoder = field(default_factory=Matching)
    window: Window | None = None
    layout: Literal["sliding", "parallel"] = "sliding"

    def core(self, dem: stim.DetectorErrorModel) -> Core:
        """Return what decodes a whole model, window after window."""
        return self.compile(dem).decode_batch

    def compile(
        self,
        dem: stim.DetectorErrorModel,
        window: Window | tuple[int, int] | None = None,
        *,
        rounds: ArrayLike | None = None,
    ) -> Compiled:
        """Return the inner decoder made ready for a model, in windows.

        Raises:
            InvalidValue: the model does not state the rounds, or nobody says how long the windows are.
        """
        if isinstance(window, tuple):
            window = Window(*window)
        chosen = window or self.window or default_window(dem)
        return self.inner.compile(dem, replace(chosen, layout=self.layout), rounds=rounds)


def default_window(dem: stim.DetectorErrorModel) -> Window:
    """Return a window that commits, and looks ahead, as many rounds as the fewest errors that nobody would notice.

    Raises:
        InvalidValue: the model has no such errors, or none that matching could find.
    """
    try:
        distance = len(dem.shortest_graphlike_error(ignore_ungraphlike_errors=True))
    except ValueError as unknown:
        raise InvalidValue(
            field="window",
            value=None,
            rule="the length of a window follows from the distance, which this model does not tell",
            remedy="Give window=(commit, buffer).",
        ) from unknown
    return Window(distance, distance)


decoders.register("window")(Windowed())
decoders.register("parallel")(Windowed(layout="parallel"))
