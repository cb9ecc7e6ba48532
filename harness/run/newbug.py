"""What a lane does about a bug that is new: its case is made smaller, and saved with its history.

The rules:

1. What a known issue excuses is not made smaller: nothing would be learnt.
2. One bug gets a share of the campaign's time, and all together another. Where that is too short for some
   performances, as on a slow host, the case is saved as it was found, and the campaign goes on.
3. The history beside a saved case is that of the same case: of the run that found it, or of one more.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from math import isinf
from typing import NamedTuple

from harness.hosts import urls
from harness.run.deadline import Deadline, Stopwatch
from harness.run.minimise import Minimised
from harness.run.orders import Counting, Orders, Stopping
from harness.run.runner import Performance, Runner
from harness.run.shrink import FIRST_TRIES, Shrinking, shrink
from harness.run.store import Entry, RunDirectory
from harness.vocab.case import Case
from harness.vocab.verdict import Finding
from harness.wire import casefile

MINIMISE_S = 15.0
"""Most seconds for making one case smaller,"""
MINIMISE_SHARE = 0.05
"""or so much of the whole budget, if that is more,"""
MINIMISE_SHARE_OF_ALL = 0.25
"""but no more when this much of it has been spent on all of them."""
_GRACE_S = 20.0  # how long bugs found near the end of the budget may still be minimised


class NewBug(NamedTuple):
    """The first finding of a signature, the performance that showed it, and where that is kept, if it is."""

    finding: Finding
    performance: Performance
    kept: str


@dataclass
class NewBugs:
    """What is done about each; `until` is the end of the lane's budget, which is `budget_s` long."""

    url: str
    orders: Orders
    tally: Counting
    directory: RunDirectory
    stop: Stopping
    until: Deadline
    budget_s: float
    spent_s: float = 0.0

    def settle(self, runner: Runner, bug: NewBug) -> None:
        """Make the case smaller, if it can be, and save it with the command that replays it."""
        signature, case = bug.finding.signature, bug.performance.case
        stopwatch = Stopwatch()
        found = self._minimised(runner, bug)
        self.spent_s += stopwatch.elapsed_s
        path = self.directory.save_bug(signature, casefile.dump(found.case, signature))
        if found.case.id != case.id:
            self._record(runner, signature, found.case)
        elif bug.kept:
            self.directory.save_history(signature, bug.kept)
        replay = (
            f"harness replay {shlex.quote(str(self.directory.path / path))} --host {shlex.quote(self.url)}"
        )
        self.tally.minimised(
            signature,
            case_path=path,
            steps=len(found.case.steps),
            minimised_from=len(case.steps),
            is_one_minimal=found.is_one_minimal,
            replay=replay,
        )

    def _minimised(self, runner: Runner, bug: NewBug) -> Minimised:
        signature, case = bug.finding.signature, bug.performance.case
        as_found = Minimised(case, 0, is_one_minimal=False)
        if self.orders.issues.match(signature, [self.url]):
            return as_found
        time_s = self._time_s
        if bug.performance.took_s * 2 * FIRST_TRIES > time_s:
            self.tally.effort("bugs whose case was left as it was found, for want of time")
            return as_found
        url, _, query = self.url.partition("?")
        shrinking = Shrinking(
            signature,
            self.orders.oracles,
            until=Deadline.after(time_s),
            is_stopped=self.stop.is_set,
            healthy=urls.opener(url) if query and url.startswith("sim:") else None,  # a mutant's twin
        )
        return shrink(runner, case, shrinking)

    @property
    def _time_s(self) -> float:
        """How long one case may be made smaller from now on."""
        share_s = 0.0
        if not isinf(self.budget_s):
            left_s = MINIMISE_SHARE_OF_ALL * self.budget_s - self.spent_s
            share_s = min(MINIMISE_SHARE * self.budget_s, left_s)
        return min(max(MINIMISE_S, share_s), self.until.left_s + _GRACE_S)

    def _record(self, runner: Runner, signature: str, case: Case) -> None:
        """Perform a case once more, to keep its history."""
        if runner.is_lost or self.stop.is_set():
            return
        entries: list[Entry] = []

        def record(number: int, case_text: str, header: bytes) -> Entry:
            entries.append(self.directory.entry(number, case_text, header))
            return entries[-1]

        runner.begin(case, self.tally.next_number(), record=record)
        runner.collect()
        entries[-1].keep_history(self.directory.history_path(signature))
