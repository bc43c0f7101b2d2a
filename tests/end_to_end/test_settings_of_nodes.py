"""One test per field of NodeSignature: the same program with and without it, and what differs."""

import numpy as np
import pytest
from qiskit import QuantumCircuit

import hyperfabric_q as hq
from hyperfabric_q import errors
from hyperfabric_q.fabric import Chip, ChipOperation
from hyperfabric_q.workloads.annealing.machines import is_annealer

BYTES = bytes(1000)


def cpu(name, gbps=8, ns=100, **fields):
    return hq.NodeSignature(name, hq.HardwareType.CPU_SERVER, gbps, ns, **fields)


def qpu(name, **fields):
    given = {"compute_units": 2, "communication_qubits": 2} | fields
    return hq.NodeSignature(name, hq.HardwareType.QUANTUM_QPU, 8, 100, **given)


def sent(a, b, data=BYTES, *, links=(), others=(), **asked):
    """The receipt of one send from the first node to the second."""

    async def main():
        protocol = hq.HyperFabricProtocol(hq.Fabric(nodes=(a, b, *others), links=links))
        return await protocol.send_data(source=a.node_id, destination=b.node_id, data=data, **asked)

    return hq.run(main()).receipt


def pair_link(a, b, **fields):
    return hq.Link(a, b, **({"latency_ns": 100, "bandwidth_gbps": 8, "pair_fidelity": 0.97} | fields))


def aged(**fields):
    """Fidelity of a pair that both ends kept for 10 µs."""

    async def main():
        fabric = hq.Fabric(nodes=(qpu("a", **fields), qpu("b", **fields)), links=(pair_link("a", "b"),))
        protocol = hq.HyperFabricProtocol(fabric, seed=1)
        (pair,) = await protocol.entangle("a", "b")
        await protocol.sleep_ns(10_000)
        fidelity = pair.fidelity
        pair.release()
        return fidelity

    return hq.run(main())


def made_ns(fabric, a, b, *, pairs=1):
    """Virtual time until so many pairs are there."""

    async def main():
        protocol = hq.HyperFabricProtocol(fabric, seed=1)
        for pair in await protocol.entangle(a, b, pairs=pairs):
            pair.release()
        return protocol.now_ns

    return hq.run(main())


def lost(circuit, **fields):
    """Share of 400 shots that are not what the circuit means, which has one outcome."""
    fabric = hq.Fabric(nodes=(qpu("a", **fields),))
    plan = hq.plan(circuit, fabric, verify="skipped", seed=1)
    counts = plan.run(shots=400, seed=1).counts
    right = plan.run(shots=1, noise="none", seed=1).counts
    assert len(right) == 1
    return 1 - counts.get(next(iter(right)), 0) / 400


def flipped():
    circuit = QuantumCircuit(1, 1)
    circuit.x(0)
    circuit.measure(0, 0)
    return circuit


def controlled():
    circuit = QuantumCircuit(2, 2)
    circuit.x(0)
    circuit.cx(0, 1)
    circuit.measure([0, 1], [0, 1])
    return circuit


def lasts_ps(circuit, homes, **fields):
    """Makespan on two linked QPU nodes of which the fields are those of both."""
    fabric = hq.Fabric(nodes=(qpu("a", **fields), qpu("b", **fields)), links=(pair_link("a", "b"),))
    return hq.plan(circuit, fabric, homes=homes, verify="skipped", seed=1).schedule().makespan_ps


# ------------------------------------------------------------------------------------------------------ classical part


def test_node_id_is_the_address_and_names_the_registers():
    assert sent(cpu("here"), cpu("there")).path == ("here", "there")
    plan = hq.plan(flipped(), hq.Fabric(nodes=(qpu("here"),)), verify="skipped", seed=1)
    assert next(register.name for register in plan.distributed_circuit.qregs) == "here_data"
    with pytest.raises(errors.DuplicateName):
        hq.Fabric(nodes=(cpu("here"), cpu("here")))


def test_hardware_type_decides_what_a_unit_is():
    node = hq.NodeSignature("a", hq.HardwareType.QUANTUM_QPU, 8, 100, compute_units=2)
    assert hq.plan(flipped(), hq.Fabric(nodes=(node,)), seed=1).homes == ("a",)
    server = hq.NodeSignature("a", hq.HardwareType.CPU_SERVER, 8, 100, compute_units=2)
    with pytest.raises(errors.NotEnoughQubits):
        hq.plan(flipped(), hq.Fabric(nodes=(server,)), seed=1)


@pytest.mark.parametrize(("gbps", "ns"), [(8, 1_000), (80, 100), (4, 2_000)])
def test_bandwidth_gbps_is_what_bytes_take(gbps, ns):
    assert sent(cpu("a", gbps), cpu("b", 80)).serialisation_ps == 1000 * ns


def test_latency_ns_is_what_every_message_takes_besides():
    assert [sent(cpu("a", ns=ns), cpu("b", ns=10)).propagation_ps for ns in (5, 10, 700)] == [10_000, 10_000, 700_000]


def test_memory_gb_is_what_arrives_in_one_piece():
    assert [sent(cpu("a"), cpu("b", memory_gb=gb)).shards for gb in (None, 1e-6)] == [1, 1]
    with pytest.warns(errors.HyperFabricWarning, match="4 shards"):
        assert sent(cpu("a"), cpu("b", memory_gb=1e-6 / 4)).shards == 4


def test_rack_position_puts_a_lane_between_racks():
    ways = [
        sent(cpu("a", rack_position=a), cpu("b", rack_position=b)).channels
        for a, b in ((None, None), ("rack-00-slot-00", "rack-00-slot-01"), ("rack-00-slot-00", "rack-01-slot-00"))
    ]
    assert [len(each) for each in ways] == [2, 2, 4]
    assert ways[2][1:3] == ("uplink:a", "downlink:b")


def test_physical_location_adds_light_in_fibre():
    near = sent(cpu("a", physical_location="0, 0"), cpu("b", physical_location="0, 0"))
    far = sent(cpu("a", physical_location="0, 0"), cpu("b", physical_location="0, 1"))
    degree_m = np.pi * 6_371_008.8 / 180
    assert near.propagation_ps == 100_000
    assert far.propagation_ps / 1e12 == pytest.approx(100e-9 + degree_m * 1.468 / 299_792_458, rel=1e-5)


def test_neuromorphic_neurons_is_how_many_bits_an_address_has():
    spikes = np.arange(1000, dtype=np.int64)
    sizes = [
        sent(cpu("a", neuromorphic_neurons=neurons), cpu("b"), spikes, data_type="neuromorphic_spike").nbytes
        for neurons in (None, 1_024, 1_000_000)
    ]
    assert sizes == [8_000, 1000 * (10 + 32) // 8, 1000 * (20 + 32) // 8]


def test_metadata_makes_a_qpu_an_annealer_and_is_kept():
    assert not is_annealer(qpu("a"))
    assert is_annealer(qpu("a", metadata={"annealing_type": "quantum"}))
    assert qpu("a", metadata={"sensors": ["lidar"]}).metadata["sensors"] == ("lidar",)


# -------------------------------------------------------------------------------------------------------- quantum part


def test_compute_units_is_how_many_data_qubits_a_circuit_finds():
    circuit = QuantumCircuit(3)
    assert hq.plan(circuit, hq.Fabric(nodes=(qpu("a", compute_units=3),)), seed=1).qubits == 3
    with pytest.raises(errors.NotEnoughQubits):
        hq.plan(circuit, hq.Fabric(nodes=(qpu("a", compute_units=2),)), seed=1)


def test_communication_qubits_is_how_many_pairs_are_kept_at_a_time():
    def fabric(count):
        nodes = tuple(qpu(each, communication_qubits=count) for each in "ab")
        return hq.Fabric(nodes=nodes, links=(pair_link("a", "b"),))

    assert made_ns(fabric(2), "a", "b", pairs=2) > made_ns(fabric(2), "a", "b")
    for count, pairs in ((1, 2), (0, 1)):
        with pytest.raises((errors.NotEnoughCommunicationQubits, errors.NoQuantumPath)):
            made_ns(fabric(count), "a", "b", pairs=pairs)


def test_quantum_coherence_time_us_ages_pairs_where_no_t2_is_stated():
    assert aged() == pytest.approx(0.97)
    short, long = aged(quantum_coherence_time_us=50.0), aged(quantum_coherence_time_us=500.0)
    assert 0.5 < short < long - 0.05 < 0.97
    assert aged(quantum_coherence_time_us=50.0, t2_us=500.0) == long


def test_t2_us_ages_pairs_by_its_law():
    # Both halves for 10 µs and the 0.1 µs of the herald; a Werner pair has correlators (4F - 1) / 3.
    correlator = (4 * 0.97 - 1) / 3
    expected = (1 + correlator * (1 + 2 * np.exp(-2 * 10.1 / 50))) / 4
    assert aged(t2_us=50.0) == pytest.approx(expected, abs=2e-3)
    assert aged(t2_us=50.0) < aged(t2_us=500.0) < aged()


def test_t1_us_ages_pairs_too():
    assert aged(t1_us=50.0) < aged(t1_us=500.0) < aged()


def test_photonic_channels_make_attempts_side_by_side():
    def mean_ns(channels):
        nodes = tuple(qpu(each, photonic_channels=channels) for each in "ab")
        link = pair_link("a", "b", pair_rate_hz=1e4, pair_attempt_ns=1_000)
        foresight = hq.HyperFabricProtocol(hq.Fabric(nodes=nodes, links=(link,)), seed=1).foresee("a", "b")
        return foresight.delivery_ps / 1000

    # 1 % per attempt of 1 µs; of sixteen side by side, 1 - 0.99^16.
    assert mean_ns(1) == pytest.approx(100_000, rel=0.2)
    assert mean_ns(16) == pytest.approx(1_000 / (1 - 0.99**16), rel=0.2)
    assert mean_ns(None) == mean_ns(1)


def test_reconfiguration_ns_is_what_a_switch_takes_to_turn():
    def both_ns(turn):
        from hyperfabric_q.fabric.switch_star import switch_star

        fabric = switch_star([1, 1, 1], channels=1, reconfiguration_ns=turn, attempt_ns=100)

        async def main():
            protocol = hq.HyperFabricProtocol(fabric, seed=1)
            for other in ("qpu-1", "qpu-2"):
                (pair,) = await protocol.entangle("qpu-0", other)
                pair.release()
            return protocol.now_ns

        return hq.run(main())

    # It turns twice, for at first it stands nowhere; the attempts, of 100 ns each, have other luck.
    assert both_ns(100_000) - both_ns(0) == pytest.approx(200_000, abs=4_000)


# Of a gate of average infidelity r the share r is seen: 3r/2 are errors, and two of three Paulis flip a bit; on two
# qubits 5r/4, and twelve of fifteen.
@pytest.mark.parametrize(
    ("field", "circuit"), [("gate_error_1q", flipped), ("gate_error_2q", controlled), ("readout_error", flipped)]
)
def test_errors_are_seen_in_the_counts(field, circuit):
    assert lost(circuit()) == 0
    assert lost(circuit(), **{field: 0.2}) == pytest.approx(0.2, abs=0.07)


@pytest.mark.parametrize("field", ["gate_1q_ns", "gate_2q_ns", "readout_ns", "reset_ns", "feedforward_ns"])
def test_durations_lengthen_the_program_by_themselves(field):
    circuit = QuantumCircuit(2, 1)
    circuit.reset(0)
    circuit.h(0)
    circuit.cz(0, 1)
    circuit.measure(0, 0)
    homes = ["a", "b"]
    without, once, twice = (lasts_ps(circuit, homes, **{field: ns}) for ns in (0, 10_000, 20_000))
    assert once >= without + 10_000_000 - 1_000_000
    assert twice - once == pytest.approx(once - without, abs=1_000_000)


def test_a_chip_makes_qubits_move_that_are_not_coupled():
    pairs = tuple(ChipOperation(name="cz", qubits=(i, i + 1)) for i in range(3))
    line = Chip(qubits=4, communication=(), operations=pairs)
    circuit = QuantumCircuit(4)
    for a in range(4):
        for b in range(a):
            circuit.cz(a, b)

    def gates(node):
        plan = hq.plan(circuit, hq.Fabric(nodes=(node,)), verify="skipped", seed=1)
        return sum(len(each.qubits) == 2 for each in plan.routed.circuit.data)

    bare = hq.NodeSignature("a", hq.HardwareType.QUANTUM_QPU, 8, 100, compute_units=4)
    chipped = hq.NodeSignature("a", hq.HardwareType.QUANTUM_QPU, 8, 100, chip=line)
    assert (chipped.compute_units, chipped.communication_qubits) == (4, 0)
    assert gates(bare) == 6
    assert gates(chipped) > 6
