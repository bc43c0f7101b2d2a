"""In which order should operations run, so that few wires and few measurement branches live at once?

Operations that share no wire and no classical bit commute, so any topological order of the dependency graph gives the
same result. **Demand order** runs each measurement just before the correction that needs it: a depth-first post-order
that visits wire predecessors first and classical ones last. A protocol bit is then open for a moment only, and
merging equal branches keeps two of them alive instead of 2^bits.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from hyperfabric_q.convert.operations import Kind, Operation


@dataclass(frozen=True, slots=True, kw_only=True)
class Peak:
    """The largest number of wires, and of open classical values, that live at once."""

    wires: int
    open_bits: int


def demand_order(operations: Sequence[Operation]) -> tuple[Operation, ...]:
    """Return the operations in demand order; final measurements that nothing reads come last; O(operations)."""
    predecessors = _predecessors(operations)
    needed = {earlier for each in predecessors for earlier in each}
    sinks = [node for node in range(len(operations)) if node not in needed]
    measured = [node for node in sinks if operations[node].kind is Kind.MEASURE]
    others = [node for node in sinks if operations[node].kind is not Kind.MEASURE]
    order: list[int] = []
    done = bytearray(len(operations))
    for root in (*others, *(earlier for node in measured for earlier in predecessors[node]), *measured):
        _visit(root, predecessors, done, order)
    return tuple(operations[node] for node in order)


def peak(operations: Sequence[Operation], *, inputs: Iterable[int] = (), keep_bits: Iterable[int] = ()) -> Peak:
    """Return how large a simulation in the given order gets.

    Args:
        operations: the order to look at.
        inputs: wires alive from the start; any other is added when it is first used.
        keep_bits: bits that are kept to the end, hence not counted as open.
    """
    kept = set(keep_bits)
    last_read = {bit: place for place, operation in enumerate(operations) for bit in operation.reads}
    alive, unread = set(inputs), set[int]()
    most_wires, most_bits = len(alive), 0
    for place, operation in enumerate(operations):
        if operation.kind is Kind.RESET:
            alive.discard(operation.wires[0])
            continue
        alive.update(operation.wires)
        most_wires = max(most_wires, len(alive))
        if operation.kind is Kind.MEASURE and operation.bit is not None:
            alive.discard(operation.wires[0])
            if operation.bit not in kept and last_read.get(operation.bit, -1) > place:
                unread.add(operation.bit)
        most_bits = max(most_bits, len(unread))
        unread.difference_update(bit for bit in operation.reads if last_read[bit] == place)
    return Peak(wires=most_wires, open_bits=most_bits)


def best_order(
    operations: Sequence[Operation], *, inputs: Iterable[int] = (), keep_bits: Iterable[int] = ()
) -> tuple[Operation, ...]:
    """Return the operations as given or in demand order, whichever needs less memory; ties keep the given order."""
    inputs, keep_bits = tuple(inputs), tuple(keep_bits)
    candidates = (tuple(operations), demand_order(operations))
    peaks = [peak(each, inputs=inputs, keep_bits=keep_bits) for each in candidates]
    return min(zip(peaks, candidates, strict=True), key=lambda pair: pair[0].wires + pair[0].open_bits)[1]


def _predecessors(operations: Sequence[Operation]) -> list[tuple[int, ...]]:
    """Direct predecessors of each operation: those through wires first, those through classical bits last."""
    on_wire: dict[int, int] = {}
    writer: dict[int, int] = {}
    readers: dict[int, list[int]] = {}
    found: list[tuple[int, ...]] = []
    for node, operation in enumerate(operations):
        earlier = [on_wire[wire] for wire in operation.wires if wire in on_wire]
        for bit in operation.reads:
            if bit in writer:
                earlier.append(writer[bit])
            readers.setdefault(bit, []).append(node)
        if operation.bit is not None:
            earlier.extend(readers.pop(operation.bit, ()))
            if operation.bit in writer:
                earlier.append(writer[operation.bit])
            writer[operation.bit] = node
        for wire in operation.wires:
            on_wire[wire] = node
        found.append(tuple(dict.fromkeys(earlier)))
    return found


def _visit(root: int, predecessors: Sequence[Sequence[int]], done: bytearray, order: list[int]) -> None:
    """Append ``root`` and what it needs to ``order``, needs first; iterative, since chains outgrow the call stack."""
    if done[root]:
        return
    done[root] = 1
    stack = [(root, iter(predecessors[root]))]
    while stack:
        node, pending = stack[-1]
        for earlier in pending:
            if not done[earlier]:
                done[earlier] = 1
                stack.append((earlier, iter(predecessors[earlier])))
                break
        else:
            stack.pop()
            order.append(node)
