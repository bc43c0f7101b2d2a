"""Gradients of 175 billion parameters: what their sum takes, and a small model that really learns."""

import asyncio
import json

import numpy as np
import pytest

import hyperfabric_q as hq
from hyperfabric_q.scenarios import create_gradient_tensor, play
from hyperfabric_q.scenarios.llm_training.model import (
    TOKENS,
    WEIGHTS,
    Language,
    gradient,
    next_token,
)


@pytest.fixture(scope="module")
def outcome():
    return play("llm_training", size="small")


def test_an_all_reduce_takes_what_ports_and_steps_take(outcome):
    # 64 GPUs, 350 GB in half precision: 2 (n - 1) / n of the bytes pass each port of 400 Gb/s.
    assert outcome["least time of an all-reduce"] == pytest.approx(2 * 63 / 64 * 350e9 * 8 / 400e9, rel=1e-12)
    assert 0 < outcome["all-reduce"] - outcome["least time of an all-reduce"] < 1e-3
    assert outcome["one fifth to the next GPU of the ring"] == pytest.approx(70e9 * 8 / 400e9 + 1e-7, rel=1e-12)


def test_what_is_reduced_in_time_is_just_below_the_bound(outcome):
    at_most_mb = 0.5e-3 * 400e9 / 8 / (2 * 63 / 64) / 1e6
    assert 0.99 * at_most_mb < outcome["gradient that is reduced in 0.5 ms"] < at_most_mb


def test_the_impossible_is_called_so(outcome):
    impossible, too_large, _, tcp, equal = outcome.verdicts
    assert [impossible.holds, too_large.holds, tcp.holds, equal.holds] == [False, False, False, True]
    assert "13.78" in impossible.because
    assert outcome["of these sends within 0.5 ms"] == 0
    assert outcome["utilisation: goodput"] == 0
    assert 1 < outcome["one fifth over TCP"] / outcome["one fifth over the fabric"] < 1.1


def test_the_small_model_comes_near_the_least_possible_loss(outcome):
    first, last, least = (
        outcome[f"small model: {name}"] for name in ("loss at first", "loss in the end", "least possible loss")
    )
    assert least < last < least + 0.1 < first
    assert outcome["small model: largest difference of a weight"] == 0


def test_a_gradient_is_the_slope_of_the_loss():
    rng = np.random.default_rng(5)
    language = Language.drawn(rng)
    weights, bigrams = rng.normal(size=WEIGHTS), language.bigrams(500, rng)

    def loss(at):
        return -(bigrams * np.log(next_token(at))).sum()

    slope = gradient(weights, bigrams)
    for place in (0, 17, WEIGHTS // 2 + 3, WEIGHTS - 1):
        step = np.zeros(WEIGHTS)
        step[place] = 1e-6
        assert slope[place] == pytest.approx((loss(weights + step) - loss(weights - step)) / 2e-6, rel=1e-4, abs=1e-5)


def test_a_language_is_what_it_says():
    language = Language.drawn(np.random.default_rng(6))
    assert np.allclose(language.stationary @ language.transitions, language.stationary)
    assert language.entropy_rate < np.log(TOKENS)
    assert language.loss_of(np.full((TOKENS, TOKENS), 1 / TOKENS)) == pytest.approx(np.log(TOKENS))


def test_the_sum_of_parts_is_the_gradient_of_the_whole():
    rng = np.random.default_rng(7)
    language, weights = Language.drawn(rng), rng.normal(size=WEIGHTS)
    texts = [language.bigrams(100, rng) for _ in range(8)]

    async def main():
        protocol = hq.HyperFabricProtocol()
        names = [f"gpu-{rank}" for rank in range(8)]
        for name in names:
            protocol.register_node(hq.NodeSignature(name, hq.HardwareType.NVIDIA_H100, 400, 100))
        return await protocol.all_reduce(names, [gradient(weights, text) for text in texts])

    summed = hq.run(main())["gpu-3"]
    assert np.allclose(summed, gradient(weights, sum(texts)), rtol=0, atol=1e-10)


def test_same_seed_same_digest_and_json(outcome):
    assert play("llm_training", size="small").digest == outcome.digest
    assert play("llm_training", size="small", seed=1).digest != outcome.digest
    told = json.loads(json.dumps(outcome.to_dict()))
    assert told["schema"] == "hyperfabric_q/scenario/1"
    assert {each["origin"] for each in told["figures"]} <= {"simulated", "computed", "bound", "stated"}


def test_the_plain_form_sends_around_a_ring():
    async def train():
        protocol = hq.HyperFabricProtocol(enable_ml_routing=True)
        names = [f"gpu-{rank}" for rank in range(8)]
        for name in names:
            protocol.register_node(hq.NodeSignature(name, hq.HardwareType.NVIDIA_H100, 400, 100, memory_gb=80))
        slice_of_it = create_gradient_tensor(shape=(1_000_000,))
        while True:
            sends = (
                protocol.send_data(source=name, destination=names[rank - 1], data=slice_of_it, data_type="gradient")
                for rank, name in enumerate(names)
            )
            taken.extend(each.latency_ns for each in await asyncio.gather(*sends))

    taken = []
    assert hq.run(train(), until_ms=0.5) is None
    assert len(taken) == 8 * 12  # each round takes 2 MB / 50 GB/s + 100 ns
    assert set(taken) == {40_100.0}


def test_a_gradient_allocates_nothing():
    assert create_gradient_tensor(shape=(175_000_000_000,)).nbytes == 350_000_000_000
    assert create_gradient_tensor(10, "float32").nbytes == 40


@pytest.mark.slow
def test_at_full_size():
    outcome = play("llm_training", size="full")
    assert outcome["GPUs"] == 1024
    assert outcome["all-reduce"] == pytest.approx(13.98633, abs=1e-4)
    assert outcome["least time of an all-reduce"] == pytest.approx(13.986328125)
    assert not outcome.verdicts[0].holds
