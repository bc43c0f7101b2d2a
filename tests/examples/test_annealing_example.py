"""The example of the annealer chooses a network, and says how good the choice is."""

from pathlib import Path

SCRIPT = Path(__file__).resolve().parents[2] / "examples" / "architecture_search.py"


def test_an_architecture_is_chosen_and_compared_with_all(told_by):
    output = told_by(SCRIPT, "--quick")
    assert "Chosen:" in output
    assert "best by exhaustive search" in output
