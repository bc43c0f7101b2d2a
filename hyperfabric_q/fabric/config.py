"""Fabric files: TOML in, a checked ``Fabric`` out, and each fault named with the line it stands on.

A file holds ``[[nodes]]``, ``[[links]]`` and ``[[zones]]`` whose keys are the fields of ``NodeSignature``, ``Link`` and
``FabricZone``. A node may start from ``preset = "..."`` as links do. The models below check which keys there are and
the type of each value; what a value may be is decided where the fabric's own values decide it.
"""

from __future__ import annotations

import os
import re
import stat
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, Final, TypeVar

from pydantic import BaseModel, ConfigDict, FailFast, ValidationError

from hyperfabric_q.errors import DuplicateName, FabricRejected, FileUnreadable, InputError, InvalidValue, UnknownName
from hyperfabric_q.errors import nearest as nearest_name
from hyperfabric_q.fabric.chip import Chip
from hyperfabric_q.fabric.fabric import FORMAT, Fabric
from hyperfabric_q.fabric.lines import Lines, TooDeepError, locate
from hyperfabric_q.fabric.lines import Path as KeyPath
from hyperfabric_q.fabric.link import Link
from hyperfabric_q.fabric.node import HardwareType, NodeSignature
from hyperfabric_q.fabric.presets import node_preset
from hyperfabric_q.fabric.zone import FabricZone, IsolationLevel, ZoneType

LARGEST_BYTES: Final = 4 * 1024 * 1024

Built = TypeVar("Built", NodeSignature, Link, FabricZone)


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class OperationTable(_Table):
    """One operation of a chip."""

    name: str
    qubits: list[int]
    error: float | None = None
    duration_ns: float | None = None


class ChipTable(_Table):
    """The ``[nodes.chip]`` table of a node."""

    qubits: int
    communication: list[int]
    operations: Annotated[list[OperationTable], FailFast()]


class NodeTable(_Table):
    """One ``[[nodes]]`` table."""

    node_id: str
    hardware_type: str
    bandwidth_gbps: float
    latency_ns: float
    preset: str | None = None
    memory_gb: float | None = None
    compute_units: int | None = None
    rack_position: str | None = None
    physical_location: str | None = None
    quantum_coherence_time_us: float | None = None
    photonic_channels: int | None = None
    neuromorphic_neurons: int | None = None
    metadata: dict[str, Any] | None = None
    communication_qubits: int | None = None
    gate_error_1q: float | None = None
    gate_error_2q: float | None = None
    readout_error: float | None = None
    t1_us: float | None = None
    t2_us: float | None = None
    gate_1q_ns: float | None = None
    gate_2q_ns: float | None = None
    readout_ns: float | None = None
    reset_ns: float | None = None
    feedforward_ns: float | None = None
    reconfiguration_ns: float | None = None
    chip: ChipTable | None = None


class LinkTable(_Table):
    """One ``[[links]]`` table."""

    a: str
    b: str
    bandwidth_gbps: float | None = None
    latency_ns: float | None = None
    distance_m: float | None = None
    pair_fidelity: float | None = None
    pair_rate_hz: float | None = None
    pair_weights: list[float] | None = None
    preset: str | None = None
    pair_attempt_ns: float | None = None
    pair_channel: str | None = None


class ZoneTable(_Table):
    """One ``[[zones]]`` table."""

    zone_id: str
    zone_type: str
    isolation_level: str | None = None
    max_nodes: int | None = None
    required_bandwidth_gbps: float | None = None
    quantum_coherence_required: bool | None = None
    description: str | None = None
    members: list[str] | None = None
    gateways: list[str] | None = None


class FabricFile(_Table):
    """A whole fabric file."""

    version: int = FORMAT
    name: str = "fabric"
    # Only one fault is reported, and collecting a million of them takes a while.
    nodes: Annotated[list[NodeTable], FailFast()] = []
    links: Annotated[list[LinkTable], FailFast()] = []
    zones: Annotated[list[ZoneTable], FailFast()] = []


_TABLES: Final[Mapping[str, type[_Table]]] = {"nodes": NodeTable, "links": LinkTable, "zones": ZoneTable}
_WANTED: Final = {
    "string_type": "text in quotes",
    "int_type": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "list_type": "a list",
    "dict_type": "a table",
    "model_type": "a table",
}


def read_file(path: str | os.PathLike[str]) -> Fabric:
    """Return the fabric that the TOML file at ``path`` describes.

    Raises:
        FileUnreadable: the file is missing, is no file, or is larger than 4 MB.
        FabricRejected: the file has a fault; the error names its line.
    """
    try:
        name = os.fspath(path)
    except TypeError:
        raise InvalidValue(field="path", value=path, rule="a path is text or a pathlib.Path") from None
    shown = os.fsdecode(name)
    try:
        # A pipe or a device would keep a plain open() waiting, or never end.
        if not stat.S_ISREG(os.stat(name).st_mode):
            raise FileUnreadable(path=shown, reason="it is no file", remedy="Name a TOML file.")
        with Path(shown).open("rb") as stream:
            data = stream.read(LARGEST_BYTES + 1)
    except FileNotFoundError:
        raise FileUnreadable(path=shown, reason="there is no such file", remedy="Check the path.") from None
    except (OSError, ValueError) as fault:
        raise FileUnreadable(path=shown, reason=str(fault)) from None
    if len(data) > LARGEST_BYTES:
        raise FileUnreadable(path=shown, reason=f"it is larger than {LARGEST_BYTES} bytes, the limit of a fabric file")
    try:
        return read_text(data.decode("utf-8-sig"), source=shown)
    except UnicodeDecodeError as fault:
        line = data.count(b"\n", 0, fault.start) + 1
        raise FabricRejected(source=shown, line=line, where="file", reason="this line is not UTF-8 text") from None


def read_text(text: str, source: str = "<text>") -> Fabric:
    """Return the fabric that ``text`` describes; ``source`` is what errors call it.

    Raises:
        FabricRejected: the text has a fault; the error names its line.
    """
    if not isinstance(text, str):
        raise InvalidValue(field="text", value=text, rule="a fabric file is text")
    if len(text) > LARGEST_BYTES:
        reason = f"the text has more than {LARGEST_BYTES} characters, the limit of a fabric file"
        raise FabricRejected(source=source, line=None, where="file", reason=reason)
    lines, document = _parsed(text, source)
    try:
        file = FabricFile.model_validate(document)
    except ValidationError as fault:
        raise _first_fault(fault, lines, source) from None
    report = _Report(source, lines)
    if file.version != FORMAT:
        reason = f"this is format {file.version}, and only format {FORMAT} is known"
        raise report.at(("version",), reason)
    nodes = tuple(report.built(("nodes", index), _node, table) for index, table in enumerate(file.nodes))
    links = tuple(report.built(("links", index), _link, table) for index, table in enumerate(file.links))
    zones = tuple(report.built(("zones", index), _zone, table) for index, table in enumerate(file.zones))
    try:
        return Fabric(nodes=nodes, links=links, zones=zones, name=file.name)
    except InputError as fault:
        raise _misfit(nodes, links, zones, file, report, fault) from None


def _parsed(text: str, source: str) -> tuple[Lines, dict[str, Any]]:
    try:
        lines = locate(text)
        return lines, tomllib.loads(text)
    except TooDeepError as fault:
        reason = "keys or values are nested too deep for a fabric file"
        raise FabricRejected(source=source, line=fault.line, where="TOML", reason=reason) from None
    except (ValueError, RecursionError) as fault:
        reason = str(fault)
        place = re.search(r" \(at (?:line (\d+), column \d+|end of document)\)$", reason)
        if place is None:
            # The reader names no place only for numbers and nestings that Python itself refuses.
            line, reason = _line_of_long_number(text), "a number has too many digits, or values are nested too deep"
        else:
            reason = reason[: place.start()]
            line = int(place.group(1)) if place.group(1) else text.rstrip().count("\n") + 1
        raise FabricRejected(source=source, line=line, where="TOML", reason=f"{reason}.") from None


def _line_of_long_number(text: str) -> int | None:
    for number, line in enumerate(text.split("\n"), start=1):
        if any(len(digits) > 4_000 for digits in re.findall(r"[0-9_]+", line)):
            return number
    return None


# ------------------------------------------------------------------------------------------------------ from tables


def _node(table: NodeTable) -> NodeSignature:
    given = table.model_dump(exclude_unset=True)
    preset = given.pop("preset", None)
    figures: dict[str, Any] = dict(node_preset(preset).fields) if preset is not None else {}
    given["hardware_type"] = _chosen("hardware type", HardwareType, given["hardware_type"])
    if given.get("chip") is not None:
        given["chip"] = Chip.from_dict(given["chip"])
    return NodeSignature(**(figures | given))


def _link(table: LinkTable) -> Link:
    given = table.model_dump(exclude_unset=True)
    if "pair_weights" in given:
        given["pair_weights"] = tuple(given["pair_weights"])
    return Link(**given)


def _zone(table: ZoneTable) -> FabricZone:
    given = table.model_dump(exclude_unset=True)
    given["zone_type"] = _chosen("zone type", ZoneType, given["zone_type"])
    if "isolation_level" in given:
        given["isolation_level"] = _chosen("isolation level", IsolationLevel, given["isolation_level"])
    return FabricZone(**given)


def _chosen(kind: str, members: type[HardwareType | ZoneType | IsolationLevel], value: str) -> object:
    # Files write members in small letters; the names that Python code uses are understood too.
    by_value = {member.value: member for member in members}
    if value.lower() not in by_value:
        raise UnknownName(kind=kind, name=value[:200], known=tuple(by_value))
    return by_value[value.lower()]


def _misfit(
    nodes: tuple[NodeSignature, ...],
    links: tuple[Link, ...],
    zones: tuple[FabricZone, ...],
    file: FabricFile,
    report: _Report,
    fault: InputError,
) -> FabricRejected:
    """Return ``fault`` with the line of the first part that does not fit those before it."""
    taken = isinstance(fault, DuplicateName)
    index = _first_refused(lambda size: Fabric(nodes=nodes[:size]), len(nodes))
    if index is not None:
        return report.about(("nodes", index), "node_id", fault)
    index = _first_refused(lambda size: Fabric(nodes=nodes, links=links[:size]), len(links))
    if index is not None:
        strange = "a" if isinstance(fault, UnknownName) and fault.name == file.links[index].a else "b"
        return report.about(("links", index), None if taken else strange, fault)
    index = _first_refused(lambda size: Fabric(nodes=nodes, zones=zones[:size]), len(zones))
    if index is not None:
        missing = fault.name if isinstance(fault, UnknownName) else None
        listed = "gateways" if missing is not None and missing not in zones[index].members else "members"
        return report.about(("zones", index), "zone_id" if taken else listed, fault)
    return report.about(("name",), None, fault)


def _first_refused(build: Callable[[int], Fabric], size: int) -> int | None:
    """Return the index of the first part that does not fit those before it, by halving; None when all fit."""
    if _fits(build, size):
        return None
    good, bad = 0, size
    while bad - good > 1:
        middle = (good + bad) // 2
        good, bad = (middle, bad) if _fits(build, middle) else (good, middle)
    return bad - 1


def _fits(build: Callable[[int], Fabric], size: int) -> bool:
    try:
        build(size)
    except InputError:
        return False
    return True


# ------------------------------------------------------------------------------------------------------------ faults


class _Report:
    """Where the keys of one text stand, to name the line of a fault."""

    def __init__(self, source: str, lines: Lines) -> None:
        self.source = source
        self.lines = lines

    def at(self, path: KeyPath, reason: str) -> FabricRejected:
        return FabricRejected(source=self.source, line=self.lines.of(path), where=_dotted(path), reason=reason)

    def about(self, path: KeyPath, key: str | None, fault: InputError) -> FabricRejected:
        return self.at((*path, key) if key is not None else path, str(fault))

    def built(self, path: KeyPath, make: Callable[[Any], Built], table: _Table) -> Built:
        """Return what ``make`` makes of ``table``, its faults turned into faults of the file."""
        try:
            return make(table)
        except InvalidValue as fault:
            key = fault.field if fault.field in type(table).model_fields else None
            raise self.about(path, key, fault) from None
        except UnknownName as fault:
            key = "preset" if fault.kind.endswith("preset") else fault.kind.replace(" ", "_")
            raise self.about(path, key, fault) from None


def _first_fault(fault: ValidationError, lines: Lines, source: str) -> FabricRejected:
    """Return the fault that stands first in the text."""
    rows = []
    for order, error in enumerate(fault.errors(include_url=False, include_context=False)):
        path: KeyPath = tuple(error["loc"])
        rows.append((lines.of(path) or 1, order, path, error))
    line, _, path, error = min(rows, key=lambda row: row[:2])
    reason = _reason(path, error["type"], error["input"])
    return FabricRejected(source=source, line=line, where=_dotted(path), reason=reason)


def _reason(path: KeyPath, kind: str, value: object) -> str:
    key = str(path[-1])
    model = _TABLES.get(str(path[0]), FabricFile) if len(path) > 1 else FabricFile
    if kind == "extra_forbidden":
        close = nearest_name(key, model.model_fields)
        hint = f" Did you mean {close!r}?" if close else f" Known keys: {', '.join(model.model_fields)}."
        return f"there is no key {key!r}.{hint}"
    if kind == "missing":
        return f"the key {key!r} is missing. Add it to this table."
    wanted = _WANTED.get(kind, "another value")
    text = str(value).lower() if isinstance(value, bool) else repr(value)
    shown = text if len(text) <= 60 else f"{text[:57]}..."
    return f"{shown} stands where {wanted} is needed."


def _dotted(path: KeyPath) -> str:
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text
