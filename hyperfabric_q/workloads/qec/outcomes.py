"""What a results file says: logical error rates per round, missed deadlines, and the tax of the fabric."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import sinter
from scipy.stats import norm

from hyperfabric_q.errors import InvalidValue
from hyperfabric_q.estimate import Estimate, proportion
from hyperfabric_q.workloads.qec.records import Clusters, Interval, fabric_tax, jeffreys, per_round, rate_per_round

LEVEL: Final = 0.95

OF_THE_FABRIC: Final = frozenset(
    {"link_gbps", "latency_ns", "load", "policy", "on_miss", "deadline_us", "blocks", "service_us", "servers"}
)
"""Parts of a record that say how frames travel and how long decoding takes, and nothing of the experiment."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """One experiment of a results file.

    Attributes:
        record: the metadata of the row.
        decoder: name of the decoder.
        rounds: of a shot; those of waiting do not count, so that a loop pays for them.
        clusters: shots and errors, and what error bars are made of.
        counts: all other numbers of the row.
        seconds: CPU time.
    """

    record: Mapping[str, Any]
    decoder: str
    rounds: int
    clusters: Clusters
    counts: Mapping[str, int]
    seconds: float

    @classmethod
    def of(cls, stats: sinter.TaskStats) -> Outcome:
        """Return what a row of sinter's says; rows that others wrote have one round unless they state "r".

        Raises:
            InvalidValue: the row has no shots.
        """
        kept = stats.shots - stats.discards
        if kept < 1:
            raise InvalidValue(field="shots", value=kept, rule="an outcome rests on at least one shot")
        record = stats.json_metadata if isinstance(stats.json_metadata, Mapping) else {}
        return cls(
            record=dict(record),
            decoder=stats.decoder,
            rounds=int(record.get("r") or 1),
            clusters=Clusters.from_counts(kept, stats.errors, stats.custom_counts),
            counts=dict(stats.custom_counts),
            seconds=stats.seconds,
        )

    @property
    def per_shot(self) -> Estimate:
        """The logical error probability of a shot, its bar robust over timelines."""
        return self.clusters.estimate()

    @property
    def per_round(self) -> Estimate:
        """The logical error rate per round, its bar robust over timelines."""
        plain = rate_per_round(self.clusters.errors, self.clusters.shots, self.rounds)
        return Estimate(value=plain.value, stderr=plain.stderr * self._spread, shots=plain.shots)

    @property
    def _spread(self) -> float:
        """By how much bars are longer than if all shots were independent."""
        return self.per_shot.stderr / proportion(self.clusters.errors, self.clusters.shots).stderr

    def interval(self, level: float = LEVEL) -> Interval:
        """Return an interval for the rate per round: Jeffreys', stretched by what shots of one timeline share."""
        share = self.clusters.errors / self.clusters.shots
        low, high = jeffreys(self.clusters.errors, self.clusters.shots, level)
        low, high = (share + (end - share) * self._spread for end in (low, high))
        return per_round(max(0.0, low), self.rounds), per_round(min(1.0, high), self.rounds)

    @property
    def missed(self) -> float | None:
        """Share of frames that missed their deadline; None without deadlines."""
        frames = self.counts.get("frames", 0)
        if not frames or self.record.get("deadline_us") is None:
            return None
        return self.counts.get("deadline_miss", 0) / frames

    def to_dict(self) -> dict[str, Any]:
        """Return the outcome, ready for JSON."""
        return {
            **self.record,
            "decoder": self.decoder,
            "shots": self.clusters.shots,
            "errors": self.clusters.errors,
            "timelines": self.clusters.timelines,
            "per_shot": self.per_shot.to_dict(),
            "per_round": {**self.per_round.to_dict(), "interval": list(self.interval())},
            "deadline_missed": self.missed,
            "counts": dict(self.counts),
            "seconds": self.seconds,
        }


def outcomes(stats: Iterable[sinter.TaskStats]) -> list[Outcome]:
    """Return the outcomes of all rows with shots."""
    return [Outcome.of(each) for each in stats if each.shots > each.discards]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tax:
    """What the fabric costs one experiment.

    Attributes:
        loaded: over the fabric.
        ideal: the same without it, and with a decoder that takes no time.
        ratio: of the rates per round; its bar is robust over timelines.
    """

    loaded: Outcome
    ideal: Outcome
    ratio: Estimate

    def interval(self, level: float = LEVEL) -> Interval:
        """Return an interval for the ratio, normal on its logarithm."""
        if self.ratio.value <= 0:
            return 0.0, math.inf
        width = float(norm.ppf((1 + level) / 2)) * self.ratio.stderr / self.ratio.value
        return self.ratio.value * math.exp(-width), self.ratio.value * math.exp(width)


def taxes(found: Iterable[Outcome]) -> list[Tax]:
    """Return the tax of each outcome over a fabric for which the same experiment without one failed at least once."""
    every = list(found)
    plain = {_experiment_of(each): each for each in every if _alone(each)}
    pairs = [(each, plain.get(_experiment_of(each))) for each in every if not _alone(each)]
    return [
        Tax(loaded=loaded, ideal=ideal, ratio=fabric_tax(loaded.per_round, ideal.per_round))
        for loaded, ideal in pairs
        if ideal is not None and ideal.clusters.errors
    ]


def _alone(outcome: Outcome) -> bool:
    return outcome.record.get("link_gbps") is None and not outcome.record.get("service_us")


def _experiment_of(outcome: Outcome) -> str:
    """The record without what it says of the fabric, as a key."""
    rest = {name: value for name, value in outcome.record.items() if name not in OF_THE_FABRIC}
    return json.dumps([outcome.decoder, rest], sort_keys=True, default=str)
