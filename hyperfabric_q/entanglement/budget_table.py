"""A coherence budget as a table for people, in plain text and in HTML."""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from hyperfabric_q.units import PS_PER_NS, PS_PER_S, PS_PER_US

if TYPE_CHECKING:
    from hyperfabric_q.entanglement.budget import Budget

MOST_ROWS: Final = 40

_HEAD: Final = (
    *("gate", "pair", "least F", "F at herald", "good for", "herald from", "herald until", "in time", "lead", "modes"),
    *("rounds", "verdict"),
)

Table = tuple[list[tuple[str, ...]], list[str], int]


def as_text(headline: str, rows: Sequence[Budget]) -> str:
    """Return the budgets as aligned plain text, reasons below; a table longer than 40 rows is cut."""
    shown, reasons, left_out = _table(rows)
    table = [_HEAD, *shown]
    widths = [max(len(row[column]) for row in table) for column in range(len(_HEAD))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in table]
    if left_out:
        lines.append(f"... and {left_out} more")
    blocks = [headline, "\n".join(lines)] if shown else [headline]
    return "\n\n".join([*blocks, "\n".join(reasons)] if reasons else blocks)


def as_html(headline: str, rows: Sequence[Budget]) -> str:
    """Return the budgets as a small HTML table, reasons below; a table longer than 40 rows is cut."""
    shown, reasons, left_out = _table(rows)
    top = "".join(f"<th>{html.escape(cell)}</th>" for cell in _HEAD)
    body = "".join("<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in shown)
    pieces = [f"<p><b>{html.escape(headline)}</b></p>"]
    pieces.append(f"<table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>")
    if left_out:
        pieces.append(f"<p>and {left_out} more</p>")
    if reasons:
        pieces.append("<ul>" + "".join(f"<li>{html.escape(each)}</li>" for each in reasons) + "</ul>")
    return "".join(pieces)


def duration(ps: float | None) -> str:
    """Return a duration in the unit people would choose; None is a time without end."""
    if ps is None:
        return "for ever"
    for scale, unit in ((PS_PER_S, "s"), (PS_PER_S // 1000, "ms"), (PS_PER_US, "us"), (PS_PER_NS, "ns")):
        if abs(ps) >= scale:
            return f"{ps / scale:.4g} {unit}"
    return f"{ps:.4g} ps"


def _table(rows: Sequence[Budget]) -> Table:
    shown = list(rows[:MOST_ROWS])
    reasons = [f"{_name(each)}: {each.reason}" for each in shown if not each.feasible]
    return [_row(each) for each in shown], reasons, max(0, len(rows) - MOST_ROWS)


def _name(row: Budget) -> str:
    return row.label or ("-".join(row.ends) if row.ends else "pair")


def _row(row: Budget) -> tuple[str, ...]:
    early = "any time" if row.earliest_ps is None and row.t_star_ps is None else _moment(row.earliest_ps)
    return (
        row.label or "-",
        "-".join(row.ends) or "-",
        f"{row.min_fidelity:.6g}",
        f"{row.fidelity:.6g}",
        duration(row.t_star_ps),
        early,
        _moment(row.latest_ps),
        "-" if row.in_time is None else f"{row.in_time:.4f}",
        "-" if row.lead_ps is None else duration(row.lead_ps),
        "-" if row.modes is None else str(row.modes),
        "-" if row.rounds is None else str(row.rounds),
        "feasible" if row.feasible else "infeasible",
    )


def _moment(ps: int | None) -> str:
    return "-" if ps is None else duration(ps)
