"""The network of a plan as an inline SVG: nodes on a circle, links as thick as the e-bits they carry."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape
from typing import Final

from hyperfabric_q.visual.facts import LinkRow, NodeRow, counted, printable

MOST_NODES: Final = 16
"""Beyond this, labels run into one another and the table says it better."""

_LINK: Final = "#3b82f6"
_BADGE: Final = "#1d4ed8"
_WIDTH: Final = 520
_RADIUS: Final = 21
_MARGIN: Final = 45.0
_STRETCH: Final = 1.7

Point = tuple[float, float]


def network_svg(nodes: Sequence[NodeRow], links: Sequence[LinkRow]) -> str:
    """Return the network, or an empty text where there are too few or too many nodes for a picture."""
    if not 2 <= len(nodes) <= MOST_NODES:
        return ""
    places, height = _places([node.node_id for node in nodes])
    most = max((link.ebits for link in links), default=0)
    lines = [_line(places[link.a], places[link.b], link, most) for link in links]
    badges = [_badge(places[link.a], places[link.b], link) for link in links if link.ebits]
    circles = [_circle(places[node.node_id], node, above=places[node.node_id][1] < height / 2 - 1) for node in nodes]
    total = sum(link.ebits for link in links)
    title = f"{counted(len(nodes), 'QPU node')}, {counted(len(links), 'quantum link')}, {counted(total, 'e-bit')}"
    return (
        f'<svg role="img" aria-label="{title}" viewBox="0 0 {_WIDTH} {height:.0f}" '
        f'style="width:100%;max-width:{_WIDTH}px;height:auto;color:inherit" font-size="12" fill="currentColor">'
        f"<title>{title}</title>{''.join(lines)}{''.join(badges)}{''.join(circles)}</svg>"
    )


def _places(ids: Sequence[str]) -> tuple[Mapping[str, Point], float]:
    """Return the centre of each node, and the height of the picture."""
    if len(ids) == 2:
        return {ids[0]: (130.0, _MARGIN), ids[1]: (_WIDTH - 130.0, _MARGIN)}, 2 * _MARGIN
    radius = 75.0 if len(ids) <= 4 else 110.0 if len(ids) <= 8 else 150.0
    # An even number of nodes stands on an edge, so that no label hangs over the middle.
    turn = -math.pi / 2 + (math.pi / len(ids) if len(ids) % 2 == 0 else 0)
    angles = [turn + 2 * math.pi * index / len(ids) for index in range(len(ids))]
    top, bottom = min(map(math.sin, angles)), max(map(math.sin, angles))
    places = {
        node: (_WIDTH / 2 + _STRETCH * radius * math.cos(angle), _MARGIN + radius * (math.sin(angle) - top))
        for node, angle in zip(ids, angles, strict=True)
    }
    return places, radius * (bottom - top) + 2 * _MARGIN


def _line(a: Point, b: Point, link: LinkRow, most: int) -> str:
    hint = f"<title>{escape(link.a)} -- {escape(link.b)}: pair fidelity {link.pair_fidelity:g}</title>"
    ends = f'x1="{a[0]:.1f}" y1="{a[1]:.1f}" x2="{b[0]:.1f}" y2="{b[1]:.1f}"'
    if not link.ebits:
        return f'<line {ends} stroke="currentColor" stroke-opacity=".35" stroke-dasharray="4 4">{hint}</line>'
    return f'<line {ends} stroke="{_LINK}" stroke-width="{1.5 + 5 * link.ebits / most:.1f}">{hint}</line>'


def _badge(a: Point, b: Point, link: LinkRow) -> str:
    # Off the middle, so that the badges of two crossing diagonals do not cover one another.
    x, y = a[0] + 0.42 * (b[0] - a[0]), a[1] + 0.42 * (b[1] - a[1])
    text = counted(link.ebits, "e-bit")
    wide = 7 * len(text) + 10
    return (
        f'<rect x="{x - wide / 2:.1f}" y="{y - 10:.1f}" width="{wide}" height="19" rx="9" fill="{_BADGE}"/>'
        f'<text x="{x:.1f}" y="{y + 4:.1f}" text-anchor="middle" fill="#fff">{text}</text>'
    )


def _circle(at: Point, node: NodeRow, *, above: bool) -> str:
    x, y = at
    label = y - _RADIUS - 6 if above else y + _RADIUS + 14
    size = f"{len(node.qubits)}/{'?' if node.data is None else node.data}"
    return (
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{_RADIUS}" fill="#475569" stroke="#94a3b8" stroke-width="1.5"/>'
        f'<text x="{x:.1f}" y="{y + 4:.1f}" text-anchor="middle" fill="#fff">{size}</text>'
        f'<text x="{x:.1f}" y="{label:.1f}" text-anchor="middle">'
        f"{escape(printable(node.node_id, longest=22))}</text>"
    )
