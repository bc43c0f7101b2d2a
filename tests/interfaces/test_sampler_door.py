"""``FabricSampler`` gives shots of the user's registers, drawn from the right distribution."""

import asyncio
import math

import numpy as np
import pytest
from qiskit import ClassicalRegister, QuantumCircuit, QuantumRegister
from qiskit.circuit import Parameter
from qiskit.circuit.library import efficient_su2
from qiskit.quantum_info import Statevector

from hyperfabric_q.errors import InvalidValue, JobCancelled
from hyperfabric_q.execution import dynamic
from hyperfabric_q.fabric import Fabric
from hyperfabric_q.interfaces import FabricOptions, FabricSampler
from hyperfabric_q.pipeline import plan

PERFECT = Fabric.line([2, 2], communication_qubits=2, pair_fidelity=1.0)
NOISY = PERFECT.replace("links.*", pair_fidelity=0.95).replace("nodes.*", gate_error_2q=0.01, readout_error=0.02)
A = Parameter("a")


def sampler(fabric=NOISY, **given):
    return FabricSampler(fabric, options=FabricOptions(**{"time_limit_s": 0, "seed": 5} | given))


def measured_ansatz():
    circuit = efficient_su2(4, reps=1)
    circuit.measure_all()
    return circuit


def far(counts, chances):
    """The largest deviation of counts from chances, in standard deviations."""
    shots = sum(counts.values())
    return max(
        abs(counts.get(key, 0) - shots * chance) / math.sqrt(max(1.0, shots * chance * (1 - chance)))
        for key, chance in chances.items()
    )


@pytest.mark.parametrize("noise", ["none", "fabric"])
def test_shots_without_errors_follow_the_state_for_each_binding(noise):
    circuit = measured_ansatz()
    values = np.random.default_rng(3).uniform(-3, 3, (2, 3, 16))
    result = sampler(PERFECT, noise=noise).run([(circuit, values)], shots=4000).result()[0]
    assert result.data.meas.shape == (2, 3)
    assert result.data.meas.num_shots == 4000
    for index in np.ndindex(2, 3):
        bare = circuit.remove_final_measurements(inplace=False).assign_parameters(values[index])
        assert far(result.data.meas.get_counts(index), Statevector(bare).probabilities_dict()) < 4.5


def test_registers_keep_names_sizes_and_bits_and_protocol_bits_stay_hidden():
    high, low = ClassicalRegister(2, "high"), ClassicalRegister(9, "low")
    circuit = QuantumCircuit(QuantumRegister(4), high, low)
    circuit.rx(A, 0)
    circuit.cx(0, 3)
    circuit.x(1)
    circuit.measure(0, high[1])
    circuit.measure(3, low[8])
    circuit.measure(1, low[0])
    for noise in ("none", "fabric"):
        data = sampler(PERFECT, noise=noise).run([(circuit, [math.pi])], shots=50).result()[0].data
        assert set(data.keys()) == {"high", "low"}
        assert data.high.get_counts() == {"10": 50}
        assert data.low.get_counts() == {"100000001": 50}


def test_shots_with_errors_are_those_of_the_emitted_circuit():
    circuit = measured_ansatz()
    values = np.random.default_rng(4).uniform(-3, 3, 16)
    bound = circuit.assign_parameters(values)
    wanted = plan(bound, NOISY, time_limit_s=0, seed=5).run(40_000, method="dynamic", seed=8)
    counts = sampler().run([(circuit, values)], shots=40_000).result()[0].data.meas.get_counts()
    for key, estimate in wanted.probabilities.items():
        deviation = math.hypot(estimate.stderr, math.sqrt(estimate.value * (1 - estimate.value) / 40_000))
        assert abs(counts.get(key, 0) / 40_000 - estimate.value) < 4.5 * deviation


def test_shots_of_all_registers_are_the_same_shots_in_random_order():
    circuit = QuantumCircuit(2)
    circuit.add_register(ClassicalRegister(1, "one"), ClassicalRegister(1, "two"))
    circuit.ry(A, 0)
    circuit.cx(0, 1)
    circuit.measure([0, 1], [0, 1])
    for pub in ((circuit, [math.pi / 2]), (circuit.assign_parameters([math.pi / 2]),)):
        data = sampler(PERFECT, noise="none").run([pub], shots=400).result()[0].data
        one, two = data.one.array.ravel(), data.two.array.ravel()
        assert np.array_equal(one, two)
        assert 60 < one[:200].sum() < 140


def test_a_circuit_without_parameters_is_a_run_of_its_plan():
    bound = measured_ansatz().assign_parameters(np.linspace(0, 1, 16))
    wanted = plan(bound, NOISY, time_limit_s=0, seed=5).run(500, seed=5).counts
    assert sampler(shots=500).run([bound]).result()[0].data.meas.get_counts() == dict(wanted)


def test_a_circuit_without_measurements_is_measured_at_its_end():
    circuit = QuantumCircuit(3)
    circuit.rx(A, [0, 2])
    for noise in ("none", "fabric"):
        data = sampler(PERFECT, noise=noise).run([(circuit, [math.pi])], shots=20).result()[0].data
        assert data.meas.get_counts() == {"101": 20}


def test_feed_forward_with_parameters_is_sampled_without_running_the_emitted_circuit(monkeypatch):
    def refused(*_, **__):
        raise AssertionError

    monkeypatch.setattr(dynamic, "sample_dynamic", refused)
    circuit = QuantumCircuit(2, 2)
    circuit.ry(A, 0)
    circuit.measure(0, 0)
    with circuit.if_test((circuit.clbits[0], 1)):
        circuit.x(1)
    circuit.measure(1, 1)
    fabric = Fabric.line([1, 1], communication_qubits=1, pair_fidelity=1.0)
    result = sampler(fabric).run([(circuit, [[1.0], [math.pi]])], shots=3000).result()[0]
    assert far(result.data.c.get_counts(0), {"00": math.cos(0.5) ** 2, "11": math.sin(0.5) ** 2}) < 4.5
    assert set(result.data.c.get_counts(0)) == {"00", "11"}
    assert result.data.c.get_counts(1) == {"11": 3000}


def test_default_shots_are_a_fallback_that_is_named():
    circuit = QuantumCircuit(1, 1)
    circuit.measure(0, 0)
    fabric = Fabric.line([1], communication_qubits=0)
    result = sampler(fabric).run([circuit]).result()[0]
    assert result.data.c.num_shots == 4096
    assert "4096" in result.metadata["fallbacks"][0]
    assert sampler(fabric, shots=7).run([circuit, (circuit, None, 9)]).result()[1].metadata["shots"] == 9
    assert not sampler(fabric, shots=7).run([circuit]).result()[0].metadata["fallbacks"]
    with pytest.raises(InvalidValue):
        sampler(fabric).run([circuit], shots=-1)


async def test_jobs_are_awaited_and_cancelled():
    circuit = measured_ansatz()
    door = sampler()
    (await door.run([(circuit, np.zeros(16))], shots=10))[0]
    first, second = door.run([(circuit, np.zeros(16))], shots=10), door.run([(circuit, np.zeros((9000, 16)))], shots=10)
    assert second.cancel()
    results = await asyncio.gather(first, second, return_exceptions=True)
    assert results[0][0].data.meas.num_shots == 10
    assert isinstance(results[1], JobCancelled)
