"""Who goes next: the strategies by which a schedule decides, at each moment when several tasks could go on.

The rules (docs/agent-protocol.md says how a play line names a schedule):
1. A decision is asked for only when there is a choice. It is given the tasks that can go on, in the order of
   their becoming ready, and the task that ran last; it gives a place in that order.
2. A decision depends on the schedule and on what was decided before, on nothing else.
3. Choice 0 is the task that ran last, if it can go on, else the one that has been ready longest. The other
   choices are the others, in order. Each strategy may be recorded as choices, and played again from those.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from harness.sim.scheduler import Decide, Ready, Task

_MASK = (1 << 64) - 1
RECORD_MAX = 50_000
"""Most decisions of one case that are recorded: they must fit into one line of the protocol."""


class _Words:
    """Numbers that follow from a seed: splitmix64, the same on every machine."""

    def __init__(self, seed: int) -> None:
        self._state = seed & _MASK

    def word(self) -> int:
        """The next 64 bits."""
        self._state = state = self._state + 0x9E3779B97F4A7C15 & _MASK
        state = (state ^ state >> 30) * 0xBF58476D1CE4E5B9 & _MASK
        state = (state ^ state >> 27) * 0x94D049BB133111EB & _MASK
        return state ^ state >> 31


class RandomWalk(_Words):
    """Each task that can go on is as likely."""

    def __call__(self, ready: Ready, _last: Task | None) -> int:
        """See Decide. Written out, because nothing is done more often."""
        self._state = state = self._state + 0x9E3779B97F4A7C15 & _MASK
        state = (state ^ state >> 30) * 0xBF58476D1CE4E5B9 & _MASK
        state = (state ^ state >> 27) * 0x94D049BB133111EB & _MASK
        return (state ^ state >> 31) % len(ready)


class Priorities(_Words):
    """Each task has a drawn rank and the first goes on, until it falls behind all others at a change.

    The changes are at drawn ones of the first `within` decisions (PCT, Burckhardt et al. 2010).
    """

    def __init__(self, seed: int, changes: int, within: int) -> None:
        super().__init__(seed)
        self._changes = {self.word() % within for _ in range(changes)}
        self._index = -1
        self._lowest = 0
        self._ranks: dict[Task, int] = {}

    def __call__(self, ready: Ready, _last: Task | None) -> int:
        """See Decide."""
        self._index += 1
        ranks = self._ranks
        for task, _ in ready:
            if task not in ranks:
                ranks[task] = self.word() >> 1
        if self._index in self._changes:
            self._lowest -= 1
            ranks[ready[self._first(ready)][0]] = self._lowest
        return self._first(ready)

    def _first(self, ready: Ready) -> int:
        ranks = self._ranks
        return max(range(len(ready)), key=lambda place: ranks[ready[place][0]])


class Decisions:
    """Choices by the number of the decision; 0 where none is listed."""

    def __init__(self, choices: Mapping[int, int]) -> None:
        self._choices = choices
        self._index = -1

    def __call__(self, ready: Ready, last: Task | None) -> int:
        """See Decide. A choice that does not exist counts on from the first."""
        self._index += 1
        choice = self._choices.get(self._index, 0) % len(ready)
        own = _place_of(last, ready)
        if choice == 0:
            return max(own, 0)
        return choice - 1 if choice <= own else choice


class Recorded:
    """Decides as another one does, and remembers the choices and how many there were to choose from."""

    def __init__(self, decide: Decide) -> None:
        self._decide = decide
        self.decisions: list[tuple[int, int]] = []
        self.options: list[int] = []

    def __call__(self, ready: Ready, last: Task | None) -> int:
        """See Decide."""
        place = self._decide(ready, last)
        own = _place_of(last, ready)
        choice = 0 if place == own else place + 1 if place < own else place
        if len(self.options) < RECORD_MAX:
            if choice:
                self.decisions.append((len(self.options), choice))
            self.options.append(len(ready))
        return place


def _place_of(task: Task | None, ready: Ready) -> int:
    """Where `task` stands among `ready`; -1 when it does not. A task that goes on stands near the end."""
    for place in range(len(ready) - 1, -1, -1):
        if ready[place][0] is task:
            return place
    return -1


def _of_random(value: Mapping[str, Any]) -> Decide:
    return RandomWalk(int(value["seed"]))


def _of_priority(value: Mapping[str, Any]) -> Decide:
    return Priorities(int(value["seed"]), int(value["changes"]), max(1, int(value["within"])))


def _of_decisions(value: Mapping[str, Any]) -> Decide:
    return Decisions({int(index): int(choice) for index, choice in value["decisions"]})


_STRATEGIES: dict[str, Callable[[Mapping[str, Any]], Decide]] = {
    "random": _of_random,
    "priority": _of_priority,
    "decisions": _of_decisions,
}


def decider(schedule: object) -> Decide:
    """What decides by a play line's `schedule`. Raises ValueError, TypeError or KeyError for nonsense."""
    if not isinstance(schedule, Mapping):
        return RandomWalk(int(schedule))  # type: ignore[call-overload]
    strategy = str(schedule["strategy"])
    if strategy not in _STRATEGIES:
        raise ValueError(f"unknown strategy {strategy[:40]!r}; known: {', '.join(_STRATEGIES)}")
    decide = _STRATEGIES[strategy](schedule)
    return Recorded(decide) if schedule.get("record") else decide
