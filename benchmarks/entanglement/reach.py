"""What 99.9 % over 1, 2, 4 and 8 hops takes, beside reference values that were computed independently and rounded.

    .venv/bin/python benchmarks/entanglement/reach.py

Writes reach.csv beside this file. Raw pairs are Werner states of fidelity 0.95; "gate error" is the parameter of the
two-qubit depolarising channel, "readout error" the probability of a wrong bit. The reference purifies with the errors
in the order in which they come; this package may permute them before each round, which is never worse. Both are shown:
"deviation" compares like with like, "gain" is what permuting adds.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hyperfabric_q.entanglement.purification_schedules import nested
from hyperfabric_q.entanglement.reach import reach
from hyperfabric_q.entanglement.state import fidelity, werner
from hyperfabric_q.entanglement.swap import chain, swap
from hyperfabric_q.errors import FidelityUnreachable

HERE = Path(__file__).parent
ASKED = 0.999
ROUNDS = 40


@dataclass(frozen=True)
class Reference:
    gate_error: float
    readout_error: float
    quantity: str
    hops: int
    value: str  # as written, so that its last digit says how far it was rounded


REFERENCE = [
    *(Reference(0, 0, "fidelity", hops, value) for hops, value in ((2, "0.999815"), (4, "0.99963"), (8, "0.99926"))),
    *(Reference(0, 0, "raw pairs", hops, value) for hops, value in ((1, "9.2"), (4, "36.9"), (8, "73.7"))),
    Reference(1e-4, 1e-4, "link ceiling", 1, "0.999875"),
    Reference(1e-4, 1e-4, "infidelity of a swap", 2, "2.7e-4"),
    *(Reference(1e-4, 1e-4, "fidelity", hops, value) for hops, value in ((1, "0.99976"), (2, "0.99924"))),
    *(Reference(1e-4, 1e-4, "raw pairs", hops, value) for hops, value in ((1, "9.2"), (2, "18.4"))),
    *(Reference(1e-4, 1e-4, "best fidelity", hops, value) for hops, value in ((4, "0.99868"), (8, "0.9971"))),
    Reference(1e-3, 1e-3, "link ceiling", 1, "0.998736"),
    Reference(1e-3, 1e-3, "infidelity of a swap", 2, "2.7e-3"),
    *(Reference(1e-3, 1e-3, "best fidelity", h, value) for h, value in ((2, "0.9947"), (4, "0.9868"), (8, "0.971"))),
    Reference(5e-3, 3e-3, "link ceiling", 1, "0.99349"),
    Reference(5e-3, 3e-3, "infidelity of a swap", 2, "9.7e-3"),
    *(Reference(5e-3, 3e-3, "best fidelity", h, value) for h, value in ((2, "0.9775"), (4, "0.9466"), (8, "0.889"))),
]


def found(row: Reference, *, permute: bool) -> float:
    """The quantity, from purification and swap alone; not from ``reach``, which is compared with it."""
    gate, readout = row.gate_error, row.readout_error
    if row.quantity == "infidelity of a swap":
        return 1 - float(fidelity(swap([1] * 3, [1] * 3, depolarising=gate, readout_x=readout, readout_z=readout)))
    stages = nested(werner(0.95), ROUNDS, depolarising=gate, readout_error=readout, permute=permute)
    links = np.stack([np.repeat(stage.correlators[None], row.hops, axis=0) for stage in stages])
    ends = fidelity(chain(links, depolarising=gate, readout_x=readout, readout_z=readout))
    if row.quantity in {"link ceiling", "best fidelity"}:
        return float(ends.max())
    first = int(np.argmax(ends >= ASKED))
    return float(ends[first]) if row.quantity == "fidelity" else row.hops * float(stages[first].raw_pairs)


def half_digit(value: str) -> float:
    """Half of the last digit that ``value`` shows."""
    mantissa, _, exponent = value.partition("e")
    return 0.5 * 10.0 ** (int(exponent or 0) - len(mantissa.partition(".")[2]))


def answer(row: Reference) -> str:
    """What ``reach`` says."""
    try:
        got = reach(ASKED, row.hops, gate_error=row.gate_error, readout_error=row.readout_error)
    except FidelityUnreachable as fault:
        return f"no: {fault.reason}"
    return f"{got.rounds} rounds, {got.raw_pairs:.2f} raw pairs, {got.fidelity:.6f}"


def main() -> None:
    rows = []
    for row in REFERENCE:
        plain, permuted = found(row, permute=False), found(row, permute=True)
        deviation = plain - float(row.value)
        rows.append(
            {
                "gate_error": row.gate_error,
                "readout_error": row.readout_error,
                "hops": row.hops,
                "quantity": row.quantity,
                "reference": row.value,
                "plain": f"{plain:.7g}",
                "deviation": f"{deviation:+.1e}",
                "explained_by_rounding": abs(deviation) <= 1.0001 * half_digit(row.value),
                "permuted": f"{permuted:.7g}",
                "gain": f"{permuted - plain:+.1e}",
                "reach": answer(row),
            }
        )
        print("  ".join(f"{value!s:>12}" for value in list(rows[-1].values())[:-1]), " ", rows[-1]["reach"])
    off = [f"{row['quantity']} over {row['hops']}" for row in rows if not row["explained_by_rounding"]]
    print(f"{len(rows) - len(off)} of {len(rows)} agree to the last digit shown; not: {', '.join(off) or 'none'}")
    with (HERE / "reach.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    main()
