"""What a packet carries and how urgent it is, hence the class it is served in.

| class | what stands there by default |
|---|---|
| 0 | control messages (and heralds of Bell pairs, which no user sends) |
| 1 | syndromes, corrections, quantum states, keys: what decays, or what others wait for, within microseconds |
| 2 | spikes |
| 3 | parameters |
| 4 | gradients |
| 5 | tensors, activations, circuits, everything else |
| 6, 7 | nothing by default: what a user lowers |
"""

from __future__ import annotations

from enum import IntEnum, StrEnum
from typing import Final


class DataType(StrEnum):
    """What a payload is; decides its class and how its size is counted."""

    GRADIENT = "gradient"
    PARAMETER = "parameter"
    TENSOR = "tensor"
    ACTIVATION = "activation"
    QUANTUM_STATE = "quantum_state"
    QUANTUM_CIRCUIT = "quantum_circuit"
    SYNDROME = "syndrome"
    CORRECTION = "correction"
    KEY = "key"
    NEUROMORPHIC_SPIKE = "neuromorphic_spike"
    CONTROL_MESSAGE = "control_message"
    GENERIC = "generic"


class PacketPriority(IntEnum):
    """How far a sender moves a packet from the class of its data type; a smaller number is more urgent."""

    ULTRA_HIGH = 0
    HIGH = 1
    NORMAL = 2
    MEDIUM = 2
    LOW = 3
    BULK = 4


LAST_CLASS: Final = 7
HERALD_CLASS: Final = 0
"""The class of the messages that announce Bell pairs."""

FIRST_REQUESTED_CLASS: Final = 1
"""The most urgent class a priority can raise a packet to: class 0 stays the fabric's own."""

DEFAULT_CLASS: Final[dict[DataType, int]] = {
    DataType.CONTROL_MESSAGE: 0,
    DataType.SYNDROME: 1,
    DataType.CORRECTION: 1,
    DataType.QUANTUM_STATE: 1,
    DataType.KEY: 1,
    DataType.NEUROMORPHIC_SPIKE: 2,
    DataType.PARAMETER: 3,
    DataType.GRADIENT: 4,
    DataType.TENSOR: 5,
    DataType.ACTIVATION: 5,
    DataType.QUANTUM_CIRCUIT: 5,
    DataType.GENERIC: 5,
}


def _shifted(base: int, priority: PacketPriority) -> int:
    if priority is PacketPriority.ULTRA_HIGH:
        return min(base, FIRST_REQUESTED_CLASS)
    if priority is PacketPriority.HIGH:
        return min(base, max(base - 1, FIRST_REQUESTED_CLASS))
    if priority is PacketPriority.LOW:
        return min(base + 1, LAST_CLASS)
    return LAST_CLASS if priority is PacketPriority.BULK else base


_CLASS_OF: Final[dict[tuple[DataType, PacketPriority], int]] = {
    (data_type, priority): _shifted(base, priority)
    for data_type, base in DEFAULT_CLASS.items()
    for priority in PacketPriority
}


def priority_class(data_type: DataType, priority: PacketPriority = PacketPriority.NORMAL) -> int:
    """Return the class, 0 (most urgent) to 7, that a packet is served in.

    ``NORMAL`` keeps the class of the data type, ``HIGH`` is one class up, ``LOW`` one down, ``ULTRA_HIGH`` class 1 and
    ``BULK`` class 7. Only what is in class 0 by its type is served in class 0.

    >>> priority_class(DataType.GRADIENT), priority_class(DataType.GRADIENT, PacketPriority.HIGH)
    (4, 3)
    """
    return _CLASS_OF[data_type, priority]
