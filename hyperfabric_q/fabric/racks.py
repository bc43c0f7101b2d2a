"""Which rack a node stands in, from the text of its ``rack_position``.

``"rack-03-slot-12"`` is understood, and so is any text of the form ``RACK_POSITION``: the word *rack*, a name, the word
*slot* and another name, joined by '-', '_', ' ' or nothing. Rack names are compared as written, without case. Racks of
one name at two ``physical_location`` are two racks.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from hyperfabric_q.fabric.node import NodeSignature

RACK_POSITION: Final = re.compile(
    r"rack[-_ ]?(?P<rack>[a-z0-9][a-z0-9._-]*?)[-_ ]?slot[-_ ]?(?P<slot>[a-z0-9][a-z0-9._-]*)"
)


class Rack(NamedTuple):
    """A rack: where it stands, empty when not stated, and its name there."""

    location: str
    name: str

    @property
    def label(self) -> str:
        """The name for people and channels; no node can have that id."""
        return f"({self.location}/rack-{self.name})" if self.location else f"(rack-{self.name})"


def rack_of(node: NodeSignature) -> Rack | None:
    """Return the rack that ``node`` stands in; None when it states none, or in words we cannot read."""
    if node.rack_position is None:
        return None
    match = RACK_POSITION.fullmatch(node.rack_position.strip().casefold())
    if match is None:
        return None
    return Rack((node.physical_location or "").strip(), match["rack"])
