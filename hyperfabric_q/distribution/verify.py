"""Does the emitted circuit do what the program does, whatever its measurements read?

The label says how much is known:

``proved``
    Exact for every measurement outcome. Three methods give it: *branches* (<= 10 qubits: the state vector on one
    Haar-random input, every measurement branch; two different channels agree on such an input with probability zero),
    *strands* (any width: see ``distribution.strands``), and *stabilizer* (Clifford circuits: see
    ``simulate.clifford``).
``skeleton``
    Evidence: the same structure under K value-keyed Clifford maps, each decided exactly, and an exact census of gate
    values.
``sampled``
    Weaker evidence: random measurement outcomes of such maps on random stabilizer inputs, and the census.
``skipped``
    Nothing was checked: on request, or because no method reaches the circuit; the detail says which.

A failed verification means that the circuit is not one our lowering may emit. Some hand-made circuits are refused
although they are right, for instance one that leaves out a correction whose effect a reset erases.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, Protocol, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray
from qiskit import QuantumCircuit

from hyperfabric_q import seeds
from hyperfabric_q.convert.operations import Operation, read
from hyperfabric_q.convert.stim import all_clifford, stim_circuit
from hyperfabric_q.distribution.skeleton import (
    Unmeasured,
    check_census,
    check_samples,
    check_skeletons,
    without_measurements,
)
from hyperfabric_q.distribution.strands import Proved, prove
from hyperfabric_q.errors import SimulationRefused, UnknownName, UnsupportedOperation, VerificationFailed
from hyperfabric_q.simulate.branches import Branch, branches
from hyperfabric_q.simulate.clifford import Verdict, equivalent
from hyperfabric_q.simulate.order import best_order, peak

Mode: TypeAlias = Literal["auto", "proved", "skeleton", "sampled", "skipped"]
Label: TypeAlias = Literal["proved", "skeleton", "sampled", "skipped"]

MAX_BRANCH_QUBITS = 10
MAX_BRANCH_WIRES = 22
MAX_BRANCH_WORK = 5e8
"""Operations × 2^wires, about three seconds."""
MAX_STABILIZER_WIRES = 800
MAX_SKELETON_WIRES = 400
MAX_SAMPLED_WIRES = 3000
MANY_WIRES = 800
"""Beyond these, one skeleton is sampled instead of several: 5 s at 2000 wires."""
SKELETON_KEYS = 8
SAMPLE_KEYS, SAMPLE_SHOTS = 4, 256
TIGHT, LOOSE = 1e-12, 1e-9
"""Largest infidelity of a correct circuit, for up to 5000 operations and beyond."""


class HasCircuit(Protocol):
    """What is needed of a program."""

    def to_circuit(self) -> QuantumCircuit:
        """Return the program as a Qiskit circuit."""
        ...


class HasWires(Protocol):
    """What is needed of a lowered circuit; ``entry[q]`` and ``exit[q]`` are wires of ``circuit``."""

    @property
    def circuit(self) -> QuantumCircuit:
        """The emitted circuit."""
        ...

    @property
    def entry(self) -> tuple[int, ...]:
        """Wire of each logical qubit at the start."""
        ...

    @property
    def exit(self) -> tuple[int, ...]:
        """Wire of each logical qubit at the end."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """What is known about an emitted circuit; one that is known to be wrong raises instead.

    Attributes:
        label: strength of the evidence, see the module.
        method: "branches", "strands", "stabilizer", "skeletons", "samples" or "none".
        detail: one sentence with the figures.
        keys: how many skeletons were run.
        seconds: wall-clock time it took.
    """

    label: Label
    method: str
    detail: str
    keys: int = 0
    seconds: float = 0.0

    def __str__(self) -> str:
        return f"{self.label} ({self.detail}; {self.seconds:.2g} s)"


def verify(program: HasCircuit, lowered: HasWires, *, mode: str = "auto", seed: int) -> Verification:
    """Return how the emitted circuit was shown to do what the program does.

    "auto" takes the strongest method within reach; "proved" insists on a proof; "skeleton" and "sampled" ask for that
    evidence.

    Raises:
        VerificationFailed: the emitted circuit is wrong.
        SimulationRefused: the mode asked for is out of reach for this circuit.
        UnknownName: there is no such mode.
    """
    if mode not in get_args(Mode):
        raise UnknownName(kind="verification mode", name=str(mode), known=get_args(Mode))
    if mode == "skipped":
        return Verification(label="skipped", method="none", detail="nothing was checked, as asked")
    started = time.perf_counter()
    case = _Case.of(program, lowered, seed)
    found, refusals = None, list[str]()
    for method in _METHODS[mode]:
        try:
            found = method(case)
            break
        except (SimulationRefused, UnsupportedOperation) as reason:
            refusals.append(reason.found if isinstance(reason, SimulationRefused) else str(reason).rstrip("."))
    if found is None and mode != "auto":
        raise SimulationRefused(
            asked=f"verification {mode!r} of {len(case.entry)} qubits on {case.wires} wires",
            found="; ".join(refusals),
            remedy="Use mode 'auto', which takes the strongest method within reach.",
        )
    if found is None:
        found = Verification(
            label="skipped", method="none", detail="no method reaches this circuit: " + "; ".join(refusals)
        )
    return replace(found, seconds=time.perf_counter() - started)


def verify_rebase(circuit: QuantumCircuit, program: HasCircuit, *, seed: int) -> Verification:
    """Return how the program was shown to be the user's circuit: on a Haar-random input, for every measurement outcome.

    "skipped" beyond 10 qubits, where the rewriting stands on its own check of each distinct gate.

    Raises:
        VerificationFailed: the program is another circuit.
    """
    started = time.perf_counter()
    qubits = circuit.num_qubits
    bits = range(circuit.num_clbits)
    if qubits > MAX_BRANCH_QUBITS:
        return Verification(label="skipped", method="none", detail=f"more than {MAX_BRANCH_QUBITS} qubits")
    state = haar_state(qubits, seed)
    try:
        users, programs = read(circuit), read(program.to_circuit())
        ideal, actual = (
            branches(
                best_order(each, inputs=range(qubits)),
                state=state,
                wires=range(qubits),
                outputs=range(qubits),
                keep_bits=bits,
            )
            for each in (users, programs)
        )
    except (SimulationRefused, UnsupportedOperation) as reason:
        return Verification(label="skipped", method="none", detail=str(reason), seconds=time.perf_counter() - started)
    worst = _worst(ideal, actual, "the rebased program", seed)
    tolerance = _tolerance(users)
    if worst > tolerance:
        raise VerificationFailed(what=f"the rebased program is not the circuit: infidelity {worst:.3g}", seed=seed)
    detail = f"rebase, {len(ideal)} outcome(s), infidelity below {tolerance:.0e}"
    return Verification(label="proved", method="branches", detail=detail, seconds=time.perf_counter() - started)


def haar_state(qubits: int, seed: int) -> NDArray[np.complex128]:
    """Return a Haar-random state of shape (2^qubits,), from the stream ("verify", "input") of ``seed``."""
    normal = seeds.stream(seed, "verify", "input").normal(size=(2, 1 << qubits))
    vector: NDArray[np.complex128] = normal[0] + 1j * normal[1]
    return vector / np.linalg.norm(vector)


# ----------------------------------------------------------------------------------------------------------- methods


@dataclass(frozen=True, slots=True, kw_only=True)
class _Case:
    """Both circuits as operations; ``user_bit`` leads from the emitted circuit's number of a bit to the program's."""

    program: tuple[Operation, ...]
    emitted: tuple[Operation, ...]
    entry: tuple[int, ...]
    exit: tuple[int, ...]
    user_bit: Mapping[int, int]
    wires: int
    seed: int

    @classmethod
    def of(cls, program: HasCircuit, lowered: HasWires, seed: int) -> _Case:
        original = program.to_circuit()
        emitted, now = without_swaps(read(lowered.circuit), lowered.circuit.num_qubits)
        return cls(
            program=read(original),
            emitted=emitted,
            entry=tuple(lowered.entry),
            exit=tuple(now[wire] for wire in lowered.exit),
            user_bit=_user_bits(original, lowered.circuit),
            wires=lowered.circuit.num_qubits,
            seed=seed,
        )

    def unmeasured(self) -> Unmeasured:
        return without_measurements(
            self.program, self.emitted, entry=self.entry, exit=self.exit, user_bit=self.user_bit
        )


def without_swaps(operations: Iterable[Operation], wires: int) -> tuple[tuple[Operation, ...], tuple[int, ...]]:
    """Return the operations with each swap replaced by its meaning, that the wires change names; and the last names.

    Args:
        operations: of a circuit on wires 0, 1, ..., ``wires`` - 1; the swaps among them are not conditional.
        wires: how many there are.
    """
    now = list(range(wires))
    left: list[Operation] = []
    for operation in operations:
        if operation.name == "swap" and not operation.condition:
            a, b = operation.wires
            now[a], now[b] = now[b], now[a]
        else:
            left.append(replace(operation, wires=tuple(now[wire] for wire in operation.wires)))
    return tuple(left), tuple(now)


def _by_branches(case: _Case) -> Verification:
    """Every measurement branch on one Haar-random input."""
    qubits = len(case.entry)
    kept = list(case.user_bit)
    _refuse_beyond("the number of qubits proved by branches", qubits, MAX_BRANCH_QUBITS)
    order = best_order(case.emitted, inputs=case.entry, keep_bits=kept)
    wires = peak(order, inputs=case.entry, keep_bits=kept).wires
    _refuse_beyond("the number of wires alive at once", wires, MAX_BRANCH_WIRES)
    _refuse_beyond("operations × 2^wires", len(order) * 2.0**wires, MAX_BRANCH_WORK)
    state = haar_state(qubits, case.seed)
    ideal = branches(
        best_order(case.program, inputs=range(qubits)),
        state=state,
        wires=range(qubits),
        outputs=range(qubits),
        keep_bits=[case.user_bit[bit] for bit in kept],
    )
    actual = branches(
        order, state=state, wires=case.entry, outputs=case.exit, keep_bits=kept, max_wires=MAX_BRANCH_WIRES
    )
    worst, tolerance = _worst(ideal, actual, "the emitted circuit", case.seed), _tolerance(case.emitted)
    if worst > tolerance:
        what = f"the emitted circuit is not the program: infidelity {worst:.3g} in a measurement branch"
        raise VerificationFailed(what=what, seed=case.seed)
    detail = f"all measurement branches on a Haar-random input, {wires} wires at most, infidelity below {tolerance:.0e}"
    return Verification(label="proved", method="branches", detail=detail)


def _by_strands(case: _Case) -> Verification:
    """One strand per logical qubit."""
    found = prove(case.program, case.emitted, entry=case.entry, exit=case.exit, user_bit=case.user_bit, seed=case.seed)
    if not isinstance(found, Proved):
        raise SimulationRefused(asked="a proof by strands", found=found.reason, remedy="Another method has to decide.")
    detail = f"{found.segments} segments, {found.distributed} with protocol steps, each for all outcomes"
    return Verification(label="proved", method="strands", detail=detail)


def _by_stabilizer(case: _Case) -> Verification:
    """The whole circuit by stabilizers, when it is Clifford."""
    _refuse_beyond("the number of wires for a stabilizer proof", case.wires, MAX_STABILIZER_WIRES)
    pair = case.unmeasured()
    if not (all_clifford(pair.program) and all_clifford(pair.emitted)):
        raise SimulationRefused(
            asked="a stabilizer proof", found="the circuit is not Clifford", remedy="Use skeletons."
        )
    verdict = equivalent(stim_circuit(pair.emitted), stim_circuit(pair.program), entry=pair.entry, exit=pair.exit)
    _require(verdict, case.seed)
    detail = f"{2 * len(pair.entry)} stabilizer flows with signs, for all outcomes"
    return Verification(label="proved", method="stabilizer", detail=detail)


def _by_skeletons(case: _Case) -> Verification:
    """Value-keyed Clifford skeletons and the census of values."""
    _refuse_beyond("the number of wires for skeletons", case.wires, MAX_SKELETON_WIRES)
    pair = case.unmeasured()
    _require(check_skeletons(pair, keys=SKELETON_KEYS, seed=case.seed), case.seed)
    check_census(pair)
    detail = f"{SKELETON_KEYS} value-keyed Clifford skeletons, each for all outcomes; equal gate values"
    return Verification(label="skeleton", method="skeletons", detail=detail, keys=SKELETON_KEYS)


def _by_samples(case: _Case) -> Verification:
    """Random outcomes of skeletons and the census of values."""
    _refuse_beyond("the number of wires for samples", case.wires, MAX_SAMPLED_WIRES)
    pair = case.unmeasured()
    check_census(pair)
    keys = SAMPLE_KEYS if case.wires <= MANY_WIRES else 1
    _require(check_samples(pair, keys=keys, shots=SAMPLE_SHOTS, seed=case.seed), case.seed)
    detail = f"{SAMPLE_SHOTS} random outcomes of each of {keys} Clifford skeleton(s); equal gate values"
    return Verification(label="sampled", method="samples", detail=detail, keys=keys)


_PROOFS = (_by_branches, _by_strands, _by_stabilizer)
_METHODS: Mapping[str, tuple[Callable[[_Case], Verification], ...]] = {
    "auto": (*_PROOFS, _by_skeletons, _by_samples),
    "proved": _PROOFS,
    "skeleton": (_by_skeletons,),
    "sampled": (_by_samples,),
}


# -------------------------------------------------------------------------------------------------------- comparison


def _worst(ideal: Sequence[Branch], actual: Sequence[Branch], what: str, seed: int) -> float:
    """The largest infidelity over the values of the user's bits, after checking that these are equally likely."""
    wanted, found = _by_bits(ideal), _by_bits(actual)
    worst = 0.0
    for bits in wanted.keys() | found.keys():
        due, got = wanted.get(bits, []), found.get(bits, [])
        probability, seen = (sum(branch.probability for branch in each) for each in (due, got))
        if abs(probability - seen) > LOOSE:
            outcome = "".join(map(str, reversed(bits)))
            shown = f"outcome {outcome}" if bits else "all branches together"
            text = f"{what} gives {shown} probability {seen:.9g} where {probability:.9g} is due"
            raise VerificationFailed(what=text, seed=seed)
        if len(due) == 1:
            column = due[0].state
            worst = max([worst, *(branch.infidelity(column) for branch in got)])
        elif due:
            worst = max(worst, _mixture_difference(due, got) / probability**2)
    return worst


def _by_bits(found: Iterable[Branch]) -> dict[tuple[int, ...], list[Branch]]:
    grouped: dict[tuple[int, ...], list[Branch]] = defaultdict(list)
    for branch in found:
        grouped[branch.bits].append(branch)
    return grouped


def _mixture_difference(left: Sequence[Branch], right: Sequence[Branch]) -> float:
    """Half the squared Frobenius distance of two mixtures: 1 - F for pure states; a user's reset leaves mixtures."""
    a, b = (np.hstack([np.sqrt(branch.probability) * branch.state for branch in each]) for each in (left, right))
    overlaps = [float(np.sum(np.abs(x.conj().T @ y) ** 2)) for x, y in ((a, a), (b, b), (a, b))]
    return max(0.0, (overlaps[0] + overlaps[1]) / 2 - overlaps[2])


def _tolerance(operations: Sequence[Operation]) -> float:
    return TIGHT if len(operations) <= 5000 else LOOSE


def _refuse_beyond(what: str, found: float, bound: float) -> None:
    if found > bound:
        raise SimulationRefused(
            asked="this method of verification",
            found=f"{what} is {found:,.0f}, the bound is {bound:,.0f}",
            remedy="Another method has to decide.",
        )


def _require(verdict: Verdict, seed: int) -> None:
    if not verdict.equivalent:
        raise VerificationFailed(what=f"the emitted circuit is not the program: {verdict}", seed=seed)


def _user_bits(original: QuantumCircuit, emitted: QuantumCircuit) -> dict[int, int]:
    """The program's number of each user bit of the emitted circuit: the same bit, or the same place in its register."""
    number = {bit: index for index, bit in enumerate(original.clbits)}
    same = {index: number[bit] for index, bit in enumerate(emitted.clbits) if bit in number}
    if len(same) == len(number):
        return same
    place = {bit: index for index, bit in enumerate(emitted.clbits)}
    registers = {register.name: register for register in emitted.cregs}
    named = [(registers[each.name], each) for each in original.cregs if each.name in registers]
    found = {place[theirs]: number[ours] for there, here in named for theirs, ours in zip(there, here, strict=False)}
    loose = [bit for bit in original.clbits if not original.find_bit(bit).registers]
    found.update(
        (place[theirs], number[ours]) for theirs, ours in zip(registers.get("c_loose", ()), loose, strict=False)
    )
    if not len(set(found.values())) == len(found) == len(number):
        raise VerificationFailed(what="the emitted circuit does not carry the user's classical bits")
    return found
