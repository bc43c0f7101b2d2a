"""What a memory does to the halves of a Bell pair that it keeps: exact for T1 and T2, on both halves.

Each half relaxes to its equilibrium with T1, loses coherence with T2, and may dephase and depolarise besides; all of
it happens at the same time, with rates r1 = 1/T1 + 1/tau and r2 = 1/T2 + 1/Tphi + 1/tau, and the half's <Z> tends to
z = (1 - 2 excited) / (T1 r1). A Bell-diagonal pair whose halves have waited ta and tb then has

    lx' = lx e^(-r2a ta - r2b tb)        ly' = ly e^(-r2a ta - r2b tb)
    lz' = lz e^(-r1a ta - r1b tb) + za (1 - e^(-r1a ta)) zb (1 - e^(-r1b tb))

The last term comes from relaxation and is what a Pauli channel cannot express. Relaxation also leaves local terms
<Z_a> and <Z_b>, which a second wait would turn into <ZZ>. So a wait must not be split over ``wait``. Two exact ways:

* **lazy** (``wait``): keep the birth time, evaluate once over each half's whole storage time. Right for elementary
  pairs, and across swaps whose Pauli corrections are deferred to the end;
* **carried** (``wait_carried``): keep both local terms as well. Right for any sequence of waits and swaps with
  corrections applied at once.

**Between waits, purification.** Two nodes that share randomness may apply the same random Pauli to both halves: the
local terms average out, the correlators stay, the pair is exactly Bell-diagonal (``twirl``). Nothing else is lost, for
purification's measured parities and its fidelity depend on products of correlators only; ``twirled_error_bound`` is
what dropping the local terms can change in a later wait.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Final, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hyperfabric_q.entanglement.state import (
    FloatArray,
    bounded,
    check_depolarising,
    check_probability,
    check_within,
    numbers,
)
from hyperfabric_q.errors import InvalidValue
from hyperfabric_q.units import PS_PER_US

if TYPE_CHECKING:
    from hyperfabric_q.fabric import NodeSignature

Figure: TypeAlias = float | FloatArray
"""A number, or one per lane."""

_LEAST_PS: Final = 1e-9
_LONGEST_PS: Final = 1e30
"""Far outside the clock's range, and near enough that no product with a rate overflows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """Return how a stored qubit decays. Each figure is a number or an array with one per lane.

    Args:
        t1_ps: relaxation time; ``inf`` = no relaxation.
        t2_ps: coherence time, at most twice ``t1_ps``; ``inf`` = no dephasing beyond that of relaxation, and then the
            field holds 2·T1.
        depolarising_ps: time constant of depolarisation: all three correlators shrink by exp(-t/tau) per half.
        dephasing_ps: time constant of dephasing that ``t2_ps`` does not hold yet.
        excited: fraction of |1> in the equilibrium that T1 leads to.
        rate_z: decay of <Z> towards its equilibrium, r1, per picosecond; computed.
        rate_x: decay of <X> and <Y>, r2, per picosecond; computed.
        equilibrium_z: the <Z> that a stored qubit tends to, 0 where nothing relaxes; computed.

    Raises:
        InvalidValue: a time is not above zero, T2 exceeds 2·T1, or the fraction is not in [0, 1].
    """

    t1_ps: Figure = math.inf
    t2_ps: Figure = math.inf
    depolarising_ps: Figure = math.inf
    dephasing_ps: Figure = math.inf
    excited: Figure = 0.0
    rate_z: Figure = field(init=False, repr=False)
    rate_x: Figure = field(init=False, repr=False)
    equilibrium_z: Figure = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._check()
        put = object.__setattr__
        put(self, "rate_z", 1 / self.t1_ps + 1 / self.depolarising_ps)
        put(self, "rate_x", 1 / self.t2_ps + 1 / self.dephasing_ps + 1 / self.depolarising_ps)
        relaxation, rate = np.asarray(1 / self.t1_ps), np.asarray(self.rate_z)
        share = np.divide(
            relaxation, rate, out=np.zeros(np.broadcast_shapes(relaxation.shape, rate.shape)), where=rate > 0
        )
        put(self, "equilibrium_z", _figure((1 - 2 * np.asarray(self.excited)) * share))

    def _check(self) -> None:
        put = object.__setattr__
        for name in ("t1_ps", "t2_ps", "depolarising_ps", "dephasing_ps"):
            rule = "a time constant is above zero (at least 1e-9 ps); inf = no such decay"
            put(self, name, _figure(check_within(name, getattr(self, name), _LEAST_PS, math.inf, rule)))
        put(self, "excited", _figure(check_probability("excited", self.excited)))
        t1, t2 = np.asarray(self.t1_ps), np.asarray(self.t2_ps)
        put(self, "t2_ps", _figure(np.where(np.isinf(t2), 2 * t1, t2)))
        wrong = np.broadcast_to(~np.isinf(t2) & (t2 > 2 * t1 * (1 + 1e-12)), np.broadcast_shapes(t1.shape, t2.shape))
        if wrong.any():
            limit, found = (float(np.broadcast_to(each, wrong.shape)[wrong].flat[0]) for each in (2 * t1, t2))
            raise InvalidValue(
                field="t2_ps",
                value=found,
                rule=f"T1 is {limit / 2:g} ps, and T2 is at most twice T1",
                remedy=f"Give a T2 of at most {limit:g} ps, or a longer T1.",
            )

    def __eq__(self, other: object) -> bool:
        """Whether all figures are equal, arrays entry by entry."""
        if not isinstance(other, Memory):
            return NotImplemented
        given = (each.name for each in fields(self) if each.init)
        return all(np.array_equal(getattr(self, name), getattr(other, name)) for name in given)

    def __hash__(self) -> int:
        """Hash of the figures; a memory that holds arrays has none."""
        return hash((self.t1_ps, self.t2_ps, self.depolarising_ps, self.dephasing_ps, self.excited))

    @classmethod
    def of(cls, node: NodeSignature) -> Memory:
        """Return the memory of a node's communication qubits: its ``t1_us`` and ``t2_us``; not stated = no decay."""
        t1 = math.inf if node.t1_us is None else node.t1_us * PS_PER_US
        t2 = math.inf if node.t2_us is None else min(node.t2_us * PS_PER_US, 2 * t1)
        return cls(t1_ps=t1, t2_ps=t2)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Carried:
    """Return pairs with the local terms that relaxation leaves, rho = (II + lx XX - ly YY + lz ZZ + za ZI + zb IZ) / 4.

    All five are arrays of one shape. They are read-only.

    Raises:
        InvalidValue: an entry is not in [-1, 1].
    """

    lx: FloatArray
    ly: FloatArray
    lz: FloatArray
    za: FloatArray
    zb: FloatArray

    def __post_init__(self) -> None:
        names = [each.name for each in fields(self)]
        given = [
            check_within(name, getattr(self, name), -1 - 1e-9, 1 + 1e-9, "an expectation lies in [-1, 1]")
            for name in names
        ]
        for name, array in zip(names, np.broadcast_arrays(*given), strict=True):
            # A view, so that the caller's own array stays writable.
            view = array.view()
            view.setflags(write=False)
            object.__setattr__(self, name, view)

    @classmethod
    def of(cls, correlators: ArrayLike) -> Carried:
        """Return Bell-diagonal pairs with correlators (..., 3): no local terms."""
        state = bounded(correlators)
        zero = np.zeros(state.shape[:-1])
        return cls(lx=state[..., 0], ly=state[..., 1], lz=state[..., 2], za=zero, zb=zero)

    @property
    def correlators(self) -> FloatArray:
        """The correlators (..., 3), without the local terms."""
        return np.stack([self.lx, self.ly, self.lz], axis=-1)

    @property
    def mirrored(self) -> Carried:
        """The same pairs with both halves exchanged."""
        return Carried(lx=self.lx, ly=self.ly, lz=self.lz, za=self.zb, zb=self.za)

    def density_matrix(self) -> NDArray[np.complex128]:
        """Return the density matrices (..., 4, 4) in Qiskit's order: half a is qubit 0, the last factor."""
        outer = np.array([[0, 0, 0, 1], [0, 0, 0, 0], [0, 0, 0, 0], [1, 0, 0, 0]])
        inner = np.array([[0, 0, 0, 0], [0, 0, 1, 0], [0, 1, 0, 0], [0, 0, 0, 0]])
        signs = [np.diag([1, -1, -1, 1]), np.diag([1, -1, 1, -1]), np.diag([1, 1, -1, -1])]
        parts = [outer + inner, outer - inner, *signs]
        terms = zip((self.lx, self.ly, self.lz, self.za, self.zb), parts, strict=True)
        total = np.eye(4) + sum(np.multiply.outer(value, part) for value, part in terms)
        return np.asarray(total / 4, dtype=np.complex128)


def wait(
    correlators: ArrayLike, memory_a: Memory, wait_a_ps: ArrayLike, memory_b: Memory, wait_b_ps: ArrayLike
) -> FloatArray:
    """Return the correlators (..., 3) of Bell-diagonal pairs after both halves have been stored, exactly.

    Evaluate it **once per pair, over each half's whole storage time**: see the top of this module. The local terms
    that relaxation leaves are not in the result; ``wait_carried`` keeps them.

    Args:
        correlators: Bell-diagonal pairs, (..., 3).
        memory_a: where half a is kept.
        wait_a_ps: for how long, per lane.
        memory_b: where half b is kept.
        wait_b_ps: for how long, per lane.

    Raises:
        InvalidValue: a wait is negative or not finite, or the pairs are none.
    """
    state = bounded(correlators)
    time_a, time_b = check_wait("wait_a_ps", wait_a_ps), check_wait("wait_b_ps", wait_b_ps)
    coherence = np.exp(-(memory_a.rate_x * time_a + memory_b.rate_x * time_b))
    decay_a, decay_b = -memory_a.rate_z * time_a, -memory_b.rate_z * time_b
    population = np.exp(decay_a + decay_b)
    rest: Figure = memory_a.equilibrium_z * memory_b.equilibrium_z
    shape = np.broadcast_shapes(state.shape[:-1], coherence.shape, population.shape, np.shape(rest))
    out = np.empty((*shape, 3))
    np.multiply(state[..., 0], coherence, out=out[..., 0])
    np.multiply(state[..., 1], coherence, out=out[..., 1])
    np.multiply(state[..., 2], population, out=out[..., 2])
    if np.any(rest):
        out[..., 2] += rest * np.expm1(decay_a) * np.expm1(decay_b)
    return out


def wait_carried(
    state: Carried, memory_a: Memory, wait_a_ps: ArrayLike, memory_b: Memory, wait_b_ps: ArrayLike
) -> Carried:
    """Return the pairs, local terms included, after both halves have been stored, exactly; waits may be split.

    Raises:
        InvalidValue: a wait is negative or not finite.
    """
    time_a, time_b = check_wait("wait_a_ps", wait_a_ps), check_wait("wait_b_ps", wait_b_ps)
    coherence = np.exp(-(memory_a.rate_x * time_a + memory_b.rate_x * time_b))
    kept_a, kept_b = np.exp(-memory_a.rate_z * time_a), np.exp(-memory_b.rate_z * time_b)
    fed_a, fed_b = relaxed_z(memory_a, time_a), relaxed_z(memory_b, time_b)
    return Carried(
        lx=state.lx * coherence,
        ly=state.ly * coherence,
        lz=state.lz * kept_a * kept_b + fed_a * fed_b + kept_a * fed_b * state.za + kept_b * fed_a * state.zb,
        za=kept_a * state.za + fed_a,
        zb=kept_b * state.zb + fed_b,
    )


def swap_carried(
    left: Carried,
    right: Carried,
    *,
    depolarising: ArrayLike = 0.0,
    readout_x: ArrayLike = 0.0,
    readout_z: ArrayLike = 0.0,
) -> Carried:
    """Return the pairs that a Bell measurement on half b of ``left`` and half a of ``right`` makes, corrected at once.

    The Pauli correction is applied to half b of ``right`` when the measurement is made. That averages its local term
    away, and half b of ``left`` leaves its own there: za' = za, zb' = zb·lz of ``right``. For a correction on the other
    side: ``swap_carried(right.mirrored, left.mirrored).mirrored``. Errors are those of ``swap.swap``.

    Raises:
        InvalidValue: an error is out of range.
    """
    gate = 1 - check_depolarising(depolarising)
    flip_x = 1 - 2 * check_probability("readout_x", readout_x)
    flip_z = 1 - 2 * check_probability("readout_z", readout_z)
    return Carried(
        lx=left.lx * right.lx * gate * flip_x,
        ly=left.ly * right.ly * gate * flip_x * flip_z,
        lz=left.lz * right.lz * gate * flip_z,
        za=left.za,
        zb=left.zb * right.lz * gate * flip_z,
    )


def twirl(state: Carried) -> FloatArray:
    """Return the correlators (..., 3) of the pairs after the same random Pauli on both halves: exactly Bell-diagonal.

    Both nodes draw the Pauli from randomness they share and forget it; it costs two single-qubit gates per pair.
    """
    return state.correlators


def twirled_error_bound(
    memory_a: Memory,
    wait_a_ps: ArrayLike,
    memory_b: Memory,
    wait_b_ps: ArrayLike,
    *,
    za: ArrayLike = 1.0,
    zb: ArrayLike = 1.0,
) -> FloatArray:
    """Return the most that local terms, dropped or twirled away before a wait, can change the fidelity after it.

    A wait turns them into kept_a·fed_b·za + kept_b·fed_a·zb of <ZZ>, kept = exp(-r1 t), fed = z (1 - kept); a quarter
    of its largest size is the bound. It vanishes without relaxation and for the lazy map's single wait.

    Args:
        memory_a: where half a is kept.
        wait_a_ps: the wait after the local terms were dropped.
        memory_b: where half b is kept.
        wait_b_ps: the same of half b.
        za: <Z_a> before that wait, or a bound of it; 1 when nothing is known.
        zb: the same of half b.

    Raises:
        InvalidValue: a wait is negative or not finite, or a local term is not in [-1, 1].
    """
    time_a, time_b = check_wait("wait_a_ps", wait_a_ps), check_wait("wait_b_ps", wait_b_ps)
    local_a = np.abs(check_within("za", za, -1.0, 1.0, "an expectation lies in [-1, 1]"))
    local_b = np.abs(check_within("zb", zb, -1.0, 1.0, "an expectation lies in [-1, 1]"))
    kept_a, kept_b = np.exp(-memory_a.rate_z * time_a), np.exp(-memory_b.rate_z * time_b)
    fed_a, fed_b = np.abs(relaxed_z(memory_a, time_a)), np.abs(relaxed_z(memory_b, time_b))
    return np.asarray((kept_a * fed_b * local_a + kept_b * fed_a * local_b) / 4)


def relaxed_z(memory: Memory, wait_ps: ArrayLike) -> FloatArray:
    """Return the <Z> that a wait leaves on a half which had none: z (1 - exp(-r1 t))."""
    time = check_wait("wait_ps", wait_ps)
    return np.asarray(-memory.equilibrium_z * np.expm1(-memory.rate_z * time))


def twirled_channel(memory: Memory, wait_ps: ArrayLike) -> FloatArray:
    """Return the weights (..., 4) of the Pauli channel closest to a wait: its twirl, without the non-unital part.

    For circuits that can only carry Pauli errors. On both halves of a pair it misses exactly
    ``relaxed_z(a) * relaxed_z(b) / 4`` of fidelity; where that counts, use ``wait``.
    """
    time = check_wait("wait_ps", wait_ps)
    lost_z, lost_x = -np.expm1(-memory.rate_z * time), -np.expm1(-memory.rate_x * time)
    flip = np.broadcast_to(lost_z / 4, np.broadcast_shapes(lost_z.shape, lost_x.shape))
    phase = lost_x / 2 - flip
    return np.stack([1 - 2 * flip - phase, flip, flip, phase], axis=-1)


def check_wait(field: str, wait_ps: ArrayLike) -> FloatArray:
    """Return storage times in ps as floats, which exponentials need; the clock itself stays whole.

    Raises:
        InvalidValue: a time is negative or not finite.
    """
    return check_within(field, wait_ps, 0.0, _LONGEST_PS, "a storage time is finite and not negative")


def _figure(value: ArrayLike) -> Figure:
    """Return a plain number, or a read-only copy of an array."""
    array = np.array(numbers("figure", value))
    if array.ndim == 0:
        return float(array)
    array.setflags(write=False)
    return array
