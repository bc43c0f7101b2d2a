"""Answers within a millisecond: what light, memory and other people's requests leave of them."""

import json

import numpy as np
import pytest

import hyperfabric_q as hq
from hyperfabric_q.scenarios import load_transformer_weights, play, world
from hyperfabric_q.scenarios.realtime_inference.edges import SERVED, service_ms
from hyperfabric_q.scenarios.realtime_inference.pieces import RATE_HZ
from hyperfabric_q.scenarios.realtime_inference.requests import CITIES, fewest_sites
from hyperfabric_q.scenarios.realtime_inference.transformer import SHAPE, next_token, repeating_text, transformer


@pytest.fixture(scope="module")
def outcome():
    return play("realtime_inference", size="small")


def fibre_ms(a, b):
    """There and back along the great circle, worked out anew: chord of unit vectors, light at c / 1.468."""
    points = []
    for text in (a, b):
        north, east = (np.radians(float(each)) for each in text.split(","))
        points.append(np.array([np.cos(north) * np.cos(east), np.cos(north) * np.sin(east), np.sin(north)]))
    metres = 6_371_008.8 * 2 * np.arcsin(np.linalg.norm(points[0] - points[1]) / 2)
    return 2e3 * metres * 1.468 / 299_792_458


def test_nothing_is_faster_than_light(outcome):
    for city in CITIES:
        bound = outcome[f"{city}: light in fibre there and back"]
        assert outcome[f"{city}: p50"] >= bound + service_ms(SERVED)
    expected = fibre_ms(CITIES["boston"], "40.713, -74.006")
    assert outcome["boston: light in fibre there and back"] == pytest.approx(expected, rel=1e-5)
    assert outcome["weights to edge-sfo-01"] > outcome["light to edge-sfo-01"]


def test_who_is_out_of_reach_misses_and_who_is_near_seldom_does(outcome):
    assert [outcome[f"{city}: too late"] for city in ("boston", "los-angeles", "chicago", "denver")] == [1, 1, 1, 1]
    assert outcome["newark: too late"] < 0.1
    assert outcome["nearest edge: too late"] < outcome["central store: too late"]


def test_the_impossible_is_called_so(outcome):
    everyone, central, _, compressed, large = outcome.verdicts
    assert not any(each.holds for each in (everyone, central, compressed, large))
    assert "boston, los-angeles, chicago, denver" in everyone.because
    assert "newark" not in everyone.because
    assert "25 GB/s" in compressed.because
    assert "171.7 ms" in large.because  # 350 GB at 2.039 TB/s


def test_rounding_halves_the_bytes_and_all_answers_stay_right(outcome):
    line_ms = 1e3 * outcome["weights"] * 8 / 1e9 * 1e3
    saved = outcome["weights at 1 Gb/s to edge-nyc-01"] - outcome["weights at 1 Gb/s, bf16 to edge-nyc-01"]
    assert 0.3 * line_ms < saved < 0.5 * line_ms
    assert 1e-4 < outcome["error of bf16"] < 2**-8
    assert outcome["right answers"] == 1


def test_the_transformer_goes_on_with_what_repeats_itself_and_only_with_its_weights():
    rng = np.random.default_rng(3)
    with world(seed=3):
        vector = load_transformer_weights("any")
        assert np.array_equal(vector, load_transformer_weights("any"))
        assert not np.array_equal(vector, load_transformer_weights("another"))
    model = transformer(SHAPE, vector)
    broken = transformer(SHAPE, vector) | {"previous.output": np.zeros_like(model["previous.output"])}
    texts = [repeating_text(SHAPE, rng) for _ in range(40)]
    assert all(next_token(model, text[None])[0] == right for text, right in texts)
    assert sum(next_token(broken, text[None])[0] == right for text, right in texts) < 20


def test_fewer_sites_do_for_later_answers():
    counts = [len(fewest_sites(limit, 0.25)) for limit in (1, 10, 20, 40)]
    assert counts == sorted(counts, reverse=True)
    assert counts[0] == len(CITIES)
    assert fewest_sites(0.2, 0.25) == ()


def test_same_seed_same_digest_and_json(outcome):
    assert play("realtime_inference", size="small").digest == outcome.digest
    assert play("realtime_inference", size="small", seed=1).digest != outcome.digest
    told = json.loads(json.dumps(outcome.to_dict()))
    assert all(each["stderr"] is None or each["stderr"] >= 0 for each in told["figures"])


def test_the_plain_form_serves_for_ever():
    async def serve():
        protocol = hq.HyperFabricProtocol(default_latency_constraint_ns=1_000_000)
        place = "40.713, -74.006"
        edge = hq.NodeSignature("edge-nyc-01", hq.HardwareType.NVIDIA_A100, 200, 50, physical_location=place)
        protocol.register_node(edge)
        weights = load_transformer_weights("gpt-4-turbo")
        while True:
            sent = await protocol.send_data(
                source="model-store",
                destination="edge-nyc-01",
                data=weights,
                data_type="parameter",
                compression_enabled=True,
            )
            met.append(sent.constraint_met)

    met = []
    with pytest.warns(hq.errors.ImplicitEndpointWarning):
        assert hq.run(serve(), until_ms=1) is None
    assert len(met) == 4  # 304 kB at the 10 Gb/s of an endpoint that nobody registered: 243 µs each
    assert all(met)


@pytest.mark.slow
def test_at_full_size_waits_are_those_of_a_queue():
    outcome = play("realtime_inference", size="full")
    load = 3 * RATE_HZ * service_ms(SERVED) / 1e3
    expected = load * service_ms(SERVED) / 2 / (1 - load)  # M/D/1, Pollaczek and Khinchine
    [found] = [each for each in outcome.figures if each.name == "mean wait for others"]
    assert abs(found.value - expected) < 4 * found.stderr < 0.5 * expected
    assert outcome["requests"] == 3000
