import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import hyperfabric_q as hq
from hyperfabric_q.visual.facts import (
    MEANING,
    crossing_gates,
    link_rows,
    node_rows,
    printable,
    qubit_ranges,
    reasons,
)


def crossings_one_by_one(plan):
    """The same count from the rebased circuit itself."""
    circuit = plan.program.to_circuit()
    count = 0
    for instruction in circuit.data:
        if instruction.operation.name in {"cz", "cp"}:
            a, b = (circuit.find_bit(qubit).index for qubit in instruction.qubits)
            count += plan.homes[a] != plan.homes[b]
    return count


def test_crossing_gates_are_those_between_two_homes(adder_plan, chain_plan, local_plan, wide_plan):
    assert crossing_gates(chain_plan) == 1
    assert crossing_gates(local_plan) == 0
    assert crossing_gates(wide_plan) == wide_plan.two_qubit_gates  # one qubit per node: every gate crosses
    assert crossing_gates(adder_plan) == crossings_one_by_one(adder_plan)


def test_the_reasons_give_the_price_and_what_it_buys(adder_plan, chain_plan):
    crossing, gates = crossings_one_by_one(adder_plan), adder_plan.two_qubit_gates
    still = hq.plan(adder_plan.circuit, adder_plan.fabric, seed=1, homes=adder_plan.homes)
    price = reasons(still)[0]
    assert price.startswith(f"{crossing} of {gates} two-qubit gates cross between nodes")
    assert f"{still.ebits} e-bits serve them, {crossing / still.ebits:.1f}" in price
    assert adder_plan.moves
    assert reasons(adder_plan)[0] == (
        f"Where the qubits start, {crossing} of {gates} two-qubit gates would cross between nodes; "
        f"{adder_plan.moves} of {adder_plan.ebits} e-bits move qubits instead."
    )
    assert reasons(chain_plan)[0] == "1 of 5 two-qubit gates crosses between nodes; 1 e-bit serves it."


def test_the_reasons_name_the_winning_start_the_check_and_the_seed(chain_plan):
    told = " ".join(reasons(chain_plan))
    assert chain_plan.start in told
    assert MEANING["proved"] in told
    assert chain_plan.verification.detail in told
    assert f"Seed {chain_plan.seed} " in told


@pytest.mark.parametrize("label", ["skeleton", "sampled"])
def test_weaker_labels_never_claim_a_proof(label):
    assert "no proof" in MEANING[label]


def test_a_skipped_check_says_that_nothing_is_known(wide_plan):
    assert any(each.startswith("Skipped: nothing was checked") for each in reasons(wide_plan))


def test_every_qubit_stands_in_exactly_one_row(adder_plan):
    held = [qubit for row in node_rows(adder_plan) for qubit in row.qubits]
    assert sorted(held) == list(range(adder_plan.qubits))


def test_links_come_busiest_first_and_idle_links_are_kept():
    plan = hq.plan(hq.families.ghz(6), hq.Fabric.full([2, 2, 2]), seed=1)
    rows = link_rows(plan)
    assert len(rows) == 3
    assert [row.ebits for row in rows] == sorted((row.ebits for row in rows), reverse=True)
    assert sum(row.ebits for row in rows) == plan.ebits == 2


@given(st.sets(st.integers(0, 60)))
@settings(deadline=None, derandomize=True, max_examples=100)
def test_qubit_ranges_lose_no_qubit(qubits):
    text = qubit_ranges(tuple(sorted(qubits)))
    back = set()
    for part in text.split():
        first, _, last = part.removeprefix("q").partition("-")
        back |= set(range(int(first), int(last or first) + 1))
    assert back == qubits


@given(st.text())
@settings(deadline=None, derandomize=True, max_examples=100)
def test_printable_text_is_one_short_line(text):
    clean = printable(text)
    assert clean.isprintable()
    assert len(clean) <= 40
