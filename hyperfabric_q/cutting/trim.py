"""Which outputs of the fragments need to be measured at all?

Observables mostly look at a few qubits. What nobody looks at need not be measured, and the counts of a wide fragment
are then short.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from hyperfabric_q.cutting.fragments import CutCircuit
from hyperfabric_q.cutting.observables import Ints, Measured, Strings


def trimmed(cut: CutCircuit, measured: Measured) -> tuple[CutCircuit, Measured]:
    """Return the cut with only the outputs that some string looks at, and the strings over these; O(strings x outputs).

    Args:
        cut: the fragments. Of the result, only fragments and cuts may be used: where qubits end is not known any more.
        measured: what is measured on them.
    """
    fragments, strings = [], []
    for fragment, own in zip(cut.fragments, measured.strings, strict=True):
        looked_at = 0
        for x, z in zip(own.x.tolist(), own.z.tolist(), strict=True):
            looked_at |= x | z
        kept = [place for place in range(len(fragment.outputs)) if looked_at >> place & 1]
        outputs = tuple(fragment.outputs[place] for place in kept)
        finals = tuple((bit, local) for bit, local in fragment.finals if local in outputs)
        fragments.append(replace(fragment, outputs=outputs, finals=finals))
        strings.append(
            Strings(
                x=_moved(own.x, kept),
                z=_moved(own.z, kept),
                group=own.group,
                bases=tuple((_bits(x, kept), _bits(z, kept)) for x, z in own.bases),
            )
        )
    return replace(cut, fragments=tuple(fragments)), replace(measured, strings=tuple(strings))


def _moved(masks: Ints, kept: Sequence[int]) -> Ints:
    return np.array([_bits(int(mask), kept) for mask in masks.tolist()], dtype=np.int64)


def _bits(mask: int, kept: Sequence[int]) -> int:
    return sum((int(mask) >> place & 1) << number for number, place in enumerate(kept))
