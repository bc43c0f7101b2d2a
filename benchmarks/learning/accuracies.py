"""Test accuracies of the three training examples beside classical models of their size: runs them, writes a CSV.

Run from anywhere: ``python benchmarks/learning/accuracies.py`` (about two minutes of one core).
"""

from __future__ import annotations

import csv
import re
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
EXAMPLES = HERE.parents[1] / "examples"
ROW = re.compile(r"^  (.+?) +(\d\.\d{3}) ± (\d\.\d{3})$", re.MULTILINE)


def main() -> None:
    """Write accuracies.csv beside this script."""
    with (HERE / "accuracies.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["example", "model", "test accuracy", "standard error", "splits"])
        for name in ("learn_breast_cancer", "learn_digits", "learn_iris"):
            command = [sys.executable, str(EXAMPLES / f"{name}.py"), "--splits", "10"]
            told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
            print(told)
            for model, accuracy, error in ROW.findall(told):
                writer.writerow([name, model, accuracy, error, 10])


if __name__ == "__main__":
    main()
