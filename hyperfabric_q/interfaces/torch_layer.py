"""A circuit on a fabric as a module of PyTorch: ``FabricLayer`` where a ``torch.nn.Linear`` may stand.

Numbers go to NumPy and come back: the circuit is evaluated in double precision, on the processor, wherever the tensors
are. Values come back as the tensors went in, in dtype and on their device.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from hyperfabric_q import seeds
from hyperfabric_q.errors import InvalidValue, MissingDependency, UnknownName
from hyperfabric_q.interfaces.layer import Evaluated, Layer, Pulled, with_options
from hyperfabric_q.interfaces.options import FabricLike, FabricOptions

try:
    import torch
    from torch.autograd.function import once_differentiable
except ImportError:
    raise MissingDependency(what="FabricLayer", package="torch", extra="torch") from None


class FabricLayer(torch.nn.Module):  # type: ignore[misc]  # torch need not be there, so that mypy skips it
    """Mean values of observables, as a function of inputs and of weights that are learned.

    Inputs have shape (..., inputs), values (..., observables), of the wider dtype of inputs and weights. Gradients are
    vector-Jacobian products: one adjoint sweep for each row without noise and shots, shift rules otherwise; there are
    none of second order. ``last`` and ``last_backward`` tell what the last pass took: standard errors, Bell pairs,
    shots, fallbacks.

    Attributes:
        weights: shape (weights,), in the order of ``weight_params``, of torch's default dtype at first.
        calls: how many passes there were, each with numbers of its own; it is a part of ``state_dict``, so that
            training goes on after a stop as it would have without.
    """

    weights: torch.nn.Parameter
    calls: torch.Tensor

    def __init__(
        self,
        circuit: Any,
        observables: Any,
        *,
        fabric: FabricLike,
        input_params: Iterable[Any] = (),
        weight_params: Iterable[Any] | None = None,
        initial: Any = None,
        options: FabricOptions | None = None,
        shots: int | None = None,
        noise: str | None = None,
        seed: int | None = None,
    ) -> None:
        """Take a circuit and where it runs.

        Args:
            circuit: with parameters; measurements at its end are left out.
            observables: one or several SparsePauliOp, Pauli or labels: the outputs.
            fabric: a fabric, or a protocol, whose fabric counts as it stands at each pass.
            input_params: parameters, or their names, that take the inputs, in this order.
            weight_params: those that are weights; None = all others, in the circuit's order.
            initial: weights at first; None = from -pi to pi at random, as the seed says.
            options: as of every front door; None = all defaults.
            shots: instead of those of the options.
            noise: instead of that of the options; "none" has the quickest gradients.
            seed: instead of that of the options.

        Raises:
            InvalidValue: a parameter that is neither or both, initial weights that do not fit, or an option out of
                range.
            UnknownName: a parameter that the circuit does not have.
        """
        super().__init__()
        self._layer = Layer(
            circuit, observables, fabric, options=with_options(options, shots=shots, noise=noise, seed=seed)
        )
        names = self._layer.parameters
        inputs = _places("input_params", input_params, names)
        others = [each for place, each in enumerate(names) if place not in inputs]
        learned = _places("weight_params", others if weight_params is None else weight_params, names)
        if sorted([*inputs, *learned]) != list(range(len(names))):
            rule = f"each parameter of the circuit is an input or a weight: {', '.join(names[:12]) or 'there is none'}"
            asked = ([names[place] for place in inputs], [names[place] for place in learned])
            raise InvalidValue(field="input_params, weight_params", value=asked, rule=rule)
        self._places = np.array([*inputs, *learned], dtype=np.int64)
        self._inputs, self._learned = len(inputs), len(learned)
        self._seed = seeds.resolve(self._layer.options.seed)
        self.weights = torch.nn.Parameter(torch.as_tensor(self._initial(initial), dtype=torch.get_default_dtype()))
        self.register_buffer("calls", torch.zeros((), dtype=torch.int64))
        self.last: Evaluated | None = None
        self.last_backward: Pulled | None = None

    def forward(self, inputs: torch.Tensor | None = None) -> torch.Tensor:
        """Return the values, shape (..., observables), at inputs of shape (..., inputs); none where there are none.

        Raises:
            InvalidValue: inputs of another shape, on another device than the weights, or no finite numbers.
            Infeasible: the fabric has no place for the circuit.
        """
        rows = self._checked(inputs)
        call = int(self.calls)
        self.calls += 1
        seed = self._seed if call == 0 else seeds.word(self._seed, "call", call)
        flat = _Pass.apply(rows.reshape(rows.shape[:-1].numel(), self._inputs), self.weights, self, seed)
        shaped: torch.Tensor = flat.reshape(*rows.shape[:-1], self._layer.observables)
        return shaped

    def extra_repr(self) -> str:
        """Return what stands between the brackets of its text."""
        options = self._layer.options
        shots = "exact" if options.shots is None else f"shots={options.shots}"
        sizes = f"inputs={self._inputs}, weights={self._learned}, observables={self._layer.observables}"
        return f"{sizes}, noise={options.noise!r}, {shots}"

    def _initial(self, given: Any) -> Any:
        if given is None:
            return seeds.stream(self._seed, "initial weights").uniform(-np.pi, np.pi, self._learned)
        rule = f"they are {self._learned} finite numbers"
        try:
            found = np.asarray(given.detach().cpu() if isinstance(given, torch.Tensor) else given, dtype=np.float64)
        except (TypeError, ValueError):
            raise InvalidValue(field="initial", value=given, rule=rule) from None
        if found.shape != (self._learned,) or not np.isfinite(found).all():
            raise InvalidValue(field="initial", value=given, rule=rule)
        return found

    def _checked(self, inputs: object) -> torch.Tensor:
        if inputs is None and not self._inputs:
            return self.weights.new_zeros((0,))
        rule = f"they are a real tensor of shape (..., {self._inputs}) on {self.weights.device}, where the weights are"
        if not isinstance(inputs, torch.Tensor):
            raise InvalidValue(field="inputs", value=type(inputs).__name__, rule=rule)
        found = tuple(inputs.shape), inputs.dtype, str(inputs.device)
        if not inputs.ndim or inputs.shape[-1] != self._inputs or not self._inputs:
            raise InvalidValue(field="inputs", value=found, rule=rule)
        if inputs.is_complex() or inputs.device != self.weights.device:
            raise InvalidValue(field="inputs", value=found, rule=rule)
        return inputs

    def _rows(self, inputs: torch.Tensor, weights: torch.Tensor) -> Any:
        """Rows of parameters in the circuit's order, shape (B, P)."""
        given = inputs.detach().to(device="cpu", dtype=torch.float64).numpy()
        learned = weights.detach().to(device="cpu", dtype=torch.float64).numpy()
        rows = np.empty((len(given), len(self._places)))
        rows[:, self._places[: self._inputs]] = given
        rows[:, self._places[self._inputs :]] = learned
        return rows

    def _evaluate(self, inputs: torch.Tensor, weights: torch.Tensor, seed: int) -> Any:
        rows = self._rows(inputs, weights)
        if not len(rows):
            return np.zeros((0, self._layer.observables))
        self.last = self._layer.values(rows, seed=seed)
        return self.last.values

    def _pull(
        self, inputs: torch.Tensor, weights: torch.Tensor, slopes: Any, needs: Sequence[bool], seed: int
    ) -> tuple[Any, Any]:
        """Derivatives of the loss by each input, (B, inputs), and by the weights, (weights,)."""
        rows = self._rows(inputs, weights)
        if not len(rows):
            return np.zeros((0, self._inputs)), np.zeros(self._learned)
        wanted = self._places[np.repeat(np.asarray(needs, dtype=np.bool_), [self._inputs, self._learned])]
        self.last_backward = self._layer.pulled(rows, slopes, wanted=wanted.tolist(), seed=seeds.word(seed, "backward"))
        side_by_side = self.last_backward.gradient[:, self._places]
        return side_by_side[:, : self._inputs], side_by_side[:, self._inputs :].sum(axis=0)


class _Pass(torch.autograd.Function):  # type: ignore[misc]
    """One pass forward, and back."""

    @staticmethod
    def forward(ctx: Any, inputs: torch.Tensor, weights: torch.Tensor, layer: FabricLayer, seed: int) -> torch.Tensor:
        ctx.save_for_backward(inputs, weights)
        ctx.layer, ctx.seed = layer, seed
        found = layer._evaluate(inputs, weights, seed)
        dtype = torch.promote_types(inputs.dtype, weights.dtype)
        return torch.tensor(found, dtype=dtype, device=weights.device)

    @staticmethod
    @once_differentiable  # type: ignore[untyped-decorator]
    def backward(ctx: Any, *slopes: torch.Tensor) -> tuple[torch.Tensor | None, torch.Tensor | None, None, None]:
        inputs, weights = ctx.saved_tensors
        needs = ctx.needs_input_grad[:2]
        given = slopes[0].detach().to(device="cpu", dtype=torch.float64).numpy()
        by_input, by_weight = ctx.layer._pull(inputs, weights, given, needs, ctx.seed)
        return (
            torch.tensor(by_input, dtype=inputs.dtype, device=inputs.device) if needs[0] else None,
            torch.tensor(by_weight, dtype=weights.dtype, device=weights.device) if needs[1] else None,
            None,
            None,
        )


def _places(field: str, asked: Iterable[Any], names: Sequence[str]) -> list[int]:
    """Places of parameters in the circuit's order, of parameters or their names."""
    given = [asked] if isinstance(asked, str) or hasattr(asked, "gradient") else list(asked)
    found = []
    for each in given:
        name = getattr(each, "name", each)
        if name not in names:
            raise UnknownName(kind="parameter", name=str(name), known=tuple(names))
        found.append(names.index(name))
    if len(set(found)) != len(found):
        raise InvalidValue(field=field, value=[names[place] for place in found], rule="each parameter stands once")
    return found
