"""Nested and pumping schedules: fidelities, raw pairs and slots."""

import numpy as np
import pytest

from hyperfabric_q.entanglement.purification import dejmps
from hyperfabric_q.entanglement.purification_schedules import nested, pumping
from hyperfabric_q.entanglement.state import correlators, fidelity, werner
from hyperfabric_q.errors import InvalidValue


def fidelities(stages):
    return [float(fidelity(stage.correlators)) for stage in stages]


@pytest.mark.parametrize(
    ("raw", "expected"),
    [(0.95, [0.964964, 0.997502, 0.999908]), (0.90, [0.926396, 0.988764, 0.999070])],
)
def test_V4_nested_dejmps_from_werner_pairs_grows_monotonically(raw, expected):
    found = fidelities(nested(werner(raw), 5))
    assert found[0] == pytest.approx(raw, abs=1e-15)
    assert found[1:4] == pytest.approx(expected, abs=5e-7)
    assert np.diff(found).min() > 0


@pytest.mark.parametrize(
    ("raw", "two", "three", "four"),
    [(0.90, None, 10.8, 21.6), (0.95, None, 9.2, 18.4), (0.97, 4.34, 8.7, 17.4), (0.99, None, 8.2, 16.4)],
)
def test_raw_pairs_of_the_table(raw, two, three, four):
    stages = nested(werner(raw), 4)
    assert stages[3].raw_pairs == pytest.approx(three, abs=0.05)
    assert stages[4].raw_pairs == pytest.approx(four, abs=0.05)
    if two:
        assert stages[2].raw_pairs == pytest.approx(two, abs=0.005)
        assert fidelity(stages[2].correlators) == pytest.approx(0.99914, abs=5e-6)


@pytest.mark.parametrize(("raw", "ceiling"), [(0.90, 0.9602), (0.95, 0.9818), (0.97, 0.9895)])
def test_pumping_ends_at_its_ceiling(raw, ceiling):
    stages = pumping(werner(raw), 200)
    assert fidelity(stages[-1].correlators) == pytest.approx(ceiling, abs=6e-5)
    assert fidelity(nested(werner(raw), 4)[-1].correlators) > ceiling


def test_errors_of_the_nodes_set_the_ceiling_of_nesting():
    for error, ceiling in ((1e-4, 0.999875), (1e-3, 0.998736)):
        stages = nested(werner(0.95), 40, depolarising=error, readout_error=error)
        assert fidelity(stages[-1].correlators) == pytest.approx(ceiling, abs=2e-6)


def test_slots_are_one_per_level_when_nested_and_two_when_pumped():
    assert [stage.slots for stage in nested(werner(0.9), 3)] == [1, 2, 3, 4]
    assert [stage.slots for stage in pumping(werner(0.9), 3)] == [1, 2, 2, 2]


@pytest.mark.parametrize("schedule", [nested, pumping])
def test_expected_raw_pairs_agree_with_a_simulation(schedule):
    stages = schedule(werner(0.8), 3)
    chances = [float(stage.success) for stage in stages]
    rng = np.random.default_rng(20)

    def make(level):
        spent = 0
        if level == 0:
            return 1
        while True:
            spent += make(level - 1) + (make(level - 1) if schedule is nested else 1)
            if rng.random() < chances[level]:
                return spent

    counts = np.array([make(3) for _ in range(4000)])
    error = counts.std() / np.sqrt(len(counts))
    assert abs(counts.mean() - stages[3].raw_pairs) < 4 * error
    assert error < 0.02 * counts.mean()


def test_stages_are_rounds_of_the_protocol():
    raw, noise = correlators([0.8, 0.1, 0.04, 0.06]), {"depolarising": 0.02, "readout_error": 0.01}
    once = dejmps(raw, raw, **noise)
    twice = dejmps(once.correlators, once.correlators, **noise)
    pumped = dejmps(once.correlators, raw, **noise)
    assert np.array_equal(nested(raw, 2, **noise)[2].correlators, twice.correlators)
    assert np.array_equal(pumping(raw, 2, **noise)[2].correlators, pumped.correlators)
    assert nested(raw, 2, **noise)[2].raw_pairs == pytest.approx(4 / (once.success * twice.success))
    assert pumping(raw, 2, **noise)[2].raw_pairs == pytest.approx((2 / once.success + 1) / pumped.success)


def test_permutations_pay_on_average_but_a_greedy_schedule_can_lose():
    raw = correlators(np.random.default_rng(1).dirichlet([8, 1, 0.3, 2], size=2000))
    plain, permuted = nested(raw, 3), nested(raw, 3, permute=True)
    first, last = (fidelity(permuted[r].correlators) - fidelity(plain[r].correlators) for r in (1, 3))
    assert first.min() >= -1e-12
    assert last.mean() > 0.01
    assert last.min() < -1e-3


def test_lanes_equal_schedules_one_by_one():
    raw = werner([0.8, 0.9, 0.95])
    for schedule in (nested, pumping):
        for lane in range(3):
            alone, together = schedule(raw[lane], 3)[3], schedule(raw, 3)[3]
            assert np.array_equal(together.correlators[lane], alone.correlators)
            assert together.raw_pairs[lane] == alone.raw_pairs


@pytest.mark.parametrize("schedule", [nested, pumping])
@pytest.mark.parametrize("count", [-1, 1.5, True, 10**9, None])
def test_counts_out_of_range_are_refused(schedule, count):
    with pytest.raises(InvalidValue):
        schedule(werner(0.9), count)


@pytest.mark.parametrize("schedule", [nested, pumping])
@pytest.mark.parametrize("raw", [[np.nan, 0, 0], [1, 1, -1], [0.5, 0.5]])
def test_raw_pairs_that_are_none_are_refused(schedule, raw):
    with pytest.raises(InvalidValue, match="raw"):
        schedule(raw, 2)
