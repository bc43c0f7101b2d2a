"""The examples of keys run and say what they promise."""

import json
import subprocess
import sys
from pathlib import Path

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


def told_by(script, folder, *options):
    done = subprocess.run(
        (sys.executable, "-W", "error", "-B", EXAMPLES / script, *options),
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
        timeout=120,
        env={"PYTHONIOENCODING": "utf-8", "PATH": ""},
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert list(folder.iterdir()) == []
    return done.stdout


def test_a_send_under_quantum_keys_says_which_and_is_refused_without(tmp_path):
    told = told_by("quantum_secured_send.py", tmp_path)
    assert "otp+wegman-carter" in told
    assert "relayed by exchange" in told
    assert "refused: sending 511 bytes" in told


def test_keys_and_gates_contend_for_the_pairs_of_one_link(tmp_path):
    rows = json.loads(told_by("qkd_and_gates.py", tmp_path, "--json"))
    assert rows[0]["gate_fidelity"] > rows[-1]["gate_fidelity"] + 0.03
    assert rows[-1]["key_bits_per_second"] > rows[0]["key_bits_per_second"]
