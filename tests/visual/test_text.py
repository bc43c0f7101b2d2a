import re

import pytest

import hyperfabric_q as hq
from hyperfabric_q.errors import InvalidValue
from hyperfabric_q.visual.text import MOST_PACKETS, WIDTH, draw_plan


def section(picture, start):
    return next(part for part in picture.split("\n\n") if part.startswith(start)).splitlines()


def test_no_line_is_wider_than_a_hundred_columns(adder_plan, chain_plan, local_plan, wide_plan):
    for plan in (adder_plan, chain_plan, local_plan, wide_plan):
        assert max(len(line) for line in draw_plan(plan).splitlines()) <= WIDTH


def test_the_picture_of_a_plan_is_what_draw_returns(chain_plan):
    assert chain_plan.draw() == draw_plan(chain_plan)


def test_an_unknown_output_is_refused_with_the_outputs_there_are(chain_plan):
    with pytest.raises(InvalidValue, match="'text'") as caught:
        draw_plan(chain_plan, output="mpl")
    assert caught.value.field == "output"


def test_the_header_says_what_was_planned(chain_plan):
    header = draw_plan(chain_plan).splitlines()[0]
    assert header == "ghz: 6 qubits, 5 two-qubit gates on 2 QPU nodes: 1 e-bit, proved"


def test_every_node_in_use_shows_its_qubits_and_its_size(adder_plan):
    rows = section(draw_plan(adder_plan), "QPU node")[1:]
    for row, node in zip(rows, adder_plan.fabric.nodes, strict=True):
        held = adder_plan.qubits_of(node.node_id)
        assert row.startswith(node.node_id)
        assert f" {len(held)}/{node.compute_units} " in row
        assert f" {adder_plan.peak_copies[node.node_id]}/{node.communication_qubits} " in row
        shown = set()
        for first, last in re.findall(r"\bq(\d+)(?:-(\d+))?", row.split("/")[-1]):
            shown |= set(range(int(first), int(last or first) + 1))
        assert shown == set(held)


def test_the_bar_of_a_node_is_as_full_as_the_node(local_plan):
    row = section(draw_plan(local_plan), "QPU node")[1]
    bar = row[len("QPU node") + 2 :][:10]
    assert bar == "███████▌  "  # 3 of 4, of ten cells: seven and a half


def test_idle_nodes_are_counted(local_plan):
    assert section(draw_plan(local_plan), "QPU node")[-1] == "... and 1 more, without qubits"


def test_one_cell_of_a_links_bar_is_one_ebit(adder_plan):
    rows = section(draw_plan(adder_plan), "link")[1:]
    assert sorted(row.count("█") for row in rows) == sorted(adder_plan.ebits_per_link.values())


def test_every_packet_is_listed_while_there_are_few(adder_plan):
    rows = section(draw_plan(adder_plan), "packets")[1:]
    assert len(rows) == adder_plan.ebits
    for number, (row, packet) in enumerate(zip(rows, adder_plan.packets, strict=True), start=1):
        assert row.split()[0] == str(number)
        assert f"q{packet.qubit}: {packet.source} → {packet.target}," in row
        if packet.gates > 1:
            assert row.endswith(f"serves {packet.gates} gates")


def test_many_packets_are_cut_and_the_rest_counted(wide_plan):
    rows = section(draw_plan(wide_plan), "packets")
    assert len(rows) == 1 + MOST_PACKETS + 1
    assert rows[-1].split() == ["...", "and", str(wide_plan.ebits - MOST_PACKETS), "more"]


def test_many_links_are_cut_and_their_ebits_counted(wide_plan):
    rows = section(draw_plan(wide_plan), "link")
    counts = [int(re.search(r"  +(\d+)  +█", row)[1]) for row in rows[1:-1]]
    rest = re.fullmatch(r"\.\.\. and (\d+) more links with (\d+) e-bits", rows[-1])
    assert len(counts) + int(rest[1]) == len(wide_plan.ebits_per_link)
    assert sum(counts) + int(rest[2]) == wide_plan.ebits


def test_a_plan_without_ebits_shows_neither_links_nor_packets(local_plan):
    picture = draw_plan(local_plan)
    assert "packets" not in picture
    assert "link " not in picture
    assert "no gate crosses between nodes" in picture


def test_the_picture_is_plain_text_whatever_the_circuit_is_called():
    circuit = hq.families.ghz(2)
    circuit.name = "\x1b[31mred\n[bold]" + "z" * 200
    picture = draw_plan(hq.plan(circuit, hq.Fabric.full([1, 1]), seed=1))
    assert all(each.isprintable() for each in picture.replace("\n", ""))
    assert len(picture.splitlines()[0]) <= WIDTH
