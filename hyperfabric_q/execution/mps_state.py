"""Matrix-product states: evolved by Aer, sampled here, all shots at once.

Aer measures wire by wire and shot by shot, tens of milliseconds a shot at 2000 wires; from the tensors, a step for one
wire serves every shot.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from qiskit import QuantumCircuit
from qiskit_aer import AerSimulator

from hyperfabric_q.errors import InternalError, SimulationRefused
from hyperfabric_q.execution.bit_counts import Bits

Tensor = NDArray[np.complex128]

_STEP_BYTES: Final = 1 << 28
"""Of boundary vectors of shots held at once."""

_DISCARDED: Final = re.compile(r"discarded_value=([-+.0-9e]+)")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class State:
    """A normalised matrix-product state.

    Attributes:
        tensors: of each wire, (left bond, 2, right bond), right-orthonormal: the chance of an outcome on the left ones
            does not depend on the right ones.
        discarded: sum of the squared Schmidt coefficients that a limit on the bonds cut off.
    """

    tensors: tuple[Tensor, ...]
    discarded: float

    @property
    def bond(self) -> int:
        """The largest bond dimension."""
        return max(int(tensor.shape[2]) for tensor in self.tensors)


def evolve(circuit: QuantumCircuit, *, bond: int | None) -> State:
    """Return the state that a circuit of unitary gates prepares from |0...0>.

    Args:
        circuit: its qubits are the wires from left to right.
        bond: limit of the bond dimension; None = as large as is needed to keep all but 1e-16 of the weight per gate.

    Raises:
        SimulationRefused: Aer has not enough memory.
        InternalError: Aer fails for any other reason.
    """
    circuit = circuit.copy()
    circuit.save_matrix_product_state()
    limit: dict[str, Any] = {}
    if bond is not None:
        limit = {"matrix_product_state_max_bond_dimension": bond, "mps_log_data": True}
    # One thread: more do not help at these sizes, and sums come out the same. Lapack is three times quicker.
    simulator = AerSimulator(method="matrix_product_state", max_parallel_threads=1, mps_lapack=True, **limit)
    result: Any = simulator.run(circuit, shots=1).result()
    if not result.success:
        if "memory" in str(result.status).lower():
            raise SimulationRefused(
                asked=f"a matrix-product state of {circuit.num_qubits} wires",
                found=str(result.status),
                remedy="Use fewer entangling gates, or a machine with more memory.",
            )
        raise InternalError(what=f"Aer's matrix_product_state method failed: {result.status}")
    log = str(result.results[0].metadata.get("MPS_log_data", ""))
    gammas, lambdas = result.data(0)["matrix_product_state"]
    return State(tensors=_orthonormal(gammas, lambdas), discarded=math.fsum(map(float, _DISCARDED.findall(log))))


def _orthonormal(gammas: Sequence[tuple[Tensor, Tensor]], lambdas: Sequence[NDArray[np.float64]]) -> tuple[Tensor, ...]:
    """Return Vidal's tensors as right-orthonormal ones; O(wires bond^3)."""
    carried: Tensor = np.ones((1, 1), dtype=np.complex128)
    tensors: list[Tensor] = []
    for wire in reversed(range(len(gammas))):
        tensor = np.stack([np.asarray(each, dtype=np.complex128) for each in gammas[wire]], axis=1)
        if wire < len(lambdas):
            tensor = tensor * np.asarray(lambdas[wire])
        tensor = tensor @ carried
        left, _, right = tensor.shape
        q, r = np.linalg.qr(tensor.reshape(left, 2 * right).conj().T)
        tensors.append(np.ascontiguousarray(q.conj().T.reshape(-1, 2, right)))
        carried = r.conj().T / np.linalg.norm(r)
    # What is left over is a number: the phase.
    return tuple(reversed(tensors))


def draw(state: State, wires: Mapping[int, Sequence[int]], columns: int, shots: int, rng: np.random.Generator) -> Bits:
    """Return measured wires of many shots as 0 and 1, shape (shots, columns); O(shots wires bond^2).

    Args:
        state: what is measured, every wire in Z.
        wires: wire -> the columns that it is written into; the other columns are 0.
        columns: how many there are.
        shots: how many.
        rng: where the outcomes come from.
    """
    batch = max(1, _STEP_BYTES // (48 * state.bond))
    found = np.zeros((columns, shots), dtype=np.uint8)
    for start in range(0, shots, batch):
        number = min(batch, shots - start)
        boundary: Tensor = np.ones((1, number), dtype=np.complex128)
        for wire, tensor in enumerate(state.tensors):
            zero, one = (np.ascontiguousarray(tensor[:, value].T) @ boundary for value in (0, 1))
            weight, other = ((each.real**2 + each.imag**2).sum(axis=0) for each in (zero, one))
            ones = rng.random(number) * (weight + other) >= weight
            boundary = np.where(ones, one, zero) / np.sqrt(np.where(ones, other, weight))
            for column in wires.get(wire, ()):
                found[column, start : start + number] = ones
    return np.ascontiguousarray(found.T)
