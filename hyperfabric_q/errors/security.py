"""A key or a sealed message that must not be used."""

from __future__ import annotations

from dataclasses import dataclass

from hyperfabric_q.errors.base import HyperFabricError


@dataclass(eq=False, kw_only=True)
class SecurityRefused(HyperFabricError):
    """A key or a sealed message that must not be used; it never carries key bytes or plaintext."""

    what: str
    reason: str
    remedy: str = ""

    def __str__(self) -> str:
        end = f" {self.remedy}" if self.remedy else ""
        return f"{self.what}: {self.reason}.{end}"


@dataclass(eq=False, kw_only=True)
class SealBroken(SecurityRefused):
    """A sealed message whose header or content is not what was sealed, or that another key sealed."""


@dataclass(eq=False, kw_only=True)
class ReplayRejected(SecurityRefused):
    """A sealed message that was opened before, or that is older than the replay window remembers."""


@dataclass(eq=False, kw_only=True)
class KeySpent(SecurityRefused):
    """A key that was released, has sealed as much as it may, or is bound to another purpose."""


@dataclass(eq=False, kw_only=True)
class IsolationViolated(SecurityRefused):
    """A transfer that a zone's isolation forbids, with the two ends and the zone."""

    source: str
    destination: str
    zone: str


@dataclass(eq=False, kw_only=True)
class QuantumKeyUnavailable(SecurityRefused):
    """Two nodes that share too little key from quantum key distribution; ``tried`` is every way that was looked at."""

    source: str
    destination: str
    tried: tuple[str, ...] = ()

    def __str__(self) -> str:
        tried = f" Tried: {'; '.join(self.tried)}." if self.tried else ""
        end = f" {self.remedy}" if self.remedy else ""
        return f"{self.what}: {self.reason}.{tried}{end}"


@dataclass(eq=False, kw_only=True)
class InsufficientKey(SecurityRefused):
    """A distillation that gave no key which may be used; ``missing_bits`` is by how much it fell short, if it did."""

    missing_bits: int | None = None
