"""Cut finding: overhead, bound and seconds of ours beside the find_cuts of qiskit-addon-cutting, in one run.

    .venv/bin/python benchmarks/cutting/finder.py [--small] [--limit SECONDS] [--addon PYTHON_OF_THE_ADDON]

benchmarks/peers/addon_cutting.txt says how the addon is installed. Writes finder.csv beside this file.

Every circuit is to be cut so that no part is wider than ``width``; gates and wires may be cut. ``separate`` is the
overhead gamma² with every gate cut for itself, which is how the addon prices cuts: ours is the least of that kind that
was found, with what no cuts go below (``bound``) and whether both meet (``proven``). ``joint`` is the least price with
the gates between one pair of parts cut together (2 Π s - 1), which the addon does not know, with its own bound. Each
of the two is one call with the default budget, in CPU seconds; compiled code is loaded before.

The addon runs with its defaults and seed 111 in a process that is ended after --limit seconds: "none" is no answer by
then, and "-" was not run, since a smaller circuit of that kind has had none.
"""

from __future__ import annotations

import argparse
import csv
import time
from pathlib import Path
from typing import Any, NamedTuple

import addon
from problems import ansatz, cx_ring, qaoa_regular, qaoa_ring
from qiskit import QuantumCircuit

from hyperfabric_q.cutting.finder import Found, find_cuts

HERE = Path(__file__).parent


class Problem(NamedTuple):
    name: str
    circuit: QuantumCircuit
    width: int
    addon: bool = True


def problems() -> list[Problem]:
    found = [Problem(f"ansatz_1_{n}", ansatz(n, 1), n // 2) for n in (20, 50, 100, 200)]
    found += [Problem(f"ansatz_2_{n}", ansatz(n, 2), n // 2) for n in (20, 50)]
    found += [Problem(f"cx_ring_{n}", cx_ring(n), n // 2) for n in (20, 50, 100)]
    found += [Problem(f"qaoa_ring_{n}", qaoa_ring(n), n // 2) for n in (100, 200)]
    found += [Problem("qaoa_ring_30", qaoa_ring(30), 10), Problem("qaoa_ring_2_20", qaoa_ring(20, 2), 10)]
    found += [Problem("qaoa_ring_2_50", qaoa_ring(50, 2), 25), Problem("qaoa_ring_100", qaoa_ring(100), 20)]
    found += [Problem(f"regular_{n}", qaoa_regular(n), n // 2) for n in (12, 20, 30)]
    return found + [Problem(f"regular_{n}", qaoa_regular(n), n // 2, addon=False) for n in (50, 100, 200)]


def timed(problem: Problem, *, jointly: bool) -> tuple[Found, float]:
    before = time.process_time()
    found = find_cuts(problem.circuit, problem.width, jointly=jointly)
    return found, time.process_time() - before


def ours(problem: Problem) -> dict[str, Any]:
    found, seconds = timed(problem, jointly=False)
    together, joint_seconds = timed(problem, jointly=True)
    return {
        "circuit": problem.name,
        "two_qubit_gates": sum(len(each.qubits) == 2 for each in problem.circuit.data),
        "width": problem.width,
        "cuts": len(found.gate_cuts) + len(found.wire_cuts),
        "parts": found.assignment.parts,
        "separate": f"{found.overhead:.5g}",
        "bound": f"{found.bound:.5g}",
        "proven": found.optimal,
        "cpu_s": f"{seconds:.2f}",
        "joint_cuts": len(together.gate_cuts) + len(together.wire_cuts),
        "joint": f"{together.overhead:.5g}",
        "joint_bound": f"{together.bound:.5g}",
        "joint_proven": together.optimal,
        "joint_cpu_s": f"{joint_seconds:.2f}",
    }


def theirs(problem: Problem, interpreter: str, limit: float) -> dict[str, Any]:
    names = ("addon_cuts", "addon_separate", "addon_proven", "addon_cpu_s")
    if not problem.addon:
        return dict.fromkeys(names, "-")
    found = addon.ask(interpreter, "find", problem.circuit, limit_s=limit, width=problem.width)
    if found is None:
        return dict.fromkeys(names, "none")
    figures = (found["cuts"], f"{found['overhead']:.5g}", found["proven"], f"{found['cpu_s']:.2f}")
    return dict(zip(names, figures, strict=True))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--small", action="store_true", help="three small circuits; writes nothing")
    parser.add_argument("--limit", type=float, default=60.0, help="wall seconds that the addon has for one circuit")
    parser.add_argument("--addon", help="Python of the environment that holds qiskit-addon-cutting")
    options = parser.parse_args()
    interpreter = addon.python(options.addon)
    find_cuts(ansatz(8, 1), 4)
    rows = []
    for problem in [each for each in problems() if not options.small or each.name in SMALL]:
        rows.append({**ours(problem), **theirs(problem, interpreter, options.limit)})
        print("  ".join(f"{value!s:>10}" for value in rows[-1].values()), flush=True)
    if not options.small:
        with (HERE / "finder.csv").open("w", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)


SMALL = frozenset({"ansatz_1_20", "ansatz_2_20", "regular_12"})


if __name__ == "__main__":
    main()
