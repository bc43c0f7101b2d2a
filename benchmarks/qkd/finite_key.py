"""Key per sifted bit of finite strings: foretold, and as distilled; the QBER of full interception; 2 % errors.

.venv/bin/python benchmarks/qkd/finite_key.py
"""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

from hyperfabric_q.workloads.qkd.attacks import InterceptResend
from hyperfabric_q.workloads.qkd.finite_key import foretell
from hyperfabric_q.workloads.qkd.rates import werner_rate
from hyperfabric_q.workloads.qkd.simulated import simulate

HERE = Path(__file__).parent
RUNS = {1_000: 20, 10_000: 20, 100_000: 10, 1_000_000: 3}


def main() -> None:
    rows = []
    for sifted, runs in RUNS.items():
        best = foretell(sifted, 0.02)
        found = [simulate(0.97, 2 * sifted, seed=seed) for seed in range(runs)]
        heard = [simulate(0.97, 2 * sifted, attack=InterceptResend(1.0), seed=seed) for seed in range(runs)]
        kept = [max(0, each.secret_bits or 0) / each.sifted_bits if not each.aborted else 0.0 for each in found]
        rows.append(
            {
                "sifted_bits": sifted,
                "rate_foretold": f"{best.rate:.4f}",
                "test_fraction": f"{best.test_fraction:.4f}" if best.secret_bits else "",
                "rate_distilled": f"{np.mean(kept):.4f}",
                "rate_stderr": f"{np.std(kept, ddof=1) / np.sqrt(runs):.4f}",
                "rate_endless": f"{float(werner_rate(0.97, efficiency=1.12)):.4f}",
                "runs": runs,
                "unequal_keys": sum(each.ends_agree is False for each in found),
                "qber_when_overheard": f"{np.mean([each.qber for each in heard]):.4f}",
                "aborted_when_overheard": sum(each.aborted for each in heard),
            }
        )
        print(rows[-1])
    with (HERE / "finite_key.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    main()
