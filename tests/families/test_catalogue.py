"""Laws of the catalogue, run over every registered family."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from qiskit import QuantumCircuit, qasm2
from qiskit.quantum_info import Operator

from hyperfabric_q import families
from hyperfabric_q.errors import DuplicateName, InputError, InvalidValue, UnknownName
from hyperfabric_q.families import FAMILIES, Family, family, generate, names
from hyperfabric_q.families.arguments import MAX_GATES

NAMES = names()
SEEDED = [name for name in NAMES if FAMILIES[name].seeded]
PLAIN_GATES = {
    *("u", "p", "h", "x", "y", "z", "s", "sdg", "rx", "ry", "rz"),
    *("cx", "cz", "cp", "rzz", "swap", "ccx", "measure", "barrier"),
}


def example(name: str) -> QuantumCircuit:
    return FAMILIES[name].build(**FAMILIES[name].example)


def unitary(circuit: QuantumCircuit) -> Operator:
    return Operator(circuit.remove_final_measurements(inplace=False))


def test_the_families_of_the_brief_are_all_there():
    assert set(NAMES) == {
        *("bernstein_vazirani", "brickwork", "cp_fraction", "cuccaro_adder", "cz_fraction", "ghz", "graph_state"),
        *("hardware_efficient_ansatz", "ising", "pauli_gadgets", "qaoa_3regular", "qft", "qft_roundtrip"),
        *("quantum_volume", "w_state"),
    }


@pytest.mark.parametrize("name", NAMES)
def test_a_family_is_an_ordinary_function_of_the_room(name):
    assert getattr(families, name) is FAMILIES[name].build
    assert FAMILIES[name].name == name


@pytest.mark.parametrize("name", NAMES)
def test_every_example_builds_ordinary_gates_that_openqasm_2_brings_back(name):
    circuit = example(name)
    assert set(circuit.count_ops()) <= PLAIN_GATES
    back = qasm2.loads(qasm2.dumps(circuit), custom_instructions=qasm2.LEGACY_CUSTOM_INSTRUCTIONS)
    assert np.allclose(unitary(back).data, unitary(circuit).data, atol=1e-9)


@pytest.mark.parametrize("name", NAMES)
def test_the_same_seed_gives_the_same_circuit(name):
    first, second = generate(name, 6, seed=5), generate(name, 6, seed=5)
    assert first == second
    assert first.num_qubits == 6


@pytest.mark.parametrize("name", SEEDED)
def test_another_seed_gives_another_circuit(name):
    assert len({qasm2.dumps(generate(name, 8, seed=seed)) for seed in range(4)}) == 4


@pytest.mark.parametrize("name", NAMES)
def test_metadata_says_how_to_build_the_circuit_again(name):
    circuit = generate(name, 6, measured=True)
    note = circuit.metadata
    again = generate(
        note["family"], note["qubits"], seed=note["seed"], options=note["options"], measured=note["measured"]
    )
    assert again == circuit


@pytest.mark.parametrize("name", NAMES)
def test_measured_measures_each_qubit_once_unless_the_family_does(name):
    bare, measured = generate(name, 6, seed=1), generate(name, 6, seed=1, measured=True)
    if bare.clbits:
        assert measured == bare
    else:
        assert measured.count_ops()["measure"] == 6
        assert measured.cregs[0].name == "c"


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("qubits", [0, -1, True, 2.0, "4", None, 10**9])
def test_a_bad_size_is_refused_in_words(name, qubits):
    with pytest.raises(InvalidValue) as fault:
        generate(name, qubits, seed=1)
    assert "qubits" in str(fault.value)


@pytest.mark.parametrize("name", [name for name in NAMES if name not in {"bernstein_vazirani", "cuccaro_adder"}])
@pytest.mark.parametrize("qubits", [0, 1.5, "3", None])
def test_the_function_itself_refuses_a_bad_size(name, qubits):
    seed = {"seed": 1} if FAMILIES[name].seeded else {}
    with pytest.raises(InvalidValue):
        FAMILIES[name].build(qubits, **seed)


@pytest.mark.parametrize("name", SEEDED)
@pytest.mark.parametrize("seed", [-1, 1.0, "7", 2**63])
def test_a_bad_seed_is_refused(name, seed):
    with pytest.raises(InvalidValue, match="seed"):
        FAMILIES[name].build(6, seed=seed)


@pytest.mark.parametrize(
    ("name", "qubits", "options"),
    [
        ("qft", 100_000, {}),
        ("qft_roundtrip", 100_000, {}),
        ("brickwork", 100_000, {}),
        ("pauli_gadgets", 100_000, {}),
        ("quantum_volume", 100_000, {}),
        ("cp_fraction", 100_000, {}),
        ("cz_fraction", 100_000, {"depth": 100_000}),
        ("qaoa_3regular", 100_000, {"layers": 100_000}),
        ("ising", 100_000, {"steps": 100_000}),
        ("hardware_efficient_ansatz", 100_000, {"layers": 100_000}),
    ],
)
def test_a_circuit_of_too_many_gates_is_refused_at_once(name, qubits, options):
    with pytest.raises(InvalidValue, match=f"at most {MAX_GATES}"):
        generate(name, qubits, seed=1, options=options)


def test_numbers_too_long_to_print_are_refused_in_words():
    for build in (
        lambda: generate("ghz", 10**5000),
        lambda: generate("qft_roundtrip", 6, options={"value": 10**5000}),
        lambda: generate("ising", 6, options={"field": 10**5000}),
        lambda: families.cuccaro_adder(40_000, 2**40_001),
    ):
        with pytest.raises(InvalidValue, match=r"a number of [0-9]+ bits"):
            build()


def test_unknown_names_are_answered_with_the_nearest_one():
    with pytest.raises(UnknownName, match="Did you mean 'ghz'"):
        generate("gzh", 4)
    with pytest.raises(UnknownName, match=r"option of the circuit family 'ghz'.*Did you mean 'shape'"):
        generate("ghz", 4, options={"shpe": "star"})
    with pytest.raises(InvalidValue, match="Did you mean 'star'"):
        generate("ghz", 4, options={"shape": "sta"})
    with pytest.raises(InvalidValue, match="an argument of its own"):
        generate("brickwork", 4, options={"seed": 3})


def test_text_options_are_read_as_the_type_that_the_family_wants():
    assert generate("qft", 4, options={"swaps": "true"}) == generate("qft", 4, options={"swaps": 1})
    assert generate("qft", 4, options={"swaps": "false"}).count_ops() == {"h": 4, "cp": 6}
    assert generate("ising", 4, options={"steps": "3", "field": "0.25"}) == families.ising(4, 3, field=0.25)
    assert generate("graph_state", 3, options={"edges": "0-1, 1-2"}) == families.graph_state(3, [(0, 1), (1, 2)])
    angles = {"layers": 2, "gammas": "0.1,0.2", "betas": "0.3,0.4"}
    assert generate("qaoa_3regular", 6, seed=1, options=angles) == families.qaoa_3regular(
        6, 2, [0.1, 0.2], [0.3, 0.4], seed=1
    )
    assert generate("qaoa_3regular", 6, seed=1, options={"gammas": 0.1, "betas": 0.3}) == families.qaoa_3regular(
        6, 1, [0.1], [0.3], seed=1
    )


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("ising", {"steps": "three"}),
        ("ising", {"steps": 2.5}),
        ("ising", {"steps": 0}),
        ("ising", {"field": float("nan")}),
        ("ising", {"coupling": "inf"}),
        ("qft", {"swaps": "perhaps"}),
        ("qft", {"approximation_degree": 6}),
        ("qft_roundtrip", {"value": 64}),
        ("qft_roundtrip", {"value": -1}),
        ("ghz", {"shape": 3}),
        ("cuccaro_adder", {"a": 4}),
        ("cuccaro_adder", {"bits": 3}),
        ("bernstein_vazirani", {"secret": "11"}),
        ("bernstein_vazirani", {"secret": "11a11"}),
        ("bernstein_vazirani", {"secret": ""}),
        ("cz_fraction", {"fraction": 1.5}),
        ("cp_fraction", {"fraction": "-0.1"}),
        ("cp_fraction", {"depth": -1}),
        ("graph_state", {"edges": "0-1,1-0"}),
        ("graph_state", {"edges": "2-2"}),
        ("graph_state", {"edges": "0-6"}),
        ("graph_state", {"edges": "0-1-2"}),
        ("graph_state", {"edges": 3}),
        ("qaoa_3regular", {"gammas": 0.1}),
        ("qaoa_3regular", {"gammas": "0.1,0.2", "betas": "0.1,0.2"}),
        ("hardware_efficient_ansatz", {"parameters": "0.1"}),
        ("pauli_gadgets", {"weight": 7}),
        ("quantum_volume", {"depth": "deep"}),
    ],
)
def test_a_bad_option_is_refused(name, options):
    with pytest.raises(InvalidValue) as fault:
        generate(name, 6, seed=1, options=options)
    assert str(fault.value)


@settings(deadline=None, derandomize=True, max_examples=150)
@given(
    name=st.sampled_from(NAMES),
    qubits=st.integers(-2, 9),
    key=st.sampled_from(["depth", "layers", "value", "secret", "edges", "fraction", "gammas", "swaps", "a", "x"]),
    value=st.one_of(st.integers(-3, 20), st.floats(), st.text(max_size=4), st.sampled_from(["1", "0-1", ".5,1"])),
)
def test_any_input_gives_a_circuit_of_that_width_or_an_input_error(name, qubits, key, value):
    try:
        circuit = generate(name, qubits, seed=0, options={key: value})
    except InputError as fault:
        message, width = str(fault), None
    else:
        message, width = "", circuit.num_qubits
    assert message or width == qubits


def test_a_family_name_is_taken_once():
    with pytest.raises(DuplicateName, match="ghz"):
        family("ghz", "another", source="nowhere", example={"qubits": 2})(families.ghz)
    assert FAMILIES["ghz"].build is families.ghz


def test_a_family_record_must_describe_itself_truly():
    with pytest.raises(InvalidValue, match="source"):
        Family(name="x", description="d", source=" ", build=families.ghz, example={"qubits": 2})
    with pytest.raises(UnknownName, match="qubits"):
        Family(name="x", description="d", source="s", build=families.ghz, example={"qbits": 2})
