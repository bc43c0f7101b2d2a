"""QPY files to Qiskit circuits, tried out in a process of their own first.

QPY is a binary format read by code that trusts it: sizes in the file are allocated as they stand. Only formats from 13
on are read (older ones evaluate symbolic expressions from the file). The bytes go first to a child process with a limit
on memory and time; only when that process has read them and found the circuit within the limits are they read here.
"""

from __future__ import annotations

import io
import json
import os
import struct
import subprocess
import sys
from dataclasses import asdict
from typing import Final

from qiskit import QuantumCircuit
from qiskit import qpy as qiskit_qpy

from hyperfabric_q.convert.limits import ReaderLimits
from hyperfabric_q.errors import CircuitRejected, HyperFabricError

MAGIC: Final = b"QISKIT"
OLDEST = 13
"""The first format whose symbolic expressions are read from a closed list of operations."""

MEMORY_BYTES = 2_000_000_000
"""Address space of the child; importing Qiskit takes about half of it."""

_HEADER = struct.Struct("!6sBBBBQ")
"""Magic, format, three numbers of the Qiskit version, number of circuits."""

_ONE_THREAD: Final = {
    "RAYON_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "MALLOC_ARENA_MAX": "2",
}
"""Every thread reserves address space: with many cores, the limit would be reached before anything is read."""

_CHILD = """
import io, json, sys
memory, limits, path = json.loads(sys.argv[1])
sys.path[:] = path
try:
    import resource
    from qiskit import qpy
    from hyperfabric_q.convert.qpy_child import fault_of
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    seconds = int(limits["seconds"]) + 1
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
except ImportError:
    from qiskit import qpy
    from hyperfabric_q.convert.qpy_child import fault_of
try:
    fault = fault_of(qpy.load(io.BytesIO(sys.stdin.buffer.read())), limits)
except MemoryError:
    fault = "reading it takes too much memory"
except BaseException as error:
    fault = f"Qiskit cannot read it ({type(error).__name__}: {error})"
sys.stdout.write(json.dumps(fault))
"""


def read_qpy(data: bytes, *, source: str = "<bytes>", limits: ReaderLimits | None = None) -> QuantumCircuit:
    """Return the one circuit that the bytes of a QPY file hold.

    Raises:
        CircuitRejected: The format is older than 13, there is not exactly one circuit, the bytes are damaged, or a
            limit is exceeded.

    Cost: about 1.5 s, of which most is the start of the child process.
    """
    limits = limits or ReaderLimits()
    reason = _header_fault(data, limits) or _trial(data, limits)
    if reason:
        raise CircuitRejected(
            reason=reason[:500], source=source, remedy="Write it again with a current qiskit.qpy.dump."
        )
    try:
        (circuit,) = qiskit_qpy.load(io.BytesIO(data))
    except (KeyboardInterrupt, SystemExit, HyperFabricError):
        raise
    except BaseException as fault:
        raise CircuitRejected(reason=f"Qiskit cannot read it ({type(fault).__name__})", source=source) from fault
    return circuit


def _header_fault(data: bytes, limits: ReaderLimits) -> str:
    if len(data) > limits.source_bytes:
        return f"it is larger than {limits.source_bytes:,} bytes"
    if len(data) < _HEADER.size or not data.startswith(MAGIC):
        return "it does not begin like a QPY file"
    _, version, _, _, _, circuits = _HEADER.unpack_from(data)
    if version < OLDEST:
        return f"it is QPY format {version}; formats before {OLDEST} can run code from the file and are not read"
    if circuits != 1:
        return f"it holds {circuits} circuits; exactly one is expected"
    return ""


def _trial(data: bytes, limits: ReaderLimits) -> str:
    """Return what is wrong with the bytes by the word of a child process, or "" when it could read them."""
    argument = json.dumps([MEMORY_BYTES, asdict(limits), sys.path])
    try:
        done = subprocess.run(  # noqa: S603  # our own interpreter, our own code
            [sys.executable, "-I", "-c", _CHILD, argument],
            input=data,
            capture_output=True,
            timeout=limits.seconds,
            check=False,
            env={**os.environ, **_ONE_THREAD},
        )
    except subprocess.TimeoutExpired:
        return f"reading it takes longer than {limits.seconds:g} s"
    if done.returncode != 0 or not done.stdout:
        return f"reading it ends the process that tried (status {done.returncode})"
    fault: str = json.loads(done.stdout)
    return fault
