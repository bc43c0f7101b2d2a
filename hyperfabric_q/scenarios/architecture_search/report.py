"""What a search found, as figures and verdicts."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

import hyperfabric_q as hq
from hyperfabric_q.errors import ProblemTooLarge
from hyperfabric_q.estimate import Estimate
from hyperfabric_q.scenarios.architecture_search.pieces import ChosenArchitecture
from hyperfabric_q.scenarios.outcome import Figure, Verdict
from hyperfabric_q.workloads.annealing import public as annealing

ADDITIONS_PER_S: Final = 1e9
SIGMAS: Final = 2.0
ROUNDING: Final = 1e-6

DIGITS: Final = 6
"""After the point, of energies: what lies beyond depends on how many threads add numbers up."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Found:
    """What a search found.

    Attributes:
        space: of architectures.
        model: the last model of their scores.
        chosen: by each round of annealing.
        sent: the last problem on its way.
        clock_ms: all rounds on the fabric's clock.
        least: energy of the best of all architectures by the model, each looked at.
        measured: architectures that were drawn and trained.
        epochs: of these.
        scatter: of their log odds.
        architecture: the best that annealing chose.
        annealed: accuracy of it on fresh points, trained for long.
        drawn: the same of the best of those that were drawn.
        rivals: the same of some others, trained once each.
        most: options that are not too many for the annealer.
        refusal: of a problem that is too large for it.
    """

    space: annealing.SearchSpace
    model: annealing.Surrogate
    chosen: tuple[ChosenArchitecture, ...]
    sent: hq.TransferResult
    clock_ms: float
    least: float
    measured: int
    epochs: int
    scatter: float
    architecture: Mapping[str, Any]
    annealed: Estimate
    drawn: Estimate
    rivals: tuple[float, ...]
    most: int
    refusal: ProblemTooLarge | None

    @property
    def last(self) -> annealing.Answer:
        """The answer of the last round."""
        return self.chosen[-1].answer

    @property
    def looking_ms(self) -> float:
        """What a processor takes to look at every architecture: its options and their pairs are added up."""
        decisions = len(self.space.decisions)
        return 1e3 * self.space.size * (decisions + math.comb(decisions, 2)) / ADDITIONS_PER_S

    @property
    def busy_ms(self) -> float:
        """What the annealer takes for one problem."""
        return 0.0 if self.last.times is None else self.last.times.total_ns / 1e6


def figures_of(found: Found) -> tuple[Figure, ...]:
    """Return the figures of the search, of the annealer, and of the networks."""
    answer = found.last
    embedding = answer.embedding
    return (
        Figure(name="architectures", value=found.space.size, origin="computed"),
        Figure(name="options", value=answer.variables, origin="computed"),
        Figure(name="couplings", value=answer.couplings, origin="computed"),
        Figure(name="trained before the first round", value=found.measured, origin="stated"),
        Figure(name="rounds of annealing", value=len(found.chosen), origin="stated"),
        Figure(name="log odds of these scatter by", value=found.scatter, origin="computed"),
        Figure(name="the last model errs by", value=round(found.model.error, DIGITS), origin="computed"),
        Figure(name="QUBO", value=found.sent.receipt.nbytes, unit="B", origin="computed"),
        Figure(name="QUBO on its way", value=found.sent.receipt.latency_ns / 1e3, unit="us"),
        Figure(name="annealer busy with one problem", value=found.busy_ms, unit="ms"),
        Figure(name="all rounds", value=found.clock_ms, unit="ms"),
        Figure(name="qubits that it takes at least", value=embedding.least_qubits if embedding else 0, origin="bound"),
        Figure(name="lowest energy found", value=round(answer.energy, DIGITS), origin="computed"),
        Figure(name="lowest energy of an architecture", value=round(found.least, DIGITS), origin="computed"),
        Figure(name="no energy is below", value=round(answer.bound, DIGITS), origin="bound"),
        Figure(name="reads that are architectures", value=answer.feasible_share, origin="computed"),
        Figure(name="reads of the lowest energy", value=answer.best_share, origin="computed"),
        Figure(
            name="accuracy, chosen by annealing",
            value=found.annealed.value,
            origin="computed",
            stderr=found.annealed.stderr,
        ),
        Figure(
            name="accuracy, best of those drawn", value=found.drawn.value, origin="computed", stderr=found.drawn.stderr
        ),
        Figure(name="accuracy, median of others", value=float(np.median(found.rivals)), origin="computed"),
        Figure(name="accuracy, best of others", value=max(found.rivals), origin="computed"),
        Figure(name="looking at every architecture", value=found.looking_ms, unit="ms", origin="computed"),
        Figure(name="options that may fit, all coupled", value=found.most, origin="bound"),
    )


def verdicts_of(found: Found, node: hq.NodeSignature) -> tuple[Verdict, ...]:
    """Return what can be had and what cannot."""
    answer, gain = found.last, found.annealed.value - found.drawn.value
    bar = math.hypot(found.annealed.stderr, found.drawn.stderr)
    anneal_us = answer.times.anneal_ns / 1e3 if answer.times else 0.0
    coherence_us = node.quantum_coherence_time_us or 0.0
    kept = math.exp(-anneal_us / coherence_us) if coherence_us else 0.0
    better = float(np.mean([each > found.annealed.value for each in found.rivals]))
    return (
        Verdict(
            asked="the best architecture of the model, by annealing",
            holds=abs(answer.energy - found.least) <= ROUNDING and found.chosen[-1].architecture is not None,
            because=f"The lowest of all {found.space.size:,} is {found.least:.6g}; {answer.energy:.6g} was found.",
            remedy="" if abs(answer.energy - found.least) <= ROUNDING else "More reads, or slower anneals.",
        ),
        Verdict(
            asked="a network that is better than most",
            holds=better < 0.5,
            because=f"{better:.0%} of {len(found.rivals)} others do better than {found.annealed.value:.3f}.",
            remedy="" if better < 0.5 else "More architectures in the model.",
        ),
        Verdict(
            asked="a better network than the best of those that were drawn anyway",
            holds=gain > SIGMAS * bar,
            because=f"It is better by {gain:+.4f}, give or take {bar:.4f}.",
            remedy=""
            if gain > SIGMAS * bar
            else f"A model is for where training is dear: here {found.measured} draws already hold a good network.",
        ),
        Verdict(
            asked="the annealer sooner than looking at every architecture",
            holds=found.busy_ms < found.looking_ms,
            because=(
                f"It is busy for {found.busy_ms:.4g} ms; {found.space.size:,} sums take {found.looking_ms:.3g} ms at a "
                "billion additions per second."
            ),
            remedy=f"Larger spaces: each further decision of four options makes it four times as long; {found.most} "
            "options may fit.",
        ),
        Verdict(
            asked="300 options, all coupled, on this annealer",
            holds=found.refusal is None,
            because=str(found.refusal or "No count rules it out."),
            remedy=f"At most {found.most}; fewer couplings, or decisions that are searched in turn.",
        ),
        Verdict(
            asked="an anneal that is coherent from beginning to end",
            holds=kept > 0.99,
            because=f"After {anneal_us:g} us a coherence of {coherence_us:g} us is down to {kept:.0%}.",
            remedy=f"Anneals below {0.01 * coherence_us:.2g} us. What anneals here is simulated, and thermal.",
        ),
    )
