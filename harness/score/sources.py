"""Where cases come from in a score: our search, and the searches that it is compared with."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import count
from pathlib import Path
from typing import NamedTuple, Protocol

from harness import registry
from harness.gen.rules import DrawRules
from harness.gen.source import Source
from harness.run.coverage import covered
from harness.run.lane import case_seed
from harness.run.runner import Performance
from harness.run.schedules import options_of
from harness.run.search import Search
from harness.score.uniform import blind_case, valid_case
from harness.vocab.case import Case
from harness.vocab.event import Event
from harness.vocab.history import History
from harness.vocab.topology import Topology
from harness.wire import casefile

RULES = DrawRules()
"""How all of them draw: those of the nightly plan."""


class Feed(Protocol):
    """One sequence of cases."""

    def next_case(self) -> Case:
        """The next case. Raises StopIteration when there is none."""
        ...

    def learn(self, case: Case, history: History) -> None:
        """What came of a case, for a search that draws on it."""
        ...


class Kind(NamedTuple):
    """A search: its name in tables, what it is, and what makes the sequence of a seed and a length."""

    name: str
    title: str
    feed: Callable[[int, int, Topology], Feed]


class _Listed:
    """A sequence that depends on nothing that a host says."""

    def __init__(self, cases: Iterator[Case]) -> None:
        self._cases = cases

    def next_case(self) -> Case:
        return next(self._cases)

    def learn(self, case: Case, history: History) -> None:
        pass


class _Searching:
    """The cases of a campaign, which leans to what was seldom seen, behind `first`."""

    def __init__(self, seed: int, topology: Topology, first: Iterable[Case] = ()) -> None:
        self._first = deque(first)
        url = f"sim://{topology.platform.value}"
        self._search = Search(
            Source(RULES, _events()), topology, lambda number: case_seed(seed, url, 0, number)
        )

    def next_case(self) -> Case:
        if self._first:
            case = self._first.popleft()
            self._search.executed(case)
            return case
        found = self._search.next()
        if found is None:
            raise StopIteration
        return found[1]

    def learn(self, case: Case, history: History) -> None:
        performance = Performance(0, case, 0, history, "", "")
        self._search.learn(case, covered(history), options_of(performance))


_Draw = Callable[[int, Topology, DrawRules, Sequence[type[Event]]], Case]


def _events() -> tuple[type[Event], ...]:
    return tuple(registry.events().values())


def _drawn_by(draw: _Draw) -> Callable[[int, int, Topology], Feed]:
    def feed(seed: int, _length: int, topology: Topology) -> Feed:
        url, events = f"sim://{topology.platform.value}", _events()
        return _Listed(draw(case_seed(seed, url, 0, n), topology, RULES, events) for n in count(1))

    return feed


def _searching(seed: int, _length: int, topology: Topology) -> Feed:
    return _Searching(seed, topology)


def _campaign(seed: int, _length: int, topology: Topology) -> Feed:
    return _Searching(seed, topology, _saved_cases(topology))


def _machine(seed: int, length: int, topology: Topology) -> Feed:
    from harness.score.machine import machine_cases  # noqa: PLC0415 - Hypothesis is slow to import

    return _Listed(iter(machine_cases(seed, length, topology, _events())))


def _saved(_seed: int, _length: int, topology: Topology) -> Feed:
    return _Listed(_saved_cases(topology))


def _saved_cases(topology: Topology) -> Iterator[Case]:
    folder = REGRESS / topology.platform.value
    texts = ((path, path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.json")))
    return (casefile.load(text, registry.events(), str(path)).case for path, text in texts)


REGRESS = Path("fixtures/cases/regress")
"""The saved cases of the named mutants, by platform."""

SAVED = "saved"
CAMPAIGN = "campaign"
OURS = "harness"
UNIFORM = "uniform"
BLIND = "blind"
MACHINE = "state machine"

SOURCES = {
    source.name: source
    for source in (
        Kind(SAVED, "the saved cases, which a campaign performs first", _saved),
        Kind(CAMPAIGN, "the saved cases, then drawn ones, which may be variations of the saved", _campaign),
        Kind(OURS, "the cases that a campaign draws", _searching),
        Kind(UNIFORM, "any event that makes sense, each as likely", _drawn_by(valid_case)),
        Kind(BLIND, "any event at all, each as likely", _drawn_by(blind_case)),
        Kind(MACHINE, "a plain RuleBasedStateMachine of Hypothesis", _machine),
    )
}
