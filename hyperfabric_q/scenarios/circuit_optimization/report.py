"""What a circuit met on its way to QPUs that are too small for it, as figures and verdicts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from qiskit import QuantumCircuit

from hyperfabric_q import Fabric, TransferResult
from hyperfabric_q.scenarios.circuit_optimization.merge import MergedCircuit
from hyperfabric_q.scenarios.circuit_optimization.parts import CircuitPart
from hyperfabric_q.scenarios.circuit_optimization.setting import checks_of
from hyperfabric_q.scenarios.outcome import Figure, Verdict

BUDGET: Final = 0.1
"""Share of the coherence time that qubits and pairs may wait."""

CUT_GAMMA: Final = 3.0
"""Of one controlled phase of pi that is cut: its square is the factor in shots (Mitarai and Fujii 2021)."""

MOST_CUT_SHOTS: Final = 6.0
"""Powers of ten by which shots may grow before cutting is no option."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Flow:
    """What a circuit met on its way: its parts, how they were sent, and what the whole gave."""

    circuit: QuantumCircuit
    fabric: Fabric
    parts: list[CircuitPart]
    sends: list[TransferResult]
    merged: MergedCircuit


def figures_of(flow: Flow, chain: Flow, *, budget_ns: float) -> tuple[Figure, ...]:
    """Return the figures of a circuit and of a second, small one."""
    return (*_room(flow), *_crossings(flow), *_waits(flow, budget_ns), *_answers(flow, chain))


def _room(flow: Flow) -> list[Figure]:
    merged = flow.merged
    return [
        Figure(name="qubits", value=merged.circuit.num_qubits, origin="stated"),
        Figure(name="data qubits of the QPUs", value=merged.capacity, origin="stated"),
        Figure(name="qubits without a place", value=merged.shortfall, origin="computed"),
        Figure(name="qubits held after reuse", value=merged.plan.qubits if merged.plan else 0, origin="computed"),
    ]


def _crossings(flow: Flow) -> list[Figure]:
    crossings = sum(part.crossings for part in flow.parts)
    found = [
        Figure(name="gates between parts", value=crossings, origin="computed"),
        Figure(
            name="log10 of the shots that cutting them would multiply by",
            value=2 * crossings * math.log10(CUT_GAMMA),
            origin="computed",
        ),
    ]
    if flow.merged.plan is None:
        return found
    [pair] = flow.merged.plan.fabric.links
    rate = (pair.pair_rate_hz or 0.0) / 1e6
    return [
        *found,
        Figure(name="Bell pairs per shot", value=flow.merged.plan.ebits, origin="computed"),
        Figure(name="fidelity of a pair through the switch", value=pair.pair_fidelity or 0.0, origin="computed"),
        Figure(name="pairs through the switch", value=rate, unit="per us", origin="computed"),
    ]


def _waits(flow: Flow, budget_ns: float) -> list[Figure]:
    uploads = [each.latency_ns / 1000 for each in flow.sends]
    found = [
        Figure(name="largest part", value=max(each.receipt.nbytes for each in flow.sends), unit="B", origin="computed"),
        Figure(name="slowest upload", value=max(uploads), unit="us"),
        Figure(name="budget of waiting", value=budget_ns / 1000, unit="us", origin="stated"),
    ]
    if flow.merged.plan is None:
        return found
    times = flow.merged.plan.schedule(runs=20, seed=flow.merged.plan.seed)
    return [
        *found,
        Figure(name="duration of a shot", value=float(np.mean(times.makespan_ps)) / 1e6, unit="us"),
        Figure(name="longest wait of a qubit", value=float(np.max(times.idle_ps)) / 1e6, unit="us"),
        Figure(name="oldest pair when used", value=float(np.max(times.pairs.age_ps)) / 1e6, unit="us"),
    ]


def _answers(flow: Flow, chain: Flow) -> list[Figure]:
    checks, signs = checks_of(flow.circuit)
    found = [Figure(name="known parities", value=len(checks), origin="computed")]
    merged = flow.merged
    if merged.plan is not None and merged.result is not None:
        exact = replace(merged, result=merged.plan.run(20, noise="none", seed=merged.plan.seed))
        ideal, real = exact.mean_parity(checks, signs), merged.mean_parity(checks, signs)
        found += [
            Figure(name="mean parity without noise", value=ideal.value, stderr=ideal.stderr),
            Figure(name="mean parity", value=real.value, stderr=real.stderr),
            Figure(name="Bell pairs per shot of the chain", value=chain.merged.plan.ebits if chain.merged.plan else 0),
        ]
    if len(chain.merged.bits):
        means = 1 - 2 * chain.merged.bits.mean(axis=0)
        off = float(np.sqrt(np.mean((means - np.array(chain.circuit.metadata["means"])) ** 2)))
        found.append(Figure(name="error of a mean of the chain, rms", value=off))
    return found


def verdicts_of(figures: Sequence[Figure], sends: Sequence[TransferResult]) -> tuple[Verdict, ...]:
    """Return what can be had and what cannot, by the figures and by how the parts were sent."""
    found = {each.name: each.value for each in figures}
    places, qubits, budget = (found[name] for name in ("data qubits of the QPUs", "qubits", "budget of waiting"))
    late, slowest = sum(not each.constraint_met for each in sends), found["slowest upload"]
    wait, age = found.get("longest wait of a qubit", 0.0), found.get("oldest pair when used", 0.0)
    shots = found["log10 of the shots that cutting them would multiply by"]
    return (
        _verdict(
            f"{qubits:g} qubits at once on these QPUs",
            f"They hold {places:g}.",
            "Qubits are measured and used again: the outcomes are the same.",
            holds=qubits <= places,
        ),
        _verdict(
            "part of the circuit on the photonic switch",
            "It has no qubits: it joins two fibres by a Bell measurement, and that is all it does.",
            "It makes the pairs between the QPUs, many at a time, and they run that part.",
            holds=False,
        ),
        _verdict(
            "uploads within a tenth of the coherence time",
            f"{late} of {len(sends)} took longer, the slowest {slowest:.3g} us.",
            "None is needed: a description is no state, and arrives before the first qubit is prepared.",
            holds=not late,
        ),
        _verdict(
            f"pairs used within {budget:g} us, a tenth of the shortest coherence time",
            f"The oldest is {age:.3g} us old.",
            "More channels, or fibres that lose less.",
            holds=age <= budget,
        ),
        _verdict(
            f"no qubit waits longer than {budget:g} us in all",
            f"One waits {wait:.3g} us, for pairs and for qubits that are used again before it.",
            f"Qubits that keep their state for {wait / BUDGET:.3g} us, or places for all {qubits:g}.",
            holds=wait <= budget,
        ),
        _verdict(
            "shots instead of Bell pairs between the parts",
            f"Cutting their gates takes 10^{shots:.3g} times the shots.",
            "Bell pairs take one each, or better plans fewer.",
            holds=shots < MOST_CUT_SHOTS,
        ),
    )


def _verdict(asked: str, because: str, remedy: str, *, holds: bool) -> Verdict:
    return Verdict(asked=asked, holds=holds, because=because, remedy="" if holds else remedy)
