"""Where ``--output`` puts the emitted circuit, and in which format."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from qiskit import QuantumCircuit, qpy

from hyperfabric_q.convert import write_qasm3
from hyperfabric_q.errors import InvalidValue

OPTION: Final = "--output"


def check_target(path: Path | None) -> None:
    """Do nothing when a circuit can be written to ``path``; asked before the planning, which may take long.

    Raises:
        InvalidValue: the suffix says no format, or there is no such folder.
    """
    if path is None:
        return
    if path.suffix not in {".qasm", ".qpy"}:
        raise InvalidValue(
            field=OPTION,
            value=str(path),
            rule="the suffix says how the circuit is written",
            remedy="End it with .qasm for OpenQASM 3, or with .qpy for Qiskit's own format.",
        )
    if path.is_dir() or not path.parent.is_dir():
        rule = "it is a folder" if path.is_dir() else f"there is no folder {str(path.parent)!r}"
        raise InvalidValue(field=OPTION, value=str(path), rule=rule, remedy="Name a file in a folder that exists.")


def write_circuit(circuit: QuantumCircuit, path: Path) -> None:
    """Write ``circuit`` to ``path``, replacing what is there.

    Raises:
        InvalidValue: the file cannot be written.
    """
    try:
        if path.suffix == ".qasm":
            path.write_text(write_qasm3(circuit), encoding="utf-8")
        else:
            with path.open("wb") as file:
                qpy.dump(circuit, file)
    except OSError as fault:
        raise InvalidValue(
            field=OPTION, value=str(path), rule=f"it cannot be written: {fault.strerror}", remedy="Name another file."
        ) from fault
