"""Mean values of a circuit that is distributed over the QPU nodes of a fabric, with the errors of its pairs and gates.

The emitted circuit with its teleported gates is never differentiated. Without noise it is the user's circuit, and its
gradient that of the circuit. With noise it is the circuit and its effective errors on the logical qubits
(``execution.channel``), the same at every angle, so that shift rules stay exact. Homes are chosen once.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from hyperfabric_q.distribution.plan import Plan
from hyperfabric_q.errors import InvalidValue
from hyperfabric_q.execution.channel import outcome_law
from hyperfabric_q.execution.measured import with_measurements
from hyperfabric_q.execution.noise import Noise, read_noise
from hyperfabric_q.execution.observables import Setting, Settings, settings_of
from hyperfabric_q.execution.timelines import Timelines, timelines_of
from hyperfabric_q.fabric import Fabric
from hyperfabric_q.pipeline import plan as planned
from hyperfabric_q.seeds import resolve, stream, word
from hyperfabric_q.workloads.learning import adjoint
from hyperfabric_q.workloads.learning.circuit_form import WIDEST, Form, form_of
from hyperfabric_q.workloads.learning.pauli_sums import PauliSums, sums_of
from hyperfabric_q.workloads.learning.sources import MOST_SHOTS, Read
from hyperfabric_q.workloads.learning.turns import Floats

SCATTER: Final = 1e-3
"""Change of a mean value below which timelines are replaced by their mean, see ``execution.timelines``."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class OnFabric:
    """A circuit on a fabric; every binding keeps the homes of ``plan``.

    Attributes:
        form: the circuit.
        sums: the observables.
        settings: the bases in which they are measured.
        fabric: nodes and links.
        plan: the circuit at angles that stand for all: its homes, and the e-bits of one shot.
        shot_plan: the same with the measurements of one basis: what a shot takes on the clock.
        noise: "fabric", "links" or "none", as for ``Plan.run``.
        seed: of the plans and of the timelines, which are the same at all angles.
    """

    form: Form
    sums: PauliSums
    settings: Settings
    fabric: Fabric
    plan: Plan
    shot_plan: Plan
    noise: Noise
    seed: int

    @classmethod
    def of(
        cls,
        circuit: Any,
        observables: Any,
        fabric: Fabric,
        *,
        homes: Sequence[str] | Mapping[int, str] | None = None,
        noise: str = "fabric",
        time_limit_s: float = 5.0,
        seed: int | None = None,
    ) -> OnFabric:
        """Return the source of a circuit on a fabric.

        Args:
            circuit: with parameters; measurements at its end are left out.
            observables: one or several SparsePauliOp, Pauli or labels.
            fabric: nodes and links.
            homes: node id of each qubit; None lets the partitioner choose.
            noise: "fabric" = all errors of nodes, links and waits; "links" = fresh imperfect pairs only; "none".
            time_limit_s: of the search for homes.
            seed: the same seed gives the same homes.

        Raises:
            InvalidValue: an option is none of these, or something in the circuit has no gradient.
            Infeasible: the circuit does not fit on the fabric.
        """
        form = form_of(circuit)
        if noise not in {each.value for each in Noise}:
            known = ", ".join(repr(each.value) for each in Noise)
            raise InvalidValue(field="noise", value=noise, rule=f"noise is one of {known}")
        seed = resolve(seed)
        sums = sums_of(observables, form.qubits)
        # No gate vanishes or becomes diagonal at such angles, hence none of the crossings does.
        usual = stream(seed, "learning", "usual angles").uniform(0.3, 1.2, len(form.names))
        plan = planned(form.bound(usual), fabric, homes=homes, time_limit_s=time_limit_s, seed=seed)
        if plan.reused is not None:
            rule = "the nodes are too small for all qubits at once, so that no state is left to have mean values"
            raise InvalidValue(field="fabric", value=fabric.name, rule=rule, remedy="Use larger nodes.")
        settings = settings_of(list(sums.operators), form.qubits)
        bases = max((each.bases for each in settings.settings), key=len, default={})
        return cls(
            form=form,
            sums=sums,
            settings=settings,
            fabric=fabric,
            plan=plan,
            shot_plan=with_measurements(plan, bases)[0] if bases else plan,
            noise=read_noise(noise),
            seed=seed,
        )

    @property
    def adjoint(self) -> bool:
        """Whether it is noiseless: then the gradient is that of the circuit."""
        return self.noise is Noise.NONE and self.form.qubits <= WIDEST

    def at(self, angles: Floats) -> Plan:
        """Return the plan at angles of the turns (K,); not verified, since ``plan`` was."""
        homes = self.plan.homes
        return planned(
            self.form.bound(angles), self.fabric, homes=homes, time_limit_s=0, verify="skipped", seed=self.seed
        )

    def read(self, angles: Floats, *, shots: int | None, seed: int) -> Read:
        """Return mean values at angles (R, K), measured as the hardware would: misreads and rotations err too.

        Raises:
            SimulationRefused: exact values of so many qubits with noise, or of shots, are out of reach.
        """
        if shots is None and self.adjoint:
            values = adjoint.mean_values(self.form, self.sums, angles)
            return Read(values, np.zeros_like(values), 0)
        values = np.empty((len(angles), len(self.sums)))
        errors, taken = np.zeros_like(values), 0
        notes: dict[str, None] = {}
        shapes: dict[bytes, int] = {}
        for row, own in enumerate(angles):
            plan = self.at(own)
            shape = plan.program.kind.tobytes()
            shapes[shape] = shapes.get(shape, 0) + 1
            if shots is None:
                values[row], errors[row], said = self._exact(plan)
            else:
                result = plan.run(
                    shots,
                    observables=list(self.sums.operators),
                    noise=self.noise.value,
                    seed=word(seed, "learning", "row", row),
                )
                values[row] = [each.value for each in result.estimates]
                errors[row] = [each.stderr for each in result.estimates]
                taken += result.shots
                said = result.approximations
            notes.update(dict.fromkeys(said))
        if len(shapes) > 1 and self.noise is not Noise.NONE:
            rare = len(angles) - max(shapes.values())
            notes[
                f"at {rare} of {len(angles)} angles gates merge otherwise, such as turns by 0 or π that vanish: "
                "their errors differ, and shift rules are exact only as far as that may be left out"
            ] = None
        return Read(values, errors, taken, tuple(notes))

    def _exact(self, plan: Plan) -> tuple[Floats, Floats, tuple[str, ...]]:
        """Mean values without shots, and what they err by as timelines are drawn: they are the same at all angles."""
        lines = timelines_of(plan, self.noise, wanted="auto", shots=MOST_SHOTS, seed=self.seed, scatter=SCATTER)
        values = np.repeat(self.settings.constant[None], len(lines), axis=0)
        for setting in self.settings.settings:
            turned, register = with_measurements(plan, setting.bases)
            laws = np.array([outcome_law(turned, noise, reported=[register]) for noise in lines.noises])
            values += laws @ _readings(setting).T
        scatter = values.std(axis=0, ddof=1) / math.sqrt(len(lines)) if len(lines) > 1 else np.zeros(len(self.sums))
        return values.mean(axis=0), scatter, _said(lines)


def _readings(setting: Setting) -> Floats:
    """What each outcome of the measured qubits reads, shape (m, outcomes)."""
    count = len(setting.bases)
    return setting.values([format(outcome, f"0{count}b") for outcome in range(1 << count)])


def _said(lines: Timelines) -> tuple[str, ...]:
    if lines.averaging == "mean":
        return ("one mean timeline: what waits have in common is left out",)
    return (
        (f"the mean of {len(lines)} timelines that were drawn, the same at all angles: bars are what they scatter by",)
        if lines.averaging == "sampled"
        else ()
    )
