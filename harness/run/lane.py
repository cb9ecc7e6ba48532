"""One host's part of a campaign: performs saved cases, then those of the search, and judges them.

New bugs are minimised. A lane runs beside others and shares nothing with them but the Tally, the run
directory and the corpus.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import replace
from hashlib import sha256

from harness.events.attach import Attach
from harness.events.start_traffic import StartTraffic
from harness.hosts.host import Host
from harness.run.corpus import Corpus
from harness.run.coverage import covered
from harness.run.deadline import Deadline
from harness.run.facts import identity, run_facts, summary, verdict_facts
from harness.run.judge import judge
from harness.run.newbug import NewBug, NewBugs
from harness.run.orders import Counting, Orders, Stopping
from harness.run.runner import Performance, Runner
from harness.run.schedules import options_of
from harness.run.search import Search
from harness.run.store import Entry, RunDirectory
from harness.run.twice import SAME, Twice
from harness.vocab.case import Case
from harness.vocab.coverage import Covered
from harness.vocab.errors import InfraError, UsageError
from harness.vocab.event import Event
from harness.vocab.schedule import Strategy
from harness.vocab.topology import Subject, Topology
from harness.vocab.verdict import Cause

REOPENS_MAX = 3
"""How often in a row a lost host is opened anew before the lane gives up."""
SAVED_SHARE = 0.5
"""How much of the time saved cases may take at most, so that drawn ones are performed on slow hosts, too."""

_NOTHING: dict[Subject, Callable[[Topology], str]] = {
    Subject.CARDS: lambda topology: (
        "" if topology.cards else "no card may be disturbed: see allow_destructive in the inventory"
    ),
    Subject.DEVICES: lambda topology: (
        "" if topology.devices else "no PCI device may be disturbed: see devices in the inventory"
    ),
}
"""What a host lacks for cases about a subject."""
_USES: dict[Subject, type[Event]] = {Subject.CARDS: Attach, Subject.DEVICES: StartTraffic}
_REFUSED_MAX = 1000  # so many cases in a row that the host cannot or must not perform: there is no use


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
        self._new: deque[NewBug] = deque()
        self._bugs = NewBugs(url, orders, tally, directory, stop, until, until.left_s)
        self._runner: Runner | None = None
        self._twice = Twice(orders.twice_every)

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
        if nothing := _NOTHING[self._orders.subject](runner.drawable):
            self._give_up(f"{self.url}: {nothing}")
            return
        self._corpus = corpus = self._orders.corpus(runner.topology.platform, self._tally.trouble)
        try:
            self._search = self._begin_search(runner, corpus)
            self._perform_from(runner, self._cases(runner.topology, corpus))
        finally:
            corpus.close()
            if repeated := self._search.repeated:
                self._tally.effort("drawn cases that had been performed, and were not again", repeated)

    def _begin_search(self, runner: Runner, corpus: Corpus) -> Search:
        def seed_of(number: int) -> int:
            return case_seed(self._orders.seed, self.url, self._ordinal, number)

        kept = [case for case in corpus.cases if is_for(case, runner.topology)]
        return Search(self._orders.draw, runner.drawable, seed_of, kept)

    def _perform_from(self, runner: Runner, source: Iterator[tuple[int, Case]]) -> None:
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
                self._bugs.settle(runner, self._new.popleft())
            elif is_drained:
                return

    def _begin_next(self, runner: Runner, source: Iterator[tuple[int, Case]]) -> bool:
        """Begin the next case; False when there is none, or no budget."""
        again = self._twice.due()
        if self._until.is_over or (self._cases_left == 0 and not again):
            self.is_spent = True
        if self.is_spent or self._stop.is_set():
            return False
        item = again or next(source, None)
        if item is None:
            return False
        seed, case = item
        try:
            is_explored = case.schedule.strategy is Strategy.DECISIONS
            runner.begin(case, self._tally.next_number(), seed, self._record, is_explored)
        except UsageError as error:
            self._tally.trouble(f"{self.url}: case {case.id} ({case.origin}) cannot be performed: {error}")
            self._search.refused(case)
            self._refused += 1
            return self._refused < _REFUSED_MAX
        self._refused = 0
        is_again = self._twice.begun(seed, case, runner.is_deterministic)
        if self._cases_left is not None and not is_again:
            self._cases_left -= 1
        return True

    def _record(self, number: int, case_text: str, header: bytes) -> Entry:
        entry = self._directory.entry(number, case_text, header)
        self._entries.append(entry)
        return entry

    def _cases(self, topology: Topology, corpus: Corpus) -> Iterator[tuple[int, Case]]:
        """Seed and case: regressions and flaky ones that fit this host, then what the search gives.

        On hardware not all regressions may fit into their share of the time, so each seed has its own order,
        in which those come first where somebody uses what the campaign is about: others tell less of it.
        """
        until = Deadline.after(self._until.left_s * SAVED_SHARE)

        def place(case: Case) -> tuple[bool, int]:
            return not is_in_use(case, self._orders.subject), case_seed(self._orders.seed, case.id, 0, 0)

        saved = sorted(self._orders.saved, key=place)
        different = {case.id: case for case in (*corpus.flaky, *saved)}.values()
        fitting = [case for case in different if is_for(case, topology)]
        for index, case in enumerate(fitting):
            if until.is_over:
                self._tally.effort("saved cases that the time was too short for", len(fitting) - index)
                break
            self._search.executed(case)
            yield 0, case
        while item := self._search.next():
            yield item

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
        difference = self._twice.concluded(performance)
        if difference is SAME:
            self._tally.effort("cases performed twice, and the same both times")
            entry.discard()
            return
        more = [difference] if difference else []
        if difference:
            self._corpus.add_flaky(performance.case)
        judgement = judge(performance.history, self._orders.oracles, performance.trouble, more)
        is_telling = runner.is_deterministic or judgement.cause is not Cause.VACUOUS
        cover = self._learn(performance, is_telling)
        run = summary(performance, judgement, self.url, cover)
        if self._tally.wants(run):
            run = replace(run, path=entry.keep(run.case_id, verdict_facts(run)))
        else:
            entry.discard()
        self._directory.record(run_facts(run))
        for finding in self._tally.count(run, judgement.oracles):
            self._new.append(NewBug(finding, performance, run.path))

    def _learn(self, performance: Performance, is_telling: bool) -> frozenset[Covered]:
        """Tell the search and the corpus what a performance covered.

        On a slow host a case that came to nothing is no good beginning for others, which mostly do likewise.
        """
        cover = covered(performance.history)
        if performance.trouble or not is_telling:
            self._search.refused(performance.case)
        elif found := self._search.learn(performance.case, cover, options_of(performance)):
            self._tally.effort("cases that covered something new")
            if self._corpus.add(found):
                self._tally.effort("cases that were added to the corpus")
        return cover

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


def is_for(case: Case, topology: Topology) -> bool:
    """Whether a host with `topology` has what `case` needs."""
    return (
        case.platform is topology.platform
        and case.needs <= topology.features
        and case.cards <= len(topology.cards)
    )


def is_in_use(case: Case, subject: Subject) -> bool:
    """Whether anybody attaches a context in the case, or keeps a device busy."""
    return any(isinstance(step.event, _USES[subject]) for step in case.steps)


def case_seed(campaign_seed: int, url: str, ordinal: int, number: int) -> int:
    """The seed of a lane's `number`-th drawn case. A mutant's host draws what the healthy one draws.

    48 bits, so that no reader of JSON loses a digit of it.
    """
    text = f"{campaign_seed} {url.partition('?')[0]} {ordinal} {number}"
    return int.from_bytes(sha256(text.encode()).digest()[:6], "big")
