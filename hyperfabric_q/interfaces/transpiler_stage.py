"""The compiler as the init stage of Qiskit's preset pass managers, under the name ``hyperfabric``.

An entry point is called with Qiskit's options only, and none of them describes a fabric: a ``Target`` knows one
device, no links, and has no field for anything else. So the fabric is named with ``use_fabric`` while the pass manager
is built, and nothing is guessed.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Final, NamedTuple

from qiskit.transpiler import PassManager
from qiskit.transpiler.preset_passmanagers.plugin import PassManagerStagePlugin

from hyperfabric_q.errors import InvalidValue
from hyperfabric_q.fabric import Fabric
from hyperfabric_q.interfaces.pass_manager import hyperfabric_pass_manager, known_fabric

_HARDWARE: Final = ("coupling_map", "basis_gates", "initial_layout")
"""Qiskit's options of one device; it fills them in from a backend or a ``Target`` too."""


class _Choice(NamedTuple):
    fabric: Fabric
    time_limit_s: float
    verify: str


_chosen: ContextVar[_Choice | None] = ContextVar("hyperfabric_q_fabric", default=None)


@contextmanager
def use_fabric(fabric: Fabric, *, time_limit_s: float = 5.0, verify: str = "auto") -> Iterator[Fabric]:
    """Return a context in which the transpiler stage ``hyperfabric`` compiles for ``fabric``.

    It counts when a pass manager is built (``generate_preset_pass_manager`` or ``transpile``); what was built keeps its
    fabric afterwards. Contexts nest, and each thread and asyncio task has its own.

    Args:
        fabric: the nodes and links.
        time_limit_s: as in ``hq.plan``.
        verify: as in ``hq.plan``.

    Raises:
        InvalidValue: ``fabric`` is no fabric.
    """
    token = _chosen.set(_Choice(known_fabric(fabric), time_limit_s, verify))
    try:
        yield fabric
    finally:
        _chosen.reset(token)


class HyperFabricStage(PassManagerStagePlugin):  # type: ignore[misc]  # Qiskit is untyped
    """The plug-in of the entry point ``hyperfabric`` of ``qiskit.transpiler.init``."""

    def pass_manager(self, pass_manager_config: Any, optimization_level: int | None = None) -> PassManager:
        """Return the passes of ``hyperfabric_pass_manager`` for the fabric of ``use_fabric``.

        Args:
            pass_manager_config: its ``seed_transpiler`` seeds the plan.
            optimization_level: has no influence; ``use_fabric(time_limit_s=)`` says how long to search.

        Raises:
            InvalidValue: no fabric is in use, or a device is named whose later stages would undo the distribution.
        """
        del optimization_level
        chosen = _chosen.get()
        if chosen is None:
            raise InvalidValue(
                field="fabric",
                value=None,
                rule="the transpiler stage 'hyperfabric' cannot know its fabric from Qiskit's options",
                remedy="Build the pass manager inside 'with use_fabric(fabric):'.",
            )
        for name in _HARDWARE:
            if getattr(pass_manager_config, name) is not None:
                raise InvalidValue(
                    field=name,
                    value=getattr(pass_manager_config, name),
                    rule="one device cannot hold a circuit over many nodes: the stages after 'hyperfabric' would route "
                    "across nodes and take Bell pairs apart",
                    remedy="Leave backend, target, coupling_map, basis_gates and initial_layout out.",
                )
        return hyperfabric_pass_manager(
            chosen.fabric,
            time_limit_s=chosen.time_limit_s,
            verify=chosen.verify,
            seed=pass_manager_config.seed_transpiler,
        )
