"""What do workers cost beside the in-process run, on at least 20 s of work, and are their results the same?

    .venv/bin/python benchmarks/execution/executors.py

Writes executors.csv beside this file. One plan of a 10-qubit circuit on two nodes with decaying memories runs 96
timelines, each a job: in this process (whose simulator uses all cores by itself), in a pool of two processes, in
threads, and on a Dask LocalCluster of two worker processes; the last also with a store, and with the store once more.
"ratio" is the time beside the first row's; starting the pool is part of its time, starting the cluster is not. "cpu" is
the processor time of this process and all workers together, and "cpu ratio" that beside the first row's: it says what
workers cost where others use the machine as well, and cannot say what they save. "same"
says whether the counts of every timeline are those of the first row. "load" is the number of runnable processes on the
machine just before (os.getloadavg), those of others included.
"""

from __future__ import annotations

import csv
import os
import resource
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from distributed import Client, LocalCluster
from qiskit import QuantumCircuit

import hyperfabric_q as hq
from hyperfabric_q.execution.store import Store

QUBITS, TIMELINES, SHOTS = 10, 96, 9_600


def circuit() -> QuantumCircuit:
    made = QuantumCircuit(QUBITS, QUBITS)
    for layer in range(2):
        for qubit in range(QUBITS):
            made.ry(0.3 + 0.1 * qubit + layer, qubit)
        for qubit in range(QUBITS - 1):
            made.cp(0.7, qubit, qubit + 1)
        made.measure(0, 0)
        with made.if_test((made.clbits[0], 1)):
            made.x(QUBITS - 1)
    made.measure(range(QUBITS), range(QUBITS))
    return made


def plan() -> Any:
    half = QUBITS // 2
    fabric = hq.Fabric.full([half, half], communication_qubits=1, pair_fidelity=0.95)
    fabric = fabric.replace("nodes.*", t1_us=300.0, t2_us=200.0, gate_error_2q=1e-3)
    fabric = fabric.replace("links.*", pair_rate_hz=2e4)
    return hq.plan(circuit(), fabric, homes=["qpu-0"] * half + ["qpu-1"] * half, verify="skipped", seed=1)


@contextmanager
def cluster() -> Iterator[Client]:
    with (
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0", silence_logs=50) as local,
        Client(local, set_as_default=False) as client,
    ):
        client.run(lambda: __import__("hyperfabric_q.execution.parts"))
        yield client


def cpu(client: Client) -> float:
    """Processor seconds so far: of this process, of the children that have ended, and of the cluster's workers."""
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    workers = sum(client.run(time.process_time).values())
    return time.process_time() + ended.ru_utime + ended.ru_stime + float(workers)


def main() -> None:
    made = plan()
    made.run(TIMELINES, method="dynamic", timelines=2, executor="serial", seed=1)
    with cluster() as client, tempfile.TemporaryDirectory() as folder:
        ways: list[tuple[str, dict[str, Any]]] = [
            ("in this process", {"executor": "serial"}),
            ("two processes", {"executor": "processes:2"}),
            ("two threads", {"executor": "threads:2"}),
            ("Dask, two workers", {"executor": client}),
            ("Dask and a store", {"executor": client}),
            ("all in the store", {"executor": client}),
        ]
        took: dict[str, tuple[float, float, float]] = {}
        counts: dict[str, Any] = {}
        with Store(Path(folder) / "run.db") as store:
            for name, given in ways:
                load = os.getloadavg()[0]
                kept = {"store": store} if "store" in name else {}
                began, spent = time.perf_counter(), cpu(client)
                found = made.run(SHOTS, method="dynamic", timelines=TIMELINES, seed=2, **given, **kept)
                took[name] = (time.perf_counter() - began, cpu(client) - spent, load)
                counts[name] = found.clusters
                print(f"{name:<18} {took[name][0]:7.2f} s  cpu {took[name][1]:7.2f} s  load {load:.1f}", flush=True)
    first, first_cpu, _ = took[ways[0][0]]
    target = Path(__file__).with_suffix(".csv")
    with target.open("w", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["executor", "jobs", "seconds", "ratio", "cpu", "cpu ratio", "same", "load"])
        for name, _ in ways:
            seconds, spent, load = took[name]
            same = counts[name] == counts[ways[0][0]]
            ratios = f"{seconds / first:.3f}", f"{spent:.2f}", f"{spent / first_cpu:.3f}"
            table.writerow([name, TIMELINES, f"{seconds:.2f}", *ratios, same, f"{load:.1f}"])
    print(target.read_text())


if __name__ == "__main__":
    main()
