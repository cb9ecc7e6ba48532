"""A campaign: lanes side by side, one for each host, under one budget; stopped in order, always summed up.

The rules:

1. Each lane has its share of the budget from the beginning; a lost host takes nothing from the others.
2. SIGINT and SIGTERM stop the lanes after the cases under way; a lane that does not stop is abandoned.
3. ``campaign.json`` is there from the start and is renewed as the campaign goes on, so that a campaign that
   was killed can be reported and gated like any other.
"""

from __future__ import annotations

import platform
import signal
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache, partial
from importlib import metadata
from types import FrameType
from typing import Protocol

from harness.hosts.host import Host
from harness.run.deadline import Deadline, Stopwatch, now_utc
from harness.run.lane import Lane
from harness.run.orders import Orders, Stopping
from harness.run.store import CAMPAIGN, RunDirectory
from harness.run.tally import KeepRules, Progress, Tally
from harness.run.workers import MakeLane, workers
from harness.vocab.campaign import Campaign, Ended
from harness.vocab.run import Run
from harness.vocab.verdict import Cause, Verdict
from harness.wire.campaignfile import campaign_to_json

STOP_GRACE_S = 3.0
"""How long the cases under way may take to end once the campaign was stopped."""
_TICK_S = 0.2
_RENEW_S = 2.0


class Budget(Protocol):
    """Seconds of wall time, or a number of cases; the other one is None."""

    @property
    def seconds(self) -> float | None:
        """How long cases are begun."""
        ...

    @property
    def cases(self) -> int | None:
        """How many cases are performed."""
        ...


@dataclass(frozen=True)
class Setup:
    """What a campaign is made of. `openers` are the hosts by URL; a URL may come several times."""

    plan: str
    title: str
    budget: Budget
    openers: Sequence[tuple[str, Callable[[], Host]]]
    orders: Orders
    keep: KeepRules = field(default_factory=KeepRules)


def perform(
    setup: Setup,
    directory: RunDirectory,
    watch: Callable[[Progress, float], None] | None = None,
) -> Campaign:
    """Perform a whole campaign and return its summary, which is also in the directory.

    `watch` is told the numbers and the seconds gone by, several times a second. Lab trouble never raises: it
    is in the summary.
    """
    return _Performance(setup, directory, watch).run()


class _Performance:
    """One campaign under way."""

    def __init__(
        self, setup: Setup, directory: RunDirectory, watch: Callable[[Progress, float], None] | None
    ) -> None:
        self._setup = setup
        self._directory = directory
        self._watch = watch
        self._started = now_utc()
        self._stopwatch = Stopwatch()
        urls = [url for url, _ in setup.openers]
        self._tally = Tally(urls, setup.keep)
        self._workers, self._stop = workers(list(self._lane_makers(urls)), self._tally)

    def _lane_makers(self, urls: Sequence[str]) -> Iterator[MakeLane]:
        budget = self._setup.budget
        until = Deadline.after(budget.seconds) if budget.seconds else Deadline.never()
        same: Counter[str] = Counter()
        for index, (url, opener) in enumerate(self._setup.openers):
            yield partial(
                Lane,
                url,
                opener,
                self._setup.orders,
                directory=self._directory,
                ordinal=same[url],
                until=until,
                cases_max=share(budget.cases, len(urls), index),
            )
            same[url] += 1

    def run(self) -> Campaign:
        self._write(Ended.INTERRUPTED)
        with _stopping_on_signals(self._stop):
            for worker in self._workers:
                worker.start()
            self._oversee()
        for (url, _), worker in zip(self._setup.openers, self._workers, strict=True):
            if worker.error:
                raise worker.error
            if worker.is_dead:
                self._count_lost(url, worker.trouble)
        return self._write(self._ended())

    def _count_lost(self, url: str, trouble: str) -> None:
        """A lane that was killed leaves no count of what it had under way: it is one run lost to the lab."""
        self._tally.trouble(f"{url}: {trouble}; what it had under way is in inflight/")
        self._tally.count(Run(0, "", url, 0, Verdict.UNKNOWN, Cause.INFRA), ())

    def _oversee(self) -> None:
        """Wait for the lanes; renew the summary, tell the watcher, abandon lanes that do not stop."""
        renew = Deadline.after(_RENEW_S)
        grace: Deadline | None = None
        while alive := [worker for worker in self._workers if worker.is_alive()]:
            alive[0].join(_TICK_S)
            if any(worker.error for worker in self._workers):
                self._stop.set()
            if self._watch:
                self._watch(self._tally.progress(), self._stopwatch.elapsed_s)
            if renew.is_over:
                self._write(Ended.INTERRUPTED)
                renew = Deadline.after(_RENEW_S)
            if self._stop.is_set():
                grace = grace or Deadline.after(STOP_GRACE_S)
                if grace.is_over:
                    for worker in alive:
                        worker.abandon()

    def _ended(self) -> Ended:
        if self._stop.is_set():
            return Ended.INTERRUPTED
        if all(worker.trouble for worker in self._workers):
            return Ended.INFRA
        is_spent = all(worker.is_spent or worker.trouble for worker in self._workers)
        return Ended.BUDGET if is_spent else Ended.EXHAUSTED

    def _write(self, ended: Ended) -> Campaign:
        facts = self._tally.facts()
        campaign = Campaign(
            plan=self._setup.plan,
            title=self._setup.title,
            seed=self._setup.orders.seed,
            started=self._started.isoformat(timespec="seconds"),
            duration_s=round(self._stopwatch.elapsed_s, 3),
            ended=ended,
            budget=str(self._setup.budget),
            hosts=facts.hosts,
            counts=facts.counts,
            by_host=facts.by_host,
            seen=facts.seen,
            bugs=facts.bugs,
            kept=facts.kept,
            oracles=facts.oracles,
            trouble=facts.trouble,
            search=facts.search,
            versions=versions(),
        )
        self._directory.write(CAMPAIGN, campaign_to_json(campaign))
        return campaign


def share(cases: int | None, lanes: int, index: int) -> int | None:
    """How many of `cases` the lane at `index` of `lanes` performs; None without a limit."""
    return None if cases is None else cases // lanes + (index < cases % lanes)


@cache
def versions() -> dict[str, str]:
    """The versions of what decides a campaign on this side."""
    return {"harness": metadata.version("capi-recovery-harness"), "python": platform.python_version()}


@contextmanager
def _stopping_on_signals(stop: Stopping) -> Iterator[None]:
    """Let SIGINT and SIGTERM set `stop`. A second signal acts as it did before."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def on_signal(number: int, _frame: FrameType | None) -> None:
        stop.set()
        signal.signal(number, before[signal.Signals(number)])

    for number in before:
        signal.signal(number, on_signal)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
