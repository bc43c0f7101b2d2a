"""Evidence for wide circuits: the same structure with Clifford gates in place of the real ones.

A *value-keyed skeleton* maps each gate, by a keyed hash of its own value, to a Clifford gate of the same kind: a
controlled phase to CZ or to nothing, a phase to a power of S, a gate that ends copies to one of the sixteen S^a H
S^b. The map is applied to the program and to the emitted circuit independently. Protocol steps stay as they are, so a
correct circuit stays correct under every key, and a mistake in the structure shows under most. Each skeleton is
decided exactly by stabilizers. Wrong angles are found by an exact census beside it: both circuits must hold the same
gates, value by value.

A skeleton says nothing certain about the circuit it stands for: that is what strands and branches are for.
"""

from __future__ import annotations

import hashlib
import math
import struct
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import stim

from hyperfabric_q import seeds
from hyperfabric_q.convert.operations import Kind, Operation
from hyperfabric_q.convert.stim import stim_circuit
from hyperfabric_q.distribution.strand_pieces import Angles, is_controlled_phase, phase_of
from hyperfabric_q.distribution.strand_reading import measured_next
from hyperfabric_q.errors import UnsupportedOperation, VerificationFailed
from hyperfabric_q.simulate.clifford import Verdict, equivalent, relabel

_BREAKS = [("S",) * a + ("H",) + ("S",) * b for a in range(4) for b in range(4)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Unmeasured:
    """Program and emitted circuit with each measurement into a user's bit replaced by CX onto a qubit of its own.

    Copying the value onto a fresh qubit is the same measurement, not yet read, so equivalence with these extra qubits
    is equivalence of the measuring circuits.

    Attributes:
        program: unitary operations on logical qubits 0..n-1, and the extra ones from n.
        emitted: operations of the distributed circuit.
        entry: wire that holds each of these qubits at the start.
        exit: wire that holds it at the end.
        protocol: places in ``emitted`` of the operations that belong to protocols, or stand for a measurement.
    """

    program: tuple[Operation, ...]
    emitted: tuple[Operation, ...]
    entry: tuple[int, ...]
    exit: tuple[int, ...]
    protocol: frozenset[int]


def without_measurements(
    program: Sequence[Operation],
    emitted: Sequence[Operation],
    *,
    entry: Sequence[int],
    exit: Sequence[int],  # noqa: A002 - the word of Lowered
    user_bit: Mapping[int, int],
) -> Unmeasured:
    """Return both circuits with the user's measurements turned into qubits.

    Raises:
        UnsupportedOperation: the user's circuit resets, or conditions on a measurement.
        VerificationFailed: a user's bit is not written as often as it should be.
    """
    for operation in program:
        if operation.kind is Kind.RESET or operation.condition:
            reason = "stabilizer checks need a circuit without reset and classical conditions"
            raise UnsupportedOperation(operation=operation.name, index=operation.index, reason=reason)
    for operation in emitted:
        if any(bit in user_bit for bit in operation.reads):
            raise VerificationFailed(
                what=f"{operation.name!r} of the emitted circuit depends on a bit of the user's; none of theirs does"
            )
    width = 1 + max((*entry, *exit, *(wire for operation in emitted for wire in operation.wires)))
    due, writes = _measure_onto(program, {bit: bit for bit in user_bit.values()}, len(entry))
    found, writes_found = _measure_onto(emitted, user_bit, width)
    if writes.keys() != writes_found.keys():
        raise VerificationFailed(what="the emitted circuit does not write the user's bits as often as the program does")
    extra = tuple(writes_found[write] for write in writes)
    undoing = measured_next(found, user_bit)
    protocol = frozenset(place for place, operation in enumerate(found) if _is_protocol(operation, place in undoing))
    return Unmeasured(program=due, emitted=found, entry=(*entry, *extra), exit=(*exit, *extra), protocol=protocol)


def _measure_onto(
    operations: Sequence[Operation], user_bit: Mapping[int, int], width: int
) -> tuple[tuple[Operation, ...], dict[tuple[int, int], int]]:
    """The operations with measurements into user bits as CX onto wires from ``width``; and the wire of each write."""
    count: Counter[int] = Counter()
    writes: dict[tuple[int, int], int] = {}
    changed: list[Operation] = []
    for operation in operations:
        if operation.kind is Kind.MEASURE and operation.bit is not None and operation.bit in user_bit:
            bit = user_bit[operation.bit]
            count[bit] += 1
            wire = writes[bit, count[bit]] = width + len(writes)
            changed.append(Operation(Kind.GATE, "cx", (operation.wires[0], wire)))
        else:
            changed.append(operation)
    return tuple(changed), writes


def _is_protocol(operation: Operation, undoing: bool) -> bool:  # noqa: FBT001 - a property of the place, not an option
    if operation.kind is not Kind.GATE or operation.condition:
        return True
    return undoing if operation.name == "h" else len(operation.wires) == 2 and not is_controlled_phase(operation)


def check_census(pair: Unmeasured) -> None:
    """Check that both circuits hold the same phases and the same gates that end copies, value by value; O(operations).

    Raises:
        VerificationFailed: they do not; one differing gate is named.
    """
    angles = Angles()
    logical = [operation for place, operation in enumerate(pair.emitted) if place not in pair.protocol]
    due = Counter(name for operation in pair.program for name in _values(operation, angles))
    found = Counter(name for operation in logical for name in _values(operation, angles))
    if due != found:
        missing, extra = due - found, found - due
        kind, value = next(iter(missing or extra))
        shown = f"{value:.9g}" if isinstance(value, float) else "a matrix"
        what = "lacks" if missing else "has too many of"
        raise VerificationFailed(what=f"the emitted circuit {what} a gate of the program: {kind} of {shown}")


def _values(operation: Operation, angles: Angles) -> list[tuple[str, float | bytes]]:
    """What a gate is, by kind and value; an X counts for nothing, since each copy takes one."""
    if operation.name == "cx":
        return []
    if is_controlled_phase(operation):
        return [("controlled phase", value)] if (value := angles(phase_of(operation))) else []
    angle, _ = _phase_and_flip(operation)
    if angle is None:
        return [("gate that ends copies", _rounded(operation))]
    return [("phase", value)] if (value := angles(angle)) else []


def check_skeletons(pair: Unmeasured, *, keys: int, seed: int) -> Verdict:
    """Return the verdict of ``keys`` skeletons: the first that fails, or the last."""
    verdict = Verdict(equivalent=True)
    for number in range(keys):
        emitted, program = _skeletons(pair, number, seed)
        verdict = equivalent(emitted, program, entry=pair.entry, exit=pair.exit)
        if not verdict.equivalent:
            break
    return verdict


def check_samples(pair: Unmeasured, *, keys: int, shots: int, seed: int) -> Verdict:
    """Return the verdict of ``shots`` random branches on one random stabilizer input for each of ``keys`` skeletons.

    Evidence only: a wrong circuit shows with some probability in each shot.
    """
    rng = seeds.stream(seed, "verify", "samples")
    width = 1 + max((*pair.entry, *pair.exit, *(wire for each in pair.emitted for wire in each.wires)))
    for number in range(keys):
        emitted, program = _skeletons(pair, number, seed)
        axes = rng.choice(np.array(["X", "Y", "Z"]), size=len(pair.entry))
        run = stim.Circuit()
        run.append("I", [width - 1])
        for wire, axis in zip(pair.entry, axes, strict=True):
            run.append(f"R{axis}", [wire])
        flips = rng.random(len(pair.entry)) < 0.5
        for wire, axis, flip in zip(pair.entry, axes, flips, strict=True):
            if flip:
                run.append("X" if axis == "Z" else "Z", [wire])
        run += emitted
        run += relabel(program.inverse(), pair.exit)
        for wire, axis in zip(pair.exit, axes, strict=True):
            run.append(f"M{axis}", [wire])
        sampler = run.compile_sampler(seed=seeds.word(seed, "verify", "samples", number))
        wrong = sampler.sample(shots)[:, -len(pair.exit) :] != flips
        if wrong.any():
            qubit = int(wrong.any(axis=0).argmax())
            return Verdict(equivalent=False, qubit=qubit, pauli=str(axes[qubit]))
    return Verdict(equivalent=True)


# ------------------------------------------------------------------------------------------------------------ the map


def _skeletons(pair: Unmeasured, number: int, seed: int) -> tuple[stim.Circuit, stim.Circuit]:
    skeleton = _Skeleton(number, seed)
    emitted: list[Operation] = []
    for place, operation in enumerate(pair.emitted):
        emitted += [operation] if place in pair.protocol else skeleton(operation)
    program = [each for operation in pair.program for each in skeleton(operation)]
    return stim_circuit(emitted), stim_circuit(program)


class _Skeleton:
    """One key's map from gates to Clifford gates; the first keeps every controlled phase, others drop 1/4 or 1/2."""

    def __init__(self, number: int, seed: int) -> None:
        self._secret = struct.pack("<4I", *seeds.key(seed, "verify", "skeleton", number))
        self._dropped_in_eighths = 0 if number == 0 else (2, 4)[number % 2]
        self._angles = Angles()
        self._known: dict[object, tuple[str, ...]] = {}

    def __call__(self, operation: Operation) -> list[Operation]:
        """Return the Clifford gates that stand for one gate; a CX stands for a measurement and stays."""
        if operation.name == "cx":
            return [operation]
        if is_controlled_phase(operation):
            value = self._folded(phase_of(operation))
            keep = value != 0.0 and self._hash("cp", value) % 8 >= self._dropped_in_eighths
            return [Operation(Kind.GATE, "cz", operation.wires)] if keep else []
        key = (operation.name, operation.params) if operation.gate is None else None
        names = self._known.get(key) if key is not None else None
        if names is None:
            names = self._one_qubit(operation)
            self._known[key] = names
        return [Operation(Kind.GATE, name.lower(), operation.wires) for name in names]

    def _one_qubit(self, operation: Operation) -> tuple[str, ...]:
        angle, flip = _phase_and_flip(operation)
        if angle is None:
            return _BREAKS[self._hash("u", _rounded(operation)) % 16]
        return (("X",) if flip else ()) + ("S",) * self._power(angle)

    def _power(self, angle: float) -> int:
        """The power of S for a phase: odd in the angle, so that X P(a) X and P(-a) still agree up to phase."""
        value = self._folded(angle)
        if value == 0.0:
            return 0
        power = self._hash("p", value) % 4
        if abs(value - math.pi) < 1e-8:
            return 2 * (power % 2)
        return power if angle % (2 * math.pi) < math.pi else -power % 4

    def _folded(self, angle: float) -> float:
        angle %= 2 * math.pi
        return self._angles(min(angle, 2 * math.pi - angle))

    def _hash(self, kind: str, value: float | bytes) -> int:
        payload = value if isinstance(value, bytes) else struct.pack("<d", value)
        return hashlib.blake2b(kind.encode() + payload, key=self._secret, digest_size=4).digest()[0]


def _phase_and_flip(operation: Operation) -> tuple[float | None, bool]:
    """The angle of a phase, and whether an X comes before it; None for a gate that is neither."""
    (a, b), (c, d) = operation.matrix().tolist()
    if abs(b) < 1e-9 and abs(c) < 1e-9:
        return float(np.angle(d / a)), False
    if abs(a) < 1e-9 and abs(d) < 1e-9:
        return float(np.angle(c / b)), True
    return None, False


def _rounded(operation: Operation) -> bytes:
    """The matrix up to phase, rounded to 1e-9, as bytes."""
    matrix = operation.matrix()
    matrix = np.round(matrix * np.exp(-1j * np.angle(matrix[0, 0])) * 1e9) if abs(matrix[0, 0]) > 1e-9 else matrix
    return (matrix + 0.0).tobytes()
