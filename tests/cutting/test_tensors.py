"""Laws of variants, whole or block by block, give the means that overlaps of branches give."""

import numpy as np
import pytest

from hyperfabric_q.cutting.branches import branches
from hyperfabric_q.cutting.engine import exact
from hyperfabric_q.cutting.observables import measure
from hyperfabric_q.cutting.settings import side_of
from hyperfabric_q.cutting.split import split
from hyperfabric_q.cutting.tensors import Layout, exact_tensor, feature_means, law_blocks, read_off
from hyperfabric_q.cutting.wires import wire_cut
from hyperfabric_q.errors import SimulationRefused


@pytest.mark.parametrize("block", [2**10, 2**23])
def test_laws_and_overlaps_agree(block, make_circuit, make_observables):
    for seed in range(6):
        rng = np.random.default_rng(seed)
        general = block > 2**10 and seed == 3
        circuit, assignment = make_circuit(rng, 5, 13, classical=True, parts=2, wires=1, general=general)
        cut = split(circuit, assignment, wire=("lo", "lo_six", "locc")[seed % 3])
        measured = measure(cut, make_observables(rng, 5, 8))
        for fragment, strings in zip(cut.fragments, measured.strings, strict=True):
            state = branches(fragment)
            layout = Layout.of(fragment.sides, state.outputs)
            exact = exact_tensor(state, fragment.sides, strings.x, strings.z)
            for group, basis in enumerate(strings.bases):
                laws = np.empty((layout.variants, layout.outcomes))
                for variants, part in law_blocks(state, layout, basis, block=block):
                    laws[variants] = part
                assert laws.min() >= 0
                members = strings.members(group)
                means = feature_means(laws, layout, (strings.x | strings.z)[members])
                np.testing.assert_allclose(read_off(means, layout), exact[members], atol=1e-12)


def test_a_wire_needs_three_settings_and_four_preparations():
    cut = wire_cut("lo")
    left, right = side_of(cut.left), side_of(cut.right)
    assert (len(left.settings), len(right.settings)) == (3, 4)
    assert (left.rank, right.rank) == (2, 2)
    assert (left.signed, right.signed) == (False, True)
    locc = side_of(wire_cut("locc").left)
    assert len(locc.settings) == 3


def test_instruments_follow_from_their_side():
    for cut in (wire_cut("lo"), wire_cut("lo_six"), wire_cut("locc")):
        for instruments in (cut.left, cut.right):
            side = side_of(instruments)
            for number, instrument in enumerate(instruments):
                built = np.einsum("bc,bij,ckl->ikjl", side.coefficients[number], side.basis, side.basis.conj()).reshape(
                    instrument.superoperator().shape
                )
                np.testing.assert_allclose(built, instrument.superoperator(), atol=1e-12)


def test_a_fragment_too_wide_is_refused_before_it_fills_the_memory(monkeypatch, make_circuit):
    rng = np.random.default_rng(1)
    cut = split(*make_circuit(rng, 6, 30, parts=2))
    monkeypatch.setattr("hyperfabric_q.cutting.branches.AMPLITUDES", 8)
    with pytest.raises(SimulationRefused, match="amplitudes"):
        exact(cut, "ZZZZZZ")
