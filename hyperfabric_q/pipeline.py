"""A circuit becomes a plan, one call per stage."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Final, Literal, TypeAlias, overload

import numpy as np

from hyperfabric_q import seeds
from hyperfabric_q.convert import accept
from hyperfabric_q.distribution.choose import Chosen, choose
from hyperfabric_q.distribution.given import GivenHomes, GivenSites, given_placement
from hyperfabric_q.distribution.lower import lower
from hyperfabric_q.distribution.network import MAX_NODES, Network, network_of
from hyperfabric_q.distribution.objectives import Wanted, objective_of
from hyperfabric_q.distribution.plan import Plan, packets_of
from hyperfabric_q.distribution.program import IntArray, Program
from hyperfabric_q.distribution.rebase import rebase
from hyperfabric_q.distribution.replay import replay
from hyperfabric_q.distribution.route import check_routed, route
from hyperfabric_q.distribution.steps import ebits_of
from hyperfabric_q.distribution.verify import verify as check
from hyperfabric_q.distribution.verify import verify_rebase
from hyperfabric_q.errors import InvalidValue, NotEnoughQubits, UnknownName, VerificationFailed
from hyperfabric_q.fabric import Fabric, fields

if TYPE_CHECKING:
    import cirq
    from qiskit import QuantumCircuit

    from hyperfabric_q.distribution.by_cutting import CutPlacement

    Circuit: TypeAlias = QuantumCircuit | cirq.Circuit | str | os.PathLike[str]

LONGEST_SEARCH_S: Final = 1e6

CUTS: Final = ("gate_cut", "wire_cut")
"""Ways to cross between nodes by shots instead of Bell pairs."""

Homes: TypeAlias = Sequence[str] | Mapping[int, str]
PairMethods: TypeAlias = Literal["auto"]
CutKind: TypeAlias = Literal["gate_cut", "wire_cut"]
CutMethods: TypeAlias = tuple[CutKind, ...] | list[CutKind]


@overload
def plan(
    circuit: Circuit,
    fabric: Fabric | str | os.PathLike[str],
    *,
    methods: PairMethods = "auto",
    objective: Wanted = "ebits",
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


def plan(
    circuit: Circuit,
    fabric: Fabric | str | os.PathLike[str],
    *,
    methods: PairMethods | CutMethods = "auto",
    objective: Wanted = "ebits",
    homes: Homes | None = None,
    partitioner: str | None = None,
    time_limit_s: float = 5.0,
    verify: str = "auto",
    seed: int | None = None,
) -> Plan | CutPlacement:
    """Return a plan that runs ``circuit`` on the QPU nodes of ``fabric``, counted by replay and verified.

    Args:
        circuit: a Qiskit or Cirq circuit, OpenQASM text, or the path of a circuit file.
        fabric: the nodes and links, or the path of a fabric file.
        methods: how nodes are crossed: "auto" by Bell pairs; ("gate_cut",), ("wire_cut",) or both by cutting, which
            needs no link and takes shots instead, and returns a ``CutPlacement``. The other options but the time limit
            and the seed are for Bell pairs.
        objective: what to choose by: "ebits", "fidelity", "makespan" or the name of a cost model; weights, such as
            {"fidelity": 1.0, "makespan": 0.2}; or a sequence, the later for what is equal by the earlier. For fidelity
            and makespan finalists are put on the clock of the fabric.
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
        Infeasible: the nodes are too small, no quantum link joins nodes that must share a gate, or no cuts make parts
            fit.
        VerificationFailed: our bug: the emitted circuit is not the circuit that was given.
    """
    began = time.perf_counter()
    seed = seeds.resolve(seed)
    goal = objective_of(objective)
    fabric = _fabric(fabric)
    circuit = accept(circuit)
    limit_s = fields.number("time_limit_s", time_limit_s, "a plan", most=LONGEST_SEARCH_S, unit="s")
    if (cuts := _cuts(methods)) is not None:
        from hyperfabric_q.distribution.by_cutting import place_by_cutting  # noqa: PLC0415 - loaded for cuts only

        if homes is not None or partitioner is not None or str(goal) != "ebits":
            rule = "homes, partitioner and objective are for plans with Bell pairs; cuts take the least overhead"
            raise InvalidValue(field="methods", value=methods, rule=rule)
        return place_by_cutting(circuit, fabric, methods=cuts, time_limit_s=limit_s, seed=seed)
    program = rebase(circuit)
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
    return _finished(circuit, fabric, program, network, chosen, str(goal), verify, seed, began)


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
