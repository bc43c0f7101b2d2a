"""Ways and receipts: times are those of the kernel, and the parts of a receipt always sum."""

import asyncio
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import hyperfabric_q as hq
from hyperfabric_q.fabric import Fabric, HardwareType, Link, NodeSignature
from hyperfabric_q.fabric.routing import route
from hyperfabric_q.scheduling.drivers import run
from hyperfabric_q.scheduling.kernel import Kernel
from hyperfabric_q.scheduling.message import Message
from hyperfabric_q.traffic.exchange import Exchange
from hyperfabric_q.traffic.isolation import OPEN
from hyperfabric_q.traffic.request import Terms
from hyperfabric_q.traffic.wiring import Wires

RATES = [0.1, 1, 3, 5, 7.7, 10, 40, 100, 400]


def node(node_id, gbps=10, ns=100, **fields):
    return NodeSignature(node_id, HardwareType.CPU_SERVER, gbps, ns, **fields)


def chain(gbps, ns):
    """Nodes n0, n1, ... with a declared link between neighbours."""
    nodes = tuple(node(f"n{number}", 1000) for number in range(len(gbps) + 1))
    links = tuple(
        Link(f"n{number}", f"n{number + 1}", bandwidth_gbps=rate, latency_ns=delay)
        for number, (rate, delay) in enumerate(zip(gbps, ns, strict=True))
    )
    return Fabric(nodes=nodes, links=links)


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


# ---------------------------------------------------------------------------------------------------------------- ways


@settings(deadline=None, derandomize=True, max_examples=60)
@given(
    gbps=st.lists(st.sampled_from(RATES), min_size=1, max_size=4),
    nbytes=st.one_of(st.integers(1, 3000), st.integers(1, 300_000)),
    data=st.data(),
)
def test_the_idle_time_of_a_way_is_what_the_kernel_takes(gbps, nbytes, data):
    ns = data.draw(st.lists(st.integers(0, 5000), min_size=len(gbps), max_size=len(gbps)))
    fabric, kernel = chain(gbps, ns), Kernel()
    wires = Wires(kernel, chunk_ps=1_000_000, strict=False)
    network = wires.become(fabric)
    way = wires.way(network, route(network, "n0", f"n{len(gbps)}"), OPEN)
    message = Message(path=way.path, delays=way.delays, nbytes=nbytes)
    kernel.submit(message)
    kernel.run()
    idle, least = way.times_ps(nbytes)
    assert idle == message.done_ps
    slowest = -(-nbytes * 8000 // Fraction(str(min(gbps))))
    assert slowest + sum(ns) * 1000 == least <= idle


@settings(deadline=None, derandomize=True, max_examples=30)
@given(out=st.sampled_from(RATES), into=st.sampled_from(RATES), nbytes=st.integers(1, 200_000), ns=st.integers(0, 900))
def test_over_the_switch_only_the_slower_port_counts(out, into, nbytes, ns):
    async def main():
        exchange = Exchange(Fabric(nodes=(node("a", out, 0), node("b", into, ns))), Terms())
        return await send(exchange, "a", "b", bytes(nbytes))

    receipt = run(main()).receipt
    serialisation = -(-nbytes * 8000 // Fraction(str(min(out, into))))
    assert receipt.latency_ps == receipt.lower_bound_ps == serialisation + ns * 1000
    assert (receipt.serialisation_ps, receipt.propagation_ps) == (serialisation, ns * 1000)
    assert receipt.queueing_ps == receipt.blocking_ps == 0


# ------------------------------------------------------------------------------------------------------------ receipts


@st.composite
def loads(draw):
    count = draw(st.integers(2, 14))
    one = st.tuples(
        st.sampled_from(["a", "b", "c", "d"]),
        st.sampled_from(["a", "b", "c", "d"]),
        st.sampled_from([1, 100, 700, 5_000, 60_000]),
        st.sampled_from(["syndrome", "gradient", "tensor", "parameter", "control_message"]),
        st.integers(0, 40_000),
        st.sampled_from([None, 1_000, 50_000]),
    )
    return draw(st.lists(one, min_size=count, max_size=count))


@settings(deadline=None, derandomize=True, max_examples=60)
@given(load=loads(), linked=st.booleans(), profile=st.sampled_from(["fabric", "tcp", "rdma"]), sealed=st.booleans())
def test_the_parts_of_every_receipt_sum_to_its_time(load, linked, profile, sealed):
    nodes = (node("a", 5), node("b", 10), node("c", 3, 250), node("d", 1))
    names = [("a", "b"), ("b", "c"), ("c", "d")]
    links = tuple(Link(*ends, bandwidth_gbps=2.5, latency_ns=70) for ends in names) if linked else ()

    async def one(exchange, source, destination, nbytes, kind, after_ns, constraint):
        await exchange.sleep(after_ns)
        return await send(
            exchange, source, destination, bytes(nbytes), kind=kind, constraint=constraint, encryption=sealed
        )

    async def main():
        exchange = Exchange(Fabric(nodes=nodes, links=links), Terms(profile=profile))
        return await asyncio.gather(*(one(exchange, *each) for each in load))

    for (source, destination, nbytes, _, after_ns, constraint), result in zip(load, run(main()), strict=True):
        receipt = result.receipt
        assert receipt.submitted_ps == after_ns * 1000
        assert sum(receipt.parts_ps.values()) == receipt.latency_ps == receipt.done_ps - receipt.submitted_ps
        assert min(receipt.parts_ps.values()) >= 0
        assert receipt.latency_ps >= receipt.lower_bound_ps
        assert (receipt.path[0], receipt.path[-1], receipt.nbytes) == (source, destination, nbytes)
        if constraint is None:
            assert receipt.constraint_met is None
        else:
            assert receipt.constraint_met == (receipt.latency_ps <= constraint * 1000)


def test_a_bulk_send_is_interrupted_and_says_how_often_and_how_long():
    async def main():
        exchange = Exchange(Fabric(nodes=(node("a", 8, 0), node("b", 8, 0))), Terms())
        bulk = asyncio.ensure_future(send(exchange, "a", "b", bytes(100_000), kind="gradient"))
        await exchange.sleep(10_500)
        urgent = await send(exchange, "a", "b", bytes(500), kind="syndrome")
        return (await bulk).receipt, urgent.receipt

    bulk, urgent = run(main())
    # 8 Gb/s is 1 ns a byte and a chunk 1000 bytes: the line is free at the end of the eleventh chunk.
    assert urgent.parts_ps == {
        "queueing": 0,
        "blocking": 500_000,
        "serialisation": 500_000,
        "propagation": 0,
        "codec": 0,
        "crypto": 0,
        "host": 0,
        "entanglement": 0,
        "recovery": 0,
    }
    assert (bulk.preemptions, bulk.queueing_ps, bulk.latency_ps) == (1, 500_000, 100_500_000)
    assert urgent.preemptions == 0


def test_the_receipt_is_made_once_and_only_when_asked_for():
    async def main():
        exchange = Exchange(Fabric(nodes=(node("a"), node("b"))), Terms())
        return await send(exchange, "a", "b", b"12345", constraint=1000)

    result = run(main())
    assert result._receipt is None
    assert result.receipt is result.receipt
    assert result.latency_ns == result.receipt.latency_ns == 104.0
    assert result.constraint_met is True
    assert result.entanglement is None
    assert result.warnings == ()
    assert repr(result) == "<TransferResult a → b: 5 bytes in 104 ns>"
    assert result.receipt.hops == 1
    assert result.receipt.channels == ("egress:a", "ingress:b")
    assert result.receipt.compression_ratio == 1.0


def test_what_arrives_is_the_object_that_was_sent():
    array = np.arange(1000.0)

    async def main():
        exchange = Exchange(Fabric(nodes=(node("a"), node("b"))), Terms())
        first = await send(exchange, "a", "b", array, encryption=True)
        again = await send(exchange, "b", "a", first)
        return first, again

    first, again = run(main())
    assert first.payload is array
    assert np.shares_memory(again.payload, array)


def test_the_result_of_a_send_given_as_data_stands_for_its_value():
    async def main():
        exchange = Exchange(Fabric(nodes=(node("a"), node("b"))), Terms())
        exchange.attach_handler("b", lambda packet: packet.data.decode() * 2)
        first = await send(exchange, "a", "b", b"ab")
        return first, await send(exchange, "b", "a", first)

    first, second = run(main())
    assert (first.payload, first.response, first.value) == (b"ab", "abab", "abab")
    assert second.payload == "abab"


@pytest.mark.parametrize("keep", [None, 3, 0])
def test_the_timeline_keeps_as_much_as_was_asked(keep):
    async def main():
        protocol = hq.HyperFabricProtocol(Fabric(nodes=(node("a"), node("b"))), keep_events=keep)
        for _ in range(5):
            await protocol.send_data(source="a", destination="b", data=b"x")
        return protocol

    protocol = run(main())
    timeline = protocol.timeline
    assert len(timeline.deliveries) == {None: 5, 3: 3, 0: 0}[keep]
    assert timeline.digest == protocol.digest()
