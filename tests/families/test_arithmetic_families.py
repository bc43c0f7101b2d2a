"""Circuits with one right answer: adder, Fourier transform, Bernstein-Vazirani."""

import itertools

import numpy as np
import pytest
from qiskit.quantum_info import Operator, Statevector

from hyperfabric_q.errors import InvalidValue
from hyperfabric_q.families import bernstein_vazirani, cuccaro_adder, qft, qft_roundtrip, two_qubit_gates
from hyperfabric_q.seeds import stream


def classical_run(circuit, bits):
    """Return (bits after the circuit, what it measures) for a circuit of X, CX, CCX and measurements."""
    wires, readings = list(bits), [0] * circuit.num_clbits
    for step in circuit.data:
        *controls, target = (circuit.find_bit(qubit).index for qubit in step.qubits)
        if step.operation.name == "measure":
            readings[circuit.find_bit(step.clbits[0]).index] = wires[target]
        else:
            assert step.operation.name in {"x", "cx", "ccx"}
            wires[target] ^= int(all(wires[control] for control in controls))
    return wires, readings


def value(bits):
    return sum(bit << place for place, bit in enumerate(bits))


def digits(number, count):
    return [number >> place & 1 for place in range(count)]


def cases(m):
    everything = list(itertools.product(range(2), range(2**m), range(2**m), range(2)))
    if m < 3:
        return everything
    picks = stream(3, "adder").integers(2, size=(40, 2 * m + 2))
    return [(int(row[0]), value(row[1 : m + 1]), value(row[m + 1 : -1]), int(row[-1])) for row in picks]


@pytest.mark.parametrize("m", [1, 2, 3])
def test_the_adder_adds_every_basis_input_and_leaves_a_alone(m):
    circuit = cuccaro_adder(m)
    assert not circuit.clbits
    for carry_in, b, a, carry_out in cases(m):
        wires, _ = classical_run(circuit, [carry_in, *digits(b, m), *digits(a, m), carry_out])
        total = a + b + carry_in
        assert wires[0] == carry_in
        assert value(wires[1 : m + 1]) == total % 2**m
        assert value(wires[m + 1 : -1]) == a
        assert wires[-1] == carry_out ^ total >> m


def test_the_adder_is_that_permutation_as_a_unitary_too():
    circuit = cuccaro_adder(1)
    matrix = np.zeros((16, 16))
    for state in range(16):
        wires, _ = classical_run(circuit, digits(state, 4))
        matrix[value(wires), state] = 1
    assert np.allclose(Operator(circuit).data, matrix, atol=1e-12)


@pytest.mark.parametrize(("m", "a", "b"), [(1, 1, 1), (3, 5, 6), (4, None, 9), (4, 9, None), (31, 2**31 - 1, 2**30)])
def test_the_adder_with_numbers_measures_their_sum(m, a, b):
    circuit = cuccaro_adder(m, a, b)
    _, readings = classical_run(circuit, [0] * circuit.num_qubits)
    assert len(readings) == m + 1
    assert value(readings) == (a or 0) + (b or 0)


@pytest.mark.parametrize("m", [1, 5])
def test_the_adder_has_the_gates_of_its_paper(m):
    circuit = cuccaro_adder(m)
    assert circuit.num_qubits == 2 * m + 2
    assert circuit.count_ops() == {"cx": 4 * m + 1, "ccx": 2 * m}
    assert two_qubit_gates(circuit) == 4 * m + 1 + 6 * 2 * m


@pytest.mark.parametrize(("bits", "a", "b"), [(0, None, None), (2, 4, 0), (2, 0, -1), (2, 1.0, 0), (2.0, 1, 1)])
def test_the_adder_refuses_numbers_that_do_not_fit(bits, a, b):
    with pytest.raises(InvalidValue):
        cuccaro_adder(bits, a, b)


@pytest.mark.parametrize("n", [1, 2, 5])
def test_qft_with_swaps_is_the_fourier_matrix(n):
    size = 2**n
    x, y = np.meshgrid(np.arange(size), np.arange(size))
    fourier = np.exp(2j * np.pi * x * y / size) / size**0.5
    assert np.allclose(Operator(qft(n, swaps=True)).data, fourier, atol=1e-12)


def test_qft_without_swaps_comes_out_with_its_bits_reversed():
    n = 4
    order = [int(f"{y:0{n}b}"[::-1], 2) for y in range(2**n)]
    bare, full = Operator(qft(n)).data, Operator(qft(n, swaps=True)).data
    assert np.allclose(bare[order], full, atol=1e-12)


@pytest.mark.parametrize(("n", "degree", "phases"), [(6, 0, 15), (6, 2, 12), (6, 5, 0)])
def test_qft_counts_its_phases(n, degree, phases):
    assert qft(n, approximation_degree=degree).count_ops().get("cp", 0) == phases
    assert two_qubit_gates(qft(n, swaps=True, approximation_degree=degree)) == phases + n // 2


def test_approximation_leaves_out_the_smallest_phases_first():
    kept = {round(float(np.pi / step.operation.params[0])) for step in qft(6, approximation_degree=2) if step.params}
    assert kept == {2, 4, 8}


@pytest.mark.parametrize(("n", "number"), [(1, 1), (4, 0), (6, 45), (9, 300)])
def test_the_qft_round_trip_returns_its_number(n, number):
    circuit = qft_roundtrip(n, number)
    assert circuit.count_ops()["barrier"] == 1
    assert circuit.count_ops()["measure"] == n
    assert Statevector(circuit.remove_final_measurements(inplace=False)).probabilities()[number] == pytest.approx(1)


@pytest.mark.parametrize("secret", ["1", "0", "1011", "0010110"])
def test_bernstein_vazirani_reads_its_secret(secret):
    circuit = bernstein_vazirani(secret)
    state = Statevector(circuit.remove_final_measurements(inplace=False))
    reading = state.probabilities_dict(list(range(len(secret))), decimals=9)
    assert reading == pytest.approx({secret: 1.0})
    assert two_qubit_gates(circuit) == secret.count("1")
    measured = {
        circuit.find_bit(s.qubits[0]).index: circuit.find_bit(s.clbits[0]).index for s in circuit.data if s.clbits
    }
    assert measured == {place: place for place in range(len(secret))}


@pytest.mark.parametrize("secret", ["", "012", "1 1", 101, None, "1" * 100_000])
def test_bernstein_vazirani_refuses_what_is_not_a_bit_string(secret):
    with pytest.raises(InvalidValue, match="secret"):
        bernstein_vazirani(secret)
