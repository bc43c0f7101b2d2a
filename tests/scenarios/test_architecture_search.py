"""Architectures by annealing: what is chosen is the model's best, and what annealing does not help with is said."""

import itertools
import json
import math

import numpy as np
import pytest

import hyperfabric_q as hq
from hyperfabric_q.errors import ImplicitEndpointWarning, InvalidValue
from hyperfabric_q.scenarios import (
    convert_to_qubo,
    decode_quantum_solution,
    define_neural_architecture_space,
    play,
    serialize_qubo,
    world,
)
from hyperfabric_q.scenarios.architecture_search.networks import USUAL, WHOLE, Bench, _slopes
from hyperfabric_q.scenarios.architecture_search.pieces import measure_architecture, search
from hyperfabric_q.scenarios.architecture_search.run import annealer, fits, most_options
from hyperfabric_q.workloads.annealing import public as annealing

LITTLE = {"layers": (1, 2), "activation": ("relu", "sine"), "rate": (0.1, 1.0)}


@pytest.fixture(scope="module")
def outcome():
    return play("architecture_search", size="small")


def test_annealing_finds_the_best_of_the_model_and_it_is_a_good_network(outcome):
    best, most, *_ = outcome.verdicts
    assert best.holds
    assert most.holds
    assert outcome["accuracy, chosen by annealing"] > outcome["accuracy, median of others"] + 0.1
    assert outcome["no energy is below"] <= outcome["lowest energy of an architecture"]


def test_the_impossible_is_called_so(outcome):
    quicker, large, coherent = outcome.verdicts[3:]
    assert not any(each.holds for each in (quicker, large, coherent))
    assert "6,900 qubits" in large.because  # 300 variables of ceil(297 / 13) qubits each
    assert "37%" in coherent.because  # exp(-20 us / 20 us)
    assert outcome["annealer busy with one problem"] == pytest.approx(15.76 + 500 * 0.08586)
    assert outcome["all rounds"] >= 2 * outcome["annealer busy with one problem"]


def test_how_many_options_fit_follows_from_counting_couplers():
    largest = max(n for n in range(3, 400) if n * max(1, math.ceil((n - 3) / 13)) <= 5000)
    assert most_options(annealer()) == largest
    assert fits(annealing.machine_of(annealer()), largest) is None
    assert fits(annealing.machine_of(annealer()), largest + 1) is not None


def test_the_choice_is_the_best_of_all_by_the_model():
    with world(seed=5):
        space = annealing.SearchSpace(LITTLE)
        qubo = convert_to_qubo(space, measured=6, epochs=2)
        chosen = decode_quantum_solution(serialize_qubo(qubo))
        [model] = search().models.values()
        options = [dict(zip(LITTLE, each, strict=True)) for each in itertools.product(*LITTLE.values())]
        assert chosen.architecture == max(options, key=model.score)
        # Penalties: whatever breaks a decision lies above every architecture.
        names = [name for group in space.groups for name in group]
        every = np.array(list(itertools.product((0, 1), repeat=len(names))), dtype=np.int8)
        energies = qubo.energies((every, names))
        whole = np.all([every[:, [names.index(n) for n in group]].sum(axis=1) == 1 for group in space.groups], axis=0)
        assert energies[~whole].min() > energies[whole].min()
        assert energies.min() == pytest.approx(-model.score(chosen.architecture))
    assert chosen.annealed_at is None
    assert "nobody answered" in str(chosen)


def test_what_was_measured_is_not_measured_again_and_is_taken_into_account():
    with world(seed=6):
        space = annealing.SearchSpace(LITTLE)
        convert_to_qubo(space, measured=4, epochs=1)
        measure_architecture({"layers": 1, "activation": "relu", "rate": 1.0}, 1)
        known = len(search().scores)
        convert_to_qubo(space, measured=4, epochs=1)
        assert len(search().scores) == known
        with pytest.raises(InvalidValue):
            convert_to_qubo(annealing.SearchSpace({"depth": (1, 2)}))
        with pytest.raises(InvalidValue):
            decode_quantum_solution({("a", "a"): -1.0})


def test_networks_follow_the_slope_of_their_loss():
    def loss():
        values = x
        for matrix in weights[:-1]:
            values = np.sin(np.column_stack([values, np.ones(len(x))]) @ matrix)
        sums = np.column_stack([values, np.ones(len(x))]) @ weights[-1]
        return float(np.mean(np.log(np.exp(sums).sum(axis=1)) - (sums * targets).sum(axis=1)))

    rng, chosen = np.random.default_rng(1), {**USUAL, "activation": "sine"}
    weights = [rng.normal(size=shape) for shape in ((3, 4), (5, 4), (5, 3))]
    x, targets = rng.normal(size=(7, 2)), np.eye(3)[rng.integers(0, 3, 7)]
    slopes = _slopes(weights, chosen, x, targets)
    for matrix, slope in zip(weights, slopes, strict=True):
        before = loss()
        matrix[1, 2] += 1e-6
        assert (loss() - before) / 1e-6 == pytest.approx(slope[1, 2], abs=1e-4)
        matrix[1, 2] -= 1e-6


@pytest.mark.parametrize("activation", WHOLE["activation"])
def test_every_unit_learns_more_than_guessing(activation):
    scored = Bench(1).score({"activation": activation, "rate": 0.3, "gain": 2.0, "momentum": 0.5}, 12)
    assert scored.choosing > 0.36  # a third by guessing, with a bar of 0.019
    assert Bench(1).score({"activation": activation}, 1) == Bench(1).score({"activation": activation}, 1)


def test_same_seed_same_digest_and_json(outcome):
    assert play("architecture_search", size="small").digest == outcome.digest
    assert play("architecture_search", size="small", seed=1).digest != outcome.digest
    told = json.loads(json.dumps(outcome.to_dict()))
    assert all(each["stderr"] is None or each["stderr"] >= 0 for each in told["figures"])


def test_the_plain_form_ends_with_an_architecture():
    async def chosen():
        protocol = hq.HyperFabricProtocol()
        protocol.register_node(annealer())
        assert define_neural_architecture_space().size == 25_920
        space = annealing.SearchSpace(LITTLE)  # of which less has to be trained
        result = await protocol.send_data(
            source="nas-controller",
            destination="d-wave-annealer",
            data=serialize_qubo(convert_to_qubo(space, measured=6, epochs=1)),
            data_type=hq.DataType.QUANTUM_STATE,
            requires_quantum_entanglement=False,
        )
        return decode_quantum_solution(result)

    with world(seed=2), pytest.warns(ImplicitEndpointWarning):
        found = hq.run(chosen())
    assert set(found.architecture) == set(LITTLE)
    assert found.annealed_at is None
    assert 0 < found.expected < 1


@pytest.mark.slow
def test_at_full_size_the_choice_is_among_the_best():
    outcome = play("architecture_search", size="full")
    assert outcome["architectures"] == 25_920
    assert outcome["accuracy, chosen by annealing"] > 0.9
    assert outcome.verdicts[1].holds
    assert not any(each.holds for each in outcome.verdicts[3:])
