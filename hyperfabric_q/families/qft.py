"""The quantum Fourier transform, and a round trip through it that ends in a known number."""

from __future__ import annotations

import math

from qiskit import ClassicalRegister, QuantumCircuit, QuantumRegister

from hyperfabric_q.families.arguments import affordable, basis_number, whole
from hyperfabric_q.families.catalogue import family


@family(
    "qft",
    "quantum Fourier transform: H and controlled phases between all pairs, optionally the final swaps",
    source="Coppersmith 1994; Nielsen and Chuang, section 5.1",
    example={"qubits": 5, "swaps": True},
)
def qft(qubits: int, *, swaps: bool = False, approximation_degree: int = 0) -> QuantumCircuit:
    """Return the transform |x⟩ → 2^(-n/2) Σ_y exp(2πi·x·y/2^n) |y⟩, qubit 0 least significant.

    It holds n(n-1)/2 controlled phases when exact.

    Args:
        qubits: Width n, at least 1.
        swaps: End with the ⌊n/2⌋ swaps; without them y comes out with its bits reversed.
        approximation_degree: Leave out the smallest phases: only pairs less than n - degree apart keep theirs.

    Raises:
        InvalidValue: the size or the degree is not accepted.
    """
    width = whole("qubits", qubits, least=1)
    reach = width - whole("approximation_degree", approximation_degree, least=0, most=width - 1)
    affordable("qubits", width, width * reach)
    circuit = QuantumCircuit(width, name="qft")
    for target in reversed(range(width)):
        circuit.h(target)
        for control in reversed(range(max(0, target - reach + 1), target)):
            circuit.cp(math.ldexp(math.pi, control - target), control, target)
    if swaps:
        for low in range(width // 2):
            circuit.swap(low, width - 1 - low)
    return circuit


@family(
    "qft_roundtrip",
    "writes a number, goes through the QFT and back, and measures the same number",
    source="mirror test of the QFT",
    example={"qubits": 5, "value": 19},
)
def qft_roundtrip(qubits: int, value: int = 1) -> QuantumCircuit:
    """Return the circuit |value⟩, QFT, barrier, inverse QFT, measurement; every shot reads ``value``.

    The barrier between the halves is the test: without it an optimiser cancels both of them, and nothing is run.

    Raises:
        InvalidValue: ``value`` does not fit into ``qubits`` bits, or the size is not accepted.
    """
    width = whole("qubits", qubits, least=1)
    number = basis_number("value", value, bits=width)
    half = qft(width)
    circuit = QuantumCircuit(QuantumRegister(width, "q"), ClassicalRegister(width, "c"), name="qft_roundtrip")
    for place in range(width):
        if number >> place & 1:
            circuit.x(place)
    circuit.compose(half, inplace=True)
    circuit.barrier()
    circuit.compose(half.inverse(), inplace=True)
    circuit.measure(circuit.qubits, circuit.clbits)
    return circuit
