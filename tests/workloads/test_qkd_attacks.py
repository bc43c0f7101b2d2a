"""What single attacks do to the numbers, and the thousand sessions of which none may be fooled."""

import pytest

from hyperfabric_q.entanglement.state import correlators
from hyperfabric_q.workloads.qkd.attacks import (
    InterceptResend,
    KeyReuse,
    NoisyLink,
    ReplayedMessages,
    TamperedMessages,
)
from hyperfabric_q.workloads.qkd.rates import chsh, werner_error
from hyperfabric_q.workloads.qkd.simulated import simulate


@pytest.mark.parametrize("share", [0.2, 0.6, 1.0])
def test_each_intercepted_pair_costs_a_quarter_of_an_error(share):
    found = simulate(1.0, 200_000, attack=InterceptResend(share), seed=1)
    low, high = found.test.interval(0.99999)
    assert low < share / 4 < high
    for basis in (found.x, found.z):
        low, high = basis.interval(0.99999)
        assert low < share / 4 < high


def test_a_little_listening_costs_a_little_key():
    quiet, heard = (simulate(0.98, 200_000, attack=InterceptResend(each), seed=2) for each in (0.0, 0.1))
    assert not heard.aborted
    assert heard.qber == pytest.approx(quiet.qber + 0.025, abs=0.006)
    # An endless string would lose 2 h'(Q) ΔQ bits of each; what Eve learnt by listening is far less than that.
    assert heard.key_bits < 0.8 * quiet.key_bits


def test_whoever_measures_every_pair_leaves_no_chsh_violation():
    assert chsh(correlators(InterceptResend(1.0).average([1.0, 0, 0, 0]))) == pytest.approx(2**0.5)


def test_a_noisy_link_is_a_worse_link():
    found = simulate(1.0, 100_000, attack=NoisyLink(0.08), seed=3)
    expected = float(werner_error(1 - 0.08 * 3 / 4))
    assert found.qber == pytest.approx(expected, abs=0.01)


@pytest.mark.parametrize("runs", [15, pytest.param(1000, marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    ("kind", "why"),
    [
        (TamperedMessages, "a message was changed"),
        (ReplayedMessages, "a message was changed"),
        (KeyReuse, "which has served"),
    ],
)
def test_no_session_that_was_meddled_with_gives_a_key(kind, why, runs):
    for seed in range(runs):
        found = simulate(0.99, 12_000, attack=kind(1.0), seed=seed)
        assert found.aborted
        assert why in found.reason


def test_a_single_flipped_bit_among_all_messages_is_enough():
    class Once(TamperedMessages):
        """Flips one bit of the n-th message."""

        left = 0

        def message(self, sender, data, past, rng):
            Once.left -= 1
            return super().message(sender, data, past, rng) if Once.left == 0 else data

    messages = len(simulate(0.99, 12_000, seed=5).messages) - 2
    for number in range(1, messages + 1, 11):
        Once.left = number
        assert simulate(0.99, 12_000, attack=Once(1.0), seed=5).aborted
        assert Once.left <= 0
