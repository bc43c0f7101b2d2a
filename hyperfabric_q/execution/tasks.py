"""The tasks of this package that run as jobs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from qiskit import QuantumCircuit

from hyperfabric_q.execution.aer import run_counts
from hyperfabric_q.execution.jobs import Job, task
from hyperfabric_q.execution.noise import readout_model
from hyperfabric_q.execution.payload import PackedCircuit, pack


def sample_job(
    circuit: QuantumCircuit | PackedCircuit,
    *,
    shots: int,
    seed: int,
    path: Sequence[str | int] = (),
    method: str = "statevector",
    misread: Sequence[float] = (),
    seconds: float | None = None,
) -> Job:
    """Return the job of sampling a circuit on Aer; its outcome is ``{"counts": {"0x3": 512, ...}}``.

    Bit i of a value is ``circuit.clbits[i]``.

    Args:
        circuit: in instructions that the method knows and Qiskit can write; packed once, where many jobs share it.
        shots: how many.
        seed: of the whole run.
        path: of this job's random stream.
        method: one of Aer's.
        misread: readout error of wires 0, 1, ...
        seconds: a guess of the time it takes.
    """
    packed = circuit if isinstance(circuit, PackedCircuit) else pack(circuit)
    arguments = {"circuit": packed, "shots": int(shots), "method": method, "misread": list(misread)}
    return Job(kind="aer_sample", arguments=arguments, seed=seed, path=tuple(path), seconds=seconds)


@task("aer_sample", version=1)
def aer_sample(job: Job) -> dict[str, Any]:
    """Return the counts of a circuit; ``sample_job`` makes such jobs."""
    given = job.arguments
    counts = run_counts(
        given["circuit"].circuit(),
        shots=given["shots"],
        seed=job.subseed(),
        noise_model=readout_model(given["misread"]),
        method=given["method"],
    )
    return {"counts": {hex(value): counts[value] for value in sorted(counts)}}
