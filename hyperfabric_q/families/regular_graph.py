"""How to draw a random 3-regular graph that depends on the seed alone."""

from __future__ import annotations

from typing import Final

import numpy as np

from hyperfabric_q.errors import InternalError, InvalidValue
from hyperfabric_q.families.arguments import whole

ATTEMPTS: Final = 2_000
"""One attempt succeeds with probability near exp(-2), so all of them fail about once in 10^126 graphs."""


def cubic_edges(qubits: int, rng: np.random.Generator) -> tuple[tuple[int, int], ...]:
    """Return the sorted edges of a uniformly drawn simple 3-regular graph on ``qubits`` vertices.

    Pairing model: three stubs per vertex, paired at random, drawn anew until no loop and no double edge is left
    (Bollobás 1980). Written here because a library's sampler may change its draws from version to version.

    Raises:
        InvalidValue: ``qubits`` is odd or below 4, so that no such graph exists.
    """
    width = whole("qubits", qubits, least=4)
    if width % 2:
        raise InvalidValue(field="qubits", value=width, rule="a 3-regular graph has an even number of vertices")
    stubs = np.repeat(np.arange(width), 3)
    for _ in range(ATTEMPTS):
        pairs = np.sort(rng.permutation(stubs).reshape(-1, 2), axis=1)
        loops = bool(np.any(pairs[:, 0] == pairs[:, 1]))
        labels = np.sort(pairs[:, 0] * width + pairs[:, 1])
        if not loops and np.all(labels[1:] != labels[:-1]):
            return tuple((int(label) // width, int(label) % width) for label in labels)
    raise InternalError(what=f"no 3-regular graph on {width} vertices in {ATTEMPTS} attempts")
