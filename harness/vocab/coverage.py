"""What a case can cover: an event, performed in a phase of recovery, on a context in some state."""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

COVER = "cover"
"""The kind of its keys in `Campaign.seen`: ``cover:Attach/quiesce/opened``."""
IDLE = "idle"
"""The phase of an AFU that nothing is wrong with, as far as anybody knows."""
UNDETECTED = "undetected"
"""The phase of an AFU after an error acted on it and before the kernel said so."""


class ContextState(Enum):
    """How far a context was when something was done with it, or that nothing was done with a context."""

    NONE = "no-context"
    OPENED = "opened"
    STARTED = "started"
    CLOSED = "closed"  # by a recovery: its descriptor is still there


class Covered(NamedTuple):
    """One thing that was covered. `phase` is the last that its AFU's recovery had reached."""

    event: str
    phase: str
    state: str
