"""How Bell pairs are born: schemes of heralded and of deterministic generation, from physical parameters to a link.

A scheme is a frozen value. ``attempt()`` says how often one try succeeds, how long it takes, how old the pair is when
that is known, and which state it is in; ``link_fields()`` is the same as fields of a fabric's ``Link``. The formulas
are exact for the model each scheme states; ``docs/generation.md`` derives them.
"""

from hyperfabric_q.entanglement.generation.deterministic import Deterministic
from hyperfabric_q.entanglement.generation.double_click import DoubleClick
from hyperfabric_q.entanglement.generation.interference import Clicks, one_click
from hyperfabric_q.entanglement.generation.midpoint_source import MidpointSource
from hyperfabric_q.entanglement.generation.photonic import Photonic
from hyperfabric_q.entanglement.generation.scheme import Attempt, Scheme, generation_scheme, generation_schemes
from hyperfabric_q.entanglement.generation.single_click import Heralded, SingleClick
from hyperfabric_q.entanglement.generation.transducer import Transducer

__all__ = [
    "Attempt",
    "Clicks",
    "Deterministic",
    "DoubleClick",
    "Heralded",
    "MidpointSource",
    "Photonic",
    "Scheme",
    "SingleClick",
    "Transducer",
    "generation_scheme",
    "generation_schemes",
    "one_click",
]
