"""Where the addon's Python is, and what its worker answers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from problems import as_lists

HERE = Path(__file__).parent
DEFAULT = HERE.parent / "peers" / "addon" / ".venv" / "bin" / "python"


def python(given: str | None) -> str:
    """Return the addon's Python: as given, from ADDON_PYTHON, or where benchmarks/peers/addon_cutting.txt puts it."""
    found = given or os.environ.get("ADDON_PYTHON") or str(DEFAULT)
    if not Path(found).exists():
        sys.exit(f"the addon's Python is not at {found}: see benchmarks/peers/addon_cutting.txt")
    return found


def ask(interpreter: str, task: str, circuit: Any, *, limit_s: float | None = None, **rest: Any) -> Any:
    """Return what the addon makes of a task, or None if it takes longer than ``limit_s`` seconds of wall time."""
    asked = {"task": task, "qubits": circuit.num_qubits, "gates": as_lists(circuit), **rest}
    command = [interpreter, str(HERE / "addon_worker.py")]
    try:
        done = subprocess.run(
            command, input=json.dumps(asked), check=True, stdout=subprocess.PIPE, text=True, timeout=limit_s
        )
    except subprocess.TimeoutExpired:
        return None
    return json.loads(done.stdout)
