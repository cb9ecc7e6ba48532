"""Minimising on a host: one that goes down, one that fails now and then, and a check on a healthy one."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from types import SimpleNamespace

import pytest

from harness.run import shrink as shrinking
from harness.run.shrink import Shrinking, shrink
from harness.vocab.case import Case
from harness.vocab.errors import InfraError
from harness.vocab.oracle import Oracle
from harness.vocab.verdict import Finding
from tests.run.cases import BAD_CASE, LOAD, OPEN, case, pause, store

SIGNATURE = "bad/kind"


def _judge(history):
    return [Finding("bad", "kind", "it is bad", ())] if history == "bad" else []


BAD = Oracle("bad", "Nothing is bad", _judge)


@dataclass
class StandIn:
    """A runner whose host is a function from a case to ``bad``, ``good``, ``down``, or ``bad and dead``."""

    answer: object
    features: frozenset[str] = frozenset({"deterministic"})
    is_lost: bool = False
    performed: list[Case] = field(default_factory=list)
    reopened: int = 0
    can_open: bool = True

    @property
    def topology(self):
        return SimpleNamespace(features=self.features)

    def perform(self, candidate, is_recorded=False):
        self.performed.append(candidate)
        said = self.answer(candidate, len(self.performed))
        history, _, fate = said.partition(" and ")
        self.is_lost = history == "down"
        return SimpleNamespace(history=history, trouble="no sign of life" if self.is_lost or fate else "")

    def reopen(self) -> None:
        self.reopened += 1
        if not self.can_open:
            raise InfraError("nobody answers")
        self.is_lost = False

    def close(self) -> None:
        pass


@pytest.fixture(autouse=True)
def plain(monkeypatch: pytest.MonkeyPatch) -> None:
    """Judge the stand-in's words, and list no decisions."""
    monkeypatch.setattr(
        shrinking, "judge", lambda h, oracles: SimpleNamespace(signatures=[f.signature for f in _judge(h)])
    )
    monkeypatch.setattr(shrinking, "explicit", lambda _runner, _case: None)


def shows(*needed):
    return lambda candidate, _n: "bad" if all(step in candidate.steps for step in needed) else "good"


def looked_for(**more) -> Shrinking:
    return Shrinking(SIGNATURE, (BAD,), **more)


def test_what_is_needed_is_left() -> None:
    runner = StandIn(shows(OPEN, LOAD))
    found = shrink(runner, BAD_CASE, looked_for())
    assert found.case.steps == (OPEN, LOAD)
    assert found.is_one_minimal
    assert found.executions == len(runner.performed)


def test_a_host_that_goes_down_is_opened_again_and_counted() -> None:
    def answer(candidate, _n):
        return "down" if LOAD not in candidate.steps else shows(OPEN, LOAD)(candidate, 0)

    runner = StandIn(answer)
    found = shrink(runner, case(OPEN, store(1), LOAD), looked_for())
    assert found.case.steps == (OPEN, LOAD)
    assert found.host_downs == runner.reopened >= 1


def test_a_bug_that_kills_the_guest_can_be_made_smaller() -> None:
    runner = StandIn(lambda c, n: "bad and dead" if shows(OPEN, LOAD)(c, n) == "bad" else "good")
    found = shrink(runner, BAD_CASE, looked_for())
    assert found.case.steps == (OPEN, LOAD)
    assert found.host_downs == runner.reopened == 0


def test_a_host_that_stays_down_leaves_the_best_so_far() -> None:
    runner = StandIn(lambda candidate, n: "down" if n > 4 else shows(OPEN)(candidate, n), can_open=False)
    found = shrink(runner, case(OPEN, *(store(n) for n in range(1, 30))), looked_for())
    assert OPEN in found.case.steps
    assert not found.is_one_minimal
    assert runner.reopened == 1


def test_a_flaky_failure_is_tried_as_often_as_its_rate_asks_for() -> None:
    def answer(candidate, n):
        return shows(OPEN, LOAD)(candidate, n) if n % 2 else "good"

    runner = StandIn(answer, features=frozenset())
    found = shrink(runner, BAD_CASE, looked_for())
    assert found.case.steps == (OPEN, LOAD)
    assert 0 < found.refails < found.tries


def test_a_case_that_does_not_fail_again_is_given_back() -> None:
    runner = StandIn(lambda *_: "good", features=frozenset())
    found = shrink(runner, BAD_CASE, looked_for())
    assert found.case is BAD_CASE
    assert found.refails == 0
    assert len(runner.performed) == shrinking.FIRST_TRIES


def test_what_a_healthy_host_shows_too_is_made_smaller_with_its_waits(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Without the long wait even a healthy host has not recovered yet."""
    wait = pause(15_000)
    healthy = StandIn(lambda candidate, _n: "good" if wait in candidate.steps else "bad")
    monkeypatch.setattr(shrinking, "Runner", lambda _opener: healthy)
    found = shrink(StandIn(shows(OPEN)), case(OPEN, store(1), wait), looked_for(healthy=object))
    assert found.case.steps == (OPEN, wait)
    assert not found.fails_on_healthy


def test_long_waits_are_kept_where_no_healthy_host_can_be_asked() -> None:
    found = shrink(StandIn(shows(OPEN)), case(OPEN, pause(5), pause(15_000)), looked_for())
    assert found.case.steps == (OPEN, pause(15_000))


def test_stopping_leaves_the_best_so_far() -> None:
    runner = StandIn(shows(OPEN))
    found = shrink(runner, BAD_CASE, replace(looked_for(), is_stopped=lambda: len(runner.performed) >= 2))
    assert len(runner.performed) == 2
    assert OPEN in found.case.steps
