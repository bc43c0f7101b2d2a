"""One circuit through five doors with one seed: the plan's own run, sampler and estimator, backend, Cirq, PennyLane."""

import math
from collections import Counter

import cirq
import numpy as np
import pytest
from qiskit import QuantumCircuit, transpile
from qiskit.quantum_info import SparsePauliOp

from hyperfabric_q.fabric import Fabric
from hyperfabric_q.interfaces import FabricBackend, FabricCirqSampler, FabricEstimator, FabricOptions, FabricSampler
from hyperfabric_q.interfaces.layer import Layer
from hyperfabric_q.pipeline import plan

FABRIC = Fabric.line([2, 2], communication_qubits=2, pair_fidelity=0.9).replace("nodes.*", readout_error=0.02)
OPTIONS = FabricOptions(seed=5, time_limit_s=0)
SHOTS = 2000
ANGLE = 0.7


def circuit(angle):
    """A GHZ state that interferes; a turn by an angle, unless it is None."""
    made = QuantumCircuit(4)
    made.h(0)
    made.t(0)
    made.h(0)
    for qubit in range(3):
        made.cx(qubit, qubit + 1)
    if angle is not None:
        made.ry(angle, 2)
    made.h(3)
    return made


def in_cirq(angle):
    qubits = cirq.LineQubit.range(4)
    yield from (gate(qubits[0]) for gate in (cirq.H, cirq.T, cirq.H))
    yield from (cirq.CNOT(qubits[place], qubits[place + 1]) for place in range(3))
    if angle is not None:
        yield cirq.ry(angle)(qubits[2])
    yield cirq.H(qubits[3])
    yield cirq.measure(*qubits, key="meas")


def in_pennylane(qml, angle):
    for kind in (qml.Hadamard, qml.T, qml.Hadamard):
        kind(0)
    for place in range(3):
        qml.CNOT([place, place + 1])
    if angle is not None:
        qml.RY(angle, 2)
    qml.Hadamard(3)


def by_door(angle):
    """Counts of each door, by name, in Qiskit's order of bits."""
    measured = circuit(angle)
    measured.measure_all()
    backend = FabricBackend(FABRIC, options=OPTIONS)
    transpiled = transpile(measured, backend, optimization_level=0, seed_transpiler=1)
    records = FabricCirqSampler(FABRIC, options=OPTIONS).run(cirq.Circuit(in_cirq(angle)), repetitions=SHOTS)
    found = {
        "own": plan(measured, FABRIC, seed=5, time_limit_s=0).run(SHOTS, seed=5).counts,
        "sampler": FabricSampler(FABRIC, options=OPTIONS)
        .run([measured], shots=SHOTS)
        .result()[0]
        .data.meas.get_counts(),
        "backend": backend.run(measured, shots=SHOTS).result().get_counts(),
        "transpiled": backend.run(transpiled, shots=SHOTS).result().get_counts(),
        "cirq": Counter("".join(map(str, row[::-1])) for row in records.measurements["meas"]),
    }
    try:
        import pennylane as qml
    except ImportError:
        return found
    from hyperfabric_q.interfaces.pennylane_device import FabricDevice

    def node():
        in_pennylane(qml, angle)
        return qml.counts(wires=[3, 2, 1, 0])

    counts = qml.set_shots(qml.QNode(node, FabricDevice(4, fabric=FABRIC, options=OPTIONS)), SHOTS)()
    found["pennylane"] = {str(key): int(count) for key, count in counts.items()}
    return found


def test_a_circuit_without_angles_has_the_same_shots_behind_every_door():
    found = {name: dict(counts) for name, counts in by_door(None).items()}
    for name, counts in found.items():
        assert counts == found["own"], name


@pytest.mark.slow
def test_a_circuit_with_an_angle_has_counts_that_agree_behind_every_door():
    found = by_door(ANGLE)
    own = found.pop("own")
    # What PennyLane and a transpiled circuit have as an angle is planned for all its values: the same law, other shots.
    for name, counts in found.items():
        assert sum(counts.values()) == SHOTS
        for key in {*own, *counts}:
            one, other = own.get(key, 0), counts.get(key, 0)
            assert abs(one - other) < 5 * math.sqrt(one + other + 1), (name, key)


def test_mean_values_agree_behind_every_door_that_has_some():
    seen = [SparsePauliOp(["ZZII", "IXXI"], [1.0, 0.5]), SparsePauliOp("IZIZ")]
    exact = FabricEstimator(FABRIC, options=OPTIONS).run([(circuit(ANGLE), seen)]).result()[0]
    assert exact.metadata["exact"]
    drawn = plan(circuit(ANGLE), FABRIC, seed=5, time_limit_s=0).run(SHOTS, observables=seen, seed=5)
    assert (np.abs(drawn.evs - exact.data.evs) < 4.5 * drawn.stds).all()
    # The same seed, and no parameters: the same shots.
    shots = FabricEstimator(FABRIC, options=FabricOptions(seed=5, time_limit_s=0, shots=SHOTS))
    again = shots.run([(circuit(ANGLE), seen)]).result()[0].data
    np.testing.assert_array_equal(again.evs, drawn.evs)
    np.testing.assert_array_equal(again.stds, drawn.stds)
    qml = pytest.importorskip("pennylane")
    from hyperfabric_q.interfaces.pennylane_device import FabricDevice

    @qml.qnode(FabricDevice(4, fabric=FABRIC, options=OPTIONS))
    def node():
        in_pennylane(qml, ANGLE)
        first = qml.Z(3) @ qml.Z(2) + 0.5 * qml.X(2) @ qml.X(1)
        return qml.expval(first), qml.expval(qml.Z(2) @ qml.Z(0))

    np.testing.assert_allclose(node(), exact.data.evs, atol=1e-10)


def test_every_door_says_what_it_could_not_do_as_it_was_asked():
    """Exact samples are not to be had, and neither are exact values where they would take too long."""
    measured = circuit(None)
    measured.measure_all()
    result = FabricSampler(FABRIC, options=OPTIONS).run([measured]).result()[0]
    assert "no exact results" in result.metadata["fallbacks"][0]
    assert result.metadata["shots"] == result.data.meas.num_shots == 4096
    wide = Fabric.line([13, 13], communication_qubits=2, pair_fidelity=0.99)
    ghz = QuantumCircuit(26)
    ghz.h(0)
    for qubit in range(25):
        ghz.cx(qubit, qubit + 1)
    seen = SparsePauliOp("Z" * 26)
    value = FabricEstimator(wide, options=FabricOptions(seed=5, time_limit_s=0, noise="links")).run([(ghz, seen)])
    facts = value.result()[0].metadata
    assert "4096 shots instead" in facts["fallbacks"][0]
    assert not facts["exact"]
    layer = Layer(ghz, seen, wide, options=OPTIONS)
    assert "4096 shots instead" in layer.values([[]]).metadata["fallbacks"][0]
