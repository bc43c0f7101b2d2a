"""Ten blocks of logical qubits, their syndromes to one processor, and corrections back before the qubits forget."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final, cast

from hyperfabric_q import (
    DataType,
    HardwareType,
    HyperFabricProtocol,
    NodeSignature,
    PacketPriority,
    TransferResult,
    qec,
    run,
)
from hyperfabric_q.scenarios.catalogue import Size
from hyperfabric_q.scenarios.context import current_world
from hyperfabric_q.scenarios.error_correction.blocks import DEADLINE_NS, Blocks
from hyperfabric_q.scenarios.error_correction.report import Loop, figures_of, study, verdicts_of
from hyperfabric_q.scenarios.outcome import Outcome

__all__ = ["Blocks", "calculate_error_corrections", "measure_syndrome_data", "play", "serialize_corrections"]

STATE: Final = "error_correction"

PROCESSOR: Final = NodeSignature(
    "error-correction-processor", HardwareType.CPU_SERVER, bandwidth_gbps=100, latency_ns=25
)

ASKED_US: Final = 1000.0
"""The cycle that was asked for."""

SIZES: Final = {"small": (3, 5, 2000, 2), "full": (3, 7, 20_000, 20)}
"""Two distances to compare, of which the blocks have the larger; shots; memories of each logical qubit in the loop."""


def blocks() -> Blocks:
    """Return the blocks of this world: ten of ten logical qubits at distance 7, if nothing else was put there."""
    world = current_world()
    return world.state(STATE, lambda: Blocks(seed=world.seed))


def measure_syndrome_data(block: int | None = None) -> bytes:
    """Return the next round of a block as a ``qec.SyndromeFrame`` on the wire; its logical qubits stand side by side.

    The data qubits have waited since the block's last round, on the clock of the fabric, and have forgotten that much.

    Args:
        block: its number; None = blocks take turns.

    Raises:
        InvalidValue: there is no such block.
    """
    return blocks().measure(block)


def calculate_error_corrections(results: Sequence[bytes | TransferResult]) -> list[qec.CorrectionFrame]:
    """Return one correction for each frame, by number of the block: flips of the logical values that became known.

    Rounds are decoded by matching, in windows, as they come in; the processor sees from the frames how long a round
    takes. With the last round of a memory its values are compared with what really happened.

    Raises:
        InvalidValue: it is no syndrome frame.
    """
    frames = [each.value if isinstance(each, TransferResult) else each for each in results]
    return blocks().corrected(cast("Sequence[bytes]", frames))


def serialize_corrections(operations: qec.CorrectionFrame) -> bytes:
    """Return a correction as it goes over the wire: a header of 24 bytes and one bit for each logical qubit."""
    return operations.to_bytes()


async def _loop(cycles: int, *, sleep_us: float) -> Loop:
    mine = blocks()
    protocol = HyperFabricProtocol(enable_quantum_optimization=True)
    protocol.register_node(PROCESSOR)
    names = [f"qec-block-{number:02d}" for number in range(mine.blocks)]
    for name in names:
        node = NodeSignature(
            name, HardwareType.QUANTUM_QPU, bandwidth_gbps=5, latency_ns=25, quantum_coherence_time_us=50.0
        )
        protocol.register_node(node)
    up: list[TransferResult] = []
    down: list[TransferResult] = []
    for _ in range(cycles):
        seen = await asyncio.gather(
            *(
                protocol.send_data(
                    source=name,
                    destination=PROCESSOR.node_id,
                    data=measure_syndrome_data(number),
                    data_type=DataType.SYNDROME,
                    priority=PacketPriority.ULTRA_HIGH,
                    latency_constraint_ns=DEADLINE_NS,
                )
                for number, name in enumerate(names)
            )
        )
        corrections = calculate_error_corrections(seen)
        sent = await asyncio.gather(
            *(
                protocol.send_data(
                    source=PROCESSOR.node_id,
                    destination=names[each.block_id],
                    data=serialize_corrections(each),
                    data_type=DataType.CORRECTION,
                    priority=PacketPriority.ULTRA_HIGH,
                )
                for each in corrections
            )
        )
        up += seen
        down += sent
        await protocol.sleep_ns(1000 * sleep_us)
    return Loop(
        cycle_us=protocol.now_ns / 1000 / cycles,
        syndrome_us=max(each.latency_ns for each in up) / 1000,
        answer_us=max(each.latency_ns for each in down) / 1000,
        late=sum(not each.constraint_met for each in up),
        frames=len(up),
        failure=mine.failure,
    )


def _played(size: Size, sleep_us: float) -> Loop:
    """Return how a loop went, with blocks of its own."""
    world, (_, distance, _, memories) = current_world(), SIZES[size]
    mine = Blocks(seed=world.seed, distance=distance)
    world.replace_state(STATE, mine)
    return run(_loop(memories * mine.rounds, sleep_us=sleep_us))


def play(*, size: Size) -> Outcome:
    """Return how error correction fares in the cycle that was asked for, which cycles work, and the loop in one."""
    few, many, shots, _ = SIZES[size]
    asked, mine = _played(size, ASKED_US), blocks()
    found = study(mine, asked_us=ASKED_US, smaller=few, shots=shots)
    trip_us = asked.cycle_us - ASKED_US
    works = _played(size, max(0.0, found.works_us - trip_us))
    figures = figures_of(found, asked, works)
    return Outcome(
        scenario="error_correction",
        size=size,
        seed=current_world().seed,
        figures=figures,
        verdicts=verdicts_of(found, asked, works),
        notes=(
            "T1 = T2 = the coherence time; waiting is Pauli-twirled, gates take no time of their own",
            f"a memory of the loop has {mine.rounds} rounds, one of the study {many}; both are decoded by matching",
            "a correction changes the Pauli frame: rounds do not wait for it, and decoding takes no virtual time",
            f"{PROCESSOR.node_id} is assumed to have {PROCESSOR.bandwidth_gbps:g} Gb/s",
        ),
    )
