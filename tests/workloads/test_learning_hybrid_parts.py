"""The pieces of hybrid training: slopes by differences, optimisers by their papers, lines of work by hand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hyperfabric_q import errors
from hyperfabric_q.workloads.learning.hybrid.data_sets import data_set
from hyperfabric_q.workloads.learning.hybrid.dense import Dense
from hyperfabric_q.workloads.learning.hybrid.optimisers import Adam, Sgd
from hyperfabric_q.workloads.learning.hybrid.track import Split, Track


def test_dense_layers_slope_as_differences_say():
    rng = np.random.default_rng(1)
    layers = Dense(widths=(3, 5, 4, 2))
    row, inputs, slopes = layers.first(rng), rng.normal(size=(6, 3)), rng.normal(size=(6, 2))
    assert layers.size == 20 + 24 + 10 == len(row)
    outputs, kept = layers.forward(row, inputs)
    by_row, by_input = layers.backward(row, kept, slopes)

    def loss(row, inputs):
        return float((layers.forward(row, inputs)[0] * slopes).sum())

    for place in range(len(row)):
        shift = 1e-6 * (np.arange(len(row)) == place)
        assert by_row[place] == pytest.approx((loss(row + shift, inputs) - loss(row - shift, inputs)) / 2e-6, abs=1e-7)
    shift = np.zeros_like(inputs)
    shift[2, 1] = 1e-6
    assert by_input[2, 1] == pytest.approx((loss(row, inputs + shift) - loss(row, inputs - shift)) / 2e-6, abs=1e-7)
    assert outputs.shape == (6, 2)


@pytest.mark.parametrize("made", [Adam(learning_rate=0.1), Adam(beta1=0.5, beta2=0.9), Sgd(momentum=0.7), Sgd()])
def test_optimisers_step_as_defined(made):
    """An independent walk with the formulas of the papers, step by step."""
    rng = np.random.default_rng(2)
    row, state = np.array([1.0, -2.0]), made.begun(2)
    wanted, first, second = row.copy(), np.zeros(2), np.zeros(2)
    for count in range(1, 6):
        gradient = rng.normal(size=2)
        row, state = made.moved(row, gradient, state, count)
        if isinstance(made, Adam):
            first = made.beta1 * first + (1 - made.beta1) * gradient
            second = made.beta2 * second + (1 - made.beta2) * gradient * gradient
            mean, square = first / (1 - made.beta1**count), second / (1 - made.beta2**count)
            wanted = wanted - made.learning_rate * mean / (np.sqrt(square) + made.epsilon)
        else:
            first = made.momentum * first - made.learning_rate * gradient
            wanted = wanted + first
        assert np.allclose(row, wanted, rtol=0, atol=1e-14)


def test_optimisers_refuse_what_is_out_of_range():
    for make in (lambda: Adam(beta1=1.0), lambda: Sgd(momentum=-0.1), lambda: Adam(learning_rate=float("nan"))):
        with pytest.raises(errors.InvalidValue):
            make()


def test_the_critical_chain_of_a_known_picture():
    """a works 10, sends to b (4); b worked 3 meanwhile, works 5 after; c is done at 12 and does not matter."""
    track = Track(("a", "b", "c"), 100)
    track.work(["a"], "classical", 10)
    track.work(["b"], "quantum", 3)
    track.work(["c"], "quantum", 12)
    mark = track.latest(["a"])
    track.reach("network", mark, 110, {"b": 114})
    track.work(["b"], "quantum", 5)
    assert track.critical(119) == Split(classical_ps=10, network_ps=4, quantum_ps=5)
    assert track.split("b", 119) == Split(quantum_ps=8, network_ps=4, waiting_ps=7)
    assert track.split("c", 119) == Split(quantum_ps=12, waiting_ps=7)
    assert track.critical(121) == Split(classical_ps=10, network_ps=4, quantum_ps=5, waiting_ps=2)


actions = st.lists(
    st.tuples(st.sampled_from("wmb"), st.integers(0, 3), st.integers(0, 3), st.integers(0, 9), st.integers(0, 5)),
    max_size=30,
)


@settings(deadline=None, derandomize=True, max_examples=80)
@given(actions)
def test_every_split_adds_up_and_no_chain_has_a_gap(given_actions):
    names = "abcd"
    track, now = Track(names, 0), 0
    for what, one, other, lasts, late in given_actions:
        if what == "w":
            track.work(sorted({names[one], names[other]}), "quantum", lasts)
        else:
            chosen = [names[one]] if what == "m" else list(names)
            mark = track.latest(chosen)
            now = max(now, mark.time_ps)
            mark = track.holding(mark, now)
            ends = {names[other]: now + lasts} if what == "m" else dict.fromkeys(names, now + lasts + late)
            last = track.reach("network", mark, now, ends)
            now = last  # a script's clock stands where its last message arrived
    end = max(now, track.latest().time_ps)
    for split in (track.critical(end), *(track.split(name, end) for name in names)):
        assert split.total_ps == end
        assert min(split.quantum_ps, split.network_ps, split.classical_ps, split.waiting_ps) >= 0
    # A script's clock stands still but for work and messages: the chain has no gap.
    assert track.critical(end).waiting_ps == 0


def test_data_sets_are_scaled_by_what_is_learnt_from_and_always_split_alike(tmp_path):
    pytest.importorskip("sklearn")
    one, two = data_set(name="iris", components=2), data_set(name="iris", components=2)
    assert np.array_equal(one.rows, two.rows)
    assert (len(one.rows), len(one.test_rows), one.rows.shape[1]) == (112, 38, 2)
    assert np.allclose(one.rows.mean(axis=0), 0)
    assert np.allclose(one.rows.std(axis=0), 1)
    assert abs(np.corrcoef(one.rows.T)[0, 1]) < 1e-9  # principal components
    only = data_set(name="digits", classes=[3, 8], samples=60)
    assert set(only.labels.tolist()) == {3, 8}
    table = tmp_path / "t.csv"
    table.write_text("a,b,label\n" + "".join(f"{k},{k * k},{k % 2}\n" for k in range(8)))
    read = data_set(file="t.csv", folder=tmp_path, test_share=0.0)
    assert (read.rows.shape, read.labels.dtype.kind, len(read.test_rows)) == ((8, 2), "i", 0)


@pytest.mark.parametrize(
    ("options", "error", "told"),
    [
        ({}, errors.InvalidValue, "either"),
        ({"name": "irs"}, errors.UnknownName, "iris"),
        ({"name": "iris", "components": 9}, errors.InvalidValue, "components"),
        ({"name": "iris", "classes": [7]}, errors.InvalidValue, "labels"),
        ({"name": "iris", "test_share": 1.0}, errors.InvalidValue, "test_share"),
        ({"name": "iris", "samples": 1000}, errors.InvalidValue, "150"),
        ({"file": "missing.csv"}, errors.FileUnreadable, "missing"),
        ({"file": "bad.csv"}, errors.FileUnreadable, "heading"),
        ({"file": "."}, errors.FileUnreadable, "no file"),
    ],
)
def test_data_that_cannot_be_read_is_refused(tmp_path, options, error, told):
    (tmp_path / "bad.csv").write_text("a,b\n1,x\n")
    with pytest.raises(error, match=told):
        data_set(folder=tmp_path, **options)
