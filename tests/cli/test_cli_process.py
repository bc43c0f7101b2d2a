"""The command line as a process of its own: what only an installed program shows."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = (sys.executable, "-W", "error", "-m", "hyperfabric_q.cli")


def test_the_command_line_imports_no_heavy_library():
    heavy = ("numpy", "qiskit", "qiskit_aer", "cirq", "stim", "mtkahypar", "networkx", "scipy", "pydantic")
    probe = f"import sys, hyperfabric_q.cli; print([each for each in {heavy!r} if each in sys.modules])"
    done = subprocess.run((sys.executable, "-c", probe), capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_a_pipe_gets_one_json_object_even_where_the_terminal_knows_no_unicode(tmp_path):
    done = subprocess.run(
        (*PROGRAM, "plan", ROOT / "circuits" / "bell.qasm", "--qpus", "2", "--capacity", "1", "--json"),
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
    )
    assert json.loads(done.stdout)["ebits"] == 1
    assert done.stderr == ""
    assert list(tmp_path.iterdir()) == []


def test_a_terminal_without_unicode_gets_a_picture_all_the_same():
    done = subprocess.run(
        (*PROGRAM, "plan", ROOT / "circuits" / "bell.qasm", "--qpus", "2", "--capacity", "1"),
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
    )
    assert done.stdout.startswith("bell: 2 qubits, 1 two-qubit gate on 2 QPU nodes: 1 e-bit, proved")


@pytest.mark.skipif(sys.platform == "win32", reason="Ctrl-C is sent as a POSIX signal")
def test_ctrl_c_ends_a_simulation_at_once_and_without_a_word():
    circuit, fabric = ROOT / "circuits" / "cuccaro_adder_3bit.qasm", ROOT / "examples" / "fabrics" / "three_qpus.toml"
    with subprocess.Popen(
        (*PROGRAM, "run", circuit, "--fabric", fabric, "--shots", "1000000", "--no-compare"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        for line in process.stdout:
            if line.startswith("why"):
                break
        time.sleep(1.5)  # the plan is drawn: by now the simulation runs
        process.send_signal(signal.SIGINT)
        try:
            _, complaints = process.communicate(timeout=10)
        finally:
            process.kill()
    # A shell shows 130 for both: our own exit code, and death by the signal itself.
    assert process.returncode in {130, -signal.SIGINT}
    assert complaints == ""
