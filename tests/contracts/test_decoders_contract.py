"""What every decoder promises, third parties' included: run over all that are registered."""

import pickle

import numpy as np
import pytest
import sinter
import stim

from hyperfabric_q.errors import InvalidValue, UnknownName
from hyperfabric_q.workloads.qec.decoders import Window, as_sinter, decoder, decoders, sinter_decoders

every_decoder = pytest.mark.parametrize("name", list(decoders))
every_window = pytest.mark.parametrize("window", [None, Window(2, 2), Window(1, 2), Window(1, 2, layout="parallel")])


def repetition(rounds, p=0.03):
    return stim.Circuit.generated(
        "repetition_code:memory",
        distance=3,
        rounds=rounds,
        before_round_data_depolarization=p,
        before_measure_flip_probability=p,
        after_clifford_depolarization=p / 4,
    )


def surface(rounds, p=0.005):
    return stim.Circuit.generated(
        "surface_code:rotated_memory_z",
        distance=3,
        rounds=rounds,
        before_round_data_depolarization=p,
        before_measure_flip_probability=p,
        after_clifford_depolarization=p,
    )


REPETITION = repetition(6)
MODEL = REPETITION.detector_error_model(decompose_errors=True)
DETS, FLIPS = REPETITION.compile_detector_sampler(seed=5).sample(300, separate_observables=True)
ROUNDS = np.array([int(each[-1]) for _, each in sorted(MODEL.get_detector_coordinates().items())])


@every_decoder
@every_window
def test_no_events_flip_nothing(name, window):
    found = decoder(name).compile(MODEL, window).decode_batch(np.zeros((3, MODEL.num_detectors), dtype=np.uint8))
    assert found.shape == (3, 1)
    assert found.dtype == np.uint8
    assert not found.any()


@every_decoder
@every_window
def test_no_shots_are_no_answers(name, window):
    found = decoder(name).compile(MODEL, window).decode_batch(np.zeros((0, MODEL.num_detectors), dtype=np.bool_))
    assert found.shape == (0, 1)


@every_decoder
@every_window
def test_every_single_error_is_corrected(name, window):
    """Distance 3: whatever happens alone is found, wherever windows begin."""
    dets, flips = single_errors(MODEL)
    assert np.array_equal(decoder(name).compile(MODEL, window).decode_batch(dets), flips)


@every_decoder
def test_every_single_error_of_a_surface_code_is_corrected(name):
    model = surface(2).detector_error_model(decompose_errors=True)
    dets, flips = single_errors(model)
    assert np.array_equal(decoder(name).compile(model).decode_batch(dets), flips)


@every_decoder
@every_window
def test_decoding_is_better_than_none_and_changes_nothing(name, window):
    given = DETS.copy()
    ready = decoder(name).compile(MODEL, window)
    wrong = np.mean(ready.decode_batch(given) != FLIPS)
    assert wrong < 0.5 * np.mean(FLIPS)
    assert np.array_equal(given, DETS)
    assert np.array_equal(ready.decode_batch(given), ready.decode_batch(given.astype(np.uint8)))


@every_decoder
@every_window
def test_packed_bits_are_decoded_alike(name, window):
    ready = decoder(name).compile(MODEL, window)
    packed = ready.decode_batch_packed(np.packbits(DETS, axis=1, bitorder="little"))
    assert packed.dtype == np.uint8
    assert np.array_equal(packed, np.packbits(ready.decode_batch(DETS), axis=1, bitorder="little"))


@every_decoder
@every_window
@pytest.mark.parametrize("backwards", [False, True])
def test_a_stream_commits_what_the_batch_decodes(name, window, backwards):
    ready = decoder(name).compile(MODEL, window)
    stream, commits = ready.stream(len(DETS)), []
    order = np.unique(ROUNDS)[:: -1 if backwards else 1]
    for each in order.tolist():
        made = stream.push(each, DETS[:, each == ROUNDS])
        assert all(commit.round <= each for commit in made) or backwards
        commits += made
    assert np.array_equal(stream.flips, ready.decode_batch(DETS))
    assert np.array_equal(np.bitwise_xor.reduce([each.flips for each in commits]), stream.flips)
    decided = sorted((each.first, each.end) for each in commits)
    assert [each for first, end in decided for each in range(first, end)] == list(range(ROUNDS.max() + 1))
    assert commits[-1].upto == stream.upto == ROUNDS.max() + 1
    seen = set()
    for each in commits:
        assert set(each.after) <= seen
        seen.add(each.window)


@every_decoder
@every_window
def test_sinter_decodes_alike(name, window):
    face = pickle.loads(pickle.dumps(as_sinter(name, window)))  # noqa: S301
    found = sinter.predict_observables(
        dem=MODEL, dets=DETS, decoder="ours", custom_decoders={"ours": face}, bit_pack_result=False
    )
    assert np.array_equal(found, decoder(name).compile(MODEL, window).decode_batch(DETS).astype(bool))


@every_decoder
def test_events_of_another_shape_are_refused(name):
    ready = decoder(name).compile(MODEL)
    with pytest.raises(InvalidValue, match="dets"):
        ready.decode_batch(DETS[:, 1:])
    with pytest.raises(InvalidValue, match="dets"):
        ready.decode_batch(DETS.astype(np.float64))
    with pytest.raises(InvalidValue, match="dets"):
        ready.decode_batch_packed(DETS)


def test_sinter_knows_all_of_them_by_a_name_of_their_own():
    assert set(sinter_decoders()) == {f"hyperfabric_q:{name}" for name in decoders}


def test_unknown_decoders_are_refused():
    with pytest.raises(UnknownName, match="'matching'"):
        decoder("machting")


def single_errors(model):
    """Detection events and flips of each error of a model on its own, read by stim alone."""
    errors = [each for each in model.flattened() if each.type == "error"]
    dets = np.zeros((len(errors), model.num_detectors), dtype=np.uint8)
    flips = np.zeros((len(errors), model.num_observables), dtype=np.uint8)
    for row, each in enumerate(errors):
        for target in each.targets_copy():
            if target.is_relative_detector_id():
                dets[row, target.val] ^= 1
            elif target.is_logical_observable_id():
                flips[row, target.val] ^= 1
    return dets, flips
