"""The self-check for lies: now and then a case is performed a second time, and must give the same history.

A host whose histories are not a matter of the case alone would make every replay, every minimised case and
every "not seen again" worth nothing. The second performance follows at once on the first.
"""

from __future__ import annotations

from collections import deque
from itertools import zip_longest
from typing import Final

from harness.run.runner import Performance
from harness.vocab.case import Case
from harness.vocab.history import Record
from harness.vocab.verdict import Cause, Finding, Verdict

KIND = "nondeterminism"
SAME: Final = Finding("judge", "the-same", "performed twice, and the same both times")
"""What is said of a second performance that was like the first: nothing is to be counted."""

_FIRST, _SECOND, _ONLY = "first", "second", "only"
_EXCERPT = 120


class Twice:
    """Chooses one case of `every`, and compares its two performances; 0 is none."""

    def __init__(self, every: int) -> None:
        self._every = every
        self._count = 0
        self._due: tuple[int, Case] | None = None
        self._under_way: deque[str] = deque()
        self._first: Performance | None = None

    def due(self) -> tuple[int, Case] | None:
        """Seed and case of what is to be begun now for the second time, if anything is."""
        return self._due

    def begun(self, seed: int, case: Case, is_deterministic: bool) -> bool:
        """Note that a case was begun; says whether it was for the second time."""
        if self._due:
            self._due = None
            self._under_way.append(_SECOND)
            return True
        self._count += 1
        is_chosen = bool(self._every) and is_deterministic and self._count % self._every == 0
        self._due = (seed, case) if is_chosen else None
        self._under_way.append(_FIRST if is_chosen else _ONLY)
        return False

    def concluded(self, performance: Performance) -> Finding | None:
        """What follows from a performance: SAME, a difference, or nothing. Asked in the order of `begun`."""
        role = self._under_way.popleft()
        first, self._first = self._first, performance if role == _FIRST else None
        if role != _SECOND or not first or first.trouble or performance.trouble:
            return None
        return SAME if first.digest == performance.digest else _difference(first, performance)


def _difference(first: Performance, second: Performance) -> Finding:
    """The first record in which they differ, as a finding."""
    pairs = zip_longest(first.history.records, second.history.records)
    for index, (one, other) in enumerate(pairs):
        if one != other:
            message = f"performed twice, record {index} was {_words(one)} and then {_words(other)}"
            last = len(second.history.records) - 1
            return _finding(message, (min(index, last),) if last >= 0 else ())
    return _finding("performed twice, the replies were not the same bytes, though their records are", ())


def _finding(message: str, records: tuple[int, ...]) -> Finding:
    return Finding("judge", KIND, message, records, Verdict.UNKNOWN, Cause.NONDETERMINISM)


def _words(record: Record | None) -> str:
    if record is None:
        return "nothing"
    text = f"{record.kind.value} {record.name} of {record.actor} at {record.time_us} µs: {dict(record.data)}"
    return text[:_EXCERPT]
