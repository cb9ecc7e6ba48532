"""Interleavings written out: the same history from a list of decisions, whatever the strategy was."""

from __future__ import annotations

from dataclasses import replace

import pytest

from harness import registry
from harness.gen.cases import case_from_seed
from harness.gen.rules import DrawRules
from harness.hosts.inproc import InprocHost
from harness.run.runner import Performance, Runner
from harness.run.schedules import explicit, options_of
from harness.sim.host import SimulatedHost
from harness.vocab.history import History, Kind, Record
from harness.vocab.schedule import UNTIL_IT_WAITS, Schedule, Strategy
from harness.vocab.topology import Platform
from tests.run.cases import GOOD_CASE
from tests.run.fake import FakeSimulated

EVENTS = tuple(registry.events().values())
TOPOLOGY = Runner(lambda: InprocHost("inproc:", FakeSimulated())).topology
SCHEDULES = (Schedule.of_seed(3), Schedule(Strategy.PRIORITY, 4, 3, 120), UNTIL_IT_WAITS)


@pytest.mark.parametrize("schedule", SCHEDULES, ids=str)
@pytest.mark.parametrize("platform", list(Platform), ids=lambda platform: platform.value)
def test_decisions_give_the_same_history_as_the_strategy_that_took_them(platform, schedule) -> None:
    runner = Runner(lambda: InprocHost("sim://x", SimulatedHost(platform)))
    for seed in range(5):
        drawn = case_from_seed(seed, runner.topology, DrawRules(), EVENTS)
        case = replace(drawn, schedule=schedule)
        listed = explicit(runner, case)
        assert listed is not None
        assert listed.schedule.strategy is Strategy.DECISIONS
        assert (listed.schedule.decisions == ()) == (schedule == UNTIL_IT_WAITS)
        assert runner.perform(listed).digest == runner.perform(case).digest
        options = options_of(runner.perform(listed, is_recorded=True))
        assert all(number > 1 for number in options)
        assert all(index < len(options) for index, _ in listed.schedule.decisions)


def test_a_host_that_says_nothing_of_decisions_has_none() -> None:
    runner = Runner(lambda: InprocHost("inproc:", FakeSimulated()))
    assert explicit(runner, GOOD_CASE) is None
    assert options_of(runner.perform(GOOD_CASE, is_recorded=True)) == ()


@pytest.mark.parametrize("said", [None, 5, "12", [1.5], [True], [[1]], {"a": 1}])
def test_nonsense_about_decisions_is_no_options(said) -> None:
    end = Record(0, 1, "harness", Kind.END, "end", {"options": said, "decisions": said})
    history = History("c", TOPOLOGY, (), (end,))
    assert options_of(Performance(1, GOOD_CASE, 0, history, "", "")) == ()
