"""Our decoders as sinter's, and sinter's as ours.

``sinter_decoders`` is what ``sinter.collect(custom_decoders=...)`` takes, and what the option
``--custom_decoders_module_function`` of the command ``sinter collect`` names.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import sinter
import stim

from hyperfabric_q.errors import UnknownName
from hyperfabric_q.workloads.qec.decoders.compiled import Compiled, Core
from hyperfabric_q.workloads.qec.decoders.kind import Decoder, decoder, decoders
from hyperfabric_q.workloads.qec.decoders.model import Bits, Reads
from hyperfabric_q.workloads.qec.decoders.windows import Window


class SinterDecoder(sinter.Decoder):  # type: ignore[misc]
    """One of our decoders, as sinter calls it."""

    def __init__(self, inner: Decoder, window: Window | None) -> None:
        """Wrap a decoder, with the window it is compiled with."""
        self.inner = inner
        self.window = window

    def compile_decoder_for_dem(self, *, dem: stim.DetectorErrorModel) -> SinterCompiled:
        """Return the decoder made ready for a model."""
        return SinterCompiled(self.inner.compile(dem, self.window))


class SinterCompiled(sinter.CompiledDecoder):  # type: ignore[misc]
    """A decoder of ours made ready, as sinter calls it."""

    def __init__(self, compiled: Compiled) -> None:
        """Wrap a decoder that is ready."""
        self.compiled = compiled

    def decode_shots_bit_packed(self, *, bit_packed_detection_event_data: Bits) -> Bits:
        """Return packed flips of observables for packed detection events."""
        return self.compiled.decode_batch_packed(bit_packed_detection_event_data)


def as_sinter(chosen: str | Decoder, window: Window | tuple[int, int] | None = None) -> sinter.Decoder:
    """Return a decoder as a ``sinter.Decoder``, which pickles if the decoder does.

    Args:
        chosen: a decoder or its name.
        window: (commit, buffer) in rounds; None decodes all rounds at once.
    """
    inner = decoder(chosen) if isinstance(chosen, str) else chosen
    return SinterDecoder(inner, Window(*window) if isinstance(window, tuple) else window)


def sinter_decoders() -> dict[str, sinter.Decoder]:
    """Return all decoders of ours by name, "hyperfabric_q:" before each, lest they hide sinter's own."""
    return {f"hyperfabric_q:{name}": as_sinter(name) for name in decoders}


def from_sinter(given: str | sinter.Decoder, *, reads: Reads = "decompositions") -> Decoder:
    """Return any decoder of sinter's as ours, so that it decodes in windows and streams.

    Args:
        given: the decoder, or the name of one that sinter brings.
        reads: how much of a model it is to be given. Decoders of graphs take ``edges``; the others bear
            ``decompositions``.

    Raises:
        UnknownName: sinter brings no decoder of this name.
    """
    if isinstance(given, str):
        known = sinter.BUILT_IN_DECODERS
        if given not in known:
            raise UnknownName(kind="decoder of sinter", name=given, known=tuple(known))
        given = known[given]
    return FromSinter(given, reads)


@dataclass(frozen=True, slots=True)
class FromSinter(Decoder):
    """A decoder of sinter's."""

    given: sinter.Decoder
    reads: Reads = "decompositions"

    def core(self, dem: stim.DetectorErrorModel) -> Core:
        """Return what decodes packed copies of the events, through files where the decoder knows no other way."""
        try:
            ready = self.given.compile_decoder_for_dem(dem=dem)
        except NotImplementedError:
            return _through_files(self.given, dem)

        def decode(dets: Bits) -> Bits:
            packed = np.packbits(dets, axis=1, bitorder="little")
            found: Bits = ready.decode_shots_bit_packed(bit_packed_detection_event_data=packed)
            return np.unpackbits(found, axis=1, bitorder="little", count=dem.num_observables)

        return decode


def _through_files(given: sinter.Decoder, dem: stim.DetectorErrorModel) -> Core:
    def decode(dets: Bits) -> Bits:
        with tempfile.TemporaryDirectory() as folder:
            place = Path(folder)
            dem.to_file(place / "model.dem")
            np.packbits(dets, axis=1, bitorder="little").tofile(place / "dets.b8")
            given.decode_via_files(
                num_shots=len(dets),
                num_dets=dem.num_detectors,
                num_obs=dem.num_observables,
                dem_path=place / "model.dem",
                dets_b8_in_path=place / "dets.b8",
                obs_predictions_b8_out_path=place / "flips.b8",
                tmp_dir=place,
            )
            found = np.fromfile(place / "flips.b8", dtype=np.uint8).reshape(len(dets), -1)
        return np.unpackbits(found, axis=1, bitorder="little", count=dem.num_observables)

    return decode
