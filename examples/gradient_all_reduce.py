"""350 GB of gradients over 1024 GPUs: how long an all-reduce takes, and what half a millisecond would take."""

from __future__ import annotations

import hyperfabric_q as hq

GPUS = 1024
GRADIENT = hq.VirtualTensor((175_000_000_000,), "float16")  # a size and no contents: nothing is allocated
WANTED_NS = 500_000


def cluster() -> hq.Fabric:
    """Return 1024 GPUs on an ideal switch, 400 Gb/s and 100 ns each."""
    return hq.Fabric(
        nodes=[
            hq.NodeSignature(
                node_id=f"gpu-{rank:04}",
                hardware_type=hq.HardwareType.NVIDIA_H100,
                bandwidth_gbps=400,
                latency_ns=100,
            )
            for rank in range(GPUS)
        ]
    )


async def main() -> None:
    """Ask for the impossible, and say what it would take."""
    fabric = cluster()
    protocol = hq.HyperFabricProtocol(fabric)
    gpus = [node.node_id for node in fabric.nodes]

    ring = await protocol.all_reduce(gpus, GRADIENT, algorithm="ring", latency_constraint_ns=WANTED_NS)
    print(ring.summary())
    print(f"constraint_met = {ring.constraint_met}\n")

    best = await protocol.all_reduce(gpus, GRADIENT)
    print("What 'auto' chooses among:")
    for row in best.report.predictions:
        print(f"  {row.algorithm:17} {row.duration_ps / 1e12:.6f} s")

    # Every byte that the ends must pass takes its time, whatever the algorithm. So what would do?
    times = ring.bound_ps / (WANTED_NS * 1000)
    print(f"\nFor {WANTED_NS / 1e6} ms the ends are {times:,.0f} times too slow, before any latency. What would do:")
    print(f"  {400 * times / 1e6:.2f} Pb/s at each GPU instead of 400 Gb/s")
    print(f"  {GRADIENT.nbytes / times / 1e6:.2f} MB of gradients instead of 350 GB")
    print(f"  a wait of {best.latency_ns / 1e9:.3f} s instead of {WANTED_NS / 1e9} s\n")

    # That small, latency counts: the 2046 steps of a ring are too many, the 20 of halving and doubling are not.
    small = 10_000_000
    for algorithm in ("ring", "auto"):
        result = await protocol.all_reduce(gpus, small, algorithm=algorithm, latency_constraint_ns=WANTED_NS)
        met = "met" if result.constraint_met else "not met"
        print(f"{small / 1e6:.0f} MB by {result.algorithm}: {result.latency_ns / 1e6:.4f} ms, {met}")


if __name__ == "__main__":
    hq.run(main())
