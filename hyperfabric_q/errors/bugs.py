"""Our bug, please report it."""

from __future__ import annotations

from dataclasses import dataclass

from hyperfabric_q.errors.base import HyperFabricError


@dataclass(eq=False, kw_only=True)
class InternalError(HyperFabricError):
    """A broken promise of ours."""

    what: str
    seed: int | None = None

    def __str__(self) -> str:
        seed = f" (seed {self.seed})" if self.seed is not None else ""
        return f"{self.what}{seed}. This is a bug in hyperfabric_q: please report it with the circuit, fabric and seed."


@dataclass(eq=False, kw_only=True)
class VerificationFailed(InternalError):
    """The emitted circuit does not do what the original does, or its count differs from the plan."""
