"""Classifiers and regressors made of circuits, with the conventions of scikit-learn, which need not be installed.

Parameters of the constructor are kept as they are and checked by ``fit``; what is learnt ends in an underscore. They
stand in pipelines, grid searches and cross-validation like any other estimator.
"""

from __future__ import annotations

import importlib
import inspect
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from hyperfabric_q.errors import InvalidValue
from hyperfabric_q.seeds import resolve, stream
from hyperfabric_q.workloads.learning.ansatz import reuploading
from hyperfabric_q.workloads.learning.network import Network
from hyperfabric_q.workloads.learning.on_fabric import OnFabric
from hyperfabric_q.workloads.learning.sources import Ideal
from hyperfabric_q.workloads.learning.training import Fitted, Head, cross_entropy, minimised, softmax, squared_error
from hyperfabric_q.workloads.learning.turns import Floats

INITIAL = 0.5
"""Weights begin between minus and plus this: circuits near the identity have gradients (arXiv:1903.05076)."""


class _Model:
    """What classifiers and regressors share."""

    kind: str
    n_features_in_: int
    network_: Network
    fitted_: Fitted
    seed_: int

    def __init__(
        self,
        circuit: Any = None,
        inputs: Any = None,
        observables: Any = None,
        *,
        qubits: int | None = None,
        layers: int = 2,
        fabric: Any = None,
        noise: str = "none",
        homes: Any = None,
        shots: int | None = None,
        gradient: str = "auto",
        optimizer: str = "L-BFGS-B",
        max_iter: int = 100,
        tol: float = 1e-6,
        alpha: float = 0.0,
        seed: int | None = None,
    ) -> None:
        """Keep the options; ``fit`` checks them.

        Args:
            circuit: its parameters are features and weights; None = ``ansatz.reuploading`` of the features.
            inputs: the parameters that are features, one for each, in their order; needed with ``circuit``.
            observables: one for each class, or for each target; None = Z of the first qubits, then X, then ZZ.
            qubits: of the circuit where none is given.
            layers: of the circuit where none is given.
            fabric: QPU nodes that the circuit is distributed over; None = whole state vectors.
            noise: "none", "links" or "fabric", see ``OnFabric``.
            homes: node id of each qubit; None lets the partitioner choose.
            shots: of each basis at each angle; None = exact mean values.
            gradient: "auto", "adjoint", "parameter_shift" or "spsa".
            optimizer: a method of ``scipy.optimize.minimize``, with or without gradients.
            max_iter: its most iterations.
            tol: its tolerance.
            alpha: weight of the mean square of the weights in the loss.
            seed: of the first weights, and of shots, which are the same draws at every step.
        """
        self.circuit = circuit
        self.inputs = inputs
        self.observables = observables
        self.qubits = qubits
        self.layers = layers
        self.fabric = fabric
        self.noise = noise
        self.homes = homes
        self.shots = shots
        self.gradient = gradient
        self.optimizer = optimizer
        self.max_iter = max_iter
        self.tol = tol
        self.alpha = alpha
        self.seed = seed

    # ------------------------------------------------------------------------------------------------------ conventions

    def get_params(self, deep: bool = True) -> dict[str, Any]:  # noqa: ARG002, FBT001, FBT002 - scikit-learn's signature
        """Return the options by name."""
        return {name: getattr(self, name) for name in inspect.signature(_Model.__init__).parameters if name != "self"}

    def set_params(self, **params: Any) -> Self:
        """Return the model with other options.

        Raises:
            InvalidValue: there is no such option.
        """
        known = self.get_params()
        for name, value in params.items():
            if name not in known:
                raise InvalidValue(field=name, value=value, rule=f"options are {', '.join(known)}")
            setattr(self, name, value)
        return self

    def __sklearn_tags__(self) -> Any:
        """Return what scikit-learn wants to know of an estimator; only scikit-learn asks."""
        utils: Any = importlib.import_module("sklearn.utils")
        target = utils.TargetTags(required=True)
        own: dict[str, Any] = {f"{self.kind}_tags": getattr(utils, f"{self.kind.capitalize()}Tags")()}
        return utils.Tags(estimator_type=self.kind, target_tags=target, **own)

    def __repr__(self) -> str:
        default = inspect.signature(_Model.__init__).parameters
        said = [f"{name}={value!r}" for name, value in self.get_params().items() if value is not default[name].default]
        return f"{type(self).__name__}({', '.join(said)})"

    # ----------------------------------------------------------------------------------------------------------- shared

    @property
    def loss_curve_(self) -> tuple[float, ...]:
        """The loss at each iteration."""
        return self._learnt().losses

    def _made(self, samples: Floats, outputs: int) -> Network:
        """The network of the options, with one mean value for each output."""
        self.seed_ = resolve(self.seed)
        circuit, inputs = self.circuit, self.inputs
        if circuit is None:
            circuit, inputs, _ = reuploading(samples.shape[1], qubits=self.qubits, layers=self.layers)
        elif inputs is None:
            raise InvalidValue(field="inputs", value=None, rule="a circuit comes with the parameters that are features")
        inputs = list(inputs)
        if len(inputs) != samples.shape[1]:
            rule = f"there is one for each of the {samples.shape[1]} features"
            raise InvalidValue(field="inputs", value=len(inputs), rule=rule)
        observables = self.observables
        if observables is None:
            observables = _usual_observables(outputs, circuit.num_qubits)
        if self.fabric is None:
            if self.noise != "none":
                raise InvalidValue(field="noise", value=self.noise, rule="noise is that of a fabric, and none is given")
            source: Any = Ideal.of(circuit, observables)
        else:
            source = OnFabric.of(circuit, observables, self.fabric, homes=self.homes, noise=self.noise, seed=self.seed_)
        if len(source.sums) != outputs:
            rule = f"{outputs} observables are needed: one for each class, or each target"
            raise InvalidValue(field="observables", value=len(source.sums), rule=rule)
        return Network.of(source, inputs, shots=self.shots, method=self.gradient)

    def _fitted(self, samples: Floats, outputs: int, loss: Any, first: Head) -> None:
        network = self._made(samples, outputs)
        begun = stream(self.seed_, "learning", "weights").uniform(-INITIAL, INITIAL, len(network.weights))
        fitted = minimised(
            network,
            samples,
            loss,
            weights=begun,
            head=first,
            optimizer=self.optimizer,
            max_iter=self.max_iter,
            tol=self.tol,
            alpha=self.alpha,
            seed=self.seed_,
        )
        self.network_, self.fitted_, self.n_features_in_ = network, fitted, samples.shape[1]

    def _learnt(self) -> Fitted:
        if not hasattr(self, "fitted_"):
            rule = "it is not fitted, so that it knows nothing yet"
            raise InvalidValue(field="model", value=type(self).__name__, rule=rule, remedy="Call fit first.")
        return self.fitted_

    def _outputs(self, samples: Any) -> Floats:
        """What the head makes of the mean values, shape (B, outputs)."""
        fitted = self._learnt()
        rows = _samples(samples)
        if rows.shape[1] != self.n_features_in_:
            rule = f"it was fitted to samples of {self.n_features_in_} features"
            raise InvalidValue(field="X", value=rows.shape, rule=rule)
        return fitted.head.outputs(self.network_.values(rows, fitted.weights, seed=self.seed_))


class VariationalClassifier(_Model):
    """A classifier: softmax of scaled mean values, one observable for each class, fitted by cross-entropy."""

    kind = "classifier"
    _estimator_type = "classifier"
    classes_: NDArray[Any]

    def fit(self, X: Any, y: Any) -> Self:  # noqa: N803 - scikit-learn's names
        """Return the model, fitted to samples X (B, features) and their labels y (B,).

        Raises:
            InvalidValue: samples or an option that it cannot learn from.
        """
        samples = _samples(X)
        labels = _targets(y, samples)
        if labels.ndim != 1:
            raise InvalidValue(field="y", value=labels.shape, rule="there is one label for each sample")
        self.classes_, codes = np.unique(labels, return_inverse=True)
        if len(self.classes_) < 2:
            raise InvalidValue(field="y", value=len(self.classes_), rule="there are at least two classes")
        wanted = np.eye(len(self.classes_))[codes.reshape(-1)]
        self._fitted(samples, len(self.classes_), cross_entropy(wanted), Head.of(len(self.classes_), scale=2.0))
        return self

    def predict_proba(self, X: Any) -> Floats:  # noqa: N803
        """Return the chance of each class for each sample, shape (B, classes)."""
        return softmax(self._outputs(X))

    def predict(self, X: Any) -> NDArray[Any]:  # noqa: N803
        """Return the likeliest class of each sample, shape (B,)."""
        outputs = self._outputs(X)
        return np.asarray(self.classes_[outputs.argmax(axis=1)])

    def score(self, X: Any, y: Any) -> float:  # noqa: N803
        """Return the share of samples whose class is predicted right."""
        return float(np.mean(self.predict(X) == np.asarray(y)))


class VariationalRegressor(_Model):
    """A regressor: scaled and shifted mean values, one observable for each target, fitted by squared error."""

    kind = "regressor"
    _estimator_type = "regressor"

    def fit(self, X: Any, y: Any) -> Self:  # noqa: N803
        """Return the model, fitted to samples X (B, features) and targets y (B,) or (B, targets).

        Raises:
            InvalidValue: samples or an option that it cannot learn from.
        """
        samples = _samples(X)
        try:
            targets = _targets(y, samples).astype(np.float64)
        except (TypeError, ValueError):
            targets = np.array(np.nan)
        if targets.ndim not in {1, 2} or not np.isfinite(targets).all():
            raise InvalidValue(field="y", value=y, rule="targets are finite numbers, a row of them for each sample")
        self._flat = targets.ndim == 1
        wanted = targets.reshape(len(samples), -1)
        scale = float(np.std(wanted)) or 1.0
        head = Head(scale=np.log(2 * scale), bias=wanted.mean(axis=0))
        # In units of the targets' own variance, tolerances mean the same for all targets.
        self._fitted(samples, wanted.shape[1], squared_error(wanted, unit=scale), head)
        return self

    def predict(self, X: Any) -> Floats:  # noqa: N803
        """Return the targets of each sample, in the shape that ``fit`` had them in."""
        outputs = self._outputs(X)
        return outputs[:, 0] if self._flat else outputs

    def score(self, X: Any, y: Any) -> float:  # noqa: N803
        """Return the coefficient of determination R^2, the mean over targets; 1 is the best."""
        found = np.asarray(self.predict(X)).reshape(len(X), -1)
        wanted = np.asarray(y, dtype=np.float64).reshape(len(X), -1)
        left = ((wanted - found) ** 2).sum(axis=0)
        whole = ((wanted - wanted.mean(axis=0)) ** 2).sum(axis=0)
        exact = np.where(left == 0, 1.0, 0.0)
        return float(np.where(whole > 0, 1 - left / np.where(whole > 0, whole, 1.0), exact).mean())


def _usual_observables(count: int, qubits: int) -> list[str]:
    """Z of each qubit, then X, then ZZ of two, as many as are needed."""
    found = [f"{letter}@{qubit}" for letter in "ZX" for qubit in range(qubits)]
    found += [f"ZZ@{low},{high}" for high in range(qubits) for low in range(high)]
    if count > len(found):
        rule = f"{qubits} qubits have {len(found)} observables of their own; {count} are needed"
        raise InvalidValue(field="qubits", value=qubits, rule=rule, remedy="Take more qubits, or give observables.")
    return found[:count]


def _samples(given: Any) -> Floats:
    try:
        rows = np.array(np.nan) if np.iscomplexobj(given) else np.asarray(given, dtype=np.float64)
    except (TypeError, ValueError):
        rows = np.array(np.nan)
    if rows.ndim != 2 or not rows.size or not np.isfinite(rows).all():
        shape = np.shape(given) if isinstance(given, np.ndarray) else given
        raise InvalidValue(field="X", value=shape, rule="samples are rows of finite numbers, one for each feature")
    return np.ascontiguousarray(rows)


def _targets(given: Any, samples: Floats) -> NDArray[Any]:
    found = np.asarray(given)
    if found.ndim == 0 or len(found) != len(samples):
        raise InvalidValue(field="y", value=found.shape, rule=f"there is one for each of {len(samples)} samples")
    return found
