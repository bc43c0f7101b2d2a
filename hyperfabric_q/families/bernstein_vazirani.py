"""The Bernstein-Vazirani algorithm."""

from __future__ import annotations

from qiskit import ClassicalRegister, QuantumCircuit, QuantumRegister

from hyperfabric_q.errors import InvalidValue
from hyperfabric_q.families.arguments import MAX_QUBITS, whole
from hyperfabric_q.families.catalogue import family


def _all_ones(qubits: int) -> str:
    return "1" * (whole("qubits", qubits, least=2) - 1)


@family(
    "bernstein_vazirani",
    "finds a secret bit string with one query: a star of CX onto one target",
    source="Bernstein, Vazirani 1993",
    example={"secret": "1011"},
    size=_all_ones,
)
def bernstein_vazirani(secret: str) -> QuantumCircuit:
    """Return the circuit on len(secret) + 1 qubits whose every shot reads ``secret``; one CX per 1 in it.

    Args:
        secret: Text of 0 and 1, written as counts are: the last letter belongs to qubit 0.

    Raises:
        InvalidValue: the secret is empty, too long, or holds another letter.
    """
    text: object = secret
    if not isinstance(text, str) or not 0 < len(text) < MAX_QUBITS or set(text) - {"0", "1"}:
        raise InvalidValue(
            field="secret", value=secret, rule=f"the secret must be a text of 1 to {MAX_QUBITS - 1} letters 0 and 1"
        )
    data, target = QuantumRegister(len(secret), "q"), QuantumRegister(1, "target")
    circuit = QuantumCircuit(data, target, ClassicalRegister(len(secret), "c"), name="bernstein_vazirani")
    circuit.x(target)
    circuit.h([*data, *target])
    for place, letter in enumerate(reversed(secret)):
        if letter == "1":
            circuit.cx(data[place], target[0])
    circuit.h(data)
    circuit.measure(data, circuit.clbits)
    return circuit
