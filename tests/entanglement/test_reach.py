import itertools
import math
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hyperfabric_q.entanglement.elementary import Station
from hyperfabric_q.entanglement.memory import Memory, wait
from hyperfabric_q.entanglement.nested_timing import delivery
from hyperfabric_q.entanglement.purification import dejmps
from hyperfabric_q.entanglement.purification_schedules import nested
from hyperfabric_q.entanglement.reach import GATE_INFIDELITY, MOST_HOPS, reach
from hyperfabric_q.entanglement.state import correlators, fidelity, werner
from hyperfabric_q.entanglement.swap import chain, werner_chain_fidelity
from hyperfabric_q.errors import FidelityUnreachable, InvalidValue, SimulationRefused

SECOND = 10**12


def refusal(*words, **options):
    with pytest.raises(FidelityUnreachable) as caught:
        reach(*words, **options)
    return caught.value


# -------------------------------------------------------------------------------------------------------- without time


@pytest.mark.parametrize(
    ("errors", "hops", "expected", "raw_pairs"),
    [
        ((0, 0), 1, 0.999908, 9.205),
        ((0, 0), 2, 0.999815, 18.41),
        ((0, 0), 4, 0.99963, 36.82),
        ((0, 0), 8, 0.99926, 73.64),
        ((1e-4, 1e-4), 1, 0.99976, 9.217),
        ((1e-4, 1e-4), 2, 0.99924, 18.43),
    ],
)
def test_three_rounds_give_three_nines_over_few_hops(errors, hops, expected, raw_pairs):
    found = reach(0.999, hops, gate_error=errors[0], readout_error=errors[1])
    assert found.rounds == 3
    assert found.raw_pairs == pytest.approx(raw_pairs, abs=0.006)
    # The expected values leave the errors in the order in which they come; permuting them gains up to 3e-5.
    assert -1e-6 <= found.fidelity - expected <= 3.5e-5
    assert found.wall_ns is None


@pytest.mark.parametrize(
    ("errors", "hops", "expected"),
    [
        ((1e-4, 1e-4), 4, 0.99868),
        ((1e-4, 1e-4), 8, 0.9971),
        ((1e-3, 1e-3), 1, 0.998736),
        ((1e-3, 1e-3), 2, 0.9947),
        ((1e-3, 1e-3), 4, 0.9868),
        ((1e-3, 1e-3), 8, 0.971),
        ((5e-3, 3e-3), 1, 0.99349),
        ((5e-3, 3e-3), 2, 0.9775),
        ((5e-3, 3e-3), 4, 0.9466),
        ((5e-3, 3e-3), 8, 0.889),
    ],
)
def test_local_errors_put_a_ceiling_on_it(errors, hops, expected):
    fault = refusal(0.999, hops, gate_error=errors[0], readout_error=errors[1])
    assert fault.reachable == pytest.approx(expected, abs=4e-4)


def test_the_binding_term_is_named_and_what_would_do():
    fault = refusal(0.999, 4, gate_error=1e-4, readout_error=1e-4)
    assert fault.reason == (
        "4 link ceilings x 1.25e-4 + 3 swaps x 2.75e-4 = 1.33e-3 > 1e-3; local errors of about 7.5e-5 would do"
    )
    assert fault.asked == 0.999


@settings(deadline=None, derandomize=True, max_examples=4)
@given(st.floats(0.01, 0.02), st.floats(0.01, 0.02), st.integers(1, 12), st.floats(0.99, 0.9999))
def test_the_errors_that_would_do_do_and_slightly_larger_ones_do_not(gate, readout, hops, asked):
    def ask(scale):
        return reach(asked, hops, gate_error=scale * gate, readout_error=scale * readout, rounds_most=40)

    with pytest.raises(FidelityUnreachable) as caught:
        ask(1)
    reason = caught.value.reason
    scale = float(re.search(r"of about ([\d.e-]+)", reason).group(1)) / gate
    assert ask(scale).fidelity >= asked
    with pytest.raises(FidelityUnreachable):
        ask(1.15 * scale)
    total, allowed = (float(each) for each in re.search(r"= ([\d.e-]+) > ([\d.e-]+);", reason).groups())
    assert total > allowed
    assert total >= (1 - caught.value.reachable) * 0.995  # the terms never understate the infidelity


def test_a_single_kind_of_error_is_named_alone():
    assert "a gate error of about 3e-4 would do" in refusal(0.999, 2, gate_error=1e-3).reason
    assert "a readout error of about 5e-4 would do" in refusal(0.999, 2, readout_error=1e-3).reason
    assert "only perfect gates and readout would do" in refusal(1.0, 1, gate_error=1e-3).reason


def test_too_few_rounds_are_named():
    fault = refusal(0.999, 4, rounds_most=2)
    assert fault.reason == ("at most 2 rounds of purification allowed; 3 rounds and 36.8 raw pairs would do")
    assert fault.reachable == pytest.approx(0.990062, abs=1e-6)


def test_unentangled_raw_pairs_are_named():
    assert "fidelity 1/2 or less" in refusal(0.9, 1, link_fidelity=0.5).reason
    assert refusal(0.9, 1, link_fidelity=0.3).reachable <= 0.5
    assert "do not lift these" in refusal(0.999, 1, link_fidelity=0.5 + 1e-12).reason


def test_without_purification_it_is_the_werner_chain():
    for hops in (1, 2, 4, 8, 16):
        expected = float(werner_chain_fidelity(0.999, hops))
        found = reach(expected - 1e-9, hops, link_fidelity=0.999)
        assert (found.rounds, found.raw_pairs, found.slots) == (0, hops, 1)
        assert found.fidelity == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(
    ("hops", "needed"), [(1, 0.999), (2, 0.9995), (3, 0.99967), (4, 0.99975), (8, 0.999875), (16, 0.999937)]
)
def test_the_raw_fidelity_that_needs_no_purification(hops, needed):
    assert reach(0.999, hops, link_fidelity=needed + 5e-6).rounds == 0
    assert reach(0.999, hops, link_fidelity=needed - 6e-6).rounds > 0


@pytest.mark.parametrize(
    ("raw", "three", "four"), [(0.9, 10.8, 21.6), (0.95, 9.2, 18.4), (0.97, 8.7, 17.4), (0.99, 8.2, 16.4)]
)
def test_raw_pairs_per_link(raw, three, four):
    stages = nested(werner(raw), 4)
    assert [float(stage.raw_pairs) for stage in stages[3:]] == pytest.approx([three, four], abs=0.051)


def test_better_raw_pairs_save_a_round():
    found = reach(0.999, 1, link_fidelity=0.97)
    assert (found.rounds, round(found.raw_pairs, 2), round(found.fidelity, 5)) == (2, 4.34, 0.99914)


def test_a_station_stands_for_its_figures():
    station = Station(node_id="n", depolarising=1e-4 / GATE_INFIDELITY, readout_error=2e-4, memory=Memory(t2_ps=SECOND))
    by_figures = reach(0.998, 2, gate_error=1e-4 / 0.75, readout_error=2e-4, rate_hz=1e5, memory=Memory(t2_ps=SECOND))
    assert reach(0.998, 2, hardware=station, rate_hz=1e5) == by_figures
    assert reach(0.998, 2, hardware=station).wall_ns is None
    with pytest.raises(InvalidValue, match="hardware"):
        reach(0.998, 2, hardware=station, gate_error=1e-4)


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"fidelity": 0.2}, "fidelity"),
        ({"fidelity": 1.01}, "fidelity"),
        ({"fidelity": math.nan}, "fidelity"),
        ({"link_fidelity": 0.1}, "link_fidelity"),
        ({"hops": 0}, "hops"),
        ({"hops": 2.0}, "hops"),
        ({"hops": True}, "hops"),
        ({"hops": MOST_HOPS + 1}, "hops"),
        ({"gate_error": -1e-3}, "gate_error"),
        ({"readout_error": 1.2}, "readout_error"),
        ({"rounds_most": -1}, "rounds_most"),
        ({"rate_hz": 0.0}, "rate_hz"),
        ({"rate_hz": -5.0}, "rate_hz"),
        ({"rate_hz": math.inf}, "rate_hz"),
        ({"success": 0.0, "rate_hz": 1.0}, "success"),
        ({"memory": Memory(t2_ps=1e9)}, "memory"),
    ],
)
def test_bad_input_is_named(options, field):
    with pytest.raises(InvalidValue) as caught:
        reach(**options)
    assert caught.value.field == field


# ----------------------------------------------------------------------------------------------------------- with time


def test_one_link_takes_its_raw_pairs_one_after_another():
    found = reach(0.999, 1, rate_hz=182.0)
    assert found.wall_ns == pytest.approx(9.2054 / 182 * 1e9, rel=1e-4)  # 51 ms
    assert found.fidelity == pytest.approx(0.9999076, abs=1e-7)
    assert reach(0.999, 4, rate_hz=182.0).wall_ns > found.wall_ns


@pytest.mark.parametrize("errors", [(0.0, 0.0), (1e-3, 2e-3)])
def test_without_decay_the_timed_state_is_the_untimed_one(errors):
    raw = correlators([0.9, 0.05, 0.02, 0.03])
    stages = nested(raw, 4, depolarising=errors[0], readout_error=errors[1], permute=True)
    for stage, hops in itertools.product(stages, (1, 3)):
        found = delivery(
            raw,
            stage.rounds,
            hops,
            rate_hz=1e3,
            success=0.2,
            raw_pairs=float(stage.raw_pairs),
            memory=Memory(),
            depolarising=errors[0],
            readout_error=errors[1],
        )
        links = np.repeat(stage.correlators[None], hops, axis=0)
        expected = chain(links, depolarising=errors[0], readout_x=errors[1], readout_z=errors[1])
        assert found.fidelity == pytest.approx(float(fidelity(expected)), abs=1e-11)
        if hops == 1:
            assert found.wall_ps == pytest.approx(float(stage.raw_pairs) * 1e9, rel=1e-9)


def drawn(rng, raw, rounds, count, success, step_ps, memory, errors):
    """Times and states of purified pairs, run by run: the same protocol as a plain simulation."""
    if rounds == 0:
        return rng.geometric(success, count) * step_ps, np.repeat(raw[None], count, axis=0)
    total, states, open_runs = np.zeros(count), np.zeros((count, 3)), np.arange(count)
    while open_runs.size:
        first_time, first = drawn(rng, raw, rounds - 1, open_runs.size, success, step_ps, memory, errors)
        second_time, second = drawn(rng, raw, rounds - 1, open_runs.size, success, step_ps, memory, errors)
        kept = wait(first, memory, second_time, memory, second_time)
        if rounds > 1:  # the first round leaves more Z than X errors, so the measured pair exchanges both
            second = second[:, [2, 1, 0]]
        out = dejmps(kept, second, depolarising=errors[0], readout_error=errors[1])
        total[open_runs] += first_time + second_time
        states[open_runs] = out.correlators
        open_runs = open_runs[rng.random(open_runs.size) > out.success]
    return total, states


@pytest.mark.parametrize(
    ("memory", "rounds", "hops"),
    [
        (Memory(t1_ps=4e11, t2_ps=3e11), 1, 1),
        (Memory(t1_ps=4e11, t2_ps=3e11), 1, 3),
        (Memory(t2_ps=4e11), 2, 1),
        (Memory(depolarising_ps=8e11), 2, 2),
    ],
)
def test_timed_state_and_time_are_those_of_a_simulation(memory, rounds, hops):
    rng = np.random.default_rng(rounds + 10 * hops)
    raw, errors, success, rate_hz, runs = correlators([0.85, 0.1, 0.02, 0.03]), (5e-3, 8e-3), 0.3, 1e3, 30_000
    stages = nested(raw, rounds, depolarising=errors[0], readout_error=errors[1], permute=True)
    cost = float(stages[-1].raw_pairs)
    found = delivery(
        raw,
        rounds,
        hops,
        rate_hz=rate_hz,
        success=success,
        raw_pairs=cost,
        memory=memory,
        depolarising=errors[0],
        readout_error=errors[1],
    )
    step_ps = success / rate_hz * SECOND
    each = [drawn(rng, raw, rounds, runs, success, step_ps, memory, errors) for _ in range(hops)]
    ready = np.max([times for times, _ in each], axis=0)
    links = np.stack([wait(state, memory, ready - times, memory, ready - times) for times, state in each], axis=1)
    ends = fidelity(chain(links, depolarising=errors[0], readout_x=errors[1], readout_z=errors[1]))
    assert found.fidelity == pytest.approx(ends.mean(), abs=4 * ends.std() / math.sqrt(runs))
    assert found.wall_ps == pytest.approx(ready.mean(), abs=4 * ready.std() / math.sqrt(runs))


def test_decay_makes_it_unreachable_and_the_rate_that_would_do_does():
    held = Memory(t2_ps=SECOND)
    fault = refusal(0.999, 4, rate_hz=182.0, memory=held)
    assert fault.reachable < 0.95
    assert "if nothing decayed, but at 182 raw pairs per second" in fault.reason
    needed = float(re.search(r"about ([\d.e]+) raw pairs per second would do", fault.reason).group(1))
    assert 1e4 < needed < 1e5
    found = reach(0.999, 4, rate_hz=1.02 * needed, memory=held)
    assert found.fidelity >= 0.999
    with pytest.raises(FidelityUnreachable):
        reach(0.999, 4, rate_hz=0.85 * needed, memory=held)


def test_only_rate_times_coherence_time_counts():
    slow = reach(0.995, 2, rate_hz=1e4, memory=Memory(t1_ps=2e12, t2_ps=SECOND))
    fast = reach(0.995, 2, rate_hz=1e7, memory=Memory(t1_ps=2e9, t2_ps=1e9))
    assert slow.fidelity == pytest.approx(fast.fidelity, abs=1e-9)
    assert slow.wall_ns == pytest.approx(1e3 * fast.wall_ns)


def test_waits_of_very_long_schedules_are_refused():
    with pytest.raises(SimulationRefused, match="rounds"):
        reach(0.999, 1, link_fidelity=0.5005, rounds_most=40, rate_hz=1e3)


def test_the_answer_reads_as_a_sentence_and_as_json():
    found = reach(0.999, 2, rate_hz=1e3)
    assert found.summary().startswith(
        "fidelity 0.999815 over 2 hops (0.999 was asked): 3 rounds of nested DEJMPS per link, 18.4 raw pairs in all, "
    )
    assert list(found.to_dict()) == ["reachable", "fidelity", "rounds", "raw_pairs", "reason"]
