"""``FabricLayer`` is a module of PyTorch: gradients that gradcheck accepts, and training that goes on after a stop."""

import copy
import importlib
import importlib.util

import numpy as np
import pytest
from qiskit import QuantumCircuit
from qiskit.circuit import ParameterVector

from hyperfabric_q.errors import InvalidValue, UnknownName
from hyperfabric_q.fabric import Fabric
from hyperfabric_q.interfaces import FabricOptions
from hyperfabric_q.workloads.learning.gradients import gradient
from hyperfabric_q.workloads.learning.sources import Ideal

pytestmark = pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="torch is not installed")


class Late:
    """A module that is imported when it is first used: it takes seconds, and every worker collects this file."""

    def __init__(self, name):
        self.name = name

    def __getattr__(self, attribute):
        if attribute.startswith("_") or "pytest" in attribute:  # pytest asks whether it is a fixture
            raise AttributeError(attribute)
        return getattr(importlib.import_module(self.name), attribute)


torch, layer_module = Late("torch"), Late("hyperfabric_q.interfaces.torch_layer")
FABRIC = Fabric.line([1, 1], communication_qubits=1, pair_fidelity=0.95)
QUICK = FabricOptions(time_limit_s=0, noise="none", seed=3)
W, X = ParameterVector("w", 5), ParameterVector("x", 2)


def circuit():
    """Names of inputs sort behind those of weights, as rows do not."""
    made = QuantumCircuit(2)
    made.ry(X[0], 0)
    made.rx(X[1], 1)
    made.ry(W[0], 0)
    made.ry(W[1] + X[0], 1)
    made.cx(0, 1)
    made.crx(W[2], 1, 0)
    made.rz(W[3], 0)
    made.ry(W[4], 0)
    return made


def layer(**given):
    known = {"fabric": FABRIC, "input_params": [X[1], "x[0]"], "options": QUICK}
    return layer_module.FabricLayer(circuit(), ["ZI", "XZ"], **known | given)


def inputs(rows):
    generator = torch.Generator().manual_seed(1)
    return torch.rand(rows, 2, generator=generator, dtype=torch.float64, requires_grad=True)


def test_values_and_gradients_are_those_of_the_circuit():
    made, given = layer().double(), inputs(3)
    found = made(given)
    # The order of the inputs is the one that was asked for: x[1] first.
    values = given.detach().numpy()
    rows = np.column_stack([np.broadcast_to(made.weights.detach().numpy(), (3, 5)), values[:, ::-1]])
    exact = gradient(Ideal.of(circuit(), ["ZI", "XZ"]), rows)
    np.testing.assert_allclose(found.detach().numpy(), exact.values, atol=1e-12)
    slopes = torch.tensor([[0.3, -1.0], [0.5, 0.2], [0.0, 2.0]], dtype=torch.float64)
    (found * slopes).sum().backward()
    wanted = np.einsum("bm,bmp->bp", slopes.numpy(), exact.gradient)
    np.testing.assert_allclose(made.weights.grad.numpy(), wanted[:, :5].sum(axis=0), atol=1e-10)
    np.testing.assert_allclose(given.grad.numpy(), wanted[:, [6, 5]], atol=1e-10)


@pytest.mark.parametrize("noise", ["none", "links"])
def test_gradcheck_passes(noise):
    made = layer(noise=noise).double()

    def value(given, weights):
        return torch.func.functional_call(made, {"weights": weights}, (given,))

    assert torch.autograd.gradcheck(value, (inputs(1), made.weights))


def test_shapes_dtypes_and_copies_are_as_of_a_linear_layer():
    made = layer()
    assert made.weights.dtype == torch.get_default_dtype()
    assert made(torch.zeros(2)).shape == (2,)
    assert made(torch.zeros(4, 3, 2)).shape == (4, 3, 2)
    assert made(torch.zeros(0, 2)).shape == (0, 2)
    assert made(torch.zeros(1, 2)).dtype == torch.float32
    assert made(torch.zeros(1, 2, dtype=torch.float64)).dtype == torch.float64
    assert made.double()(torch.zeros(1, 2)).dtype == torch.float64
    other = copy.deepcopy(made)
    with torch.no_grad():
        other.weights += 1
    assert (other(torch.ones(1, 2)) != made(torch.ones(1, 2))).all()
    alone = layer_module.FabricLayer(circuit(), "ZZ", fabric=FABRIC, options=QUICK)
    assert alone().shape == (1,)
    alone().backward()
    assert alone.weights.grad.shape == (7,)
    assert "weights=5" in repr(made)


def test_only_what_needs_a_gradient_is_shifted():
    made = layer(noise="links").double()
    made(inputs(1)).sum().backward()
    every = made.last_backward.metadata["bindings"]
    made.weights.requires_grad = False
    made(inputs(1)).sum().backward()
    # The two inputs turn three angles.
    assert made.last_backward.metadata["bindings"] == 2 * 3 < every
    with torch.no_grad():
        assert not made(inputs(1)).requires_grad


def train(model, optimiser, steps):
    given = inputs(6).detach().float()
    wanted = torch.sin(3 * given[:, :1])
    losses = []
    for _ in range(steps):
        optimiser.zero_grad()
        loss = torch.nn.functional.mse_loss(model(given), wanted)
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    return losses


def model(**given):
    torch.manual_seed(0)
    made = torch.nn.Sequential(torch.nn.Linear(2, 2), layer(**given), torch.nn.Linear(2, 1))
    return made, torch.optim.Adam(made.parameters(), lr=0.1)


def test_training_lowers_the_loss_and_equal_seeds_train_alike():
    losses = train(*model(), 15)
    assert losses[-1] < 0.3 * losses[0]
    assert train(*model(), 3) == losses[:3]


def test_training_with_shots_goes_on_after_a_stop_as_it_would_have_without():
    whole, optimiser = model(shots=20)
    train(whole, optimiser, 3)
    first, its = model(shots=20)
    train(first, its, 2)
    kept = copy.deepcopy((first.state_dict(), its.state_dict()))
    second, other = model(shots=20)
    second.load_state_dict(kept[0])
    other.load_state_dict(kept[1])
    train(second, other, 1)
    for one, same in zip(whole.parameters(), second.parameters(), strict=True):
        assert torch.equal(one, same)
    assert whole[1].last.metadata["shots"] == 20 * 2 * 6
    assert (whole[1].last.errors > 0).all()


def test_each_pass_draws_shots_of_its_own():
    made = layer(shots=50)
    given = torch.full((1, 2), 0.4)
    assert (made(given) != made(given)).any()


def test_there_is_no_second_derivative_and_that_is_said():
    made, given = layer().double(), inputs(1)
    (first,) = torch.autograd.grad((made(given) ** 2).sum(), given, create_graph=True)
    with pytest.raises(RuntimeError, match="differentiat"):
        first.sum().backward()


def test_wrong_parameters_and_inputs_are_refused():
    with pytest.raises(UnknownName):
        layer(input_params=["y"])
    for given in (
        {"input_params": X, "weight_params": list(W)[1:]},
        {"input_params": X, "weight_params": [*W, X[0]]},
        {"input_params": [X[0], X[0]]},
        {"initial": [0.0]},
        {"initial": [float("nan")] * 5},
        {"shots": 0},
        {"noise": "loud"},
        {"fabric": None},
    ):
        with pytest.raises(InvalidValue):
            layer(**given)
    made = layer()
    bad = [
        torch.zeros(2, 3),
        torch.zeros(()),
        torch.zeros(1, 2) * 1j,
        np.zeros((1, 2)),
        None,
        torch.full((1, 2), torch.nan),
    ]
    for given in [*bad, torch.zeros(1, 2, device="meta")]:
        with pytest.raises(InvalidValue):
            made(given)
