"""``hyperfabric-q qec collect``: lists after one flag, results that grow, one JSON object, and refusals."""

import json
import re

import pytest
import sinter
from typer.testing import CliRunner

from hyperfabric_q import cli
from hyperfabric_q.cli import qec

runner = CliRunner()


def call(*words):
    return runner.invoke(qec.app, ["collect", *(str(word) for word in words)])


def rows_of(*words):
    outcome = call(*words, "--json")
    assert outcome.exit_code == 0, outcome.stderr
    return json.loads(outcome.stdout)["rows"]


def test_one_flag_takes_several_values():
    words = ("--p", 0.01, 0.02, "--distance", 3, 5, "--rounds-per-distance", 1, "--shots", 50, "--seed", 1)
    rows = rows_of(*words)
    assert [(row["d"], row["p"], row["r"]) for row in rows] == [(3, 0.01, 3), (5, 0.01, 5), (3, 0.02, 3), (5, 0.02, 5)]
    spelled = rows_of("--p", 0.01, "--p", 0.02, "--distance=3", 5, *words[6:])
    assert [row["errors"] for row in spelled] == [row["errors"] for row in rows]


def test_a_results_file_grows_until_it_has_the_shots(tmp_path):
    file = tmp_path / "f.csv"
    words = ("--distance", 3, "--p", 0.01, "--seed", 3, "--out", file)
    rows_of(*words, "--shots", 500)
    (row,) = rows_of(*words, "--shots", 2000)
    (known,) = sinter.read_stats_from_csv_files(file)
    assert (known.shots, known.errors) == (2000, row["errors"])
    before = file.read_text()
    assert rows_of(*words, "--shots", 1000)[0]["shots"] == 2000
    assert file.read_text() == before


def test_a_loaded_link_shows_its_tax_and_its_latencies():
    answer = call(
        *("--distance", 3, "--p", 0.01, "--shots", 600, "--seed", 2, "--timelines", 4, "--blocks", 4),
        *("--link-gbps", 100, "--load", 0, 0.7, "--policy", "fifo", "--deadline-us", 10, "--json"),
    )
    assert answer.exit_code == 0, answer.stderr
    found = json.loads(answer.stdout)
    assert found["schema"] == "hyperfabric_q/qec/1"
    alone, idle, loaded = found["rows"]
    assert alone["link_gbps"] is alone["tax"] is alone["latency"] is None
    assert (idle["load"], loaded["load"]) == (0, 0.7)
    assert idle["deadline_missed"] == 0
    assert loaded["deadline_missed"] > 0.3
    assert loaded["tax"]["interval"][0] < loaded["tax"]["value"] < loaded["tax"]["interval"][1]
    assert idle["latency"]["stages_us"]["one_way"]["p99.9"] < 0.1
    assert loaded["latency"]["stages_us"]["queue"]["p99"] > 10
    assert loaded["latency"]["bound_us"] is None


def test_for_people_there_is_a_table():
    words = ("--distance", 3, "--p", 0.01, "--bell-fidelity", 0.9, 0.95, "--basis", "X", "--seed", 4, "--shots", 300)
    told = call(*words).stdout.splitlines()
    assert told[0] == "distributed_surface_code, basis X, stim4 noise, frame, matching, seed 4"
    assert re.split(r"\s{2,}", told[1].strip()) == ["d", "p", "F", "shots", "errors", "per round", "95 % interval"]
    assert len(told) == 4


def test_a_slow_decoder_is_warned_of_in_one_line_and_its_row_is_there():
    words = ("--distance", 3, "--p", 0.01, "--shots", 20, "--seed", 1, "--window", 3, 3, "--decoder-us", 6.6)
    answer = call(*words, "--link-gbps", 100, "--no-ideal", "--json")
    assert answer.exit_code == 0
    (line,) = answer.stderr.splitlines()
    assert line.startswith("warning: the decoder is slower than the rounds")
    (row,) = json.loads(answer.stdout)["rows"]
    assert (row["C"], row["B"], row["service_us"]) == (3, 3, 6.6)
    assert row["latency"]["stages_us"]["decode"]["p50"] == pytest.approx(6.6)
    assert row["counts"]["stall_rounds"] > 0


@pytest.mark.parametrize("code", ["repetition", "rotated_surface"])
def test_aer_runs_codes_over_real_pairs(code):
    (row,) = rows_of(
        *("--code", code, "--distance", 3, "--p", 0.005, "--rounds-per-distance", 0.7, "--bell-fidelity", 0.95),
        *("--backend", "aer", "--shots", 40, "--seed", 1),
    )
    assert row["backend"] == "aer"
    assert row["shots"] == 40
    assert row["counts"]["bell_used"] == 40 * 2 * (1 if code == "repetition" else 5)


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (("--load", 0.5), 2, "InvalidValue"),
        (("--deadline-us", 5), 2, "InvalidValue"),
        (("--noise", "stim5"), 2, "UnknownName"),
        (("--decoder", "mathcing"), 2, "UnknownName"),
        (("--bell-fidelity", 0.1), 2, "InvalidValue"),
        (("--link-gbps", 100, "--load", 1.2), 2, "InvalidValue"),
        (("--link-gbps", 100, "--on-miss", "drop_frame"), 2, "InvalidValue"),
        (("--window", 0, 3), 2, "InvalidValue"),
        (("--out", "no/such/folder/f.csv"), 2, "InvalidValue"),
        (("--link-gbps", 100, "--latency-ns", 20_000, "--deadline-us", 10), 3, "DeadlineImpossible"),
    ],
)
def test_what_cannot_be_is_refused(words, code, told):
    answer = call("--distance", 3, "--p", 0.01, "--shots", 10, *words, "--json")
    assert answer.exit_code == code
    assert answer.stdout == ""
    assert json.loads(answer.stderr.splitlines()[-1])["error"] == told


def test_a_distance_of_one_and_a_chance_of_two_are_refused():
    assert call("--distance", 1, "--p", 0.01).exit_code == 2
    assert call("--distance", 3, "--p", 2).exit_code == 2
    assert call("--distance", 3).exit_code == 2


def test_schemas_are_told_apart():
    assert qec.QEC_SCHEMA not in {cli.ERROR_SCHEMA, cli.DOCTOR_SCHEMA}
