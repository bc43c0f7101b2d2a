"""The whole of secure sharing at once: keys over three links, a model on its way, a stranger, a tap, and no links."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Final

import hyperfabric_q as hq
from hyperfabric_q import estimate
from hyperfabric_q.errors import HyperFabricWarning, QuantumKeyUnavailable
from hyperfabric_q.scenarios.catalogue import Size
from hyperfabric_q.scenarios.context import World, current_world
from hyperfabric_q.scenarios.outcome import Figure, Outcome
from hyperfabric_q.scenarios.secure_sharing import pieces
from hyperfabric_q.scenarios.secure_sharing.model import Model, accuracy, packed, points
from hyperfabric_q.scenarios.secure_sharing.report import Found, figures_of, verdicts_of
from hyperfabric_q.workloads.qkd import public as qkd
from hyperfabric_q.workloads.qkd.source import TrustedRelays

SERVER, ALICE, BOB, CLIENT, STRANGER = "secure-ai-server", "qkd-alice", "qkd-bob", "trusted-client", "stranger"
COHERENCE_US: Final = 500.0
AT_SITE_M: Final = 50.0
BETWEEN_M: Final = 1_000.0
RAW_FIDELITY: Final = 0.99
PAIRS_HZ: Final = 50_000.0
PAIRS: Final = {SERVER: 16_000, ALICE: 24_000, BOB: 20_000}
"""In a session with the next node on the way to the client."""

FAR_KM: Final = 100.0
PROBES: Final = 2_000


def fabric(between_m: float = BETWEEN_M, *, quantum: bool = True) -> hq.Fabric:
    """Return two sites with a QPU and a computer each, and a computer elsewhere; quantum links in a row."""
    nodes = [
        *(
            hq.NodeSignature(
                name,
                hq.HardwareType.QUANTUM_QPU,
                1,
                10,
                communication_qubits=2,
                quantum_coherence_time_us=COHERENCE_US,
            )
            for name in (ALICE, BOB)
        ),
        *(
            hq.NodeSignature(name, hq.HardwareType.CPU_SERVER, 10, 100, communication_qubits=2, t2_us=COHERENCE_US)
            for name in (SERVER, CLIENT)
        ),
        hq.NodeSignature(STRANGER, hq.HardwareType.CPU_SERVER, 10, 100),
    ]
    links = [
        hq.Link(
            *ends,
            distance_m=metres,
            pair_fidelity=RAW_FIDELITY if quantum else None,
            pair_rate_hz=PAIRS_HZ if quantum else None,
            pair_attempt_ns=1_000 if quantum else None,
        )
        for ends, metres in (((SERVER, ALICE), AT_SITE_M), ((ALICE, BOB), between_m), ((BOB, CLIENT), AT_SITE_M))
    ]
    return hq.Fabric(nodes=tuple(nodes), links=tuple(links))


async def establish(protocol: hq.HyperFabricProtocol) -> hq.TransferResult:
    """Return the result of sending key states from alice to bob."""
    return await protocol.send_data(
        source=ALICE,
        destination=BOB,
        data=pieces.generate_quantum_key_states(),
        data_type=hq.DataType.QUANTUM_STATE,
        requires_quantum_entanglement=True,
    )


async def share(
    protocol: hq.HyperFabricProtocol, data: object, destination: str = CLIENT, *, mode: str = "auto"
) -> hq.TransferResult | QuantumKeyUnavailable:
    """Return the result of sending something from the server under quantum keys, or the refusal."""
    try:
        return await protocol.send_data(
            source=SERVER,
            destination=destination,
            data=data,
            data_type=hq.DataType.PARAMETER,
            encryption_enabled=True,
            metadata={"quantum_secured": True, "quantum_mode": mode},
        )
    except QuantumKeyUnavailable as refusal:
        return refusal


@dataclass(frozen=True, slots=True, kw_only=True)
class Shared:
    """A model on its way: the key states as they arrived, the sealed model, its transfer, and what was opened."""

    states: hq.TransferResult
    key: pieces.SharedKey | None
    sealed: pieces.SealedModel
    sent: hq.TransferResult | QuantumKeyUnavailable
    opened: Model | None


async def share_model(protocol: hq.HyperFabricProtocol, model: Model) -> Shared:
    """Return how a model gets from the server to the client."""
    states = await establish(protocol)
    key = states.value if isinstance(states.value, pieces.SharedKey) else None
    sealed = pieces.quantum_encrypt(model, states)
    sent = await share(protocol, sealed)
    opened = None if isinstance(sent, QuantumKeyUnavailable) else pieces.open_model(sent, key)
    return Shared(states=states, key=key, sealed=sealed, sent=sent, opened=opened)


async def _with_keys(size: Size, world: World, model: Model, store: qkd.KeyStore) -> Found:
    protocol = hq.HyperFabricProtocol(
        fabric(), key_source=TrustedRelays(store, [ALICE, BOB]), strict=True, seed=world.seed
    )

    def session(first: str) -> pieces.KeyExchange:
        return pieces.KeyExchange(protocol, store, pairs=PAIRS[first], live=size == "full", seed=world.seed)

    protocol.attach_handler(BOB, session(ALICE))
    hops = [await session(SERVER).distil(SERVER, ALICE), await session(BOB).distil(BOB, CLIENT)]
    shared = await share_model(protocol, model)
    assert shared.key is not None  # noqa: S101 - a KeyExchange answers at bob's
    wrong = pieces.error_of_key_states(shared.states)
    stranger = await share(protocol, shared.sealed, STRANGER)
    pad = await share(protocol, hq.VirtualTensor((175_000_000_000,), "float16"), mode="otp")
    return Found(shared=shared, key=shared.key, hops=hops, wrong=wrong, stranger=stranger, pad=pad)


async def _secret_share(kilometres: float) -> float:
    """Return secret bits per sifted bit of endless strings, out of pairs over so much fibre."""
    protocol = hq.HyperFabricProtocol(fabric(1_000 * kilometres), seed=0)
    (pair,) = await protocol.entangle(ALICE, BOB, keep=False)
    return float(qkd.asymptotic_rate(*qkd.error_rates(pair.correlators)))


async def farthest_km() -> float:
    """Return the length of fibre over which these memories still give pairs of which a key can be made."""
    low, high = 0.0, FAR_KM
    while high - low > 0.05:
        middle = (low + high) / 2
        low, high = (middle, high) if await _secret_share(middle) > 0 else (low, middle)
    return low


async def _play(size: Size, world: World) -> Outcome:
    model = pieces.load_proprietary_ai_model()
    with qkd.KeyStore() as store:
        found = await _with_keys(size, world, model, store)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", HyperFabricWarning)  # the receipts say it as well
        plain = await share_model(hq.HyperFabricProtocol(fabric(quantum=False), seed=world.seed), model)
    tapped = qkd.simulate(found.key_fidelity, PAIRS[ALICE], attack=qkd.attack("intercept_resend"), seed=world.seed)
    places, arm = points(PROBES, world.stream("secure_sharing probes"))
    right = estimate.proportion(round(PROBES * accuracy(found.shared.opened or model, places, arm)), PROBES)
    figures = (
        *figures_of(found, len(packed(model))),
        Figure(name="error rate of the key under a full tap", value=tapped.qber or 0.0, stderr=_bar(tapped)),
        Figure(name="points told right by the opened model", value=right.value, origin="computed", stderr=right.stderr),
        Figure(name="secret share of a sifted bit", value=await _secret_share(BETWEEN_M / 1e3), origin="bound"),
        Figure(name="secret share over 100 km", value=await _secret_share(FAR_KM), origin="bound"),
        Figure(name="farthest that these memories give a key", value=await farthest_km(), unit="km", origin="bound"),
    )
    unchanged = found.shared.opened is not None and packed(found.shared.opened) == packed(model)
    return Outcome(
        scenario="secure_sharing",
        size=size,
        seed=world.seed,
        figures=figures,
        verdicts=verdicts_of(found, plain.sealed, tapped, figures, unchanged=unchanged),
        notes=(
            "Keys are simulated, not secret: one program draws both ends' outcomes from one seed.",
            "Pairs are heralded and wait in memory until both ends know; photons measured on arrival would not.",
            *(() if size == "full" else ("Pairs were drawn at the fidelity that the fabric foresees, all at once.",)),
        ),
    )


def _bar(report: qkd.KeyReport) -> float | None:
    found = report.test.estimate
    return None if found is None else found.stderr


def played(size: Size) -> Outcome:
    """Return what ``secure_sharing.play`` does."""
    return hq.run(_play(size, current_world()))
