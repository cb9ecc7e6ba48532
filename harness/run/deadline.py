"""The only clock of the run layer: moments in the future, lengths of time gone by, and the date.

A budget is a length, a deadline a moment. Nothing else in ``harness/run`` asks what time it is.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, date, datetime
from math import inf
from typing import Self


@dataclass(frozen=True, slots=True)
class Deadline:
    """A moment of the monotonic clock. `Deadline.never()` does not come."""

    moment_s: float

    @classmethod
    def after(cls, seconds: float) -> Self:
        """The moment `seconds` from now."""
        return cls(time.monotonic() + seconds)

    @classmethod
    def never(cls) -> Self:
        """A moment that does not come."""
        return cls(inf)

    @property
    def left_s(self) -> float:
        """Seconds until then; 0 when it is over."""
        return max(0.0, self.moment_s - time.monotonic())

    @property
    def is_over(self) -> bool:
        """Whether the moment has come."""
        return time.monotonic() >= self.moment_s


class Stopwatch:
    """Counts from its making."""

    def __init__(self) -> None:
        self._began_s = time.monotonic()

    @property
    def elapsed_s(self) -> float:
        """Seconds since the stopwatch was made."""
        return time.monotonic() - self._began_s


def now_utc() -> datetime:
    """The date and time in UTC."""
    return datetime.now(UTC)


def today_utc() -> date:
    """The date in UTC."""
    return now_utc().date()
