"""One chain in SeQUeNCe 1.x; prints one JSON object. Run by chain_vs_sequence.py in SeQUeNCe's own environment.

    PYTHON_OF_SEQUENCE benchmarks/entanglement/sequence_chain.py NODES MODE SECONDS [--ideal]

MODE is ``bell_diagonal`` or ``default``, which is what a network without a word on states gets: the ket formalism.
A request from one end of the chain to the other holds 4 memories per direction on every router. Every router has a Bell
measurement station halfway to its neighbour. CPU time is that of the run alone, without imports and set-up.

The formalism of states is told to SeQUeNCe in four places (time line, generation, swapping, stations), and all of them
have to agree, or no pair arrives.
"""

from __future__ import annotations

import itertools
import json
import sys
import time
from typing import Any

from sequence.app.request_app import RequestApp
from sequence.constants import BELL_DIAGONAL_STATE_FORMALISM, SECOND, SINGLE_HERALDED
from sequence.entanglement_management.generation import EntanglementGenerationA, EntanglementGenerationB
from sequence.entanglement_management.swapping import EntanglementSwappingA, EntanglementSwappingB
from sequence.topology.router_net_topo import RouterNetTopo

LENGTH_M = 10_000
ATTENUATION_DB_PER_M = 0.0002
DELAY_PS = 50_000_000
FIDELITY = 0.95
EFFICIENCY = 0.9
MEMORIES = 4
START_PS = SECOND // 10


class Counting(RequestApp):
    """Notes the fidelity of every pair that the initiator receives, and frees its memory."""

    def __init__(self, node: Any) -> None:
        super().__init__(node)
        self.fidelities: list[float] = []

    def get_memory(self, info: Any) -> None:
        before, found = self.memory_counter, float(info.fidelity)
        super().get_memory(info)
        if self.memory_counter > before:
            self.fidelities.append(found)


def config(nodes: int, mode: str, seconds: float) -> dict[str, Any]:
    names = [f"r{number}" for number in range(nodes)]
    detector = {"efficiency": EFFICIENCY, "dark_count": 0, "time_resolution": 150, "count_rate": 25_000_000}
    station: dict[str, Any] = {"SingleAtomBSM": {"detectors": [detector, detector]}}
    if mode == "bell_diagonal":
        station = {"encoding_type": "single_heralded", "SingleHeraldedBSM": {"detectors": [detector, detector]}}
    memory = {"fidelity": FIDELITY, "efficiency": EFFICIENCY, "coherence_time": 1, "frequency": 200_000_000}
    found: dict[str, Any] = {
        "templates": {"router": {"MemoryArray": memory}, "station": station},
        "stop_time": START_PS + round(seconds * SECOND),
        "nodes": [
            {
                "name": name,
                "type": "QuantumRouter",
                "seed": number,
                "template": "router",
                "memo_size": MEMORIES if number in {0, nodes - 1} else 2 * MEMORIES,
            }
            for number, name in enumerate(names)
        ],
        "qconnections": [
            {
                "node1": a,
                "node2": b,
                "attenuation": ATTENUATION_DB_PER_M,
                "distance": LENGTH_M,
                "type": "meet_in_the_middle",
                "seed": 100 + number,
                "template": "station",
            }
            for number, (a, b) in enumerate(itertools.pairwise(names))
        ],
        "cconnections": [
            {"node1": a, "node2": b, "delay": DELAY_PS * (names.index(b) - names.index(a))}
            for a in names
            for b in names
            if a < b
        ],
    }
    if mode == "bell_diagonal":
        found["formalism"] = BELL_DIAGONAL_STATE_FORMALISM
    return found


def main() -> None:
    nodes, mode, seconds = int(sys.argv[1]), sys.argv[2], float(sys.argv[3])
    if mode == "bell_diagonal":
        for generation in (EntanglementGenerationA, EntanglementGenerationB):
            generation.set_global_type(SINGLE_HERALDED)
        for swapping in (EntanglementSwappingA, EntanglementSwappingB):
            swapping.set_formalism(BELL_DIAGONAL_STATE_FORMALISM)
    network = RouterNetTopo(config(nodes, mode, seconds))
    routers = {each.name: each for each in network.nodes["QuantumRouter"]}
    first, last = routers["r0"], routers[f"r{nodes - 1}"]
    app, _ = Counting(first), RequestApp(last)
    timeline = network.tl
    timeline.init()
    app.start(last.name, START_PS, START_PS + round(seconds * SECOND), MEMORIES, 0.1)
    before = time.process_time()
    timeline.run()
    cpu = time.process_time() - before
    print(
        json.dumps(
            {
                "pairs": len(app.fidelities),
                "cpu_s": cpu,
                "fidelity": sum(app.fidelities) / max(1, len(app.fidelities)),
                "simulated_s": seconds,
                "events": timeline.run_counter,
            }
        )
    )


if __name__ == "__main__":
    main()
