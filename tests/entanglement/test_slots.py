"""Communication qubits: taken and given back in one step, first come first, and nobody overtaken where he waits."""

import numpy as np
import pytest

from hyperfabric_q.entanglement.slots import Slots
from hyperfabric_q.errors import InternalError, NotEnoughCommunicationQubits


def filled(**limits):
    slots = Slots()
    for node, limit in limits.items():
        slots.limit(node, limit)
    return slots


def asking(slots, log, name, rank, **needs):
    return slots.ask(needs, (1, 0, rank), lambda: log.append(name))


def test_all_is_granted_in_one_step_or_nothing():
    slots, log = filled(a=2, b=1), []
    asking(slots, log, "one", 1, a=1, b=1)
    asking(slots, log, "two", 2, a=1, b=1)
    assert (log, slots.taken("a"), slots.taken("b"), slots.waiting) == (["one"], 1, 1, 1)
    slots.free({"a": 1, "b": 1})
    assert (log, slots.taken("a"), slots.waiting) == (["one", "two"], 1, 0)


def test_whoever_waits_is_not_overtaken_at_the_same_node_and_does_not_hinder_others():
    slots, log = filled(a=2, b=2, c=1), []
    asking(slots, log, "first", 1, a=1)
    asking(slots, log, "large", 2, a=2, b=1)
    asking(slots, log, "small", 3, a=1)
    asking(slots, log, "elsewhere", 4, c=1)
    assert log == ["first", "elsewhere"]
    slots.free({"a": 1})
    assert log == ["first", "elsewhere", "large"]
    slots.free({"a": 2, "b": 1})
    assert log[-1] == "small"


def test_the_more_urgent_goes_first_whenever_it_came():
    slots, log = filled(a=1), []
    asking(slots, log, "holder", 0, a=1)
    asking(slots, log, "late", 9, a=1)
    slots.ask({"a": 1}, (0, 5, 99), lambda: log.append("urgent"))
    slots.ask({"a": 1}, (0, 4, 99), lambda: log.append("due"))
    for _ in range(3):
        slots.free({"a": 1})
    assert log == ["holder", "due", "urgent", "late"]


def test_who_withdraws_lets_those_behind_pass():
    slots, log = filled(a=2), []
    asking(slots, log, "one", 1, a=1)
    large = asking(slots, log, "large", 2, a=2)
    asking(slots, log, "small", 3, a=1)
    assert slots.withdraw(large)
    assert not slots.withdraw(large)
    assert log == ["one", "small"]


def test_what_can_never_be_granted_is_refused_and_no_limit_is_none():
    slots, log = filled(a=1, b=None), []
    with pytest.raises(NotEnoughCommunicationQubits, match="needs 2"):
        asking(slots, log, "never", 1, a=2)
    asking(slots, log, "many", 1, b=10**9)
    assert (log, slots.waiting, slots.taken("a")) == (["many"], 0, 0)


def test_giving_back_more_than_was_taken_is_a_bug_of_the_program():
    slots = filled(a=1)
    asking(slots, [], "one", 1, a=1)
    with pytest.raises(InternalError):
        slots.free({"a": 2})


def test_a_lower_limit_takes_nothing_away():
    slots, log = filled(a=3), []
    asking(slots, log, "one", 1, a=3)
    slots.limit("a", 2)
    asking(slots, log, "two", 2, a=1)
    slots.free({"a": 1})
    assert log == ["one"]
    slots.free({"a": 1})
    assert log == ["one", "two"]


@pytest.mark.parametrize("seed", range(30))
def test_order_of_givings_back_changes_nobodys_grant(seed):
    """Within an instant several users give back in an order that nobody controls: it must make no difference."""
    rng = np.random.default_rng(seed)
    nodes = "abc"
    wanted = [
        {str(node): int(rng.integers(1, 3)) for node in rng.choice(list(nodes), rng.integers(1, 4), replace=False)}
        for _ in range(6)
    ]
    given = [{node: 1} for node in nodes] * 2
    found = []
    for turn in range(4):
        slots, log = filled(a=2, b=2, c=2), []
        slots.ask(dict.fromkeys(nodes, 2), (0, 0, 0), lambda: None)
        for number, needs in enumerate(wanted):
            asking(slots, log, number, number, **needs)
        order = list(range(6)) if turn == 0 else np.random.default_rng([seed, turn]).permutation(6)
        for each in order:
            slots.free(given[each])
        found.append((sorted(log), [slots.taken(node) for node in nodes]))
    assert all(each == found[0] for each in found)
