"""Plug-in registries, and conveniences that bind late."""

from types import SimpleNamespace

import pytest

from hyperfabric_q import registry
from hyperfabric_q.errors import DuplicateName, UnknownName
from hyperfabric_q.registry import LATE, Registry, late


def test_members_are_found_by_name_in_order_of_registration():
    members = Registry("colour")
    assert members.register("red")("r") == "r"
    members.register("blue")("b")
    assert (members["red"], members["blue"], list(members), len(members)) == ("r", "b", ["red", "blue"], 2)
    assert "red" in members


def test_a_name_is_given_once():
    members = Registry("colour")
    members.register("red")(1)
    with pytest.raises(DuplicateName, match="colour 'red' exists already"):
        members.register("red")(2)
    assert members["red"] == 1


def test_an_unknown_name_lists_what_there_is_and_the_nearest():
    members = Registry("colour")
    members.register("crimson")(1)
    with pytest.raises(UnknownName, match=r"no colour is called 'crimsn'\. Did you mean 'crimson'"):
        members["crimsn"]


def test_third_parties_are_read_on_the_first_miss_and_never_replace_a_member(monkeypatch):
    calls = []

    def entry_points(*, group):
        calls.append(group)
        return [
            SimpleNamespace(name="ours", load=lambda: "theirs"),
            SimpleNamespace(name="extra", load=lambda: "extra member"),
        ]

    monkeypatch.setattr(registry, "entry_points", entry_points)
    members = Registry("pair source")
    members.register("ours")("ours")
    assert members["ours"] == "ours"
    assert calls == []
    assert members["extra"] == "extra member"
    assert members["ours"] == "ours"
    with pytest.raises(UnknownName, match="extra"):
        members["none"]
    assert calls == ["hyperfabric_q.pair_source"]


@pytest.mark.parametrize("name", sorted(LATE))
def test_every_late_convenience_resolves(name):
    assert callable(late(name))
