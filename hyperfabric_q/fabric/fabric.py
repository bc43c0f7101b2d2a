"""The fabric: nodes, the links between them and the zones they form, as one frozen value."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, Final

from hyperfabric_q.errors import InvalidValue, UnknownName
from hyperfabric_q.fabric import consistency, fields, topology
from hyperfabric_q.fabric.build import Capacities, CommunicationQubits, backend_nodes, joined, qpus
from hyperfabric_q.fabric.changes import changed
from hyperfabric_q.fabric.chip import Chip
from hyperfabric_q.fabric.link import Link
from hyperfabric_q.fabric.metadata import Metadata
from hyperfabric_q.fabric.node import HardwareType, NodeSignature
from hyperfabric_q.fabric.summary import as_html, as_text
from hyperfabric_q.fabric.toml_text import toml_text
from hyperfabric_q.fabric.written import written
from hyperfabric_q.fabric.zone import FabricZone

if TYPE_CHECKING:
    import networkx as nx

FORMAT: Final = 1
"""The version of ``to_dict`` and of fabric files."""

_LONGEST_REPR: Final = 4_000


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Fabric:
    """Return a fabric; two fabrics with the same parts in the same order are equal, and hash alike.

    Args:
        nodes: the nodes, in the order that everything else follows.
        links: the links; at most one between two nodes.
        zones: the zones.
        name: free text of at most 200 characters.

    Raises:
        DuplicateName: two nodes or zones share an id, or two links join the same nodes.
        UnknownName: a link or zone names a node that is not there.
        InvalidValue: a part is of the wrong type, or a member does not meet its zone's demands.
    """

    nodes: tuple[NodeSignature, ...] = ()
    links: tuple[Link, ...] = ()
    zones: tuple[FabricZone, ...] = ()
    name: str = "fabric"
    _node_of: dict[str, NodeSignature] = field(init=False, compare=False)
    _link_of: dict[tuple[str, str], Link] = field(init=False, compare=False)

    def __post_init__(self) -> None:
        put = object.__setattr__
        put(self, "nodes", consistency.parts("nodes", self.nodes, NodeSignature))
        put(self, "links", consistency.parts("links", self.links, Link))
        put(self, "zones", consistency.parts("zones", self.zones, FabricZone))
        put(self, "name", fields.text("name", self.name, "a fabric", most=200))
        put(self, "_node_of", consistency.nodes_by_id(self.nodes))
        put(self, "_link_of", consistency.links_by_ends(self.links, self._node_of))
        consistency.check_zones(self.zones, self._node_of)

    # ---------------------------------------------------------------------------------------------- reading

    def node(self, node_id: str) -> NodeSignature:
        """Return the node called ``node_id``.

        Raises:
            UnknownName: there is none; the error names the nearest one.
        """
        found = self._node_of.get(str(node_id))
        if found is None:
            raise UnknownName(kind="node", name=str(node_id)[:200], known=tuple(self._node_of))
        return found

    def __contains__(self, node_id: object) -> bool:
        """Return whether there is a node called ``node_id``; O(1)."""
        return isinstance(node_id, str) and node_id in self._node_of

    def link(self, a: str, b: str) -> Link | None:
        """Return the link between two nodes, in whichever order they are given; None when nothing joins them.

        Raises:
            UnknownName: one of the nodes does not exist.
        """
        first, second = self.node(a).node_id, self.node(b).node_id
        return self._link_of.get((min(first, second), max(first, second)))

    @property
    def qpu_nodes(self) -> tuple[NodeSignature, ...]:
        """The nodes that hold data qubits, including a QPU whose ``compute_units`` is not stated."""
        return tuple(node for node in self.nodes if node.hardware_type is HardwareType.QUANTUM_QPU)

    @property
    def quantum_links(self) -> tuple[Link, ...]:
        """The links that make Bell pairs."""
        return tuple(link for link in self.links if link.quantum)

    @property
    def capacity(self) -> dict[str, int]:
        """Data qubits by QPU node id, in the order of the nodes.

        Raises:
            InvalidValue: a QPU node does not state how many it has.
        """
        rows: dict[str, int] = {}
        for node in self.qpu_nodes:
            if node.data_qubits is None:
                raise InvalidValue(
                    field="compute_units",
                    value=None,
                    rule=f"QPU node {node.node_id!r} does not state how many data qubits it has",
                    remedy=f"Fabric.replace('nodes.{node.node_id}', compute_units=...) does.",
                )
            rows[node.node_id] = node.data_qubits
        return rows

    def quantum_components(self) -> tuple[tuple[str, ...], ...]:
        """Return the groups of QPU node ids that quantum links hold together, through any node; O(nodes + links)."""
        qpu_ids = {node.node_id for node in self.qpu_nodes}
        groups = topology.components(tuple(self._node_of), (link.ends for link in self.quantum_links))
        reached = (tuple(each for each in group if each in qpu_ids) for group in groups)
        return tuple(group for group in reached if group)

    def graph(self, *, quantum_only: bool = False) -> nx.Graph[str]:
        """Return a NetworkX graph: each node carries ``signature`` and each edge ``link``.

        Args:
            quantum_only: keep the QPU nodes and the ends of quantum links, and the quantum links between them.
        """
        import networkx as nx  # noqa: PLC0415 - a fabric must be readable without it

        links = self.quantum_links if quantum_only else self.links
        kept = {node.node_id for node in self.qpu_nodes} | {end for link in links for end in link.ends}
        graph: nx.Graph[str] = nx.Graph(name=self.name)
        for node in self.nodes:
            if node.node_id in kept or not quantum_only:
                graph.add_node(node.node_id, signature=node)
        for link in links:
            graph.add_edge(link.a, link.b, link=link)
        return graph

    # ---------------------------------------------------------------------------------------------- changing

    def with_node(self, node: NodeSignature) -> Fabric:
        """Return this fabric with one node more.

        Raises:
            DuplicateName: the id is taken.
        """
        return dataclasses.replace(self, nodes=(*self.nodes, node))

    def with_link(self, link: Link) -> Fabric:
        """Return this fabric with one link more.

        Raises:
            DuplicateName: its nodes are joined already.
            UnknownName: one of its nodes does not exist.
        """
        return dataclasses.replace(self, links=(*self.links, link))

    def with_zone(self, zone: FabricZone) -> Fabric:
        """Return this fabric with one zone more.

        Raises:
            DuplicateName: the id is taken.
            UnknownName: a member does not exist.
            InvalidValue: a member does not meet the zone's demands.
        """
        return dataclasses.replace(self, zones=(*self.zones, zone))

    def replace(self, pattern: str, **values: Any) -> Fabric:
        """Return this fabric with ``values`` in every node, link or zone that ``pattern`` matches.

        The values are checked against the fields of what matches, so a misspelt field is an error. Fields that are
        filled in from others follow them (``hyperfabric_q.fabric.changes``).

        Args:
            pattern: ``nodes.``, ``links.`` or ``zones.`` and an id in which ``*`` and ``?`` stand for any text; a
                link's id is ``a--b``, its ends in either order. Examples: ``"links.*"``, ``"nodes.qpu-*"``,
                ``"links.qpu-0--qpu-1"``.
            **values: field → new value.

        Raises:
            UnknownName: nothing matches the pattern, or there is no such field.
            InvalidValue: no field is given, or a value breaks its field's rule.
        """
        kind, wanted = _split(pattern)
        if not values:
            raise InvalidValue(field="values", value=values, rule="replace needs at least one field=value")
        if kind == "nodes":
            matching = [fnmatchcase(node.node_id, wanted) for node in self.nodes]
            known = tuple(self._node_of)
        elif kind == "links":
            matching = [fnmatchcase(f"{a}--{b}", wanted) or fnmatchcase(f"{b}--{a}", wanted) for a, b in self._link_of]
            known = tuple(link.label for link in self.links)
        else:
            matching = [fnmatchcase(zone.zone_id, wanted) for zone in self.zones]
            known = tuple(zone.zone_id for zone in self.zones)
        if not any(matching):
            raise UnknownName(kind=kind[:-1], name=wanted, known=known)
        parts = tuple(
            changed(part, values) if hit else part for part, hit in zip(getattr(self, kind), matching, strict=True)
        )
        rebuilt: dict[str, Any] = {kind: parts}
        return dataclasses.replace(self, **rebuilt)

    # ---------------------------------------------------------------------------------------------- building

    @classmethod
    def full(
        cls,
        capacities: Capacities,
        *,
        communication_qubits: CommunicationQubits = None,
        link: str | None = None,
        pair_fidelity: float | None = None,
        node: str | None = None,
        name: str = "full",
    ) -> Fabric:
        """Return QPU nodes ``qpu-0``, ``qpu-1``, ... with a quantum link between any two.

        Args:
            capacities: data qubits of each node.
            communication_qubits: of each node, or one number for all; None = no limit.
            link: a link preset; None = links with no more than ``pair_fidelity``.
            pair_fidelity: of every link; by default that of the preset, or 1 without one.
            node: a node preset; None = nodes with no gate errors stated.
            name: of the fabric.

        Raises:
            InvalidValue: a capacity or figure breaks its rule, the list is empty, or there would be more than 200,000
                links.
            UnknownName: a preset does not exist.
        """
        nodes = qpus(capacities, communication_qubits=communication_qubits, preset=node)
        pairs = topology.full(len(nodes))
        return cls(nodes=nodes, links=joined(nodes, pairs, preset=link, pair_fidelity=pair_fidelity), name=name)

    @classmethod
    def line(
        cls,
        capacities: Capacities,
        *,
        communication_qubits: CommunicationQubits = None,
        link: str | None = None,
        pair_fidelity: float | None = None,
        node: str | None = None,
        name: str = "line",
    ) -> Fabric:
        """Return QPU nodes ``qpu-0``, ``qpu-1``, ... along a line; arguments and errors as in ``full``."""
        nodes = qpus(capacities, communication_qubits=communication_qubits, preset=node)
        pairs = topology.line(len(nodes))
        return cls(nodes=nodes, links=joined(nodes, pairs, preset=link, pair_fidelity=pair_fidelity), name=name)

    @classmethod
    def ring(
        cls,
        capacities: Capacities,
        *,
        communication_qubits: CommunicationQubits = None,
        link: str | None = None,
        pair_fidelity: float | None = None,
        node: str | None = None,
        name: str = "ring",
    ) -> Fabric:
        """Return QPU nodes ``qpu-0``, ``qpu-1``, ... around a ring; arguments and errors as in ``full``."""
        nodes = qpus(capacities, communication_qubits=communication_qubits, preset=node)
        pairs = topology.ring(len(nodes))
        return cls(nodes=nodes, links=joined(nodes, pairs, preset=link, pair_fidelity=pair_fidelity), name=name)

    @classmethod
    def star(
        cls,
        capacities: Capacities,
        *,
        communication_qubits: CommunicationQubits = None,
        link: str | None = None,
        pair_fidelity: float | None = None,
        node: str | None = None,
        name: str = "star",
    ) -> Fabric:
        """Return QPU nodes linked to ``qpu-0``, the hub; arguments and errors as in ``full``."""
        nodes = qpus(capacities, communication_qubits=communication_qubits, preset=node)
        pairs = topology.star(len(nodes))
        return cls(nodes=nodes, links=joined(nodes, pairs, preset=link, pair_fidelity=pair_fidelity), name=name)

    @classmethod
    def grid(
        cls,
        rows: int,
        columns: int,
        capacities: int | Capacities,
        *,
        communication_qubits: CommunicationQubits = None,
        link: str | None = None,
        pair_fidelity: float | None = None,
        node: str | None = None,
        name: str = "grid",
    ) -> Fabric:
        """Return ``rows`` × ``columns`` QPU nodes linked to their neighbours, numbered row by row.

        Args:
            rows: at least 1.
            columns: at least 1.
            capacities: data qubits of each node, row by row, or one number for all.
            communication_qubits: as in ``full``.
            link: as in ``full``.
            pair_fidelity: as in ``full``.
            node: as in ``full``.
            name: of the fabric.

        Raises:
            InvalidValue: as in ``full``, or the number of capacities is not rows × columns.
            UnknownName: a preset does not exist.
        """
        most = topology.MOST_LINKS
        rows = fields.count("rows", rows, "a grid", least=1, most=most, what="rows")
        columns = fields.count("columns", columns, "a grid", least=1, most=most, what="columns")
        pairs = topology.grid(rows, columns)
        each = (capacities,) * (rows * columns) if isinstance(capacities, int) else capacities
        nodes = qpus(each, communication_qubits=communication_qubits, preset=node, size=rows * columns)
        return cls(nodes=nodes, links=joined(nodes, pairs, preset=link, pair_fidelity=pair_fidelity), name=name)

    @classmethod
    def from_backends(
        cls,
        backends: Sequence[Any],
        topology: str = "full",
        *,
        communication_qubits: int | Sequence[int] = 1,
        link: str | None = None,
        pair_fidelity: float | None = None,
        name: str = "backends",
    ) -> Fabric:
        """Return one QPU node per Qiskit backend, in the shape called ``topology``.

        Args:
            backends: Qiskit ``BackendV2`` objects. Those that share a name get '-0', '-1', ... after it.
            topology: ``full``, ``line``, ``ring`` or ``star`` (the first backend is the hub).
            communication_qubits: how many of each backend's qubits to reserve for Bell pairs.
            link: as in ``full``; no backend states a quantum link.
            pair_fidelity: as in ``full``.
            name: of the fabric.

        Raises:
            InvalidValue: a backend cannot be read, or too few of its qubits are left.
            UnknownName: no shape or preset has that name.
        """
        nodes, pairs = backend_nodes(backends, topology, communication_qubits)
        return cls(nodes=nodes, links=joined(nodes, pairs, preset=link, pair_fidelity=pair_fidelity), name=name)

    @classmethod
    def from_file(cls, path: str | os.PathLike[str]) -> Fabric:
        """Return the fabric that a TOML file describes.

        Raises:
            FileUnreadable: the file is missing, is no file, or is larger than 4 MB.
            FabricRejected: the file has a fault; the error names its line.
        """
        from hyperfabric_q.fabric import config  # noqa: PLC0415 - pydantic is loaded for files only

        return config.read_file(path)

    @classmethod
    def from_toml(cls, text: str) -> Fabric:
        """Return the fabric that a TOML text describes: the inverse of ``to_toml``.

        Raises:
            FabricRejected: the text has a fault; the error names its line.
        """
        from hyperfabric_q.fabric import config  # noqa: PLC0415 - pydantic is loaded for files only

        return config.read_text(text)

    # ---------------------------------------------------------------------------------------------- writing

    def to_dict(self) -> dict[str, Any]:
        """Return this fabric as JSON-able dicts and lists; only what differs from the defaults is written."""
        rows: dict[str, Any] = {"version": FORMAT, "name": self.name}
        for kind in ("nodes", "links", "zones"):
            rows[kind] = [_plain(part) for part in getattr(self, kind)]
        return rows

    def to_toml(self) -> str:
        """Return this fabric as the text of a fabric file; ``from_toml`` reads it back to an equal value."""
        return toml_text(self.to_dict())

    def summary(self) -> str:
        """Return a table of nodes and links for people to read."""
        return as_text(self.name, self.nodes, self.links, self.zones)

    def _repr_html_(self) -> str:
        return as_html(self.name, self.nodes, self.links, self.zones)

    def __repr__(self) -> str:
        parts = [
            f"{kind}={value!r}"
            for kind, value in (("nodes", self.nodes), ("links", self.links), ("zones", self.zones))
            if value
        ]
        whole = f"Fabric({', '.join([f'name={self.name!r}', *parts])})" if len(self.nodes) <= 16 else ""
        if whole and len(whole) <= _LONGEST_REPR:
            return whole
        return f"<Fabric {self.name!r}: {len(self.nodes)} nodes, {len(self.links)} links, {len(self.zones)} zones>"


def _split(pattern: object) -> tuple[str, str]:
    """Return the kind of part and the id that ``pattern`` asks for."""
    kinds = ("nodes", "links", "zones")
    if isinstance(pattern, str) and len(pattern) <= 300:
        kind, dot, wanted = pattern.partition(".")
        if dot and wanted and kind in kinds:
            return kind, wanted
        if dot and wanted:
            raise UnknownName(kind="part of a fabric", name=kind, known=kinds)
    raise InvalidValue(
        field="pattern", value=pattern, rule="a pattern is 'nodes.', 'links.' or 'zones.' and an id, such as 'links.*'"
    )


def _plain(part: NodeSignature | Link | FabricZone) -> dict[str, Any]:
    """Return the fields that rebuild ``part``, as JSON-able values."""
    rows = written(part)
    for name, value in rows.items():
        if isinstance(value, Metadata):
            rows[name] = value.plain()
        elif isinstance(value, Chip):
            rows[name] = value.to_dict()
        elif isinstance(value, tuple):
            rows[name] = list(value)
        elif isinstance(value, StrEnum):
            rows[name] = value.value
    return rows
