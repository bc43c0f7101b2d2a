"""What every example is held to: it runs from anywhere, warns of nothing, and writes no file."""

import subprocess
import sys

import pytest


@pytest.fixture
def told_by(tmp_path):
    """Return a function of a script and its options that gives what it prints."""

    def run(script, *options):
        done = subprocess.run(
            (sys.executable, "-W", "error", "-B", script, *options),
            capture_output=True,
            text=True,
            check=False,
            cwd=tmp_path,
            timeout=120,
            env={"PYTHONIOENCODING": "utf-8", "PATH": ""},
        )
        assert (done.returncode, done.stderr) == (0, "")
        assert list(tmp_path.iterdir()) == []
        return done.stdout

    return run
