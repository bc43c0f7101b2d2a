"""``FabricBackend`` is a device to Qiskit, and a plan with the user's placement to us."""

import asyncio
import math

import pytest
from qiskit import ClassicalRegister, QuantumCircuit, generate_preset_pass_manager, transpile
from qiskit.circuit import Parameter
from qiskit.primitives import BackendEstimatorV2, BackendSamplerV2
from qiskit.quantum_info import Statevector

from hyperfabric_q.errors import InvalidValue
from hyperfabric_q.fabric import Fabric
from hyperfabric_q.interfaces import FabricBackend, FabricOptions

PERFECT = Fabric.line([2, 2], communication_qubits=2, pair_fidelity=1.0)
NOISY = PERFECT.replace("links.*", pair_fidelity=0.9).replace(
    "nodes.*", gate_error_1q=1e-4, gate_error_2q=0.01, readout_error=0.02, gate_2q_ns=300.0
)


def backend(fabric=PERFECT, **given):
    return FabricBackend(fabric, options=FabricOptions(**{"time_limit_s": 0, "seed": 5} | given))


def adder():
    """A known answer, total 100 and flag 1, that needs every bit in its place and the flip by feed-forward."""
    total, flag = ClassicalRegister(3, "total"), ClassicalRegister(1, "flag")
    circuit = QuantumCircuit(4)
    circuit.add_register(flag, total)
    circuit.x([0, 1])
    circuit.ccx(0, 1, 2)
    circuit.cx(1, 0)
    circuit.measure(2, flag[0])
    with circuit.if_test((flag, 1)):
        circuit.x(1)
    circuit.cx(2, 3)
    circuit.measure([0, 1, 3], total)
    return circuit


def test_the_target_has_edges_within_nodes_between_linked_nodes_and_no_others():
    fabric = Fabric.line([2, 1, 1], communication_qubits=1, pair_fidelity=0.9).replace("nodes.*", gate_error_2q=0.01)
    target = backend(fabric).target
    edges = {tuple(sorted(edge)) for edge in target["cz"]}
    assert edges == {(0, 1), (0, 2), (1, 2), (2, 3)}
    assert target["cz"][0, 1].error == 0.01
    assert target["cz"][0, 2].error == pytest.approx(1 - (1 - 0.8 * 0.1) * 0.99**2)
    assert target.instruction_supported("if_else", (0, 1))
    assert backend(fabric).node_of == ("qpu-0", "qpu-0", "qpu-1", "qpu-2")


def test_figures_that_are_stated_are_in_the_target():
    target = backend(NOISY).target
    assert target["u"][0,].error == 1e-4
    assert target["measure"][3,].error == 0.02
    assert target["cz"][0, 1].duration == pytest.approx(300e-9)
    assert target["cz"][1, 2].duration == pytest.approx(600e-9)


@pytest.mark.parametrize("level", [0, 1, 3])
def test_transpiled_circuits_give_the_known_answer(level):
    device = backend()
    circuit = transpile(adder(), device, optimization_level=level, seed_transpiler=2)
    result = device.run(circuit, shots=100).result()
    assert result.get_counts() == {"100 1": 100}
    assert device.run(adder(), shots=100, memory=True).result().get_memory() == ["100 1"] * 100


def test_a_transpiled_circuit_keeps_its_qubits_on_their_nodes():
    device = backend()
    circuit = QuantumCircuit(2, 2)
    circuit.h(0)
    circuit.cx(0, 1)
    circuit.measure([0, 1], [0, 1])
    across = transpile(circuit, device, initial_layout=[0, 3], optimization_level=0)
    within = transpile(circuit, device, initial_layout=[2, 3], optimization_level=0)
    headers = [device.run(each, shots=10).result().results[0].header["hyperfabric"] for each in (across, within)]
    assert [header["homes"] for header in headers] == [["qpu-0", "qpu-1"], ["qpu-1", "qpu-1"]]
    assert [header["bell_pairs_per_shot"] for header in headers] == [1, 0]


def test_qiskits_own_primitives_run_on_it():
    device = backend()
    a = Parameter("a")
    circuit = QuantumCircuit(2)
    circuit.ry(a, 0)
    circuit.cx(0, 1)
    measured = circuit.measure_all(inplace=False)
    manager = generate_preset_pass_manager(1, backend=device, seed_transpiler=1)
    data = BackendSamplerV2(backend=device).run([(manager.run(measured), [math.pi])], shots=50).result()[0].data
    assert data.meas.get_counts() == {"11": 50}
    wanted = Statevector(circuit.assign_parameters([0.8])).probabilities()[3]
    job = BackendEstimatorV2(backend=device).run([(circuit, "ZI", [0.8])], precision=0.02)
    assert float(job.result()[0].data.evs) == pytest.approx(1 - 2 * wanted, abs=0.1)


async def test_several_circuits_loose_bits_and_no_measurements():
    device = backend(shots=25)
    plain = QuantumCircuit(2)
    plain.x(1)
    loose = QuantumCircuit(1, name="loose")
    loose.add_bits([ClassicalRegister(1, "gone")[0]])
    loose.x(0)
    loose.measure(0, 0)
    job = device.run([plain, loose])
    result = await asyncio.wait_for(job, 60)
    assert result.get_counts(0) == {"10": 25}
    assert result.get_counts(1) == {"1": 25}
    assert job.status().name == "DONE"
    assert not job.cancel()


def test_what_cannot_be_is_refused_by_name():
    device = backend()
    free = QuantumCircuit(1)
    free.rx(Parameter("a"), 0)
    with pytest.raises(InvalidValue, match="FabricEstimator"):
        device.run(free)
    with pytest.raises(InvalidValue):
        device.run(["circuit"])
    with pytest.raises(InvalidValue):
        device.run(QuantumCircuit(1), shots=0)
    with pytest.raises(InvalidValue):
        FabricBackend(Fabric(nodes=()))
