"""What is needed to put measured outcomes together, and nothing of the circuit?

How fragments are joined, what was measured on each, and how the bits of one shot are read: a value that fits into JSON,
so that outcomes can be put together where nobody has the circuit.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from hyperfabric_q.cutting.contract import Network
from hyperfabric_q.cutting.decomposition import Real
from hyperfabric_q.cutting.estimates import Reading, evaluate
from hyperfabric_q.cutting.observables import Ints, Measured, Strings
from hyperfabric_q.cutting.sampling import Tally
from hyperfabric_q.cutting.settings import COUNTED, Side, is_countable
from hyperfabric_q.cutting.tensors import Layout
from hyperfabric_q.errors import OutcomesUnfit, SimulationRefused

FOREIGN: Final = "Give the counts of the circuit as it was, with the bits of its register 'c' only."


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Frame:
    """How outcomes are put together.

    Attributes:
        network: how fragments are joined.
        measured: what is measured on them.
        layouts: of the outcomes, per fragment.
        tables: per fragment and marker the outcome of each setting for each value of the marker's bits; -1 cannot be.
        spare: per fragment the number of bits that say nothing about the observables, above all others.
    """

    network: Network
    measured: Measured
    layouts: tuple[Layout, ...]
    tables: tuple[tuple[Ints, ...], ...]
    spare: tuple[int, ...]

    def keys(self) -> list[tuple[int, int]]:
        """Return every (fragment, group) that has something to measure."""
        return [(n, g) for n, strings in enumerate(self.measured.strings) for g in range(len(strings.bases))]

    def bits(self, fragment: int) -> int:
        """Return the number of bits of one outcome of a fragment."""
        markers = sum(int(table.shape[1]).bit_length() - 1 for table in self.tables[fragment])
        return self.layouts[fragment].outputs + markers + self.spare[fragment]

    def settings(self, fragment: int, variant: int) -> tuple[int, ...]:
        """Return the setting of each marker."""
        sizes = self.layouts[fragment].settings
        return tuple(int(each) for each in np.unravel_index(variant, sizes)) if sizes else ()

    def check_countable(self, fragment: int) -> None:
        """Do nothing when the counts of a fragment fit into memory.

        Raises:
            SimulationRefused: otherwise.
        """
        layout = self.layouts[fragment]
        if not is_countable(layout.sides, layout.outputs):
            raise SimulationRefused(
                asked=f"counts of fragment {fragment} with {layout.outputs} outputs in {layout.variants} variants",
                found=f"that is {layout.variants * layout.outcomes:.3g} numbers, at most {COUNTED:.3g} are kept",
                remedy="Cut into narrower parts or with fewer cuts.",
            )

    def tally(self, fragment: int, group: int, counts: Mapping[int, Mapping[int, int]]) -> Tally:
        """Return what the variants of one fragment gave in one basis.

        Args:
            fragment: which.
            group: which basis.
            counts: per variant how often each outcome came, as the number that its bits spell.

        Raises:
            OutcomesUnfit: bits that this circuit does not write.
            SimulationRefused: too many outcomes to count.
        """
        self.check_countable(fragment)
        layout = self.layouts[fragment]
        found = np.zeros((layout.variants, layout.outcomes), dtype=np.int64)
        for variant, own in counts.items():
            outcomes = np.fromiter(own.keys(), dtype=np.int64, count=len(own))
            times = np.fromiter(own.values(), dtype=np.int64, count=len(own))
            np.add.at(found[variant], self.place(fragment, variant, outcomes), times)
        return Tally(fragment=fragment, group=group, layout=layout, counts=found)

    def place(self, fragment: int, variant: int, outcomes: Ints) -> Ints:
        """Return where outcomes of a variant stand in the layout: (sign, m of markers told apart, outputs).

        Raises:
            OutcomesUnfit: bits that this circuit does not write.
        """
        settings = self.settings(fragment, variant)
        if (outcomes >> self.bits(fragment)).any():
            raise OutcomesUnfit(problem=f"an outcome of fragment {fragment} has too many bits", remedy=FOREIGN)
        outcomes = outcomes & (1 << self.bits(fragment) - self.spare[fragment]) - 1
        layout = self.layouts[fragment]
        start = layout.outputs
        negative = np.zeros(len(outcomes), dtype=np.int64)
        told = np.zeros(len(outcomes), dtype=np.int64)
        for side, table, j in zip(layout.sides, self.tables[fragment], settings, strict=True):
            m = table[j][outcomes >> start & table.shape[1] - 1]
            start += int(table.shape[1]).bit_length() - 1
            if (m < 0).any():
                raise OutcomesUnfit(problem=f"fragment {fragment} has bits that it never writes", remedy=FOREIGN)
            if side.signed:
                negative ^= side.patterns[j, 0, m] < 0
            else:
                told = told * side.settings.shape[1] + m
        width = int(np.prod(layout.told_apart, dtype=np.int64))
        inner = outcomes & 2**layout.outputs - 1
        return np.asarray((negative * width + told) * 2**layout.outputs + inner)

    def read(self, tallies: Sequence[Tally]) -> Reading:
        """Return the observables with their errors."""
        if not len(self.measured.index):  # nothing had to be measured
            nothing = np.zeros(self.measured.count)
            return Reading(
                values=self.measured.constant, variances=nothing, spending={}, wanted={}, shots=0, covariance=None
            )
        return evaluate(self.network, self.measured, tallies)

    def to_dict(self) -> dict[str, Any]:
        """Return it ready for JSON."""
        network, measured = self.network, self.measured
        sides = [[_side_dict(side) for side in layout.sides] for layout in self.layouts]
        return {
            "network": {
                "axes": [[list(axis) for axis in axes] for axes in network.axes],
                "weights": [weights.tolist() for weights in network.weights],
                "taken_by": list(network.taken_by),
                "groups": [list(group) for group in network.groups],
            },
            "measured": {
                "count": measured.count,
                "index": measured.index.tolist(),
                "observable": measured.observable.tolist(),
                "term": measured.term.tolist(),
                "coefficient": measured.coefficient.tolist(),
                "constant": measured.constant.tolist(),
            },
            "fragments": [
                {
                    "outputs": layout.outputs,
                    "spare": spare,
                    "sides": own,
                    "tables": [table.tolist() for table in tables],
                    "x": strings.x.tolist(),
                    "z": strings.z.tolist(),
                    "group": strings.group.tolist(),
                    "bases": [list(basis) for basis in strings.bases],
                }
                for layout, spare, own, tables, strings in zip(
                    self.layouts, self.spare, sides, self.tables, measured.strings, strict=True
                )
            ],
        }

    @classmethod
    def from_dict(cls, given: Mapping[str, Any]) -> Frame:
        """Return the frame that ``to_dict`` wrote."""
        network, measured, fragments = given["network"], given["measured"], given["fragments"]
        count = len(fragments)
        return cls(
            network=Network(
                count=count,
                axes=tuple(tuple((int(cut), int(side)) for cut, side in axes) for axes in network["axes"]),
                weights=tuple(_real(weights) for weights in network["weights"]),
                taken_by=tuple(network["taken_by"]),
                groups=tuple(tuple(group) for group in network["groups"]),
            ),
            measured=Measured(
                count=int(measured["count"]),
                strings=tuple(
                    Strings(
                        x=_ints(own["x"]),
                        z=_ints(own["z"]),
                        group=_ints(own["group"]),
                        bases=tuple((int(x), int(z)) for x, z in own["bases"]),
                    )
                    for own in fragments
                ),
                index=_ints(measured["index"]).reshape(-1, count),
                observable=_ints(measured["observable"]),
                term=_ints(measured["term"]),
                coefficient=_real(measured["coefficient"]),
                constant=_real(measured["constant"]),
            ),
            layouts=tuple(Layout.of(tuple(map(_side_of, own["sides"])), int(own["outputs"])) for own in fragments),
            tables=tuple(tuple(_ints(table) for table in own["tables"]) for own in fragments),
            spare=tuple(int(own["spare"]) for own in fragments),
        )


def _side_dict(side: Side) -> dict[str, Any]:
    """What the reading of outcomes needs of a side; its operators stay behind."""
    return {
        "names": list(side.names),
        "settings": side.settings.tolist(),
        "patterns": side.patterns.tolist(),
        "reading": side.reading.tolist(),
        "signed": side.signed,
    }


def _side_of(given: Mapping[str, Any]) -> Side:
    nothing = np.zeros((0, 0, 0), dtype=complex)
    return Side(
        names=tuple(given["names"]),
        basis=nothing,
        kraus=np.zeros((0, 0), dtype=complex),
        coefficients=nothing,
        settings=_ints(given["settings"]),
        patterns=_real(given["patterns"]),
        reading=_real(given["reading"]),
        signed=bool(given["signed"]),
    )


def _ints(given: Iterable[Any]) -> Any:
    return np.array(given, dtype=np.int64)


def _real(given: Iterable[Any]) -> Real:
    return np.array(given, dtype=np.float64)
