import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "examples" / "qec_loop.py"


def figures(folder, *options):
    done = subprocess.run(
        (sys.executable, "-W", "error", "-B", SCRIPT, "--size", "small", "--json", *options),
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
        timeout=120,
        env={"PATH": ""},
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert list(folder.iterdir()) == []
    return json.loads(done.stdout)


@pytest.mark.slow
def test_no_frame_of_ten_blocks_misses_its_deadline_under_the_fabrics_policy(tmp_path):
    ours, control = figures(tmp_path), figures(tmp_path, "--fifo")
    for found in (ours, control):
        assert (found["blocks"], found["frames"], found["windows"]) == (10, 10 * 10, 10 * 3)
        assert found["logical_errors"] <= 2
    assert ours["missed"] == 0
    assert control["missed"] > 0.7 * control["frames"]


def test_an_idle_link_takes_two_hops_and_the_cycle_is_free(tmp_path):
    found = figures(tmp_path, "--load", "0", "--blocks", "1", "--cycle-us", "2.5")
    sent = 57 * 8  # 24 bytes of header, 32 of record, and 1 for the 4 or 8 detectors of a round
    assert found["max_us"] == pytest.approx(0.2 + sent / 100e3 + sent / 400e3, rel=0.02)
    assert found["missed"] == 0
