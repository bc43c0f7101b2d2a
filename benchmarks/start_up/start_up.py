"""CPU seconds of ``import hyperfabric_q`` and ``hyperfabric-q --help`` beside numpy alone; the least of several runs.

.venv/bin/python benchmarks/start_up/start_up.py
"""

from __future__ import annotations

import csv
import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
COMMANDS = {
    "python": ["-c", ""],
    "import numpy": ["-c", "import numpy"],
    "import hyperfabric_q": ["-c", "import hyperfabric_q"],
    "hyperfabric-q --help": ["-m", "hyperfabric_q.cli", "--help"],
}


def cpu_seconds(arguments: list[str]) -> float:
    before = os.times()
    subprocess.run([sys.executable, *arguments], check=True, capture_output=True)
    after = os.times()
    return after.children_user + after.children_system - before.children_user - before.children_system


def main() -> None:
    with (HERE / "start_up.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["command", "cpu_seconds"])
        for name, arguments in COMMANDS.items():
            least = min(cpu_seconds(arguments) for _ in range(7))
            writer.writerow([name, f"{least:.3f}"])
            print(f"{name:24} {least:.3f} s")


if __name__ == "__main__":
    main()
