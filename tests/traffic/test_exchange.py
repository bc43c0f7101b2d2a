"""The exchange: order, determinism, cancellation, refusals, and what is done to payloads."""

import asyncio
import sys
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hyperfabric_q import errors
from hyperfabric_q.fabric import Fabric, FabricZone, HardwareType, IsolationLevel, Link, NodeSignature, ZoneType
from hyperfabric_q.scheduling.drivers import run
from hyperfabric_q.traffic.collectives.schedule import Collective
from hyperfabric_q.traffic.exchange import Exchange
from hyperfabric_q.traffic.payload import VirtualTensor
from hyperfabric_q.traffic.request import Terms
from hyperfabric_q.traffic.sealing import SOFTWARE, sealed_nbytes


def node(node_id, gbps=8, ns=100, hardware=HardwareType.CPU_SERVER, **fields):
    return NodeSignature(node_id, hardware, gbps, ns, **fields)


def plain(*ids, **terms):
    return Exchange(Fabric(nodes=tuple(node(each) for each in ids)), Terms(**terms))


def send(exchange, source, destination, data, *, kind="generic", priority="normal", constraint=None, **wishes):
    return exchange.send(
        source,
        destination,
        data,
        kind,
        priority,
        constraint,
        wishes.get("compression", False),
        wishes.get("encryption", False),
        wishes.get("entanglement", False),
        wishes.get("metadata"),
    )


# --------------------------------------------------------------------------------------------------------------- order


def test_ten_into_one_are_limited_by_the_ingress():
    async def main():
        exchange = Exchange(Fabric(nodes=(*(node(f"s{each}") for each in range(10)), node("sink"))), Terms())
        return await asyncio.gather(*(send(exchange, f"s{each}", "sink", bytes(1000)) for each in range(10)))

    results = run(main())
    # 1000 bytes take 1 µs, in and out: one after the other they leave, in order of their names.
    assert [each.latency_ps for each in results] == [(place + 1) * 1_000_000 + 100_000 for place in range(10)]
    assert [each.receipt.queueing_ps for each in results] == [place * 1_000_000 for place in range(10)]


def test_an_earlier_deadline_goes_first_within_a_class():
    async def main():
        exchange = plain("a", "b", "c")
        return await asyncio.gather(
            send(exchange, "a", "c", bytes(1000)),
            send(exchange, "a", "c", bytes(1000), constraint=9_000),
            send(exchange, "a", "c", bytes(1000), constraint=8_000),
        )

    assert [each.latency_ps for each in run(main())] == [3_100_000, 2_100_000, 1_100_000]


def test_equal_sends_are_told_apart_by_their_contents_not_by_their_order():
    async def main(order):
        exchange = plain("a", "b")
        results = await asyncio.gather(*(send(exchange, "a", "b", bytes([each]) * 1000) for each in order))
        return {each.payload[0]: each.receipt for each in results}, exchange.digest

    receipts, digest = run(main(range(6)))
    assert sorted(each.latency_ps for each in receipts.values()) == [(n + 1) * 1_000_000 + 100_000 for n in range(6)]
    assert len({each.identity for each in receipts.values()}) == 6
    assert run(main([5, 2, 0, 3, 4, 1])) == (receipts, digest)


@pytest.mark.parametrize("payload", [bytes(1000), VirtualTensor((1000,), "uint8")])
def test_what_differs_in_metadata_alone_is_told_apart_by_it(payload):
    async def main(order):
        exchange = plain("a", "b")
        exchange.attach_handler("b", lambda packet: packet.metadata["layer"])
        sends = (send(exchange, "a", "b", payload, metadata={"layer": each}) for each in order)
        return {each.response: each.latency_ps for each in await asyncio.gather(*sends)}

    assert run(main([0, 1, 2, 3])) == run(main([3, 1, 0, 2]))


def test_contents_are_read_only_when_sends_are_equal_otherwise(monkeypatch):
    read = []
    monkeypatch.setattr("hyperfabric_q.traffic.payload.Payload.content_hash", lambda self: read.append(self) or "")

    async def main():
        exchange = plain("a", "b", "c")
        await asyncio.gather(
            send(exchange, "a", "b", b"12"),
            send(exchange, "a", "b", b"123"),
            send(exchange, "a", "c", b"12"),
            send(exchange, "b", "a", b"12"),
            send(exchange, "a", "b", b"12", kind="key"),
            send(exchange, "a", "b", b"12", constraint=500),
        )
        await send(exchange, "a", "b", b"12")
        assert read == []
        await asyncio.gather(send(exchange, "a", "b", b"12"), send(exchange, "a", "b", b"21"))

    run(main())
    assert len(read) == 2


def test_equal_sends_of_one_instant_have_unequal_identities_even_one_after_the_other():
    async def main():
        exchange = plain("a", "b")
        first = asyncio.ensure_future(send(exchange, "a", "b", b"x"))
        await exchange.sleep(0)
        second = await send(exchange, "a", "b", b"x")
        return (await first).receipt, second.receipt

    first, second = run(main())
    assert first.submitted_ps == second.submitted_ps == 0
    assert first.identity != second.identity


# --------------------------------------------------------------------------------------------------------- determinism


NAMES = ("a", "b", "c", "d", "e")


async def mixed(order):
    """A program of two rounds, a chain and a handler; ``order`` shuffles each gather. Returns its digest and times."""
    exchange = plain(*NAMES)
    exchange.attach_handler("e", lambda packet: len(packet.data))

    async def chained(name, nbytes):
        first = await send(exchange, name, "e", bytes(nbytes), kind="gradient")
        await exchange.sleep(first.response)
        return (await send(exchange, "e", name, bytes(nbytes), kind="correction", constraint=5_000)).receipt.done_ps

    jobs = [(name, size) for name in NAMES[:4] for size in (300, 300, 5_000)]
    found = []
    for _ in range(2):
        shuffled = [jobs[each] for each in order]
        times = await asyncio.gather(*(chained(*job) for job in shuffled))
        found.append(sorted(zip(shuffled, times, strict=True)))
    return exchange.digest, found


class Hidden(asyncio.SelectorEventLoop):
    """A loop whose ready queue the driver cannot see, like uvloop's."""

    asked = 0

    def __getattribute__(self, name):
        if name == "_ready" and sys._getframe(1).f_code.co_name == "_pump":
            Hidden.asked += 1
            raise AttributeError(name)
        return super().__getattribute__(name)


def on_portable_loop(main):
    before = Hidden.asked
    with asyncio.Runner(loop_factory=Hidden) as runner:
        result = runner.run(main)
    assert Hidden.asked > before
    return result


@pytest.mark.parametrize("driver", [run, asyncio.run, on_portable_loop], ids=["own", "running", "portable"])
def test_digest_and_times_are_one_over_shuffles_and_drivers(driver):
    expected = run(mixed(range(12)))
    draws = np.random.default_rng(5)
    for _ in range(5):
        assert driver(mixed(draws.permutation(12))) == expected


# -------------------------------------------------------------------------------------------------------- cancellation


def test_a_cancelled_send_withdraws_what_has_not_been_sent():
    async def main():
        exchange = plain("a", "b")
        long = asyncio.ensure_future(send(exchange, "a", "b", bytes(1_000_000)))
        await exchange.sleep(10_500)
        long.cancel()
        next_one = await send(exchange, "a", "b", bytes(1000))
        with pytest.raises(asyncio.CancelledError):
            await long
        return next_one.receipt, exchange

    receipt, exchange = run(main())
    # The chunk on the line is finished, at 11 µs; the remaining 989 are not sent.
    assert receipt.started_ps == 11_000_000
    assert exchange._kernel.pending == 0


def test_a_send_cancelled_before_it_was_admitted_leaves_no_trace():
    async def main():
        exchange = plain("a", "b")
        task = asyncio.ensure_future(send(exchange, "a", "b", b"x"))
        await asyncio.sleep(0)
        task.cancel()
        other = await send(exchange, "a", "b", b"x")
        return other, exchange

    other, exchange = run(main())
    assert other.receipt.queueing_ps == 0
    assert exchange._kernel.recorder.delivered_count == 1


def test_time_outs_are_virtual_and_withdraw():
    async def main():
        exchange = plain("a", "b")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(send(exchange, "a", "b", VirtualTensor(10**12, "int8")), 0.001)
        return exchange.now_ps, (await send(exchange, "a", "b", b"x")).latency_ps

    now, latency = run(main())
    assert now == 1_000_000_000
    assert latency == 101_000 + 0


# ------------------------------------------------------------------------------------------------------------ handlers


def test_handlers_sync_and_async_answer_and_may_use_the_fabric():
    async def main():
        exchange = plain("a", "b", "c")

        async def relay(packet):
            answer = await send(exchange, "b", "c", packet.data, metadata=packet.metadata)
            return answer.response

        exchange.attach_handler("b", relay)
        exchange.attach_handler("c", lambda packet: (packet.source, packet.metadata["n"], packet.arrived_ns))
        result = await send(exchange, "a", "b", b"12345678", metadata={"n": 3})
        exchange.attach_handler("b", None)
        return result, await send(exchange, "a", "b", b"x")

    result, silent = run(main())
    assert result.response == ("b", 3, 216.0)
    assert result.latency_ns == 108.0
    assert silent.response is None


def test_what_a_handler_raises_belongs_to_one_send():
    async def main():
        exchange = plain("a", "b")

        def handler(packet):
            if packet.data == b"bad":
                raise RuntimeError("no")
            return "yes"

        exchange.attach_handler("b", handler)
        sends = (send(exchange, "a", "b", each) for each in (b"good", b"bad", b"fine"))
        return await asyncio.gather(*sends, return_exceptions=True)

    good, bad, fine = run(main())
    assert (good.response, fine.response) == ("yes", "yes")
    assert isinstance(bad, RuntimeError)


# -------------------------------------------------------------------------------------------------- loopback and names


def test_a_send_to_itself_arrives_at_once():
    async def main():
        exchange = plain("a", "b")
        exchange.attach_handler("a", lambda packet: packet.data)
        await exchange.sleep(50)
        return await send(exchange, "a", "a", b"note", encryption=True, constraint=1), exchange

    result, exchange = run(main())
    receipt = result.receipt
    assert result.response == b"note"
    assert receipt.latency_ps == receipt.lower_bound_ps == receipt.wire_bytes == 0
    assert receipt.done_ps == 50_000
    assert receipt.path == ("a",)
    assert receipt.encryption.startswith("none needed")
    assert receipt.constraint_met is True
    assert exchange._kernel.recorder.delivered_count == 0


def test_a_node_that_talks_to_itself_for_ever_does_not_stop_the_clock():
    exchange = plain("a", "b")

    async def main():
        while True:
            await send(exchange, "a", "a", b"")

    assert run(main(), until_ms=1) is None


@pytest.mark.parametrize("duration", [-1, float("nan"), float("inf"), 10**400, True, "1", None, np.array([1, 2])])
def test_bad_durations_are_refused(duration):
    with pytest.raises(errors.InvalidValue):
        run(plain("a").sleep(duration))
    with pytest.raises(errors.InvalidValue):
        run(plain("a").compute(int, duration, None))


def test_an_async_function_is_no_real_work():
    async def work():
        return 1

    with pytest.raises(errors.InvalidValue, match="async"):
        run(plain("a").compute(work, 1, None))


def test_what_is_no_fabric_and_no_key_source_is_refused_at_once():
    with pytest.raises(errors.InvalidValue, match="Fabric"):
        Exchange(3, Terms())
    with pytest.raises(errors.InvalidValue, match="key_source"):
        Exchange(Fabric(), Terms(), key_source="secret")


def test_a_name_that_nobody_registered_becomes_an_endpoint_with_one_warning():
    async def main():
        exchange = plain("alpha", "beta")
        with pytest.warns(errors.ImplicitEndpointWarning, match="data-loader"):
            await send(exchange, "data-loader", "alpha", b"x")
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            await send(exchange, "data-loader", "beta", b"x")
        with pytest.raises(errors.UnknownName, match="alpha"):
            await send(exchange, "alhpa", "beta", b"x")
        return exchange

    exchange = run(main())
    assert exchange.ways.fabric.node("data-loader").hardware_type is HardwareType.SOFTWARE_ENDPOINT


def test_a_fabric_may_grow_while_bytes_are_under_way():
    async def main():
        exchange = plain("a", "b")
        long = asyncio.ensure_future(send(exchange, "a", "b", bytes(10_000)))
        await exchange.sleep(2_000)
        exchange.ways.become(exchange.ways.fabric.with_node(node("c")))
        late = await send(exchange, "c", "b", bytes(1000))
        direct = Link("a", "b", bandwidth_gbps=1, latency_ns=7)
        exchange.ways.become(exchange.ways.fabric.with_link(direct))
        linked = await send(exchange, "a", "b", bytes(1000))
        return (await long).receipt, late.receipt, linked.receipt

    long, late, linked = run(main())
    assert (long.latency_ps, long.channels) == (10_100_000, ("egress:a", "ingress:b"))
    assert late.done_ps == 11_100_000
    assert (linked.channels, linked.serialisation_ps, linked.propagation_ps) == (("link:a>b",), 8_000_000, 7_000)


# ----------------------------------------------------------------------------------------------------------- refusals


def refused(error, exchange, *arguments, match=None, **wishes):
    async def main():
        with pytest.raises(error, match=match):
            await send(exchange, *arguments, **wishes)
        return exchange

    assert run(main()).digest == Exchange(Fabric(), Terms()).digest


def test_strict_mode_refuses_what_is_otherwise_repaired():
    qpu = node("q", hardware=HardwareType.QUANTUM_QPU, compute_units=4)
    other = node("r", hardware=HardwareType.QUANTUM_QPU, compute_units=4)

    def strict():
        return Exchange(Fabric(nodes=(node("a"), node("b", memory_gb=1e-6), qpu, other)), Terms(strict=True))

    refused(errors.UnknownName, strict(), "a", "stranger", b"x")
    refused(errors.NotEnoughMemory, strict(), "a", "b", bytes(1001), match="memory_gb = 1e-06")
    refused(errors.EntanglementUnavailable, strict(), "a", "q", b"x", match="'a' has no qubits", entanglement=True)
    refused(errors.EntanglementUnavailable, strict(), "r", "q", b"x", match="is no quantum state", entanglement=True)
    refused(errors.DeadlineImpossible, strict(), "a", "q", bytes(1000), match="needs 1100 ns", constraint=1_000)


def test_a_constraint_below_the_bound_names_bottleneck_and_remedy():
    exchange = Exchange(Fabric(nodes=(node("a", 80), node("b", 8))), Terms(on_violation="raise"))
    refused(
        errors.DeadlineImpossible,
        exchange,
        "a",
        "b",
        bytes(1000),
        constraint=600,
        match=r"ingress:b at 8 Gb/s is the bottleneck. Raise \(switch\) -> b to at least 16 Gb/s, or send at most 500",
    )
    near = Exchange(Fabric(nodes=(node("a"), node("b"))), Terms(on_violation="raise"))
    refused(
        errors.DeadlineImpossible,
        near,
        "a",
        "b",
        b"x",
        constraint=50,
        match="Propagation alone takes 100 ns. .* Or allow 101 ns",
    )


def test_a_miss_is_recorded_or_raised_as_asked():
    async def main(on_violation):
        exchange = plain("a", "b", on_violation=on_violation)
        arrived = []
        exchange.attach_handler("b", lambda packet: arrived.append(packet.data))
        sends = (send(exchange, "a", "b", bytes([each]) * 1000, constraint=1_500) for each in range(2))
        return await asyncio.gather(*sends, return_exceptions=True), arrived

    recorded, _ = run(main("record"))
    assert sorted(each.constraint_met for each in recorded) == [False, True]
    raised, arrived = run(main("raise"))
    fault = next(each for each in raised if isinstance(each, errors.DeadlineMissed))
    assert fault.result.receipt.latency_ps == 2_100_000
    assert len(arrived) == 2


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        ({"kind": "gradeint"}, errors.UnknownName),
        ({"kind": 5}, errors.InvalidValue),
        ({"kind": []}, errors.InvalidValue),
        ({"priority": "urgent"}, errors.UnknownName),
        ({"priority": None}, errors.InvalidValue),
        ({"constraint": 0}, errors.InvalidValue),
        ({"constraint": -5}, errors.InvalidValue),
        ({"constraint": float("nan")}, errors.InvalidValue),
        ({"constraint": True}, errors.InvalidValue),
        ({"constraint": "soon"}, errors.InvalidValue),
        ({"constraint": np.array([1, 2])}, errors.InvalidValue),
        ({"constraint": np.complex128(1)}, errors.InvalidValue),
        ({"metadata": 3}, errors.InvalidValue),
        ({"encryption": "yes"}, errors.InvalidValue),
        ({"entanglement": 1}, errors.InvalidValue),
        *(
            ({name: falsy}, errors.InvalidValue)
            for name in ("compression", "encryption", "entanglement")
            for falsy in (None, 0, [], np.False_)
        ),
        ({"encryption": ""}, errors.InvalidValue),
        ({"compression": ""}, errors.InvalidValue),
        ({"priority": True}, errors.InvalidValue),
        ({"compression": 3}, errors.InvalidValue),
        ({"compression": "zip"}, errors.UnknownName),
    ],
)
def test_bad_arguments_are_refused_before_anything_is_sent(wrong, error):
    refused(error, plain("a", "b"), "a", "b", b"x", **wrong)


@pytest.mark.parametrize("name", ["", None, 3, ["a"], "a b", "x" * 300])
def test_bad_names_are_refused(name):
    refused(errors.InputError, plain("a", "b"), name, "b", b"x")


def test_words_are_read_in_any_case():
    async def main():
        exchange = plain("a", "b")
        return await asyncio.gather(
            send(exchange, "a", "b", b"x", kind="GRADIENT", priority="Medium"),
            send(exchange, "a", "b", b"x", kind="gradient", priority="ultra_high"),
        )

    first, second = run(main())
    assert (first.receipt.priority_class, second.receipt.priority_class) == (4, 1)


# ---------------------------------------------------------------------------------------------------------- treatments


def test_a_thousand_repairs_of_one_kind_are_one_warning():
    nodes = (node("src"), *(node(f"small-{each}", memory_gb=1) for each in range(20)))

    async def main():
        exchange = Exchange(Fabric(nodes=nodes), Terms())
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            sends = (send(exchange, "src", each.node_id, VirtualTensor(3 * 10**9, "uint8")) for each in nodes[1:])
            results = await asyncio.gather(*sends)
        assert len(caught) == 1
        assert all("streamed in 3 shards" in each.warnings[0] for each in results)

    run(main())


def test_what_does_not_fit_is_streamed_in_shards_with_a_warning():
    async def main():
        exchange = Exchange(Fabric(nodes=(node("a", 400), node("b", 400, memory_gb=80))), Terms())
        with pytest.warns(errors.HyperFabricWarning, match="streamed in 5 shards"):
            first = await send(exchange, "a", "b", VirtualTensor(175_000_000_000, "float16"))
        return first, await send(exchange, "a", "b", VirtualTensor(175_000_000_000, "float16"))

    for result in run(main()):
        assert result.receipt.shards == 5
        assert "streamed in 5 shards" in result.warnings[0]
        assert result.latency_ps == 7_000_000_100_000


def test_entanglement_demanded_of_ends_without_qubits_travels_classically_with_a_warning():
    async def main():
        qpus = (node(each, hardware=HardwareType.QUANTUM_QPU, compute_units=4) for each in ("q", "r"))
        exchange = Exchange(Fabric(nodes=(node("a"), *qpus)), Terms())
        found = []
        for ends in (("a", "q"), ("q", "r")):
            with pytest.warns(errors.HyperFabricWarning, match="travelled classically"):
                found.append(await send(exchange, *ends, b"x", kind="quantum_state", entanglement=True))
            found.append(await send(exchange, *ends, b"x", kind="quantum_state", entanglement=True))
        return found

    results = run(main())
    assert all(each.entanglement is None and each.receipt.entanglement is None for each in results)
    assert ["'a' has no qubits" in each.warnings[0] for each in results] == [True, True, False, False]


def test_compression_is_decided_by_what_arrives_first():
    zeros = np.zeros(1_000_000, dtype=np.float32)

    async def main():
        exchange = Exchange(Fabric(nodes=(node("a", 0.1), node("b", 0.1), node("c", 400), node("d", 400))), Terms())
        slow = await send(exchange, "a", "b", zeros, compression=True)
        fast = await send(exchange, "c", "d", zeros, compression=True)
        lossy = await send(exchange, "a", "b", np.linspace(0, 1, 100_000, dtype=np.float32), compression="bf16")
        return slow, fast, lossy

    slow, fast, lossy = run(main())
    assert slow.receipt.compression.codec == "zstd"
    assert slow.receipt.compression_ratio > 100
    assert slow.receipt.wire_bytes < 10_000
    assert slow.payload is zeros
    assert slow.receipt.codec_ps == slow.receipt.compression.encode_ps + slow.receipt.compression.decode_ps > 0
    assert fast.receipt.compression.codec == "none"
    assert "GB/s" in fast.receipt.compression.reason
    assert lossy.receipt.compression.codec == "bf16"
    assert 0 < lossy.receipt.compression.relative_error < 2**-8
    assert not np.array_equal(lossy.payload, np.linspace(0, 1, 100_000, dtype=np.float32))


def test_encryption_is_real_for_real_bytes_and_costs_time_and_bytes(monkeypatch):
    sealed = []
    from hyperfabric_q.traffic import sealing

    original = sealing.seal
    monkeypatch.setattr(sealing, "seal", lambda *arguments: sealed.append(original(*arguments)) or sealed[-1])

    async def main():
        exchange = plain("a", "b")
        real = await send(exchange, "a", "b", b"secret" * 1000, encryption=True)
        virtual = await send(exchange, "b", "a", VirtualTensor(10**11, "int8"), encryption=True)
        return real, virtual

    real, virtual = run(main())
    assert b"secret" not in sealed[0].ciphertext
    assert len(sealed[0].ciphertext) == 6016
    assert sealed[1].virtual_nbytes == 10**11
    assert real.payload == b"secret" * 1000
    receipt = real.receipt
    assert (receipt.encryption, receipt.key_origin) == ("aes-256-gcm", "the operating system")
    assert receipt.wire_bytes == sealed_nbytes(6000) == 6028
    assert receipt.crypto_ps == 2 * SOFTWARE.ps(6000)
    assert receipt.latency_ps == receipt.crypto_ps + 6_028_000 + 100_000 == receipt.lower_bound_ps
    assert virtual.receipt.wire_bytes == sealed_nbytes(10**11)


def test_digests_exclude_ciphertext():
    async def main():
        exchange = plain("a", "b")
        for _ in range(3):
            await send(exchange, "a", "b", b"secret", encryption=True)
        return exchange.digest

    assert run(main()) == run(main())


def test_a_sealed_message_that_was_corrupted_on_the_way_does_not_open():
    async def main():
        exchange = plain("a", "b")
        task = asyncio.ensure_future(send(exchange, "a", "b", b"secret", encryption=True))
        await asyncio.sleep(0)
        exchange._batch[0].marks = ("corrupted",)
        with pytest.raises(errors.SealBroken):
            await task

    run(main())


def test_profiles_count_headers_and_processor_time():
    async def main(profile):
        exchange = plain("a", "b", profile=profile)
        return (await send(exchange, "a", "b", bytes(1460))).receipt

    fabric, tcp, rdma = (run(main(each)) for each in ("fabric", "tcp", "rdma"))
    assert (fabric.wire_bytes, fabric.host_ps) == (1460, 0)
    assert (tcp.wire_bytes, tcp.host_ps, tcp.profile) == (1538, 24_000_000, "tcp")
    assert tcp.latency_ps == 24_000_000 + 1_538_000 + 100_000
    assert tcp.started_ps == 24_000_000
    assert fabric.latency_ps < rdma.latency_ps < tcp.latency_ps


def test_spikes_are_counted_as_address_events():
    async def main():
        chip = node("chip", hardware=HardwareType.NEUROMORPHIC_CHIP, neuromorphic_neurons=100_000)
        exchange = Exchange(Fabric(nodes=(chip, node("b"))), Terms())
        return await send(exchange, "chip", "b", np.arange(1000), kind="neuromorphic_spike")

    # 17 bits of address and 32 of time, a thousand times.
    assert run(main()).receipt.nbytes == 1000 * 49 // 8


def test_places_that_cannot_be_resolved_are_reported_and_known_ones_add_distance():
    async def main():
        nodes = (
            node("a", physical_location="40.71, -74.01"),
            node("b", physical_location="41.88, -87.63"),
            node("c", physical_location="nowhere"),
        )
        exchange = Exchange(Fabric(nodes=nodes), Terms())
        return await send(exchange, "a", "b", b"x"), await send(exchange, "a", "c", b"x")

    near, lost = run(main())
    assert near.warnings == ()
    assert 5_500_000 < near.receipt.propagation_ps / 1000 < 5_700_000
    assert lost.receipt.propagation_ps == 100_000
    assert "nowhere" in lost.warnings[0]


# --------------------------------------------------------------------------------------------------------------- zones


def zoned(level, *, gateways=(), strict=False):
    zone = FabricZone(
        zone_id="realm",
        zone_type=ZoneType.QUANTUM_REALM,
        isolation_level=level,
        members=("in-1", "in-2"),
        gateways=gateways,
    )
    names = ("in-1", "in-2", "gate", "out")
    return Exchange(Fabric(nodes=tuple(node(each) for each in names), zones=(zone,)), Terms(strict=strict))


def test_inside_a_zone_nothing_is_demanded():
    async def main():
        return await send(zoned(IsolationLevel.QUANTUM_SECURE), "in-1", "in-2", b"x")

    assert run(main()).receipt.encryption == "none"


def test_a_border_without_gateway_is_not_crossed():
    refused(errors.IsolationViolated, zoned(IsolationLevel.MEDIUM), "out", "in-1", b"x", match="gateway")


def test_a_declared_gateway_is_on_the_way():
    async def main():
        return await send(zoned(IsolationLevel.MEDIUM, gateways=("gate",)), "out", "in-1", bytes(1000))

    receipt = run(main()).receipt
    assert receipt.path == ("out", "gate", "in-1")
    assert (receipt.gateway, receipt.zones, receipt.hops) == ("gate", ("realm",), 2)
    assert sum(receipt.parts_ps.values()) == receipt.latency_ps == 2 * 1_100_000


def test_an_endpoint_that_talks_into_a_zone_becomes_a_recorded_gateway_and_is_sealed():
    async def main():
        exchange = zoned(IsolationLevel.QUANTUM_SECURE)
        with pytest.warns(errors.ImplicitEndpointWarning):
            first = await send(exchange, "controller", "in-1", b"x")
        return first, await send(exchange, "controller", "in-1", b"x"), exchange

    first, second, exchange = run(main())
    assert exchange.ways.gateways == {"controller"}
    assert first.receipt.encryption == second.receipt.encryption == "aes-256-gcm"
    assert "recorded as a gateway" in first.warnings[0]
    assert "recorded as a gateway" not in second.warnings[0]
    assert "encryption was switched on" in second.warnings[0]


def test_strict_mode_refuses_plaintext_across_the_border():
    exchange = zoned(IsolationLevel.QUANTUM_SECURE, gateways=("gate",), strict=True)
    refused(errors.IsolationViolated, exchange, "gate", "in-1", b"x", match="without encryption")
    # By way of the gateway encryption is all that is lacking, too.
    refused(
        errors.IsolationViolated, exchange, "in-1", "out", b"x", match="without encryption.*encryption_enabled=True"
    )


@pytest.mark.parametrize("source", ["in-1", "gate"])
def test_a_strict_quantum_secure_zone_is_left_by_its_gateway_when_sealed(source):
    async def main():
        exchange = zoned(IsolationLevel.QUANTUM_SECURE, gateways=("gate",), strict=True)
        inside = "out" if source == "in-1" else "in-1"
        return (await send(exchange, source, inside, b"x", encryption=True)).receipt

    receipt = run(main())
    assert "gate" in receipt.path
    assert receipt.encryption == "aes-256-gcm"
    assert "not from quantum key distribution" in receipt.warnings[0]


def test_what_is_refused_makes_nobody_a_gateway():
    async def main():
        exchange = zoned(IsolationLevel.QUANTUM_SECURE)
        with pytest.warns(errors.ImplicitEndpointWarning), pytest.raises(errors.InvalidValue, match="sealed message"):
            await exchange.send_many("controller", "in-1", [5], 0, "generic", "normal")
        with pytest.raises(errors.InvalidValue, match="sealed message"):
            await exchange.collectives.run(
                Collective.ALL_REDUCE, ["controller", "in-1"], 8, "ring", "gradient", "normal", None
            )
        assert exchange.ways.gateways == frozenset()
        first = await send(exchange, "controller", "in-1", b"x")
        assert exchange.ways.gateways == {"controller"}
        return first

    assert "recorded as a gateway" in run(main()).warnings[0]


# ---------------------------------------------------------------------------------------------------------- many sends


@st.composite
def many(draw):
    count = draw(st.integers(120, 200))
    draws = np.random.default_rng(draw(st.integers(0, 10**6)))
    source = draws.integers(0, 5, count)
    return (
        source,
        (source + draws.integers(0, 5, count)) % 5,
        draws.integers(0, 3_000, count),
        draws.integers(0, draw(st.sampled_from([1, 20_000])), count),
    )


def five():
    return Exchange(Fabric(nodes=tuple(node(each, 3 + place) for place, each in enumerate(NAMES))), Terms())


@settings(deadline=None, derandomize=True, max_examples=25)
@given(asked=many(), after_ns=st.integers(0, 60_000))
def test_many_sends_take_the_same_times_by_recurrence_by_kernel_and_when_disturbed(asked, after_ns):
    async def alone():
        exchange = five()
        return await exchange.send_many(*asked, "gradient", "normal")

    async def by_kernel():
        exchange = five()
        exchange.attached().kernel.pending += 1  # as if something were under way
        return await exchange.send_many(*asked, "gradient", "normal")

    async def disturbed():
        """A send of the least urgent class, of one byte, on a channel that the others do not use."""
        exchange = five()
        exchange.ways.become(exchange.ways.fabric.with_node(node("x")).with_node(node("y")))
        task = asyncio.ensure_future(exchange.send_many(*asked, "gradient", "normal"))
        await exchange.sleep(after_ns)
        other = await send(exchange, "x", "y", b"1")
        return await task, other

    reckoned, run_through = run(alone()), run(by_kernel())
    met, other = run(disturbed())
    assert (reckoned.engine, run_through.engine) == ("recurrence", "kernel")
    assert np.array_equal(reckoned.done_ps, run_through.done_ps)
    assert np.array_equal(reckoned.done_ps, met.done_ps)
    assert met.engine == ("kernel" if after_ns * 1000 < reckoned.done_ps.max() else "recurrence")
    assert other.latency_ps == 101_000


def test_many_sends_make_room_for_an_urgent_one_that_comes_in_between():
    async def main(joined):
        exchange = plain("a", "b")
        count = 100
        if joined:
            task = asyncio.ensure_future(exchange.send_many("a", "b", [1000] * count, 0, "tensor", "normal"))
        else:
            task = asyncio.gather(*(send(exchange, "a", "b", bytes(1000), kind="tensor") for _ in range(count)))
        await exchange.sleep(10_500)
        urgent = await send(exchange, "a", "b", bytes(1000), kind="syndrome")
        result = await task
        times = result.latency_ps.tolist() if joined else sorted(each.latency_ps for each in result)
        return urgent.receipt.parts_ps, sorted(times)

    assert run(main(joined=True)) == run(main(joined=False))


def test_many_sends_can_be_cancelled():
    async def main():
        exchange = plain("a", "b")
        task = asyncio.ensure_future(exchange.send_many("a", "b", [1000] * 100, 0, "tensor", "normal"))
        await exchange.sleep(10_500)
        task.cancel()
        return (await send(exchange, "a", "b", bytes(1000))).receipt.started_ps

    assert run(main()) == 11_000_000


@pytest.mark.parametrize("positions", [[0, 1], (0, 1), np.array([0, 1]), [np.int64(0), 1]])
def test_positions_stand_for_names_in_many_sends(positions):
    async def times(sources, destinations):
        exchange = plain("a", "b", "c")
        return (await exchange.send_many(sources, destinations, [10, 20], 0, "generic", "normal")).done_ps.tolist()

    assert run(times(positions, 2)) == run(times(["a", "b"], "c"))


def test_no_sends_are_done_at_once():
    many = run(plain("a", "b").send_many([], [], [], [], "generic", "normal"))
    assert len(many) == 0


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        ({"sources": [0, 9]}, errors.InvalidValue),
        ({"sources": np.array([0, 9])}, errors.InvalidValue),
        ({"nbytes": [1, -1]}, errors.InvalidValue),
        ({"nbytes": 1.5}, errors.InvalidValue),
        ({"release_ns": [0, 1, 2]}, errors.InvalidValue),
        ({"release_ns": float("nan")}, errors.InvalidValue),
        ({"destinations": 7}, errors.InvalidValue),
        ({"sources": [True, 1]}, errors.InvalidValue),
        ({"nbytes": 2**60}, errors.InvalidValue),
        ({"destinations": "aa"}, errors.UnknownName),
    ],
)
def test_bad_columns_are_refused(wrong, error):
    asked = {"sources": ["a", "b"], "destinations": "b", "nbytes": 10, "release_ns": 0} | wrong

    async def main():
        with pytest.raises(error):
            await plain("a", "b").send_many(**asked, data_type="generic", priority="normal")

    run(main())


def test_many_sends_across_a_border_that_demands_encryption_are_refused():
    async def main():
        exchange = zoned(IsolationLevel.QUANTUM_SECURE, gateways=("gate",))
        with pytest.raises(errors.InvalidValue, match="send_data"):
            await exchange.send_many(["gate"], ["in-1"], 10, 0, "generic", "normal")

    run(main())


# --------------------------------------------------------------------------------------------- protocols and their loop


def test_exchanges_on_one_loop_share_the_clock_and_no_channel():
    async def main():
        first, second = plain("a", "b"), plain("a", "b")
        results = await asyncio.gather(send(first, "a", "b", bytes(1000)), send(second, "a", "b", bytes(1000)))
        return [each.latency_ps for each in results], first.digest == second.digest

    assert run(main()) == ([1_100_000, 1_100_000], True)


def test_an_exchange_starts_anew_on_another_loop():
    exchange = plain("a", "b")

    async def main():
        return (await send(exchange, "a", "b", bytes(1000))).receipt.submitted_ps, exchange.digest

    assert run(main()) == run(main())


def test_another_loop_is_refused_while_one_has_something_under_way():
    exchange = plain("a", "b")
    first = asyncio.new_event_loop()
    waiting = first.create_task(send(exchange, "a", "b", bytes(1000)))
    first.run_until_complete(asyncio.sleep(0))
    with pytest.raises(errors.BusyFabric, match="another event loop"):
        run(send(exchange, "a", "b", b"x"))
    assert first.run_until_complete(waiting).latency_ps == 1_100_000
    # An idle loop may be left, and one that was closed too.
    assert run(send(exchange, "a", "b", bytes(1000))).latency_ps == 1_100_000
    first.close()


def test_another_policy_on_a_clock_in_use_is_refused():
    from hyperfabric_q.scheduling.policy import Policy

    async def main():
        await send(plain("a", "b"), "a", "b", b"x")
        with pytest.raises(errors.BusyFabric, match="policy"):
            await send(plain("a", "b", policy=Policy(fifo=True)), "a", "b", b"x")
        with pytest.raises(errors.BusyFabric, match="keep_events"):
            await send(plain("a", "b", keep_events=None), "a", "b", b"x")

    run(main())


@pytest.mark.parametrize(
    "wrong",
    [
        {"strict": 1},
        {"on_violation": "ignore"},
        {"profile": 3},
        {"policy": "fifo"},
        {"constraint_ns": -1},
        {"keep_events": -1},
        {"chunk_ps": 0},
    ],
)
def test_bad_terms_are_refused(wrong):
    with pytest.raises(errors.InvalidValue):
        Terms(**wrong)
