"""Quantum states as payloads: what arrives is what Aer says of the very pairs, and nothing is for free."""

import asyncio
import warnings

import numpy as np
import pytest
from qiskit import QuantumCircuit
from qiskit.quantum_info import DensityMatrix, Statevector, partial_trace, random_density_matrix, random_statevector
from qiskit_aer import AerSimulator
from qiskit_aer.noise import depolarizing_error, pauli_error, thermal_relaxation_error

import hyperfabric_q as hq
from hyperfabric_q import errors
from hyperfabric_q.entanglement.ledger import Fate
from hyperfabric_q.errors import DeadlineImpossible, EntanglementUnavailable, PairSpent, Undeliverable
from hyperfabric_q.scheduling.faults import LinkDown

T1_US, T2_US, GATE, READ = 90.0, 60.0, 0.012, 0.017


def line(count=2, slots=4, **node):
    given = {
        "t1_us": T1_US,
        "t2_us": T2_US,
        "gate_error_2q": GATE,
        "readout_error": READ,
        "gate_2q_ns": 300.0,
        "readout_ns": 500.0,
        "gate_1q_ns": 40.0,
        "feedforward_ns": 160.0,
    } | node
    fabric = hq.Fabric.line([4] * count, communication_qubits=slots, pair_fidelity=0.93)
    fabric = fabric.replace("links.*", pair_rate_hz=150_000.0, latency_ns=2000.0, bandwidth_gbps=1.0)
    return fabric.replace("nodes.*", **given)


def teleport(protocol, data, source="qpu-0", destination="qpu-1", **asked):
    return protocol.send_data(
        source=source,
        destination=destination,
        data=data,
        data_type="quantum_state",
        requires_quantum_entanglement=True,
        **asked,
    )


def sent(fabric, data, *, seed=3, options=None, **asked):
    async def main():
        protocol = hq.HyperFabricProtocol(fabric, seed=seed, **(options or {}))
        result = await teleport(protocol, data, **asked)
        return protocol, result

    return hq.run(main())


def aer(state, pairs):
    """Teleport each qubit with the explicit circuit; ``pairs`` prepare a noisy Bell pair on the two wires given."""
    count = state.num_qubits
    simulator = AerSimulator(method="density_matrix")
    for qubit, prepare in enumerate(pairs):
        circuit = QuantumCircuit(count + 2)
        circuit.set_density_matrix(DensityMatrix.from_label("00").tensor(state))
        near, far = count, count + 1
        prepare(circuit, near, far)
        circuit.cx(qubit, near)
        circuit.append(depolarizing_error(GATE / 0.75, 2).to_instruction(), [qubit, near])
        circuit.h(qubit)
        flip = pauli_error([("X", READ), ("I", 1 - READ)]).to_instruction()
        circuit.append(flip, [qubit])
        circuit.append(flip, [near])
        # Deferred measurement: what a classical bit would decide, its qubit decides.
        circuit.cx(near, far)
        circuit.cz(qubit, far)
        circuit.swap(qubit, far)
        circuit.save_density_matrix()
        whole = DensityMatrix(simulator.run(circuit).result().data()["density_matrix"])
        state = partial_trace(whole, [near, far])
    return state


def stored(row, measured_ps, corrected_ps, fidelity=0.93):
    """A pair of one link, relaxing on both sides for exactly as long as its halves were kept."""
    rest = (1 - fidelity) / 3

    def prepare(circuit, near, far):
        circuit.h(near)
        circuit.cx(near, far)
        noise = pauli_error([("I", fidelity), ("X", rest), ("Y", rest), ("Z", rest)])
        circuit.append(noise.to_instruction(), [far])
        for wire, until in ((near, measured_ps), (far, corrected_ps)):
            decay = thermal_relaxation_error(T1_US, T2_US, (until - row.born_ps) / 1e6)
            circuit.append(decay.to_instruction(), [wire])

    return prepare


def circuit_of(count):
    made = QuantumCircuit(count)
    for each in range(count):
        made.ry(0.4 + each, each)
        made.rz(0.9 * each, each)
    for each in range(count - 1):
        made.cx(each, each + 1)
    return made


STATES = {
    "statevector-1": lambda: random_statevector(2, seed=1),
    "statevector-3": lambda: random_statevector(8, seed=2),
    "density-2": lambda: random_density_matrix(4, seed=3),
    "circuit-1": lambda: circuit_of(1),
    "circuit-3": lambda: circuit_of(3),
}


# ------------------------------------------------------------------------------------------------------------ the state


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("kind", STATES)
def test_what_arrives_is_what_aer_says_of_the_explicit_circuit_with_these_pairs(kind, seed):
    data = STATES[kind]()
    protocol, result = sent(line(), data, seed=seed)
    receipt = result.receipt
    rows = [protocol.ledger.record(each) for each in receipt.entanglement.pairs]
    pairs = [stored(row, row.ended_ps, receipt.done_ps) for row in rows]
    original = DensityMatrix(Statevector(data) if isinstance(data, QuantumCircuit) else data)
    expected = aer(original, pairs)
    assert isinstance(result.payload, DensityMatrix)
    assert np.abs(result.payload.data - expected.data).max() < 1e-9
    assert np.abs(result.payload.data - original.data).max() > 1e-3


def test_over_a_repeater_the_pair_is_the_swapped_one():
    data = random_statevector(2, seed=5)
    protocol, result = sent(line(3), data, destination="qpu-2")
    (pair,) = result.receipt.entanglement.pairs
    whole, left, right = protocol.ledger.lineage(pair)
    assert {left.a, left.b} == {"qpu-0", "qpu-1"}
    swapped = whole.known_ps + 800_000
    rest = 0.07 / 3
    simulator = AerSimulator(method="density_matrix")
    circuit = QuantumCircuit(4)  # near, middle, middle, far
    for near, far, row, until in (
        (0, 1, left, (whole.ended_ps, swapped)),
        (2, 3, right, (swapped, result.receipt.done_ps)),
    ):
        circuit.h(near)
        circuit.cx(near, far)
        circuit.append(pauli_error([("I", 0.93), ("X", rest), ("Y", rest), ("Z", rest)]).to_instruction(), [far])
        for wire, end in zip((near, far), until, strict=True):
            decay = thermal_relaxation_error(T1_US, T2_US, (end - row.born_ps) / 1e6)
            circuit.append(decay.to_instruction(), [wire])
    circuit.cx(1, 2)
    circuit.append(depolarizing_error(GATE / 0.75, 2).to_instruction(), [1, 2])
    circuit.h(1)
    for wire in (1, 2):
        circuit.append(pauli_error([("X", READ), ("I", 1 - READ)]).to_instruction(), [wire])
    circuit.cx(2, 3)
    circuit.cz(1, 3)
    circuit.save_density_matrix()
    joined = partial_trace(DensityMatrix(simulator.run(circuit).result().data()["density_matrix"]), [1, 2])
    # The outcome of the Bell measurement is averaged over: only what is Bell-diagonal of the pair is left.
    weights = [float(np.real(np.vdot(each, joined.data @ each))) for each in bell_states()]

    def prepare(wires, near, far):
        wires.h(near)
        wires.cx(near, far)
        wires.append(pauli_error(list(zip("IXYZ", weights, strict=True))).to_instruction(), [far])

    expected = aer(DensityMatrix(data), [prepare])
    assert np.abs(result.payload.data - expected.data).max() < 1e-9
    assert result.receipt.entanglement.fidelities[0] == pytest.approx(weights[0], abs=1e-12)


def bell_states():
    root = np.sqrt(0.5)
    return np.array([[root, 0, 0, root], [0, root, root, 0], [0, root, -root, 0], [root, 0, 0, -root]])


def test_perfect_pairs_bring_the_state_itself():
    fabric = line(t1_us=None, t2_us=None, gate_error_2q=0.0, readout_error=0.0).replace("links.*", pair_fidelity=1.0)
    data = random_statevector(4, seed=6)
    _, result = sent(fabric, data)
    assert np.abs(result.payload.data - DensityMatrix(data).data).max() < 1e-12


# ---------------------------------------------------------------------------------------------------------- the receipt


@pytest.mark.parametrize("qubits", [1, 2, 3])
def test_it_takes_a_pair_and_two_bits_per_qubit_and_the_receipt_says_all_of_it(qubits):
    protocol, result = sent(line(), circuit_of(qubits), latency_constraint_ns=1e6)
    receipt, balance = result.receipt, protocol.ledger.balance
    entanglement = receipt.entanglement
    assert len(entanglement.pairs) == len(entanglement.fidelities) == len(entanglement.ages_ns) == qubits
    assert balance.ended == {Fate.CONSUMED: qubits}
    assert entanglement.attempts == balance.attempts
    assert receipt.nbytes == -(-2 * qubits // 8)
    assert sum(receipt.parts_ps.values()) == receipt.latency_ps == result.latency_ps
    assert receipt.parts_ps["entanglement"] > entanglement.shared_ns * 1000
    assert receipt.lower_bound_ps <= receipt.latency_ps
    for pair, age_ns in zip(entanglement.pairs, entanglement.ages_ns, strict=True):
        row = protocol.ledger.record(pair)
        assert age_ns * 1000 == receipt.done_ps - row.born_ps
        assert row.ended_ps >= row.known_ps + 800_000
    assert all(0.5 < each < 0.93 for each in entanglement.fidelities)
    assert receipt.done_ps >= receipt.submitted_ps + 2_000_000 + 2_000_000 + 800_000 + 200_000
    assert result.constraint_met


def test_more_qubits_than_the_nodes_hold_go_in_batches():
    protocol, result = sent(line(slots=2), circuit_of(5))
    rows = [protocol.ledger.record(each) for each in result.receipt.entanglement.pairs]
    assert len(rows) == 5
    ends = [each.ended_ps for each in rows]
    assert len(set(ends)) == 3
    assert ends == sorted(ends)
    assert sum(result.receipt.parts_ps.values()) == result.receipt.latency_ps
    assert protocol._service.slots.taken("qpu-0") == 0


def test_the_constraint_covers_heralding_and_correction():
    free = sent(line(), circuit_of(2))[1].receipt.latency_ps
    for constraint_ps, met in ((free, True), (free - 1, False)):
        receipt = sent(line(), circuit_of(2), latency_constraint_ns=constraint_ps / 1000)[1].receipt
        assert receipt.latency_ps == free
        assert receipt.constraint_met is met


def test_encryption_seals_the_two_bits():
    _, result = sent(line(), circuit_of(2), encryption_enabled=True)
    receipt = result.receipt
    assert "AES" in receipt.encryption.upper() or receipt.encryption != "none"
    assert receipt.wire_bytes > sent(line(), circuit_of(2))[1].receipt.wire_bytes
    assert sum(receipt.parts_ps.values()) == receipt.latency_ps


def test_the_handler_gets_the_state_that_arrived():
    async def main():
        protocol = hq.HyperFabricProtocol(line(), seed=1)
        protocol.attach_handler("qpu-1", lambda packet: packet.data.purity())
        return await teleport(protocol, circuit_of(1))

    result = hq.run(main())
    assert result.response == pytest.approx(result.payload.purity())


# ----------------------------------------------------------------------------------------------------------- only once


def test_a_state_can_be_sent_once_and_a_recipe_as_often_as_one_likes():
    async def main():
        protocol = hq.HyperFabricProtocol(line(), seed=1)
        state, recipe = random_statevector(2, seed=1), circuit_of(1)
        await teleport(protocol, state)
        spent = len(protocol.ledger)
        with pytest.raises(PairSpent, match="quantum state"):
            await teleport(protocol, state)
        assert len(protocol.ledger) == spent
        for _ in range(3):
            await teleport(protocol, recipe)

    hq.run(main())


def test_of_two_sends_of_one_state_at_a_time_one_wins_and_the_other_gives_its_pairs_back():
    async def main():
        protocol = hq.HyperFabricProtocol(line(), seed=1)
        state = random_statevector(4, seed=1)
        results = await asyncio.gather(teleport(protocol, state), teleport(protocol, state), return_exceptions=True)
        assert sorted(type(each).__name__ for each in results) == ["PairSpent", "TransferResult"]
        assert protocol._service.slots.taken("qpu-0") == 0
        return protocol.ledger.balance.ended

    assert hq.run(main()) == {Fate.CONSUMED: 2, Fate.EXPIRED: 2}


def test_a_send_cancelled_while_it_waits_for_pairs_spends_nothing():
    async def main():
        protocol = hq.HyperFabricProtocol(line(), seed=1)
        state = random_statevector(4, seed=1)
        task = asyncio.ensure_future(teleport(protocol, state))
        await protocol.sleep_ns(2500)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await protocol.sleep_ns(1e5)
        assert protocol._service.slots.taken("qpu-0") == protocol._service.slots.taken("qpu-1") == 0
        assert Fate.CONSUMED not in protocol.ledger.balance.ended
        assert (await teleport(protocol, state)).entanglement is not None

    hq.run(main())


@pytest.mark.parametrize("at_ns", range(0, 40_000, 1700))
def test_cancelled_at_any_moment_a_send_leaves_no_qubit_taken(at_ns):
    async def main():
        protocol = hq.HyperFabricProtocol(line(slots=1), seed=1)
        task = asyncio.ensure_future(teleport(protocol, circuit_of(3)))
        await protocol.sleep_ns(at_ns)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await protocol.sleep_ns(1e5)
        assert protocol._service.slots.taken("qpu-0") == protocol._service.slots.taken("qpu-1") == 0
        assert protocol._service._kernel.pending == 0
        balance = protocol.ledger.balance
        assert balance.conserved
        assert balance.held == 0

    hq.run(main())


# ----------------------------------------------------------------------------------------- when it cannot be teleported


@pytest.mark.parametrize(
    ("fabric", "data", "reason"),
    [
        (lambda: line().replace("links.*", pair_rate_hz=None, pair_fidelity=None), circuit_of(1), "no Bell pair"),
        (lambda: line().replace("links.*", pair_fidelity=0.4), circuit_of(1), "no Bell pair"),
        (line, b"bytes", "no quantum state"),
        (line, random_statevector(3, seed=1), "qubits"),
    ],
    ids=["no link", "no entanglement", "bytes", "a qutrit"],
)
def test_what_cannot_be_teleported_says_why_or_is_refused(fabric, data, reason):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", errors.HyperFabricWarning)
        protocol, result = sent(fabric(), data)
    assert result.entanglement is None
    assert any(reason in each for each in result.receipt.warnings)
    assert len(protocol.ledger) == 0
    with pytest.raises(EntanglementUnavailable, match=reason):
        sent(fabric(), data, options={"strict": True})


def test_a_constraint_that_light_forbids_is_refused_before_any_attempt():
    async def main(options):
        protocol = hq.HyperFabricProtocol(line(), seed=1, **options)
        state = random_statevector(2, seed=1)
        with pytest.raises(DeadlineImpossible):
            await teleport(protocol, state, latency_constraint_ns=4000.0)
        assert len(protocol.ledger) == 0
        return await teleport(protocol, state)

    for options in ({"strict": True}, {"on_violation": "raise"}):
        assert hq.run(main(options)).entanglement is not None


def test_bits_that_a_fault_takes_do_not_arrive_and_the_pairs_are_spent():
    async def main():
        protocol = hq.HyperFabricProtocol(line(), seed=1)
        await teleport(protocol, circuit_of(1))
        state = random_statevector(2, seed=2)
        protocol.inject(LinkDown(channels=(("qpu-0", "qpu-1"),), from_ps=protocol.now_ps + 1))
        with pytest.raises(Undeliverable):
            await teleport(protocol, state)
        assert protocol._service.slots.taken("qpu-0") == 0
        return protocol.ledger.balance

    balance = hq.run(main())
    assert balance.conserved
    assert balance.held == 0


def test_the_seed_decides_and_the_order_of_gather_does_not():
    async def main(order):
        protocol = hq.HyperFabricProtocol(line(3), seed=9)
        jobs = [("qpu-0", "qpu-1", 1), ("qpu-1", "qpu-2", 2), ("qpu-0", "qpu-2", 1), ("qpu-2", "qpu-0", 3)]
        results = await asyncio.gather(
            *(
                teleport(protocol, circuit_of(jobs[each][2]), source=jobs[each][0], destination=jobs[each][1])
                for each in order
            )
        )
        rows = dict(zip(order, results, strict=True))
        return protocol.digest(), [(rows[each].receipt.done_ps, rows[each].entanglement.pairs) for each in range(4)]

    expected = hq.run(main((0, 1, 2, 3)))
    for order in ((3, 2, 1, 0), (1, 3, 0, 2)):
        assert hq.run(main(order)) == expected
        assert asyncio.run(main(order)) == expected
