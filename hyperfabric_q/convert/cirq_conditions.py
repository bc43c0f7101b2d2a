"""Classical conditions of Cirq and of Qiskit in one form: disjoint cases, each a conjunction of single bits.

Cirq controls an operation by a conjunction of conditions on measurement keys; Qiskit compares one bit or one register
with a number. A case is a tuple of (bit, value); a condition is a list of cases of which at most one is met at a time,
so that a body may be written once per case. ``bit`` is whatever the caller calls a bit.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any, NoReturn, TypeAlias, TypeVar

import cirq
import sympy  # type: ignore[import-untyped]  # it comes with Cirq

Bit = TypeVar("Bit", bound=Hashable)
Case: TypeAlias = tuple[tuple[Bit, int], ...]

TABLE_BITS = 10
"""The most bits of a condition that is worked out by trying all their values."""

_SPREAD_BITS = 3
"""A case that leaves at most so many bits of its register open is written as comparisons of the whole register."""


def equal(bits: Sequence[Bit], value: int) -> list[Case[Bit]]:
    """Return the cases in which the number that ``bits`` spell is ``value``; ``bits[0]`` is the lowest digit."""
    if not 0 <= value < 1 << len(bits):
        return []
    return [tuple((bit, value >> place & 1) for place, bit in enumerate(bits))]


def different(bits: Sequence[Bit], value: int) -> list[Case[Bit]]:
    """Return the cases in which that number is not ``value``: one for each digit that is the first to differ."""
    if not 0 <= value < 1 << len(bits):
        return [()]
    digits = [(bit, value >> place & 1) for place, bit in enumerate(bits)]
    return [(*digits[:place], (bit, 1 - digit)) for place, (bit, digit) in enumerate(digits)]


def both(left: Case[Bit], right: Case[Bit]) -> Case[Bit] | None:
    """Return the case in which both are met, None when they exclude each other."""
    met = dict(left)
    for bit, value in right:
        if met.setdefault(bit, value) != value:
            return None
    return tuple(met.items())


def all_of(conditions: Iterable[list[Case[Bit]]]) -> list[Case[Bit]]:
    """Return the cases in which every condition is met."""
    result: list[Case[Bit]] = [()]
    for cases in conditions:
        pairs = (both(left, right) for left, right in itertools.product(result, cases))
        result = [case for case in pairs if case is not None]
    return result


# ------------------------------------------------------------------------------------------------- from and to Cirq


def written(key: str, digits: Mapping[int, int], size: int, index: int = -1) -> list[cirq.Condition]:
    """Return Cirq's conditions that digits of a record have these values; they are cached.

    Args:
        key: The measurement key.
        digits: Value by place; place 0 is the first qubit measured, the highest digit of Cirq's number.
        size: Qubits of the key.
        index: Number of the record; -1 for the last.
    """
    return list(_written(key, tuple(sorted(digits.items())), size, index))


@lru_cache(maxsize=4096)
def _written(key: str, digits: tuple[tuple[int, int], ...], size: int, index: int) -> tuple[cirq.Condition, ...]:
    """The conditions; equations where they can be: Cirq 1.7 forgets the values of a mask when keys are renamed."""
    number = sum(value << (size - 1 - place) for place, value in digits)
    if size == 1 and number == 1:
        return (cirq.KeyCondition(cirq.MeasurementKey.parse_serialized(key), index),)
    if index != -1:
        mask = sum(1 << (size - 1 - place) for place, _ in digits)
        return (cirq.BitMaskKeyCondition(key, index, number, equal_target=True, bitmask=mask),)
    if len(digits) == size:
        return (cirq.SympyCondition(sympy.Eq(sympy.Symbol(key), number)),)
    return tuple(cirq.SympyCondition(sympy.Eq(sympy.IndexedBase(key)[place], value)) for place, value in digits)


def cases_of(
    condition: cirq.Condition,
    record: Callable[[str, int], Sequence[Bit] | str],
    refuse: Callable[[str], NoReturn],
) -> list[Case[Bit]]:
    """Return the cases in which Cirq's ``condition`` is met.

    Args:
        condition: Any condition; what is no comparison of one key is tried on all values, up to ``TABLE_BITS`` bits.
        record: Returns the bits of a record, given its key and number (-1 for the last), in the order measured: the
            first is the highest digit. Where it cannot be read, it returns the reason.
        refuse: Called with the reason when the condition has no counterpart.
    """
    index = condition.index if isinstance(condition, cirq.KeyCondition | cirq.BitMaskKeyCondition) else -1
    bits_of: dict[str, Sequence[Bit]] = {}
    for key in sorted(str(key) for key in condition.keys):
        found = record(key, index)
        if isinstance(found, str):
            refuse(found)
        bits_of[key] = found
    if isinstance(condition, cirq.KeyCondition | cirq.BitMaskKeyCondition):
        return _masked(condition, list(reversed(bits_of[str(condition.key)])))
    comparison = _comparison(condition)
    if comparison is not None:
        key, value, holds = comparison
        return (equal if holds else different)(list(reversed(bits_of[key])), value)
    return _tabulated(condition, bits_of, refuse)


def _masked(condition: cirq.KeyCondition | cirq.BitMaskKeyCondition, bits: list[Bit]) -> list[Case[Bit]]:
    if isinstance(condition, cirq.KeyCondition):
        return different(bits, 0)
    mask, target = condition.bitmask, condition.target_value
    if mask is None:
        mask = (1 << len(bits)) - 1
    compare = equal if condition.equal_target else different
    if target & ~mask or not 0 <= target < 1 << len(bits):
        return compare([], -1)  # never equal
    places = [place for place in range(len(bits)) if mask >> place & 1]
    spelled = sum((target >> place & 1) << digit for digit, place in enumerate(places))
    return compare([bits[place] for place in places], spelled)


def _comparison(condition: cirq.Condition) -> tuple[str, int, bool] | None:
    """Return (key, number, whether they are equal) of an equation between one key and a number."""
    expression: Any = getattr(condition, "expr", None)
    if not isinstance(expression, sympy.Eq | sympy.Ne):
        return None
    left, right = expression.args
    if isinstance(right, sympy.Symbol):
        left, right = right, left
    if not (isinstance(left, sympy.Symbol) and isinstance(right, sympy.Integer)):
        return None
    return left.name, int(right), isinstance(expression, sympy.Eq)


def _tabulated(
    condition: cirq.Condition, bits_of: Mapping[str, Sequence[Bit]], refuse: Callable[[str], NoReturn]
) -> list[Case[Bit]]:
    bits = [bit for each in bits_of.values() for bit in each]
    if len(bits) > TABLE_BITS:
        refuse(
            f"its condition depends on {len(bits)} bits; other than comparisons, at most {TABLE_BITS} are worked out"
        )
    table: dict[tuple[int, ...], bool] = {}
    for values in itertools.product((0, 1), repeat=len(bits)):
        store, digits = cirq.ClassicalDataDictionaryStore(), iter(values)
        for key, each in bits_of.items():
            record = list(itertools.islice(digits, len(each)))
            store.record_measurement(cirq.MeasurementKey.parse_serialized(key), record, cirq.LineQubit.range(len(each)))
        try:
            table[values] = bool(condition.resolve(store))
        except (ArithmeticError, LookupError, TypeError, ValueError) as fault:
            refuse(f"its condition {condition} cannot be worked out ({fault})")
    return [tuple(zip(bits, values, strict=False)) for values in _prefixes(table, (), len(bits))]


def _prefixes(table: Mapping[tuple[int, ...], bool], prefix: tuple[int, ...], length: int) -> list[tuple[int, ...]]:
    """Return the shortest prefixes after which the condition is sure to be met."""
    left = length - len(prefix)
    found = {table[(*prefix, *rest)] for rest in itertools.product((0, 1), repeat=left)}
    if found == {True}:
        return [prefix]
    if found == {False}:
        return []
    return [each for value in (0, 1) for each in _prefixes(table, (*prefix, value), length)]


# ----------------------------------------------------------------------------------------------------------- to Qiskit


def tests_of(case: Case[Any], registers: Iterable[Any]) -> list[list[tuple[Any, int]]]:
    """Return the ways to be in ``case``, disjoint: each a list of (bit or register, value), to be nested as if_tests.

    One bit is tested alone, several bits of one register as the whole register: that is what can be distributed.
    """
    left = dict(case)
    ways: list[list[tuple[Any, int]]] = [[]]
    for register in registers:
        here = [bit for bit in register if bit in left]
        if len(here) < 2 or len(register) - len(here) > _SPREAD_BITS:
            continue
        fixed = sum(left.pop(bit) << place for place, bit in enumerate(register) if bit in here)
        free = [1 << place for place, bit in enumerate(register) if bit not in here]
        spelled = [fixed + sum(some) for some in _subsets(free)]
        ways = [[*way, (register, value)] for way in ways for value in spelled]
    return [[*way, *left.items()] for way in ways]


def _subsets(numbers: Sequence[int]) -> Iterable[tuple[int, ...]]:
    return itertools.chain.from_iterable(itertools.combinations(numbers, count) for count in range(len(numbers) + 1))
