"""Four tenants on one fibre and one clock: a partitioned circuit, error correction, training, and quantum keys.

Two sites of a QPU each, 200 m apart. One fibre joins them, and everything takes it: attempts at Bell pairs for the
circuit's remote gates and for the keys, their heralds, the circuit's protocol bits, syndromes of two logical qubits in
the west and corrections from their decoder in the east, the gradients of four GPUs, and, by the load, tensors of
others. Who goes first on the fibre is what the four policies differ in. Run it from anywhere:
``python examples/one_fabric.py --quick``; all points take some minutes.
"""

from __future__ import annotations

import argparse
import asyncio
import json
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import cache
from multiprocessing import get_context
from pathlib import Path

import numpy as np

import hyperfabric_q as hq
from hyperfabric_q.scenarios.one_fabric.circuit import Player, Shot
from hyperfabric_q.scenarios.one_fabric.memories import Lateness, Memories
from hyperfabric_q.scenarios.one_fabric.report import Point, draw, key_rate, rows_of, told, written
from hyperfabric_q.scheduling.policy import CLASSES
from hyperfabric_q.seeds import stream
from hyperfabric_q.workloads.qec.records import per_round

POLICIES = {
    "fifo": hq.Policy(fifo=True),
    "round robin": hq.Policy(
        first_bulk=0, weights=tuple((each, 1) for each in range(CLASSES)), quantum_ps=10_000_000, last_capped=-1
    ),
    "strict": hq.Policy(first_bulk=CLASSES, last_capped=-1),
    "fabric": hq.Policy(),
}
LOADS = (0.0, 0.3, 0.6, 0.8, 0.9, 0.95)
COMPARED = 0.6
"""The load at which tenants are turned off."""
ROUNDS = 100_000
"""That are sampled and decoded for each virtual ms of a point: fewer memories where they wait longer."""
TENANTS = ("circuit", "qec", "training", "qkd")

GBPS = 100.0
TENSOR_BYTES = 1 << 17
GRADIENT_BYTES = 1 << 20
DETECTORS, SIFTED_TOGETHER, KEY_FIDELITY = 4, 32, 0.9
COMPUTE_NS, SHOT_GAP_NS, MEMORY_GAP_NS, REARM_NS = 500e3, 400e3, 1e6, 250e3
GPUS = ("gpu-w0", "gpu-w1", "gpu-e0", "gpu-e1")


def fabric() -> hq.Fabric:
    """Return both sites. A site's QPU ends the fibre; GPUs, blocks and the decoder hang on it by links of their own."""
    qpus = [
        hq.NodeSignature(
            name,
            hq.HardwareType.QUANTUM_QPU,
            4 * GBPS,
            0.0,
            compute_units=2,
            communication_qubits=8,
            t1_us=20_000,
            t2_us=5_000,
            gate_1q_ns=20,
            gate_2q_ns=50,
            readout_ns=200,
            reset_ns=50,
            feedforward_ns=100,
        )
        for name in ("west", "east")
    ]
    kinds = dict.fromkeys(GPUS, hq.HardwareType.NVIDIA_H100) | dict.fromkeys(
        ("block-0", "block-1"), qpus[0].hardware_type
    )
    homes = dict.fromkeys(("block-0", "block-1", *GPUS[:2]), "west") | dict.fromkeys(("decoder", *GPUS[2:]), "east")
    kinds["decoder"] = hq.HardwareType.CPU_SERVER
    others = [hq.NodeSignature(name, kind, 4 * GBPS, 0.0, compute_units=1) for name, kind in kinds.items()]
    links = [hq.Link(name, site, bandwidth_gbps=4 * GBPS, latency_ns=50.0) for name, site in homes.items()]
    fibre = hq.Link(
        "west",
        "east",
        bandwidth_gbps=GBPS,
        distance_m=200,
        pair_fidelity=0.98,
        pair_rate_hz=400_000,
        pair_attempt_ns=250,
        pair_channel="shared",
    )
    return hq.Fabric(nodes=(*qpus, *others), links=(fibre, *links))


@dataclass
class Run:
    """What happened in one run of all tenants.

    Attributes:
        shots: of the circuit.
        memories: of the logical qubits.
        steps_ns: how long each training step took.
        key_weights: the state of each pair that was measured for a key.
        sent, delivered: bytes that were handed to the fabric, and that it handed over.
        pairs: the ledger: made, used, expired, left.
        digest: over everything delivered.
    """

    shots: list[Shot] = field(default_factory=list)
    memories: list[Lateness] = field(default_factory=list)
    steps_ns: list[float] = field(default_factory=list)
    key_weights: list[tuple[float, ...]] = field(default_factory=list)
    sent: int = 0
    delivered: int = 0
    pairs: dict[str, int] = field(default_factory=dict)
    digest: str = ""


class Tenants:
    """The tenants of one protocol, each an endless loop that ends with the run."""

    def __init__(
        self, protocol: hq.HyperFabricProtocol, plan: hq.Plan, memories: Memories, until_ns: float, seed: int
    ) -> None:
        """Make room for what happens between a fifth of ``until_ns``, when queues have formed, and ``until_ns``."""
        self.protocol, self.plan, self.memories = protocol, plan, memories
        self.from_ns, self.until_ns, self.seed, self.run = until_ns / 5, until_ns, seed, Run()

    @property
    def open(self) -> bool:
        """Whether there is time for more."""
        return self.protocol.now_ns < self.until_ns

    @property
    def counts(self) -> bool:
        """Whether what begins now counts."""
        return self.protocol.now_ns >= self.from_ns

    async def circuit(self) -> None:
        """Run shot after shot of the partitioned circuit."""
        player, gaps = Player(self.protocol, self.plan), stream(self.seed, "circuit")
        while self.open:
            counts, shot = self.counts, await player.shot()
            if counts:
                self.run.shots.append(shot)
            await self.protocol.sleep_ns(gaps.exponential(SHOT_GAP_NS))

    async def qec(self, block: str) -> None:
        """Keep a logical qubit in memory, again and again."""
        gaps = stream(self.seed, "qec", block)
        while self.open:
            counts, memory = self.counts, await self.memories.play(self.protocol, block, "decoder")
            if counts:
                self.run.memories.append(memory)
            await self.protocol.sleep_ns(gaps.exponential(MEMORY_GAP_NS))

    async def training(self) -> None:
        """Compute, then add the gradients of all GPUs up, again and again."""
        while self.open:
            counts, begun = self.counts, self.protocol.now_ns
            await self.protocol.sleep_ns(COMPUTE_NS)
            gradient = hq.VirtualTensor((GRADIENT_BYTES,), "uint8")
            await self.protocol.all_reduce(GPUS, gradient, algorithm="ring")
            if counts:
                self.run.steps_ns.append(self.protocol.now_ns - begun)

    async def qkd(self, detector: int) -> None:
        """Measure pair after pair for keys, and tell the bases now and then."""
        gaps = stream(self.seed, "qkd", detector)
        for number in range(1, 1 << 30):
            await self.protocol.sleep_ns(gaps.exponential(REARM_NS))
            if not self.open:
                return
            counts = self.counts
            (pair,) = await self.protocol.entangle("west", "east", fidelity=KEY_FIDELITY, keep=False, priority="bulk")
            if counts:
                self.run.key_weights.append(pair.weights)
            if number % SIFTED_TOGETHER == 0:
                for source, destination in (("west", "east"), ("east", "west")):
                    await self.protocol.send_data(
                        source=source, destination=destination, data=bytes(SIFTED_TOGETHER // 4), data_type="key"
                    )

    async def tensors(self, source: str, destination: str, load: float) -> None:
        """Send tensors of others at random times, so that they alone would fill ``load`` of the fibre."""
        gaps, under_way = stream(self.seed, "tensors", source), []
        while self.open:
            await self.protocol.sleep_ns(gaps.exponential(TENSOR_BYTES * 8 / GBPS / load))
            tensor = hq.VirtualTensor((TENSOR_BYTES,), "uint8")
            send = self.protocol.send_data(source=source, destination=destination, data=tensor, data_type="tensor")
            under_way.append(asyncio.ensure_future(send))
        await asyncio.gather(*under_way)

    async def play(self, load: float, off: str) -> Run:
        """Return what happened when all but ``off`` had the fabric together, until the last of them was through."""
        loops = []
        if off != "circuit":
            loops.append(self.circuit())
        if off != "qec":
            loops += [self.qec("block-0"), self.qec("block-1")]
        if off != "training":
            loops.append(self.training())
        if off != "qkd":
            loops += [self.qkd(each) for each in range(DETECTORS)]
        if load:
            loops += [self.tensors("west", "east", load), self.tensors("east", "west", load)]
        await asyncio.gather(*loops)
        self.reconcile()
        return self.run

    def reconcile(self) -> None:
        """Note what the ledger of pairs and the log of messages say at the end."""
        balance, log, run = self.protocol.ledger.balance, self.protocol.timeline, self.run
        used = balance.ended.get(hq.entanglement.Fate.CONSUMED, 0)
        expired = sum(balance.ended.values()) - used
        run.pairs = {"made": balance.heralded, "used": used, "expired": expired, "left": balance.held}
        arrived = {each.message for each in log.deliveries}
        messages = [each for each in log.submissions if not each.grain]  # those with a grain are attempts at pairs
        run.sent = sum(each.nbytes for each in messages)
        run.delivered = sum(each.nbytes for each in messages if each.message in arrived)
        run.digest = log.digest


# ------------------------------------------------------------------------------------------------------------- figures


@cache
def setting() -> tuple[hq.Plan, Memories]:
    """Return the plan of the circuit, an Ising chain over both sites, and memories of distance 3; made once."""
    plan = hq.plan(hq.families.ising(3, steps=2, time_step=0.4), fabric(), seed=1)
    return plan, Memories(hq.qec.rotated_surface_code(3, 9, p=0.002), decode_ns=1000.0)


def measured(policy: str, load: float, off: str, until_ms: float, seeds: int) -> Point:
    """Return the figures of ``seeds`` runs; the same seeds mean the same luck for each tenant in every point."""
    plan, memories = setting()

    async def main(seed: int) -> Run:
        protocol = hq.HyperFabricProtocol(fabric(), policy=POLICIES[policy], keep_events=None, seed=seed)
        return await Tenants(protocol, plan, memories, 1e6 * until_ms, seed).play(load, off)

    runs = [hq.run(main(seed)) for seed in range(seeds)]
    figures: dict[str, list[float]] = {}
    if off != "circuit":
        figures["circuit_fidelity"] = [float(np.mean([each.fidelity for each in run.shots])) for run in runs]
    if off != "qec":
        waits = float(np.mean([memories.wait_rounds(each) for run in runs for each in run.memories]))
        shots = round(ROUNDS * until_ms / (memories.rounds + waits) / seeds)
        found = [memories.failures(run.memories, shots, seed=seed).failure for seed, run in enumerate(runs)]
        figures["errors_per_round"] = [per_round(each.value, memories.rounds) for each in found]
    if off != "training":
        figures["step_ms"] = [float(np.mean(run.steps_ns)) / 1e6 for run in runs]
    if off != "qkd":
        figures["key_bits_per_s"] = [key_rate(run.key_weights, until_ms * 0.8e-3) for run in runs]
    return Point(
        policy=policy,
        load=load,
        off=off,
        figures=figures,
        pairs={name: sum(run.pairs[name] for run in runs) for name in runs[0].pairs},
        bytes_sent=sum(run.sent for run in runs),
        bytes_delivered=sum(run.delivered for run in runs),
        digests=tuple(run.digest for run in runs),
    )


def main() -> None:
    """Print the tables; write and draw them where asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="two policies and loads, two short runs each")
    parser.add_argument("--until-ms", type=float, default=8.0, help="virtual time of a run (default: 8)")
    parser.add_argument("--seeds", type=int, default=5, help="runs of each point (default: 5)")
    parser.add_argument("--workers", type=int, default=2, help="processes; they change no number (default: 2)")
    parser.add_argument("--csv", type=Path)
    parser.add_argument("--png", type=Path)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    policies, loads, off, compared = tuple(POLICIES), LOADS, TENANTS, COMPARED
    if asked.quick:
        policies, loads, off, compared = ("fifo", "fabric"), (0.0, 0.8), ("training",), 0.8
        asked.until_ms, asked.seeds, asked.workers = 1.5, 2, 1
    points = [(policy, load, "") for policy in policies for load in loads]
    points += [(policy, compared, tenant) for policy in policies for tenant in off]
    jobs = [(*point, asked.until_ms, asked.seeds) for point in points]
    if asked.workers > 1:
        with ProcessPoolExecutor(asked.workers, mp_context=get_context("spawn")) as pool:
            rows = rows_of(list(pool.map(measured, *zip(*jobs, strict=True))))
    else:
        rows = rows_of([measured(*job) for job in jobs])
    if asked.csv:
        written(rows, asked.csv)
    if asked.png:
        draw(rows, asked.png)
    print(json.dumps(rows) if asked.json else told(rows))


if __name__ == "__main__":
    main()
