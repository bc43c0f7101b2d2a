"""What the training of a circuit can promise, and where its time goes."""

from __future__ import annotations

from typing import NamedTuple

import hyperfabric_q as hq
from hyperfabric_q.estimate import proportion
from hyperfabric_q.scenarios.outcome import Verdict


class Steps(NamedTuple):
    """A step of training: its account, its circuits, and the error of its gradient in units of the gradient."""

    report: hq.learning.StepReport
    circuits: int
    noise: float


def verdicts(told: dict[str, float], asked: hq.TransferResult, qpus: int, tested: int) -> tuple[Verdict, ...]:
    """Return what can be had and what not; ``told`` are the figures by name, ``asked`` was to be teleported."""
    per_sample = told["circuits of an epoch"] / told["samples"]
    network = told["of this network"] / told["an epoch"]
    share, kernel = told["right of new samples"], told["right: Gaussian kernel"]
    bar = proportion(round(share * tested), tested).stderr ** 2 + proportion(round(kernel * tested), tested).stderr ** 2
    apart = (share - kernel) / bar**0.5
    falls = told["loss in the end"] < told["loss at first"]
    speed = told["an epoch"] / told[f"an epoch on {qpus} QPUs"]
    return (
        Verdict(
            asked="the loss falls",
            holds=falls,
            because=f"It goes from {told['loss at first']:.3g} to {told['loss in the end']:.3g} nat, exact values; "
            f"gradients by shots have an error of {told['error of the gradient by shots, last epoch']:.0%} in the end.",
            remedy="" if falls else "More epochs or shots.",
        ),
        Verdict(
            asked="features reach the QPU by entanglement",
            holds=asked.receipt.entanglement is not None,
            because=" ".join(asked.receipt.warnings),
            remedy=f"None is needed: angles are {asked.receipt.nbytes} classical bytes, and the QPU makes the state.",
        ),
        Verdict(
            asked="all derivatives from one run of the circuit, as of a network on a GPU",
            holds=False,
            because=f"A state is gone once it is measured: {per_sample:.0f} circuits per sample, two for each of "
            f"{told['weights of the circuit']:.0f} weights and one for the value, each of them many shots.",
            remedy="Random directions take few circuits, at the price of noise (SPSA).",
        ),
        Verdict(
            asked="a faster network makes an epoch shorter",
            holds=network > 0.1,
            because=f"The network has {network:.2%} of an epoch; the shots of the QPU have the rest.",
            remedy=f"Fewer shots, or more QPUs: {qpus} that share the batch are {speed:.2f} times as fast.",
        ),
        Verdict(
            asked="a shot ends within a tenth of the coherence time",
            holds=told["one shot"] <= 20.0,
            because=f"It takes {told['one shot']:.3g} µs of 200 µs.",
        ),
        Verdict(
            asked="the circuit beats a classical model of the same features",
            holds=apart > 2,
            because=f"It gets {share:.1%} right, a Gaussian kernel {kernel:.1%}, the best plane "
            f"{told['right: best plane']:.1%}: {apart:+.1f} standard errors from the kernel.",
            remedy=""
            if apart > 2
            else "Two angles are no task that needs a QPU; this shows the pipeline, no advantage.",
        ),
    )
