"""Circuits in and out: OpenQASM 2 and 3, QPY, Cirq and stim, from and to Qiskit's ``QuantumCircuit`` at the edge.

Texts and files from outside are untrusted: they are scanned before any parser sees them; every fault is a typed error.
"""

from __future__ import annotations

from typing import Any

from hyperfabric_q.convert.accept import accept
from hyperfabric_q.convert.limits import ReaderLimits
from hyperfabric_q.convert.prescan import ScanReport, locate, prescan
from hyperfabric_q.convert.qasm import read_circuit, read_qasm, write_qasm3
from hyperfabric_q.convert.qpy import read_qpy

__all__ = [
    "ReaderLimits",
    "ScanReport",
    "accept",
    "from_cirq",
    "locate",
    "prescan",
    "read_circuit",
    "read_qasm",
    "read_qpy",
    "to_cirq",
    "write_qasm3",
]


def __getattr__(name: str) -> Any:
    """Import the Cirq conversion on first use: Cirq takes longer to import than everything else here."""
    if name in ("from_cirq", "to_cirq"):
        from hyperfabric_q.convert import cirq  # noqa: PLC0415

        return getattr(cirq, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
