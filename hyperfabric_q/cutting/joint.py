"""Cutting several gates between the same two parts at one time, for less than their gammas' product.

n gates in parallel, each on a qubit of its own on either side, are one unitary between the two sides whose coefficients
are the products of theirs: gamma = 2 · product of s - 1 with s = (sum |u|)² of each gate (Schmitt, Piveteau and Sutter,
arXiv:2312.11638; rotations: Ufrecht et al., arXiv:2312.09679). n CX gates cost 2^(n+1) - 1 instead of 3^n.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import numpy as np

from hyperfabric_q.cutting.decomposition import Decomposition, Real
from hyperfabric_q.cutting.gates import GateDecomposition, cut_gate
from hyperfabric_q.cutting.interference import Term, gamma, interfere
from hyperfabric_q.cutting.kak import Share, rzz_shares
from hyperfabric_q.errors import InvalidValue

MAX_TERMS = 32
"""Terms of the joint unitary that are still cut together: five rotations, or two gates of the most general kind."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class JointDecomposition:
    """Gates cut together; gate g acts on qubit g of the left and qubit g of the right side.

    Attributes:
        gates: each gate's own cut, for its locals: ``gates[g].before``, ``after`` and ``turns``.
        decomposition: the cores together, on len(gates) qubits a side. With an unbound angle its weights are NaN and
            its gamma the most that any angle costs.
    """

    gates: tuple[GateDecomposition, ...]
    decomposition: Decomposition

    @property
    def is_symbolic(self) -> bool:
        """Whether an angle has unbound parameters."""
        return any(each.is_symbolic for each in self.gates)

    def weights_at(self, angles: Sequence[float]) -> Real:
        """Return the weights over the same instruments with the cores RZZ(``angles[g]``).

        Raises:
            InvalidValue: not one angle per gate, or a gate whose interaction has several angles.
        """
        if len(angles) != len(self.gates) or any(each.angle is None for each in self.gates):
            raise InvalidValue(
                field="angles", value=tuple(angles), rule="each of the gates needs one angle, and a core that has one"
            )
        return _together(self.decomposition.name, [rzz_shares(angle) for angle in angles]).weights

    def bind(self, values: Mapping[Any, float]) -> JointDecomposition:
        """Return the cut with the parameters in ``values`` bound; others are ignored or stay unbound."""
        return _joined(tuple(each.bind(values) for each in self.gates)) if self.is_symbolic else self


def cut_jointly(operations: Sequence[Any], *, swapped: Sequence[bool] = ()) -> JointDecomposition:
    """Return the optimal cut of two-qubit gates that act at one time between the same two parts.

    Args:
        operations: one or more gates on different qubits; the first operand of each is its qubit on the left.
        swapped: for each gate, whether its second operand is the one on the left; by default none is.

    Raises:
        InvalidValue: no gate, as many as have more than 32 terms together, or flags that do not match.
        UnsupportedOperation: as ``cut_gate``.
    """
    if not operations or len(swapped) not in (0, len(operations)):
        raise InvalidValue(
            field="operations", value=len(operations), rule="at least one gate, and one flag `swapped` for each or none"
        )
    cuts = [cut_gate(each) for each in operations]
    flags = swapped or (False,) * len(cuts)
    return _joined(tuple(each.swapped() if flag else each for each, flag in zip(cuts, flags, strict=True)))


def _joined(cuts: tuple[GateDecomposition, ...]) -> JointDecomposition:
    name = " + ".join(each.name for each in cuts)
    terms = math.prod(2 if each.is_symbolic else len(each.shares) for each in cuts)
    if terms > MAX_TERMS:
        raise InvalidValue(
            field="operations",
            value=name,
            rule=f"together they have {terms} terms, at most {MAX_TERMS} are cut together",
            remedy="Cut them in smaller groups; gammas of groups multiply.",
        )
    # At an unbound angle the instruments are those of any other.
    shares = [rzz_shares(1.0) if each.is_symbolic else each.shares for each in cuts]
    together = _together(name, shares)
    if any(each.is_symbolic for each in cuts):
        cost = gamma(math.prod(each.schmidt_sum for each in cuts))
        together = replace(together, weights=np.full(together.weights.shape, np.nan), gamma=cost)
    return JointDecomposition(gates=cuts, decomposition=together)


def _together(name: str, shares: Sequence[tuple[Share, ...]]) -> Decomposition:
    terms = [
        Term(
            tuple(share.pauli for share in chosen),
            math.prod(share.magnitude for share in chosen),
            sum(share.phase for share in chosen),
        )
        for chosen in product(*shares)
    ]
    return interfere(name, terms)
