"""What a loop does when a frame or a correction is not there when it should be."""

from __future__ import annotations

from enum import StrEnum

from hyperfabric_q.errors import UnknownName


class MissPolicy(StrEnum):
    """What happens on a miss.

    WAIT stalls the logical clock: idle rounds are inserted until the correction is there. SHRINK_BUFFER commits a
    window with the rounds of its buffer that have come in by the deadline. SPECULATE goes on with the frame that the
    rounds so far suggest, and pays for the repair where that was wrong. DROP_FRAME gives up a round that is late: of
    the detectors around it only their sums are known. SHED takes the background off the links until frames are in time
    again, and waits meanwhile.
    """

    WAIT = "wait"
    SHRINK_BUFFER = "shrink_buffer"
    SPECULATE = "speculate"
    DROP_FRAME = "drop_frame"
    SHED = "shed"

    @property
    def watches_frames(self) -> bool:
        """Whether something happens at the deadline of a frame that is not in."""
        return self in (MissPolicy.DROP_FRAME, MissPolicy.SHED)


def miss_policy(name: str | MissPolicy) -> MissPolicy:
    """Return the policy called ``name``.

    Raises:
        UnknownName: there is none.
    """
    try:
        return MissPolicy(name)
    except ValueError:
        raise UnknownName(kind="miss policy", name=str(name), known=tuple(MissPolicy)) from None
