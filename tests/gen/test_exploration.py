"""Exploration: every interleaving within the bound once, few deviations first; and it finds real races."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from harness import registry
from harness.gen.exploration import Exploration
from harness.hosts.inproc import InprocHost
from harness.run.judge import judge
from harness.run.runner import Runner
from harness.sim.deciding import Decisions, Recorded
from harness.sim.host import SimulatedHost
from harness.sim.scheduler import Flow, Scheduler
from harness.vocab.schedule import UNTIL_IT_WAITS, Schedule, Strategy
from harness.vocab.topology import Platform
from harness.wire import casefile

CASES = Path(__file__).parents[2] / "fixtures" / "exploration"


def perform(decisions) -> tuple[str, list[int]]:
    """Two tasks of three points each: the order in which they ran, and what there was to choose from."""
    recorded = Recorded(Decisions(dict(decisions)))
    scheduler = Scheduler(recorded)
    order: list[str] = []

    def task(name: str) -> Flow:
        for _ in range(3):
            order.append(name)
            yield "point"

    for name in "ab":
        scheduler.spawn(task(name), name, 1)
    scheduler.run(100)
    return "".join(order), recorded.options


def explored(bound: int, most: int = 10_000) -> list[str]:
    exploration, orders = Exploration(bound, most), []
    while schedule := exploration.next():
        order, options = perform(schedule.decisions)
        exploration.learn(schedule, options)
        orders.append((len(schedule.decisions), order, schedule.decisions))
    deviations = [count for count, _, _ in orders]
    assert deviations == sorted(deviations), "few deviations come first"
    assert len({decisions for _, _, decisions in orders}) == len(orders), "none comes twice"
    return [order for _, order, _ in orders]


def test_the_plain_interleaving_comes_first_and_all_come_in_the_end() -> None:
    orders = explored(bound=6)
    assert orders[0] == "aaabbb"
    words = {f"{bits:06b}" for bits in range(64) if bits.bit_count() == 3}
    assert set(orders) == {word.replace("0", "a").replace("1", "b") for word in words}


@pytest.mark.parametrize("bound", [0, 1, 2])
def test_a_bound_is_kept(bound) -> None:
    for order in explored(bound):
        assert sum(one != other for one, other in pairwise(order)) <= 1 + 2 * bound


def test_most_is_the_end() -> None:
    assert len(explored(bound=6, most=7)) == 7
    assert Exploration(most=0).is_over


@pytest.mark.parametrize(
    ("name", "platform"),
    [
        ("ResolvesFaultsAfterClose", Platform.POWERVM),
        ("ResolvesDeadFaults", Platform.POWERVM),
        ("ResolvesFaultsAfterClose", Platform.POWERNV),
    ],
)
def test_a_race_that_the_plain_interleaving_hides_is_found_within_the_bound(name, platform) -> None:
    """A case that kills a mutant, in which all is a matter of the interleaving; shorter ones need more."""
    file = "".join(f"-{c.lower()}" if c.isupper() else c for c in name).removeprefix("-")
    case = casefile.load((CASES / f"{platform.value}-{file}.json").read_text(), registry.events()).case
    runner = Runner(lambda: InprocHost("sim://x", SimulatedHost(platform, name)))
    oracles = tuple(registry.oracle(oracle) for oracle in registry.mutant(name).killed_by)

    def fails(schedule: Schedule) -> tuple[bool, list[int]]:
        history = runner.perform(replace(case, schedule=schedule), is_recorded=True).history
        return bool(judge(history, oracles).signatures), history.records[-1].data["options"]

    assert not fails(UNTIL_IT_WAITS)[0]
    exploration, tried = Exploration(bound=2, most=3_000), 0
    while schedule := exploration.next():
        tried += 1
        is_shown, options = fails(schedule)
        if is_shown:
            assert schedule.strategy is Strategy.DECISIONS
            assert len(schedule.decisions) <= 2
            return
        exploration.learn(schedule, options)
    pytest.fail(f"{tried} interleavings did not show {name}")
