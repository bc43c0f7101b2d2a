"""Every example runs from anywhere, warns of nothing, writes no file, and says what it promises."""

import json
import math
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
QUICK = {"main_job": ("--shots", "100"), "cut_qaoa_ring": ("--shots", "20000")}


def output_of(script, folder, *options):
    done = subprocess.run(
        (sys.executable, "-W", "error", "-B", script, *QUICK.get(script.stem, ()), *options),
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
        timeout=120,
        env={"PYTHONIOENCODING": "utf-8", "PATH": ""},
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert list(folder.iterdir()) == []
    return done.stdout


def test_the_main_job_adds_and_plans_the_larger_circuit(tmp_path):
    told = output_of(ROOT / "examples" / "main_job.py", tmp_path)
    assert re.search(r"8 qubits, \d+ two-qubit gates on 3 QPU nodes: \d+ e-bits, proved", told)
    assert "proved" in told
    assert "It does: fidelity 1.0" in told
    assert told.count("5 + 6 = 11, which reads 1011: right in 0.") == 2
    assert "16 qubits, 120 two-qubit gates on 4 QPU nodes" in told


@pytest.mark.slow
def test_your_own_circuit_gives_the_same_plan_in_every_form(tmp_path):
    told = output_of(ROOT / "examples" / "bring_your_own_circuit.py", tmp_path)
    plans = [line.split(maxsplit=1) for line in told.splitlines() if "<Plan" in line]
    assert [form for form, _ in plans] == ["Qiskit", "Cirq", "OpenQASM"]
    assert len({plan for _, plan in plans}) == 1


def test_the_live_protocol_grows(tmp_path):
    told = output_of(ROOT / "examples" / "live_protocol.py", tmp_path)
    assert "<HyperFabricProtocol: 2 nodes" in told
    assert "<HyperFabricProtocol: 3 nodes" in told
    outcome = next(line.split()[0] for line in told.splitlines() if " ± " in line)
    assert int(outcome, 2) == 42  # the most frequent outcome, in spite of the noise


@pytest.mark.slow
def test_every_refusal_is_refused(tmp_path):
    told = output_of(ROOT / "examples" / "limits_and_refusals.py", tmp_path)
    assert "accepted" not in told
    for name in (
        "NotEnoughQubits",
        "NoQuantumPath",
        "NotEnoughCommunicationQubits",
        "UnsupportedOperation",
        "CircuitRejected",
        "InvalidValue",
        "UnknownName",
        "SimulationRefused",
    ):
        assert f"    {name}: " in told


def test_the_gradient_takes_its_time_and_the_example_says_what_half_a_millisecond_would_take(tmp_path):
    told = output_of(ROOT / "examples" / "gradient_all_reduce.py", tmp_path)
    assert "over 1024 nodes by ring: 13.9865327" in told
    assert "endpoint bound, by any algorithm and without latency: 13.986328125 s" in told
    assert "constraint_met = False" in told
    assert "27,973 times too slow" in told
    assert re.search(r"10 MB by ring: 0\.6\d+ ms, not met", told)
    assert re.search(r"10 MB by halving_doubling: 0\.4\d+ ms, met", told)


def test_classical_load_lowers_the_rate_and_the_fidelity_of_pairs(tmp_path):
    rows = json.loads(output_of(ROOT / "examples" / "load_and_entanglement.py", tmp_path, "--pairs", "100", "--json"))
    idle, busy = rows[0], rows[-1]
    for name in ("pairs_per_second", "fidelity"):
        noise = math.hypot(idle[f"{name}_stderr"], busy[f"{name}_stderr"])
        assert idle[name] - busy[name] > 5 * noise, name


def test_oxford_is_predicted_from_its_gate(tmp_path):
    told = output_of(ROOT / "examples" / "oxford_two_module.py", tmp_path, "--json")
    assert {"depolarising", "dephasing"} <= set(re.findall(r"[a-z]+", told))


def test_a_cut_ring_is_worth_what_theory_says(tmp_path):
    told = output_of(ROOT / "examples" / "cut_qaoa_ring.py", tmp_path)
    assert "ring_36: 36 qubits in 3 parts, 3 gate cuts, 0 wire cuts" in told
    assert "proven least" in told
    assert float(re.search(r"72 observables exactly: at most (\S+) from theory", told)[1]) < 1e-10
    assert int(re.search(r"(\d+) of 72 within two standard errors", told)[1]) >= 62
    assert re.search(r"\(10,000 shots of \d+ circuits, gamma", told)


@pytest.mark.slow
def test_the_codes_run_on_one_device_over_pairs_and_on_aer(tmp_path):
    told = output_of(ROOT / "examples" / "qec_codes.py", tmp_path)
    assert re.search(r"d = 3 on one device: \S+ per round", told)
    assert "288 qubits, 288 detectors> with 12 logical qubits" in told
    assert re.search(r"Aer: 10 pairs, 20 corrections, \d+\.\d% of detectors fire", told)


def test_every_example_has_a_test_in_this_folder():
    told = "".join(path.read_text(encoding="utf-8") for path in Path(__file__).parent.glob("*.py"))
    missing = [path.name for path in (ROOT / "examples").glob("*.py") if f'"{path.name}"' not in told]
    assert not missing


@pytest.mark.slow
def test_backends_with_couplings_are_routed_and_proved(tmp_path):
    told = output_of(ROOT / "examples" / "coupled_backends.py", tmp_path)
    assert told.count("proved") == 2
    lost = [float(each) for each in re.findall(r"infidelity (\d\.\d+)", told)]
    assert lost[1] <= lost[0]
    assert "bell_pair" in told
    assert "swap" not in told.splitlines()[-1]
