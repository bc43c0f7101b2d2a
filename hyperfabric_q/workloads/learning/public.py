"""Learning with circuits: gradients with error bars, classifiers, regressors and kernels, on any fabric.

    import hyperfabric_q as hq

    source = hq.learning.OnFabric.of(circuit, observables, fabric, noise="links")
    found = hq.learning.gradient(source, values, shots=1000)
    model = hq.learning.VariationalClassifier(fabric=fabric).fit(x, y)

Names load on first use. ``hq.learning`` is this module rather than the room around it, which has modules of the same
names.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hyperfabric_q.registry import on_first_use

if TYPE_CHECKING:
    from hyperfabric_q.workloads.learning.ansatz import Ansatz, reuploading
    from hyperfabric_q.workloads.learning.gradients import Gradient, gradient
    from hyperfabric_q.workloads.learning.hybrid.history import TrainingHistory
    from hyperfabric_q.workloads.learning.hybrid.optimisers import Adam, Sgd
    from hyperfabric_q.workloads.learning.hybrid.report import StepReport
    from hyperfabric_q.workloads.learning.hybrid.training import HybridTraining, Trained
    from hyperfabric_q.workloads.learning.in_parts import InParts
    from hyperfabric_q.workloads.learning.kernels import QuantumKernel
    from hyperfabric_q.workloads.learning.models import VariationalClassifier, VariationalRegressor
    from hyperfabric_q.workloads.learning.on_fabric import OnFabric
    from hyperfabric_q.workloads.learning.sources import Ideal

__all__ = [
    "Adam",
    "Ansatz",
    "Gradient",
    "HybridTraining",
    "Ideal",
    "InParts",
    "OnFabric",
    "QuantumKernel",
    "Sgd",
    "StepReport",
    "Trained",
    "TrainingHistory",
    "VariationalClassifier",
    "VariationalRegressor",
    "gradient",
    "reuploading",
]

_NAMES_OF = {
    "ansatz": ("Ansatz", "reuploading"),
    "gradients": ("Gradient", "gradient"),
    "hybrid.history": ("TrainingHistory",),
    "hybrid.optimisers": ("Adam", "Sgd"),
    "hybrid.report": ("StepReport",),
    "hybrid.training": ("HybridTraining", "Trained"),
    "in_parts": ("InParts",),
    "kernels": ("QuantumKernel",),
    "models": ("VariationalClassifier", "VariationalRegressor"),
    "on_fabric": ("OnFabric",),
    "sources": ("Ideal",),
}

if not TYPE_CHECKING:  # hidden from mypy, which would otherwise accept any name
    _HOME = {name: f"{module}:{name}" for module, names in _NAMES_OF.items() for name in names}
    __getattr__, __dir__ = on_first_use(__name__, _HOME)
