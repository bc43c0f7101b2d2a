"""A plan in, a result out."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

import numpy as np

from hyperfabric_q.errors import InvalidValue, VerificationFailed
from hyperfabric_q.execution.noise import Noise
from hyperfabric_q.execution.result import Result, measures
from hyperfabric_q.execution.sample import sample, with_final_measurements
from hyperfabric_q.seeds import resolve

if TYPE_CHECKING:
    from hyperfabric_q.distribution.plan import Plan

MOST_SHOTS: Final = 10_000_000

_RUNNABLE: Final = frozenset({"proved", "skeleton", "sampled", "skipped"})


def run(plan: Plan, *, shots: int = 4096, noise: str = "fabric", seed: int | None = None) -> Result:
    """Return the result of running a plan's emitted circuit on Aer.

    What runs is ``plan.routed.circuit``: every Bell pair, measurement and correction of it. A circuit without
    measurements is measured at its end, all qubits, into a register "meas".

    Args:
        plan: from ``hyperfabric_q.plan``.
        shots: how many, 1 to 10 million.
        noise: "fabric" = imperfect pairs, gates and readout; "links" = imperfect pairs only; "none".
        seed: the same seed gives the same counts on any number of threads; None = a fresh one, kept in the result.

    Raises:
        InvalidValue: shots, noise or seed is not one of the above.
        VerificationFailed: the plan's circuit was found to differ from the user's.
        SimulationRefused: too wide for this machine, or hours long.
    """
    shots, chosen, seed = _shots(shots), _noise(noise), resolve(seed)
    if plan.verification.label not in _RUNNABLE:
        raise VerificationFailed(
            what=f"the plan's circuit is not verified ({plan.verification.label}), so it is not run", seed=plan.seed
        )
    started = time.perf_counter()
    circuit, routed = plan.routed.circuit, plan.routed
    reported = list(plan.program.to_circuit().cregs)
    if not measures(plan.program):
        circuit, measured = with_final_measurements(circuit, routed.exit)
        reported.append(measured)
    found = sample(
        circuit,
        node_of=routed.node_of,
        places=routed.places,
        fabric=plan.fabric,
        noise=chosen,
        shots=shots,
        seed=seed,
        reported=reported,
    )
    return Result(
        counts=found.counts,
        registers=tuple((register.name, register.size) for register in reported),
        shots=shots,
        seed=seed,
        noise=chosen.value,
        method=found.method,
        wires=found.wires,
        plan=plan,
        seconds=time.perf_counter() - started,
    )


def _shots(shots: object) -> int:
    if not isinstance(shots, int | np.integer) or isinstance(shots, bool) or not 1 <= shots <= MOST_SHOTS:
        raise InvalidValue(field="shots", value=shots, rule=f"shots is a whole number from 1 to {MOST_SHOTS}")
    return int(shots)


def _noise(noise: object) -> Noise:
    try:
        return Noise(noise)
    except ValueError:
        known = ", ".join(repr(each.value) for each in Noise)
        raise InvalidValue(field="noise", value=noise, rule=f"noise is one of {known}") from None
