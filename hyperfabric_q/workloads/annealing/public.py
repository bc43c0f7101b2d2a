"""Binary quadratic problems, and the annealers of a fabric that solve them.

    import hyperfabric_q as hq

    answer = hq.annealing.solve({("a", "a"): -1.0, ("a", "b"): 2.0, ("b", "b"): -1.0})
    print(answer.sample, answer.energy, answer.gap)

    protocol.attach_handler("annealer", hq.annealing.service(protocol.fabric.node("annealer")))
    receipt = await protocol.send_data(source="host", destination="annealer", data=bqm)
    print(receipt.response)

Names load on first use. ``hq.annealing`` is this module rather than the room around it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hyperfabric_q.registry import on_first_use

if TYPE_CHECKING:
    from hyperfabric_q.workloads.annealing.answers import Answer
    from hyperfabric_q.workloads.annealing.architecture_search import (
        Found,
        SearchSpace,
        Surrogate,
        decoded,
        fitted,
    )
    from hyperfabric_q.workloads.annealing.bounds import Bound, all_bounds, lower_bound
    from hyperfabric_q.workloads.annealing.constraints import Penalised, penalised, with_one_hot
    from hyperfabric_q.workloads.annealing.machines import Embedding, Machine, Times, machine_of
    from hyperfabric_q.workloads.annealing.problems import file_bytes, read_problem
    from hyperfabric_q.workloads.annealing.service import AnnealerService, service
    from hyperfabric_q.workloads.annealing.solvers import Asked, Solver, solvers
    from hyperfabric_q.workloads.annealing.solving import solve

__all__ = [
    "AnnealerService",
    "Answer",
    "Asked",
    "Bound",
    "Embedding",
    "Found",
    "Machine",
    "Penalised",
    "SearchSpace",
    "Solver",
    "Surrogate",
    "Times",
    "all_bounds",
    "decoded",
    "file_bytes",
    "fitted",
    "lower_bound",
    "machine_of",
    "penalised",
    "read_problem",
    "service",
    "solve",
    "solvers",
    "with_one_hot",
]

_NAMES_OF = {
    "answers": ("Answer",),
    "architecture_search": ("Found", "SearchSpace", "Surrogate", "decoded", "fitted"),
    "bounds": ("Bound", "all_bounds", "lower_bound"),
    "constraints": ("Penalised", "penalised", "with_one_hot"),
    "machines": ("Embedding", "Machine", "Times", "machine_of"),
    "problems": ("file_bytes", "read_problem"),
    "service": ("AnnealerService", "service"),
    "solvers": ("Asked", "Solver", "solvers"),
    "solving": ("solve",),
}

if not TYPE_CHECKING:  # hidden from mypy, which would otherwise accept any name
    _HOME = {name: f"{module}:{name}" for module, names in _NAMES_OF.items() for name in names}
    __getattr__, __dir__ = on_first_use(__name__, _HOME)
