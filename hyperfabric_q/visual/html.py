"""Plans, results and comparisons as HTML fragments for notebooks, legible on dark and on light.

No scripts, nothing to download. Text and lines take the colour of their surroundings (``currentColor``); bars and
badges have mid-tones of their own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from heapq import nlargest
from html import escape
from typing import TYPE_CHECKING, Final

from hyperfabric_q.estimate import proportion
from hyperfabric_q.visual.facts import (
    NodeRow,
    counted,
    headline,
    link_rows,
    node_rows,
    packet_text,
    printable,
    qubit_ranges,
    reasons,
)
from hyperfabric_q.visual.network_svg import network_svg

if TYPE_CHECKING:
    from hyperfabric_q.distribution.plan import Plan
    from hyperfabric_q.estimate import Estimate
    from hyperfabric_q.execution.compare import Comparison
    from hyperfabric_q.execution.result import Result

MOST_NODES: Final = 40
MOST_PACKETS: Final = 100
MOST_OUTCOMES: Final = 10

_RUN: Final = "#3b82f6"
_IDEAL: Final = "#f59e0b"
_BOX: Final = "font-family:system-ui,sans-serif;font-size:13px;line-height:1.45;color:inherit;max-width:720px"
_CELL: Final = "padding:2px 12px 2px 0;text-align:left;border-bottom:1px solid rgba(128,128,128,.35)"


def plan_html(plan: Plan) -> str:
    """Return a self-contained HTML fragment that shows ``plan``; O(operations)."""
    return _box(
        f'<p style="margin:0 0 6px"><b>{escape(headline(plan))}</b></p>',
        network_svg(node_rows(plan), link_rows(plan)),
        _node_table(node_rows(plan)),
        _packet_list(plan),
        "<ul style='margin:6px 0;padding-left:18px'>"
        + "".join(f"<li>{escape(sentence)}</li>" for sentence in reasons(plan))
        + "</ul>",
    )


def result_html(result: Result) -> str:
    """Return a self-contained HTML fragment that shows the top outcomes of ``result`` beside the ideal ones.

    The ideal distribution and the fidelity are computed once per result; where they are out of reach, the counts stand
    alone.
    """
    fidelity = result.measured_fidelity
    close = (
        f", {escape(fidelity.kind.capitalize())} fidelity to the ideal {_bare(str(fidelity))}"
        if fidelity is not None
        else ""
    )
    return _box(
        f'<p style="margin:0 0 6px"><b>{escape(printable(result.plan.circuit.name or "circuit"))}</b>: '
        f"{counted(result.shots, 'shot')}, noise {escape(result.noise)}{close}</p>",
        _outcome_svg(result),
        f'<p style="margin:6px 0;opacity:.75">seed {result.seed} · '
        f"{escape(result.way)} on "
        f"{counted(result.wires, 'wire')} · {counted(result.plan.ebits, 'e-bit')} per shot · "
        f"{result.seconds:.2f} s</p>",
    )


def comparison_html(comparison: Comparison) -> str:
    """Return a self-contained HTML fragment that shows the top outcomes of ``comparison`` in three columns."""
    outcomes, shots = comparison.outcomes, comparison.shots

    def share(run: Mapping[str, int], key: str) -> str:
        return str(proportion(run.get(key, 0), shots))

    rows: list[tuple[str, ...]] = [
        (
            _short(key),
            f"{comparison.ideal.get(key, 0.0):.4f}",
            share(comparison.distributed, key),
            share(comparison.undistributed, key),
        )
        for key in outcomes[:MOST_OUTCOMES]
    ]
    if len(outcomes) > len(rows):
        rows.append((f"and {len(outcomes) - len(rows)} more", "", "", ""))
    ours, theirs = comparison.distributed_fidelity, comparison.undistributed_fidelity
    rows.append((f"{ours.kind.capitalize()} fidelity", "1", *(str(each).partition(" (")[0] for each in (ours, theirs))))
    return _box(
        _table(("outcome", "ideal", "distributed", "undistributed"), rows),
        f'<p style="margin:6px 0;opacity:.75">{counted(shots, "shot")} each, noise {escape(comparison.noise)}, '
        f"seed {comparison.seed}; ± 1 standard error</p>",
    )


# ------------------------------------------------------------------------------------------------------------- plans


def _node_table(rows: Sequence[NodeRow]) -> str:
    shown = rows[:MOST_NODES]
    body = [
        (
            printable(row.node_id),
            f"{len(row.qubits)} of {'?' if row.data is None else row.data}",
            f"{row.peak}, no limit" if row.limit is None else f"{row.peak} of {row.limit}",
            printable(qubit_ranges(row.qubits), longest=80) or "none",
        )
        for row in shown
    ]
    if len(rows) > len(shown):
        body.append((f"and {len(rows) - len(shown)} more", "", "", ""))
    return _table(("QPU node", "data qubits", "communication qubits at peak", "qubits at home"), body)


def _packet_list(plan: Plan) -> str:
    if not plan.packets:
        return ""
    items = "".join(f"<li>{escape(packet_text(packet))}</li>" for packet in plan.packets[:MOST_PACKETS])
    more = len(plan.packets) - MOST_PACKETS
    rest = f"<p style='margin:0'>and {more} more</p>" if more > 0 else ""
    title = f"{counted(len(plan.packets), 'packet')}, one e-bit each"
    return (
        f"<details style='margin:6px 0'><summary>{title}</summary>"
        f"<ol style='margin:4px 0;padding-left:28px'>{items}</ol>{rest}</details>"
    )


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    top = "".join(f'<th style="{_CELL}">{escape(cell)}</th>' for cell in head)
    body = "".join(
        "<tr style='background:transparent'>"
        + "".join(f'<td style="{_CELL}">{escape(cell)}</td>' for cell in row)
        + "</tr>"
        for row in rows
    )
    return (
        "<table style='border-collapse:collapse;margin:6px 0;color:inherit;font-size:13px'>"
        f"<thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>"
    )


def _box(*pieces: str) -> str:
    return f'<div style="{_BOX}">{"".join(pieces)}</div>'


# ----------------------------------------------------------------------------------------------------------- results


def _outcome_svg(result: Result) -> str:
    """Two bars per outcome: what ran, with its bar of one standard error, and the exact ideal below it."""
    ideal = result.ideal or {}
    shares = result.probabilities
    every = dict.fromkeys([*result.counts, *ideal])
    outcomes = nlargest(MOST_OUTCOMES, every, key=lambda key: max(ideal.get(key, 0.0), shares[key].value))
    outcomes.sort(key=lambda key: (-round(ideal.get(key, 0.0), 9), -shares[key].value, key))
    most = max(max(ideal.get(key, 0.0), shares[key].value + shares[key].stderr) for key in outcomes)
    step = 34 if ideal else 24
    label = min(8 * max(len(key) for key in outcomes) + 12, 260)
    width, top = 700, 26
    height = top + step * len(outcomes) + 4
    unit = (width - label - 130) / most
    parts = [_legend(label, with_ideal=bool(ideal))]
    for place, key in enumerate(outcomes):
        parts.append(
            _outcome(key, shares[key], ideal.get(key, 0.0) if ideal else None, top + step * place, label, unit)
        )
    left = len(every) - len(outcomes)
    title = f"{len(outcomes)} most likely outcomes" + (f"; {left} more are not shown" if left else "")
    return (
        f'<svg role="img" aria-label="{title}" viewBox="0 0 {width} {height}" '
        f'style="width:100%;max-width:{width}px;height:auto;color:inherit" font-size="12" fill="currentColor">'
        f"<title>{title}</title>{''.join(parts)}</svg>"
    )


def _outcome(key: str, share: Estimate, ideal: float | None, y: float, x: float, unit: float) -> str:
    end = x + share.value * unit
    low, high = x + max(share.value - share.stderr, 0.0) * unit, x + (share.value + share.stderr) * unit
    parts = [
        f'<text x="{x - 8:.1f}" y="{y + 13}" text-anchor="end" font-family="monospace">{escape(_short(key))}</text>',
        f'<rect x="{x:.1f}" y="{y + 3}" width="{share.value * unit:.1f}" height="13" fill="{_RUN}"/>',
        f'<path d="M{low:.1f} {y + 9.5}H{high:.1f}M{low:.1f} {y + 6}v7M{high:.1f} {y + 6}v7" '
        'stroke="currentColor" stroke-width="1.5" fill="none"/>',
        f'<text x="{max(end, high) + 7:.1f}" y="{y + 13.5}">{escape(str(share))}</text>',
    ]
    if ideal is not None:
        parts.append(f'<rect x="{x:.1f}" y="{y + 17}" width="{ideal * unit:.1f}" height="7" fill="{_IDEAL}"/>')
        parts.append(
            f'<text x="{x + ideal * unit + 7:.1f}" y="{y + 25}" font-size="10" opacity=".8">{ideal:.4f}</text>'
        )
    return "".join(parts)


def _legend(x: float, *, with_ideal: bool) -> str:
    run = _key(x, _RUN, "this run ± 1 standard error")
    return run + _key(x + 190, _IDEAL, "ideal, exact") if with_ideal else run


def _key(x: float, colour: str, text: str) -> str:
    return f'<rect x="{x}" y="5" width="11" height="11" fill="{colour}"/><text x="{x + 16}" y="15">{text}</text>'


def _short(key: str) -> str:
    return key if len(key) <= 32 else f"{key[:14]}…{key[-14:]}"


def _bare(text: str) -> str:
    return escape(text.partition(" (")[0])
