"""How far is it? One interface for everything that takes long.

``progress=True`` draws a bar where somebody watches: in a terminal (on the error stream, so that what a program prints
stays clean) and in a notebook. Elsewhere, in continuous integration and in pipes, it is silent. A function is called
with (done, total, what) instead; ``None`` and ``False`` report nothing.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeAlias

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from hyperfabric_q.errors import InvalidValue

ProgressCall: TypeAlias = Callable[[int, int, str], object]
Progress: TypeAlias = bool | ProgressCall | None


class Report:
    """Counts what is done, and tells whoever wants to know."""

    def __init__(self, total: int, what: str, tell: ProgressCall | None) -> None:
        """Start at nothing done; ``tell`` hears of that, and of every step."""
        self.done, self.total, self._what, self._tell = 0, total, what, tell
        self._say()

    def advance(self, count: int = 1) -> None:
        """Count ``count`` more as done; 0 says nothing."""
        if count:
            self.done += count
            self._say()

    def _say(self) -> None:
        if self._tell is not None:
            self._tell(self.done, self.total, self._what)


@contextmanager
def reporting(progress: Progress, *, total: int, what: str) -> Iterator[Report]:
    """Yield a report to count in; what it shows is gone when the block ends.

    Args:
        progress: True, a function of (done, total, what), or None.
        total: of what is counted.
        what: is counted, in one or two words.

    Raises:
        InvalidValue: ``progress`` is none of these.
    """
    if progress is None or progress is False:
        yield Report(total, what, None)
    elif progress is True:
        if watched():
            with _bar(total, what) as tell:
                yield Report(total, what, tell)
        else:
            yield Report(total, what, None)
    elif callable(progress):
        yield Report(total, what, progress)
    else:
        raise InvalidValue(
            field="progress", value=progress, rule="progress is True, None, or a function of (done, total, what)"
        )


def watched() -> bool:
    """Return whether somebody sees a bar: a terminal behind the error stream, or a notebook, and no CI."""
    if os.environ.get("CI", "").lower() not in {"", "0", "false"}:
        return False
    return _in_notebook() or (sys.stderr is not None and sys.stderr.isatty())


def _in_notebook() -> bool:
    # Asks without importing: in a notebook, IPython is there already.
    shell: Any = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return type(shell).__name__ == "ZMQInteractiveShell"


@contextmanager
def _bar(total: int, what: str) -> Iterator[ProgressCall]:
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
        number = bar.add_task(what, total=total)
        yield lambda done, _total, _what: bar.update(number, completed=done)
