import asyncio
import json
import math

import numpy as np
import pytest

import hyperfabric_q as hq
from hyperfabric_q.errors import ImplicitEndpointWarning, InvalidValue
from hyperfabric_q.scenarios.catalogue import play
from hyperfabric_q.scenarios.context import current_world, world
from hyperfabric_q.scenarios.error_correction.blocks import forgotten
from hyperfabric_q.scenarios.error_correction.pieces import (
    Blocks,
    blocks,
    calculate_error_corrections,
    measure_syndrome_data,
    serialize_corrections,
)


@pytest.fixture(scope="module")
def small():
    return play("error_correction", size="small", seed=0)


async def looped(cycles, cycle_us, *, altered=False):
    """Let blocks and processor talk without any fabric, and return the corrections of the last cycle."""
    for _ in range(cycles):
        frames = [measure_syndrome_data(number) for number in range(blocks().blocks)]
        if altered:
            frames = [frame[:-1] + bytes([frame[-1] ^ 1]) for frame in frames]
        corrections = calculate_error_corrections(frames)
        await asyncio.sleep(cycle_us * 1e-6)
    return corrections


def outcome_of(cycles, cycle_us, seed=1, **options):
    altered = options.pop("altered", False)
    with world(seed=seed):
        current_world().replace_state("error_correction", Blocks(seed=seed, distance=3, **options))
        last = hq.run(looped(cycles, cycle_us, altered=altered))
        return blocks(), last


def test_a_millisecond_is_a_coin_toss_and_a_cycle_that_works_is_not(small):
    assert small["chance of an error in the cycle asked for"] == pytest.approx(0.75, abs=1e-6)
    assert small["logical failures, cycle asked for"] == pytest.approx(0.5, abs=0.15)
    assert small["logical failures at 1000 us, distance 5"] == pytest.approx(0.5, abs=0.1)
    assert small["logical failures, cycle that works"] < 0.05
    assert small["cycle that works"] <= 2
    assert small["late syndromes, cycle asked for"] == 0


def test_more_qubits_help_below_the_threshold_only(small):
    assert small["logical failures at 1 us, distance 5"] < 0.5 * small["logical failures at 1 us, distance 3"]
    assert small["logical failures at 10 us, distance 5"] > 0.9 * small["logical failures at 10 us, distance 3"]
    assert 2 <= small["longest cycle, more qubits help"] <= 8
    assert small["failures at 10 us, no code"] == pytest.approx((1 - math.exp(-10 * 5 / 50)) / 2)


def test_what_is_impossible_is_said(small):
    said = {each.asked: each for each in small.verdicts}
    asked = said["error correction every 1000 us with qubits of 50 us"]
    assert not asked.holds
    assert "0.75" in asked.because
    assert "us" in asked.remedy
    assert not said["corrections by entanglement"].holds
    assert said["syndromes at the processor within 10 us"].holds


def test_the_seed_decides_and_the_outcome_is_json(small):
    assert play("error_correction", size="small", seed=0).digest == small.digest
    assert play("error_correction", size="small", seed=1).digest != small.digest
    assert json.loads(json.dumps(small.to_dict()))["scenario"] == "error_correction"


def test_a_wait_depolarises_as_t1_and_t2_say():
    assert forgotten(0.0, 50.0) == 0
    assert 1 - 4 / 3 * forgotten(20.0, 50.0) == pytest.approx(math.exp(-20 / 50))


def test_without_noise_nothing_fails_and_corrections_are_empty():
    found, last = outcome_of(12, 0.0, gate_error=0.0)
    assert (found.judged, found.wrong) == (200, 0)
    assert [each.block_id for each in last] == list(range(10))
    for each in last:
        assert not any(hq.qec.unpack_bits(each.pauli_frame_xor, 10))
        assert hq.qec.CorrectionFrame.from_bytes(serialize_corrections(each)) == each


def test_the_loop_fails_as_often_as_the_same_memory_decoded_at_once():
    found, _ = outcome_of(6 * 60, 2.0)
    noise = hq.qec.NoiseModel(
        name="oracle", gate_1q=1e-3, gate_2q=1e-3, reset=1e-3, measure=1e-3, round_data=forgotten(2.0, 50.0)
    )
    experiment = hq.qec.rotated_surface_code(3, 6, "X", noise)
    known = hq.qec.run_frame(experiment, hq.qec.Loop(), 20_000, seed=1).failure
    assert found.judged == 6000
    assert found.failure.value == pytest.approx(known.value, abs=5 * math.hypot(known.stderr, found.failure.stderr))
    assert found.wrong > 100


def test_decoding_is_what_keeps_the_values():
    decoded, _ = outcome_of(6 * 20, 1.0)
    blind, _ = outcome_of(6 * 20, 1.0, altered=True)
    assert blind.judged == decoded.judged == 2000
    assert blind.wrong > 3 * decoded.wrong


def test_frames_take_turns_and_bad_ones_are_refused():
    with world(seed=2):
        current_world().replace_state("error_correction", Blocks(seed=2, blocks=3, distance=3))
        read = [hq.qec.SyndromeFrame.from_bytes(measure_syndrome_data()) for _ in range(6)]
        assert [each.block_id for each in read] == [0, 1, 2, 0, 1, 2]
        assert [each.round for each in read] == [0, 0, 0, 1, 1, 1]
        assert [each.count for each in read] == [10 * 4] * 3 + [10 * 8] * 3
        with pytest.raises(InvalidValue, match="0 to 2"):
            measure_syndrome_data(3)
        with pytest.raises(InvalidValue):
            calculate_error_corrections([b"no frame"])


def test_the_plain_form_runs_until_its_time_is_up():
    seen = []

    async def main():
        protocol = hq.HyperFabricProtocol(enable_quantum_optimization=True)
        for number in range(10):
            protocol.register_node(hq.NodeSignature(f"qec-block-{number:02d}", hq.HardwareType.QUANTUM_QPU, 5, 25))
        while True:
            results = await asyncio.gather(
                *(
                    protocol.send_data(
                        source=f"qec-block-{number:02d}",
                        destination="error-correction-processor",
                        data=measure_syndrome_data(),
                        latency_constraint_ns=10_000,
                    )
                    for number in range(10)
                )
            )
            seen.append(all(each.constraint_met for each in results))
            for number, operations in enumerate(calculate_error_corrections(results)):
                await protocol.send_data(
                    source="error-correction-processor",
                    destination=f"qec-block-{number:02d}",
                    data=serialize_corrections(operations),
                )
            await asyncio.sleep(0.001)

    with world(seed=3):
        found = Blocks(seed=3, distance=3)
        current_world().replace_state("error_correction", found)
        with pytest.warns(ImplicitEndpointWarning):
            assert hq.run(main(), until_ms=20) is None
    assert 18 <= len(seen) <= 20
    assert all(seen)
    assert found.judged == 300
    assert np.isclose(found.failure.value, 0.5, atol=0.15)


@pytest.mark.slow
def test_a_hundred_logical_qubits_of_distance_seven():
    found = play("error_correction", size="full", seed=0)
    assert found["physical qubits of a block"] == 970
    assert found["logical failures, cycle asked for"] == pytest.approx(0.5, abs=0.05)
    assert found["cycle that works"] == pytest.approx(1, abs=0.5)
    assert found["logical failures, cycle that works"] < 0.02
    assert found["logical failures at 1 us, distance 7"] < 0.3 * found["logical failures at 1 us, distance 3"]
