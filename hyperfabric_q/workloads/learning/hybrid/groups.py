"""The QPU nodes that run one circuit together, and what running it on them gives and takes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from hyperfabric_q.distribution.plan import Plan
from hyperfabric_q.errors import InvalidValue
from hyperfabric_q.fabric import Fabric
from hyperfabric_q.workloads.learning import adjoint
from hyperfabric_q.workloads.learning.gradients import gradient
from hyperfabric_q.workloads.learning.on_fabric import OnFabric
from hyperfabric_q.workloads.learning.parameter_shift import shifts_of
from hyperfabric_q.workloads.learning.sources import Ideal, Source
from hyperfabric_q.workloads.learning.turns import Floats


class Ran(NamedTuple):
    """What circuits of some samples gave.

    Attributes:
        values: mean values, (B, m).
        value_errors: one standard error of each.
        shots: that were taken.
        jacobian: derivatives by all parameters, (B, m, P), where they were estimated; else they follow exactly.
        jacobian_errors: one standard error of each.
        notes: what is not as exact as it may look.
    """

    values: Floats
    value_errors: Floats
    shots: int
    jacobian: Floats | None = None
    jacobian_errors: Floats | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Group:
    """QPU nodes with a circuit on them.

    Attributes:
        nodes: their ids; the first one talks to the GPU node. Without any, the circuit is simulated where the
            classical layers are, and takes no time.
        source: where mean values come from.
        plan: of the circuit on the nodes.
        shots: of each basis at each angle; None = exact values.
        charged_shots: that hardware would take for exact values; None charges nothing.
    """

    nodes: tuple[str, ...]
    source: Source
    plan: Plan | None
    shots: int | None
    charged_shots: int | None

    @property
    def exact(self) -> bool:
        """Whether derivatives come from the noiseless sweep."""
        return self.shots is None and self.source.adjoint

    def run(self, rows: Floats, seed: int) -> Ran:
        """Return mean values at parameters (B, P), with all their derivatives where these must be estimated."""
        form, sums = self.source.form, self.source.sums
        if self.exact:
            values = adjoint.mean_values(form, sums, form.angles.at(rows))
            return Ran(values, np.zeros_like(values), 0)
        found = gradient(self.source, rows, shots=self.shots, seed=seed)
        return Ran(found.values, found.value_errors, found.shots, found.gradient, found.errors, found.notes)

    def pulled_back(self, rows: Floats, ran: Ran, slopes: Floats) -> tuple[Floats, Floats]:
        """Return the derivatives of a loss by all parameters of each sample, (B, P), and their variances.

        Args:
            rows: the parameters.
            ran: of ``run`` at them.
            slopes: derivatives of the loss by the mean values, (B, m).
        """
        if ran.jacobian is None or ran.jacobian_errors is None:
            found = adjoint.pulled_back(self.source.form, self.source.sums, rows, lambda _, own: slopes[own]).gradient
            return found, np.zeros_like(found)
        by = np.einsum("bm,bmp->bp", slopes, ran.jacobian)
        return by, np.einsum("bm,bmp->bp", slopes**2, ran.jacobian_errors**2)

    def charged(self, samples: int, ran: Ran) -> int:
        """Return the shots that a step is charged with for so many samples: those taken, or what hardware would take.

        Hardware takes the mean values and the parameter shifts of all angles, in each basis of the observables.
        """
        if ran.shots or self.charged_shots is None:
            return ran.shots
        form = self.source.form
        turns = form.angles.turns_of(np.arange(len(form.parameters)))
        bases = len(self.source.settings)  # type: ignore[attr-defined]  # both sources have them
        return samples * (1 + len(shifts_of(form, turns))) * bases * self.charged_shots


def group_of(
    circuit: Any,
    observables: Any,
    fabric: Fabric,
    nodes: Sequence[str],
    *,
    noise: str,
    shots: int | None,
    charged_shots: int | None,
    seed: int,
) -> Group:
    """Return a circuit on some QPU nodes of a fabric; on none of them where ``nodes`` is empty.

    Raises:
        InvalidValue: an option is out of range, or noise without nodes.
        Infeasible: the circuit does not fit on the nodes.
    """
    source: Source
    plan = None
    if not nodes:
        if noise != "none":
            raise InvalidValue(field="noise", value=noise, rule="noise is that of QPU nodes, and there are none")
        source = Ideal.of(circuit, observables)
    else:
        placed = OnFabric.of(circuit, observables, only(fabric, nodes), noise=noise, seed=seed)
        # Without noise the distributed circuit is the circuit, and its shots are drawn from state vectors at once.
        source = Ideal.of(circuit, observables) if noise == "none" else placed
        plan = placed.shot_plan
    return Group(nodes=tuple(nodes), source=source, plan=plan, shots=shots, charged_shots=charged_shots)


def only(fabric: Fabric, nodes: Sequence[str]) -> Fabric:
    """Return a fabric without the QPU nodes that are not among ``nodes``.

    Raises:
        UnknownName: one of them does not exist.
        InvalidValue: one of them has no data qubits.
    """
    able = {node.node_id for node in fabric.qpu_nodes}
    for node in nodes:
        fabric.node(node)
        if node not in able:
            raise InvalidValue(field="groups", value=node, rule="circuits run on QPU nodes with data qubits")
    gone = able - set(nodes)
    return Fabric(
        nodes=tuple(node for node in fabric.nodes if node.node_id not in gone),
        links=tuple(link for link in fabric.links if not {link.a, link.b} & gone),
        name=fabric.name,
    )
