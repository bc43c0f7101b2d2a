"""A model sealed with keys made of Bell pairs, sent over trusted nodes, and opened; or not, where there is no key."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

import hyperfabric_q as hq
from hyperfabric_q.errors import InvalidValue, QuantumKeyUnavailable
from hyperfabric_q.fabric import fields
from hyperfabric_q.scenarios.catalogue import Size
from hyperfabric_q.scenarios.context import current_world
from hyperfabric_q.scenarios.outcome import Outcome
from hyperfabric_q.scenarios.secure_sharing.keys import KEY_BITS, KeyExchange, SharedKey, needed
from hyperfabric_q.scenarios.secure_sharing.model import Model, packed, trained, unpacked
from hyperfabric_q.traffic.sealing import QUANTUM_GCM, Header, ReplayGuard, Sealed, open_once, seal_once

if TYPE_CHECKING:
    from qiskit import QuantumCircuit

__all__ = [
    "KeyExchange",
    "SealedModel",
    "SharedKey",
    "error_of_key_states",
    "generate_quantum_key_states",
    "load_proprietary_ai_model",
    "open_model",
    "play",
    "quantum_encrypt",
]

STATE: Final = "secure_sharing"


@dataclass(frozen=True, slots=True, kw_only=True)
class SealedModel:
    """A model under a quantum key; or in the clear, with the reason.

    Attributes:
        contents: encrypted, with its tag; without a key the model's own bytes.
        quantum_secured: whether it is encrypted here.
        ends: node ids of the two that share the key.
        mode: of sealing, "none" without.
        key_id, key_origin: name of the key, and where it came from, in words.
        nonce: of the cipher.
        reason, needed: why there is no key, and what would give one.
    """

    contents: bytes = field(repr=False)
    quantum_secured: bool
    ends: tuple[str, str] = ("", "")
    mode: str = "none"
    key_id: str = ""
    key_origin: str = ""
    nonce: bytes = field(default=b"", repr=False)
    reason: str = ""
    needed: str = ""

    def __str__(self) -> str:
        if self.quantum_secured:
            return f"{len(self.contents):,} bytes under {self.key_id}, {self.mode}; {self.key_origin}"
        return f"{len(self.contents):,} bytes, not quantum-secured: {self.reason} {self.needed}"


def generate_quantum_key_states(qubits: int = 4) -> QuantumCircuit:
    """Return a circuit that prepares key states: each qubit in 0, 1, + or -, each of these as often, in random order.

    Which is which is remembered here, and not in the circuit: ``error_of_key_states`` compares.

    Args:
        qubits: at most 12, which is what is teleported in one piece.

    Raises:
        InvalidValue: there are fewer than 1 or more than 12.
    """
    from qiskit import QuantumCircuit  # noqa: PLC0415 - only who prepares states waits for it

    qubits = fields.count("qubits", qubits, "a block of key states", least=1, most=12, what="qubits")
    world = current_world()
    kinds = world.stream(STATE).permutation(np.arange(qubits) % 4)
    world.replace_state(STATE, kinds)
    circuit = QuantumCircuit(qubits, name="key states")
    for qubit, kind in enumerate(kinds.tolist()):
        if kind % 2:
            circuit.x(qubit)
        if kind >= 2:
            circuit.h(qubit)
    return circuit


def error_of_key_states(arrived: object) -> float:
    """Return how often the last key states show the wrong bit, measured as they were prepared: exact.

    Args:
        arrived: what became of them: a circuit, a state, or the result of sending them.
    """
    from qiskit import QuantumCircuit  # noqa: PLC0415 - as above
    from qiskit.quantum_info import DensityMatrix, Statevector  # noqa: PLC0415

    kinds: NDArray[np.int64] = current_world().state(STATE, lambda: np.empty(0, dtype=np.int64))
    given = arrived.payload if isinstance(arrived, hq.TransferResult) else arrived
    state = Statevector(given) if isinstance(given, QuantumCircuit) else DensityMatrix(given)
    if state.num_qubits != len(kinds):
        found, rule = f"{state.num_qubits} qubits", f"{len(kinds)} key states were generated last"
        raise InvalidValue(field="arrived", value=found, rule=rule)
    turn = QuantumCircuit(len(kinds))
    turn.h([each for each in range(len(kinds)) if kinds[each] >= 2])
    turned = state.evolve(turn)
    return float(np.mean([turned.probabilities([each])[1 - kinds[each] % 2] for each in range(len(kinds))]))


def load_proprietary_ai_model() -> Model:
    """Return a small trained model as arrays by name; the same seed gives the same."""
    world = current_world()
    return world.state(f"{STATE} model", lambda: trained(world.stream(f"{STATE} model")))


def quantum_encrypt(model: Model | hq.TransferResult, key: object) -> SealedModel:
    """Return the model under a quantum key of its own; or in the clear, with the reason, if the ends share none.

    Args:
        model: arrays by name.
        key: the result of sending key states to a node where a ``KeyExchange`` answers, or its ``SharedKey``.

    Raises:
        InvalidValue: the model is none, or ``key`` is neither of the two.
    """
    contents = packed(model.value if isinstance(model, hq.TransferResult) else model)  # type: ignore[arg-type]
    shared = key.value if isinstance(key, hq.TransferResult) else key
    if not isinstance(shared, SharedKey):
        if not isinstance(key, hq.TransferResult):
            rule = "it is the result of sending key states, or a SharedKey"
            raise InvalidValue(field="key", value=type(key).__name__, rule=rule)
        ends = key.receipt.source, key.receipt.destination
        return SealedModel(contents=contents, quantum_secured=False, ends=ends, reason=_why(key), needed=needed(*ends))
    ends = shared.a, shared.b
    try:
        (lease,) = shared.store.get_key(*ends, size=KEY_BITS)
    except QuantumKeyUnavailable as fault:
        reason = f"{shared.report.reason or fault.reason}."
        return SealedModel(contents=contents, quantum_secured=False, ends=ends, reason=reason, needed=needed(*ends))
    with lease:
        sealed = seal_once(_header(ends), contents, lease, mode=QUANTUM_GCM)
        return SealedModel(
            contents=sealed.ciphertext,
            quantum_secured=True,
            ends=ends,
            mode=sealed.mode,
            key_id=sealed.key_id,
            key_origin=lease.origin,
            nonce=sealed.nonce,
        )


def _why(key: hq.TransferResult) -> str:
    if key.receipt.entanglement is not None:
        return "the key states arrived, and nobody distilled a key: so few of them give none."
    told = " ".join(key.receipt.warnings)
    return f"the key states travelled as a description, which anybody on the way can copy. {told}".rstrip()


def _header(ends: tuple[str, str]) -> Header:
    return Header(source=ends[0], destination=ends[1], sequence=0, data_type=hq.DataType.PARAMETER)


def open_model(sealed: SealedModel | hq.TransferResult, key: SharedKey | None = None) -> dict[str, NDArray[Any]]:
    """Return the model out of ``sealed``: the second end fetches its half of the key, once.

    Args:
        sealed: what ``quantum_encrypt`` returned, or the result of sending that.
        key: of its ends; None will do for what is in the clear.

    Raises:
        SealBroken: it was altered.
        KeySpent: it was opened before.
        InvalidValue: it is sealed and no key is given.
    """
    given = sealed.value if isinstance(sealed, hq.TransferResult) else sealed
    if not isinstance(given, SealedModel):
        raise InvalidValue(field="sealed", value=type(given).__name__, rule="it is a SealedModel, or what came of one")
    if not given.quantum_secured:
        return unpacked(given.contents)
    if key is None:
        raise InvalidValue(field="key", value=None, rule=f"the model is sealed under {given.key_id}")
    (lease,) = key.store.get_key_with_ids(given.ends[1], given.ends[0], [given.key_id])
    whole = Sealed(key_id=given.key_id, nonce=given.nonce, ciphertext=given.contents, mode=given.mode)
    with lease:
        return unpacked(open_once(_header(given.ends), whole, lease, ReplayGuard()))


def play(*, size: Size) -> Outcome:
    """Return how a model fares that is sealed with distilled keys, and where there are none."""
    from hyperfabric_q.scenarios.secure_sharing.run import played  # noqa: PLC0415 - it is made of these pieces

    return played(size)
