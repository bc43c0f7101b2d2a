import hashlib

import numpy as np
import pytest
from qiskit import QuantumCircuit
from qiskit_aer.noise import depolarizing_error

from hyperfabric_q.errors import InternalError
from hyperfabric_q.execution import aer
from hyperfabric_q.execution.aer import run_counts


def dynamic(*, clifford):
    error = depolarizing_error(0.1, 1).to_instruction()
    circuit = QuantumCircuit(3, 6)
    for turn in range(3):
        circuit.h(0) if clifford else circuit.ry(0.9, 0)
        circuit.append(error, [0])
        circuit.cx(0, 1)
        circuit.measure(1, turn)
        with circuit.if_test((circuit.clbits[turn], 1)):
            circuit.x(2)
        circuit.reset(1)
    circuit.measure(range(3), range(3, 6))
    return circuit


@pytest.mark.parametrize(
    ("method", "clifford"), [("statevector", False), ("stabilizer", True), ("density_matrix", False)]
)
def test_counts_depend_on_the_seed_and_not_on_the_threads(monkeypatch, method, clifford):
    circuit, digests = dynamic(clifford=clifford), set()
    shots = 100 if method == "density_matrix" else 1500
    for threads in (1, 2, 5):
        monkeypatch.setattr(aer, "_threads", lambda threads=threads: threads)
        found = run_counts(circuit, shots=shots, seed=3, method=method)
        assert sum(found.values()) == shots
        digests.add(hashlib.sha256(repr(sorted(found.items())).encode()).hexdigest())
    assert len(digests) == 1
    assert run_counts(circuit, shots=shots, seed=4, method=method) != found


def test_keys_hold_bit_i_at_place_i():
    circuit = QuantumCircuit(3, 70)
    circuit.x(0)
    circuit.measure(0, 2)
    circuit.measure(0, 69)
    circuit.measure(1, 0)
    assert run_counts(circuit, shots=7, seed=1) == {(1 << 69) | 4: 7}


def test_batches_are_drawn_independently_and_add_up(monkeypatch):
    circuit = QuantumCircuit(1, aer._FEW_BITS + 1)
    circuit.h(0)
    circuit.measure(0, 0)
    monkeypatch.setattr(aer, "_BATCH", 1000)
    found = run_counts(circuit, shots=10_500, seed=1)
    assert sum(found.values()) == 10_500
    assert abs(found[0] - 5250) < 5 * np.sqrt(10_500) / 2
    monkeypatch.setattr(aer, "_BATCH", 1)
    assert len(run_counts(circuit, shots=40, seed=1)) == 2


def test_failure_of_aer_is_raised_and_not_returned():
    circuit = QuantumCircuit(1, 1)
    circuit.t(0)
    circuit.measure(0, 0)
    with pytest.raises(InternalError, match="stabilizer method failed"):
        run_counts(circuit, shots=5, seed=1, method="stabilizer")
