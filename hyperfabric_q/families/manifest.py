"""Which circuit files the repository keeps, and how each of them is made again.

``write`` puts the files of ``RECIPES`` and their MANIFEST.toml into a folder, byte for byte the same each time;
``check`` says what in a folder differs from that. A subfolder ``peers`` holds benchmark circuits on which other
partitioners were measured: they are copies, so they are listed and counted, never written.
"""

from __future__ import annotations

import csv
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from qiskit import QuantumCircuit, qasm2

from hyperfabric_q.errors import FileUnreadable, InvalidValue
from hyperfabric_q.families.catalogue import Option, generate
from hyperfabric_q.families.counting import two_qubit_gates

PEER_ORIGIN: Final = "peer benchmark copy"
PEER_COLUMNS: Final = ("pytket_dqc_ebits", "disqco_ebits")
NETWORKS: Final = ("full2", "full4", "line4")
"""Node counts and shapes of the published e-bit counts: each node holds floor(n/k) + 1 data qubits."""

_HEADER: Final = """\
# Written by hyperfabric_q.families.manifest.write; tests/families checks every row.
# two_qubit_gates: after expansion of wider gates. answer: what every noiseless shot reads, where it is certain.
# peer_ebits, best_known_ebits: per network, floor(n/k) + 1 data qubits per node, from peers/ebits.csv: the better of
# pytket-dqc and DISQCO, and the best of those two and this project's own target.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """One file of our own: the arguments of ``generate`` that make it."""

    name: str
    family: str
    qubits: int
    options: Mapping[str, Option]
    seed: int | None = None
    measured: bool = False
    answer: str = ""

    @property
    def call(self) -> str:
        """Return the call that generates the circuit, as Python text."""
        parts = [repr(self.family), str(self.qubits)]
        parts += [f"seed={self.seed}"] if self.seed is not None else []
        parts += [f"options={dict(self.options)}"] if self.options else []
        parts += ["measured=True"] if self.measured else []
        return f"generate({', '.join(parts)})"

    def circuit(self) -> QuantumCircuit:
        """Return the circuit itself."""
        return generate(self.family, self.qubits, seed=self.seed, options=self.options, measured=self.measured)


def _recipe(
    name: str,
    family: str,
    qubits: int,
    options: Mapping[str, Option] | None = None,
    *,
    seed: int | None = None,
    measured: bool = False,
    answer: str = "",
) -> Recipe:
    return Recipe(
        name=name, family=family, qubits=qubits, options=options or {}, seed=seed, measured=measured, answer=answer
    )


RECIPES: Final = (
    _recipe("bell", "ghz", 2, measured=True),
    _recipe("ghz_8", "ghz", 8, measured=True),
    _recipe("ghz_32", "ghz", 32, measured=True),
    _recipe("ghz_200", "ghz", 200, measured=True),
    _recipe("ghz_star_16", "ghz", 16, {"shape": "star"}, measured=True),
    _recipe("w_state_8", "w_state", 8, measured=True),
    _recipe("w_state_16", "w_state", 16, measured=True),
    _recipe("bernstein_vazirani_8", "bernstein_vazirani", 8, {"secret": "1011001"}, answer="1011001"),
    _recipe("bernstein_vazirani_16", "bernstein_vazirani", 16, {"secret": "110100111010011"}, answer="110100111010011"),
    _recipe("cuccaro_adder_1bit", "cuccaro_adder", 4, {"a": 1, "b": 1}, answer="10"),
    _recipe("cuccaro_adder_3bit", "cuccaro_adder", 8, {"a": 5, "b": 6}, answer="1011"),
    _recipe("cuccaro_adder_8bit", "cuccaro_adder", 18, {"a": 200, "b": 99}, answer="100101011"),
    _recipe("cuccaro_adder_31bit", "cuccaro_adder", 64),
    _recipe("qft_4", "qft", 4, {"swaps": "true"}),
    _recipe("qft_16", "qft", 16),
    _recipe("qft_32", "qft", 32),
    _recipe("qft_roundtrip_8", "qft_roundtrip", 8, {"value": 178}, answer="10110010"),
    _recipe("qft_roundtrip_16", "qft_roundtrip", 16, {"value": 43981}, answer="1010101111001101"),
    _recipe("graph_state_12", "graph_state", 12, seed=12),
    _recipe("graph_state_100", "graph_state", 100, seed=100),
    _recipe("qaoa_3regular_12", "qaoa_3regular", 12, seed=12, measured=True),
    _recipe("qaoa_3regular_64", "qaoa_3regular", 64, {"layers": 2}, seed=64, measured=True),
    _recipe("cz_fraction_24", "cz_fraction", 24, {"fraction": 0.5}, seed=24),
    _recipe("cp_fraction_12", "cp_fraction", 12, {"fraction": 0.5}, seed=12),
    _recipe("cp_fraction_32", "cp_fraction", 32, {"fraction": 0.7}, seed=32),
    _recipe("pauli_gadgets_10", "pauli_gadgets", 10, {"gadgets": 12}, seed=10),
    _recipe("quantum_volume_6", "quantum_volume", 6, seed=6, measured=True),
    _recipe("quantum_volume_12", "quantum_volume", 12, seed=12, measured=True),
    _recipe("hardware_efficient_ansatz_16", "hardware_efficient_ansatz", 16, {"layers": 3}, seed=16),
    _recipe("ising_12", "ising", 12, {"steps": 4}, measured=True),
    _recipe("ising_64", "ising", 64, {"steps": 5}, measured=True),
    _recipe("brickwork_12", "brickwork", 12, {"depth": 6}, seed=12),
    _recipe("brickwork_64", "brickwork", 64, {"depth": 10}, seed=64),
)
"""Every file that ``write`` makes, small and wide: 2 to 200 qubits."""


def text(recipe: Recipe, circuit: QuantumCircuit | None = None) -> str:
    """Return the OpenQASM 2 text of ``recipe``; a comment under the header names the call that generates it."""
    version, include, *rest = qasm2.dumps(recipe.circuit() if circuit is None else circuit).splitlines()
    return "\n".join([version, include, f"// hyperfabric_q.families.{recipe.call}", *rest]) + "\n"


def write(folder: Path) -> None:
    """Write every file of ``RECIPES`` and MANIFEST.toml into ``folder``, over those that are there.

    Raises:
        FileUnreadable: ``folder`` is missing, or a file in its subfolder ``peers`` cannot be read.
    """
    if not folder.is_dir():
        raise FileUnreadable(path=str(folder), reason="it is not a folder", remedy="Create it first.")
    files, rows = _own()
    for name, content in files.items():
        (folder / name).write_bytes(content.encode())
    (folder / "MANIFEST.toml").write_bytes(_manifest([*rows, *_peers(folder / "peers")]).encode())


def check(folder: Path) -> tuple[str, ...]:
    """Return what is wrong with ``folder``, one sentence per fault: empty when ``write`` would change nothing.

    Raises:
        FileUnreadable: MANIFEST.toml or a file in the subfolder ``peers`` cannot be read.
    """
    files, rows = _own()
    faults = []
    for name, content in files.items():
        path = folder / name
        if not path.is_file():
            faults.append(f"{name} is missing")
        elif path.read_bytes() != content.encode():
            faults.append(f"{name} is not what its generator writes")
    faults += [f"{path.name} has no recipe" for path in sorted(folder.glob("*.qasm")) if path.name not in files]
    listed = {str(row["path"]): row for row in read(folder)}
    true = {str(row["path"]): row for row in [*rows, *_peers(folder / "peers")]}
    faults += [f"MANIFEST.toml: {path} has no row" for path in true if path not in listed]
    faults += [f"MANIFEST.toml: {path} does not exist" for path in listed if path not in true]
    faults += [
        f"MANIFEST.toml: the row of {path} is wrong" for path in true if listed.get(path, true[path]) != true[path]
    ]
    return tuple(faults)


def read(folder: Path) -> tuple[Mapping[str, Any], ...]:
    """Return the rows of MANIFEST.toml in ``folder``.

    Raises:
        FileUnreadable: the file is missing or is not a manifest.
    """
    path = folder / "MANIFEST.toml"
    try:
        rows = tomllib.loads(path.read_text(encoding="utf-8"))["circuit"]
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, KeyError) as fault:
        reason = f"it is not a manifest of circuits ({type(fault).__name__})"
        raise FileUnreadable(path=str(path), reason=reason, remedy="write(folder) makes it.") from fault
    if not isinstance(rows, list) or not all(isinstance(row, dict) and "path" in row for row in rows):
        raise FileUnreadable(path=str(path), reason="a row has no path", remedy="write(folder) makes it.")
    return tuple(rows)


def _own() -> tuple[dict[str, str], list[dict[str, object]]]:
    files: dict[str, str] = {}
    rows: list[dict[str, object]] = []
    for recipe in RECIPES:
        circuit = recipe.circuit()
        path = f"{recipe.name}.qasm"
        files[path] = text(recipe, circuit)
        row: dict[str, object] = {"name": recipe.name, "path": path, "origin": recipe.call, "family": recipe.family}
        row |= {"options": dict(recipe.options)} if recipe.options else {}
        row |= {"seed": recipe.seed} if recipe.seed is not None else {}
        row |= {"measured": bool(circuit.clbits), "qubits": recipe.qubits, "two_qubit_gates": two_qubit_gates(circuit)}
        row |= {"answer": recipe.answer} if recipe.answer else {}
        rows.append(row)
    return files, rows


def _peers(folder: Path) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = []
    published = _published(folder / "ebits.csv") if folder.is_dir() else {}
    for path in sorted(folder.glob("*.qasm")):
        try:
            circuit = qasm2.loads(
                path.read_text(encoding="utf-8"), custom_instructions=qasm2.LEGACY_CUSTOM_INSTRUCTIONS
            )
        except (OSError, UnicodeDecodeError, qasm2.QASM2ParseError) as fault:
            raise FileUnreadable(path=str(path), reason=f"it is not OpenQASM 2 ({fault})") from fault
        row: dict[str, object] = {
            "name": f"{folder.name}/{path.stem}",
            "path": f"{folder.name}/{path.name}",
            "origin": PEER_ORIGIN,
        }
        row |= {"measured": bool(circuit.clbits), "qubits": circuit.num_qubits}
        row |= {"two_qubit_gates": two_qubit_gates(circuit)}
        rows.append(row | published.get(path.stem, {}))
    return rows


def _published(path: Path) -> dict[str, dict[str, dict[str, int]]]:
    """Return {circuit: {"peer_ebits" | "best_known_ebits": {network: e-bits}}} from a table of e-bit counts."""
    found: dict[str, dict[str, dict[str, int]]] = {}
    try:
        with path.open(encoding="utf-8", newline="") as lines:
            for row in csv.DictReader(lines):
                network = row["network"]
                if network not in NETWORKS:
                    raise InvalidValue(field="network", value=network, rule=f"must be one of {', '.join(NETWORKS)}")
                peers = [round(float(row[column])) for column in PEER_COLUMNS if row[column]]
                known = [*peers, *([round(float(row["target_ebits"]))] if row["target_ebits"] else [])]
                circuit = found.setdefault(row["circuit"], {"peer_ebits": {}, "best_known_ebits": {}})
                circuit["peer_ebits"][network] = min(peers)
                circuit["best_known_ebits"][network] = min(known)
    except (OSError, KeyError, ValueError) as fault:
        raise FileUnreadable(path=str(path), reason=f"it is not a table of e-bit counts ({fault})") from fault
    return found


def _manifest(rows: list[dict[str, object]]) -> str:
    blocks = ["[[circuit]]\n" + "".join(f"{key} = {_toml(value)}\n" for key, value in row.items()) for row in rows]
    return "\n".join([_HEADER, *blocks])


def _toml(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{key} = {_toml(item)}" for key, item in value.items()) + " }"
    if isinstance(value, int | float):
        return repr(value)
    return '"' + str(value).replace("\\", "\\\\").replace('"', '\\"') + '"'
