"""Published hardware figures that a link or a node may start from, each with its source, year and kind.

A preset is a starting point: any field given beside it wins. ``unchecked`` names the fields whose figure was taken
second hand and not read again in the source.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final, Literal

from hyperfabric_q.errors import UnknownName
from hyperfabric_q.registry import Registry

Kind = Literal["measured", "projected", "ideal"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Preset:
    """Return figures of one piece of hardware and where they come from.

    Args:
        name: what users call it.
        fields: field name → value, of ``Link`` or of ``NodeSignature``.
        source: the publication, or what else the figures rest on.
        year: the year of the source.
        kind: ``measured``, ``projected`` (not built yet) or ``ideal`` (a definition).
        note: what the figures leave open.
        unchecked: fields whose figure was not read again in the source.
    """

    name: str
    fields: Mapping[str, float | str]
    source: str
    year: int
    kind: Kind
    note: str = ""
    unchecked: tuple[str, ...] = field(default=())

    def __post_init__(self) -> None:
        object.__setattr__(self, "fields", MappingProxyType(dict(self.fields)))


link_presets: Final = Registry[Preset]("link preset")
"""Link presets by name. Third parties add theirs through the entry-point group ``hyperfabric_q.link_preset``."""

node_presets: Final = Registry[Preset]("node preset")
"""Node presets by name. Third parties add theirs through the entry-point group ``hyperfabric_q.node_preset``."""

LINKS: Final = (
    Preset(
        name="ideal",
        fields={"pair_fidelity": 1.0},
        source="definition: perfect Bell pairs whenever they are wanted",
        year=2025,
        kind="ideal",
    ),
    Preset(
        name="ion_oxford_2025",
        fields={"pair_fidelity": 0.9689, "pair_rate_hz": 9.7, "distance_m": 2.0},
        source="Main et al., Nature 638, 383 (2025), arXiv:2407.00835",
        year=2025,
        kind="measured",
        note="two trapped-ion modules about 2 m apart; the teleported CZ reaches 0.86, local errors included",
        unchecked=("pair_fidelity", "pair_rate_hz"),
    ),
    Preset(
        name="ion_oxford_2020",
        fields={"pair_fidelity": 0.94, "pair_rate_hz": 182.0},
        source="Stephenson et al., Phys. Rev. Lett. 124, 110501 (2020)",
        year=2020,
        kind="measured",
        unchecked=("pair_fidelity", "pair_rate_hz"),
    ),
    Preset(
        name="ion_polarisation_2022",
        fields={"pair_fidelity": 0.960},
        source="polarisation-encoded ions over several metres, quoted in Saha et al., Nat. Commun. 16 (2025)",
        year=2022,
        kind="measured",
        note="0.960(1); 250 pairs per second were reached in another experiment, so no rate is given here",
        unchecked=("year",),
    ),
    Preset(
        name="ion_timebin_duke_2025",
        fields={"pair_fidelity": 0.97},
        source="Saha et al., Nat. Commun. 16 (2025), arXiv:2406.01761",
        year=2025,
        kind="measured",
        note="time-bin photons with detection of errors by measurement; no rate is given here",
    ),
    Preset(
        name="atom_33km_2022",
        fields={"pair_fidelity": 0.622, "pair_rate_hz": 0.01, "distance_m": 33_000.0},
        source="rubidium atoms over 33 km of fibre, quoted in Saha et al., Nat. Commun. 16 (2025)",
        year=2022,
        kind="measured",
        note="0.622(15)",
        unchecked=("year",),
    ),
    Preset(
        name="atom_postselected_2012",
        fields={"pair_fidelity": 0.987, "pair_rate_hz": 0.004},
        source="rubidium atoms, quoted in Saha et al., Nat. Commun. 16 (2025)",
        year=2012,
        kind="measured",
        note="0.987(22), post-selected",
        unchecked=("year",),
    ),
    Preset(
        name="nv_delft_2018",
        fields={"pair_fidelity": 0.5, "pair_rate_hz": 10.0, "distance_m": 2.0},
        source="Humphreys et al., Nature 558, 268 (2018), arXiv:1712.07567",
        year=2018,
        kind="measured",
        note="single click; one pair delivered every 100 ms, on average above 0.5; up to 39 heralds per second",
    ),
    Preset(
        name="photonic_chip_2025",
        fields={"pair_fidelity": 0.831},
        source="teleported CNOT between photonic chips, arXiv:2507.16783 (2025)",
        year=2025,
        kind="measured",
        note="0.831 is the process fidelity of the CNOT, used here as that of the pair it consumes; post-selected",
    ),
    Preset(
        name="transmon_waveguide_2020",
        fields={"pair_fidelity": 0.795, "distance_m": 5.0},
        source="Magnard et al., Phys. Rev. Lett. 125, 260502 (2020), arXiv:2008.01642",
        year=2020,
        kind="measured",
        note="two refrigerators joined by a cold waveguide, on demand",
        unchecked=("pair_fidelity",),
    ),
    Preset(
        name="transmon_lossy_link_2025",
        fields={"pair_fidelity": 0.92},
        source="Teoh et al., arXiv:2509.18547 (2025)",
        year=2025,
        kind="measured",
        note="0.92(1), preparation and measurement included; heralded, over a link that transmits 2 % of photons",
    ),
    Preset(
        name="transmon_coax_2025",
        fields={"pair_fidelity": 0.9915, "distance_m": 0.3},
        source="two superconducting chips joined by 30 cm of coaxial cable, BAQIS, Phys. Rev. Lett. (2025)",
        year=2025,
        kind="measured",
        note="0.9915(2) is the fidelity of the remote CNOT, used here as that of the pair which the CNOT makes",
    ),
    Preset(
        name="transmon_coupler_2026",
        fields={"pair_fidelity": 0.9999, "distance_m": 0.25},
        source="coupler of 25 cm between superconducting chips, arXiv:2603.28526 (2026)",
        year=2026,
        kind="projected",
        note="simulated; 0.9999 is a lower bound of the remote CZ, used here as that of the pair",
    ),
    Preset(
        name="transducer_ibm_2025",
        fields={"pair_fidelity": 0.997, "pair_rate_hz": 1e6},
        source="Dirnegger et al., arXiv:2503.10842 (2025)",
        year=2025,
        kind="projected",
        note="0.997 is that of remote gates; it takes microwave-optical transducers 1000 times better than today's",
    ),
)

NODES: Final = (
    Preset(
        name="ideal",
        fields={"gate_error_1q": 0.0, "gate_error_2q": 0.0, "readout_error": 0.0},
        source="definition: perfect gates, readout and memory",
        year=2025,
        kind="ideal",
    ),
    Preset(
        name="ion_2022",
        fields={"t2_us": 85_000.0, "gate_error_2q": 0.075, "gate_2q_ns": 107_000.0, "readout_ns": 1_500_000.0},
        source="Avis et al., arXiv:2207.10579, appendix A (2022)",
        year=2022,
        kind="measured",
        note="0.075 is the average gate infidelity of a two-qubit depolarising probability of 0.1",
    ),
    Preset(
        name="colour_centre_2022",
        fields={
            "t1_us": 3.6e9,
            "t2_us": 5e5,
            "gate_error_2q": 0.045,
            "gate_2q_ns": 500_000.0,
            "readout_error": 0.0375,
        },
        source="Avis et al., arXiv:2207.10579, appendix A (2022)",
        year=2022,
        kind="measured",
        note="electron spin; 0.045 stands for a depolarising probability of 0.06, 0.0375 is the mean of 0.07 and 0.005",
    ),
    Preset(
        name="colour_centre_carbon_2022",
        fields={"t2_us": 1e6, "gate_error_2q": 0.045, "gate_2q_ns": 500_000.0, "readout_error": 0.0375},
        source="Avis et al., arXiv:2207.10579, appendix A (2022)",
        year=2022,
        kind="measured",
        note="pairs stored in a carbon nuclear spin, written and read through the electron of colour_centre_2022",
    ),
)

for _preset in LINKS:
    link_presets.register(_preset.name)(_preset)
for _preset in NODES:
    node_presets.register(_preset.name)(_preset)


def link_preset(name: str) -> Preset:
    """Return the link preset called ``name``.

    Raises:
        UnknownName: there is none; the error lists the names and the nearest match.
    """
    return _known(link_presets, name)


def node_preset(name: str) -> Preset:
    """Return the node preset called ``name``.

    Raises:
        UnknownName: there is none; the error lists the names and the nearest match.
    """
    return _known(node_presets, name)


def _known(registry: Registry[Preset], name: object) -> Preset:
    if not isinstance(name, str):
        raise UnknownName(kind=registry.kind, name=repr(name)[:60], known=tuple(registry))
    return registry[name]
