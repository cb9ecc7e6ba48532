"""All interleavings of one case that differ little from the plain one, one after the other.

The rules:
1. The plain one runs each task until it must wait. Others deviate from it in a few decisions: at most `bound`
   (delay-bounded scheduling, Emmi et al. 2011). Most races need one or two.
2. Fewer deviations come first, and earlier ones before later ones. A deviation is only tried where an
   interleaving that was performed had a choice, and after its own last deviation: so none comes twice.
3. `most` is the end, however many are left.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from harness.vocab.schedule import CHOICE_MAX, Schedule, Strategy

Decisions = tuple[tuple[int, int], ...]


class Exploration:
    """Gives schedules, and is told of each how many tasks every decision was among."""

    def __init__(self, bound: int = 2, most: int = 2_000) -> None:
        self._bound = bound
        self._left = most
        self._waiting: deque[Decisions] = deque([()])
        self._under_way = 0

    @property
    def is_over(self) -> bool:
        """Whether there is nothing left, and nothing under way that may lead further."""
        return self._left <= 0 or not (self._waiting or self._under_way)

    def next(self) -> Schedule | None:
        """The next schedule; None when there is none now."""
        if self._left <= 0 or not self._waiting:
            return None
        self._left -= 1
        self._under_way += 1
        return Schedule(Strategy.DECISIONS, decisions=self._waiting.popleft())

    def learn(self, schedule: Schedule, options: Sequence[int]) -> None:
        """The case was performed by `schedule`, and its decisions were among `options` tasks.

        None when it was not performed, or nobody says.
        """
        self._under_way -= 1
        done = schedule.decisions
        if len(done) >= self._bound:
            return
        first = done[-1][0] + 1 if done else 0
        for index in range(first, len(options)):
            if len(self._waiting) > self._left:
                return
            self._waiting.extend(
                (*done, (index, choice)) for choice in range(1, min(options[index], CHOICE_MAX + 1))
            )
