"""What a chain of entanglement is made of: elementary links, the stations between them, and the path they form."""

from __future__ import annotations

from dataclasses import dataclass, field

from hyperfabric_q.entanglement.memory import Memory
from hyperfabric_q.errors import InvalidValue
from hyperfabric_q.units import PS_PER_S


@dataclass(frozen=True, slots=True, kw_only=True)
class Elementary:
    """Return a link that makes Bell pairs between the memories of two nodes, attempt by attempt.

    An attempt takes ``attempt_ps`` and succeeds with probability ``success``, independently of every other. The two
    memories hold their halves from ``herald_ps`` before an attempt's outcome is known, and so decay meanwhile.

    Args:
        a: node id of one end.
        b: node id of the other end.
        attempt_ps: duration of an attempt, which is also the distance of two attempts.
        success: probability that an attempt heralds a pair, all multiplexed channels together.
        herald_ps: age of a pair when it is heralded.
        weights: Bell-diagonal weights (pI, pX, pY, pZ) at emission.
        via: the photonic switch whose Bell measurement joins both arms; None for a link of its own.
        shared: whether attempts take the line of classical bytes from ``a`` to ``b``, instead of one of their own.
        reconfiguration_ps: how long the switch needs to turn to another pair of nodes.

    Raises:
        InvalidValue: a figure is out of range.
    """

    a: str
    b: str
    attempt_ps: int
    success: float
    herald_ps: int
    weights: tuple[float, float, float, float]
    via: str | None = None
    shared: bool = False
    reconfiguration_ps: int = 0

    def __post_init__(self) -> None:
        if self.attempt_ps < 1:
            raise InvalidValue(field="attempt_ps", value=self.attempt_ps, rule="an attempt takes at least 1 ps")
        if not 0 < self.success <= 1:
            raise InvalidValue(field="success", value=self.success, rule="a success probability lies in (0, 1]")
        for name in ("herald_ps", "reconfiguration_ps"):
            if getattr(self, name) < 0:
                raise InvalidValue(field=name, value=getattr(self, name), rule="a delay is not negative")

    @property
    def rate_hz(self) -> float:
        """Heralded pairs per second while attempts follow one another."""
        return self.success / self.attempt_ps * PS_PER_S

    @property
    def tail_ps(self) -> int:
        """From the end of an attempt to its herald: attempts shorter than light's way follow without waiting."""
        return max(0, self.herald_ps - self.attempt_ps)

    @property
    def ends(self) -> tuple[str, str]:
        """Both node ids, as given."""
        return self.a, self.b


@dataclass(frozen=True, slots=True, kw_only=True)
class Station:
    """Return what one node does for entanglement.

    Args:
        node_id: the node.
        memory: how its communication qubits decay.
        depolarising: parameter of the two-qubit depolarising channel of its gates (Aer's meaning).
        readout_error: probability that a measured bit is wrong.
        swap_ps: duration of a Bell measurement: a two-qubit gate and a measurement.
        slots: communication qubits; None = no limit.
    """

    node_id: str
    memory: Memory = field(default_factory=Memory)
    depolarising: float = 0.0
    readout_error: float = 0.0
    swap_ps: int = 0
    slots: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Path:
    """Return a chain of stations and the links between them, ``links[i]`` from ``stations[i]`` to ``stations[i + 1]``.

    Args:
        stations: at least two.
        links: one fewer.
        delays_ps: light's way along each link, which the outcomes of Bell measurements take as well.

    Raises:
        InvalidValue: the pieces do not fit together.
    """

    stations: tuple[Station, ...]
    links: tuple[Elementary, ...]
    delays_ps: tuple[int, ...]
    _hash: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        # Paths are the keys of caches that are asked for every pair.
        object.__setattr__(self, "_hash", hash((self.stations, self.links, self.delays_ps)))
        if len(self.stations) != len(self.links) + 1 or not self.links or len(self.delays_ps) != len(self.links):
            raise InvalidValue(
                field="stations",
                value=len(self.stations),
                rule=f"a path of {len(self.links)} links has one station more, and one delay per link",
            )
        for link, left, right in zip(self.links, self.stations, self.stations[1:], strict=False):
            if {left.node_id, right.node_id} != set(link.ends):
                raise InvalidValue(
                    field="links",
                    value=link.ends,
                    rule=f"it should join {left.node_id!r} and {right.node_id!r}",
                )

    def __hash__(self) -> int:
        return self._hash

    @property
    def ends(self) -> tuple[str, str]:
        """The node ids of both ends."""
        return self.stations[0].node_id, self.stations[-1].node_id

    @property
    def hops(self) -> int:
        """How many elementary links it has."""
        return len(self.links)
