"""What a key store says of its keys; nothing of it is secret."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreStatus:
    """Return what two nodes have in store: the fields of ETSI GS QKD 014, 6.1, sizes in bits."""

    source_kme_id: str
    target_kme_id: str
    master_sae_id: str
    slave_sae_id: str
    key_size: int
    stored_key_count: int
    max_key_count: int
    max_key_per_request: int
    max_key_size: int
    min_key_size: int
    max_sae_id_count: int

    def to_dict(self) -> dict[str, str | int]:
        """Return the status under the standard's own names, ready for JSON."""
        return {
            name.replace("kme_id", "KME_ID").replace("sae_id", "SAE_ID"): getattr(self, name)
            for name in self.__dataclass_fields__
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyFacts:
    """Return what is known of a key besides its bytes.

    Attributes:
        key_id: its name.
        pair: the two nodes, in order of their ids.
        bits: its length.
        origin: where it came from, in words.
        epsilon: probability that it is not what it should be; sum over the deposits it is made of.
        states: of its two halves, in the order of ``pair``: "reserved", "consumed" or "destroyed".
    """

    key_id: str
    pair: tuple[str, str]
    bits: int
    origin: str
    epsilon: float
    states: tuple[str, str]
