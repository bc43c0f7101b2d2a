"""Cut circuits as jobs: the same estimates wherever circuits and fragments run, and whatever a store knows."""

import math

import numpy as np
import pytest
from qiskit import QuantumCircuit

import hyperfabric_q as hq
from hyperfabric_q.cutting.branches import branches
from hyperfabric_q.errors import InvalidValue, StoreUnreadable
from hyperfabric_q.execution import cut_jobs
from hyperfabric_q.execution.jobs import Job, task_named
from hyperfabric_q.execution.store import Store

ANGLE, TURN = 0.35, 0.4
OBSERVABLES = ["ZZIIII", "IIZZII"]


def ring(*, feedback=False):
    circuit = QuantumCircuit(6, 1 if feedback else 0)
    circuit.h(range(6))
    for qubit in range(6):
        circuit.rzz(2 * ANGLE, qubit, (qubit + 1) % 6)
    circuit.rx(2 * TURN, range(6))
    if feedback:
        circuit.measure(0, 0)
        with circuit.if_test((circuit.clbits[0], 1)):
            circuit.x(0)
        circuit.reset(1)
    return circuit


@pytest.fixture(scope="module")
def placement():
    fabric = hq.Fabric.full([3, 3]).replace("nodes.*", gate_error_2q=0.01, readout_error=0.02)
    return hq.plan(ring(), fabric, methods=["gate_cut"], seed=1)


@pytest.mark.parametrize("noise", ["fabric", "none"])
@pytest.mark.slow
def test_estimates_are_the_same_with_and_without_executor_and_store(placement, tmp_path, noise, monkeypatch):
    given = {"shots": 6000, "noise": noise, "seed": 3}
    plain = placement.run(OBSERVABLES, **given)
    heard = []
    ways = [
        {"executor": "serial"},
        {"executor": "threads:2", "progress": lambda *told: heard.append(told)},
        {"store": str(tmp_path / "run.db")},
    ]
    for more in ways:
        found = placement.run(OBSERVABLES, **given, **more)
        assert (list(found), found.shots) == (list(plain), plain.shots)
    assert heard[-1][0] == heard[-1][1] > 1
    monkeypatch.setattr(cut_jobs, "sample", None)  # nothing can be run from here on
    monkeypatch.setattr(cut_jobs, "branches", None)
    again = placement.run(OBSERVABLES, **given, store=tmp_path / "run.db", executor="dask://127.0.0.1:1")
    assert list(again) == list(plain)


def test_every_circuit_is_one_outcome_of_the_store(placement, tmp_path):
    found = placement.run("ZZIIII", shots=6000, seed=3, store=tmp_path / "run.db")
    with Store(tmp_path / "run.db") as store:
        rows = list(store.rows())
    assert {row.kind for row in rows} == {"node_sample"}
    assert sum(sum(row.value()["counts"].values()) for row in rows) == found.shots


@pytest.mark.parametrize("feedback", [False, True])
def test_a_fragment_travels_with_its_states(feedback):
    circuit = ring(feedback=feedback)
    plan = hq.cut(circuit, max_qubits=3, methods=["gate_cut", "wire_cut"], seed=1)
    states = cut_jobs.states_of(plan.cut, executor="serial")
    assert len(states) == len(plan.cut.fragments)
    for number, fragment in enumerate(plan.cut.fragments):
        known = branches(fragment)
        assert states[number].amplitudes.tobytes() == known.amplitudes.tobytes()
        assert np.array_equal(states[number].bits, known.bits)


def test_fragments_in_a_store_serve_every_seed_and_the_exact_values(tmp_path):
    plan = hq.cut(ring(), max_qubits=3, methods=["gate_cut"], seed=1)
    file = tmp_path / "run.db"
    exact = plan.run(OBSERVABLES, store=file)
    # Twice ZZ of neighbours on a ring of RZZ on |+>, turned by RX: the law of kicked Ising rings.
    assert exact[0].value == pytest.approx(math.sin(4 * TURN) * math.sin(4 * ANGLE) / 2)
    with Store(file) as store:
        assert len(store) == len(plan.cut.fragments)
    one, other = (plan.run(OBSERVABLES, shots=2000, store=file, seed=seed) for seed in (1, 2))
    assert list(one) == list(plan.run(OBSERVABLES, shots=2000, seed=1))
    assert list(one) != list(other)
    with Store(file) as store:
        assert len(store) == len(plan.cut.fragments)


def test_fragments_too_large_to_carry_are_simulated_here(monkeypatch):
    plan = hq.cut(ring(), max_qubits=3, methods=["gate_cut"], seed=1)
    monkeypatch.setattr(cut_jobs, "MOST_CARRIED", 1)
    assert cut_jobs.states_of(plan.cut, executor="serial") == {}
    assert list(plan.run(OBSERVABLES, executor="serial")) == list(plan.run(OBSERVABLES))


def test_an_interruption_is_passed_on_and_the_store_keeps_what_is_finished(placement, tmp_path):
    def stop(done, _total, _what):
        if done >= 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        placement.run("ZZIIII", shots=6000, seed=3, store=tmp_path / "run.db", executor="serial", progress=stop)
    with Store(tmp_path / "run.db") as store:
        assert len(store) == 2


def test_what_does_not_fit_is_refused(placement, tmp_path):
    stranger = tmp_path / "notes.db"
    stranger.write_bytes(b"shopping list" * 100)
    with pytest.raises(StoreUnreadable):
        placement.run("ZZIIII", shots=6000, store=stranger)
    with pytest.raises(InvalidValue, match="names no executor"):
        placement.run("ZZIIII", shots=6000, executor="ray")
    with pytest.raises(InvalidValue, match="a sampler runs its circuits where it pleases"):
        placement.plan.run("ZZIIII", shots=6000, sampler=object(), executor="serial")


def test_both_tasks_are_found_by_name():
    assert task_named("node_sample").module == task_named("fragment_states").module == cut_jobs.__name__
    assert Job(kind="fragment_states", arguments={"fragment": {}}).version == 1
