"""The pass manager and the transpiler stage give what ``hq.plan`` gives, in the forms Qiskit people pass on."""

import io
import math
import subprocess
import sys
from importlib.metadata import entry_points

import pytest
import stevedore
from qiskit import (
    ClassicalRegister,
    QuantumCircuit,
    QuantumRegister,
    generate_preset_pass_manager,
    qasm3,
    qpy,
    transpile,
)
from qiskit.circuit import Parameter
from qiskit.circuit.library import CXGate
from qiskit.transpiler import PassManager
from qiskit.transpiler.passes import InverseCancellation, RemoveBarriers
from qiskit.transpiler.preset_passmanagers.plugin import PassManagerStagePluginManager
from qiskit_aer import AerSimulator

from hyperfabric_q.distribution.lower import Lowered
from hyperfabric_q.distribution.replay import replay
from hyperfabric_q.distribution.verify import verify
from hyperfabric_q.errors import InputError, InvalidValue, NotEnoughQubits, UnknownName
from hyperfabric_q.fabric import Fabric
from hyperfabric_q.interfaces import EmitDistributedCircuit, HyperFabricStage, hyperfabric_pass_manager, use_fabric
from hyperfabric_q.pipeline import plan

FABRIC = Fabric.line([3, 2], communication_qubits=2, pair_fidelity=0.97)


def compiled(circuit, fabric=FABRIC, **options):
    manager = hyperfabric_pass_manager(fabric, **{"seed": 1, "time_limit_s": 0.0} | options)
    return manager.run(circuit), manager.property_set


def rows(circuit):
    """The instructions as plain values; Qiskit's == wants the same Python classes, and a file has no classes."""
    return [
        (
            each.operation.name,
            [rows(value) if isinstance(value, QuantumCircuit) else value for value in each.operation.params],
            [circuit.find_bit(wire).index for wire in each.qubits],
            [circuit.find_bit(bit).index for bit in each.clbits],
            getattr(each.operation, "condition", None),
            each.operation.definition and each.operation.name == "bell_pair" and rows(each.operation.definition),
        )
        for each in circuit.data
    ] + [(register.name, register.size) for register in [*circuit.qregs, *circuit.cregs]]


def mixed():
    """Every kind of instruction, the qubits touched in descending order: Qiskit's own conversion would sort them."""
    data, out, flag = QuantumRegister(4, "data"), ClassicalRegister(4, "out"), ClassicalRegister(1, "flag")
    circuit = QuantumCircuit(data, out, flag, name="mixed", metadata={"run": 7})
    circuit.h(data[::-1])
    circuit.cp(0.4, 3, 1)
    circuit.cp(0.3, 2, 0)
    circuit.cx(1, 2)
    circuit.barrier()
    circuit.cx(2, 3)
    circuit.measure(3, flag[0])
    with circuit.if_test((flag, 1)):
        circuit.x(1)
    circuit.reset(3)
    circuit.rx(0.2, 3)
    circuit.cx(0, 3)
    circuit.measure(data, out)
    return circuit


def added(number, constant, bits=3):
    """number + constant mod 2**bits by Fourier transform, a known answer; not measured."""
    circuit = QuantumCircuit(bits)
    for bit in range(bits):
        if number >> bit & 1:
            circuit.x(bit)

    def transform(sign):
        steps = []
        for high in reversed(range(bits)):
            steps.append(("h", 0.0, high, high))
            steps += [("cp", sign * math.pi / 2 ** (high - low), low, high) for low in reversed(range(high))]
        return steps if sign > 0 else steps[::-1]

    def write(steps):
        for name, angle, low, high in steps:
            circuit.h(high) if name == "h" else circuit.cp(angle, low, high)

    write(transform(+1))
    for bit in range(bits):
        circuit.p(2 * math.pi * constant / 2 ** (bit + 1), bit)
    write(transform(-1))
    return circuit


def answers(circuit, wires):
    """The values the given wires are measured to have, over 200 shots."""
    read = circuit.copy()
    register = ClassicalRegister(len(wires), "answer")
    read.add_register(register)
    read.measure(wires, register)
    counts = AerSimulator(method="statevector").run(read.decompose("bell_pair"), shots=200, seed_simulator=5).result()
    return {int(key.split()[0], 2) for key in counts.get_counts()}


# --------------------------------------------------------------------------------------------------- the pass manager


def test_the_result_is_the_circuit_that_plan_emits_for_the_same_seed():
    for seed in (1, 2):
        made = plan(mixed(), FABRIC, time_limit_s=0.05, seed=seed)
        result, properties = compiled(mixed(), seed=seed, time_limit_s=0.05)
        assert result == made.lowered.circuit
        assert properties["hyperfabric_plan"].homes == made.homes == properties["hyperfabric_homes"]
        assert properties["hyperfabric_plan"].lowered.circuit.data == made.lowered.circuit.data
        assert properties["hyperfabric_plan"].verification.label == "proved"
        assert replay(result, FABRIC) == made.replay


def test_the_instructions_reach_the_planner_in_the_order_they_were_written():
    circuit = mixed()
    _, properties = compiled(circuit)
    reached = properties["hyperfabric_plan"].circuit
    assert [(each.operation.name, each.qubits, each.clbits) for each in reached.data] == [
        (each.operation.name, each.qubits, each.clbits) for each in circuit.data
    ]


def test_other_passes_before_it_are_obeyed():
    circuit = mixed()
    circuit.barrier()
    circuit.cx(0, 1)
    circuit.cx(0, 1)
    manager = PassManager([InverseCancellation([CXGate()]), RemoveBarriers()])
    manager += hyperfabric_pass_manager(FABRIC, seed=1, time_limit_s=0)
    manager.run(circuit)
    reached = manager.property_set["hyperfabric_plan"].circuit.count_ops()
    assert reached["cx"] == 3
    assert "barrier" not in reached


def test_name_metadata_and_the_users_classical_registers_are_kept():
    result, _ = compiled(mixed())
    assert (result.name, result.metadata) == ("mixed", {"run": 7})
    assert [(each.name, each.size) for each in result.cregs[:2]] == [("out", 4), ("flag", 1)]


def test_measurements_and_conditions_are_kept_and_a_barrier_keeps_a_mirror_apart():
    result, _ = compiled(mixed())
    users = set(result.cregs[0]) | set(result.cregs[1])
    assert sum(each.operation.name == "measure" and each.clbits[0] in users for each in result.data) == 5
    assert sum(each.operation.name == "if_else" and set(each.clbits) <= users for each in result.data) == 1
    small = Fabric.line([1, 1], communication_qubits=1, pair_fidelity=0.97)
    for barrier in (True, False):
        mirror = QuantumCircuit(2)
        mirror.cx(0, 1)
        if barrier:
            mirror.barrier()
        mirror.cx(0, 1)
        emitted = compiled(mirror, small)[0].count_ops()
        assert (emitted.get("cz", 0) == 2) == barrier


@pytest.mark.parametrize("moves", [False, True])
def test_the_layout_says_where_each_qubit_starts_and_ends(moves):
    """Classical reversible logic, so that the answer is known; with ``moves`` partners change from round to round."""
    circuit, bits = QuantumCircuit(4), [1, 0, 0, 0]
    circuit.x(0)
    rounds = [[(0, 1), (2, 3)], [(0, 2), (1, 3)], [(0, 3), (1, 2)]] if moves else [[(0, 1), (2, 3)]]
    for pairs in rounds:
        for a, b in [pair[::sign] for _ in range(4) for sign in (1, -1) for pair in pairs]:
            circuit.cx(a, b)
            bits[b] ^= bits[a]
    fabric = Fabric.line([3, 3], communication_qubits=2, pair_fidelity=0.97)
    result, properties = compiled(circuit, fabric, time_limit_s=0.2)
    made = properties["hyperfabric_plan"]
    assert bool(made.moves) == (made.lowered.entry != made.lowered.exit) == moves
    assert result.layout.initial_index_layout(filter_ancillas=True) == list(made.lowered.entry)
    assert sorted(result.layout.initial_index_layout()) == list(range(result.num_qubits))
    assert result.layout.final_index_layout() == list(made.lowered.exit)
    assert sorted(result.layout.final_index_layout(filter_ancillas=False)) == list(range(result.num_qubits))
    assert answers(result, result.layout.final_index_layout()) == {sum(bit << place for place, bit in enumerate(bits))}


def test_a_list_of_circuits_gives_a_list():
    manager = hyperfabric_pass_manager(FABRIC, seed=1, time_limit_s=0)
    both = manager.run([mixed(), added(1, 1)], num_processes=1)
    assert both == [compiled(mixed())[0], compiled(added(1, 1))[0]]


@pytest.mark.parametrize(
    ("options", "error"),
    [({"time_limit_s": -1}, InvalidValue), ({"time_limit_s": "5"}, InvalidValue), ({"seed": -1}, InputError)],
)
def test_a_wrong_option_is_refused_before_anything_runs(options, error):
    with pytest.raises(error):
        hyperfabric_pass_manager(FABRIC, **options)


def test_errors_come_out_of_qiskit_with_their_types():
    with pytest.raises(InvalidValue, match=r"Fabric\.from_file"):
        hyperfabric_pass_manager("fabric.toml")
    with pytest.raises(UnknownName, match="verification mode"):
        compiled(mixed(), verify="maybe")
    with pytest.raises(NotEnoughQubits):
        compiled(QuantumCircuit(6))
    free = QuantumCircuit(2)
    free.rx(Parameter("a"), 0)
    with pytest.raises(InputError):
        compiled(free)
    with pytest.raises(InvalidValue, match="PlanOnFabric"):
        PassManager([EmitDistributedCircuit()]).run(mixed())


# -------------------------------------------------------------------------------------------------------------- files


def test_qpy_returns_the_emitted_circuit():
    result, properties = compiled(mixed())
    file = io.BytesIO()
    qpy.dump(result, file)
    file.seek(0)
    (back,) = qpy.load(file)
    assert rows(back) == rows(result)
    assert back.layout.final_index_layout() == list(properties["hyperfabric_plan"].lowered.exit)
    assert replay(back, FABRIC) == properties["hyperfabric_plan"].replay


@pytest.mark.parametrize("named", [True, False])
def test_openqasm_3_defines_the_bell_pair_and_what_is_read_back_is_the_same_program(named):
    result, properties = compiled(mixed())
    made = properties["hyperfabric_plan"]
    text = qasm3.dumps(made.distributed_circuit if named else result)
    assert ("qubit[1] _qpu_0_comm;" in text, "$0" in text) == (named, not named)
    assert text.count("gate bell_pair ") == 1
    assert text.count("\nbell_pair ") == made.ebits > 0
    back = qasm3.loads(text)
    assert back.count_ops() == result.count_ops()
    wires = {"entry": made.lowered.entry, "exit": made.lowered.exit, "node_of": made.lowered.node_of}
    assert verify(made.program, Lowered(circuit=back, **wires), mode="proved", seed=1).label == "proved"


@pytest.mark.parametrize(("number", "constant"), [(5, 6), (7, 1)])
def test_openqasm_3_read_back_computes_the_known_sum(number, constant):
    fabric = Fabric.line([1, 1, 1], communication_qubits=2, pair_fidelity=0.97)
    result, properties = compiled(added(number, constant), fabric)
    assert properties["hyperfabric_plan"].ebits > 0
    back = qasm3.loads(qasm3.dumps(result))
    assert answers(back, properties["hyperfabric_plan"].lowered.exit) == {(number + constant) % 8}


# ------------------------------------------------------------------------------------------------ the transpiler stage


@pytest.fixture
def installed(monkeypatch):
    """The entry point as Qiskit finds it, whether or not the metadata of this installation has it."""
    original = PassManagerStagePluginManager.__init__

    def start(self):
        original(self)
        if "hyperfabric" not in self.init_plugins:
            point = stevedore.extension.Extension("hyperfabric", None, HyperFabricStage, HyperFabricStage())
            self.init_plugins.extensions.append(point)
            self.init_plugins._extensions_by_name_cache = None

    monkeypatch.setattr(PassManagerStagePluginManager, "__init__", start)


def test_the_installed_entry_point_is_the_stage():
    points = entry_points(group="qiskit.transpiler.init", name="hyperfabric")
    if not points:
        pytest.skip("this installation is older than the entry point")
    assert [point.load() for point in points] == [HyperFabricStage]


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize("level", range(4))
def test_the_preset_pass_manager_keeps_the_emitted_circuit_at_every_level(level):
    with use_fabric(FABRIC, time_limit_s=0):
        manager = generate_preset_pass_manager(level, init_method="hyperfabric", seed_transpiler=1)
    for circuit in (mixed(), added(5, 6, bits=4)):
        result = manager.run(circuit)  # outside: what was built keeps its fabric
        made = manager.property_set["hyperfabric_plan"]
        assert made.seed == 1
        assert result == made.lowered.circuit == compiled(circuit)[0]
        assert replay(result, FABRIC) == made.replay
        assert result.layout.final_index_layout() == list(made.lowered.exit)


@pytest.mark.usefixtures("installed")
def test_transpile_compiles_for_the_innermost_fabric():
    wide = Fabric.line([4, 4], communication_qubits=2, pair_fidelity=0.97)
    options = {"init_method": "hyperfabric", "seed_transpiler": 1}
    with use_fabric(FABRIC, time_limit_s=0) as fabric:
        assert fabric is FABRIC
        with use_fabric(wide, time_limit_s=0, verify="skipped"):
            assert "bell_pair" not in transpile(mixed(), **options).count_ops()
        assert transpile(mixed(), **options) == compiled(mixed())[0]
    with pytest.raises(InvalidValue, match="use_fabric"):
        transpile(mixed(), **options)


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("coupling_map", [[0, 1], [1, 2], [2, 3]]),
        ("basis_gates", ["cx", "u"]),
        ("initial_layout", [3, 2, 1, 0]),
        ("backend", AerSimulator()),
    ],
)
def test_the_stage_refuses_one_device(option, value):
    with use_fabric(FABRIC), pytest.raises(InvalidValue, match="one device cannot hold a circuit over many nodes"):
        generate_preset_pass_manager(0, init_method="hyperfabric", **{option: value})


def test_use_fabric_refuses_what_is_no_fabric():
    with pytest.raises(InvalidValue, match="it is a Fabric"), use_fabric({"nodes": 2}):
        pass


def test_finding_the_entry_point_does_not_load_the_compiler():
    code = "import sys, hyperfabric_q.interfaces.transpiler_stage; assert 'hyperfabric_q.pipeline' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
