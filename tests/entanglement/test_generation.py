"""Generation: every formula against photons counted one by one in Fock space, and the closed forms of the docs."""

import itertools
import math
import re
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
from scipy.linalg import expm

from hyperfabric_q.entanglement.generation import (
    Attempt,
    Deterministic,
    DoubleClick,
    MidpointSource,
    Scheme,
    SingleClick,
    Transducer,
    generation_scheme,
    generation_schemes,
    one_click,
)
from hyperfabric_q.entanglement.memory import Carried
from hyperfabric_q.entanglement.purification import epl
from hyperfabric_q.entanglement.state import density_matrix
from hyperfabric_q.errors import InvalidValue, UnknownName
from hyperfabric_q.fabric import Link, link_preset, link_presets, node_preset, node_presets
from hyperfabric_q.units import FIBRE_GROUP_INDEX, VACUUM_M_PER_S

DOCS = Path(__file__).parents[2] / "docs" / "generation.md"

X, Z = np.array([[0, 1], [1, 0]]), np.diag([1, -1])
BELL = np.array([[1, 0, 0, 1], [0, 1, 1, 0], [0, 1, -1, 0], [1, 0, 0, -1]]) / math.sqrt(2)


# -------------------------------------------------- an oracle that knows nothing of the formulas: photons in Fock space


class Photons:
    """Memories and photons as a polynomial in creation operators: {(memory state, modes in order): coefficient}."""

    def __init__(self, terms):
        self.terms = dict(terms)

    def through(self, rule):
        """Replace each creation operator: ``rule(mode)`` returns [(mode, amplitude), ...], or None to leave it."""
        out = defaultdict(complex)
        for (spins, modes), amplitude in self.terms.items():
            choices = [rule(mode) or [(mode, 1.0)] for mode in modes]
            for combination in itertools.product(*choices):
                factor = math.prod(each[1] for each in combination)
                out[spins, tuple(sorted(each[0] for each in combination))] += amplitude * factor
        return Photons(out)

    def conditioned(self, weight):
        """Return the memories' matrix, unnormalised, when photon numbers n are seen with probability ``weight(n)``."""
        size = 2 ** len(next(iter(self.terms))[0])
        by_count = defaultdict(lambda: np.zeros(size, complex))
        for (spins, modes), amplitude in self.terms.items():
            bosons = math.prod(math.factorial(modes.count(mode)) for mode in set(modes))
            by_count[modes][int("".join(map(str, spins)), 2)] += amplitude * math.sqrt(bosons)
        rho = np.zeros((size, size), complex)
        for modes, vector in by_count.items():
            rho += weight(modes) * np.outer(vector, vector.conj())
        return rho


def lossy(source, efficiency):
    return lambda mode: (
        [((*mode[:-1], "alive"), math.sqrt(efficiency)), ((*mode[:-1], "lost"), math.sqrt(1 - efficiency))]
        if mode[0] == source
        else None
    )


def packets(sources, visibility):
    """All photons in wave packet 0, except for the part of those of ``sources`` that does not overlap with it."""
    return lambda mode: (
        [((*mode, 0), math.sqrt(visibility)), ((*mode, 1), math.sqrt(1 - visibility))]
        if mode[0] in sources and mode[-1] == "alive"
        else [((*mode, 0), 1.0)]
    )


def splitter(plus, minus):
    """50:50: the photons of ``plus`` leave as (c + d)/√2, those of ``minus`` as (c - d)/√2; the rest stay."""

    def rule(mode):
        if "alive" not in mode or mode[0] not in (plus, minus):
            return None
        sign = 1 if mode[0] == plus else -1
        return [(("c", *mode[1:]), math.sqrt(0.5)), (("d", *mode[1:]), sign * math.sqrt(0.5))]

    return rule


def clicks_as(wanted, dark, windows, spots=("c", "d")):
    """The probability that exactly the detectors (spot, window) in ``wanted`` click."""

    def weight(modes):
        chance = 1.0
        for spot in spots:
            for window in windows:
                lit = any(mode[0] == spot and mode[1] == window and "alive" in mode for mode in modes)
                click = 1.0 if lit else dark
                chance *= click if (spot, window) in wanted else 1 - click
        return chance

    return weight


def weights_in_bell_basis(rho):
    """The weights (pI, pX, pY, pZ) of a matrix over |00>, |01>, |10>, |11>."""
    return np.real(np.einsum("ki,ij,kj->k", BELL, rho, BELL))


def counted_single(a, b, eta_a, eta_b, visibility, dark, phase):
    state = Photons(
        {
            ((0, 0), ()): math.sqrt((1 - a) * (1 - b)),
            ((1, 0), (("A", 0, ""),)): math.sqrt(a * (1 - b)),
            ((0, 1), (("B", 0, ""),)): math.sqrt((1 - a) * b) * np.exp(1j * phase),
            ((1, 1), (("A", 0, ""), ("B", 0, ""))): math.sqrt(a * b) * np.exp(1j * phase),
        }
    )
    for rule in (lossy("A", eta_a), lossy("B", eta_b), packets("B", visibility), splitter("A", "B")):
        state = state.through(rule)
    plus = state.conditioned(clicks_as({("c", 0)}, dark, [0]))
    minus = state.conditioned(clicks_as({("d", 0)}, dark, [0]))
    undo = np.kron(np.eye(2), Z)
    return plus + undo @ minus @ undo


def counted_double(eta_a, eta_b, visibility, dark):
    state = Photons({((i, j), (("A", i, ""), ("B", j, ""))): 0.5 for i in (0, 1) for j in (0, 1)})
    for rule in (lossy("A", eta_a), lossy("B", eta_b), packets("B", visibility), splitter("A", "B")):
        state = state.through(rule)
    rho = np.zeros((4, 4), complex)
    for first, second in itertools.product("cd", repeat=2):
        part = state.conditioned(clicks_as({(first, 0), (second, 1)}, dark, [0, 1]))
        undo = np.kron(X @ (Z if first != second else np.eye(2)), np.eye(2))
        rho += undo @ part @ undo.conj().T
    return rho


CASES = [
    # eta_a, eta_b, visibility, dark
    (0.3, 0.3, 1.0, 0.0),
    (0.9, 0.4, 0.81, 0.0),
    (0.02, 0.05, 0.9, 1e-4),
    (0.5, 0.7, 0.0, 0.03),
    (1.0, 1.0, 0.5, 0.1),
]


def photonic(kind, eta_a, eta_b, visibility, dark, **more):
    """A scheme whose arms have these efficiencies: the source of the loss is the fibre, unequal by the station."""
    loss_a, loss_b = (-10 * math.log10(each) for each in (eta_a, eta_b))
    total = loss_a + loss_b
    fields = {"visibility": visibility, "dark_count_probability": dark, **more}
    if total == 0:
        return kind(distance_m=1.0, attenuation_db_per_km=0.0, **fields)
    return kind(distance_m=1000.0, attenuation_db_per_km=total, station_fraction=loss_a / total, **fields)


@pytest.mark.parametrize(("eta_a", "eta_b", "visibility", "dark"), CASES)
@pytest.mark.parametrize(("a", "b"), [(0.05, 0.05), (0.3, 0.1), (0.5, 0.9)])
def test_single_click_is_what_counted_photons_give(eta_a, eta_b, visibility, dark, a, b):
    rho = counted_single(a, b, eta_a, eta_b, visibility, dark, 0.0)
    scheme = photonic(SingleClick, eta_a, eta_b, visibility, dark, bright_population=a, bright_population_b=b)
    made = scheme.heralded()
    success = np.trace(rho).real
    assert made.success == pytest.approx(success, rel=1e-12)
    assert np.abs(made.density_matrix() - rho / success).max() < 1e-12
    turned = np.kron(np.eye(2), X) @ rho @ np.kron(np.eye(2), X) / success
    assert made.weights == pytest.approx(weights_in_bell_basis(turned), abs=1e-12)
    assert scheme.attempt().success == pytest.approx(success, rel=1e-12)


def test_phase_noise_is_the_mean_over_gaussian_phases():
    sigma, nodes = 0.4, np.polynomial.hermite_e.hermegauss(40)
    rho = sum(
        weight / math.sqrt(2 * math.pi) * counted_single(0.2, 0.2, 0.5, 0.5, 0.9, 1e-3, sigma * phase)
        for phase, weight in zip(*nodes, strict=True)
    )
    scheme = photonic(SingleClick, 0.5, 0.5, 0.9, 1e-3, bright_population=0.2, phase_noise_rad=sigma)
    assert np.abs(scheme.heralded().density_matrix() - rho / np.trace(rho)).max() < 1e-12


@pytest.mark.parametrize(("eta_a", "eta_b", "visibility", "dark"), CASES)
def test_double_click_is_what_counted_photons_give_and_bell_diagonal_without_a_twirl(eta_a, eta_b, visibility, dark):
    rho = counted_double(eta_a, eta_b, visibility, dark)
    made = photonic(DoubleClick, eta_a, eta_b, visibility, dark).attempt()
    success = np.trace(rho).real
    assert made.success == pytest.approx(success, rel=1e-12)
    assert made.weights == pytest.approx(weights_in_bell_basis(rho / success), abs=1e-12)
    in_bell_basis = BELL @ rho @ BELL.T
    assert np.abs(in_bell_basis - np.diag(np.diag(in_bell_basis))).max() < 1e-14


def test_imperfect_spin_photon_pairs_are_spins_depolarised_before_the_herald():
    fidelity, (eta_a, eta_b, visibility, dark) = 0.92, CASES[2]
    flip = (1 - fidelity) / 3
    paulis = [np.eye(2), X, 1j * X @ Z, Z]
    kraus = [math.sqrt(each) * pauli for each, pauli in zip([fidelity, flip, flip, flip], paulis, strict=True)]
    rho = counted_double(eta_a, eta_b, visibility, dark)
    noisy = sum(np.kron(k, m) @ rho @ np.kron(k, m).conj().T for k in kraus for m in kraus)
    made = photonic(DoubleClick, eta_a, eta_b, visibility, dark, spin_photon_fidelity=fidelity).attempt()
    assert made.weights == pytest.approx(weights_in_bell_basis(noisy / np.trace(noisy).real), abs=1e-12)


# ----------------------------------------------------------------------------------------------------- transducer noise


@pytest.mark.parametrize("visibility", [1.0, 0.6, 0.0])
def test_thermal_noise_of_a_transducer_is_what_counted_photons_give(visibility):
    a, eta, mean, dark = 0.2, 0.4, 2e-3, 1e-3
    rho = np.zeros((4, 4), complex)
    for k, m in itertools.product(range(4), repeat=2):
        chance = mean**k / (1 + mean) ** (k + 1) * mean**m / (1 + mean) ** (m + 1)
        noise = (("NA", 0, ""),) * k + (("NB", 0, ""),) * m
        norm = math.sqrt(chance / (math.factorial(k) * math.factorial(m)))
        state = Photons(
            {
                ((0, 0), noise): (1 - a) * norm,
                ((1, 0), (("A", 0, ""), *noise)): math.sqrt(a * (1 - a)) * norm,
                ((0, 1), (("B", 0, ""), *noise)): math.sqrt(a * (1 - a)) * norm,
                ((1, 1), (("A", 0, ""), ("B", 0, ""), *noise)): a * norm,
            }
        )

        # The thermal-loss channel as a beam splitter that mixes the signal with a thermal mode.
        def mixed(mode):
            arm, side = mode[0][-1], math.sqrt(eta)
            other = math.sqrt(1 - eta)
            alive, lost = (arm, 0, "alive"), (arm, 0, "lost")
            return [(alive, other), (lost, -side)] if mode[0][0] == "N" else [(alive, side), (lost, other)]

        for rule in (mixed, packets("B", visibility), splitter("A", "B")):
            state = state.through(rule)
        undo = np.kron(np.eye(2), Z)
        rho += state.conditioned(clicks_as({("c", 0)}, dark, [0]))
        rho += undo @ state.conditioned(clicks_as({("d", 0)}, dark, [0])) @ undo
    made = Transducer(
        distance_m=0.0,
        operation_ns=1.0,
        transduction_efficiency=eta,
        added_noise_photons=(1 - eta) * mean,
        visibility=visibility,
        dark_count_probability=dark,
        bright_population=a,
    ).heralded()
    assert made.success == pytest.approx(np.trace(rho).real, abs=1e-9)
    assert np.abs(made.density_matrix() - rho / np.trace(rho)).max() < 1e-8


def test_strong_thermal_noise_agrees_with_truncated_matrices():
    levels, dark, etas, means = 12, 0.02, (0.6, 0.3), (0.1, 0.07)
    down = np.diag(np.sqrt(np.arange(1, levels)), 1)
    one = np.eye(levels)

    def mixer(angle):
        first, second = np.kron(down, one), np.kron(one, down)
        return expm(angle * (first @ second.T - first.T @ second))

    lossy_mixers = {eta: mixer(math.acos(math.sqrt(eta))) for eta in etas}

    def arm(eta, mean, ket, bra):
        thermal = np.diag(mean ** np.arange(levels) / (1 + mean) ** (np.arange(levels) + 1))
        signal = np.zeros((levels, levels))
        signal[ket, bra] = 1.0
        mix = lossy_mixers[eta]
        whole = (mix @ np.kron(signal, thermal) @ mix.T).reshape(levels, levels, levels, levels)
        return np.einsum("ikjk->ij", whole)

    silent = np.zeros((levels, levels))
    silent[0, 0] = 1.0
    no_click, meet = (1 - dark) * silent, mixer(-math.pi / 4)
    seen = meet.T @ np.kron(one - no_click, no_click) @ meet

    def element(ket_a, ket_b, bra_a, bra_b):
        return np.trace(seen @ np.kron(arm(etas[0], means[0], ket_a, bra_a), arm(etas[1], means[1], ket_b, bra_b)))

    noise = [(1 - eta) * mean for eta, mean in zip(etas, means, strict=True)]
    made = one_click(*etas, dark=dark, noise_a=noise[0], noise_b=noise[1])
    assert made.vacuum == pytest.approx(element(0, 0, 0, 0), abs=1e-9)
    assert made.a == pytest.approx(element(1, 0, 1, 0), abs=1e-9)
    assert made.b == pytest.approx(element(0, 1, 0, 1), abs=1e-9)
    assert made.both == pytest.approx(element(1, 1, 1, 1), abs=1e-8)
    assert abs(made.cross) == pytest.approx(abs(element(1, 0, 0, 1)), abs=1e-9)


def test_a_transducer_without_noise_is_the_plain_scheme_with_its_efficiency():
    common = {"distance_m": 5e3, "visibility": 0.9, "dark_count_probability": 1e-6}
    single = Transducer(**common, transduction_efficiency=0.1, bright_population=0.2).attempt()
    assert single == SingleClick(**common, emission_efficiency=0.1, bright_population=0.2).attempt()
    double = Transducer(**common, transduction_efficiency=0.1, clicks=2).attempt()
    assert double == DoubleClick(**common, emission_efficiency=0.1).attempt()


def test_tiny_dark_counts_and_noise_keep_their_digits():
    dark = one_click(1e-8, 1e-8, dark=1e-13)
    assert dark.vacuum == pytest.approx(1e-13, rel=1e-12, abs=0)
    noise = one_click(1e-8, 1e-8, noise_a=1e-13, noise_b=3e-13)
    assert noise.vacuum == pytest.approx(2e-13, rel=1e-11, abs=0)


# ------------------------------------------------------------------------------------------------------ midpoint source


def counted_midpoint(own, arrives, visibility, dark, pairs):
    """Both loaders as Bell measurements with a photon of the memory's own: four photons, eight detectors."""
    rho = np.zeros((4, 4), complex)
    for chance, modes in ((1 - pairs, None), (pairs, "pair")):
        terms = {}
        for i, j in itertools.product((0, 1), repeat=2):
            memories = (("MA", i, ""), ("MB", j, ""))
            for window in (0, 1) if modes else (None,):
                source = () if window is None else (("SA", window, ""), ("SB", window, ""))
                norm = math.sqrt(chance) * 0.5 * (math.sqrt(0.5) if source else 1.0)
                terms[(i, j), memories + source] = norm
        state = Photons(terms)
        for rule in (lossy("MA", own), lossy("MB", own), lossy("SA", arrives), lossy("SB", arrives)):
            state = state.through(rule)
        state = state.through(packets(("SA", "SB"), visibility))
        for node in "AB":

            def meet(mode, node=node):
                if mode[0] not in ("M" + node, "S" + node) or "alive" not in mode:
                    return None
                sign = 1 if mode[0][0] == "M" else -1
                return [(("c" + node, *mode[1:]), math.sqrt(0.5)), (("d" + node, *mode[1:]), sign * math.sqrt(0.5))]

            state = state.through(meet)
        for pattern in itertools.product("cd", repeat=4):
            wanted = {(pattern[0] + "A", 0), (pattern[1] + "A", 1), (pattern[2] + "B", 0), (pattern[3] + "B", 1)}
            part = state.conditioned(clicks_as(wanted, dark, [0, 1], ("cA", "dA", "cB", "dB")))
            undo = np.kron(
                X @ (Z if pattern[0] != pattern[1] else np.eye(2)), X @ (Z if pattern[2] != pattern[3] else np.eye(2))
            )
            rho += undo @ part @ undo.T
    return rho


@pytest.mark.parametrize(
    ("own", "arrives", "visibility", "dark", "pairs"), [(1.0, 1.0, 1.0, 0.0, 1.0), (0.5, 0.3, 0.8, 0.02, 0.4)]
)
def test_loading_by_bell_measurement_is_what_four_counted_photons_give(own, arrives, visibility, dark, pairs):
    rho = counted_midpoint(own, arrives, visibility, dark, pairs)
    made = MidpointSource(
        distance_m=0.0,
        operation_ns=1.0,
        loading="bell-measurement",
        load_efficiency=own,
        collection_efficiency=arrives,
        visibility=visibility,
        dark_count_probability=dark,
        pair_probability=pairs,
    ).attempt()
    success = np.trace(rho).real
    assert made.success == pytest.approx(success, rel=1e-12)
    assert made.weights == pytest.approx(weights_in_bell_basis(rho / success), abs=1e-12)


def test_absorbed_photons_and_false_heralds_add_up_case_by_case():
    p, eta, taken, dark, fidelity = 0.3, 0.2, 0.6, 0.01, 0.95
    scheme = MidpointSource(
        distance_m=0.0,
        operation_ns=1.0,
        pair_probability=p,
        collection_efficiency=eta,
        load_efficiency=taken,
        dark_count_probability=dark,
        source_fidelity=fidelity,
    )
    total, good = 0.0, 0.0
    for there, at_a, at_b in itertools.product((True, False), repeat=3):
        loads = eta * taken if there else 0.0
        chance = p if there else 1 - p
        for loaded in (at_a, at_b):
            chance *= loads if loaded else (1 - loads) * dark
        total += chance
        good += chance if at_a and at_b else 0.0
    made = scheme.attempt()
    assert made.success == pytest.approx(total, rel=1e-12)
    # Here, and only here, dark counts mix in the maximally mixed state: (p F + p_dc / 4) / (p + p_dc).
    assert made.fidelity == pytest.approx((good * fidelity + (total - good) / 4) / total, rel=1e-12)


def test_a_train_counts_only_pulses_that_both_nodes_latch_first():
    fields = {
        "distance_m": 0.0,
        "operation_ns": 1.0,
        "pair_probability": 0.6,
        "collection_efficiency": 0.5,
        "dark_count_probability": 0.05,
    }
    p, arrives, dark, pulses = 0.6, 0.5, 0.05, 4
    heard = arrives + (1 - arrives) * dark
    joint = {
        (x, y): p * (heard if x else 1 - heard) * (heard if y else 1 - heard)
        + (1 - p) * (dark if x else 1 - dark) * (dark if y else 1 - dark)
        for x in (True, False)
        for y in (True, False)
    }
    pair, apart = 0.0, 0.0
    for run in itertools.product(joint, repeat=pulses):
        chance = math.prod(joint[each] for each in run)
        first = [next((k for k, each in enumerate(run) if each[node]), None) for node in (0, 1)]
        pair += chance if first[0] is not None and first[0] == first[1] else 0.0
        apart += chance if first[0] != first[1] else 0.0
    scheme = MidpointSource(**fields, pulses=pulses)
    assert scheme.attempt().success == pytest.approx(pair, rel=1e-12)
    assert scheme.latched_apart == pytest.approx(apart, rel=1e-12)
    assert scheme.attempt().weights == MidpointSource(**fields).attempt().weights


# -------------------------------------------------------------------------------------------------------- deterministic


@pytest.mark.parametrize("share", [0.5, 0.3])
def test_a_half_emitted_photon_that_may_be_lost_gives_the_state_of_amplitude_damping(share):
    eta, spoiled = 0.8, 0.97
    emitted = np.array([0, math.sqrt(share), math.sqrt(1 - share), 0])  # |01>: the photon is at B; |10>: A kept it
    keep, lose = np.diag([1, math.sqrt(eta)]), np.array([[0, math.sqrt(1 - eta)], [0, 0]])
    rho = np.zeros((4, 4))
    for kraus in (keep, lose):
        vector = np.kron(np.eye(2), X @ kraus) @ emitted
        rho += np.outer(vector, vector)
    w = (4 * spoiled - 1) / 3
    made = Deterministic(
        distance_m=0.0, operation_ns=1.0, absorption_efficiency=eta, emitted_share=share, operation_fidelity=spoiled
    ).attempt()
    expected = w * weights_in_bell_basis(rho) + (1 - w) / 4
    assert made.weights == pytest.approx(expected, abs=1e-12)
    assert made.success == 1.0


def test_the_closed_forms_of_a_lossy_microwave_photon():
    eta = 0.75
    fields = {"distance_m": 0.0, "operation_ns": 1.0, "absorption_efficiency": eta}
    assert Deterministic(**fields).attempt().fidelity == pytest.approx((1 + math.sqrt(eta)) ** 2 / 4)
    best = eta / (1 + eta)
    assert Deterministic(**fields, emitted_share=best).attempt().fidelity == pytest.approx((1 + eta) / 2)
    for near in (best - 0.01, best + 0.01):
        assert Deterministic(**fields, emitted_share=near).attempt().fidelity < (1 + eta) / 2


# -------------------------------------------------------------- closed forms, and the error of the usual approximations


def test_single_click_closed_form_and_the_error_of_its_approximation():
    for a, eta in ((0.05, 0.01), (0.2, 0.3), (0.4, 0.9)):
        made = photonic(SingleClick, eta, eta, 1.0, 0.0, bright_population=a).attempt()
        assert made.success == pytest.approx(2 * a * eta - (a * eta) ** 2, rel=1e-12)
        assert made.fidelity == pytest.approx((1 - a) / (1 - a * eta / 2), rel=1e-12)
        assert 0 <= made.fidelity - (1 - a) <= (1 - a) * a * eta
    for visibility in (0.9, 0.5):
        a, eta = 0.1, 0.2
        made = photonic(SingleClick, eta, eta, visibility, 0.0, bright_population=a).attempt()
        bend = (3 - visibility) / 4 * a * eta
        assert made.success == pytest.approx(2 * a * eta * (1 - bend), rel=1e-12)
        assert made.fidelity == pytest.approx((1 - a) * (1 + math.sqrt(visibility)) / 2 / (1 - bend), rel=1e-12)


def test_double_click_without_dark_counts_loses_no_fidelity_to_loss():
    for eta_a, eta_b, visibility in ((0.5, 0.1, 0.9), (1e-3, 1e-3, 0.8), (1.0, 1.0, 1.0)):
        made = photonic(DoubleClick, eta_a, eta_b, visibility, 0.0).attempt()
        assert made.success == pytest.approx(eta_a * eta_b / 2, rel=1e-12)
        assert made.weights == pytest.approx(((1 + visibility) / 2, 0, 0, (1 - visibility) / 2), abs=1e-12)


def test_the_usual_mixture_for_dark_counts_errs_as_the_page_says():
    eta, visibility, dark = 1e-2, 0.9, 1e-5
    made = photonic(DoubleClick, eta, eta, visibility, dark).attempt()
    good = eta**2 / 2 * (1 - dark) ** 2
    usual = (good * (1 + visibility) / 2 + (made.success - good) / 4) / made.success
    gap = eta**2 * (1 + visibility) * dark * (1 - dark) ** 2 / (8 * made.success)
    assert usual - made.fidelity == pytest.approx(gap, rel=1e-6)
    # One click: a dark count leaves |00> most of the time, whose fidelity is no quarter.
    a, eta, dark = 0.05, 1e-3, 1e-5
    clean = photonic(SingleClick, eta, eta, 1.0, 0.0, bright_population=a).attempt()
    made = photonic(SingleClick, eta, eta, 1.0, dark, bright_population=a).attempt()
    extra = made.success - clean.success
    usual = (clean.success * clean.fidelity + extra / 4) / made.success
    assert usual - made.fidelity == pytest.approx(extra / made.success * (0.25 - a * (1 - a)), rel=1e-2)


def test_carried_terms_feed_distillation_of_two_single_click_pairs():
    """Campbell and Benjamin 2008: two pairs that held a common phase leave no |11>, whatever the loss."""
    scheme = photonic(SingleClick, 0.01, 0.01, 1.0, 0.0, bright_population=0.3)
    made = scheme.heralded()
    carried = made.carried
    assert isinstance(carried, Carried)
    x_on_b = np.kron(np.eye(2), X)
    whole = x_on_b @ made.density_matrix() @ x_on_b
    z_a, z_b = np.kron(Z, np.eye(2)), np.kron(np.eye(2), Z)
    assert float(carried.za) == pytest.approx(np.trace(z_a @ whole))
    assert float(carried.zb) == pytest.approx(np.trace(z_b @ whole))
    twirled = np.diag(np.diag(BELL @ whole @ BELL.T))
    assert np.abs(density_matrix(carried.correlators) - BELL.T @ twirled @ BELL).max() < 1e-12
    out = epl(carried, carried)
    assert float(out.success) == pytest.approx((made.p01 + made.p10) ** 2 / 2, rel=1e-9)


# ----------------------------------------------------------------------------------------------------- times and fields


def test_times_are_those_of_light_and_whole_picoseconds():
    length, light = 10_000.0, 10_000.0 * FIBRE_GROUP_INDEX / VACUUM_M_PER_S * 1e12
    scheme = SingleClick(distance_m=length, reset_ns=2_000, operation_ns=500)
    made = scheme.attempt()
    assert made.herald_ps == round(light)
    assert made.attempt_ps == round(light) + 2_500_000
    aside = SingleClick(distance_m=length, station_fraction=0.2).attempt()
    assert aside.herald_ps == round(1.6 * light)
    bins = DoubleClick(distance_m=length, bin_separation_ns=300, reset_ns=2_000).attempt()
    assert bins.herald_ps == round(light) + 300_000
    assert bins.attempt_ps == bins.herald_ps + 2_000_000
    train = MidpointSource(distance_m=length, pulses=11, pulse_separation_ns=10).attempt()
    assert train.attempt_ps - train.herald_ps == 100_000


def test_link_fields_make_a_link_that_states_the_same():
    scheme = DoubleClick(distance_m=2_000.0, visibility=0.95, emission_efficiency=0.1, dark_count_probability=1e-6)
    made, fields = scheme.attempt(), scheme.link_fields()
    assert set(fields) == {"distance_m", "pair_weights", "pair_rate_hz", "pair_attempt_ns"}
    link = Link("a", "b", **fields)
    assert link.pair_weights == made.weights
    assert link.pair_rate_hz * link.pair_attempt_ns / 1e9 == pytest.approx(made.success, rel=1e-12)
    assert made.rate_hz == pytest.approx(made.success / made.attempt_ps * 1e12)


# ------------------------------------------------------------------------------------------------------------ bad input


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("distance_m", -1.0),
        ("distance_m", float("nan")),
        ("distance_m", "1 km"),
        ("visibility", 1.5),
        ("emission_efficiency", 0.0),
        ("detection_efficiency", True),
        ("dark_count_probability", 1.0),
        ("modes", 0),
        ("modes", 2.0),
        ("reset_ns", -1),
        ("station_fraction", 1.1),
        ("group_index", 0.9),
        ("bright_population", 1.0),
        ("bright_population_b", 0.0),
    ],
)
def test_a_parameter_out_of_range_is_refused_by_name(field, value):
    with pytest.raises(InvalidValue, match=field):
        SingleClick(**{"distance_m": 1000.0, field: value})


def test_other_impossible_schemes_are_refused():
    with pytest.raises(InvalidValue, match="loading"):
        MidpointSource(distance_m=1.0, loading="magic")
    with pytest.raises(InvalidValue, match="clicks"):
        Transducer(distance_m=1.0, clicks=3)
    with pytest.raises(InvalidValue, match="clicks"):
        Transducer(distance_m=1.0, clicks=2).heralded()
    with pytest.raises(InvalidValue, match="attempt_ps"):
        SingleClick(distance_m=0.0).attempt()
    with pytest.raises(InvalidValue, match="success = 0"):
        DoubleClick(distance_m=1e9).attempt()
    with pytest.raises(InvalidValue, match="weights"):
        Attempt(success=0.5, attempt_ps=1, herald_ps=0, weights=(0.5, 0.5, 0.5, 0.5))
    with pytest.raises(UnknownName, match="single-click"):
        generation_scheme("single-clik")
    with pytest.raises(TypeError, match="abstract"):
        Scheme(distance_m=1.0)
    assert list(generation_schemes) == [
        "deterministic",
        "double-click",
        "midpoint-source",
        "single-click",
        "transducer",
    ]


# ------------------------------------------------------------------------------------------------------------- the page


with_docs = pytest.mark.skipif(not DOCS.exists(), reason="the source archive carries no documentation")


@with_docs
def test_the_snippets_of_the_page_run():
    cells = re.findall(r"```\{code-cell\} ipython3\n(.*?)```", DOCS.read_text(), flags=re.DOTALL)
    assert cells
    space = {"print": lambda *_: None}
    for cell in cells:
        exec(compile(cell, str(DOCS), "exec"), space)  # noqa: S102 - our own documentation


@with_docs
def test_the_preset_tables_of_the_page_are_those_of_the_package():
    text = DOCS.read_text()
    for name in link_presets:
        assert row(link_preset(name)) in text, f"put this row into docs/generation.md: {row(link_preset(name))}"
    for name in node_presets:
        assert row(node_preset(name)) in text, f"put this row into docs/generation.md: {row(node_preset(name))}"


def row(preset):
    figures = ", ".join(
        f"{name} {value:g}{' (unchecked)' if name in preset.unchecked else ''}" for name, value in preset.fields.items()
    )
    return f"| `{preset.name}` | {figures} | {preset.kind} | {preset.year} | {preset.source} | {preset.note} |"
