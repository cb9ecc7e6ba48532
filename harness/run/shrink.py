"""Minimises a case on a host, of whatever kind: performs candidates, survives what they do to it, and checks.

The rules:

1. On a deterministic host one performance decides. On any other the case is performed a few times first, and
   the rate at which it fails says how often each candidate is tried; a case that does not fail at all is
   given back as it is.
2. A candidate that takes the host down, or does not end in time, shows what was said before, if anything. A
   host that is lost is opened again; when that is in vain, or has happened too often, the best case so far is
   the result. A guest that dies is no lost host: the next candidate has another.
3. Where a healthy host of the same kind can be asked, the result must pass there: what fails there too shows
   something else. Then the search begins again, and every step of it must pass there. Then, and where no
   healthy host can be asked, long waits are kept: a case without them may only be too quick.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import ceil, log

from harness.events.await_ import Await
from harness.events.pause import Pause
from harness.hosts.host import Host
from harness.run.deadline import Deadline
from harness.run.judge import judge
from harness.run.minimise import BUDGET, HostDownError, Minimised, minimise
from harness.run.runner import Runner
from harness.run.schedules import explicit
from harness.vocab.case import Case, Step
from harness.vocab.errors import InfraError, UsageError
from harness.vocab.oracle import Oracle

HOST_DOWNS_MAX = 3
FIRST_TRIES = 5
"""How often a case is performed on a host that is not deterministic, to learn how often it fails."""
TRIES_MAX = 10
_LONG_MS = 1_000
_MISSED_PERCENT = 5  # how many of the good candidates may be given up by chance


@dataclass(frozen=True)
class Shrinking:
    """What is looked for, by which oracles, within what; and how a healthy host is opened, if one can be."""

    signature: str
    oracles: Sequence[Oracle]
    budget: int = BUDGET
    until: Deadline = Deadline.never()  # noqa: RUF009 - a moment that does not come is the same for all
    is_stopped: Callable[[], bool] = lambda: False
    healthy: Callable[[], Host] | None = None


@dataclass(frozen=True, slots=True)
class Shrunk(Minimised):
    """The smallest case; `refails` of `tries` first performances failed.

    `fails_on_healthy` says that a healthy host shows the signature too.
    """

    refails: int = 1
    tries: int = 1
    fails_on_healthy: bool = False


class _EnoughError(Exception):
    """No time is left, or no host."""


class _Performing:
    """Performs candidates on one host, and remembers the best."""

    def __init__(self, runner: Runner, shrinking: Shrinking, case: Case) -> None:
        self.best = case
        self.executions = 0
        self.host_downs = 0
        self.is_checked = False  # whether each candidate that shows the signature must pass on a healthy host
        self._runner = runner
        self._shrinking = shrinking
        name = shrinking.signature.partition("/")[0]
        self._oracles = [oracle for oracle in shrinking.oracles if oracle.name == name]

    def shows(self, candidate: Case) -> bool:
        """Whether the candidate shows the signature. Raises HostDownError or _EnoughError."""
        if self._shrinking.until.is_over or self._shrinking.is_stopped():
            raise _EnoughError
        self.executions += 1
        try:
            performance = self._runner.perform(candidate)
        except UsageError:  # the host must not, or cannot, perform what is left
            return False
        is_shown = self._shrinking.signature in judge(performance.history, self._oracles).signatures
        is_shown = is_shown and not (self.is_checked and _fails(self._shrinking, candidate))
        if is_shown:
            self.best = candidate
        if self._runner.is_lost:
            self._open_again()
        if performance.trouble and not is_shown:
            raise HostDownError(performance.trouble)
        return is_shown

    def _open_again(self) -> None:
        self.host_downs += 1
        if self.host_downs > HOST_DOWNS_MAX or self._shrinking.is_stopped():
            raise _EnoughError
        try:
            self._runner.reopen()
        except InfraError as error:
            raise _EnoughError from error

    def listed(self, case: Case) -> Case | None:
        """The case with its decisions written out."""
        return explicit(self._runner, case)


def shrink(runner: Runner, case: Case, shrinking: Shrinking) -> Shrunk:
    """Make `case` smaller on the runner's host for as long as it shows the signature.

    Never raises InfraError for what becomes of that host.
    """
    performing = _Performing(runner, shrinking, case)
    is_exact = "deterministic" in runner.topology.features
    refails, tries = (1, 1) if is_exact else _refails(performing, case)
    if not refails:
        return Shrunk(case, performing.executions, False, performing.host_downs, 0, tries)
    keeps = _nothing if shrinking.healthy else is_wait
    found = _search(performing, case, shrinking, _tries(refails, tries), is_exact, keeps)
    is_failing = bool(shrinking.healthy) and _fails(shrinking, found.case)
    if is_failing:
        performing.best, performing.is_checked = case, True
        left = max(0, shrinking.budget - found.executions)
        found = _search(performing, case, shrinking, 1, is_exact, is_wait, left)
        is_failing = _fails(shrinking, found.case)
    return Shrunk(
        found.case,
        performing.executions,
        found.is_one_minimal,
        performing.host_downs,
        refails,
        tries,
        is_failing,
    )


def _nothing(_step: Step) -> bool:
    return False


def is_wait(step: Step) -> bool:
    """Whether the step gives a recovery the time that it takes, as those that end a case do."""
    event = step.event
    if isinstance(event, Await):
        return event.interrupt and event.timeout_ms >= _LONG_MS
    return isinstance(event, Pause) and event.ms >= _LONG_MS


def _refails(performing: _Performing, case: Case) -> tuple[int, int]:
    """How often the case fails, of how many performances."""
    refails = tries = 0
    while tries < FIRST_TRIES:
        tries += 1
        try:
            refails += performing.shows(case)
        except HostDownError:
            continue
        except _EnoughError:
            break
    return refails, tries


def _tries(refails: int, tries: int) -> int:
    """How often a candidate is performed before it is given up, when the case fails that often."""
    if refails >= tries:
        return 1
    needed = log(_MISSED_PERCENT / 100) / log(1 - refails / tries)
    return min(TRIES_MAX, ceil(needed))


def _search(  # noqa: PLR0917 - one search, with all that differs between two
    performing: _Performing,
    case: Case,
    shrinking: Shrinking,
    tries: int,
    is_exact: bool,
    keeps: Callable[[Step], bool],
    budget: int | None = None,
) -> Minimised:
    listed = performing.listed if is_exact else None
    budget = shrinking.budget if budget is None else budget
    try:
        return minimise(case, performing.shows, budget, tries=tries, listed=listed, keeps=keeps)
    except _EnoughError:
        return Minimised(performing.best, performing.executions, False, performing.host_downs)


def _fails(shrinking: Shrinking, case: Case) -> bool:
    """Whether a healthy host shows the signature too."""
    if shrinking.healthy is None:
        return False
    runner = Runner(shrinking.healthy)
    try:
        performance = runner.perform(case)
    finally:
        runner.close()
    return shrinking.signature in judge(performance.history, shrinking.oracles).signatures
