"""Fabric files: what is written is read back, and every fault is named with its line."""

import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hyperfabric_q.errors import FabricRejected, FileUnreadable, InvalidValue
from hyperfabric_q.fabric import (
    Fabric,
    FabricZone,
    HardwareType,
    IsolationLevel,
    Link,
    NodeSignature,
    ZoneType,
)
from hyperfabric_q.fabric.config import LARGEST_BYTES, read_text

EXAMPLE = Path(__file__).parents[2] / "examples" / "fabrics" / "three_qpus.toml"

GOOD = """\
# two nodes
version = 1

[[nodes]]
node_id = "a"
hardware_type = "quantum_qpu"
bandwidth_gbps = 10
latency_ns = 5
compute_units = 4

[[nodes]]
node_id = "b"
hardware_type = "quantum_qpu"
bandwidth_gbps = 10
latency_ns = 5
preset = "ion_2022"

[[links]]
a = "a"
b = "b"
pair_fidelity = 0.9

[[zones]]
zone_id = "z"
zone_type = "quantum_realm"
members = ["a"]
"""

IDS = st.text("abcXYZ019", min_size=1, max_size=3)
WORDS = st.text(st.characters(codec="utf-8"), max_size=12)
SCALARS = st.one_of(
    st.booleans(), st.integers(-(2**63), 2**63 - 1), st.floats(allow_nan=False, allow_infinity=False), WORDS
)
METADATA = st.dictionaries(
    WORDS,
    st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(WORDS, inner, max_size=2)),
    max_size=3,
)


def maybe(strategy):
    return st.none() | strategy


@st.composite
def fabrics(draw):
    ids = draw(st.lists(IDS, min_size=1, max_size=4, unique=True))
    nodes = tuple(
        NodeSignature(
            each,
            draw(st.sampled_from(HardwareType)),
            draw(st.floats(1e-3, 1e6)),
            draw(st.floats(0, 1e9)),
            compute_units=draw(maybe(st.integers(1, 100))),
            communication_qubits=draw(maybe(st.integers(0, 9))),
            physical_location=draw(maybe(WORDS)),
            quantum_coherence_time_us=draw(maybe(st.floats(1, 1e6))),
            t1_us=draw(maybe(st.floats(5e6, 1e9))),
            t2_us=draw(maybe(st.floats(1e-3, 1e7))),
            gate_error_2q=draw(maybe(st.floats(0, 1))),
            reconfiguration_ns=draw(maybe(st.floats(0, 1e9))),
            metadata=draw(METADATA),
        )
        for each in ids
    )
    pairs = [(a, b) for a in ids for b in ids if a < b]
    chosen = draw(st.lists(st.sampled_from(pairs), unique=True)) if pairs else []
    links = tuple(_link(draw, a, b) for a, b in chosen)
    zones = tuple(
        FabricZone(
            zone_id=f"z{index}",
            zone_type=draw(st.sampled_from(ZoneType)),
            isolation_level=draw(st.sampled_from(IsolationLevel)),
            max_nodes=draw(maybe(st.integers(4, 9))),
            description=draw(WORDS),
            members=draw(st.lists(st.sampled_from(ids), unique=True)),
        )
        for index in range(draw(st.integers(0, 2)))
    )
    return Fabric(nodes=nodes, links=links, zones=zones, name=draw(WORDS))


def _link(draw, a, b):
    kind = draw(st.sampled_from(["classical", "werner", "attempts", "weights", "preset"]))
    fidelity = draw(st.floats(0.25, 1))
    rows = {
        "classical": {"bandwidth_gbps": draw(maybe(st.floats(1, 1e3))), "distance_m": draw(maybe(st.floats(0, 1e6)))},
        "werner": {"pair_fidelity": fidelity, "pair_rate_hz": draw(maybe(st.floats(1e-3, 1e6)))},
        "attempts": {
            "pair_fidelity": fidelity,
            "pair_rate_hz": draw(maybe(st.floats(1e-3, 1e6))),
            "pair_attempt_ns": draw(st.floats(1e-3, 1e3)),
            "pair_channel": draw(st.sampled_from(["dedicated", "shared"])),
        },
        "weights": {"pair_weights": (fidelity, 1 - fidelity, 0.0, 0.0)},
        "preset": {"preset": draw(st.sampled_from(["ideal", "ion_oxford_2025", "nv_delft_2018"]))},
    }
    return Link(a, b, **rows[kind])


@settings(deadline=None, derandomize=True, max_examples=150)
@given(fabrics())
def test_what_is_written_is_read_back_and_evaluates_back(fabric):
    assert Fabric.from_toml(fabric.to_toml()) == fabric
    assert len(repr(fabric)) > 4_000 or repr(fabric).startswith("<") or eval(repr(fabric)) == fabric  # noqa: S307


def test_a_file_is_read_with_its_presets_and_defaults():
    fabric = read_text(GOOD)
    assert (fabric.node("a").data_qubits, fabric.node("b").data_qubits) == (4, None)
    assert fabric.node("b").t2_us == 85_000
    assert fabric.link("b", "a").pair_fidelity == 0.9
    assert fabric.zones[0].isolation_level is IsolationLevel.NONE


@pytest.mark.parametrize(
    ("old", "new", "line", "words"),
    [
        ("compute_units = 4", "compute_unit = 4", 9, "Did you mean 'compute_units'"),
        ("compute_units = 4", "compute_units = 0", 9, "data qubits|compute units"),
        ("compute_units = 4", "compute_units = true", 9, "true stands where a whole number"),
        ("compute_units = 4", 'compute_units = "4"', 9, "a whole number"),
        ("compute_units = 4", "compute_units = 4.0", 9, "a whole number"),
        ("compute_units = 4", "latency_ns = 4", 9, "Cannot overwrite"),
        ("compute_units = 4", "compute_units = ", 9, "Invalid value"),
        ("compute_units = 4", "t1_us = 1\nt2_us = 3", 10, "twice T1"),
        ("compute_units = 4", "metadata = { when = 1979-05-27 }", 9, "date"),
        ("latency_ns = 5", "latency_ns = nan", 8, "at least 0"),
        ("latency_ns = 5", "", 4, "'latency_ns' is missing"),
        ('node_id = "b"', 'node_id = "a"', 12, "exists already"),
        ('node_id = "b"', 'node_id = "../b"', 12, "ASCII letters"),
        ('hardware_type = "quantum_qpu"', 'hardware_type = "quantum_qpus"', 6, "Did you mean 'quantum_qpu'"),
        ('preset = "ion_2022"', 'preset = "ion_2023"', 16, "Did you mean 'ion_2022'"),
        ('b = "b"', 'b = "c"', 20, "no node is called 'c'"),
        ('a = "a"\n', 'a = "c"\n', 19, "no node is called 'c'"),
        ('b = "b"', 'b = "a"', 20, "two different nodes"),
        ("pair_fidelity = 0.9", "pair_fidelity = 0.2", 21, "at least 0.25"),
        ("pair_fidelity = 0.9", "pair_weights = [\n0.9,\n'x', 0, 0]", 23, "a number"),
        ("pair_fidelity = 0.9", "distance_m = 1000\nlatency_ns = 3", 22, "light"),
        ("pair_fidelity = 0.9", "pair_fidelity = 0.9\npair_channel = 'sharde'", 22, "Did you mean 'shared'"),
        ("pair_fidelity = 0.9", "pair_fidelity = 0.9\npair_attempt_ns = 0", 22, "at least 0.001"),
        ("pair_fidelity = 0.9", "pair_attempt_ns = 5", 21, "pair_fidelity"),
        ("[[zones]]", "[[links]]\na = 'b'\nb = 'a'\n[[zones]]", 23, "exists already"),
        ("[[zones]]", "[[zone]]", 23, "Did you mean 'zones'"),
        ('members = ["a"]', 'members = ["x"]', 26, "no node is called 'x'"),
        ('members = ["a"]', "quantum_coherence_required = 1", 26, "true or false"),
        ('members = ["a"]', 'members = ["a"]\nmax_nodes = 0', 27, "at least 1"),
        ('members = ["a"]', 'members = ["a"]\nrequired_bandwidth_gbps = 11', 26, "11 Gb/s"),
        ('zone_type = "quantum_realm"', 'zone_type = "realm"', 25, "no zone type"),
        ("version = 1", "version = 2", 2, "format 2"),
        ("version = 1", "version = 1\nnodes = 3", 5, "Cannot|overwrite|mutate|Can not"),
        ("version = 1", "version = " + "9" * 5_000, 2, "too many digits"),
        ("version = 1", f"name = '{'x' * 300}'", 2, "at most 200"),
        ("version = 1", "[[[", 2, "Invalid"),
        ("version = 1", "x" + ".x" * 1_000 + " = 1", 2, "nested too deep"),
    ],
)
def test_each_fault_is_named_with_its_line(old, new, line, words):
    assert old in GOOD
    with pytest.raises(FabricRejected, match=words) as caught:
        read_text(GOOD.replace(old, new, 1), source="f.toml")
    assert caught.value.line == line
    assert str(caught.value).startswith(f"f.toml:{line}: ")


def test_the_fault_that_stands_first_is_the_one_reported():
    text = GOOD.replace('zone_id = "z"', "zone_id = 3").replace("pair_fidelity = 0.9", "pair_fidelity = true")
    with pytest.raises(FabricRejected) as caught:
        read_text(text)
    assert caught.value.line == 21


def test_small_and_capital_letters_of_members_are_both_read():
    assert read_text(GOOD.replace("quantum_qpu", "QUANTUM_QPU")) == read_text(GOOD)


def test_files_with_a_byte_order_mark_and_windows_line_ends_are_read(tmp_path):
    path = tmp_path / "f.toml"
    path.write_bytes(b"\xef\xbb\xbf" + GOOD.replace("\n", "\r\n").encode())
    assert Fabric.from_file(path) == Fabric.from_file(str(path)) == read_text(GOOD)
    path.write_bytes(GOOD.replace("\n", "\r\n").replace("latency_ns = 5", "latency_ns = -5", 1).encode())
    with pytest.raises(FabricRejected) as caught:
        Fabric.from_file(path)
    assert caught.value.line == 8


def test_files_that_are_no_fabric_files_are_unreadable(tmp_path):
    large = tmp_path / "large.toml"
    large.write_bytes(b"#" * (LARGEST_BYTES + 1))
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for path in (tmp_path / "none.toml", tmp_path, large, pipe, "/dev/zero", "a\0b", ""):
        with pytest.raises(FileUnreadable):
            Fabric.from_file(path)
    for path in (None, 7, ["a"]):
        with pytest.raises(InvalidValue):
            Fabric.from_file(path)
    with pytest.raises(InvalidValue):
        Fabric.from_toml(b"name = 'x'")


def test_a_file_that_is_no_text_is_rejected_with_its_line(tmp_path):
    path = tmp_path / "f.toml"
    path.write_bytes(b"version = 1\n\nname = '\xff'\n")
    with pytest.raises(FabricRejected, match="UTF-8") as caught:
        Fabric.from_file(path)
    assert caught.value.line == 3


@settings(deadline=None, derandomize=True, max_examples=200)
@given(
    at=st.integers(0, len(GOOD)),
    cut=st.integers(0, 12),
    put=st.sampled_from(["", "=", "\n", "[", "]", '"', "nan", "inf", "-1", "true", "1e400", "{}", "''", "\x00", "é"]),
)
def test_a_file_with_any_small_damage_is_read_or_rejected(at, cut, put):
    text = GOOD[:at] + put + GOOD[at + cut :]
    try:
        read_text(text)
    except FabricRejected as fault:
        assert fault.line is None or 1 <= fault.line <= text.count("\n") + 1  # noqa: PT017


def test_the_example_holds_three_unlike_nodes_on_a_line():
    fabric = Fabric.from_file(EXAMPLE)
    assert fabric.capacity == {"ion-a": 4, "transmon-b": 3, "atom-c": 3}
    assert [node.communication_qubits for node in fabric.nodes] == [1, 2, 1]
    assert fabric.link("ion-a", "transmon-b").pair_fidelity == 0.97
    assert fabric.link("transmon-b", "atom-c").pair_fidelity == 0.94
    assert fabric.link("ion-a", "atom-c") is None
    assert len(fabric.quantum_components()) == 1
    for figure in ("gate_error_1q", "gate_error_2q", "readout_error", "t1_us", "t2_us", "gate_2q_ns", "readout_ns"):
        values = [getattr(node, figure) for node in fabric.nodes]
        assert None not in values
        assert len(set(values)) > 1
    assert Fabric.from_toml(fabric.to_toml()) == fabric
