"""Which method runs a plan, and where is it?

======== ==========================================================================================================
dynamic  the emitted circuit with Bell pairs and feed-forward on Aer: the reference, exact for every error
channel  the logical circuit with the effective error of each remote operation: no communication qubits
clifford Clifford circuits of any width
mps      shallow circuits of any width, as a matrix-product state
exact    small circuits without errors: all measurement branches in NumPy
======== ==========================================================================================================

"auto" takes ``clifford`` for Clifford circuits whose errors it represents exactly, ``dynamic`` as long as it takes
seconds only, because nothing is approximated in it, and else the quickest by prediction of ``dynamic``, ``channel`` and
``mps``, the last only where it is exact or nothing else can.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from qiskit.circuit import ClassicalRegister

from hyperfabric_q.errors import InvalidValue
from hyperfabric_q.execution.dynamic import predicted_seconds
from hyperfabric_q.execution.methods import LONGEST_S
from hyperfabric_q.execution.timelines import Timelines

if TYPE_CHECKING:
    from hyperfabric_q.distribution.plan import Plan

METHODS: Final[dict[str, str]] = {
    "dynamic": "hyperfabric_q.execution.dynamic:sample_dynamic",
    "channel": "hyperfabric_q.execution.channel:sample_channel",
    "clifford": "hyperfabric_q.execution.clifford:sample_clifford",
    "mps": "hyperfabric_q.execution.mps:sample_mps",
    "exact": "hyperfabric_q.execution.exact:sample_exact",
}
"""Name -> "module:function", imported when it is used."""

PATIENCE_S: Final = 5.0
"""Predicted seconds up to which the reference is taken whatever else could run."""


def function_of(method: str) -> Callable[..., Any]:
    """Return the function behind a method's name.

    Raises:
        InvalidValue: there is no such method.
    """
    if method not in METHODS or not available(method):
        known = ", ".join(repr(name) for name in METHODS if available(name))
        raise InvalidValue(field="method", value=method, rule=f"method is 'auto' or one of {known}")
    module, _, attribute = METHODS[method].partition(":")
    function: Callable[..., Any] = getattr(importlib.import_module(module), attribute)
    return function


def available(method: str) -> bool:
    """Return whether the module of a method is installed."""
    return importlib.util.find_spec(METHODS[method].partition(":")[0]) is not None


def choose_method(plan: Plan, timelines: Timelines, *, shots: int, reported: Sequence[ClassicalRegister]) -> str:
    """Return the method that "auto" stands for; O(instructions).

    Args:
        plan: what runs, measurements included.
        timelines: its errors.
        shots: how many.
        reported: registers whose counts are wanted.
    """
    clifford = available("clifford") and _beside("clifford", "why_not_clifford")(plan) is None
    if clifford and not any(np.isfinite(idle.t1_s) for noise in timelines.noises for idle in noise.idles):
        return "clifford"
    noise, share = timelines.shares(shots)[0]
    dynamic_s = len(timelines) * predicted_seconds(plan, noise, shots=share, reported=reported)
    if dynamic_s <= PATIENCE_S:
        return "dynamic"
    if clifford:
        return "clifford"
    seconds = {"dynamic": dynamic_s}
    for method in ("channel", "mps"):
        if available(method):
            each = _beside(method, "predicted_seconds")(plan, noise, shots=share, reported=reported)
            seconds[method] = len(timelines) * each
    if any(np.isfinite(idle.t1_s) for idle in noise.idles) and min(seconds.values()) <= LONGEST_S:
        seconds.pop("mps", None)  # it twirls relaxation
    quickest = min(seconds, key=lambda name: seconds[name])
    return quickest if seconds[quickest] <= LONGEST_S or "mps" not in seconds else "mps"


def _beside(method: str, name: str) -> Callable[..., Any]:
    """Return another function of a method's module."""
    function: Callable[..., Any] = getattr(importlib.import_module(METHODS[method].partition(":")[0]), name)
    return function
