"""The parts of a cut circuit on Aer, each with the errors of its node."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from qiskit import QuantumCircuit
from qiskit.primitives import BitArray, DataBin, SamplerPubResult

from hyperfabric_q.errors import InvalidValue
from hyperfabric_q.execution.run_noise import RunNoise
from hyperfabric_q.execution.sample import sample
from hyperfabric_q.fabric import Fabric
from hyperfabric_q.seeds import resolve, word

if TYPE_CHECKING:
    from hyperfabric_q.cutting.answers import Answers
    from hyperfabric_q.distribution.by_cutting import CutPlacement

NOISES: Final = ("fabric", "none")


@dataclass(slots=True)
class NodeSampler:
    """A node as a SamplerV2: it runs circuits on Aer with the node's gate and readout errors.

    Attributes:
        node: its id.
        fabric: its owner.
        seed: the same circuits in the same order give the same counts.
        circuits: how many have been run.
    """

    node: str
    fabric: Fabric
    seed: int
    circuits: int = field(default=0)

    def run(self, pubs: Iterable[tuple[QuantumCircuit, None, int]]) -> NodeJob:
        """Return a job with one ``SamplerPubResult`` per (circuit, None, shots); each circuit is run at once."""
        return NodeJob([self._run(circuit, shots) for circuit, _, shots in pubs])

    def _run(self, circuit: QuantumCircuit, shots: int) -> SamplerPubResult:
        self.circuits += 1
        found = sample(
            circuit,
            node_of=[self.node] * circuit.num_qubits,
            fabric=self.fabric,
            noise=RunNoise(pair_weights=np.zeros((0, 4)), idles=(), local=True),
            shots=shots,
            seed=word(self.seed, "cut", self.node, self.circuits),
            reported=circuit.cregs,
        )
        parts = {register.name: register.size for register in circuit.cregs}
        return SamplerPubResult(DataBin(**_bit_arrays(found.counts, parts)))


@dataclass(frozen=True, slots=True)
class NodeJob:
    """What ``NodeSampler.run`` returns: done when it is made."""

    results: list[SamplerPubResult]

    def result(self) -> list[SamplerPubResult]:
        """Return one result per circuit."""
        return self.results


def _bit_arrays(counts: Any, registers: dict[str, int]) -> dict[str, BitArray]:
    found: dict[str, dict[str, int]] = {name: {} for name in registers}
    for key, hits in counts.items():
        for name, part in zip(reversed(registers), key.split(" "), strict=True):
            found[name][part] = found[name].get(part, 0) + hits
    return {name: BitArray.from_counts(own, num_bits=registers[name]) for name, own in found.items()}


def run_cut(
    placement: CutPlacement,
    observables: Any,
    *,
    shots: int | None,
    precision: float | None,
    noise: str,
    seed: int | None,
) -> Answers:
    """Return estimates of the observables of a cut circuit; see ``CutPlacement.run``."""
    if noise not in NOISES:
        raise InvalidValue(field="noise", value=noise, rule="noise is one of 'fabric', 'none': cuts use no link")
    if shots is None and precision is None:
        rule = "say how many shots to take in all, or the precision to reach"
        raise InvalidValue(field="shots", value=None, rule=rule)
    seed = resolve(seed)
    plan = placement.plan
    if noise == "none":
        return plan.estimate(observables, shots, precision, seed)
    samplers = {
        part: NodeSampler(node, placement.fabric, word(seed, "part", part)) for part, node in enumerate(placement.nodes)
    }
    return plan.run(observables, sampler=samplers, shots=shots, precision=precision, seed=seed)
