"""Lanes against closed forms, full enumeration, an event loop of its own, and the event engine."""

from __future__ import annotations

import heapq
import itertools
import math
import random

import numpy as np
import pytest
from scipy.stats import ks_2samp

from hyperfabric_q.entanglement import chain_events
from hyperfabric_q.entanglement.elementary import Elementary, Path, Station
from hyperfabric_q.entanglement.lanes import Lanes, simulate
from hyperfabric_q.entanglement.memory import Memory
from hyperfabric_q.errors import InvalidValue, NotEnoughCommunicationQubits, SimulationRefused, UnknownName

ATTEMPT_PS = 50_000_000
WERNER_95 = (0.95, 0.05 / 3, 0.05 / 3, 0.05 / 3)


def chain(
    success: tuple[float, ...],
    *,
    memory: Memory = Memory(),  # noqa: B008 - frozen
    weights: tuple[float, float, float, float] = WERNER_95,
    attempt_ps: int = ATTEMPT_PS,
    herald_ps: int = ATTEMPT_PS,
    delay_ps: int = 0,
    depolarising: float = 0.0,
    readout_error: float = 0.0,
    swap_ps: int = 0,
    slots: int | None = None,
) -> Path:
    stations = tuple(
        Station(
            node_id=f"s{number}",
            memory=memory,
            depolarising=depolarising,
            readout_error=readout_error,
            swap_ps=swap_ps,
            slots=slots,
        )
        for number in range(len(success) + 1)
    )
    links = tuple(
        Elementary(
            a=f"s{number}",
            b=f"s{number + 1}",
            attempt_ps=attempt_ps,
            success=each,
            herald_ps=herald_ps,
            weights=weights,
        )
        for number, each in enumerate(success)
    )
    return Path(stations=stations, links=links, delays_ps=(delay_ps,) * len(success))


def sigmas(found: np.ndarray, expected: float) -> float:
    return abs(found.mean() - expected) / (found.std(ddof=1) / math.sqrt(len(found)))


def apart(one: np.ndarray, other: np.ndarray) -> float:
    error = math.hypot(one.std(ddof=1) / math.sqrt(len(one)), other.std(ddof=1) / math.sqrt(len(other)))
    return abs(one.mean() - other.mean()) / error


# ------------------------------------------------------------------------------------------------------ exact states


@pytest.mark.parametrize(("hops", "expected"), [(1, 0.95), (2, 0.903333333333), (4, 0.819125925926), (8, 0.681872)])
@pytest.mark.parametrize("policy", ["swap_asap", "nested", "wait_for_all"])
def test_without_decoherence_every_pair_is_the_product_of_its_links(hops, expected, policy):
    made = simulate(chain((0.3,) * hops), runs=50, policy=policy, cutoff_ps=4 * ATTEMPT_PS, seed=1)
    assert np.allclose(made.fidelities, expected, rtol=0, atol=1e-6)
    assert np.ptp(made.fidelities) < 1e-12


def test_noisy_swaps_multiply_the_correlators_by_their_errors():
    made = simulate(chain((0.3,) * 4, depolarising=0.02, readout_error=0.01), runs=5, seed=1)
    w = (4 * 0.95 - 1) / 3
    one = np.array([0.98 * 0.98, 0.98 * 0.98 * 0.98, 0.98 * 0.98])
    assert np.allclose(made.correlators, w**4 * one**3, rtol=0, atol=1e-14)


@pytest.mark.parametrize(("rounds", "fidelity"), [(1, 0.964964), (2, 0.997502), (3, 0.999908)])
def test_purified_links_have_the_fidelities_of_nested_dejmps(rounds, fidelity):
    made = simulate(chain((0.5,)), runs=20_000, rounds=rounds, seed=2)
    assert np.allclose(made.fidelities, fidelity, rtol=0, atol=1e-6)


def test_raw_pairs_of_one_round_are_two_over_its_success():
    """P = (aI + aY)^2 + (aX + aZ)^2; the number of tries is geometric."""
    made = simulate(chain((0.5,)), runs=50_000, rounds=1, seed=3)
    rest = 0.05 / 3
    success = (0.95 + rest) ** 2 + (2 * rest) ** 2
    assert sigmas(made.raw_pairs, 2 / success) < 4
    assert sigmas(made.raw_attempts, 2 / success / 0.5) < 4


# ------------------------------------------------------------------------------------------------------ closed forms


def test_v10_two_arms_with_one_dephasing_half_each():
    """ReQuSim's case: 20 km arms, T = 100 ms, one stored half per arm dephases for its wait and one attempt."""
    path = chain(
        (0.8 * math.exp(-20 / 22),) * 2, weights=(1.0, 0.0, 0.0, 0.0), attempt_ps=10**8 * 2, herald_ps=10**8 * 2
    )
    ideal, middle = path.stations[0], Station(node_id="s1", memory=Memory(dephasing_ps=1e11))
    path = Path(stations=(ideal, middle, path.stations[2]), links=path.links, delays_ps=path.delays_ps)
    made = simulate(path, runs=200_000, seed=4)
    assert made.fidelity_mean() == pytest.approx(0.9955, abs=1e-3)
    p = 0.8 * math.exp(-20 / 22)
    assert sigmas(made.delivery_ps, 2e8 * (2 / p - 1 / (2 * p - p * p))) < 4
    assert made.delivery_mean_ps() == pytest.approx(871.4e6, rel=0.01)


@pytest.mark.parametrize(("hops", "attempts"), [(2, 149.749), (4, 207.790), (16, 336.880)])
def test_all_links_are_there_after_the_mean_of_the_maximum(hops, attempts):
    for policy in ("wait_for_all", "swap_asap", "nested"):
        made = simulate(chain((0.01,) * hops), runs=40_000, policy=policy, seed=5)
        assert sigmas(made.delivery_ps / ATTEMPT_PS, attempts) < 4


@pytest.mark.parametrize(
    ("success", "cutoff", "decay", "attempts", "kept"),
    [
        (0.01, 50, 0.01, 224.986, 0.80186),
        (0.1, 5, 0.05, 20.7512, 0.88722),
        (0.001, 1000, 0.001, 1790.13, 0.68387),
        (0.3, None, 0.1, 4.70588, 0.78624),
    ],
)
def test_v8_two_links_with_a_cutoff(success, cutoff, decay, attempts, kept):
    path = chain(
        (success,) * 2,
        memory=Memory(dephasing_ps=ATTEMPT_PS / decay),
        weights=(1.0, 0.0, 0.0, 0.0),
        herald_ps=0,
    )
    ideal = tuple(Station(node_id=f"s{number}") for number in (0, 2))
    path = Path(stations=(ideal[0], path.stations[1], ideal[1]), links=path.links, delays_ps=path.delays_ps)
    made = simulate(path, runs=100_000, cutoff_ps=None if cutoff is None else cutoff * ATTEMPT_PS, seed=6)
    assert sigmas(made.delivery_ps / ATTEMPT_PS, attempts) < 3
    assert sigmas(made.correlators[:, 0], kept) < 3
    if cutoff is not None:
        assert made.correlators[:, 0].min() >= math.exp(-decay * cutoff) * (1 - 1e-12)


@pytest.mark.parametrize(("hops", "exact", "sequence"), [(2, 0.903333, 0.90264), (4, 0.819126, 0.81607)])
def test_v16_chains_of_10_km_with_memories_of_a_second(hops, exact, sequence):
    """SeQUeNCe's Bell-diagonal mode; its messages take longer, so its pairs are somewhat older than ours."""
    success = (0.9 * 0.9 * 10**-0.1) ** 2 / 2
    made = simulate(
        chain((success,) * hops, memory=Memory(depolarising_ps=0.75e12), delay_ps=ATTEMPT_PS), runs=50_000, seed=7
    )
    assert made.fidelity_mean() + 10 * made.fidelity_stderr() < exact
    assert sequence - 1e-4 < made.fidelity_mean() < sequence + 2e-3


# ------------------------------------------------------------------------------------------------------- enumeration


def test_three_links_agree_with_the_sum_over_all_attempt_counts():
    success = (0.6, 0.5, 0.7)
    memory = Memory(t1_ps=40 * ATTEMPT_PS, t2_ps=30 * ATTEMPT_PS)
    path = chain(success, memory=memory, delay_ps=2 * ATTEMPT_PS, swap_ps=ATTEMPT_PS)
    mean_time = mean_fidelity = total = 0.0
    for counts in itertools.product(range(1, 25), repeat=3):
        chance = math.prod(p * (1 - p) ** (count - 1) for p, count in zip(success, counts, strict=True))
        first, second = max(counts[:2]) + 1, max(counts[1:]) + 1
        delivery = max(first, second) + 4
        stored = [(delivery, first), (first, second), (second, delivery)]
        lx = ly = lz = 1.0
        for count, (left, right) in zip(counts, stored, strict=True):
            one, other = left - count + 1, right - count + 1
            w = (4 * 0.95 - 1) / 3
            lx *= w * math.exp(-(one + other) / 30)
            ly *= w * math.exp(-(one + other) / 30)
            gone, lost = 1 - math.exp(-one / 40), 1 - math.exp(-other / 40)
            lz *= w * math.exp(-(one + other) / 40) + gone * lost
        total += chance
        mean_time += chance * delivery
        mean_fidelity += chance * (1 + lx + ly + lz) / 4
    assert total == pytest.approx(1, abs=1e-6)
    made = simulate(path, runs=200_000, seed=8)
    assert sigmas(made.fidelities, mean_fidelity) < 4
    assert sigmas(made.delivery_ps / ATTEMPT_PS, mean_time) < 4


# ------------------------------------------------------------------------------------------------- a loop of events


def joined(link: int, measured: dict[int, int]) -> set[int]:
    """The links that measured stations join to ``link``."""
    found = {link}
    while True:
        more = {
            other
            for station in measured
            for one, other in ((station - 1, station), (station, station - 1))
            if one in found
        } - found
        if not more:
            return found
        found |= more


def one_run(path: Path, waits_for: dict[int, set[int]], cutoff_ps: int | None, dice: random.Random):
    """One run, event by event: (delivery, storage of both halves per link, heralds); ties: heralds, then cutoffs."""
    hops = path.hops
    queue: list[tuple[int, int, int, int]] = []
    life, heralds = [0] * hops, 0
    born: dict[int, int] = {}
    measured: dict[int, int] = {}

    def attempt(link: int, now: int) -> None:
        made = path.links[link]
        count = 1
        while dice.random() >= made.success:
            count += 1
        heapq.heappush(queue, (now + count * made.attempt_ps + made.tail_ps, 0, link, life[link]))

    for link in range(hops):
        attempt(link, 0)
    while True:
        now, kind, link, which = heapq.heappop(queue)
        if which != life[link]:
            continue
        if kind == 0:
            heralds += 1
            born[link] = now - path.links[link].herald_ps
            if cutoff_ps is not None:
                heapq.heappush(queue, (now + cutoff_ps, 1, link, which))
            for station, needed in waits_for.items():
                if station not in measured and needed <= born.keys():
                    measured[station] = now + path.stations[station].swap_ps
            if len(measured) == hops - 1 and len(born) == hops:
                break
        else:
            lost = joined(link, measured)
            for station in [each for each in measured if each in lost or each - 1 in lost]:
                del measured[station]
            for each in sorted(lost):
                life[each] += 1
                del born[each]
                attempt(each, now)
    delivery = now
    for station, end in measured.items():
        delivery = max(delivery, end + max(sum(path.delays_ps[:station]), sum(path.delays_ps[station:])))
    ends = {0: delivery, **measured, hops: delivery}
    return delivery, [(ends[link] - born[link], ends[link + 1] - born[link]) for link in range(hops)], heralds


WAITS = {
    "swap_asap": {1: {0, 1}, 2: {1, 2}, 3: {2, 3}},
    "nested": {1: {0, 1}, 2: {0, 1, 2, 3}, 3: {2, 3}},
    "wait_for_all": {station: {0, 1, 2, 3} for station in (1, 2, 3)},
}


@pytest.mark.parametrize("policy", list(WAITS))
@pytest.mark.parametrize("cutoff", [None, 6])
def test_lanes_agree_with_a_loop_of_events(policy, cutoff):
    path = chain(
        (0.2, 0.3, 0.25, 0.4),
        memory=Memory(depolarising_ps=20 * ATTEMPT_PS),
        herald_ps=ATTEMPT_PS * 2,
        delay_ps=ATTEMPT_PS // 2,
        swap_ps=ATTEMPT_PS // 5,
    )
    cutoff_ps = None if cutoff is None else cutoff * ATTEMPT_PS
    dice = random.Random(9)  # noqa: S311 - a simulation
    rows = [one_run(path, WAITS[policy], cutoff_ps, dice) for _ in range(4_000)]
    w = ((4 * 0.95 - 1) / 3) ** 4
    stored = np.array([sum(map(sum, halves)) for _, halves, _ in rows])
    fidelities = (1 + 3 * w * np.exp(-stored / (20 * ATTEMPT_PS))) / 4
    made = simulate(path, runs=30_000, policy=policy, cutoff_ps=cutoff_ps, seed=10)
    assert ks_2samp(made.delivery_ps, [row[0] for row in rows]).pvalue > 1e-3
    assert ks_2samp(made.fidelities.round(9), fidelities.round(9)).pvalue > 1e-3
    assert apart(made.fidelities, fidelities) < 4
    if cutoff is None:
        assert (made.raw_pairs == 4).all()
    else:
        assert apart(made.raw_pairs, np.array([row[2] for row in rows])) < 4


@pytest.mark.parametrize(("policy", "cutoff", "rounds"), [("swap_asap", 8, 0), ("nested", None, 1)])
def test_v13_lanes_agree_with_the_event_engine(policy, cutoff, rounds):
    path = chain(
        (0.2, 0.3, 0.25, 0.4),
        memory=Memory(t1_ps=80 * ATTEMPT_PS, t2_ps=60 * ATTEMPT_PS),
        weights=(0.9, 0.05, 0.02, 0.03),
        herald_ps=ATTEMPT_PS * 2,
        delay_ps=ATTEMPT_PS // 2,
        depolarising=0.01,
        readout_error=0.02,
        swap_ps=ATTEMPT_PS // 5,
    )
    asked = {"policy": policy, "cutoff_ps": None if cutoff is None else cutoff * ATTEMPT_PS, "rounds": rounds}
    events = chain_events.simulate(path, runs=400 if rounds else 2_000, seed=11, **asked)
    made = simulate(path, runs=30_000, seed=11, **asked)
    assert ks_2samp(made.delivery_ps, events.delivery_ps).pvalue > 1e-3
    assert apart(made.fidelities, (1 + events.correlators.sum(axis=1)) / 4) < 4
    if cutoff or rounds:
        assert apart(made.raw_pairs, events.raw_pairs) < 4


# --------------------------------------------------------------------------------------------------------- properties


def same(one: Lanes, other: Lanes, runs: int) -> bool:
    pairs = (
        (one.delivery_ps, other.delivery_ps),
        (one.correlators, other.correlators),
        (one.raw_attempts, other.raw_attempts),
        (one.raw_pairs, other.raw_pairs),
    )
    return all(np.array_equal(a[:runs], b[:runs]) for a, b in pairs)


@pytest.mark.parametrize(("cutoff_ps", "rounds"), [(None, 0), (10 * ATTEMPT_PS, 0), (20 * ATTEMPT_PS, 2)])
def test_the_same_seed_gives_the_same_lanes(cutoff_ps, rounds):
    path = chain((0.2,) * 3, memory=Memory(t2_ps=1e10))
    made = [simulate(path, runs=500, cutoff_ps=cutoff_ps, rounds=rounds, seed=seed) for seed in (12, 12, 13)]
    assert same(made[0], made[1], 500)
    assert not np.array_equal(made[0].delivery_ps, made[2].delivery_ps)


def test_fewer_runs_are_the_first_of_more():
    path = chain((0.05,) * 3, memory=Memory(t2_ps=1e10))
    assert same(simulate(path, runs=20_000, seed=14), simulate(path, runs=9_000, seed=14), 9_000)


def test_a_link_draws_the_same_whatever_other_links_do():
    one, other = (simulate(chain((0.05, p)), runs=100, policy="swap_asap", seed=15) for p in (1.0, 0.999))
    assert np.mean(one.delivery_ps == other.delivery_ps) > 0.9


def test_attempts_add_up_to_the_time_of_a_single_link():
    made = simulate(chain((0.1,), herald_ps=ATTEMPT_PS * 3), runs=1_000, seed=16)
    assert np.array_equal(made.delivery_ps, made.raw_attempts * ATTEMPT_PS + 2 * ATTEMPT_PS)


@pytest.mark.parametrize("policy", list(WAITS))
def test_nothing_is_faster_than_light(policy):
    """The first herald takes an attempt and its way; outcomes of the first station go to the other end of the path."""
    path = chain((0.9,) * 4, herald_ps=ATTEMPT_PS * 2, delay_ps=70_000_000, swap_ps=1_000)
    made = simulate(path, runs=5_000, policy=policy, seed=17)
    least = 2 * ATTEMPT_PS + 1_000 + 3 * 70_000_000
    assert made.delivery_ps.min() == least
    assert (made.delivery_ps >= least).all()


def test_certain_links_deliver_at_once_and_wait_for_nothing():
    made = simulate(chain((1.0,) * 3), runs=10, cutoff_ps=0, seed=18)
    assert (made.delivery_ps == ATTEMPT_PS).all()
    assert (made.raw_attempts == 3).all()


def test_a_longer_cutoff_gives_older_pairs_sooner():
    path = chain((0.05,) * 4, memory=Memory(t2_ps=1e10))
    made = [simulate(path, runs=4_000, cutoff_ps=n * ATTEMPT_PS, seed=19) for n in (15, 30, 60, 1000)]
    fidelities, times = ([f(each) for each in made] for f in (Lanes.fidelity_mean, Lanes.delivery_mean_ps))
    assert fidelities == sorted(fidelities, reverse=True)
    assert times == sorted(times, reverse=True)


def test_figures_are_means_and_standard_errors():
    made = simulate(chain((0.1,) * 2, memory=Memory(t2_ps=1e11)), runs=1_000, seed=20)
    assert len(made) == 1_000
    assert made.fidelity_mean() == pytest.approx(np.mean((1 + made.correlators.sum(axis=1)) / 4))
    assert made.fidelity_stderr() == pytest.approx(np.std(made.fidelities, ddof=1) / math.sqrt(1_000))
    assert made.delivery_stderr_ps() == pytest.approx(np.std(made.delivery_ps, ddof=1) / math.sqrt(1_000))
    assert made.pairs_per_second() == pytest.approx(1e12 / made.delivery_ps.mean())
    assert math.isnan(simulate(chain((0.1,)), runs=1, seed=20).fidelity_stderr())


def test_results_are_read_only():
    made = simulate(chain((0.5,) * 2), runs=3, seed=21)
    for array in (made.delivery_ps, made.correlators, made.raw_attempts, made.raw_pairs):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0


# ---------------------------------------------------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ({"runs": 0}, "runs"),
        ({"runs": 10**9}, "runs"),
        ({"runs": 2.5}, "runs"),
        ({"runs": True}, "runs"),
        ({"runs": 1, "cutoff_ps": -1}, "cutoff_ps"),
        ({"runs": 1, "cutoff_ps": 1.5}, "cutoff_ps"),
        ({"runs": 1, "rounds": -1}, "rounds"),
        ({"runs": 1, "rounds": 99}, "rounds"),
        ({"runs": 1, "seed": -1}, "seed"),
    ],
)
def test_what_is_out_of_range_is_named(asked, field):
    with pytest.raises(InvalidValue) as caught:
        simulate(chain((0.5,) * 2), **asked)
    assert caught.value.field == field


def test_an_unknown_policy_is_refused_with_the_known_ones():
    with pytest.raises(UnknownName, match="swap_asap"):
        simulate(chain((0.5,) * 2), runs=1, policy="swap_late")


def test_a_link_that_leaves_the_range_of_the_clock_is_refused():
    with pytest.raises(InvalidValue, match="success"):
        simulate(chain((1e-12,)), runs=1)


def test_too_few_communication_qubits_are_refused():
    assert len(simulate(chain((0.5,) * 2, slots=2), runs=1, seed=1)) == 1
    with pytest.raises(NotEnoughCommunicationQubits, match="'s1'"):
        simulate(chain((0.5,) * 2, slots=1), runs=1)
    with pytest.raises(NotEnoughCommunicationQubits, match="needs 4"):
        simulate(chain((0.5,) * 2, slots=2), runs=1, rounds=1)


def test_a_hopeless_cutoff_is_refused_instead_of_running_for_ever(monkeypatch):
    monkeypatch.setattr("hyperfabric_q.entanglement.lane_policies._MOST_IN_VAIN", 1_000)
    with pytest.raises(SimulationRefused, match="longer cutoff_ps"):
        simulate(chain((0.01,) * 8), runs=10, cutoff_ps=0, seed=22)
