"""What an angle comes to: constant folding with checked arithmetic, before any parser computes it.

The parameters of a gate body are not known when the body is read, so a value is either a float or a bound on a
magnitude. The bound decides almost every body at once (``rz(theta/2)``); an expression that a bound cannot decide
(``1/theta``) is folded again for each call. Iterative, with operators limited, so that neither nesting nor towers of
powers cost more than the length of the text.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, NoReturn


@dataclass(frozen=True, slots=True)
class Bound:
    """A value known only to be at most ``magnitude`` in size; infinite when nothing can be said."""

    magnitude: float


Value = float | Bound
Reject = Callable[[str, int], NoReturn]
"""Called with a reason and the index of the word at fault."""

CONSTANTS: Final[Mapping[str, float]] = {
    "pi": math.pi,
    "π": math.pi,
    "tau": math.tau,
    "τ": math.tau,
    "euler": math.e,
    "ℇ": math.e,
}
_FUNCTIONS: Final[Mapping[str, Callable[[float], float]]] = {
    "sin": math.sin,
    "cos": math.cos,
    "tan": math.tan,
    "exp": math.exp,
    "ln": math.log,
    "log": math.log,
    "sqrt": math.sqrt,
    "asin": math.asin,
    "acos": math.acos,
    "atan": math.atan,
    "arcsin": math.asin,
    "arccos": math.acos,
    "arctan": math.atan,
}
_EXACT: Final[Mapping[str, Callable[[float, float], float]]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
    "^": math.pow,
    "**": math.pow,
}
_BOUNDED: Final[Mapping[str, float]] = {"sin": 1.0, "cos": 1.0, "atan": math.pi / 2, "arctan": math.pi / 2}
_PRECEDENCE: Final[Mapping[str, int]] = {"+": 1, "-": 1, "*": 2, "/": 2, "negative": 3, "^": 4, "**": 4}
_NEGATIVE = "negative"


def magnitude(value: Value) -> float:
    """Return the size of a value, or the bound on it."""
    return value.magnitude if isinstance(value, Bound) else abs(value)


def _literal(word: str) -> float | None:
    digits = word.replace("_", "")
    try:
        if digits[:2].lower() in ("0x", "0o", "0b"):
            return float(int(digits, 0))
        return float(digits)
    except (ValueError, OverflowError):
        return None


def _binary(sign: str, left: Value, right: Value) -> Value:
    if isinstance(left, float) and isinstance(right, float):
        return _EXACT[sign](left, right)
    a, b = magnitude(left), magnitude(right)
    size = math.inf
    if sign in "+-":
        size = a + b
    elif sign == "*":
        size = a * b
    elif sign == "/" and isinstance(right, float):
        size = a / b
    elif sign in ("^", "**") and right in (0.0, 1.0, 2.0, 3.0, 4.0) and a < 1e70:
        size = max(a, 1.0) ** b
    return Bound(size)


def _apply(sign: str, values: list[Value]) -> Value:
    right = values.pop()
    if sign == _NEGATIVE:
        return right if isinstance(right, Bound) else -right
    if sign in _FUNCTIONS:
        if isinstance(right, Bound):
            return Bound(_BOUNDED.get(sign, math.inf))
        return _FUNCTIONS[sign](right)
    return _binary(sign, values.pop(), right)


class _Fold:
    """The two stacks of one expression (Dijkstra's shunting yard)."""

    def __init__(self, names: Mapping[str, Value], deepest: int, reject: Reject) -> None:
        self.names = names
        self.deepest = deepest
        self.reject = reject
        self.values: list[Value] = []
        self.operators: list[str] = []
        self.places: list[int] = []

    def push(self, sign: str, index: int) -> None:
        self.operators.append(sign)
        self.places.append(index)
        if len(self.operators) > self.deepest:
            self.reject(f"an expression nests deeper than {self.deepest}", index)

    def reduce(self) -> None:
        sign, index = self.operators.pop(), self.places.pop()
        try:
            value = _apply(sign, self.values)
        except (ArithmeticError, ValueError):
            shown = "-" if sign == _NEGATIVE else sign
            self.reject(f"{shown!r} has no finite real value here", index)
        if isinstance(value, float) and not math.isfinite(value):
            self.reject("an expression is not finite", index)
        self.values.append(value)

    def operand(self, word: str, index: int) -> None:
        if word[0].isdigit() or word[0] == ".":
            value = _literal(word)
            if value is None:
                self.reject(f"{word[:40]!r} is not a number", index)
            if not math.isfinite(value):
                self.reject(f"the number {word[:40]!r} is not finite", index)
            self.values.append(value)
        elif word in self.names:
            self.values.append(self.names[word])
        elif word in CONSTANTS:
            self.values.append(CONSTANTS[word])
        else:
            self.reject(f"{word[:40]!r} has no value here", index)

    def binary(self, word: str, index: int) -> None:
        precedence = _PRECEDENCE[word]
        while self.operators:
            top = _PRECEDENCE.get(self.operators[-1], 0)
            if top < precedence or (top == precedence and precedence == 4):
                break
            self.reduce()
        self.push(word, index)

    def close(self, index: int) -> None:
        while self.operators and self.operators[-1] != "(":
            self.reduce()
        if not self.operators:
            self.reject("a ')' that closes nothing", index)
        self.operators.pop()
        self.places.pop()
        if self.operators and self.operators[-1] in _FUNCTIONS:
            self.reduce()

    def after_operand(self, word: str, index: int) -> bool:
        """Take a word that follows a value; return whether the next one does too."""
        if word == ")":
            self.close(index)
            return True
        if word not in _PRECEDENCE or word == _NEGATIVE:
            self.reject(f"{word[:40]!r} cannot follow a value in an expression", index)
        self.binary(word, index)
        return False

    def before_operand(self, word: str, index: int, *, function: bool) -> bool:
        """Take a word where a value is due; return whether it was one."""
        if word == "-":
            self.push(_NEGATIVE, index)
        elif word == "(":
            self.push("(", index)
        elif function and word in _FUNCTIONS:
            self.push(word, index)
        elif word[0].isalnum() or word[0] in "_.":
            self.operand(word, index)
            return True
        elif word != "+":
            self.reject(f"{word[:40]!r} where a value is expected", index)
        return False


def fold(
    words: list[str],
    start: int,
    stop: int,
    names: Mapping[str, Value],
    *,
    deepest: int,
    longest: int | None = None,
    reject: Reject,
) -> Value:
    """Return what ``words[start:stop]`` comes to: a finite float, or a bound when it holds a parameter.

    Args:
        words: The words of a statement.
        start: First word of the expression.
        stop: One past its last word.
        names: Values of parameters and loop variables.
        deepest: How far brackets and operators may nest.
        longest: How many words an expression may hold; None for no limit.
        reject: Raises, given a reason and a word.

    Cost: linear in the words.
    """
    if longest is not None and stop - start > longest:
        reject(f"an expression of more than {longest} words", start)
    state = _Fold(names, deepest, reject)
    after_operand = False
    for index in range(start, stop):
        if after_operand:
            after_operand = state.after_operand(words[index], index)
        else:
            function = index + 1 < stop and words[index + 1] == "("
            after_operand = state.before_operand(words[index], index, function=function)
    if not after_operand:
        reject("an expression without its last value", max(start, stop - 1))
    while state.operators:
        if state.operators[-1] == "(":
            reject("a '(' that is never closed", stop - 1)
        state.reduce()
    return state.values[0]
