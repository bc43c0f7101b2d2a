import itertools

import numpy as np
import pytest

from hyperfabric_q.cutting.wires import wire_cut, wires_jointly
from hyperfabric_q.errors import InvalidValue


def identity_excess(cut):
    size = cut.left[0].kraus.shape[2]
    return np.abs(cut.superoperator() - np.eye(size * size)).max()


@pytest.mark.parametrize(
    ("kind", "states", "gamma", "weight"), [("lo", 4, 4, 6), ("lo_six", 6, 4, 4), ("locc", 6, 3, 6)]
)
def test_a_cut_wire_passes_every_state(kind, states, gamma, weight):
    cut = wire_cut(kind)
    assert cut.is_wire
    assert identity_excess(cut) < 1e-14
    assert cut.gamma == gamma
    assert np.abs(cut.weights).sum() == pytest.approx(weight)
    assert len(cut.right) == states


@pytest.mark.parametrize(("n", "gamma"), [(1, 3), (2, 7), (3, 15)])
def test_wires_cut_together_pass_every_state_at_the_joint_gamma(n, gamma):
    cut = wires_jointly(n)
    assert identity_excess(cut) < 1e-14
    assert cut.gamma == gamma == protocol_gamma(cut, 2**n)


def protocol_gamma(cut, size):
    """What a run counts for at most, summed over the bases: one run measures one basis and yields one of its outcomes.

    After an outcome the protocol prepares one state, drawn by the weights of that outcome.
    """
    by_outcome = np.abs(cut.weights).sum(axis=1).reshape(-1, size)
    return by_outcome.max(axis=1).sum()


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5])
def test_bases_are_mutually_unbiased_and_named_by_basis_and_outcome(n):
    size = 2**n
    cut = wires_jointly(n)
    states = np.array([each.kraus[0, :, 0] for each in cut.right]).reshape(size + 1, size, size)
    for one, other in itertools.product(range(size + 1), repeat=2):
        overlaps = np.abs(states[one].conj() @ states[other].T) ** 2
        expected = np.eye(size) if one == other else np.full((size, size), 1 / size)
        assert np.abs(overlaps - expected).max() < 1e-13
    for index, each in enumerate(cut.left):
        assert each.name.rsplit(":", 1)[1] == str(index % size)
        assert np.abs(each.kraus[0, 0] - cut.right[index].kraus[0, :, 0].conj()).max() == 0
    assert len({each.name for each in cut.left}) == len(cut.left) == size * (size + 1)


def test_the_bases_of_one_wire_are_those_of_the_paulis():
    assert [each.name for each in wires_jointly(1).left] == ["Z:0", "Z:1", "X:0", "X:1", "Y:0", "Y:1"]
    cut = wire_cut("lo")
    paulis = {"X": [[0, 1], [1, 0]], "Y": [[0, -1j], [1j, 0]], "Z": [[1, 0], [0, -1]], "I": np.eye(2)}
    for each in cut.left:  # tr(P rho)
        assert np.abs(each.superoperator() - np.array(paulis[each.name]).T.reshape(1, 4)).max() < 1e-15


def test_identity_and_z_read_the_same_measurement():
    by_name = {each.name: each for each in wire_cut("lo_six").left}
    assert np.array_equal(by_name["I"].kraus, by_name["Z"].kraus)
    assert by_name["I"].signs.tolist() == [1, 1]


def test_other_kinds_and_numbers_are_refused():
    with pytest.raises(InvalidValue, match="locc"):
        wire_cut("other")
    for n in (0, 6, -1):
        with pytest.raises(InvalidValue, match="from 1 to 5"):
            wires_jointly(n)
