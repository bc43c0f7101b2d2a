"""The protocol's face of traffic: the shapes in which programs use it, on every event loop."""

import asyncio
import os
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

import hyperfabric_q as hq
from hyperfabric_q import errors


def gpu(number, **fields):
    return hq.NodeSignature(f"gpu-h100-{number:04d}", hq.HardwareType.NVIDIA_H100, 400, 100, **fields)


def small(*ids, **options):
    protocol = hq.HyperFabricProtocol(**options)
    for each in ids:
        protocol.register_node(hq.NodeSignature(each, hq.HardwareType.CPU_SERVER, 8, 100))
    return protocol


# ------------------------------------------------------------------------------------------------------ known answers


def test_a_thousand_neighbours_send_350_gigabytes_in_seven_seconds():
    async def main():
        protocol = hq.HyperFabricProtocol()
        for number in range(1024):
            await protocol.register_node(gpu(number))
        gradient = hq.VirtualTensor((175_000_000_000,), "float16")
        return await asyncio.gather(
            *[
                protocol.send_data(
                    source=f"gpu-h100-{i:04d}",
                    destination=f"gpu-h100-{(i + 1) % 1024:04d}",
                    data=gradient,
                    data_type=hq.DataType.GRADIENT,
                    priority=hq.PacketPriority.ULTRA_HIGH,
                    latency_constraint_ns=500_000,
                )
                for i in range(1024)
            ]
        )

    results = hq.run(main())
    assert len(results) == 1024
    assert {each.latency_ps for each in results} == {7_000_000_100_000}
    assert {each.constraint_met for each in results} == {False}
    receipt = results[0].receipt
    assert (receipt.lower_bound_ns, receipt.serialisation_ps) == (7_000_000_100, 7_000_000_000_000)
    assert receipt.priority_class == 1


def test_every_instant_and_constraint_is_exact_for_decimal_rates():
    async def main():
        protocol = hq.HyperFabricProtocol()
        for name in ("a", "b"):
            protocol.register_node(hq.NodeSignature(name, hq.HardwareType.CPU_SERVER, 0.1, 0))
        return await protocol.send_data(source="a", destination="b", data=bytes(3), latency_constraint_ns=240)

    result = hq.run(main())
    assert (result.latency_ps, result.constraint_met) == (240_000, True)


# --------------------------------------------------------------------------------------------- the shapes of programs


def test_multi_modal_pipeline_with_endpoints_that_nobody_registered():
    async def main():
        protocol = hq.HyperFabricProtocol()
        for node in (
            hq.NodeSignature("vision-gpu-01", hq.HardwareType.NVIDIA_H100, 400, 100),
            hq.NodeSignature("nlp-gpu-01", hq.HardwareType.NVIDIA_A100, 300, 150),
            hq.NodeSignature("audio-neuromorphic-01", hq.HardwareType.NEUROMORPHIC_CHIP, 50, 80),
            hq.NodeSignature("fusion-quantum-01", hq.HardwareType.QUANTUM_QPU, 10, 50),
        ):
            protocol.register_node(node)
        frame = np.zeros((480, 640, 3), dtype=np.uint8)
        vision_task = protocol.send_data(
            source="input-node", destination="vision-gpu-01", data=frame, data_type=hq.DataType.TENSOR
        )
        audio_task = protocol.send_data(
            source="input-node",
            destination="audio-neuromorphic-01",
            data=b"0" * 1000,
            data_type=hq.DataType.NEUROMORPHIC_SPIKE,
        )
        with pytest.warns(errors.ImplicitEndpointWarning):
            vision, audio = await asyncio.gather(vision_task, audio_task)
        with pytest.warns(errors.HyperFabricWarning, match="'nlp-gpu-01' has no qubits"):
            fused = await protocol.send_data(
                source="nlp-gpu-01",
                destination="fusion-quantum-01",
                data=[len(vision.payload), 2.5, "Describe what you see and hear"],
                data_type=hq.DataType.QUANTUM_STATE,
                requires_quantum_entanglement=True,
            )
        return protocol, vision, audio, fused, frame

    protocol, vision, audio, fused, frame = hq.run(main())
    assert protocol.implicit_endpoints == ("input-node",)
    assert np.shares_memory(vision.payload, frame)
    # Spikes go first out of the input node's 10 Gb/s; the frame waits to the end of a chunk at most.
    assert audio.receipt.queueing_ps == 0
    assert fused.entanglement is None


def test_results_are_sent_on_and_epochs_follow_each_other():
    async def main():
        protocol = small("loader", "classical", "quantum")
        protocol.attach_handler("quantum", lambda packet: packet.data.sum())
        seen = []
        for _ in range(5):
            processed = await protocol.send_data(source="loader", destination="classical", data=np.ones(100))
            features = await protocol.send_data(source="classical", destination="quantum", data=processed)
            gradients = await protocol.send_data(
                source="quantum", destination="classical", data=features, data_type="gradient"
            )
            seen.append(gradients.payload)
        return seen, protocol.now_ns

    seen, now_ns = hq.run(main())
    assert seen == [100.0] * 5
    assert now_ns == 5 * (900 + 900 + (100 + 8 * 1))


def test_an_endless_loop_with_sleeps_runs_until_the_time_that_was_asked():
    cycles = []

    async def main():
        protocol = hq.HyperFabricProtocol()
        for i in range(10):
            protocol.register_node(hq.NodeSignature(f"qec-block-{i:02d}", hq.HardwareType.QUANTUM_QPU, 5, 25))
        protocol.register_node(hq.NodeSignature("processor", hq.HardwareType.CPU_SERVER, 5, 25))
        while True:
            syndromes = await asyncio.gather(
                *[
                    protocol.send_data(
                        source=f"qec-block-{i:02d}",
                        destination="processor",
                        data=bytes(125),
                        data_type=hq.DataType.QUANTUM_STATE,
                        priority=hq.PacketPriority.ULTRA_HIGH,
                        latency_constraint_ns=10_000,
                    )
                    for i in range(10)
                ]
            )
            assert all(each.constraint_met for each in syndromes)
            cycles.append((protocol.now_ps, max(each.latency_ps for each in syndromes)))
            await asyncio.sleep(0.001)

    assert hq.run(main(), until_ms=20) is None
    assert len(cycles) == 20
    # Ten times 125 bytes at 5 Gb/s through one ingress, and 25 ns.
    assert {longest for _, longest in cycles} == {10 * 200_000 + 25_000}
    assert [now for now, _ in cycles] == [number * (10**9 + 2_025_000) + 2_025_000 for number in range(20)]


def test_a_queue_of_tasks_and_groups_works():
    async def main():
        protocol = small("a", "b")
        task = asyncio.create_task(protocol.send_data(source="a", destination="b", data=b"1"))
        async with asyncio.TaskGroup() as group:
            other = group.create_task(protocol.send_data(source="b", destination="a", data=b"2"))
        done = [
            await each for each in asyncio.as_completed([protocol.send_data(source="a", destination="b", data="3")])
        ]
        return await task, other.result(), done[0]

    assert [each.payload for each in hq.run(main())] == [b"1", b"2", "3"]


def test_gather_goes_on_when_one_send_is_refused():
    async def main():
        protocol = small("alpha", "beta")
        sends = [
            protocol.send_data(source="alpha", destination=name, data=data)
            for name, data in (("beta", b"1"), ("betta", b"2"), ("beta", object()), ("beta", b"4"))
        ]
        return await asyncio.gather(*sends, return_exceptions=True)

    first, second, third, fourth = hq.run(main())
    assert (first.payload, fourth.payload) == (b"1", b"4")
    assert isinstance(second, errors.UnknownName)
    assert isinstance(third, errors.InvalidValue)


def test_a_circuit_is_a_payload():
    from qiskit import QuantumCircuit

    circuit = QuantumCircuit(2)
    circuit.h(0)

    async def main():
        protocol = small("a", "b")
        return await protocol.send_data(source="a", destination="b", data=circuit, data_type="quantum_circuit")

    result = hq.run(main())
    assert result.payload is circuit
    assert result.receipt.nbytes > 100


# ---------------------------------------------------------------------------------------------------- flags and options


@pytest.mark.parametrize(("flag", "lead_ns"), [(False, 999_800), (True, -100)])
def test_quantum_optimization_makes_pairs_just_in_time(flag, lead_ns):
    fabric = hq.Fabric.line([2, 2], communication_qubits=2, pair_fidelity=0.97)

    async def main():
        protocol = hq.HyperFabricProtocol(fabric, enable_quantum_optimization=flag, seed=1)
        (pair,) = await protocol.entangle("qpu-0", "qpu-1", needed_ns=1e6)
        pair.release()
        return 1e6 - protocol.now_ns

    assert lead_ns <= hq.run(main()) <= lead_ns + 200


@pytest.mark.parametrize("seed", ["x", -1, 1.5, True])
def test_a_seed_is_checked_at_once(seed):
    with pytest.raises(errors.InvalidValue, match="seed"):
        hq.HyperFabricProtocol(seed=seed)


def test_registering_an_implicit_endpoint_replaces_it():
    async def main():
        protocol = small("alpha", "beta")
        with pytest.warns(errors.ImplicitEndpointWarning) as caught:
            before = await protocol.send_data(source="loader", destination="alpha", data=bytes(1000))
        assert [each.filename for each in caught] == [__file__]
        protocol.register_node(hq.NodeSignature("loader", hq.HardwareType.CPU_SERVER, 1, 50))
        after = await protocol.send_data(source="loader", destination="alpha", data=bytes(1000))
        with pytest.raises(errors.DuplicateName):
            protocol.register_node(hq.NodeSignature("loader", hq.HardwareType.CPU_SERVER, 2, 50))
        return protocol, before.latency_ns, after.latency_ns

    protocol, before, after = hq.run(main())
    assert protocol.implicit_endpoints == ()
    assert [each.node_id for each in protocol.fabric.nodes] == ["alpha", "beta", "loader"]
    assert (before, after) == (1_100, 8_100)


def test_a_name_that_is_no_text_is_an_error_with_a_text():
    async def main():
        protocol = small("a", "b")
        with pytest.raises(errors.UnknownName, match="called None"):
            await protocol.all_reduce(["a", "b"], 10, algorithm=None)

    hq.run(main())


def test_warnings_point_at_the_program():
    async def main():
        protocol = small("alpha", "beta")
        sends = (protocol.send_data(source=each, destination="alpha", data=b"x") for each in ("loader", "display"))
        await asyncio.gather(*sends)

    with pytest.warns(errors.ImplicitEndpointWarning) as caught:
        hq.run(main())
    assert [each.filename for each in caught] == [__file__] * 2


def test_lists_of_results_stand_for_their_values():
    async def main():
        protocol = small("a", "b")
        protocol.attach_handler("b", lambda packet: packet.data if isinstance(packet.data, list | dict) else 2)
        one = await protocol.send_data(source="a", destination="b", data=b"x")
        other = await protocol.send_data(source="b", destination="a", data=np.ones(3))
        mixed = await protocol.send_data(source="a", destination="b", data=[one, other, 5])
        named = await protocol.send_data(source="a", destination="b", data={"one": one})
        protocol.attach_handler("b", None)
        summed = await protocol.all_reduce(["a", "b"], [other, other])
        return mixed.response, named.response, summed.payloads["a"], other.payload

    mixed, named, summed, ones = hq.run(main())
    assert mixed[0] == 2
    assert mixed[1] is ones
    assert (mixed[2], named) == (5, {"one": 2})
    assert summed.tolist() == [2, 2, 2]


def test_receipts_and_timelines_are_short_to_read():
    async def main():
        protocol = small("a", "b", keep_events=None)
        result = await protocol.send_data(source="a", destination="b", data=bytes(1000), latency_constraint_ns=5)
        return str(result.receipt), str(protocol.timeline)

    receipt, timeline = hq.run(main())
    assert receipt.splitlines() == [
        "a → b: 1000 bytes (generic, class 5) in 1100 ns",
        "  ns: serialisation 1000, propagation 100; at least 1100",
        "  constraint of 5 ns: not met",
    ]
    assert timeline.startswith("<Timeline until 1100000 ps, complete: 1 submissions, 2 services, 1 deliveries")
    assert len(timeline) < 200


def test_fault_classes_are_at_hand():
    assert hq.faults.Loss(probability=0.5) == hq.faults.Loss(probability=0.5)


@pytest.mark.parametrize("flag", ["enable_ml_routing", "enable_quantum_optimization", "enable_fault_tolerance"])
def test_a_flag_is_true_or_false(flag):
    with pytest.raises(errors.InvalidValue):
        hq.HyperFabricProtocol(**{flag: "yes"})


def test_the_default_constraint_holds_where_a_send_states_none():
    async def main():
        protocol = small("a", "b", default_latency_constraint_ns=500)
        both = [None, 5_000]
        return [
            await protocol.send_data(source="a", destination="b", data=bytes(1000), latency_constraint_ns=each)
            for each in both
        ]

    default, own = hq.run(main())
    assert (default.constraint_met, own.constraint_met) == (False, True)
    assert default.receipt.latency_constraint_ns == 500


def test_strict_and_profile_reach_the_exchange():
    async def main():
        protocol = small("a", "b", strict=True, profile="tcp")
        with pytest.raises(errors.UnknownName):
            await protocol.send_data(source="elsewhere", destination="b", data=b"x")
        return await protocol.send_data(source="a", destination="b", data=b"x")

    assert hq.run(main()).receipt.profile == "tcp"
    with pytest.raises(errors.UnknownName):
        hq.HyperFabricProtocol(profile="token-ring")


def test_arguments_are_keywords():
    with pytest.raises(TypeError):
        small("a", "b").send_data("a", "b", b"x")


def test_keys_come_from_the_given_source():
    from hyperfabric_q.traffic.keys import OperatingSystemKeys

    class Counted(OperatingSystemKeys):
        asked = 0

        def reserve(self, a, b, bits):
            self.asked += 1
            return super().reserve(a, b, bits)

    source = Counted()

    async def main():
        protocol = small("a", "b", key_source=source)
        for _ in range(3):
            await protocol.send_data(source="a", destination="b", data=b"x", encryption_enabled=True)

    hq.run(main())
    assert source.asked == 1


# ------------------------------------------------------------------------------------------------------------ the clock


def test_sleep_and_compute_are_virtual_on_a_loop_that_runs_already():
    async def main():
        protocol = small("a", "b")
        assert (protocol.now_ns, protocol.now_ps) == (0, 0)
        release = threading.Event()

        async def meanwhile():
            result = await protocol.send_data(source="a", destination="b", data=bytes(1000))
            release.set()
            return result.receipt.done_ps

        began = time.monotonic()
        worked, sent = await asyncio.gather(
            protocol.compute(lambda: release.wait(20) and threading.get_ident(), duration_ns=3_600e9), meanwhile()
        )
        assert protocol.now_ns == 3_600e9
        await protocol.sleep_ns(1.5)
        assert time.monotonic() - began < 20
        return worked != threading.get_ident(), sent, protocol.now_ps

    expected = (True, 1_100_000, 3_600 * 10**12 + 1500)
    assert asyncio.run(main()) == hq.run(main()) == expected


@pytest.mark.parametrize("duration", [-1, float("inf"), float("nan"), "long", None, True])
def test_durations_are_checked(duration):
    async def main():
        protocol = small("a", "b")
        with pytest.raises(errors.InvalidValue):
            await protocol.sleep_ns(duration)
        with pytest.raises(errors.InvalidValue):
            await protocol.compute(lambda: 1, duration_ns=duration)

    hq.run(main())


async def test_it_works_inside_pytest_asyncio_itself():
    protocol = small("a", "b")
    results = await asyncio.gather(
        *(protocol.send_data(source="a", destination="b", data=bytes(1000)) for _ in range(3))
    )
    assert sorted(each.latency_ns for each in results) == [1100, 2100, 3100]


def test_a_send_made_and_never_awaited_does_nothing():
    protocol = small("a", "b")
    protocol.send_data(source="a", destination="b", data=b"x").close()
    assert protocol.now_ps == 0
    assert protocol.digest() == small().digest()


# ---------------------------------------------------------------------------------------------------------- determinism

PROGRAM = """
import asyncio
import numpy as np
import hyperfabric_q as hq

async def main(seed):
    protocol = hq.HyperFabricProtocol()
    for number in range(12):
        protocol.register_node(hq.NodeSignature(f"n{number}", hq.HardwareType.CPU_SERVER, 5 + number, 100))
    kinds = list(hq.DataType)
    jobs = [(i, (i * 5 + j) % 12, kinds[(i + j) % len(kinds)], 100 + 977 * j) for i in range(12) for j in range(8)]
    draws = np.random.default_rng(seed)
    for _ in range(2):
        await asyncio.gather(*(
            protocol.send_data(source=f"n{a}", destination=f"n{b}", data=bytes(size), data_type=kind)
            for a, b, kind, size in (jobs[each] for each in draws.permutation(len(jobs)))
        ))
    return protocol.digest()
"""


def program():
    names = {}
    exec(PROGRAM, names)  # noqa: S102 - the same text runs in processes of its own
    return names["main"]


def test_digests_are_one_over_shuffles():
    main = program()
    assert len({hq.run(main(seed)) for seed in range(6)} | {asyncio.run(main(seed)) for seed in range(6)}) == 1


@pytest.mark.parametrize("hash_seed", ["0", "1", "random"])
def test_digests_are_one_over_hash_seeds(hash_seed):
    code = PROGRAM + f"print(hq.run(main({len(hash_seed)})))"
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert found.stdout.strip() == hq.run(program()(9))


def test_many_sends_through_the_protocol():
    async def main():
        protocol = small("a", "b", "c")
        by_name = await protocol.send_many(sources=["a", "b"], destinations="c", nbytes=1000, priority="high")
        by_position = await protocol.send_many(sources=np.array([0, 1]), destinations=["c"], nbytes=[1000, 1000])
        long = await protocol.send_many(sources="a", destinations="c", nbytes=10, release_ns=np.arange(1000) * 20)
        return by_name, by_position, long

    by_name, by_position, long = hq.run(main())
    assert by_name.latency_ps.tolist() == by_position.latency_ps.tolist() == [1_100_000, 2_100_000]
    assert long.engine == "recurrence"
    assert set(long.latency_ps.tolist()) == {110_000}
    assert len(long) == 1000


def test_memory_stays_flat_when_results_are_dropped():
    import gc
    import tracemalloc

    async def main():
        protocol = small("a", "b")

        async def some(count):
            for _ in range(count):
                await protocol.send_data(source="a", destination="b", data=b"x")

        await some(3000)
        gc.collect()
        gc.disable()
        tracemalloc.start()
        before = tracemalloc.get_traced_memory()[0]
        await some(6000)
        grown = tracemalloc.get_traced_memory()[0] - before
        tracemalloc.stop()
        gc.enable()
        return grown

    # Nothing waits for the collector of cycles, and nothing is kept but a block of the digest: a send that was kept
    # would be 700 bytes, hence 4 MB.
    assert hq.run(main()) < 400_000
