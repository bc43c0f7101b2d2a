"""The loop in sinter's hands."""

import pickle

import pytest
import sinter

from hyperfabric_q.errors import InvalidValue
from hyperfabric_q.fabric import Fabric, HardwareType, Link, NodeSignature
from hyperfabric_q.workloads.qec.background import Background
from hyperfabric_q.workloads.qec.codes import rotated_surface_code
from hyperfabric_q.workloads.qec.decoders import Fixed
from hyperfabric_q.workloads.qec.records import Clusters
from hyperfabric_q.workloads.qec.sampler import experiment_of, ideal, sampler, task
from hyperfabric_q.workloads.qec.seam import DistributedSurfaceCode


def fabric():
    return Fabric(
        nodes=(
            NodeSignature("qpu", HardwareType.QUANTUM_QPU, 400.0, 0.0, compute_units=100),
            NodeSignature("decoder", HardwareType.CPU_SERVER, 100.0, 0.0),
        ),
        links=(Link("qpu", "decoder", bandwidth_gbps=100.0, latency_ns=0.0),),
    )


def loaded(policy, **more):
    return sampler(
        fabric=fabric(),
        blocks=("qpu",) * 3,
        decoder_node="decoder",
        background=[Background(source="qpu", destination="decoder", load=0.8)],
        policy=policy,
        deadline_us=10.0,
        service=Fixed(500.0),
        servers=3,
        **more,
    )


def test_tasks_are_sinters_and_tell_what_was_run():
    experiment = rotated_surface_code(3, 9, p=0.002)
    made = task(experiment, loop=loaded("fifo", window=(3, 2)).loop, decoder="loop", metadata={"note": "x"})
    assert isinstance(made, sinter.Task)
    assert made.circuit == experiment.circuit
    wanted = {
        "code": "rotated_surface_code",
        "d": 3,
        "r": 9,
        "p": 0.002,
        "basis": "Z",
        "noise": "stim4",
        "backend": "stim",
        "link_gbps": 100.0,
        "load": 0.8,
        "policy": "fifo",
        "on_miss": "wait",
        "deadline_us": 10.0,
        "decoder": "matching",
        "C": 3,
        "B": 2,
        "note": "x",
    }
    assert wanted.items() <= made.json_metadata.items()
    back = experiment_of(made)
    assert (back.rounds, back.distance, back.cycle_ns) == (9, 3, 1100.0)
    patch = task(DistributedSurfaceCode(distance=3, rounds=2).experiment())
    assert patch.json_metadata["bell_per_shot"] == 10
    assert patch.json_metadata["F"] == 1.0


def test_statistics_add_up_over_calls_of_any_size():
    made = loaded("fifo", seed=5, shots_per_timeline=300)
    compiled = made.compiled_sampler_for_task(task(rotated_surface_code(3, 6, p=0.004)))
    rows = [compiled.sample(size) for size in (1, 2, 100, 500, 500, 20)]
    total = sum(rows[1:], rows[0])
    assert [each.shots for each in rows] == [1, 2, 100, 197, 300, 20]
    assert total.custom_counts["timelines"] == 3
    assert total.custom_counts["cluster_shots_sq"] == 300**2 + 300**2 + 20**2
    first, second, third = sum(each.errors for each in rows[:4]), rows[4].errors, rows[5].errors
    assert total.custom_counts["cluster_errors_sq"] == first**2 + second**2 + third**2
    assert total.custom_counts["cluster_shots_errors"] == 300 * first + 300 * second + 20 * third
    assert total.custom_counts["frames"] == 3 * 3 * 6
    assert Clusters.from_counts(total.shots, total.errors, total.custom_counts).estimate().stderr > 0


def test_one_seed_gives_the_same_statistics():
    def errors(seed):
        compiled = loaded("fifo", seed=seed).compiled_sampler_for_task(task(rotated_surface_code(3, 6, p=0.01)))
        return [compiled.sample(300).errors for _ in range(3)]

    assert errors(1) == errors(1) != errors(2)


def test_the_closed_mode_and_pairs_are_counted():
    made = sampler(window=(2, 1), mode="closed", seed=1)
    stats = made.compiled_sampler_for_task(
        task(DistributedSurfaceCode(distance=3, rounds=4, p=0.002).experiment())
    ).sample(50)
    assert stats.shots == 50
    assert stats.custom_counts["bell_used"] == 50 * 4 * 5
    with pytest.raises(InvalidValue, match="mode"):
        sampler(mode="open")


def test_samplers_survive_the_way_to_a_worker():
    made = pickle.loads(pickle.dumps(loaded("fabric", seed=3)))  # noqa: S301 - our own bytes
    before = loaded("fabric", seed=3).compiled_sampler_for_task(task(rotated_surface_code(3, 3, p=0.01))).sample(500)
    after = made.compiled_sampler_for_task(task(rotated_surface_code(3, 3, p=0.01))).sample(500)
    assert (before.errors, before.custom_counts) == (after.errors, after.custom_counts)


def test_the_ideal_loop_has_neither_fabric_nor_delay():
    found = ideal(loaded("fifo", window=(3, 3)).loop)
    assert found.transport.fabric is None
    assert found.window == (3, 3)
    assert not found.chancy


def test_sinter_collects_and_reads_its_own_file(tmp_path):
    path = tmp_path / "out.csv"
    found = sinter.collect(
        num_workers=1,
        tasks=[task(rotated_surface_code(3, 3, p=0.01), decoder=name) for name in ("loop", "pymatching")],
        custom_decoders={"loop": sampler(window=(3, 3))},
        max_shots=3000,
        save_resume_filepath=path,
    )
    row, plain = sorted(sinter.read_stats_from_csv_files(path), key=lambda each: each.decoder)
    mine = next(each for each in found if each.decoder == "loop")
    assert mine.shots == plain.shots == 3000
    assert (row.errors, row.custom_counts) == (mine.errors, mine.custom_counts)
    assert row.errors / row.shots == pytest.approx(plain.errors / plain.shots, abs=0.016)
