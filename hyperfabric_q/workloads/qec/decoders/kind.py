"""Decoders by name: the plug-in kind ``decoder``, what turns detection events into flips of observables.

A decoder provides one thing, ``core``: how to decode a detector error model for a batch of shots. Windows, streams and
the faces of sinter are made from it and are the same for all. Third parties add theirs through the entry-point group
``hyperfabric_q.decoder``; the contract suite runs over every member.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Final

import stim
from numpy.typing import ArrayLike

from hyperfabric_q.registry import Registry
from hyperfabric_q.workloads.qec.decoders.compiled import Compiled, Core, compiled
from hyperfabric_q.workloads.qec.decoders.model import Reads, read_model
from hyperfabric_q.workloads.qec.decoders.windows import Window, lay


class Decoder(ABC):
    """What decodes; a value that pickles, since sinter sends it to its workers."""

    __slots__ = ()

    reads: Reads = "decompositions"
    """How much of a model it reads; what ``core`` is given has been made for that."""

    @abstractmethod
    def core(self, dem: stim.DetectorErrorModel) -> Core:
        """Return what decodes a detector error model, for arrays of uint8, shots × detectors."""

    def compile(
        self,
        dem: stim.DetectorErrorModel,
        window: Window | tuple[int, int] | None = None,
        *,
        rounds: ArrayLike | None = None,
    ) -> Compiled:
        """Return this decoder made ready for a detector error model.

        Args:
            dem: the model, decomposed where the decoder is for matching.
            window: (commit, buffer) in rounds; None decodes all rounds at once.
            rounds: round of each detector, where the last of its coordinates does not say.

        Raises:
            InvalidValue: windows are asked for, and the model does not state the rounds.
        """
        if isinstance(window, tuple):
            window = Window(*window)
        return compiled(lay(read_model(dem, self.reads, rounds), window), self.core)


decoders: Final[Registry[Decoder]] = Registry("decoder")
"""Decoders by name."""


def decoder(name: str) -> Decoder:
    """Return the decoder called ``name``.

    Raises:
        UnknownName: there is none; the error lists the names and the nearest match.
    """
    return decoders[name]
