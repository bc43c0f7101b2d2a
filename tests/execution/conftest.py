"""Plans with pinned homes: what is tested here is what happens after them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hyperfabric_q.pipeline import plan as plan_circuit


@pytest.fixture(scope="session")
def plan_of():
    """Return a function (circuit, fabric, homes) -> the plan with these homes."""

    def plan(circuit, fabric, homes, *, label="proved"):
        made = plan_circuit(circuit, fabric, homes=list(homes), time_limit_s=0, verify="skipped", seed=0)
        return replace(made, verification=replace(made.verification, label=label))

    return plan
