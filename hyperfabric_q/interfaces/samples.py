"""Shots of a planned circuit at many bindings, as codes of the reported classical bits.

As for expectation values, nothing here runs the emitted circuit for each binding: shots are drawn from exact chances
where these fit, of state vectors or of the effective channel. A circuit without parameters is a run of its plan, with
the same shots for the same seed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray
from qiskit.primitives import BitArray

from hyperfabric_q import seeds
from hyperfabric_q.distribution.plan import Plan
from hyperfabric_q.errors import SimulationRefused
from hyperfabric_q.execution import channel
from hyperfabric_q.execution.measured import measured
from hyperfabric_q.execution.result import Result
from hyperfabric_q.execution.timelines import Timelines
from hyperfabric_q.interfaces.angles import Floats
from hyperfabric_q.interfaces.expectations import method_of, notes_of
from hyperfabric_q.interfaces.job import Steps
from hyperfabric_q.interfaces.planned import Planned
from hyperfabric_q.interfaces.states import evolved, in_chunks

WIDEST: Final = 20
"""Qubits of the widest state whose outcomes are all listed."""

Bits = NDArray[np.uint8]
Registers = tuple[tuple[str, int], ...]


@dataclass(slots=True, eq=False)
class Drawn:
    """Shots of all bindings, and how they were found.

    Attributes:
        registers: name and size of each, in order.
        bits: of each register its packed bits, shape (bindings, shots, bytes), as Qiskit packs them.
        ways: how, in a few words.
        approximations: what was not exact.
    """

    registers: Registers
    bits: dict[str, Bits]
    ways: dict[str, None] = field(default_factory=dict)
    approximations: dict[str, None] = field(default_factory=dict)

    @classmethod
    def empty(cls, registers: Registers, bindings: int, shots: int) -> Drawn:
        """Return one in which every bit is 0."""
        bits = {name: np.zeros((bindings, shots, (size + 7) // 8), dtype=np.uint8) for name, size in registers if size}
        return cls(registers, bits)

    def put(self, row: int, values: Bits) -> None:
        """Write the shots of one binding: the bits of all registers in order, shape (shots, bits)."""
        start = 0
        for name, size in self.registers:
            if size:
                own = values[:, start : start + size][:, ::-1]
                padded = np.zeros((len(own), (size + 7) // 8 * 8), dtype=np.uint8)
                padded[:, padded.shape[1] - size :] = own
                self.bits[name][row] = np.packbits(padded, axis=1)
            start += size


def drawn(
    planned: Planned,
    bindings: Floats,
    *,
    shots: int,
    lines: Timelines,
    seeds_of: Sequence[int],
    steps: Steps,
    watch: Callable[[Result], None] | None = None,
) -> Drawn:
    """Return the shots of a circuit at each binding; without measurements, all qubits are measured into "meas".

    Args:
        planned: the circuit.
        bindings: values of its parameters, shape (bindings, parameters).
        shots: of each.
        lines: the errors.
        seeds_of: a seed for each binding.
        steps: of the job, which may stop it.
        watch: called with each result, where bindings are runs.

    Raises:
        SimulationRefused: too wide for this machine, or hours long.
    """
    _, reported = measured(planned.plan)
    registers = tuple((register.name, register.size) for register in reported)
    found = Drawn.empty(registers, len(bindings), shots)
    if planned.parameters and _bare(planned):
        _from_states(planned, bindings, shots, found, seeds_of, steps)
        return found
    for row in range(len(bindings)):
        steps.check()
        bound = planned.bound(bindings[row])
        laws = _laws(bound, lines) if planned.parameters else None
        rng = seeds.stream(seeds_of[row], "shots")
        if laws is None:
            found.put(row, _run(planned, bound, shots, seeds_of[row], registers, found, watch))
        else:
            found.ways["shots from exact chances"] = None
            found.approximations |= notes_of(lines)
            codes = np.concatenate(
                [_codes(law, own, rng) for law, (_, own) in zip(laws, lines.shares(shots), strict=True)]
            )
            found.put(row, _spread(rng.permutation(codes), sum(size for _, size in registers)))
    return found


def _bare(planned: Planned) -> bool:
    narrow = planned.circuit.num_qubits <= WIDEST
    return planned.options.noise == "none" and planned.pure and narrow and planned.plan.reused is None


def _from_states(
    planned: Planned, bindings: Floats, shots: int, found: Drawn, seeds_of: Sequence[int], steps: Steps
) -> None:
    template = planned.template
    assert template is not None  # noqa: S101  # _bare() has seen it
    sources = _sources(planned)
    found.ways["shots from the chances in state vectors"] = None
    for chunk in in_chunks(len(bindings), planned.circuit.num_qubits):
        steps.check()
        states = evolved(template, bindings[chunk])
        chances = states.real**2 + states.imag**2
        for place, row in enumerate(range(chunk.start, chunk.stop)):
            rng = seeds.stream(seeds_of[row], "shots")
            outcomes = rng.permutation(_codes(chances[place], shots, rng))
            bits = np.zeros((shots, len(sources)), dtype=np.uint8)
            for column, qubit in enumerate(sources):
                if qubit is not None:
                    bits[:, column] = outcomes >> qubit & 1
            found.put(row, bits)


def _sources(planned: Planned) -> list[int | None]:
    """The qubit behind each reported bit, None for a bit that is never written."""
    template = planned.template
    measured_into = {} if template is None else template.measured
    _, reported = measured(planned.plan)
    classical = planned.plan.program.to_circuit()
    index = {bit: place for place, bit in enumerate(classical.clbits)}
    if not measured_into:  # the last register is the one that all qubits are measured into
        *users, every = reported
        return [*(None for register in users for _ in register), *range(every.size)]
    return [measured_into.get(index[bit]) for register in reported for bit in register]


def _laws(bound: Plan, lines: Timelines) -> list[Floats] | None:
    """Return the chance of each code of the reported bits on each timeline; None where that does not fit."""
    complete, reported = measured(bound)
    bits = sum(register.size for register in reported)
    if bound.qubits > channel.WIDEST or bits > channel.MOST_BITS:
        return None
    try:
        if not channel.law_is_cheap(complete, lines.noises[0], reported=reported):
            return None
        return [channel.outcome_law(complete, noise, reported=reported) for noise in lines.noises]
    except SimulationRefused:
        return None


def _codes(chances: Floats, shots: int, rng: np.random.Generator) -> NDArray[np.int64]:
    hits = rng.multinomial(shots, chances / chances.sum())
    seen = np.flatnonzero(hits)
    return np.repeat(seen.astype(np.int64), hits[seen])


def _spread(codes: NDArray[np.int64], bits: int) -> Bits:
    return np.asarray(codes[:, None] >> np.arange(bits, dtype=np.int64) & 1, dtype=np.uint8)


def _run(
    planned: Planned,
    bound: Plan,
    shots: int,
    seed: int,
    registers: Registers,
    found: Drawn,
    watch: Callable[[Result], None] | None,
) -> Bits:
    """Return the shots of a run, in random order: a result has them by outcome."""
    options = planned.options
    result: Result = bound.run(
        shots,
        method=method_of(planned),
        noise=options.noise,
        timelines=options.timelines,
        seed=seed,
    )
    if watch is not None:
        watch(result)
    found.ways[f"run ({result.way})"] = None
    found.approximations |= dict.fromkeys(result.approximations)
    parts = []
    for name, size in registers:
        if size:
            array: BitArray = result.data[name]
            bits = np.unpackbits(array.array, axis=-1)[:, -size:][:, ::-1]
            parts.append(bits)
    every = np.concatenate(parts, axis=1) if parts else np.zeros((shots, 0), dtype=np.uint8)
    return seeds.stream(seed, "order").permutation(every, axis=0)
