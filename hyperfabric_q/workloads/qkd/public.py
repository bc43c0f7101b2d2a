"""Quantum key distribution over a fabric: keys from the Bell pairs that gates draw on, or a refusal that says why.

    import hyperfabric_q as hq

    report = hq.qkd.simulate(0.97, 100_000, seed=1)
    link = hq.qkd.QkdLink(protocol, "alice", "bob")
    report = await link.distil(20_000)

Names load on first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hyperfabric_q.registry import on_first_use

if TYPE_CHECKING:
    from hyperfabric_q.workloads.qkd.attacks import Attack, attack, attacks
    from hyperfabric_q.workloads.qkd.authentication import AuthenticationKeys
    from hyperfabric_q.workloads.qkd.cascade import FEWEST_MESSAGES, LEAST_LEAK, Schedule, cascade
    from hyperfabric_q.workloads.qkd.finite_key import foretell, secret_bits
    from hyperfabric_q.workloads.qkd.key_report import KeyReport, SecurityLedger
    from hyperfabric_q.workloads.qkd.pairs import LinkReport, QkdLink
    from hyperfabric_q.workloads.qkd.rates import (
        asymptotic_rate,
        chsh,
        error_rates,
        largest_error,
        least_fidelity,
        werner_error,
        werner_rate,
    )
    from hyperfabric_q.workloads.qkd.sampling import Measured, chsh_sample, measure
    from hyperfabric_q.workloads.qkd.session import Settings, distil
    from hyperfabric_q.workloads.qkd.simulated import simulate
    from hyperfabric_q.workloads.qkd.store import KeyStore
    from hyperfabric_q.workloads.qkd.toeplitz import toeplitz_hash

__all__ = [
    "FEWEST_MESSAGES",
    "LEAST_LEAK",
    "Attack",
    "AuthenticationKeys",
    "KeyReport",
    "KeyStore",
    "LinkReport",
    "Measured",
    "QkdLink",
    "Schedule",
    "SecurityLedger",
    "Settings",
    "asymptotic_rate",
    "attack",
    "attacks",
    "cascade",
    "chsh",
    "chsh_sample",
    "distil",
    "error_rates",
    "foretell",
    "largest_error",
    "least_fidelity",
    "measure",
    "secret_bits",
    "simulate",
    "toeplitz_hash",
    "werner_error",
    "werner_rate",
]

_NAMES_OF = {
    "attacks": ("Attack", "attack", "attacks"),
    "authentication": ("AuthenticationKeys",),
    "cascade": ("FEWEST_MESSAGES", "LEAST_LEAK", "Schedule", "cascade"),
    "finite_key": ("foretell", "secret_bits"),
    "key_report": ("KeyReport", "SecurityLedger"),
    "pairs": ("LinkReport", "QkdLink"),
    "rates": (
        "asymptotic_rate",
        "chsh",
        "error_rates",
        "largest_error",
        "least_fidelity",
        "werner_error",
        "werner_rate",
    ),
    "sampling": ("Measured", "chsh_sample", "measure"),
    "session": ("Settings", "distil"),
    "simulated": ("simulate",),
    "store": ("KeyStore",),
    "toeplitz": ("toeplitz_hash",),
}

if not TYPE_CHECKING:  # hidden from mypy, which would otherwise accept any name
    __getattr__, __dir__ = on_first_use(
        __name__, {name: f"{module}:{name}" for module, names in _NAMES_OF.items() for name in names}
    )
