"""Falling behind: utilisation, trends, Terhal's slowdown, and who may be admitted."""

import warnings

import numpy as np
import pytest

from hyperfabric_q.errors import BacklogWarning, InvalidValue
from hyperfabric_q.fabric import Fabric, HardwareType, Link, NodeSignature
from hyperfabric_q.workloads.qec.background import Background
from hyperfabric_q.workloads.qec.backlog import (
    admit,
    backlog,
    decoder_load,
    md1_wait,
    most_blocks,
    slowdown,
    smoothed,
    trend,
    utilisation,
)
from hyperfabric_q.workloads.qec.codes import rotated_surface_code
from hyperfabric_q.workloads.qec.decoders import Fixed
from hyperfabric_q.workloads.qec.decoding import Decoding
from hyperfabric_q.workloads.qec.frame_loop import run_frame
from hyperfabric_q.workloads.qec.loop import Loop
from hyperfabric_q.workloads.qec.replay import replay
from hyperfabric_q.workloads.qec.transport import Transport


def fabric(**qpu):
    return Fabric(
        nodes=(
            NodeSignature("qpu", HardwareType.QUANTUM_QPU, 100.0, 0.0, compute_units=100, **qpu),
            NodeSignature("decoder", HardwareType.CPU_SERVER, 100.0, 0.0),
        ),
        links=(Link("qpu", "decoder", bandwidth_gbps=100.0, latency_ns=0.0),),
    )


def test_formulas_have_their_known_values():
    assert md1_wait(0.5, 10.0) == pytest.approx(5.0)
    assert md1_wait(0.8, 83.9) == pytest.approx(2 * 83.9)
    assert slowdown(1.1, 50) == pytest.approx(117.39, abs=0.01)
    assert slowdown(0.9, 50) == 1.0
    with pytest.raises(InvalidValue, match="stable"):
        md1_wait(1.0, 1.0)


def test_smoothing_halves_at_its_half_life():
    step = np.concatenate([[0.0], np.ones(16)])
    assert smoothed(step, half_life=16.0)[-1] == pytest.approx(0.5)
    assert utilisation([3.0] * 5, [2.0] * 5, servers=3) == pytest.approx(0.5)
    assert utilisation([], []) == 0.0


def test_the_slope_test_is_least_squares():
    rng = np.random.default_rng(1)
    depths = 0.3 * np.arange(60) + rng.normal(size=60)
    found = trend(depths)
    slope, covariance = (
        np.polyfit(np.arange(60), depths, 1, cov=True)[0][0],
        np.polyfit(np.arange(60), depths, 1, cov=True)[1],
    )
    assert found.slope == pytest.approx(slope)
    assert found.t == pytest.approx(slope / np.sqrt(covariance[0, 0]))
    assert found.grows
    assert not trend(rng.normal(size=60)).grows
    assert not trend(np.arange(10.0)).grows  # too few windows
    assert trend(np.arange(30.0)).grows
    assert not trend(np.full(30, 4.0)).grows
    assert not trend(-np.arange(30.0)).grows


def test_slow_decoders_are_noticed_and_quick_ones_are_not():
    def timeline(service_ns):
        decoding = Decoding(service=Fixed(service_ns), commit=1)
        return replay(Transport(), decoding, cycle_ns=1000.0, bits=8, branches=(100,))

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        quick = backlog(timeline(900.0))
    assert quick.rho == pytest.approx(0.9)
    assert quick.deepest <= 1
    with pytest.warns(BacklogWarning, match=r"utilisation 1.5; the queue grows \(\+0.33"):
        slow = backlog(timeline(1500.0))
    assert slow.rho == pytest.approx(1.5)
    assert slow.slowdown == pytest.approx(1.5**50)


def test_waiting_gates_slow_down_as_terhal_says():
    """With f rounds generated per round decoded, gate k comes at f times the round of gate k - 1."""
    ratio, gates, first = 1.1, 30, 1500
    decoding = Decoding(service=Fixed(1100.0), commit=1)
    found = replay(
        Transport(), decoding, cycle_ns=1000.0, bits=8, branches=tuple(range(first, first + gates + 1)), seed=1
    )
    positions = found.branches[0]
    assert positions[-1] / positions[0] == pytest.approx(slowdown(ratio, gates), rel=0.03)
    growth = positions[1:] / positions[:-1]
    assert growth == pytest.approx(ratio, abs=0.005)


@pytest.mark.slow
def test_fifty_gates_slow_down_a_hundredfold():
    found = replay(
        Transport(),
        Decoding(service=Fixed(1100.0), commit=1),
        cycle_ns=1000.0,
        bits=8,
        branches=tuple(range(900, 951)),
    )
    assert found.branches[0, -1] / found.branches[0, 0] == pytest.approx(117.39, rel=0.03)


def test_admission_is_by_the_bound_and_the_decoders():
    quick = Decoding(service=Fixed(1000.0), commit=5, servers=4)
    shared = Transport(
        fabric=fabric(),
        blocks=("qpu",) * 10,
        decoder="decoder",
        background=(Background(source="qpu", destination="decoder", load=0.8),),
        deadline_us=10.0,
    )
    admitted = admit(shared, quick, cycle_ns=1100.0, bits=48)
    assert admitted.admitted
    assert admitted.worst_us == pytest.approx(10 * 84 * 80e-6 + 1.0, rel=0.01)
    assert admitted.rho == pytest.approx(10 * 1.0 / (4 * 5.5))
    assert decoder_load(quick, 1_100_000, 22) == pytest.approx(1.0)
    # 22 blocks load the decoders fully; the link would take 163 of them.
    assert most_blocks(shared, quick, cycle_ns=1100.0, bits=48) == 21
    many = Decoding(service=Fixed(1000.0), commit=5, servers=1000)
    assert most_blocks(shared, many, cycle_ns=1100.0, bits=48) == (1_100_000 - 1) // (84 * 80)
    tight = Transport(fabric=fabric(), blocks=("qpu",) * 10, decoder="decoder", deadline_us=1.6)
    assert "may take" in admit(tight, many, cycle_ns=1100.0, bits=48).reason
    fifo = Transport(fabric=fabric(), blocks=("qpu",), decoder="decoder", background=shared.background, policy="fifo")
    assert not admit(fifo, quick, cycle_ns=1100.0, bits=48).admitted


def test_a_decoder_slower_than_the_rounds_is_warned_of_or_refused():
    experiment = rotated_surface_code(3, 6, p=0.003)
    slow = Loop(window=(3, 3), service=Fixed(6600.0))
    with pytest.warns(BacklogWarning, match=r"every 3300 ns each, and one takes 6600 ns .* utilisation 2, slowdown"):
        run_frame(experiment, slow, 10, seed=1)
    with pytest.raises(InvalidValue, match="slower than the rounds"):
        run_frame(experiment, Loop(window=(3, 3), service=Fixed(6600.0), strict=True), 10, seed=1)


def test_a_cycle_longer_than_the_coherence_time_is_refused():
    given = Transport(fabric=fabric(t2_us=1.0), blocks=("qpu",), decoder="decoder")
    with pytest.raises(InvalidValue, match=r"cycle_ns = 1100.0: .*'qpu' keeps them for 1000 ns"):
        run_frame(rotated_surface_code(3, 3), Loop(transport=given), 10, seed=1)
