"""Hybrid training: distributed steps are the undistributed ones, and the clock respects physics."""

import asyncio

import numpy as np
import pytest

import hyperfabric_q as hq
from hyperfabric_q import errors
from hyperfabric_q.workloads.learning.hybrid.optimisers import Sgd
from hyperfabric_q.workloads.learning.hybrid.training import HybridTraining

TIMES = {"gate_1q_ns": 50, "gate_2q_ns": 200, "readout_ns": 1000, "reset_ns": 500}


def fabric(*, fidelity=0.98, capacity=4, gbps=10):
    def qpu(name):
        kind = hq.HardwareType.QUANTUM_QPU
        return hq.NodeSignature(name, kind, gbps, 500, compute_units=capacity, communication_qubits=2, **TIMES)

    gpu = hq.NodeSignature("gpu", hq.HardwareType.NVIDIA_H100, 25, 500, metadata={"flops_per_s": 1e12})
    loader = hq.NodeSignature("loader", hq.HardwareType.CPU_SERVER, 25, 500)
    rate = {} if fidelity == 1 else {"pair_rate_hz": 1e6}
    link = hq.Link("qa", "qb", bandwidth_gbps=1, latency_ns=100, pair_fidelity=fidelity, **rate)
    return hq.Fabric(nodes=[gpu, loader, qpu("qa"), qpu("qb")], links=[link])


def moons(count=24):
    rng = np.random.default_rng(5)
    angles = np.linspace(0, np.pi, count // 2)
    one = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    rows = np.concatenate([one, [1.0, 0.5] - one]) + 0.1 * rng.normal(size=(count, 2))
    return rows, np.repeat([0, 1], count // 2)


def trained(place=None, *, steps=5, **options):
    wanted = {"qubits": 2, "layers": 1, "seed": 4, "optimizer": Sgd(learning_rate=0.3, momentum=0.5), **options}
    rows, labels = moons()
    return HybridTraining(fabric=place or fabric(), gpu="gpu", **wanted).fit(rows, labels, steps=steps)


def test_data_parallel_model_parallel_and_undistributed_training_agree_step_by_step():
    options = {"qubits": 3, "layers": 2, "hidden": (4,), "batch_size": 7}
    small = fabric(capacity=2)  # three qubits fit on no node alone
    alone = trained(small, parallel="none", **options)
    shared = trained(parallel="data", **options)
    parted = trained(small, parallel="model", **options)
    assert parted.loop.groups[0].plan.ebits > 0
    assert len(shared.loop.groups) == 2
    for other in (shared, parted):
        for name in ("loss", "gradient_norm"):
            assert np.abs(other.history.column(name) - alone.history.column(name)).max() < 1e-10
        assert np.abs(other.parameters - alone.parameters).max() < 1e-10
    assert alone.history.losses[-1] != alone.history.losses[0]


def test_the_emitted_circuit_over_perfect_pairs_trains_like_the_undistributed_one():
    """The gradient is then parameter shifts of the distributed circuit's own density matrix, not the adjoint sweep."""
    options = {"qubits": 2, "layers": 1, "batch_size": 2, "steps": 2}
    alone = trained(parallel="none", **options)
    parted = trained(fabric(capacity=1, fidelity=1), parallel="model", noise="links", **options)
    assert not parted.loop.groups[0].exact
    assert parted.loop.groups[0].plan.ebits > 0
    assert np.abs(parted.history.losses - alone.history.losses).max() < 1e-10
    assert np.abs(parted.parameters - alone.parameters).max() < 1e-10


def test_slopes_are_those_of_the_loss():
    out = trained(parallel="data", hidden=(3,), steps=1, optimizer=Sgd(learning_rate=1.0))
    loop = out.loop
    first = loop.begun().parameters
    gradient = first - out.parameters
    loss = loop.samples.loss(slice(None))

    def at(row):
        return loss(loop.outputs(row, loop.samples.rows, seed=0))[0]

    for place in range(len(first)):
        shift = np.zeros_like(first)
        shift[place] = 1e-5
        assert gradient[place] == pytest.approx((at(first + shift) - at(first - shift)) / 2e-5, abs=1e-8)


def test_time_adds_up_and_respects_physics():
    shots = 30
    out = trained(fabric(capacity=1), parallel="model", charged_shots=shots, loader="loader", batch_size=6)
    plan = out.loop.groups[0].plan
    for row in out.history:
        parts = (row.quantum_ns, row.network_ns, row.classical_ns, row.waiting_ns)
        assert sum(parts) == pytest.approx(row.end_ns - row.start_ns, abs=1e-3)
        assert row.network_ns >= row.bound_ns > 0
        assert row.shots == 6 * (1 + 2 * 6) * shots  # six turns, two shifts each, one basis
        assert row.pairs == row.shots * plan.ebits > 0
        least = 1000 + 2 * 500  # a measurement, and a message each way for some pair
        assert row.quantum_ns >= row.shots * least
        assert row.classical_ns > 0
    starts, ends = out.history.column("start_ns"), out.history.column("end_ns")
    assert np.array_equal(starts[1:], ends[:-1])


def test_quantum_time_is_halved_by_two_nodes_that_share_the_batch():
    options = {"charged_shots": 10, "steps": 1}
    one = trained(groups=[["qa"]], **options).history.rows[0]
    two = trained(groups=[["qa"], ["qb"]], **options).history.rows[0]
    reset = 500  # between two shots, and none after the last
    assert two.quantum_ns + reset == pytest.approx((one.quantum_ns + reset) / 2)
    assert one.shots == two.shots


def test_shots_have_bars_that_hold():
    exact = trained(steps=1, parallel="none").history.rows[0]
    pulls = []
    for more in range(8):
        row = trained(steps=1, parallel="data", shots=200 + more).history.rows[0]
        assert row.loss_error > 0
        assert row.gradient_error > 0
        assert row.shots == 24 * (1 + 2 * 6) * (200 + more)
        pulls.append((row.loss - exact.loss) / row.loss_error)
    assert 0.3 < np.std(pulls) < 2
    assert np.abs(pulls).max() < 5


def test_other_traffic_lengthens_steps_and_leaves_the_parameters_alone():
    busy = [hq.BackgroundMessages(source="loader", destination="gpu", size_bytes=50_000, rate_hz=2e5)]
    alone, beside = trained(), trained(background=busy)
    assert beside.history.totals()["network_ns"] > alone.history.totals()["network_ns"] + 1000
    assert np.array_equal(beside.parameters, alone.parameters)
    again = trained(background=busy)
    assert again.history == beside.history


def test_demands_of_others_for_pairs_lengthen_circuits():
    place = fabric(capacity=1)
    wanted = {"parallel": "model", "charged_shots": 10, "steps": 1, "batch_size": 2}
    alone = trained(place, **wanted).history.rows[0]
    beside = trained(place, background=[hq.BackgroundPairs(a="qa", b="qb", rate_hz=5e5)], **wanted).history.rows[0]
    assert beside.quantum_ns > 1.05 * alone.quantum_ns
    assert beside.pairs == alone.pairs


def test_a_live_protocol_trains_on_its_own_clock():
    rows, labels = moons()
    made = HybridTraining(fabric=fabric(), gpu="gpu", qubits=2, layers=1, seed=4, optimizer=Sgd(learning_rate=0.3))

    async def main(messages):
        live = hq.HyperFabricProtocol(fabric())
        others = [
            asyncio.ensure_future(live.send_data(source="loader", destination="gpu", data=bytes(400_000)))
            for _ in range(messages)
        ]
        out = await made.fit_on(live, rows, labels, steps=3)
        await asyncio.gather(*others)
        assert live.now_ns >= out.history.rows[-1].end_ns
        return out

    idle, busy = hq.run(main(0)), hq.run(main(3))
    assert np.array_equal(idle.parameters, busy.parameters)
    assert busy.history.totals()["network_ns"] > idle.history.totals()["network_ns"]
    own = made.fit(rows, labels, steps=3)
    assert own.history == idle.history


def test_it_learns_classes_and_targets():
    rows, labels = moons()
    made = HybridTraining(fabric=fabric(), qubits=2, layers=2, hidden=(4,), seed=1, learning_rate=0.1)
    assert made.gpu == "gpu"
    out = made.fit(rows, np.array(["left", "right"])[labels], steps=30)
    assert out.score(rows, np.array(["left", "right"])[labels]) >= 0.95
    assert np.allclose(out.predict_proba(rows).sum(axis=1), 1)
    targets = 100 + 20 * np.sin(2 * rows[:, 0])
    fitted = HybridTraining(fabric=fabric(), qubits=2, seed=1, task="regression", learning_rate=0.1)
    found = fitted.fit(rows, targets, steps=30)
    assert found.score(rows, targets) > 0.8
    assert abs(found.predict(rows).mean() - 100) < 20
    with pytest.raises(errors.InvalidValue, match="classes"):
        found.predict_proba(rows)


def test_history_speaks_json_and_columns():
    out = trained(steps=3, batch_size=10)
    told = out.history.to_dict()
    assert (told["schema"], told["steps"], told["stopped"], told["seed"]) == ("hyperfabric_q/training/1", 3, "steps", 4)
    assert [row["step"] for row in told["rows"]] == [1, 2, 3]
    assert [row["epoch"] for row in told["rows"]] == [0, 0, 0]
    assert np.isnan(out.history.column("validation")).all()
    assert "3 steps" in str(out.history)
    with pytest.raises(errors.InvalidValue, match="loss"):
        out.history.column("los")


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"parallel": "both"}, "parallel"),
        ({"groups": [["qa"], ["qa"]]}, "one group"),
        ({"groups": [["gpu"]]}, "data qubits"),
        ({"gpu": "cpu"}, "cpu"),
        ({"optimizer": "adm"}, "adam"),
        ({"optimizer": "adam", "learning_rate": -1}, "learning_rate"),
        ({"batch_size": 0}, "batch_size"),
        ({"shots": 1}, "shots"),
        ({"hidden": (0,)}, "hidden"),
        ({"noise": "links", "parallel": "none"}, "noise"),
        ({"qubits": 0}, "qubits"),
        ({"seed": -1}, "seed"),
        ({"background": [3]}, "background"),
        ({"optimizer": Sgd(learning_rate=1e300)}, "no finite"),
    ],
)
def test_what_cannot_be_trained_is_refused(options, told):
    rows, labels = moons()
    with np.errstate(all="ignore"), pytest.raises(errors.InputError, match=told):
        HybridTraining(fabric=fabric(), **({"qubits": 2, "seed": 1} | options)).fit(rows, labels, steps=3)


def test_too_small_nodes_are_infeasible():
    rows, labels = moons()
    with pytest.raises(errors.Infeasible):
        HybridTraining(fabric=fabric(capacity=1), qubits=3, parallel="model").fit(rows, labels, steps=1)
