"""Notebooks run in a real kernel, from their own folder, and are kept with their outputs."""

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = sorted((ROOT / "examples" / "notebooks").glob("*.ipynb"))
LONG = {"learning", "qec"}
"""Notebooks that take many seconds."""


def code_cells(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def shown(notebook):
    """Everything the outputs show, as text."""
    pieces = []
    for cell in code_cells(notebook):
        for output in cell.outputs:
            assert output.output_type != "error"
            pieces += [output.text] if output.output_type == "stream" else list(output.data.values())
    return "".join(pieces)


@pytest.mark.parametrize(
    "path",
    [pytest.param(path, marks=pytest.mark.slow if path.stem in LONG else ()) for path in NOTEBOOKS],
    ids=lambda path: path.stem,
)
def test_a_notebook_runs_from_its_own_folder(path):
    notebook = nbformat.read(path, as_version=4)
    for cell in code_cells(notebook):
        cell.source = cell.source.replace("shots=1000", "shots=100")
    resources = {"metadata": {"path": str(path.parent)}}
    NotebookClient(notebook, timeout=120, kernel_name="python3", resources=resources).execute()
    assert shown(notebook)
    assert "False" not in shown(notebook)  # what a notebook checks about itself


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_kept_as_it_ran(path):
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    assert [cell.execution_count for cell in code_cells(notebook)] == list(range(1, len(code_cells(notebook)) + 1))
    assert str(ROOT) not in shown(notebook)


def test_the_main_job_takes_ten_lines_and_gets_the_sum_right():
    notebook = nbformat.read(ROOT / "examples" / "notebooks" / "main_job.ipynb", as_version=4)
    lines = [line for cell in code_cells(notebook) for line in cell.source.splitlines() if line.strip()]
    assert len(lines) <= 10 + 2  # and two imports
    told = shown(notebook)
    assert "proved" in told
    assert "1011" in told
    assert told.count("<svg") == 3  # the network and two runs
