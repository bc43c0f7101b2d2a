"""What a training keeps on disk: killed, resumed to the last bit, refused when damaged; and how it ends early."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import warnings

import numpy as np
import pytest

import hyperfabric_q as hq
from hyperfabric_q import errors
from hyperfabric_q.workloads.learning.hybrid.training import HybridTraining

SCRIPT = """
import os, signal, sys
import numpy as np
import hyperfabric_q as hq
from hyperfabric_q.workloads.learning.hybrid.training import HybridTraining

def qpu(name):
    return hq.NodeSignature(name, hq.HardwareType.QUANTUM_QPU, 10, 500, compute_units=2, readout_ns=700)

def training(seed):
    gpu = hq.NodeSignature("gpu", hq.HardwareType.NVIDIA_H100, 100, 500, metadata={"flops_per_s": 1e12})
    fabric = hq.Fabric(nodes=[gpu, qpu("qa"), qpu("qb")])
    beside = [hq.BackgroundMessages(source="qa", destination="gpu", size_bytes=5000, rate_hz=1e5)]
    return HybridTraining(
        fabric=fabric, qubits=2, layers=1, hidden=(3,), batch_size=9, shots=50, background=beside, seed=seed
    )

rng = np.random.default_rng(3)
ROWS = rng.normal(size=(20, 3))
LABELS = (ROWS[:, 0] * ROWS[:, 1] > 0).astype(int)

def killed(done, total, what):
    if done == 20:
        os.kill(os.getpid(), signal.SIGKILL)

if __name__ == "__main__":
    training(11).fit(ROWS, LABELS, steps=50, checkpoint=sys.argv[1], progress=killed)
"""


@pytest.fixture(scope="module")
def script(tmp_path_factory):
    """The script above as a module, and its path."""
    path = tmp_path_factory.mktemp("script") / "killed_training.py"
    path.write_text(SCRIPT)
    names = {"__name__": "killed_training"}
    exec(compile(SCRIPT, str(path), "exec"), names)  # noqa: S102
    return path, names


def test_fifty_steps_killed_at_twenty_resume_to_identical_bits(script, tmp_path):
    path, names = script
    ended = subprocess.run([sys.executable, path, tmp_path], check=False, timeout=120)
    assert ended.returncode == -signal.SIGKILL
    rows, labels, training = names["ROWS"], names["LABELS"], names["training"]
    kept = json.loads(json.loads((tmp_path / "training.json").read_text())["state"])
    assert kept["step"] == 20
    resumed = training(11).fit(rows, labels, steps=50, checkpoint=tmp_path)
    whole = training(11).fit(rows, labels, steps=50)
    assert resumed.parameters.tobytes() == whole.parameters.tobytes()
    assert resumed.history == whole.history
    assert os.listdir(tmp_path) == ["training.json"]
    # All steps are taken: nothing is left to do, and a training without a seed takes the one of its state.
    again = training(None).fit(rows, labels, steps=50, checkpoint=tmp_path)
    assert (again.history, again.history.seed) == (whole.history, 11)


def small(**options):
    gpu = hq.NodeSignature("gpu", hq.HardwareType.NVIDIA_H100, 100, 500)
    wanted = {"qubits": 2, "layers": 1, "seed": 2, **options}
    return HybridTraining(fabric=hq.Fabric(nodes=[gpu]), parallel="none", **wanted)


ROWS = np.random.default_rng(3).normal(size=(12, 2))
LABELS = (ROWS[:, 0] > 0).astype(int)


def test_more_steps_go_on_from_fewer(tmp_path):
    small().fit(ROWS, LABELS, steps=4, checkpoint=tmp_path, every=3)
    longer = small().fit(ROWS, LABELS, steps=9, checkpoint=tmp_path)
    assert longer.parameters.tobytes() == small().fit(ROWS, LABELS, steps=9).parameters.tobytes()
    assert [row.step for row in longer.history] == list(range(1, 10))


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (lambda text: text[: len(text) // 2], "no state"),
        (lambda text: text.replace('\\"step\\":3', '\\"step\\":2'), "check sum"),
        (lambda text: text.replace("checkpoint/1", "checkpoint/9"), "checkpoint/9"),
        (lambda text: "[]", "no state"),
        (lambda text: "", "no state"),
        (lambda text: "\xff", "cannot be read"),
    ],
)
def test_a_damaged_state_is_refused_and_left_as_it_is(tmp_path, damage, told):
    small().fit(ROWS, LABELS, steps=3, checkpoint=tmp_path)
    file = tmp_path / "training.json"
    whole = file.read_text()
    broken = damage(whole).encode("latin-1")
    assert broken != whole.encode()
    file.write_bytes(broken)
    with pytest.raises(errors.StoreUnreadable, match=told):
        small().fit(ROWS, LABELS, steps=5, checkpoint=tmp_path)
    assert file.read_bytes() == broken


@pytest.mark.parametrize(
    ("options", "rows"), [({"seed": 3}, ROWS), ({"layers": 2}, ROWS), ({"learning_rate": 0.2}, ROWS), ({}, ROWS + 1e-9)]
)
def test_the_state_of_another_training_is_refused(tmp_path, options, rows):
    small().fit(ROWS, LABELS, steps=2, checkpoint=tmp_path)
    with pytest.raises(errors.StoreUnreadable, match="other"):
        small(**options).fit(rows, LABELS, steps=5, checkpoint=tmp_path)


def test_folders_that_cannot_be_are_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(errors.StoreUnreadable, match="folder"):
        small().fit(ROWS, LABELS, steps=1, checkpoint=tmp_path / "file" / "inside")
    with pytest.raises(errors.InvalidValue, match="path"):
        small().fit(ROWS, LABELS, steps=1, checkpoint=3)


def test_training_ends_early_where_the_loss_falls_no_more_and_stays_ended(tmp_path):
    made = small(patience=3, min_delta=0.05)
    out = made.fit(ROWS, LABELS, steps=200, checkpoint=tmp_path)
    losses = out.history.losses
    best = len(losses) - 1 - 3
    assert (out.history.stopped, len(losses) < 200) == ("early", True)
    assert (losses[best + 1 :] > losses[best] - 0.05).all()
    loop = out.loop
    kept = loop.samples.loss(slice(None))(loop.outputs(out.parameters, ROWS, seed=0))[0]
    assert kept == pytest.approx(losses[best])  # the best parameters are returned, not the last
    assert made.fit(ROWS, LABELS, steps=400, checkpoint=tmp_path).history == out.history


def test_validation_decides_about_ending_early():
    other = small(patience=2).fit(ROWS, LABELS, steps=100, validation=(ROWS[:4], 1 - LABELS[:4]))
    held = other.history.column("validation")
    assert np.isfinite(held).all()
    assert other.history.stopped == "early"
    assert held.min() == held[-3]
    with pytest.raises(errors.InvalidValue, match="labels"):
        small().fit(ROWS, LABELS, steps=1, validation=(ROWS, LABELS + 1))


def test_ctrl_c_returns_what_there_is(tmp_path):
    def interrupt(*told):
        if told[0] == 3:
            raise KeyboardInterrupt

    with pytest.warns(errors.EndedEarly, match="3 of 10"):
        out = small().fit(ROWS, LABELS, steps=10, checkpoint=tmp_path, progress=interrupt)
    assert (len(out.history), out.history.stopped) == (3, "interrupted")
    resumed = small().fit(ROWS, LABELS, steps=10, checkpoint=tmp_path)
    assert resumed.parameters.tobytes() == small().fit(ROWS, LABELS, steps=10).parameters.tobytes()


def test_progress_counts_steps_resumed_ones_included(tmp_path):
    heard = []
    small().fit(ROWS, LABELS, steps=2, checkpoint=tmp_path)
    small().fit(ROWS, LABELS, steps=4, checkpoint=tmp_path, progress=lambda *told: heard.append(told))
    assert heard == [(0, 4, "steps"), (2, 4, "steps"), (3, 4, "steps"), (4, 4, "steps")]


def test_fit_works_inside_a_running_loop_as_in_notebooks():
    async def main():
        return small().fit(ROWS, LABELS, steps=3)

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        inside = asyncio.run(main())
    assert inside.parameters.tobytes() == small().fit(ROWS, LABELS, steps=3).parameters.tobytes()
