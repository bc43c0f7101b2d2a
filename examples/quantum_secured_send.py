"""Sends under quantum keys: by one-time pad, by AES-256-GCM over a trusted relay, and one that is refused a key."""

from __future__ import annotations

import hyperfabric_q as hq
from hyperfabric_q.errors import QuantumKeyUnavailable
from hyperfabric_q.workloads.qkd.simulated import simulate
from hyperfabric_q.workloads.qkd.source import TrustedRelays
from hyperfabric_q.workloads.qkd.store import KeyStore


def distilled(*links: tuple[str, str], pairs: int = 100_000, fidelity: float = 0.98) -> KeyStore:
    """Return a store with what each link distils from so many Bell pairs."""
    store = KeyStore()
    for seed, (a, b) in enumerate(links):
        report = simulate(fidelity, pairs, seed=seed)
        epsilon = 0.0 if report.ledger is None else report.ledger.eps
        bits = store.deposit(a, b, report.take(), origin=report.origin, epsilon=epsilon)
        print(f"{a} and {b} share {bits:,} bits: {report.origin}")
    return store


async def main() -> None:
    """Send what is asked for, and say how it was sealed."""
    store = distilled(("hospital", "university"), ("hospital", "exchange"), ("exchange", "clinic"))
    servers = [
        hq.NodeSignature(name, hq.HardwareType.CPU_SERVER, bandwidth_gbps=10, latency_ns=1_000)
        for name in ("hospital", "university", "exchange", "clinic", "stranger")
    ]
    protocol = hq.HyperFabricProtocol(
        hq.Fabric(nodes=servers), key_source=TrustedRelays(store, ["exchange"]), strict=True
    )
    parcels = {
        "university": (b"diagnosis: " + bytes(500), "a record"),
        "clinic": (hq.VirtualTensor((7_000_000_000,), "float16"), "a model of 14 GB, without contents"),
        "stranger": (b"diagnosis: " + bytes(500), "a record"),
    }
    for destination, (data, told) in parcels.items():
        print(f"\n{told} to {destination}:")
        try:
            result = await protocol.send_data(
                source="hospital",
                destination=destination,
                data=data,
                data_type=hq.DataType.PARAMETER,
                encryption_enabled=True,
                metadata={"quantum_secured": True},
            )
        except QuantumKeyUnavailable as refusal:
            print(f"refused: {refusal}")
            continue
        receipt = result.receipt
        print(f"quantum_secured={receipt.quantum_secured}, {receipt.encryption}, key {receipt.key_id}")
        print("\n".join(f"  {each}" for each in receipt.warnings))
    left = store.get_status("hospital", "university").stored_key_count
    print(f"\n{left} keys of 256 bits are left between hospital and university")


if __name__ == "__main__":
    hq.run(main())
