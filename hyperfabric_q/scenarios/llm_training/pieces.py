"""Training a large language model on a thousand GPUs: what moving its gradients takes, and what half a millisecond is.

The gradient of 175 billion parameters is a size without contents; its times are simulated on a fabric of 1024 GPUs in
racks. A small model beside it is trained for real, its gradients summed by the same ``all_reduce``.
"""

from __future__ import annotations

import asyncio
import math
from typing import Final

import hyperfabric_q as hq
from hyperfabric_q.scenarios.catalogue import Size
from hyperfabric_q.scenarios.context import current_world
from hyperfabric_q.scenarios.llm_training.model import Learned, train
from hyperfabric_q.scenarios.outcome import Figure, Outcome, Verdict
from hyperfabric_q.units import PS_PER_S

GPUS: Final = {"small": 64, "full": 1024}
LEARNERS: Final = {"small": 8, "full": 64}
STEPS: Final = {"small": 40, "full": 80}
PARAMETERS: Final = 175_000_000_000
PIECES: Final = 5
"""In which the gradient is reduced: 350 GB do not fit the 80 GB of a GPU, a fifth of them does."""

RACK: Final = 32
GBPS: Final = 400.0
MEMORY_GB: Final = 80
WANTED_NS: Final = 500_000
TOKENS_PER_STEP: Final = 3_200_000
"""The batch with which a model of this size was trained (Brown et al. 2020, table 2.1)."""

FLOPS: Final = 0.4 * 989e12
"""Of one GPU: 40 % of the dense bfloat16 peak that the maker of the H100 SXM states."""


def create_gradient_tensor(shape: tuple[int, ...] | int, dtype: str = "float16") -> hq.VirtualTensor:
    """Return a gradient that has a size and no contents: nothing is allocated.

    Args:
        shape: number of parameters, along one axis or more.
        dtype: of one element; half precision unless said otherwise.

    Raises:
        InvalidValue: a length is not a whole number of at least 0, or the dtype has no fixed width.
    """
    return hq.VirtualTensor((shape,) if isinstance(shape, int) else shape, dtype)


def cluster(gpus: int, *, profile: str = "fabric") -> hq.HyperFabricProtocol:
    """Return a live fabric of H100s in racks of 32, in one zone."""
    protocol = hq.HyperFabricProtocol(
        hq.Fabric(
            nodes=tuple(
                hq.NodeSignature(
                    f"gpu-h100-{rank:04d}",
                    hq.HardwareType.NVIDIA_H100,
                    GBPS,
                    100,
                    memory_gb=MEMORY_GB,
                    rack_position=f"rack-{rank // RACK:02d}-slot-{rank % RACK:02d}",
                )
                for rank in range(gpus)
            )
        ),
        profile=profile,
    )
    protocol.create_zone(
        hq.FabricZone(
            zone_id="llm-training-cluster",
            zone_type=hq.ZoneType.COMPUTE_CLUSTER,
            isolation_level=hq.IsolationLevel.MEDIUM,
            max_nodes=2000,
            required_bandwidth_gbps=GBPS,
        )
    )
    return protocol


async def largest_in_time(protocol: hq.HyperFabricProtocol, gpus: list[str]) -> int:
    """Return the bytes of the largest gradient whose all-reduce meets the wish, to one in a thousand."""
    guess = 10_000_000
    trial = await protocol.all_reduce(gpus, guess, algorithm="halving_doubling")
    bytes_per_ps = guess / trial.bound_ps
    size = int(guess + (WANTED_NS * 1000 - trial.latency_ps) * bytes_per_ps) // len(gpus) * len(gpus)
    for factor in (1.0, 0.999, 0.998):
        found = await protocol.all_reduce(
            gpus, int(size * factor), algorithm="halving_doubling", latency_constraint_ns=WANTED_NS
        )
        if found.constraint_met:
            return int(size * factor)
    return 0


async def _play(size: Size) -> Outcome:
    world, count = current_world(), GPUS[size]
    protocol = cluster(count)
    gpus = [node.node_id for node in protocol.fabric.nodes]
    piece = create_gradient_tensor((PARAMETERS // PIECES,))
    around = await asyncio.gather(
        *(
            protocol.send_data(
                source=gpu,
                destination=gpus[(rank + 1) % count],
                data=piece,
                data_type=hq.DataType.GRADIENT,
                priority=hq.PacketPriority.ULTRA_HIGH,
                latency_constraint_ns=WANTED_NS,
            )
            for rank, gpu in enumerate(gpus)
        )
    )
    pieces = [await protocol.all_reduce(gpus, piece, latency_constraint_ns=WANTED_NS) for _ in range(PIECES)]
    others = {name: await cluster(count, profile=name).all_reduce(gpus, piece) for name in ("rdma", "tcp")}
    fits = await largest_in_time(protocol, gpus)
    learned = await train(protocol, gpus[: LEARNERS[size]], STEPS[size], 200, world.stream("llm_training"))
    seconds, bound = (
        sum(each.latency_ps for each in pieces) / PS_PER_S,
        sum(each.bound_ps for each in pieces) / PS_PER_S,
    )
    used, ratio = pieces[0].utilisation, others["tcp"].latency_ps / pieces[0].latency_ps
    compute_s = 6 * PARAMETERS * TOKENS_PER_STEP / (count * FLOPS)
    figures = (
        Figure(name="GPUs", value=count, origin="stated"),
        Figure(name="gradient", value=PIECES * piece.nbytes / 1e9, unit="GB", origin="stated"),
        Figure(name="one fifth to the next GPU of the ring", value=max(r.latency_ns for r in around) / 1e9, unit="s"),
        Figure(name="of these sends within 0.5 ms", value=sum(bool(r.constraint_met) for r in around)),
        Figure(name="all-reduce", value=seconds, unit="s"),
        Figure(name="least time of an all-reduce", value=bound, unit="s", origin="bound"),
        *(Figure(name=f"utilisation: {name}", value=value) for name, value in used._asdict().items()),
        Figure(name="one fifth over the fabric", value=pieces[0].latency_ps / PS_PER_S, unit="s"),
        *(
            Figure(name=f"one fifth over {name.upper()}", value=found.latency_ps / PS_PER_S, unit="s")
            for name, found in others.items()
        ),
        Figure(name="gradient that is reduced in 0.5 ms", value=fits / 1e6, unit="MB"),
        Figure(name="arithmetic of a step", value=compute_s, unit="s", origin="computed"),
        Figure(name="small model: loss at first", value=learned.first, unit="nat/token", origin="computed"),
        Figure(name="small model: loss in the end", value=learned.last, unit="nat/token", origin="computed"),
        Figure(name="small model: least possible loss", value=learned.least, unit="nat/token", origin="bound"),
        Figure(name="small model: largest difference of a weight", value=learned.difference, origin="computed"),
        Figure(name="small model: time on the clock", value=learned.seconds * 1e3, unit="ms"),
    )
    return Outcome(
        scenario="llm_training",
        size=size,
        seed=world.seed,
        figures=figures,
        verdicts=_verdicts(count, bound, fits, min(used[:3]), ratio, learned),
        notes=(
            f"'auto' chose {pieces[0].algorithm}; to add numbers up costs no time in the simulation.",
            "The arithmetic of a step is 6 operations per parameter and token, 3.2 million tokens, 40 % of the peak.",
        ),
    )


def play(*, size: Size) -> Outcome:
    """Return what moving the gradients takes, and what the small model learned."""
    return hq.run(_play(size))


def _verdicts(
    gpus: int, bound_s: float, fits: int, used: float, over_tcp: float, learned: Learned
) -> tuple[Verdict, ...]:
    wanted_s = WANTED_NS / 1e9
    return (
        Verdict(
            asked=f"gradients of {PARAMETERS:,} parameters summed over {gpus} GPUs in 0.5 ms",
            holds=bound_s <= wanted_s,
            because=f"The ports alone need {bound_s:.6g} s at {GBPS:g} Gb/s, whatever the algorithm.",
            remedy=(
                f"{fits / 2e6:.4g} million parameters would do, or {GBPS * bound_s / wanted_s / 1e6:.4g} Pb/s at each "
                f"GPU, or a wait of {bound_s:.4g} s."
            ),
        ),
        Verdict(
            asked="the whole gradient on one GPU",
            holds=2 * PARAMETERS <= MEMORY_GB * 1e9,
            because=f"It has {2 * PARAMETERS / 1e9:g} GB, the GPU {MEMORY_GB} GB.",
            remedy=f"Reduce it in {PIECES} pieces, as here, or let each GPU own a slice of the parameters.",
        ),
        Verdict(
            asked="99.9 % of the bandwidth used",
            holds=used >= 0.999,
            because=f"At least {math.floor(used * 1e6) / 1e4:.4f} % by three measures; 0 by that of bytes in time.",
        ),
        Verdict(
            asked="ten times as fast as TCP on the same lines",
            holds=over_tcp >= 10,
            because=f"TCP takes {over_tcp:.4g} times as long: the bytes are the same, and headers are few.",
            remedy="Only faster lines, fewer bytes or fewer GPUs make it faster.",
        ),
        Verdict(
            asked="training on many GPUs learns what training on one does",
            holds=learned.difference == 0,
            because=f"The largest difference of a weight is {learned.difference:g}.",
        ),
    )
