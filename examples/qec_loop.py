"""Ten logical qubits stream their syndromes to an error-correction processor, beside gradients on the same link.

Every frame is a real one: 24 bytes of header, 32 of queue record, and the detection events of its round, which the
processor decodes as they come in. Run it from anywhere: ``python examples/qec_loop.py``; ``--fifo`` lets everything
wait its turn, ``--cycle-us`` slows the rounds down, ``--size small`` is a quick look.
"""

from __future__ import annotations

import argparse
import asyncio
import json
from dataclasses import dataclass, field

import numpy as np

import hyperfabric_q as hq
import hyperfabric_q.workloads.qec.public as qec

PROCESSOR = "error-correction-processor"
GRADIENT_BYTES = 1 << 20
LINK_GBPS = 100.0
DEADLINE_NS = 10_000.0
SIZES = {"small": (3, 9), "full": (5, 60)}
"""Distance and rounds."""


@dataclass
class Processor:
    """Decodes the frames of all blocks in windows.

    Attributes:
        streams: one decoder per block.
        ledger: which frames of each block are in.
        decided: windows decided so far.
    """

    streams: list
    ledger: list = field(default_factory=list)
    decided: int = 0

    def receive(self, packet: hq.Packet) -> int:
        """Take a frame in, and answer how many rounds of its block are decided."""
        frame = qec.SyndromeFrame.from_bytes(packet.data)
        if str(self.ledger[frame.block_id].receive(frame, packet.arrived_ns)) in {"dup", "lost"}:
            return 0
        stream = self.streams[frame.block_id]
        bits = qec.unpack_bits(frame.bits, frame.count)
        self.decided += len(stream.push(frame.round, bits[None, :]))
        return stream.upto


def fabric(blocks: int) -> hq.Fabric:
    """Return QPUs and a GPU behind one switch, and the processor on its far side: all share the last link."""
    kinds = {f"block-{k}": hq.HardwareType.QUANTUM_QPU for k in range(blocks)}
    kinds |= {"gpu": hq.HardwareType.NVIDIA_H100, "switch": hq.HardwareType.CPU_SERVER}
    kinds[PROCESSOR] = hq.HardwareType.CPU_SERVER
    nodes = [hq.NodeSignature(name, kind, 4 * LINK_GBPS, 0.0, compute_units=1) for name, kind in kinds.items()]
    links = [
        hq.Link(name, "switch", bandwidth_gbps=LINK_GBPS if name == PROCESSOR else 4 * LINK_GBPS, latency_ns=100.0)
        for name in kinds
        if name != "switch"
    ]
    return hq.Fabric(nodes=tuple(nodes), links=tuple(links))


async def stream_block(protocol: hq.HyperFabricProtocol, number: int, rounds_of_bits: list, cycle_ns: float) -> list:
    """Send one frame per round, each when its round ends, whether or not the last one has arrived."""
    await protocol.sleep_ns(10.0 * number)
    sends = []
    for seq, bits in enumerate(rounds_of_bits):
        await protocol.sleep_ns(cycle_ns)
        now = protocol.now_ns
        frame = qec.SyndromeFrame(
            block_id=number,
            round=seq,
            seq=seq,
            t_emit_ns=now,
            deadline_ns=now + DEADLINE_NS,
            bits=qec.pack_bits(bits),
            count=len(bits),
        )
        send = protocol.send_data(
            source=f"block-{number}",
            destination=PROCESSOR,
            data=frame.to_bytes(),
            data_type="syndrome",
            latency_constraint_ns=DEADLINE_NS,
        )
        sends.append(asyncio.ensure_future(send))
    return await asyncio.gather(*sends)


async def gradients(protocol: hq.HyperFabricProtocol, load: float, rng: np.random.Generator) -> None:
    """Load the link with messages of 1 MiB at random times, until cancelled."""
    mean_ns = GRADIENT_BYTES * 8 / LINK_GBPS / load
    running = set()
    while True:
        data = hq.VirtualTensor((GRADIENT_BYTES,), "uint8")
        send = protocol.send_data(source="gpu", destination=PROCESSOR, data=data, data_type="gradient")
        running.add(asyncio.ensure_future(send))
        await protocol.sleep_ns(float(rng.exponential(mean_ns)))


async def loop(asked: argparse.Namespace) -> dict:
    """Run the loop and return its figures."""
    distance, rounds = SIZES[asked.size]
    experiment = qec.rotated_surface_code(distance, rounds, p=asked.p)
    sampler = experiment.circuit.compile_detector_sampler(seed=asked.seed)
    events, flips = sampler.sample(asked.blocks, separate_observables=True)
    model = experiment.circuit.detector_error_model(decompose_errors=True)
    compiled = qec.decoder("matching").compile(model, (distance, distance))
    of_round = [np.flatnonzero(experiment.detector_rounds == number) for number in range(rounds + 1)]

    protocol = hq.HyperFabricProtocol(fabric(asked.blocks), policy=hq.Policy(fifo=True) if asked.fifo else None)
    processor = Processor(
        streams=[compiled.stream(1) for _ in range(asked.blocks)],
        ledger=[qec.FrameLedger() for _ in range(asked.blocks)],
    )
    protocol.attach_handler(PROCESSOR, lambda packet: packet.data_type == "syndrome" and processor.receive(packet))
    background = None
    if asked.load:
        background = asyncio.ensure_future(gradients(protocol, asked.load, np.random.default_rng(asked.seed)))
        await protocol.sleep_ns(2e6)  # a queue has formed when the first round begins
    blocks = [
        stream_block(protocol, number, [events[number, those] for those in of_round], 1000 * asked.cycle_us)
        for number in range(asked.blocks)
    ]
    results = [each for sent in await asyncio.gather(*blocks) for each in sent]
    if background is not None:
        background.cancel()
    latencies = np.array([each.latency_ns for each in results]) / 1000
    p50, p99, worst = np.percentile(latencies, [50, 99, 100])
    wrong = sum(
        bool((stream.flips[0] != observed).any()) for stream, observed in zip(processor.streams, flips, strict=True)
    )
    return {
        "blocks": asked.blocks,
        "rounds": rounds,
        "policy": "fifo" if asked.fifo else "fabric",
        "load": asked.load,
        "frames": len(results),
        "missed": int(np.count_nonzero(latencies > DEADLINE_NS / 1000)),
        "p50_us": float(p50),
        "p99_us": float(p99),
        "max_us": float(worst),
        "windows": processor.decided,
        "logical_errors": wrong,
        "digest": protocol.digest(),
    }


def main() -> None:
    """Print how the frames fared, and what was decoded."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", choices=SIZES, default="full", help="distance 3 and 9 rounds, or 5 and 60")
    parser.add_argument("--blocks", type=int, default=10, help="logical qubits (default: 10)")
    parser.add_argument("--cycle-us", type=float, default=1.1, help="duration of a round (default: 1.1)")
    parser.add_argument("--load", type=float, default=0.8, help="share of the link that gradients take (default: 0.8)")
    parser.add_argument("--fifo", action="store_true", help="first come, first served, instead of the fabric's policy")
    parser.add_argument("--p", type=float, default=0.002, help="physical error rate (default: 0.002)")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    asked = parser.parse_args()
    found = hq.run(loop(asked))
    if asked.json:
        print(json.dumps(found))
        return
    print(f"{found['blocks']} blocks, {found['rounds']} rounds, link loaded to {found['load']:.0%}, {found['policy']}")
    print(
        f"{found['frames']} frames: p50 {found['p50_us']:.3f}, p99 {found['p99_us']:.3f}, max {found['max_us']:.3f} us"
    )
    print(f"{found['missed']} over {DEADLINE_NS / 1000:g} us")
    print(f"{found['windows']} windows decoded, {found['logical_errors']} of {found['blocks']} blocks wrong")


if __name__ == "__main__":
    main()
