"""Chains made event by event: the same laws as the lanes and the closed forms, and a ledger that adds up."""

import math

import numpy as np
import pytest
from scipy import stats

from hyperfabric_q.entanglement import chain_events, lanes
from hyperfabric_q.entanglement.elementary import Elementary, Path, Station
from hyperfabric_q.entanglement.ledger import Fate
from hyperfabric_q.entanglement.memory import Memory
from hyperfabric_q.entanglement.state import fidelity, weights, werner
from hyperfabric_q.entanglement.waiting import all_links_mean, two_link_cutoff
from hyperfabric_q.errors import InvalidValue, UnknownName

US = 1_000_000
BIASED = (0.9, 0.05, 0.02, 0.03)


def chain(hops, *, seed=0, equal=False, ideal=False, success=None, attempt_ps=US, pair=BIASED, memory=None):
    """A path whose every figure differs from link to link; ``equal`` puts all times on one grid, so that they tie."""
    rng = np.random.default_rng(seed)
    stations, links, delays = [], [], []
    for number in range(hops + 1):
        t1 = rng.uniform(200, 400) * US
        stations.append(
            Station(
                node_id=f"n{number}",
                memory=memory or Memory(t1_ps=t1, t2_ps=rng.uniform(0.2, 1.5) * t1),
                depolarising=0.0 if ideal else 0.02,
                readout_error=0.0 if ideal else 0.01,
                swap_ps=0 if ideal else int(rng.integers(0, 3)) * US // (1 if equal else 3),
            )
        )
    for number in range(hops):
        attempt = attempt_ps if equal or ideal else int(rng.integers(300_000, 2 * US))
        after = 0 if ideal else (2 * US if equal else int(rng.integers(0, 4 * US)))
        links.append(
            Elementary(
                a=f"n{number}",
                b=f"n{number + 1}",
                attempt_ps=attempt,
                success=rng.uniform(0.08, 0.4) if success is None else success,
                herald_ps=0 if ideal else attempt + after,
                weights=pair,
            )
        )
        delays.append(0 if ideal else US if equal else int(rng.integers(0, 3 * US)))
    return Path(stations=tuple(stations), links=tuple(links), delays_ps=tuple(delays))


def apart(one, other):
    """By how many standard errors two means differ; of columns, the worst."""
    one, other = np.asarray(one, float), np.asarray(other, float)
    error = np.sqrt(one.var(0) / len(one) + other.var(0) / len(other))
    return float(np.max(np.abs(one.mean(0) - other.mean(0)) / np.where(error > 0, error, 1)))


def sigmas(found, expected):
    return float(abs(np.mean(found) - expected) / (np.std(found) / math.sqrt(len(found))))


# --------------------------------------------------------------------------------------------------------------- V13


@pytest.mark.parametrize("equal", [False, True], ids=["apart", "on one grid"])
@pytest.mark.parametrize("policy", ["swap_asap", "nested", "wait_for_all"])
@pytest.mark.parametrize(
    ("hops", "cutoff_us", "rounds"),
    [(3, 6, 0), (5, None, 0), (5, 14, 0), (2, 20, 1)],
)
def test_v13_events_and_lanes_have_the_same_distributions(policy, hops, cutoff_us, rounds, equal):
    path = chain(hops, seed=hops + 7 * rounds, equal=equal)
    asked = {"policy": policy, "rounds": rounds, "cutoff_ps": None if cutoff_us is None else cutoff_us * US}
    paper = lanes.simulate(path, runs=8_000, seed=1, **asked)
    events = chain_events.simulate(path, runs=100 if rounds else 1000, seed=2, **asked)
    assert stats.ks_2samp(paper.delivery_ps, events.delivery_ps).pvalue > 1e-4
    assert apart(paper.correlators, events.correlators) < 4.5
    assert apart(paper.raw_pairs, events.raw_pairs) < 4
    assert events.ledger.balance.conserved
    assert events.ledger.balance.held == 0


@pytest.mark.parametrize(("rounds", "swap_ps", "delay_ps"), [(1, 0, 0), (1, US, US), (2, 0, 0)])
def test_what_purification_brings_in_the_instant_of_a_cutoff_is_in_time(rounds, swap_ps, delay_ps):
    """On one grid, many outcomes of purifications come in the very instant in which a neighbour grows too old."""
    stations = tuple(Station(node_id=f"n{each}", swap_ps=swap_ps) for each in range(3))
    links = tuple(
        Elementary(a=f"n{each}", b=f"n{each + 1}", attempt_ps=US, success=0.5, herald_ps=0, weights=BIASED)
        for each in range(2)
    )
    path = Path(stations=stations, links=links, delays_ps=(delay_ps,) * 2)
    paper = lanes.simulate(path, runs=8_000, cutoff_ps=3 * US, rounds=rounds, seed=1)
    events = chain_events.simulate(path, runs=120 if rounds == 1 else 25, cutoff_ps=3 * US, rounds=rounds, seed=2)
    assert apart(paper.raw_pairs, events.raw_pairs) < 4
    assert stats.ks_2samp(paper.delivery_ps, events.delivery_ps).pvalue > 1e-4


# -------------------------------------------------------------------------------------------------------- closed forms


@pytest.mark.parametrize(("success", "cutoff", "decay"), [(0.1, 5, 0.05), (0.05, 12, 0.02), (0.3, 1, 0.1)])
def test_v8_two_links_with_a_cutoff_obey_the_closed_form(success, cutoff, decay):
    """Perfect pairs that only dephase: what is left of XX after delivery is the decay of the one that waited."""
    memory = Memory(dephasing_ps=2 * US / decay)  # both halves dephase
    path = chain(2, ideal=True, success=success, pair=(1.0, 0.0, 0.0, 0.0), memory=memory)
    law = two_link_cutoff(success, cutoff, decay)
    events = chain_events.simulate(path, runs=6000, seed=3, cutoff_ps=cutoff * US)
    paper = lanes.simulate(path, runs=60_000, seed=4, cutoff_ps=cutoff * US)
    for made in (events, paper):
        assert sigmas(made.delivery_ps / US, float(law.attempts)) < 3
        assert sigmas(made.correlators[:, 0], float(law.decay)) < 3
    ended = events.ledger.balance.ended
    assert ended[Fate.CONSUMED] == 6000
    assert ended[Fate.CUT_OFF] == events.raw_pairs.sum() - 12_000


def test_v10_two_arms_with_one_dephasing_half_each():
    """20 km arms, T = 100 ms; the stored half of each arm dephases for its wait and one attempt."""
    p = 0.8 * math.exp(-20 / 22)
    attempt = 2 * 10**8
    stations = tuple(
        Station(node_id=f"n{each}", memory=Memory(dephasing_ps=1e11) if each == 1 else Memory()) for each in range(3)
    )
    links = tuple(
        Elementary(
            a=f"n{each}", b=f"n{each + 1}", attempt_ps=attempt, success=p, herald_ps=attempt, weights=(1.0, 0, 0, 0)
        )
        for each in range(2)
    )
    made = chain_events.simulate(Path(stations=stations, links=links, delays_ps=(0, 0)), runs=8000, seed=5)
    assert sigmas(made.delivery_ps, attempt * (2 / p - 1 / (2 * p - p * p))) < 4
    assert fidelity(made.correlators).mean() == pytest.approx(0.9955, abs=1e-3)


@pytest.mark.parametrize(("hops", "exact", "peer"), [(2, 0.903333, 0.90264), (4, 0.819126, 0.81607)])
def test_v16_chains_of_10_km_with_memories_of_a_second(hops, exact, peer):
    """Werner pairs of 0.95; a second of memory costs what the peer's figures say, within its own model of waiting."""
    light = 50 * US
    stations = tuple(Station(node_id=f"n{each}", memory=Memory(depolarising_ps=1e12)) for each in range(hops + 1))
    links = tuple(
        Elementary(
            a=f"n{each}",
            b=f"n{each + 1}",
            attempt_ps=light,
            success=0.1,
            herald_ps=light,
            weights=tuple(weights(werner(0.95)).tolist()),
        )
        for each in range(hops)
    )
    made = chain_events.simulate(Path(stations=stations, links=links, delays_ps=(light,) * hops), runs=4000, seed=6)
    mean = fidelity(made.correlators).mean()
    assert peer - 2e-3 < mean < exact
    still = Path(
        stations=tuple(Station(node_id=f"n{each}") for each in range(hops + 1)), links=links, delays_ps=(0,) * hops
    )
    assert fidelity(chain_events.simulate(still, runs=5, seed=6).correlators) == pytest.approx(exact, abs=1e-6)


@pytest.mark.parametrize("hops", [2, 4])
def test_v7_all_links_are_there_after_the_mean_of_the_maximum(hops):
    made = chain_events.simulate(chain(hops, ideal=True, success=0.05), runs=4000, seed=7, policy="wait_for_all")
    assert sigmas(made.delivery_ps / US, float(all_links_mean(0.05, hops))) < 4


# ----------------------------------------------------------------------------------------------------------- exactness


@pytest.mark.parametrize("policy", ["swap_asap", "nested", "wait_for_all"])
def test_nothing_is_delivered_before_one_attempt_on_each_link_and_light(policy):
    path = chain(4, seed=9)
    made = chain_events.simulate(path, runs=1000, seed=8, policy=policy)
    total = sum(path.delays_ps)
    heralded = max(link.attempt_ps + link.tail_ps for link in path.links)
    outcome = [
        station.swap_ps + max(sum(path.delays_ps[:number]), total - sum(path.delays_ps[:number]))
        for number, station in enumerate(path.stations)
        if 0 < number < path.hops
    ]
    first = [link.attempt_ps + link.tail_ps for link in path.links]
    least = max(max(first[n], first[n + 1]) + outcome[n] for n in range(3))
    assert made.delivery_ps.min() >= max(least, heralded)


def test_certain_links_deliver_always_at_the_same_time():
    path = chain(3, seed=10, success=1.0)
    made = chain_events.simulate(path, runs=5, seed=9)
    assert len(set(made.delivery_ps.tolist())) == 1
    assert np.array_equal(made.delivery_ps, lanes.simulate(path, runs=5, seed=9).delivery_ps)
    assert np.allclose(made.correlators, lanes.simulate(path, runs=5, seed=9).correlators, rtol=0, atol=1e-14)


def test_the_same_seed_gives_the_same_deliveries_and_another_others():
    path = chain(3, seed=11)
    one, same, other = (chain_events.simulate(path, runs=50, seed=seed, cutoff_ps=9 * US) for seed in (1, 1, 2))
    assert np.array_equal(one.delivery_ps, same.delivery_ps)
    assert np.array_equal(one.correlators, same.correlators)
    assert one.ledger.balance == same.ledger.balance
    assert not np.array_equal(one.delivery_ps, other.delivery_ps)


def test_a_cutoff_of_nothing_takes_only_what_comes_at_once():
    """Both links in one attempt: probability p^2 of all attempts in which neither holds a pair."""
    made = chain_events.simulate(chain(2, ideal=True, success=0.3), runs=1500, seed=12, cutoff_ps=0)
    assert sigmas(made.delivery_ps / US, 1 / 0.09) < 4
    assert np.allclose(made.correlators, made.correlators[0])


def test_a_cutoff_that_never_comes_changes_nothing():
    path = chain(3, seed=13)
    endless, none = (chain_events.simulate(path, runs=50, seed=3, cutoff_ps=cut) for cut in (1 << 60, None))
    assert np.array_equal(endless.delivery_ps, none.delivery_ps)


def test_every_attempt_is_in_the_ledger():
    """Of one link, whose attempts follow one another without a break, attempts are time."""
    path = chain(1, ideal=True, success=0.05)
    made = chain_events.simulate(path, runs=500, seed=14)
    assert made.ledger.balance.attempts * US == made.delivery_ps.sum()
    assert made.ledger.balance.vain_attempts == 0


@pytest.mark.parametrize(
    ("asked", "fault"),
    [({"runs": 0}, InvalidValue), ({"cutoff_ps": -1}, InvalidValue), ({"policy": "soon"}, UnknownName)],
)
def test_what_is_out_of_range_is_refused(asked, fault):
    with pytest.raises(fault):
        chain_events.simulate(chain(2), **({"runs": 1, "seed": 0} | asked))
