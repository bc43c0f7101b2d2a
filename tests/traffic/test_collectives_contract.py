"""One suite over every registered collective algorithm: what it moves, how much, and when."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from hyperfabric_q.errors import InvalidValue, UnknownName
from hyperfabric_q.scheduling.channel import Channel
from hyperfabric_q.scheduling.kernel import Kernel
from hyperfabric_q.traffic.collectives import (
    ALGORITHMS,
    Collective,
    Nics,
    Running,
    endpoint_bound_ps,
    reduce,
    schedule_of,
    schedule_timing,
)
from hyperfabric_q.traffic.collectives.schedule import slice_edges

CASES = [(algorithm, collective) for algorithm in ALGORITHMS for collective in Collective]


def racks_of(ranks, seed):
    """Racks of unequal sizes, their ranks in no order."""
    rng = np.random.default_rng([ranks, seed])
    count = int(rng.integers(1, min(ranks, 4) + 1))
    cuts = np.sort(rng.choice(np.arange(1, ranks), count - 1, replace=False)) if count > 1 else []
    return [part.tolist() for part in np.split(rng.permutation(ranks), cuts)]


def replay(plan, vectors, elements):
    """Move the elements of real vectors step by step, with nothing used before the step that waits for it."""
    edges = plan.edges(elements)
    state = [vector.copy() for vector in vectors]
    coming, applied = [], 0
    steps = list(plan.steps())
    for step in [*steps, None]:
        for combines, moves in coming[applied : step.waits if step else None]:
            for target, first, end, payload in moves:
                state[target][first:end] = (state[target][first:end] if combines else 0) + payload
        if step is None:
            break
        assert applied <= step.waits <= len(coming), "a step waits for no less than the one before, and not for itself"
        applied = step.waits
        source, target, first, end = (column.tolist() for column in step.sends)
        assert len(set(source)) == len(source), "a rank sends once in a step"
        assert len(set(target)) == len(target), "a rank receives once in a step"
        moves = []
        for a, b, low, high in zip(source, target, first, end, strict=True):
            assert a != b
            assert 0 <= low <= high <= plan.blocks
            moves.append((b, edges[low], edges[high], state[a][edges[low] : edges[high]].copy()))
        coming.append((step.combines, moves))
    return state


def in_blocks(plan, vector):
    """A vector with its slices in the order of the blocks."""
    edges = slice_edges(len(vector), plan.blocks)
    return np.concatenate([vector[edges[s] : edges[s + 1]] for s in plan.slices or range(plan.blocks)])


@pytest.mark.parametrize(("algorithm", "collective"), CASES)
@pytest.mark.parametrize("ranks", [*range(1, 10), 12, 16])
def test_every_rank_ends_with_what_the_collective_promises(algorithm, collective, ranks):
    for seed, elements in enumerate((1, ranks, 5 * ranks + 3, 97)):
        rng = np.random.default_rng([ranks, elements])
        root = int(rng.integers(ranks))
        racks = None if seed == 0 else racks_of(ranks, seed)
        plan = schedule_of(collective, algorithm, ranks, root=root, racks=racks)
        vectors = [rng.integers(-1000, 1000, elements) for _ in range(ranks)]
        start = [in_blocks(plan, vector) for vector in vectors]
        own = slice_edges(elements, ranks)
        if collective is Collective.ALL_GATHER:
            whole = vectors[0]
            start = []
            for rank in range(ranks):
                mine = np.full(elements, 10**6)
                mine[own[rank] : own[rank + 1]] = whole[own[rank] : own[rank + 1]]
                start.append(in_blocks(plan, mine))
        end = replay(plan, start, elements)
        total = sum(vectors)
        for rank in range(ranks):
            if collective is Collective.REDUCE_SCATTER:
                block = list(plan.slices or range(ranks)).index(rank)
                edges = plan.edges(elements)
                assert (end[rank][edges[block] : edges[block + 1]] == total[own[rank] : own[rank + 1]]).all()
                continue
            expected = {
                Collective.ALL_REDUCE: total,
                Collective.BROADCAST: vectors[root],
                Collective.ALL_GATHER: vectors[0],
            }[collective]
            assert (end[rank] == in_blocks(plan, expected)).all()


@pytest.mark.parametrize(("algorithm", "collective"), CASES)
@pytest.mark.parametrize("ranks", [1, 2, 3, 5, 8, 9])
def test_bytes_are_conserved_and_not_fewer_than_possible(algorithm, collective, ranks):
    nbytes = 1001
    plan = schedule_of(collective, algorithm, ranks, root=ranks - 1, racks=racks_of(ranks, 1))
    timing = schedule_timing(plan, nbytes, Nics.of([20] * ranks, latency_ps=7))
    moved = int(timing.sent_bytes.sum())
    least = (ranks - 1) * nbytes * (2 if collective is Collective.ALL_REDUCE else 1)
    assert moved == timing.received_bytes.sum() >= least
    busiest = max(timing.sent_bytes.max(), timing.received_bytes.max())
    assert busiest * ranks >= least
    if algorithm in {"ring", "direct"}:
        assert moved == least


@pytest.mark.parametrize(("algorithm", "collective"), CASES)
@pytest.mark.parametrize("seed", range(4))
def test_no_schedule_beats_the_bound_of_its_ends(algorithm, collective, seed):
    rng = np.random.default_rng(seed)
    ranks = int(rng.integers(1, 20))
    rates = [Fraction(8000, int(g)) for g in rng.integers(10, 400, 2 * ranks)]
    nics = Nics.of(rates[:ranks], rates[ranks:], latency_ps=rng.integers(0, 1000, ranks))
    root, nbytes = int(rng.integers(ranks)), int(rng.integers(1, 10**6))
    plan = schedule_of(collective, algorithm, ranks, root=root, racks=racks_of(ranks, seed))
    timing = schedule_timing(plan, nbytes, nics)
    assert timing.duration_ps >= endpoint_bound_ps(collective, nbytes, nics, root=root)
    assert timing.sending_ps.max() <= timing.duration_ps
    assert timing.receiving_ps.max() <= timing.duration_ps


def on_kernel(plan, nbytes, nics):
    """Completion per rank by the event kernel; every rank has one cut-through channel out and one in."""
    kernel = Kernel()
    for direction in (nics.sending, nics.receiving):
        for rate in direction:
            kernel.add(Channel(source="a", target="b", ps_per_byte=rate, chunk=1000, store_and_forward=False))

    def route(a, b):
        delay = int(nics.latency(np.array([a]), np.array([b]))[0])
        return (a, plan.ranks + b), (0, delay)

    running = Running(kernel, plan, nbytes, route)
    kernel.run()
    assert running.missing == 0
    busy = [sum(server.busy_ps) for server in kernel.servers]
    return running.completion_ps, busy[: plan.ranks], busy[plan.ranks :]


@pytest.mark.parametrize(("algorithm", "collective"), CASES)
@pytest.mark.parametrize("ranks", [1, 2, 5, 8, 11])
def test_equal_ends_take_the_same_time_in_the_kernel(algorithm, collective, ranks):
    for nbytes in (1, ranks, 12_347, 40 * ranks):
        nics = Nics.of([Fraction(50, 3)] * ranks, latency_ps=1234)
        plan = schedule_of(collective, algorithm, ranks, racks=racks_of(ranks, 2))
        timing = schedule_timing(plan, nbytes, nics)
        completion, sending, receiving = on_kernel(plan, nbytes, nics)
        assert timing.completion_ps.tolist() == completion
        assert timing.sending_ps.tolist() == sending
        assert timing.receiving_ps.tolist() == receiving


@pytest.mark.parametrize("seed", range(12))
def test_unequal_ends_take_the_same_time_in_the_kernel(seed):
    """Step by step where messages come in order, one by one where they overtake each other; both ways occur."""
    ways = set()
    rng = np.random.default_rng(seed)
    ranks = int(rng.integers(3, 10))
    rates = [8000 / Fraction(str(g)) for g in rng.uniform(50, 400, 2 * ranks)]
    nics = Nics.of(rates[:ranks], rates[ranks:], latency_ps=rng.integers(0, 200_000, (ranks, ranks)))
    nbytes = int(rng.integers(1, 200_000))
    for algorithm, collective in CASES:
        plan = schedule_of(collective, algorithm, ranks, root=int(rng.integers(ranks)), racks=racks_of(ranks, seed))
        ways.add(schedule_timing(plan, nbytes, nics, approximate=True).exact)
        timing = schedule_timing(plan, nbytes, nics)
        assert timing.exact
        assert timing.completion_ps.tolist() == on_kernel(plan, nbytes, nics)[0], (algorithm, collective)
    assert ways == {True, False}


@pytest.mark.parametrize("seed", [*range(6), 85, 103, 150, 1242, 1372, 1472])
def test_ties_between_messages_are_broken_as_in_the_kernel(seed):
    """Few rates and no latency: messages reach a receiver at the same picosecond; late seeds are where it matters."""
    rng = np.random.default_rng(seed)
    ranks = int(rng.integers(3, 14))
    sending, receiving = rng.choice([10, 20, 30, 40], ranks).tolist(), rng.choice([5, 10, 20], ranks).tolist()
    nics = Nics.of(sending, receiving, latency_ps=0)
    nbytes = int(rng.choice([12 * ranks, 6 * ranks + 1, 37]))
    racks = [part.tolist() for part in np.array_split(rng.permutation(ranks), int(rng.integers(1, 4)))]
    for algorithm, collective in CASES:
        plan = schedule_of(collective, algorithm, ranks, racks=racks)
        timing = schedule_timing(plan, nbytes, nics)
        assert timing.completion_ps.tolist() == on_kernel(plan, nbytes, nics)[0], (algorithm, collective)


@pytest.mark.parametrize("algorithm", list(ALGORITHMS))
def test_real_sums_are_the_same_to_the_last_bit_whatever_the_algorithm(algorithm):
    rng = np.random.default_rng(1)
    arrays = [(rng.normal(size=(7, 5)) * 10.0 ** rng.integers(-8, 8, (7, 5))).astype(np.float32) for _ in range(6)]
    expected = arrays[0]
    for array in arrays[1:]:
        expected = expected + array
    for result in reduce(schedule_of("all_reduce", algorithm, 6), arrays):
        assert result.tobytes() == expected.tobytes()
    slices = reduce(schedule_of("reduce_scatter", algorithm, 6), arrays)
    assert np.concatenate(slices).tobytes() == expected.tobytes()
    for result in reduce(schedule_of("all_gather", algorithm, 6), slices):
        assert result.tobytes() == expected.tobytes()
    for result in reduce(schedule_of("broadcast", algorithm, 6, root=3), arrays):
        assert result.tobytes() == arrays[3].tobytes()


def test_results_of_real_collectives_cannot_be_written_and_inputs_stay():
    arrays = [np.arange(4.0), np.ones(4)]
    (result, other) = reduce(schedule_of("all_reduce", "ring", 2), arrays)
    assert np.shares_memory(result, other)
    with pytest.raises(ValueError, match="read-only"):
        result[0] = 1
    arrays[0][0] = 9
    assert result[0] == 1.0


@pytest.mark.parametrize(
    ("arrays", "field"),
    [
        ([np.ones(3)], "arrays"),
        ([np.ones(3), np.ones(4)], "arrays\\[1\\]"),
        ([np.ones(3), np.ones(3, dtype=np.float32)], "arrays\\[1\\]"),
    ],
)
def test_arrays_that_do_not_fit_together_are_refused(arrays, field):
    with pytest.raises(InvalidValue, match=field):
        reduce(schedule_of("all_reduce", "ring", 2), arrays)


def test_slices_that_are_not_the_ranks_own_are_refused():
    with pytest.raises(InvalidValue, match="slice i"):
        reduce(schedule_of("all_gather", "ring", 2), [np.ones(3), np.ones(1)])


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ({"collective": "all_to_all"}, "all_to_all"),
        ({"ranks": 0}, "ranks"),
        ({"root": 4}, "root"),
        ({"root": -1}, "root"),
        ({"racks": [[0, 1], [1, 2, 3]]}, "racks"),
        ({"racks": [[0, 1]]}, "racks"),
    ],
)
def test_impossible_groups_are_refused(asked, field):
    given = {"collective": "all_reduce", "algorithm": "ring", "ranks": 4, **asked}
    with pytest.raises(InvalidValue, match=field):
        schedule_of(**given)


def test_an_unknown_algorithm_is_refused_with_the_nearest_name():
    with pytest.raises(UnknownName, match="halving_doubling"):
        schedule_of("all_reduce", "halving_dubling", 4)
