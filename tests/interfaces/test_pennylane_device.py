"""``hyperfabric.qubit`` gives what PennyLane's own simulator gives, of circuits over several nodes."""

import importlib
import importlib.util

import numpy as np
import pytest

from hyperfabric_q.errors import InvalidValue, UnsupportedOperation
from hyperfabric_q.fabric import Fabric
from hyperfabric_q.interfaces import FabricOptions
from hyperfabric_q.protocol import HyperFabricProtocol

pytestmark = pytest.mark.skipif(importlib.util.find_spec("pennylane") is None, reason="PennyLane is not installed")


class Late:
    """A module that is imported when it is first used: it takes seconds, and every worker collects this file."""

    def __init__(self, name):
        self.name = name

    def __getattr__(self, attribute):
        if attribute.startswith("_") or "pytest" in attribute:  # pytest asks whether it is a fixture
            raise AttributeError(attribute)
        return getattr(importlib.import_module(self.name), attribute)


qml, pnp = Late("pennylane"), Late("pennylane.numpy")
door_module, tape_module = (Late(f"hyperfabric_q.interfaces.pennylane_{name}") for name in ("device", "tape"))
FABRIC = Fabric.line([2, 2], communication_qubits=2, pair_fidelity=0.93)
QUICK = FabricOptions(time_limit_s=0, noise="none", seed=3)


def chosen():
    return pnp.array(np.random.default_rng(0).uniform(-2, 2, (4, 3)), requires_grad=True)


def device(wires=4, **given):
    return door_module.FabricDevice(wires, **{"fabric": FABRIC, "options": QUICK} | given)


def reference(wires=4):
    return qml.device("default.qubit", wires=wires)


def body(angles):
    for wire in range(4):
        qml.Rot(*angles[wire], wire)
    for wire in range(3):
        qml.CNOT([wire, wire + 1])
    qml.CRot(angles[0, 1], 0.2, angles[3, 0], [3, 1])
    qml.ctrl(qml.RY(angles[1, 2] * angles[0, 0], 2), [0])
    # Of wires in no order: a matrix that is not symmetric under their exchange.
    qml.QubitUnitary(qml.matrix(qml.CRX(0.3, [0, 1])), [3, 1])


def energies(angles):
    body(angles)
    return qml.expval(qml.Z(0) @ qml.X(1) + 0.5 * qml.Y(2)), qml.expval(qml.Z(3))


def others(angles):
    body(angles)
    return qml.probs([2, 0]), qml.var(qml.X(1) @ qml.Y(3)), qml.probs(range(4)), qml.expval(qml.Z(1))


def total(door, qfunc=energies, **given):
    return lambda angles: sum(pnp.sum(each) for each in qml.QNode(qfunc, door, **given)(angles))


def test_exact_results_are_those_of_default_qubit():
    door = device()
    for qfunc in (energies, others):
        found, wanted = (qml.QNode(qfunc, each)(chosen()) for each in (door, reference()))
        for one, other in zip(found, wanted, strict=True):
            np.testing.assert_allclose(one, other, atol=1e-12)
    (facts,) = door.metadata
    assert facts["nodes"] == ["qpu-0", "qpu-1"]
    assert facts["bell_pairs_per_shot"] >= 1
    assert facts["fallbacks"] == []


def test_every_gate_of_the_table_is_the_one_of_pennylane():
    for name in [*tape_module.TURNS, *tape_module.FIXED]:
        bare = name.removeprefix("Adjoint(").removesuffix(")")
        kind = getattr(qml, bare)
        wires = range(kind.num_wires or 1)
        gate = kind(0.7, wires) if name in tape_module.TURNS else kind(wires)
        gate = qml.adjoint(gate) if bare != name else gate
        assert gate.name == name
        assert tape_module.accepted(gate)

        def qfunc(gate=gate):
            for wire in range(3):
                qml.Rot(0.3 + wire, 1.1, -0.7 * wire, wire)
            qml.apply(gate)
            return [qml.expval(letter(wire)) for wire in range(3) for letter in (qml.X, qml.Y, qml.Z)]

        wanted = qml.QNode(qfunc, reference(3))()
        shape, angles = tape_module.Tapes().read(_tape(qfunc))
        assert len(angles) == len(shape.circuit.parameters)
        found = _means(shape, angles)
        np.testing.assert_allclose(found, wanted, atol=1e-12, err_msg=name)


def _tape(qfunc):
    tape = qml.tape.make_qscript(qfunc)()
    (found,), _ = qml.devices.preprocess.decompose(tape, tape_module.accepted, skip_initial_state_prep=False)
    return found


def _means(shape, angles):
    from qiskit.quantum_info import Statevector

    state = Statevector(shape.circuit.assign_parameters(angles))
    return [state.expectation_value(each).real for each in shape.operators]


@pytest.mark.parametrize("method", ["best", "adjoint", "parameter-shift"])
def test_gradients_are_those_of_default_qubit(method):
    wanted = qml.grad(total(reference()))(chosen())
    np.testing.assert_allclose(qml.grad(total(device(), diff_method=method))(chosen()), wanted, atol=1e-10)


def test_the_jacobian_of_the_device_is_that_of_default_qubit():
    def stacked(door, **given):
        return lambda angles: pnp.stack(qml.QNode(energies, door, **given)(angles))

    wanted = qml.jacobian(stacked(reference()))(chosen())
    found = qml.jacobian(stacked(device(), diff_method="adjoint", device_vjp=False))(chosen())
    np.testing.assert_allclose(found, wanted, atol=1e-10)


def test_what_the_adjoint_sweep_cannot_do_goes_through_shifts():
    door = device()
    wanted = qml.grad(total(reference(), others))(chosen())
    np.testing.assert_allclose(qml.grad(total(door, others))(chosen()), wanted, atol=1e-10)
    with pytest.raises(qml.exceptions.QuantumFunctionError, match="adjoint"):
        qml.QNode(others, door, diff_method="adjoint")(chosen())
    with pytest.raises(qml.exceptions.QuantumFunctionError, match="adjoint"):
        qml.QNode(energies, device(noise="links"), diff_method="adjoint")(chosen())
    assert not device(noise="links").supports_derivatives()


def test_with_imperfect_pairs_shifts_give_the_derivatives_of_the_noisy_values():
    door = device(2, fabric=Fabric.line([1, 1], communication_qubits=1, pair_fidelity=0.9), noise="links")

    @qml.qnode(door)
    def value(angle):
        qml.RY(angle, 0)
        qml.CNOT([0, 1])
        return qml.expval(qml.Z(0) @ qml.Z(1)), qml.expval(qml.Z(1))

    # A Werner pair flips the target with chance 2 (1 - F) / 3; ZZ is 1 otherwise, Z cos(angle).
    kept = 1 - 2 * 2 * 0.1 / 3
    found = value(pnp.array(0.7, requires_grad=True))
    np.testing.assert_allclose(found, [kept, kept * np.cos(0.7)], atol=1e-12)
    slope = qml.grad(lambda angle: value(angle)[1])(pnp.array(0.7, requires_grad=True))
    assert slope == pytest.approx(-kept * np.sin(0.7), abs=1e-10)
    assert len(door.metadata) == 2  # the shifted circuits, in one batch
    assert {each["bindings"] for each in door.metadata} == {2}


def test_shots_follow_the_exact_results_and_seeds_reproduce_them():
    def measured(angles):
        body(angles)
        seen = qml.Z(0) @ qml.X(1) + 0.5 * qml.Y(2)
        return qml.expval(seen), qml.probs([2, 0]), qml.counts(wires=[0, 1]), qml.sample(qml.Z(3)), qml.var(qml.X(1))

    def exact(angles):
        body(angles)
        seen = qml.Z(0) @ qml.X(1) + 0.5 * qml.Y(2)
        return qml.expval(seen), qml.probs([2, 0]), qml.probs([0, 1]), qml.expval(qml.Z(3)), qml.var(qml.X(1))

    first, again = (qml.set_shots(qml.QNode(measured, device()), 4000)(chosen()) for _ in range(2))
    value, chances, counts, samples, variance = first
    wanted = qml.QNode(exact, reference())(chosen())
    assert abs(value - wanted[0]) < 4 * 1.5 / np.sqrt(4000)
    np.testing.assert_allclose(chances, wanted[1], atol=4 * 0.5 / np.sqrt(4000))
    listed = [counts.get(format(code, "02b"), 0) / 4000 for code in range(4)]
    np.testing.assert_allclose(listed, wanted[2], atol=4 * 0.5 / np.sqrt(4000))
    assert samples.shape == (4000,)
    assert abs(samples.mean() - wanted[3]) < 4 / np.sqrt(4000)
    assert abs(variance - wanted[4]) < 0.1
    assert counts == again[2]
    np.testing.assert_array_equal(samples, again[3])


def test_each_batch_draws_shots_of_its_own_and_shot_vectors_are_nested():
    node = qml.set_shots(qml.QNode(energies, device()), (100, 40, 40))
    first, second = node(chosen()), node(chosen())
    assert [len(each) for each in first] == [2, 2, 2]
    assert first != second


def test_broadcast_angles_are_one_batch_with_one_plan():
    door = device()

    def qfunc(angles):
        qml.RX(angles, 0)
        qml.CNOT([0, 3])
        return qml.expval(qml.Y(0) @ qml.X(3)), qml.expval(qml.Z(3))

    rows = np.linspace(-1, 1, 5)
    found = qml.QNode(qfunc, door)(rows)
    np.testing.assert_allclose(found, qml.QNode(qfunc, reference())(rows), atol=1e-12)
    assert [each["bindings"] for each in door.metadata] == [5] * 5
    assert len({each["seed"] for each in door.metadata}) == 5


def test_measurements_in_the_middle_are_deferred():
    @qml.qnode(device(None))
    def teleported(angle):
        qml.RY(angle, "a")
        seen = qml.measure("a")
        qml.cond(seen, qml.X)("b")
        return qml.expval(qml.Z("b"))

    assert teleported(0.7) == pytest.approx(np.cos(0.7), abs=1e-12)


def test_a_protocol_is_a_fabric_as_it_stands():
    found = qml.QNode(energies, device(fabric=HyperFabricProtocol(FABRIC)))(chosen())
    np.testing.assert_allclose(found, qml.QNode(energies, reference())(chosen()), atol=1e-12)


def _returns(measurement, *gates):
    def qfunc():
        qml.CNOT([0, 1])
        for gate in gates:
            qml.apply(gate)
        return qml.apply(measurement)

    return qfunc


def test_what_has_no_value_here_is_refused():
    with qml.QueuingManager.stop_recording():
        hermitian = qml.Hermitian(np.eye(2), 0)
        asked = {
            "state": qml.state(),
            "Hermitian": qml.expval(hermitian),
            "10 wires": qml.probs(wires=range(11)),
            "variance": qml.var(qml.Z(0) + qml.X(1)),
            "counts": qml.counts(),
            "purity": qml.purity([0]),
        }
        nan = qml.RX(float("nan"), 0)
        opaque = qml.operation.Operation(wires=[0, 1, 2])
    for said, measurement in asked.items():
        with pytest.raises(InvalidValue, match=said):
            qml.QNode(_returns(measurement), device(11))()
    with pytest.raises(InvalidValue, match="finite"):
        qml.QNode(_returns(qml.expval(qml.Z(0)), nan), device())()
    tape = qml.tape.QuantumScript([opaque], [qml.expval(qml.Z(0))])
    with pytest.raises(UnsupportedOperation, match="neither"):
        device().execute(tape)


@pytest.mark.parametrize(
    "given",
    [{"fabric": None}, {"fabric": "line"}, {"options": FabricOptions(shots=10)}, {"noise": "loud"}, {"seed": -1}],
)
def test_a_device_without_fabric_or_with_wrong_options_is_refused(given):
    with pytest.raises(InvalidValue):
        device(**given)


def test_derivatives_by_what_is_no_angle_are_refused_and_not_wrong():
    tape = qml.tape.QuantumScript(
        [qml.RX(0.3, 0), qml.QubitUnitary(np.eye(2), 1)], [qml.expval(qml.Z(0))], trainable_params=[1]
    )
    with pytest.raises(InvalidValue, match="angles of gates"):
        device().compute_derivatives(tape)
    with pytest.raises(InvalidValue, match="noiseless"):
        device(noise="links").compute_derivatives(tape)
    weighted = qml.tape.QuantumScript([qml.RX(0.3, 0)], [qml.expval(0.5 * qml.Z(0))], trainable_params=[0, 1])
    assert not device().supports_derivatives(None, weighted)
