"""The house keeps its own rules."""

import ast
import functools
import importlib
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import hyperfabric_q
from hyperfabric_q.registry import LATE

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "hyperfabric_q"
MODULES = sorted(PACKAGE.rglob("*.py"))

HEAVY = ["qiskit", "qiskit_aer", "cirq", "matplotlib", "networkx", "stim", "mtkahypar", "scipy", "pydantic", "rich"]
RANDOM = {"default_rng", "SeedSequence", "Generator", "Philox", "PCG64"}


@functools.cache
def trees():
    return [(path, ast.parse(path.read_text())) for path in MODULES]


def test_import_loads_no_quantum_and_no_plotting_library():
    code = f"import sys, hyperfabric_q; print([name for name in {HEAVY} if name in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_public_names_all_resolve():
    assert set(hyperfabric_q._HOME) == {*hyperfabric_q.__all__, "torch"}  # an extra, which no star may import
    for name in hyperfabric_q.__all__:
        assert getattr(hyperfabric_q, name) is not None


def test_unknown_public_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'no_such'"):
        hyperfabric_q.no_such  # noqa: B018


def test_every_late_bound_name_resolves():
    for target in LATE.values():
        module, _, attribute = target.partition(":")
        assert callable(getattr(importlib.import_module(module), attribute))


def test_no_print_in_the_library():
    calls = [
        f"{path}:{node.lineno}"
        for path, tree in trees()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
    ]
    assert calls == []


def test_no_global_randomness():
    faults = []
    for path, tree in trees():
        for node in ast.walk(tree):
            if isinstance(node, ast.Import) and any(alias.name == "random" for alias in node.names):
                faults.append(f"{path}:{node.lineno} import random")
            if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "np.random" and node.attr not in RANDOM:
                faults.append(f"{path}:{node.lineno} np.random.{node.attr}")
    assert faults == []


def test_nothing_is_unpickled():
    faults = [
        f"{path}:{node.lineno}"
        for path, tree in trees()
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        and any(name.split(".")[0] in {"pickle", "dill", "joblib", "marshal"} for name in names(node))
    ]
    assert faults == []


def names(node):
    return [node.module or ""] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names]


def code_lines(function):
    """Lines without the docstring: saying more of an option must not make a function too long."""
    first = function.body[0]
    told = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str)
    return function.end_lineno - function.lineno + 1 - (first.end_lineno - first.lineno + 1 if told else 0)


def test_modules_and_functions_stay_small():
    long_modules = [f"{path}: {len(text)}" for path in MODULES if len(text := path.read_text().splitlines()) > 520]
    long_functions = [
        f"{path}:{node.lineno} {node.name}"
        for path, tree in trees()
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and code_lines(node) > 60
    ]
    assert long_modules == []
    assert long_functions == []


def test_every_room_says_what_it_is():
    for folder in {path.parent for path in MODULES}:
        doc = ast.get_docstring(ast.parse((folder / "__init__.py").read_text()))
        assert doc, folder


def test_version_is_written_once_in_effect():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["version"] == hyperfabric_q.__version__
    assert f"## {hyperfabric_q.__version__}" in (ROOT / "CHANGELOG.md").read_text()


def test_dependencies_have_lower_bounds_only():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    groups = [project["dependencies"], *project["optional-dependencies"].values()]
    assert all("<" not in line and "==" not in line and ">=" in line for group in groups for line in group)
