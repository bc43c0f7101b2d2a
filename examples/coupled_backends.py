"""Two backends whose qubits are coupled in a grid: where the SWAPs go, and what each backend runs."""

from __future__ import annotations

from qiskit.providers.fake_provider import GenericBackendV2
from qiskit.transpiler import CouplingMap

import hyperfabric_q as hq

GRID = CouplingMap.from_grid(2, 4)


def main() -> None:
    """Plan a QAOA over both, and compare the plan of fewest e-bits with the one of best fidelity."""
    backends = [GenericBackendV2(8, coupling_map=GRID, seed=seed, control_flow=True) for seed in (1, 2)]
    # The right edge of the first chip faces the left edge of the second.
    fabric = hq.Fabric.from_backends(backends, "line", link="ideal", communication_qubits=[[3, 7], [0, 4]])
    fabric = fabric.replace("links.*", pair_fidelity=0.97, pair_rate_hz=1e6)
    circuit = hq.families.generate("qaoa_3regular", qubits=10, seed=1)
    for objective in ("ebits", "fidelity"):
        plan = hq.plan(circuit, fabric, objective=objective, time_limit_s=1, seed=1)
        table = plan.schedule()
        swaps = ", ".join(f"{count} on {node}" for node, count in plan.swaps.items())
        lost = float(table.infidelity)
        print(f"{objective}: {plan.ebits} e-bits, SWAPs: {swaps}; {plan.equivalent}; infidelity {lost:.2f}")
    native = plan.native()
    print(f"In the gates of the backends: {dict(native.circuit.count_ops())}")


if __name__ == "__main__":
    main()
