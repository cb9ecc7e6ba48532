"""Small cases and oracles for the tests of running, on the stand-in host of `fake`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from harness.events.load import Load
from harness.events.open import Open
from harness.events.pause import Pause
from harness.events.store import Store
from harness.gen.rarity import NOTHING_SEEN, Rarity
from harness.vocab.case import Case, Step, When
from harness.vocab.history import History
from harness.vocab.oracle import Oracle
from harness.vocab.schedule import Schedule
from harness.vocab.topology import Platform, Topology
from harness.vocab.verdict import Cause, Finding, Verdict
from tests.run.fake import BAD_VALUE

OPEN = Step("a0", Open("c0", "afu0.0", "s"))
LOAD = Step("a0", Load("c0.mmio", "SCRATCH", 8, 1))


def store(value: int) -> Step:
    return Step("a0", Store("c0.mmio", value, 8))


def pause(ms: int, when: When | None = None) -> Step:
    return Step("harness", Pause(ms), when or When())


def case(*steps: Step, seed: int = 0) -> Case:
    return Case(steps, Platform.POWERVM, schedule=Schedule.of_seed(seed), origin="a test")


class Drawn:
    """Draws by a function of seed and topology; a variation is a fresh case."""

    def __init__(self, fresh: Callable[[int, Topology], Case]) -> None:
        self._fresh = fresh

    def fresh(self, seed: int, topology: Topology, _rarity: Rarity = NOTHING_SEEN) -> Case:
        return self._fresh(seed, topology)

    def varied(
        self, seed: int, _parents: Sequence[Case], topology: Topology, _rarity: Rarity = NOTHING_SEEN
    ) -> Case:
        return self._fresh(seed, topology)


GOOD_CASE = case(OPEN, LOAD)
BAD_CASE = case(OPEN, pause(1), store(1), pause(2), LOAD, pause(3))


def _no_bad_value(history: History) -> Iterator[Finding]:
    for operation in history.operations:
        for value, *_ in operation.answer.get("runs", ()):
            if value == BAD_VALUE:
                yield Finding("no_bad_value", "bad-value", "a load gave a bad value", (operation.invoke.seq,))


def _raises(history: History) -> Iterator[Finding]:
    raise ZeroDivisionError(f"{len(history.records)} records are too many")


def _undecided(_history: History) -> Iterator[Finding]:
    yield Finding("undecided", "vacuous", "nothing happened", (), Verdict.UNKNOWN, Cause.VACUOUS)


NO_BAD_VALUE = Oracle("no_bad_value", "Loads never give the bad value", _no_bad_value)
RAISES = Oracle("raises", "Breaks", _raises)
UNDECIDED = Oracle("undecided", "Never knows", _undecided)
ELSEWHERE = Oracle("elsewhere", "Judges bare metal only", _raises, frozenset({Platform.POWERNV}))
