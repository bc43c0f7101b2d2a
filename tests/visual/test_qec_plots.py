"""The figures draw the numbers that they were given."""

import io
from collections import Counter

import numpy as np
import pytest
import sinter

from hyperfabric_q.errors import InvalidValue
from hyperfabric_q.visual import qec_plots
from hyperfabric_q.workloads.qec.decoders import Fixed
from hyperfabric_q.workloads.qec.latencies import latencies
from hyperfabric_q.workloads.qec.loop import Loop
from hyperfabric_q.workloads.qec.memories import Memory
from hyperfabric_q.workloads.qec.one_link import one_link
from hyperfabric_q.workloads.qec.outcomes import Outcome


def outcome(errors, **record):
    return Outcome.of(
        sinter.TaskStats(
            strong_id=str(record),
            decoder="matching",
            json_metadata={"r": 3, **record},
            shots=1000,
            errors=errors,
            custom_counts=Counter(),
        )
    )


def lines(figure):
    """What is drawn: x, y and label of each line with error bars."""
    (axes,) = figure.axes
    drawn = [each.lines[0] for each in axes.containers]
    labels = [each.get_label() for each in axes.containers]
    return {label: (list(each.get_xdata()), list(each.get_ydata())) for label, each in zip(labels, drawn, strict=True)}


def test_rates_are_drawn_against_p_one_line_per_distance():
    found = [outcome(80, d=3, p=0.01), outcome(20, d=3, p=0.005), outcome(40, d=5, p=0.01), outcome(5, d=5, p=0.005)]
    figure = qec_plots.rate_against_p(found)
    drawn = lines(figure)
    assert list(drawn) == ["d = 3", "d = 5"]
    assert drawn["d = 3"][0] == [0.005, 0.01]
    assert drawn["d = 3"][1] == [found[1].per_round.value, found[0].per_round.value]
    assert (figure.axes[0].get_xscale(), figure.axes[0].get_yscale()) == ("log", "log")
    bars = figure.axes[0].containers[0].lines[2][0].get_segments()
    assert [tuple(each[:, 1]) for each in bars] == [pytest.approx(found[at].interval()) for at in (1, 0)]
    picture = io.BytesIO()
    figure.savefig(picture)
    assert picture.getvalue().startswith(b"\x89PNG")


def test_points_without_errors_are_upper_limits():
    drawn = lines(qec_plots.rate_against_p([outcome(0, d=3, p=0.001), outcome(9, d=3, p=0.01)]))
    assert drawn["d = 3"][1][0] == outcome(0, d=3, p=0.001).interval()[1]


def test_runs_without_a_link_have_no_load():
    found = [outcome(9, d=3, load=0, policy="fabric", link_gbps=None)]
    found += [
        outcome(errors, d=3, load=load, policy=policy, link_gbps=100.0)
        for load, policy, errors in ((0.8, "fifo", 90), (0.4, "fifo", 30), (0.8, "fabric", 10))
    ]
    drawn = lines(qec_plots.rate_against_load(found))
    assert drawn["d = 3, policy = fifo"][0] == [0.4, 0.8]
    assert drawn["d = 3, policy = fabric"][0] == [0.8]
    fidelity = lines(qec_plots.rate_against_fidelity([outcome(9, d=3, basis="Z", F=0.9), outcome(9, d=3, p=0.01)]))
    assert fidelity == {"d = 3, basis = Z": ([0.9], [outcome(9).per_round.value])}
    with pytest.raises(InvalidValue, match="at least one outcome"):
        qec_plots.rate_against_fidelity(found)


@pytest.fixture(scope="module")
def slow_decoder():
    loop = Loop(transport=one_link(100.0, blocks=4, latency_ns=200.0), window=(3, 0), service=Fixed(700.0))
    return latencies(Memory().experiment(), loop, seed=1).timelines


def test_the_latency_curve_rises_to_the_share_that_arrived(slow_decoder):
    figure = qec_plots.latency_cdf({"idle": slow_decoder}, deadline_us=10.0)
    curve, deadline = figure.axes[0].get_lines()
    times, shares = curve.get_xdata(), curve.get_ydata()
    assert len(times) == 4 * 9
    assert shares[-1] == 1.0
    for at in (0.2, 0.2068, 0.2202):
        share = np.mean(slow_decoder[0].one_way_ps() <= at * 1e6)
        assert shares[np.searchsorted(times, at, side="right") - 1] * (at >= times[0]) == pytest.approx(share)
    assert set(deadline.get_xdata()) == {10.0}


def test_backlog_is_drawn_over_time(slow_decoder):
    figure = qec_plots.backlog_over_time({"one decoder": slow_decoder[0]})
    (curve,) = figure.axes[0].get_lines()
    windows = slow_decoder[0].windows
    assert max(curve.get_ydata()) == 3  # four blocks are ready at about the same time, and one is begun
    assert curve.get_ydata()[-1] == 0
    assert curve.get_xdata()[-1] == pytest.approx(windows[:, 5].max() / 1e6)
