"""Sight, sound and a question: what the nodes understand, and what a circuit makes of it."""

import json
from itertools import product

import numpy as np
import pytest
from qiskit.quantum_info import Statevector

import hyperfabric_q as hq
from hyperfabric_q.scenarios import capture_audio_chunk, capture_video_frame, combine_modalities, play, world
from hyperfabric_q.scenarios.context import current_world
from hyperfabric_q.scenarios.multimodal.fusion import answer
from hyperfabric_q.scenarios.multimodal.pieces import models, stage
from hyperfabric_q.scenarios.multimodal.senses import (
    ASKED,
    NEURONS,
    QUESTIONS,
    RATE_HZ,
    cochlea,
    directions,
    loudness,
)


@pytest.fixture(scope="module")
def outcome():
    return play("multimodal", size="small")


@pytest.fixture(scope="module")
def learnt_once():
    with world(seed=0):
        return models()


@pytest.fixture
def learnt(learnt_once):
    """Models, in a world that has them."""
    with world(seed=0):
        current_world().replace_state("multimodal models", learnt_once)
        yield learnt_once


def chance_of_yes(circuit):
    state = Statevector(circuit.remove_final_measurements(inplace=False))
    return float(state.probabilities([0])[0])


def test_a_tone_is_heard_where_it_belongs():
    time_s = np.arange(2048) / RATE_HZ
    centres = 100 * 40 ** (np.arange(NEURONS) / (NEURONS - 1))
    for pitch in (220, 880, 2000):
        heard = loudness(cochlea(3 * np.sin(2 * np.pi * pitch * time_s)))
        assert abs(np.log2(centres[heard.argmax()] / pitch)) < 0.1
    assert not len(cochlea(np.zeros(512)))


def test_a_picture_that_is_turned_has_its_edges_turned():
    rng = np.random.default_rng(1)
    frame = rng.integers(0, 255, (32, 32)).astype(np.uint8)
    first, turned = directions(frame), directions(np.rot90(frame))
    assert first.sum() == pytest.approx(1)
    assert any(np.allclose(np.roll(first, shift), turned, atol=0.02) for shift in (3, -3))
    assert not np.allclose(first, turned, atol=0.02)


def test_the_circuit_answers_every_case_that_is_sure(learnt):
    for seen, heard, asked in product((1.0, -1.0), (1.0, -1.0), ASKED):
        chance = chance_of_yes(learnt.circuit(seen, heard, asked))
        assert (chance - 0.5) * answer(seen, heard, asked) > 0.2


def test_models_understand_what_they_never_learnt_from(learnt):
    for kind in ASKED:
        assert [learnt.asked(text) for text in QUESTIONS[kind][-2:]] == [kind] * 2
    right = 0
    for seen, heard in product(("bell", "drum"), repeat=2):
        stage(seen, heard)
        for _ in range(5):
            right += (learnt.seen(capture_video_frame()) > 0) == (seen == "bell")
            right += (learnt.heard(capture_audio_chunk()) > 0) == (heard == "bell")
    assert right >= 34


def test_what_is_combined_may_be_raw_understood_or_sent(learnt):
    async def send(data, handler=None):
        protocol = hq.HyperFabricProtocol()
        for name in "ab":
            protocol.register_node(hq.NodeSignature(name, hq.HardwareType.SOFTWARE_ENDPOINT, 10, 10))
        protocol.attach_handler("b", handler)
        return await protocol.send_data(source="a", destination="b", data=data)

    stage("bell", "drum")
    frame, spikes = capture_video_frame(), capture_audio_chunk()
    both = QUESTIONS["both"][0]
    wanted = chance_of_yes(combine_modalities(frame, spikes, both))
    answered = hq.run(send(frame, lambda packet: learnt.seen(packet.data)))
    for vision in (learnt.seen(frame), hq.run(send(frame)), answered):
        for text in ("both", hq.run(send(both))):
            assert chance_of_yes(combine_modalities(vision, learnt.heard(spikes), text)) == pytest.approx(wanted)
    assert chance_of_yes(combine_modalities(frame, spikes, "see")) > 0.5 > wanted


def test_only_what_there_is_can_be_staged():
    with world(seed=1), pytest.raises(hq.errors.UnknownName, match="trumpet"):
        stage("trumpet", "bell")


def test_sight_alone_guesses_and_the_circuit_knows(outcome):
    assert outcome["questions about both, by sight alone"] == pytest.approx(0.5, abs=0.26)
    assert outcome["answers of the circuit"] > 0.8
    assert outcome["answers of the best plane"] < outcome["answers of a rule of products"]


def test_the_impossible_is_called_so(outcome):
    found = {each.asked: each for each in outcome.verdicts}
    teleported = found["the fused state reaches the QPU by entanglement"]
    assert not teleported.holds
    assert "'nlp-gpu-01' has no qubits" in teleported.because
    assert not found["an answer within 1 ms of the event"].holds
    assert outcome["one period of the lower note"] == pytest.approx(1000 / 220)
    assert not found["one shot is enough"].holds
    assert not found["a circuit fuses better than a few classical lines"].holds


def test_spikes_are_fewer_bytes_than_the_sound(outcome):
    assert 0 < outcome["the same as spikes"] < outcome["sound"] == 1024
    assert outcome["from there to the answer"] > outcome["shots of an answer"] / 1e3


def test_same_seed_same_digest_and_json(outcome):
    assert play("multimodal", size="small").digest == outcome.digest
    assert play("multimodal", size="small", seed=1).digest != outcome.digest
    written = json.loads(json.dumps(outcome.to_dict()))
    assert {each["origin"] for each in written["figures"]} <= {"simulated", "computed", "bound", "stated"}


def test_the_plain_form_watches_for_ever():
    async def watch():
        protocol = hq.HyperFabricProtocol()
        protocol.register_node(hq.NodeSignature("eyes", hq.HardwareType.NVIDIA_H100, 400, 100))
        protocol.register_node(hq.NodeSignature("ears", hq.HardwareType.NEUROMORPHIC_CHIP, 50, 80))
        while True:
            picture = await protocol.send_data(
                source="camera", destination="eyes", data=capture_video_frame(), data_type="tensor"
            )
            sound = await protocol.send_data(
                source="camera", destination="ears", data=capture_audio_chunk(), data_type="neuromorphic_spike"
            )
            taken.append((picture.receipt.nbytes, sound.receipt.nbytes))

    taken = []
    with world(seed=3), pytest.warns(hq.errors.ImplicitEndpointWarning):
        assert hq.run(watch(), until_ms=0.05) is None
    assert len(taken) > 5
    assert {picture for picture, _ in taken} == {1024}
    assert len({sound for _, sound in taken}) > 1


@pytest.mark.slow
def test_at_full_size_neither_sense_alone_is_enough():
    outcome = play("multimodal", size="full")
    assert outcome["questions about both, by sight alone"] == pytest.approx(0.5, abs=0.15)
    assert outcome["answers of the circuit"] > 0.95
    assert outcome.verdicts[0].holds
