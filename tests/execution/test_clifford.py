"""Stim against closed forms, exact distributions and Aer's stabilizer method with errors placed by hand."""

import math
import time
from dataclasses import replace

import numpy as np
import pytest
import stim
from qiskit import ClassicalRegister, QuantumCircuit, QuantumRegister
from qiskit.circuit import IfElseOp
from qiskit.quantum_info import SuperOp
from qiskit_aer import AerSimulator
from qiskit_aer.noise import NoiseModel, ReadoutError, depolarizing_error, pauli_error, thermal_relaxation_error

from hyperfabric_q.distribution.local_figures import LocalFigures
from hyperfabric_q.errors import InvalidValue, SimulationRefused
from hyperfabric_q.execution.bit_counts import count, key_order
from hyperfabric_q.execution.clifford import sample_clifford, why_not_clifford
from hyperfabric_q.execution.late_paulis import add_late_paulis
from hyperfabric_q.execution.measured import measured
from hyperfabric_q.execution.noisy_stim import noisy_stim
from hyperfabric_q.execution.pauli_errors import twirled
from hyperfabric_q.execution.run_noise import Idle, RunNoise
from hyperfabric_q.execution.sample import spell
from hyperfabric_q.execution.stabilizer import as_stabilizer
from hyperfabric_q.fabric import Chip, ChipOperation, Fabric

SHOTS = 20_000


def close(p, shots=SHOTS):
    return pytest.approx(p, abs=5 * math.sqrt(max(p * (1 - p), 1e-4) / shots))


def quiet(plan, *, weights=(1.0, 0.0, 0.0, 0.0), local=False, idles=()):
    return RunNoise(pair_weights=np.tile(weights, (plan.ebits, 1)), idles=tuple(idles), local=local)


def werner(fidelity):
    return (fidelity, *((1 - fidelity) / 3,) * 3)


def run(plan, noise=None, *, shots=SHOTS, seed=5):
    plan, reported = measured(plan)
    return sample_clifford(plan, noise or quiet(plan), shots=shots, seed=seed, reported=reported)


def share(sample, chosen):
    """Share of the shots whose key meets a test."""
    return sum(hits for key, hits in sample.counts.items() if chosen(key)) / sum(sample.counts.values())


def bits_of(sample):
    """Rows of 0 and 1, bit 0 first, and how often each occurs."""
    rows = np.array([[int(bit) for bit in key[::-1] if bit != " "] for key in sample.counts])
    return rows, np.array(list(sample.counts.values()))


def by_thirds(qubits):
    return [f"qpu-{3 * qubit // qubits}" for qubit in range(qubits)]


def ghz(qubits):
    circuit = QuantumCircuit(qubits)
    circuit.h(0)
    for qubit in range(qubits - 1):
        circuit.cx(qubit, qubit + 1)
    return circuit


def mirrored(qubits, layers, seed):
    """A random Clifford brickwork and its inverse: without errors every qubit ends in |0>."""
    rng = np.random.default_rng(seed)
    circuit = QuantumCircuit(qubits)
    for layer in range(layers):
        for qubit in range(qubits):
            getattr(circuit, ("h", "s", "sx", "x")[rng.integers(4)])(qubit)
        for qubit in range(layer % 2, qubits - 1, 2):
            circuit.cz(qubit, qubit + 1)
    inverse = circuit.inverse()
    circuit.barrier()  # otherwise the compiler sees that nothing is left
    return circuit.compose(inverse)


# --------------------------------------------------------------------------------------------------------- closed forms


@pytest.mark.parametrize("qubits", [6, 30])
def test_ghz_over_noisy_pairs_breaks_between_nodes_only(plan_of, qubits):
    plan = plan_of(ghz(qubits), Fabric.line([qubits // 3] * 3), by_thirds(qubits))
    assert plan.ebits == 2
    counts = run(plan, quiet(plan, weights=werner(0.85))).counts
    flip = 2 * (1 - 0.85) / 3
    third = qubits // 3
    expected = {}
    for first in "01":
        for a in (0, 1):
            for b in (0, 1):
                second, last = int(first) ^ a, int(first) ^ a ^ b
                key = "".join(str(each) * third for each in (last, second, int(first)))
                expected[key] = SHOTS / 2 * math.prod(flip if each else 1 - flip for each in (a, b))
    assert set(counts) <= set(expected)
    chi2 = sum((counts.get(key, 0) - mean) ** 2 / mean for key, mean in expected.items())
    assert chi2 < 30  # 7 degrees of freedom: 1 in 10,000


def test_phase_errors_of_pairs_show_in_the_parity_of_x(plan_of):
    circuit = ghz(12)
    for qubit in range(12):
        circuit.h(qubit)
    plan = plan_of(circuit, Fabric.line([4, 4, 4]), by_thirds(12))
    odd = share(run(plan, quiet(plan, weights=werner(0.85))), lambda key: key.count("1") % 2)
    turn = 2 * (1 - 0.85) / 3
    assert odd == close(2 * turn * (1 - turn))


@pytest.mark.parametrize(("weights", "z_wrong", "x_wrong"), [((0.6, 0.4, 0, 0), 1, 0), ((0.6, 0, 0, 0.4), 0, 1)])
def test_kinds_of_pair_errors_are_told_apart(plan_of, weights, z_wrong, x_wrong):
    # A copy of |1> serves a CZ with |+>: the X error takes the phase away, the Z error is one of the copied qubit.
    circuit = QuantumCircuit(2)
    circuit.x(0)
    circuit.h(1)
    circuit.cz(0, 1)
    circuit.h(1)
    plan = plan_of(circuit, Fabric.line([1, 1]), ["qpu-0", "qpu-1"])
    copied = plan.packets[0].qubit
    wrong = share(run(plan, quiet(plan, weights=weights)), lambda key: key != "11")
    assert wrong == close(0.4 * (z_wrong if copied == 0 else x_wrong))


def test_a_misread_protocol_bit_misleads_the_correction_that_reads_it(plan_of):
    circuit = QuantumCircuit(2, 1)
    circuit.x(0)
    circuit.h(1)
    circuit.cz(0, 1)
    circuit.h(1)
    circuit.measure(1, 0)
    fabric = Fabric.line([1, 1]).replace("nodes.qpu-0", readout_error=0.1)
    plan = plan_of(circuit, fabric, ["qpu-0", "qpu-1"])
    # Either the cat bit of qubit 0 flips its copy, or the last bit of the copy of qubit 1 turns qubit 1: once in ten.
    assert share(run(plan, quiet(plan, local=True)), lambda key: key == "0") == close(0.1)
    fabric = Fabric.line([1, 1]).replace("nodes.qpu-1", readout_error=0.1)
    plan = plan_of(circuit, fabric, ["qpu-0", "qpu-1"])
    wrong = 0.1 if plan.packets[0].qubit == 0 else 2 * 0.1 * 0.9
    assert share(run(plan, quiet(plan, local=True)), lambda key: key == "0") == close(wrong)


def test_a_conditional_gate_errs_only_when_it_happens(plan_of):
    circuit = QuantumCircuit(2, 2)
    circuit.h(0)
    circuit.measure(0, 0)
    with circuit.if_test((circuit.clbits[0], 1)):
        circuit.x(1)
    circuit.measure(1, 1)
    fabric = Fabric.line([1, 1]).replace("nodes.qpu-1", gate_error_1q=0.15)
    plan = plan_of(circuit, fabric, ["qpu-0", "qpu-1"])
    sample = run(plan, quiet(plan, local=True))
    assert share(sample, lambda key: key == "10") == 0
    assert share(sample, lambda key: key == "11") == close((1 - 0.15) / 2)


@pytest.mark.parametrize(("t1", "t2"), [(math.inf, 3.0), (5.0, 3.0), (2.0, 4.0)])
def test_twirl_keeps_the_diagonal_of_the_relaxation_channel(t1, t2):
    i, x, y, z = twirled(Idle(0, 0, 0.8, t1, t2))
    assert i + x + y + z == pytest.approx(1)
    assert min(x, y, z) >= 0
    exact, twirl = (
        SuperOp(thermal_relaxation_error(t1, t2, 0.8)),
        SuperOp(pauli_error(list(zip("IXYZ", (i, x, y, z), strict=True)))),
    )
    for matrix in (np.array([[0, 1], [1, 0]]), np.array([[0, -1j], [1j, 0]]), np.diag([1, -1])):
        means = [np.trace(matrix @ (each.data @ matrix.T.reshape(4)).reshape(2, 2).T).real for each in (exact, twirl)]
        assert means[0] == pytest.approx(means[1])


def test_waits_act_before_their_instruction_and_relaxation_is_said_to_be_twirled(plan_of):
    circuit = QuantumCircuit(1, 1)
    circuit.measure(0, 0)
    circuit.x(0)
    plan = plan_of(circuit, Fabric.full([1]), ["qpu-0"])
    data = [step.name for step in plan.routed.circuit.data]
    at = data.index("measure")
    decayed = run(plan, quiet(plan, idles=[Idle(at, plan.routed.entry[0], 1.0, 2.0, 3.0)]))
    assert share(decayed, lambda key: key == "1") == close((1 - math.exp(-0.5)) / 2)
    assert decayed.approximations == ("energy relaxation (T1) during 1 wait of idle qubits as Pauli errors (twirled)",)
    late = run(plan, quiet(plan, idles=[Idle(at + 1, plan.routed.entry[0], 1.0, 2.0, 3.0)]))
    assert late.counts == {"0": SHOTS}
    dephased = run(plan, quiet(plan, idles=[Idle(at, plan.routed.entry[0], 1.0, math.inf, 3.0)]))
    assert dephased.counts == {"0": SHOTS}
    assert dephased.approximations == ()


def test_waits_at_the_end_come_before_the_added_measurements(plan_of):
    circuit = QuantumCircuit(1)
    circuit.x(0)
    plan = plan_of(circuit, Fabric.full([1]), ["qpu-0"])
    idle = Idle(len(plan.routed.circuit.data), plan.routed.entry[0], 1.0, 2.0, 3.0)
    assert share(run(plan, quiet(plan, idles=[idle])), lambda key: key == "0") == close((1 - math.exp(-0.5)) / 2)


def test_gates_of_several_hardware_gates_err_as_often():
    chip = Chip(qubits=2, communication=(), operations=(ChipOperation(name="cz", qubits=(0, 1), error=0.06),))
    circuit = QuantumCircuit(2, 2)
    circuit.swap(0, 1)
    circuit.measure([0, 1], [0, 1])
    node = replace(Fabric.full([2]).nodes[0], chip=chip)
    figures = LocalFigures(Fabric(nodes=(node,), links=()), ["qpu-0", "qpu-0"], [0, 1])
    program = noisy_stim(circuit, RunNoise(pair_weights=np.empty((0, 4)), idles=(), local=True), figures)
    kept = (1 - 4 * 0.06 / 3) ** 3
    right = (~program.circuit().compile_sampler(seed=1).sample(SHOTS).any(axis=1)).mean()
    assert right == close(kept + (1 - kept) / 4)


# --------------------------------------------------------------------------------------------- against other simulators


def by_aer(plan, noise, *, shots, seed):
    """The emitted circuit on Aer's stabilizer method, its errors placed here."""
    plan, reported = measured(plan)
    circuit, node_of, fabric = plan.routed.circuit, plan.routed.node_of, plan.fabric
    wire = {qubit: place for place, qubit in enumerate(circuit.qubits)}
    pairs = iter(noise.pair_weights.tolist())

    def gate_error(wires):
        node = fabric.node(node_of[wires[0]])
        average = (node.gate_error_1q if len(wires) == 1 else node.gate_error_2q) if noise.local else 0
        d = 2 ** len(wires)
        return depolarizing_error(average * d / (d - 1), len(wires)).to_instruction() if average else None

    def errors_in(body, outer):
        noisy = body.copy_empty_like()
        for step in body.data:
            noisy.append(step)
            error = gate_error([wire[outer[qubit]] for qubit in step.qubits])
            if error is not None:
                noisy.append(error, step.qubits)
        return noisy

    noisy = circuit.copy_empty_like()
    for step in circuit.data:
        if step.name == "bell_pair":
            noisy.h(step.qubits[0])
            noisy.cx(*step.qubits)
            noisy.append(pauli_error(list(zip("IXYZ", next(pairs), strict=True))).to_instruction(), [step.qubits[1]])
        elif isinstance(step.operation, IfElseOp):
            bodies = [errors_in(b, dict(zip(b.qubits, step.qubits, strict=True))) for b in step.operation.blocks]
            noisy.append(step.operation.replace_blocks(bodies), step.qubits, step.clbits)
        else:
            noisy.append(step)
            if step.name not in ("measure", "reset", "barrier"):
                error = gate_error([wire[qubit] for qubit in step.qubits])
                if error is not None:
                    noisy.append(error, step.qubits)
    model = NoiseModel()
    for place, node in enumerate(node_of):
        wrong = (fabric.node(node).readout_error or 0) if noise.local else 0
        if wrong:
            model.add_readout_error(ReadoutError([[1 - wrong, wrong], [wrong, 1 - wrong]]), [place])
    simulator = AerSimulator(method="stabilizer", noise_model=model, seed_simulator=seed)
    result = simulator.run(as_stabilizer(noisy), shots=shots).result()
    raw = {int(key, 16): int(hits) for key, hits in result.data(0)["counts"].items()}
    index = {bit: place for place, bit in enumerate(circuit.clbits)}
    return spell(raw, [[index[bit] for bit in register] for register in reported])


def ones(counts, qubits, masks):
    """How often the parity of each mask is odd."""
    rows = np.array([[int(bit) for bit in key.replace(" ", "")[::-1]] for key in counts])
    hits = np.array(list(counts.values()))
    assert rows.shape[1] == qubits
    return hits @ (rows @ masks.T % 2)


@pytest.mark.slow
def test_fifty_noisy_qubits_have_the_marginals_and_parities_of_aer(plan_of):
    qubits, shots = 50, 3000
    fabric = Fabric.line([17, 17, 17]).replace("nodes.*", gate_error_1q=0.002, gate_error_2q=0.01, readout_error=0.02)
    plan = plan_of(mirrored(qubits, 4, seed=3), fabric, by_thirds(qubits))
    assert plan.ebits >= 4
    noise = quiet(plan, weights=(0.8, 0.1, 0.03, 0.07), local=True)
    rng = np.random.default_rng(1)
    masks = np.vstack([np.eye(qubits, dtype=int), rng.random((150, qubits)) < 3 / qubits])
    a = ones(run(plan, noise, shots=10 * shots).counts, qubits, masks)
    b = ones(by_aer(plan, noise, shots=shots, seed=7), qubits, masks)
    pooled = (a + b) / (11 * shots)
    z = (a / (10 * shots) - b / shots) / np.sqrt(pooled * (1 - pooled) * (1.1 / shots) / 1.0 + 1e-12)
    assert np.abs(z).max() < 4.5
    # Errors are seen at all: a comparison of zeros with zeros proves nothing.
    assert (pooled[:qubits] > 0.02).all()
    assert z[:qubits] @ z[:qubits] < qubits + 4.5 * math.sqrt(2 * qubits)


def records_of(circuit):
    """The classical bits of a circuit without errors, all of them written."""
    noise = RunNoise(pair_weights=np.empty((0, 4)), idles=(), local=False)
    program = noisy_stim(circuit, noise, LocalFigures(Fabric.full([1]), ["qpu-0"] * circuit.num_qubits))
    records = program.circuit().compile_sampler(seed=3).sample(4000, bit_packed=True)
    add_late_paulis(program, records, np.random.default_rng(1))
    return np.unpackbits(records, axis=1, bitorder="little")[
        :, [program.place[bit] for bit in range(circuit.num_clbits)]
    ]


@pytest.mark.parametrize("value", range(4))
@pytest.mark.parametrize(("gate", "turned"), [("x", (1, 0)), ("z", (0, 1)), ("y", (1, 1))])
def test_paulis_under_a_register_happen_when_it_has_that_value_and_else_the_others_do(value, gate, turned):
    a = ClassicalRegister(2, "a")
    circuit = QuantumCircuit(QuantumRegister(6, "q"), a, ClassicalRegister(4, "b"))
    circuit.h([0, 1, 3, 5])
    circuit.measure([0, 1], a)
    for first, second, name in ((2, 3, gate), (4, 5, "y")):
        body, other = QuantumCircuit(2), QuantumCircuit(2)
        getattr(body, name)([0, 1])
        other.x(0)
        circuit.if_else((a, value), body, other if first == 4 else None, [first, second], [])
    circuit.h([3, 5])
    circuit.measure([2, 3, 4, 5], range(2, 6))
    found = records_of(circuit)
    met = found[:, 0] + 2 * found[:, 1] == value
    assert met.mean() == close(0.25, 4000)
    assert (found[:, 2:4] == met[:, None] * np.array(turned)).all()
    assert (found[:, 4] == 1).all()
    assert (found[:, 5] == met).all()


def test_a_late_pauli_misleads_the_feed_forward_after_it():
    a = ClassicalRegister(2, "a")
    circuit = QuantumCircuit(QuantumRegister(4, "q"), a, ClassicalRegister(2, "b"))
    circuit.h([0, 1])
    circuit.measure([0, 1], a)
    with circuit.if_test((a, 3)):
        circuit.x(2)
    circuit.measure(2, 2)
    with circuit.if_test((circuit.clbits[2], 0)):
        circuit.x(3)
    circuit.measure(3, 3)
    found = records_of(circuit)
    assert (found[:, 2] == found[:, 0] & found[:, 1]).all()
    assert (found[:, 3] == 1 - found[:, 2]).all()


def conditional_circuit(rng):
    """Random Clifford gates, repeated bits, and Paulis under bits, inverted bits, registers and several conditions."""
    a, b = ClassicalRegister(2, "a"), ClassicalRegister(2, "b")
    circuit = QuantumCircuit(QuantumRegister(4, "q"), a, b)
    for _ in range(14):
        kind = rng.integers(6)
        p, q = rng.choice(4, 2, replace=False).tolist()
        if kind == 0:
            getattr(circuit, ("h", "s", "sx")[rng.integers(3)])(p)
        elif kind == 1:
            circuit.h(p)
            circuit.cx(p, q)
        elif kind == 2:
            circuit.h(p)
            circuit.measure(p, circuit.clbits[rng.integers(4)])
        elif kind == 3:
            circuit.reset(p)
        else:
            target = (a, b)[rng.integers(2)] if kind == 4 else circuit.clbits[rng.integers(4)]
            with circuit.if_test((target, int(rng.integers(4 if kind == 4 else 2)))):
                getattr(circuit, "xyz"[rng.integers(3)])(q)
    circuit.measure(range(3), [0, 2, 3])
    return circuit


@pytest.mark.parametrize("seed", range(8))
def test_feed_forward_gives_the_distribution_of_aer(plan_of, seed):
    circuit = conditional_circuit(np.random.default_rng(seed))
    fabric = Fabric.line([2, 2]).replace("nodes.*", gate_error_1q=0.05, readout_error=0.05)
    plan = plan_of(circuit, fabric, ["qpu-0", "qpu-1", "qpu-0", "qpu-1"])
    noise = quiet(plan, weights=werner(0.9), local=seed % 2 == 0)
    shots = 4000
    counts, reference = run(plan, noise, shots=10 * shots).counts, by_aer(plan, noise, shots=shots, seed=seed)
    keys = {*counts, *reference}
    chi2 = 0.0
    for key in keys:
        a, b = counts.get(key, 0), reference.get(key, 0)
        chi2 += (a - 10 * b) ** 2 / (10 * (a + b))
    assert chi2 < len(keys) - 1 + 4.5 * math.sqrt(2 * len(keys)) + 8


# ------------------------------------------------------------------------------------------------------ refusals, seeds


def test_what_is_not_clifford_is_named(plan_of):
    circuit = QuantumCircuit(2, 1)
    circuit.h(0)
    circuit.p(0.3, 1)
    plan = plan_of(circuit, Fabric.line([1, 1]), ["qpu-0", "qpu-1"])
    reason = why_not_clifford(plan)
    assert "p(0.3) on qpu-1_data[0]" in reason
    assert "is not a Clifford gate" in reason
    with pytest.raises(InvalidValue, match=r"method = 'clifford'.*p\(0\.3\) on qpu-1_data\[0\]"):
        run(plan)


def test_conditional_clifford_that_is_no_pauli_is_named(plan_of):
    circuit = QuantumCircuit(2, 1)
    circuit.h(0)
    circuit.measure(0, 0)
    with circuit.if_test((circuit.clbits[0], 1)):
        circuit.s(1)
    plan = plan_of(circuit, Fabric.line([1, 1]), ["qpu-0", "qpu-1"])
    with pytest.raises(InvalidValue, match=r"qpu-1_data\[0\] \(instruction 2 .*not a Pauli"):
        run(plan)
    assert why_not_clifford(plan_of(ghz(3), Fabric.line([1, 1, 1]), by_thirds(3))) is None


def test_what_would_take_hours_is_refused_with_numbers(plan_of):
    plan = plan_of(ghz(3), Fabric.line([1, 1, 1]), by_thirds(3))
    with pytest.raises(SimulationRefused, match=r"about [\d,]+ hours. Ask for at most \d+ shots"):
        run(plan, shots=10**12)


def test_seed_decides_the_counts_whatever_the_batches(plan_of, monkeypatch):
    plan = plan_of(ghz(9), Fabric.line([3, 3, 3]).replace("nodes.*", gate_error_1q=0.1), by_thirds(9))
    noise = quiet(plan, weights=werner(0.8), local=True)
    first = run(plan, noise, shots=3000, seed=1)
    assert first == run(plan, noise, shots=3000, seed=1)
    assert first.counts != run(plan, noise, shots=3000, seed=2).counts
    monkeypatch.setattr("hyperfabric_q.execution.clifford._BATCH_BYTES", 8 * 1024)
    batched = run(plan, noise, shots=3000, seed=1)
    assert sum(batched.counts.values()) == 3000
    assert share(batched, lambda key: key == "0" * 9) == close(first.counts["0" * 9] / 3000, 1500)


@pytest.mark.parametrize("sizes", [[3], [2, 0, 11], [8, 9], [0], []])
def test_counts_are_spelled_like_those_of_aer(sizes):
    rng = np.random.default_rng(4)
    places, start = [], 0
    for size in sizes:
        places.append(list(range(start, start + size)))
        start += size
    values = rng.integers(0, 2 ** min(start, 4), 200).tolist()
    raw = {value: values.count(value) for value in set(values)}
    rows = np.array([[value >> place & 1 for place in key_order(places)] for value in values], dtype=np.uint8)
    rows = rows.reshape(200, start)
    found = count([rows[:70], rows[70:]], sizes)
    assert found == spell(raw, places)
    assert list(found.items()) == list(spell(raw, places).items())


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["ghz", "brickwork"])
def test_two_thousand_noisy_qubits_in_less_than_half_a_minute(plan_of, kind):
    circuit = ghz(2000) if kind == "ghz" else mirrored(2000, 5, seed=2)
    fabric = Fabric.line([667] * 3).replace("nodes.*", gate_error_1q=1e-5, gate_error_2q=1e-4, readout_error=1e-4)
    plan = plan_of(circuit, fabric, by_thirds(2000))
    began = time.perf_counter()
    exact, noisy = (
        run(plan, quiet(plan, weights=werner(0.9)), shots=10_000),
        quiet(plan, weights=werner(0.9), local=True),
    )
    assert sum(run(plan, noisy, shots=10_000).counts.values()) == 10_000
    assert time.perf_counter() - began < 60
    if kind == "ghz":
        flip = 2 * 0.1 / 3
        assert share(exact, lambda key: len(set(key)) == 1) == close((1 - flip) ** 2, 10_000)


def test_stim_knows_the_padding_that_late_paulis_need():
    pushed = stim.FlipSimulator(batch_size=1, disable_stabilizer_randomization=True)
    pushed.do(stim.CircuitInstruction("MPAD", [0, 0]))
    pushed.set_pauli_flip("X", qubit_index=0, instance_index=0)
    pushed.do(stim.Circuit("M 0\nCX rec[-1] 1\nM 1"))
    assert pushed.get_measurement_flips().ravel().tolist() == [False, False, True, True]
