"""Plans with pinned homes, straight from the compiler's stages: what is tested here is what happens after them."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from hyperfabric_q.distribution.lower import lower
from hyperfabric_q.distribution.network import network_of
from hyperfabric_q.distribution.place import place
from hyperfabric_q.distribution.rebase import rebase
from hyperfabric_q.distribution.segments import segments_of


@pytest.fixture(scope="session")
def plan_of():
    """Return a function (circuit, fabric, homes) -> what ``run`` reads of a plan."""

    def plan(circuit, fabric, homes, *, label="proved"):
        program, network = rebase(circuit), network_of(fabric)
        segments = segments_of(program)
        pinned = np.array([network.names.index(home) for home in homes], dtype=np.int32)
        placement = place(program, segments, network, seed=0, homes=pinned)
        return SimpleNamespace(
            circuit=circuit,
            fabric=fabric,
            program=program,
            homes=tuple(homes),
            lowered=lower(program, network, placement.homes, placement.steps),
            verification=SimpleNamespace(label=label),
            seed=0,
            to_dict=lambda: {"schema": "hyperfabric_q/plan/1"},
        )

    return plan
