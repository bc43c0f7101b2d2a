"""350 GB of gradients over 1024 GPUs: one turn of the ring, an all-reduce, and what half a millisecond would take.

``python examples/llm_training.py --size small`` takes a second. ``hyperfabric-q scenario llm_training`` tells more.
"""

from __future__ import annotations

import argparse
import asyncio
import json

import numpy as np

import hyperfabric_q as hq
from hyperfabric_q.scenarios import Figure, Outcome, Verdict, create_gradient_tensor, world

GPUS = {"small": 64, "full": 1024}
PARAMETERS = 175_000_000_000
PIECES = 5  # a GPU has 80 GB: 350 GB of gradients pass through it in five pieces
WANTED_NS = 500_000


def gpu(rank: int) -> hq.NodeSignature:
    """Return one H100, 32 to a rack."""
    return hq.NodeSignature(
        node_id=f"gpu-{rank:04d}",
        hardware_type=hq.HardwareType.NVIDIA_H100,
        bandwidth_gbps=400,
        latency_ns=100,
        memory_gb=80,
        rack_position=f"rack-{rank // 32:02d}-slot-{rank % 32:02d}",
    )


async def train(size: str, seed: int) -> Outcome:
    """Move the large gradients, which have no contents, and sum up small ones, which have."""
    protocol = hq.HyperFabricProtocol()
    gpus = [f"gpu-{rank:04d}" for rank in range(GPUS[size])]
    for rank in range(GPUS[size]):
        protocol.register_node(gpu(rank))
    protocol.create_zone(
        hq.FabricZone(
            zone_id="training",
            zone_type=hq.ZoneType.COMPUTE_CLUSTER,
            isolation_level=hq.IsolationLevel.MEDIUM,
            required_bandwidth_gbps=400,
        )
    )

    # Every GPU sends to its neighbour, all at once.
    piece = create_gradient_tensor(shape=(PARAMETERS // PIECES,))
    around = await asyncio.gather(
        *(
            protocol.send_data(
                source=here,
                destination=there,
                data=piece,
                data_type=hq.DataType.GRADIENT,
                priority=hq.PacketPriority.ULTRA_HIGH,
                latency_constraint_ns=WANTED_NS,
            )
            for here, there in zip(gpus, gpus[1:] + gpus[:1], strict=True)
        )
    )

    # The sum of all gradients at every GPU, piece by piece.
    pieces = [await protocol.all_reduce(gpus, piece, latency_constraint_ns=WANTED_NS) for _ in range(PIECES)]
    seconds, bound = sum(each.latency_ps for each in pieces) / 1e12, sum(each.bound_ps for each in pieces) / 1e12

    # The same call with real numbers in it: every GPU gets the very sum that one of them would have formed.
    rng = np.random.default_rng(seed)
    gradients = [rng.normal(size=1000) for _ in gpus[:16]]
    summed = await protocol.all_reduce(gpus[:16], gradients)
    wrong = max(float(np.abs(summed[each] - sum(gradients)).max()) for each in gpus[:16])

    figures = [
        Figure(name="one fifth to the next GPU", value=max(sent.latency_ns for sent in around) / 1e9, unit="s"),
        Figure(name="of these in time", value=sum(sent.constraint_met is True for sent in around)),
        Figure(name="all-reduce", value=seconds, unit="s"),
        Figure(name="at least", value=bound, unit="s", origin="bound"),
        *(Figure(name=f"utilisation: {name}", value=used) for name, used in pieces[0].utilisation._asdict().items()),
        Figure(name="error of the real sum", value=wrong, origin="computed"),
    ]
    in_time = Verdict(
        asked=f"all gradients summed in {WANTED_NS / 1e6} ms",
        holds=bound <= WANTED_NS / 1e9,
        because=f"The ports alone need {bound:.6g} s.",
        remedy=f"{PARAMETERS * WANTED_NS / 1e9 / bound / 1e6:.3g} million parameters would do.",
    )
    return Outcome(scenario="llm_training", size=size, seed=seed, figures=tuple(figures), verdicts=(in_time,))


def main() -> None:
    """Read what is asked for, train, tell."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", choices=GPUS, default="full")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    with world(seed=given.seed):
        outcome = hq.run(train(given.size, given.seed))
    print(json.dumps(outcome.to_dict()) if given.json else outcome)


if __name__ == "__main__":
    main()
