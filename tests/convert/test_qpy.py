"""QPY is read only when a child process could read it within the limits."""

import io
import random

import pytest
from qiskit import QuantumCircuit, qpy
from qiskit.circuit import Gate

from hyperfabric_q.convert import ReaderLimits, read_qpy
from hyperfabric_q.convert import qpy as reader
from hyperfabric_q.convert.qpy_child import expanded, fault_of
from hyperfabric_q.errors import CircuitRejected


def dumped(*circuits, **options):
    stream = io.BytesIO()
    qpy.dump(list(circuits), stream, **options)
    return stream.getvalue()


def sample():
    circuit = QuantumCircuit(2, 1)
    circuit.h(0)
    circuit.cx(0, 1)
    circuit.measure(0, 0)
    with circuit.if_test((circuit.clbits[0], 1)):
        circuit.x(1)
    return circuit


def test_a_circuit_reads_back_equal():
    assert read_qpy(dumped(sample())) == sample()


def test_old_formats_two_circuits_and_other_bytes_are_refused_before_any_parsing(monkeypatch):
    def forbidden(*_arguments, **_options):
        raise AssertionError("parsed")

    monkeypatch.setattr(reader.subprocess, "run", forbidden)
    data = dumped(sample())
    for bad, says in (
        (data[:6] + bytes([12]) + data[7:], "format 12"),
        (dumped(sample(), sample()), "2 circuits"),
        (b"QISKIT", "begin like"),
        (b"", "begin like"),
        (b"PK\x03\x04" + data, "begin like"),
    ):
        with pytest.raises(CircuitRejected, match=says):
            read_qpy(bad)
    with pytest.raises(CircuitRejected, match="larger"):
        read_qpy(data, limits=ReaderLimits(source_bytes=20))


def test_damaged_bytes_and_exceeded_limits_are_refused():
    data = dumped(sample())
    rng = random.Random(3)  # noqa: S311  # not for secrets
    damaged = bytearray(data)
    for _ in range(20):
        damaged[rng.randrange(18, len(data))] ^= 0xFF
    with pytest.raises(CircuitRejected):
        read_qpy(bytes(damaged))
    with pytest.raises(CircuitRejected, match="more qubits"):
        read_qpy(data, limits=ReaderLimits(qubits=1))


def test_a_gate_bomb_is_counted_without_expanding_it():
    inner = QuantumCircuit(1, name="g0")
    inner.x(0)
    for level in range(1, 40):
        outer = QuantumCircuit(1, name=f"g{level}")
        gate = Gate(f"g{level - 1}", 1, [])
        gate.definition = inner
        outer.append(gate, [0])
        outer.append(gate, [0])
        inner = outer
    assert expanded(inner, 10**6) > 10**6
    limits = {"qubits": 9, "clbits": 9, "instructions": 9, "expanded_gates": 10**6}
    assert "expansion" in fault_of([inner], limits)
    assert fault_of([sample()], limits) == ""
    assert fault_of([sample(), sample()], limits)
    assert expanded(sample(), 100) == 4
