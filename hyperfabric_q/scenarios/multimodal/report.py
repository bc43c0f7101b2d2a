"""What fusing senses by a circuit gives, and what it does not."""

from __future__ import annotations

from collections.abc import Mapping
from math import hypot

import hyperfabric_q as hq
from hyperfabric_q.scenarios.outcome import Figure, Verdict


def verdicts(told: Mapping[str, Figure], fused: hq.TransferResult) -> tuple[Verdict, ...]:
    """Return what can be had and what not; ``told`` are the figures by name, ``fused`` was to be teleported."""
    value = {name: each.value for name, each in told.items()}
    circuit, alone = told["questions about both, by the circuit"], told["questions about both, by sight alone"]
    rule, all_answers = value["answers of a rule of products"], value["answers of the circuit"]
    apart = circuit.value - alone.value
    helps = apart > 2 * hypot(circuit.stderr or 0, alone.stderr or 0)
    better = all_answers - rule > 2 * (told["answers of the circuit"].stderr or 0)
    single = value["right of single shots"]
    waited = value["sound listened to"] + value["from there to the answer"]
    return (
        Verdict(
            asked="sight and hearing together answer what neither does alone",
            holds=helps,
            because=f"Whether both have the same thing: {alone.value:.0%} right by sight, "
            f"{value['questions about both, by hearing alone']:.0%} by hearing, {circuit.value:.0%} by the circuit.",
        ),
        Verdict(
            asked="a circuit fuses better than a few classical lines",
            holds=better,
            because=f"The product of two signs is right in {rule:.1%}, the circuit in {all_answers:.1%}, and the best "
            f"plane in {value['answers of the best plane']:.1%}: it takes a product, not a QPU.",
            remedy="" if better else "Multiply; the circuit shows that a QPU can stand in a pipeline.",
        ),
        Verdict(
            asked="the fused state reaches the QPU by entanglement",
            holds=fused.receipt.entanglement is not None,
            because=" ".join(fused.receipt.warnings),
            remedy=f"Its circuit goes instead: {value['circuit']:.0f} bytes; where the QPU knows the weights, "
            f"{value['its angles']:.0f} bytes of angles do.",
        ),
        Verdict(
            asked="one shot is enough",
            holds=single > 0.99,
            because=f"A single shot is right in {single:.1%}: the circuit is not sure, and its gates and readout err.",
            remedy=f"{value['shots']:.0f} shots, which take {value['shots of an answer']:.3g} µs.",
        ),
        Verdict(
            asked="an answer within 1 ms of the event",
            holds=waited <= 1,
            because=f"{value['sound listened to']:g} ms are listened to, and one period of the lower note alone lasts "
            f"{value['one period of the lower note']:.3g} ms; what comes after takes "
            f"{value['from there to the answer']:.3g} ms.",
            remedy="No link makes a note shorter. Questions about the picture need not wait for it.",
        ),
    )
