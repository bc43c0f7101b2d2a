"""What a sealed model met on its way, as figures and verdicts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import hyperfabric_q as hq
from hyperfabric_q.errors import QuantumKeyUnavailable
from hyperfabric_q.scenarios.outcome import Figure, Verdict
from hyperfabric_q.scenarios.secure_sharing.keys import SharedKey
from hyperfabric_q.scenarios.secure_sharing.pieces import SealedModel
from hyperfabric_q.traffic.sealing import ONE_TIME_PAD, key_bits
from hyperfabric_q.workloads.qkd import public as qkd

if TYPE_CHECKING:
    from hyperfabric_q.scenarios.secure_sharing.run import Shared

LARGE_BYTES: Final = 350_000_000_000
STATED_BITS_PER_S: Final = 1e6
DAY_S: Final = 86_400
YEAR_S: Final = 31_557_600


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """The model on its way, the key of alice and bob and of the two other hops, and what was refused.

    Attributes:
        shared: the model.
        key: of alice and bob.
        hops: of server and alice, and of bob and client.
        wrong: share of the key states that arrived with the wrong bit.
        stranger: what came of sending to somebody who shares no key.
        pad: what came of asking for a one-time pad for 350 GB.
    """

    shared: Shared
    key: SharedKey
    hops: Sequence[SharedKey]
    wrong: float
    stranger: hq.TransferResult | QuantumKeyUnavailable
    pad: hq.TransferResult | QuantumKeyUnavailable

    @property
    def key_fidelity(self) -> float:
        """Fidelity of alice's and bob's pairs, as their test estimates it."""
        ledger = self.key.report.ledger
        return qkd.least_fidelity() if ledger is None else ledger.fidelity

    @property
    def epsilon(self) -> float:
        """Probability that any of the three keys is not what it should be."""
        return sum(each.report.ledger.eps for each in (self.key, *self.hops) if each.report.ledger is not None)


def figures_of(found: Found, model_bytes: int) -> tuple[Figure, ...]:
    """Return the figures of the keys, of the model and of the one-time pad."""
    report, test = found.key.report, found.key.report.test.estimate
    rate = found.key.bits / found.key.seconds
    pad_bits = key_bits(ONE_TIME_PAD, LARGE_BYTES)
    sent = found.shared.sent
    return (
        Figure(name="Bell pairs of alice and bob", value=report.pairs),
        Figure(name="error rate of the key", value=report.qber or 0.0, stderr=None if test is None else test.stderr),
        Figure(name="error rate of teleported key states", value=found.wrong, origin="computed"),
        Figure(name="key of alice and bob", value=found.key.bits, unit="bit"),
        Figure(name="key of server and alice", value=found.hops[0].bits, unit="bit"),
        Figure(name="key of bob and client", value=found.hops[1].bits, unit="bit"),
        Figure(name="parities told to correct errors", value=report.leak_bits, unit="bit"),
        Figure(name="failure probability of all three keys", value=found.epsilon, origin="bound"),
        Figure(name="session of alice and bob", value=found.key.seconds, unit="s"),
        Figure(name="rate of key", value=rate, unit="bit/s"),
        Figure(name="model", value=model_bytes, unit="B", origin="computed"),
        Figure(name="model on its way", value=_latency_us(sent), unit="us"),
        Figure(name="key for the model under AES-256-GCM", value=256, unit="bit", origin="stated"),
        Figure(name="large model", value=LARGE_BYTES / 1e9, unit="GB", origin="stated"),
        Figure(name="one-time pad for it", value=pad_bits, unit="bit", origin="computed"),
        Figure(name="making that pad at this rate", value=_years(pad_bits, rate), unit="year", origin="computed"),
        Figure(
            name="making that pad at 1 Mbit/s",
            value=pad_bits / STATED_BITS_PER_S / DAY_S,
            unit="day",
            origin="computed",
        ),
    )


def _years(bits: float, rate: float) -> float:
    return bits / rate / YEAR_S if rate else 0.0


def _latency_us(sent: hq.TransferResult | QuantumKeyUnavailable) -> float:
    return 0.0 if isinstance(sent, QuantumKeyUnavailable) else sent.latency_ns / 1e3


def verdicts_of(
    found: Found, plain: SealedModel, tapped: qkd.KeyReport, figures: Sequence[Figure], *, unchanged: bool
) -> tuple[Verdict, ...]:
    """Return what can be had and what cannot.

    Args:
        found: with quantum links.
        plain: the model as it was sealed on a fabric without them.
        tapped: a session under a full tap.
        figures: of all of that.
        unchanged: whether what the client opened is what the server has.
    """
    value = {each.name: each.value for each in figures}
    sent = found.shared.sent
    receipt = None if isinstance(sent, QuantumKeyUnavailable) else sent.receipt
    secured = found.shared.sealed.quantum_secured and receipt is not None and receipt.quantum_secured
    relays = () if receipt is None else receipt.trusted_nodes
    return (
        Verdict(
            asked="a model sealed with keys made of Bell pairs, and opened unchanged",
            holds=secured and unchanged,
            because=(
                str(sent)
                if receipt is None
                else f"{found.shared.sealed}; on its way {receipt.encryption} under {receipt.key_id}."
            ),
            remedy="" if secured else "More pairs, or better ones.",
        ),
        Verdict(
            asked="nobody but server and client can read it",
            holds=not relays,
            because=f"The key was relayed by {' and '.join(relays)}, who know it." if relays else "No key was relayed.",
            remedy="A quantum link between the two, or pairs swapped from end to end." if relays else "",
        ),
        Verdict(
            asked="the same to somebody who shares no key",
            holds=not isinstance(found.stranger, QuantumKeyUnavailable),
            because=str(found.stranger),
            remedy="A quantum link to one of the trusted nodes.",
        ),
        Verdict(
            asked="the same without quantum links",
            holds=plain.quantum_secured,
            because=f"The model went under a key of the operating system: {plain.reason}",
            remedy=plain.needed,
        ),
        *_limits(found, tapped, value),
    )


def _limits(found: Found, tapped: qkd.KeyReport, value: dict[str, float]) -> tuple[Verdict, ...]:
    """What no key, or no memory, is good enough for."""
    return (
        Verdict(
            asked="a one-time pad for 350 GB",
            holds=not isinstance(found.pad, QuantumKeyUnavailable),
            because=(
                f"{value['one-time pad for it']:.4g} bits take {value['making that pad at this rate']:.4g} years at "
                f"{value['rate of key']:.4g} bit/s, and {value['making that pad at 1 Mbit/s']:.3g} days at 1 Mbit/s."
            ),
            remedy="256 bits of key for AES-256-GCM: its secrecy is then that of the cipher, not of the pad.",
        ),
        Verdict(
            asked="a key though somebody measures every pair on its way",
            holds=not tapped.aborted,
            because=f"{value['error rate of the key under a full tap']:.1%} of the published bits are wrong.",
            remedy="None is handed out; from 11 % on nothing of it could be secret.",
        ),
        Verdict(
            asked="keys over 100 km with these memories",
            holds=value["secret share over 100 km"] > 0,
            because="While light tells of a pair its memories dephase, until nothing of a bit is secret.",
            remedy=(
                f"At most {value['farthest that these memories give a key']:.3g} km between trusted nodes, or memories "
                "that keep states for longer, or photons that are measured on arrival."
            ),
        ),
        Verdict(
            asked="encryption that nobody can ever break",
            holds=False,  # whatever is found: bounds are not zero, and ciphers are not pads
            because=(
                f"The keys fail with a probability of up to {found.epsilon:.2g}, AES-256 is hard to break rather than "
                "impossible, and each session begins with 512 bits of key that the ends must already share."
            ),
            remedy="A pad for what is small; for the rest a cipher with a fresh key for each message, as here.",
        ),
    )
