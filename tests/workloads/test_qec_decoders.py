"""Decoders against oracles: exhaustive sums, another matching library, PyMatching and sinter themselves."""

import itertools
import sys

import networkx as nx
import numpy as np
import pymatching
import pytest
import sinter
import stim

from hyperfabric_q.errors import InvalidValue, MissingDependency, SimulationRefused, UnknownName
from hyperfabric_q.workloads.qec.decoders import (
    Affine,
    BeliefPropagation,
    Fixed,
    Fpga,
    Matching,
    Measured,
    Window,
    as_sinter,
    decoder,
    from_sinter,
    measure_service,
    service_presets,
    service_time,
)


def surface(distance, rounds, p, basis="z"):
    return stim.Circuit.generated(
        f"surface_code:rotated_memory_{basis}",
        distance=distance,
        rounds=rounds,
        after_clifford_depolarization=p,
        before_round_data_depolarization=p,
        before_measure_flip_probability=p,
        after_reset_flip_probability=p,
    )


def sampled(circuit, shots, seed=3):
    model = circuit.detector_error_model(decompose_errors=True)
    return (model, *circuit.compile_detector_sampler(seed=seed).sample(shots, separate_observables=True))


def unlike_probabilities(model, seed):
    """The model with a probability of its own for each error, so that no two matchings weigh the same."""
    rng = np.random.default_rng(seed)
    lines = []
    for each in model.flattened():
        if each.type == "error":
            targets = " ".join("^" if t.is_separator() else str(t) for t in each.targets_copy())
            lines.append(f"error({rng.uniform(0.001, 0.03)}) {targets}")
        else:
            lines.append(str(each))
    return stim.DetectorErrorModel("\n".join(lines))


class Oracle:
    """Matching by networkx: every path from PyMatching's edges, every pairing by Edmonds' algorithm."""

    def __init__(self, model):
        graph = nx.Graph()
        for a, b, facts in pymatching.Matching.from_detector_error_model(model).edges():
            graph.add_edge(a, "boundary" if b is None else b, weight=facts["weight"], flips=facts["fault_ids"])
        self.length, self.flips = {}, {}
        for start in graph:
            lengths, paths = nx.single_source_dijkstra(graph, start)
            for end, path in paths.items():
                crossed = sum(len(graph.edges[edge]["flips"]) for edge in itertools.pairwise(path))
                self.length[start, end], self.flips[start, end] = lengths[end], crossed % 2

    def decode(self, events):
        """Defects match each other, or each its own copy of the boundary; copies match each other for nothing."""
        graph = nx.Graph()
        for a, b in itertools.combinations(events, 2):
            if (a, b) in self.length:
                graph.add_edge(a, b, weight=-self.length[a, b])
            graph.add_edge(("copy", a), ("copy", b), weight=0)
        for a in events:
            graph.add_edge(a, ("copy", a), weight=-self.length[a, "boundary"])
        total = 0
        for a, b in nx.max_weight_matching(graph, maxcardinality=True):
            inner = [each for each in (a, b) if not isinstance(each, tuple)]
            if inner:
                total ^= self.flips[inner[0], inner[1] if len(inner) == 2 else "boundary"]
        return total


@pytest.mark.parametrize("basis", ["x", "z"])
def test_matching_is_the_lightest_pairing(basis):
    circuit = surface(3, 4, 0.02, basis)
    model = unlike_probabilities(circuit.detector_error_model(decompose_errors=True), 1)
    dets, _, _ = model.compile_sampler(seed=1).sample(200)
    oracle = Oracle(model)
    expected = [oracle.decode(np.flatnonzero(row).tolist()) for row in dets]
    assert 20 < sum(expected) < 180
    found = decoder("matching").compile(model).decode_batch(dets)[:, 0]
    assert np.array_equal(found, expected)
    # A window that holds all rounds is the whole.
    assert np.array_equal(decoder("matching").compile(model, (5, 3)).decode_batch(dets)[:, 0], expected)


@pytest.mark.parametrize("distance", [3, 5])
def test_matching_answers_as_pymatching_does_on_half_the_graph(distance):
    model, dets, _ = sampled(surface(distance, 2 * distance, 0.004), 20_000)
    whole = pymatching.Matching.from_detector_error_model(model)
    ready = decoder("matching").compile(model)
    assert np.array_equal(ready.decode_batch(dets), whole.decode_batch(dets))
    assert len(ready.detectors) <= 0.6 * model.num_detectors


def test_correlated_matching_answers_as_pymatching_does_and_better_than_plain():
    model, dets, flips = sampled(surface(5, 8, 0.006), 8000)
    whole = pymatching.Matching.from_detector_error_model(model, enable_correlations=True)
    found = decoder("correlated_matching").compile(model).decode_batch(dets)
    assert np.array_equal(found, whole.decode_batch(dets, enable_correlations=True))
    plain = decoder("matching").compile(model).decode_batch(dets)
    assert np.mean(found != flips) < 0.9 * np.mean(plain != flips)


def test_the_table_holds_the_likeliest_flips():
    """Against the sum over all sets of errors."""
    model = stim.DetectorErrorModel("""
        error(0.10) D0 D1 L0
        error(0.20) D0 D1 L1
        error(0.07) D1 D2
        error(0.30) D0 L0 L1
        error(0.15) D2 ^ D1 L1
        error(0.70) D2 D0
        error(0.02) L0
    """)
    errors = [each for each in model.flattened() if each.type == "error"]
    joint = np.zeros((8, 4))
    for happened in itertools.product((0, 1), repeat=len(errors)):
        chance, dets, flips = 1.0, 0, 0
        for each, here in zip(errors, happened, strict=True):
            p = each.args_copy()[0]
            chance *= p if here else 1 - p
            for target in each.targets_copy() if here else ():
                if target.is_relative_detector_id():
                    dets ^= 1 << target.val
                elif target.is_logical_observable_id():
                    flips ^= 1 << target.val
        # Nobody can see the last error, so nobody reckons with it.
        joint[dets, flips if not happened[-1] else flips ^ 1] += chance
    patterns = np.array(list(itertools.product((0, 1), repeat=3)), dtype=np.uint8)
    found = decoder("lookup").compile(model).decode_batch(patterns)
    expected = joint[patterns @ [1, 2, 4]].argmax(axis=1)
    assert np.array_equal(found @ [1, 2], expected)


def test_no_decoder_beats_the_table():
    model, dets, flips = sampled(surface(3, 2, 0.02), 20_000)
    wrong = {
        name: np.mean(decoder(name).compile(model).decode_batch(dets[:shots]) != flips[:shots])
        for name, shots in (("lookup", 20_000), ("matching", 20_000), ("correlated_matching", 20_000))
    }
    assert wrong["lookup"] < wrong["correlated_matching"] <= wrong["matching"]
    few = dets[:2000]
    table = np.mean(decoder("lookup").compile(model).decode_batch(few) != flips[:2000])
    for name in ("bp_osd", "bp_lsd"):
        assert np.mean(decoder(name).compile(model).decode_batch(few) != flips[:2000]) < 1.25 * table


def test_tables_too_large_are_refused_with_numbers():
    model = surface(3, 3, 0.01).detector_error_model(decompose_errors=True)
    with pytest.raises(SimulationRefused, match=r"24 detectors and 1 observables.*20 bits"):
        decoder("lookup").compile(model)


def test_belief_propagation_needs_its_package(monkeypatch):
    model = surface(3, 1, 0.01).detector_error_model()
    monkeypatch.setitem(sys.modules, "ldpc.bposd_decoder", None)
    with pytest.raises(MissingDependency, match="ldpc"):
        decoder("bp_osd").compile(model)


@pytest.mark.parametrize("wrong", [{"then": "none"}, {"iterations": 0}, {"scaling": 0.0}, {"scaling": 1.5}])
def test_belief_propagation_is_checked(wrong):
    with pytest.raises(InvalidValue, match=next(iter(wrong))):
        BeliefPropagation(**wrong)


def test_models_without_edges_are_decoded():
    """Errors that flip three detectors, as in colour codes: the seven-qubit code with perfect syndromes."""
    checks = [(0, 2, 4, 6), (1, 2, 5, 6), (3, 4, 5, 6)]
    touched = [" ".join(f"D{c}" for c, check in enumerate(checks) if q in check) for q in range(7)]
    model = stim.DetectorErrorModel("\n".join(f"error(0.02) {each} L0" for each in touched))
    dets = np.array([[q in check for check in checks] for q in range(7)])
    assert decoder("lookup").compile(model).decode_batch(dets).tolist() == [[1]] * 7
    for name in ("bp_osd", "bp_lsd"):
        # Beliefs run in circles around the qubit that all three checks share, and settle on four others.
        assert decoder(name).compile(model).decode_batch(dets[:6]).tolist() == [[1]] * 6


# ---------------------------------------------------------------------------------------------------------- sinter


def test_decoders_of_sinter_decode_in_windows_and_streams():
    model, dets, flips = sampled(surface(3, 12, 0.005), 5000)
    ours = decoder("matching")
    for name, reads in (("pymatching", "edges"), ("pymatching", "decompositions")):
        theirs = from_sinter(name, reads=reads)
        assert np.array_equal(theirs.compile(model).decode_batch(dets), ours.compile(model).decode_batch(dets))
        windowed = theirs.compile(model, (3, 3)).decode_batch(dets)
        mean = np.mean(ours.compile(model, (3, 3)).decode_batch(dets) != flips)
        assert np.mean(windowed != flips) == pytest.approx(mean, rel=0.05)


def test_decoders_of_sinter_that_know_only_files_are_called_through_files():
    class ThroughFiles(sinter.Decoder):
        def decode_via_files(self, *, num_shots, num_obs, obs_predictions_b8_out_path, **rest):  # noqa: ARG002
            np.full((num_shots, -(-num_obs // 8)), 1, dtype=np.uint8).tofile(obs_predictions_b8_out_path)

    model, dets, _ = sampled(surface(3, 2, 0.005), 10)
    assert from_sinter(ThroughFiles()).compile(model).decode_batch(dets).tolist() == [[1]] * 10


def test_sinter_brings_no_such_decoder():
    with pytest.raises(UnknownName, match="pymatching"):
        from_sinter("pymatchin")


def test_sinter_collects_with_our_windows():
    tasks = [sinter.Task(circuit=surface(3, 9, 0.01), json_metadata={"d": 3})]
    (stats,) = sinter.collect(
        num_workers=1,
        tasks=tasks,
        decoders=["windows"],
        custom_decoders={"windows": as_sinter("matching", (3, 3))},
        max_shots=1000,
    )
    model, dets, flips = sampled(surface(3, 9, 0.01), 10_000)
    rate = np.mean(decoder("matching").compile(model).decode_batch(dets) != flips)
    assert stats.errors / stats.shots == pytest.approx(rate, abs=4 * np.sqrt(rate / stats.shots))


# ---------------------------------------------------------------------------------------------------- service times


def test_service_times_are_what_they_say():
    defects = np.array([[0, 1], [10, 4]])
    assert Fixed(800).seconds(defects).tolist() == [[8e-7, 8e-7], [8e-7, 8e-7]]
    assert Affine(100, 20).seconds(defects) == pytest.approx(np.array([[1e-7, 1.2e-7], [3e-7, 1.8e-7]]))
    assert Fpga(200, rounds=14).seconds([0, 9]) == pytest.approx([2.8e-6, 2.8e-6])
    points = Measured((2, 4), (100.0, 300.0))
    assert points.seconds([0, 2, 3, 4, 9]) == pytest.approx([1e-7, 1e-7, 2e-7, 3e-7, 3e-7])


@pytest.mark.parametrize(
    ("make", "field"),
    [
        (lambda: Fixed(-1.0), "service_ns"),
        (lambda: Fixed(float("nan")), "service_ns"),
        (lambda: Affine(1.0, float("inf")), "defect_ns"),
        (lambda: Fpga(1.0, 0), "rounds"),
        (lambda: Measured((), ()), "defects"),
        (lambda: Measured((1, 1), (1.0, 2.0)), "defects"),
        (lambda: Measured((1,), (-1.0,)), "service_ns"),
    ],
)
def test_service_times_are_checked(make, field):
    with pytest.raises(InvalidValue, match=field):
        make()


def test_presets_cite_their_source_and_scale_with_the_window():
    for name in service_presets:
        preset = service_presets[name]
        assert preset.name == name
        assert "arXiv:" in preset.source
        assert service_time(name).seconds([3])[0] > 0
    assert service_time("micro_blossom", rounds=26) == Fixed(800.0)
    assert service_time("local_clustering", rounds=14).seconds([0])[0] == pytest.approx(14e-6)
    with pytest.raises(UnknownName, match="micro_blossom"):
        service_time("microblossom")


def test_a_machine_is_measured_by_single_windows():
    model, dets, _ = sampled(surface(3, 12, 0.01), 100)
    ready = Matching().compile(model, Window(3, 3))
    service = measure_service(ready, dets, calls=50)
    assert len(service.defects) > 2
    assert 1e-7 < service.seconds([2])[0] < 0.1
    with pytest.raises(InvalidValue, match="window"):
        measure_service(ready, dets, window=99)
    with pytest.raises(InvalidValue, match="calls"):
        measure_service(ready, dets[:0])
