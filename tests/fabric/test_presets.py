"""Presets: each says where it comes from and makes a valid link or node."""

import pytest

from hyperfabric_q.errors import UnknownName
from hyperfabric_q.fabric import (
    HardwareType,
    Link,
    NodeSignature,
    link_preset,
    link_presets,
    node_preset,
    node_presets,
)


@pytest.mark.parametrize("name", list(link_presets))
def test_every_link_preset_makes_a_quantum_link_and_names_its_source(name):
    preset = link_preset(name)
    link = Link("a", "b", preset=name)
    assert link.quantum
    assert {field: getattr(link, field) for field in preset.fields} == dict(preset.fields)
    _check_provenance(preset, name)


@pytest.mark.parametrize("name", list(node_presets))
def test_every_node_preset_makes_a_node_and_names_its_source(name):
    preset = node_preset(name)
    NodeSignature("a", HardwareType.QUANTUM_QPU, 10, 10, **preset.fields)
    _check_provenance(preset, name)


def _check_provenance(preset, name):
    assert preset.name == name
    assert preset.source
    assert preset.kind in {"measured", "projected", "ideal"}
    assert 1998 < preset.year < 2030
    assert name.endswith(str(preset.year)) or preset.kind == "ideal"
    assert set(preset.unchecked) <= {*preset.fields, "year"}


def test_what_was_simulated_is_not_called_measured():
    for name in link_presets:
        preset = link_preset(name)
        if "simulated" in preset.note or "better than today" in preset.note:
            assert preset.kind == "projected", name
    assert {link_preset(name).kind for name in link_presets} == {"measured", "projected", "ideal"}


def test_a_misspelt_preset_names_the_nearest_one():
    with pytest.raises(UnknownName, match="ion_oxford_2025"):
        link_preset("ion_oxford_2052")
    with pytest.raises(UnknownName):
        node_preset(None)


def test_presets_cannot_be_changed():
    with pytest.raises(TypeError):
        link_preset("ideal").fields["pair_fidelity"] = 0.5
