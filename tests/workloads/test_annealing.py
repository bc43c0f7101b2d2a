"""Problems, certain answers, bounds and constraints, against dimod's own solver and walks of our own."""

import dimod
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hyperfabric_q import Fabric
from hyperfabric_q.errors import InvalidValue, SimulationRefused, UnknownName
from hyperfabric_q.workloads.annealing import public as annealing
from hyperfabric_q.workloads.annealing.exact import by_tree, enumerated
from hyperfabric_q.workloads.annealing.problems import MAGIC, MOST_VARIABLES


def lowest_by_gray_code(matrix):
    """The optimum by walking all assignments one flip at a time, with running local fields."""
    count = len(matrix)
    symmetric = matrix + matrix.T - 2 * np.diag(np.diag(matrix))
    local, bits, energy, best = np.diag(matrix).copy(), np.zeros(count, dtype=int), 0.0, 0.0
    for step in range(1, 1 << count):
        flip = (step & -step).bit_length() - 1
        sign = 1 - 2 * bits[flip]
        energy += sign * local[flip]
        bits[flip] ^= 1
        local += sign * symmetric[flip]
        best = min(best, energy)
    return best


def drawn(random, count, density=0.5):
    return np.triu(random.normal(size=(count, count)) * (random.random((count, count)) < density))


def refused(problem, **options):
    with pytest.raises(InvalidValue) as fault:
        annealing.solve(problem, **options)
    return str(fault.value)


# -------------------------------------------------------------------------------------------------------- exact answers


def test_the_optimum_of_200_random_problems_is_found_and_proved():
    random = np.random.default_rng(10)
    for number in range(200):
        matrix = drawn(random, int(random.integers(1, 21)), random.choice([0.2, 0.5, 1.0]))
        answer = annealing.solve(matrix, seed=number)
        chosen = np.array([answer.sample[each] for each in range(len(matrix))])
        assert answer.energy == pytest.approx(chosen @ matrix @ chosen, abs=1e-9)
        assert (answer.bound_by, answer.gap, answer.optimal) == ("enumeration", 0.0, True)
        if len(matrix) <= 10:
            assert answer.energy == pytest.approx(lowest_by_gray_code(matrix), abs=1e-9)
        elif number % 20 == 0:
            found = dimod.ExactSolver().sample(annealing.read_problem(matrix)).first
            assert answer.energy == pytest.approx(found.energy, abs=1e-9)
        else:  # every flip of one or two variables, and a hundred reads of another solver, find nothing lower
            other = annealing.solve(matrix, solver="steepest_descent", seed=number)
            assert answer.energy <= other.energy + 1e-9
            assert other.bound == pytest.approx(answer.energy, abs=1e-9)


def test_enumeration_lists_the_lowest_assignments_in_order_across_its_blocks():
    random = np.random.default_rng(1)
    matrix = drawn(random, 19)
    bqm = annealing.read_problem(matrix)
    found = enumerated(bqm)
    bits = ((np.arange(1 << 19)[:, None] >> np.arange(19)) & 1).astype(float)
    every = np.sort(((bits @ matrix) * bits).sum(axis=1))[: len(found)]
    assert len(found) == 16
    assert found.record.energy == pytest.approx(every, abs=1e-9)
    spins = enumerated(bqm.spin)
    assert set(np.unique(spins.record.sample)) == {-1, 1}
    assert spins.record.energy == pytest.approx(every, abs=1e-8)


def test_a_sparse_problem_of_many_variables_is_solved_for_certain_along_a_tree():
    # A chain whose optimum follows by dynamic programming, with 120 variables.
    random = np.random.default_rng(2)
    single, bond = random.normal(size=120), random.normal(size=119)
    best = np.array([0.0, single[0]])
    for weight, own in zip(bond, single[1:], strict=True):
        best = np.array([best.min(), min(best[0], best[1] + weight) + own])
    matrix = np.diag(single) + np.diag(bond, 1)
    answer = annealing.solve(matrix, seed=3)
    assert (answer.solver, answer.bound_by, answer.optimal) == ("tree", "tree decomposition", True)
    assert answer.energy == pytest.approx(best.min(), abs=1e-9)
    assert by_tree(annealing.read_problem(drawn(random, 60))) is None


# --------------------------------------------------------------------------------------------------------------- bounds


@settings(deadline=None, derandomize=True, max_examples=60)
@given(
    count=st.integers(1, 9), seed=st.integers(0, 2**31), density=st.floats(0, 1), scale=st.sampled_from([1e-6, 1, 1e6])
)
def test_no_bound_is_above_the_optimum(count, seed, density, scale):
    random = np.random.default_rng(seed)
    matrix = drawn(random, count, density) * scale
    if seed % 3 == 0:
        matrix = np.round(matrix)  # ties, and zeros
    bqm = annealing.read_problem(matrix)
    bqm.offset = scale * float(random.normal())
    best = lowest_by_gray_code(matrix) + bqm.offset
    bounds = annealing.all_bounds(bqm)
    assert {each.by for each in bounds} <= {"split", "roof dual", "spectral"}
    for each in bounds:
        assert each.value <= best + 1e-15 * scale
    assert annealing.lower_bound(bqm).value == max(each.value for each in bounds)
    assert [each.value for each in annealing.all_bounds(bqm.spin)] == pytest.approx([each.value for each in bounds])


def test_the_roof_dual_of_a_submodular_problem_is_its_optimum_and_beats_the_halves():
    random = np.random.default_rng(5)
    matrix = -np.abs(drawn(random, 12))
    matrix[np.diag_indices(12)] = random.uniform(0, 6, 12)
    values = {each.by: each.value for each in annealing.all_bounds(annealing.read_problem(matrix))}
    assert values["roof dual"] == pytest.approx(lowest_by_gray_code(matrix), abs=1e-9)
    assert values["split"] < values["roof dual"] - 0.1


def test_the_spectral_bound_of_a_frustrated_triangle_is_the_semidefinite_one():
    # Three antiferromagnetic bonds: the optimum is -1, the relaxation puts spins 120 degrees apart, at -3/2.
    bqm = dimod.BinaryQuadraticModel.from_ising({}, {(0, 1): 1.0, (1, 2): 1.0, (0, 2): 1.0})
    values = {each.by: each.value for each in annealing.all_bounds(bqm)}
    assert values["spectral"] == pytest.approx(-1.5, abs=0.02)
    assert values["spectral"] <= -1.5


def test_a_problem_of_150_variables_is_answered_with_its_gap():
    matrix = drawn(np.random.default_rng(7), 150, 0.2)
    answer = annealing.solve(matrix, seed=1)
    again = annealing.solve(matrix, seed=1, solver="simulated_annealing")
    assert (answer.solver, answer.bound_by) == ("simulated_annealing", "spectral")
    assert 0 < answer.gap < 0.1 * abs(answer.energy)
    assert not answer.optimal
    assert answer.bound < answer.energy == again.energy
    assert dict(answer.sample) == dict(again.sample)
    assert answer.samples.record.num_occurrences.sum() == 100
    chosen = np.array([answer.sample[each] for each in range(150)])
    assert answer.energy == pytest.approx(chosen @ matrix @ chosen)


# ---------------------------------------------------------------------------------------------------------- constraints


def test_one_hot_groups_are_kept_by_a_derived_penalty_and_broken_by_one_too_small():
    random = np.random.default_rng(3)
    groups = [[f"{decision}{option}" for option in range(3)] for decision in "abcd"]
    names = [each for group in groups for each in group]
    for _ in range(20):
        matrix = random.normal(size=(12, 12)) - 1.5  # every option pays: without constraints all are taken
        objective = {(names[i], names[j]): matrix[i, j] for i in range(12) for j in range(i, 12)}
        answer = annealing.solve(objective, one_hot=groups, seed=1)
        best = min(
            sum(objective[names[i], names[j]] for i in chosen for j in chosen if i <= j)
            for chosen in ([a, 3 + b, 6 + c, 9 + d] for a, b, c, d in np.ndindex(3, 3, 3, 3))
        )
        assert answer.feasible
        assert answer.violated == ()
        assert answer.energy == pytest.approx(best, abs=1e-9)
        assert answer.objective == pytest.approx(best, abs=1e-9)
    weak = annealing.solve(objective, one_hot=groups, penalty=1e-3, seed=1)
    assert not weak.feasible
    assert not weak.penalty_sufficient
    assert len(weak.violated) > 0
    assert weak.feasible_share < 1
    assert any("large enough" in note for note in weak.notes)


def test_a_knapsack_keeps_its_inequalities():
    values, weights, room = [6, 5, 8, 9, 6, 7], [2, 3, 6, 7, 5, 9], 15
    best = max(
        sum(v for v, each in zip(values, chosen, strict=True) if each)
        for chosen in np.ndindex(*[2] * 6)
        if sum(w for w, each in zip(weights, chosen, strict=True) if each) <= room and chosen[4] + chosen[5] >= 1
    )
    model = dimod.ConstrainedQuadraticModel()
    x = [dimod.Binary(f"x{each}") for each in range(6)]
    model.set_objective(-sum(v * each for v, each in zip(values, x, strict=True)))
    model.add_constraint(sum(w * each for w, each in zip(weights, x, strict=True)) <= room, label="room")
    model.add_constraint(x[4] + x[5] >= 1, label="one of two")
    answer = annealing.solve(model, seed=1)
    assert answer.objective == -best
    assert answer.feasible
    assert list(answer.sample) == [f"x{each}" for each in range(6)]
    assert answer.variables > 6  # slack
    half = dimod.ConstrainedQuadraticModel()
    half.add_constraint(0.5 * x[0] <= 1, label="half")
    assert "not whole" in refused(half)


# ------------------------------------------------------------------------------------------------------ forms and files


def test_every_form_of_a_problem_is_the_same_problem():
    matrix = np.array([[-1.0, 2.0, 0.0], [0.0, 0.5, -3.0], [0.0, 0.0, 1.0]])
    bqm = annealing.read_problem(matrix)
    text = "# a comment\n0 0 -1\n0 1 2e0\n\n1 1 .5\n1 2 -3\n2 2 1\n"
    pairs = {(0, 0): -1, (0, 1): 2, (1, 1): 0.5, (1, 2): -3, (2, 2): 1}
    assert annealing.read_problem(text) == annealing.read_problem(pairs) == bqm
    assert annealing.read_problem(annealing.file_bytes(bqm)) == bqm
    assert annealing.read_problem(np.tril(matrix.T)).is_almost_equal(bqm)
    ising = annealing.read_problem(({0: 0.5}, {(0, 1): -1.0}))
    assert ising == annealing.read_problem("# vartype=SPIN\n0 0 0.5\n0 1 -1\n")
    assert annealing.solve(ising, seed=1).sample == {0: -1, 1: -1}


@settings(deadline=None, derandomize=True, max_examples=30)
@given(count=st.integers(1, 12), seed=st.integers(0, 2**31), named=st.booleans(), spins=st.booleans())
def test_a_file_comes_back_byte_for_byte(count, seed, named, spins):
    bqm = annealing.read_problem(drawn(np.random.default_rng(seed), count))
    if named:
        bqm.relabel_variables({each: f"v{each}" for each in range(count)})
    bqm = bqm.spin.copy() if spins else bqm
    written = annealing.file_bytes(bqm)
    again = annealing.read_problem(written)
    assert again == bqm
    assert annealing.file_bytes(again) == written


def test_damaged_files_are_refused_whatever_is_damaged():
    written = annealing.file_bytes(annealing.read_problem(drawn(np.random.default_rng(4), 9)))
    for length in range(0, len(written) - 64, 7):
        assert "bytes" in refused(written[:length])
    random = np.random.default_rng(6)
    for _ in range(300):
        damaged = bytearray(written)
        damaged[int(random.integers(len(damaged)))] ^= int(1 << random.integers(8))
        try:
            bqm = annealing.read_problem(bytes(damaged))
        except (InvalidValue, SimulationRefused):
            continue
        assert bqm.num_variables <= 9  # a weight or a comment changed, never the shape
    huge = written.replace(b'"shape": [9, ', b'"shape": [9999999999, ')
    assert huge != written
    with pytest.raises((SimulationRefused, InvalidValue)):
        annealing.read_problem(MAGIC + huge[len(MAGIC) :])


def test_malformed_problems_and_options_are_refused_with_what_was_found():
    assert "line 2" in refused("0 0 1\n0 one 1\n")
    assert "not a finite number" in refused({("a", "b"): float("inf")})
    assert "square" in refused([[1.0, 2.0]])
    assert "nothing to decide" in refused({})
    assert "pairs" in refused({"a": 1.0})
    assert "dimod" in refused(object())
    assert "begins with DIMODBQM" in refused(b"PK\x03\x04")
    assert "at least 1" in refused([[1.0]], reads=0)
    assert "no 'z'" in refused({("a", "a"): 1.0}, one_hot=[["a", "z"]])
    assert "no constraint" in refused([[1.0]], penalty=3.0)
    assert "fabric" in refused([[1.0]], solver="qaoa")
    with pytest.raises(UnknownName, match="simulated_annealing"):
        annealing.solve([[1.0]], solver="simulated_anealing")


def test_oversized_problems_are_refused_with_their_numbers_before_any_work():
    random = np.random.default_rng(0)
    wide = np.diag(random.normal(size=30)) + 1.0
    with pytest.raises(SimulationRefused, match=r"30 variables have 1\.07e"):
        annealing.solve(np.triu(wide), solver="exact")
    with pytest.raises(SimulationRefused, match="too entangled"):
        annealing.solve(np.triu(wide), solver="tree")
    with pytest.raises(SimulationRefused, match=f"{MOST_VARIABLES + 1:,} variables"):
        annealing.solve({(each, each): 1.0 for each in range(MOST_VARIABLES + 1)})
    with pytest.raises(SimulationRefused, match="reads x sweeps"):
        annealing.solve(np.triu(wide), solver="simulated_annealing", reads=10_000, sweeps=1_000_000)
    with pytest.raises(SimulationRefused, match="13 variables"):
        annealing.solve(np.eye(13), solver="qaoa", fabric=Fabric.line([13]))


@pytest.mark.parametrize("solver", ["simulated_annealing", "tabu", "steepest_descent"])
def test_every_sampler_finds_the_optimum_of_a_small_problem_and_repeats_itself(solver):
    for count in (1, 2, 14):
        matrix = drawn(np.random.default_rng(count), count)
        one, other = (annealing.solve(matrix, solver=solver, reads=20, seed=9) for _ in range(2))
        assert one.energy == pytest.approx(lowest_by_gray_code(matrix), abs=1e-9)
        assert one.optimal
        assert one.solver == solver
        assert np.array_equal(one.samples.record.sample, other.samples.record.sample)


@pytest.mark.parametrize("weights", [{("a", "a"): -1e308, ("b", "b"): -1e308}, {("a", "b"): 1e200}])
def test_weights_whose_sums_overflow_are_refused(weights):
    with pytest.raises(InvalidValue, match="1e\\+150"):
        annealing.solve(weights, seed=1)


def test_constraints_that_drown_the_objective_in_rounding_are_refused():
    x, y = dimod.Binaries("xy")
    model = dimod.ConstrainedQuadraticModel()
    model.set_objective(-0.01 * x - 0.010000002 * y)
    model.add_constraint((2**20 - 1) * x + (2**20 - 2) * y <= 2**20 - 1)
    with pytest.raises(InvalidValue, match="rounded off"):
        annealing.solve(model, seed=1)
