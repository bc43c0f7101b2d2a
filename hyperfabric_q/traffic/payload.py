"""How many bytes a thing takes on the wire, without copying it.

| what is sent | its bytes |
|---|---|
| ``bytes``, ``bytearray``, ``memoryview``, any other buffer | the buffer's |
| ``str`` | its UTF-8 text |
| NumPy array of any strides, NumPy scalar | its elements, once each, in C order |
| Qiskit circuit | its QPY file |
| dimod binary quadratic model | its file, as ``to_file`` writes it |
| ``VirtualTensor`` | elements × width; nothing is allocated |
| number, bool, None, list, tuple, dict, dataclass, nested as you like | compact UTF-8 JSON, then the bytes set apart |
| spikes of a node with a known number of neurons | packed address events (``address_events``) |

Inside lists, dicts and dataclasses a value of another row stands as ``null`` in the JSON, and its own bytes follow.

What is delivered is the object itself: in one process nothing is copied, and an array arrives sharing its memory.
"""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import math
import re
from collections.abc import Callable
from typing import Any, Final

import numpy as np

from hyperfabric_q.errors import InvalidValue
from hyperfabric_q.traffic import address_events
from hyperfabric_q.traffic.packet import DataType

ACCEPTED: Final = (
    "bytes, bytearray, memoryview or another buffer; str; a NumPy array or scalar without Python objects; a Qiskit "
    "QuantumCircuit; a dimod BinaryQuadraticModel; a VirtualTensor; or numbers, bools, None, lists, tuples, dicts and "
    "dataclasses made of these"
)

_HASH_BYTES: Final = 32
_BFLOAT16: Final = "bfloat16"
_AUTOMATIC_NAME: Final = re.compile(r"circuit-\d+(-\d+)*")

Chunks = list[memoryview]
Description = tuple[str, ...]


def _refused(value: object, rule: str, remedy: str = "") -> InvalidValue:
    return InvalidValue(field="data", value=value, rule=rule, remedy=remedy or f"Accepted: {ACCEPTED}.")


# -------------------------------------------------------------------------------------------------- virtual tensors


@dataclasses.dataclass(frozen=True, slots=True)
class VirtualTensor:
    """A tensor with a size and no contents: 175 billion parameters are one small object.

    Args:
        shape: lengths of the axes, whole numbers of any size; one number is a tensor of one axis.
        dtype: a NumPy dtype or its name, or "bfloat16".

    Raises:
        InvalidValue: a length is not a whole number of at least 0, or the dtype has no fixed width.

    >>> VirtualTensor((175_000_000_000,), "float16").nbytes
    350000000000
    """

    shape: tuple[int, ...]
    dtype: str = "float32"
    itemsize: int = dataclasses.field(init=False, repr=False, compare=False)
    size: int = dataclasses.field(init=False, repr=False, compare=False)
    nbytes: int = dataclasses.field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        given: object = self.shape
        axes: object = (given,) if isinstance(given, int | np.integer) else given
        if not isinstance(axes, tuple | list) or not all(_is_length(each) for each in axes):
            raise InvalidValue(field="shape", value=given, rule="a shape is a tuple of whole numbers of at least 0")
        shape = tuple(int(each) for each in axes)
        name, itemsize = _element(self.dtype)
        put = object.__setattr__
        put(self, "shape", shape)
        put(self, "dtype", name)
        put(self, "itemsize", itemsize)
        put(self, "size", math.prod(shape))
        put(self, "nbytes", self.size * itemsize)


def _is_length(value: object) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool) and int(value) >= 0


def _element(dtype: object) -> tuple[str, int]:
    """Return the name and the width in bytes of an element type."""
    if dtype == _BFLOAT16:
        return _BFLOAT16, 2
    try:
        found = np.dtype(dtype)  # type: ignore[call-overload]
    except (TypeError, ValueError):
        found = np.dtype(object)
    if dtype is None or found.hasobject or found.itemsize == 0:
        raise InvalidValue(
            field="dtype", value=dtype, rule="an element type is a NumPy dtype of fixed width, or 'bfloat16'"
        )
    return found.name, found.itemsize


# ---------------------------------------------------------------------------------------------------------- payload


class Payload:
    """A view of something to be sent: what it is, how large, and its bytes and hash if they are ever asked for.

    Attributes:
        content: the object itself; what the destination gets.
        data_type: what it is to the fabric.
        nbytes: its size in bytes, 0 or more.
        is_virtual: whether some or all of it has a size and no contents.
    """

    __slots__ = ("_bytes", "_describe", "_hash", "content", "data_type", "is_virtual", "nbytes")

    def __init__(
        self,
        content: object,
        data_type: DataType,
        nbytes: int,
        describe: Callable[[Any], Description],
        as_bytes: Callable[[Any], Chunks] | Chunks | None,
    ) -> None:
        """Hold what ``payload_of`` found; users call that."""
        self.content = content
        self.data_type = data_type
        self.nbytes = nbytes
        self.is_virtual = as_bytes is None
        self._describe = describe
        self._bytes = as_bytes
        self._hash: str | None = None

    @property
    def describes(self) -> str:
        """What it is in a few words, such as ``array float32 (1024, 1024)``."""
        return " ".join(self._describe(self.content))

    def chunks(self) -> Chunks:
        """Return its bytes as flat read-only views, ``nbytes`` in all; contiguous memory is not copied.

        Raises:
            InvalidValue: it is virtual, hence has no bytes.
        """
        if self._bytes is None:
            raise InvalidValue(
                field="data",
                value=self.describes,
                rule="a virtual payload has a size and no bytes",
                remedy="Send a real array to encode, encrypt or hash its contents.",
            )
        return self._bytes if isinstance(self._bytes, list) else self._bytes(self.content)

    def to_bytes(self) -> memoryview:
        """Return its bytes as one flat read-only view; only payloads of several pieces are copied.

        Raises:
            InvalidValue: it is virtual, hence has no bytes.
        """
        pieces = self.chunks()
        return pieces[0] if len(pieces) == 1 else memoryview(b"".join(pieces))

    def content_hash(self) -> str:
        """Return BLAKE2b-256 over kind, shape and bytes, in hexadecimal; computed once.

        Equal arrays have equal hashes whatever their strides. A virtual payload is its description. A circuit's hash
        is of its QPY bytes, which hold random ids where it has parameters or gates of its own.
        """
        if self._hash is None:
            digest = hashlib.blake2b(self.describes.encode("utf-8", "surrogatepass"), digest_size=_HASH_BYTES)
            digest.update(b"\0%d\0" % self.nbytes)
            for piece in () if self.is_virtual else self.chunks():
                digest.update(piece)
            self._hash = digest.hexdigest()
        return self._hash

    def __repr__(self) -> str:
        return f"<Payload {self.describes}, {self.nbytes} bytes, {self.data_type.value}>"


def payload_of(data: object, data_type: DataType = DataType.GENERIC, *, neurons: int | None = None) -> Payload:
    """Return ``data`` with its size on the wire; a ``Payload`` keeps the size found before.

    Args:
        data: one of the rows of the table of this module.
        data_type: what it is to the fabric.
        neurons: of the node that spikes; makes arrays of ``NEUROMORPHIC_SPIKE`` count as address events.

    Raises:
        InvalidValue: ``data`` is none of what is accepted; the message lists what is.

    Cost: under 1 µs for bytes, arrays and virtual tensors; circuits, non-ASCII text and JSON are serialised once.
    Send the returned payload again to spare that.
    """
    reader = _READERS.get(type(data))
    if neurons is not None and data_type is DataType.NEUROMORPHIC_SPIKE:
        spikes = _spikes(data, neurons)
        if spikes is not None:
            return spikes
    if reader is None:
        reader = _reader_by_kind(data)
    return reader(data, data_type)


# ---------------------------------------------------------------------------------------------- one reader per kind


def _flat(buffer: Any) -> memoryview:
    view = memoryview(buffer)
    if not view.c_contiguous:
        return memoryview(view.tobytes())
    return view.cast("B").toreadonly() if view.nbytes else memoryview(b"")


def _flat_array(array: np.ndarray[Any, Any] | np.generic) -> Chunks:
    if array.dtype.itemsize == 0 or array.size == 0:
        return [memoryview(b"")]
    return [np.ascontiguousarray(array).reshape(-1).view(np.uint8).data.toreadonly()]


def _as_one(buffer: Any) -> Chunks:
    return [_flat(buffer)]


def _describe_bytes(_content: object) -> Description:
    return ("bytes",)


def _describe_text(_content: object) -> Description:
    return ("text",)


def _describe_array(array: Any) -> Description:
    plain = array.dtype.isnative and array.dtype.names is None
    return ("array", array.dtype.name if plain else str(array.dtype), str(array.shape))


def _describe_virtual(tensor: Any) -> Description:
    return ("virtual", tensor.dtype, str(tensor.shape))


def _describe_circuit(circuit: Any) -> Description:
    return ("circuit", f"of {circuit.num_qubits} qubits and {len(circuit.data)} instructions")


def _describe_quadratic(model: Any) -> Description:
    kind = model.vartype.name.lower()
    return ("quadratic model", f"of {model.num_variables} {kind} variables and {model.num_interactions} couplings")


def _describe_values(content: object) -> Description:
    return (type(content).__name__, "of values")


def _of_bytes(data: Any, data_type: DataType) -> Payload:
    return Payload(data, data_type, len(data), _describe_bytes, _as_one)


def _of_view(data: Any, data_type: DataType) -> Payload:
    try:
        return Payload(data, data_type, data.nbytes, _describe_bytes, _as_one)
    except ValueError as released:
        raise _refused("a memoryview", "the view was released before it was sent") from released


def _of_text(data: Any, data_type: DataType) -> Payload:
    if data.isascii():
        return Payload(data, data_type, len(data), _describe_text, _text_bytes)
    chunks = _text_bytes(data)
    return Payload(data, data_type, chunks[0].nbytes, _describe_text, chunks)


def _text_bytes(text: Any) -> Chunks:
    try:
        return [memoryview(text.encode())]
    except UnicodeEncodeError as surrogate:
        raise _refused(text, "text is sent as UTF-8, which has no lone surrogates") from surrogate


def _of_array(data: Any, data_type: DataType) -> Payload:
    if data.dtype.hasobject:
        raise _refused(data.dtype, "an array of Python objects has no bytes of its own", "Give it a numeric dtype.")
    return Payload(data, data_type, data.nbytes, _describe_array, _flat_array)


def _of_virtual(data: Any, data_type: DataType) -> Payload:
    return Payload(data, data_type, data.nbytes, _describe_virtual, None)


def _of_circuit(data: Any, data_type: DataType) -> Payload:
    from qiskit import qpy  # noqa: PLC0415 - only for those who send circuits

    # Qiskit numbers unnamed circuits by a counter of the process, which must not reach the size, hence the clock.
    circuit = data.copy(name="circuit") if _AUTOMATIC_NAME.fullmatch(data.name or "") else data
    file = io.BytesIO()
    try:
        qpy.dump(circuit, file)
    except Exception as fault:  # QPY raises whatever a custom gate's definition raises
        raise _refused(
            data.name, f"the circuit cannot be written as QPY: {fault}", "Decompose its own gates."
        ) from fault
    chunks: Chunks = [memoryview(file.getvalue())]
    return Payload(data, data_type, chunks[0].nbytes, _describe_circuit, chunks)


def _of_quadratic(data: Any, data_type: DataType) -> Payload:
    try:
        with data.copy().to_file() as file:  # a view, such as ``model.spin``, cannot be written itself
            chunks: Chunks = [memoryview(file.read())]
    except Exception as fault:  # weights that are Python objects, labels that are no JSON
        rule = f"the quadratic model cannot be written as a file of dimod: {fault}"
        raise _refused(type(data).__name__, rule, "Give it weights of dtype float and labels of text.") from fault
    return Payload(data, data_type, chunks[0].nbytes, _describe_quadratic, chunks)


def _of_payload(data: Any, data_type: DataType) -> Payload:
    if data_type is DataType.GENERIC or data_type is data.data_type:
        known: Payload = data
        return known
    return Payload(data.content, data_type, data.nbytes, data._describe, data._bytes)


def _of_values(data: object, data_type: DataType) -> Payload:
    """Return nested values; a subclass of str, int or float, such as ``np.float64``, is written as that."""
    apart: list[Payload] = []

    def set_apart(leaf: object) -> object:
        if dataclasses.is_dataclass(leaf) and not isinstance(leaf, type | VirtualTensor):
            return {each.name: getattr(leaf, each.name) for each in dataclasses.fields(leaf)}
        reader = _READERS.get(type(leaf)) or _reader_by_kind(leaf)
        if reader is _of_values:
            raise _refused(leaf, f"a {type(leaf).__name__} inside a payload has no defined bytes")
        apart.append(reader(leaf, data_type))
        return None

    try:
        text = json.dumps(data, default=set_apart, separators=(",", ":"), ensure_ascii=False).encode()
    except InvalidValue:
        raise
    except (TypeError, ValueError, RecursionError) as fault:
        raise _refused(type(data).__name__, f"it cannot be written as JSON ({fault})") from fault
    nbytes = len(text) + sum(each.nbytes for each in apart)
    if any(each.is_virtual for each in apart):
        whole = "; ".join(
            ("text " + hashlib.blake2b(text, digest_size=8).hexdigest(), *(each.describes for each in apart))
        )
        return Payload(data, data_type, nbytes, lambda content: (*_describe_values(content), f"({whole})"), None)
    parts = tuple(each.describes for each in apart)
    return Payload(
        data,
        data_type,
        nbytes,
        lambda content: (*_describe_values(content), *parts),
        lambda _content: [memoryview(text), *(chunk for each in apart for chunk in each.chunks())],
    )


_READERS: Final[dict[type, Callable[[Any, DataType], Payload]]] = {
    bytes: _of_bytes,
    bytearray: _of_bytes,
    memoryview: _of_view,
    str: _of_text,
    np.ndarray: _of_array,
    VirtualTensor: _of_virtual,
    Payload: _of_payload,
    int: _of_values,
    float: _of_values,
    bool: _of_values,
    type(None): _of_values,
    list: _of_values,
    tuple: _of_values,
    dict: _of_values,
}


# By name of package and class, for neither package is loaded here.
_READERS_BY_NAME: Final[dict[tuple[str, str], Callable[[Any, DataType], Payload]]] = {
    ("qiskit", "QuantumCircuit"): _of_circuit,
    ("dimod", "BinaryQuadraticModel"): _of_quadratic,
}


def _reader_by_kind(data: object) -> Callable[[Any, DataType], Payload]:
    """Return the reader of a type met for the first time: subclasses, circuits, buffers, dataclasses."""
    if isinstance(data, np.ma.MaskedArray):
        raise _refused(
            data.dtype, "a masked array has two parts", "Send (array.data, array.mask), or array.filled(...)."
        )
    if isinstance(data, np.ndarray | np.generic):
        return _of_array
    if isinstance(data, str):
        return _of_text
    if isinstance(data, list | tuple | dict | int | float):
        return _of_values
    if dataclasses.is_dataclass(data) and not isinstance(data, type):
        return _of_values
    for each in type(data).__mro__:
        if (named := _READERS_BY_NAME.get((each.__module__.partition(".")[0], each.__name__))) is not None:
            return named
    try:
        memoryview(data).release()  # type: ignore[arg-type]
    except (TypeError, BufferError, ValueError):
        remedy = "Give array.detach().cpu().numpy()." if hasattr(data, "__dlpack__") else ""
        raise _refused(data, f"a {type(data).__name__} has no defined bytes", remedy) from None
    return _of_buffer


def _of_buffer(data: Any, data_type: DataType) -> Payload:
    with memoryview(data) as view:
        return Payload(data, data_type, view.nbytes, _describe_bytes, _as_one)


def _describe_spikes(_content: object) -> Description:
    return ("address events",)


def _spikes(data: object, neurons: int) -> Payload | None:
    """Return spikes as address events, or None when ``data`` is no form of them."""
    as_bytes: Callable[[Any], Chunks] | None = None
    describe: Callable[[Any], Description] = _describe_virtual
    if isinstance(data, VirtualTensor):
        events = None if data.dtype == _BFLOAT16 else address_events.listed(data.shape, np.dtype(data.dtype).kind)
    elif isinstance(data, np.ndarray):
        events = address_events.count(data, neurons)
        describe = _describe_spikes

        def as_bytes(content: Any) -> Chunks:
            return [address_events.pack(content, neurons)]

    else:
        return None
    if events is None:
        return None
    return Payload(data, DataType.NEUROMORPHIC_SPIKE, address_events.nbytes(events, neurons), describe, as_bytes)
