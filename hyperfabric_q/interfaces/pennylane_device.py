"""PennyLane's device on a fabric: ``qml.device("hyperfabric.qubit", wires=4, fabric=fabric)``.

Tapes of a batch that differ in angles alone, as those of the parameter-shift rule do, have one plan and are evaluated
together. Without noise and shots, derivatives are adjoint sweeps of ours; otherwise PennyLane's own rules hold.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hyperfabric_q import seeds
from hyperfabric_q.errors import InvalidValue, MissingDependency
from hyperfabric_q.interfaces.angles import Floats
from hyperfabric_q.interfaces.expectations import Asked, expected, lines_of
from hyperfabric_q.interfaces.facts import facts_of
from hyperfabric_q.interfaces.front import Front, pub_seed
from hyperfabric_q.interfaces.job import Steps
from hyperfabric_q.interfaces.layer import with_options
from hyperfabric_q.interfaces.options import FabricLike, FabricOptions
from hyperfabric_q.interfaces.pennylane_tape import FIXED, SILENT, TURNS, Shape, Tapes, accepted
from hyperfabric_q.interfaces.samples import drawn
from hyperfabric_q.workloads.learning import adjoint
from hyperfabric_q.workloads.learning.circuit_form import WIDEST, Form, form_of
from hyperfabric_q.workloads.learning.pauli_sums import PauliSums, sums_of

try:
    import pennylane as qml
    from pennylane.devices import Device, ExecutionConfig
    from pennylane.devices.modifiers import simulator_tracking, single_tape_support
    from pennylane.devices.preprocess import decompose, validate_device_wires
    from pennylane.transforms import broadcast_expand, defer_measurements, diagonalize_measurements, split_non_commuting
except ImportError:
    raise MissingDependency(what="The device", package="pennylane", extra="pennylane") from None

NAME: Final = "hyperfabric.qubit"

_OWN_GRADIENTS: Final = frozenset({"adjoint", "device", "best"})


@simulator_tracking
@single_tape_support
class FabricDevice(Device):  # type: ignore[misc]  # PennyLane need not be there, so that mypy skips it
    """Circuits of PennyLane on the nodes of a fabric.

    Exact without shots: expval of Pauli operators, var of one product of them, and probs, with the mean of all errors,
    or without errors for ``noise="none"``; then gradients are exact too, by one adjoint sweep. With shots
    (``qml.set_shots``) whatever PennyLane computes from samples. Measurements in mid-circuit are deferred, which takes
    a wire for each.

    Attributes:
        metadata: of each circuit of the last batch: nodes, pairs, shots, way, fallbacks, seed and more.
    """

    metadata: tuple[dict[str, Any], ...]

    def __init__(
        self,
        wires: Any = None,
        *,
        fabric: FabricLike | None = None,
        options: FabricOptions | None = None,
        noise: str | None = None,
        seed: int | None = None,
    ) -> None:
        """Take a fabric.

        Args:
            wires: their number or names; None = those of each circuit.
            fabric: a fabric, or a protocol, whose fabric counts as it stands at each run.
            options: as of every front door; None = all defaults. Shots are those of the circuit, as in PennyLane.
            noise: instead of that of the options; "none" has the quickest gradients.
            seed: instead of that of the options. The first batch has it, and each other batch numbers of its own.

        Raises:
            InvalidValue: no fabric, options that set shots or a precision, or a value out of range.
        """
        super().__init__(wires=wires)
        if fabric is None:
            rule = "the device needs fabric=, a Fabric or a HyperFabricProtocol"
            raise InvalidValue(field="fabric", value=None, rule=rule, remedy="Fabric.line([2, 2]) makes one.")
        taken = with_options(options, noise=noise, seed=seed)
        if taken.shots is not None or taken.precision is not None:
            raise InvalidValue(
                field="options",
                value=f"shots={taken.shots}, precision={taken.precision}",
                rule="shots belong to the circuit in PennyLane",
                remedy="Use qml.set_shots, and leave them out of the options.",
            )
        self._front = Front(fabric, taken)
        self._tapes = Tapes()
        self._seed = seeds.resolve(taken.seed)
        self._batches = 0
        self.metadata = ()

    @property
    def name(self) -> str:
        """The name of the device."""
        return NAME

    @property
    def options(self) -> FabricOptions:
        """The options."""
        return self._front.options

    # ------------------------------------------------------------------------------------------ what PennyLane asks for

    def supports_derivatives(self, execution_config: Any = None, circuit: Any = None) -> bool:
        """Return whether derivatives are exact, by an adjoint sweep: no noise, no shots, mean values of Paulis only."""
        if self.options.noise != "none":
            return False
        if execution_config is not None and execution_config.gradient_method not in _OWN_GRADIENTS:
            return False
        if circuit is None:
            return True
        if circuit.shots or len(circuit.wires) > WIDEST:
            return False
        angles = sum(each.num_params for each in circuit.operations)
        return all(each < angles for each in circuit.trainable_params) and all(
            isinstance(each, qml.measurements.ExpectationMP) and each.obs is not None and each.obs.pauli_rep is not None
            for each in circuit.measurements
        )

    def supports_vjp(self, execution_config: Any = None, circuit: Any = None) -> bool:
        """Return whether vector-Jacobian products are: where derivatives are."""
        return self.supports_derivatives(execution_config, circuit)

    def setup_execution_config(self, config: Any = None, circuit: Any = None) -> Any:
        """Return how a circuit is to be run: by our adjoint sweep where that is exact."""
        config = config or ExecutionConfig()
        own = config.gradient_method in _OWN_GRADIENTS and self.supports_derivatives(config, circuit)
        if not own:
            return config
        return replace(
            config,
            gradient_method="adjoint",
            use_device_gradient=True,
            use_device_jacobian_product=config.use_device_jacobian_product is not False,
            grad_on_execution=False,
        )

    def preprocess_transforms(self, execution_config: Any = None) -> Any:
        """Return what turns any circuit into circuits of gates that are known here."""
        del execution_config
        pipeline = qml.CompilePipeline()
        pipeline.add_transform(_plain)
        pipeline.add_transform(defer_measurements, allow_postselect=False)
        pipeline.add_transform(_split)
        pipeline.add_transform(_diagonal)
        pipeline.add_transform(
            decompose,
            stopping_condition=accepted,
            skip_initial_state_prep=False,
            target_gates={*TURNS, *FIXED, *SILENT, "QubitUnitary"},
            name=NAME,
        )
        pipeline.add_transform(validate_device_wires, self.wires, name=NAME)
        pipeline.add_transform(broadcast_expand)
        return pipeline

    # -------------------------------------------------------------------------------------------------------- execution

    def execute(self, circuits: Any, execution_config: Any = None) -> Any:
        """Return the results of a batch of circuits, each as PennyLane nests them.

        Raises:
            InvalidValue: a measurement that is none of these, or an angle that is no number.
            UnsupportedOperation: an operation without a decomposition.
            Infeasible: the fabric has no place for a circuit.
            SimulationRefused: nothing here can compute or sample it.
        """
        del execution_config
        seed = self._seed if self._batches == 0 else seeds.word(self._seed, "call", self._batches)
        self._batches += 1
        results: dict[int, Any] = {}
        facts: dict[int, dict[str, Any]] = {}
        for shape, shots, numbers, bindings in self._grouped(circuits):
            own = [pub_seed(seed, number) for number in numbers]
            tapes = [circuits[number] for number in numbers]
            run = self._exact if shots is None else self._sampled
            found, metadata = run(shape, tapes, bindings, own)
            results.update(zip(numbers, found, strict=True))
            facts.update({number: {**metadata, "seed": each} for number, each in zip(numbers, own, strict=True)})
        self.metadata = tuple(facts[number] for number in range(len(circuits)))
        return tuple(results[number] for number in range(len(circuits)))

    def _grouped(self, circuits: Sequence[Any]) -> list[tuple[Shape, int | None, list[int], Floats]]:
        """Circuits that differ in angles alone: their shape, shots, numbers in the batch and angles."""
        groups: dict[tuple[int, int | None], tuple[Shape, list[int], list[Floats]]] = {}
        for number, tape in enumerate(circuits):
            shape, angles = self._tapes.read(tape)
            shots = tape.shots.total_shots if tape.shots else None
            _, numbers, rows = groups.setdefault((id(shape), shots), (shape, [], []))
            numbers.append(number)
            rows.append(angles)
        return [(shape, key[1], numbers, np.array(rows)) for key, (shape, numbers, rows) in groups.items()]

    def _exact(
        self, shape: Shape, tapes: Sequence[Any], bindings: Floats, own: Sequence[int]
    ) -> tuple[list[Any], dict[str, Any]]:
        planned = self._front.planned(shape.circuit, shape.key)
        lines = lines_of(planned, shots=None, precision=None, seed=own[0])
        found = expected(
            planned,
            bindings,
            shape.operators,
            Asked(shots=None, precision=None),
            lines=lines,
            seed_of=lambda row: own[row],
            steps=Steps(NAME, len(tapes)),
        )
        shots = int(found.shots.sum()) or None
        metadata = facts_of(planned, lines).metadata(
            shots=shots,
            circuits=len(tapes),
            way=", ".join(found.ways),
            noise=self.options.noise,
            seed=own[0],
            fallbacks=(*_unbound(planned.unbound), *found.fallbacks),
            approximations=tuple(found.approximations),
        )
        return [_only(shape.results(means)) for means in found.values], metadata

    def _sampled(
        self, shape: Shape, tapes: Sequence[Any], bindings: Floats, own: Sequence[int]
    ) -> tuple[list[Any], dict[str, Any]]:
        planned = self._front.planned(shape.circuit, shape.key)
        shots = tapes[0].shots.total_shots
        lines = lines_of(planned, shots=shots, precision=None, seed=own[0])
        steps = Steps(NAME, len(tapes))
        found = drawn(planned, bindings, shots=shots, lines=lines, seeds_of=own, steps=steps)
        metadata = facts_of(planned, lines).metadata(
            shots=shots * len(tapes),
            circuits=len(tapes),
            way=", ".join(found.ways),
            noise=self.options.noise,
            seed=own[0],
            fallbacks=_unbound(planned.unbound),
            approximations=tuple(found.approximations),
        )
        ((name, size),) = found.registers
        results = []
        for row, tape in enumerate(tapes):
            samples = np.unpackbits(found.bits[name][row], axis=-1)[:, ::-1][:, :size].astype(np.int64)
            results.append(_processed(tape, samples))
        return results, metadata

    # ------------------------------------------------------------------------------------------------------ derivatives

    def compute_derivatives(self, circuits: Any, execution_config: Any = None) -> Any:
        """Return the derivatives of a batch by the trainable parameters, each as PennyLane nests them.

        Raises:
            InvalidValue: there is noise, or a derivative by what is no angle.
        """
        del execution_config
        found: dict[int, Any] = {}
        for shape, _, numbers, bindings in self._grouped(circuits):
            form, sums = self._swept(shape)
            jacobian = adjoint.derivatives(form, sums, bindings).jacobian
            for number, own in zip(numbers, jacobian, strict=True):
                columns = own[:, _columns(shape, circuits[number])]
                found[number] = _only(tuple(_only(tuple(np.array(each) for each in row)) for row in columns))
        return tuple(found[number] for number in range(len(circuits)))

    def execute_and_compute_derivatives(self, circuits: Any, execution_config: Any = None) -> Any:
        """Return the results and the derivatives of a batch."""
        return self.execute(circuits, execution_config), self.compute_derivatives(circuits, execution_config)

    def compute_vjp(self, circuits: Any, cotangents: Any, execution_config: Any = None) -> Any:
        """Return the derivatives of a loss by the trainable parameters of each circuit, given those by its results.

        Raises:
            InvalidValue: as for ``compute_derivatives``.
        """
        del execution_config
        found: dict[int, Any] = {}
        for shape, _, numbers, bindings in self._grouped(circuits):
            form, sums = self._swept(shape)
            slopes = np.array([_flat(cotangents[number], len(sums)) for number in numbers])
            gradient = adjoint.pulled_back(form, sums, bindings, _rows_of(slopes)).gradient
            for number, own in zip(numbers, gradient, strict=True):
                found[number] = tuple(np.array(each) for each in own[_columns(shape, circuits[number])])
        return tuple(found[number] for number in range(len(circuits)))

    def execute_and_compute_vjp(self, circuits: Any, cotangents: Any, execution_config: Any = None) -> Any:
        """Return the results and the vector-Jacobian products of a batch."""
        return self.execute(circuits, execution_config), self.compute_vjp(circuits, cotangents, execution_config)

    def _swept(self, shape: Shape) -> tuple[Form, PauliSums]:
        if self.options.noise != "none":
            raise InvalidValue(
                field="diff_method",
                value="adjoint",
                rule="the adjoint sweep needs the noiseless state vector",
                remedy='Use noise="none", or diff_method="parameter-shift".',
            )
        known = shape.memo.get("swept")
        if known is None:
            form = form_of(shape.circuit)
            known = shape.memo["swept"] = form, sums_of(shape.operators, form.qubits)
        found: tuple[Form, PauliSums] = known
        return found


# ----------------------------------------------------------------------------------------------------------- transforms


def _alone(results: Any) -> Any:
    return results[0]


def _plain_variances(tape: Any) -> Any:
    """The tape, where no variance is of a sum: of these, PennyLane's parameter-shift rule gives wrong derivatives.

    Seen in 0.45.1: beside backpropagation and finite differences, for ``var(Z(0) + 0.3 * X(1))``.
    """
    for each in tape.measurements:
        if isinstance(each, qml.measurements.VarianceMP) and each.obs is not None and each.obs.pauli_rep is not None:
            terms = len(each.obs.pauli_rep)
            if terms > 1:
                raise InvalidValue(
                    field="measurement",
                    value=str(each)[:60],
                    rule=f"a variance is of one product of Paulis here, not of {terms}",
                    remedy="Return expval(H @ H) and expval(H), and take the difference outside the circuit.",
                )
    return (tape,), _alone


def _split_sampled(tape: Any) -> Any:
    """Several tapes where one cannot be measured at once; exact values need no splitting."""
    return split_non_commuting(tape) if tape.shots else ((tape,), _alone)


def _diagonal_sampled(tape: Any) -> Any:
    """Rotations before what is not measured in Z; exact values need none."""
    return diagonalize_measurements(tape) if tape.shots else ((tape,), _alone)


_plain: Any = qml.transform(_plain_variances)
_split: Any = qml.transform(_split_sampled)
_diagonal: Any = qml.transform(_diagonal_sampled)


# -------------------------------------------------------------------------------------------------------------- nesting


def _only(parts: tuple[Any, ...]) -> Any:
    """A single part is not nested."""
    return parts[0] if len(parts) == 1 else parts


def _processed(tape: Any, samples: NDArray[np.int64]) -> Any:
    """Return what PennyLane makes of samples, one row for each shot, in its nesting."""
    bins = [
        _only(tuple(each.process_samples(samples[low:high], tape.wires) for each in tape.measurements))
        for low, high in tape.shots.bins()
    ]
    return tuple(bins) if tape.shots.has_partitioned_shots else bins[0]


def _columns(shape: Shape, tape: Any) -> list[int]:
    """The angles behind the trainable parameters of a tape."""
    found = []
    for place in tape.trainable_params:
        angle = shape.angle_of[place] if place < len(shape.angle_of) else -1
        if angle < 0:
            raise InvalidValue(
                field="trainable_params",
                value=place,
                rule="the adjoint sweep gives derivatives by angles of gates, not by matrices or weights",
                remedy='Use diff_method="parameter-shift", or mark it as not trainable.',
            )
        found.append(angle)
    return found


def _flat(cotangent: Any, count: int) -> Floats:
    parts = cotangent if isinstance(cotangent, tuple | list) else [cotangent]
    flat = np.concatenate([np.ravel(np.asarray(qml.math.toarray(each), dtype=np.float64)) for each in parts])
    return flat.reshape(count)


def _rows_of(slopes: Floats) -> Callable[[Floats, slice], Floats]:
    def own(_: Floats, rows: slice) -> Floats:
        return slopes[rows]

    return own


def _unbound(reason: str) -> tuple[str, ...]:
    return (f"each binding planned on its own: {reason}",) if reason else ()
