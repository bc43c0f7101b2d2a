"""Errors: one tree, texts that say what to do, and pickling."""

import copy
import dataclasses
import pickle

import pytest

from hyperfabric_q import errors

EXAMPLES = [
    errors.InvalidValue(field="seed", value=-1, rule="a seed is at least 0", remedy="Give a larger one."),
    errors.UnknownName(kind="node", name="alhpa", known=("alpha", "beta")),
    errors.DuplicateName(kind="node", name="alpha"),
    errors.CircuitRejected(reason="no semicolon", source="x.qasm", line=3, column=7),
    errors.UnsupportedOperation(operation="delay", reason="timing is decided elsewhere", index=4),
    errors.FabricRejected(source="x.toml", line=2, where="nodes[0]", reason="no id"),
    errors.FileUnreadable(path="x", reason="it is a folder"),
    errors.NotEnoughQubits(needed=9, available={"a": 3, "b": 4}),
    errors.NotEnoughCommunicationQubits(node="a", needed=2, available=1, purpose="a chain"),
    errors.NoQuantumPath(a=("a",), b=("b", "c"), reason="no link"),
    errors.SimulationRefused(asked="a state of 60 qubits", found="16 EB", remedy="Use stabilizers."),
    errors.InternalError(what="a promise was broken", seed=5),
    errors.VerificationFailed(what="it differs"),
]


SAMPLES = {"str": "some text", "int": 3, "int | None": 3, "object": "a value", "float": 0.5,
           "tuple[str, ...]": ("a", "b"), "tuple[object, ...]": (1, "b"), "Mapping[str, int]": {"a": 1}}  # fmt: skip


def concrete(cls=errors.HyperFabricError):
    for sub in cls.__subclasses__():
        if sub.__module__ == errors.__name__:
            yield sub
        yield from concrete(sub)


def sample(cls):
    """An error of that class, its fields filled by their type."""
    return cls(**{each.name: SAMPLES[str(each.type)] for each in dataclasses.fields(cls)})


FAMILIES = {errors.InputError, errors.Infeasible}
EXAMPLES += [
    sample(cls) for cls in dict.fromkeys(concrete()) if cls not in FAMILIES | {type(each) for each in EXAMPLES}
]


def test_the_tree_in_the_documentation_is_the_tree():
    for cls in concrete():
        assert f" {cls.__name__} " in errors.__doc__ + " " or f" {cls.__name__}\n" in errors.__doc__, cls.__name__


@pytest.mark.parametrize("error", EXAMPLES, ids=lambda error: type(error).__name__)
def test_errors_survive_pickling_and_copying(error):
    for other in (pickle.loads(pickle.dumps(error)), copy.deepcopy(error)):  # noqa: S301 - our own bytes
        assert type(other) is type(error)
        assert str(other) == str(error)
        assert vars(other) == vars(error)


@pytest.mark.parametrize("error", EXAMPLES, ids=lambda error: type(error).__name__)
def test_every_text_is_a_sentence_without_leftovers(error):
    text = str(error)
    assert text
    assert "None" not in text
    assert ".." not in text.replace("...", "")
    assert text == text.strip()


def test_bad_input_is_a_value_error_and_infeasible_is_not():
    for error in EXAMPLES:
        assert isinstance(error, errors.HyperFabricError)
        assert isinstance(error, ValueError) == isinstance(error, errors.InputError)
    assert not issubclass(errors.Infeasible, ValueError)


def test_a_misspelling_names_the_nearest_and_a_stranger_does_not():
    assert "Did you mean 'alpha'?" in str(EXAMPLES[1])
    assert "Did you mean" not in str(errors.UnknownName(kind="node", name="zzz", known=("alpha",)))


def test_long_lists_and_values_are_cut():
    many = errors.UnknownName(kind="node", name="x", known=tuple(f"node-{index}" for index in range(1000)))
    assert "and 988 more" in str(many)
    assert len(str(errors.InvalidValue(field="f", value="x" * 10_000, rule="too long"))) < 200


def test_missing_qubits_are_counted_and_the_roomiest_node_is_named():
    text = str(errors.NotEnoughQubits(needed=2000, available={"a": 1000, "b": 500}))
    assert "500 too few" in text
    assert "raise compute_units of 'a' to 1500" in text
    assert "2000 data qubits in all" in str(errors.NotEnoughQubits(needed=2000, available={}))


def test_errors_can_be_told_apart_in_sets():
    assert len({errors.DuplicateName(kind="k", name="n"), errors.DuplicateName(kind="k", name="n")}) == 2
