"""The only clock of the run layer: moments in the future, lengths of time, limits of time, and the date.

A budget is a length, a deadline a moment. Nothing else in ``harness/run`` asks what time it is.
"""

from __future__ import annotations

import ctypes
import os
import threading
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


class TimeIsUpError(BaseException):
    """What was watched took too long. No Exception, so that a loop that swallows those does not stop it."""


class Watchdog:
    """Breaks off pure Python that takes too long, in the thread that asked for it.

    A thread beside it looks a few times a second, so watching costs next to nothing. What waits within C is
    broken off when that returns. A process that was forked begins anew.
    """

    _LOOK_S = 0.2
    _NEAR_S = 1.0  # so near the end the thread beside may be about to act

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._watched: dict[int, float] = {}  # moments, by thread
        self._pid = 0

    def watch(self, seconds: float) -> None:
        """Raise TimeIsUpError in this thread in `seconds`, unless `unwatch` is called before. Not nested."""
        if self._pid != os.getpid():
            self._pid, self._lock, self._watched = os.getpid(), threading.Lock(), {}
            threading.Thread(target=self._look, name="watchdog", daemon=True).start()
        self._watched[threading.get_ident()] = time.monotonic() + seconds

    def unwatch(self) -> None:
        """Watch no more, and take back an error that was sent and has not come yet."""
        me = threading.get_ident()
        while True:
            try:
                if self._watched.get(me, 0.0) - time.monotonic() > self._NEAR_S:
                    del self._watched[me]
                else:
                    with self._lock:
                        self._watched.pop(me, None)
                        _interrupt(me, None)
            except TimeIsUpError:
                continue  # it came at the last moment, and what was watched has ended
            return

    def _look(self) -> None:
        while True:
            time.sleep(self._LOOK_S)
            with self._lock:
                now_s = time.monotonic()
                for ident, moment_s in tuple(self._watched.items()):
                    if now_s >= moment_s:
                        _interrupt(ident, TimeIsUpError)


def _interrupt(ident: int, error: type[BaseException] | None) -> None:
    """Have a thread raise `error` soon; None takes back what it has not raised yet."""
    raised = ctypes.py_object(error) if error else None
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(ident), raised)


def now_utc() -> datetime:
    """The date and time in UTC."""
    return datetime.now(UTC)


def today_utc() -> date:
    """The date in UTC."""
    return now_utc().date()
