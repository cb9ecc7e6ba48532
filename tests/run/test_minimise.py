"""The minimiser: what is left shows the bug, no single step can be removed, nothing is performed twice."""

from __future__ import annotations

import pytest

from harness.run.minimise import minimise
from harness.vocab.case import When
from harness.vocab.schedule import Schedule
from tests.run.cases import OPEN, case, pause, store


def big_case(*needed, size: int = 40):
    """`needed` steps at even distances between steps that matter to nobody."""
    steps = [pause(n) for n in range(size)]
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
    answer, asked = shows(OPEN)
    found = minimise(big_case(OPEN), answer, budget=3)
    assert found.executions == len(asked) == 3
    assert not found.is_one_minimal
    assert OPEN in found.case.steps
    assert len(found.case.steps) < 41


def test_the_header_is_kept() -> None:
    original = case(pause(1), pause(2), seed=77)
    assert minimise(original, lambda _: True).case.schedule == Schedule.of_seed(77)
