import numpy as np
import pytest

from hyperfabric_q.errors import InvalidValue
from hyperfabric_q.workloads.annealing import public as annealing

SPACE = annealing.SearchSpace({"layers": (1, 2, 3), "width": (8, 16, 32, 64), "activation": ("relu", "tanh")})


def test_a_space_counts_and_lists_its_architectures_and_draws_each_option_about_equally_often():
    every = list(SPACE)
    assert len(every) == SPACE.size == 24
    drawn = SPACE.drawn(12, np.random.default_rng(1))
    assert len({tuple(each.values()) for each in drawn}) == 12
    for name, options in SPACE.decisions.items():
        counts = [sum(each[name] == option for each in drawn) for option in options]
        assert min(counts) >= 1
    assert len({tuple(each.values()) for each in SPACE.drawn(24, np.random.default_rng(1))}) == 24


def test_the_best_architecture_of_a_quadratic_score_is_found_from_all_scores():
    random = np.random.default_rng(2)
    for _ in range(5):
        worth = random.normal(size=(24, 24))
        names = [name for group in SPACE.groups for name in group]

        def score(each, worth=worth, names=names):
            chosen = [names.index(f"{name}={option}") for name, option in each.items()]
            return float(worth[np.ix_(chosen, chosen)].sum())

        scores = [score(each) for each in SPACE]
        model = annealing.fitted(SPACE, list(SPACE), scores, ridge=1e-6)
        for each, value in zip(SPACE, scores, strict=True):
            assert model.score(each) == pytest.approx(value, abs=1e-3)
        answer = annealing.solve(model.problem(), seed=1)
        found = annealing.decoded(SPACE, answer)
        assert answer.feasible
        assert answer.penalty_sufficient
        assert found.architecture == list(SPACE)[int(np.argmax(scores))]
        assert -answer.objective == pytest.approx(max(scores), abs=1e-3)


def test_the_error_of_a_model_is_that_of_leaving_each_measurement_out():
    random = np.random.default_rng(3)
    measured = SPACE.drawn(10, random)
    scores = random.normal(size=10)
    misses = []
    for left in range(10):
        keep = [each for each in range(10) if each != left]
        centred = scores[keep] - scores.mean()  # the constant stays that of all ten
        alone = annealing.fitted(SPACE, [measured[each] for each in keep], centred - centred.mean(), ridge=0.5)
        misses.append(scores[left] - scores.mean() - alone.score(measured[left]))
    one = annealing.fitted(SPACE, measured, scores, ridge=0.5)
    assert one.error == pytest.approx(np.sqrt(np.mean(np.square(misses))), rel=0.15)
    chosen = annealing.fitted(SPACE, measured, scores)
    assert chosen.error <= min(annealing.fitted(SPACE, measured, scores, ridge=each).error for each in (0.01, 1.0, 100))


def test_a_sample_that_decides_nothing_is_said_to_decide_nothing():
    sample = {name: 0 for group in SPACE.groups for name in group}
    sample["layers=2"] = sample["width=8"] = sample["width=16"] = 1
    found = annealing.decoded(SPACE, sample)
    assert found.architecture is None
    assert found.undecided == ("width", "activation")


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: annealing.SearchSpace({}), "decisions"),
        (lambda: annealing.SearchSpace({"a": ()}), "one option or more"),
        (lambda: annealing.SearchSpace({"a": (1, 1)}), "each of them once"),
        (lambda: annealing.SearchSpace({"a": tuple(range(3000))}), "2,000"),
        (lambda: SPACE.drawn(25, np.random.default_rng(1)), "at most 24"),
        (lambda: SPACE.places({"layers": 1}), "decides"),
        (lambda: SPACE.places({"layers": 9, "width": 8, "activation": "relu"}), "options of 'layers'"),
        (lambda: annealing.fitted(SPACE, list(SPACE), [1.0]), "one finite score"),
        (lambda: annealing.decoded(SPACE, {}), "no such variable"),
    ],
)
def test_what_makes_no_sense_is_refused(call, said):
    with pytest.raises(InvalidValue, match=said):
        call()
