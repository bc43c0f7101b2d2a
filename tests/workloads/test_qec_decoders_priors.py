"""A decoder that knows its pairs decodes better than one that knows their mean."""

import math

import numpy as np
import pytest

from hyperfabric_q.errors import InvalidValue
from hyperfabric_q.workloads.qec.decoders import ERASED, decoder, mean_weights, with_missing, with_priors
from hyperfabric_q.workloads.qec.links import werner_weights, with_weights
from hyperfabric_q.workloads.qec.seam import DistributedSurfaceCode


def mixed(distance, rounds, basis="Z"):
    """A seam whose pairs come over two links in turn, one good and one poor."""
    code = DistributedSurfaceCode(distance=distance, rounds=rounds, basis=basis, p=0.001)
    fidelity = np.where(np.arange(code.pairs_per_round) % 2, 0.85, 0.99)
    return code.experiment(weights=werner_weights(np.broadcast_to(fidelity, (rounds, code.pairs_per_round))))


def weights_of(experiment):
    return np.array([use.weights for use in experiment.links])


def wrong(model, dets, flips):
    return np.any(decoder("matching").compile(model).decode_batch(dets) != flips, axis=1)


def ratio_and_top(aware, mean):
    """The ratio of two failure rates on the same shots, and the upper end of its 95 % interval."""
    both, aware_only, mean_only = (aware & mean).sum(), (aware & ~mean).sum(), (mean & ~aware).sum()
    first, second = both + aware_only, both + mean_only
    spread = math.sqrt((aware_only + mean_only) / (first * second))
    return first / second, first / second * math.exp(1.96 * spread)


@pytest.mark.parametrize("basis", ["X", "Z"])
def test_priors_of_the_pairs_beat_their_mean(basis):
    """Links of fidelity 0.85 and 0.99, a tenth of the pairs announced missing, decoded from the same shots."""
    experiment = mixed(5, 10, basis)
    missing = np.random.default_rng(2).random(len(experiment.links)) < 0.1
    real = with_missing(weights_of(experiment), missing)
    sampler = with_weights(experiment, real).circuit.compile_detector_sampler(seed=4)
    dets, flips = sampler.sample(15_000, separate_observables=True)
    aware = wrong(with_priors(experiment, missing=missing), dets, flips)
    mean = wrong(with_priors(experiment, mean_weights(real)), dets, flips)
    ratio, top = ratio_and_top(aware, mean)
    assert ratio <= 0.8
    assert top < 1


def test_priors_are_the_model_of_the_circuit_with_these_pairs():
    experiment = mixed(3, 3)
    assert with_priors(experiment) == model_of(experiment)
    rows = werner_weights(np.linspace(0.7, 1.0, len(experiment.links)))
    assert with_priors(experiment, rows) == model_of(with_weights(experiment, rows))
    assert with_priors(experiment, werner_weights(0.9)) == model_of(with_weights(experiment, werner_weights(0.9)))


def test_an_erased_pair_flips_a_coin():
    """With perfect pairs but for one, only its own two errors are left, each as likely as not."""
    code = DistributedSurfaceCode(distance=3, rounds=3, noise="none")
    experiment = code.experiment(weights=[1.0, 0.0, 0.0, 0.0])
    missing = np.arange(len(experiment.links)) == 7
    model = with_priors(experiment, missing=missing)
    chances = [each.args_copy()[0] for each in model.flattened() if each.type == "error"]
    assert chances == pytest.approx([0.5, 0.5])


def test_weights_and_announcements_are_checked():
    experiment = mixed(3, 2)
    uses = len(experiment.links)
    with pytest.raises(InvalidValue, match="missing"):
        with_priors(experiment, missing=[True])
    with pytest.raises(InvalidValue, match="weights"):
        with_priors(experiment, np.full((uses + 1, 4), 0.25))
    with pytest.raises(InvalidValue, match="weights"):
        with_priors(experiment, [0.5, 0.5, 0.5, 0.5])
    with pytest.raises(InvalidValue, match="missing"):
        with_missing(np.full((3, 4), 0.25), [True, False])
    assert with_missing([1.0, 0, 0, 0], [False, True]).tolist() == [[1, 0, 0, 0], list(ERASED)]
    assert mean_weights([[1.0, 0, 0, 0], [0.5, 0.5, 0, 0]]).tolist() == [[0.75, 0.25, 0, 0]] * 2


def model_of(experiment):
    return experiment.circuit.detector_error_model(decompose_errors=True, approximate_disjoint_errors=True)
