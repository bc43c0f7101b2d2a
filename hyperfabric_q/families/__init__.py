"""Circuit families: seeded generators of the circuits on which distribution is tried and measured.

One family stands in one file, as an ordinary typed function: ``ghz(5)``, ``qaoa_3regular(12, layers=2, seed=7)``.
``generate`` builds one by name, ``names`` lists them, and ``family`` is the decorator that adds one. The files under
``circuits/`` are written by ``hyperfabric_q.families.manifest``.
"""

from hyperfabric_q.families.bernstein_vazirani import bernstein_vazirani
from hyperfabric_q.families.brickwork import brickwork
from hyperfabric_q.families.catalogue import FAMILIES, Family, family, generate, names
from hyperfabric_q.families.counting import two_qubit_gates
from hyperfabric_q.families.cuccaro_adder import cuccaro_adder
from hyperfabric_q.families.gate_fraction import cp_fraction, cz_fraction
from hyperfabric_q.families.ghz import ghz
from hyperfabric_q.families.graph_state import graph_state
from hyperfabric_q.families.hardware_efficient_ansatz import hardware_efficient_ansatz
from hyperfabric_q.families.ising import ising
from hyperfabric_q.families.pauli_gadgets import pauli_gadgets
from hyperfabric_q.families.qaoa import qaoa_3regular, qaoa_maxcut
from hyperfabric_q.families.qft import qft, qft_roundtrip
from hyperfabric_q.families.quantum_volume import quantum_volume
from hyperfabric_q.families.w_state import w_state

__all__ = [
    "FAMILIES",
    "Family",
    "bernstein_vazirani",
    "brickwork",
    "cp_fraction",
    "cuccaro_adder",
    "cz_fraction",
    "family",
    "generate",
    "ghz",
    "graph_state",
    "hardware_efficient_ansatz",
    "ising",
    "names",
    "pauli_gadgets",
    "qaoa_3regular",
    "qaoa_maxcut",
    "qft",
    "qft_roundtrip",
    "quantum_volume",
    "two_qubit_gates",
    "w_state",
]
