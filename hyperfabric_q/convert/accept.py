"""Whatever a user hands us as a circuit, as a Qiskit circuit."""

from __future__ import annotations

import os

from qiskit import QuantumCircuit

from hyperfabric_q.convert.limits import ReaderLimits
from hyperfabric_q.convert.qasm import read_circuit, read_qasm
from hyperfabric_q.convert.tokens import begins_like_openqasm
from hyperfabric_q.errors import InvalidValue

_ACCEPTED = (
    "a circuit is a qiskit.QuantumCircuit, a cirq.Circuit, an OpenQASM 2 or 3 text beginning with its header, "
    "or the path of an OpenQASM or QPY file"
)


def accept(source: object, *, limits: ReaderLimits | None = None) -> QuantumCircuit:
    """Return ``source`` as a Qiskit circuit; one that is a Qiskit circuit already is returned as it is.

    A str is OpenQASM text when it begins, after comments, with the word OPENQASM, and a path otherwise.

    Raises:
        InvalidValue: It is none of the kinds accepted; the message lists them.
        CircuitRejected: The text or file is malformed or exceeds a limit.
        FileUnreadable: The file is missing or of another kind.
        UnsupportedOperation: A Cirq circuit holds an operation that has no counterpart.
    """
    if isinstance(source, QuantumCircuit):
        return source
    if _is_cirq(source):
        from hyperfabric_q.convert.cirq import from_cirq  # noqa: PLC0415  # Cirq takes a second to import

        return from_cirq(source)  # type: ignore[arg-type]  # known by its name only
    if isinstance(source, str):
        if begins_like_openqasm(source):
            return read_qasm(source, limits=limits)
        if "\n" in source or not source.strip():
            raise InvalidValue(
                field="circuit",
                value=source,
                rule="this text does not begin with the word OPENQASM, and it is no path",
                remedy='Begin an OpenQASM text with "OPENQASM 2.0;" or "OPENQASM 3.0;".',
            )
        return read_circuit(source, limits=limits)
    if isinstance(source, os.PathLike):
        return read_circuit(source, limits=limits)
    raise InvalidValue(field="circuit", value=source, rule=_ACCEPTED)


def _is_cirq(source: object) -> bool:
    """Return whether ``source`` is a Cirq circuit, without importing Cirq: whoever made one has imported it."""
    names = {f"{each.__module__.partition('.')[0]}.{each.__name__}" for each in type(source).__mro__}
    return "cirq.AbstractCircuit" in names
