"""The families of MQT Bench (Quetschlich, Burgholzer and Wille 2023), written by others: planned, replayed, proved."""

import warnings
from functools import cache

import pytest

import hyperfabric_q as hq
from hyperfabric_q.distribution.replay import replay
from hyperfabric_q.errors import UnsupportedOperation

mqt_bench = pytest.importorskip("mqt.bench")

QUICK = {
    "ae": 5,
    "bmw_quark_cardinality": 6,
    "bmw_quark_copula": 6,
    "bv": 8,
    "cdkm_ripple_carry_adder": 6,
    "dj": 8,
    "draper_qft_adder": 6,
    "ghz": 8,
    "graphstate": 8,
    "half_adder": 5,
    "hhl": 5,
    "modular_adder": 6,
    "multiplier": 4,
    "qaoa": 6,
    "qft": 7,
    "qnn": 6,
    "qpeinexact": 6,
    "vqe_real_amp": 6,
    "wstate": 7,
}
"""Family → qubits."""

LONGER = {
    "dynamic_qft": 5,
    "full_adder": 6,
    "grover": 4,
    "hrs_cumulative_multiplier": 5,
    "iqpe": 4,
    "qftentangled": 6,
    "qpeexact": 6,
    "qwalk": 4,
    "randomcircuit": 5,
    "rg_qft_multiplier": 4,
    "seven_qubit_steane_code": 13,
    "shors_nine_qubit_code": 17,
    "vbe_ripple_carry_adder": 7,
    "vqe_su2": 6,
    "vqe_two_local": 6,
}

WIDE = {
    "ae": 20,
    "bv": 40,
    "cdkm_ripple_carry_adder": 24,
    "ghz": 60,
    "graphstate": 40,
    "qaoa": 24,
    "qft": 24,
    "qnn": 24,
    "qpeexact": 20,
    "vqe_real_amp": 20,
    "wstate": 40,
}

FABRICS = {
    "two nodes": lambda qubits: hq.Fabric.full(rooms(qubits, 2), communication_qubits=2, pair_fidelity=0.97),
    "four nodes": lambda qubits: hq.Fabric.full(rooms(qubits, 4), pair_fidelity=0.97),
    "line of four": lambda qubits: hq.Fabric.line(rooms(qubits, 4), communication_qubits=2, pair_fidelity=0.97),
}


def rooms(qubits, nodes):
    return [qubits // nodes + 1] * nodes


@cache
def circuit_of(family, qubits, *, mirror=False):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # their deprecations are not ours
        return mqt_bench.get_benchmark(family, mqt_bench.BenchmarkLevel.INDEP, qubits, generate_mirror_circuit=mirror)


def planned(circuit, fabric, *, time_limit_s=0.05):
    """The plan, after counting again from its circuit alone."""
    fabric = FABRICS[fabric](circuit.num_qubits)
    plan = hq.plan(circuit, fabric, seed=1, time_limit_s=time_limit_s)
    assert replay(plan.lowered.circuit, fabric).ebits == plan.ebits
    assert plan.circuit.num_clbits == circuit.num_clbits
    return plan


def test_there_are_enough_families():
    assert len(QUICK) >= 15
    known = set(mqt_bench.benchmarks.get_available_benchmark_names())
    assert {*QUICK, *LONGER, *WIDE} <= known
    assert known - {*QUICK, *LONGER} == {"ghz_dynamic", "shor"}


@pytest.mark.parametrize("fabric", ["two nodes", "four nodes"])
@pytest.mark.parametrize("family", QUICK)
def test_a_family_is_proved(family, fabric):
    assert planned(circuit_of(family, QUICK[family]), fabric).equivalent == "proved"


@pytest.mark.slow
@pytest.mark.parametrize("fabric", FABRICS)
@pytest.mark.parametrize("family", LONGER)
def test_a_longer_family_is_proved(family, fabric):
    assert planned(circuit_of(family, LONGER[family]), fabric).equivalent == "proved"


@pytest.mark.slow
@pytest.mark.parametrize("fabric", FABRICS)
@pytest.mark.parametrize("family", WIDE)
def test_a_wide_mirror_circuit_is_verified(family, fabric):
    circuit = circuit_of(family, WIDE[family], mirror=True)
    plan = planned(circuit, fabric, time_limit_s=0.5)
    assert plan.equivalent in ("proved", "skeleton")


def only_zeros(plan):
    counts = plan.run(shots=200, noise="none", seed=5).counts
    return {key.replace(" ", "").strip("0") for key in counts} == {""}


@pytest.mark.parametrize("family", ["qft", "qaoa", "vqe_real_amp", "wstate"])
def test_a_mirror_circuit_comes_back_to_zero(family):
    plan = planned(circuit_of(family, 6, mirror=True), "line of four")
    assert plan.ebits > 0
    assert only_zeros(plan)


@pytest.mark.slow
@pytest.mark.parametrize("fabric", FABRICS)
@pytest.mark.parametrize("family", ["bv", "ghz", "graphstate"])
def test_a_wide_clifford_mirror_circuit_comes_back_to_zero(family, fabric):
    assert only_zeros(planned(circuit_of(family, WIDE[family], mirror=True), fabric))


def test_conditions_that_are_expressions_are_refused_by_name():
    with pytest.raises(UnsupportedOperation, match="condition"):
        planned(circuit_of("ghz_dynamic", 6), "two nodes")
