"""The laws of all circuits of a mixed plan are those that Aer draws from when it runs the emitted circuits."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import chi2

from hyperfabric_q.execution.assisted import draw_corrections, with_corrections
from hyperfabric_q.execution.dynamic import sample_dynamic
from hyperfabric_q.mixing import laws as laws_module
from hyperfabric_q.mixing.plan import plan_mixed

SHOTS = 3000
SURE = 1e-6
"""How often a right law is taken for wrong."""


def candidate(plan, *, cuts, corrected, pairs):
    """The first way with or without cuts, corrections and pairs."""
    for each in plan.choice.candidates:
        found = (bool(each.way.cut.cuts), bool(each.laws.cast.assisted), each.forecast.ebits > 0)
        if found == (cuts, corrected, pairs):
            return each
    raise AssertionError("there is no such way")


def on_aer(laws, member, shots, seed):
    """How often each place of the layout came when Aer ran the emitted circuit, pairs corrected shot by shot."""
    own = member.variants[0]
    staged = laws.staged(member)
    law, _ = laws.laws((own.fragment, own.group))
    found = np.zeros(law.shape[1], dtype=np.int64)
    groups = draw_corrections(laws.corrections(staged), shots, np.random.default_rng(seed))
    for number, (paulis, sign, hits) in enumerate(groups):
        routed = replace(staged.plan.routed, circuit=with_corrections(staged.plan.routed.circuit, paulis))
        sample = sample_dynamic(
            replace(staged.plan, routed=routed), staged.noise, shots=hits, seed=seed + number, reported=staged.reported
        )
        for key, times in sample.counts.items():
            outcome = np.array([int(key.replace(" ", ""), 2)])
            place = int(laws.frame.place(own.fragment, own.variant, outcome)[0])
            if sign < 0:  # the upper half of the layout holds what counts -1
                place = (place + len(found) // 2) % len(found)
            found[place] += times
    return found, law[own.variant]


def check_law(counts, law):
    assert law.sum() == pytest.approx(1)
    assert not counts[law < 1e-12].any()
    shots = counts.sum()
    likely = law * shots >= 5
    seen, expected = counts[likely].astype(float), law[likely] * shots
    if (~likely).any() and law[~likely].sum() * shots >= 5:
        seen, expected = np.append(seen, counts[~likely].sum()), np.append(expected, law[~likely].sum() * shots)
    distance = ((seen - expected) ** 2 / expected).sum()
    assert distance < chi2.ppf(1 - SURE, max(1, len(seen) - 1)) + 1e-6


NOISY = {"gate_error_1q": 0.01, "gate_error_2q": 0.03, "readout_error": 0.04}


@pytest.mark.parametrize(
    ("cuts", "corrected", "pairs"),
    [
        (False, True, True),
        (True, False, True),
        pytest.param(True, True, True, marks=pytest.mark.slow),
        pytest.param(False, False, True, marks=pytest.mark.slow),
        pytest.param(True, False, False, marks=pytest.mark.slow),
    ],
)
def test_laws_with_errors_are_those_of_aer(chain, in_line, cuts, corrected, pairs):
    plan = plan_mixed(
        chain(4, layers=2, angle=0.7),
        in_line(2, 2, fidelity=0.8, **NOISY),
        observables=["XY@1,2", "Z@3"],
        shots=10_000,
        objective="ebits",
        time_limit_s=0.5,
        seed=1,
    )
    chosen = candidate(plan, cuts=cuts, corrected=corrected, pairs=pairs)
    members = chosen.laws.wanted.members
    for number, member in enumerate((members[0], members[-1])[: 1 if corrected else 2]):
        check_law(*on_aer(chosen.laws, member, SHOTS, seed=10 * number + 1))


@pytest.mark.slow
def test_laws_count_measurements_and_bits_of_the_users(measuring, in_line):
    plan = plan_mixed(
        measuring(), in_line(3, 2, fidelity=0.85, **NOISY), observables=["ZZ@2,4", "X@3"], shots=5000, seed=1
    )
    for cuts in (False, True):
        chosen = candidate(plan, cuts=cuts, corrected=False, pairs=True)
        check_law(*on_aer(chosen.laws, chosen.laws.wanted.members[-1], SHOTS, seed=3))


def test_laws_with_decaying_memories_are_those_of_aer(chain, in_line):
    fabric = in_line(2, 2, fidelity=0.9, rate=2000.0, t1_us=20_000, t2_us=5_000)
    plan = plan_mixed(chain(4), fabric, shots=5000, time_limit_s=0.5, seed=1)
    chosen = candidate(plan, cuts=False, corrected=True, pairs=True)
    assert len(chosen.laws.staged(chosen.laws.wanted[0]).noise.idles) > 0
    check_law(*on_aer(chosen.laws, chosen.laws.wanted[0], SHOTS, seed=5))


@pytest.mark.parametrize(("kind", "sizes"), [("gate_cut", (2, 2)), ("wire_cut", (3, 3))])
def test_the_shortcut_for_perfect_nodes_gives_the_laws_of_their_circuits(chain, in_line, monkeypatch, kind, sizes):
    def cut():
        qubits = sum(sizes) - (kind == "wire_cut")
        return plan_mixed(
            chain(qubits), in_line(*sizes), observables=["XY@1,2", "Z@3"], methods=(kind,), shots=5000, seed=1
        ).chosen.laws

    quick = cut()
    assert quick.work == 0
    assert quick.pieces.cuts
    monkeypatch.setattr("hyperfabric_q.mixing.stage.Stage.is_perfect", lambda *_: False)
    slow = cut()
    assert slow.work == len(slow.wanted)
    for key in slow.keys():  # noqa: SIM118 - not a mapping
        needed = slow.laws(key)[0].sum(axis=1) > 0
        assert needed.any()
        assert np.abs(quick.laws(key)[0] - slow.laws(key)[0])[needed].max() < 1e-10


def test_circuits_too_wide_for_laws_are_sampled_from_the_same_laws(chain, in_line, monkeypatch):
    plan = plan_mixed(
        chain(4, angle=0.9), in_line(2, 2, fidelity=0.8), observables=["Z@3", "ZZ@1,2"], shots=4000, seed=1
    )
    for cuts in (False, True):
        laws = candidate(plan, cuts=cuts, corrected=not cuts, pairs=not cuts).laws
        key = laws.keys()[0]
        law, scale = laws.laws(key)
        needed = {own.variant for each in laws.wanted for own in each.variants if (own.fragment, own.group) == key}
        shots = np.array([2000 if variant in needed else 0 for variant in range(len(law))])
        monkeypatch.setattr(laws_module, "WIDEST", 0)
        sampled = laws.again(method="auto", seed=3)
        assert not sampled.is_listed(laws.wanted[0])
        (tally,) = sampled.draw({key: shots}, np.random.default_rng(1))
        monkeypatch.undo()
        assert (tally.shots == shots).all()
        assert tally.scale[shots > 0] == pytest.approx(scale[shots > 0])
        for variant in sorted(needed):
            check_law(tally.counts[variant], law[variant])
