"""One test per member of the enumerations: what a fabric does differently because of it.

The tests run over the enumerations themselves, so that a new member fails until it is said here what it changes.
"""

import asyncio
import itertools

import numpy as np
import pytest
from qiskit.quantum_info import DensityMatrix, Statevector

import hyperfabric_q as hq
from hyperfabric_q import errors
from hyperfabric_q.fabric.membership import membership
from hyperfabric_q.traffic.sealing import Header
from hyperfabric_q.workloads.annealing.machines import is_annealer

Kind, Zone, Level, Data, Priority = hq.HardwareType, hq.ZoneType, hq.IsolationLevel, hq.DataType, hq.PacketPriority


def cpu(name, **fields):
    return hq.NodeSignature(name, Kind.CPU_SERVER, 8, 100, **fields)


# ------------------------------------------------------------------------------------------------------------ hardware


COMPUTE = {"adopted": {Zone.COMPUTE_CLUSTER, Zone.HYBRID}}
HARDWARE = {
    Kind.NVIDIA_H100: COMPUTE,
    Kind.NVIDIA_A100: COMPUTE,
    Kind.AMD_MI300X: COMPUTE,
    Kind.INTEL_GAUDI2: COMPUTE,
    Kind.CPU_SERVER: COMPUTE,
    Kind.QUANTUM_QPU: {"adopted": {Zone.QUANTUM_REALM, Zone.HYBRID}, "data_qubits": 2, "keeps_unstated": True},
    Kind.QUANTUM_ANNEALER: {"adopted": {Zone.QUANTUM_REALM, Zone.HYBRID}, "anneals": True},
    Kind.NEUROMORPHIC_CHIP: {"adopted": {Zone.NEUROMORPHIC_CLUSTER, Zone.HYBRID}},
    Kind.PHOTONIC_SWITCH: {"adopted": {Zone.PHOTONIC_MESH, Zone.HYBRID}, "keeps": False, "relays": True},
    Kind.SOFTWARE_ENDPOINT: {"adopted": set()},
}
OTHERS = {"data_qubits": 0, "keeps_unstated": False, "keeps": True, "relays": False, "anneals": False}


def shares(*nodes, ends):
    """Whether two nodes can share a Bell pair, all nodes in a line."""
    links = tuple(
        hq.Link(a.node_id, b.node_id, latency_ns=100, pair_fidelity=0.97) for a, b in itertools.pairwise(nodes)
    )
    try:
        hq.HyperFabricProtocol(hq.Fabric(nodes=nodes, links=links), seed=1).foresee(*ends)
    except (errors.Infeasible, errors.InvalidValue):
        return False
    return True


@pytest.mark.parametrize("kind", Kind, ids=lambda each: each.name)
def test_hardware_type(kind):
    def node(**fields):
        return hq.NodeSignature("it", kind, 8, 100, **fields)

    left, right = (hq.NodeSignature(name, Kind.QUANTUM_QPU, 8, 100, compute_units=1) for name in ("left", "right"))
    found = {
        "adopted": {each for each in Zone if membership(hq.FabricZone(zone_id="z", zone_type=each), [node()]).members},
        "data_qubits": node(compute_units=2).data_qubits,
        "keeps_unstated": shares(left, node(), ends=("left", "it")),
        "keeps": shares(left, node(communication_qubits=2), ends=("left", "it")),
        "relays": shares(left, node(communication_qubits=0), right, ends=("left", "right")),
        "anneals": is_annealer(node()),
        "teraflops": teraflops(node()),
    }
    assert found == OTHERS | HARDWARE[kind] | {"teraflops": TERAFLOPS.get(kind)}


TERAFLOPS = {Kind.NVIDIA_H100: 989, Kind.NVIDIA_A100: 312, Kind.AMD_MI300X: 1307, Kind.INTEL_GAUDI2: 432}


def teraflops(node):
    """What a step of training takes a node to do in a second that says nothing about it."""
    with hq.HyperFabricProtocol(hq.Fabric(nodes=[node])).step(["it"]) as step:
        try:
            taken_ns = step.compute("it", flops=1e15)
        except errors.InvalidValue:
            return None
    return round(1e15 / (taken_ns * 1e-9) / 1e12)


# --------------------------------------------------------------------------------------------------------------- zones


ADOPTS = {
    Zone.COMPUTE_CLUSTER: {Kind.NVIDIA_H100, Kind.NVIDIA_A100, Kind.AMD_MI300X, Kind.INTEL_GAUDI2, Kind.CPU_SERVER},
    Zone.QUANTUM_REALM: {Kind.QUANTUM_QPU, Kind.QUANTUM_ANNEALER},
    Zone.NEUROMORPHIC_CLUSTER: {Kind.NEUROMORPHIC_CHIP},
    Zone.PHOTONIC_MESH: {Kind.PHOTONIC_SWITCH},
    Zone.EDGE: set(),
    Zone.STORAGE: set(),
    Zone.HYBRID: set(Kind) - {Kind.SOFTWARE_ENDPOINT},
}


@pytest.mark.parametrize("zone_type", Zone, ids=lambda each: each.name)
def test_zone_type(zone_type):
    zone = hq.FabricZone(zone_id="z", zone_type=zone_type, isolation_level=Level.MEDIUM)
    machines = {kind: hq.NodeSignature(kind.value, kind, 8, 100) for kind in Kind}

    async def crosses(kind):
        outside = hq.NodeSignature("outside", Kind.SOFTWARE_ENDPOINT, 8, 100)
        protocol = hq.HyperFabricProtocol(hq.Fabric(nodes=(machines[kind], outside), zones=(zone,)))
        try:
            await protocol.send_data(source=kind.value, destination="outside", data=b"x")
        except errors.IsolationViolated:
            return True
        return False

    assert {kind for kind in Kind if hq.run(crosses(kind))} == ADOPTS[zone_type]


LEVELS = {
    # crosses without a gateway, is listed, passes through a member, is sealed
    Level.NONE: (True, False, True, False),
    Level.LOW: (True, True, True, False),
    Level.MEDIUM: (False, True, True, False),
    Level.HIGH: (False, True, False, False),
    Level.QUANTUM_SECURE: (False, True, False, True),
}


@pytest.mark.parametrize("level", Level, ids=lambda each: each.name)
def test_isolation_level(level):
    def receipt(ends, gateways=(), links=()):
        given = {"zone_id": "z", "zone_type": Zone.HYBRID, "members": ("in", "inner"), "gateways": gateways}
        zone = hq.FabricZone(isolation_level=level, **given)
        links = tuple(hq.Link(a, b, bandwidth_gbps=8, latency_ns=100) for a, b in links)
        fabric = hq.Fabric(nodes=tuple(map(cpu, ("in", "inner", "out", "far"))), links=links, zones=(zone,))

        async def main():
            protocol = hq.HyperFabricProtocol(fabric)
            try:
                return (await protocol.send_data(source=ends[0], destination=ends[1], data=b"x")).receipt
            except errors.IsolationViolated:
                return None

        return hq.run(main())

    plain = receipt(("in", "out"))
    through = receipt(("out", "far"), gateways=("in",), links=(("out", "in"), ("in", "far")))
    opened = receipt(("in", "out"), gateways=("in",))
    sealed = opened.encryption == "aes-256-gcm"
    assert (plain is not None, opened.zones == ("z",), through is not None, sealed) == LEVELS[level]


# ------------------------------------------------------------------------------------------------------------- traffic


CLASSES = {
    Data.CONTROL_MESSAGE: 0,
    Data.SYNDROME: 1,
    Data.CORRECTION: 1,
    Data.QUANTUM_STATE: 1,
    Data.KEY: 1,
    Data.NEUROMORPHIC_SPIKE: 2,
    Data.PARAMETER: 3,
    Data.GRADIENT: 4,
    Data.TENSOR: 5,
    Data.ACTIVATION: 5,
    Data.QUANTUM_CIRCUIT: 5,
    Data.GENERIC: 5,
}
MARKS = {0: "control_message", 1: "syndrome", 2: "neuromorphic_spike", 3: "parameter", 4: "gradient", 5: "tensor"}


def overtaken_by(data_type, priority):
    """Which of six classes go before it at a port where all wait together behind bulk."""

    async def main():
        protocol = hq.HyperFabricProtocol(hq.Fabric(nodes=(cpu("a"), cpu("b"))))

        def send(nbytes, **asked):
            return asyncio.ensure_future(protocol.send_data(source="a", destination="b", data=bytes(nbytes), **asked))

        bulk = send(100_000, priority="bulk")
        await protocol.sleep_ns(10)
        it = send(2_000, data_type=data_type, priority=priority)
        marks = {number: send(1_000, data_type=kind) for number, kind in MARKS.items()}
        await asyncio.gather(bulk, it, *marks.values())
        done = it.result().receipt
        before = {number for number, mark in marks.items() if mark.result().receipt.done_ps < done.done_ps}
        return before - {done.priority_class}, done.priority_class

    return hq.run(main())


@pytest.mark.parametrize("data_type", Data, ids=lambda each: each.name)
def test_data_type(data_type):
    number = CLASSES[data_type]
    assert overtaken_by(data_type, Priority.NORMAL) == (set(range(number)), number)


def test_names_of_one_class_are_told_apart_by_handlers_and_seals():
    async def main():
        protocol = hq.HyperFabricProtocol(hq.Fabric(nodes=(cpu("a"), cpu("b"))))
        protocol.attach_handler("b", lambda packet: packet.data_type)
        sends = [protocol.send_data(source="a", destination="b", data=b"x", data_type=each) for each in Data]
        return [each.response for each in await asyncio.gather(*sends)]

    assert hq.run(main()) == list(Data)
    headers = {Header(source="a", destination="b", sequence=1, data_type=each).associated_data() for each in Data}
    assert len(headers) == len(Data)


def test_only_spikes_are_counted_as_address_events():
    chip = hq.NodeSignature("chip", Kind.NEUROMORPHIC_CHIP, 8, 100, neuromorphic_neurons=1024)

    async def main():
        protocol = hq.HyperFabricProtocol(hq.Fabric(nodes=(chip, cpu("b"))))
        data = np.arange(1000)
        sends = [protocol.send_data(source="chip", destination="b", data=data, data_type=each) for each in Data]
        return {each.receipt.data_type for each in await asyncio.gather(*sends) if each.receipt.nbytes == 42_000 // 8}

    assert hq.run(main()) == {Data.NEUROMORPHIC_SPIKE}


def test_only_quantum_states_are_teleported():
    fabric = hq.Fabric.line([1, 1], communication_qubits=1, pair_fidelity=0.97)

    async def main(data_type):
        protocol = hq.HyperFabricProtocol(fabric, seed=1)
        return await protocol.send_data(
            source="qpu-0",
            destination="qpu-1",
            data=Statevector.from_label("+"),
            data_type=data_type,
            requires_quantum_entanglement=True,
        )

    arrived = hq.run(main(Data.QUANTUM_STATE))
    assert isinstance(arrived.payload, DensityMatrix)
    with pytest.warns(errors.HyperFabricWarning):
        assert hq.run(main(Data.TENSOR)).entanglement is None


# Of a gradient, which is class 4 by itself.
MOVED = {"ULTRA_HIGH": 1, "HIGH": 3, "NORMAL": 4, "MEDIUM": 4, "LOW": 5, "BULK": 7}


@pytest.mark.parametrize("name", Priority.__members__)
def test_packet_priority(name):
    number = MOVED[name]
    before = set(range(min(number, 6)))
    assert overtaken_by(Data.GRADIENT, Priority[name]) == (before, number)
