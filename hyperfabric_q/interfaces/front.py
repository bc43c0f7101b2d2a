"""What all front doors share: a fabric, options, and plans that are kept for circuits that come again."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from qiskit import QuantumCircuit
from qiskit.circuit import ControlFlowOp

from hyperfabric_q import seeds
from hyperfabric_q.errors import InvalidValue
from hyperfabric_q.fabric import Fabric
from hyperfabric_q.interfaces.options import FabricLike, FabricOptions, fabric_of
from hyperfabric_q.interfaces.planned import Planned, plan_once

MOST_PLANS: Final = 64
"""Plans that are kept; the one that was not used for longest goes first."""


class Front:
    """A fabric with options."""

    def __init__(self, source: FabricLike, options: FabricOptions | None) -> None:
        """Take them.

        Args:
            source: a fabric, or a protocol, whose fabric counts as it stands at each run.
            options: None = all defaults.

        Raises:
            InvalidValue: they are something else.
        """
        fabric_of(source)
        given: object = FabricOptions() if options is None else options
        if not isinstance(given, FabricOptions):
            raise InvalidValue(field="options", value=given, rule="options are a FabricOptions, or None")
        self.options: FabricOptions = given
        self._source = source
        self._plan_seed = seeds.resolve(given.seed)
        self._plans: OrderedDict[str, Planned] = OrderedDict()
        self._lock = threading.Lock()

    @property
    def fabric(self) -> Fabric:
        """The fabric, of a protocol as it stands."""
        return fabric_of(self._source)

    def run_seed(self) -> int:
        """Return the seed of one run: that of the options, or a fresh one."""
        return seeds.resolve(self.options.seed)

    def planned(self, circuit: QuantumCircuit, key: str, *, homes: Sequence[str] | None = None) -> Planned:
        """Return the circuit with its plan, made now or before.

        Args:
            circuit: perhaps with parameters.
            key: of the circuit, see ``structure``, and of the homes.
            homes: node id of each qubit; None lets the planner choose.
        """
        fabric = self.fabric
        with self._lock:
            known = self._plans.get(key)
            if known is None or not (known.fabric is fabric or known.fabric == fabric):
                known = plan_once(circuit, fabric, self.options, seed=self._plan_seed, homes=homes)
                self._plans[key] = known
            self._plans.move_to_end(key)
            while len(self._plans) > MOST_PLANS:
                self._plans.popitem(last=False)
        return known


def pub_seed(seed: int, number: int) -> int:
    """Return the seed of one of a run's PUBs or circuits: the first has that of the run."""
    return seed if number == 0 else seeds.word(seed, "pub", number)


def binding_seed(seed: int, row: int) -> int:
    """Return the seed of one binding of a PUB: the first has that of the PUB."""
    return seed if row == 0 else seeds.word(seed, "binding", row)


class Structures:
    """Keys of circuits, computed once for each circuit of one run."""

    def __init__(self) -> None:
        """Begin with none."""
        self._known: dict[int, tuple[QuantumCircuit, str]] = {}

    def key(self, circuit: QuantumCircuit) -> str:
        """Return the key of a circuit."""
        known = self._known.get(id(circuit))
        if known is None:
            known = (circuit, structure(circuit))
            self._known[id(circuit)] = known
        return known[1]


def structure(circuit: QuantumCircuit) -> str:
    """Return a key that equal circuits share: instructions, registers and the names of parameters; O(instructions)."""
    digest = hashlib.blake2b(digest_size=16)
    digest.update(repr([parameter.name for parameter in circuit.parameters]).encode())
    _write(circuit, digest)
    return digest.hexdigest()


def _write(circuit: QuantumCircuit, digest: Any) -> None:
    qubits = {qubit: place for place, qubit in enumerate(circuit.qubits)}
    clbits = {bit: place for place, bit in enumerate(circuit.clbits)}
    registers = [(register.name, [clbits[bit] for bit in register if bit in clbits]) for register in circuit.cregs]
    digest.update(repr((len(qubits), len(clbits), registers)).encode())
    for instruction in circuit.data:
        operation = instruction.operation
        wires = [qubits[each] for each in instruction.qubits], [clbits[each] for each in instruction.clbits]
        digest.update(repr((operation.name, getattr(operation, "ctrl_state", None), wires)).encode())
        if isinstance(operation, ControlFlowOp):
            _write_condition(getattr(operation, "condition", None), clbits, digest)
            for block in operation.blocks:
                _write(block, digest)
            continue
        for each in operation.params:
            digest.update(each.tobytes() if isinstance(each, np.ndarray) else repr(each).encode())
            digest.update(b";")
        home = getattr(operation, "base_class", type(operation)).__module__ or ""
        if not home.startswith(("qiskit.circuit.library.standard_gates", "qiskit.circuit.measure")):
            definition = getattr(operation, "definition", None)
            if definition is not None:
                _write(definition, digest)
            else:
                digest.update(repr(operation).encode())


def _write_condition(condition: Any, clbits: dict[Any, int], digest: Any) -> None:
    if isinstance(condition, tuple):
        target, value = condition
        named = clbits.get(target, getattr(target, "name", None))
        digest.update(repr((named, int(value))).encode())
    else:
        digest.update(repr(condition).encode())
