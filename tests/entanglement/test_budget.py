import math
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hyperfabric_q.entanglement.budget import Budgets, Demand, budget, budgets, buffer_pairs, lifetime_ps
from hyperfabric_q.entanglement.budget_table import duration
from hyperfabric_q.entanglement.elementary import Elementary, Path, Station
from hyperfabric_q.entanglement.lifetime import FOREVER_PS, GONE_PS
from hyperfabric_q.entanglement.memory import Memory, wait
from hyperfabric_q.entanglement.purification_schedules import nested
from hyperfabric_q.entanglement.state import correlators, fidelity, weights, werner
from hyperfabric_q.entanglement.swap import swap
from hyperfabric_q.errors import InvalidValue

SECOND = 10**12
STEP = 10**4  # short attempts stand for a Poisson stream of pairs


def path(raw, rate_hz, *, memory=None, hops=1, attempt_ps=STEP, herald_ps=0, delay_ps=0, swap_ps=0, gate=0.0, flip=0.0):
    held = memory or Memory(t2_ps=SECOND)
    each = tuple(float(w) for w in weights(werner(raw)))
    return Path(
        stations=tuple(
            Station(node_id=f"n{i}", memory=held, depolarising=gate, readout_error=flip, swap_ps=swap_ps)
            for i in range(hops + 1)
        ),
        links=tuple(
            Elementary(
                a=f"n{i}",
                b=f"n{i + 1}",
                attempt_ps=attempt_ps,
                success=rate_hz * attempt_ps / SECOND,
                herald_ps=herald_ps,
                weights=each,
            )
            for i in range(hops)
        ),
        delays_ps=(delay_ps,) * hops,
    )


def waited(state, memory_a, memory_b, times):
    return fidelity(wait(state, memory_a, times, memory_b, times))


# ------------------------------------------------------------------------------------------------------------ lifetime


def test_depolarising_lifetime_is_the_closed_form():
    tau = 3e11
    held = Memory(depolarising_ps=2 * tau)  # two halves at half the rate each
    for first, least in ((0.97, 0.95), (0.9, 0.6), (0.8, 0.3)):
        expected = tau * math.log((first - 0.25) / (least - 0.25))
        assert abs(lifetime_ps(werner(first), least, memory_a=held, memory_b=held) - expected) <= 2


def test_dephasing_lifetime_is_the_closed_form():
    held = Memory(t2_ps=SECOND)
    for first, least in ((0.97, 0.95), (0.94, 0.92), (0.9, 0.55)):
        w = (4 * first - 1) / 3
        expected = SECOND / 2 * math.log(2 * w / (4 * least - 1 - w))
        assert abs(lifetime_ps(werner(first), least, memory_a=held, memory_b=held) - expected) <= 2


def test_losing_two_percent_takes_these_parts_of_the_time_constant():
    t2 = lifetime_ps(werner(0.97), 0.95, memory_a=Memory(t2_ps=SECOND), memory_b=Memory(t2_ps=SECOND))
    tau = lifetime_ps(werner(0.97), 0.95, memory_a=Memory(depolarising_ps=SECOND), memory_b=Memory())
    assert float(t2) / SECOND == pytest.approx(0.0213, abs=5e-5)
    assert float(tau) / SECOND == pytest.approx(0.0282, abs=5e-5)


times = st.floats(1e6, 1e12)


@settings(deadline=None, derandomize=True, max_examples=60)
@given(
    st.tuples(*[st.floats(0, 1)] * 3, st.floats(1.5, 20)),
    times,
    times,
    st.floats(0.02, 2),
    st.floats(0, 0.5),
    st.floats(0.02, 0.98),
)
def test_above_one_half_the_crossing_is_exact_and_the_only_one(parts, t1_a, t1_b, ratio, excited, where):
    p = np.array([parts[3], *parts[:3]])
    state = correlators(p / p.sum())
    first = float(fidelity(state))
    if first < 0.52:
        return
    least = 0.505 + where * (first - 0.51)
    a = Memory(t1_ps=t1_a, t2_ps=ratio * t1_a, excited=excited)
    b = Memory(t1_ps=t1_b, t2_ps=min(ratio, 1) * t1_b)
    kept = int(lifetime_ps(state, least, memory_a=a, memory_b=b))
    assert waited(state, a, b, kept) >= least - 1e-13
    assert waited(state, a, b, kept + 1) < least
    later = kept + np.geomspace(1, 100 * max(t1_a, t1_b), 4000)
    assert np.all(waited(state, a, b, later) < least)


def test_below_one_half_the_first_crossing_is_returned_though_relaxation_lifts_the_fidelity_again():
    held = Memory(t1_ps=1e9, t2_ps=2e7)
    state = correlators([0.6, 0.0, 0.4, 0.0])
    least = 0.42
    grid = np.arange(0, 10**10, 10**4, dtype=np.int64)
    below = waited(state, held, held, grid) < least
    first = int(np.argmax(below))
    assert below[first]
    assert not below[-1]  # it comes back towards 1/2
    kept = int(lifetime_ps(state, least, memory_a=held, memory_b=held))
    assert grid[first - 1] <= kept < grid[first]
    lowest = float(waited(state, held, held, grid).min())
    shallow = int(lifetime_ps(state, lowest + 1e-9, memory_a=held, memory_b=held))  # a dip narrower than any grid
    assert shallow < 10**10
    assert lifetime_ps(state, lowest - 1e-6, memory_a=held, memory_b=held) == FOREVER_PS


def test_many_pairs_at_once_are_as_one_by_one():
    rng = np.random.default_rng(4)
    p = rng.dirichlet((12, 1, 1, 1), size=(5, 3))
    least = np.array([0.3, 0.6, 0.75])
    a, b = Memory(t1_ps=5e8, t2_ps=3e8), Memory(t2_ps=1e9)
    together = lifetime_ps(correlators(p), least, memory_a=a, memory_b=b)
    assert together.shape == (5, 3)
    for index in np.ndindex(5, 3):
        alone = lifetime_ps(correlators(p[index]), least[index[1]], memory_a=a, memory_b=b)
        assert together[index] == alone


def test_a_lane_each_has_its_own_memory():
    t2 = np.array([1e9, 1e10, 1e11])
    together = lifetime_ps(werner(0.97), np.full(3, 0.9), memory_a=Memory(t2_ps=t2), memory_b=Memory())
    alone = [lifetime_ps(werner(0.97), 0.9, memory_a=Memory(t2_ps=each), memory_b=Memory()) for each in t2]
    assert list(together) == [int(each) for each in alone]


def test_what_never_decays_lasts_for_ever_and_what_is_too_low_is_gone():
    held = Memory(t2_ps=1e9)
    assert lifetime_ps(werner(0.9), 0.9, memory_a=Memory(), memory_b=Memory()) == FOREVER_PS
    assert lifetime_ps(werner(0.9), 0.91, memory_a=Memory(), memory_b=Memory()) == GONE_PS
    assert lifetime_ps(werner(0.9), 0.91, memory_a=held, memory_b=held) == GONE_PS
    assert lifetime_ps(werner(0.9), 0.3, memory_a=held, memory_b=held) == FOREVER_PS  # <ZZ> stays
    assert lifetime_ps(werner(0.9), 0.9, memory_a=held, memory_b=held) == 0


def test_the_useful_buffer_is_rate_times_lifetime():
    kept = lifetime_ps(werner(0.97), 0.95, memory_a=Memory(t2_ps=SECOND), memory_b=Memory(t2_ps=SECOND))
    assert float(buffer_pairs(1e5, kept)) == pytest.approx(2130, abs=5)
    assert list(buffer_pairs([0.0, 10.0, 10.0, 0.0], [FOREVER_PS, FOREVER_PS, GONE_PS, 5])) == [0, math.inf, 0, 0]
    with pytest.raises(InvalidValue, match="rate_hz"):
        buffer_pairs(-1.0, 5)


# -------------------------------------------------------------------------------------------------------------- budget


@pytest.mark.parametrize(
    ("raw", "rate_hz", "lead_ms", "window_ms", "feasible"),
    [
        (0.97, 9.7, 475, 21.3, False),
        (0.94, 182, 25.3, 22.2, False),
        (0.96, 250, 18.4, 21.6, True),
        (0.97, 1e5, 0.046, 21.3, True),
    ],
)
def test_platforms_that_may_lose_two_percent(raw, rate_hz, lead_ms, window_ms, feasible):
    found = budget(path(raw, rate_hz), raw - 0.02, gate_ps=10 * SECOND)
    assert found.lead_ps / 1e9 == pytest.approx(lead_ms, rel=0.005)
    assert found.t_star_ps / 1e9 == pytest.approx(window_ms, rel=0.005)
    assert found.feasible is feasible
    assert (found.lead_ps <= found.t_star_ps) is feasible
    assert bool(found.reason) is not feasible
    assert found.in_time == pytest.approx(-math.expm1(-rate_hz * found.t_star_ps / SECOND), rel=1e-3)
    assert found.mean_lead_ps == pytest.approx(SECOND / rate_hz)


def test_link_efficiency_is_rate_over_decoherence_rate():
    held = Memory(t2_ps=0.4 * SECOND)  # both halves together lose coherence at 5 per second
    assert budget(path(0.9, 39, memory=held), 0.6).efficiency == pytest.approx(7.8)


def test_the_window_ends_at_the_gate_and_is_as_long_as_the_lifetime():
    found = budget(path(0.97, 1e5), 0.95, gate_ps=SECOND)
    assert (found.earliest_ps, found.latest_ps) == (SECOND - found.t_star_ps, SECOND)
    assert found.cutoff_ps == found.t_star_ps
    late = budget(path(0.97, 1e5), 0.95, gate_ps=SECOND, now_ps=SECOND - 10**9)
    assert late.earliest_ps == SECOND - 10**9
    assert late.in_time == pytest.approx(-math.expm1(-1e5 * 1e-3), rel=1e-3)


def test_a_pair_heralded_at_either_end_of_the_window_serves_and_one_before_it_does_not():
    held = Memory(t1_ps=0.3 * SECOND, t2_ps=0.2 * SECOND)
    age = 5 * 10**8
    found = budget(path(0.97, 1e5, memory=held, herald_ps=age), 0.93, gate_ps=SECOND)

    def at_gate(herald_ps):
        return float(waited(werner(0.97), held, held, age + SECOND - herald_ps))

    assert found.fidelity == pytest.approx(at_gate(SECOND), abs=1e-12)
    assert at_gate(found.earliest_ps) >= 0.93 - 1e-13
    assert at_gate(found.earliest_ps - 1) < 0.93


def test_the_chance_of_being_in_time_is_that_of_drawn_attempts():
    rng = np.random.default_rng(11)
    attempt = 10**9
    link = path(0.97, 30, attempt_ps=attempt)
    found = budget(link, 0.95, gate_ps=SECOND)
    attempts = found.t_star_ps // attempt
    hits = (rng.geometric(link.links[0].success, 200_000) <= attempts).mean()
    assert found.in_time == pytest.approx(hits, abs=4 * math.sqrt(hits * (1 - hits) / 200_000))


def test_a_chain_kept_for_its_lifetime_still_has_the_fidelity():
    held = Memory(t1_ps=0.9 * SECOND, t2_ps=0.7 * SECOND)
    chain = path(0.98, 1e5, memory=held, hops=3, herald_ps=10**8, delay_ps=10**9, swap_ps=10**7, gate=2e-3, flip=1e-3)
    found = budget(chain, 0.85, gate_ps=SECOND)
    assert found.lag_ps == 10**7 + 2 * 10**9
    assert found.latest_ps == SECOND - found.lag_ps

    def at_gate(before_ps):
        outer, inner = 10**8 + before_ps, 10**8 + before_ps - found.lag_ps
        first = wait(werner(0.98), held, outer, held, inner)
        middle = wait(werner(0.98), held, inner, held, inner)
        last = wait(werner(0.98), held, inner, held, outer)
        noise = {"depolarising": 2e-3, "readout_x": 1e-3, "readout_z": 1e-3}
        return float(fidelity(swap(swap(first, middle, **noise), last, **noise)))

    assert found.fidelity == pytest.approx(at_gate(found.lag_ps), abs=1e-12)
    assert at_gate(found.t_star_ps) >= 0.85 - 1e-13
    assert at_gate(found.t_star_ps + 1) < 0.85


def test_all_links_of_a_chain_must_be_in_time():
    rng = np.random.default_rng(3)
    chain = path(0.985, 150, hops=3, attempt_ps=10**9)
    found = budget(chain, 0.94, gate_ps=SECOND)
    attempts = found.t_star_ps // 10**9
    drawn = rng.geometric(0.15, (100_000, 3)).max(axis=1)
    assert found.in_time == pytest.approx((drawn <= attempts).mean(), abs=0.006)
    assert found.mean_lead_ps == pytest.approx(drawn.mean() * 1e9, abs=0.5e9)
    ready = (drawn[:, None] <= np.arange(found.lead_ps // 10**9 - 1, found.lead_ps // 10**9 + 1)).mean(axis=0)
    assert ready[0] < 0.992
    assert ready[1] > 0.988


def test_the_advised_modes_are_the_fewest_that_do():
    found = budget(path(0.97, 9.7), 0.95, gate_ps=SECOND)
    assert found.modes == 23
    for modes, enough in ((22, False), (23, True)):
        assert budget(path(0.97, modes * 9.7), 0.95, gate_ps=SECOND).feasible is enough


def test_the_advised_rounds_are_the_fewest_that_do():
    found = budget(path(0.95, 1e5, gate=1e-3, flip=1e-3), 0.99, gate_ps=SECOND)
    assert not found.feasible
    assert "the raw pairs" in found.reason
    assert found.t_star_ps == found.buffer == found.in_time == 0
    assert found.modes is found.earliest_ps is found.latest_ps is None
    stages = nested(werner(0.95), 3, depolarising=1e-3, readout_error=1e-3, permute=True)
    good = [float(fidelity(stage.correlators)) >= 0.99 for stage in stages]
    assert found.rounds == good.index(True) == 2
    assert budget(path(0.95, 1e5, gate=1e-2, flip=1e-2), 0.999).rounds is None


@pytest.mark.parametrize(
    ("options", "least", "binding"),
    [
        ({"raw": 0.9}, 0.95, "the raw pairs cost"),
        ({"raw": 0.999, "herald_ps": 10**11}, 0.95, "waiting for heralds cost"),
        ({"raw": 0.999, "hops": 3, "gate": 0.05}, 0.95, "errors of the swaps cost"),
        ({"raw": 0.999, "hops": 3, "delay_ps": 10**11}, 0.95, "waiting for the swaps' outcomes cost"),
        ({"raw": 0.97, "memory": Memory(t2_ps=10**5)}, 0.95, "the pair's lifetime leaves less"),
        ({"raw": 0.97, "rate_hz": 9.7}, 0.95, "the pair's lifetime leaves 21.28 ms"),
        ({"raw": 0.97, "rate_hz": 100.0, "memory": Memory()}, 0.95, "the time of the gate leaves 1 ms"),
    ],
)
def test_an_infeasible_budget_names_what_binds(options, least, binding):
    gate_ps = 10**9 if "the time of the gate" in binding else SECOND
    found = budget(path(**{"rate_hz": 1e4, **options}), least, gate_ps=gate_ps)
    assert not found.feasible
    assert binding in found.reason


def test_a_state_alone_has_a_window_and_with_attempts_a_chance():
    held = Memory(t2_ps=SECOND)
    alone = budget(werner(0.97), 0.95, memory_a=held, memory_b=held, gate_ps=SECOND)
    assert alone.feasible
    assert alone.in_time is alone.modes is alone.lead_ps is alone.rate_hz is None
    assert alone.t_star_ps == lifetime_ps(werner(0.97), 0.95, memory_a=held, memory_b=held)
    same = budget(
        werner(0.97), 0.95, memory_a=held, memory_b=held, attempt_ps=STEP, success=250 * STEP / SECOND, gate_ps=SECOND
    )
    there = budget(path(0.97, 250), 0.95, gate_ps=SECOND)
    assert (same.in_time, same.lead_ps, same.modes) == (there.in_time, there.lead_ps, there.modes)
    for_ever = budget(werner(0.97), 0.95)
    assert for_ever.t_star_ps is for_ever.cutoff_ps is None
    assert not budget(werner(0.9), 0.95).feasible


def test_perfect_memories_and_certain_attempts_leave_no_doubt():
    found = budget(path(0.97, 1e8, memory=Memory(), hops=2), 0.9, gate_ps=SECOND)  # every attempt succeeds
    assert (found.in_time, found.modes, found.buffer) == (1, 1, math.inf)
    assert found.earliest_ps is None
    assert found.lead_ps == STEP


def test_bad_input_is_named():
    link = path(0.97, 1e5)
    with pytest.raises(InvalidValue, match="in the past"):
        budget(link, 0.9, gate_ps=5, now_ps=6)
    for least in (0.2, 1.1, math.nan):
        with pytest.raises(InvalidValue, match="min_fidelity"):
            budget(link, least)
    for miss in (0, 1, math.nan):
        with pytest.raises(InvalidValue, match="miss"):
            budget(link, 0.9, miss=miss)
    with pytest.raises(InvalidValue, match="already"):
        budget(link, 0.9, memory_a=Memory())
    with pytest.raises(InvalidValue, match="both of them or neither"):
        budget(werner(0.9), 0.8, attempt_ps=5)
    with pytest.raises(InvalidValue, match="many at once"):
        budget(werner([0.9, 0.8]), 0.8)
    with pytest.raises(InvalidValue, match="correlators"):
        budget([1.0, 1.0, -1.0], 0.8)
    with pytest.raises(InvalidValue, match="success"):
        budget(werner(0.9), 0.8, attempt_ps=5, success=0.0)


def test_the_budgets_of_several_gates_are_a_table():
    rows = budgets(
        [
            Demand(path=path(0.97, 1e5), min_fidelity=0.95, gate_ps=SECOND, label="cz 1"),
            Demand(path=path(0.97, 9.7), min_fidelity=0.95, gate_ps=SECOND, label="cz <2>"),
        ]
    )
    assert (len(rows), rows.feasible, rows[0].feasible, [row.label for row in rows]) == (
        2,
        False,
        True,
        ["cz 1", "cz <2>"],
    )
    text = rows.summary().splitlines()
    assert text[0] == "coherence budgets of 2 remote gates: 1 feasible, 1 not"
    assert re.split(r"  +", text[3])[:5] == ["cz 1", "n0-n1", "0.95", "0.97", "21.28 ms"]
    assert text[-1].startswith("cz <2>: n0-n1 needs a lead of 474.8 ms")
    assert "cz &lt;2&gt;" in rows._repr_html_()
    assert rows[1].summary().startswith("coherence budget: infeasible")
    assert "<table>" in rows[0]._repr_html_()
    many = Budgets(rows.rows * 30)
    assert "and 20 more" in many.summary()
    assert "and 20 more" in many._repr_html_()
    assert Budgets(()).summary() == "coherence budgets of 0 remote gates: 0 feasible, 0 not"


def test_durations_are_shown_in_the_unit_people_would_choose():
    shown = [duration(each) for each in (None, 0, 5, 5_000, 5_500_000, 5 * 10**9, 7 * 10**12)]
    assert shown == ["for ever", "0 ps", "5 ps", "5 ns", "5.5 us", "5 ms", "7 s"]
