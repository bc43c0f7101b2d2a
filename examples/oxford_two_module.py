"""Two trapped-ion modules in Oxford: one free parameter, fitted on the teleported CZ, predicts three other circuits.

The experiment: D. Main et al., Nature 638, 383 (2025), arXiv:2407.00835. Each QPU here is one module with a circuit
qubit and a network qubit; ``hq.plan`` writes every teleported CZ as one Bell pair, one two-qubit gate in each module
and two measurements whose outcomes correct the other side.

Stated before anything is fitted:

* Bell pairs are Werner states of fidelity 0.9689. All other errors stand after the two-qubit gates inside the modules,
  with the same average infidelity r each; r is the one free parameter, and the average gate fidelity of the teleported
  CZ, 0.862, fixes it. What waiting, one-qubit gates and the readout of network qubits do is part of r.
* "depolarising": the gate's error is the package's own ``gate_error_2q``.
* "dephasing": the other extreme, nothing but phase errors. ZI, IZ and ZZ are equally likely after a CZ; the CX of a
  teleportation is a CZ between Hadamards on its target, whose Z is therefore an X.
* ``--spam`` is the chance to prepare or read a circuit qubit wrongly. It is 0 unless given: then the fit answers for
  it. When given, it enters the tomography of the fit as it enters each predicted figure.

Run it from anywhere: ``python examples/oxford_two_module.py``, with ``--json`` for the numbers alone.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass

import numpy as np
from qiskit import QuantumCircuit, QuantumRegister
from qiskit.quantum_info import Operator
from qiskit_aer import AerSimulator
from qiskit_aer.noise import depolarizing_error, pauli_error

import hyperfabric_q as hq
from hyperfabric_q.execution.deferred import without_feed_forward
from hyperfabric_q.execution.noise import with_local_noise, with_pair_noise

PAIR_FIDELITY = 0.9689
CZ_FIDELITY = 0.862
MEASURED = {"grover": 0.71, "iswap": 0.70, "swap": 0.64}
"""Success of Grover's search; average gate fidelities of iSWAP and SWAP, these two not checked against the paper."""

MODULES = hq.Fabric.full([1, 1], communication_qubits=1, pair_fidelity=PAIR_FIDELITY)
AER = AerSimulator(method="density_matrix", max_parallel_threads=1)


# ---------------------------------------------------------------------------------------------------- the circuits


def teleported_cz() -> QuantumCircuit:
    """Return one CZ between the modules."""
    circuit = QuantumCircuit(2)
    circuit.cz(0, 1)
    return circuit


def grover(marked: int) -> QuantumCircuit:
    """Return Grover's search for one of four items: an oracle and a diffusion, a CZ each."""
    circuit = QuantumCircuit(2)
    flipped = [qubit for qubit in (0, 1) if not marked >> qubit & 1]
    circuit.h([0, 1])
    for zeros in (flipped, [0, 1]):
        if zeros:
            circuit.x(zeros)
        circuit.cz(0, 1)
        if zeros:
            circuit.x(zeros)
        circuit.h([0, 1])
    return circuit


def iswap() -> QuantumCircuit:
    """Return an iSWAP, which takes two CZs."""
    circuit = QuantumCircuit(2)
    circuit.iswap(0, 1)
    return circuit


def swap() -> QuantumCircuit:
    """Return a SWAP, which takes three CZs."""
    circuit = QuantumCircuit(2)
    circuit.swap(0, 1)
    return circuit


# ------------------------------------------------------------------------------------------------ the error models


def depolarising(plan: hq.Plan, infidelity: float) -> QuantumCircuit:
    """Return the emitted circuit with the pairs' errors, and depolarising errors of the modules' two-qubit gates."""
    noisy = with_pair_noise(plan.lowered.circuit, plan.lowered.node_of, MODULES)
    return with_local_noise(noisy, plan.lowered.node_of, MODULES.replace("nodes.*", gate_error_2q=infidelity))


def dephasing(plan: hq.Plan, infidelity: float) -> QuantumCircuit:
    """Return the emitted circuit with the pairs' errors, and phase errors of the modules' two-qubit gates."""
    paired = with_pair_noise(plan.lowered.circuit, plan.lowered.node_of, MODULES)
    noisy = paired.copy_empty_like()
    # A gate with Pauli errors of chance p has the average infidelity 4 p / 5. Qiskit writes the first wire last.
    each = infidelity * 5 / 4 / 3
    for step in paired.data:
        noisy.append(step)
        if step.operation.name in {"cx", "cz"}:
            z = "X" if step.operation.name == "cx" else "Z"
            error = pauli_error([("II", 1 - 3 * each), ("IZ", each), (f"{z}I", each), (f"{z}Z", each)])
            noisy.append(error.to_instruction(), step.qubits)
    return noisy


Model = Callable[[hq.Plan, float], QuantumCircuit]
MODELS: dict[str, Model] = {"depolarising": depolarising, "dephasing": dephasing}


# --------------------------------------------------------------------------------------------------- exact figures


def choi_state(plan: hq.Plan, model: Model, infidelity: float, spam: float) -> np.ndarray:
    """Return the state of two references and the circuit qubits, maximally entangled before the circuit.

    The reference qubits are the two low bits of an index. The circuit qubits bear the depolarising channel that wrong
    readings look like: a Pauli read wrongly with chance ``spam`` shrinks by 1 - 2 spam per qubit it acts on.
    """
    deferred = without_feed_forward(model(plan, infidelity), set())
    if deferred is None:
        raise SystemExit("the emitted circuit measures something that steers it: none of these four does")
    references = QuantumRegister(2, "reference")
    circuit = QuantumCircuit(references, *deferred.qregs, *deferred.cregs)
    for reference, wire in zip(references, plan.lowered.entry, strict=True):
        circuit.h(reference)
        circuit.cx(reference, deferred.qubits[wire])
    circuit.compose(deferred, deferred.qubits, deferred.clbits, inplace=True)
    exits = [deferred.qubits[wire] for wire in plan.lowered.exit]
    for wire in exits:
        circuit.append(depolarizing_error(2 * spam, 1).to_instruction(), [wire])
    circuit.save_density_matrix([*references, *exits])
    return np.asarray(AER.run(circuit.decompose("bell_pair")).result().data()["density_matrix"])


def average_fidelity(plan: hq.Plan, model: Model, infidelity: float, spam: float) -> float:
    """Return the average gate fidelity (4 F + 1) / 5 of a planned circuit, where F is its process fidelity."""
    ideal = np.asarray(Operator(plan.circuit).data).reshape(-1) / 2
    overlap = np.real(ideal.conj() @ choi_state(plan, model, infidelity, spam) @ ideal)
    return float((4 * overlap + 1) / 5)


def success(plan: hq.Plan, marked: int, model: Model, infidelity: float, spam: float) -> float:
    """Return the chance that a search from |00> finds what is marked."""
    # Both references in |00> (chance 1/4) is the circuit started from |00>.
    return float(4 * np.real(np.diag(choi_state(plan, model, infidelity, spam))[4 * marked]))


def fitted(measure: Callable[[float], float], target: float, most: float = 0.5) -> float:
    """Return the argument at which a falling function reaches the target, by bisection."""
    least = 0.0
    if not measure(least) > target > measure(most):
        raise SystemExit(f"no error of these gates gives {target}: without any it is {measure(least):.4f}")
    for _ in range(40):
        middle = (least + most) / 2
        least, most = (middle, most) if measure(middle) > target else (least, middle)
    return (least + most) / 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """What one error model says once the CZ has fixed its parameter.

    Attributes:
        model: its name.
        infidelity: the fitted average infidelity of a two-qubit gate inside a module.
        cz: the average gate fidelity that was fitted.
        predicted: Grover's success and the average gate fidelities of iSWAP and SWAP.
        pairs: Bell pairs of each.
    """

    model: str
    infidelity: float
    cz: float
    predicted: dict[str, float]
    pairs: dict[str, int]

    @property
    def deviation(self) -> dict[str, float]:
        """Predicted minus measured."""
        return {name: value - MEASURED[name] for name, value in self.predicted.items()}


def planned(circuit: QuantumCircuit) -> hq.Plan:
    """Return the plan that keeps one qubit in each module."""
    return hq.plan(circuit, MODULES, homes=["qpu-0", "qpu-1"], seed=1)


def predict(name: str, *, cz_fidelity: float = CZ_FIDELITY, spam: float = 0.0) -> Prediction:
    """Return the prediction of one error model, fitted on the teleported CZ alone."""
    model, cz = MODELS[name], planned(teleported_cz())
    infidelity = fitted(lambda r: average_fidelity(cz, model, r, spam), cz_fidelity)
    searches = [planned(grover(marked)) for marked in range(4)]
    gates = {"iswap": planned(iswap()), "swap": planned(swap())}
    found = [success(plan, marked, model, infidelity, spam) for marked, plan in enumerate(searches)]
    return Prediction(
        model=name,
        infidelity=infidelity,
        cz=average_fidelity(cz, model, infidelity, spam),
        predicted={
            "grover": float(np.mean(found)),
            **{gate: average_fidelity(plan, model, infidelity, spam) for gate, plan in gates.items()},
        },
        pairs={"grover": searches[0].ebits, **{gate: plan.ebits for gate, plan in gates.items()}},
    )


def main() -> None:
    """Fit both models and print what they predict beside what was measured."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print the numbers alone")
    parser.add_argument("--spam", type=float, default=0.0, help="chance to read a circuit qubit wrongly (default: 0)")
    asked = parser.parse_args()
    if not 0 <= asked.spam <= 0.5:
        parser.error(f"--spam {asked.spam}: a chance to read wrongly lies in [0, 0.5]")
    predictions = [predict(name, spam=asked.spam) for name in MODELS]
    if asked.json:
        print(json.dumps([{**asdict(each), "measured": MEASURED, "deviation": each.deviation} for each in predictions]))
        return
    print(f"Pairs of fidelity {PAIR_FIDELITY}; the teleported CZ is fitted to {CZ_FIDELITY}, nothing else is.\n")
    heads = ("model", "r of a gate", "circuit", "pairs", "predicted", "measured", "off by")
    print("{:>14} {:>12} {:>8} {:>6} {:>10} {:>9} {:>8}".format(*heads))
    for each in predictions:
        for circuit, value in each.predicted.items():
            print(
                f"{each.model:>14} {each.infidelity:12.4f} {circuit:>8} {each.pairs[circuit]:6} {value:10.4f} "
                f"{MEASURED[circuit]:9.2f} {each.deviation[circuit]:+8.4f}"
            )


if __name__ == "__main__":
    main()
