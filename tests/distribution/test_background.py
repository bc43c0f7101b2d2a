"""Other traffic makes a program wait as queueing theory says."""

import math

import numpy as np
import pytest
from qiskit import QuantumCircuit

from hyperfabric_q.distribution.background import BackgroundMessages, BackgroundPairs, Beside, _in_order
from hyperfabric_q.distribution.schedule import schedule
from hyperfabric_q.entanglement.elementary import Elementary
from hyperfabric_q.errors import InvalidValue
from hyperfabric_q.fabric import Fabric
from hyperfabric_q.fabric.classical import classical_network
from hyperfabric_q.pipeline import plan as plan_circuit

SERVICE_PS = 8_000_000
"""1000 bytes at 1 Gb/s."""

RUNS = 3000
TIMES = {"gate_1q_ns": 100.0, "gate_2q_ns": 300.0, "readout_ns": 1000.0, "reset_ns": 500.0}


def fabric_of(nodes=3, **link):
    fabric = Fabric.full([2] * nodes, communication_qubits=1, pair_fidelity=0.95)
    fabric = fabric.replace("nodes.*", bandwidth_gbps=1.0, **TIMES)
    return fabric.replace("links.*", **link) if link else fabric


def messages(load, *, source="qpu-0", destination="qpu-1", periodic=False):
    rate = load / (SERVICE_PS * 1e-12)
    return BackgroundMessages(source=source, destination=destination, size_bytes=1000, rate_hz=rate, periodic=periodic)


def beside(*background, fabric=None, links=(), seed=1, horizon=20 * SERVICE_PS, runs=RUNS):
    return Beside(background, fabric or fabric_of(), links, runs=runs, seed=seed, horizon_ps=horizon)


def at(instant, runs=RUNS):
    return np.full(runs, instant, dtype=np.int64)


@pytest.mark.parametrize("load", [0.3, 0.6, 0.8])
@pytest.mark.parametrize("instant", [0, 13 * SERVICE_PS])
def test_a_bit_waits_for_poisson_messages_as_in_the_queue_m_d_1(load, instant):
    waited = beside(messages(load)).wait_ps("qpu-0", "qpu-1", at(instant)) / SERVICE_PS
    expected = load / (2 * (1 - load))
    assert waited.mean() == pytest.approx(expected, abs=4 * waited.std() / math.sqrt(RUNS))
    assert (waited == 0).mean() == pytest.approx(1 - load, abs=4 * math.sqrt(load * (1 - load) / RUNS))


def test_two_poisson_flows_are_one_of_both_rates():
    waited = beside(messages(0.3), messages(0.3)).wait_ps("qpu-0", "qpu-1", at(0)) / SERVICE_PS
    assert waited.mean() == pytest.approx(0.75, abs=4 * waited.std() / math.sqrt(RUNS))


def test_periodic_messages_are_only_in_the_way_while_they_are_sent():
    waited = beside(messages(0.6, periodic=True)).wait_ps("qpu-0", "qpu-1", at(5 * SERVICE_PS)) / SERVICE_PS
    assert waited.max() <= 1
    assert waited.mean() == pytest.approx(0.3, abs=4 * waited.std() / math.sqrt(RUNS))


def test_only_channels_that_are_shared_are_waited_for():
    others = beside(messages(0.6))
    assert others.wait_ps("qpu-1", "qpu-0", at(0)) is None
    assert others.wait_ps("qpu-1", "qpu-2", at(0)) is None
    # From the same source the queue is the source's port; into the same port, what comes is already one by one.
    assert others.wait_ps("qpu-0", "qpu-2", at(0)).mean() == pytest.approx(0.75 * SERVICE_PS, rel=0.1)
    assert others.wait_ps("qpu-2", "qpu-1", at(0)).mean() == pytest.approx(0.3 * SERVICE_PS, rel=0.1)


def test_messages_of_two_sources_queue_where_they_meet():
    others = beside(messages(0.4), messages(0.4, source="qpu-2"), fabric=fabric_of(4), runs=6000)
    waited = others.wait_ps("qpu-3", "qpu-1", at(10 * SERVICE_PS, 6000)) / SERVICE_PS
    # More than what two periodic streams could cause, less than one Poisson stream of both.
    assert 0.4 < waited.mean() < 0.8 / (2 * 0.2)


def test_waits_are_those_of_first_come_first_served_by_hand():
    fabric = fabric_of(2, bandwidth_gbps=1.0, latency_ns=500.0)
    others = beside(messages(0.7), messages(0.2, periodic=True), fabric=fabric, runs=20)
    (queue,) = others._queues.values()
    arrived = queue._arrived.reshape(20, -1) - np.arange(20)[:, None] * queue._span + queue._first
    for instant in (0, 3 * SERVICE_PS, 11 * SERVICE_PS):
        found = others.wait_ps("qpu-0", "qpu-1", at(instant, 20))
        for run in range(20):
            # The first entry is the backlog that a run begins with.
            begun = int(queue._sent[run, 0] - arrived[run, 0])
            pieces = [arrived[run, 0] + 0] if begun else []
            free = pieces[0] + begun if begun else -math.inf
            for each in arrived[run, 1:]:
                if each < instant:
                    free = max(free, each) + SERVICE_PS
            assert found[run] == max(0, free - instant)


@pytest.mark.parametrize("load", [0.3, 0.7])
def test_a_request_waits_for_demands_as_in_the_queue_m_g_1(load):
    link = Elementary(a="qpu-0", b="qpu-1", attempt_ps=1000, success=0.1, herald_ps=500, weights=(1, 0, 0, 0))
    rate = load / (1000 / 0.1 * 1e-12)
    others = beside(BackgroundPairs(a="qpu-1", b="qpu-0", rate_hz=rate), links=(link,), horizon=10**6)
    waited = others.begin_ps(0, at(400_000), at(0)) - 400_000
    # Pollaczek and Khinchine with E[s^2] = (2 - p) / p^2 attempts squared.
    expected = rate * 1e-12 * (2 - 0.1) / 0.1**2 * 1000**2 / (2 * (1 - load))
    assert waited.mean() == pytest.approx(expected, abs=4 * waited.std() / math.sqrt(RUNS))


def test_traffic_is_that_of_the_seed_whatever_the_horizon():
    near, far, other = (
        beside(messages(0.6), horizon=horizon, seed=seed) for horizon, seed in ((10**8, 1), (10**9, 1), (10**8, 2))
    )
    one, same, another = (each.wait_ps("qpu-0", "qpu-1", at(5 * 10**7)) for each in (near, far, other))
    assert (one == same).all()
    assert (one != another).any()


# -------------------------------------------------------------------------------------------------------- programs


def remote(gates):
    circuit = QuantumCircuit(2)
    for _ in range(gates):
        circuit.rx(0.3, 0)
        circuit.rx(0.4, 1)
        circuit.cp(0.7, 0, 1)
    circuit.rx(0.3, [0, 1])
    return circuit


def makespan(circuit, fabric, *, background=(), runs=RUNS, seed=1):
    plan = plan_circuit(circuit, fabric, homes=["qpu-0", "qpu-1"], time_limit_s=0, verify="skipped", seed=0)
    table = schedule(plan.routed, fabric, mode="sampled", runs=runs, seed=seed, background=background)
    return table.makespan_ps


def test_a_teleported_gate_is_later_by_the_wait_of_its_message():
    fabric = fabric_of(2, bandwidth_gbps=1.0, latency_ns=500.0)
    alone = makespan(remote(1), fabric)
    both = [makespan(remote(1), fabric, background=[messages(0.5, source=a, destination=b)]) for a, b in
            (("qpu-0", "qpu-1"), ("qpu-1", "qpu-0"))]  # fmt: skip
    assert np.ptp(alone) == 0
    # One message each way, both on the critical path: M/D/1 with load 1/2 waits half a service.
    for late in both:
        later = (late - alone) / SERVICE_PS
        assert later.mean() == pytest.approx(0.5, abs=4 * later.std() / math.sqrt(RUNS))


def test_demands_for_half_of_a_link_halve_its_rate_for_the_program():
    fabric = fabric_of(2, pair_rate_hz=1e4, latency_ns=10.0)
    gates = 40
    alone = makespan(remote(gates), fabric, runs=100)
    shared = makespan(remote(gates), fabric, background=[BackgroundPairs(a="qpu-0", b="qpu-1", rate_hz=5e3)], runs=100)
    assert alone.mean() == pytest.approx(gates * 1e8, rel=0.1)
    # The first pair finds the steady state, all others the demands of the time that passed.
    assert shared.mean() / alone.mean() == pytest.approx(2, rel=0.08)


def test_background_that_touches_nothing_changes_nothing():
    fabric = fabric_of(3, latency_ns=500.0, pair_rate_hz=1e4)
    others = [BackgroundPairs(a="qpu-1", b="qpu-2", rate_hz=5e3), messages(0.5, source="qpu-2", destination="qpu-1")]
    assert (makespan(remote(2), fabric, runs=50, background=others[:1]) == makespan(remote(2), fabric, runs=50)).all()
    # A message that arrives is in nobody's way on a declared link of its own.
    fabric = fabric.replace("links.*", bandwidth_gbps=1.0)
    assert (makespan(remote(2), fabric, runs=50, background=others[1:]) == makespan(remote(2), fabric, runs=50)).all()


# ------------------------------------------------------------------------------------------------------------- limits


@pytest.mark.parametrize(
    ("background", "text"),
    [
        ([messages(0.6), messages(0.4)], "load of"),
        ([BackgroundPairs(a="qpu-0", b="qpu-1", rate_hz=1e4)], "load of link"),
        ([BackgroundPairs(a="qpu-0", b="qpu-0", rate_hz=1.0)], "link that makes them"),
        (["much"], "sequence of"),
        ("much", "sequence of"),
        ([BackgroundMessages(source="qpu-0", destination="qpu-1", size_bytes=1, rate_hz=1e7)], "arrivals"),
    ],
)
def test_background_that_cannot_be_is_refused(background, text):
    fabric = fabric_of(2, pair_rate_hz=1e4 if text != "arrivals" else 1.0, latency_ns=10.0)
    with pytest.raises(InvalidValue, match=text):
        makespan(remote(1), fabric, background=background, runs=50)


def test_mean_times_have_no_background():
    fabric = fabric_of(2)
    plan = plan_circuit(remote(1), fabric, homes=["qpu-0", "qpu-1"], time_limit_s=0, verify="skipped", seed=0)
    with pytest.raises(InvalidValue, match="sampled"):
        schedule(plan.routed, fabric, background=[messages(0.1)])


@pytest.mark.parametrize("wrong", [{"rate_hz": 0.0}, {"size_bytes": 0}, {"destination": "qpu-0"}])
def test_messages_that_are_none_are_refused(wrong):
    right = {"source": "qpu-0", "destination": "qpu-1", "size_bytes": 10, "rate_hz": 1.0}
    with pytest.raises(InvalidValue):
        BackgroundMessages(**right | wrong)


def test_messages_over_several_links_queue_at_the_first_and_then_follow_chunk_by_chunk():
    fabric = Fabric.line([1, 1, 1], communication_qubits=1, pair_fidelity=0.9).replace("nodes.*", bandwidth_gbps=1.0)
    fabric = fabric.replace("links.*", latency_ns=10.0, bandwidth_gbps=1.0)
    both = [messages(0.3, source="qpu-0", destination="qpu-2"), messages(0.3, source="qpu-2", destination="qpu-0")]
    waited = beside(*both, fabric=fabric).wait_ps("qpu-0", "qpu-2", at(0)) / SERVICE_PS
    # Behind a message on the first link, with chance 0.3, a bit waits for its last chunk of 1 us on the second as well.
    expected = 0.3 / 1.4 + 0.3 * 1e6 / SERVICE_PS
    assert waited.mean() == pytest.approx(expected, abs=4 * waited.std() / math.sqrt(RUNS))


def test_circles_of_channels_are_refused():
    fabric = Fabric.full([1, 1, 1], communication_qubits=1, pair_fidelity=0.9).replace("nodes.*", bandwidth_gbps=1.0)
    network = classical_network(fabric)
    with pytest.raises(InvalidValue, match="circle"):
        _in_order({each: [] for each in range(3)}, [(0, 1), (1, 2), (2, 0)], network)
