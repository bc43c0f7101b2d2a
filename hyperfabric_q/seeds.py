"""Named random streams: the same seed and the same name give the same numbers, whatever else is drawn.

A stream is keyed by a path of names, not by the order of the draws, so adding a link never changes what another link
draws. The key is BLAKE2b-128 of the path; Python's own ``hash`` decides nothing, hence PYTHONHASHSEED is irrelevant.
"""

from __future__ import annotations

import hashlib
import secrets

import numpy as np

from hyperfabric_q.errors import InvalidValue

SEED_BITS = 63


def fresh_seed() -> int:
    """Return a new seed from the operating system, small enough for any file format."""
    return secrets.randbits(SEED_BITS)


def resolve(seed: int | None) -> int:
    """Return ``seed`` itself, or a fresh one for None.

    Raises:
        InvalidValue: the seed is not a whole number in [0, 2**63).
    """
    if seed is None:
        return fresh_seed()
    given: object = seed
    whole = isinstance(given, int | np.integer) and not isinstance(given, bool)
    if not whole or not 0 <= int(seed) < 2**SEED_BITS:
        raise InvalidValue(field="seed", value=seed, rule="a seed is a whole number in [0, 2**63), or None")
    return int(seed)


def key(*path: str | int) -> tuple[int, int, int, int]:
    """Return the four 32-bit words that name a stream.

    Each part is written with its type and length, so ("a", "b") and ("ab",) are different streams.
    """
    digest = hashlib.blake2b(digest_size=16)
    for part in path:
        text = str(part).encode()
        kind = "str" if isinstance(part, str) else "int"
        digest.update(f"{kind}:{len(text)}:".encode() + text)
    words = np.frombuffer(digest.digest(), dtype="<u4")
    return int(words[0]), int(words[1]), int(words[2]), int(words[3])


def stream(seed: int, *path: str | int) -> np.random.Generator:
    """Return the generator named ``path`` under ``seed``.

    >>> float(stream(7, "link", "a", "b").random()) == float(stream(7, "link", "a", "b").random())
    True
    """
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=key(*path)))


def word(seed: int, *path: str | int) -> int:
    """Return one 31-bit number named ``path``, for simulators that want a plain integer seed."""
    return int(stream(seed, *path).integers(2**31 - 1))
