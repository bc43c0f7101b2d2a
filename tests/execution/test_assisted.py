"""Signed corrections of noisy pairs: the sum over all of them on Aer is the circuit with perfect pairs."""

import itertools
import math
from dataclasses import replace
from functools import cache
from types import SimpleNamespace

import numpy as np
import pytest
from qiskit import QuantumCircuit
from qiskit.quantum_info import Pauli
from qiskit_aer import AerSimulator

import hyperfabric_q as hq
from hyperfabric_q.distribution.lower import lower
from hyperfabric_q.distribution.network import network_of
from hyperfabric_q.distribution.program import Kind
from hyperfabric_q.distribution.replay import replay
from hyperfabric_q.distribution.steps import Apply, Promote, Release, Settle, Spread
from hyperfabric_q.errors import InvalidValue
from hyperfabric_q.execution.assisted import (
    SignedSample,
    assisted_weights,
    draw_corrections,
    draw_patterns,
    noise_of,
    sample_assisted,
    signed_chances,
    with_corrections,
)
from hyperfabric_q.execution.channel import outcome_chances
from hyperfabric_q.execution.deferred import without_feed_forward
from hyperfabric_q.execution.measured import measured
from hyperfabric_q.execution.noise import with_run_noise
from hyperfabric_q.execution.run_noise import RunNoise
from hyperfabric_q.execution.wires import compact
from hyperfabric_q.fabric import Fabric

A, B, C = "qpu-0", "qpu-1", "qpu-2"
MANY = 10**15
"""So many shots that what is drawn is its chance to seven digits."""


def rows(count, seed):
    """Weights of pairs: any, with I likely."""
    return np.random.default_rng(seed).dirichlet([12, 1, 1, 1], size=count)


def errors(plan, weights, *, local=False):
    assert len(weights) == plan.ebits
    return RunNoise(pair_weights=weights, idles=(), local=local)


def dressed(circuit, seed):
    """The circuit between random gates, so that every error of every pair is seen at the end."""
    rng = np.random.default_rng(seed)
    whole = QuantumCircuit(circuit.num_qubits)
    for part in (None, circuit):
        if part is not None:
            whole.compose(part, inplace=True)
        for qubit in range(circuit.num_qubits):
            whole.u(*rng.uniform(0, 6, 3), qubit)
    return whole


@cache
def plan_called(name):
    circuit = QuantumCircuit(3)
    if name == "packet":
        circuit.cp(0.9, 0, 1)
        circuit.x(0)
        circuit.cz(0, 2)
        made = hq.evaluate(dressed(circuit, 1), line(1, 2), homes=[A, B, B], verify="skipped", seed=1)
        assert made.ebits == 1
    elif name == "two packets":
        circuit.cz(0, 1)
        circuit.u(0.7, 0.3, 1.1, 0)
        circuit.cp(0.8, 0, 2)
        made = hq.evaluate(dressed(circuit, 2), line(1, 2), homes=[A, B, B], verify="skipped", seed=1)
        assert made.ebits == 2
    elif name == "chain":
        circuit.cp(1.1, 0, 2)
        circuit.cp(0.4, 0, 1)
        made = hq.evaluate(dressed(circuit, 3), line(1, 1, 1), homes=[A, B, C], verify="skipped", seed=1)
        assert made.ebits >= 2
        assert {(each.source, each.target) for each in made.packets} >= {(A, B), (B, C)}
    elif name == "promoted":
        circuit.cp(0.9, 0, 1)
        circuit.cp(0.5, 0, 2)
        made = promoted(dressed(circuit, 5))
    else:  # nested: a home moves while the copy of another qubit lives, on which a gate waits for it
        circuit.cp(0.9, 0, 1)
        circuit.cp(0.6, 1, 2)
        circuit.u(0.3, 0.2, 0.1, 2)
        circuit.cp(1.2, 0, 2)
        rows_of_homes = [[A, B, A]] * 3 + [[A, B, B]] * 3
        whole = dressed(circuit, 4)
        homes = rows_of_homes[: whole.depth()] + [[A, B, B]] * max(0, whole.depth() - 6)
        made = hq.evaluate(whole, line(2, 3), homes=homes, verify="skipped", seed=1)
        assert made.moves
        assert 2 <= made.ebits <= 4
    return made


def promoted(circuit):
    """Qubit 0 has copies on two nodes, the second from the first, and its home moves to one while the other lives."""
    fabric = Fabric.full([1, 2, 1], communication_qubits=3, pair_fidelity=0.9)
    made = hq.evaluate(circuit, fabric, homes=[A, B, C], verify="skipped", seed=1)
    steps, home = [], [0, 1, 2]
    for row, (kind, first, second, _, _) in enumerate(made.program.rows()):
        if kind == Kind.CP and second == 1:
            steps += [Spread(0, 0, 1), Spread(0, 1, 2), Apply(row, 1), Promote(0, 1), Settle(0, 1)]
            home[0] = 1
        elif kind == Kind.CP:
            steps += [Apply(row, 2), Release(0, 2)]
        else:
            steps.append(Apply(row, home[first]))
    lowered = lower(made.program, network_of(fabric), np.arange(3, dtype=np.int32), steps)
    return replace(made, lowered=lowered, routed=lowered, replay=replay(lowered.circuit, fabric))


def line(*sizes, **figures):
    fabric = Fabric.line(list(sizes), communication_qubits=3, pair_fidelity=0.9)
    return fabric.replace("nodes.*", **figures) if figures else fabric


PLANS = ("packet", "two packets", "chain", "nested", "promoted")


def density(plan, circuit, noise):
    """The state of the qubits at the end of an emitted circuit with the errors of its pairs, on Aer."""
    circuit = without_feed_forward(with_run_noise(circuit, noise), set())
    circuit = compact(circuit, fixed=[circuit.qubits[wire] for wire in plan.routed.exit])
    circuit.save_density_matrix(list(range(plan.qubits)))
    result = AerSimulator(method="density_matrix", max_parallel_threads=1).run(circuit, shots=1).result()
    return np.asarray(result.data(0)["density_matrix"])


@cache
def by_sign(name):
    """Densities with noisy pairs, summed over all 4^p corrections with their chances, by sign; and gamma."""
    plan, pairs, noise = case(name)
    found = {1: 0.0, -1: 0.0}
    for paulis in itertools.product(range(4), repeat=plan.ebits):
        weight = math.prod(pairs.signed[pair, pauli] for pair, pauli in enumerate(paulis))
        if weight:
            rho = density(plan, with_corrections(plan.routed.circuit, paulis), noise)
            found[1 if weight > 0 else -1] += abs(weight) / pairs.gamma * rho
    return SimpleNamespace(plus=found[1], minus=found[-1], gamma=pairs.gamma)


@cache
def case(name):
    plan = plan_called(name)
    weights = rows(plan.ebits, seed=7)
    which = np.ones(plan.ebits, dtype=bool)
    return plan, assisted_weights(weights, which), errors(plan, weights)


def perfect(count):
    return np.tile([1.0, 0, 0, 0], (count, 1))


# ------------------------------------------------------------------------------------------------- exact, on Aer


@pytest.mark.parametrize("name", PLANS)
def test_noisy_pairs_with_all_signed_corrections_are_perfect_pairs(name):
    plan, _, noise = case(name)
    ideal = density(plan, plan.routed.circuit, errors(plan, perfect(plan.ebits)))
    signs = by_sign(name)
    assert np.abs(signs.gamma * (signs.plus - signs.minus) - ideal).max() < 1e-9
    assert np.abs(density(plan, plan.routed.circuit, noise) - ideal).max() > 1e-2, "the errors count"
    assert np.abs(signs.plus + signs.minus - ideal).max() > 1e-2, "the signs count"


@pytest.mark.parametrize("name", PLANS)
def test_chances_by_sign_are_those_of_all_corrections(name):
    plan, _, noise = case(name)
    complete, reported = measured(plan)
    plus, minus, gamma = signed_chances(complete, noise, np.ones(plan.ebits, dtype=bool), reported=reported)
    signs = by_sign(name)
    assert gamma == pytest.approx(signs.gamma)
    assert sum(plus.values()) + sum(minus.values()) == pytest.approx(1)
    for mine, state in ((plus, signs.plus), (minus, signs.minus)):
        expected = {f"{index:0{plan.qubits}b}": chance for index, chance in enumerate(np.diag(state).real)}
        assert all(mine[key] == pytest.approx(expected[key], abs=1e-9) for key in expected)


@pytest.mark.parametrize("local", [False, True])
def test_pairs_that_are_not_chosen_stay_as_they_are(local):
    plan = hq.evaluate(
        plan_called("chain").circuit,
        line(1, 1, 1, gate_error_1q=0.01, gate_error_2q=0.02, readout_error=0.03),
        homes=[A, B, C],
        verify="skipped",
        seed=1,
    )
    weights, which = rows(plan.ebits, seed=3), np.arange(plan.ebits) % 2 == 0
    complete, reported = measured(plan)
    plus, minus, gamma = signed_chances(complete, errors(plan, weights, local=local), which, reported=reported)
    left = np.where(which[:, None], (1.0, 0, 0, 0), weights)
    expected = outcome_chances(complete, errors(plan, left, local=local), reported=reported)
    assert {key: gamma * (plus[key] - minus[key]) for key in plus} == pytest.approx(expected, abs=1e-9)


# -------------------------------------------------------------------------------------------------------- corrections


@pytest.mark.parametrize("fidelity", [0.3, 0.6, 0.9, 0.999, 1.0])
def test_gamma_of_werner_pairs(fidelity):
    rest = (1 - fidelity) / 3
    pairs = assisted_weights([(fidelity, rest, rest, rest)] * 3, [True, True, False])
    assert pairs.gammas == pytest.approx([(5 - 2 * fidelity) / (4 * fidelity - 1)] * 2 + [1])
    assert pairs.gamma == pytest.approx(((5 - 2 * fidelity) / (4 * fidelity - 1)) ** 2)
    assert pairs.chance_minus[:2] == pytest.approx((1 - 1 / pairs.gammas[:2]) / 2)
    assert pairs.chance_minus[2] == 0


def test_corrections_undo_the_error_of_their_pair():
    weights = rows(40, seed=1)
    pairs = assisted_weights(weights, np.ones(40, dtype=bool))
    paulis = [Pauli(letter).to_matrix() for letter in "IXYZ"]
    rho = np.array([[0.7, 0.1 + 0.3j], [0.1 - 0.3j, 0.3]])

    def channel(chances, state):
        return sum(chance * pauli @ state @ pauli for chance, pauli in zip(chances, paulis, strict=True))

    for pair, row in enumerate(weights):
        noisy, minus = channel(row, rho), pairs.chance_minus[pair]
        plus_part, minus_part = channel(pairs.plus[pair], noisy), channel(pairs.minus[pair], noisy)
        undone = pairs.gammas[pair] * ((1 - minus) * plus_part - minus * minus_part)
        assert np.abs(undone - rho).max() < 1e-12
    for part in (pairs.plus, pairs.minus, pairs.either):
        assert (part >= 0).all()
        assert part.sum(axis=1) == pytest.approx(np.ones(40))


def test_an_error_that_is_always_the_same_costs_nothing_to_undo():
    pairs = assisted_weights([(0.0, 1.0, 0.0, 0.0)], [True])
    assert pairs.gamma == 1
    noise = RunNoise(pair_weights=np.array([[0.0, 1.0, 0.0, 0.0]]), idles=(), local=False)
    (pattern,) = draw_patterns(pairs, 50, np.random.default_rng(1))
    assert (pattern.sign, pattern.shots) == (1, 50)
    assert noise_of(noise, pairs, pattern.states).pair_weights.tolist() == [[1.0, 0.0, 0.0, 0.0]]


def test_a_pair_that_is_no_pair_cannot_be_corrected_but_left_alone():
    weights = [(0.9, 0.1, 0.0, 0.0), (0.25, 0.25, 0.25, 0.25)]
    with pytest.raises(InvalidValue, match="erase"):
        assisted_weights(weights, [True, True])
    assert assisted_weights(weights, [True, False]).gamma == pytest.approx(1.25)


@pytest.mark.parametrize("which", [[True], [1, 0], [[True, False]], None])
def test_each_pair_is_chosen_or_not(which):
    with pytest.raises(InvalidValue, match="which"):
        assisted_weights(rows(2, seed=1), which)


@pytest.mark.parametrize("paulis", [[0] * 9, [4, 0], [-1, 0]])
def test_each_pair_has_one_correction(paulis):
    with pytest.raises(InvalidValue, match="paulis"):
        with_corrections(plan_called("two packets").routed.circuit, paulis)


def test_corrections_stand_on_the_receiving_half_right_after_their_pair():
    emitted = plan_called("two packets").routed.circuit
    corrected = with_corrections(emitted, [2, 0])
    names = [step.operation.name for step in corrected.data]
    first = names.index("bell_pair")
    assert names[first + 1] == "y"
    assert corrected.data[first + 1].qubits == corrected.data[first].qubits[1:]
    assert len(corrected.data) == len(emitted.data) + 1


# -------------------------------------------------------------------------------------------------------------- drawn


def law_of_corrections(pairs):
    """The chance of every (corrections, sign), by multiplying out."""
    return {
        (
            paulis,
            1 if (weight := math.prod(row[pauli] for row, pauli in zip(pairs.signed, paulis, strict=True))) > 0 else -1,
        ): abs(weight) / pairs.gamma
        for paulis in itertools.product(range(4), repeat=len(pairs.signed))
    }


@pytest.mark.parametrize("which", [[True, True, True, True], [False, True, True, False], [False] * 4])
def test_device_shots_have_the_chances_of_their_corrections(which):
    pairs = assisted_weights(rows(4, seed=5), which)
    law = {key: chance for key, chance in law_of_corrections(pairs).items() if chance}
    drawn = draw_corrections(pairs, MANY, np.random.default_rng(2))
    assert len({tuple(each.paulis) for each in drawn}) == len(drawn) <= len(law)
    found = {(tuple(each.paulis.tolist()), each.sign): each.shots / MANY for each in drawn}
    assert found == pytest.approx(law, abs=1e-6)
    few = draw_corrections(pairs, 37, np.random.default_rng(2))
    assert sum(each.shots for each in few) == 37


@pytest.mark.parametrize("which", [[True, True, True, True], [True, False, True, False], [False] * 4])
def test_simulated_groups_have_the_chances_of_device_shots(which):
    """Group by group the corrections are independent, with negative chances never, and their sum is the whole law."""
    weights = rows(4, seed=6)
    pairs = assisted_weights(weights, which)
    noise = RunNoise(pair_weights=weights, idles=(), local=False)
    drawn = draw_patterns(pairs, MANY, np.random.default_rng(3))
    assert len(drawn) == 2 * sum(which) + 1
    product = np.array([[a ^ b for b in range(4)] for a in range(4)])
    expected, found = {}, {}
    for (paulis, sign), chance in law_of_corrections(pairs).items():  # the pairs' errors come on top
        for flaws in itertools.product(range(4), repeat=4):
            left = tuple(product[a, b] for a, b in zip(paulis, flaws, strict=True))
            own = chance * math.prod(weights[pair, flaw] for pair, flaw in enumerate(flaws))
            expected[left, sign] = expected.get((left, sign), 0.0) + own
    for states, sign, hits in drawn:
        after = noise_of(noise, pairs, states).pair_weights
        for left in itertools.product(range(4), repeat=4):
            own = hits / MANY * math.prod(after[pair, pauli] for pair, pauli in enumerate(left))
            found[left, sign] = found.get((left, sign), 0.0) + own
    assert all(found.get(key, 0.0) == pytest.approx(expected.get(key, 0.0), abs=1e-6) for key in {*found, *expected})


def test_many_shots_of_many_pairs_are_few_runs():
    pairs = assisted_weights(rows(500, seed=8), np.ones(500, dtype=bool))
    drawn = draw_patterns(pairs, 10_000_000, np.random.default_rng(1))
    assert len(drawn) <= 1001
    assert sum(each.shots for each in drawn) == 10_000_000


# ------------------------------------------------------------------------------------------------------------ sampled


def parity(key):
    return (-1.0) ** key.count("1")


def exact_parity(plan):
    complete, reported = measured(plan)
    chances = outcome_chances(complete, errors(plan, perfect(plan.ebits)), reported=reported)
    return sum(chance * parity(key) for key, chance in chances.items())


def samples_of(plan, *, method, shots, seeds):
    complete, reported = measured(plan)
    weights = rows(plan.ebits, seed=7)
    which = np.ones(plan.ebits, dtype=bool)
    for seed in seeds:
        yield sample_assisted(
            complete, errors(plan, weights), which, method=method, shots=shots, seed=seed, reported=reported
        )


def test_estimates_are_unbiased_and_their_bars_cover():
    plan = plan_called("two packets")
    truth = exact_parity(plan)
    scores = []
    for found in samples_of(plan, method="channel", shots=400, seeds=range(120)):
        assert found.shots == 400
        estimate = found.estimate(parity)
        scores.append((estimate.value - truth) / estimate.stderr)
    assert abs(np.mean(scores)) < 4 / math.sqrt(120)
    assert 0.85 < np.std(scores) < 1.15
    assert np.mean(np.abs(scores) < 1.96) > 0.89


@pytest.mark.parametrize("method", ["dynamic", "channel"])
def test_counts_by_sign_have_their_exact_chances(method):
    plan, _, noise = case("packet")
    (found,) = samples_of(plan, method=method, shots=4000, seeds=[5])
    complete, reported = measured(plan)
    plus, minus, gamma = signed_chances(complete, noise, [True], reported=reported)
    assert found.gamma == pytest.approx(gamma)
    assert len(found.samples) <= 3
    for counts, chances in ((found.plus, plus), (found.minus, minus)):
        for key, chance in chances.items():
            assert abs(counts.get(key, 0) - 4000 * chance) < 5 * math.sqrt(4000 * chance + 1)
    quasi = found.quasi()
    assert quasi["000"] == pytest.approx(gamma * (found.plus["000"] - found.minus.get("000", 0)) / 4000)


def test_clifford_circuits_of_any_width():
    qubits = 40
    circuit = QuantumCircuit(qubits)
    circuit.h(0)
    for qubit in range(qubits - 1):
        circuit.cx(qubit, qubit + 1)
    homes = [A] * (qubits // 2) + [B] * (qubits // 2)
    plan = hq.evaluate(circuit, line(qubits // 2, qubits // 2), homes=homes, verify="skipped", seed=1)
    (found,) = samples_of(plan, method="clifford", shots=20_000, seeds=[1])
    joined = found.estimate(lambda key: float(len(set(key)) == 1))
    assert abs(joined.value - 1) < 5 * joined.stderr
    assert joined.stderr < 0.02
    assert any(len(set(key)) > 1 for key in found.plus)


def test_without_chosen_pairs_it_is_one_run_as_it_is():
    plan, _, noise = case("two packets")
    complete, reported = measured(plan)
    found = sample_assisted(complete, noise, [False, False], method="channel", shots=100, seed=1, reported=reported)
    assert (found.gamma, len(found.samples), found.minus) == (1, 1, {})


def test_same_seed_same_counts():
    plan = plan_called("packet")
    first, again, other = (next(samples_of(plan, method="channel", shots=300, seeds=[seed])) for seed in (1, 1, 2))
    assert (first.plus, first.minus) == (again.plus, again.minus)
    assert (first.plus, first.minus) != (other.plus, other.minus)


def test_the_bar_of_shots_that_all_agree_is_not_zero():
    sample = SignedSample(plus={"00": 100}, minus={}, gamma=1.0, samples=())
    assert 0.005 < sample.estimate(lambda key: 1.0).stderr < 0.03
    assert sample.estimate(lambda key: 1.0).value == 1
