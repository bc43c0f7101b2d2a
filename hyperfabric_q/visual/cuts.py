"""A cut circuit as text and as an HTML fragment: which part holds what, where it is cut, and what that costs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Final

from hyperfabric_q.visual.facts import counted, printable, qubit_ranges

if TYPE_CHECKING:
    from hyperfabric_q.cutting.plan import CutPlan

WIDTH: Final = 100
MOST_PARTS: Final = 40
MOST_CUTS: Final = 40

_SAME: Final = 1e-9
_BOX: Final = "font-family:system-ui,sans-serif;font-size:13px;line-height:1.45;color:inherit;max-width:720px"
_CELL: Final = "padding:2px 12px 2px 0;text-align:left;border-bottom:1px solid rgba(128,128,128,.35)"


@dataclass(frozen=True, slots=True, kw_only=True)
class PartRow:
    """One part: the qubits it needs, whose wires it holds, and the circuits to run on it per measurement basis."""

    part: int
    width: int
    ancilla: int
    qubits: tuple[int, ...]
    circuits: int


def headline(plan: CutPlan) -> str:
    """Return the plan in one line."""
    name = printable(plan.circuit.name or "circuit")
    cuts = f"{counted(len(plan.gate_cuts), 'gate cut')}, {counted(len(plan.wire_cuts), 'wire cut')}"
    return f"{name}: {counted(plan.circuit.num_qubits, 'qubit')} in {counted(plan.parts, 'part')}, {cuts}"


def price(plan: CutPlan) -> str:
    """Return in words what the cuts cost."""
    told = f"gamma {plan.gamma:.4g}"
    if plan.gamma_separate > plan.gamma * (1 + _SAME):
        told += f" ({plan.gamma_separate:.4g} gate by gate)"
    told += f", sampling overhead gamma² = {plan.overhead:.4g}"
    if plan.bound is None:
        return f"{told}; the cuts were given"
    return f"{told}; " + ("proven least" if plan.optimal else f"none is below {plan.bound:.4g}")


def part_rows(plan: CutPlan) -> tuple[PartRow, ...]:
    """Return the parts in order."""
    rows = []
    for part, (width, ancilla) in enumerate(zip(plan.widths, plan.ancillas, strict=True)):
        own = [fragment for fragment in plan.cut.fragments if fragment.part == part]
        qubits = sorted({qubit for fragment in own for qubit, _ in fragment.wires})
        circuits = sum(fragment.variants for fragment in own)
        rows.append(PartRow(part=part, width=width, ancilla=ancilla, qubits=tuple(qubits), circuits=circuits))
    return tuple(rows)


def cut_rows(plan: CutPlan) -> tuple[tuple[str, str, str], ...]:
    """Return (what is cut, between which parts, gamma) of every cut in order."""
    circuit, who = plan.cut.circuit, plan.cut.assignment
    index = {qubit: place for place, qubit in enumerate(circuit.qubits)}
    rows = []
    for each in plan.cut.cuts:
        parts = " - ".join(f"part {plan.cut.fragments[fragment].part}" for fragment, _ in each.ends)
        if each.decomposition.is_wire:
            fragment, axis = each.ends[0]
            marker = plan.cut.fragments[fragment].markers[axis]
            qubit = plan.cut.fragments[fragment].wires[marker.qubits[0]][0]
            what = f"wire of qubit {qubit} before instruction {each.rows[0]}"
            parts = parts.replace(" - ", " > ")
        else:
            named = []
            for row in each.rows:
                places = [index[qubit] for qubit in circuit.data[row].qubits]
                named.append(f"{printable(circuit.data[row].name)} {places[0]},{places[1]} (instruction {row})")
            what = " with ".join(named)
            parts = " - ".join(
                f"part {who.part_at(index[qubit], each.rows[0])}" for qubit in circuit.data[each.rows[0]].qubits
            )
        rows.append((what, parts, f"{each.decomposition.gamma:.4g}"))
    return tuple(rows)


def draw_cut(plan: CutPlan) -> str:
    """Return a picture of ``plan`` in text, at most 100 columns wide; O(instructions)."""
    lines = [headline(plan), price(plan), ""]
    parts = [
        (f"part {row.part}", _qubits(row), counted(row.circuits, "circuit"), qubit_ranges(row.qubits))
        for row in part_rows(plan)
    ]
    lines += _columns([("", "needs", "per basis", "qubits"), *parts[:MOST_PARTS]])
    if len(parts) > MOST_PARTS:
        lines.append(f"... and {len(parts) - MOST_PARTS} more")
    cuts = cut_rows(plan)
    if cuts:
        lines += ["", *_columns([("cut", "between", "gamma"), *cuts[:MOST_CUTS]])]
    if len(cuts) > MOST_CUTS:
        lines.append(f"... and {len(cuts) - MOST_CUTS} more")
    return "\n".join(lines)


def cut_html(plan: CutPlan) -> str:
    """Return a self-contained HTML fragment that shows ``plan``; O(instructions)."""
    parts = [(f"part {row.part}", _qubits(row), str(row.circuits), qubit_ranges(row.qubits)) for row in part_rows(plan)]
    return (
        f'<div style="{_BOX}"><p style="margin:0 0 6px"><b>{escape(headline(plan))}</b><br>{escape(price(plan))}</p>'
        + _table(("part", "needs", "circuits per basis", "qubits"), parts[:MOST_PARTS])
        + _table(("cut", "between", "gamma"), cut_rows(plan)[:MOST_CUTS])
        + "</div>"
    )


def _qubits(row: PartRow) -> str:
    return counted(row.width, "qubit") + (" + 1 ancilla" if row.ancilla else "")


def _columns(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(row[place]) for row in rows) for place in range(len(rows[0]))]
    lines = ("  ".join(f"{cell:<{size}}" for cell, size in zip(row, widths, strict=True)).rstrip() for row in rows)
    return [line if len(line) <= WIDTH else line[: WIDTH - 3] + "..." for line in lines]


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    if not rows:
        return ""
    body = "".join(
        "<tr>" + "".join(f'<td style="{_CELL}">{escape(cell)}</td>' for cell in row) + "</tr>" for row in rows
    )
    top = "".join(f'<th style="{_CELL}">{escape(cell)}</th>' for cell in head)
    return f'<table style="border-collapse:collapse;margin:6px 0"><tr>{top}</tr>{body}</table>'
