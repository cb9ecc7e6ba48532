"""Makes a failing case smaller by removing and trying again, for as long as it fails with the same signature.

The rules:

1. A smaller case counts only if `shows` says that it still shows the bug; nothing is assumed. A bug that does
   not show every time gets several tries with each candidate.
2. The interleaving comes first: a case that shows the bug with each task running until it must wait is easier
   to make smaller. Then what goes together is removed: how the case ends, actors, contexts. Then stretches
   of steps, from the end and from a quarter of the case down to single steps; then triggers, waits and
   decisions. An error that waits for an access may become one that acts at once.
3. Whenever anything was removed, single steps are tried once more, so the result is 1-minimal in its steps
   (no single step can go) unless the executions ran out: the result says so.
4. A candidate is never tried twice; its id is the key. One of which nothing is known, because it took the
   host down, is counted.

Pure: how a case is performed is the caller's affair, and nothing here knows what kind of host it is.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from harness.run.exchange import bold_exchanges, exchanges, fewest, plainer
from harness.run.smaller import (
    calmer,
    fewer_decisions,
    groups,
    instead_of_waits,
    other_schedules,
    settled,
    simpler_trigger,
    without,
    without_triggers,
)
from harness.vocab.case import Case, Step
from harness.vocab.schedule import Strategy

BUDGET = 300
"""Most executions for one case."""
_LONG = 7
"""A case with more steps than this may have stopped at a local minimum: it is worth another attempt."""
_SHORT = 2
"""There is nothing to exchange in a case with so few steps."""
_OTHER_SCHEDULES = 4
_DECISIONS_TRIES = 24


class HostDownError(Exception):
    """A candidate took the host down, or did not end in time, and showed nothing. There is a host again."""


@dataclass(frozen=True, slots=True)
class Minimised:
    """The smallest case found.

    `executions` is how often a case was performed for it, `host_downs` how many of these took the host down,
    and `is_one_minimal` whether no single step can be removed.
    """

    case: Case
    executions: int
    is_one_minimal: bool
    host_downs: int = 0


class _SpentError(Exception):
    """The executions are used up."""


def minimise(
    case: Case,
    shows: Callable[[Case], bool],
    budget: int = BUDGET,
    *,
    tries: int = 1,
    listed: Callable[[Case], Case | None] | None = None,
    keeps: Callable[[Step], bool] = lambda _: False,
) -> Minimised:
    """Return the smallest variant of `case` found for which `shows` is true.

    `shows` performs a candidate and says whether it has the signature; `case` itself is taken to show it.
    It may raise HostDownError; any other exception ends the search and is passed on. `budget` is the most
    executions; a candidate that does not show the bug is performed `tries` times before it is given up.
    `listed` performs a case on a deterministic host and writes its decisions out; without it the host is
    taken to be any other, and schedules are left alone. Steps that `keeps` is true for are not removed.
    """
    return _Search(case, shows, budget, tries, listed, keeps).run()


class _Search:
    """One search: the best case so far, and what is left of the budget."""

    def __init__(  # noqa: PLR0917 - what `minimise` was given
        self,
        case: Case,
        shows: Callable[[Case], bool],
        budget: int,
        tries: int,
        listed: Callable[[Case], Case | None] | None,
        keeps: Callable[[Step], bool],
    ) -> None:
        self._best = case
        self._shows = shows
        self._left = budget
        self._tries = tries
        self._listed = listed
        self._keeps = keeps
        self._known: dict[str, bool] = {case.id: True}
        self._executions = 0
        self._host_downs = 0
        self._is_one_minimal = False
        self._schedules = 0  # how many other interleavings each candidate is tried with

    def run(self) -> Minimised:
        try:
            self._take_first(calmer(self._best, self._listed is not None))
            self._remove_groups()
            if self._take_first(plainer(self._best)) | self._take_first(fewest(self._best)):
                self._remove_groups()
            self._remove_stretches()
            self._polish()
            self._exchange()
            if len(self._best.steps) > _LONG:
                self._start_over()
            self._simplify_schedule()
        except _SpentError:
            pass
        return Minimised(self._best, self._executions, self._is_one_minimal, self._host_downs)

    # Trying ----------------------------------------------------------------------------------------------

    def _try(self, candidate: Case) -> bool:
        """Whether `candidate` shows the bug."""
        known = self._known.get(candidate.id)
        if known is None:
            known = self._known[candidate.id] = any(self._perform(candidate) for _ in range(self._tries))
        return known

    def _perform(self, candidate: Case) -> bool:
        if self._left <= 0:
            raise _SpentError
        self._left -= 1
        self._executions += 1
        try:
            return self._shows(candidate)
        except HostDownError:
            self._host_downs += 1
            return False

    def _take(self, candidate: Case) -> bool:
        """Make `candidate` the best one if it shows the bug, with one of the interleavings to be tried."""
        if not candidate.steps:
            return False
        for variant in (candidate, *other_schedules(candidate, self._schedules)):
            if self._try(variant):
                if variant.id != self._best.id:
                    self._best = variant
                    self._is_one_minimal = False
                return True
        return False

    def _take_first(self, candidates: Iterable[Case]) -> bool:
        return any(self._take(candidate) for candidate in candidates)

    def _remove(self, indexes: frozenset[int]) -> bool:
        """Try to do without the steps at `indexes`."""
        steps = self._best.steps
        removed = frozenset(i for i in indexes if i < len(steps) and not self._keeps(steps[i]))
        return bool(removed) and self._take(without(self._best, removed))

    # Removing --------------------------------------------------------------------------------------------

    def _remove_groups(self) -> None:
        """What goes together goes together, one group after the other."""
        tried: set[frozenset[Step]] = set()
        while True:
            for group in groups(self._best):
                key = frozenset(self._best.steps[i] for i in group)
                if key not in tried:
                    tried.add(key)
                    if self._remove(group):
                        break  # the indexes of the other groups have changed
            else:
                return

    def _remove_stretches(self) -> None:
        size = len(self._best.steps) // 4
        while size > 1:
            self._remove_each(size)
            size //= 2

    def _remove_each(self, size: int) -> bool:
        """Try to remove each stretch of `size` steps, from the end."""
        is_smaller = False
        end = len(self._best.steps)
        while end > 0:
            start = max(0, end - size)
            is_smaller |= self._remove(frozenset(range(start, end)))
            end = start
        return is_smaller

    def _polish(self) -> None:
        """Single steps, waits and triggers, until nothing more can be taken away."""
        while True:
            is_smaller = self._remove_each(1)
            self._is_one_minimal = True
            is_smaller |= self._take_first(self._keeping(instead_of_waits(self._best)))
            is_smaller |= self._simplify_triggers()
            if not is_smaller and self._is_one_minimal:
                return

    def _keeping(self, candidates: Iterable[Case]) -> Iterator[Case]:
        """Those of `candidates` that have all steps which are not to be removed."""
        kept = Counter(step for step in self._best.steps if self._keeps(step))
        return (case for case in candidates if kept <= Counter(case.steps))

    def _exchange(self) -> None:
        """One step for two, for as long as that makes the case shorter."""
        while len(self._best.steps) > _SHORT:
            before = self._best, self._is_one_minimal
            if not self._take_first(self._keeping(exchanges(self._best))):
                self._best, self._is_one_minimal = before
                return
            self._polish()

    def _simplify_triggers(self) -> bool:
        if self._take_first(without_triggers(self._best)):
            return not self._is_one_minimal
        for index in range(len(self._best.steps)):
            self._take_first(simpler_trigger(self._best, index))
        return not self._is_one_minimal

    def _start_over(self) -> None:
        """A long case may need steps for their time only: let it wait, or interleave otherwise."""
        if self._take_first(plainer(self._best)):
            self._polish()
        if self._take_first(self._keeping(bold_exchanges(self._best))):
            self._polish()
            self._exchange()
        before = self._best, self._is_one_minimal
        if self._take_first(settled(self._best)):
            self._remove_each(2)
            self._polish()
            if len(self._best.steps) >= len(before[0].steps):
                self._best, self._is_one_minimal = before
        if self._listed is not None and len(self._best.steps) > _LONG:
            self._schedules = _OTHER_SCHEDULES
            self._remove_groups()
            self._remove_each(2)
            self._polish()
            self._schedules = 0

    def _simplify_schedule(self) -> None:
        """Few decisions instead of chance, where the host tells of them."""
        if self._listed is None or self._best.schedule.strategy is Strategy.DECISIONS:
            return
        if self._left <= _DECISIONS_TRIES:
            return
        explicit = self._listed(self._best)
        self._executions += 1
        self._left -= 1
        is_one_minimal = self._is_one_minimal
        if explicit is not None and self._take(explicit):
            for _ in range(_DECISIONS_TRIES):
                if not self._take_first(fewer_decisions(self._best)):
                    break
        self._is_one_minimal = is_one_minimal
