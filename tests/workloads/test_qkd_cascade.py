"""Cascade: against a twin on whole arrays, against Shannon, and that it leaves no errors."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hyperfabric_q.errors import InvalidValue
from hyperfabric_q.workloads.qkd.cascade import FEWEST_MESSAGES, LEAST_LEAK, SCHEDULES, Schedule, cascade
from hyperfabric_q.workloads.qkd.rates import binary_entropy

every_schedule = pytest.mark.parametrize("schedule", SCHEDULES.values(), ids=SCHEDULES)


def strings(bits, share, seed):
    rng = np.random.default_rng(seed)
    alice = rng.integers(0, 2, bits, dtype=np.uint8)
    return alice, alice ^ (rng.random(bits) < share).astype(np.uint8)


def twin(alice, bob, q, rng, schedule):
    """The same algorithm on prefix sums of whole arrays; returns Bob's string, leak, messages and what Alice told."""
    n = len(alice)
    differ = (alice ^ bob).astype(np.int64)
    opened, leak, messages, told = [], 0, 0, []
    for number, size in enumerate(schedule.sizes(n, q).tolist()):
        order = np.arange(n) if number == 0 else rng.permutation(np.arange(n, dtype=np.int32))
        opened.append((order, size))
        edges = np.append(np.arange(0, n, size), n)
        leak, messages = leak + len(edges) - 1, messages + 1
        sums = np.concatenate([[0], np.cumsum(alice[order].astype(np.int64))])
        told.append((sums[edges[1:]] - sums[edges[:-1]]) % 2)
        while True:
            for order, width in opened:
                edges = np.append(np.arange(0, n, width), n)
                sums = np.concatenate([[0], np.cumsum(differ[order])])
                hers = np.concatenate([[0], np.cumsum(alice[order].astype(np.int64))])
                odd = (sums[edges[1:]] - sums[edges[:-1]]) % 2 == 1
                if odd.any():
                    break
            else:
                break
            low, high = edges[:-1][odd], edges[1:][odd]
            while (high - low).max() > 1:
                active = high - low > 1
                middle = (low + high) // 2
                leak, messages = leak + int(active.sum()), messages + 1
                told.append((hers[middle] - hers[low])[active] % 2)
                left = active & ((sums[middle] - sums[low]) % 2 == 1)
                high, low = np.where(left, middle, high), np.where(active & ~left, middle, low)
            differ[order[low]] ^= 1
    return alice ^ differ.astype(np.uint8), leak, messages, np.concatenate(told)


@every_schedule
@pytest.mark.parametrize(("bits", "share"), [(2, 0.5), (7, 0.3), (1000, 0.0), (1500, 0.04), (4000, 0.11)])
def test_the_kernel_says_what_its_twin_says(schedule, bits, share):
    alice, bob = strings(bits, share, 11)
    found = cascade(alice, bob, share, np.random.default_rng(2), schedule=schedule)
    expected, leak, messages, told = twin(alice, bob, share, np.random.default_rng(2), schedule)
    assert np.array_equal(found.bits, expected)
    assert (found.leak_bits, found.messages) == (leak, messages)
    assert np.array_equal(found.parities, told)
    assert found.corrected == int((bob ^ found.bits).sum())


@every_schedule
@pytest.mark.parametrize("share", [0.01, 0.03, 0.05])
def test_no_errors_are_left_and_the_leak_is_near_shannons(schedule, share):
    leaks = []
    for seed in range(12):
        alice, bob = strings(10_000, share, seed)
        found = cascade(alice, bob, share, np.random.default_rng(seed), schedule=schedule)
        assert np.array_equal(found.bits, alice)
        leaks.append(found.leak_bits)
    efficiency = np.mean(leaks) / (10_000 * float(binary_entropy(share)))
    assert 1 < efficiency < (1.12 if schedule is LEAST_LEAK else 1.25)


@pytest.mark.slow
@pytest.mark.parametrize("share", [0.01, 0.02, 0.03, 0.04, 0.05])
def test_the_leak_is_at_most_1_12_of_shannons(share):
    leaks = []
    for seed in range(200):
        alice, bob = strings(10_000, share, 1000 + seed)
        found = cascade(alice, bob, share, np.random.default_rng(seed))
        assert np.array_equal(found.bits, alice)
        leaks.append(found.leak_bits)
    assert np.mean(leaks) / (10_000 * float(binary_entropy(share))) < 1.12


def test_fewer_messages_cost_leak():
    alice, bob = strings(50_000, 0.03, 1)
    least = cascade(alice, bob, 0.03, np.random.default_rng(1), schedule=LEAST_LEAK)
    fewest = cascade(alice, bob, 0.03, np.random.default_rng(1), schedule=FEWEST_MESSAGES)
    assert fewest.messages < 0.7 * least.messages
    assert fewest.leak_bits > least.leak_bits
    assert least.efficiency() == pytest.approx(
        least.leak_bits / 50_000 / float(binary_entropy((alice ^ bob).mean())), rel=1e-9
    )


@settings(deadline=None, derandomize=True, max_examples=40)
@given(st.integers(0, 300), st.floats(0, 0.5), st.floats(0, 0.5), st.integers(0, 2**32))
def test_a_bit_is_only_ever_corrected_to_alices(bits, share, guess, seed):
    """Whatever the guess: flips happen at differences alone, and every parity told is one of Alice's."""
    alice, bob = strings(bits, share, seed)
    hers, his = alice.copy(), bob.copy()
    found = cascade(alice, bob, guess, np.random.default_rng(seed))
    assert np.array_equal(alice, hers)
    assert np.array_equal(bob, his)
    flipped = found.bits != bob
    assert np.all(found.bits[flipped] == alice[flipped])
    assert found.corrected == flipped.sum()
    assert len(found.parities) == len(found.answers) == (found.ends[-1] if len(found.ends) else 0)
    assert np.all(np.diff(found.ends) > 0)


def test_what_is_no_string_of_bits_is_refused():
    bits, rng = np.zeros(4, dtype=np.uint8), np.random.default_rng(0)
    for alice, bob in [(bits, bits[1:]), (bits.astype(float), bits), (bits, bits + 2), (bits[None], bits[None])]:
        with pytest.raises(InvalidValue, match="alice, bob"):
            cascade(alice, bob, 0.1, rng)
    with pytest.raises(InvalidValue, match="error_rate"):
        cascade(bits, bits, 0.6, rng)
    with pytest.raises(InvalidValue, match="growth"):
        Schedule(start=0.7, growth=0.5, passes=3)
