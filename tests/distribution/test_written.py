"""Hand-written distribution runs as written, is counted and timed, and is refused where hardware could not run it."""

import pytest
from qiskit import ClassicalRegister, QuantumCircuit, QuantumRegister

from hyperfabric_q.distribution.rebase import rebase
from hyperfabric_q.distribution.verify import verify
from hyperfabric_q.distribution.written import EPR, as_written
from hyperfabric_q.errors import InvalidValue
from hyperfabric_q.fabric import Fabric

FABRIC = Fabric.line([1, 1, 1], communication_qubits=1, pair_fidelity=0.9)


def registers():
    data = [QuantumRegister(1, f"qpu-{node}_data") for node in range(2)]
    comm = [QuantumRegister(1, f"qpu-{node}_comm") for node in range(2)]
    proto = [ClassicalRegister(1, f"qpu-{node}_proto") for node in range(2)]
    return QuantumCircuit(data[0], comm[0], data[1], comm[1], *proto), data, comm, proto


def telegate(*, pair=True, correct=True):
    """A controlled phase from a qubit on one node to a qubit on another, by a copy."""
    circuit, data, comm, proto = registers()
    if pair:
        EPR(circuit, comm[0][0], comm[1][0])
    circuit.cx(data[0][0], comm[0][0])
    circuit.measure(comm[0][0], proto[0][0])
    with circuit.if_test((proto[0][0], 1)):
        circuit.x(comm[1][0])
    circuit.cp(0.3, comm[1][0], data[1][0])
    circuit.h(comm[1][0])
    if correct:
        circuit.measure(comm[1][0], proto[1][0])
    with circuit.if_test((proto[1][0], 1)):
        circuit.z(data[0][0])
    return circuit


def test_a_hand_written_telegate_is_counted_and_means_its_gate():
    written = as_written(telegate(), FABRIC)
    assert written.ebits == 1
    assert dict(written.replay.ebits_per_link) == {("qpu-0", "qpu-1"): 1}
    assert dict(written.replay.messages) == {("qpu-0", "qpu-1"): 1, ("qpu-1", "qpu-0"): 1}
    assert (written.lowered.entry, written.lowered.exit) == ((0, 2), (0, 2))
    assert written.lowered.node_of == ("qpu-0", "qpu-0", "qpu-1", "qpu-1")
    meant = QuantumCircuit(2)
    meant.cp(0.3, 0, 1)
    assert verify(rebase(meant), written.lowered, mode="proved", seed=1).label == "proved"


def test_a_hand_written_telegate_is_timed():
    fabric = FABRIC.replace("links.*", latency_ns=100, pair_attempt_ns=1000, pair_rate_hz=1e3)
    timetable = as_written(telegate(), fabric).schedule()
    assert int(timetable.makespan_ps[()]) >= 10**9  # a pair takes a millisecond
    assert len(timetable.pairs.instruction) == 1


def test_a_hand_written_teleportation_ends_where_it_says():
    circuit, data, comm, proto = registers()
    EPR(circuit, comm[0][0], comm[1][0])
    circuit.cx(data[0][0], comm[0][0])
    circuit.measure(comm[0][0], proto[0][0])
    with circuit.if_test((proto[0][0], 1)):
        circuit.x(comm[1][0])
    circuit.cx(comm[1][0], data[1][0])
    circuit.h(comm[1][0])
    circuit.measure(comm[1][0], proto[1][0])
    with circuit.if_test((proto[1][0], 1)):
        circuit.z(data[1][0])
    written = as_written(circuit, FABRIC, entry=[data[0][0]], exit=[data[1][0]])
    assert (written.ebits, written.lowered.entry, written.lowered.exit) == (1, (0,), (2,))


def test_what_hardware_could_not_run_is_refused_as_the_callers_fault():
    for circuit, reason in (
        (telegate(pair=False), "holds no half of a pair"),
        (telegate(correct=False), "before the measurement"),
        (QuantumCircuit(2), "in no register|is on no QPU node"),
    ):
        with pytest.raises(InvalidValue, match=reason):
            as_written(circuit, FABRIC)
    apart = Fabric.full([1, 1], communication_qubits=0, pair_fidelity=0.9)
    with pytest.raises(InvalidValue):
        as_written(telegate(), apart)
    circuit = telegate()
    for entry in ([circuit.qubits[0]] * 2, [3], circuit.clbits):
        with pytest.raises(InvalidValue, match="entry"):
            as_written(circuit, FABRIC, entry=entry)
    with pytest.raises(InvalidValue, match="exit"):
        as_written(circuit, FABRIC, exit=circuit.qubits[:1])
    with pytest.raises(InvalidValue):
        as_written("OPENQASM 3;", FABRIC)
