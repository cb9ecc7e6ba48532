"""Makes a failing case smaller by removing and trying again, for as long as it fails with the same signature.

The rules:

1. A smaller case counts only if `shows` says that it still shows the bug; nothing is assumed.
2. Pieces of half the case are removed first, then ever smaller ones, down to single steps, from the end
   towards the beginning: later steps tend to depend on earlier ones. Then triggers become simpler.
3. Whenever anything was removed, single steps are tried once more, so the result is 1-minimal in its steps
   (no single step can go) unless the executions ran out: the result says so.
4. A case is never performed twice; its id is the key.

Pure: how a case is performed is the caller's affair.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from harness.vocab.case import NOW, Case, Step, When


@dataclass(frozen=True, slots=True)
class Minimised:
    """The smallest case found, how many executions it took, and whether no single step can be removed."""

    case: Case
    executions: int
    is_one_minimal: bool


class _SpentError(Exception):
    """The executions are used up."""


class _Trial:
    """Performs candidates within a budget and remembers the answers."""

    def __init__(self, shows: Callable[[Case], bool], budget: int) -> None:
        self._shows = shows
        self._left = budget
        self._known: dict[str, bool] = {}
        self.executions = 0

    def __call__(self, case: Case) -> bool:
        known = self._known.get(case.id)
        if known is None:
            if self._left <= 0:
                raise _SpentError
            self._left -= 1
            self.executions += 1
            known = self._known[case.id] = self._shows(case)
        return known


def minimise(case: Case, shows: Callable[[Case], bool], budget: int = 300) -> Minimised:
    """Return the smallest variant of `case` found for which `shows` is true.

    `shows` performs a candidate and says whether it has the signature; `case` itself is taken to show it.
    `budget` is the most executions. `shows` may raise: its exception ends the search and is passed on.
    """
    trial = _Trial(shows, budget)
    best = case
    is_one_minimal = False
    try:
        for better in _improvements(case, trial):
            best = better
        is_one_minimal = True
    except _SpentError:
        pass
    return Minimised(best, trial.executions, is_one_minimal)


def _improvements(case: Case, trial: _Trial) -> Iterator[Case]:
    """Ever smaller cases, each of which shows the bug, until nothing more can be taken away."""
    best = case
    size = max(1, len(case.steps) // 2)
    while True:
        before = best
        while size > 1:
            for better in _removals(best, size, trial):
                best = better
                yield best
            size //= 2
        for better in _removals(best, 1, trial):
            best = better
            yield best
        for better in _simpler_triggers(best, trial):
            best = better
            yield best
        if best == before:
            return
        size = 1


def _removals(case: Case, size: int, trial: _Trial) -> Iterator[Case]:
    """Try to remove each stretch of `size` steps, from the end."""
    end = len(case.steps)
    while end > 0:
        start = max(0, end - size)
        shorter = case.with_steps(case.steps[:start] + case.steps[end:])
        if shorter.steps and trial(shorter):
            case = shorter
            yield case
        end = start


def _simpler_triggers(case: Case, trial: _Trial) -> Iterator[Case]:
    """Try to do without each trigger, or with a simpler one."""
    for index, step in enumerate(case.steps):
        for when in _simpler(step.when):
            steps = (*case.steps[:index], Step(step.actor, step.event, when), *case.steps[index + 1 :])
            candidate = case.with_steps(steps)
            if trial(candidate):
                case = candidate
                yield case
                break


def _simpler(when: When) -> Iterator[When]:
    """Simpler triggers than `when`, the simplest first."""
    if when == NOW:
        return
    yield NOW
    if when.phase:
        if when.nth > 1:
            yield replace(when, nth=1, after_ms=0)
        if when.after_ms:
            yield replace(when, after_ms=0)
