"""The minimiser: what is left shows the bug, no single step can be removed, nothing is performed twice."""

from __future__ import annotations

from dataclasses import replace

import pytest

from harness.events.await_ import Await
from harness.events.load import Load
from harness.events.open import Open
from harness.events.raise_recoverable_error import RaiseRecoverableError
from harness.run.minimise import HostDownError, minimise
from harness.vocab.case import Step, When
from harness.vocab.schedule import UNTIL_IT_WAITS, Schedule, Strategy
from tests.run.cases import OPEN, case, pause, store


def big_case(*needed, size: int = 40):
    """`needed` steps at even distances between steps that matter to nobody."""
    steps = [Step("a2", Load("c9.mmio", "SCRATCH", 8, n + 1)) for n in range(size)]
    for index, step in enumerate(needed):
        steps.insert((index + 1) * size // (len(needed) + 1), step)
    return case(*steps)


def shows(*needed):
    """Whether `needed` are all there, in order; every case asked about is remembered."""
    asked = []

    def answer(candidate) -> bool:
        asked.append(candidate.id)
        rest = iter(candidate.steps)
        return all(step in rest for step in needed)

    return answer, asked


def test_exactly_the_needed_steps_are_left() -> None:
    needed = (OPEN, store(1), store(2), pause(999))
    answer, asked = shows(*needed)
    found = minimise(big_case(*needed), answer)
    assert found.case.steps == needed
    assert found.is_one_minimal
    assert found.executions == len(asked) == len(set(asked)) <= 120


def test_a_bug_that_any_case_shows_leaves_one_step() -> None:
    assert len(minimise(big_case(), lambda _: True).case.steps) == 1


def test_a_step_that_can_go_only_after_another_goes_too() -> None:
    """Removing the first of two stores breaks the case unless the second has gone."""

    def answer(candidate) -> bool:
        has = [step in candidate.steps for step in (store(1), store(2))]
        return OPEN in candidate.steps and has in ([True, True], [True, False], [False, False])

    assert minimise(big_case(store(1), store(2), OPEN), answer).case.steps == (OPEN,)


@pytest.mark.parametrize(
    ("when", "needs", "left"),
    [
        (When(after_ms=5), lambda when: True, When()),
        (When(phase="reset", nth=3, after_ms=7), lambda when: when.phase == "reset", When(phase="reset")),
        (When(phase="reset", nth=2), lambda when: when.nth == 2, When(phase="reset", nth=2)),
        (When(phase="reset", nth=2, after_ms=9), lambda when: when.nth == 2, When(phase="reset", nth=2)),
    ],
)
def test_triggers_become_as_simple_as_the_bug_allows(when, needs, left) -> None:
    found = minimise(case(pause(1, when)), lambda candidate: needs(candidate.steps[0].when))
    assert found.case.steps == (pause(1, left),)


def test_when_the_executions_run_out_the_best_so_far_is_given_and_said_to_be_unfinished() -> None:
    big = big_case(OPEN)
    answer, asked = shows(big.steps[5], OPEN, big.steps[30])
    found = minimise(big, answer, budget=6)
    assert found.executions == len(asked) == 6
    assert not found.is_one_minimal
    assert OPEN in found.case.steps
    assert len(found.case.steps) < 41


def test_the_header_is_kept() -> None:
    original = case(pause(1), pause(2), seed=77)
    assert minimise(original, lambda _: True).case.schedule == Schedule.of_seed(77)


def test_a_bug_that_needs_no_interleaving_is_left_without_one() -> None:
    found = minimise(case(OPEN, store(1), seed=77), lambda _: True, listed=lambda _: None)
    assert found.case.schedule == UNTIL_IT_WAITS


def test_an_interleaving_that_is_needed_is_left_as_the_decisions_that_are_needed() -> None:
    decisions = ((1, 1), (3, 2), (7, 1), (9, 3))

    def listed(candidate):
        return replace(candidate, schedule=Schedule(Strategy.DECISIONS, decisions=decisions))

    def answer(candidate) -> bool:
        schedule = candidate.schedule
        if schedule.strategy is Strategy.DECISIONS:
            return (3, 2) in schedule.decisions
        return schedule.seed == 5

    found = minimise(case(OPEN, seed=5), answer, listed=listed)
    assert found.case.schedule.decisions == ((3, 2),)


def test_other_hosts_keep_their_schedule() -> None:
    assert minimise(case(OPEN, store(1), seed=77), lambda _: True).case.schedule == Schedule.of_seed(77)


def test_an_actor_goes_as_a_whole() -> None:
    """Its steps make sense together only: none of them can be removed alone."""
    mine = [Step("a1", Open(f"c{n}", "afu0.0", "s")) for n in range(1, 9)]

    def answer(candidate) -> bool:
        left = [step for step in mine if step in candidate.steps]
        return OPEN in candidate.steps and len(left) in (0, len(mine))

    found = minimise(case(OPEN, *mine), answer)
    assert found.case.steps == (OPEN,)
    assert found.executions <= 4


def test_a_wait_becomes_a_delay_of_what_comes_after_it() -> None:
    wait = Step("harness", Await("all", 1000, interrupt=False))
    strike = Step("nemesis", RaiseRecoverableError("afu0.0"))

    def answer(candidate) -> bool:
        steps = [step for step in candidate.steps if step.event == strike.event]
        is_late = wait in candidate.steps or any(step.when.after_ms for step in steps)
        return OPEN in candidate.steps and bool(steps) and is_late

    assert minimise(case(OPEN, wait, strike), answer).case.steps == (
        OPEN,
        Step("nemesis", strike.event, When(after_ms=5)),
    )


def test_steps_that_are_to_be_kept_are_not_removed() -> None:
    found = minimise(case(OPEN, pause(7), store(1)), lambda _: True, keeps=lambda step: step == pause(7))
    assert found.case.steps == (pause(7),)


def test_a_flaky_bug_gets_several_tries() -> None:
    """It shows every third time only, whatever the case."""
    count = 0

    def answer(candidate) -> bool:
        nonlocal count
        count += 1
        return OPEN in candidate.steps and count % 3 == 0

    found = minimise(big_case(OPEN), answer, tries=3, budget=1000)
    assert found.case.steps == (OPEN,)
    assert found.executions == count


def test_a_candidate_that_takes_the_host_down_is_counted_and_shows_nothing() -> None:
    def answer(candidate) -> bool:
        if store(2) not in candidate.steps:
            raise HostDownError("no sign of life")
        return OPEN in candidate.steps

    found = minimise(big_case(OPEN, store(2)), answer)
    assert set(found.case.steps) == {OPEN, store(2)}
    assert found.host_downs >= 1
