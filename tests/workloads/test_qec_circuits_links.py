"""Seams, link noise, missing pairs and circuits from outside."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pymatching
import pytest
import sinter
import stim

import hyperfabric_q as hq
from hyperfabric_q.errors import InvalidValue, NoQuantumPath, UnknownName, UnsupportedOperation
from hyperfabric_q.workloads.qec.codes import repetition_code, rotated_surface_code
from hyperfabric_q.workloads.qec.experiment import Experiment
from hyperfabric_q.workloads.qec.from_stim import from_stim, with_rounds_last
from hyperfabric_q.workloads.qec.links import (
    distribute,
    fidelity_from_seam,
    independent,
    seam_from_fidelity,
    werner_weights,
    with_weights,
)
from hyperfabric_q.workloads.qec.real_pairs import with_real_pairs
from hyperfabric_q.workloads.qec.seam import DistributedSurfaceCode

KINDS = ("direct", "teleported", "cat")


def rates(circuit: stim.Circuit, shots: int, seed: int) -> np.ndarray:
    detectors, observables = circuit.compile_detector_sampler(seed=seed).sample(shots, separate_observables=True)
    return np.hstack([detectors.mean(axis=0), observables.mean(axis=0)])


def agree(a: stim.Circuit, b: stim.Circuit, shots: int = 200_000) -> None:
    left, right = rates(a, shots, 11), rates(b, shots, 12)
    spread = np.sqrt(np.maximum(left * (1 - left), 1e-6) * 2 / shots)
    assert np.abs((left - right) / spread).max() < 4.5


def share(experiment: Experiment, shots: int, seed: int = 1) -> float:
    matching = pymatching.Matching.from_detector_error_model(
        experiment.circuit.detector_error_model(decompose_errors=True)
    )
    detectors, observables = experiment.circuit.compile_detector_sampler(seed=seed).sample(
        shots, separate_observables=True
    )
    return float((matching.decode_batch(detectors) != observables).any(axis=1).mean())


# --------------------------------------------------------------------------------------------------------------- seams


@pytest.mark.parametrize("distance", [3, 5, 7, 9])
def test_a_seam_asks_for_2d_minus_1_pairs_per_round_and_for_d_copies(distance: int) -> None:
    assert DistributedSurfaceCode(distance=distance).pairs_per_round == 2 * distance - 1
    assert DistributedSurfaceCode(distance=distance, link="direct").pairs_per_round == 2 * distance - 1
    assert DistributedSurfaceCode(distance=distance, link="cat").pairs_per_round == distance


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("basis", ["Z", "X"])
def test_over_perfect_pairs_the_seam_is_the_same_code(kind: str, basis: str) -> None:
    code = DistributedSurfaceCode(distance=3, rounds=3, basis=basis, link=kind, noise="none")
    experiment = code.experiment()
    assert not rates(experiment.circuit, 64, 1).any()
    assert not rates(with_real_pairs(experiment).circuit, 64, 1).any()
    local = rotated_surface_code(3, 3, basis, "none")
    assert experiment.circuit.num_detectors == local.circuit.num_detectors
    assert {use.round for use in experiment.links} == {0, 1, 2}
    assert all(set(use.nodes) == {"qpu-a", "qpu-b"} for use in experiment.links)


@pytest.mark.parametrize("kind", ["teleported", "cat"])
@pytest.mark.parametrize("basis", ["Z", "X"])
def test_the_error_of_a_pair_does_what_the_protocol_over_real_pairs_does(kind: str, basis: str) -> None:
    # The oracle measures communication qubits and feeds the outcomes forward; weights of all kinds.
    code = DistributedSurfaceCode(distance=3, rounds=2, basis=basis, link=kind, pairs=(0.8, 0.1, 0.03, 0.07), p=0.004)
    experiment = code.experiment()
    agree(experiment.circuit, with_real_pairs(experiment).circuit)


@pytest.mark.parametrize("gate", ["CX", "CY", "CZ", "XCX", "XCZ", "YCX", "YCY", "SQRT_XX", "SQRT_ZZ_DAG", "SQRT_YY"])
def test_every_gate_that_one_pair_carries_has_the_noise_of_its_protocol(gate: str) -> None:
    # Both logical Bell halves of the gate's qubits are kept, so every Pauli error shows.
    text = f"""
        R 0 1 2 3
        H 0 1
        CX 0 2 1 3
        TICK
        {gate} 2 3
        TICK
        {gate}_HERE
        CX 0 2 1 3
        H 0 1
        M 0 1 2 3
        DETECTOR(0, 0) rec[-1]
        DETECTOR(1, 0) rec[-2]
        DETECTOR(2, 0) rec[-3]
        DETECTOR(3, 0) rec[-4]
        OBSERVABLE_INCLUDE(0) rec[-1]
    """
    undo = stim.Circuit(f"{gate} 4 5").inverse()[0].name
    # The undoing gate acts on qubits of one node: the pair's partner moves there first.
    text = text.replace(f"{gate}_HERE", f"SWAP 3 4\n{undo} 2 4\nSWAP 3 4")
    experiment = from_stim(stim.Circuit(text), {2: "a", 3: "b"}, pairs=(0.7, 0.15, 0.1, 0.05))
    assert len(experiment.links) == 1
    assert not rates(with_weights(experiment, (1, 0, 0, 0)).circuit, 64, 1).any()
    agree(experiment.circuit, with_real_pairs(experiment).circuit, 50_000)
    assert rates(experiment.circuit, 1000, 1).any()


@pytest.mark.parametrize(("kind", "distances"), [("direct", (3, 5)), ("teleported", (3, 5)), ("cat", (2, 3))])
def test_copies_halve_the_distance_along_the_seam_and_gates_do_not(kind: str, distances: tuple[int, int]) -> None:
    for distance, along in zip((3, 5), distances, strict=True):
        for basis, expected in (("Z", along), ("X", distance)):
            code = DistributedSurfaceCode(distance=distance, rounds=2, basis=basis, link=kind, pairs=0.99)
            assert len(code.experiment().circuit.shortest_graphlike_error()) == expected


def test_the_noise_of_a_link_takes_the_place_of_the_gate_s_unless_it_is_to_stay() -> None:
    code = {"distance": 3, "rounds": 2, "noise": "stim4", "p": 0.01}

    def pairs_hit(experiment: Experiment) -> int:
        return sum(
            len(each.targets_copy()) // 2
            for each in experiment.circuit
            if each.name == "DEPOLARIZE2" and not each.tag.startswith("link")
        )

    whole = pairs_hit(rotated_surface_code(3, 2))
    for kind, kept in itertools.product(KINDS, (False, True)):
        experiment = DistributedSurfaceCode(**code, link=kind, keep_gate_noise=kept).experiment()
        assert pairs_hit(experiment) == whole - (0 if kept else 2 * 5)


@pytest.mark.parametrize(("p", "known"), [(0.05, (9.8e-3, 3.7e-3)), (0.1, (2.9e-2, 1.7e-2))])
def test_a_direct_seam_has_the_measured_rates(p: float, known: tuple[float, float]) -> None:
    found = []
    for distance in (3, 5):
        code = DistributedSurfaceCode(
            distance=distance, rounds=distance, link="direct", pairs=float(fidelity_from_seam(p))
        )
        failed = share(code.experiment(), 20_000)
        found.append((1 - (1 - 2 * failed) ** (1 / distance)) / 2)
    # The known rates rest on 3k to 20k shots.
    assert np.allclose(found, known, rtol=0.12)


@pytest.mark.slow
@pytest.mark.parametrize("basis", ["Z", "X"])
def test_below_the_interface_threshold_the_rate_falls_with_distance(basis: str) -> None:
    for kind, p in itertools.product(KINDS, (0.001, 0.003)):
        failed = []
        for distance in (3, 5, 7):
            code = DistributedSurfaceCode(
                distance=distance,
                link=kind,
                basis=basis,
                p=p,
                pairs=float(fidelity_from_seam(0.10 if kind != "cat" else 0.05)),
            )
            failed.append((1 - (1 - 2 * share(code.experiment(), 20_000)) ** (1 / (3 * distance))) / 2)
        assert failed[0] > failed[1] > failed[2] or max(failed) < 1e-3


@pytest.mark.slow
def test_fourteen_times_the_bulk_noise_on_the_seam_keeps_five_fold_suppression() -> None:
    failed = [
        share(
            DistributedSurfaceCode(
                distance=distance, rounds=distance, link="direct", pairs=float(fidelity_from_seam(0.014))
            ).experiment(),
            shots,
        )
        / distance
        for distance, shots in ((3, 200_000), (5, 400_000))
    ]
    assert failed[0] / failed[1] > 5


def test_cuts_into_three_parts_place_every_qubit() -> None:
    code = DistributedSurfaceCode(distance=5, cut=(4, 7), nodes=("a", "b", "c"), rounds=1)
    experiment = code.experiment()
    assert {use.nodes for use in experiment.links} <= {("a", "b"), ("b", "a"), ("b", "c"), ("c", "b")}
    assert set(code.placement.values()) == {"a", "b", "c"}


# ------------------------------------------------------------------------------------------------------- pair noise


@pytest.mark.parametrize("fidelity", [0.25, 0.6, 0.85, 0.95, 0.99, 1.0])
def test_depolarising_a_pair_gives_the_fidelity_of_the_mapping(fidelity: float) -> None:
    p = float(seam_from_fidelity(fidelity))
    assert float(fidelity_from_seam(p)) == pytest.approx(fidelity)
    circuit = stim.Circuit(f"H 0\nCX 0 1\nDEPOLARIZE2({p}) 0 1\nMPP X0*X1 Z0*Z1")
    good = ~circuit.compile_sampler(seed=4).sample(200_000).any(axis=1)
    assert abs(good.mean() - fidelity) < 4 * math.sqrt(0.25 / 200_000)


def test_a_teleported_gate_flips_each_end_with_two_thirds_of_the_infidelity() -> None:
    circuit = stim.Circuit(
        "R 0\nRX 1\nCX 0 1\nM 0\nMX 1\nDETECTOR(0, 0) rec[-2]\nDETECTOR(1, 0) rec[-1]\nOBSERVABLE_INCLUDE(0) rec[-1]"
    )
    # Z of the control and X of the target commute with the gate; what shows are X on neither: no flips at all.
    experiment = from_stim(circuit, {0: "a", 1: "b"}, pairs=0.9)
    assert not rates(experiment.circuit, 1000, 1).any()
    turned = stim.Circuit(
        "RX 0\nR 1\nCX 0 1\nTICK\nCX 2 1\nSWAP 0 2\nCX 2 1\nSWAP 0 2\nMX 0\nM 1\n"
        "DETECTOR(0, 0) rec[-2]\nDETECTOR(1, 0) rec[-1]\nOBSERVABLE_INCLUDE(0) rec[-1]"
    )
    experiment = from_stim(turned, {0: "a", 1: "b"}, pairs=0.9)
    found = rates(experiment.circuit, 200_000, 2)[:2]
    assert np.allclose(found, 2 / 3 * 0.1, atol=4 * math.sqrt(0.07 / 200_000))


@pytest.mark.parametrize("weights", [(0.9, 0.05, 0.02, 0.03), (0.85, 0.05, 0.05, 0.05), (0.9, 0, 0.1, 0), (0.25,) * 4])
def test_independent_chances_make_the_weights(weights: tuple[float, float, float, float]) -> None:
    chances = independent(weights)
    assert chances is not None
    made = np.zeros(4)
    # X, Y and Z as two bits each: 1, 3, 2.
    for hits in itertools.product((0, 1), repeat=3):
        chance = math.prod(q if hit else 1 - q for q, hit in zip(chances, hits, strict=True))
        made[(hits[0] * 1) ^ (hits[1] * 3) ^ (hits[2] * 2)] += chance
    assert np.allclose(made, [weights[0], weights[1], weights[3], weights[2]])


def test_errors_that_exclude_each_other_stay_one_channel() -> None:
    assert independent((0.8, 0.1, 0.0, 0.1)) is None
    code = DistributedSurfaceCode(distance=3, rounds=2, pairs=(0.8, 0.1, 0.0, 0.1), noise="none")
    experiment = code.experiment()
    assert any(each.name == "PAULI_CHANNEL_2" for each in experiment.circuit)
    agree(experiment.circuit, with_real_pairs(experiment).circuit, 50_000)


def test_new_weights_change_nothing_but_the_noise_of_links() -> None:
    for kind in KINDS:
        experiment = DistributedSurfaceCode(distance=3, rounds=3, link=kind, pairs=0.9, p=0.01).experiment()
        other = with_weights(experiment, werner_weights(np.linspace(0.5, 1, len(experiment.links))))
        assert [use.weights[0] for use in other.links] == pytest.approx(np.linspace(0.5, 1, len(experiment.links)))
        assert other.circuit.without_noise() == experiment.circuit.without_noise()
        back = with_weights(with_weights(other, (0.8, 0.1, 0.0, 0.1)), werner_weights(0.9))
        assert back.circuit == experiment.circuit
        assert back.links == experiment.links
        assert all(back.circuit[use.instruction].tag == f"link-{at}" for at, use in enumerate(back.links))


def test_weights_per_round_and_pair_reach_their_gates() -> None:
    code = DistributedSurfaceCode(distance=3, rounds=4, noise="none")
    weights = np.tile([1.0, 0, 0, 0], (4, 5, 1))
    weights[2, 3] = (0.5, 0.5, 0, 0)
    experiment = code.experiment(weights=weights)
    hit = [use for use in experiment.links if use.weights[0] < 1]
    assert [(use.round, (use.control, use.target)) for use in hit] == [(2, code.crossings[3])]
    assert set(experiment.detector_rounds[rates(experiment.circuit, 2000, 1)[:-1] > 0]) <= {2, 3}


def test_missing_pairs_leave_checks_out_and_are_counted() -> None:
    rng = np.random.default_rng(3)
    for kind in KINDS:
        code = DistributedSurfaceCode(distance=3, rounds=8, link=kind, noise="none", pairs=0.9)
        missing = rng.random((8, code.pairs_per_round)) < 0.3
        experiment = code.experiment(missing=missing)
        facts = experiment.metadata
        assert facts["pairs_missing"] == missing.sum()
        assert facts["pairs_used"] == len(experiment.links) <= (~missing).sum()
        assert experiment.circuit.num_detectors == code.experiment().circuit.num_detectors - facts["checks_skipped"]
        used = {(use.round, code.crossings.index((use.control, use.target))) for use in experiment.links}
        assert not used & set(zip(*np.nonzero(missing), strict=True))
        assert not rates(with_weights(experiment, (1, 0, 0, 0)).circuit, 64, 1).any()


def test_weights_keep_their_place_when_pairs_are_missing() -> None:
    code = DistributedSurfaceCode(distance=3, rounds=2, noise="none")
    weights = werner_weights(np.linspace(0.5, 0.95, 10).reshape(2, 5))
    missing = np.zeros((2, 5), dtype=bool)
    missing[1, 2] = True
    for use in code.experiment(weights=weights, missing=missing).links:
        slot = code.crossings.index((use.control, use.target))
        assert use.weights == pytest.approx(weights[use.round, slot])


def test_a_round_that_waits_makes_its_qubits_decay() -> None:
    code = DistributedSurfaceCode(distance=3, rounds=4, noise="none", t1_ns=10_000, t2_ns=10_000)
    experiment = code.experiment(wait_ns=[0, 0, 2_000, 0])
    found = rates(experiment.circuit, 2000, 1)[:-1]
    assert set(experiment.detector_rounds[found > 0]) == {2}
    with pytest.raises(InvalidValue, match="wait_ns"):
        DistributedSurfaceCode(distance=3, rounds=2).experiment(wait_ns=[0, 5])


def test_the_fabric_s_links_give_the_pairs_their_states() -> None:
    fabric = hq.Fabric.line([20, 20, 20], communication_qubits=2, pair_fidelity=0.93)
    code = {"distance": 3, "rounds": 1, "fabric": fabric}
    experiment = DistributedSurfaceCode(**code, nodes=("qpu-0", "qpu-1")).experiment()
    assert {round(use.weights[0], 9) for use in experiment.links} == {0.93}
    with pytest.raises(NoQuantumPath, match="qpu-2"):
        DistributedSurfaceCode(**code, nodes=("qpu-0", "qpu-2")).experiment()
    # What is said of the pairs wins.
    pairs = {("qpu-1", "qpu-0"): 0.8}
    experiment = DistributedSurfaceCode(**code, nodes=("qpu-0", "qpu-1"), pairs=pairs).experiment()
    assert {round(use.weights[0], 9) for use in experiment.links} == {0.8}
    with pytest.raises(UnknownName):
        DistributedSurfaceCode(**code, nodes=("qpu-0", "qpu-c")).experiment()


# --------------------------------------------------------------------------------------------------- bring your own


def test_a_circuit_on_one_device_stays_as_it_is() -> None:
    circuit = stim.Circuit.generated(
        "surface_code:unrotated_memory_x", distance=3, rounds=50, after_clifford_depolarization=0.01
    )
    experiment = from_stim(circuit)
    assert experiment.circuit == circuit
    assert experiment.rounds == 50
    assert from_stim(circuit, dict.fromkeys(range(circuit.num_qubits), "a")).circuit == circuit


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "task", ["color_code:memory_xyz", "surface_code:unrotated_memory_z", "surface_code:rotated_memory_x"]
)
def test_foreign_codes_cross_nodes_unmodified(task: str, kind: str) -> None:
    circuit = stim.Circuit.generated(task, distance=3, rounds=4, after_clifford_depolarization=0.01)
    places = circuit.get_final_qubit_coordinates()
    middle = np.median([place[0] for place in places.values()])
    placement = {qubit: "a" if place[0] <= middle else "b" for qubit, place in places.items()}
    experiment = from_stim(circuit, placement, link=kind, keep_gate_noise=True)
    assert experiment.links
    assert {use.round for use in experiment.links} == ({0, 1, 2} if "color" in task else {0, 1, 2, 3})
    # Perfect pairs leave the circuit as noisy as it was, but for noise of a copied gate that now sits on the copy.
    if kind != "cat":
        agree(experiment.circuit, circuit)
    silent = from_stim(circuit.without_noise(), placement, link=kind)
    assert not rates(silent.circuit, 64, 1).any()
    noisy = with_weights(experiment, werner_weights(0.9))
    agree(noisy.circuit, with_real_pairs(noisy).circuit, 50_000)


def test_without_a_fabric_the_rates_are_those_of_plain_sinter() -> None:
    circuit = stim.Circuit.generated(
        "surface_code:unrotated_memory_z", distance=3, rounds=3, after_clifford_depolarization=0.01,
        before_measure_flip_probability=0.01,
    )  # fmt: skip
    tasks = [
        sinter.Task(circuit=each, json_metadata=at) for at, each in enumerate((circuit, from_stim(circuit).circuit))
    ]
    stats = {
        each.json_metadata: each
        for each in sinter.collect(num_workers=1, tasks=tasks, decoders=["pymatching"], max_shots=20_000)
    }
    a, b = (stats[at].errors / stats[at].shots for at in (0, 1))
    assert abs(a - b) < 3 * math.sqrt(a * (1 - a) * 2 / 20_000)


def test_the_round_may_be_another_coordinate_or_a_list() -> None:
    own = repetition_code(3, 3).circuit
    turned = stim.Circuit()
    for each in own:
        if each.name == "DETECTOR":
            x, t = each.gate_args_copy()
            turned.append("DETECTOR", each.targets_copy(), [t, x])
        else:
            turned.append(each)
    assert with_rounds_last(turned, 0) == own
    assert from_stim(turned, round_coord=0).detector_rounds.tolist() == from_stim(own).detector_rounds.tolist()
    listed = from_stim(turned, round_coord=[0, 0, 1, 1, 2, 2, 3, 3])
    assert listed.detector_rounds.tolist() == [0, 0, 1, 1, 2, 2, 3, 3]


def test_rounds_of_gates_follow_from_detectors_where_no_tick_is_tagged() -> None:
    circuit = stim.Circuit.generated("repetition_code:memory", distance=3, rounds=5)
    experiment = from_stim(circuit, {0: "a", 1: "a", 2: "b", 3: "b", 4: "b"})
    assert [use.round for use in experiment.links] == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("MPP X0*X1", "direct"),
        ("MXX 0 1", "teleported"),
        ("SWAP 0 1", "teleported"),
        ("SQRT_XX 0 1", "cat"),
        ("ISWAP 0 1", "cat"),
    ],
)
def test_what_a_link_cannot_carry_is_refused_by_name_and_place(text: str, kind: str) -> None:
    circuit = stim.Circuit(f"R 0 1\n{text}\nM 0\nDETECTOR(0) rec[-1]\nOBSERVABLE_INCLUDE(0) rec[-1]")
    with pytest.raises(UnsupportedOperation, match=text.split(maxsplit=1)[0]):
        from_stim(circuit, {0: "a", 1: "b"}, link=kind)


def test_loops_too_long_to_write_out_are_refused_at_once() -> None:
    circuit = stim.Circuit("REPEAT 1000000000000 {\nCX 0 1\n}\nM 0\nDETECTOR(0) rec[-1]\nOBSERVABLE_INCLUDE(0) rec[-1]")
    with pytest.raises(InvalidValue, match="fewer rounds"):
        from_stim(circuit, {0: "a", 1: "b"})


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: from_stim(stim.Circuit("M 0\nDETECTOR(0) rec[-1]")),
        lambda: from_stim(repetition_code(3, 3).circuit, {9: "a"}),
        lambda: from_stim(repetition_code(3, 3).circuit, round_coord=5),
        lambda: from_stim(repetition_code(3, 3).circuit, round_coord=[1]),
        lambda: DistributedSurfaceCode(distance=3, cut=0),
        lambda: DistributedSurfaceCode(distance=3, cut=(4, 2), nodes=("a", "b", "c")),
        lambda: DistributedSurfaceCode(distance=3, nodes=("a", "a")),
        lambda: DistributedSurfaceCode(distance=3, rounds=2).experiment(weights=np.ones((3, 3, 4)) / 4),
        lambda: DistributedSurfaceCode(distance=3, rounds=2).experiment(weights=(0.5, 0.1, 0.1, 0.1)),
        lambda: DistributedSurfaceCode(distance=3, rounds=2).experiment(missing=np.zeros((3, 5))),
        lambda: DistributedSurfaceCode(distance=3, pairs=0.1, rounds=1).experiment(),
        lambda: with_weights(DistributedSurfaceCode(distance=3, rounds=1).experiment(), np.ones((4, 4)) / 4),
    ],
)
def test_descriptions_that_do_not_fit_are_refused(wrong: object) -> None:
    with pytest.raises(InvalidValue):
        wrong()  # type: ignore[operator]


def test_correlated_gates_in_one_instruction_keep_their_order() -> None:
    circuit = stim.Circuit("R 0 1 2\nX 0\nCX 0 1 1 2 0 1\nM 0 1 2\nDETECTOR(0) rec[-1]\nOBSERVABLE_INCLUDE(0) rec[-2]")
    for kind in KINDS:
        made = distribute(circuit, ("a", "b", "b"), kind)
        assert made.circuit.compile_sampler(seed=1).sample(5).tolist() == [[True, False, True]] * 5
