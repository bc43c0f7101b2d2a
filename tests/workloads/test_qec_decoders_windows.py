"""Windows lose nothing with a buffer of a distance, lose what they must without, and streams decide the same."""

from itertools import pairwise

import numpy as np
import pytest
import stim
from hypothesis import given, settings
from hypothesis import strategies as st

from hyperfabric_q.errors import InvalidValue
from hyperfabric_q.workloads.qec.decoders import Matching, Window, Windowed, decoder
from hyperfabric_q.workloads.qec.decoders.model import read_model
from hyperfabric_q.workloads.qec.decoders.windowed import default_window
from hyperfabric_q.workloads.qec.decoders.windows import lay

LAYOUTS = ("sliding", "parallel")


def surface(distance, rounds, p):
    return stim.Circuit.generated(
        "surface_code:rotated_memory_z",
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


def wrong(name, model, window, dets, flips):
    return np.any(decoder(name).compile(model, window).decode_batch(dets) != flips, axis=1)


def paired_z(a, b):
    """How many standard errors lie between two decoders on the same shots, by those that only one gets wrong."""
    only_a, only_b = np.count_nonzero(a & ~b), np.count_nonzero(b & ~a)
    return (only_a - only_b) / max(np.sqrt(only_a + only_b), 1)


@pytest.fixture(scope="module")
def five():
    model, dets, flips = sampled(surface(5, 30, 0.005), 8000)
    return model, dets, flips, wrong("matching", model, None, dets, flips)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("commit", [1, 5])
def test_a_buffer_of_the_distance_loses_nothing(five, layout, commit):
    model, dets, flips, best = five
    found = wrong("matching", model, Window(commit, 5, layout=layout), dets, flips)
    assert abs(paired_z(found, best)) < 3
    assert np.mean(found != best) < 0.005


@pytest.mark.parametrize("layout", LAYOUTS)
def test_no_buffer_costs_much(five, layout):
    model, dets, flips, best = five
    found = wrong("matching", model, Window(5, 0, layout=layout), dets, flips)
    assert 1.4 * np.mean(best) < np.mean(found) < 2.2 * np.mean(best)


def test_a_longer_buffer_never_hurts_much(five):
    model, dets, flips, _ = five
    rates = [np.mean(wrong("matching", model, (5, buffer), dets[:5000], flips[:5000])) for buffer in (0, 1, 3, 5)]
    assert rates == sorted(rates, reverse=True)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_correlated_windows_keep_what_correlations_gain(layout):
    model, dets, flips = sampled(surface(5, 15, 0.005), 3000)
    best = wrong("correlated_matching", model, None, dets, flips)
    found = wrong("correlated_matching", model, Window(5, 5, layout=layout), dets, flips)
    assert abs(paired_z(found, best)) < 3
    assert np.mean(found) < 0.9 * np.mean(wrong("matching", model, None, dets, flips))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("distance", "p", "shots", "expected"),
    [
        (3, 0.005, 40_000, {None: 0.1403, (3, 3): 0.1406, (3, 2): 0.1419, (1, 3): 0.1407, (3, 0): 0.1975}),
        (5, 0.005, 20_000, {None: 0.0861, (5, 5): 0.0863, (5, 3): 0.0886, (1, 5): 0.0862, (5, 0): 0.1389}),
        (7, 0.005, 8_000, {None: 0.0484, (7, 7): 0.0482, (7, 4): 0.0486, (1, 7): 0.0492}),
        (5, 0.002, 40_000, {None: 0.0070, (5, 5): 0.0070, (5, 3): 0.0071, (1, 5): 0.0071}),
    ],
)
def test_failures_of_thirty_rounds(distance, p, shots, expected):
    """Figures of an independent implementation, each within three standard errors of both."""
    model, dets, flips = sampled(surface(distance, 30, p), shots, seed=11)
    best = wrong("matching", model, None, dets, flips)
    for window, rate in expected.items():
        found = wrong("matching", model, window, dets, flips)
        assert np.mean(found) == pytest.approx(rate, abs=3 * np.sqrt(2 * rate / shots))
        if window is not None and window[1] == distance:
            assert abs(paired_z(found, best)) < 3


# -------------------------------------------------------------------------------------------------------- the layout


@settings(deadline=None, derandomize=True, max_examples=40)
@given(
    rounds=st.integers(1, 12),
    commit=st.integers(1, 6),
    buffer=st.integers(0, 5),
    layout=st.sampled_from(LAYOUTS),
    reads=st.sampled_from(["edges", "decompositions", "mechanisms"]),
)
def test_every_round_and_every_error_is_decided_once(rounds, commit, buffer, layout, reads):
    circuit = stim.Circuit.generated(
        "repetition_code:memory", distance=3, rounds=rounds, after_clifford_depolarization=0.01
    )
    model = read_model(circuit.detector_error_model(decompose_errors=True), reads)
    made = lay(model, Window(commit, buffer, layout=layout))
    decided = sorted((each.first, each.end) for each in made.spans)
    assert [each for first, end in decided for each in range(first, end)] == list(range(rounds + 1))
    assert all(each.start <= each.first < each.end <= each.stop for each in made.spans)
    waits = [each.stop for each in made.spans if each.layer == 0]
    assert waits == sorted(waits)
    assert all(before < index for index, each in enumerate(made.spans) for before in each.after)
    parts = [part for unit in model.units for part in unit.parts]
    assert len(parts) == len(made.owner)
    for part, owner in zip(parts, made.owner.tolist(), strict=True):
        span = made.spans[owner]
        assert any(span.first <= model.rounds[each] < span.end for each in part.detectors)
    cores = sorted((each.first, each.end) for each in made.spans if each.layer == 0)
    if layout == "parallel":
        gaps = [later[0] - sooner[1] for sooner, later in pairwise(cores)]
        assert all(gap >= max(2 * buffer, 1) for gap in gaps)


def test_windows_alike_are_decoded_by_one_core():
    model = surface(3, 60, 0.003).detector_error_model(decompose_errors=True)
    ready = Matching().compile(model, Window(3, 3))
    assert len(ready.pieces) == 20
    assert len({id(each.core) for each in ready.pieces}) <= 6


def test_the_likeliest_of_errors_that_look_alike_wins():
    """Without a buffer the errors of round 0 that reach round 1 look like those at the boundary."""
    lines = "detector(0, 0) D0\ndetector(0, 1) D1\nerror(0.01) D1\nerror({straight}) D0 D1\nerror({edge}) D0 L0"
    likely = stim.DetectorErrorModel(lines.format(straight=0.2, edge=0.1))
    unlikely = stim.DetectorErrorModel(lines.format(straight=0.1, edge=0.2))
    dets = np.array([[1, 1]], dtype=np.uint8)
    assert Matching().compile(likely, Window(1, 0)).decode_batch(dets).tolist() == [[0]]
    assert Matching().compile(unlikely, Window(1, 0)).decode_batch(dets).tolist() == [[1]]


@pytest.mark.parametrize("window", [None, Window(2, 2), Window(2, 1, layout="parallel"), Window(1, 0)])
def test_closed_codes_never_fail_for_one_shot(window):
    """A ring has no boundary, so an odd number of events has no matching; it is decoded all the same."""
    lines = []
    for time in range(12):
        for site in range(4):
            here, there = 4 * time + site, 4 * time + (site + 1) % 4
            lines.append(f"detector({site}, {time}) D{here}")
            lines.append(f"error(0.02) D{here} D{there}" + (" L0" if site == 3 else ""))
            if time < 11:
                lines.append(f"error(0.02) D{here} D{here + 4}")
    model = stim.DetectorErrorModel("\n".join(lines))
    dets = np.random.default_rng(1).integers(0, 2, (50, 48), dtype=np.uint8)
    assert Matching().compile(model, window).decode_batch(dets).shape == (50, 1)
    real, flips, _ = model.compile_sampler(seed=1).sample(4000)
    rate = np.mean(Matching().compile(model, window).decode_batch(real) != flips)
    assert rate < 0.9 * np.mean(flips)


def test_windows_want_the_round_of_each_detector():
    model = stim.DetectorErrorModel("error(0.1) D0 L0\nerror(0.1) D0 D1\ndetector(1, 0.5) D0")
    with pytest.raises(InvalidValue, match="coordinates of detector 0"):
        Matching().compile(model, (1, 1))
    ready = Matching().compile(model, (1, 1), rounds=[0, 1])
    assert ready.decode_batch(np.array([[1, 0]], dtype=np.uint8)).tolist() == [[1]]
    with pytest.raises(InvalidValue, match="rounds"):
        Matching().compile(model, (1, 1), rounds=[0])


@pytest.mark.parametrize("bad", [(0, 1), (1, -1), (1.5, 1), (True, 1)])
def test_windows_are_checked(bad):
    with pytest.raises(InvalidValue, match="window"):
        Window(*bad)
    with pytest.raises(InvalidValue, match="layout"):
        Window(1, 1, layout="zigzag")


def test_windows_take_the_distance_where_nobody_says():
    model = surface(5, 12, 0.003).detector_error_model(decompose_errors=True)
    assert default_window(model) == Window(5, 5)
    assert [each.end for each in decoder("window").compile(model).layout.spans] == [5, 13]
    assert {each.layer for each in decoder("parallel").compile(model, (2, 1)).layout.spans} == {0, 1}
    assert [each.end for each in Windowed(window=Window(4, 1)).compile(model).layout.spans] == [4, 8, 13]
    with pytest.raises(InvalidValue, match="window"):
        decoder("window").compile(stim.DetectorErrorModel("error(0.1) D0 D1 D2\ndetector(0) D0"))


# ------------------------------------------------------------------------------------------------------- the stream


def streamed(ready, dets, shots=None):
    rounds = ready.layout.model.rounds
    return ready.stream(len(dets) if shots is None else shots), rounds


def test_a_window_runs_as_soon_as_its_rounds_are_there():
    model, dets, _ = sampled(surface(3, 11, 0.005), 50)
    ready = Matching().compile(model, Window(3, 2))
    stream, rounds = streamed(ready, dets)
    ran = {}
    for each in range(12):
        for commit in stream.push(each, dets[:, rounds == each]):
            ran[commit.window] = (each, commit.first, commit.end, commit.upto, commit.rounds)
    assert ran == {0: (4, 0, 3, 3, 5), 1: (7, 3, 6, 6, 5), 2: (10, 6, 9, 9, 5), 3: (11, 9, 12, 12, 3)}


def test_parallel_gaps_wait_for_both_neighbours():
    model, dets, _ = sampled(surface(3, 11, 0.005), 50)
    stream, rounds = streamed(Matching().compile(model, Window(2, 1, layout="parallel")), dets)
    commits = [commit for each in range(12) for commit in stream.push(each, dets[:, rounds == each])]
    assert [(each.first, each.end, each.layer, each.upto) for each in commits] == [
        (0, 2, 0, 2),
        (4, 6, 0, 2),
        (2, 4, 1, 6),
        (8, 10, 0, 6),
        (6, 8, 1, 10),
        (10, 12, 1, 12),
    ]
    assert commits[2].after == (0, 1)


def test_defects_are_those_that_the_window_looks_at():
    model, dets, _ = sampled(surface(3, 11, 0.01), 200)
    ready = Matching().compile(model, Window(12, 0))
    stream, rounds = streamed(ready, dets)
    (commit,) = [commit for each in range(12) for commit in stream.push(each, dets[:, rounds == each])]
    assert np.array_equal(commit.defects, dets[:, ready.detectors].sum(axis=1))


def test_a_hurried_window_looks_at_what_is_there():
    """Committing early is decoding with the buffer that has arrived."""
    model, dets, _ = sampled(surface(3, 11, 0.01), 2000)
    stream, rounds = streamed(Matching().compile(model, Window(4, 4)), dets)
    for each in range(3):
        assert stream.push(each, dets[:, rounds == each]) == []
    assert stream.hurry() == []
    for each in range(3, 6):
        assert stream.push(each, dets[:, rounds == each]) == []
    (early,) = stream.hurry()
    assert (early.first, early.end, early.round, early.rounds) == (0, 4, 5, 6)
    other, _ = streamed(Matching().compile(model, Window(4, 2)), dets)
    expected = [commit for each in range(6) for commit in other.push(each, dets[:, rounds == each])]
    assert np.array_equal(early.flips, expected[0].flips)
    for each in range(6, 12):
        stream.push(each, dets[:, rounds == each])
    assert stream.upto == 12
    assert stream.hurry() == []


def test_a_stream_takes_each_round_once():
    model, dets, _ = sampled(surface(3, 5, 0.005), 10)
    stream, rounds = streamed(Matching().compile(model, Window(3, 1)), dets)
    stream.push(2, dets[:, rounds == 2])
    for wrong_round in (2, -1, 6):
        with pytest.raises(InvalidValue, match="round"):
            stream.push(wrong_round, dets[:, rounds == 2])
    with pytest.raises(InvalidValue, match="bits"):
        stream.push(3, dets[:, rounds == 0])
    with pytest.raises(InvalidValue, match="shots"):
        Matching().compile(model).stream(0)
