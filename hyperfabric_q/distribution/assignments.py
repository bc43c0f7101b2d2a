"""Readers for the assignments that other compilers of distributed circuits write.

* pytket-dqc: ``Distribution.to_dict`` as JSON, with ``circuit`` (a hypergraph, and in it the pytket circuit),
  ``placement`` (server of each vertex) and ``network``; or a placement alone. Vertices are the qubits in the order of
  the circuit, then its two-qubit gates in the order of its commands. The layout is that of the distributions in the
  test suite of that project. What its hyperedges say beyond the placement, merged packets with embedded gates, is not
  read: copies are shared by segment here.
* DISQCO: an array, layers x qubits, of QPU indices. Read from its source; the project publishes no file format, so the
  reader takes the JSON of the array (``assignment.tolist()``), or of a result with the array as ``best_assignment``.
  Layers are those of the circuit that DISQCO was given, without barriers.

Files come from outside: sizes are limited, and nothing is ever unpickled.
"""

from __future__ import annotations

import json
import math
import os
import re
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NoReturn, TypeAlias

from qiskit import QuantumCircuit, QuantumRegister

from hyperfabric_q.errors import CircuitRejected, FileUnreadable, InvalidValue
from hyperfabric_q.fabric.fields import is_whole

LARGEST_BYTES: Final = 16_000_000
LARGEST_QUBITS: Final = 100_000

NodeIds: TypeAlias = Sequence[str] | Mapping[int, str]
"""The node id of each server or QPU index."""

_GATES: Final = {"H": (1, 0), "Rz": (1, 1), "CU1": (2, 1), "CZ": (2, 0), "CX": (2, 0)}
"""Qubits and parameters of the gates that pytket-dqc distributes."""

_ANGLE = re.compile(r"[-+]?\d{1,40}(\.\d{0,40})?([eE][-+]?\d{1,3})?")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Assignment:
    """A mapping as ``hq.evaluate`` takes it.

    Attributes:
        homes: node id of each qubit, or one such tuple for each layer of the circuit.
        sites: node id of two-qubit instructions by their index in the circuit; None where the format has none.
        circuit: the circuit that was mapped, None where the format does not hold it.
    """

    homes: tuple[str, ...] | tuple[tuple[str, ...], ...]
    sites: Mapping[int, str] | None
    circuit: QuantumCircuit | None


def read_pytket_dqc(
    source: str | os.PathLike[str], nodes: NodeIds, *, circuit: QuantumCircuit | None = None
) -> Assignment:
    """Return the mapping in a pytket-dqc distribution or placement.

    Args:
        source: JSON text, or the path of a file as ``pathlib.Path``.
        nodes: the node id of each server.
        circuit: the circuit whose qubits and two-qubit gates, in order, are the vertices; only for a placement alone.

    Raises:
        CircuitRejected: the text is not such a document, or exceeds a limit.
        FileUnreadable: the file cannot be read.
        InvalidValue: a server has no node, or the circuit is missing.
    """
    name, text = _text(source)
    document = _object(_parsed(text, name), name, "the document")
    placement = _object(document.get("placement", document), name, "'placement'")
    if "circuit" in document:
        hypergraph = _object(document["circuit"], name, "'circuit'")
        circuit = _circuit(_object(hypergraph.get("circuit"), name, "'circuit' of 'circuit'"), name)
        _check_vertices(hypergraph.get("hyperedge_list", []), circuit, name)
    elif circuit is None:
        raise InvalidValue(
            field="circuit", value=None, rule="a placement without its circuit is read along with the circuit it is for"
        )
    gates = _two_qubit(circuit)
    expected = circuit.num_qubits + len(gates)
    if len(placement) != expected or any(str(vertex) not in placement for vertex in range(expected)):
        _reject(name, f"the placement has {len(placement)} vertices, the circuit {expected}: its qubits and gates")
    server = [_whole(placement[str(vertex)], name, f"server of vertex {vertex}") for vertex in range(expected)]
    ids = [_node_of(each, nodes) for each in server]
    return Assignment(
        homes=tuple(ids[: circuit.num_qubits]),
        sites=dict(zip(gates, ids[circuit.num_qubits :], strict=True)),
        circuit=circuit,
    )


def read_disqco(source: str | os.PathLike[str], nodes: NodeIds) -> Assignment:
    """Return the mapping in a DISQCO assignment: a table, layers x qubits, of QPU indices.

    Args:
        source: JSON text, or the path of a file as ``pathlib.Path``; the table, or an object with ``best_assignment``.
        nodes: the node id of each QPU index.

    Raises:
        CircuitRejected: the text is not such a table, or exceeds a limit.
        FileUnreadable: the file cannot be read.
        InvalidValue: a QPU has no node.
    """
    name, text = _text(source)
    table = _parsed(text, name)
    if isinstance(table, dict):
        table = table.get("best_assignment")
    if not isinstance(table, list) or not table or not all(isinstance(row, list) and row for row in table):
        _reject(name, "an assignment is a list of layers, each a list of the QPU index of every qubit")
    if len({len(row) for row in table}) > 1:
        _reject(name, "the layers of an assignment have one entry for each qubit, all equally many")
    rows = tuple(
        tuple(_node_of(_whole(each, name, f"QPU in layer {layer}"), nodes) for each in row)
        for layer, row in enumerate(table)
    )
    return Assignment(homes=rows, sites=None, circuit=None)


# --------------------------------------------------------------------------------------------------- the JSON document


def _text(source: object) -> tuple[str, str]:
    """The name and the text of a source."""
    if isinstance(source, str):
        return "<text>", source
    if not isinstance(source, os.PathLike):
        raise InvalidValue(field="source", value=source, rule="it is JSON text, or the path of a file as pathlib.Path")
    path = Path(os.fsdecode(source))
    shown = str(path)
    try:
        # A pipe or a device would keep a plain open() waiting, or never end.
        if not stat.S_ISREG(path.stat().st_mode):
            raise FileUnreadable(path=shown, reason="it is no file", remedy="Name a JSON file.")
        with path.open("rb") as stream:
            data = stream.read(LARGEST_BYTES + 1)
    except (OSError, ValueError) as fault:
        reason = getattr(fault, "strerror", None) or str(fault)
        raise FileUnreadable(path=shown, reason=reason, remedy="Check the path.") from None
    try:
        return shown, data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise FileUnreadable(path=shown, reason="it is not text in UTF-8", remedy="Name a JSON file.") from None


def _parsed(text: str, name: str) -> Any:
    if len(text) > LARGEST_BYTES:
        _reject(name, f"it is larger than {LARGEST_BYTES} characters, the limit of an assignment")
    try:
        return json.loads(text, object_pairs_hook=_unique, parse_constant=_no_constant)
    except json.JSONDecodeError as fault:
        raise CircuitRejected(
            reason=f"it is not JSON: {fault.msg}", source=name, line=fault.lineno, column=fault.colno
        ) from None
    except RecursionError:
        _reject(name, "it is nested too deeply")
    except ValueError as fault:
        _reject(name, f"it is not JSON: {str(fault)[:200]}")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key occurs twice")
    return found


def _no_constant(text: str) -> NoReturn:
    raise ValueError(f"{text} is no number")


def _reject(name: str, reason: str) -> NoReturn:
    raise CircuitRejected(reason=reason, source=name)


def _object(value: object, name: str, what: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        _reject(name, f"{what} is no JSON object")
    return value


def _list(value: object, name: str, what: str) -> list[Any]:
    if not isinstance(value, list):
        _reject(name, f"{what} is no list")
    return value


def _whole(value: object, name: str, what: str) -> int:
    if not is_whole(value):
        _reject(name, f"the {what} is no whole number")
    return value


def _node_of(index: int, nodes: NodeIds) -> str:
    if isinstance(nodes, str) or not isinstance(nodes, Mapping | Sequence):
        raise InvalidValue(field="nodes", value=nodes, rule="it is the node id of each server, as a list or by number")
    known = isinstance(nodes, Mapping) and index in nodes
    if not known and (isinstance(nodes, Mapping) or not 0 <= index < len(nodes)):
        raise InvalidValue(field="nodes", value=nodes, rule=f"it names no node for server {index} of the assignment")
    return nodes[index]


# -------------------------------------------------------------------------------------------------- the pytket circuit


def _circuit(document: dict[str, Any], name: str) -> QuantumCircuit:
    """The pytket circuit as a Qiskit circuit, one instruction per command."""
    listed = [_unit(each, name) for each in _list(document.get("qubits"), name, "'qubits'")]
    index = {each: number for number, each in enumerate(listed)}
    if not listed or len(listed) > LARGEST_QUBITS or len(index) < len(listed):
        _reject(name, f"a circuit has 1 to {LARGEST_QUBITS} different qubits")
    for pair in _list(document.get("implicit_permutation", []), name, "'implicit_permutation'"):
        if not isinstance(pair, list) or len(pair) != 2 or pair[0] != pair[1]:
            _reject(name, "the circuit permutes its qubits implicitly, which is not read")
    circuit = QuantumCircuit(QuantumRegister(len(listed), "q"))
    for number, command in enumerate(_list(document.get("commands"), name, "'commands'")):
        what = f"command {number}"
        row = _object(command, name, what)
        operation = _object(row.get("op"), name, f"'op' of {what}")
        kind = operation.get("type")
        if not isinstance(kind, str) or kind not in _GATES:
            _reject(name, f"{what} is not one of {', '.join(_GATES)}, the gates that are distributed")
        units = [_unit(each, name) for each in _list(row.get("args"), name, f"'args' of {what}")]
        params = _list(operation.get("params", []), name, f"'params' of {what}")
        if (len(units), len(params)) != _GATES[kind] or len(set(units)) < len(units):
            _reject(name, f"{what}, {kind}, has other than {_GATES[kind][0]} qubits and {_GATES[kind][1]} parameters")
        if any(each not in index for each in units):
            _reject(name, f"{what} acts on a qubit that the circuit does not list")
        _append(circuit, kind, [index[each] for each in units], [_angle(each, name, what) for each in params])
    return circuit


def _append(circuit: QuantumCircuit, kind: str, qubits: list[int], angles: list[float]) -> None:
    if kind == "H":
        circuit.h(*qubits)
    elif kind == "Rz":
        circuit.rz(*angles, *qubits)
    elif kind == "CU1":
        circuit.cp(*angles, *qubits)
    elif kind == "CZ":
        circuit.cz(*qubits)
    else:
        circuit.cx(*qubits)


def _unit(value: object, name: str) -> tuple[str, tuple[int, ...]]:
    """A pytket unit id: the name of a register and the indices in it."""
    if (
        not isinstance(value, list)
        or len(value) != 2
        or not isinstance(value[0], str)
        or not isinstance(value[1], list)
        or not all(is_whole(each) for each in value[1])
    ):
        _reject(name, "a qubit is written as the name of its register and its indices")
    return value[0], tuple(value[1])


def _angle(value: object, name: str, what: str) -> float:
    """An angle in radians; pytket writes half turns, as a product or quotient of numbers."""
    text = value.replace(" ", "") if isinstance(value, str) and len(value) <= 200 else ""
    total = 1.0
    for position, part in enumerate(re.split(r"([*/])", "*" + text)[1:]):
        if position % 2 == 0:
            divides = part == "/"
        elif not _ANGLE.fullmatch(part) or (divides and float(part) == 0):
            _reject(name, f"the angle of {what} is no number")
        else:
            total = total / float(part) if divides else total * float(part)
    if not math.isfinite(total):
        _reject(name, f"the angle of {what} is not finite")
    return total * math.pi


def _two_qubit(circuit: QuantumCircuit) -> list[int]:
    """The indices of the two-qubit gates: vertex n + k of the hypergraph is the k-th of them."""
    return [
        index
        for index, each in enumerate(circuit.data)
        if len(each.qubits) == 2 and each.operation.name != "barrier" and not each.clbits
    ]


def _check_vertices(hyperedges: object, circuit: QuantumCircuit, name: str) -> None:
    """Refuse a hypergraph whose gates do not act on the qubits that its hyperedges say."""
    pairs = [{circuit.find_bit(bit).index for bit in circuit.data[index].qubits} for index in _two_qubit(circuit)]
    for edge in _list(hyperedges, name, "'hyperedge_list'"):
        vertices = _list(_object(edge, name, "a hyperedge").get("vertices"), name, "'vertices' of a hyperedge")
        numbers = [_whole(each, name, "vertex of a hyperedge") for each in vertices]
        qubits = [each for each in numbers if 0 <= each < circuit.num_qubits]
        gates = [each - circuit.num_qubits for each in numbers if each >= circuit.num_qubits]
        if len(qubits) != 1 or len(gates) + 1 != len(numbers):
            _reject(name, "a hyperedge has other than one qubit and gates")
        if any(gate >= len(pairs) or qubits[0] not in pairs[gate] for gate in gates):
            _reject(name, f"the gates of a hyperedge of qubit {qubits[0]} do not act on it in the order of the circuit")
