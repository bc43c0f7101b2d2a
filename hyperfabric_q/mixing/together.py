"""How is a circuit of independent pieces kept in one fragment, so that one shot measures all of them?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from hyperfabric_q.cutting.fragments import Condition, CutCircuit, Fragment, Gate, Marker, Measure, Reset, Step


def together(cut: CutCircuit) -> CutCircuit:
    """Return a circuit that nothing is cut in as one fragment; the pieces happen one after the other.

    Args:
        cut: on one part, without cuts.
    """
    if len(cut.fragments) == 1:
        return cut
    wires = tuple(sorted(wire for fragment in cut.fragments for wire in fragment.wires))
    place = {wire: number for number, wire in enumerate(wires)}
    moved = [{local: place[wire] for local, wire in enumerate(each.wires)} for each in cut.fragments]
    outputs = tuple(
        sorted(own[local] for each, own in zip(cut.fragments, moved, strict=True) for local in each.outputs)
    )
    bits = tuple(sorted(bit for each in cut.fragments for bit in each.bits))
    whole = Fragment(
        part=0,
        wires=wires,
        outputs=outputs,
        steps=tuple(_moved(step, own) for each, own in zip(cut.fragments, moved, strict=True) for step in each.steps),
        markers=(),
        sides=(),
        finals=tuple((bit, own[q]) for each, own in zip(cut.fragments, moved, strict=True) for bit, q in each.finals),
        bits=bits,
    )

    def output(number: int, position: int) -> int:
        return outputs.index(moved[number][cut.fragments[number].outputs[position]])

    return replace(
        cut,
        fragments=(whole,),
        outputs=tuple((0, output(*each)) for each in cut.outputs),
        clbits=tuple(
            each
            and (0, each[1], output(each[0], each[2]) if each[1] else bits.index(cut.fragments[each[0]].bits[each[2]]))
            for each in cut.clbits
        ),
    )


def _moved(step: Step, place: Mapping[int, int]) -> Step:
    if isinstance(step, Gate | Marker):
        return replace(step, qubits=tuple(place[each] for each in step.qubits))
    if isinstance(step, Measure | Reset):
        return replace(step, qubit=place[step.qubit])
    then, otherwise = (tuple(_moved(each, place) for each in steps) for steps in (step.then, step.otherwise))
    return Condition(step.clbits, step.value, then, otherwise)
