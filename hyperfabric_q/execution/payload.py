"""Arguments and outcomes as bytes: the same value, the same bytes, whoever writes them.

Values are plain: None, truth values, numbers, text, bytes, numeric arrays, circuits, and lists and mappings (with text
as keys) of these. They are written as JSON with sorted keys; what JSON has no word for stands under a key with a "$":
``$bytes``, ``$array``, ``$float`` (nan and infinities) and ``$circuit``. A user's own key that begins with "$" gets
one "$" more. Nothing here can run code when it is read.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import numpy as np
from qiskit import QuantumCircuit, qpy

from hyperfabric_q.errors import InvalidValue
from hyperfabric_q.execution.circuit_form import circuit_form

_TAG: Final = "$"
_SHOWN_BYTES: Final = 64
"""Longer bytes stand in a key by their hash, so that a store does not keep every argument twice."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PackedCircuit:
    """A circuit on its way to a worker.

    Attributes:
        form: the canonical form of the circuit (``circuit_form``), hashed; this is what counts in a job's key.
        qpy: the circuit in Qiskit's own binary format, from this machine.
    """

    form: str
    qpy: bytes

    def circuit(self) -> QuantumCircuit:
        """Return a new copy of the circuit."""
        return _loaded(self.qpy).copy()


def pack(circuit: QuantumCircuit) -> PackedCircuit:
    """Return a circuit as an argument of a job; its name and metadata are dropped.

    Raises:
        InvalidValue: Qiskit cannot write one of its instructions.
    """
    bare = circuit.copy(name="circuit")
    bare.metadata = {}
    file = io.BytesIO()
    try:
        qpy.dump(bare, file)
    except Exception as fault:
        raise InvalidValue(
            field="circuit",
            value=circuit.name,
            rule=f"Qiskit cannot write it ({fault})",
            remedy="Give circuits of gates, and describe the noise beside them.",
        ) from fault
    return PackedCircuit(form=circuit_form(bare, file.getvalue()), qpy=file.getvalue())


@lru_cache(maxsize=8)
def _loaded(data: bytes) -> QuantumCircuit:
    (circuit,) = qpy.load(io.BytesIO(data))
    return circuit


def encode(value: Any) -> bytes:
    """Return a plain value as bytes; equal values give equal bytes.

    Raises:
        InvalidValue: something in it is not plain, or a mapping's key is not text.
    """
    return _text(_tree(value, brief=False)).encode()


def identify(value: Any) -> str:
    """Return what identifies a plain value, as JSON: long bytes, arrays and circuits stand by their hashes.

    Raises:
        InvalidValue: as for ``encode``.
    """
    return _text(_tree(value, brief=True))


def decode(data: bytes | str) -> Any:
    """Return the value that ``encode`` wrote; tuples come back as lists, arrays read-only.

    Raises:
        ValueError: the bytes are not what ``encode`` writes.
    """
    try:
        return json.loads(data, object_hook=_untagged)
    except (KeyError, TypeError, IndexError, RecursionError) as fault:
        raise ValueError(f"not an encoded value: {fault!r}") from fault


def _text(tree: Any) -> str:
    return json.dumps(tree, sort_keys=True, separators=(",", ":"), allow_nan=False)


def _tree(value: Any, *, brief: bool) -> Any:
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, Mapping):
        return {_key(key): _tree(each, brief=brief) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_tree(each, brief=brief) for each in value]
    if isinstance(value, float) and math.isfinite(value):
        return value
    return _tagged(value, brief=brief)


def _tagged(value: Any, *, brief: bool) -> dict[str, Any]:
    if isinstance(value, float):
        return {f"{_TAG}float": repr(value)}
    if isinstance(value, bytes | bytearray | memoryview):
        return {f"{_TAG}bytes": _base64(bytes(value), brief=brief)}
    if isinstance(value, np.ndarray) and value.dtype.kind in "biufc":
        ordered = np.ascontiguousarray(value, dtype=value.dtype.newbyteorder("<"))
        return {f"{_TAG}array": [ordered.dtype.str, list(value.shape), _base64(ordered.tobytes(), brief=brief)]}
    if isinstance(value, PackedCircuit):
        return {f"{_TAG}circuit": [value.form, "" if brief else _base64(value.qpy, brief=False)]}
    raise InvalidValue(
        field="a job's value",
        value=value,
        rule=f"a {type(value).__name__} is not plain",
        remedy="Plain are numbers, text, bytes, numeric arrays, packed circuits, lists and mappings of these.",
    )


def _key(key: object) -> str:
    if not isinstance(key, str):
        raise InvalidValue(field="a job's value", value=key, rule="the keys of mappings are text")
    return _TAG + key if key.startswith(_TAG) else key


def _base64(data: bytes, *, brief: bool) -> str:
    if brief and len(data) > _SHOWN_BYTES:
        return f"blake2b:{len(data)}:{hashlib.blake2b(data, digest_size=32).hexdigest()}"
    return base64.b64encode(data).decode()


def _untagged(row: dict[str, Any]) -> Any:
    if not any(key.startswith(_TAG) for key in row):
        return row
    if len(row) == 1:
        (key, held), *_ = row.items()
        match key:
            case "$bytes":
                return base64.b64decode(held, validate=True)
            case "$float":
                return float(held)
            case "$circuit":
                return PackedCircuit(form=held[0], qpy=base64.b64decode(held[1], validate=True))
            case "$array":
                return np.frombuffer(base64.b64decode(held[2], validate=True), dtype=held[0]).reshape(held[1])
    return {key.removeprefix(_TAG): each for key, each in row.items()}
