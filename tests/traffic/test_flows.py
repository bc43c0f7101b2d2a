"""Registered periodic flows: what is promised, and that the kernel keeps it."""

import asyncio

import pytest

import hyperfabric_q as hq
from hyperfabric_q.errors import InvalidValue, UnknownName
from hyperfabric_q.traffic import bulk


def star(blocks=10, gbps=5):
    nodes = [hq.NodeSignature(f"block-{index}", hq.HardwareType.CPU_SERVER, gbps, 25) for index in range(blocks)]
    decoder = hq.NodeSignature("decoder", hq.HardwareType.CPU_SERVER, gbps, 25)
    return hq.HyperFabricProtocol(hq.Fabric(nodes=(*nodes, decoder)))


def syndromes(protocol, deadline_ns, blocks=10):
    return [
        protocol.register_flow(
            f"block-{index}",
            "decoder",
            nbytes=125,
            period_ns=10_000,
            deadline_ns=deadline_ns,
            data_type="syndrome",
        )
        for index in range(blocks)
    ]


def test_syndromes_of_ten_blocks_are_guaranteed_within_ten_microseconds():
    promises = syndromes(star(), 10_000)
    assert {each.verdict for each in promises} == {"guaranteed"}
    assert all(225 <= each.lower_bound_ns <= each.worst_ns <= 10_000 for each in promises)


def test_what_physics_forbids_is_infeasible_says_what_would_help_and_is_not_registered():
    protocol = star()
    found = protocol.register_flow("block-0", "decoder", nbytes=10**9, period_ns=1e9, deadline_ns=1e6)
    assert found.verdict == "infeasible"
    assert found.lower_bound_ns == pytest.approx(1.6e9, rel=1e-6)
    assert "Gb/s" in found.fix
    assert protocol.flows == ()


def test_a_later_flow_says_whose_guarantee_it_takes():
    protocol = star()
    first = protocol.register_flow("block-0", "decoder", nbytes=5_000, period_ns=100_000, deadline_ns=30_000)
    assert first.verdict == "guaranteed"
    second = protocol.register_flow(
        "block-1", "decoder", nbytes=40_000, period_ns=100_000, deadline_ns=200_000, data_type="syndrome"
    )
    assert second.endangered == (first.flow,)


def test_a_guarantee_is_kept_on_the_clock():
    async def main():
        protocol = star()
        worst = max(each.worst_ns for each in syndromes(protocol, 10_000))

        async def block(index):
            late = 0.0
            for _ in range(50):
                result = await protocol.send_data(
                    source=f"block-{index}", destination="decoder", data=bytes(125), data_type="syndrome"
                )
                late = max(late, result.latency_ns)
                await protocol.sleep_ns(10_000 - result.latency_ns)
            return late

        found = await asyncio.gather(*(block(index) for index in range(10)))
        return max(found), worst

    seen, worst = hq.run(main())
    assert seen == 10 * 200 + 25  # ten frames of 125 B at 5 Gb/s, released together, and the latency
    assert seen <= worst


def test_bad_flows_are_refused():
    protocol = star()
    good = {"nbytes": 1, "period_ns": 1, "deadline_ns": 1}
    for field, value in (
        ("nbytes", 0),
        ("nbytes", 1.5),
        ("period_ns", 0),
        ("deadline_ns", float("nan")),
        ("jitter_ns", -1),
    ):
        with pytest.raises(InvalidValue):
            protocol.register_flow("block-0", "decoder", **{**good, field: value})
    with pytest.raises(UnknownName, match="decoder"):
        protocol.register_flow("block-0", "decodr", **good)


@pytest.mark.parametrize("at_ns", [0, 1, 4_999, 5_000, 10_000, 12_345])
def test_bulk_on_paper_meets_a_single_send_as_it_would_in_the_kernel(at_ns, monkeypatch):
    def times(least):
        monkeypatch.setattr(bulk, "WORTHWHILE", least)

        async def main():
            protocol = star(2, 100)

            async def one():
                await protocol.sleep_ns(at_ns)
                result = await protocol.send_data(
                    source="block-0", destination="block-1", data=bytes(1000), data_type="syndrome"
                )
                return result.receipt.done_ps

            many = protocol.send_many(
                sources="block-0",
                destinations="block-1",
                nbytes=[200_000] * 100,
                release_ns=[5e3 * k for k in range(100)],
            )
            transfers, done = await asyncio.gather(many, one())
            return done, transfers.done_ps.tolist()

        return hq.run(main())

    assert times(64) == times(10**9)


def test_sends_that_differ_only_in_their_wire_bytes_have_identities_of_their_own():
    async def main():
        protocol = star(2)
        sends = [
            protocol.send_data(source="block-0", destination="block-1", data=bytes(100), encryption_enabled=sealed)
            for sealed in (False, True)
        ]
        return {result.receipt.identity for result in await asyncio.gather(*sends)}

    assert len(hq.run(main())) == 2
