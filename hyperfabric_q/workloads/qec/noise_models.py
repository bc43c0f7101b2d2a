"""Noise models by name, and how one is written into a noiseless circuit.

A model is six chances. Named ones depend on a single p:

* ``stim4``: the four-parameter model of stim's generated circuits, each parameter p: depolarising noise after every
  Clifford gate and on the data qubits before each round, flips before measurements and after resets. Nothing happens
  to a qubit that waits.
* ``uniform-idle``: depolarising noise after every gate and in every step in which a qubit waits, flips before
  measurements and after resets; the circuit-level noise of Fowler et al. (2012), threshold near 0.7 %.
* ``si1000``: superconducting-inspired, p of two-qubit gates, p/10 of one-qubit gates and waits, 2p of resets and of
  waits beside a measurement or reset, 5p of measurements (Gidney et al. 2021).
* ``none``: no errors.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Final, TypeAlias

import stim

from hyperfabric_q.errors import InvalidValue
from hyperfabric_q.registry import Registry
from hyperfabric_q.workloads.qec.instructions import instruction, instructions_of, qubits_of

DATA_TAG: Final = "data"
"""Tag of the identity gates that name the data qubits at the start of a round; they leave no gate behind."""

_FLIP_OF: Final = {"Z": "X_ERROR", "X": "Z_ERROR", "Y": "Z_ERROR"}
_RESETS: Final = {"R": "Z", "RX": "X", "RY": "Y"}
_MEASUREMENTS: Final = {"M": "Z", "MX": "X", "MY": "Y"}
_BOTH: Final = {"MR": "Z", "MRX": "X", "MRY": "Y"}
_ANNOTATIONS: Final = frozenset({"DETECTOR", "OBSERVABLE_INCLUDE", "QUBIT_COORDS", "SHIFT_COORDS", "MPAD"})


@dataclass(frozen=True, slots=True, kw_only=True)
class NoiseModel:
    """The chances of errors, each in [0, 1].

    Attributes:
        name: goes into results.
        gate_1q: depolarising noise after a one-qubit gate.
        gate_2q: depolarising noise after a two-qubit gate.
        reset: a reset prepares the other state.
        measure: a flip just before a measurement.
        idle: depolarising noise on a qubit that waits while others are worked on.
        idle_measure: the same where others are measured or reset; None = as ``idle``.
        round_data: depolarising noise on each data qubit at the start of a round.
    """

    name: str
    gate_1q: float = 0.0
    gate_2q: float = 0.0
    reset: float = 0.0
    measure: float = 0.0
    idle: float = 0.0
    idle_measure: float | None = None
    round_data: float = 0.0

    def __post_init__(self) -> None:
        for each in fields(self):
            chance = getattr(self, each.name)
            if each.name != "name" and chance is not None and not 0 <= chance <= 0.75:
                rule = "a chance of error lies in [0, 0.75]; 0.75 leaves nothing of a qubit"
                raise InvalidValue(field=each.name, value=chance, rule=rule)
            if each.name != "name" and chance is not None:
                object.__setattr__(self, each.name, float(chance))  # stim writes no NumPy numbers


Model: TypeAlias = Callable[[float], NoiseModel]
NOISE_MODELS: Final[Registry[Model]] = Registry("noise model")
"""Functions of p, by name."""


@NOISE_MODELS.register("stim4")
def stim4(p: float) -> NoiseModel:
    """Return the four-parameter model with all parameters ``p``."""
    return NoiseModel(name="stim4", gate_1q=p, gate_2q=p, reset=p, measure=p, round_data=p)


@NOISE_MODELS.register("uniform-idle")
def uniform_idle(p: float) -> NoiseModel:
    """Return uniform circuit noise in which waiting is as bad as a gate."""
    return NoiseModel(name="uniform-idle", gate_1q=p, gate_2q=p, reset=p, measure=p, idle=p)


@NOISE_MODELS.register("si1000")
def si1000(p: float) -> NoiseModel:
    """Return the superconducting-inspired model whose two-qubit gates fail with chance ``p``."""
    return NoiseModel(
        name="si1000", gate_1q=p / 10, gate_2q=p, reset=2 * p, measure=5 * p, idle=p / 10, idle_measure=2 * p
    )


@NOISE_MODELS.register("none")
def none(p: float) -> NoiseModel:
    """Return the model without errors, whatever ``p`` is."""
    return NoiseModel(name="none", idle=0 * p)


def noise_model(noise: str | NoiseModel, p: float) -> NoiseModel:
    """Return the model called ``noise`` at ``p``, or ``noise`` itself when it is a model already.

    Raises:
        UnknownName: no model has that name.
        InvalidValue: ``p`` is no chance.
    """
    if isinstance(noise, NoiseModel):
        return noise
    if not 0 <= p <= 1:
        raise InvalidValue(field="p", value=p, rule="a chance of error lies in [0, 1]")
    return NOISE_MODELS[noise](p)


def idle_channel(duration_ns: float, *, t1_ns: float = math.inf, t2_ns: float = math.inf) -> tuple[float, float, float]:
    """Return the chances of X, Y and Z after a wait: the Pauli twirl of relaxation with T1 and T2 <= 2 T1.

    Raises:
        InvalidValue: a time is negative, or no time at all.
    """
    for name, value in (("duration_ns", duration_ns), ("t1_ns", t1_ns), ("t2_ns", t2_ns)):
        if not value >= 0 or (name != "duration_ns" and value == 0):
            raise InvalidValue(field=name, value=value, rule="a duration is not negative, and T1 and T2 are positive")
    flip = -math.expm1(-duration_ns / t1_ns) / 4
    dephase = max(-math.expm1(-duration_ns / min(t2_ns, 2 * t1_ns)) / 2 - flip, 0.0)
    return flip, flip, dephase


def add_noise(circuit: stim.Circuit, model: NoiseModel) -> stim.Circuit:
    """Return a noiseless circuit with the errors of a model; O(instructions x qubits where waiting counts).

    Steps are separated by ``TICK``. A qubit waits in a step in which nothing touches it, from its first reset until it
    is measured without a reset. ``round_data`` noise goes where an identity gate tagged ``"data"`` stands.

    Args:
        circuit: without ``REPEAT``.
        model: the errors.

    Raises:
        InvalidValue: the circuit holds an instruction of which it is not known how it fails.
    """
    noisy = stim.Circuit()
    step = _Step(model)
    for each in instructions_of(circuit):
        if each.name == "TICK":
            step.end(noisy)
        _append(noisy, each, model, step)
    step.end(noisy)
    return noisy


class _Step:
    """What happened since the last TICK."""

    def __init__(self, model: NoiseModel) -> None:
        self.model = model
        self.live: set[int] = set()
        self.touched: set[int] = set()
        self.left: set[int] = set()
        self.readout = False

    def end(self, noisy: stim.Circuit) -> None:
        model = self.model
        chance = model.idle_measure if self.readout and model.idle_measure is not None else model.idle
        waiting = sorted(self.live - self.touched)
        if chance and waiting and self.touched:
            noisy.append(instruction("DEPOLARIZE1", waiting, [chance]))
        self.live = (self.live | self.touched) - self.left
        self.touched, self.left, self.readout = set(), set(), False


def _append(noisy: stim.Circuit, each: stim.CircuitInstruction, model: NoiseModel, step: _Step) -> None:
    name, qubits = each.name, qubits_of(each)
    if name == "I" and each.tag == DATA_TAG:
        if model.round_data:
            noisy.append(instruction("DEPOLARIZE1", qubits, [model.round_data]))
        return
    if name == "TICK" or name in _ANNOTATIONS:
        noisy.append(each)
        return
    step.touched.update(qubits)
    axis = _RESETS.get(name) or _MEASUREMENTS.get(name) or _BOTH.get(name)
    if axis is not None:
        step.readout = True
        if name not in _RESETS and model.measure:
            noisy.append(instruction(_FLIP_OF[axis], qubits, [model.measure]))
        noisy.append(each)
        if name not in _MEASUREMENTS and model.reset:
            noisy.append(instruction(_FLIP_OF[axis], qubits, [model.reset]))
        if name in _MEASUREMENTS:
            step.left.update(qubits)
        else:
            step.left.difference_update(qubits)
        return
    gate = stim.gate_data(name)
    if not gate.is_unitary or len(qubits) != len(each.targets_copy()):
        rule = "noise is added to resets, measurements of one qubit, and gates on one or two qubits"
        raise InvalidValue(field="instruction", value=str(each), rule=rule, remedy="Give a circuit with its noise.")
    noisy.append(each)
    chance, channel = (model.gate_2q, "DEPOLARIZE2") if gate.is_two_qubit_gate else (model.gate_1q, "DEPOLARIZE1")
    if chance:
        noisy.append(instruction(channel, qubits, [chance]))
