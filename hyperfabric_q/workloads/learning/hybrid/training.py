"""Hybrid training on a fabric: classical layers on a GPU node, circuits on QPU nodes, and a gradient all-reduce.

The batch of each step is split over groups of QPU nodes. One node in each group is data parallel; several nodes in one
group share one circuit, which is model parallel; and both at once are several groups of several nodes. Gradients are
real, and so are the bytes: every step runs over one scheduler, which says what it took.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from hyperfabric_q.distribution.background import Background, checked
from hyperfabric_q.errors import InvalidValue
from hyperfabric_q.execution.progress import Progress
from hyperfabric_q.fabric import Fabric
from hyperfabric_q.fabric.fields import is_number
from hyperfabric_q.seeds import resolve
from hyperfabric_q.traffic.exchange import Exchange
from hyperfabric_q.traffic.request import Terms
from hyperfabric_q.workloads.learning.ansatz import reuploading
from hyperfabric_q.workloads.learning.hybrid import checkpoint as on_disk
from hyperfabric_q.workloads.learning.hybrid.beside import Beside
from hyperfabric_q.workloads.learning.hybrid.data import Samples, checked_rows, samples_of
from hyperfabric_q.workloads.learning.hybrid.dense import Dense
from hyperfabric_q.workloads.learning.hybrid.groups import Group, group_of
from hyperfabric_q.workloads.learning.hybrid.history import TrainingHistory
from hyperfabric_q.workloads.learning.hybrid.loop import Loop, Session, StepMaker
from hyperfabric_q.workloads.learning.hybrid.model import Layout
from hyperfabric_q.workloads.learning.hybrid.optimisers import Adam, Sgd, optimiser
from hyperfabric_q.workloads.learning.hybrid.step import Steps
from hyperfabric_q.workloads.learning.network import Network
from hyperfabric_q.workloads.learning.sources import checked_shots
from hyperfabric_q.workloads.learning.training import softmax
from hyperfabric_q.workloads.learning.turns import Floats

Task: TypeAlias = Literal["classification", "regression"]
Parallel: TypeAlias = Literal["data", "model", "none"]

MOST_STEPS: Final = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class HybridTraining:
    """Return a training pipeline: data loader, GPU node, QPU nodes, gradient all-reduce.

    Each step: samples go from the loader to the GPU node, whose layers turn them into angles; these go to the QPU
    nodes; mean values come back; the head and the loss give slopes; the QPU nodes' shares of the circuit's gradient are
    all-reduced over them and the GPU node; everybody takes the same step.

    Args:
        fabric: nodes and links. A node's ``metadata["flops_per_s"]`` says how fast its classical work is; without it
            its hardware type does, at its peak; where neither says, that work takes no time, and the history says so.
        gpu: node id of the classical layers; None = the first node that is no QPU node.
        loader: node id that samples come from; None = they are at the GPU node.
        parallel: "data" = each QPU node has the whole circuit and a share of the batch; "model" = one circuit over all
            QPU nodes; "none" = no QPU node takes part: the undistributed reference.
        groups: node ids of the QPU nodes, group by group, instead of ``parallel``.
        hidden: widths of tanh layers between the features and the circuit's inputs.
        qubits: of the circuit, each with one input.
        layers: of the circuit, see ``ansatz.reuploading``.
        circuit: instead of these two: a circuit whose parameters are inputs and weights.
        inputs: its parameters that are inputs.
        observables: whose mean values the head gets; None = Z of each qubit.
        task: "classification" by cross-entropy, or "regression" by squared error.
        noise: of the circuits: "none", "links" or "fabric", see ``OnFabric``.
        shots: of each basis at each angle; None = exact mean values and gradients.
        charged_shots: that hardware would take where values are exact, at all angles that parameter shifts need; None
            charges no quantum time, and the history says so.
        optimizer: "adam", "sgd", or one of ``Adam(...)`` and ``Sgd(...)``.
        learning_rate: of an optimizer given by its name; None = its own.
        batch_size: samples of a step, drawn anew in each epoch; None = all of them.
        patience: steps without a lower loss after which training ends, the best parameters kept; None = never.
        min_delta: by how much a loss is lower.
        background: other programs' traffic on the same links.
        seed: of first parameters, batches and shots.

    Raises:
        InvalidValue: an option is out of range.
        UnknownName: a node or the optimizer does not exist.
    """

    fabric: Fabric
    gpu: str | None = None
    loader: str | None = None
    parallel: Parallel = "data"
    groups: Sequence[Sequence[str]] | None = None
    hidden: Sequence[int] = ()
    qubits: int = 4
    layers: int = 2
    circuit: Any = None
    inputs: Sequence[Any] | None = None
    observables: Any = None
    task: Task = "classification"
    noise: str = "none"
    shots: int | None = None
    charged_shots: int | None = None
    optimizer: str | Adam | Sgd = "adam"
    learning_rate: float | None = None
    batch_size: int | None = None
    patience: int | None = None
    min_delta: float = 0.0
    background: Sequence[Background] = ()
    seed: int | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.fabric, Fabric):
            raise InvalidValue(field="fabric", value=self.fabric, rule="it is a Fabric")
        _one_of("parallel", self.parallel, ("data", "model", "none"))
        _one_of("task", self.task, ("classification", "regression"))
        put = object.__setattr__
        hidden: object = self.hidden
        if isinstance(hidden, str) or not isinstance(hidden, Sequence):
            raise InvalidValue(field="hidden", value=hidden, rule="it is a sequence of widths")
        put(self, "hidden", tuple(_whole("hidden", each, 1, 100_000) for each in self.hidden))
        put(self, "background", checked(self.background))
        put(self, "gpu", _gpu(self.fabric, self.gpu))
        put(self, "groups", _groups(self.fabric, self.groups, self.parallel))
        put(self, "optimizer", optimiser(self.optimizer, self.learning_rate))
        for node in (self.gpu, self.loader):
            if node is not None:
                self.fabric.node(node)
        for name, most in (("batch_size", 1 << 40), ("patience", MOST_STEPS), ("charged_shots", 10_000_000)):
            if getattr(self, name) is not None:
                put(self, name, _whole(name, getattr(self, name), 1, most))
        for name, most in (("qubits", 64), ("layers", 1000)):
            put(self, name, _whole(name, getattr(self, name), 1, most))
        checked_shots(self.shots)
        if not is_number(self.min_delta) or not 0 <= self.min_delta < float("inf"):
            raise InvalidValue(field="min_delta", value=self.min_delta, rule="it is a finite number, not below zero")
        if self.seed is not None:
            resolve(self.seed)
        if self.circuit is not None and self.inputs is None:
            raise InvalidValue(field="inputs", value=None, rule="a circuit comes with its parameters that are inputs")

    # ------------------------------------------------------------------------------------------------------------- fit

    def fit(
        self,
        X: Any,  # noqa: N803 - scikit-learn's names
        y: Any,
        *,
        steps: int = 100,
        validation: tuple[Any, Any] | None = None,
        checkpoint: str | os.PathLike[str] | None = None,
        every: int = 1,
        progress: Progress = None,
    ) -> Trained:
        """Return what was learnt from samples X (N, features) and their labels or targets y (N,).

        Ctrl-C ends it early, with what there is then; also where an event loop is running, as in notebooks.

        Args:
            X: samples.
            y: a label for each, or a target.
            steps: to be taken in all, those before a checkpoint included.
            validation: samples and labels whose loss decides about ending early, instead of that of the batch. It is
                worked out beside the clock.
            checkpoint: a folder. Training goes on from the state in it, to the last bit as if it had not stopped, and
                keeps its state there.
            every: how many steps apart states are kept; the last one is, always.
            progress: True, a function of (done, total, what), or None.

        Raises:
            InvalidValue: samples or options that cannot be learnt from.
            Infeasible: the circuit does not fit on the QPU nodes of a group.
            StoreUnreadable: the state is damaged, or of another training.
        """
        loop = self._loop(X, y, steps, validation, checkpoint, every)
        session = Session(loop=loop, progress=progress)
        maker = self._maker(loop)
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            history = _driven(maker, session)
        else:
            history = _in_thread(maker, session)
        return self._trained(loop, session, history)

    async def fit_on(
        self,
        protocol: StepMaker,
        X: Any,  # noqa: N803
        y: Any,
        *,
        steps: int = 100,
        validation: tuple[Any, Any] | None = None,
        checkpoint: str | os.PathLike[str] | None = None,
        every: int = 1,
        progress: Progress = None,
    ) -> Trained:
        """Return what was learnt, on the clock of a live fabric that others use as well.

        Args:
            protocol: a ``HyperFabricProtocol`` over the fabric; ``background`` is left to those who use it.
            X: as in ``fit``, and so are all others.
            y: the same.
            steps: the same.
            validation: the same.
            checkpoint: the same; the clock is the protocol's, and does not go on from where it was.
            every: the same.
            progress: the same.
        """
        loop = self._loop(X, y, steps, validation, checkpoint, every)
        session = Session(loop=loop, progress=progress)
        return self._trained(loop, session, await session.run(protocol))

    # ------------------------------------------------------------------------------------------------------- the pieces

    def _loop(
        self,
        X: Any,  # noqa: N803
        y: Any,
        steps: int,
        validation: tuple[Any, Any] | None,
        checkpoint: str | os.PathLike[str] | None,
        every: int,
    ) -> Loop:
        samples = samples_of(X, y, task=self.task)
        path = None if checkpoint is None else on_disk.file_in(checkpoint)
        print_of = self._fingerprint(samples)
        state = None if path is None else on_disk.load(path, print_of, seed=self.seed)
        seed = resolve(self.seed) if state is None else state.seed
        groups, network = self._networks(seed)
        layout = Layout(
            encoder=Dense(widths=(samples.rows.shape[1], *self.hidden, len(network.inputs))),
            weights=len(network.weights),
            head=Dense(widths=(len(network.source.sums), samples.wanted.shape[1])),
        )
        held: Samples | None = None
        if validation is not None:
            given: object = validation
            if not isinstance(given, tuple | list) or len(given) != 2:
                raise InvalidValue(field="validation", value=type(given).__name__, rule="it is (X, y)")
            held = samples.like(*given)
        return Loop(
            layout=layout,
            network=network,
            groups=groups,
            gpu=str(self.gpu),
            loader=self.loader,
            samples=samples,
            held=held,
            optimiser=self.optimizer,  # type: ignore[arg-type]  # made by __post_init__
            batch_size=self.batch_size,
            patience=self.patience,
            min_delta=float(self.min_delta),
            steps=_whole("steps", steps, 1, MOST_STEPS),
            seed=seed,
            path=path,
            every=_whole("every", every, 1, MOST_STEPS),
            fingerprint=print_of,
            state=state,
        )

    def _networks(self, seed: int) -> tuple[tuple[Group, ...], Network]:
        circuit, inputs = self.circuit, self.inputs
        if circuit is None:
            circuit, inputs, _ = reuploading(
                _whole("qubits", self.qubits, 1, 64), qubits=self.qubits, layers=self.layers
            )
        observables = self.observables
        if observables is None:
            observables = [f"Z@{qubit}" for qubit in range(circuit.num_qubits)]
        groups = tuple(
            group_of(
                circuit,
                observables,
                self.fabric,
                nodes,
                noise=self.noise,
                shots=self.shots,
                charged_shots=self.charged_shots,
                seed=seed,
            )
            for nodes in self.groups or ((),)
        )
        return groups, Network.of(groups[0].source, list(inputs or ()), shots=self.shots)

    def _maker(self, loop: Loop) -> Steps:
        exchange = Exchange(self.fabric, Terms())
        beside = Beside(exchange, self.background, seed=loop.seed)
        return Steps(exchange, seed=loop.seed, background=self.background, beside=beside)

    def _fingerprint(self, samples: Samples) -> str:
        """A hash of all that steps follow from, but for the seed."""
        told = {
            "fabric": self.fabric.to_dict(),
            "nodes": [self.gpu, self.loader, [list(each) for each in self.groups or ()]],
            "circuit": [list(self.hidden), self.qubits, self.layers, _told(self.circuit), repr(self.inputs)],
            "observables": repr(self.observables),
            "task": [self.task, self.noise, self.shots, self.charged_shots],
            "optimiser": [repr(self.optimizer), self.batch_size, self.patience, self.min_delta],
            "background": [repr(each) for each in self.background],
        }
        digest = hashlib.blake2b(json.dumps(told, sort_keys=True, default=repr).encode(), digest_size=32)
        for array in (samples.rows, samples.wanted):
            digest.update(repr(array.shape).encode() + np.ascontiguousarray(array, dtype="<f8").tobytes())
        return digest.hexdigest()

    def _trained(self, loop: Loop, session: Session, history: TrainingHistory) -> Trained:
        return Trained(loop=loop, parameters=session.kept(), history=history)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Trained:
    """What was learnt, and how.

    Attributes:
        loop: the pieces of the training.
        parameters: of the encoder, the circuit and the head, in one row: the last ones, or with ``patience`` the best.
        history: step by step.
    """

    loop: Loop
    parameters: Floats
    history: TrainingHistory

    def __post_init__(self) -> None:
        self.parameters.setflags(write=False)

    def outputs(self, X: Any) -> Floats:  # noqa: N803
        """Return what the head makes of samples, (B, outputs): of classes before softmax, or targets."""
        rows = checked_rows(X, self.loop.samples.rows.shape[1])
        found = self.loop.outputs(self.parameters, rows, seed=self.loop.seed)
        samples = self.loop.samples
        return found if samples.classes is not None else found * samples.unit + samples.mean

    def predict_proba(self, X: Any) -> Floats:  # noqa: N803
        """Return the chance of each class for each sample, (B, classes).

        Raises:
            InvalidValue: it is a regression.
        """
        self._classes()
        return softmax(self.outputs(X))

    def predict(self, X: Any) -> NDArray[Any]:  # noqa: N803
        """Return the likeliest class of each sample, or its target."""
        outputs = self.outputs(X)
        if self.loop.samples.classes is None:
            return outputs[:, 0]
        return np.asarray(self._classes()[outputs.argmax(axis=1)])

    def score(self, X: Any, y: Any) -> float:  # noqa: N803
        """Return the share of samples whose class is predicted right; of a regression R^2."""
        found, wanted = self.predict(X), np.asarray(y)
        if self.loop.samples.classes is not None:
            return float(np.mean(found == wanted))
        whole = float(((wanted - wanted.mean()) ** 2).sum())
        return 1 - float(((wanted - found) ** 2).sum()) / whole if whole else 0.0

    def _classes(self) -> NDArray[Any]:
        classes = self.loop.samples.classes
        if classes is None:
            raise InvalidValue(field="task", value="regression", rule="only classes have chances")
        return classes

    def __repr__(self) -> str:
        return f"<Trained: {len(self.parameters)} parameters, {len(self.history)} steps, {self.history.stopped}>"


# ------------------------------------------------------------------------------------------------------------- driving


def _driven(maker: Steps, session: Session) -> TrainingHistory:
    """Run a session on a clock of its own, in this thread; Ctrl-C ends it with what there is."""
    try:
        return maker.driver.drive(session.run(maker))
    except KeyboardInterrupt:
        # It came while nothing of the session's own was running: between two of its messages.
        return session.interrupted()


def _in_thread(maker: Steps, session: Session) -> TrainingHistory:
    """Do so in a thread, since an event loop is running in this one."""
    found: list[TrainingHistory] = []
    faults: list[BaseException] = []

    def work() -> None:
        try:
            found.append(_driven(maker, session))
        except BaseException as fault:
            faults.append(fault)

    thread = threading.Thread(target=work, name="hybrid training")
    thread.start()
    while thread.is_alive():
        try:
            thread.join()
        except KeyboardInterrupt:
            session.stop()
    if faults:
        raise faults[0]
    return found[0]


# -------------------------------------------------------------------------------------------------------------- checks


def _gpu(fabric: Fabric, given: str | None) -> str:
    if given is not None:
        return fabric.node(given).node_id
    qpus = {node.node_id for node in fabric.qpu_nodes}
    for node in fabric.nodes:
        if node.node_id not in qpus:
            return node.node_id
    rule = "the fabric has no node besides QPU nodes for the classical layers"
    raise InvalidValue(field="gpu", value=None, rule=rule, remedy="Add one, or name a QPU node whose host has them.")


def _groups(fabric: Fabric, given: object, parallel: str) -> tuple[tuple[str, ...], ...]:
    if given is None:
        qpus = tuple(node.node_id for node in fabric.qpu_nodes)
        if parallel == "none":
            return ()
        if not qpus:
            raise InvalidValue(field="fabric", value=fabric.name, rule="it has no QPU node", remedy="parallel='none'.")
        return (qpus,) if parallel == "model" else tuple((node,) for node in qpus)
    rule = "groups are sequences of QPU nodes' ids, each node in one group"
    if isinstance(given, str) or not isinstance(given, Sequence):
        raise InvalidValue(field="groups", value=given, rule=rule)
    if any(isinstance(each, str) or not isinstance(each, Sequence) or not each for each in given):
        raise InvalidValue(field="groups", value=given, rule=rule)
    found = tuple(tuple(each) for each in given)
    every = [node for each in found for node in each]
    if len(set(every)) < len(every):
        raise InvalidValue(field="groups", value=given, rule=rule)
    return found


def _one_of(name: str, value: object, known: tuple[str, ...]) -> None:
    if value not in known:
        raise InvalidValue(field=name, value=value, rule=f"it is one of {', '.join(map(repr, known))}")


def _whole(name: str, value: object, least: int, most: int) -> int:
    if not isinstance(value, int | np.integer) or isinstance(value, bool) or not least <= value <= most:
        raise InvalidValue(field=name, value=value, rule=f"it is a whole number from {least} to {most:,}")
    return int(value)


def _told(circuit: Any) -> str:
    """A circuit as text that is the same whenever the circuit is."""
    if circuit is None:
        return ""
    data = getattr(circuit, "data", ())
    index = {bit: place for place, bit in enumerate(getattr(circuit, "qubits", ()))}
    rows = [
        (each.operation.name, [str(angle) for angle in each.operation.params], [index[bit] for bit in each.qubits])
        for each in data
    ]
    return repr(rows)
