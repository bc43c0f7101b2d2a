"""Qiskit's sampler on a fabric: ``FabricSampler`` where ``StatevectorSampler`` or Aer's stood."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from qiskit.primitives import BaseSamplerV2, BitArray, DataBin, PrimitiveResult, SamplerPubResult
from qiskit.primitives.containers.sampler_pub import SamplerPub

from hyperfabric_q.interfaces.expectations import lines_of
from hyperfabric_q.interfaces.facts import facts_of
from hyperfabric_q.interfaces.front import Front, Structures, binding_seed, pub_seed
from hyperfabric_q.interfaces.job import FabricJob, Steps
from hyperfabric_q.interfaces.options import USUAL_SHOTS, FabricLike, FabricOptions, known_shots
from hyperfabric_q.interfaces.samples import drawn


class FabricSampler(BaseSamplerV2):  # type: ignore[misc]  # Qiskit is untyped
    """Shots of circuits that are distributed over the nodes of a fabric, with the errors of the pairs they use.

    Only the user's classical registers are in a result. A circuit without measurements is measured at its end, all
    qubits, into a register "meas". A sampler has no exact results: ``USUAL_SHOTS`` are taken where none are asked for.
    """

    def __init__(self, fabric: FabricLike, *, options: FabricOptions | None = None) -> None:
        """Take a fabric, or a protocol, whose fabric counts as it stands at each run; None = default options."""
        self._front = Front(fabric, options)

    @property
    def options(self) -> FabricOptions:
        """The options."""
        return self._front.options

    def run(self, pubs: Iterable[Any], *, shots: int | None = None) -> FabricJob:
        """Return the job of sampling some PUBs (circuit, values, shots).

        Args:
            pubs: as Qiskit takes them.
            shots: of PUBs that have none; None = as the options say.

        Raises:
            ValueError: Qiskit's, for a PUB that is none.
            InvalidValue: the number of shots is out of range.
        """
        known_shots(shots)
        coerced = [SamplerPub.coerce(pub, shots) for pub in pubs]
        for pub in coerced:
            known_shots(pub.shots)
        return FabricJob(lambda steps: self._run(coerced, steps), parts=len(coerced))

    def _run(self, pubs: Sequence[SamplerPub], steps: Steps) -> PrimitiveResult:
        seed, structures = self._front.run_seed(), Structures()
        results = []
        for number, pub in enumerate(pubs):
            steps.check()
            results.append(self._pub(pub, structures.key(pub.circuit), pub_seed(seed, number), steps))
            steps.done += 1
        return PrimitiveResult(results, metadata={"version": 2, "seed": seed})

    def _pub(self, pub: SamplerPub, key: str, seed: int, steps: Steps) -> SamplerPubResult:
        shots = pub.shots or self.options.shots
        planned = self._front.planned(pub.circuit, key)
        fallbacks = []
        if shots is None:
            fallbacks.append(f"a sampler has shots and no exact results: {USUAL_SHOTS} of each binding")
            shots = USUAL_SHOTS
        if planned.unbound:
            fallbacks.append(f"each binding planned on its own: {planned.unbound}")
        lines = lines_of(planned, shots=shots, precision=None, seed=seed)
        count = int(np.prod(pub.shape, dtype=np.int64))
        bindings = np.asarray(pub.parameter_values.as_array(pub.circuit.parameters), dtype=np.float64)
        found = drawn(
            planned,
            bindings.reshape(count, -1),
            shots=shots,
            lines=lines,
            seeds_of=[binding_seed(seed, row) for row in range(count)],
            steps=steps,
        )
        data = {
            name: BitArray(found.bits[name].reshape(*pub.shape, shots, -1), size)
            for name, size in found.registers
            if size
        }
        metadata = facts_of(planned, lines).metadata(
            shots=shots * count,
            circuits=count,
            way=", ".join(found.ways),
            noise=self.options.noise,
            seed=seed,
            fallbacks=tuple(fallbacks),
            approximations=tuple(found.approximations),
        )
        metadata |= {"circuit_metadata": pub.circuit.metadata}
        return SamplerPubResult(DataBin(**data, shape=pub.shape), metadata=metadata)
