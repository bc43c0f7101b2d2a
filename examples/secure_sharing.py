"""A model sealed with a key that two QPUs made of Bell pairs, sent over trusted nodes, and opened; and to a stranger.

Two sites, 1 km apart. Each has a QPU and a computer; quantum links join them in a row. Three keys are
distilled, and the one between the computers is relayed by the QPUs, which are trusted. With ``--links 0``
the program is the same, and nothing is quantum-secured. ``hyperfabric-q scenario secure_sharing`` tells more.
"""

from __future__ import annotations

import argparse
import json
import warnings

import hyperfabric_q as hq
from hyperfabric_q.errors import HyperFabricWarning
from hyperfabric_q.scenarios import (
    Figure,
    Outcome,
    Verdict,
    generate_quantum_key_states,
    load_proprietary_ai_model,
    quantum_encrypt,
    world,
)
from hyperfabric_q.scenarios.secure_sharing.pieces import KeyExchange, SharedKey, open_model
from hyperfabric_q.workloads.qkd.source import TrustedRelays
from hyperfabric_q.workloads.qkd.store import KeyStore

PAIRS = {"small": 20_000, "full": 100_000}
ROW = ("secure-ai-server", "qkd-alice", "qkd-bob", "trusted-client")


async def share(size: str, seed: int, links: int, store: KeyStore) -> Outcome:
    """Make keys, seal the model, send it, open it; then send it to a stranger."""
    protocol = hq.HyperFabricProtocol(key_source=TrustedRelays(store, ["qkd-alice", "qkd-bob"]), seed=seed)
    for name in (*ROW, "stranger"):
        kind = hq.HardwareType.QUANTUM_QPU if name.startswith("qkd") else hq.HardwareType.CPU_SERVER
        node = hq.NodeSignature(name, kind, 10, 100, communication_qubits=2, quantum_coherence_time_us=500.0)
        protocol.register_node(node)

    # A session of distillation for each pair of neighbours. Here pairs are drawn at the fidelity that the fabric
    # foresees; live=True makes them one by one, in some milliseconds of processor time each.
    exchange = KeyExchange(protocol, store, pairs=PAIRS[size], live=False, seed=seed)
    if links:
        for a, b, metres in zip(ROW[:-1], ROW[1:], (50, 1_000, 50), strict=True):
            protocol.connect(a, b, distance_m=metres, pair_fidelity=0.99, pair_rate_hz=50_000, pair_attempt_ns=1_000)
        await exchange.distil("secure-ai-server", "qkd-alice")
        await exchange.distil("qkd-bob", "trusted-client")
        protocol.attach_handler("qkd-bob", exchange)

    quantum_key = await protocol.send_data(
        source="qkd-alice",
        destination="qkd-bob",
        data=generate_quantum_key_states(),
        data_type=hq.DataType.QUANTUM_STATE,
        requires_quantum_entanglement=True,
    )
    model = load_proprietary_ai_model()
    sealed = quantum_encrypt(model, quantum_key)

    async def send(destination: str) -> hq.TransferResult:
        return await protocol.send_data(
            source="secure-ai-server",
            destination=destination,
            data=sealed,
            data_type=hq.DataType.PARAMETER,
            encryption_enabled=True,
            metadata={"quantum_secured": True},
        )

    sent, strayed = await send("trusted-client"), await send("stranger")
    shared = quantum_key.value
    opened = open_model(sent, shared if isinstance(shared, SharedKey) else None)
    same = all((opened[name] == numbers).all() for name, numbers in model.items())

    def told(result: hq.TransferResult) -> Verdict:
        receipt = result.receipt
        return Verdict(
            asked=f"a model for {receipt.destination} under a quantum key",
            holds=receipt.quantum_secured,
            because=f"{receipt.encryption}, key from {receipt.key_origin}. {' '.join(receipt.warnings)}",
        )

    return Outcome(
        scenario="secure_sharing",
        size=size,
        seed=seed,
        figures=(
            Figure(name="model opened unchanged", value=float(same), origin="computed"),
            Figure(name="sealed by quantum_encrypt", value=float(sealed.quantum_secured), origin="computed"),
            Figure(name="key left between the QPUs", value=store.fresh_bits("qkd-alice", "qkd-bob"), unit="bit"),
            Figure(name="model on its way", value=sent.latency_ns / 1e3, unit="us"),
        ),
        verdicts=(told(sent), told(strayed)),
        notes=(str(sealed),),
    )


def main() -> None:
    """Read what is asked for, share, tell."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", choices=PAIRS, default="full", help="pairs of each link: 20,000 or 100,000")
    parser.add_argument("--links", type=int, choices=(0, 1), default=1, help="whether there are quantum links")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    warnings.simplefilter("ignore", HyperFabricWarning)  # receipts say the same, and are printed
    with world(seed=given.seed), KeyStore() as store:
        outcome = hq.run(share(given.size, given.seed, given.links, store))
    print(json.dumps(outcome.to_dict()) if given.json else outcome)


if __name__ == "__main__":
    main()
