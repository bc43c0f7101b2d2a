"""A circuit becomes a plan, one call per stage."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias, overload

import numpy as np

from hyperfabric_q import seeds
from hyperfabric_q.convert import accept
from hyperfabric_q.distribution.choose import Chosen, choose
from hyperfabric_q.distribution.given import GivenHomes, GivenSites, given_placement
from hyperfabric_q.distribution.lower import lower
from hyperfabric_q.distribution.network import MAX_NODES, Network, network_of
from hyperfabric_q.distribution.objectives import Objective, Wanted, objective_of
from hyperfabric_q.distribution.plan import Plan, packets_of
from hyperfabric_q.distribution.program import IntArray, Program
from hyperfabric_q.distribution.rebase import rebase
from hyperfabric_q.distribution.replay import replay
from hyperfabric_q.distribution.reuse import Reused, reuse
from hyperfabric_q.distribution.route import check_routed, route
from hyperfabric_q.distribution.steps import ebits_of
from hyperfabric_q.distribution.verify import verify as check
from hyperfabric_q.distribution.verify import verify_rebase
from hyperfabric_q.errors import InvalidValue, NotEnoughQubits, UnknownName, VerificationFailed
from hyperfabric_q.fabric import Fabric, fields
from hyperfabric_q.registry import late

if TYPE_CHECKING:
    import cirq
    from qiskit import QuantumCircuit

    from hyperfabric_q.distribution.by_cutting import CutPlacement
    from hyperfabric_q.mixing.plan import MixedPlan

    Circuit: TypeAlias = QuantumCircuit | cirq.Circuit | str | os.PathLike[str]

LONGEST_SEARCH_S: Final = 1e6

CUTS: Final = ("gate_cut", "wire_cut")
"""Ways to cross between nodes by shots instead of Bell pairs."""

MIXED: Final = ("bell", "assisted")
"""Methods that are mixed with others."""

MIXED_OBJECTIVES: Final = ("mse", "shots")

Homes: TypeAlias = Sequence[str] | Mapping[int, str]
PairMethods: TypeAlias = Literal["auto"]
CutKind: TypeAlias = Literal["gate_cut", "wire_cut"]
CutMethods: TypeAlias = tuple[CutKind, ...] | list[CutKind]
AnyMethods: TypeAlias = PairMethods | Sequence[Literal["bell", "assisted", "gate_cut", "wire_cut"]]


@overload
def plan(
    circuit: Circuit,
    fabric: Fabric | str | os.PathLike[str],
    *,
    methods: PairMethods = "auto",
    objective: Wanted | None = None,
    homes: Homes | None = None,
    partitioner: str | None = None,
    time_limit_s: float = 5.0,
    verify: str = "auto",
    seed: int | None = None,
) -> Plan: ...


@overload
def plan(
    circuit: Circuit,
    fabric: Fabric | str | os.PathLike[str],
    *,
    methods: CutMethods,
    time_limit_s: float = 5.0,
    seed: int | None = None,
) -> CutPlacement: ...


@overload
def plan(
    circuit: Circuit,
    fabric: Fabric | str | os.PathLike[str],
    *,
    methods: AnyMethods = "auto",
    objective: str | None = None,
    shots: int | None = None,
    precision: float | None = None,
    max_pairs: int | None = None,
    deadline_ns: float | None = None,
    observables: Any,
    time_limit_s: float = 5.0,
    seed: int | None = None,
) -> MixedPlan: ...


@overload
def plan(
    circuit: Circuit,
    fabric: Fabric | str | os.PathLike[str],
    *,
    methods: AnyMethods = "auto",
    objective: str | None = None,
    shots: int,
    precision: float | None = None,
    max_pairs: int | None = None,
    deadline_ns: float | None = None,
    time_limit_s: float = 5.0,
    seed: int | None = None,
) -> MixedPlan: ...


def plan(
    circuit: Circuit,
    fabric: Fabric | str | os.PathLike[str],
    *,
    methods: AnyMethods = "auto",
    objective: Wanted | None = None,
    shots: int | None = None,
    precision: float | None = None,
    max_pairs: int | None = None,
    deadline_ns: float | None = None,
    observables: Any = None,
    homes: Homes | None = None,
    partitioner: str | None = None,
    time_limit_s: float = 5.0,
    verify: str = "auto",
    seed: int | None = None,
) -> Plan | CutPlacement | MixedPlan:
    """Return a plan that runs ``circuit`` on the QPU nodes of ``fabric``, counted by replay and verified.

    Without a budget every crossing takes Bell pairs, or every one is cut, as ``methods`` says. With one, or with the
    objectives "mse" and "shots", each crossing is served in the way that is forecast to be best for estimating
    ``observables``: teleported, teleported with the errors of the pair undone for shots, or cut.

    Args:
        circuit: a Qiskit or Cirq circuit, OpenQASM text, or the path of a circuit file.
        fabric: the nodes and links, or the path of a fabric file.
        methods: how nodes are crossed: "auto" by Bell pairs, and by anything within a budget; ("gate_cut",),
            ("wire_cut",) or both by cutting, which needs no link and takes shots instead, and returns a
            ``CutPlacement``; with "bell" or "assisted" among them, these are mixed.
        objective: what to choose by: "ebits", "fidelity", "makespan" or the name of a cost model; weights, such as
            {"fidelity": 1.0, "makespan": 0.2}; or a sequence, the later for what is equal by the earlier. For fidelity
            and makespan finalists are put on the clock of the fabric. Mixed plans take "mse", "shots", "ebits",
            "fidelity" or "makespan". None = "ebits", and "mse" within a budget.
        shots: budget: of the whole run.
        precision: budget: root mean square error of the observables.
        max_pairs: budget: Bell pairs of one shot.
        deadline_ns: budget: time of one shot on the clock of the fabric.
        observables: that a mixed plan is for; by default Z of every qubit.
        homes: node id of every qubit, to pin them; None lets the partitioner choose.
        partitioner: a plug-in that places alone: "blocks", "multilevel", "search", "exact" or a registered one;
            None tries all starts and searches on.
        time_limit_s: about how long to search for fewer e-bits, starts and verification apart; 0 does without. It is
            turned into a number of moves, so that the plan does not depend on the speed of the machine.
        verify: "auto" picks the strongest check that is affordable; "proved", "skeleton", "sampled" or "skipped" ask
            for one.
        seed: reproduces the plan; None draws one, which the plan reports.

    Raises:
        InputError: the circuit, the homes or an option is wrong; ``CircuitRejected`` for a file that cannot be read.
        Infeasible: the nodes are too small even if qubits are used again, no quantum link joins nodes that must share
            a gate, no cuts make parts fit, or nothing keeps within the budget.
        VerificationFailed: our bug: the emitted circuit is not the circuit that was given.
    """
    budget = {"shots": shots, "precision": precision, "max_pairs": max_pairs, "deadline_ns": deadline_ns}
    if _is_mixed(methods, objective, [*budget.values(), observables]):
        if homes is not None or partitioner is not None:
            rule = "homes and partitioner are for plans that take Bell pairs only, without a budget"
            raise InvalidValue(field="homes", value=homes, rule=rule)
        mixed: MixedPlan = late("plan.mixed")(
            circuit,
            fabric,
            methods=methods,
            objective="mse" if objective is None else objective,
            shots=shots,
            precision=precision,
            max_pairs=max_pairs,
            deadline_ns=deadline_ns,
            observables=observables,
            time_limit_s=time_limit_s,
            seed=seed,
        )
        return mixed
    began = time.perf_counter()
    seed = seeds.resolve(seed)
    goal = objective_of("ebits" if objective is None else objective)
    fabric = _fabric(fabric)
    circuit = accept(circuit)
    limit_s = fields.number("time_limit_s", time_limit_s, "a plan", most=LONGEST_SEARCH_S, unit="s")
    if (cuts := _cuts(methods)) is not None:
        from hyperfabric_q.distribution.by_cutting import place_by_cutting  # noqa: PLC0415 - loaded for cuts only

        if homes is not None or partitioner is not None or str(goal) != "ebits":
            rule = "homes, partitioner and objective are for plans with Bell pairs; cuts take the least overhead"
            raise InvalidValue(field="methods", value=methods, rule=rule)
        return place_by_cutting(circuit, fabric, methods=cuts, time_limit_s=limit_s, seed=seed)
    return _by_pairs(
        circuit,
        fabric,
        goal=goal,
        homes=homes,
        partitioner=partitioner,
        limit_s=limit_s,
        verify=verify,
        seed=seed,
        began=began,
    )


def _by_pairs(
    circuit: QuantumCircuit,
    fabric: Fabric,
    *,
    goal: Objective,
    homes: Homes | None,
    partitioner: str | None,
    limit_s: float,
    verify: str,
    seed: int,
    began: float,
) -> Plan:
    """Return the plan whose crossings all take Bell pairs; where nodes are too small, qubits are used again."""
    program = rebase(circuit)
    reused: Reused | None = None
    try:
        network = _network(fabric, program.qubits)
    except NotEnoughQubits as short:
        reused = _reused(circuit, short, pinned=homes is not None, seed=seeds.word(seed, "reuse"))
        circuit, program = reused.circuit, rebase(reused.circuit)
        network = _network(fabric, program.qubits)
    chosen = choose(
        program,
        fabric,
        network,
        objective=goal,
        seed=seed,
        homes=_pinned(homes, program.qubits, network),
        time_limit_s=limit_s,
        partitioner=partitioner,
    )
    made = _finished(circuit, fabric, program, network, chosen, str(goal), verify, seed, began)
    return replace(made, reused=reused)


def evaluate(
    circuit: Circuit,
    fabric: Fabric | str | os.PathLike[str],
    *,
    homes: GivenHomes,
    sites: GivenSites | None = None,
    verify: str = "auto",
    seed: int | None = None,
) -> Plan:
    """Return the plan that carries out a mapping any compiler chose, by the replay and on the clock that ours pass.

    Args:
        circuit: the circuit that was mapped.
        fabric: the nodes and links, or the path of a fabric file.
        homes: node id of each qubit, as a list or by qubit; or a list of such, one for each layer of the circuit.
        sites: node id of two-qubit instructions by their index in the circuit; the others are chosen.
        verify: as for ``plan``.
        seed: of the checks that draw; None draws one, which the plan reports.

    Raises:
        InputError: the mapping does not fit the circuit or the fabric.
        Infeasible: its crossings need links or communication qubits that are not there.
        VerificationFailed: our bug: the emitted circuit is not the circuit that was given.
    """
    began = time.perf_counter()
    seed = seeds.resolve(seed)
    fabric = _fabric(fabric)
    circuit = accept(circuit)
    program = rebase(circuit)
    network = _network(fabric, program.qubits)
    placement = given_placement(circuit, program, network, homes=homes, sites=sites)
    lowered = lower(program, network, placement.homes, placement.steps)
    chosen = Chosen(placement, lowered, route(lowered, fabric, seed=seeds.word(seed, "route")))
    return _finished(circuit, fabric, program, network, chosen, "ebits", verify, seed, began)


def _finished(
    circuit: QuantumCircuit,
    fabric: Fabric,
    program: Program,
    network: Network,
    chosen: Chosen,
    objective: str,
    verify: str,
    seed: int,
    began: float,
) -> Plan:
    """Count and check what was emitted, and return it as a plan."""
    placement, lowered, routed = chosen
    counted = replay(lowered.circuit, fabric)
    if counted.ebits != ebits_of(placement.steps):
        raise VerificationFailed(
            what=f"the plan has {ebits_of(placement.steps)} e-bits and the emitted circuit {counted.ebits}", seed=seed
        )
    swaps = check_routed(routed, fabric, ebits=counted.ebits)
    if verify != "skipped":
        verify_rebase(circuit, program, seed=seed)
    verification = check(program, routed, mode=verify, seed=seed)
    return Plan(
        circuit=circuit,
        fabric=fabric,
        program=program,
        homes=tuple(network.names[home] for home in placement.homes.tolist()),
        lowered=lowered,
        routed=routed,
        swaps=swaps,
        packets=packets_of(program, network, placement.steps),
        replay=counted,
        verification=verification,
        start=placement.start,
        objective=objective,
        seconds=time.perf_counter() - began,
        seed=seed,
    )


def _reused(circuit: QuantumCircuit, short: NotEnoughQubits, *, pinned: bool, seed: int) -> Reused:
    """Return the circuit on as many qubits as the nodes hold, some of them used again; else the shortage is raised."""
    room = sum(short.available.values())
    if pinned or not room:
        raise short
    found = reuse(circuit, room, seed=seed)
    if found.width > room:
        raise NotEnoughQubits(needed=found.width, available=short.available)
    return found


def _is_mixed(methods: object, objective: object, budget: Sequence[object]) -> bool:
    """Whether crossings are served in different ways, whichever is best."""
    named = isinstance(methods, Sequence) and not isinstance(methods, str) and any(each in MIXED for each in methods)
    asked = isinstance(objective, str) and objective in MIXED_OBJECTIVES
    return named or asked or any(each is not None for each in budget)


def _cuts(methods: object) -> tuple[str, ...] | None:
    """The kinds of cuts asked for; None for Bell pairs."""
    if methods == "auto":
        return None
    if isinstance(methods, Sequence) and not isinstance(methods, str) and methods and set(methods) <= set(CUTS):
        return tuple(dict.fromkeys(methods))
    rule = f"it is 'auto', which takes Bell pairs, or one or both of {', '.join(map(repr, CUTS))}, and no mixture"
    raise InvalidValue(field="methods", value=methods, rule=rule)


def _fabric(given: object) -> Fabric:
    """The fabric itself, or the one in a file."""
    if isinstance(given, Fabric):
        return given
    if isinstance(given, str | os.PathLike):
        return Fabric.from_file(given)
    raise InvalidValue(field="fabric", value=given, rule="it is a Fabric, or the path of a fabric file")


def _network(fabric: Fabric, qubits: int) -> Network:
    """The fabric's QPU nodes; a node whose size is not declared counts only when it is not needed."""
    network = network_of(fabric)
    if len(network) > MAX_NODES:
        raise InvalidValue(
            field="fabric", value=len(network), rule=f"at most {MAX_NODES} QPU nodes can share one circuit"
        )
    if sum(network.capacity) < qubits:
        for node in fabric.qpu_nodes:
            if node.data_qubits is None:
                raise InvalidValue(
                    field=f"compute_units of {node.node_id!r}",
                    value=None,
                    rule="a circuit can only be placed on a QPU node whose data qubits are declared",
                    remedy=f"The circuit has {qubits} qubits and the other nodes hold {sum(network.capacity)}.",
                )
        raise NotEnoughQubits(needed=qubits, available=dict(zip(network.names, network.capacity, strict=True)))
    return network


def _pinned(homes: Homes | None, qubits: int, network: Network) -> IntArray | None:
    """The given homes as node indices, checked against names and capacities."""
    if homes is None:
        return None
    wanted = InvalidValue(
        field="homes", value=homes, rule=f"it must name one node for each of the qubits 0..{qubits - 1}"
    )
    if not isinstance(homes, Mapping | Iterable):
        raise wanted
    given: dict[int, object] = dict(homes) if isinstance(homes, Mapping) else dict(enumerate(homes))
    if given.keys() != set(range(qubits)):
        raise wanted
    index = {name: position for position, name in enumerate(network.names)}
    for name in given.values():
        if not isinstance(name, str) or name not in index:
            raise UnknownName(kind="QPU node with data qubits", name=str(name), known=network.names)
    pinned = np.array([index[str(given[qubit])] for qubit in range(qubits)], dtype=np.int32)
    for node, held in enumerate(np.bincount(pinned, minlength=len(network))):
        if held > network.capacity[node]:
            raise InvalidValue(
                field="homes",
                value=f"{held} qubits on {network.names[node]!r}",
                rule=f"that node has {network.capacity[node]} data qubits",
            )
    return pinned
