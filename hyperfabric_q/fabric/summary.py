"""A fabric as a table for people, in plain text and in HTML."""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import Final

from hyperfabric_q.fabric.link import Link
from hyperfabric_q.fabric.node import NodeSignature
from hyperfabric_q.fabric.zone import FabricZone

MOST_ROWS: Final = 40

_NODE_HEAD: Final = ("node", "hardware", "data qubits", "comm. qubits", "2q error", "readout error", "T1 us", "T2 us")
_LINK_HEAD: Final = ("link", "pair fidelity", "pairs/s", "latency ns", "Gb/s", "preset")
_ZONE_HEAD: Final = ("zone", "type", "isolation", "members")

# Few fabrics state these, so they get a column only where one does.
_NODE_RARE: Final = (("channels", "photonic_channels"), ("turns in ns", "reconfiguration_ns"))
_LINK_RARE: Final = (("attempt ns", "pair_attempt_ns"),)

Table = tuple[tuple[str, ...], list[tuple[str, ...]], int]


def as_text(name: str, nodes: Sequence[NodeSignature], links: Sequence[Link], zones: Sequence[FabricZone]) -> str:
    """Return the fabric as aligned plain text; tables longer than 40 rows are cut."""
    blocks = [_headline(name, nodes, links, zones)]
    for head, rows, left_out in _tables(nodes, links, zones):
        widths = [max(len(row[column]) for row in [head, *rows]) for column in range(len(head))]
        lines = [
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
            for row in [head, *rows]
        ]
        if left_out:
            lines.append(f"... and {left_out} more")
        blocks.append("\n".join(lines))
    return "\n\n".join(blocks)


def as_html(name: str, nodes: Sequence[NodeSignature], links: Sequence[Link], zones: Sequence[FabricZone]) -> str:
    """Return the fabric as small HTML tables; tables longer than 40 rows are cut."""
    pieces = [f"<p><b>{html.escape(_headline(name, nodes, links, zones))}</b></p>"]
    for head, rows, left_out in _tables(nodes, links, zones):
        top = "".join(f"<th>{html.escape(cell)}</th>" for cell in head)
        body = "".join("<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
        pieces.append(f"<table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>")
        if left_out:
            pieces.append(f"<p>and {left_out} more</p>")
    return "".join(pieces)


def _headline(name: str, nodes: Sequence[NodeSignature], links: Sequence[Link], zones: Sequence[FabricZone]) -> str:
    qubits = sum(node.data_qubits or 0 for node in nodes)
    quantum = sum(link.quantum for link in links)
    return (
        f"fabric {name!r}: {len(nodes)} nodes with {qubits} data qubits, "
        f"{len(links)} links ({quantum} quantum), {len(zones)} zones"
    )


def _tables(nodes: Sequence[NodeSignature], links: Sequence[Link], zones: Sequence[FabricZone]) -> list[Table]:
    tables: list[Table] = []
    if nodes:
        tables.append(_with_rare(_NODE_HEAD, [_node_row(node) for node in nodes[:MOST_ROWS]], nodes, _NODE_RARE))
    if links:
        tables.append(_with_rare(_LINK_HEAD, [_link_row(link) for link in links[:MOST_ROWS]], links, _LINK_RARE))
    if zones:
        tables.append((_ZONE_HEAD, [_zone_row(zone) for zone in zones[:MOST_ROWS]], max(0, len(zones) - MOST_ROWS)))
    return tables


def _with_rare(
    head: tuple[str, ...],
    rows: list[tuple[str, ...]],
    parts: Sequence[NodeSignature] | Sequence[Link],
    rare: Sequence[tuple[str, str]],
) -> Table:
    for title, name in rare:
        stated = [getattr(part, name) for part in parts]
        if any(value is not None for value in stated):
            head = (*head, title)
            rows = [(*row, _figure(value)) for row, value in zip(rows, stated, strict=False)]
    return head, rows, max(0, len(parts) - MOST_ROWS)


def _node_row(node: NodeSignature) -> tuple[str, ...]:
    unlimited = "no limit" if node.data_qubits else "-"
    communication = unlimited if node.communication_qubits is None else str(node.communication_qubits)
    figures = (node.gate_error_2q, node.readout_error, node.t1_us, node.t2_us)
    qubits = "not stated" if node.data_qubits is None else str(node.data_qubits)
    return node.node_id, node.hardware_type.value, qubits, communication, *(_figure(each) for each in figures)


def _link_row(link: Link) -> tuple[str, ...]:
    figures = (link.pair_fidelity, link.pair_rate_hz, link.latency_ns, link.bandwidth_gbps)
    name = link.label if link.pair_channel == "dedicated" else f"{link.label} ({link.pair_channel})"
    return name, *(_figure(each) for each in figures), link.preset or "-"


def _zone_row(zone: FabricZone) -> tuple[str, ...]:
    members = ", ".join(zone.members[:8]) + (", ..." if len(zone.members) > 8 else "")
    return zone.zone_id, zone.zone_type.value, zone.isolation_level.value, members or "-"


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:g}"
