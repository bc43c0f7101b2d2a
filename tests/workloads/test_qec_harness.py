"""Results files that grow in parts, and what they say."""

import csv
import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pymatching
import pytest
import sinter
import stim
from scipy.stats import beta

from hyperfabric_q.errors import InvalidValue, UnknownName
from hyperfabric_q.workloads.qec import collecting, public
from hyperfabric_q.workloads.qec.collecting import Job, collect, known
from hyperfabric_q.workloads.qec.decoders import Fixed
from hyperfabric_q.workloads.qec.latencies import latencies, waiting_windows
from hyperfabric_q.workloads.qec.loop import Loop, timelines_of
from hyperfabric_q.workloads.qec.memories import Memory, memories
from hyperfabric_q.workloads.qec.one_link import one_link
from hyperfabric_q.workloads.qec.outcomes import Outcome, outcomes, taxes
from hyperfabric_q.workloads.qec.records import composed
from hyperfabric_q.workloads.qec.sampler import sampler


def jobs(*, loads=(), p=0.01, **more):
    experiment = Memory(p=p).experiment()
    loops = [Loop()] + [
        Loop(transport=one_link(100.0, blocks=3, load=load, policy="fifo", deadline_us=10.0)) for load in loads
    ]
    return [Job(experiment=experiment, loop=loop, **more) for loop in loops]


def told(stats):
    return [(each.strong_id, each.shots, each.errors, sorted(each.custom_counts.items())) for each in stats]


@pytest.fixture
def small_parts(monkeypatch):
    monkeypatch.setattr(collecting, "PART", 400)


# ----------------------------------------------------------------------------------------------------------- collecting


def test_rates_are_those_of_plain_stim_and_pymatching():
    shots, memory = 20_000, Memory(distance=3, p=0.006)
    plain = stim.Circuit.generated(
        "surface_code:rotated_memory_z",
        distance=3,
        rounds=9,
        after_clifford_depolarization=0.006,
        before_round_data_depolarization=0.006,
        before_measure_flip_probability=0.006,
        after_reset_flip_probability=0.006,
    )
    events, flips = plain.compile_detector_sampler(seed=4).sample(shots, separate_observables=True)
    matching = pymatching.Matching.from_detector_error_model(plain.detector_error_model(decompose_errors=True))
    wanted = np.any(matching.decode_batch(events) != flips, axis=1).mean()
    found = collect([Job(experiment=memory.experiment(), loop=Loop())], shots=shots, seed=1)[0]
    assert found.shots == shots
    assert abs(found.errors / shots - wanted) < 4 * np.sqrt(2 * wanted * (1 - wanted) / shots)


@pytest.mark.usefixtures("small_parts")
def test_a_run_in_pieces_gives_the_rows_of_a_run_in_one_go(tmp_path):
    whole = collect(jobs(loads=(0.6,), timelines=2), shots=1000, seed=5)
    file = tmp_path / "f.csv"
    collect(jobs(), shots=400, seed=5, out=file)
    collect(jobs(loads=(0.6,), timelines=2), shots=800, seed=5, out=file)
    last = collect(jobs(loads=(0.6,), timelines=2), shots=1000, seed=5, out=file)
    assert told(last) == told(whole)
    assert told(sorted(known(file), key=lambda each: each.strong_id)) == sorted(told(whole))
    before = file.read_bytes()
    assert told(collect(jobs(loads=(0.6,), timelines=2), shots=900, seed=6, out=file)) == told(whole)
    assert file.read_bytes() == before


@pytest.mark.usefixtures("small_parts")
def test_workers_change_nothing(tmp_path):
    alone, together = tmp_path / "a.csv", tmp_path / "b.csv"
    collect(jobs(), shots=2000, seed=5, out=alone)
    collect(jobs(), shots=2000, seed=5, out=together, workers=2)

    def rows(file):
        with file.open(newline="") as text:
            return [[each for at, each in enumerate(row) if at != 3] for row in csv.reader(text)]

    assert rows(alone) == rows(together)
    assert len(rows(alone)) == 1 + 5
    other = tmp_path / "c.csv"
    collect(jobs(), shots=2000, seed=6, out=other)
    assert rows(other) != rows(alone)


@pytest.mark.usefixtures("small_parts")
def test_a_line_that_a_crash_cut_off_is_taken_again(tmp_path):
    file = tmp_path / "f.csv"
    whole = collect(jobs(), shots=1200, seed=5, out=file)
    text = file.read_text()
    file.write_text(text[:-40])
    assert known(file)[0].shots == 800
    assert told(collect(jobs(), shots=1200, seed=5, out=file)) == told(whole)
    assert len(file.read_text().splitlines()) == len(text.splitlines())


@pytest.mark.parametrize("content", ["no,results\n1,2\n", "just words", "shots,errors,strong_id,json_metadata\n1,x\n"])
def test_a_file_of_something_else_is_refused_and_left_alone(tmp_path, content):
    file = tmp_path / "f.csv"
    file.write_text(content)
    with pytest.raises(InvalidValue, match="results of sinter"):
        collect(jobs(), shots=10, seed=1, out=file)
    assert file.read_text() == content


def test_what_cannot_be_collected_is_refused(tmp_path):
    with pytest.raises(InvalidValue, match="no folder"):
        collect(jobs(), shots=10, out=tmp_path / "none" / "f.csv")
    with pytest.raises(InvalidValue, match="at least one of each"):
        collect(jobs(), shots=0)
    with pytest.raises(InvalidValue, match="the same"):
        collect(jobs() * 2, shots=10)
    with pytest.raises(InvalidValue, match="backend"):
        jobs(backend="hardware")


@pytest.mark.usefixtures("small_parts")
def test_progress_counts_shots():
    heard = []
    collect(jobs(), shots=1000, seed=1, progress=lambda *each: heard.append(each))
    assert [done for done, total, what in heard] == [0, 400, 800, 1000]
    assert {each[1:] for each in heard} == {(1000, "shots")}


def test_sinter_goes_on_where_we_stopped_and_combines_and_plots(tmp_path):
    file = tmp_path / "f.csv"
    job = jobs()[0]
    mine = collect([job], shots=2000, seed=1, out=file)[0]
    found = sinter.collect(
        num_workers=1,
        tasks=[job.task()],
        save_resume_filepath=file,
        max_shots=2000,
        custom_decoders={"matching": sampler()},
    )
    assert [(each.strong_id, each.shots, each.errors) for each in found] == [(mine.strong_id, 2000, mine.errors)]
    command = [Path(sys.executable).parent / "sinter"]
    combined = subprocess.run([*command, "combine", file], capture_output=True, text=True, check=True)
    assert len(combined.stdout.splitlines()) == 2
    picture = tmp_path / "f.png"
    shape = ["--x_func", "m.p", "--group_func", "f'd={m.d}'", "--failure_unit_name", "round"]
    units = ["--failure_units_per_shot_func", "m.r"]
    subprocess.run(
        [*command, "plot", "--in", file, *shape, *units, "--out", picture],
        capture_output=True,
        check=True,
        env={"MPLBACKEND": "agg", "PATH": ""},
    )
    assert picture.stat().st_size > 1000


@pytest.mark.usefixtures("small_parts")
def test_a_decoder_that_is_too_slow_is_warned_of_once():
    slow = Job(experiment=Memory().experiment(), loop=Loop(window=(3, 3), service=Fixed(6600.0)))
    with pytest.warns(Warning, match="utilisation 2") as told:
        collect([slow], shots=1000, seed=1)
    assert len(told) == 1


@pytest.mark.parametrize("backend", ["closed", "aer"])
def test_all_backends_write_the_same_kind_of_row(backend):
    memory = Memory(code="repetition", p=0.02, rounds_per_distance=1, bell_fidelity=0.9)
    made = [Job(experiment=memory.experiment(), loop=Loop(), backend=each) for each in ("frame", backend)]
    frame, other = collect(made, shots=1500, seed=2)
    assert other.json_metadata["backend"] == backend
    assert other.custom_counts["bell_used"] == 1500 * 3
    share = (frame.errors + other.errors) / 3000
    assert abs(frame.errors - other.errors) / 1500 < 4 * np.sqrt(2 * share * (1 - share) / 1500)


# ------------------------------------------------------------------------------------------------------------- memories


def test_codes_over_pairs_use_one_pair_per_crossing_gate():
    surface = Memory(distance=3, bell_fidelity=0.9).experiment()
    assert len(surface.links) == 9 * (2 * 3 - 1)
    assert surface.metadata["p"] == 0.001
    chain = Memory(code="repetition", distance=5, rounds_per_distance=2, bell_fidelity=0.9).experiment()
    assert len(chain.links) == 10
    assert chain.rounds == 10
    assert chain.metadata["p"] == 0.001
    assert {use.weights[0] for use in chain.links} == {0.9}
    assert Memory(distance=3).experiment(4).rounds == 4


def test_worse_pairs_fail_more_often():
    grid = memories(distances=(3,), ps=(0.002,), bell_fidelities=(0.99, 0.85))
    better, worse = collect([Job(experiment=each.experiment(), loop=Loop()) for each in grid], shots=20_000, seed=1)
    assert worse.errors > 3 * better.errors
    assert better.json_metadata["F"] == pytest.approx(0.99)


def test_grids_are_read_row_by_row():
    grid = memories(distances=(3, 5), ps=(0.1, 0.2), bell_fidelities=(0.9, 0.8), like=Memory(basis="X"))
    assert [(each.bell_fidelity, each.p, each.distance) for each in grid[:3]] == [
        (0.9, 0.1, 3),
        (0.9, 0.1, 5),
        (0.9, 0.2, 3),
    ]
    assert len(grid) == 8
    assert {each.basis for each in grid} == {"X"}


def test_memories_that_cannot_be_are_refused():
    with pytest.raises(UnknownName, match="rotated_surface"):
        Memory(code="rotated_surfaces")
    with pytest.raises(InvalidValue, match="bell_fidelity"):
        Memory(bell_fidelity=0.2)
    with pytest.raises(InvalidValue, match="rounds_per_distance"):
        Memory(rounds_per_distance=0)
    with pytest.raises(InvalidValue, match="distance"):
        Memory(distance=1)


# ------------------------------------------------------------------------------------------------------------- outcomes


def row(shots, errors, counts=None, **record):
    return sinter.TaskStats(
        strong_id=f"{shots}{errors}{json.dumps(record)}",
        decoder="matching",
        json_metadata={"r": 5, "link_gbps": None, **record},
        shots=shots,
        errors=errors,
        custom_counts=Counter(counts or {}),
    )


def clustered(shots, errors):
    n, k = np.array(shots), np.array(errors)
    return {
        "timelines": len(n),
        "cluster_shots_sq": int(n @ n),
        "cluster_errors_sq": int(k @ k),
        "cluster_shots_errors": int(n @ k),
    }


def test_without_timelines_the_interval_is_that_of_jeffreys():
    found = Outcome.of(row(1000, 30))
    low, high = found.interval()
    assert composed(low, 5) == pytest.approx(beta.ppf(0.025, 30.5, 970.5))
    assert composed(high, 5) == pytest.approx(beta.ppf(0.975, 30.5, 970.5))
    assert composed(found.per_round.value, 5) == pytest.approx(0.03)
    assert low < found.per_round.value < high
    never = Outcome.of(row(1000, 0))
    assert never.interval()[0] == 0
    assert never.interval()[1] > 0


def test_shots_that_share_their_timeline_count_as_one():
    """All shots of a timeline fail together, so ten timelines tell as much as ten shots."""
    shots, errors = [500] * 40, [500] * 8 + [0] * 32
    found = Outcome.of(row(20_000, 4000, clustered(shots, errors), r=1))
    assert found.per_shot.stderr == pytest.approx(np.sqrt(0.2 * 0.8 / 39), rel=1e-3)
    low, high = found.interval()
    assert high - low == pytest.approx(2 * 1.96 * np.sqrt(0.2 * 0.8 / 39), rel=0.02)


def test_the_cluster_robust_interval_covers_and_the_naive_one_does_not():
    rng = np.random.default_rng(3)
    timelines, shots, truth, trials = 24, 200, 0.1, 400
    covered = naive = 0
    for _ in range(trials):
        chances = rng.beta(2, 18, timelines)  # mean 0.1, as a queue that is sometimes long
        errors = rng.binomial(shots, chances)
        total = int(errors.sum())
        robust = Outcome.of(row(timelines * shots, total, clustered([shots] * timelines, errors), r=1)).interval()
        plain = Outcome.of(row(timelines * shots, total, r=1)).interval()
        covered += robust[0] <= truth <= robust[1]
        naive += plain[0] <= truth <= plain[1]
    assert covered / trials > 0.88
    assert naive / trials < 0.6


def test_the_tax_is_the_ratio_to_the_same_experiment_alone():
    loaded = row(10_000, 600, link_gbps=100.0, load=0.8, policy="fifo", d=5)
    rows = [row(10_000, 200, load=0, policy="fabric", d=5), row(10_000, 500, load=0, policy="fabric", d=3), loaded]
    (tax,) = taxes(outcomes(rows))
    assert tax.loaded.record["load"] == 0.8
    assert tax.ideal.clusters.errors == 200
    assert tax.ratio.value == pytest.approx(3.0, rel=0.05)
    assert tax.ratio.stderr / tax.ratio.value == pytest.approx(np.sqrt(1 / 600 + 1 / 200), rel=0.05)
    low, high = tax.interval()
    assert low < tax.ratio.value < high
    assert taxes(outcomes([row(10_000, 0, d=5), loaded])) == []


def test_missed_deadlines_are_a_share_of_all_frames():
    counts = {"frames": 200, "deadline_miss": 30}
    assert Outcome.of(row(10, 1, counts, deadline_us=10.0)).missed == 0.15
    assert Outcome.of(row(10, 1, counts, deadline_us=None)).missed is None
    assert json.loads(json.dumps(Outcome.of(row(10, 1, counts)).to_dict(), allow_nan=False))["errors"] == 1


@pytest.mark.usefixtures("small_parts")
def test_a_loaded_link_is_taxed_under_fifo():
    found = outcomes(collect(jobs(loads=(0.8,), p=0.005, timelines=4), shots=800, seed=3))
    (tax,) = taxes(found)
    assert found[1].missed > 0.5
    assert tax.ratio.value > 1.5


# ------------------------------------------------------------------------------------------------------------ latencies


def test_an_idle_link_takes_what_physics_says():
    loop = Loop(transport=one_link(100.0, latency_ns=400.0, deadline_us=20.0), window=(3, 3), service=Fixed(2000.0))
    found = latencies(Memory().experiment(), loop, seed=1)
    frame = 0.4 + 84 * 8e-5
    assert found.stages["one_way"] == pytest.approx(dict.fromkeys(["p50", "p99", "p99.9", "max"], frame))
    assert found.stages["decode"]["max"] == pytest.approx(2.0)
    assert found.stages["return"]["p50"] == pytest.approx(frame)
    assert found.stages["queue"]["max"] == 0
    assert (found.frames, found.missed, found.growing) == (9, 0, 0)
    assert found.bound_us is not None
    assert found.bound_us >= frame
    assert json.dumps(found.to_dict(), allow_nan=False)


def test_waiting_windows_are_counted_at_all_times():
    loop = Loop(transport=one_link(100.0, blocks=4), window=(1, 0), service=Fixed(500.0))
    with pytest.warns(Warning, match="slower than the rounds"):
        (timeline,) = timelines_of(Memory().experiment(), loop, 1, 2)
    times, depths = waiting_windows(timeline)
    ready, begun = timeline.windows[:, 4] / 1e6, timeline.windows[:, 5] / 1e6
    assert max(depths) >= 3
    assert depths[-1] == 0
    for at, depth in zip(times, depths, strict=True):
        assert depth == np.count_nonzero((ready <= at + 1e-9) & (begun > at + 1e-9))


# ----------------------------------------------------------------------------------------------------------------- face


def test_public_names_are_there_and_are_not_hidden_by_modules():
    for name in public.__all__:
        assert getattr(public, name) is not None
        assert name in dir(public)
    for name in ("sampler", "from_stim", "backlog", "latencies", "outcomes", "memories"):
        assert callable(getattr(public, name))
    with pytest.raises(AttributeError, match="no attribute 'samplers'"):
        _ = public.samplers


def test_the_face_loads_nothing_heavy():
    code = (
        "import sys, hyperfabric_q.workloads.qec.public\n"
        "print(sorted({'stim', 'sinter', 'pymatching', 'qiskit', 'matplotlib'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
