"""Pairs over hops, states by teleportation, keys: what holds under which hardware; each function returns figures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from classical import PROFILES, Row
from qiskit.quantum_info import Statevector

import hyperfabric_q as hq
from hyperfabric_q.entanglement import reach
from hyperfabric_q.entanglement.generation import DoubleClick
from hyperfabric_q.errors import FidelityUnreachable
from hyperfabric_q.units import FIBRE_GROUP_INDEX, VACUUM_M_PER_S, fibre_latency_ns, shortest_latency_ns

HOPS = (1, 2, 4, 8)
ERRORS = (0.0, 1e-4, 1e-3, 5e-3)
ASKED = 0.999
TRANSFER_NS = 100_000
MODEL_BITS = 8 * 350_000_000_000
YEAR_S = 365.25 * 86_400


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One number, and what bounds it."""

    claim: str
    quantity: str
    value: float | str
    unit: str
    bound_by: str
    parameters: str


# ----------------------------------------------------------------------------------------------------------------- hops


def best(hops: int, error: float) -> tuple[float, str]:
    """The fidelity that is delivered when 99.9 % are asked for, or the best one; and what it takes."""
    try:
        got = reach(ASKED, hops, gate_error=error, readout_error=error)
    except FidelityUnreachable as fault:
        return fault.reachable, "not reached"
    return got.fidelity, f"{got.raw_pairs:.1f} raw pairs"


def reached(hops: int, error: float) -> bool:
    return best(hops, error)[1] != "not reached"


def tolerable(hops: int) -> float:
    """The largest gate and readout error with which 99.9 % are reached, to two digits."""
    low, high = 0.0, 1e-2
    while high - low > 1e-2 * high:
        middle = (low + high) / 2
        low, high = (middle, high) if reached(hops, middle) else (low, middle)
    return low


def hops() -> list[Figure]:
    claim = "99.9 % fidelity across hops"
    raw = hq.Fabric.line([1] * 5, communication_qubits=2, pair_fidelity=0.95)
    plain = hq.HyperFabricProtocol(raw, seed=1).foresee("qpu-0", "qpu-4").fidelity
    found = [
        Figure(
            claim=claim,
            quantity="four hops of pairs as they come",
            value=plain,
            unit="fidelity",
            bound_by="errors of the links multiply",
            parameters="Werner pairs of 0.95, perfect gates, no waiting",
        )
    ]
    for error in ERRORS:
        for count in HOPS:
            fidelity, told = best(count, error)
            found.append(
                Figure(
                    claim=claim,
                    quantity=f"{count} hops, gate and readout error {error:g}: {told}",
                    value=fidelity,
                    unit="fidelity",
                    bound_by="1 - link ceiling per hop, and the error of each swap",
                    parameters="Werner pairs of 0.95, nested DEJMPS, no waiting",
                )
            )
    for count in HOPS:
        found.append(  # noqa: PERF401 - one figure at a time reads better
            Figure(
                claim=claim,
                quantity=f"largest gate and readout error for 99.9 % over {count} hops",
                value=tolerable(count),
                unit="probability",
                bound_by="the same",
                parameters="the same",
            )
        )
    return found


# ------------------------------------------------------------------------------------------------------- state transfer


def teleported(profile: str, metres: float) -> hq.TransferResult:
    fabric = hq.Fabric.line([1, 1], communication_qubits=1, pair_fidelity=0.97)
    fabric = fabric.replace("links.*", distance_m=metres, bandwidth_gbps=10.0)  # no rate: a pair per light's way

    async def main() -> hq.TransferResult:
        protocol = hq.HyperFabricProtocol(fabric, profile=profile, seed=1)
        return await protocol.send_data(
            source="qpu-0",
            destination="qpu-1",
            data=Statevector.from_label("+"),
            data_type="quantum_state",
            requires_quantum_entanglement=True,
        )

    return hq.run(main())


def transfers() -> list[Row]:
    """The same state over the same link under all three transports."""
    rows = []
    for metres in (2.0, 10_000.0, 100_000.0):
        made = [teleported(profile, metres) for profile in PROFILES]
        for waits in (True, False):
            spent = [each.latency_ps - (0 if waits else each.receipt.entanglement_ps) for each in made]
            ready = "the pair made first, at once" if waits else "the pair there already"
            rows.append(
                Row(
                    claim="state transfer in 0.1 ms",
                    quantity=f"one qubit over {metres / 1e3:g} km, {ready}",
                    unit="us",
                    values=[each / 1e6 for each in spent],
                    bound=shortest_latency_ns(metres) / 1e3,
                    bound_by="light in vacuum, one way: the two bits",
                    parameters="10 Gb/s, fibre, every attempt succeeds, gates and readout take no time",
                )
            )
    return rows


def states() -> list[Figure]:
    claim = "state transfer in 0.1 ms"
    found = [
        Figure(
            claim=claim,
            quantity="fibre in which the two bits take 0.1 ms",
            value=TRANSFER_NS / fibre_latency_ns(1_000),
            unit="km",
            bound_by=f"light in fibre, group index {FIBRE_GROUP_INDEX:g}",
            parameters="the pair there already",
        ),
        Figure(
            claim=claim,
            quantity="distance in vacuum",
            value=VACUUM_M_PER_S * TRANSFER_NS * 1e-12,
            unit="km",
            bound_by="light in vacuum",
            parameters="the pair there already",
        ),
    ]
    for preset in ("ion_oxford_2025", "ion_oxford_2020", "transducer_ibm_2025"):
        fabric = hq.Fabric.line([1, 1], communication_qubits=1, link=preset)
        seen = hq.HyperFabricProtocol(fabric, seed=1).foresee("qpu-0", "qpu-1")
        for quantity, ps in (("mean time to a pair", seen.delivery_ps), ("99 of 100 pairs", seen.lead_ps)):
            found.append(
                Figure(
                    claim=claim,
                    quantity=f"{quantity}, {preset}",
                    value=ps / 1e9,
                    unit="ms",
                    bound_by="attempts until one is heralded",
                    parameters=f"pairs of {seen.fidelity:.4f} at {fabric.links[0].pair_rate_hz:g} per second",
                )
            )
    return found


# ----------------------------------------------------------------------------------------------------------------- keys


def distilled(metres: float, pairs: int = 1_000_000) -> tuple[float, float, float]:
    """Pairs per second, their fidelity, and bits of key per pair from sessions of so many pairs."""
    made = DoubleClick(
        distance_m=metres,
        collection_efficiency=0.5,
        detection_efficiency=0.9,
        visibility=0.97,
        dark_count_probability=1e-7,
    ).attempt()
    _, p_x, p_y, p_z = made.weights
    worse = max(p_x + p_y, p_y + p_z)
    return made.rate_hz, made.fidelity, hq.qkd.foretell(pairs // 2, worse).secret_bits / pairs


def keys() -> list[Figure]:
    claim = '"unbreakable" encryption'
    found: list[Figure] = []

    def note(quantity: str, value: float | str, unit: str, bound_by: str, parameters: str) -> None:
        found.append(
            Figure(claim=claim, quantity=quantity, value=value, unit=unit, bound_by=bound_by, parameters=parameters)
        )

    hardware = "double click, 50 % collected, 90 % detected, visibility 0.97, 0.2 dB/km, one memory"
    for km in (10, 50, 100):
        rate, fidelity, per_pair = distilled(1e3 * km)
        note(f"pairs per second over {km} km", rate, "1/s", "both photons must arrive", hardware)
        note(f"fidelity of a pair over {km} km", fidelity, "fidelity", "visibility and dark counts", hardware)
        note(f"key over {km} km", rate * per_pair, "bit/s", "half the pairs sift; finite key of 10^6 pairs", hardware)
        note(
            f"one-time pad for 350 GB over {km} km",
            MODEL_BITS / (rate * per_pair) / YEAR_S,
            "years",
            "a bit of key per bit",
            hardware,
        )
    note(
        "key rate for 350 GB per day by one-time pad",
        MODEL_BITS / 86_400 / 1e6,
        "Mbit/s",
        "a bit of key per bit",
        "arithmetic",
    )
    note(
        "sealing and opening 350 GB with AES-256-GCM", sealed().crypto_ps / 1e12, "s", "cost model", "one core per end"
    )
    for pairs in (1_000, 2_000, 10_000, 100_000, 1_000_000):
        bits = hq.qkd.foretell(pairs // 2, float(hq.qkd.werner_error(0.97))).secret_bits
        note(f"key of {pairs} pairs of fidelity 0.97", bits, "bits", "finite-key bound", "2 % errors, eps 1e-10")
    note(
        "fidelity below which no key exists",
        hq.qkd.least_fidelity(),
        "fidelity",
        "1 - 2 h(Q) = 0",
        "Werner pairs, one-way post-processing, endless strings",
    )
    note("security of one session", told(hq.qkd.simulate(0.97, 100_000, seed=1)), "", "the bound's own", "0.97")
    heard = [
        hq.qkd.simulate(0.97, 20_000, attack=hq.qkd.attack("intercept_resend", 1.0), seed=seed) for seed in range(20)
    ]
    note(
        "sessions of 20 ended when every pair is intercepted",
        sum(each.aborted for each in heard),
        "sessions",
        "25 % errors",
        "20,000 pairs each",
    )
    return found


def sealed() -> hq.Receipt:
    """The receipt of 350 GB that are sealed."""

    async def main() -> hq.Receipt:
        protocol = hq.HyperFabricProtocol()
        for name in ("a", "b"):
            protocol.register_node(hq.NodeSignature(name, hq.HardwareType.CPU_SERVER, 400, 100))
        model = hq.VirtualTensor((MODEL_BITS // 8,), "uint8")
        return (await protocol.send_data(source="a", destination="b", data=model, encryption_enabled=True)).receipt

    return hq.run(main())


def told(report: hq.qkd.KeyReport) -> str:
    ledger = report.ledger
    return f"distinguishable with at most {ledger.eps_secret:.0e}, unequal with at most {ledger.eps_correct:.0e}"


def figures() -> Sequence[Figure]:
    return [*hops(), *states(), *keys()]
