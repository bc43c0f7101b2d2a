"""Random fabrics and workloads for the kernel, and its logs for the checker."""

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import pytest

from hyperfabric_q.scheduling.channel import Channel
from hyperfabric_q.scheduling.faults import (
    Corrupt,
    Delay,
    Duplicate,
    Flap,
    LinkDown,
    Loss,
    NodeCrash,
    Partition,
    Reorder,
    inject,
)
from hyperfabric_q.scheduling.kernel import Kernel
from hyperfabric_q.scheduling.message import Message
from hyperfabric_q.scheduling.policy import NO_DEADLINE, Policy
from hyperfabric_q.scheduling.timeline import Recorder

US = 1_000_000
RATES = (Fraction(20), Fraction(80), Fraction(1600), Fraction(8000, 3), Fraction(8000, 7), Fraction(641, 8))
POLICIES = (
    Policy(),
    Policy(quantum_ps=3 * US, cap_ps=8 * US, grant_ps=4 * US),
    Policy(quantum_ps=1 * US, weights=((3, 1), (4, 3), (6, 2)), last_capped=-1),
    Policy(fifo=True),
    Policy(first_bulk=8),
    Policy(first_bulk=0, quantum_ps=2 * US),
)


@dataclass(frozen=True)
class Workload:
    policy: Policy
    channels: tuple[Channel, ...]
    messages: tuple[dict, ...]
    cancellations: tuple[tuple[int, int], ...]

    def kernel(self, order=None, keep=None, faults=(), fault_seed=0):
        """A kernel that has all of it before it, its messages submitted in the given order."""
        kernel = Kernel(policy=self.policy, recorder=Recorder(keep=keep))
        for each in self.channels:
            kernel.add(each)
        if faults:
            inject(kernel, faults, seed=fault_seed)
        made = {}
        for at in order if order is not None else range(len(self.messages)):
            made[at] = Message(**self.messages[at])
            kernel.submit(made[at])
        for at, time_ps in self.cancellations:
            kernel.at(time_ps, lambda at=at: kernel.cancel(made[at]))
        kernel.made = made
        return kernel


def random_workload(seed, *, messages=40, channels=None, policy=None, hops=4, cancel=0.15, grains=0.3):
    rng = np.random.default_rng(seed)
    own = np.random.default_rng([seed, 2])
    count = int(rng.integers(1, 7)) if channels is None else len(channels)
    lines = channels or tuple(
        Channel(
            source=f"n{number}",
            target=f"n{number + 1}",
            ps_per_byte=RATES[rng.integers(len(RATES))],
            chunk=int(rng.choice([64, 100, 625, 5000])),
            store_and_forward=bool(rng.random() < 0.6),
        )
        for number in range(count)
    )
    spread = int(rng.choice([1, 20, 200, 2000])) * US
    instants = rng.integers(0, spread, size=max(2, messages // 2))
    rows, cancelled = [], []
    for number in range(messages):
        length = int(rng.integers(1, min(hops, count) + 1))
        release = int(rng.choice(instants)) if rng.random() < 0.7 else 0
        rows.append(
            {
                "path": tuple(int(at) for at in rng.permutation(count)[:length]),
                "delays": tuple(int(rng.choice([0, 0, 1, 10_000, 3 * US])) for _ in range(length)),
                "nbytes": int(rng.choice([1, 64, 125, 626, 5000, 5001, int(rng.integers(1, 60_000))])),
                "priority_class": int(rng.integers(8)),
                "deadline_ps": release + int(rng.integers(1, 50 * US)) if rng.random() < 0.4 else NO_DEADLINE,
                "release_ps": release,
                "key": (number,),
                "identity": 1000 + number,
            }
        )
        if length == 1 and own.random() < grains:
            rows[-1]["grain"] = int(own.choice([1, 40, 1000, 9000, 70_000]))
        if rng.random() < cancel:
            cancelled.append((number, release + int(rng.integers(0, 100 * US))))
    chosen = policy or POLICIES[int(rng.integers(len(POLICIES)))]
    return Workload(chosen, lines, tuple(rows), tuple(cancelled))


def random_faults(seed, load):
    """Every kind of fault, some of it, on the channels of a workload."""
    rng = np.random.default_rng([seed, 1])
    count = len(load.channels)
    span = max(each["release_ps"] for each in load.messages) + 200 * US

    def times(length=40):
        start = int(rng.integers(0, span))
        return {"from_ps": start, "to_ps": start + int(rng.integers(1, length * US))}

    def some():
        return tuple(int(at) for at in rng.permutation(count)[: rng.integers(1, count + 1)])

    choices = [
        LinkDown(channels=some(), **times()),
        LinkDown(channels=some()[:1], from_ps=int(rng.integers(0, span))),
        Flap(channels=some(), from_ps=int(rng.integers(0, span)), down_ps=3 * US, up_ps=2 * US, count=3),
        NodeCrash(node=f"n{rng.integers(count)}", at_ps=(when := times())["from_ps"], restart_ps=when["to_ps"]),
        Partition(members=frozenset({f"n{rng.integers(count)}"}), **times()),
        Loss(probability=0.1, channels=frozenset(some())),
        Loss(probability=0.9, name="burst", **times()),
        Corrupt(probability=0.2),
        Duplicate(probability=0.2, after_ps=5 * US),
        Reorder(probability=0.3, by_ps=20 * US, channels=frozenset(some())),
        Delay(ps=7, factor=3, **times()),
    ]
    return [each for each in choices if rng.random() < 0.4]


@pytest.fixture
def workload():
    return random_workload


@pytest.fixture
def trouble():
    return random_faults
