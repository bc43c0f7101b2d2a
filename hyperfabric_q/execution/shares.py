"""The share of each outcome of a run, with its error bar."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from hyperfabric_q.estimate import Estimate
from hyperfabric_q.execution.clusters import proportion_over


class Probabilities(Mapping[str, Estimate]):
    """The share of each outcome with its bar; an outcome that was never seen has share 0, and a bar too."""

    def __init__(
        self, counts: Mapping[str, int], clusters: Sequence[Mapping[str, int]] = (), *, paired: bool = True
    ) -> None:
        """Read the shares of ``counts``, which are the sum of the counts of each timeline if there are several.

        Args:
            counts: shots per outcome.
            clusters: the same of each timeline.
            paired: whether timelines stand in pairs, see ``clusters.mean_error``.
        """
        self._counts = counts
        self._clusters = tuple(clusters) or (counts,)
        self._paired = paired
        self._shots = [sum(cluster.values()) for cluster in self._clusters]

    def __getitem__(self, outcome: str) -> Estimate:
        """Return the share of an outcome.

        Raises:
            KeyError: no outcome of these registers is written like that.
        """
        if outcome not in self._counts and not self._could_be(outcome):
            raise KeyError(outcome)
        return proportion_over(
            [cluster.get(outcome, 0) for cluster in self._clusters], self._shots, paired=self._paired
        )

    def __iter__(self) -> Iterator[str]:
        """Iterate over the outcomes seen, the most frequent first."""
        return iter(self._counts)

    def __len__(self) -> int:
        """Return how many outcomes were seen."""
        return len(self._counts)

    def __repr__(self) -> str:
        return "{" + ", ".join(f"{key!r}: {self[key]}" for key in self) + "}"

    def _could_be(self, outcome: object) -> bool:
        if not self._counts:
            return False
        shape = str.maketrans("1", "0")
        return isinstance(outcome, str) and outcome.translate(shape) == next(iter(self._counts)).translate(shape)
