"""The outcome of adding something to a live fabric: already done, and awaitable for callers who write ``await``."""

from __future__ import annotations

from collections.abc import Generator
from typing import Generic, TypeVar

Value = TypeVar("Value")


class Registered(Generic[Value]):
    """The outcome of a registration: already done, and awaitable for callers who write ``await``."""

    def __init__(self, value: Value) -> None:
        """Hold what was registered."""
        self.value = value

    def __await__(self) -> Generator[None, None, Value]:
        """Return the registered value at once, without suspending."""
        yield from ()
        return self.value

    def __repr__(self) -> str:
        return f"Registered({self.value!r})"
