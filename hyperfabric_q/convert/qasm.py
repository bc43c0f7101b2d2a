"""OpenQASM 2 and 3 texts and circuit files to Qiskit circuits, and back: every fault is one typed error with its place.

A text is scanned before any parser sees it (``prescan``), then read by Qiskit. Its parsers fault in many ways (own
errors, ``IndexError``, ``RecursionError``, panics of the Rust code that do not even derive from ``Exception``); all
become ``CircuitRejected``.
"""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path
from typing import Final, NoReturn

from qiskit import QuantumCircuit, qasm2, qasm3

from hyperfabric_q.convert.limits import ReaderLimits
from hyperfabric_q.convert.prescan import ScanReport, prescan
from hyperfabric_q.convert.qpy import MAGIC, read_qpy
from hyperfabric_q.errors import CircuitRejected, FileUnreadable, HyperFabricError, InvalidValue

TEXT_SUFFIXES: Final = (".qasm", ".qasm2", ".qasm3", ".inc")

_PLACE = re.compile(r"^['\"]*(?:<input>:|L)?([0-9]+)(?:,|:C)([0-9]+): *(.*?)['\"]*$", re.DOTALL)
_PICKLE_SUFFIXES = (".pkl", ".pickle", ".pck", ".joblib", ".npy", ".npz", ".pt")
_PICKLE_BEGINNINGS = tuple(bytes((0x80, protocol)) for protocol in range(2, 8))


def read_qasm(text: str, *, source: str = "<text>", limits: ReaderLimits | None = None) -> QuantumCircuit:
    """Return the circuit that an OpenQASM 2 or 3 text describes.

    Gates that the text defines itself keep that definition; the other names of Qiskit's extended ``qelib1.inc`` (``p``,
    ``cp``, ``swap``, ``rzz``, ...) are known without a definition. No file is ever opened.

    Args:
        text: The text, with its header.
        source: Its name in error messages.
        limits: The largest input accepted; None for the defaults.

    Raises:
        CircuitRejected: The text is malformed or exceeds a limit; with line and column where they can be known.
    """
    if not isinstance(text, str):
        raise InvalidValue(field="text", value=text, rule="an OpenQASM text is a str", remedy="Decode bytes first.")
    limits = limits or ReaderLimits()
    report = prescan(text, source=source, limits=limits)
    if report.language == 3:
        from hyperfabric_q.convert import openqasm3_text  # noqa: PLC0415  # its parser is slow to import

        return openqasm3_text.read(text, source=source, limits=limits)
    try:
        return _parse_2(text, report)
    except (KeyboardInterrupt, SystemExit, HyperFabricError):
        raise
    except BaseException as fault:
        _rejected(fault, source)


def _parse_2(text: str, report: ScanReport) -> QuantumCircuit:
    # Qiskit would replace a definition of the text by its own gate of that name, whatever the definition says.
    replaced = report.defined - {"delay"}
    known = [each for each in qasm2.LEGACY_CUSTOM_INSTRUCTIONS if each.name not in replaced]
    return qasm2.loads(
        text,
        include_path=(),
        custom_instructions=known,
        custom_classical=qasm2.LEGACY_CUSTOM_CLASSICAL,
    )


def _rejected(fault: BaseException, source: str) -> NoReturn:
    message = str(getattr(fault, "message", "") or fault)
    match = _PLACE.match(message)
    line, column = (int(match[1]), int(match[2]) + 1) if match else (None, None)
    reason = match[3] if match else message
    if isinstance(fault, RecursionError):
        reason = "it nests too deep to be read"
    elif isinstance(fault, MemoryError):
        reason = "there is not enough memory to read it"
    raise CircuitRejected(
        reason=(reason.strip().rstrip(".") or type(fault).__name__)[:500],
        source=source,
        line=line,
        column=column,
    ) from fault


def write_qasm3(circuit: QuantumCircuit) -> str:
    """Return ``circuit`` as OpenQASM 3 text, with its registers, mid-circuit measurements and branches.

    Raises:
        InvalidValue: It holds something that OpenQASM 3 cannot express (a noise channel, for instance).
    """
    if not isinstance(circuit, QuantumCircuit):
        raise InvalidValue(field="circuit", value=circuit, rule="a circuit is a qiskit.QuantumCircuit")
    try:
        written: str = qasm3.dumps(circuit)
    except qasm3.QASM3ExporterError as fault:
        raise InvalidValue(
            field="circuit",
            value=circuit.name,
            rule=f"OpenQASM 3 cannot express it: {fault.message}",
            remedy="Write the circuit before noise is added to it.",
        ) from fault
    return written


def read_circuit(path: str | os.PathLike[str], *, limits: ReaderLimits | None = None) -> QuantumCircuit:
    """Return the circuit in a file: OpenQASM 2 or 3 text, or QPY of format 13 or later, told apart by its content.

    A circuit from a text is called after its file.

    Raises:
        FileUnreadable: The file is missing, is a folder, cannot be opened, or is of another kind (a pickle, say).
        CircuitRejected: It is malformed or exceeds a limit.
    """
    limits = limits or ReaderLimits()
    name = os.fspath(path)
    data = _bytes_of(Path(name), name, limits)
    if data.startswith(MAGIC):
        return read_qpy(data, source=name, limits=limits)
    if data.startswith(_PICKLE_BEGINNINGS):
        raise FileUnreadable(path=name, reason=_PICKLED, remedy=_REMEDY)
    if Path(name).suffix.lower() == ".qpy":
        raise CircuitRejected(reason="it does not begin like a QPY file", source=name, remedy=_REMEDY)
    if b"\0" in data:
        raise FileUnreadable(path=name, reason="it is a binary file of an unknown kind", remedy=_REMEDY)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as fault:
        raise FileUnreadable(
            path=name, reason=f"it is not text in UTF-8 (byte {fault.start})", remedy=_REMEDY
        ) from None
    circuit = read_qasm(text, source=name, limits=limits)
    circuit.name = Path(name).stem
    return circuit


_PICKLED = "it is a pickle: loading one runs whatever code it holds"
_REMEDY = "Accepted are OpenQASM 2 and 3 text and QPY (format 13 or later)."


def _bytes_of(path: Path, name: str, limits: ReaderLimits) -> bytes:
    if path.suffix.lower() in _PICKLE_SUFFIXES:
        raise FileUnreadable(path=name, reason="files of this kind can hold a pickle, which runs code", remedy=_REMEDY)
    try:
        found = path.stat()
        if stat.S_ISDIR(found.st_mode):
            raise FileUnreadable(path=name, reason="it is a folder", remedy="Name a file in it.")
        if not stat.S_ISREG(found.st_mode):
            raise FileUnreadable(path=name, reason="it is not a regular file", remedy="Name an ordinary file.")
        with path.open("rb") as stream:
            data = stream.read(limits.source_bytes + 1)
    except FileNotFoundError:
        raise FileUnreadable(path=name, reason="there is no such file", remedy="Check the path.") from None
    except (OSError, ValueError) as fault:
        reason = getattr(fault, "strerror", None) or str(fault)
        raise FileUnreadable(path=name, reason=reason, remedy="Check the path and its permissions.") from None
    if len(data) > limits.source_bytes:
        raise CircuitRejected(
            reason=f"the file is larger than {limits.source_bytes:,} bytes",
            source=name,
            remedy="If that is meant, read it with ReaderLimits(source_bytes=...).",
        )
    return data
