"""The emitted circuit read as what it does to its logical qubits, every error a Pauli at the place it acts.

Only wires matter, not the step that emitted them: packets, chains, nested promotion, third-party sites, exchanges and
settling all consist of the same few pieces. The rules, for wires of the state that ``logical_ops`` describes:

* ``cx`` from a wire to half a pair makes the other half a wire of the same qubit. Its flip is that of the source plus
  the X error of the pair; the Z error acts on the qubit. A flipped protocol bit flips the wire.
* ``cx`` to a wire in |0> makes that a wire of the same qubit, with the source's flip. Between two qubits it is a CNOT
  of theirs, and the source's flip is added to the target's.
* ``h`` and a measurement take one of several wires away. Its flip leaves nothing but a sign; a flipped protocol bit is
  a Z on the qubit.
* A phase on a flipped wire acts where the qubit is 0; a NOT on a wire changes its flip; any other gate needs a qubit of
  one wire and undoes its flip first.

That is exact for any state of the pairs, of which only the four Bell-diagonal weights count, and for amplitude damping
of waiting wires too: it scales one basis state of the qubit, or projects on it and changes the wire's flip.
"""

from __future__ import annotations

import cmath
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import Final

import numpy as np
from qiskit import QuantumCircuit

from hyperfabric_q.convert.operations import Clause, Kind, read
from hyperfabric_q.convert.operations import Operation as Instruction
from hyperfabric_q.distribution.local_figures import LocalFigures
from hyperfabric_q.errors import InternalError
from hyperfabric_q.execution.logical_ops import (
    ALWAYS,
    NOTHING,
    Assign,
    Chances,
    Decay,
    Effect,
    Logical,
    Matrix,
    Measure,
    Not,
    Operation,
    Phase,
    Reset,
    Settle,
    Sign,
    Test,
    Unitary,
    both,
    draw_of,
    mixed,
    pauli_chances,
)
from hyperfabric_q.execution.noise import depolarising_parameter
from hyperfabric_q.execution.run_noise import Idle, RunNoise

_CERTAIN: Final[Chances] = {NOTHING: 1.0}
_TOLERANCE: Final = 1e-14


class _Role(Enum):
    BLANK = "in |0>"
    HALF = "half of a pair"
    LIVE = "wire of a logical qubit"
    PARITY = "half that is to be measured for the other one's flip"
    LEAVING = "wire that is to be measured for a sign"
    SPENT = "measured"


@dataclass(slots=True, eq=False)
class _Window:
    """A copy before its correction: it has one more X on it, as likely as not.

    What waiting does to it is then a Pauli error, but for a correction that fails, which it only can if there is an X.
    So there are two columns as soon as it waits: ``fails``, whether the correction will if there is one, and only then
    ``turned``, whether there is.
    """

    waited: bool = False
    fails: int = ALWAYS
    turned: int = ALWAYS


@dataclass(slots=True, eq=False)
class _Held:
    """What a wire holds.

    ``column`` is the flip; of half a pair, the first's is the pair's Z error and the second's its X error. ``mate`` is
    the other half; ``damped`` the share of ones that fell to 0 before the measurement; ``window`` there is between the
    ``cx`` and the correction.
    """

    role: _Role
    column: int
    qubit: int = -1
    mate: _Held | None = None
    second: bool = False
    damped: float = 0.0
    window: _Window | None = None


@dataclass(slots=True)
class _Reading:
    """A protocol bit: by [what it should be][what it reads] its chances, and what happens if these differ."""

    held: _Held
    chances: list[list[float]]
    gate: str
    effect: Effect


def track(
    circuit: QuantumCircuit, entry: Sequence[int], exits: Sequence[int], noise: RunNoise, figures: LocalFigures
) -> Logical:
    """Return what an emitted circuit does to its logical qubits, errors included; O(instructions), about 20 us each.

    The columns come in the order of the user's bits (``user_columns``), then the flips.

    Args:
        circuit: the emitted circuit, perhaps with measurements after its end.
        entry: the wire of each logical qubit at the start.
        exits: the same at the end.
        noise: the state of each pair and the waits.
        figures: errors of gates and readout, left out unless ``noise.local``.

    Raises:
        InternalError: a step is not one of the pieces above.
    """
    tracker = _Tracker(circuit, entry, noise, figures)
    operations = read(circuit)
    waits, due = noise.idles, 0
    for operation in operations:
        while due < len(waits) and waits[due].before <= operation.index:
            tracker.wait(waits[due])
            due += 1
        tracker.take(operation)
    for wait in waits[due:]:
        tracker.wait(wait)
    return tracker.finished(exits)


def user_columns(circuit: QuantumCircuit) -> dict[int, int]:
    """Return the column of each classical bit that is not a protocol bit, both by number."""
    index = {bit: place for place, bit in enumerate(circuit.clbits)}
    nodes = {register.name.rpartition("_")[0] for register in circuit.qregs}
    own = {f"{node}_proto" for node in nodes}
    protocol = {index[bit] for register in circuit.cregs if register.name in own for bit in register}
    return {bit: column for column, bit in enumerate(sorted(set(range(len(circuit.clbits))) - protocol))}


class _Tracker:
    """One walk: ``held`` by wire, ``wires`` the live wires of each qubit, ``readings`` not yet used by a correction."""

    def __init__(self, circuit: QuantumCircuit, entry: Sequence[int], noise: RunNoise, figures: LocalFigures) -> None:
        self._user: Mapping[int, int] = user_columns(circuit)
        self._figures, self._local = figures, noise.local
        self._pairs = iter(noise.pair_weights.tolist())
        self._out: list[Operation] = []
        self._held = [_Held(_Role.BLANK, len(self._user) + wire) for wire in range(circuit.num_qubits)]
        self._wires: list[set[_Held]] = []
        for qubit, wire in enumerate(entry):
            held = self._held[wire]
            held.role, held.qubit = _Role.LIVE, qubit
            self._wires.append({held})
        self._readings: dict[int, _Reading] = {}
        self._columns = len(self._user) + len(self._held)
        self._free: list[int] = []
        self._twirled = 0

    def finished(self, exits: Sequence[int]) -> Logical:
        """Return everything that was read."""
        at_end = [self._held[wire] for wire in exits]
        if self._readings:
            raise InternalError(what=f"{len(self._readings)} protocol bits of the emitted circuit correct nothing")
        for qubit, held in enumerate(at_end):
            if held.role is not _Role.LIVE or len(self._wires[held.qubit]) > 1:
                raise InternalError(what=f"qubit {qubit} does not end on the one wire it should")
        ends = tuple(held.qubit for held in at_end)
        if sorted(ends) != list(range(len(exits))):
            raise InternalError(what="two qubits end on the same wires")
        return Logical(
            qubits=len(exits),
            columns=self._columns,
            operations=tuple(self._out),
            ends=ends,
            flips=tuple(held.column for held in at_end),
            twirled=self._twirled,
        )

    # ------------------------------------------------------------------------------------------------ instructions

    def take(self, operation: Instruction) -> None:
        """Take one instruction in, and its errors."""
        held = [self._held[wire] for wire in operation.wires]
        if operation.kind is Kind.PAIR:
            self._pair(*held)
        elif operation.kind is Kind.MEASURE:
            self._measure(operation, held[0])
        elif operation.kind is Kind.RESET:
            self._reset(operation.wires[0], held[0])
        elif any(bit not in self._user for bit in operation.reads):
            self._correct(operation, held[0])
        else:
            tests = tuple(self._test(clause) for clause in operation.condition)
            self._gate(operation, held, tests)
            self._draw(self._gate_errors(operation), tests)

    def wait(self, wait: Idle) -> None:
        """Let one wire wait."""
        held = self._held[wait.wire]
        share = -math.expm1(-wait.duration_s / wait.t1_s)
        lasting = math.exp(-wait.duration_s / min(wait.t2_s, 2 * wait.t1_s))
        if held.role is _Role.LIVE:
            if share > 0:
                self._decay(held, wait.wire, share)
            dephasing = (1 - lasting / math.sqrt(1 - share)) / 2 if share < 1 else 0.5
            self._draw(pauli_chances((1 - dephasing, 0.0, 0.0, dephasing), NOTHING, self._z(held)))
        elif held.role is _Role.HALF:
            # Of any state of a pair only the four weights count, so its damping may as well be Pauli errors.
            flip, phase = share / 4, (1 - lasting) / 2 - share / 4
            self._draw(pauli_chances((1 - 2 * flip - phase, flip, flip, phase), self._x(held), self._z(held)))
        else:
            held.damped = 1 - (1 - held.damped) * (1 - share)

    def _decay(self, held: _Held, wire: int, share: float) -> None:
        window = held.window
        if window is None:
            self._out.append(Decay(qubit=held.qubit, flip=held.column, share=share))
            self._settle(held)
            return
        phase = (1 - math.sqrt(1 - share)) / 2 - share / 4
        twirled = pauli_chances((1 - share / 2 - phase, share / 4, share / 4, phase), self._x(held), self._z(held))
        self._twirled += window.waited
        failing = 0.0 if window.waited else 0.75 * (1 - self._kept("x", (wire,)))
        window.waited = True
        if failing == 0:
            self._draw(twirled)
            return
        window.fails, window.turned = self._column(), self._column()
        fails = Effect(columns=1 << window.fails)
        turned = Effect(columns=1 << window.turned) ^ self._x(held)
        self._draw({NOTHING: 1 - failing, fails: failing / 2, fails ^ turned: failing / 2})
        tests = (self._is(window.fails, 1),)
        self._out.append(Decay(qubit=held.qubit, flip=held.column, share=share, tests=tests))
        self._draw(twirled, (self._is(window.fails, 0),))

    def _gate(self, operation: Instruction, held: Sequence[_Held], tests: tuple[Test, ...]) -> None:
        name = operation.name
        if name == "swap" and not tests:
            a, b = operation.wires
            self._held[a], self._held[b] = self._held[b], self._held[a]
        elif name == "cx" and not tests:
            self._cx(held[0], held[1])
        elif any(each.role is not _Role.LIVE for each in held):
            raise InternalError(what=f"instruction {operation.index}: {name!r} on a wire that is {held[0].role.value}")
        elif name in ("cz", "cp"):
            angle = math.pi if name == "cz" else operation.params[0]
            self._out.append(Phase(angle=angle, wires=tuple((each.qubit, each.column) for each in held), tests=tests))
            for each in held:
                self._settle(each)
        elif len(held) == 1:
            self._one(operation, held[0], tests)
        else:
            raise InternalError(what=f"instruction {operation.index}: {name!r} is no gate of an emitted circuit")

    def _one(self, operation: Instruction, held: _Held, tests: tuple[Test, ...]) -> None:
        matrix = _matrix(operation)
        wire = (held.qubit, held.column)
        if abs(matrix[0, 1]) + abs(matrix[1, 0]) < _TOLERANCE:
            self._phase(matrix[1, 1] / matrix[0, 0], wire, tests)
            self._settle(held)
        elif abs(matrix[0, 0]) + abs(matrix[1, 1]) < _TOLERANCE:
            self._phase(matrix[0, 1] / matrix[1, 0], wire, tests)
            self._out.append(Assign(into=held.column, of=(held.column,), toggled=True, tests=tests))
        elif len(self._wires[held.qubit]) == 1:
            self._out.append(Unitary(qubit=held.qubit, matrix=matrix, flip=held.column, tests=tests))
        elif operation.name == "h" and not tests:
            held.role, held.damped = _Role.LEAVING, 0.0
            self._wires[held.qubit].discard(held)
            self._forget(held)
        else:
            raise InternalError(what=f"instruction {operation.index}: {operation.name!r} on one of several wires")

    def _phase(self, factor: complex, wire: tuple[int, int], tests: tuple[Test, ...]) -> None:
        if factor != 1:
            self._out.append(Phase(angle=cmath.phase(factor), wires=(wire,), tests=tests))

    def _cx(self, control: _Held, target: _Held) -> None:
        if control.role is not _Role.LIVE:
            raise InternalError(what=f"'cx' from a wire that is {control.role.value}")
        qubit = control.qubit
        if target.role is _Role.LIVE:
            if target.qubit == qubit or len(self._wires[target.qubit]) > 1:
                raise InternalError(what=f"'cx' on one of several wires of qubit {target.qubit}")
            self._out.append(Not(control=qubit, target=target.qubit))
            self._add(target, control)
        elif target.role is _Role.BLANK:
            self._join(target, control)
        elif target.role is _Role.HALF and target.mate is not None and target.mate.role is _Role.HALF:
            copy = target.mate
            if target.second:  # the copy's flip begins with the pair's X error
                copy.column, target.column = target.column, copy.column
            self._out.append(Sign(qubit=qubit, column=target.column))
            self._forget(target)
            self._join(copy, control)
            target.role, copy.window = _Role.PARITY, _Window()
        else:
            raise InternalError(what=f"'cx' to a wire that is {target.role.value}")

    def _join(self, held: _Held, source: _Held) -> None:
        held.role, held.qubit = _Role.LIVE, source.qubit
        self._wires[source.qubit].add(held)
        self._add(held, source)

    def _add(self, held: _Held, source: _Held) -> None:
        self._out.append(Assign(into=held.column, of=(held.column, source.column)))

    def _pair(self, first: _Held, second: _Held) -> None:
        if {first.role, second.role} != {_Role.BLANK}:
            raise InternalError(what=f"a Bell pair on wires that are {first.role.value} and {second.role.value}")
        for held, mate in ((first, second), (second, first)):
            held.role, held.mate, held.second, held.damped = _Role.HALF, mate, held is second, 0.0
        # An X on the first wire before the pair is made is a Z on the pair, one on the second an X.
        self._draw(pauli_chances(next(self._pairs), self._x(second), self._z(second)))

    # ------------------------------------------------------------------------------------- measurement, feed-forward

    def _measure(self, operation: Instruction, held: _Held) -> None:
        bit, misread = operation.bit, self._misread(operation.wires[0])
        if bit is not None and bit in self._user:
            if held.role is not _Role.LIVE:
                raise InternalError(what=f"a wire that is {held.role.value} is measured for the user")
            column = self._user[bit]
            self._settle(held)
            self._out.append(Measure(qubit=held.qubit, bit=column, flip=held.column))
            self._draw({NOTHING: 1 - misread, Effect(columns=1 << column): misread})
            return
        if bit is None or held.role not in (_Role.PARITY, _Role.LEAVING):
            raise InternalError(what=f"a protocol bit from a wire that is {held.role.value}")
        if bit in self._readings:
            raise InternalError(what=f"bit {bit} of the emitted circuit is written again before it corrects anything")
        # A damped wire reads 0 where it should read 1.
        kept = [[1.0, 0.0], [held.damped, 1 - held.damped]]
        chances = [[(1 - misread) * row[value] + misread * row[1 - value] for value in (0, 1)] for row in kept]
        gate = "x" if held.role is _Role.PARITY else "z"
        self._readings[bit] = _Reading(held, chances, gate, self._x(held))
        held.role = _Role.SPENT

    def _correct(self, operation: Instruction, held: _Held) -> None:
        """Use a protocol bit: what a flipped one does, and the errors of the correction, made only if it is 1."""
        bits = operation.condition[0].bits
        reading = self._readings.pop(bits[0], None)
        if (
            reading is None
            or len(operation.condition) != 1
            or operation.condition[0] != Clause(bits[:1], 1)
            or operation.name != reading.gate
            or held.role is not _Role.LIVE
            or not (held is reading.held.mate if reading.gate == "x" else held.qubit == reading.held.qubit)
        ):
            raise InternalError(what=f"instruction {operation.index} is not the correction that its bit is for")
        errors = self._gate_errors(operation)
        window, held.window = held.window, None
        if reading.gate == "z" or window is None or window.fails == ALWAYS:
            # It is 0 or 1 by even chances.
            self._draw(mixed((0.5, _corrected(reading, should, errors)) for should in (0, 1)))
            return
        self._draw(
            mixed((0.5, _corrected(reading, should, _CERTAIN)) for should in (0, 1)), (self._is(window.fails, 0),)
        )
        failed = {effect: chance for effect, chance in errors.items() if effect != NOTHING}
        total = sum(failed.values())
        failed = {effect: chance / total for effect, chance in failed.items()}
        for should in (0, 1):
            tests = (self._is(window.fails, 1), self._is(window.turned, should))
            self._draw(_corrected(reading, should, failed), tests)
        self._out.append(Assign(into=held.column, of=(held.column, window.turned)))
        for column in (window.fails, window.turned):
            self._out.append(Assign(into=column))
            self._free.append(column)

    @staticmethod
    def _is(column: int, value: int) -> Test:
        return Test((column,), value, holds=True)

    def _reset(self, wire: int, held: _Held) -> None:
        if held.role is _Role.LIVE:
            if len(self._wires[held.qubit]) > 1:
                raise InternalError(what=f"a reset of one of several wires of qubit {held.qubit}")
            self._out.append(Reset(qubit=held.qubit))
            self._forget(held)
            return
        if held.role in (_Role.PARITY, _Role.LEAVING):
            raise InternalError(what=f"a reset of a wire that is {held.role.value}")
        self._forget(held)
        self._held[wire] = _Held(_Role.BLANK, held.column)

    # ------------------------------------------------------------------------------------------------------- errors

    def _x(self, held: _Held) -> Effect:
        """What an X on a wire does."""
        if held.role is _Role.PARITY and held.mate is not None:
            return Effect(columns=1 << held.mate.column)
        if held.role is _Role.LEAVING:
            return Effect(signs=1 << held.qubit)
        if held.role is _Role.SPENT:
            return NOTHING
        if held.role is _Role.HALF and held.mate is not None and not held.second:
            return Effect(columns=1 << held.mate.column)
        return Effect(columns=1 << held.column)

    def _z(self, held: _Held) -> Effect:
        """What a Z on a wire does."""
        if held.role is _Role.LIVE:
            return Effect(signs=1 << held.qubit)
        if held.role is _Role.HALF and held.mate is not None:
            return Effect(columns=1 << (held.mate.column if held.second else held.column))
        return NOTHING

    def _gate_errors(self, operation: Instruction) -> Chances:
        wires = operation.wires
        kept = self._kept(operation.name, wires)
        if kept == 1:
            return _CERTAIN
        spread: Chances = _CERTAIN
        for wire in wires:
            held = self._held[wire]
            spread = both(spread, pauli_chances((0.25,) * 4, self._x(held), self._z(held)))
        return mixed(((kept, _CERTAIN), (1 - kept, spread)))

    def _kept(self, name: str, wires: Sequence[int]) -> float:
        """How much of the state a gate does not depolarise."""
        infidelity = self._figures.gate_error(wires) if self._local else 0.0
        lost = depolarising_parameter(infidelity, qubits=len(wires))
        kept: float = (1 - lost) ** self._figures.gates(name, wires)
        return kept

    def _misread(self, wire: int) -> float:
        return self._figures.readout_error(wire) if self._local else 0.0

    def _draw(self, chances: Chances, tests: tuple[Test, ...] = ()) -> None:
        draw = draw_of(chances)
        if draw is not None:
            self._out.append(draw if not tests else replace(draw, tests=tests))

    def _column(self) -> int:
        if self._free:
            return self._free.pop()
        self._columns += 1
        return self._columns - 1

    def _settle(self, held: _Held) -> None:
        if len(self._wires[held.qubit]) == 1:
            self._out.append(Settle(qubit=held.qubit, flip=held.column))

    def _forget(self, held: _Held) -> None:
        """Let the flip of a wire be 0 again."""
        self._out.append(Assign(into=held.column))

    def _test(self, clause: Clause) -> Test:
        return Test(tuple(self._user[bit] for bit in clause.bits), clause.value, clause.holds)


def _corrected(reading: _Reading, should: int, errors: Chances) -> Chances:
    """What a correction does, given what its bit should be."""
    zero, one = reading.chances[should]
    effects: tuple[Chances, Chances] = ({NOTHING: 1.0}, {reading.effect: 1.0})
    return mixed(((zero, effects[should]), (one, both(effects[1 - should], errors))))


def _matrix(operation: Instruction) -> Matrix:
    matrix: Matrix = np.array(operation.matrix(), dtype=np.complex128, order="C")  # kernels take no read-only ones
    return matrix
