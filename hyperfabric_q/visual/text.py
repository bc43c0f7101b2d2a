"""A plan as plain text, at most 100 columns wide: who holds what, which e-bits are spent, and why."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final

from hyperfabric_q.errors import InvalidValue
from hyperfabric_q.visual.facts import (
    LinkRow,
    NodeRow,
    headline,
    link_rows,
    node_rows,
    packet_text,
    printable,
    qubit_ranges,
    reasons,
)
from hyperfabric_q.visual.lanes import draw_lanes

if TYPE_CHECKING:
    from hyperfabric_q.distribution.plan import Plan

WIDTH: Final = 100
OUTPUTS: Final = ("text",)
MOST_NODES: Final = 40
MOST_LINKS: Final = 20
MOST_PACKETS: Final = 20

_BAR: Final = 10
_LONGEST_BAR: Final = 30
_EIGHTHS: Final = " ▏▎▍▌▋▊▉█"


def draw_plan(plan: Plan, *, output: str = "text") -> str:
    """Return a picture of ``plan``: nodes, links, packets, and why it is this plan; O(operations).

    Args:
        plan: from ``hyperfabric_q.plan``.
        output: "text", plain Unicode of at most 100 columns.

    Raises:
        InvalidValue: there is no such output.
    """
    if output not in OUTPUTS:
        listed = ", ".join(repr(each) for each in OUTPUTS)
        raise InvalidValue(
            field="output",
            value=output,
            rule=f"a plan is drawn as {listed}",
            remedy="Notebooks show HTML by themselves.",
        )
    sections = [
        [_cut(headline(plan))],
        _nodes(node_rows(plan)),
        _links(link_rows(plan)),
        _packets(plan),
        draw_lanes(plan, width=WIDTH),
        _why(reasons(plan)),
    ]
    return "\n\n".join("\n".join(section) for section in sections if section)


def _nodes(rows: Sequence[NodeRow]) -> list[str]:
    shown = [row for row in rows if row.qubits or row.peak][:MOST_NODES] or list(rows[:1])
    names = _column([printable(row.node_id) for row in shown], "QPU node")
    sizes = _column([f"{len(row.qubits)}/{'?' if row.data is None else row.data}" for row in shown], "")
    limits = _column([f"{row.peak}/{'no limit' if row.limit is None else row.limit}" for row in shown], "comm. peak")
    head = f"{names[0]}  {'data qubits':<{_BAR + 1 + len(sizes[0])}}  {limits[0]}  qubits at home"
    lines = [head]
    for row, name, size, limit in zip(shown, names[1:], sizes[1:], limits[1:], strict=True):
        start = f"{name}  {_bar(len(row.qubits), row.data or len(row.qubits) or 1, _BAR)} {size}  {limit}  "
        lines.append(start + _cut(qubit_ranges(row.qubits) or "none", WIDTH - len(start)))
    idle = len(rows) - len(shown)
    if idle:
        lines.append(f"... and {idle} more, without qubits")
    return lines


def _links(rows: Sequence[LinkRow]) -> list[str]:
    used = [row for row in rows if row.ebits]
    if not used:
        return []
    shown = used[:MOST_LINKS]
    names = _column([f"{printable(row.a)} -- {printable(row.b)}" for row in shown], "link")
    counts = _column([str(row.ebits) for row in shown], "e-bits")
    most = shown[0].ebits
    # One cell per e-bit while that fits: then a bar can be counted.
    length = most if most <= _LONGEST_BAR else _LONGEST_BAR
    lines = [_cut(f"{names[0]}  {counts[0]}  {'':<{length}}  pair fidelity")]
    for row, name, count in zip(shown, names[1:], counts[1:], strict=True):
        lines.append(_cut(f"{name}  {count}  {_bar(row.ebits, most, length)}  {row.pair_fidelity:g}"))
    more = [row.ebits for row in used[MOST_LINKS:]]
    if more:
        lines.append(f"... and {len(more)} more links with {sum(more)} e-bits")
    return lines


def _packets(plan: Plan) -> list[str]:
    if not plan.packets:
        return []
    lines = ["packets: one e-bit each, in order"]
    digits = len(str(len(plan.packets)))
    for number, packet in enumerate(plan.packets[:MOST_PACKETS], start=1):
        lines.append(_cut(f"  {number:>{digits}}  {packet_text(packet)}"))
    more = len(plan.packets) - MOST_PACKETS
    if more > 0:
        lines.append(f"  ... and {more} more")
    return lines


def _why(sentences: Sequence[str]) -> list[str]:
    return ["why", *_wrapped(sentences)]


def _wrapped(sentences: Sequence[str]) -> Iterator[str]:
    for sentence in sentences:
        yield from textwrap.wrap(sentence, WIDTH, initial_indent="  ", subsequent_indent="    ")


def _bar(value: int, most: int, width: int) -> str:
    """Return ``value`` as a bar of ``width`` cells, full at ``most``; eighths of a cell are drawn."""
    eighths = min(round(8 * width * value / most), 8 * width)
    if value and not eighths:
        eighths = 1
    whole, rest = divmod(eighths, 8)
    return ("█" * whole + (_EIGHTHS[rest] if rest else "")).ljust(width)


def _column(cells: Sequence[str], head: str) -> list[str]:
    width = max(len(cell) for cell in (head, *cells))
    return [cell.ljust(width) for cell in (head, *cells)]


def _cut(line: str, width: int = WIDTH) -> str:
    line = line.rstrip()
    return line if len(line) <= width else line[: width - 1] + "…"
