"""The ripple-carry adder of Cuccaro, Draper, Kutin and Petrie Moulton."""

from __future__ import annotations

from qiskit import ClassicalRegister, QuantumCircuit, QuantumRegister

from hyperfabric_q.errors import InvalidValue
from hyperfabric_q.families.arguments import MAX_QUBITS, basis_number, whole
from hyperfabric_q.families.catalogue import family


def _bits(qubits: int) -> int:
    if qubits < 4 or qubits % 2:
        raise InvalidValue(
            field="qubits", value=qubits, rule="the adder of m bits has 2m + 2 qubits: an even number from 4 on"
        )
    return (qubits - 2) // 2


@family(
    "cuccaro_adder",
    "ripple-carry adder b ← a + b with one helper qubit; with numbers given, it measures their sum",
    source="Cuccaro, Draper, Kutin, Petrie Moulton 2004, arXiv quant-ph/0410184",
    example={"bits": 3, "a": 5, "b": 6},
    size=_bits,
)
def cuccaro_adder(bits: int, a: int | None = None, b: int | None = None) -> QuantumCircuit:
    """Return the adder on registers ``cin`` (1), ``b``, ``a`` and ``cout`` (1): 4m + 1 CX and 2m Toffoli gates.

    Args:
        bits: Width m of each number, at least 1; the circuit has 2m + 2 qubits.
        a: First number, written in before the addition. With neither number the circuit is the bare adder.
        b: Second number. With one number given the other is 0, and the sum is measured into the register ``sum``
            (m + 1 bits, carry last).

    Raises:
        InvalidValue: the size is not accepted, or a number does not fit into ``bits`` bits.
    """
    m = whole("bits", bits, least=1, most=(MAX_QUBITS - 2) // 2)
    cin, second, first, cout = (
        QuantumRegister(size, name) for size, name in ((1, "cin"), (m, "b"), (m, "a"), (1, "cout"))
    )
    circuit = QuantumCircuit(cin, second, first, cout, name="cuccaro_adder")
    for field, register, number in (("a", first, a), ("b", second, b)):
        value = 0 if number is None else basis_number(field, number, bits=m)
        for place in range(m):
            if value >> place & 1:
                circuit.x(register[place])
    carries = [cin[0], *first]
    for place in range(m):
        carry, y, x = carries[place], second[place], first[place]
        circuit.cx(x, y)
        circuit.cx(x, carry)
        circuit.ccx(carry, y, x)
    circuit.cx(first[m - 1], cout[0])
    for place in reversed(range(m)):
        carry, y, x = carries[place], second[place], first[place]
        circuit.ccx(carry, y, x)
        circuit.cx(x, carry)
        circuit.cx(carry, y)
    if a is not None or b is not None:
        total = ClassicalRegister(m + 1, "sum")
        circuit.add_register(total)
        circuit.measure([*second, cout[0]], total)
    return circuit
