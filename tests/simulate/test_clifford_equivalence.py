"""Stabilizer equivalence: right on known pairs, wrong on every single fault, with signs."""

import pytest
import stim

from hyperfabric_q.simulate.clifford import equivalent, relabel

CAT = "H 2\nCX 2 3\nCX 0 2\nM 2\nCX rec[-1] 3\n"
GATE = "CZ 3 1\n"
UNDO = "H 3\nM 3\nCZ rec[-1] 0\n"


def verdict(emitted, original="CZ 0 1", entry=(0, 1), exits=(0, 1)):
    return equivalent(stim.Circuit(emitted), stim.Circuit(original), entry=entry, exit=exits)


def test_a_teleported_gate_is_the_gate():
    assert verdict(CAT + GATE + UNDO).equivalent


def test_a_gate_followed_by_a_move_is_the_gate_on_other_wires():
    move = "H 0\nM 0\nCZ rec[-1] 3\n"
    assert verdict(CAT + GATE + move, exits=(3, 1)).equivalent
    assert not verdict(CAT + GATE + move, exits=(1, 3)).equivalent


@pytest.mark.parametrize(
    ("fault", "qubit"),
    [
        (CAT.replace("CX rec[-1] 3\n", "") + GATE + UNDO, None),
        (CAT + GATE + UNDO.replace("CZ rec[-1] 0\n", ""), 0),
        (CAT + GATE + UNDO.replace("CZ rec[-1] 0", "CZ rec[-2] 0"), 0),
        (CAT + GATE + UNDO.replace("CZ rec[-1] 0", "CX rec[-1] 0"), 0),
        (CAT + GATE, 0),
        (CAT + UNDO, 0),
        (CAT + GATE + UNDO + "X 1\n", None),
        (CAT + GATE + UNDO + "Z 1\n", 1),
        ("X 2\n" + CAT + GATE + UNDO, None),
    ],
)
def test_every_fault_is_found_and_named(fault, qubit):
    found = verdict(fault)
    assert not found.equivalent
    assert qubit is None or found.qubit == qubit
    assert str(found.qubit) in str(found)


def test_flows_that_generators_mix_are_still_decided():
    """Wires whose generators come out multiplied together: a random Clifford and its own inverse."""
    tableau = stim.Tableau.random(6)
    circuit = tableau.to_circuit("elimination")
    assert equivalent(circuit, circuit, entry=range(6), exit=range(6)).equivalent


def test_relabelling_reaches_into_repetition():
    moved = relabel(stim.Circuit("REPEAT 3 {\n H 0\n}\nCX 0 1"), [4, 2])
    assert moved.to_tableau() == stim.Circuit("H 4\nCX 4 2").to_tableau()
