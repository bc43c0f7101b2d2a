"""Progress: one interface, seen where somebody watches, silent elsewhere, never on standard output."""

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from hyperfabric_q.errors import InvalidValue
from hyperfabric_q.execution.executors import drive
from hyperfabric_q.execution.jobs import Job
from hyperfabric_q.execution.progress import reporting, watched

ON_WORKERS = Path(__file__).parent / "on_workers"
sys.path.insert(0, str(ON_WORKERS))
__import__("trial_tasks")


def test_a_function_hears_of_the_start_and_of_every_step():
    heard = []
    jobs = [Job(kind="trial_draw", path=(place,)) for place in range(3)]
    drive([*jobs, jobs[0]], executor="serial", progress=lambda *given: heard.append(given), what="cells")
    assert heard[0] == (0, 4, "cells")
    assert heard[-1] == (4, 4, "cells")
    assert [done for done, _, _ in heard] == sorted({done for done, _, _ in heard})


@pytest.mark.parametrize("progress", [None, False, True])
def test_nothing_is_written_where_nobody_watches(progress, capfd):
    with reporting(progress, total=2, what="jobs") as report:
        report.advance()
        report.advance(0)
    assert report.done == 1
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("progress", ["yes", 1, 0, object()])
def test_what_is_no_progress_is_refused(progress):
    with pytest.raises(InvalidValue, match="progress"):
        drive([], progress=progress)


def test_ctrl_c_in_the_function_is_an_interruption():
    def tell(done, _total, _what):
        if done:
            raise KeyboardInterrupt

    jobs = [Job(kind="trial_draw", path=(place,)) for place in range(9)]
    driven = drive(jobs, executor="serial", progress=tell)
    assert driven.interrupted
    assert 1 <= sum(driven.done) < 9


def test_an_error_of_the_function_is_its_callers():
    with pytest.raises(ZeroDivisionError):
        drive([Job(kind="trial_draw")], executor="serial", progress=lambda *given: 1 / 0)


SCRIPT = """
import json, sys
from hyperfabric_q.execution.progress import reporting
with reporting(True, total=3, what="fragments") as report:
    for _ in range(3):
        report.advance()
print(json.dumps({"done": report.done}))
"""


def test_in_a_terminal_the_bar_is_on_the_error_stream():
    leader, follower = pty.openpty()
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        stdout=subprocess.PIPE,
        stderr=follower,
        env={**os.environ, "CI": "", "TERM": "xterm", "COLUMNS": "80"},
        text=True,
        check=True,
        timeout=60,
    )
    os.write(follower, b".")
    shown = os.read(leader, 100_000).decode()
    os.close(leader)
    os.close(follower)
    assert done.stdout == '{"done": 3}\n'
    assert "fragments" in shown


def test_in_ci_nobody_watches_even_a_terminal(monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.delenv("CI", raising=False)
    assert watched()
    monkeypatch.setenv("CI", "true")
    assert not watched()


def test_in_a_notebook_somebody_watches_unless_it_is_ci(monkeypatch):
    class ZMQInteractiveShell:
        pass

    class IPython:
        get_ipython = ZMQInteractiveShell

    monkeypatch.setitem(sys.modules, "IPython", IPython)
    monkeypatch.delenv("CI", raising=False)
    assert watched()
    monkeypatch.setenv("CI", "1")
    assert not watched()
    monkeypatch.setenv("CI", "false")
    monkeypatch.setitem(sys.modules, "IPython", None)
    assert not watched()
