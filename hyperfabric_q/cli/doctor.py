"""What ``hyperfabric-q doctor`` checks: Python, every dependency, and two small jobs done for real."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module, metadata
from typing import Final

import hyperfabric_q
from hyperfabric_q.errors import VerificationFailed

DEPENDENCIES: Final = (
    *("numpy", "scipy", "networkx", "qiskit", "qiskit-aer", "qiskit-qasm3-import"),
    *(
        "cirq-core",
        "stim",
        "pymatching",
        "sinter",
        "dimod",
        "dwave-samplers",
        "matplotlib",
        "mtkahypar",
        "numba",
        "opt-einsum",
        "cryptography",
        "zstandard",
        "pydantic",
        "typer",
        "rich",
    ),
)
"""Distributions this package needs."""

_MODULES: Final = {"cirq-core": "cirq", "dwave-samplers": "dwave.samplers"}
"""What is imported, where the name is another."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One line of the doctor's table."""

    name: str
    ok: bool
    found: str
    remedy: str = ""


def checks() -> list[Check]:
    """Return every check, in the order of the table; importing everything takes seconds."""
    return [
        _python(),
        *(_imported(distribution) for distribution in DEPENDENCIES),
        _tried("partitioner", _partitions, "Reinstall mtkahypar: pip install --force-reinstall mtkahypar"),
        _tried("simulator", _teleports, "Reinstall qiskit-aer: pip install --force-reinstall qiskit-aer"),
    ]


def _python() -> Check:
    return Check(
        name="python",
        ok=sys.version_info >= (3, 11),
        found=f"{platform.python_version()} on {platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        remedy="Install Python 3.11 or newer.",
    )


def _imported(distribution: str) -> Check:
    try:
        import_module(_MODULES.get(distribution, distribution.replace("-", "_")))
        return Check(name=distribution, ok=True, found=metadata.version(distribution))
    except Exception as fault:  # a broken library may raise anything
        found = f"{type(fault).__name__}: {fault}"
        return Check(name=distribution, ok=False, found=found, remedy=f"pip install --upgrade {distribution}")


def _tried(name: str, attempt: Callable[[], str], remedy: str) -> Check:
    try:
        return Check(name=name, ok=True, found=attempt())
    except Exception as fault:  # whatever it is, it belongs into the table
        return Check(name=name, ok=False, found=f"{type(fault).__name__}: {fault}", remedy=remedy)


def _partitions() -> str:
    """Split a chain of six qubits over two nodes: one e-bit, because one gate must cross."""
    plan = hyperfabric_q.plan(hyperfabric_q.families.ghz(6), hyperfabric_q.Fabric.full([3, 3]), seed=1)
    if plan.ebits != 1:
        raise VerificationFailed(what=f"a chain of six qubits on 3 + 3 took {plan.ebits} e-bits, not 1", seed=1)
    return f"a chain of six qubits on 3 + 3: 1 e-bit, {plan.equivalent}"


def _teleports() -> str:
    """Run a Bell state whose CNOT is teleported: the two bits always agree, and both values occur."""
    plan = hyperfabric_q.plan(hyperfabric_q.families.ghz(2), hyperfabric_q.Fabric.full([1, 1]), verify="proved", seed=1)
    counts = plan.run(64, noise="none", seed=1).counts
    if plan.equivalent != "proved" or set(counts) != {"00", "11"}:
        raise VerificationFailed(what=f"a teleported Bell state is {plan.equivalent} and reads {dict(counts)}", seed=1)
    return f"a teleported gate: {plan.ebits} e-bit, {plan.equivalent}, 64 shots on Aer agree"
