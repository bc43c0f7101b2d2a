"""The main job: one circuit over three unlike QPUs, every Bell pair counted, verified, and run with link noise.

Run it from anywhere: ``python examples/main_job.py``, with ``--shots 200`` for a quick look.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import hyperfabric_q as hq

ROOT = Path(__file__).resolve().parents[1]
ADDER = ROOT / "circuits" / "cuccaro_adder_3bit.qasm"  # writes 5 and 6 into two registers, adds them, measures the sum
THREE_QPUS = ROOT / "examples" / "fabrics" / "three_qpus.toml"
A, B = 5, 6
SEED = 7


def main() -> None:
    """Plan and run the adder, then plan a larger circuit beside it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shots", type=int, default=1000, help="shots of each run (default: 1000)")
    shots = parser.parse_args().shots
    began = time.perf_counter()

    heading("1. The fabric: three QPUs, none of which holds the circuit")
    fabric = hq.Fabric.from_file(THREE_QPUS)
    print(fabric.summary())

    heading("2. The plan: who runs what, and which Bell pairs that takes")
    plan = hq.plan(ADDER, fabric, seed=SEED)
    print(plan.draw())

    heading("3. Without noise the distributed circuit must agree with the undistributed one")
    noiseless = plan.run(shots, noise="none", seed=SEED).compare()
    print(noiseless)
    if not noiseless.distributed_fidelity.is_perfect:
        raise SystemExit("the distributed circuit does not agree with the original: this is a bug")
    print(f"It does: fidelity {noiseless.distributed_fidelity}.")

    heading("4. With the noise of the links: what imperfect Bell pairs cost")
    show(plan.run(shots, noise="links", seed=SEED))

    heading("5. With all noise of the fabric: pairs, gates and readout")
    show(plan.run(shots, noise="fabric", seed=SEED))

    heading("6. Something larger beside it: a 16-qubit Fourier transform on four QPUs of five data qubits")
    larger = hq.plan(ROOT / "circuits" / "qft_16.qasm", hq.Fabric.full([5, 5, 5, 5]), seed=SEED)
    print(larger.draw())

    print(f"\nDone in {time.perf_counter() - began:.0f} s.")


def show(result: hq.Result) -> None:
    """Print a run beside the ideal and the undistributed run, and say in words what it means."""
    print(result.compare())
    right = format(A + B, "04b")
    print(f"{A} + {B} = {A + B}, which reads {right}: right in {result.probabilities[right]} of the shots.")


def heading(text: str) -> None:
    """Print a heading."""
    print(f"\n{text}\n{'=' * len(text)}")


if __name__ == "__main__":
    main()
