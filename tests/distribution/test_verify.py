"""Verification against an independent lowering: random homes, gate sites, chained copies, moves; and its mutants."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
from qiskit import QuantumCircuit, QuantumRegister
from qiskit.circuit import ClassicalRegister, Gate

from hyperfabric_q.convert.operations import read
from hyperfabric_q.distribution.strands import Proved, Uncut, prove
from hyperfabric_q.distribution.verify import MAX_SKELETON_WIRES, haar_state, verify, verify_rebase
from hyperfabric_q.errors import SimulationRefused, UnknownName, VerificationFailed

BREAK, PHASE, FLIP, CP = "u", "p", "x", "cp"


@dataclass(frozen=True)
class Emitted:
    """An emitted circuit as rows, so that mutants are edits of a list."""

    rows: tuple
    wires: tuple  # (node, kind) of each wire
    bits: int
    user_bits: int
    entry: tuple
    exit: tuple

    @property
    def circuit(self):
        circuit = QuantumCircuit(QuantumRegister(len(self.wires), "w"))
        if self.user_bits:
            circuit.add_register(ClassicalRegister(self.user_bits, "c"))
        circuit.add_register(ClassicalRegister(max(1, self.bits), "proto"))
        for row in self.rows:
            append(circuit, row, self.user_bits)
        return circuit


@dataclass(frozen=True)
class Source:
    """A program as rows over logical qubits."""

    rows: tuple
    qubits: int
    user_bits: int = 0

    def to_circuit(self):
        circuit = QuantumCircuit(QuantumRegister(self.qubits, "q"))
        if self.user_bits:
            circuit.add_register(ClassicalRegister(self.user_bits, "c"))
        for row in self.rows:
            append(circuit, row, self.user_bits)
        return circuit


class Pair(Gate):
    def __init__(self):
        super().__init__("bell_pair", 2, [])

    def _define(self):
        self.definition = QuantumCircuit(2)
        self.definition.h(0)
        self.definition.cx(0, 1)


def append(circuit, row, user_bits):
    name, *rest = row
    if name == "u":
        circuit.u(*rest[1], rest[0])
    elif name == "p":
        circuit.p(rest[1], rest[0])
    elif name == "cp":
        circuit.cp(rest[2], rest[0], rest[1])
    elif name == "pair":
        circuit.append(Pair(), rest)
    elif name == "user":
        circuit.measure(rest[0], rest[1])
    elif name == "measure":
        circuit.measure(rest[0], user_bits + rest[1])
    elif name == "if":
        with circuit.if_test((circuit.clbits[user_bits + rest[0]], 1)):
            getattr(circuit, rest[1])(rest[2])
    elif name == "user_if":
        with circuit.if_test((circuit.clbits[rest[0]], 1)):
            append(circuit, rest[1], user_bits)
    else:
        getattr(circuit, name)(*rest)


def random_source(rng, qubits, gates, *, clifford=False, measure=0, dynamic=False):
    rows = []
    angle = (
        (lambda: float(rng.choice([np.pi / 2, np.pi, -np.pi / 2]))) if clifford else (lambda: float(rng.uniform(-3, 3)))
    )
    for _ in range(gates):
        kind = rng.choice([BREAK, PHASE, FLIP, CP, CP, CP])
        q, r = (int(each) for each in rng.permutation(qubits)[:2])
        if kind == BREAK:
            rows.append(
                ("u", q, (np.pi / 2, angle(), angle()) if clifford else (angle() % 2.8 + 0.1, angle(), angle()))
            )
        elif kind == PHASE:
            rows.append(("p", q, angle()))
        elif kind == FLIP:
            rows.append(("x", q))
        else:
            rows.append(("cp", q, r, np.pi if clifford else angle()))
        if dynamic and rng.random() < 0.15:
            rows.append(("user", q, 0))
            rows.append(
                ("user_if", 0, [("x", r), ("p", r, 0.7), ("u", r, (0.4, 0.1, 0.2)), ("cp", q, r, 0.9)][rng.integers(4)])
            )
        if dynamic and rng.random() < 0.05:
            rows.append(("reset", q))
    rows += [("user", q, q) for q in range(measure)]
    return Source(tuple(rows), qubits, max(measure, int(dynamic)))


class Lowering:
    """Copies spread lazily from any live wire, gates sited anywhere, homes that move to any live wire at a break."""

    def __init__(self, source, nodes, rng, *, third_party=0.3, move=0.3):
        self.source, self.nodes, self.rng = source, nodes, rng
        self.third_party, self.move = third_party, move
        self.rows, self.wires, self.bits = [], [], 0
        self.free, self.dirty = {node: [] for node in range(nodes)}, set()
        self.live = []
        for _ in range(source.qubits):
            node = int(rng.integers(nodes))
            self.live.append({node: self.new(node, "data")})
        self.home = [next(iter(each)) for each in self.live]
        entry = tuple(next(iter(each.values())) for each in self.live)
        for row in source.rows:
            self.lower(row)
        for q in range(source.qubits):
            self.settle(q)
        exits = tuple(next(iter(each.values())) for each in self.live)
        self.emitted = Emitted(tuple(self.rows), tuple(self.wires), self.bits, source.user_bits, entry, exits)

    def new(self, node, kind):
        self.wires.append((node, kind))
        return len(self.wires) - 1

    def take(self, node):
        wire = self.free[node].pop() if self.free[node] else self.new(node, "comm")
        if wire in self.dirty:
            self.rows.append(("reset", wire))
        self.dirty.add(wire)
        return wire

    def measure(self, wire, pauli, target):
        self.rows += [("measure", wire, self.bits), ("if", self.bits, pauli, target)]
        self.bits += 1
        self.free[self.wires[wire][0]].append(wire)
        self.dirty.add(wire)

    def copy(self, q, node):
        if node in self.live[q]:
            return
        source_node = list(self.live[q])[self.rng.integers(len(self.live[q]))]
        half, far = self.take(source_node), self.take(node)
        self.rows += [("pair", half, far), ("cx", self.live[q][source_node], half)]
        self.measure(half, "x", far)
        self.live[q][node] = far

    def settle(self, q):
        nodes = list(self.live[q])
        keep = nodes[self.rng.integers(len(nodes))] if self.rng.random() < self.move else self.home[q]
        self.home[q] = keep
        for node in [each for each in nodes if each != keep]:
            wire = self.live[q].pop(node)
            self.rows.append(("h", wire))
            self.measure(wire, "z", self.live[q][keep])

    def lower(self, row, condition=None):
        name, q, *rest = row

        def emit(each):
            self.rows.append(each if condition is None else ("user_if", condition, each))

        if name == "user_if":
            self.lower(rest[0], condition=q)
        elif name in ("u", "reset"):
            self.settle(q)
            emit((name, self.live[q][self.home[q]], *rest))
        elif name in ("p", "user"):
            wires = list(self.live[q].values())
            emit((name, wires[self.rng.integers(len(wires))], *rest))
        elif name == "x":
            for wire in self.live[q].values():
                emit(("x", wire))
        else:
            r, angle = rest
            site = int(self.rng.integers(self.nodes)) if self.rng.random() < self.third_party else self.home[q]
            self.copy(q, site)
            self.copy(r, site)
            emit(("cp", self.live[q][site], self.live[r][site], angle))


def lowered(seed, qubits=5, gates=25, nodes=3, **options):
    rng = np.random.default_rng(seed)
    source = random_source(rng, qubits, gates, **options)
    return source, Lowering(source, nodes, rng).emitted


def strands(source, emitted):
    bits = {bit: bit for bit in range(source.user_bits)}
    return prove(
        read(source.to_circuit()), read(emitted.circuit), entry=emitted.entry, exit=emitted.exit, user_bit=bits
    )


# ----------------------------------------------------------------------------------------------------------- mutants


def places(rows, name, **where):
    return [at for at, row in enumerate(rows) if row[0] == name and all(row[int(k[1:])] == v for k, v in where.items())]


def without(rows, at):
    return rows[:at] + rows[at + 1 :]


def with_row(rows, at, row):
    return (*rows[:at], row, *rows[at + 1 :])


def correction_dropped(pauli):
    def mutate(emitted, rng):
        at = rng.choice(places(emitted.rows, "if", _2=pauli))
        return replace(emitted, rows=without(emitted.rows, at))

    return mutate


def wrong_bit(emitted, rng):
    at = rng.choice(places(emitted.rows, "if"))
    _, bit, pauli, wire = emitted.rows[at]
    return replace(emitted, rows=with_row(emitted.rows, at, ("if", bit - 1 if bit else 1, pauli, wire)))


def pauli_swapped(emitted, rng):
    at = rng.choice(places(emitted.rows, "if"))
    _, bit, pauli, wire = emitted.rows[at]
    return replace(emitted, rows=with_row(emitted.rows, at, ("if", bit, "z" if pauli == "x" else "x", wire)))


def dropped(name):
    def mutate(emitted, rng):
        return replace(emitted, rows=without(emitted.rows, rng.choice(places(emitted.rows, name))))

    return mutate


def phase_on_wrong_wire(emitted, rng):
    at = rng.choice(places(emitted.rows, "cp"))
    _, a, b, angle = emitted.rows[at]
    other = rng.choice([wire for wire in emitted.entry if wire not in (a, b)])
    return replace(emitted, rows=with_row(emitted.rows, at, ("cp", a, int(other), angle)))


def angle_off(emitted, rng):
    at = rng.choice(places(emitted.rows, "cp"))
    _, a, b, angle = emitted.rows[at]
    return replace(emitted, rows=with_row(emitted.rows, at, ("cp", a, b, angle + 1e-3)))


def break_before_disentangling(emitted, rng):
    rows = emitted.rows
    candidates = [
        at
        for at in places(rows, "u")
        if rows[at - 1][0] == "if" and rows[at - 1][2] == "z" and rows[at - 1][3] == rows[at][1]
    ]
    at = rng.choice(candidates)
    moved = (*rows[: at - 3], rows[at], *rows[at - 3 : at], *rows[at + 1 :])
    return replace(emitted, rows=moved)


def disentangling_missing(emitted, rng):
    at = rng.choice([at for at in places(emitted.rows, "h") if emitted.rows[at + 1][0] == "measure"])
    return replace(emitted, rows=(*emitted.rows[:at], *emitted.rows[at + 3 :]))


def outputs_swapped(emitted, rng):
    exits = list(emitted.exit)
    a, b = rng.permutation(len(exits))[:2]
    exits[a], exits[b] = exits[b], exits[a]
    return replace(emitted, exit=tuple(exits))


MISTAKES = {
    "X correction dropped": correction_dropped("x"),
    "Z correction dropped": correction_dropped("z"),
    "correction reads the wrong bit": wrong_bit,
    "X for Z": pauli_swapped,
    "controlled phase dropped": dropped("cp"),
    "gate dropped": dropped("u"),
    "phase dropped": dropped("p"),
    "X missing on a copy": dropped("x"),
    "CX of a pair missing": dropped("cx"),
    "H missing before a disentangling": dropped("h"),
    "wire not reset": dropped("reset"),
    "controlled phase on the wrong wire": phase_on_wrong_wire,
    "angle off by 1e-3": angle_off,
    "gate before disentangling": break_before_disentangling,
    "copy left entangled": disentangling_missing,
    "outputs swapped": outputs_swapped,
}


# -------------------------------------------------------------------------------------------------------------- laws


@pytest.mark.parametrize("options", [{}, {"measure": 5}, {"dynamic": True}, {"clifford": True}], ids=str)
@pytest.mark.parametrize("seed", range(4))
def test_a_correct_lowering_is_proved_by_branches_and_by_strands(options, seed):
    source, emitted = lowered(seed, **options)
    found = verify(source, emitted, seed=seed)
    assert (found.label, found.method) == ("proved", "branches")
    proof = strands(source, emitted)
    assert isinstance(proof, Proved)
    assert proof.distributed > 0


@pytest.mark.parametrize("options", [{}, {"measure": 4}, {"clifford": True}], ids=str)
@pytest.mark.parametrize("mode", ["skeleton", "sampled"])
def test_a_correct_lowering_raises_no_false_alarm(options, mode):
    for seed in range(4):
        source, emitted = lowered(seed, **options)
        found = verify(source, emitted, mode=mode, seed=seed)
        assert found.label == mode
        assert found.keys > 0


def outcome_of(check):
    try:
        return check()
    except VerificationFailed:
        return "wrong"


@pytest.mark.parametrize("mistake", MISTAKES)
def test_every_method_finds_every_mistake(mistake):
    """The state vector decides which mutants are mistakes; strands agree exactly, skeletons catch all of these."""
    wrong = 0
    for seed in range(5):
        source, emitted = lowered(seed)
        try:
            mutant = MISTAKES[mistake](emitted, np.random.default_rng(seed))
        except ValueError:  # nothing of that kind in this circuit
            continue
        truth = outcome_of(lambda s=source, m=mutant: verify(s, m, seed=1).method)
        proof = outcome_of(lambda s=source, m=mutant: type(strands(s, m)))
        structure = outcome_of(lambda s=source, m=mutant: verify(s, m, mode="skeleton", seed=1).label)
        if truth == "wrong":
            wrong += 1
            assert proof in ("wrong", Uncut)
            assert structure == "wrong"
        else:  # a mutant that changes nothing, such as an X missing on a copy that is not used again
            assert (truth, proof, structure) == ("branches", Proved, "skeleton")
    assert wrong >= 1


def test_an_angle_error_of_a_hundred_thousandth_is_seen_by_the_state_vector():
    source, emitted = lowered(3)
    at = places(emitted.rows, "cp")[0]
    _, a, b, angle = emitted.rows[at]
    mutant = replace(emitted, rows=with_row(emitted.rows, at, ("cp", a, b, angle + 1e-5)))
    with pytest.raises(VerificationFailed, match="infidelity"):
        verify(source, mutant, seed=0)


def test_a_measurement_into_the_wrong_user_bit_is_found_by_every_method():
    source, emitted = lowered(2, measure=3)
    rows = tuple(("user", row[1], (row[2] + 1) % 3) if row[0] == "user" else row for row in emitted.rows)
    for mode in ("auto", "skeleton", "sampled"):
        with pytest.raises(VerificationFailed):
            verify(source, replace(emitted, rows=rows), mode=mode, seed=0)
    with pytest.raises(VerificationFailed):
        strands(source, replace(emitted, rows=rows))


def test_a_condition_on_the_earlier_value_of_a_rewritten_bit_is_found():
    source = Source(
        (("u", 0, (0.7, 0, 0)), ("user", 0, 0), ("user_if", 0, ("x", 1)), ("u", 0, (0.9, 0, 0)), ("user", 0, 0)), 2, 1
    )
    late = (*source.rows[:2], *source.rows[3:], source.rows[2])
    emitted = Emitted(late, (("a", "data"), ("b", "data")), 0, 1, (0, 1), (0, 1))
    with pytest.raises(VerificationFailed):
        verify(source, emitted, seed=0)
    with pytest.raises(VerificationFailed):
        strands(source, emitted)


def block_lowering(source, nodes, seed=0):
    """Homes in blocks of equal size, gates at the home of their first qubit, no moves."""

    homes = [q * nodes // source.qubits for q in range(source.qubits)]

    class Blocks(np.random.Generator):
        def integers(self, *args):
            return homes.pop(0) if homes else super().integers(*args)

    return Lowering(source, nodes, Blocks(np.random.PCG64(seed)), third_party=0, move=0).emitted


def brickwork(qubits, layers, rng):
    rows = []
    for layer in range(layers):
        rows += [("u", q, tuple(rng.uniform(0.1, 2.8, 3))) for q in range(qubits) if rng.random() < 0.5]
        rows += [("cp", q, q + 1, float(rng.uniform(-3, 3))) for q in range(layer % 2, qubits - 1, 2)]
    return Source(tuple(rows), qubits)


def test_two_thousand_qubits_are_proved_in_seconds():
    source = brickwork(2000, 10, np.random.default_rng(5))
    assert len(source.rows) > 19_000
    found = verify(source, block_lowering(source, 3), seed=0)
    assert (found.label, found.method) == ("proved", "strands")
    assert found.seconds < 12


def test_a_wrong_angle_among_two_thousand_qubits_is_found():
    source = brickwork(2000, 2, np.random.default_rng(6))
    with pytest.raises(VerificationFailed, match="logical qubit"):
        verify(source, angle_off(block_lowering(source, 3), np.random.default_rng(0)), seed=0)


def hadamard(q):
    return ("u", q, (np.pi / 2, 0.0, np.pi))


def ghz(qubits):
    rows = [hadamard(0)]
    for q in range(qubits - 1):
        rows += [hadamard(q + 1), ("cp", q, q + 1, np.pi), hadamard(q + 1)]
    return Source(tuple(rows), qubits)


def graph_state(qubits, edges, rng):
    pairs = [rng.choice(qubits, 2, replace=False) for _ in range(edges)]
    return Source((*(hadamard(q) for q in range(qubits)), *(("cp", int(a), int(b), np.pi) for a, b in pairs)), qubits)


@pytest.mark.parametrize("source", [ghz(200), graph_state(100, 200, np.random.default_rng(1))], ids=["ghz", "graph"])
def test_wide_stabilizer_states_are_proved(source):
    found = verify(source, block_lowering(source, 4), seed=0)
    assert found.label == "proved"
    assert found.seconds < 5


def test_a_wide_clifford_circuit_that_cannot_be_cut_is_proved_whole_by_stabilizers():
    source = ghz(12)
    emitted = block_lowering(source, 3)
    a, b = emitted.exit[:2]
    swap = tuple(("cx", *each) for each in ((a, b), (b, a), (a, b)))
    twisted = replace(emitted, rows=emitted.rows + swap, exit=(b, a, *emitted.exit[2:]))
    assert isinstance(strands(source, twisted), Uncut)
    found = verify(source, twisted, seed=0)
    assert (found.label, found.method) == ("proved", "stabilizer")
    with pytest.raises(VerificationFailed):
        verify(source, replace(twisted, exit=emitted.exit), seed=0)


def test_a_wide_circuit_that_cannot_be_cut_gets_a_skeleton_not_a_proof():
    source = brickwork(12, 4, np.random.default_rng(2))
    emitted = block_lowering(source, 2)
    undone = tuple(("cx", 0, 1) for _ in range(2))
    found = verify(source, replace(emitted, rows=undone + emitted.rows), seed=0)
    assert (found.label, found.keys) == ("skeleton", 8)
    with pytest.raises(SimulationRefused, match="proved"):
        verify(source, replace(emitted, rows=undone + emitted.rows), mode="proved", seed=0)


def test_a_skeleton_census_finds_an_angle_that_every_skeleton_may_miss():
    source, emitted = lowered(4)
    with pytest.raises(VerificationFailed):
        verify(source, angle_off(emitted, np.random.default_rng(0)), mode="skeleton", seed=0)


def test_skipped_says_so_and_unknown_modes_are_refused():
    source, emitted = lowered(0)
    assert verify(source, emitted, mode="skipped", seed=0).label == "skipped"
    with pytest.raises(UnknownName, match="skeleton"):
        verify(source, emitted, mode="skeletons", seed=0)
    wide = brickwork(MAX_SKELETON_WIRES + 1, 1, np.random.default_rng(0))
    with pytest.raises(SimulationRefused, match="bound"):
        verify(wide, block_lowering(wide, 1), mode="skeleton", seed=0)


def test_the_verdict_does_not_depend_on_where_measurements_stand():
    """All measurements as early and all corrections as late as they can be: the same operations, another order."""
    source, emitted = lowered(6)
    rng = np.random.default_rng(0)
    rows = list(emitted.rows)
    touched = lambda row: {("w", w) for w in wires_of(row)} | {("b", b) for b in bits_of(row)}  # noqa: E731
    for _ in range(4000):
        at = int(rng.integers(len(rows) - 1))
        late = rows[at][0] == "if" or rows[at + 1][0] == "measure"
        if late and touched(rows[at]).isdisjoint(touched(rows[at + 1])):
            rows[at], rows[at + 1] = rows[at + 1], rows[at]
    shuffled = replace(emitted, rows=tuple(rows))
    assert shuffled.rows != emitted.rows
    assert verify(source, shuffled, seed=0).label == "proved"
    assert isinstance(strands(source, shuffled), Proved)


def wires_of(row):
    name, *rest = row
    return {"if": rest[-1:], "pair": rest, "cx": rest, "cp": rest[:2]}.get(name, rest[:1])


def bits_of(row):
    return {"if": row[1:2], "measure": row[2:3]}.get(row[0], ())


def test_rebase_is_checked_against_the_users_circuit():
    circuit = QuantumCircuit(3, 3)
    circuit.h(0)
    circuit.cx(0, 1)
    circuit.ccx(0, 1, 2)
    circuit.measure(0, 0)
    with circuit.if_test((circuit.cregs[0], 1)):
        circuit.sx(1)
    circuit.measure([1, 2], [1, 2])

    class Program:
        def __init__(self, circuit):
            self.circuit = circuit

        def to_circuit(self):
            return self.circuit

    assert verify_rebase(circuit, Program(circuit.decompose(["ccx"])), seed=0).label == "proved"
    other = circuit.copy()
    other.data.pop(0)
    with pytest.raises(VerificationFailed):
        verify_rebase(circuit, Program(other), seed=0)
    assert verify_rebase(QuantumCircuit(11), Program(QuantumCircuit(11)), seed=0).label == "skipped"


def test_the_random_input_is_a_unit_vector_named_by_the_seed():
    assert np.linalg.norm(haar_state(4, 1)) == pytest.approx(1)
    assert (haar_state(4, 1) == haar_state(4, 1)).all()
    assert not np.allclose(haar_state(4, 1), haar_state(4, 2))
