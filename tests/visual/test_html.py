import dataclasses
from xml.etree import ElementTree

import pytest

import hyperfabric_q as hq
from hyperfabric_q.visual.html import MOST_OUTCOMES, comparison_html, plan_html, result_html

RUN, IDEAL = "#3b82f6", "#f59e0b"


def parsed(fragment):
    """Parse the fragment as XML, which is stricter than any browser."""
    return ElementTree.fromstring(fragment)  # noqa: S314 - our own output


def bars(tree, colour):
    return [
        float(rect.get("width")) for rect in tree.iter("rect") if rect.get("fill") == colour and rect.get("y") != "5"
    ]


def without_ideal(result):
    """The same result, as it is where the ideal distribution is out of reach."""
    bare = dataclasses.replace(result)
    bare.__dict__["ideal"] = None
    bare.__dict__["measured_fidelity"] = None
    return bare


@pytest.mark.parametrize("name", ["adder_plan", "chain_plan", "local_plan", "wide_plan"])
def test_a_plan_is_one_well_formed_fragment_without_scripts_or_downloads(name, request):
    html = plan_html(request.getfixturevalue(name))
    tree = parsed(html)
    assert tree.tag == "div"
    tags = {element.tag for element in tree.iter()}
    assert not tags & {"script", "link", "img", "iframe", "style"}
    assert "http" not in html
    assert "url(" not in html


def test_notebooks_show_these_fragments(chain_plan, chain_result):
    assert chain_plan._repr_html_() == plan_html(chain_plan)
    assert chain_result._repr_html_() == result_html(chain_result)


def test_a_comparison_shows_three_columns_and_both_fidelities():
    fabric = hq.Fabric.full([3, 3], pair_fidelity=0.9)
    comparison = hq.plan(hq.families.ghz(6), fabric, seed=1).run(300, seed=2).compare()
    html = comparison._repr_html_()
    assert html == comparison_html(comparison)
    rows = [[cell.text for cell in row.iter("td")] for row in parsed(html).iter("tr")][1:]
    assert [row[0] for row in rows[:2]] == ["000000", "111111"]
    assert [row[1] for row in rows[:2]] == ["0.5000", "0.5000"]
    assert float(rows[0][2].split(" ")[0]) == pytest.approx(comparison.distributed["000000"] / 300, abs=0.01)
    more = len(comparison.outcomes) - MOST_OUTCOMES
    assert len(rows) == (MOST_OUTCOMES + 2 if more > 0 else len(comparison.outcomes) + 1)
    assert rows[-1][:2] == ["Hellinger fidelity", "1"]
    assert rows[-1][2] == str(comparison.distributed_fidelity).partition(" (")[0]
    assert "<script" not in html


def test_text_is_escaped():
    circuit = hq.families.ghz(2)
    circuit.name = "<script>alert('1')</script>&amp;"
    plan = dataclasses.replace(hq.plan(circuit, hq.Fabric.full([1, 1]), seed=1), start="<b>&")
    for html in (plan_html(plan), result_html(plan.run(10, noise="none", seed=1))):
        assert "<script" not in html
        assert "<script>alert('1')</script>&amp;" in "".join(parsed(html).itertext())


def test_the_table_and_the_network_show_every_node(adder_plan):
    tree = parsed(plan_html(adder_plan))
    cells = [cell.text for cell in tree.iter("td")]
    labels = [text.text for text in tree.iter("text")]
    for node in adder_plan.fabric.nodes:
        size = f"{len(adder_plan.qubits_of(node.node_id))} of {node.compute_units}"
        assert cells[cells.index(node.node_id) + 1] == size
        assert node.node_id in labels
        assert size.replace(" of ", "/") in labels


def test_the_network_writes_the_ebits_on_every_link_in_use_and_makes_busier_links_thicker(adder_plan):
    tree = parsed(plan_html(adder_plan))
    badges = [text.text for text in tree.iter("text") if "e-bit" in (text.text or "")]
    assert sorted(badges) == sorted(f"{n} e-bit{'s' if n > 1 else ''}" for n in adder_plan.ebits_per_link.values())
    widths = [float(line.get("stroke-width")) for line in tree.iter("line") if line.get("stroke-width")]
    order = sorted(adder_plan.ebits_per_link.values(), reverse=True)
    assert widths == sorted(widths, reverse=True)
    assert (widths[0] > widths[1]) == (order[0] > order[1])


def test_idle_links_are_dashed():
    plan = hq.plan(hq.families.ghz(6), hq.Fabric.full([2, 2, 2]), seed=1)
    lines = list(parsed(plan_html(plan)).iter("line"))
    assert len(lines) == 3
    assert sum(line.get("stroke-dasharray") is not None for line in lines) == 3 - len(plan.ebits_per_link)


def test_a_network_too_large_for_a_picture_leaves_the_table(wide_plan):
    tree = parsed(plan_html(wide_plan))
    assert not list(tree.iter("svg"))
    assert len(list(tree.iter("tr"))) == 1 + 30


def test_bars_are_as_long_as_the_shares_they_show(chain_result):
    tree = parsed(result_html(chain_result))
    run, ideal = bars(tree, RUN), bars(tree, IDEAL)
    counts = [chain_result.counts[key] for key in ("000000", "111111")]
    assert run[0] / run[1] == pytest.approx(counts[0] / counts[1], rel=0.01)
    assert ideal[0] == ideal[1]
    assert run[0] / ideal[0] == pytest.approx(counts[0] / 100, rel=0.01)  # the ideal share is 1/2 of 200 shots


def test_the_error_bar_is_one_standard_error_to_either_side(chain_result):
    tree = parsed(result_html(chain_result))
    share = chain_result.probabilities["000000"]
    path = next(tree.iter("path")).get("d")
    low, high = float(path[1:].split()[0]), float(path.split("H")[1].split("M")[0])
    unit = bars(tree, IDEAL)[0] / 0.5
    assert high - low == pytest.approx(2 * share.stderr * unit, abs=0.2)


def test_a_result_without_an_ideal_shows_its_counts_alone(chain_result):
    tree = parsed(result_html(without_ideal(chain_result)))
    assert len(bars(tree, RUN)) == 2
    assert bars(tree, IDEAL) == []
    assert "fidelity" not in "".join(tree.itertext())


def test_many_outcomes_are_cut_to_the_most_likely_and_the_rest_counted():
    result = hq.plan(hq.families.qft(6), hq.Fabric.full([3, 3]), seed=1).run(300, noise="none", seed=1)
    html = result_html(result)
    assert len(bars(parsed(html), RUN)) == MOST_OUTCOMES
    assert f"{64 - MOST_OUTCOMES} more are not shown" in html
