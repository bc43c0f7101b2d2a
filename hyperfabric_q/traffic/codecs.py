"""Whether compressing a payload makes it arrive earlier, and the codecs that do it.

A payload is coded, sent and decoded in blocks, three stages at once. So a codec helps only on a link slower than its
encoder and its decoder, and only if the payload shrinks. Sizes are real: of the whole payload, or of a sample of 1 MiB
of it. Times are not measured while a program runs, for the virtual clock must not depend on the machine: they follow
from one rate per codec and direction, written down below.

Lossless codecs are considered always, lossy ones only when they are named.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import Any, Final

import numpy as np
import zstandard

from hyperfabric_q.errors import InvalidValue
from hyperfabric_q.fabric.fields import FASTEST_GBPS
from hyperfabric_q.registry import Registry
from hyperfabric_q.traffic.payload import Payload, VirtualTensor
from hyperfabric_q.units import PS_PER_S

SAMPLE_BYTES: Final = 1 << 20
SAMPLE_WINDOWS: Final = 16
BLOCK_BYTES: Final = 128 * 1024
"""What is coded and sent as one piece: the largest block of Zstandard (RFC 8878, 3.1.1.2.4)."""

ZSTD_LEVEL: Final = 1
BF16_UNIT_ROUNDOFF: Final = 2.0**-8
"""Largest relative error of one normal number rounded to bfloat16: half a unit in its 8th significant bit."""

_BF16_BATCH: Final = 1 << 16
_PS_PER_BYTE_AT_1_GBPS: Final = 8_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Codec:
    """A way to write a payload in fewer bytes.

    Attributes:
        name: what it is called.
        encode_rate: bytes of payload per second that one core encodes.
        decode_rate: the same for decoding.
        call_ps: what one call of either costs whatever the size.
        refusal: returns why it cannot code a payload, or None when it can.
        fixed_ratio: its ratio when that does not depend on the contents.
        encode: returns the coded bytes of flat bytes.
        decode: returns the flat bytes again, from coded bytes and the number expected.
        error: returns the relative L2 error of a payload so coded, infinite where it must not be used; None = lossless.
    """

    name: str
    encode_rate: int
    decode_rate: int
    call_ps: int
    refusal: Callable[[Payload], str | None]
    fixed_ratio: Fraction | None = None
    encode: Callable[[memoryview], bytes]
    decode: Callable[[memoryview, int], memoryview]
    error: Callable[[Payload], float] | None = None

    @property
    def is_lossless(self) -> bool:
        """Whether decoding gives back every bit."""
        return self.error is None


@dataclass(frozen=True, slots=True, kw_only=True)
class CodecDecision:
    """What was decided about a payload, what it costs, and why.

    Attributes:
        codec: name of the codec, "none" when it is sent as it is.
        raw_bytes: size of the payload.
        wire_bytes: size that goes on the wire; exact for up to 1 MiB, else in proportion to the sample.
        encode_ps: what coding adds before the first byte can be sent, in picoseconds.
        decode_ps: what it adds after the last byte has come in.
        relative_error: of a lossy codec, ‖decoded - sent‖₂ / ‖sent‖₂; of a virtual payload the bound 2⁻⁸; else None.
        reason: why, in words.
    """

    codec: str
    raw_bytes: int
    wire_bytes: int
    encode_ps: int = 0
    decode_ps: int = 0
    relative_error: float | None = None
    reason: str

    @property
    def ratio(self) -> float:
        """Payload bytes per byte on the wire; 1.0 when nothing was coded."""
        return self.raw_bytes / self.wire_bytes if self.wire_bytes else 1.0


codecs: Final[Registry[Codec]] = Registry("codec")
"""Every codec, by name."""


# ----------------------------------------------------------------------------------------------------- the decision


def decide(
    payload: Payload,
    link_gbps: float | Fraction,
    *,
    lossy: str | None = None,
    assumed_ratio: float | Fraction | None = None,
) -> CodecDecision:
    """Return the codec with which ``payload`` arrives first over an idle link of ``link_gbps``, "none" included.

    Args:
        payload: what is sent.
        link_gbps: rate of the slowest link on the way, Gb/s; a float stands for the decimal it prints as.
        lossy: a lossy codec that may be used, such as "bf16"; None = lossless ones only.
        assumed_ratio: ratio to assume of a virtual payload under a lossless codec; None = such a payload is not coded,
            because its contents are unknown.

    Raises:
        UnknownName: there is no codec ``lossy``.
        InvalidValue: ``link_gbps`` is not above 0, ``assumed_ratio`` is not above 1, or ``lossy`` is lossless.

    Cost: O(1) where the rates forbid coding; else one encoding of at most 1 MiB, and O(bytes) for the error of a lossy
    codec.
    """
    cacheable = type(link_gbps) in {float, int, Fraction}
    per_byte = _ps_per_byte(link_gbps) if cacheable else _ps_per_byte.__wrapped__(link_gbps)
    ratio = (
        None
        if assumed_ratio is None
        else _exact("assumed_ratio", assumed_ratio, 1, "a ratio worth assuming is above 1 and finite")
    )
    plain_ps = -(-payload.nbytes * per_byte.numerator // per_byte.denominator)
    considered = [codecs["zstd"]]
    if lossy is not None:
        named = codecs[lossy]
        if named.is_lossless:
            raise InvalidValue(field="lossy", value=lossy, rule="it is lossless, and considered anyway")
        considered.append(named)
    reasons: list[str] = []
    best: tuple[int, CodecDecision] | None = None
    for codec in considered:
        found = _weigh(codec, payload, per_byte, plain_ps, ratio)
        if isinstance(found, str):
            reasons.append(f"{codec.name} skipped: {found}")
        elif best is None or found[0] < best[0]:
            best = found
    if best is not None:
        return best[1]
    return CodecDecision(codec="none", raw_bytes=payload.nbytes, wire_bytes=payload.nbytes, reason="; ".join(reasons))


def _weigh(
    codec: Codec, payload: Payload, per_byte: Fraction, plain_ps: int, assumed: Fraction | None
) -> tuple[int, CodecDecision] | str:
    """Return when a payload so coded arrives and the decision, or why it is better left alone."""
    hopeless = _hopeless(codec, payload, per_byte, plain_ps, assumed)
    if hopeless is not None:
        return hopeless
    wire, basis = _coded_size(codec, payload, assumed)
    line_ps = _ceil(wire * per_byte)
    encode_ps, decode_ps = _added_ps(codec, payload.nbytes, line_ps)
    coded_ps = encode_ps + line_ps + decode_ps
    if coded_ps >= plain_ps:
        return f"coding takes longer than it saves (ratio {payload.nbytes / wire:.3g}, {basis})"
    error = None if codec.error is None else codec.error(payload)
    if error is not None and not math.isfinite(error):
        return "a finite value is beyond its range"
    decision = CodecDecision(
        codec=codec.name,
        raw_bytes=payload.nbytes,
        wire_bytes=wire,
        encode_ps=encode_ps,
        decode_ps=decode_ps,
        relative_error=error,
        reason=f"{codec.name} arrives in {coded_ps} ps instead of {plain_ps} ps ({basis})",
    )
    return coded_ps, decision


def _hopeless(
    codec: Codec, payload: Payload, per_byte: Fraction, plain_ps: int, assumed: Fraction | None
) -> str | None:
    """Return why a codec cannot help, when that is known without coding anything."""
    refusal = codec.refusal(payload)
    if refusal is not None and not (payload.is_virtual and codec.is_lossless and assumed is not None):
        return refusal
    slower = min(codec.encode_rate, codec.decode_rate)
    if PS_PER_S * per_byte.denominator >= slower * per_byte.numerator:
        link_rate = PS_PER_S * per_byte.denominator / per_byte.numerator
        return f"the link moves {_gigabytes(link_rate)}, the codec {_gigabytes(slower)}"
    if plain_ps <= 2 * codec.call_ps:
        return f"{payload.nbytes} bytes arrive in {plain_ps} ps, before a codec has started"
    return None


def _added_ps(codec: Codec, nbytes: int, line_ps: int) -> tuple[int, int]:
    """Return what coding adds before and after the ``line_ps`` that the coded bytes spend on the wire.

    Three stages over ``n`` equal blocks end after (sum of the stages)/n + (n - 1)/n × the slowest stage. The decoder's
    last block comes after the wire, all other delay is charged before it.
    """
    blocks = -(-nbytes // BLOCK_BYTES)
    encode = -(-nbytes * PS_PER_S // codec.encode_rate)
    decode = -(-nbytes * PS_PER_S // codec.decode_rate)
    whole = -(-(encode + line_ps + decode + (blocks - 1) * max(encode, line_ps, decode)) // blocks)
    last = -(-decode // blocks)
    return codec.call_ps + max(0, whole - line_ps - last), codec.call_ps + last


def _coded_size(codec: Codec, payload: Payload, assumed: Fraction | None) -> tuple[int, str]:
    """Return the size on the wire, and what it rests on."""
    if codec.fixed_ratio is not None:
        return _ceil(payload.nbytes / codec.fixed_ratio), f"ratio {codec.fixed_ratio} by construction"
    if payload.is_virtual and assumed is not None:
        return _ceil(payload.nbytes / assumed), f"ratio {float(assumed):.3g} assumed"
    sample = _sample(payload)
    coded = len(codec.encode(sample))
    if sample.nbytes == payload.nbytes:
        return coded, "measured on the whole"
    return -(-payload.nbytes * coded // sample.nbytes), f"measured on {sample.nbytes} bytes"


def _sample(payload: Payload) -> memoryview:
    """Return the payload if it is small, else 16 evenly spaced windows of it, 1 MiB in all."""
    if payload.nbytes <= SAMPLE_BYTES:
        return payload.to_bytes()
    width = SAMPLE_BYTES // SAMPLE_WINDOWS
    starts = [(payload.nbytes - width) * each // (SAMPLE_WINDOWS - 1) for each in range(SAMPLE_WINDOWS)]
    pieces: list[memoryview] = []
    offset = 0
    for chunk in payload.chunks():
        for start in starts:
            first, end = max(0, start - offset), min(chunk.nbytes, start + width - offset)
            if first < end:
                pieces.append(chunk[first:end])
        offset += chunk.nbytes
    return memoryview(b"".join(pieces))


@lru_cache(maxsize=1024, typed=True)
def _ps_per_byte(link_gbps: float | Fraction) -> Fraction:
    rule = f"a link has a rate above 0 and at most {FASTEST_GBPS:g} Gb/s"
    return _PS_PER_BYTE_AT_1_GBPS / _exact("link_gbps", link_gbps, 0, rule)


def _exact(field: str, value: float | Fraction, above: int, rule: str) -> Fraction:
    given: object = value
    if isinstance(given, int | float | Fraction | np.integer | np.floating) and not isinstance(given, bool):
        exact = Fraction(str(given)) if math.isfinite(given) else Fraction(0)
        if above < exact <= FASTEST_GBPS:
            return exact
    raise InvalidValue(field=field, value=value, rule=rule)


def _ceil(amount: Fraction) -> int:
    return -(-amount.numerator // amount.denominator)


def _gigabytes(rate: float) -> str:
    return f"{rate / 1e9:.3g} GB/s"


# ------------------------------------------------------------------------------------------------------- real bytes


def encode(payload: Payload, codec: str) -> bytes | memoryview:
    """Return the real bytes of ``payload`` under ``codec``; with "none" they are not copied.

    Raises:
        UnknownName: there is no such codec.
        InvalidValue: the payload is virtual, or not of the kind that the codec takes.
    """
    if codec == "none":
        return payload.to_bytes()
    found = codecs[codec]
    refusal = found.refusal(payload)
    if refusal is None and payload.is_virtual:
        refusal = "a virtual payload has no bytes"
    if refusal is not None:
        raise InvalidValue(field="codec", value=codec, rule=f"it cannot encode {payload.describes}: {refusal}")
    return found.encode(payload.to_bytes())


def decode(blob: bytes | memoryview, codec: str, nbytes: int) -> memoryview:
    """Return the ``nbytes`` flat bytes that ``blob`` stands for.

    Raises:
        UnknownName: there is no such codec.
        InvalidValue: ``blob`` is not what the codec writes for so many bytes; no more than ``nbytes`` are ever made.
    """
    view = memoryview(blob)
    decoded = codecs[codec].decode(view, nbytes)
    if decoded.nbytes != nbytes:
        raise _malformed(codec, nbytes, f"it holds {decoded.nbytes}")
    return decoded


def delivered(payload: Payload, decision: CodecDecision) -> object:
    """Return what the destination gets: the very object that was sent, or after a lossy codec a new rounded array."""
    if payload.is_virtual or decision.codec == "none" or codecs[decision.codec].is_lossless:
        return payload.content
    array: np.ndarray[Any, Any] = payload.content  # type: ignore[assignment]
    flat = decode(encode(payload, decision.codec), decision.codec, payload.nbytes)
    return np.frombuffer(flat, dtype=np.float32).reshape(array.shape)


def _malformed(codec: str, nbytes: int, found: str) -> InvalidValue:
    return InvalidValue(field="blob", value=codec, rule=f"{nbytes} bytes were expected of it and {found}")


# ------------------------------------------------------------------------------------------------------- the codecs


def _takes_all(_payload: Payload) -> None:
    return None


def _takes_real(payload: Payload) -> str | None:
    return "contents unknown" if payload.is_virtual else None


def _takes_float32(payload: Payload) -> str | None:
    content = payload.content
    if isinstance(content, VirtualTensor | np.ndarray) and content.dtype == "float32":
        return None
    return f"it takes arrays of float32, not {payload.describes}"


def _copied(raw: memoryview) -> bytes:
    return bytes(raw)


def _as_it_is(blob: memoryview, _nbytes: int) -> memoryview:
    return blob


def _zstd_encode(raw: memoryview) -> bytes:
    return zstandard.ZstdCompressor(level=ZSTD_LEVEL).compress(raw)


def _zstd_decode(blob: memoryview, nbytes: int) -> memoryview:
    try:
        # The size in the header is checked first: a decoder allocates what a header promises.
        promised = zstandard.frame_content_size(blob)
        if promised != nbytes:
            raise _malformed("zstd", nbytes, f"its header promises {promised}")
        return memoryview(zstandard.ZstdDecompressor().decompress(blob, allow_extra_data=False))
    except zstandard.ZstdError as fault:
        raise _malformed("zstd", nbytes, f"it is no frame of Zstandard: {fault}") from fault


def _bf16_encode(raw: memoryview) -> bytes:
    """Return each float32 rounded to bfloat16, ties to even; infinities and NaN stay what they are."""
    words = np.frombuffer(raw, dtype=np.uint32)
    halves = np.empty(words.size, dtype=np.uint16)
    for start in range(0, words.size, _BF16_BATCH):
        batch = words[start : start + _BF16_BATCH]
        rounded = batch >> 16
        rounded &= 1
        rounded += 0x7FFF
        rounded += batch
        rounded >>= 16
        target = halves[start : start + _BF16_BATCH]
        target[:] = rounded
        nan = (batch & 0x7FFFFFFF) > 0x7F800000
        if nan.any():
            target[nan] = (batch[nan] >> 16) | 0x40
    return halves.tobytes()


def _bf16_decode(blob: memoryview, nbytes: int) -> memoryview:
    if 2 * blob.nbytes != nbytes or nbytes % 4:
        raise _malformed("bf16", nbytes, f"it is {blob.nbytes} bytes of bfloat16")
    halves = np.frombuffer(blob, dtype=np.uint16)
    return (halves.astype(np.uint32) << 16).view(np.uint8).data.toreadonly()


def _bf16_error(payload: Payload) -> float:
    """Return the relative L2 error of bfloat16: a bound for virtual contents, infinite if a finite value overflows."""
    if payload.is_virtual:
        return BF16_UNIT_ROUNDOFF
    raw = payload.to_bytes()
    wrong = total = 0.0
    for start in range(0, raw.nbytes, 4 * _BF16_BATCH):
        batch = raw[start : start + 4 * _BF16_BATCH]
        sent = np.frombuffer(batch, dtype=np.float32)
        got = np.frombuffer(_bf16_decode(memoryview(_bf16_encode(batch)), batch.nbytes), dtype=np.float32)
        finite = np.isfinite(sent)
        if not np.array_equal(np.isfinite(got), finite):
            return math.inf
        exact = sent[finite].astype(np.float64)
        wrong += float(np.sum((got[finite] - exact) ** 2))
        total += float(np.sum(exact**2))
    return math.sqrt(wrong / total) if total else 0.0


# Rates: CPU time of one core of a 2-core x86-64 machine, Python 3.11, 16 MB of heavy-tailed float32 (python-zstandard
# 0.25 at level 1; NumPy 2.4). Such gradients have a ratio of 1.06 under zstd: lossless coding saves little there.
codecs.register("none")(
    Codec(
        name="none",
        encode_rate=10**18,
        decode_rate=10**18,
        call_ps=0,
        refusal=_takes_all,
        fixed_ratio=Fraction(1),
        encode=_copied,
        decode=_as_it_is,
    )
)
codecs.register("zstd")(
    Codec(
        name="zstd",
        encode_rate=485_000_000,
        decode_rate=826_000_000,
        call_ps=2_000_000,
        refusal=_takes_real,
        encode=_zstd_encode,
        decode=_zstd_decode,
    )
)
codecs.register("bf16")(
    Codec(
        name="bf16",
        encode_rate=2_500_000_000,
        decode_rate=3_800_000_000,
        call_ps=12_000_000,
        refusal=_takes_float32,
        fixed_ratio=Fraction(2),
        encode=_bf16_encode,
        decode=_bf16_decode,
        error=_bf16_error,
    )
)
