"""Ten blocks send their syndromes to one processor, which decodes them and sends corrections back, cycle after cycle.

The noise of a round follows from how long its qubits waited on the clock of the fabric: after a millisecond a qubit of
50 us has forgotten everything, after a microsecond nearly nothing. Run it from anywhere:
``python examples/error_correction.py``; ``--cycle-us`` chooses another cycle, ``--size small`` is a quick look.
``hyperfabric-q scenario error_correction`` also finds out which cycles work.
"""

from __future__ import annotations

import argparse
import asyncio
import json

import hyperfabric_q as hq
from hyperfabric_q import scenarios
from hyperfabric_q.scenarios.error_correction.pieces import blocks

BLOCKS = 10
SIZES = {"small": 28, "full": 280}
"""Cycles; a memory of the blocks is read out after 14 of them."""


async def correct(cycles: int, cycle_us: float) -> dict:
    """Let the loop go round and return how the logical qubits fared."""
    protocol = hq.HyperFabricProtocol(enable_quantum_optimization=True)
    protocol.register_node(
        hq.NodeSignature("error-correction-processor", hq.HardwareType.CPU_SERVER, bandwidth_gbps=100, latency_ns=25)
    )
    for number in range(BLOCKS):
        node = hq.NodeSignature(
            node_id=f"qec-block-{number:02d}",
            hardware_type=hq.HardwareType.QUANTUM_QPU,
            bandwidth_gbps=5,
            latency_ns=25,
            quantum_coherence_time_us=50.0,
            metadata={"logical_qubits": 10, "physical_qubits": 1000},
        )
        protocol.register_node(node)

    latest, late = 0.0, 0
    for cycle in range(1, cycles + 1):
        syndromes = [
            protocol.send_data(
                source=f"qec-block-{number:02d}",
                destination="error-correction-processor",
                data=scenarios.measure_syndrome_data(),  # blocks take turns
                data_type=hq.DataType.SYNDROME,
                priority=hq.PacketPriority.ULTRA_HIGH,
                latency_constraint_ns=10_000,
            )
            for number in range(BLOCKS)
        ]
        received = await asyncio.gather(*syndromes)
        latest = max(latest, *(each.latency_ns for each in received))
        late += sum(not each.constraint_met for each in received)
        corrections = [
            protocol.send_data(
                source="error-correction-processor",
                destination=f"qec-block-{correction.block_id:02d}",
                data=scenarios.serialize_corrections(correction),
                data_type=hq.DataType.CORRECTION,
                priority=hq.PacketPriority.ULTRA_HIGH,
            )
            for correction in scenarios.calculate_error_corrections(received)
        ]
        await asyncio.gather(*corrections)
        await protocol.sleep_ns(max(0.0, 1000 * cycle * cycle_us - protocol.now_ns))

    logical = blocks()
    return {
        "cycles": cycles,
        "cycle_us": protocol.now_ns / 1000 / cycles,
        "late": late,
        "slowest_syndrome_us": latest / 1000,
        "memories": logical.judged,
        "wrong": logical.wrong,
        "failure": logical.failure.value,
        "stderr": logical.failure.stderr,
    }


def main() -> None:
    """Print how many logical values survived."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", choices=SIZES, default="full", help="28 or 280 cycles")
    parser.add_argument("--cycle-us", type=float, default=1000.0, help="from round to round (default: 1000)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    asked = parser.parse_args()
    with scenarios.world(seed=asked.seed):
        found = hq.run(correct(SIZES[asked.size], asked.cycle_us))
    if asked.json:
        print(json.dumps(found))
        return
    print(f"{found['cycles']} cycles of {found['cycle_us']:g} us, {found['late']} syndromes late")
    print(f"{found['wrong']} of {found['memories']} logical values were lost")


if __name__ == "__main__":
    main()
