"""Annealers as nodes of a fabric, and QAOA on the gate-model ones."""

import asyncio

import numpy as np
import pytest

import hyperfabric_q as hq
from hyperfabric_q.errors import InvalidValue, ProblemTooLarge
from hyperfabric_q.traffic.payload import payload_of
from hyperfabric_q.workloads.annealing import public as annealing
from hyperfabric_q.workloads.annealing.machines import TOPOLOGIES
from hyperfabric_q.workloads.annealing.qaoa import best_angles, circuit_of, mean_level

TIMES = {"programming_us": 1_000.0, "anneal_us": 20.0, "readout_us": 100.0, "delay_us": 5.0}


def annealer(**metadata):
    kind = hq.HardwareType.QUANTUM_ANNEALER
    return hq.NodeSignature("annealer", kind, 5, 100, metadata={**TIMES, **metadata})


def problem(count=12, seed=0, density=0.5):
    random = np.random.default_rng(seed)
    matrix = np.triu(random.normal(size=(count, count)) * (random.random((count, count)) < density))
    return annealing.read_problem(matrix)


def live(node, **options):
    protocol = hq.HyperFabricProtocol()
    protocol.register_node(node)
    protocol.register_node(hq.NodeSignature("host", hq.HardwareType.CPU_SERVER, 5, 100))
    protocol.attach_handler("annealer", annealing.service(node, seed=4, **options))
    return protocol


# ------------------------------------------------------------------------------------------------------- on the clock


def test_a_problem_sent_to_an_annealer_comes_back_answered_after_transfer_programming_and_reads():
    bqm = problem()

    async def main():
        protocol = live(annealer(), reads=40)
        receipt = await protocol.send_data(source="host", destination="annealer", data=bqm)
        return receipt, protocol.now_ns

    receipt, now = hq.run(main())
    answer = receipt.response
    assert answer.optimal
    assert answer.energy == pytest.approx(annealing.solve(bqm, seed=0).energy)
    assert (answer.node, answer.solver, answer.times.reads) == ("annealer", "simulated_annealing", 40)
    assert answer.times.total_ns == 1_000e3 + 40 * 125e3
    assert now == pytest.approx(receipt.latency_ns + answer.times.total_ns)
    bits = 8 * len(annealing.file_bytes(bqm))
    assert receipt.latency_ns == pytest.approx(bits / 5 + 100)


def test_problems_wait_their_turn_and_equal_runs_are_equal():
    async def main():
        protocol = live(annealer())
        sends = [
            protocol.send_data(
                source="host",
                destination="annealer",
                data=annealing.file_bytes(problem(8, each)),
                metadata={"reads": 10, "anneal_us": 50.0},
            )
            for each in range(3)
        ]
        return [each.response for each in await asyncio.gather(*sends)], protocol.now_ns

    one, end = hq.run(main())
    other, again = hq.run(main())
    busy = 1_000e3 + 10 * 155e3
    assert end == again
    waits = sorted(each.queued_ns for each in one)
    assert waits[0] == 0
    assert np.diff(waits) == pytest.approx([busy, busy], rel=1e-3)
    assert end == pytest.approx(3 * busy, rel=1e-3)
    assert [each.seed for each in one] == [each.seed for each in other]
    assert len({each.seed for each in one}) == 3


def test_constraints_travel_in_the_metadata_and_unknown_wishes_are_refused():
    names = ["a", "b", "c"]
    bqm = annealing.read_problem({(each, each): -1.0 - place for place, each in enumerate(names)})

    async def main():
        protocol = live(annealer())
        wish = {"one_hot": [names], "reads": 20}
        receipt = await protocol.send_data(source="host", destination="annealer", data=bqm, metadata=wish)
        with pytest.raises(InvalidValue, match="heeds reads"):
            await protocol.send_data(source="host", destination="annealer", data=bqm, metadata={"read": 3})
        before = protocol.now_ns
        with pytest.raises(InvalidValue, match="begins with DIMODBQM"):
            await protocol.send_data(source="host", destination="annealer", data=b"no problem at all")
        assert protocol.now_ns - before < 1_000
        return receipt.response

    answer = hq.run(main())
    assert answer.sample == {"a": 0, "b": 0, "c": 1}
    assert answer.feasible
    assert answer.energy == pytest.approx(-3.0)
    assert answer.objective == -3.0


def test_a_model_travels_as_the_bytes_of_its_file():
    for bqm in (problem(), problem().spin.copy(), problem().relabel_variables({0: "first"}, inplace=False)):
        payload = payload_of(bqm)
        sent = bytes(payload.to_bytes())
        assert payload.nbytes == len(sent)
        assert sent == annealing.file_bytes(bqm)
        assert annealing.read_problem(sent) == bqm
        assert annealing.file_bytes(annealing.read_problem(sent)) == sent
        assert payload.content_hash() == payload_of(bqm.copy()).content_hash()
    assert bytes(payload_of(problem().spin).to_bytes()) == annealing.file_bytes(problem().spin.copy())
    assert "12 binary variables" in payload_of(problem()).describes


# -------------------------------------------------------------------------------------------------------- what fits


def test_the_counts_of_the_topologies_are_the_published_ones():
    # Advantage is P16 with 5,640 qubits and clique 180, 2000Q is C16 with 2,048 and 64, Advantage2 is Z12 with 4,800.
    assert TOPOLOGIES["pegasus"].qubits_of(16) == 5_640
    assert TOPOLOGIES["pegasus"].clique_of(16) == 180
    assert (TOPOLOGIES["chimera"].qubits_of(16), TOPOLOGIES["chimera"].clique_of(16)) == (2_048, 64)
    assert TOPOLOGIES["zephyr"].qubits_of(12) == 4_800
    for family in TOPOLOGIES.values():
        for size in range(2, 30):
            assert family.grid(family.qubits_of(size)) == size
            assert family.grid(family.qubits_of(size) - 1) == size - 1
            assert family.clique_of(size) * family.chain_of(size) <= family.qubits_of(size)


def test_a_problem_fits_for_certain_or_perhaps_or_is_refused_with_the_numbers():
    full = problem(150, density=1.0)
    clique = annealing.machine_of(annealer(qubits=5_640, topology="pegasus")).fit(full)
    assert (clique.verdict, clique.chain, clique.qubits) == ("clique", 17, 2_550)
    assert annealing.machine_of(annealer(qubits=5_627, topology="pegasus")).fit(full).verdict == "unproven"
    assert annealing.machine_of(annealer(qubits=150, topology="full")).fit(full).verdict == "native"
    assert annealing.machine_of(annealer()).fit(full).verdict == "unstated"
    # 149 neighbours take chains of 37 qubits of degree 6: 150 · 37 = 5,550.
    with pytest.raises(ProblemTooLarge, match=r"150 variables and 11,175 couplings.*5,550 qubits.*2,048 qubits"):
        annealing.solve(full, annealer(qubits=2_048, topology="chimera"))
    with pytest.raises(ProblemTooLarge, match="149 qubits"):
        annealing.solve(full, annealer(qubits=149))


def test_what_is_no_annealer_or_states_nonsense_is_refused():
    qpu = hq.NodeSignature("qpu", hq.HardwareType.QUANTUM_QPU, 5, 100, metadata={"annealing_type": "quantum"})
    assert annealing.machine_of(qpu).times(1).assumed == ("programming_us", "anneal_us", "readout_us", "delay_us")
    answer = annealing.solve([[1.0]], qpu, seed=1)
    assert any("published" in note for note in answer.notes)
    assert any("stood in for" in note for note in answer.notes)
    cases = (
        (hq.NodeSignature("gpu", hq.HardwareType.NVIDIA_H100, 5, 100), "no annealer"),
        (annealer(topology="moebius"), "pegasus"),
        (annealer(qubits=0), "at least 1"),
        (annealer(programming_us=-1.0), "at least 0"),
        (annealer(most_reads=50), "at most 50"),
    )
    for node, said in cases:
        with pytest.raises(InvalidValue, match=said):
            annealing.solve([[1.0]], node)


# ------------------------------------------------------------------------------------------------------------- QAOA


def test_the_qaoa_circuit_makes_the_state_whose_mean_level_is_computed():
    from qiskit.quantum_info import Statevector

    from hyperfabric_q.workloads.annealing.exact import all_energies, dense

    linear, couplings, offset = dense(problem(5, density=1.0))
    energies = all_energies(linear, couplings, offset)
    angles = np.array([0.3, 0.5, 0.6, 0.2])
    circuit = circuit_of(linear, couplings, angles).remove_final_measurements(inplace=False)
    law = Statevector(circuit).probabilities()
    assert mean_level(energies, angles) == pytest.approx(law @ energies, abs=1e-12)
    levels = (energies - energies.mean()) / energies.std()
    found, lowest = best_angles(levels, 2, 1)
    assert lowest == pytest.approx(mean_level(levels, found))
    assert lowest < best_angles(levels, 1, 1)[1] < -0.8


def test_qaoa_samples_a_small_problem_on_two_nodes_and_is_bounded():
    fabric = hq.Fabric.line([2, 2], communication_qubits=1, pair_fidelity=0.99)
    bqm = problem(4, density=1.0)
    answer = annealing.solve(bqm, solver="qaoa", fabric=fabric, reads=300, seed=2)
    assert answer.samples.record.num_occurrences.sum() == 300
    assert answer.bound_by == "enumeration"
    assert answer.optimal
    assert answer.best_share > 2 / 16
    assert "2 nodes" in answer.notes[0]
