"""One host's part of a campaign: performs saved cases, then drawn ones, judges them, and minimises new bugs.

A lane runs beside others and shares nothing with them but the Tally and the run directory.
"""

from __future__ import annotations

import shlex
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Protocol

from harness.hosts import urls
from harness.hosts.host import Host
from harness.run.deadline import Deadline
from harness.run.facts import identity, run_facts, summary, verdict_facts
from harness.run.judge import judge
from harness.run.minimise import Minimised
from harness.run.runner import Performance, Runner
from harness.run.shrink import Shrinking, shrink
from harness.run.store import Entry, RunDirectory
from harness.vocab.campaign import HostIdentity
from harness.vocab.case import Case
from harness.vocab.errors import InfraError, UsageError
from harness.vocab.oracle import Oracle
from harness.vocab.run import Run
from harness.vocab.topology import Topology
from harness.vocab.verdict import Finding
from harness.wire import casefile

REOPENS_MAX = 3
"""How often in a row a lost host is opened anew before the lane gives up."""
MINIMISE_S = 15.0
"""Most seconds for making one case smaller."""

_RECENT_MAX = 4096  # drawn cases that are remembered, so as not to perform one again soon
_REPEATS_MAX = 1000  # so many drawn cases in a row that were just performed: there is nothing new to draw
_REFUSED_MAX = 1000  # so many cases in a row that the host cannot or must not perform: there is no use
_GRACE_S = 20.0  # how long bugs found near the end of the budget may still be minimised


@dataclass(frozen=True)
class Orders:
    """What all lanes are told. `draw` makes a case of a seed; `oracles` judge."""

    seed: int
    draw: Callable[[int, Topology], Case]
    oracles: tuple[Oracle, ...]
    saved: tuple[Case, ...] = ()


class Counting(Protocol):
    """Whom a lane counts with: a Tally, here or in another process."""

    def next_number(self) -> int:
        """The number of a run that is about to begin."""
        ...

    def identify(self, identity: HostIdentity, /) -> None:
        """A host said who it is."""
        ...

    def trouble(self, sentence: str, /) -> None:
        """Something went wrong in the lab."""
        ...

    def wants(self, run: Run, /) -> bool:
        """Whether `run` is to be kept with its history."""
        ...

    def count(self, run: Run, oracles: Sequence[str], /) -> list[Finding]:
        """Count a run that has ended; returns the first finding of each signature never seen before."""
        ...

    def minimised(self, signature: str, **facts: str | int | bool) -> None:
        """Fill in what became known of a bug."""
        ...


class Stopping(Protocol):
    """What tells lanes to stop: an Event of threads or of processes."""

    def is_set(self) -> bool:
        """Whether to stop."""
        ...

    def set(self) -> None:
        """Stop."""
        ...


class Lane:
    """One host of a campaign.

    After `run`, `trouble` says why the host was given up, if it was, and `is_spent` whether the budget was.
    """

    def __init__(
        self,
        url: str,
        opener: Callable[[], Host],
        orders: Orders,
        tally: Counting,
        directory: RunDirectory,
        *,
        ordinal: int = 0,
        until: Deadline,
        cases_max: int | None,
        stop: Stopping,
    ) -> None:
        """`ordinal` tells lanes with the same URL apart; `cases_max` and `until` are this lane's budget."""
        self.url = url
        self.trouble = ""
        self.is_spent = False
        self._opener = opener
        self._orders = orders
        self._tally = tally
        self._directory = directory
        self._ordinal = ordinal
        self._until = until
        self._cases_left = cases_max
        self._stop = stop
        self._reopens_left = REOPENS_MAX
        self._refused = 0  # cases in a row that the host cannot or must not perform
        self._entries: deque[Entry] = deque()
        self._new: deque[tuple[Finding, Case]] = deque()
        self._runner: Runner | None = None

    def run(self) -> None:
        """Perform cases until the budget is used up, the campaign is stopped, or the host is given up."""
        try:
            self._runner = runner = Runner(self._opener)
        except InfraError as error:
            self._give_up(str(error))
            return
        try:
            self._tally.identify(identity(self.url, runner.topology, runner.host.hello))
            self._perform_all(runner)
        finally:
            runner.close()

    def abandon(self) -> None:
        """Drop the host at once; called from another thread when the lane does not stop by itself."""
        if self._runner:
            self._runner.close()

    def _perform_all(self, runner: Runner) -> None:
        if not runner.drawable.cards:
            self._give_up(f"{self.url}: no card may be disturbed: see allow_destructive in the inventory")
            return
        source = self._cases(runner.topology, runner.drawable)
        is_drained = False
        while True:
            while not is_drained and runner.has_room and not self._new:
                is_drained = not self._begin_next(runner, source)
            if runner.under_way:
                self._conclude(runner, runner.collect())
            elif runner.is_lost:
                if not self._reopen(runner):
                    return
            elif self._new:
                self._shrink(runner, *self._new.popleft())
            elif is_drained:
                return

    def _begin_next(self, runner: Runner, source: Iterator[tuple[int, Case]]) -> bool:
        """Begin the next case; False when there is none, or no budget."""
        if self._until.is_over or self._cases_left == 0:
            self.is_spent = True
        if self.is_spent or self._stop.is_set():
            return False
        item = next(source, None)
        if item is None:
            return False
        seed, case = item
        try:
            runner.begin(case, self._tally.next_number(), seed, self._record)
        except UsageError as error:
            self._tally.trouble(f"{self.url}: case {case.id} ({case.origin}) cannot be performed: {error}")
            self._refused += 1
            return self._refused < _REFUSED_MAX
        self._refused = 0
        if self._cases_left is not None:
            self._cases_left -= 1
        return True

    def _record(self, number: int, case_text: str, header: bytes) -> Entry:
        entry = self._directory.entry(number, case_text, header)
        self._entries.append(entry)
        return entry

    def _cases(self, topology: Topology, drawable: Topology) -> Iterator[tuple[int, Case]]:
        """Seed and case: the saved ones that this host can perform, then drawn ones without end."""
        for case in self._orders.saved:
            if is_for(case, topology):
                yield 0, case
        recent: deque[str] = deque(maxlen=_RECENT_MAX)
        known: set[str] = set()
        number = repeats = 0
        while repeats < _REPEATS_MAX:
            number += 1
            seed = case_seed(self._orders.seed, self.url, self._ordinal, number)
            case = self._orders.draw(seed, drawable)
            if case.id in known:
                repeats += 1
                continue
            repeats = 0
            if len(recent) == _RECENT_MAX:
                known.discard(recent[0])
            recent.append(case.id)
            known.add(case.id)
            yield seed, case

    def _conclude(self, runner: Runner, performance: Performance) -> None:
        """Judge one performance, count it, and keep or forget what was written of it."""
        entry = self._entries.popleft()
        if performance.trouble and self._stop.is_set():
            self._tally.trouble(
                f"{self.url}: run {performance.number} was under way when the campaign stopped"
            )
            entry.leave()
            return
        if performance.trouble:
            self._tally.trouble(f"run {performance.number}: {performance.trouble}")
        else:
            self._reopens_left = REOPENS_MAX
        judgement = judge(performance.history, self._orders.oracles, performance.trouble)
        run = summary(performance, judgement, self.url)
        if self._tally.wants(run):
            run = replace(run, path=entry.keep(run.case_id, verdict_facts(run)))
        else:
            entry.discard()
        self._directory.record(run_facts(run))
        for finding in self._tally.count(run, judgement.oracles):
            self._new.append((finding, performance.case))

    def _reopen(self, runner: Runner) -> bool:
        """Open a lost host again; False when it is given up."""
        if self._stop.is_set():
            return False
        while self._reopens_left:
            self._reopens_left -= 1
            try:
                runner.reopen()
            except InfraError as error:
                self._tally.trouble(f"{self.url}: {error}")
            else:
                return True
        self._give_up(f"{self.url} was given up: it was lost {REOPENS_MAX + 1} times in a row")
        return False

    def _give_up(self, trouble: str) -> None:
        self.trouble = trouble
        self._tally.trouble(trouble)

    def _shrink(self, runner: Runner, finding: Finding, case: Case) -> None:
        """Make the case of a new bug smaller on this host, and save it with the command that replays it."""
        found = self._minimised(runner, finding, case)
        signature = finding.signature
        self._record_bug(runner, signature, found.case)
        path = self._directory.save_bug(signature, casefile.dump(found.case, signature))
        replay = (
            f"harness replay {shlex.quote(str(self._directory.path / path))} --host {shlex.quote(self.url)}"
        )
        self._tally.minimised(
            signature,
            case_path=path,
            steps=len(found.case.steps),
            minimised_from=len(case.steps),
            is_one_minimal=found.is_one_minimal,
            replay=replay,
        )

    def _record_bug(self, runner: Runner, signature: str, case: Case) -> None:
        """Perform the smallest case once more, to keep its history beside it."""
        if runner.is_lost or self._stop.is_set():
            return
        runner.begin(case, self._tally.next_number(), record=self._record)
        runner.collect()
        self._entries.popleft().keep_history(self._directory.bug_path(signature).with_suffix(".jsonl"))

    def _minimised(self, runner: Runner, finding: Finding, case: Case) -> Minimised:
        url, _, query = self.url.partition("?")
        shrinking = Shrinking(
            finding.signature,
            self._orders.oracles,
            until=Deadline.after(min(MINIMISE_S, self._until.left_s + _GRACE_S)),
            is_stopped=self._stop.is_set,
            healthy=urls.opener(url) if query and url.startswith("sim:") else None,  # a mutant's twin
        )
        return shrink(runner, case, shrinking)


def is_for(case: Case, topology: Topology) -> bool:
    """Whether a host with `topology` has what `case` needs."""
    return (
        case.platform is topology.platform
        and case.needs <= topology.features
        and case.cards <= len(topology.cards)
    )


def case_seed(campaign_seed: int, url: str, ordinal: int, number: int) -> int:
    """The seed of a lane's `number`-th drawn case. A mutant's host draws what the healthy one draws.

    48 bits, so that no reader of JSON loses a digit of it.
    """
    text = f"{campaign_seed} {url.partition('?')[0]} {ordinal} {number}"
    return int.from_bytes(sha256(text.encode()).digest()[:6], "big")
