"""Circuits in and out: OpenQASM 2 and 3, QPY, Cirq and stim, from and to Qiskit's ``QuantumCircuit`` at the edge.

Texts and files from outside are untrusted: they are scanned before any parser sees them; every fault is a typed error.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hyperfabric_q.convert.accept import accept
from hyperfabric_q.convert.limits import ReaderLimits
from hyperfabric_q.convert.prescan import ScanReport, locate, prescan
from hyperfabric_q.convert.qasm import read_circuit, read_qasm, write_qasm3
from hyperfabric_q.convert.qpy import read_qpy
from hyperfabric_q.registry import on_first_use

if TYPE_CHECKING:
    from hyperfabric_q.convert.cirq import CirqReading, cirq_report, from_cirq, read_cirq, to_cirq
    from hyperfabric_q.convert.conversion_report import ConversionEntry, ConversionReport

__all__ = [
    "CirqReading",
    "ConversionEntry",
    "ConversionReport",
    "ReaderLimits",
    "ScanReport",
    "accept",
    "cirq_report",
    "from_cirq",
    "locate",
    "prescan",
    "read_circuit",
    "read_cirq",
    "read_qasm",
    "read_qpy",
    "to_cirq",
    "write_qasm3",
]


if not TYPE_CHECKING:  # hidden from mypy, which would otherwise accept any name
    # Cirq takes longer to import than everything else here.
    __getattr__, __dir__ = on_first_use(
        __name__,
        {
            **{name: f"cirq:{name}" for name in ("CirqReading", "cirq_report", "from_cirq", "read_cirq", "to_cirq")},
            **{name: f"conversion_report:{name}" for name in ("ConversionEntry", "ConversionReport")},
        },
    )
