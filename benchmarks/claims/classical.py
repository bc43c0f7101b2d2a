"""Bytes on the three transports: gradients, utilisation, requests and vehicles; each function returns rows.

A ``Row`` has one value per transport profile, ``tcp``, ``rdma`` and ``fabric``, all from the same program on the same
nodes, links and sizes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

import hyperfabric_q as hq
from hyperfabric_q.traffic.profiles import profiles
from hyperfabric_q.units import VACUUM_M_PER_S, fibre_latency_ns, shortest_latency_ns

PROFILES = ("tcp", "rdma", "fabric")
RANKS = 1024
PARAMETERS = 175_000_000_000
SYNC_NS = 500_000
INFERENCE_NS = 300_000
VEHICLE_NS = 50_000
NEW_YORK, CHICAGO = "40.713, -74.006", "41.878, -87.630"


@dataclass(frozen=True, kw_only=True)
class Row:
    """One quantity on the three transports, beside what bounds it."""

    claim: str
    quantity: str
    unit: str
    values: Sequence[float]
    bound: float | None
    bound_by: str
    parameters: str


def on_each(main: Callable[[str], Coroutine[Any, Any, float]]) -> tuple[float, ...]:
    return tuple(hq.run(main(profile)) for profile in PROFILES)


# ------------------------------------------------------------------------------------------------------------ gradients


def cluster(profile: str) -> tuple[hq.HyperFabricProtocol, list[str]]:
    names = [f"gpu-{rank:04d}" for rank in range(RANKS)]
    nodes = tuple(hq.NodeSignature(name, hq.HardwareType.NVIDIA_H100, 400, 100) for name in names)
    return hq.HyperFabricProtocol(hq.Fabric(nodes=nodes), profile=profile), names


def reduced(profile: str, parameters: int, algorithm: str = "auto") -> hq.CollectiveResult:
    """An all-reduce of a half-precision gradient; by default the fastest."""

    async def main() -> hq.CollectiveResult:
        protocol, names = cluster(profile)
        gradient = hq.VirtualTensor((parameters,), "float16")
        return await protocol.all_reduce(names, gradient, algorithm=algorithm, latency_constraint_ns=SYNC_NS)

    return hq.run(main())


def largest(profile: str) -> int:
    """How many parameters are reduced within half a millisecond, to a thousand; by the quickest of the four."""
    low, high = 0, 16_000_000
    while high - low > 1_000:
        middle = (low + high) // 2
        fits = reduced(profile, middle, "halving_doubling").constraint_met
        low, high = (middle, high) if fits else (low, middle)
    return low


def gradients() -> list[Row]:
    setting = f"{RANKS} nodes, 400 Gb/s, 100 ns, one switch, fastest of four algorithms"
    large = [reduced(profile, PARAMETERS) for profile in PROFILES]
    small = [reduced(profile, 512) for profile in PROFILES]
    bound = large[-1].bound_ps / 1e12
    claim = "gradients of 175e9 parameters in 0.5 ms"
    per_second = 2 * (RANKS - 1) / RANKS * 2 * PARAMETERS * 8 / (SYNC_NS * 1e-9)
    fits = int(SYNC_NS * 1e-9 / (2 * (RANKS - 1) / RANKS * 2 * 8 / 400e9))
    return [
        Row(
            claim=claim,
            quantity="all-reduce of 350 GB",
            unit="s",
            values=[each.latency_ps / 1e12 for each in large],
            bound=bound,
            bound_by="bytes through each port, 2(n-1)/n of the gradient",
            parameters=setting,
        ),
        Row(
            claim=claim,
            quantity="all-reduce of 1 kB",
            unit="us",
            values=[each.latency_ps / 1e6 for each in small],
            bound=small[-1].bound_ps / 1e6,
            bound_by="the same; latency left out",
            parameters=setting,
        ),
        Row(
            claim=claim,
            quantity="largest gradient in 0.5 ms",
            unit="parameters",
            values=[largest(profile) for profile in PROFILES],
            bound=fits,
            bound_by="the same",
            parameters=setting,
        ),
        Row(
            claim=claim,
            quantity="port needed for 350 GB in 0.5 ms",
            unit="Tb/s",
            values=[per_second / profiles[each].efficiency(10**9) / 1e12 for each in PROFILES],
            bound=per_second / 1e12,
            bound_by="the same",
            parameters=setting + "; headers included, time per message left out",
        ),
        Row(
            claim="utilisation of 95-99 %",
            quantity="busy time of a port during the all-reduce",
            unit="%",
            values=[100 * each.utilisation.busy for each in large],
            bound=100,
            bound_by="time",
            parameters=setting,
        ),
        Row(
            claim="utilisation of 95-99 %",
            quantity="goodput of the all-reduce within its deadline of 0.5 ms",
            unit="%",
            values=[100 * each.utilisation.goodput for each in large],
            bound=100,
            bound_by="bytes",
            parameters=setting,
        ),
    ]


# ---------------------------------------------------------------------------------------------------------- utilisation


def one_after_another(nbytes: int, count: int = 50) -> tuple[float, ...]:
    """Payload per what the port could carry, with one message under way at a time."""

    async def main(profile: str) -> float:
        protocol = hq.HyperFabricProtocol(profile=profile)
        for name in ("a", "b"):
            protocol.register_node(hq.NodeSignature(name, hq.HardwareType.NVIDIA_H100, 400, 100))
        for _ in range(count):
            await protocol.send_data(source="a", destination="b", data=hq.VirtualTensor((nbytes,), "uint8"))
        return 100 * count * nbytes * 8 / 400 / protocol.now_ns

    return on_each(main)


def waiting(load: float, sends: int = 200_000, runs: int = 10) -> np.ndarray[Any, Any]:
    """Mean waits in service times, one row per run, of 4 kB from many senders to one port at random instants.

    The load is that of *wire* bytes, so that the port is equally busy on all three transports. Senders have ports of
    their own, fast enough to add nothing.
    """

    async def main(profile: str, seed: int) -> float:
        ports = [hq.NodeSignature(f"sender-{number}", hq.HardwareType.CPU_SERVER, 100_000, 0) for number in range(64)]
        sink = hq.NodeSignature("sink", hq.HardwareType.CPU_SERVER, 400, 0)
        protocol = hq.HyperFabricProtocol(hq.Fabric(nodes=(*ports, sink)), profile=profile)
        rng = np.random.default_rng(seed)
        service_ns = profiles[profile].wire_bytes(4096) * 8 / 400
        at = np.cumsum(rng.exponential(service_ns / load, sends))
        senders = rng.integers(0, 64, sends)
        done = await protocol.send_many(sources=senders, destinations="sink", nbytes=4096, release_ns=at)
        idle = await protocol.send_many(sources="sender-0", destinations="sink", nbytes=[4096])
        return float((done.latency_ps.mean() - idle.latency_ps[0]) / 1e3 / service_ns)

    return np.array([[hq.run(main(profile, seed)) for profile in PROFILES] for seed in range(runs)])


def utilisation() -> list[Row]:
    claim = "utilisation of 95-99 %"
    rows = [
        Row(
            claim=claim,
            quantity=f"payload per byte on the wire, message of {shown}",
            unit="%",
            values=[100 * profiles[each].efficiency(nbytes) for each in PROFILES],
            bound=100,
            bound_by="headers of IPv4 + TCP (MTU 1500), RoCEv2 (MTU 4096), none",
            parameters="counted frame by frame",
        )
        for nbytes, shown in ((64, "64 B"), (10**9, "1 GB"))
    ]
    rows += [
        Row(
            claim=claim,
            quantity=f"goodput of one sender, one {shown} at a time",
            unit="%",
            values=one_after_another(nbytes),
            bound=100 / (1 + 100 / (nbytes * 8 / 400)),
            bound_by="100 ns of latency per message",
            parameters="400 Gb/s, 100 ns",
        )
        for nbytes, shown in ((4096, "4 kB"), (2**20, "1 MiB"), (2**30, "1 GiB"))
    ]
    for load in (0.60, 0.95, 0.99):
        found = waiting(load)
        error = found[:, -1].std(ddof=1) / len(found) ** 0.5
        rows.append(
            Row(
                claim=claim,
                quantity=f"mean wait at a port that is {100 * load:.0f} % busy",
                unit="messages",
                values=found.mean(axis=0),
                bound=load / (2 * (1 - load)),
                bound_by="M/D/1: load / 2(1 - load); expected, not a bound",
                parameters=f"4 kB from 64 senders at random, {len(found)} x 200,000; standard error {error:.2g}",
            )
        )
    return rows


# ------------------------------------------------------------------------------------------------ requests and vehicles


def round_trip(places: tuple[str | None, str | None], gbps: float, port_ns: float) -> tuple[float, ...]:
    """A request of 4 kB and an answer of 4 kB, without any computing, in ms."""

    async def main(profile: str) -> float:
        protocol = hq.HyperFabricProtocol(profile=profile)
        for name, place in zip(("user", "edge"), places, strict=True):
            protocol.register_node(
                hq.NodeSignature(name, hq.HardwareType.NVIDIA_A100, gbps, port_ns, physical_location=place)
            )
        for ends in (("user", "edge"), ("edge", "user")):
            await protocol.send_data(source=ends[0], destination=ends[1], data=bytes(4096))
        return protocol.now_ns / 1e6

    return on_each(main)


def inference() -> list[Row]:
    from hyperfabric_q.fabric.location import distance_m, find_place  # noqa: PLC0415

    claim = "inference in 0.3 ms"
    far = distance_m(find_place(NEW_YORK), find_place(CHICAGO))
    reach_km = [
        (INFERENCE_NS / 2 - profiles[each].message_ps / 1e3 - 50 - profiles[each].wire_bytes(4096) * 8 / 200)
        / fibre_latency_ns(1_000)
        for each in PROFILES
    ]
    return [
        Row(
            claim=claim,
            quantity="request and answer in one hall",
            unit="ms",
            values=round_trip((None, None), 200, 50),
            bound=2 * 50e-6,
            bound_by="latency of the ports",
            parameters="4 kB each way, 200 Gb/s, 50 ns, no computing",
        ),
        Row(
            claim=claim,
            quantity="request and answer, New York to Chicago",
            unit="ms",
            values=round_trip((NEW_YORK, CHICAGO), 200, 50),
            bound=2 * shortest_latency_ns(far) / 1e6,
            bound_by=f"light in vacuum over {far / 1e3:.0f} km, twice",
            parameters="4 kB each way, 200 Gb/s, 50 ns, no computing, straight fibre",
        ),
        Row(
            claim=claim,
            quantity="distance at which 0.3 ms are left with nothing for computing",
            unit="km",
            values=reach_km,
            bound=VACUUM_M_PER_S * INFERENCE_NS * 1e-9 / 2 / 1e3,
            bound_by="light in vacuum",
            parameters="4 kB each way, 200 Gb/s, 50 ns, straight fibre",
        ),
    ]


def coordination(profile: str, cars: int, metres: float, nbytes: int) -> Coroutine[Any, Any, float]:
    """The last of the frames that all vehicles of one server send at one instant, in µs."""

    async def main() -> float:
        protocol = hq.HyperFabricProtocol(profile=profile)
        protocol.register_node(hq.NodeSignature("server", hq.HardwareType.NVIDIA_A100, 200, 25))
        latency_ns = max(50.0, shortest_latency_ns(metres))  # radio: light in air, all but the speed in vacuum
        for number in range(cars):
            car = f"vehicle-{number}"
            protocol.register_node(hq.NodeSignature(car, hq.HardwareType.NEUROMORPHIC_CHIP, 10, 50))
            protocol.connect(car, "server", bandwidth_gbps=10, latency_ns=latency_ns, distance_m=metres)
        sends = [
            protocol.send_data(
                source=f"vehicle-{number}", destination="server", data=bytes(nbytes), priority="ultra_high"
            )
            for number in range(cars)
        ]
        done = await asyncio.gather(*sends)
        return max(each.latency_ns for each in done) / 1e3

    return main()


def vehicles() -> list[Row]:
    claim = "messages of vehicles in 0.05 ms"
    return [
        Row(
            claim=claim,
            quantity=f"slowest of 10 vehicles, {metres / 1e3:g} km, {shown}",
            unit="us",
            values=on_each(lambda profile, m=metres, n=nbytes: coordination(profile, 10, m, n)),
            bound=shortest_latency_ns(metres) / 1e3,
            bound_by="light in vacuum, one way",
            parameters="10 Gb/s and 50 ns each, no radio: access to the medium and coding are not in it",
        )
        for metres, nbytes, shown in ((500.0, 1_000, "1 kB"), (5_000.0, 1_000, "1 kB"), (5_000.0, 1_000_000, "1 MB"))
    ] + [
        Row(
            claim=claim,
            quantity="largest frame in 0.05 ms over 5 km",
            unit="bytes",
            values=[largest_frame(each, 5_000.0) for each in PROFILES],
            bound=(VEHICLE_NS - shortest_latency_ns(5_000)) * 10 / 8,
            bound_by="10 Gb/s after light in vacuum",
            parameters="the same",
        )
    ]


def largest_frame(profile: str, metres: float) -> int:
    low, high = 0, 100_000
    while high - low > 1:
        middle = (low + high) // 2
        fits = hq.run(coordination(profile, 1, metres, middle)) <= VEHICLE_NS / 1e3
        low, high = (middle, high) if fits else (low, middle)
    return low


def rows() -> list[Row]:
    return [*gradients(), *utilisation(), *inference(), *vehicles()]
