"""Where a circuit runs: nodes, the links between them, and the fabric they form."""

from hyperfabric_q.fabric.chip import Chip, ChipOperation
from hyperfabric_q.fabric.fabric import Fabric
from hyperfabric_q.fabric.fat_tree import fat_tree
from hyperfabric_q.fabric.link import Link, werner
from hyperfabric_q.fabric.node import HardwareType, NodeSignature
from hyperfabric_q.fabric.presets import Preset, link_preset, link_presets, node_preset, node_presets
from hyperfabric_q.fabric.q_fly import q_fly
from hyperfabric_q.fabric.quantum_fat_tree import quantum_fat_tree
from hyperfabric_q.fabric.switch_star import switch_star
from hyperfabric_q.fabric.zone import FabricZone, IsolationLevel, ZoneType

__all__ = [
    "Chip",
    "ChipOperation",
    "Fabric",
    "FabricZone",
    "HardwareType",
    "IsolationLevel",
    "Link",
    "NodeSignature",
    "Preset",
    "ZoneType",
    "fat_tree",
    "link_preset",
    "link_presets",
    "node_preset",
    "node_presets",
    "q_fly",
    "quantum_fat_tree",
    "switch_star",
    "werner",
]
