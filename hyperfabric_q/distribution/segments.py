"""The segment copy-set hypergraph: what a placement of qubits and gates costs in e-bits.

The timeline of each qubit is cut at its breaks (one-qubit unitaries that are neither diagonal nor antidiagonal, and
resets). Inside one *segment* the qubit may exist as entangled copies on several nodes, and any of its controlled
phases may run on any node that holds copies of both qubits. A placement gives each qubit a home and each gate a site;
the copy set of a segment is the set of nodes among its home and its gates' sites, and it costs the number of links of
a tree that spans that set, one e-bit each.

This is the union of the published e-bit models: gates may run on a third node, and one copy serves every gate of its
segment.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hyperfabric_q.distribution.network import Network
from hyperfabric_q.distribution.program import IntArray, Kind, Program


@dataclass(frozen=True, slots=True, kw_only=True)
class Segments:
    """Segments and their gates, as flat arrays.

    Attributes:
        qubits: how many qubits the program has.
        qubit: the qubit of each segment, int32, shape (s,).
        gate_row: the program row of each gate, int32, shape (g,).
        gate_segments: the two segments each gate lies in, int32, shape (g, 2).
        starts: gates of segment e are ``gates[starts[e]:starts[e + 1]]``, int32, shape (s + 1,).
        gates: gate numbers, segment by segment in program order, int32, shape (2g,).
    """

    qubits: int
    qubit: IntArray
    gate_row: IntArray
    gate_segments: IntArray
    starts: IntArray
    gates: IntArray

    def __post_init__(self) -> None:
        for array in (self.qubit, self.gate_row, self.gate_segments, self.starts, self.gates):
            array.setflags(write=False)

    def __len__(self) -> int:
        """Return the number of segments that hold at least one gate."""
        return len(self.qubit)

    @property
    def gate_qubits(self) -> IntArray:
        """The two qubits of each gate, shape (g, 2)."""
        return self.qubit[self.gate_segments].astype(np.int32)

    def restricted(self, qubits: IntArray) -> tuple[Segments, IntArray]:
        """Return the segments of ``qubits``, renumbered in that order, and the numbers of the gates that stay.

        The set must be closed: no gate may join it with another qubit.
        """
        number = np.full(self.qubits, -1, dtype=np.int32)
        number[qubits] = np.arange(len(qubits), dtype=np.int32)
        kept = np.flatnonzero(number[self.qubit] >= 0)
        renumbered = np.full(len(self), -1, dtype=np.int32)
        renumbered[kept] = np.arange(len(kept), dtype=np.int32)
        gates = np.flatnonzero(renumbered[self.gate_segments[:, 0]] >= 0).astype(np.int32)
        part = _assemble(
            len(qubits), number[self.qubit[kept]], self.gate_row[gates], renumbered[self.gate_segments[gates]]
        )
        return part, gates


def segments_of(program: Program) -> Segments:
    """Return the segments of ``program``; O(operations).

    Breaks with no controlled phase between them count once, and those before the first or after the last gate of a
    qubit not at all, because only segments that hold a gate are kept.
    """
    current = [-1] * program.qubits
    owner: list[int] = []
    pairs: list[tuple[int, int]] = []
    rows: list[int] = []
    for row, (kind, first, second) in enumerate(
        zip(program.kind.tolist(), program.first.tolist(), program.second.tolist(), strict=True)
    ):
        if kind in (Kind.U, Kind.RESET):
            current[first] = -1
        elif kind == Kind.CP:
            for qubit in (first, second):
                if current[qubit] < 0:
                    current[qubit] = len(owner)
                    owner.append(qubit)
            pairs.append((current[first], current[second]))
            rows.append(row)
    return _assemble(
        program.qubits,
        np.array(owner, dtype=np.int32),
        np.array(rows, dtype=np.int32),
        np.array(pairs, dtype=np.int32).reshape(len(pairs), 2),
    )


def _assemble(qubits: int, owner: IntArray, rows: IntArray, pairs: IntArray) -> Segments:
    """Sort the gates by segment."""
    flat = pairs.ravel()
    order = np.argsort(flat, kind="stable")
    return Segments(
        qubits=qubits,
        qubit=owner,
        gate_row=rows,
        gate_segments=pairs,
        starts=np.searchsorted(flat[order], np.arange(len(owner) + 1)).astype(np.int32),
        gates=(order // 2).astype(np.int32),
    )


def copy_sets(segments: Segments, homes: IntArray, sites: IntArray) -> NDArray[np.int64]:
    """Return the copy set of each segment as a bit mask over nodes, shape (s,).

    Args:
        segments: the hypergraph.
        homes: node index of each qubit, shape (qubits,).
        sites: node index of each gate, shape (g,).
    """
    masks: NDArray[np.int64] = np.int64(1) << homes[segments.qubit].astype(np.int64)
    np.bitwise_or.at(masks, segments.gate_segments.ravel(), np.repeat(np.int64(1) << sites.astype(np.int64), 2))
    return masks


def cost(segments: Segments, network: Network, homes: IntArray, sites: IntArray) -> int:
    """Return the e-bits of a placement: the sum over segments of the links of a tree that spans its copy set."""
    masks = copy_sets(segments, homes, sites)
    keyed, counts = np.unique(np.stack([homes[segments.qubit], masks]), axis=1, return_counts=True)
    return sum(
        network.spread(int(home), int(mask)) * int(count) for (home, mask), count in zip(keyed.T, counts, strict=True)
    )
