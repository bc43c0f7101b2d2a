"""Cirq's sampler on a fabric: ``FabricCirqSampler`` where ``cirq.Simulator`` stood.

A sweep is one array of bindings: the program is converted once, its symbols become parameters, and their values are put
in for all resolvers together.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import cirq
import numpy as np
from numpy.typing import NDArray
from qiskit import QuantumCircuit

from hyperfabric_q.convert.cirq import CirqReading, read_cirq
from hyperfabric_q.errors import ConversionRefused, InvalidValue
from hyperfabric_q.interfaces.expectations import lines_of
from hyperfabric_q.interfaces.facts import facts_of
from hyperfabric_q.interfaces.front import Front, binding_seed, structure
from hyperfabric_q.interfaces.job import Steps
from hyperfabric_q.interfaces.options import FabricLike, FabricOptions, known_shots
from hyperfabric_q.interfaces.samples import Drawn, drawn

_ONE_BY_ONE: Final = "each binding planned on its own: a symbol stands where no Qiskit gate has a parameter"
_WAITS: Final = "waits were left out: time is the fabric's"


class FabricResult(cirq.ResultDict):
    """Records of one binding of a sweep, and ``metadata`` of how they were taken."""

    def __init__(
        self, *, params: cirq.ParamResolver, records: dict[str, NDArray[np.uint8]], metadata: dict[str, Any]
    ) -> None:
        """Take records of shape (repetitions, instances, bits) by measurement key."""
        super().__init__(params=params, records=records)
        self.metadata = metadata


class FabricCirqSampler(cirq.Sampler):
    """Samples Cirq programs that are distributed over the nodes of a fabric."""

    def __init__(self, fabric: FabricLike, *, options: FabricOptions | None = None) -> None:
        """Take a fabric, or a protocol, whose fabric counts as it stands at each run; None = default options."""
        self._front = Front(fabric, options)

    @property
    def options(self) -> FabricOptions:
        """The options; repetitions are always those of the call."""
        return self._front.options

    def run_sweep(
        self, program: cirq.AbstractCircuit, params: cirq.Sweepable, repetitions: int = 1
    ) -> Sequence[cirq.Result]:
        """Return the records of a program for each set of values of its symbols.

        A key that is measured several times has one record per instance; where measurements carry the tag
        "overwrites", only the last one counts.

        Args:
            program: with at least one measurement.
            params: values of all its symbols.
            repetitions: shots of each.

        Raises:
            InvalidValue: nothing is measured, a symbol has no number, or the repetitions are out of range.
            ConversionRefused: what the converter does not carry over, such as noise.
        """
        shots = known_shots(repetitions)
        given: object = program
        if shots is None or not isinstance(given, cirq.AbstractCircuit) or not cirq.is_measurement(given):
            raise InvalidValue(field="program", value=str(program)[:80], rule="a program measures at least one qubit")
        resolvers = list(cirq.to_resolvers(params))
        values = _values(program, resolvers)
        seed = self._front.run_seed()
        whole = _read(program)
        if whole is not None:
            return self._sweep(whole, values, resolvers, shots, seed, range(len(resolvers)), ())
        results: list[cirq.Result] = []
        for row, each in enumerate(resolvers):
            one = read_cirq(cirq.resolve_parameters(_bare(program), each))
            results += self._sweep(one, {}, [each], shots, seed, [row], (_ONE_BY_ONE,))
        return results

    def _sweep(
        self,
        reading: CirqReading,
        values: Mapping[str, Sequence[float]],
        resolvers: Sequence[cirq.ParamResolver],
        shots: int,
        seed: int,
        rows: Sequence[int],
        notes: tuple[str, ...],
    ) -> list[cirq.Result]:
        circuit, waited = _without_waits(reading.circuit)
        columns = [values[parameter.name] for parameter in circuit.parameters]
        bindings = np.array(columns).reshape(len(columns), len(resolvers)).T
        planned = self._front.planned(circuit, structure(circuit))
        lines = lines_of(planned, shots=shots, precision=None, seed=seed)
        own = [binding_seed(seed, row) for row in rows]
        found = drawn(planned, bindings, shots=shots, lines=lines, seeds_of=own, steps=Steps("cirq", len(resolvers)))
        fallbacks = tuple(each for each in (*notes, planned.unbound, _WAITS if waited else "") if each)
        facts = facts_of(planned, lines)
        results: list[cirq.Result] = []
        for row, each in enumerate(resolvers):
            metadata = facts.metadata(
                shots=shots,
                circuits=1,
                way=", ".join(found.ways),
                noise=self.options.noise,
                seed=own[row],
                fallbacks=fallbacks,
                approximations=tuple(found.approximations),
            )
            records = _records(found, row, reading.records)
            results.append(FabricResult(params=each, records=records, metadata=metadata))
        return results


def _bare(program: cirq.AbstractCircuit) -> cirq.Circuit:
    """Return the program without what its tags declare about registers, which records do not need."""
    return cirq.Circuit(program.moments)


def _read(program: cirq.AbstractCircuit) -> CirqReading | None:
    """Return the program as a Qiskit circuit with parameters; None where only that of numbers can be had."""
    try:
        return read_cirq(_bare(program))
    except ConversionRefused:
        if not cirq.is_parameterized(program):
            raise
        return None


def _values(program: cirq.AbstractCircuit, resolvers: Sequence[cirq.ParamResolver]) -> dict[str, list[float]]:
    """Return the value of each symbol in each resolver."""
    found: dict[str, list[float]] = {}
    for name in sorted(cirq.parameter_names(program)):
        try:
            found[name] = [float(resolver.value_of(name)) for resolver in resolvers]
        except TypeError:
            raise InvalidValue(
                field="params", value=name, rule="every symbol of the program needs a real number in every resolver"
            ) from None
    return found


def _without_waits(circuit: QuantumCircuit) -> tuple[QuantumCircuit, bool]:
    """Return the circuit without delays and phase, which no outcome depends on, and whether it had delays."""
    result = circuit.copy()
    kept = [each for each in circuit.data if each.operation.name != "delay"]
    waited = len(kept) < len(circuit.data)
    if waited:
        result.data = kept
    result.global_phase = 0.0
    return result, waited


def _records(
    found: Drawn, row: int, records: Mapping[str, tuple[tuple[int, ...], ...]]
) -> dict[str, NDArray[np.uint8]]:
    """Return the records by key, shape (repetitions, instances, bits)."""
    parts = [np.unpackbits(found.bits[name][row], axis=-1)[:, ::-1][:, :size] for name, size in found.registers if size]
    bits = np.concatenate(parts, axis=1)
    return {key: np.ascontiguousarray(bits[:, np.array(places)]) for key, places in records.items()}
