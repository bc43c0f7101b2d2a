"""What four centres can have of one another and of a QPU, and what distance and statistics forbid."""

from __future__ import annotations

from collections.abc import Mapping

import hyperfabric_q as hq
from hyperfabric_q.estimate import with_bar
from hyperfabric_q.scenarios.outcome import Figure, Verdict

TOGETHER = "mean of all centres"
BY_CIRCUIT, GAUSSIAN = "corrected by the circuit's kernel,", "corrected by a Gaussian kernel"

WANTED_MS = 200e-6
"""The latency of 200 ns that is stated for the ports of all centres."""


def verdicts(told: Mapping[str, Figure], centres: list[str], quantum: hq.TransferResult) -> tuple[Verdict, ...]:
    """Return what can be had and what not; ``told`` are the figures by name, ``quantum`` was to be teleported."""
    light = {name: told[f"light to {name}"].value for name in centres}
    far = max(light, key=lambda name: light[name])
    alone = {name: told[f"{name} alone"].value for name in centres}
    best = min(alone, key=lambda name: alone[name])
    mean = told[TOGETHER]
    exact, shots = (told[f"{BY_CIRCUIT} {how}"] for how in ("exact", "by shots"))
    gaussian, plane = told[GAUSSIAN], told["corrected by the best plane"]
    apart, ideal = (told[f"the circuit's kernel, {how}, less the Gaussian one"] for how in ("by shots", "exact"))
    gain = told["the mean of all less the best centre"]
    # Three errors, not two: the bar does not hold what another draw of past days would change.
    better = apart.value < -3 * (apart.stderr or 0)
    taken = told["what shots of the circuit's kernel take away"]
    helps = taken.value > 2 * (taken.stderr or 0)
    return (
        Verdict(
            asked="all centres have the analysis within the 200 ns of their ports",
            holds=max(light.values()) <= WANTED_MS,
            because=f"Light in vacuum takes {light[far]:.3g} ms to {far}, and fibre "
            f"{told[f'analysis at {far}'].value:.3g} ms.",
            remedy="Ports that fast help within a building; around the world nothing does.",
        ),
        Verdict(
            asked="the mean of all centres is better than each of them",
            holds=gain.value < -2 * (gain.stderr or 0),
            because=f"It is wrong by {mean.value:.3g} m, the best centre ({best}) by {alone[best]:.3g} m; by day they "
            f"differ by {gain.value:+.2f} ± {gain.stderr or 0:.2f} m.",
            remedy="" if gain.value < -2 * (gain.stderr or 0) else "Give the better centres more weight.",
        ),
        Verdict(
            asked="the correction of the QPU makes the forecast better",
            holds=helps,
            because=f"Errors go from {mean.value:.3g} m to {shots.value:.3g} m with kernels by shots, and to "
            f"{exact.value:.3g} m with exact ones. By day, shots take "
            f"{with_bar(taken.value, taken.stderr or 0)} m away.",
            remedy="" if helps else "More past days to learn from.",
        ),
        Verdict(
            asked="it is better than a classical correction from the same data",
            holds=better,
            because=f"A Gaussian kernel gets to {gaussian.value:.3g} m and a plane to {plane.value:.3g} m. By day "
            f"the circuit's kernel differs from the Gaussian one by {with_bar(apart.value, apart.stderr or 0)} m as a "
            f"QPU measures it, in {told['correction of a day on the QPU'].value:.3g} s a day, and by "
            f"{with_bar(ideal.value, ideal.stderr or 0)} m where a laptop works out its four qubits.",
            remedy=""
            if better
            else "No QPU: what is gained or lost depends on the kernel, and both are easy to compute.",
        ),
        Verdict(
            asked="features reach the QPU by entanglement",
            holds=quantum.receipt.entanglement is not None,
            because=" ".join(quantum.receipt.warnings),
            remedy=f"None is needed: they are {quantum.receipt.nbytes} classical bytes.",
        ),
    )
