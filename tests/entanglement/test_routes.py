"""Elementary links and paths: against brute force over all simple paths, and numbers worked out by hand."""

import itertools
import math

import numpy as np
import pytest

from hyperfabric_q.entanglement.estimates import Wait, estimated_fidelity, estimated_rate_hz, rate_of
from hyperfabric_q.entanglement.routes import best_path, elementary_links, paths, station
from hyperfabric_q.errors import (
    FidelityUnreachable,
    InvalidValue,
    NoQuantumPath,
    NotEnoughCommunicationQubits,
    UnknownName,
)
from hyperfabric_q.fabric import (
    Fabric,
    HardwareType,
    Link,
    NodeSignature,
    fat_tree,
    q_fly,
    quantum_fat_tree,
    switch_star,
)

US, NS = 1_000_000, 1_000


def qpu(node_id, **rows):
    return NodeSignature(node_id, HardwareType.QUANTUM_QPU, 10, 100, **rows)


def switch(node_id, **rows):
    return NodeSignature(node_id, HardwareType.PHOTONIC_SWITCH, 10, 100, **rows)


def chain(*ids, **rows):
    nodes = tuple(switch(each) if each.startswith("s") else qpu(each) for each in ids)
    return Fabric(nodes=nodes, links=tuple(Link(a, b, **rows) for a, b in itertools.pairwise(ids)))


def only(fabric):
    (link,) = elementary_links(fabric)
    return link


def ids_of(path):
    return tuple(each.node_id for each in path.stations)


# ------------------------------------------------------------------------------------------------- one plain link


@pytest.mark.parametrize(
    ("rows", "attempt_ps", "success", "herald_ps"),
    [
        # Nothing stated: on demand, and as long as light of the nodes' own latency, 100 ns.
        ({}, 100 * NS, 1.0, 100 * NS),
        ({"latency_ns": 0}, 1, 1.0, 0),
        ({"latency_ns": 250}, 250 * NS, 1.0, 250 * NS),
        # A rate: attempts of a microsecond, or of light's way where that is longer.
        ({"latency_ns": 250, "pair_rate_hz": 182}, 1 * US, 182e-6, 250 * NS),
        ({"latency_ns": 4_000, "pair_rate_hz": 182}, 4 * US, 4 * 182e-6, 4 * US),
        # A rate above one per attempt: attempts overlap and succeed.
        ({"latency_ns": 4_000, "pair_rate_hz": 1e6}, 1 * US, 1.0, 4 * US),
        ({"latency_ns": 0, "pair_rate_hz": 8e6}, 125 * NS, 1.0, 0),
        ({"latency_ns": 0, "pair_attempt_ns": 40}, 40 * NS, 1.0, 0),
        ({"latency_ns": 0, "pair_attempt_ns": 40, "pair_rate_hz": 1e6}, 40 * NS, 0.04, 0),
        # 1 km of fibre takes 4896.72 ns.
        ({"distance_m": 1_000}, 4_896_720, 1.0, 4_896_720),
    ],
)
def test_attempts_of_a_plain_link_keep_the_declared_rate(rows, attempt_ps, success, herald_ps):
    link = only(chain("a", "b", pair_fidelity=0.9, **rows))
    assert link.attempt_ps == pytest.approx(attempt_ps, rel=1e-6)
    assert link.herald_ps == pytest.approx(herald_ps, rel=1e-6)
    assert link.success == pytest.approx(success, rel=1e-12)
    assert link.weights == pytest.approx((0.9, 0.1 / 3, 0.1 / 3, 0.1 / 3))
    assert (link.via, link.reconfiguration_ps, link.shared) == (None, 0, False)
    if "pair_rate_hz" in rows:
        assert link.rate_hz == pytest.approx(rows["pair_rate_hz"], rel=1e-9)


def test_channels_of_both_ends_attempt_side_by_side():
    fabric = chain("a", "b", pair_fidelity=0.9, pair_attempt_ns=10, pair_rate_hz=1e7, pair_channel="shared")
    assert only(fabric).success == pytest.approx(0.1)
    fabric = fabric.replace("nodes.a", photonic_channels=3)
    assert only(fabric).success == pytest.approx(1 - 0.9**3, rel=1e-12)
    assert only(fabric.replace("nodes.b", photonic_channels=2)).success == pytest.approx(1 - 0.9**2, rel=1e-12)
    assert only(fabric).shared
    small = fabric.replace("links.*", pair_rate_hz=1e-12)
    assert only(small).success == pytest.approx(3e-20, rel=1e-12)


def test_the_latency_of_an_unstated_link_is_that_of_the_slower_end():
    fabric = chain("a", "b", pair_fidelity=0.9).replace("nodes.b", latency_ns=700)
    assert only(fabric).herald_ps == 700 * NS
    assert best_path(fabric, "a", "b").delays_ps == (700 * NS,)


# ---------------------------------------------------------------------------------------------- through switches


def test_two_arms_join_at_a_switch_by_half_a_bell_measurement():
    nodes = (qpu("a"), switch("s", reconfiguration_ns=50, photonic_channels=2), qpu("b"))
    arms = (
        Link("a", "s", latency_ns=300, pair_weights=(0.9, 0.1, 0, 0), pair_attempt_ns=2_000, pair_rate_hz=1e5),
        Link("b", "s", latency_ns=700, pair_weights=(0.8, 0, 0, 0.2), pair_attempt_ns=5_000, pair_rate_hz=1e4),
    )
    fabric = Fabric(nodes=nodes, links=arms)
    link = only(fabric)
    single = 0.2 * 0.05 / 2
    assert link.ends == ("a", "b")
    assert link.via == "s"
    assert link.success == pytest.approx(1 - (1 - single) ** 2, rel=1e-12)
    assert link.attempt_ps == 5 * US
    # The longer arm's photon goes 700 ns and its result comes back as long.
    assert link.herald_ps == 2 * 700 * NS
    # X error with 0.1 and Z error with 0.2: both together are Y.
    assert link.weights == pytest.approx((0.72, 0.08, 0.02, 0.18))
    assert link.reconfiguration_ps == 50 * NS
    assert best_path(fabric, "b", "a").delays_ps == (1_000 * NS,)


def test_equal_arms_are_as_old_as_the_sum_of_their_latencies():
    link = only(chain("a", "s", "b", pair_fidelity=0.9, latency_ns=40))
    assert link.herald_ps == 80 * NS
    assert link.success == 0.5
    assert link.attempt_ps == 80 * NS


def test_switches_in_a_row_measure_in_the_middle():
    nodes = (qpu("a"), switch("s1", reconfiguration_ns=9), switch("s2", reconfiguration_ns=4), qpu("b"))
    rows = {"pair_fidelity": 1.0, "pair_attempt_ns": 1_000}
    arms = (
        Link("a", "s1", latency_ns=10, **rows),
        Link("s1", "s2", latency_ns=60, pair_rate_hz=1e5, **rows),
        Link("s2", "b", latency_ns=30, **rows),
    )
    link = only(Fabric(nodes=nodes, links=arms))
    # After s1: 10 against 90; after s2: 70 against 30.
    assert (link.via, link.herald_ps) == ("s2", 140 * NS)
    assert link.success == pytest.approx(0.1 / 2)
    assert link.reconfiguration_ps == 9 * NS


def test_a_switch_joins_any_two_of_its_nodes():
    fabric = switch_star([1] * 5, pair_fidelity=0.95)
    found = {frozenset(link.ends) for link in elementary_links(fabric)}
    assert found == {frozenset(pair) for pair in itertools.combinations([f"qpu-{index}" for index in range(5)], 2)}


def test_a_path_over_two_leaves_swaps_at_a_spine():
    fabric = quantum_fat_tree(3, 2, 2, pair_fidelity=0.97)
    same, far = best_path(fabric, "qpu-0", "qpu-1"), best_path(fabric, "qpu-0", "qpu-5")
    assert (same.hops, same.links[0].via) == (1, "leaf-0")
    assert ids_of(far) == ("qpu-0", "spine-0", "qpu-5")
    assert [link.via for link in far.links] == ["leaf-0", "leaf-2"]
    both = {ids_of(path) for path in paths(fabric, "qpu-0", "qpu-5", most=2)}
    assert both == {("qpu-0", "spine-0", "qpu-5"), ("qpu-0", "spine-1", "qpu-5")}


def test_q_fly_is_one_elementary_link_wide():
    fabric = q_fly(4, 3, pair_fidelity=0.97, attempt_ns=1_000, insertion_loss_db=10, group_loss_db=10)
    inside, across = best_path(fabric, "qpu-0", "qpu-2"), best_path(fabric, "qpu-0", "qpu-11")
    assert (inside.hops, across.hops) == (1, 1)
    assert inside.links[0].success == pytest.approx(0.1 * 0.1 / 2)
    assert across.links[0].success == pytest.approx(0.1 * 0.1 * 0.1 / 2)
    assert len(elementary_links(fabric)) == 12 * 11 // 2


# -------------------------------------------------------------------------------------------------------- estimates


@pytest.mark.parametrize(("links", "expected"), [(2, 0.903333), (4, 0.819126), (8, 0.681872)])
def test_the_estimated_fidelity_of_ideal_stations_is_the_werner_chain(links, expected):
    path = best_path(Fabric.line([1] * (links + 1), pair_fidelity=0.95), "qpu-0", f"qpu-{links}")
    assert estimated_fidelity(path) == pytest.approx(expected, abs=5e-7)


def test_the_estimated_rate_of_one_link_is_its_rate():
    fabric = chain("a", "b", pair_fidelity=0.9, pair_rate_hz=182)
    assert estimated_rate_hz(best_path(fabric, "a", "b")) == pytest.approx(182, rel=1e-12)


def test_the_longest_of_exponentials_is_the_sum_over_subsets():
    for tails in ([1e6] * 5, [1e3, 1e9, 2e9], [1.0, 1e12], [7e5, 5e5, 1e6]):
        exact = sum(
            (-1) ** (size + 1) / math.fsum(1 / tail for tail in some)
            for size in range(1, len(tails) + 1)
            for some in itertools.combinations(tails, size)
        )
        assert rate_of([Wait(tail, 0.0) for tail in tails]) == pytest.approx(1e12 / exact, rel=1e-8)
    # A certain 1 µs beside an exponential of mean 1 µs: 1 + 1/e.
    assert rate_of([Wait(1e6, 0.0), Wait(0.0, 1e6)]) == pytest.approx(1e6 / (1 + math.exp(-1)), rel=1e-8)
    assert rate_of([Wait(0.0, 5.0), Wait(0.0, 10.0)]) == 1e11


def test_a_station_carries_the_figures_of_its_node():
    node = qpu("a", gate_error_2q=0.075, readout_error=0.01, gate_2q_ns=200, readout_ns=300, communication_qubits=4)
    found = station(Fabric(nodes=(node,)), "a")
    assert (found.node_id, found.readout_error, found.swap_ps, found.slots) == ("a", 0.01, 500 * NS, 4)
    assert found.depolarising == pytest.approx(0.1)
    assert station(Fabric(nodes=(qpu("b"),)), "b").slots is None


# ------------------------------------------------------------------------------------------------------ brute force


def random_fabric(rng, decades=(3.0, 8.0)):
    """Nodes of every sort, biased pairs, rates over some decades, and no two switches side by side."""
    nodes = [
        qpu(
            f"n{index}",
            communication_qubits=[None, 1, 2, 5][rng.integers(4)],
            gate_error_2q=[None, 0.01, 0.05][rng.integers(3)],
            readout_error=[None, 0.02][rng.integers(2)],
        )
        for index in range(5)
    ]
    nodes += [switch(f"s{index}", photonic_channels=[None, 2][rng.integers(2)]) for index in range(2)]
    links = []
    for a, b in itertools.combinations(nodes, 2):
        if rng.random() < 0.6 and not (a.node_id[0] == b.node_id[0] == "s"):
            errors = rng.dirichlet([1, 1, 1]) * rng.uniform(0, 0.3)
            rate = [None, 10 ** rng.uniform(*decades)][rng.integers(2)]
            weights = (1 - errors.sum(), *errors)
            links.append(
                Link(a.node_id, b.node_id, pair_weights=weights, pair_rate_hz=rate, latency_ns=rng.integers(1, 5_000))
            )
    return Fabric(nodes=tuple(nodes), links=tuple(links))


PRODUCT = {pair: {"I": 0, "X": 1, "Y": 2, "Z": 3}[result] for pair, result in zip(
    itertools.product(range(4), repeat=2), "IXYZXIZYYZIXZYXI", strict=True
)}  # fmt: skip


def joined(left, right):
    result = np.zeros(4)
    for (i, j), k in PRODUCT.items():
        result[k] += left[i] * right[j]
    return result


def swapped(left, right, node):
    """The noisy Bell measurement as weights: readout errors are Paulis, a depolarised gate leaves nothing."""
    e, lost = node.readout_error or 0, (node.gate_error_2q or 0) / 0.75
    flips = [(1 - e) * (1 - e), e * (1 - e), e * e, e * (1 - e)]
    return (1 - lost) * joined(joined(left, right), flips) + lost / 4


def steps(fabric, a, b):
    """Every way from memory a to memory b: (weights, rate, attempt) of a plain link and of each switch between them."""
    found = []
    link = fabric.link(a, b)
    if link is not None and link.pair_fidelity > 0.5:
        attempt = max(link.latency_ns, 1_000) if link.pair_rate_hz else link.latency_ns
        success = min(1, link.pair_rate_hz * attempt / 1e9) if link.pair_rate_hz else 1
        attempt = 1e9 / link.pair_rate_hz if link.pair_rate_hz and success == 1 else attempt
        found.append((np.array(link.pair_weights), attempt, success))
    for middle in ("s0", "s1"):
        arms = fabric.link(a, middle), fabric.link(b, middle)
        if None in arms:
            continue
        weights = joined(arms[0].pair_weights, arms[1].pair_weights)
        success, attempt = 0.5, 0
        for arm in arms:
            once = max(2 * arm.latency_ns, 1_000) if arm.pair_rate_hz else 2 * arm.latency_ns
            if arm.pair_rate_hz and arm.pair_rate_hz * once > 1e9:
                once = 1e9 / arm.pair_rate_hz
            elif arm.pair_rate_hz:
                success *= arm.pair_rate_hz * once / 1e9
            attempt = max(attempt, once)
        success = 1 - (1 - success) ** (fabric.node(middle).photonic_channels or 1)
        if weights[0] > 0.5:
            found.append((weights, attempt, success))
    return found


def longest(waits):
    """The mean of the longest wait by summing over a fine grid."""
    start = max(attempt for attempt, _ in waits)
    tails = [attempt * (1 / success - 1) for attempt, success in waits]
    times = np.linspace(0, 60 * max(*tails, 1e-09), 20_001)
    present = np.ones_like(times)
    for (attempt, _), tail in zip(waits, tails, strict=True):
        if tail > 0:
            present *= 1 - np.exp(-(times + start - attempt) / tail)
    return start + np.trapezoid(1 - present, times)


def all_paths(fabric, a, b):
    """Every simple path as (nodes, weights, waits), by recursion."""
    found = []

    def grow(nodes, weights, waits):
        here = nodes[-1]
        if here == b:
            found.append((nodes, weights, waits))
            return
        slots = fabric.node(here).communication_qubits
        if here != a and slots is not None and slots < 2:
            return
        for other in [node.node_id for node in fabric.qpu_nodes if node.node_id not in nodes]:
            for each, attempt, success in steps(fabric, here, other):
                after = each if here == a else swapped(weights, each, fabric.node(here))
                grow((*nodes, other), after, (*waits, (attempt, success)))

    grow((a,), None, ())
    return found


CASES = [np.random.default_rng([4, case]) for case in range(60)]


@pytest.mark.parametrize("rng", CASES, ids=range(len(CASES)))
def test_paths_are_those_of_brute_force_in_order_of_fidelity(rng):
    fabric = random_fabric(rng)
    brute = all_paths(fabric, "n0", "n4")
    if not brute:
        with pytest.raises((NoQuantumPath, NotEnoughCommunicationQubits, InvalidValue)):
            best_path(fabric, "n0", "n4")
        return
    exact = sorted((weights[0] for _, weights, _ in brute), reverse=True)
    found = paths(fabric, "n0", "n4", most=12)
    assert len(found) == min(12, len(exact))
    assert len(set(found)) == len(found)
    assert [estimated_fidelity(path) for path in found] == pytest.approx(exact[:12], abs=1e-12)
    assert estimated_fidelity(best_path(fabric, "n4", "n0")) == pytest.approx(exact[0], abs=1e-12)
    fewest = min(len(nodes) for nodes, _, _ in brute)
    short = best_path(fabric, "n0", "n4", objective="hops")
    assert short.hops == fewest - 1
    best_short = max(weights[0] for nodes, weights, _ in brute if len(nodes) == fewest)
    assert estimated_fidelity(short) == pytest.approx(best_short, abs=1e-12)


@pytest.mark.parametrize("decades", [(3.0, 8.0), (4.0, 4.5)])
@pytest.mark.parametrize("case", range(30))
def test_the_best_rate_is_that_of_brute_force_with_and_without_a_least_fidelity(case, decades):
    fabric = random_fabric(np.random.default_rng([5, case]), decades)
    brute = [(weights[0], waits) for _, weights, waits in all_paths(fabric, "n0", "n4")]
    if not brute:
        return
    # No path is quicker than its slowest link, so only those whose slowest link is quick enough are integrated.
    brute.sort(key=lambda row: max(attempt / success for attempt, success in row[1]))
    least = float(np.median([fidelity for fidelity, _ in brute]))
    for asked in (None, least):
        best = math.inf
        for fidelity, waits in brute:
            if (asked is None or fidelity >= asked) and max(each / success for each, success in waits) < best:
                best = min(best, longest(waits))
        path = best_path(fabric, "n0", "n4", objective="rate", min_fidelity=asked)
        assert 1e9 / estimated_rate_hz(path) == pytest.approx(best, rel=2e-4)
        assert asked is None or estimated_fidelity(path) >= asked - 1e-9


def test_paths_by_rate_come_quickest_first():
    fabric = random_fabric(np.random.default_rng(11))
    rates = [estimated_rate_hz(path) for path in paths(fabric, "n0", "n4", objective="rate", most=10)]
    assert len(rates) > 3
    assert all(earlier >= later * (1 - 1e-8) for earlier, later in itertools.pairwise(rates))


def test_equal_paths_go_to_fewer_hops_and_then_to_the_first_names():
    assert best_path(Fabric.full([1] * 6), "qpu-0", "qpu-5").hops == 1
    assert ids_of(best_path(Fabric.ring([1] * 4), "qpu-0", "qpu-2")) == ("qpu-0", "qpu-1", "qpu-2")


def test_equal_paths_are_ordered_by_name_whichever_is_found_first():
    rows = {("a", "b"): 0.9, ("b", "z"): 0.95, ("a", "c"): 0.95, ("c", "z"): 0.9}
    links = tuple(Link(*ends, pair_fidelity=fidelity) for ends, fidelity in rows.items())
    fabric = Fabric(nodes=tuple(qpu(each) for each in "abcz"), links=links)
    assert ids_of(best_path(fabric, "a", "z")) == ("a", "b", "z")
    assert [ids_of(path)[1] for path in paths(fabric, "a", "z")] == ["b", "c"]


def test_dense_fabrics_of_biased_pairs_do_not_hang():
    rng = np.random.default_rng(3)
    fabric = Fabric.full([1] * 40).replace("nodes.*", readout_error=0.001)
    links = []
    for link in fabric.links:
        errors = rng.dirichlet([0.3] * 3) * rng.uniform(0, 0.4)
        links.append(
            Link(link.a, link.b, pair_weights=(1 - errors.sum(), *errors), pair_rate_hz=10 ** rng.uniform(0, 6))
        )
    fabric = Fabric(nodes=fabric.nodes, links=tuple(links))
    best = best_path(fabric, "qpu-0", "qpu-39")
    assert estimated_fidelity(best) >= fabric.link("qpu-0", "qpu-39").pair_fidelity
    quick = best_path(fabric, "qpu-0", "qpu-39", objective="rate", min_fidelity=0.9)
    assert estimated_fidelity(quick) >= 0.9


# ----------------------------------------------------------------------------------------------------------- errors


def test_unknown_names_are_named():
    fabric = Fabric.line([1, 1])
    for a, b in (("qpu-0", "qpu-7"), ("qpu-7", "qpu-0")):
        with pytest.raises(UnknownName, match="qpu-7"):
            best_path(fabric, a, b)
    with pytest.raises(UnknownName, match="'rate'"):
        best_path(fabric, "qpu-0", "qpu-1", objective="rte")
    with pytest.raises(InvalidValue, match="two different nodes"):
        best_path(fabric, "qpu-0", "qpu-0")


@pytest.mark.parametrize("most", [0, 65, 1.0, True, "8"])
def test_how_many_paths_is_a_small_whole_number(most):
    with pytest.raises(InvalidValue) as caught:
        paths(Fabric.line([1, 1]), "qpu-0", "qpu-1", most=most)
    assert caught.value.field == "most"


@pytest.mark.parametrize("asked", [0.2, 1.1, float("nan"), "0.9", True])
def test_a_least_fidelity_is_a_fidelity(asked):
    with pytest.raises(InvalidValue):
        best_path(Fabric.line([1, 1]), "qpu-0", "qpu-1", min_fidelity=asked)


def test_a_fidelity_that_no_path_has_is_unreachable_with_the_bound():
    fabric = Fabric.line([1] * 3, pair_fidelity=0.95)
    with pytest.raises(FidelityUnreachable, match="qpu-0 - qpu-1 - qpu-2") as caught:
        best_path(fabric, "qpu-0", "qpu-2", objective="rate", min_fidelity=0.91)
    assert caught.value.reachable == pytest.approx(0.903333, abs=1e-6)
    assert best_path(fabric, "qpu-0", "qpu-2", min_fidelity=caught.value.reachable).hops == 2


def test_components_without_a_quantum_link_between_them_are_named():
    nodes = tuple(qpu(each) for each in "abcd")
    fabric = Fabric(
        nodes=nodes, links=(Link("a", "b", pair_fidelity=1), Link("c", "d", pair_fidelity=1), Link("b", "c"))
    )
    with pytest.raises(NoQuantumPath) as caught:
        best_path(fabric, "b", "d")
    assert (caught.value.a, caught.value.b) == (("b", "a"), ("d", "c"))
    with pytest.raises(NoQuantumPath, match="no quantum link ends at 'a'"):
        best_path(Fabric(nodes=nodes), "a", "b")
    with pytest.raises(NoQuantumPath):
        best_path(fat_tree(4, hosts=HardwareType.QUANTUM_QPU), "host-0", "host-1")


@pytest.mark.parametrize("qubits", [0, 1])
def test_a_node_that_must_swap_holds_two_halves(qubits):
    fabric = chain("a", "m", "b", pair_fidelity=0.9).replace("nodes.m", communication_qubits=qubits)
    with pytest.raises(NotEnoughCommunicationQubits, match="swapping") as caught:
        best_path(fabric, "a", "b")
    assert (caught.value.node, caught.value.needed, caught.value.available) == ("m", 2, qubits)
    assert best_path(fabric.replace("nodes.m", communication_qubits=2), "a", "b").hops == 2


def test_other_hardware_swaps_with_the_qubits_that_it_states():
    fabric = chain("a", "m", "b", pair_fidelity=0.9).replace("nodes.m", hardware_type=HardwareType.CPU_SERVER)
    with pytest.raises(NotEnoughCommunicationQubits):
        best_path(fabric, "a", "b")
    assert best_path(fabric.replace("nodes.m", communication_qubits=2), "a", "b").hops == 2


def test_an_end_holds_a_half():
    fabric = chain("a", "s", "b", pair_fidelity=0.9)
    with pytest.raises(NotEnoughCommunicationQubits):
        best_path(fabric, "a", "s")
    with pytest.raises(NotEnoughCommunicationQubits):
        best_path(fabric.replace("nodes.b", communication_qubits=0), "a", "b")


def test_pairs_that_are_not_entangled_make_no_path():
    for fidelity in (0.25, 0.5):
        fabric = chain("a", "b", pair_fidelity=fidelity)
        assert elementary_links(fabric) == ()
        with pytest.raises(InvalidValue, match="not entangled") as caught:
            best_path(fabric, "a", "b")
        assert caught.value.field == "pair_fidelity"
    # Two arms of 0.7 make 0.52, two of 0.68 make 0.4965.
    assert only(chain("a", "s", "b", pair_fidelity=0.7)).weights[0] == pytest.approx(0.52)
    with pytest.raises(InvalidValue, match="through s"):
        best_path(chain("a", "s", "b", pair_fidelity=0.68), "a", "b")


def test_a_detour_avoids_what_cannot_be_used():
    fabric = Fabric.ring([1] * 4, pair_fidelity=0.9).replace("links.qpu-0--qpu-1", pair_fidelity=0.4)
    assert ids_of(best_path(fabric, "qpu-0", "qpu-1")) == ("qpu-0", "qpu-3", "qpu-2", "qpu-1")


@pytest.mark.parametrize("node", ["a", "s"])
def test_without_an_optical_channel_there_is_no_link(node):
    fabric = chain("a", "s", "b", pair_fidelity=0.9).replace(f"nodes.{node}", photonic_channels=0)
    with pytest.raises(InvalidValue) as caught:
        best_path(fabric, "a", "b")
    assert caught.value.field == "photonic_channels"


@pytest.mark.parametrize(("field", "value"), [("gate_error_2q", 0.76), ("readout_error", 0.51)])
def test_a_node_worse_than_chance_does_not_swap(field, value):
    fabric = chain("a", "m", "b", pair_fidelity=0.9).replace("nodes.m", **{field: value})
    for a, b in (("a", "b"), ("a", "m")):
        with pytest.raises(InvalidValue) as caught:
            best_path(fabric, a, b)
        assert caught.value.field == field


def test_nine_switches_in_a_row_are_too_many():
    ids = ["a", *(f"s{index}" for index in range(9)), "b"]
    with pytest.raises(NoQuantumPath, match="too many switches"):
        best_path(chain(*ids, pair_fidelity=1), "a", "b")
    assert best_path(chain(*ids[:9], "b", pair_fidelity=1), "a", "b").hops == 1


def test_rates_that_never_bring_a_pair_make_no_link():
    with pytest.raises(InvalidValue, match="ever succeeds"):
        best_path(chain("a", "s", "b", pair_fidelity=1, pair_rate_hz=1e-20), "a", "b")
