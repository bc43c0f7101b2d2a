"""The parts of a cut circuit on Aer, each with the errors of its node."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from qiskit import QuantumCircuit
from qiskit.primitives import BitArray, DataBin, SamplerPubResult

from hyperfabric_q.errors import InvalidValue
from hyperfabric_q.execution.bench import Bench
from hyperfabric_q.execution.cut_jobs import NodeCircuit
from hyperfabric_q.execution.progress import Progress
from hyperfabric_q.execution.sample import Sample
from hyperfabric_q.fabric import Fabric
from hyperfabric_q.seeds import resolve, word

if TYPE_CHECKING:
    from hyperfabric_q.cutting.answers import Answers
    from hyperfabric_q.distribution.by_cutting import CutPlacement

NOISES: Final = ("fabric", "none")


@dataclass(slots=True, eq=False)
class Desk:
    """Circuits that wait until somebody asks for a result: then all that wait are run, over all nodes.

    Attributes:
        bench: where they run.
    """

    bench: Bench
    _waiting: list[NodeCircuit] = field(default_factory=list)
    _found: dict[int, Sample] = field(default_factory=dict)

    def put(self, circuit: NodeCircuit) -> None:
        """Let a circuit wait."""
        self._waiting.append(circuit)

    def sample(self, circuit: NodeCircuit) -> Sample:
        """Return the sample of a circuit.

        Raises:
            KeyboardInterrupt: the user ended the run; what was finished stands in the store.
            HyperFabricError: the executor or the store failed, or a circuit did.
        """
        if self._waiting:
            waiting, self._waiting = self._waiting, []
            for each, found in zip(waiting, self.bench.samples(waiting, what="circuits"), strict=True):
                if found is not None:
                    self._found[id(each)] = found
        if id(circuit) not in self._found:
            raise self.bench.stopped or KeyboardInterrupt
        return self._found[id(circuit)]


@dataclass(slots=True, eq=False)
class NodeSampler:
    """A node as a SamplerV2: it runs circuits on Aer with the node's gate and readout errors.

    Attributes:
        node: its id.
        fabric: its owner.
        seed: the same circuits in the same order give the same counts.
        desk: where circuits wait.
        circuits: how many there have been.
    """

    node: str
    fabric: Fabric
    seed: int
    desk: Desk
    circuits: int = field(default=0)

    def run(self, pubs: Iterable[tuple[QuantumCircuit, None, int]]) -> NodeJob:
        """Return a job with one ``SamplerPubResult`` per (circuit, None, shots)."""
        asked = []
        for circuit, _, shots in pubs:
            self.circuits += 1
            seed = word(self.seed, "cut", self.node, self.circuits)
            place = ("node", self.node, "circuit", self.circuits)
            asked.append(
                NodeCircuit(circuit=circuit, node=self.node, fabric=self.fabric, shots=shots, seed=seed, place=place)
            )
            self.desk.put(asked[-1])
        return NodeJob(asked, self.desk)


@dataclass(frozen=True, slots=True)
class NodeJob:
    """What ``NodeSampler.run`` returns."""

    asked: list[NodeCircuit]
    desk: Desk

    def result(self) -> list[SamplerPubResult]:
        """Return one result per circuit."""
        found = []
        for each in self.asked:
            registers = {register.name: register.size for register in each.circuit.cregs}
            found.append(SamplerPubResult(DataBin(**_bit_arrays(self.desk.sample(each).counts, registers))))
        return found


def _bit_arrays(counts: Any, registers: dict[str, int]) -> dict[str, BitArray]:
    found: dict[str, dict[str, int]] = {name: {} for name in registers}
    for key, hits in counts.items():
        for name, part in zip(reversed(registers), key.split(" "), strict=True):
            found[name][part] = found[name].get(part, 0) + hits
    return {name: BitArray.from_counts(own, num_bits=registers[name]) for name, own in found.items()}


def run_cut(
    placement: CutPlacement,
    observables: Any,
    *,
    shots: int | None,
    precision: float | None,
    noise: str,
    store: Any,
    executor: Any,
    progress: Progress,
    seed: int | None,
) -> Answers:
    """Return estimates of the observables of a cut circuit; see ``CutPlacement.run``."""
    if noise not in NOISES:
        raise InvalidValue(field="noise", value=noise, rule="noise is one of 'fabric', 'none': cuts use no link")
    if shots is None and precision is None:
        rule = "say how many shots to take in all, or the precision to reach"
        raise InvalidValue(field="shots", value=None, rule=rule)
    seed = resolve(seed)
    plan = placement.plan
    if noise == "none":
        return plan.run(
            observables,
            shots=shots,
            precision=precision,
            store=store,
            executor=executor,
            progress=progress,
            seed=seed,
        )
    with Bench(executor, store, progress) as bench:
        desk = Desk(bench)
        samplers = {
            part: NodeSampler(node, placement.fabric, word(seed, "part", part), desk)
            for part, node in enumerate(placement.nodes)
        }
        return plan.run(observables, sampler=samplers, shots=shots, precision=precision, seed=seed)
