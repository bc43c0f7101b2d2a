"""What every attack on key distribution promises, third parties' included: run over all that are registered."""

import numpy as np
import pytest

from hyperfabric_q.entanglement.state import correlators, weights
from hyperfabric_q.errors import InvalidValue, UnknownName
from hyperfabric_q.workloads.qkd.attacks import Attack, attack, attacks
from hyperfabric_q.workloads.qkd.authentication import Tag
from hyperfabric_q.workloads.qkd.rates import error_rates
from hyperfabric_q.workloads.qkd.sampling import measure
from hyperfabric_q.workloads.qkd.simulated import simulate

every_attack = pytest.mark.parametrize("name", list(attacks))

STATE = np.array([0.92, 0.03, 0.01, 0.04])


def rng(seed=1):
    return np.random.default_rng(seed)


@every_attack
def test_at_full_strength_no_key_comes_out(name):
    for seed in range(3):
        found = simulate(0.98, 20_000, attack=attack(name, 1.0), seed=seed)
        assert found.aborted
        assert found.reason
        assert found.key is None


@every_attack
def test_at_no_strength_nothing_changes(name):
    quiet = simulate(0.98, 20_000, seed=4)
    found = simulate(0.98, 20_000, attack=attack(name, 0.0), seed=4)
    assert found.to_dict() == quiet.to_dict()
    assert found.take() == quiet.take()


@every_attack
@pytest.mark.parametrize("strength", [0.05, 0.3])
def test_whatever_is_attacked_the_ends_never_hold_different_keys(name, strength):
    for seed in range(3):
        found = simulate(0.98, 20_000, attack=attack(name, strength), seed=seed)
        assert found.aborted or found.ends_agree


@every_attack
def test_a_stronger_attack_never_gives_a_longer_key(name):
    lengths = [
        np.mean([simulate(0.98, 20_000, attack=attack(name, each), seed=seed).key_bits for seed in range(4)])
        for each in (0.0, 0.1, 0.5)
    ]
    assert lengths == sorted(lengths, reverse=True)


@every_attack
def test_equal_seeds_are_attacked_alike(name):
    first, second = (simulate(0.98, 20_000, attack=attack(name, 0.1), seed=9).to_dict() for _ in range(2))
    assert first == second


@every_attack
def test_states_stay_states_and_nothing_given_is_changed(name):
    eve, given = attack(name, 0.4), STATE.copy()
    for found in (eve.channel(given), eve.average(given), eve.average(np.stack([given, given]))[1]):
        assert found.sum() == pytest.approx(1)
        assert found.min() >= 0
    assert np.array_equal(given, STATE)
    measured = measure(given, rng(), pairs=100)
    before = measured.bob.copy()
    eve.intercept(measured, rng())
    assert np.array_equal(measured.bob, before)
    data, past = bytes(range(40)), [b"one", b"two"]
    assert isinstance(eve.message("alice", data, past, rng()), bytes)
    assert isinstance(eve.message("bob", b"", [], rng()), bytes)
    assert past == [b"one", b"two"]
    assert isinstance(eve.tag(Tag(serial=3, mac=bytes(16)), rng()), Tag)


@every_attack
@pytest.mark.parametrize("strength", [0.3, 1.0])
def test_outcomes_have_the_statistics_of_the_average_state(name, strength):
    eve = attack(name, strength)
    found = eve.intercept(measure(eve.channel(STATE), rng(2), pairs=120_000), rng(3))
    x, z = error_rates(correlators(eve.average(STATE)))
    for basis, expected in ((0, z), (1, x)):
        here = (found.alice_basis == basis) & (found.bob_basis == basis)
        wrong = found.alice[here] != found.bob[here]
        assert abs(wrong.mean() - expected) < 5 * 0.5 / np.sqrt(here.sum())


@every_attack
@pytest.mark.parametrize("wrong", [-0.1, 1.1, float("nan")])
def test_a_strength_is_a_share(name, wrong):
    with pytest.raises(InvalidValue, match="strength"):
        attack(name, wrong)


def test_unknown_attacks_are_refused():
    with pytest.raises(UnknownName, match="'intercept_resend'"):
        attack("intercept_resent")


def test_doing_nothing_is_an_attack_too():
    assert simulate(0.98, 20_000, attack=Attack(), seed=1).to_dict() == simulate(0.98, 20_000, seed=1).to_dict()
    assert weights(correlators(Attack().average(STATE))) == pytest.approx(STATE)
